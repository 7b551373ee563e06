//! Who is master: the most specific rule, and never two of them.

#[path = "support/shop.rs"]
#[expect(dead_code, reason = "the examples use the rest")]
mod shop;

use onhand_ledger::command::{PutItem, PutLocation, SetOwnership, TakeCount};
use onhand_ledger::model::Cause;
use onhand_ledger::{Answer, Body, Refusal, RuleId};
use shop::{Shop, each_way, units};

fn own(shop: &Shop, sku: Option<&str>, tag: Option<&str>, location: Option<&str>, master: &str) -> Answer {
    shop.tell(Body::SetOwnership(SetOwnership {
        location: location.map(str::to_owned),
        group: None,
        sku: sku.map(str::to_owned),
        tag: tag.map(str::to_owned),
        master: master.to_owned(),
    }))
}

fn tagged(shop: &Shop, sku: &str, tags: &[&str]) -> Answer {
    let tags = Some(tags.iter().map(|tag| (*tag).to_owned()).collect());
    shop.tell(Body::PutItem(PutItem { sku: sku.to_owned(), tags, ..PutItem::default() }))
}

fn rule(answer: &Answer) -> RuleId {
    match answer {
        Answer::Rule(rule) => *rule,
        other => panic!("a rule was set: {other:?}"),
    }
}

fn is_tie(answer: &Answer) -> bool {
    matches!(answer, Answer::Refused(Refusal::RuleTie { .. }))
}

#[test]
fn two_rules_of_one_specificity_are_refused_also_when_a_tag_would_make_them() {
    each_way(|shop| {
        tagged(&shop, "MUG", &["fragile"]);
        tagged(&shop, "A", &["fragile", "heavy"]);
        rule(&own(&shop, None, Some("fragile"), Some("LONDON"), "WMS"));
        // `A` has both tags: two masters of it, and neither rule is more specific.
        let tie = own(&shop, None, Some("heavy"), Some("LONDON"), "WEB");
        let Answer::Refused(refusal) = &tie else { panic!("{tie:?}") };
        assert!(refusal.to_string().contains("make a rule for `A` itself"), "{refusal}");
        // Elsewhere, or for the same master, there is no tie.
        rule(&own(&shop, None, Some("heavy"), None, "WEB"));
        rule(&own(&shop, None, Some("heavy"), Some("LONDON"), "WMS"));
        // A rule for the item itself decides; it cannot be ended while it does.
        let decides = rule(&own(&shop, Some("A"), None, None, "onhand"));
        rule(&own(&shop, None, Some("heavy"), Some("LONDON"), "WEB"));
        assert!(is_tie(&shop.tell(Body::EndRule(decides))));
        // And a tag that comes later makes no tie either.
        assert!(is_tie(&tagged(&shop, "MUG", &["fragile", "heavy"])));
        assert!(matches!(tagged(&shop, "MUG", &["heavy"]), Answer::Item(_)));
    });
}

fn inside(shop: &Shop, code: &str, parent: &str) -> Answer {
    let (code, parent) = (code.to_owned(), Some(parent.to_owned()));
    shop.tell(Body::PutLocation(PutLocation { code, parent, ..PutLocation::default() }))
}

