//! The `onhand` command.

use std::process::ExitCode;

use clap::Parser as _;

/// The committer and the HTTP workers make and drop many small things on different threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = onhand::cli::Cli::parse();
    match onhand::run(cli) {
        Ok(code) => code,
        Err(error) => {
            // One line that a person can act on; the chain of causes behind it.
            eprintln!("onhand: {error:#}");
            ExitCode::FAILURE
        }
    }
}
