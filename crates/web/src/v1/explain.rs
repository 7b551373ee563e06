//! Why each system shows what it shows, and what could be oversold right now.

use axum::Json;
use axum::extract::State;
use onhand_engine::explain::{Between, Chain, Explained, Exposure, explain_item, exposure};
use onhand_engine::systems::Sent;
use onhand_ledger::ListingId;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ask::{count, read};
use super::page::{Page, PageQuery};
use super::stock::{ItemStock, item_stock};
use super::systems::sent::{MasterDocumentBody, open_at_masters};
use crate::App;
use crate::auth::Caller;
use crate::decimal::Decimal;
use crate::error::Problem;
use crate::extract::{Path, Query};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(explain)).routes(routes!(list_exposure))
}

/// What a system shows of an item, and why.
#[derive(Debug, Serialize, ToSchema)]
struct ShownBody {
    system: String,
    listing: String,
    remote_location: String,
    /// What it should show, in its own units; null where a rule leaves it to the system, or it tells us.
    desired: Option<Decimal>,
    /// What it last acknowledged.
    acknowledged: Option<Decimal>,
    /// What was last read back.
    observed: Option<Decimal>,
    observed_at: Option<String>,
    in_step: bool,
    /// `in_step`, `on_its_way`, `behind` (longer than its usual lag), `paused`, `needs_you`, or
    /// `left_to_it` by a rule.
    #[schema(example = "in_step")]
    standing: &'static str,
    /// Units of the item that it offers beyond what is available there and not sold by orders that wait, or, with its other locations,
    /// beyond what there is in all: they can be oversold right now.
    exposed: Decimal,
    /// Why, in plain words.
    explanation: String,
    chain: ChainBody,
}

/// The whole way from the stock to the number that is shown.
#[derive(Debug, Serialize, ToSchema)]
struct ChainBody {
    /// The stock behind it, location by location.
    stock: Vec<BehindBody>,
    /// What of it is available, over all of them, in units of the item.
    available: Decimal,
    /// The publication rule that was applied, if any.
    rule: Option<String>,
    /// What the rule, packs and waiting documents did, in words; empty where they did nothing.
    because: String,
    /// When the number that it should show came to be: when what can be sold there, a rule or an order that waits last changed it.
    since: Option<String>,
    /// What was last sent.
    sent: Option<SentBody>,
    /// What happened since it was sent, or to the number over there: the newest, in the order it happened.
    between: Vec<BetweenBody>,
}

/// What can be sold at one of our locations.
#[derive(Debug, Serialize, ToSchema)]
struct BehindBody {
    location: String,
    available: Decimal,
    /// Of that: sold by documents that wait in the inbox.
    claimed: Decimal,
}

/// A number that was sent.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SentNumberBody)]
struct SentBody {
    quantity: Decimal,
    at: String,
    /// The newest entry that it was computed at.
    seq: u64,
    /// When the system acknowledged it; null where it has not.
    acknowledged_at: Option<String>,
    /// The answer was lost, and it was read back instead.
    by_reading: bool,
}

/// Something that lies between what was sent and what should be shown, or is.
#[derive(Debug, Serialize, ToSchema)]
struct BetweenBody {
    at: String,
    quantity: Decimal,
    /// Our entry; null where it happened over there.
    seq: Option<u64>,
    sentence: String,
}

impl From<Sent> for SentBody {
    fn from(sent: Sent) -> Self {
        Self {
            quantity: sent.quantity.into(),
            at: sent.at.to_string(),
            seq: sent.seq,
            acknowledged_at: sent.acknowledged_at.map(|at| at.to_string()),
            by_reading: sent.by_reading,
        }
    }
}

impl From<Between> for BetweenBody {
    fn from(between: Between) -> Self {
        let Between { at, quantity, seq, sentence } = between;
        Self { at: at.to_string(), quantity: quantity.into(), seq, sentence }
    }
}

impl From<Chain> for ChainBody {
    fn from(chain: Chain) -> Self {
        let stock = chain.stock.into_iter().map(|behind| BehindBody {
            location: behind.location,
            available: behind.available.into(),
            claimed: behind.claimed.into(),
        });
        Self {
            stock: stock.collect(),
            available: chain.available.into(),
            rule: chain.rule.map(|rule| rule.to_string()),
            because: chain.because,
            since: chain.since.map(|since| since.to_string()),
            sent: chain.sent.map(SentBody::from),
            between: chain.between.into_iter().map(BetweenBody::from).collect(),
        }
    }
}

