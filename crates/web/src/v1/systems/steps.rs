//! Connecting a system step by step. Each step may be done again; where it stands is kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::{Body as HttpBody, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use onhand_channels::{Channel, ChannelError};
use onhand_engine::systems::connecting::{
    Act, By, Rehearsed, Sequence, connect, next_step, proposals, propose, recount, sequence, settle,
};
use onhand_engine::systems::found::{Discovered, discover, found_one};
use onhand_engine::systems::opening::{
    Change, Opening, OpeningError, open_from_lines, open_from_system, opening_of, rehearse,
};
use onhand_engine::systems::{self, AddError};
use onhand_ledger::command::PutSystem;
use onhand_ledger::model::{Role as OurRole, Stage as OurStage, System};
use onhand_ledger::{Body, LocationId, SystemId};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{RemotePlace, Role, SystemBody, Typed, connection, known, named, unsealed};
use crate::App;
use crate::auth::Caller;
use crate::body::only_objects;
use crate::decimal::Decimal;
use crate::error::Problem;
use crate::extract::{Path, Query};
use crate::v1::answers::Made;
use crate::v1::ask::{Ask, count, instant, read, reply};
use crate::v1::page::{Page, PageQuery};

/// So many changes a dry run shows at most; all of them are streamed by GET.
const MOST_SHOWN: usize = 1_000;
/// So many lines are made ahead of who reads them.
const AHEAD: usize = 64;
/// So many of what was not done are named.
const NAMED: usize = 100;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(begin))
        .routes(routes!(show))
        .routes(routes!(look))
        .routes(routes!(map_locations))
        .routes(routes!(list_matches, settle_matches))
        .routes(routes!(take_opening))
        .routes(routes!(dry_run, stream_changes))
        .routes(routes!(set_stage))
}

/// Who we are at a system.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct ConnectBody {
    /// What people call it.
    pub name: String,
    /// `shopify`, `woocommerce`, `vendure`, `medusa`, `skulabs`, `files`, `edi`, `shop` or `protocol`.
    pub kind: String,
    /// Where its API is, such as `http://127.0.0.1:3000`.
    pub url: String,
    /// Who we are there.
    pub username: Option<String>,
    /// The password or token. Kept sealed, and never answered.
    #[schema(value_type = Option<String>)]
    pub secret: Option<onhand_engine::seal::Secret>,
    /// What it is to the business.
    pub role: Option<Role>,
    /// What else its channel has to know, by name, such as the columns of files; see the channel's page.
    pub settings: Option<BTreeMap<String, String>>,
}

/// A system, and how far its connecting is.
#[derive(Debug, Serialize, ToSchema)]
struct StepsBody {
    #[serde(flatten)]
    system: SystemBody,
    /// When its credentials were last accepted.
    tested_at: Option<String>,
    /// When it was last looked at for what it has.
    discovered_at: Option<String>,
    /// Its stock locations, and ours behind them.
    locations: Vec<PlaceBody>,
    /// How many listings wait for somebody to say what they are.
    waiting: usize,
    /// The last dry run.
    dry_run: Option<RehearsedBody>,
    /// What comes next, in words; null once all is done.
    next: Option<&'static str>,
}

/// A stock location of a system.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConnectedPlaceBody)]
struct PlaceBody {
    /// Its id over there.
    remote: String,
    /// Its name over there.
    name: String,
    /// Our location behind it; null where none is, and nothing is sent for it.
    location: Option<String>,
    /// From where the opening stock of our location was taken, if it was.
    opening: Option<OpeningBody>,
}

/// First step: tests credentials and keeps them, sealed. A new system is *connecting* then: neither read nor written. For one that is known
/// the credentials are replaced, and it goes on as it did.
#[utoipa::path(post, path = "/connect", tag = "systems", request_body = ConnectBody,
    responses((status = 200, body = StepsBody), (status = 502, body = Problem)))]
async fn begin(State(app): State<App>, ask: Ask<ConnectBody>) -> Result<Json<StepsBody>, Problem> {
    begun(&app, &ask.caller, &ask.body).await?;
    steps(&app, &ask.caller, &ask.body.name).await
}

