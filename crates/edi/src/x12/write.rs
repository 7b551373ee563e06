//! An interchange becomes text.

use std::collections::HashSet;

use super::{Group, Interchange, Separators, TransactionSet, header, specs};
use crate::line::{date_text, time_text};
use crate::problem::{Place, Unwritable};
use crate::segment::{Element, Segment};
use crate::spec::Spec;

impl Interchange {
    /// The interchange as text, a segment a line, its counts and trailers made. What it cannot say is refused: a separator or a control
    /// character within a value, a value that does not fit its element, a number used twice.
    ///
    /// # Errors
    /// The first thing that cannot be written, by its place.
    pub fn write(&self) -> Result<String, Unwritable> {
        let place = Place { interchange: Some(format!("{:09}", self.control)), ..Place::default() };
        let mut text = Text { text: header::write(self)?, separators: self.separators };
        text.line();
        for note in &self.notes {
            if note.id != "TA1" {
                return Err(Unwritable::new(place.envelope(&note.id), "only TA1 is in front of the groups"));
            }
            text.segment(note, &place.envelope(&note.id))?;
        }
        let mut numbers = HashSet::new();
        for group in &self.groups {
            let place = Place { group: Some(group.control.to_string()), ..place.clone() };
            if !numbers.insert(group.control) {
                return Err(Unwritable::new(place, "its number was used before in this interchange"));
            }
            text.group(group, &place)?;
        }
        let place = place.envelope("IEA");
        let control = format!("{:09}", self.control);
        text.checked(
            "IEA",
            &[(specs::GROUP_COUNT, self.groups.len().to_string()), (specs::INTERCHANGE_CONTROL, control)],
            &place,
        )?;
        Ok(text.text)
    }
}

/// The text while it is written.
struct Text {
    text: String,
    separators: Separators,
}

impl Text {
    fn line(&mut self) {
        if self.separators.segment != '\n' {
            self.text.push('\n');
        }
    }

    fn group(&mut self, group: &Group, place: &Place) -> Result<(), Unwritable> {
        let values = [
            (specs::FUNCTIONAL, group.functional.clone()),
            (specs::APPLICATION_SENDER, group.sender.clone()),
            (specs::APPLICATION_RECEIVER, group.receiver.clone()),
            (specs::DATE, date_text(group.date)),
            (specs::TIME, time_text(group.time)),
            (specs::GROUP_CONTROL, group.control.to_string()),
            (specs::AGENCY, group.agency.clone()),
            (specs::VERSION, group.version.clone()),
        ];
        self.checked("GS", &values, &place.envelope("GS"))?;
        let mut numbers = HashSet::new();
        for set in &group.sets {
            let place = Place { set: Some(set.control.clone()), ..place.clone() };
            if !numbers.insert(&set.control) {
                return Err(Unwritable::new(place, "its number was used before in this group"));
            }
            self.set(set, &place)?;
        }
        let control = group.control.to_string();
        let values = [(specs::SET_COUNT, group.sets.len().to_string()), (specs::GROUP_CONTROL, control)];
        self.checked("GE", &values, &place.envelope("GE"))
    }

    fn set(&mut self, set: &TransactionSet, place: &Place) -> Result<(), Unwritable> {
        let values = [(specs::SET_KIND, set.kind.clone()), (specs::SET_CONTROL, set.control.clone())];
        fit("ST", &values, &place.segment(1, "ST"))?;
        let header =
            values.iter().map(|(_, value)| Element::from(value.clone())).chain(set.more.iter().cloned());
        self.segment(&Segment::new("ST", header), &place.segment(1, "ST"))?;
        for (index, segment) in set.segments.iter().enumerate() {
            let place = place.segment(index + 2, &segment.id);
            if matches!(segment.id.as_str(), "ISA" | "IEA" | "GS" | "GE" | "ST" | "SE") {
                return Err(Unwritable::new(
                    place,
                    format!("`{}` is no id of a segment in a set", segment.id),
                ));
            }
            self.segment(segment, &place)?;
        }
        let count = set.segments.len() + 2;
        let values = [(specs::SEGMENT_COUNT, count.to_string()), (specs::SET_CONTROL, set.control.clone())];
        self.checked("SE", &values, &place.segment(count, "SE"))
    }

    /// A segment of the envelope, all of whose elements have to be there.
    fn checked(&mut self, id: &str, values: &[(Spec, String)], place: &Place) -> Result<(), Unwritable> {
        fit(id, values, place)?;
        self.segment(&Segment::new(id, values.iter().map(|(_, value)| Element::from(value.clone()))), place)
    }

    fn segment(&mut self, segment: &Segment, place: &Place) -> Result<(), Unwritable> {
        let is_id = (2..=3).contains(&segment.id.len())
            && segment.id.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        if !is_id {
            return Err(Unwritable::new(
                place.clone(),
                format!("`{}` is no segment id: 2 or 3 capitals or digits", segment.id),
            ));
        }
        self.text.push_str(&segment.id);
        for (index, element) in segment.elements.iter().enumerate() {
            let place = place.element(index + 1);
            for value in element.values() {
                check(value, self.separators, &place)?;
            }
            if element.repetitions() > 1 && self.separators.repetition.is_none() {
                return Err(Unwritable::new(place, "elements are repeated from version 00402 on"));
            }
            let repetition = self.separators.repetition.map_or_else(String::new, String::from);
            self.text.push(self.separators.element);
            self.text.push_str(&element.joined(&repetition, self.separators.component, str::to_owned));
        }
        self.text.push(self.separators.segment);
        self.line();
        Ok(())
    }
}

fn fit(id: &str, values: &[(Spec, String)], place: &Place) -> Result<(), Unwritable> {
    for (index, (spec, value)) in values.iter().enumerate() {
        let place = place.element(index + 1);
        if value.is_empty() {
            return Err(Unwritable::new(place, format!("the {} of {id} has to be there", spec.name)));
        }
        spec.fit(&place, value)?;
    }
    Ok(())
}

/// Refuses what would be read as something else.
pub(super) fn check(value: &str, separators: Separators, place: &Place) -> Result<(), Unwritable> {
    match value.chars().find(|&character| separators.has(character) || character.is_control()) {
        None => Ok(()),
        Some(bad) if separators.has(bad) => {
            let told = format!(
                "`{value}` has {bad:?} in it, which separates: leave it out, or choose other separators"
            );
            Err(Unwritable::new(place.clone(), told))
        }
        Some(bad) => Err(Unwritable::new(
            place.clone(),
            format!("`{value}` has {bad:?} in it, which no value may have"),
        )),
    }
}

/// All values that are written.
pub(super) fn values(interchange: &Interchange) -> impl Iterator<Item = &str> {
    let Interchange { authorization, security, sender, receiver, notes, groups, .. } = interchange;
    let partners = [authorization, security, sender, receiver];
    let partners = partners.into_iter().flat_map(|partner| [partner.qualifier.as_str(), partner.id.as_str()]);
    let heads = groups.iter().flat_map(|group| {
        [&group.functional, &group.sender, &group.receiver, &group.agency, &group.version].map(String::as_str)
    });
    let sets = || groups.iter().flat_map(|group| &group.sets);
    let controls = sets().flat_map(|set| [set.kind.as_str(), set.control.as_str()]);
    let more = sets().flat_map(|set| &set.more);
    let elements =
        notes.iter().chain(sets().flat_map(|set| &set.segments)).flat_map(|segment| &segment.elements);
    partners.chain(heads).chain(controls).chain(more.chain(elements).flat_map(Element::values))
}
