//! The laws, over random sequences of all commands in random batches, against a naive reading of the log.
//!
//! The checker shares no code with the ledger: it walks the log's movements and keeps plain sums.

#[path = "support/shop.rs"]
#[expect(dead_code, reason = "the examples use the rest")]
mod shop;

#[path = "support/cases.rs"]
mod cases;

use std::collections::BTreeMap;
use std::sync::Arc;

use cases::config;
use onhand_engine::{CommitError, HistoryFilter, Ledger, ManualClock, Options, StockReport, Submission};
use onhand_ledger::command::{
    Adjust, AmendPurchase, AmendTransfer, AmendedLine, ApplySession, ArrivedLine, Assemble, CancelOrder,
    CancelTransfer, Content, ConvertHold, DeliveredLine, DispatchTransfer, Document, EndPurchase, ExtendHold,
    FulfilOrder, Happened, Line, LinePart, LineQuantity, MergeItems, MoveState, MovementLine, Name,
    OpenSession, OrderContent, OrderContentLine, PlaceHold, PlaceOrder, PlacePurchase, PlanTransfer,
    PurchaseOrderLine, PutItem, PutLocation, PutSystem, ReadyTransfer, Reallocate, ReceiptContent,
    ReceiptLine, Receive, ReceivePurchase, ReceiveTransfer, ReleaseLines, ReturnOrder, Reverse,
    SetAllocation, ShipmentContent, ShipmentLine, Sight, Sighting, Source, TakeCount, Threshold, Transfer,
};
use onhand_ledger::model::{HoldState, Holder, Parcels};
use onhand_ledger::{
    Answer, Body, CellKey, Command, Entry, HoldId, Instant, Invalid, ItemId, Key, LocationId, LotId,
    Movement, OrderId, PurchaseId, Quantity, Record, Refusal, Seq, SessionId, StockState, TenantId,
    TransferId, Value,
};
use onhand_store::{MemoryStore, PostgresStore, PostgresUrl, SqliteStore, Store, chain};
use proptest::prelude::*;

const TENANT: TenantId = TenantId::DEFAULT;
const SKUS: [&str; 3] = ["MUG", "CUP", "cup"];
const PLACES: [&str; 2] = ["LONDON", "PARIS"];
const MINUTE: i64 = 60;

/// One thing that somebody does. Numbers choose among what there is by then.
#[derive(Clone, Debug)]
enum Act {
    Receive {
        sku: usize,
        place: usize,
        quantity: i64,
        ago: i64,
    },
    Adjust {
        sku: usize,
        place: usize,
        quantity: i64,
        ago: i64,
    },
    Transfer {
        sku: usize,
        from: usize,
        quantity: i64,
        ago: i64,
    },
    Move {
        sku: usize,
        place: usize,
        quantity: i64,
        from: usize,
        to: usize,
        ago: i64,
    },
    Count {
        sku: usize,
        place: usize,
        quantity: i64,
        ago: i64,
    },
    Hold {
        sku: usize,
        quantity: i64,
        minutes: i64,
        partial: bool,
    },
    Extend {
        nth: usize,
        minutes: i64,
    },
    ReleaseLine {
        nth: usize,
        quantity: Option<i64>,
    },
    Release {
        nth: usize,
    },
    Convert {
        nth: usize,
    },
    Order {
        sku: usize,
        quantities: Vec<i64>,
        may_wait: bool,
    },
    /// A rule of allocation; `only` names one place alone, or (the third) a group.
    Rule {
        ours: bool,
        only: Option<usize>,
        parcels: usize,
        split: bool,
    },
    /// A place is in the group that rules name, or no longer.
    Near {
        place: usize,
        near: bool,
    },
    Reallocate {
        nth: usize,
        away: Option<usize>,
    },
    Session {
        place: usize,
        over: i64,
    },
    Sight {
        nth: usize,
        sku: usize,
        quantity: i64,
        ago: i64,
    },
    Apply {
        nth: usize,
        approve: bool,
    },
    Fulfil {
        nth: usize,
        ago: i64,
    },
    Cancel {
        nth: usize,
        quantity: Option<i64>,
    },
    Return {
        nth: usize,
        quantity: i64,
        damaged: bool,
        ago: i64,
    },
    OrderFact {
        document: usize,
        version: u64,
        sku: usize,
        quantity: i64,
        shipped: i64,
        returned: i64,
        cancelled: bool,
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
        lines: Vec<(usize, usize, usize, i64, i64)>,
    },
    Merge {
        from: usize,
        into: usize,
    },
    /// Takes back the nth movement that anybody was told of, or some of it.
    Reverse {
        nth: usize,
        quantity: Option<i64>,
    },
    Plan {
        sku: usize,
        from: usize,
        quantity: i64,
    },
    Dispatch {
        nth: usize,
        quantity: Option<i64>,
        ago: i64,
    },
    Arrive {
        nth: usize,
        quantity: i64,
        lost: i64,
        damaged: bool,
        ago: i64,
    },
    CancelTransfer {
        nth: usize,
        ago: i64,
    },
    Ready {
        nth: usize,
    },
    AmendTransfer {
        nth: usize,
        quantity: i64,
    },
    /// WEB, or somebody in our own name, tells what came in of a transfer.
    Arrival {
        document: usize,
        ours: bool,
        version: u64,
        nth: usize,
        lines: Vec<(usize, i64)>,
        place: usize,
        ago: i64,
    },
    /// A MUG is built of two CUPs, or taken apart into them.
    Produce {
        place: usize,
        quantity: i64,
        apart: bool,
        ago: i64,
    },
    Buy {
        sku: usize,
        place: usize,
        quantity: i64,
    },
    Deliver {
        nth: usize,
        quantity: Option<i64>,
        ago: i64,
    },
    AmendPurchase {
        nth: usize,
        quantity: i64,
    },
    EndPurchase {
        nth: usize,
        cancel: bool,
    },
    Receipt {
        document: usize,
        nth: usize,
        sku: usize,
        place: usize,
        quantity: i64,
        ago: i64,
    },
    Wait {
        minutes: i64,
    },
    /// A copy of an earlier keyed request, or its key on another body.
    Again {
        nth: usize,
        other: bool,
    },
}

