//! `onhand location`: what locations there are, what they are a part of, and which groups they are in.

use anyhow::bail;
use serde_json::{Value, json};

use super::item::{all, text, words};
use super::print;
use crate::cli::{Location, LocationFields};
use crate::link::Link;
use crate::output::say;

pub(crate) async fn run(link: &Link, asked: Location, json: bool) -> anyhow::Result<()> {
    match asked {
        Location::List => list(link, json).await,
        Location::Add { code, fields } => put(link, &code, fields, false, json).await,
        Location::Set { code, fields } => put(link, &code, fields, true, json).await,
    }
}

/// One line for a location: code, name where it has one, rank, and what is not usual of it.
fn row(location: &Value) -> String {
    let (code, name) = (text(location, "code"), text(location, "name"));
    let named = if name == code { String::new() } else { format!("  {name}") };
    let mut row = format!("{code}{named}  rank {}", location["rank"]);
    if location["sellable"] == false {
        row += "  not sellable";
    }
    for (what, told) in [
        ("in", text(location, "parent").to_owned()),
        ("time zone", text(location, "time_zone").to_owned()),
        ("groups", words(&location["groups"])),
    ] {
        if !told.is_empty() {
            row.extend(["  ", what, " ", &told]);
        }
    }
    row
}

async fn list(link: &Link, json: bool) -> anyhow::Result<()> {
    let locations = all(link, "/v1/locations").await?;
    print(json, &json!({ "data": locations }), |_| {
        if locations.is_empty() {
            say("None.")?;
        }
        locations.iter().try_for_each(|location| say(row(location)))
    })?;
    Ok(())
}

/// Makes the location, or changes it: a code that is mistyped does not make one of the other.
async fn put(
    link: &Link,
    code: &str,
    fields: LocationFields,
    is_there: bool,
    json: bool,
) -> anyhow::Result<()> {
    let known = find(link, code).await?.is_some();
    if known != is_there {
        if known {
            bail!("there is a location `{code}`; `onhand location set` changes it");
        }
        bail!("there is no location `{code}`; `onhand location add` makes one");
    }
    let LocationFields { name, sellable, rank, parent, time_zone, groups, no_groups } = fields;
    let groups = (no_groups || !groups.is_empty()).then_some(groups);
    let mut body = json!({
        "code": code, "name": name, "sellable": sellable, "rank": rank, "parent": parent, "time_zone": time_zone,
        "groups": groups
    });
    body.as_object_mut().into_iter().for_each(|members| members.retain(|_, value| !value.is_null()));
    let answer = link.post("/v1/locations", &body).await?;
    if json {
        return Ok(say(answer)?);
    }
    if let Some(location) = find(link, code).await? {
        say(row(&location))?;
    }
    Ok(())
}

async fn find(link: &Link, code: &str) -> anyhow::Result<Option<Value>> {
    Ok(all(link, "/v1/locations").await?.into_iter().find(|location| text(location, "code") == code))
}
