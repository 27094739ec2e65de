//! Which form of an answer a client prefers (RFC 9110 §12.5.1).

/// How well a media type is accepted. Among equal qualities, the type that was named more exactly
/// is the better one.
#[derive(Debug, Default, PartialEq, PartialOrd)]
pub struct Acceptance {
    /// From 0, refused, to 1.
    pub quality: f32,
    exactness: u8,
}

/// How well a header accepts a type: what its most exact range for the type says.
pub fn acceptance(accept: &str, media_type: &str) -> Acceptance {
    let ranges = accept.split(',').filter_map(|range| {
        let (range, quality) = parse_range(range)?;
        let exactness = match range {
            exact if exact.eq_ignore_ascii_case(media_type) => 2,
            "*/*" => 0,
            any if is_family(any, media_type) => 1,
            _ => return None,
        };
        Some(Acceptance { quality, exactness })
    });
    ranges
        .max_by(|a, b| {
            a.exactness
                .cmp(&b.exactness)
                .then_with(|| a.quality.total_cmp(&b.quality))
        })
        .unwrap_or_default()
}

/// The offer of the greatest quality, the first among equals; `None` when the header accepts none.
pub fn preferred<'a>(accept: &str, offers: &[&'a str]) -> Option<&'a str> {
    let mut best = (0.0, None);
    for offer in offers {
        let quality = acceptance(accept, offer).quality;
        if quality > best.0 {
            best = (quality, Some(*offer));
        }
    }
    best.1
}

/// Whether a range is all of a family: `text/*`.
fn is_family(range: &str, media_type: &str) -> bool {
    let family = media_type.split('/').next().unwrap_or_default();
    range
        .strip_suffix("/*")
        .is_some_and(|range| range.eq_ignore_ascii_case(family))
}

/// A media range and its quality; `None` for one with other parameters, which none of our types
/// have, and for nonsense.
fn parse_range(range: &str) -> Option<(&str, f32)> {
    let mut parts = range.split(';').map(str::trim);
    let range = parts.next()?;
    let mut quality = 1.0;
    for parameter in parts {
        let (name, value) = parameter.split_once('=')?;
        if !name.eq_ignore_ascii_case("q") {
            return None;
        }
        quality = value
            .parse()
            .ok()
            .filter(|quality| (0.0..=1.0).contains(quality))?;
    }
    Some((range, quality))
}

#[cfg(test)]
mod tests {
    use super::preferred;

    const OFFERS: [&str; 3] = ["text/plain", "text/html", "application/json"];

    // Every line was put to the health check of Keystone 30.0.0.
    #[test]
    fn the_first_of_the_best_offers_is_preferred() {
        for (accept, offer) in [
            ("", None),
            ("foo/bar", None),
            ("*/*", Some("text/plain")),
            ("text/*", Some("text/plain")),
            ("application/*", Some("application/json")),
            (
                "text/html;q=0.3, application/json;q=0.9",
                Some("application/json"),
            ),
            ("text/plain;q=0, */*", Some("text/html")),
        ] {
            assert_eq!(preferred(accept, &OFFERS), offer, "{accept}");
        }
    }
}
