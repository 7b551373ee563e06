//! What a person says of a partner, as text by name; `docs/edi.md` has the table.

use std::collections::BTreeMap;

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use onhand_edi::edifact::Directory;
use onhand_ledger::{Instant, Quantity};

use crate::files::settings::{Exchanging, Out, not_one_of, seconds};

/// An acknowledgment should have come after so long, in seconds: a day.
const ACKNOWLEDGED_WITHIN: i64 = 86_400;

/// What is spoken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Standard {
    /// ANSI ASC X12, of a release: `004010`.
    X12(String),
    /// UN/EDIFACT, of a directory.
    Edifact(Directory),
}

/// Who somebody is in an envelope.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Named {
    /// Whose id it is; empty in EDIFACT where nobody says.
    pub qualifier: String,
    pub id: String,
    /// In GS, where it is another there.
    pub group: Option<String>,
}

impl Named {
    /// What it is called in GS.
    pub fn group(&self) -> &str {
        self.group.as_deref().unwrap_or(&self.id)
    }
}

/// All of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Settings {
    pub exchanging: Exchanging,
    /// Are they told numbers?
    pub tells_stock: bool,
    pub standard: Standard,
    pub us: Named,
    pub them: Named,
    /// Is all of it a test?
    pub is_test: bool,
    /// What single pieces are counted in.
    pub unit: String,
    /// How many pieces other units are.
    pub units: BTreeMap<String, i64>,
    /// By which kind of name our SKUs go.
    pub item: String,
    /// Where their clock stands.
    pub time_zone: TimeZone,
    /// May what became of a document be told in several parts?
    pub in_parts: bool,
    /// So long an acknowledgment may take, in seconds; none: none is expected.
    pub acknowledged_within: Option<i64>,
    /// The first control number that is given.
    pub control_from: u32,
}

/// Those of EDI alone.
const NAMES: [&str; 16] = [
    "standard",
    "version",
    "our_id",
    "our_qualifier",
    "our_group_id",
    "their_id",
    "their_qualifier",
    "their_group_id",
    "usage",
    "unit",
    "units.CODE",
    "item",
    "time_zone",
    "in_parts",
    "acknowledged_within_seconds",
    "control_from",
];

impl Settings {
    /// Reads them.
    ///
    /// # Errors
    /// The first that is not as it must be, and what would be right.
    pub fn parse(told: &BTreeMap<String, String>) -> Result<Self, String> {
        let is_edifact = match told.get("standard").map(String::as_str) {
            None | Some("x12") => false,
            Some("edifact") => true,
            Some(other) => return Err(not_one_of("standard", other, "`x12` or `edifact`")),
        };
        let text = |name: &str, usual: &str| told.get(name).map_or(usual, String::as_str).to_owned();
        let named = |whose: &str| Named {
            qualifier: text(&format!("{whose}_qualifier"), if is_edifact { "" } else { "ZZ" }),
            id: text(&format!("{whose}_id"), ""),
            group: told.get(&format!("{whose}_group_id")).cloned(),
        };
        let mut settings = Self {
            exchanging: Exchanging::default(),
            tells_stock: false,
            standard: standard(is_edifact, told.get("version").map(String::as_str))?,
            us: named("our"),
            them: named("their"),
            is_test: false,
            unit: text("unit", if is_edifact { "PCE" } else { "EA" }),
            units: BTreeMap::new(),
            item: text("item", if is_edifact { "SA" } else { "SK" }),
            time_zone: TimeZone::UTC,
            in_parts: true,
            acknowledged_within: Some(ACKNOWLEDGED_WITHIN),
            control_from: 1,
        };
        for (name, value) in told {
            settings.set(name, value)?;
        }
        settings.check()?;
        Ok(settings)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let one_of = |there: &str| not_one_of(name, value, there);
        match name {
            "out" if value == "none" => self.tells_stock = false,
            "out" => {
                self.exchanging.out = match value {
                    "full" => Out::Full,
                    "changes" => Out::Changes,
                    _ => return Err(one_of("`none`, `full` or `changes`")),
                };
                self.tells_stock = true;
            }
            "usage" => {
                self.is_test = match value {
                    "production" => false,
                    "test" => true,
                    _ => return Err(one_of("`production` or `test`")),
                }
            }
            "time_zone" => {
                self.time_zone =
                    TimeZone::get(value).map_err(|_| one_of("a time zone such as Europe/Berlin"))?;
            }
            "in_parts" => {
                self.in_parts = match value {
                    "true" => true,
                    "false" => false,
                    _ => return Err(one_of("`true` or `false`")),
                }
            }
            "acknowledged_within_seconds" => {
                self.acknowledged_within = Some(seconds(name, value)?.into()).filter(|seconds| *seconds > 0);
            }
            "control_from" => {
                let number = value.parse().ok().filter(|number| (1..=LAST_CONTROL).contains(number));
                self.control_from = number.ok_or_else(|| one_of("a number from 1 to 999999999"))?;
            }
            _ if self.exchanging.set(name, value)? => {}
            _ => match name.strip_prefix("units.") {
                Some(code) if !code.is_empty() => {
                    let pieces = value.parse::<u32>().ok().filter(|pieces| *pieces > 0);
                    let pieces = pieces.ok_or_else(|| one_of("how many pieces it is, such as 12"))?;
                    self.units.insert(code.to_owned(), pieces.into());
                }
                _ if NAMES.contains(&name) && !name.starts_with("units.") => {}
                _ => {
                    let there = [NAMES.as_slice(), &Exchanging::NAMES].concat().join(", ");
                    return Err(format!("there is no setting `{name}`; there are {there}"));
                }
            },
        }
        Ok(())
    }

