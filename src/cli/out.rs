//! stdout and stderr. Nothing here panics: a reader that has gone is no failure of the writer, a full disk is one and is
//! said, and what cannot be said on stderr cannot be said at all. Every word of the command line goes through here.

use super::fail::{Fail, USAGE};
use crate::control::api::ErrorView;
use clap::{Command, Parser};
use clap_complete::Shell;
use serde::Serialize;
use std::{
    io::{self, ErrorKind, Write},
    process::ExitCode,
    thread,
    time::Duration,
};

/// The status of an answer that could not be written.
const UNWRITTEN: u8 = 1;
/// Between two tries on a stream that somebody else has made non-blocking, and that is full.
const TICK: Duration = Duration::from_millis(1);

/// Writes text to stdout, at once; whether anybody still reads. `list | head -1` is no failure: whoever has read enough
/// hangs up, and the verb ends with the status of what it did, as those do that let a pipe's signal pass unheard.
///
/// # Errors
/// stdout takes no more, for another reason than that its reader has gone.
pub fn print(text: &str) -> Result<bool, Fail> {
    settle(write(&mut io::stdout().lock(), text.as_bytes()))
}

/// [`print()`] and a line's end.
pub fn line(text: &str) -> Result<bool, Fail> {
    print(&format!("{text}\n"))
}

/// [`line()`] of one JSON value.
pub fn json(value: &impl Serialize) -> Result<bool, Fail> {
    let text = serde_json::to_string(value);
    line(&text.map_err(|error| unwritten(&error.into()))?)
}

/// What is typed; without it the status to end with, and help, version or what is wrong with it said.
pub fn parse<T: Parser>() -> Result<T, ExitCode> {
    T::try_parse().map_err(|typed| {
        let text = typed.render().to_string();
        if typed.use_stderr() {
            prompt(&text);
        } else if let Err(fail) = print(&text) {
            return fail.tell(false);
        }
        u8::try_from(typed.exit_code()).unwrap_or(USAGE).into()
    })
}

/// Completions of a command for a shell.
pub fn completions(shell: Shell, mut command: Command) -> Result<u8, Fail> {
    let name = command.get_name().to_string();
    // Into memory first: the generator panics where its words are not taken.
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut text);
    print(&String::from_utf8_lossy(&text))?;
    Ok(0)
}

/// A line on stderr.
pub fn note(text: &str) {
    prompt(&format!("{text}\n"));
}

/// Text on stderr, as it is.
pub fn prompt(text: &str) {
    // There is nowhere left to say that this could not be said.
    let _ = write(&mut io::stderr().lock(), text.as_bytes());
}

fn settle(written: io::Result<()>) -> Result<bool, Fail> {
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(unwritten(&error)),
    }
}

fn unwritten(error: &io::Error) -> Fail {
    Fail(vec![ErrorView {
        kind: "stdout".into(),
        message: format!("stdout cannot be written: {error}"),
        exit_status: UNWRITTEN,
        ..ErrorView::default()
    }])
}

fn write(stream: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match patiently(|| stream.write(bytes))? {
            0 => return Err(ErrorKind::WriteZero.into()),
            n => bytes = &bytes[n..],
        }
    }
    patiently(|| stream.flush())
}

fn patiently<T>(mut step: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match step() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(TICK),
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes a byte at a time, and says something else before each.
    struct Fussy {
        taken: Vec<u8>,
        moods: Vec<ErrorKind>,
    }

    impl Write for Fussy {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if let Some(mood) = self.moods.pop() {
                return Err(mood.into());
            }
            self.taken.push(bytes[0]);
            Ok(1)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn fussy(moods: &[ErrorKind]) -> (Vec<u8>, Result<bool, Fail>) {
        let mut stream = Fussy {
            taken: Vec::new(),
            moods: moods.to_vec(),
        };
        let written = write(&mut stream, b"abc");
        (stream.taken, settle(written))
    }

    #[test]
    fn a_busy_stream_is_waited_for_and_gets_everything_once() {
        let moods = [ErrorKind::WouldBlock, ErrorKind::Interrupted];
        assert_eq!(fussy(&moods), (b"abc".to_vec(), Ok(true)));
    }

    #[test]
    fn a_reader_that_has_gone_is_no_failure_and_a_full_disk_is_one() {
        assert_eq!(fussy(&[ErrorKind::BrokenPipe]).1, Ok(false));
        let Err(Fail(errors)) = fussy(&[ErrorKind::StorageFull]).1 else {
            panic!("a full disk passes");
        };
        assert!(errors[0].message.starts_with("stdout cannot be written: "));
        assert_eq!(errors[0].exit_status, 1);
    }
}
