//! Items: barcodes, packs, low stock, archiving, names, near-twins and merging; on every store, cached and not.

#[path = "support/shop.rs"]
#[expect(dead_code, reason = "the examples use the rest")]
mod shop;

use onhand_engine::CommitError;
use onhand_ledger::answer::{ItemNotes, Remains};
use onhand_ledger::command::{
    ChangeAliases, Content, Document, Happened, Line, MergeItems, MovementLine, Name, PlaceHold, PlaceOrder,
    PutItem, PutListing, PutLocation, Receive, RenameItem, ReturnOrder, SetLowStock, SetOwnership,
    SetPublication, TakeCount,
};
use onhand_ledger::model::Pack;
use onhand_ledger::{
    Answer, Body, Invalid, ItemId, Key, Precision, Quantity, Refusal, StockState, TenantId, Value,
};
use shop::{Shop, each_way, time, units};

const TENANT: TenantId = TenantId::DEFAULT;

fn put(sku: &str) -> PutItem {
    PutItem { sku: sku.to_owned(), ..PutItem::default() }
}

fn invalid(shop: &Shop, body: Body) -> Invalid {
    match shop.keyed(None, body) {
        Err(CommitError::Invalid(invalid)) => invalid,
        other => panic!("it is no command: {other:?}"),
    }
}

fn refused(shop: &Shop, body: Body) -> Refusal {
    match shop.tell(body) {
        Answer::Refused(refusal) => refusal,
        other => panic!("it is refused: {other:?}"),
    }
}

fn merge(from: &str, into: &str) -> Body {
    Body::MergeItems(MergeItems { from: from.to_owned(), into: into.to_owned() })
}

fn made(shop: &Shop, sku: &str) -> ItemId {
    match shop.tell(Body::PutItem(put(sku))) {
        Answer::Item(id) | Answer::ItemNoted(id, _) => id,
        other => panic!("it is made: {other:?}"),
    }
}

fn by_barcode(shop: &Shop, code: &str) -> Option<(String, Option<String>)> {
    let found = shop.ledger.read(TENANT, |view| view.item_by_barcode(code)).unwrap();
    found.map(|(_, item, pack)| (item.sku, pack.map(|pack| pack.name)))
}

fn twins(shop: &Shop) -> Vec<Vec<String>> {
    let (from, to) = (Key::Twins(String::new()), Key::Twins("\u{10ffff}".repeat(4)));
    let read = shop.ledger.read(TENANT, |view| {
        let mut groups = Vec::new();
        for (_, value) in view.range(&from, &to, false, 100)? {
            let Value::Items(items) = value else { panic!("twins are items") };
            let skus: Result<Vec<String>, _> =
                items.into_iter().map(|item| view.item(item).map(|item| item.unwrap().sku)).collect();
            groups.push(skus?);
        }
        Ok(groups)
    });
    read.unwrap()
}

#[test]
fn a_mistyped_gtin_is_refused_with_the_right_digit() {
    each_way(|shop| {
        let with =
            |code: &str| Body::PutItem(PutItem { barcodes: Some(vec![code.to_owned()]), ..put("MUG") });
        for (code, right) in
            [("96385075", 4), ("036000291453", 2), ("4006381333932", 1), ("10614141000414", 5)]
        {
            let said = invalid(&shop, with(code)).to_string();
            assert!(said.contains(&format!("should end with {right}")) && said.contains(code), "{said}");
            assert_eq!(by_barcode(&shop, code), None);
        }
        for code in ["96385074", "036000291452", "4006381333931", "10614141000415", "SHELF-7", "12345"] {
            assert!(matches!(shop.tell(with(code)), Answer::Item(_)), "{code}");
            assert_eq!(by_barcode(&shop, code), Some(("MUG".to_owned(), None)));
        }
        assert_eq!(by_barcode(&shop, "4006381333931"), None, "the last list of codes is the whole");
    });
}

