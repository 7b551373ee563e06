//! Simulated systems, and the workers that keep them equal, on a clock that stands still until it is set. Times are of one day, UTC.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use onhand_channels::{
    Budget, Channel, ChannelError, Discovery, Meaning, OrderPage, Push, Pushed, Reading, RemoteOrder,
    RemoteOrderLine,
};
use onhand_engine::systems::{ShownState, shown_key, shown_space};
use onhand_engine::worker::{Pace, Worker};
use onhand_engine::{Clock as _, Handle, Ledger, ManualClock, queue};
use onhand_ledger::command::{
    Adjust, Content, Document, Line, Name, OrderContent, OrderContentLine, PutItem, PutListing, PutLocation,
    PutMode, PutSystem, Receive, Resolve, SetPublication,
};
use onhand_ledger::model::{Choice, Direction, Discrepancy, Policy, Timing};
use onhand_ledger::{
    Answer, Body, Command, DiscrepancyId, Entry, Instant, Key, Quantity, RuleId, Seq, SystemId, TenantId,
    Value,
};
use onhand_store::Note;
use parking_lot::Mutex;

pub use self::kept::Kept;
use self::kept::Place;

#[path = "kept.rs"]
mod kept;

pub const TENANT: TenantId = TenantId::DEFAULT;

/// 10:15 of the day, or 10:15:30.
pub fn time(text: &str) -> Instant {
    let seconds = if text.len() == 5 { ":00" } else { "" };
    Instant::parse(&format!("2026-11-23T{text}{seconds}Z")).unwrap()
}

/// What a simulated system is and does.
#[expect(clippy::struct_excessive_bools, reason = "what it does is switched on by itself")]
#[derive(Debug, Default)]
pub struct Inside {
    /// What its listings show.
    pub numbers: BTreeMap<String, i64>,
    /// And at another location, `there`.
    pub there: BTreeMap<String, i64>,
    /// Its orders, the oldest change first.
    pub orders: Vec<RemoteOrder>,
    /// What was pushed: when, what, how many.
    pub pushes: Vec<(Instant, String, i64)>,
    /// Calls of any kind.
    pub calls: usize,
    /// Its orders cannot be asked for.
    pub keeps_orders: bool,
    /// It cannot be reached.
    pub down: bool,
    /// It refuses every number.
    pub refuses: bool,
    /// So many answers to pushes are lost; the pushes arrive.
    pub loses_answers: u32,
    /// So many pushes are lost on the way, and their answers with them.
    pub loses_pushes: u32,
    /// Another program sets each number to this once it was pushed.
    pub second_master: Option<i64>,
    /// So many it says no to with 429.
    pub throttles: u32,
    /// What it says of its own limits.
    pub budget: Option<Budget>,
    /// Somebody buys so much of a listing after it was read and before the next push of it.
    pub buys_before_push: Option<(String, i64)>,
    /// Somebody buys so much of a listing while it is read next: that is in the number.
    pub buys_in_read: Option<(String, i64)>,
    /// What it sold is in its number so long after that only, in milliseconds.
    pub stale_ms: i64,
    /// Its clock is ahead by so much, in seconds.
    pub clock_ahead: i64,
    /// Listings that it tracks no stock of.
    pub untracked: BTreeSet<String>,
    /// How many listings one push takes.
    pub batch_size: usize,
    /// Has it compare-and-set?
    pub compares: bool,
    /// It keeps what is on the shelf, and sets aside what was ordered: what it shows is the difference.
    pub sets_aside: bool,
    /// It is written what differs from what was read of it, and adds that to what is there.
    pub differences: bool,
    /// So much of each listing is set aside for its orders that are not shipped.
    pub set_aside: BTreeMap<String, i64>,
}

/// A simulated shop with one location `here`. Its own orders lower its numbers.
pub struct Simulated {
    name: String,
    clock: Arc<ManualClock>,
    pub inside: Mutex<Inside>,
}

impl Simulated {
    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What a listing shows.
    pub fn shows(&self, listing: &str) -> i64 {
        self.inside.lock().numbers[listing]
    }

    /// Somebody sets a number by hand.
    pub fn set(&self, listing: &str, number: i64) {
        self.inside.lock().numbers.insert(listing.to_owned(), number);
    }

