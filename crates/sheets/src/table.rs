//! A file as rows of named fields: CSV or the first sheet of an XLSX, with columns named as the user says.
//!
//! Numbers of a sheet are binary in the file. They are read as the spreadsheet shows them, to 15 significant digits
//! (<https://learn.microsoft.com/en-us/office/troubleshoot/excel/floating-arithmetic-inaccurate-result>), as text, and
//! what is not exact then is an error like any other: nothing is calculated with them.
//!
//! Memory is bounded by [`MOST_ROWS`] and [`MOST_TEXT`], and while a sheet is read by [`MOST_UNPACKED`].

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::{BufReader, Read, Seek};
use std::panic::{AssertUnwindSafe, catch_unwind};

use calamine::{DataRef, Reader as _, Xlsx};
use serde::Serialize;

use crate::FileProblem;
use crate::limited::Limited;

/// The longest XLSX: 64 MiB.
const LONGEST_SHEET: u64 = 64 * 1024 * 1024;
/// How much an XLSX may hold once it is unpacked: 128 MiB. A small archive of a huge file is refused before it is read.
pub const MOST_UNPACKED: u64 = 128 * 1024 * 1024;
/// How many rows a file has at most.
pub const MOST_ROWS: usize = 1_000_000;
/// How much text its rows have at most in all: 256 MiB.
const MOST_TEXT: usize = 256 * 1024 * 1024;
/// How many columns a file has at most: as many as a sheet.
const MOST_COLUMNS: usize = 16_384;

/// What kind of file it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileKind {
    /// Text, UTF-8, with commas.
    Csv,
    /// A workbook, of which the first sheet is read.
    Xlsx,
}

/// A row that cannot be imported.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Bad {
    /// Its line in the file, or its row in the sheet.
    pub line: u64,
    /// As we call it.
    pub column: Option<String>,
    /// What is wrong, and what would be right.
    pub problem: String,
}

impl Bad {
    /// What is wrong in a line, and in which column of ours, where it is one.
    pub fn new(line: u64, column: Option<&str>, problem: impl Into<String>) -> Self {
        Self { line, column: column.map(str::to_owned), problem: problem.into() }
    }
}

impl std::fmt::Display for Bad {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}: {}", self.line, self.problem)
    }
}

/// A row, as small as it can be.
#[derive(Debug)]
struct Row {
    line: u64,
    text: Box<str>,
    /// Where each field ends.
    ends: Box<[u32]>,
    /// Columns whose cell is a number.
    numbers: Box<[u16]>,
}

/// A file.
#[derive(Debug, Default)]
pub struct Table {
    /// What its columns are called, by us where that was said.
    pub header: Vec<String>,
    columns: HashMap<String, usize>,
    rows: Vec<Row>,
    /// Rows that cannot be read.
    pub bad: Vec<Bad>,
    /// Was it said which column is which? Then others are left alone.
    pub mapped: bool,
    text: usize,
}

/// A row of a table.
#[derive(Clone, Copy, Debug)]
pub struct Record<'t> {
    table: &'t Table,
    row: &'t Row,
}

impl<'t> Record<'t> {
    /// Its line in the file, or its row in the sheet.
    pub const fn line(&self) -> u64 {
        self.row.line
    }

    /// Has the file such a column?
    pub fn has(&self, name: &str) -> bool {
        self.table.has(name)
    }

    /// A field, empty where the row has none.
    pub fn field(&self, name: &str) -> &'t str {
        let Some(column) = self.table.columns.get(name) else { return "" };
        let Some(end) = self.row.ends.get(*column) else { return "" };
        let start = column.checked_sub(1).map_or(0, |before| self.row.ends[before]);
        &self.row.text[start as usize..*end as usize]
    }

    /// A field, where the row has it.
    pub fn some(&self, name: &str) -> Option<String> {
        Some(self.field(name).to_owned()).filter(|text| !text.is_empty())
    }

    /// Is the cell a number? Leading zeros, if it had any, are gone then.
    pub fn is_number(&self, name: &str) -> bool {
        let column = self.table.columns.get(name);
        column.is_some_and(|column| self.row.numbers.iter().any(|number| usize::from(*number) == *column))
    }
}

