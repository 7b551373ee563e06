//! Orders that are sent there to be shipped, and what becomes of them.
//!
//! Each is an order of one manual store (the setting `store`), under the name of our document, which is unique there; the version that it was sent in stands
//! in its `alternate_order_id` (<https://help.skulabs.com/en/articles/4151609-creating-orders-by-api>). It is looked for by its name before anything is
//! written, so that a copy makes no second one. What shall leave of it is changed with `order/override`, and nothing of it by its status.
//!
//! Whether its people ship less than was asked for is known once it is over: what has not left by then does not.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use onhand_ledger::{Instant, Quantity};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::SkuLabs;
use super::orders::OURS;
use super::session::Failed;
use super::wire::{self, About, Knows, Named, Order};
use crate::outgoing::{Followed, FollowedLine, FollowedPage, Outgoing, Parcel, ParcelLine, Progress, Sent};
use crate::{ChannelError, Told, locked};

/// So much over there is one of its items as it is: what we send names nothing else.
struct AsNamed;

impl Knows for AsNamed {
    fn about(&self, _store: &str, id: &str, _variant: &str, _sku: Option<&str>) -> About {
        About::Item(id.to_owned())
    }

    fn first_warehouse(&self) -> Option<&str> {
        None
    }
}

/// Up to where it was told what became of what was sent.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Cursor {
    /// The newest order of the store that is known, by its id.
    newest: String,
    /// What was told of each document that is not over, or is among the newest.
    told: BTreeMap<String, Known>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Known {
    revision: u64,
    is_open: bool,
}

impl SkuLabs {
    pub(super) async fn send_all(&self, orders: &[Outgoing]) -> Result<Vec<Sent>, ChannelError> {
        let mut results = Vec::new();
        for order in orders {
            let Some(store) = &self.settings.store else {
                results.push(Sent::Unknown { reason: "no store is set that orders go to".to_owned() });
                continue;
            };
            results.push(match self.send_one(store, order).await {
                Ok(sent) => sent,
                Err(Failed::Lost(reason)) => Sent::Unknown { reason },
                Err(Failed::Refused(reason)) => refused(order, reason),
                Err(Failed::Other(error)) if results.is_empty() => return Err(error),
                Err(Failed::Other(error)) => Sent::Unknown { reason: error.to_string() },
            });
        }
        self.looks_now.store(true, Ordering::Relaxed);
        locked(&self.looked).followed_at = None;
        Ok(results)
    }

    /// The order of that name, where there is one.
    pub(super) async fn one(&self, named: &Named) -> Result<Option<Order>, ChannelError> {
        let selector = json!({ "store_id": named.store_id, "order_number": named.order_number });
        let rows: Vec<Order> =
            self.session.page("/order/get", &selector, Some(&wire::order_fields()), 2, 0, 1).await?;
        Ok(rows.into_iter().find(|order| order.named() == *named))
    }