#[test]
fn one_barcode_belongs_to_one_item() {
    each_way(|shop| {
        let with = |sku: &str, codes: &[&str]| {
            let barcodes = Some(codes.iter().map(|code| (*code).to_owned()).collect());
            Body::PutItem(PutItem { barcodes, ..put(sku) })
        };
        shop.tell(with("MUG", &["036000291452", "X1"]));
        let said = refused(&shop, with("A", &["X1"]));
        assert_eq!(said, Refusal::BarcodeTaken { barcode: "X1".into(), sku: "MUG".into() });
        // The same number, written as the scanner of another country does.
        assert!(matches!(refused(&shop, with("A", &["0036000291452"])), Refusal::BarcodeTaken { .. }));
        assert!(matches!(invalid(&shop, with("A", &["Y", "Y"])), Invalid::Twice { field: "barcodes", .. }));
        shop.tell(with("MUG", &["X2"]));
        shop.tell(with("A", &["X1", "0036000291452"]));
        assert_eq!(by_barcode(&shop, "036000291452"), Some(("A".to_owned(), None)));
        assert_eq!(by_barcode(&shop, "X2"), Some(("MUG".to_owned(), None)));
    });
}

#[test]
fn a_case_is_twenty_four_wherever_a_line_is_given() {
    each_way(|shop| {
        let case = Pack {
            name: "case".to_owned(),
            quantity: Quantity::units(24),
            barcode: Some("10614141000415".to_owned()),
        };
        shop.at("10:00").tell(Body::PutItem(PutItem { packs: Some(vec![case]), ..put("MUG") }));
        assert_eq!(by_barcode(&shop, "10614141000415"), Some(("MUG".to_owned(), Some("case".to_owned()))));
        let cases = |sku: &str, pack: &str, quantity: i64| Line {
            sku: sku.to_owned(),
            quantity: Quantity::units(quantity),
            pack: Some(pack.to_owned()),
            ..Line::default()
        };
        let receive = |line| {
            let (location, lines) = ("LONDON".to_owned(), vec![line]);
            Body::Receive(Receive { location, lines, occurred_at: None, reason: None })
        };
        shop.tell(receive(cases("MUG", "case", 2)));
        assert_eq!(shop.stock("MUG"), (48, 0, 0));
        let lines = vec![cases("MUG", "case", 1)];
        shop.tell(Body::PlaceOrder(PlaceOrder {
            ship_by: None,
            ship_to: None,
            prices: None,
            backorder: None,
            reference: None,
            lines,
            location: None,
        }));
        assert_eq!(shop.stock("MUG"), (24, 0, 24));
        // Two cases on the pallet and three on the shelf are one count.
        let lines = vec![cases("MUG", "case", 2), Line::new("MUG", Quantity::units(3))];
        let location = "LONDON".to_owned();
        shop.tell(Body::Count(TakeCount {
            location,
            lines,
            as_of: None,
            inside: false,
            system: None,
            net: false,
        }));
        assert_eq!(shop.stock("MUG"), (27, 0, 24));
        let said = invalid(&shop, receive(cases("MUG", "pallet", 1))).to_string();
        assert_eq!(said, "`MUG` has no pack `pallet`; it has case");
        let said = invalid(&shop, receive(cases("A", "case", 1))).to_string();
        assert_eq!(said, "`A` has no pack `case`; it has none");
        let half = Line { quantity: Quantity::from_micros(10_000), ..cases("MUG", "case", 1) };
        assert!(matches!(invalid(&shop, receive(half)), Invalid::TooPrecise { .. }), "0.24 of a mug");
        let huge = Line { quantity: Quantity::MAX_INPUT, ..cases("MUG", "case", 1) };
        assert!(matches!(invalid(&shop, receive(huge)), Invalid::TooLarge { .. }));
        let empty = Pack { name: "none".to_owned(), quantity: Quantity::ZERO, barcode: None };
        let said = invalid(&shop, Body::PutItem(PutItem { packs: Some(vec![empty]), ..put("MUG") }));
        assert!(said.to_string().contains("more than 0"), "{said}");
    });
}