/// What is wrong is told at the field that somebody can put right.
pub(crate) async fn begun(app: &App, caller: &Caller, asked: &ConnectBody) -> Result<(), Problem> {
    let ConnectBody { name, kind, url, username, secret, role, settings } = asked;
    let typed = Typed { name, kind, url, username: username.as_deref(), secret: secret.as_ref(), settings };
    let connection = connection(app, typed)?;
    let (connector, role) = (app.connector.clone(), role.map(OurRole::from));
    let id = connect(&app.handle, connector.as_ref(), caller.tenant, &caller.name, name, &connection, role);
    id.await.map_err(|error| {
        let field = match &error {
            AddError::Channel(ChannelError::Credentials { .. }) => "secret",
            AddError::Channel(ChannelError::Settings { .. }) => "settings",
            AddError::Channel(_) => "url",
            _ => return error.into(),
        };
        Problem::from(error).field(field)
    })?;
    app.systems_changed.notify_waiters();
    Ok(())
}

async fn steps(app: &App, caller: &Caller, name: &str) -> Result<Json<StepsBody>, Problem> {
    count(app, caller).await?;
    let seal = app.handle.ledger().seal();
    let found = read(app, caller, |view| {
        let Some((id, system)) = view.system_by_name(name)? else { return Ok(None) };
        let steps: Sequence = sequence(view, id)?;
        let mut locations = Vec::new();
        for remote in &steps.locations {
            let mapping = system.locations.iter().find(|mapping| mapping.remote_id == remote.remote_id);
            let ours = mapping.map(|mapping| mapping.location);
            let location = ours.map(|ours| view.location(ours)).transpose()?.flatten();
            let opening = ours.map(|ours| opening_of(view, ours)).transpose()?.flatten();
            locations.push(PlaceBody {
                remote: remote.remote_id.clone(),
                name: remote.name.clone(),
                location: location.map(|location| location.code),
                opening: opening.map(OpeningBody::from),
            });
        }
        let next = (system.stage == OurStage::Connecting).then(|| next_step(&system, &steps)).flatten();
        Ok(Some(StepsBody {
            system: SystemBody::of(view, seal, id, system)?,
            tested_at: steps.tested_at.map(|at| at.to_string()),
            discovered_at: steps.discovered_at.map(|at| at.to_string()),
            locations,
            waiting: steps.waiting,
            dry_run: steps.rehearsed.map(RehearsedBody::from),
            next,
        }))
    });
    found.await?.map(Json).ok_or_else(|| Problem::unknown("system", name))
}

/// A system: how it is doing, and how far its connecting is.
#[utoipa::path(get, path = "/systems/{name}", tag = "systems", params(("name" = String, Path)),
    responses((status = 200, body = StepsBody)))]
async fn show(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<StepsBody>, Problem> {
    steps(&app, &caller, &name).await
}

/// A system with the channel that speaks with it.
pub(super) async fn channel_of(
    app: &App,
    caller: &Caller,
    name: &str,
) -> Result<(SystemId, System, Arc<dyn Channel>), Problem> {
    let (id, system) = named(app, caller, name).await?;
    let seal = app.handle.ledger().seal();
    let connection = read(app, caller, |view| systems::connection(view, seal, id)).await?;
    let Some(connection) = connection else {
        let detail =
            format!("`{name}` only tells us documents; give its credentials first: POST /v1/connect");
        return Err(Problem::of_field("name", detail));
    };
    let connection = connection.map_err(|error| unsealed(&error))?;
    let channel = app.connector.connect(name, &connection);
    Ok((id, system, channel.map_err(AddError::from)?))
}

/// Nothing to say.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
#[schema(as = ConnectLookBody)]
struct LookBody {}

/// What a system has for sale, and what differs from the last look.
#[derive(Debug, Serialize, ToSchema)]
struct DiscoveredBody {
    /// Listings there are.
    listings: usize,
    /// Of them mapped to an item.
    mapped: usize,
    /// That wait for somebody to say what they are.
    waiting: usize,
    /// Of these by name and SKU; up to 100.
    unmatched: Vec<String>,
    /// Never seen before.
    new: usize,
    /// That have another SKU now; up to 100.
    renamed: Vec<RenamedBody>,
    /// That are no longer there; up to 100.
    gone: Vec<String>,
    /// That are there again.
    back: usize,
    /// Its stock locations.
    locations: Vec<FoundPlaceBody>,
}

/// A listing with another SKU.
#[derive(Debug, Serialize, ToSchema)]
struct RenamedBody {
    from: String,
    to: String,
}

/// A stock location that was found.
#[derive(Debug, Serialize, ToSchema)]
struct FoundPlaceBody {
    /// Its id over there.
    remote: String,
    name: String,
}

impl From<Discovered> for DiscoveredBody {
    fn from(found: Discovered) -> Self {
        let place = |place: onhand_channels::RemoteLocation| FoundPlaceBody {
            remote: place.remote_id,
            name: place.name,
        };
        Self {
            listings: found.listings,
            mapped: found.mapped,
            waiting: found.waiting,
            unmatched: found.unmatched,
            new: found.new,
            renamed: found.renamed.into_iter().map(|(from, to)| RenamedBody { from, to }).collect(),
            gone: found.gone,
            back: found.back,
            locations: found.locations.into_iter().map(place).collect(),
        }
    }
}

/// Second step, and again at any time: looks at all that a system has for sale and where its stock is. While it is being connected nothing is
/// mapped by that; later what is new is mapped by its SKU, and what is renamed or gone is told. A system that suddenly has
/// nothing at all is not believed.
#[utoipa::path(post, path = "/systems/{name}/discover", tag = "systems", params(("name" = String, Path)),
    request_body = LookBody, responses((status = 200, body = DiscoveredBody)))]
