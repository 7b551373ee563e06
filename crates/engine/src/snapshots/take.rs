//! Taking snapshots: what is due is counted, what looks like a fault is held, the rest waits.
//!
//! A snapshot is counted in parts, each a command under a key of its own: stopped anywhere, it goes on where it was, and
//! nothing is counted twice.

use onhand_ledger::command::{Line, Name, Note as NoteCommand, Noted, TakeCount};
use onhand_ledger::model::{Cause, Inbound, System};
use onhand_ledger::{Answer, Body, Command, Instant, LocationId, Quantity, SystemId, TenantId};
use onhand_store::{Note, StoreError};
use onhand_sync::snapshot::{Guard, Timing, by_change, by_size, held_sentence, timing, timing_sentence};
use serde::Serialize;

use super::rows::{self, Named};
use super::{Kept, Row, SnapshotError, Standing, Taken, documents, is_net, kept, rehearse};
use crate::commit::CommitError;
use crate::inbox::HeldSnapshot;
use crate::queue::{Handle, SubmitError};

/// So many lines are counted by one command: a few milliseconds.
const LINES: usize = 500;
/// So many of what could not be counted are named to a person.
const NAMED: usize = 20;
/// So few rows of one that is held are named.
const FEW: usize = 3;

/// Does with a tenant's snapshots what can be done now.
pub async fn settle_all(handle: &Handle, tenant: TenantId) -> Result<(), SnapshotError> {
    for system in handle.ledger().read(tenant, kept::open_systems)? {
        settle(handle, tenant, system).await?;
    }
    Ok(())
}

/// Does with a system's snapshots what can be done now, in the order of their `as_of`.
pub async fn settle(handle: &Handle, tenant: TenantId, id: SystemId) -> Result<(), SnapshotError> {
    let ledger = handle.ledger();
    let anything = ledger.read(tenant, |view| Ok(kept::open_systems(view)?.contains(&id)))?;
    if !anything {
        return Ok(());
    }
    // One at a time here; where several nodes do it, the keys of the counts see to it that each is counted once.
    let _alone = ledger.snapshots.lock().await;
    let found = ledger.read(tenant, |view| {
        let Some(system) = view.system(id)? else { return Ok(None) };
        let all = kept::snapshots(view, id)?;
        let notes = kept::remarked(view, id, &all)?;
        Ok(Some((system, all, notes)))
    })?;
    let Some((system, all, notes)) = found else { return Ok(()) };
    if !notes.is_empty() {
        handle.submit_with(tenant, None, notes).await?;
    }
    let taking = Taking { handle, tenant, id, system };
    // What is a fault by its size alone needs to wait for nothing.
    let mut open = Vec::new();
    for mut kept in all.iter().filter(|kept| kept.state.is_open()).cloned() {
        if kept.state == Standing::Waiting {
            taking.look(&mut kept).await?;
        }
        if kept.state.is_to_be_done() {
            open.push(kept);
        }
    }
    for mut kept in open {
        if !taking.take_if_due(&mut kept).await? {
            break;
        }
    }
    let notes = kept::forgotten(id, &all);
    if !notes.is_empty() {
        handle.submit_with(tenant, None, notes).await?;
    }
    Ok(())
}

struct Taking<'a> {
    handle: &'a Handle,
    tenant: TenantId,
    id: SystemId,
    system: System,
}

/// A part of a snapshot, and the name of it in the key that it is counted under.
struct Part {
    name: String,
    lines: Vec<Line>,
}

/// What parts begin with that a snapshot leaves out, and says by that there is none of.
const LEFT_OUT: &str = "absent/";

impl Part {
    fn is_of_what_it_leaves_out(&self) -> bool {
        self.name.starts_with(LEFT_OUT)
    }
}

