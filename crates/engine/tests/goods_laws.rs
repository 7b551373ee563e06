//! The laws over kits, lots, serials and places inside places: random sequences of commands in random batches, and what
//! must hold of the log and of the state after each. The checker shares no code with the ledger.

#[path = "support/shop.rs"]
#[expect(dead_code, reason = "the examples use the rest")]
mod shop;

#[path = "support/cases.rs"]
mod cases;

use std::collections::BTreeMap;
use std::sync::Arc;

use cases::config;
use onhand_engine::systems::desired_at;
use onhand_engine::{CommitError, Ledger, ManualClock, Options, Past, Shelf, StockReport, Submission};
use onhand_ledger::command::{
    Adjust, ApplySession, CancelOrder, CancelTransfer, Content, ConvertHold, DispatchTransfer, Document,
    FulfilOrder, Happened, Line, LineQuantity, MoveState, MovementLine, Name, OpenSession, OrderContent,
    OrderContentLine, PlaceHold, PlaceOrder, PlanTransfer, PutItem, PutListing, PutLocation, PutLot,
    PutSystem, ReadyTransfer, Reallocate, ReceiptContent, ReceiptLine, Receive, ReceiveTransfer, ReturnOrder,
    SetLowStock, ShipmentContent, ShipmentLine, Sight, Sighting, TakeCount, Transfer,
};
use onhand_ledger::model::{ComponentAt, Holder, Lot, Tracking, TransferLine};
use onhand_ledger::{
    Answer, Body, CellKey, Command, Entry, HoldId, Instant, ItemId, Key, LocationId, LotId, OrderId,
    Quantity, Refusal, Seq, SessionId, StockState, SystemId, TenantId, TransferId, Value,
};
use onhand_store::{MemoryStore, PostgresStore, PostgresUrl, SqliteStore, Store, StoreError};
use proptest::prelude::*;

const TENANT: TenantId = TenantId::DEFAULT;
/// What is counted, what is built of it, what is told apart by lots, and what by pieces.
const SKUS: [&str; 6] = ["A", "B", "KIT", "BOX", "MILK", "PHONE"];
const PLACES: [&str; 5] = ["LONDON", "BIN-1", "BIN-2", "PARIS", "SHELF"];
const HOUR: i64 = 3_600;

#[derive(Clone, Debug)]
enum Act {
    Receive {
        sku: usize,
        place: usize,
        quantity: i64,
        which: usize,
        ago: i64,
    },
    Adjust {
        sku: usize,
        place: usize,
        quantity: i64,
        which: usize,
        ago: i64,
    },
    Count {
        sku: usize,
        place: usize,
        quantity: i64,
        which: usize,
        inside: bool,
        ago: i64,
    },
    Transfer {
        sku: usize,
        from: usize,
        to: usize,
        quantity: i64,
        which: usize,
        ago: i64,
    },
    Move {
        sku: usize,
        place: usize,
        quantity: i64,
        which: usize,
        back: bool,
    },
    Order {
        lines: Vec<(usize, i64)>,
        which: Option<usize>,
    },
    Hold {
        sku: usize,
        quantity: i64,
        hours: i64,
    },
    Release {
        nth: usize,
    },
    Convert {
        nth: usize,
    },
    Fulfil {
        nth: usize,
    },
    Cancel {
        nth: usize,
        part: bool,
    },
    Return {
        nth: usize,
        ago: i64,
    },
    OrderFact {
        document: usize,
        version: u64,
        lines: Vec<(usize, i64, i64, i64)>,
        cancelled: bool,
        ago: i64,
    },
    Shipment {
        document: usize,
        order: Option<usize>,
        sku: usize,
        place: usize,
        quantity: i64,
        ago: i64,
    },
    Movements {
        document: usize,
        version: u64,
        lines: Vec<(usize, usize, usize, i64)>,
    },
    Recall {
        which: usize,
        recalled: bool,
    },
    Rebuild {
        recipe: usize,
    },
    Under {
        place: usize,
        site: usize,
    },
    Sells {
        place: usize,
        sells: bool,
    },
    Reallocate {
        nth: usize,
        away: Option<usize>,
    },
    Session {
        place: usize,
        inside: bool,
    },
    Sight {
        nth: usize,
        sku: usize,
        quantity: i64,
        which: usize,
        ago: i64,
    },
    Apply {
        nth: usize,
    },
    Plan {
        sku: usize,
        from: usize,
        to: usize,
        quantity: i64,
        which: usize,
    },
    Ready {
        nth: usize,
    },
    Dispatch {
        nth: usize,
        ago: i64,
    },
    Arrive {
        nth: usize,
    },
    EndTransfer {
        nth: usize,
    },
    /// What WEB tells to have come in of a transfer, naming lots and pieces or not.
    Arrival {
        document: usize,
        version: u64,
        nth: usize,
        sku: usize,
        quantity: i64,
        which: Option<usize>,
        place: usize,
        ago: i64,
    },
    Wait {
        hours: i64,
    },
}

