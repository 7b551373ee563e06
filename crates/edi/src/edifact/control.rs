//! CONTRL, syntax and service report: how an interchange that was sent was read, both ways.
//!
//! UNH, UCI, then for a message UCM, for a segment of it UCS, for an element of that UCD: <https://www.gefeg.com/jswg/v4x/mt/m32.htm>. UCI and UCM
//! have the action, and what is wrong with service segments: code, tag, position. The position of an element counts the tag as number 1; a
//! segment that is missing is told at the one in front of it (<https://github.com/php-edifact/edifact-mapping>,
//! `src/Mapping/Service_V3/segments.xml`). Actions: <https://www.gefeg.com/jswg/cl/v3/19a/cl15.htm>. Errors:
//! <https://support.edifabric.com/hc/en-us/articles/360000367432-EDIFACT-CONTRL-Acknowledgment-Error-Codes>,
//! <https://service.gefeg.com/jwg1/Current/cl/cl15.htm>.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::write::{composite, partner};
use super::{Interchange, Message, MessageKind, Partner, specs};
use crate::found::Found;
use crate::line::{Line, begins_with, lines};
use crate::problem::{Fault, Place, Problem, Unwritable};
use crate::segment::{Element, Segment};

/// How an interchange that was sent was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Control {
    /// The interchange's reference.
    pub interchange: String,
    /// Who sent it.
    pub sender: Partner,
    /// Whom it was for.
    pub recipient: Partner,
    /// What is said of it.
    pub action: Action,
    /// What is wrong with UNA, UNB or UNZ.
    pub error: Option<ServiceError>,
    /// What is said of its messages. One that is not here is as the interchange is.
    pub messages: Vec<MessageAnswer>,
}

/// What is said of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MessageAnswer {
    /// Its reference.
    pub reference: String,
    /// What it is.
    pub kind: MessageKind,
    /// What is said of it.
    pub action: Action,
    /// What is wrong with UNH or UNT.
    pub error: Option<ServiceError>,
    /// What is wrong with its segments.
    pub segments: Vec<SegmentError>,
}

/// What is wrong with a service segment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ServiceError {
    /// What: a code of element 0085.
    pub code: String,
    /// The segment's tag.
    pub tag: Option<String>,
    /// Which element, where it is one.
    pub at: Option<(u32, Option<u32>)>,
}

/// What is wrong with a segment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SegmentError {
    /// Which segment of the message, UNH being number 1.
    pub position: u32,
    /// What is wrong with it as a whole: a code of element 0085.
    pub code: Option<String>,
    /// What is wrong with its elements.
    pub elements: Vec<ElementError>,
}

/// What is wrong with an element.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ElementError {
    /// What: a code of element 0085.
    pub code: String,
    /// Which element: the first one behind the tag is number 1, and the tag 0.
    pub element: u32,
    /// Which component of it, from 1.
    pub component: Option<u32>,
}

/// What is said of an interchange or a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Action {
    /// `4`: it is rejected, and all that is in it.
    Rejected,
    /// `7`: it is acknowledged, and what is in it too unless that is rejected.
    Acknowledged,
    /// `8`: of an interchange: it came, and no more is said of it.
    Received,
}

const ACTIONS: [(&str, Action); 3] =
    [("4", Action::Rejected), ("7", Action::Acknowledged), ("8", Action::Received)];

impl Action {
    fn code(self) -> &'static str {
        match self {
            Self::Rejected => "4",
            Self::Acknowledged => "7",
            Self::Received => "8",
        }
    }
}