    /// A customer buys.
    pub fn sell(&self, listing: &str, quantity: i64) {
        let mut inside = self.inside.lock();
        let at = self.clock.now().plus_seconds(inside.clock_ahead);
        *inside.numbers.get_mut(listing).unwrap() -= quantity;
        *inside.set_aside.entry(listing.to_owned()).or_default() += quantity;
        let document = format!("{}", inside.orders.len() + 1);
        inside.orders.push(RemoteOrder {
            raw: None,
            document,
            version: 1,
            placed_at: at,
            updated_at: at,
            moved_at: at,
            history: false,
            cancelled: false,
            lines: vec![RemoteOrderLine {
                line: "1".to_owned(),
                listing: listing.to_owned(),
                quantity: Quantity::units(quantity),
                shipped: Quantity::ZERO,
                returned: Quantity::ZERO,
                withheld: Quantity::ZERO,
                places: Vec::new(),
            }],
        });
    }

    /// What is on the shelf of a listing, as it has it.
    pub fn on_hand(&self, listing: &str) -> i64 {
        let inside = self.inside.lock();
        inside.numbers[listing] + inside.set_aside.get(listing).copied().unwrap_or(0)
    }

    /// What was pushed of a listing since the beginning.
    pub fn pushed(&self, listing: &str) -> Vec<i64> {
        let inside = self.inside.lock();
        inside.pushes.iter().filter(|(_, of, _)| of == listing).map(|(_, _, number)| *number).collect()
    }

    fn call(&self) -> Result<(), ChannelError> {
        let mut inside = self.inside.lock();
        inside.calls += 1;
        let system = self.name.clone();
        if inside.down {
            return Err(ChannelError::Unreachable { system, reason: "no route".to_owned() });
        }
        if inside.throttles > 0 {
            inside.throttles -= 1;
            return Err(ChannelError::Throttled { system, retry_after_seconds: Some(7) });
        }
        Ok(())
    }
}

#[async_trait::async_trait]
impl Channel for Simulated {
    fn meaning(&self) -> Meaning {
        Meaning::SellableNetOfOwnOrders
    }

    fn batch_size(&self) -> usize {
        self.inside.lock().batch_size
    }

    fn compares(&self) -> bool {
        self.inside.lock().compares
    }

    fn reads_before_push(&self) -> bool {
        let inside = self.inside.lock();
        inside.sets_aside || inside.differences
    }

    fn writes_differences(&self) -> bool {
        self.inside.lock().differences
    }

    fn budget(&self) -> Option<Budget> {
        self.inside.lock().budget
    }

    async fn discover(&self) -> Result<Discovery, ChannelError> {
        Ok(Discovery::default())
    }

    async fn read(&self, listings: &[String]) -> Result<Vec<Reading>, ChannelError> {
        self.call()?;
        let bought = self.inside.lock().buys_in_read.take();
        if let Some((listing, quantity)) = bought {
            self.clock.set(self.clock.now().plus_micros(1_000));
            self.sell(&listing, quantity);
        }
        let inside = self.inside.lock();
        let reading = |listing: &String| {
            let now = self.clock.now().plus_seconds(inside.clock_ahead);
            let after = now.plus_micros(-inside.stale_ms * 1_000);
            let sold = inside.orders.iter().filter(|order| order.placed_at > after);
            let unseen = sold.flat_map(|order| &order.lines).filter(|line| line.listing == *listing);
            let unseen: i64 = unseen.map(|line| line.quantity.whole_units()).sum();
            let number = *inside.numbers.get(listing)? + unseen;
            let set_aside = inside.set_aside.get(listing).copied().unwrap_or(0);
            let told = |units| inside.sets_aside.then_some(Quantity::units(units));
            Some(Reading {
                listing: listing.clone(),
                location: "here".to_owned(),
                quantity: Quantity::units(number),
                on_hand: told(number + set_aside),
                allocated: told(set_aside),
                tracked: !inside.untracked.contains(listing),
            })
        };
        let other = |listing: &String| {
            let quantity = Quantity::units(*inside.there.get(listing)?);
            Some(Reading { location: "there".to_owned(), quantity, ..reading(listing)? })
        };
        Ok(listings.iter().filter_map(reading).chain(listings.iter().filter_map(other)).collect())
    }

