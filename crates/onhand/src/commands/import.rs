//! `onhand import`: a file is checked here first, so that a bad one makes no database, and then handed to the API, which
//! says what becomes of each row. What is wrong is named by line and column, on stderr and in the report.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use onhand_exchange::import::{self, Left, Plan, Reading, RowResult, What};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cli::{Import, Rules};
use crate::link::{Link, encoded};
use crate::output::say;

use super::counted;

/// So many rows that are wrong are named on stderr.
pub(super) const NAMED: usize = 20;

/// A file that was checked.
pub(crate) struct Ready<'a> {
    file: &'a PathBuf,
    what: What,
    rules: &'a Rules,
    reading: Reading,
    rows: u64,
}

pub(super) fn open(file: &Path) -> anyhow::Result<File> {
    File::open(file).with_context(|| format!("cannot read {}", file.display()))
}

/// Reads a file and checks all that can be without the ledger. Nothing is imported yet.
pub(crate) fn read(import: &Import, json: bool) -> anyhow::Result<Ready<'_>> {
    let mut reading = Reading::default();
    let (what, file, rules) = match import {
        Import::Items { file, sku_from, stock_at, rules } => {
            reading.make_skus = sku_from.is_some();
            reading.stock_at.clone_from(stock_at);
            (What::Items, file, rules)
        }
        Import::Kits { file, rules } => (What::Kits, file, rules),
        Import::Locations { file, rules } => (What::Locations, file, rules),
        Import::Stock { file, rules } => (What::Stock, file, rules),
        Import::Receipts { file, rules } => (What::Receipts, file, rules),
        Import::Orders { file, rules } => (What::Orders, file, rules),
    };
    reading.map.clone_from(&rules.map);
    let plan = import::read(what, open(file)?, &reading)
        .with_context(|| format!("{} was not imported", file.display()))?;
    say_what_is_made(&plan, json)?;
    if !plan.bad().is_empty() && !rules.skip_bad_rows && !rules.dry_run {
        plan.bad().iter().take(NAMED).for_each(|bad| eprintln!("{bad}"));
        let mut report = Report::open(rules.report.as_deref())?;
        for row in plan.without_the_ledger() {
            report.write(line(&row, false).to_string().as_bytes())?;
        }
        report.end()?;
        bail!("{}", nothing(plan.bad().len()));
    }
    Ok(Ready { file, what, rules, reading, rows: plan.rows() })
}

fn nothing(bad: usize) -> String {
    format!(
        "{} cannot be imported (the first are named above); nothing was imported. Mend the file, or import the other rows \
         with --skip-bad-rows",
        counted(bad, "row")
    )
}

/// SKUs that are made are shown before anything is.
fn say_what_is_made(plan: &Plan, json: bool) -> anyhow::Result<()> {
    if json {
        return Ok(());
    }
    for (sku, name) in plan.made_skus() {
        say(format!("{sku}  {name}"))?;
    }
    let left = plan.quantities_left();
    if left > 0 {
        say(format!("Quantities not taken: {left}. As counts they are, with `--stock-at LOCATION`."))?;
    }
    for what in plan.also() {
        let name = what.name();
        say(format!("There is more in it: `onhand import {name} FILE` takes the {name}."))?;
    }
    if !plan.left().is_empty() {
        say(format!("No place in Onhand: {}.", columns(plan.left())))?;
    }
    Ok(())
}

/// Columns that have no place here, and in how many rows there is something in them.
pub(super) fn columns(left: &[Left]) -> String {
    let columns = left.iter().map(|Left { column, rows }| format!("{column} ({})", counted(*rows, "row")));
    columns.collect::<Vec<_>>().join(", ")
}

/// A line of the report, as the API tells it.
pub(super) fn line(row: &RowResult, dry_run: bool) -> Value {
    let RowResult { line, outcome, column, problem, .. } = row;
    let mut told = json!({ "line": line, "result": outcome.name(dry_run) });
    for (name, value) in [("column", column), ("problem", problem)] {
        if let Some(value) = value {
            told[name] = json!(value);
        }
    }
    told
}

/// Where the report goes, if anywhere.
pub(super) struct Report<'a>(Option<(BufWriter<File>, &'a Path)>);

