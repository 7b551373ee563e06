//! Connected systems and their listings.

mod check;
mod listings;
pub(super) mod sent;
pub(crate) mod steps;
mod sync;

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use onhand_channels::ChannelError;
use onhand_engine::seal::{KeepError, Seal, SealError, Secret};
use onhand_engine::systems::{AddError, Added, Asked, Connection, Places, add_system, system_status};
use onhand_engine::{CommitError, Committed, SubmitError, View};
use onhand_ledger::command::PutSystem;
use onhand_ledger::model::{Role as OurRole, Stage as OurStage, System};
use onhand_ledger::{Answer, Body, Invalid, SystemId};
use onhand_store::{Note, StoreError};
use onhand_sync::State as SystemState;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::Made;
use super::ask::{Ask, count, noted, read, reply};
use super::modes::ModeBody;
use super::page::{Page, PageQuery};
use super::snapshots::InboundBody;
use crate::App;
use crate::auth::Caller;
use crate::body::only_objects;
use crate::error::Problem;
use crate::extract::{Path, Query};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(add, list))
        .merge(listings::routes())
        .merge(check::routes())
        .merge(steps::routes())
        .merge(sync::routes())
        .merge(sent::routes())
        .routes(routes!(pause))
}

/// A system to connect.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct AddBody {
    /// What people call it.
    name: String,
    /// `shopify`, `woocommerce`, `vendure`, `medusa`, `skulabs`, `files`, `edi`, `shop`, `protocol`, or another name for a system that only tells us documents.
    kind: String,
    /// Where its API is, such as `http://127.0.0.1:3000`; a `medusa`, `shopify`, `skulabs`, `vendure` or `woocommerce` needs it.
    url: Option<String>,
    /// Who we are there.
    username: Option<String>,
    /// The password or token. Kept sealed, and never answered.
    #[schema(value_type = Option<String>)]
    secret: Option<Secret>,
    /// Our location behind its only stock location; the first of ours unless told.
    location: Option<String>,
    /// Our locations behind its stock locations, where it has several: `location` must not be told then.
    locations: Option<Vec<RemotePlace>>,
    /// What it is to the business.
    role: Option<Role>,
    /// What else its channel has to know, by name, such as the columns of files; see the channel's page.
    settings: Option<BTreeMap<String, String>>,
}

/// A stock location of a system, and ours behind it.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(super) struct RemotePlace {
    /// Its id over there, or its name.
    remote: String,
    /// Our location's code.
    location: String,
}

/// What a system is to the business; the first are the nearest to the goods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// A warehouse's own system.
    Wms,
    /// A warehouse of somebody else.
    #[serde(rename = "3pl")]
    ThreePl,
    /// The tills of a store.
    Pos,
    /// The books of the business.
    Erp,
    /// A shop of one's own.
    Shop,
    /// A shop of many sellers.
    Marketplace,
    /// Files that come and go.
    File,
}

impl From<Role> for OurRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Wms => Self::Wms,
            Role::ThreePl => Self::ThreePl,
            Role::Pos => Self::Pos,
            Role::Erp => Self::Erp,
            Role::Shop => Self::Shop,
            Role::Marketplace => Self::Marketplace,
            Role::File => Self::File,
        }
    }
}

impl From<OurRole> for Role {
    fn from(role: OurRole) -> Self {
        match role {
            OurRole::Wms => Self::Wms,
            OurRole::ThreePl => Self::ThreePl,
            OurRole::Pos => Self::Pos,
            OurRole::Erp => Self::Erp,
            OurRole::Shop => Self::Shop,
            OurRole::Marketplace => Self::Marketplace,
            OurRole::File => Self::File,
        }
    }
}

/// What was found and matched.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct AddedBody {
    id: u64,
    /// Listings found.
    listings: usize,
    /// Of them matched to items by SKU.
    matched: usize,
    /// Names of those that were not; up to 100.
    unmatched: Vec<String>,
    /// Stock locations found.
    remote_locations: Vec<String>,
}

/// Answers that were given under a key, to be given again.
const ADDED: &str = "system_added";

/// As it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    fingerprint: u64,
    answer: AddedBody,
}

