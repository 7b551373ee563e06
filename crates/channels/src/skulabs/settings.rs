//! What a person says of an account beside its key; `docs/channels/skulabs.md` has the table.

use std::collections::BTreeMap;
use std::time::Duration;

/// A key may be used so often a second (<https://skulabs.mintlify.app/getting-started/rate-limits>).
const PER_SECOND: u32 = 2;
/// What a Premium account may do in an hour (the same page, as of August 2024): the middle one of its plans.
const PER_HOUR: u32 = 4_166;
/// So many calls one look at its orders takes, as a rule.
const LOOK: u32 = 2;

/// All of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Settings {
    /// The manual store that orders are sent to; none: it is sent none.
    pub store: Option<String>,
    /// So many calls a second.
    pub per_second: u32,
    /// So many calls an hour.
    pub per_hour: u32,
}

impl Settings {
    pub fn of(told: &BTreeMap<String, String>) -> Result<Self, String> {
        let mut settings = Self { store: None, per_second: PER_SECOND, per_hour: PER_HOUR };
        for (name, value) in told {
            let number = |most: u32| match value.parse() {
                Ok(number) if (1..=most).contains(&number) => Ok(number),
                _ => Err(format!("the setting `{name}` is `{value}`; it must be a number from 1 to {most}")),
            };
            match name.as_str() {
                "store" => settings.store = Some(value.trim().to_owned()).filter(|id| !id.is_empty()),
                "calls_per_second" => settings.per_second = number(1_000)?,
                "calls_per_hour" => settings.per_hour = number(10_000_000)?,
                _ => {
                    return Err(format!(
                        "there is no setting `{name}`; there are `store`, `calls_per_second` and `calls_per_hour`"
                    ));
                }
            }
        }
        Ok(settings)
    }

    /// How often its orders are looked at by themselves: with half of what the account may do in an hour, and half of what the key may in a second.
    pub fn looks_every(&self) -> Duration {
        // What was sent there is looked for as its own orders are.
        let calls = if self.store.is_some() { LOOK * 2 } else { LOOK };
        let by_hour = Duration::from_hours(1) * calls * 2 / self.per_hour;
        by_hour.max(Duration::from_secs(1) * calls * 2 / self.per_second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_looked_at_as_often_as_a_plan_allows() {
        let of = |per_hour: &str| {
            let told = [("calls_per_hour".to_owned(), per_hour.to_owned())];
            Settings::of(&told.into()).map(|settings| settings.looks_every().as_millis())
        };
        for (per_hour, millis) in [("41", 351_219), ("4166", 3_456), ("12500", 2_000), ("50000", 2_000)] {
            assert_eq!(of(per_hour), Ok(millis), "{per_hour}");
        }
        assert!(of("0").unwrap_err().contains("from 1 to"));
        let odd = [("shop".to_owned(), "1".to_owned())];
        assert!(Settings::of(&odd.into()).unwrap_err().contains("there is no setting `shop`"));
    }
}
