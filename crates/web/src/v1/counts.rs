//! Counts: what somebody saw, and when.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use onhand_ledger::command::TakeCount;
use onhand_ledger::{Answer, Body};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::CountedBody;
use super::ask::{Ask, instant, reply};
use super::movements::{LineInput, lines};
use crate::App;
use crate::body::only_objects;
use crate::error::Problem;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(take))
}

/// What was seen.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct CountBody {
    location: String,
    /// Each SKU once; 0 is a count too.
    lines: Vec<LineInput>,
    /// When it was seen; now unless told. What moved since is kept. Up to 5 minutes ahead of our clock it is taken as now; further ahead it
    /// is refused, and where a system told it, nothing is changed and the discrepancy `clock_ahead` says so.
    as_of: Option<String>,
    /// Was everything inside the location seen too? The place alone unless told.
    #[serde(default)]
    inside: bool,
    /// The system that says so; a person unless told.
    system: Option<String>,
    /// Are the quantities less what that system's own orders had set aside? They are what lay there unless told.
    #[serde(default)]
    net: bool,
}

/// What the count came to.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CountAnswer {
    /// Line by line.
    counts: Vec<CountedBody>,
    /// What came up and waits in the inbox: promises that were broken.
    discrepancies: Vec<u64>,
    /// The discrepancy it is kept as, where the teller is not the master there.
    waiting: Option<u64>,
    /// Why it waits.
    explanation: Option<String>,
}

impl CountAnswer {
    pub fn of(answer: &Answer) -> Self {
        let nothing =
            Self { counts: Vec::new(), discrepancies: Vec::new(), waiting: None, explanation: None };
        match answer.clone() {
            Answer::Counted(counts, found) => Self {
                counts: counts.into_iter().map(CountedBody::from).collect(),
                discrepancies: found.iter().map(|found| found.0).collect(),
                ..nothing
            },
            Answer::Waiting(id, sentence) => {
                Self { waiting: Some(id.0), explanation: Some(sentence), ..nothing }
            }
            _ => nothing,
        }
    }
}

/// Somebody saw how much there is. 202: it is kept as evidence and moved nothing.
#[utoipa::path(post, path = "/counts", tag = "counts", request_body = CountBody,
    responses((status = 200, body = CountAnswer), (status = 202, body = CountAnswer)))]
async fn take(State(app): State<App>, ask: Ask<CountBody>) -> Result<Response, Problem> {
    let body = Body::Count(TakeCount {
        location: ask.body.location.clone(),
        lines: lines(&ask.body.lines)?,
        as_of: instant("as_of", ask.body.as_of.as_deref())?,
        inside: ask.body.inside,
        system: ask.body.system.clone(),
        net: ask.body.net,
    });
    let committed = ask.submit(&app, body).await?;
    let status =
        if matches!(committed.answer, Answer::Waiting(..)) { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok(reply(status, &committed, CountAnswer::of(&committed.answer)))
}

only_objects!(CountBody);
