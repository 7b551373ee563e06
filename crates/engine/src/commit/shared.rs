//! Committing to a store that other nodes write to as well.
//!
//! What is in memory is only a cache. A batch is decided on what there is at one instant: the heads of its tenants are read first, and a
//! tenant that another node has written to since is read anew. When the batch is written, the store takes the head and writes
//! nothing where somebody was quicker meanwhile: then all of that tenant's commands are decided again, on what is there now. Deciding
//! is pure, so that this is safe. What a batch needs is fetched together, a few round trips for all of it.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use onhand_ledger::state::{Earlier, Need};
use onhand_ledger::{CellKey, Given, Instant, Key, Record, Seq, TenantId, Undecided, decide};
use onhand_store::{Head, Reader, StoreError};

use super::{Asked, CommitError, Decision, Inner, Outcomes, Pending, UsedKeys, last_entry};
use crate::clock::Clock;
use crate::scribe::all_chunks;

/// So often a tenant's commands are decided again because another node was quicker. Somebody commits each time.
const ATTEMPTS: usize = 100;
/// What a command needs may only be known once it has what it needs to know that.
const ROUNDS: usize = 8;

/// What became of one tenant's commands.
type Written = Result<(), Arc<StoreError>>;

impl Inner {
    /// The last entry that was written is told too, of whichever tenant.
    pub(super) fn commit_shared(
        &mut self,
        asked: Vec<&mut Asked>,
        clock: &dyn Clock,
    ) -> (Outcomes, Option<Seq>) {
        let mut open = BTreeMap::<TenantId, Vec<usize>>::new();
        for (index, one) in asked.iter().enumerate() {
            open.entry(one.submission.tenant).or_default().push(index);
        }
        let mut decisions: Vec<Option<Result<Decision, Box<CommitError>>>> =
            asked.iter().map(|_| None).collect();
        let mut records = BTreeMap::new();
        let mut failed = BTreeMap::new();
        let mut newest = None;
        self.make_room();
        for attempt in 1.. {
            let batches = self.attempt(&open, &asked, &mut decisions, clock);
            let written = self.write_each(batches, &mut records, &mut newest);
            for (id, written) in written {
                let Err(error) = written else {
                    open.remove(&id);
                    continue;
                };
                // It may hold what was never written, or lack what others wrote.
                self.tenants.remove(id);
                if !matches!(*error, StoreError::Moved { .. }) || attempt >= ATTEMPTS {
                    open.remove(&id);
                    failed.insert(id, error);
                }
            }
            if open.is_empty() {
                break;
            }
        }
        let decided = asked.iter().zip(decisions).map(|(one, decision)| {
            let tenant = one.submission.tenant;
            // Whatever else was said of a command, it was said on a state that did not hold.
            let store = failed.get(&tenant).map(|error| Err(Box::new(CommitError::Store(error.clone()))));
            (tenant, store.or(decision).unwrap_or_else(|| Err(Box::new(CommitError::Bug))))
        });
        (Outcomes { decisions: decided.collect::<Vec<_>>().into_iter(), records, failed }, newest)
    }

    /// Decides all commands of some tenants on what is there now. A tenant that the store fails has the error beside it.
    fn attempt(
        &mut self,
        open: &BTreeMap<TenantId, Vec<usize>>,
        asked: &[&mut Asked],
        decisions: &mut [Option<Result<Decision, Box<CommitError>>>],
        clock: &dyn Clock,
    ) -> BTreeMap<TenantId, (Pending, Written)> {
        // All of it is decided on what there was at one instant.
        let begun = self.store().and_then(Reader::begin);
        let begun = begun.and_then(|()| self.catch_up(open.keys().copied(), clock));
        let mut broken = begun.err().map(Arc::new);
        let (now, mut given) = (clock.now(), Given::default());
        let mut used = UsedKeys::default();
        if broken.is_none() {
            let fetched = open.iter().try_for_each(|(id, indices)| {
                self.fetch(*id, indices.iter().map(|index| &*asked[*index]), now)
            });
            let all = open.values().flatten().map(|index| &*asked[*index]);
            match fetched.and_then(|()| self.used_keys(all, now)) {
                Ok(found) => used = found,
                Err(error) => broken = Some(Arc::new(error)),
            }
        }
        let mut batches = BTreeMap::new();
        for (id, indices) in open {
            let mut pending = Pending::with_room_for(indices.len());
            let mut whole: Written = broken.clone().map_or(Ok(()), Err);
            for index in indices {
                let one = &*asked[*index];
                let decision = match &whole {
                    Ok(()) => self.decide(one, now, false, &mut pending, &used, &mut given).map_err(Box::new),
                    Err(error) => Err(Box::new(CommitError::Store(error.clone()))),
                };
                if decision.is_ok() {
                    pending.notes.extend(one.submission.notes.iter().cloned());
                }
                if let Err(error) = &decision
                    && let CommitError::Store(error) = error.as_ref()
                {
                    whole = Err(error.clone());
                }
                decisions[*index] = Some(decision);
            }
            batches.insert(*id, (pending, whole));
        }
        if let Err(error) = self.store().and_then(Reader::end) {
            let error = Arc::new(error);
            for (_, whole) in batches.values_mut() {
                *whole = Err(error.clone());
            }
        }
        batches
    }

