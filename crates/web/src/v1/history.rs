//! The ledgers of an item and of a location, and single entries of them.

use axum::Json;
use axum::extract::State;
use onhand_engine::{HistoryFilter, HistoryPage, LedgerRow, StateChange, View};
use onhand_ledger::entry::{Account, Movement};
use onhand_ledger::{Entry, ItemId, Key, LocationId, OrderId, Record, Seq, StockState, Value};
use onhand_store::StoreError;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::PriceBody;
use super::ask::{instant, read};
use super::page::{Page, PageQuery};
use crate::App;
use crate::auth::Caller;

use crate::decimal::Decimal;
use crate::error::Problem;
use crate::extract::{Id, Path, Query};

/// How many movements of an item, and parts of the log, are looked at while the committer waits; how often in one answer.
const EXAMINED: usize = 400;
const CHUNKS: usize = 150;
const SLICES: usize = 20;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(show_history))
        .routes(routes!(show_location_history))
        .routes(routes!(show_movement))
}

/// One side of a movement.
#[derive(Debug, Serialize, ToSchema)]
struct SideBody {
    /// A location's code; none for an outside party.
    location: Option<String>,
    /// A state of stock, or an outside party.
    state: &'static str,
    /// The lot or serial, where the item is tracked.
    #[serde(skip_serializing_if = "Option::is_none")]
    lot: Option<String>,
    /// What it holds afterwards.
    balance: Decimal,
}

/// How a state of stock changed. States that are not named did not.
#[derive(Debug, Serialize, ToSchema)]
struct ChangeBody {
    location: String,
    state: &'static str,
    change: Decimal,
    /// What the state holds there afterwards, in the order things were recorded. None in the ledger of a location where
    /// lots are told apart.
    total: Option<Decimal>,
}

/// A movement.
#[derive(Debug, Serialize, ToSchema)]
struct MovementBody {
    /// Its entry in the log.
    seq: u64,
    sku: String,
    /// What happened, in words: `3 from available at LONDON to customer`.
    activity: String,
    occurred_at: String,
    recorded_at: String,
    /// It happened before something of the same stock that was known already.
    late: bool,
    /// Who asked or told: an API key's name, a system's, or `onhand`.
    actor: String,
    /// The system whose document it comes from.
    system: Option<String>,
    /// The outside document it comes from.
    document: Option<String>,
    /// The order it was for: its id, and its name in whoever has it.
    order: Option<u64>,
    order_name: Option<String>,
    reason: String,
    quantity: Decimal,
    from: SideBody,
    to: SideBody,
    /// What changed of ours: by how much, and what there is afterwards.
    changes: Vec<ChangeBody>,
    /// The movement or count that it corrects or explains.
    corrects: Option<u64>,
    /// The movements that correct or explain it.
    corrected_by: Vec<u64>,
    /// Those of them that take it back, if it was wrong.
    reversed_by: Vec<u64>,
    /// How much of it they take back.
    reversed: Decimal,
    /// What one unit did cost, where it was told.
    unit_cost: Option<PriceBody>,
    /// The paper that whoever asked named for it.
    reference: Option<String>,
    /// What whoever asked said of it.
    note: Option<String>,
}

/// A count.
#[derive(Debug, Serialize, ToSchema)]
struct CountTaken {
    /// Its entry in the log.
    seq: u64,
    sku: String,
    location: String,
    as_of: String,
    recorded_at: String,
    actor: String,
    counted: Decimal,
    /// How much there was at that time, by what was known when it was entered.
    found: Decimal,
    /// The movements that book its difference, or give a part of it back.
    corrected_by: Vec<u64>,
}

/// An entry that moves stock, or that such a one corrects.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
enum EntryShown {
    Movement(Box<MovementBody>),
    Count(CountTaken),
}

fn sku(view: &mut View<'_>, item: ItemId) -> Result<String, StoreError> {
    Ok(view.item(item)?.map_or_else(|| item.to_string(), |item| item.sku))
}

fn code(view: &mut View<'_>, location: LocationId) -> Result<String, StoreError> {
    Ok(view.location(location)?.map_or_else(|| location.to_string(), |location| location.code))
}

fn side(view: &mut View<'_>, account: Account) -> Result<SideBody, StoreError> {
    let location = if account.state.is_party() { None } else { Some(code(view, account.location)?) };
    let lot = view.lot(account.lot)?.map(|lot| lot.code);
    Ok(SideBody { location, state: account.state.name(), lot, balance: account.balance.into() })
}

/// What whoever has an order calls it.
pub(super) fn order_name(view: &mut View<'_>, order: OrderId) -> Result<Option<String>, StoreError> {
    Ok(match view.get(&Key::Order(order))? {
        Some(Value::Order(order)) => Some(order.document),
        _ => None,
    })
}

