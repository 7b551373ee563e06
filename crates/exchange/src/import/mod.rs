//! `onhand import`: items, stock and orders from CSV or XLSX, with columns named as the user says.
//!
//! The file is read whole and checked before anything is imported: nothing of it is, or exactly the good rows, as was
//! chosen. Each row that is not is named by line and column, on stderr and in the report. Rows that are left out of a
//! file stay as they are.

mod items;
mod orders;
mod stock;
mod table;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use onhand_ledger::command::{Line, PutLocation, TakeCount};
use onhand_ledger::{Body, Command, Quantity};
use reqwest::Method;
use serde_json::json;

use crate::cli::{Import, Rules, SkuFrom};
use crate::link::{Link, segment};
use crate::output::say;

use super::counted;
use items::{Row, Rows};
use table::{Bad, Table};

/// What one command is made of.
#[derive(Debug)]
struct Task {
    /// The rows it is made of.
    lines: Vec<u64>,
    /// What they name, row by row: known before anything is imported.
    skus: Vec<(u64, String)>,
    location: Option<String>,
    body: Body,
}

/// What is ready to be imported.
pub(crate) struct Ready<'a> {
    what: &'static str,
    tasks: Vec<Task>,
    bad: Vec<Bad>,
    rules: &'a Rules,
    /// Of a Shopify export: where its quantities are counted, and these.
    stock_at: Option<PutLocation>,
    quantities: Vec<(String, i64)>,
}

/// Refuses a header that lacks a column, or has one that is not known.
fn check_header(table: &Table, own: &[&str], needed: &[&str], also: &str) -> anyhow::Result<()> {
    for needed in needed {
        if !table.header.iter().any(|name| name == needed) {
            bail!(
                "line 1: no column is called `{needed}`{}. Onhand's own columns are {}{also}",
                likely_cause(&table.header, own),
                own.join(", ")
            );
        }
    }
    if table.mapped {
        return Ok(());
    }
    if let Some(unknown) = table.header.iter().find(|name| !own.contains(&name.as_str())) {
        let cause = likely_cause(&table.header, own);
        bail!(
            "line 1: the column `{unknown}` is not known{cause}; these are: {}. With `--map OURS=THEIRS` others are left alone",
            own.join(", ")
        );
    }
    Ok(())
}

/// What most likely went wrong with a header; nothing where it is not known.
fn likely_cause(header: &[String], own: &[&str]) -> String {
    let separator = [(';', "semicolon"), ('\t', "tab"), ('|', "bar")].into_iter().find(|(separator, _)| {
        matches!(header, [only] if only.split(*separator).any(|name| name.trim().eq_ignore_ascii_case("sku")))
    });
    if let Some((_, name)) = separator {
        return format!(": the separator must be a comma, and here it is a {name}");
    }
    let lower: Vec<String> = header.iter().map(|name| name.trim().to_lowercase()).collect();
    if *header != lower && lower.iter().any(|name| own.contains(&name.as_str())) {
        let meant: Vec<&str> = lower.iter().map(String::as_str).filter(|name| own.contains(name)).collect();
        return format!(": columns are lower case without spaces around: {}", meant.join(", "));
    }
    String::new()
}

fn command(body: Body) -> Command {
    Command::keyed(None, "import", body)
}

fn open(file: &Path, rules: &Rules) -> anyhow::Result<Table> {
    let opened = File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    table::read(opened, &rules.map).with_context(|| format!("{} was not imported", file.display()))
}

/// Reads a file and checks all that can be without the ledger. Nothing is imported yet.
pub(crate) fn read(import: &Import, json: bool) -> anyhow::Result<Ready<'_>> {
    let not_imported = |file: &Path| format!("{} was not imported", file.display());
    let mut ready = match import {
        Import::Items { file, sku_from, stock_at, rules } => {
            let stock_at =
                stock_at.as_ref().map(|code| PutLocation { code: code.clone(), ..PutLocation::default() });
            if let Some(put) = &stock_at {
                put.check().context("--stock-at cannot be a location's code")?;
            }
            let rows = items::of(open(file, rules)?).with_context(|| not_imported(file))?;
            items_ready(file, rows, *sku_from, stock_at, rules, json)?
        }
        Import::Stock { file, rules } => {
            let (tasks, bad) = stock::of(open(file, rules)?).with_context(|| not_imported(file))?;
            Ready { what: "count", tasks, bad, rules, stock_at: None, quantities: Vec::new() }
        }
        Import::Orders { file, rules } => {
            let (tasks, bad) = orders::of(open(file, rules)?).with_context(|| not_imported(file))?;
            Ready { what: "order", tasks, bad, rules, stock_at: None, quantities: Vec::new() }
        }
    };
    ready.bad.sort();
    ready.refuse_bad(&ready.bad)?;
    Ok(ready)
}

