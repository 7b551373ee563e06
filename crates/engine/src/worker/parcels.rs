//! Telling a system that goods of its own orders have left, where somebody else sent them: us, or a warehouse that gets orders from us.
//!
//! What it is to be told follows from the ledger and from what the warehouse said of its parcels (`sync::marked`, pure). The log is looked at from where
//! that was last kept, so that nothing is missed while nobody looks; what was told is kept by order. A parcel is told under a name of
//! its own, and channels know it by that or by its number: told again after a lost answer, it is one.

use std::collections::{BTreeMap, BTreeSet};

use onhand_channels::{ChannelError, Parcel, ParcelLine, ParcelTold};
use onhand_ledger::model::{Cause, Order};
use onhand_ledger::{Entry, Instant, ItemId, Key, ListingId, OrderId, Quantity, Seq, SystemId, Value};
use onhand_store::{Note, StoreError};
use onhand_sync::marked::{Known, Leaves, Marked, Next, may_owe, name_of, next};

use super::{Worker, WorkerError};
use crate::sent;
use crate::view::View;

/// The notes that say up to which entry orders were looked at, by system.
const LOOKED: &str = "marked_to";
/// How often that is kept, in seconds, while nothing is told.
const LOOKED_SECONDS: i64 = 60;
/// What is not said yet is looked at again after so many seconds.
const SOON_SECONDS: i64 = 2;
/// What may have arrived is told again after so many seconds: by then its system's own word of the order is heard.
const AGAIN_SECONDS: i64 = 60;
/// Where we may not, it is tried again after so many seconds.
const ALLOWED_SECONDS: i64 = 3_600;

/// What was told of an order.
fn space(system: SystemId) -> String {
    format!("marked:{system}")
}

/// What is to be told.
#[derive(Debug, Default)]
pub(super) struct Parcels {
    /// Up to which entry orders were looked at; none before the first time.
    to: Option<Seq>,
    /// Orders of which something may have left.
    due: BTreeSet<OrderId>,
    /// Orders that are looked at again then.
    again: BTreeMap<OrderId, Instant>,
    /// When it was last kept up to where orders were looked at.
    kept_at: Option<Instant>,
    /// We may not: it is not tried before then.
    rests_until: Option<Instant>,
}

impl Parcels {
    /// An order has changed.
    pub fn touch(&mut self, id: OrderId, order: &Order) {
        if may_owe(order) {
            self.due.insert(id);
        }
    }

    /// All entries from one on to another were looked at.
    pub fn follow(&mut self, from: Seq, to: Seq) {
        if self.to.is_some_and(|known| known >= from) {
            self.to = self.to.max(Some(to));
        }
    }
}

/// What an order's own system is told next, in its own words, and what it was told by then; or nothing, or later.
enum Step {
    Nothing,
    Later,
    Tell { told: Marked, leaves: Leaves, parcel: Box<Parcel> },
}

impl Worker {
    /// Tells of all that has left by now.
    pub(super) async fn tell_parcels(&mut self) -> Result<(), WorkerError> {
        if !self.channel.marks_shipped() {
            return Ok(());
        }
        self.look()?;
        let now = self.now();
        let by_time = self.parcels.again.iter().filter(|(_, at)| **at <= now).map(|(order, _)| *order);
        let by_time: Vec<OrderId> = by_time.collect();
        for order in by_time {
            self.parcels.again.remove(&order);
            self.parcels.due.insert(order);
        }
        while let Some(order) = self.parcels.due.first().copied() {
            let rests = self.parcels.rests_until.is_some_and(|until| now < until);
            if rests || !self.may_send() || !self.may_call() {
                return Ok(());
            }
            let again = self.tell_left(order).await?;
            self.parcels.due.remove(&order);
            if let Some(at) = again {
                self.parcels.again.insert(order, at);
            }
        }
        // What waits is found again from where nothing waited.
        let is_time = self.parcels.kept_at.is_none_or(|at| at.plus_seconds(LOOKED_SECONDS) <= now);
        if is_time && self.parcels.again.is_empty() {
            self.keep_looked().await?;
        }
        Ok(())
    }

