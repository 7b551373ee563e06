//! Bytes become an interchange.

use std::collections::HashSet;

use jiff::civil::{Date, Time};

use super::{Interchange, Message, MessageKind, Partner, Separators, specs};
use crate::found::Found;
use crate::limits::{MOST_BYTES, MOST_ELEMENTS, MOST_PARTS, MOST_PROBLEMS, MOST_SETS};
use crate::line::{Line, date_of, time_of};
use crate::problem::{Fault, Place, Problem};
use crate::segment::{Element, Segment};

/// What was read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Reading {
    /// The interchange as far as it could be read; none where its header cannot be.
    pub interchange: Option<Interchange>,
    /// What is wrong with it; nothing: all of it is as it should be.
    pub problems: Vec<Problem>,
}

/// Reads an interchange: one, and nothing behind it but line ends. What is wrong is told, and the rest is read all the same.
pub fn read(bytes: &[u8]) -> Reading {
    let found = Found::default();
    let interchange = interchange(bytes, &found);
    Reading { interchange, problems: found.into_problems() }
}

fn interchange(bytes: &[u8], found: &Found) -> Option<Interchange> {
    if bytes.len() > MOST_BYTES {
        found.tell(
            Place::default(),
            Fault::TooLarge,
            format!("{} bytes: at most {MOST_BYTES} are read", bytes.len()),
        );
        return None;
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.trim_start_matches(['\u{feff}', '\r', '\n']),
        Err(error) => {
            found.tell(
                Place::default(),
                Fault::Character,
                format!("byte {} is not UTF-8", error.valid_up_to() + 1),
            );
            return None;
        }
    };
    let (separators, has_advice, rest) = advice(text, found)?;
    let mut splitter = Splitter { separators, rest, found, parts: 0 };
    let here = Place::default().envelope("UNB");
    let Some(segment) =
        splitter.next(|id| Place::default().envelope(&id.chars().take(8).collect::<String>()))
    else {
        found.tell(here, Fault::Header, "an interchange begins with UNB, with UNA in front of it or not");
        return None;
    };
    if segment.id != "UNB" {
        found.tell(here, Fault::Header, format!("an interchange begins with UNB, here is {}", segment.id));
        return None;
    }
    let interchange = header(&segment, separators, has_advice, found)?;
    let mut builder = Builder::new(interchange, found);
    builder.segments(&mut splitter);
    Some(builder.interchange)
}

fn advice<'a>(text: &'a str, found: &Found) -> Option<(Separators, bool, &'a str)> {
    let Some(advice) = text.strip_prefix("UNA") else { return Some((Separators::default(), false, text)) };
    let place = Place::default().envelope("UNA");
    let Some(separators) = advice.get(..6).and_then(Separators::of) else {
        found.tell(place, Fault::Header, "UNA has six characters behind it, such as `:+.? '`");
        return None;
    };
    if let Some(told) = separators.fault() {
        found.tell(place, Fault::Header, told);
        return None;
    }
    Some((separators, true, &advice[6..]))
}

fn header(segment: &Segment, separators: Separators, has_advice: bool, found: &Found) -> Option<Interchange> {
    let reference: String = segment.value(5).chars().take(20).collect();
    let place = Place { interchange: (!reference.is_empty()).then_some(reference), ..Place::default() };
    let line = Line { segment, before: &[], place: place.envelope("UNB"), found };
    let partner = |element: usize, id, address| Partner {
        id: line.must_part(element, 1, id).unwrap_or_default(),
        qualifier: line.part(element, 2, &specs::PARTNER_KIND),
        address: line.part(element, 3, address),
    };
    let version = line.must_part(1, 2, &specs::SYNTAX_VERSION)?;
    if !matches!(version.as_str(), "1" | "2" | "3") {
        line.wrong(
            1,
            2,
            &specs::SYNTAX_VERSION,
            Fault::Version,
            format!("syntax version `{version}`: 1, 2 and 3 are read"),
        );
        return None;
    }
    Some(Interchange {
        separators,
        has_advice,
        syntax: line.must_part(1, 1, &specs::SYNTAX).unwrap_or_default(),
        version: version.parse().unwrap_or(3),
        sender: partner(2, &specs::SENDER, &specs::SENDER_ADDRESS),
        recipient: partner(3, &specs::RECIPIENT, &specs::ROUTING_ADDRESS),
        date: date(&line),
        time: time(&line),
        reference: line.must(5, &specs::INTERCHANGE).unwrap_or_default(),
        more: segment.elements.iter().skip(5).cloned().collect(),
        messages: Vec::new(),
    })
}

fn date(line: &Line<'_>) -> Date {
    let text = line.must_part(4, 1, &specs::DATE);
    let date = text.as_ref().and_then(|text| date_of(&format!("20{text}")));
    if let (Some(text), None) = (&text, date) {
        line.wrong(4, 1, &specs::DATE, Fault::Date, format!("`{text}` is no day such as 261129"));
    }
    date.unwrap_or(Date::constant(2000, 1, 1))
}

