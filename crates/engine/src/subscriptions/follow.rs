//! What of the log is told to subscribers, and what messages say of it.
//!
//! A message says what is so now, at the entry it names, whatever entry made it: so several changes of one thing are one message, and
//! the last says the last. Whoever gets messages out of order drops those with a lower `seq`.

use std::collections::{BTreeMap, BTreeSet};

use onhand_ledger::key::StockState;
use onhand_ledger::model::{Cause, Choice, Order, OrderLine};
use onhand_ledger::{
    DiscrepancyId, Entry, Instant, ItemId, Key, LocationId, OrderId, Quantity, Record, Seq, TenantId, Value,
};
use onhand_store::StoreError;
use serde::Serialize;

use super::{Event, Fate, Message, Standing, Subscription, Sweep};
use crate::commit::Ledger;
use crate::open::open_of;
use crate::stock::Shelf;
use crate::view::View;

/// So many records are looked at together.
const RECORDS: usize = 200;
/// Of so many things it is said in one read how they are: whoever commits waits for it.
const TOLD: usize = 50;
/// So many items of a sweep are looked at together.
const SWEPT: usize = 100;
/// The schema of what messages say.
const VERSION: u32 = 1;
/// Sentences are cut after so many letters: messages stay small.
const LETTERS: usize = 1_000;

/// What is to be told.
pub(super) struct Found {
    /// What the log says up to here.
    pub seq: Seq,
    /// What is to be told besides.
    pub sweep: Option<Sweep>,
    pub messages: Vec<Message>,
}

/// The last that touched something: its entry, and when it was recorded.
type Touch = (Seq, Instant);

/// What was touched.
#[derive(Default)]
struct Touched {
    /// Items, each at some places; none: wherever they are.
    stock: BTreeMap<ItemId, (Option<BTreeSet<LocationId>>, Touch)>,
    opened: BTreeMap<DiscrepancyId, Touch>,
    resolved: BTreeMap<DiscrepancyId, Touch>,
    orders: BTreeMap<OrderId, Touch>,
    /// Places that are other than they were: whether they sell, what they are inside of.
    places: BTreeSet<LocationId>,
}

/// One thing to tell.
enum Thing {
    Stock(ItemId, Option<BTreeSet<LocationId>>),
    Opened(DiscrepancyId),
    Resolved(DiscrepancyId),
    Order(OrderId),
}

/// What is to be told of what the log says next, and of what is told besides; none where nothing is.
pub(super) fn follow(
    ledger: &Ledger,
    tenant: TenantId,
    subscription: &Subscription,
    standing: &Standing,
) -> Result<Option<Found>, StoreError> {
    let now = ledger.clock().now();
    let looked = ledger.read(tenant, |view| {
        let records = view.records_after(standing.seq, RECORDS)?;
        let Some((first, last)) = records.last() else {
            return Ok(standing.sweep.is_some().then(|| (standing.seq, Touched::default())));
        };
        let seq = first + last.entries.len() as Seq - 1;
        Ok(Some((seq, touched(view, subscription, &records)?)))
    })?;
    let Some((seq, mut touched)) = looked else { return Ok(None) };
    // What it was asked for before it was told of other events only is told no more.
    let mut sweep = match standing.sweep.as_ref().filter(|_| subscription.wants(Event::StockChanged)) {
        None => None,
        Some(sweep) => ledger.read(tenant, |view| touched.sweep(view, sweep))?,
    };
    if !touched.places.is_empty() {
        let places = Some(std::mem::take(&mut touched.places));
        sweep = Some(Sweep { places, after: ItemId(0) }.and(sweep));
    }
    let mut messages = Vec::new();
    for some in touched.things().chunks(TOLD) {
        ledger.read(tenant, |view| {
            for (thing, touch) in some {
                let mut teller = Teller { subscription, touch: *touch, now, messages: &mut messages };
                teller.tell(view, thing)?;
            }
            Ok(())
        })?;
    }
    Ok(Some(Found { seq, sweep, messages }))
}