impl Control {
    /// Reads a message of type CONTRL.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn read(message: &Message, at: &Place) -> Result<Self, Vec<Problem>> {
        let found = Found::default();
        let mut control = None;
        begins_with(&message.segments, "UCI", at, &found);
        for line in lines(&message.segments, at, &found) {
            match (line.id(), &mut control) {
                ("UCI", None) => control = head(&line),
                (_, None) => {}
                (_, Some(control)) => detail(&line, control),
            }
        }
        found.or(control)
    }

    /// Makes a message of that kind, such as CONTRL of version `4`, release `1`
    /// (<https://vdocuments.mx/edifact-implementation-guidelines-for-syntax-and-implementation-guidelines-for.html>).
    ///
    /// # Errors
    /// The first thing that does not fit.
    pub fn write(&self, reference: &str, kind: MessageKind) -> Result<Message, Unwritable> {
        let place = Place { set: Some(reference.to_owned()), ..Place::default() };
        let mut segments = Vec::new();
        let here = place.segment(2, "UCI");
        let mut elements = vec![
            composite(&[(specs::INTERCHANGE, true, &self.interchange)], &here.element(1))?,
            partner(&self.sender, specs::SENDER, specs::SENDER_ADDRESS, &here.element(2))?,
            partner(&self.recipient, specs::RECIPIENT, specs::ROUTING_ADDRESS, &here.element(3))?,
            Element::from(self.action.code()),
        ];
        service(self.error.as_ref(), &mut elements, &here)?;
        segments.push(Segment::new("UCI", elements));
        for answer in &self.messages {
            answer.write(&mut segments, &place)?;
        }
        Ok(Message { reference: reference.to_owned(), kind, more: Vec::new(), segments })
    }

    /// What is to be answered to an interchange: `problems` is all that was found. What it acknowledges is what is taken.
    pub(super) fn of(interchange: &Interchange, problems: &[Problem]) -> Self {
        // A message that cannot be named is told of by the interchange.
        let unnamed = interchange.messages.iter().find(|message| !is_named(message));
        let of_it = |problem: &&Problem| {
            let set = problem.place.set.as_deref();
            set.is_none() || unnamed.is_some_and(|message| set == Some(message.reference.as_str()))
        };
        let own = problems.iter().find(of_it);
        let mut by_message: HashMap<&str, Vec<&Problem>> = HashMap::new();
        for problem in problems {
            by_message.entry(problem.place.set.as_deref().unwrap_or("")).or_default().push(problem);
        }
        let messages = interchange.messages.iter().filter(|_| own.is_none()).filter_map(|message| {
            let here = by_message.get(message.reference.as_str())?;
            Some(MessageAnswer::of(message, here))
        });
        let messages = messages.collect();
        Self {
            interchange: interchange.reference.clone(),
            sender: interchange.sender.clone(),
            recipient: interchange.recipient.clone(),
            action: if own.is_some() { Action::Rejected } else { Action::Acknowledged },
            error: own.map(ServiceError::of),
            messages,
        }
    }
}

impl MessageAnswer {
    /// What is said of a message that something is wrong with.
    fn of(message: &Message, here: &[&Problem]) -> Self {
        let is_service =
            |problem: &&&Problem| matches!(problem.place.id.as_deref(), Some("UNH" | "UNT") | None);
        let mut segments: Vec<SegmentError> = Vec::new();
        for problem in here.iter().filter(|problem| !is_service(problem)) {
            note(problem, &mut segments);
        }
        let error = here.iter().find(is_service).map(|problem| ServiceError::of(problem));
        let (reference, kind) = (message.reference.clone(), message.kind.clone());
        Self { reference, kind, action: Action::Rejected, error, segments }
    }

