//! What is done about a change over there that nothing explains, by the system's policy: set back, adopted, asked about, or proposed
//! to the master.

use onhand_ledger::command::{Adjust, Line, Noted};
use onhand_ledger::model::{Cause, Stage};
use onhand_ledger::{Answer, Body, Command, DiscrepancyId, Instant, Invalid, Quantity};
use onhand_store::StoreError;
use onhand_sync::{Barrier, Reaction, Stop, barrier_from, react};

use super::{Doubt, Found, Worker, WorkerError, shown_note};
use crate::commit::CommitError;
use crate::policies::{Unadoptable, barrier_of, rule_of, unadoptable};
use crate::published::Place;
use crate::queue::SubmitError;

/// So many changes that were set back are known by their discrepancies: more are a second master's.
const TOLD: usize = 10;
/// A note of the log has so many characters.
const NOTE: usize = 500;

impl Worker {
    /// Does what the policy says.
    pub(super) async fn react(&mut self, found: Found) -> Result<(), WorkerError> {
        let Found { key, from, to, at, base, doubt, of_another, .. } = found;
        let Some(line) = self.lines.get(&key) else { return Ok(()) };
        let (listing, was_asked) = (line.listing.clone(), line.is_asked());
        let name = self.system.name.clone();
        let shown = listing.remote_sku.clone().unwrap_or_else(|| listing.remote_id.clone());
        let changed =
            format!("{shown} in {name} changed before {at}, from {from} to {to}: somebody changed it, or");
        let (cause, happened) = match doubt {
            Some(Doubt::LateWrite) => (
                Cause::Unexplained,
                format!("{changed} a number that we sent before and whose answer was lost explains it."),
            ),
            Some(Doubt::PartOfOrder) => {
                (Cause::Unexplained, format!("{changed} an order that changed several times explains it."))
            }
            Some(Doubt::Amount) => {
                let sentence = format!(
                    "Somebody changed {shown} in {name} before {at}, to {to}; from how many is not sure, for it sold some just as we wrote its number."
                );
                (Cause::ManualEdit, sentence)
            }
            None => {
                let sentence = format!(
                    "Somebody changed {shown} in {name} before {at}, from {from} to {to}; no sale, return or push of ours explains it."
                );
                (Cause::ManualEdit, sentence)
            }
        };
        self.found(cause);
        // Told again after a crash, or where nobody could say whether it was kept, it is the same discrepancy.
        let told_as = Some(format!("changed/{}/{key}/{}", self.id, base.map_or(0, Instant::micros)));
        let (barrier, desired) = self.barrier(&key, from)?;
        let barrier = barrier.or_else(|| of_another.then_some(Barrier::Relinked));
        // What is only watched is compared, and nothing follows from it.
        let reaction = match self.system.stage {
            Stage::Live => react(&self.system.mode, barrier.as_ref()),
            Stage::Connecting | Stage::Watching => Reaction::SetBack,
        };
        if was_asked && matches!(reaction, Reaction::SetBack | Reaction::Propose) {
            self.resume(&key).await?;
        }
        // By now our books say what they say there: of two listings of an item the other was adopted, or it was sold elsewhere.
        if matches!(reaction, Reaction::Adopt | Reaction::Ask) && desired == Some(to) {
            return self.agreed(&key, was_asked).await;
        }
        match (reaction, barrier) {
            // What may be a write of ours is no change of theirs: a person says.
            (Reaction::Adopt, _) if !was_asked && doubt.is_none() => {
                let told_as = format!("adopted/{}/{key}/{}", self.id, base.map_or(0, Instant::micros));
                let refused = self.adopt(&key, to - from, told_as, happened.clone()).await?;
                match refused {
                    Some(refused) => self.ask(&key, to - from, &happened, (false, Some(refused))).await,
                    None => Ok(()),
                }
            }
            (Reaction::Ask | Reaction::Adopt, barrier) => {
                let is_earlier = was_asked && !self.lines.get(&key).is_some_and(|line| line.state.adoptable);
                let barrier = barrier.or_else(|| is_earlier.then_some(Barrier::Earlier));
                let barrier = barrier.map(|barrier| barrier.to_string());
                self.ask(&key, to - from, &happened, (cause == Cause::Unexplained, barrier)).await
            }
            (Reaction::Propose, Some(Barrier::Master(master))) => {
                let sentence = format!(
                    "{happened} {master} is master of that stock, so it is proposed to {master}: count it there. {name} is set to what it should \
                     show."
                );
                let cause = Cause::NotMaster;
                self.note_with(told_as, cause, &listing, to - from, sentence, Vec::new()).await.map(drop)
            }
            (Reaction::SetBack | Reaction::Propose, _) => {
                let later = if !self.system.is_sent_to() || self.pushing_stopped {
                    " once sending is resumed"
                } else {
                    ""
                };
                let sentence = format!("{happened} It is set to what it should be{later}.");
                let told = self.note_with(told_as, cause, &listing, to - from, sentence, Vec::new()).await?;
                if let Some(mut line) = self.lines.get_mut(&key)
                    && line.state.told.len() < TOLD
                {
                    line.state.told_until_sent.extend(told.filter(|_| !later.is_empty()));
                    line.state.told.extend(told);
                }
                Ok(())
            }
        }
    }