fn act() -> impl Strategy<Value = Act> {
    let sku = || prop_oneof![3 => 0..2_usize, 2 => 2..4_usize, 2 => 4..6_usize];
    let place = || 0..PLACES.len();
    let ago = || prop_oneof![2 => Just(0), 1 => 1..20_i64];
    let which = || 0..4_usize;
    prop_oneof![
        6 => (sku(), place(), 1..7_i64, which(), ago()).prop_map(|(sku, place, quantity, which, ago)| Act::Receive { sku, place, quantity, which, ago }),
        1 => (sku(), place(), -3..3_i64, which(), ago()).prop_map(|(sku, place, quantity, which, ago)| Act::Adjust { sku, place, quantity, which, ago }),
        2 => (sku(), place(), 0..6_i64, which(), any::<bool>(), ago()).prop_map(|(sku, place, quantity, which, inside, ago)| Act::Count { sku, place, quantity, which, inside, ago }),
        2 => (sku(), place(), place(), 1..4_i64, which(), ago()).prop_map(|(sku, from, to, quantity, which, ago)| Act::Transfer { sku, from, to, quantity, which, ago }),
        1 => (sku(), place(), 1..3_i64, which(), any::<bool>()).prop_map(|(sku, place, quantity, which, back)| Act::Move { sku, place, quantity, which, back }),
        4 => (prop::collection::vec((sku(), 1..3_i64), 1..3), prop::option::weighted(0.2, which())).prop_map(|(lines, which)| Act::Order { lines, which }),
        2 => (sku(), 1..3_i64, 1..30_i64).prop_map(|(sku, quantity, hours)| Act::Hold { sku, quantity, hours }),
        1 => (0..9_usize).prop_map(|nth| Act::Release { nth }),
        1 => (0..9_usize).prop_map(|nth| Act::Convert { nth }),
        2 => (0..9_usize).prop_map(|nth| Act::Fulfil { nth }),
        1 => (0..9_usize, any::<bool>()).prop_map(|(nth, part)| Act::Cancel { nth, part }),
        1 => (0..9_usize, ago()).prop_map(|(nth, ago)| Act::Return { nth, ago }),
        4 => (0..3_usize, 1..6_u64, prop::collection::vec((sku(), 0..4_i64, 0..3_i64, 0..2_i64), 1..3), prop::bool::weighted(0.2), ago())
            .prop_map(|(document, version, lines, cancelled, ago)| Act::OrderFact { document, version, lines, cancelled, ago }),
        3 => (0..9_usize, prop::option::of(0..4_usize), sku(), place(), 1..4_i64, ago())
            .prop_map(|(document, order, sku, place, quantity, ago)| Act::Shipment { document, order, sku, place, quantity, ago }),
        2 => (0..3_usize, 1..4_u64, prop::collection::vec((sku(), place(), 0..5_usize, 1..4_i64), 1..3))
            .prop_map(|(document, version, lines)| Act::Movements { document, version, lines }),
        1 => (which(), any::<bool>()).prop_map(|(which, recalled)| Act::Recall { which, recalled }),
        1 => (0..3_usize).prop_map(|recipe| Act::Rebuild { recipe }),
        1 => (1..3_usize, 0..3_usize).prop_map(|(place, site)| Act::Under { place, site }),
        1 => (0..PLACES.len(), prop::bool::weighted(0.7)).prop_map(|(place, sells)| Act::Sells { place, sells }),
        2 => (0..9_usize, prop::option::weighted(0.7, place())).prop_map(|(nth, away)| Act::Reallocate { nth, away }),
        1 => (place(), any::<bool>()).prop_map(|(place, inside)| Act::Session { place, inside }),
        3 => (0..3_usize, sku(), 0..4_i64, which(), ago()).prop_map(|(nth, sku, quantity, which, ago)| Act::Sight { nth, sku, quantity, which, ago }),
        2 => (0..3_usize).prop_map(|nth| Act::Apply { nth }),
        2 => (sku(), place(), place(), 1..4_i64, which()).prop_map(|(sku, from, to, quantity, which)| Act::Plan { sku, from, to, quantity, which }),
        2 => (0..4_usize).prop_map(|nth| Act::Ready { nth }),
        2 => (0..4_usize, ago()).prop_map(|(nth, ago)| Act::Dispatch { nth, ago }),
        1 => (0..4_usize).prop_map(|nth| Act::Arrive { nth }),
        1 => (0..4_usize).prop_map(|nth| Act::EndTransfer { nth }),
        3 => (0..2_usize, 1..5_u64, 0..4_usize, sku(), 1..4_i64, prop::option::of(which()), place(), ago())
            .prop_map(|(document, version, nth, sku, quantity, which, place, ago)| Act::Arrival { document, version, nth, sku, quantity, which, place, ago }),
        3 => (1..30_i64).prop_map(|hours| Act::Wait { hours }),
    ]
}

struct Naive {
    sites: BTreeMap<LocationId, Quantity>,
    places: BTreeMap<LocationId, Quantity>,
    system: Seq,
}

#[derive(Clone, Copy, Debug)]
enum Kept {
    InMemory,
    Evicting,
    InFile,
    InPostgresql,
}

struct World {
    ledger: Option<Ledger>,
    clock: Arc<ManualClock>,
    now: Instant,
    options: Options,
    memory: MemoryStore,
    folder: Option<tempfile::TempDir>,
    /// Its address.
    postgresql: Option<String>,
    orders: Vec<OrderId>,
    holds: Vec<HoldId>,
    transfers: Vec<TransferId>,
    sessions: Vec<SessionId>,
    keys: u64,
}