    /// Forgets the tenants that other nodes have written to, and goes by the store's clock.
    fn catch_up(
        &mut self,
        tenants: impl Iterator<Item = TenantId>,
        clock: &dyn Clock,
    ) -> Result<(), StoreError> {
        let tenants: Vec<TenantId> = tenants.collect();
        let (now, heads) = self.store()?.heads_now(&tenants)?;
        clock.tell(now);
        for (id, head) in tenants.into_iter().zip(heads) {
            let is_good = |known: &super::Tenant| is_at(&known.head, &head) && known.knows_what_is_due(now);
            if self.tenants.get(id).is_some_and(|known| !is_good(known)) {
                self.tenants.remove(id);
            }
        }
        Ok(())
    }

    /// Provides the cells and objects that some commands need, for all of them together.
    fn fetch<'s>(
        &mut self,
        id: TenantId,
        asked: impl Iterator<Item = &'s Asked>,
        now: Instant,
    ) -> Result<(), StoreError> {
        self.tenant(id, now)?;
        // As if no key had been used before: nearly none was, and else what is fetched is not needed.
        let given = Given { earlier: Earlier::Free, ..Given::default() };
        let mut open: Vec<_> = asked.filter_map(|one| one.submission.command.as_ref()).collect();
        for _ in 0..ROUNDS {
            let (mut cells, mut objects) = (BTreeSet::<CellKey>::new(), BTreeSet::<Key>::new());
            let tenant = self.tenants.get_mut(id).expect("it was loaded above");
            open.retain(|command| {
                let state = &tenant.state;
                let decided = catch_unwind(AssertUnwindSafe(|| decide(state, &given, command, now)));
                let Ok(Err(Undecided::Needs(needs))) = decided else { return false };
                // What is needed beside them is fetched when it is decided.
                let mut looked_at_again = false;
                for need in needs {
                    match need {
                        Need::Cell(key) => _ = cells.insert(key),
                        Need::Object(key) => _ = objects.insert(key),
                        _ => continue,
                    }
                    looked_at_again = true;
                }
                looked_at_again
            });
            if cells.is_empty() && objects.is_empty() {
                break;
            }
            let (cells, objects): (Vec<_>, Vec<_>) =
                (cells.into_iter().collect(), objects.into_iter().collect());
            let store = self.store.get_mut();
            for (key, slot) in cells.iter().zip(store.here()?.cells(id, &cells)?) {
                tenant.state.provide_cell(*key, slot);
            }
            for (key, slot) in objects.iter().zip(store.here()?.objects(id, &objects)?) {
                tenant.state.provide_object(key.clone(), slot);
            }
        }
        Ok(())
    }

    /// Writes what was decided, each tenant by itself.
    fn write_each(
        &mut self,
        batches: BTreeMap<TenantId, (Pending, Written)>,
        records: &mut BTreeMap<TenantId, Box<dyn Iterator<Item = Box<Record>> + Send>>,
        newest: &mut Option<Seq>,
    ) -> BTreeMap<TenantId, Written> {
        let mut written = BTreeMap::<TenantId, Written>::new();
        let mut whole = BTreeMap::<TenantId, Pending>::new();
        for (id, (pending, sound)) in batches {
            if sound.is_ok() {
                whole.insert(id, pending);
            }
            written.insert(id, sound);
        }
        let before = |id: &TenantId| self.tenants.get(*id).map_or([0; 32], |tenant| tenant.head.hash);
        let mine = whole.iter_mut().map(|(id, pending)| (*id, before(id), &mut pending.records));
        let chunks = all_chunks(&mut None, mine);
        let writes = self.assemble(&mut whole, chunks);
        let results = match self.store() {
            Ok(store) => store.commit_each(&writes),
            Err(error) => writes.iter().map(|_| Err(error.clone())).collect(),
        };
        for (write, result) in writes.iter().zip(results) {
            if result.is_ok() {
                *newest = (*newest).max(last_entry(write));
            }
            written.insert(write.0, result.map_err(Arc::new));
        }
        for (id, pending) in whole {
            if written.get(&id).is_some_and(Result::is_ok) {
                records.insert(id, Box::new(pending.records.into_all()));
            }
        }
        written
    }
}

/// Is what is known of a tenant all that there is?
pub(super) fn is_at(known: &Head, head: &Head) -> bool {
    (known.seq, known.hash) == (head.seq, head.hash)
}
