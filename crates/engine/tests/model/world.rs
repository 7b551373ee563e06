//! A ledger and the model of it, told the same and compared.

use std::collections::BTreeMap;
use std::sync::Arc;

use onhand_engine::systems::desired_at;
use onhand_engine::{CommitError, Ledger, ManualClock, Options, Submission};
use onhand_ledger::answer::{
    HeldLine, LineAnswer, Moved, PurchaseLineAnswer, SightedLine, TransferLineAnswer,
};
use onhand_ledger::command::{
    Adjust, AmendPurchase, AmendTransfer, AmendedLine, ApplySession, ArrivedLine, CancelOrder,
    CancelTransfer, Content, ConvertHold, DeliveredLine, DispatchTransfer, Document, EndPurchase, ExtendHold,
    FulfilOrder, Happened, Line, LinePart, LineQuantity, MergeItems, MoveState, MovementLine, Name,
    OpenSession, OrderContent, OrderContentLine, PlaceHold, PlaceOrder, PlacePurchase, PlanTransfer,
    PurchaseOrderLine, PutItem, PutListing, PutLocation, PutSystem, ReadyTransfer, ReceiptContent,
    ReceiptLine, Receive, ReceivePurchase, ReceiveTransfer, ReleaseLines, ReturnOrder, SetOwnership,
    SetPublication, ShipmentContent, ShipmentLine, Sight, Sighting, TakeCount, Threshold, Transfer,
};
use onhand_ledger::model::{At, Cause, HoldState};
use onhand_ledger::{
    Answer, Body, CellKey, Command, DiscrepancyId, HoldId, Instant, ItemId, Key, LocationId, OrderId,
    PurchaseId, Quantity, Refusal, RuleId, Seq, SessionId, StockState, TenantId, TransferId, Value,
};
use onhand_store::{MemoryStore, PostgresStore, PostgresUrl, SqliteStore, Store};

use crate::acts::{Act, MovedLine, OrderLine};
use crate::naive::{self, Account, LineSaid, MINUTE, Model, Said, Why};

const TENANT: TenantId = TenantId::DEFAULT;
/// The last one is not there until somebody puts it there.
const SKUS: [&str; 3] = ["MUG", "CUP", "NEW"];
/// Code, rank, sellable. The last one never is there.
const PLACES: [(&str, u32, bool); 5] = [
    ("PARIS", 100, true),
    ("LONDON", 50, true),
    ("BERLIN", 100, true),
    ("BACK", 10, false),
    ("NOWHERE", 0, false),
];
/// A group of places.
const FAR: [&str; 2] = ["BERLIN", "BACK"];
/// What WEB calls a location, and which of ours is behind it.
const BEHIND: [(&str, usize); 3] = [("fr", 0), ("uk", 1), ("back", 3)];
const COUNTERS: [&str; 3] = ["ann", "bob", "cid"];
const SYSTEMS: [&str; 3] = ["WEB", "WMS", "onhand"];
const BY_HAND: [StockState; 5] = [
    StockState::Available,
    StockState::Damaged,
    StockState::QualityControl,
    StockState::SafetyStock,
    StockState::Committed,
];
const PARTIES: [StockState; 4] =
    [StockState::Supplier, StockState::Customer, StockState::Adjustment, StockState::Production];
/// An index that no order and no hold has.
const NONE: u64 = 1_000_000;

#[derive(Clone, Copy, Debug)]
pub enum Kept {
    InMemory,
    Evicting,
    InFile,
    InPostgresql,
}

/// A command, for the ledger and for the model: there orders and holds are numbered as they come to be.
#[derive(Clone, Debug)]
struct Both {
    ledger: Command,
    model: Command,
}

pub struct World {
    ledger: Option<Ledger>,
    model: Model,
    clock: Arc<ManualClock>,
    now: Instant,
    kept: Kept,
    memory: MemoryStore,
    folder: Option<tempfile::TempDir>,
    /// Its address.
    postgresql: Option<String>,
    orders: Vec<OrderId>,
    holds: Vec<HoldId>,
    transfers: Vec<TransferId>,
    purchases: Vec<PurchaseId>,
    sessions: Vec<SessionId>,
    /// Publication rules that are, and that were.
    rules: Vec<RuleId>,
    sent: Vec<Both>,
    seq: Seq,
}

fn time(text: &str) -> Instant {
    Instant::parse(&format!("2026-11-23T{text}:00Z")).unwrap()
}

fn quantity(units: i64) -> Quantity {
    Quantity::units(units)
}

impl World {
    pub fn new(kept: Kept) -> Self {
        let now = time("10:00");
        let mut world = Self {
            ledger: None,
            model: Model::default(),
            clock: Arc::new(ManualClock::at(now)),
            now,
            kept,
            memory: MemoryStore::default(),
            folder: matches!(kept, Kept::InFile).then(|| tempfile::tempdir().unwrap()),
            postgresql: matches!(kept, Kept::InPostgresql).then(onhand_testpg::database),
            orders: Vec::new(),
            holds: Vec::new(),
            transfers: Vec::new(),
            purchases: Vec::new(),
            sessions: Vec::new(),
            rules: Vec::new(),
            sent: Vec::new(),
            seq: 0,
        };
        world.open();
        world.furnish();
        world
    }

    /// Opens the store again, as after a crash: nothing was flushed on the way out.
    pub fn open(&mut self) {
        drop(self.ledger.take());
        let store: Box<dyn Store> = match (&self.folder, &self.postgresql) {
            (None, None) => Box::new(self.memory.clone()),
            (None, Some(address)) => {
                Box::new(PostgresStore::open(&PostgresUrl::parse(address, None).unwrap()).unwrap())
            }
            (Some(folder), _) => Box::new(SqliteStore::open(&folder.path().join("model.db")).unwrap()),
        };
        let options = match self.kept {
            Kept::InMemory => Options::default(),
            Kept::Evicting => Options { flush_at: 0, slice: 1, cache: 0 },
            Kept::InFile => Options { flush_at: 8, slice: 2, cache: 30 },
            Kept::InPostgresql => Options { flush_at: 0, slice: 1, cache: 30 },
        };
        self.ledger = Some(Ledger::open(store, self.clock.clone(), options).unwrap());
    }