    /// What keeps a change of a listing from a number from being adopted, and what it should show now.
    fn barrier(&self, key: &str, from: Quantity) -> Result<(Option<Barrier>, Option<Quantity>), StoreError> {
        let Some(line) = self.lines.get(key) else { return Ok((None, None)) };
        self.handle.ledger().read(self.tenant, |view| {
            let index = view.published()?;
            let rule = rule_of(view, &index, line.id, &line.listing, &line.remote_location)?;
            let barrier = barrier_of(view, &self.system, &line.listing, &line.remote_location, rule)?;
            let Some(item) = line.listing.item else { return Ok((barrier, None)) };
            let (listing, remote_location) = (&line.listing, line.remote_location.as_str());
            let place = Place { id: line.id, listing, item, system: &self.system, remote_location };
            let facts = view.facts_for_rules(item)?;
            let now = place.shown(view, &index, &facts, &mut None)?;
            let desired = (!now.is_skipped).then_some(now.quantity);
            Ok((barrier.or_else(|| barrier_from(from, rule, Some(&now))), desired))
        })
    }

    /// It shows what it should by now, whoever changed it.
    async fn agreed(&mut self, key: &str, was_asked: bool) -> Result<(), WorkerError> {
        if was_asked {
            self.resume(key).await?;
        }
        if let Some(mut line) = self.lines.get_mut(key) {
            (line.state.unexplained, line.state.drift) = (Quantity::ZERO, None);
        }
        self.read_back.insert(key.to_owned());
        self.keep(&[key.to_owned()]).await
    }

    /// Books a change over there as an adjustment by that system, in one transaction with what is known of the listing then: a crash
    /// books it once. Says why where it is refused.
    async fn adopt(
        &mut self,
        key: &str,
        by: Quantity,
        told_as: String,
        why: String,
    ) -> Result<Option<String>, WorkerError> {
        let Some(mut line) = self.lines.get_mut(key) else { return Ok(None) };
        let before = line.state.clone();
        (line.state.unexplained, line.state.drift) = (Quantity::ZERO, None);
        let place = self.handle.ledger().read(self.tenant, |view| {
            let item = line.listing.item.map(|item| view.item(item)).transpose()?.flatten();
            let behind = self.system.locations.iter().find(|known| known.remote_id == line.remote_location);
            let location = behind.map(|known| view.location(known.location)).transpose()?.flatten();
            Ok(item.zip(location).map(|(item, location)| (item.sku, location.code)))
        })?;
        let units = by.micros().checked_mul(i64::from(line.listing.multiplier)).map(Quantity::from_micros);
        let (Some((sku, location)), Some(quantity)) = (place, units) else { return Ok(None) };
        let lines = vec![Line { sku, quantity, ..Line::default() }];
        let adjust = Adjust { location, lines, occurred_at: None, reason: "adopted".to_owned() };
        let note = Some(why.chars().take(NOTE).collect());
        let body = Body::Noted(Box::new(Noted { reference: None, note, body: Body::Adjust(adjust) }));
        let command = Command::keyed(Some(told_as), self.system.name.clone(), body);
        let notes = vec![shown_note(self.id, key, &line.state)];
        let refused = match self.handle.submit_with(self.tenant, Some(command), notes).await {
            Ok(committed) => match committed.answer {
                Answer::Refused(refusal) => Some(refusal.to_string()),
                _ => None,
            },
            // Another worker of this system has adopted what it saw of it: what is there now is read again.
            Err(SubmitError::Commit(CommitError::Invalid(Invalid::KeyReused(_)))) => None,
            Err(SubmitError::Commit(CommitError::Invalid(invalid))) => Some(invalid.to_string()),
            Err(error) => {
                line.state = before;
                return Err(error.into());
            }
        };
        drop(line);
        self.read_back.insert(key.to_owned());
        Ok(refused)
    }

