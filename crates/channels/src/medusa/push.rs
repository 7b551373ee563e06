//! Setting numbers: what is to be bought and what is reserved, together.
//!
//! There is no compare-and-set. Medusa itself reads `stocked_quantity`, adds to it and writes it back when something is fulfilled or comes back
//! (`adjustInventory_` of its inventory module): a number written in between is lost over there, and mended by the next read.

use onhand_ledger::Quantity;

use super::session::Failed;
use super::{Medusa, wire};
use crate::{ChannelError, Push, Pushed, Reading};

/// Where levels are set.
pub(super) const BATCH: &str = "/inventory-items/location-levels/batch";
/// How often one number is written before the next attempt is left to a later push.
const ATTEMPTS: usize = 3;

/// One number to set, with what was read just before.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    push: &'a Push,
    before: &'a Reading,
}

/// What is to be written: what shall be bought, and what is reserved. None where that is below nothing, which it does not take.
fn stocked(wanted: Quantity, reserved: Quantity) -> Option<Quantity> {
    Some(wanted + reserved).filter(|stocked| !stocked.is_negative())
}

/// Why a number is not sent at all.
fn refused(push: &Push) -> Option<String> {
    let Some(before) = &push.before else {
        return Some("it has no such inventory item or stock location any more".to_owned());
    };
    if !before.tracked {
        return Some(
            "it does not count this variant's stock and sells it without end: let it manage inventory there"
                .to_owned(),
        );
    }
    let reserved = before.allocated.unwrap_or_default();
    if stocked(push.quantity, reserved).is_none() {
        return Some(format!(
            "it says that {reserved} of it are reserved, which cannot be: put that right there \
             (https://github.com/medusajs/medusa/issues/12401)"
        ));
    }
    None
}

impl Medusa {
    pub(super) async fn push_all(&self, pushes: &[Push]) -> Result<Vec<Pushed>, ChannelError> {
        let mut results: Vec<Option<Pushed>> =
            pushes.iter().map(|push| refused(push).map(|reason| Pushed::Refused { reason })).collect();
        let mut good = Vec::new();
        for (at, push) in pushes.iter().enumerate() {
            if let (None, Some(before)) = (&results[at], &push.before) {
                good.push((at, Wanted { push, before }));
            }
        }
        let all: Vec<Wanted<'_>> = good.iter().map(|(_, wanted)| *wanted).collect();
        // All of it or nothing; if it refuses, one by one, to know which it is.
        let set = match self.set(&all).await {
            Err(Failed::Refused(_)) if all.len() > 1 => {
                let mut set = Vec::new();
                for one in all {
                    match self.set(&[one]).await {
                        Ok(done) => set.extend(done),
                        Err(failed) => set.push(not_set(failed)?),
                    }
                }
                set
            }
            Ok(set) => set,
            Err(failed) => vec![not_set(failed)?; all.len()],
        };
        for ((at, _), result) in good.iter().zip(set) {
            results[*at] = Some(result);
        }
        let lost = || Pushed::Unknown { reason: "its answer left this one out".to_owned() };
        Ok(results.into_iter().map(|result| result.unwrap_or_else(lost)).collect())
    }