impl Table {
    /// How many rows it has, those that cannot be read left out.
    #[expect(clippy::len_without_is_empty, reason = "nobody asks that")]
    pub const fn len(&self) -> usize {
        self.rows.len()
    }

    /// Has the file such a column?
    pub fn has(&self, column: &str) -> bool {
        self.columns.contains_key(column)
    }

    /// A row, by its place among those that can be read.
    ///
    /// # Panics
    ///
    /// Where there is no such row.
    pub fn record(&self, index: u32) -> Record<'_> {
        Record { table: self, row: &self.rows[index as usize] }
    }

    /// All rows that can be read, each with its place among them.
    pub fn records(&self) -> impl Iterator<Item = (u32, Record<'_>)> {
        (0..).zip(self.rows.iter().map(|row| Record { table: self, row }))
    }

    /// Knows these columns alone, each by what we call it: ours, and its place in the header, which stays as the file has it.
    pub fn keep(&mut self, columns: &[(&str, usize)]) {
        self.columns = columns.iter().map(|(ours, place)| ((*ours).to_owned(), *place)).collect();
        self.mapped = true;
        for bad in &mut self.bad {
            let place = self.header.iter().position(|name| bad.column.as_ref() == Some(name));
            if let Some((ours, _)) = columns.iter().find(|(_, kept)| Some(*kept) == place) {
                bad.column = Some((*ours).to_owned());
            }
        }
    }

    /// In how many rows there is something in a column, by its place in the header.
    pub fn filled(&self, place: usize) -> usize {
        let is_filled = |row: &&Row| {
            let end = row.ends.get(place).copied().unwrap_or_default();
            let start = place.checked_sub(1).and_then(|before| row.ends.get(before).copied());
            end > start.unwrap_or_default()
        };
        self.rows.iter().filter(is_filled).count()
    }

    fn has_room(&self) -> Result<(), FileProblem> {
        if self.rows.len() + self.bad.len() >= MOST_ROWS {
            return Err(FileProblem(format!("the file has more than {MOST_ROWS} rows; split it")));
        }
        Ok(())
    }

    fn push<'f>(
        &mut self,
        line: u64,
        fields: impl Iterator<Item = &'f str>,
        numbers: Vec<u16>,
    ) -> Result<(), FileProblem> {
        self.has_room()?;
        let (mut text, mut ends) = (String::new(), Vec::with_capacity(self.header.len()));
        for field in fields {
            text.push_str(field.trim());
            ends.push(u32::try_from(text.len()).unwrap_or(u32::MAX));
            if text.len() > MOST_TEXT {
                break;
            }
        }
        self.text += text.len() + 4 * ends.len();
        if self.text > MOST_TEXT {
            return Err(FileProblem(format!("the file has more than {MOST_TEXT} bytes of text; split it")));
        }
        self.rows.push(Row { line, text: text.into(), ends: ends.into(), numbers: numbers.into() });
        Ok(())
    }

    /// Names the columns as the user says: ours, and the file's.
    fn rename(&mut self, map: &[(String, String)]) -> Result<(), FileProblem> {
        let mut seen = BTreeSet::new();
        if let Some(twice) = self.header.iter().find(|name| !name.is_empty() && !seen.insert(name.as_str())) {
            return Err(FileProblem(format!("line 1: the column `{twice}` is there twice")));
        }
        for (ours, theirs) in map {
            if !self.header.contains(theirs) {
                let there = self.header.join(", ");
                return Err(FileProblem(format!(
                    "line 1: no column is called `{theirs}`; there are: {there}"
                )));
            }
            if self.header.contains(ours) && ours != theirs {
                return Err(FileProblem(format!(
                    "line 1: a column is called `{ours}` already; take it out, or leave `{ours}={theirs}` out of what is mapped"
                )));
            }
        }
        self.mapped = !map.is_empty();
        for name in &mut self.header {
            if let Some((ours, _)) = map.iter().find(|(_, theirs)| theirs == name) {
                name.clone_from(ours);
            }
        }
        let columns = self.header.iter().enumerate().map(|(column, name)| (name.clone(), column));
        self.columns = columns.collect();
        let renamed: HashMap<&str, &str> =
            map.iter().map(|(ours, theirs)| (theirs.as_str(), ours.as_str())).collect();
        for bad in &mut self.bad {
            if let Some(ours) = bad.column.as_deref().and_then(|column| renamed.get(column)) {
                bad.column = Some((*ours).to_owned());
            }
        }
        Ok(())
    }
}