    /// Asks a person about a change, which it may not have been, or which cannot be adopted; several before the answer are one question.
    async fn ask(
        &mut self,
        key: &str,
        by: Quantity,
        happened: &str,
        (doubtful, barrier): (bool, Option<String>),
    ) -> Result<(), WorkerError> {
        let Some(line) = self.lines.get(key) else { return Ok(()) };
        let was_asked = line.is_asked();
        let by = if was_asked { line.state.unexplained + by } else { by };
        if was_asked {
            self.resume(key).await?;
        }
        let Some(mut line) = self.lines.get_mut(key) else { return Ok(()) };
        line.state.adoptable = barrier.is_none();
        line.state.doubtful = doubtful || (was_asked && line.state.doubtful);
        line.state.unexplained = by;
        // Whoever changed it has changed it back.
        if was_asked && by.is_zero() {
            drop(line);
            return self.keep(&[key.to_owned()]).await;
        }
        let multiplier = line.listing.multiplier;
        drop(line);
        let units = by.micros().checked_mul(i64::from(multiplier)).map_or(by, Quantity::from_micros);
        let packs = if multiplier == 1 { String::new() } else { format!(", for it is sold by {multiplier}") };
        let set_back = "Answer `set_back`: it shows what it should again";
        let what = match barrier {
            None => format!("{set_back}; or `adopt`: stock changes by {units} there{packs}."),
            Some(barrier) => format!("It cannot be adopted: {barrier}. {set_back}."),
        };
        let reason = format!("{happened} {what} Nothing is sent for it until then.");
        self.stop(key, Stop::Asked, reason, None).await
    }

    /// What a person has answered to adopt.
    pub(super) async fn adopt_asked(
        &mut self,
        key: &str,
        discrepancy: DiscrepancyId,
    ) -> Result<(), WorkerError> {
        let Some(line) = self.lines.get(key) else { return Ok(()) };
        let by = line.state.unexplained;
        let why = format!("A change over there of {by}, adopted by the answer to discrepancy {discrepancy}.");
        let told_as = format!("adopted/{}/{key}/by answer {discrepancy}", self.id);
        let refused = self.adopt(key, by, told_as, why.clone()).await?;
        match refused {
            Some(refused) => self.ask(key, by, &why, (false, Some(refused))).await,
            None => Ok(()),
        }
    }

    /// What a person was asked about is set back by what the mode says by now: the questions are over.
    pub(super) async fn end_questions(&mut self) -> Result<(), WorkerError> {
        let sets_back = react(&self.system.mode, None) == Reaction::SetBack;
        if !sets_back || !self.system.mode.direction.sends() || self.system.stage != Stage::Live {
            return Ok(());
        }
        let asked = self.lines.iter().filter(|(_, line)| line.is_asked()).map(|(key, _)| key.clone());
        for key in asked.collect::<Vec<_>>() {
            if let Some(mut line) = self.lines.get_mut(&key) {
                (line.state.unexplained, line.state.drift) = (Quantity::ZERO, None);
            }
            self.resume(&key).await?;
        }
        Ok(())
    }

    /// Says, while it is so, that what is changed over there cannot be adopted, although the policy says so: a rule, a mapping or a kit
    /// came since it was saved.
    pub(super) async fn check_policy(&mut self) -> Result<(), WorkerError> {
        let adopts = self.system.mode.adopts();
        let found = if adopts {
            self.handle.ledger().read(self.tenant, |view| unadoptable(view, self.id, &self.system))?
        } else {
            None
        };
        let sentence = found.map(|Unadoptable { listings, listing, barrier }| {
            let (name, of) = (&self.system.name, if listings == 1 { "listing" } else { "listings" });
            format!(
                "What is changed in {name} is to be adopted, and cannot be for {listings} {of}, such as {listing}: {barrier}. Changes of these \
                 are asked about."
            )
        });
        let told = self.status.cannot_adopt.clone();
        if told.as_ref().map(|(_, told)| told) == sentence.as_ref() {
            return Ok(());
        }
        if let Some((discrepancy, _)) = told {
            self.resolve(discrepancy).await?;
        }
        self.status.cannot_adopt = None;
        if let Some(sentence) = sentence
            && let Some(discrepancy) = self.note_of_system(Cause::CannotAdopt, sentence.clone()).await?
        {
            self.status.cannot_adopt = Some((discrepancy, sentence));
        }
        self.keep_status().await
    }
}
