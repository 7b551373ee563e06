//! What all listings of a tenant come to: how many are in step, stopped, left to their system, and what of them could be oversold. Each is
//! looked at once; then only those are looked at again of which an entry, a note or the clock says that they may have changed, so that
//! whoever asks often does not wait for all of them.
//!
//! It is of the very `seq` and notes of the view that asks, wherever the workers of the systems run, and whether any does. On a store of
//! our own whoever commits says of which listings something is noted ([`Tallies::see`]), under the lock that keeps readers out; where other
//! nodes write too, the store says which notes were written since. Nothing of it is kept beyond the process.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use onhand_ledger::model::{Listing, System};
use onhand_ledger::publication::Index;
use onhand_ledger::{Entry, Instant, ItemId, ListingId, LotId, Quantity, Seq, SystemId, TenantId};
use onhand_store::{Note, StoreError};
use onhand_sync::{Stop, Unsent, exposed};
use parking_lot::Mutex;

use crate::published::{desired_by, offer, touched_by};
use crate::systems::{
    STATUS, ShownState, WorkerStatus, listing_of, read_note, remote_locations, shown_key, shown_space,
};
use crate::view::View;

/// So many records are read at a time.
const RECORDS: usize = 500;
/// Whoever is further behind the log than that, and than there are listings, looks at all of them anew.
const FAR: usize = 1_000;
/// Of a tenant that nobody asks for, all is forgotten after so many seconds.
const KEPT: i64 = 3_600;
/// So few are looked at again to see that each is as it is kept, where debug assertions are on.
const CHECKED: usize = 64;

/// A listing, as it was last looked at; over all remote locations of its system.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Tally {
    system: SystemId,
    /// None where it is not linked.
    item: Option<ItemId>,
    /// Numbers that are ours, those of them that are in step, and those that are left to the system.
    listings: u32,
    in_step: u32,
    skipped: u32,
    /// Why nothing is sent.
    stops: Vec<(Stop, String)>,
    /// Numbers that somebody rejected to fall to zero.
    rejected: u32,
    /// So much of the item is offered that cannot be promised.
    exposed: Quantity,
    /// When it changes by the passing of time alone.
    changes_at: Option<Instant>,
    /// What it shows is something else once its system is known to have been read again, which no note of its own says.
    is_unconfirmed: bool,
}

/// What the listings of a system come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Sums {
    /// Numbers that are ours.
    pub listings: usize,
    /// Of them last observed as they should be, with nothing unanswered.
    pub in_step: usize,
    /// Numbers that a rule leaves to the system.
    pub skipped: usize,
}

/// What all listings come to at a `seq`.
#[derive(Default)]
pub(crate) struct Counted {
    /// What came up to then is in it,
    seq: Seq,
    /// and of some listings all up to then.
    newest: Seq,
    /// Those after it are still to be looked at; none: all were.
    rest: Option<ListingId>,
    tallies: BTreeMap<ListingId, Tally>,
    sums: BTreeMap<SystemId, Sums>,
    stopped: BTreeSet<(SystemId, ListingId)>,
    exposed: BTreeSet<ListingId>,
    out_of_step: BTreeSet<(SystemId, ListingId)>,
    unlinked: BTreeSet<(SystemId, ListingId)>,
    changing: BTreeSet<(Instant, ListingId)>,
    unconfirmed: BTreeSet<ListingId>,
    /// The newest version of the notes that is in it, where nobody here hears of them.
    noted: Option<i64>,
}

/// What is kept of each tenant that somebody asks for.
pub(crate) struct Tallies {
    shared: bool,
    tenants: Mutex<HashMap<TenantId, Kept>>,
}

#[derive(Default)]
struct Kept {
    counted: Arc<Mutex<Option<Counted>>>,
    asked: Option<Instant>,
    /// Listings of which something was noted since they were looked at.
    noted: BTreeSet<ListingId>,
}

