//! What is shown where; and the end of rules of every kind.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use onhand_engine::preview::{Differs, Preview, preview};
use onhand_engine::{SubmitError, View};
use onhand_ledger::command::{SetPublication, Source};
use onhand_ledger::model::{Horizon, Publication};
use onhand_ledger::{Body, Command, RuleId};
use onhand_store::StoreError;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::allocation::{SourceBody, names};
use super::answers::Made;
use super::ask::{Ask, date, read, reply};
use super::page::{Page, PageQuery};
use crate::App;
use crate::auth::Caller;
use crate::blocking::blocking;
use crate::body::only_objects;
use crate::decimal::Decimal;
use crate::error::Problem;
use crate::extract::{Id, Query};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(set_publication, list_publication))
        .routes(routes!(preview_publication))
        .routes(routes!(end))
}

/// How a number follows from stock: stop-at, buffer, percentage, cap, in that order.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct PublicationInput {
    /// Every system unless told.
    system: Option<String>,
    /// Of that system one location, by its id over there; all of them unless told.
    remote_location: Option<String>,
    /// Every item unless told.
    sku: Option<String>,
    /// Or the items with this tag.
    tag: Option<String>,
    /// Or one listing, by its id in that system.
    listing: Option<String>,
    /// Which of our locations count; those behind the remote location unless told. What is inside another counts once.
    #[schema(value_type = Option<Vec<SourceBody>>)]
    locations: Option<Vec<Source>>,
    /// Kept back.
    buffer: Option<Decimal>,
    /// Keep back as much as is measured to be enough, but for one time in so many (2 to 1,000,000): by the item's rate of sale and how long the
    /// slowest other system may sell what is gone. At least `buffer`; sized every five minutes, each new size an entry.
    risk_one_in: Option<u32>,
    /// And no more than this.
    buffer_at_most: Option<Decimal>,
    /// Never more than this.
    cap: Option<Decimal>,
    /// 0 to 100.
    percentage: Option<u8>,
    /// 0 at or below this much.
    stop_at: Option<Decimal>,
    /// Count what is expected too: up to so many days after today, by the days of the place where it is expected.
    incoming_days: Option<u16>,
    /// Or up to this day, such as `2026-12-05`.
    incoming_until: Option<String>,
    /// A formula in CEL in place of `buffer`, `cap`, `percentage` and `stop_at`: whole numbers of the item's smallest accepted unit, of
    /// `available`, `on_hand`, `reserved`, `committed`, `safety_stock`, `damaged`, `quality_control`, `in_transit` and `incoming`. Where it gives no number (it
    /// divides by 0, it overflows), 0 is shown.
    formula: Option<String>,
    /// Leave the number to the system: nothing is sent, and what it shows is neither in step nor out of step. Goes with no
    /// other field but those that say of what.
    skip: Option<bool>,
}

impl PublicationInput {
    fn command(&self) -> Result<SetPublication, Problem> {
        let incoming_until = date("incoming_until", self.incoming_until.as_deref())?;
        Ok(SetPublication {
            system: self.system.clone(),
            remote_location: self.remote_location.clone(),
            sku: self.sku.clone(),
            tag: self.tag.clone(),
            listing: self.listing.clone(),
            locations: self.locations.clone(),
            buffer: self.buffer.map(|buffer| buffer.0),
            risk_one_in: self.risk_one_in,
            buffer_at_most: self.buffer_at_most.map(|most| most.0),
            cap: self.cap.map(|cap| cap.0),
            percentage: self.percentage,
            stop_at: self.stop_at.map(|stop_at| stop_at.0),
            incoming_days: self.incoming_days,
            incoming_until,
            formula: self.formula.clone(),
            skip: self.skip,
        })
    }
}

/// Says how a number follows from stock. The most specific rule speaks: listing, item, tag, all; then remote location,
/// system, all. There is one rule for each of these: setting it again changes it. Two rules for tags that one item has both of
/// are refused where they say different things at the same place.
#[utoipa::path(post, path = "/publication", tag = "rules", request_body = PublicationInput,
    responses((status = 200, body = Made)))]
async fn set_publication(State(app): State<App>, ask: Ask<PublicationInput>) -> Result<Response, Problem> {
    let committed = ask.submit(&app, Body::SetPublication(ask.body.command()?)).await?;
    Ok(reply(StatusCode::OK, &committed, Made::of(&committed.answer)))
}

/// A number that would be another.
#[derive(Debug, Serialize, ToSchema)]
struct DiffersBody {
    system: String,
    /// The listing's id over there.
    listing: String,
    /// The remote location's id.
    remote_location: String,
    sku: String,
    /// What it should show by the rules there are; none: it is left to the system.
    from: Option<Decimal>,
    /// What it would show.
    to: Option<Decimal>,
    /// Why so much; empty where it is all that is available.
    because: String,
}

impl From<Differs> for DiffersBody {
    fn from(differs: Differs) -> Self {
        let Differs { system, listing, remote_location, sku, from, to, because } = differs;
        let (from, to) = (from.map(Decimal::from), to.map(Decimal::from));
        Self { system, listing, remote_location, sku, from, to, because }
    }
}

/// What a publication rule would change.
#[derive(Debug, Serialize, ToSchema)]
struct PublicationPreviewBody {
    /// Numbers that were compared: one for each mapped listing at each remote location.
    compared: usize,
    /// Of them would change.
    changes: usize,
    /// Of these would become zero.
    zeros: usize,
    /// The first 1,000 of them.
    first: Vec<DiffersBody>,
}

