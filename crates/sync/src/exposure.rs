//! What a listing offers beyond what there is: units that can be oversold right now.
//!
//! Judged for a listing as a whole, over all of its remote locations: stock that is behind several of them is sold once, and so is what
//! orders that wait have sold.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use onhand_ledger::{LocationId, Quantity};

/// The stock behind a number.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Cover {
    /// What can be promised at each of our locations that count.
    pub at: Vec<(LocationId, Quantity)>,
    /// What documents that wait have sold of it: from where they will be served is not known.
    pub claimed: Quantity,
}

impl Cover {
    fn available(&self) -> i64 {
        sum(self.at.iter().map(|(_, quantity)| quantity.micros()))
    }
}

/// What a listing offers at one of its remote locations, in units of the item.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    units: i64,
    cover: &'a Cover,
}

impl<'a> Offer<'a> {
    /// What it shows, each so many units of the item. Nothing where it shows no number, or one that is not ours.
    pub fn new(shows: Option<Quantity>, multiplier: u32, cover: &'a Cover) -> Self {
        let units = shows.unwrap_or_default().micros().saturating_mul(i64::from(multiplier.max(1)));
        Self { units: units.max(0), cover }
    }

    fn beyond(&self, there: i64) -> i64 {
        self.units.saturating_sub(there.max(0)).max(0)
    }
}

/// Of each offer of a listing the units that can be oversold: what it offers beyond what is available there, and what all of them offer
/// beyond what there is in all. What a rule keeps back is there to be sold, so it counts as available.
pub fn exposed(offers: &[Offer<'_>]) -> Vec<Quantity> {
    let mut each: Vec<i64> = offers.iter().map(|offer| offer.beyond(offer.cover.available())).collect();
    // What waits takes its stock once: where it leaves most of what is offered without any.
    let left = |offer: &Offer<'_>| {
        offer.beyond(offer.cover.available().saturating_sub(offer.cover.claimed.micros()))
    };
    let worst =
        (0..offers.len()).max_by_key(|nth| (left(&offers[*nth]).saturating_sub(each[*nth]), Reverse(*nth)));
    if let Some(worst) = worst {
        each[worst] = left(&offers[worst]);
    }
    let mut rest = beyond_all(offers).saturating_sub(sum(each.iter().copied()));
    for (one, offer) in each.iter_mut().zip(offers).rev() {
        let more = rest.min(offer.units - *one).max(0);
        *one += more;
        rest -= more;
    }
    each.into_iter().map(Quantity::from_micros).collect()
}

/// What all offers together are beyond what there is at our locations behind them, each counted once.
fn beyond_all(offers: &[Offer<'_>]) -> i64 {
    let made = || offers.iter().filter(|offer| offer.units > 0);
    let there: BTreeMap<LocationId, i64> = made()
        .flat_map(|offer| &offer.cover.at)
        .map(|(location, quantity)| (*location, quantity.micros()))
        .collect();
    let claimed = made().map(|offer| offer.cover.claimed.micros()).max().unwrap_or_default();
    let free = sum(there.into_values()).saturating_sub(claimed);
    sum(made().map(|offer| offer.units)).saturating_sub(free.max(0)).max(0)
}

fn sum(all: impl Iterator<Item = i64>) -> i64 {
    all.fold(0, i64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONDON: u64 = 1;
    const PARIS: u64 = 2;

    fn there(at: &[(u64, i64)], claimed: i64) -> Cover {
        let at =
            at.iter().map(|(location, units)| (LocationId(*location), Quantity::units(*units))).collect();
        Cover { at, claimed: Quantity::units(claimed) }
    }

    /// Each what it shows, and the stock behind it.
    fn of(multiplier: u32, offers: &[(i64, Cover)]) -> Vec<i64> {
        let offers: Vec<Offer<'_>> = offers
            .iter()
            .map(|(shows, cover)| Offer::new(Some(Quantity::units(*shows)), multiplier, cover))
            .collect();
        exposed(&offers).into_iter().map(Quantity::whole_units).collect()
    }

    #[test]
    fn exposed_is_what_is_offered_beyond_what_is_there() {
        assert_eq!(of(1, &[(5, there(&[(LONDON, 3)], 0))]), [2]);
        assert_eq!(of(6, &[(2, there(&[(LONDON, 10)], 0))]), [2]);
        assert_eq!(of(1, &[(3, there(&[(LONDON, -2)], 0))]), [3]);
        assert_eq!(of(1, &[(3, there(&[(LONDON, 9)], 0))]), [0]);
        assert_eq!(exposed(&[Offer::new(None, 1, &there(&[], 0))]), [Quantity::ZERO]);
        assert_eq!(exposed(&[]), []);
    }

    #[test]
    fn what_waits_has_sold_its_stock_once() {
        let (london, paris) = (there(&[(LONDON, 20)], 18), there(&[(PARIS, 20)], 18));
        assert_eq!(of(1, &[(16, london.clone())]), [14], "2 are left");
        assert_eq!(of(1, &[(16, london.clone()), (0, paris.clone())]), [14, 0]);
        assert_eq!(of(1, &[(16, london), (17, paris)]), [0, 15], "wherever that leaves most without stock");
        let few = |location| there(&[(location, 5)], 10);
        assert_eq!(of(1, &[(5, few(LONDON)), (5, few(PARIS))]), [5, 5], "all of both is sold");
    }

    #[test]
    fn what_lies_behind_several_of_its_locations_is_there_once() {
        let london = there(&[(LONDON, 20)], 0);
        assert_eq!(of(1, &[(20, london.clone()), (20, london.clone())]), [0, 20]);
        assert_eq!(of(6, &[(3, london.clone()), (1, london.clone())]), [0, 4]);
        assert_eq!(of(1, &[(25, london.clone()), (0, london.clone())]), [5, 0]);
        let both = there(&[(LONDON, 20), (PARIS, 10)], 0);
        assert_eq!(of(1, &[(20, london.clone()), (30, both)]), [0, 20]);
        let elsewhere = there(&[(PARIS, 20)], 0);
        assert_eq!(of(1, &[(20, london.clone()), (20, elsewhere.clone())]), [0, 0]);
        assert_eq!(of(1, &[(26, london), (26, elsewhere)]), [6, 6], "each by itself, and added up");
    }

    #[test]
    fn numbers_that_cannot_be_counted_stay_numbers() {
        let most = i64::MAX / 1_000_000;
        let cover = there(&[(LONDON, most), (PARIS, most)], 1);
        assert_eq!(of(u32::MAX, &[(most, cover.clone()), (most, cover)]).len(), 2);
    }
}
