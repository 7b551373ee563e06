//! A picture of an item's stock over time, drawn here: lines of what was on hand and available, and what happened to it. What it shows is
//! told in words beside it, and as a table.

use std::fmt::Write as _;

use onhand_engine::{HistoryFilter, View};
use onhand_ledger::key::StockState;
use onhand_ledger::{Instant, ItemId, Quantity, Seq};
use onhand_store::StoreError;

use super::words;

/// At so many instants at most stock is looked up, and of so many cells in all.
const POINTS: usize = 48;
const LOOKED_UP: usize = 1_200;
/// So many movements are marked at most, of as many that are looked at.
const MARKS: usize = 150;
const EXAMINED: usize = 400;
/// So many rows the table has.
const ROWS: usize = 8;
/// The picture, in units of its own.
const WIDTH: usize = 640;
const HEIGHT: usize = 120;

/// How long: its name in the address, in words, and in seconds.
pub(super) const SPANS: [(&str, &str, i64); 4] = [
    ("day", "the last day", 86_400),
    ("week", "the last week", 7 * 86_400),
    ("month", "the last month", 30 * 86_400),
    ("year", "the last year", 365 * 86_400),
];

/// The picture.
pub(super) struct Picture {
    /// Lines, as `d` of a path: on hand, and available.
    pub on_hand: String,
    pub available: String,
    pub marks: Vec<Mark>,
    /// What the highest line of it is.
    pub top: String,
    /// What it shows, in words.
    pub sentence: String,
    pub rows: Vec<Point>,
}

/// Something that happened.
pub(super) struct Mark {
    pub x: usize,
    /// `count`, `receipt` or `order`.
    pub kind: &'static str,
    pub sign: &'static str,
    pub title: String,
}

/// A row of the table.
pub(super) struct Point {
    pub at: words::Time,
    pub on_hand: String,
    pub available: String,
}

/// Of an item, from so long ago until now; none where there was never any of it.
pub(super) fn of(
    view: &mut View<'_>,
    item: ItemId,
    span: (&str, &str, i64),
) -> Result<Option<Picture>, StoreError> {
    let (_, in_words, seconds) = span;
    let cells: Vec<_> = view.cells_of(item)?.into_iter().map(|(cell, _)| cell).collect();
    let cells: Vec<_> = cells.into_iter().filter(|cell| StockState::ON_HAND.contains(&cell.state)).collect();
    if cells.is_empty() {
        return Ok(None);
    }
    let points = (LOOKED_UP / cells.len()).clamp(ROWS, POINTS);
    let (now, begins) = (view.now, view.now.plus_seconds(-seconds));
    let mut line = Vec::with_capacity(points + 1);
    for point in 0..=points {
        let at = at_point(begins, seconds, point, points);
        let (mut on_hand, mut available) = (Quantity::ZERO, Quantity::ZERO);
        for cell in &cells {
            let quantity = view.as_of(*cell, at, None)?;
            on_hand += quantity;
            if cell.state == StockState::Available {
                available += quantity;
            }
        }
        line.push((at, on_hand, available));
    }
    let highest = line.iter().map(|(_, on_hand, available)| *on_hand.max(available)).max();
    let top = highest.unwrap_or_default().max(Quantity::units(1));
    let marks = marks(view, item, begins, seconds)?;
    let of = |pick: fn(&(Instant, Quantity, Quantity)) -> Quantity| {
        let values: Vec<Quantity> = line.iter().map(pick).collect();
        (steps(&values, top), values)
    };
    let (on_hand, values) = of(|point| point.1);
    let (available, _) = of(|point| point.2);
    let [lowest, highest] =
        [values.iter().min(), values.iter().max()].map(|value| value.copied().unwrap_or_default());
    let (first, last) =
        (values.first().copied().unwrap_or_default(), values.last().copied().unwrap_or_default());
    let mut sentence = format!(
        "Over {in_words} on hand went from {} to {}; the least was {}, the most {}.",
        words::number(first),
        words::number(last),
        words::number(lowest),
        words::number(highest)
    );
    let told = [("count", "count"), ("receipt", "receipt"), ("order", "order")].map(|(kind, word)| {
        let number = marks.iter().filter(|mark| mark.kind == kind).count();
        (number > 0).then(|| words::many(number, word))
    });
    let told: Vec<String> = told.into_iter().flatten().collect();
    if !told.is_empty() {
        let _ = write!(sentence, " Marked: {}.", told.join(", "));
    }
    let rows = (0..=ROWS).map(|row| &line[row * points / ROWS]).map(|(at, on_hand, available)| Point {
        at: words::Time::of(*at, now),
        on_hand: words::number(*on_hand),
        available: words::number(*available),
    });
    Ok(Some(Picture { on_hand, available, top: words::number(top), sentence, rows: rows.collect(), marks }))
}

fn at_point(begins: Instant, seconds: i64, point: usize, points: usize) -> Instant {
    let (point, points) = (i64::try_from(point).unwrap_or(0), i64::try_from(points).unwrap_or(1));
    begins.plus_seconds(seconds * point / points)
}

/// A line in steps, as a path.
fn steps(values: &[Quantity], top: Quantity) -> String {
    let last = values.len().saturating_sub(1).max(1);
    let mut path = String::new();
    for (place, value) in values.iter().enumerate() {
        let (x, y) = (place * WIDTH / last, height(*value, top));
        let _ = if place == 0 { write!(path, "M0 {y}") } else { write!(path, "H{x}V{y}") };
    }
    path
}

/// How far below the top, as drawn.
fn height(value: Quantity, top: Quantity) -> usize {
    let (value, top) = (i128::from(value.micros().max(0)), i128::from(top.micros().max(1)));
    let height = i128::try_from(HEIGHT).unwrap_or(0);
    usize::try_from(height - (value * height / top).min(height)).unwrap_or(0)
}

fn marks(view: &mut View<'_>, item: ItemId, begins: Instant, seconds: i64) -> Result<Vec<Mark>, StoreError> {
    let filter = HistoryFilter { from: Some(begins), ..HistoryFilter::default() };
    let history = view.item_history(item, &filter, Seq::MAX >> 1, MARKS, EXAMINED)?;
    let mut marks = Vec::new();
    for row in history.rows {
        let movement = &row.movement;
        let (kind, sign, what) = match movement.reason.as_str() {
            "counted" => ("count", "◆", "counted"),
            reason if reason.starts_with("received") => ("receipt", "▲", "received"),
            _ if movement.to.state == StockState::Committed => ("order", "●", "ordered"),
            _ => continue,
        };
        let since = movement.occurred_at.micros().saturating_sub(begins.micros()).max(0) / 1_000_000;
        let x = i64::try_from(WIDTH).unwrap_or(0) * since / seconds.max(1);
        let at = words::Time::of(movement.occurred_at, view.now).short;
        let title = format!("{at}: {what} {}", words::number(movement.quantity));
        marks.push(Mark { x: usize::try_from(x).unwrap_or(0).min(WIDTH), kind, sign, title });
    }
    Ok(marks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_in_steps_from_bottom_to_top() {
        let values = [0, 5, 10, -3].map(Quantity::units);
        assert_eq!(steps(&values, Quantity::units(10)), "M0 120H213V60H426V0H640V120");
        assert_eq!(steps(&[Quantity::ZERO], Quantity::units(1)), "M0 120");
    }
}
