//! Does the simulator find what it should? Plants bugs, one at a time, and says at which seed each is found.
//!
//! All are woven into one copy of the workspace, which is built once; an environment variable says which of them runs. Each is
//! told here by the text that is right and the one that is not; a test sees to it that the first is still in its file.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde_json::Value;

use crate::mutants::{copy_workspace, write_if_other};
use crate::run::{self, cargo, timed};

#[derive(Args)]
pub struct Planted {
    /// How many seeds are played to find one
    #[arg(long, default_value_t = 2_000)]
    seeds: u64,
    /// Only those whose name has this in it; may be told often
    #[arg(long = "only", value_name = "PART")]
    only: Vec<String>,
}

/// A bug to plant.
struct Bug {
    /// What it is.
    name: &'static str,
    /// Where.
    file: &'static str,
    /// What is there: once.
    right: &'static str,
    /// What is planted in its place. Both are an expression, or statements with their semicolons.
    wrong: &'static str,
}

/// The copy of the workspace.
const FOLDER: &str = "target/planted";
/// Which of them runs, by its number.
const VARIABLE: &str = "ONHAND_PLANTED";
const CHOSEN: &str = "
/// Does this bug run?
pub fn planted(number: u32) -> bool {
    static CHOSEN: std::sync::LazyLock<u32> = std::sync::LazyLock::new(|| {
        std::env::var(\"ONHAND_PLANTED\").ok().and_then(|number| number.parse().ok()).unwrap_or(0)
    });
    *CHOSEN == number
}
";

/// `cargo xtask planted`: plants each, and plays seeds until one fails.
pub fn planted(choice: &Planted) -> Result<ExitCode> {
    let tree = run::root().join(FOLDER).join("tree");
    let woven = woven()?;
    copy_workspace(&tree, |name| woven.contains_key(name))?;
    for (file, text) in woven {
        write_if_other(&tree.join(file), text.as_bytes())?;
    }
    let target = run::root().join(FOLDER).join("target");
    let mut build = cargo(["build", "--package", "onhand-simulator"]);
    timed("build it with all of them", build.current_dir(&tree).env("CARGO_TARGET_DIR", &target))?;
    let program = target.join("debug/onhand-simulator");
    let (_, sound) = play(&program, 0, choice.seeds)?;
    ensure!(sound.is_none(), "with none of them planted, {}", sound.unwrap_or_default());
    println!("none of them planted: none of {} seeds fails", choice.seeds);
    let mut is_any_missed = false;
    for (number, bug) in (1..).zip(BUGS) {
        if !choice.only.is_empty() && !choice.only.iter().any(|part| bug.name.contains(part)) {
            continue;
        }
        match play(&program, number, choice.seeds)? {
            (Some(seed), found) => {
                println!("{number:>2} {}: seed {seed}: {}", bug.name, found.unwrap_or_default())
            }
            (None, _) => {
                is_any_missed = true;
                println!("{number:>2} {}: not found in {} seeds", bug.name, choice.seeds);
            }
        }
    }
    Ok(ExitCode::from(u8::from(is_any_missed)))
}

/// Plays with one of them; the seed that failed, and why.
fn play(program: &Path, number: u32, seeds: u64) -> Result<(Option<u64>, Option<String>)> {
    let mut command = std::process::Command::new(program);
    let output = command.arg(seeds.to_string()).env(VARIABLE, number.to_string()).output();
    let output = output.with_context(|| format!("{} does not run", program.display()))?;
    if output.status.success() {
        return Ok((None, None));
    }
    let told: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("it ended with {}, and said nothing sensible", output.status))?;
    let first = told["found"][0].as_str().unwrap_or_default().chars().take(200).collect();
    Ok((told["seed"].as_u64(), Some(first)))
}

/// The files with all of them in it.
fn woven() -> Result<BTreeMap<&'static str, String>> {
    let mut files = BTreeMap::new();
    for (number, Bug { name, file, right, wrong }) in (1_u32..).zip(BUGS) {
        let text = match files.remove(file) {
            Some(text) => text,
            None => read(file)?,
        };
        let times = text.matches(right).count();
        ensure!(times == 1, "{name}: what it changes is {times} times in {file}: {right}");
        let choice = format!("if onhand_ledger::planted({number}) {{ {wrong} }} else {{ {right} }}");
        files.insert(*file, text.replace(right, &choice));
    }
    let ledger = "crates/ledger/src/lib.rs";
    files.insert(ledger, read(ledger)? + CHOSEN);
    Ok(files)
}

fn read(file: &str) -> Result<String> {
    fs::read_to_string(run::root().join(file)).with_context(|| format!("cannot read {file}"))
}

