//! Assertions: what an identity provider said of somebody, after it was verified.

use std::fmt;

/// The verified whole of what an identity provider said: attributes, each with its values, in the
/// order in which they were said. Nothing in it says which protocol it came by.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Assertion {
    attributes: Vec<(String, Vec<String>)>,
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

    /// Says something of an attribute, instead of what was said of it before. Without any value,
    /// the attribute counts as not said.
    pub fn set(&mut self, name: impl Into<String>, values: Vec<String>) {
        let name = name.into();
        match self.attributes.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = values,
            None => self.attributes.push((name, values)),
        }
    }

    /// The values of an attribute; none when nothing was said of it.
    pub fn values(&self, name: &str) -> &[String] {
        let found = self.attributes.iter().find(|(known, _)| known == name);
        found.map_or(&[], |(_, values)| values)
    }

    /// All attributes with their values, in order.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &[String])> {
        let attributes = self.attributes.iter();
        attributes.map(|(name, values)| (name.as_str(), values.as_slice()))
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
    fn values_are_not_printed() {
        let said = Assertion::of_variables([("MAIL", "jane@example.com")]);
        assert_eq!(format!("{said:?}"), r#"Assertion(["MAIL"])"#);
    }
}
