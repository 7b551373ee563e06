//! Plays a story: one thing after the other, in virtual time, until all is quiet; then looks at what is left.

use std::collections::BTreeMap;
use std::sync::Arc;

use onhand_engine::Submission;
use onhand_ledger::command::{
    Adjust, Line, PlaceHold, PlaceOrder, PutItem, PutListing, PutLocation, PutMode, PutSystem, Receive,
    Resolve, SetOwnership, SetPublication, Source, TakeCount, Transfer,
};
use onhand_ledger::model::{Absent, Cause, Direction, Inbound, Mode, Timing};
use onhand_ledger::{Answer, Body, Command, Instant, Quantity, Seq};
use onhand_store::StoreError;
use parking_lot::Mutex;

use crate::books::Books;
use crate::causes::{self, Causes};
use crate::check;
use crate::depot::{self, Depot};
use crate::onhand::{Onhand, TENANT, ask, beginning};
use crate::random::Random;
use crate::store::Fails;
use crate::story::{Of, Step, Story, What};
use crate::time::{Tasks, Time};
use crate::world::{Deed, Fault, Listed, Shared, Shop, Truth, World};

/// After the faults have stopped all must be equal within so many seconds.
const SETTLES_WITHIN: i64 = 1_500;
/// And stay so, without a word from us, for as many.
const SILENT_FOR: i64 = 100;
/// So much may happen at one instant.
const AT_ONCE: u64 = 20_000;
/// Questions are answered so often, in microseconds.
const ANSWERED: i64 = 9_000_000;
/// Another program looks at its number so often, in microseconds.
const SECOND_MASTER_EVERY: i64 = 700_000;

/// What came of a story.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Calls, commands and steps.
    pub events: u64,
    /// How often each fault did harm.
    pub faults: BTreeMap<Fault, u64>,
    /// How well Onhand told causes.
    pub causes: Causes,
    /// What is wrong.
    pub violations: Vec<String>,
    /// Causes that were told wrongly.
    pub wrong: Vec<String>,
    /// Causes that were told as what they may be.
    pub unsure: Vec<String>,
    /// The same for the same story, whatever happens around it.
    pub digest: String,
    /// What happened, where it was asked for.
    pub told: Vec<String>,
}

/// What the world will do by itself.
enum Later {
    Step(usize),
    SecondMasterEnds(usize, String),
    Returns(usize, String),
    SecondMasters,
    Starts,
    Crashes(i64),
}

struct Play<'s> {
    story: &'s Story,
    world: Shared,
    time: Time,
    tasks: Tasks,
    onhand: Onhand,
    later: BTreeMap<(Instant, u64), Later>,
    count: u64,
    random: Random,
    commits_at: Option<Instant>,
    /// A crash that comes after so many more turns, and how long it lasts.
    crash_in: Option<(u64, i64)>,
    /// A crash that waits for a write on its way.
    crash_at_push: Option<i64>,
    /// When the head was seen where.
    heads: Vec<(Instant, Seq)>,
    books: Books,
    /// Books are to be compared with sends at these entries, and these entries with what the log says at the end: kept for all.
    records: Vec<(Seq, onhand_ledger::Record)>,
    violations: Vec<String>,
}

/// The name of an item.
fn sku(item: usize) -> String {
    format!("ITEM{item}")
}

fn place(location: usize) -> String {
    format!("PLACE{location}")
}

/// The name of a system.
fn name(system: usize) -> String {
    format!("SHOP{system}")
}

/// The name of a warehouse.
fn warehouse(depot: usize) -> String {
    format!("WMS{depot}")
}

/// A listing's id over there.
fn remote_id(system: usize, listing: usize) -> String {
    format!("s{system}l{listing}")
}

fn lines(item: usize, units: i64) -> Vec<Line> {
    vec![Line::new(sku(item), Quantity::units(units))]
}

fn command(key: Option<String>, body: Body) -> Command {
    Command { key, fingerprint: 0, actor: "person".to_owned(), body }
}

