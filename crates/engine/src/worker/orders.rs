//! Hearing of what a system did by itself.

use std::collections::BTreeMap;

use onhand_channels::RemoteOrder;
use onhand_ledger::command::{Content, Document, Name, Note as NoteCommand, OrderContent, OrderContentLine};
use onhand_ledger::model::Cause;
use onhand_ledger::{Answer, Body, Invalid, Key, Quantity};
use onhand_store::Note;
use onhand_sync::OwnChange;

use super::{STATUS_SECONDS, Worker, WorkerError};
use crate::commit::CommitError;
use crate::queue::SubmitError;

impl Worker {
    /// Hears of orders that changed over there; each is a fact, committed with the cursor behind it.
    pub(super) async fn orders(&mut self) -> Result<(), WorkerError> {
        loop {
            let asked_at = self.now();
            let page = self.channel.orders(self.status.cursor.as_deref()).await?;
            for order in &page.orders {
                self.order(order).await?;
            }
            let moved = self.status.cursor.as_deref() != Some(page.cursor.as_str());
            self.status.cursor = Some(page.cursor);
            if !page.more {
                self.status.orders_known_to = Some(page.known_to.unwrap_or(asked_at));
            }
            if moved || self.now() > self.status_kept_at.plus_seconds(STATUS_SECONDS) {
                self.keep_status().await?;
            }
            if !page.more {
                return Ok(());
            }
        }
    }

    /// Records one order as it is now, and what the system did to its own numbers by it.
    async fn order(&mut self, order: &RemoteOrder) -> Result<(), WorkerError> {
        let space = format!("order:{}", self.id);
        let ledger = self.handle.ledger().clone();
        let (location, before, known) = ledger.read(self.tenant, |view| {
            let location = match self.system.locations.as_slice() {
                [only] => view.location(only.location)?.map(|known| known.code),
                _ => None,
            };
            let before = view.note(&space, &order.document)?;
            let known = view.get(&Key::Document(self.id, order.document.clone()))?.is_some()
                || view.get(&Key::Waiting(self.id, order.document.clone()))?.is_some();
            Ok((location, before, known))
        })?;
        if order.history && !known {
            return Ok(());
        }
        let wanted_before: BTreeMap<String, Quantity> =
            before.and_then(|body| serde_json::from_str(&body).ok()).unwrap_or_default();
        let mut wanted_now = BTreeMap::<String, Quantity>::new();
        for line in order.lines.iter().filter(|_| !order.cancelled) {
            *wanted_now.entry(line.listing.clone()).or_default() += line.quantity - line.returned;
        }
        let lines = order.lines.iter().map(|line| OrderContentLine {
            line: line.line.clone(),
            item: Name::Listing(line.listing.clone()),
            quantity: line.quantity,
            shipped: line.shipped,
            returned: line.returned,
            location: location.clone(),
        });
        let document = Document {
            system: self.system.name.clone(),
            document: order.document.clone(),
            version: order.version,
            content: Content::Order(OrderContent {
                placed_at: Some(order.placed_at),
                changed_at: Some(order.moved_at),
                cancelled: order.cancelled,
                lines: lines.collect(),
            }),
        };
        let body = serde_json::to_string(&wanted_now).expect("quantities by listing can always be written");
        let note = Note { space, key: order.document.clone(), body: Some(body) };
        let command = self.command(Body::Record(document));
        let committed = match self.handle.submit_with(self.tenant, Some(command), vec![note]).await {
            Ok(committed) => committed,
            Err(SubmitError::Commit(CommitError::Invalid(invalid))) => {
                return self.not_taken(order, &invalid).await;
            }
            Err(error) => return Err(error.into()),
        };
        if matches!(committed.answer, Answer::AlreadyApplied { .. }) {
            return Ok(());
        }
        self.changed_by_itself(order, &wanted_before, &wanted_now).await
    }

    /// What the system did to its own number by an order, applied or waiting.
    async fn changed_by_itself(
        &mut self,
        order: &RemoteOrder,
        before: &BTreeMap<String, Quantity>,
        now: &BTreeMap<String, Quantity>,
    ) -> Result<(), WorkerError> {
        let heard_at = self.now();
        let mut changed = Vec::new();
        for (key, line) in &mut self.lines {
            let listing = &line.listing.remote_id;
            let wanted =
                |orders: &BTreeMap<String, Quantity>| orders.get(listing).copied().unwrap_or_default();
            let quantity = wanted(before) - wanted(now);
            if !quantity.is_zero() {
                let changes = &mut line.state.changes;
                changes.push(OwnChange { at: order.updated_at, heard_at, quantity });
                changes.sort();
                changed.push(key.clone());
            }
        }
        self.read_back.extend(changed.iter().cloned());
        self.next_read = self.next_read.max(self.now().plus_micros(self.pace.read_back_ms * 500));
        self.keep(&changed).await
    }

    /// A document that cannot be taken at all still reaches a person, once.
    async fn not_taken(&mut self, order: &RemoteOrder, invalid: &Invalid) -> Result<(), WorkerError> {
        let name = self.system.name.clone();
        let sentence = format!("Order {} of {name} could not be taken: {invalid}.", order.document);
        let evidence = serde_json::to_string(order).ok();
        let note = NoteCommand {
            system: name.clone(),
            sku: None,
            cause: Cause::UnknownName,
            quantity: Quantity::ZERO,
            sentence,
            evidence,
        };
        let mut command = self.command(Body::Note(note));
        command.key = Some(format!("not-taken/{name}/{}/{}", order.document, order.version));
        self.handle.submit(self.tenant, command).await?;
        Ok(())
    }
}