impl World {
    fn new(kept: Kept) -> Self {
        let options = match kept {
            Kept::InMemory => Options::default(),
            Kept::Evicting => Options { flush_at: 0, slice: 1, cache: 0 },
            Kept::InFile => Options { flush_at: 8, slice: 2, cache: 30 },
            Kept::InPostgresql => Options { flush_at: 0, slice: 1, cache: 30 },
        };
        let now = Instant::parse("2026-11-23T20:00:00Z").unwrap();
        let mut world = Self {
            ledger: None,
            clock: Arc::new(ManualClock::at(now)),
            now,
            options,
            memory: MemoryStore::default(),
            folder: matches!(kept, Kept::InFile).then(|| tempfile::tempdir().unwrap()),
            postgresql: matches!(kept, Kept::InPostgresql).then(onhand_testpg::database),
            orders: Vec::new(),
            holds: Vec::new(),
            transfers: Vec::new(),
            sessions: Vec::new(),
            keys: 0,
        };
        world.open();
        let kit = |parts: &[(&str, i64)]| {
            Some(parts.iter().map(|(sku, each)| Line::new(*sku, Quantity::units(*each))).collect())
        };
        let item = |sku: &str, kit, tracking| {
            Body::PutItem(PutItem {
                sku: sku.to_owned(),
                kit,
                tracking: Some(tracking),
                ..PutItem::default()
            })
        };
        let place = |code: &str, parent: &str, zone: &str| {
            Body::PutLocation(PutLocation {
                code: code.to_owned(),
                parent: Some(parent.to_owned()),
                time_zone: Some(zone.to_owned()),
                ..PutLocation::default()
            })
        };
        let shown = PLACES.map(|code| (code.to_owned(), code.to_owned())).to_vec();
        let setting = vec![
            item("A", None, Tracking::None),
            item("B", None, Tracking::None),
            item("KIT", kit(&[("A", 2), ("B", 1)]), Tracking::None),
            item("BOX", kit(&[("KIT", 1), ("MILK", 1)]), Tracking::None),
            item("MILK", None, Tracking::Lots),
            item("PHONE", None, Tracking::Serials),
            item("BOX", kit(&[("KIT", 1), ("MILK", 1)]), Tracking::None),
            place("LONDON", "", "Europe/London"),
            place("BIN-1", "LONDON", ""),
            place("BIN-2", "LONDON", ""),
            place("PARIS", "", "Europe/Paris"),
            place("SHELF", "PARIS", ""),
            Body::PutSystem(PutSystem {
                name: "WEB".into(),
                kind: "test".into(),
                locations: Some(shown),
                ..PutSystem::default()
            }),
        ];
        // BOX cannot be before MILK is; it is set again then.
        world.commit(setting);
        // All are low at all times, so that all are told; and WEB shows all.
        for sku in SKUS {
            let (system, remote_id, sku) = ("WEB".to_owned(), sku.to_owned(), sku.to_owned());
            let level = Some(Quantity::units(1_000_000));
            world.commit(vec![
                Body::SetLowStock(SetLowStock { sku: sku.clone(), location: None, level }),
                Body::PutListing(PutListing {
                    system,
                    remote_id,
                    remote_sku: None,
                    sku: Some(sku),
                    multiplier: 1,
                    found: false,
                }),
            ]);
        }
        world
    }

    fn open(&mut self) {
        drop(self.ledger.take());
        let store: Box<dyn Store> = match (&self.folder, &self.postgresql) {
            (None, None) => Box::new(self.memory.clone()),
            (None, Some(address)) => {
                Box::new(PostgresStore::open(&PostgresUrl::parse(address, None).unwrap()).unwrap())
            }
            (Some(folder), _) => Box::new(SqliteStore::open(&folder.path().join("laws.db")).unwrap()),
        };
        self.ledger = Some(Ledger::open(store, self.clock.clone(), self.options).unwrap());
    }

    fn ledger(&self) -> &Ledger {
        self.ledger.as_ref().unwrap()
    }

    fn before(&self, hours: i64) -> Option<Instant> {
        (hours > 0).then(|| self.now.plus_seconds(-hours * HOUR))
    }

    /// So much of an item; of what is told apart, of a lot or of as many pieces as there are from one on.
    fn line(sku: usize, quantity: i64, which: Option<usize>) -> Line {
        let line = Line::new(SKUS[sku], Quantity::units(quantity));
        match (SKUS[sku], which) {
            ("MILK", Some(which)) => Line { lot: Some(format!("L{which}")), ..line },
            ("PHONE", Some(which)) if quantity != 0 => {
                let pieces = (0..quantity.unsigned_abs()).map(|more| format!("S{}", which as u64 + more));
                Line { serials: Some(pieces.collect()), ..line }
            }
            ("PHONE", Some(which)) => Line { lot: Some(format!("S{which}")), ..line },
            _ => line,
        }
    }

