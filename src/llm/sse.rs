//! Server-sent events out of bytes that are cut anywhere: inside a character, a line, a field's name.

/// The longest event that is taken, in bytes.
const MAX_EVENT: usize = 8 << 20;

/// Takes bytes, gives the data of whole events. Comments and fields other than `data` are passed over.
#[derive(Debug, Default)]
pub struct Events {
    line: Vec<u8>,
    data: String,
    /// The last byte was a carriage return: a line feed behind it belongs to it.
    after_return: bool,
    begun: bool,
}

impl Events {
    /// Takes the next bytes and adds the events that end in them to `out`.
    ///
    /// # Errors
    /// An event that has no end.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<String>) -> Result<(), String> {
        for &byte in bytes {
            let skipped = byte == b'\n' && self.after_return;
            self.after_return = byte == b'\r';
            match byte {
                b'\n' if skipped => {}
                b'\n' | b'\r' => self.end_line(out),
                _ => self.line.push(byte),
            }
            if self.line.len() + self.data.len() > MAX_EVENT {
                return Err(format!(
                    "an event of the stream is longer than {MAX_EVENT} bytes"
                ));
            }
        }
        Ok(())
    }

    /// The stream is over: what was not ended is an event nevertheless, since servers forget the last empty line.
    pub fn end(&mut self, out: &mut Vec<String>) {
        if !self.line.is_empty() {
            self.end_line(out);
        }
        self.dispatch(out);
    }

    fn end_line(&mut self, out: &mut Vec<String>) {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            return self.dispatch(out);
        }
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_start_matches('\u{feff}');
        let Some(value) = line.strip_prefix("data:") else {
            return;
        };
        let value = value.strip_prefix(' ').unwrap_or(value);
        // Some servers leave out the empty line between events. One event's JSON never begins anew on its second line.
        let anew = value.starts_with('{') || value == "[DONE]";
        if self.begun && anew && complete(&self.data) {
            self.dispatch(out);
        }
        if self.begun {
            self.data.push('\n');
        }
        self.data.push_str(value);
        self.begun = true;
    }

    fn dispatch(&mut self, out: &mut Vec<String>) {
        if std::mem::take(&mut self.begun) {
            out.push(std::mem::take(&mut self.data));
        }
    }
}

fn complete(data: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(data).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = ": keep-alive\n\ndata: {\"a\":\"é日\"}\r\n\r\nevent: x\ndata:{\"b\":\ndata: 1}\n\n:\ndata: {\"c\":1}\ndata: {\"d\":1}\rdata: [DONE]";
    const EVENTS: [&str; 5] = [
        "{\"a\":\"é日\"}",
        "{\"b\":\n1}",
        "{\"c\":1}",
        "{\"d\":1}",
        "[DONE]",
    ];

    fn events(pieces: &[&[u8]]) -> Vec<String> {
        let (mut events, mut out) = (Events::default(), Vec::new());
        for piece in pieces {
            events.feed(piece, &mut out).unwrap();
        }
        events.end(&mut out);
        out
    }

    #[test]
    fn events_do_not_depend_on_where_the_bytes_are_cut() {
        let bytes = STREAM.as_bytes();
        assert_eq!(events(&[bytes]), EVENTS);
        for first in 0..bytes.len() {
            for second in first..bytes.len() {
                assert_eq!(
                    events(&[&bytes[..first], &bytes[first..second], &bytes[second..]]),
                    EVENTS
                );
            }
        }
    }

    #[test]
    fn an_endless_event_is_an_error() {
        let (mut events, mut out) = (Events::default(), Vec::new());
        let piece = vec![b'x'; 1 << 20];
        assert!((0..9).any(|_| events.feed(&piece, &mut out).is_err()));
        assert!(out.is_empty());
    }
}
