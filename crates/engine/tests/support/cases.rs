//! How many cases a property is tried on.

use proptest::prelude::ProptestConfig;

/// So many cases, made smaller in at most so many steps. `PROPTEST_CASES` and `PROPTEST_MAX_SHRINK_ITERS` say otherwise.
pub fn config(cases: u32, max_shrink_iters: u32) -> ProptestConfig {
    let usual = ProptestConfig::default();
    let cases = if std::env::var("PROPTEST_CASES").is_ok() { usual.cases } else { cases };
    let is_told = std::env::var("PROPTEST_MAX_SHRINK_ITERS").is_ok();
    let max_shrink_iters = if is_told { usual.max_shrink_iters } else { max_shrink_iters };
    ProptestConfig { cases, failure_persistence: None, max_shrink_iters, ..usual }
}
