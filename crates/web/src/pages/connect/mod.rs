//! Connecting a system, step by step: its key, what it has, locations, matches, opening stock, a dry run; then it is watched or goes live.
//!
//! A page and an address for each step, one decision on it, and each may be taken again. What is decided is done by the very functions that
//! the API's steps are made of (`v1/systems/steps.rs`), and kept by them: a page keeps nothing.

mod dry_run;
mod found;
mod key;
mod locations;
mod matches;
mod opening;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use onhand_engine::systems::CONNECTION;
use onhand_engine::systems::connecting::{Sequence, Step, next, sequence};
use onhand_engine::systems::opening::{Opening, opening_of};
use onhand_ledger::model::{Stage, System};
use onhand_ledger::{Instant, SystemId};

use super::session::Visitor;
use super::{Shown, words};
use crate::App;
use crate::auth::Caller;
use crate::error::Problem;
use crate::v1::ask::read;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/systems/{name}/connect", get(go_on))
        .merge(key::routes())
        .merge(found::routes())
        .merge(locations::routes())
        .merge(matches::routes())
        .merge(opening::routes())
        .merge(dry_run::routes())
}

/// A step, by the page it has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Key,
    Found,
    Locations,
    Matches,
    Opening,
    DryRun,
}

impl At {
    /// In the order in which they are taken.
    const ALL: [Self; 6] =
        [Self::Key, Self::Found, Self::Locations, Self::Matches, Self::Opening, Self::DryRun];

    const fn name(self) -> &'static str {
        match self {
            Self::Key => "Key",
            Self::Found => "What we found",
            Self::Locations => "Locations",
            Self::Matches => "Matches",
            Self::Opening => "Opening stock",
            Self::DryRun => "Dry run",
        }
    }

    /// As a part of its address.
    const fn part(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Found => "found",
            Self::Locations => "locations",
            Self::Matches => "matches",
            Self::Opening => "opening",
            Self::DryRun => "dry-run",
        }
    }

    /// Where it is, of a system.
    fn address(self, name: &str) -> String {
        format!("/systems/{}/connect/{}", words::part(name), self.part())
    }

    /// Leads there.
    fn redirect(self, name: &str) -> Response {
        Redirect::to(&self.address(name)).into_response()
    }
}

/// Where a system's connecting stands.
struct Standing {
    id: SystemId,
    system: System,
    sequence: Sequence,
    /// Something is kept to sign in with; without, it only tells us documents.
    has_key: bool,
    /// The codes of our locations behind its own, each with from where its opening stock was taken, if it was.
    places: Vec<(String, Option<Opening>)>,
    now: Instant,
}

impl Standing {
    /// Of the system that an address names.
    async fn of(app: &App, caller: &Caller, name: &str) -> Result<Self, Problem> {
        let found = read(app, caller, |view| {
            let Some((id, system)) = view.system_by_name(name)? else { return Ok(None) };
            let mut ours: Vec<_> = system.locations.iter().map(|mapping| mapping.location).collect();
            ours.sort();
            ours.dedup();
            let mut places = Vec::new();
            for location in ours {
                let code = view.location(location)?.map(|location| location.code).unwrap_or_default();
                places.push((code, opening_of(view, location)?));
            }
            let sequence = sequence(view, id)?;
            let has_key = view.note(CONNECTION, &id.to_string())?.is_some();
            Ok(Some(Self { id, system, sequence, has_key, places, now: view.now }))
        });
        found.await?.ok_or_else(|| Problem::unknown("system", name))
    }

    /// How many of the system's locations, as they were last found, are ours.
    fn used(&self) -> usize {
        let is_used =
            |remote: &&onhand_channels::RemoteLocation| self.ours_behind(&remote.remote_id).is_some();
        self.sequence.locations.iter().filter(is_used).count()
    }

    fn ours_behind(&self, remote_id: &str) -> Option<onhand_ledger::LocationId> {
        let mapping = self.system.locations.iter().find(|mapping| mapping.remote_id == remote_id);
        mapping.map(|mapping| mapping.location)
    }