    fn write(&self, segments: &mut Vec<Segment>, place: &Place) -> Result<(), Unwritable> {
        let here = place.segment(segments.len() + 2, "UCM");
        let mut elements = vec![
            composite(&[(specs::MESSAGE, true, &self.reference)], &here.element(1))?,
            self.kind.element(&here.element(2))?,
            Element::from(self.action.code()),
        ];
        service(self.error.as_ref(), &mut elements, &here)?;
        segments.push(Segment::new("UCM", elements));
        for segment in &self.segments {
            let here = place.segment(segments.len() + 2, "UCS");
            let position = segment.position.to_string();
            let code = segment.code.as_deref().unwrap_or("");
            let elements = [
                composite(&[(specs::SEGMENT_POSITION, true, &position)], &here.element(1))?,
                composite(&[(specs::ERROR, false, code)], &here.element(2))?,
            ];
            segments.push(Segment::new("UCS", elements));
            for element in &segment.elements {
                let here = place.segment(segments.len() + 2, "UCD");
                let code = composite(&[(specs::ERROR, true, &element.code)], &here.element(1))?;
                let at = position_of(element.element, element.component, &here.element(2))?;
                segments.push(Segment::new("UCD", [code, at]));
            }
        }
        Ok(())
    }
}

impl ServiceError {
    fn of(problem: &Problem) -> Self {
        let component = problem.place.component.map(count);
        Self {
            code: code(problem.fault).to_owned(),
            tag: problem.place.id.clone().filter(|id| id.len() == 3),
            at: problem.place.element.map(|element| (count(element), component)),
        }
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Can a message be named in an answer?
pub(super) fn is_named(message: &Message) -> bool {
    let MessageKind { kind, version, release, agency, .. } = &message.kind;
    let has_kind = [kind, version, release, agency].iter().all(|part| !part.is_empty());
    has_kind && (1..=14).contains(&message.reference.chars().count())
}

/// Adds what a segment is told of.
fn note(problem: &Problem, segments: &mut Vec<SegmentError>) {
    let is_missing = problem.fault == Fault::SegmentMissing;
    let position = problem.place.segment.unwrap_or(1);
    // What is missing behind the header is told at the header.
    let position = count(if is_missing && position == 2 { 1 } else { position });
    let code = code(problem.fault).to_owned();
    let Some(element) = problem.place.element else {
        segments.push(SegmentError { position, code: Some(code), elements: Vec::new() });
        return;
    };
    let element =
        ElementError { code, element: count(element), component: problem.place.component.map(count) };
    match segments.iter_mut().find(|segment| segment.position == position && segment.code.is_none()) {
        Some(segment) => segment.elements.push(element),
        None => segments.push(SegmentError { position, code: None, elements: vec![element] }),
    }
}

/// The code of element 0085.
fn code(fault: Fault) -> &'static str {
    match fault {
        Fault::Version => "2",
        Fault::Kind => "14",
        Fault::TrailerMissing | Fault::SegmentMissing | Fault::Missing | Fault::Needed => "13",
        Fault::NumbersDiffer => "28",
        Fault::Count => "29",
        Fault::Duplicate => "26",
        Fault::SegmentId | Fault::Unexpected => "15",
        Fault::TooMany => "16",
        Fault::TooShort => "40",
        Fault::TooLong => "39",
        Fault::Character => "21",
        Fault::Number => "37",
        Fault::ControlNumber | Fault::Code | Fault::Date | Fault::Time => "12",
        Fault::Header | Fault::TooLarge => "18",
    }
}

fn position_of(element: u32, component: Option<u32>, place: &Place) -> Result<Element, Unwritable> {
    let position = element.saturating_add(1).to_string();
    let component = component.map_or_else(String::new, |component| component.to_string());
    composite(
        &[(specs::ELEMENT_POSITION, true, &position), (specs::COMPONENT_POSITION, false, &component)],
        place,
    )
}

fn service(
    error: Option<&ServiceError>,
    elements: &mut Vec<Element>,
    here: &Place,
) -> Result<(), Unwritable> {
    let Some(error) = error else { return Ok(()) };
    let next = elements.len() + 1;
    elements.push(composite(&[(specs::ERROR, true, &error.code)], &here.element(next))?);
    let tag = error.tag.as_deref().unwrap_or("");
    elements.push(composite(&[(specs::SERVICE_TAG, false, tag)], &here.element(next + 1))?);
    if let Some((element, component)) = error.at {
        elements.push(position_of(element, component, &here.element(next + 2))?);
    }
    Ok(())
}

fn head(line: &Line<'_>) -> Option<Control> {
    let partner = |element, id, address| Partner {
        id: line.must_part(element, 1, id).unwrap_or_default(),
        qualifier: line.part(element, 2, &specs::PARTNER_KIND),
        address: line.part(element, 3, address),
    };
    let (sender, recipient) = (
        partner(2, &specs::SENDER, &specs::SENDER_ADDRESS),
        partner(3, &specs::RECIPIENT, &specs::ROUTING_ADDRESS),
    );
    Some(Control {
        sender,
        recipient,
        interchange: line.must(1, &specs::INTERCHANGE)?,
        action: line.code(4, &specs::ACTION, &ACTIONS)?,
        error: service_error(line, 5),
        messages: Vec::new(),
    })
}

fn detail(line: &Line<'_>, control: &mut Control) {
    match (line.id(), control.messages.last_mut()) {
        ("UCM", _) => control.messages.extend(message_answer(line)),
        ("UCS", Some(message)) => {
            if let Some(position) = line.count(1, &specs::SEGMENT_POSITION) {
                message.segments.push(SegmentError {
                    position,
                    code: line.text(2, &specs::ERROR),
                    elements: Vec::new(),
                });
            }
        }
        ("UCD", Some(message)) => match message.segments.last_mut() {
            Some(segment) => {
                let code = line.must(1, &specs::ERROR);
                if let (Some(code), Some((element, component))) = (code, position(line, 2, true)) {
                    segment.elements.push(ElementError { code, element, component });
                }
            }
            None => line.needs("UCS", "it is of no segment: UCS is missing in front of it"),
        },
        ("UCS" | "UCD", None) => line.needs("UCM", "it is of no message: UCM is missing in front of it"),
        _ => line.unexpected("it does not belong here: UCI, then UCM, UCS and UCD of each message"),
    }
}

fn message_answer(line: &Line<'_>) -> Option<MessageAnswer> {
    let part = |component, spec| line.must_part(2, component, spec).unwrap_or_default();
    let kind = MessageKind {
        kind: part(1, &specs::TYPE),
        version: part(2, &specs::TYPE_VERSION),
        release: part(3, &specs::RELEASE),
        agency: part(4, &specs::AGENCY),
        association: line.part(2, 5, &specs::ASSOCIATION),
    };
    Some(MessageAnswer {
        kind,
        reference: line.must(1, &specs::MESSAGE)?,
        action: line.code(3, &specs::ACTION, &ACTIONS[..2])?,
        error: service_error(line, 4),
        segments: Vec::new(),
    })
}

fn service_error(line: &Line<'_>, from: usize) -> Option<ServiceError> {
    let code = line.text(from, &specs::ERROR)?;
    Some(ServiceError {
        code,
        tag: line.text(from + 1, &specs::SERVICE_TAG),
        at: position(line, from + 2, false),
    })
}

/// A position in a segment: an element, the one behind the tag being number 1, and a component.
fn position(line: &Line<'_>, element: usize, is_needed: bool) -> Option<(u32, Option<u32>)> {
    if !is_needed && line.segment.value(element).is_empty() {
        return None;
    }
    let number = |component, spec: &crate::spec::Spec, text: Option<String>| {
        let text = text?;
        let number =
            text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u32>().ok()).flatten();
        if number.is_none_or(|number| number == 0) {
            line.wrong(
                element,
                component,
                spec,
                Fault::Number,
                format!("`{text}` is no {}: 1 or more", spec.name),
            );
        }
        number.filter(|number| *number > 0)
    };
    let first = number(1, &specs::ELEMENT_POSITION, line.must_part(element, 1, &specs::ELEMENT_POSITION));
    let second = number(2, &specs::COMPONENT_POSITION, line.part(element, 2, &specs::COMPONENT_POSITION));
    Some((first? - 1, second))
}
