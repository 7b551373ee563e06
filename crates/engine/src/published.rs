//! What listings shall show: the rules that speak of each, and the stock they ask for. What follows from both is `sync`'s.

use onhand_ledger::key::StockState;
use onhand_ledger::model::{Horizon, Incoming, Listing, SellingStop, Sites, Source, System};
use onhand_ledger::ownership;
use onhand_ledger::publication::{Index, Speaking, Subject};
use onhand_ledger::{
    Date, Entry, Instant, ItemId, Key, ListingId, LocationId, Precision, Quantity, RuleId, Value,
};
use onhand_store::StoreError;
use onhand_sync::{Cover, Halt, Offer, Shown, Stock, desired};

use crate::view::View;

/// The items whose numbers may be others by an entry, but for what it may change of all of them, or of a lot alone. What is built of them, and
/// what they are built of, may be too.
pub(crate) fn touched_by(entry: &Entry, mut touch: impl FnMut(ItemId)) {
    match entry {
        Entry::Movement(movement) => touch(movement.item),
        Entry::Lot(_, lot) => touch(lot.item),
        Entry::Item(item, _)
        | Entry::Buffer(_, item, _)
        | Entry::Claimed { item, .. }
        | Entry::Short { item, .. } => touch(*item),
        // What is expected.
        Entry::Purchase(_, purchase) => purchase.lines.iter().for_each(|line| touch(line.item)),
        Entry::Transfer(_, transfer) => transfer.lines.iter().for_each(|line| touch(line.item)),
        _ => {}
    }
}

/// What of an item rules ask for, besides its stock.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Facts {
    /// Its tags.
    pub tags: Vec<String>,
    /// Its smallest accepted unit.
    pub precision: Precision,
}

/// What a rule asks for of an item's stock.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Needs {
    /// At which of our locations; none: those behind the remote location.
    counts: Vec<Source>,
    /// What is expected, how far ahead.
    incoming: Option<Horizon>,
    /// Every state of it.
    states: bool,
}

impl Needs {
    fn of(rule: Option<Speaking<'_>>) -> Option<Box<Self>> {
        let rule = rule?;
        let states = rule.formula.is_some();
        if rule.rule.counts.is_empty() && rule.rule.incoming.is_none() && !states {
            return None;
        }
        Some(Box::new(Self { counts: rule.rule.counts.clone(), incoming: rule.rule.incoming, states }))
    }
}

/// What a number was computed from: good until an entry touches the item or its time has come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Basis {
    needs: Option<Box<Needs>>,
    stock: Stock,
    cover: Cover,
    /// When it changes by the passing of time alone, as far as no entry says so.
    changes_at: Option<Instant>,
}

impl Basis {
    /// The stock behind the number, location by location.
    pub(crate) const fn cover(&self) -> &Cover {
        &self.cover
    }

    /// As it is once so much of it is promised to orders.
    fn promise(&mut self, quantity: Quantity) {
        self.stock.available -= quantity;
        self.stock.committed += quantity;
    }
}

