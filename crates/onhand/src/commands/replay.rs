//! `onhand replay`: the real invoices of a UK gift shop (UCI "Online Retail"), in time order, as facts.
//!
//! One document for each invoice, its lines told apart by their number in the file. What is set aside, and why, is
//! in [`no_goods`] and `docs/replay.md`.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::time::Instant as Stopwatch;

use anyhow::{Context as _, bail};
use flate2::read::GzDecoder;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use onhand_ledger::command::{
    Content, Document, Happened, Line, MovementLine, Name, PutItem, PutLocation, PutSystem, Receive,
};
use onhand_ledger::{Answer, Body, Command, Instant, Quantity};
use serde_json::json;

use crate::cli::Replay;
use crate::link::Link;

const LOCATION: &str = "UK";
const SYSTEM: &str = "online-retail";
/// How many lines are committed together at most (an invoice is never cut).
const BATCH_LINES: usize = 2_000;

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
fn read(path: &Path) -> anyhow::Result<Retail> {
    let mut file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut magic = [0; 2];
    let gzipped = file.read(&mut magic)? == 2 && magic == [0x1f, 0x8b];
    let file = BufReader::new(File::open(path)?);
    let input: Box<dyn Read> = if gzipped { Box::new(GzDecoder::new(file)) } else { Box::new(file) };
    let mut reader = csv::ReaderBuilder::new().from_reader(input);
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
        let bad = |field: &str| format!("line {}: {field} is not as it must be", number + 1);
        let quantity: i64 = record[3].parse().with_context(|| bad("Quantity"))?;
        let at = match times.get(&record[4]) {
            Some(at) => *at,
            None => {
                let civil: DateTime = record[4].parse().with_context(|| bad("InvoiceDate"))?;
                let at = Instant::from_micros(civil.to_zoned(london.clone())?.timestamp().as_microsecond());
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
    let written = serde_json::to_vec(&body).unwrap_or_default();
    let hash = blake3::hash(&written);
    let fingerprint = u64::from_be_bytes(hash.as_bytes().first_chunk().copied().unwrap_or_default());
    Command { key, fingerprint, actor: "replay".to_owned(), body }
}

#[expect(clippy::disallowed_methods, reason = "how long a replay took is no decision about stock")]
pub(crate) async fn run(link: &Link, replay: &Replay, json: bool) -> anyhow::Result<()> {
    let retail = read(&replay.file)?;
    let opening: Vec<i64> = match replay.opening.as_str() {
        "exact" => exact_opening(&retail),
        number => {
            let units: i64 = number.parse().ok().filter(|units| *units >= 0).with_context(|| {
                format!("--opening is `{number}`; it must be `exact` or a whole number of units, 0 or more")
            })?;
            vec![units; retail.skus.len()]
        }
    };
    let began = Stopwatch::now();
    let mut movements = prepare(link, &retail, &opening, &replay.opening).await?;
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
        let commands = batch.iter().map(|invoice| command(None, document(&retail, invoice))).collect();
        for (invoice, result) in batch.iter().zip(link.commands(commands).await?) {
            match (result.error, result.answer) {
                (None, Some(Answer::Recorded { lines, .. })) => {
                    applied += invoice.lines.len();
                    orders += usize::from(invoice.lines.iter().any(|line| line.what == Happened::Sold));
                    short += lines.iter().map(|line| line.short).sum();
                    movements += lines.iter().filter(|line| line.shipped.is_positive()).count();
                }
                (None, Some(Answer::AlreadyApplied { .. })) => already += invoice.lines.len(),
                (error, answer) => {
                    let problem = error.unwrap_or_else(|| format!("{answer:?}"));
                    bail!("invoice {} was not applied: {problem}", invoice.name);
                }
            }
        }
        bar.inc(size as u64);
    }
    bar.finish_and_clear();
    let seconds = began.elapsed().as_secs_f64();
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
        println!("{result}");
    } else {
        println!("{result:#}");
    }
    Ok(())
}

/// Items, the location, the system and the opening stock, each under a key: a second run changes nothing, and
/// another opening is refused. Says how many movements it made.
async fn prepare(link: &Link, retail: &Retail, opening: &[i64], named: &str) -> anyhow::Result<usize> {
    let goods: Vec<usize> =
        (0..retail.skus.len()).filter(|code| no_goods(&retail.skus[*code]).is_none()).collect();
    let mut commands = vec![
        command(None, Body::PutLocation(PutLocation { code: LOCATION.to_owned(), ..PutLocation::default() })),
        command(
            None,
            Body::PutSystem(PutSystem {
                name: SYSTEM.to_owned(),
                kind: "file".to_owned(),
                ..PutSystem::default()
            }),
        ),
    ];
    for code in &goods {
        let name = Some(retail.names[*code].clone()).filter(|name| !name.is_empty());
        commands.push(command(
            None,
            Body::PutItem(PutItem { sku: retail.skus[*code].clone(), name, ..PutItem::default() }),
        ));
    }
    let earliest = retail.invoices.first().map_or(Instant::MIN, |invoice| invoice.at).plus_seconds(-1);
    let lines: Vec<Line> = goods
        .iter()
        .filter(|code| opening[**code] > 0)
        .map(|code| Line { sku: retail.skus[*code].clone(), quantity: Quantity::units(opening[*code]) })
        .collect();
    let received = lines.len();
    let results = link.commands(commands).await?;
    if let Some(error) = results.into_iter().find_map(|result| result.error) {
        bail!("the items could not be made: {error}");
    }
    // The mark of the opening is a key of its own: another opening under it is another request.
    let mark = Body::PutLocation(PutLocation {
        code: LOCATION.to_owned(),
        name: Some(format!("UK shop (opening {named})")),
        ..PutLocation::default()
    });
    let mark = link.commands(vec![command(Some("replay/online-retail/opening".to_owned()), mark)]).await?;
    if mark.iter().any(|result| result.error.is_some()) {
        bail!(
            "this database was replayed with another opening; replay into a new one to use --opening {named}"
        );
    }
    if lines.is_empty() {
        return Ok(0);
    }
    let receive = Body::Receive(Receive {
        location: LOCATION.to_owned(),
        lines,
        occurred_at: Some(earliest),
        reason: Some("opening stock".to_owned()),
    });
    let before = head(link).await?;
    let received_now =
        link.commands(vec![command(Some("replay/online-retail/stock".to_owned()), receive)]).await?;
    if let Some(error) = received_now.into_iter().find_map(|result| result.error) {
        bail!("the opening stock could not be received: {error}");
    }
    Ok(if head(link).await? > before { received } else { 0 })
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
        let retail = read(&path).unwrap();
        assert_eq!(retail.lines, 541_909);
        assert_eq!(retail.invoices.len(), 25_900);
        assert_eq!(retail.skus.len(), 4_070);
        assert_eq!(retail.invoices.iter().map(Invoice::len).sum::<usize>(), retail.lines);
        let split = retail.invoices.iter().filter(|invoice| &*invoice.name == "542806").count();
        assert_eq!(split, 1, "an invoice that is not contiguous is one document");
        assert!(retail.invoices.is_sorted_by_key(|invoice| invoice.at));
    }
}
