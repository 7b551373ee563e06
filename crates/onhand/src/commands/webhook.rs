//! `onhand webhook` and `onhand trigger`: who is sent webhooks, and what became of each.

use std::fmt::Write as _;

use anyhow::bail;
use serde_json::{Value, json};

use super::item::{text, words};
use super::print;
use crate::cli::{Trigger, Webhook};
use crate::link::{Link, encoded, segment};
use crate::output::say;

pub(super) async fn run(link: &Link, asked: Webhook, json: bool) -> anyhow::Result<()> {
    match asked {
        Webhook::Add { name, url, events } => {
            let body = json!({ "name": name, "url": url, "events": events });
            let kept = link.post("/v1/subscriptions", &body).await?;
            print(json, &kept, |kept| {
                say(row(kept))?;
                match kept["secret"].as_str() {
                    Some(secret) => say(format!(
                        "It is signed with this secret, which is shown once: {secret}\n\
                         See that it arrives: onhand trigger stock.changed --to {name}"
                    )),
                    None => say("Its secret stays as it was."),
                }
            })?;
        }
        Webhook::List => {
            let known = link.get("/v1/subscriptions").await?;
            print(json, &known, |known| lines(known, row))?;
        }
        Webhook::Messages { name, limit, fate } => {
            let mut path = format!("{}?limit={}", at(&name, "/messages")?, limit.unwrap_or(50));
            if let Some(fate) = fate {
                let _ = write!(path, "&fate={}", encoded(&fate));
            }
            let known = link.get(&path).await?;
            print(json, &known, |known| lines(known, message))?;
        }
        Webhook::Rotate { name, keep } => {
            let made = link.post(&at(&name, "/rotate-secret")?, &json!({ "keep_seconds": keep })).await?;
            print(json, &made, |made| {
                let (secret, until) = (text(made, "secret"), text(made, "old_secret_until"));
                say(format!(
                    "The new secret, which is shown once: {secret}\nThe one before signs as well until {until}."
                ))
            })?;
        }
        Webhook::Enable { name } => {
            let done = link.post(&at(&name, "/enable")?, &json!({})).await?;
            print(json, &done, |_| say(format!("{name} is sent webhooks again.")))?;
        }
        Webhook::Resend { name, message } => {
            let path = at(&name, &format!("/messages/{}/resend", segment(&message)?))?;
            let done = link.post(&path, &json!({})).await?;
            print(json, &done, |_| say(format!("{message} is sent again.")))?;
        }
        Webhook::Replay { name, since, stock } => {
            let body = json!({ "since": since, "stock": stock });
            let done = link.post(&at(&name, "/replay")?, &body).await?;
            let what = if stock { "The stock of all items" } else { "What was given up" };
            print(json, &done, |_| say(format!("{what} is sent to {name} again.")))?;
        }
        Webhook::Remove { name } => {
            let gone = link.delete(&at(&name, "")?).await?;
            print(json, &gone, |_| say(format!("{name} is sent nothing any more.")))?;
        }
    }
    Ok(())
}

/// Has a test event sent.
pub(super) async fn trigger(link: &Link, asked: &Trigger, json: bool) -> anyhow::Result<()> {
    let known = link.get("/v1/subscriptions").await?;
    let all = known["data"].as_array().into_iter().flatten();
    let is_meant = |one: &&Value| match &asked.to {
        Some(name) => one["name"] == **name,
        None => one["events"].as_array().is_some_and(|events| events.contains(&json!(asked.event))),
    };
    let names: Vec<&str> = all.filter(is_meant).map(|one| text(one, "name")).collect();
    if names.is_empty() {
        match &asked.to {
            Some(name) => bail!("no subscription is called `{name}`; `onhand webhook list` has all"),
            None => bail!(
                "no subscription is sent `{}`; make one with `onhand webhook add`, or run `onhand listen`",
                asked.event
            ),
        }
    }
    let mut sent = Vec::new();
    for name in names {
        sent.push(link.post(&at(name, "/test")?, &json!({ "event": asked.event })).await?);
    }
    print(json, &json!({ "data": sent }), |sent| {
        lines(sent, |one| format!("{} is sent {}", text(one, "name"), text(one, "message")))?;
        match link {
            Link::Local { .. } => say("They go out once `onhand serve` runs."),
            Link::Remote { .. } => Ok(()),
        }
    })?;
    Ok(())
}

fn at(name: &str, what: &str) -> anyhow::Result<String> {
    Ok(format!("/v1/subscriptions/{}{what}", segment(name)?))
}

fn lines(known: &Value, line: impl Fn(&Value) -> String) -> std::io::Result<()> {
    let rows = known["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    if rows.is_empty() {
        say("None.")?;
    }
    rows.iter().try_for_each(|row| say(line(row)))
}

/// A subscription in a line: who, what, and how it goes.
fn row(known: &Value) -> String {
    let (name, to, events) = (text(known, "name"), text(known, "to"), words(&known["events"]));
    let (taken, waiting, given_up) = (&known["taken"], &known["waiting"], &known["given_up"]);
    let mut row =
        format!("{name}  to {to}: {events}\n  {taken} taken, {waiting} waiting, {given_up} given up");
    if let Some(until) = known["old_secret_until"].as_str() {
        let _ = write!(row, "; two secrets sign until {until}");
    }
    match (known["off_at"].as_str(), known["trouble"].as_str()) {
        (Some(at), why) => {
            let _ = write!(row, "\n  OFF since {at}: {}", why.unwrap_or_default());
            let _ = write!(row, "\n  Once that is mended: onhand webhook enable {name}");
        }
        (None, Some(why)) => {
            let since =
                known["failing_since"].as_str().map_or(String::new(), |since| format!(" since {since}"));
            let _ = write!(row, "\n  does not arrive{since}: {why}");
        }
        (None, None) => {}
    }
    row
}

/// A message, and each attempt in a line of its own.
fn message(message: &Value) -> String {
    let (id, event, fate) = (text(message, "id"), text(message, "event"), text(message, "fate"));
    let due = message["due_at"].as_str().map_or(String::new(), |at| format!(", next at {at}"));
    let mut row = format!("{id}  {event}  {fate}{due}  {}", text(message, "body"));
    for attempt in message["attempts"].as_array().into_iter().flatten() {
        let (at, took, said) = (text(attempt, "attempted_at"), &attempt["took_ms"], text(attempt, "said"));
        let answer = attempt["status"].as_u64().map_or("no answer".to_owned(), |status| status.to_string());
        let _ = write!(row, "\n  {at}  {answer} after {took} ms  {said}");
    }
    row
}
