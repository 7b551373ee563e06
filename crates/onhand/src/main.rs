//! The `onhand` command.

use std::process::ExitCode;

use clap::Parser as _;
use onhand::cli::Cli;

/// The committer and the HTTP workers make and drop many small things on different threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|error| onhand::output::refuse_words(&error));
    let json = cli.json;
    onhand::run(cli).unwrap_or_else(|error| onhand::output::fail(&error, json))
}
