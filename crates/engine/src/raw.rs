//! Raw documents: what outside systems told of orders, names and addresses and all. No part of the ledger, which has opaque
//! references only.
//!
//! Kept sealed in notes, from the transaction that applies the document until its order is closed and [`KEPT_DAYS`] more; then
//! it is gone. Whoever asks to be forgotten is erased at once, and what their system tells again of those orders is not kept. Stock
//! is touched by none of it. Where there is no key to seal with nothing is kept.
//!
//! Gone means gone: the store overwrites these notes (SQLite's `secure_delete`), and copies by `onhand backup` have none of them.

use onhand_channels::Raw;
use onhand_ledger::model::Became;
use onhand_ledger::{Instant, Key, SystemId, TenantId, Value};
use onhand_store::{Note, StoreError};
use serde::{Deserialize, Serialize};

use crate::commit::Ledger;
use crate::open::open_of;
use crate::queue::{Handle, SubmitError};
use crate::seal::SealError;
use crate::view::View;

/// The notes that raw documents are kept in, sealed, by system and document.
pub const RAW: &str = "raw";
/// The notes that say since when a document's order is closed.
const CLOSED: &str = "raw_closed";
/// The notes that say that a document was erased, and is not to be kept again.
const ERASED: &str = "raw_erased";
/// So long they are kept once their order is closed.
pub const KEPT_DAYS: i64 = 30;
/// So many are looked at together.
const PAGE: usize = 200;
const DAY_SECONDS: i64 = 86_400;

/// A raw document as it is kept.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    told_at: Instant,
    raw: String,
}

/// Of which order.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Of {
    /// Whose document it is.
    pub system: SystemId,
    /// Its name there.
    pub document: String,
}

impl Of {
    fn key(&self) -> String {
        format!("{}/{}", self.system, self.document)
    }

    fn parse(key: &str) -> Result<Self, StoreError> {
        let parts = key.split_once('/');
        let of = parts.and_then(|(system, document)| Some((SystemId(system.parse().ok()?), document)));
        let (system, document) =
            of.ok_or_else(|| StoreError::Damaged(format!("note {RAW}/{key} is of no document")))?;
        Ok(Self { system, document: document.to_owned() })
    }
}

fn note(space: &str, of: &Of, body: Option<String>) -> Note {
    Note { space: space.to_owned(), key: of.key(), body }
}

/// The notes that keep a raw document, to be committed with what is applied of it: none where it was erased, or its order is closed and
/// nothing of it is kept any more.
pub fn notes(ledger: &Ledger, tenant: TenantId, of: &Of, raw: &Raw) -> Result<Vec<Note>, StoreError> {
    let is_to_be_kept = ledger.read(tenant, |view| {
        let is_erased = view.note(ERASED, &of.key())?.is_some();
        let is_over =
            view.get(&Key::Document(of.system, of.document.clone()))?.is_some() && is_closed(view, of)?;
        Ok::<_, StoreError>(!is_erased && (!is_over || view.note(RAW, &of.key())?.is_some()))
    });
    if !is_to_be_kept? {
        return Ok(Vec::new());
    }
    let kept = Kept { told_at: ledger.clock().now(), raw: raw.reveal().to_owned() };
    let plain = serde_json::to_vec(&kept).expect("a document can always be written");
    match ledger.seal().seal(tenant, RAW, &of.key(), &plain) {
        Ok(sealed) => Ok(vec![note(RAW, of, Some(sealed))]),
        Err(error) => {
            tracing::warn!(%error, "raw documents are not kept: they cannot be sealed");
            Ok(Vec::new())
        }
    }
}

/// A raw document, if one is kept; or why it does not open.
pub fn read(
    view: &mut View<'_>,
    ledger: &Ledger,
    of: &Of,
) -> Result<Option<Result<Raw, SealError>>, StoreError> {
    let Some(sealed) = view.note(RAW, &of.key())? else { return Ok(None) };
    let opened = open(ledger, view.tenant(), &of.key(), &sealed);
    Ok(Some(opened.map(|kept| Raw::from(kept.raw))))
}

fn open(ledger: &Ledger, tenant: TenantId, key: &str, sealed: &str) -> Result<Kept, SealError> {
    let plain = ledger.seal().open(tenant, RAW, key, sealed)?;
    serde_json::from_slice(&plain).map_err(|_| SealError::Malformed)
}

