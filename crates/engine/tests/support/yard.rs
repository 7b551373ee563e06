//! A business with a warehouse that somebody else runs, which gets its orders from Onhand; and that warehouse, simulated. Times are of one
//! day, UTC.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use onhand_channels::expected::{
    Announcement, Condition, DeliveredLine, Delivery, Received, ReceivedPage, Receiving,
};
use onhand_channels::outgoing::{
    Followed, FollowedLine, FollowedPage, Outgoing, Parcel, ParcelLine, Progress, Sent,
};
use onhand_channels::recount::{CountedLine, Counting, RecountRequest, Recounted, RecountedPage};
use onhand_channels::{Channel, ChannelError, Discovery, Errand, Meaning, OrderPage, Push, Pushed, Reading};
use onhand_engine::sent::Shown;
use onhand_engine::worker::{Pace, Worker};
use onhand_engine::{Clock as _, Handle, Ledger, ManualClock, Options, queue, verify};
use onhand_ledger::command::{
    Content, Document, Line, Name, OrderContent, OrderContentLine, PutItem, PutLocation, PutMode, PutSystem,
    Receive, SetOwnership,
};
use onhand_ledger::model::{Direction, Discrepancy, GetsOrders, Order};
use onhand_ledger::{
    Answer, Body, CellKey, Command, DiscrepancyId, Instant, Key, OrderId, Quantity, Seq, StockState,
    SystemId, TenantId, Value,
};
use onhand_store::Store;
use parking_lot::Mutex;

pub const TENANT: TenantId = TenantId::DEFAULT;

/// 10:15 of the day, or 10:15:30.
pub fn time(text: &str) -> Instant {
    let seconds = if text.len() == 5 { ":00" } else { "" };
    Instant::parse(&format!("2026-11-23T{text}{seconds}Z")).unwrap()
}

/// A document as the warehouse has it.
#[derive(Clone, Debug)]
pub struct Job {
    pub asked: Outgoing,
    /// What it will not ship of each line, of what is asked for.
    pub lacking: BTreeMap<String, i64>,
    pub parcels: Vec<Parcel>,
    pub progress: Progress,
    pub reason: Option<String>,
    pub revision: u64,
    pub updated_at: Instant,
}

impl Job {
    pub fn shipped(&self, line: &str) -> i64 {
        let lines = self.parcels.iter().flat_map(|parcel| &parcel.lines);
        lines.filter(|other| other.line == line).map(|other| other.quantity.whole_units()).sum()
    }

    /// What still leaves, line by line.
    pub fn open(&self) -> Vec<(String, i64)> {
        if self.progress != Progress::Accepted {
            return Vec::new();
        }
        let of = |line: &onhand_channels::outgoing::OutgoingLine| {
            let lacking = self.lacking.get(&line.line).copied().unwrap_or(0);
            (line.line.clone(), line.quantity.whole_units() - lacking - self.shipped(&line.line))
        };
        self.asked.lines.iter().map(of).filter(|(_, open)| *open > 0).collect()
    }

    fn told(&self) -> Followed {
        let lines = self.lacking.iter().map(|(line, lacking)| {
            let asked = self.asked.lines.iter().find(|other| other.line == *line).unwrap().quantity;
            let leaves = (asked.whole_units() - lacking).max(self.shipped(line));
            FollowedLine { line: line.clone(), quantity: Quantity::units(leaves) }
        });
        Followed {
            document: self.asked.document.clone(),
            version: self.asked.version,
            revision: self.revision,
            updated_at: self.updated_at,
            progress: self.progress,
            reason: self.reason.clone(),
            lines: lines.collect(),
            parcels: self.parcels.clone(),
        }
    }
}

