//! JSON bodies, as every operation expects them that reads no form.

use http::{HeaderMap, header};
use serde_json::Value;

use super::BadRequest;

/// Reads a body as the JSON that operations expect; `None` when there is none.
///
/// # Errors
///
/// 400 for other kinds of bodies, and for JSON that is no object.
pub fn read_json(headers: &HeaderMap, body: &[u8]) -> Result<Option<Value>, BadRequest> {
    if body.is_empty() {
        return Ok(None);
    }
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let kind = content_type.unwrap_or("").split(';').next().unwrap_or("");
    let kind = kind.trim().to_ascii_lowercase();
    // The suffix is that of RFC 6839 §3.1.
    let is_json =
        kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"));
    if !kind.is_empty() && !is_json {
        return Err(BadRequest::expecting(
            "application/json",
            "Content-Type header",
        ));
    }
    // As Python's `json.loads` does with bytes.
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(_)) if has_wide_integer(body) => Err(BadRequest::malformed(
            "An integer in the request body has more than 64 bits.",
        )),
        Ok(value @ Value::Object(_)) => Ok(Some(value)),
        _ => Err(BadRequest::expecting("valid JSON", "request body")),
    }
}

/// Whether JSON holds an integer that the parser can only keep as a float. The reference breaks off
/// where it would have to write one.
fn has_wide_integer(json: &[u8]) -> bool {
    let mut rest = json;
    while let [first, after @ ..] = rest {
        let length = match first {
            b'"' => 1 + string_length(after),
            b'-' | b'0'..=b'9' => {
                let is_part =
                    |byte: &&u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
                let length = rest.iter().take_while(is_part).count();
                let number = std::str::from_utf8(&rest[..length]).unwrap_or_default();
                let is_whole = number.bytes().skip(1).all(|byte| byte.is_ascii_digit());
                if is_whole && number.parse::<i64>().is_err() && number.parse::<u64>().is_err() {
                    return true;
                }
                length
            }
            _ => 1,
        };
        rest = &rest[length..];
    }
    false
}

/// The length of a string behind its first quote, the last one included.
fn string_length(rest: &[u8]) -> usize {
    let mut is_escaped = false;
    let end = rest.iter().position(|byte| {
        let ends = *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        ends
    });
    end.map_or(rest.len(), |end| end + 1)
}

#[cfg(test)]
mod tests {
    use super::has_wide_integer;

    #[test]
    fn integers_have_at_most_64_bits() {
        for narrow in [
            r#"{"a": 18446744073709551615, "b": -9223372036854775808, "c": 1e400}"#,
            r#"{"a": "18446744073709551616", "b": "\"18446744073709551616", "c": "\\"}"#,
            r#"{"a": 18446744073709551616.0, "18446744073709551616": [1, -0, 0.5e-3]}"#,
        ] {
            assert!(!has_wide_integer(narrow.as_bytes()), "{narrow}");
        }
        for wide in [
            r#"{"a": 18446744073709551616}"#,
            r#"{"a": [1, {"b": -9223372036854775809}]}"#,
            r#"{"a": "\\", "b": 18446744073709551616}"#,
        ] {
            assert!(has_wide_integer(wide.as_bytes()), "{wide}");
        }
    }
}
