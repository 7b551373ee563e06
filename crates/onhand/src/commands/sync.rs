//! `onhand sync`: a system kept equal now, with how far it has come.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use serde_json::json;

use super::print;
use crate::link::{Link, segment};
use crate::output::say;

/// How often it is asked how far it has come.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A server that keeps systems equal takes it up within a second or two.
const TAKEN_UP_WITHIN: Duration = Duration::from_secs(30);

/// Waits until it is done. The exit code is 1 where it failed.
pub(super) async fn run(link: &Link, system: &str, full: bool, json: bool) -> anyhow::Result<ExitCode> {
    let address = format!("/v1/systems/{}/sync", segment(system)?);
    let mut known = link.post(&address, &json!({ "full": full })).await?;
    let (mut waited, mut told) = (Duration::ZERO, String::new());
    loop {
        let step = known["step"].as_str().unwrap_or_default();
        if step == "waiting" && known["because"].is_null() && waited > TAKEN_UP_WITHIN {
            bail!(
                "no worker takes it up: is there an `onhand serve` of this database that keeps systems equal?"
            );
        }
        let explanation = known["explanation"].as_str().unwrap_or_default();
        let is_over = matches!(step, "done" | "failed");
        if !json && explanation != told {
            say(explanation)?;
            explanation.clone_into(&mut told);
        }
        if is_over {
            let code = if step == "done" { ExitCode::SUCCESS } else { ExitCode::FAILURE };
            if json {
                print(true, &known, |_| Ok(()))?;
            }
            return Ok(code);
        }
        tokio::time::sleep(LOOK_EVERY).await;
        waited += LOOK_EVERY;
        known = link.get(&address).await?;
    }
}