#[expect(clippy::struct_excessive_bools, reason = "what it does is switched on by itself")]
#[derive(Default)]
pub struct Inside {
    pub jobs: BTreeMap<String, Job>,
    /// What was told, the oldest first: each state a document was in.
    pub said: Vec<Followed>,
    pub revision: u64,
    pub parcels: u64,
    /// So many answers are lost; what was sent has arrived.
    pub loses_answers: u32,
    /// So much that is sent is lost.
    pub loses_sent: u32,
    /// It answers nothing to what it is sent, and says later how that stands.
    pub is_quiet: bool,
    /// It refuses what it is sent.
    pub refuses: bool,
    pub is_down: bool,
    /// Every state is told twice, and the older ones after the newer ones.
    pub is_muddled: bool,
    /// How many documents it was sent, copies included.
    pub calls: usize,
    /// What it was told to expect, and what it says of it.
    pub receipts: BTreeMap<String, (Announcement, Received)>,
    /// What it was asked to count, and what it says of it.
    pub recounts: BTreeMap<String, (RecountRequest, Recounted)>,
    /// It takes orders and nothing else.
    pub takes_orders_only: bool,
}

impl Inside {
    /// Something of a document is different now.
    fn change(&mut self, document: &str, at: Instant, change: impl FnOnce(&mut Job)) {
        self.revision += 1;
        let revision = self.revision;
        let job = self.jobs.get_mut(document).unwrap();
        change(job);
        (job.revision, job.updated_at) = (revision, at);
        if job.progress == Progress::Accepted && job.open().is_empty() {
            let any = job.asked.lines.iter().any(|line| job.shipped(&line.line) > 0);
            job.progress = match (any, job.asked.cancelled) {
                (true, _) => Progress::Shipped,
                (false, true) => Progress::Cancelled,
                (false, false) => Progress::Refused,
            };
        }
        let told = job.told();
        self.said.push(told);
    }

    /// Something of what is expected is different now.
    fn change_receipt(&mut self, document: &str, at: Instant, change: impl FnOnce(&mut Received)) {
        self.revision += 1;
        let revision = self.revision;
        let (_, told) = self.receipts.get_mut(document).unwrap();
        change(told);
        (told.revision, told.updated_at) = (revision, at);
    }

    fn expect(&mut self, asked: &Announcement, at: Instant) {
        let document = asked.document.clone();
        let refuses = self.refuses && !asked.cancelled;
        let (_, told) = self.receipts.entry(document.clone()).or_insert_with(|| {
            let told = Received {
                document: document.clone(),
                version: 0,
                revision: 0,
                updated_at: at,
                progress: if refuses { Receiving::Refused } else { Receiving::Accepted },
                reason: refuses.then(|| "not today".to_owned()),
                deliveries: Vec::new(),
            };
            (asked.clone(), told)
        });
        if told.version >= asked.version {
            return;
        }
        let is_over = told.progress != Receiving::Accepted && told.version > 0;
        self.change_receipt(&document, at, |told| {
            told.version = asked.version;
            if !is_over && asked.cancelled {
                let any = !told.deliveries.is_empty();
                told.progress = if any { Receiving::Received } else { Receiving::Cancelled };
            }
        });
        if !is_over {
            self.receipts.get_mut(&document).unwrap().0 = asked.clone();
        }
    }

    fn asked_to_count(&mut self, asked: &RecountRequest, at: Instant) {
        let document = asked.document.clone();
        let refuses = self.refuses && !asked.cancelled;
        self.revision += 1;
        let revision = self.revision;
        let (known, told) = self.recounts.entry(document.clone()).or_insert_with(|| {
            let told = Recounted {
                document: document.clone(),
                version: 0,
                revision,
                updated_at: at,
                progress: if refuses { Counting::Refused } else { Counting::Accepted },
                reason: refuses.then(|| "no hands".to_owned()),
                counted_at: None,
                lines: Vec::new(),
            };
            (asked.clone(), told)
        });
        if told.version >= asked.version {
            return;
        }
        (told.version, told.revision, told.updated_at) = (asked.version, revision, at);
        if told.progress == Counting::Accepted && asked.cancelled {
            told.progress = Counting::Cancelled;
        }
        *known = asked.clone();
    }