    /// Items, places, systems and a listing, which the model is simply told of.
    fn furnish(&mut self) {
        let mut bodies = Vec::new();
        for sku in &SKUS[..2] {
            self.model.skus.push((*sku).to_owned());
            // The cup is there in an hour only; until then it is preordered.
            let from =
                if *sku == "CUP" { self.now.plus_micros(60 * MINUTE) } else { Instant::from_micros(0) };
            self.model.limits.push((4, from.micros()));
            bodies.push(Body::PutItem(PutItem {
                sku: (*sku).to_owned(),
                backorder_limit: Some(quantity(4)),
                preorder_limit: Some(quantity(4)),
                available_from: Some(from),
                ..PutItem::default()
            }));
        }
        for (code, rank, sellable) in &PLACES[..4] {
            let group = FAR.contains(code).then_some("FAR");
            self.model.put_site(code, *rank, *sellable, group);
            bodies.push(Body::PutLocation(PutLocation {
                code: (*code).to_owned(),
                rank: Some(*rank),
                sellable: Some(*sellable),
                groups: Some(group.into_iter().map(str::to_owned).collect()),
                ..PutLocation::default()
            }));
        }
        self.model.mapped.extend(BEHIND.map(|(_, place)| ("WEB".to_owned(), place)));
        for name in &SYSTEMS[..2] {
            bodies.push(Body::PutSystem(PutSystem {
                name: (*name).to_owned(),
                kind: "test".to_owned(),
                locations: (*name == "WEB").then(|| {
                    BEHIND.map(|(remote, place)| (remote.to_owned(), PLACES[place].0.to_owned())).to_vec()
                }),
                ..PutSystem::default()
            }));
        }
        for (remote_id, sku, multiplier) in [("pair", "MUG", 2), ("cup", "CUP", 1)] {
            let (system, remote_id, sku) = ("WEB".to_owned(), remote_id.to_owned(), sku.to_owned());
            self.model.listings.push((system.clone(), remote_id.clone(), sku.clone(), i64::from(multiplier)));
            let (remote_sku, sku) = (None, Some(sku));
            bodies.push(Body::PutListing(PutListing {
                system,
                remote_id,
                remote_sku,
                sku,
                multiplier,
                found: false,
            }));
        }
        for body in bodies {
            let command = Command { key: None, fingerprint: 0, actor: "test".to_owned(), body };
            let submission = Submission { tenant: TENANT, command: Some(command), notes: Vec::new() };
            self.ledger().commit(vec![submission]).pop().unwrap().unwrap();
            self.model.recorded_at = self.now.micros().max(self.model.recorded_at + 1);
        }
        self.seq = self.ledger().read(TENANT, |view| Ok(view.seq())).unwrap();
    }

    fn ledger(&self) -> &Ledger {
        self.ledger.as_ref().unwrap()
    }

    fn wait(&mut self, minutes: i64) {
        self.now = self.now.plus_micros(minutes * MINUTE);
        self.clock.set(self.now);
    }

    fn before(&self, minutes: i64) -> Option<Instant> {
        (minutes != 0).then(|| self.now.plus_micros(-minutes * MINUTE))
    }