    fn body(&self, act: &Act) -> Option<Body> {
        let units = Quantity::units;
        let place = |place: usize| PLACES[place].to_owned();
        let order = |nth: usize| self.orders.get(nth % self.orders.len().max(1)).copied();
        let hold = |nth: usize| self.holds.get(nth % self.holds.len().max(1)).copied();
        let transfer = |nth: usize| self.transfers.get(nth % self.transfers.len().max(1)).copied();
        let session = |nth: usize| self.sessions.get(nth % self.sessions.len().max(1)).copied();
        Some(match act {
            Act::Receive { sku, place: at, quantity, which, ago } => {
                let mut line = Self::line(*sku, *quantity, Some(*which));
                if SKUS[*sku] == "MILK" && *which > 0 {
                    line.expires = Some(
                        jiff::civil::date(2026, 11, 23)
                            .checked_add(jiff::Span::new().days(i64::try_from(*which).unwrap()))
                            .unwrap(),
                    );
                }
                let occurred_at = self.before(*ago);
                Body::Receive(Receive { location: place(*at), lines: vec![line], occurred_at, reason: None })
            }
            Act::Adjust { quantity: 0, .. } => return None,
            Act::Adjust { sku, place: at, quantity, which, ago } => Body::Adjust(Adjust {
                location: place(*at),
                lines: vec![Self::line(*sku, *quantity, Some(*which))],
                occurred_at: self.before(*ago),
                reason: "test".to_owned(),
            }),
            Act::Count { sku, place: at, quantity, which, inside, ago } => Body::Count(TakeCount {
                location: place(*at),
                lines: vec![Self::line(*sku, *quantity, Some(*which))],
                as_of: self.before(*ago),
                inside: *inside,
                system: None,
                net: false,
            }),
            Act::Transfer { sku, from, to, quantity, which, ago } => Body::Transfer(Transfer {
                from: place(*from),
                to: place(*to),
                lines: vec![Self::line(*sku, *quantity, Some(*which))],
                occurred_at: self.before(*ago),
            }),
            Act::Move { sku, place: at, quantity, which, back } => {
                let (from, to) = (StockState::Available, StockState::SafetyStock);
                let (from, to) = if *back { (to, from) } else { (from, to) };
                let lines = vec![Self::line(*sku, *quantity, Some(*which))];
                Body::Move(MoveState {
                    location: place(*at),
                    lines,
                    from,
                    to,
                    reason: "test".to_owned(),
                    occurred_at: None,
                })
            }
            Act::Order { lines, which } => Body::PlaceOrder(PlaceOrder {
                ship_by: None,
                ship_to: None,
                prices: None,
                backorder: None,
                reference: None,
                lines: lines.iter().map(|(sku, quantity)| Self::line(*sku, *quantity, *which)).collect(),
                location: None,
            }),
            Act::Hold { sku, quantity, hours } => Body::PlaceHold(PlaceHold {
                partial: None,
                lines: vec![Self::line(*sku, *quantity, None)],
                location: None,
                expires_at: self.now.plus_seconds(hours * HOUR),
            }),
            Act::Release { nth } => Body::ReleaseHold(hold(*nth)?),
            Act::Convert { nth } => Body::ConvertHold(ConvertHold { hold: hold(*nth)?, reference: None }),
            Act::Fulfil { nth } => {
                Body::FulfilOrder(FulfilOrder { order: order(*nth)?, lines: None, occurred_at: None })
            }
            Act::Cancel { nth, part } => {
                let one = vec![LineQuantity { line: "1".to_owned(), quantity: units(1), lot: None }];
                Body::CancelOrder(CancelOrder { order: order(*nth)?, lines: part.then_some(one) })
            }
            Act::Return { nth, ago } => Body::ReturnOrder(ReturnOrder {
                order: order(*nth)?,
                lines: vec![LineQuantity { line: "1".to_owned(), quantity: units(1), lot: None }],
                location: None,
                into: StockState::Available,
                occurred_at: self.before(*ago),
            }),
            Act::OrderFact { document, version, lines, cancelled, ago } => {
                let lines = lines.iter().enumerate();
                let lines = lines.map(|(number, (sku, quantity, shipped, returned))| OrderContentLine {
                    price: None,
                    line: format!("{number}-{sku}"),
                    item: Name::Sku(SKUS[*sku].to_owned()),
                    quantity: units(*quantity),
                    shipped: units(*shipped),
                    returned: units(*returned),
                    location: None,
                });
                Body::Record(Document {
                    system: "WEB".to_owned(),
                    document: format!("W{document}"),
                    version: *version,
                    content: Content::Order(OrderContent {
                        ship_by: None,
                        ship_to: None,
                        placed_at: None,
                        changed_at: self.before(*ago),
                        cancelled: *cancelled,
                        lines: lines.collect(),
                    }),
                })
            }
            Act::Shipment { document, order, sku, place: at, quantity, ago } => Body::Record(Document {
                system: "WEB".to_owned(),
                document: format!("S{document}"),
                version: 1,
                content: Content::Shipment(ShipmentContent {
                    order: order.map(|order| format!("W{order}")),
                    order_system: None,
                    location: place(*at),
                    occurred_at: self.before(*ago),
                    lines: vec![ShipmentLine {
                        lot: None,
                        item: Name::Sku(SKUS[*sku].to_owned()),
                        quantity: units(*quantity),
                    }],
                }),
            }),
            Act::Movements { document, version, lines } => {
                let what =
                    [Happened::Sold, Happened::Returned, Happened::Found, Happened::Lost, Happened::Received];
                let lines =
                    lines.iter().enumerate().map(|(number, (sku, at, kind, quantity))| MovementLine {
                        line: number.to_string(),
                        item: Name::Sku(SKUS[*sku].to_owned()),
                        location: place(*at),
                        what: what[*kind],
                        quantity: units(*quantity),
                        occurred_at: None,
                        reason: None,
                    });
                Body::Record(Document {
                    system: "WEB".to_owned(),
                    document: format!("M{document}"),
                    version: *version,
                    content: Content::Movements(lines.collect()),
                })
            }
            Act::Recall { which, recalled } => Body::PutLot(PutLot {
                sku: "MILK".to_owned(),
                lot: format!("L{which}"),
                expires: None,
                recalled: Some(*recalled),
            }),
            Act::Rebuild { recipe } => {
                let recipes = [vec![(0, 2), (1, 1)], vec![(0, 1)], vec![(1, 2), (4, 1)]];
                let kit = recipes[*recipe].iter().map(|(sku, each)| Self::line(*sku, *each, None)).collect();
                Body::PutItem(PutItem { sku: "KIT".to_owned(), kit: Some(kit), ..PutItem::default() })
            }
            Act::Under { place: at, site } => Body::PutLocation(PutLocation {
                code: place(*at),
                parent: Some(["LONDON", "PARIS", ""][*site].to_owned()),
                ..PutLocation::default()
            }),
            Act::Sells { place: at, sells } => Body::PutLocation(PutLocation {
                code: place(*at),
                sellable: Some(*sells),
                ..PutLocation::default()
            }),
            Act::Reallocate { nth, away } => {
                Body::Reallocate(Reallocate { order: order(*nth)?, away_from: away.map(place) })
            }
            Act::Session { place: at, inside } => Body::OpenSession(OpenSession {
                location: place(*at),
                inside: Some(*inside),
                ..OpenSession::default()
            }),
            Act::Sight { nth, sku, quantity, which, ago } => {
                let Line { sku, quantity, lot, serials, .. } = Self::line(*sku, *quantity, Some(*which));
                let seen = Sighting { sku, quantity, lot, serials, seen_at: self.before(*ago) };
                Body::Sight(Sight { session: session(*nth)?, lines: vec![seen] })
            }
            Act::Apply { nth } => {
                Body::ApplySession(ApplySession { session: session(*nth)?, approve: Some(true) })
            }
            Act::Plan { sku, from, to, quantity, which } => Body::PlanTransfer(PlanTransfer {
                reference: Some(format!("T-{}", self.transfers.len())),
                from: place(*from),
                to: place(*to),
                lines: vec![Self::line(*sku, *quantity, Some(*which))],
                expected_on: None,
            }),
            Act::Ready { nth } => Body::ReadyTransfer(ReadyTransfer { transfer: transfer(*nth)? }),
            Act::Dispatch { nth, ago } => Body::DispatchTransfer(DispatchTransfer {
                transfer: transfer(*nth)?,
                lines: None,
                occurred_at: self.before(*ago),
            }),
            Act::Arrive { nth } => Body::ReceiveTransfer(ReceiveTransfer {
                transfer: transfer(*nth)?,
                lines: None,
                into: StockState::Available,
                occurred_at: None,
            }),
            Act::EndTransfer { nth } => {
                Body::CancelTransfer(CancelTransfer { transfer: transfer(*nth)?, occurred_at: None })
            }
            Act::Arrival { document, version, nth, sku, quantity, which, place: at, ago } => {
                let Line { sku, quantity, lot, serials, .. } = Self::line(*sku, *quantity, *which);
                let item = Name::Sku(sku);
                let line = ReceiptLine { item, quantity, unit_cost: None, lot, expires: None, serials };
                Body::Record(Document {
                    system: "WEB".to_owned(),
                    document: format!("R{document}"),
                    version: *version,
                    content: Content::Receipt(ReceiptContent {
                        purchase: None,
                        transfer: Some(format!("T-{nth}")),
                        location: place(*at),
                        occurred_at: self.before(*ago),
                        lines: vec![line],
                    }),
                })
            }
            Act::Wait { .. } => return None,
        })
    }

