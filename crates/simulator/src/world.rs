//! The simulated systems: shops that sell by themselves, on clocks of their own, and go wrong in every way we know.
//!
//! A shop records each set, sale, edit and refusal as it truly happened, so that whoever checks afterwards needs nobody's
//! word. What is in flight belongs to the world and not to Onhand: a request that was sent arrives even where its
//! sender is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use onhand_channels::{Meaning, Push, Pushed, Reading};
use onhand_ledger::{Instant, Quantity};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::depot::Depot;
use crate::random::Random;

/// Our only remote location.
pub const MAIN: &str = "main";
/// How many changes before its cursor a shop's list of orders still tells, where they were not told.
const OVERLAP: u64 = 64;

/// What can go wrong. The name is what is counted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Calls fail, with nothing done.
    Outage,
    /// Calls are answered "slow down", some with a time to wait.
    Throttled,
    /// Our key is refused for a while.
    CredentialsRefused,
    /// Calls are answered with something else.
    UnexpectedAnswer,
    /// Answers take seconds.
    SlowAnswer,
    /// Orders cannot be asked for, while all else can.
    OrdersDown,
    /// A write is done and its answer is lost.
    LostAcknowledgement,
    /// A write is lost on its way, and nobody says so.
    LostWrite,
    /// A write is given up by us and done much later.
    LateWrite,
    /// Of a batch some is done, and of the rest nothing is said.
    PartialBatch,
    /// One number is refused, for a while.
    Refusal,
    /// A reading tells the number of some seconds ago.
    StaleRead,
    /// An order comes into the list some time after it was placed.
    DelayedOrder,
    /// An order is left out of the list when it is new.
    LostOrderEvent,
    /// Orders are told again, some in an older state.
    DuplicatedOrder,
    /// Orders of a page come in another order than they changed in.
    ReorderedOrders,
    /// A page is cut, and said to be all there is.
    TruncatedPage,
    /// A clock is wrong.
    ClockSkew,
    /// Another program sets a number back after each of our writes.
    SecondMaster,
    /// Somebody changes a number over there.
    HandEdit,
    /// A listing is taken off, and put on again later.
    ListingVanished,
    /// Stock of a listing is not tracked for a while.
    TrackingOff,
    /// A listing has another SKU over there from now on.
    RenamedListing,
    /// A snapshot of a warehouse has nothing in it, or is cut short.
    TruncatedSnapshot,
    /// A snapshot is told some time after it was made.
    LateSnapshot,
    /// A snapshot is told twice.
    RepeatedSnapshot,
    /// A warehouse tells of what it moved some time after it did.
    LateDocument,
    /// A warehouse never tells of what it moved: only its snapshots show it.
    UntoldMovement,
    /// A snapshot was held for a person.
    HeldSnapshot,
    /// Onhand ends in the middle of anything, and is started again.
    Crash,
    /// It ends while a write of it is on its way.
    CrashBetweenPushAndKeeping,
    /// A commit fails; nothing is written.
    StoreFails,
    /// A commit is written, and said to have failed.
    StoreUnclear,
    /// A request is sent again with its key, its answer being lost.
    RepeatedRequest,
    /// What is due is swept late.
    LateSweep,
}

/// How a system is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Nature {
    /// What its numbers mean.
    pub meaning: Meaning,
    /// Are numbers and orders read before a push, and is what is set aside added to it?
    pub reads_first: bool,
    /// Listings a call.
    pub batch: usize,
    /// Orders a page.
    pub page: usize,
    /// Its clock is ahead by so much.
    pub skew_micros: i64,
    /// It tells of what it did by itself within so many milliseconds, whatever goes wrong.
    pub tells_within_ms: i64,
    /// Half of how long a call takes, at least and at most.
    pub latency_micros: (i64, i64),
}

/// What a listing went through that Onhand must not have caused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deed {
    /// A person set the number.
    Edit,
    /// Another program did.
    SecondMaster,
    /// No longer tracked.
    Untracked,
    /// Taken off.
    Vanished,
    /// A write of ours was refused.
    Refused,
}

/// Something true about a listing, for whoever judges what Onhand says of it.
#[derive(Clone, Copy, Debug)]
pub struct Truth {
    /// When, by the world's clock.
    pub at: Instant,
    /// What.
    pub deed: Deed,
    /// Until when, where it lasts.
    pub until: Option<Instant>,
}

