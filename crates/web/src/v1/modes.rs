//! How systems are kept equal: their modes; and the switch that stops all pushing.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use onhand_engine::View;
use onhand_engine::policies::{Unadoptable, unadoptable};
use onhand_ledger::Body;
use onhand_ledger::command::{PutMode, PutSystem};
use onhand_ledger::model::{Direction, Mode, Policy, Schedule, System, Timing, Zeros};
use onhand_store::StoreError;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::Made;
use super::ask::{Ask, noted, read, reply};
use super::systems::known;
use crate::App;
use crate::auth::Caller;
use crate::body::only_objects;
use crate::error::Problem;
use crate::extract::Path;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(set_mode))
        .routes(routes!(pushing))
        .routes(routes!(stop))
        .routes(routes!(resume))
}

/// Which way numbers go.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum DirectionBody {
    OneWayOut,
    OneWayIn,
    TwoWay,
}

/// What becomes of a number that somebody changed in the system, which no sale, return or push explains: it is set to what it should
/// be (`master_wins`), it becomes an adjustment of ours where that is possible (`adopt`), or a person is asked (`ask`).
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum PolicyBody {
    MasterWins,
    Adopt,
    Ask,
}

/// A schedule.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct BatchInput {
    /// Minute, hour, day of the month, month, day of the week: `0 6 * * *`.
    cron: String,
    /// The IANA time zone that it is of; UTC unless told.
    time_zone: Option<String>,
    /// Does every number go? Else the changed ones only.
    #[serde(default)]
    full: bool,
}

/// How many listings may fall to zero at once, by what is no order: more than the number and more than the share wait for a person.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct ZerosInput {
    /// So many.
    number: u32,
    /// Percent of the system's listings, 0 to 100; at 100 none wait.
    share: u8,
}

/// A schedule, and what goes then.
#[derive(Debug, Serialize, ToSchema)]
struct BatchBody {
    cron: String,
    time_zone: String,
    full: bool,
}

/// How many listings may fall to zero at once, by what is no order.
#[derive(Debug, Serialize, ToSchema)]
struct ZerosBody {
    number: u32,
    share: u8,
}

/// How a system is kept equal.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ModeBody {
    /// In the trade's words: `two-way (master wins), near real-time`.
    name: String,
    direction: DirectionBody,
    /// Near real-time: how long a change waits for others, in milliseconds.
    debounce_ms: Option<u32>,
    /// Batches: by which schedule.
    batch: Option<BatchBody>,
    policy: PolicyBody,
    hold_zeros: ZerosBody,
}

impl From<&Mode> for ModeBody {
    fn from(mode: &Mode) -> Self {
        let (debounce_ms, batch) = match &mode.timing {
            Timing::NearRealTime { debounce_ms } => (Some(*debounce_ms), None),
            Timing::Batch(Schedule { cron, time_zone, full }) => {
                let (cron, time_zone) = (cron.clone(), time_zone.clone());
                (None, Some(BatchBody { cron, time_zone, full: *full }))
            }
        };
        let direction = match mode.direction {
            Direction::OneWayOut => DirectionBody::OneWayOut,
            Direction::OneWayIn => DirectionBody::OneWayIn,
            Direction::TwoWay => DirectionBody::TwoWay,
        };
        let policy = match mode.policy {
            Policy::MasterWins => PolicyBody::MasterWins,
            Policy::Adopt => PolicyBody::Adopt,
            Policy::Ask => PolicyBody::Ask,
        };
        let Zeros { number, share } = mode.zeros;
        let hold_zeros = ZerosBody { number, share };
        Self { name: mode.to_string(), direction, debounce_ms, batch, policy, hold_zeros }
    }
}

/// What of a mode changes; what is not told stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct ModeInput {
    /// Which way numbers go. Orders are heard of whichever it is.
    direction: Option<DirectionBody>,
    /// Near real-time: a change waits so many milliseconds for others to go with it, up to an hour. A fall to zero does not wait.
    debounce_ms: Option<u32>,
    /// Batches by a schedule, instead. A fall to zero waits for it, too.
    batch: Option<BatchInput>,
    policy: Option<PolicyBody>,
    hold_zeros: Option<ZerosInput>,
}

/// Says how a system is kept equal: one-way or two-way, near real-time or batch.
#[utoipa::path(post, path = "/systems/{name}/mode", tag = "systems", params(("name" = String, Path)),
    request_body = ModeInput, responses((status = 200, body = Made)))]
