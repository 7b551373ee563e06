//! Sessions of counting: several people look, the ledger says where somebody must look again, and one books it all.
//!
//! What is booked are counts as of the time each was seen (see [`super::count`]), so that nothing that moved since is
//! lost. Who may approve large differences is not the ledger's business: it is told.

use std::collections::{BTreeMap, BTreeSet};

use crate::answer::{Answer, Invalid, Refusal, SightedLine};
use crate::command::{ApplySession, Line, OpenSession, Sight, Threshold};
use crate::entry::Entry;
use crate::key::{CellKey, Key};
use crate::model::{Look, Recount, Seen, Session, SessionState, Tracking};
use crate::state::Value;
use crate::{Instant, ItemId, LocationId, LotId, Quantity, Seq, SessionId, SystemId};

use super::count;
use super::lots;
use super::stock::{self, Resolved};
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
        inside: open.inside == Some(true),
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
    tx.emit(Entry::Session(id, Box::new(session)))?;
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
        SessionState::Open => return Ok(*session.clone()),
        SessionState::Applied => "applied",
        SessionState::Cancelled => "cancelled",
    };
    Err(Refusal::SessionEnded { session: id, state: state.to_owned() }.into())
}

fn seen(tx: &Tx<'_>, session: SessionId, line: &Resolved) -> Result<Seen, Stop> {
    Ok(match tx.value(&Key::Seen(session, line.item, line.lot.unwrap_or_default()))? {
        Some(Value::Seen(seen)) => *seen.clone(),
        _ => Seen::default(),
    })
}

pub(super) fn sight(tx: &mut Tx<'_>, sight: &Sight) -> Result<Answer, Stop> {
    let id = sight.session;
    let session = active(tx, id)?;
    let looks = looks(tx, sight, &session)?;
    tx.want(looks.iter().map(|(line, _)| Key::Seen(id, line.item, line.lot.unwrap_or_default())))?;
    let nodes = count::nodes(tx, session.location, session.inside)?;
    tx.want_cells(looks.iter().flat_map(|(line, _)| count::cells(line, &nodes)))?;
    tx.want_past(looks.iter().flat_map(|(line, at)| past(line, &nodes, *at)))?;
    let mut lines = Vec::new();
    for (line, seen_at) in looks {
        let quantity = line.quantity;
        let expected = physical(tx, &line, &nodes, seen_at)?;
        let then = count::cells(&line, &nodes).into_iter().map(|cell| tx.held(cell)).sum::<Result<_, _>>()?;
        let mut known = seen(tx, id, &line)?;
        let sku = tx.sku(line.item)?;
        if known.looks.len() >= MOST_LOOKS {
            let problem = format!("`{sku}` was looked at {MOST_LOOKS} times; open another session for it");
            return Err(Invalid::Field { field: "sku", problem }.into());
        }
        known.looks.push(Look { counter: tx.actor.clone(), quantity, seen_at, expected, then });
        known.recount = recount(&known.looks, session.recount_over);
        lines.push(SightedLine { sku, quantity, recount: known.recount });
        tx.emit(Entry::Seen(id, line.item, line.lot.unwrap_or_default(), Box::new(known)))?;
    }
    Ok(Answer::Sighted(id, lines))
}

