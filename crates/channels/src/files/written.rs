//! Files that we write: stock, and what became of a file that came.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Seek as _, Write as _};

use onhand_ledger::Quantity;
use onhand_sheets::{CsvRows, Workbook};

use super::settings::{Format, Settings};
use crate::arrived::Settled;

/// So many rows are made at a time.
const PART: usize = 10_000;

/// Numbers by listing and location, as a file that is at its beginning.
pub(super) fn stock(numbers: &BTreeMap<(&str, &str), Quantity>, settings: &Settings) -> Result<File, String> {
    let names: Vec<String> =
        ["sku", "location", "quantity"].into_iter().map(|ours| settings.theirs(ours).to_owned()).collect();
    let row = |((listing, location), quantity): (&(&str, &str), &Quantity)| {
        let mut shown = quantity.to_string();
        if settings.format == Format::Csv && settings.decimal != '.' {
            shown = shown.replace('.', &settings.decimal.to_string());
        }
        vec![(*listing).to_owned(), (*location).to_owned(), shown]
    };
    let mut file = tempfile::tempfile().map_err(|error| error.to_string())?;
    let mut numbers = numbers.iter();
    match settings.format {
        Format::Csv => {
            let mut rows = CsvRows::named(&names, settings.separator);
            loop {
                let part: Vec<Vec<String>> = numbers.by_ref().take(PART).map(row).collect();
                rows.add(&part);
                file.write_all(&rows.take()).map_err(|error| error.to_string())?;
                if part.is_empty() {
                    break;
                }
            }
        }
        Format::Xlsx => {
            let mut book =
                Workbook::named(names, vec![false, false, true]).map_err(|error| error.to_string())?;
            loop {
                let part: Vec<Vec<String>> = numbers.by_ref().take(PART).map(row).collect();
                book.add(&part).map_err(|error| error.to_string())?;
                if part.is_empty() {
                    break;
                }
            }
            book.finish(&mut file).map_err(|error| error.to_string())?;
        }
    }
    file.rewind().map_err(|error| error.to_string())?;
    Ok(file)
}

/// What became of a file: a row for all of it, then one for each row that was not taken.
pub(super) fn result(settled: &Settled) -> Result<File, String> {
    let names = ["line", "column", "result", "reason"].map(str::to_owned);
    let mut rows = CsvRows::named(&names, b',');
    let word = if settled.is_taken { "taken" } else { "not_taken" };
    rows.add(&[vec![String::new(), String::new(), word.to_owned(), settled.sentence.clone()]]);
    for refused in &settled.refused {
        let line = refused.line.map_or_else(String::new, |line| line.to_string());
        let column = refused.column.clone().unwrap_or_default();
        rows.add(&[vec![line, column, "refused".to_owned(), refused.reason.clone()]]);
    }
    let mut file = tempfile::tempfile().map_err(|error| error.to_string())?;
    file.write_all(&rows.take()).and_then(|()| file.rewind()).map_err(|error| error.to_string())?;
    Ok(file)
}
