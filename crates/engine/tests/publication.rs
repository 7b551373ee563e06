//! What other systems shall show, by rules.

#[path = "support/mirror.rs"]
mod mirror;
#[path = "support/shop.rs"]
#[expect(dead_code, reason = "the examples use the rest")]
mod shop;

use mirror::{Mirrored, shop_of};
use onhand_engine::preview::{Differs, Preview, preview};
use onhand_engine::published::desired_at;
use onhand_engine::systems::system_status;
use onhand_ledger::command::{
    Line, PlaceHold, PlacePurchase, PurchaseOrderLine, PutItem, PutListing, PutLocation, PutSystem, Receive,
    ResumeSelling, SetPublication, Source, StopSelling,
};
use onhand_ledger::{Answer, Body, Command, Quantity, Refusal, RuleId, TenantId};
use onhand_sync::Shown;
use shop::{Shop, each_way, units};

const TENANT: TenantId = TenantId::DEFAULT;

/// The system SHOP with the locations `here` (LONDON) and `there` (PARIS).
fn connected(shop: &Shop) {
    for code in ["PARIS", "BERLIN"] {
        shop.tell(Body::PutLocation(PutLocation { code: code.to_owned(), ..PutLocation::default() }));
    }
    let mapped = [("here", "LONDON"), ("there", "PARIS")];
    shop.tell(Body::PutSystem(PutSystem {
        name: "SHOP".to_owned(),
        kind: "test".to_owned(),
        locations: Some(mapped.map(|(remote, ours)| (remote.to_owned(), ours.to_owned())).to_vec()),
        ..PutSystem::default()
    }));
}

fn listed(shop: &Shop, listing: &str, sku: &str, multiplier: u32) {
    shop.tell(Body::PutListing(PutListing {
        system: "SHOP".to_owned(),
        remote_id: listing.to_owned(),
        remote_sku: None,
        sku: Some(sku.to_owned()),
        multiplier,
        found: false,
    }));
}

#[test]
fn what_is_found_leaves_what_somebody_mapped_meanwhile() {
    each_way(|shop| {
        connected(&shop);
        shop.tell(Body::PutItem(PutItem { sku: "CUP".to_owned(), ..PutItem::default() }));
        let found = |sku: &str, remote_sku: &str| {
            shop.tell(Body::PutListing(PutListing {
                system: "SHOP".to_owned(),
                remote_id: "1".to_owned(),
                remote_sku: Some(remote_sku.to_owned()),
                sku: Some(sku.to_owned()),
                multiplier: 1,
                found: true,
            }));
        };
        let mapped = || {
            shop.ledger
                .read(TENANT, |view| {
                    let (id, _) = view.system_by_name("SHOP")?.unwrap();
                    let (_, listing) = view.listing_by_remote(id, "1")?.unwrap();
                    let item = view.item(listing.item.unwrap())?.unwrap();
                    Ok((item.sku, listing.multiplier, listing.remote_sku.unwrap()))
                })
                .unwrap()
        };
        found("MUG", "MUG");
        assert_eq!(mapped(), ("MUG".to_owned(), 1, "MUG".to_owned()), "nobody had mapped it");
        listed(&shop, "1", "CUP", 6);
        // As it was looked at before that, it sold mugs.
        found("MUG", "MUG-NEW");
        assert_eq!(mapped(), ("CUP".to_owned(), 6, "MUG-NEW".to_owned()));
    });
}

fn tagged(shop: &Shop, sku: &str, tags: &[&str]) -> Answer {
    let tags = Some(tags.iter().map(|tag| (*tag).to_owned()).collect());
    shop.tell(Body::PutItem(PutItem { sku: sku.to_owned(), tags, ..PutItem::default() }))
}

fn receive(shop: &Shop, location: &str, sku: &str, quantity: i64) {
    shop.tell(Body::Receive(Receive {
        location: location.to_owned(),
        lines: units(sku, quantity),
        occurred_at: None,
        reason: None,
    }));
}

fn shown(shop: &Shop, listing: &str, at: &str) -> Shown {
    let shown = shop.ledger.read(TENANT, |view| {
        let (id, system) = view.system_by_name("SHOP")?.unwrap();
        let (listing_id, listing) = view.listing_by_remote(id, listing)?.unwrap();
        desired_at(view, listing_id, &listing, &system, at)
    });
    shown.unwrap().expect("it is mapped")
}

fn number(shop: &Shop, listing: &str, at: &str) -> i64 {
    shown(shop, listing, at).quantity.whole_units()
}

