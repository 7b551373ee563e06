//! Who is master of what.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use onhand_engine::owners::{self, Handover, Handovers};
use onhand_engine::{SubmitError, View};
use onhand_ledger::command::SetOwnership;
use onhand_ledger::model::Ownership;
use onhand_ledger::{Body, Command, RuleId, SystemId};
use onhand_store::StoreError;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::Made;
use super::ask::{Ask, read, reply};
use super::page::{Page, PageQuery};
use crate::App;
use crate::auth::Caller;
use crate::blocking::blocking;
use crate::body::only_objects;
use crate::error::Problem;
use crate::extract::Query;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(set_ownership, list_ownership))
        .routes(routes!(master))
        .routes(routes!(preview))
        .routes(routes!(list_recommended))
}

/// Who is master of some stock.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct OwnershipInput {
    /// Everywhere unless told.
    location: Option<String>,
    /// Or in the locations of this group.
    group: Option<String>,
    /// Every item unless told.
    sku: Option<String>,
    /// Or the items with this tag.
    tag: Option<String>,
    /// A system's name, or `onhand`.
    master: String,
}

impl OwnershipInput {
    fn command(&self) -> Body {
        let Self { location, group, sku, tag, master } = self;
        Body::SetOwnership(SetOwnership {
            location: location.clone(),
            group: group.clone(),
            sku: sku.clone(),
            tag: tag.clone(),
            master: master.clone(),
        })
    }
}

/// Says who is master. The most specific rule wins: by item first (SKU, tag, all), then by place: bin, zone, site, then the
/// groups of these in the same order, then everywhere. Two rules that are equally specific and name two masters of
/// anything are refused.
#[utoipa::path(post, path = "/ownership", tag = "rules", request_body = OwnershipInput,
    responses((status = 200, body = Made)))]
async fn set_ownership(State(app): State<App>, ask: Ask<OwnershipInput>) -> Result<Response, Problem> {
    let committed = ask.submit(&app, ask.body.command()).await?;
    Ok(reply(StatusCode::OK, &committed, Made::of(&committed.answer)))
}

/// An ownership rule.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OwnershipBody {
    pub id: u64,
    pub location: Option<String>,
    pub group: Option<String>,
    pub sku: Option<String>,
    pub tag: Option<String>,
    pub master: String,
}

fn system(view: &mut View<'_>, system: SystemId) -> Result<String, StoreError> {
    Ok(match system {
        SystemId::ONHAND => "onhand".to_owned(),
        other => view.system(other)?.map_or_else(String::new, |system| system.name),
    })
}

/// A rule as it is told.
pub(crate) fn ownership(
    view: &mut View<'_>,
    id: RuleId,
    rule: Ownership,
) -> Result<OwnershipBody, StoreError> {
    let location = match rule.location {
        Some(location) => view.location(location)?.map(|location| location.code),
        None => None,
    };
    let sku = match rule.item {
        Some(item) => view.item(item)?.map(|item| item.sku),
        None => None,
    };
    let master = system(view, rule.master)?;
    Ok(OwnershipBody { id: id.0, location, group: rule.group, sku, tag: rule.tag, master })
}

/// All ownership rules. Where none speaks, Onhand is master.
#[utoipa::path(get, path = "/ownership", tag = "rules", params(PageQuery),
    responses((status = 200, body = Page<OwnershipBody>)))]
async fn list_ownership(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<OwnershipBody>>, Problem> {
    let (mut rows, seq) = read(&app, &caller, |view| {
        let mut rows = Vec::new();
        for (id, rule) in view.rules()?.ownership {
            rows.push((id.0, ownership(view, id, rule)?));
        }
        Ok((rows, view.seq()))
    })
    .await?;
    rows.sort_by_key(|(id, _)| *id);
    Page::of_all("ownership", rows, &page, seq).map(Json)
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct MasterQuery {
    /// Of which item.
    sku: String,
    /// Where: a location's code.
    location: String,
}

/// Who is master of an item's stock at a location, and why.
#[derive(Debug, Serialize, ToSchema)]
struct MasterBody {
    sku: String,
    location: String,
    /// A system's name, or `onhand`.
    master: String,
    /// The rule that says so; null where none speaks, and Onhand is master.
    rule: Option<OwnershipBody>,
}

/// Who is master of an item's stock at a location: the one whose word moves it. An absolute quantity from anyone else is evidence.
#[utoipa::path(get, path = "/ownership/master", tag = "rules", params(MasterQuery),
    responses((status = 200, body = MasterBody)))]