    /// Is everything as long as an envelope has room for? Widths of X12: ISA05 to ISA08, GS02 and GS03, elements 235, 355 and 67; of EDIFACT:
    /// elements 0004, 0007, 6411, 7143 and 3225.
    fn check(&self) -> Result<(), String> {
        let is_edifact = matches!(self.standard, Standard::Edifact(_));
        let ids = if is_edifact { (1, 35) } else { (2, 15) };
        let codes = if is_edifact { (1, 3) } else { (2, 2) };
        let qualifiers = if is_edifact { (0, 4) } else { (2, 2) };
        let places = if is_edifact { (1, 25) } else { (2, 80) };
        fits("our_id", &self.us.id, ids)?;
        fits("our_qualifier", &self.us.qualifier, qualifiers)?;
        fits("our_group_id", self.us.group(), ids)?;
        fits("their_id", &self.them.id, ids)?;
        fits("their_qualifier", &self.them.qualifier, qualifiers)?;
        fits("their_group_id", self.them.group(), ids)?;
        fits("unit", &self.unit, codes)?;
        fits("item", &self.item, codes)?;
        for place in &self.exchanging.locations {
            fits("locations", place, places)?;
        }
        if (&self.us.qualifier, &self.us.id) == (&self.them.qualifier, &self.them.id) {
            return Err(format!("`our_id` and `their_id` are both `{}`; each has its own", self.us.id));
        }
        Ok(())
    }

    /// A quantity in pieces.
    ///
    /// # Errors
    /// A unit that nobody has told what it is, or more than can be counted.
    pub fn pieces(&self, quantity: Quantity, unit: Option<&str>) -> Result<Quantity, String> {
        let Some(unit) = unit.filter(|unit| *unit != self.unit) else { return Ok(quantity) };
        let Some(pieces) = self.units.get(unit) else {
            return Err(format!(
                "it is counted in `{unit}`, and pieces are `{}` here: the setting `units.{unit}` says how many pieces that is",
                self.unit
            ));
        };
        let micros = quantity.micros().checked_mul(*pieces);
        let micros = micros.ok_or_else(|| format!("{quantity} {unit} are more than can be counted"))?;
        Ok(Quantity::from_micros(micros))
    }

    /// What their clock shows at an instant, to the minute.
    pub fn local(&self, at: Instant) -> (Date, Time) {
        let at = jiff::Timestamp::from_microsecond(at.micros()).unwrap_or_default();
        let shown = at.to_zoned(self.time_zone.clone());
        let minute = Time::new(shown.hour(), shown.minute(), 0, 0);
        (shown.date(), minute.unwrap_or_default())
    }

    /// When their clock shows that; none where no calendar has it.
    pub fn instant(&self, date: Date, time: Time) -> Option<Instant> {
        let zoned = date.to_datetime(time).to_zoned(self.time_zone.clone()).ok()?;
        Some(Instant::from_micros(zoned.timestamp().as_microsecond()))
    }
}

