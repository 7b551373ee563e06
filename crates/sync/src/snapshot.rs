//! What becomes of a snapshot that a system tells of its stock: is it taken, does it wait, or is it held for a person?
//!
//! A snapshot is taken once that system's own documents up to its `as_of` are known, or what left meanwhile would be taken
//! off twice. It is held where it looks like a fault rather than like stock: empty, cut short, or very different.

use onhand_ledger::model::Inbound;
use onhand_ledger::{Instant, Quantity};
use serde::{Deserialize, Serialize};

/// A snapshot as it was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Told {
    /// When its numbers were true, by the teller.
    pub as_of: Instant,
    /// When we heard of it.
    pub received_at: Instant,
    /// Does it speak of all there is at its location?
    pub whole: bool,
    /// How many rows it has.
    pub rows: usize,
    /// How many the teller says it has; none where it does not say.
    pub declared_rows: Option<usize>,
    /// How many rows the last one of that location had that was whole and taken.
    pub rows_before: Option<usize>,
}

/// What is known of its system's own documents.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Documents {
    /// All of them up to this instant are known; none where nobody ever said so.
    pub known_to: Option<Instant>,
}

/// May it be taken now?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Timing {
    /// All that happened before it is known.
    Known,
    /// It has waited for so many seconds, which is as long as it may.
    WaitedEnough {
        /// Seconds.
        seconds: u32,
    },
    /// It waits until that instant at most; none: as long as it takes.
    Wait {
        /// The latest.
        until: Option<Instant>,
    },
}

/// Its system's clock may be ahead of ours by so much, in seconds, before it has to wait for that time.
const AHEAD: i64 = 300;

/// Whether the documents up to a snapshot are known, or it has waited long enough.
pub fn timing(told: &Told, documents: Documents, settings: &Inbound, now: Instant) -> Timing {
    let is_ahead = told.as_of > now.plus_seconds(AHEAD);
    if !is_ahead && documents.known_to.is_some_and(|known| known >= told.as_of) {
        return Timing::Known;
    }
    let Some(seconds) = settings.wait_seconds else { return Timing::Wait { until: None } };
    let until = told.received_at.max(told.as_of).plus_seconds(i64::from(seconds));
    if now >= until { Timing::WaitedEnough { seconds } } else { Timing::Wait { until: Some(until) } }
}

/// Why a snapshot is held for a person.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guard {
    /// There is nothing in it.
    Empty {
        /// Rows of the one before, where there was one.
        rows_before: Option<usize>,
    },
    /// It has another number of rows than the teller says.
    Truncated {
        /// Rows that came.
        rows: usize,
        /// Rows that should have come.
        declared: usize,
    },
    /// It has far fewer rows than the one before.
    Shrunk {
        /// Rows that came.
        rows: usize,
        /// Rows of the one before.
        before: usize,
    },
    /// It would change much of the stock that it speaks of.
    Different {
        /// Units it would add and take, together.
        changed: Quantity,
        /// Units there were by our books.
        of: Quantity,
        /// What is let through, in percent.
        percent: u8,
    },
    /// It and others of a few numbers each, one soon after the other, would change much together.
    InDrops {
        /// Units they would add and take, together.
        changed: Quantity,
        /// Units there were.
        of: Quantity,
        /// What is let through, in percent.
        percent: u8,
    },
}

/// What can be said of a snapshot by its size. An empty part is none: there is nothing to hold.
pub fn by_size(told: &Told, settings: &Inbound) -> Option<Guard> {
    if told.rows == 0 {
        return Some(Guard::Empty { rows_before: told.rows_before });
    }
    if let Some(declared) = told.declared_rows.filter(|declared| *declared != told.rows) {
        return Some(Guard::Truncated { rows: told.rows, declared });
    }
    let before = told.rows_before.filter(|_| told.whole)?;
    let percent = usize::from(settings.hold_below_rows_percent);
    // 100 × rows ÷ before < percent, without rounding.
    let is_small = told.rows.saturating_mul(100) < before.saturating_mul(percent);
    is_small.then_some(Guard::Shrunk { rows: told.rows, before })
}

