//! What Medusa says and is told, as JSON, and what of it is ours.
//!
//! Its own words: <https://docs.medusajs.com/api/admin>. Which fields are told is what `fields` asks for
//! (<https://docs.medusajs.com/api/admin/select-fields-and-relations>); a field that it does not know it leaves out without a word.

mod orders;
mod parcels;
mod stock;

pub(super) use orders::*;
pub(super) use parcels::*;
pub(super) use stock::*;

use onhand_ledger::{Precision, Quantity};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The type of an error about something that is not there
/// (<https://docs.medusajs.com/learn/fundamentals/api-routes/errors>).
pub(super) const NOT_FOUND: &str = "not_found";

/// Why it refuses.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Refusal {
    #[serde(default, rename = "type")]
    pub kind: String,
    pub message: String,
}

/// A quantity: a number of JSON either way; none is nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Amount(pub Quantity);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Some(number) = Option::<serde_json::Number>::deserialize(deserializer)? else {
            return Ok(Self::default());
        };
        Quantity::parse(&number.to_string(), Precision::FINEST).map(Self).map_err(D::Error::custom)
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.fits(Precision::WHOLE) {
            return serializer.serialize_i64(self.0.whole_units());
        }
        #[expect(clippy::cast_precision_loss, reason = "its numbers are those of JavaScript")]
        serializer.serialize_f64(self.0.micros() as f64 / 1e6)
    }
}

/// A list that may be told as nothing, with holes where what it named is gone.
fn rows<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let rows = Option::<Vec<Option<T>>>::deserialize(deserializer)?;
    Ok(rows.unwrap_or_default().into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_numbers() {
        let read = |text: &str| serde_json::from_str::<Amount>(text).map(|amount| amount.0);
        assert_eq!(read("5").unwrap(), Quantity::units(5));
        assert_eq!(read("59.5").unwrap(), Quantity::from_micros(59_500_000));
        assert_eq!(read("-6").unwrap(), Quantity::units(-6));
        assert_eq!(read("null").unwrap(), Quantity::ZERO);
        assert!(read("1e300").is_err() && read("\"5\"").is_err());
        let written = |micros| serde_json::to_string(&Amount(Quantity::from_micros(micros))).unwrap();
        assert_eq!(written(5_000_000), "5");
        assert_eq!(written(59_500_000), "59.5");
    }
}