/// The last control number there is: nine digits.
pub(super) const LAST_CONTROL: u32 = 999_999_999;

fn standard(is_edifact: bool, version: Option<&str>) -> Result<Standard, String> {
    if is_edifact {
        return match version.unwrap_or("D.96A") {
            "D.96A" => Ok(Standard::Edifact(Directory::D96A)),
            "D.01B" => Ok(Standard::Edifact(Directory::D01B)),
            other => Err(not_one_of("version", other, "`D.96A` or `D.01B` of EDIFACT")),
        };
    }
    let version = version.unwrap_or("004010");
    let release = version.get(..6).unwrap_or_default();
    let is_release =
        release.len() == 6 && release.bytes().all(|byte| byte.is_ascii_digit()) && release >= "004010";
    let is_code = version.len() <= 12 && version.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_release && is_code {
        return Ok(Standard::X12(version.to_owned()));
    }
    Err(not_one_of("version", version, "a release of X12 from `004010` on, such as `005010`"))
}

fn fits(name: &str, value: &str, (least, most): (usize, usize)) -> Result<(), String> {
    let is_plain = value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && value.trim() == value;
    if is_plain && (least..=most).contains(&value.len()) {
        return Ok(());
    }
    if value.is_empty() {
        return Err(format!("the setting `{name}` is missing: say it, as your partner knows it"));
    }
    let length = if least == most { most.to_string() } else { format!("{least} to {most}") };
    Err(not_one_of(name, value, &format!("{length} plain characters, no blank around them")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(told: &[(&str, &str)]) -> Result<Settings, String> {
        let usual = [("our_id", "DEPOSITOR"), ("their_id", "WAREHOUSE")];
        let all = usual.iter().chain(told).filter(|(_, value)| !value.is_empty());
        Settings::parse(&all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn what_cannot_be_is_named_with_what_would_be_right() {
        assert!(Settings::parse(&BTreeMap::new()).unwrap_err().contains("`our_id` is missing"));
        for (name, value, says) in [
            ("their_id", "A-NAME-THAT-IS-TOO-LONG", "2 to 15 plain characters"),
            ("their_id", "DEPOSITOR", "each has its own"),
            ("our_qualifier", "Z", "2 plain characters"),
            ("standard", "x13", "`x12` or `edifact`"),
            ("version", "003040", "from `004010` on"),
            ("usage", "perhaps", "`production` or `test`"),
            ("units.CA", "0", "how many pieces"),
            ("unit", "PCE", "2 plain characters"),
            ("time_zone", "Mars/Base", "a time zone such as"),
            ("control_from", "0", "from 1 to 999999999"),
            ("locations", "1", "2 to 80 plain characters"),
            ("separator", "*", "there is no setting `separator`"),
        ] {
            let problem = parse(&[(name, value)]).unwrap_err();
            assert!(problem.contains(says), "{name}={value}: {problem}");
        }
        let edifact = parse(&[("standard", "edifact"), ("version", "D.01B"), ("locations", "1")]).unwrap();
        assert_eq!((edifact.unit.as_str(), edifact.item.as_str()), ("PCE", "SA"));
        assert_eq!(edifact.standard, Standard::Edifact(Directory::D01B));
    }

    #[test]
    fn other_units_are_counted_in_pieces() {
        let settings = parse(&[("units.CA", "12")]).unwrap();
        let three = Quantity::units(3);
        assert_eq!(settings.pieces(three, Some("EA")), Ok(three));
        assert_eq!(settings.pieces(three, None), Ok(three));
        assert_eq!(settings.pieces(three, Some("CA")), Ok(Quantity::units(36)));
        assert!(settings.pieces(three, Some("PL")).unwrap_err().contains("`units.PL`"));
        assert!(settings.pieces(Quantity::MAX_INPUT, Some("CA")).unwrap_err().contains("more than"));
    }

    #[test]
    fn their_clock_stands_where_they_are() {
        let settings = parse(&[("time_zone", "America/New_York")]).unwrap();
        let at = Instant::parse("2026-11-29T15:04:30Z").unwrap();
        let (date, time) = settings.local(at);
        assert_eq!((date.to_string(), time.to_string()), ("2026-11-29".to_owned(), "10:04:00".to_owned()));
        assert_eq!(settings.instant(date, time), Instant::parse("2026-11-29T15:04:00Z").ok());
    }
}
