//! How each connected system is doing, in figures for whoever watches: kept up to date by who changes what they speak of, so that reading them
//! looks at no listing and no table.
//!
//! A system's worker counts what it sends and finds, and leaves after each step what its listings come to, which it sums as they
//! change. What stands in the inbox follows from the log: all of it is read once, then what comes to it ([`Figures::follow`]).
//! Counts begin with the process.

use std::collections::BTreeMap;

use onhand_ledger::model::{Cause, Discrepancy};
use onhand_ledger::{DiscrepancyId, Entry, Instant, Quantity, Record, Seq, SystemId, TenantId};
use onhand_store::StoreError;
use parking_lot::Mutex;

use crate::commit::Ledger;
use crate::inbox::Which;

/// So many records, or discrepancies, are read at a time.
const PAGE: usize = 2_048;

/// How a push ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Outcome {
    /// The system said that it shows the number.
    Acknowledged,
    /// Its answer was lost.
    Unanswered,
    /// It showed another number than was expected, and nothing was set.
    Stale,
    /// It was refused.
    Refused,
    /// The call failed as a whole.
    Failed,
}

impl Outcome {
    /// All of them, as they are named in figures.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Acknowledged, "acknowledged"),
        (Self::Unanswered, "unanswered"),
        (Self::Stale, "stale"),
        (Self::Refused, "refused"),
        (Self::Failed, "failed"),
    ];
}

/// What the listings of a system come to now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Standing {
    /// Mapped listings, once for each remote location, without those whose numbers are left to the system.
    pub listings: usize,
    /// Of them last observed as they should be, with nothing unanswered.
    pub in_step: usize,
    /// What is offered there beyond what can be promised, in units of the items, all added up.
    pub exposed: i128,
    /// When the oldest change was recorded that it does not show yet and that no person is asked about; none where there is none.
    pub behind_since: Option<Instant>,
}

/// A system's figures.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OfSystem {
    /// Its name.
    pub name: String,
    /// What its listings come to, while its worker runs here.
    pub standing: Option<Standing>,
    /// How many pushes ended how.
    pub pushes: BTreeMap<Outcome, u64>,
    /// How often it asked us to slow down.
    pub throttled: u64,
    /// Changes over there that were found, by what they were said to be.
    pub drift: BTreeMap<Cause, u64>,
}

/// What stands in a tenant's inbox, in figures.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Inbox {
    /// How many discrepancies are open, by whose word they are (its name) and why.
    pub open: BTreeMap<(String, Cause), u64>,
    /// Units that were sold and were not there when that was heard of: since the process began.
    pub oversold: Quantity,
}

/// What stands in a tenant's inbox.
#[derive(Debug, Default)]
struct OfInbox {
    /// All that came up to then is in it.
    seq: Seq,
    open: BTreeMap<DiscrepancyId, (SystemId, Cause)>,
    names: BTreeMap<SystemId, String>,
    /// How many are open, by whose word they are and why.
    counts: BTreeMap<(SystemId, Cause), u64>,
    /// Units that were sold and were not there when that was heard of: since the process began.
    oversold: Quantity,
}

/// The figures of all tenants and systems.
#[derive(Debug, Default)]
pub struct Figures {
    systems: Mutex<BTreeMap<(TenantId, SystemId), OfSystem>>,
    inboxes: Mutex<BTreeMap<TenantId, OfInbox>>,
}

impl Figures {
    /// Those of each system that has or had a worker here.
    pub fn systems(&self) -> Vec<((TenantId, SystemId), OfSystem)> {
        self.systems.lock().iter().map(|(id, figures)| (*id, figures.clone())).collect()
    }

    /// Those of each tenant whose inbox is followed here.
    pub fn inboxes(&self) -> Vec<(TenantId, Inbox)> {
        self.inboxes.lock().iter().map(|(tenant, inbox)| (*tenant, inbox.figures())).collect()
    }

    pub(crate) fn of(&self, system: (TenantId, SystemId), note: impl FnOnce(&mut OfSystem)) {
        note(self.systems.lock().entry(system).or_default());
    }

    /// Learns what came to a tenant's inbox since this was called last; at first all that is open.
    pub fn follow(&self, ledger: &Ledger, tenant: TenantId) -> Result<(), StoreError> {
        let known = self.inboxes.lock().remove(&tenant);
        let mut inbox = match known {
            Some(known) => known,
            None => OfInbox::all(ledger, tenant)?,
        };
        let followed = inbox.follow(ledger, tenant);
        let named = ledger.read(tenant, |view| {
            let named = view.systems()?.into_iter().map(|(id, system)| (id, system.name));
            Ok::<_, StoreError>(named.collect())
        });
        if let Ok(names) = named {
            inbox.names = names;
        }
        self.inboxes.lock().insert(tenant, inbox);
        followed
    }

    /// Another node tells of all tenants from now on.
    pub fn forget(&self) {
        self.inboxes.lock().clear();
    }
}

impl OfInbox {
    fn all(ledger: &Ledger, tenant: TenantId) -> Result<Self, StoreError> {
        let seq = ledger.read(tenant, |view| Ok::<_, StoreError>(view.seq()))?;
        let mut inbox = Self { seq, ..Self::default() };
        let which = Which { open: Some(true), ..Which::default() };
        let mut after = DiscrepancyId(0);
        loop {
            let page = ledger.read(tenant, |view| view.discrepancies(which, after, PAGE))?;
            let Some((last, _)) = page.last() else { return Ok(inbox) };
            after = *last;
            for (id, known) in &page {
                inbox.note(*id, known);
            }
        }
    }

    fn follow(&mut self, ledger: &Ledger, tenant: TenantId) -> Result<(), StoreError> {
        loop {
            let records = ledger.read(tenant, |view| view.records_after(self.seq, PAGE))?;
            let Some((first, last)) = records.last() else { return Ok(()) };
            let seq = first + last.entries.len() as Seq - 1;
            for (_, record) in &records {
                self.add(record);
            }
            self.seq = seq;
        }
    }

    fn figures(&self) -> Inbox {
        let mut open = BTreeMap::new();
        for ((system, cause), count) in &self.counts {
            let name = self.names.get(system).cloned().unwrap_or_else(|| "onhand".to_owned());
            *open.entry((name, *cause)).or_default() += count;
        }
        Inbox { open, oversold: self.oversold }
    }

    /// A version of an order that is short of more is told anew, in place of what was told before: only the rest of it is new.
    fn add(&mut self, record: &Record) {
        let mut short = Quantity::ZERO;
        for entry in &record.entries {
            let Entry::Discrepancy(id, known) = entry else { continue };
            if known.cause == Cause::Short {
                let is_known = self.open.contains_key(id);
                match (is_known, known.resolved_at.is_some()) {
                    (false, false) => short += known.quantity,
                    (true, true) => short -= known.quantity,
                    _ => {}
                }
            }
            self.note(*id, known);
        }
        self.oversold += short.max(Quantity::ZERO);
    }

    fn note(&mut self, id: DiscrepancyId, known: &Discrepancy) {
        let is_open = known.resolved_at.is_none();
        let about = (known.system, known.cause);
        let before = if is_open { self.open.insert(id, about) } else { self.open.remove(&id) };
        if let Some(before) = before
            && let Some(count) = self.counts.get_mut(&before)
        {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&before);
            }
        }
        if is_open {
            *self.counts.entry(about).or_default() += 1;
        }
    }
}