    async fn send_one(&self, store: &str, order: &Outgoing) -> Result<Sent, Failed> {
        let named = Named { order_number: order.document.clone(), store_id: store.to_owned() };
        let known = self.one(&named).await.map_err(Failed::Other)?;
        if let Some(known) = &known {
            let version = known.sent_version();
            if version >= order.version || !known.is_open() {
                let mut told =
                    followed(known).map_err(|reason| Failed::Other(self.session.peer.unexpected(reason)))?;
                // What is over stays so, whatever is asked of it now.
                told.version = version.max(order.version);
                return Ok(Sent::Answered(Box::new(told)));
            }
        }
        if order.cancelled && known.is_none() {
            return Ok(over(order, Progress::Cancelled, None));
        }
        let wanted = || order.lines.iter().filter(|line| line.quantity.is_positive());
        if let Some(unknown) = wanted().find(|line| line.listing.is_none()) {
            return Ok(refused(order, format!("it has no item for {}", unknown.sku)));
        }
        let lines = wanted().map(|line| wire::PutLine {
            kind: "item",
            id: line.listing.clone().unwrap_or_default(),
            line_id: line.line.clone(),
            quantity: line.quantity.whole_units(),
            price: 0,
            line_sku: line.sku.clone(),
            line_name: line.name.clone(),
            fulfillment_warehouse_id: order.location.clone(),
        });
        let put = wire::PutOrder {
            store_id: store.to_owned(),
            order_number: order.document.clone(),
            stash: wire::PutStash {
                store_id: store.to_owned(),
                kind: "manual",
                id: order.document.clone(),
                alternate_order_id: format!("{OURS}{}", order.version),
                date: order.placed_at.to_string(),
                ship_by_date: order.ship_by.map(|at| at.to_string()),
                shipping_information: order.recipient.as_ref().map(Into::into).unwrap_or_default(),
                items: lines.collect(),
                notes: match &order.transfer_to {
                    Some(to) => format!("Transfer {} to {to}", order.order),
                    None => format!("Order {} of {}", order.order, order.order_system),
                },
            },
        };
        match &known {
            None => self.session.change(Method::POST, "/order/add", &put).await?,
            Some(_) => self.session.change(Method::PUT, "/order/override", &put).await?,
        }
        if order.cancelled {
            let status = wire::PutStatus { order: &named, status: "cancelled" };
            self.session.change(Method::PUT, "/order/modify_status", &status).await?;
        }
        Ok(Sent::Received)
    }

    pub(super) async fn follow(&self, cursor: Option<&str>) -> Result<FollowedPage, ChannelError> {
        let written = cursor.filter(|text| !text.is_empty());
        let known: Cursor = match written {
            Some(text) => serde_json::from_str(text)
                .map_err(|error| self.session.peer.unexpected(format!("our cursor: {error}")))?,
            None => Cursor::default(),
        };
        let same =
            || FollowedPage { cursor: written.unwrap_or_default().to_owned(), ..FollowedPage::default() };
        let Some(store) = &self.settings.store else { return Ok(same()) };
        let last = locked(&self.looked).followed_at;
        if last.is_some_and(|last| last.elapsed() < self.settings.looks_every()) {
            return Ok(same());
        }
        let open = json!({ "store_id": store, "status": { "$in": wire::OPEN } });
        let mut rows: Vec<Told<Order>> =
            self.session.all("/order/get", &open, Some(&wire::order_fields())).await?;
        // What was sent and is over already is among the newest.
        let newest = self.newest(&json!({ "store_id": store }), &known.newest).await?;
        let looked_through = newest.iter().map(|told| told.content.id.clone()).min().unwrap_or_default();
        rows.extend(newest);
        let mut all: BTreeMap<String, Order> = rows.into_iter().map(of_document).collect();
        let newest_id = all.values().map(|order| order.id.clone()).max().unwrap_or_default();
        all.retain(|_, order| order.is_ours());
        let gone = known.told.iter().filter(|(document, told)| told.is_open && !all.contains_key(*document));
        let gone: Vec<Named> = gone
            .map(|(document, _)| Named { order_number: document.clone(), store_id: store.clone() })
            .collect();
        all.extend(self.by_name(&gone).await?.into_iter().map(of_document));
        locked(&self.looked).followed_at = Some(tokio::time::Instant::now());
        let mut page = FollowedPage::default();
        let mut cursor = Cursor { newest: known.newest.clone().max(newest_id), ..Cursor::default() };
        for (document, order) in all {
            let told = followed(&order).map_err(|reason| self.session.peer.unexpected(reason))?;
            let (is_open, revision) = (told.progress == Progress::Accepted, told.revision);
            if known.told.get(&document).map(|known| known.revision) != Some(revision) {
                page.followed.push(told);
            }
            if is_open || order.id >= looked_through {
                cursor.told.insert(document, Known { revision, is_open });
            }
        }
        page.followed.sort_by_key(|told| told.updated_at);
        page.cursor = serde_json::to_string(&cursor).expect("revisions by document can always be written");
        Ok(page)
    }
}

