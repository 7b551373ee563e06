//! What may be a trouble, gathered from the ledger and its systems: in small reads, and no more than can be looked at in a
//! moment. What was left out is said to be left out.

use std::collections::{BTreeMap, BTreeSet};

use onhand_ledger::model::{Cause, Listing, Stage, System, Timing};
use onhand_ledger::{
    DiscrepancyId, Instant, ItemId, Key, ListingId, OrderId, Quantity, SystemId, TenantId, Value,
};
use onhand_store::StoreError;
use onhand_sync::alerts::{Fact, Kind};
use onhand_sync::exposed;

use super::{Delivery, Target, delivery};
use crate::commit::Ledger;
use crate::open::{Open, open_of};
use crate::published::offer;
use crate::subscriptions;
use crate::systems::{self, STATUS, WorkerStatus, read_note, remote_locations};
use crate::view::View;

/// So much is looked at in one read.
const PAGE: usize = 500;
/// So many listings of a system are looked at each time.
const LISTINGS: usize = 10_000;
/// More than so many of a kind are not looked at.
const FACTS: usize = 10_000;

/// What is kept in mind from look to look. All of it is found again by whoever begins anew.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Orders and discrepancies that are open; none: nobody asked for them yet.
    open: Option<Open>,
    /// What each system shows.
    shown: BTreeMap<SystemId, Watch>,
}

/// What was gathered.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub all: Vec<Fact>,
    /// Of these there is more than was looked at.
    pub cut: BTreeSet<Kind>,
}

impl Facts {
    /// Takes so many of these as are looked at.
    fn take<T>(&mut self, kind: Kind, mut found: Vec<T>) -> Vec<T> {
        if found.len() > FACTS {
            found.truncate(FACTS);
            self.cut.insert(kind);
        }
        found
    }
}

impl Memory {
    pub(super) fn gather(
        &mut self,
        ledger: &Ledger,
        tenant: TenantId,
        targets: &[Target],
    ) -> Result<Facts, StoreError> {
        let wanted = |kind: Kind| targets.iter().any(|target| target.wants(kind));
        let mut facts = Facts::default();
        let known = ledger.read(tenant, |view| {
            let mut known = view.systems()?;
            known.retain(|(_, system)| system.stage != Stage::Connecting);
            Ok::<_, StoreError>(known)
        })?;
        self.shown.retain(|id, _| known.iter().any(|(there, _)| there == id));
        for (id, system) in known {
            if wanted(Kind::SilentSystem) {
                facts.all.extend(ledger.read(tenant, |view| heard_of(view, ledger, id, &system))?);
            }
            if wanted(Kind::Lag) || wanted(Kind::Exposure) {
                let watch = self.shown.entry(id).or_default();
                watch.look(ledger, tenant, id, &system)?;
                facts.all.extend(watch.facts(&system.name));
            }
        }
        if wanted(Kind::LowStock) {
            let (mut after, mut rows) = (Some(ItemId(0)), Vec::new());
            while let Some(from) = after.filter(|_| rows.len() <= FACTS) {
                let (more, next) = ledger.read(tenant, |view| low(view, from))?;
                rows.extend(more);
                after = next;
            }
            let rows = facts.take(Kind::LowStock, rows);
            facts.all.extend(rows);
        }
        let of_orders = wanted(Kind::PastShipBy);
        let of_inbox = wanted(Kind::ShortOrder) || wanted(Kind::StaleDiscrepancy);
        if of_orders || of_inbox {
            let open = match self.open.take() {
                Some(open) => open,
                None => Open::all(ledger, tenant)?,
            };
            let open = self.open.insert(open);
            open.follow(ledger, tenant)?;
            if of_orders {
                for page in facts.take(Kind::PastShipBy, open.late(ledger.clock().now())).chunks(PAGE) {
                    facts.all.extend(ledger.read(tenant, |view| late_ones(view, page))?);
                }
            }
            if of_inbox {
                let ids = facts.take(Kind::StaleDiscrepancy, open.discrepancies().keys().copied().collect());
                if facts.cut.contains(&Kind::StaleDiscrepancy) {
                    facts.cut.insert(Kind::ShortOrder);
                }
                for page in ids.chunks(PAGE) {
                    facts.all.extend(ledger.read(tenant, |view| waiting(view, page))?);
                }
            }
        }
        if wanted(Kind::Unreached) {
            facts.all.extend(ledger.read(tenant, |view| deaf(view, targets))?);
            facts.all.extend(ledger.read(tenant, |view| unsent(view, ledger))?);
        }
        Ok(facts)
    }
}

/// When something was seen first, and whether it may have been so before that.
#[derive(Clone, Copy, Debug)]
struct Mark {
    since: Instant,
    may_be_older: bool,
}