#[test]
fn what_is_archived_takes_nothing_new_and_says_what_it_still_has() {
    each_way(|shop| {
        shop.at("10:00").receive("MUG", 10);
        shop.order_fact("P", 1, "MUG", 3, false);
        let archive = |archived| Body::PutItem(PutItem { archived: Some(archived), ..put("MUG") });
        let Answer::ItemNoted(_, ItemNotes { remains: Some(remains), .. }) = shop.tell(archive(true)) else {
            panic!("it says what remains")
        };
        let (ten, three) = (Quantity::units(10), Quantity::units(3));
        assert_eq!(remains, Remains { on_hand: ten, committed: three, ..Remains::default() });
        let lines = || units("MUG", 1);
        let new = [
            Body::PlaceOrder(PlaceOrder {
                ship_by: None,
                ship_to: None,
                prices: None,
                backorder: None,
                reference: None,
                lines: lines(),
                location: None,
            }),
            Body::PlaceHold(PlaceHold {
                partial: None,
                lines: lines(),
                location: None,
                expires_at: time("11:00"),
            }),
            Body::Receive(Receive {
                location: "LONDON".to_owned(),
                lines: lines(),
                occurred_at: None,
                reason: None,
            }),
        ];
        for body in new.clone() {
            assert_eq!(refused(&shop, body), Refusal::Archived { sku: "MUG".to_owned() });
        }
        // What has happened elsewhere is booked as ever.
        shop.order_fact("Q", 1, "MUG", 2, false);
        shop.shipment("S1", Some("P"), "MUG", 3, None);
        shop.at("10:10").count("MUG", 6, "10:09");
        assert_eq!(shop.stock("MUG").2, 2);
        assert!(matches!(shop.tell(archive(false)), Answer::Item(_)));
        for body in new {
            assert!(!matches!(shop.tell(body), Answer::Refused(_)));
        }
    });
}

#[test]
fn low_at_a_level_that_a_location_may_override() {
    each_way(|shop| {
        shop.at("10:00").receive("MUG", 10);
        for code in ["PARIS", "ROME"] {
            shop.tell(Body::PutLocation(PutLocation { code: code.to_owned(), ..PutLocation::default() }));
        }
        let set = |sku: &str, location: Option<&str>, level: Option<i64>| {
            let (location, level) = (location.map(str::to_owned), level.map(Quantity::units));
            Body::SetLowStock(SetLowStock { sku: sku.to_owned(), location, level })
        };
        let low = |shop: &Shop| -> Vec<(String, Option<String>, i64, i64)> {
            let mut rows = Vec::new();
            let mut after = Some(ItemId(0));
            while let Some(item) = after {
                let page = shop.ledger.read(TENANT, |view| view.low_stock(item, 1, 1)).unwrap();
                after = page.next;
                rows.extend(page.rows);
            }
            let code = |location| {
                shop.ledger.read(TENANT, |view| Ok(view.location(location)?.unwrap().code)).unwrap()
            };
            rows.into_iter()
                .map(|row| {
                    let (available, level) = (row.available.whole_units(), row.level.whole_units());
                    (row.sku, row.location.map(code), available, level)
                })
                .collect()
        };
        assert!(low(&shop).is_empty());
        shop.tell(set("MUG", None, Some(9)));
        assert!(low(&shop).is_empty(), "10 is above 9");
        shop.order(None, "MUG", 1).unwrap();
        let london = |available, level| ("MUG".to_owned(), Some("LONDON".to_owned()), available, level);
        assert_eq!(low(&shop), [london(9, 9)]);
        shop.tell(set("MUG", Some("LONDON"), Some(5)));
        shop.tell(set("MUG", Some("ROME"), Some(0)));
        assert_eq!(low(&shop), [("MUG".to_owned(), Some("ROME".to_owned()), 0, 0)]);
        shop.tell(set("MUG", Some("ROME"), None));
        shop.tell(set("A", None, Some(2)));
        assert_eq!(low(&shop), [("A".to_owned(), None, 0, 2)], "it never was anywhere");
        shop.tell(set("A", None, None));
        shop.tell(set("MUG", Some("LONDON"), Some(20)));
        assert_eq!(low(&shop), [london(9, 20)]);
        shop.tell(Body::PutItem(PutItem { archived: Some(true), ..put("MUG") }));
        assert!(low(&shop).is_empty(), "nobody buys it again");
        let said = invalid(&shop, set("MUG", None, Some(-1))).to_string();
        assert!(said.contains("must not be negative"), "{said}");
    });
}