fn of_document(told: Told<Order>) -> (String, Order) {
    let order = told.content;
    (order.named().order_number, order)
}

/// What was never taken, or is over before it was.
fn over(order: &Outgoing, progress: Progress, reason: Option<String>) -> Sent {
    let none = |line: &crate::outgoing::OutgoingLine| FollowedLine {
        line: line.line.clone(),
        quantity: Quantity::ZERO,
    };
    Sent::Answered(Box::new(Followed {
        document: order.document.clone(),
        version: order.version,
        revision: order.version.max(1),
        updated_at: order.placed_at,
        progress,
        reason,
        lines: order.lines.iter().map(none).collect(),
        parcels: Vec::new(),
    }))
}

fn refused(order: &Outgoing, reason: String) -> Sent {
    over(order, Progress::Refused, Some(reason))
}

impl Order {
    /// In which version it was sent; 1 where its mark is gone.
    fn sent_version(&self) -> u64 {
        let mark = self.stash.alternate_order_id.as_deref().and_then(|id| id.strip_prefix(OURS));
        mark.and_then(|version| version.parse().ok()).unwrap_or(1)
    }
}

/// How an order that we sent stands.
fn followed(order: &Order) -> Result<Followed, String> {
    let read = order.read(&AsNamed);
    let changed_at = order.changed_at(order.made_at()?);
    let shipped =
        |line: &wire::Line| ParcelLine { line: line.line.clone(), quantity: line.shipped, lot: None };
    let mut parcels = Vec::new();
    for wire::Left { name, at, carrier, tracking, packed } in order.parcels() {
        let of = |line: &wire::Line| {
            let quantity = packed.get(&line.listing).copied()?;
            Some(ParcelLine { line: line.line.clone(), quantity, lot: None })
        };
        let mut lines: Vec<ParcelLine> = read.lines.iter().filter_map(of).collect();
        if packed.is_empty() {
            lines = read.lines.iter().map(shipped).collect();
        }
        lines.retain(|line| line.quantity.is_positive());
        if !lines.is_empty() {
            parcels.push(Parcel {
                parcel: name,
                shipped_at: at.unwrap_or(changed_at),
                carrier,
                tracking,
                lines,
            });
        }
    }
    // Somebody said that it is shipped, and made no shipment of it.
    if parcels.is_empty() && order.status == "shipped" {
        let lines: Vec<ParcelLine> = read.lines.iter().map(shipped).collect();
        let (parcel, shipped_at) = ("by-status".to_owned(), changed_at);
        parcels.push(Parcel { parcel, shipped_at, carrier: None, tracking: None, lines });
    }
    let progress = match (read.is_open, parcels.is_empty()) {
        (true, _) => Progress::Accepted,
        (false, false) => Progress::Shipped,
        (false, true) => Progress::Cancelled,
    };
    let sum = |line: &wire::Line| -> Quantity {
        let lines = parcels.iter().flat_map(|parcel| &parcel.lines).filter(|other| other.line == line.line);
        lines.map(|other| other.quantity).sum()
    };
    let left = |line: &wire::Line| FollowedLine { line: line.line.clone(), quantity: sum(line) };
    let lines = if read.is_open { Vec::new() } else { read.lines.iter().map(left).collect() };
    let version = order.sent_version();
    Ok(Followed {
        document: order.named().order_number,
        version,
        revision: revision(changed_at, version),
        updated_at: changed_at,
        progress,
        reason: (!read.is_open && order.status != "shipped")
            .then(|| format!("it is {} over there", order.status)),
        lines,
        parcels,
    })
}

/// Grows with what it tells of its changes, and with what it is sent.
fn revision(changed_at: Instant, version: u64) -> u64 {
    changed_at.micros().unsigned_abs().saturating_add(version)
}
