//! What to push next: danger first.

use onhand_ledger::Quantity;

/// A listing that shows something else than it should.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference<K> {
    /// Which.
    pub key: K,
    /// What it shows, as far as we know; none where nothing was ever read.
    pub shows: Option<Quantity>,
    /// What it should show.
    pub desired: Quantity,
}

/// How dangerous a difference is: the lesser goes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Danger(u8, i64);

/// How dangerous it is that a listing shows something else than it should; see [`danger_first`].
pub fn danger(shows: Option<Quantity>, desired: Quantity) -> Danger {
    let class = match shows {
        _ if desired.is_zero() => 0,
        Some(shows) if desired > shows => 2,
        _ => 1,
    };
    Danger(class, -shows.map_or(0, |shows| (desired.micros() - shows.micros()).abs()))
}

/// Sorts differences so that the most dangerous goes first: falling to zero, then falling (what was never read may
/// be), then rising; the larger change first.
pub fn danger_first<K: Ord>(differences: &mut [Difference<K>]) {
    differences.sort_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| a.key.cmp(&b.key)));
}

fn rank<K>(difference: &Difference<K>) -> Danger {
    danger(difference.shows, difference.desired)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn falling_to_zero_then_falling_then_rising() {
        let difference = |key, shows, desired| Difference {
            key,
            shows: Some(Quantity::units(shows)),
            desired: Quantity::units(desired),
        };
        let mut all = vec![difference("Z", 1, 50), difference("Y", 5, 3), difference("X", 10, 0)];
        danger_first(&mut all);
        assert_eq!(all.iter().map(|difference| difference.key).collect::<Vec<_>>(), ["X", "Y", "Z"]);
    }
}