async fn look(
    State(app): State<App>,
    Path(name): Path<String>,
    ask: Ask<LookBody>,
) -> Result<Json<DiscoveredBody>, Problem> {
    let LookBody {} = ask.body;
    looked(&app, &ask.caller, &name).await.map(|found| Json(found.into()))
}

/// Looks at all that a system has.
pub(crate) async fn looked(app: &App, caller: &Caller, name: &str) -> Result<Discovered, Problem> {
    let (id, system, channel) = channel_of(app, caller, name).await?;
    let by_sku = system.stage != OurStage::Connecting;
    Ok(discover(&app.handle, channel.as_ref(), caller.tenant, &caller.name, id, by_sku).await?)
}

/// Which of our locations are behind which of a system's.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct LocationsBody {
    /// All of them: one that is left out is not used. Several of its locations may be one of ours, and the other way round.
    locations: Vec<RemotePlace>,
}

/// Third step: says which of our locations each of a system's stock locations is.
#[utoipa::path(post, path = "/systems/{name}/locations", tag = "systems", params(("name" = String, Path)),
    request_body = LocationsBody, responses((status = 200, body = Made)))]
async fn map_locations(
    State(app): State<App>,
    Path(name): Path<String>,
    ask: Ask<LocationsBody>,
) -> Result<Response, Problem> {
    let places = ask.body.locations.iter().map(|place| (place.remote.as_str(), place.location.as_str()));
    let body = mapping(&app, &ask.caller, &name, places.collect()).await?;
    let committed = ask.submit(&app, body).await?;
    Ok(reply(StatusCode::OK, &committed, Made::of(&committed.answer)))
}

/// What says which of our locations a system's are: all of them, each with ours.
pub(crate) async fn mapping(
    app: &App,
    caller: &Caller,
    name: &str,
    places: Vec<(&str, &str)>,
) -> Result<Body, Problem> {
    let (id, system) = named(app, caller, name).await?;
    let steps = read(app, caller, |view| sequence(view, id)).await?;
    let mut pairs = Vec::new();
    for (meant, ours) in places {
        // One may be called what another's id is.
        let by_id = steps.locations.iter().find(|remote| remote.remote_id == meant);
        let by_name = || steps.locations.iter().find(|remote| remote.name == meant);
        let Some(remote) = by_id.or_else(by_name) else {
            let (named, there) = (meant.to_owned(), steps.locations.clone());
            return Err(AddError::NoSuchRemote { named, there }.into());
        };
        pairs.push((remote.remote_id.clone(), ours.to_owned()));
    }
    let (name, kind) = (name.to_owned(), system.kind);
    Ok(Body::PutSystem(PutSystem { name, kind, locations: Some(pairs), ..PutSystem::default() }))
}

/// By what a listing is taken to be an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MatchedBy {
    /// It has the item's SKU, or one of its other names.
    Sku,
    /// It has one of the item's barcodes.
    Barcode,
    /// Its SKU looks like the item's, and like no other's.
    NearTwin,
}

impl From<By> for MatchedBy {
    fn from(by: By) -> Self {
        match by {
            By::Sku => Self::Sku,
            By::Barcode => Self::Barcode,
            By::NearTwin => Self::NearTwin,
        }
    }
}

