//! `onhand system`: connected systems, and connecting one step by step.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, BufRead as _};

use serde_json::{Value, json};

use super::{counted, print};
use crate::cli::{Choice, Giver, System};
use crate::link::{Link, segment};
use crate::output::say;

pub(super) async fn run(link: &Link, asked: System, json: bool) -> anyhow::Result<()> {
    match asked {
        System::List => list(link, json).await,
        System::Add { kind, name, url, username, secret, location, locations, role, settings } => {
            let name = name.unwrap_or_else(|| kind.clone());
            let places =
                |(remote, location): (String, String)| json!({ "remote": remote, "location": location });
            let locations: Option<Vec<Value>> =
                (!locations.is_empty()).then(|| locations.into_iter().map(places).collect());
            let body = json!({
                "name": name, "kind": kind, "url": url, "username": username, "secret": secret,
                "location": location, "locations": locations, "role": role,
                "settings": named(settings)
            });
            add(link, &name, &body, json).await
        }
        System::Connect { kind, name, url, username, secret, role, settings } => {
            let name = name.unwrap_or_else(|| kind.clone());
            let body = json!({
                "name": name, "kind": kind, "url": url, "username": username, "secret": secret, "role": role,
                "settings": named(settings)
            });
            connect(link, &name, &body).await
        }
        System::Discover { name } => {
            let found = link.post(&at(&name, "/discover")?, &json!({})).await?;
            Ok(print(json, &found, |found| say(discovered(&name, found)))?)
        }
        System::DryRun { name, first } => {
            let done = link.post(&at(&name, "/dry-run")?, &json!({ "first": first })).await?;
            Ok(print(json, &done, |done| rehearsed(&name, done))?)
        }
        System::Answer { discrepancy, choice } => {
            let choice = if choice == Choice::Adopt { "adopt" } else { "set_back" };
            super::modes::answer(link, discrepancy, choice, json).await
        }
        System::Orders { name, from } => {
            let gets_orders = if from == Giver::Onhand { "from_onhand" } else { "by_itself" };
            link.post(&at(&name, "/orders")?, &json!({ "gets_orders": gets_orders })).await?;
            let system = link.get(&at(&name, "")?).await?;
            Ok(print(json, &system, |_| match from {
                Giver::Onhand => {
                    say(format!("{name} is sent the orders that are allocated where it is master."))
                }
                Giver::Itself => say(format!("{name} gets its orders by itself; nothing is sent to it.")),
            })?)
        }
        System::Recount { name, items, location, reason } => {
            let mut asked = Vec::new();
            for sku in items {
                let body = json!({ "sku": sku, "location": location, "reason": reason });
                asked.push((sku, link.post(&at(&name, "/recounts")?, &body).await?));
            }
            let made: Vec<&Value> = asked.iter().map(|(_, made)| made).collect();
            Ok(print(json, &json!({ "data": made }), |_| {
                asked.iter().try_for_each(|(sku, made)| {
                    say(format!(
                        "{name} is asked to count {sku} at {location}: see onhand inbox show {}",
                        made["id"]
                    ))
                })
            })?)
        }
        System::Set(asked) => super::modes::set(link, asked, json).await,
        System::Watch { name } => stage(link, &name, "watching", json).await,
        System::Live { name } => stage(link, &name, "live", json).await,
    }
}

/// Settings by name; nothing where there are none.
fn named(settings: Vec<(String, String)>) -> Option<BTreeMap<String, String>> {
    Some(settings.into_iter().collect()).filter(|named: &BTreeMap<_, _>| !named.is_empty())
}

fn at(name: &str, step: &str) -> anyhow::Result<String> {
    Ok(format!("/v1/systems/{}{step}", segment(name)?))
}

pub(super) fn number(value: &Value, field: &str) -> usize {
    value[field].as_u64().and_then(|number| usize::try_from(number).ok()).unwrap_or(0)
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value[field].as_str().unwrap_or("")
}

fn rows<'v>(value: &'v Value, field: &str) -> impl Iterator<Item = &'v Value> {
    value[field].as_array().into_iter().flatten()
}

