use jiff::civil::{date, time};
use onhand_edi::edifact::{
    self, Action, Control, Directory, Document, Element, Held, HeldKind, Interchange, Message, MessageKind,
    Move, Partner, ReportLine, ReportParty, Segment, Separators, StockReport,
};
use onhand_edi::{Fault, ItemId, ItemIds, MOST_BYTES, Place};
use onhand_ledger::{Precision, Quantity};

use crate::assert_told;

fn quantity(text: &str) -> Quantity {
    Quantity::parse(text, Precision::FINEST).unwrap()
}

const BODY: &str = "BGM+35+INV1+9'DTM+137:202611291015:203'RFF+ON:1'NAD+GY+5410738100050::9'NAD+WH+E1'LIN+1++5412345111115:EN'\
    PIA+1+MUG?'S:SA+M1:IN'QTY+145:148'LOC+18+E1'DTM+366:20261128:102'QTY+124:2,5:KGM'INV+1'LIN+2'PIA+5+TEA:SA'QTY+17:0.25'";

fn text_of(body: &str) -> String {
    let released = body.replace("?'", "");
    let count = released.matches('\'').count() + 2;
    format!(
        "UNA:+.? '\nUNB+UNOC:3+WAREHOUSE:14+DEPOSITOR:ZZ:SUB+261129:1015+REF7++INVRPT'\n\
         UNH+M1+INVRPT:D:96A:UN:EAN004'{body}UNT+{count}+M1'\nUNZ+1+REF7'\n"
    )
}

fn told(text: &str) -> Vec<String> {
    let receipt = edifact::receive(text.as_bytes());
    assert_eq!(receipt.documents, [], "{text}");
    receipt.problems.iter().map(ToString::to_string).collect()
}

#[test]
fn a_report_of_stock_is_read() {
    let text = text_of(BODY).replace("UNA:+.? '", "UNA:+,? '").replace("17:0.25", "17:0,25");
    let receipt = edifact::receive(text.as_bytes());
    assert_eq!(receipt.problems, []);
    assert_eq!(receipt.control.unwrap().action, Action::Acknowledged);
    let Document::Stock(report) = &receipt.documents[0].1 else { panic!() };
    assert_eq!(
        (report.number.as_str(), report.made_on, report.made_at),
        ("INV1", date(2026, 11, 29), Some(time(10, 15, 0, 0)))
    );
    assert_eq!(report.parties[1], ReportParty { role: "WH".into(), id: Some("E1".into()), agency: None });
    let [mug, tea] = &report.lines[..] else { panic!() };
    assert_eq!((mug.item.of_kind("EN"), mug.item.of_kind("SA")), (Some("5412345111115"), Some("MUG'S")));
    let [actual, damaged] = &mug.held[..] else { panic!() };
    assert_eq!(
        (&actual.kind, actual.quantity, actual.location.as_deref()),
        (&HeldKind::Actual, quantity("148"), Some("E1"))
    );
    assert_eq!(
        (actual.as_of, damaged.moved, damaged.quantity),
        (Some(date(2026, 11, 28)), Some(Move::Out), quantity("2.5"))
    );
    assert_eq!((tea.item.of_kind("SA"), tea.held[0].quantity), (Some("TEA"), quantity("0.25")));
    let interchange = receipt.interchange.unwrap();
    assert_eq!((interchange.recipient.address.as_deref(), interchange.more.len()), (Some("SUB"), 2));
}

#[test]
fn una_may_be_missing_and_may_say_otherwise() {
    let body = BODY.replace("2,5", "2.5");
    let plain = text_of(&body);
    let other = plain
        .replace("?'", "\u{1}")
        .replace('\'', "~")
        .replace('+', "*")
        .replace("UNA:*.? ~", "UNA:*.! ~")
        .replace('\u{1}', "'");
    for text in [plain.replace("UNA:+.? '\n", ""), plain.replace('\n', "\r\n"), other] {
        let receipt = edifact::receive(text.as_bytes());
        assert_eq!(receipt.problems, [], "{text}");
        let Document::Stock(report) = &receipt.documents[0].1 else { panic!() };
        assert_eq!(report.lines[0].item.of_kind("SA"), Some("MUG'S"));
    }
}

