//! All rules of a service: its defaults, and what an operator has laid over them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::check::Check;
use crate::evaluate::{Decision, Request};
use crate::explain::Explanation;
use crate::rule::{Rule, ScopeType};
use crate::syntax::file::{self, Override};
use crate::syntax::parse;
use crate::syntax::problem::{Flaw, PolicyError, Problem};
use crate::target::{Credentials, Target};

/// The part of `[oslo_policy]` that changes what rules mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether a rule's deprecated text no longer suffices.
    pub enforce_new_defaults: bool,
    /// The rule that stands in for one that is not defined, if it is defined itself (`policy_default_rule`).
    pub default_rule: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            enforce_new_defaults: true,
            default_rule: "default".to_owned(),
        }
    }
}

/// The keys that each rule is given values for when it is asked, by the name of the rule; `request_body.user.*` stands
/// for all below. Rules that are asked only by others have none of their own.
pub type Offers = BTreeMap<&'static str, BTreeSet<String>>;

/// Rules ready to be asked. They never change: new overrides make new rules.
#[derive(Clone, Debug)]
pub struct Rules {
    defaults: Vec<Rule>,
    options: Options,
    overrides: BTreeMap<String, Override>,
    offers: Arc<Offers>,
    compiled: Vec<Compiled>,
    places: HashMap<String, usize>,
    problems: Vec<Problem>,
}

#[derive(Clone, Debug)]
struct Compiled {
    name: String,
    check: Check,
    scopes: &'static [ScopeType],
}

impl Rules {
    /// Compiles a service's own rules. A declaration may come twice if it says the same.
    pub fn new(defaults: impl IntoIterator<Item = Rule>, options: Options) -> Self {
        Self::compile(
            defaults.into_iter().collect(),
            options,
            BTreeMap::new(),
            Arc::default(),
        )
    }

    /// The same rules, held against the keys that they are given: a rule that asks for another has a problem.
    #[must_use]
    pub fn offering(self, offers: Offers) -> Self {
        Self::compile(
            self.defaults,
            self.options,
            self.overrides,
            Arc::new(offers),
        )
    }

    /// These rules with those of a policy file in place of the ones that have the same names.
    ///
    /// More than one file is read by calling this on the result. A file that is read again must be laid over the rules
    /// that did not know it yet.
    ///
    /// # Errors
    ///
    /// When the file cannot be used as a whole. What is wrong with single rules is found in [`Self::problems`].
    pub fn with_overrides(&self, text: &str) -> Result<Self, PolicyError> {
        let mut overrides = self.overrides.clone();
        overrides.extend(
            file::read(text)?
                .into_iter()
                .map(|rule| (rule.name.clone(), rule)),
        );
        Ok(Self::compile(
            self.defaults.clone(),
            self.options.clone(),
            overrides,
            Arc::clone(&self.offers),
        ))
    }

    /// What an operator should be told about these rules.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Decides whether a caller passes a rule.
    ///
    /// A rule that is not defined denies, unless the default rule stands in.
    pub fn check(
        &self,
        name: &str,
        credentials: &dyn Credentials,
        target: &dyn Target,
    ) -> Decision {
        let Some(rule) = self.find(name) else {
            return Decision::Denied;
        };
        if !rule.scopes.is_empty() && !rule.scopes.contains(&ScopeType::of(credentials)) {
            return Decision::WrongScope;
        }
        match (Request {
            rules: self,
            credentials,
            target,
        })
        .holds(&rule.check, 0)
        {
            Ok(true) => Decision::Allowed,
            Ok(false) | Err(_) => Decision::Denied,
        }
    }

    /// The same decision with its reasons, for people. It takes longer, as it looks at all parts of the rule.
    pub fn explain(
        &self,
        name: &str,
        credentials: &dyn Credentials,
        target: &dyn Target,
    ) -> Explanation {
        let request = Request {
            rules: self,
            credentials,
            target,
        };
        let decision = self.check(name, credentials, target);
        match self.find(name) {
            Some(rule) => Explanation::new(name, decision, rule.scopes, &rule.check, request),
            None => Explanation::undefined(name, decision, request),
        }
    }

    /// The check of the rule that a reference was resolved to.
    pub(crate) fn check_at(&self, place: usize) -> &Check {
        &self.compiled[place].check
    }

