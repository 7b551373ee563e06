//! Stock by item, location and state.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use onhand_engine::{Past, Shelf, View};
use onhand_ledger::entry::Entry;
use onhand_ledger::key::StockState;
use onhand_ledger::model::Item;
use onhand_ledger::{Instant, ItemId, Key, LocationId, Quantity, Seq, Value};
use onhand_store::StoreError;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ask::{instant, read};
use super::page::Page;
use crate::App;
use crate::auth::Caller;
use crate::decimal::Decimal;
use crate::error::Problem;
use crate::extract::Query;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Stock at a location.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LocationStock {
    /// The location's code; `total` for the sum.
    pub location: String,
    /// What can be promised to an order: `buildable` is a part of it, `unsellable` is not.
    pub available: Decimal,
    /// Neither promised nor to be had: its lot ended or was called back, or nothing is sold there.
    pub unsellable: Decimal,
    pub reserved: Decimal,
    pub committed: Decimal,
    pub damaged: Decimal,
    pub quality_control: Decimal,
    pub safety_stock: Decimal,
    /// The sum of all before, without `buildable`.
    pub on_hand: Decimal,
    /// Of `available`: kits that can be built of what lies there and inside it; said at its site.
    pub buildable: Decimal,
    /// On its way here from other locations; not on hand.
    pub in_transit: Decimal,
    /// Expected: the open rest of purchase orders, and what is in transit. None where a past moment is asked for.
    pub incoming: Option<Decimal>,
    /// Where a past moment is asked for and something was less than nothing then: what makes it so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub late_fact: Option<LateFact>,
}

/// What was dated before the goods it took were there.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LateFact {
    /// Its entry.
    pub seq: u64,
    /// It, in words.
    pub sentence: String,
}

/// A late fact in words: when it happened, and when it was recorded.
fn late_fact(view: &mut View<'_>, seq: Seq) -> Result<Option<LateFact>, StoreError> {
    let Some((Entry::Movement(movement), record, ..)) = view.entry(seq)? else { return Ok(None) };
    let sentence = format!(
        "Less than nothing by what happened, as known later: entry {seq} ({}, recorded at {}) took {} at {}, which were not there then.",
        movement.reason, record.recorded_at, movement.quantity, movement.occurred_at
    );
    Ok(Some(LateFact { seq, sentence }))
}

/// An item's stock.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ItemStock {
    pub sku: String,
    pub name: String,
    pub unit: String,
    /// The moment, if a past one was asked for.
    pub as_of: Option<String>,
    /// The last entry of the log that this sees.
    pub seq: u64,
    /// Where it ever was, or can be built, the oldest location first.
    pub locations: Vec<LocationStock>,
    pub total: LocationStock,
}

fn location_stock(location: String, shelf: &Shelf, incoming: Option<Quantity>) -> LocationStock {
    LocationStock {
        location,
        available: shelf.available().into(),
        unsellable: shelf.unsellable.into(),
        reserved: shelf.of(StockState::Reserved).into(),
        committed: shelf.of(StockState::Committed).into(),
        damaged: shelf.of(StockState::Damaged).into(),
        quality_control: shelf.of(StockState::QualityControl).into(),
        safety_stock: shelf.of(StockState::SafetyStock).into(),
        on_hand: shelf.on_hand().into(),
        buildable: shelf.buildable.into(),
        in_transit: shelf.of(StockState::InTransit).into(),
        incoming: incoming.map(Decimal::from),
        late_fact: None,
    }
}

/// Which past is asked about; none: now.
pub(super) fn past_of(
    view: &mut View<'_>,
    as_of: Option<Instant>,
    known_at: Option<Instant>,
) -> Result<Option<Past>, StoreError> {
    let Some(at) = as_of.or(known_at.map(|_| view.now)) else { return Ok(None) };
    let known = match known_at {
        Some(known_at) => view.seq_at(known_at)?,
        None => Seq::MAX,
    };
    Ok(Some(Past { at, moment: Some(at), known }))
}

