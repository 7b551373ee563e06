//! Connected systems and their listings.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use onhand_channels::ChannelError;
use onhand_engine::seal::{SealError, Secret};
use onhand_engine::systems::{
    AddError, Added, Connection, Matched, add_system, desired_by, remote_locations, system_status,
};
use onhand_ledger::command::{PutListing, PutSystem};
use onhand_ledger::model::System;
use onhand_ledger::{Body, ListingId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::Made;
use super::ask::{Ask, noted, read, reply};
use super::modes::ModeBody;
use super::page::{Page, PageQuery};
use super::snapshots::InboundBody;
use crate::App;
use crate::auth::Caller;
use crate::body::only_objects;
use crate::decimal::Decimal;
use crate::error::Problem;
use crate::extract::{Path, Query};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(add, list))
        .routes(routes!(list_listings, put_listing))
        .routes(routes!(pause))
}

/// A system to connect.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct AddBody {
    /// What people call it.
    name: String,
    /// `vendure`, `shop`, or another name for a system that only tells us documents.
    kind: String,
    /// Where its API is, such as `http://127.0.0.1:3000`; a `vendure` needs it.
    url: Option<String>,
    /// Who we are there.
    username: Option<String>,
    /// The password or token. Kept sealed, and never answered.
    #[schema(value_type = Option<String>)]
    secret: Option<Secret>,
    /// Our location behind its only (or first) stock location; the first of ours unless told.
    location: Option<String>,
}

/// What was found and matched.
#[derive(Debug, Serialize, ToSchema)]
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

/// Connects a system: signs in, discovers its listings and stock locations, matches them by SKU. It is kept equal
/// from then on. With `url` an `Idempotency-Key` has no effect: sent again, it connects the system of that name again.
#[utoipa::path(post, path = "/systems", tag = "systems", request_body = AddBody,
    responses((status = 201, body = AddedBody), (status = 502, body = Problem)))]
async fn add(State(app): State<App>, ask: Ask<AddBody>) -> Result<Response, Problem> {
    let AddBody { name, kind, url, username, secret, location } = &ask.body;
    let Some(url) = url else {
        if kind == "vendure" {
            return Err(Problem::of_field("url", format!("a `vendure` is connected at its url, {SUCH_AS}")));
        }
        let put = PutSystem { name: name.clone(), kind: kind.clone(), ..PutSystem::default() };
        let committed = ask.submit(&app, Body::PutSystem(put)).await?;
        let id = Made::of(&committed.answer).id;
        let (unmatched, remote_locations) = (Vec::new(), Vec::new());
        let added = AddedBody { id, listings: 0, matched: 0, unmatched, remote_locations };
        return Ok(reply(StatusCode::CREATED, &committed, added));
    };
    check_url(url)?;
    let connection = Connection {
        kind: kind.clone(),
        url: url.clone(),
        username: username.clone().unwrap_or_default(),
        secret: secret.clone().unwrap_or_default(),
    };
    // No channel speaks yet here: what it cannot be made of is the kind.
    if let Err(ChannelError::Unexpected { reason, .. }) = app.connector.connect(name, &connection) {
        return Err(Problem::of_field("kind", reason));
    }
    let caller = &ask.caller;
    let added = add_system(
        &app.handle,
        app.connector.as_ref(),
        caller.tenant,
        &caller.name,
        name,
        connection,
        location.as_deref(),
    );
    let Added { committed, id, listings } = added.await.map_err(|error| match error {
        AddError::Submit(error) => Problem::from(error),
        AddError::Store(error) => error.into(),
        AddError::Seal(error) => unsealed(&error),
        error @ (AddError::NoLocation | AddError::UnknownLocation(_)) => {
            Problem::of_field("location", error.to_string())
        }
        AddError::Channel(error) => {
            let title = "The system could not be connected";
            Problem::new(StatusCode::BAD_GATEWAY, "channel", title, error.to_string())
        }
    })?;
    app.systems_changed.notify_waiters();
    let matched = listings.matched;
    let Matched { found, unmatched, remote_locations, .. } = listings;
    let body = AddedBody { id: id.0, listings: found, matched, unmatched, remote_locations };
    Ok(reply(StatusCode::CREATED, &committed, body))
}

/// There is no key for secrets, or not the one that is needed.
pub(super) fn unsealed(error: &SealError) -> Problem {
    let title = "Secrets cannot be kept or read";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "seal", title, error.to_string())
}

const SUCH_AS: &str = "such as http://127.0.0.1:3000";

fn check_url(url: &str) -> Result<(), Problem> {
    let parsed = url.parse::<Uri>().ok();
    let is_http = |uri: &Uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
    // What is in an address comes up in errors and logs.
    if parsed.as_ref().and_then(Uri::authority).is_some_and(|authority| authority.as_str().contains('@')) {
        let detail =
            "an address must not have a name or password in it: give them as `username` and `secret`";
        return Err(Problem::of_field("url", detail));
    }
    if parsed.as_ref().is_some_and(is_http) {
        return Ok(());
    }
    Err(Problem::of_field("url", format!("`{url}` is no address of an API, {SUCH_AS}")))
}

