//! Sessions of counting: several people look, the ledger says where somebody must look again, and one books it all.
//!
//! What is booked are counts as of the time each was seen (see [`super::count`]), so that nothing that moved since is
//! lost. Who may approve large differences is not the ledger's business: it is told.

use std::collections::BTreeSet;

use crate::answer::{Answer, Invalid, Refusal, SightedLine};
use crate::command::{ApplySession, OpenSession, Sight, Threshold};
use crate::entry::Entry;
use crate::key::{CellKey, Key, StockState};
use crate::model::{Look, Recount, Seen, Session, SessionState};
use crate::state::Value;
use crate::{Instant, ItemId, LocationId, Quantity, Seq, SessionId};

use super::count;
use super::stock;
use super::tx::{Stop, Tx};

/// The most items of a session, and lines of one telling: all of it is booked at once, and nobody shall wait for it.
const MOST_ITEMS: usize = 2_000;
/// How often one item may be looked at in a session.
const MOST_LOOKS: usize = 50;

pub(super) fn open(tx: &mut Tx<'_>, open: &OpenSession) -> Result<Answer, Stop> {
    let location = tx.location_id(&open.location)?;
    for (field, threshold) in [("recount_over", open.recount_over), ("approve_over", open.approve_over)] {
        if threshold.is_some_and(|threshold| threshold.units.is_some_and(Quantity::is_negative)) {
            let problem = "units must not be negative".to_owned();
            return Err(Invalid::Field { field, problem }.into());
        }
    }
    let items = open.skus.as_deref().map(|skus| listed(tx, skus)).transpose()?;
    for item in items.iter().flatten() {
        stock::must_be_ours(tx, *item, location)?;
    }
    let session = Session {
        state: SessionState::Open,
        location,
        items,
        blind: open.blind != Some(false),
        recount_over: open.recount_over,
        approve_over: open.approve_over,
        opened_by: tx.actor.clone(),
        opened_at: tx.now,
        ended_by: None,
        ended_at: None,
    };
    let id = SessionId(tx.next_seq());
    tx.emit(Entry::Session(id, session))?;
    Ok(Answer::Session(id))
}

fn listed(tx: &Tx<'_>, skus: &[String]) -> Result<Vec<ItemId>, Stop> {
    check_number(skus.len())?;
    tx.want(skus.iter().map(|sku| Key::Sku(sku.clone())))?;
    let mut items = Vec::new();
    let mut seen = BTreeSet::new();
    for sku in skus {
        let item = tx.item_id(sku)?;
        if !seen.insert(item) {
            return Err(Invalid::Twice { field: "sku", value: sku.clone() }.into());
        }
        items.push(item);
    }
    tx.want(items.iter().map(|item| Key::Item(*item)))?;
    Ok(items)
}

fn check_number(items: usize) -> Result<(), Stop> {
    match items {
        0 => Err(Invalid::NoLines("a count").into()),
        1..=MOST_ITEMS => Ok(()),
        more => {
            let problem =
                format!("{more} items; at most {MOST_ITEMS} in a session: count a part of the place");
            Err(Invalid::Field { field: "lines", problem }.into())
        }
    }
}

/// A session that is open, or the refusal that says how it ended.
fn active(tx: &Tx<'_>, id: SessionId) -> Result<Session, Stop> {
    let Some(Value::Session(session)) = tx.value(&Key::Session(id))? else {
        return Err(Invalid::Unknown { kind: "counting session", id: id.to_string() }.into());
    };
    let state = match session.state {
        SessionState::Open => return Ok(session.clone()),
        SessionState::Applied => "applied",
        SessionState::Cancelled => "cancelled",
    };
    Err(Refusal::SessionEnded { session: id, state: state.to_owned() }.into())
}

fn seen(tx: &Tx<'_>, session: SessionId, item: ItemId) -> Result<Seen, Stop> {
    Ok(match tx.value(&Key::Seen(session, item))? {
        Some(Value::Seen(seen)) => seen.clone(),
        _ => Seen::default(),
    })
}

