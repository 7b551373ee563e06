//! The laws, looked at from outside: from what the systems recorded and from the log alone.

use onhand_ledger::model::{Became, Cause};
use onhand_ledger::{Instant, Record, Seq, SystemId};

use crate::books::Books;
use crate::channel::Sent;
use crate::world::World;

/// All that can be looked at once a story is over.
pub struct Seen<'a> {
    /// The systems.
    pub world: &'a World,
    /// The books at the end.
    pub books: &'a Books,
    /// The whole log.
    pub records: &'a [(Seq, Record)],
    /// The systems' ids.
    pub ids: &'a [SystemId],
    /// All that was handed to channels.
    pub sent: &'a [Sent],
    /// The newest entry after each commit.
    pub heads: &'a [(Instant, Seq)],
    /// The longest a commit takes.
    pub commit_micros: i64,
}

/// Law 8: each listing shows what it should, or its difference stands in the inbox. What does neither.
pub fn unequal(world: &World, books: &Books, ids: &[SystemId]) -> Vec<String> {
    let mut found = Vec::new();
    for (shop, id) in world.shops.iter().zip(ids) {
        for (remote_id, listed) in &shop.listings {
            let Some(desired) = books.desired(*id, remote_id) else { continue };
            let is_told = books.discrepancies.values().any(|discrepancy| {
                discrepancy.system == *id
                    && discrepancy.resolved_at.is_none()
                    && matches!(discrepancy.cause, Cause::SecondMaster | Cause::UnknownName)
                    && discrepancy.sentence.contains(remote_id)
            });
            if listed.number != desired && !is_told {
                let (name, number) = (&shop.name, listed.number);
                found.push(format!("law 8: {name} shows {number} of {remote_id}, and should show {desired}"));
            }
        }
    }
    found
}

/// All other laws.
pub fn laws(seen: &Seen<'_>) -> Vec<String> {
    let mut found = Vec::new();
    conservation(seen, &mut found);
    pushes(seen, &mut found);
    orders(seen.world, seen.books, seen.ids, &mut found);
    inbox(seen, &mut found);
    for (key, times) in &seen.books.keys {
        if *times > 1 {
            found.push(format!("law 4: {key} was recorded {times} times"));
        }
    }
    found
}

fn conservation(seen: &Seen<'_>, found: &mut Vec<String>) {
    for (item, sum) in seen.books.sums() {
        if sum != 0 {
            found.push(format!("law 1: item {item} adds up to {sum} millionths"));
        }
    }
    if let Some(negative) = &seen.books.negative {
        found.push(format!("law 2: {negative}"));
    }
}

/// Laws 2 and 7: what was sent is what the rule gives at the entry it names, and that was the newest one.
fn pushes(seen: &Seen<'_>, found: &mut Vec<String>) {
    let mut by_seq: Vec<&Sent> = seen.sent.iter().collect();
    by_seq.sort_by_key(|sent| sent.push.seq);
    let mut books = Books::default();
    let mut records = seen.records.iter().peekable();
    for sent in by_seq {
        while let Some((first, record)) = records.next_if(|(first, _)| *first <= sent.push.seq) {
            books.add(*first, record);
        }
        let (name, push) = (&seen.world.shops[sent.shop].name, &sent.push);
        let should = books.desired(seen.ids[sent.shop], &push.listing);
        let quantity = push.quantity.whole_units();
        if should != Some(quantity) {
            let (listing, seq) = (&push.listing, push.seq);
            found.push(format!(
                "law 2: {name} was sent {quantity} for {listing} at entry {seq}, where the rule gives {should:?} ({})",
                sent.at
            ));
        }
        // A commit may be under way when it reads, and the next one keeps that it sends.
        let before = sent.at.plus_micros(-2 * seen.commit_micros - 1);
        let known = seen.heads.partition_point(|(at, _)| *at <= before);
        let newest = known.checked_sub(1).map_or(0, |known| seen.heads[known].1);
        if push.seq < newest {
            found.push(format!(
                "law 7: {name} was sent {quantity} for {} of entry {} at {}, where entry {newest} was known",
                push.listing, push.seq, sent.at
            ));
        }
    }
}

/// Law 10: each order is known as it is now, or waits in the inbox.
pub fn orders(world: &World, books: &Books, ids: &[SystemId], found: &mut Vec<String>) {
    for (shop, id) in world.shops.iter().zip(ids) {
        for told in &shop.orders {
            let order = told.now();
            let key = (*id, order.id.clone());
            if books.waiting.contains(&key) {
                continue;
            }
            let Some(known) = books.documents.get(&key) else {
                found.push(format!("law 10: order {} was never heard of", order.id));
                continue;
            };
            if known.version != order.change {
                found.push(format!(
                    "law 10: of order {} version {} is known, it has {}",
                    order.id, known.version, order.change
                ));
                continue;
            }
            if let Became::Order(known) = known.became
                && let Some(known) = books.orders.get(&known)
            {
                for (nth, line) in order.lines.iter().enumerate() {
                    let wanted = if order.cancelled { 0 } else { line.quantity };
                    // A listing that is mapped otherwise since leaves a line of its old item that wants nothing.
                    let named = known.lines.iter().filter(|of| of.line == (nth + 1).to_string());
                    let is_wanted = named.into_iter().any(|of| !of.wanted.is_zero());
                    if is_wanted != (wanted > 0) {
                        found.push(format!(
                            "law 10: order {} wants {wanted} of line {}; not so here",
                            order.id,
                            nth + 1
                        ));
                    }
                }
            }
        }
    }
}

/// What is over is over in the inbox too.
fn inbox(seen: &Seen<'_>, found: &mut Vec<String>) {
    for discrepancy in seen.books.discrepancies.values().filter(|known| known.resolved_at.is_none()) {
        if matches!(discrepancy.cause, Cause::TrackingOff | Cause::PushRefused) {
            found.push(format!("law 8: it is over, and the inbox still says: {}", discrepancy.sentence));
        }
    }
}
