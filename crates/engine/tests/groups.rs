//! Groups: many commands, all or nothing, on every way a ledger is kept.

#[path = "support/shop.rs"]
#[expect(dead_code, reason = "the examples use the rest")]
mod shop;

use onhand_engine::CommitError;
use onhand_ledger::command::{Content, Document, PlaceOrder, PutItem, PutLocation, Receive, TakeCount};
use onhand_ledger::{Answer, Body, Invalid, Refusal};
use shop::{each_way, units};

fn item(sku: &str) -> Body {
    Body::PutItem(PutItem { sku: sku.to_owned(), ..PutItem::default() })
}

fn receive(location: &str, sku: &str, quantity: i64) -> Body {
    let (location, lines) = (location.to_owned(), units(sku, quantity));
    Body::Receive(Receive { location, lines, occurred_at: None, reason: None })
}

fn order(sku: &str, quantity: i64) -> Body {
    Body::PlaceOrder(PlaceOrder {
        reference: None,
        lines: units(sku, quantity),
        location: None,
        ..PlaceOrder::default()
    })
}

#[test]
fn a_line_of_a_group_sees_what_the_earlier_ones_did() {
    each_way(|shop| {
        let paris = PutLocation { code: "PARIS".to_owned(), ..PutLocation::default() };
        let count = |quantity| {
            let (location, lines) = ("PARIS".to_owned(), units("NEW", quantity));
            Body::Count(TakeCount { inside: false, location, lines, as_of: None, system: None, net: false })
        };
        let group = vec![
            item("NEW"),
            Body::PutLocation(paris),
            receive("PARIS", "NEW", 5),
            order("NEW", 3),
            count(4),
            receive("PARIS", "NEW", 1),
            receive("LONDON", "MUG", 2),
            order("MUG", 2),
        ];
        let Answer::Group(answers) = shop.tell(Body::Group(group)) else { panic!("the group was not done") };
        assert_eq!(answers.len(), 8);
        let Answer::Counted(counted, _) = &answers[4] else { panic!("{answers:?}") };
        assert_eq!(counted[0].found.whole_units(), 5);
        assert_eq!(shop.stock("MUG"), (0, 0, 2));
        assert_eq!(shop.stock("NEW"), (0, 0, 0), "it is in Paris");
    });
}

#[test]
fn the_line_that_is_refused_is_named_and_nothing_of_the_group_is_done() {
    each_way(|shop| {
        let group =
            || Body::Group(vec![item("NEW"), receive("LONDON", "MUG", 2), order("MUG", 3), order("A", 1)]);
        let refused = shop.keyed(Some("load-7"), group()).unwrap();
        let Answer::Refused(refusal) = &refused.answer else { panic!("{refused:?}") };
        assert!(matches!(refusal, Refusal::InGroup { line: 3, .. }));
        assert_eq!(
            refusal.to_string(),
            "line 3 of the group: cannot take 3 of `MUG`: 2 available; nothing of the group was done"
        );
        assert_eq!(shop.stock("MUG"), (0, 0, 0));
        // Its key stands for all of it (law 4).
        shop.receive("MUG", 9);
        let again = shop.keyed(Some("load-7"), group()).unwrap();
        assert!(again.replayed && again.answer == refused.answer);
        assert!(matches!(shop.keyed(None, receive("LONDON", "NEW", 1)), Err(CommitError::Invalid(_))));
    });
}

#[test]
fn what_makes_no_sense_in_a_group_is_said() {
    each_way(|shop| {
        let document = Document {
            system: "WEB".to_owned(),
            document: "1".to_owned(),
            version: 1,
            content: Content::Movements(Vec::new()),
        };
        let problem = |bodies| shop.keyed(None, Body::Group(bodies)).unwrap_err().to_string();
        assert!(problem(Vec::new()).contains("a group needs at least one line"));
        assert!(problem(vec![item("X"); 1_001]).contains("has 1001 lines; at most 1000"));
        assert!(problem(vec![item("X"), Body::Group(vec![item("Y")])]).contains("line 2 of the group"));
        assert!(problem(vec![Body::Record(document)]).contains("send it by itself"));
        let unknown = shop.keyed(None, Body::Group(vec![item("X"), receive("LONDON", "Y", 1)]));
        assert!(
            matches!(unknown, Err(CommitError::Invalid(Invalid::InGroup { line: 2, .. }))),
            "{unknown:?}"
        );
        assert!(
            shop.keyed(None, receive("LONDON", "X", 1)).is_err(),
            "nothing of a group that is none was done"
        );
    });
}

#[test]
fn a_group_of_a_thousand_lines_is_decided_in_a_few_rounds() {
    each_way(|shop| {
        let made = (0..500).map(|number| item(&format!("G-{number}")));
        let received = (0..500).map(|number| receive("LONDON", &format!("G-{number}"), 1));
        let group: Vec<Body> = made.chain(received).collect();
        assert!(matches!(shop.tell(Body::Group(group)), Answer::Group(answers) if answers.len() == 1_000));
        let orders = (0..500).map(|number| order(&format!("G-{number}"), 1));
        let more = (0..500).map(|number| receive("LONDON", &format!("G-{number}"), 2));
        let group: Vec<Body> = orders.chain(more).collect();
        assert!(matches!(shop.tell(Body::Group(group)), Answer::Group(answers) if answers.len() == 1_000));
        assert_eq!(shop.stock("G-499"), (2, 0, 1));
    });
}