impl View<'_> {
    /// What all listings come to now, told to whoever asks.
    pub(crate) fn counted<T>(&mut self, tell: impl FnOnce(&Counted) -> T) -> Result<T, StoreError> {
        if let Some(tallies) = self.tallies {
            let kept = tallies.of(self.tenant, self.now);
            let mut kept = kept.lock();
            let is_known = self.is_counted && kept.as_ref().is_some_and(|counted| counted.is_of(self));
            if !is_known {
                self.is_counted = tallies.bring(self, &mut kept, usize::MAX)?;
            }
            if let Some(counted) = kept.as_ref().filter(|_| self.is_counted) {
                return Ok(tell(counted));
            }
        }
        Ok(tell(&Counted::anew(self)?))
    }

    /// Looks at so many of the listings that nobody has looked at yet. Are all of them known now? Whoever will ask what they come to calls this
    /// in a read of its own until they are: so nobody waits long to commit.
    pub fn count_some(&mut self, listings: usize) -> Result<bool, StoreError> {
        let Some(tallies) = self.tallies else { return Ok(true) };
        let kept = tallies.of(self.tenant, self.now);
        let mut kept = kept.lock();
        let is_brought = tallies.bring(self, &mut kept, listings)?;
        // Where nothing can be kept just now, whoever asks looks for itself.
        Ok(!is_brought || kept.as_ref().is_some_and(|counted| counted.rest.is_none()))
    }

    /// What of all that is offered cannot be promised now: so many units, of so many items.
    pub fn at_risk(&mut self) -> Result<(Quantity, usize), StoreError> {
        self.counted(|counted| {
            let exposed = || counted.exposed.iter().filter_map(|id| counted.tallies.get(id));
            let items: BTreeSet<ItemId> = exposed().filter_map(|tally| tally.item).collect();
            (exposed().map(|tally| tally.exposed).sum(), items.len())
        })
    }

    /// All listings are looked at anew, whatever is known of them: for tests.
    #[doc(hidden)]
    pub const fn look_anew(&mut self) {
        self.tallies = None;
    }
}

impl Tallies {
    /// `shared`: other nodes write to the store too.
    pub fn new(shared: bool) -> Self {
        Self { shared, tenants: Mutex::default() }
    }

    /// Something is noted. Nobody reads between this and the commit of it.
    pub fn see(&self, tenant: TenantId, notes: &[Note]) {
        if self.shared || notes.is_empty() {
            return;
        }
        if let Some(kept) = self.tenants.lock().get_mut(&tenant) {
            kept.noted.extend(notes.iter().filter_map(listing_of));
        }
    }

    fn of(&self, tenant: TenantId, now: Instant) -> Arc<Mutex<Option<Counted>>> {
        let mut tenants = self.tenants.lock();
        tenants.retain(|_, kept| kept.asked.is_some_and(|asked| asked.plus_seconds(KEPT) > now));
        let kept = tenants.entry(tenant).or_default();
        kept.asked = Some(now);
        kept.counted.clone()
    }

    /// Brings what is known up to what a view sees, but for what is still to be looked at after so many listings. False: it cannot be now.
    /// What fails on the way is not kept.
    fn bring(
        &self,
        view: &mut View<'_>,
        kept: &mut Option<Counted>,
        limit: usize,
    ) -> Result<bool, StoreError> {
        // What time has ended and is not committed yet, no entry says; and what is known already is not made older.
        if view.overdue() || kept.as_ref().is_some_and(|known| known.newest > view.seq()) {
            return Ok(false);
        }
        loop {
            let mut counted = match kept.take().filter(|known| !known.is_far_behind(view.seq())) {
                Some(known) => known,
                None => self.begin(view)?,
            };
            counted.look_on(view, limit)?;
            if counted.rest.is_none() {
                let Some(noted) = self.noted(view, &mut counted)? else {
                    *kept = Some(counted);
                    return Ok(false);
                };
                if !counted.follow(view, noted)? {
                    continue;
                }
                counted.check(view)?;
            }
            *kept = Some(counted);
            return Ok(true);
        }
    }

    fn begin(&self, view: &mut View<'_>) -> Result<Counted, StoreError> {
        let mut counted = Counted::begun(view.seq());
        self.noted(view, &mut counted)?;
        Ok(counted)
    }

