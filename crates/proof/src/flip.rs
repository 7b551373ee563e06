//! Flips one bit of one value of one row of a database, by SQL: what a bad disk or a stray write does.

use std::path::Path;

use anyhow::{Context as _, Result};
use rusqlite::Connection;
use rusqlite::types::Value;

use crate::random::Random;

/// What was flipped, and what the row was found by.
#[derive(Clone, Debug)]
pub struct Flip {
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
    /// What it said, and what it says.
    pub change: String,
}

/// Flips a bit: every table alike, then every row, every value, every bit. None where the row as it would be is there already.
pub fn flip(path: &Path, random: &mut Random) -> Result<Option<Flip>> {
    let connection = Connection::open(path)?;
    let tables = strings(
        &connection,
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0 ORDER BY name",
    )?;
    let table = tables.get(random.index(tables.len())).context("it has tables")?.clone();
    let rows: i64 = connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?;
    let rows = u64::try_from(rows)?;
    if rows == 0 {
        return Ok(None);
    }
    let columns =
        strings(&connection, &format!("SELECT name FROM pragma_table_info('{table}') ORDER BY cid"))?;
    let keys = strings(&connection, &format!("SELECT name FROM pragma_table_info('{table}') WHERE pk > 0"))?;
    let select = format!("SELECT {} FROM {table} LIMIT 1 OFFSET {}", columns.join(", "), random.below(rows));
    let row: Vec<Value> =
        connection.query_row(&select, [], |row| (0..columns.len()).map(|index| row.get(index)).collect())?;
    let at = random.index(columns.len());
    let Some((set, change)) = flipped(&row[at], random) else { return Ok(None) };
    let found: Vec<String> = columns
        .iter()
        .zip(&row)
        .filter(|(column, _)| keys.contains(column))
        .map(|(column, value)| format!("{column} = {}", literal(value)))
        .collect();
    let column = columns[at].clone();
    let update = format!("UPDATE {table} SET {column} = {set} WHERE {}", found.join(" AND "));
    match connection.execute(&update, []) {
        Ok(1) => Ok(Some(Flip { table, column, change })),
        // Two rows of one key cannot be, nor a value that its column's type turns back.
        Ok(_) | Err(_) => Ok(None),
    }
}

fn strings(connection: &Connection, sql: &str) -> Result<Vec<String>> {
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The value with one bit flipped, as SQL; and what became of what.
fn flipped(value: &Value, random: &mut Random) -> Option<(String, String)> {
    match value {
        Value::Integer(number) => {
            let other = number ^ (1 << random.below(64));
            Some((other.to_string(), format!("{number} → {other}")))
        }
        Value::Blob(bytes) => bytes_flipped(bytes, "BLOB", random),
        Value::Text(text) => bytes_flipped(text.as_bytes(), "TEXT", random),
        Value::Null | Value::Real(_) => None,
    }
}

fn bytes_flipped(bytes: &[u8], kind: &str, random: &mut Random) -> Option<(String, String)> {
    if bytes.is_empty() {
        return None;
    }
    let mut bytes = bytes.to_vec();
    let (at, bit) = (random.index(bytes.len()), random.below(8));
    bytes[at] ^= 1 << bit;
    Some((format!("CAST({} AS {kind})", hex(&bytes)), format!("bit {bit} of byte {at} of {}", bytes.len())))
}

fn literal(value: &Value) -> String {
    match value {
        Value::Integer(number) => number.to_string(),
        Value::Text(text) => format!("CAST({} AS TEXT)", hex(text.as_bytes())),
        Value::Blob(bytes) => hex(bytes),
        Value::Null | Value::Real(_) => "NULL".to_owned(),
    }
}

fn hex(bytes: &[u8]) -> String {
    format!("x'{}'", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}
