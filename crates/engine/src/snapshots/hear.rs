//! What a system shows, heard as what lies there: what our books have otherwise is counted, and nothing else. What is not counted is
//! kept with the reason, number by number: so none of them keeps another from being counted, and nobody is asked of one twice.

use std::collections::{BTreeMap, BTreeSet};

use onhand_ledger::command::{Line, Name, Note as NoteCommand, Resolve, TakeCount};
use onhand_ledger::model::{Cause, Inbound, Meaning, System};
use onhand_ledger::{
    Answer, Body, Command, DiscrepancyId, Instant, ItemId, LocationId, Quantity, SystemId, TenantId,
};
use onhand_store::StoreError;
use onhand_sync::snapshot::{Guard, by_change};

use super::untaken::{self, Untaken, WhyUntaken};
use super::{Over, Row, Snapshot, SnapshotError, Standing, hashed, location_of, rehearse, rows, tell};
use crate::queue::{Handle, SubmitError};
use crate::rehearse::Rehearsal;

/// So many lines are compared at a time.
const LINES: usize = 500;

/// So few numbers do not show by themselves whether they are a fault.
const FEW: usize = 50;
/// So few faults are held each by itself; more are held together.
const APART: usize = 10;

/// What lies beside numbers that are heard.
pub struct Beside<F> {
    /// All that the system shows there.
    pub shown: F,
    /// What was changed there lately, by SKU: added, less what was taken.
    pub changed: BTreeMap<String, Quantity>,
}

/// Hears numbers of one location, each net of the system's own orders. What the system is not master of is left out. Few are compared
/// with all that is shown there; it is answered what they change.
pub async fn hear(
    handle: &Handle,
    tenant: TenantId,
    id: SystemId,
    snapshot: Snapshot,
    beside: Beside<impl Fn() -> Quantity>,
) -> Result<Vec<(String, Quantity)>, SnapshotError> {
    let found = handle.ledger().read(tenant, |view| {
        let Some(system) = view.system(id)? else { return Ok(None) };
        let Ok(code) = location_of(view, &system, snapshot.location.as_deref())? else { return Ok(None) };
        let Some(location) = rows::place(view, &code)? else { return Ok(None) };
        let lines = rows::named(view, id, location, &snapshot.rows)?.lines;
        let before = untaken::as_kept(view, id, &code)?;
        let known = untaken::all_as_decided(view, id, before.clone())?;
        Ok(Some((system, code, lines, before, known)))
    })?;
    let Some((system, code, lines, before, known)) = found else { return Ok(Vec::new()) };
    let hearing = Hearing { handle, tenant, id, system, code, before, known };
    let heard = hearing.rehearse(lines, &snapshot).await?;
    hearing.take(heard, snapshot, beside).await
}

/// Forgets what is not taken of anything but these items at its locations, where it is master of them; and ends what was asked of it.
pub async fn tidy_untaken(
    handle: &Handle,
    tenant: TenantId,
    id: SystemId,
    items: &BTreeSet<ItemId>,
) -> Result<(), SnapshotError> {
    let over = handle.ledger().read(tenant, |view| {
        let mut over = Vec::new();
        let Some(system) = view.system(id)? else { return Ok(over) };
        let places: BTreeSet<LocationId> = system.locations.iter().map(|mapping| mapping.location).collect();
        for place in places {
            let Some(location) = view.location(place)? else { continue };
            for (sku, untaken) in untaken::as_kept(view, id, &location.code)? {
                let item =
                    view.item_by_sku(&sku)?.filter(|(item, known)| items.contains(item) && known.sku == sku);
                let is_still = match item {
                    Some((item, known)) => rows::is_master(view, id, (item, &known), place)?,
                    None => false,
                };
                if !is_still {
                    over.push((location.code.clone(), sku, untaken));
                }
            }
        }
        Ok::<_, StoreError>(over)
    })?;
    for (code, sku, untaken) in over {
        let mut resolve = None;
        match untaken.why {
            WhyUntaken::Held { document } => {
                super::supersede(handle, tenant, id, &document, Over::Heard).await?
            }
            WhyUntaken::Rejected { .. } => {}
            WhyUntaken::Impossible { discrepancy, .. } => resolve = discrepancy,
        }
        let resolve = resolve.map(|discrepancy| {
            let body = Body::Resolve(Resolve { discrepancy, choice: None });
            Command { key: None, fingerprint: 0, actor: "onhand".to_owned(), body }
        });
        handle.submit_with(tenant, resolve, vec![untaken::note(id, &code, &sku, None)]).await?;
    }
    Ok(())
}

