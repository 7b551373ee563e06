//! Quantities in JSON: exact decimals, never floating point.

use std::borrow::Cow;

use onhand_ledger::{Precision, Quantity, QuantityError};
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// A quantity as JSON has it: read from a number or a string by its text, written as a number by its text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decimal(pub Quantity);

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        let text: Cow<'_, str> = if raw.starts_with('"') {
            serde_json::from_str::<String>(raw).map_err(D::Error::custom)?.into()
        } else {
            raw.into()
        };
        Quantity::parse(&text, Precision::FINEST)
            .map(Self)
            .map_err(|error: QuantityError| D::Error::custom(error))
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.0.to_string()).map_err(S::Error::custom)?.serialize(serializer)
    }
}

impl From<Quantity> for Decimal {
    fn from(quantity: Quantity) -> Self {
        Self(quantity)
    }
}

impl PartialSchema for Decimal {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::from_iter([Type::Number, Type::String]))
            .pattern(Some(r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)$"))
            .description(Some(
                "An exact decimal, written as a number; a string is read too. At most 6 decimals, and 10¹² units. \
                 Exponents, such as 1e3, are not read.",
            ))
            .into()
    }
}

impl ToSchema for Decimal {}