/// A listing that waits for somebody to say what it is.
#[derive(Debug, Serialize, ToSchema)]
struct MatchBody {
    /// Its id over there.
    remote_id: String,
    /// Its name over there.
    name: String,
    /// Its SKU over there.
    remote_sku: Option<String>,
    barcode: Option<String>,
    /// The item that it most likely is; null where there is none.
    sku: Option<String>,
    /// Units of the item in one of it.
    multiplier: u32,
    /// By what it is taken to be that item.
    by: Option<MatchedBy>,
}

/// Listings that wait, each with the item that it most likely is.
#[utoipa::path(get, path = "/systems/{name}/matches", tag = "systems",
    params(("name" = String, Path), PageQuery), responses((status = 200, body = Page<MatchBody>)))]
async fn list_matches(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<MatchBody>>, Problem> {
    let list = format!("matches of {name}");
    let (limit, after) = (page.limit()?, page.after_text(&list)?);
    let found = read(&app, &caller, |view| {
        let Some((id, _)) = view.system_by_name(&name)? else { return Ok(None) };
        let (found, _) = proposals(view, id, after.as_deref(), limit + 1)?;
        let rows = found.into_iter().map(|proposal| {
            let (sku, by) = proposal.item.unzip();
            let body = MatchBody {
                remote_id: proposal.remote_id.clone(),
                name: proposal.found.name,
                remote_sku: proposal.found.sku,
                barcode: proposal.found.barcode,
                sku,
                multiplier: proposal.multiplier,
                by: by.map(MatchedBy::from),
            };
            (proposal.remote_id, body)
        });
        Ok(Some(Page::by_text(&list, rows.collect(), limit, view.seq())))
    });
    found.await?.map(Json).ok_or_else(|| Problem::unknown("system", &name))
}

/// What becomes of listings that wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ActBody {
    /// They are items of ours.
    Link,
    /// They are none of ours, and stay so.
    Ignore,
    /// They become items, by their SKUs over there.
    Make,
}

/// One of them.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct ChosenBody {
    /// Its id over there.
    pub remote_id: String,
    /// Our SKU, where it is linked; what is proposed unless told.
    pub sku: Option<String>,
    /// Units of the item in one of it; what is proposed unless told.
    pub multiplier: Option<u32>,
}

/// What becomes of which.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct SettleBody {
    pub action: ActBody,
    /// Which; all that wait unless told.
    pub listings: Option<Vec<ChosenBody>>,
    /// Where they are linked to what is proposed: only those that are proposed by one of these; where all are, by SKU or barcode unless told.
    pub by: Option<Vec<MatchedBy>>,
}

/// What became of them.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct SettledBody {
    /// How many it was done with.
    pub done: usize,
    /// How many were left as they are.
    pub left: usize,
    /// Why, of up to 100 of these.
    pub reasons: Vec<String>,
    /// How many wait now.
    waiting: usize,
}

impl SettledBody {
    fn add(&mut self, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => self.done += 1,
            Err(reason) => {
                self.left += 1;
                if self.reasons.len() < NAMED {
                    self.reasons.push(reason);
                }
            }
        }
    }
}

/// Fourth step: links listings that wait, ignores them, or makes items of them: those that are named, or all. What cannot be done is said for
/// each, and the rest is done.
#[utoipa::path(post, path = "/systems/{name}/matches", tag = "systems", params(("name" = String, Path)),
    request_body = SettleBody, responses((status = 200, body = SettledBody)))]
async fn settle_matches(
    State(app): State<App>,
    Path(name): Path<String>,
    ask: Ask<SettleBody>,
) -> Result<Json<SettledBody>, Problem> {
    settled(&app, &ask.caller, &name, &ask.body).await.map(Json)
}