impl From<Explained> for ShownBody {
    fn from(explained: Explained) -> Self {
        let Explained { shown, standing, exposed, chain } = explained;
        Self {
            system: shown.system,
            listing: shown.listing,
            remote_location: shown.remote_location,
            desired: (!shown.is_skipped && !shown.one_way_in).then(|| shown.desired.into()),
            acknowledged: shown.acknowledged.map(Decimal::from),
            observed: shown.observed.map(|(quantity, _)| quantity.into()),
            observed_at: shown.observed.map(|(_, at)| at.to_string()),
            in_step: shown.in_step,
            standing: standing.name(),
            exposed: exposed.into(),
            explanation: shown.explanation,
            chain: chain.into(),
        }
    }
}

/// An item explained: its stock, and each system's number with the sentence that explains it.
#[derive(Debug, Serialize, ToSchema)]
struct Explanation {
    stock: ItemStock,
    shown: Vec<ShownBody>,
    /// What systems have of it that are master of it somewhere, and are not done with: what they shall ship, expect or count; of much
    /// the newest.
    sent: Vec<MasterDocumentBody>,
}

/// Why does a system show what it shows? The truth by location and state, and each system's number beside it, with the
/// whole way from the one to the other.
#[utoipa::path(get, path = "/items/{sku}/explain", tag = "items", params(("sku" = String, Path)),
    responses((status = 200, body = Explanation)))]
async fn explain(
    State(app): State<App>,
    caller: Caller,
    Path(sku): Path<String>,
) -> Result<Json<Explanation>, Problem> {
    let found = read(&app, &caller, |view| {
        let Some((id, item)) = view.item_by_sku(&sku)? else { return Ok(None) };
        let stock = item_stock(view, id, &item, None, None, None)?;
        let shown = explain_item(view, id)?.into_iter().map(ShownBody::from);
        let shown = shown.collect();
        Ok(Some(Explanation { stock, shown, sent: open_at_masters(view, id)? }))
    });
    found.await?.map(Json).ok_or_else(|| Problem::unknown("item with the SKU", &sku))
}

/// A listing that offers more than is available.
#[derive(Debug, Serialize, ToSchema)]
struct ExposureBody {
    sku: String,
    system: String,
    listing: String,
    remote_location: String,
    /// What it shows, in its own units.
    shows: Decimal,
    /// What is available there and not sold by orders that wait, in units of the item.
    available: Decimal,
    /// Units of the item that can be oversold right now: what is offered beyond what is available, and of stock that several of its
    /// locations offer what is offered more than once.
    exposed: Decimal,
    /// How long it usually takes until the system shows a lower number; null where that is not known, or nothing is sent.
    for_ms: Option<u32>,
    /// As in an explanation.
    standing: &'static str,
}

impl From<Exposure> for ExposureBody {
    fn from(one: Exposure) -> Self {
        Self {
            sku: one.sku,
            system: one.system,
            listing: one.listing,
            remote_location: one.remote_location,
            shows: one.shows.into(),
            available: one.available.into(),
            exposed: one.exposed.into(),
            for_ms: one.for_millis,
            standing: one.standing.name(),
        }
    }
}

/// What could be oversold right now: listings that offer more than is available, the oldest listing first, each once for each of its
/// locations over there. `limit` counts listings.
#[utoipa::path(get, path = "/exposure", tag = "systems", params(PageQuery),
    responses((status = 200, body = Page<ExposureBody>)))]
async fn list_exposure(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<ExposureBody>>, Problem> {
    let (limit, after) = (page.limit()?, page.after("exposure")?);
    count(&app, &caller).await?;
    let found = read(&app, &caller, |view| Ok((exposure(view, ListingId(after), limit)?, view.seq())));
    let ((rows, until), seq) = found.await?;
    let data = rows.into_iter().map(ExposureBody::from).collect();
    Ok(Json(Page::looked_through("exposure", data, until.map(|listing| listing.0), seq)))
}