/// Reads a file, at its beginning; what kind it is its first bytes show, where it is not told. `map` says which column of the file is
/// which of ours: ours, and the file's. Fields of CSV have commas between them.
pub fn read(
    input: impl Read + Seek,
    kind: Option<FileKind>,
    map: &[(String, String)],
) -> Result<Table, FileProblem> {
    let mut table = unnamed(input, kind, b',')?;
    table.rename(map)?;
    Ok(table)
}

/// As [`read`], of CSV with another separator, and of what is mapped only those columns that the file has.
pub fn read_those_there(
    input: impl Read + Seek,
    separator: u8,
    map: &[(String, String)],
) -> Result<Table, FileProblem> {
    let mut table = unnamed(input, None, separator)?;
    let there: Vec<_> = map.iter().filter(|(_, theirs)| table.header.contains(theirs)).cloned().collect();
    table.rename(&there)?;
    Ok(table)
}

fn unnamed(mut input: impl Read + Seek, kind: Option<FileKind>, separator: u8) -> Result<Table, FileProblem> {
    let cannot = |error: std::io::Error| FileProblem(format!("it cannot be read: {error}"));
    let kind = match kind {
        Some(kind) => kind,
        None => {
            let mut first = Vec::new();
            input.by_ref().take(4).read_to_end(&mut first).map_err(cannot)?;
            input.rewind().map_err(cannot)?;
            if first == b"PK\x03\x04" { FileKind::Xlsx } else { FileKind::Csv }
        }
    };
    Ok(match kind {
        FileKind::Csv => csv(input, separator)?,
        // What reads sheets for us panics at some that nobody's spreadsheet writes: places beyond all numbers, say.
        FileKind::Xlsx => catch_unwind(AssertUnwindSafe(|| sheet(input))).unwrap_or_else(|_| {
            Err(FileProblem(
                "it is no XLSX that can be read: a cell has a place that there is not".to_owned(),
            ))
        })?,
    })
}

/// A row of its own behind a file's last: where it does not come by itself, a quote was left open.
const END: &str = "\u{1a}";

fn csv(input: impl Read, separator: u8) -> Result<Table, FileProblem> {
    let end = format!("\n{END}\n").into_bytes();
    let input = Newlines::new(Limited::new(input)).chain(std::io::Cursor::new(end));
    let mut reader =
        csv::ReaderBuilder::new().delimiter(separator).flexible(true).has_headers(false).from_reader(input);
    let mut table = Table::default();
    let mut record = csv::StringRecord::new();
    let mut is_header = true;
    loop {
        let before = reader.position().line();
        let is_there = match reader.read_record(&mut record) {
            Ok(is_there) => is_there,
            Err(error) => match error.kind() {
                csv::ErrorKind::Utf8 { .. } if !is_header => {
                    table.has_room()?;
                    table.bad.push(Bad::new(before, None, "is not UTF-8; save the file as UTF-8"));
                    continue;
                }
                csv::ErrorKind::Utf8 { .. } => {
                    return Err(FileProblem("line 1 is not UTF-8; save the file as UTF-8".to_owned()));
                }
                _ => return Err(FileProblem(format!("line {before}: {error}"))),
            },
        };
        if is_there && record.len() == 1 && record.get(0) == Some(END) {
            return Ok(table);
        }
        let inside: usize = record.iter().map(|field| field.matches('\n').count()).sum();
        let line = reader.position().line().saturating_sub(inside as u64 + 1);
        if !is_there || record.iter().next_back().is_some_and(|field| field.ends_with(&format!("\n{END}\n")))
        {
            // No end of its line was read.
            let line = line + 1;
            let problem =
                format!("line {line}: a quote is opened in the row that begins here, and never closed");
            return Err(FileProblem(problem));
        }
        if is_header {
            is_header = false;
            let names = record.iter().map(|name| name.trim_start_matches('\u{feff}').to_owned());
            table.header = names.collect();
            if table.header.len() > MOST_COLUMNS {
                return Err(FileProblem(format!("line 1: there are more than {MOST_COLUMNS} columns")));
            }
        } else if record.len() == table.header.len() {
            table.push(line, record.iter(), Vec::new())?;
        } else {
            table.has_room()?;
            let problem = format!("has {} fields, the header has {}", record.len(), table.header.len());
            table.bad.push(Bad::new(line, None, problem));
        }
    }
}

