use jiff::civil::{Date, Time, date, time};
use onhand_edi::edifact;
use onhand_edi::x12::{
    self, Acknowledgment, ElementNote, Group, Interchange, Inventory, InventoryLine, InventoryReport,
    Partner, Party, SegmentNote, Separators, SetAnswer, Stock, StockKind, TransactionSet, Usage, Verdict,
};
use onhand_edi::{Element, ItemId, ItemIds, Place, Segment};
use onhand_ledger::Quantity;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// A value with all kinds of characters in it, separators among them.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[A-Z0-9]{0,6}", 1 => "[ -~]{0,8}", 1 => "\\PC{0,4}"]
}

fn element() -> impl Strategy<Value = Element> {
    prop_oneof![4 => value().prop_map(Element::from), 1 => vec(vec(value(), 0..3), 1..2).prop_map(Element::new)]
}

fn repeated() -> impl Strategy<Value = Element> {
    prop_oneof![4 => value().prop_map(Element::from), 1 => vec(vec(value(), 0..3), 1..4).prop_map(Element::new)]
}

fn segment(id: &'static str, element: impl Strategy<Value = Element>) -> impl Strategy<Value = Segment> {
    (id, vec(element, 0..6))
        .prop_map(|(id, elements)| Segment::new(&id, elements))
        .prop_filter("of the envelope", |segment| {
            !matches!(segment.id.as_str(), "ISA" | "IEA" | "GS" | "GE" | "ST" | "SE")
        })
        .prop_filter("of the envelope", |segment| !segment.id.starts_with("UN"))
}

fn day() -> impl Strategy<Value = Date> {
    (2000_i16..2100, 1_i8..13, 1_i8..29).prop_map(|(year, month, day)| date(year, month, day))
}

fn minute() -> impl Strategy<Value = Time> {
    (0_i8..24, 0_i8..60).prop_map(|(hour, minute)| time(hour, minute, 0, 0))
}

fn group(control: u32) -> impl Strategy<Value = Group> {
    let sets = vec(("[0-9]{3}", vec(segment("[A-Z][A-Z0-9]{1,2}", repeated()), 0..5)), 0..4);
    (sets, day(), minute(), "[A-Z]{2}").prop_map(move |(sets, date, time, functional)| Group {
        functional,
        sender: "DEPOSITOR".to_owned(),
        receiver: "WAREHOUSE".to_owned(),
        date,
        time,
        control,
        agency: "X".to_owned(),
        version: "005010".to_owned(),
        sets: sets
            .into_iter()
            .zip(1..)
            .map(|((kind, segments), number)| TransactionSet::new(&kind, number, segments))
            .collect(),
    })
}

fn x12_interchange() -> impl Strategy<Value = Interchange> {
    (group(1), group(2), day(), minute(), 0_u32..1_000_000_000, any::<bool>(), "[A-Z0-9]{1,15}").prop_map(
        |(first, second, date, time, control, acknowledge, id)| Interchange {
            separators: Separators::usual("00501"),
            authorization: Partner::none(),
            security: Partner::none(),
            sender: Partner::new("ZZ", &id),
            receiver: Partner::new("12", "WAREHOUSE"),
            date,
            time,
            version: "00501".to_owned(),
            control,
            acknowledge,
            usage: if acknowledge { Usage::Production } else { Usage::Test },
            notes: Vec::new(),
            groups: vec![first, second],
        },
    )
}

