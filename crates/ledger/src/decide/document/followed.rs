//! What a master tells of what it was sent, beside orders: each delivery is a document of its own, told once.

use crate::SystemId;
use crate::command::{FollowedContent, FollowedOf, ReceiptContent, ReceiptLine};
use crate::key::StockState;
use crate::model::Tracking;

use super::super::tx::{Stop, Tx};
use super::super::{returns, supply, transfer};
use super::Names;
use super::arrivals::apply_arrival;
use super::departures::apply_departure;
use super::receipts::apply_receipt;
use super::returned::apply_returned;
use super::shipments::Applied;

/// What it is about must be known; the document waits where it is not.
pub(super) fn must_be_known(tx: &Tx<'_>, of: FollowedOf) -> Result<(), Stop> {
    match of {
        FollowedOf::Purchase(id) => supply::load(tx, id).map(drop),
        FollowedOf::Arrival(id) | FollowedOf::Dispatch(id) => transfer::load(tx, id).map(drop),
        FollowedOf::Return(id) => returns::load(tx, id).map(drop),
    }
}

pub(super) fn apply_followed(
    tx: &mut Tx<'_>,
    system: SystemId,
    content: &FollowedContent,
    names: &Names,
) -> Result<Applied, Stop> {
    let mut lines = Vec::new();
    for (line, (item, _)) in content.lines.iter().zip(&names.items) {
        let is_piece = tx.item(*item)?.tracking == Tracking::Serials;
        let (lot, serials) = match &line.lot {
            Some(piece) if is_piece => (None, Some(vec![piece.clone()])),
            lot => (lot.clone(), None),
        };
        let (item, quantity, expires) = (line.item.clone(), line.quantity, line.expires);
        lines.push(ReceiptLine { item, quantity, unit_cost: None, lot, expires, serials });
    }
    let into = content.lines.iter().map(|line| line.into.unwrap_or(StockState::Available));
    let into: Vec<StockState> = into.collect();
    let receipt = ReceiptContent {
        purchase: None,
        transfer: None,
        location: content.location.clone(),
        occurred_at: content.occurred_at,
        lines,
    };
    match content.of {
        FollowedOf::Purchase(id) => apply_receipt(tx, system, Some(id), &receipt, names, &into),
        FollowedOf::Arrival(id) => {
            apply_arrival(tx, system, id, &receipt, names, None, &mut Vec::new(), &into)
        }
        FollowedOf::Dispatch(id) => apply_departure(tx, system, id, content, names),
        FollowedOf::Return(id) => apply_returned(tx, system, id, content, names),
    }
}
