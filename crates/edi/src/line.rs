//! One segment while a document is read: its values checked, what is wrong with them told.

use jiff::civil::{Date, Time};
use onhand_ledger::{Precision, Quantity};

use crate::found::Found;
use crate::item::{ItemId, ItemIds};
use crate::problem::{Fault, Place, Problem};
use crate::segment::Segment;
use crate::spec::Spec;

/// One segment of a document that is read.
pub(crate) struct Line<'a> {
    pub(crate) segment: &'a Segment,
    /// The segments in front of it.
    pub(crate) before: &'a [Segment],
    pub(crate) place: Place,
    pub(crate) found: &'a Found,
}

/// The segments of a set or message, whose header is number 1.
pub(crate) fn lines<'a>(
    segments: &'a [Segment],
    at: &'a Place,
    found: &'a Found,
) -> impl Iterator<Item = Line<'a>> {
    segments.iter().enumerate().map(move |(index, segment)| {
        let place = at.segment(index + 2, &segment.id);
        Line { segment, before: &segments[..index], place, found }
    })
}

/// Tells it if the first segment behind the header is another one.
pub(crate) fn begins_with(segments: &[Segment], id: &str, at: &Place, found: &Found) -> bool {
    let is = segments.first().map(|segment| segment.id.as_str());
    if is == Some(id) {
        return true;
    }
    let told = format!("the segment behind the header is {}, it has to be {id}", is.unwrap_or("missing"));
    found.tell(at.segment(2, id), Fault::SegmentMissing, told);
    false
}