    fn body(&self, act: &Act) -> Option<Body> {
        let line = |(sku, units): &(usize, i64)| Line {
            sku: SKUS[*sku].to_owned(),
            quantity: quantity(*units),
            ..Line::default()
        };
        let lines = |lines: &[(usize, i64)]| lines.iter().map(line).collect::<Vec<_>>();
        let part = |(line, units): &(usize, i64)| LineQuantity {
            lot: None,
            line: (line + 1).to_string(),
            quantity: quantity(*units),
        };
        let parts = |lines: &[(usize, i64)]| lines.iter().map(part).collect::<Vec<_>>();
        let place = |place: usize| PLACES[place].0.to_owned();
        // The youngest first; beyond the oldest there is none.
        let from_end = |len: usize, nth: usize| len.checked_sub(nth + 1).map_or(NONE, |nth| nth as u64);
        let order = |nth: usize| OrderId(from_end(self.orders.len(), nth));
        let hold = |nth: usize| HoldId(from_end(self.holds.len(), nth));
        let transfer = |nth: usize| TransferId(from_end(self.transfers.len(), nth));
        let purchase = |nth: usize| PurchaseId(from_end(self.purchases.len(), nth));
        let session = |nth: usize| SessionId(from_end(self.sessions.len(), nth));
        let threshold = |(units, percent): (Option<i64>, Option<u16>)| {
            Some(Threshold { units: units.map(quantity), percent })
                .filter(|over| over.units.is_some() || over.percent.is_some())
        };
        let reference = |reference: &Option<usize>| reference.map(|number| format!("R{number}"));
        Some(match act {
            Act::Receive { place: at, lines: of, ago } => Body::Receive(Receive {
                location: place(*at),
                lines: lines(of),
                occurred_at: self.before(*ago),
                reason: None,
            }),
            Act::Adjust { place: at, lines: of, ago } => Body::Adjust(Adjust {
                location: place(*at),
                lines: lines(of),
                occurred_at: self.before(*ago),
                reason: "test".to_owned(),
            }),
            Act::Transfer { from, to, lines: of, ago } => Body::Transfer(Transfer {
                from: place(*from),
                to: place(*to),
                lines: lines(of),
                occurred_at: self.before(*ago),
            }),
            Act::Move { place: at, lines: of, from, to } => Body::Move(MoveState {
                location: place(*at),
                lines: lines(of),
                from: BY_HAND[*from],
                to: BY_HAND[*to],
                reason: "test".to_owned(),
                occurred_at: None,
            }),
            Act::Count { place: at, lines: of, ago, system } => Body::Count(TakeCount {
                location: place(*at),
                lines: lines(of),
                as_of: self.before(*ago),
                inside: false,
                system: system.map(|system| SYSTEMS[system].to_owned()),
                net: false,
            }),
            Act::Extend { nth, minutes } => Body::ExtendHold(ExtendHold {
                hold: hold(*nth),
                expires_at: self.now.plus_micros(minutes * MINUTE),
            }),
            Act::ReleaseLine { nth, line, quantity: of } => {
                let part = LinePart { line: (line + 1).to_string(), quantity: of.map(quantity) };
                Body::ReleaseLines(ReleaseLines { hold: hold(*nth), lines: vec![part] })
            }
            Act::Hold { place: at, lines: of, minutes, partial } => Body::PlaceHold(PlaceHold {
                lines: lines(of),
                location: at.map(place),
                expires_at: self.now.plus_micros(minutes * MINUTE),
                partial: Some(*partial),
            }),
            Act::Release { nth } => Body::ReleaseHold(hold(*nth)),
            Act::Convert { nth, reference: named } => {
                Body::ConvertHold(ConvertHold { hold: hold(*nth), reference: reference(named) })
            }
            Act::Order { place: at, lines: of, reference: named, may_wait } => Body::PlaceOrder(PlaceOrder {
                backorder: Some(*may_wait),
                reference: reference(named),
                lines: lines(of),
                location: at.map(place),
                ..PlaceOrder::default()
            }),
            Act::Fulfil { nth, lines: of, ago } => Body::FulfilOrder(FulfilOrder {
                order: order(*nth),
                lines: of.as_deref().map(parts),
                occurred_at: self.before(*ago),
            }),
            Act::Cancel { nth, lines: of } => {
                Body::CancelOrder(CancelOrder { order: order(*nth), lines: of.as_deref().map(parts) })
            }
            Act::Return { nth, lines: of, place: at, into, ago } => Body::ReturnOrder(ReturnOrder {
                order: order(*nth),
                lines: parts(of),
                location: at.map(place),
                into: BY_HAND[*into],
                occurred_at: self.before(*ago),
            }),
            Act::OrderFact { .. } | Act::Shipment { .. } | Act::Movements { .. } | Act::Receipt { .. } => {
                Body::Record(self.document(act))
            }
            Act::Plan { from, to, lines: of, reference } => Body::PlanTransfer(PlanTransfer {
                reference: reference.map(|number| format!("T{number}")),
                from: place(*from),
                to: place(*to),
                lines: lines(of),
                expected_on: None,
            }),
            Act::Ready { nth } => Body::ReadyTransfer(ReadyTransfer { transfer: transfer(*nth) }),
            Act::AmendTransfer { nth, line, quantity } => Body::AmendTransfer(AmendTransfer {
                transfer: transfer(*nth),
                lines: parts(&[(*line, *quantity)]),
                expected_on: None,
            }),
            Act::Dispatch { nth, lines: of, ago } => Body::DispatchTransfer(DispatchTransfer {
                transfer: transfer(*nth),
                lines: of.as_deref().map(parts),
                occurred_at: self.before(*ago),
            }),
            Act::Arrive { nth, lines: of, into, ago } => {
                let line = |(line, units, lost): &(usize, i64, i64)| ArrivedLine {
                    line: (line + 1).to_string(),
                    quantity: quantity(*units),
                    lost: (*lost > 0).then(|| quantity(*lost)),
                };
                Body::ReceiveTransfer(ReceiveTransfer {
                    transfer: transfer(*nth),
                    lines: of.as_ref().map(|of| of.iter().map(line).collect()),
                    into: BY_HAND[*into],
                    occurred_at: self.before(*ago),
                })
            }
            Act::CancelTransfer { nth, ago } => Body::CancelTransfer(CancelTransfer {
                transfer: transfer(*nth),
                occurred_at: self.before(*ago),
            }),
            Act::Buy { place: at, lines: of, reference } => {
                let line = |(sku, units): &(usize, i64)| PurchaseOrderLine {
                    pack: None,
                    sku: SKUS[*sku].to_owned(),
                    quantity: quantity(*units),
                    expected_on: None,
                    unit_cost: None,
                };
                Body::PlacePurchase(PlacePurchase {
                    supplier: "Potters".to_owned(),
                    reference: reference.map(|number| format!("PO{number}")),
                    location: place(*at),
                    expected_on: None,
                    lines: of.iter().map(line).collect(),
                })
            }
            Act::AmendPurchase { nth, line, item, quantity: units } => Body::AmendPurchase(AmendPurchase {
                purchase: purchase(*nth),
                lines: vec![AmendedLine {
                    line: line.map(|line| (line + 1).to_string()),
                    sku: line.is_none().then(|| SKUS[*item].to_owned()),
                    quantity: Some(quantity(*units)),
                    ..AmendedLine::default()
                }],
            }),
            Act::Deliver { nth, lines: of, place: at, into, ago } => {
                let line = |(line, units): &(usize, i64)| DeliveredLine {
                    line: (line + 1).to_string(),
                    quantity: quantity(*units),
                    ..DeliveredLine::default()
                };
                Body::ReceivePurchase(ReceivePurchase {
                    purchase: purchase(*nth),
                    lines: of.as_ref().map(|of| of.iter().map(line).collect()),
                    location: at.map(place),
                    into: BY_HAND[*into],
                    occurred_at: self.before(*ago),
                })
            }
            Act::EndPurchase { nth, cancel } => {
                Body::EndPurchase(EndPurchase { purchase: purchase(*nth), cancel: *cancel })
            }
            Act::Master { group, place: at, sku, system } => Body::SetOwnership(SetOwnership {
                location: at.map(place),
                sku: sku.map(|sku| SKUS[sku].to_owned()),
                group: group.then(|| "FAR".to_owned()),
                tag: None,
                master: SYSTEMS[*system].to_owned(),
            }),
            Act::Merge { from, into } => {
                Body::MergeItems(MergeItems { from: SKUS[*from].to_owned(), into: SKUS[*into].to_owned() })
            }
            Act::OpenSession { place: at, only, recount, approve } => Body::OpenSession(OpenSession {
                location: place(*at),
                inside: None,
                skus: only.as_ref().map(|only| only.iter().map(|sku| SKUS[*sku].to_owned()).collect()),
                blind: None,
                recount_over: threshold(*recount),
                approve_over: threshold(*approve),
            }),
            Act::Look { nth, lines: of, ago, .. } => {
                let line = |(sku, units): &(usize, i64)| Sighting {
                    sku: SKUS[*sku].to_owned(),
                    quantity: quantity(*units),
                    lot: None,
                    serials: None,
                    seen_at: self.before(*ago),
                };
                Body::Sight(Sight { session: session(*nth), lines: of.iter().map(line).collect() })
            }
            Act::Apply { nth, approve } => {
                Body::ApplySession(ApplySession { session: session(*nth), approve: *approve })
            }
            Act::CancelSession { nth } => Body::CancelSession(session(*nth)),
            Act::Publish { system, sku, listing, buffer, cap, percent, stop_at } => {
                Body::SetPublication(SetPublication {
                    system: system.map(|system| SYSTEMS[system].to_owned()),
                    sku: sku.map(|sku| SKUS[sku].to_owned()),
                    listing: listing.map(|listing| ["pair", "cup", "unmapped"][listing].to_owned()),
                    buffer: buffer.map(quantity),
                    cap: cap.map(quantity),
                    percentage: *percent,
                    stop_at: stop_at.map(quantity),
                    ..SetPublication::default()
                })
            }
            Act::EndRule { nth } => Body::EndRule(RuleId(from_end(self.rules.len(), *nth))),
            Act::NewItem => Body::PutItem(PutItem { sku: SKUS[2].to_owned(), ..PutItem::default() }),
            Act::Tick => Body::Tick,
            Act::Wait { .. } | Act::Again { .. } => return None,
        })
    }