/// What was told to be seen, of which lots and when.
fn looks(tx: &mut Tx<'_>, sight: &Sight, session: &Session) -> Result<Vec<(Resolved, Instant)>, Stop> {
    check_number(sight.lines.len())?;
    let lines: Vec<Line> = sight
        .lines
        .iter()
        .map(|seen| Line {
            sku: seen.sku.clone(),
            quantity: seen.quantity,
            lot: seen.lot.clone(),
            serials: seen.serials.clone(),
            ..Line::default()
        })
        .collect();
    if let Some(line) = lines.iter().find(|line| line.quantity.is_negative()) {
        let problem = format!("{} of `{}` cannot be counted; 0 or more can", line.quantity, line.sku);
        return Err(Invalid::Field { field: "quantity", problem }.into());
    }
    let found = stock::resolve(tx, "a count", &lines, |quantity| !quantity.is_negative())?;
    tx.want(found.iter().filter_map(|(item, line)| Some(Key::LotCode(*item, line.lot.clone()?))))?;
    let mut told = BTreeSet::new();
    let mut looks = Vec::new();
    for ((item, line), seen) in found.into_iter().zip(&sight.lines) {
        if session.items.as_ref().is_some_and(|items| !items.contains(&item)) {
            let problem = format!("`{}` is not counted in this session; open one that lists it", line.sku);
            return Err(Invalid::Field { field: "sku", problem }.into());
        }
        let mut line = line.into_owned();
        let by_piece = tx.item(item)?.tracking == Tracking::Serials;
        if by_piece && line.serials.is_none() && line.quantity == Quantity::ONE {
            line.serials = line.lot.take().map(|serial| vec![serial]);
        }
        for node in count::nodes(tx, session.location, session.inside)? {
            stock::must_be_ours(tx, item, node)?;
        }
        let seen_at = tx.past("seen_at", seen.seen_at)?;
        let none_at_all = by_piece && line.quantity.is_zero() && line.lot.is_none();
        let resolved = if none_at_all {
            vec![Resolved { item, lot: None, quantity: Quantity::ZERO }]
        } else {
            lots::counted(tx, &[(item, std::borrow::Cow::Borrowed(&line))])?
        };
        for line in resolved {
            if !told.insert((line.item, line.lot)) {
                return Err(Invalid::Twice { field: "sku", value: seen.sku.clone() }.into());
            }
            looks.push((line, seen_at));
        }
    }
    check_number(looks.len())?;
    Ok(looks)
}

/// The pieces that were there by our books whenever one of their item was looked for, and that nobody has seen: each is
/// counted as none, as of the last look.
fn missing(
    tx: &Tx<'_>,
    lines: &[(Resolved, Look, Seen)],
    nodes: &[LocationId],
) -> Result<Vec<(Resolved, Look, Seen)>, Stop> {
    let mut looked = BTreeMap::<ItemId, (Instant, Instant)>::new();
    let mut told = BTreeSet::new();
    for (line, _, seen) in lines {
        if tx.item(line.item)?.tracking == Tracking::Serials {
            told.insert((line.item, line.lot));
            for look in &seen.looks {
                let (first, last) = looked.entry(line.item).or_insert((look.seen_at, look.seen_at));
                (*first, *last) = ((*first).min(look.seen_at), (*last).max(look.seen_at));
            }
        }
    }
    let (mut needs, mut expected) = (Vec::new(), BTreeMap::new());
    for (item, times) in looked {
        match tx.stocked(item) {
            Ok(cells) => expected.extend(
                cells
                    .into_iter()
                    .filter(|(cell, _)| cell.lot.0 != 0 && nodes.contains(&cell.location))
                    .filter(|(cell, _)| cell.state.is_physical() && !told.contains(&(item, Some(cell.lot))))
                    .map(|(cell, _)| ((item, cell.lot), times)),
            ),
            Err(Stop::Needs(more)) => needs.extend(more),
            Err(stop) => return Err(stop),
        }
    }
    if !needs.is_empty() {
        return Err(Stop::Needs(needs));
    }
    let line = |(item, lot)| Resolved { item, lot: Some(lot), quantity: Quantity::ZERO };
    tx.want_past(expected.iter().flat_map(|(key, (first, last))| {
        past(&line(*key), nodes, *first).chain(past(&line(*key), nodes, *last))
    }))?;
    let mut missing = Vec::new();
    for (key, (first, seen_at)) in expected {
        let line = line(key);
        let (before, expected) = (physical(tx, &line, nodes, first)?, physical(tx, &line, nodes, seen_at)?);
        if before.is_positive() && expected.is_positive() {
            let (counter, quantity) = (tx.actor.clone(), Quantity::ZERO);
            let look = Look { counter, quantity, seen_at, expected, then: expected };
            missing.push((line, look.clone(), Seen { looks: vec![look], ..Seen::default() }));
        }
    }
    Ok(missing)
}

fn past(
    line: &Resolved,
    nodes: &[LocationId],
    at: Instant,
) -> impl Iterator<Item = (CellKey, Instant)> + use<> {
    count::cells(line, nodes).into_iter().map(move |cell| (cell, at))
}