/// Plays a story. Tells what happens where asked.
pub fn play(story: &Story, tell: bool) -> Outcome {
    let mut shops = Vec::new();
    for (number, system) in story.systems.iter().enumerate() {
        let listings = system.listings.iter().enumerate().map(|(nth, listing)| {
            let id = remote_id(number, nth);
            (id.clone(), Listed::new(&id, listing.shows, beginning().plus_seconds(-3_600)))
        });
        shops.push(Shop::new(&name(number), system.nature.clone(), listings.collect()));
    }
    let mut world = World::new(shops, story.seed, tell);
    world.depots = (story.depots.iter().enumerate())
        .map(|(number, planned)| {
            let stock = story.stock.iter().enumerate();
            let stock = stock.map(|(item, lies)| (sku(item), lies[planned.location]));
            Depot::new(warehouse(number), place(planned.location), stock.collect())
        })
        .collect();
    let world = Arc::new(Mutex::new(world));
    let onhand = Onhand {
        disk: crate::store::Disk::default(),
        slot: Arc::default(),
        queue: None,
        ids: Vec::new(),
        sent: Arc::default(),
        late_sweep: Arc::default(),
        bugs: Arc::default(),
        answered: Arc::default(),
    };
    let mut play = Play {
        story,
        world,
        time: Time::at(beginning()),
        tasks: Tasks::default(),
        onhand,
        later: BTreeMap::new(),
        count: 0,
        random: Random::of(story.seed, 3),
        commits_at: None,
        crash_in: None,
        crash_at_push: None,
        heads: Vec::new(),
        books: Books::default(),
        records: Vec::new(),
        violations: Vec::new(),
    };
    if let Err(error) = play.all() {
        play.violations.push(error);
    }
    play.end()
}

fn store(error: StoreError) -> String {
    format!("the store: {error}")
}