/// Sets a rule, which may be refused.
fn set(shop: &Shop, set: SetPublication) -> Answer {
    shop.tell(Body::SetPublication(set))
}

fn rule() -> SetPublication {
    SetPublication::default()
}

#[expect(clippy::unnecessary_wraps, reason = "a field of a rule")]
fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[expect(clippy::unnecessary_wraps, reason = "a field of a rule")]
fn quantity(units: i64) -> Option<Quantity> {
    Some(Quantity::units(units))
}

#[test]
fn example_21_rules() {
    each_way(|shop| {
        connected(&shop);
        listed(&shop, "1", "A", 1);
        listed(&shop, "6", "A", 6);
        receive(&shop, "LONDON", "A", 101);
        let by = |what: SetPublication| {
            set(&shop, what);
            number(&shop, "1", "here")
        };
        assert_eq!(number(&shop, "6", "here"), 16);
        assert_eq!(by(SetPublication { buffer: quantity(5), ..rule() }), 96);
        assert_eq!(number(&shop, "6", "here"), 16);
        assert_eq!(by(SetPublication { cap: quantity(10), ..rule() }), 10);
        assert_eq!(by(SetPublication { percentage: Some(50), ..rule() }), 50);
        assert_eq!(by(SetPublication { buffer: quantity(200), ..rule() }), 0);
        assert_eq!(by(SetPublication { stop_at: quantity(3), ..rule() }), 101);
        shop.at("09:00").count("A", 4, "09:00");
        assert_eq!(number(&shop, "1", "here"), 4);
        shop.at("10:00").count("A", 3, "10:00");
        assert_eq!(number(&shop, "1", "here"), 0);
    });
}

#[test]
fn the_most_specific_rule_speaks_by_the_thing_first() {
    each_way(|shop| {
        connected(&shop);
        tagged(&shop, "A", &["new"]);
        listed(&shop, "1", "A", 1);
        listed(&shop, "2", "A", 1);
        for place in ["LONDON", "PARIS"] {
            receive(&shop, place, "A", 100);
        }
        let buffer = |units| SetPublication { buffer: quantity(units), ..rule() };
        set(&shop, buffer(1));
        set(&shop, SetPublication { system: some("SHOP"), ..buffer(2) });
        assert_eq!((number(&shop, "1", "here"), number(&shop, "1", "there")), (98, 98));
        set(&shop, SetPublication { system: some("SHOP"), remote_location: some("there"), ..buffer(3) });
        assert_eq!((number(&shop, "1", "here"), number(&shop, "1", "there")), (98, 97));
        set(&shop, SetPublication { tag: some("new"), ..buffer(4) });
        assert_eq!((number(&shop, "1", "here"), number(&shop, "1", "there")), (96, 96));
        set(&shop, SetPublication { sku: some("A"), ..buffer(5) });
        let of_listing = SetPublication { system: some("SHOP"), listing: some("2"), ..buffer(6) };
        let made = set(&shop, of_listing.clone());
        assert_eq!((number(&shop, "1", "there"), number(&shop, "2", "there")), (95, 94));
        // There is one rule for each scope: setting it again changes it.
        let Answer::Rule(id) = set(&shop, SetPublication { buffer: quantity(7), ..of_listing }) else {
            panic!("{made:?}")
        };
        assert_eq!((Answer::Rule(id), number(&shop, "2", "here")), (made, 93));
        shop.tell(Body::EndRule(id));
        assert_eq!(number(&shop, "2", "here"), 95);
    });
}

#[test]
fn two_tags_rules_are_refused_also_when_a_tag_would_make_them_tie() {
    each_way(|shop| {
        connected(&shop);
        tagged(&shop, "A", &["new", "heavy"]);
        tagged(&shop, "B", &["new"]);
        let of = |tag, units| SetPublication { tag: some(tag), buffer: quantity(units), ..rule() };
        let Answer::Rule(new) = set(&shop, of("new", 1)) else { panic!("a rule") };
        let Answer::Refused(refusal) = set(&shop, of("heavy", 2)) else { panic!("it ties") };
        let said = refusal.to_string();
        assert!(said.contains(&format!("the rules {new} and ")) && said.contains("`A` itself"), "{said}");
        // At a smaller place it decides; a rule for the item itself decides too, as long as it is there.
        let at_shop = SetPublication { system: some("SHOP"), ..of("heavy", 2) };
        assert!(matches!(set(&shop, at_shop), Answer::Rule(_)));
        let Answer::Rule(own) = set(&shop, SetPublication { sku: some("A"), ..rule() }) else {
            panic!("a rule")
        };
        assert!(matches!(set(&shop, of("heavy", 2)), Answer::Rule(_)));
        assert!(matches!(shop.tell(Body::EndRule(own)), Answer::Refused(Refusal::PublicationTie { .. })));
        // And a tag that comes later makes no tie either.
        let later = tagged(&shop, "B", &["new", "heavy"]);
        assert!(matches!(later, Answer::Refused(Refusal::PublicationTie { .. })), "{later:?}");
        assert!(matches!(tagged(&shop, "B", &["heavy"]), Answer::Item(_)));
    });
}

