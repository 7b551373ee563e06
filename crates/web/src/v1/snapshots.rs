//! What an outside master tells of its stock: snapshots as of a time, and what changed since.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use onhand_engine::snapshots::{
    Kept, Row, Snapshot, SnapshotError, Standing, decide, say_known_to, snapshots, tell, word,
};
use onhand_engine::{CommitError, SubmitError};
use onhand_ledger::command::{Content, Document, Happened, MovementLine, Name, PutSystem};
use onhand_ledger::model::{Absent, Inbound, Meaning, System};
use onhand_ledger::{Answer, Body, Command, Invalid, SystemId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::Made;
use super::ask::{Ask, instant, read, reply};
use super::page::{Page, PageQuery};
use crate::App;
use crate::auth::{Caller, Right};
use crate::body::only_objects;
use crate::decimal::Decimal;
use crate::error::Problem;
use crate::extract::{Path, Query};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(tell_snapshot, list_snapshots))
        .routes(routes!(approve_snapshot))
        .routes(routes!(reject_snapshot))
        .routes(routes!(tell_deltas))
        .routes(routes!(tell_documents_known))
        .routes(routes!(set_inbound))
}

/// What a system says there is at one of its locations.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct SnapshotInput {
    /// Its name: told again, it is the same snapshot. Named by its location and time unless told.
    document: Option<String>,
    /// The system's id of the location, or our code of it; its only one unless told.
    location: Option<String>,
    /// When these numbers were true.
    as_of: String,
    /// Is this all there is at the location? Only these rows are spoken of unless told.
    #[serde(default)]
    whole: bool,
    /// How many rows there should be, by the system: another number came cut short, and is held.
    declared_rows: Option<u32>,
    /// All documents of the system up to then are told.
    documents_known_to: Option<String>,
    /// Up to 200000, and as many as fit into 8 MiB; more come as parts.
    rows: Vec<RowInput>,
}

/// So much of something: `sku` or `listing`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct RowInput {
    sku: Option<String>,
    listing: Option<String>,
    /// 0 or more, or less where it is net of the system's own orders; what it means the system's settings say.
    quantity: Decimal,
    /// Of which lot, where the item is tracked by these.
    lot: Option<String>,
    /// Which pieces, where it is tracked by serials: as many as the quantity says.
    serials: Option<Vec<String>>,
}

/// A snapshot, and what became of it.
#[derive(Debug, Serialize, ToSchema)]
struct SnapshotBody {
    document: String,
    /// Our code.
    location: String,
    as_of: String,
    received_at: String,
    whole: bool,
    rows: usize,
    declared_rows: Option<usize>,
    /// `waiting`, `held`, `approved`, `taken`, `rejected`, or `superseded`: its system shows other numbers meanwhile.
    state: &'static str,
    /// Why, in plain words.
    explanation: String,
    /// Where a person reads of one that is held.
    discrepancy: Option<u64>,
    /// Who approved or rejected it.
    decided_by: Option<String>,
    /// What it came to, once it is taken.
    taken: Option<TakenBody>,
}

/// What a snapshot came to.
#[derive(Debug, Serialize, ToSchema)]
struct TakenBody {
    /// Items (or lots) that were counted.
    counted: usize,
    /// Of them those whose number was another.
    different: usize,
    /// Units that it added.
    added: Decimal,
    /// Units that it took.
    taken: Decimal,
    /// Rows that could not be counted: they are in the inbox.
    not_counted: usize,
}

impl From<Kept> for SnapshotBody {
    fn from(kept: Kept) -> Self {
        let state = word(&kept.state);
        let (mut discrepancy, mut decided_by, mut came_to) = (None, None, None);
        match kept.state {
            Standing::Held { discrepancy: about, .. } => discrepancy = about.map(|id| id.0),
            Standing::Approved { by } | Standing::Rejected { by } => decided_by = Some(by),
            Standing::Taken(taken) => {
                came_to = Some(TakenBody {
                    counted: taken.counted,
                    different: taken.different,
                    added: taken.added.into(),
                    taken: taken.taken.into(),
                    not_counted: taken.not_counted,
                });
            }
            Standing::Waiting | Standing::Superseded => {}
        }
        Self {
            document: kept.document,
            location: kept.location,
            as_of: kept.as_of.to_string(),
            received_at: kept.received_at.to_string(),
            whole: kept.whole,
            rows: kept.rows,
            declared_rows: kept.declared_rows,
            state,
            explanation: kept.sentence,
            discrepancy,
            decided_by,
            taken: came_to,
        }
    }
}

