//! What has become of what a system was told to expect: each delivery is a receipt of what it was announced for. What it does not take in
//! stays expected by us, and a person is told.

use onhand_channels::expected::{Delivery, Received, Receiving};
use onhand_ledger::command::{Content, FollowedContent, FollowedLine, FollowedOf, Name, Note as NoteCommand};
use onhand_ledger::model::Cause;
use onhand_ledger::{Key, Quantity, StockState, Value};
use onhand_store::StoreError;
use onhand_sync::sent::{Lines, Of, Parcel, Progress, Reply, SentDocument};

use super::super::{Worker, WorkerError};
use super::{item_name, sku};
use crate::sent;
use crate::view::View;

/// An answer in our own words; none where a line of it is none of ours.
pub(super) fn reply_of(received: &Received) -> Option<Reply> {
    let parcels = received.deliveries.iter().map(|delivery| {
        let lines = delivery.lines.iter().map(|line| Some((sent::item_of_line(&line.line)?, line.quantity)));
        Some(Parcel {
            parcel: delivery.delivery.clone(),
            shipped_at: delivery.received_at,
            carrier: None,
            tracking: None,
            lines: lines.collect::<Option<_>>()?,
        })
    });
    Some(Reply {
        version: received.version,
        revision: received.revision,
        updated_at: received.updated_at,
        progress: match received.progress {
            Receiving::Accepted => Progress::Accepted,
            Receiving::Refused => Progress::Refused,
            Receiving::Received => Progress::Received,
            Receiving::Cancelled => Progress::Cancelled,
        },
        reason: received.reason.clone(),
        leaves: Lines::new(),
        parcels: parcels.collect::<Option<_>>()?,
    })
}

impl Worker {
    pub(super) async fn hear_of_receipt(
        &mut self,
        told: &super::Told,
        received: &Received,
        known: SentDocument,
        reply: Reply,
    ) -> Result<(), WorkerError> {
        let of = match known.of {
            Of::Purchase(purchase) => FollowedOf::Purchase(purchase),
            Of::Arrival(transfer) => FollowedOf::Arrival(transfer),
            Of::Return(expected) => FollowedOf::Return(expected),
            Of::Order(_) | Of::Dispatch(_) | Of::Recount(_) => return Ok(()),
        };
        for delivery in &received.deliveries {
            self.came(told, delivery, of, &known).await?;
        }
        // What it says is over once it has been told of: a copy tells nothing.
        self.tell_what_stays_away(&known, &reply).await?;
        self.keep_reply(known, reply).await
    }

    /// A delivery is a receipt, under a name of its own. One that is known already is nothing.
    async fn came(
        &mut self,
        told: &super::Told,
        delivery: &Delivery,
        of: FollowedOf,
        known: &SentDocument,
    ) -> Result<(), WorkerError> {
        let document = format!("{}/{}", told.document(), delivery.delivery);
        let id = self.id;
        let found = self.handle.ledger().read(self.tenant, |view| {
            if view.get(&Key::Document(id, document.clone()))?.is_some() {
                return Ok(None);
            }
            let mut lines = Vec::new();
            for line in &delivery.lines {
                lines.push(FollowedLine {
                    item: Name::Sku(item_name(view, &line.line)?),
                    quantity: line.quantity,
                    lot: line.lot.clone(),
                    expires: line.expires,
                    into: line.condition.map(StockState::from),
                });
            }
            let location = view.location(known.location)?.map(|location| location.code).unwrap_or_default();
            Ok::<_, StoreError>(Some((lines, location)))
        })?;
        let Some((lines, location)) = found else { return Ok(()) };
        let occurred_at = Some(delivery.received_at);
        let content = FollowedContent { of, location, occurred_at, lines };
        self.record(told, &delivery.delivery, "received", document, Content::Followed(content)).await
    }

