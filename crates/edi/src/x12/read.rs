//! Bytes become an interchange.

use std::collections::HashSet;

use super::{Group, Interchange, Separators, TransactionSet, header, specs};
use crate::found::Found;
use crate::limits::{MOST_BYTES, MOST_ELEMENTS, MOST_PARTS, MOST_PROBLEMS, MOST_SETS};
use crate::line::Line;
use crate::problem::{Fault, Place, Problem};
use crate::segment::{Element, Segment};

/// What was read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Reading {
    /// The interchange as far as it could be read; none where its header cannot be.
    pub interchange: Option<Interchange>,
    /// How many transaction sets each group's trailer says it has.
    pub stated: Vec<Option<u32>>,
    /// What is wrong with it; nothing: all of it is as it should be.
    pub problems: Vec<Problem>,
}

/// Reads an interchange: one, and nothing behind it but line ends. What is wrong is told, and the rest is read all the same.
pub fn read(bytes: &[u8]) -> Reading {
    let found = Found::default();
    let mut place = Place::default();
    if bytes.len() > MOST_BYTES {
        found.tell(place, Fault::TooLarge, format!("{} bytes: at most {MOST_BYTES} are read", bytes.len()));
        return Reading { problems: found.into_problems(), ..Reading::default() };
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.trim_start_matches(['\u{feff}', '\r', '\n']),
        Err(error) => {
            found.tell(place, Fault::Character, format!("byte {} is not UTF-8", error.valid_up_to() + 1));
            return Reading { problems: found.into_problems(), ..Reading::default() };
        }
    };
    let Some(interchange) = header::read(text, &mut place, &found) else {
        return Reading { problems: found.into_problems(), ..Reading::default() };
    };
    let mut builder = Builder::new(interchange, place, &found);
    let rest = &text[header::LENGTH..];
    builder.segments(rest);
    let Builder { interchange, stated, .. } = builder;
    Reading { interchange: Some(interchange), stated, problems: found.into_problems() }
}

/// The interchange while it is read.
struct Builder<'a> {
    interchange: Interchange,
    stated: Vec<Option<u32>>,
    found: &'a Found,
    place: Place,
    group: Option<Group>,
    set: Option<TransactionSet>,
    /// How many segments the set has by now, its header being one.
    number: usize,
    parts: usize,
    /// Control numbers of groups, and of this group's sets, that there were.
    groups: HashSet<u32>,
    sets: HashSet<String>,
    set_count: usize,
    is_over: bool,
}

impl<'a> Builder<'a> {
    fn new(interchange: Interchange, place: Place, found: &'a Found) -> Self {
        Self {
            interchange,
            stated: Vec::new(),
            found,
            place,
            group: None,
            set: None,
            number: 0,
            parts: 0,
            groups: HashSet::new(),
            sets: HashSet::new(),
            set_count: 0,
            is_over: false,
        }
    }

    fn segments(&mut self, mut rest: &str) {
        let separators = self.interchange.separators;
        loop {
            rest = rest.trim_start_matches(['\r', '\n']);
            if rest.is_empty() || self.found.is_full() {
                break;
            }
            let Some((text, behind)) = rest.split_once(separators.segment) else {
                let told = format!("a segment is not ended by {:?}", separators.segment);
                let id: String =
                    rest.chars().take_while(|character| *character != separators.element).collect();
                self.found.tell(self.here(&id), Fault::TrailerMissing, told);
                break;
            };
            rest = behind;
            if self.is_over {
                self.found.tell(
                    self.place.clone(),
                    Fault::Unexpected,
                    "something is behind IEA: send it as an interchange of its own",
                );
                break;
            }
            let Some(segment) = self.segment(text, separators) else { break };
            if matches!(segment.id.as_str(), "GS" | "ST") {
                self.set_count += 1;
            }
            if self.set_count > MOST_SETS {
                let place = Place { group: None, set: None, ..self.place.clone() };
                let told =
                    format!("more than {MOST_SETS} groups and transaction sets: send several interchanges");
                self.found.add_last(Problem::new(place, Fault::TooLarge, told));
                break;
            }
            self.take(segment);
        }
        self.end();
    }

    /// The place of the next segment.
    fn here(&self, id: &str) -> Place {
        match &self.set {
            Some(_) => self.place.segment(self.number + 1, id),
            None => self.place.envelope(&id.chars().take(8).collect::<String>()),
        }
    }