/// A write of ours that was done.
#[derive(Clone, Debug)]
pub struct Set {
    /// When.
    pub at: Instant,
    /// The listing.
    pub listing: String,
    /// What was asked for.
    pub quantity: i64,
    /// What it was asked at.
    pub seq: u64,
}

/// A listing as it is.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its SKU over there.
    pub sku: String,
    /// What customers can buy, or what it shows.
    pub number: i64,
    /// Set aside for orders that have not left.
    pub allocated: i64,
    /// Does it track stock?
    pub tracked: bool,
    /// Is it on sale?
    pub present: bool,
    /// Who sets it back to what, if anybody.
    pub second_master: Option<i64>,
    /// What it showed, since when.
    was: Vec<(Instant, i64)>,
    /// What is true of it.
    pub truth: Vec<Truth>,
}

/// A line of an order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// The listing.
    pub listing: String,
    /// Wanted now.
    pub quantity: i64,
    /// Of it, has left.
    pub shipped: i64,
    /// Of it, came back.
    pub returned: i64,
}

/// An order in one state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Order {
    /// Its name.
    pub id: String,
    /// Grows with every change of any order.
    pub change: u64,
    /// By the shop's clock.
    pub placed_at: Instant,
    /// By the shop's clock.
    pub updated_at: Instant,
    /// All of it?
    pub cancelled: bool,
    /// What.
    pub lines: Vec<Line>,
}

/// An order in all the states it had.
#[derive(Clone, Debug)]
pub struct Told {
    /// The states, the newest last.
    pub states: Vec<Order>,
    /// In the list from then on.
    visible_at: Instant,
}

impl Told {
    /// As it is now.
    pub fn now(&self) -> &Order {
        self.states.last().expect("an order has a state")
    }
}

/// A fault that is on.
#[derive(Clone, Copy, Debug)]
struct On {
    fault: Fault,
    until: Instant,
    size: i64,
}

/// What becomes of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// Done and answered.
    Well,
    /// Not done.
    Unreachable,
    /// Not done; wait so many seconds, if it says so.
    Throttled(Option<u64>),
    /// Not done; a person must act.
    Credentials,
    /// Not done, with nonsense for an answer.
    Unexpected,
    /// Done, and not answered.
    AnswerLost,
    /// Neither done nor answered.
    RequestLost,
    /// Not answered, and done so much later.
    Late(i64),
    /// Only every second one is done, and only these are answered.
    Partial,
}

/// A system.
#[derive(Clone, Debug)]
pub struct Shop {
    /// Its name.
    pub name: String,
    /// How it is.
    pub nature: Nature,
    /// What it lists, by remote id.
    pub listings: BTreeMap<String, Listed>,
    /// Its orders.
    pub orders: Vec<Told>,
    /// Our writes that were done.
    pub sets: Vec<Set>,
    /// So many units were sold while nothing of them was shown: never, unless it does not track.
    changes: u64,
    on: Vec<On>,
}

/// What is on its way to a system.
struct InFlight {
    shop: usize,
    call: u64,
    pushes: Vec<Push>,
    fate: Fate,
}

/// Everything outside of Onhand.
pub struct World {
    /// The systems.
    pub shops: Vec<Shop>,
    /// Warehouses of somebody else's.
    pub depots: Vec<Depot>,
    /// How often each fault did harm.
    pub faults: BTreeMap<Fault, u64>,
    /// How much happened: steps, calls, and what came of them.
    pub events: u64,
    /// Writes on their way.
    in_flight: BTreeMap<(Instant, u64), InFlight>,
    answers: BTreeMap<u64, Vec<Pushed>>,
    calls: u64,
    random: Random,
    /// What happened, for a person; kept where asked for.
    pub story: Option<Vec<String>>,
    /// When a write of ours last arrived.
    pub last_write: Instant,
}

/// Shared by all that live in it.
pub type Shared = Arc<Mutex<World>>;