/// Ends every line with `\n` alone, however the file does: so that lines can be counted.
struct Newlines<R> {
    inner: R,
    after_return: bool,
}

impl<R> Newlines<R> {
    const fn new(inner: R) -> Self {
        Self { inner, after_return: false }
    }
}

impl<R: Read> Read for Newlines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            let read = self.inner.read(buffer)?;
            let mut kept = 0;
            for index in 0..read {
                let byte = buffer[index];
                let is_second = byte == b'\n' && self.after_return;
                self.after_return = byte == b'\r';
                if !is_second {
                    buffer[kept] = if self.after_return { b'\n' } else { byte };
                    kept += 1;
                }
            }
            // A lone `\n` of a pair is nothing, and not the end.
            if kept > 0 || read == 0 {
                return Ok(kept);
            }
        }
    }
}

/// Unpacks all of it once into nothing: what its directory says of sizes is anybody's word.
fn check_unpacked(input: &mut (impl Read + Seek)) -> Result<(), FileProblem> {
    let no_xlsx =
        |error: &dyn std::fmt::Display| FileProblem(format!("it is no XLSX that can be read: {error}"));
    let mut archive = zip::ZipArchive::new(BufReader::new(input)).map_err(|error| no_xlsx(&error))?;
    let mut left = MOST_UNPACKED;
    for index in 0..archive.len() {
        let part = archive.by_index(index).map_err(|error| no_xlsx(&error))?;
        let unpacked = std::io::copy(&mut part.take(left + 1), &mut std::io::sink());
        let unpacked = unpacked.map_err(|error| no_xlsx(&error))?;
        left = left.checked_sub(unpacked).ok_or_else(|| {
            FileProblem(format!(
                "the sheet holds more than {MOST_UNPACKED} bytes once it is unpacked; split it, or save it as CSV"
            ))
        })?;
    }
    Ok(())
}