#[test]
fn what_is_wrong_is_named_by_its_place() {
    let text = text_of(&BODY.replace("2,5", "2.5"));
    for (from, to, place, sentence) in [
        ("UNA:+.? '", "UNA:+.?", "segment UNA", "separates nothing"),
        ("UNA:+.? '", "UNA:++? '", "segment UNA", "no decimal mark"),
        ("UNA:+.? '", "UNA::.? '", "segment UNA", "separates two things"),
        ("UNB+", "UNC+", "segment UNB", "begins with UNB"),
        ("UNOC:3", "UNOC:4", "UNB, element 1, component 2", "1, 2 and 3 are read"),
        ("UNOC:3", "UNO:3", "UNB, element 1", "has 4"),
        ("+261129:1015+", "+261329:1015+", "UNB, element 4", "no day such as 261129"),
        ("+261129:1015+", "+261129:2515+", "UNB, element 4, component 2", "no time such as 1015"),
        ("+REF7+", "++", "UNB, element 5", "has to be here"),
        ("UNH+M1+", "UNG+A'UNH+M1+", "segment UNG", "no functional groups"),
        (
            "UNH+M1+INVRPT",
            "UNH+M1+ORDERS",
            "interchange REF7, set M1, segment 1 UNH, element 2",
            "INVRPT and CONTRL are",
        ),
        ("96A", "97A", "segment 1 UNH, element 2, component 3", "those of D.96A and D.01B are"),
        ("UNH+M1+INVRPT:D:96A:UN:EAN004'", "", "segment BGM", "in no message"),
        ("BGM+35+INV1+9'", "", "segment 2 BGM", "it has to be BGM"),
        ("BGM+35+", "BGM+99+", "segment 2 BGM, element 1", "known here: 35, 78"),
        ("INV1+9", "INV1+5", "segment 2 BGM, element 3", "known here: 9"),
        ("DTM+137:", "DTM+138:", "segment 2 DTM", "DTM with 137 is missing"),
        ("1015:203", "10:203", "segment 3 DTM, element 1, component 2", "no minute such as"),
        ("1015:203", "1015:204", "segment 3 DTM, element 1, component 3", "known here: 102, 203"),
        ("QTY+145:148", "QTY+145:x", "segment 9 QTY, element 1, component 2", "not a number"),
        ("QTY+145:148", "QTY+145", "segment 9 QTY, element 1, component 2", "has to be here"),
        ("QTY+145:148'", "", "segment 9 LOC", "QTY is missing"),
        ("INV+1'", "INV+3'", "segment 13 INV, element 1", "known here: 1, 2"),
        ("PIA+5+TEA:SA'", "", "segment 15 QTY", "LIN or PIA has to tell one"),
        ("PIA+5+TEA:SA'", "PIA+5+TEA'", "segment 15 PIA, element 2, component 2", "has to be here"),
        ("UNT+17+M1", "UNT+16+M1", "segment 17 UNT, element 1", "the message has 17"),
        ("UNT+17+M1", "UNT+17+M2", "segment 17 UNT, element 2", "message that is open, `M1`"),
        ("UNT+17+M1'\n", "", "segment 17 UNT", "UNT is missing before UNZ"),
        ("UNZ+1+", "UNZ+2+", "segment UNZ, element 1", "the interchange has 1"),
        ("UNZ+1+REF7", "UNZ+1+REF8", "segment UNZ, element 2", "interchange's reference, `REF7`"),
        ("UNZ+1+REF7'\n", "", "segment UNZ", "UNZ is missing at the end"),
        ("UNZ+1+REF7'\n", "UNZ+1+REF7?'\n", "segment UNZ", "not ended by '\\''"),
        ("UNZ+1+REF7'\n", "UNZ+1+REF7'\nUNB'", "interchange REF7", "behind UNZ"),
        ("LIN+2'", "lin+2'", "segment 14 lin", "three capitals"),
        ("INV1+9", "IN\tV1+9", "segment 2 BGM, element 2", "may not be in a value"),
    ] {
        assert!(text.contains(from), "{from}");
        assert_told(&told(&text.replace(from, to)), place, sentence);
    }
    assert_eq!(edifact::read(&vec![b'A'; MOST_BYTES + 1]).problems[0].fault, Fault::TooLarge);
    assert_told(&told(&text.replace("INV1+9", &"A+".repeat(200))), "segment 2 BGM", "more than 99 elements");
    assert!(edifact::read(b"UNB\xff").problems[0].to_string().contains("byte 4 is not UTF-8"));
}