impl World {
    /// A world with these systems in it.
    pub fn new(shops: Vec<Shop>, seed: u64, tell: bool) -> Self {
        Self {
            shops,
            depots: Vec::new(),
            faults: BTreeMap::new(),
            events: 0,
            in_flight: BTreeMap::new(),
            answers: BTreeMap::new(),
            calls: 0,
            random: Random::of(seed, 2),
            story: tell.then(Vec::new),
            last_write: Instant::MIN,
        }
    }

    /// One more line of the story.
    pub fn tell(&mut self, now: Instant, what: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            story.push(format!("{now}  {}", what()));
        }
    }

    /// A fault did harm.
    pub fn bit(&mut self, fault: Fault) {
        *self.faults.entry(fault).or_default() += 1;
    }

    /// A call begins: its number, how long it takes there and back, and what becomes of it.
    pub fn call(&mut self, shop: usize, what: Call, now: Instant) -> (u64, i64, i64, Fate) {
        self.calls += 1;
        self.events += 1;
        let (low, high) = self.shops[shop].nature.latency_micros;
        let (mut there, mut back) = (self.random.within(low, high), self.random.within(low, high));
        let on = self.shops[shop].on(now);
        if on.contains_key(&Fault::SlowAnswer) {
            self.bit(Fault::SlowAnswer);
            there += self.random.within(0, 2_000_000);
            back += self.random.within(0, 4_000_000);
        }
        let mut fates = Vec::new();
        for (fault, size) in on {
            let fate = match fault {
                Fault::Outage => Fate::Unreachable,
                Fault::Throttled => Fate::Throttled((size % 2 == 0).then_some(1 + size.unsigned_abs() % 4)),
                Fault::CredentialsRefused => Fate::Credentials,
                Fault::UnexpectedAnswer => Fate::Unexpected,
                Fault::OrdersDown if what == Call::Orders => Fate::Unreachable,
                Fault::LostAcknowledgement if what == Call::Push => Fate::AnswerLost,
                Fault::LostWrite if what == Call::Push => Fate::RequestLost,
                Fault::LateWrite if what == Call::Push => Fate::Late(self.random.within(500_000, 20_000_000)),
                Fault::PartialBatch if what == Call::Push => Fate::Partial,
                _ => continue,
            };
            fates.push((fault, fate));
        }
        let mut fate = Fate::Well;
        if !fates.is_empty() && self.random.percent(80) {
            let (fault, chosen) = fates[self.random.index(fates.len())];
            fate = chosen;
            self.bit(fault);
        }
        (self.calls, there, back, fate)
    }

    /// A write is on its way, and arrives whoever waits for it.
    pub fn send(&mut self, shop: usize, call: u64, pushes: Vec<Push>, fate: Fate, arrives: Instant) {
        if fate != Fate::RequestLost {
            self.in_flight.insert((arrives, call), InFlight { shop, call, pushes, fate });
        }
    }

    /// When the next write arrives.
    pub fn next_arrival(&self) -> Option<Instant> {
        self.in_flight.first_key_value().map(|((at, _), _)| *at)
    }

    /// Is any write of ours on its way?
    pub fn is_anything_in_flight(&self) -> bool {
        !self.in_flight.is_empty()
    }

    /// What arrives now is done.
    pub fn arrive(&mut self, now: Instant) {
        while let Some(entry) = self.in_flight.first_entry() {
            if entry.key().0 > now {
                return;
            }
            let InFlight { shop, call, pushes, fate } = entry.remove();
            let mut results = Vec::new();
            for (nth, push) in pushes.iter().enumerate() {
                if fate == Fate::Partial && nth % 2 == 1 {
                    results.push(Pushed::Unknown { reason: "nothing was said of it".to_owned() });
                    continue;
                }
                self.last_write = now;
                let result = self.shops[shop].set(push, now);
                if matches!(result, Pushed::Refused { .. }) {
                    self.bit(Fault::Refusal);
                }
                let name = self.shops[shop].name.clone();
                self.tell(now, || {
                    format!(
                        "{name}: {} is set to {} (entry {}): {result:?}",
                        push.listing, push.quantity, push.seq
                    )
                });
                results.push(result);
            }
            self.answers.insert(call, results);
        }
    }

    /// The answer to a write that arrived.
    pub fn answer(&mut self, call: u64) -> Option<Vec<Pushed>> {
        self.answers.remove(&call)
    }

    /// Another program sets back what we wrote.
    pub fn second_masters(&mut self, now: Instant) {
        for shop in 0..self.shops.len() {
            let ids: Vec<String> = self.shops[shop].listings.keys().cloned().collect();
            for id in ids {
                let Some(listed) = self.shops[shop].listings.get_mut(&id) else { continue };
                if let Some(to) = listed.second_master
                    && listed.number != to
                    && listed.present
                {
                    let from = listed.number;
                    listed.change(now, to);
                    listed.truth.push(Truth { at: now, deed: Deed::SecondMaster, until: None });
                    self.bit(Fault::SecondMaster);
                    let name = self.shops[shop].name.clone();
                    self.tell(now, || format!("{name}: another program sets {id} from {from} back to {to}"));
                }
            }
        }
    }

    /// What a reading tells.
    pub fn read(&mut self, shop: usize, listings: &[String], now: Instant) -> Vec<Reading> {
        let stale = self.shops[shop].on(now).get(&Fault::StaleRead).copied();
        let mut readings = Vec::new();
        for id in listings {
            let Some(listed) = self.shops[shop].listings.get(id).filter(|listed| listed.present) else {
                continue;
            };
            let mut number = listed.number;
            let tracked = listed.tracked;
            let allocated = listed.allocated;
            let then = stale.map(|age| listed.at(now.plus_micros(-age)));
            if let Some(then) = then.filter(|then| *then != number) {
                number = then;
                self.bit(Fault::StaleRead);
            }
            readings.push(Reading {
                listing: id.clone(),
                location: MAIN.to_owned(),
                quantity: Quantity::units(number),
                on_hand: Some(Quantity::units(number + allocated)),
                allocated: Some(Quantity::units(allocated)),
                tracked,
            });
        }
        readings
    }

    /// A page of orders after a cursor: the orders, the next cursor, and is there more?
    pub fn page(&mut self, shop: usize, cursor: &Cursor, now: Instant) -> (Vec<Order>, Cursor, bool) {
        let on = self.shops[shop].on(now);
        let known: BTreeSet<u64> = cursor.seen.iter().copied().collect();
        let from = cursor.after.saturating_sub(OVERLAP);
        let mut orders = Vec::new();
        let mut left_out = Vec::new();
        // What came about before then is told, whatever goes wrong.
        let Nature { tells_within_ms, skew_micros: skew, .. } = self.shops[shop].nature;
        let told_by = now.plus_micros(-tells_within_ms * 1_000);
        let mut must_be_told = 0;
        for told in &self.shops[shop].orders {
            let order = told.now();
            let is_news = |state: &&Order| state.change > from && !known.contains(&state.change);
            let Some(first_news) = told.states.iter().rev().take_while(is_news).last() else { continue };
            if first_news.updated_at.plus_micros(-skew) <= told_by {
                must_be_told = must_be_told.max(order.change);
                orders.push(order.clone());
            } else if told.visible_at > now {
                left_out.push(Fault::DelayedOrder);
            } else if on.contains_key(&Fault::LostOrderEvent) && order.change > cursor.after {
                left_out.push(Fault::LostOrderEvent);
            } else {
                orders.push(order.clone());
            }
        }
        for fault in left_out {
            self.bit(fault);
        }
        orders.sort_by_key(|order| order.change);
        let page = self.shops[shop].nature.page;
        let mut more = orders.len() > page;
        orders.truncate(page);
        if on.contains_key(&Fault::TruncatedPage) && orders.len() > 1 {
            self.bit(Fault::TruncatedPage);
            let must_be = orders.iter().filter(|order| order.change <= must_be_told).count();
            more &= orders.last().is_some_and(|last| last.change < must_be_told);
            orders.truncate(must_be.max(orders.len() / 2));
        }
        let after = orders.iter().map(|order| order.change).max().unwrap_or(0).max(cursor.after);
        let mut seen: Vec<u64> = known.into_iter().chain(orders.iter().map(|order| order.change)).collect();
        seen.sort_unstable();
        seen.retain(|change| *change > after.saturating_sub(OVERLAP));
        if on.contains_key(&Fault::ReorderedOrders) && orders.len() > 1 {
            self.bit(Fault::ReorderedOrders);
            orders.reverse();
        }
        if on.contains_key(&Fault::DuplicatedOrder) {
            let all = self.shops[shop].orders.len();
            for _ in 0..all.min(2) {
                let told = &self.shops[shop].orders[self.random.index(all)];
                let state = self.random.index(told.states.len());
                let again = told.states[state].clone();
                if again.change <= after && told.visible_at <= now {
                    self.bit(Fault::DuplicatedOrder);
                    let place = self.random.index(orders.len() + 1);
                    orders.insert(place, again);
                }
            }
        }
        (orders, Cursor { after, seen }, more)
    }
}

