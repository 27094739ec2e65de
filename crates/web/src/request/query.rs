//! The query of a request: filters, flags, and which part of a list.

use std::collections::HashSet;

use model::listing::TextMatch;

use super::BadRequest;

/// The query of a request.
#[derive(Clone, Debug, Default)]
pub struct Query {
    raw: String,
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Reads a query string.
    pub fn parse(raw: &str) -> Self {
        let pairs = form_urlencoded::parse(raw.as_bytes())
            .into_owned()
            .collect();
        Self {
            raw: raw.to_owned(),
            pairs,
        }
    }

    /// Refuses what no database can take as conditions: too many of them, or one that is too long.
    ///
    /// # Errors
    ///
    /// 400, saying what is wrong.
    pub fn check(&self) -> Result<(), BadRequest> {
        const MOST: usize = 500;
        const LONGEST: usize = 8 * 1024;
        // A list of tags is one value, with commas between them.
        let parts = |(_, value): &(String, String)| 1 + value.matches(',').count();
        if self.pairs.iter().map(parts).sum::<usize>() > MOST {
            let complaint = format!("The query has more than {MOST} values.");
            return Err(BadRequest::malformed(&complaint));
        }
        if self.pairs.iter().any(|(_, value)| value.len() > LONGEST) {
            let complaint = format!("A value of the query has more than {LONGEST} bytes.");
            return Err(BadRequest::malformed(&complaint));
        }
        Ok(())
    }

    /// The first value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// How many items a list shall have at most, as the client says: any whole number.
    pub(crate) fn limit(&self) -> Result<Option<i128>, BadRequest> {
        let Some(text) = self.get("limit").filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        match text.trim().parse() {
            Ok(limit) => Ok(Some(limit)),
            Err(_) => {
                let complaint = format!("Invalid limit {text:?}: expected a whole number.");
                Err(BadRequest::malformed(&complaint))
            }
        }
    }

    /// The text of the query, without the question mark.
    pub fn raw(&self) -> &str {
        &self.raw
    }

    /// All parameters, in order.
    pub fn pairs(&self) -> &[(String, String)] {
        &self.pairs
    }

    /// An id to filter by.
    pub fn id<Id: From<String>>(&self, name: &str) -> Option<Id> {
        self.get(name).map(|text| text.to_owned().into())
    }

    /// A truth value as Keystone reads it: nothing at all counts as true, and so does any word
    /// that does not deny.
    pub fn flag(&self, name: &str) -> Option<bool> {
        let denials = ["0", "false", "no", "off", "n", "f"];
        self.get(name)
            .map(|text| !denials.contains(&text.trim().to_lowercase().as_str()))
    }

    /// A truth value to filter by.
    ///
    /// # Errors
    ///
    /// 400 when the query compares it with text.
    pub fn flag_filter(&self, name: &str) -> Result<Option<bool>, BadRequest> {
        for (key, _) in &self.pairs {
            if let Some((attribute, comparator)) = key.split_once("__")
                && attribute == name
                && ["contains", "startswith", "endswith"].contains(&comparator)
            {
                let complaint = format!("Invalid filter {key}: {name} is a boolean.");
                return Err(BadRequest::malformed(&complaint));
            }
        }
        Ok(self.flag(name))
    }

    /// A flag of a show: present and not `0`.
    pub fn switch(&self, name: &str) -> bool {
        self.get(name).is_some_and(|text| text != "0")
    }

    /// Whether there are parameters that filter by one of these attributes.
    pub fn filters_by(&self, attributes: &[&str]) -> bool {
        self.pairs.iter().any(|(key, _)| {
            let attribute = key.split_once("__").map_or(key.as_str(), |(name, _)| name);
            attributes.contains(&attribute)
        })
    }

    /// How a text attribute must compare: `name=x`, `name__contains=x` and their like, as all of
    /// them say.
    pub fn text(&self, name: &str) -> Option<TextMatch> {
        let asked = self.pairs.iter().filter_map(|(key, value)| {
            let text = value.clone();
            let (attribute, comparator) = key.split_once("__").unwrap_or((key, ""));
            if attribute != name {
                return None;
            }
            let ignore_case = comparator.starts_with('i');
            match comparator.strip_prefix('i').unwrap_or(comparator) {
                "" if key == name => Some(TextMatch::Equals(text)),
                "contains" => Some(TextMatch::Contains { text, ignore_case }),
                "startswith" => Some(TextMatch::StartsWith { text, ignore_case }),
                "endswith" => Some(TextMatch::EndsWith { text, ignore_case }),
                // Comparators that nobody knows match everything.
                _ => None,
            }
        });
        let mut asked: Vec<_> = asked.collect();
        match asked.len() {
            0 | 1 => asked.pop(),
            _ => Some(TextMatch::All(asked)),
        }
    }
}

impl Query {
    /// The query of the page that follows the item with this id.
    pub fn behind(&self, last_id: &str, limit: &str) -> String {
        let asked = self.pairs.iter();
        let asked = asked.map(|(name, value)| (name.as_str(), value.as_str()));
        // The first of repeated parameters counts.
        let mut seen = HashSet::new();
        let mut pairs: Vec<_> = asked.filter(|(name, _)| seen.insert(*name)).collect();
        for (name, value) in [("marker", last_id), ("limit", limit)] {
            match pairs.iter_mut().find(|(known, _)| *known == name) {
                Some(pair) => pair.1 = value,
                None => pairs.push((name, value)),
            }
        }
        form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::Query;

    #[test]
    fn the_next_page_is_asked_for_by_the_first_of_repeated_parameters() {
        let query = Query::parse("a=1&limit=7&a=2&b=%26&limit=9");
        assert_eq!(query.behind("last", "1"), "a=1&limit=1&b=%26&marker=last");
    }
}
