//! Costs in JSON: exact decimals with their currency, never floating point.

use onhand_ledger::{Amount, UnitCost};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::body::only_objects;
use crate::decimal::Decimal;

/// What one unit costs.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct CostInput {
    /// Not negative; at most 6 decimals.
    amount: Decimal,
    /// ISO 4217, such as `EUR`.
    currency: String,
}

impl CostInput {
    pub(crate) fn cost(&self) -> UnitCost {
        UnitCost { amount: Amount::from_micros(self.amount.0.micros()), currency: self.currency.clone() }
    }
}

/// What one unit costs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CostBody {
    amount: Decimal,
    /// ISO 4217.
    currency: String,
}

impl From<&UnitCost> for CostBody {
    fn from(cost: &UnitCost) -> Self {
        let amount = onhand_ledger::Quantity::from_micros(cost.amount.micros());
        Self { amount: amount.into(), currency: cost.currency.clone() }
    }
}

only_objects!(CostInput);
