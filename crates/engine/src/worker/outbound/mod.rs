//! Documents to the system that is master of what they are about, and what becomes of each.
//!
//! What is to be sent follows from the ledger (`sync::sent` and `sync::expected`, pure). Here it is kept before it is sent, so that whoever
//! goes on after a crash knows that it may have arrived; sent; and what is answered becomes facts under names of their own, so that told
//! twice or by two nodes they count once: what left of orders ([`orders`]) and of transfers ([`dispatches`]), what came of what was
//! expected ([`receipts`]), what was counted ([`counts`]).

mod counts;
mod dispatches;
mod orders;
mod receipts;

use std::collections::BTreeSet;

use onhand_channels::expected::Received;
use onhand_channels::outgoing::{Followed, Sent};
use onhand_channels::recount::Recounted;
use onhand_channels::{ChannelError, Errand};
use onhand_ledger::command::Note as NoteCommand;
use onhand_ledger::model::{Cause, GetsOrders};
use onhand_ledger::{DiscrepancyId, Entry, Instant, Invalid, ItemId, OrderId, Quantity, SystemId};
use onhand_store::{Note, StoreError};
use onhand_sync::sent::{Of, Reply, SentDocument};
use serde::Serialize;

use super::{Worker, WorkerError};
use crate::sent::{self, Due};
use crate::view::View;

/// So many documents are looked at together.
const TOGETHER: usize = 50;
/// The notes that say up to where answers were read, by system id and list.
const CURSOR: &str = "sent_cursor";
/// What was sent is looked at again after so many seconds, in case that it was not answered.
const LOOK_AGAIN_SECONDS: i64 = 2;

/// The lists that a system tells in what has become of documents.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum List {
    Orders,
    Receipts,
    Recounts,
}

impl List {
    const ALL: [Self; 3] = [Self::Orders, Self::Receipts, Self::Recounts];

    const fn of(of: Of) -> Self {
        match of {
            Of::Order(_) | Of::Dispatch(_) => Self::Orders,
            Of::Purchase(_) | Of::Arrival(_) | Of::Return(_) => Self::Receipts,
            Of::Recount(_) => Self::Recounts,
        }
    }

    /// Under which its cursor is kept.
    fn key(self, id: SystemId) -> String {
        match self {
            Self::Orders => id.to_string(),
            Self::Receipts => format!("{id}/receipts"),
            Self::Recounts => format!("{id}/recounts"),
        }
    }
}

/// What is to be done about documents that the system is sent.
#[derive(Debug, Default)]
pub(super) struct Outbound {
    /// What may have something to be sent.
    due: BTreeSet<Of>,
    /// What is to be looked at again then.
    again: BTreeSet<(Instant, Of)>,
    /// Items whose master may be another by now.
    items: BTreeSet<ItemId>,
    /// All that was looked at, so that only what changes is looked at from here on.
    scanned: bool,
    /// In which lists something is that was sent to it and is not over.
    open: BTreeSet<List>,
    /// What it takes beside orders, by its own word; none until it was asked.
    takes: Option<Vec<Errand>>,
    /// Discrepancies that end once it has counted.
    counts: BTreeSet<DiscrepancyId>,
    /// It may have counted since they were looked at.
    has_counted: bool,
}

impl Outbound {
    /// All is to be looked at again.
    pub fn rescan(&mut self) {
        self.scanned = false;
        self.takes = None;
    }

    /// Something has changed.
    fn touch(&mut self, of: Of) {
        if self.scanned {
            self.due.insert(of);
        }
    }

    /// An entry that may change what is to be sent to that system.
    pub fn see(&mut self, entry: &Entry, id: SystemId) {
        match entry {
            Entry::Order(order, _) => self.touch(Of::Order(*order)),
            Entry::Purchase(purchase, _) => self.touch(Of::Purchase(*purchase)),
            Entry::Transfer(transfer, _) => {
                self.touch(Of::Dispatch(*transfer));
                self.touch(Of::Arrival(*transfer));
            }
            Entry::Return(expected, _) => self.touch(Of::Return(*expected)),
            // Its tags may say that another is its master.
            Entry::Item(item, _) if self.scanned => drop(self.items.insert(*item)),
            Entry::Discrepancy(discrepancy, known)
                if known.system == id && matches!(known.cause, Cause::Recount | Cause::NotFound) =>
            {
                if known.resolved_at.is_none() {
                    self.counts.insert(*discrepancy);
                } else {
                    self.counts.remove(discrepancy);
                }
                if known.cause == Cause::Recount {
                    self.touch(Of::Recount(*discrepancy));
                }
            }
            Entry::Count(_, count) if count.system == id => self.has_counted = true,
            _ => {}
        }
    }