impl From<SnapshotError> for Problem {
    fn from(error: SnapshotError) -> Self {
        match error {
            SnapshotError::Invalid(Invalid::UnknownSystem(name)) => Self::unknown("system", name),
            SnapshotError::Invalid(Invalid::Unknown { kind, id }) => Self::unknown(kind, id),
            SnapshotError::Invalid(invalid) => of_invalid(&invalid),
            SnapshotError::Submit(error) => error.into(),
            SnapshotError::Store(error) => error.into(),
            error @ SnapshotError::NameTaken { .. } => Self::of_field("document", error.to_string()),
            error @ SnapshotError::NotHeld { .. } => {
                Self::new(StatusCode::CONFLICT, "not_held", "It is not held", error.to_string())
            }
            error @ SnapshotError::TooMany { .. } => {
                let title = "Too much is waiting";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", title, error.to_string()).retry_after(60)
            }
        }
    }
}

/// What is wrong is in a field, whatever it is.
fn of_invalid(invalid: &Invalid) -> Problem {
    let field = match invalid {
        Invalid::Field { field, .. } | Invalid::Twice { field, .. } | Invalid::TooFarAhead { field, .. } => {
            field
        }
        Invalid::UnknownLocation(_) => "location",
        _ => "rows",
    };
    Problem::of_field(field, invalid.to_string())
}

fn name(sku: Option<&String>, listing: Option<&String>) -> Result<Name, Problem> {
    match (sku, listing) {
        (Some(sku), None) => Ok(Name::Sku(sku.clone())),
        (None, Some(listing)) => Ok(Name::Listing(listing.clone())),
        _ => Err(Problem::of_field("sku", "each row names either `sku` or `listing`")),
    }
}

fn must(field: &str, text: &str) -> Result<onhand_ledger::Instant, Problem> {
    instant(field, Some(text)).map(|at| at.unwrap_or(onhand_ledger::Instant::MIN))
}

/// Tells what there is at a location of the system, where the system is master of it. It is kept before it is answered,
/// and taken (200) once all documents of the system up to `as_of` are known; until then, and where it looks like a fault, it
/// is only kept (202). What another is master of is evidence in the inbox.
#[utoipa::path(post, path = "/systems/{name}/snapshots", tag = "systems", params(("name" = String, Path)),
    request_body = SnapshotInput,
    responses((status = 200, body = SnapshotBody), (status = 202, body = SnapshotBody)))]
async fn tell_snapshot(
    State(app): State<App>,
    Path(system): Path<String>,
    ask: Ask<SnapshotInput>,
) -> Result<Response, Problem> {
    let rows = ask.body.rows.iter().map(|row| {
        Ok(Row {
            item: name(row.sku.as_ref(), row.listing.as_ref())?,
            quantity: row.quantity.0,
            lot: row.lot.clone(),
            serials: row.serials.clone(),
        })
    });
    let snapshot = Snapshot {
        document: ask.body.document.clone(),
        location: ask.body.location.clone(),
        as_of: must("as_of", &ask.body.as_of)?,
        whole: ask.body.whole,
        declared_rows: ask.body.declared_rows.map(|rows| rows as usize),
        documents_known_to: instant("documents_known_to", ask.body.documents_known_to.as_deref())?,
        rows: rows.collect::<Result<_, Problem>>()?,
        meaning: None,
        agrees: onhand_ledger::Quantity::ZERO,
        held_by: None,
    };
    let (kept, is_copy) = tell(&app.handle, ask.caller.tenant, &system, snapshot).await?;
    Ok(told(kept, is_copy))
}

fn told(kept: Kept, is_copy: bool) -> Response {
    let is_over = !kept.state.is_open();
    let status = if is_over { StatusCode::OK } else { StatusCode::ACCEPTED };
    let mut response = (status, Json(SnapshotBody::from(kept))).into_response();
    if is_copy {
        let replayed = axum::http::HeaderValue::from_static("true");
        response.headers_mut().insert("idempotent-replayed", replayed);
    }
    response
}