fn sheet(mut input: impl Read + Seek) -> Result<Table, FileProblem> {
    let cannot = |error: std::io::Error| FileProblem(format!("it cannot be read: {error}"));
    if input.seek(std::io::SeekFrom::End(0)).map_err(cannot)? > LONGEST_SHEET {
        return Err(FileProblem(format!(
            "the file is longer than {LONGEST_SHEET} bytes; split it, or save it as CSV"
        )));
    }
    check_unpacked(&mut input)?;
    let no_xlsx =
        |error: calamine::XlsxError| FileProblem(format!("it is no XLSX that can be read: {error}"));
    let mut book: Xlsx<_> = Xlsx::new(BufReader::new(input)).map_err(no_xlsx)?;
    let name = book.sheet_names().first().cloned();
    let name = name.ok_or_else(|| FileProblem("it has no sheet".to_owned()))?;
    let mut formulas = HashSet::new();
    let mut cells = book.worksheet_cells_reader(&name).map_err(no_xlsx)?;
    while let Some(cell) = cells.next_formula().map_err(no_xlsx)? {
        formulas.insert(cell.get_position());
    }
    drop(cells);
    let mut cells = book.worksheet_cells_reader(&name).map_err(no_xlsx)?;
    let mut table = Table::default();
    let mut row = SheetRow::default();
    let mut first_row = None;
    while let Some(cell) = cells.next_cell().map_err(no_xlsx)? {
        let (number, column) = cell.get_position();
        let value = cell.get_value();
        let is_empty = match value {
            DataRef::Empty => true,
            DataRef::String(text) => text.is_empty(),
            DataRef::SharedString(text) => text.is_empty(),
            _ => false,
        };
        // A program that is no spreadsheet writes formulas and not what they come to: that is not nothing.
        let is_unknown = is_empty && formulas.contains(&(number, column));
        if is_empty && !is_unknown {
            continue;
        }
        if column as usize >= MOST_COLUMNS {
            return Err(FileProblem(format!("there are more than {MOST_COLUMNS} columns")));
        }
        let header_row = *first_row.get_or_insert(number);
        if number == header_row && table.rows.is_empty() {
            let column = column as usize;
            if table.header.len() <= column {
                table.header.resize(column + 1, String::new());
            }
            text(value).unwrap_or_default().trim().clone_into(&mut table.header[column]);
            continue;
        }
        if row.number != Some(number) {
            if row.number.is_some_and(|before| before > number) || number < header_row {
                return Err(FileProblem(format!("its row {} comes out of order", number + 1)));
            }
            row.end(&mut table)?;
            row.number = Some(number);
        }
        if is_unknown {
            row.refuse(column as usize, "has a formula without its value; open the file in a spreadsheet program and save it, or write the value", &table.header);
        } else {
            row.add(column as usize, value, &table.header);
        }
    }
    row.end(&mut table)?;
    Ok(table)
}

/// A row of a sheet whose cells are coming.
#[derive(Default)]
struct SheetRow {
    number: Option<u32>,
    fields: Vec<String>,
    numbers: Vec<u16>,
    bad: Option<Bad>,
}

impl SheetRow {
    fn add(&mut self, column: usize, value: &DataRef<'_>, header: &[String]) {
        if column >= header.len() {
            return;
        }
        match text(value) {
            Ok(text) => {
                if self.fields.len() <= column {
                    self.fields.resize(column + 1, String::new());
                }
                self.fields[column] = text;
                if matches!(value, DataRef::Int(_) | DataRef::Float(_)) {
                    self.numbers.extend(u16::try_from(column));
                }
            }
            Err(problem) => self.refuse(column, &problem, header),
        }
    }

    /// A cell that cannot be read makes its row one.
    fn refuse(&mut self, column: usize, problem: &str, header: &[String]) {
        let Some(name) = header.get(column) else { return };
        let line = u64::from(self.number.unwrap_or_default()) + 1;
        let problem = format!("the cell {}{line} {problem}", letters(column));
        self.bad.get_or_insert(Bad::new(line, Some(name), problem));
    }

    fn end(&mut self, table: &mut Table) -> Result<(), FileProblem> {
        let Self { number: Some(number), mut fields, numbers, bad } = std::mem::take(self) else {
            return Ok(());
        };
        if let Some(bad) = bad {
            table.has_room()?;
            table.bad.push(bad);
            return Ok(());
        }
        fields.resize(table.header.len(), String::new());
        table.push(u64::from(number) + 1, fields.iter().map(String::as_str), numbers)
    }
}