    async fn push(&self, pushes: &[Push]) -> Result<Vec<Pushed>, ChannelError> {
        self.call()?;
        let bought = self.inside.lock().buys_before_push.take();
        if let Some((listing, quantity)) = bought {
            self.sell(&listing, quantity);
        }
        let at = self.clock.now();
        let mut inside = self.inside.lock();
        let mut results = Vec::new();
        for push in pushes {
            let number = push.quantity.whole_units();
            let lost = Pushed::Unknown { reason: "the line broke".to_owned() };
            if inside.refuses {
                results.push(Pushed::Refused { reason: "it is locked".to_owned() });
                continue;
            }
            if inside.loses_pushes > 0 {
                inside.loses_pushes -= 1;
                results.push(lost);
                continue;
            }
            let shows = Quantity::units(inside.numbers[&push.listing]);
            if inside.compares && push.expected.is_some_and(|expected| expected != shows) {
                results.push(Pushed::Stale { shows });
                continue;
            }
            inside.pushes.push((at, push.listing.clone(), number));
            let mut now_shows = inside.second_master.unwrap_or(number);
            if inside.sets_aside {
                // What is written is the shelf, by what was set aside when it was read.
                let read = push.before.as_ref().and_then(|before| before.allocated).expect("it was read");
                let set_aside = inside.set_aside.get(&push.listing).copied().unwrap_or(0);
                now_shows += read.whole_units() - set_aside;
            }
            if inside.differences {
                let read = push.before.as_ref().expect("it was read").quantity.whole_units();
                now_shows = inside.numbers[&push.listing] + number - read;
            }
            inside.numbers.insert(push.listing.clone(), now_shows);
            if inside.loses_answers > 0 {
                inside.loses_answers -= 1;
                results.push(lost);
                continue;
            }
            results.push(Pushed::Acknowledged);
        }
        Ok(results)
    }

    async fn orders(&self, cursor: Option<&str>) -> Result<OrderPage, ChannelError> {
        self.call()?;
        let inside = self.inside.lock();
        if inside.keeps_orders {
            let (system, reason) = (self.name.clone(), "its orders do not answer".to_owned());
            return Err(ChannelError::Unreachable { system, reason });
        }
        let from = cursor.map_or(0, |cursor| cursor.parse::<usize>().unwrap());
        let orders = inside.orders[from..].to_vec();
        Ok(OrderPage { cursor: inside.orders.len().to_string(), orders, more: false })
    }
}

/// A ledger, simulated systems and their workers.
pub struct World {
    pub handle: Handle,
    pub clock: Arc<ManualClock>,
    pub systems: Vec<(Arc<Simulated>, SystemId, Worker)>,
    /// How often workers that begin from now on do what they do.
    pub pace: Pace,
    _place: Place,
}

impl World {
    /// At 10:00, with LONDON.
    pub async fn new(kept: Kept) -> Self {
        let clock = Arc::new(ManualClock::at(time("10:00")));
        let place = kept.place();
        let ledger = Ledger::open(place.store(), clock.clone(), place.options()).unwrap();
        let (handle, waiting) = queue(Arc::new(ledger));
        std::thread::spawn(move || waiting.run());
        let world = Self { handle, clock, systems: Vec::new(), pace: Pace::default(), _place: place };
        world.tell(Body::PutLocation(PutLocation { code: "LONDON".to_owned(), ..Default::default() })).await;
        world
    }

    pub fn command(body: Body) -> Command {
        Command { key: None, fingerprint: 0, actor: "test".to_owned(), body }
    }

    pub async fn tell(&self, body: Body) -> Answer {
        self.handle.submit(TENANT, Self::command(body)).await.unwrap().answer
    }

    pub async fn item(&self, sku: &str, quantity: i64) {
        self.tell(Body::PutItem(PutItem { sku: sku.to_owned(), ..Default::default() })).await;
        if quantity > 0 {
            self.receive(sku, quantity).await;
        }
    }

    fn lines(sku: &str, quantity: i64) -> Vec<Line> {
        vec![Line { sku: sku.to_owned(), quantity: Quantity::units(quantity), ..Default::default() }]
    }

    pub async fn receive(&self, sku: &str, quantity: i64) {
        let location = "LONDON".to_owned();
        let lines = Self::lines(sku, quantity);
        self.tell(Body::Receive(Receive { location, lines, occurred_at: None, reason: None })).await;
    }

    pub async fn adjust(&self, sku: &str, quantity: i64) {
        let (location, reason) = ("LONDON".to_owned(), "correction".to_owned());
        let lines = Self::lines(sku, quantity);
        self.tell(Body::Adjust(Adjust { location, lines, occurred_at: None, reason })).await;
    }