    fn document(&self, act: &Act) -> Document {
        let item = |item: usize| match item {
            3 => Name::Listing("pair".to_owned()),
            4 => Name::Listing("unmapped".to_owned()),
            sku => Name::Sku(SKUS[sku].to_owned()),
        };
        let place = |place: usize| PLACES[place].0.to_owned();
        // What is ordered from us by a reference is amended as a document of our own. The last of each kind has the
        // name of another kind.
        let order = |system: usize, document: usize| match SYSTEMS[system] {
            _ if document == 3 => "M0".to_owned(),
            "onhand" => format!("R{document}"),
            _ => format!("W{document}"),
        };
        let (system, document, version, content) = match act {
            Act::OrderFact { system, document, step, cancelled, lines, ago } => {
                let line = |line: &OrderLine| OrderContentLine {
                    line: (line.line + 1).to_string(),
                    item: item(line.item),
                    quantity: quantity(line.quantity),
                    shipped: quantity(line.shipped),
                    returned: quantity(line.returned),
                    location: line.place.map(place),
                    price: None,
                };
                let content = Content::Order(OrderContent {
                    placed_at: None,
                    changed_at: self.before(*ago),
                    cancelled: *cancelled,
                    lines: lines.iter().map(line).collect(),
                    ..OrderContent::default()
                });
                let name = order(*system, *document);
                (*system, name.clone(), self.version(*system, &name, *step), content)
            }
            Act::Shipment { system, document, order: of, place: at, lines, ago } => {
                let line = |(sku, units): &(usize, i64)| ShipmentLine {
                    lot: None,
                    item: item(*sku),
                    quantity: quantity(*units),
                };
                let content = Content::Shipment(ShipmentContent {
                    order: of.map(|(owner, document)| order(owner, document)),
                    order_system: of.map(|(owner, _)| SYSTEMS[owner].to_owned()),
                    location: place(*at),
                    occurred_at: self.before(*ago),
                    lines: lines.iter().map(line).collect(),
                });
                match document {
                    8 => {
                        let name = order(*system, 0);
                        (*system, name.clone(), self.version(*system, &name, 1), content)
                    }
                    _ => (*system, format!("S{document}"), 1 + *document as u64 % 2, content),
                }
            }
            Act::Movements { system, document, step, lines } => {
                let what =
                    [Happened::Sold, Happened::Returned, Happened::Found, Happened::Lost, Happened::Received];
                let line = |line: &MovedLine| MovementLine {
                    line: line.line.to_string(),
                    item: item(line.item),
                    location: place(line.place),
                    what: what[line.what],
                    quantity: quantity(line.quantity),
                    occurred_at: self.before(line.ago),
                    reason: None,
                };
                let name = if *document == 2 { order(*system, 0) } else { format!("M{document}") };
                let content = Content::Movements(lines.iter().map(line).collect());
                (*system, name.clone(), self.version(*system, &name, *step), content)
            }
            Act::Receipt { system, document, step, of, place: at, lines, ago } => {
                let line = |(named, units): &(usize, i64)| ReceiptLine {
                    item: item(*named),
                    quantity: quantity(*units),
                    unit_cost: None,
                    lot: None,
                    expires: None,
                    serials: None,
                };
                let named = |transfer, name: &str| {
                    of.filter(|(is_transfer, _)| *is_transfer == transfer)
                        .map(|(_, nth)| format!("{name}{nth}"))
                };
                let content = Content::Receipt(ReceiptContent {
                    purchase: named(false, "PO"),
                    transfer: named(true, "T"),
                    location: place(*at),
                    occurred_at: self.before(*ago),
                    lines: lines.iter().map(line).collect(),
                });
                let name = format!("RC{document}");
                (*system, name.clone(), self.version(*system, &name, *step), content)
            }
            other => panic!("no document: {other:?}"),
        };
        Document { system: SYSTEMS[system].to_owned(), document, version, content }
    }

    fn version(&self, system: usize, name: &str, step: i64) -> u64 {
        let told = self.sent.iter().filter_map(|both| match &both.model.body {
            Body::Record(told) if told.system == SYSTEMS[system] && told.document == name => {
                Some(told.version)
            }
            _ => None,
        });
        // What is ordered from us is version 1 of it already.
        let highest = told.max().unwrap_or(u64::from(SYSTEMS[system] == "onhand"));
        highest.saturating_add_signed(step).max(1)
    }

