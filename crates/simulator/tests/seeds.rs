//! Stories of many seeds, as `onhand simulate` plays them.

use onhand_simulator::causes::Causes;
use onhand_simulator::run::play;
use onhand_simulator::seeds::{Progress, seeds};
use onhand_simulator::story::Story;

#[test]
fn a_seed_is_one_story_bit_for_bit() {
    for seed in 0..20 {
        let (once, again) = (play(&Story::of(seed), false), play(&Story::of(seed), false));
        assert_eq!(once.digest, again.digest, "seed {seed}");
        assert!(!once.digest.is_empty());
    }
}

/// So many stories are played in a full test run; `cargo xtask test --quick` says fewer.
const SEEDS: u64 = 2_000;

#[test]
fn simulated_seeds_break_no_law_and_tell_no_cause_wrongly() {
    let said = std::env::var("ONHAND_SEEDS").ok();
    let many = said.map_or(SEEDS, |said| said.parse().expect("ONHAND_SEEDS is a number"));
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let mut told = Vec::new();
    let progress = seeds(many, threads, Progress::default(), &mut |_, failures| {
        told.extend(failures.iter().map(|failure| format!("seed {}:\n{}", failure.seed, failure.told)));
        Ok(())
    })
    .unwrap();
    let report = progress.report;
    assert_eq!((report.seeds, report.violations), (many, 0), "{:?}\n{}", progress.failed, told.join("\n"));
    let Causes { right, wrong, unsure } = report.causes;
    assert_eq!((progress.failed, wrong), (Vec::new(), 0), "{}", told.join("\n"));
    if many >= SEEDS {
        assert!(right * 1_000 >= (right + wrong + unsure) * 990, "{:?}", report.causes);
        assert!(report.faults.len() >= 20, "{:?}", report.faults);
    }
}
