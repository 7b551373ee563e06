//! A file as rows of named fields: CSV or the first sheet of an XLSX, with columns named as the user says.
//!
//! Numbers of a sheet are binary in the file. They are read as the spreadsheet shows them, to 15 significant digits
//! (<https://learn.microsoft.com/en-us/office/troubleshoot/excel/floating-arithmetic-inaccurate-result>), as text, and
//! what is not exact then is an error like any other: nothing is calculated with them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Read};

use anyhow::{Context as _, bail};
use calamine::{Data, Reader as _, Xlsx};
use serde::Serialize;

use crate::limited::Limited;

/// The longest XLSX: 64 MiB.
const LONGEST_SHEET: u64 = 64 * 1024 * 1024;

/// A row that cannot be imported.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub(super) struct Bad {
    pub line: u64,
    /// As the file calls it.
    pub column: Option<String>,
    pub problem: String,
}

impl Bad {
    pub fn new(line: u64, column: Option<&str>, problem: impl Into<String>) -> Self {
        Self { line, column: column.map(str::to_owned), problem: problem.into() }
    }
}

impl std::fmt::Display for Bad {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}: {}", self.line, self.problem)
    }
}

/// A row as it is in the file.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub line: u64,
    pub fields: BTreeMap<String, String>,
    /// Columns whose cell is a number: leading zeros, if it had any, are gone.
    pub numbers: BTreeSet<String>,
}

impl Record {
    /// A field, empty where the row has none.
    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).map(String::as_str).unwrap_or_default()
    }

    /// A field, where the row has it.
    pub fn some(&self, name: &str) -> Option<String> {
        Some(self.field(name).to_owned()).filter(|text| !text.is_empty())
    }
}

/// A file.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub header: Vec<String>,
    pub records: Vec<Record>,
    pub bad: Vec<Bad>,
    /// Was it said which column is which? Then others are left alone.
    pub mapped: bool,
}

/// Reads a file; what it is shows in its first bytes. `map` names columns: ours, and the file's.
pub(super) fn read(mut input: impl Read, map: &[(String, String)]) -> anyhow::Result<Table> {
    let mut first = [0; 4];
    let mut filled = 0;
    while filled < first.len() {
        match input.read(&mut first[filled..]).context("it cannot be read")? {
            0 => break,
            read => filled += read,
        }
    }
    let whole = Cursor::new(first[..filled].to_vec()).chain(input);
    let mut table = if first == *b"PK\x03\x04" { sheet(whole)? } else { csv(whole)? };
    let mut seen = BTreeSet::new();
    if let Some(twice) = table.header.iter().find(|name| !name.is_empty() && !seen.insert(name.as_str())) {
        bail!("line 1: the column `{twice}` is there twice");
    }
    for (ours, theirs) in map {
        if !table.header.contains(theirs) {
            bail!("line 1: no column is called `{theirs}`; there are: {}", table.header.join(", "));
        }
        if table.header.contains(ours) && ours != theirs {
            bail!(
                "line 1: a column is called `{ours}` already; take it out, or leave `--map {ours}={theirs}` out"
            );
        }
    }
    let name_of =
        |name: &String| map.iter().find(|(_, theirs)| theirs == name).map_or(name, |(ours, _)| ours).clone();
    table.mapped = !map.is_empty();
    table.header = table.header.iter().map(name_of).collect();
    for record in &mut table.records {
        record.fields = std::mem::take(&mut record.fields)
            .into_iter()
            .map(|(name, text)| (name_of(&name), text))
            .collect();
        record.numbers = record.numbers.iter().map(name_of).collect();
    }
    Ok(table)
}

fn csv(input: impl Read) -> anyhow::Result<Table> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(Limited::new(input));
    let header: Vec<String> = reader
        .headers()
        .context("line 1 cannot be read")?
        .iter()
        .map(|name| name.trim_start_matches('\u{feff}').to_owned())
        .collect();
    let mut table = Table { header, ..Table::default() };
    let mut record = csv::StringRecord::new();
    loop {
        let line = reader.position().line();
        match reader.read_record(&mut record) {
            Ok(false) => return Ok(table),
            Ok(true) if record.len() != table.header.len() => {
                let line = record.position().map_or(line, csv::Position::line);
                let problem = format!("has {} fields, the header has {}", record.len(), table.header.len());
                table.bad.push(Bad::new(line, None, problem));
            }
            Ok(true) => {
                let line = record.position().map_or(line, csv::Position::line);
                let texts = record.iter().map(|field| field.trim().to_owned());
                let fields = table.header.iter().cloned().zip(texts).collect();
                table.records.push(Record { line, fields, numbers: BTreeSet::new() });
            }
            Err(error) => match error.kind() {
                csv::ErrorKind::Utf8 { .. } => {
                    table.bad.push(Bad::new(line, None, "is not UTF-8; save the file as UTF-8"));
                }
                _ => bail!("line {line}: {error}"),
            },
        }
    }
}