    /// A body in the model's numbers, with those of the ledger beside it.
    fn both(&self, body: Body, actor: &str) -> Both {
        let number = self.sent.len() as u64 + 1;
        let keyed = match body {
            Body::Record(_) => number.is_multiple_of(4),
            _ => !number.is_multiple_of(3),
        };
        let key = keyed.then(|| format!("key-{number}"));
        let order = |id: OrderId| {
            usize::try_from(id.0).ok().and_then(|nth| self.orders.get(nth)).copied().unwrap_or(id)
        };
        let hold = |id: HoldId| {
            usize::try_from(id.0).ok().and_then(|nth| self.holds.get(nth)).copied().unwrap_or(id)
        };
        let transfer = |id: TransferId| {
            usize::try_from(id.0).ok().and_then(|nth| self.transfers.get(nth)).copied().unwrap_or(id)
        };
        let purchase = |id: PurchaseId| {
            usize::try_from(id.0).ok().and_then(|nth| self.purchases.get(nth)).copied().unwrap_or(id)
        };
        let session = |id: SessionId| {
            usize::try_from(id.0).ok().and_then(|nth| self.sessions.get(nth)).copied().unwrap_or(id)
        };
        let rule = |id: RuleId| {
            usize::try_from(id.0).ok().and_then(|nth| self.rules.get(nth)).copied().unwrap_or(id)
        };
        let model = Command { key, fingerprint: number, actor: actor.to_owned(), body };
        let mut ledger = model.clone();
        match &mut ledger.body {
            Body::ReleaseHold(id) => *id = hold(*id),
            Body::ExtendHold(extend) => extend.hold = hold(extend.hold),
            Body::ReleaseLines(release) => release.hold = hold(release.hold),
            Body::ConvertHold(convert) => convert.hold = hold(convert.hold),
            Body::FulfilOrder(fulfil) => fulfil.order = order(fulfil.order),
            Body::CancelOrder(cancel) => cancel.order = order(cancel.order),
            Body::ReturnOrder(back) => back.order = order(back.order),
            Body::ReadyTransfer(ready) => ready.transfer = transfer(ready.transfer),
            Body::AmendTransfer(amend) => amend.transfer = transfer(amend.transfer),
            Body::DispatchTransfer(dispatch) => dispatch.transfer = transfer(dispatch.transfer),
            Body::ReceiveTransfer(receive) => receive.transfer = transfer(receive.transfer),
            Body::CancelTransfer(cancel) => cancel.transfer = transfer(cancel.transfer),
            Body::AmendPurchase(amend) => amend.purchase = purchase(amend.purchase),
            Body::ReceivePurchase(receive) => receive.purchase = purchase(receive.purchase),
            Body::EndPurchase(end) => end.purchase = purchase(end.purchase),
            Body::Sight(sight) => sight.session = session(sight.session),
            Body::ApplySession(apply) => apply.session = session(apply.session),
            Body::CancelSession(id) => *id = session(*id),
            Body::EndRule(id) => *id = rule(*id),
            _ => {}
        }
        Both { ledger, model }
    }

    /// Does a batch in both, and compares all there is to compare.
    pub fn act(&mut self, batch: &[Act]) {
        for act in batch {
            if let Act::Wait { minutes } = act {
                self.wait(*minutes);
            }
        }
        let mut commands = Vec::new();
        for act in batch {
            let both = match act {
                Act::Again { nth, other } => {
                    let Some(back) = self.sent.len().checked_sub(nth + 1) else { continue };
                    let mut both = self.sent[back].clone();
                    if *other {
                        both.ledger.fingerprint += 1_000_000;
                        both.model.fingerprint += 1_000_000;
                    }
                    both
                }
                act => match self.body(act) {
                    Some(body) => {
                        let actor = if let Act::Look { by, .. } = act { COUNTERS[*by] } else { "test" };
                        self.both(body, actor)
                    }
                    None => continue,
                },
            };
            self.sent.push(both.clone());
            commands.push(both);
        }
        let submissions = commands.iter().map(|both| Submission {
            tenant: TENANT,
            command: Some(both.ledger.clone()),
            notes: Vec::new(),
        });
        let results = self.ledger().commit(submissions.collect());
        self.learn_ids();
        for (both, result) in commands.iter().zip(&results) {
            if let (Body::SetPublication(_), Ok(committed)) = (&both.ledger.body, result)
                && let Answer::Rule(id) = committed.answer
                && !self.rules.contains(&id)
            {
                self.rules.push(id);
            }
        }
        for (both, result) in commands.iter().zip(results) {
            let expected = self.model.tell(&both.model, self.now.micros());
            let said = match &result {
                Ok(committed) => {
                    if committed.seq > self.seq {
                        self.model.recorded_at = self.model.now;
                        self.seq = committed.seq;
                    }
                    match (&both.ledger.body, &committed.answer) {
                        (Body::SetPublication(_) | Body::EndRule(_), Answer::Rule(id)) => {
                            Said::Published(self.rules.iter().position(|known| known == id).unwrap())
                        }
                        (_, answer) => self.said(answer),
                    }
                }
                Err(CommitError::Invalid(_)) => Said::Invalid,
                Err(error @ (CommitError::Bug | CommitError::Store(_))) => {
                    panic!("{error}, at {:?}", both.ledger)
                }
            };
            let (said, expected) = (self.by_now(said), self.by_now(expected));
            assert_eq!(said, expected, "the answer to {:?}: {result:?}", both.ledger);
        }
        self.compare();
    }

    fn learn_ids(&mut self) {
        let last = Seq::MAX >> 1;
        let (orders, holds, transfers, purchases, sessions) = self
            .ledger()
            .read(TENANT, |view| {
                let orders =
                    view.range(&Key::Order(OrderId(0)), &Key::Order(OrderId(last)), false, 10_000)?;
                let holds = view.range(&Key::Hold(HoldId(0)), &Key::Hold(HoldId(last)), false, 10_000)?;
                let ends = (Key::Transfer(TransferId(0)), Key::Transfer(TransferId(last)));
                let transfers = view.range(&ends.0, &ends.1, false, 10_000)?;
                let ends = (Key::Purchase(PurchaseId(0)), Key::Purchase(PurchaseId(last)));
                let purchases = view.range(&ends.0, &ends.1, false, 10_000)?;
                let ends = (Key::Session(SessionId(0)), Key::Session(SessionId(last)));
                let sessions = view.range(&ends.0, &ends.1, false, 10_000)?;
                Ok((orders, holds, transfers, purchases, sessions))
            })
            .unwrap();
        let order = |(key, _)| if let Key::Order(id) = key { id } else { panic!("an order") };
        let hold = |(key, _)| if let Key::Hold(id) = key { id } else { panic!("a hold") };
        self.orders = orders.into_iter().map(order).collect();
        self.holds = holds.into_iter().map(hold).collect();
        let transfer = |(key, _)| if let Key::Transfer(id) = key { id } else { panic!("a transfer") };
        let purchase = |(key, _)| if let Key::Purchase(id) = key { id } else { panic!("a purchase order") };
        let session = |(key, _)| if let Key::Session(id) = key { id } else { panic!("a session") };
        self.sessions = sessions.into_iter().map(session).collect();
        self.transfers = transfers.into_iter().map(transfer).collect();
        self.purchases = purchases.into_iter().map(purchase).collect();
    }