fn items_ready<'a>(
    file: &Path,
    mut rows: Rows,
    sku_from: Option<SkuFrom>,
    stock_at: Option<PutLocation>,
    rules: &'a Rules,
    json: bool,
) -> anyhow::Result<Ready<'a>> {
    let nameless = rows.rows.iter().filter(|row| row.item.sku.is_empty()).count();
    if nameless > 0 {
        match sku_from {
            None => bail!(
                "{nameless} of {} in {} have neither SKU nor barcode to know them by. Give them SKUs in the \
                 shop, or run it again with `--sku-from handle`, which makes readable ones from handle and options, \
                 such as `{}`. Nothing was imported",
                counted(rows.rows.len(), "variant"),
                file.display(),
                rows.rows.iter().find_map(|row| row.made_sku.as_deref()).unwrap_or_default()
            ),
            Some(SkuFrom::Handle) => {
                for row in rows.rows.iter_mut().filter(|row| row.item.sku.is_empty()) {
                    row.item.sku = row.made_sku.clone().unwrap_or_default();
                    if !json {
                        say(format!("{}  {}", row.item.sku, row.item.name.as_deref().unwrap_or_default()))?;
                    }
                }
            }
        }
    }
    let Rows { rows, mut bad, shopify } = rows;
    let (mut tasks, mut quantities) = (Vec::new(), Vec::new());
    for Row { line, item, quantity, .. } in rows {
        if let Err(invalid) = item.check() {
            bad.push(Bad::new(line, None, invalid.to_string()));
            continue;
        }
        quantities.extend(quantity.map(|quantity| (item.sku.clone(), quantity)));
        tasks.push(Task { lines: vec![line], skus: Vec::new(), location: None, body: Body::PutItem(item) });
    }
    if shopify && stock_at.is_none() && !quantities.is_empty() && !json {
        let number = quantities.len();
        say(format!("Quantities not taken: {number}. As counts they are, with `--stock-at LOCATION`."))?;
    }
    Ok(Ready { what: "item", tasks, bad, rules, stock_at, quantities })
}

impl Ready<'_> {
    /// Nothing is imported where a row is bad, unless the good ones shall be.
    fn refuse_bad(&self, bad: &[Bad]) -> anyhow::Result<()> {
        for bad in bad.iter().take(20) {
            eprintln!("{bad}");
        }
        if bad.is_empty() || self.rules.skip_bad_rows {
            return Ok(());
        }
        self.report(bad, &BTreeMap::new())?;
        bail!(
            "{} cannot be imported (the first are named above); nothing was imported. \
             Mend the file, or import the other rows with --skip-bad-rows",
            counted(bad.len(), "row")
        );
    }

    /// A line of the report for each row.
    fn report(&self, bad: &[Bad], done: &BTreeMap<u64, &'static str>) -> anyhow::Result<()> {
        let Some(path) = &self.rules.report else { return Ok(()) };
        let told = bad.iter().map(|bad| {
            let Bad { line, column, problem } = bad;
            (*line, json!({ "line": line, "result": "left_out", "column": column, "problem": problem }))
        });
        let done = done.iter().map(|(line, result)| (*line, json!({ "line": line, "result": result })));
        let mut rows: Vec<_> = told.chain(done).collect();
        rows.sort_by_key(|(line, _)| *line);
        let cannot = || format!("cannot write {}", path.display());
        let mut file = std::io::BufWriter::new(File::create(path).with_context(cannot)?);
        for (_, row) in rows {
            writeln!(file, "{row}").with_context(cannot)?;
        }
        file.flush().with_context(cannot)
    }

    /// Which rows name what there is not.
    async fn unknown_names(&self, link: &Link) -> anyhow::Result<Vec<Bad>> {
        let mut known = BTreeMap::<String, bool>::new();
        let mut bad = Vec::new();
        let codes = if self.tasks.iter().any(|task| task.location.is_some()) {
            locations(link).await?
        } else {
            Vec::new()
        };
        for task in &self.tasks {
            if let Some(code) = task.location.as_ref().filter(|code| !codes.contains(code)) {
                for line in &task.lines {
                    let problem =
                        format!("no location has the code `{code}`; create it, or check case and spaces");
                    bad.push(Bad::new(*line, Some("location"), problem));
                }
                continue;
            }
            for (line, sku) in &task.skus {
                if !known.contains_key(sku) {
                    let there = match segment(sku) {
                        Ok(name) => link.has(&format!("/v1/items/{name}")).await?,
                        Err(_) => false,
                    };
                    known.insert(sku.clone(), there);
                }
                if !known[sku] {
                    let problem = format!("no item has the SKU `{sku}`; create it, or check case and spaces");
                    bad.push(Bad::new(*line, Some("sku"), problem));
                }
            }
        }
        Ok(bad)
    }
}

