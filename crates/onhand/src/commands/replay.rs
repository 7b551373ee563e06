//! `onhand replay`: the real invoices of a UK gift shop (UCI "Online Retail"), in time order, as facts.
//!
//! One document for each invoice, its lines told apart by their number in the file. What is set aside, and why, is
//! in [`no_goods`] and `docs/replay.md`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::time::Instant as Stopwatch;

use anyhow::{Context as _, bail};
use flate2::read::MultiGzDecoder;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use onhand_ledger::command::{
    Content, Document, Happened, Line, MovementLine, Name, PutItem, PutLocation, PutSystem, Receive,
};
use onhand_ledger::{Body, Command, Entry, Instant, Invalid, Quantity, Seq};
use serde_json::json;

use crate::cli::{Opening, Replay};
use crate::link::{LineResult, Link};
use crate::output::say;
use onhand_exchange::Limited;

const LOCATION: &str = "UK";
const SYSTEM: &str = "online-retail";
/// How many lines are committed together at most (an invoice is never cut).
const BATCH_LINES: usize = 2_000;
/// The largest quantity of a line, so that no sum over a file can leave 64 bits.
const MOST: i64 = 1_000_000_000;
/// Decides the opening stock: what was received under it once is never received again, and no other in its place.
const OPENING_KEY: &str = "replay/online-retail/opening";
/// What opening stock is told by in the log.
const OPENING_REASON: &str = "opening stock";

/// Why a code is no goods; none where it is.
///
/// Found by looking at every code of the file that is not five digits with letters behind.
pub(crate) fn no_goods(code: &str) -> Option<&'static str> {
    Some(match code {
        "POST" | "DOT" | "C2" => "postage",
        "D" => "discount",
        "M" | "m" => "manual",
        "S" => "samples",
        "BANK CHARGES" => "bank charges",
        "AMAZONFEE" => "marketplace fee",
        "B" => "bad debt",
        "CRUK" => "commission",
        _ if code.to_ascii_lowercase().starts_with("gift_") => "gift voucher",
        _ => return None,
    })
}

/// A line of an invoice that moves stock.
#[derive(Debug)]
struct Goods {
    number: u32,
    sku: u32,
    what: Happened,
    quantity: i64,
    at: Instant,
    reason: Option<Box<str>>,
}

#[derive(Debug)]
struct Invoice {
    name: Box<str>,
    at: Instant,
    lines: Vec<Goods>,
    set_aside: Vec<&'static str>,
}

impl Invoice {
    fn len(&self) -> usize {
        self.lines.len() + self.set_aside.len()
    }
}

#[derive(Debug, Default)]
struct Retail {
    invoices: Vec<Invoice>,
    skus: Vec<String>,
    names: Vec<String>,
    lines: usize,
}

impl Retail {
    /// The codes that are goods.
    fn goods(&self) -> impl Iterator<Item = usize> {
        (0..self.skus.len()).filter(|code| no_goods(&self.skus[*code]).is_none())
    }

    fn item(&self, code: usize) -> PutItem {
        let name = Some(self.names[code].clone()).filter(|name| !name.is_empty());
        PutItem { sku: self.skus[code].clone(), name, ..PutItem::default() }
    }
}

struct Raw {
    number: u32,
    code: u32,
    quantity: i64,
    at: Instant,
    priced: bool,
    customer: bool,
    description: Box<str>,
}

