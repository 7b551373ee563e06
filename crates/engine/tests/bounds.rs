//! How much of everything there may be: what is as much as may be is done, and one more is refused with nothing changed.

#[path = "support/kept.rs"]
mod kept;
#[path = "support/shop.rs"]
#[expect(dead_code, reason = "the examples use the rest")]
mod shop;

use kept::Kept::{self, File, Memory, Postgres};
use kept::Place;
use onhand_ledger::command::{
    Adjust, ChangeAliases, Content, Document, Happened, Line, MergeItems, MovementLine, Name, OpenSession,
    OrderContent, PlaceOrder, PlacePurchase, PlanTransfer, PurchaseOrderLine, PutItem, PutLocation,
    SetPublication, Sight, Sighting,
};
use onhand_ledger::model::Pack;
use onhand_ledger::{Answer, Body, Quantity, SessionId};
use rstest::rstest;
use shop::{Shop, units};

fn shop(place: &Place) -> Shop {
    Shop::over(place.store(), place.options())
}

/// Of each so much may be. Each is told to a shop of its own.
fn at_most(kept: Kept, most: usize, body: impl Fn(&Shop, usize) -> Body) {
    let place = kept.place();
    let shop = shop(&place);
    let (more, all) = (body(&shop, most + 1), body(&shop, most));
    let head = shop.head();
    let refused = match shop.keyed(None, more) {
        Err(_) => true,
        Ok(committed) => matches!(committed.answer, Answer::Refused(_)),
    };
    assert!(refused, "{} is more than may be", most + 1);
    assert_eq!(shop.head(), head, "nothing was changed");
    let done = shop.keyed(None, all);
    let done = done.unwrap_or_else(|error| panic!("{most} is as much as may be: {error}")).answer;
    assert!(!matches!(done, Answer::Refused(_)), "{most} is as much as may be: {done:?}");
}

fn letters(number: usize) -> String {
    "x".repeat(number)
}

/// So many items, by their SKUs.
fn items(shop: &Shop, number: usize) -> Vec<String> {
    let skus: Vec<String> = (0..number).map(|nth| format!("ITEM-{nth}")).collect();
    for sku in &skus {
        shop.tell(Body::PutItem(PutItem { sku: sku.clone(), ..PutItem::default() }));
    }
    skus
}

fn one_of(sku: &str) -> Line {
    Line::new(sku.to_owned(), Quantity::ONE)
}

fn put(code: &str) -> PutLocation {
    PutLocation { code: code.to_owned(), ..PutLocation::default() }
}

#[rstest]
fn names_have_an_end(#[values(Memory, File, Postgres)] kept: Kept) {
    let order = |content| Document { system: "WEB".to_owned(), document: String::new(), version: 1, content };
    at_most(kept, 255, |_, number| {
        let content = Content::Order(OrderContent::default());
        Body::Record(Document { document: letters(number), ..order(content) })
    });
    at_most(kept, 255, |shop, number| {
        shop.receive("MUG", 1);
        let (reference, lines) = (Some(letters(number)), units("MUG", 1));
        Body::PlaceOrder(PlaceOrder { reference, lines, backorder: Some(true), ..PlaceOrder::default() })
    });
    at_most(kept, 40, |shop, number| {
        shop.receive("MUG", 9);
        let (location, lines) = ("LONDON".to_owned(), units("MUG", -1));
        Body::Adjust(Adjust { location, lines, occurred_at: None, reason: letters(number) })
    });
    // A region is a code, in which no address has room.
    at_most(kept, 3, |_, number| {
        let region = ["XXX"; 2].join("-") + "-" + &letters(number).to_uppercase();
        let content = Content::Order(OrderContent { ship_to: Some(region), ..OrderContent::default() });
        Body::Record(Document { document: "1".to_owned(), ..order(content) })
    });
    at_most(kept, 3, |_, parts| {
        let region = vec!["XXX"; parts].join("-");
        let content = Content::Order(OrderContent { ship_to: Some(region), ..OrderContent::default() });
        Body::Record(Document { document: "1".to_owned(), ..order(content) })
    });
}

