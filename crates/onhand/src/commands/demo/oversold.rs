//! What a shop oversold by our fault: counted from the shop's own records and the log alone, by the definition of the word, apart from
//! `sync`: a wrong push would show.

use std::collections::BTreeMap;

use onhand_engine::{Ledger, View};
use onhand_ledger::{Entry, Instant, ItemId, LocationId, Record, Seq, StockState, TenantId};
use onhand_store::StoreError;

/// A request may be on its way for so long, in microseconds: where a shop does not keep which entry a number was computed at, it is held
/// against the most that was available since.
const ON_ITS_WAY: i64 = 2_000_000;

/// Something that happened to a shop's number, as the shop has recorded it.
#[derive(Clone, Debug)]
pub(super) struct Change {
    /// When, in microseconds since 1970.
    pub at: i64,
    /// The shop, its listing and its location.
    pub place: String,
    /// What.
    pub what: What,
    /// The number after it.
    pub after: i64,
}

/// What happened to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum What {
    /// We set it, to what the rule gives at an entry, where the shop keeps which.
    Set(Option<Seq>),
    /// Customers bought so many.
    Sale(i64),
    /// Something else.
    Other,
}

/// What is for sale somewhere: an item, from the stock at some of our locations.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    /// Our SKU.
    pub sku: String,
    /// Our locations.
    pub locations: Vec<LocationId>,
}

/// What was available for an offer after each entry that changed it.
type Line = Vec<(Seq, Instant, i64)>;

/// Units that shops sold because we had set a number above what was available at the entry that the push names. `offers` by place.
pub(super) fn by_us(
    ledger: &Ledger,
    offers: &BTreeMap<String, Offer>,
    changes: &[Change],
) -> Result<i64, StoreError> {
    let lines = available(ledger, offers)?;
    // By place: how many units too many the last push put on sale, less those sold since the stock ran into them.
    let mut excess = BTreeMap::<&str, i64>::new();
    let mut oversold = 0;
    for Change { at, place, what, after } in changes {
        match what {
            What::Set(seq) => {
                let line = lines.get(place.as_str()).map(Vec::as_slice).unwrap_or_default();
                let allowed = match seq {
                    Some(seq) => as_of(line, *seq),
                    None => most_since(line, at - ON_ITS_WAY, *at),
                };
                excess.insert(place, (after - allowed).max(0));
            }
            What::Sale(quantity) => {
                // The last `excess` units of what it shows should not be there.
                let wrong = excess.entry(place).or_default();
                let sold_wrongly = (*wrong - after).clamp(0, *quantity);
                oversold += sold_wrongly;
                *wrong -= sold_wrongly;
            }
            What::Other => {}
        }
    }
    Ok(oversold)
}

fn as_of(line: &[(Seq, Instant, i64)], seq: Seq) -> i64 {
    let known = line.partition_point(|(row, ..)| *row <= seq);
    known.checked_sub(1).map_or(0, |last| line[last].2)
}

fn most_since(line: &[(Seq, Instant, i64)], from: i64, to: i64) -> i64 {
    let first = line.partition_point(|(_, at, _)| at.micros() <= from).saturating_sub(1);
    let last = line.partition_point(|(_, at, _)| at.micros() <= to);
    line.get(first..last).into_iter().flatten().map(|(.., units)| *units).max().unwrap_or(0)
}

/// From the log alone.
fn available<'a>(
    ledger: &Ledger,
    offers: &'a BTreeMap<String, Offer>,
) -> Result<BTreeMap<&'a str, Line>, StoreError> {
    let mut skus = BTreeMap::<ItemId, String>::new();
    let mut lines = BTreeMap::<&str, Line>::new();
    let mut after = 0;
    loop {
        let records =
            ledger.read(TenantId::DEFAULT, |view: &mut View<'_>| view.records_after(after, 1_000))?;
        let Some((first, last)) = records.last() else { return Ok(lines) };
        after = first + last.entries.len() as Seq - 1;
        for (first, Record { recorded_at, entries, .. }) in &records {
            for (seq, entry) in (*first..).zip(entries) {
                match entry {
                    Entry::Item(id, item) => {
                        skus.insert(*id, item.sku.clone());
                    }
                    Entry::Movement(movement) => {
                        let Some(sku) = skus.get(&movement.item) else { continue };
                        let sides = [(movement.from, -movement.quantity), (movement.to, movement.quantity)];
                        for (account, change) in sides {
                            if account.state != StockState::Available {
                                continue;
                            }
                            let concerned = offers.iter().filter(|(_, offer)| {
                                offer.sku == *sku && offer.locations.contains(&account.location)
                            });
                            for (place, _) in concerned {
                                let line = lines.entry(place).or_default();
                                let before = line.last().map_or(0, |(.., units)| *units);
                                line.push((seq, *recorded_at, before + change.whole_units()));
                            }
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use onhand_ledger::command::{self, PutItem, PutLocation, Receive};
    use onhand_ledger::{Answer, Body, Command, Quantity};

    use super::*;

    /// The checker would see a wrong push: 8 shown while 5 were there, and 7 of them sold.
    #[test]
    fn what_is_sold_beyond_what_was_there_by_a_push_of_ours_is_counted() {
        let clock = Arc::new(onhand_engine::ManualClock::at(Instant::from_micros(1)));
        let store = Box::new(onhand_store::MemoryStore::default());
        let ledger = Ledger::open(store, clock, onhand_engine::Options::default()).unwrap();
        let lines = |units| {
            vec![command::Line {
                sku: "MUG-BLUE".to_owned(),
                quantity: Quantity::units(units),
                ..Default::default()
            }]
        };
        let location = "LONDON".to_owned();
        let bodies = [
            Body::PutLocation(PutLocation { code: location.clone(), ..PutLocation::default() }),
            Body::PutItem(PutItem { sku: "MUG-BLUE".to_owned(), ..PutItem::default() }),
            Body::Receive(Receive { location, lines: lines(5), occurred_at: None, reason: None }),
        ];
        let submissions = bodies.map(|body| onhand_engine::Submission {
            tenant: TenantId::DEFAULT,
            command: Some(Command::keyed(None, "test", body)),
            notes: Vec::new(),
        });
        let committed = ledger.commit(submissions.into());
        let Answer::Location(london) = committed[0].as_ref().unwrap().answer else { panic!("no location") };
        let seq = committed[2].as_ref().unwrap().seq;
        let offer = Offer { sku: "MUG-BLUE".to_owned(), locations: vec![london] };
        let offers = BTreeMap::from([("shop".to_owned(), offer)]);
        let change = |what, after| Change { at: 10, place: "shop".to_owned(), what, after };
        for known in [Some(seq), None] {
            let set = |units| change(What::Set(known), units);
            let sale = |units, after| change(What::Sale(units), after);
            let count = |changes: &[Change]| by_us(&ledger, &offers, changes).unwrap();
            assert_eq!(count(&[set(8), sale(4, 4), sale(3, 1)]), 2);
            assert_eq!(count(&[set(5), sale(5, 0)]), 0);
            assert_eq!(count(&[set(8), sale(4, 4), set(1), sale(1, 0)]), 0);
        }
    }
}
