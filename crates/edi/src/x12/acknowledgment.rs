//! 997, functional acknowledgment: how a group that was sent was read, both ways. Group `FA`.
//!
//! One for each group; none for a group of acknowledgments
//! (<https://1library.net/article/functional-acknowledgment-electronic-document-interchange-standards-version.q7wp872o>). AK1: the group's kind
//! and number; AK2: a set's; AK3: a segment's id, its number in the set, loop, code (<https://edi.thebitsilo.com/997/0401AK3.htm>); AK4: an
//! element's position, its number in the dictionary, code, the bad value (<https://edi.thebitsilo.com/997/0501AK4.htm>); AK5: the verdict on a
//! set and up to five codes; AK9: the verdict on the group, how many sets are stated, received and accepted, and up to five codes
//! (<https://learn.microsoft.com/en-us/biztalk/core/x12-997-acknowledgment>,
//! <https://secure.edidev.net/edidev-ca/help/Appendix/EDI/AscX12/DataSegments/DataSegment_AK9.htm>).

use serde::{Deserialize, Serialize};

use super::TransactionSet;
use super::draft::Draft;
use super::specs::{FUNCTIONAL, GROUP_CONTROL, SET_CONTROL, SET_COUNT, SET_KIND};
use crate::found::Found;
use crate::line::{Line, begins_with, lines};
use crate::problem::{Fault, Place, Problem, Unwritable};
use crate::spec::Spec;

const SEGMENT_ID: Spec = Spec::new(721, "segment id", 2, 3);
const SEGMENT_POSITION: Spec = Spec::new(719, "segment's position", 1, 6);
const LOOP: Spec = Spec::new(447, "loop", 1, 6);
const SEGMENT_CODE: Spec = Spec::new(720, "segment's error code", 1, 3);
const ELEMENT_POSITION: Spec = Spec::new(722, "element's position", 1, 2);
const COMPONENT_POSITION: Spec = Spec::new(1528, "component's position", 1, 2);
const ELEMENT_NUMBER: Spec = Spec::new(725, "element's number", 1, 4);
const ELEMENT_CODE: Spec = Spec::new(723, "element's error code", 1, 3);
const BAD: Spec = Spec::new(724, "bad value", 1, 99);
const SET_VERDICT: Spec = Spec::new(717, "verdict", 1, 1);
const SET_CODE: Spec = Spec::new(718, "set's error code", 1, 3);
const GROUP_VERDICT: Spec = Spec::new(715, "verdict", 1, 1);
const GROUP_CODE: Spec = Spec::new(716, "group's error code", 1, 3);

/// How a group that was sent was read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Acknowledgment {
    /// The group's kind: `OW`.
    pub functional: String,
    /// The group's control number.
    pub control: u32,
    /// What is said of its sets. One that is not here is as the group is.
    pub sets: Vec<SetAnswer>,
    /// What is said of the group.
    pub verdict: Verdict,
    /// How many sets it states.
    pub included: u32,
    /// How many came.
    pub received: u32,
    /// How many were accepted.
    pub accepted: u32,
    /// What is wrong with the group's own segments: codes of element 716, at most five.
    pub codes: Vec<String>,
}

/// What is said of a transaction set.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SetAnswer {
    /// What it is: `940`.
    pub kind: String,
    /// Its control number.
    pub control: String,
    /// What is wrong with its segments.
    pub notes: Vec<SegmentNote>,
    /// What is said of it.
    pub verdict: Verdict,
    /// What is wrong with the set: codes of element 718, at most five.
    pub codes: Vec<String>,
}

/// What is wrong with a segment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SegmentNote {
    /// Its id.
    pub id: String,
    /// Which segment of the set, whose header is number 1.
    pub position: u32,
    /// The loop it is in.
    pub within: Option<String>,
    /// What is wrong: a code of element 720.
    pub code: Option<String>,
    /// What is wrong with its elements.
    pub elements: Vec<ElementNote>,
}

/// What is wrong with an element.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ElementNote {
    /// Which element of the segment, from 1.
    pub element: u32,
    /// Which component of it, from 1.
    pub component: Option<u32>,
    /// Its number in the dictionary.
    pub number: Option<u32>,
    /// What is wrong: a code of element 723.
    pub code: String,
    /// The value.
    pub value: Option<String>,
}

