use onhand_edi::Place;
use onhand_edi::x12::{self, Acknowledgment, Document, Separators, Verdict};

use crate::{assert_told, x12_document, x12_of, x12_problems};

const GOOD: &str = "W15*20261129*A17~W19*AA*-2*EA**SK*MUG~";

fn written(answer: &Acknowledgment) -> String {
    let mut whole = crate::x12_envelope::interchange(Vec::new());
    "FA".clone_into(&mut whole.groups[0].functional);
    whole.groups[0].sets = vec![answer.write(1).unwrap()];
    whole.separators = Separators::fitting(&whole).unwrap();
    let text = whole.write().unwrap();
    assert_eq!(x12::read(text.as_bytes()).interchange, Some(whole));
    text[text.find("ST").unwrap()..text.find("GE*").unwrap_or(text.len())].replace('\n', "")
}

fn answer(text: &str) -> Acknowledgment {
    let mut answers = x12::receive(text.as_bytes()).acknowledgments;
    assert_eq!(answers.len(), 1, "{text}");
    answers.remove(0)
}

#[test]
fn what_was_read_is_acknowledged() {
    let text = written(&answer(&x12_of("AW", "947", GOOD)));
    assert_eq!(text, "ST*997*0001~AK1*AW*3~AK2*947*0001~AK5*A~AK9*A*1*1*1~SE*6*0001~");
}

#[test]
fn what_is_wrong_is_told_by_segment_and_element() {
    let bad = "W15*20261329*A17~W19*AA*-2**SK*MUG~W19*A*0*EA**SK*MUG~W15*20261129~";
    assert_eq!(
        written(&answer(&x12_of("AW", "947", bad))),
        "ST*997*0001~AK1*AW*3~AK2*947*0001~AK3*W15*2**8~AK4*1*373*8*20261329~AK5*R*5~AK9*R*1*1*0~SE*8*0001~"
    );
    let bad = "W15*20261129~W19*AA*-2**SK*MUG~W19*A*0*EA**SK*MUG~W15*20261129~";
    let text = written(&answer(&x12_of("AW", "947", bad)));
    for note in [
        "AK3*W19*3**8~",
        "AK4*3*355*1~",
        "AK3*W19*4**8~AK4*1*181*4*A~",
        "AK4*2*477*6*0~",
        "AK3*W15*5**2~",
        "AK5*R*5~",
    ] {
        assert!(text.contains(note), "{note}: {text}");
    }
}

#[test]
fn sets_and_groups_are_told_by_their_own_codes() {
    for (from, to, told) in [
        ("SE*4*0001", "SE*5*0001", "AK2*947*0001~AK5*R*4~AK9*R*1*1*0~"),
        ("SE*4*0001", "SE*4*0009", "AK5*R*3~"),
        ("SE*4*0001~\n", "", "AK5*R*2~"),
        ("ST*947", "ST*948", "AK2*948*0001~AK5*R*1~"),
        ("W15*20261129*A17~", "", "AK3*W15*2**3~"),
        ("W19*AA", "w19*AA", "AK5*R*5~"),
        ("GE*1*3", "GE*2*3", "AK5*R~AK9*R*2*1*0*5~"),
        ("GE*1*3", "GE*1*4", "AK9*R*1*1*0*4~"),
        ("GE*1*3~\n", "", "AK9*R*1*1*0*3~"),
        ("*X*004010", "*X*003060", "AK9*R*1*1*0*2~"),
        ("IEA*1*", "IEA*2*", "AK5*R~AK9*R*1*1*0~"),
    ] {
        let text = x12_of("AW", "947", GOOD);
        assert!(text.contains(from), "{from}");
        let text = text.replace(from, to);
        assert_eq!(x12::receive(text.as_bytes()).documents, []);
        let text = written(&answer(&text));
        assert!(text.contains(told), "{from} to {to}, {told}: {text}");
    }
}

#[test]
fn a_group_is_taken_in_part() {
    let text = x12_of("AW", "947", GOOD).replace("GE*1*3", "ST*947*0002~W15*1~SE*3*0002~\nGE*2*3");
    let receipt = x12::receive(text.as_bytes());
    assert_eq!((receipt.documents.len(), receipt.documents[0].0.set.as_deref()), (1, Some("0001")));
    let answer = &receipt.acknowledgments[0];
    assert_eq!(
        (answer.verdict, answer.included, answer.received, answer.accepted),
        (Verdict::Partly, 2, 2, 1)
    );
}

#[test]
fn many_bad_sets_are_all_rejected() {
    let sets: String =
        (2..400).map(|number| format!("ST*947*{number:04}~W15*1~W19*1~SE*4*{number:04}~\n")).collect();
    let text = x12_of("AW", "947", GOOD).replace("GE*1*3", &format!("{sets}GE*399*3"));
    let receipt = x12::receive(text.as_bytes());
    let answer = &receipt.acknowledgments[0];
    assert_eq!((receipt.documents.len(), answer.received, answer.accepted), (1, 399, 1));
}

#[test]
fn acknowledgments_are_read_and_never_answered() {
    let body = "AK1*OW*12~AK2*940*0001~AK5*A~AK2*940*0002~AK3*W01*7*0310*8~AK4*2>1*355*7*EACH~AK4*5**1~AK5*R*5*4~AK9*P*2*2*1*5~";
    let Document::Acknowledgment(answer) = x12_document("FA", "997", body) else { panic!() };
    assert_eq!((answer.functional.as_str(), answer.control, answer.verdict), ("OW", 12, Verdict::Partly));
    let note = &answer.sets[1].notes[0];
    assert_eq!((note.id.as_str(), note.position, note.within.as_deref()), ("W01", 7, Some("0310")));
    assert_eq!(
        (note.elements[0].element, note.elements[0].component, note.elements[0].number),
        (2, Some(1), Some(355))
    );
    assert_eq!(
        (answer.sets[1].codes.as_slice(), answer.codes.as_slice()),
        (["5".into(), "4".into()].as_slice(), ["5".into()].as_slice())
    );
    assert_eq!(Acknowledgment::read(&answer.write(4).unwrap(), &Place::default()), Ok(answer));
    assert_eq!(x12::receive(x12_of("FA", "997", "AK1*OW~").as_bytes()).acknowledgments, []);
    for (from, to, place, told) in [
        ("AK9*P*2*2*1*5~", "", "segment 9 AK9", "AK9 is missing"),
        ("AK5*R*5*4~", "", "segment 9 AK9", "it does not belong here"),
        ("AK3*W01*7*0310*8~", "", "segment 6 AK4", "AK3 is missing"),
        ("AK5*A~", "AK5*Q~", "segment 4 AK5, element 1", "no verdict known here"),
        ("AK4*2>1*", "AK4*x>1*", "segment 7 AK4, element 1", "digits alone"),
        ("AK1*OW*12~", "", "segment 2 AK1", "it has to be AK1"),
        ("AK9*P", "AK9*P*2*2*1~AK9*P", "segment 11 AK9", "AK9 is the last"),
    ] {
        assert!(body.contains(from), "{from}");
        assert_told(&x12_problems("FA", "997", &body.replace(from, to)), place, told);
    }
}
