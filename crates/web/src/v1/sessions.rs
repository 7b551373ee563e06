//! Sessions of counting: several people look, somebody looks again where it is asked, and one books it all.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use onhand_engine::View;
use onhand_ledger::answer::SightedLine;
use onhand_ledger::command::{ApplySession, OpenSession, Sight, Sighting, Threshold};
use onhand_ledger::model::{Look, Recount, Seen, Session, SessionState};
use onhand_ledger::{Answer, Body, ItemId, Key, LotId, Seq, SessionId, Value};
use onhand_store::StoreError;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::Made;
use super::ask::{Ask, instant, read, reply};
use super::counts::CountAnswer;
use super::page::{Page, PageQuery};
use crate::App;
use crate::auth::{Caller, Right};
use crate::body::only_objects;
use crate::decimal::Decimal;
use crate::error::Problem;
use crate::extract::{Id, Query};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(open_session, list_sessions))
        .routes(routes!(show_session))
        .routes(routes!(sight))
        .routes(routes!(apply_session))
        .routes(routes!(cancel_session))
}

/// How much of a difference there may be: both bounds hold, where both are told.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct ThresholdInput {
    /// At most so many units.
    units: Option<Decimal>,
    /// At most so many per cent of what was expected.
    percent: Option<u16>,
}

impl ThresholdInput {
    fn threshold(&self) -> Threshold {
        Threshold { units: self.units.map(|units| units.0), percent: self.percent }
    }
}

/// What is to be counted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct SessionInput {
    location: String,
    /// And everything inside it? False unless told.
    inside: Option<bool>,
    /// Only these; whatever is found there unless told. At most 2,000.
    skus: Option<Vec<String>>,
    /// Counters do not see what is expected; only keys with the right `approve` do. True unless told.
    blind: Option<bool>,
    /// A difference beyond it must be counted twice.
    recount_over: Option<ThresholdInput>,
    /// A difference beyond it is booked only with approval.
    approve_over: Option<ThresholdInput>,
}

/// Opens a session of counting at a location.
#[utoipa::path(post, path = "/count-sessions", tag = "counts", request_body = SessionInput,
    responses((status = 201, body = Made)))]
async fn open_session(State(app): State<App>, ask: Ask<SessionInput>) -> Result<Response, Problem> {
    let input = &ask.body;
    let body = Body::OpenSession(OpenSession {
        location: input.location.clone(),
        inside: input.inside,
        skus: input.skus.clone(),
        blind: input.blind,
        recount_over: input.recount_over.as_ref().map(ThresholdInput::threshold),
        approve_over: input.approve_over.as_ref().map(ThresholdInput::threshold),
    });
    let committed = ask.submit(&app, body).await?;
    Ok(reply(StatusCode::CREATED, &committed, Made::of(&committed.answer)))
}

/// A session of counting.
#[derive(Debug, Serialize, ToSchema)]
struct SessionBody {
    id: u64,
    /// `open`, `applied` or `cancelled`.
    state: &'static str,
    location: String,
    inside: bool,
    blind: bool,
    opened_by: String,
    opened_at: String,
    ended_by: Option<String>,
    ended_at: Option<String>,
}

fn session_body(view: &mut View<'_>, id: u64, session: &Session) -> Result<SessionBody, StoreError> {
    let location = view.location(session.location)?.map_or_else(String::new, |location| location.code);
    let state = match session.state {
        SessionState::Open => "open",
        SessionState::Applied => "applied",
        SessionState::Cancelled => "cancelled",
    };
    Ok(SessionBody {
        id,
        state,
        location,
        inside: session.inside,
        blind: session.blind,
        opened_by: session.opened_by.clone(),
        opened_at: session.opened_at.to_string(),
        ended_by: session.ended_by.clone(),
        ended_at: session.ended_at.map(|at| at.to_string()),
    })
}

/// All sessions of counting, the oldest first.
#[utoipa::path(get, path = "/count-sessions", tag = "counts", params(PageQuery),
    responses((status = 200, body = Page<SessionBody>)))]
