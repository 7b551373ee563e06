//! The laws, looked at from outside: from what the systems recorded and from the log alone.

use onhand_engine::Ledger;
use onhand_engine::explain::explain_item;
use onhand_engine::systems::ItemShown;
use onhand_ledger::key::CellKey;
use onhand_ledger::model::{Became, Cause};
use onhand_ledger::{Instant, Quantity, Record, Seq, SystemId};
use onhand_store::StoreError;

use crate::books::Books;
use crate::channel::Sent;
use crate::onhand::TENANT;
use crate::story::Story;
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
    /// The keys that were answered.
    pub answered: &'a [String],
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
    for key in seen.answered {
        if !seen.books.keys.contains_key(key) {
            found.push(format!("law 3: {key} was answered, and is not in the log"));
        }
    }
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

/// Laws 6 and 11: where a warehouse is master there is what it has, whatever others say, however late it was heard of.
pub fn warehouses(world: &World, books: &Books, found: &mut Vec<String>) {
    for depot in &world.depots {
        for (sku, there) in &depot.stock {
            let known = books.physical(sku, &depot.place);
            if known != *there * 1_000_000 {
                let (name, place) = (&depot.name, &depot.place);
                found.push(format!(
                    "law 6: {name} has {there} of {sku} at {place}; {known} millionths by our books"
                ));
            }
        }
    }
}

/// Law 10: what a system calls its listings is known, and what a person mapped stays mapped.
pub fn found(world: &World, books: &Books, ids: &[SystemId], story: &Story, found: &mut Vec<String>) {
    for (shop, id) in world.shops.iter().zip(ids) {
        for (remote_id, listed) in &shop.listings {
            let Some((listing_id, listing)) = books.listing(*id, remote_id) else { continue };
            let name = &shop.name;
            if story.discover_ms > 0 && listing.remote_sku.as_ref() != Some(&listed.sku) {
                let known = &listing.remote_sku;
                found.push(format!("law 10: {name} calls {remote_id} {}; {known:?} is known", listed.sku));
            }
            if let Some(mapped) = books.mapped_by_person.get(&listing_id)
                && *mapped != (listing.item, listing.multiplier)
            {
                found.push(format!(
                    "law 10: {remote_id} of {name} is mapped otherwise than the last person said"
                ));
            }
        }
    }
}

/// Laws 11 and 12: what is asked of Onhand about the past and about its numbers is as the log has it.
pub fn asked(
    ledger: &Ledger,
    books: &Books,
    heads: &[(Instant, Seq)],
    ids: &[SystemId],
    world: &World,
) -> Result<Vec<String>, StoreError> {
    let mut found = Vec::new();
    ledger.read(TENANT, |view| {
        for (at, _) in [heads.get(heads.len() / 3), heads.get(heads.len() * 2 / 3)].into_iter().flatten() {
            for ((item, location, state), moves) in books.moves.iter().filter(|((.., state), _)| !state.is_party()) {
                let should: i64 =
                    moves.iter().filter(|(happened, _)| happened <= at).map(|(_, moved)| moved).sum();
                let said = view.as_of(CellKey::new(*item, *location, *state), *at, None)?.micros();
                if said != should {
                    found.push(format!(
                        "law 11: there were {should} millionths of item {item} at {location} ({state:?}) at {at}; {said} are told"
                    ));
                }
            }
        }
        for item in books.items.keys() {
            for explained in explain_item(view, *item)? {
                let ItemShown { system, listing, desired, is_skipped, .. } = &explained.shown;
                let Some(shop) = world.shops.iter().position(|shop| shop.name == *system) else { continue };
                let should = books.desired(ids[shop], listing);
                if !is_skipped && should != Some(desired.whole_units()) {
                    found.push(format!("law 12: {listing} should show {should:?}; {desired} is explained"));
                }
                let behind: Quantity = explained.chain.stock.iter().map(|behind| behind.available).sum();
                if behind != explained.chain.available {
                    found.push(format!(
                        "law 12: {listing}: {behind} lie there, place by place, of {}",
                        explained.chain.available
                    ));
                }
            }
        }
        Ok(found)
    })
}

/// Law 5: what was read of the log at any time, before crashes too, is in it as it was.
pub fn history(ledger: &Ledger, read: &[(Seq, Record)]) -> Result<Vec<String>, StoreError> {
    let now = ledger.read(TENANT, |view| view.records_after(0, usize::MAX))?;
    if now == read {
        return Ok(Vec::new());
    }
    let same = now.iter().zip(read).take_while(|(now, before)| now == before).count();
    Ok(vec![format!("law 5: the log is another one from its record {same} on than it was before")])
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
        let is_over = matches!(
            discrepancy.cause,
            Cause::TrackingOff | Cause::PushRefused | Cause::ListingGone | Cause::ZerosHeld | Cause::Guard
        );
        if is_over {
            found.push(format!("law 8: it is over, and the inbox still says: {}", discrepancy.sentence));
        }
    }
}
