//! `onhand move-in`: several exports of another system as one import. They are checked here first, so that bad ones make no
//! database, and go to the API together, in an archive. What it says of each row becomes a report that a person reads: what went
//! in, what did not and why, and what has no place here.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use onhand_exchange::import::Left;
use onhand_exchange::import::move_in::{self, MoveIn};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cli::MoveIn as Asked;
use crate::link::Link;
use crate::output::say;

use super::counted;
use super::import::{NAMED, Report, columns, line, open};

/// So many lines that say the same are named.
const LINES: usize = 10;

/// Files that were checked.
pub(crate) struct Ready<'a> {
    asked: &'a Asked,
    archive: File,
    key: String,
    files: Vec<Moved>,
}

/// A file, and what becomes of it.
#[derive(Clone, Debug, Default)]
struct Moved {
    name: String,
    kind: &'static str,
    left: Vec<Left>,
    /// Locations that are made where they are not there.
    places: Vec<String>,
    /// What went in, by what it is.
    parts: Vec<(What, Summary)>,
    skipped: Vec<Row>,
    left_out: Vec<Row>,
    /// Rows that went in, and not as they are there.
    said: Vec<Row>,
}

/// What is imported, as the API names it, and one of them in a word.
type What = (String, &'static str);

#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct Summary {
    imported: usize,
    already_there: usize,
    #[serde(default)]
    nothing_imported: bool,
}

/// A row that is told of.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Row {
    file: Option<String>,
    what: Option<String>,
    line: u64,
    result: String,
    column: Option<String>,
    problem: Option<String>,
    summary: Option<Summary>,
    error: Option<Value>,
}

fn name(file: &Path) -> String {
    file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned()
}

/// Reads files and checks all that can be without the ledger. Where rows are bad and the others shall not go in without them, that
/// is told, and it is done.
pub(crate) fn read(asked: &Asked, json: bool) -> anyhow::Result<Result<Ready<'_>, ExitCode>> {
    let opened = asked.files.iter().map(|file| Ok((name(file), open(file)?)));
    let opened: Vec<_> = opened.collect::<anyhow::Result<_>>()?;
    let mut archive = tempfile::tempfile().context("no room for the files")?;
    move_in::pack(opened, &mut archive).context("the files cannot be read")?;
    archive.rewind()?;
    let read = move_in::unpack(&archive).and_then(move_in::read).context("nothing was moved in")?;
    archive.rewind()?;
    let mut files = files(&read);
    if read.bad() > 0 && !asked.skip_bad_rows && !asked.dry_run {
        let mut report = Report::open(asked.report.as_deref())?;
        for (place, plan) in read.plans().iter().enumerate() {
            let file = &mut files[read.file_of(place)];
            for row in plan.without_the_ledger() {
                let mut told = line(&row, false);
                (told["file"], told["what"]) = (json!(file.name), json!(plan.what().name()));
                report.write(told.to_string().as_bytes())?;
                file.take(serde_json::from_value(told)?);
            }
        }
        report.end()?;
        return tell(asked, &mut files, true, json).map(Err);
    }
    let key = match &asked.key {
        Some(key) => key.clone(),
        None => key_of(&asked.files)?,
    };
    Ok(Ok(Ready { asked, archive, key, files }))
}

/// The same files have the same key, whatever they are called and in whichever order they come.
fn key_of(files: &[PathBuf]) -> anyhow::Result<String> {
    let hashes = files.iter().map(|file| {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(open(file)?)?;
        Ok(hasher.finalize())
    });
    let mut hashes: Vec<[u8; 32]> = hashes.map(|hash| hash.map(Into::into)).collect::<anyhow::Result<_>>()?;
    hashes.sort_unstable();
    Ok(format!("move-in:{}", blake3::hash(&hashes.concat()).to_hex()))
}

