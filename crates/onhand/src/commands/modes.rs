//! `onhand system set` and `onhand push`: how systems are kept equal, and the switch that stops all pushing.

use serde_json::{Value, json};

use super::item::{all, text};
use super::print;
use crate::cli::{Mode, Push};
use crate::link::{Link, segment};
use crate::output::say;

/// Says how a system is kept equal.
pub(crate) async fn set(link: &Link, asked: Mode, json: bool) -> anyhow::Result<()> {
    let Mode { name, direction, debounce_ms, batch, time_zone, full, policy, hold_zeros, hold_share } = asked;
    let batch = batch.map(|cron| {
        let time_zone = time_zone.unwrap_or_else(|| "UTC".to_owned());
        json!({ "cron": cron, "time_zone": time_zone, "full": full })
    });
    let zeros = hold_zeros.zip(hold_share).map(|(number, share)| json!({ "number": number, "share": share }));
    let mut body = json!({
        "direction": direction.map(crate::cli::Direction::name), "debounce_ms": debounce_ms, "batch": batch,
        "policy": policy.map(crate::cli::Policy::name), "hold_zeros": zeros
    });
    body.as_object_mut().into_iter().for_each(|members| members.retain(|_, value| !value.is_null()));
    let answer = link.post(&format!("/v1/systems/{}/mode", segment(&name)?), &body).await?;
    if json {
        return Ok(say(answer)?);
    }
    let systems = all(link, "/v1/systems").await?;
    let found = systems.iter().find(|system| text(system, "name") == name);
    say(format!("{name}: {}", found.map_or("", |system| text(&system["mode"], "name"))))?;
    Ok(())
}

/// Stops all pushing, lets it go on, or says whether it is stopped.
pub(crate) async fn push(link: &Link, asked: Push, json: bool) -> anyhow::Result<()> {
    let (what, why) = match asked {
        Push::Stop { why } => ("stop", why),
        Push::Resume { why } => ("resume", why),
        Push::Show => ("", None),
        Push::Approve { discrepancy } => return answer(link, discrepancy, "approve", json).await,
        Push::Reject { discrepancy } => return answer(link, discrepancy, "reject", json).await,
    };
    if !what.is_empty() {
        let body = why.map_or_else(|| json!({}), |why| json!({ "note": why }));
        link.post(&format!("/v1/pushing/{what}"), &body).await?;
    }
    let pushing = link.get("/v1/pushing").await?;
    print(json, &pushing, |pushing| say(shown(pushing)))?;
    Ok(())
}

/// Answers a discrepancy that is a question.
pub(crate) async fn answer(link: &Link, discrepancy: u64, choice: &str, json: bool) -> anyhow::Result<()> {
    let path = format!("/v1/discrepancies/{discrepancy}/resolve");
    let answer = link.post(&path, &json!({ "choice": choice })).await?;
    print(json, &answer, |_| {
        say(format!("Discrepancy {discrepancy} is answered: {}.", choice.replace('_', " ")))
    })?;
    Ok(())
}

fn shown(pushing: &Value) -> String {
    if pushing["stopped"] != true {
        return "Systems are kept equal: what differs is pushed.".to_owned();
    }
    let (by, since) = (text(pushing, "by"), text(pushing, "since"));
    let why = pushing["note"].as_str().map(|note| format!(": {note}")).unwrap_or_default();
    format!("All pushing is stopped since {since}, by {by}{why}. `onhand push resume` lets it go on.")
}