/// What can be said of it by what it would change: `changed` of `of` units. Where our books have nothing there is nothing to
/// lose, as when a location is taken over.
pub fn by_change(changed: Quantity, of: Quantity, settings: &Inbound) -> Option<Guard> {
    let percent = settings.hold_above_percent;
    let share = i128::from(changed.micros()) * 100;
    let allowed = i128::from(of.micros()) * i128::from(percent);
    (percent < 100 && of.is_positive() && share > allowed).then_some(Guard::Different {
        changed,
        of,
        percent,
    })
}

/// What a person reads of a snapshot that is held. `items`: what it is of, where that is little.
pub fn held_sentence(system: &str, as_of: Instant, items: &[String], guard: &Guard) -> String {
    let items = if items.is_empty() { String::new() } else { format!(" of {}", items.join(", ")) };
    let what = match guard {
        Guard::Empty { rows_before: Some(before) } => {
            format!("is empty; the one before had {}", rows(*before))
        }
        Guard::Empty { rows_before: None } => "is empty".to_owned(),
        Guard::Truncated { rows: has, declared } => format!("has {} instead of {declared}", rows(*has)),
        Guard::Shrunk { rows: has, before } => format!("has {} instead of {before}", rows(*has)),
        Guard::Different { changed, of, percent } => {
            format!("would change {changed} of {of} units{items}, which is more than {percent} %")
        }
        Guard::InDrops { changed, of, percent } => format!(
            "is one of several within an hour{} that would change {changed} of {of} units, which is more than {percent} %",
            if items.is_empty() { String::new() } else { format!(", this one{items},") }
        ),
    };
    format!("{system}'s snapshot of {as_of} {what}. Nothing was changed; approve it or wait for the next.")
}

fn rows(count: usize) -> String {
    if count == 1 { "1 row".to_owned() } else { format!("{count} rows") }
}

