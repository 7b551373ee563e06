//! Third step: which of our locations each of a system's is, or none. One of ours that is missing is made here.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Form, Router};
use onhand_engine::View;
use onhand_ledger::Body;
use onhand_ledger::command::PutLocation;
use onhand_store::StoreError;

use super::{At, Standing, Steps, answered, told};
use crate::App;
use crate::auth::Caller;
use crate::error::Problem;
use crate::pages::frame::Frame;
use crate::pages::session::Visitor;
use crate::pages::typed::{Choice, Typed, may_change};
use crate::pages::{Shown, act, page};
use crate::v1::ask::read;
use crate::v1::systems::steps::mapping;

/// So many zones and bins may be chosen beside the sites, and those that are chosen.
const INSIDE: usize = 200;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/systems/{name}/connect/locations", get(show).post(save))
}

/// A location over there.
struct Row {
    remote_id: String,
    name: String,
    ours: Vec<Choice>,
    /// Ours is proposed by its name, and nothing is saved yet.
    is_proposed: bool,
}

#[derive(Template)]
#[template(path = "connect_locations.html")]
struct Locations {
    frame: Frame,
    steps: Steps,
    action: String,
    found: String,
    rows: Vec<Row>,
    /// There is one of ours to choose.
    has_ours: bool,
    /// Code of one to be made, as typed.
    make: String,
    wrong: String,
    may_change: bool,
}

/// The codes of our locations that may be chosen: the sites, what is chosen, and the first that are inside.
fn codes(view: &mut View<'_>, chosen: &[String]) -> Result<Vec<(String, String)>, StoreError> {
    let sites = view.sites()?;
    let (mut codes, mut left) = (Vec::new(), INSIDE);
    for id in sites.all {
        let Some(location) = view.location(id)? else { continue };
        let is_inside = sites.parts.iter().any(|part| part.location == id);
        if is_inside && !chosen.contains(&location.code) {
            if left == 0 {
                continue;
            }
            left -= 1;
        }
        codes.push((location.code, location.name));
    }
    Ok(codes)
}

/// What the form says: pairs of a location over there and one of ours, where there is one.
fn pairs(typed: &Typed) -> Vec<(&str, &str)> {
    typed.all("remote").zip(typed.all("ours")).collect()
}

async fn shown(
    app: &App,
    caller: &Caller,
    name: &str,
    typed: &Typed,
    problem: Option<&Problem>,
) -> Result<Response, Problem> {
    let frame = Frame::still(app, caller, "/systems").await?;
    let standing = Standing::of(app, caller, name).await?;
    let (saved, codes) = read(app, caller, |view| {
        let mut saved = Vec::new();
        for mapping in &standing.system.locations {
            if let Some(location) = view.location(mapping.location)? {
                saved.push((mapping.remote_id.clone(), location.code));
            }
        }
        let chosen = saved.iter().map(|(_, code)| code.clone());
        let chosen: Vec<String> = chosen.chain(typed.all("ours").map(str::to_owned)).collect();
        let codes = codes(view, &chosen)?;
        Ok((saved, codes))
    })
    .await?;
    let typed_pairs = pairs(typed);
    let row = |remote: &onhand_channels::RemoteLocation| {
        let typed = typed_pairs.iter().find(|(id, _)| *id == remote.remote_id).map(|(_, ours)| *ours);
        let kept = saved.iter().find(|(id, _)| *id == remote.remote_id).map(|(_, code)| code.as_str());
        let is_same = |(code, name): &&(String, String)| {
            [code, name].into_iter().any(|ours| ours.to_lowercase() == remote.name.to_lowercase())
        };
        // A name that is the same is proposed, as long as nothing was decided.
        let proposed = codes.iter().find(is_same).map(|(code, _)| code.as_str());
        let proposed = proposed.filter(|_| saved.is_empty() && typed.is_none());
        let chosen = typed.or(kept).or(proposed).unwrap_or_default();
        Row {
            remote_id: remote.remote_id.clone(),
            name: remote.name.clone(),
            ours: codes
                .iter()
                .map(|(code, name)| {
                    let label = if name == code { code.clone() } else { format!("{code}: {name}") };
                    Choice::new(code.clone(), label, |code| code == chosen)
                })
                .collect(),
            is_proposed: proposed.is_some(),
        }
    };
    let response = page(&Locations {
        frame,
        steps: Steps::at(At::Locations, Some(&standing)),
        action: At::Locations.address(name),
        found: At::Found.address(name),
        rows: standing.sequence.locations.iter().map(row).collect(),
        has_ours: !codes.is_empty(),
        make: typed.get("make").to_owned(),
        wrong: told(problem),
        may_change: may_change(caller),
    })?;
    Ok(answered(response, problem))
}

async fn show(State(app): State<App>, Visitor(caller): Visitor, Path(name): Path<String>) -> Shown {
    Ok(shown(&app, &caller, &name, &Typed::default(), None).await?)
}

/// Saves the mapping, or makes a location of ours. Either comes to the same however often it is sent.
async fn save(
    State(app): State<App>,
    Visitor(caller): Visitor,
    Path(name): Path<String>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Shown {
    let typed = Typed::new(fields);
    let done = async {
        if let Some(code) = typed.text("make") {
            let put = PutLocation { code, ..PutLocation::default() };
            act(&app, caller.clone(), "", Body::PutLocation(put)).await?;
            return Ok(At::Locations);
        }
        let used: Vec<_> = pairs(&typed).into_iter().filter(|(_, ours)| !ours.is_empty()).collect();
        let is_any = !used.is_empty();
        let body = mapping(&app, &caller, &name, used).await?;
        act(&app, caller.clone(), "", body).await?;
        Ok::<_, Problem>(if is_any { At::Matches } else { At::Locations })
    };
    match done.await {
        Ok(at) => Ok(at.redirect(&name)),
        Err(problem) => Ok(shown(&app, &caller, &name, &typed, Some(&problem)).await?),
    }
}