/// An item's stock now, or at a past instant as known now or then; at one location and inside it, or everywhere.
pub(super) fn item_stock(
    view: &mut View<'_>,
    id: ItemId,
    item: &Item,
    as_of: Option<Instant>,
    known_at: Option<Instant>,
    place: Option<LocationId>,
) -> Result<ItemStock, StoreError> {
    let past_stock = past_of(view, as_of, known_at)?;
    let past = past_stock.map(|past| past.at);
    let mut places = view.shelves(id, place, past_stock)?;
    let is_below = |shelf: &Shelf| shelf.states.values().any(|quantity| quantity.is_negative());
    let late = match past_stock.filter(|_| places.values().any(is_below)) {
        Some(past) => view.late_facts(id, past)?,
        None => BTreeMap::new(),
    };
    let mut total = Shelf::default();
    for shelf in places.values() {
        total.add(shelf);
    }
    let mut incoming = BTreeMap::<LocationId, Quantity>::new();
    if past.is_none() {
        let inside = place.map(|place| view.inside(place)).transpose()?;
        let is_meant = |location: &LocationId| inside.as_ref().is_none_or(|inside| inside.contains(location));
        for expected in view.expected(id)?.into_iter().filter(|one| is_meant(&one.location)) {
            *incoming.entry(expected.location).or_default() += expected.incoming.quantity;
            places.entry(expected.location).or_default();
        }
    }
    let expected = |location| past.is_none().then(|| incoming.get(&location).copied().unwrap_or_default());
    let all_expected = past.is_none().then(|| incoming.values().copied().sum());
    let mut locations = Vec::new();
    for (location, shelf) in places {
        let code = view.location(location)?.map_or_else(|| location.to_string(), |location| location.code);
        let late_fact = late.get(&location).map(|seq| late_fact(view, *seq)).transpose()?.flatten();
        locations.push(LocationStock { late_fact, ..location_stock(code, &shelf, expected(location)) });
    }
    Ok(ItemStock {
        sku: item.sku.clone(),
        name: item.name.clone(),
        unit: item.unit.clone(),
        as_of: past.map(|at| at.to_string()),
        seq: view.seq(),
        locations,
        total: location_stock("total".to_owned(), &total, all_expected),
    })
}

/// Which stock.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct StockQuery {
    /// How many items at most: 1 to 100; 50 unless told.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Stock at this instant (RFC 3339), by what happened. `at` is read too.
    #[serde(alias = "at")]
    as_of: Option<String>,
    /// … as it was known at this instant.
    known_at: Option<String>,
    /// Only at this location, and in all that is inside it.
    location: Option<String>,
}

/// How many items are looked at in one answer: the committer waits for whoever reads.
const EXAMINED: usize = 500;

/// The stock of all items, the oldest item first. At a location there may be fewer in a page than asked for though
/// there are more to come.
#[utoipa::path(get, path = "/stock", tag = "stock", params(StockQuery),
    responses((status = 200, body = Page<ItemStock>)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<StockQuery>,
) -> Result<Json<Page<ItemStock>>, Problem> {
    let page = super::page::PageQuery { limit: query.limit, cursor: query.cursor };
    let (limit, after) = (page.limit()?, page.after("stock")?);
    let as_of = instant("as_of", query.as_of.as_deref())?;
    let known_at = instant("known_at", query.known_at.as_deref())?;
    let found = read(&app, &caller, |view| {
        let place = match &query.location {
            None => None,
            Some(code) => match view.location_by_code(code)? {
                Some((id, _)) => Some(id),
                None => return Ok(None),
            },
        };
        let examined = view.range(
            &Key::Item(ItemId(after + 1)),
            &Key::Item(ItemId(Seq::MAX >> 1)),
            false,
            EXAMINED + 1,
        )?;
        let more = examined.len() > EXAMINED;
        let (mut data, mut next) = (Vec::new(), None);
        for (key, value) in examined.into_iter().take(EXAMINED) {
            let (Key::Item(id), Value::Item(item)) = (key, value) else { continue };
            if data.len() == limit {
                return Ok(Some(Page::looked_through("stock", data, next, view.seq())));
            }
            next = Some(id.0);
            // An item that was merged had stock before.
            let speaks_of = as_of.unwrap_or(Instant::MAX).min(known_at.unwrap_or(Instant::MAX));
            if item.merged_into.is_some_and(|merged| speaks_of >= merged.at) {
                continue;
            }
            let stock = item_stock(view, id, &item, as_of, known_at, place)?;
            if place.is_none() || !stock.locations.is_empty() {
                data.push(stock);
            }
        }
        let next = next.filter(|_| more);
        Ok(Some(Page::looked_through("stock", data, next, view.seq())))
    });
    found.await?.map(Json).ok_or_else(|| {
        Problem::unknown("location with the code", query.location.as_deref().unwrap_or_default())
    })
}