/// Which call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    /// Reading numbers.
    Read,
    /// Writing them.
    Push,
    /// Hearing of orders.
    Orders,
}

/// Where a shop's orders are told from next.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Cursor {
    /// The newest change told.
    pub after: u64,
    /// Those near it that were told.
    pub seen: Vec<u64>,
}

impl Listed {
    /// A listing that shows so much.
    pub fn new(sku: &str, number: i64, since: Instant) -> Self {
        Self {
            sku: sku.to_owned(),
            number,
            allocated: 0,
            tracked: true,
            present: true,
            second_master: None,
            was: vec![(since, number)],
            truth: Vec::new(),
        }
    }

    /// It is there and tracked again.
    pub fn is_back(&mut self, now: Instant) {
        (self.present, self.tracked) = (true, true);
        for truth in &mut self.truth {
            if matches!(truth.deed, Deed::Vanished | Deed::Untracked) {
                truth.until.get_or_insert(now);
            }
        }
    }

    fn change(&mut self, now: Instant, to: i64) {
        self.number = to;
        self.was.push((now, to));
    }

    /// What it showed then.
    fn at(&self, then: Instant) -> i64 {
        let known = self.was.iter().rev().find(|(since, _)| *since <= then);
        known.or(self.was.first()).map_or(self.number, |(_, number)| *number)
    }
}