impl<'a> Report<'a> {
    pub(super) fn open(path: Option<&'a Path>) -> anyhow::Result<Self> {
        let Some(path) = path else { return Ok(Self(None)) };
        let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self(Some((BufWriter::new(file), path))))
    }

    pub(super) fn write(&mut self, line: &[u8]) -> anyhow::Result<()> {
        let Some((file, path)) = &mut self.0 else { return Ok(()) };
        let written = file.write_all(line).and_then(|()| file.write_all(b"\n"));
        written.with_context(|| format!("cannot write {}", path.display()))
    }

    pub(super) fn end(&mut self) -> anyhow::Result<()> {
        let Some((file, path)) = &mut self.0 else { return Ok(()) };
        file.flush().with_context(|| format!("cannot write {}", path.display()))
    }
}

/// A line of what the API answers: what is needed of it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Told {
    line: u64,
    result: String,
    problem: Option<String>,
    summary: Option<Summary>,
    error: Option<Value>,
}

#[derive(Clone, Copy, Default, Deserialize)]
struct Summary {
    imported: usize,
    counted: usize,
    already_there: usize,
    skipped: usize,
    left_out: usize,
    nothing_imported: bool,
}

fn path(ready: &Ready<'_>) -> String {
    let Ready { what, rules, reading, .. } = ready;
    let (dry_run, skip_bad_rows) = (rules.dry_run, rules.skip_bad_rows);
    let mut path = format!("/v1/import/{}?dry_run={dry_run}&skip_bad_rows={skip_bad_rows}", what.name());
    for (ours, theirs) in &reading.map {
        path = format!("{path}&map={}", encoded(&format!("{ours}={theirs}")));
    }
    if reading.make_skus {
        path.push_str("&sku_from=handle");
    }
    if let Some(code) = &reading.stock_at {
        path = format!("{path}&stock_at={}", encoded(code));
    }
    path
}

pub(crate) async fn run(link: &Link, ready: &Ready<'_>, json: bool) -> anyhow::Result<()> {
    let mut report = Report::open(ready.rules.report.as_deref())?;
    let (mut bad, mut named, mut summary) = (Vec::new(), 0, None);
    let bar = super::progress(json);
    bar.set_length(ready.rows);
    let read = |line: &[u8]| {
        let told: Told = serde_json::from_slice(line).context("the server answered with something else")?;
        if let Some(error) = told.error {
            bail!("it broke off: {}", error["detail"].as_str().unwrap_or("the server said no more"));
        }
        if told.summary.is_some() {
            summary = told.summary;
            return Ok(());
        }
        bar.inc(1);
        if told.result == "left_out" {
            if named < NAMED {
                named += 1;
                bar.suspend(|| {
                    eprintln!("line {}: {}", told.line, told.problem.as_deref().unwrap_or_default())
                });
            }
            if json {
                bad.push(serde_json::from_slice::<Value>(line)?);
            }
        }
        report.write(line)
    };
    let sent = link.send_file(&path(ready), open(ready.file)?, ready.rules.key.as_deref(), read).await;
    bar.finish_and_clear();
    report.end()?;
    sent.with_context(|| format!("{} was not imported whole", ready.file.display()))?;
    let summary = summary.context("the answer ended before its end; run it again")?;
    if summary.nothing_imported {
        bail!("{}", nothing(summary.left_out));
    }
    tell(ready, summary, bad, json)
}

fn tell(ready: &Ready<'_>, summary: Summary, bad: Vec<Value>, json: bool) -> anyhow::Result<()> {
    let Summary { imported, counted: taken, already_there, skipped, left_out, .. } = summary;
    let dry_run = ready.rules.dry_run;
    if json {
        let mut told = json!({ "imported": imported, "counted": taken, "bad": bad, "dry_run": dry_run });
        told["already_there"] = json!(already_there);
        told["skipped"] = json!(skipped);
        return Ok(say(told)?);
    }
    let number = counted(imported, ready.what.one());
    let mut parts =
        vec![if dry_run { format!("{number} would be imported") } else { format!("{number} imported") }];
    if ready.what == What::Items && !dry_run {
        parts.push(format!("{taken} counted"));
    }
    for (number, what) in [(already_there, "there already"), (skipped, "skipped")] {
        if number > 0 {
            parts.push(format!("{number} {what}"));
        }
    }
    parts.push(format!("{} left out", counted(left_out, "row")));
    let end = if dry_run { "; nothing was done." } else { "." };
    Ok(say(format!("{}{end}", parts.join(", ")))?)
}