impl View<'_> {
    /// All that publication rules say now, ready to be asked for many listings.
    pub fn published(&mut self) -> Result<Index, StoreError> {
        self.rules().map(Index::new)
    }

    /// What of an item rules ask for, besides its stock.
    pub fn facts_for_rules(&mut self, item: ItemId) -> Result<Facts, StoreError> {
        Ok(self
            .item(item)?
            .map_or_else(Facts::default, |item| Facts { tags: item.tags, precision: item.precision }))
    }

    fn basis(
        &mut self,
        item: ItemId,
        system: &System,
        remote_location: &str,
        needs: Option<Box<Needs>>,
    ) -> Result<Basis, StoreError> {
        let mut cover = Cover { at: Vec::new(), claimed: self.claimed_anywhere(item)? };
        let mut stock = Stock { claimed: cover.claimed, ..Stock::default() };
        let mut changes_at = None;
        let counts = needs.as_deref().map(|needs| needs.counts.as_slice()).unwrap_or_default();
        let locations = self.counting(system, remote_location, counts)?;
        for location in &locations {
            let (available, built) =
                (self.available(item, *location)?, self.claimed_of_parts(item, *location)?);
            stock.available += available;
            stock.claimed += built;
            cover.at.push((*location, available - built));
        }
        if let Some(needs) = &needs {
            if needs.states {
                self.add_states(&mut stock, item, &locations)?;
            }
            if let Some(horizon) = needs.incoming {
                (stock.incoming, changes_at) = self.expected_within(item, &locations, horizon)?;
            }
        }
        Ok(Basis { needs, stock, cover, changes_at })
    }

    /// The locations that count, each with all that is inside it, and nothing twice.
    fn counting(
        &mut self,
        system: &System,
        remote_location: &str,
        counts: &[Source],
    ) -> Result<Vec<LocationId>, StoreError> {
        if !counts.is_empty() {
            return Ok(outermost(&self.sites()?, counts));
        }
        let behind = system.locations.iter().filter(|mapping| mapping.remote_id == remote_location);
        Ok(behind.map(|mapping| mapping.location).collect())
    }

    /// What there is in each state at these locations and inside them.
    fn add_states(
        &mut self,
        stock: &mut Stock,
        item: ItemId,
        locations: &[LocationId],
    ) -> Result<(), StoreError> {
        let sites = self.sites()?;
        for (cell, slot) in self.cells_of(item)? {
            if cell.state.is_party()
                || !locations.iter().any(|location| sites.is_in(cell.location, *location))
            {
                continue;
            }
            if StockState::ON_HAND.contains(&cell.state) {
                stock.on_hand += slot.quantity;
            }
            match cell.state {
                StockState::Reserved => stock.reserved += slot.quantity,
                StockState::Committed => stock.committed += slot.quantity,
                StockState::SafetyStock => stock.safety_stock += slot.quantity,
                StockState::Damaged => stock.damaged += slot.quantity,
                StockState::QualityControl => stock.quality_control += slot.quantity,
                StockState::InTransit => stock.in_transit += slot.quantity,
                _ => {}
            }
        }
        Ok(())
    }

    /// What is expected at these locations within a horizon, less what is short anywhere, which it will serve first; and when
    /// that changes by the passing of time alone. What was expected on a day that is over is not counted on.
    fn expected_within(
        &mut self,
        item: ItemId,
        locations: &[LocationId],
        horizon: Horizon,
    ) -> Result<(Quantity, Option<Instant>), StoreError> {
        let sites = self.sites()?;
        let (mut within, mut changes_at) = (Quantity::ZERO, None::<Instant>);
        for expected in self.expected(item)? {
            let Incoming { quantity, expected_on: Some(day), .. } = expected.incoming else { continue };
            if !locations.iter().any(|location| sites.is_in(expected.location, *location))
                || !sites.sells(expected.location)
            {
                continue;
            }
            let zone = self.zone(expected.location)?;
            let (counts, next) = window(day, horizon, self.now, &zone);
            within += if counts { quantity } else { Quantity::ZERO };
            changes_at = [changes_at, next].into_iter().flatten().min();
        }
        let short = match self.get(&Key::Demand(item))? {
            Some(Value::Quantity(short)) => short,
            _ => Quantity::ZERO,
        };
        Ok(((within - short).max(Quantity::ZERO), changes_at))
    }

    /// The time zone of a location: its own or that of what it is inside of; UTC where none says.
    fn zone(&mut self, location: LocationId) -> Result<jiff::tz::TimeZone, StoreError> {
        for here in self.sites()?.above(location) {
            if let Some(name) = self.location(here)?.and_then(|known| known.time_zone) {
                let zone = jiff::tz::TimeZoneDatabase::bundled().get(&name);
                return zone.map_err(|error| StoreError::Damaged(format!("time zone `{name}`: {error}")));
            }
        }
        Ok(jiff::tz::TimeZone::UTC)
    }

    /// Was the selling of an item stopped, or that of something it is built of?
    pub(crate) fn halt(
        &mut self,
        index: &Index,
        item: ItemId,
        tags: &[String],
    ) -> Result<Option<Halt>, StoreError> {
        if index.stops_nothing() {
            return Ok(None);
        }
        if let Some(stop) = index.stop(item, tags) {
            return self.told(stop, item).map(Some);
        }
        for part in self.parts_of(item)? {
            let tags = self.item(part)?.map(|item| item.tags).unwrap_or_default();
            if let Some(stop) = index.stop(part, &tags) {
                return self.told(stop, part).map(Some);
            }
        }
        Ok(None)
    }

    fn told(&mut self, (rule, stop): &(RuleId, SellingStop), item: ItemId) -> Result<Halt, StoreError> {
        let sku = self.item(item)?.map(|item| item.sku).unwrap_or_default();
        let what = stop.tag.as_ref().map_or(sku, |tag| format!("what is tagged {tag}"));
        Ok(Halt { rule: *rule, what, reason: stop.reason.clone(), by: stop.by.clone(), at: stop.at })
    }
}

