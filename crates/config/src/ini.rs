//! The file format of oslo.config: sections, assignments, continuation lines and `$` references.

use std::fmt;

use model::secret::Secret;

/// One `name = value` of a file, under the section it stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The section as written between the brackets.
    pub section: String,
    /// The option's name; case matters.
    pub name: String,
    /// The value, which only its option can tell from a secret. The lines of a continued one are
    /// joined by a newline.
    pub value: Secret<String>,
    /// The line that holds the name, counted from 1.
    pub line: usize,
}

/// Where and why a file is not of this format. It never shows the line, which may hold a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// What can be wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// A value before any `[section]`.
    NoSection,
    /// `[]`.
    EmptySection,
    /// A line that begins with `[` and does not end with `]`.
    OpenSection,
    /// Neither `=` nor `:`.
    NoAssignment,
    /// Nothing before the `=` or `:`.
    EmptyName,
    /// An indented line that follows no value.
    StrayContinuation,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.problem {
            Problem::NoSection => "a value stands before any [section]",
            Problem::EmptySection => "the section has no name",
            Problem::OpenSection => "a section must end with ]",
            Problem::NoAssignment => "neither = nor : in the line",
            Problem::EmptyName => "no name before the = or :",
            Problem::StrayContinuation => "an indented line continues no value",
        })
    }
}

/// Reads a file's text into its assignments, in their order.
///
/// - A line that begins with `#` or `;` is a comment; there are none at the end of a line.
/// - A line that begins with a space or a tab continues the value before it. A blank line, a
///   comment or a section ends that value.
/// - The first `=` or `:` ends the name. A value within a pair of equal quotes loses them.
pub fn parse(text: &str) -> Result<Vec<Assignment>, SyntaxError> {
    let mut assignments = Vec::new();
    let mut section: Option<&str> = None;
    // An assignment that may go on, and the lines of its value: joined once, for there may be many.
    let mut open: Option<(Assignment, Vec<&str>)> = None;
    let close = |(assignment, lines): (Assignment, Vec<&str>)| Assignment {
        value: lines.join("\n").into(),
        ..assignment
    };

    for (line, content) in (1..).zip(lines(text)) {
        let content = content.trim_end_matches(is_space);
        let wrong = |problem| Err(SyntaxError { line, problem });

        if content.starts_with([' ', '\t']) {
            match &mut open {
                None => return wrong(Problem::StrayContinuation),
                Some((_, lines)) => lines.push(content.trim_start_matches(is_space)),
            }
            continue;
        }
        assignments.extend(open.take().map(close));

        if content.is_empty() || content.starts_with(['#', ';']) {
            continue;
        }
        if let Some(rest) = content.strip_prefix('[') {
            section = match rest.strip_suffix(']') {
                None => return wrong(Problem::OpenSection),
                Some("") => return wrong(Problem::EmptySection),
                Some(name) => Some(name),
            };
            continue;
        }
        let Some((name, value)) = content.split_once(['=', ':']) else {
            return wrong(Problem::NoAssignment);
        };
        let name = name.trim_matches(is_space);
        if name.is_empty() {
            return wrong(Problem::EmptyName);
        }
        let Some(section) = section else {
            return wrong(Problem::NoSection);
        };
        let assignment = Assignment {
            section: section.to_owned(),
            name: name.to_owned(),
            value: String::new().into(),
            line,
        };
        open = Some((assignment, vec![unquote(value.trim_matches(is_space))]));
    }
    assignments.extend(open.map(close));
    Ok(assignments)
}

/// Replaces `$name` and `${name}` by what `lookup` says and `$$` and `\$` by a dollar sign.
///
/// A name begins with a letter or `_` and goes on with letters, digits, `_` and `.`; before a dot
/// stands a group. A `$` that begins none of these is kept.
pub fn substitute<E>(
    text: &str,
    mut lookup: impl FnMut(&str) -> Result<String, E>,
) -> Result<String, E> {
    // The two escapes mean the same, and this one is replaced first: `\$name` is never a reference.
    let text = text.replace(r"\$", "$$");
    let mut result = String::with_capacity(text.len());
    let mut rest = text.as_str();

    while let Some(dollar) = rest.find('$') {
        let (before, after) = rest.split_at(dollar);
        result.push_str(before);
        rest = &after[1..];

        if let Some(following) = rest.strip_prefix('$') {
            result.push('$');
            rest = following;
        } else if let Some((name, following)) = reference(rest) {
            result.push_str(&lookup(name)?);
            rest = following;
        } else {
            result.push('$');
        }
    }
    result.push_str(rest);
    Ok(result)
}