    // ---- comparing ---------------------------------------------------------------------------------------------

    /// An answer of the ledger in the model's words.
    fn said(&self, answer: &Answer) -> Said {
        let order = |id: &OrderId| self.orders.iter().position(|known| known == id).unwrap();
        let hold = |id: &HoldId| self.holds.iter().position(|known| known == id).unwrap();
        let session = |id: &SessionId| self.sessions.iter().position(|known| known == id).unwrap();
        let line = |line: &LineAnswer| LineSaid {
            line: line.line.clone(),
            sku: line.sku.clone(),
            quantity: line.quantity.whole_units(),
            allocated: line.allocated.whole_units(),
            shipped: line.shipped.whole_units(),
            short: line.short.whole_units(),
            backordered: line.backordered.whole_units(),
            preordered: line.preordered.whole_units(),
        };
        let units = Quantity::whole_units;
        let moves = |moved: &[Moved]| -> Vec<(String, String, i64, i64)> {
            let of = moved.iter().map(|moved| {
                let (sku, location) = (moved.sku.clone(), moved.location.clone());
                (sku, location, units(moved.difference), units(moved.available))
            });
            of.collect()
        };
        match answer {
            Answer::Item(_) | Answer::ItemNoted(..) | Answer::Rule(_) => Said::Done,
            Answer::Moved(moved, _) => Said::Moved(moves(moved)),
            Answer::Transfer { id, lines, moved, discrepancies } => {
                let line = |line: &TransferLineAnswer| {
                    [
                        line.quantity,
                        line.reserved,
                        line.dispatched,
                        line.in_transit,
                        line.received,
                        line.lost,
                        line.returned,
                        line.over,
                    ]
                    .map(units)
                };
                let nth = self.transfers.iter().position(|known| known == id).unwrap();
                Said::Transfer(nth, lines.iter().map(line).collect(), moves(moved), discrepancies.len())
            }
            Answer::Purchase { id, lines, moved, discrepancies } => {
                assert!(discrepancies.is_empty(), "a receipt on request surprises nobody");
                let line = |line: &PurchaseLineAnswer| {
                    [line.quantity, line.received, line.open, line.over].map(units)
                };
                let nth = self.purchases.iter().position(|known| known == id).unwrap();
                Said::Purchase(nth, lines.iter().map(line).collect(), moves(moved))
            }
            Answer::Counted(counted, _) => {
                let of = counted.iter().map(|counted| {
                    assert_eq!(counted.difference, counted.counted - counted.found);
                    let (seen, found) = (units(counted.counted), units(counted.found));
                    (counted.sku.clone(), seen, found, units(counted.available))
                });
                Said::Counted(of.collect())
            }
            Answer::Hold(id, _, lines) => {
                let line = |line: &HeldLine| (line.quantity.whole_units(), line.kept.whole_units());
                Said::Hold(hold(id), lines.iter().map(line).collect())
            }
            Answer::Order(id, lines) => Said::Order(order(id), lines.iter().map(line).collect()),
            Answer::Recorded { order: id, lines, discrepancies } => Said::Recorded {
                order: id.as_ref().map(order),
                lines: lines.iter().map(line).collect(),
                discrepancies: discrepancies.len(),
            },
            Answer::Session(id) => Said::Session(session(id)),
            Answer::Sighted(id, lines) => {
                let line = |line: &SightedLine| (line.sku.clone(), units(line.quantity), line.recount);
                Said::Sighted(session(id), lines.iter().map(line).collect())
            }
            Answer::Merged(merged) => {
                Said::Merged(moves(&merged.moved), [merged.orders, merged.holds, merged.listings])
            }
            Answer::AlreadyApplied { version } => Said::AlreadyApplied(*version),
            Answer::Waiting(..) => Said::Waiting,
            Answer::Ticked(lapsed) => Said::Ticked(*lapsed),
            Answer::Refused(refusal) => Said::Refused(match refusal {
                Refusal::Insufficient(missing) => {
                    let of = missing.iter().map(|missing| {
                        let held = missing.held.map(|(held, until)| (units(held), until.micros()));
                        (missing.sku.clone(), (units(missing.wanted), units(missing.available), held))
                    });
                    Why::Insufficient(of.collect())
                }
                Refusal::NotMaster { master, .. } => Why::NotMaster(master.clone()),
                Refusal::NotSellable { location } => Why::NotSellable(location.clone()),
                Refusal::HoldEnded { state, .. } => Why::HoldEnded(match state.as_str() {
                    "lapsed" => HoldState::Lapsed,
                    "been released" => HoldState::Released,
                    _ => HoldState::Converted,
                }),
                Refusal::LineHasLess { has, .. } | Refusal::HoldHasLess { has, .. } => {
                    Why::LineHasLess(units(*has))
                }
                Refusal::DocumentEnded { .. } => Why::DocumentEnded,
                Refusal::DocumentHasLess { has, .. } => Why::DocumentHasLess(units(*has)),
                Refusal::DocumentReferenceTaken { .. } => Why::DocumentReferenceTaken,
                Refusal::CannotMerge { .. } => Why::CannotMerge,
                Refusal::SessionEnded { .. } => Why::SessionEnded,
                Refusal::RecountNeeded { skus, .. } => Why::RecountNeeded(skus.clone()),
                Refusal::ApprovalNeeded { skus, .. } => Why::ApprovalNeeded(skus.clone()),
                Refusal::ReferenceTaken { order: id, .. } => Why::ReferenceTaken(order(id)),
                other => panic!("nobody asked for this: {other:?}"),
            }),
            other => panic!("nobody asked for this: {other:?}"),
        }
    }

