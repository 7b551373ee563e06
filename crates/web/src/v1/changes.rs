//! The change feed: the log, read from a `seq`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use onhand_ledger::Record;
use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ask::read;
use super::page::{PageQuery, is_position};
use crate::App;
use crate::auth::Caller;
use crate::error::Problem;
use crate::extract::Query;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// From where.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ChangesQuery {
    /// Everything after this entry; from the beginning unless told.
    after: Option<u64>,
    /// How many records at most: 1 to 100; 50 unless told.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<usize>,
}

/// What one command did.
#[derive(Debug, Serialize, ToSchema)]
struct Change {
    /// Its first entry.
    seq: u64,
    recorded_at: String,
    actor: String,
    /// The outside document it comes from.
    document: Option<String>,
    /// The paper that whoever asked named for it.
    reference: Option<String>,
    /// What whoever asked said of it.
    note: Option<String>,
    /// The entries, in order, each with the `seq` after the one before. Quantities are exact decimals, times
    /// RFC 3339.
    #[schema(value_type = Vec<EntryBody>)]
    entries: Vec<onhand_ledger::Entry>,
}

/// How an entry looks in JSON: serde writes it, this only describes it.
struct EntryBody;

impl PartialSchema for EntryBody {
    fn schema() -> RefOr<Schema> {
        let alone = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["Refused", "Nothing"]));
        let one =
            ObjectBuilder::new().schema_type(Type::Object).min_properties(Some(1)).max_properties(Some(1));
        let description = "What became of something: an object whose one member is named for the kind of entry, such as \
            `{\"Movement\": {…}}`; or the string `Refused` (a keyed request was refused) or `Nothing` (a keyed \
            request found all as it asks already), which say all there is. Further kinds may come.";
        OneOfBuilder::new().item(alone).item(one).description(Some(description)).into()
    }
}

impl ToSchema for EntryBody {}

/// A part of the feed.
#[derive(Debug, Serialize, ToSchema)]
struct Changes {
    data: Vec<Change>,
    has_more: bool,
    /// `after` of the next page, now or later.
    next_after: u64,
}

/// Everything that happened after an entry, in order, without gaps.
#[utoipa::path(get, path = "/changes", tag = "changes", params(ChangesQuery),
    responses((status = 200, body = Changes)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ChangesQuery>,
) -> Result<Json<Changes>, Problem> {
    let limit = PageQuery { limit: query.limit, cursor: None }.limit()?;
    let after = query.after.unwrap_or(0);
    if !is_position(after) {
        let detail = format!("no entry is numbered {after}; take `next_after` of the page before");
        return Err(Problem::new(StatusCode::BAD_REQUEST, "cursor", "Not a cursor", detail).field("after"));
    }
    let changes = read(&app, &caller, |view| {
        let records = view.records_after(after, limit)?;
        let next_after = records.last().map_or(after, |(seq, record)| seq + record.entries.len() as u64 - 1);
        let data = records.into_iter().map(|(seq, record)| {
            let Record { recorded_at, actor, document, reference, note, entries, .. } = record;
            let document = document.map(|(_, document)| document);
            Change { seq, recorded_at: recorded_at.to_string(), actor, document, reference, note, entries }
        });
        Ok(Changes { data: data.collect(), has_more: next_after < view.seq(), next_after })
    });
    changes.await.map(Json)
}
