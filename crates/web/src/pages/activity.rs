//! Everything anyone or any system did: the log, the newest first.

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::routing::get;
use onhand_engine::View;
use onhand_ledger::entry::Entry;
use onhand_ledger::{Record, Seq};
use onhand_store::StoreError;
use serde::Deserialize;

use super::frame::Frame;
use super::session::Visitor;
use super::{Shown, page, system_name, words};
use crate::App;
use crate::v1::ask::read;

/// How many entries of the log a page looks at.
const ENTRIES: u64 = 200;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/activity", get(list))
}

/// What one command did.
struct Row {
    seq: Seq,
    at: words::Time,
    who: String,
    document: String,
    note: String,
    what: Vec<What>,
    more: usize,
}

/// One thing of it, and where to read on.
struct What {
    text: String,
    href: Option<String>,
}

fn what(view: &mut View<'_>, entry: &Entry) -> Result<Option<What>, StoreError> {
    let sku = |view: &mut View<'_>, item| Ok::<_, StoreError>(view.item(item)?.map(|item| item.sku));
    Ok(match entry {
        Entry::Movement(movement) => {
            let name = sku(view, movement.item)?.unwrap_or_default();
            let (from, to) =
                (words::plain(movement.from.state.name()), words::plain(movement.to.state.name()));
            Some(What {
                text: format!("{} × {name} from {from} to {to}", words::number(movement.quantity)),
                href: Some(format!("/items/{}#ledger", words::part(&name))),
            })
        }
        Entry::Order(id, order) => Some(What {
            text: if order.document.is_empty() {
                format!("order #{id}")
            } else {
                format!("order {}", order.document)
            },
            href: Some(format!("/orders/{id}")),
        }),
        Entry::Discrepancy(id, known) => {
            let text = if known.resolved_at.is_some() { "ended: " } else { "" };
            Some(What {
                text: format!("{text}{}", known.sentence),
                href: Some(format!("/discrepancies/{id}")),
            })
        }
        Entry::Count(_, count) => {
            let name = sku(view, count.item)?.unwrap_or_default();
            Some(What {
                text: format!("counted {} of {name}", words::number(count.counted)),
                href: Some(format!("/items/{}#ledger", words::part(&name))),
            })
        }
        Entry::Refused | Entry::Nothing => None,
        other => {
            let text = serde_json::to_value(other).unwrap_or_default();
            let name = text.as_object().and_then(|object| object.keys().next().cloned());
            Some(What { text: in_words(&name.unwrap_or_default()), href: None })
        }
    })
}

/// `PurchaseLine` is `purchase line`.
fn in_words(name: &str) -> String {
    let mut out = String::new();
    for (index, letter) in name.chars().enumerate() {
        if letter.is_uppercase() && index > 0 {
            out.push(' ');
        }
        out.extend(letter.to_lowercase());
    }
    out
}

fn row(view: &mut View<'_>, seq: Seq, record: &Record) -> Result<Row, StoreError> {
    const TOLD: usize = 4;
    let mut all = Vec::new();
    let mut more = 0;
    for entry in &record.entries {
        if all.len() == TOLD {
            more += 1;
            continue;
        }
        all.extend(what(view, entry)?);
    }
    let document = match &record.document {
        None => record.reference.clone().unwrap_or_default(),
        Some((system, document)) => {
            let system = system_name(view, *system)?;
            format!("{system} {document}")
        }
    };
    Ok(Row {
        seq,
        at: words::Time::of(record.recorded_at, view.now),
        who: record.actor.clone(),
        document,
        note: record.note.clone().unwrap_or_default(),
        what: all,
        more,
    })
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Wanted {
    before: Option<Seq>,
}

#[derive(Template)]
#[template(path = "activity.html")]
struct Activity {
    frame: Frame,
    rows: Vec<Row>,
    next: Option<String>,
    is_first: bool,
}

async fn list(State(app): State<App>, Visitor(caller): Visitor, Query(wanted): Query<Wanted>) -> Shown {
    let frame = Frame::of(&app, &caller, "/activity").await?;
    let found = read(&app, &caller, |view| {
        let end = wanted.before.unwrap_or(Seq::MAX >> 1).min(view.seq() + 1);
        let after = end.saturating_sub(ENTRIES + 1);
        let (mut rows, mut first) = (Vec::new(), end);
        let limit = usize::try_from(ENTRIES).unwrap_or(usize::MAX);
        for (seq, record) in view.records_after(after, limit)? {
            if seq < end {
                first = first.min(seq);
                rows.push(row(view, seq, &record)?);
            }
        }
        rows.reverse();
        Ok((rows, first))
    });
    let (mut rows, first) = found.await?;
    rows.retain(|row: &Row| !row.what.is_empty());
    let next = (first > 1).then(|| format!("/activity?before={first}"));
    Ok(page(&Activity { frame, rows, next, is_first: wanted.before.is_none() })?)
}