    /// How sending something ended that has arrived, or not.
    fn answer<A, T>(
        &mut self,
        asked: &A,
        at: Instant,
        take: impl FnOnce(&mut Self, &A, Instant),
        told: impl FnOnce(&Self, &A) -> T,
    ) -> Sent<T> {
        self.calls += 1;
        let lost = || Sent::Unknown { reason: "the line broke".to_owned() };
        if self.loses_sent > 0 {
            self.loses_sent -= 1;
            return lost();
        }
        take(self, asked, at);
        if self.loses_answers > 0 {
            self.loses_answers -= 1;
            lost()
        } else if self.is_quiet {
            Sent::Received
        } else {
            Sent::Answered(Box::new(told(self, asked)))
        }
    }

    fn take(&mut self, order: &Outgoing, at: Instant) {
        let document = order.document.clone();
        match self.jobs.get_mut(&document) {
            None => {
                let refused = self.refuses && !order.cancelled;
                let job = Job {
                    asked: order.clone(),
                    lacking: BTreeMap::new(),
                    parcels: Vec::new(),
                    progress: if refused { Progress::Refused } else { Progress::Accepted },
                    reason: refused.then(|| "not today".to_owned()),
                    revision: 0,
                    updated_at: at,
                };
                self.jobs.insert(document.clone(), job);
                self.change(&document, at, |_| {});
            }
            Some(job) if job.asked.version >= order.version => {}
            // What is over is not opened again, and answers for what it is asked then.
            Some(job) if job.progress != Progress::Accepted => {
                job.asked.version = order.version;
                self.change(&document, at, |_| {});
            }
            Some(_) => {
                let asked = order.clone();
                self.change(&document, at, |job| {
                    job.asked = asked;
                    // What was not found is asked for no more, or looked for anew.
                    job.lacking.clear();
                });
            }
        }
    }
}

/// The warehouse, with one place `yard`.
pub struct Warehouse {
    clock: Arc<ManualClock>,
    pub inside: Mutex<Inside>,
}

impl Warehouse {
    /// So much of a line leaves in a parcel of its own.
    pub fn ship(&self, document: &str, line: &str, units: i64) {
        let at = self.clock.now();
        let mut inside = self.inside.lock();
        inside.parcels += 1;
        let parcel = Parcel {
            parcel: format!("P{}", inside.parcels),
            shipped_at: at,
            carrier: Some("Post".to_owned()),
            tracking: Some(format!("T{}", inside.parcels)),
            lines: vec![ParcelLine { line: line.to_owned(), quantity: Quantity::units(units), lot: None }],
        };
        inside.change(document, at, |job| job.parcels.push(parcel));
    }

    /// All that is open of a document leaves.
    pub fn ship_all(&self, document: &str) {
        let open = self.inside.lock().jobs[document].open();
        for (line, units) in open {
            self.ship(document, &line, units);
        }
    }

    /// So much of a line is not found.
    pub fn lack(&self, document: &str, line: &str, units: i64) {
        let at = self.clock.now();
        self.inside.lock().change(document, at, |job| {
            *job.lacking.entry(line.to_owned()).or_default() += units;
            job.reason = Some("not found".to_owned());
        });
    }

    /// What was not found was found after all.
    pub fn find(&self, document: &str) {
        let at = self.clock.now();
        self.inside.lock().change(document, at, |job| job.lacking.clear());
    }

    pub fn refuse(&self, document: &str) {
        let at = self.clock.now();
        self.inside.lock().change(document, at, |job| {
            job.progress = Progress::Refused;
            job.reason = Some("cannot".to_owned());
        });
    }

    /// So much of a line of what is expected comes in, in a delivery of its own.
    pub fn receive(&self, document: &str, line: &str, units: i64, condition: impl Into<Option<Condition>>) {
        let at = self.clock.now();
        let mut inside = self.inside.lock();
        inside.parcels += 1;
        let delivery = Delivery {
            delivery: format!("D{}", inside.parcels),
            received_at: at,
            lines: vec![DeliveredLine {
                line: line.to_owned(),
                quantity: Quantity::units(units),
                lot: None,
                expires: None,
                condition: condition.into(),
            }],
        };
        inside.change_receipt(document, at, |told| told.deliveries.push(delivery));
    }

