//! `onhand seal`: the keys that secrets are sealed with.

use serde_json::{Value, json};

use super::{counted, print};
use crate::cli::Seal;
use crate::link::Link;
use crate::output::say;

/// A new key, for whoever gives keys to several nodes. Touches no database.
pub(super) fn new(json: bool) -> anyhow::Result<()> {
    let key = onhand_engine::seal::new_key()?;
    Ok(print(json, &json!({ "key": key }), |_| say(key.trim_end()))?)
}

pub(super) async fn run(link: &Link, asked: &Seal, json: bool) -> anyhow::Result<()> {
    match asked {
        Seal::New => new(json),
        Seal::Rotate => {
            let done = link.post("/v1/seal/rotate", &json!({})).await?;
            print(json, &done, |done| {
                let resealed = done["resealed"].as_u64().and_then(|number| usize::try_from(number).ok());
                let key = done["keys"].get(0).and_then(Value::as_str).unwrap_or("");
                say(format!(
                    "{} sealed anew with the key `{key}`.",
                    counted(resealed.unwrap_or(0), "secret")
                ))?;
                say("Keep the older keys as long as you keep backups that were made with them.")
            })?;
            Ok(())
        }
    }
}
