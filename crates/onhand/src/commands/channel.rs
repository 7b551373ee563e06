//! `onhand channel`: for whoever writes a channel.

use std::process::ExitCode;

use anyhow::ensure;
use onhand_channels::protocol::check::{Came, Check, Checked};
use onhand_engine::{Clock as _, SystemClock};
use serde_json::json;

use super::print;
use crate::cli::{Channel, ChannelCheck};
use crate::connector::http;
use crate::output::say;

/// The exit code is 1 where a rule is not kept.
pub(super) async fn run(asked: &Channel, json: bool) -> anyhow::Result<ExitCode> {
    let Channel::Check(ChannelCheck { url, secret, place_orders }) = asked;
    let is_http = reqwest::Url::parse(url).is_ok_and(|url| ["http", "https"].contains(&url.scheme()));
    ensure!(is_http, "`{url}` is no address; one is such as https://wms.example.com/onhand");
    let checked = Check::new(url, secret, http()?, *place_orders, || SystemClock.now()).run().await;
    let count = |is_it: fn(&Came) -> bool| checked.iter().filter(|checked| is_it(&checked.came)).count();
    let failed = count(|came| matches!(came, Came::Failed(_)));
    let (passed, left_out) =
        (count(|came| *came == Came::Passed), count(|came| matches!(came, Came::LeftOut(_))));
    let told = json!({
        "ok": failed == 0, "passed": passed, "failed": failed, "left_out": left_out, "rules": checked,
    });
    print(json, &told, |_| {
        for Checked { rule, came } in &checked {
            match came {
                Came::Passed => say(format!("● {rule}"))?,
                Came::Failed(why) => say(format!("✕ {rule}: {why}"))?,
                Came::LeftOut(why) => say(format!("· {rule} was not tried: {why}"))?,
            }
        }
        say(format!("{passed} rules are kept, {failed} are not, {left_out} were not tried."))
    })?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