    fn find(&self, name: &str) -> Option<&Compiled> {
        self.place(name).map(|place| &self.compiled[place])
    }

    /// The place of a rule, or of the one that stands in for it.
    fn place(&self, name: &str) -> Option<usize> {
        self.places
            .get(name)
            .or_else(|| self.places.get(&self.options.default_rule))
            .copied()
    }

    fn compile(
        defaults: Vec<Rule>,
        options: Options,
        overrides: BTreeMap<String, Override>,
        offers: Arc<Offers>,
    ) -> Self {
        let mut rules = Self {
            compiled: Vec::with_capacity(defaults.len() + overrides.len()),
            places: HashMap::new(),
            problems: Vec::new(),
            defaults,
            options,
            overrides,
            offers,
        };
        let mut declared: HashMap<&str, Rule> = HashMap::new();
        for rule in rules.defaults.clone() {
            match declared.insert(rule.name, rule) {
                None => {
                    let check = rules.effective(&rule);
                    rules.add(rule.name, check, rule.scopes);
                }
                Some(first) => {
                    if first != rule {
                        rules.problem(rule.name, Flaw::Conflict);
                    }
                    declared.insert(rule.name, first);
                }
            }
        }
        for rule in rules.overrides.clone().into_values() {
            for flaw in rule.rule.flaws {
                rules.problem(&rule.name, flaw);
            }
            if !declared.contains_key(rule.name.as_str()) {
                rules.add(&rule.name, rule.rule.check, &[]);
            }
        }
        rules.resolve();
        rules.find_cycles();
        rules.find_unoffered();
        rules
    }

    fn add(&mut self, name: &str, check: Check, scopes: &'static [ScopeType]) {
        self.places.insert(name.to_owned(), self.compiled.len());
        self.compiled.push(Compiled {
            name: name.to_owned(),
            check,
            scopes,
        });
    }

    fn problem(&mut self, rule: &str, flaw: Flaw) {
        let line = self.overrides.get(rule).map(|found| found.line);
        self.problems.push(Problem {
            rule: rule.to_owned(),
            line,
            flaw,
        });
    }

    /// What a declared rule asks, once its overrides and its past are taken into account.
    fn effective(&mut self, rule: &Rule) -> Check {
        if let Some(found) = self.overrides.get(rule.name) {
            return found.rule.check.clone();
        }
        let parsed = parse::text(rule.check);
        for flaw in parsed.flaws {
            self.problem(rule.name, flaw);
        }
        let Some(deprecated) = rule.deprecated else {
            return parsed.check;
        };
        let before = parse::text(deprecated.check);
        for flaw in before.flaws {
            self.problem(rule.name, flaw);
        }
        // An override of the old name is meant for the new one too, except where it repeats the old default or is
        // only an alias.
        if deprecated.name != rule.name
            && let Some(found) = self.overrides.get(deprecated.name)
            && found.rule.check != before.check
            && found.rule.check != Check::reference(rule.name)
        {
            return found.rule.check.clone();
        }
        if self.options.enforce_new_defaults || deprecated.check == rule.check {
            return parsed.check;
        }
        Check::Any(vec![parsed.check, before.check])
    }

    fn resolve(&mut self) {
        let mut compiled = std::mem::take(&mut self.compiled);
        for rule in &mut compiled {
            rule.check.resolve(&|name| self.place(name));
            let mut undefined = Vec::new();
            rule.check.for_each_reference(&mut |reference| {
                if !self.places.contains_key(&reference.name)
                    && !undefined.contains(&reference.name)
                {
                    undefined.push(reference.name.clone());
                }
            });
            for name in undefined {
                let flaw = match self.place(&name) {
                    None => Flaw::Undefined(name),
                    Some(_) => Flaw::Replaced(name, self.options.default_rule.clone()),
                };
                self.problem(&rule.name, flaw);
            }
        }
        self.compiled = compiled;
    }

