//! What is wrong, where, and what would be right.

use std::fmt;

/// Where in an interchange. What is not known, or does not apply, is not there.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Place {
    /// The interchange's control number, or reference.
    pub interchange: Option<String>,
    /// The functional group's control number.
    pub group: Option<String>,
    /// The transaction set's control number, or the message's reference.
    pub set: Option<String>,
    /// Which segment of its transaction set or message, whose header is number 1.
    pub segment: Option<usize>,
    /// The segment's id.
    pub id: Option<String>,
    /// Which element of the segment; the one behind the id is number 1.
    pub element: Option<usize>,
    /// Which component of the element, from 1.
    pub component: Option<usize>,
}

impl Place {
    /// This place's segment of that number and id.
    pub(crate) fn segment(&self, number: usize, id: &str) -> Self {
        Self {
            segment: Some(number),
            id: Some(id.chars().take(8).collect()),
            element: None,
            component: None,
            ..self.clone()
        }
    }

    /// This place's segment of the envelope.
    pub(crate) fn envelope(&self, id: &str) -> Self {
        Self { segment: None, id: Some(id.to_owned()), element: None, component: None, ..self.clone() }
    }

    /// That element of this segment.
    pub(crate) fn element(&self, element: usize) -> Self {
        Self { element: Some(element), component: None, ..self.clone() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        let named = |word: &str, name: &Option<String>| name.as_ref().map(|name| format!("{word} {name}"));
        parts.extend(named("interchange", &self.interchange));
        parts.extend(named("group", &self.group));
        parts.extend(named("set", &self.set));
        match (self.segment, &self.id) {
            (Some(number), Some(id)) => parts.push(format!("segment {number} {id}")),
            (Some(number), None) => parts.push(format!("segment {number}")),
            (None, Some(id)) => parts.push(format!("segment {id}")),
            (None, None) => {}
        }
        parts.extend(self.element.map(|element| format!("element {element}")));
        parts.extend(self.component.map(|component| format!("component {component}")));
        if parts.is_empty() {
            return f.write_str("interchange");
        }
        f.write_str(&parts.join(", "))
    }
}

/// What kind of thing is wrong: what the codes of acknowledgments tell apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Fault {
    /// It does not begin as an interchange does.
    Header,
    /// It is larger than what is taken in.
    TooLarge,
    /// The interchange's syntax, or the release of what is in it, is not read here.
    Version,
    /// That kind of transaction set or message is not read here.
    Kind,
    /// What ends it is not there.
    TrailerMissing,
    /// Header and trailer have different numbers.
    NumbersDiffer,
    /// The trailer counts otherwise.
    Count,
    /// A control number that is none.
    ControlNumber,
    /// A control number that was there before.
    Duplicate,
    /// A segment id that is none.
    SegmentId,
    /// A segment where it does not belong.
    Unexpected,
    /// A segment that has to be there is not.
    SegmentMissing,
    /// An element that has to be there is not.
    Missing,
    /// An element that another one needs is not there.
    Needed,
    /// More elements or components than there may be.
    TooMany,
    /// A value that is too short.
    TooShort,
    /// A value that is too long.
    TooLong,
    /// A character that may not be there.
    Character,
    /// A code that is not one of those known.
    Code,
    /// Not a date.
    Date,
    /// Not a time.
    Time,
    /// Not a number, or not one that can be.
    Number,
}

/// One thing that is wrong.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{place}: {told}")]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What kind of thing.
    pub fault: Fault,
    /// What is wrong, and what would be right.
    pub told: String,
    /// The element's number in the standard's dictionary.
    pub number: Option<u16>,
    /// The value that is wrong, its first 99 characters.
    pub value: Option<String>,
}

impl Problem {
    pub(crate) fn new(place: Place, fault: Fault, told: impl Into<String>) -> Self {
        Self { place, fault, told: told.into(), number: None, value: None }
    }
}

/// Why something is not written.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{place}: {told}")]
pub struct Unwritable {
    /// Where it would have been.
    pub place: Place,
    /// What is wrong, and what would be right.
    pub told: String,
}

impl Unwritable {
    pub(crate) fn new(place: Place, told: impl Into<String>) -> Self {
        Self { place, told: told.into() }
    }
}