async fn list_sessions(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<SessionBody>>, Problem> {
    let (limit, after) = (page.limit()?, page.after("count-sessions")?);
    let found = read(&app, &caller, |view| {
        let (from, to) = (Key::Session(SessionId(after + 1)), Key::Session(SessionId(Seq::MAX >> 1)));
        let mut rows = Vec::new();
        for (key, value) in view.range(&from, &to, false, limit + 1)? {
            if let (Key::Session(id), Value::Session(session)) = (key, value) {
                rows.push((id.0, session_body(view, id.0, &session)?));
            }
        }
        Ok(Page::new("count-sessions", rows, limit, view.seq()))
    });
    found.await.map(Json)
}

/// What one counter saw.
#[derive(Debug, Serialize, ToSchema)]
struct LookBody {
    /// Who.
    counter: String,
    quantity: Decimal,
    seen_at: String,
    /// How much there was at that time by our books; not shown to counters of a blind session.
    expected: Option<Decimal>,
    /// Seen less expected.
    variance: Option<Decimal>,
}

/// What was seen of an item.
#[derive(Debug, Serialize, ToSchema)]
struct SeenBody {
    sku: String,
    /// Of which lot.
    lot: Option<String>,
    /// Every time somebody looked, the oldest first; the last counts.
    looks: Vec<LookBody>,
    /// Why somebody must look again: `disagree`, `large` or `moved`.
    recount: Option<&'static str>,
    /// The count that it became.
    count: Option<u64>,
}

/// A piece that nobody has seen.
#[derive(Debug, Serialize, ToSchema)]
struct MissingPiece {
    sku: String,
    /// Its serial.
    lot: String,
}

/// A session, and what was seen: the variance report.
#[derive(Debug, Serialize, ToSchema)]
struct ReportBody {
    #[serde(flatten)]
    session: SessionBody,
    /// What was seen, item by item.
    lines: Vec<SeenBody>,
    /// Pieces that should be there, of items of which some were looked for, and that nobody has seen so far: they are
    /// missing once the session is applied. Not shown to counters of a blind session.
    missing: Vec<MissingPiece>,
    /// Listed, and not seen by anybody: applying the session does not touch these.
    not_counted: Vec<String>,
}

const fn recount(recount: Recount) -> &'static str {
    match recount {
        Recount::Disagree => "disagree",
        Recount::Large => "large",
        Recount::Moved => "moved",
    }
}

/// A session and its variance report.
#[utoipa::path(get, path = "/count-sessions/{id}", tag = "counts", params(("id" = u64, Path)),
    responses((status = 200, body = ReportBody)))]
async fn show_session(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<ReportBody>, Problem> {
    let sees_all = caller.rights.contains(&Right::Approve);
    let found = read(&app, &caller, |view| {
        let Some(Value::Session(session)) = view.get(&Key::Session(SessionId(id)))? else { return Ok(None) };
        let shown = !session.blind || sees_all || session.state != SessionState::Open;
        let from = Key::Seen(SessionId(id), ItemId(0), LotId(0));
        let to = Key::Seen(SessionId(id), ItemId(Seq::MAX >> 1), LotId(0));
        let mut lines = Vec::new();
        let mut counted = Vec::new();
        for (key, value) in view.range(&from, &to, false, 100_000)? {
            if let (Key::Seen(_, item, lot), Value::Seen(seen)) = (key, value) {
                counted.push(item);
                lines.push(seen_body(view, item, lot, *seen, shown)?);
            }
        }
        let mut not_counted = Vec::new();
        for item in session.items.iter().flatten().filter(|item| !counted.contains(item)) {
            not_counted.extend(view.item(*item)?.map(|item| item.sku));
        }
        let mut missing = Vec::new();
        if shown && session.state == SessionState::Open {
            for (item, lot) in view.not_seen(SessionId(id), &session)? {
                let sku = view.item(item)?.map_or_else(String::new, |item| item.sku);
                missing.extend(view.lot(lot)?.map(|lot| MissingPiece { sku, lot: lot.code }));
            }
        }
        Ok(Some(ReportBody { session: session_body(view, id, &session)?, lines, missing, not_counted }))
    });
    found.await?.map(Json).ok_or_else(|| Problem::unknown("counting session", id))
}

fn seen_body(
    view: &mut View<'_>,
    item: ItemId,
    lot: LotId,
    seen: Seen,
    shown: bool,
) -> Result<SeenBody, StoreError> {
    let lot = match (lot.0, view.get(&Key::Lot(lot))?) {
        (0, _) => None,
        (_, Some(Value::Lot(lot))) => Some(lot.code),
        _ => None,
    };
    let look = |look: &Look| LookBody {
        counter: look.counter.clone(),
        quantity: look.quantity.into(),
        seen_at: look.seen_at.to_string(),
        expected: shown.then_some(look.expected.into()),
        variance: shown.then_some(look.variance().into()),
    };
    Ok(SeenBody {
        sku: view.item(item)?.map_or_else(String::new, |item| item.sku),
        lot,
        looks: seen.looks.iter().map(look).collect(),
        recount: seen.recount.map(recount),
        count: seen.count.map(|count| count.0),
    })
}

/// What a counter saw of an item.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct SightingInput {
    sku: String,
    /// How much; 0 is a count too.
    quantity: Decimal,
    /// Of which lot, where the item is tracked by lots. Of an item that is tracked by serials: a piece that was looked for
    /// and not found, with a quantity of 0.
    lot: Option<String>,
    /// Which pieces, where the item is tracked by serials: as many as the quantity says.
    serials: Option<Vec<String>>,
    /// When it was seen; now unless told. What moved since is kept.
    seen_at: Option<String>,
}

