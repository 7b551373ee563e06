//! Who is master: the most specific rule, and never two of them.

#[path = "support/shop.rs"]
#[expect(dead_code, reason = "the examples use the rest")]
mod shop;

use onhand_ledger::command::{PutItem, SetOwnership};
use onhand_ledger::{Answer, Body, Refusal, RuleId};
use shop::{Shop, each_way};

fn own(shop: &Shop, sku: Option<&str>, tag: Option<&str>, location: Option<&str>, master: &str) -> Answer {
    shop.tell(Body::SetOwnership(SetOwnership {
        location: location.map(str::to_owned),
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
