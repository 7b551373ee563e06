//! How much rules that adapt keep back: measured here, decided by [`onhand_sync::buffer`], kept by an entry.
//!
//! Measured is how much of an item was sold and in how many sales (the last hour where that is ten or more, the last day, and the
//! last four weeks: whichever asks for more counts), and how long the slowest other system that sells it may go on selling what is gone: until it has been told, and until
//! we have heard of its orders. What a kit sells is measured of its components; a kit itself keeps back what its rule keeps back at
//! least.

use std::collections::{BTreeMap, BTreeSet};

use onhand_ledger::command::SizeBuffer;
use onhand_ledger::key::StockState;
use onhand_ledger::model::{BufferSize, Holder, Listing, Role, System, Timing};
use onhand_ledger::publication::Index;
use onhand_ledger::{
    Body, Command, Instant, ItemId, Key, ListingId, OrderId, Quantity, Seq, SystemId, TenantId, Value,
};
use onhand_store::StoreError;
use onhand_sync::{Lag, Lagging, Selling, buffer, is_another, next_batch};

use crate::history::{HistoryFilter, LedgerRow};
use crate::published::Place;
use crate::queue::{Handle, SubmitError};
use crate::systems::{STATUS, WorkerStatus, read_note, remote_locations};
use crate::view::View;

/// So many listings are measured together: whoever commits waits for whoever reads.
const SLICE: usize = 50;
/// So many movements of an item are looked at; of more the newest, over the shorter time that they are of.
const EXAMINED: usize = 2_000;
const HOUR_SECONDS: u32 = 3_600;
/// Fewer sales of an hour than this say nothing of what comes: they are counted by the day.
const HOUR_SALES: u32 = 10;
/// What came all at once is taken to have come over so long.
const SHORTEST_SECONDS: u32 = 60;
const DAY_SECONDS: u32 = 86_400;
const FOUR_WEEKS_SECONDS: u32 = 28 * DAY_SECONDS;
/// A lag that too few measurements are known of is taken for this, in milliseconds.
const ASSUMED_MS: u64 = 60_000;
/// Of so many batches to come the longest wait counts: schedules may leave out nights and days.
const BATCHES: usize = 16;

/// Measures what each listing of a rule that adapts keeps back, and commits what is another than before. Says how many are.
pub async fn size_all(handle: &Handle, tenant: TenantId) -> Result<usize, SubmitError> {
    let ledger = handle.ledger();
    let failed = |error: StoreError| SubmitError::Commit(error.into());
    let known = ledger.read(tenant, |view| {
        let adapts = view.rules()?.publication.iter().any(|(_, rule)| rule.risk_one_in.is_some());
        Ok(if adapts { Some((view.published()?, lags(view)?, view.systems()?)) } else { None })
    });
    let Some((index, lags, systems)) = known.map_err(failed)? else { return Ok(0) };
    let mut resized = 0;
    for (id, system) in systems {
        if !system.mode.direction.sends() {
            continue;
        }
        let mut from = ListingId(0);
        loop {
            let measured = ledger.read(tenant, |view| {
                let page = view.listings_in(id, from, SLICE)?;
                let mut sizes = Vec::new();
                for (listing_id, listing) in &page {
                    sizes.extend(measure(view, &index, &lags, *listing_id, listing, &system)?);
                }
                Ok((page.last().map(|(last, _)| *last), sizes))
            });
            let (last, sizes) = measured.map_err(failed)?;
            let mut replies = Vec::new();
            for size in sizes {
                let body = Body::SizeBuffer(size);
                let command = Command { key: None, fingerprint: 0, actor: "onhand".to_owned(), body };
                replies.push(handle.begin(tenant, Some(command), Vec::new()).await?);
            }
            resized += replies.len();
            for reply in replies {
                reply.wait().await?;
            }
            match last {
                Some(last) => from = last,
                None => break,
            }
        }
    }
    Ok(resized)
}

/// How long each system may sell what is gone, where it speaks with us. A warehouse's own system has things to ship, not to sell.
fn lags(view: &mut View<'_>) -> Result<BTreeMap<SystemId, Lagging>, StoreError> {
    let mut lags = BTreeMap::new();
    for (id, system) in view.systems()? {
        if matches!(system.role, Some(Role::Wms | Role::ThreePl)) {
            continue;
        }
        let worker: WorkerStatus = read_note(view, STATUS, &id.to_string())?;
        lags.insert(id, lagging(&system, &worker, view.now));
    }
    Ok(lags)
}