/// Does with listings what somebody chose.
pub(crate) async fn settled(
    app: &App,
    caller: &Caller,
    name: &str,
    asked: &SettleBody,
) -> Result<SettledBody, Problem> {
    let (id, system) = named(app, caller, name).await?;
    let SettleBody { action, listings, by } = asked;
    let mut told = SettledBody::default();
    let one = async |remote_id: &str, act: Act| {
        settle(&app.handle, caller.tenant, &caller.name, id, &system, remote_id, act).await
    };
    let act = |sku: Option<String>, multiplier: u32| match (action, sku) {
        (ActBody::Ignore, _) => Ok(Act::Ignore),
        (ActBody::Make, _) => Ok(Act::Make),
        (ActBody::Link, Some(sku)) => Ok(Act::Link { sku, multiplier }),
        (ActBody::Link, None) => Err("no item is proposed for it: say which by `sku`".to_owned()),
    };
    if let Some(chosen) = listings {
        for ChosenBody { remote_id, sku, multiplier } in chosen {
            let proposal = read(app, caller, |view| match found_one(view, id, remote_id)? {
                Some(found) => propose(view, remote_id.clone(), found).map(Some),
                None => Ok(None),
            });
            let proposal = proposal.await?;
            let (proposed, units) = proposal.map_or((None, 1), |known| (known.item, known.multiplier));
            let is_meant = |how: By| by.as_ref().is_none_or(|by| by.contains(&MatchedBy::from(how)));
            let proposed = proposed.filter(|(_, how)| is_meant(*how));
            let sku = sku.clone().or_else(|| proposed.map(|(sku, _)| sku));
            told.add(match act(sku, multiplier.unwrap_or(units)) {
                Ok(act) => one(remote_id, act).await?,
                Err(reason) => Err(format!("`{remote_id}`: {reason}")),
            });
        }
    } else {
        let usual = [MatchedBy::Sku, MatchedBy::Barcode];
        let by = by.as_deref().unwrap_or(&usual);
        let mut after = None::<String>;
        loop {
            let page = read(app, caller, |view| proposals(view, id, after.as_deref(), 200)).await?;
            for proposal in page.0 {
                let item = proposal.item.filter(|(_, how)| by.contains(&MatchedBy::from(*how)));
                match act(item.map(|(sku, _)| sku), proposal.multiplier) {
                    Ok(act) => told.add(one(&proposal.remote_id, act).await?),
                    // It goes on waiting.
                    Err(reason) => told.add(Err(format!("{}: {reason}", proposal.found.shown()))),
                }
            }
            let Some(next) = page.1 else { break };
            after = Some(next);
        }
    }
    told.waiting = recount(&app.handle, caller.tenant, id).await?;
    Ok(told)
}

/// From where a location's opening stock is taken: what the system shows, or what a person saw.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct OpeningInput {
    /// Our location.
    location: String,
    /// What a person saw; what the system shows unless told.
    lines: Option<Vec<OpeningLine>>,
    /// What the count or the file is called, where lines are told.
    source: Option<String>,
    /// When it was seen; now unless told.
    as_of: Option<String>,
}

/// So much of an item.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct OpeningLine {
    sku: String,
    quantity: Decimal,
}

/// Opening stock that was taken.
#[derive(Debug, Serialize, ToSchema)]
struct OpeningBody {
    /// Our location.
    location: String,
    /// The system, count or file.
    source: String,
    /// Who asked for it.
    by: String,
    /// When it was seen.
    as_of: String,
    /// Items that were counted.
    items: usize,
    /// What was not taken, and why; up to 100.
    left_out: Vec<String>,
    /// Is all of it taken? If not, ask again with the same source.
    finished: bool,
}

impl From<Opening> for OpeningBody {
    fn from(opening: Opening) -> Self {
        let Opening { location, source, by, as_of, items, left_out, finished } = opening;
        Self { location, source, by, as_of: as_of.to_string(), items, left_out, finished }
    }
}

impl From<OpeningError> for Problem {
    fn from(error: OpeningError) -> Self {
        match error {
            OpeningError::Add(error) => error.into(),
            OpeningError::Taken(_) => {
                let title = "The opening stock is taken";
                Self::new(StatusCode::CONFLICT, "opening_taken", title, error.to_string())
            }
            OpeningError::NotOurs(_) | OpeningError::Nothing(..) => {
                Self::of_field("location", error.to_string())
            }
        }
    }
}

/// Fifth step, where Onhand is master: takes a location's opening stock, as the count of whoever asks, naming its source. Once for a location: a
/// second time is refused; what is wrong by then is counted. Open orders of a system whose number is net of them are added.
#[utoipa::path(post, path = "/systems/{name}/opening", tag = "systems", params(("name" = String, Path)),
    request_body = OpeningInput, responses((status = 200, body = OpeningBody)))]
