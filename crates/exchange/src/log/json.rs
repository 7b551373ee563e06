//! A record as a line of JSON.

use std::io::{self, Write};

use onhand_ledger::{Entry, Record, Seq};
use serde::Serialize;

/// What one command did. Quantities are exact decimals, times RFC 3339.
#[derive(Debug, Serialize)]
pub struct LogLine<'a> {
    /// Its first entry; the others follow without gaps.
    pub seq: Seq,
    /// When it was known.
    pub recorded_at: String,
    /// Who asked.
    pub actor: &'a str,
    /// The request's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<&'a str>,
    /// The outside document it comes from.
    pub document: Option<&'a str>,
    /// The paper that whoever asked named for it.
    pub reference: Option<&'a str>,
    /// What whoever asked said of it.
    pub note: Option<&'a str>,
    /// Its entries, as the change feed tells them.
    pub entries: &'a [Entry],
}

/// Writes a record.
pub fn write_line(out: &mut impl Write, first: Seq, record: &Record) -> io::Result<()> {
    let line = LogLine {
        seq: first,
        recorded_at: record.recorded_at.to_string(),
        actor: &record.actor,
        key: record.key.as_deref(),
        document: record.document.as_ref().map(|(_, document)| document.as_str()),
        reference: record.reference.as_deref(),
        note: record.note.as_deref(),
        entries: &record.entries,
    };
    serde_json::to_writer(&mut *out, &line)?;
    out.write_all(b"\n")
}

/// Writes where the log ended, so that a cut tail is found.
pub fn write_head(out: &mut impl Write, seq: Seq, hash: &[u8; 32]) -> io::Result<()> {
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    writeln!(out, "{}", serde_json::json!({ "head": { "seq": seq, "hash": hash } }))
}
