//! `onhand user`: people who sign in at the pages.

use std::io;

use serde_json::{Value, json};

use super::print;
use crate::cli::{SignOn, TwoFactor, User};
use crate::link::{Link, segment};
use crate::output::say;

pub(super) async fn run(link: &Link, asked: &User, json: bool) -> anyhow::Result<()> {
    let amend = async |name: &str, change: Value| {
        link.post(&format!("/v1/users/{}/amend", segment(name)?), &change).await
    };
    let told = match asked {
        User::Add { name, role, rights } => {
            let body = json!({ "name": name, "role": role, "rights": rights });
            return Ok(given(json, &link.post("/v1/users", &body).await?)?);
        }
        User::List => return Ok(list(json, &link.get("/v1/users").await?)?),
        User::Role { name, role } => amend(name, json!({ "role": role })).await?,
        User::Reset { name, no_codes } => {
            if *no_codes {
                amend(name, json!({ "two_factor": false })).await?;
            }
            let path = format!("/v1/users/{}/password", segment(name)?);
            return Ok(given(json, &link.post(&path, &json!({})).await?)?);
        }
        User::Off { name } => amend(name, json!({ "is_off": true })).await?,
        User::On { name } => amend(name, json!({ "is_off": false })).await?,
        User::Remove { name } => {
            let told = link.delete(&format!("/v1/users/{}", segment(name)?)).await?;
            return Ok(print(json, &told, |told| say(format!("{} is removed.", text(told, "name"))))?);
        }
        User::Sessions { name } => {
            let told = link.get(&format!("/v1/users/{}/sessions", segment(name)?)).await?;
            return Ok(print(json, &told, |told| sessions(told, &format!("{name} is signed in nowhere.")))?);
        }
        User::SignOut { name } => {
            let told = link.post(&format!("/v1/users/{}/sign-out", segment(name)?), &json!({})).await?;
            let ended = told["data"].as_array().map_or(0, Vec::len);
            return Ok(print(json, &told, |_| {
                say(format!("{name} is signed out: {ended} sessions ended."))
            })?);
        }
        User::TwoFactor { asked } => return two_factor(link, *asked, json).await,
        User::SignOn { asked } => return sign_on(link, asked, json).await,
    };
    Ok(print(json, &told, |told| say(line(told)))?)
}

async fn two_factor(link: &Link, asked: Option<TwoFactor>, json: bool) -> anyhow::Result<()> {
    let told = match asked {
        None => link.get("/v1/sign-in-policy").await?,
        Some(asked) => {
            let body = json!({ "two_factor": asked == TwoFactor::Everybody });
            link.post("/v1/sign-in-policy", &body).await?
        }
    };
    Ok(print(json, &told, |told| {
        say(if told["two_factor"] == true {
            "A code of their phone is asked of everybody who signs in at the pages, and no API key signs in there."
        } else {
            "A code is asked of whoever set that up: `onhand user two-factor everybody` asks all."
        })
    })?)
}

fn sessions(told: &Value, none: &str) -> io::Result<()> {
    let all = told["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    if all.is_empty() {
        return say(none);
    }
    all.iter().try_for_each(|session| {
        let or = |field: &str| session[field].as_str().unwrap_or("unknown").to_owned();
        let (browser, from, opened, seen) = (or("browser"), or("from"), or("opened_at"), or("seen_at"));
        say(format!("{browser}  from {from}  signed in {opened}  last used {seen}"))
    })
}

async fn sign_on(link: &Link, asked: &SignOn, json: bool) -> anyhow::Result<()> {
    let told = match asked {
        SignOn::Show => link.get("/v1/sign-on").await?,
        SignOn::Forget => link.post("/v1/sign-on/forget", &json!({})).await?,
        SignOn::Set { issuer, client_id, client_secret, address, newcomers } => {
            let body = json!({
                "issuer": issuer, "client_id": client_id, "client_secret": client_secret, "address": address,
                "newcomers": newcomers
            });
            link.post("/v1/sign-on", &body).await?
        }
    };
    Ok(print(json, &told, |told| {
        let Some(issuer) = told["issuer"].as_str() else {
            return say("Nobody signs in by a provider of identities: onhand user sign-on set --help");
        };
        say(format!("People sign in by {issuer} too, as `{}`.", text(told, "client_id")))?;
        say(format!("It has to lead back to {}", text(told, "comes_back_to")))?;
        say(match told["newcomers"].as_str() {
            Some(role) => format!("Whom nobody here knows yet becomes a {role}."),
            None => "Whom nobody here knows yet is not let in: onhand user add ADDRESS".to_owned(),
        })
    })?)
}

fn text(of: &Value, field: &str) -> String {
    of[field].as_str().unwrap_or_default().to_owned()
}

fn line(user: &Value) -> String {
    let state = match (user["is_off"] == true, user["must_change"] == true) {
        (true, _) => "off",
        (false, true) => "has a password to change",
        (false, false) => "may sign in",
    };
    let codes = if user["two_factor"] == true { ", codes asked for" } else { "" };
    let seen = user["signed_in_at"].as_str().map_or_else(|| "never yet".to_owned(), str::to_owned);
    format!("{}  {}  {state}{codes}  signed in {seen}", text(user, "name"), text(user, "role"))
}

fn list(json: bool, told: &Value) -> io::Result<()> {
    print(json, told, |told| {
        let all = told["data"].as_array().map(Vec::as_slice).unwrap_or_default();
        if all.is_empty() {
            return say("Nobody signs in by name yet: onhand user add NAME --role ROLE");
        }
        all.iter().try_for_each(|user| say(line(user)))
    })
}

fn given(json: bool, told: &Value) -> io::Result<()> {
    print(json, told, |told| {
        let (name, password) = (text(&told["user"], "name"), text(told, "password"));
        say(format!("{name} signs in first with\n{password}\nand chooses another. It is shown this once."))
    })
}