fn edifact_interchange() -> impl Strategy<Value = edifact::Interchange> {
    let messages = vec(vec(segment("[A-Z]{3}", element()), 0..6), 0..4);
    (messages, day(), minute(), "[ -~]{1,14}", any::<bool>(), option::of("[ -~]{1,14}")).prop_map(
        |(messages, date, time, reference, has_advice, address)| edifact::Interchange {
            separators: edifact::Separators::default(),
            has_advice,
            syntax: "UNOC".to_owned(),
            version: 3,
            sender: edifact::Partner { id: "A'B+C:D?E".to_owned(), qualifier: None, address },
            recipient: edifact::Partner::new("WAREHOUSE", Some("14")),
            date,
            time,
            reference,
            more: Vec::new(),
            messages: messages
                .into_iter()
                .zip(1..)
                .map(|(segments, number)| edifact::Message {
                    reference: format!("M{number}"),
                    kind: edifact::MessageKind::new("INVRPT", "D", "96A"),
                    more: Vec::new(),
                    segments,
                })
                .collect(),
        },
    )
}

fn quantity() -> impl Strategy<Value = Quantity> {
    (-999_999_999_i64..999_999_999).prop_map(Quantity::from_micros)
}

fn inventory() -> impl Strategy<Value = Inventory> {
    let item =
        vec(("[A-Z]{2}", "[A-Z0-9 .-]{0,20}[A-Z0-9]").prop_map(|(kind, id)| ItemId { kind, id }), 1..4);
    let kind = prop_oneof![
        Just(StockKind::OnHand),
        Just(StockKind::Available),
        Just(StockKind::Other("63".to_owned()))
    ];
    let stock = (kind, quantity(), option::of("[A-Z]{2}")).prop_map(|(kind, quantity, unit)| Stock {
        kind,
        quantity,
        unit,
    });
    let line = (option::of("[0-9]{1,5}"), item, vec(stock, 0..3)).prop_map(|(line, ids, stocks)| {
        InventoryLine { line, item: ItemIds { ids, case_code: None }, stocks }
    });
    (vec(line, 0..5), day(), option::of(minute()), "[A-Z0-9]{1,9}").prop_map(
        |(lines, date, time, reference)| Inventory {
            report: InventoryReport::Seller,
            reference,
            date,
            time,
            parties: vec![Party::coded("WH", "92", "E1")],
            lines,
        },
    )
}

fn acknowledgment() -> impl Strategy<Value = Acknowledgment> {
    let verdict =
        || prop_oneof![Just(Verdict::Accepted), Just(Verdict::Rejected), Just(Verdict::AcceptedWithErrors)];
    let codes = || vec("[0-9]{1,2}", 0..5);
    let element = (
        1_u32..99,
        option::of(1_u32..99),
        option::of(1_u32..9999),
        "[0-9]",
        option::of("[A-Z0-9 ]{0,30}[A-Z]"),
    )
        .prop_map(|(element, component, number, code, value)| ElementNote {
            element,
            component,
            number,
            code,
            value,
        });
    let note = ("[A-Z][A-Z0-9]{1,2}", 1_u32..999_999, option::of("[0-9]"), vec(element, 0..3)).prop_map(
        |(id, position, code, elements)| SegmentNote { id, position, within: None, code, elements },
    );
    let set = ("[0-9]{3}", "[0-9]{4}", vec(note, 0..3), verdict(), codes()).prop_map(
        |(kind, control, notes, verdict, codes)| SetAnswer { kind, control, notes, verdict, codes },
    );
    ("[A-Z]{2}", 0_u32..999_999_999, vec(set, 0..3), verdict(), [0_u32..9999, 0..9999, 0..9999], codes())
        .prop_map(|(functional, control, sets, verdict, [included, received, accepted], codes)| {
            Acknowledgment { functional, control, sets, verdict, included, received, accepted, codes }
        })
}

/// An interchange of X12 that nothing is wrong with.
fn sample() -> String {
    let body = "W06*F*OUT-17*20261128*S9**PO55~LX*1~MAN*CP*1Z999~W12*CC*3*3*0*EA**SK*MUG*L7~LX*2~W12*CP*10*7*3*EA**SK*TEA~W03*10~";
    crate::x12_of("SW", "945", body)
}

