//! The guard of what goes out: a wave of zeros that no order and no time explains is held, as one discrepancy, until somebody approves.
//!
//! Held is each listing by itself, and kept so: a crash sends nothing. What an order sells out meanwhile goes at once.

use std::collections::BTreeSet;

use onhand_ledger::command::Note as NoteCommand;
use onhand_ledger::model::{Cause, Choice};
use onhand_ledger::{
    Answer, Body, Command, DiscrepancyId, Entry, ItemId, LocationId, Movement, Quantity, Seq, StockState,
};
use onhand_store::StoreError;
use onhand_sync::{Fall, Stop, is_wave};

use super::{Line, Worker, WorkerError};
use crate::systems::{Stopped, counted};
use crate::view::View;

/// Zeros that were sent so long ago are no part of a wave any more, in seconds.
const WINDOW: i64 = 600;
/// So many names stand in the sentence.
const NAMED: usize = 3;

/// Is what an entry takes of what is available taken for an order, a hold or a shipment, or because a day is over? None: it takes nothing.
/// What orders are short of by a count (`counted`) takes nothing either.
pub(super) fn takes(entry: &Entry, counted: bool) -> Option<bool> {
    match entry {
        Entry::Movement(movement) if movement.from.state != StockState::Available => None,
        Entry::Short { .. } if counted => None,
        Entry::Movement(_) | Entry::Claimed { .. } | Entry::Lot(..) | Entry::Short { .. } => {
            Some(is_prompt(entry))
        }
        _ => None,
    }
}

/// Was it counted, or adjusted, in these entries?
pub(super) fn is_counted(entries: &[Entry]) -> bool {
    let is_of = |movement: &Movement| {
        [&movement.from, &movement.to].iter().any(|side| side.state == StockState::Adjustment)
    };
    entries.iter().any(|entry| matches!(entry, Entry::Movement(movement) if is_of(movement)))
}

/// Does an entry take something for an order, a hold or a shipment, or because a day is over? What promises give back for a count takes
/// nothing for anybody.
pub(super) fn is_prompt(entry: &Entry) -> bool {
    let of_order =
        |state| matches!(state, StockState::Reserved | StockState::Committed | StockState::Customer);
    match entry {
        Entry::Movement(movement) => {
            of_order(movement.to.state)
                || (movement.to.state == StockState::QualityControl && movement.reason == "expired")
        }
        Entry::Claimed { .. } | Entry::Lot(..) | Entry::Short { .. } => true,
        _ => false,
    }
}

/// Did an order or time take the last that was available of an item at these locations or inside them, after an entry? No: something else
/// did, or it was before.
pub(super) fn was_prompt(
    view: &mut View<'_>,
    item: ItemId,
    locations: &[LocationId],
    after: Option<Seq>,
) -> Result<bool, StoreError> {
    let mut items = view.parts_of(item)?;
    items.push(item);
    let sites = view.sites()?;
    let mut newest: Seq = 0;
    for item in items {
        for (cell, slot) in view.cells_of(item)? {
            let is_there = || locations.iter().any(|location| sites.is_in(cell.location, *location));
            if cell.state == StockState::Available && is_there() {
                newest = newest.max(slot.seq);
            }
        }
    }
    if newest <= after.unwrap_or(0) {
        return Ok(false);
    }
    Ok(view.entry_alone(newest)?.is_some_and(|entry| is_prompt(&entry)))
}

impl Line {
    pub(super) fn is_held(&self) -> bool {
        self.state.stopped.as_ref().is_some_and(|stopped| stopped.why == Stop::Held)
    }

    /// Should it fall to zero by what is guarded?
    fn is_guarded(&self) -> bool {
        self.fall == Some(Fall::Guarded) && self.differs()
    }

    fn told_of(&self) -> Option<DiscrepancyId> {
        self.state.stopped.as_ref().and_then(|stopped| stopped.discrepancy)
    }
}

impl Worker {
    /// Holds a wave of zeros, and lets go what is none any more.
    pub(super) async fn guard_zeros(&mut self) -> Result<(), WorkerError> {
        self.release_zeros().await?;
        if !self.may_send() {
            return Ok(());
        }
        let now = self.now();
        self.zeros_sent.retain(|_, at| at.plus_seconds(WINDOW) > now);
        let (mut held, mut pending, mut untold, mut others) = (Vec::new(), Vec::new(), false, 0);
        for key in self.lines.guarded() {
            let Some(line) = self.lines.get(&key) else { continue };
            if line.is_held() && !line.state.zero_rejected {
                untold |= line.told_of().is_none();
                held.push(key);
            } else if line.state.stopped.is_none()
                && line.state.acknowledged.is_some()
                && line.is_guarded()
                && !line.state.zero_allowed
            {
                pending.push(key);
            } else if line.state.stopped.is_some() && !line.is_held() && line.is_guarded() {
                // Nothing is sent for it, and it falls with them all the same.
                others += 1;
            }
        }
        // Both are in the order of keys.
        let is_counted = |key: &String| held.binary_search(key).is_ok() || pending.binary_search(key).is_ok();
        let sent = self.zeros_sent.keys().filter(|key| !is_counted(key)).count();
        let at_once = held.len() + pending.len() + others;
        let is_new = !pending.is_empty() && is_wave(at_once, sent, self.lines.len(), self.system.mode.zeros);
        if is_new {
            for key in &pending {
                let Some(mut line) = self.lines.get_mut(key) else { continue };
                line.state.held_at = Some(now);
                line.state.stopped = Some(Stopped {
                    why: Stop::Held,
                    reason: String::new(),
                    since: now,
                    times: 1,
                    retry_at: None,
                    number: None,
                    discrepancy: None,
                });
            }
            // They are held before it is told: a crash sends nothing, and tells it then.
            self.keep(&pending).await?;
            held.append(&mut pending);
        }
        if is_new || untold { self.tell_zeros(&held).await } else { Ok(()) }
    }