async fn master(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<MasterQuery>,
) -> Result<Json<MasterBody>, Problem> {
    let found = read(&app, &caller, move |view| {
        let Some((item, known)) = view.item_by_sku(&query.sku)? else {
            return Ok(Err(("item with the SKU", query.sku)));
        };
        let Some((location, place)) = view.location_by_code(&query.location)? else {
            return Ok(Err(("location with the code", query.location)));
        };
        let rule = match view.ownership_of(item, location)? {
            Some((id, rule)) => Some(ownership(view, id, rule)?),
            None => None,
        };
        let master = rule.as_ref().map_or_else(|| "onhand".to_owned(), |rule| rule.master.clone());
        Ok(Ok(MasterBody { sku: known.sku, location: place.code, master, rule }))
    });
    found.await?.map(Json).map_err(|(what, name)| Problem::unknown(what, name))
}

/// Some stock whose master would be another.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HandoverBody {
    pub location: String,
    /// Of this item.
    pub sku: Option<String>,
    /// Or of those with this tag; of neither: of all that no other rule names.
    pub tag: Option<String>,
    /// The master by now: a system's name, or `onhand`.
    pub from: String,
    /// And then.
    pub to: String,
    /// Whose absolute quantities would be evidence from then on, and no longer stock; in a sentence.
    pub refused: String,
}

/// What an ownership rule would change.
#[derive(Debug, Serialize, ToSchema)]
struct PreviewBody {
    /// How many locations and groups of items would change their master.
    count: usize,
    /// The first 1,000 of them.
    changes: Vec<HandoverBody>,
}

/// So many changes are shown.
const SHOWN: usize = 1_000;

/// Of so many items it is looked what stock is there, and so much of it is told.
const STOCK: (usize, usize) = (5_000, 50);

/// What a command about an ownership rule would change, if it were given now.
pub(crate) async fn handovers(app: &App, caller: &Caller, body: Body) -> Result<Handovers, Problem> {
    let command = Command::keyed(None, &*caller.name, body);
    let (ledger, tenant) = (app.handle.ledger(), caller.tenant);
    let found = blocking(|| owners::preview(ledger, tenant, &command, STOCK)).await;
    found.map_err(SubmitError::Commit)?.map_err(Problem::from)
}

/// A dry run of an ownership rule: which stock would change its master, and whose absolute quantities would be refused from then on. What
/// would be refused as a rule is refused here too. Changes nothing.
#[utoipa::path(post, path = "/ownership/preview", tag = "rules", request_body = OwnershipInput,
    responses((status = 200, body = PreviewBody)))]
async fn preview(State(app): State<App>, ask: Ask<OwnershipInput>) -> Result<Json<PreviewBody>, Problem> {
    let changes = handovers(&app, &ask.caller, ask.body.command()).await?.changes;
    let count = changes.len();
    let changes = changes.into_iter().take(SHOWN).map(HandoverBody::from).collect();
    Ok(Json(PreviewBody { count, changes }))
}

impl From<Handover> for HandoverBody {
    fn from(change: Handover) -> Self {
        let Handover { location, sku, tag, from, to } = change;
        let named = |system: Option<String>| system.unwrap_or_else(|| "onhand".to_owned());
        let (from, to) = (named(from), named(to));
        let of = match (&sku, &tag) {
            (Some(sku), _) => format!("{sku} at {location}"),
            (None, Some(tag)) => format!("what is tagged {tag} at {location}"),
            (None, None) => location.clone(),
        };
        let refused = match from.as_str() {
            "onhand" => format!("What people count or adjust of {of} in Onhand is then {to}'s to do."),
            from => {
                format!("{from}'s snapshots and counts of {of} are then evidence in the inbox, not stock.")
            }
        };
        Self { location, sku, tag, from, to, refused }
    }
}

/// Whom we would take as master of a location.
#[derive(Debug, Serialize, ToSchema)]
struct RecommendedBody {
    location: String,
    /// Its master by now, for what no other rule names: a system's name, or `onhand`.
    master: String,
    /// Does a rule say so? Else it is Onhand's only because none speaks.
    by_rule: bool,
    /// Whom we would take.
    recommended: String,
    /// Why.
    because: String,
    /// Two that both act as master, where there are.
    warning: Option<String>,
}

/// Whom we would take as master of each location that systems share, and why: the system that is the nearest to the goods, by its `role`. Warns
/// where two both act as one.
#[utoipa::path(get, path = "/ownership/recommended", tag = "rules", params(PageQuery),
    responses((status = 200, body = Page<RecommendedBody>)))]
async fn list_recommended(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<RecommendedBody>>, Problem> {
    let found = read(&app, &caller, |view| Ok((onhand_engine::owners::recommended(view)?, view.seq())));
    let (found, seq) = found.await?;
    let named = |system: Option<String>| system.unwrap_or_else(|| "onhand".to_owned());
    let rows = found.into_iter().zip(1_u64..).map(|(one, number)| {
        let body = RecommendedBody {
            location: one.location,
            master: named(one.master),
            by_rule: one.by_rule,
            recommended: named(one.recommendation.master),
            because: one.recommendation.because,
            warning: one.recommendation.warning,
        };
        (number, body)
    });
    Page::of_all("recommended masters", rows.collect(), &page, seq).map(Json)
}

only_objects!(OwnershipInput);