    /// Notes each key that a rule asks for, itself or by those that it refers to, and is never given.
    fn find_unoffered(&mut self) {
        let offers = Arc::clone(&self.offers);
        let mut found = Vec::new();
        for (asked, offered) in offers.iter() {
            let Some(start) = self.places.get(*asked) else {
                continue;
            };
            let mut seen = HashSet::from([*start]);
            let mut open = vec![*start];
            while let Some(place) = open.pop() {
                let rule = &self.compiled[place];
                rule.check.for_each_key(&mut |key| {
                    let flaw = Flaw::NotOffered {
                        key: key.to_owned(),
                        named_by: (place != *start).then(|| rule.name.clone()),
                        may_be_stored: has_sibling(offered, key),
                    };
                    let finding = (*asked, flaw);
                    if !is_offered(offered, key) && !found.contains(&finding) {
                        found.push(finding);
                    }
                });
                let references = references_of(&rule.check).into_iter();
                open.extend(references.filter(|next| seen.insert(*next)));
            }
        }
        for (rule, flaw) in found {
            self.problem(rule, flaw);
        }
    }

    /// Notes each reference that leads back to a rule it came from.
    fn find_cycles(&mut self) {
        #[derive(Clone, Copy, PartialEq)]
        enum State {
            New,
            Open,
            Done,
        }
        let references: Vec<Vec<usize>> = self
            .compiled
            .iter()
            .map(|rule| references_of(&rule.check))
            .collect();
        let mut states = vec![State::New; references.len()];
        for start in 0..references.len() {
            // Each element is a rule on the way and how many of its references have been followed. No recursion: a
            // file may hold a chain of any length.
            let mut way = vec![(start, 0)];
            while let Some((place, followed)) = way.pop() {
                if followed == 0 && states[place] != State::New {
                    continue;
                }
                states[place] = State::Open;
                let Some(&next) = references[place].get(followed) else {
                    states[place] = State::Done;
                    continue;
                };
                way.push((place, followed + 1));
                match states[next] {
                    State::New => way.push((next, 0)),
                    State::Open => {
                        let (name, by) = (
                            self.compiled[next].name.clone(),
                            self.compiled[place].name.clone(),
                        );
                        self.problem(&name, Flaw::Cycle(by));
                    }
                    State::Done => {}
                }
            }
        }
    }
}

/// Whether a key is among those offered, or below one that ends in `.*`.
fn is_offered(offered: &BTreeSet<String>, key: &str) -> bool {
    let mut dots = key.match_indices('.').map(|(dot, _)| dot);
    offered.contains(key) || dots.any(|dot| offered.contains(&format!("{}.*", &key[..dot])))
}