/// Is the order of a document closed? What is no order is, once it is applied; what waits is not.
fn is_closed(view: &mut View<'_>, of: &Of) -> Result<bool, StoreError> {
    match view.get(&Key::Document(of.system, of.document.clone()))? {
        Some(Value::Document(known)) => match known.became {
            Became::Order(id) => match view.get(&Key::Order(id))? {
                Some(Value::Order(order)) => Ok(!open_of(&order).is_positive()),
                _ => Ok(true),
            },
            _ => Ok(true),
        },
        _ => Ok(view.get(&Key::Waiting(of.system, of.document.clone()))?.is_none()),
    }
}

/// What becomes of a raw document by now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Stays,
    /// Its order is closed: its time begins.
    Closed,
    /// Its order is open again.
    Reopened,
    /// Its time is over.
    Over,
}

fn fate(is_closed: bool, closed_at: Option<Instant>, now: Instant) -> Fate {
    match (is_closed, closed_at) {
        (true, None) => Fate::Closed,
        (true, Some(at)) if at.plus_seconds(KEPT_DAYS * DAY_SECONDS) <= now => Fate::Over,
        (false, Some(_)) => Fate::Reopened,
        _ => Fate::Stays,
    }
}

/// Lets go of what is kept no longer. Says how many documents that were.
pub async fn sweep(handle: &Handle, tenant: TenantId) -> Result<usize, SubmitError> {
    let (mut after, mut gone) = (None::<String>, 0);
    loop {
        let now = handle.ledger().clock().now();
        let looked = handle.ledger().read(tenant, |view| {
            let (mut fates, page) = (Vec::new(), view.notes(RAW, after.as_deref(), PAGE)?);
            for (key, _) in &page {
                let of = Of::parse(key)?;
                let closed_at = view.note(CLOSED, key)?.as_deref().and_then(|at| Instant::parse(at).ok());
                let is_closed = is_closed(view, &of)?;
                fates.push((of, fate(is_closed, closed_at, now)));
            }
            Ok::<_, StoreError>((fates, page.last().map(|(key, _)| key.clone())))
        });
        let (fates, last) = looked.map_err(|error| SubmitError::Commit(error.into()))?;
        let mut notes = Vec::new();
        for (of, fate) in fates {
            match fate {
                Fate::Stays => {}
                Fate::Closed => notes.push(note(CLOSED, &of, Some(now.to_string()))),
                Fate::Reopened => notes.push(note(CLOSED, &of, None)),
                Fate::Over => {
                    gone += 1;
                    notes.extend([note(RAW, &of, None), note(CLOSED, &of, None)]);
                }
            }
        }
        if !notes.is_empty() {
            handle.submit_with(tenant, None, notes).await?;
        }
        let Some(last) = last else { return Ok(gone) };
        after = Some(last);
    }
}

/// Of whom raw documents are erased.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Whom {
    /// Whoever's documents have this e-mail address in them, anywhere.
    Email(String),
    /// Whose order this is.
    Order(Of),
}

/// A raw document that is erased, or would be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Erased {
    /// Of which order.
    pub of: Of,
    /// When it was last told; none where it does not open.
    pub told_at: Option<Instant>,
}

/// What an erasure found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// What is erased.
    pub erased: Vec<Erased>,
    /// So many documents were looked at.
    pub looked_at: usize,
    /// So many do not open, so that nobody knows whose they are: the key that sealed them is not there.
    pub locked: usize,
}

/// Erases what is kept of a person, and sees to it that it is not kept again; or says what that would be.
pub async fn erase(
    handle: &Handle,
    tenant: TenantId,
    whom: &Whom,
    dry_run: bool,
) -> Result<Report, SubmitError> {
    let ledger = handle.ledger();
    let report = match whom {
        Whom::Order(of) => ledger.read(tenant, |view| {
            let Some(sealed) = view.note(RAW, &of.key())? else { return Ok(Report::default()) };
            let told_at = open(ledger, tenant, &of.key(), &sealed).ok().map(|kept| kept.told_at);
            let erased = vec![Erased { of: of.clone(), told_at }];
            Ok::<_, StoreError>(Report { erased, looked_at: 1, locked: 0 })
        }),
        Whom::Email(email) => find(ledger, tenant, email),
    };
    let report = report.map_err(|error| SubmitError::Commit(error.into()))?;
    if !dry_run {
        let now = ledger.clock().now().to_string();
        let mut whose: Vec<&Of> = report.erased.iter().map(|erased| &erased.of).collect();
        // It may be told later.
        whose.extend(match whom {
            Whom::Order(of) if whose.is_empty() => Some(of),
            _ => None,
        });
        for page in whose.chunks(PAGE) {
            let notes = page.iter().flat_map(|of| {
                [note(RAW, of, None), note(CLOSED, of, None), note(ERASED, of, Some(now.clone()))]
            });
            handle.submit_with(tenant, None, notes.collect()).await?;
        }
    }
    Ok(report)
}

