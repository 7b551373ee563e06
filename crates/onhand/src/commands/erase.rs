//! `onhand erase`: what is kept of a person goes, and stock stays.

use anyhow::Context as _;
use axum::http::Method;
use onhand_ledger::TenantId;
use serde_json::{Value, json};

use super::item::text;
use super::{counted, print};
use crate::cli::Erase;
use crate::link::Link;
use crate::output::say;

pub(super) async fn run(link: &Link, asked: &Erase, json: bool) -> anyhow::Result<()> {
    let body = match (&asked.email, &asked.order) {
        (Some(email), _) => json!({ "email": email, "dry_run": asked.dry_run }),
        (None, order) => {
            let named = order.as_deref().and_then(|order| order.split_once('/'));
            let (system, document) = named.context("right is such as `--order Vendure/T4Z9`")?;
            json!({ "system": system, "document": document, "dry_run": asked.dry_run })
        }
    };
    let report = link.call_for(TenantId(asked.tenant), Method::POST, "/v1/erase", Some(&body)).await?;
    print(json, &report, tell)?;
    Ok(())
}

fn tell(report: &Value) -> std::io::Result<()> {
    let erased = report["erased"].as_array().map(Vec::as_slice).unwrap_or_default();
    for one in erased {
        let told = one["told_at"].as_str().map_or(String::new(), |at| format!(", told {at}"));
        say(format!("{}/{}{told}", text(one, "system"), text(one, "document")))?;
    }
    let verb = if report["dry_run"] == true { "would be erased" } else { "erased" };
    say(format!("{} {verb}.", counted(erased.len(), "raw document")))?;
    if let Some(locked) = report["locked"].as_u64().filter(|locked| *locked > 0) {
        let locked = counted(usize::try_from(locked).unwrap_or(usize::MAX), "document");
        say(format!(
            "{locked} do not open: give back the key that sealed them (onhand seal), and erase again."
        ))?;
    }
    say(text(report, "not_reached"))
}