impl Play<'_> {
    fn all(&mut self) -> Result<(), String> {
        self.set_up().map_err(store)?;
        self.start()?;
        let (slot, time, world) = self.around();
        if !self.story.depots.is_empty() {
            let sees = depot::see_to_held(slot.clone(), time.clone(), world.clone());
            self.tasks.spawn("whoever looks at snapshots".to_owned(), false, sees);
        }
        let answers = crate::onhand::answer(slot, time, ANSWERED);
        self.tasks.spawn("whoever answers".to_owned(), false, answers);
        let mut last = 0;
        for (number, step) in self.story.steps.iter().enumerate() {
            self.add(beginning().plus_micros(step.at), Later::Step(number));
            last = last.max(step.at);
        }
        self.add(beginning(), Later::SecondMasters);
        self.until(beginning().plus_micros(last + 5_000_000))?;
        self.quiet()?;
        self.settle()
    }

    fn around(&self) -> (crate::channel::Slot, Time, Shared) {
        (self.onhand.slot.clone(), self.time.clone(), self.world.clone())
    }

    fn add(&mut self, at: Instant, what: Later) {
        self.count += 1;
        self.later.insert((at, self.count), what);
    }

    /// The catalogue, the stock and the systems, before anything runs.
    fn set_up(&mut self) -> Result<(), StoreError> {
        let clock = self.time.clock.clone();
        let ledger = onhand_engine::Ledger::open(
            Box::new(self.onhand.disk.clone()),
            clock,
            onhand_engine::Options::default(),
        )?;
        let mut bodies = Vec::new();
        for location in 0..self.story.stock[0].len() {
            let rank = u32::try_from(location).ok();
            bodies.push(Body::PutLocation(PutLocation {
                code: place(location),
                rank,
                ..PutLocation::default()
            }));
        }
        for (item, stock) in self.story.stock.iter().enumerate() {
            bodies.push(put_item(item, None));
            for (location, units) in stock.iter().enumerate().filter(|(_, units)| **units > 0) {
                bodies.push(receive(item, location, *units));
            }
        }
        for (number, kit) in self.story.kits.iter().enumerate() {
            let parts = kit.parts.iter().map(|(item, units)| Line::new(sku(*item), Quantity::units(*units)));
            bodies.push(put_item(self.story.stock.len() + number, Some(parts.collect())));
        }
        for (number, system) in self.story.systems.iter().enumerate() {
            bodies.push(Body::PutSystem(PutSystem {
                name: name(number),
                kind: "simulated".to_owned(),
                locations: Some(vec![(crate::world::MAIN.to_owned(), place(system.locations[0]))]),
                mode: Some(put_mode(&system.mode)),
                ..PutSystem::default()
            }));
            if system.locations.len() > 1 {
                let all = system.locations.iter().map(|location| Source::Location(place(*location)));
                bodies.push(Body::SetPublication(SetPublication {
                    system: Some(name(number)),
                    locations: Some(all.collect()),
                    ..SetPublication::default()
                }));
            }
            for (nth, listing) in system.listings.iter().enumerate() {
                let mapped = listing.mapped.then(|| sku(listing.item));
                bodies.push(map(number, nth, mapped, listing.multiplier));
            }
        }
        for (number, planned) in self.story.depots.iter().enumerate() {
            bodies.extend(take_over(number, planned));
        }
        let commands = bodies.into_iter().map(|body| Submission {
            tenant: TENANT,
            command: Some(command(None, body)),
            notes: Vec::new(),
        });
        for result in ledger.commit(commands.collect()) {
            match result {
                Ok(committed) => {
                    if let Answer::System(id) = committed.answer
                        && !self.onhand.ids.contains(&id)
                        && self.onhand.ids.len() < self.story.systems.len()
                    {
                        self.onhand.ids.push(id);
                    }
                }
                Err(error) => self.violations.push(format!("the beginning is refused: {error}")),
            }
        }
        Ok(())
    }

    fn start(&mut self) -> Result<(), String> {
        let started = self.onhand.start(self.story, &self.world, &self.time, &mut self.tasks);
        started.map_err(|error| format!("it does not start: {error}"))
    }

    /// All that happens up to then.
    fn until(&mut self, end: Instant) -> Result<(), String> {
        let mut at_once = 0;
        loop {
            let now = self.time.now();
            if self.is_time_to_crash(now) {
                continue;
            }
            let commits = self.onhand.queue.as_ref().is_some_and(onhand_engine::Queue::is_waiting);
            if commits && self.commits_at.is_none() {
                let takes = self.random.within(0, self.story.commit_micros);
                self.commits_at = Some(now.plus_micros(takes));
            }
            let may_commit = commits && self.commits_at.is_some_and(|at| at <= now);
            let awake = self.tasks.awake();
            if awake > 0 && !(may_commit && self.random.percent(30)) {
                at_once += 1;
                self.tasks.go_on(&mut self.random)?;
            } else if may_commit {
                at_once += 1;
                self.commits_at = None;
                if let Some(queue) = &mut self.onhand.queue {
                    queue.turn();
                }
                self.world.lock().events += 1;
                self.heads.extend(self.onhand.head().map(|head| (now, head)));
            } else {
                at_once = 0;
                let next = [
                    self.time.next(),
                    self.later.first_key_value().map(|((at, _), _)| *at),
                    self.world.lock().next_arrival(),
                    self.commits_at.filter(|_| commits),
                ];
                let next = next.into_iter().flatten().min().unwrap_or(end).max(now);
                if next > end {
                    self.time.set(end);
                    return Ok(());
                }
                self.world.lock().arrive(next);
                self.time.set(next);
                while let Some(entry) = self.later.first_entry() {
                    if entry.key().0 > next {
                        break;
                    }
                    let what = entry.remove();
                    self.happens(what, next)?;
                }
            }
            if at_once > AT_ONCE {
                return Err(format!("it never rests at {now}"));
            }
        }
    }

    fn is_time_to_crash(&mut self, now: Instant) -> bool {
        if self.onhand.queue.is_none() {
            return false;
        }
        if let Some(down_ms) = self.crash_at_push.filter(|_| self.world.lock().is_anything_in_flight()) {
            self.crash_at_push = None;
            let soon = now.plus_micros(self.random.within(0, 60_000));
            self.world.lock().bit(Fault::CrashBetweenPushAndKeeping);
            self.add(soon, Later::Crashes(down_ms));
        }
        match self.crash_in {
            Some((0, down_ms)) => {
                self.crash_in = None;
                self.crash(now, down_ms);
                true
            }
            Some((turns, down_ms)) => {
                self.crash_in = Some((turns - 1, down_ms));
                false
            }
            None => false,
        }
    }

    fn crash(&mut self, now: Instant, down_ms: i64) {
        if self.onhand.queue.is_none() {
            return;
        }
        // What is durable now must be there, and the same, ever after.
        if let Err(error) = self.read_books() {
            self.violations.push(store(error));
        }
        self.world.lock().bit(Fault::Crash);
        self.world.lock().tell(now, || "Onhand is killed".to_owned());
        self.onhand.kill(&mut self.tasks);
        self.commits_at = None;
        self.add(now.plus_micros(down_ms * 1_000), Later::Starts);
    }

    fn happens(&mut self, what: Later, now: Instant) -> Result<(), String> {
        let mut world = self.world.lock();
        match what {
            Later::Step(number) => {
                drop(world);
                self.step(number, now);
            }
            Later::SecondMasterEnds(system, listing) => {
                if let Some(listed) = world.shops[system].listings.get_mut(&listing) {
                    listed.second_master = None;
                }
            }
            Later::Returns(system, listing) => {
                if let Some(listed) = world.shops[system].listings.get_mut(&listing) {
                    listed.is_back(now);
                }
            }
            Later::SecondMasters => {
                world.second_masters(now);
                drop(world);
                self.add(now.plus_micros(SECOND_MASTER_EVERY), Later::SecondMasters);
            }
            Later::Starts => {
                world.tell(now, || "Onhand starts again".to_owned());
                drop(world);
                self.start()?;
            }
            Later::Crashes(down_ms) => {
                drop(world);
                self.crash(now, down_ms);
            }
        }
        Ok(())
    }

    /// Somebody sends us a command.
    fn send(&mut self, key: String, body: Body) {
        let repeat = self.random.percent(self.story.repeats);
        self.world.lock().events += 1;
        let (slot, bugs) = (self.onhand.slot.clone(), self.onhand.bugs.clone());
        let told = format!("whoever sent {key}");
        let asked =
            ask(slot, self.time.clone(), command(Some(key.clone()), body), repeat, bugs, self.world.clone());
        let answered = self.onhand.answered.clone();
        self.tasks.spawn(told, false, async move {
            if asked.await {
                answered.lock().push(key);
            }
        });
    }

    fn step(&mut self, number: usize, now: Instant) {
        let Step { what, .. } = &self.story.steps[number];
        let key = format!("step-{number}");
        self.world.lock().events += 1;
        self.world.lock().tell(now, || format!("{what:?}"));
        let systems = self.story.systems.len();
        let id_of = |system: usize, listing: usize| {
            let system = system % systems;
            (system, remote_id(system, listing % self.story.systems[system].listings.len()))
        };
        let places = self.story.stock[0].len();
        let items = self.story.stock.len();
        let sold = items + self.story.kits.len();
        match what {
            What::Receive { item, location, units } => {
                self.send(key, receive(item % items, location % places, *units))
            }
            What::Adjust { item, location, units } => {
                if *units != 0 {
                    let (location, reason) = (place(location % places), "correction".to_owned());
                    let adjust =
                        Adjust { location, lines: lines(item % items, *units), occurred_at: None, reason };
                    self.send(key, Body::Adjust(adjust));
                }
            }
            What::Count { item, location, units, ago_ms } => {
                let location = place(location % places);
                let lines = lines(item % items, *units);
                let as_of = (*ago_ms > 0).then(|| now.plus_micros(-ago_ms * 1_000));
                let count = TakeCount { location, lines, as_of, inside: false, system: None, net: false };
                self.send(key, Body::Count(count));
            }
            What::Transfer { item, from, to, units } => {
                let (from, to) = (place(from % places), place(to % places));
                let lines = lines(item % items, *units);
                self.send(key, Body::Transfer(Transfer { from, to, lines, occurred_at: None }));
            }
            What::Hold { item, units, seconds } => {
                let lines = lines(item % sold, *units);
                let expires_at = now.plus_seconds(*seconds);
                self.send(key, Body::PlaceHold(PlaceHold { lines, expires_at, ..PlaceHold::default() }));
            }
            What::Order { item, units } => {
                let lines = lines(item % sold, *units);
                self.send(key, Body::PlaceOrder(PlaceOrder { lines, ..PlaceOrder::default() }));
            }
            What::Rule { system, of, main, counts, buffer, cap, percentage, stop_at } => {
                let counts = counts.map(|location| vec![Source::Location(place(location % places))]);
                let rule = SetPublication {
                    locations: counts,
                    buffer: Some(Quantity::units(*buffer)),
                    cap: cap.map(Quantity::units),
                    percentage: Some(*percentage),
                    stop_at: stop_at.map(Quantity::units),
                    ..self.scope(*system, *of, *main)
                };
                self.send(key, Body::SetPublication(rule));
            }
            What::Leave { system, of, left } => {
                let rule = SetPublication { skip: Some(*left), ..self.scope(Some(*system), *of, false) };
                self.send(key, Body::SetPublication(rule));
            }
            What::Rename { system, listing } => {
                let (system, id) = id_of(*system, *listing);
                let mut world = self.world.lock();
                world.bit(Fault::RenamedListing);
                if let Some(listed) = world.shops[system].listings.get_mut(&id) {
                    listed.sku = format!("{id}-{number}");
                }
            }
            What::Depot { depot, item, units, told_after_ms } => {
                if !self.story.depots.is_empty() {
                    let item = sku(item % items);
                    self.at_depot(depot % self.story.depots.len(), &item, *units, *told_after_ms, now);
                }
            }
            What::Snapshot { depot, whole, wrong, delay_ms, again } => {
                if !self.story.depots.is_empty() {
                    let depot = depot % self.story.depots.len();
                    let mut world = self.world.lock();
                    for (fault, is_on) in [
                        (Fault::TruncatedSnapshot, wrong.is_some()),
                        (Fault::LateSnapshot, *delay_ms > 0),
                        (Fault::RepeatedSnapshot, *again),
                    ] {
                        if is_on {
                            world.bit(fault);
                        }
                    }
                    let snapshot = world.depots[depot].snapshot(now, *whole, *wrong);
                    drop(world);
                    self.tell_snapshot(depot, snapshot, *delay_ms, *again);
                }
            }
            What::Map { system, listing, item, multiplier } => {
                let system = system % systems;
                let listing = listing % self.story.systems[system].listings.len();
                self.send(key, map(system, listing, Some(sku(item % sold)), *multiplier));
            }
            What::Pause { system, paused } => self.send(key, pause(system % systems, *paused)),
            What::Sale { system, lines, delay_ms } => {
                let wanted: Vec<(String, i64)> =
                    lines.iter().map(|(listing, units)| (id_of(*system, *listing).1, *units)).collect();
                let mut world = self.world.lock();
                let said = world.shops[system % systems].sell(&wanted, now, delay_ms * 1_000);
                if let Some(said) = said {
                    world.events += 1;
                    if world.shops[system % systems].nature.skew_micros != 0 {
                        world.bit(Fault::ClockSkew);
                    }
                    world.tell(now, || format!("{}: {said}", name(system % systems)));
                }
            }
            What::Changed { system, order, change, delay_ms } => {
                let mut world = self.world.lock();
                let said = world.shops[system % systems].change(*order, *change, now, delay_ms * 1_000);
                if let Some(said) = said {
                    world.events += 1;
                    world.tell(now, || format!("{}: {said}", name(system % systems)));
                }
            }
            What::Edit { system, listing, to } => {
                let (system, id) = id_of(*system, *listing);
                let mut world = self.world.lock();
                if let Some((from, to)) = world.shops[system].edit(&id, *to, now) {
                    world.bit(Fault::HandEdit);
                    world.tell(now, || {
                        format!("{}: {id} is changed from {from} to {to} by hand", name(system))
                    });
                }
            }
            What::SecondMaster { system, listing, to, ms } => {
                let (system, id) = id_of(*system, *listing);
                if let Some(listed) = self.world.lock().shops[system].listings.get_mut(&id) {
                    listed.second_master = Some(*to);
                }
                self.add(now.plus_micros(ms * 1_000), Later::SecondMasterEnds(system, id));
            }
            What::Vanish { system, listing, ms } => {
                let (system, id) = id_of(*system, *listing);
                self.not_for_now(system, &id, Deed::Vanished, now);
                self.add(now.plus_micros(ms * 1_000), Later::Returns(system, id));
            }
            What::Untrack { system, listing, ms } => {
                let (system, id) = id_of(*system, *listing);
                self.not_for_now(system, &id, Deed::Untracked, now);
                self.add(now.plus_micros(ms * 1_000), Later::Returns(system, id));
            }
            What::Fault { system, fault, ms, size } => {
                let until = now.plus_micros(ms * 1_000);
                self.world.lock().shops[system % systems].begin(*fault, until, *size);
            }
            What::Crash { turns, down_ms } => self.crash_in = Some((*turns, *down_ms)),
            What::CrashAtPush { down_ms } => self.crash_at_push = Some(*down_ms),
            What::LateSweep { ms } => *self.onhand.late_sweep.lock() = ms * 1_000,
            What::StoreFails { written } => {
                let (fault, fails) = match written {
                    true => (Fault::StoreUnclear, Fails::After),
                    false => (Fault::StoreFails, Fails::Before),
                };
                self.world.lock().bit(fault);
                *self.onhand.disk.fails.lock() = Some(fails);
            }
        }
    }

    /// What a rule speaks of, and where.
    fn scope(&self, system: Option<usize>, of: Of, main: bool) -> SetPublication {
        let systems = self.story.systems.len();
        let sold = self.story.stock.len() + self.story.kits.len();
        let mut scope = SetPublication {
            system: system.map(|system| name(system % systems)),
            remote_location: system.filter(|_| main).map(|_| crate::world::MAIN.to_owned()),
            ..SetPublication::default()
        };
        match (of, system) {
            (Of::Even, _) => scope.tag = Some(EVEN.to_owned()),
            (Of::Item(item), _) => scope.sku = Some(sku(item % sold)),
            (Of::Listing(listing), Some(system)) => {
                let system = system % systems;
                let listings = self.story.systems[system].listings.len();
                scope.listing = Some(remote_id(system, listing % listings));
            }
            (Of::All | Of::Listing(_), _) => {}
        }
        scope
    }

    /// Goods move at a warehouse; it tells of that, or does not.
    fn at_depot(&mut self, depot: usize, sku: &str, units: i64, told_after_ms: Option<i64>, now: Instant) {
        let mut world = self.world.lock();
        let happened = world.depots[depot].happens(sku, units, now, told_after_ms.is_some());
        let Some(document) = happened else { return };
        match told_after_ms {
            None => world.bit(Fault::UntoldMovement),
            Some(0) => {}
            Some(_) => world.bit(Fault::LateDocument),
        }
        drop(world);
        if let Some(after_ms) = told_after_ms {
            let bugs = self.onhand.bugs.clone();
            let told = depot::tell_document(self.around(), depot, document, after_ms, bugs);
            self.tasks.spawn("a warehouse that tells what it moved".to_owned(), false, told);
        }
    }

    fn tell_snapshot(
        &mut self,
        depot: usize,
        snapshot: onhand_engine::snapshots::Snapshot,
        after_ms: i64,
        again: bool,
    ) {
        let bugs = self.onhand.bugs.clone();
        let told = depot::tell_snapshot(self.around(), warehouse(depot), snapshot, (after_ms, again), bugs);
        self.tasks.spawn("a warehouse that tells what it has".to_owned(), false, told);
    }

    fn not_for_now(&mut self, system: usize, listing: &str, deed: Deed, now: Instant) {
        let mut world = self.world.lock();
        world.bit(if deed == Deed::Vanished { Fault::ListingVanished } else { Fault::TrackingOff });
        if let Some(listed) = world.shops[system].listings.get_mut(listing) {
            listed.truth.push(Truth { at: now, deed, until: None });
            match deed {
                Deed::Vanished => listed.present = false,
                _ => listed.tracked = false,
            }
        }
    }

    /// Nothing goes wrong any more, and people do what is asked of them.
    fn quiet(&mut self) -> Result<(), String> {
        let now = self.time.now();
        self.crash_in = None;
        self.crash_at_push = None;
        *self.onhand.late_sweep.lock() = 0;
        *self.onhand.disk.fails.lock() = None;
        self.later.retain(|_, what| matches!(what, Later::Starts));
        self.world.lock().shops.iter_mut().for_each(|shop| shop.heal(now));
        self.world.lock().tell(now, || "faults stop".to_owned());
        // It runs by then, and has answered whoever asks again and again.
        self.until(now.plus_seconds(15))?;
        let now = self.time.now();
        for system in 0..self.story.systems.len() {
            self.send(format!("quiet-{system}"), pause(system, false));
        }
        for depot in 0..self.story.depots.len() {
            let snapshot = self.world.lock().depots[depot].snapshot(now, true, None);
            self.tell_snapshot(depot, snapshot, 0, false);
        }
        self.until(now.plus_seconds(30))?;
        self.read_books().map_err(store)?;
        for (id, discrepancy) in self.books.discrepancies.clone() {
            if discrepancy.cause == Cause::SecondMaster && discrepancy.resolved_at.is_none() {
                self.send(format!("resolve-{id}"), Body::Resolve(Resolve { discrepancy: id, choice: None }));
            }
        }
        Ok(())
    }

    fn read_books(&mut self) -> Result<(), StoreError> {
        let Some(handle) = self.onhand.slot.lock().clone() else { return Ok(()) };
        let seq = self.books.seq;
        let records = handle.ledger().read(TENANT, |view| view.records_after(seq, usize::MAX))?;
        for (first, record) in &records {
            self.books.add(*first, record);
        }
        self.records.extend(records);
        Ok(())
    }

    /// Until all is equal and silent; or it is not, and has had time enough.
    fn settle(&mut self) -> Result<(), String> {
        let deadline = self.time.now().plus_seconds(SETTLES_WITHIN);
        let mut sent = 0;
        let mut since = self.time.now();
        loop {
            let now = self.time.now();
            self.until(now.plus_seconds(2))?;
            self.read_books().map_err(store)?;
            let mut unequal = check::unequal(&self.world.lock(), &self.books, &self.onhand.ids);
            check::orders(&self.world.lock(), &self.books, &self.onhand.ids, &mut unequal);
            check::warehouses(&self.world.lock(), &self.books, &mut unequal);
            check::found(&self.world.lock(), &self.books, &self.onhand.ids, self.story, &mut unequal);
            // Whoever gets all numbers with each batch gets them for ever.
            let is_full = |shop: usize| matches!(&self.story.systems[shop].mode.timing, Timing::Batch(schedule) if schedule.full);
            let now_sent = self.onhand.sent.lock().iter().filter(|sent| !is_full(sent.shop)).count();
            if !unequal.is_empty() || now_sent != sent {
                sent = now_sent;
                since = self.time.now();
            }
            if since.plus_seconds(SILENT_FOR) <= self.time.now() {
                return Ok(());
            }
            if self.time.now() > deadline {
                let more = if unequal.is_empty() {
                    vec!["law 8: it never falls silent".to_owned()]
                } else {
                    unequal
                };
                self.violations.extend(more);
                return Ok(());
            }
        }
    }

    fn end(mut self) -> Outcome {
        if let Err(error) = self.read_books() {
            self.violations.push(store(error));
        }
        self.violations.append(&mut self.onhand.bugs.lock());
        let world = self.world.lock();
        let sent = self.onhand.sent.lock();
        self.violations.extend(check::laws(&check::Seen {
            world: &world,
            books: &self.books,
            records: &self.records,
            ids: &self.onhand.ids,
            sent: &sent,
            heads: &self.heads,
            answered: &self.onhand.answered.lock(),
            commit_micros: self.story.commit_micros,
        }));
        let handle = self.onhand.slot.lock().clone();
        let mut digest = String::new();
        match handle {
            Some(handle) => {
                let asked = check::asked(handle.ledger(), &self.books, &self.heads, &self.onhand.ids, &world);
                self.violations.extend(asked.unwrap_or_else(|error| vec![store(error)]));
                let changed = check::history(handle.ledger(), &self.records);
                self.violations.extend(changed.unwrap_or_else(|error| vec![store(error)]));
                match onhand_engine::verify(handle.ledger(), TENANT, &mut |_| {}) {
                    Ok(verified) => {
                        let found = verified.violation.map(|violation| format!("the audit: {violation}"));
                        self.violations.extend(found);
                    }
                    Err(error) => self.violations.push(store(error)),
                }
                if let Ok(head) = handle.ledger().read(TENANT, |view| {
                    let head = view.head()?;
                    Ok(head)
                }) {
                    let hash = head.hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
                    digest = format!("{}/{hash}/{}/{}", head.seq, sent.len(), world.events);
                }
            }
            None => self.violations.push("it does not run at the end".to_owned()),
        }
        let (causes, told) = causes::score(&world, &self.books, &self.records, &self.onhand.ids);
        Outcome {
            wrong: told.wrong,
            unsure: told.unsure,
            events: world.events,
            faults: world.faults.clone(),
            causes,
            violations: self.violations,
            digest,
            told: world.story.clone().unwrap_or_default(),
        }
    }
}