/// Whether something else is offered of the same thing.
fn has_sibling(offered: &BTreeSet<String>, key: &str) -> bool {
    let mut parts = key.splitn(3, '.');
    let (Some("target"), Some(name), Some(_)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let prefix = format!("target.{name}.");
    offered.iter().any(|key| key.starts_with(&prefix))
}

fn references_of(check: &Check) -> Vec<usize> {
    let mut places = Vec::new();
    check.for_each_reference(&mut |reference| places.extend(reference.place));
    places
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problems(defaults: &[Rule], file: &str) -> Vec<String> {
        let rules = Rules::new(defaults.iter().copied(), Options::default());
        let rules = rules.with_overrides(file).expect("a well-formed file");
        rules.problems().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn problems_name_the_rule_and_its_line() {
        assert_eq!(
            problems(
                &[Rule::new("a", "role:x or"), Rule::new("b", "rule:c")],
                "c: '@'\nd: role:x and y\n"
            ),
            [
                "the rule \"a\" cannot be read and so denies everybody: a check is missing at the end",
                "line 2: the rule \"d\" holds \"y\", which is no check (those look like kind:value) and never holds",
            ]
        );
        assert_eq!(
            problems(
                &[Rule::new("a", "rule:b"), Rule::new("a", "rule:c")],
                "e: rule:nowhere\n"
            ),
            [
                "the rule \"a\" is declared twice and differently; the first declaration counts",
                "the rule \"a\" refers to the rule \"b\", which is not defined and never matches; \
                 the rest of the rule applies",
                "line 1: the rule \"e\" refers to the rule \"nowhere\", which is not defined and never \
                 matches; the rest of the rule applies",
            ]
        );
    }

    #[test]
    fn a_key_that_a_rule_is_never_given_is_found() {
        let rules = [
            Rule::new("owner", "user_id:%(user_id)s"),
            Rule::new("unasked", "user_id:%(whatever)s"),
            Rule::new(
                "get",
                "rule:owner or a:%(request_body.b)s or role:%(target.user.naam)s",
            ),
            Rule::new("list", "role:reader"),
        ];
        let offered = |keys: &[&str]| keys.iter().map(|key| key.to_string()).collect();
        let rules = Rules::new(rules, Options::default()).offering(Offers::from([
            (
                "get",
                offered(&["user_id", "target.user.name", "request_body.*"]),
            ),
            ("list", offered(&["target.domain_id"])),
        ]));
        let told = |rules: &Rules| -> Vec<String> {
            rules.problems().iter().map(ToString::to_string).collect()
        };
        assert_eq!(
            told(&rules),
            [
                "the rule \"get\" asks for %(target.user.naam)s, which it is never given: the check does not hold, \
                 unless clients store an additional attribute of that name"
            ]
        );
        let file = "get: '@'\n\nlist: rule:owner or domain_id:%(domain_id)s\n";
        let rules = rules.with_overrides(file).expect("a well-formed file");
        assert_eq!(
            told(&rules),
            [
                "line 3: the rule \"list\" asks for %(domain_id)s, which it is never given: the check does not hold",
                "line 3: the rule \"list\" asks, by way of the rule \"owner\", for %(user_id)s, which it is never \
                 given: the check does not hold",
            ]
        );
    }

    #[test]
    fn cycles_are_found_once() {
        assert_eq!(
            problems(
                &[],
                "a: rule:b or rule:c\nb: role:x and not rule:a\nc: rule:c\nd: rule:a\ne: rule:f\nf: '@'\n"
            ),
            [
                "line 1: the rule \"a\" refers to itself by way of the rule \"b\"; it denies everyone who reaches it",
                "line 3: the rule \"c\" refers to itself by way of the rule \"c\"; it denies everyone who reaches it",
            ]
        );
        // The default rule stands in for what is not defined, itself included.
        let told = problems(&[], "default: rule:nowhere\n");
        assert_eq!(told.len(), 2);
        assert_eq!(
            told[0],
            "line 1: the rule \"default\" refers to the rule \"nowhere\", which is not defined; the rule \
             \"default\" stands in"
        );
    }

    #[test]
    fn a_long_chain_neither_overflows_nor_allows() {
        let links = 20_000;
        let mut file: String = (0..links)
            .map(|link| format!("r{link}: rule:r{}\n", link + 1))
            .collect();
        file.push_str(&format!("r{links}: '@'\n"));
        let rules = Rules::new([], Options::default())
            .with_overrides(&file)
            .expect("a well-formed file");
        assert_eq!(
            rules.check(&format!("r{}", links - 100), &json!({}), &()),
            Decision::Allowed
        );
        assert_eq!(rules.check("r0", &json!({}), &()), Decision::Denied);
        assert_eq!(rules.problems(), []);
    }

    #[test]
    fn a_remote_check_among_the_defaults_denies() {
        let rules = Rules::new(
            [Rule::new("a", "not http://127.0.0.1/ or @")],
            Options::default(),
        );
        assert_eq!(rules.check("a", &json!({}), &()), Decision::Denied);
        assert!(matches!(
            rules.problems(),
            [Problem {
                flaw: Flaw::RemoteCheck(_),
                ..
            }]
        ));
    }

    #[test]
    fn files_add_up() {
        let rules = Rules::new(
            [Rule::new("a", "!"), Rule::new("b", "!")],
            Options::default(),
        );
        let rules = rules
            .with_overrides("a: '@'\nb: '@'\n")
            .expect("a well-formed file");
        let rules = rules
            .with_overrides("b: '!'\n")
            .expect("a well-formed file");
        assert_eq!(rules.check("a", &json!({}), &()), Decision::Allowed);
        assert_eq!(rules.check("b", &json!({}), &()), Decision::Denied);
    }

    #[test]
    fn credentials_that_are_no_object_pass_only_what_is_open_to_all() {
        let rules = Rules::new(
            [Rule::new("a", "user_id:x"), Rule::new("b", "@")],
            Options::default(),
        );
        assert_eq!(rules.check("a", &json!("x"), &()), Decision::Denied);
        assert_eq!(rules.check("b", &json!(null), &()), Decision::Allowed);
    }
}
