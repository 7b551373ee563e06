//! What number a listing shall show: a formula over stock (law 7).

use onhand_ledger::model::Publication;
use onhand_ledger::{ItemId, ListingId, Quantity, RuleId, SystemId};

/// What a listing shall show, and how that follows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shown {
    /// A whole number of packs, 0 or more.
    pub quantity: Quantity,
    /// What was available of the item, over the locations that count.
    pub available: Quantity,
    /// The rule that was applied, if any.
    pub rule: Option<RuleId>,
    /// What the rule did, in words; empty where it did nothing.
    pub because: String,
}

/// The rule that speaks of a listing: the most specific one, by listing, then by item, then by system.
pub fn rule_for(
    rules: &[(RuleId, Publication)],
    listing: ListingId,
    item: ItemId,
    system: SystemId,
) -> Option<&(RuleId, Publication)> {
    let rank = |rule: &Publication| {
        let speaks = rule.listing.is_none_or(|named| named == listing)
            && rule.item.is_none_or(|named| named == item)
            && rule.system.is_none_or(|named| named == system);
        speaks.then_some((rule.listing.is_some(), rule.item.is_some(), rule.system.is_some()))
    };
    // Scopes are unique, so that two rules of one rank are the same rule.
    rules
        .iter()
        .filter_map(|rule| Some((rank(&rule.1)?, rule)))
        .max_by_key(|(rank, _)| *rank)
        .map(|(_, rule)| rule)
}

/// What a listing of `multiplier` units shall show of what is available, less what documents that wait have sold of
/// it (`claimed`): stop-at, buffer, percentage, cap, packs. All in units of the item; exact, rounded down where a share
/// does not come out even.
pub fn desired(
    available: Quantity,
    claimed: Quantity,
    multiplier: u32,
    rule: Option<&(RuleId, Publication)>,
) -> Shown {
    let free = available - claimed;
    let mut left = free.max(Quantity::ZERO);
    let mut because = Vec::new();
    if claimed.is_positive() {
        because.push(format!("{claimed} sold by orders that wait in the inbox"));
    }
    if let Some((_, rule)) = rule {
        if rule.stop_at.is_some_and(|stop_at| free <= stop_at) {
            left = Quantity::ZERO;
            because.push(format!("stops at {}", rule.stop_at.unwrap_or_default()));
        }
        if rule.buffer.is_positive() {
            left = (left - rule.buffer).max(Quantity::ZERO);
            because.push(format!("{} kept back", rule.buffer));
        }
        if rule.percentage < 100 {
            left = share(left, rule.percentage);
            because.push(format!("{} % of it", rule.percentage));
        }
        if let Some(cap) = rule.cap.filter(|cap| *cap < left) {
            left = cap;
            because.push(format!("at most {cap}"));
        }
    }
    let pack = i64::from(multiplier.max(1)) * Quantity::ONE.micros();
    let packs = left.micros() / pack;
    if multiplier > 1 {
        because.push(format!("in packs of {multiplier}"));
    }
    Shown {
        quantity: Quantity::units(packs),
        available,
        rule: rule.map(|(id, _)| *id),
        because: because.join(", "),
    }
}

fn share(quantity: Quantity, percentage: u8) -> Quantity {
    let micros = i128::from(quantity.micros()) * i128::from(percentage) / 100;
    Quantity::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(available: i64, multiplier: u32, rule: Publication) -> i64 {
        desired(Quantity::units(available), Quantity::ZERO, multiplier, Some(&(RuleId(1), rule)))
            .quantity
            .whole_units()
    }

    #[test]
    fn rules() {
        let rule = Publication::default;
        let buffer = |units| Publication { buffer: Quantity::units(units), ..rule() };
        assert_eq!(shown(101, 1, buffer(5)), 96);
        assert_eq!(shown(101, 1, Publication { cap: Some(Quantity::units(10)), ..rule() }), 10);
        assert_eq!(shown(101, 1, Publication { percentage: 50, ..rule() }), 50);
        let stop = Publication { stop_at: Some(Quantity::units(3)), ..rule() };
        assert_eq!((shown(3, 1, stop.clone()), shown(4, 1, stop)), (0, 4));
        assert_eq!(shown(101, 6, rule()), 16);
        assert_eq!(shown(101, 6, buffer(5)), 16);
        assert_eq!(shown(101, 1, buffer(200)), 0);
        let waiting = desired(Quantity::units(100), Quantity::units(40), 1, None);
        assert_eq!(waiting.quantity, Quantity::units(60));
    }

    #[test]
    fn the_most_specific_rule_speaks() {
        let rule = Publication::default;
        let (shop, other) = (SystemId(1), SystemId(2));
        let rules = vec![
            (RuleId(1), rule()),
            (RuleId(2), Publication { system: Some(shop), ..rule() }),
            (RuleId(3), Publication { item: Some(ItemId(7)), ..rule() }),
            (RuleId(4), Publication { item: Some(ItemId(7)), system: Some(shop), ..rule() }),
            (RuleId(5), Publication { listing: Some(ListingId(9)), system: Some(shop), ..rule() }),
            (
                RuleId(6),
                Publication {
                    listing: Some(ListingId(9)),
                    item: Some(ItemId(6)),
                    system: Some(shop),
                    ..rule()
                },
            ),
        ];
        let speaks = |listing, item, system| {
            rule_for(&rules, ListingId(listing), ItemId(item), system).map(|(id, _)| id.0)
        };
        assert_eq!(speaks(9, 7, shop), Some(5), "the sixth is of another item");
        assert_eq!(speaks(9, 6, shop), Some(6));
        assert_eq!(speaks(8, 7, shop), Some(4));
        assert_eq!(speaks(8, 7, other), Some(3));
        assert_eq!(speaks(8, 6, shop), Some(2));
        assert_eq!(speaks(8, 6, other), Some(1));
    }
}