/// So many changes are told.
const TOLD: usize = 1_000;

/// What a command about a publication rule would change, if it were given now. `most`: so many changes are told.
pub(crate) async fn previewed(
    app: &App,
    caller: &Caller,
    body: Body,
    most: usize,
) -> Result<Preview, Problem> {
    let command = Command::keyed(None, &*caller.name, body);
    let (ledger, tenant) = (app.handle.ledger(), caller.tenant);
    let found = blocking(|| preview(ledger, tenant, &command, most)).await;
    found.map_err(SubmitError::Commit)?.map_err(Problem::from)
}

/// A dry run of a publication rule, on the stock there is now: which listings would show what instead of what. What would be refused as a
/// rule is refused here too. Nothing is written, and nothing is sent.
#[utoipa::path(post, path = "/publication/preview", tag = "rules", request_body = PublicationInput,
    responses((status = 200, body = PublicationPreviewBody)))]
async fn preview_publication(
    State(app): State<App>,
    ask: Ask<PublicationInput>,
) -> Result<Json<PublicationPreviewBody>, Problem> {
    let body = Body::SetPublication(ask.body.command()?);
    let Preview { compared, changes, zeros, first, .. } = previewed(&app, &ask.caller, body, TOLD).await?;
    let first = first.into_iter().map(DiffersBody::from).collect();
    Ok(Json(PublicationPreviewBody { compared, changes, zeros, first }))
}

/// A publication rule.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PublicationBody {
    pub id: u64,
    pub system: Option<String>,
    pub remote_location: Option<String>,
    pub sku: Option<String>,
    pub tag: Option<String>,
    /// The id of a listing of ours.
    pub listing: Option<u64>,
    /// That listing's id over there.
    pub listing_remote_id: Option<String>,
    pub locations: Vec<SourceBody>,
    pub buffer: Decimal,
    /// It adapts: one time in so many more is sold than is kept back.
    pub risk_one_in: Option<u32>,
    pub buffer_at_most: Option<Decimal>,
    pub cap: Option<Decimal>,
    pub percentage: u8,
    pub stop_at: Option<Decimal>,
    pub incoming_days: Option<u16>,
    pub incoming_until: Option<String>,
    pub formula: Option<String>,
    pub skip: bool,
    /// What it says of a number, in a sentence.
    pub explanation: String,
}

/// All publication rules. Where none speaks, all that is available is shown.
#[utoipa::path(get, path = "/publication", tag = "rules", params(PageQuery),
    responses((status = 200, body = Page<PublicationBody>)))]
async fn list_publication(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<PublicationBody>>, Problem> {
    let (mut rows, seq) = read(&app, &caller, |view| {
        let mut rows = Vec::new();
        for (id, rule) in view.rules()?.publication {
            rows.push((id.0, publication(view, id, rule)?));
        }
        Ok((rows, view.seq()))
    })
    .await?;
    rows.sort_by_key(|(id, _)| *id);
    Page::of_all("publication", rows, &page, seq).map(Json)
}

/// A rule as it is told.
pub(crate) fn publication(
    view: &mut View<'_>,
    id: RuleId,
    rule: Publication,
) -> Result<PublicationBody, StoreError> {
    let explanation = view.said_by(&rule)?;
    let system = match rule.system {
        Some(system) => view.system(system)?.map(|system| system.name),
        None => None,
    };
    let sku = match rule.item {
        Some(item) => view.item(item)?.map(|item| item.sku),
        None => None,
    };
    let listing_remote_id = match rule.listing {
        Some(listing) => view.listing(listing)?.map(|listing| listing.remote_id),
        None => None,
    };
    Ok(PublicationBody {
        id: id.0,
        system,
        remote_location: rule.remote_location,
        sku,
        tag: rule.tag,
        listing: rule.listing.map(|listing| listing.0),
        listing_remote_id,
        locations: names(view, rule.counts)?,
        buffer: rule.buffer.into(),
        risk_one_in: rule.risk_one_in,
        buffer_at_most: rule.buffer_at_most.map(Decimal::from),
        cap: rule.cap.map(Decimal::from),
        percentage: rule.percentage,
        stop_at: rule.stop_at.map(Decimal::from),
        incoming_days: match rule.incoming {
            Some(Horizon::Days(days)) => Some(days),
            _ => None,
        },
        incoming_until: match rule.incoming {
            Some(Horizon::Until(day)) => Some(day.to_string()),
            _ => None,
        },
        formula: rule.formula,
        skip: rule.skip,
        explanation,
    })
}

/// Nothing.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct Nothing {}

/// Ends an ownership, publication or allocation rule, or a stop of selling.
#[utoipa::path(delete, path = "/rules/{id}", tag = "rules", params(("id" = u64, Path)),
    responses((status = 200, body = Made)))]
async fn end(State(app): State<App>, Id(id): Id, ask: Ask<Nothing>) -> Result<Response, Problem> {
    let Nothing {} = ask.body;
    let committed = ask.submit(&app, Body::EndRule(RuleId(id))).await?;
    Ok(reply(StatusCode::OK, &committed, Made::of(&committed.answer)))
}

only_objects!(PublicationInput, Nothing);