/// Connects a system in one call, for scripts: signs in, discovers its listings and stock locations, maps these, matches listings by SKU, and
/// goes live. `POST /v1/connect` begins the same step by step. Without `url` it is a system that only tells us documents.
#[utoipa::path(post, path = "/systems", tag = "systems", request_body = AddBody,
    responses((status = 201, body = AddedBody), (status = 502, body = Problem)))]
async fn add(State(app): State<App>, ask: Ask<AddBody>) -> Result<Response, Problem> {
    let AddBody { name, kind, url, username, secret, location, locations, role, settings } = &ask.body;
    let role = role.map(OurRole::from);
    let Some(url) = url else {
        if ["edi", "files", "medusa", "shopify", "skulabs", "vendure", "woocommerce"].contains(&kind.as_str())
        {
            return Err(Problem::of_field("url", format!("a `{kind}` is connected at its url, {SUCH_AS}")));
        }
        let put = PutSystem { name: name.clone(), kind: kind.clone(), role, ..PutSystem::default() };
        let committed = ask.submit(&app, Body::PutSystem(put)).await?;
        let id = Made::of(&committed.answer).id;
        let (unmatched, remote_locations) = (Vec::new(), Vec::new());
        let added = AddedBody { id, listings: 0, matched: 0, unmatched, remote_locations };
        return Ok(reply(StatusCode::CREATED, &committed, added));
    };
    let places = match (location, locations) {
        (Some(_), Some(_)) => {
            return Err(Problem::of_field("location", "say `location` or `locations`, not both"));
        }
        (location, None) => Places::Only(location.clone()),
        (None, Some(several)) => Places::These(
            several.iter().map(|place| (place.remote.clone(), place.location.clone())).collect(),
        ),
    };
    let typed = Typed { name, kind, url, username: username.as_deref(), secret: secret.as_ref(), settings };
    let connection = connection(&app, typed)?;
    // The secret decides nothing of the answer, and a hash of it is not to be kept.
    let fingerprint = fingerprint(&(name, kind, url, username, location, role, &places, settings));
    let (caller, key) = (&ask.caller, ask.key.clone());
    if let Some(key) = &key
        && let Some(kept) = answered(&app, caller, key).await?
    {
        if kept.fingerprint != fingerprint {
            return Err(SubmitError::Commit(CommitError::Invalid(Invalid::KeyReused(key.clone()))).into());
        }
        let seq = read(&app, caller, |view| Ok(view.seq())).await?;
        let answer = Answer::System(SystemId(kept.answer.id));
        return Ok(reply(StatusCode::CREATED, &Committed { answer, seq, replayed: true }, kept.answer));
    }
    let asked = Asked { actor: &caller.name, name, role, places, key: key.clone(), fingerprint };
    let added = add_system(&app.handle, app.connector.as_ref(), caller.tenant, asked, connection);
    let Added { committed, id, found } = added.await?;
    app.systems_changed.notify_waiters();
    let answer = AddedBody {
        id: id.0,
        listings: found.listings,
        matched: found.mapped,
        unmatched: found.unmatched,
        remote_locations: found.locations.into_iter().map(|location| location.name).collect(),
    };
    if let Some(key) = key {
        let kept = Kept { fingerprint, answer };
        let body = serde_json::to_string(&kept).map_err(|error| Problem::internal(&error.to_string()))?;
        let note = Note { space: ADDED.to_owned(), key, body: Some(body) };
        app.handle.submit_with(caller.tenant, None, vec![note]).await?;
        return Ok(reply(StatusCode::CREATED, &committed, kept.answer));
    }
    Ok(reply(StatusCode::CREATED, &committed, answer))
}

/// What was answered under a key.
async fn answered(app: &App, caller: &Caller, key: &str) -> Result<Option<Kept>, Problem> {
    let body = read(app, caller, |view| view.note(ADDED, key)).await?;
    let kept = body.map(|body| serde_json::from_str(&body)).transpose();
    kept.map_err(|error| Problem::internal(&format!("the note {ADDED}/{key}: {error}")))
}

fn fingerprint(of: &impl std::fmt::Debug) -> u64 {
    let hash = blake3::hash(format!("{of:?}").as_bytes());
    u64::from_be_bytes(hash.as_bytes().first_chunk::<8>().copied().unwrap_or_default())
}