async fn set_mode(
    State(app): State<App>,
    Path(name): Path<String>,
    ask: Ask<ModeInput>,
) -> Result<Response, Problem> {
    let before = known(&app, &ask, &name).await?;
    let input = &ask.body;
    let timing = match (&input.batch, input.debounce_ms) {
        (Some(_), Some(_)) => {
            let problem = "a system is near real-time (`debounce_ms`) or takes batches, not both";
            return Err(Problem::of_field("batch", problem.to_owned()));
        }
        (Some(BatchInput { cron, time_zone, full }), None) => {
            let time_zone = time_zone.clone().unwrap_or_else(|| "UTC".to_owned());
            Some(Timing::Batch(Schedule { cron: cron.clone(), time_zone, full: *full }))
        }
        (None, debounce_ms) => debounce_ms.map(|debounce_ms| Timing::NearRealTime { debounce_ms }),
    };
    let direction = input.direction.map(|direction| match direction {
        DirectionBody::OneWayOut => Direction::OneWayOut,
        DirectionBody::OneWayIn => Direction::OneWayIn,
        DirectionBody::TwoWay => Direction::TwoWay,
    });
    let policy = input.policy.map(|policy| match policy {
        PolicyBody::MasterWins => Policy::MasterWins,
        PolicyBody::Adopt => Policy::Adopt,
        PolicyBody::Ask => Policy::Ask,
    });
    let zeros = input
        .hold_zeros
        .as_ref()
        .map(|ZerosInput { number, share }| Zeros { number: *number, share: *share });
    let mode = PutMode { direction, timing, policy, zeros };
    let mut changed = before.clone();
    changed.mode.direction = direction.unwrap_or(changed.mode.direction);
    changed.mode.policy = policy.unwrap_or(changed.mode.policy);
    if changed.mode.adopts() {
        must_be_adoptable(&app, &ask.caller, &changed).await?;
    }
    let put = PutSystem { name, kind: before.kind, mode: Some(mode), ..PutSystem::default() };
    let committed = ask.submit(&app, Body::PutSystem(put)).await?;
    Ok(reply(StatusCode::OK, &committed, Made::of(&committed.answer)))
}

/// What is changed in a system can be adopted only where each number says how much stock there is.
async fn must_be_adoptable(app: &App, caller: &Caller, system: &System) -> Result<(), Problem> {
    let found = read(app, caller, |view| match view.system_by_name(&system.name)? {
        Some((id, _)) => unadoptable(view, id, system),
        None => Ok(None),
    });
    let Some(Unadoptable { listings, listing, barrier }) = found.await? else { return Ok(()) };
    let (name, of) = (&system.name, if listings == 1 { "listing" } else { "listings" });
    let problem =
        format!("changes in {name} cannot be adopted for {listings} {of}, such as {listing}: {barrier}");
    Err(Problem::of_field("policy", problem))
}

/// Whether anything is pushed to any system.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct PushingBody {
    /// Nothing is.
    stopped: bool,
    /// Since when.
    since: Option<String>,
    /// Who stopped it.
    by: Option<String>,
    /// Why.
    note: Option<String>,
}

fn pushing_of(view: &mut View<'_>) -> Result<PushingBody, StoreError> {
    let Some(stopped) = view.rules()?.pushing_stopped else { return Ok(PushingBody::default()) };
    let record = view.records_after(stopped.seq - 1, 1)?.into_iter().next().map(|(_, record)| record);
    let (by, note) = record.map_or((None, None), |record| (Some(record.actor), record.note));
    Ok(PushingBody { stopped: true, since: Some(stopped.since.to_string()), by, note })
}

/// Whether all pushing is stopped, by whom and why.
#[utoipa::path(get, path = "/pushing", tag = "systems", responses((status = 200, body = PushingBody)))]
async fn pushing(State(app): State<App>, caller: Caller) -> Result<Json<PushingBody>, Problem> {
    read(&app, &caller, pushing_of).await.map(Json)
}

/// Why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct Why {
    /// Why, in free words.
    note: Option<String>,
}

/// Stops all pushing to all systems, until it is resumed. They are read, and orders are heard of, as ever.
#[utoipa::path(post, path = "/pushing/stop", tag = "systems", request_body = Why,
    responses((status = 200, body = Made)))]
async fn stop(State(app): State<App>, ask: Ask<Why>) -> Result<Response, Problem> {
    let committed = ask.submit(&app, noted(Body::StopPushing, None, ask.body.note.as_ref())).await?;
    Ok(reply(StatusCode::OK, &committed, Made::of(&committed.answer)))
}

/// Pushes again: what is desired then.
#[utoipa::path(post, path = "/pushing/resume", tag = "systems", request_body = Why,
    responses((status = 200, body = Made)))]
async fn resume(State(app): State<App>, ask: Ask<Why>) -> Result<Response, Problem> {
    let committed = ask.submit(&app, noted(Body::ResumePushing, None, ask.body.note.as_ref())).await?;
    Ok(reply(StatusCode::OK, &committed, Made::of(&committed.answer)))
}

only_objects!(BatchInput, ZerosInput, ModeInput, Why);
