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

    type Told = (&'static str, Option<i64>, i64);

    /// Which goes first, of what is told by its name, what it shows and what it should.
    fn order(told: &[Told]) -> Vec<&'static str> {
        let difference = |(key, shows, desired): &Told| Difference {
            key: *key,
            shows: shows.map(Quantity::units),
            desired: Quantity::units(*desired),
        };
        let mut all: Vec<_> = told.iter().map(difference).collect();
        danger_first(&mut all);
        all.iter().map(|difference| difference.key).collect()
    }

    #[test]
    fn falling_to_zero_then_falling_then_rising() {
        let told = [("A", Some(1), 50), ("B", None, 4), ("C", Some(50), 3), ("D", Some(1), 0)];
        assert_eq!(order(&told), ["D", "C", "B", "A"]);
    }

    #[test]
    fn the_larger_change_of_its_kind_goes_first_however_large_the_numbers() {
        for told in [
            [("A", Some(90), 91), ("B", Some(5), 7)],
            [("A", Some(100), 99), ("B", Some(5), 3)],
            [("A", Some(1), 0), ("B", Some(2), 0)],
        ] {
            assert_eq!(order(&told), ["B", "A"], "{told:?}");
        }
    }
}
