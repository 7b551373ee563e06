//! The binary's parts: the command line, the runtime that drives the engine, and the commands.
//!
//! Every command but `serve` and `demo` speaks the HTTP API: of the server that holds the database file, if there
//! is one, and of itself in process if there is none. So there is one way to do a thing.

pub mod cli;
mod commands;
mod connector;
pub mod database;
mod http;
mod link;
pub mod output;
pub mod place;
mod runtime;

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use cli::{Cli, Command};

/// Runs a command line.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    init_logs(&cli);
    if let Command::Completion { shell } = cli.command {
        let mut command = <Cli as clap::CommandFactory>::command();
        // Through memory: clap panics where it cannot write.
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut command, "onhand", &mut script);
        output::stdout().write_all(&script)?;
        return Ok(ExitCode::SUCCESS);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start")?;
    runtime.block_on(commands::run(cli))
}

fn init_logs(cli: &Cli) {
    use tracing_subscriber::EnvFilter;
    // The demo draws a table: it says nothing beside it unless asked.
    let usual = if matches!(cli.command, Command::Demo(_)) { "error" } else { "info" };
    let filter = EnvFilter::try_from_env("ONHAND_LOG").unwrap_or_else(|_| EnvFilter::new(usual));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Colours are for eyes; a file or a service manager would keep their codes.
    let coloured =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
    let builder = builder.with_ansi(coloured);
    // A second subscriber can only be there in tests; the first one stays.
    let _ = if cli.log_json { builder.json().try_init() } else { builder.try_init() };
}
