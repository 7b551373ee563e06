//! `onhand snapshot`: what outside masters told of their stock, and what becomes of it.

use serde_json::{Value, json};

use super::item::{all, text};
use super::print;
use crate::cli::{Snapshot, Which};
use crate::link::{Link, segment};
use crate::output::say;

pub(crate) async fn run(link: &Link, asked: Snapshot, json: bool) -> anyhow::Result<()> {
    match asked {
        Snapshot::List { system } => list(link, &system, json).await,
        Snapshot::Approve(which) => decide(link, &which, "approve", json).await,
        Snapshot::Reject(which) => decide(link, &which, "reject", json).await,
    }
}

/// One line for a snapshot: how it stands, its name, and why.
fn row(snapshot: &Value) -> String {
    let (state, document) = (text(snapshot, "state"), text(snapshot, "document"));
    format!("{state:<9} {document}  {}", text(snapshot, "explanation"))
}

async fn list(link: &Link, system: &str, json: bool) -> anyhow::Result<()> {
    let snapshots = all(link, &format!("/v1/systems/{}/snapshots", segment(system)?)).await?;
    print(json, &json!({ "data": snapshots }), |_| {
        if snapshots.is_empty() {
            say("None.")?;
        }
        snapshots.iter().try_for_each(|snapshot| say(row(snapshot)))
    })?;
    Ok(())
}

async fn decide(link: &Link, which: &Which, what: &str, json: bool) -> anyhow::Result<()> {
    let (system, document) = (segment(&which.system)?, segment(&which.document)?);
    let path = format!("/v1/systems/{system}/snapshots/{document}/{what}");
    let answer = link.post(&path, &json!({})).await?;
    print(json, &answer, |answer| say(row(answer)))?;
    Ok(())
}
