//! What has become of orders: each parcel is a shipment, what will not leave a reply.

use onhand_channels::outgoing::{Followed, Progress as Told};
use onhand_ledger::command::{
    Content, Document, Name, ReplyContent, ReplyLine, ShipmentContent, ShipmentLine,
};
use onhand_ledger::model::Order;
use onhand_ledger::{Body, Key, OrderId, Value};
use onhand_store::StoreError;
use onhand_sync::sent::{Declined, Of, Parcel, Progress, Reply, SentDocument};

use super::super::{Worker, WorkerError};
use super::{item_name, sku};
use crate::commit::CommitError;
use crate::queue::SubmitError;
use crate::sent;
use crate::view::View;

/// An answer in our own words; none where a line of it is none of ours.
pub(super) fn reply_of(followed: &Followed) -> Option<Reply> {
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

/// What is known of an order and its place, to tell of it.
struct About {
    id: OrderId,
    order: Order,
    order_system: String,
    location: String,
}

impl Worker {
    pub(super) async fn hear_of_order(
        &mut self,
        told: &super::Told,
        followed: &Followed,
        known: SentDocument,
        reply: Reply,
    ) -> Result<(), WorkerError> {
        let about = self.handle.ledger().read(self.tenant, |view| about(view, &known))?;
        let Some(about) = about else { return Ok(()) };
        for parcel in 0..followed.parcels.len() {
            self.shipped(told, followed, parcel, &about).await?;
        }
        self.replied(told, known, reply, &about).await
    }

    /// A parcel is a shipment, under a name of its own. One that is known already is nothing.
    async fn shipped(
        &mut self,
        told: &super::Told,
        followed: &Followed,
        index: usize,
        about: &About,
    ) -> Result<(), WorkerError> {
        let parcel = &followed.parcels[index];
        let document = format!("{}/{}", followed.document, parcel.parcel);
        let id = self.id;
        let lines = self.handle.ledger().read(self.tenant, |view| {
            if view.get(&Key::Document(id, document.clone()))?.is_some() {
                return Ok(None);
            }
            let mut lines = Vec::new();
            for line in &parcel.lines {
                let item = Name::Sku(item_name(view, &line.line)?);
                lines.push(ShipmentLine { item, quantity: line.quantity, lot: line.lot.clone() });
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
        self.record(told, &parcel.parcel, "shipped", document, Content::Shipment(content)).await
    }

    /// Records what a parcel or delivery moved, once; what cannot be taken reaches a person.
    pub(super) async fn record(
        &mut self,
        told: &super::Told,
        parcel: &str,
        verb: &str,
        document: String,
        content: Content,
    ) -> Result<(), WorkerError> {
        let system = self.system.name.clone();
        let recorded = Document { system: system.clone(), document, version: 1, content };
        let command = self.command(Body::Record(recorded));
        match self.handle.submit(self.tenant, command).await {
            Ok(_) => Ok(()),
            Err(SubmitError::Commit(CommitError::Invalid(invalid))) => {
                let shown: String = parcel.chars().take(80).collect();
                let sentence = format!(
                    "{system} {verb} parcel {shown} of {}, which could not be taken: {invalid}.",
                    told.document()
                );
                self.tell_odd(told, &format!("parcel/{parcel}"), sentence).await
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What will not leave is promised elsewhere, or is short; how it stands is kept in the same transaction.
    async fn replied(
        &mut self,
        told: &super::Told,
        known: SentDocument,
        reply: Reply,
        about: &About,
    ) -> Result<(), WorkerError> {
        let declines = |lines: &[Declined]| lines.iter().any(|line| line.declined.is_positive());
        let lines = known.declined(&reply);
        let before = known.reply.as_ref().is_some_and(|before| declines(&known.declined(before)));
        if !declines(&lines) && !before {
            return self.keep_reply(known, reply).await;
        }
        let (sent_version, revision, reason) = (reply.version, reply.revision, reply.reason.clone());
        // Who ships the rest of it has looked for what lacks.
        let not_found = matches!(reply.progress, Progress::Accepted | Progress::Shipped);
        let mut now = known;
        now.hear(reply);
        let notes = sent::notes(self.id, &now).to_vec();
        self.outbound.touch(now.of);
        let named = self.handle.ledger().read(self.tenant, |view| {
            let mut named = Vec::new();
            for Declined { item, declined, open } in lines {
                let item = Name::Sku(sku(view, item)?.unwrap_or_else(|| sent::line_name(item)));
                named.push(ReplyLine { item, declined, open });
            }
            Ok::<_, StoreError>(named)
        })?;
        let content = ReplyContent {
            order: about.id,
            location: about.location.clone(),
            sent_version,
            reason,
            not_found,
            lines: named,
        };
        let recorded = Document {
            system: self.system.name.clone(),
            document: told.document().to_owned(),
            version: revision,
            content: Content::Reply(content),
        };
        let command = self.command(Body::Record(recorded));
        match self.handle.submit_with(self.tenant, Some(command), notes.clone()).await {
            Ok(_) => Ok(()),
            Err(SubmitError::Commit(CommitError::Invalid(invalid))) => {
                self.handle.submit_with(self.tenant, None, notes).await?;
                self.tell_invalid(told, "answer", &invalid).await
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn about(view: &mut View<'_>, sent: &SentDocument) -> Result<Option<About>, StoreError> {
    let Of::Order(id) = sent.of else { return Ok(None) };
    let Some(Value::Order(order)) = view.get(&Key::Order(id))? else { return Ok(None) };
    let order_system = view.system(order.system)?.map_or_else(|| "onhand".to_owned(), |system| system.name);
    let location = view.location(sent.location)?.map(|location| location.code).unwrap_or_default();
    Ok(Some(About { id, order: *order, order_system, location }))
}
