//! A rehearsal answers what the commands are answered, and does nothing.

#[path = "support/kept.rs"]
mod kept;

#[path = "support/cases.rs"]
mod cases;

use std::sync::Arc;

use kept::Kept::{self, File, Memory, Postgres};
use onhand_engine::{CommitError, Ledger, ManualClock, Options, Rehearsal, Submission};
use onhand_ledger::command::{
    Adjust, CancelOrder, ConvertHold, FulfilOrder, Line, PlaceHold, PlaceOrder, PutItem, PutLocation, PutLot,
    Receive, ReturnOrder, Reverse, SetLowStock, TakeCount, Transfer,
};
use onhand_ledger::model::Tracking;
use onhand_ledger::{Answer, Body, Command, HoldId, Instant, OrderId, Quantity, Seq, StockState, TenantId};
use onhand_store::{MemoryStore, Store};
use proptest::prelude::*;
use rstest::rstest;

const TENANT: TenantId = TenantId::DEFAULT;
const START: &str = "2026-11-23T08:00:00Z";

/// A command, with numbers instead of what is known only later.
#[derive(Clone, Debug)]
struct Act {
    what: u8,
    sku: usize,
    place: usize,
    quantity: i64,
    /// Minutes before now that it happened.
    ago: i64,
    /// Which of the orders, holds or entries there are.
    which: u64,
    /// A key; few of them, so that some come twice.
    key: Option<u8>,
}

const SKUS: [&str; 6] = ["MUG", "A", "B", "KIT", "TEA", "NOBODY"];
const PLACES: [&str; 3] = ["LONDON", "PARIS", "NOWHERE"];

fn act() -> impl Strategy<Value = Act> {
    (
        0..16_u8,
        0..SKUS.len(),
        0..20_usize,
        1..9_i64,
        0..90_i64,
        0..200_u64,
        prop::option::weighted(0.3, 0..6_u8),
    )
        .prop_map(|(what, sku, place, quantity, ago, which, key)| {
            let place = if place == 19 { 2 } else { place % 2 };
            Act { what, sku, place, quantity, ago, which, key }
        })
}

fn body(act: &Act, now: Instant) -> Body {
    let sku = SKUS[act.sku].to_owned();
    let location = PLACES[act.place].to_owned();
    let quantity = Quantity::units(act.quantity);
    let lot = (sku == "TEA").then(|| format!("L{}", act.which % 3));
    let lines = vec![Line { lot, ..Line::new(sku.clone(), quantity) }];
    let then = Some(now.plus_micros(-act.ago * 60_000_000));
    let order = OrderId(act.which);
    match act.what {
        0..3 => Body::Receive(Receive { location, lines, occurred_at: then, reason: None }),
        3 => Body::Count(TakeCount { location, lines, as_of: then, inside: false, system: None, net: false }),
        4 => {
            let lines = lines.into_iter().map(|line| Line { quantity: -line.quantity, ..line }).collect();
            Body::Adjust(Adjust { location, lines, occurred_at: then, reason: "shrinkage".to_owned() })
        }
        5..8 => {
            let reference = act.which.is_multiple_of(3).then(|| format!("A-{}", act.which % 5));
            Body::PlaceOrder(PlaceOrder { reference, lines, ..PlaceOrder::default() })
        }
        8 => Body::PlaceHold(PlaceHold {
            lines,
            expires_at: now.plus_micros((act.ago + 1) * 60_000_000),
            ..PlaceHold::default()
        }),
        9 => Body::ConvertHold(ConvertHold { hold: HoldId(act.which), reference: None }),
        10 => Body::FulfilOrder(FulfilOrder { order, lines: None, occurred_at: then }),
        11 => Body::CancelOrder(CancelOrder { order, lines: None }),
        12 => Body::Transfer(Transfer {
            from: location,
            to: PLACES[1 - act.place.min(1)].to_owned(),
            lines,
            occurred_at: then,
        }),
        13 => Body::Reverse(Reverse { seq: act.which, quantity: None, reason: "correction".to_owned() }),
        14 => Body::Group(vec![
            Body::SetLowStock(SetLowStock { sku, location: None, level: Some(quantity) }),
            Body::ReturnOrder(ReturnOrder {
                order,
                lines: Vec::new(),
                location: None,
                into: StockState::Available,
                occurred_at: None,
            }),
        ]),
        _ => Body::PutItem(PutItem {
            sku,
            barcodes: Some(vec![format!("B{}", act.quantity)]),
            ..PutItem::default()
        }),
    }
}

struct Shop {
    ledger: Ledger,
    clock: Arc<ManualClock>,
}

type Told = Result<(Answer, bool), String>;

impl Shop {
    fn open(store: Box<dyn Store>, options: Options) -> Self {
        let clock = Arc::new(ManualClock::at(Instant::parse(START).unwrap()));
        let shop = Self { ledger: Ledger::open(store, clock.clone(), options).unwrap(), clock };
        let item = |sku: &str| PutItem { sku: sku.to_owned(), ..PutItem::default() };
        let kit = Some(vec![Line::new("A", Quantity::units(2)), Line::new("B", Quantity::units(1))]);
        for put in [
            item("MUG"),
            item("A"),
            item("B"),
            PutItem { kit, ..item("KIT") },
            PutItem { tracking: Some(Tracking::Lots), ..item("TEA") },
        ] {
            shop.commit(command(Body::PutItem(put), None)).unwrap();
        }
        for code in ["LONDON", "PARIS"] {
            let put = PutLocation { code: code.to_owned(), ..PutLocation::default() };
            shop.commit(command(Body::PutLocation(put), None)).unwrap();
        }
        let expires = Some("2026-11-23".parse().unwrap());
        let lot = PutLot { sku: "TEA".to_owned(), lot: "L0".to_owned(), expires, ..PutLot::default() };
        shop.commit(command(Body::PutLot(lot), None)).unwrap();
        shop
    }

