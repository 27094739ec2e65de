//! Paths of requests, described by patterns in the form that `keystonemiddleware` reads.

/// Longer paths match no pattern, so that the work that one request can cause has a bound. No path of
/// an API comes near it.
const MAX_PATH: usize = 2048;

/// A part of a pattern.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// A character that stands for itself.
    Literal(char),
    /// `*` or `{name}`: one or more characters other than a slash.
    Segment,
    /// `**`: any characters, or none.
    Rest,
}

/// Whether the whole of a path is as a pattern says. It takes time in proportion to the product of
/// their lengths, whatever they are.
pub(crate) fn matches(pattern: &str, path: &str) -> bool {
    if path.len() > MAX_PATH {
        return false;
    }
    let parts = parse(pattern);
    // `reached[n]`: the first n parts match the path as far as it was read.
    let mut reached = vec![false; parts.len() + 1];
    reached[0] = true;
    skip_rests(&parts, &mut reached);
    for character in path.chars() {
        // From the end, so that what is read of `reached[at]` is still from before this character.
        for at in (0..parts.len()).rev() {
            let goes_on = reached[at] || reached[at + 1];
            reached[at + 1] = match parts[at] {
                Part::Literal(literal) => reached[at] && literal == character,
                Part::Segment => goes_on && character != '/',
                Part::Rest => goes_on && character != '\n',
            };
        }
        reached[0] = false;
        skip_rests(&parts, &mut reached);
        if !reached.contains(&true) {
            return false;
        }
    }
    reached[parts.len()]
}

/// A `**` may stand for nothing.
fn skip_rests(parts: &[Part], reached: &mut [bool]) {
    for (at, part) in parts.iter().enumerate() {
        if *part == Part::Rest && reached[at] {
            reached[at + 1] = true;
        }
    }
}

/// Reads a pattern. A brace without its partner stands for itself.
fn parse(pattern: &str) -> Vec<Part> {
    let mut parts = Vec::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        let name = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        let (part, after) = match name {
            Some((_, after)) => (Part::Segment, after),
            None => match (rest.strip_prefix("**"), rest.strip_prefix('*')) {
                (Some(after), _) => (Part::Rest, after),
                (None, Some(after)) => (Part::Segment, after),
                (None, None) => (Part::Literal(first), &rest[first.len_utf8()..]),
            },
        };
        parts.push(part);
        rest = after;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::{MAX_PATH, matches};

    // What is said of Keystone in comments was asked of Keystone 30.
    #[test]
    fn a_pattern_describes_the_whole_path() {
        for (pattern, path, expected) in [
            ("/v3/users", "/v3/users", true),
            ("/v3/users", "/v3/users/", false),
            ("/v3/users", "/v3/user", false),
            ("/v3/users", "/x/v3/users", false),
            ("/v3/users", "/v3/users\n", false),
            ("/v3/users", "/V3/users", false),
            ("/v3/users/", "/v3/users", false),
            ("/v3/projects/*", "/v3/projects/x", true),
            ("/v3/projects/*", "/v3/projects/ü", true),
            ("/v3/projects/*", "/v3/projects/", false),
            ("/v3/projects/*", "/v3/projects", false),
            ("/v3/projects/*", "/v3/projects/x/y", false),
            ("/v3/*/tags", "/v3/x/tags", true),
            ("/v3/*/tags", "/v3/x/y/tags", false),
            ("/v3/x*z", "/v3/xyz", true),
            ("/v3/x*z", "/v3/xz", false),
            ("/v3/domains/{id}", "/v3/domains/default", true),
            ("/v3/domains/{id}", "/v3/domains/default/x", false),
            ("/v3/{a}/{b}", "/v3/users/x", true),
            ("/v3/{a}{b}", "/v3/xy", true),
            ("/v3/{a}{b}", "/v3/x", false),
            ("/v3/roles/**", "/v3/roles/x/implies/y", true),
            ("/v3/roles/**", "/v3/roles/", true),
            ("/v3/roles/**", "/v3/roles", false),
            ("/v3/roles/**", "/v3/roles/x\ny", false),
            ("/v3/**/tags", "/v3/projects/x/tags", true),
            ("/v3/**/tags", "/v3/tags", false),
            ("**", "", true),
            ("**", "/v3", true),
            ("/v3/***", "/v3/", false),
            ("/v3/***", "/v3/x", true),
            ("", "", true),
            ("", "/", false),
            // Keystone reads the rest of a pattern as a regular expression, and leaves a lone
            // brace out. Here each stands for itself, and so opens nothing.
            ("/v3/g.oups", "/v3/groups", false),
            ("/v3/(users|roles)", "/v3/roles", false),
            ("/v3/re{gions", "/v3/regions", false),
            ("/v3/re}gions", "/v3/regions", false),
            ("/v3/.*", "/v3/users", false),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path:?}");
        }
    }

    #[test]
    fn a_pattern_that_tries_everything_ends() {
        let pattern = "**a".repeat(60);
        let path = "a".repeat(MAX_PATH - 1);
        assert!(matches(&pattern, &path));
        assert!(!matches(&pattern, &format!("{path}b")));
        assert!(!matches("**", &"a".repeat(MAX_PATH + 1)));
    }
}