#[test]
fn a_renamed_item_is_found_by_both_names() {
    each_way(|shop| {
        shop.at("10:00").receive("MUG", 5);
        let rename = |sku: &str, to: &str, forget_old| {
            Body::RenameItem(RenameItem { sku: sku.to_owned(), to: to.to_owned(), forget_old })
        };
        let said = refused(&shop, rename("MUG", "A", false));
        assert_eq!(said, Refusal::SkuTaken { name: "A".to_owned(), sku: "A".to_owned() });
        shop.tell(rename("MUG", "MUG-BLUE", false));
        shop.receive("MUG", 1);
        assert_eq!((shop.stock("MUG"), shop.stock("MUG-BLUE")), ((6, 0, 0), (6, 0, 0)));
        assert_eq!(shop.on_hand_at("MUG-BLUE", "10:01", None), 6, "its history is its own");
        // Back again: the name it has is no alias of it.
        shop.tell(rename("MUG-BLUE", "MUG", true));
        let item = shop.ledger.read(TENANT, |view| view.item_by_sku("MUG")).unwrap().unwrap().1;
        assert_eq!((item.sku.as_str(), item.aliases.len()), ("MUG", 0));
        assert_eq!(shop.ledger.read(TENANT, |view| view.item_by_sku("MUG-BLUE")).unwrap(), None);
        made(&shop, "MUG-BLUE");
        assert_eq!(shop.stock("MUG-BLUE"), (0, 0, 0), "a forgotten name is free for another");
    });
}

#[test]
fn aliases_come_and_go() {
    each_way(|shop| {
        let change = |add: &[&str], remove: &[&str]| {
            let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            Body::ChangeAliases(ChangeAliases {
                sku: "MUG".to_owned(),
                add: owned(add),
                remove: owned(remove),
            })
        };
        shop.tell(change(&["OLD", "OLDER"], &[]));
        shop.at("10:00").receive("OLDER", 2);
        assert_eq!(shop.stock("OLD"), (2, 0, 0));
        assert!(matches!(refused(&shop, change(&["A"], &[])), Refusal::SkuTaken { .. }));
        shop.tell(change(&[], &["OLD"]));
        assert!(matches!(
            invalid(
                &shop,
                Body::SetLowStock(SetLowStock { sku: "OLD".to_owned(), ..SetLowStock::default() })
            ),
            Invalid::UnknownSku(_)
        ));
        let said = invalid(&shop, change(&[], &["MUG"])).to_string();
        assert!(said.contains("rename it instead"), "{said}");
        assert!(invalid(&shop, change(&[], &["NEVER"])).to_string().contains("is no alias of it"));
        // What is put by an alias is put to the item.
        shop.tell(Body::PutItem(PutItem { name: Some("Mug".to_owned()), ..put("OLDER") }));
        let item = shop.ledger.read(TENANT, |view| view.item_by_sku("MUG")).unwrap().unwrap().1;
        assert_eq!((item.sku.as_str(), item.name.as_str()), ("MUG", "Mug"));
    });
}

#[test]
fn near_twins_are_told_when_they_come_and_until_they_are_one() {
    each_way(|shop| {
        assert!(matches!(shop.tell(Body::PutItem(put("85123A"))), Answer::Item(_)));
        let Answer::ItemNoted(_, notes) = shop.tell(Body::PutItem(put("85123a"))) else { panic!("a twin") };
        assert_eq!(notes.twins, ["85123A"]);
        let Answer::ItemNoted(_, notes) = shop.tell(Body::PutItem(put("85l23-a"))) else { panic!("a twin") };
        assert_eq!(notes.twins, ["85123A", "85123a"]);
        assert!(matches!(shop.tell(Body::PutItem(put("85123B"))), Answer::Item(_)), "that is another");
        let again = shop.tell(Body::PutItem(PutItem { name: Some("Heart".to_owned()), ..put("85123a") }));
        assert!(matches!(again, Answer::Item(_)), "told when it comes, not each time");
        assert_eq!(twins(&shop), [["85123A", "85123a", "85l23-a"]]);
        let rename = RenameItem { sku: "85l23-a".to_owned(), to: "LACE".to_owned(), forget_old: true };
        shop.tell(Body::RenameItem(rename));
        assert_eq!(twins(&shop), [["85123A", "85123a"]]);
        shop.tell(merge("85123a", "85123A"));
        assert!(twins(&shop).is_empty());
        // An alias looks like a name too.
        let Answer::ItemNoted(_, notes) = shop.tell(Body::PutItem(put("85123 A"))) else { panic!("a twin") };
        assert_eq!(notes.twins, ["85123A"]);
    });
}