fn in_words(side: &SideBody) -> String {
    let state = side.state.replace('_', " ");
    side.location.as_ref().map_or_else(|| state.clone(), |location| format!("{state} at {location}"))
}

fn movement_body(view: &mut View<'_>, row: LedgerRow) -> Result<MovementBody, StoreError> {
    let LedgerRow { seq, movement, record, order, changes, corrected_by, reversals, cost } = row;
    let Movement { item, from, to, quantity, occurred_at, reason, corrects, .. } = movement;
    let (from, to) = (side(view, from)?, side(view, to)?);
    let late = changes.iter().any(|change| change.late);
    let mut told = Vec::new();
    for StateChange { location, state, change, total, .. } in changes {
        told.push(ChangeBody {
            location: code(view, location)?,
            state: state.name(),
            change: change.into(),
            total: total.map(Decimal::from),
        });
    }
    let Record { recorded_at, actor, document, reference, note, .. } = record;
    let system = match &document {
        None => None,
        Some((id, _)) => Some(view.system(*id)?.map_or_else(|| "onhand".to_owned(), |system| system.name)),
    };
    Ok(MovementBody {
        seq,
        sku: sku(view, item)?,
        activity: format!("{quantity} from {} to {}", in_words(&from), in_words(&to)),
        occurred_at: occurred_at.to_string(),
        recorded_at: recorded_at.to_string(),
        late,
        actor,
        system,
        document: document.map(|(_, document)| document),
        order: order.map(|order| order.0),
        order_name: order.map(|order| order_name(view, order)).transpose()?.flatten(),
        reason,
        quantity: quantity.into(),
        from,
        to,
        changes: told,
        corrects,
        corrected_by,
        reversed_by: reversals.by,
        reversed: reversals.quantity.into(),
        unit_cost: cost.map(PriceBody::from),
        reference,
        note,
    })
}

/// Which movements.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct HistoryQuery {
    /// How many at most: 1 to 100; 50 unless told.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Only out of or into this location, and what is inside it.
    location: Option<String>,
    /// Only those that changed this state, such as `available`.
    state: Option<String>,
    /// Only with exactly this reason, such as `received`.
    reason: Option<String>,
    /// Only asked or told by exactly this one.
    actor: Option<String>,
    /// Only from the outside document of exactly this name.
    document: Option<String>,
    /// Only what happened at or after this instant (RFC 3339).
    from: Option<String>,
    /// Only what happened before this instant (RFC 3339).
    until: Option<String>,
}

impl HistoryQuery {
    fn page(&self) -> PageQuery {
        PageQuery { limit: self.limit, cursor: self.cursor.clone() }
    }

    fn filter(&self) -> Result<HistoryFilter, Problem> {
        let state = match self.state.as_deref() {
            None => None,
            Some(name) => {
                let ours = || StockState::ALL.into_iter().filter(|state| !state.is_party());
                let known = ours().find(|state| state.name() == name);
                let names: Vec<&str> = ours().map(StockState::name).collect();
                let problem = format!("`{name}` is no state; one of {} is", names.join(", "));
                Some(known.ok_or_else(|| Problem::of_field("state", problem))?)
            }
        };
        Ok(HistoryFilter {
            locations: None,
            state,
            reason: self.reason.clone(),
            actor: self.actor.clone(),
            document: self.document.clone(),
            from: instant("from", self.from.as_deref())?,
            until: instant("until", self.until.as_deref())?,
        })
    }
}

/// The ledger of an item and of what was merged into it: what changed, when, by whom, why, and what each state held
/// afterwards; the newest first, in the order it was recorded. There may be fewer in a page than asked for though
/// there are more to come: follow `next_cursor`.
#[utoipa::path(get, path = "/items/{sku}/history", tag = "items", params(("sku" = String, Path), HistoryQuery),
    responses((status = 200, body = Page<MovementBody>)))]
async fn show_history(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Query(query): Query<HistoryQuery>,
) -> Result<Json<Page<MovementBody>>, Problem> {
    let mut filter = query.filter()?;
    let found = read(&app, &caller, |view| {
        let item = view.item_by_sku(&name)?.map(|(id, _)| id);
        let place = query.location.as_deref().map(|code| view.location_by_code(code)).transpose()?.flatten();
        let places = place.map(|(id, _)| view.inside(id)).transpose()?;
        Ok((item, places))
    });
    let (item, places) = found.await?;
    let item = item.ok_or_else(|| Problem::unknown("item with the SKU", &name))?;
    if let (Some(code), None) = (&query.location, &places) {
        return Err(Problem::unknown("location with the code", code));
    }
    filter.locations = places;
    let list = format!("history of {name}");
    gather(&app, &caller, &query.page(), &list, |view, before, limit| {
        view.item_history(item, &filter, before, limit, EXAMINED)
    })
    .await
}

