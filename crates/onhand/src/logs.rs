//! Logs to standard error, and traces to a collector where one is named.
//!
//! What a log line has beside its words are fields, in JSON too. No secret is among them: addresses are logged without
//! their query, and what other crates would say of the bodies they carry is cut off, whatever is asked for.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{FilterExt as _, Targets, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt};

use crate::cli::{Cli, Command, LogFormat};
use crate::traces::{self, Traces};

/// Where spans for traces are: they are no part of the log, which has its own.
const TRACED: &str = "onhand_web::trace";
/// Crates that tell, below `info`, of the very bytes they carry: passwords and parameters of statements, headers.
const TALKATIVE: [&str; 6] = ["tokio_postgres", "hyper", "hyper_util", "reqwest", "h2", "rustls"];

/// What was begun, to be ended once all is done.
pub(crate) struct Logs {
    traces: Option<Traces>,
}

impl Logs {
    /// Sends what is left of the traces. Waits for the collector, for a while.
    pub fn end(self) {
        if let Some(traces) = self.traces {
            traces.end();
        }
    }
}

/// Begins to log. Traces are sent by tasks of the runtime.
pub(crate) fn begin(cli: &Cli, runtime: &tokio::runtime::Handle) -> anyhow::Result<Logs> {
    let endpoint = match &cli.command {
        Command::Serve(serve) if !serve.check => Some(serve.otlp_endpoint.as_deref()),
        _ => None,
    };
    let wanted = endpoint.filter(|endpoint| traces::are_wanted(*endpoint));
    let traces = wanted.map(|endpoint| Traces::begin(endpoint, runtime)).transpose()?;
    let traced = traces
        .as_ref()
        .map(|traces| traces.layer().with_filter(Targets::new().with_target(TRACED, Level::INFO)));
    // Colours are for eyes; a file or a service manager would keep their codes.
    let coloured =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(coloured);
    let lines = match cli.log_format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
    };
    let lines = lines.with_filter(filter(cli)?.and(filter_fn(is_tellable)));
    let registry = tracing_subscriber::registry().with(traced).with(lines);
    // A second subscriber can only be there in tests; the first one stays.
    let _ = registry.try_init();
    Ok(Logs { traces })
}

fn filter(cli: &Cli) -> anyhow::Result<EnvFilter> {
    // The demo draws a table: it says nothing beside it unless asked.
    let usual = if matches!(cli.command, Command::Demo(_)) { "error" } else { "info" };
    EnvFilter::builder().parse(cli.log.as_deref().unwrap_or(usual)).context("the filter of the log")
}

/// May it be logged, if it is asked for?
fn is_tellable(of: &Metadata<'_>) -> bool {
    let is_in = |name: &&str| {
        of.target().strip_prefix(*name).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    of.target() != TRACED && (*of.level() <= Level::INFO || !TALKATIVE.iter().any(is_in))
}