    fn commit(&mut self, bodies: Vec<Body>) {
        let mut submissions = Vec::new();
        for body in bodies {
            self.keys += 1;
            let key = (!self.keys.is_multiple_of(3)).then(|| format!("key-{}", self.keys));
            let command = Command { key, fingerprint: self.keys, actor: "test".to_owned(), body };
            submissions.push(Submission { tenant: TENANT, command: Some(command), notes: Vec::new() });
        }
        let told = submissions.clone();
        for (submission, result) in told.into_iter().zip(self.ledger().commit(submissions)) {
            assert!(
                !matches!(result, Err(CommitError::Bug | CommitError::Store(_))),
                "{submission:?}: {result:?}"
            );
            match result.map(|committed| committed.answer) {
                Ok(Answer::Order(id, _)) if !self.orders.contains(&id) => self.orders.push(id),
                Ok(Answer::Hold(id, ..)) if !self.holds.contains(&id) => self.holds.push(id),
                Ok(Answer::Transfer { id, .. }) if !self.transfers.contains(&id) => self.transfers.push(id),
                Ok(Answer::Session(id)) if !self.sessions.contains(&id) => self.sessions.push(id),
                _ => {}
            }
        }
    }

    fn check(&self) {
        let log = self.ledger().read(TENANT, |view| view.records_after(0, 1_000_000)).unwrap();
        let mut sums = BTreeMap::<CellKey, Quantity>::new();
        let mut lots = BTreeMap::<LotId, Lot>::new();
        for entry in log.iter().flat_map(|(_, record)| &record.entries) {
            if let Entry::Lot(id, lot) = entry {
                lots.insert(*id, *lot.clone());
            }
            let Entry::Movement(movement) = entry else { continue };
            assert_eq!(
                (movement.from.lot, movement.from.consignor),
                (movement.to.lot, movement.to.consignor)
            );
            for (cell, balance, change) in [
                (movement.from_cell(), movement.from.balance, -movement.quantity),
                (movement.to_cell(), movement.to.balance, movement.quantity),
            ] {
                let sum = sums.entry(cell).or_default();
                *sum += change;
                assert_eq!(*sum, balance, "law 1: a balance is what its cell's movements make");
                assert!(cell.state.is_party() || !sum.is_negative(), "law 2: {cell:?} is {sum}");
            }
        }
        let mut by_lot = BTreeMap::<(ItemId, LotId), (Quantity, Quantity)>::new();
        for (cell, sum) in &sums {
            let (all, here) = by_lot.entry((cell.item, cell.lot)).or_default();
            *all += *sum;
            if !cell.state.is_party() {
                *here += *sum;
            }
        }
        let serial = |item: ItemId| self.sku(item) == "PHONE";
        for ((item, lot), (all, here)) in by_lot {
            assert!(all.is_zero(), "law 1: all accounts of item {item}, lot {lot} add up to nothing");
            let piece = serial(item) && lot.0 != 0;
            assert!(!piece || here <= Quantity::ONE, "a piece is in one place: {lot} is {here}");
            assert!(lot.0 == 0 || lots.contains_key(&lot), "a lot is known before it moves");
        }
        self.check_promises(&sums, &lots);
        self.check_short();
    }

    fn sku(&self, item: ItemId) -> String {
        self.ledger().read(TENANT, |view| Ok(view.item(item)?.unwrap().sku)).unwrap()
    }

