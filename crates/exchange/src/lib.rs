//! Files in and out: items, locations, stock and orders as CSV or XLSX, the log as JSON lines or Parquet.
//!
//! What a column means is said here once, for the API and the command line. A file is never trusted: it is read within
//! bounds of size, rows and unpacked bytes, and what is wrong with it is said by line and column. What may be done is
//! decided by the ledger; here it is only asked.

pub mod export;
pub mod import;
mod lists;
pub mod log;

pub use onhand_sheets::Limited;