/// A connection as it was typed.
struct Typed<'a> {
    name: &'a str,
    kind: &'a str,
    url: &'a str,
    username: Option<&'a str>,
    secret: Option<&'a Secret>,
    settings: &'a Option<BTreeMap<String, String>>,
}

/// A connection as it was typed, of a kind there is.
fn connection(app: &App, typed: Typed<'_>) -> Result<Connection, Problem> {
    let Typed { name, kind, url, username, secret, settings } = typed;
    // Where files lie is no address of an API: their channel says what it may be.
    if !["edi", "files"].contains(&kind) {
        check_url("url", url)?;
    }
    let connection = Connection {
        kind: kind.to_owned(),
        url: url.to_owned(),
        username: username.unwrap_or_default().to_owned(),
        secret: secret.cloned().unwrap_or_default(),
        settings: settings.clone().unwrap_or_default(),
    };
    // No channel speaks yet here: what it cannot be made of is the kind, or the address.
    match app.connector.connect(name, &connection) {
        Err(ChannelError::Unexpected { reason, .. }) => Err(Problem::of_field("kind", reason)),
        Err(ChannelError::Address { reason, .. }) => Err(Problem::of_field("url", reason)),
        Err(ChannelError::Settings { reason, .. }) => Err(Problem::of_field("settings", reason)),
        _ => Ok(connection),
    }
}

impl From<AddError> for Problem {
    fn from(error: AddError) -> Self {
        match error {
            AddError::Submit(error) => error.into(),
            AddError::Store(error) => error.into(),
            AddError::Seal(error) => unsealed(&error),
            AddError::NoLocation | AddError::UnknownLocation(_) => {
                Self::of_field("location", error.to_string())
            }
            AddError::WhichLocation(_) | AddError::NoSuchRemote { .. } => {
                Self::of_field("locations", error.to_string())
            }
            AddError::Channel(_) | AddError::Nothing { .. } => {
                let title = "The system could not be connected";
                Self::new(StatusCode::BAD_GATEWAY, "channel", title, error.to_string())
            }
            AddError::Twin { .. } => Self::of_field("url", error.to_string()),
            AddError::Damaged(reason) => Self::internal(&reason),
        }
    }
}

/// There is no key for secrets, or not the one that is needed.
pub(crate) fn unsealed(error: &SealError) -> Problem {
    let title = "Secrets cannot be kept or read";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "seal", title, error.to_string())
}

pub(super) fn not_kept(error: KeepError) -> Problem {
    match error {
        KeepError::Seal(error) => unsealed(&error),
        KeepError::Submit(error) => error.into(),
    }
}

const SUCH_AS: &str = "such as http://127.0.0.1:3000";

pub(super) fn check_url(field: &'static str, url: &str) -> Result<(), Problem> {
    let parsed = url.parse::<Uri>().ok();
    let is_http = |uri: &Uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
    // What is in an address comes up in errors and logs.
    if parsed.as_ref().and_then(Uri::authority).is_some_and(|authority| authority.as_str().contains('@')) {
        let detail =
            "an address must not have a name or password in it: give them as `username` and `secret`";
        return Err(Problem::of_field(field, detail));
    }
    if parsed.as_ref().is_some_and(is_http) {
        return Ok(());
    }
    Err(Problem::of_field(field, format!("`{url}` is no address of an API, {SUCH_AS}")))
}

/// How a system is doing.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SystemBody {
    id: u64,
    name: String,
    kind: String,
    /// What it is to the business; null where nobody said.
    role: Option<Role>,
    /// `connecting`, `watching`, `live`, `paused`, `degraded`, or `needs_attention`, which waits for a person.
    state: &'static str,
    /// The sign that stands for it: ● ◐ ▲ ■ ✕.
    sign: &'static str,
    /// What the sign means.
    word: &'static str,
    /// Why it is so, and what to do, in a sentence.
    explanation: String,
    /// Since when it is degraded or needs attention, where that is known.
    since: Option<String>,
    /// How far it is connected.
    stage: Stage,
    paused: bool,
    mode: ModeBody,
    /// Mapped listings, once for each remote location, without those whose numbers are left to the system.
    listings: usize,
    /// Of them last observed as they should be, with nothing unanswered.
    in_step: usize,
    /// Mapped listings whose numbers a rule leaves to the system.
    skipped: usize,
    /// What it last failed with; none while it works.
    trouble: Option<String>,
    /// When its orders were last read.
    orders_known_to: Option<String>,
    /// When a webhook of it last came and was read; none where none ever did.
    webhook_heard_at: Option<String>,
    /// How the snapshots it tells are taken.
    inbound: InboundBody,
    /// Who gives it the orders that it ships.
    gets_orders: sent::Giver,
}