#[rstest]
fn a_key_has_an_end(#[values(Memory, File, Postgres)] kept: Kept) {
    let place = kept.place();
    let shop = shop(&place);
    let tell = |key: usize| shop.keyed(Some(&letters(key)), Body::Tick);
    assert!(tell(255).is_ok());
    assert!(tell(256).is_err() && tell(0).is_err());
}

#[rstest]
fn documents_have_so_many_lines_at_most(#[values(Memory, File, Postgres)] kept: Kept) {
    at_most(kept, 1_000, |shop, number| {
        shop.tell(Body::PutLocation(put("PARIS")));
        let (from, to) = ("LONDON".to_owned(), "PARIS".to_owned());
        let lines = vec![one_of("MUG"); number];
        Body::PlanTransfer(PlanTransfer { reference: None, from, to, lines, expected_on: None })
    });
    at_most(kept, 1_000, |_, number| {
        let line = PurchaseOrderLine {
            pack: None,
            sku: "MUG".to_owned(),
            quantity: Quantity::ONE,
            expected_on: None,
            unit_cost: None,
        };
        Body::PlacePurchase(PlacePurchase {
            supplier: "Potters".to_owned(),
            reference: None,
            location: "LONDON".to_owned(),
            expected_on: None,
            lines: vec![line; number],
        })
    });
    at_most(kept, 1_000, |_, number| Body::Group(vec![Body::Tick; number]));
}

#[rstest]
fn an_item_has_so_many_names_and_codes_at_most(#[values(Memory, File, Postgres)] kept: Kept) {
    let names = |number: usize| (0..number).map(|nth| format!("NAME-{nth}")).collect::<Vec<_>>();
    at_most(kept, 100, |_, number| {
        Body::ChangeAliases(ChangeAliases { sku: "MUG".to_owned(), add: names(number), remove: Vec::new() })
    });
    at_most(kept, 50, |_, number| {
        let pack = |nth| Pack { name: format!("PACK-{nth}"), quantity: Quantity::units(2), barcode: None };
        let packs = Some((0..number).map(pack).collect());
        Body::PutItem(PutItem { sku: "MUG".to_owned(), packs, ..PutItem::default() })
    });
    at_most(kept, 100, |shop, number| {
        let kit = Some(items(shop, number).iter().map(|sku| one_of(sku)).collect());
        Body::PutItem(PutItem { sku: "KIT".to_owned(), kit, ..PutItem::default() })
    });
}

#[rstest]
fn what_is_merged_has_no_more_names_and_codes_than_another(#[values(Memory, File, Postgres)] kept: Kept) {
    // The SKU of the one becomes an alias of the other too.
    for (aliases, codes, is_done) in [(49, 25, true), (50, 0, false), (0, 26, false)] {
        let place = kept.place();
        let shop = shop(&place);
        for (sku, aliases, codes) in [("A", aliases, codes), ("B", 50, 25)] {
            let aliases = (0..aliases).map(|nth| format!("{sku}-{nth}")).collect();
            let barcodes = (0..codes).map(|nth| format!("{sku}{nth}")).collect();
            let (sku, aliases, barcodes) = (sku.to_owned(), Some(aliases), Some(barcodes));
            shop.tell(Body::PutItem(PutItem { sku, aliases, barcodes, ..PutItem::default() }));
        }
        let told = shop.tell(Body::MergeItems(MergeItems { from: "A".to_owned(), into: "B".to_owned() }));
        assert_eq!(matches!(told, Answer::Merged(_)), is_done, "{aliases} and {codes}: {told:?}");
    }
}