fn time(line: &Line<'_>) -> Time {
    let text = line.must_part(4, 2, &specs::TIME);
    let time = text.as_ref().and_then(|text| time_of(text));
    if let (Some(text), None) = (&text, time) {
        line.wrong(4, 2, &specs::TIME, Fault::Time, format!("`{text}` is no time such as 1015"));
    }
    time.unwrap_or(Time::midnight())
}

/// Text becomes segments, one after the other.
struct Splitter<'a> {
    separators: Separators,
    rest: &'a str,
    found: &'a Found,
    parts: usize,
}

impl Splitter<'_> {
    /// The next segment, `at` being the place of one with such an id; none at the end, or where the end cannot be found.
    fn next(&mut self, at: impl Fn(&str) -> Place) -> Option<Segment> {
        self.rest = self.rest.trim_start_matches(['\r', '\n']);
        if self.rest.is_empty() || self.found.is_full() {
            return None;
        }
        let Separators { component, element, release, segment, .. } = self.separators;
        let mut elements: Vec<Vec<String>> = vec![vec![String::new()]];
        let mut characters = self.rest.char_indices();
        let mut too_many = false;
        let end = loop {
            let Some((at, mut character)) = characters.next() else { break None };
            let is_released = Some(character) == release;
            if is_released {
                let Some((_, next)) = characters.next() else { break None };
                character = next;
            } else if character == segment {
                break Some(at + character.len_utf8());
            } else if character == element || character == component {
                self.parts += 1;
                too_many |= elements.len() > MOST_ELEMENTS || self.parts > MOST_PARTS;
                if !too_many {
                    grow(&mut elements, character == element);
                }
                continue;
            }
            if let Some(value) =
                elements.last_mut().and_then(|components| components.last_mut()).filter(|_| !too_many)
            {
                value.push(character);
            }
        };
        let id = elements.first().and_then(|components| components.first()).cloned().unwrap_or_default();
        let here = at(&id);
        let Some(end) = end else {
            self.found.tell(here, Fault::TrailerMissing, format!("a segment is not ended by {segment:?}"));
            self.rest = "";
            return None;
        };
        self.rest = &self.rest[end..];
        if too_many {
            let told = format!(
                "more than {MOST_ELEMENTS} elements in a segment, or {MOST_PARTS} in all: send several"
            );
            self.found.tell(here.clone(), Fault::TooMany, told);
        }
        Some(self.checked(elements, here))
    }

    fn checked(&self, elements: Vec<Vec<String>>, here: Place) -> Segment {
        let mut elements = elements.into_iter();
        let tag = elements.next().unwrap_or_default();
        let id = tag.first().cloned().unwrap_or_default();
        let is_id = tag.len() == 1 && id.len() == 3 && id.bytes().all(|byte| byte.is_ascii_uppercase());
        if !is_id {
            let shown: String = id.chars().take(20).collect();
            self.found.tell(
                here.clone(),
                Fault::SegmentId,
                format!("`{shown}` is no segment tag: three capitals"),
            );
        }
        let mut segment = Segment { id: if is_id { id } else { String::new() }, elements: Vec::new() };
        for (index, components) in elements.enumerate() {
            if let Some(bad) =
                components.iter().flat_map(|value| value.chars()).find(|character| character.is_control())
            {
                self.found.tell(
                    here.element(index + 1),
                    Fault::Character,
                    format!("{bad:?} may not be in a value"),
                );
            }
            segment.elements.push(Element::new(vec![components]));
        }
        segment.trim();
        segment
    }
}

fn grow(elements: &mut Vec<Vec<String>>, is_element: bool) {
    if is_element {
        elements.push(vec![String::new()]);
    } else if let Some(components) = elements.last_mut() {
        components.push(String::new());
    }
}

/// The interchange while it is read.
struct Builder<'a> {
    interchange: Interchange,
    found: &'a Found,
    place: Place,
    message: Option<Message>,
    /// The references of messages that there were.
    references: HashSet<String>,
    /// How many segments the message has by now, its header being one.
    number: usize,
    is_over: bool,
}

impl<'a> Builder<'a> {
    fn new(interchange: Interchange, found: &'a Found) -> Self {
        let reference = interchange.reference.clone();
        let place = Place { interchange: (!reference.is_empty()).then_some(reference), ..Place::default() };
        Self {
            interchange,
            found,
            place,
            message: None,
            references: HashSet::new(),
            number: 0,
            is_over: false,
        }
    }

    /// The place of the next segment.
    fn here(&self, id: &str) -> Place {
        match &self.message {
            Some(_) => self.place.segment(self.number + 1, id),
            None => self.place.envelope(&id.chars().take(8).collect::<String>()),
        }
    }

    fn segments(&mut self, splitter: &mut Splitter<'_>) {
        while let Some(segment) = splitter.next(|id| self.here(id)) {
            if self.is_over {
                let told = "something is behind UNZ: send it as an interchange of its own";
                self.found.tell(self.place.clone(), Fault::Unexpected, told);
                break;
            }
            if segment.id == "UNH" && self.references.len() >= MOST_SETS {
                let place = Place { set: None, ..self.place.clone() };
                let told = format!("more than {MOST_SETS} messages: send several interchanges");
                self.found.add_last(Problem::new(place, Fault::TooLarge, told));
                break;
            }
            self.take(segment);
        }
        self.end();
    }