/// Who refuses a count of ours there.
fn master(shop: &Shop, location: &str) -> String {
    let (location, lines) = (location.to_owned(), units("MUG", 0));
    let count = TakeCount { location, lines, as_of: None, inside: false, system: None, net: false };
    match shop.tell(Body::Count(count)) {
        Answer::Refused(Refusal::NotMaster { master, .. }) => master,
        Answer::Counted(..) => "onhand".to_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_nearest_rule_around_a_place_counts_after_the_item() {
    each_way(|shop| {
        inside(&shop, "ZONE", "LONDON");
        inside(&shop, "BIN", "ZONE");
        let masters = |shop: &Shop| ["LONDON", "ZONE", "BIN"].map(|location| master(shop, location));
        let everywhere = rule(&own(&shop, None, None, None, "WMS"));
        assert_eq!(masters(&shop), ["WMS", "WMS", "WMS"]);
        rule(&own(&shop, None, None, Some("LONDON"), "WEB"));
        rule(&own(&shop, None, None, Some("ZONE"), "onhand"));
        assert_eq!(masters(&shop), ["WEB", "onhand", "onhand"]);
        rule(&own(&shop, None, None, Some("BIN"), "WMS"));
        assert_eq!(masters(&shop), ["WEB", "onhand", "WMS"]);
        // By item first: a rule for a tag of it, however far around, is more specific than one for all.
        tagged(&shop, "MUG", &["fragile"]);
        rule(&own(&shop, None, Some("fragile"), Some("LONDON"), "WMS"));
        assert_eq!(masters(&shop), ["WMS", "WMS", "WMS"]);
        rule(&own(&shop, Some("MUG"), None, None, "WEB"));
        assert_eq!(masters(&shop), ["WEB", "WEB", "WEB"]);
        shop.tell(Body::EndRule(everywhere));
        // What is inside is another's: a count of all of it is not ours alone.
        rule(&own(&shop, Some("MUG"), None, Some("LONDON"), "onhand"));
        rule(&own(&shop, Some("MUG"), None, Some("BIN"), "WMS"));
        let count = |inside| {
            let (location, lines) = ("LONDON".to_owned(), units("MUG", 3));
            shop.tell(Body::Count(TakeCount {
                location,
                lines,
                as_of: None,
                inside,
                system: None,
                net: false,
            }))
        };
        let Answer::Refused(refusal) = count(true) else { panic!("it is refused") };
        assert!(refusal.to_string().contains("at `BIN` here: its master is `WMS`"), "{refusal}");
        assert!(matches!(count(false), Answer::Counted(..)));
    });
}

#[test]
fn a_place_is_not_moved_out_from_under_the_rule_that_decided() {
    each_way(|shop| {
        inside(&shop, "BIN", "LONDON");
        shop.tell(Body::PutLocation(PutLocation { code: "PARIS".to_owned(), ..PutLocation::default() }));
        tagged(&shop, "MUG", &["fragile", "heavy"]);
        rule(&own(&shop, Some("MUG"), None, Some("LONDON"), "onhand"));
        rule(&own(&shop, None, Some("fragile"), Some("BIN"), "WMS"));
        // A rule for the mug itself, around the bin, decides between the two.
        rule(&own(&shop, None, Some("heavy"), Some("BIN"), "WEB"));
        assert_eq!(master(&shop, "BIN"), "onhand");
        let moved = inside(&shop, "BIN", "PARIS");
        let Answer::Refused(refusal) = &moved else { panic!("{moved:?}") };
        assert!(refusal.to_string().contains("would both name a master of `MUG`"), "{refusal}");
        assert_eq!(master(&shop, "BIN"), "onhand", "and nothing was moved");
        tagged(&shop, "MUG", &["heavy"]);
        assert!(matches!(inside(&shop, "BIN", "PARIS"), Answer::Location(_)));
        assert_eq!(master(&shop, "BIN"), "WEB");
    });
}

fn own_group(shop: &Shop, sku: Option<&str>, group: &str, master: &str) -> Answer {
    let (sku, group) = (sku.map(str::to_owned), Some(group.to_owned()));
    shop.tell(Body::SetOwnership(SetOwnership {
        sku,
        group,
        master: master.to_owned(),
        ..SetOwnership::default()
    }))
}

fn grouped(shop: &Shop, code: &str, groups: &[&str]) -> Answer {
    let groups = Some(groups.iter().map(|group| (*group).to_owned()).collect());
    shop.tell(Body::PutLocation(PutLocation { code: code.to_owned(), groups, ..PutLocation::default() }))
}

#[test]
fn a_rule_for_a_group_comes_after_bin_zone_and_site_and_before_all() {
    each_way(|shop| {
        inside(&shop, "ZONE", "LONDON");
        inside(&shop, "BIN", "ZONE");
        grouped(&shop, "LONDON", &["EU-STORES"]);
        let masters = |shop: &Shop| ["LONDON", "ZONE", "BIN"].map(|location| master(shop, location));
        rule(&own(&shop, None, None, None, "WEB"));
        rule(&own_group(&shop, None, "EU-STORES", "WMS"));
        assert_eq!(masters(&shop), ["WMS", "WMS", "WMS"], "what is inside a site is in its groups");
        // Being in a group of its own takes a bin out of none of its site's, and is more specific where a rule says so.
        grouped(&shop, "ZONE", &["COLD"]);
        assert_eq!(masters(&shop), ["WMS", "WMS", "WMS"]);
        let cold = rule(&own_group(&shop, None, "COLD", "onhand"));
        assert_eq!(masters(&shop), ["WMS", "onhand", "onhand"]);
        let site = rule(&own(&shop, None, None, Some("LONDON"), "WEB"));
        assert_eq!(masters(&shop), ["WEB", "WEB", "WEB"], "a site before any group, of its zone too");
        // By item first, however far around.
        rule(&own_group(&shop, Some("MUG"), "EU-STORES", "WMS"));
        assert_eq!(masters(&shop), ["WMS", "WMS", "WMS"]);
        shop.tell(Body::EndRule(site));
        shop.tell(Body::EndRule(cold));
        // A location that leaves the group leaves its master.
        grouped(&shop, "LONDON", &[]);
        assert_eq!(masters(&shop), ["WEB", "WEB", "WEB"]);
    });
}

#[test]
fn a_location_in_two_groups_with_equally_specific_rules_is_refused_with_both_named() {
    each_way(|shop| {
        grouped(&shop, "LONDON", &["EU-STORES"]);
        grouped(&shop, "PARIS", &["FRANCHISE"]);
        let one = rule(&own_group(&shop, None, "EU-STORES", "WMS"));
        let other = rule(&own_group(&shop, None, "FRANCHISE", "WEB"));
        let tie = grouped(&shop, "PARIS", &["FRANCHISE", "EU-STORES"]);
        let Answer::Refused(refusal) = &tie else { panic!("{tie:?}") };
        let said = format!(
            "the rules {one} and {other} would both name a master of what has no rule of its own at `PARIS`, and neither \
             is more specific: make a rule for all at `PARIS` itself, or end one of them"
        );
        assert_eq!(refusal.to_string(), said);
        assert_eq!(master(&shop, "PARIS"), "WEB", "and nothing was changed");
        // As the sentence says.
        let decides = rule(&own(&shop, None, None, Some("PARIS"), "onhand"));
        assert!(matches!(grouped(&shop, "PARIS", &["FRANCHISE", "EU-STORES"]), Answer::Location(_)));
        assert!(is_tie(&shop.tell(Body::EndRule(decides))));
        // Two groups whose rules name one master are none.
        rule(&own_group(&shop, None, "FRANCHISE", "WMS"));
        assert!(matches!(shop.tell(Body::EndRule(decides)), Answer::Rule(_)));
        assert_eq!(master(&shop, "PARIS"), "WMS");
        assert!(is_tie(&own_group(&shop, None, "FRANCHISE", "WEB")));
        // Of an item, and of a tag, by the same groups.
        rule(&own_group(&shop, Some("MUG"), "EU-STORES", "WMS"));
        let item = own_group(&shop, Some("MUG"), "FRANCHISE", "WEB");
        let Answer::Refused(refusal) = &item else { panic!("{item:?}") };
        assert!(refusal.to_string().contains("make a rule for `MUG` itself at `PARIS`"), "{refusal}");
        // A group that nobody is in is a slip of the pen.
        let (group, to) = (Some("EU-STORE".to_owned()), "WMS".to_owned());
        let slip = Body::SetOwnership(SetOwnership { group, master: to, ..SetOwnership::default() });
        let refused = shop.keyed(None, slip).unwrap_err().to_string();
        assert!(
            refused.contains("no location is in the group `EU-STORE`; put one into it first"),
            "{refused}"
        );
    });
}

#[test]
fn an_absolute_from_one_that_is_not_master_by_a_group_is_evidence() {
    each_way(|shop| {
        inside(&shop, "BIN", "LONDON");
        grouped(&shop, "LONDON", &["EU-STORES"]);
        rule(&own_group(&shop, None, "EU-STORES", "WMS"));
        let count = |system: Option<&str>, quantity| {
            let (location, lines) = ("BIN".to_owned(), units("MUG", quantity));
            let system = system.map(str::to_owned);
            shop.tell(Body::Count(TakeCount {
                location,
                lines,
                as_of: None,
                inside: false,
                system,
                net: false,
            }))
        };
        assert!(matches!(count(Some("WEB"), 92), Answer::Waiting(..)));
        assert_eq!((shop.available("MUG", "BIN"), shop.discrepancies()[0].cause), (0, Cause::NotMaster));
        let ours = count(None, 5);
        assert!(
            matches!(&ours, Answer::Refused(Refusal::NotMaster { master, .. }) if master == "WMS"),
            "{ours:?}"
        );
        assert!(matches!(count(Some("WMS"), 37), Answer::Counted(..)));
        assert_eq!(shop.available("MUG", "BIN"), 37);
    });
}