    fn segment(&mut self, text: &str, separators: Separators) -> Option<Segment> {
        let mut values = text.split(separators.element);
        let id = values.next().unwrap_or("");
        let here = self.here(id);
        let is_id = (2..=3).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        if !is_id {
            let shown: String = id.chars().take(20).collect();
            self.found.tell(
                here.clone(),
                Fault::SegmentId,
                format!("`{shown}` is no segment id: 2 or 3 capitals or digits"),
            );
        }
        let mut segment =
            Segment { id: if is_id { id.to_owned() } else { String::new() }, elements: Vec::new() };
        for (index, value) in values.enumerate() {
            if index == MOST_ELEMENTS {
                let told = format!("more than {MOST_ELEMENTS} elements: a segment has no more");
                self.found.tell(here.element(index + 1), Fault::TooMany, told);
                break;
            }
            let element = element(value, separators);
            self.parts += element.values().count().max(1);
            if self.parts > MOST_PARTS {
                self.found.tell(
                    here,
                    Fault::TooLarge,
                    format!("more than {MOST_PARTS} elements: send several interchanges"),
                );
                return None;
            }
            if let Some(bad) = element.values().flat_map(str::chars).find(|character| character.is_control())
            {
                self.found.tell(
                    here.element(index + 1),
                    Fault::Character,
                    format!("{bad:?} may not be in a value"),
                );
            }
            segment.elements.push(element);
        }
        segment.trim();
        Some(segment)
    }

    fn take(&mut self, segment: Segment) {
        match segment.id.as_str() {
            "GS" => self.begin_group(&segment),
            "GE" => self.end_group(&segment),
            "ST" => self.begin_set(segment),
            "SE" => self.end_set(&segment),
            "IEA" => self.end_interchange(&segment),
            "ISA" => {
                self.found.tell(
                    self.here("ISA"),
                    Fault::Unexpected,
                    "an interchange begins within another one: IEA is missing",
                );
                self.is_over = true;
            }
            id => match &mut self.set {
                Some(set) => {
                    self.number += 1;
                    set.segments.push(segment);
                }
                None if id == "TA1" && self.group.is_none() && self.interchange.groups.is_empty() => {
                    self.interchange.notes.push(segment);
                }
                None if id.is_empty() => {}
                None => {
                    let told = "it is in no transaction set: ST is missing in front of it";
                    self.found.tell(self.here(id), Fault::Unexpected, told);
                }
            },
        }
    }

    fn begin_group(&mut self, segment: &Segment) {
        self.close_group("GS");
        let control = number_of(segment.value(6)).unwrap_or(0);
        self.place.group = Some(control.to_string());
        let line = Line { segment, before: &[], place: self.place.envelope("GS"), found: self.found };
        line.count(6, &specs::GROUP_CONTROL);
        let group = Group {
            functional: line.must(1, &specs::FUNCTIONAL).unwrap_or_default(),
            sender: line.must(2, &specs::APPLICATION_SENDER).unwrap_or_default(),
            receiver: line.must(3, &specs::APPLICATION_RECEIVER).unwrap_or_default(),
            date: line.must_date(4, &specs::DATE).unwrap_or(self.interchange.date),
            time: line.time(5, &specs::TIME).unwrap_or_else(jiff::civil::Time::midnight),
            control,
            agency: line.must(7, &specs::AGENCY).unwrap_or_default(),
            version: line.must(8, &specs::VERSION).unwrap_or_default(),
            sets: Vec::new(),
        };
        if segment.value(5).is_empty() {
            line.must(5, &specs::TIME);
        }
        line.at_most(8);
        if !self.groups.insert(control) {
            line.wrong(
                6,
                1,
                &specs::GROUP_CONTROL,
                Fault::Duplicate,
                format!("group {control} was there before"),
            );
        }
        self.sets.clear();
        self.group = Some(group);
    }

    fn end_group(&mut self, segment: &Segment) {
        self.close_set("GE");
        let Some(group) = self.group.take() else {
            self.found.tell(self.place.envelope("GE"), Fault::Unexpected, "no group is open: GS is missing");
            return;
        };
        let line = Line { segment, before: &[], place: self.place.envelope("GE"), found: self.found };
        let stated = line.count(1, &specs::SET_COUNT);
        let count = group.sets.len();
        if stated.is_some_and(|stated| usize::try_from(stated) != Ok(count)) {
            let told = format!("{} transaction sets are stated, the group has {count}", segment.value(1));
            line.wrong(1, 1, &specs::SET_COUNT, Fault::Count, told);
        }
        if line.count(2, &specs::GROUP_CONTROL).is_some_and(|control| control != group.control) {
            let told = format!(
                "`{}` is not the number of the group that is open, {}",
                segment.value(2),
                group.control
            );
            line.wrong(2, 1, &specs::GROUP_CONTROL, Fault::NumbersDiffer, told);
        }
        line.at_most(2);
        self.interchange.groups.push(group);
        self.stated.push(stated);
        self.place.group = None;
    }