    /// When there is something to do next.
    pub fn next(&self) -> Option<Instant> {
        self.again.first().map(|(at, _)| *at)
    }

    /// Does the system take such a thing, as far as it was asked? An order it does.
    fn is_taken(&self, of: Of) -> Option<bool> {
        let Some(errand) = sent::errand(of) else { return Some(true) };
        self.takes.as_ref().map(|takes| takes.contains(&errand))
    }
}

/// What a system says of a document.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum Told {
    Order(Followed),
    Receipt(Received),
    Recount(Recounted),
}

impl Told {
    fn document(&self) -> &str {
        match self {
            Self::Order(told) => &told.document,
            Self::Receipt(told) => &told.document,
            Self::Recount(told) => &told.document,
        }
    }

    fn version(&self) -> u64 {
        match self {
            Self::Order(told) => told.version,
            Self::Receipt(told) => told.version,
            Self::Recount(told) => told.version,
        }
    }

    /// In our own words; none where a line of it is none of ours.
    fn reply(&self) -> Option<Reply> {
        match self {
            Self::Order(told) => orders::reply_of(told),
            Self::Receipt(told) => receipts::reply_of(told),
            Self::Recount(told) => counts::reply_of(told),
        }
    }
}

/// How sending ended, whatever was sent.
fn told<T>(results: Vec<Sent<T>>, told: impl Fn(T) -> Told) -> Vec<Sent<Told>> {
    let one = |result| match result {
        Sent::Answered(answer) => Sent::Answered(Box::new(told(*answer))),
        Sent::Received => Sent::Received,
        Sent::Unknown { reason } => Sent::Unknown { reason },
    };
    results.into_iter().map(one).collect()
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

/// The name of the item of a line: its SKU, or the line's own name, which is none.
fn item_name(view: &mut View<'_>, line: &str) -> Result<String, StoreError> {
    let known = sent::item_of_line(line).map(|item| sku(view, item)).transpose()?.flatten();
    Ok(known.unwrap_or_else(|| line.to_owned()))
}

impl Worker {
    /// Does the system get documents from us, or has it some of ours still?
    pub(super) fn is_followed(&self) -> bool {
        let gets = self.system.gets_orders == GetsOrders::FromOnhand;
        self.channel.takes_orders() && (gets || !self.outbound.open.is_empty())
    }

    /// Sends what is to be sent by now.
    pub(super) async fn send_orders(&mut self) -> Result<(), WorkerError> {
        if !self.channel.takes_orders() {
            return Ok(());
        }
        self.scan()?;
        self.end_what_was_counted().await?;
        if !self.system.is_sent_to() || self.pushing_stopped || !self.may_call() {
            return Ok(());
        }
        let now = self.now();
        let later = self.outbound.again.split_off(&(now.plus_micros(1), Of::Order(OrderId(0))));
        let by_time = std::mem::replace(&mut self.outbound.again, later);
        self.outbound.due.extend(by_time.into_iter().map(|(_, of)| of));
        if self.outbound.due.iter().any(|of| self.outbound.is_taken(*of).is_none()) {
            self.outbound.takes = Some(self.channel.takes().await?);
            self.keep_to_budget();
        }
        while !self.outbound.due.is_empty() && self.may_call() {
            let some: Vec<Of> = self.outbound.due.iter().take(TOGETHER).copied().collect();
            let done = self.send_these(&some).await;
            if let Err(error) = done {
                // What was to be sent is looked at again, whatever of it has arrived.
                self.outbound.due.extend(some);
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
        let (open, wanted, counts) = self.handle.ledger().read(self.tenant, |view| {
            let open = sent::open(view, id)?;
            let (mut wanted, mut counts) = (Vec::new(), Vec::new());
            let parts: Vec<Option<ItemId>> =
                if all { vec![None] } else { items.into_iter().map(Some).collect() };
            for only in parts.into_iter().filter(|_| gets) {
                wanted.extend(sent::promised_to(view, system, only)?);
                wanted.extend(sent::expected_at(view, system, only)?);
            }
            if all {
                counts = sent::waits_for_a_count(view, id)?;
            }
            Ok::<_, StoreError>((open, wanted, counts))
        })?;
        let outbound = &mut self.outbound;
        outbound.open = open.iter().copied().map(List::of).collect();
        outbound.due.extend(open.into_iter().chain(wanted));
        if all {
            outbound.due.extend(counts.iter().copied().map(Of::Recount));
            outbound.counts = counts.into_iter().collect();
            outbound.has_counted = true;
        }
        outbound.scanned = true;
        Ok(())
    }

    async fn send_these(&mut self, some: &[Of]) -> Result<(), WorkerError> {
        let ledger = self.handle.ledger().clone();
        let mut due: Vec<Due> = Vec::new();
        ledger.read(self.tenant, |view| {
            for of in some {
                if self.outbound.is_taken(*of) != Some(true) {
                    continue;
                }
                let (sends, again) = sent::due(view, &ledger, self.id, &self.system, *of)?;
                due.extend(sends);
                self.outbound.again.extend(again.map(|at| (at, *of)));
            }
            Ok::<_, StoreError>(())
        })?;
        for of in some {
            self.outbound.due.remove(of);
        }
        for list in List::ALL {
            let these: Vec<&Due> = due.iter().filter(|due| List::of(due.sent.of) == list).collect();
            for part in these.chunks(self.channel.batch_size().max(1)) {
                self.send_part(list, part).await?;
            }
        }
        Ok(())
    }

    /// Sends documents of one list.
    async fn send_part(&mut self, list: List, part: &[&Due]) -> Result<(), WorkerError> {
        // Whoever goes on after a crash must know that it may have arrived.
        let notes = part.iter().flat_map(|due| sent::notes(self.id, &due.sent)).collect();
        self.handle.submit_with(self.tenant, None, notes).await?;
        self.outbound.open.insert(list);
        let results = self.call(part).await?;
        self.keep_to_budget();
        if results.len() != part.len() {
            let reason = format!("{} results for {} documents", results.len(), part.len());
            return Err(ChannelError::Unexpected { system: self.system.name.clone(), reason }.into());
        }
        let at = self.now().plus_seconds(LOOK_AGAIN_SECONDS);
        let mut kept = Vec::new();
        for (due, result) in part.iter().zip(results) {
            let (document, version) = due.outbound.is();
            let mut sent = due.sent.clone();
            match result {
                Sent::Answered(told) => {
                    self.hear(&told).await?;
                    if told.document() == document && told.version() >= version {
                        continue;
                    }
                }
                Sent::Received => {
                    sent.arrived(version);
                    kept.extend(sent::notes(self.id, &sent));
                }
                Sent::Unknown { reason } => {
                    sent.trouble = Some(reason);
                    kept.extend(sent::notes(self.id, &sent));
                }
            }
            self.outbound.again.insert((at, sent.of));
        }
        if !kept.is_empty() {
            self.handle.submit_with(self.tenant, None, kept).await?;
        }
        Ok(())
    }

    /// Hands documents of one list to the channel.
    async fn call(&self, part: &[&Due]) -> Result<Vec<Sent<Told>>, ChannelError> {
        let (mut orders, mut receipts, mut recounts) = (Vec::new(), Vec::new(), Vec::new());
        for due in part {
            match &due.outbound {
                sent::Outbound::Order(order) => orders.push((**order).clone()),
                sent::Outbound::Receipt(receipt) => receipts.push(receipt.clone()),
                sent::Outbound::Recount(recount) => recounts.push(recount.clone()),
            }
        }
        let mut results = Vec::new();
        if !orders.is_empty() {
            results.extend(told(self.channel.send(&orders).await?, Told::Order));
        }
        if !receipts.is_empty() {
            results.extend(told(self.channel.announce(&receipts).await?, Told::Receipt));
        }
        if !recounts.is_empty() {
            results.extend(told(self.channel.ask_recounts(&recounts).await?, Told::Recount));
        }
        Ok(results)
    }

    /// Hears what has become of what was sent. A cursor moves once all before it is applied.
    pub(super) async fn follow_sent(&mut self) -> Result<(), WorkerError> {
        if !self.is_followed() {
            return Ok(());
        }
        for list in List::ALL {
            // Orders may be shipped that nobody here remembers; of the rest there is none but what is open.
            if list == List::Orders || self.outbound.open.contains(&list) {
                self.follow_list(list).await?;
            }
        }
        Ok(())
    }

    async fn follow_list(&mut self, list: List) -> Result<(), WorkerError> {
        let key = list.key(self.id);
        let mut cursor = self.handle.ledger().read(self.tenant, |view| view.note(CURSOR, &key))?;
        loop {
            let (told, next, more) = self.page(list, cursor.as_deref()).await?;
            self.keep_to_budget();
            for told in &told {
                self.hear(told).await?;
            }
            let moved = cursor.as_deref() != Some(next.as_str());
            if more && !moved {
                let reason =
                    "it has more to tell of what it was sent, and says no place to go on from".to_owned();
                return Err(ChannelError::Unexpected { system: self.system.name.clone(), reason }.into());
            }
            if moved {
                let body = Some(next.clone());
                let note = Note { space: CURSOR.to_owned(), key: key.clone(), body };
                self.handle.submit_with(self.tenant, None, vec![note]).await?;
            }
            cursor = Some(next);
            if !more {
                return Ok(());
            }
        }
    }

    /// What has changed in a list, where to go on from, and whether there is more.
    async fn page(
        &self,
        list: List,
        cursor: Option<&str>,
    ) -> Result<(Vec<Told>, String, bool), ChannelError> {
        Ok(match list {
            List::Orders => {
                let page = self.channel.followed(cursor).await?;
                (page.followed.into_iter().map(Told::Order).collect(), page.cursor, page.more)
            }
            List::Receipts => {
                let page = self.channel.received(cursor).await?;
                (page.receipts.into_iter().map(Told::Receipt).collect(), page.cursor, page.more)
            }
            List::Recounts => {
                let page = self.channel.recounted(cursor).await?;
                (page.recounts.into_iter().map(Told::Recount).collect(), page.cursor, page.more)
            }
        })
    }

    /// Takes in how an order that was sent stands, where the system tells it by itself.
    pub(in crate::worker) async fn hear_of_sent_order(&mut self, told: &Followed) -> Result<(), WorkerError> {
        self.hear(&Told::Order(told.clone())).await
    }

    /// Takes in how an announcement stands, where the system tells it by itself.
    pub(in crate::worker) async fn hear_of_announcement(
        &mut self,
        told: &Received,
    ) -> Result<(), WorkerError> {
        self.hear(&Told::Receipt(told.clone())).await
    }

    /// Takes in what the system says of a document.
    async fn hear(&mut self, told: &Told) -> Result<(), WorkerError> {
        let name = told.document();
        let (id, system) = (self.id, self.system.name.clone());
        let known = self.handle.ledger().read(self.tenant, |view| sent::sent(view, id, name))?;
        let shown: String = name.chars().take(80).collect();
        let Some(known) = known else {
            let sentence = format!("{system} tells of {shown}, which was never sent to it from here.");
            return self.tell_odd(told, "unknown", sentence).await;
        };
        let Some(reply) = told.reply() else {
            let sentence = format!("{system} tells of lines of {shown} that were never sent to it.");
            return self.tell_odd(told, "lines", sentence).await;
        };
        if known.reply.as_ref().is_some_and(|newer| newer.revision >= reply.revision) {
            return Ok(());
        }
        match (told, known.of) {
            (Told::Order(followed), Of::Order(_)) => self.hear_of_order(told, followed, known, reply).await,
            (Told::Order(followed), Of::Dispatch(transfer)) => {
                self.hear_of_dispatch(told, followed, transfer, known, reply).await
            }
            (Told::Receipt(received), Of::Purchase(_) | Of::Arrival(_) | Of::Return(_)) => {
                self.hear_of_receipt(told, received, known, reply).await
            }
            (Told::Recount(recounted), Of::Recount(request)) => {
                self.hear_of_count(told, recounted, request, known, reply).await
            }
            _ => {
                let sentence = format!("{system} tells of {shown} as of something else than it was sent as.");
                self.tell_odd(told, "kind", sentence).await
            }
        }
    }

    /// Keeps what was answered.
    async fn keep_reply(&mut self, mut known: SentDocument, reply: Reply) -> Result<(), WorkerError> {
        known.hear(reply);
        self.outbound.touch(known.of);
        self.handle.submit_with(self.tenant, None, sent::notes(self.id, &known).to_vec()).await?;
        Ok(())
    }

    async fn tell_invalid(&self, told: &Told, what: &str, invalid: &Invalid) -> Result<(), WorkerError> {
        let (system, shown) = (&self.system.name, told.document());
        let sentence = format!("{system}'s answer to {shown} could not be taken: {invalid}.");
        self.tell_odd(told, what, sentence).await
    }

    /// What cannot be taken as it is told reaches a person, once.
    async fn tell_odd(&self, told: &Told, what: &str, sentence: String) -> Result<(), WorkerError> {
        let note = self.note_of(Cause::UnknownName, Quantity::ZERO, sentence);
        let note = NoteCommand { evidence: serde_json::to_string(told).ok(), ..note };
        self.tell_once(told.document(), what, note).await
    }

    /// Tells a person of something about a document, once.
    async fn tell_once(&self, document: &str, what: &str, note: NoteCommand) -> Result<(), WorkerError> {
        let about = blake3::hash(format!("{document}/{what}").as_bytes());
        self.submit_note(Some(format!("sent/{}/{}", self.id, about.to_hex())), note).await.map(drop)
    }
}