async fn add(link: &Link, name: &str, body: &Value, json: bool) -> anyhow::Result<()> {
    let added = link.post("/v1/systems", body).await?;
    print(json, &added, |added| {
        let (listings, matched) = (counted(number(added, "listings"), "listing"), number(added, "matched"));
        say(format!("{name}: {listings} found, {matched} matched by SKU"))?;
        for unmatched in rows(added, "unmatched") {
            say(format!("  not matched: {}", unmatched.as_str().unwrap_or_default()))?;
        }
        if let Link::Local { .. } = link {
            say("It is kept equal while `onhand serve` runs.")?;
        }
        Ok(())
    })?;
    Ok(())
}

async fn list(link: &Link, json: bool) -> anyhow::Result<()> {
    let systems = link.get("/v1/systems").await?;
    print(json, &systems, |systems| {
        if rows(systems, "data").next().is_none() {
            say(super::NONE_CONNECTED)?;
        }
        rows(systems, "data").try_for_each(|system| {
            let (in_step, listings) = (&system["in_step"], &system["listings"]);
            let (sign, name, kind) = (text(system, "sign"), text(system, "name"), text(system, "kind"));
            let state = text(system, "state").replace('_', " ");
            let role = system["role"].as_str().map_or(String::new(), |role| format!(" ({role})"));
            let mode = text(&system["mode"], "name");
            say(format!("{sign} {name}  {kind}{role}  {state}  {mode}  {in_step} of {listings} in step"))?;
            match text(system, "state") {
                "live" => Ok(()),
                _ => say(format!("    {}", text(system, "explanation"))),
            }
        })
    })?;
    Ok(())
}

async fn stage(link: &Link, name: &str, stage: &str, json: bool) -> anyhow::Result<()> {
    link.post(&at(name, "/stage")?, &json!({ "stage": stage })).await?;
    let system = link.get(&at(name, "")?).await?;
    Ok(print(json, &system, |system| say(text(system, "explanation")))?)
}

fn discovered(name: &str, found: &Value) -> String {
    let mut told = format!(
        "{name} has {}, {} mapped, {} waiting",
        counted(number(found, "listings"), "listing"),
        number(found, "mapped"),
        number(found, "waiting")
    );
    for renamed in rows(found, "renamed") {
        let _ = write!(told, "\n  renamed: {} is {} now", text(renamed, "from"), text(renamed, "to"));
    }
    for gone in rows(found, "gone") {
        let _ = write!(told, "\n  gone: {}", gone.as_str().unwrap_or_default());
    }
    told
}

fn rehearsed(name: &str, done: &Value) -> io::Result<()> {
    let (compared, changes, zeros) =
        (number(done, "compared"), number(done, "changes"), number(done, "zeros"));
    say(format!(
        "Of {} of {name}, {changes} would change, {zeros} of them to zero.",
        counted(compared, "number")
    ))?;
    for change in rows(done, "first") {
        let (sku, from, to) = (text(change, "sku"), &change["from"], &change["to"]);
        let because = match text(change, "because") {
            "" => String::new(),
            because => format!("  ({because})"),
        };
        say(format!("  {sku}  {from} → {to}{because}"))?;
    }
    match changes - rows(done, "first").count().min(changes) {
        0 => Ok(()),
        more => say(format!("  and {more} more")),
    }
}

/// What a person answers; `usual` where that is nothing, or there is nobody.
fn asked(question: &str, usual: &str) -> anyhow::Result<String> {
    say(format!("{question} [{usual}]"))?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    let answer = answer.trim();
    Ok(if answer.is_empty() { usual.to_owned() } else { answer.to_owned() })
}