    fn begin_set(&mut self, segment: Segment) {
        self.close_set("ST");
        let control: String = segment.value(2).chars().take(20).collect();
        self.place.set = Some(control.clone());
        let line =
            Line { segment: &segment, before: &[], place: self.place.segment(1, "ST"), found: self.found };
        let set = TransactionSet {
            kind: line.must(1, &specs::SET_KIND).unwrap_or_default(),
            control,
            more: segment.elements.iter().skip(2).cloned().collect(),
            segments: Vec::new(),
        };
        line.must(2, &specs::SET_CONTROL);
        match &self.group {
            None => self.found.tell(
                line.place.clone(),
                Fault::Unexpected,
                "it is in no group: GS is missing in front of it",
            ),
            Some(_) if !self.sets.insert(set.control.clone()) => {
                line.wrong(
                    2,
                    1,
                    &specs::SET_CONTROL,
                    Fault::Duplicate,
                    format!("set `{}` was there before in its group", set.control),
                );
            }
            Some(_) => {}
        }
        self.number = 1;
        self.set = Some(set);
    }

    fn end_set(&mut self, segment: &Segment) {
        let number = self.number + 1;
        let Some(set) = self.set.take() else {
            self.found.tell(
                self.place.envelope("SE"),
                Fault::Unexpected,
                "no transaction set is open: ST is missing",
            );
            return;
        };
        let line = Line { segment, before: &[], place: self.place.segment(number, "SE"), found: self.found };
        if line.count(1, &specs::SEGMENT_COUNT).is_some_and(|stated| usize::try_from(stated) != Ok(number)) {
            let told =
                format!("{} segments are stated, the set has {number} with ST and SE", segment.value(1));
            line.wrong(1, 1, &specs::SEGMENT_COUNT, Fault::Count, told);
        }
        if line.must(2, &specs::SET_CONTROL).is_some_and(|control| control != set.control) {
            let told = format!(
                "`{}` is not the number of the set that is open, `{}`",
                segment.value(2),
                set.control
            );
            line.wrong(2, 1, &specs::SET_CONTROL, Fault::NumbersDiffer, told);
        }
        line.at_most(2);
        self.keep(set);
    }

    fn keep(&mut self, set: TransactionSet) {
        if let Some(group) = &mut self.group {
            group.sets.push(set);
        }
        self.place.set = None;
        self.number = 0;
    }

    /// Ends a set whose trailer is missing.
    fn close_set(&mut self, before: &str) {
        if let Some(set) = self.set.take() {
            let place = self.place.segment(self.number + 1, "SE");
            self.found.tell(place, Fault::TrailerMissing, format!("SE is missing before {before}"));
            self.keep(set);
        }
    }

    /// Ends a group whose trailer is missing.
    fn close_group(&mut self, before: &str) {
        self.close_set(before);
        if let Some(group) = self.group.take() {
            self.found.tell(
                self.place.envelope("GE"),
                Fault::TrailerMissing,
                format!("GE is missing before {before}"),
            );
            self.interchange.groups.push(group);
            self.stated.push(None);
        }
        self.place.group = None;
    }

    fn end_interchange(&mut self, segment: &Segment) {
        self.close_group("IEA");
        let line = Line { segment, before: &[], place: self.place.envelope("IEA"), found: self.found };
        let count = self.interchange.groups.len();
        if line.count(1, &specs::GROUP_COUNT).is_some_and(|stated| usize::try_from(stated) != Ok(count)) {
            let told = format!("{} groups are stated, the interchange has {count}", segment.value(1));
            line.wrong(1, 1, &specs::GROUP_COUNT, Fault::Count, told);
        }
        let control = line.must(2, &specs::INTERCHANGE_CONTROL);
        if control.is_some() && control != self.place.interchange {
            let told = format!(
                "`{}` is not the interchange's number, {:09}",
                segment.value(2),
                self.interchange.control
            );
            line.wrong(2, 1, &specs::INTERCHANGE_CONTROL, Fault::NumbersDiffer, told);
        }
        line.at_most(2);
        self.is_over = true;
    }

    fn end(&mut self) {
        if self.is_over && !self.found.is_full() {
            return;
        }
        let is_full = self.found.is_full();
        self.close_group("the end");
        if is_full {
            let told = format!("it has more than {MOST_PROBLEMS} problems: what is behind them is not read");
            self.found.add_last(Problem::new(self.place.clone(), Fault::TooLarge, told));
            return;
        }
        self.found.tell(self.place.envelope("IEA"), Fault::TrailerMissing, "IEA is missing at the end");
    }
}

fn number_of(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn element(text: &str, separators: Separators) -> Element {
    let has_more =
        text.contains(separators.component) || separators.repetition.is_some_and(|mark| text.contains(mark));
    if !has_more {
        return Element::from(text);
    }
    let components = |text: &str| text.split(separators.component).map(str::to_owned).collect();
    match separators.repetition {
        Some(mark) => Element::new(text.split(mark).map(components).collect()),
        None => Element::new(vec![components(text)]),
    }
}
