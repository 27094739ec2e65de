//! From the text of a rule to its tree.

use std::fmt;

use serde_json::Value;

use crate::check::{Check, Comparison, Left};
use crate::python;
use crate::syntax::problem::Flaw;
use crate::template::Template;

/// How deep parentheses and `not` may be nested.
const MAX_DEPTH: usize = 100;

/// A rule that has been read, and what is wrong with it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parsed {
    pub(crate) check: Check,
    pub(crate) flaws: Vec<Flaw>,
}

/// Reads a rule in the language: `role:admin or not (user_id:%(user_id)s and rule:x)`.
///
/// ```text
/// any   = all ("or" all)*
/// all   = unit ("and" unit)*
/// unit  = "not" unit | "(" any ")" | check
/// ```
///
/// A text that does not follow this denies everybody; of the flaws that it may have, only that one is told.
pub(crate) fn text(source: &str) -> Parsed {
    if source.is_empty() {
        return Parsed {
            check: Check::Always,
            flaws: Vec::new(),
        };
    }
    let mut parser = Parser {
        tokens: tokenize(source).into_iter().peekable(),
        flaws: Vec::new(),
    };
    match parser.whole() {
        Ok(check) => Parsed {
            check,
            flaws: parser.flaws,
        },
        Err(reason) => Parsed {
            check: Check::Never,
            flaws: vec![Flaw::Unreadable(reason)],
        },
    }
}

/// Reads a rule in the form of lists: the outer one joins by `or`, the inner ones by `and`; texts in them are checks
/// without operators. Fails with what is found in place of a check.
pub(crate) fn list(alternatives: &[Value]) -> Result<Parsed, &'static str> {
    let mut flaws = Vec::new();
    let mut any = Vec::new();
    for alternative in alternatives {
        match alternative {
            Value::String(check) if !check.is_empty() => any.push(parse_check(check, &mut flaws)),
            Value::Array(checks) if !checks.is_empty() => {
                let all = checks.iter().map(|check| match check {
                    Value::String(check) => parse_check(check, &mut flaws),
                    other => not_a_check(&other.to_string(), &mut flaws),
                });
                any.push(join(all.collect(), Check::All));
            }
            empty if !python::is_true(empty) => {}
            other => return Err(kind_of(other)),
        }
    }
    let check = match (alternatives, any.len()) {
        ([], _) => Check::Always,
        (_, 0) => Check::Never,
        _ => join(any, Check::Any),
    };
    Ok(Parsed { check, flaws })
}

/// What a value is, for messages.
pub(crate) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

enum Token<'a> {
    Open,
    Close,
    And,
    Or,
    Not,
    /// A text in quotes, which stands for nothing.
    Quoted(&'a str),
    Check(&'a str),
}

impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "(",
            Self::Close => ")",
            Self::And => "and",
            Self::Or => "or",
            Self::Not => "not",
            Self::Quoted(text) | Self::Check(text) => text,
        })
    }
}

/// Splits at white space. Parentheses count only around a word: those inside belong to the check.
fn tokenize(source: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    for word in source
        .split(python::is_space)
        .filter(|word| !word.is_empty())
    {
        let inner = word.trim_start_matches('(');
        tokens.extend((inner.len()..word.len()).map(|_| Token::Open));
        let bare = inner.trim_end_matches(')');
        if bare.eq_ignore_ascii_case("and") {
            tokens.push(Token::And);
        } else if bare.eq_ignore_ascii_case("or") {
            tokens.push(Token::Or);
        } else if bare.eq_ignore_ascii_case("not") {
            tokens.push(Token::Not);
        } else if is_quoted(inner) {
            tokens.push(Token::Quoted(inner));
        } else if !bare.is_empty() {
            tokens.push(Token::Check(bare));
        }
        tokens.extend((bare.len()..inner.len()).map(|_| Token::Close));
    }
    tokens
}

fn is_quoted(word: &str) -> bool {
    word.len() >= 2
        && ['\'', '"']
            .iter()
            .any(|&quote| word.starts_with(quote) && word.ends_with(quote))
}

