//! Are all systems equal to the truth? What waits for somebody, and what changed in the last hour.

use std::collections::BTreeSet;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use onhand_engine::View;
use onhand_engine::open::Open;
use onhand_engine::systems::system_status;
use onhand_ledger::entry::Entry;
use onhand_ledger::key::StockState;
use onhand_ledger::model::System;
use onhand_ledger::{Instant, Quantity, Seq, SystemId};
use onhand_store::StoreError;

use super::frame::Frame;
use super::session::Visitor;
use super::{Shown, page, words};
use crate::App;
use crate::v1::ask::{count, read};

/// How many records of the last hour are looked at.
const RECORDS: usize = 2_000;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/", get(show))
}

/// A system, in a line.
pub(super) struct Line {
    pub href: String,
    pub name: String,
    pub sign: &'static str,
    pub word: &'static str,
    pub mode: String,
    pub in_step: String,
    pub lag: Option<String>,
    pub read_at: Option<words::Time>,
    /// What is to be said of it; none while it is simply kept equal.
    pub sentence: Option<String>,
    is_well: bool,
}

/// All systems, each in a line.
pub(super) fn lines(view: &mut View<'_>, app: &App) -> Result<Vec<Line>, StoreError> {
    let all = view.systems()?.into_iter().filter(|(id, _)| *id != SystemId::ONHAND);
    all.map(|(id, system)| line(view, app, id, system)).collect()
}

/// A system, in a line.
pub(super) fn line(view: &mut View<'_>, app: &App, id: SystemId, system: System) -> Result<Line, StoreError> {
    let status = system_status(view, app.handle.ledger().seal(), id, &system)?;
    let is_in_step = status.in_step == status.listings;
    let (sign, word) = status.state.sign(is_in_step);
    let is_live = status.state.name() == "live";
    Ok(Line {
        href: format!("/systems/{}", words::part(&system.name)),
        sign,
        word,
        mode: system.mode.to_string(),
        in_step: format!("{} of {}", words::count(status.in_step), words::count(status.listings)),
        lag: status.usual_lag.map(words::lasting),
        read_at: status.orders_known_to.map(|at| words::Time::of(at, view.now)),
        sentence: (!is_live).then(|| status.state.sentence(&system.name)),
        is_well: is_live && is_in_step,
        name: system.name,
    })
}

/// What could be oversold.
struct Risk {
    units: String,
    items: String,
    is_some: bool,
}

/// What changed in the last hour.
#[derive(Default)]
struct Hour {
    told: Vec<String>,
}

fn hour(view: &mut View<'_>) -> Result<Hour, StoreError> {
    let from = view.seq_at(view.now.plus_seconds(-3_600))?;
    // The newest are looked at, however many there were; an entry is a part of a record.
    let newest = from.max(view.seq().saturating_sub(RECORDS as Seq));
    let is_more = newest > from;
    let records = view.records_after(newest, RECORDS)?;
    let (mut sold, mut received, mut adjusted) = (Quantity::ZERO, Quantity::ZERO, 0);
    let (mut counts, mut orders) = (0, BTreeSet::new());
    for (_, record) in &records {
        for entry in &record.entries {
            match entry {
                Entry::Movement(movement) if movement.to.state == StockState::Customer => {
                    sold += movement.quantity;
                }
                Entry::Movement(movement) if movement.reason == "received" => received += movement.quantity,
                Entry::Movement(movement) if movement.reason == "correction" => adjusted += 1,
                Entry::Count(..) => counts += 1,
                Entry::Order(id, _) => {
                    orders.insert(*id);
                }
                _ => {}
            }
        }
    }
    let mut told = Vec::new();
    if !orders.is_empty() {
        told.push(words::many(orders.len(), "order") + " came or changed");
    }
    for (quantity, what) in [(sold, "left"), (received, "received")] {
        if quantity > Quantity::ZERO {
            told.push(format!("{} {what}", words::number(quantity)));
        }
    }
    for (number, what) in [(adjusted, "adjustment"), (counts, "count")] {
        if number > 0 {
            told.push(words::many(number, what));
        }
    }
    if is_more {
        told.push(format!("and more before that: the newest {} entries are counted", words::count(RECORDS)));
    }
    Ok(Hour { told })
}

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    frame: Frame,
    systems: Vec<Line>,
    verdict: String,
    risk: Risk,
    short: String,
    late: String,
    waiting: String,
    groups: usize,
    hour: Hour,
}

async fn show(State(app): State<App>, Visitor(caller): Visitor) -> Shown {
    let frame = Frame::of(&app, &caller, "/").await?;
    let tell = |open: &Open, now: Instant| {
        let causes: BTreeSet<_> = open.discrepancies().values().collect();
        (open.short(), open.late(now).len(), open.discrepancies().len(), causes.len())
    };
    let (short, late, waiting, groups) = app.watched.look(&app, caller.tenant, tell).await?;
    count(&app, &caller).await?;
    let found = read(&app, &caller, |view| Ok((lines(view, &app)?, view.at_risk()?, hour(view)?)));
    let (systems, (units, items), hour) = found.await?;
    let risk = Risk { units: words::number(units), items: words::many(items, "item"), is_some: items > 0 };
    let well = systems.iter().filter(|line| line.is_well).count();
    let verdict = match (systems.len(), well) {
        (0, _) => "Nothing is connected".to_owned(),
        (1, 1) => "The system is in step".to_owned(),
        (1, _) => "The system is not in step".to_owned(),
        (all, well) if all == well => format!("All {} systems are in step", words::count(all)),
        (all, well) => format!("{} of {} are in step", words::count(well), words::many(all, "system")),
    };
    Ok(page(&Overview {
        frame,
        systems,
        verdict,
        risk,
        short: words::count(short),
        late: words::count(late),
        waiting: words::count(waiting),
        groups,
        hour,
    })?)
}