/// What a counter saw. The counter is the key it is sent with.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct SightInput {
    lines: Vec<SightingInput>,
}

/// What was seen of an item.
#[derive(Debug, Serialize, ToSchema)]
struct SightedBody {
    sku: String,
    quantity: Decimal,
    /// Why somebody must look again: `disagree`, `large` or `moved`.
    recount: Option<&'static str>,
}

/// What is kept of it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SightAnswer {
    /// The session.
    id: u64,
    lines: Vec<SightedBody>,
}

impl SightAnswer {
    pub fn of(answer: &Answer) -> Self {
        let Answer::Sighted(id, lines) = answer else { return Self { id: 0, lines: Vec::new() } };
        let body = |line: &SightedLine| SightedBody {
            sku: line.sku.clone(),
            quantity: line.quantity.into(),
            recount: line.recount.map(recount),
        };
        Self { id: id.0, lines: lines.iter().map(body).collect() }
    }
}

/// Somebody looked. Nothing is booked before the session is applied.
#[utoipa::path(post, path = "/count-sessions/{id}/counts", tag = "counts", params(("id" = u64, Path)),
    request_body = SightInput,
    responses((status = 200, body = SightAnswer)))]
async fn sight(State(app): State<App>, Id(id): Id, ask: Ask<SightInput>) -> Result<Response, Problem> {
    let line = |line: &SightingInput| {
        Ok(Sighting {
            sku: line.sku.clone(),
            quantity: line.quantity.0,
            lot: line.lot.clone(),
            serials: line.serials.clone(),
            seen_at: instant("seen_at", line.seen_at.as_deref())?,
        })
    };
    let lines = ask.body.lines.iter().map(line).collect::<Result<_, Problem>>()?;
    let committed = ask.submit(&app, Body::Sight(Sight { session: SessionId(id), lines })).await?;
    Ok(reply(StatusCode::OK, &committed, SightAnswer::of(&committed.answer)))
}

/// How it is applied.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct ApplyInput {
    /// Are differences beyond the session's threshold approved? Only keys with the right `approve` may say so.
    approve: Option<bool>,
}

/// Books what was counted, each line as of the time it was seen.
#[utoipa::path(post, path = "/count-sessions/{id}/apply", tag = "counts", params(("id" = u64, Path)),
    request_body = ApplyInput,
    responses((status = 200, body = CountAnswer)))]
async fn apply_session(
    State(app): State<App>,
    Id(id): Id,
    ask: Ask<ApplyInput>,
) -> Result<Response, Problem> {
    let body = Body::ApplySession(ApplySession { session: SessionId(id), approve: ask.body.approve });
    let committed = ask.submit(&app, body).await?;
    Ok(reply(StatusCode::OK, &committed, CountAnswer::of(&committed.answer)))
}

/// Nothing.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct Nothing {}

/// Ends a session that shall book nothing.
#[utoipa::path(post, path = "/count-sessions/{id}/cancel", tag = "counts", params(("id" = u64, Path)),
    responses((status = 200, body = Made)))]
async fn cancel_session(State(app): State<App>, Id(id): Id, ask: Ask<Nothing>) -> Result<Response, Problem> {
    let Nothing {} = ask.body;
    let committed = ask.submit(&app, Body::CancelSession(SessionId(id))).await?;
    Ok(reply(StatusCode::OK, &committed, Made::of(&committed.answer)))
}

only_objects!(ThresholdInput, SessionInput, SightingInput, SightInput, ApplyInput, Nothing);
