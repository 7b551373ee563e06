//! First step: who we are at a system. What is secret is taken out of what was typed before anything else, and shown on no page.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Form, Router};
use onhand_engine::seal::Secret;
use onhand_ledger::model::Stage;
use serde::Deserialize as _;
use serde::de::value::{Error, StrDeserializer};

use super::{At, Standing, Steps, answered};
use crate::App;
use crate::auth::Caller;
use crate::error::Problem;
use crate::pages::frame::Frame;
use crate::pages::session::Visitor;
use crate::pages::typed::{Choice, Typed, Wrong, may_change};
use crate::pages::{Shown, page};
use crate::v1::ask::read;
use crate::v1::systems::Role;
use crate::v1::systems::steps::{ConnectBody, begun};

/// What there is a channel for: as the API has it, and as people call it.
const KINDS: [(&str, &str); 9] = [
    ("shopify", "Shopify"),
    ("woocommerce", "WooCommerce"),
    ("vendure", "Vendure"),
    ("skulabs", "SKULabs"),
    ("medusa", "Medusa"),
    ("protocol", "A system that speaks our channel protocol"),
    ("files", "Files: CSV or XLSX"),
    ("edi", "EDI: X12 or EDIFACT"),
    ("shop", "The corner shop of the demo"),
];

/// What a system is to the business.
const ROLES: [(&str, &str); 7] = [
    ("shop", "a shop of our own"),
    ("marketplace", "a marketplace"),
    ("wms", "our warehouse's own system"),
    ("3pl", "a warehouse of somebody else"),
    ("pos", "the tills of a store"),
    ("erp", "the books of the business"),
    ("file", "files that come and go"),
];

const FIELDS: &[(&str, &[&str])] = &[
    ("kind", &[]),
    ("name", &[]),
    ("url", &[]),
    ("username", &[]),
    ("secret", &[]),
    ("role", &[]),
    ("settings", &[]),
];

/// The name whose page would be at this one's address.
const TAKEN: &str = "connect";

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/systems/connect", get(begin).post(begin_with))
        .route("/systems/{name}/connect/key", get(show).post(replace))
}

#[derive(Template)]
#[template(path = "connect_key.html")]
struct Key {
    frame: Frame,
    steps: Steps,
    /// Where the form goes.
    action: String,
    /// There is no such system yet: what it is and is called is chosen.
    is_new: bool,
    typed: Typed,
    kinds: Vec<Choice>,
    /// What it is, in words.
    kind: String,
    roles: Vec<Choice>,
    wrong: Wrong,
    may_change: bool,
}

fn chosen(all: &[(&str, &str)], value: &str) -> Vec<Choice> {
    all.iter().map(|(known, label)| Choice::new(*known, *label, |known| known == value)).collect()
}

async fn shown(
    app: &App,
    caller: &Caller,
    standing: Option<Standing>,
    typed: Typed,
    problem: Option<&Problem>,
) -> Result<Response, Problem> {
    let frame = Frame::still(app, caller, "/systems").await?;
    let steps = Steps::at(At::Key, standing.as_ref());
    let action = match &standing {
        Some(standing) => At::Key.address(&standing.system.name),
        None => "/systems/connect".to_owned(),
    };
    let kind = typed.get("kind");
    let response = page(&Key {
        frame,
        steps,
        action,
        is_new: standing.is_none(),
        kinds: chosen(&KINDS, kind),
        kind: KINDS.iter().find(|(known, _)| *known == kind).map_or(kind, |(_, label)| *label).to_owned(),
        roles: chosen(&ROLES, typed.get("role")),
        wrong: problem.map(|problem| Wrong::of(problem, FIELDS)).unwrap_or_default(),
        may_change: may_change(caller),
        typed,
    })?;
    Ok(answered(response, problem))
}

async fn begin(State(app): State<App>, Visitor(caller): Visitor) -> Shown {
    Ok(shown(&app, &caller, None, Typed::default().with("role", "shop"), None).await?)
}

/// As a form has it.
fn role_of(system: &onhand_ledger::model::System) -> String {
    let role = system.role.and_then(|role| serde_json::to_value(Role::from(role)).ok());
    role.as_ref().and_then(|role| role.as_str()).unwrap_or_default().to_owned()
}

async fn show(State(app): State<App>, Visitor(caller): Visitor, Path(name): Path<String>) -> Shown {
    let standing = Standing::of(&app, &caller, &name).await?;
    let typed =
        Typed::default().with("kind", standing.system.kind.clone()).with("role", role_of(&standing.system));
    Ok(shown(&app, &caller, Some(standing), typed, None).await?)
}