    fn commit(&self, command: Command) -> Told {
        let submission = Submission { tenant: TENANT, command: Some(command), notes: Vec::new() };
        let result = self.ledger.commit(vec![submission]).remove(0);
        result.map(|committed| (committed.answer, committed.replayed)).map_err(|error| error.to_string())
    }

    fn head(&self) -> Seq {
        self.ledger.read(TENANT, |view| Ok(view.seq())).unwrap()
    }
}

fn command(body: Body, key: Option<u8>) -> Command {
    Command::keyed(key.map(|key| format!("key-{key}")), "test", body)
}

/// Some is done, then the rest is rehearsed in parts, and then done.
fn is_as_rehearsed(shop: &Shop, before: &[Act], acts: &[Act]) -> Result<(), TestCaseError> {
    let start = Instant::parse(START).unwrap();
    for (minute, act) in (1..).zip(before) {
        let now = start.plus_micros(minute * 60_000_000);
        shop.clock.set(now);
        let _ = shop.commit(command(body(act, now), act.key));
    }
    let now = start.plus_micros(3_600_000_000);
    shop.clock.set(now);
    let head = shop.head();
    let commands: Vec<Command> = acts.iter().map(|act| command(body(act, now), act.key)).collect();
    let mut rehearsal = None;
    let mut rehearsed: Vec<Told> = Vec::new();
    for part in commands.chunks(3) {
        let told = shop.ledger.read(TENANT, |view| {
            let rehearsal = rehearsal.get_or_insert_with(|| Rehearsal::begin_exactly(view));
            Ok(part
                .iter()
                .map(|command| match rehearsal.decide(view, command) {
                    Ok(rehearsed) => Ok((rehearsed.answer, rehearsed.replayed)),
                    Err(error @ CommitError::Invalid(_)) => Err(error.to_string()),
                    Err(error) => panic!("{error}"),
                })
                .collect::<Vec<_>>())
        });
        rehearsed.extend(told.unwrap());
    }
    prop_assert_eq!(shop.head(), head, "a rehearsal does nothing");
    for (index, command) in commands.into_iter().enumerate() {
        let text = format!("{command:?}");
        prop_assert_eq!(&shop.commit(command), &rehearsed[index], "{} of {}", index, text);
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases::config(96, 400))]

    #[test]
    fn what_is_rehearsed_is_what_comes(
        before in prop::collection::vec(act(), 0..40),
        acts in prop::collection::vec(act(), 1..30),
    ) {
        let evicting = Options { flush_at: 0, slice: 1, cache: 0 };
        let slicing = Options { flush_at: 4, slice: 2, cache: 8 };
        for options in [Options::default(), evicting, slicing] {
            is_as_rehearsed(&Shop::open(Box::new(MemoryStore::default()), options), &before, &acts)?;
        }
    }
}

proptest! {
    #![proptest_config(cases::config(8, 40))]

    #[test]
    fn what_is_rehearsed_is_what_comes_on_each_engine(
        before in prop::collection::vec(act(), 0..40),
        acts in prop::collection::vec(act(), 1..30),
    ) {
        for kept in [File, Postgres] {
            let place = kept.place();
            is_as_rehearsed(&Shop::open(place.store(), place.options()), &before, &acts)?;
        }
    }
}

#[rstest]
fn what_comes_meanwhile_does_no_harm(#[values(Memory, File, Postgres)] kept: Kept) {
    let place = kept.place();
    let shop = Shop::open(place.store(), place.options());
    let receive = |quantity| {
        let lines = vec![Line::new("MUG", Quantity::units(quantity))];
        let location = "LONDON".to_owned();
        Body::Receive(Receive { location, lines, occurred_at: None, reason: None })
    };
    let order = |quantity| {
        let lines = vec![Line::new("MUG", Quantity::units(quantity))];
        Body::PlaceOrder(PlaceOrder { lines, ..PlaceOrder::default() })
    };
    shop.commit(command(receive(5), None)).unwrap();
    let mut rehearsal = shop.ledger.read(TENANT, |view| Ok(Rehearsal::begin(view))).unwrap();
    let mut rehearse = |body: Body| {
        let told = shop.ledger.read(TENANT, |view| Ok(rehearsal.decide(view, &command(body, None))));
        told.unwrap().unwrap().answer
    };
    assert!(matches!(rehearse(order(3)), Answer::Order(..)));
    // Somebody else orders, and makes things that get the numbers which the rehearsal's would have had.
    shop.commit(command(order(1), None)).unwrap();
    let put = PutItem { sku: "NEW".to_owned(), ..PutItem::default() };
    shop.commit(command(Body::PutItem(put), None)).unwrap();
    assert!(matches!(rehearse(order(2)), Answer::Order(..)), "the cell was looked at before");
    assert!(matches!(rehearse(order(1)), Answer::Refused(_)), "five were there");
    let stock = shop.commit(command(order(4), None)).unwrap();
    assert!(matches!(stock.0, Answer::Order(..)), "four are there, whatever was rehearsed");
}
