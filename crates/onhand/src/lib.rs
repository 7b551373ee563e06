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
mod logs;
mod nodes;
pub mod output;
pub mod place;
mod runtime;
mod seal_keys;
mod service;
pub mod settings;
mod tls;
mod traces;
mod webhooks;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use cli::{Cli, Command};
use settings::Settings;

/// Runs a command line.
pub fn run(settings: Settings) -> anyhow::Result<ExitCode> {
    if let Command::Completion { shell } = settings.cli.command {
        let mut command = <Cli as clap::CommandFactory>::command();
        // Through memory: clap panics where it cannot write.
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut command, "onhand", &mut script);
        output::stdout().write_all(&script)?;
        return Ok(ExitCode::SUCCESS);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start")?;
    let logs = logs::begin(&settings.cli, runtime.handle())?;
    let done = runtime.block_on(commands::run(settings));
    logs.end();
    done
}