    /// Nothing more of what is expected is taken in.
    pub fn done_with(&self, document: &str, progress: Receiving, reason: Option<&str>) {
        let at = self.clock.now();
        self.inside.lock().change_receipt(document, at, |told| {
            (told.progress, told.reason) = (progress, reason.map(str::to_owned));
        });
    }

    /// What it was told to expect and still does: name, and line by line how much.
    pub fn expected(&self) -> Vec<(String, Vec<(String, i64)>)> {
        let inside = self.inside.lock();
        let open = inside.receipts.values().filter(|(_, told)| told.progress == Receiving::Accepted);
        let lines = |asked: &Announcement| {
            asked.lines.iter().map(|line| (line.line.clone(), line.quantity.whole_units())).collect()
        };
        open.map(|(asked, told)| (told.document.clone(), lines(asked))).collect()
    }

    /// It counts what it was asked to: so many of each.
    pub fn count(&self, units: i64) {
        let at = self.clock.now();
        let mut inside = self.inside.lock();
        inside.revision += 1;
        let revision = inside.revision;
        for (asked, told) in inside.recounts.values_mut() {
            if told.progress != Counting::Accepted {
                continue;
            }
            let line = |line: &onhand_channels::recount::RecountLine| CountedLine {
                line: line.line.clone(),
                quantity: Quantity::units(units),
                lot: None,
            };
            told.lines = asked.lines.iter().map(line).collect();
            (told.progress, told.counted_at) = (Counting::Counted, Some(at));
            (told.revision, told.updated_at) = (revision, at);
        }
    }

    /// The names of what is open, with the lines and what of each.
    pub fn open(&self) -> Vec<(String, Vec<(String, i64)>)> {
        let inside = self.inside.lock();
        let open = inside.jobs.iter().map(|(name, job)| (name.clone(), job.open()));
        open.filter(|(_, lines)| !lines.is_empty()).collect()
    }

    /// What has left since the beginning.
    pub fn shipped(&self) -> i64 {
        let inside = self.inside.lock();
        let lines = inside.jobs.values().flat_map(|job| &job.parcels).flat_map(|parcel| &parcel.lines);
        lines.map(|line| line.quantity.whole_units()).sum()
    }

    fn call(&self) -> Result<(), ChannelError> {
        if self.inside.lock().is_down {
            let (system, reason) = ("WMS".to_owned(), "no route".to_owned());
            return Err(ChannelError::Unreachable { system, reason });
        }
        Ok(())
    }
}

#[async_trait::async_trait]
impl Channel for Warehouse {
    fn meaning(&self) -> Meaning {
        Meaning::PhysicalOnHand
    }

    fn batch_size(&self) -> usize {
        3
    }

    async fn discover(&self) -> Result<Discovery, ChannelError> {
        Ok(Discovery::default())
    }

    async fn read(&self, _: &[String]) -> Result<Vec<Reading>, ChannelError> {
        Ok(Vec::new())
    }

    async fn push(&self, pushes: &[Push]) -> Result<Vec<Pushed>, ChannelError> {
        panic!("a master is sent no numbers: {pushes:?}");
    }

    async fn orders(&self, cursor: Option<&str>) -> Result<OrderPage, ChannelError> {
        self.call()?;
        Ok(OrderPage { orders: Vec::new(), cursor: cursor.unwrap_or("0").to_owned(), more: false })
    }

    fn takes_orders(&self) -> bool {
        true
    }

    async fn send(&self, orders: &[Outgoing]) -> Result<Vec<Sent>, ChannelError> {
        self.call()?;
        let at = self.clock.now();
        let mut inside = self.inside.lock();
        let told = |inside: &Inside, order: &Outgoing| inside.jobs[&order.document].told();
        Ok(orders.iter().map(|order| inside.answer(order, at, Inside::take, told)).collect())
    }