fn act() -> impl Strategy<Value = Act> {
    let sku = || 0..SKUS.len();
    let place = || 0..PLACES.len();
    let quantity = || 1..9_i64;
    let ago = || prop_oneof![3 => Just(0), 2 => 1..40_i64];
    prop_oneof![
        4 => (sku(), place(), quantity(), ago()).prop_map(|(sku, place, quantity, ago)| Act::Receive { sku, place, quantity, ago }),
        2 => (sku(), place(), -6..6_i64, ago()).prop_map(|(sku, place, quantity, ago)| Act::Adjust { sku, place, quantity, ago }),
        1 => (sku(), place(), quantity(), ago()).prop_map(|(sku, from, quantity, ago)| Act::Transfer { sku, from, quantity, ago }),
        1 => (sku(), place(), 1..4_i64, 0..4_usize, 0..4_usize, ago())
            .prop_map(|(sku, place, quantity, from, to, ago)| Act::Move { sku, place, quantity, from, to, ago }),
        3 => (sku(), place(), 0..12_i64, ago()).prop_map(|(sku, place, quantity, ago)| Act::Count { sku, place, quantity, ago }),
        2 => (sku(), 1..6_i64, 1..30_i64, any::<bool>()).prop_map(|(sku, quantity, minutes, partial)| Act::Hold { sku, quantity, minutes, partial }),
        1 => (0..9_usize, 1..30_i64).prop_map(|(nth, minutes)| Act::Extend { nth, minutes }),
        1 => (0..9_usize, prop::option::of(1..4_i64)).prop_map(|(nth, quantity)| Act::ReleaseLine { nth, quantity }),
        1 => (place(), any::<bool>()).prop_map(|(place, near)| Act::Near { place, near }),
        1 => (any::<bool>(), prop::option::weighted(0.4, 0..3_usize), 0..3_usize, any::<bool>())
            .prop_map(|(ours, only, parcels, split)| Act::Rule { ours, only, parcels, split }),
        1 => (0..9_usize, prop::option::of(place())).prop_map(|(nth, away)| Act::Reallocate { nth, away }),
        1 => (place(), 0..4_i64).prop_map(|(place, over)| Act::Session { place, over }),
        2 => (0..4_usize, sku(), 0..12_i64, ago()).prop_map(|(nth, sku, quantity, ago)| Act::Sight { nth, sku, quantity, ago }),
        1 => (0..4_usize, any::<bool>()).prop_map(|(nth, approve)| Act::Apply { nth, approve }),
        1 => (0..9_usize).prop_map(|nth| Act::Release { nth }),
        1 => (0..9_usize).prop_map(|nth| Act::Convert { nth }),
        3 => (sku(), prop::collection::vec(1..4_i64, 1..3), any::<bool>())
            .prop_map(|(sku, quantities, may_wait)| Act::Order { sku, quantities, may_wait }),
        2 => (0..9_usize, ago()).prop_map(|(nth, ago)| Act::Fulfil { nth, ago }),
        1 => (0..9_usize, prop::option::of(1..4_i64)).prop_map(|(nth, quantity)| Act::Cancel { nth, quantity }),
        1 => (0..9_usize, 1..3_i64, any::<bool>(), ago()).prop_map(|(nth, quantity, damaged, ago)| Act::Return { nth, quantity, damaged, ago }),
        4 => (0..4_usize, 1..5_u64, sku(), 0..8_i64, 0..4_i64, 0..2_i64, prop::bool::weighted(0.2))
            .prop_map(|(document, version, sku, quantity, shipped, returned, cancelled)| Act::OrderFact { document, version, sku, quantity, shipped, returned, cancelled }),
        3 => (0..9_usize, prop::option::of(0..5_usize), sku(), place(), 1..6_i64, ago())
            .prop_map(|(document, order, sku, place, quantity, ago)| Act::Shipment { document, order, sku, place, quantity, ago }),
        2 => (0..3_usize, 1..4_u64, prop::collection::vec((sku(), place(), 0..5_usize, 1..5_i64, ago()), 1..4))
            .prop_map(|(document, version, lines)| Act::Movements { document, version, lines }),
        1 => (sku(), sku()).prop_map(|(from, into)| Act::Merge { from, into }),
        3 => (0..30_usize, prop::option::of(1..6_i64)).prop_map(|(nth, quantity)| Act::Reverse { nth, quantity }),
        2 => (sku(), place(), quantity()).prop_map(|(sku, from, quantity)| Act::Plan { sku, from, quantity }),
        3 => (0..5_usize, prop::option::of(1..6_i64), ago()).prop_map(|(nth, quantity, ago)| Act::Dispatch { nth, quantity, ago }),
        3 => (0..5_usize, 0..7_i64, prop_oneof![3 => Just(0), 1 => 1..3_i64], prop::bool::weighted(0.2), ago())
            .prop_map(|(nth, quantity, lost, damaged, ago)| Act::Arrive { nth, quantity, lost, damaged, ago }),
        1 => (0..5_usize, ago()).prop_map(|(nth, ago)| Act::CancelTransfer { nth, ago }),
        2 => (0..5_usize).prop_map(|nth| Act::Ready { nth }),
        1 => (0..5_usize, 0..9_i64).prop_map(|(nth, quantity)| Act::AmendTransfer { nth, quantity }),
        3 => (0..3_usize, any::<bool>(), 1..5_u64, 0..5_usize, prop::collection::vec((sku(), 1..9_i64), 1..3), place(), ago())
            .prop_map(|(document, ours, version, nth, lines, place, ago)| Act::Arrival { document, ours, version, nth, lines, place, ago }),
        2 => (place(), 1..4_i64, any::<bool>(), ago()).prop_map(|(place, quantity, apart, ago)| Act::Produce { place, quantity, apart, ago }),
        2 => (sku(), place(), quantity()).prop_map(|(sku, place, quantity)| Act::Buy { sku, place, quantity }),
        2 => (0..5_usize, prop::option::of(1..7_i64), ago()).prop_map(|(nth, quantity, ago)| Act::Deliver { nth, quantity, ago }),
        1 => (0..5_usize, 0..9_i64).prop_map(|(nth, quantity)| Act::AmendPurchase { nth, quantity }),
        1 => (0..5_usize, any::<bool>()).prop_map(|(nth, cancel)| Act::EndPurchase { nth, cancel }),
        2 => (0..5_usize, 0..5_usize, sku(), place(), 1..7_i64, ago())
            .prop_map(|(document, nth, sku, place, quantity, ago)| Act::Receipt { document, nth, sku, place, quantity, ago }),
        2 => (1..25_i64).prop_map(|minutes| Act::Wait { minutes }),
        2 => (0..20_usize, any::<bool>()).prop_map(|(nth, other)| Act::Again { nth, other }),
    ]
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
    purchases: Vec<PurchaseId>,
    /// Movements that anybody was told of.
    moved: Vec<Seq>,
    sessions: Vec<SessionId>,
    ruled: bool,
    told: Vec<(Command, Answer)>,
    keys: u64,
    log: Vec<(Seq, Record)>,
}

