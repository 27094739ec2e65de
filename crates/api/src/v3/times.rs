//! Times as clients write them.

use auth::error::ApiError;
use chrono::{DateTime, Datelike as _, NaiveDate, NaiveDateTime, NaiveTime, SubsecRound as _};
use model::Timestamp;

/// Reads a time as Keystone does: ISO 8601 with a `T` or a blank, in UTC unless it names a zone,
/// cut to microseconds.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    let text = text.replacen(' ', "T", 1);
    let forms = [
        ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f%#z"),
        ("%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M%#z"),
        ("%Y%m%dT%H%M%S%.f", "%Y%m%dT%H%M%S%.f%#z"),
    ];
    let with_time = forms.iter().find_map(|(utc, zoned)| {
        let utc = NaiveDateTime::parse_from_str(&text, utc).map(|time| time.and_utc());
        utc.or_else(|_| DateTime::parse_from_str(&text, zoned).map(|time| time.to_utc()))
            .ok()
    });
    let date = || NaiveDate::parse_from_str(&text, "%Y-%m-%d").ok();
    with_time
        .or_else(|| Some(date()?.and_time(NaiveTime::MIN).and_utc()))
        .filter(|time| (1..=9999).contains(&time.year()))
        .map(|time| time.trunc_subsecs(6))
}

/// Reads when something is to end: a time in UTC, with or without the `Z`.
///
/// # Errors
///
/// 400 for another form, and for a time that is over.
pub(crate) fn parse_expiry(text: &str, now: Timestamp) -> Result<Timestamp, ApiError> {
    let time = parse(&format!("{}Z", text.strip_suffix('Z').unwrap_or(text)))
        .ok_or_else(|| ApiError::malformed("Timestamp not in expected format."))?;
    if time < now {
        return Err(ApiError::malformed(
            "The 'expires_at' must not be before now.",
        ));
    }
    Ok(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_form_that_clients_use() {
        let expected: Timestamp = "2099-01-02T03:04:05Z".parse().unwrap();
        for text in [
            "2099-01-02T03:04:05Z",
            "2099-01-02T03:04:05",
            "2099-01-02 03:04:05",
            "2099-01-02T03:04:05.000000Z",
            "2099-01-02T03:04:05.0000009",
            "2099-01-02T05:04:05+02:00",
            "2099-01-02T05:04:05+0200",
            "2099-01-02T05:04:05+02",
            "20990102T030405Z",
        ] {
            assert_eq!(parse(text), Some(expected), "{text}");
        }
        assert_eq!(
            parse("2099-01-02T03:04Z"),
            "2099-01-02T03:04:00Z".parse().ok()
        );
        assert_eq!(parse("2099-01-02"), "2099-01-02T00:00:00Z".parse().ok());
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "Z",
            "yesterday",
            "2099-13-01",
            "2099-01-02Z",
            "99999-01-01T00:00:00Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn an_end_is_in_utc_and_not_over() {
        let now: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        assert_eq!(parse_expiry("2026-01-01T12:00:00", now).unwrap(), now);
        for text in [
            "2026-01-01T11:59:59",
            "2099-01-01",
            "2099-01-01T00:00:00+02:00",
            "",
        ] {
            assert!(parse_expiry(text, now).is_err(), "{text}");
        }
    }
}