fn sheet(input: impl Read) -> anyhow::Result<Table> {
    let mut bytes = Vec::new();
    input.take(LONGEST_SHEET + 1).read_to_end(&mut bytes).context("it cannot be read")?;
    if bytes.len() as u64 > LONGEST_SHEET {
        bail!("the file is longer than {LONGEST_SHEET} bytes; split it, or save it as CSV");
    }
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).context("it is no XLSX that can be read")?;
    let range =
        book.worksheet_range_at(0).context("it has no sheet")?.context("its first sheet cannot be read")?;
    let (first_row, first_column) = range.start().unwrap_or_default();
    let mut rows = range.rows();
    let header =
        rows.next().unwrap_or_default().iter().map(|cell| text(cell).unwrap_or_default().trim().to_owned());
    let mut table = Table { header: header.collect(), ..Table::default() };
    'rows: for (row, cells) in (u64::from(first_row) + 2..).zip(rows) {
        if cells.iter().all(|cell| *cell == Data::Empty) {
            continue;
        }
        let mut record = Record { line: row, ..Record::default() };
        for (column, (name, cell)) in (first_column..).zip(table.header.iter().zip(cells)) {
            match text(cell) {
                Ok(text) => {
                    if matches!(cell, Data::Int(_) | Data::Float(_)) {
                        record.numbers.insert(name.clone());
                    }
                    record.fields.insert(name.clone(), text.trim().to_owned());
                }
                Err(problem) => {
                    let problem = format!("the cell {}{row} {problem}", letters(column));
                    table.bad.push(Bad::new(row, Some(name), problem));
                    continue 'rows;
                }
            }
        }
        table.records.push(record);
    }
    Ok(table)
}

/// What a cell shows.
fn text(cell: &Data) -> Result<String, String> {
    Ok(match cell {
        Data::Empty => String::new(),
        Data::String(text) | Data::DateTimeIso(text) | Data::DurationIso(text) => text.clone(),
        Data::Int(number) => number.to_string(),
        Data::Float(number) => shown(*number),
        Data::Bool(truth) => truth.to_string(),
        Data::DateTime(at) => {
            let (year, month, day, hour, minute, second, _) = at.to_ymd_hms_milli();
            if (hour, minute, second) == (0, 0, 0) {
                format!("{year:04}-{month:02}-{day:02}")
            } else {
                format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
            }
        }
        Data::Error(error) => {
            return Err(format!("is an error ({error}); mend its formula, or write the value"));
        }
    })
}

/// A sheet's number to 15 significant digits, without exponent: text from the first digit to the last.
fn shown(number: f64) -> String {
    let scientific = format!("{number:.14e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let digits = mantissa.replace('.', "");
    let Ok(exponent) = exponent.parse::<i32>() else { return scientific };
    let point = exponent + 1;
    let (whole, fraction) = match usize::try_from(point) {
        Ok(point) if point >= digits.len() => {
            (format!("{digits}{}", "0".repeat(point - digits.len())), String::new())
        }
        Ok(point) if point > 0 => (digits[..point].to_owned(), digits[point..].to_owned()),
        _ => ("0".to_owned(), format!("{}{digits}", "0".repeat(point.unsigned_abs() as usize))),
    };
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// `A`, `B`, … `AA`.
fn letters(mut column: u32) -> String {
    let mut name = String::new();
    loop {
        name.insert(0, char::from(b'A' + u8::try_from(column % 26).unwrap_or(0)));
        if column < 26 {
            return name;
        }
        column = column / 26 - 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheets_number_is_what_it_shows_and_nothing_is_calculated() {
        for (number, text) in [
            (0.1 + 0.2, "0.3"),
            (0.1, "0.1"),
            (1e-6, "0.000001"),
            (0.000_000_1, "0.0000001"),
            (4_006_381_333_931.0, "4006381333931"),
            (-12.5, "-12.5"),
            (0.0, "0"),
            (1e20, "100000000000000000000"),
            (999_999_999.999_999, "999999999.999999"),
            (1.0, "1"),
        ] {
            assert_eq!(shown(number), text);
        }
        assert_eq!([0, 25, 26, 701, 702].map(letters), ["A", "Z", "AA", "ZZ", "AAA"]);
    }
}