    /// Writes these numbers, and again where more can be bought than was asked for.
    async fn set(&self, all: &[Wanted<'_>]) -> Result<Vec<Pushed>, Failed> {
        let mut reserved: Vec<Quantity> =
            all.iter().map(|one| one.before.allocated.unwrap_or_default()).collect();
        let mut is_new: Vec<bool> = all.iter().map(|one| one.before.on_hand.is_none()).collect();
        let mut left: Vec<usize> = (0..all.len()).collect();
        for _ in 0..ATTEMPTS {
            let mut levels = wire::SetLevels::default();
            for &at in &left {
                let push = all[at].push;
                let Some(stocked) = stocked(push.quantity, reserved[at]) else { continue };
                let level = wire::SetLevel {
                    inventory_item_id: &push.listing,
                    location_id: &push.location,
                    stocked_quantity: wire::Amount(stocked),
                };
                if is_new[at] { &mut levels.create } else { &mut levels.update }.push(level);
            }
            if levels.create.is_empty() && levels.update.is_empty() {
                break;
            }
            let done: wire::SetDone = self.session.change(BATCH, &levels).await?;
            // Lower than asked for: an order came in between, and is right. Higher: one was fulfilled or cancelled in between.
            left.retain(|&at| {
                let push = all[at].push;
                let Some(level) = done.level(&push.listing, &push.location) else { return true };
                reserved[at] = level.reserved_quantity.0;
                is_new[at] = false;
                level.available() > push.quantity
            });
            if left.is_empty() {
                break;
            }
        }
        let result = |at| {
            if left.contains(&at) {
                Pushed::Unknown { reason: "its own orders moved the number at each attempt".to_owned() }
            } else {
                Pushed::Acknowledged
            }
        };
        Ok((0..all.len()).map(result).collect())
    }
}

/// What became of a number that could not be set.
fn not_set(failed: Failed) -> Result<Pushed, ChannelError> {
    match failed {
        // Made or ended by somebody since we looked: look again.
        Failed::Refused(refusal)
            if refusal.kind == wire::NOT_FOUND || refusal.message.contains("already exists") =>
        {
            Ok(Pushed::Unknown { reason: refusal.message })
        }
        Failed::Refused(refusal) => Ok(Pushed::Refused { reason: refusal.message }),
        // Whether it was done is not known: a request that was sent may have been.
        Failed::Lost(reason) | Failed::Other(ChannelError::Unreachable { reason, .. }) => {
            Ok(Pushed::Unknown { reason })
        }
        Failed::Other(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(quantity: i64, before: Option<(i64, bool)>) -> Push {
        let before = before.map(|(reserved, tracked)| Reading {
            listing: "iitem_1".to_owned(),
            location: "sloc_1".to_owned(),
            quantity: Quantity::ZERO,
            on_hand: Some(Quantity::ZERO),
            allocated: Some(Quantity::units(reserved)),
            tracked,
        });
        let (listing, location) = ("iitem_1".to_owned(), "sloc_1".to_owned());
        Push { listing, location, quantity: Quantity::units(quantity), seq: 1, before, expected: None }
    }

    #[test]
    fn what_is_reserved_is_written_on_top_and_what_cannot_be_is_said() {
        assert_eq!(stocked(Quantity::units(96), Quantity::units(3)), Some(Quantity::units(99)));
        for (push, reason) in [
            (push(5, Some((3, true))), None),
            // The counter is wrong, and the number can be set all the same.
            (push(5, Some((-3, true))), None),
            (push(2, Some((-3, true))), Some("it says that -3 of it are reserved")),
            (push(5, Some((0, false))), Some("it does not count")),
            (push(5, None), Some("it has no such inventory item")),
        ] {
            let found = refused(&push);
            assert_eq!(found.is_some(), reason.is_some(), "{push:?}");
            assert!(found.unwrap_or_default().starts_with(reason.unwrap_or_default()));
        }
    }

    #[test]
    fn what_was_made_or_ended_meanwhile_is_read_again() {
        let refusal = |kind: &str, message: &str| {
            Failed::Refused(wire::Refusal { kind: kind.to_owned(), message: message.to_owned() })
        };
        let is_unknown = |failed| matches!(not_set(failed), Ok(Pushed::Unknown { .. }));
        assert!(is_unknown(refusal("not_found", "Item iitem_x is not stocked at location sloc_x")));
        assert!(is_unknown(refusal(
            "invalid_data",
            "Inventory level with inventory_item_id: i, location_id: s, already exists."
        )));
        assert!(is_unknown(Failed::Lost("it did not answer".to_owned())));
        assert!(!is_unknown(refusal("invalid_data", "Invalid request: Value for field")));
    }
}