impl Line<'_> {
    pub(crate) fn id(&self) -> &str {
        &self.segment.id
    }

    fn at(&self, element: usize, component: usize) -> Place {
        Place { component: (component > 1).then_some(component), ..self.place.element(element) }
    }

    /// Something is wrong with that element.
    pub(crate) fn wrong(&self, element: usize, component: usize, spec: &Spec, fault: Fault, told: String) {
        let value = self.segment.component(element, component);
        self.found.add(Problem {
            place: self.at(element, component),
            fault,
            told,
            number: Some(spec.number),
            value: (!value.is_empty()).then(|| value.chars().take(99).collect()),
        });
    }

    /// It needs another one in front of it, which is missing; one that is there and wrong was told of.
    pub(crate) fn needs(&self, id: &str, told: &str) {
        if !self.found.is_full() && !self.before.iter().any(|segment| segment.id == id) {
            self.unexpected(told);
        }
    }

    /// Something is wrong with the segment as a whole.
    pub(crate) fn unexpected(&self, told: &str) {
        self.found.tell(self.place.clone(), Fault::Unexpected, told);
    }

    /// A component's value, where it is there and as long as it may be.
    pub(crate) fn part(&self, element: usize, component: usize, spec: &Spec) -> Option<String> {
        let value = self.segment.component(element, component);
        self.sized(element, component, spec, value, value.chars().count())
    }

    /// As [`Line::part`], of a number. Its sign and its decimal mark are not counted, so that it is not refused for them.
    fn number(&self, element: usize, component: usize, spec: &Spec) -> Option<String> {
        let value = self.segment.component(element, component);
        let length = value.chars().filter(|character| !matches!(character, '-' | '.' | ',')).count();
        self.sized(element, component, spec, value, length)
    }

    fn sized(
        &self,
        element: usize,
        component: usize,
        spec: &Spec,
        value: &str,
        length: usize,
    ) -> Option<String> {
        let fault = match length {
            _ if value.is_empty() => return None,
            _ if length < spec.least => Fault::TooShort,
            _ if length > spec.most => Fault::TooLong,
            _ => return Some(value.to_owned()),
        };
        let shown: String = value.chars().take(40).collect();
        let told = format!("`{shown}` is {length} characters, the {} has {}", spec.name, spec.length());
        self.wrong(element, component, spec, fault, told);
        None
    }

    /// As [`Line::part`], of something that has to be there.
    pub(crate) fn must_part(&self, element: usize, component: usize, spec: &Spec) -> Option<String> {
        if self.segment.component(element, component).is_empty() {
            self.wrong(element, component, spec, Fault::Missing, format!("the {} has to be here", spec.name));
            return None;
        }
        self.part(element, component, spec)
    }

    /// An element's value, which has no components and is not repeated.
    pub(crate) fn text(&self, element: usize, spec: &Spec) -> Option<String> {
        if self.is_simple(element, spec) { self.part(element, 1, spec) } else { None }
    }

    fn is_simple(&self, element: usize, spec: &Spec) -> bool {
        let found = self.segment.elements.get(element.wrapping_sub(1));
        if found.is_none_or(|found| found.width() <= 1 && found.repetitions() <= 1) {
            return true;
        }
        let told = format!("the {} is one value, without components or repetitions", spec.name);
        self.wrong(element, 1, spec, Fault::TooMany, told);
        false
    }

    /// As [`Line::text`], of something that has to be there.
    pub(crate) fn must(&self, element: usize, spec: &Spec) -> Option<String> {
        if self.segment.elements.get(element.wrapping_sub(1)).is_none_or(crate::Element::is_empty) {
            self.wrong(element, 1, spec, Fault::Missing, format!("the {} has to be here", spec.name));
            return None;
        }
        self.text(element, spec)
    }

    /// A component that is a quantity, `decimal` being its decimal mark.
    pub(crate) fn amount(
        &self,
        element: usize,
        component: usize,
        spec: &Spec,
        decimal: char,
    ) -> Option<Quantity> {
        let text = self.number(element, component, spec)?.replace(decimal, ".");
        let told = if text.starts_with('+') || text.trim() != text {
            format!("`{text}` is no number such as 3, 0.25 or -2")
        } else {
            match Quantity::parse(&text, Precision::FINEST) {
                Ok(quantity) => return Some(quantity),
                Err(error) => error.to_string(),
            }
        };
        self.wrong(element, component, spec, Fault::Number, format!("the {}: {told}", spec.name));
        None
    }

    /// A quantity.
    pub(crate) fn quantity(&self, element: usize, spec: &Spec) -> Option<Quantity> {
        if self.is_simple(element, spec) { self.amount(element, 1, spec, '.') } else { None }
    }

    /// A quantity that has to be there.
    pub(crate) fn must_quantity(&self, element: usize, spec: &Spec) -> Option<Quantity> {
        if self.segment.elements.get(element.wrapping_sub(1)).is_none_or(crate::Element::is_empty) {
            return self.must(element, spec).and(None);
        }
        self.quantity(element, spec)
    }

    /// A number without decimals or sign.
    pub(crate) fn count(&self, element: usize, spec: &Spec) -> Option<u32> {
        let text = self.must(element, spec)?;
        let number = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        if number.is_none() {
            let told = format!("`{text}` is no {}: digits alone", spec.name);
            self.wrong(element, 1, spec, Fault::Number, told);
        }
        number
    }

    /// A day as `CCYYMMDD`.
    pub(crate) fn date(&self, element: usize, spec: &Spec) -> Option<Date> {
        let text = self.text(element, spec)?;
        self.as_date(element, 1, spec, &text)
    }

    pub(crate) fn as_date(&self, element: usize, component: usize, spec: &Spec, text: &str) -> Option<Date> {
        let date = date_of(text);
        if date.is_none() {
            let told = format!("`{text}` is no {} such as 20261129", spec.name);
            self.wrong(element, component, spec, Fault::Date, told);
        }
        date
    }

    /// A day that has to be there.
    pub(crate) fn must_date(&self, element: usize, spec: &Spec) -> Option<Date> {
        let text = self.must(element, spec)?;
        self.as_date(element, 1, spec, &text)
    }

    /// A time of day as `HHMM`, `HHMMSS`, and so on.
    pub(crate) fn time(&self, element: usize, spec: &Spec) -> Option<Time> {
        let text = self.text(element, spec)?;
        let time = time_of(&text);
        if time.is_none() {
            self.wrong(
                element,
                1,
                spec,
                Fault::Time,
                format!("`{text}` is no {} such as 1015 or 101530", spec.name),
            );
        }
        time
    }

    /// What a code means; one that is not among them is wrong.
    pub(crate) fn code<T: Clone>(&self, element: usize, spec: &Spec, codes: &[(&str, T)]) -> Option<T> {
        let code = self.must(element, spec)?;
        let known = codes.iter().find(|(known, _)| *known == code).map(|(_, meaning)| meaning.clone());
        if known.is_none() {
            let all = codes.iter().map(|(known, _)| *known).collect::<Vec<_>>().join(", ");
            self.wrong(
                element,
                1,
                spec,
                Fault::Code,
                format!("`{code}` is no {} known here: {all}", spec.name),
            );
        }
        known
    }

    /// Two elements that are both there or both not: a kind and a value.
    pub(crate) fn pair(&self, element: usize, kind: &Spec, value: &Spec) -> Option<(String, String)> {
        let (is, what) = (self.text(element, kind), self.text(element + 1, value));
        let empty = |element: usize| self.segment.value(element).is_empty();
        for (missing, other, spec) in [(element, element + 1, kind), (element + 1, element, value)] {
            if empty(missing) && !empty(other) {
                let told = format!("the {} has to be here, as element {other} is", spec.name);
                self.wrong(missing, 1, spec, Fault::Needed, told);
            }
        }
        Some((is?, what?))
    }

    /// The item that pairs of elements name: the kind of name, and the name.
    pub(crate) fn item(&self, case_code: Option<usize>, pairs: impl IntoIterator<Item = usize>) -> ItemIds {
        use crate::x12::specs::{CASE_CODE, ITEM_ID, ITEM_KIND};
        let ids = pairs.into_iter().filter_map(|element| self.pair(element, &ITEM_KIND, &ITEM_ID));
        let ids = ids.map(|(kind, id)| ItemId { kind, id }).collect();
        ItemIds { ids, case_code: case_code.and_then(|element| self.text(element, &CASE_CODE)) }
    }

    /// An item that has to have a name.
    pub(crate) fn must_item(&self, case_code: Option<usize>, pairs: &[usize]) -> ItemIds {
        use crate::x12::specs::ITEM_ID;
        let item = self.item(case_code, pairs.iter().copied());
        let all_empty = |element: usize| self.segment.value(element).is_empty();
        let nothing = case_code.is_none_or(all_empty)
            && pairs.iter().all(|&pair| all_empty(pair) && all_empty(pair + 1));
        if nothing {
            let first = pairs.first().copied().unwrap_or(1);
            self.wrong(first + 1, 1, &ITEM_ID, Fault::Missing, "an item has to be named here".to_owned());
        }
        item
    }

    /// More elements than the segment has are wrong.
    pub(crate) fn at_most(&self, elements: usize) {
        if self.segment.elements.len() > elements {
            let told =
                format!("{} has {elements} elements, here are {}", self.id(), self.segment.elements.len());
            self.found.tell(self.place.element(elements + 1), Fault::TooMany, told);
        }
    }
}

