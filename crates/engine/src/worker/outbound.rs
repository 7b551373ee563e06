//! Orders to the system that ships them, and what becomes of each.
//!
//! What is to be sent follows from the ledger (`sync::sent`, pure). Here it is kept before it is sent, so that whoever goes on after a
//! crash knows that it may have arrived; sent; and what is answered becomes facts: each parcel a shipment, what will not
//! leave a reply, under names of their own, so that told twice or by two nodes they count once.

use std::collections::BTreeSet;

use onhand_channels::ChannelError;
use onhand_channels::outgoing::{Followed, Outgoing, Progress as Told, Sent};
use onhand_ledger::command::{
    Content, Document, Name, Note as NoteCommand, ReplyContent, ReplyLine, ShipmentContent, ShipmentLine,
};
use onhand_ledger::model::{Cause, GetsOrders, Order};
use onhand_ledger::{Body, Instant, Invalid, ItemId, Key, OrderId, Quantity, Value};
use onhand_store::{Note, StoreError};
use onhand_sync::sent::{Declined, Parcel, Progress, Reply, SentOrder};

use super::{Worker, WorkerError};
use crate::commit::CommitError;
use crate::queue::SubmitError;
use crate::sent;
use crate::view::View;

/// So many orders are looked at together.
const TOGETHER: usize = 50;
/// The notes that say up to where answers were read, by system id.
const CURSOR: &str = "sent_cursor";
/// What was sent is looked at again after so many seconds, in case that it was not answered.
const LOOK_AGAIN_SECONDS: i64 = 2;

/// What is to be done about orders that the system ships.
#[derive(Debug, Default)]
pub(super) struct Outbound {
    /// Orders that may have something to be sent.
    due: BTreeSet<OrderId>,
    /// Orders that are to be looked at again then.
    again: BTreeSet<(Instant, OrderId)>,
    /// Items whose master may be another by now.
    items: BTreeSet<ItemId>,
    /// All that was looked at, so that only what changes is looked at from here on.
    scanned: bool,
    /// Something was sent to it that is not over.
    has_open: bool,
}

impl Outbound {
    /// All is to be looked at again.
    pub fn rescan(&mut self) {
        self.scanned = false;
    }

    /// An order has changed.
    pub fn touch(&mut self, order: OrderId) {
        if self.scanned {
            self.due.insert(order);
        }
    }

    /// An item has changed: its tags may say that another is its master.
    pub fn retag(&mut self, item: ItemId) {
        if self.scanned {
            self.items.insert(item);
        }
    }

    /// When there is something to do next.
    pub fn next(&self) -> Option<Instant> {
        self.again.first().map(|(at, _)| *at)
    }
}

/// An answer in our own words; none where a line of it is none of ours.
fn reply_of(followed: &Followed) -> Option<Reply> {
    let leaves = followed.lines.iter().map(|line| Some((sent::item_of_line(&line.line)?, line.quantity)));
    let parcels = followed.parcels.iter().map(|parcel| {
        let lines = parcel.lines.iter().map(|line| Some((sent::item_of_line(&line.line)?, line.quantity)));
        Some(Parcel {
            parcel: parcel.parcel.clone(),
            shipped_at: parcel.shipped_at,
            carrier: parcel.carrier.clone(),
            tracking: parcel.tracking.clone(),
            lines: lines.collect::<Option<_>>()?,
        })
    });
    Some(Reply {
        version: followed.version,
        revision: followed.revision,
        updated_at: followed.updated_at,
        progress: match followed.progress {
            Told::Accepted => Progress::Accepted,
            Told::Refused => Progress::Refused,
            Told::Shipped => Progress::Shipped,
            Told::Cancelled => Progress::Cancelled,
        },
        reason: followed.reason.clone(),
        leaves: leaves.collect::<Option<_>>()?,
        parcels: parcels.collect::<Option<_>>()?,
    })
}

/// The SKU that an item has now, or that it is merged into.
fn sku(view: &mut View<'_>, item: ItemId) -> Result<Option<String>, StoreError> {
    let mut id = item;
    while let Some(known) = view.item(id)? {
        match known.merged_into {
            Some(into) => id = into.item,
            None => return Ok(Some(known.sku)),
        }
    }
    Ok(None)
}