fn touched(
    view: &mut View<'_>,
    subscription: &Subscription,
    records: &[(Seq, Record)],
) -> Result<Touched, StoreError> {
    let mut touched = Touched::default();
    for (first, record) in records {
        for (seq, entry) in (*first..).zip(&record.entries) {
            let touch = (seq, record.recorded_at);
            match entry {
                Entry::Discrepancy(id, known)
                    if known.resolved_at.is_some() && subscription.wants(Event::DiscrepancyResolved) =>
                {
                    touched.resolved.insert(*id, touch);
                }
                // It has the number of an entry of the record that it came up with.
                Entry::Discrepancy(id, known)
                    if known.resolved_at.is_none()
                        && id.0 >= *first
                        && subscription.wants(Event::DiscrepancyOpened) =>
                {
                    touched.opened.insert(*id, touch);
                }
                Entry::Order(id, _) if subscription.wants(Event::OrderChanged) => {
                    touched.orders.insert(*id, touch);
                }
                // One that came to be has nothing yet.
                Entry::Location(id, _) if id.0 < *first && subscription.wants(Event::StockChanged) => {
                    let sites = view.sites()?;
                    touched.places.extend(sites.below(*id, false));
                    touched.places.extend(sites.above(*id));
                }
                entry if subscription.wants(Event::StockChanged) => {
                    touched.stock_of(view, entry, touch)?;
                }
                _ => {}
            }
        }
    }
    touched.kits(view)?;
    Ok(touched)
}