/// What is planted: at least ten, in `sync` and `engine`.
const BUGS: &[Bug] = &[
    Bug {
        name: "a sign: what was sold over there is added to what it should show",
        file: "crates/sync/src/judge.rs",
        right: "before + sum(&changes[*start..end])",
        wrong: "before - sum(&changes[*start..end])",
    },
    Bug {
        name: "a forgotten wait: a number is judged before the orders up to it are known",
        file: "crates/engine/src/worker/mod.rs",
        right: "if self.read().await? {
                self.next_orders = self.now();
            }",
        wrong: "if self.read().await? {
                    self.status.orders_known_to = Some(self.now());
                    self.judge().await?;
                }",
    },
    Bug {
        name: "a write of ours that arrives late is taken for somebody's change",
        file: "crates/sync/src/judge.rs",
        right: "explained(observation, *lost, known, true)",
        wrong: "None::<usize>",
    },
    Bug {
        name: "what orders that wait have sold is promised once more",
        file: "crates/sync/src/desired.rs",
        right: "stock.available - stock.claimed",
        wrong: "stock.available",
    },
    Bug {
        name: "off by one: it is still sold at the number where it stops",
        file: "crates/sync/src/desired.rs",
        right: "free <= *stop_at",
        wrong: "free < *stop_at",
    },
    Bug {
        name: "a lost wake-up: a movement changes no number",
        file: "crates/engine/src/worker/follow.rs",
        right: "let known = taken.entry(item).or_default();\n                            *known = (*known).max(takes);",
        wrong: "if !matches!(entry, Entry::Movement(_)) {\n    let known = taken.entry(item).or_default();\n    *known = (*known).max(takes);\n}",
    },
    Bug {
        name: "a lost wake-up: what a person has seen to is not sent again",
        file: "crates/engine/src/worker/follow.rs",
        right: "let_go.insert(*discrepancy, known.chosen);",
        wrong: "",
    },
    Bug {
        name: "a stale push: the number is not computed again as the last step",
        file: "crates/engine/src/worker/push.rs",
        right: "// The last step: what should they show now, at the newest entry there is.\n        self.refresh().await?;",
        wrong: "",
    },
    Bug {
        name: "an echo: what was acknowledged is not known when it is read back",
        file: "crates/engine/src/worker/push.rs",
        right: "line.state.acknowledge(push.quantity, at);",
        wrong: "line.state.acknowledged_at = Some(at);",
    },
    Bug {
        name: "a lost acknowledgement is taken for one",
        file: "crates/engine/src/worker/push.rs",
        right: "any_lost = true;",
        wrong: "line.state.acknowledge(push.quantity, at);
                    line.state.changes.clear();
                    line.state.unanswered = None;",
    },
    Bug {
        name: "a crash: what is sent is not kept before it is sent",
        file: "crates/engine/src/worker/push.rs",
        right: "// A crash from here on leaves it known that these may have arrived.\n        self.keep(&chosen).await?;",
        wrong: "",
    },
    Bug {
        name: "the answers to a batch are given to the wrong listings",
        file: "crates/engine/src/worker/push.rs",
        right: "self.called = true;\n                results",
        wrong: "results.into_iter().rev().collect()",
    },
    Bug {
        name: "a doubled event: an order that changes is taken off once more",
        file: "crates/engine/src/worker/orders.rs",
        right: "before.and_then(|body| serde_json::from_str(&body).ok()).unwrap_or_default()",
        wrong: "BTreeMap::new()",
    },
    Bug {
        name: "the cursor moves on before what it stands behind is applied",
        file: "crates/engine/src/worker/orders.rs",
        right: "self.order(order, None).await?;",
        wrong: "self.order(order, Some(&read)).await?;",
    },
    Bug {
        name: "no patience: what is seen once is told, whatever is on its way",
        file: "crates/engine/src/worker/read.rs",
        right: "self.since.plus_micros(patience) <= at",
        wrong: "true",
    },
    Bug {
        name: "a number that was read before a write is judged after it",
        file: "crates/engine/src/worker/read.rs",
        right: "state.acknowledged_at.is_some_and(|at| at >= observation.at)",
        wrong: "false",
    },
    Bug {
        name: "a listing that is back stays stopped",
        file: "crates/engine/src/worker/read.rs",
        right: "matches!(stopped, Some(Stop::Missing | Stop::Untracked))",
        wrong: "false",
    },
    Bug {
        name: "what orders prove of a clock is not learnt",
        file: "crates/engine/src/worker/orders.rs",
        right: "self.learn_clock(&page.orders);",
        wrong: "",
    },
    Bug {
        name: "a batch waits for ever for a number that is left to its system",
        file: "crates/engine/src/worker/timing.rs",
        right: "line.state.stopped.is_none() && !line.is_skipped",
        wrong: "line.state.stopped.is_none()",
    },
    Bug {
        name: "a stale push: what a new rule leads to is told after the number was computed",
        file: "crates/engine/src/worker/follow.rs",
        right: "!self.follow().await?",
        wrong: "self.follow().await?; true",
    },
    Bug {
        name: "an order that a write has overwritten is taken off what it wrote",
        file: "crates/engine/src/worker/push.rs",
        right: "!(reads_first || compares) || !line.state.changes.is_empty()",
        wrong: "false",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_planted_still_has_its_place() {
        assert!(BUGS.len() >= 10);
        assert!(woven().unwrap().len() > 2);
    }
}
