//! What a worker that makes no samples says of how far it is: lines of `progress.jsonl` with `done` and `total`. A hint for
//! screens; whether the work is done, the exit status and the files say.

use serde::Deserialize;

/// The latest that was said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
pub struct Reported {
    /// Steps or items done.
    pub done: u64,
    /// Of how many.
    pub total: u64,
}

/// A longer line is none of ours.
const LONGEST: usize = 64 << 10;

/// Lines, as they come in pieces.
#[derive(Default)]
pub struct ReportReader {
    line: Vec<u8>,
    latest: Option<Reported>,
}

impl ReportReader {
    /// Takes what was read.
    pub fn feed(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.line.len() + piece.len() <= LONGEST {
                self.line.extend_from_slice(piece);
            }
            if piece.ends_with(b"\n") {
                if let Ok(said) = serde_json::from_slice(&self.line) {
                    self.latest = Some(said);
                }
                self.line.clear();
            }
        }
    }

    /// The latest whole line that says how far it is.
    pub fn latest(&self) -> Option<Reported> {
        self.latest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_in_pieces_and_lines_about_other_things() {
        let mut reader = ReportReader::default();
        reader.feed(b"{\"stage\":\"train\",\"done\":3,\"to");
        assert_eq!(reader.latest(), None);
        reader.feed(b"tal\":9,\"loss\":1.5}\n{\"step\":3,\"eval_loss\":2}\nnoise\n{\"done\":-1,\"total\":9}\n");
        assert_eq!(reader.latest(), Some(Reported { done: 3, total: 9 }));
        reader.feed(&vec![b'x'; LONGEST + 1]);
        reader.feed(b"\n{\"done\":4,\"total\":9}\n{\"done\":5");
        assert_eq!(reader.latest(), Some(Reported { done: 4, total: 9 }));
    }
}
