//! What a master is told to expect, or asked to count: what is to be sent now.
//!
//! As orders are, and with one thing more: what a master refused, or was done with before all had come, is expected by us all the same. It is
//! announced there again once more of it is expected than that, or on another day: else it would be refused for ever.

use onhand_ledger::{Instant, ItemId, Quantity, Seq};

use crate::sent::{Days, Lines, Next, SentDocument, is_nothing, of};

/// What is to be announced at a place, where this is still expected, first on these days, and this has come of the newest document by
/// our books.
pub fn next(
    sent: Option<&SentDocument>,
    open: &Lines,
    days: &Days,
    came: &Lines,
    seq: Seq,
    now: Instant,
) -> Next {
    let Some(sent) = sent else {
        if is_nothing(open) {
            return Next::Nothing;
        }
        return Next::Send { number: 1, version: seq, lines: open.clone() };
    };
    let version = sent.next_version(seq);
    let is_on_time = days.iter().all(|(item, day)| sent.days.get(item) == Some(day));
    if let Some(reply) = sent.reply.as_ref().filter(|reply| reply.is_over()) {
        let told = reply.left();
        let asked = sent.asked(reply.version);
        // What has come by its word and not by our books yet is still expected, and is not to be announced twice.
        let rest = open.iter().map(|(item, quantity)| {
            let to_be_booked = (of(&told, *item) - of(came, *item)).max(Quantity::ZERO);
            (*item, (*quantity - to_be_booked).max(Quantity::ZERO))
        });
        let rest: Lines = rest.filter(|(_, quantity)| quantity.is_positive()).collect();
        let is_known = |(item, quantity): (&_, &Quantity)| *quantity <= of(asked, *item) - of(&told, *item);
        if rest.is_empty() || (is_on_time && rest.iter().all(is_known)) {
            return Next::Nothing;
        }
        return Next::Send { number: sent.number + 1, version, lines: rest };
    }
    let (_, asked) = sent.newest();
    let items = open.keys().chain(came.keys()).chain(asked.keys());
    let wanted = |item: &ItemId| {
        let (open, came, asked) = (of(open, *item), of(came, *item), of(asked, *item));
        // More came than was announced, and all of it is there: nothing is to be said of that.
        if open.is_zero() && came >= asked { asked } else { open + came }
    };
    let lines: Lines = items.map(|item| (*item, wanted(item))).collect();
    if !is_on_time || lines.iter().any(|(item, quantity)| of(asked, *item) != *quantity) {
        return Next::Send { number: sent.number, version, lines };
    }
    sent.as_it_is(now)
}

/// What is to be sent of a request to count, which names its item with a 1 for as long as it stands. What a master has answered for good
/// is not asked for again.
pub fn next_recount(sent: Option<&SentDocument>, asked: &Lines, seq: Seq, now: Instant) -> Next {
    match sent {
        Some(sent) if sent.is_over() => Next::Nothing,
        _ => next(sent, asked, &Days::new(), &Lines::new(), seq, now),
    }
}

#[cfg(test)]
mod tests {
    use onhand_ledger::{Date, DiscrepancyId, LocationId, PurchaseId};

    use super::*;
    use crate::sent::{Of, Parcel, Progress, Reply, Stands};

    const MUG: ItemId = ItemId(5);
    const CUP: ItemId = ItemId(6);

    fn lines(told: &[(ItemId, i64)]) -> Lines {
        told.iter().map(|(item, units)| (*item, Quantity::units(*units))).collect()
    }

