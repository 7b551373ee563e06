use jiff::civil::{date, time};
use onhand_edi::x12::{
    self, Element, Group, Interchange, Partner, Segment, Separators, TransactionSet, Usage,
};
use onhand_edi::{Fault, MOST_BYTES, MOST_PROBLEMS};

use crate::{assert_told, x12_of};

const BODY: &str = "W15*20261129*A17~W19*AA*-2*EA**SK*MUG~";

fn adjustment() -> String {
    x12_of("AW", "947", BODY)
}

fn told(text: &str) -> Vec<String> {
    let receipt = x12::receive(text.as_bytes());
    assert_eq!(receipt.documents, [], "{text}");
    receipt.problems.iter().map(ToString::to_string).collect()
}

pub fn interchange(segments: Vec<Segment>) -> Interchange {
    Interchange {
        separators: Separators::usual("00401"),
        authorization: Partner::none(),
        security: Partner::none(),
        sender: Partner::new("ZZ", "DEPOSITOR"),
        receiver: Partner::new("ZZ", "WAREHOUSE"),
        date: date(2026, 11, 29),
        time: time(10, 15, 0, 0),
        version: "00401".to_owned(),
        control: 7,
        acknowledge: false,
        usage: Usage::Production,
        notes: Vec::new(),
        groups: vec![Group {
            functional: "OW".to_owned(),
            sender: "DEPOSITOR".to_owned(),
            receiver: "WAREHOUSE".to_owned(),
            date: date(2026, 11, 29),
            time: time(10, 15, 0, 0),
            control: 3,
            agency: "X".to_owned(),
            version: "004010".to_owned(),
            sets: vec![TransactionSet::new("940", 1, segments)],
        }],
    }
}

fn segment(value: &str) -> Segment {
    Segment::new("NTE", [Element::from("GEN"), Element::from(value)])
}

#[test]
fn an_interchange_is_read_whatever_separates_and_however_its_lines_end() {
    let plain = adjustment();
    for text in [
        plain.replace('\n', ""),
        plain.replace("~\n", "~").replace('~', "~\r\n"),
        plain.replace('*', "|").replace('~', "'").replace('>', ":"),
        plain.replace("~\n", "~").replace('~', "\n"),
        plain
            .replace("~\n", "~")
            .replace('*', "\x1d")
            .replace('~', "\x1c")
            .replace('>', "\x1f")
            .replace("A17", "A17\x1f"),
        format!("\u{feff}\n{plain}"),
    ] {
        let receipt = x12::receive(text.as_bytes());
        assert_eq!(receipt.problems, [], "{text}");
        assert_eq!(receipt.documents.len(), 1);
        let interchange = receipt.interchange.unwrap();
        assert_eq!((interchange.control, interchange.sender.id.as_str()), (7, "WAREHOUSE"));
    }
}

#[test]
fn elements_are_repeated_from_00402_on() {
    let text = adjustment().replace("*U*00401*", "*^*00402*").replace("*A17~", "*A17^B18>C~");
    let reading = x12::read(text.as_bytes());
    assert_eq!(reading.problems, []);
    let interchange = reading.interchange.unwrap();
    assert_eq!(interchange.separators.repetition, Some('^'));
    let element = &interchange.groups[0].sets[0].segments[0].elements[1];
    assert_eq!((element.repetitions(), element.width(), element.component(1)), (2, 2, "A17"));
    let older = x12::read(adjustment().replace("*A17~", "*A17^B18~").as_bytes()).interchange.unwrap();
    assert_eq!(older.groups[0].sets[0].segments[0].value(2), "A17^B18");
}

#[test]
fn what_is_wrong_with_the_header_is_named() {
    let text = adjustment();
    for (bad, place, sentence) in [
        (String::new(), "segment ISA", "begins with ISA"),
        ("ISA*00*".to_owned(), "segment ISA", "106 plain characters"),
        (text.replace("ISA*", "ISB*"), "segment ISA", "begins with ISA"),
        (text.replace("*ZZ*WAREHOUSE      *", "*ZZ*WAREHOUSE*"), "ISA, element 7", "fixed width"),
        (text.replace("*P*>~", "*P**~"), "segment ISA", "separates two things"),
        (text.replace("*U*00401*", "*U*00402*"), "segment ISA", "separates nothing"),
        (text.replace("*261129*1015*U", "*261329*1015*U"), "ISA, element 9", "no day such as 261129"),
        (text.replace("*261129*1015*U", "*261129*2515*U"), "ISA, element 10", "no time such as 1015"),
        (text.replace("*0*P*", "*2*P*"), "ISA, element 14", "neither 1 nor 0"),
        (text.replace("*0*P*", "*0*Q*"), "ISA, element 15", "neither P nor T"),
        (text.replace("*00401*000000007*", "*00401*00000000x*"), "ISA, element 13", "nine digits"),
    ] {
        assert_told(&told(&bad), place, sentence);
    }
}

