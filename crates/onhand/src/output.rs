//! What the program says on standard output, and how it ends when something went wrong.
//!
//! The reader may go before the end (`onhand export log | head`). That is no fault of anybody: the program ends
//! quietly then, as others in a pipe do. `println!` would panic.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use serde_json::json;

/// As a shell reports a program that ended by SIGPIPE: whoever asks learns that not all was written.
const READER_GONE: u8 = 128 + 13;

/// Nobody reads standard output any more; told from every other broken pipe, such as a server's.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads the output any more")]
struct ReaderGone;

struct Stdout(io::Stdout);

/// Standard output.
pub(crate) fn stdout() -> impl Write {
    Stdout(io::stdout())
}

fn marked(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::BrokenPipe { io::Error::new(error.kind(), ReaderGone) } else { error }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(marked)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(marked)
    }
}

/// A line on standard output.
pub(crate) fn say(line: impl Display) -> io::Result<()> {
    writeln!(stdout(), "{line}")
}

fn is_reader_gone(error: &anyhow::Error) -> bool {
    let is_it = |cause: &(dyn std::error::Error + 'static)| {
        let written = match cause.downcast_ref::<csv::Error>().map(csv::Error::kind) {
            Some(csv::ErrorKind::Io(written)) => Some(written),
            _ => cause.downcast_ref::<io::Error>(),
        };
        let inner = written.and_then(io::Error::get_ref);
        inner.and_then(|inner| inner.downcast_ref::<ReaderGone>()).is_some()
    };
    error.chain().any(is_it)
}

/// Says what went wrong: one line that a person can act on, the chain of causes behind it; one object too for a
/// program that reads JSON.
pub fn fail(error: &anyhow::Error, json: bool) -> ExitCode {
    if is_reader_gone(error) {
        return ExitCode::from(READER_GONE);
    }
    // Where these two cannot be written either, the exit code still tells.
    let _ = writeln!(io::stderr(), "onhand: {error:#}");
    if json {
        let _ = say(json!({ "error": format!("{error:#}") }));
    }
    ExitCode::FAILURE
}

/// What was typed is not understood, or not yet: whether JSON is wanted can only be looked for.
pub fn is_json_wanted() -> bool {
    std::env::args_os().any(|word| word == "--json")
}

/// Ends the program over words that are no command; `--help` and `--version` come here too.
pub fn refuse_words(error: &clap::Error) -> ! {
    if error.use_stderr() && is_json_wanted() {
        let _ = error.print();
        let _ = say(json!({ "error": error.render().to_string().trim_end() }));
        std::process::exit(error.exit_code());
    }
    error.exit()
}