pub(super) fn sight(tx: &mut Tx<'_>, sight: &Sight) -> Result<Answer, Stop> {
    let session = active(tx, sight.session)?;
    let location = session.location;
    let skus: Vec<String> = sight.lines.iter().map(|line| line.sku.clone()).collect();
    let items = listed(tx, &skus)?;
    tx.want(items.iter().map(|item| Key::Seen(sight.session, *item)))?;
    let mut looks: Vec<(ItemId, Quantity, Instant)> = Vec::new();
    for (line, item) in sight.lines.iter().zip(&items) {
        if session.items.as_ref().is_some_and(|items| !items.contains(item)) {
            let problem = format!("`{}` is not counted in this session; open one that lists it", line.sku);
            return Err(Invalid::Field { field: "sku", problem }.into());
        }
        if line.quantity.is_negative() {
            let problem = format!("{} of `{}` cannot be counted; 0 or more can", line.quantity, line.sku);
            return Err(Invalid::Field { field: "quantity", problem }.into());
        }
        tx.check_quantity(*item, line.quantity)?;
        stock::must_be_ours(tx, *item, location)?;
        looks.push((*item, line.quantity, tx.past("seen_at", line.seen_at)?));
    }
    let cells = |item: ItemId| StockState::PHYSICAL.map(|state| CellKey::new(item, location, state));
    tx.want_cells(items.iter().flat_map(|item| cells(*item)))?;
    tx.want_past(looks.iter().flat_map(|(item, _, at)| cells(*item).map(|cell| (cell, *at))))?;
    let mut lines = Vec::new();
    for (item, quantity, seen_at) in looks {
        let expected = physical(tx, item, location, seen_at)?;
        let then = cells(item).into_iter().map(|cell| tx.held(cell)).sum::<Result<_, _>>()?;
        let mut known = seen(tx, sight.session, item)?;
        let sku = tx.sku(item)?;
        if known.looks.len() >= MOST_LOOKS {
            let problem = format!("`{sku}` was looked at {MOST_LOOKS} times; open another session for it");
            return Err(Invalid::Field { field: "sku", problem }.into());
        }
        known.looks.push(Look { counter: tx.actor.clone(), quantity, seen_at, expected, then });
        known.recount = recount(&known.looks, session.recount_over);
        lines.push(SightedLine { sku, quantity, recount: known.recount });
        tx.emit(Entry::Seen(sight.session, item, known))?;
    }
    Ok(Answer::Sighted(sight.session, lines))
}

/// How much there was physically at an instant, as known now.
fn physical(tx: &Tx<'_>, item: ItemId, location: LocationId, at: Instant) -> Result<Quantity, Stop> {
    StockState::PHYSICAL.iter().map(|state| tx.as_of(CellKey::new(item, location, *state), at)).sum()
}

/// Must somebody look again, and why? The last look counts once another confirms it: of two that differ from what was
/// expected by as much, whatever moved between them. Where several people have counted, one of the others must.
pub(super) fn recount(looks: &[Look], over: Option<Threshold>) -> Option<Recount> {
    let (last, before) = looks.split_last()?;
    let several = before.iter().any(|look| look.counter != last.counter);
    let confirms = |look: &&Look| look.variance() == last.variance();
    let mut confirming = before.iter().filter(confirms);
    if confirming.any(|look| !several || look.counter != last.counter) {
        return None;
    }
    if several {
        return Some(Recount::Disagree);
    }
    if over.is_some_and(|over| is_beyond(last, over)) {
        return Some(Recount::Large);
    }
    (!last.variance().is_zero() && last.then != last.expected).then_some(Recount::Moved)
}

/// Is the difference beyond a threshold?
pub(super) fn is_beyond(look: &Look, over: Threshold) -> bool {
    let difference = look.variance().abs();
    let units = over.units.is_some_and(|units| difference > units);
    let percent = over.percent.is_some_and(|percent| {
        i128::from(difference.micros()) * 100 > i128::from(look.expected.abs().micros()) * i128::from(percent)
    });
    units || percent
}

