//! What is kept of snapshots, beside the ledger: it decides no quantity before it is taken.

use std::collections::BTreeSet;

use onhand_ledger::{Instant, SystemId};
use onhand_store::{Note, StoreError};
use serde::de::DeserializeOwned;

use super::{Kept, Row, written};
use crate::systems::{STATUS, WorkerStatus};
use crate::view::View;

/// Rows are kept so many in a note.
const ROWS_IN_A_NOTE: usize = 1_000;
/// So many snapshots of a system are remembered that nothing becomes of any more.
const REMEMBERED: usize = 100;
/// The notes that name snapshots that something is to be done with, by their system's id: read by whoever looks for work. Each has
/// one of its own, so that whoever is done with one says nothing of another that comes meanwhile.
const OPEN: &str = "inbound";
/// The notes that say up to when systems have told all their documents, by their id.
const KNOWN_TO: &str = "known_to";

fn space(system: SystemId) -> String {
    format!("snapshot:{system}")
}

fn rows_space(system: SystemId) -> String {
    format!("snapshot_rows:{system}")
}

fn size_space(system: SystemId) -> String {
    format!("snapshot_size:{system}")
}

fn row_key(document: &str, part: usize) -> String {
    format!("{document}/{part:06}")
}

pub(super) fn parsed<T: DeserializeOwned>(space: &str, key: &str, body: &str) -> Result<T, StoreError> {
    serde_json::from_str(body).map_err(|error| StoreError::Damaged(format!("note {space}/{key}: {error}")))
}

fn read<T: DeserializeOwned>(view: &mut View<'_>, space: &str, key: &str) -> Result<Option<T>, StoreError> {
    view.note(space, key)?.map(|body| parsed(space, key, &body)).transpose()
}

/// A snapshot.
pub fn snapshot(view: &mut View<'_>, system: SystemId, document: &str) -> Result<Option<Kept>, StoreError> {
    read(view, &space(system), document)
}

/// The snapshots of a system that are kept, the earliest `as_of` first.
pub fn snapshots(view: &mut View<'_>, system: SystemId) -> Result<Vec<Kept>, StoreError> {
    let space = space(system);
    let mut all: Vec<Kept> = Vec::new();
    view.each_note(&space, |key, body| {
        all.push(parsed(&space, &key, &body)?);
        Ok(())
    })?;
    all.sort_by(|a, b| (a.as_of, &a.document).cmp(&(b.as_of, &b.document)));
    Ok(all)
}

/// To keep a snapshot, in place of what was kept of it.
pub(super) fn note(system: SystemId, kept: &Kept) -> Note {
    written(&space(system), kept.document.clone(), kept)
}

/// To forget the oldest of those that nothing becomes of any more.
pub(super) fn forgotten(system: SystemId, all: &[Kept]) -> Vec<Note> {
    let mut over: Vec<&Kept> = all.iter().filter(|kept| !kept.state.is_open()).collect();
    over.sort_by_key(|kept| std::cmp::Reverse(kept.received_at));
    let gone = over.into_iter().skip(REMEMBERED);
    gone.map(|kept| Note { space: space(system), key: kept.document.clone(), body: None }).collect()
}

pub(super) fn row_notes(system: SystemId, document: &str, rows: &[Row]) -> Vec<Note> {
    let parts = rows.chunks(ROWS_IN_A_NOTE).enumerate();
    parts.map(|(part, rows)| written(&rows_space(system), row_key(document, part), &rows)).collect()
}

/// To forget the rows of a snapshot that has so many.
pub(super) fn no_rows(system: SystemId, document: &str, rows: usize) -> Vec<Note> {
    let gone = |part| Note { space: rows_space(system), key: row_key(document, part), body: None };
    (0..rows.div_ceil(ROWS_IN_A_NOTE)).map(gone).collect()
}

pub(super) fn rows(view: &mut View<'_>, system: SystemId, kept: &Kept) -> Result<Vec<Row>, StoreError> {
    let space = rows_space(system);
    let mut all = Vec::with_capacity(kept.rows);
    for part in 0..kept.rows.div_ceil(ROWS_IN_A_NOTE) {
        let key = row_key(&kept.document, part);
        let missing = || StoreError::Damaged(format!("the note {space}/{key} is not there"));
        all.extend(read::<Vec<Row>>(view, &space, &key)?.ok_or_else(missing)?);
    }
    Ok(all)
}

/// How many rows the newest snapshot of a location had that was whole and taken, and its time.
pub(super) fn size_before(
    view: &mut View<'_>,
    system: SystemId,
    location: &str,
) -> Result<Option<(Instant, usize)>, StoreError> {
    read(view, &size_space(system), location)
}

pub(super) fn size_note(system: SystemId, location: &str, as_of: Instant, rows: usize) -> Note {
    written(&size_space(system), location.to_owned(), &(as_of, rows))
}

/// Says that something is to be done with a snapshot, or no more.
pub(super) fn open_note(system: SystemId, document: &str, is_open: bool) -> Note {
    let body = is_open.then(|| "true".to_owned());
    let key = if document.is_empty() { system.to_string() } else { format!("{system}/{document}") };
    Note { space: OPEN.to_owned(), key, body }
}

/// The systems with a snapshot that something is to be done with.
pub fn open_systems(view: &mut View<'_>) -> Result<Vec<SystemId>, StoreError> {
    let mut systems: Vec<SystemId> = marks(view)?.into_iter().map(|(system, _)| system).collect();
    systems.dedup();
    Ok(systems)
}

/// Which snapshots are said to have something to be done with, in the order of their systems.
fn marks(view: &mut View<'_>) -> Result<Vec<(SystemId, String)>, StoreError> {
    let found = view.notes(OPEN, None, usize::MAX >> 1)?;
    let mut marks: Vec<(SystemId, String)> = found
        .into_iter()
        .filter_map(|(key, _)| {
            // Without a name: of a release that marked systems only.
            let (system, document) = key.split_once('/').unwrap_or((&key, ""));
            Some((SystemId(system.parse().ok()?), document.to_owned()))
        })
        .collect();
    marks.sort_unstable();
    Ok(marks)
}

/// To say of all snapshots of a system what is so, where a mark says otherwise.
pub(super) fn remarked(view: &mut View<'_>, system: SystemId, all: &[Kept]) -> Result<Vec<Note>, StoreError> {
    let marked = marks(view)?.into_iter().filter(|(of, _)| *of == system);
    let marked: BTreeSet<String> = marked.map(|(_, document)| document).collect();
    let open = all.iter().filter(|kept| kept.state.is_to_be_done());
    let open: BTreeSet<String> = open.map(|kept| kept.document.clone()).collect();
    let missing = open.difference(&marked).map(|document| open_note(system, document, true));
    let over = marked.difference(&open).map(|document| open_note(system, document, false));
    Ok(missing.chain(over).collect())
}

/// Up to when a system says that it has told all its documents.
pub(super) fn told_known_to(view: &mut View<'_>, system: SystemId) -> Result<Option<Instant>, StoreError> {
    read(view, KNOWN_TO, &system.to_string())
}

pub(super) fn known_to_note(system: SystemId, known_to: Instant) -> Note {
    written(KNOWN_TO, system.to_string(), &known_to)
}

/// Up to when all documents of a system are known: because it said so, or because they were read up to then.
pub fn documents_known_to(view: &mut View<'_>, system: SystemId) -> Result<Option<Instant>, StoreError> {
    let told = told_known_to(view, system)?;
    let read: Option<WorkerStatus> = read(view, STATUS, &system.to_string())?;
    Ok(told.max(read.and_then(|status| status.orders_known_to)))
}