/// From a change of ours to its acknowledgement (or the longest time between two batches), and from its order to our hearing of it; and
/// for how long it cannot be spoken with, where that is so now.
fn lagging(system: &System, worker: &WorkerStatus, now: Instant) -> Lagging {
    let measured = |lag: &Lag| lag.slow().map(u64::from);
    let pushed = match &system.mode.timing {
        // What it is not sent it sells by itself.
        _ if !system.mode.direction.sends() => Some(0),
        Timing::Batch(schedule) => {
            let batches = std::iter::successors(Some(now), |last| Some(next_batch(schedule, *last)));
            let batches: Vec<Instant> = batches.skip(1).take(BATCHES).collect();
            let waits =
                batches.windows(2).map(|pair| pair[1].micros().saturating_sub(pair[0].micros()) / 1_000);
            waits.max().and_then(|longest| u64::try_from(longest).ok())
        }
        Timing::NearRealTime { debounce_ms } => {
            measured(&worker.push_lag).map(|lag| lag.max(u64::from(*debounce_ms)))
        }
    };
    let heard = measured(&worker.order_lag);
    // While it cannot be spoken with it goes on selling, and nobody knows for how long.
    let away = worker.trouble_since.filter(|_| worker.trouble.is_some());
    let away = away.map_or(0, |since| now.micros().saturating_sub(since.micros()) / 1_000);
    let usual = pushed.unwrap_or(ASSUMED_MS).saturating_add(heard.unwrap_or(ASSUMED_MS));
    Lagging {
        name: system.name.clone(),
        lag_ms: usual.saturating_add(u64::try_from(away).unwrap_or_default()),
        is_measured: pushed.is_some() && heard.is_some(),
    }
}

/// What a listing is to keep back from now on, where that is another than before.
fn measure(
    view: &mut View<'_>,
    index: &Index,
    lags: &BTreeMap<SystemId, Lagging>,
    id: ListingId,
    listing: &Listing,
    system: &System,
) -> Result<Option<SizeBuffer>, StoreError> {
    let Some(item) = listing.item else { return Ok(None) };
    let facts = view.facts_for_rules(item)?;
    let remote = remote_locations(system);
    let risks = remote.iter().filter_map(|remote_location| {
        let place = Place { id, listing, item, system, remote_location };
        place.rule(index, &facts)?.rule.risk_one_in
    });
    // Where rules of two places over there differ the smaller risk counts.
    let Some(one_in) = risks.max() else { return Ok(None) };
    let others: Vec<Lagging> = sellers(view, item)?
        .into_iter()
        .filter(|other| *other != listing.system)
        .filter_map(|other| lags.get(&other).cloned())
        .collect();
    let unit = view.item(item)?.map_or(Quantity::ONE, |item| item.precision.unit());
    let size = buffer(&selling(view, item)?, &others, one_in, unit, view.now);
    Ok(is_another(listing.buffer.as_deref(), &size).then(|| asked(system, listing, size)))
}

fn asked(system: &System, listing: &Listing, size: BufferSize) -> SizeBuffer {
    SizeBuffer {
        system: system.name.clone(),
        listing: listing.remote_id.clone(),
        quantity: size.quantity,
        sold: size.sold,
        sales: size.sales,
        over_seconds: size.over_seconds,
        lag_ms: size.lag_ms,
        lagging: size.lagging,
        is_measured: size.is_measured,
        one_in: size.one_in,
    }
}

/// The systems that have an item for sale, by itself or in a kit.
fn sellers(view: &mut View<'_>, item: ItemId) -> Result<BTreeSet<SystemId>, StoreError> {
    let mut systems = BTreeSet::new();
    for sold in view.kits_around(item)?.into_iter().chain([item]) {
        systems.extend(view.listings_of(sold)?.into_iter().map(|(_, listing)| listing.system));
    }
    Ok(systems)
}