impl World {
    fn new(kept: Kept) -> Self {
        let options = match kept {
            Kept::InMemory => Options::default(),
            Kept::Evicting => Options { flush_at: 0, slice: 1, cache: 0 },
            Kept::InFile => Options { flush_at: 8, slice: 2, cache: 30 },
            Kept::InPostgresql => Options { flush_at: 0, slice: 1, cache: 30 },
        };
        let now = shop::time("10:00");
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
            purchases: Vec::new(),
            moved: Vec::new(),
            sessions: Vec::new(),
            ruled: false,
            told: Vec::new(),
            keys: 0,
            log: Vec::new(),
        };
        world.open();
        let mut setting: Vec<Body> = Vec::new();
        setting.extend(SKUS.map(|sku| {
            // How much may wait, of one before it is there.
            let limit = Some(Quantity::units(3));
            let from = (sku == SKUS[1]).then(|| now.plus_seconds(60 * MINUTE));
            Body::PutItem(PutItem {
                sku: sku.to_owned(),
                backorder_limit: limit,
                preorder_limit: limit,
                available_from: from,
                ..PutItem::default()
            })
        }));
        setting.extend(
            PLACES.map(|code| {
                Body::PutLocation(PutLocation { code: code.to_owned(), ..PutLocation::default() })
            }),
        );
        let system = PutSystem { name: "WEB".to_owned(), kind: "test".to_owned(), ..PutSystem::default() };
        setting.push(Body::PutSystem(system));
        world.commit(setting.into_iter().map(|body| (None, body)).collect());
        world
    }

    /// Opens the store again, as after a crash: nothing was flushed on the way out.
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

    fn before(&self, minutes: i64) -> Option<Instant> {
        (minutes > 0).then(|| self.now.plus_seconds(-minutes * MINUTE))
    }

    fn body(&self, act: &Act) -> Option<Body> {
        let units = Quantity::units;
        let line = |sku: usize, quantity: i64| {
            vec![Line { sku: SKUS[sku].to_owned(), quantity: units(quantity), ..Default::default() }]
        };
        let place = |place: usize| PLACES[place].to_owned();
        let order = |nth: usize| self.orders.get(nth % self.orders.len().max(1)).copied();
        let hold = |nth: usize| self.holds.get(nth % self.holds.len().max(1)).copied();
        let transfer = |nth: usize| self.transfers.get(nth % self.transfers.len().max(1)).copied();
        let purchase = |nth: usize| self.purchases.get(nth % self.purchases.len().max(1)).copied();
        let session = |nth: usize| self.sessions.get(nth % self.sessions.len().max(1)).copied();
        Some(match act {
            Act::Receive { sku, place: at, quantity, ago } => Body::Receive(Receive {
                location: place(*at),
                lines: line(*sku, *quantity),
                occurred_at: self.before(*ago),
                reason: None,
            }),
            Act::Adjust { quantity: 0, .. } => return None,
            Act::Adjust { sku, place: at, quantity, ago } => Body::Adjust(Adjust {
                location: place(*at),
                lines: line(*sku, *quantity),
                occurred_at: self.before(*ago),
                reason: "test".to_owned(),
            }),
            Act::Transfer { sku, from, quantity, ago } => Body::Transfer(Transfer {
                from: place(*from),
                to: place(1 - from),
                lines: line(*sku, *quantity),
                occurred_at: self.before(*ago),
            }),
            Act::Move { sku, place: at, quantity, from, to, ago } => {
                let states = [
                    StockState::Available,
                    StockState::Damaged,
                    StockState::QualityControl,
                    StockState::SafetyStock,
                ];
                Body::Move(MoveState {
                    location: place(*at),
                    lines: line(*sku, *quantity),
                    from: states[*from],
                    to: states[if from == to { (to + 1) % 4 } else { *to }],
                    reason: "test".to_owned(),
                    occurred_at: self.before(*ago),
                })
            }
            Act::Count { sku, place: at, quantity, ago } => Body::Count(TakeCount {
                location: place(*at),
                lines: line(*sku, *quantity),
                as_of: self.before(*ago),
                inside: false,
                system: None,
                net: false,
            }),
            Act::Hold { sku, quantity, minutes, partial } => Body::PlaceHold(PlaceHold {
                partial: Some(*partial),
                lines: line(*sku, *quantity),
                location: None,
                expires_at: self.now.plus_seconds(minutes * MINUTE),
            }),
            Act::Extend { nth, minutes } => Body::ExtendHold(ExtendHold {
                hold: hold(*nth)?,
                expires_at: self.now.plus_seconds(minutes * MINUTE),
            }),
            Act::ReleaseLine { nth, quantity } => {
                let part = LinePart { line: "1".to_owned(), quantity: quantity.map(units) };
                Body::ReleaseLines(ReleaseLines { hold: hold(*nth)?, lines: vec![part] })
            }
            Act::Rule { ours, only, parcels, split } => Body::SetAllocation(SetAllocation {
                system: ours.then(|| "onhand".to_owned()),
                locations: only.map(|only| match only {
                    2 => vec![Source::Group("NEAR".to_owned())],
                    only => vec![Source::Location(place(only))],
                }),
                others: Some(only.is_none()),
                parcels: Some([Parcels::WholeLines, Parcels::InOrder, Parcels::Fewest][*parcels]),
                split: Some(*split),
                ..SetAllocation::default()
            }),
            Act::Near { place: at, near } => Body::PutLocation(PutLocation {
                code: place(*at),
                groups: Some(near.then(|| "NEAR".to_owned()).into_iter().collect()),
                ..PutLocation::default()
            }),
            Act::Reallocate { nth, away } => {
                Body::Reallocate(Reallocate { order: order(*nth)?, away_from: away.map(place) })
            }
            Act::Session { place: at, over } => {
                let threshold =
                    |units: i64| Some(Threshold { units: Some(Quantity::units(units)), percent: None });
                Body::OpenSession(OpenSession {
                    location: place(*at),
                    recount_over: threshold(*over),
                    approve_over: threshold(over + 1),
                    ..OpenSession::default()
                })
            }
            Act::Sight { nth, sku, quantity, ago } => Body::Sight(Sight {
                session: session(*nth)?,
                lines: vec![Sighting {
                    sku: SKUS[*sku].to_owned(),
                    quantity: units(*quantity),
                    lot: None,
                    serials: None,
                    seen_at: self.before(*ago),
                }],
            }),
            Act::Apply { nth, approve } => {
                Body::ApplySession(ApplySession { session: session(*nth)?, approve: Some(*approve) })
            }
            Act::Release { nth } => Body::ReleaseHold(hold(*nth)?),
            Act::Convert { nth } => Body::ConvertHold(ConvertHold { hold: hold(*nth)?, reference: None }),
            Act::Order { sku, quantities, may_wait } => {
                let backorder = Some(*may_wait);
                let lines = quantities.iter().flat_map(|quantity| line(*sku, *quantity)).collect();
                Body::PlaceOrder(PlaceOrder {
                    reference: None,
                    lines,
                    location: None,
                    backorder,
                    ..PlaceOrder::default()
                })
            }
            Act::Fulfil { nth, ago } => Body::FulfilOrder(FulfilOrder {
                order: order(*nth)?,
                lines: None,
                occurred_at: self.before(*ago),
            }),
            Act::Cancel { nth, quantity } => {
                let part = quantity.map(|quantity| {
                    vec![LineQuantity { line: "1".to_owned(), quantity: units(quantity), lot: None }]
                });
                Body::CancelOrder(CancelOrder { order: order(*nth)?, lines: part })
            }
            Act::Return { nth, quantity, damaged, ago } => Body::ReturnOrder(ReturnOrder {
                order: order(*nth)?,
                lines: vec![LineQuantity { line: "1".to_owned(), quantity: units(*quantity), lot: None }],
                location: None,
                into: if *damaged { StockState::Damaged } else { StockState::Available },
                occurred_at: self.before(*ago),
            }),
            Act::OrderFact { document, version, sku, quantity, shipped, returned, cancelled } => {
                Body::Record(Document {
                    system: "WEB".to_owned(),
                    document: format!("W{document}"),
                    version: *version,
                    content: Content::Order(OrderContent {
                        placed_at: None,
                        changed_at: None,
                        cancelled: *cancelled,
                        lines: vec![OrderContentLine {
                            line: format!("{sku}"),
                            item: Name::Sku(SKUS[*sku].to_owned()),
                            quantity: units(*quantity),
                            shipped: units(*shipped),
                            returned: units(*returned),
                            location: None,
                            price: None,
                        }],
                        ..OrderContent::default()
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
                    lines.iter().enumerate().map(|(number, (sku, at, kind, quantity, ago))| MovementLine {
                        line: number.to_string(),
                        item: Name::Sku(SKUS[*sku].to_owned()),
                        location: place(*at),
                        what: what[*kind],
                        quantity: units(*quantity),
                        occurred_at: self.before(*ago),
                        reason: None,
                    });
                Body::Record(Document {
                    system: "WEB".to_owned(),
                    document: format!("M{document}"),
                    version: *version,
                    content: Content::Movements(lines.collect()),
                })
            }
            Act::Merge { from, into } => {
                Body::MergeItems(MergeItems { from: SKUS[*from].to_owned(), into: SKUS[*into].to_owned() })
            }
            Act::Reverse { nth, quantity } => Body::Reverse(Reverse {
                seq: *self.moved.get(nth % self.moved.len().max(1))?,
                quantity: quantity.map(units),
                reason: "correction".to_owned(),
            }),
            Act::Plan { sku, from, quantity } => Body::PlanTransfer(PlanTransfer {
                reference: Some(format!("T-{}", self.transfers.len())),
                from: place(*from),
                to: place(1 - from),
                lines: line(*sku, *quantity),
                expected_on: None,
            }),
            Act::Dispatch { nth, quantity, ago } => Body::DispatchTransfer(DispatchTransfer {
                transfer: transfer(*nth)?,
                lines: quantity.map(|quantity| {
                    vec![LineQuantity { lot: None, line: "1".to_owned(), quantity: units(quantity) }]
                }),
                occurred_at: self.before(*ago),
            }),
            Act::Arrive { nth, quantity, lost, damaged, ago } => Body::ReceiveTransfer(ReceiveTransfer {
                transfer: transfer(*nth)?,
                lines: Some(vec![ArrivedLine {
                    line: "1".to_owned(),
                    quantity: units(*quantity),
                    lost: (*lost > 0).then(|| units(*lost)),
                }]),
                into: if *damaged { StockState::Damaged } else { StockState::Available },
                occurred_at: self.before(*ago),
            }),
            Act::CancelTransfer { nth, ago } => Body::CancelTransfer(CancelTransfer {
                transfer: transfer(*nth)?,
                occurred_at: self.before(*ago),
            }),
            Act::Ready { nth } => Body::ReadyTransfer(ReadyTransfer { transfer: transfer(*nth)? }),
            Act::AmendTransfer { nth, quantity } => Body::AmendTransfer(AmendTransfer {
                transfer: transfer(*nth)?,
                lines: vec![LineQuantity { lot: None, line: "1".to_owned(), quantity: units(*quantity) }],
                expected_on: None,
            }),
            Act::Arrival { document, ours, version, nth, lines, place: at, ago } => {
                let lines = lines.iter().map(|(sku, quantity)| ReceiptLine {
                    item: Name::Sku(SKUS[*sku].to_owned()),
                    quantity: units(*quantity),
                    unit_cost: None,
                    lot: None,
                    expires: None,
                    serials: None,
                });
                Body::Record(Document {
                    system: if *ours { "onhand" } else { "WEB" }.to_owned(),
                    document: format!("AR-{document}"),
                    version: *version,
                    content: Content::Receipt(ReceiptContent {
                        purchase: None,
                        transfer: transfer(*nth).map(|_| format!("T-{}", nth % self.transfers.len())),
                        location: place(*at),
                        occurred_at: self.before(*ago),
                        lines: lines.collect(),
                    }),
                })
            }
            Act::Produce { place: at, quantity, apart, ago } => {
                let work = Assemble {
                    location: place(*at),
                    sku: SKUS[0].to_owned(),
                    quantity: units(*quantity),
                    lot: None,
                    components: Some(line(1, 2)),
                    occurred_at: self.before(*ago),
                };
                if *apart { Body::Disassemble(work) } else { Body::Assemble(work) }
            }
            Act::Buy { sku, place: at, quantity } => Body::PlacePurchase(PlacePurchase {
                supplier: "Potters".to_owned(),
                reference: Some(format!("PO-{}", self.purchases.len())),
                location: place(*at),
                expected_on: None,
                lines: vec![PurchaseOrderLine {
                    pack: None,
                    sku: SKUS[*sku].to_owned(),
                    quantity: units(*quantity),
                    expected_on: None,
                    unit_cost: None,
                }],
            }),
            Act::Deliver { nth, quantity, ago } => {
                let line = |quantity| DeliveredLine {
                    line: "1".to_owned(),
                    quantity: units(quantity),
                    ..DeliveredLine::default()
                };
                Body::ReceivePurchase(ReceivePurchase {
                    purchase: purchase(*nth)?,
                    lines: quantity.map(|quantity| vec![line(quantity)]),
                    location: None,
                    into: StockState::Available,
                    occurred_at: self.before(*ago),
                })
            }
            Act::AmendPurchase { nth, quantity } => Body::AmendPurchase(AmendPurchase {
                purchase: purchase(*nth)?,
                lines: vec![AmendedLine {
                    line: Some("1".to_owned()),
                    quantity: Some(units(*quantity)),
                    ..AmendedLine::default()
                }],
            }),
            Act::EndPurchase { nth, cancel } => {
                Body::EndPurchase(EndPurchase { purchase: purchase(*nth)?, cancel: *cancel })
            }
            Act::Receipt { document, nth, sku, place: at, quantity, ago } => Body::Record(Document {
                system: "WEB".to_owned(),
                document: format!("R{document}"),
                version: 1,
                content: Content::Receipt(ReceiptContent {
                    purchase: purchase(*nth).map(|_| format!("PO-{}", nth % self.purchases.len())),
                    transfer: None,
                    location: place(*at),
                    occurred_at: self.before(*ago),
                    lines: vec![ReceiptLine {
                        item: Name::Sku(SKUS[*sku].to_owned()),
                        quantity: units(*quantity),
                        unit_cost: None,
                        lot: None,
                        expires: None,
                        serials: None,
                    }],
                }),
            }),
            Act::Wait { .. } | Act::Again { .. } => return None,
        })
    }

    fn commit(&mut self, bodies: Vec<(Option<Command>, Body)>) -> Vec<Result<Answer, CommitError>> {
        let mut commands = Vec::new();
        for (copy, body) in bodies {
            self.keys += 1;
            commands.push(copy.unwrap_or_else(|| Command {
                key: (!self.keys.is_multiple_of(3)).then(|| format!("key-{}", self.keys)),
                fingerprint: self.keys,
                // Two people count.
                actor: format!("counter {}", self.keys % 2),
                body,
            }));
        }
        let submissions = commands.iter().map(|command| Submission {
            tenant: TENANT,
            command: Some(command.clone()),
            notes: Vec::new(),
        });
        let results = self.ledger().commit(submissions.collect());
        let mut answers = Vec::new();
        for (command, result) in commands.into_iter().zip(results) {
            assert!(
                !matches!(result, Err(CommitError::Bug | CommitError::Store(_))),
                "{result:?} to {command:?}"
            );
            if let Ok(committed) = &result {
                match &committed.answer {
                    Answer::Order(id, _) if !committed.replayed && !self.orders.contains(id) => {
                        self.orders.push(*id)
                    }
                    Answer::Hold(id, ..) if !self.holds.contains(id) => self.holds.push(*id),
                    Answer::Transfer { id, .. } if !self.transfers.contains(id) => self.transfers.push(*id),
                    Answer::Purchase { id, .. } if !self.purchases.contains(id) => self.purchases.push(*id),
                    Answer::Session(id) if !self.sessions.contains(id) => self.sessions.push(*id),
                    _ => {}
                }
                if let Answer::Moved(moved, _)
                | Answer::Transfer { moved, .. }
                | Answer::Purchase { moved, .. } = &committed.answer
                {
                    self.moved.extend(moved.iter().map(|moved| moved.seq));
                }
                if command.key.is_some() && !matches!(committed.answer, Answer::AlreadyApplied { .. }) {
                    self.told.push((command, committed.answer.clone()));
                }
            }
            answers.push(result.map(|committed| committed.answer));
        }
        answers
    }

    /// Walks the whole log and checks what must hold of it, then that the state says the same.
    fn check(&mut self) {
        let (log, hashes_hold) = self
            .ledger()
            .read(TENANT, |view| {
                let mut hash = [0; 32];
                let mut holds = true;
                for chunk in view.chunks_after(0, 100_000)? {
                    hash = chain(&hash, TENANT, &chunk);
                    holds &= hash == chunk.hash;
                }
                Ok((view.records_after(0, 1_000_000)?, holds && hash == view.head()?.hash))
            })
            .unwrap();
        assert!(hashes_hold, "law 5: the chain");
        assert_eq!(log[..self.log.len()], self.log[..], "law 5: what was written stays");
        let mut sums = BTreeMap::<CellKey, Quantity>::new();
        let mut expected = 1;
        for pair in log.windows(2) {
            assert!(pair[0].1.recorded_at < pair[1].1.recorded_at, "time grows along the log");
        }
        for (first, record) in &log {
            assert_eq!(*first, expected, "law 5: no gap");
            expected += record.entries.len() as Seq;
            for entry in &record.entries {
                let Entry::Movement(movement) = entry else { continue };
                for (cell, balance, change) in sides(movement) {
                    let sum = sums.entry(cell).or_default();
                    *sum += change;
                    assert_eq!(*sum, balance, "law 1: a balance is what its cell's movements make");
                    assert!(cell.state.is_party() || !sum.is_negative(), "law 2: {cell:?} is {sum}");
                }
            }
        }
        let mut by_item = BTreeMap::<ItemId, Quantity>::new();
        for (cell, sum) in &sums {
            *by_item.entry(cell.item).or_default() += *sum;
        }
        assert!(by_item.values().all(|sum| sum.is_zero()), "law 1: all accounts add up to nothing");
        self.check_promises(&sums);
        self.check_supply(&sums);
        self.log = log;
        self.check_reversals();
        self.check_as_of(&sums);
        self.check_anchors();
    }

    /// Law 11: a count is an anchor. Whatever is heard of later, there was at its instant what it saw.
    fn check_anchors(&self) {
        let mut counts = BTreeMap::new();
        for (_, record) in &self.log {
            for entry in &record.entries {
                if let Entry::Count(_, count) = entry {
                    // Of two counts of one instant the later word stands.
                    counts.insert((count.item, count.location, count.as_of), count.counted);
                }
            }
        }
        for ((item, location, as_of), counted) in counts {
            let read = self.ledger().read(TENANT, |view| {
                let mut sum = Quantity::ZERO;
                for state in StockState::PHYSICAL {
                    sum += view.as_of(CellKey::new(item, location, state), as_of, None)?;
                }
                Ok(sum)
            });
            assert_eq!(read.unwrap(), counted, "law 11: item {item} at {location} as of {as_of}");
        }
    }

    /// What is in transit is what transfers say is on its way, and what is incoming is the open rest of all documents.
    fn check_supply(&self, sums: &BTreeMap<CellKey, Quantity>) {
        let seen = self.ledger().read(TENANT, |view| {
            let last = Seq::MAX >> 1;
            let transfers = (Key::Transfer(TransferId(0)), Key::Transfer(TransferId(last)));
            let purchases = (Key::Purchase(PurchaseId(0)), Key::Purchase(PurchaseId(last)));
            let incoming = (
                Key::Incoming(ItemId(0), LocationId(0), 0, 0),
                Key::Incoming(ItemId(last), LocationId(0), 0, 0),
            );
            let mut all = |(from, to): (Key, Key)| view.range(&from, &to, false, 10_000);
            Ok((all(transfers)?, all(purchases)?, all(incoming)?))
        });
        let (transfers, purchases, incoming) = seen.unwrap();
        let mut open = BTreeMap::<(ItemId, LocationId, Seq), Quantity>::new();
        let mut in_transit = BTreeMap::<CellKey, Quantity>::new();
        for (key, value) in transfers {
            let (Key::Transfer(id), Value::Transfer(transfer)) = (key, value) else { panic!("a transfer") };
            for line in &transfer.lines {
                let parts =
                    [line.reserved, line.dispatched, line.received, line.lost, line.returned, line.over];
                assert!(parts.iter().all(|part| !part.is_negative()) && !line.in_transit().is_negative());
                assert!(line.dispatched <= line.wanted, "no more leaves than is wanted");
                assert!(line.reserved <= line.to_dispatch(), "no more is kept than has not left");
                assert!(transfer.ready || line.reserved.is_zero(), "a draft keeps nothing");
                let rest = line.in_transit() + line.reserved;
                assert!(transfer.state.is_open() || rest.is_zero(), "what ended is nowhere");
                let told = line.told.iter().map(|(_, told)| *told);
                assert!(
                    told.clone().all(|told| told <= line.received + line.over),
                    "what is told came: {line:?}"
                );
                assert!(told.sum::<Quantity>() >= line.received + line.over, "what came was told: {line:?}");
                open.insert((line.item, transfer.to, id.0), rest);
                let cell = CellKey::new(line.item, transfer.to, StockState::InTransit);
                *in_transit.entry(cell).or_default() += line.in_transit();
            }
        }
        for (cell, sum) in sums.iter().filter(|(cell, _)| cell.state == StockState::InTransit) {
            assert_eq!(in_transit.remove(cell).unwrap_or_default(), *sum, "{cell:?} is what is on its way");
        }
        assert!(in_transit.values().all(|rest| rest.is_zero()), "what is on its way is in transit");
        for (key, value) in purchases {
            let (Key::Purchase(id), Value::Purchase(purchase)) = (key, value) else { panic!("a purchase") };
            for line in &purchase.lines {
                let parts: Quantity = line.receipts.iter().map(|part| part.quantity).sum();
                assert!(parts == line.received && !line.received.is_negative(), "{line:?}");
                let told: Quantity = line.told.iter().map(|(_, told)| *told).sum();
                assert!(told >= line.received, "somebody told of all that came: {line:?}");
                open.insert((line.item, purchase.location, id.0), purchase.open(line));
            }
        }
        open.retain(|_, rest| !rest.is_zero());
        let kept: BTreeMap<_, _> = incoming
            .into_iter()
            .map(|(key, value)| match (key, value) {
                (Key::Incoming(item, location, document, 0), Value::Incoming(incoming)) => {
                    ((item, location, document), incoming.quantity)
                }
                other => panic!("something incoming: {other:?}"),
            })
            .collect();
        assert_eq!(kept, open, "the index of what is incoming");
    }

    /// No movement is taken back more than once in total, and each is as of when it happened.
    fn check_reversals(&self) {
        let mut movements = BTreeMap::new();
        let mut counts = std::collections::BTreeSet::new();
        let mut reversed = BTreeMap::<Seq, Quantity>::new();
        for (first, record) in &self.log {
            for (seq, entry) in (*first..).zip(&record.entries) {
                match entry {
                    Entry::Count(id, _) => {
                        counts.insert(id.0);
                    }
                    Entry::Movement(movement) => {
                        movements.insert(seq, movement.clone());
                        // What a merge carries over explains a movement and takes nothing of it back.
                        if movement.reason == "carried over by the merge" {
                            continue;
                        }
                        let Some(of) = movement.corrects.filter(|of| !counts.contains(of)) else { continue };
                        let original = &movements[&of];
                        assert_eq!(movement.occurred_at, original.occurred_at, "dated as what it corrects");
                        let total = reversed.entry(of).or_default();
                        *total += movement.quantity;
                        assert!(*total <= original.quantity, "reversed at most once in total");
                    }
                    _ => {}
                }
            }
        }
        for (of, total) in reversed {
            let kept = self.ledger().read(TENANT, |view| view.get(&Key::Reversed(of))).unwrap();
            let Some(Value::Reversals(kept)) = kept else { panic!("the original names what took it back") };
            assert_eq!(kept.quantity, total);
            assert!(kept.by.iter().all(|by| movements[by].corrects == Some(of)));
        }
    }

    /// What is committed and reserved is what orders, holds and transfers say, place by place, and so are promises and demand.
    fn check_promises(&self, sums: &BTreeMap<CellKey, Quantity>) {
        let seen = self.ledger().read(TENANT, |view| {
            let orders =
                view.range(&Key::Order(OrderId(0)), &Key::Order(OrderId(Seq::MAX >> 1)), false, 10_000)?;
            let holds =
                view.range(&Key::Hold(HoldId(0)), &Key::Hold(HoldId(Seq::MAX >> 1)), false, 10_000)?;
            let promises = view.range(
                &Key::Promise(ItemId(0), LocationId(0), 0, 0, LotId(0)),
                &Key::Promise(ItemId(Seq::MAX >> 1), LocationId(0), 0, 0, LotId(0)),
                false,
                10_000,
            )?;
            let last = Key::Transfer(TransferId(Seq::MAX >> 1));
            let transfers = view.range(&Key::Transfer(TransferId(0)), &last, false, 10_000)?;
            let demand =
                view.range(&Key::Demand(ItemId(0)), &Key::Demand(ItemId(Seq::MAX >> 1)), false, 10_000)?;
            Ok((orders, holds, transfers, promises, demand))
        });
        let (orders, holds, transfers, promises, demand) = seen.unwrap();
        let mut promised = BTreeMap::<(ItemId, LocationId, Holder, u32), Quantity>::new();
        let mut short = BTreeMap::<ItemId, Quantity>::new();
        for (key, value) in orders {
            let (Key::Order(id), Value::Order(order)) = (key, value) else { panic!("an order") };
            let is_short = order.lines.iter().any(|line| !line.short.is_zero());
            assert!(
                is_short || order.short_told.is_none(),
                "nothing says that a served order is short: {order:?}"
            );
            for (index, line) in (0..).zip(&order.lines) {
                let covered = line.allocated_total() + line.short + line.shipped_total();
                assert_eq!(line.wanted, covered, "wanted = allocated + short + shipped in {order:?}");
                assert!(line.returned <= line.shipped_total() && !line.short.is_negative());
                let agreed = line.backordered + line.preordered;
                assert!(
                    agreed <= line.short && !line.backordered.is_negative() && !line.preordered.is_negative()
                );
                *short.entry(line.item).or_default() += line.short;
                for at in &line.allocated {
                    assert!(at.quantity.is_positive());
                    promised.insert((line.item, at.location, Holder::Order(id), index), at.quantity);
                }
            }
        }
        for (key, value) in holds {
            let (Key::Hold(id), Value::Hold(hold)) = (key, value) else { panic!("a hold") };
            for (index, line) in (0..).zip(&hold.lines) {
                assert!(
                    hold.state == HoldState::Active || line.reserved.is_empty(),
                    "an ended hold keeps nothing"
                );
                for at in &line.reserved {
                    promised.insert((line.item, at.location, Holder::Hold(id), index), at.quantity);
                }
            }
        }
        for (key, value) in transfers {
            let (Key::Transfer(id), Value::Transfer(transfer)) = (key, value) else { panic!("a transfer") };
            for (index, line) in (0..).zip(&transfer.lines).filter(|(_, line)| line.reserved.is_positive()) {
                promised.insert((line.item, transfer.from, Holder::Transfer(id), index), line.reserved);
            }
        }
        let mut cells = BTreeMap::<(ItemId, LocationId, StockState), Quantity>::new();
        for ((item, location, holder, _), quantity) in &promised {
            let state = match holder {
                Holder::Order(_) => StockState::Committed,
                Holder::Hold(_) | Holder::Transfer(_) => StockState::Reserved,
            };
            *cells.entry((*item, *location, state)).or_default() += *quantity;
        }
        for (cell, sum) in sums {
            if matches!(cell.state, StockState::Committed | StockState::Reserved) {
                let said = cells.get(&(cell.item, cell.location, cell.state)).copied().unwrap_or_default();
                assert_eq!(*sum, said, "{cell:?} is what is promised from it");
            }
        }
        let kept: BTreeMap<_, _> = promises
            .into_iter()
            .map(|(key, value)| match (key, value) {
                (Key::Promise(item, location, _, line, _), Value::Promise(promise)) => {
                    ((item, location, promise.holder, line), promise.quantity)
                }
                other => panic!("a promise: {other:?}"),
            })
            .collect();
        assert_eq!(kept, promised, "the index of promises");
        for (key, value) in demand {
            if let (Key::Demand(item), Value::Quantity(quantity)) = (key, value) {
                assert_eq!(
                    quantity,
                    short.get(&item).copied().unwrap_or_default(),
                    "the sum of what is short"
                );
            }
        }
    }

    /// Law 11: any past stock, as known now and as known at any earlier entry, is the naive sum of what happened.
    fn check_as_of(&self, sums: &BTreeMap<CellKey, Quantity>) {
        let times = [-50, -35, -20, -10, -3, 0].map(|minutes| self.now.plus_seconds(minutes * MINUTE));
        let middle = self.log[self.log.len() / 2].1.recorded_at;
        for cell in sums.keys().filter(|cell| !cell.state.is_party()) {
            for at in times {
                for known_at in [None, Some(middle)] {
                    let mut naive = Quantity::ZERO;
                    for (_, record) in &self.log {
                        if known_at.is_some_and(|known_at| record.recorded_at > known_at) {
                            continue;
                        }
                        for entry in &record.entries {
                            let Entry::Movement(movement) = entry else { continue };
                            if movement.occurred_at <= at {
                                let changes = sides(movement).into_iter().filter(|(other, ..)| other == cell);
                                naive += changes.map(|(.., change)| change).sum();
                            }
                        }
                    }
                    let answer = self.ledger().read(TENANT, |view| view.as_of(*cell, at, known_at)).unwrap();
                    assert_eq!(answer, naive, "{cell:?} at {at}, known at {known_at:?}");
                }
            }
        }
    }

    fn physical(&self, place: &str, sku: &str) -> Quantity {
        let read = self.ledger().read(TENANT, |view| {
            let (item, _) = view.item_by_sku(sku)?.unwrap();
            let (location, _) = view.location_by_code(place)?.unwrap();
            let mut sum = Quantity::ZERO;
            for state in StockState::PHYSICAL {
                sum += view.held(item, location, state)?;
            }
            Ok(sum)
        });
        read.unwrap()
    }

    fn available(&self, sku: &str) -> Quantity {
        let read = self.ledger().read(TENANT, |view| {
            let (item, _) = view.item_by_sku(sku)?.unwrap();
            let mut sum = Quantity::ZERO;
            for location in view.sites()?.all {
                sum += view.held(item, location, StockState::Available)?;
            }
            Ok(sum)
        });
        read.unwrap()
    }

    /// Has a count seen what happened so long ago? Of the item that was meant then, or of the one it was merged into,
    /// from that merge on.
    fn counted_since(&self, place: &str, sku: &str, minutes: i64) -> bool {
        let at = self.now.plus_seconds(-minutes * MINUTE);
        let read = self.ledger().read(TENANT, |view| {
            let location = view.location_by_code(place)?.unwrap().0;
            let (mut item, mut known) = view.item_meant(sku, at)?.unwrap();
            let mut since = vec![(item, at)];
            while let Some(merged) = known.merged_into {
                item = merged.item;
                known = view.item(item)?.unwrap();
                since.push((item, merged.at));
            }
            Ok((location, since))
        });
        let (location, since) = read.unwrap();
        let entries = self.log.iter().flat_map(|(_, record)| &record.entries);
        entries.into_iter().any(|entry| match entry {
            Entry::Count(_, count) => {
                let seen = |(item, at): &(ItemId, Instant)| count.item == *item && count.as_of >= *at;
                count.location == location && since.iter().any(seen)
            }
            _ => false,
        })
    }

    /// Every ledger is what the log says, read naively: movement by movement, with what each state held afterwards and
    /// what corrects what; page by page.
    fn check_ledgers(&self) {
        let mut totals = BTreeMap::<(ItemId, LocationId, StockState), Quantity>::new();
        let mut naive = Vec::new();
        let mut corrected = BTreeMap::<Seq, Vec<Seq>>::new();
        for (first, record) in &self.log {
            for (seq, entry) in (*first..).zip(&record.entries) {
                let Entry::Movement(movement) = entry else { continue };
                let mut changes = Vec::new();
                for (cell, _, change) in
                    sides(movement).into_iter().filter(|(cell, ..)| !cell.state.is_party())
                {
                    let total = totals.entry((cell.item, cell.location, cell.state)).or_default();
                    *total += change;
                    changes.push((cell.location, cell.state, change, *total));
                }
                corrected.entry(movement.corrects.unwrap_or_default()).or_default().push(seq);
                naive.push((seq, movement.item, changes));
            }
        }
        naive.reverse();
        let seen = self.ledger().read(TENANT, |view| {
            for sku in SKUS {
                let item = view.item_by_sku(sku)?.unwrap().0;
                let all = view.with_merged(item)?;
                let mut rows = Vec::new();
                let mut before = Some(Seq::MAX >> 1);
                while let Some(below) = before {
                    let page = view.item_history(item, &HistoryFilter::default(), below, 3, 4)?;
                    before = page.next;
                    rows.extend(page.rows);
                }
                let wanted: Vec<_> = naive.iter().filter(|(_, item, _)| all.contains(item)).collect();
                assert_eq!(rows.len(), wanted.len(), "the ledger of {sku}");
                for (row, (seq, item, changes)) in rows.iter().zip(wanted) {
                    let told: Vec<_> = row
                        .changes
                        .iter()
                        .map(|change| (change.location, change.state, change.change, change.total.unwrap()))
                        .collect();
                    assert_eq!((row.seq, row.movement.item, &told), (*seq, *item, changes));
                    let by = corrected.get(seq).cloned().unwrap_or_default();
                    assert_eq!(row.corrected_by, by, "what corrects entry {seq}");
                }
            }
            for place in PLACES {
                let (id, _) = view.location_by_code(place)?.unwrap();
                let filter = HistoryFilter { locations: Some([id].into()), ..HistoryFilter::default() };
                let mut rows = Vec::new();
                let mut before = Some(Seq::MAX >> 1);
                while let Some(below) = before {
                    let page = view.location_history(&filter, below, 3, 1)?;
                    before = page.next;
                    rows.extend(page.rows.iter().map(|row| row.seq));
                }
                let is_here = |changes: &Vec<(LocationId, _, _, _)>| changes.iter().any(|(at, ..)| *at == id);
                let wanted: Vec<Seq> =
                    naive.iter().filter(|(_, _, changes)| is_here(changes)).map(|(seq, ..)| *seq).collect();
                assert_eq!(rows, wanted, "the ledger of {place}");
            }
            Ok(())
        });
        seen.unwrap();
    }

    /// The report of the whole catalogue at any instant, as known now or then, is the naive sum of the log; in slices.
    fn check_report(&self) {
        let middle = self.log[self.log.len() / 2].1.recorded_at;
        let times = [-40, -20, -3].map(|minutes| Some(self.now.plus_seconds(minutes * MINUTE)));
        for at in times.into_iter().chain([None]) {
            for known_at in [None, Some(middle)] {
                let mut naive = BTreeMap::<(ItemId, LocationId, StockState), Quantity>::new();
                let known = self
                    .log
                    .iter()
                    .filter(|(_, record)| known_at.is_none_or(|known_at| record.recorded_at <= known_at));
                for entry in known.flat_map(|(_, record)| &record.entries) {
                    let Entry::Movement(movement) = entry else { continue };
                    if at.is_some_and(|at| movement.occurred_at > at) {
                        continue;
                    }
                    for (cell, _, change) in sides(movement) {
                        *naive.entry((cell.item, cell.location, cell.state)).or_default() += change;
                    }
                }
                naive.retain(|(.., state), quantity| !state.is_party() && !quantity.is_zero());
                let mut report =
                    self.ledger().read(TENANT, |view| StockReport::begin(view, at, known_at, None)).unwrap();
                let mut told = BTreeMap::new();
                while !report.is_done() {
                    let rows = self.ledger().read(TENANT, |view| report.next(view, 3)).unwrap();
                    for row in rows {
                        let (item, location) = (row.item, row.location);
                        let states = row.shelf.states.into_iter();
                        told.extend(states.map(|(state, quantity)| ((item, location, state), quantity)));
                    }
                }
                told.retain(|_, quantity| !quantity.is_zero());
                assert_eq!(told, naive, "the report at {at:?}, known at {known_at:?}");
            }
        }
    }
}

fn sides(movement: &Movement) -> [(CellKey, Quantity, Quantity); 2] {
    [
        (movement.from_cell(), movement.from.balance, -movement.quantity),
        (movement.to_cell(), movement.to.balance, movement.quantity),
    ]
}

fn run(kept: Kept, acts: &[Vec<Act>]) {
    let mut world = World::new(kept);
    world.check();
    for (step, batch) in acts.iter().enumerate() {
        world.now = world.now.plus_seconds(7);
        for act in batch {
            if let Act::Wait { minutes } = act {
                world.now = world.now.plus_seconds(minutes * MINUTE);
            }
        }
        world.clock.set(world.now);
        // What is due by now is committed first, so that what is seen before is what the batch is decided on.
        world.commit(vec![(None, Body::Tick)]);
        let alone = (batch.len() == 1).then(|| &batch[0]);
        let expected = alone.map(|act| predict(&world, act));
        let mut bodies = Vec::new();
        let mut copies = Vec::new();
        for act in batch {
            if let Act::Again { nth, other } = act {
                if let Some((command, answer)) = world.told.get(nth % world.told.len().max(1)).cloned() {
                    let fingerprint = command.fingerprint + u64::from(*other) * 1_000_000;
                    copies.push((bodies.len(), *other, answer));
                    bodies.push((Some(Command { fingerprint, ..command.clone() }), command.body));
                }
            } else if let Some(body) = world.body(act) {
                bodies.push((None, body));
            }
        }
        world.ruled |= batch.iter().any(|act| matches!(act, Act::Rule { .. }));
        let answers = world.commit(bodies);
        for (index, other, answer) in copies {
            match &answers[index] {
                Err(CommitError::Invalid(Invalid::KeyReused(_))) => {
                    assert!(other, "law 4: the same is no other")
                }
                copy => {
                    assert_eq!(copy.as_ref().ok(), Some(&answer).filter(|_| !other), "law 4: the same answer")
                }
            }
        }
        world.check();
        if let (Some(expected), Some(answer)) = (expected, answers.first()) {
            expected.hold(&world, answer);
        }
        if step % 3 == 2 {
            world.open();
            world.check();
            world.check_ledgers();
            world.check_report();
        }
    }
    world.check_ledgers();
    world.check_report();
    let cells = |world: &World| {
        world.ledger().flush().unwrap();
        world.ledger().read(TENANT, |view| view.cells_after(None, 100_000)).unwrap()
    };
    let before = cells(&world);
    world.ledger().rebuild().unwrap();
    assert_eq!(cells(&world), before, "the state is what the log says");
    world.check();
    let audited = onhand_engine::verify(world.ledger(), TENANT, &mut |_| {}).unwrap();
    assert_eq!(audited.violation, None, "the audit finds what these checks do");
}

/// What must come of an act that is alone in its batch.
#[derive(Debug)]
enum Expected {
    Anything,
    /// Accepted if so much is available, else refused.
    Fits(bool),
    /// Physical stock there afterwards.
    Physical(usize, usize, Quantity),
}

fn predict(world: &World, act: &Act) -> Expected {
    match act {
        Act::Order { .. } | Act::Hold { .. } if world.ruled => Expected::Anything,
        Act::Order { sku, quantities, may_wait: false } => {
            let wanted = Quantity::units(quantities.iter().sum());
            Expected::Fits(world.available(SKUS[*sku]) >= wanted)
        }
        Act::Hold { sku, partial: true, .. } => {
            Expected::Fits(world.available(SKUS[*sku]) >= Quantity::units(1))
        }
        Act::Hold { sku, quantity, .. } => {
            Expected::Fits(world.available(SKUS[*sku]) >= Quantity::units(*quantity))
        }
        // Law 11: what a count has seen already does not move the stock after it a second time.
        Act::Receive { sku, place, quantity, ago } => {
            let seen = *ago > 0 && world.counted_since(PLACES[*place], SKUS[*sku], *ago);
            let more = if seen { 0 } else { *quantity };
            Expected::Physical(
                *sku,
                *place,
                world.physical(PLACES[*place], SKUS[*sku]) + Quantity::units(more),
            )
        }
        Act::Count { sku, place, quantity, ago: 0 } => {
            Expected::Physical(*sku, *place, Quantity::units(*quantity))
        }
        _ => Expected::Anything,
    }
}

impl Expected {
    fn hold(&self, world: &World, answer: &Result<Answer, CommitError>) {
        match self {
            Self::Anything => {}
            Self::Fits(true) => {
                assert!(
                    matches!(answer, Ok(Answer::Order(..) | Answer::Hold(..))),
                    "it was available: {answer:?}"
                );
            }
            Self::Fits(false) => assert!(
                matches!(answer, Ok(Answer::Refused(Refusal::Insufficient(_)))),
                "it was not available: {answer:?}"
            ),
            Self::Physical(sku, place, quantity) => {
                assert_eq!(world.physical(PLACES[*place], SKUS[*sku]), *quantity, "{answer:?}");
            }
        }
    }
}

/// What cells hold, by item, place and state.
fn held(world: &World) -> BTreeMap<CellKey, Quantity> {
    world.ledger().flush().unwrap();
    let cells = world.ledger().read(TENANT, |view| view.cells_after(None, 100_000)).unwrap();
    cells.into_iter().map(|(key, slot)| (key, slot.quantity)).filter(|(_, sum)| !sum.is_zero()).collect()
}

/// The same acts as one group and one by one: either all are done and come to the same, or the first that is refused
/// refuses all and nothing moves.
fn as_a_group_and_one_by_one(kept: Kept, before: &[Act], acts: &[Act]) {
    let [mut together, mut apart] = [World::new(kept), World::new(kept)];
    for world in [&mut together, &mut apart] {
        for act in before {
            if let Some(body) = world.body(act) {
                world.commit(vec![(None, body)]);
            }
        }
        world.now = world.now.plus_seconds(30 * MINUTE);
        world.clock.set(world.now);
        world.commit(vec![(None, Body::Tick)]);
    }
    let bodies: Vec<Body> = acts
        .iter()
        .filter_map(|act| together.body(act))
        .filter(|body| !matches!(body, Body::Record(_)))
        .collect();
    if bodies.is_empty() {
        return;
    }
    let untouched = held(&together);
    let mut answers = Vec::new();
    let mut refused = None;
    for (line, body) in (1..).zip(&bodies) {
        let command = Command::keyed(None, "test", body.clone());
        match apart.commit(vec![(Some(command), body.clone())]).pop().unwrap() {
            Ok(Answer::Refused(refusal)) => refused = Some((line, Some(refusal), None)),
            Err(CommitError::Invalid(invalid)) => refused = Some((line, None, Some(invalid))),
            answer => answers.push(answer.unwrap()),
        }
        if refused.is_some() {
            break;
        }
    }
    let group = Command::keyed(Some("group".to_owned()), "test", Body::Group(bodies));
    let answer = together.commit(vec![(Some(group.clone()), group.body.clone())]).pop().unwrap();
    match (&answer, refused) {
        (Ok(Answer::Group(told)), None) => {
            assert_eq!(told, &answers);
            assert_eq!(held(&together), held(&apart));
        }
        (Ok(Answer::Refused(Refusal::InGroup { line, refusal })), Some((at, Some(alone), None))) => {
            assert_eq!((*line, &**refusal), (at, &alone));
            assert_eq!(held(&together), untouched, "a group that is refused moves nothing");
        }
        (Err(CommitError::Invalid(Invalid::InGroup { line, invalid })), Some((at, None, Some(alone)))) => {
            assert_eq!((*line, &**invalid), (at, &alone));
            assert_eq!(held(&together), untouched);
        }
        other => panic!("as a group, and one by one: {other:?}"),
    }
    // Law 4: the group's key is one key.
    let again = together.commit(vec![(Some(group.clone()), group.body)]).pop().unwrap();
    assert_eq!(again.ok(), answer.ok());
    together.check();
    apart.check();
}

fn batches() -> impl Strategy<Value = Vec<Vec<Act>>> {
    let batch = prop_oneof![2 => prop::collection::vec(act(), 1), 1 => prop::collection::vec(act(), 2..6)];
    prop::collection::vec(batch, 1..22)
}

proptest! {
    #![proptest_config(config(120, 4_000))]

    #[test]
    fn the_laws_hold_in_memory(acts in batches()) {
        run(Kept::InMemory, &acts);
    }

    #[test]
    fn the_laws_hold_with_everything_evicted_before_each_batch(acts in batches()) {
        run(Kept::Evicting, &acts);
    }
}

proptest! {
    #![proptest_config(config(30, 4_000))]

    #[test]
    fn the_laws_hold_in_a_file_that_is_reopened_without_flushing(acts in batches()) {
        run(Kept::InFile, &acts);
    }
}

proptest! {
    #![proptest_config(config(6, 200))]

    #[test]
    fn the_laws_hold_in_postgresql_which_is_reopened_now_and_then(acts in batches()) {
        run(Kept::InPostgresql, &acts);
    }
}

proptest! {
    #![proptest_config(config(120, 4_000))]

    #[test]
    fn a_group_is_its_commands_one_by_one_or_nothing(
        before in prop::collection::vec(act(), 1..8),
        acts in prop::collection::vec(act(), 1..7),
    ) {
        as_a_group_and_one_by_one(Kept::InMemory, &before, &acts);
        as_a_group_and_one_by_one(Kept::Evicting, &before, &acts);
    }
}
