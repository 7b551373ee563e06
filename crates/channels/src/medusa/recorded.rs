//! What a server of version 2.21.2 answered, for tests.

use serde::de::DeserializeOwned;

pub const ITEMS: &str = include_str!("recorded/items.json");
pub const VARIANTS: &str = include_str!("recorded/variants.json");
pub const LEVELS: &str = include_str!("recorded/levels.json");
/// Each with what is reserved for it. What describes the goods is left out.
pub const ORDERS: &str = include_str!("recorded/orders.json");
pub const SET: &str = include_str!("recorded/set.json");

pub fn read<T: DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(text).unwrap()
}