    pub fn compare(&self) {
        let ids = self.ledger().read(TENANT, |view| {
            // In the order they came to be: a name may be another item's by now.
            let (from, to) = (Key::Item(ItemId(0)), Key::Item(ItemId(Seq::MAX >> 1)));
            let item = |(key, _)| if let Key::Item(id) = key { id } else { panic!("an item") };
            let items: Vec<ItemId> = view.range(&from, &to, false, 10_000)?.into_iter().map(item).collect();
            let places =
                self.model.sites.iter().map(|site| Ok(view.location_by_code(&site.code)?.unwrap().0));
            let places: Vec<LocationId> = places.collect::<Result<_, onhand_store::StoreError>>()?;
            Ok((items, places))
        });
        let (items, places) = ids.unwrap();
        self.compare_stock(&items, &places);
        self.compare_orders(&items, &places);
        self.compare_holds(&items, &places);
        self.compare_supply(&items, &places);
        self.compare_discrepancies();
        self.compare_sessions();
        self.compare_published();
        // Law 11: at the time it was taken, stock is what the last count of that time says, whatever is heard later.
        for (index, seen) in self.model.counts.iter().enumerate() {
            let same = |other: &naive::Seen| {
                (other.item, other.place, other.as_of) == (seen.item, seen.place, seen.as_of)
            };
            if !self.model.counts[index + 1..].iter().any(same) {
                assert_eq!(self.model.physical(seen.item, seen.place, seen.as_of), seen.counted, "{seen:?}");
            }
        }
    }

    fn compare_stock(&self, items: &[ItemId], places: &[LocationId]) {
        // Past instants: around now, at a few minutes before, and when the last counts were taken.
        let mut times: Vec<i64> =
            [-35, -20, -9, -1].iter().map(|minutes| self.now.micros() + minutes * MINUTE).collect();
        times.extend(self.model.counts.iter().rev().take(2).map(|seen| seen.as_of));
        let known_at = self.now.micros() - 5 * MINUTE;
        for (item, item_id) in items.iter().enumerate() {
            let claimed = self.ledger().read(TENANT, |view| view.claimed(*item_id)).unwrap();
            assert_eq!(claimed.whole_units(), self.model.claimed(item), "claims on {}", SKUS[item]);
            let mut all = 0;
            for party in PARTIES {
                let held = self.held(CellKey::party(*item_id, party));
                all += held;
                assert_eq!(
                    held,
                    self.model.as_of(item, Account::Party(party), i64::MAX, i64::MAX),
                    "{party:?}"
                );
            }
            for (place, place_id) in places.iter().enumerate() {
                for state in StockState::ON_HAND.into_iter().chain([StockState::InTransit]) {
                    let cell = CellKey::new(*item_id, *place_id, state);
                    let account = Account::At(place, state);
                    let what = || format!("{state:?} of {} at {}", SKUS[item], PLACES[place].0);
                    let held = self.held(cell);
                    all += held;
                    assert_eq!(held, self.model.held(item, place, state), "{}", what());
                    let touched = |moved: &naive::Moved| {
                        moved.item == item && (moved.from == account || moved.to == account)
                    };
                    if !self.model.moved.iter().any(touched) {
                        continue;
                    }
                    let asked = times.iter().map(|at| (*at, None)).chain([(times[2], Some(known_at))]);
                    for (at, known) in asked {
                        let instant = Instant::from_micros(at);
                        let found = self
                            .ledger()
                            .read(TENANT, |view| view.as_of(cell, instant, known.map(Instant::from_micros)))
                            .unwrap();
                        let expected = self.model.as_of(item, account, at, known.unwrap_or(i64::MAX));
                        assert_eq!(
                            found.whole_units(),
                            expected,
                            "{} as of {instant}, known {known:?}",
                            what()
                        );
                    }
                }
            }
            assert_eq!(all, 0, "law 1");
        }
    }

    fn held(&self, cell: CellKey) -> i64 {
        self.ledger().read(TENANT, |view| view.cell(&cell)).unwrap().quantity.whole_units()
    }

    fn compare_orders(&self, items: &[ItemId], places: &[LocationId]) {
        let by_place = |ats: &[At]| -> BTreeMap<usize, i64> {
            let index = |at: &At| places.iter().position(|place| *place == at.location).unwrap();
            ats.iter().map(|at| (index(at), at.quantity.whole_units())).collect()
        };
        let by_number = |ats: &[(usize, i64)]| -> BTreeMap<usize, i64> { ats.iter().copied().collect() };
        assert_eq!(self.orders.len(), self.model.orders.len(), "orders");
        for (id, expected) in self.orders.iter().zip(&self.model.orders) {
            let value = self.ledger().read(TENANT, |view| view.get(&Key::Order(*id))).unwrap();
            let Some(Value::Order(order)) = value else { panic!("an order") };
            assert_eq!(order.version, expected.version, "{order:?}");
            assert_eq!(order.lines.len(), expected.lines.len(), "{order:?} shall be {expected:?}");
            for (line, shall) in order.lines.iter().zip(&expected.lines) {
                let item = self.item(items, line.item);
                let agreed = (line.backordered.whole_units(), line.preordered.whole_units());
                assert_eq!(agreed, (shall.backordered, shall.preordered), "{line:?} shall be {shall:?}");
                let has = (&line.line, item, line.wanted.whole_units(), line.short.whole_units());
                assert_eq!(
                    has,
                    (&shall.name, shall.item, shall.wanted, shall.short),
                    "{line:?} shall be {shall:?}"
                );
                assert_eq!(
                    by_place(&line.allocated),
                    by_number(&shall.allocated),
                    "{line:?} shall be {shall:?}"
                );
                assert_eq!(by_place(&line.shipped), by_number(&shall.shipped), "{line:?} shall be {shall:?}");
                assert_eq!(line.returned.whole_units(), shall.returned, "{line:?} shall be {shall:?}");
            }
        }
    }