    /// Is a step taken, and how it stands in words.
    fn step(&self, at: At) -> (bool, String) {
        let Self { sequence, places, now, .. } = self;
        let when = |at: Option<Instant>, done: &str| match at {
            Some(at) => (true, format!("{done} {}", words::Time::of(at, *now).short)),
            None => (false, "to do".to_owned()),
        };
        match at {
            At::Key => when(sequence.tested_at, "let in"),
            At::Found => when(sequence.discovered_at, "looked"),
            At::Locations if sequence.discovered_at.is_none() => (false, "to do".to_owned()),
            At::Locations => {
                let (used, all) = (self.used(), sequence.locations.len());
                (used > 0, format!("{} of {} used", words::count(used), words::count(all)))
            }
            At::Matches if sequence.discovered_at.is_none() => (false, "to do".to_owned()),
            At::Matches => match sequence.waiting {
                0 => (true, "none waits".to_owned()),
                1 => (false, "1 waits".to_owned()),
                more => (false, format!("{} wait", words::count(more))),
            },
            At::Opening => {
                let taken = places.iter().filter(|(_, opening)| opening.is_some()).count();
                match (taken, places.len()) {
                    (0, _) => (false, "as it is".to_owned()),
                    (taken, all) => {
                        (true, format!("taken for {} of {}", words::count(taken), words::count(all)))
                    }
                }
            }
            At::DryRun => match &sequence.rehearsed {
                None => (false, "to do".to_owned()),
                Some(done) => (true, format!("{} would change", words::count(done.changes))),
            },
        }
    }

    /// The page that goes on where connecting stands.
    fn goes_on(&self) -> At {
        match next(&self.system, &self.sequence) {
            Some(Step::Key) => At::Key,
            Some(Step::Found) => At::Found,
            Some(Step::Locations) => At::Locations,
            Some(Step::Matches) => At::Matches,
            Some(Step::DryRun) | None => At::DryRun,
        }
    }
}

/// One step in the list of them.
struct Line {
    name: &'static str,
    /// None while there is no system yet.
    href: Option<String>,
    sign: char,
    word: String,
    is_here: bool,
}

/// All steps, and where somebody is in them.
struct Steps {
    /// The system's name; empty while there is none.
    name: String,
    /// Where the system itself is shown.
    home: String,
    /// `2 of 6`.
    number: String,
    here: &'static str,
    all: Vec<Line>,
    /// What it came to, where it is no longer being connected.
    stage: Option<&'static str>,
}

impl Steps {
    /// At a step of a system; none is there yet before its key.
    fn at(here: At, standing: Option<&Standing>) -> Self {
        let line = |at: At| {
            let (is_done, word) = match standing {
                Some(standing) => standing.step(at),
                None => (false, "to do".to_owned()),
            };
            Line {
                name: at.name(),
                href: standing.map(|standing| at.address(&standing.system.name)),
                sign: if is_done { '●' } else { '○' },
                word,
                is_here: at == here,
            }
        };
        let number = At::ALL.iter().position(|at| *at == here).map_or(1, |index| index + 1);
        let stage = standing.and_then(|standing| match standing.system.stage {
            Stage::Connecting => None,
            Stage::Watching => Some("watched: it is read and compared, and nothing is sent"),
            Stage::Live => Some("live: it is kept equal"),
        });
        let name = standing.map(|standing| standing.system.name.clone()).unwrap_or_default();
        Self {
            home: if name.is_empty() {
                "/systems".to_owned()
            } else {
                format!("/systems/{}", words::part(&name))
            },
            name,
            number: format!("{number} of {}", At::ALL.len()),
            here: here.name(),
            all: At::ALL.into_iter().map(line).collect(),
            stage,
        }
    }
}

/// Leads to where connecting goes on.
async fn go_on(State(app): State<App>, Visitor(caller): Visitor, Path(name): Path<String>) -> Shown {
    let standing = Standing::of(&app, &caller, &name).await?;
    Ok(standing.goes_on().redirect(&name))
}

/// With which status a page says what is wrong: a system that fails is not a gateway of this page's, and what stands before it must let it through.
fn status_of(problem: &Problem) -> StatusCode {
    match StatusCode::from_u16(problem.status) {
        Ok(StatusCode::BAD_GATEWAY) | Err(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Ok(status) => status,
    }
}

/// A page, or with what is wrong told on it.
fn answered(mut response: Response, wrong: Option<&Problem>) -> Response {
    if let Some(problem) = wrong {
        *response.status_mut() = status_of(problem);
    }
    response
}

/// What is wrong, as a sentence at the top of a page; empty where nothing is.
fn told(wrong: Option<&Problem>) -> String {
    wrong.map(|problem| words::sentence(&problem.detail)).unwrap_or_default()
}
