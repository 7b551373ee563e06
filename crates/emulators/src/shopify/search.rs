//! What of the search syntax for orders there is (<https://shopify.dev/docs/api/usage/search-syntax>). What is not is refused: a real
//! shop leaves out what it does not understand, and tells more than was asked for.

use jiff::Timestamp;

use super::state::Order;

/// Which orders are meant.
#[derive(Default)]
pub(super) struct Orders {
    open: bool,
    updated: Option<(bool, i64)>,
}

pub(super) fn orders(query: &str) -> Result<Orders, String> {
    let mut found = Orders::default();
    for term in query.split(" AND ").flat_map(str::split_whitespace) {
        match term.split_once(':') {
            Some(("status", "open")) => found.open = true,
            Some(("updated_at", value)) => {
                let (or_equal, value) = match (value.strip_prefix(">="), value.strip_prefix('>')) {
                    (Some(value), _) => (true, value),
                    (None, Some(value)) => (false, value),
                    (None, None) => return Err(format!("updated_at is not searched for by `{value}` here")),
                };
                let at: Timestamp =
                    value.trim_matches('\'').parse().map_err(|_| format!("{value} is no time"))?;
                found.updated = Some((or_equal, at.as_second()));
            }
            _ => return Err(format!("orders are not searched for by `{term}` here")),
        }
    }
    Ok(found)
}

impl Orders {
    pub fn has(&self, order: &Order) -> bool {
        let second = order.updated_at.div_euclid(1_000_000);
        let is_after = self.updated.is_none_or(|(or_equal, at)| second > at || (or_equal && second == at));
        is_after && (!self.open || order.is_open())
    }
}