    /// Every promise is some line's, and none is of a lot that may not be sold.
    fn check_promises(&self, sums: &BTreeMap<CellKey, Quantity>, lots: &BTreeMap<LotId, Lot>) {
        let (orders, holds, transfers, promises) = self
            .ledger()
            .read(TENANT, |view| {
                let orders =
                    view.range(&Key::Order(OrderId(0)), &Key::Order(OrderId(Seq::MAX >> 1)), false, 10_000)?;
                let holds =
                    view.range(&Key::Hold(HoldId(0)), &Key::Hold(HoldId(Seq::MAX >> 1)), false, 10_000)?;
                let first = Key::Promise(ItemId(0), LocationId(0), 0, 0, LotId(0));
                let last = Key::Promise(ItemId(Seq::MAX >> 1), LocationId(0), 0, 0, LotId(0));
                let all = (Key::Transfer(TransferId(0)), Key::Transfer(TransferId(Seq::MAX >> 1)));
                let transfers = view.range(&all.0, &all.1, false, 10_000)?;
                Ok((orders, holds, transfers, view.range(&first, &last, false, 10_000)?))
            })
            .unwrap();
        let mut kept = BTreeMap::<(ItemId, LocationId, Holder, u32, LotId), Quantity>::new();
        let mut add =
            |item, places: &[onhand_ledger::model::At], components: &[ComponentAt], holder, line| {
                for at in places {
                    *kept.entry((item, at.location, holder, line, at.lot)).or_default() += at.quantity;
                }
                for at in components {
                    *kept.entry((at.item, at.location, holder, line, at.lot)).or_default() += at.quantity;
                }
            };
        let whole = |build: &onhand_ledger::model::Build| {
            let kits: Quantity = build.built.iter().map(|at| at.quantity).sum();
            for component in &build.recipe {
                let of_it = build.components.iter().filter(|at| at.item == component.item);
                let there: Quantity = of_it.map(|at| at.quantity).sum();
                let all = component.quantity.micros() * kits.whole_units();
                let begun = build.begun.iter().filter(|at| at.item == component.item);
                let begun: i64 = begun.map(|at| at.quantity.micros()).sum();
                assert_eq!(there.micros(), (all - begun).max(0), "{build:?}");
            }
        };
        for (key, value) in orders {
            let (Key::Order(id), Value::Order(order)) = (key, value) else { panic!("an order") };
            for (index, line) in (0..).zip(&order.lines) {
                let covered = line.allocated_total() + line.short + line.shipped_total();
                assert_eq!(line.wanted, covered, "wanted = allocated + short + shipped in {order:?}");
                assert!(line.returned <= line.shipped_total() && !line.short.is_negative());
                add(line.item, &line.allocated, &line.build.components, Holder::Order(id), index);
                whole(&line.build);
            }
        }
        for (key, value) in holds {
            let (Key::Hold(id), Value::Hold(hold)) = (key, value) else { panic!("a hold") };
            for (index, line) in (0..).zip(&hold.lines) {
                add(line.item, &line.reserved, &line.build.components, Holder::Hold(id), index);
                whole(&line.build);
            }
        }
        let mut on_their_way = BTreeMap::<CellKey, Quantity>::new();
        for (key, value) in transfers {
            let (Key::Transfer(id), Value::Transfer(transfer)) = (key, value) else { panic!("a transfer") };
            for (index, line) in (0..).zip(&transfer.lines) {
                assert!(line.reserved <= line.to_dispatch() && !line.reserved.is_negative(), "{line:?}");
                let TransferLine { lot, reserved: quantity, .. } = *line;
                let kept_there = onhand_ledger::model::At { location: transfer.from, lot, quantity };
                if quantity.is_positive() {
                    add(line.item, &[kept_there], &[], Holder::Transfer(id), index);
                }
                let cell = CellKey::of(line.item, transfer.to, line.lot, StockState::InTransit);
                *on_their_way.entry(cell).or_default() += line.in_transit();
            }
        }
        for (cell, sum) in sums.iter().filter(|(cell, _)| cell.state == StockState::InTransit) {
            assert_eq!(on_their_way.remove(cell).unwrap_or_default(), *sum, "{cell:?} is what is on its way");
        }
        assert!(on_their_way.values().all(|rest| rest.is_zero()), "what is on its way is in transit");
        let index: BTreeMap<_, _> = promises
            .into_iter()
            .map(|(key, value)| match (key, value) {
                (Key::Promise(item, location, _, line, lot), Value::Promise(promise)) => {
                    ((item, location, promise.holder, line, lot), promise.quantity)
                }
                other => panic!("a promise: {other:?}"),
            })
            .collect();
        assert_eq!(index, kept, "the index of promises");
        let mut cells = BTreeMap::<CellKey, Quantity>::new();
        for ((item, location, holder, _, lot), quantity) in &kept {
            let state = match holder {
                Holder::Order(_) => StockState::Committed,
                Holder::Hold(_) | Holder::Transfer(_) => StockState::Reserved,
            };
            *cells.entry(CellKey::of(*item, *location, *lot, state)).or_default() += *quantity;
        }
        for (cell, sum) in sums {
            if matches!(cell.state, StockState::Committed | StockState::Reserved) {
                let said = cells.get(cell).copied().unwrap_or_default();
                assert_eq!(*sum, said, "{cell:?} is what is promised from it");
                if sum.is_positive() && cell.lot.0 != 0 {
                    let zone = self.zone(cell.location);
                    let lot = &lots[&cell.lot];
                    let over = lot.expires.is_some_and(|day| {
                        let end = day.tomorrow().unwrap().in_tz(&zone).unwrap().timestamp();
                        Instant::from_micros(end.as_microsecond()) <= self.now
                    });
                    assert!(!lot.recalled && !over, "{lot:?} is promised in {cell:?} at {}", self.now);
                }
            }
        }
    }