/// A day as `CCYYMMDD`.
pub(crate) fn date_of(text: &str) -> Option<Date> {
    let digits = |from: usize, to: usize| text.get(from..to)?.parse::<i16>().ok();
    if text.len() != 8 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (month, day) = (i8::try_from(digits(4, 6)?).ok()?, i8::try_from(digits(6, 8)?).ok()?);
    Date::new(digits(0, 4)?, month, day).ok()
}

/// A time of day as `HHMM`, `HHMMSS`, `HHMMSSD` or `HHMMSSDD`.
pub(crate) fn time_of(text: &str) -> Option<Time> {
    if !matches!(text.len(), 4 | 6 | 7 | 8) || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = |from: usize| text.get(from..from + 2).map_or(Some(0), |part| part.parse::<i8>().ok());
    let decimals = text.get(6..).unwrap_or("");
    let hundredths = format!("{decimals:0<2}").parse::<i32>().ok()?;
    Time::new(digits(0)?, digits(2)?, digits(4)?, hundredths * 10_000_000).ok()
}

/// A day as `CCYYMMDD`.
pub(crate) fn date_text(date: Date) -> String {
    format!("{:04}{:02}{:02}", date.year(), date.month(), date.day())
}

/// A time of day as `HHMM`; with seconds and hundredths where it has any.
pub(crate) fn time_text(time: Time) -> String {
    let hundredths = time.subsec_nanosecond() / 10_000_000;
    let (hours, minutes, seconds) = (time.hour(), time.minute(), time.second());
    match (seconds, hundredths) {
        (0, 0) => format!("{hours:02}{minutes:02}"),
        (_, 0) => format!("{hours:02}{minutes:02}{seconds:02}"),
        _ => format!("{hours:02}{minutes:02}{seconds:02}{hundredths:02}"),
    }
}
