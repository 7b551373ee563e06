//! An interchange becomes text.

use std::collections::HashSet;

use super::{Interchange, Message, Partner, Separators, specs};
use crate::problem::{Place, Unwritable};
use crate::segment::{Element, Segment};
use crate::spec::Spec;

impl Interchange {
    /// The interchange as text, a segment a line, its counts and trailers made. What separates is released within values.
    ///
    /// # Errors
    /// The first thing that cannot be written, by its place: a value that does not fit, a reference used twice.
    pub fn write(&self) -> Result<String, Unwritable> {
        let place = Place { interchange: Some(self.reference.clone()), ..Place::default() };
        if let Some(told) = self.separators.fault() {
            return Err(Unwritable::new(place.envelope("UNA"), told));
        }
        if !self.has_advice && self.separators != Separators::default() {
            return Err(Unwritable::new(
                place.envelope("UNA"),
                "separators that are not the usual ones need UNA",
            ));
        }
        let mut text = Text { text: String::new(), separators: self.separators };
        if self.has_advice {
            text.text.push_str(&self.separators.advice());
            text.text.push('\n');
        }
        text.segment(&self.header(&place.envelope("UNB"))?, &place.envelope("UNB"))?;
        let mut references = HashSet::new();
        for message in &self.messages {
            let place = Place { set: Some(message.reference.clone()), ..place.clone() };
            if !references.insert(&message.reference) {
                return Err(Unwritable::new(place, "its reference was used before in this interchange"));
            }
            text.message(message, &place)?;
        }
        let values = [
            (specs::MESSAGE_COUNT, self.messages.len().to_string()),
            (specs::INTERCHANGE, self.reference.clone()),
        ];
        text.checked("UNZ", &values, &place.envelope("UNZ"))?;
        Ok(text.text)
    }

    fn header(&self, place: &Place) -> Result<Segment, Unwritable> {
        if !(1..=3).contains(&self.version) {
            return Err(Unwritable::new(
                place.element(1),
                format!("syntax version {}: 1, 2 and 3 are written", self.version),
            ));
        }
        let is_told = (2000..2100).contains(&self.date.year())
            && self.time.second() == 0
            && self.time.subsec_nanosecond() == 0;
        if !is_told {
            let told = format!("{} {} is not a minute of this century", self.date, self.time);
            return Err(Unwritable::new(place.element(4), told));
        }
        let date =
            format!("{:02}{:02}{:02}", self.date.year().rem_euclid(100), self.date.month(), self.date.day());
        let time = format!("{:02}{:02}", self.time.hour(), self.time.minute());
        let version = self.version.to_string();
        let elements = [
            composite(
                &[(specs::SYNTAX, true, &self.syntax), (specs::SYNTAX_VERSION, true, &version)],
                &place.element(1),
            )?,
            partner(&self.sender, specs::SENDER, specs::SENDER_ADDRESS, &place.element(2))?,
            partner(&self.recipient, specs::RECIPIENT, specs::ROUTING_ADDRESS, &place.element(3))?,
            composite(&[(specs::DATE, true, &date), (specs::TIME, true, &time)], &place.element(4))?,
            composite(&[(specs::INTERCHANGE, true, &self.reference)], &place.element(5))?,
        ];
        Ok(Segment::new("UNB", elements.into_iter().chain(self.more.iter().cloned())))
    }
}

pub(super) fn partner(
    partner: &Partner,
    id: Spec,
    address: Spec,
    place: &Place,
) -> Result<Element, Unwritable> {
    let qualifier = partner.qualifier.as_deref().unwrap_or("");
    let within = partner.address.as_deref().unwrap_or("");
    composite(
        &[(id, true, &partner.id), (specs::PARTNER_KIND, false, qualifier), (address, false, within)],
        place,
    )
}

/// An element of these components, each of which has to be there or not.
pub(super) fn composite(components: &[(Spec, bool, &str)], place: &Place) -> Result<Element, Unwritable> {
    let mut values = Vec::new();
    for (index, (spec, is_needed, value)) in components.iter().enumerate() {
        let place = Place { component: (index > 0).then_some(index + 1), ..place.clone() };
        if *is_needed && value.is_empty() {
            return Err(Unwritable::new(place, format!("the {} has to be there", spec.name)));
        }
        spec.fit(&place, value)?;
        values.push((*value).to_owned());
    }
    Ok(Element::new(vec![values]))
}