    /// A person asks that all be made equal: what somebody rejected to fall to zero is asked again.
    pub(super) async fn ask_zeros_again(&mut self) -> Result<(), WorkerError> {
        let now = self.now();
        let mut changed = Vec::new();
        for key in self.lines.guarded() {
            let Some(mut line) = self.lines.get_mut(&key) else { continue };
            if line.is_held() && line.state.zero_rejected {
                (line.state.zero_rejected, line.state.held_at) = (false, Some(now));
                changed.push(key.clone());
            }
        }
        self.keep(&changed).await
    }

    /// One discrepancy for all that is held, in place of the one before.
    async fn tell_zeros(&mut self, held: &[String]) -> Result<(), WorkerError> {
        let lines = || held.iter().filter_map(|key| self.lines.get(key));
        let before: BTreeSet<DiscrepancyId> = lines().filter_map(Line::told_of).collect();
        let newest = lines().filter_map(|line| line.state.held_at).max().unwrap_or_default();
        let name_of =
            |line: &Line| line.listing.remote_sku.clone().unwrap_or_else(|| line.listing.remote_id.clone());
        let names: Vec<String> = lines().take(NAMED).map(name_of).collect();
        let (system, count, all) = (self.system.name.clone(), held.len(), self.lines.len());
        let all_held: BTreeSet<&String> = held.iter().collect();
        let sent = self.zeros_sent.keys().filter(|key| !all_held.contains(key)).count();
        let before_them = match sent {
            0 => String::new(),
            1 => " 1 other has shown 0 since a few minutes ago.".to_owned(),
            sent => format!(" {sent} others have shown 0 since a few minutes ago."),
        };
        let sentence = format!(
            "{count} of {} of {system} would fall to zero at once, by no order (such as {}).{before_them} They are held as they are. Answer \
             `approve` and they are sent; answer `reject` and they stay until what made them zero is undone.",
            counted(all, "listing"),
            names.join(", ")
        );
        let note = NoteCommand {
            system,
            sku: None,
            cause: Cause::ZerosHeld,
            quantity: Quantity::units(i64::try_from(count).unwrap_or(i64::MAX)),
            sentence,
            evidence: None,
            choices: vec![Choice::Approve, Choice::Reject],
        };
        // Told again after a crash it is the same discrepancy.
        let key = Some(format!("zeros-held/{}/{}/{count}", self.id, newest.micros()));
        let command = Command { key, ..self.command(Body::Note(note)) };
        let committed = self.handle.submit(self.tenant, command).await?;
        let Answer::Discrepancy(discrepancy) = committed.answer else { return Ok(()) };
        for key in held {
            if let Some(mut line) = self.lines.get_mut(key)
                && let Some(stopped) = line.state.stopped.as_mut()
            {
                stopped.discrepancy = Some(discrepancy);
            }
        }
        self.keep(held).await?;
        for discrepancy in before {
            self.resolve(discrepancy).await?;
        }
        Ok(())
    }

    /// What no longer falls to zero, or does so by an order now, is held no longer; nor is what was allowed to allowed for ever.
    async fn release_zeros(&mut self) -> Result<(), WorkerError> {
        let mut changed = Vec::new();
        let mut told = BTreeSet::new();
        for key in self.lines.guarded() {
            let Some(mut line) = self.lines.get_mut(&key) else { continue };
            let is_zero = line.desired.is_zero();
            if line.is_held() && !line.is_guarded() {
                told.extend(line.told_of());
                line.state.stopped = None;
                line.state.zero_rejected = false;
                changed.push(key.clone());
            }
            if !is_zero && line.state.zero_allowed {
                line.state.zero_allowed = false;
                changed.push(key.clone());
            }
        }
        self.keep(&changed).await?;
        if told.is_empty() {
            return Ok(());
        }
        let still: BTreeSet<DiscrepancyId> = self.lines.values().filter_map(Line::told_of).collect();
        for discrepancy in told.difference(&still) {
            self.resolve(*discrepancy).await?;
        }
        Ok(())
    }
}