/// The documents that have an address in them.
fn find(ledger: &Ledger, tenant: TenantId, email: &str) -> Result<Report, StoreError> {
    let (mut report, mut after) = (Report::default(), None::<String>);
    loop {
        let page = ledger.read(tenant, |view| view.notes(RAW, after.as_deref(), PAGE))?;
        let Some((last, _)) = page.last() else { return Ok(report) };
        after = Some(last.clone());
        for (key, sealed) in page {
            report.looked_at += 1;
            match open(ledger, tenant, &key, &sealed) {
                Ok(kept) if names(&kept.raw, email) => {
                    report.erased.push(Erased { of: Of::parse(&key)?, told_at: Some(kept.told_at) });
                }
                Ok(_) => {}
                Err(_) => report.locked += 1,
            }
        }
    }
}

/// Is this address in a document, as a text of its own or in one, whatever its case? Not as a part of a longer address.
fn names(raw: &str, email: &str) -> bool {
    let email = email.trim().to_lowercase();
    let Ok(value) = serde_json::from_str::<serde_json::Value>(raw) else { return has(raw, &email) };
    let mut waiting = vec![&value];
    while let Some(value) = waiting.pop() {
        match value {
            serde_json::Value::String(text) if has(text, &email) => return true,
            serde_json::Value::Array(values) => waiting.extend(values),
            serde_json::Value::Object(fields) => waiting.extend(fields.values()),
            _ => {}
        }
    }
    false
}

fn has(text: &str, email: &str) -> bool {
    let text = text.to_lowercase();
    let is_part = |letter: char| letter.is_alphanumeric() || matches!(letter, '.' | '_' | '-' | '+' | '@');
    // A full stop may end a sentence.
    let goes_on = |after: &str| {
        let mut letters = after.chars();
        match letters.next() {
            Some('.') => letters.next().is_some_and(char::is_alphanumeric),
            next => next.is_some_and(is_part),
        }
    };
    !email.is_empty()
        && text.match_indices(email).any(|(at, found)| {
            !text[..at].chars().next_back().is_some_and(is_part) && !goes_on(&text[at + found.len()..])
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_stays_until_its_order_is_closed_and_thirty_days_more() {
        let at = |days: i64| Instant::from_micros(1_795_000_000_000_000).plus_seconds(days * DAY_SECONDS);
        for (is_closed, closed_at, now, expected) in [
            (false, None, 1_000, Fate::Stays),
            (true, None, 1_000, Fate::Closed),
            (true, Some(0), 29, Fate::Stays),
            (true, Some(0), 30, Fate::Over),
            (false, Some(0), 30, Fate::Reopened),
        ] {
            assert_eq!(
                fate(is_closed, closed_at.map(at), at(now)),
                expected,
                "{is_closed} {closed_at:?} {now}"
            );
        }
    }

    #[test]
    fn an_address_is_found_wherever_it_is_and_as_no_part_of_another() {
        for (raw, found) in [
            (r#"{"customer":{"emailAddress":"Ada@Example.com"}}"#, true),
            (r#"{"notes":["call, or write to <ada@example.com>."]}"#, true),
            (r#"{"a":"ada@example.com."}"#, true),
            (r#"{"a":"\u0061da@example.com"}"#, true),
            (r#"{"a":"dada@example.com"}"#, false),
            (r#"{"a":"ada@example.com.au"}"#, false),
            (r#"{"a":"x.ada@example.com"}"#, false),
            (r#"{"a":"ada@example.community"}"#, false),
            ("no json of ada@example.com", true),
        ] {
            assert_eq!(names(raw, " ada@Example.com"), found, "{raw}");
        }
        assert!(!names(r#"{"a":""}"#, ""));
    }
}