#[rstest]
fn kits_in_kits_are_so_deep_at_most_also_where_the_innermost_becomes_one(
    #[values(Memory, File, Postgres)] kept: Kept,
) {
    let kit = |sku: &str, of: &str| {
        let (sku, kit) = (sku.to_owned(), Some(vec![one_of(of)]));
        Body::PutItem(PutItem { sku, kit, ..PutItem::default() })
    };
    at_most(kept, 16, |shop, number| {
        // Each shop is asked for the deeper ones first: those that are not as deep are kits of other things.
        let name =
            |depth: usize| if depth == 0 { format!("A{number}") } else { format!("K{number}-{depth}") };
        shop.tell(Body::PutItem(PutItem { sku: name(0), ..PutItem::default() }));
        for depth in 1..number {
            let told = shop.tell(kit(&name(depth), &name(depth - 1)));
            assert!(matches!(told, Answer::Item(_)), "{told:?}");
        }
        kit(&name(0), "MUG")
    });
}

#[rstest]
fn a_place_is_so_deep_at_most(#[values(Memory, File, Postgres)] kept: Kept) {
    at_most(kept, 10, |shop, number| {
        let code = |depth: usize| format!("DEPTH-{depth}");
        for depth in 1..number {
            let parent = (depth > 1).then(|| code(depth - 1));
            shop.tell(Body::PutLocation(PutLocation { parent, ..put(&code(depth)) }));
        }
        Body::PutLocation(PutLocation { parent: Some(code(number - 1)), ..put("DEEPEST") })
    });
}

#[rstest]
fn a_share_is_all_of_it_at_most(#[values(Memory, File, Postgres)] kept: Kept) {
    let percent = |number: usize| u8::try_from(number).unwrap();
    at_most(kept, 100, |_, number| {
        Body::SetPublication(SetPublication {
            percentage: Some(percent(number)),
            ..SetPublication::default()
        })
    });
}

fn session(shop: &Shop, open: OpenSession) -> SessionId {
    let opened = shop.tell(Body::OpenSession(OpenSession { location: "LONDON".to_owned(), ..open }));
    let Answer::Session(id) = opened else { panic!("{opened:?}") };
    id
}

fn seen(sku: &str) -> Sighting {
    let sku = sku.to_owned();
    Sighting { sku, quantity: Quantity::ONE, lot: None, serials: None, seen_at: None }
}

#[rstest]
fn a_session_counts_so_many_items_at_most_each_so_often_at_most(
    #[values(Memory, File, Postgres)] kept: Kept,
) {
    at_most(kept, 2_000, |shop, number| {
        let (location, skus) = ("LONDON".to_owned(), Some(items(shop, number)));
        Body::OpenSession(OpenSession { location, skus, ..OpenSession::default() })
    });
    at_most(kept, 2_000, |shop, number| {
        let lines = items(shop, number).iter().map(|sku| seen(sku)).collect();
        Body::Sight(Sight { session: session(shop, OpenSession::default()), lines })
    });
    let place = kept.place();
    let shop = shop(&place);
    let id = session(&shop, OpenSession::default());
    let look = || shop.keyed(None, Body::Sight(Sight { session: id, lines: vec![seen("MUG")] }));
    for _ in 0..50 {
        look().unwrap();
    }
    assert!(look().unwrap_err().to_string().contains("50 times"));
}

#[rstest]
fn a_movement_of_a_document_moves_something(#[values(Memory, File, Postgres)] kept: Kept) {
    let movements = |lines| {
        let (system, document) = ("WEB".to_owned(), "till".to_owned());
        Body::Record(Document { system, document, version: 1, content: Content::Movements(lines) })
    };
    let line = |quantity| MovementLine {
        line: "1".to_owned(),
        item: Name::Sku("MUG".to_owned()),
        location: "LONDON".to_owned(),
        what: Happened::Found,
        quantity,
        occurred_at: None,
        reason: None,
    };
    let place = kept.place();
    let shop = shop(&place);
    for nothing in [line(Quantity::ZERO), line(-Quantity::ONE)] {
        assert!(shop.keyed(None, movements(vec![nothing])).is_err());
    }
    let told = shop.tell(movements(vec![line(Quantity::from_micros(1_000_000))]));
    assert!(matches!(told, Answer::Recorded { .. }), "{told:?}");
}
