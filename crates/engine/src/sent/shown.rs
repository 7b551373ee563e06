//! What was sent and what was answered, as people read it.

use onhand_ledger::model::System;
use onhand_ledger::{Instant, ItemId, Quantity, Seq};
use onhand_store::StoreError;
use onhand_sync::sent::{Of, Parcel, Reply, SentDocument, Stands};

use super::{documents_of, line_name, name_of, open_documents};
use crate::view::View;

/// So many open documents of an item are told of each system.
const OPEN: usize = 20;

/// A document that was sent, as people read it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shown {
    /// To which system.
    pub system: String,
    /// What it is about.
    pub of: Of,
    /// Its name.
    pub document: String,
    /// Our code of the location it leaves from, comes in or is counted at.
    pub location: String,
    /// The newest version that was sent.
    pub version: u64,
    /// When that was sent last.
    pub sent_at: Instant,
    /// How it stands.
    pub stands: Stands,
    /// The newest version has not been answered, or not arrived: an amendment or a cancellation is on its way.
    pub is_pending: bool,
    /// Why the last try failed.
    pub trouble: Option<String>,
    /// What the system says for itself.
    pub reason: Option<String>,
    /// When it last changed over there.
    pub answered_at: Option<Instant>,
    /// What was asked for.
    pub lines: Vec<ShownLine>,
    /// What has left, or come in.
    pub parcels: Vec<(Parcel, Vec<(String, Quantity)>)>,
}

/// A line of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShownLine {
    /// Of what.
    pub sku: String,
    /// How much shall leave, or come in, in all; of a request to count: 1 while it stands.
    pub asked: Quantity,
    /// How much has left, or come in, by the system's word.
    pub moved: Quantity,
    /// How much of what it was asked for it will not ship, or take in.
    pub declined: Quantity,
}

/// What was sent of what an entry made (an order, a purchase order, a transfer, a request to count), to whichever system.
pub fn shown_of(view: &mut View<'_>, made: Seq) -> Result<Vec<Shown>, StoreError> {
    let mut all = Vec::new();
    for (id, system) in view.systems()? {
        for (document, sent) in documents_of(view, id, made)? {
            all.push(shown(view, &system, document, &sent)?);
        }
    }
    all.sort_by_key(|shown| shown.sent_at);
    Ok(all)
}

/// What masters have of an item and are not done with, of each the newest.
pub fn open_of_item(view: &mut View<'_>, item: ItemId) -> Result<Vec<Shown>, StoreError> {
    let mut all = Vec::new();
    for (id, system) in view.systems()? {
        let open = open_documents(view, id)?.into_iter().rev();
        for sent in open.filter(|sent| sent.newest().1.contains_key(&item)).take(OPEN) {
            all.push(shown(view, &system, name_of(&sent), &sent)?);
        }
    }
    all.sort_by_key(|shown| shown.sent_at);
    Ok(all)
}

fn shown(
    view: &mut View<'_>,
    system: &System,
    document: String,
    sent: &SentDocument,
) -> Result<Shown, StoreError> {
    let (version, asked) = sent.newest();
    let reply = sent.reply.as_ref();
    let left = reply.map(Reply::left).unwrap_or_default();
    let declined = reply.map(|reply| sent.declined(reply)).unwrap_or_default();
    let mut sku = |item: ItemId| -> Result<String, StoreError> {
        Ok(view.item(item)?.map_or_else(|| line_name(item), |item| item.sku))
    };
    let mut lines = Vec::new();
    for (item, asked) in asked {
        let of_it = declined.iter().find(|line| line.item == *item);
        lines.push(ShownLine {
            sku: sku(*item)?,
            asked: *asked,
            moved: left.get(item).copied().unwrap_or_default(),
            declined: of_it.map_or(Quantity::ZERO, |line| line.declined),
        });
    }
    let mut parcels = Vec::new();
    for parcel in reply.into_iter().flat_map(|reply| &reply.parcels) {
        let mut named = Vec::new();
        for (item, quantity) in &parcel.lines {
            named.push((sku(*item)?, *quantity));
        }
        parcels.push((parcel.clone(), named));
    }
    let location = view.location(sent.location)?.map(|location| location.code).unwrap_or_default();
    Ok(Shown {
        system: system.name.clone(),
        of: sent.of,
        document,
        location,
        version,
        sent_at: sent.sent_at,
        stands: sent.stands(),
        is_pending: !sent.is_over() && reply.map_or(0, |reply| reply.version) < version,
        trouble: sent.trouble.clone(),
        reason: reply.and_then(|reply| reply.reason.clone()),
        answered_at: reply.map(|reply| reply.updated_at),
        lines,
        parcels,
    })
}
