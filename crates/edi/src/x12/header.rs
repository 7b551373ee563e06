//! ISA, the header that has a fixed width.
//!
//! Sixteen elements of given widths, 106 characters with the character that ends it:
//! <https://pyx12.sourceforge.net/doc/maps/997.seg.html>, <https://docs.rs/x12-types/0.8.2/x12_types/v005010/struct.ISA.html>,
//! <https://cms1500claimbilling.com/?p=142>.

use jiff::civil::{Date, Time};

use super::separators::may_repeat;
use super::{Interchange, Partner, Separators, Usage};
use crate::found::Found;
use crate::problem::{Fault, Place, Unwritable};

/// How wide ISA01 to ISA16 are.
const WIDTHS: [usize; 16] = [2, 10, 2, 10, 2, 15, 2, 15, 6, 4, 1, 5, 9, 1, 1, 1];
/// How long it is, with the character that ends it.
pub(super) const LENGTH: usize = 106;

/// The interchange without its groups; none where its separators cannot be told.
pub(super) fn read(text: &str, place: &mut Place, found: &Found) -> Option<Interchange> {
    let at = place.envelope("ISA");
    let refuse = |told: String| {
        found.tell(at.clone(), Fault::Header, told);
        None
    };
    let Some(header) = text.get(..LENGTH).filter(|header| header.is_ascii()) else {
        return refuse(format!("an interchange begins with ISA and {LENGTH} plain characters"));
    };
    if !header.starts_with("ISA") {
        return refuse("an interchange begins with ISA".to_owned());
    }
    let bytes = header.as_bytes();
    let separator = bytes[3];
    let mut values = Vec::with_capacity(WIDTHS.len());
    let mut from = 3;
    for (index, width) in WIDTHS.iter().enumerate() {
        if bytes[from] != separator {
            let told = format!(
                "it has to be {:?} in front of element {}: each has a fixed width",
                separator as char,
                index + 1
            );
            found.tell(at.element(index + 1), Fault::Header, told);
            return None;
        }
        values.push(&header[from + 1..=from + width]);
        from += width + 1;
    }
    let version = values[11];
    let repetition = may_repeat(version).then(|| first(values[10]));
    let separators = Separators {
        element: separator as char,
        component: first(values[15]),
        repetition,
        segment: bytes[from] as char,
    };
    if let Some(told) = separators.fault(version) {
        return refuse(told);
    }
    place.interchange = Some(values[12].to_owned());
    let at = place.envelope("ISA");
    Some(Interchange {
        separators,
        authorization: partner(&values, 0),
        security: partner(&values, 2),
        sender: partner(&values, 4),
        receiver: partner(&values, 6),
        date: date(values[8], &at, found),
        time: time(values[9], &at, found),
        version: version.to_owned(),
        control: control(values[12], &at, found),
        acknowledge: flag(values[13], 14, ("1", "0"), &at, found),
        usage: if flag(values[14], 15, ("P", "T"), &at, found) { Usage::Production } else { Usage::Test },
        notes: Vec::new(),
        groups: Vec::new(),
    })
}

fn first(text: &str) -> char {
    text.chars().next().unwrap_or(' ')
}

fn partner(values: &[&str], from: usize) -> Partner {
    Partner::new(values[from].trim_end(), values[from + 1].trim_end())
}

fn date(text: &str, at: &Place, found: &Found) -> Date {
    crate::line::date_of(&format!("20{text}")).unwrap_or_else(|| {
        found.tell(at.element(9), Fault::Date, format!("`{text}` is no day such as 261129"));
        Date::constant(2000, 1, 1)
    })
}

fn time(text: &str, at: &Place, found: &Found) -> Time {
    crate::line::time_of(text).unwrap_or_else(|| {
        found.tell(at.element(10), Fault::Time, format!("`{text}` is no time such as 1015"));
        Time::midnight()
    })
}

fn control(text: &str, at: &Place, found: &Found) -> u32 {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().unwrap_or_else(|| {
        found.tell(
            at.element(13),
            Fault::ControlNumber,
            format!("`{text}` is no control number: nine digits"),
        );
        0
    })
}

fn flag(text: &str, element: usize, (yes, no): (&str, &str), at: &Place, found: &Found) -> bool {
    if text != yes && text != no {
        found.tell(at.element(element), Fault::Code, format!("`{text}` is neither {yes} nor {no}"));
    }
    text == yes
}

/// ISA as text, with the character that ends it.
pub(super) fn write(interchange: &Interchange) -> Result<String, Unwritable> {
    let place = Place { interchange: Some(format!("{:09}", interchange.control)), ..Place::default() }
        .envelope("ISA");
    if let Some(told) = interchange.separators.fault(&interchange.version) {
        return Err(Unwritable::new(place, told));
    }
    if !(2000..2100).contains(&interchange.date.year()) {
        return Err(Unwritable::new(
            place.element(9),
            format!("{} is not in this century", interchange.date),
        ));
    }
    if interchange.time.second() != 0 || interchange.time.subsec_nanosecond() != 0 {
        return Err(Unwritable::new(
            place.element(10),
            format!("{} has seconds: it is told to the minute", interchange.time),
        ));
    }
    let values = values(interchange);
    let Separators { element, segment, .. } = interchange.separators;
    let mut text = String::from("ISA");
    for (index, (value, width)) in values.iter().zip(WIDTHS).enumerate() {
        let padded = format!("{value:<width$}");
        let is_exact = matches!(index, 0 | 2 | 4 | 6 | 8..);
        if padded.len() != width
            || !value.is_ascii()
            || value.ends_with(' ')
            || (is_exact && value.len() != width)
        {
            let told = format!(
                "`{value}` does not fit: it has {}{width} plain characters",
                if is_exact { "" } else { "at most " }
            );
            return Err(Unwritable::new(place.element(index + 1), told));
        }
        if index != 10 && index != 15 {
            super::write::check(value, interchange.separators, &place.element(index + 1))?;
        }
        text.push(element);
        text.push_str(&padded);
    }
    text.push(segment);
    Ok(text)
}

fn values(interchange: &Interchange) -> [String; 16] {
    let Interchange { authorization, security, sender, receiver, date, time, separators, .. } = interchange;
    let flag = |is: bool, yes: &str, no: &str| if is { yes.to_owned() } else { no.to_owned() };
    [
        authorization.qualifier.clone(),
        authorization.id.clone(),
        security.qualifier.clone(),
        security.id.clone(),
        sender.qualifier.clone(),
        sender.id.clone(),
        receiver.qualifier.clone(),
        receiver.id.clone(),
        format!("{:02}{:02}{:02}", date.year().rem_euclid(100), date.month(), date.day()),
        format!("{:02}{:02}", time.hour(), time.minute()),
        separators.repetition.unwrap_or('U').to_string(),
        interchange.version.clone(),
        format!("{:09}", interchange.control),
        flag(interchange.acknowledge, "1", "0"),
        flag(interchange.usage == Usage::Production, "P", "T"),
        separators.component.to_string(),
    ]
}
