//! Fuzzing of the parsers, on the stable compiler: inputs are mutated from good ones, and kept where what is said of them
//! is new. What came of an input stands in for coverage: a parser that says precisely what is wrong shows where it was.
//!
//! Everything of a round follows from its seed and the inputs in `inputs/`, so that a round that died is run again, input
//! by input. It is no part of what is shipped.

mod mutate;
pub mod targets;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

pub use mutate::Random;
use targets::Target;

/// How many inputs a round tries.
pub const ROUND: u64 = 20_000;
/// The longest input.
const LONGEST: usize = 4_096;

/// The inputs that a target begins with, and those that it failed on once.
pub fn inputs(target: Target) -> std::io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("inputs").join(target.name());
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    paths.sort();
    paths.into_iter().map(|path| Ok((path.clone(), std::fs::read(path)?))).collect()
}

/// What a round came to.
#[derive(Debug, Default)]
pub struct Round {
    /// Kinds of outcomes seen.
    pub outcomes: BTreeSet<String>,
    /// An input that a target panicked on, or said something false of; and what it said.
    pub failed: Option<(Vec<u8>, String)>,
}

/// Tries mutated inputs. `before` is told each input before it is tried.
pub fn round(target: Target, seed: u64, mut before: impl FnMut(&[u8])) -> std::io::Result<Round> {
    let mut random = Random::new(seed);
    let mut corpus = targets::seeds(target);
    corpus.extend(inputs(target)?.into_iter().map(|(_, input)| input));
    let mut round = Round::default();
    for _ in 0..ROUND {
        let mut input = mutate::mutate(&corpus, target.words(), &mut random);
        input.truncate(LONGEST);
        before(&input);
        match catch_unwind(AssertUnwindSafe(|| target.run(&input))) {
            Ok(outcome) => {
                if round.outcomes.insert(kind(&outcome)) {
                    corpus.push(input);
                }
            }
            Err(panic) => {
                round.failed = Some((input, said(&*panic)));
                return Ok(round);
            }
        }
    }
    Ok(round)
}

fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked").to_owned()
}

/// An outcome without what differs from input to input: numbers, and whatever is quoted.
fn kind(outcome: &str) -> String {
    let mut kind = String::new();
    let mut quoted = false;
    for letter in outcome.chars().take(2_000) {
        match letter {
            '`' | '"' => {
                quoted = !quoted;
                kind.push(letter);
            }
            _ if quoted => {}
            _ if letter.is_ascii_digit() => {
                if !kind.ends_with('0') {
                    kind.push('0');
                }
            }
            _ => kind.push(letter),
        }
    }
    kind
}