/// One of EDIFACT.
const REPORT: &str = "UNA:+.? '\nUNB+UNOC:3+WAREHOUSE:14+DEPOSITOR:ZZ+261129:1015+REF7'\nUNH+M1+INVRPT:D:96A:UN'\nBGM+35+INV1+9'\n\
    DTM+137:20261129:102'\nLIN+1++5412345111115:EN'\nQTY+145:148'\nLOC+18+E1'\nQTY+124:2.5'\nUNT+8+M1'\nUNZ+1+REF7'\n";

/// Without the segment of that number.
fn without(text: &str, mark: char, number: usize) -> String {
    text.split_inclusive(mark)
        .enumerate()
        .filter(|(index, _)| *index != number)
        .map(|(_, segment)| segment)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in vec(any::<u8>(), 0..400), begin in 0_usize..3) {
        let mut text = [b"".as_slice(), b"UNA:+.? 'UNB+UNOC:3+A+B+261129:1015+1'UNH+", &sample().as_bytes()[..107]][begin].to_vec();
        text.extend(bytes);
        let (x12, edifact) = (x12::receive(&text), edifact::receive(&text));
        prop_assert!(!x12.problems.is_empty() && !edifact.problems.is_empty());
        prop_assert!(x12.documents.is_empty() && edifact.documents.is_empty());
    }

    #[test]
    fn any_segments_are_read_without_a_panic(text in "([A-Z0-9]{2,3}([*+:>~'?\n]|[A-Z0-9]{1,3}){0,9}[~']){0,30}", begin in 0_usize..2) {
        let sample = sample();
        let head = ["UNB+UNOC:3+A+B+261129:1015+1'UNH+1+INVRPT:D:96A:UN'", &sample[..171]][begin];
        let text = format!("{head}{text}");
        x12::receive(text.as_bytes());
        edifact::receive(text.as_bytes());
    }

    #[test]
    fn what_x12_writes_is_what_it_reads(mut whole in x12_interchange()) {
        match Separators::fitting(&whole) {
            None => prop_assert!(whole.write().is_err()),
            Some(separators) => {
                whole.separators = separators;
                let text = whole.write().unwrap();
                let reading = x12::read(text.as_bytes());
                prop_assert_eq!(reading.problems, vec![], "{}", text);
                prop_assert_eq!(reading.interchange, Some(whole));
            }
        }
    }

    #[test]
    fn what_edifact_writes_is_what_it_reads(whole in edifact_interchange()) {
        let text = whole.write().unwrap();
        let reading = edifact::read(text.as_bytes());
        prop_assert_eq!(reading.problems, vec![], "{}", text);
        prop_assert_eq!(reading.interchange, Some(whole));
    }

    #[test]
    fn an_inventory_is_read_as_it_was_written(inventory in inventory()) {
        let set = inventory.write(1).unwrap();
        prop_assert_eq!(Inventory::read(&set, &Place::default()), Ok(inventory));
    }

    #[test]
    fn an_acknowledgment_is_read_as_it_was_written(answer in acknowledgment()) {
        let set = answer.write(1).unwrap();
        prop_assert_eq!(Acknowledgment::read(&set, &Place::default()), Ok(answer));
    }

    #[test]
    fn what_is_cut_off_is_told(cut in 0_usize..10_000) {
        let text = sample();
        let cut = cut % text.trim_end().len();
        let receipt = x12::receive(&text.as_bytes()[..cut]);
        prop_assert!(!receipt.problems.is_empty() && receipt.documents.is_empty(), "{}", &text[..cut]);
        let cut = cut % REPORT.trim_end().len();
        let receipt = edifact::receive(&REPORT.as_bytes()[..cut]);
        prop_assert!(!receipt.problems.is_empty() && receipt.documents.is_empty(), "{}", &REPORT[..cut]);
    }

    #[test]
    fn a_segment_that_is_lost_is_told(number in 0_usize..100) {
        let text = sample();
        let lost = without(&text, '~', number % text.matches('~').count());
        let receipt = x12::receive(lost.as_bytes());
        prop_assert!(!receipt.problems.is_empty() && receipt.documents.is_empty(), "{}", lost);
        // The first two marks are of UNA, without which the usual ones hold.
        let number = 1 + number % (REPORT.matches('\'').count() - 1);
        let lost = without(REPORT, '\'', number);
        let receipt = edifact::receive(lost.as_bytes());
        prop_assert!(!receipt.problems.is_empty() && receipt.documents.is_empty(), "{}", lost);
    }

    #[test]
    fn a_separator_that_is_lost_is_told_or_the_same_is_read(at in 0_usize..10_000) {
        let text = sample();
        let marks: Vec<usize> = text.match_indices(['*', '~']).map(|(at, _)| at).collect();
        let at = marks[at % marks.len()];
        let broken = format!("{}x{}", &text[..at], &text[at + 1..]);
        let (whole, receipt) = (x12::receive(text.as_bytes()), x12::receive(broken.as_bytes()));
        prop_assert!(!receipt.problems.is_empty() || receipt.documents != whole.documents);
        if !receipt.problems.is_empty() {
            prop_assert!(receipt.documents.is_empty(), "{}", broken);
            prop_assert!(receipt.problems.iter().all(|problem| problem.place != Place::default()), "{:?}", receipt.problems);
            prop_assert!(receipt.acknowledgments.iter().all(|answer| answer.accepted == 0));
        }
    }

    #[test]
    fn whatever_a_document_is_changed_to_is_taken_or_told(
        which in 0_usize..6, at in 0_usize..10_000, to in "[*~>A-Z0-9. -]{0,3}", and in 0_usize..10_000,
    ) {
        use crate::x12_in::{ADJUSTED, ORDER, RECEIVED, SHIPPED, STOCK};
        let answer = "AK1*OW*12~AK2*940*0002~AK3*W01*7*0310*8~AK4*2>1*355*7*EACH~AK5*R*5*4~AK9*P*2*2*1*5~";
        let (functional, kind, body) = [
            ("SW", "945", SHIPPED), ("RE", "944", RECEIVED), ("AW", "947", ADJUSTED), ("IB", "846", STOCK), ("PO", "850", ORDER),
            ("FA", "997", answer),
        ][which];
        let text = crate::x12_of(functional, kind, body);
        let changed = |text: &str, at: usize| {
            let at = at % text.len();
            format!("{}{to}{}", &text[..at], &text[at + 1..])
        };
        let text = changed(&changed(&text, at), and);
        let receipt = x12::receive(text.as_bytes());
        let accepted: u32 = receipt.acknowledgments.iter().map(|answer| answer.accepted).sum();
        let documents = receipt.documents.iter().filter(|(_, document)| !matches!(document, x12::Document::Acknowledgment(_)));
        prop_assert_eq!(accepted as usize, documents.count(), "{}", text);
        prop_assert_eq!(receipt.problems.is_empty(), !receipt.documents.is_empty(), "{}", text);
        for answer in &receipt.acknowledgments {
            prop_assert!(answer.write(1).is_ok(), "{:?}", answer);
        }
    }

    #[test]
    fn whatever_a_report_is_changed_to_is_taken_or_told(at in 0_usize..10_000, to in "['+:?A-Z0-9. -]{0,3}", and in 0_usize..10_000) {
        let changed = |text: &str, at: usize| {
            let at = at % text.len();
            format!("{}{to}{}", &text[..at], &text[at + 1..])
        };
        let text = changed(&changed(REPORT, at), and);
        let receipt = edifact::receive(text.as_bytes());
        prop_assert_eq!(receipt.problems.is_empty(), !receipt.documents.is_empty(), "{}", text);
        if let Some(control) = receipt.control {
            let is_good = control.action == edifact::Action::Acknowledged && control.messages.is_empty();
            prop_assert_eq!(is_good, receipt.problems.is_empty());
            prop_assert!(control.write("C1", edifact::MessageKind::new("CONTRL", "4", "1")).is_ok(), "{:?}", control);
        }
    }
}
