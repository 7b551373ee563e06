//! What a parser failed on once it does not fail on again; and a round finds nothing new.

use onhand_fuzz::targets::Target;
use onhand_fuzz::{inputs, round};

#[test]
fn whatever_was_found_once_stays_mended() {
    for target in Target::ALL {
        for (path, input) in inputs(target).unwrap() {
            let outcome = std::panic::catch_unwind(|| target.run(&input));
            assert!(outcome.is_ok(), "{}", path.display());
        }
    }
}

#[test]
fn a_round_of_each_finds_nothing_and_sees_many_outcomes() {
    for target in Target::ALL {
        let round = round(target, 1, |_| {}).unwrap();
        assert!(round.failed.is_none(), "{target:?}: {:?}", round.failed);
        assert!(round.outcomes.len() > 20, "{target:?}: {} kinds of outcomes", round.outcomes.len());
    }
}