struct Parser<'a> {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token<'a>>>,
    flaws: Vec<Flaw>,
}

impl Parser<'_> {
    fn whole(&mut self) -> Result<Check, String> {
        let check = self.any(0)?;
        match self.tokens.next() {
            None => Ok(check),
            Some(Token::Close) => Err("a parenthesis is closed that was not opened".to_owned()),
            Some(token) => Err(format!(
                "\"and\" or \"or\" is missing before {:?}",
                token.to_string()
            )),
        }
    }

    fn any(&mut self, depth: usize) -> Result<Check, String> {
        let mut parts = vec![self.all(depth)?];
        while self
            .tokens
            .next_if(|token| matches!(token, Token::Or))
            .is_some()
        {
            parts.push(self.all(depth)?);
        }
        Ok(join(parts, Check::Any))
    }

    fn all(&mut self, depth: usize) -> Result<Check, String> {
        let mut parts = vec![self.unit(depth)?];
        while self
            .tokens
            .next_if(|token| matches!(token, Token::And))
            .is_some()
        {
            parts.push(self.unit(depth)?);
        }
        Ok(join(parts, Check::All))
    }

    fn unit(&mut self, depth: usize) -> Result<Check, String> {
        if depth == MAX_DEPTH {
            return Err(format!("it is nested more than {MAX_DEPTH} deep"));
        }
        match self.tokens.next() {
            Some(Token::Check(check)) => Ok(parse_check(check, &mut self.flaws)),
            Some(Token::Not) => Ok(Check::Not(Box::new(self.unit(depth + 1)?))),
            Some(Token::Open) => {
                let inner = self.any(depth + 1)?;
                match self.tokens.next() {
                    Some(Token::Close) => Ok(inner),
                    Some(token) => Err(format!(
                        "\"and\", \"or\" or \")\" is missing before {:?}",
                        token.to_string()
                    )),
                    None => Err("a parenthesis is not closed".to_owned()),
                }
            }
            Some(Token::Quoted(text)) => Err(format!("{text:?} in quotes is no check")),
            Some(token) => Err(format!("a check is missing before {:?}", token.to_string())),
            None => Err("a check is missing at the end".to_owned()),
        }
    }
}

/// Reads one check, without operators.
fn parse_check(source: &str, flaws: &mut Vec<Flaw>) -> Check {
    match source {
        "!" => return Check::Never,
        "@" => return Check::Always,
        _ => {}
    }
    let Some((kind, value)) = source.split_once(':') else {
        return not_a_check(source, flaws);
    };
    match kind {
        "rule" => Check::reference(value),
        "http" | "https" => {
            flaws.push(Flaw::RemoteCheck(source.to_owned()));
            Check::Remote(source.to_owned())
        }
        "role" => Check::Role(parse_template(source, value, flaws)),
        _ => {
            let left = match python::literal(kind) {
                Some(literal) => Left::Literal(literal),
                None if python::is_credential_name(kind) => {
                    Left::Credential(kind.split('.').map(str::to_owned).collect())
                }
                None => {
                    flaws.push(Flaw::LeftSide(source.to_owned()));
                    Left::Unreadable
                }
            };
            let right = parse_template(source, value, flaws);
            Check::Compare(Comparison {
                source: kind.to_owned(),
                left,
                right,
            })
        }
    }
}

fn parse_template(check: &str, value: &str, flaws: &mut Vec<Flaw>) -> Template {
    let template = Template::parse(value);
    if template.is_broken() {
        flaws.push(Flaw::RightSide(check.to_owned()));
    }
    template
}

fn not_a_check(source: &str, flaws: &mut Vec<Flaw>) -> Check {
    flaws.push(Flaw::NotACheck(source.to_owned()));
    Check::Never
}