impl Shop {
    /// A shop that lists these.
    pub fn new(name: &str, nature: Nature, listings: BTreeMap<String, Listed>) -> Self {
        let (orders, sets, on) = (Vec::new(), Vec::new(), Vec::new());
        Self { name: name.to_owned(), nature, listings, orders, sets, changes: 0, on }
    }

    /// A fault begins, for a while.
    pub fn begin(&mut self, fault: Fault, until: Instant, size: i64) {
        self.on.push(On { fault, until, size });
    }

    /// No fault is on any more.
    pub fn heal(&mut self, now: Instant) {
        self.on.clear();
        for told in &mut self.orders {
            told.visible_at = told.visible_at.min(now);
        }
        for listed in self.listings.values_mut() {
            listed.second_master = None;
            listed.is_back(now);
        }
    }

    fn on(&self, now: Instant) -> BTreeMap<Fault, i64> {
        self.on.iter().filter(|on| on.until > now).map(|on| (on.fault, on.size)).collect()
    }

    /// Its own clock.
    fn clock(&self, now: Instant) -> Instant {
        now.plus_micros(self.nature.skew_micros)
    }

    /// Does its number fall by its own orders?
    pub fn moves_by_orders(&self) -> bool {
        self.nature.meaning == Meaning::SellableNetOfOwnOrders
    }

    /// A write of ours.
    fn set(&mut self, push: &Push, now: Instant) -> Pushed {
        let refuses = self.on(now).get(&Fault::Refusal).copied();
        let reads_first = self.nature.reads_first;
        let quantity = push.quantity.whole_units();
        let Some(listed) = self.listings.get_mut(&push.listing).filter(|listed| listed.present) else {
            return Pushed::Refused { reason: "there is no such listing".to_owned() };
        };
        if let Some(most) = refuses
            && quantity > most
        {
            listed.truth.push(Truth { at: now, deed: Deed::Refused, until: Some(now) });
            return Pushed::Refused { reason: format!("a quantity is at most {most}") };
        }
        let mut to = quantity;
        if reads_first {
            // What was set aside when it was read, less what is now: an order in between only lowers it.
            let allocated = push.before.as_ref().and_then(|before| before.allocated).unwrap_or_default();
            to -= (listed.allocated - allocated.whole_units()).max(0);
        }
        listed.change(now, to);
        self.sets.push(Set { at: now, listing: push.listing.clone(), quantity, seq: push.seq });
        Pushed::Acknowledged
    }