/// What is said of a set or a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Verdict {
    /// `A`: accepted.
    Accepted,
    /// `E`: accepted, though errors were noted.
    AcceptedWithErrors,
    /// `P`: of a group: some of its sets were rejected.
    Partly,
    /// `R`: rejected.
    Rejected,
    /// `M`, `W` or `X`: rejected, as it could not be authenticated, assured or decrypted.
    NotTrusted,
}

const VERDICTS: [(&str, Verdict); 7] = [
    ("A", Verdict::Accepted),
    ("E", Verdict::AcceptedWithErrors),
    ("P", Verdict::Partly),
    ("R", Verdict::Rejected),
    ("M", Verdict::NotTrusted),
    ("W", Verdict::NotTrusted),
    ("X", Verdict::NotTrusted),
];

impl Verdict {
    fn code(self) -> &'static str {
        match self {
            Self::Accepted => "A",
            Self::AcceptedWithErrors => "E",
            Self::Partly => "P",
            Self::Rejected => "R",
            Self::NotTrusted => "M",
        }
    }
}

impl Acknowledgment {
    /// Reads a transaction set of kind 997.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn read(set: &TransactionSet, at: &Place) -> Result<Self, Vec<Problem>> {
        let found = Found::default();
        let mut reader = Reader::default();
        begins_with(&set.segments, "AK1", at, &found);
        for line in lines(&set.segments, at, &found) {
            reader.take(&line);
        }
        let end = at.segment(set.segments.len() + 1, "AK9");
        if reader.is_open {
            found.tell(end.clone(), Fault::SegmentMissing, "AK5 is missing: it ends what AK2 began");
        }
        if reader.begun.is_some() && !reader.is_over {
            found.tell(end, Fault::SegmentMissing, "AK9 is missing at the end");
        }
        found.or(reader.begun)
    }

    /// Makes a transaction set of kind 997.
    ///
    /// # Errors
    /// The first thing that does not fit.
    pub fn write(&self, control: u32) -> Result<TransactionSet, Unwritable> {
        let mut draft = Draft::new(control);
        draft
            .segment("AK1")
            .must(&FUNCTIONAL, &self.functional)
            .must(&GROUP_CONTROL, &self.control.to_string());
        for set in &self.sets {
            set.write(&mut draft);
        }
        draft.segment("AK9").must(&GROUP_VERDICT, self.verdict.code());
        for count in [self.included, self.received, self.accepted] {
            draft.must(&SET_COUNT, &count.to_string());
        }
        codes(&mut draft, &GROUP_CODE, &self.codes);
        draft.finish("997", control)
    }
}

fn codes(draft: &mut Draft, spec: &Spec, codes: &[String]) {
    if codes.len() > 5 {
        draft.refuse("at most five codes are told");
    }
    for code in codes {
        draft.must(spec, code);
    }
}

impl SetAnswer {
    fn write(&self, draft: &mut Draft) {
        draft.segment("AK2").must(&SET_KIND, &self.kind).must(&SET_CONTROL, &self.control);
        for note in &self.notes {
            draft
                .segment("AK3")
                .must(&SEGMENT_ID, &note.id)
                .must(&SEGMENT_POSITION, &note.position.to_string());
            draft.may(&LOOP, note.within.as_deref()).may(&SEGMENT_CODE, note.code.as_deref());
            if note.elements.len() > 99 {
                draft.refuse("at most 99 elements are told of");
            }
            for element in &note.elements {
                element.write(draft);
            }
        }
        draft.segment("AK5").must(&SET_VERDICT, self.verdict.code());
        codes(draft, &SET_CODE, &self.codes);
    }
}

impl ElementNote {
    fn write(&self, draft: &mut Draft) {
        draft.segment("AK4").must(&ELEMENT_POSITION, &self.element.to_string());
        if let Some(component) = self.component {
            draft.component(&COMPONENT_POSITION, &component.to_string());
        }
        let number = self.number.map(|number| number.to_string());
        draft
            .may(&ELEMENT_NUMBER, number.as_deref())
            .must(&ELEMENT_CODE, &self.code)
            .may(&BAD, self.value.as_deref());
    }
}

impl Draft {
    /// A component behind the value of the last element.
    fn component(&mut self, spec: &Spec, value: &str) {
        self.may(spec, Some(value));
        self.join();
    }
}