fn files(read: &MoveIn) -> Vec<Moved> {
    let files = read.files().iter().map(|file| Moved {
        name: file.name.clone(),
        kind: file.kind,
        left: file.left.clone(),
        ..Moved::default()
    });
    let mut files: Vec<Moved> = files.collect();
    for (place, plan) in read.plans().iter().enumerate() {
        let file = &mut files[read.file_of(place)];
        file.places.extend_from_slice(plan.places());
        file.parts.push(((plan.what().name().to_owned(), plan.what().one()), Summary::default()));
    }
    files
}

impl Moved {
    /// Keeps what is said of a row.
    fn take(&mut self, row: Row) {
        match row.result.as_str() {
            "left_out" => self.left_out.push(row),
            "skipped" => self.skipped.push(row),
            _ if row.problem.is_some() => self.said.push(row),
            _ => {}
        }
    }
}

pub(crate) async fn run(link: &Link, ready: &Ready<'_>, json: bool) -> anyhow::Result<ExitCode> {
    let Ready { asked, archive, key, files } = ready;
    let mut files = files.clone();
    let places: BTreeMap<String, usize> =
        files.iter().enumerate().map(|(place, file)| (file.name.clone(), place)).collect();
    let mut report = Report::open(asked.report.as_deref())?;
    let mut last = None;
    let read = |line: &[u8]| {
        let row: Row = serde_json::from_slice(line).context("the server answered with something else")?;
        if let Some(error) = row.error {
            bail!(
                "it broke off: {}; run it again",
                error["detail"].as_str().unwrap_or("the server said no more")
            );
        }
        let file = row.file.as_ref().and_then(|name| places.get(name)).map(|place| &mut files[*place]);
        match (row.summary, file) {
            (Some(summary), None) => last = Some(summary),
            (Some(summary), Some(file)) => {
                let of = row.what.as_deref().unwrap_or_default();
                file.parts
                    .iter_mut()
                    .filter(|((what, _), _)| what == of)
                    .for_each(|(_, known)| *known = summary);
            }
            (None, Some(file)) => {
                report.write(line)?;
                file.take(row);
            }
            (None, None) => bail!("the server answered of a file that was not sent"),
        }
        Ok(())
    };
    let (dry_run, skip_bad_rows) = (asked.dry_run, asked.skip_bad_rows);
    let path = format!("/v1/import/move-in?dry_run={dry_run}&skip_bad_rows={skip_bad_rows}");
    let sent = link.send_file(&path, archive.try_clone()?, Some(key), read).await;
    report.end()?;
    sent.context("not all was moved in")?;
    let last = last.context("the answer ended before its end; run it again")?;
    tell(asked, &mut files, last.nothing_imported, json)
}

/// A row that is wrong is so for the items of a file and for its stock: it is said once.
fn once(rows: &[Row]) -> Vec<Row> {
    let mut rows = rows.to_vec();
    rows.sort_by_key(|row| row.line);
    rows.dedup_by(|row, before| (row.line, &row.problem) == (before.line, &before.problem));
    rows
}