    /// A customer buys as much of these as is shown, or goes away. Says what happened.
    pub fn sell(&mut self, wanted: &[(String, i64)], now: Instant, delay: i64) -> Option<String> {
        let moves = self.moves_by_orders();
        let clock = self.clock(now);
        let mut lines = Vec::new();
        for (id, quantity) in wanted {
            let Some(listed) = self.listings.get_mut(id).filter(|listed| listed.present) else { continue };
            let left = if listed.tracked && moves { listed.number.min(*quantity) } else { *quantity };
            let left = if !moves && listed.tracked && listed.number < left { 0 } else { left };
            if left < 1 {
                continue;
            }
            if moves {
                let to = listed.number - left;
                listed.change(now, to);
            }
            listed.allocated += left;
            lines.push(Line { listing: id.clone(), quantity: left, shipped: 0, returned: 0 });
        }
        if lines.is_empty() {
            return None;
        }
        self.changes += 1;
        let id = format!("{}-{}", self.name, 1_001 + self.orders.len());
        let said = lines.iter().map(|line| format!("{} of {}", line.quantity, line.listing));
        let said = format!("order {id}: {}", said.collect::<Vec<_>>().join(", "));
        let order =
            Order { id, change: self.changes, placed_at: clock, updated_at: clock, cancelled: false, lines };
        self.orders.push(Told { states: vec![order], visible_at: now.plus_micros(delay) });
        Some(said)
    }

    /// An order changes; none where nothing of it can.
    pub fn change(&mut self, nth: usize, change: Change, now: Instant, delay: i64) -> Option<String> {
        if self.orders.is_empty() {
            return None;
        }
        let nth = nth % self.orders.len();
        let moves = self.moves_by_orders();
        let mut order = self.orders[nth].now().clone();
        if order.cancelled {
            return None;
        }
        let mut back = Vec::new();
        let mut is_changed = false;
        match change {
            Change::Cancel => {
                if order.lines.iter().any(|line| line.shipped > 0) {
                    return None;
                }
                order.cancelled = true;
                is_changed = true;
                back.extend(
                    order.lines.iter().map(|line| (line.listing.clone(), line.quantity, line.quantity)),
                );
            }
            Change::Less => {
                if let Some(line) = order.lines.iter_mut().find(|line| line.quantity > line.shipped + 1) {
                    line.quantity -= 1;
                    is_changed = true;
                    back.push((line.listing.clone(), 1, 1));
                }
            }
            Change::Ship => {
                for line in &mut order.lines {
                    let left = line.quantity - line.shipped;
                    is_changed |= left > 0;
                    line.shipped = line.quantity;
                    back.push((line.listing.clone(), 0, left));
                }
            }
            Change::Return => {
                if let Some(line) = order.lines.iter_mut().find(|line| line.shipped > line.returned) {
                    line.returned += 1;
                    is_changed = true;
                    back.push((line.listing.clone(), 1, 0));
                }
            }
        }
        if !is_changed {
            return None;
        }
        for (listing, up, set_free) in back {
            let Some(listed) = self.listings.get_mut(&listing) else { continue };
            listed.allocated -= set_free;
            if moves && up > 0 {
                let to = listed.number + up;
                listed.change(now, to);
            }
        }
        self.changes += 1;
        order.change = self.changes;
        order.updated_at = self.clock(now);
        let said = format!("order {}: {change:?}", order.id);
        let told = &mut self.orders[nth];
        told.states.push(order);
        told.visible_at = now.plus_micros(delay);
        Some(said)
    }

    /// Somebody sets a number by hand.
    pub fn edit(&mut self, listing: &str, to: i64, now: Instant) -> Option<(i64, i64)> {
        let listed = self.listings.get_mut(listing).filter(|listed| listed.present)?;
        let from = listed.number;
        if from == to {
            return None;
        }
        listed.change(now, to);
        listed.truth.push(Truth { at: now, deed: Deed::Edit, until: None });
        Some((from, to))
    }
}

/// How an order changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Change {
    /// All of it is no longer wanted.
    Cancel,
    /// One piece less is.
    Less,
    /// It left.
    Ship,
    /// A piece came back.
    Return,
}