/// How a system is doing.
#[derive(Debug, Serialize, ToSchema)]
struct SystemBody {
    id: u64,
    name: String,
    kind: String,
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
}

/// All systems, and how they are doing.
#[utoipa::path(get, path = "/systems", tag = "systems", params(PageQuery),
    responses((status = 200, body = Page<SystemBody>)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<SystemBody>>, Problem> {
    let seal = app.handle.ledger().seal();
    let (rows, seq) = read(&app, &caller, |view| {
        let mut rows = Vec::new();
        for (id, system) in view.systems()? {
            let status = system_status(view, seal, id, &system)?;
            let body = SystemBody {
                id: id.0,
                mode: (&system.mode).into(),
                name: system.name,
                kind: system.kind,
                paused: system.paused,
                listings: status.listings,
                in_step: status.in_step,
                skipped: status.skipped,
                trouble: status.trouble,
                orders_known_to: status.orders_known_to.map(|at| at.to_string()),
                webhook_heard_at: status.heard_at.map(|at| at.to_string()),
                inbound: system.inbound.into(),
            };
            rows.push((id.0, body));
        }
        Ok((rows, view.seq()))
    })
    .await?;
    Page::of_all("systems", rows, &page, seq).map(Json)
}

/// A listing.
#[derive(Debug, Serialize, ToSchema)]
struct ListingBody {
    id: u64,
    remote_id: String,
    remote_sku: Option<String>,
    /// Our SKU; none while unmapped.
    sku: Option<String>,
    /// Units of the item in one of the listing.
    multiplier: u32,
    /// What it should show, by remote location's id; empty while unmapped. Not where a rule leaves it to
    /// the system.
    desired: BTreeMap<String, Decimal>,
}

/// The listings of a system, the oldest first.
#[utoipa::path(get, path = "/systems/{name}/listings", tag = "systems",
    params(("name" = String, Path), PageQuery),
    responses((status = 200, body = Page<ListingBody>)))]
async fn list_listings(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<ListingBody>>, Problem> {
    let list = format!("listings of {name}");
    let (limit, after) = (page.limit()?, page.after(&list)?);
    let found = read(&app, &caller, |view| {
        let Some((id, system)) = view.system_by_name(&name)? else { return Ok(None) };
        let mut rows = Vec::new();
        let index = view.published()?;
        for (listing_id, listing) in view.listings_in(id, ListingId(after), limit + 1)? {
            let mut desired = BTreeMap::new();
            for place in remote_locations(&system) {
                if let Some(shown) = desired_by(view, &index, listing_id, &listing, &system, &place)?
                    && !shown.is_skipped
                {
                    desired.insert(place, shown.quantity.into());
                }
            }
            let sku = match listing.item {
                Some(item) => view.item(item)?.map(|item| item.sku),
                None => None,
            };
            let body = ListingBody {
                id: listing_id.0,
                remote_id: listing.remote_id,
                remote_sku: listing.remote_sku,
                sku,
                multiplier: listing.multiplier,
                desired,
            };
            rows.push((listing_id.0, body));
        }
        Ok(Some(Page::new(&list, rows, limit, view.seq())))
    });
    found.await?.map(Json).ok_or_else(|| Problem::unknown("system", &name))
}

pub(super) async fn known<T>(app: &App, ask: &Ask<T>, name: &str) -> Result<System, Problem> {
    let found = read(app, &ask.caller, |view| view.system_by_name(name)).await?;
    found.map(|(_, system)| system).ok_or_else(|| Problem::unknown("system", name))
}

/// A listing to make or map.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct ListingInput {
    /// Its id over there.
    remote_id: String,
    remote_sku: Option<String>,
    /// Our SKU; unmapped unless told.
    sku: Option<String>,
    /// Units of the item in one of the listing; 1 unless told.
    multiplier: Option<u32>,
}

/// Makes a listing, or maps the one of that remote id.
#[utoipa::path(post, path = "/systems/{name}/listings", tag = "systems", params(("name" = String, Path)),
    request_body = ListingInput, responses((status = 200, body = Made)))]
async fn put_listing(
    State(app): State<App>,
    Path(name): Path<String>,
    ask: Ask<ListingInput>,
) -> Result<Response, Problem> {
    known(&app, &ask, &name).await?;
    let body = Body::PutListing(PutListing {
        system: name,
        remote_id: ask.body.remote_id.clone(),
        remote_sku: ask.body.remote_sku.clone(),
        sku: ask.body.sku.clone(),
        multiplier: ask.body.multiplier.unwrap_or(1),
    });
    let committed = ask.submit(&app, body).await?;
    Ok(reply(StatusCode::OK, &committed, Made::of(&committed.answer)))
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

only_objects!(AddBody, ListingInput, PauseBody);