#[test]
fn trailers_have_to_match_their_headers() {
    let text = adjustment();
    for (from, to, place, sentence) in [
        (
            "SE*4*0001",
            "SE*5*0001",
            "interchange 000000007, group 3, set 0001, segment 4 SE, element 1",
            "the set has 4",
        ),
        (
            "SE*4*0001",
            "SE*4*0002",
            "segment 4 SE, element 2",
            "not the number of the set that is open, `0001`",
        ),
        ("SE*4*0001", "SE*4", "segment 4 SE, element 2", "has to be here"),
        ("SE*4*0001~\n", "", "set 0001, segment 4 SE", "SE is missing before GE"),
        ("GE*1*3", "GE*2*3", "group 3, segment GE, element 1", "the group has 1"),
        ("GE*1*3", "GE*1*4", "segment GE, element 2", "the group that is open, 3"),
        ("GE*1*3~\n", "", "segment GE", "GE is missing before IEA"),
        ("IEA*1*", "IEA*2*", "segment IEA, element 1", "the interchange has 1"),
        (
            "IEA*1*000000007",
            "IEA*1*000000008",
            "segment IEA, element 2",
            "the interchange's number, 000000007",
        ),
        ("IEA*1*000000007~\n", "", "segment IEA", "IEA is missing at the end"),
        ("IEA*1*000000007~\n", "IEA*1*000000007", "segment IEA", "not ended by '~'"),
        ("IEA*1*000000007~\n", "IEA*1*000000007~\nW~", "interchange 000000007", "behind IEA"),
        ("ST*947*0001~", "", "segment W15", "in no transaction set"),
        ("GS*AW*", "XX*AW*", "segment XX", "in no transaction set"),
        ("ST*947*0001", "ST*947*01", "segment 1 ST, element 2", "4 to 9"),
        ("*3*X*004010", "*x*X*004010", "GS, element 6", "digits alone"),
        ("W15*2026", "w15*2026", "segment 2 w15", "no segment id"),
        ("*A17~", "*A\t17~", "segment 2 W15, element 2", "may not be in a value"),
        ("*X*004010", "*X*003060", "GS, element 8", "004010 and later"),
        ("GS*AW", "GS*FA", "segment 1 ST, element 1", "947 is in a group AW, this one is FA"),
        ("ST*947", "ST*948", "segment 1 ST, element 1", "is not read here"),
    ] {
        assert!(text.contains(from), "{from}");
        assert_told(&told(&text.replace(from, to)), place, sentence);
    }
}

#[test]
fn numbers_are_used_once() {
    let text = adjustment();
    let set = format!("ST*947*0001~{BODY}SE*4*0001~\n");
    let twice = text.replace(&set, &format!("{set}{set}")).replace("GE*1", "GE*2");
    assert_told(&told(&twice), "segment 1 ST, element 2", "was there before");
    let begin = text.find("GS").unwrap();
    let group = text[begin..text.find("IEA").unwrap()].to_owned();
    let twice = text.replace(&group, &format!("{group}{group}")).replace("IEA*1", "IEA*2");
    assert_told(&told(&twice), "GS, element 6", "was there before");
}

#[test]
fn what_is_too_large_is_refused_before_it_is_read() {
    assert_eq!(x12::read(&vec![b'A'; MOST_BYTES + 1]).problems[0].fault, Fault::TooLarge);
    let wide = adjustment().replace("*A17~", &format!("{}~", "*A".repeat(200)));
    assert_told(&told(&wide), "segment 2 W15, element 100", "more than 99 elements");
    let parts = adjustment().replace("*A17~", &format!("*{}~", "a>".repeat(1_000_001)));
    assert_told(&told(&parts), "segment 2 W15", "more than 1000000 elements");
    let sets = format!("ST*947*0001~{BODY}SE*4*0001~\n");
    let many: String = (0..20_000).map(|number| sets.replace("*0001~", &format!("*{number:05}~"))).collect();
    let problems = told(&adjustment().replace(&sets, &many).replace("GE*1", "GE*20000"));
    assert_told(&problems, "interchange 000000007: ", "more than 10000 groups and transaction sets");
    assert!(x12::read(b"ISA\xff").problems[0].to_string().contains("byte 4 is not UTF-8"));
    let many = adjustment().replace("W15*", &"w~".repeat(2 * MOST_PROBLEMS)).replace("SE*4", "SE*203");
    let problems = told(&many);
    assert!(problems.len() <= MOST_PROBLEMS + 2, "{}", problems.len());
    assert_told(&problems, "interchange 000000007: ", "more than 100 problems");
}