/// An acknowledgment while it is read.
#[derive(Default)]
struct Reader {
    begun: Option<Acknowledgment>,
    is_open: bool,
    is_over: bool,
}

impl Reader {
    fn take(&mut self, line: &Line<'_>) {
        if line.id() == "AK1" && self.begun.is_none() {
            self.begun = begin(line);
            return;
        }
        let Some(begun) = &mut self.begun else { return };
        let last = begun.sets.last_mut().filter(|_| self.is_open);
        match (line.id(), last) {
            _ if self.is_over => line.unexpected("AK9 is the last segment"),
            ("AK2", None) => {
                self.is_open = true;
                begun.sets.extend(set_answer(line));
            }
            ("AK3", Some(set)) => set.notes.extend(segment_note(line)),
            ("AK4", Some(set)) => match set.notes.last_mut() {
                Some(note) => note.elements.extend(element_note(line)),
                None => line.needs("AK3", "it is of no segment: AK3 is missing in front of it"),
            },
            ("AK5", Some(set)) => {
                self.is_open = false;
                set.verdict = line.code(1, &SET_VERDICT, &VERDICTS).unwrap_or(set.verdict);
                set.codes = (2..=6).filter_map(|element| line.text(element, &SET_CODE)).collect();
            }
            // AK2 is there and wrong.
            ("AK3" | "AK4", None) if self.is_open => {}
            ("AK5", None) if self.is_open => self.is_open = false,
            ("AK9", None) => {
                self.is_over = true;
                end(line, begun);
            }
            _ => line
                .unexpected("it does not belong here: AK1, then AK2, AK3, AK4 and AK5 of each set, then AK9"),
        }
    }
}

fn begin(line: &Line<'_>) -> Option<Acknowledgment> {
    Some(Acknowledgment {
        functional: line.must(1, &FUNCTIONAL)?,
        control: line.count(2, &GROUP_CONTROL)?,
        sets: Vec::new(),
        verdict: Verdict::Rejected,
        included: 0,
        received: 0,
        accepted: 0,
        codes: Vec::new(),
    })
}

fn end(line: &Line<'_>, begun: &mut Acknowledgment) {
    begun.verdict = line.code(1, &GROUP_VERDICT, &VERDICTS).unwrap_or(begun.verdict);
    begun.included = line.count(2, &SET_COUNT).unwrap_or(0);
    begun.received = line.count(3, &SET_COUNT).unwrap_or(0);
    begun.accepted = line.count(4, &SET_COUNT).unwrap_or(0);
    begun.codes = (5..=9).filter_map(|element| line.text(element, &GROUP_CODE)).collect();
}

fn set_answer(line: &Line<'_>) -> Option<SetAnswer> {
    let (kind, control) = (line.must(1, &SET_KIND), line.must(2, &SET_CONTROL));
    let verdict = Verdict::Rejected;
    Some(SetAnswer { kind: kind?, control: control?, notes: Vec::new(), verdict, codes: Vec::new() })
}

fn segment_note(line: &Line<'_>) -> Option<SegmentNote> {
    let (id, position) = (line.must(1, &SEGMENT_ID), line.count(2, &SEGMENT_POSITION));
    let (within, code) = (line.text(3, &LOOP), line.text(4, &SEGMENT_CODE));
    Some(SegmentNote { id: id?, position: position?, within, code, elements: Vec::new() })
}

fn element_note(line: &Line<'_>) -> Option<ElementNote> {
    let digits = |element: usize, component: usize, spec: &Spec, text: Option<String>| {
        let text = text?;
        let number = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        if number.is_none() {
            line.wrong(
                element,
                component,
                spec,
                Fault::Number,
                format!("`{text}` is no {}: digits alone", spec.name),
            );
        }
        number
    };
    let element = digits(1, 1, &ELEMENT_POSITION, line.must_part(1, 1, &ELEMENT_POSITION));
    let component = digits(1, 2, &COMPONENT_POSITION, line.part(1, 2, &COMPONENT_POSITION));
    let number = digits(2, 1, &ELEMENT_NUMBER, line.text(2, &ELEMENT_NUMBER));
    let code = line.must(3, &ELEMENT_CODE);
    let bad = line.segment.elements.get(3).is_some_and(|bad| !bad.is_empty());
    let value = if bad { line.text(4, &BAD) } else { None };
    Some(ElementNote { element: element?, component, number, code: code?, value })
}