    /// Listings of which something was noted since this was asked last; none: nobody can tell. No such note is ever taken away.
    fn noted(
        &self,
        view: &mut View<'_>,
        counted: &mut Counted,
    ) -> Result<Option<BTreeSet<ListingId>>, StoreError> {
        if !self.shared {
            let mut tenants = self.tenants.lock();
            let noted = tenants.get_mut(&view.tenant).map(|kept| &mut kept.noted);
            return Ok(Some(noted.map(std::mem::take).unwrap_or_default()));
        }
        let Some(shown) = view.shown_since(counted.noted)? else { return Ok(None) };
        if counted.noted.is_some_and(|known| known > shown.version) {
            // Whoever asks sees notes that are older than those it is of.
            return Ok(None);
        }
        counted.noted = Some(shown.version);
        let notes = shown.notes.into_iter().map(|(space, key)| Note { space, key, body: None });
        Ok(Some(notes.filter_map(|note| listing_of(&note)).collect()))
    }
}

/// What a listing's tally follows from, besides itself.
struct Around {
    index: Index,
    systems: BTreeMap<SystemId, (System, Vec<String>, WorkerStatus)>,
}

impl Around {
    fn of(view: &mut View<'_>) -> Result<Self, StoreError> {
        let mut systems = BTreeMap::new();
        for (id, system) in view.systems()? {
            let (remote, worker) = (remote_locations(&system), read_note(view, STATUS, &id.to_string())?);
            systems.insert(id, (system, remote, worker));
        }
        Ok(Self { index: view.published()?, systems })
    }

    fn tally(
        &self,
        view: &mut View<'_>,
        id: ListingId,
        listing: &Listing,
    ) -> Result<Option<Tally>, StoreError> {
        let Some((system, remote, worker)) = self.systems.get(&listing.system) else { return Ok(None) };
        let mut tally = Tally { system: listing.system, item: listing.item, ..Tally::default() };
        if listing.item.is_none() {
            return Ok(Some(tally));
        }
        let space = shown_space(listing.system);
        let mut offered = Vec::with_capacity(remote.len());
        for remote_location in remote {
            let should = desired_by(view, &self.index, id, listing, system, remote_location)?;
            let Some(should) = should else { continue };
            tally.changes_at = [tally.changes_at, should.changes_at].into_iter().flatten().min();
            if should.is_skipped {
                tally.skipped += 1;
                continue;
            }
            let mut state: ShownState = read_note(view, &space, &shown_key(id, remote_location))?;
            state.confirm(worker);
            tally.listings += 1;
            let sends = system.mode.direction.sends();
            let in_step = if sends { state.is_in_step(should.quantity) } else { state.unheard.is_none() };
            tally.in_step += u32::from(in_step);
            tally.is_unconfirmed |= state.is_unconfirmed();
            match state.stopped {
                Some(_) if state.zero_rejected => tally.rejected += 1,
                Some(ref stopped) => tally.stops.push((stopped.why, stopped.reason.clone())),
                None => {}
            }
            offered.push((state.offers(), should));
        }
        let offers = offered.iter().map(|(shows, should)| offer(system, listing, *shows, should));
        tally.exposed = exposed(&offers.collect::<Vec<_>>()).into_iter().sum();
        Ok(Some(tally))
    }
}

impl Counted {
    fn begun(seq: Seq) -> Self {
        Self { seq, newest: seq, rest: Some(ListingId(0)), ..Self::default() }
    }

    fn anew(view: &mut View<'_>) -> Result<Self, StoreError> {
        let mut counted = Self::begun(view.seq());
        counted.look_on(view, usize::MAX)?;
        Ok(counted)
    }

    /// What the listings of a system come to.
    pub fn of(&self, system: SystemId) -> Sums {
        self.sums.get(&system).copied().unwrap_or_default()
    }

    /// Of a system's numbers, those that nothing is sent for.
    pub fn unsent(&self, system: SystemId) -> Unsent {
        let mut unsent = Unsent { of: self.of(system).listings, ..Unsent::default() };
        for (_, tally) in self.stopped_of(system) {
            unsent.rejected += tally.rejected as usize;
            for (why, reason) in &tally.stops {
                unsent.add(*why, reason);
            }
        }
        unsent
    }