/// The snapshots of a system, the earliest first: those that wait, are held or approved, and the last hundred that are taken
/// or rejected.
#[utoipa::path(get, path = "/systems/{name}/snapshots", tag = "systems",
    params(("name" = String, Path), PageQuery), responses((status = 200, body = Page<SnapshotBody>)))]
async fn list_snapshots(
    State(app): State<App>,
    caller: Caller,
    Path(system): Path<String>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<SnapshotBody>>, Problem> {
    let found = read(&app, &caller, |view| {
        let Some((id, _)) = view.system_by_name(&system)? else { return Ok(None) };
        Ok(Some((snapshots(view, id)?, view.seq())))
    });
    let (all, seq) = found.await?.ok_or_else(|| Problem::unknown("system", &system))?;
    let rows = (1..).zip(all).map(|(number, kept)| (number, SnapshotBody::from(kept))).collect();
    Page::of_all(&format!("snapshots of {system}"), rows, &page, seq).map(Json)
}

/// Nothing.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct Empty {}

/// Approves a snapshot that is held. It counts as of its own time, however old it is. Needs the right `approve`.
#[utoipa::path(post, path = "/systems/{name}/snapshots/{document}/approve", tag = "systems",
    params(("name" = String, Path), ("document" = String, Path)),
    responses((status = 200, body = SnapshotBody), (status = 202, body = SnapshotBody)))]
async fn approve_snapshot(
    State(app): State<App>,
    Path((system, document)): Path<(String, String)>,
    ask: Ask<Empty>,
) -> Result<Response, Problem> {
    let Empty {} = ask.body;
    let (id, _) = known(&app, &ask, &system).await?;
    let all = read(&app, &ask.caller, |view| snapshots(view, id)).await?;
    // What is not held is told so, whoever asks.
    if all.iter().any(|kept| kept.document == document && matches!(kept.state, Standing::Held { .. })) {
        ask.caller.must_have(Right::Approve)?;
    }
    let by = &ask.caller.name;
    let kept = decide(&app.handle, ask.caller.tenant, &system, &document, true, by).await?;
    Ok(told(kept, false))
}

/// Rejects a snapshot that is held: nothing is changed by it, ever.
#[utoipa::path(post, path = "/systems/{name}/snapshots/{document}/reject", tag = "systems",
    params(("name" = String, Path), ("document" = String, Path)),
    responses((status = 200, body = SnapshotBody)))]
async fn reject_snapshot(
    State(app): State<App>,
    Path((system, document)): Path<(String, String)>,
    ask: Ask<Empty>,
) -> Result<Response, Problem> {
    let Empty {} = ask.body;
    let by = &ask.caller.name;
    let kept = decide(&app.handle, ask.caller.tenant, &system, &document, false, by).await?;
    Ok(told(kept, false))
}

async fn known<T>(app: &App, ask: &Ask<T>, name: &str) -> Result<(SystemId, System), Problem> {
    let found = read(app, &ask.caller, |view| view.system_by_name(name)).await?;
    found.ok_or_else(|| Problem::unknown("system", name))
}

/// What changed at a location of the system.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct DeltasInput {
    /// Its name, stable for ever: told again, it is the same.
    document: String,
    /// Grows with each change of it over there; 1 unless told. A newer one is applied as the difference.
    version: Option<u64>,
    /// The system's id of the location, or our code of it; its only one unless told.
    location: Option<String>,
    /// When it changed; now unless told.
    occurred_at: Option<String>,
    /// All documents of the system up to then are told.
    documents_known_to: Option<String>,
    rows: Vec<DeltaInput>,
}

/// So much more, or less: `sku` or `listing`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct DeltaInput {
    sku: Option<String>,
    listing: Option<String>,
    /// Not 0.
    change: Decimal,
    /// Why.
    reason: Option<String>,
}

/// What they came to.
#[derive(Debug, Serialize, ToSchema)]
struct DeltasBody {
    /// `applied`, `already_applied` or `waiting`.
    result: &'static str,
    /// What came up, or what it waits for.
    discrepancies: Vec<u64>,
    /// Why it waits.
    explanation: Option<String>,
}

/// Tells what changed at a location of the system, where the system is master of it: not what was shipped, received or
/// returned, which are documents. What a snapshot of a later time has seen is not changed a second time.
#[utoipa::path(post, path = "/systems/{name}/deltas", tag = "systems", params(("name" = String, Path)),
    request_body = DeltasInput,
    responses((status = 200, body = DeltasBody), (status = 202, body = DeltasBody)))]