/// The text while it is written.
struct Text {
    text: String,
    separators: Separators,
}

impl Text {
    fn message(&mut self, message: &Message, place: &Place) -> Result<(), Unwritable> {
        let here = place.segment(1, "UNH");
        let elements = [
            composite(&[(specs::MESSAGE, true, &message.reference)], &here.element(1))?,
            message.kind.element(&here.element(2))?,
        ];
        let header = Segment::new("UNH", elements.into_iter().chain(message.more.iter().cloned()));
        self.segment(&header, &here)?;
        for (index, segment) in message.segments.iter().enumerate() {
            let here = place.segment(index + 2, &segment.id);
            if matches!(segment.id.as_str(), "UNA" | "UNB" | "UNZ" | "UNG" | "UNE" | "UNH" | "UNT") {
                return Err(Unwritable::new(here, format!("{} is no segment of a message", segment.id)));
            }
            self.segment(segment, &here)?;
        }
        let count = message.segments.len() + 2;
        let values = [(specs::SEGMENT_COUNT, count.to_string()), (specs::MESSAGE, message.reference.clone())];
        self.checked("UNT", &values, &place.segment(count, "UNT"))
    }

    fn checked(&mut self, id: &str, values: &[(Spec, String)], place: &Place) -> Result<(), Unwritable> {
        let mut elements = Vec::new();
        for (index, (spec, value)) in values.iter().enumerate() {
            elements.push(composite(&[(*spec, true, value)], &place.element(index + 1))?);
        }
        self.segment(&Segment::new(id, elements), place)
    }

    fn segment(&mut self, segment: &Segment, place: &Place) -> Result<(), Unwritable> {
        if segment.id.len() != 3 || !segment.id.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err(Unwritable::new(
                place.clone(),
                format!("`{}` is no segment tag: three capitals", segment.id),
            ));
        }
        self.text.push_str(&segment.id);
        for (index, element) in segment.elements.iter().enumerate() {
            let place = place.element(index + 1);
            if element.repetitions() > 1 {
                return Err(Unwritable::new(place, "syntax version 3 repeats no elements"));
            }
            for value in element.values() {
                self.check(value, &place)?;
            }
            self.text.push(self.separators.element);
            self.text.push_str(
                &element.joined("", self.separators.component, |value| released(value, self.separators)),
            );
        }
        self.text.push(self.separators.segment);
        if self.separators.segment != '\n' {
            self.text.push('\n');
        }
        Ok(())
    }

    fn check(&self, value: &str, place: &Place) -> Result<(), Unwritable> {
        let separates =
            |character: &char| self.separators.release.is_none() && self.separators.has(*character);
        match value.chars().find(|character| character.is_control() || separates(character)) {
            None => Ok(()),
            Some(bad) if bad.is_control() => Err(Unwritable::new(
                place.clone(),
                format!("`{value}` has {bad:?} in it, which no value may have"),
            )),
            Some(bad) => {
                let told = format!(
                    "`{value}` has {bad:?} in it, which separates, and there is no release character"
                );
                Err(Unwritable::new(place.clone(), told))
            }
        }
    }
}

fn released(value: &str, separators: Separators) -> String {
    let mut text = String::with_capacity(value.len());
    for character in value.chars() {
        if separators.has(character) {
            text.extend(separators.release);
        }
        text.push(character);
    }
    text
}

impl super::MessageKind {
    /// As an element.
    pub(super) fn element(&self, place: &Place) -> Result<Element, Unwritable> {
        let association = self.association.as_deref().unwrap_or("");
        let components = [
            (specs::TYPE, true, self.kind.as_str()),
            (specs::TYPE_VERSION, true, &self.version),
            (specs::RELEASE, true, &self.release),
            (specs::AGENCY, true, &self.agency),
            (specs::ASSOCIATION, false, association),
        ];
        composite(&components, place)
    }
}