    async fn takes(&self) -> Result<Vec<Errand>, ChannelError> {
        self.call()?;
        let all = Errand::ALL.to_vec();
        Ok(if self.inside.lock().takes_orders_only { Vec::new() } else { all })
    }

    async fn announce(&self, announcements: &[Announcement]) -> Result<Vec<Sent<Received>>, ChannelError> {
        self.call()?;
        let (at, mut inside) = (self.clock.now(), self.inside.lock());
        let told = |inside: &Inside, asked: &Announcement| inside.receipts[&asked.document].1.clone();
        Ok(announcements.iter().map(|asked| inside.answer(asked, at, Inside::expect, told)).collect())
    }

    async fn received(&self, cursor: Option<&str>) -> Result<ReceivedPage, ChannelError> {
        self.call()?;
        let inside = self.inside.lock();
        let since = cursor.map_or(0, |cursor| cursor.parse::<u64>().unwrap());
        let told = inside.receipts.values().map(|(_, told)| told.clone());
        let mut receipts: Vec<Received> = told.filter(|told| told.revision > since).collect();
        receipts.sort_by_key(|told| told.revision);
        let cursor = receipts.last().map_or(since, |told| told.revision).to_string();
        if inside.is_muddled {
            receipts.reverse();
            receipts.extend(receipts.clone());
        }
        Ok(ReceivedPage { receipts, cursor, more: false })
    }

    async fn ask_recounts(&self, requests: &[RecountRequest]) -> Result<Vec<Sent<Recounted>>, ChannelError> {
        self.call()?;
        let (at, mut inside) = (self.clock.now(), self.inside.lock());
        let told = |inside: &Inside, asked: &RecountRequest| inside.recounts[&asked.document].1.clone();
        Ok(requests.iter().map(|asked| inside.answer(asked, at, Inside::asked_to_count, told)).collect())
    }

    async fn recounted(&self, cursor: Option<&str>) -> Result<RecountedPage, ChannelError> {
        self.call()?;
        let inside = self.inside.lock();
        let since = cursor.map_or(0, |cursor| cursor.parse::<u64>().unwrap());
        let told = inside.recounts.values().map(|(_, told)| told.clone());
        let mut recounts: Vec<Recounted> = told.filter(|told| told.revision > since).collect();
        recounts.sort_by_key(|told| told.revision);
        let cursor = recounts.last().map_or(since, |told| told.revision).to_string();
        Ok(RecountedPage { recounts, cursor, more: false })
    }

    async fn followed(&self, cursor: Option<&str>) -> Result<FollowedPage, ChannelError> {
        self.call()?;
        let inside = self.inside.lock();
        let from = cursor.map_or(0, |cursor| cursor.parse::<usize>().unwrap());
        let to = inside.said.len().min(from + 3);
        let mut followed = inside.said[from..to].to_vec();
        if inside.is_muddled {
            followed.reverse();
            followed.extend(followed.clone());
        }
        Ok(FollowedPage { followed, cursor: to.to_string(), more: to < inside.said.len() })
    }
}

/// BERLIN, which the warehouse is master of, comes first, and then PARIS, which is ours. SHOP tells of orders.
pub struct Yard {
    pub handle: Handle,
    pub clock: Arc<ManualClock>,
    pub warehouse: Arc<Warehouse>,
    pub system: SystemId,
    pub worker: Worker,
    versions: BTreeMap<String, u64>,
}