/// Reads the whole file, gathers the invoices, and puts them in time order.
fn parse(path: &Path) -> anyhow::Result<Retail> {
    let mut file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut magic = [0; 2];
    let gzipped = file.read(&mut magic)? == 2 && magic == [0x1f, 0x8b];
    let file = BufReader::new(File::open(path)?);
    let input: Box<dyn Read> = if gzipped { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    let mut reader = csv::ReaderBuilder::new().from_reader(Limited::new(input));
    let expected = [
        "InvoiceNo",
        "StockCode",
        "Description",
        "Quantity",
        "InvoiceDate",
        "UnitPrice",
        "CustomerID",
        "Country",
    ];
    if reader.headers().context("the file cannot be read")? != expected.as_slice() {
        bail!(
            "{} is not the Online Retail file: its first line must be {}",
            path.display(),
            expected.join(",")
        );
    }
    let london = TimeZone::get("Europe/London").context("the time zone Europe/London is not known")?;
    let mut retail = Retail::default();
    let mut codes = HashMap::<String, u32>::new();
    let mut positions = HashMap::<String, usize>::new();
    let mut gathered: Vec<(String, Vec<Raw>)> = Vec::new();
    let mut times = HashMap::<String, Instant>::new();
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).context("the file is broken")? {
        let number = u32::try_from(retail.lines + 1)?;
        retail.lines += 1;
        let line = record.position().map_or(0, csv::Position::line);
        let bad = |field: &str, right: &str| format!("line {line}: {field} must be {right}");
        if !(1..=255).contains(&record[0].len()) {
            bail!(bad("InvoiceNo", "1 to 255 characters"));
        }
        let quantity = record[3].parse().ok().filter(|quantity| (-MOST..=MOST).contains(quantity));
        let quantity: i64 = quantity
            .with_context(|| bad("Quantity", &format!("a whole number, at most {MOST} or -{MOST}")))?;
        let at = match times.get(&record[4]) {
            Some(at) => *at,
            None => {
                let civil: Result<DateTime, _> = record[4].parse();
                let zoned = civil.and_then(|civil| civil.to_zoned(london.clone()));
                let zoned =
                    zoned.with_context(|| bad("InvoiceDate", "a time such as 2010-12-01 08:26:00"))?;
                let at = Instant::from_micros(zoned.timestamp().as_microsecond());
                times.insert(record[4].to_owned(), at);
                at
            }
        };
        let priced = record[5].bytes().any(|byte| (b'1'..=b'9').contains(&byte));
        let code = match codes.get(&record[1]) {
            Some(code) => *code,
            None => {
                let code = u32::try_from(retail.skus.len())?;
                codes.insert(record[1].to_owned(), code);
                retail.skus.push(record[1].to_owned());
                retail.names.push(String::new());
                code
            }
        };
        if priced && retail.names[code as usize].is_empty() {
            record[2].trim().clone_into(&mut retail.names[code as usize]);
        }
        // Only an adjustment's description is a reason; the others are the item's name.
        let description = if priced { "" } else { record[2].trim() };
        let raw = Raw {
            number,
            code,
            quantity,
            at,
            priced,
            customer: !record[6].is_empty(),
            description: description.into(),
        };
        match positions.get(&record[0]) {
            Some(position) => gathered[*position].1.push(raw),
            None => {
                positions.insert(record[0].to_owned(), gathered.len());
                gathered.push((record[0].to_owned(), vec![raw]));
            }
        }
    }
    retail.invoices =
        gathered.into_iter().map(|(name, lines)| classify(&name, lines, &retail.skus)).collect();
    // Sorting keeps invoices of one minute in the order of the file.
    retail.invoices.sort_by_key(|invoice| invoice.at);
    for code in retail.goods() {
        let put = retail.item(code);
        put.check().with_context(|| format!("the item `{}` cannot be made", put.sku))?;
    }
    Ok(retail)
}

fn classify(name: &str, raw: Vec<Raw>, skus: &[String]) -> Invoice {
    let is_return = name.starts_with('C');
    let priced = raw.iter().any(|line| line.priced);
    let at = raw.first().map_or(Instant::MIN, |line| line.at);
    let mut invoice = Invoice { name: name.into(), at, lines: Vec::new(), set_aside: Vec::new() };
    for line in raw {
        if let Some(reason) = no_goods(&skus[line.code as usize]) {
            invoice.set_aside.push(reason);
            continue;
        }
        if line.quantity == 0 {
            invoice.set_aside.push("quantity 0");
            continue;
        }
        let adjustment = !is_return && (line.quantity < 0 || (!line.priced && !line.customer && !priced));
        let what = match (is_return, adjustment, line.quantity > 0) {
            (true, _, false) => Happened::Returned,
            (true, _, true) | (false, false, _) => Happened::Sold,
            (false, true, false) => Happened::Lost,
            (false, true, true) => Happened::Found,
        };
        let text = if line.description.is_empty() { "?" } else { &line.description };
        let reason = adjustment.then(|| text.into());
        let quantity = line.quantity.abs();
        invoice.lines.push(Goods {
            number: line.number,
            sku: line.code,
            what,
            quantity,
            at: line.at,
            reason,
        });
    }
    invoice
}

/// The least opening stock of each code with which nothing is ever short, over the whole file.
fn exact_opening(retail: &Retail) -> Vec<i64> {
    let mut balance = vec![0_i64; retail.skus.len()];
    let mut lowest = vec![0_i64; retail.skus.len()];
    for line in retail.invoices.iter().flat_map(|invoice| &invoice.lines) {
        let code = line.sku as usize;
        balance[code] += match line.what {
            Happened::Sold | Happened::Lost => -line.quantity,
            Happened::Returned | Happened::Found | Happened::Received => line.quantity,
        };
        lowest[code] = lowest[code].min(balance[code]);
    }
    lowest.into_iter().map(|lowest| -lowest).collect()
}