/// Writes a value so that [`parse`] and [`substitute`] give it back; `None` for one that spans
/// lines, which the format cannot hold exactly.
pub fn quote(value: &str) -> Option<String> {
    if value.contains(['\n', '\r']) {
        return None;
    }
    let escaped = value.replace('$', r"\$");
    let bare = value.trim_matches(is_space) == value && unquote(&escaped) == escaped;
    Some(if bare {
        escaped
    } else {
        format!("\"{escaped}\"")
    })
}

/// Whitespace as Python's `str.strip` sees it, which adds the four separators of ASCII.
pub(super) fn is_space(character: char) -> bool {
    character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
}

/// A line ends at `\n`, `\r\n` or a lone `\r`.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| {
        // An empty piece more or less at the end would count lines wrongly.
        let line = line.strip_suffix('\r').unwrap_or(line);
        line.split('\r')
    })
}

/// The name that a reference begins with, and what follows the reference.
fn reference(text: &str) -> Option<(&str, &str)> {
    match text.strip_prefix('{') {
        None => identifier(text),
        Some(inner) => {
            let (name, after) = identifier(inner)?;
            Some((name, after.strip_prefix('}')?))
        }
    }
}

fn identifier(text: &str) -> Option<(&str, &str)> {
    let first = |c: char| c == '_' || c.is_ascii_alphabetic();
    let next = |c: char| first(c) || c == '.' || c.is_ascii_digit();
    text.starts_with(first)
        .then(|| text.split_at(text.find(|c| !next(c)).unwrap_or(text.len())))
}

fn unquote(value: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote) {
            // A lone quote is its own pair.
            return match inner.strip_suffix(quote) {
                Some(inner) => inner,
                None if inner.is_empty() => inner,
                None => value,
            };
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn parsed(text: &str) -> Vec<(String, String, String, usize)> {
        parse(text)
            .unwrap()
            .into_iter()
            .map(|it| (it.section, it.name, it.value.expose().clone(), it.line))
            .collect()
    }

    fn problem(text: &str) -> (usize, Problem) {
        let error = parse(text).unwrap_err();
        (error.line, error.problem)
    }

    /// Substitutes every reference by its name in brackets.
    fn named(text: &str) -> String {
        let bracketed = |name: &str| Ok::<_, Infallible>(format!("<{name}>"));
        substitute(text, bracketed).unwrap()
    }

    #[test]
    fn assignments_keep_their_order_and_the_line_of_their_name() {
        let text = "[a]\n\n# c\nx = 1\n  2\ny: 3\r\n[b]\rx=\r";
        let own = |(section, name, value, line): (&str, &str, &str, usize)| {
            (section.to_owned(), name.to_owned(), value.to_owned(), line)
        };
        let expected = [("a", "x", "1\n2", 4), ("a", "y", "3", 6), ("b", "x", "", 8)];
        assert_eq!(parsed(text), expected.map(own));
    }

    #[test]
    fn each_wrong_line_has_its_own_problem() {
        assert_eq!(problem("\nx = 1"), (2, Problem::NoSection));
        assert_eq!(problem("[]"), (1, Problem::EmptySection));
        assert_eq!(problem("["), (1, Problem::OpenSection));
        assert_eq!(problem("[a] # b"), (1, Problem::OpenSection));
        assert_eq!(problem("[a]\nb"), (2, Problem::NoAssignment));
        assert_eq!(problem("[a]\n:b"), (2, Problem::EmptyName));
        assert_eq!(problem("[a]\nb = c\n\n d"), (4, Problem::StrayContinuation));
    }

    #[test]
    fn references_and_escapes_are_replaced_in_one_pass() {
        assert_eq!(named("$a ${b.c} $d-e"), "<a> <b.c> <d>-e");
        assert_eq!(named("$$a $$$a $$$$a"), "$a $<a> $$a");
        assert_eq!(named(r"\$a \\$a"), r"$a \$a");
        assert_eq!(named("$ $1 ${ ${} ${a $"), "$ $1 ${ ${} ${a $");
        assert_eq!(named("é$ä$_"), "é$ä<_>");
    }

    #[test]
    fn a_failed_look_up_ends_the_substitution() {
        assert_eq!(
            substitute("a $b $c", |name| Err(name.to_owned())),
            Err("b".to_owned())
        );
    }

    #[test]
    fn only_values_that_need_it_are_quoted() {
        assert_eq!(quote("a b").as_deref(), Some("a b"));
        assert_eq!(quote("").as_deref(), Some(""));
        assert_eq!(quote(" a").as_deref(), Some("\" a\""));
        assert_eq!(quote("'a'").as_deref(), Some("\"'a'\""));
        assert_eq!(quote("$a").as_deref(), Some(r"\$a"));
        assert_eq!(quote("a\rb"), None);
    }

    #[test]
    fn a_value_is_not_shown_with_its_assignment() {
        let assignments = parse("[database]\nconnection = hunter2").unwrap();
        assert!(!format!("{assignments:?}").contains("hunter2"));
    }
}
