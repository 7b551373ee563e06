//! What has become of requests to count: what was counted is a count of the master's, and ends what asked for it.

use onhand_channels::recount::{Counting, Recounted};
use onhand_ledger::command::{Line, Note as NoteCommand, TakeCount};
use onhand_ledger::model::{Cause, Tracking};
use onhand_ledger::{Body, DiscrepancyId, Instant, ItemId, Key, LocationId, Quantity, Value};
use onhand_store::StoreError;
use onhand_sync::sent::{Lines, Progress, Reply, SentDocument};

use super::super::{Worker, WorkerError};
use crate::commit::CommitError;
use crate::queue::SubmitError;
use crate::sent;
use crate::view::View;

/// An answer in our own words; none where a line of it is none of ours.
pub(super) fn reply_of(recounted: &Recounted) -> Option<Reply> {
    let known = recounted.lines.iter().all(|line| sent::item_of_line(&line.line).is_some());
    known.then(|| Reply {
        version: recounted.version,
        revision: recounted.revision,
        updated_at: recounted.updated_at,
        progress: match recounted.progress {
            Counting::Accepted => Progress::Accepted,
            Counting::Refused => Progress::Refused,
            Counting::Counted => Progress::Counted,
            Counting::Cancelled => Progress::Cancelled,
        },
        reason: recounted.reason.clone(),
        leaves: Lines::new(),
        parcels: Vec::new(),
    })
}

impl Worker {
    pub(super) async fn hear_of_count(
        &mut self,
        told: &super::Told,
        recounted: &Recounted,
        request: DiscrepancyId,
        known: SentDocument,
        reply: Reply,
    ) -> Result<(), WorkerError> {
        let (progress, reason) = (reply.progress, reply.reason.clone());
        match progress {
            Progress::Counted if !recounted.lines.is_empty() => {
                self.counted(told, recounted, &known).await?;
            }
            // What lies there by now is told as it is told anyway.
            Progress::Counted => self.next_stock = self.now(),
            Progress::Refused | Progress::Cancelled => {
                self.not_counted(request, &known, progress, reason.as_deref()).await?;
            }
            Progress::Accepted | Progress::Shipped | Progress::Received => {}
        }
        self.keep_reply(known, reply).await
    }

    /// What it counted is its count, at the time it was counted.
    async fn counted(
        &mut self,
        told: &super::Told,
        recounted: &Recounted,
        known: &SentDocument,
    ) -> Result<(), WorkerError> {
        let found = self.handle.ledger().read(self.tenant, |view| {
            let mut lines = Vec::new();
            for line in &recounted.lines {
                let Some(item) = sent::item_of_line(&line.line) else { continue };
                let sku = super::item_name(view, &line.line)?;
                let tracking = view.item(item)?.map_or(Tracking::None, |item| item.tracking);
                let (lot, serials) = match &line.lot {
                    Some(piece) if tracking == Tracking::Serials => (None, Some(vec![piece.clone()])),
                    lot => (lot.clone(), None),
                };
                lines.push(Line { lot, serials, ..Line::new(sku, line.quantity) });
            }
            let location = view.location(known.location)?.map(|location| location.code).unwrap_or_default();
            Ok::<_, StoreError>((lines, location))
        })?;
        let (lines, location) = found;
        let count = TakeCount {
            location,
            lines,
            as_of: Some(recounted.counted_at.unwrap_or(recounted.updated_at)),
            inside: true,
            system: Some(self.system.name.clone()),
            net: false,
        };
        let mut command = self.command(Body::Count(count));
        command.key = Some(format!("counted/{}/{}", self.id, recounted.document));
        match self.handle.submit(self.tenant, command).await {
            Ok(_) => Ok(()),
            Err(SubmitError::Commit(CommitError::Invalid(invalid))) => {
                self.tell_invalid(told, "counted", &invalid).await
            }
            Err(error) => Err(error.into()),
        }
    }

    /// It will not count: whoever asked is told, and asks for it no more.
    async fn not_counted(
        &mut self,
        request: DiscrepancyId,
        known: &SentDocument,
        progress: Progress,
        reason: Option<&str>,
    ) -> Result<(), WorkerError> {
        let asked = self.handle.ledger().read(self.tenant, |view| view.discrepancy(request))?;
        let Some(asked) = asked.filter(|asked| asked.resolved_at.is_none()) else { return Ok(()) };
        let names = self.handle.ledger().read(self.tenant, |view| {
            let sku = asked.item.map(|item| super::sku(view, item)).transpose()?.flatten();
            let location = view.location(known.location)?.map(|location| location.code).unwrap_or_default();
            Ok::<_, StoreError>((sku.unwrap_or_default(), location))
        })?;
        let ((sku, location), system) = (names, &self.system.name);
        let did = if progress == Progress::Refused { "does not count" } else { "counts no more" };
        let why = reason.map_or(String::new(), |reason| format!(" ({reason})"));
        let sentence = format!(
            "{system} {did} {sku} at {location}{why}. Ask again, or see to it with whoever runs it: what lies there is only known \
             once it counts."
        );
        let note = self.note_of(Cause::Declined, Quantity::ZERO, sentence);
        let note = NoteCommand { sku: Some(sku), ..note };
        let document = sent::name(known.of, known.location, known.number);
        self.tell_once(&document, "declined", note).await?;
        self.resolve(request).await
    }

    /// What waits for a count of the system's ends once there is one.
    pub(super) async fn end_what_was_counted(&mut self) -> Result<(), WorkerError> {
        if !std::mem::take(&mut self.outbound.has_counted) || self.outbound.counts.is_empty() {
            return Ok(());
        }
        let ended = self.handle.ledger().read(self.tenant, |view| {
            let mut ended = Vec::new();
            for id in &self.outbound.counts {
                let Some(known) = view.discrepancy(*id)? else { continue };
                if let (Some(item), Some(location)) = (known.item, known.location)
                    && counted_at(view, item, location)?.is_some_and(|at| at > known.opened_at)
                {
                    ended.push(*id);
                }
            }
            Ok::<_, StoreError>(ended)
        })?;
        for id in ended {
            self.resolve(id).await?;
            self.outbound.counts.remove(&id);
        }
        Ok(())
    }
}

/// When an item was last counted at a location, or where that is inside of.
fn counted_at(
    view: &mut View<'_>,
    item: ItemId,
    location: LocationId,
) -> Result<Option<Instant>, StoreError> {
    let mut latest = None;
    for place in view.sites()?.above(location) {
        if let Some(Value::Instant(at)) = view.get(&Key::Counted(item, place))? {
            latest = latest.max(Some(at));
        }
    }
    Ok(latest)
}
