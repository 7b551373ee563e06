//! What was found wrong becomes acknowledgments. What they call accepted is what is taken, neither more nor less.
//!
//! Codes of segments <https://stedi.com/edi/x12-006030/element/720>, elements <https://stedi.com/edi/x12-004010/element/723>, sets
//! <https://stedi.com/edi/x12-004010/element/718> and groups <https://stedi.com/edi/x12-004010/element/716>.

use std::collections::HashMap;

use super::acknowledgment::{Acknowledgment, ElementNote, SegmentNote, SetAnswer, Verdict};
use super::{Group, Reading, TransactionSet};
use crate::problem::{Fault, Problem};

/// Acknowledgments of all groups but of acknowledgments, `problems` being all that was found.
pub(super) fn acknowledge(reading: &Reading, problems: &[Problem]) -> Vec<Acknowledgment> {
    let mut by_group: HashMap<&str, Vec<&Problem>> = HashMap::new();
    for problem in problems {
        by_group.entry(problem.place.group.as_deref().unwrap_or("")).or_default().push(problem);
    }
    let groups = reading.interchange.iter().flat_map(|interchange| &interchange.groups);
    let groups =
        groups.enumerate().filter(|(_, group)| group.functional != "FA" && group.functional.len() == 2);
    groups
        .map(|(index, group)| of_group(group, reading.stated.get(index).copied().flatten(), &by_group))
        .collect()
}

fn of_group(group: &Group, stated: Option<u32>, by_group: &HashMap<&str, Vec<&Problem>>) -> Acknowledgment {
    let here = by_group.get(group.control.to_string().as_str()).map_or(&[] as &[&Problem], Vec::as_slice);
    let own = here.iter().filter(|problem| problem.place.set.is_none());
    let codes = few(own.clone().filter_map(|problem| group_code(problem.fault)));
    // What is wrong with the envelope of all is wrong with each.
    let is_refused = own.count() > 0 || by_group.contains_key("");
    let mut by_set: HashMap<&str, Vec<&Problem>> = HashMap::new();
    for problem in here {
        by_set.entry(problem.place.set.as_deref().unwrap_or("")).or_default().push(problem);
    }
    let of =
        |set: &TransactionSet| by_set.get(set.control.as_str()).map_or(&[] as &[&Problem], Vec::as_slice);
    let sets: Vec<SetAnswer> =
        group.sets.iter().filter(|set| is_named(set)).map(|set| of_set(set, of(set), is_refused)).collect();
    let received = count(group.sets.len());
    let accepted = count(sets.iter().filter(|set| set.verdict == Verdict::Accepted).count());
    let verdict = match accepted {
        _ if is_refused => Verdict::Rejected,
        _ if accepted == received => Verdict::Accepted,
        0 => Verdict::Rejected,
        _ => Verdict::Partly,
    };
    let included = stated.unwrap_or(received);
    Acknowledgment {
        functional: group.functional.clone(),
        control: group.control,
        sets,
        verdict,
        included,
        received,
        accepted,
        codes,
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Can it be named in an acknowledgment?
fn is_named(set: &TransactionSet) -> bool {
    set.kind.len() == 3 && (4..=9).contains(&set.control.len())
}

fn few(codes: impl Iterator<Item = &'static str>) -> Vec<String> {
    let mut few: Vec<String> = Vec::new();
    for code in codes {
        if few.len() < 5 && !few.iter().any(|other| other == code) {
            few.push(code.to_owned());
        }
    }
    few
}

fn of_set(set: &TransactionSet, here: &[&Problem], is_refused: bool) -> SetAnswer {
    let mut notes: Vec<SegmentNote> = Vec::new();
    for problem in here {
        note(problem, &mut notes);
    }
    let mut codes = few(here.iter().filter_map(|problem| set_code(problem)));
    if !notes.is_empty() && codes.len() < 5 {
        codes.push("5".to_owned());
    }
    let verdict = if here.is_empty() && !is_refused { Verdict::Accepted } else { Verdict::Rejected };
    SetAnswer { kind: set.kind.clone(), control: set.control.clone(), notes, verdict, codes }
}

/// Adds what a segment is told of; what is wrong with ST and SE is told of the set.
fn note(problem: &Problem, notes: &mut Vec<SegmentNote>) {
    let (Some(position), Some(id)) = (problem.place.segment, &problem.place.id) else { return };
    if set_code(problem).is_some() || !(2..=3).contains(&id.len()) {
        return;
    }
    let (position, element) = (count(position), problem.place.element);
    let code = segment_code(problem.fault);
    let at = notes
        .iter()
        .position(|note| note.position == position && note.id == *id && note.code.as_deref() == Some(code));
    let at = at.unwrap_or_else(|| {
        let note = SegmentNote {
            id: id.clone(),
            position,
            within: None,
            code: Some(code.to_owned()),
            elements: Vec::new(),
        };
        notes.push(note);
        notes.len() - 1
    });
    if let (Some(element), "8") = (element, code)
        && notes[at].elements.len() < 99
        && let Some(code) = element_code(problem.fault)
    {
        notes[at].elements.push(ElementNote {
            element: count(element.min(99)),
            component: problem.place.component.map(count),
            number: problem.number.filter(|number| *number > 0).map(u32::from),
            code: code.to_owned(),
            value: problem.value.clone().filter(|value| !value.chars().any(char::is_control)),
        });
    }
}

fn set_code(problem: &Problem) -> Option<&'static str> {
    let is_envelope = matches!(problem.place.id.as_deref(), Some("ST" | "SE"));
    match (problem.fault, problem.place.element) {
        (Fault::Kind, _) => Some("1"),
        (Fault::TrailerMissing, _) => Some("2"),
        (Fault::NumbersDiffer, _) => Some("3"),
        (Fault::Count, _) => Some("4"),
        (Fault::Duplicate, _) => Some("23"),
        (_, Some(1)) if is_envelope && problem.place.segment == Some(1) => Some("6"),
        (_, Some(2)) if is_envelope && problem.place.segment == Some(1) => Some("7"),
        _ => None,
    }
}

fn segment_code(fault: Fault) -> &'static str {
    match fault {
        Fault::SegmentId => "1",
        Fault::Unexpected => "2",
        Fault::SegmentMissing => "3",
        _ => "8",
    }
}

fn element_code(fault: Fault) -> Option<&'static str> {
    Some(match fault {
        Fault::Missing => "1",
        Fault::Needed => "2",
        Fault::TooMany => "3",
        Fault::TooShort => "4",
        Fault::TooLong => "5",
        Fault::Character | Fault::Number => "6",
        Fault::Code => "7",
        Fault::Date => "8",
        Fault::Time => "9",
        _ => return None,
    })
}

fn group_code(fault: Fault) -> Option<&'static str> {
    Some(match fault {
        Fault::Version => "2",
        Fault::TrailerMissing => "3",
        Fault::NumbersDiffer => "4",
        Fault::Count => "5",
        Fault::ControlNumber | Fault::Number | Fault::Duplicate => "6",
        _ => return None,
    })
}