    /// A system whose listings are called as their items, with a number each, that `here` LONDON is behind.
    pub async fn connect(&mut self, name: &str, shows: &[(&str, i64)], mode: PutMode) -> Arc<Simulated> {
        let put = PutSystem {
            name: name.to_owned(),
            kind: "test".to_owned(),
            locations: Some(vec![("here".to_owned(), "LONDON".to_owned())]),
            mode: Some(mode),
            ..Default::default()
        };
        let Answer::System(id) = self.tell(Body::PutSystem(put)).await else { panic!("no system") };
        for (sku, _) in shows {
            self.listing(name, sku, sku, 1).await;
        }
        let numbers = shows.iter().map(|(sku, number)| ((*sku).to_owned(), *number)).collect();
        let inside = Mutex::new(Inside { numbers, batch_size: 100, ..Inside::default() });
        let clock = self.clock.clone();
        let simulated = Arc::new(Simulated { name: name.to_owned(), clock, inside });
        let worker = self.worker(id, &simulated);
        self.systems.push((simulated.clone(), id, worker));
        simulated
    }

    /// A listing of a system that is so many of an item.
    pub async fn listing(&self, system: &str, remote_id: &str, sku: &str, multiplier: u32) {
        let put = PutListing {
            system: system.to_owned(),
            remote_id: remote_id.to_owned(),
            remote_sku: None,
            sku: Some(sku.to_owned()),
            multiplier,
            found: false,
        };
        self.tell(Body::PutListing(put)).await;
    }

    /// A system that cannot be reached from now on, with these locations: which of ours each is, and what it shows of an item there.
    pub async fn shows_at(&mut self, name: &str, sku: &str, shows: &[(&str, &str, i64)]) {
        let (shop, id, _) =
            self.systems.iter().find(|(shop, ..)| shop.name == name).expect("it is connected");
        let id = *id;
        shop.inside.lock().down = true;
        let locations = shows.iter().map(|(theirs, ours, _)| ((*theirs).to_owned(), (*ours).to_owned()));
        let locations = Some(locations.collect());
        let (name, kind) = (name.to_owned(), "test".to_owned());
        self.tell(Body::PutSystem(PutSystem { name: name.clone(), kind, locations, ..Default::default() }))
            .await;
        let listings = self.handle.ledger().read(TENANT, |view| {
            let (item, _) = view.item_by_sku(sku)?.expect("the item is there");
            view.listings_of(item)
        });
        let listings = listings.unwrap();
        let (listing, _) = listings.iter().find(|(_, listing)| listing.system == id).expect("it is listed");
        let now = self.clock.now();
        let note = |(theirs, _, number): &(&str, &str, i64)| {
            let read = Some((Quantity::units(*number), now));
            let (acknowledged, acknowledged_at) = read.unzip();
            let state = ShownState { acknowledged, acknowledged_at, observed: read, ..ShownState::default() };
            let body = Some(serde_json::to_string(&state).unwrap());
            Note { space: shown_space(id), key: shown_key(*listing, theirs), body }
        };
        self.handle.submit_with(TENANT, None, shows.iter().map(note).collect()).await.unwrap();
        self.restart(&name);
    }

    /// Orders of a system that wait in the inbox have sold so much of an item, from one of our locations.
    pub async fn waits(&self, system: &str, sku: &str, location: &str, quantity: i64) {
        let line = |line: &str, sku: &str, location: &str| OrderContentLine {
            line: line.to_owned(),
            item: Name::Sku(sku.to_owned()),
            quantity: Quantity::units(quantity),
            shipped: Quantity::ZERO,
            returned: Quantity::ZERO,
            location: Some(location.to_owned()),
            price: None,
        };
        let lines = vec![line("1", sku, location), line("2", "NOBODY-KNOWS", location)];
        let content = Content::Order(OrderContent { lines, ..OrderContent::default() });
        let (system, document) = (system.to_owned(), format!("waits-{}", self.head()));
        self.tell(Body::Record(Document { system, document, version: 1, content })).await;
    }

    /// A worker of a system, as if a node had begun.
    pub fn worker(&self, id: SystemId, simulated: &Arc<Simulated>) -> Worker {
        let system = self.handle.ledger().read(TENANT, |view| view.system(id)).unwrap().unwrap();
        Worker::new(self.handle.clone(), TENANT, id, system, simulated.clone(), self.pace).unwrap()
    }

    /// Changes the mode of a system.
    pub async fn mode(&self, name: &str, mode: PutMode) -> Answer {
        let (name, kind) = (name.to_owned(), "test".to_owned());
        self.tell(Body::PutSystem(PutSystem { name, kind, mode: Some(mode), ..Default::default() })).await
    }