/// How far a system is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Stage {
    /// Neither read nor written.
    Connecting,
    /// Read and compared; nothing is sent.
    Watching,
    /// Kept equal.
    Live,
}

impl From<OurStage> for Stage {
    fn from(stage: OurStage) -> Self {
        match stage {
            OurStage::Connecting => Self::Connecting,
            OurStage::Watching => Self::Watching,
            OurStage::Live => Self::Live,
        }
    }
}

impl SystemBody {
    pub fn of(view: &mut View<'_>, seal: &Seal, id: SystemId, system: System) -> Result<Self, StoreError> {
        let status = system_status(view, seal, id, &system)?;
        let (sign, word) = status.state.sign(status.in_step == status.listings);
        let since = match &status.state {
            SystemState::Degraded { since, .. } | SystemState::NeedsAttention { since, .. } => *since,
            _ => None,
        };
        Ok(Self {
            id: id.0,
            role: system.role.map(Role::from),
            state: status.state.name(),
            sign,
            word,
            explanation: status.state.sentence(&system.name),
            since: since.map(|at| at.to_string()),
            stage: system.stage.into(),
            mode: (&system.mode).into(),
            skipped: status.skipped,
            name: system.name,
            kind: system.kind,
            paused: system.paused,
            listings: status.listings,
            in_step: status.in_step,
            trouble: status.trouble,
            orders_known_to: status.orders_known_to.map(|at| at.to_string()),
            webhook_heard_at: status.heard_at.map(|at| at.to_string()),
            inbound: system.inbound.into(),
            gets_orders: system.gets_orders.into(),
        })
    }
}

/// All systems, and how they are doing.
#[utoipa::path(get, path = "/systems", tag = "systems", params(PageQuery),
    responses((status = 200, body = Page<SystemBody>)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<SystemBody>>, Problem> {
    count(&app, &caller).await?;
    let seal = app.handle.ledger().seal();
    let (rows, seq) = read(&app, &caller, |view| {
        let mut rows = Vec::new();
        for (id, system) in view.systems()? {
            rows.push((id.0, SystemBody::of(view, seal, id, system)?));
        }
        Ok((rows, view.seq()))
    })
    .await?;
    Page::of_all("systems", rows, &page, seq).map(Json)
}

/// The system that an address names.
async fn named(app: &App, caller: &Caller, name: &str) -> Result<(SystemId, System), Problem> {
    let found = read(app, caller, |view| view.system_by_name(name)).await?;
    found.ok_or_else(|| Problem::unknown("system", name))
}

pub(super) async fn known<T>(app: &App, ask: &Ask<T>, name: &str) -> Result<System, Problem> {
    named(app, &ask.caller, name).await.map(|(_, system)| system)
}

/// Whether nothing is pushed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct PauseBody {
    paused: bool,
    /// Why, in free words.
    note: Option<String>,
}

/// Pauses a system, or resumes it. While paused it is read and nothing is pushed.
#[utoipa::path(post, path = "/systems/{name}/pause", tag = "systems", params(("name" = String, Path)),
    request_body = PauseBody, responses((status = 200, body = Made)))]
async fn pause(
    State(app): State<App>,
    Path(name): Path<String>,
    ask: Ask<PauseBody>,
) -> Result<Response, Problem> {
    let kind = known(&app, &ask, &name).await?.kind;
    let put = PutSystem { name, kind, paused: Some(ask.body.paused), ..PutSystem::default() };
    let body = noted(Body::PutSystem(put), None, ask.body.note.as_ref());
    let committed = ask.submit(&app, body).await?;
    Ok(reply(StatusCode::OK, &committed, Made::of(&committed.answer)))
}

only_objects!(AddBody, RemotePlace, PauseBody);