    /// Listings of a system that somebody rejected to fall to zero.
    pub fn rejected(&self, system: SystemId) -> Vec<ListingId> {
        self.stopped_of(system).filter(|(_, tally)| tally.rejected > 0).map(|(id, _)| id).collect()
    }

    fn stopped_of(&self, system: SystemId) -> impl Iterator<Item = (ListingId, &Tally)> {
        let stopped = self.stopped.range((system, ListingId(0))..=(system, ListingId(Seq::MAX)));
        stopped.filter_map(|(_, id)| Some((*id, self.tallies.get(id)?)))
    }

    /// Listings after one that offer what cannot be promised, so many at most.
    pub fn exposed_after(&self, after: ListingId, limit: usize) -> Vec<ListingId> {
        self.exposed.range((Bound::Excluded(after), Bound::Unbounded)).take(limit).copied().collect()
    }

    /// Listings of a system after one of which a number is not as it should be, so many at most.
    pub fn out_of_step_after(&self, system: SystemId, after: ListingId, limit: usize) -> Vec<ListingId> {
        after_of(&self.out_of_step, system, after, limit)
    }

    /// Listings of a system after one that are no item of ours, so many at most.
    pub fn unlinked_after(&self, system: SystemId, after: ListingId, limit: usize) -> Vec<ListingId> {
        after_of(&self.unlinked, system, after, limit)
    }

    /// Is it of the `seq` of a view, all of it?
    fn is_of(&self, view: &View<'_>) -> bool {
        self.rest.is_none() && self.newest == view.seq()
    }

    /// Where there are few listings and this is no release, each must be as whoever looks now finds it.
    fn check(&self, view: &mut View<'_>) -> Result<(), StoreError> {
        if cfg!(debug_assertions) && self.tallies.len() <= CHECKED {
            assert_eq!(self.tallies, Self::anew(view)?.tallies, "as all were looked at anew");
        }
        Ok(())
    }

    fn is_far_behind(&self, head: Seq) -> bool {
        head.saturating_sub(self.seq) > self.tallies.len().max(FAR) as Seq
    }

    /// Looks at those that are still to be looked at, so many at most.
    fn look_on(&mut self, view: &mut View<'_>, limit: usize) -> Result<(), StoreError> {
        let Some(after) = self.rest else { return Ok(()) };
        self.newest = view.seq();
        let around = Around::of(view)?;
        let part = view.listings_after(after, limit)?;
        self.rest = part.last().map(|(last, _)| *last).filter(|_| part.len() == limit);
        for (id, listing) in part {
            let tally = around.tally(view, id, &listing)?;
            self.put(id, tally);
        }
        Ok(())
    }

    /// Looks again at those that may have changed up to what a view sees, of which `noted` are known. False: that may be all of them.
    fn follow(&mut self, view: &mut View<'_>, noted: BTreeSet<ListingId>) -> Result<bool, StoreError> {
        let mut listings = noted;
        let mut changes = Changes::default();
        while self.seq < view.seq() {
            let records = view.records_after(self.seq, RECORDS)?;
            let Some((first, last)) = records.last() else { break };
            self.seq = first + last.entries.len() as Seq - 1;
            self.newest = self.seq;
            records.iter().flat_map(|(_, record)| &record.entries).for_each(|entry| changes.add(entry));
        }
        if changes.all || changes.recipe_may_count(view)? {
            return Ok(false);
        }
        listings.append(&mut changes.listings);
        for item in changes.items(view)? {
            listings.extend(view.listings_of(item)?.into_iter().map(|(id, _)| id));
        }
        listings.extend(self.changing.iter().take_while(|(at, _)| *at <= view.now).map(|(_, id)| *id));
        listings.extend(&self.unconfirmed);
        if !listings.is_empty() {
            self.look_again(view, listings)?;
        }
        Ok(true)
    }