impl Taking<'_> {
    fn now(&self) -> Instant {
        self.handle.ledger().clock().now()
    }

    const fn settings(&self) -> &Inbound {
        &self.system.inbound
    }

    /// Holds a snapshot that is a fault by its size.
    async fn look(&self, kept: &mut Kept) -> Result<(), SnapshotError> {
        let before = self
            .handle
            .ledger()
            .read(self.tenant, |view| kept::size_before(view, self.id, &kept.location))?;
        let before = before.filter(|(as_of, _)| *as_of < kept.as_of).map(|(_, rows)| rows);
        match kept.held_by.or_else(|| by_size(&kept.told(before), self.settings())) {
            Some(guard) => self.hold(kept, guard).await,
            None => Ok(()),
        }
    }

    async fn hold(&self, kept: &mut Kept, why: Guard) -> Result<(), SnapshotError> {
        let name = &self.system.name;
        kept.sentence = held_sentence(name, kept.as_of, &self.items_of_few(kept)?, &why);
        let held = HeldSnapshot { snapshot: kept.document.clone() };
        let evidence = serde_json::to_string(&HeldBy { held, why: &why }).ok();
        let quantity = match why {
            Guard::Different { changed, .. } | Guard::InDrops { changed, .. } => changed,
            _ => Quantity::ZERO,
        };
        let note = self.told(Cause::Guard, quantity, kept.sentence.clone(), evidence);
        let command = self.command(kept, "held", Body::Note(note));
        let discrepancy = match self.handle.submit(self.tenant, command).await?.answer {
            Answer::Discrepancy(id) => Some(id),
            _ => None,
        };
        kept.state = Standing::Held { why, discrepancy };
        self.close(kept, Vec::new()).await
    }

    /// What a snapshot is of, where it has few rows and is of these alone.
    fn items_of_few(&self, kept: &Kept) -> Result<Vec<String>, StoreError> {
        if kept.whole || kept.rows > FEW {
            return Ok(Vec::new());
        }
        let rows = self.handle.ledger().read(self.tenant, |view| kept::rows(view, self.id, kept))?;
        let name = |row: Row| match row.item {
            Name::Sku(name) | Name::Listing(name) => name,
        };
        Ok(rows.into_iter().map(name).collect())
    }

    /// Keeps what became of a snapshot, and that nothing is to be done with it now.
    async fn close(&self, kept: &Kept, mut notes: Vec<Note>) -> Result<(), SnapshotError> {
        notes.extend([kept::note(self.id, kept), kept::open_note(self.id, &kept.document, false)]);
        self.handle.submit_with(self.tenant, None, notes).await?;
        Ok(())
    }

    /// Takes a snapshot, or holds it, if its time has come; says whether the next one may be looked at.
    async fn take_if_due(&self, kept: &mut Kept) -> Result<bool, SnapshotError> {
        let ledger = self.handle.ledger();
        let (known, place) = ledger
            .read(self.tenant, |view| Ok((documents(view, self.id)?, rows::place(view, &kept.location)?)))?;
        let told = kept.told(None);
        let timing = timing(&told, known, self.settings(), self.now());
        let sentence = timing_sentence(&self.system.name, &told, known, timing);
        if matches!(timing, Timing::Wait { .. }) {
            if kept.sentence != sentence {
                kept.sentence = sentence;
                self.handle.submit_with(self.tenant, None, vec![kept::note(self.id, kept)]).await?;
            }
            return Ok(false);
        }
        let Some(location) = place else {
            return Err(StoreError::Damaged(format!("location {} is not there", kept.location)).into());
        };
        let named = ledger.read(self.tenant, |view| {
            let all = kept::rows(view, self.id, kept)?;
            rows::named(view, self.id, location, &all)
        })?;
        let parts = self.parts(kept, location, &named)?;
        if kept.state == Standing::Waiting
            && let Some(guard) = self.rehearse(kept, &parts).await?
        {
            self.hold(kept, guard).await?;
            return Ok(true);
        }
        self.take(kept, parts, named, sentence).await?;
        Ok(true)
    }

    /// All that is to be counted, in parts that are the same whenever they are made.
    fn parts(&self, kept: &Kept, location: LocationId, named: &Named) -> Result<Vec<Part>, StoreError> {
        let told = named.lines.chunks(LINES).enumerate();
        let mut parts: Vec<Part> =
            told.map(|(number, lines)| Part { name: number.to_string(), lines: lines.to_vec() }).collect();
        let says_zero = self.settings().absent == onhand_ledger::model::Absent::Zero;
        if kept.whole && says_zero {
            let mut after = Some(0);
            while let Some(from) = after {
                let (lines, next) = self.handle.ledger().read(self.tenant, |view| {
                    rows::absent(view, self.id, location, kept.as_of, &named.lines, from)
                })?;
                after = next;
                let chunks = lines.chunks(LINES).enumerate();
                parts.extend(chunks.map(|(number, lines)| Part {
                    name: format!("{LEFT_OUT}{from}/{number}"),
                    lines: lines.to_vec(),
                }));
            }
        }
        Ok(parts)
    }

    fn count(&self, kept: &Kept, lines: Vec<Line>) -> Body {
        Body::Count(TakeCount {
            location: kept.location.clone(),
            lines,
            as_of: Some(kept.as_of.min(self.now())),
            inside: true,
            system: Some(self.system.name.clone()),
            net: is_net(kept.meaning, self.settings()),
        })
    }

    /// Would it change more than is let through?
    async fn rehearse(&self, kept: &Kept, parts: &[Part]) -> Result<Option<Guard>, SnapshotError> {
        let (mut changed, mut of) = (Quantity::ZERO, kept.agrees);
        let count = |lines| {
            let actor = self.system.name.clone();
            Command { key: None, fingerprint: 0, actor, body: self.count(kept, lines) }
        };
        let parts = parts.iter().map(|part| part.lines.clone()).collect();
        rehearse(self.handle, self.tenant, parts, count, |_, answer| {
            if let Ok(Answer::Counted(counted, _)) = answer {
                of += counted.iter().map(|line| line.found).sum();
                // Where our books have nothing there is nothing to lose, as when goods come in that were sold out.
                let known = counted.iter().filter(|line| !line.found.is_zero());
                changed += known.map(|line| line.difference.abs()).sum();
            }
            Ok(None)
        })
        .await?;
        Ok(by_change(changed, of, self.settings()))
    }

    /// Counts what it says.
    async fn take(
        &self,
        kept: &mut Kept,
        parts: Vec<Part>,
        named: Named,
        sentence: String,
    ) -> Result<(), SnapshotError> {
        let mut taken = Taken::default();
        let left_out: usize =
            parts.iter().filter(|part| part.is_of_what_it_leaves_out()).map(|part| part.lines.len()).sum();
        let (mut unknown, mut foreign) = (named.unknown, named.foreign);
        let mut again: Vec<Part> = parts.into_iter().rev().collect();
        while let Some(Part { name, lines }) = again.pop() {
            // What a person reads of it in the history of each item.
            let noted = Noted {
                reference: Some(kept.document.clone()).filter(|name| name.trim() == name),
                note: Some(sentence.clone()),
                body: self.count(kept, lines.clone()),
            };
            let command = self.command(kept, &name, Body::Noted(Box::new(noted)));
            match self.handle.submit(self.tenant, command).await {
                Ok(committed) => {
                    // Another became master meanwhile: the ledger has kept it as evidence.
                    if matches!(committed.answer, Answer::Waiting(..)) {
                        taken.not_counted += lines.len();
                    }
                    taken.add(&committed.answer);
                }
                Err(SubmitError::Commit(CommitError::Invalid(_))) if lines.len() > 1 => {
                    let single =
                        |(number, line)| Part { name: format!("{name}/{number}"), lines: vec![line] };
                    again.extend(lines.into_iter().enumerate().rev().map(single));
                }
                Err(SubmitError::Commit(CommitError::Invalid(invalid))) => {
                    unknown.extend(
                        lines.first().map(|line| format!("{} {} ({invalid})", line.sku, line.quantity)),
                    );
                }
                Err(error) => return Err(error.into()),
            }
        }
        taken.not_counted += unknown.len() + foreign.len();
        let name = &self.system.name;
        let as_of = kept.as_of;
        if !foreign.is_empty() {
            let sentence = format!(
                "{name}'s snapshot of {as_of} tells how much there is of {} at {}, but {name} is not the master there: \
                 nothing was changed by that. Make {name} its master, or leave it out.",
                counted(&mut foreign, "item"),
                kept.location
            );
            let note = self.told(Cause::NotMaster, Quantity::ZERO, sentence, Some(foreign.join(", ")));
            self.handle.submit(self.tenant, self.command(kept, "foreign", Body::Note(note))).await?;
        }
        if !unknown.is_empty() {
            let as_zero = match left_out {
                0 => String::new(),
                1 => " The item that it leaves out was counted as 0: it may be one of these rows by another name.".to_owned(),
                _ => format!(
                    " {left_out} that it leaves out were counted as 0: what has another name there is among them."
                ),
            };
            let sentence = format!(
                "{name}'s snapshot of {as_of} has {} that cannot be counted; the rest was.{as_zero} See what they name; the next \
                 snapshot brings them.",
                counted(&mut unknown, "row")
            );
            let note = self.told(Cause::UnknownName, Quantity::ZERO, sentence, Some(unknown.join(", ")));
            self.handle.submit(self.tenant, self.command(kept, "unknown", Body::Note(note))).await?;
        }
        kept.state = Standing::Taken(taken);
        kept.sentence = sentence;
        let mut notes = kept::no_rows(self.id, &kept.document, kept.rows);
        let before = self
            .handle
            .ledger()
            .read(self.tenant, |view| kept::size_before(view, self.id, &kept.location))?;
        if kept.whole && before.is_none_or(|(before, _)| before <= as_of) {
            notes.push(kept::size_note(self.id, &kept.location, as_of, kept.rows));
        }
        self.close(kept, notes).await
    }

    fn told(
        &self,
        cause: Cause,
        quantity: Quantity,
        sentence: String,
        evidence: Option<String>,
    ) -> NoteCommand {
        NoteCommand {
            system: self.system.name.clone(),
            sku: None,
            cause,
            quantity,
            sentence,
            evidence,
            choices: Vec::new(),
        }
    }

    /// A command about a snapshot: told again, it is the same.
    fn command(&self, kept: &Kept, what: &str, body: Body) -> Command {
        let hash = blake3::hash(kept.document.as_bytes()).to_hex();
        let key = Some(format!("snapshot/{}/{hash}/{what}", self.id));
        Command { key, fingerprint: 0, actor: self.system.name.clone(), body }
    }
}

impl Taken {
    fn add(&mut self, answer: &Answer) {
        let Answer::Counted(counted, _) = answer else { return };
        for line in counted {
            self.counted += 1;
            self.different += usize::from(!line.difference.is_zero());
            self.found += line.found;
            if line.difference.is_positive() {
                self.added += line.difference;
            } else {
                self.taken -= line.difference;
            }
        }
    }
}

/// What is kept with the discrepancy of a snapshot that is held.
#[derive(Serialize)]
struct HeldBy<'a> {
    #[serde(flatten)]
    held: HeldSnapshot,
    /// What holds it.
    why: &'a Guard,
}

/// How many there are; of many only the first are named in the evidence.
fn counted(all: &mut Vec<String>, what: &str) -> String {
    let number = all.len();
    if number > NAMED {
        all.truncate(NAMED);
        all.push(format!("and {} more", number - NAMED));
    }
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