async fn tell_deltas(
    State(app): State<App>,
    Path(system): Path<String>,
    ask: Ask<DeltasInput>,
) -> Result<Response, Problem> {
    let (_, known) = known(&app, &ask, &system).await?;
    let mapped = match (&ask.body.location, known.locations.as_slice()) {
        (Some(told), all) => all.iter().find(|mapping| mapping.remote_id == *told),
        (None, [only]) => Some(only),
        (None, _) => return Err(Problem::of_field("location", format!("name a location of `{system}`"))),
    };
    let location = match mapped {
        Some(mapping) => {
            let id = mapping.location;
            let found = read(&app, &ask.caller, |view| view.location(id)).await?;
            found.map(|location| location.code).unwrap_or_default()
        }
        None => ask.body.location.clone().unwrap_or_default(),
    };
    let occurred_at = instant("occurred_at", ask.body.occurred_at.as_deref())?;
    let known_to = instant("documents_known_to", ask.body.documents_known_to.as_deref())?;
    let lines = (1..).zip(&ask.body.rows).map(|(number, row)| {
        let change = row.change.0;
        if change.is_zero() {
            return Err(Problem::of_field("change", "a change is not 0"));
        }
        Ok(MovementLine {
            line: u32::to_string(&number),
            item: name(row.sku.as_ref(), row.listing.as_ref())?,
            location: location.clone(),
            what: if change.is_negative() { Happened::Lost } else { Happened::Found },
            quantity: change.abs(),
            occurred_at,
            reason: row.reason.clone(),
        })
    });
    let document = Document {
        system: system.clone(),
        document: ask.body.document.clone(),
        version: ask.body.version.unwrap_or(1),
        content: Content::Movements(lines.collect::<Result<_, Problem>>()?),
    };
    let actor = ask.caller.name.clone();
    let command = Command { key: None, fingerprint: 0, actor, body: Body::Record(document) };
    let committed = app.handle.submit(ask.caller.tenant, command).await.map_err(|error| match error {
        SubmitError::Commit(CommitError::Invalid(invalid)) => of_invalid(&invalid),
        error => error.into(),
    })?;
    say_known_to(&app.handle, ask.caller.tenant, &system, known_to).await?;
    let body = |result| DeltasBody { result, discrepancies: Vec::new(), explanation: None };
    let (status, body) = match committed.answer.clone() {
        Answer::Recorded { discrepancies, .. } => {
            let discrepancies = discrepancies.into_iter().map(|id| id.0).collect();
            (StatusCode::OK, DeltasBody { discrepancies, ..body("applied") })
        }
        Answer::Waiting(id, sentence) => {
            let waits =
                DeltasBody { discrepancies: vec![id.0], explanation: Some(sentence), ..body("waiting") };
            (StatusCode::ACCEPTED, waits)
        }
        _ => (StatusCode::OK, body("already_applied")),
    };
    Ok(reply(status, &committed, body))
}

/// Up to when.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct KnownInput {
    /// All documents of the system up to then are told; not ahead of our clock.
    documents_known_to: String,
}

/// How many snapshots are still open.
#[derive(Debug, Serialize, ToSchema)]
struct KnownBody {
    documents_known_to: String,
    /// Snapshots that still wait for documents.
    waiting: usize,
}

/// Says that all documents of a system up to a time are told: snapshots that waited for these are taken.
#[utoipa::path(post, path = "/systems/{name}/documents-known", tag = "systems", params(("name" = String, Path)),
    request_body = KnownInput, responses((status = 200, body = KnownBody)))]
async fn tell_documents_known(
    State(app): State<App>,
    Path(system): Path<String>,
    ask: Ask<KnownInput>,
) -> Result<Json<KnownBody>, Problem> {
    let (id, _) = known(&app, &ask, &system).await?;
    let at = must("documents_known_to", &ask.body.documents_known_to)?;
    say_known_to(&app.handle, ask.caller.tenant, &system, Some(at)).await?;
    let (all, known_to) = read(&app, &ask.caller, |view| {
        Ok((snapshots(view, id)?, onhand_engine::snapshots::documents_known_to(view, id)?))
    })
    .await?;
    let waiting = all.iter().filter(|kept| kept.state == Standing::Waiting).count();
    Ok(Json(KnownBody { documents_known_to: known_to.unwrap_or(at).to_string(), waiting }))
}

