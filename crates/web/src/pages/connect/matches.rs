//! Fourth step: what each listing is. Beside each that waits is the item that it most likely is, and by what.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use axum::{Form, Router};
use onhand_engine::systems::connecting::{By, Proposal, Tally, ignored, proposals};
use serde::Deserialize;

use super::found::counted;
use super::{At, Standing, Steps, answered, told};
use crate::App;
use crate::auth::Caller;
use crate::error::Problem;
use crate::pages::frame::Frame;
use crate::pages::session::Visitor;
use crate::pages::typed::{Typed, may_change};
use crate::pages::{Shown, page, words};
use crate::v1::ask::read;
use crate::v1::systems::steps::{ActBody, ChosenBody, MatchedBy, SettleBody, SettledBody, settled};

/// So many listings a page has.
const ROWS: usize = 50;
/// So many of what was left are named.
const NAMED: usize = 10;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/systems/{name}/connect/matches", get(show).post(settle))
}

/// Which listings.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Wanted {
    /// `ignored`; those that wait unless told.
    show: String,
    /// After the one of that id.
    after: String,
}

impl Wanted {
    fn is_of_ignored(&self) -> bool {
        self.show == "ignored"
    }

    fn address(&self, name: &str) -> String {
        let [show, after] = [&self.show, &self.after].map(|text| words::part(text));
        let home = At::Matches.address(name);
        match (show.as_str(), after.as_str()) {
            ("", "") => home,
            _ => format!("{home}?show={show}&after={after}"),
        }
    }
}

/// A listing beside what it most likely is.
struct Row {
    remote_id: String,
    name: String,
    /// Its SKU over there.
    remote_sku: String,
    barcode: String,
    /// The item that it most likely is; empty where there is none.
    proposed: String,
    href: String,
    /// By what.
    by: &'static str,
    /// What is in the fields of its form.
    sku: String,
    multiplier: String,
    is_tracked: bool,
}

impl Row {
    /// `typed`: what was typed for it, where that could not be done.
    fn of(proposal: Proposal, typed: &Typed) -> Self {
        let Proposal { remote_id, found, item, multiplier } = proposal;
        let by = match item {
            Some((_, By::Sku)) => "same SKU",
            Some((_, By::Barcode)) => "same barcode",
            Some((_, By::NearTwin)) => "its SKU looks alike",
            None => "",
        };
        let proposed = item.map(|(sku, _)| sku).unwrap_or_default();
        let is_typed = typed.get("remote") == remote_id;
        let [sku, multiplier] = if is_typed {
            ["sku", "multiplier"].map(|field| typed.get(field).to_owned())
        } else {
            [proposed.clone(), multiplier.to_string()]
        };
        Self {
            href: format!("/items/{}", words::part(&proposed)),
            remote_id,
            name: found.name,
            remote_sku: found.sku.unwrap_or_default(),
            barcode: found.barcode.unwrap_or_default(),
            proposed,
            by,
            sku,
            multiplier,
            is_tracked: found.tracked,
        }
    }
}

#[expect(clippy::struct_excessive_bools, reason = "facts that are independent of each other")]
#[derive(Template)]
#[template(path = "connect_matches.html")]
struct Matches {
    frame: Frame,
    steps: Steps,
    action: String,
    found: String,
    next_step: String,
    tally: [String; 3],
    is_looked: bool,
    /// Nothing waits at all.
    is_done: bool,
    /// Some that are shown are proposed by their SKU.
    by_sku: bool,
    rows: Vec<Row>,
    wanted: Wanted,
    next: Option<String>,
    /// What was done just now, and with what it could not be.
    done: String,
    reasons: Vec<String>,
    wrong: String,
    may_change: bool,
}

