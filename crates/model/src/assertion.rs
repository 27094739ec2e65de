//! Assertions: what an identity provider said of somebody, after it was verified.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// The verified whole of what an identity provider said: attributes, each with its values, in the
/// order in which they were said. Nothing in it says which protocol it came by.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Assertion {
    attributes: Vec<(String, Arc<[String]>)>,
    /// Where each attribute is, by its name as it is compared.
    places: HashMap<String, usize>,
    any_case: bool,
}

impl Assertion {
    /// An assertion that says nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads variables as a front proxy passes them, where `;` stands between the values of one
    /// attribute. Nothing can be quoted: a value that holds a `;` arrives as two.
    pub fn of_variables<Name: Into<String>>(
        variables: impl IntoIterator<Item = (Name, impl AsRef<str>)>,
    ) -> Self {
        let mut assertion = Self::new();
        for (name, text) in variables {
            assertion.set(name, text.as_ref().split(';').map(str::to_owned).collect());
        }
        assertion
    }

    /// The same, with names that are found in whatever case somebody asks for them: those of HTTP
    /// headers, which no proxy is bound to leave as they were (RFC 9110 §5.1).
    pub fn in_any_case(mut self) -> Self {
        self.any_case = true;
        self.places.clear();
        for (place, (name, _)) in self.attributes.iter().enumerate() {
            // Of names that differ by case alone, the first counts.
            let name = name.to_ascii_lowercase();
            self.places.entry(name).or_insert(place);
        }
        self
    }

    /// Says something of an attribute, instead of what was said of it before. Without any value,
    /// the attribute counts as not said.
    pub fn set(&mut self, name: impl Into<String>, values: Vec<String>) {
        let name = name.into();
        match self.place(&name) {
            Some(place) => self.attributes[place].1 = values.into(),
            None => {
                let key = match self.any_case {
                    true => name.to_ascii_lowercase(),
                    false => name.clone(),
                };
                self.places.insert(key, self.attributes.len());
                self.attributes.push((name, values.into()));
            }
        }
    }

    /// The values of an attribute; none when nothing was said of it.
    pub fn values(&self, name: &str) -> &[String] {
        self.place(name)
            .map_or(&[], |place| &self.attributes[place].1)
    }

    /// The values of an attribute, to keep.
    pub(crate) fn shared(&self, name: &str) -> Arc<[String]> {
        self.place(name).map_or_else(
            || Arc::from([]),
            |place| Arc::clone(&self.attributes[place].1),
        )
    }

    /// How many values all attributes have together.
    pub fn value_count(&self) -> usize {
        self.attributes.iter().map(|(_, values)| values.len()).sum()
    }

    fn place(&self, name: &str) -> Option<usize> {
        match self.any_case {
            true => self.places.get(&name.to_ascii_lowercase()),
            false => self.places.get(name),
        }
        .copied()
    }

    /// All attributes with their values, in order.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &[String])> {
        let attributes = self.attributes.iter();
        attributes.map(|(name, values)| (name.as_str(), &values[..]))
    }
}

/// Values are about people, and never go to a log.
impl fmt::Debug for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.attributes.iter().map(|(name, _)| name);
        f.debug_tuple("Assertion")
            .field(&names.collect::<Vec<_>>())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_hold_several_values_between_semicolons() {
        let said = Assertion::of_variables([("A", "a;b; c"), ("B", ""), ("C", ";"), ("A", "d")]);
        assert_eq!(said.values("A"), ["d"]);
        assert_eq!(said.values("B"), [""]);
        assert_eq!(said.values("C"), ["", ""]);
        assert!(said.values("D").is_empty());
        let names: Vec<_> = said.attributes().map(|(name, _)| name).collect();
        assert_eq!(names, ["A", "B", "C"]);
    }

    #[test]
    fn names_are_found_in_any_case_where_they_have_none() {
        let said = Assertion::of_variables([("MELLON_UID", "jane")]);
        assert!(said.values("MELLON_uid").is_empty());
        let mut said = said.in_any_case();
        assert_eq!(said.values("MELLON_uid"), ["jane"]);
        assert!(said.values("MELLON-UID").is_empty());
        said.set("mellon_uid", vec!["joe".to_owned()]);
        assert_eq!(said.attributes().count(), 1);
        assert_eq!(said.values("MELLON_UID"), ["joe"]);
    }

    #[test]
    fn values_are_not_printed() {
        let said = Assertion::of_variables([("MAIL", "jane@example.com")]);
        assert_eq!(format!("{said:?}"), r#"Assertion(["MAIL"])"#);
    }
}
