//! `onhand alert`: who is told of troubles, and whether word arrives.

use std::fmt::Write as _;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::item::text;
use super::print;
use crate::cli::{Alert, AlertTarget};
use crate::link::{Link, segment};
use crate::output::say;

pub(super) async fn run(link: &Link, asked: Alert, json: bool) -> anyhow::Result<()> {
    match asked {
        Alert::Add(target) => {
            let kept = link.post("/v1/alerts", &body(*target)?).await?;
            print(json, &kept, |kept| {
                say(row(kept))?;
                say(format!("See that it arrives: onhand alert test {}", text(kept, "name")))
            })?;
        }
        Alert::List => {
            let known = link.get("/v1/alerts").await?;
            print(json, &known, |known| lines(known, row))?;
        }
        Alert::Test { name } => {
            let sent = link.post(&at(&name, "/test")?, &json!({})).await?;
            print(json, &sent, |_| say(format!("{name} was sent something: look there.")))?;
        }
        Alert::Troubles { name } => {
            let known = link.get(&at(&name, "/troubles")?).await?;
            print(json, &known, |known| lines(known, trouble))?;
        }
        Alert::Remove { name } => {
            link.delete(&at(&name, "")?).await?;
            print(json, &json!({ "name": name }), |_| say(format!("{name} is told nothing any more.")))?;
        }
    }
    Ok(())
}

fn at(name: &str, what: &str) -> anyhow::Result<String> {
    Ok(format!("/v1/alerts/{}{what}", segment(name)?))
}

fn lines(known: &Value, line: impl Fn(&Value) -> String) -> std::io::Result<()> {
    let rows = known["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    if rows.is_empty() {
        say("None.")?;
    }
    rows.iter().try_for_each(|row| say(line(row)))
}

fn words(list: &Value) -> String {
    let words = list.as_array().into_iter().flatten().filter_map(Value::as_str);
    words.collect::<Vec<_>>().join(", ")
}

/// A target in a line: whom, how, of what, and what is wrong.
fn row(target: &Value) -> String {
    let (name, way) = (text(target, "name"), text(target, "way"));
    let mut row = format!("{name}  {way} to {}: {}", words(&target["to"]), words(&target["kinds"]));
    if let Some(trouble) = target["trouble"].as_str() {
        let since = target["trouble_since"].as_str().map_or(String::new(), |at| format!(" since {at}"));
        let retry = target["retry_at"].as_str().map_or(String::new(), |at| format!("; tried again at {at}"));
        let _ = write!(row, "\n  does not arrive{since}: {trouble}{retry}");
    }
    row
}

fn trouble(trouble: &Value) -> String {
    let told = trouble["told_at"].as_str().map_or("not told yet".to_owned(), |at| format!("told {at}"));
    format!(
        "{}  ({}; since {}, {told})",
        text(trouble, "sentence"),
        text(trouble, "kind"),
        text(trouble, "since")
    )
}

fn body(target: AlertTarget) -> anyhow::Result<Value> {
    let url = || {
        target.url.clone().context("no address is told: set ONHAND_ALERT_URL to that of the webhook or chat")
    };
    let mut body = json!({
        "name": target.name, "kinds": target.kinds, "silent_seconds": target.silent, "lag_seconds": target.lag,
        "exposure_seconds": target.exposure, "stale_seconds": target.stale, "calm_seconds": target.calm
    });
    if target.webhook {
        body["webhook"] = json!({ "url": url()?, "secret": target.secret });
    } else if target.slack {
        body["slack"] = json!({ "url": url()? });
    } else {
        let (host, port) = server(target.smtp.as_deref().unwrap_or_default())?;
        body["email"] = json!({
            "host": host, "port": port, "security": target.security, "username": target.username,
            "secret": target.secret, "from": target.from, "to": target.email
        });
    }
    Ok(body)
}

/// `HOST` or `HOST:PORT`; an address of sixteen bytes with a port is in brackets.
fn server(text: &str) -> anyhow::Result<(String, Option<u16>)> {
    let is_bare = text.matches(':').count() > 1 && !text.starts_with('[');
    let (host, port) = match text.rsplit_once(':').filter(|(host, _)| !is_bare && !host.is_empty()) {
        Some((host, port)) if !port.ends_with(']') => match port.parse::<u16>() {
            Ok(port) => (host, Some(port)),
            Err(_) => bail!("`{port}` is no port; right is such as `--smtp smtp.example.com:587`"),
        },
        _ => (text, None),
    };
    Ok((host.trim_matches(['[', ']']).to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_may_have_a_port() {
        let read = |text: &str| server(text).map_err(|error| error.to_string());
        assert_eq!(read("smtp.example.com"), Ok(("smtp.example.com".to_owned(), None)));
        assert_eq!(read("smtp.example.com:465"), Ok(("smtp.example.com".to_owned(), Some(465))));
        assert_eq!(read("[::1]:25"), Ok(("::1".to_owned(), Some(25))));
        assert_eq!(read("::1"), Ok(("::1".to_owned(), None)));
        assert!(read("smtp.example.com:mail").unwrap_err().contains("`mail` is no port"));
    }
}