/// None of these takes more than linear time.
#[test]
fn the_largest_and_worst_is_read_in_moments() {
    for unit in ["LOC+18+A'", "UNT+2+M1'UNH+M1+INVRPT:D:96A:UN'", "'", "A+", ":", "?", "QTY'"] {
        let text = text_of("").replace("UNT+2+M1'", &unit.repeat(MOST_BYTES / unit.len() - 500));
        let receipt = edifact::receive(text.as_bytes());
        assert!(
            receipt.documents.is_empty() && !receipt.problems.is_empty() && receipt.problems.len() < 11_000,
            "{unit}"
        );
    }
}

fn contrl() -> MessageKind {
    MessageKind::new("CONTRL", "4", "1")
}

fn interchange(messages: Vec<Message>) -> Interchange {
    Interchange {
        separators: Separators::default(),
        has_advice: true,
        syntax: "UNOC".to_owned(),
        version: 3,
        sender: Partner::new("DEPOSITOR", Some("14")),
        recipient: Partner::new("WAREHOUSE", None),
        date: date(2026, 11, 29),
        time: time(10, 15, 0, 0),
        reference: "REF8".to_owned(),
        more: Vec::new(),
        messages,
    }
}

/// The segments of the only message, as they are written, after they were read back.
fn written(message: Message) -> String {
    let whole = interchange(vec![message]);
    let text = whole.write().unwrap();
    let reading = edifact::read(text.as_bytes());
    assert_eq!((reading.problems, reading.interchange), (Vec::new(), Some(whole)));
    text[text.find("UNH").unwrap()..text.rfind("UNZ").unwrap()].replace('\n', "")
}

fn report() -> StockReport {
    let named = |kind: &str, id: &str| ItemId { kind: kind.to_owned(), id: id.to_owned() };
    let held = |kind, amount| Held {
        kind,
        quantity: quantity(amount),
        unit: None,
        moved: None,
        location: None,
        as_of: None,
    };
    let mug = ItemIds {
        ids: vec![named("EN", "5412345111115"), named("SA", "MUG+1"), named("IN", "M?1")],
        case_code: None,
    };
    StockReport {
        directory: Directory::D96A,
        is_of_movements: false,
        number: "INV1".to_owned(),
        made_on: date(2026, 11, 29),
        made_at: None,
        parties: vec![ReportParty {
            role: "GY".into(),
            id: Some("5410738100050".into()),
            agency: Some("9".into()),
        }],
        lines: vec![
            ReportLine {
                line: Some("1".to_owned()),
                item: mug,
                held: vec![Held {
                    unit: Some("PCE".to_owned()),
                    location: Some("E1".to_owned()),
                    as_of: Some(date(2026, 11, 28)),
                    ..held(HeldKind::Actual, "148")
                }],
            },
            ReportLine {
                line: None,
                item: ItemIds { ids: vec![named("SA", "TEA")], case_code: None },
                held: vec![Held { moved: Some(Move::In), ..held(HeldKind::Other("48".to_owned()), "0.5") }],
            },
        ],
    }
}