struct Hearing<'a> {
    handle: &'a Handle,
    tenant: TenantId,
    id: SystemId,
    system: System,
    /// Our code of the location.
    code: String,
    /// What was not taken before, by SKU.
    before: BTreeMap<String, Untaken>,
    /// The same, with what persons decided since.
    known: BTreeMap<String, Untaken>,
}

/// Numbers beside our books.
#[derive(Default)]
struct Heard {
    seen: Vec<Seen>,
    /// What cannot be counted as it is, by SKU: what was shown, and why.
    impossible: BTreeMap<String, (Quantity, String)>,
}

/// A number beside our books.
struct Seen {
    sku: String,
    /// What is to be counted.
    quantity: Quantity,
    /// By our books, then.
    found: Quantity,
    difference: Quantity,
}

impl Hearing<'_> {
    /// What counts of these numbers would change.
    async fn rehearse(&self, lines: Vec<Line>, snapshot: &Snapshot) -> Result<Heard, SnapshotError> {
        let mut heard = Heard::default();
        let count = |lines| self.count(lines, snapshot);
        let parts = lines.chunks(LINES).map(<[Line]>::to_vec).collect();
        rehearse(self.handle, self.tenant, parts, count, |lines, answer| {
            let (line, invalid) = match (answer, lines.first()) {
                (Err(invalid), Some(line)) => (line, invalid),
                (Ok(answer), _) => {
                    heard.see(lines, &answer);
                    return Ok(None);
                }
                (Err(_), None) => return Ok(None),
            };
            let (mut reason, mut instead) = (invalid.to_string(), None);
            if line.quantity.is_negative() {
                // With all that its own orders have set aside it is less than nothing: nothing lies there.
                let least = self.set_aside(line.clone(), snapshot)?;
                reason = format!(
                    "that is less than nothing, also with what its own orders have set aside ({least}), so that 0 is counted. Have \
                     it counted over there"
                );
                instead = Some(Line::new(line.sku.clone(), -least));
            }
            heard.impossible.insert(line.sku.clone(), (line.quantity, reason));
            Ok(instead)
        })
        .await?;
        Ok(heard)
    }

    /// What the system's own orders have set aside of an item there.
    fn set_aside(&self, line: Line, snapshot: &Snapshot) -> Result<Quantity, SnapshotError> {
        let command = self.count(vec![Line { quantity: Quantity::ZERO, ..line }], snapshot);
        // One of its own: what is counted here must not be there when the number itself is.
        let decided = self.handle.ledger().read(self.tenant, |view| {
            let mut rehearsal = Rehearsal::begin(view);
            Ok::<_, StoreError>(rehearsal.decide(view, &command))
        })?;
        match decided {
            Ok(rehearsed) => match rehearsed.answer {
                Answer::Counted(counted, _) => Ok(counted.into_iter().map(|line| line.counted).sum()),
                _ => Ok(Quantity::ZERO),
            },
            Err(error) => Err(SubmitError::Commit(error).into()),
        }
    }

    fn count(&self, lines: Vec<Line>, snapshot: &Snapshot) -> Command {
        self.command(
            None,
            Body::Count(TakeCount {
                location: self.code.clone(),
                lines,
                as_of: Some(snapshot.as_of.min(self.handle.ledger().clock().now())),
                inside: true,
                system: Some(self.system.name.clone()),
                net: true,
            }),
        )
    }

    fn command(&self, key: Option<String>, body: Body) -> Command {
        Command { key, fingerprint: 0, actor: self.system.name.clone(), body }
    }

    /// Counts what our books have otherwise, and keeps why the rest is not counted.
    async fn take(
        &self,
        heard: Heard,
        snapshot: Snapshot,
        beside: Beside<impl Fn() -> Quantity>,
    ) -> Result<Vec<(String, Quantity)>, SnapshotError> {
        let outdated: BTreeSet<&str> = heard
            .seen
            .iter()
            .filter_map(|seen| self.held(&seen.sku, |held| held != seen.difference))
            .collect();
        for document in &outdated {
            super::supersede(self.handle, self.tenant, self.id, document, Over::Shows).await?;
        }
        let is_decided = |seen: &&Seen| self.is_decided(seen, &outdated);
        let open = || heard.seen.iter().filter(|seen| !is_decided(seen));
        let (of, changed): (Quantity, Quantity) =
            (open().map(|seen| seen.found).sum(), open().map(Seen::risk).sum());
        let differing: Vec<&Seen> = open().filter(|seen| !seen.difference.is_zero()).collect();
        let all = if changed.is_zero() { of } else { of.max((beside.shown)()) };
        let own = if heard.seen.len() <= FEW { all } else { of };
        let before = beside.changed.values().map(|net| net.abs()).sum();
        let measure = Measure { own, all, before, settings: &self.system.inbound };
        let (taken, faults) = measure.divide(differing);
        let at_a_time = if faults.len() <= APART { 1 } else { faults.len() };
        let mut now = BTreeMap::new();
        for seen in heard.seen.iter().filter(is_decided) {
            now.extend(self.known.get(&seen.sku).map(|known| (seen.sku.clone(), known.clone())));
        }
        let mut told = Vec::new();
        for group in faults.chunks(at_a_time) {
            let held_by = Some(measure.guard_of(group, &faults));
            let part = self.part(&snapshot, group, Quantity::ZERO, held_by);
            let document = part.document.clone().unwrap_or_default();
            now.extend(group.iter().map(|seen| (seen.sku.clone(), seen.held_with(&document))));
            told.push(part);
        }
        self.add_impossible(&heard, &snapshot, &mut now).await?;
        self.keep(&heard, &now).await?;
        for part in told {
            tell(self.handle, self.tenant, &self.system.name, part).await?;
        }
        if taken.is_empty() {
            return Ok(Vec::new());
        }
        let beside: Quantity = taken.iter().chain(&faults).map(|seen| seen.found).sum();
        let part = self.part(&snapshot, &taken, own - beside, None);
        let document = part.document.clone().unwrap_or_default();
        let (kept, _) = tell(self.handle, self.tenant, &self.system.name, part).await?;
        if matches!(kept.state, Standing::Held { .. }) {
            // Our books have changed in between.
            now.extend(taken.iter().map(|seen| (seen.sku.clone(), seen.held_with(&document))));
            self.keep(&heard, &now).await?;
            return Ok(Vec::new());
        }
        Ok(taken
            .iter()
            .filter(|seen| seen.risk().is_positive())
            .map(|seen| (seen.sku.clone(), seen.difference))
            .collect())
    }

    /// A snapshot of some of these numbers.
    fn part(&self, of: &Snapshot, seen: &[&Seen], agrees: Quantity, held_by: Option<Guard>) -> Snapshot {
        let row = |seen: &&Seen| {
            let item = Name::Sku(seen.sku.clone());
            Row { item, quantity: seen.quantity, lot: None, serials: None }
        };
        let rows: Vec<Row> = seen.iter().map(row).collect();
        let document = Some(format!("{} {} {:08x}", self.code, of.as_of, hashed(&rows) >> 32));
        let (location, meaning) = (of.location.clone(), Some(Meaning::NetOfOwnOrders));
        let Snapshot { as_of, whole, declared_rows, documents_known_to, .. } = *of;
        Snapshot {
            document,
            location,
            as_of,
            whole,
            declared_rows,
            documents_known_to,
            rows,
            meaning,
            agrees,
            held_by,
        }
    }

    /// The snapshot that a number is held with, where the difference that it would make then is such a one.
    fn held(&self, sku: &str, is: impl Fn(Quantity) -> bool) -> Option<&str> {
        match self.known.get(sku) {
            Some(Untaken { difference, why: WhyUntaken::Held { document }, .. }) if is(*difference) => {
                Some(document)
            }
            _ => None,
        }
    }

    /// Is a person asked about this already, or did one reject it?
    fn is_decided(&self, seen: &Seen, outdated: &BTreeSet<&str>) -> bool {
        self.known.get(&seen.sku).is_some_and(|known| {
            known.difference == seen.difference
                && match &known.why {
                    WhyUntaken::Held { document } => !outdated.contains(document.as_str()),
                    WhyUntaken::Rejected { .. } => true,
                    WhyUntaken::Impossible { .. } => false,
                }
        })
    }

    /// What cannot be counted as it is. A person is told of each, once while it stays so.
    async fn add_impossible(
        &self,
        heard: &Heard,
        snapshot: &Snapshot,
        now: &mut BTreeMap<String, Untaken>,
    ) -> Result<(), SnapshotError> {
        let mut untold = Vec::new();
        for (sku, (quantity, reason)) in &heard.impossible {
            if now.contains_key(sku) {
                continue;
            }
            let why = match self.before.get(sku).map(|known| &known.why) {
                Some(why @ WhyUntaken::Impossible { reason: told, .. }) if told == reason => why.clone(),
                _ => {
                    let (reason, since) = (reason.clone(), snapshot.as_of);
                    WhyUntaken::Impossible { reason, discrepancy: None, since }
                }
            };
            let untaken = Untaken { quantity: *quantity, difference: Quantity::ZERO, why };
            if matches!(untaken.why, WhyUntaken::Impossible { discrepancy: None, .. }) {
                untold.push(sku);
            }
            now.insert(sku.clone(), untaken);
        }
        // It is kept before it is told: after a crash between, it is told again under the same key, and is no second one.
        self.keep(heard, now).await?;
        for sku in untold {
            let Some(untaken) = now.get_mut(sku) else { continue };
            let quantity = untaken.quantity;
            if let WhyUntaken::Impossible { reason, discrepancy, since } = &mut untaken.why {
                *discrepancy = self.tell_of(sku, quantity, reason, *since).await?;
            }
        }
        Ok(())
    }

    async fn tell_of(
        &self,
        sku: &str,
        quantity: Quantity,
        reason: &str,
        since: Instant,
    ) -> Result<Option<DiscrepancyId>, SnapshotError> {
        let (name, code) = (&self.system.name, &self.code);
        let sentence = format!(
            "{name} is master of {sku} at {code}, and shows {quantity}. It cannot be counted as it is: {reason}."
        );
        let key = format!("heard/{}/{code}/{sku}/{}", self.id, since.micros());
        let note = NoteCommand {
            system: name.clone(),
            sku: Some(sku.to_owned()),
            cause: Cause::Impossible,
            quantity,
            sentence,
            evidence: None,
            choices: Vec::new(),
        };
        let command = self.command(Some(key), Body::Note(note));
        Ok(match self.handle.submit(self.tenant, command).await?.answer {
            Answer::Discrepancy(id) => Some(id),
            _ => None,
        })
    }

    /// Keeps why these are not taken, and that the others of them are.
    async fn keep(&self, heard: &Heard, now: &BTreeMap<String, Untaken>) -> Result<(), SnapshotError> {
        let mut notes = Vec::new();
        let skus: BTreeSet<&String> =
            heard.seen.iter().map(|seen| &seen.sku).chain(heard.impossible.keys()).collect();
        for sku in skus {
            let (before, now) = (self.before.get(sku), now.get(sku));
            if before == now {
                continue;
            }
            notes.push(untaken::note(self.id, &self.code, sku, now));
            let told = |untaken: Option<&Untaken>| match untaken.map(|untaken| &untaken.why) {
                Some(WhyUntaken::Impossible { discrepancy, .. }) => *discrepancy,
                _ => None,
            };
            // What a person was told of is over.
            if let Some(discrepancy) = told(before).filter(|before| Some(*before) != told(now)) {
                let body = Body::Resolve(Resolve { discrepancy, choice: None });
                // Whoever resolved it before us is right too.
                self.handle.submit(self.tenant, self.command(None, body)).await?;
            }
        }
        if !notes.is_empty() {
            self.handle.submit_with(self.tenant, None, notes).await?;
        }
        Ok(())
    }
}