    /// Where it is done with an announcement before all has come that we expect, a person is told, once for each document.
    async fn tell_what_stays_away(&self, known: &SentDocument, reply: &Reply) -> Result<(), WorkerError> {
        if !reply.is_over() || known.is_over() {
            return Ok(());
        }
        let declined = known.declined(reply);
        let found = self.handle.ledger().read(self.tenant, |view| {
            let open = still_expected(view, known.of)?;
            let mut missing = Vec::new();
            for line in declined {
                let missed = line.declined.min(open.get(&line.item).copied().unwrap_or_default());
                if missed.is_positive() {
                    missing.push((sku(view, line.item)?.unwrap_or_default(), missed));
                }
            }
            let location = view.location(known.location)?.map(|location| location.code).unwrap_or_default();
            Ok::<_, StoreError>((missing, name_of(view, known.of)?, location))
        })?;
        let (missing, name, location) = found;
        let [(first, _), ..] = missing.as_slice() else { return Ok(()) };
        let system = &self.system.name;
        let what: Vec<String> =
            missing.iter().map(|(sku, quantity)| format!("{quantity} of {sku}")).collect();
        let what = what.join(", ");
        let why = reply.reason.as_deref().map_or(String::new(), |reason| format!(" ({reason})"));
        let did = match reply.progress {
            Progress::Refused => "refuses",
            Progress::Cancelled => "cancelled",
            _ => "is done with",
        };
        let again = match known.of {
            Of::Return(_) => "Cancel the return if they will not come, and announce it anew if they will.",
            _ => {
                "It is announced again once more of it is ordered, or it is expected on another day; end it if it will not come."
            }
        };
        let sentence = format!(
            "{system} {did} the expected receipt of {name} at {location}{why}; {what} are still expected. {again}"
        );
        let quantity = missing.iter().map(|(_, quantity)| *quantity).sum();
        let note = self.note_of(Cause::Declined, quantity, sentence);
        let note = NoteCommand { sku: (missing.len() == 1).then(|| first.clone()), ..note };
        let document = sent::name(known.of, known.location, known.number);
        self.tell_once(&document, "declined", note).await
    }
}

/// What is still expected, item by item, wherever.
fn still_expected(view: &mut View<'_>, of: Of) -> Result<Lines, StoreError> {
    let mut open = Lines::new();
    let mut add = |item, quantity: Quantity| *open.entry(item).or_default() += quantity;
    match of {
        Of::Purchase(id) => {
            if let Some(Value::Purchase(purchase)) = view.get(&Key::Purchase(id))? {
                purchase.lines.iter().for_each(|line| add(line.item, purchase.open(line)));
            }
        }
        Of::Arrival(id) => {
            if let Some(Value::Transfer(transfer)) = view.get(&Key::Transfer(id))? {
                transfer.lines.iter().for_each(|line| add(line.item, line.incoming()));
            }
        }
        Of::Return(id) => {
            if let Some(Value::Return(known)) = view.get(&Key::Return(id))? {
                known.lines.iter().for_each(|line| add(line.item, known.open(line)));
            }
        }
        Of::Order(_) | Of::Dispatch(_) | Of::Recount(_) => {}
    }
    Ok(open)
}

/// What people call it.
pub(super) fn name_of(view: &mut View<'_>, of: Of) -> Result<String, StoreError> {
    let reference = match of {
        Of::Purchase(id) => match view.get(&Key::Purchase(id))? {
            Some(Value::Purchase(purchase)) => purchase.reference,
            _ => None,
        },
        Of::Arrival(id) | Of::Dispatch(id) => match view.get(&Key::Transfer(id))? {
            Some(Value::Transfer(transfer)) => transfer.reference,
            _ => None,
        },
        Of::Return(id) => match view.get(&Key::Return(id))? {
            Some(Value::Return(known)) => known.reference,
            _ => None,
        },
        Of::Order(_) | Of::Recount(_) => None,
    };
    let kind = match of {
        Of::Purchase(_) => "purchase order",
        Of::Return(_) => "return",
        _ => "transfer",
    };
    Ok(format!("{kind} {}", reference.unwrap_or_else(|| of.seq().to_string())))
}
