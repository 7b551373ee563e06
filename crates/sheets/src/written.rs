//! Rows as CSV or XLSX.

use std::io::{Seek, Write};

/// A column: its name, and whether what it has are quantities.
pub type Column = (&'static str, bool);

/// A sheet ends here: <https://support.microsoft.com/en-us/office/excel-specifications-and-limits-1672b34d-7043-467e-8e27-269d656771c3>.
const MOST_ROWS: u32 = 1_048_576;

/// Why a sheet cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SheetProblem {
    /// It would be too long.
    #[error("a sheet has at most {MOST_ROWS} rows; export it as CSV")]
    TooLong,
    /// It cannot be written.
    #[error("the sheet cannot be written: {0}")]
    Xlsx(#[from] rust_xlsxwriter::XlsxError),
}

/// Rows of CSV, some at a time.
#[derive(Debug)]
pub struct CsvRows {
    out: Vec<u8>,
    separator: u8,
}

impl CsvRows {
    /// Begins with the names of the columns.
    pub fn new(columns: &[Column]) -> Self {
        let names: Vec<String> = columns.iter().map(|(name, _)| (*name).to_owned()).collect();
        Self::named(&names, b',')
    }

    /// Begins with these names of columns, with this between fields.
    pub fn named(names: &[String], separator: u8) -> Self {
        let mut rows = Self { out: Vec::new(), separator };
        rows.add(&[names.to_vec()]);
        rows
    }

    /// Adds rows.
    pub fn add(&mut self, rows: &[Vec<String>]) {
        let mut writer = csv::WriterBuilder::new().delimiter(self.separator).from_writer(&mut self.out);
        for row in rows {
            writer.write_record(row).expect("rows of one width are written into memory");
        }
    }

    /// What was added since it was last taken.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }
}

/// A sheet in a file of its own while it is made: memory holds a row of it. Quantities are numbers, codes are text.
pub struct Workbook {
    book: rust_xlsxwriter::Workbook,
    /// Which of its columns are quantities.
    numbers: Vec<bool>,
    next: u32,
}

impl Workbook {
    /// A sheet with the names of the columns.
    pub fn new(columns: &[Column]) -> Result<Self, SheetProblem> {
        let (names, numbers): (Vec<String>, Vec<bool>) =
            columns.iter().map(|(name, is_number)| ((*name).to_owned(), *is_number)).unzip();
        Self::named(names, numbers)
    }

    /// A sheet with these names of columns, and which of them are quantities.
    pub fn named(names: Vec<String>, numbers: Vec<bool>) -> Result<Self, SheetProblem> {
        let mut book = rust_xlsxwriter::Workbook::new();
        book.add_worksheet_with_constant_memory()?;
        let mut workbook = Self { book, numbers, next: 0 };
        workbook.add(&[names])?;
        Ok(workbook)
    }

    /// Adds rows.
    pub fn add(&mut self, rows: &[Vec<String>]) -> Result<(), SheetProblem> {
        let sheet = self.book.worksheet_from_index(0)?;
        for row in rows {
            if self.next >= MOST_ROWS {
                return Err(SheetProblem::TooLong);
            }
            for (column, (text, is_number)) in (0_u16..).zip(row.iter().zip(&self.numbers)) {
                // A sheet's numbers have 15 digits: what has more stays text, and exact.
                let digits = text.bytes().filter(u8::is_ascii_digit).count();
                match text.parse::<f64>() {
                    Ok(number) if *is_number && digits <= 15 => {
                        sheet.write_number(self.next, column, number)?
                    }
                    _ if text.is_empty() => continue,
                    _ => sheet.write_string(self.next, column, text)?,
                };
            }
            self.next += 1;
        }
        Ok(())
    }

    /// Writes the file.
    pub fn finish(mut self, out: impl Write + Seek + Send) -> Result<(), SheetProblem> {
        Ok(self.book.save_to_writer(out)?)
    }

    /// How many rows it has below the names of the columns.
    pub const fn rows(&self) -> u32 {
        self.next.saturating_sub(1)
    }
}