/// What a listing shows, as far as it matters here.
struct Standing {
    id: ListingId,
    /// From when on it is behind, where it differs from what it should be and nothing stops it.
    behind_from: Option<Instant>,
    /// What is offered and not there.
    exposed: Option<(String, Quantity)>,
}

/// What is kept in mind of a system's listings.
#[derive(Debug, Default)]
struct Watch {
    /// Listings up to this one were looked at in this round.
    cursor: ListingId,
    /// So many were.
    in_round: usize,
    /// So many were in the last whole round; none: there was none yet.
    of: Option<usize>,
    behind: BTreeMap<ListingId, Mark>,
    exposed: BTreeMap<ListingId, (String, Quantity, Mark)>,
}

impl Watch {
    /// Looks at those that were not as they should be, and at the next ones in turn.
    fn look(
        &mut self,
        ledger: &Ledger,
        tenant: TenantId,
        id: SystemId,
        system: &System,
    ) -> Result<(), StoreError> {
        let mut turn = ledger.read(tenant, |view| view.listings_in(id, self.cursor, LISTINGS))?;
        let last = turn.last().map(|(id, _)| *id).filter(|_| turn.len() >= LISTINGS);
        self.in_round += turn.len();
        let in_turn: BTreeSet<ListingId> = turn.iter().map(|(id, _)| *id).collect();
        let known = self.behind.keys().chain(self.exposed.keys());
        let known: BTreeSet<ListingId> = known.filter(|id| !in_turn.contains(id)).copied().collect();
        for page in known.into_iter().take(LISTINGS).collect::<Vec<_>>().chunks(PAGE) {
            let listing =
                |view: &mut View<'_>, id: &ListingId| Ok(view.listing(*id)?.map(|known| (*id, known)));
            let found: Vec<Option<_>> = ledger.read(tenant, |view| {
                page.iter().map(|id| listing(view, id)).collect::<Result<_, StoreError>>()
            })?;
            turn.extend(found.into_iter().flatten());
        }
        let now = ledger.clock().now();
        for page in turn.chunks(PAGE) {
            for standing in ledger.read(tenant, |view| look_at(view, id, system, page))? {
                self.note(standing, now);
            }
        }
        self.cursor = last.unwrap_or_default();
        if last.is_none() {
            self.of = Some(std::mem::take(&mut self.in_round));
        }
        Ok(())
    }

    fn note(&mut self, standing: Standing, now: Instant) {
        let Standing { id, behind_from, exposed } = standing;
        let new = |since| Mark { since, may_be_older: self.of.is_none() };
        match behind_from {
            Some(from) => {
                self.behind.entry(id).or_insert_with(|| new(from.max(now)));
            }
            None => {
                self.behind.remove(&id);
            }
        }
        match exposed {
            Some((sku, quantity)) => {
                let mark = self.exposed.get(&id).map_or_else(|| new(now), |(.., mark)| *mark);
                self.exposed.insert(id, (sku, quantity, mark));
            }
            None => {
                self.exposed.remove(&id);
            }
        }
    }

    fn facts(&self, system: &str) -> [Fact; 2] {
        let may_be_more = |mark: &Mark| mark.may_be_older;
        let is_new = self.of.is_none();
        [
            Fact::Behind {
                system: system.to_owned(),
                since: self.behind.values().map(|mark| mark.since).collect(),
                of: self.of.unwrap_or(self.in_round),
                may_be_more: is_new || self.behind.values().any(may_be_more),
            },
            Fact::Exposed {
                system: system.to_owned(),
                items: self
                    .exposed
                    .values()
                    .map(|(sku, quantity, mark)| (sku.clone(), *quantity, mark.since))
                    .collect(),
                may_be_more: is_new || self.exposed.values().any(|(.., mark)| may_be_more(mark)),
            },
        ]
    }
}

fn look_at(
    view: &mut View<'_>,
    id: SystemId,
    system: &System,
    listings: &[(ListingId, Listing)],
) -> Result<Vec<Standing>, StoreError> {
    let worker: WorkerStatus = read_note(view, STATUS, &id.to_string())?;
    let index = view.published()?;
    let may_send =
        system.is_sent_to() && system.mode.direction.sends() && view.rules()?.pushing_stopped.is_none();
    let from = match &system.mode.timing {
        // Until the next batch it is as it was chosen.
        Timing::Batch(schedule) => worker.next_batch(schedule, view.now),
        Timing::NearRealTime { .. } => view.now,
    };
    let remote = remote_locations(system);
    let mut all = Vec::with_capacity(listings.len());
    for (listing_id, listing) in listings {
        let mut standing = Standing { id: *listing_id, behind_from: None, exposed: None };
        let mut offered = Vec::with_capacity(remote.len());
        for place in &remote {
            let found = systems::shown(view, &index, *listing_id, listing, system, place, &worker)?;
            let Some((_, should, _, state)) = found else { continue };
            if should.is_skipped {
                continue;
            }
            let differs = state.unanswered.is_some() || state.shows() != Some(should.quantity);
            if may_send && differs && state.stopped.is_none() {
                standing.behind_from = Some(from);
            }
            offered.push((state.offers(), should));
        }
        let offers = offered.iter().map(|(shows, should)| offer(system, listing, *shows, should));
        let exposed: Quantity = exposed(&offers.collect::<Vec<_>>()).into_iter().sum();
        if let Some(item) = listing.item.filter(|_| exposed.is_positive()) {
            let sku = view.item(item)?.map(|item| item.sku).unwrap_or_default();
            standing.exposed = Some((sku, exposed));
        }
        all.push(standing);
    }
    Ok(all)
}