/// What a person reads of one that waits, or that has waited for long enough.
pub fn timing_sentence(system: &str, told: &Told, documents: Documents, timing: Timing) -> String {
    let known = documents.known_to.map_or_else(
        || "none of its documents are known yet".to_owned(),
        |known| format!("its documents are known to {known}"),
    );
    let as_of = told.as_of;
    match timing {
        Timing::Known => format!("{system}'s snapshot of {as_of} is taken: {known}."),
        Timing::WaitedEnough { seconds } => format!(
            "{system}'s snapshot of {as_of} is taken although {known}: it has waited for {seconds} s. What is heard of \
             later and happened before it changes nothing a second time."
        ),
        Timing::Wait { until: Some(until) } => {
            format!("{system}'s snapshot of {as_of} waits: {known}. It is taken then, or at {until}.")
        }
        Timing::Wait { until: None } => format!("{system}'s snapshot of {as_of} waits: {known}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Instant {
        Instant::parse(&format!("2026-11-23T{text}:00Z")).unwrap()
    }

    fn told(rows: usize) -> Told {
        let (as_of, received_at) = (at("10:03"), at("10:04"));
        Told { as_of, received_at, whole: true, rows, declared_rows: None, rows_before: Some(100) }
    }

    #[test]
    fn a_snapshot_waits_for_documents_or_for_so_long() {
        let settings = |wait_seconds| Inbound { wait_seconds, ..Inbound::default() };
        let five = Some(300);
        let known = |text: &str| Some(at(text));
        let waits = |until: &str| Timing::Wait { until: Some(at(until)) };
        for (known_to, wait, now, expected) in [
            (None, five, "10:04", waits("10:09")),
            (known("10:00"), five, "10:08", waits("10:09")),
            (known("10:00"), five, "10:09", Timing::WaitedEnough { seconds: 300 }),
            (known("10:00"), None, "23:00", Timing::Wait { until: None }),
            (known("10:03"), five, "10:04", Timing::Known),
            (known("10:03"), None, "10:04", Timing::Known),
            (known("10:06"), five, "10:20", Timing::Known),
            (None, Some(0), "10:04", Timing::WaitedEnough { seconds: 0 }),
            // A clock that is 3 minutes ahead does no harm; one that is 10 ahead waits for that time, and as long again.
            (known("10:30"), five, "10:00", Timing::Known),
            (known("10:30"), five, "09:58", Timing::Known),
            (known("10:30"), five, "09:57", waits("10:09")),
            (known("10:30"), five, "09:53", waits("10:09")),
        ] {
            let documents = Documents { known_to };
            let found = timing(&told(1), documents, &settings(wait), at(now));
            assert_eq!(found, expected, "{known_to:?} {wait:?} {now}");
        }
    }

    #[test]
    fn sizes_that_are_held() {
        let settings = Inbound::default();
        let shrunk = |rows| Some(Guard::Shrunk { rows, before: 100 });
        let part = Told { whole: false, ..told(1) };
        let first = |rows| Told { rows_before: None, ..told(rows) };
        let declared = |rows, declared| Told { declared_rows: Some(declared), ..told(rows) };
        for (told, expected) in [
            (told(0), Some(Guard::Empty { rows_before: Some(100) })),
            (first(0), Some(Guard::Empty { rows_before: None })),
            (told(79), shrunk(79)),
            (told(80), None),
            (told(500), None),
            (first(1), None),
            (part, None),
            (declared(90, 90), None),
            (declared(90, 91), Some(Guard::Truncated { rows: 90, declared: 91 })),
            (declared(92, 91), Some(Guard::Truncated { rows: 92, declared: 91 })),
        ] {
            assert_eq!(by_size(&told, &settings), expected, "{told:?}");
        }
        let never = Inbound { hold_below_rows_percent: 0, ..settings };
        assert_eq!(by_size(&told(1), &never), None);
    }

    #[test]
    fn changes_that_are_held() {
        let settings = Inbound::default();
        let units = Quantity::units;
        let held =
            |changed, of| Some(Guard::Different { changed: units(changed), of: units(of), percent: 30 });
        for (changed, of, expected) in [
            (30, 100, None),
            (31, 100, held(31, 100)),
            (0, 100, None),
            (500, 0, None),
            (500, 10, held(500, 10)),
        ] {
            assert_eq!(by_change(units(changed), units(of), &settings), expected, "{changed} of {of}");
        }
        let never = Inbound { hold_above_percent: 100, ..settings };
        assert_eq!(by_change(units(900), units(10), &never), None);
        let strict = Inbound { hold_above_percent: 0, ..settings };
        assert!(by_change(units(1), units(1_000), &strict).is_some());
    }

    #[test]
    fn what_is_said_of_one_that_waits_and_of_one_that_waited() {
        let known = |text: &str| Documents { known_to: Some(at(text)) };
        let nothing = Documents { known_to: None };
        let until = Some(at("10:09"));
        for (documents, timing, sentence) in [
            (known("10:06"), Timing::Known, " is taken: its documents are known to 2026-11-23T10:06:00Z."),
            (
                known("10:00"),
                Timing::WaitedEnough { seconds: 300 },
                " is taken although its documents are known to 2026-11-23T10:00:00Z: it has waited for 300 s. What is \
                 heard of later and happened before it changes nothing a second time.",
            ),
            (
                nothing,
                Timing::Wait { until },
                " waits: none of its documents are known yet. It is taken then, or at 2026-11-23T10:09:00Z.",
            ),
            (nothing, Timing::Wait { until: None }, " waits: none of its documents are known yet."),
        ] {
            let told = timing_sentence("Berlin", &told(1), documents, timing);
            assert_eq!(told, format!("Berlin's snapshot of 2026-11-23T10:03:00Z{sentence}"));
        }
    }

    #[test]
    fn the_sentence_of_the_pages() {
        let guard = Guard::Shrunk { rows: 12, before: 1_204 };
        assert_eq!(
            held_sentence("Berlin", at("14:00"), &[], &guard),
            "Berlin's snapshot of 2026-11-23T14:00:00Z has 12 rows instead of 1204. Nothing was changed; approve it \
             or wait for the next."
        );
        let (changed, of) = (Quantity::units(60), Quantity::units(4));
        let guard = Guard::Different { changed, of, percent: 30 };
        assert_eq!(
            held_sentence("Berlin", at("14:00"), &["MUG".to_owned(), "CUP".to_owned()], &guard),
            "Berlin's snapshot of 2026-11-23T14:00:00Z would change 60 of 4 units of MUG, CUP, which is more than 30 %. \
             Nothing was changed; approve it or wait for the next."
        );
    }
}