async fn shown(
    app: &App,
    caller: &Caller,
    name: &str,
    wanted: Wanted,
    typed: &Typed,
    told_of: Result<Option<SettledBody>, Problem>,
) -> Result<Response, Problem> {
    let frame = Frame::still(app, caller, "/systems").await?;
    let standing = Standing::of(app, caller, name).await?;
    let Tally { linked, waiting, ignored: left, .. } = counted(app, caller, &standing).await?;
    let (id, after) = (standing.id, Some(wanted.after.as_str()).filter(|after| !after.is_empty()));
    let list = if wanted.is_of_ignored() { ignored } else { proposals };
    let (found, next) = read(app, caller, |view| list(view, id, after, ROWS)).await?;
    let by_sku = found.iter().any(|proposal| matches!(proposal.item, Some((_, By::Sku))));
    // Where the last of them is on this page, none comes after.
    let next = match next {
        Some(after) => {
            let more = read(app, caller, |view| list(view, id, Some(&after), 1)).await?;
            let next = Wanted { show: wanted.show.clone(), after };
            (!more.0.is_empty()).then(|| next.address(name))
        }
        None => None,
    };
    let (settled, problem) = match told_of {
        Ok(settled) => (settled, None),
        Err(problem) => (None, Some(problem)),
    };
    let done = settled.as_ref().map(|settled| match settled.left {
        0 => format!("Done with {}.", words::many(settled.done, "listing")),
        left => format!(
            "Done with {}; {} left as they are.",
            words::many(settled.done, "listing"),
            words::count(left)
        ),
    });
    let response = page(&Matches {
        frame,
        steps: Steps::at(At::Matches, Some(&standing)),
        action: At::Matches.address(name),
        found: At::Found.address(name),
        next_step: At::Opening.address(name),
        tally: [linked, waiting, left].map(words::count),
        is_looked: standing.sequence.discovered_at.is_some(),
        is_done: waiting == 0,
        by_sku: by_sku && !wanted.is_of_ignored(),
        rows: found.into_iter().map(|proposal| Row::of(proposal, typed)).collect(),
        next,
        wanted,
        done: done.unwrap_or_default(),
        reasons: settled.map(|settled| settled.reasons.into_iter().take(NAMED).collect()).unwrap_or_default(),
        wrong: told(problem.as_ref()),
        may_change: may_change(caller),
    })?;
    Ok(answered(response, problem.as_ref()))
}

async fn show(
    State(app): State<App>,
    Visitor(caller): Visitor,
    Path(name): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Shown {
    Ok(shown(&app, &caller, &name, wanted, &Typed::default(), Ok(None)).await?)
}

/// What a form asks for: with one listing, or with all that wait.
fn asked(typed: &Typed) -> Result<SettleBody, Problem> {
    let all = |action| Ok(SettleBody { action, listings: None, by: Some(vec![MatchedBy::Sku]) });
    let (action, remote_id) = match (typed.get("act"), typed.text("remote")) {
        ("link-all", None) => return all(ActBody::Link),
        ("make-all", None) => return all(ActBody::Make),
        ("ignore-all", None) => return all(ActBody::Ignore),
        ("link", Some(remote_id)) => (ActBody::Link, remote_id),
        ("make", Some(remote_id)) => (ActBody::Make, remote_id),
        ("ignore", Some(remote_id)) => (ActBody::Ignore, remote_id),
        _ => return Err(Problem::of_field("act", "say what is to be done with which listing")),
    };
    let (sku, multiplier) = match action {
        ActBody::Link => {
            let sku = typed.text("sku");
            if sku.is_none() {
                return Err(Problem::of_field("sku", "say which item it is, by its SKU"));
            }
            (sku, typed.whole("multiplier", "a whole number of units, such as 6 where it is a pack of six")?)
        }
        ActBody::Make | ActBody::Ignore => (None, None),
    };
    Ok(SettleBody { action, listings: Some(vec![ChosenBody { remote_id, sku, multiplier }]), by: None })
}

async fn settle(
    State(app): State<App>,
    Visitor(caller): Visitor,
    Path(name): Path<String>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Shown {
    let typed = Typed::new(fields);
    let wanted = Wanted { show: typed.get("show").to_owned(), after: typed.get("after").to_owned() };
    let told = match asked(&typed) {
        Ok(body) => settled(&app, &caller, &name, &body).await.map(|told| (body.listings.is_some(), told)),
        Err(problem) => Err(problem),
    };
    let told = match told {
        Ok((true, told)) => match told.reasons.into_iter().next() {
            None => return Ok(Redirect::to(&wanted.address(&name)).into_response()),
            Some(reason) => Err(Problem::of_field("sku", reason)),
        },
        Ok((false, told)) => Ok(Some(told)),
        Err(problem) => Err(problem),
    };
    Ok(shown(&app, &caller, &name, wanted, &typed, told).await?)
}