#[test]
fn all_that_speaks_of_the_one_speaks_of_the_other() {
    each_way(|shop| {
        for sku in ["85123A", "85123a"] {
            made(&shop, sku);
        }
        shop.at("10:00").receive("85123A", 6);
        shop.receive("85123a", 9);
        let pack =
            Pack { name: "case".to_owned(), quantity: Quantity::units(6), barcode: Some("C6".to_owned()) };
        shop.tell(Body::PutItem(PutItem {
            barcodes: Some(vec!["4006381333931".to_owned()]),
            packs: Some(vec![pack]),
            aliases: Some(vec!["HEART".to_owned()]),
            ..put("85123a")
        }));
        let listing = |remote_id: &str, sku: &str| {
            Body::PutListing(PutListing {
                system: "WEB".to_owned(),
                remote_id: remote_id.to_owned(),
                remote_sku: None,
                sku: Some(sku.to_owned()),
                multiplier: 1,
                found: false,
            })
        };
        shop.tell(listing("L1", "85123a"));
        let rule = SetPublication {
            sku: Some("85123a".to_owned()),
            buffer: Some(Quantity::ONE),
            ..SetPublication::default()
        };
        shop.tell(Body::SetPublication(rule));
        shop.order_fact("P", 1, "85123a", 3, false);
        let hold = shop.hold("85123a", 2, "12:00");
        shop.order_fact("Q", 1, "85123a", 50, false);
        assert_eq!(shop.stock("85123a"), (0, 2, 7));
        // A document that waits for something else has sold one of it.
        let line = |line: &str, sku: &str| onhand_ledger::command::OrderContentLine {
            price: None,
            line: line.to_owned(),
            item: Name::Sku(sku.to_owned()),
            quantity: Quantity::ONE,
            shipped: Quantity::ZERO,
            returned: Quantity::ZERO,
            location: None,
        };
        let waiting = |version| {
            Body::Record(Document {
                system: "WEB".to_owned(),
                document: "W".to_owned(),
                version,
                content: Content::Order(onhand_ledger::command::OrderContent {
                    ship_by: None,
                    ship_to: None,
                    placed_at: None,
                    changed_at: None,
                    cancelled: false,
                    lines: vec![line("1", "85123a"), line("2", "NOT YET")],
                }),
            })
        };
        assert!(matches!(shop.tell(waiting(1)), Answer::Waiting(..)));
        let Answer::Merged(merged) = shop.at("11:00").tell(merge("85123a", "85123A")) else {
            panic!("merged")
        };
        assert_eq!((merged.orders, merged.holds, merged.listings), (2, 1, 1));
        assert_eq!(merged.sku, "85123A");
        // Q's 46 short are served by what 85123A had: 6 of them.
        assert_eq!(shop.stock("85123A"), (0, 2, 13));
        let (one, other) = shop
            .ledger
            .read(TENANT, |view| {
                let one = view.item_by_sku("85123A")?.unwrap();
                Ok((one.clone(), view.item(one.1.merged[0].item)?.unwrap()))
            })
            .unwrap();
        assert_eq!(one.1.aliases, ["85123a", "HEART"]);
        assert_eq!(by_barcode(&shop, "4006381333931"), Some(("85123A".to_owned(), None)));
        assert_eq!(by_barcode(&shop, "C6"), Some(("85123A".to_owned(), Some("case".to_owned()))));
        assert_eq!(other.merged_into.map(|merged| merged.item), Some(one.0));
        let (claimed, listings, rules) = shop
            .ledger
            .read(TENANT, |view| Ok((view.claimed(one.0)?, view.listings_of(one.0)?, view.publication()?)))
            .unwrap();
        assert_eq!((claimed, listings.len(), rules[0].1.item), (Quantity::ONE, 1, Some(one.0)));
        // Each goes on under either name.
        shop.order_fact("P", 2, "85123a", 1, false);
        assert_eq!(shop.stock("85123A"), (0, 2, 13), "what P gave back went to Q");
        shop.tell(Body::ReleaseHold(hold));
        assert_eq!(shop.stock("85123A"), (0, 0, 15));
        made(&shop, "NOT YET");
        assert!(matches!(shop.tell(waiting(1)), Answer::Recorded { .. }));
        let claimed = shop.ledger.read(TENANT, |view| view.claimed(one.0)).unwrap();
        assert_eq!(claimed, Quantity::ZERO);
        shop.receive("HEART", 100);
        // Wanted: P 1, Q 50, W 1.
        assert_eq!(shop.stock("85123A"), (63, 0, 52));
    });
}