/// What is known of an order and its place, to tell of it.
struct About {
    order: Order,
    order_system: String,
    location: String,
}

impl Worker {
    /// Does the system get orders from us, or has it some of ours still?
    pub(super) fn is_followed(&self) -> bool {
        let gets = self.system.gets_orders == GetsOrders::FromOnhand;
        self.channel.takes_orders() && (gets || self.outbound.has_open)
    }

    /// Sends what is to be sent of orders by now.
    pub(super) async fn send_orders(&mut self) -> Result<(), WorkerError> {
        if !self.channel.takes_orders() {
            return Ok(());
        }
        self.scan()?;
        if !self.system.is_sent_to() || self.pushing_stopped || !self.may_call() {
            return Ok(());
        }
        let now = self.now();
        let later = self.outbound.again.split_off(&(now.plus_micros(1), OrderId(0)));
        let by_time = std::mem::replace(&mut self.outbound.again, later);
        self.outbound.due.extend(by_time.into_iter().map(|(_, order)| order));
        while !self.outbound.due.is_empty() && self.may_call() {
            let orders: Vec<OrderId> = self.outbound.due.iter().take(TOGETHER).copied().collect();
            let done = self.send_these(&orders).await;
            if let Err(error) = done {
                // What was to be sent is looked at again, whatever of it has arrived.
                self.outbound.due.extend(orders);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Looks at all there is once, and at what of it may have another master since.
    fn scan(&mut self) -> Result<(), StoreError> {
        if self.outbound.scanned && self.outbound.items.is_empty() {
            return Ok(());
        }
        let (id, system) = (self.id, &self.system);
        let gets = system.gets_orders == GetsOrders::FromOnhand;
        let (all, items) = (!self.outbound.scanned, std::mem::take(&mut self.outbound.items));
        let (open, promised) = self.handle.ledger().read(self.tenant, |view| {
            let open = sent::open_orders(view, id)?;
            let mut promised = Vec::new();
            if gets && all {
                promised = sent::promised_orders(view, system, None)?;
            } else if gets {
                for item in items {
                    promised.extend(sent::promised_orders(view, system, Some(item))?);
                }
            }
            Ok::<_, StoreError>((open, promised))
        })?;
        self.outbound.has_open = !open.is_empty();
        self.outbound.due.extend(open.into_iter().chain(promised));
        self.outbound.scanned = true;
        Ok(())
    }

    async fn send_these(&mut self, orders: &[OrderId]) -> Result<(), WorkerError> {
        let ledger = self.handle.ledger().clone();
        let mut due = Vec::new();
        ledger.read(self.tenant, |view| {
            for order in orders {
                let (sends, again) = sent::due(view, &ledger, self.id, &self.system, *order)?;
                due.extend(sends);
                self.outbound.again.extend(again.map(|at| (at, *order)));
            }
            Ok::<_, StoreError>(())
        })?;
        for order in orders {
            self.outbound.due.remove(order);
        }
        for part in due.chunks(self.channel.batch_size().max(1)) {
            // Whoever goes on after a crash must know that it may have arrived.
            let notes = part.iter().flat_map(|due| sent::notes(self.id, &due.sent)).collect();
            self.handle.submit_with(self.tenant, None, notes).await?;
            self.outbound.has_open = true;
            let outgoing: Vec<Outgoing> = part.iter().map(|due| due.outgoing.clone()).collect();
            let results = self.channel.send(&outgoing).await?;
            self.keep_to_budget();
            if results.len() != outgoing.len() {
                let reason = format!("{} results for {} orders", results.len(), outgoing.len());
                return Err(ChannelError::Unexpected { system: self.system.name.clone(), reason }.into());
            }
            let at = self.now().plus_seconds(LOOK_AGAIN_SECONDS);
            let mut kept = Vec::new();
            for (due, result) in part.iter().zip(results) {
                let mut sent = due.sent.clone();
                match result {
                    Sent::Answered(followed) => {
                        self.hear(&followed).await?;
                        let is_newest = followed.document == due.outgoing.document
                            && followed.version >= due.outgoing.version;
                        if is_newest {
                            continue;
                        }
                    }
                    Sent::Received => {
                        sent.arrived(due.outgoing.version);
                        kept.extend(sent::notes(self.id, &sent));
                    }
                    Sent::Unknown { reason } => {
                        sent.trouble = Some(reason);
                        kept.extend(sent::notes(self.id, &sent));
                    }
                }
                self.outbound.again.insert((at, sent.order));
            }
            if !kept.is_empty() {
                self.handle.submit_with(self.tenant, None, kept).await?;
            }
        }
        Ok(())
    }

    /// Hears what has become of what was sent. The cursor moves once all before it is applied.
    pub(super) async fn follow_sent(&mut self) -> Result<(), WorkerError> {
        if !self.is_followed() {
            return Ok(());
        }
        let key = self.id.to_string();
        let mut cursor = self.handle.ledger().read(self.tenant, |view| view.note(CURSOR, &key))?;
        loop {
            let page = self.channel.followed(cursor.as_deref()).await?;
            self.keep_to_budget();
            for followed in &page.followed {
                self.hear(followed).await?;
            }
            let moved = cursor.as_deref() != Some(page.cursor.as_str());
            if page.more && !moved {
                let reason = "it has more to tell of orders, and says no place to go on from".to_owned();
                return Err(ChannelError::Unexpected { system: self.system.name.clone(), reason }.into());
            }
            if moved {
                let body = Some(page.cursor.clone());
                let note = Note { space: CURSOR.to_owned(), key: key.clone(), body };
                self.handle.submit_with(self.tenant, None, vec![note]).await?;
            }
            cursor = Some(page.cursor);
            if !page.more {
                return Ok(());
            }
        }
    }

    /// Takes in what the system says of a document.
    async fn hear(&mut self, followed: &Followed) -> Result<(), WorkerError> {
        let name = &followed.document;
        let (id, system) = (self.id, self.system.name.clone());
        let known = self.handle.ledger().read(self.tenant, |view| sent::sent(view, id, name))?;
        let shown: String = name.chars().take(80).collect();
        let Some(known) = known else {
            let sentence = format!("{system} tells of {shown}, which was never sent to it from here.");
            return self.tell_odd(followed, "unknown", sentence).await;
        };
        let Some(reply) = reply_of(followed) else {
            let sentence = format!("{system} tells of lines of {shown} that were never sent to it.");
            return self.tell_odd(followed, "lines", sentence).await;
        };
        if known.reply.as_ref().is_some_and(|newer| newer.revision >= reply.revision) {
            return Ok(());
        }
        let about = self.handle.ledger().read(self.tenant, |view| about(view, &known))?;
        let Some(about) = about else { return Ok(()) };
        for parcel in 0..followed.parcels.len() {
            self.shipped(followed, parcel, &about).await?;
        }
        self.replied(followed, known, reply, &about).await
    }

    /// A parcel is a shipment, under a name of its own. One that is known already is nothing.
    async fn shipped(&mut self, followed: &Followed, index: usize, about: &About) -> Result<(), WorkerError> {
        let parcel = &followed.parcels[index];
        let document = format!("{}/{}", followed.document, parcel.parcel);
        let id = self.id;
        let lines = self.handle.ledger().read(self.tenant, |view| {
            if view.get(&Key::Document(id, document.clone()))?.is_some() {
                return Ok(None);
            }
            let mut lines = Vec::new();
            for line in &parcel.lines {
                let item = sent::item_of_line(&line.line).map(|item| sku(view, item)).transpose()?.flatten();
                lines.push(ShipmentLine {
                    item: Name::Sku(item.unwrap_or_else(|| line.line.clone())),
                    quantity: line.quantity,
                    lot: line.lot.clone(),
                });
            }
            Ok::<_, StoreError>(Some(lines))
        })?;
        let Some(lines) = lines else { return Ok(()) };
        let content = ShipmentContent {
            order: Some(about.order.document.clone()),
            order_system: Some(about.order_system.clone()),
            location: about.location.clone(),
            occurred_at: Some(parcel.shipped_at),
            lines,
        };
        let (system, content) = (self.system.name.clone(), Content::Shipment(content));
        let told = Document { system: system.clone(), document, version: 1, content };
        let command = self.command(Body::Record(told));
        match self.handle.submit(self.tenant, command).await {
            Ok(_) => Ok(()),
            Err(SubmitError::Commit(CommitError::Invalid(invalid))) => {
                let shown: String = parcel.parcel.chars().take(80).collect();
                let sentence = format!(
                    "{system} shipped parcel {shown} of {}, which could not be taken: {invalid}.",
                    followed.document
                );
                self.tell_odd(followed, &format!("parcel/{}", parcel.parcel), sentence).await
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What will not leave is promised elsewhere, or is short; how it stands is kept in the same transaction.
    async fn replied(
        &mut self,
        followed: &Followed,
        known: SentOrder,
        reply: Reply,
        about: &About,
    ) -> Result<(), WorkerError> {
        let declines = |lines: &[Declined]| lines.iter().any(|line| line.declined.is_positive());
        let lines = known.declined(&reply);
        let before = known.reply.as_ref().is_some_and(|before| declines(&known.declined(before)));
        let (sent_version, revision, reason) = (reply.version, reply.revision, reply.reason.clone());
        let mut now = known;
        now.hear(reply);
        let notes = sent::notes(self.id, &now).to_vec();
        self.outbound.touch(now.order);
        if !declines(&lines) && !before {
            self.handle.submit_with(self.tenant, None, notes).await?;
            return Ok(());
        }
        let named = self.handle.ledger().read(self.tenant, |view| {
            let mut named = Vec::new();
            for Declined { item, declined, open } in lines {
                let item = Name::Sku(sku(view, item)?.unwrap_or_else(|| sent::line_name(item)));
                named.push(ReplyLine { item, declined, open });
            }
            Ok::<_, StoreError>(named)
        })?;
        let content = ReplyContent {
            order: now.order,
            location: about.location.clone(),
            sent_version,
            reason,
            lines: named,
        };
        let told = Document {
            system: self.system.name.clone(),
            document: followed.document.clone(),
            version: revision,
            content: Content::Reply(content),
        };
        let command = self.command(Body::Record(told));
        match self.handle.submit_with(self.tenant, Some(command), notes.clone()).await {
            Ok(_) => Ok(()),
            Err(SubmitError::Commit(CommitError::Invalid(invalid))) => {
                self.handle.submit_with(self.tenant, None, notes).await?;
                self.tell_invalid(followed, &invalid).await
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn tell_invalid(&self, followed: &Followed, invalid: &Invalid) -> Result<(), WorkerError> {
        let (system, shown) = (&self.system.name, &followed.document);
        let sentence = format!("{system}'s answer to {shown} could not be taken: {invalid}.");
        self.tell_odd(followed, "answer", sentence).await
    }

    /// What cannot be taken as it is told reaches a person, once.
    async fn tell_odd(&self, followed: &Followed, what: &str, sentence: String) -> Result<(), WorkerError> {
        let about = blake3::hash(format!("{}/{what}", followed.document).as_bytes());
        let note = self.note_of(Cause::UnknownName, Quantity::ZERO, sentence);
        let note = NoteCommand { evidence: serde_json::to_string(followed).ok(), ..note };
        self.submit_note(Some(format!("sent/{}/{}", self.id, about.to_hex())), note).await.map(drop)
    }
}

fn about(view: &mut View<'_>, sent: &SentOrder) -> Result<Option<About>, StoreError> {
    let Some(Value::Order(order)) = view.get(&Key::Order(sent.order))? else { return Ok(None) };
    let order_system = view.system(order.system)?.map_or_else(|| "onhand".to_owned(), |system| system.name);
    let location = view.location(sent.location)?.map(|location| location.code).unwrap_or_default();
    Ok(Some(About { order: *order, order_system, location }))
}
