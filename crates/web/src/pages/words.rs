//! How numbers and times are written for people.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use onhand_ledger::{Instant, Quantity};

/// 1,204 and −3, with a real minus sign.
pub(super) fn number(quantity: Quantity) -> String {
    grouped(&quantity.to_string())
}

/// +1 and −3: a change; a dash where nothing changed.
pub(super) fn change(quantity: Quantity) -> String {
    if quantity > Quantity::ZERO { format!("+{}", number(quantity)) } else { number(quantity) }
}

/// 1,204.
pub(super) fn count(number: usize) -> String {
    grouped(&number.to_string())
}

fn grouped(text: &str) -> String {
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |rest| ("−", rest));
    let (whole, decimals) =
        digits.split_once('.').map_or((digits, ""), |(whole, decimals)| (whole, decimals));
    let mut out = sign.to_owned();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if !decimals.is_empty() {
        out.push('.');
        out.push_str(decimals);
    }
    out
}

/// So many, and the thing in its number: `1 item`, `3 items`.
pub(super) fn many(number: usize, thing: &str) -> String {
    format!("{} {thing}{}", count(number), if number == 1 { "" } else { "s" })
}

/// A time as it is read, and as it is.
pub(super) struct Time {
    /// `14:02`, `yesterday 14:02`, then the date.
    pub short: String,
    /// RFC 3339, to the second.
    pub exact: String,
}

impl Time {
    /// An instant, as it is read at another.
    pub fn of(at: Instant, now: Instant) -> Self {
        let zoned = |at: Instant| {
            Timestamp::from_microsecond(at.micros()).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(TimeZone::UTC)
        };
        let (then, today) = (zoned(at), zoned(now).date());
        let yesterday = today.yesterday().unwrap_or(today);
        let short = if then.date() == today {
            then.strftime("%H:%M").to_string()
        } else if then.date() == yesterday {
            then.strftime("yesterday %H:%M").to_string()
        } else {
            then.strftime("%Y-%m-%d %H:%M").to_string()
        };
        Self { short, exact: then.strftime("%Y-%m-%dT%H:%M:%SZ").to_string() }
    }
}

/// 1 minute, 60 minutes.
pub(super) fn minutes(minutes: i64) -> String {
    if minutes == 1 { "1 minute".to_owned() } else { format!("{minutes} minutes") }
}

/// < 0.1 s, 0.8 s, 12 s, 4 min, 3 h.
pub(super) fn lasting(millis: u32) -> String {
    match millis {
        0..100 => "< 0.1 s".to_owned(),
        100..10_000 => format!("{}.{} s", millis / 1_000, millis % 1_000 / 100),
        10_000..120_000 => format!("{} s", millis / 1_000),
        120_000..7_200_000 => format!("{} min", millis / 60_000),
        _ => format!("{} h", millis / 3_600_000),
    }
}

/// A name of a state or cause as people read it: `quality_control` is `quality control`.
pub(super) fn plain(name: &str) -> String {
    name.replace('_', " ")
}

/// What is told in small letters as a sentence by itself.
pub(super) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase).into_iter().flatten();
    let end = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    first.chain(letters).chain(end.chars()).collect()
}

/// A word as a class of the style: `on its way` is `on-its-way`.
pub(super) fn class(word: &str) -> String {
    word.replace(' ', "-")
}

/// A name as a part of an address.
pub(crate) fn part(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ => {
                use std::fmt::Write as _;
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_people_read_them() {
        let micros = Quantity::from_micros;
        assert_eq!(number(Quantity::units(1_204)), "1,204");
        assert_eq!(number(Quantity::units(-3)), "−3");
        assert_eq!(number(micros(-1_234_567_500_000)), "−1,234,567.5");
        assert_eq!((change(Quantity::units(2)), change(Quantity::ZERO)), ("+2".to_owned(), "0".to_owned()));
        assert_eq!((many(1, "item"), many(1_000, "item")), ("1 item".to_owned(), "1,000 items".to_owned()));
    }

    #[test]
    fn times_are_of_today_of_yesterday_or_of_a_day() {
        let now = Instant::parse("2026-11-24T09:00:00Z").unwrap();
        let short = |text: &str| Time::of(Instant::parse(text).unwrap(), now).short;
        assert_eq!(short("2026-11-24T08:59:30Z"), "08:59");
        assert_eq!(short("2026-11-23T14:02:00Z"), "yesterday 14:02");
        assert_eq!(short("2025-11-23T14:02:00Z"), "2025-11-23 14:02");
        assert_eq!(lasting(99), "< 0.1 s");
        assert_eq!(
            (lasting(840), lasting(12_500), lasting(240_000)),
            ("0.8 s".into(), "12 s".into(), "4 min".into())
        );
    }

    #[test]
    fn what_is_told_is_a_sentence() {
        assert_eq!(sentence("there is none"), "There is none.");
        assert_eq!((sentence("Why?"), sentence("")), ("Why?".to_owned(), ".".to_owned()));
    }

    #[test]
    fn a_name_is_one_part_of_an_address_whatever_is_in_it() {
        assert_eq!(part("A/B ?#é"), "A%2FB%20%3F%23%C3%A9");
    }
}