async fn locations(link: &Link) -> anyhow::Result<Vec<String>> {
    let (mut codes, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = link.call(Method::GET, &format!("/v1/locations?limit=100{cursor}"), None).await?;
        let found = page["data"].as_array().into_iter().flatten();
        codes.extend(found.filter_map(|row| row["code"].as_str()).map(str::to_owned));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(codes),
        }
    }
}

pub(crate) async fn run(link: &Link, ready: &mut Ready<'_>, json: bool) -> anyhow::Result<()> {
    let unknown = ready.unknown_names(link).await?;
    ready.refuse_bad(&unknown)?;
    let lines_of =
        |bad: &[Bad]| -> std::collections::BTreeSet<u64> { bad.iter().map(|bad| bad.line).collect() };
    let left = lines_of(&unknown);
    ready.tasks.retain(|task| !task.lines.iter().any(|line| left.contains(line)));
    ready.bad.extend(unknown);
    let ready = &*ready;
    let mut refused: Vec<Bad> = Vec::new();
    let mut done = BTreeMap::new();
    let bar = indicatif::ProgressBar::new(ready.tasks.len() as u64);
    for part in ready.tasks.chunks(500) {
        let results = if ready.rules.dry_run {
            part.iter().map(|_| None).collect()
        } else {
            let commands = part.iter().map(|task| command(task.body.clone())).collect();
            let results = link.commands(commands).await?.into_iter();
            // An order that is there stays as it is: an export that was added to is a valid import.
            results.map(|result| result.error.filter(|_| !result.already_there)).collect::<Vec<_>>()
        };
        let result = if ready.rules.dry_run { "would_be_imported" } else { "imported" };
        for (task, error) in part.iter().zip(results) {
            for line in &task.lines {
                match &error {
                    Some(error) => refused.push(Bad::new(*line, None, error)),
                    None => drop(done.insert(*line, result)),
                }
            }
        }
        bar.inc(part.len() as u64);
    }
    bar.finish_and_clear();
    let taken = match &ready.stock_at {
        Some(location) if !ready.rules.dry_run => count(link, location, &ready.quantities).await?,
        _ => 0,
    };
    for bad in &refused {
        eprintln!("{bad}");
    }
    let imported =
        ready.tasks.iter().filter(|task| task.lines.iter().all(|line| done.contains_key(line))).count();
    let left_out: Vec<Bad> = ready.bad.iter().chain(&refused).cloned().collect();
    ready.report(&left_out, &done)?;
    if json {
        say(
            json!({ "imported": imported, "counted": taken, "bad": left_out, "dry_run": ready.rules.dry_run }),
        )?;
    } else {
        let (number, left_out) = (counted(imported, ready.what), counted(left_out.len(), "row"));
        match (ready.rules.dry_run, ready.what) {
            (true, _) => say(format!("{number} would be imported, {left_out} left out; nothing was done."))?,
            (false, "item") => say(format!("{number} imported, {taken} counted, {left_out} left out."))?,
            (false, _) => say(format!("{number} imported, {left_out} left out."))?,
        }
    }
    match refused.len() {
        0 => Ok(()),
        1 => bail!("1 row was refused, as named above"),
        more => bail!("{more} rows were refused, as named above"),
    }
}

/// Takes the quantities as counts of now. A negative one, which a shop shows when it oversold, is counted as 0.
async fn count(link: &Link, location: &PutLocation, quantities: &[(String, i64)]) -> anyhow::Result<usize> {
    let mut commands = vec![command(Body::PutLocation(location.clone()))];
    for part in quantities.chunks(100) {
        let lines =
            part.iter().map(|(sku, quantity)| Line::new(sku.clone(), Quantity::units((*quantity).max(0))));
        let (location, lines) = (location.code.clone(), lines.collect());
        let count = TakeCount { location, lines, as_of: None, inside: false, system: None };
        commands.push(command(Body::Count(count)));
    }
    for result in link.commands(commands).await? {
        if let Some(error) = result.error {
            bail!("the counts were not taken: {error}");
        }
    }
    Ok(quantities.len())
}

