//! A ledger under test, told things in sentences. Times are of one day, UTC.

use std::sync::Arc;

use onhand_engine::{CommitError, Committed, Ledger, ManualClock, Options, Submission};
use onhand_ledger::command::{
    Content, ConvertHold, Document, Line, Name, OrderContent, OrderContentLine, PlaceHold, PlaceOrder,
    PutItem, PutLocation, PutSystem, Receive, ShipmentContent, ShipmentLine, TakeCount,
};
use onhand_ledger::model::Discrepancy;
use onhand_ledger::{
    Answer, Body, CellKey, Command, DiscrepancyId, HoldId, Instant, Key, Quantity, Seq, StockState, TenantId,
    Value,
};
use onhand_store::{MemoryStore, PostgresStore, PostgresUrl, SqliteStore, Store};

const TENANT: TenantId = TenantId::DEFAULT;

/// Every way a ledger is kept: in memory, in a file and in PostgreSQL, with everything cached and with nothing.
pub fn each_way(test: impl Fn(Shop)) {
    let evicting = Options { flush_at: 0, slice: 1, cache: 0 };
    let slicing = Options { flush_at: 4, slice: 2, cache: 8 };
    for options in [Options::default(), evicting, slicing] {
        test(Shop::over(Box::new(MemoryStore::default()), options));
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("test.db")).unwrap();
        test(Shop::over(Box::new(store), options));
    }
    // `cargo xtask mutants` tries a thousand changes: there it would take too long.
    if std::env::var_os("ONHAND_WITHOUT_POSTGRESQL").is_some() {
        return;
    }
    // There all that is dirty is written with every commit: another node may read it.
    let caching = Options { flush_at: 0, ..Options::default() };
    for options in [caching, evicting] {
        test(Shop::over(Box::new(in_postgresql(&onhand_testpg::database())), options));
    }
}

/// A store in a database of PostgreSQL.
pub fn in_postgresql(address: &str) -> PostgresStore {
    PostgresStore::open(&PostgresUrl::parse(address, None).unwrap()).unwrap()
}

pub struct Shop {
    pub ledger: Ledger,
    clock: Arc<ManualClock>,
}

/// 10:15 of the day, or 10:15:30.
pub fn time(text: &str) -> Instant {
    let seconds = if text.len() == 5 { ":00" } else { "" };
    Instant::parse(&format!("2026-11-23T{text}{seconds}Z")).unwrap()
}

pub fn units(sku: &str, quantity: i64) -> Vec<Line> {
    vec![Line { sku: sku.to_owned(), quantity: Quantity::units(quantity), ..Default::default() }]
}

impl Shop {
    pub fn over(store: Box<dyn Store>, options: Options) -> Self {
        let clock = Arc::new(ManualClock::at(time("08:00")));
        let ledger = Ledger::open(store, clock.clone(), options).unwrap();
        let shop = Self { ledger, clock };
        for sku in ["MUG", "A", "B"] {
            shop.tell(Body::PutItem(PutItem { sku: sku.to_owned(), ..PutItem::default() }));
        }
        shop.tell(Body::PutLocation(PutLocation { code: "LONDON".to_owned(), ..PutLocation::default() }));
        for name in ["WEB", "WMS"] {
            let put = PutSystem { name: name.to_owned(), kind: "test".to_owned(), ..PutSystem::default() };
            shop.tell(Body::PutSystem(put));
        }
        shop
    }

    /// Over what was kept before, in the evening of the day; all is written with every commit.
    pub fn again(store: Box<dyn Store>) -> Self {
        let clock = Arc::new(ManualClock::at(time("18:00")));
        let options = Options { flush_at: 0, ..Options::default() };
        Self { ledger: Ledger::open(store, clock.clone(), options).unwrap(), clock }
    }

    pub fn at(&self, now: &str) -> &Self {
        self.clock.set(time(now));
        self
    }

    /// As [`Shop::at`], on any day.
    pub fn on(&self, now: &str) -> &Self {
        self.clock.set(Instant::parse(now).unwrap());
        self
    }

    /// What can be promised of an item at a place and inside it.
    pub fn available(&self, sku: &str, place: &str) -> i64 {
        self.ledger
            .read(TENANT, |view| {
                let (item, _) = view.item_by_sku(sku)?.expect("the item is there");
                let (place, _) = view.location_by_code(place)?.expect("the place is there");
                view.available(item, place).map(Quantity::whole_units)
            })
            .unwrap()
    }

    /// What there is of an item in a state, over all places and lots.
    pub fn total(&self, sku: &str, state: StockState) -> i64 {
        self.ledger
            .read(TENANT, |view| {
                let (item, _) = view.item_by_sku(sku)?.expect("the item is there");
                let cells = view.cells_of(item)?;
                let of_state = cells.iter().filter(|(cell, _)| cell.state == state);
                Ok(of_state.map(|(_, slot)| slot.quantity).sum::<Quantity>().whole_units())
            })
            .unwrap()
    }

    pub fn keyed(&self, key: Option<&str>, body: Body) -> Result<Committed, CommitError> {
        let fingerprint = u64::from(serde_json_hash(&body));
        let command = Command { key: key.map(str::to_owned), fingerprint, actor: "test".to_owned(), body };
        let submission = Submission { tenant: TENANT, command: Some(command), notes: Vec::new() };
        self.ledger.commit(vec![submission]).pop().unwrap()
    }