#[test]
fn a_report_of_stock_is_written_and_read_back() {
    let message = report().write("M1", '.').unwrap();
    assert_eq!(StockReport::read(&message, '.', &Place::default()), Ok(report()));
    assert_eq!(
        written(message),
        "UNH+M1+INVRPT:D:96A:UN'BGM+35+INV1+9'DTM+137:20261129:102'NAD+GY+5410738100050::9'LIN+1++5412345111115:EN'\
         PIA+1+MUG?+1:SA+M??1:IN'QTY+145:148:PCE'LOC+18+E1'DTM+366:20261128:102'LIN'PIA+5+TEA:SA'QTY+48:0.5'INV+2'UNT+14+M1'"
    );
    let refused = |change: &dyn Fn(&mut StockReport), told: &str| {
        let mut report = report();
        change(&mut report);
        let error = report.write("M1", '.').unwrap_err().to_string();
        assert!(error.contains(told), "{told}: {error}");
    };
    refused(&|report| report.number = "N".repeat(36), "set M1, segment 2 BGM, element 2");
    refused(&|report| report.lines[0].item.ids.clear(), "one to six names");
    refused(&|report| report.lines[0].held[0].location = Some("L".repeat(26)), "segment 8 LOC, element 2");
    refused(
        &|report| report.lines[0].held[0].kind = HeldKind::Other(String::new()),
        "kind of quantity has to be there",
    );
    refused(&|report| report.parties[0].id = None, "party's id has to be there");
}

#[test]
fn in_d01b_inv_is_in_front_of_its_quantity() {
    let report = StockReport { directory: Directory::D01B, ..report() };
    let message = report.write("M1", '.').unwrap();
    assert_eq!(StockReport::read(&message, '.', &Place::default()), Ok(report));
    let text = written(message);
    assert!(text.starts_with("UNH+M1+INVRPT:D:01B:UN'"), "{text}");
    assert!(
        text.contains("INV++++1'QTY+145:148:PCE'LOC") && text.contains("INV+2'QTY+48:0.5'UNT+15"),
        "{text}"
    );
}

#[test]
fn what_does_not_fit_the_envelope_is_refused() {
    let refused = |change: &dyn Fn(&mut Interchange), told: &str| {
        let mut whole = interchange(vec![report().write("M1", '.').unwrap()]);
        change(&mut whole);
        let error = whole.write().unwrap_err().to_string();
        assert!(error.contains(told), "{told}: {error}");
    };
    refused(
        &|whole| whole.reference = String::new(),
        "UNB, element 5: the interchange's reference has to be there",
    );
    refused(&|whole| whole.sender.id = "S".repeat(36), "UNB, element 2: ");
    refused(&|whole| whole.version = 4, "1, 2 and 3 are written");
    refused(&|whole| whole.date = date(1999, 1, 1), "not a minute of this century");
    let other = |whole: &mut Interchange| {
        whole.separators.element = '*';
        whole.has_advice = false;
    };
    refused(&other, "not the usual ones need UNA");
    refused(&|whole| whole.separators.component = '+', "separates two things");
    refused(&|whole| whole.separators.release = None, "there is no release character");
    refused(&|whole| whole.messages.push(whole.messages[0].clone()), "used before in this interchange");
    refused(&|whole| whole.messages[0].segments[0].id = "UNT".to_owned(), "no segment of a message");
    refused(&|whole| whole.messages[0].segments[0].id = "Q".to_owned(), "three capitals");
    refused(
        &|whole| whole.messages[0].segments.push(Segment::new("FTX", [Element::from("a\u{7}")])),
        "no value may have",
    );
    let twice = Element::new(vec![vec!["A".to_owned()], vec!["B".to_owned()]]);
    refused(
        &|whole| whole.messages[0].segments.push(Segment::new("FTX", [twice.clone()])),
        "repeats no elements",
    );
}