/// Is what is expected on a day within a horizon now, and when is that no longer (or not yet) so?
fn window(day: Date, horizon: Horizon, now: Instant, zone: &jiff::tz::TimeZone) -> (bool, Option<Instant>) {
    let begins = |day: Date| {
        let begins = day.to_zoned(zone.clone()).ok()?;
        Some(Instant::from_micros(begins.timestamp().as_microsecond()))
    };
    let over = day.tomorrow().ok().and_then(begins);
    if over.is_some_and(|over| over <= now) {
        return (false, None);
    }
    match horizon {
        Horizon::Until(last) => (day <= last, over.filter(|_| day <= last)),
        Horizon::Days(days) => {
            let first = day.checked_sub(jiff::Span::new().days(i64::from(days))).ok();
            match first.and_then(begins).filter(|first| *first > now) {
                Some(first) => (false, Some(first)),
                None => (true, over),
            }
        }
    }
}

/// The locations that are meant, without those inside another of them.
fn outermost(sites: &Sites, counts: &[Source]) -> Vec<LocationId> {
    let mut meant: Vec<LocationId> = Vec::new();
    for source in counts {
        match source {
            Source::Location(location) => meant.push(*location),
            Source::Group(group) => meant.extend(sites.members(group)),
        }
    }
    meant.sort_unstable();
    meant.dedup();
    let is_inside = |location: LocationId| {
        sites.above(location).iter().skip(1).any(|above| meant.binary_search(above).is_ok())
    };
    meant.iter().copied().filter(|location| !is_inside(*location)).collect()
}

/// A listing at a remote location, as rules are asked about it.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Which listing.
    pub id: ListingId,
    /// It, mapped to this item.
    pub listing: &'a Listing,
    /// What it sells.
    pub item: ItemId,
    /// Whose it is.
    pub system: &'a System,
    /// Where over there.
    pub remote_location: &'a str,
}

impl Place<'_> {
    /// The rule that speaks of it.
    pub fn rule<'i>(&self, index: &'i Index, facts: &Facts) -> Option<Speaking<'i>> {
        index.speaking(Subject {
            listing: self.id,
            item: self.item,
            tags: &facts.tags,
            system: self.listing.system,
            remote_location: self.remote_location,
        })
    }

    /// What it should show. `basis` is what that is computed from: it is read where it is not known, or another rule asks
    /// for something else.
    pub fn shown(
        &self,
        view: &mut View<'_>,
        index: &Index,
        facts: &Facts,
        basis: &mut Option<Basis>,
    ) -> Result<Shown, StoreError> {
        let rule = self.rule(index, facts);
        let needs = Needs::of(rule);
        let known = match basis.take().filter(|known| known.needs == needs) {
            Some(known) => known,
            None => view.basis(self.item, self.system, self.remote_location, needs)?,
        };
        let halt = view.halt(index, self.item, &facts.tags)?;
        let listing = (self.listing.multiplier, self.listing.buffer.as_deref());
        let shown = desired(&known.stock, facts.precision, listing, rule, halt);
        let is_masters = self.is_of_master(view, index, facts, rule)?;
        let is_skipped = shown.is_skipped || is_masters;
        let cover = known.cover.clone();
        let shown = Shown { changes_at: known.changes_at, is_skipped, is_masters, cover, ..shown };
        *basis = Some(known);
        Ok(shown)
    }

    /// Is its system master of the item wherever counts? Then its number is its own: what we would send is less or older.
    fn is_of_master(
        &self,
        view: &mut View<'_>,
        index: &Index,
        facts: &Facts,
        rule: Option<Speaking<'_>>,
    ) -> Result<bool, StoreError> {
        let system = self.listing.system;
        let Some(ownership) = index.ownership_with(system) else { return Ok(false) };
        if !self.system.mode.direction.sends() {
            return Ok(false);
        }
        let counts = rule.map(|speaking| speaking.rule.counts.as_slice());
        let locations = view.counting(self.system, self.remote_location, counts.unwrap_or_default())?;
        let sites = view.sites()?;
        let subject = ownership::Subject { item: Some(self.item), tags: &facts.tags };
        let is_master = |location: &LocationId| {
            let rule = ownership::speaking(ownership, &sites, subject, Some(*location));
            rule.is_some_and(|(_, rule)| rule.master == system)
        };
        Ok(!locations.is_empty() && locations.iter().all(is_master))
    }
}