async fn take_opening(
    State(app): State<App>,
    Path(name): Path<String>,
    ask: Ask<OpeningInput>,
) -> Result<Json<OpeningBody>, Problem> {
    let OpeningInput { location, lines, source, as_of } = &ask.body;
    let caller = &ask.caller;
    named(&app, caller, &name).await?;
    let as_of = instant("as_of", as_of.as_deref())?;
    let Some(lines) = lines else {
        if source.is_some() || as_of.is_some() {
            let detail = "what a system shows has its name, and is of now: leave it out, or tell `lines`";
            return Err(Problem::of_field(if source.is_some() { "source" } else { "as_of" }, detail));
        }
        return opened(&app, caller, &name, location).await.map(|taken| Json(taken.into()));
    };
    let place = place_of(&app, caller, location).await?;
    let Some(source) = source.as_deref().filter(|source| (1..=200).contains(&source.chars().count())) else {
        let detail = "say in 1 to 200 characters what the count or the file is called, such as stock.csv";
        return Err(Problem::of_field("source", detail));
    };
    let mut counted = Vec::new();
    for line in lines {
        let item = read(&app, caller, |view| view.item_by_sku(&line.sku)).await?;
        let Some((item, _)) = item else {
            return Err(Problem::of_field("lines", format!("no item has the SKU `{}`", line.sku)));
        };
        counted.push((item, line.quantity.0));
    }
    let (handle, tenant) = (&app.handle, caller.tenant);
    let taken = open_from_lines(handle, tenant, &caller.name, place, source, as_of, &counted).await?;
    Ok(Json(taken.into()))
}

/// Takes a location's opening stock from what a system shows.
pub(crate) async fn opened(
    app: &App,
    caller: &Caller,
    name: &str,
    location: &str,
) -> Result<Opening, Problem> {
    let place = place_of(app, caller, location).await?;
    let (id, system, channel) = channel_of(app, caller, name).await?;
    let (handle, tenant) = (&app.handle, caller.tenant);
    Ok(open_from_system(handle, channel.as_ref(), tenant, &caller.name, id, &system, place).await?)
}

async fn place_of(app: &App, caller: &Caller, code: &str) -> Result<LocationId, Problem> {
    let place = read(app, caller, |view| view.location_by_code(code)).await?;
    place.map(|(id, _)| id).ok_or_else(|| AddError::UnknownLocation(code.to_owned()).into())
}

/// How much of a dry run is shown.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct DryRunBody {
    /// So many changes; 20 unless told, 1,000 at most. GET streams all of them.
    first: Option<usize>,
}

/// What a dry run came to.
#[derive(Debug, Serialize, ToSchema)]
struct RehearsedBody {
    /// When it ended.
    at: String,
    /// Numbers that were compared.
    compared: usize,
    /// Of them would change.
    changes: usize,
    /// Of these would become zero.
    zeros: usize,
    /// Mapped listings that it has no number of.
    missing: usize,
    /// Listings that it does not track stock of: their numbers mean nothing over there.
    untracked: usize,
}

impl From<Rehearsed> for RehearsedBody {
    fn from(done: Rehearsed) -> Self {
        let Rehearsed { at, compared, changes, zeros, missing, untracked } = done;
        Self { at: at.to_string(), compared, changes, zeros, missing, untracked }
    }
}

/// A number that would change.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WouldChangeBody)]
struct ChangeBody {
    /// The listing's id over there.
    remote_id: String,
    remote_sku: Option<String>,
    /// Our SKU.
    sku: String,
    /// Its stock location over there.
    remote_location: String,
    /// What it shows now.
    from: Decimal,
    /// What it would show.
    to: Decimal,
    /// Why so much; empty where it is all that is available.
    because: String,
}

impl From<Change> for ChangeBody {
    fn from(change: Change) -> Self {
        Self {
            remote_id: change.listing,
            remote_sku: change.remote_sku,
            sku: change.sku,
            remote_location: change.location,
            from: change.from.into(),
            to: change.to.into(),
            because: change.because,
        }
    }
}

/// What would change, and the first of it.
#[derive(Debug, Serialize, ToSchema)]
struct DryRunAnswer {
    #[serde(flatten)]
    counted: RehearsedBody,
    /// The first changes.
    first: Vec<ChangeBody>,
}

/// Sixth step, and again at any time: compares every number with what it should be, and changes nothing.
#[utoipa::path(post, path = "/systems/{name}/dry-run", tag = "systems", params(("name" = String, Path)),
    request_body = DryRunBody, responses((status = 200, body = DryRunAnswer)))]
