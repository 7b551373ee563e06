//! Many commands at once, as newline-delimited JSON.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use onhand_engine::{CommitError, SubmitError};
use onhand_ledger::{Answer, Body, Command};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::auth::Caller;
use crate::error::Problem;

/// How many commands a request has at most.
const MOST: usize = 10_000;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(run))
}

/// One line: a key, and a command of the ledger as JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LineInput {
    key: Option<String>,
    body: Body,
}

/// What came of one line.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct LineResult {
    /// The ledger's answer; none where the line was no command.
    #[schema(value_type = Option<Object>)]
    pub answer: Option<Answer>,
    /// What is wrong with the line.
    pub error: Option<String>,
}

/// Runs up to 10,000 commands, one JSON object `{"key":…,"body":…}` a line, in order; each is atomic by itself.
/// One result for each line, in order.
#[utoipa::path(post, path = "/commands", tag = "admin", request_body = String,
    responses((status = 200, body = Vec<LineResult>), (status = 422, body = Problem)))]
async fn run(State(app): State<App>, caller: Caller, body: Bytes) -> Result<Json<Vec<LineResult>>, Problem> {
    let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let mut commands = Vec::new();
    for (number, line) in (1..).zip(lines) {
        let parsed: LineInput = serde_json::from_slice(line).map_err(|error| {
            let detail = format!("line {number}: {error}; nothing of the request was run");
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "body", "A line is not a command", detail)
        })?;
        // Not of the line as it came: the command line working in process has no line.
        commands.push(Command::keyed(parsed.key, caller.name.clone(), parsed.body));
    }
    if commands.len() > MOST {
        let detail = format!("{} lines; at most {MOST} in a request. Nothing was run", commands.len());
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body", "Too many lines", detail));
    }
    // Handed in one after the other, so that they are decided in order; waited for together.
    let mut waiting = Vec::with_capacity(commands.len());
    for command in commands {
        waiting.push(app.handle.begin(caller.tenant, Some(command), Vec::new()).await);
    }
    let mut results = Vec::with_capacity(waiting.len());
    for reply in waiting {
        let result = match reply {
            Ok(reply) => reply.wait().await,
            Err(error) => Err(error),
        };
        results.push(match result {
            Ok(committed) => LineResult { answer: Some(committed.answer), error: None },
            Err(SubmitError::Commit(CommitError::Invalid(invalid))) => {
                LineResult { answer: None, error: Some(invalid.to_string()) }
            }
            Err(error) => return Err(error.into()),
        });
    }
    Ok(Json(results))
}