fn answer(text: &str) -> String {
    written(edifact::receive(text.as_bytes()).control.unwrap().write("C1", contrl()).unwrap())
}

#[test]
fn what_was_read_is_answered() {
    let text = text_of(&BODY.replace("2,5", "2.5"));
    let head = "UNH+C1+CONTRL:4:1:UN'UCI+REF7+WAREHOUSE:14+DEPOSITOR:ZZ:SUB";
    assert_eq!(answer(&text), format!("{head}+7'UNT+3+C1'"));
    for (from, to, told) in [
        ("QTY+145:148", "QTY+145:x", "+7'UCM+M1+INVRPT:D:96A:UN:EAN004+4'UCS+9'UCD+37+2:2'UNT+6+C1'"),
        ("BGM+35+INV1+9'", "", "+4+29+UNT+2'UCS+1+13'"),
        ("UNT+17+M1", "UNT+16+M1", "+7'UCM+M1+INVRPT:D:96A:UN:EAN004+4+29+UNT+2'UNT+4+C1'"),
        ("96A", "97A", "+4+14+UNH+3:3'"),
        ("UNZ+1+", "UNZ+2+", "+4+29+UNZ+2'UNT+3+C1'"),
        ("LIN+2'", "lin+2'", "UCS+14+15'"),
        ("INV1+9", &format!("{}+9", "N".repeat(36)), "UCS+2'UCD+39+3'"),
    ] {
        assert!(text.contains(from), "{from}");
        let answered = answer(&text.replace(from, to));
        assert!(answered.starts_with(head) && answered.contains(told), "{told}: {answered}");
    }
}

#[test]
fn answers_are_read_and_never_answered() {
    let body = "UCI+REF7+DEPOSITOR:14+WAREHOUSE+7'UCM+M1+INVRPT:D:96A:UN+4+12+UNH+3:2'UCS+9+15'UCS+12'UCD+37+2:2'UCD+13+1'UCM+M2+INVRPT:D:96A:UN+7'";
    let text = text_of(body).replace("INVRPT:D:96A:UN:EAN004", "CONTRL:4:1:UN");
    let receipt = edifact::receive(text.as_bytes());
    assert_eq!((receipt.problems, receipt.control), (Vec::new(), None));
    let Document::Control(control) = &receipt.documents[0].1 else { panic!() };
    assert_eq!(
        (control.interchange.as_str(), control.action, control.messages.len()),
        ("REF7", Action::Acknowledged, 2)
    );
    let bad = &control.messages[0];
    assert_eq!(bad.error.as_ref().unwrap().at, Some((2, Some(2))));
    let elements: Vec<_> =
        bad.segments[1].elements.iter().map(|error| (error.element, error.component)).collect();
    assert_eq!(elements, [(1, Some(2)), (0, None)]);
    assert_eq!(
        Control::read(&control.write("C1", contrl()).unwrap(), &Place::default()).as_ref(),
        Ok(control)
    );
    for (from, to, place, sentence) in [
        ("WAREHOUSE+7", "WAREHOUSE+9", "segment 2 UCI, element 4", "known here: 4, 7, 8"),
        ("UN+4+12", "UN+8+12", "segment 3 UCM, element 3", "known here: 4, 7"),
        ("UCS+9+15'UCS+12'", "", "segment 4 UCD", "UCS is missing"),
        ("UCD+13+1'", "UCD+13+0'", "segment 7 UCD, element 2", "1 or more"),
        ("UCS+12'", "FTX+12'", "segment 5 FTX", "does not belong here"),
        ("UCI", "UCX", "segment 2 UCI", "it has to be UCI"),
    ] {
        assert!(text.contains(from), "{from}");
        assert_told(&told(&text.replace(from, to)), place, sentence);
    }
}