    fn look_again(&mut self, view: &mut View<'_>, listings: BTreeSet<ListingId>) -> Result<(), StoreError> {
        let around = Around::of(view)?;
        for id in listings {
            let tally = match view.listing(id)? {
                Some(listing) => around.tally(view, id, &listing)?,
                None => None,
            };
            self.put(id, tally);
        }
        Ok(())
    }

    fn put(&mut self, id: ListingId, tally: Option<Tally>) {
        if let Some(before) = self.tallies.remove(&id) {
            let sums = self.sums.entry(before.system).or_default();
            sums.listings -= before.listings as usize;
            sums.in_step -= before.in_step as usize;
            sums.skipped -= before.skipped as usize;
            self.stopped.remove(&(before.system, id));
            self.exposed.remove(&id);
            self.out_of_step.remove(&(before.system, id));
            self.unlinked.remove(&(before.system, id));
            if let Some(at) = before.changes_at {
                self.changing.remove(&(at, id));
            }
            self.unconfirmed.remove(&id);
        }
        if let Some(now) = tally {
            let sums = self.sums.entry(now.system).or_default();
            sums.listings += now.listings as usize;
            sums.in_step += now.in_step as usize;
            sums.skipped += now.skipped as usize;
            let is_stopped = !now.stops.is_empty() || now.rejected > 0;
            self.stopped.extend(is_stopped.then_some((now.system, id)));
            self.out_of_step.extend((now.in_step < now.listings).then_some((now.system, id)));
            self.unlinked.extend(now.item.is_none().then_some((now.system, id)));
            self.exposed.extend(now.exposed.is_positive().then_some(id));
            self.changing.extend(now.changes_at.map(|at| (at, id)));
            self.unconfirmed.extend(now.is_unconfirmed.then_some(id));
            self.tallies.insert(id, now);
        }
    }
}

fn after_of(
    set: &BTreeSet<(SystemId, ListingId)>,
    system: SystemId,
    after: ListingId,
    limit: usize,
) -> Vec<ListingId> {
    let to = Bound::Included((system, ListingId(Seq::MAX)));
    let found = set.range((Bound::Excluded((system, after)), to));
    found.take(limit).map(|(_, listing)| *listing).collect()
}

/// Which tallies entries may have changed.
#[derive(Default)]
struct Changes {
    all: bool,
    items: BTreeSet<ItemId>,
    /// Those that are written anew.
    written: BTreeSet<ItemId>,
    lots: BTreeSet<LotId>,
    listings: BTreeSet<ListingId>,
    /// Documents that wait have sold something else than before.
    claimed: bool,
}

impl Changes {
    fn add(&mut self, entry: &Entry) {
        touched_by(entry, |item| _ = self.items.insert(item));
        match entry {
            Entry::Item(item, _) => _ = self.written.insert(*item),
            Entry::Expires { lot, .. } => _ = self.lots.insert(*lot),
            Entry::Listing(listing, ..) => _ = self.listings.insert(*listing),
            Entry::Claimed { .. } => self.claimed = true,
            Entry::Location(..)
            | Entry::System(..)
            | Entry::Ownership(..)
            | Entry::Publication(..)
            | Entry::SellingStop(..) => self.all = true,
            _ => {}
        }
    }

    /// May a kit be built of something else than before while documents that wait have sold it? Of what it was built nobody knows, and that
    /// may be shown higher now.
    fn recipe_may_count(&self, view: &mut View<'_>) -> Result<bool, StoreError> {
        for item in &self.written {
            if self.claimed || view.claimed(*item)?.is_positive() {
                return Ok(true);
            }
            for kit in view.kits_around(*item)? {
                if view.claimed(kit)?.is_positive() {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// The items that were touched, what those are built of, and all that is built of these: a kit is not sold twice, nor are its components.
    fn items(self, view: &mut View<'_>) -> Result<BTreeSet<ItemId>, StoreError> {
        let mut items = self.items;
        for lot in self.lots {
            items.extend(view.lot(lot)?.map(|lot| lot.item));
        }
        for item in items.clone() {
            items.extend(view.parts_of(item)?);
        }
        for item in items.clone() {
            items.extend(view.kits_around(item)?);
        }
        Ok(items)
    }
}