    fn at(seconds: i64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    fn on(day: i8) -> Days {
        Days::from([(MUG, Date::constant(2026, 12, day))])
    }

    /// Ten were announced for the first of December, in version 7, which has arrived.
    fn announced() -> SentDocument {
        let (of, asked) = (Of::Purchase(PurchaseId(1)), lines(&[(MUG, 10)]));
        let mut sent = SentDocument::new(of, LocationId(2), 1, 7, asked, at(0));
        sent.days = on(1);
        sent.arrived(7);
        sent
    }

    /// So many have come by the master's word, which says this of it.
    fn said(progress: Progress, came: i64) -> SentDocument {
        let mut sent = announced();
        let parcel = Parcel {
            parcel: "d".to_owned(),
            shipped_at: at(0),
            carrier: None,
            tracking: None,
            lines: vec![(MUG, Quantity::units(came))],
        };
        let parcels = if came > 0 { vec![parcel] } else { Vec::new() };
        let (updated_at, leaves) = (at(0), Lines::new());
        let reply = Reply { version: 7, revision: 1, updated_at, progress, reason: None, leaves, parcels };
        assert!(sent.hear(reply));
        sent
    }

    /// Where this is expected by then, and so many have come by our books: the number, the version and how much; none where nothing
    /// is sent.
    fn sends(sent: Option<&SentDocument>, open: i64, day: i8, came: i64) -> Option<(u32, u64, i64)> {
        let days = if open > 0 { on(day) } else { Days::new() };
        match next(sent, &lines(&[(MUG, open)]), &days, &lines(&[(MUG, came)]), 9, at(1_000)) {
            Next::Send { number, version, lines } => Some((number, version, lines[&MUG].whole_units())),
            _ => None,
        }
    }

    #[test]
    fn what_is_expected_is_announced_and_what_has_come_counts_to_it() {
        let known = announced();
        for (sent, open, day, came, expected, why) in [
            (None, 0, 1, 0, None, "nothing is expected"),
            (None, 10, 1, 0, Some((1, 9, 10)), "it is announced"),
            (Some(&known), 10, 1, 0, None, "it is as announced"),
            (Some(&known), 6, 1, 4, None, "four have come"),
            (Some(&known), 0, 1, 10, None, "all have come"),
            (Some(&known), 0, 1, 12, None, "more have come"),
            (Some(&known), 12, 1, 0, Some((1, 9, 12)), "more is expected"),
            (Some(&known), 10, 2, 0, Some((1, 9, 10)), "it is late"),
            (Some(&known), 3, 1, 12, Some((1, 9, 15)), "more came, and more is ordered"),
            (Some(&known), 0, 1, 4, Some((1, 9, 4)), "the rest will not come"),
            (Some(&known), 0, 1, 0, Some((1, 9, 0)), "none of it will"),
        ] {
            assert_eq!(sends(sent, open, day, came), expected, "{why}");
        }
    }

    #[test]
    fn what_is_over_is_announced_anew_only_once_something_is_different() {
        for (sent, open, day, came, expected, why) in [
            (said(Progress::Refused, 0), 10, 1, 0, None, "it is refused"),
            (said(Progress::Refused, 0), 12, 1, 0, Some((2, 9, 12)), "more is expected than it refused"),
            (said(Progress::Refused, 0), 10, 2, 0, Some((2, 9, 10)), "it comes on another day"),
            (said(Progress::Refused, 0), 0, 1, 0, None, "nothing is to be cancelled"),
            (said(Progress::Received, 7), 3, 1, 7, None, "it is done without three"),
            (said(Progress::Received, 7), 10, 1, 0, None, "seven wait to be booked"),
            (said(Progress::Received, 7), 3, 5, 7, Some((2, 9, 3)), "the three come later"),
            (said(Progress::Received, 10), 5, 1, 10, Some((2, 9, 5)), "five more are ordered"),
            (said(Progress::Cancelled, 0), 10, 1, 0, None, "it cancelled it"),
        ] {
            assert_eq!(sends(Some(&sent), open, day, came), expected, "{why}");
        }
    }

    #[test]
    fn a_line_stays_for_ever() {
        let open = lines(&[(CUP, 1)]);
        let sent = next(Some(&announced()), &open, &Days::new(), &Lines::new(), 9, at(0));
        let lines = lines(&[(MUG, 0), (CUP, 1)]);
        assert_eq!(sent, Next::Send { number: 1, version: 9, lines });
    }

    #[test]
    fn how_it_stands() {
        for (sent, stands) in [
            (announced(), Stands::Sent),
            (said(Progress::Accepted, 0), Stands::Accepted),
            (said(Progress::Accepted, 4), Stands::PartReceived),
            (said(Progress::Received, 10), Stands::Received),
            (said(Progress::Received, 12), Stands::Received),
            (said(Progress::Received, 7), Stands::Closed),
            (said(Progress::Refused, 0), Stands::Refused),
            (said(Progress::Cancelled, 0), Stands::Cancelled),
        ] {
            assert_eq!(sent.stands(), stands);
        }
    }

    #[test]
    fn a_count_is_asked_for_until_it_is_answered_for_good() {
        let (asked, none) = (lines(&[(MUG, 1)]), lines(&[(MUG, 0)]));
        let both = lines(&[(MUG, 1), (CUP, 1)]);
        let again = |sent: Option<&SentDocument>, asked| next_recount(sent, asked, 9, at(1_000));
        let first = Next::Send { number: 1, version: 9, lines: asked.clone() };
        assert_eq!(again(None, &asked), first);
        let mut sent =
            SentDocument::new(Of::Recount(DiscrepancyId(1)), LocationId(2), 1, 7, asked.clone(), at(0));
        assert_eq!(again(Some(&sent), &asked), Next::Send { number: 1, version: 7, lines: asked.clone() });
        sent.arrived(7);
        assert_eq!(again(Some(&sent), &asked), Next::Nothing);
        assert_eq!(again(Some(&sent), &none), Next::Send { number: 1, version: 9, lines: none.clone() });
        for progress in [Progress::Counted, Progress::Refused, Progress::Cancelled] {
            let (updated_at, leaves) = (at(0), Lines::new());
            let parcels = Vec::new();
            sent.reply =
                Some(Reply { version: 7, revision: 1, updated_at, progress, reason: None, leaves, parcels });
            assert_eq!(again(Some(&sent), &asked), Next::Nothing, "{progress:?}");
            assert_eq!(again(Some(&sent), &both), Next::Nothing, "{progress:?}, whatever it named");
        }
    }
}