    fn zone(&self, location: LocationId) -> String {
        let mut next = Some(location);
        while let Some(id) = next {
            let known = self.ledger().read(TENANT, |view| Ok(view.location(id)?.unwrap())).unwrap();
            if let Some(zone) = known.time_zone {
                return zone;
            }
            next = known.parent;
        }
        "UTC".to_owned()
    }

    /// Every number that anybody is shown of what is available is the same, and is what an order gets.
    fn check_numbers(&self) {
        self.ledger().flush().unwrap();
        let cells = self.ledger().read(TENANT, |view| view.cells_after(None, 100_000)).unwrap();
        let sums: BTreeMap<CellKey, Quantity> =
            cells.into_iter().map(|(cell, slot)| (cell, slot.quantity)).collect();
        let sums = &sums;
        for sku in SKUS {
            let naive = self.naive(sku, sums);
            let by_site: BTreeMap<LocationId, Quantity> = naive.sites.clone();
            let total: Quantity = by_site.values().copied().sum();
            let (day, soon) = (self.now.day(), self.now.plus_seconds(1));
            self.ledger()
                .read(TENANT, |view| {
                    let (item, known) = view.item_by_sku(sku)?.unwrap();
                    let (listing, listed) = view.listing_by_remote(SystemId(naive.system), sku)?.unwrap();
                    let shelves = view.shelves(item, None, None)?;
                    let all = shelves.values().map(Shelf::available).sum::<Quantity>();
                    assert_eq!(all, total, "the stock of {sku}");
                    assert_eq!(
                        view.promisable(item, None, day)?.available,
                        total,
                        "what is promised of {sku}"
                    );
                    let past = Past { at: soon, moment: None, known: Seq::MAX };
                    let filled = |shelves: BTreeMap<LocationId, Shelf>| {
                        let mut shelves = shelves;
                        for shelf in shelves.values_mut() {
                            shelf.states.retain(|_, held| !held.is_zero());
                        }
                        shelves.retain(|_, shelf| *shelf != Shelf::default());
                        shelves
                    };
                    let now = filled(shelves);
                    assert_eq!(filled(view.shelves(item, None, Some(past))?), now, "as of now, of {sku}");
                    let mut report = StockReport::begin(view, None, None, None)?;
                    let mut rows = BTreeMap::new();
                    while !report.is_done() {
                        let part = report.next(view, 3)?.into_iter().filter(|row| row.item == item);
                        rows.extend(part.map(|row| (row.location, row.shelf)));
                    }
                    assert_eq!(rows, now, "the report of {sku}");
                    let web = view.system(listed.system)?.unwrap();
                    for place in PLACES {
                        let (id, _) = view.location_by_code(place)?.unwrap();
                        let here = naive.places[&id];
                        assert_eq!(view.available(item, id)?, here, "{sku} at {place}");
                        let shown = desired_at(view, listing, &listed, &web, place)?.unwrap();
                        let claimed = view.claimed_at(item, id)?;
                        let free = (here - claimed).max(Quantity::ZERO);
                        assert_eq!(
                            (shown.available, shown.quantity),
                            (here, free),
                            "shown of {sku} at {place}"
                        );
                        let inside = view.shelves(item, Some(id), None)?;
                        let inside = inside.values().map(Shelf::available).sum::<Quantity>();
                        assert_eq!(inside, here, "the stock of {sku} at {place} and inside it");
                    }
                    let low = view.low_stock(ItemId(item.0 - 1), 1, 1)?.rows;
                    for row in low.iter().filter(|row| row.location.is_some()) {
                        assert_eq!(
                            row.available,
                            by_site[&row.location.unwrap()],
                            "low stock of {sku}: {row:?}"
                        );
                    }
                    let told: Quantity = low.iter().map(|row| row.available).sum();
                    assert_eq!(told, total, "{low:?} tells all that there is of {}", known.sku);
                    Ok(())
                })
                .unwrap();
            self.check_orders(sku, total);
        }
    }

