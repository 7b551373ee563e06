//! Plays seeds until one of them fails, and says which: `onhand-simulator SEEDS`. For `cargo xtask planted`; everybody else has
//! `onhand simulate`.

use std::process::ExitCode;

use onhand_simulator::seeds::first_failure;

fn main() -> ExitCode {
    let Some(many) = std::env::args().nth(1).and_then(|many| many.parse().ok()) else {
        eprintln!("say how many seeds: onhand-simulator 2000");
        return ExitCode::from(2);
    };
    // What panics is told as what it is.
    std::panic::set_hook(Box::new(|_| {}));
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let Some((seed, outcome)) = first_failure(many, threads) else {
        println!("none of {many} seeds fails");
        return ExitCode::SUCCESS;
    };
    let wrong = outcome.wrong.iter().map(|told| format!("told wrongly: {told}"));
    let found: Vec<String> = outcome.violations.iter().cloned().chain(wrong).collect();
    println!("{}", serde_json::json!({ "seed": seed, "found": found }));
    ExitCode::FAILURE
}