#[test]
fn a_rule_says_which_of_our_locations_count_and_nothing_counts_twice() {
    each_way(|shop| {
        connected(&shop);
        listed(&shop, "1", "A", 1);
        let bin = PutLocation { code: "BIN".to_owned(), parent: some("LONDON"), ..PutLocation::default() };
        shop.tell(Body::PutLocation(bin));
        let groups = Some(vec!["EU".to_owned()]);
        for code in ["PARIS", "BERLIN"] {
            let (code, groups) = (code.to_owned(), groups.clone());
            shop.tell(Body::PutLocation(PutLocation { code, groups, ..PutLocation::default() }));
        }
        for (place, quantity) in [("LONDON", 1), ("BIN", 10), ("PARIS", 100), ("BERLIN", 1000)] {
            receive(&shop, place, "A", quantity);
        }
        assert_eq!((number(&shop, "1", "here"), number(&shop, "1", "there")), (11, 100));
        let ours = |code: &str| Source::Location(code.to_owned());
        let counting = |sources: &[Source]| {
            set(&shop, SetPublication { locations: Some(sources.to_vec()), ..rule() });
            number(&shop, "1", "here")
        };
        let europe = Source::Group("EU".to_owned());
        assert_eq!(counting(std::slice::from_ref(&europe)), 1100);
        assert_eq!(counting(&[ours("BIN"), ours("LONDON")]), 11);
        assert_eq!(counting(&[ours("BIN"), ours("PARIS"), europe]), 1110);
        // An order that waits may take all of it from any of them: it counts once.
        let waiting = onhand_ledger::command::Document {
            system: "WEB".to_owned(),
            document: "W".to_owned(),
            version: 1,
            content: onhand_ledger::command::Content::Order(onhand_ledger::command::OrderContent {
                lines: ["A", "NOT YET"].map(|sku| line(sku, 4)).to_vec(),
                ..Default::default()
            }),
        };
        assert!(matches!(shop.tell(Body::Record(waiting)), Answer::Waiting(..)));
        assert_eq!(number(&shop, "1", "here"), 1106);
    });
}

fn line(sku: &str, units: i64) -> onhand_ledger::command::OrderContentLine {
    onhand_ledger::command::OrderContentLine {
        price: None,
        line: sku.to_owned(),
        item: onhand_ledger::command::Name::Sku(sku.to_owned()),
        quantity: Quantity::units(units),
        shipped: Quantity::ZERO,
        returned: Quantity::ZERO,
        location: None,
    }
}

#[test]
fn ten_listings_of_one_item_and_a_kit_of_five_items_follow_their_stock() {
    each_way(|shop| {
        connected(&shop);
        for nth in 1..=10 {
            listed(&shop, &nth.to_string(), "MUG", nth);
        }
        let parts = ["P1", "P2", "P3", "P4", "P5"];
        let kit = parts.iter().zip([1, 2, 3, 1, 1]).map(|(sku, quantity)| {
            shop.tell(Body::PutItem(PutItem { sku: (*sku).to_owned(), ..PutItem::default() }));
            receive(&shop, "LONDON", sku, 30);
            Line { sku: (*sku).to_owned(), quantity: Quantity::units(quantity), ..Line::default() }
        });
        let kit = Some(kit.collect());
        shop.tell(Body::PutItem(PutItem { sku: "SET".to_owned(), kit, ..PutItem::default() }));
        listed(&shop, "set", "SET", 1);
        receive(&shop, "LONDON", "MUG", 60);
        let all: Vec<i64> = (1..=10).map(|nth| number(&shop, &nth.to_string(), "here")).collect();
        assert_eq!(all, [60, 30, 20, 15, 12, 10, 8, 7, 6, 6]);
        assert_eq!(number(&shop, "set", "here"), 10);
        shop.at("09:00").count("P4", 7, "09:00");
        assert_eq!(number(&shop, "set", "here"), 7);
        // A part of it that is not sold is not sold in it either.
        let (sku, reason) = (some("P5"), "it may shatter".to_owned());
        let stopped = shop.tell(Body::StopSelling(StopSelling { sku: sku.clone(), tag: None, reason }));
        let halted = shown(&shop, "set", "here");
        assert_eq!((halted.quantity, halted.halt.unwrap().what), (Quantity::ZERO, "P5".to_owned()));
        assert_eq!(shop.tell(Body::ResumeSelling(ResumeSelling { sku, tag: None })), stopped);
        assert_eq!(number(&shop, "set", "here"), 7);
    });
}

