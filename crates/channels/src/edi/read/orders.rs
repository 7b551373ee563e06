//! What a customer orders: 850.

use jiff::civil::Time;
use onhand_edi::Place;
use onhand_edi::x12::PurchaseOrder;
use onhand_ledger::Quantity;
use serde_json::json;

use super::Reader;
use crate::{Raw, RemoteOrder, RemoteOrderLine};

impl Reader<'_> {
    pub(super) fn purchase_order(&mut self, place: &Place, order: &PurchaseOrder) {
        let placed_at = self.edi.settings.instant(order.placed_on, Time::midnight());
        let at = placed_at.map_or(self.written_at, |at| at.min(self.written_at));
        let mut lines = Vec::new();
        for (index, line) in order.lines.iter().enumerate() {
            let listing = self.listing(&line.item);
            let quantity = match self.edi.settings.pieces(line.quantity, line.unit.as_deref()) {
                Ok(quantity) => quantity,
                // An order is taken as a whole.
                Err(reason) => {
                    self.refuse(
                        place,
                        format!("order {} is not taken: `{listing}`: {reason}", order.reference),
                    );
                    return;
                }
            };
            lines.push(RemoteOrderLine {
                line: line.line.clone().unwrap_or_else(|| (index + 1).to_string()),
                listing,
                quantity,
                shipped: Quantity::ZERO,
                returned: Quantity::ZERO,
                withheld: Quantity::ZERO,
                places: Vec::new(),
            });
        }
        let number = u64::try_from(self.orders.len() + 1).unwrap_or(u64::MAX);
        let order = RemoteOrder {
            document: order.reference.clone(),
            // Only original orders are read, so that there is one version.
            version: 1,
            placed_at: at,
            updated_at: at,
            moved_at: at,
            history: false,
            cancelled: false,
            lines,
            raw: recipient(order),
        };
        self.orders.push((number, order));
    }
}

/// Whom an order is for, as whoever ships it is told.
fn recipient(order: &PurchaseOrder) -> Option<Raw> {
    let party = order.recipient()?;
    let recipient = json!({
        "name": party.name,
        "address": party.address,
        "city": party.city,
        "region": party.region,
        "postal_code": party.postal_code,
        "country": party.country,
    });
    Some(Raw::from(json!({ "recipient": recipient }).to_string()))
}