#[test]
fn what_is_heard_late_of_a_merged_item_is_booked_before_the_merge_and_carried_over() {
    each_way(|shop| {
        for sku in ["85123A", "85123a"] {
            made(&shop, sku);
        }
        shop.at("10:00").receive("85123A", 6);
        shop.receive("85123a", 4);
        shop.at("11:00").tell(merge("85123a", "85123A"));
        let till = |what, quantity, at: &str, version| {
            Body::Record(Document {
                system: "WEB".to_owned(),
                document: "till".to_owned(),
                version,
                content: Content::Movements(vec![MovementLine {
                    line: "1".to_owned(),
                    item: Name::Sku("85123a".to_owned()),
                    location: "LONDON".to_owned(),
                    what,
                    quantity: Quantity::units(quantity),
                    occurred_at: Some(time(at)),
                    reason: None,
                }]),
            })
        };
        // A till that was offline sold 3 before the merge.
        shop.at("12:00").tell(till(Happened::Sold, 3, "10:30", 1));
        let of = |sku: &str, at: &str| -> i64 {
            let read = shop.ledger.read(TENANT, |view| {
                let (item, _) = view.item_meant(sku, time(at))?.unwrap();
                let (london, _) = view.location_by_code("LONDON")?.unwrap();
                let mut sum = Quantity::ZERO;
                for state in StockState::ON_HAND {
                    let cell = onhand_ledger::CellKey::new(item, london, state);
                    sum += view.as_of(cell, time(at), None)?;
                }
                Ok(sum.whole_units())
            });
            read.unwrap()
        };
        assert_eq!((of("85123a", "10:30"), of("85123A", "10:30")), (1, 6));
        assert_eq!((of("85123A", "11:00"), shop.stock("85123A")), (7, (7, 0, 0)));
        assert!(shop.discrepancies().is_empty(), "it was all there");
        // The till corrects itself: it sold 1.
        shop.tell(till(Happened::Sold, 1, "10:30", 2));
        assert_eq!((of("85123a", "10:30"), of("85123A", "10:30"), of("85123A", "11:00")), (3, 6, 9));
        // A count of the old name as of before the merge corrects the old item, and what went over.
        let lines = vec![Line::new("85123a", Quantity::units(2)), Line::new("85123A", Quantity::units(5))];
        let (location, as_of) = ("LONDON".to_owned(), Some(time("10:45")));
        shop.tell(Body::Count(TakeCount { location, lines, as_of, inside: false, system: None, net: false }));
        assert_eq!((of("85123a", "10:45"), of("85123A", "10:45"), of("85123A", "12:00")), (2, 5, 7));
        // And it is an anchor: what is heard of before it moves nothing after it.
        shop.tell(till(Happened::Sold, 2, "10:20", 3));
        assert_eq!((of("85123a", "10:45"), shop.stock("85123A")), (2, (7, 0, 0)));
    });
}

#[test]
fn what_was_sold_under_the_old_name_comes_back_under_the_new() {
    each_way(|shop| {
        for sku in ["85123A", "85123a"] {
            made(&shop, sku);
        }
        shop.at("10:00").receive("85123a", 4);
        let told = shop.order_fact("P", 1, "85123a", 3, false);
        let Answer::Recorded { order: Some(order), .. } = told else { panic!("an order") };
        shop.shipment("S1", Some("P"), "85123a", 3, None);
        shop.at("11:00").tell(merge("85123a", "85123A"));
        assert_eq!(shop.stock("85123A"), (1, 0, 0));
        // The closed line is the same line, however it is told again.
        shop.at("11:30").order_fact("P", 2, "85123A", 3, false);
        assert_eq!(shop.stock("85123A"), (1, 0, 0), "it has shipped already");
        let lines = vec![onhand_ledger::command::LineQuantity {
            lot: None,
            line: "1".to_owned(),
            quantity: Quantity::units(2),
        }];
        let (location, into) = (None, StockState::Available);
        let back = ReturnOrder { order, lines, location, into, occurred_at: None };
        assert!(matches!(shop.tell(Body::ReturnOrder(back)), Answer::Order(..)));
        assert_eq!(shop.stock("85123A"), (3, 0, 0));
    });
}