/// How much there was physically at an instant, as known now.
fn physical(tx: &Tx<'_>, line: &Resolved, nodes: &[LocationId], at: Instant) -> Result<Quantity, Stop> {
    count::cells(line, nodes).into_iter().map(|cell| tx.as_of(cell, at)).sum()
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
    let (first, last) = (Key::Seen(id, ItemId(0), LotId(0)), Key::Seen(id, ItemId(Seq::MAX >> 1), LotId(0)));
    let mut lines: Vec<(Resolved, Look, Seen)> = Vec::new();
    for (key, value) in tx.range(first, last)? {
        if let (Key::Seen(_, item, lot), Value::Seen(seen)) = (key, value) {
            let look = seen.looks.last().cloned().expect("what was seen was seen by somebody");
            let lot = (lot.0 != 0).then_some(lot);
            lines.push((Resolved { item, lot, quantity: look.quantity }, look, *seen));
        }
    }
    tx.want(lines.iter().map(|(line, ..)| Key::Item(line.item)))?;
    let nodes = count::nodes(tx, session.location, session.inside)?;
    lines.extend(missing(tx, &lines, &nodes)?);
    // That somebody saw no piece at all is told by those that are missing, and by what lies without a name.
    let mut told = Vec::with_capacity(lines.len());
    for line in lines {
        let item = line.0.item;
        let is_by_piece = line.0.lot.is_none() && tx.item(item)?.tracking == Tracking::Serials;
        if !is_by_piece || lots::has_unnamed(tx, item)? {
            told.push(line);
        }
    }
    let lines = told;
    check_number(lines.len())?;
    tx.want_past(lines.iter().flat_map(|(line, look, _)| past(line, &nodes, look.seen_at)))?;
    let mut again = Vec::new();
    let mut large = Vec::new();
    for (line, look, seen) in &lines {
        nodes.iter().try_for_each(|node| stock::must_be_ours(tx, line.item, *node))?;
        let look = Look { expected: physical(tx, line, &nodes, look.seen_at)?, ..look.clone() };
        let beyond = |over: Option<Threshold>| over.is_some_and(|over| is_beyond(&look, over));
        // What was heard of since may have made a difference of what was none, and a large one of what was small.
        let grew = seen.looks.len() == 1 && beyond(session.recount_over);
        if seen.recount.is_some() || grew {
            again.push(tx.sku(line.item)?);
        } else if beyond(session.approve_over) {
            large.push(tx.sku(line.item)?);
        }
    }
    if !again.is_empty() {
        return Err(Refusal::RecountNeeded { session: id, skus: again }.into());
    }
    if !large.is_empty() && apply.approve != Some(true) {
        return Err(Refusal::ApprovalNeeded { session: id, skus: large }.into());
    }
    let looks = lines.iter().map(|(line, look, _)| (*line, look.seen_at)).collect();
    let (counts, answer) = count::book_all(tx, SystemId::ONHAND, session.location, session.inside, looks)?;
    for ((line, _, mut seen), count) in lines.into_iter().zip(counts) {
        seen.count = Some(count);
        tx.emit(Entry::Seen(id, line.item, line.lot.unwrap_or_default(), Box::new(seen)))?;
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
    tx.emit(Entry::Session(id, Box::new(session)))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(counter: &str, quantity: i64, expected: i64, then: i64) -> Look {
        let [quantity, expected, then] = [quantity, expected, then].map(Quantity::units);
        Look { counter: counter.to_owned(), quantity, seen_at: Instant::from_micros(0), expected, then }
    }

    fn over(units: Option<i64>, percent: Option<u16>) -> Threshold {
        Threshold { units: units.map(Quantity::units), percent }
    }

    #[test]
    fn one_look_is_enough_unless_the_difference_is_large() {
        assert_eq!(recount(&[look("ann", 8, 10, 10)], None), None);
        assert_eq!(recount(&[look("ann", 8, 10, 10)], Some(over(Some(2), None))), None);
        assert_eq!(recount(&[look("ann", 7, 10, 10)], Some(over(Some(2), None))), Some(Recount::Large));
        assert_eq!(recount(&[look("ann", 7, 10, 10)], Some(over(None, Some(30)))), None);
        assert_eq!(recount(&[look("ann", 7, 10, 10)], Some(over(None, Some(29)))), Some(Recount::Large));
        assert_eq!(
            recount(&[look("ann", 1, 0, 0)], Some(over(None, Some(100)))),
            Some(Recount::Large),
            "of nothing"
        );
        let twice = [look("ann", 7, 10, 10), look("ann", 7, 10, 10)];
        assert_eq!(recount(&twice, Some(over(Some(2), None))), None, "counted twice");
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
