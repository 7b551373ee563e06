//! `onhand doctor`: what is not set up as it should be, of one system or all.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::print;
use crate::link::{Link, segment};
use crate::output::say;

/// The exit code is 1 where there is an error.
pub(super) async fn run(link: &Link, system: Option<&str>, json: bool) -> anyhow::Result<ExitCode> {
    let names = match system {
        Some(name) => vec![name.to_owned()],
        None => {
            let systems = link.get("/v1/systems").await?;
            let systems = systems["data"].as_array().cloned().unwrap_or_default();
            systems.iter().filter_map(|system| Some(system["name"].as_str()?.to_owned())).collect()
        }
    };
    let mut checked = Vec::new();
    for name in names {
        checked.push(link.get(&format!("/v1/systems/{}/check", segment(&name)?)).await?);
    }
    let owners = match system {
        Some(_) => Value::Null,
        None => link.get("/v1/ownership/recommended").await?,
    };
    let ok = checked.iter().all(|system| system["ok"] == true);
    let warnings: Vec<&Value> = owners["data"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|location| location["warning"].is_string())
        .collect();
    print(json, &json!({ "ok": ok, "systems": checked, "owners": warnings }), |_| {
        let text = |value: &Value, field: &str| value[field].as_str().unwrap_or("").to_owned();
        if checked.is_empty() {
            say(super::NONE_CONNECTED)?;
        }
        for system in &checked {
            let findings = system["findings"].as_array().map(Vec::as_slice).unwrap_or_default();
            if findings.is_empty() {
                say(format!("● {}: all is as it should be.", text(system, "system")))?;
            }
            for finding in findings {
                let sign = match text(finding, "severity").as_str() {
                    "error" => "✕",
                    "warning" => "▲",
                    _ => "·",
                };
                say(format!("{sign} {}", text(finding, "sentence")))?;
                say(format!("    {}", text(finding, "advice")))?;
            }
        }
        warnings.iter().try_for_each(|location| {
            say(format!("▲ {}: {}", text(location, "location"), text(location, "warning")))
        })
    })?;
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
