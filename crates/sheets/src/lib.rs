//! A file as rows of named fields, read and written within bounds: CSV, or the first sheet of an XLSX.
//!
//! What a column means is not its business, nor what becomes of a row. A file is never trusted: it is read within bounds of size, rows
//! and unpacked bytes, and what is wrong with it is said by line and column.

mod header;
mod limited;
mod table;
mod written;

pub use header::check_header;
pub use limited::Limited;
pub use table::{Bad, FileKind, MOST_ROWS, MOST_UNPACKED, Record, Table, read, read_those_there};
pub use written::{Column, CsvRows, SheetProblem, Workbook};

/// A file that cannot be read as what it is said to be: why, and where.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct FileProblem(pub String);