/// What was typed, without the secret; and that.
fn parted(fields: Vec<(String, String)>) -> (Typed, Option<Secret>) {
    let (secrets, rest): (Vec<_>, Vec<_>) = fields.into_iter().partition(|(field, _)| field == "secret");
    let secret = secrets.into_iter().map(|(_, secret)| secret).find(|secret| !secret.is_empty());
    (Typed::new(rest), secret.map(Secret::from))
}

/// Settings as they are typed: one a line, `name = value`.
fn settings(text: &str) -> Result<Option<BTreeMap<String, String>>, Problem> {
    let mut settings = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let Some((name, value)) = line.split_once('=') else {
            let shown: String = line.chars().take(40).collect();
            let detail =
                format!("`{shown}` is no setting: write one a line, such as `stock_out = stock.csv`");
            return Err(Problem::of_field("settings", detail));
        };
        settings.insert(name.trim().to_owned(), value.trim().to_owned());
    }
    Ok((!settings.is_empty()).then_some(settings))
}

/// What the form asks for.
fn asked(typed: &Typed, secret: Option<Secret>) -> Result<ConnectBody, Problem> {
    let role = typed.text("role").map(|role| {
        Role::deserialize(StrDeserializer::<Error>::new(&role))
            .map_err(|_| Problem::of_field("role", "choose one of these, or none"))
    });
    Ok(ConnectBody {
        name: typed.get("name").to_owned(),
        kind: typed.get("kind").to_owned(),
        url: typed.get("url").to_owned(),
        username: typed.text("username"),
        secret,
        role: role.transpose()?,
        settings: settings(typed.get("settings"))?,
    })
}

/// A name for a new system. One that is being connected may be begun again, as when the form is sent twice; no other's key is replaced from here.
async fn must_be_free(app: &App, caller: &Caller, name: &str) -> Result<(), Problem> {
    if name == TAKEN {
        return Err(Problem::of_field(
            "name",
            format!("`{TAKEN}` is the address of this page: choose another name"),
        ));
    }
    match read(app, caller, |view| view.system_by_name(name)).await? {
        Some((_, system)) if system.stage != Stage::Connecting => {
            let detail = format!(
                "`{name}` is connected already: choose another name, or enter its new key at “Key” of its own page"
            );
            Err(Problem::of_field("name", detail))
        }
        _ => Ok(()),
    }
}

async fn begin_with(
    State(app): State<App>,
    Visitor(caller): Visitor,
    Form(fields): Form<Vec<(String, String)>>,
) -> Shown {
    let (typed, secret) = parted(fields);
    let done = async {
        let body = asked(&typed, secret)?;
        must_be_free(&app, &caller, &body.name).await?;
        begun(&app, &caller, &body).await?;
        Ok::<_, Problem>(body.name)
    };
    match done.await {
        Ok(name) => Ok(At::Found.redirect(&name)),
        Err(problem) => Ok(shown(&app, &caller, None, typed, Some(&problem)).await?),
    }
}

/// A new key of a system that is known: it goes on as it did.
async fn replace(
    State(app): State<App>,
    Visitor(caller): Visitor,
    Path(name): Path<String>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Shown {
    let standing = Standing::of(&app, &caller, &name).await?;
    let (typed, secret) = parted(fields);
    let typed = typed.with("kind", standing.system.kind.clone());
    let body = asked(&typed, secret).map(|body| ConnectBody {
        name: name.clone(),
        kind: standing.system.kind.clone(),
        ..body
    });
    let done = match body {
        Ok(body) => begun(&app, &caller, &body).await,
        Err(problem) => Err(problem),
    };
    match done {
        Ok(()) => Ok(At::Found.redirect(&name)),
        Err(problem) => Ok(shown(&app, &caller, Some(standing), typed, Some(&problem)).await?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_one_a_line_and_what_is_none_is_named() {
        let read = settings(" sku = Article no. \n\nsign==\n").unwrap().unwrap();
        assert_eq!((read["sku"].as_str(), read["sign"].as_str()), ("Article no.", "="));
        assert_eq!(settings(" \n").unwrap(), None);
        assert!(settings("sku").unwrap_err().detail.contains("`sku`"));
    }

    #[test]
    fn what_is_secret_is_in_nothing_that_a_page_is_made_of() {
        let fields = [("name", "WEB"), ("secret", " s3cret "), ("secret", "")];
        let fields = fields.map(|(field, value)| (field.to_owned(), value.to_owned()));
        let (typed, secret) = parted(fields.into());
        assert!(!typed.has("secret") && typed.get("name") == "WEB");
        assert_eq!(secret.unwrap().reveal(), " s3cret ", "spaces are part of it");
    }

    #[test]
    fn every_role_that_may_be_chosen_is_one_of_the_apis() {
        for (role, _) in ROLES {
            assert!(asked(&Typed::default().with("role", role), None).is_ok(), "{role}");
        }
        assert!(asked(&Typed::default().with("role", "boss"), None).is_err());
    }
}