    /// Looks at what was recorded since it was last looked at; the first time, at nothing: what left before is its people's.
    fn look(&mut self) -> Result<(), StoreError> {
        if self.parcels.to.is_some_and(|to| to >= self.seq) {
            return Ok(());
        }
        let (id, key) = (self.id, self.id.to_string());
        let ledger = self.handle.ledger().clone();
        ledger.read(self.tenant, |view| {
            let kept = match self.parcels.to {
                Some(to) => Some(to),
                None => view.note(LOOKED, &key)?.and_then(|body| body.parse().ok()),
            };
            let Some(mut to) = kept else {
                self.parcels.to = Some(view.seq());
                return Ok(());
            };
            loop {
                let records = view.records_after(to, 4_096)?;
                let Some((first, last)) = records.last() else { break };
                to = first + last.entries.len() as Seq - 1;
                for entry in records.iter().flat_map(|(_, record)| &record.entries) {
                    if let Entry::Order(order, known) = entry
                        && known.system == id
                    {
                        self.parcels.touch(*order, known);
                    }
                }
            }
            self.parcels.to = Some(to.max(view.seq()));
            Ok(())
        })
    }

    async fn keep_looked(&mut self) -> Result<(), WorkerError> {
        self.parcels.kept_at = Some(self.now());
        let key = self.id.to_string();
        let body = self.parcels.to.map(|to| to.to_string());
        let known = self.handle.ledger().read(self.tenant, |view| view.note(LOOKED, &key))?;
        if known != body {
            let note = Note { space: LOOKED.to_owned(), key, body };
            self.handle.submit_with(self.tenant, None, vec![note]).await?;
        }
        Ok(())
    }

    /// Tells of all that is known to have left of an order. When to look again, where more is to be said.
    async fn tell_left(&mut self, order: OrderId) -> Result<Option<Instant>, WorkerError> {
        loop {
            let id = self.id;
            let found = self.handle.ledger().read(self.tenant, |view| step(view, id, order))?;
            let (marked, leaves, parcel) = match found {
                Step::Nothing => return Ok(None),
                Step::Later => return Ok(Some(self.now().plus_seconds(SOON_SECONDS))),
                Step::Tell { told, leaves, parcel } => (told, leaves, parcel),
            };
            let told = match self.channel.mark_shipped(&parcel).await {
                Ok(told) => told,
                // Its numbers and orders are well: only this we may not do.
                Err(ChannelError::Credentials { reason, .. }) => {
                    let sentence =
                        format!("{} does not let us mark its orders as shipped: {reason}.", self.system.name);
                    self.tell_untold("credentials", sentence).await?;
                    let at = self.now().plus_seconds(ALLOWED_SECONDS);
                    self.parcels.rests_until = Some(at);
                    return Ok(Some(at));
                }
                Err(error) => return Err(error.into()),
            };
            self.keep_to_budget();
            match told {
                ParcelTold::Told => {}
                ParcelTold::Unknown { reason } => {
                    tracing::info!(
                        system = self.system.name,
                        order = parcel.document,
                        reason,
                        "an answer was lost"
                    );
                    return Ok(Some(self.now().plus_seconds(AGAIN_SECONDS)));
                }
                ParcelTold::Refused { reason } => {
                    let shown: String = parcel.document.chars().take(60).collect();
                    let sentence = format!(
                        "{} was not told that goods of its order {shown} have left: {reason}. Mark them as shipped there.",
                        self.system.name
                    );
                    self.tell_untold(&format!("{shown}/{}", leaves.name), sentence).await?;
                }
            }
            let body = serde_json::to_string(&marked).expect("what was told can always be written");
            let note = Note { space: space(id), key: parcel.document, body: Some(body) };
            self.handle.submit_with(self.tenant, None, vec![note]).await?;
        }
    }

    /// What could not be told reaches a person, once.
    async fn tell_untold(&self, about: &str, sentence: String) -> Result<(), WorkerError> {
        let about = blake3::hash(about.as_bytes()).to_hex();
        let note = self.note_of(Cause::PushRefused, Quantity::ZERO, sentence);
        self.submit_note(Some(format!("parcel/{}/{about}", self.id)), note).await.map(drop)
    }
}