/// What a cell shows.
fn text(cell: &DataRef<'_>) -> Result<String, String> {
    Ok(match cell {
        DataRef::Empty => String::new(),
        DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => text.clone(),
        DataRef::SharedString(text) => (*text).to_owned(),
        DataRef::Int(number) => number.to_string(),
        DataRef::Float(number) => shown(*number),
        DataRef::Bool(truth) => truth.to_string(),
        DataRef::DateTime(at) => {
            let (year, month, day, hour, minute, second, _) = at.to_ymd_hms_milli();
            if (hour, minute, second) == (0, 0, 0) {
                format!("{year:04}-{month:02}-{day:02}")
            } else {
                format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
            }
        }
        DataRef::Error(error) => {
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
fn letters(mut column: usize) -> String {
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
    use std::io::{Cursor, Write as _};

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

    /// A workbook with a first sheet of these rows, in XML as it would be.
    fn workbook(rows: &str) -> Vec<u8> {
        let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default();
        let main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
        let relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
        let package = "http://schemas.openxmlformats.org/package/2006/relationships";
        for (name, text) in [
            (
                "_rels/.rels",
                format!(
                    "<Relationships xmlns=\"{package}\"><Relationship Id=\"r\" Type=\"{relations}/officeDocument\" \
                     Target=\"xl/workbook.xml\"/></Relationships>"
                ),
            ),
            (
                "xl/workbook.xml",
                format!(
                    "<workbook xmlns=\"{main}\" xmlns:r=\"{relations}\"><sheets><sheet name=\"S\" sheetId=\"1\" \
                     r:id=\"s\"/></sheets></workbook>"
                ),
            ),
            (
                "xl/_rels/workbook.xml.rels",
                format!(
                    "<Relationships xmlns=\"{package}\"><Relationship Id=\"s\" Type=\"{relations}/worksheet\" \
                     Target=\"worksheets/sheet1.xml\"/></Relationships>"
                ),
            ),
            (
                "xl/worksheets/sheet1.xml",
                format!("<worksheet xmlns=\"{main}\"><sheetData>{rows}</sheetData></worksheet>"),
            ),
        ] {
            archive.start_file(name, options).unwrap();
            archive.write_all(text.as_bytes()).unwrap();
        }
        archive.finish().unwrap().into_inner()
    }

    fn cell(place: &str, text: &str) -> String {
        format!("<c r=\"{place}\" t=\"inlineStr\"><is><t>{text}</t></is></c>")
    }

    #[test]
    fn a_small_archive_of_a_huge_sheet_is_refused_before_it_is_read() {
        let header = format!("<row r=\"1\">{}</row>", cell("A1", "sku"));
        let small = workbook(&format!("{header}<row r=\"2\">{}</row>", cell("A2", "MUG")));
        let table = read(Cursor::new(small), None, &[]).unwrap();
        assert_eq!((table.len(), table.record(0).field("sku"), table.record(0).line()), (1, "MUG", 2));
        let bomb = workbook(&(header.clone() + &" ".repeat(usize::try_from(MOST_UNPACKED).unwrap())));
        assert!(bomb.len() < 1024 * 1024, "{} bytes", bomb.len());
        let problem = read(Cursor::new(bomb), None, &[]).unwrap_err().0;
        assert!(problem.contains("more than 134217728 bytes once it is unpacked"), "{problem}");
        // Two cells at the corners of a sheet are two cells, not seventeen thousand million.
        let far = format!("{header}<row r=\"1048576\">{}</row>", cell("A1048576", "FAR"));
        let table = read(Cursor::new(workbook(&far)), None, &[]).unwrap();
        assert_eq!((table.len(), table.record(0).line()), (1, 1_048_576));
        let wide =
            format!("{header}<row r=\"2\">{}{}</row>", cell("A2", "MUG"), cell("XFD2", "beyond the header"));
        assert_eq!(read(Cursor::new(workbook(&wide)), None, &[]).unwrap().record(0).field("sku"), "MUG");
        let back =
            format!("{header}<row r=\"3\">{}</row><row r=\"2\">{}</row>", cell("A3", "A"), cell("A2", "B"));
        assert!(read(Cursor::new(workbook(&back)), None, &[]).unwrap_err().0.contains("out of order"));
        assert!(
            read(Cursor::new(b"PK\x03\x04nonsense".to_vec()), None, &[]).unwrap_err().0.contains("no XLSX")
        );
    }

    #[test]
    fn a_sheet_that_somebody_made_up_is_read_or_refused() {
        let header = format!("<row r=\"1\">{}{}</row>", cell("A1", "sku"), cell("B1", "name"));
        for row in [
            "<row r=\"2\"><c r=\"A2\" t=\"s\"><v>7</v></c></row>",
            "<row r=\"2\"><c r=\"A2\" t=\"s\"><v>-1</v></c></row>",
            "<row r=\"2\"><c r=\"A2\" t=\"s\"><v>x</v></c></row>",
            "<row r=\"2\"><c><v>1</v></c><c><v>2</v></c></row>",
            "<row><c><v>1</v></c></row>",
            "<row r=\"2\"><c r=\"\"><v>1</v></c></row>",
            "<row r=\"2\"><c r=\"2A\"><v>1</v></c></row>",
            "<row r=\"2\"><c r=\"A0\"><v>1</v></c></row>",
            "<row r=\"0\"><c r=\"A2\"><v>1</v></c></row>",
            "<row r=\"2\"><c r=\"ZZZZZZZZ2\"><v>1</v></c></row>",
            "<row r=\"2\"><c r=\"A99999999999999999999\"><v>1</v></c></row>",
            "<row r=\"4294967295\"><c r=\"A4294967295\"><v>1</v></c></row>",
            "<row r=\"2\"><c r=\"A2\"><v>1e400</v></c></row>",
            "<row r=\"2\"><c r=\"A2\"><v>NaN</v></c></row>",
            "<row r=\"2\"><c r=\"A2\" t=\"e\"><v>#DIV/0!</v></c></row>",
            "<row r=\"2\"><c r=\"A2\" t=\"e\"><v>nonsense</v></c></row>",
            "<row r=\"2\"><c r=\"A2\" t=\"d\"><v>yesterday</v></c></row>",
            "<row r=\"2\"><c r=\"A2\" s=\"99\"><v>1</v></c></row>",
            "<row r=\"2\"><c r=\"A2\"><f>A1</f></c></row>",
            "<row r=\"2\"><c r=\"A2\"><v>1</v>",
        ] {
            let told = read(Cursor::new(workbook(&format!("{header}{row}"))), None, &[]);
            match told {
                Ok(table) => assert!(table.len() + table.bad.len() <= 1, "{row}: {table:?}"),
                Err(problem) => assert!(
                    problem.0.contains("no XLSX")
                        || problem.0.contains("columns")
                        || problem.0.contains("order"),
                    "{row}: {problem}"
                ),
            }
        }
    }

    fn lines_of(file: &str) -> (Vec<u64>, Vec<u64>) {
        let table = read(Cursor::new(file.as_bytes()), Some(FileKind::Csv), &[]).unwrap();
        let rows = table.records().map(|(_, record)| record.line()).collect();
        (rows, table.bad.iter().map(|bad| bad.line).collect())
    }

    #[test]
    fn a_row_is_on_the_line_where_it_begins_however_lines_end() {
        let file = "sku,name\nA,a\n\n\nB,\"two\nlines\"\nC\nD,d";
        for end in ["\n", "\r\n", "\r"] {
            for last in ["", end] {
                let file = file.replace('\n', end) + last;
                assert_eq!(lines_of(&file), (vec![2, 5, 8], vec![7]), "{file:?}");
            }
        }
        assert_eq!(lines_of(""), (vec![], vec![]));
        assert_eq!(lines_of("\u{feff}sku,name\r\nA,a\r\n"), (vec![2], vec![]));
    }

    #[test]
    fn a_file_that_ends_inside_quotes_is_named_by_the_line_and_not_imported() {
        for (file, line) in [
            ("sku,name\nA,a\nB,\"cut of", 3),
            ("sku,name\r\nA,a\r\nB,\"cut of\r\n", 3),
            ("sku,name\nA,\"a\nB,b\nC,c\n", 2),
            ("sku,\"name\nA,a\n", 1),
        ] {
            let problem = read(Cursor::new(file.as_bytes()), Some(FileKind::Csv), &[]).unwrap_err();
            let FileProblem(said) = problem;
            assert!(said.starts_with(&format!("line {line}: a quote is opened")), "{file:?}: {said}");
        }
    }

    #[test]
    fn a_file_of_too_many_rows_is_refused() {
        let rows = "x\n".repeat(MOST_ROWS + 2);
        let problem = read(Cursor::new(rows.into_bytes()), None, &[]).unwrap_err().0;
        assert!(problem.contains("more than 1000000 rows"), "{problem}");
    }
}