#[test]
fn a_merge_that_does_not_fit_is_refused_and_says_why() {
    each_way(|shop| {
        for sku in ["ONE", "TWO"] {
            made(&shop, sku);
        }
        shop.at("10:00").receive("ONE", 2);
        let reason = |from: &str, into: &str| match refused(&shop, merge(from, into)) {
            Refusal::CannotMerge { reason, .. } => reason,
            other => panic!("it cannot be merged: {other:?}"),
        };
        let put_both = |one: PutItem, two: PutItem| {
            shop.tell(Body::PutItem(PutItem { sku: "ONE".to_owned(), ..one }));
            shop.tell(Body::PutItem(PutItem { sku: "TWO".to_owned(), ..two }));
        };
        assert!(matches!(invalid(&shop, merge("ONE", "ONE")), Invalid::Field { field: "into", .. }));
        assert!(matches!(invalid(&shop, merge("ONE", "NONE")), Invalid::UnknownSku(_)));
        put_both(PutItem { unit: Some("kg".to_owned()), ..PutItem::default() }, PutItem::default());
        assert!(reason("ONE", "TWO").contains("counted in `kg`, the other in `each`"));
        put_both(PutItem { unit: Some("each".to_owned()), ..PutItem::default() }, PutItem::default());
        put_both(PutItem { precision: Precision::new(2), ..PutItem::default() }, PutItem::default());
        assert!(reason("ONE", "TWO").contains("`ONE` has 2 decimals and `TWO` only 0"));
        put_both(PutItem::default(), PutItem { precision: Precision::new(2), ..PutItem::default() });
        let pack =
            |quantity| Pack { name: "case".to_owned(), quantity: Quantity::units(quantity), barcode: None };
        put_both(
            PutItem { packs: Some(vec![pack(6)]), ..PutItem::default() },
            PutItem { packs: Some(vec![pack(12)]), ..PutItem::default() },
        );
        assert!(reason("ONE", "TWO").contains("a `case` has 6 of the one and 12 of the other"));
        put_both(PutItem { packs: Some(vec![pack(12)]), ..PutItem::default() }, PutItem::default());
        let kit = |lines: Vec<Line>| Body::PutItem(PutItem { kit: Some(lines), ..put("BOX") });
        shop.tell(kit(units("ONE", 2)));
        assert!(
            reason("ONE", "TWO").contains("the kit `BOX` is built of it; put `TWO` into its recipe first")
        );
        assert!(reason("BOX", "TWO").contains("`BOX` is a kit"));
        // An order has pinned what it is built of.
        shop.order_fact("K", 1, "BOX", 1, false);
        shop.tell(kit(units("TWO", 2)));
        assert!(reason("ONE", "TWO").contains("order K has it as a part of something else"));
        shop.order_fact("K", 2, "BOX", 1, true);
        shop.tell(kit(Vec::new()));
        let master = |sku: &str| {
            let (location, sku) = (Some("LONDON".to_owned()), Some(sku.to_owned()));
            let master = "WMS".to_owned();
            Body::SetOwnership(SetOwnership { location, sku, master, ..SetOwnership::default() })
        };
        shop.tell(master("ONE"));
        let said = reason("ONE", "TWO");
        assert!(said.contains("at `LONDON` is `WMS`, of the other `onhand`"), "{said}");
        assert_eq!(shop.stock("ONE"), (2, 0, 0), "nothing has moved");
        shop.tell(master("TWO"));
        assert!(matches!(shop.tell(merge("ONE", "TWO")), Answer::Merged(_)));
        assert_eq!((shop.stock("ONE"), shop.stock("TWO")), ((2, 0, 0), (2, 0, 0)));
        let rules = shop.ledger.read(TENANT, |view| Ok(view.rules()?.ownership.len())).unwrap();
        assert_eq!(rules, 1, "of two rules for the same, one is left");
        assert!(matches!(invalid(&shop, merge("ONE", "TWO")), Invalid::Field { field: "into", .. }));
    });
}