    pub fn tell(&self, body: Body) -> Answer {
        self.keyed(None, body).unwrap().answer
    }

    pub fn receive(&self, sku: &str, quantity: i64) -> Answer {
        self.tell(Body::Receive(Receive {
            location: "LONDON".to_owned(),
            lines: units(sku, quantity),
            occurred_at: None,
            reason: None,
        }))
    }

    pub fn count(&self, sku: &str, quantity: i64, as_of: &str) -> Answer {
        self.tell(Body::Count(TakeCount {
            location: "LONDON".to_owned(),
            lines: units(sku, quantity),
            as_of: Some(time(as_of)),
            inside: false,
            system: None,
            net: false,
        }))
    }

    pub fn order(&self, key: Option<&str>, sku: &str, quantity: i64) -> Result<Committed, CommitError> {
        self.keyed(
            key,
            Body::PlaceOrder(PlaceOrder {
                reference: None,
                lines: units(sku, quantity),
                location: None,
                ..PlaceOrder::default()
            }),
        )
    }

    pub fn order_fact(
        &self,
        document: &str,
        version: u64,
        sku: &str,
        quantity: i64,
        cancelled: bool,
    ) -> Answer {
        self.tell(Body::Record(Document {
            system: "WEB".to_owned(),
            document: document.to_owned(),
            version,
            content: Content::Order(OrderContent {
                placed_at: None,
                changed_at: None,
                cancelled,
                lines: vec![OrderContentLine {
                    line: "1".to_owned(),
                    item: Name::Sku(sku.to_owned()),
                    quantity: Quantity::units(quantity),
                    shipped: Quantity::ZERO,
                    returned: Quantity::ZERO,
                    location: None,
                    price: None,
                }],
                ..OrderContent::default()
            }),
        }))
    }

    pub fn shipment(
        &self,
        document: &str,
        order: Option<&str>,
        sku: &str,
        quantity: i64,
        at: Option<&str>,
    ) -> Answer {
        self.tell(Body::Record(Document {
            system: "WMS".to_owned(),
            document: document.to_owned(),
            version: 1,
            content: Content::Shipment(ShipmentContent {
                order: order.map(str::to_owned),
                order_system: Some("WEB".to_owned()),
                location: "LONDON".to_owned(),
                occurred_at: at.map(time),
                lines: vec![ShipmentLine {
                    lot: None,
                    item: Name::Sku(sku.to_owned()),
                    quantity: Quantity::units(quantity),
                }],
            }),
        }))
    }

    pub fn hold(&self, sku: &str, quantity: i64, until: &str) -> HoldId {
        let place = PlaceHold {
            lines: units(sku, quantity),
            location: None,
            expires_at: time(until),
            ..PlaceHold::default()
        };
        match self.tell(Body::PlaceHold(place)) {
            Answer::Hold(hold, ..) => hold,
            other => panic!("the hold was not placed: {other:?}"),
        }
    }

    pub fn convert(&self, hold: HoldId) -> Answer {
        self.tell(Body::ConvertHold(ConvertHold { hold, reference: None }))
    }

    /// Available, reserved, committed.
    pub fn stock(&self, sku: &str) -> (i64, i64, i64) {
        self.ledger
            .read(TENANT, |view| {
                let (item, _) = view.item_by_sku(sku)?.expect("the item is there");
                let (london, _) = view.location_by_code("LONDON")?.expect("London is there");
                let mut of = |state| view.held(item, london, state).map(Quantity::whole_units);
                Ok((of(StockState::Available)?, of(StockState::Reserved)?, of(StockState::Committed)?))
            })
            .unwrap()
    }

    /// On hand at a time of the day by what happened, as known now or at another time.
    pub fn on_hand_at(&self, sku: &str, at: &str, known_at: Option<&str>) -> i64 {
        self.ledger
            .read(TENANT, |view| {
                let (item, _) = view.item_by_sku(sku)?.expect("the item is there");
                let (london, _) = view.location_by_code("LONDON")?.expect("London is there");
                let mut sum = Quantity::ZERO;
                for state in StockState::ON_HAND {
                    sum += view.as_of(CellKey::new(item, london, state), time(at), known_at.map(time))?;
                }
                Ok(sum.whole_units())
            })
            .unwrap()
    }

    pub fn discrepancies(&self) -> Vec<Discrepancy> {
        let (from, to) = (Key::Discrepancy(DiscrepancyId(0)), Key::Discrepancy(DiscrepancyId(Seq::MAX >> 1)));
        let found = self.ledger.read(TENANT, |view| view.range(&from, &to, false, 1_000)).unwrap();
        found
            .into_iter()
            .filter_map(|(_, value)| match value {
                Value::Discrepancy(discrepancy) => Some(*discrepancy),
                _ => None,
            })
            .collect()
    }

    pub fn head(&self) -> Seq {
        self.ledger.read(TENANT, |view| Ok(view.seq())).unwrap()
    }
}

fn serde_json_hash(body: &Body) -> u32 {
    let text = format!("{body:?}");
    text.bytes().fold(17, |hash: u32, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte)))
}