pub(super) fn apply(tx: &mut Tx<'_>, apply: &ApplySession) -> Result<Answer, Stop> {
    let id = apply.session;
    let mut session = active(tx, id)?;
    let range = (Key::Seen(id, ItemId(0)), Key::Seen(id, ItemId(Seq::MAX >> 1)));
    let mut lines: Vec<(ItemId, Seen)> = Vec::new();
    for (key, value) in tx.range(range.0, range.1)? {
        if let (Key::Seen(_, item), Value::Seen(seen)) = (key, value) {
            lines.push((item, seen));
        }
    }
    check_number(lines.len())?;
    tx.want(lines.iter().map(|(item, _)| Key::Item(*item)))?;
    let location = session.location;
    let cells = |item: ItemId| StockState::PHYSICAL.map(|state| CellKey::new(item, location, state));
    let last = |seen: &Seen| seen.looks.last().cloned().expect("what was seen was seen by somebody");
    tx.want_past(lines.iter().flat_map(|(item, seen)| {
        let at = last(seen).seen_at;
        cells(*item).map(move |cell| (cell, at))
    }))?;
    let mut again = Vec::new();
    let mut large = Vec::new();
    for (item, seen) in &lines {
        let expected = physical(tx, *item, location, last(seen).seen_at)?;
        let look = Look { expected, ..last(seen) };
        let beyond = |over: Option<Threshold>| over.is_some_and(|over| is_beyond(&look, over));
        // What was heard of since may have made a difference of what was none, and large what was small.
        let changed =
            expected != last(seen).expected && seen.looks.len() == 1 && beyond(session.recount_over);
        if seen.recount.is_some() || changed {
            again.push(tx.sku(*item)?);
        } else if beyond(session.approve_over) {
            large.push(tx.sku(*item)?);
        }
    }
    if !again.is_empty() {
        return Err(Refusal::RecountNeeded { session: id, skus: again }.into());
    }
    if !large.is_empty() && apply.approve != Some(true) {
        return Err(Refusal::ApprovalNeeded { session: id, skus: large }.into());
    }
    let looks = lines.iter().map(|(item, seen)| (*item, last(seen).quantity, last(seen).seen_at)).collect();
    let (counts, answer) = count::book_seen(tx, location, looks)?;
    for ((item, mut seen), count) in lines.into_iter().zip(counts) {
        seen.count = Some(count);
        tx.emit(Entry::Seen(id, item, seen))?;
    }
    session.state = SessionState::Applied;
    end(tx, id, session)?;
    Ok(answer)
}

pub(super) fn cancel(tx: &mut Tx<'_>, id: SessionId) -> Result<Answer, Stop> {
    let mut session = active(tx, id)?;
    session.state = SessionState::Cancelled;
    end(tx, id, session)?;
    Ok(Answer::Session(id))
}

fn end(tx: &mut Tx<'_>, id: SessionId, mut session: Session) -> Result<(), Stop> {
    session.ended_by = Some(tx.actor.clone());
    session.ended_at = Some(tx.now);
    tx.emit(Entry::Session(id, session))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(counter: &str, quantity: i64, expected: i64, then: i64) -> Look {
        let [quantity, expected, then] = [quantity, expected, then].map(Quantity::units);
        Look { counter: counter.to_owned(), quantity, seen_at: Instant::from_micros(0), expected, then }
    }

    fn over(units: Option<i64>, percent: Option<u16>) -> Option<Threshold> {
        Some(Threshold { units: units.map(Quantity::units), percent })
    }

    #[test]
    fn one_look_is_enough_unless_the_difference_is_large() {
        assert_eq!(recount(&[look("ann", 8, 10, 10)], None), None);
        assert_eq!(recount(&[look("ann", 8, 10, 10)], over(Some(2), None)), None);
        assert_eq!(recount(&[look("ann", 7, 10, 10)], over(Some(2), None)), Some(Recount::Large));
        assert_eq!(recount(&[look("ann", 7, 10, 10)], over(None, Some(30))), None);
        assert_eq!(recount(&[look("ann", 7, 10, 10)], over(None, Some(29))), Some(Recount::Large));
        assert_eq!(
            recount(&[look("ann", 1, 0, 0)], over(None, Some(100))),
            Some(Recount::Large),
            "of nothing"
        );
        let twice = [look("ann", 7, 10, 10), look("ann", 7, 10, 10)];
        assert_eq!(recount(&twice, over(Some(2), None)), None, "counted twice");
    }

    #[test]
    fn counters_who_disagree_look_until_two_agree() {
        let mut looks = vec![look("ann", 8, 10, 10), look("bob", 9, 10, 10)];
        assert_eq!(recount(&looks, None), Some(Recount::Disagree));
        looks.push(look("bob", 9, 10, 10));
        assert_eq!(
            recount(&looks, None),
            Some(Recount::Disagree),
            "one does not confirm oneself against another"
        );
        // One was sold between the looks: both saw two missing.
        looks.push(look("bob", 7, 9, 9));
        assert_eq!(recount(&looks, None), None);
    }

    #[test]
    fn a_difference_is_looked_at_again_where_stock_moved_meanwhile() {
        assert_eq!(recount(&[look("ann", 8, 10, 9)], None), Some(Recount::Moved));
        assert_eq!(recount(&[look("ann", 10, 10, 9)], None), None);
    }
}