impl Yard {
    /// With so many of MUG at each.
    pub async fn over(store: Box<dyn Store>, options: Options, berlin: i64, paris: i64) -> Self {
        let clock = Arc::new(ManualClock::at(time("10:00")));
        let ledger = Arc::new(Ledger::open(store, clock.clone(), options).unwrap());
        let (handle, waiting) = queue(ledger);
        std::thread::spawn(move || waiting.run());
        let warehouse = Arc::new(Warehouse { clock: clock.clone(), inside: Mutex::default() });
        let place = |code: &str, rank| {
            Body::PutLocation(PutLocation { code: code.to_owned(), rank: Some(rank), ..Default::default() })
        };
        let receive = |code: &str, units: i64| {
            let lines =
                vec![Line { sku: "MUG".to_owned(), quantity: Quantity::units(units), ..Line::default() }];
            Body::Receive(Receive { location: code.to_owned(), lines, occurred_at: None, reason: None })
        };
        let mut system = SystemId(0);
        let mode = PutMode { direction: Some(Direction::OneWayIn), ..PutMode::default() };
        let put = |name: &str, kind: &str| PutSystem {
            name: name.to_owned(),
            kind: kind.to_owned(),
            ..PutSystem::default()
        };
        for body in [
            Body::PutItem(PutItem { sku: "MUG".to_owned(), ..PutItem::default() }),
            place("BERLIN", 1),
            place("PARIS", 2),
            receive("BERLIN", berlin.max(1)),
            receive("PARIS", paris.max(1)),
            Body::PutSystem(put("SHOP", "test")),
            Body::PutSystem(PutSystem {
                locations: Some(vec![("yard".to_owned(), "BERLIN".to_owned())]),
                mode: Some(mode),
                gets_orders: Some(GetsOrders::FromOnhand),
                ..put("WMS", "yard")
            }),
            Body::SetOwnership(SetOwnership {
                location: Some("BERLIN".to_owned()),
                master: "WMS".to_owned(),
                ..SetOwnership::default()
            }),
        ] {
            let command = Command { key: None, fingerprint: 0, actor: "test".to_owned(), body };
            if let Answer::System(made) = handle.submit(TENANT, command).await.unwrap().answer {
                system = made;
            }
        }
        let worker = begun(&handle, system, &warehouse);
        Self { handle, clock, warehouse, system, worker, versions: BTreeMap::new() }
    }

    pub async fn tell(&self, body: Body) -> Answer {
        let command = Command { key: None, fingerprint: 0, actor: "test".to_owned(), body };
        self.handle.submit(TENANT, command).await.unwrap().answer
    }

    /// SHOP's order wants so many now.
    pub async fn order(&mut self, document: &str, units: i64) -> OrderId {
        let version = self.versions.entry(document.to_owned()).or_default();
        *version += 1;
        let line = OrderContentLine {
            line: "1".to_owned(),
            item: Name::Sku("MUG".to_owned()),
            quantity: Quantity::units(units),
            shipped: Quantity::ZERO,
            returned: Quantity::ZERO,
            location: None,
            price: None,
        };
        let told = Document {
            system: "SHOP".to_owned(),
            document: document.to_owned(),
            version: *version,
            content: Content::Order(OrderContent {
                cancelled: units == 0,
                lines: vec![line],
                ..OrderContent::default()
            }),
        };
        match self.tell(Body::Record(told)).await {
            Answer::Recorded { order: Some(order), .. } => order,
            other => panic!("the order was not recorded: {other:?}"),
        }
    }

    /// Works until nothing is left to do at that time.
    pub async fn work(&mut self) {
        for _ in 0..6 {
            self.handle.ledger().hint(TENANT, self.system);
            self.worker.step().await;
        }
    }

    /// Works from now to a time.
    pub async fn until(&mut self, end: Instant) {
        while self.clock.now() < end {
            let next = self.worker.step().await;
            let next = next.max(self.clock.now().plus_micros(1_000)).min(end);
            self.clock.set(next);
        }
        self.worker.step().await;
    }

    pub async fn later(&mut self, seconds: i64) {
        self.until(self.clock.now().plus_seconds(seconds)).await;
    }

