//! `onhand inbox`: what waits for a person, what could be done about it, singly and for all that is alike.

use serde_json::{Value, json};

use super::item::text;
use super::print;
use crate::cli::Inbox;
use crate::link::{Link, encoded};
use crate::output::say;

pub(crate) async fn run(link: &Link, asked: Inbox, json: bool) -> anyhow::Result<()> {
    match asked {
        Inbox::Groups => groups(link, json).await,
        Inbox::List { cause, system, all } => list(link, cause, system, all, json).await,
        Inbox::Show { id } => show(link, id, json).await,
        Inbox::Apply { id, proposal, sku } => {
            let body = json!({ "proposal": proposal, "sku": sku });
            let done = link.post(&format!("/v1/discrepancies/{id}/apply"), &body).await?;
            print(json, &done, |_| say(format!("Done: {proposal} of {id}.")))?;
            Ok(())
        }
        Inbox::ApplyAll { cause, system, proposal } => {
            apply_all(link, &cause, &system, &proposal, json).await
        }
    }
}

async fn groups(link: &Link, json: bool) -> anyhow::Result<()> {
    let inbox = link.get("/v1/inbox").await?;
    print(json, &inbox, |inbox| {
        let groups = inbox["groups"].as_array().map_or(&[][..], Vec::as_slice);
        if groups.is_empty() {
            say("Nothing waits.")?;
        }
        groups.iter().try_for_each(|group| {
            let (cause, system) = (text(group, "cause"), text(group, "system"));
            say(format!("{} of {cause} from {system}, since {}", group["open"], text(group, "oldest_at")))?;
            say(format!("  {} {}", group["oldest"], text(group, "sentence")))?;
            let proposals = group["proposals"].as_array().into_iter().flatten();
            let names: Vec<&str> = proposals.map(|proposal| text(proposal, "name")).collect();
            say(format!("  could be: {}", names.join(", ")))
        })
    })?;
    Ok(())
}

async fn list(
    link: &Link,
    cause: Option<String>,
    system: Option<String>,
    all: bool,
    json: bool,
) -> anyhow::Result<()> {
    let mut filter = if all { String::new() } else { "&open=true".to_owned() };
    for (name, value) in [("cause", cause), ("system", system)] {
        if let Some(value) = value {
            filter.extend(["&", name, "=", &encoded(&value)]);
        }
    }
    let (mut rows, mut cursor) = (Vec::<Value>::new(), String::new());
    loop {
        let page = link.get(&format!("/v1/discrepancies?limit=100{filter}{cursor}")).await?;
        rows.extend(page["data"].as_array().into_iter().flatten().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    print(json, &json!({ "data": rows }), |_| {
        if rows.is_empty() {
            say("None.")?;
        }
        rows.iter().try_for_each(|row| say(line(row)))
    })?;
    Ok(())
}

/// One line: its id, since when, why and what it says.
fn line(row: &Value) -> String {
    let ended = if row["resolved_at"].is_null() { "" } else { " (ended)" };
    let (cause, sentence) = (text(row, "cause"), text(row, "sentence"));
    format!("{}  {}  {cause}{ended}  {sentence}", row["id"], text(row, "opened_at"))
}

async fn show(link: &Link, id: u64, json: bool) -> anyhow::Result<()> {
    let found = link.get(&format!("/v1/discrepancies/{id}")).await?;
    print(json, &found, |found| {
        say(line(&found["discrepancy"]))?;
        if let Some(evidence) = found["discrepancy"]["evidence"].as_str() {
            say(format!("  told: {evidence}"))?;
        }
        for proposal in found["proposals"].as_array().into_iter().flatten() {
            let sku = if proposal["needs_sku"] == true { " --sku SKU" } else { "" };
            let name = text(proposal, "name");
            say(format!("  onhand inbox apply {id} {name}{sku}  # {}", text(proposal, "sentence")))?;
        }
        for done in found["done"].as_array().into_iter().flatten() {
            let (proposal, actor, at) = (text(done, "proposal"), text(done, "actor"), text(done, "at"));
            say(format!("  {proposal} was done by {actor} at {at} (seq {})", done["seq"]))?;
        }
        super::documents::show_sent(&found["sent"])
    })?;
    Ok(())
}

async fn apply_all(link: &Link, cause: &str, system: &str, proposal: &str, json: bool) -> anyhow::Result<()> {
    let ask = json!({ "cause": cause, "system": system, "proposal": proposal });
    let mut applied = Vec::<Value>::new();
    // What is left of one part is met again in the next, and told once.
    let left = loop {
        let done = link.post("/v1/inbox/apply", &ask).await?;
        let new = done["applied"].as_array().cloned().unwrap_or_default();
        let is_last = new.is_empty() || done["has_more"] == false;
        applied.extend(new);
        if is_last {
            break done["left"].as_array().cloned().unwrap_or_default();
        }
    };
    print(json, &json!({ "applied": applied, "left": left }), |_| {
        say(format!("Done for {}, left {}.", applied.len(), left.len()))?;
        left.iter().try_for_each(|left| say(format!("{}  {}", left["id"], text(&left["problem"], "detail"))))
    })?;
    Ok(())
}