fn step(view: &mut View<'_>, id: SystemId, order_id: OrderId) -> Result<Step, StoreError> {
    let Some(Value::Order(order)) = view.get(&Key::Order(order_id))? else { return Ok(Step::Nothing) };
    if order.system != id {
        return Ok(Step::Nothing);
    }
    let space = space(id);
    let kept = view.note(&space, &order.document)?;
    let mut told: Marked = kept
        .map(|body| serde_json::from_str(&body))
        .transpose()
        .map_err(|error| StoreError::Damaged(format!("note {space}/{}: {error}", order.document)))?
        .unwrap_or_default();
    let mut documents = Vec::new();
    for (other, _) in view.systems()? {
        let of = sent::documents_of(view, other, order_id.0)?;
        documents.extend(of.into_iter().map(|(name, sent)| (other, name, sent)));
    }
    let shippers: BTreeSet<SystemId> = documents.iter().map(|(by, ..)| *by).collect();
    let known: Vec<Known<'_>> = documents
        .iter()
        .flat_map(|(by, document, sent)| {
            let parcels = sent.reply.iter().flat_map(|reply| &reply.parcels);
            parcels.map(|parcel| Known { by: *by, document, parcel })
        })
        .collect();
    loop {
        let leaves = match next(&order, &told, &shippers, &known) {
            Next::Nothing => return Ok(Step::Nothing),
            Next::Wait => return Ok(Step::Later),
            Next::Tell(leaves) => leaves,
        };
        let is_parcel = known.iter().any(|known| name_of(known) == leaves.name);
        let (parcel, leaves) = in_its_words(view, id, (order_id, &order), leaves)?;
        if !parcel.lines.is_empty() {
            told.tell(&order, &leaves);
            return Ok(Step::Tell { told, leaves, parcel: Box::new(parcel) });
        }
        // Less than a pack of it has left: it is told with the rest of one.
        if !is_parcel || !told.parcels.insert(leaves.name) {
            return Ok(Step::Nothing);
        }
    }
}

/// Units of an item in one of what its system calls a line of an order.
fn pack_of(
    view: &mut View<'_>,
    id: SystemId,
    order: OrderId,
    line: usize,
    item: ItemId,
) -> Result<u32, StoreError> {
    let line = u32::try_from(line).expect("orders have fewer than 2^32 lines");
    let of_line = |listing| Key::Meant(order, line, ListingId(listing));
    let last = view.range(&of_line(0), &of_line(Seq::MAX >> 1), true, 1)?;
    if let Some((_, Value::Meant(_, units))) = last.first() {
        return Ok(*units);
    }
    let mut packs = BTreeSet::new();
    for (listing_id, listing) in view.listings_of(item)? {
        if listing.system == id {
            packs.insert(match view.get(&Key::Meant(OrderId(0), 0, listing_id))? {
                Some(Value::Meant(_, units)) => units,
                _ => listing.multiplier,
            });
        }
    }
    // Of a pack that is one of several sizes it was kept, unless that was before it was.
    Ok(packs.first().copied().filter(|pack| packs.len() == 1 || *pack == 1).unwrap_or(1))
}

/// A parcel as its order's system counts, packs where it sells those, and what of it that is: part of a pack is left for later.
fn in_its_words(
    view: &mut View<'_>,
    id: SystemId,
    (order_id, order): (OrderId, &Order),
    mut leaves: Leaves,
) -> Result<(Parcel, Leaves), StoreError> {
    let mut lines = Vec::new();
    for (line, told) in &mut leaves.lines {
        let Some(index) = order.lines.iter().position(|known| known.line == *line) else { continue };
        let pack = pack_of(view, id, order_id, index, order.lines[index].item)?;
        let pack = i64::from(pack.max(1));
        let quantity = Quantity::units(told.whole_units() / pack);
        if pack > 1 {
            *told = Quantity::units(quantity.whole_units() * pack);
        }
        if quantity.is_positive() {
            lines.push(ParcelLine { line: line.clone(), quantity });
        }
    }
    let parcel = Parcel {
        name: leaves.name.clone(),
        document: order.document.clone(),
        lines,
        carrier: leaves.carrier.clone(),
        number: leaves.tracking.clone(),
        url: None,
    };
    Ok((parcel, leaves))
}
