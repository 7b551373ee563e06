//! Stories of many seeds, short of those of `onhand simulate`.

use onhand_simulator::run::play;
use onhand_simulator::story::Story;

#[test]
fn a_seed_is_one_story_bit_for_bit() {
    for seed in 0..20 {
        let (once, again) = (play(&Story::of(seed), false), play(&Story::of(seed), false));
        assert_eq!(once.digest, again.digest, "seed {seed}");
        assert!(!once.digest.is_empty());
    }
}

#[test]
fn simulated_seeds_break_no_law() {
    for seed in 0..40 {
        let outcome = play(&Story::of(seed), false);
        assert!(outcome.violations.is_empty(), "seed {seed}: {:#?}", outcome.violations);
    }
}