    /// The process ends where its worker waits for the so-many-eth time, and another begins. Says whether it had ended by itself.
    pub async fn stopped_at(&mut self, stop_at: usize) -> bool {
        self.handle.ledger().hint(TENANT, self.system);
        let ended = {
            let mut step = pin!(self.worker.step());
            let mut context = Context::from_waker(Waker::noop());
            let mut waited = 0;
            loop {
                if step.as_mut().poll(&mut context).is_ready() {
                    break true;
                }
                waited += 1;
                if waited == stop_at {
                    break false;
                }
                // What was handed in is committed meanwhile.
                let body = Body::Tick;
                let mark = Command { key: None, fingerprint: 0, actor: String::new(), body };
                self.handle.submit(TENANT, mark).await.unwrap();
            }
        };
        self.again();
        ended
    }

    /// Another worker goes on from what is kept.
    pub fn again(&mut self) {
        self.worker = begun(&self.handle, self.system, &self.warehouse);
    }

    pub fn known(&self, order: OrderId) -> Order {
        let found = self.handle.ledger().read(TENANT, |view| view.get(&Key::Order(order))).unwrap();
        match found {
            Some(Value::Order(order)) => *order,
            other => panic!("no order: {other:?}"),
        }
    }

    /// Of an order: promised in BERLIN, promised in PARIS, short, shipped.
    pub fn stands(&self, order: OrderId) -> (i64, i64, i64, i64) {
        let line = &self.known(order).lines[0];
        let at = |code: &str| {
            let place = self.place(code);
            let there = line.allocated.iter().filter(|at| at.location == place);
            there.map(|at| at.quantity).sum::<Quantity>().whole_units()
        };
        (at("BERLIN"), at("PARIS"), line.short.whole_units(), line.shipped_total().whole_units())
    }

    fn place(&self, code: &str) -> onhand_ledger::LocationId {
        let found = self.handle.ledger().read(TENANT, |view| view.location_by_code(code));
        found.unwrap().unwrap().0
    }

    pub fn held(&self, code: &str, state: StockState) -> i64 {
        let place = self.place(code);
        let held = self.handle.ledger().read(TENANT, |view| {
            let (item, _) = view.item_by_sku("MUG")?.unwrap();
            view.cell(&CellKey::new(item, place, state)).map(|slot| slot.quantity)
        });
        held.unwrap().whole_units()
    }

    pub fn on_hand(&self, code: &str) -> i64 {
        StockState::ON_HAND.iter().map(|state| self.held(code, *state)).sum()
    }

    /// What was sent of an order.
    pub fn sent(&self, order: OrderId) -> Vec<Shown> {
        self.handle.ledger().read(TENANT, |view| onhand_engine::sent::shown_of(view, order.0)).unwrap()
    }

    /// What was sent of what an entry made.
    pub fn sent_of(&self, made: Seq) -> Vec<Shown> {
        self.handle.ledger().read(TENANT, |view| onhand_engine::sent::shown_of(view, made)).unwrap()
    }

    /// How the newest that was sent of an order stands.
    pub fn says(&self, order: OrderId) -> &'static str {
        self.sent(order).last().map_or("nothing", |shown| shown.stands.name())
    }

    pub fn open(&self) -> Vec<Discrepancy> {
        let (from, to) = (Key::Discrepancy(DiscrepancyId(0)), Key::Discrepancy(DiscrepancyId(Seq::MAX >> 1)));
        let found = self.handle.ledger().read(TENANT, |view| view.range(&from, &to, false, 10_000)).unwrap();
        let of = |(_, value)| match value {
            Value::Discrepancy(found) if found.resolved_at.is_none() => Some(*found),
            _ => None,
        };
        found.into_iter().filter_map(of).collect()
    }

    /// Everything that is kept says the same.
    pub fn must_be_sound(&self) {
        let found = verify(self.handle.ledger(), TENANT, &mut |_| {}).unwrap();
        assert!(found.violation.is_none(), "{:?}", found.violation);
    }
}

fn begun(handle: &Handle, system: SystemId, warehouse: &Arc<Warehouse>) -> Worker {
    let known = handle.ledger().read(TENANT, |view| view.system(system)).unwrap().unwrap();
    Worker::new(handle.clone(), TENANT, system, known, warehouse.clone(), Pace::default()).unwrap()
}
