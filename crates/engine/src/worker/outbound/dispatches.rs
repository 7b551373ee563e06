//! What has become of transfers that a master ships: each parcel is a dispatch. What it will not ship is taken off the transfer, which is
//! cancelled where nothing is left of it, and a person is told.

use onhand_channels::outgoing::Followed;
use onhand_ledger::command::{
    AmendTransfer, CancelTransfer, Content, FollowedContent, FollowedLine, FollowedOf, LineQuantity, Name,
    Note as NoteCommand,
};
use onhand_ledger::model::{Cause, TransferDocument};
use onhand_ledger::{Body, Key, Quantity, TransferId, Value};
use onhand_store::StoreError;
use onhand_sync::sent::{Declined, Lines, Reply, SentDocument};

use super::super::{Worker, WorkerError};
use super::receipts::name_of;
use super::{item_name, sku};
use crate::commit::CommitError;
use crate::queue::SubmitError;
use crate::sent;

impl Worker {
    pub(super) async fn hear_of_dispatch(
        &mut self,
        told: &super::Told,
        followed: &Followed,
        transfer: TransferId,
        known: SentDocument,
        reply: Reply,
    ) -> Result<(), WorkerError> {
        for parcel in 0..followed.parcels.len() {
            self.dispatched(told, followed, parcel, transfer, &known).await?;
        }
        self.not_dispatched(told, transfer, known, reply).await
    }

    /// A parcel is a dispatch, under a name of its own. One that is known already is nothing.
    async fn dispatched(
        &mut self,
        told: &super::Told,
        followed: &Followed,
        index: usize,
        transfer: TransferId,
        known: &SentDocument,
    ) -> Result<(), WorkerError> {
        let parcel = &followed.parcels[index];
        let document = format!("{}/{}", followed.document, parcel.parcel);
        let id = self.id;
        let found = self.handle.ledger().read(self.tenant, |view| {
            if view.get(&Key::Document(id, document.clone()))?.is_some() {
                return Ok(None);
            }
            let mut lines = Vec::new();
            for line in &parcel.lines {
                lines.push(FollowedLine {
                    item: Name::Sku(item_name(view, &line.line)?),
                    quantity: line.quantity,
                    lot: line.lot.clone(),
                    expires: None,
                    into: None,
                });
            }
            let location = view.location(known.location)?.map(|location| location.code).unwrap_or_default();
            Ok::<_, StoreError>(Some((lines, location)))
        })?;
        let Some((lines, location)) = found else { return Ok(()) };
        let (of, occurred_at) = (FollowedOf::Dispatch(transfer), Some(parcel.shipped_at));
        let content = FollowedContent { of, location, occurred_at, lines };
        self.record(told, &parcel.parcel, "shipped", document, Content::Followed(content)).await
    }

    /// What it will not ship the transfer wants no more; how it stands is kept in the same transaction.
    async fn not_dispatched(
        &mut self,
        told: &super::Told,
        transfer: TransferId,
        known: SentDocument,
        reply: Reply,
    ) -> Result<(), WorkerError> {
        let before = known.reply.as_ref().filter(|before| before.version == reply.version);
        let before: Vec<Declined> = before.map(|before| known.declined(before)).unwrap_or_default();
        let more: Lines = known
            .declined(&reply)
            .iter()
            .map(|line| {
                let before = before.iter().find(|other| other.item == line.item);
                (line.item, line.declined - before.map_or(Quantity::ZERO, |before| before.declined))
            })
            .filter(|(_, more)| more.is_positive())
            .collect();
        let reason = reply.reason.clone();
        let (document, location, revision) = (told.document().to_owned(), known.location, reply.revision);
        let mut now = known;
        now.hear(reply);
        let notes = sent::notes(self.id, &now).to_vec();
        self.outbound.touch(now.of);
        let found = self.handle.ledger().read(self.tenant, |view| {
            let Some(Value::Transfer(transfer)) = view.get(&Key::Transfer(transfer))? else {
                return Ok(None);
            };
            let mut missing = Vec::new();
            let (lines, taken) = without(&transfer, &more);
            for (item, quantity) in &taken {
                missing.push((sku(view, *item)?.unwrap_or_default(), *quantity));
            }
            let location = view.location(location)?.map(|location| location.code).unwrap_or_default();
            let about = (missing, name_of(view, now.of)?, location);
            let is_all = transfer.lines.iter().all(|line| {
                let wanted = lines.iter().find(|other| other.line == line.line);
                wanted.map_or(line.wanted, |wanted| wanted.quantity) <= line.dispatched
            });
            let is_all = is_all && transfer.lines.iter().all(|line| line.dispatched.is_zero());
            Ok::<_, StoreError>(
                (transfer.state.is_open() && !lines.is_empty()).then_some((lines, is_all, about)),
            )
        })?;
        let Some((lines, is_all, (missing, name, location))) = found else {
            self.handle.submit_with(self.tenant, None, notes).await?;
            return Ok(());
        };
        let system = self.system.name.clone();
        let what: Vec<String> =
            missing.iter().map(|(sku, quantity)| format!("{quantity} of {sku}")).collect();
        let why = reason.as_deref().map_or(String::new(), |reason| format!(" ({reason})"));
        let done = if is_all { "It is cancelled" } else { "The transfer goes on without" };
        let sentence =
            format!("{system} does not ship {} of {name} from {location}{why}. {done}.", what.join(", "));
        let quantity = missing.iter().map(|(_, quantity)| *quantity).sum();
        let note = self.note_of(Cause::Declined, quantity, sentence);
        let note = NoteCommand { sku: (missing.len() == 1).then(|| missing[0].0.clone()), ..note };
        let change = if is_all {
            Body::CancelTransfer(CancelTransfer { transfer, occurred_at: None })
        } else {
            Body::AmendTransfer(AmendTransfer { transfer, lines, expected_on: None })
        };
        let mut command = self.command(Body::Group(vec![change, Body::Note(note)]));
        command.key = Some(format!("declined/{}/{document}/{revision}", self.id));
        match self.handle.submit_with(self.tenant, Some(command), notes.clone()).await {
            Ok(_) => Ok(()),
            Err(SubmitError::Commit(CommitError::Invalid(invalid))) => {
                self.handle.submit_with(self.tenant, None, notes).await?;
                self.tell_invalid(told, "declined", &invalid).await
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// The lines of a transfer that want less without so much of these items, with how much they want then; and how much less that is.
fn without(transfer: &TransferDocument, declined: &Lines) -> (Vec<LineQuantity>, Lines) {
    let (mut rest, mut lines, mut taken) = (declined.clone(), Vec::new(), Lines::new());
    for line in transfer.lines.iter().rev() {
        let Some(missing) = rest.get_mut(&line.item) else { continue };
        let part = line.to_dispatch().min(*missing);
        if part.is_positive() {
            *missing -= part;
            *taken.entry(line.item).or_default() += part;
            lines.push(LineQuantity { line: line.line.clone(), quantity: line.wanted - part, lot: None });
        }
    }
    (lines, taken)
}