impl Heard {
    fn see(&mut self, lines: &[Line], answer: &Answer) {
        let Answer::Counted(counted, _) = answer else { return };
        for line in counted {
            let said = lines.iter().find(|said| said.sku == line.sku).map(|said| said.quantity);
            self.seen.push(Seen {
                sku: line.sku.clone(),
                quantity: said.unwrap_or(line.counted),
                found: line.found,
                difference: line.difference,
            });
        }
    }
}

/// How much numbers may change.
struct Measure<'a> {
    /// What lies there of what was heard; of few numbers, of all that is shown there.
    own: Quantity,
    /// What lies there of all that is shown.
    all: Quantity,
    /// So much was changed lately.
    before: Quantity,
    settings: &'a Inbound,
}

impl Measure<'_> {
    /// Would so much be a fault, where so much does not count?
    fn guard(&self, changed: Quantity, left_out: Quantity) -> Option<Guard> {
        if changed.is_zero() {
            return None;
        }
        by_change(changed, self.own - left_out, self.settings).or_else(|| {
            match by_change(changed + self.before, self.all - left_out, self.settings)? {
                Guard::Different { changed, of, percent } => Some(Guard::InDrops { changed, of, percent }),
                other => Some(other),
            }
        })
    }

    /// What is taken, and what is held as a fault: the largest changes, until the rest is none.
    fn divide<'s>(&self, mut differing: Vec<&'s Seen>) -> (Vec<&'s Seen>, Vec<&'s Seen>) {
        differing.sort_by_key(|seen| seen.risk());
        let mut changed: Quantity = differing.iter().map(|seen| seen.risk()).sum();
        let (mut faults, mut left_out) = (Vec::new(), Quantity::ZERO);
        while self.guard(changed, left_out).is_some() {
            let Some(largest) = differing.pop() else { break };
            changed -= largest.risk();
            left_out += largest.found;
            faults.push(largest);
        }
        (differing, faults)
    }

    /// Why some of the faults are held.
    fn guard_of(&self, group: &[&Seen], faults: &[&Seen]) -> Guard {
        let risk = |seen: &[&Seen]| seen.iter().map(|seen| seen.risk()).sum::<Quantity>();
        let (percent, of) = (self.settings.hold_above_percent, self.own);
        let by_itself = by_change(risk(group), of, self.settings);
        by_itself.unwrap_or_else(|| Guard::InDrops {
            changed: risk(faults) + self.before,
            of: self.all,
            percent,
        })
    }
}

impl Seen {
    /// So much may be lost, or be there that is not. Where our books have nothing there is nothing to lose.
    fn risk(&self) -> Quantity {
        if self.found.is_zero() { Quantity::ZERO } else { self.difference.abs() }
    }

    fn held_with(&self, document: &str) -> Untaken {
        let why = WhyUntaken::Held { document: document.to_owned() };
        Untaken { quantity: self.quantity, difference: self.difference, why }
    }
}