    /// An order for all that is available is taken, and one for one more after it is not. Both are in a group that is
    /// refused: nothing of it is done.
    fn check_orders(&self, sku: &str, total: Quantity) {
        let order = |quantity: Quantity| {
            let lines = vec![Line::new(sku, quantity)];
            Body::PlaceOrder(PlaceOrder { lines, backorder: Some(false), ..PlaceOrder::default() })
        };
        let mut group: Vec<Body> = total.is_positive().then(|| order(total)).into_iter().collect();
        group.push(order(Quantity::ONE));
        let refused_at = u32::try_from(group.len()).unwrap();
        let command =
            Command { key: None, fingerprint: 0, actor: "test".to_owned(), body: Body::Group(group) };
        let submission = Submission { tenant: TENANT, command: Some(command), notes: Vec::new() };
        let result = self.ledger().commit(vec![submission]).remove(0);
        match &result {
            Ok(committed) => match &committed.answer {
                Answer::Refused(Refusal::InGroup { line, .. }) if *line == refused_at => {}
                other => panic!("{total} of {sku} can be had, and no more: {other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    /// What there is of an item by the log alone, at each site that sells, and at each place with all inside it.
    fn naive(&self, sku: &str, sums: &BTreeMap<CellKey, Quantity>) -> Naive {
        self.ledger()
            .read(TENANT, |view| {
                let mut places = BTreeMap::new();
                let mut sites = BTreeMap::new();
                let mut known = BTreeMap::new();
                for place in PLACES {
                    let (id, location) = view.location_by_code(place)?.unwrap();
                    known.insert(id, location);
                }
                let sells = |location: LocationId, until: Option<LocationId>| {
                    let mut next = Some(location);
                    let mut reached = until.is_none();
                    while let Some(here) = next {
                        reached |= until == Some(here);
                        if !known[&here].sellable {
                            return false;
                        }
                        next = known[&here].parent;
                    }
                    reached
                };
                let mut recipe = BTreeMap::<ItemId, i64>::new();
                let (item, is) = view.item_by_sku(sku)?.unwrap();
                let mut open: Vec<(ItemId, i64)> =
                    is.kit.iter().map(|part| (part.item, part.quantity.whole_units())).collect();
                while let Some((part, each)) = open.pop() {
                    let inner = view.item(part)?.unwrap().kit;
                    if inner.is_empty() {
                        *recipe.entry(part).or_default() += each;
                    }
                    open.extend(inner.iter().map(|deep| (deep.item, deep.quantity.whole_units() * each)));
                }
                for outer in known.keys() {
                    let mut there = |item: ItemId| {
                        let mut sum = 0;
                        for (cell, held) in sums.iter().filter(|(cell, _)| cell.item == item) {
                            if cell.state != StockState::Available || !sells(cell.location, Some(*outer)) {
                                continue;
                            }
                            let ends = view.expires(cell.lot, cell.location)?;
                            let recalled = view.lot(cell.lot)?.is_some_and(|lot| lot.recalled);
                            if !recalled && ends.is_none_or(|ends| self.now < ends) {
                                sum += held.whole_units();
                            }
                        }
                        Ok::<i64, StoreError>(sum)
                    };
                    let own = there(item)?;
                    let mut kits = if recipe.is_empty() { 0 } else { i64::MAX };
                    for (part, each) in &recipe {
                        kits = kits.min(there(*part)? / each);
                    }
                    let here = Quantity::units(own + kits);
                    places.insert(*outer, here);
                    if known[outer].parent.is_none() && known[outer].sellable {
                        sites.insert(*outer, here);
                    }
                }
                let system = view.system_by_name("WEB")?.unwrap().0.0;
                Ok(Naive { sites, places, system })
            })
            .unwrap()
    }

    /// What is short is nowhere to be had.
    fn check_short(&self) {
        let orders = self
            .ledger()
            .read(TENANT, |view| {
                view.range(&Key::Order(OrderId(0)), &Key::Order(OrderId(Seq::MAX >> 1)), false, 10_000)
            })
            .unwrap();
        for (_, value) in orders {
            let Value::Order(order) = value else { panic!("an order") };
            for line in order.lines.iter().filter(|line| line.short.is_positive() && line.lot.is_none()) {
                let there = self.ledger().read(TENANT, |view| {
                    let mut all = Vec::new();
                    for (_, site) in view.sites()?.sellable {
                        let lying = onhand_ledger::availability::spots(
                            view,
                            line.item,
                            site,
                            &[StockState::Available],
                        )?;
                        let kits = onhand_ledger::availability::buildable(
                            view,
                            &line.build.recipe,
                            site,
                            &[StockState::Available],
                        )?;
                        all.push(lying.iter().map(|spot| spot.quantity).sum::<Quantity>() + kits);
                    }
                    Ok(all)
                });
                let there: Quantity = there.unwrap().into_iter().sum();
                assert!(there.is_zero(), "{there} of {line:?} are there");
            }
        }
    }
}

fn run(kept: Kept, acts: &[Vec<Act>]) {
    let mut world = World::new(kept);
    world.check();
    for (step, batch) in acts.iter().enumerate() {
        world.now = world.now.plus_seconds(7);
        for act in batch {
            if let Act::Wait { hours } = act {
                world.now = world.now.plus_seconds(hours * HOUR);
            }
        }
        world.clock.set(world.now);
        let mut bodies: Vec<Body> = batch.iter().filter_map(|act| world.body(act)).collect();
        bodies.push(Body::Tick);
        world.commit(bodies);
        world.check();
        if step % 3 == 2 {
            world.open();
            world.check();
            world.check_numbers();
        }
    }
    let all = |world: &World| {
        world.ledger().flush().unwrap();
        world.ledger().read(TENANT, |view| view.cells_after(None, 100_000)).unwrap()
    };
    let before = all(&world);
    let verified = onhand_engine::verify(world.ledger(), TENANT, &mut |_| {}).unwrap();
    assert!(verified.violation.is_none(), "{:?}", verified.violation);
    world.ledger().rebuild().unwrap();
    assert_eq!(all(&world), before, "the state is what the log says");
    world.check();
    world.check_numbers();
}

fn batches() -> impl Strategy<Value = Vec<Vec<Act>>> {
    let batch = prop_oneof![2 => prop::collection::vec(act(), 1), 1 => prop::collection::vec(act(), 2..6)];
    prop::collection::vec(batch, 1..25)
}

proptest! {
    #![proptest_config(config(120, 4_000))]

    #[test]
    fn the_laws_of_goods_hold_in_memory(acts in batches()) {
        run(Kept::InMemory, &acts);
    }

    #[test]
    fn the_laws_of_goods_hold_with_everything_evicted_before_each_batch(acts in batches()) {
        run(Kept::Evicting, &acts);
    }
}

proptest! {
    #![proptest_config(config(30, 4_000))]

    #[test]
    fn the_laws_of_goods_hold_in_a_file_that_is_reopened_without_flushing(acts in batches()) {
        run(Kept::InFile, &acts);
    }
}

proptest! {
    #![proptest_config(config(6, 200))]

    #[test]
    fn the_laws_of_goods_hold_in_postgresql_which_is_reopened_now_and_then(acts in batches()) {
        run(Kept::InPostgresql, &acts);
    }
}
