//! What the simulator found, each as the shortest story that showed it.

use onhand_channels::Meaning;
use onhand_simulator::run::{Outcome, play};
use onhand_simulator::story::{Listing, Step, Story, System, What};
use onhand_simulator::world::Nature;

/// One item, 20 of it in one place, and one system that lists it once.
fn story(nature: Nature, steps: Vec<(i64, What)>) -> Story {
    let listing = Listing { item: 0, multiplier: 1, shows: 0, mapped: true };
    Story {
        seed: 1,
        stock: vec![vec![20]],
        systems: vec![System { nature, listings: vec![listing], location: 0 }],
        pace: (500, 250, 10_000),
        commit_micros: 0,
        flush_at: 0,
        cache: 0,
        repeats: 0,
        steps: steps.into_iter().map(|(ms, what)| Step { at: ms * 1_000, what }).collect(),
    }
}

fn nature() -> Nature {
    Nature {
        meaning: Meaning::SellableNetOfOwnOrders,
        reads_first: false,
        batch: 10,
        page: 10,
        skew_micros: 0,
        latency_micros: (10_000, 10_000),
    }
}

/// Plays it, and says so often something was told of it.
fn clean(story: &Story) -> Outcome {
    let outcome = play(story, true);
    assert!(outcome.violations.is_empty(), "{:#?}\n{}", outcome.violations, outcome.told.join("\n"));
    assert!(outcome.wrong.is_empty(), "{:#?}\n{}", outcome.wrong, outcome.told.join("\n"));
    outcome
}

fn sale(units: i64) -> What {
    What::Sale { system: 0, lines: vec![(0, units)], delay_ms: 0 }
}

#[test]
fn a_number_that_is_simply_shown_does_not_fall_by_the_systems_own_orders() {
    let shown = Nature { meaning: Meaning::Shown, ..nature() };
    let outcome = clean(&story(shown, vec![(5_000, sale(3))]));
    let told = outcome.told.join("\n");
    assert!(told.contains("s0l0 is set to 17"), "{told}");
    assert_eq!(outcome.causes.right, 0, "nobody changed anything");
}

#[test]
fn a_crash_between_telling_that_a_listing_is_stopped_and_keeping_it_leaves_nothing_in_the_inbox() {
    // It is read at 20 s; wherever in what follows the crash comes, what was told ends by itself.
    for turns in 0..80 {
        let crash = What::Crash { turns, down_ms: 3_000 };
        let vanish = What::Vanish { system: 0, listing: 0, ms: 12_000 };
        clean(&story(nature(), vec![(9_800, vanish), (10_000, crash)]));
    }
}