    fn compare_holds(&self, items: &[ItemId], places: &[LocationId]) {
        assert_eq!(self.holds.len(), self.model.holds.len(), "holds");
        for (id, expected) in self.holds.iter().zip(&self.model.holds) {
            let value = self.ledger().read(TENANT, |view| view.get(&Key::Hold(*id))).unwrap();
            let Some(Value::Hold(hold)) = value else { panic!("a hold") };
            assert_eq!(hold.state, expected.state, "{hold:?} shall be {expected:?}");
            assert_eq!(hold.expires_at.micros(), expected.expires_at, "{hold:?} shall be {expected:?}");
            for (line, shall) in hold.lines.iter().zip(&expected.lines) {
                assert_eq!(self.item(items, line.item), shall.item);
                let reserved: BTreeMap<LocationId, i64> =
                    line.reserved.iter().map(|at| (at.location, at.quantity.whole_units())).collect();
                let shall: BTreeMap<LocationId, i64> =
                    shall.reserved.iter().map(|(place, quantity)| (places[*place], *quantity)).collect();
                assert_eq!(reserved, shall, "{hold:?}");
            }
        }
    }

    fn compare_supply(&self, items: &[ItemId], places: &[LocationId]) {
        assert_eq!(self.transfers.len(), self.model.transfers.len(), "transfers");
        for (id, shall) in self.transfers.iter().zip(&self.model.transfers) {
            let value = self.ledger().read(TENANT, |view| view.get(&Key::Transfer(*id))).unwrap();
            let Some(Value::Transfer(known)) = value else { panic!("a transfer") };
            assert_eq!(
                (known.state, known.ready),
                (shall.state, shall.ready),
                "{known:?} shall be {shall:?}"
            );
            assert_eq!(known.dispatched_at.map(Instant::micros), shall.left, "{known:?} shall be {shall:?}");
            assert_eq!(known.lines.len(), shall.lines.len());
            for (line, shall) in known.lines.iter().zip(&shall.lines) {
                assert_eq!(self.item(items, line.item), shall.item);
                let has = [
                    line.wanted,
                    line.reserved,
                    line.dispatched,
                    line.received,
                    line.lost,
                    line.returned,
                    line.over,
                ];
                let shall_have = [
                    shall.wanted,
                    shall.reserved,
                    shall.dispatched,
                    shall.received,
                    shall.lost,
                    shall.returned,
                    shall.over,
                ];
                assert_eq!(has.map(Quantity::whole_units), shall_have, "{known:?} shall be {shall:?}");
            }
        }
        assert_eq!(self.purchases.len(), self.model.purchases.len(), "purchase orders");
        for (id, shall) in self.purchases.iter().zip(&self.model.purchases) {
            let value = self.ledger().read(TENANT, |view| view.get(&Key::Purchase(*id))).unwrap();
            let Some(Value::Purchase(known)) = value else { panic!("a purchase order") };
            assert_eq!(known.state, shall.state, "{known:?} shall be {shall:?}");
            assert_eq!(known.lines.len(), shall.lines.len());
            for (line, shall) in known.lines.iter().zip(&shall.lines) {
                let has = (line.wanted.whole_units(), line.received.whole_units());
                assert_eq!((self.item(items, line.item), has), (shall.item, (shall.wanted, shall.received)));
            }
        }
        for (item, item_id) in items.iter().enumerate() {
            let expected = self.ledger().read(TENANT, |view| view.expected(*item_id)).unwrap();
            for (place, place_id) in places.iter().enumerate() {
                let here = expected.iter().filter(|one| one.location == *place_id);
                let here: Quantity = here.map(|one| one.incoming.quantity).sum();
                assert_eq!(here.whole_units(), self.model.incoming(item, place), "incoming");
            }
        }
    }

    /// An order's closed lines are called by the item they were of until somebody has to do with them.
    fn by_now(&self, mut said: Said) -> Said {
        if let Said::Order(_, lines) | Said::Recorded { order: Some(_), lines, .. } = &mut said {
            for line in lines {
                line.sku.clone_from(&self.model.skus[self.model.sku(&line.sku).ok().unwrap()]);
            }
        }
        said
    }

    /// An item of the ledger as the model knows it: what was closed when its item was merged is of the other too.
    fn item(&self, items: &[ItemId], id: ItemId) -> usize {
        self.model.live(items.iter().position(|item| *item == id).unwrap())
    }

    fn compare_sessions(&self) {
        assert_eq!(self.sessions.len(), self.model.sessions.len(), "sessions");
        for (id, shall) in self.sessions.iter().zip(&self.model.sessions) {
            let value = self.ledger().read(TENANT, |view| view.get(&Key::Session(*id))).unwrap();
            let Some(Value::Session(known)) = value else { panic!("a session") };
            assert_eq!(known.state, shall.state, "{known:?} shall be {shall:?}");
        }
    }

    fn compare_published(&self) {
        let listings = self.model.listings.iter().enumerate();
        for ((nth, (_, listed, ..)), (remote, place)) in
            listings.flat_map(|listing| BEHIND.map(|behind| (listing, behind)))
        {
            let shown = self.ledger().read(TENANT, |view| {
                let (system, known) = view.system_by_name("WEB")?.unwrap();
                let (id, listing) = view.listing_by_remote(system, listed)?.unwrap();
                desired_at(view, id, &listing, &known, remote)
            });
            let shown = shown.unwrap().unwrap();
            let shall = self.model.shown(nth, place);
            assert_eq!(shown.quantity.whole_units(), shall, "{listed} at {remote}: {shown:?}");
        }
    }

    fn compare_discrepancies(&self) {
        let (from, to) = (Key::Discrepancy(DiscrepancyId(0)), Key::Discrepancy(DiscrepancyId(Seq::MAX >> 1)));
        let found = self.ledger().read(TENANT, |view| view.range(&from, &to, false, 10_000)).unwrap();
        // By cause: how many there ever were, and how many are open.
        let mut told = BTreeMap::<Cause, (usize, usize)>::new();
        for (_, value) in found {
            if let Value::Discrepancy(discrepancy) = value {
                let (all, open) = told.entry(discrepancy.cause).or_default();
                *all += 1;
                *open += usize::from(discrepancy.resolved_at.is_none());
            }
        }
        assert_eq!(told, self.model.told_discrepancies(), "discrepancies by cause: ever, and open");
    }
}