    fn take(&mut self, segment: Segment) {
        match segment.id.as_str() {
            "UNH" => self.begin(&segment),
            "UNT" => self.end_message(&segment),
            "UNZ" => self.end_interchange(&segment),
            "UNG" | "UNE" | "UNB" | "UNA" => {
                self.found.tell(
                    self.here(&segment.id),
                    Fault::Unexpected,
                    "it does not belong here: there are no functional groups",
                );
            }
            id => match &mut self.message {
                Some(message) => {
                    self.number += 1;
                    message.segments.push(segment);
                }
                None if id.is_empty() => {}
                None => self.found.tell(
                    self.here(id),
                    Fault::Unexpected,
                    "it is in no message: UNH is missing in front of it",
                ),
            },
        }
    }

    fn begin(&mut self, segment: &Segment) {
        self.close("UNH");
        let reference: String = segment.value(1).chars().take(20).collect();
        self.place.set = Some(reference.clone());
        let line = Line { segment, before: &[], place: self.place.segment(1, "UNH"), found: self.found };
        let part = |component, spec| line.must_part(2, component, spec).unwrap_or_default();
        let message = Message {
            reference,
            kind: MessageKind {
                kind: part(1, &specs::TYPE),
                version: part(2, &specs::TYPE_VERSION),
                release: part(3, &specs::RELEASE),
                agency: part(4, &specs::AGENCY),
                association: line.part(2, 5, &specs::ASSOCIATION),
            },
            more: segment.elements.iter().skip(2).cloned().collect(),
            segments: Vec::new(),
        };
        line.must(1, &specs::MESSAGE);
        if !self.references.insert(message.reference.clone()) {
            line.wrong(
                1,
                1,
                &specs::MESSAGE,
                Fault::Duplicate,
                format!("message `{}` was there before", message.reference),
            );
        }
        self.number = 1;
        self.message = Some(message);
    }

    fn end_message(&mut self, segment: &Segment) {
        let number = self.number + 1;
        let Some(message) = self.message.take() else {
            self.found.tell(
                self.place.envelope("UNT"),
                Fault::Unexpected,
                "no message is open: UNH is missing",
            );
            return;
        };
        let line = Line { segment, before: &[], place: self.place.segment(number, "UNT"), found: self.found };
        if line.count(1, &specs::SEGMENT_COUNT).is_some_and(|stated| usize::try_from(stated) != Ok(number)) {
            let told = format!(
                "{} segments are stated, the message has {number} with UNH and UNT",
                segment.value(1)
            );
            line.wrong(1, 1, &specs::SEGMENT_COUNT, Fault::Count, told);
        }
        if line.must(2, &specs::MESSAGE).is_some_and(|reference| reference != message.reference) {
            let told = format!(
                "`{}` is not the reference of the message that is open, `{}`",
                segment.value(2),
                message.reference
            );
            line.wrong(2, 1, &specs::MESSAGE, Fault::NumbersDiffer, told);
        }
        line.at_most(2);
        self.keep(message);
    }

    fn keep(&mut self, message: Message) {
        self.interchange.messages.push(message);
        self.place.set = None;
        self.number = 0;
    }

    /// Ends a message whose trailer is missing.
    fn close(&mut self, before: &str) {
        if let Some(message) = self.message.take() {
            let place = self.place.segment(self.number + 1, "UNT");
            self.found.tell(place, Fault::TrailerMissing, format!("UNT is missing before {before}"));
            self.keep(message);
        }
    }

    fn end_interchange(&mut self, segment: &Segment) {
        self.close("UNZ");
        let line = Line { segment, before: &[], place: self.place.envelope("UNZ"), found: self.found };
        let count = self.interchange.messages.len();
        if line.count(1, &specs::MESSAGE_COUNT).is_some_and(|stated| usize::try_from(stated) != Ok(count)) {
            let told = format!("{} messages are stated, the interchange has {count}", segment.value(1));
            line.wrong(1, 1, &specs::MESSAGE_COUNT, Fault::Count, told);
        }
        if line.must(2, &specs::INTERCHANGE).is_some_and(|reference| reference != self.interchange.reference)
        {
            let told = format!(
                "`{}` is not the interchange's reference, `{}`",
                segment.value(2),
                self.interchange.reference
            );
            line.wrong(2, 1, &specs::INTERCHANGE, Fault::NumbersDiffer, told);
        }
        line.at_most(2);
        self.is_over = true;
    }

    fn end(&mut self) {
        let is_full = self.found.is_full();
        if self.is_over && !is_full {
            return;
        }
        self.close("the end");
        if is_full {
            let told = format!("it has more than {MOST_PROBLEMS} problems: what is behind them is not read");
            self.found.add_last(Problem::new(self.place.clone(), Fault::TooLarge, told));
        } else {
            self.found.tell(self.place.envelope("UNZ"), Fault::TrailerMissing, "UNZ is missing at the end");
        }
    }
}