impl Touched {
    fn stock_of(&mut self, view: &mut View<'_>, entry: &Entry, touch: Touch) -> Result<(), StoreError> {
        match entry {
            Entry::Movement(movement) => {
                for side in [movement.from, movement.to].into_iter().filter(|side| !side.state.is_party()) {
                    self.touch(movement.item, Some(side.location), touch);
                }
            }
            Entry::Item(item, _) => self.touch(*item, None, touch),
            Entry::Lot(_, lot) => self.touch(lot.item, None, touch),
            Entry::Expires { lot, location, .. } => {
                if let Some(lot) = view.lot(*lot)? {
                    self.touch(lot.item, Some(*location), touch);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn touch(&mut self, item: ItemId, place: Option<LocationId>, touch: Touch) {
        let (places, last) = self.stock.entry(item).or_insert((Some(BTreeSet::new()), touch));
        *last = touch;
        match (place, places) {
            (Some(place), Some(places)) => _ = places.insert(place),
            (None, places) => *places = None,
            (Some(_), None) => {}
        }
    }

    /// Touches some more items of a sweep; says what is left of it.
    fn sweep(&mut self, view: &mut View<'_>, sweep: &Sweep) -> Result<Option<Sweep>, StoreError> {
        let touch = (view.seq(), view.now);
        let (from, to) = (Key::Item(ItemId(sweep.after.0 + 1)), Key::Item(ItemId(Seq::MAX >> 1)));
        let page = view.range(&from, &to, false, SWEPT)?;
        let is_more = page.len() >= SWEPT;
        let mut last = sweep.after;
        for (key, value) in page {
            let (Key::Item(id), Value::Item(item)) = (key, value) else { continue };
            last = id;
            let Some(places) = &sweep.places else {
                self.touch(id, None, touch);
                continue;
            };
            let mut there: BTreeSet<LocationId> =
                view.cells_of(id)?.into_iter().map(|(cell, _)| cell.location).collect();
            if !item.kit.is_empty() {
                there.extend(places);
            }
            for place in there.intersection(places) {
                self.touch(id, Some(*place), touch);
            }
        }
        Ok(is_more.then(|| Sweep { places: sweep.places.clone(), after: last }))
    }

    /// What of a kit can be built follows from what it is built of; it is said at sites.
    fn kits(&mut self, view: &mut View<'_>) -> Result<(), StoreError> {
        let parts: Vec<_> =
            self.stock.iter().map(|(item, (places, touch))| (*item, places.clone(), *touch)).collect();
        for (item, places, touch) in parts {
            for kit in view.kits_around(item)? {
                let Some(places) = &places else {
                    self.touch(kit, None, touch);
                    continue;
                };
                let sites = view.sites()?;
                for place in places {
                    let site = sites.above(*place).last().copied().unwrap_or(*place);
                    self.touch(kit, Some(site), touch);
                }
            }
        }
        Ok(())
    }

    fn things(self) -> Vec<(Thing, Touch)> {
        let stock = self.stock.into_iter().map(|(item, (places, touch))| (Thing::Stock(item, places), touch));
        let opened = self.opened.into_iter().map(|(id, touch)| (Thing::Opened(id), touch));
        let resolved = self.resolved.into_iter().map(|(id, touch)| (Thing::Resolved(id), touch));
        let orders = self.orders.into_iter().map(|(id, touch)| (Thing::Order(id), touch));
        stock.chain(opened).chain(resolved).chain(orders).collect()
    }
}

/// As the specification recommends it.
#[derive(Serialize)]
struct Payload<'a, T> {
    r#type: &'static str,
    /// When it happened.
    timestamp: String,
    data: &'a T,
}

#[derive(Serialize, Default)]
struct StockData {
    version: u32,
    seq: Seq,
    #[serde(skip_serializing_if = "is_false")]
    test: bool,
    sku: String,
    location: String,
    available: Quantity,
    unsellable: Quantity,
    reserved: Quantity,
    committed: Quantity,
    damaged: Quantity,
    quality_control: Quantity,
    safety_stock: Quantity,
    on_hand: Quantity,
    buildable: Quantity,
    in_transit: Quantity,
}

#[derive(Serialize)]
struct DiscrepancyData {
    version: u32,
    seq: Seq,
    #[serde(skip_serializing_if = "is_false")]
    test: bool,
    id: u64,
    cause: Cause,
    sentence: String,
    sku: Option<String>,
    location: Option<String>,
    system: String,
    document: Option<String>,
    opened_at: String,
    resolved_at: Option<String>,
    chosen: Option<Choice>,
}

#[derive(Serialize, Default)]
struct OrderData {
    version: u32,
    seq: Seq,
    #[serde(skip_serializing_if = "is_false")]
    test: bool,
    id: u64,
    system: String,
    document: String,
    cancelled: bool,
    wanted: Quantity,
    allocated: Quantity,
    short: Quantity,
    shipped: Quantity,
    open: Quantity,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
const fn is_false(told: &bool) -> bool {
    !*told
}

fn body(event: Event, at: Instant, data: &impl Serialize) -> String {
    let payload = Payload { r#type: event.name(), timestamp: at.to_string(), data };
    serde_json::to_string(&payload).expect("a message can always be written")
}

/// Makes messages of one thing.
struct Teller<'a> {
    subscription: &'a Subscription,
    touch: Touch,
    now: Instant,
    messages: &'a mut Vec<Message>,
}

impl Teller<'_> {
    fn tell(&mut self, view: &mut View<'_>, thing: &Thing) -> Result<(), StoreError> {
        match thing {
            Thing::Stock(item, places) => self.stock(view, *item, places.as_ref()),
            Thing::Opened(id) => self.discrepancy(view, Event::DiscrepancyOpened, *id),
            Thing::Resolved(id) => self.discrepancy(view, Event::DiscrepancyResolved, *id),
            Thing::Order(id) => self.order(view, *id),
        }
    }

    fn stock(
        &mut self,
        view: &mut View<'_>,
        id: ItemId,
        places: Option<&BTreeSet<LocationId>>,
    ) -> Result<(), StoreError> {
        let Some(item) = view.item(id)? else { return Ok(()) };
        let shelves = view.shelves(id, None, None)?;
        let places = places.cloned().unwrap_or_else(|| shelves.keys().copied().collect());
        for place in places {
            let Some(location) = view.location(place)? else { continue };
            // Where nothing is any more nothing is said, and all of it is zero.
            let shelf = shelves.get(&place).cloned().unwrap_or_default();
            let data = stock_data(view.seq(), item.sku.clone(), location.code, &shelf);
            self.message(view, Event::StockChanged, format!("stock:{id}@{place}"), &data);
        }
        Ok(())
    }

    fn discrepancy(
        &mut self,
        view: &mut View<'_>,
        event: Event,
        id: DiscrepancyId,
    ) -> Result<(), StoreError> {
        let Some(known) = view.discrepancy(id)? else { return Ok(()) };
        let sku = known.item.map(|item| view.item(item)).transpose()?.flatten().map(|item| item.sku);
        let location = known.location.map(|location| view.location(location)).transpose()?.flatten();
        let system = view.system(known.system)?.map_or_else(|| "onhand".to_owned(), |system| system.name);
        let data = DiscrepancyData {
            version: VERSION,
            seq: view.seq(),
            test: false,
            id: id.0,
            cause: known.cause,
            sentence: known.sentence.chars().take(LETTERS).collect(),
            sku,
            location: location.map(|location| location.code),
            system,
            document: known.document,
            opened_at: known.opened_at.to_string(),
            resolved_at: known.resolved_at.map(|at| at.to_string()),
            chosen: known.chosen,
        };
        self.message(view, event, format!("{}:{id}", event.name()), &data);
        Ok(())
    }

    fn order(&mut self, view: &mut View<'_>, id: OrderId) -> Result<(), StoreError> {
        let Some(Value::Order(order)) = view.get(&Key::Order(id))? else { return Ok(()) };
        let system = view.system(order.system)?.map_or_else(|| "onhand".to_owned(), |system| system.name);
        let data = order_data(view.seq(), id, system, &order);
        self.message(view, Event::OrderChanged, format!("order:{id}"), &data);
        Ok(())
    }

    fn message(&mut self, view: &View<'_>, event: Event, about: String, data: &impl Serialize) {
        let (touched, at) = self.touch;
        let mut hasher = blake3::Hasher::new();
        let (subscription, seq) = (&self.subscription.id, view.seq());
        hasher.update(format!("{}\0{subscription}\0{about}\0{touched}\0{seq}", view.tenant()).as_bytes());
        let digits: String = hasher.finalize().to_hex().chars().take(32).collect();
        self.messages.push(Message {
            id: format!("msg_{digits}"),
            event,
            about,
            seq,
            made_at: self.now,
            body: body(event, at, data),
            fate: Fate::Waiting,
            due_at: self.now,
            failures: 0,
            tried_at: None,
            attempts: Vec::new(),
        });
    }
}

fn stock_data(seq: Seq, sku: String, location: String, shelf: &Shelf) -> StockData {
    StockData {
        version: VERSION,
        seq,
        test: false,
        sku,
        location,
        available: shelf.available(),
        unsellable: shelf.unsellable,
        reserved: shelf.of(StockState::Reserved),
        committed: shelf.of(StockState::Committed),
        damaged: shelf.of(StockState::Damaged),
        quality_control: shelf.of(StockState::QualityControl),
        safety_stock: shelf.of(StockState::SafetyStock),
        on_hand: shelf.on_hand(),
        buildable: shelf.buildable,
        in_transit: shelf.of(StockState::InTransit),
    }
}

fn order_data(seq: Seq, id: OrderId, system: String, order: &Order) -> OrderData {
    OrderData {
        version: VERSION,
        seq,
        test: false,
        id: id.0,
        system,
        document: order.document.clone(),
        cancelled: order.cancelled,
        wanted: order.lines.iter().map(|line| line.wanted).sum(),
        allocated: order.lines.iter().flat_map(|line| &line.allocated).map(|at| at.quantity).sum(),
        short: order.lines.iter().map(|line| line.short).sum(),
        shipped: order.lines.iter().map(OrderLine::shipped_total).sum(),
        open: open_of(order),
    }
}

/// A message that says that it is a test: it looks as others of its kind do, and is about nothing that is.
pub(super) fn test_message(event: Event, id: String, seq: Seq, now: Instant) -> Message {
    const NAME: &str = "TEST";
    let body = match event {
        Event::StockChanged => {
            let data = stock_data(seq, NAME.to_owned(), NAME.to_owned(), &Shelf::default());
            body(event, now, &StockData { test: true, ..data })
        }
        Event::DiscrepancyOpened | Event::DiscrepancyResolved => {
            let data = DiscrepancyData {
                version: VERSION,
                seq,
                test: true,
                id: 0,
                cause: Cause::ManualEdit,
                sentence: "This is a test: webhooks arrive here.".to_owned(),
                sku: Some(NAME.to_owned()),
                location: Some(NAME.to_owned()),
                system: NAME.to_owned(),
                document: None,
                opened_at: now.to_string(),
                resolved_at: (event == Event::DiscrepancyResolved).then(|| now.to_string()),
                chosen: None,
            };
            body(event, now, &data)
        }
        Event::OrderChanged => {
            let (system, document) = (NAME.to_owned(), NAME.to_owned());
            let data =
                OrderData { version: VERSION, seq, test: true, system, document, ..OrderData::default() };
            body(event, now, &data)
        }
    };
    Message {
        about: format!("test:{id}"),
        id,
        event,
        seq,
        made_at: now,
        body,
        fate: Fate::Waiting,
        due_at: now,
        failures: 0,
        tried_at: None,
        attempts: Vec::new(),
    }
}
