//! The `onhand` command.

use std::ffi::OsString;
use std::process::ExitCode;

use onhand::output;
use onhand::settings::{self, Refused};

/// The committer and the HTTP workers make and drop many small things on different threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    let settings = match settings::read(&words) {
        Ok(settings) => settings,
        Err(Refused::Words(error)) => output::refuse_words(&error),
        Err(Refused::File(error)) => return output::fail(&error, output::is_json_wanted()),
    };
    let json = settings.cli.json;
    onhand::run(settings).unwrap_or_else(|error| output::fail(&error, json))
}
