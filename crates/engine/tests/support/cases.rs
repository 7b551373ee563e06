//! How many cases a property is tried on.

use proptest::prelude::ProptestConfig;

/// So many cases, made smaller in at most so many steps. `PROPTEST_CASES` raises the number for whoever looks harder.
pub fn config(cases: u32, max_shrink_iters: u32) -> ProptestConfig {
    let usual = ProptestConfig::default();
    let cases = if std::env::var("PROPTEST_CASES").is_ok() { usual.cases } else { cases };
    ProptestConfig { cases, failure_persistence: None, max_shrink_iters, ..usual }
}