/// How a system does that is spoken with; none where it is not.
fn heard_of(
    view: &mut View<'_>,
    ledger: &Ledger,
    id: SystemId,
    system: &System,
) -> Result<Option<Fact>, StoreError> {
    let Some(connection) = systems::connection(view, ledger.seal(), id)? else { return Ok(None) };
    let worker: WorkerStatus = read_note(view, STATUS, &id.to_string())?;
    let locked = connection.err().map(|error| format!("its credentials do not open: {error}"));
    Ok(Some(Fact::System {
        name: system.name.clone(),
        trouble: locked.or(worker.trouble),
        heard_at: worker.orders_known_to,
    }))
}

fn low(view: &mut View<'_>, after: ItemId) -> Result<(Vec<Fact>, Option<ItemId>), StoreError> {
    let page = view.low_stock(after, PAGE, PAGE)?;
    let mut facts = Vec::with_capacity(page.rows.len());
    for row in page.rows {
        let location = row.location.map(|location| view.location(location)).transpose()?.flatten();
        facts.push(Fact::Low {
            sku: row.sku,
            location: location.map(|location| location.code),
            available: row.available,
            level: row.level,
        });
    }
    Ok((facts, page.next))
}

fn late_ones(view: &mut View<'_>, ids: &[OrderId]) -> Result<Vec<Fact>, StoreError> {
    let mut facts = Vec::with_capacity(ids.len());
    for id in ids {
        let Some(Value::Order(order)) = view.get(&Key::Order(*id))? else { continue };
        let (Some(ship_by), open) = (order.ship_by, open_of(&order)) else { continue };
        let system = view.system(order.system)?.map_or_else(|| "onhand".to_owned(), |system| system.name);
        // Without a name over there it is known by its own.
        let document = if order.document.is_empty() { format!("#{id}") } else { order.document.clone() };
        facts.push(Fact::Late { system, document, ship_by, open });
    }
    Ok(facts)
}

fn waiting(view: &mut View<'_>, ids: &[DiscrepancyId]) -> Result<Vec<Fact>, StoreError> {
    let mut facts = Vec::with_capacity(ids.len());
    for id in ids {
        let Some(known) = view.discrepancy(*id)? else { continue };
        facts.push(Fact::Open {
            id: id.0,
            is_short: matches!(known.cause, Cause::Short | Cause::PromiseBroken),
            sentence: known.sentence,
            opened_at: known.opened_at,
        });
    }
    Ok(facts)
}

fn deaf(view: &mut View<'_>, targets: &[Target]) -> Result<Vec<Fact>, StoreError> {
    let mut facts = Vec::new();
    for target in targets {
        let Delivery { failing: Some(failing), .. } = delivery(view, &target.name)? else { continue };
        facts.push(Fact::Deaf { target: target.name.clone(), since: failing.since, why: failing.why });
    }
    Ok(facts)
}

/// Who subscribed to webhooks and does not get them.
fn unsent(view: &mut View<'_>, ledger: &Ledger) -> Result<Vec<Fact>, StoreError> {
    let mut facts = Vec::new();
    for (name, opened) in subscriptions::subscriptions(view, ledger.seal())? {
        let known = match opened {
            Ok(known) => known,
            Err(error) => {
                let (since, why) = (view.now, format!("its secrets do not open: {error}"));
                facts.push(Fact::Unsent { subscription: name, since, why, is_off: false, given_up: 0 });
                continue;
            }
        };
        let standing = subscriptions::standing(view, &known.id)?;
        let given_up = standing.given_up;
        let fact = |since, why, is_off| Fact::Unsent { subscription: name, since, why, is_off, given_up };
        match (standing.off, standing.failing_since) {
            (Some(off), _) => facts.push(fact(off.at, off.why, true)),
            (None, Some(since)) => facts.push(fact(since, standing.why, false)),
            // All else was taken.
            (None, None) if given_up > 0 => {
                let since = standing.given_up_at.unwrap_or(view.now);
                facts.push(fact(since, "it takes some and not all".to_owned(), false));
            }
            (None, None) => {}
        }
    }
    Ok(facts)
}
