//! Many commands at once, as newline-delimited JSON.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use onhand_engine::{CommitError, SubmitError};
use onhand_ledger::{Answer, Body, Command};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::auth::Caller;
use crate::body;
use crate::error::Problem;

/// How many commands a request has at most.
const MOST: usize = 10_000;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(run_commands))
}

/// One line: a key, and a command of the ledger as JSON.
#[derive(Deserialize)]
#[serde(remote = "Self", deny_unknown_fields)]
struct LineInput {
    key: Option<String>,
    body: Body,
}

/// What came of one line.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct LineResult {
    /// The ledger's answer, an object with one member named for its kind; none where the line was no command.
    /// Quantities are whole numbers of 10⁻⁶ units.
    #[schema(value_type = Option<Object>)]
    pub answer: Option<Answer>,
    /// What is wrong with the line.
    pub error: Option<String>,
}

const NDJSON: &str = "One JSON object a line: `body` is a command of the ledger, an object with one member named for \
    what is asked; `key` is its idempotency key, and may be left out. Quantities are whole numbers of 10⁻⁶ units, as \
    the ledger has them: 3 units are 3000000. Times are whole microseconds since 1970.";
const LINE: &str = r#"{"key":"delivery-42","body":{"receive":{"location":"LONDON","lines":[{"sku":"MUG","quantity":3000000}]}}}"#;

/// Runs up to 10,000 commands, one JSON object `{"key":…,"body":…}` a line, in order; each is atomic by itself.
/// One result for each line, in order.
#[utoipa::path(post, path = "/commands", tag = "admin",
    request_body(content_type = "application/x-ndjson", content = String, description = NDJSON, example = json!(LINE)),
    responses((status = 200, body = Vec<LineResult>)))]
async fn run_commands(
    State(app): State<App>,
    caller: Caller,
    request: Request,
) -> Result<Json<Vec<LineResult>>, Problem> {
    let body = body::read(request).await?;
    let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let mut commands = Vec::new();
    for (number, line) in (1..).zip(lines) {
        let parsed: LineInput = body::parse(&format!("line {number}"), line).map_err(|mut problem| {
            problem.detail.push_str("; nothing of the request was run");
            problem
        })?;
        caller.may(&parsed.body).map_err(|mut problem| {
            problem.detail = format!("line {number}: {}; nothing of the request was run", problem.detail);
            problem
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

body::only_objects!(LineInput);