/// One decision a step. What was decided is kept: run again, it goes on.
async fn connect(link: &Link, name: &str, credentials: &Value) -> anyhow::Result<()> {
    link.post("/v1/connect", credentials).await?;
    say(format!("1. {name} lets us in."))?;
    let found = link.post(&at(name, "/discover")?, &json!({})).await?;
    say(format!("2. {}.", discovered(name, &found)))?;
    locations(link, name).await?;
    matches(link, name).await?;
    opening(link, name).await?;
    let done = link.post(&at(name, "/dry-run")?, &json!({ "first": 20 })).await?;
    say("6. A dry run. Nothing is changed.")?;
    rehearsed(name, &done)?;
    loop {
        let next = asked(
            "Watch it (read and compare, send nothing), go live, or stop here? watch/live/stop",
            "watch",
        )?;
        match next.as_str() {
            "stop" => return Ok(say(format!("Go on with `onhand system watch {name}` or `live {name}`."))?),
            "watch" => return stage(link, name, "watching", false).await,
            "live" => return stage(link, name, "live", false).await,
            other => say(format!("`{other}` is none of these."))?,
        }
    }
}

async fn locations(link: &Link, name: &str) -> anyhow::Result<()> {
    let system = link.get(&at(name, "")?).await?;
    let ours = link.get("/v1/locations").await?;
    let codes: Vec<&str> = rows(&ours, "data").map(|location| text(location, "code")).collect();
    say(format!("3. Its stock locations. Ours: {}; `-` is none.", codes.join(", ")))?;
    let mut chosen = Vec::new();
    for place in rows(&system, "locations") {
        let same = codes.iter().find(|code| code.eq_ignore_ascii_case(text(place, "name")));
        let known = place["location"].as_str().or(same.copied()).or(codes.first().copied()).unwrap_or("-");
        let question = format!("Which of ours is {} ({})?", text(place, "name"), text(place, "remote"));
        let answer = asked(&question, known)?;
        if answer != "-" {
            chosen.push(json!({ "remote": place["remote"], "location": answer }));
        }
    }
    link.post(&at(name, "/locations")?, &json!({ "locations": chosen })).await?;
    Ok(())
}

async fn matches(link: &Link, name: &str) -> anyhow::Result<()> {
    let path = at(name, "/matches")?;
    let done = link.post(&path, &json!({ "action": "link" })).await?;
    let (linked, mut waiting) = (number(&done, "done"), number(&done, "waiting"));
    say(format!("4. {} linked by SKU or barcode, {waiting} waiting.", counted(linked, "listing")))?;
    if waiting > 0 {
        for one in rows(&link.get(&path).await?, "data").take(20) {
            let (id, shown, sku) = (text(one, "remote_id"), text(one, "name"), text(one, "remote_sku"));
            match one["sku"].as_str() {
                Some(ours) => say(format!("  {id}: {shown} ({sku}) looks like {ours}"))?,
                None => say(format!("  {id}: {shown} ({sku})"))?,
            }
        }
    }
    while waiting > 0 {
        let question = "What of those that wait? twins (link those that look alike), make (items of them), ignore, leave";
        let body = match asked(question, "leave")?.as_str() {
            "leave" => break,
            "twins" => json!({ "action": "link", "by": ["near_twin"] }),
            action @ ("make" | "ignore") => json!({ "action": action }),
            other => {
                say(format!("`{other}` is none of these."))?;
                continue;
            }
        };
        let done = link.post(&path, &body).await?;
        waiting = number(&done, "waiting");
        say(format!("{} done, {waiting} waiting.", number(&done, "done")))?;
        for reason in rows(&done, "reasons").take(10) {
            say(format!("  left: {}", reason.as_str().unwrap_or_default()))?;
        }
    }
    Ok(())
}

async fn opening(link: &Link, name: &str) -> anyhow::Result<()> {
    let system = link.get(&at(name, "")?).await?;
    say("5. Opening stock: once for each of our locations.")?;
    for place in rows(&system, "locations") {
        let Some(ours) = place["location"].as_str() else { continue };
        if let Some(source) = place["opening"]["source"].as_str() {
            say(format!("  {ours}: taken from {source}."))?;
            continue;
        }
        let question = format!("Take {ours}'s stock from what {name} shows now? yes/no");
        if asked(&question, "no")? == "yes" {
            match link.post(&at(name, "/opening")?, &json!({ "location": ours })).await {
                Ok(taken) => say(format!("  {ours}: {} counted.", counted(number(&taken, "items"), "item")))?,
                Err(error) => say(format!("  {ours}: {error}"))?,
            }
        }
    }
    Ok(())
}