/// What a file has, in words: for fuzzing.
#[doc(hidden)]
pub fn imported(input: &[u8]) -> String {
    let read = || table::read(input, &[]);
    let lines = input.iter().filter(|byte| **byte == b'\n' || **byte == b'\r').count() as u64 + 1;
    let is_sheet = input.starts_with(b"PK\x03\x04");
    let checked = |bad: &[Bad]| {
        assert!(is_sheet || bad.iter().all(|bad| (1..=lines).contains(&bad.line)), "a line that there is");
    };
    let mut told = match read().and_then(items::of) {
        Ok(rows) => {
            checked(&rows.bad);
            format!("{rows:?}")
        }
        Err(error) => format!("{error:#}"),
    };
    for parse in [stock::of, orders::of] {
        match read().and_then(parse) {
            Ok((tasks, bad)) => {
                checked(&bad);
                told = format!("{told}{tasks:?} {bad:?}");
            }
            Err(error) => told.push_str(&error.to_string()),
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io::{self, Read};

    use super::*;

    fn parse(input: impl Read) -> anyhow::Result<Rows> {
        items::of(table::read(input, &[])?)
    }

    fn data(name: &str) -> Rows {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/shopify-products").join(name);
        parse(File::open(&path).unwrap()).unwrap()
    }

    #[test]
    fn the_three_shopify_files_have_66_variants_without_sku_or_barcode() {
        let files = ["apparel.csv", "home-and-garden.csv", "jewelery.csv"].map(data);
        let rows: Vec<&Row> = files.iter().flat_map(|file| &file.rows).collect();
        assert_eq!(rows.len(), 66);
        assert!(rows.iter().all(|row| row.item.sku.is_empty() && row.item.barcodes.is_none()));
        assert!(files.iter().all(|file| file.bad.is_empty() && file.shopify));
        let made: BTreeSet<_> = rows.iter().filter_map(|row| row.made_sku.clone()).collect();
        assert_eq!(made.len(), 66, "made SKUs are unique");
        assert!(made.contains("ocean-blue-shirt") && made.contains("classic-varsity-top-small"), "{made:?}");
    }

    #[test]
    fn a_wrong_header_says_what_would_be_right() {
        let error = parse(&b"code,name\nA,B\n"[..]).unwrap_err().to_string();
        assert!(error.contains("no column is called `sku`") && error.contains("precision"), "{error}");
        let error = parse(&b"sku,colour\nA,B\n"[..]).unwrap_err().to_string();
        assert!(error.contains("`colour` is not known"), "{error}");
        let error = parse(&b"SKU,Name\nA,B\n"[..]).unwrap_err().to_string();
        assert!(error.contains("columns are lower case without spaces around: sku, name"), "{error}");
        let error = parse(&b"sku, name\nA,B\n"[..]).unwrap_err().to_string();
        assert!(error.contains("columns are lower case"), "{error}");
        let error = parse(&b"SKU;Name\nA;B\n"[..]).unwrap_err().to_string();
        assert!(error.contains("the separator must be a comma, and here it is a semicolon"), "{error}");
        let error = parse(&b"sku,sku\nA,B\n"[..]).unwrap_err().to_string();
        assert!(error.contains("twice"), "{error}");
    }

    #[test]
    fn a_broken_line_in_the_middle_is_named_and_the_others_are_read() {
        let rows =
            parse(&b"sku,name,precision\nA,a,0\nB,b\nC,c,9\nD,\xff,0\nA,again,1\nE,e,3\n"[..]).unwrap();
        let skus: Vec<_> = rows.rows.iter().map(|row| row.item.sku.as_str()).collect();
        assert_eq!(skus, ["A", "E"]);
        let lines: Vec<_> = rows.bad.iter().map(|bad| bad.line).collect();
        assert_eq!(lines, [3, 4, 5, 6]);
        assert!(rows.bad[0].problem.contains("2 fields, the header has 3"), "{:?}", rows.bad);
        assert!(
            rows.bad[1].problem.contains("0 to 6") && rows.bad[2].problem.contains("UTF-8"),
            "{:?}",
            rows.bad
        );
    }

    #[test]
    fn a_line_of_two_gigabytes_is_stopped_before_it_fills_memory() {
        struct Endless(u64);
        impl Read for Endless {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.0 += buffer.len() as u64;
                assert!(self.0 < 8 * 1024 * 1024, "reading went on after the limit");
                buffer.fill(b'x');
                Ok(buffer.len())
            }
        }
        let error = parse((&b"sku\n\""[..]).chain(Endless(0))).unwrap_err();
        assert!(format!("{error:#}").contains("longer than 1048576 bytes"), "{error:#}");
    }
}