/// One part stands for itself; more are joined.
fn join(mut parts: Vec<Check>, by: impl FnOnce(Vec<Check>) -> Check) -> Check {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        Some(last) => {
            parts.push(last);
            by(parts)
        }
        None => by(parts),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(source: &str) -> String {
        let parsed = text(source);
        assert_eq!(parsed.flaws, [], "{source}");
        parsed.check.to_string()
    }

    fn flaw(source: &str) -> String {
        let flaws: Vec<String> = text(source).flaws.iter().map(ToString::to_string).collect();
        flaws.join("; ")
    }

    #[test]
    fn and_binds_tighter_than_or_and_not_tighter_still() {
        assert_eq!(
            read("a:1 or b:2 and not c:3 or d:4"),
            "(a:1 or (b:2 and not c:3) or d:4)"
        );
        assert_eq!(read("(a:1 or b:2) and c:3"), "((a:1 or b:2) and c:3)");
    }

    #[test]
    fn parentheses_inside_a_check_belong_to_it() {
        assert_eq!(read("(user_id:%(user_id)s)"), "user_id:%(user_id)s");
        assert_eq!(read("user_id:%(a)s-%(b)s"), "user_id:%(a)s-%(b)s");
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (source, told) in [
            (
                "a:1 or",
                "cannot be read and so denies everybody: a check is missing at the end",
            ),
            (
                " ",
                "cannot be read and so denies everybody: a check is missing at the end",
            ),
            (
                "a:1 b:2",
                "cannot be read and so denies everybody: \"and\" or \"or\" is missing before \"b:2\"",
            ),
            (
                "(a:1 b:2)",
                "cannot be read and so denies everybody: \"and\", \"or\" or \")\" is missing before \"b:2\"",
            ),
            (
                "a:1 and or b:2",
                "cannot be read and so denies everybody: a check is missing before \"or\"",
            ),
            (
                "(a:1",
                "cannot be read and so denies everybody: a parenthesis is not closed",
            ),
            (
                "a:1)",
                "cannot be read and so denies everybody: a parenthesis is closed that was not opened",
            ),
            (
                "'a'",
                "cannot be read and so denies everybody: \"'a'\" in quotes is no check",
            ),
            (
                "admin",
                "holds \"admin\", which is no check (those look like kind:value) and never holds",
            ),
            (
                "https://x/",
                "asks a remote server (https://x/), which is not supported; it denies everyone who reaches it",
            ),
        ] {
            assert_eq!(flaw(source), told, "{source}");
        }
        assert!(matches!(text("a$b:x").flaws[..], [Flaw::LeftSide(_)]));
        assert!(matches!(text("a:%(x)d").flaws[..], [Flaw::RightSide(_)]));
        assert!(matches!(
            text("a$b:%").flaws[..],
            [Flaw::LeftSide(_), Flaw::RightSide(_)]
        ));
    }

    #[test]
    fn deep_nesting_is_refused_rather_than_followed() {
        let deep = |depth: usize| format!("{}role:x{}", "(".repeat(depth), ")".repeat(depth));
        assert_eq!(text(&deep(MAX_DEPTH - 1)).flaws, []);
        assert!(matches!(
            text(&deep(MAX_DEPTH)).flaws[..],
            [Flaw::Unreadable(_)]
        ));
        assert!(matches!(
            text(&"not ".repeat(100_000)).flaws[..],
            [Flaw::Unreadable(_)]
        ));
    }

    #[test]
    fn lists_are_alternatives_of_conjunctions() {
        let read = |rule: Value| {
            list(rule.as_array().expect("a list")).map(|parsed| parsed.check.to_string())
        };
        assert_eq!(read(json!([])).as_deref(), Ok("@"));
        assert_eq!(read(json!([[]])).as_deref(), Ok("!"));
        assert_eq!(
            read(json!(["a:1", ["b:2", "c:3"], [], null])).as_deref(),
            Ok("(a:1 or (b:2 and c:3))")
        );
        assert_eq!(read(json!([["a:1 or b:2"]])).as_deref(), Ok("a:1 or b:2"));
        assert_eq!(read(json!([5])), Err("a number"));
        assert_eq!(read(json!([{"a": "1"}])), Err("a mapping"));
    }
}