async fn dry_run(
    State(app): State<App>,
    Path(name): Path<String>,
    ask: Ask<DryRunBody>,
) -> Result<Json<DryRunAnswer>, Problem> {
    let most = ask.body.first.unwrap_or(20);
    if most > MOST_SHOWN {
        let detail = format!("at most {MOST_SHOWN} are shown; GET streams all of them");
        return Err(Problem::of_field("first", detail));
    }
    let (counted, first) = rehearsed(&app, &ask.caller, &name, most).await?;
    let first = first.into_iter().map(ChangeBody::from).collect();
    Ok(Json(DryRunAnswer { counted: counted.into(), first }))
}

/// What would change, and the first of it.
pub(crate) async fn rehearsed(
    app: &App,
    caller: &Caller,
    name: &str,
    most: usize,
) -> Result<(Rehearsed, Vec<Change>), Problem> {
    let (id, system, channel) = channel_of(app, caller, name).await?;
    let (rows, mut changes) = mpsc::channel(AHEAD);
    let done = rehearse(&app.handle, channel.as_ref(), caller.tenant, id, &system, rows);
    let gathered = async {
        let mut first = Vec::new();
        while let Some(change) = changes.recv().await {
            if first.len() < most {
                first.push(change);
            }
        }
        first
    };
    let (done, first) = tokio::join!(done, gathered);
    Ok((done?, first))
}

/// The same, with every change: a line of JSON for each, and last `{"done": …}` with the counts. Where that does not come it is not whole.
#[utoipa::path(get, path = "/systems/{name}/dry-run", tag = "systems", params(("name" = String, Path)),
    responses((status = 200, description = "The changes.", content((String = "application/x-ndjson")))))]
async fn stream_changes(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let (id, system, channel) = channel_of(&app, &caller, &name).await?;
    let (rows, changes) = mpsc::channel::<Change>(AHEAD);
    let (end, ended) = mpsc::channel::<String>(1);
    let handle = app.handle.clone();
    tokio::spawn(async move {
        let done = rehearse(&handle, channel.as_ref(), caller.tenant, id, &system, rows).await;
        let last = match done {
            Ok(done) => serde_json::json!({ "done": RehearsedBody::from(done) }),
            Err(error) => serde_json::json!({ "error": Problem::from(error).detail }),
        };
        let _ = end.send(last.to_string()).await;
    });
    let lines = ReceiverStream::new(changes)
        .map(|change| serde_json::to_string(&ChangeBody::from(change)).unwrap_or_default())
        .chain(ReceiverStream::new(ended))
        .map(|line| Ok::<_, std::io::Error>(Bytes::from(format!("{line}\n"))));
    let mut response = Response::new(HttpBody::from_stream(lines));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    Ok(response)
}

/// Which stage a system comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum NextStage {
    /// It is read and compared; nothing is sent.
    Watching,
    /// It is kept equal.
    Live,
}

/// The stage.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct StageBody {
    stage: NextStage,
}

/// Last step: a system is watched (read and compared, nothing is sent), or goes live; and back to watching at any time.
#[utoipa::path(post, path = "/systems/{name}/stage", tag = "systems", params(("name" = String, Path)),
    request_body = StageBody, responses((status = 200, body = Made)))]
async fn set_stage(
    State(app): State<App>,
    Path(name): Path<String>,
    ask: Ask<StageBody>,
) -> Result<Response, Problem> {
    let stage = match ask.body.stage {
        NextStage::Watching => OurStage::Watching,
        NextStage::Live => OurStage::Live,
    };
    let body = coming_to(&known(&app, &ask, &name).await?, stage)?;
    let committed = ask.submit(&app, body).await?;
    app.systems_changed.notify_waiters();
    Ok(reply(StatusCode::OK, &committed, Made::of(&committed.answer)))
}

/// What brings a system to a stage: one that has no location of ours comes to none.
pub(crate) fn coming_to(system: &System, stage: OurStage) -> Result<Body, Problem> {
    let System { name, kind, locations, .. } = system;
    if locations.is_empty() {
        let detail = format!(
            "none of `{name}`'s stock locations is one of ours: map them first, POST /v1/systems/{name}/locations"
        );
        return Err(Problem::of_field("stage", detail));
    }
    let (name, kind) = (name.clone(), kind.clone());
    Ok(Body::PutSystem(PutSystem { name, kind, stage: Some(stage), ..PutSystem::default() }))
}

only_objects!(
    ConnectBody,
    LookBody,
    LocationsBody,
    ChosenBody,
    SettleBody,
    OpeningInput,
    OpeningLine,
    DryRunBody,
    StageBody
);