#[test]
fn selling_is_stopped_everywhere_whatever_rules_say_and_says_by_whom_and_why() {
    each_way(|shop| {
        connected(&shop);
        tagged(&shop, "A", &["lead"]);
        listed(&shop, "1", "A", 1);
        receive(&shop, "LONDON", "A", 9);
        set(&shop, SetPublication { system: some("SHOP"), listing: some("1"), skip: Some(true), ..rule() });
        assert!(shown(&shop, "1", "here").is_skipped);
        let stop = |sku: Option<&str>, tag: Option<&str>| {
            let (sku, tag) = (sku.map(str::to_owned), tag.map(str::to_owned));
            shop.tell(Body::StopSelling(StopSelling { sku, tag, reason: "recalled".to_owned() }))
        };
        let resume = |sku: Option<&str>, tag: Option<&str>| {
            let (sku, tag) = (sku.map(str::to_owned), tag.map(str::to_owned));
            shop.keyed(None, Body::ResumeSelling(ResumeSelling { sku, tag })).map(|done| done.answer)
        };
        let both = (stop(Some("A"), None), stop(None, Some("lead")));
        assert_eq!(stop(Some("A"), None), both.0, "it is stopped already");
        let halt = shown(&shop, "1", "here").halt.unwrap();
        assert_eq!((halt.what.as_str(), halt.by.as_str(), halt.reason.as_str()), ("A", "test", "recalled"));
        assert_eq!(resume(Some("A"), None).unwrap(), both.0);
        let halted = shown(&shop, "1", "here");
        assert_eq!((halted.quantity, halted.is_skipped), (Quantity::ZERO, false));
        assert_eq!(halted.halt.unwrap().what, "what is tagged lead");
        let problem = resume(Some("A"), None).unwrap_err().to_string();
        assert!(problem.contains("by its tag `lead`"), "{problem}");
        resume(None, Some("lead")).unwrap();
        assert!(shown(&shop, "1", "here").is_skipped);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_is_left_to_the_system_is_neither_sent_nor_judged() {
    let mut shop = Mirrored::with(&[("A", 5), ("B", 7)]).await;
    assert_eq!((shop.shows("A"), shop.shows("B")), (5, 7));
    let skip = SetPublication { sku: some("A"), skip: Some(true), ..rule() };
    let Answer::Rule(id) = shop.tell(Body::SetPublication(skip)).await else { panic!("a rule") };
    shop.settle().await;
    let pushes = shop.mirror.pushed.lock().unwrap().len();
    shop.mirror.shows.lock().unwrap().insert("A".to_owned(), 99);
    shop.until(shop::time("10:05")).await;
    assert_eq!((shop.shows("A"), shop.mirror.pushed.lock().unwrap().len()), (99, pushes));
    let ledger = shop.handle.ledger();
    let system = shop_of(ledger);
    let (status, told) = ledger
        .read(TENANT, |view| {
            let known = view.system(system)?.unwrap();
            Ok((system_status(view, ledger.seal(), system, &known)?, discrepancies(view)?))
        })
        .unwrap();
    assert_eq!((status.listings, status.in_step, status.skipped, told), (1, 1, 1, 0));
    // Once it is ours again it is set, and nobody is told of what was changed while it was not.
    shop.tell(Body::EndRule(RuleId(id.0))).await;
    shop.settle().await;
    assert_eq!(shop.shows("A"), 5);
    let told = shop.handle.ledger().read(TENANT, discrepancies).unwrap();
    assert_eq!(told, 0);
}

fn discrepancies(view: &mut onhand_engine::View<'_>) -> Result<usize, onhand_store::StoreError> {
    use onhand_ledger::{DiscrepancyId, Key};
    let (from, to) = (Key::Discrepancy(DiscrepancyId(0)), Key::Discrepancy(DiscrepancyId(u64::MAX >> 1)));
    Ok(view.range(&from, &to, false, usize::MAX)?.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn selling_that_is_stopped_reaches_the_shops_and_so_does_its_end() {
    let mut shop = Mirrored::with(&[("A", 5), ("B", 7)]).await;
    let (sku, reason) = (some("A"), "recalled".to_owned());
    shop.tell(Body::StopSelling(StopSelling { sku: sku.clone(), tag: None, reason })).await;
    shop.settle().await;
    assert_eq!((shop.shows("A"), shop.shows("B")), (0, 7));
    shop.tell(Body::ResumeSelling(ResumeSelling { sku, tag: None })).await;
    shop.settle().await;
    assert_eq!((shop.shows("A"), shop.shows("B")), (5, 7));
}

fn incoming(location: &str, units: i64, day: &str) -> Body {
    Body::PlacePurchase(PlacePurchase {
        supplier: "Potter".to_owned(),
        reference: None,
        location: location.to_owned(),
        expected_on: None,
        lines: vec![PurchaseOrderLine {
            pack: None,
            sku: "A".to_owned(),
            quantity: Quantity::units(units),
            expected_on: Some(day.parse().unwrap()),
            unit_cost: None,
        }],
    })
}

#[test]
fn what_is_expected_within_the_window_counts_unless_it_is_late_or_wanted_already() {
    each_way(|shop| {
        connected(&shop);
        listed(&shop, "1", "A", 1);
        receive(&shop, "LONDON", "A", 2);
        for (place, units, day) in [
            ("LONDON", 10, "2026-11-24"),
            ("LONDON", 100, "2026-11-30"),
            ("LONDON", 1000, "2026-12-01"),
            ("PARIS", 7, "2026-11-24"),
        ] {
            shop.tell(incoming(place, units, day));
        }
        let with = |days| {
            set(&shop, SetPublication { incoming_days: Some(days), ..rule() });
            number(&shop, "1", "here")
        };
        assert_eq!((with(0), with(1), with(7), with(8)), (2, 12, 112, 1112));
        let until = SetPublication { incoming_until: Some("2026-11-30".parse().unwrap()), ..rule() };
        set(&shop, until);
        assert_eq!((number(&shop, "1", "here"), number(&shop, "1", "there")), (112, 7));
        // What has not come on its day is not counted on.
        shop.on("2026-11-25T00:00:00Z");
        assert_eq!(number(&shop, "1", "here"), 102);
        // What is short will take it first.
        shop.order_fact("8841", 1, "A", 42, false);
        assert_eq!(number(&shop, "1", "here"), 60);
    });
}

#[test]
fn a_formula_is_checked_when_it_is_saved_and_says_all() {
    each_way(|shop| {
        connected(&shop);
        let (sku, precision) = ("TEA".to_owned(), onhand_ledger::Precision::new(3));
        shop.tell(Body::PutItem(PutItem { sku, precision, ..PutItem::default() }));
        listed(&shop, "1", "TEA", 2);
        receive(&shop, "LONDON", "TEA", 9);
        let with = |formula: &str| SetPublication { formula: some(formula), ..rule() };
        set(&shop, with("available > 1500 ? available - 1500 : 0"));
        assert_eq!(number(&shop, "1", "here"), 3, "7.5 are three packs of two");
        let refused = |set: SetPublication, why: &str| {
            let error = shop.keyed(None, Body::SetPublication(set)).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        };
        refused(with("available * 0.5"), "is a double, which is not exact");
        refused(with("available - missing"), "`missing` is not known");
        refused(SetPublication { buffer: quantity(1), ..with("available") }, "a formula says it all");
        refused(with("available + incoming"), "say how far ahead");
        refused(SetPublication { incoming_days: Some(3), ..with("available") }, "leave out incoming_days");
        assert_eq!(number(&shop, "1", "here"), 3, "nothing of that was saved");
        set(&shop, SetPublication { incoming_days: Some(3), ..with("available + incoming / 2") });
        assert_eq!(number(&shop, "1", "here"), 4);
        set(&shop, with("available / (on_hand - 9000)"));
        let none = shown(&shop, "1", "here");
        assert_eq!(none.quantity, Quantity::ZERO);
        assert!(none.because().contains("its formula divides by 0"), "{}", none.because());
        receive(&shop, "LONDON", "TEA", 1);
        assert_eq!(number(&shop, "1", "here"), 0, "10000 / 1000 are ten grams");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn example_32_time_alone() {
    let mut shop = Mirrored::with(&[("A", 1)]).await;
    assert_eq!(shop.shows("A"), 1);
    let hold =
        PlaceHold { lines: units("A", 1), location: None, expires_at: shop::time("10:10"), partial: None };
    shop.tell(Body::PlaceHold(hold)).await;
    shop.until(shop::time("10:09:58")).await;
    assert_eq!(shop.shows("A"), 0);
    shop.until(shop::time("10:10:01")).await;
    assert_eq!(shop.shows("A"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn supply_that_comes_into_the_window_or_stays_away_changes_what_is_shown_at_midnight() {
    let mut shop = Mirrored::with(&[("A", 1)]).await;
    shop.tell(incoming("LONDON", 5, "2026-11-25")).await;
    let in_a_day = SetPublication { incoming_days: Some(1), ..rule() };
    shop.tell(Body::SetPublication(in_a_day)).await;
    shop.until(shop::time("23:59:58")).await;
    assert_eq!(shop.shows("A"), 1);
    let at = |text: &str| onhand_ledger::Instant::parse(text).unwrap();
    shop.until(at("2026-11-24T00:00:01Z")).await;
    assert_eq!(shop.shows("A"), 6);
    shop.clock.set(at("2026-11-25T23:59:50Z"));
    shop.settle().await;
    assert_eq!(shop.shows("A"), 6);
    shop.until(at("2026-11-26T00:00:01Z")).await;
    assert_eq!(shop.shows("A"), 1, "its day is over, and it has not come");
}

#[test]
fn a_rule_is_previewed_on_real_stock_and_nothing_is_written() {
    each_way(|shop| previews(&shop));
}

fn previews(shop: &Shop) {
    connected(shop);
    for (sku, there_is) in [("MUG", 5), ("CUP", 2), ("JUG", 9)] {
        tagged(shop, sku, &["glass"]);
        receive(shop, "LONDON", sku, there_is);
        listed(shop, sku, sku, 1);
    }
    receive(shop, "PARIS", "MUG", 2);
    set(shop, SetPublication { sku: some("JUG"), cap: quantity(4), ..rule() });
    let head = || shop.ledger.read(TENANT, |view| Ok(view.seq())).unwrap();
    let before = head();
    let previewed = |set: SetPublication, most| {
        let command = Command::keyed(None, "test", Body::SetPublication(set));
        preview(&shop.ledger, TENANT, &command, most).unwrap()
    };
    let told = |found: &Preview| {
        let number = |quantity: Option<Quantity>| quantity.map_or(-1, Quantity::whole_units);
        let row = |one: &Differs| {
            format!("{} {}: {} -> {}", one.sku, one.remote_location, number(one.from), number(one.to))
        };
        found.first.iter().map(row).collect::<Vec<String>>()
    };
    let kept_back = SetPublication { tag: some("glass"), buffer: quantity(2), ..rule() };
    let found = previewed(kept_back.clone(), 10).unwrap();
    // JUG's own rule says something else; nothing of CUP is in PARIS, before and after.
    assert_eq!(told(&found), ["MUG here: 5 -> 3", "MUG there: 2 -> 0", "CUP here: 2 -> 0"]);
    assert_eq!((found.compared, found.changes, found.zeros), (6, 3, 2));
    assert_eq!(found.first[0].because, "2 kept back");
    assert_eq!(told(&previewed(kept_back.clone(), 1).unwrap()).len(), 1, "as many as are asked for");
    // The same rule changed, at one place over there, and left to the system.
    let skip = SetPublication { sku: some("JUG"), skip: Some(true), ..rule() };
    assert_eq!(told(&previewed(skip, 10).unwrap()), ["JUG here: 4 -> -1", "JUG there: 0 -> -1"]);
    let there =
        SetPublication { system: some("SHOP"), remote_location: some("there"), cap: quantity(1), ..rule() };
    assert_eq!(told(&previewed(there, 10).unwrap()), ["MUG there: 2 -> 1"]);
    assert_eq!(head(), before, "nothing was written");
    // What would be refused is.
    tagged(shop, "MUG", &["glass", "blue"]);
    set(shop, SetPublication { tag: some("blue"), buffer: quantity(1), ..rule() });
    let tie = previewed(kept_back, 10);
    assert!(matches!(tie, Err(Refusal::PublicationTie { .. })), "{tie:?}");
}