/// What a listing offers at a remote location. What is left to its system, or told by it, is none of our offers.
pub(crate) fn offer<'a>(
    system: &System,
    listing: &Listing,
    shows: Option<Quantity>,
    should: &'a Shown,
) -> Offer<'a> {
    let is_ours = system.mode.direction.sends() && !should.is_skipped;
    Offer::new(shows.filter(|_| is_ours), listing.multiplier, &should.cover)
}

/// The locations of ours that count for a listing at a remote location.
pub(crate) fn counted_by(
    view: &mut View<'_>,
    index: &Index,
    id: ListingId,
    listing: &Listing,
    system: &System,
    remote_location: &str,
) -> Result<Vec<LocationId>, StoreError> {
    let Some(item) = listing.item else { return Ok(Vec::new()) };
    let facts = view.facts_for_rules(item)?;
    let place = Place { id, listing, item, system, remote_location };
    let counts =
        place.rule(index, &facts).map(|speaking| speaking.rule.counts.as_slice()).unwrap_or_default();
    view.counting(system, remote_location, counts)
}

/// What a listing should show at a remote location, by the most specific rule; none while it is mapped to nothing.
pub fn desired_by(
    view: &mut View<'_>,
    index: &Index,
    id: ListingId,
    listing: &Listing,
    system: &System,
    remote_location: &str,
) -> Result<Option<Shown>, StoreError> {
    let Some(item) = listing.item else { return Ok(None) };
    let facts = view.facts_for_rules(item)?;
    let place = Place { id, listing, item, system, remote_location };
    place.shown(view, index, &facts, &mut None).map(Some)
}

/// As [`desired_by`], for one listing alone.
pub fn desired_at(
    view: &mut View<'_>,
    id: ListingId,
    listing: &Listing,
    system: &System,
    remote_location: &str,
) -> Result<Option<Shown>, StoreError> {
    let index = view.published()?;
    desired_by(view, &index, id, listing, system, remote_location)
}

/// As [`desired_at`], once so much of its item is promised to orders there that are not known yet.
pub(crate) fn desired_after(
    view: &mut View<'_>,
    (id, listing): (ListingId, &Listing),
    system: &System,
    remote_location: &str,
    promised: Quantity,
) -> Result<Option<Shown>, StoreError> {
    let Some(item) = listing.item else { return Ok(None) };
    let index = view.published()?;
    let facts = view.facts_for_rules(item)?;
    let place = Place { id, listing, item, system, remote_location };
    let mut basis = view.basis(item, system, remote_location, Needs::of(place.rule(&index, &facts)))?;
    basis.promise(promised);
    place.shown(view, &index, &facts, &mut Some(basis)).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn supply_comes_into_the_window_and_slips_out_of_it_with_the_days_of_its_place() {
        let berlin = jiff::tz::TimeZoneDatabase::bundled().get("Europe/Berlin").unwrap();
        let at = |text: &str| Instant::parse(text).unwrap();
        let day = Date::new(2026, 12, 5).unwrap();
        let looked = |horizon, now: &str| {
            let (counts, next) = window(day, horizon, at(now), &berlin);
            (counts, next.map(|next| next.to_string()))
        };
        let next = |text: &str| Some(text.to_owned());
        let three = Horizon::Days(3);
        assert_eq!(looked(three, "2026-12-01T22:59:59Z"), (false, next("2026-12-01T23:00:00Z")));
        assert_eq!(looked(three, "2026-12-01T23:00:00Z"), (true, next("2026-12-05T23:00:00Z")));
        assert_eq!(looked(three, "2026-12-05T22:59:59Z"), (true, next("2026-12-05T23:00:00Z")));
        assert_eq!(
            looked(three, "2026-12-05T23:00:00Z"),
            (false, None),
            "its day is over, and it has not come"
        );
        assert_eq!(looked(Horizon::Until(day), "2026-11-01T00:00:00Z"), (true, next("2026-12-05T23:00:00Z")));
        let before = Horizon::Until(Date::new(2026, 12, 4).unwrap());
        assert_eq!(looked(before, "2026-11-01T00:00:00Z"), (false, None));
    }
}
