//! How Python shows text and numbers: Keystone's answers and mappings contain them.

/// Appends Python's `repr(text)`.
pub fn push_repr(text: &str, out: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str(r"\\"),
            '\n' => out.push_str(r"\n"),
            '\r' => out.push_str(r"\r"),
            '\t' => out.push_str(r"\t"),
            c if c == quote => out.extend(['\\', c]),
            c if is_printable(c) => out.push(c),
            c => match u32::from(c) {
                code @ ..=0xFF => out.push_str(&format!("\\x{code:02x}")),
                code @ ..=0xFFFF => out.push_str(&format!("\\u{code:04x}")),
                code => out.push_str(&format!("\\U{code:08x}")),
            },
        }
    }
    out.push(quote);
}

/// What Python's `str.isprintable` means: no controls, no separators but the space, no code points
/// without a character.
fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return !c.is_ascii_control();
    }
    // Rust escapes by the same rule, in debug output, where combining characters are not first.
    let mut buffer = [b' '; 5];
    let length = 1 + c.encode_utf8(&mut buffer[1..]).len();
    let text = std::str::from_utf8(&buffer[..length]).expect("a space and a character are UTF-8");
    text.escape_debug().count() == 2
}

/// The shortest digits that give the same float, in Python's layout.
pub fn repr_float(float: f64) -> String {
    let scientific = format!("{float:e}");
    let (digits, exponent) = scientific
        .split_once('e')
        .expect("this format always has an exponent");
    match exponent.parse() {
        Ok(-4..16) => {
            let plain = float.to_string();
            if plain.contains('.') {
                plain
            } else {
                plain + ".0"
            }
        }
        Ok(exponent @ i32::MIN..0) => format!("{digits}e-{:02}", -exponent),
        _ => format!("{digits}e+{exponent}"),
    }
}