fn command(key: Option<String>, body: Body) -> Command {
    Command::keyed(key, "replay", body)
}

/// What is ready to be replayed.
pub(crate) struct Ready<'a> {
    replay: &'a Replay,
    retail: Retail,
    opening: Vec<Line>,
}

/// Reads a file and checks all of it. Nothing is written yet.
pub(crate) fn read(replay: &Replay) -> anyhow::Result<Ready<'_>> {
    let retail =
        parse(&replay.file).with_context(|| format!("{} was not replayed", replay.file.display()))?;
    let units: Vec<i64> = match replay.opening {
        Opening::Exact => exact_opening(&retail),
        Opening::Units(units) => vec![units; retail.skus.len()],
    };
    let most = Quantity::MAX_INPUT.whole_units();
    if let Some(code) = retail.goods().find(|code| units[*code] > most) {
        bail!("the opening stock of `{}` would be more than {most} units", retail.skus[code]);
    }
    let lines = retail.goods().filter(|code| units[*code] > 0);
    let lines = lines.map(|code| Line {
        sku: retail.skus[code].clone(),
        quantity: Quantity::units(units[code]),
        ..Line::default()
    });
    let opening = lines.collect();
    Ok(Ready { replay, retail, opening })
}

#[expect(clippy::disallowed_methods, reason = "how long a replay took is no decision about stock")]
pub(crate) async fn run(link: &Link, ready: &Ready<'_>, json: bool) -> anyhow::Result<()> {
    let Ready { replay, retail, opening } = ready;
    let began = Stopwatch::now();
    let before = head(link).await?;
    prepare(link, retail, opening, replay.opening).await?;
    let limit = replay.limit.unwrap_or(usize::MAX);
    let mut taken = 0;
    let chosen: Vec<&Invoice> = retail
        .invoices
        .iter()
        .take_while(|invoice| {
            taken += invoice.len();
            taken <= limit
        })
        .collect();
    let lines: usize = chosen.iter().map(|invoice| invoice.len()).sum();
    let bar = if json { indicatif::ProgressBar::hidden() } else { indicatif::ProgressBar::new(lines as u64) };
    let (mut applied, mut already, mut orders) = (0, 0, 0);
    let mut short = Quantity::ZERO;
    let mut set_aside = BTreeMap::<&str, usize>::new();
    for reason in chosen.iter().flat_map(|invoice| &invoice.set_aside) {
        *set_aside.entry(reason).or_default() += 1;
    }
    let mut rest = chosen.iter().filter(|invoice| !invoice.lines.is_empty()).peekable();
    while rest.peek().is_some() {
        let mut batch = Vec::new();
        let mut size = 0;
        while let Some(invoice) =
            rest.next_if(|invoice| size == 0 || size + invoice.lines.len() <= BATCH_LINES)
        {
            size += invoice.lines.len();
            batch.push(invoice);
        }
        let commands = batch.iter().map(|invoice| command(None, document(retail, invoice))).collect();
        for (invoice, result) in batch.iter().zip(link.commands(commands).await?) {
            match result {
                LineResult { error: Some(problem), .. } => {
                    bail!("invoice {} was not applied: {problem}", invoice.name);
                }
                LineResult { already_applied: true, .. } => already += invoice.lines.len(),
                result => {
                    applied += invoice.lines.len();
                    orders += usize::from(invoice.lines.iter().any(|line| line.what == Happened::Sold));
                    short += result.short;
                }
            }
        }
        bar.inc(size as u64);
    }
    bar.finish_and_clear();
    let seconds = began.elapsed().as_secs_f64();
    let movements = appended(link, before, &chosen).await?;
    #[expect(clippy::cast_precision_loss, reason = "a rate for people; movements are far below 2^52")]
    let rate = (movements as f64 / seconds).round();
    let result = json!({
        "lines": lines,
        "applied": applied,
        "already_applied": already,
        "set_aside": set_aside,
        "short_units": short.whole_units(),
        "orders": orders,
        "seconds": (seconds * 1_000.0).round() / 1_000.0,
        "movements": movements,
        "movements_per_second": rate,
    });
    if json {
        say(result)?
    } else {
        say(format!("{result:#}"))?
    }
    Ok(())
}