    /// Lets all workers work until a time, with what is due ended by itself.
    pub async fn until(&mut self, end: &str) {
        let end = time(end);
        loop {
            let ledger = self.handle.ledger().clone();
            let due = ledger.due_first(8).unwrap();
            let now = self.clock.now();
            if due.iter().any(|(_, at)| *at <= now) {
                self.tell(Body::Tick).await;
                continue;
            }
            let mut next = due.first().map_or(Instant::MAX, |(_, at)| *at);
            for (_, _, worker) in &mut self.systems {
                next = next.min(worker.step().await);
            }
            // What one of them heard of is news to the others.
            let next = next.min(now.plus_micros(250_000)).max(now.plus_micros(1_000));
            if next > end {
                self.clock.set(end);
                return;
            }
            self.clock.set(next);
        }
    }

    /// What is available of an item in LONDON.
    pub fn available(&self, sku: &str) -> i64 {
        let read = self.handle.ledger().read(TENANT, |view| {
            let (item, _) = view.item_by_sku(sku)?.expect("the item is there");
            let (london, _) = view.location_by_code("LONDON")?.expect("London is there");
            view.available(item, london).map(Quantity::whole_units)
        });
        read.unwrap()
    }

    pub fn discrepancies(&self) -> Vec<(DiscrepancyId, Discrepancy)> {
        let (from, to) = (Key::Discrepancy(DiscrepancyId(0)), Key::Discrepancy(DiscrepancyId(Seq::MAX >> 1)));
        let found = self.handle.ledger().read(TENANT, |view| view.range(&from, &to, false, 10_000)).unwrap();
        let of = |(key, value)| match (key, value) {
            (Key::Discrepancy(id), Value::Discrepancy(discrepancy)) => Some((id, *discrepancy)),
            _ => None,
        };
        found.into_iter().filter_map(of).collect()
    }

    /// Those that are open.
    pub fn open(&self) -> Vec<(DiscrepancyId, Discrepancy)> {
        self.discrepancies().into_iter().filter(|(_, found)| found.resolved_at.is_none()).collect()
    }

    /// Answers a discrepancy that is a question.
    pub async fn answer(&self, discrepancy: DiscrepancyId, choice: Choice) {
        self.tell(Body::Resolve(Resolve { discrepancy, choice: Some(choice) })).await;
    }

    /// A publication rule of a system with a buffer.
    pub async fn publication(&self, system: &str, buffer: Option<i64>) -> RuleId {
        self.publication_of(system, |rule| rule.buffer = buffer.map(Quantity::units)).await
    }

    /// The publication rule of a system.
    pub async fn publication_of(&self, system: &str, set: impl FnOnce(&mut SetPublication)) -> RuleId {
        let mut rule = SetPublication { system: Some(system.to_owned()), ..SetPublication::default() };
        set(&mut rule);
        match self.tell(Body::SetPublication(rule)).await {
            Answer::Rule(id) => id,
            other => panic!("no rule: {other:?}"),
        }
    }

    /// A kit of one of another item.
    pub async fn kit(&self, sku: &str, component: &str) {
        let kit = Some(Self::lines(component, 1));
        self.tell(Body::PutItem(PutItem { sku: sku.to_owned(), kit, ..PutItem::default() })).await;
    }

    /// Ends the worker of a system as a crash would, and begins another.
    pub fn restart(&mut self, name: &str) {
        let index =
            self.systems.iter().position(|(system, ..)| system.name == name).expect("it is connected");
        let (shop, id, _) = self.systems.remove(index);
        let worker = self.worker(id, &shop);
        self.systems.insert(index, (shop, id, worker));
    }

    /// Adjustments that were adopted: who, why, how many.
    pub fn adopted(&self) -> Vec<(String, String, i64)> {
        let records = self.handle.ledger().read(TENANT, |view| view.records_after(0, 100_000)).unwrap();
        let mut adopted = Vec::new();
        for (_, record) in records {
            for entry in &record.entries {
                if let Entry::Movement(movement) = entry
                    && movement.reason == "adopted"
                {
                    let note = record.note.clone().unwrap_or_default();
                    adopted.push((record.actor.clone(), note, movement.quantity.whole_units()));
                }
            }
        }
        adopted
    }

    pub fn head(&self) -> Seq {
        self.handle.ledger().read(TENANT, |view| Ok(view.seq())).unwrap()
    }
}

pub fn policy(policy: Policy) -> PutMode {
    PutMode { policy: Some(policy), ..PutMode::default() }
}

pub fn direction(direction: Direction) -> PutMode {
    PutMode { direction: Some(direction), ..PutMode::default() }
}

pub fn timing(timing: Timing) -> PutMode {
    PutMode { timing: Some(timing), ..PutMode::default() }
}
