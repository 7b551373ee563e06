//! What WooCommerce says and is told, as JSON, and what of it is ours.
//!
//! Its own words: <https://developer.woocommerce.com/docs/apis/rest-api/v3/products/>,
//! <https://developer.woocommerce.com/docs/apis/rest-api/v3/product-variations/>,
//! <https://developer.woocommerce.com/docs/apis/rest-api/v3/orders/>, <https://developer.woocommerce.com/docs/apis/rest-api/v3/refunds/>.

mod orders;
mod stock;

pub(super) use orders::*;
pub(super) use stock::*;

use onhand_ledger::{Instant, Precision, Quantity};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// Why it refuses.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Refusal {
    pub code: String,
    pub message: String,
    #[serde(skip)]
    pub status: u16,
}

/// A pair of a plugin's, or of its own behind an underscore.
#[derive(Clone, Deserialize)]
pub(super) struct Meta {
    pub key: String,
    #[serde(default)]
    pub value: Value,
}

/// Something of ours to be kept with an order.
#[derive(Serialize)]
pub(super) struct KeptMeta<'a, T> {
    pub key: &'a str,
    pub value: T,
}

/// A webhook (<https://developer.woocommerce.com/docs/apis/rest-api/v3/webhooks/>).
#[derive(Deserialize)]
pub(super) struct Webhook {
    pub id: u64,
    pub topic: String,
    pub delivery_url: String,
}

/// A webhook as it shall be.
#[derive(Serialize)]
pub(super) struct PutWebhook<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<&'a str>,
    pub status: &'static str,
}

/// A time of its own: UTC, to the second, with nothing that says so.
pub(super) fn instant(text: &str) -> Result<Instant, String> {
    let text = if text.ends_with('Z') { text.to_owned() } else { format!("{text}Z") };
    Instant::parse(&text).map_err(|error| error.to_string())
}

/// The same, as it is asked for: what is after it is of the next second at least.
pub(super) fn written(at: Instant) -> String {
    let whole = Instant::from_micros(at.micros().max(0) / 1_000_000 * 1_000_000);
    whole.to_string().trim_end_matches('Z').to_owned()
}

/// A number, which may be a text, as metadata is; nothing where it is none, or more than can be counted. Sums that PHP makes of decimals
/// come with its noise, as 19.799999999999997: they are rounded to the sixth decimal.
pub(super) fn amount(value: &Value) -> Option<Quantity> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        _ => return None,
    };
    let rounded = || {
        let number: f64 = text.parse().ok().filter(|number: &f64| number.is_finite())?;
        Quantity::parse(&format!("{number:.6}"), Precision::FINEST).ok()
    };
    Quantity::parse(&text, Precision::FINEST).ok().or_else(rounded)
}

/// The quantity of a line: what it sold is in our books, or nothing is.
pub(super) fn line_quantity<'de, D: Deserializer<'de>>(from: D) -> Result<Quantity, D::Error> {
    let value = Value::deserialize(from)?;
    amount(&value).ok_or_else(|| {
        D::Error::custom(format!("the quantity {value} of a line is no number that can be counted"))
    })
}