/// How many movements this replay has added to the log, by the log itself: an answer does not say what a line that
/// was partly short moved. Others may have written through the same server meanwhile: theirs are not counted.
async fn appended(link: &Link, before: Seq, chosen: &[&Invoice]) -> anyhow::Result<usize> {
    let ours: HashSet<&str> = chosen.iter().map(|invoice| &*invoice.name).collect();
    let mut movements = 0;
    let count = |document: Option<&str>, entries: &[Entry]| {
        let ours = document.is_some_and(|document| ours.contains(document));
        let counts = |entry: &&Entry| matches!(entry, Entry::Movement(movement) if ours || movement.reason == OPENING_REASON);
        movements += entries.iter().filter(counts).count();
    };
    link.changes(before, count).await?;
    Ok(movements)
}

/// Items, the location, the system, and the opening stock under a key of its own: a second run changes nothing, and
/// another opening is another request under that key. One command is the mark and the stock, so that neither is there
/// without the other.
async fn prepare(link: &Link, retail: &Retail, opening: &[Line], named: Opening) -> anyhow::Result<()> {
    only_master(link).await?;
    let location = PutLocation { code: LOCATION.to_owned(), ..PutLocation::default() };
    let system = PutSystem { name: SYSTEM.to_owned(), kind: "file".to_owned(), ..PutSystem::default() };
    let mut commands =
        vec![command(None, Body::PutLocation(location.clone())), command(None, Body::PutSystem(system))];
    commands.extend(retail.goods().map(|code| command(None, Body::PutItem(retail.item(code)))));
    let results = link.commands(commands).await?;
    if let Some(error) = results.into_iter().find_map(|result| result.error) {
        bail!("the items could not be made: {error}");
    }
    let earliest = retail.invoices.first().map_or(Instant::MIN, |invoice| invoice.at).plus_seconds(-1);
    let body = if opening.is_empty() {
        // An opening of nothing is one too.
        Body::PutLocation(location)
    } else {
        Body::Receive(Receive {
            location: LOCATION.to_owned(),
            lines: opening.to_vec(),
            occurred_at: Some(earliest),
            reason: Some(OPENING_REASON.to_owned()),
        })
    };
    let key = OPENING_KEY.to_owned();
    let reused = Invalid::KeyReused(key.clone()).to_string();
    match link.commands(vec![command(Some(key), body)]).await?.pop() {
        Some(LineResult { error: Some(error), .. }) if error == reused => bail!(
            "this database was replayed with another opening or another file; replay into a new one to use \
             --opening {named}"
        ),
        Some(LineResult { error: Some(error), .. }) => {
            bail!("the opening stock could not be received: {error}")
        }
        _ => Ok(()),
    }
}

/// A refusal would be kept under the opening's key for ever: what could be refused is not asked for.
async fn only_master(link: &Link) -> anyhow::Result<()> {
    let rules = link.get("/v1/ownership?limit=100").await?;
    let other = rules["data"].as_array().into_iter().flatten().find(|rule| {
        rule["master"] != "onhand" && (rule["location"].is_null() || rule["location"] == LOCATION)
    });
    match other {
        Some(rule) => bail!(
            "`{}` is master of stock at {LOCATION} (rule {}): end that rule, or replay into a new database",
            rule["master"].as_str().unwrap_or_default(),
            rule["id"]
        ),
        None => Ok(()),
    }
}

async fn head(link: &Link) -> anyhow::Result<u64> {
    let page = link.get("/v1/items?limit=1").await?;
    page["seq"].as_u64().context("the server answered without a seq")
}

fn document(retail: &Retail, invoice: &Invoice) -> Body {
    let lines = invoice.lines.iter().map(|line| MovementLine {
        line: line.number.to_string(),
        item: Name::Sku(retail.skus[line.sku as usize].clone()),
        location: LOCATION.to_owned(),
        what: line.what,
        quantity: Quantity::units(line.quantity),
        occurred_at: Some(line.at),
        reason: line.reason.as_ref().map(ToString::to_string),
    });
    Body::Record(Document {
        system: SYSTEM.to_owned(),
        document: invoice.name.to_string(),
        version: 1,
        content: Content::Movements(lines.collect()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_real_file_is_goods_or_set_aside() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../../shared/data/online-retail/online-retail.csv.gz");
        let retail = parse(&path).unwrap();
        assert_eq!(retail.lines, 541_909);
        assert_eq!(retail.invoices.len(), 25_900);
        assert_eq!(retail.skus.len(), 4_070);
        assert_eq!(retail.invoices.iter().map(Invoice::len).sum::<usize>(), retail.lines);
        let split = retail.invoices.iter().filter(|invoice| &*invoice.name == "542806").count();
        assert_eq!(split, 1, "an invoice that is not contiguous is one document");
        assert!(retail.invoices.is_sorted_by_key(|invoice| invoice.at));
    }
}