/// What items with an even number are tagged with.
const EVEN: &str = "even";

fn put_item(item: usize, kit: Option<Vec<Line>>) -> Body {
    let tags = item.is_multiple_of(2).then(|| vec![EVEN.to_owned()]);
    Body::PutItem(PutItem { sku: sku(item), tags, kit, ..PutItem::default() })
}

fn put_mode(mode: &Mode) -> PutMode {
    let Mode { direction, timing, policy, zeros } = mode.clone();
    PutMode { direction: Some(direction), timing: Some(timing), policy: Some(policy), zeros: Some(zeros) }
}

/// A warehouse becomes master of its location.
fn take_over(number: usize, planned: &crate::story::Depot) -> [Body; 2] {
    let inbound = Inbound {
        absent: if planned.absent_is_zero { Absent::Zero } else { Absent::Unknown },
        wait_seconds: Some(planned.wait_seconds),
        ..Inbound::default()
    };
    let system = PutSystem {
        name: warehouse(number),
        kind: "simulated".to_owned(),
        locations: Some(vec![(crate::world::MAIN.to_owned(), place(planned.location))]),
        inbound: Some(inbound),
        mode: Some(PutMode { direction: Some(Direction::OneWayIn), ..PutMode::default() }),
        ..PutSystem::default()
    };
    let location = Some(place(planned.location));
    let ownership = SetOwnership { location, master: warehouse(number), ..SetOwnership::default() };
    [Body::PutSystem(system), Body::SetOwnership(ownership)]
}

fn receive(item: usize, location: usize, units: i64) -> Body {
    Body::Receive(Receive {
        location: place(location),
        lines: lines(item, units),
        occurred_at: None,
        reason: None,
    })
}

fn map(system: usize, listing: usize, sku: Option<String>, multiplier: u32) -> Body {
    let id = remote_id(system, listing);
    Body::PutListing(PutListing {
        system: name(system),
        remote_id: id.clone(),
        remote_sku: Some(id),
        sku,
        multiplier,
        found: false,
    })
}

fn pause(system: usize, paused: bool) -> Body {
    let (name, kind) = (name(system), "simulated".to_owned());
    Body::PutSystem(PutSystem { name, kind, paused: Some(paused), ..PutSystem::default() })
}
