//! The inbox: differences that lag does not explain, and whatever waits for a person.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use onhand_ledger::command::Resolve;
use onhand_ledger::model::Choice;
use onhand_ledger::{Body, DiscrepancyId, Key, Seq, Value};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::Made;
use super::ask::{Ask, read, reply};
use super::page::{Page, PageQuery};
use crate::App;
use crate::auth::Caller;
use crate::body::only_objects;
use crate::decimal::Decimal;
use crate::error::Problem;
use crate::extract::{Id, Query};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(resolve))
}

/// A discrepancy.
#[derive(Debug, Serialize, ToSchema)]
struct DiscrepancyBody {
    id: u64,
    /// Why it came up, such as `short` or `manual_edit`.
    cause: String,
    /// What happened, and what would be right.
    sentence: String,
    sku: Option<String>,
    location: Option<String>,
    system: String,
    document: Option<String>,
    quantity: Decimal,
    /// What was told, as it was told.
    evidence: Option<String>,
    opened_at: String,
    resolved_at: Option<String>,
    /// What may be chosen, where it is a question: `set_back`, `adopt`, `approve`, `reject`.
    choices: Vec<&'static str>,
    /// What was chosen.
    chosen: Option<&'static str>,
}

/// All discrepancies, the oldest first; resolved ones too.
#[utoipa::path(get, path = "/discrepancies", tag = "discrepancies", params(PageQuery),
    responses((status = 200, body = Page<DiscrepancyBody>)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<DiscrepancyBody>>, Problem> {
    let (limit, after) = (page.limit()?, page.after("discrepancies")?);
    let found = read(&app, &caller, |view| {
        let from = Key::Discrepancy(DiscrepancyId(after + 1));
        let to = Key::Discrepancy(DiscrepancyId(Seq::MAX >> 1));
        let mut rows = Vec::new();
        for (key, value) in view.range(&from, &to, false, limit + 1)? {
            let (Key::Discrepancy(id), Value::Discrepancy(known)) = (key, value) else { continue };
            let sku = match known.item {
                Some(item) => view.item(item)?.map(|item| item.sku),
                None => None,
            };
            let location = match known.location {
                Some(location) => view.location(location)?.map(|location| location.code),
                None => None,
            };
            let system = view.system(known.system)?.map_or_else(|| "onhand".to_owned(), |system| system.name);
            let cause = serde_json::to_value(known.cause).ok();
            rows.push((
                id.0,
                DiscrepancyBody {
                    id: id.0,
                    cause: cause.and_then(|cause| cause.as_str().map(str::to_owned)).unwrap_or_default(),
                    sentence: known.sentence,
                    sku,
                    location,
                    system,
                    document: known.document,
                    quantity: known.quantity.into(),
                    evidence: known.evidence,
                    opened_at: known.opened_at.to_string(),
                    resolved_at: known.resolved_at.map(|at| at.to_string()),
                    choices: known.choices.iter().map(|choice| choice.name()).collect(),
                    chosen: known.chosen.map(Choice::name),
                },
            ));
        }
        Ok(Page::new("discrepancies", rows, limit, view.seq()))
    });
    found.await.map(Json)
}

/// An answer to a discrepancy that is a question: a change over there is set back or becomes an adjustment; zeros that are held are sent,
/// or stay as they are.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ChoiceInput {
    SetBack,
    Adopt,
    Approve,
    Reject,
}

/// How it is ended.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct ResolveInput {
    /// One of its `choices`, where it has any.
    choice: Option<ChoiceInput>,
}

/// Ends a discrepancy, or answers it where it is a question.
#[utoipa::path(post, path = "/discrepancies/{id}/resolve", tag = "discrepancies", params(("id" = u64, Path)),
    request_body = ResolveInput, responses((status = 200, body = Made)))]
async fn resolve(State(app): State<App>, Id(id): Id, ask: Ask<ResolveInput>) -> Result<Response, Problem> {
    let choice = ask.body.choice.map(|choice| match choice {
        ChoiceInput::SetBack => Choice::SetBack,
        ChoiceInput::Adopt => Choice::Adopt,
        ChoiceInput::Approve => Choice::Approve,
        ChoiceInput::Reject => Choice::Reject,
    });
    let body = Body::Resolve(Resolve { discrepancy: DiscrepancyId(id), choice });
    let committed = ask.submit(&app, body).await?;
    Ok(reply(StatusCode::OK, &committed, Made::of(&committed.answer)))
}

only_objects!(ResolveInput);