/// Prints the report. What was not moved in for want of good rows ends as what went wrong does.
fn tell(asked: &Asked, files: &mut [Moved], nothing: bool, json: bool) -> anyhow::Result<ExitCode> {
    let dry_run = asked.dry_run;
    for file in files.iter_mut() {
        for rows in [&mut file.skipped, &mut file.left_out, &mut file.said] {
            *rows = once(rows);
        }
    }
    if json {
        let files: Vec<Value> = files.iter().map(Moved::json).collect();
        say(json!({ "files": files, "dry_run": dry_run, "nothing_imported": nothing }))?;
    } else {
        for file in files.iter() {
            file.tell(dry_run, nothing)?;
        }
        let bad: usize = files.iter().map(|file| file.left_out.len()).sum();
        say(end(asked, files, bad, nothing))?;
    }
    Ok(if nothing { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What all of it comes to.
fn end(asked: &Asked, files: &[Moved], bad: usize, nothing: bool) -> String {
    let again = files.iter().flat_map(|file| &file.parts).any(|(_, part)| part.already_there > 0);
    match (nothing, asked.dry_run) {
        (true, _) => format!(
            "Nothing was imported: {} cannot be. Mend the files, or import the other rows with --skip-bad-rows.",
            counted(bad, "row")
        ),
        (false, true) => "This was a dry run: nothing was done.".to_owned(),
        (false, false) if again => {
            "These files were moved in before. To import them again, as counts of now, give another --key."
                .to_owned()
        }
        (false, false) => "Moved in. See that it is right: `onhand export stock`.".to_owned(),
    }
}

impl Moved {
    fn tell(&self, dry_run: bool, nothing: bool) -> std::io::Result<()> {
        let out = &mut crate::output::stdout();
        writeln!(out, "{}: {}", self.name, self.kind)?;
        if !nothing {
            writeln!(out, "  {}", self.went_in(dry_run))?;
        }
        if !self.places.is_empty() && !nothing {
            writeln!(out, "  Locations, made where they are not there: {}", self.places.join(", "))?;
        }
        for (why, lines) in by_reason(&self.skipped) {
            writeln!(out, "  {} not taken, {}: {why}", counted(lines.len(), "row"), some(&lines))?;
        }
        for row in self.said.iter().take(NAMED) {
            writeln!(out, "  line {}: {}", row.line, row.problem.as_deref().unwrap_or_default())?;
        }
        more(out, self.said.len())?;
        if !self.left_out.is_empty() {
            writeln!(out, "  {} cannot be imported:", counted(self.left_out.len(), "row"))?;
        }
        for row in self.left_out.iter().take(NAMED) {
            writeln!(out, "    line {}: {}", row.line, row.problem.as_deref().unwrap_or_default())?;
        }
        more(out, self.left_out.len())?;
        if !self.left.is_empty() {
            writeln!(out, "  No place in Onhand: {}", columns(&self.left))?;
        }
        out.flush()
    }

    fn went_in(&self, dry_run: bool) -> String {
        let parts = self.parts.iter().map(|((_, one), part)| counted(part.imported, one));
        let imported = if dry_run { "would be imported" } else { "imported" };
        let number = parts.collect::<Vec<_>>().join(" and ");
        let there: usize = self.parts.iter().map(|(_, part)| part.already_there).sum();
        let there = if there > 0 { format!(", {there} there already") } else { String::new() };
        format!("{number} {imported}{there}")
    }

    fn json(&self) -> Value {
        let rows = |rows: &[Row]| rows.iter().map(Row::json).collect::<Vec<_>>();
        let parts = self.parts.iter().map(|((what, _), part)| {
            json!({ "what": what, "imported": part.imported, "already_there": part.already_there })
        });
        let left = self.left.iter().map(|left| json!({ "column": left.column, "rows": left.rows }));
        json!({
            "file": self.name,
            "kind": self.kind,
            "parts": parts.collect::<Vec<_>>(),
            "locations": self.places,
            "skipped": rows(&self.skipped),
            "changed": rows(&self.said),
            "left_out": rows(&self.left_out),
            "no_place": left.collect::<Vec<_>>(),
        })
    }
}

impl Row {
    fn json(&self) -> Value {
        json!({ "what": self.what, "line": self.line, "column": self.column, "problem": self.problem })
    }
}

/// Rows of which the same is said.
fn by_reason(rows: &[Row]) -> BTreeMap<&str, Vec<u64>> {
    let mut reasons = BTreeMap::<&str, Vec<u64>>::new();
    for row in rows {
        reasons.entry(row.problem.as_deref().unwrap_or_default()).or_default().push(row.line);
    }
    reasons
}

/// `line 3`, `lines 3, 5 and 7`, `lines 1, 2, … and 90 more`.
fn some(lines: &[u64]) -> String {
    let named = lines.iter().take(LINES).map(u64::to_string).collect::<Vec<_>>().join(", ");
    let word = if lines.len() == 1 { "line" } else { "lines" };
    match lines.len().saturating_sub(LINES) {
        0 => format!("{word} {named}"),
        rest => format!("{word} {named} and {rest} more"),
    }
}

fn more(out: &mut impl std::io::Write, number: usize) -> std::io::Result<()> {
    match number.saturating_sub(NAMED) {
        0 => Ok(()),
        rest => writeln!(out, "    and {rest} more; --report FILE has them all"),
    }
}