/// The ledger of a location, and of all that is inside it: as that of an item, of all items.
#[utoipa::path(get, path = "/locations/{code}/history", tag = "locations",
    params(("code" = String, Path), HistoryQuery), responses((status = 200, body = Page<MovementBody>)))]
async fn show_location_history(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Query(query): Query<HistoryQuery>,
) -> Result<Json<Page<MovementBody>>, Problem> {
    let mut filter = query.filter()?;
    let narrower = query.location.clone().unwrap_or_else(|| name.clone());
    let found = read(&app, &caller, |view| {
        let mut places = Vec::new();
        for code in [&name, &narrower] {
            places.push(match view.location_by_code(code)? {
                Some((id, _)) => Some(view.inside(id)?),
                None => None,
            });
        }
        Ok(places)
    });
    let mut places = found.await?.into_iter();
    let missing = |code: &str| Problem::unknown("location with the code", code);
    let all = places.next().flatten().ok_or_else(|| missing(&name))?;
    let some = places.next().flatten().ok_or_else(|| missing(&narrower))?;
    filter.locations = Some(all.intersection(&some).copied().collect());
    let list = format!("history at {name}");
    gather(&app, &caller, &query.page(), &list, |view, before, limit| {
        view.location_history(&filter, before, limit, CHUNKS)
    })
    .await
}

/// Reads a page in slices, between which others are served.
async fn gather(
    app: &App,
    caller: &Caller,
    query: &PageQuery,
    list: &str,
    part: impl Fn(&mut View<'_>, Seq, usize) -> Result<HistoryPage, StoreError>,
) -> Result<Json<Page<MovementBody>>, Problem> {
    let limit = query.limit()?;
    let mut before = if query.cursor.is_some() { query.after(list)? } else { Seq::MAX >> 1 };
    // One more than is shown says whether there are more.
    let wanted = limit + 1;
    let mut found: Vec<(Seq, MovementBody)> = Vec::new();
    let (mut next, mut seen) = (None, 0);
    for _ in 0..SLICES {
        let (rows, until, seq) = read(app, caller, |view| {
            let page = part(view, before, wanted - found.len())?;
            let body = |row: LedgerRow| Ok((row.seq, movement_body(view, row)?));
            let rows: Result<Vec<_>, StoreError> = page.rows.into_iter().map(body).collect();
            Ok((rows?, page.next, view.seq()))
        })
        .await?;
        found.extend(rows);
        seen = if seen == 0 { seq } else { seen };
        next = until;
        match next {
            Some(seq) if found.len() < wanted => before = seq,
            _ => break,
        }
    }
    if found.len() > limit {
        found.truncate(limit);
        next = found.last().map(|(seq, _)| *seq);
    }
    let data = found.into_iter().map(|(_, body)| body).collect();
    Ok(Json(Page::looked_through(list, data, next, seen)))
}

/// A movement or a count by its entry in the log, with what it corrects and what corrects it.
#[utoipa::path(get, path = "/movements/{seq}", tag = "movements", params(("seq" = u64, Path)),
    responses((status = 200, body = EntryShown)))]
async fn show_movement(
    State(app): State<App>,
    caller: Caller,
    Id(seq): Id,
) -> Result<Json<EntryShown>, Problem> {
    let found = read(&app, &caller, |view| {
        let corrected_by = view.corrected_by(seq)?;
        match view.entry(seq)? {
            Some((Entry::Movement(movement), record, cost, order)) => {
                let reversals = view.reversals(seq)?;
                let sides = [(movement.from, -movement.quantity), (movement.to, movement.quantity)];
                let ours = sides.into_iter().filter(|(account, _)| !account.state.is_party());
                let change = |(account, change): (Account, onhand_ledger::Quantity)| StateChange {
                    item: movement.item,
                    location: account.location,
                    state: account.state,
                    lot: account.lot,
                    change,
                    total: (account.lot.0 == 0).then_some(account.balance),
                    late: account.late,
                };
                let changes = ours.map(change).collect();
                let row = LedgerRow { seq, movement, record, order, changes, corrected_by, reversals, cost };
                movement_body(view, row).map(|body| Some(EntryShown::Movement(Box::new(body))))
            }
            Some((Entry::Count(_, count), record, ..)) => Ok(Some(EntryShown::Count(CountTaken {
                seq,
                sku: sku(view, count.item)?,
                location: code(view, count.location)?,
                as_of: count.as_of.to_string(),
                recorded_at: record.recorded_at.to_string(),
                actor: record.actor,
                counted: count.counted.into(),
                found: count.found.into(),
                corrected_by,
            }))),
            _ => Ok(None),
        }
    });
    found.await?.map(Json).ok_or_else(|| Problem::unknown("movement or count at entry", seq))
}