/// What was sold of an item, the last hour, day and four weeks.
fn selling(view: &mut View<'_>, item: ItemId) -> Result<[Selling; 3], StoreError> {
    let now = view.now;
    let since = |seconds: u32| now.plus_seconds(-i64::from(seconds));
    let filter = HistoryFilter { from: Some(since(FOUR_WEEKS_SECONDS)), ..HistoryFilter::default() };
    let page = view.item_history(item, &filter, Seq::MAX >> 1, EXAMINED, EXAMINED)?;
    // A sale is an order, or else a record: what one moves out of several lots or places is sold once, what one only moves about is not sold.
    let (mut sold, mut placed) = (Sold::new(), BTreeMap::new());
    for row in &page.rows {
        let (from, to) = (is_sold(row.movement.from.state), is_sold(row.movement.to.state));
        let quantity = match (from, to) {
            (false, true) => row.movement.quantity,
            // A promise that is taken back; what a customer brings back was sold all the same.
            (true, false) if row.movement.from.state == StockState::Committed => -row.movement.quantity,
            _ => continue,
        };
        *sold.entry(sold_at(view, row, &mut placed)?).or_default() += quantity;
    }
    let oldest = match page.rows.last().filter(|_| page.next.is_some()) {
        Some(row) => Some(sold_at(view, row, &mut placed)?.0),
        None => None,
    };
    let all_over = oldest.map_or(FOUR_WEEKS_SECONDS, |oldest| {
        // With the oldest of them, whatever part of a second it is from.
        let over = (now.micros() - oldest.micros()) / 1_000_000 + 1;
        u32::try_from(over).unwrap_or(1).clamp(1, FOUR_WEEKS_SECONDS)
    });
    let [month, day] = [all_over, DAY_SECONDS.min(all_over)]
        .map(|over_seconds| sum(&sold, since(over_seconds), over_seconds));
    // Of equals the last counts: the hour and the day only where they ask for more.
    Ok([hour(&sold, now), day, month])
}

/// What was sold when, and by which order or record.
type Sold = BTreeMap<(Instant, Seq), Quantity>;

/// When what a movement sold was sold: when its order was placed, however late we heard of it.
fn sold_at(
    view: &mut View<'_>,
    row: &LedgerRow,
    placed: &mut BTreeMap<OrderId, Instant>,
) -> Result<(Instant, Seq), StoreError> {
    let heard_at = row.record.recorded_at;
    let sides = [&row.movement.from, &row.movement.to];
    let promise = if sides.iter().any(|side| side.state == StockState::Committed) {
        row.movement.promise
    } else {
        None
    };
    let Some(Holder::Order(order)) = promise.map(|promise| promise.holder) else {
        let of_record = Seq::try_from(heard_at.micros()).unwrap_or_default();
        return Ok((row.movement.occurred_at.min(heard_at), of_record));
    };
    if let Some(at) = placed.get(&order) {
        return Ok(((*at).min(heard_at), order.0));
    }
    let at = match view.get(&Key::Order(order))? {
        Some(Value::Order(known)) => known.placed_at,
        _ => heard_at,
    };
    placed.insert(order, at);
    Ok((at.min(heard_at), order.0))
}

/// Of the last hour, since the first sale in it; nothing of few sales.
fn hour(sold: &Sold, now: Instant) -> Selling {
    let since = now.plus_seconds(-i64::from(HOUR_SECONDS));
    let mut lately = sold.range((since, 0)..);
    let first = lately.find(|(_, quantity)| quantity.is_positive()).map_or(since, |((at, _), _)| *at);
    let over = u32::try_from((now.micros() - first.micros()) / 1_000_000).unwrap_or(HOUR_SECONDS);
    let selling = sum(sold, first, over.max(SHORTEST_SECONDS));
    if selling.sales < HOUR_SALES { Selling::default() } else { selling }
}

const fn is_sold(state: StockState) -> bool {
    matches!(state, StockState::Committed | StockState::Customer)
}

fn sum(sold: &Sold, since: Instant, over_seconds: u32) -> Selling {
    let (mut quantity, mut sales) = (Quantity::ZERO, 0_u32);
    for one in sold.range((since, 0)..).map(|(_, one)| *one) {
        quantity += one;
        if one.is_positive() {
            sales += 1;
        } else if one.is_negative() {
            sales = sales.saturating_sub(1);
        }
    }
    Selling { sold: quantity.max(Quantity::ZERO), sales, over_seconds }
}