/// What a number of its stock means.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum MeaningName {
    Physical,
    NetOfOwnOrders,
}

/// What it means that a whole snapshot does not name an item.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum AbsentName {
    Zero,
    Unknown,
}

/// How the snapshots of a system are taken.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct InboundBody {
    /// `physical`: what lies there. `net_of_own_orders`: that, less what the system's own orders have set aside.
    meaning: MeaningName,
    /// What it means that a snapshot of a whole location does not name an item: `zero` or `unknown`.
    absent: AbsentName,
    /// How long a snapshot waits for the system's documents; none: as long as it takes.
    wait_seconds: Option<u32>,
    /// One that would change more than so many percent of the stock it speaks of is held; 100: none is.
    hold_above_percent: u8,
    /// A whole one with fewer than so many percent of the rows of the one before is held; 0: none is.
    hold_below_rows_percent: u8,
}

impl From<Inbound> for InboundBody {
    fn from(inbound: Inbound) -> Self {
        Self {
            meaning: match inbound.meaning {
                Meaning::Physical => MeaningName::Physical,
                Meaning::NetOfOwnOrders => MeaningName::NetOfOwnOrders,
            },
            absent: match inbound.absent {
                Absent::Zero => AbsentName::Zero,
                Absent::Unknown => AbsentName::Unknown,
            },
            wait_seconds: inbound.wait_seconds,
            hold_above_percent: inbound.hold_above_percent,
            hold_below_rows_percent: inbound.hold_below_rows_percent,
        }
    }
}

/// How the snapshots of a system are taken from now on; what is not told stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct InboundInput {
    /// `physical`: what lies there. `net_of_own_orders`: that, less what the system's own orders have set aside.
    meaning: Option<MeaningName>,
    /// What it means that a snapshot of a whole location does not name an item.
    absent: Option<AbsentName>,
    /// How long a snapshot waits for the system's documents.
    wait_seconds: Option<u32>,
    /// It waits as long as it takes.
    wait_for_ever: Option<bool>,
    /// 0 to 100. One that would change more than so many percent of the stock it speaks of is held; 100: none is.
    hold_above_percent: Option<u8>,
    /// 0 to 100. A whole one with fewer than so many percent of the rows of the one before is held; 0: none is.
    hold_below_rows_percent: Option<u8>,
}

/// Says how the snapshots of a system are taken.
#[utoipa::path(post, path = "/systems/{name}/inbound", tag = "systems", params(("name" = String, Path)),
    request_body = InboundInput, responses((status = 200, body = Made)))]
async fn set_inbound(
    State(app): State<App>,
    Path(system): Path<String>,
    ask: Ask<InboundInput>,
) -> Result<Response, Problem> {
    let (_, known) = known(&app, &ask, &system).await?;
    let (told, mut inbound) = (&ask.body, known.inbound);
    match told.meaning {
        Some(MeaningName::Physical) => inbound.meaning = Meaning::Physical,
        Some(MeaningName::NetOfOwnOrders) => inbound.meaning = Meaning::NetOfOwnOrders,
        None => {}
    }
    match told.absent {
        Some(AbsentName::Zero) => inbound.absent = Absent::Zero,
        Some(AbsentName::Unknown) => inbound.absent = Absent::Unknown,
        None => {}
    }
    inbound.wait_seconds = match (told.wait_seconds, told.wait_for_ever) {
        (None, Some(true)) => None,
        (seconds, _) => seconds.or(inbound.wait_seconds),
    };
    inbound.hold_above_percent = told.hold_above_percent.unwrap_or(inbound.hold_above_percent);
    inbound.hold_below_rows_percent = told.hold_below_rows_percent.unwrap_or(inbound.hold_below_rows_percent);
    let put =
        PutSystem { name: known.name, kind: known.kind, inbound: Some(inbound), ..PutSystem::default() };
    let committed = ask.submit(&app, Body::PutSystem(put)).await?;
    Ok(reply(StatusCode::OK, &committed, Made::of(&committed.answer)))
}

only_objects!(SnapshotInput, RowInput, Empty, DeltasInput, DeltaInput, KnownInput, InboundInput);
