//! Keeps what others say within the line of the log in which it stands.

use std::io::{self, Write};

use tracing_subscriber::fmt::MakeWriter;

/// Writes each event as one line: a control character that came with a request can neither begin a
/// line that looks like ours, nor speak to the terminal on which somebody reads it.
pub(crate) struct OneLine<M>(pub(crate) M);

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for OneLine<M> {
    type Writer = OneLineWriter<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        OneLineWriter(self.0.make_writer())
    }
}

/// The writer of one event, which comes in one piece.
pub(crate) struct OneLineWriter<W>(W);

impl<W: Write> Write for OneLineWriter<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let line = event.strip_suffix(b"\n").unwrap_or(event);
        let text = String::from_utf8_lossy(line);
        if !text.contains(char::is_control) {
            self.0.write_all(event)?;
            return Ok(event.len());
        }
        let mut safe = String::with_capacity(text.len() + 16);
        for letter in text.chars() {
            match letter.is_control() {
                true => safe.extend(letter.escape_default()),
                false => safe.push(letter),
            }
        }
        safe.push('\n');
        self.0.write_all(safe.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(event: &str) -> String {
        let mut out = Vec::new();
        OneLineWriter(&mut out).write_all(event.as_bytes()).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_event_stays_in_its_line() {
        assert_eq!(written("INFO fine é\n"), "INFO fine é\n");
        assert_eq!(
            written("INFO reason=x\r\nINFO admin logged in\u{1b}[31m\u{9b}m\n"),
            "INFO reason=x\\r\\nINFO admin logged in\\u{1b}[31m\\u{9b}m\n"
        );
    }
}