/// None of these takes more than linear time.
#[test]
fn the_largest_and_worst_is_read_in_moments() {
    for (kind, unit) in [
        ("944", "W13*1*EA*02~"),
        ("945", "W12**~"),
        ("997", "AK2~AK3~AK5~"),
        ("850", "PO1~"),
        ("947", "SE*2*0001~ST*947*0001~"),
        ("947", "SE*2*0001~GE*1*3~GS*AW*WAREHOUSE*DEPOSITOR*20261129*1015*3*X*004010~ST*947*0001~"),
        ("846", "~"),
        ("846", "A*"),
        ("846", ">"),
    ] {
        let text = x12_of("AW", kind, &unit.repeat(MOST_BYTES / unit.len() - 500));
        assert!(text.len() <= MOST_BYTES && text.len() > MOST_BYTES / 10 * 9, "{unit}");
        let receipt = x12::receive(text.as_bytes());
        assert!(
            receipt.documents.is_empty() && !receipt.problems.is_empty() && receipt.problems.len() < 11_000,
            "{unit}"
        );
    }
}

#[test]
fn what_is_written_is_read_back_and_counted() {
    let whole = interchange(vec![segment("MIND THE MUGS")]);
    let text = whole.write().unwrap();
    assert!(text.starts_with("ISA*00*          *00*          *ZZ*DEPOSITOR      *ZZ*WAREHOUSE      *261129*1015*U*00401*000000007*0*P*>~\n"));
    assert!(
        text.ends_with("ST*940*0001~\nNTE*GEN*MIND THE MUGS~\nSE*3*0001~\nGE*1*3~\nIEA*1*000000007~\n"),
        "{text}"
    );
    let reading = x12::read(text.as_bytes());
    assert_eq!((reading.problems, reading.stated), (Vec::new(), vec![Some(1)]));
    assert_eq!(reading.interchange, Some(whole));
}

#[test]
fn a_value_with_a_separator_is_refused_or_others_are_chosen() {
    let mut whole = interchange(vec![segment("2*3~4")]);
    let error = whole.write().unwrap_err().to_string();
    assert!(
        error.contains("set 0001, segment 2 NTE, element 2") && error.contains("'*' in it, which separates"),
        "{error}"
    );
    whole.separators = Separators::fitting(&whole).unwrap();
    assert_eq!(
        (whole.separators.element, whole.separators.segment, whole.separators.component),
        ('|', '\'', '>')
    );
    assert_eq!(x12::read(whole.write().unwrap().as_bytes()).interchange, Some(whole));
    let hopeless = interchange(vec![segment("*|+`\\")]);
    assert_eq!(Separators::fitting(&hopeless), None);
}

#[test]
fn what_does_not_fit_the_envelope_is_refused() {
    let refused = |change: &dyn Fn(&mut Interchange), sentence: &str| {
        let mut whole = interchange(vec![segment("A")]);
        change(&mut whole);
        let error = whole.write().unwrap_err().to_string();
        assert!(error.contains(sentence), "{sentence}: {error}");
    };
    refused(&|whole| whole.sender.id = "A".repeat(16), "at most 15 plain characters");
    refused(&|whole| whole.sender.qualifier = "Z".to_owned(), "it has 2 plain characters");
    refused(&|whole| whole.control = 1_000_000_000, "it has 9 plain characters");
    refused(&|whole| whole.date = date(1999, 1, 1), "not in this century");
    refused(&|whole| whole.time = time(1, 2, 3, 0), "to the minute");
    refused(&|whole| whole.separators.repetition = Some('^'), "no repetitions");
    refused(&|whole| whole.version = "00501".to_owned(), "needs a character between repetitions");
    refused(&|whole| whole.separators.element = '~', "separates two things");
    refused(&|whole| whole.separators.element = 'A', "separates nothing");
    refused(
        &|whole| whole.groups[0].sender = String::new(),
        "application sender's code of GS has to be there",
    );
    refused(&|whole| whole.groups[0].sets[0].control = "1".to_owned(), "has 4 to 9");
    refused(&|whole| whole.groups.push(whole.groups[0].clone()), "used before in this interchange");
    refused(
        &|whole| {
            let set = whole.groups[0].sets[0].clone();
            whole.groups[0].sets.push(set);
        },
        "used before in this group",
    );
    refused(&|whole| whole.groups[0].sets[0].segments[0].id = "SE".to_owned(), "no id of a segment in a set");
    refused(&|whole| whole.groups[0].sets[0].segments.push(segment("a\u{7}")), "no value may have");
    refused(&|whole| whole.notes.push(segment("A")), "only TA1");
    let twice = Element::new(vec![vec!["A".to_owned()], vec!["B".to_owned()]]);
    refused(
        &|whole| whole.groups[0].sets[0].segments[0].elements.push(twice.clone()),
        "repeated from version 00402 on",
    );
}
