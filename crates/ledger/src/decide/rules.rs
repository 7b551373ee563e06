//! Publication rules, folded here as data: `sync` gives them their meaning. And the end of rules of every kind.
//!
//! A tie (see [`crate::publication`]) is refused wherever it would come about: where a rule is set, where the rule of an item
//! ends that had decided, where an item is tagged.

use crate::answer::{Answer, Invalid, Refusal, Tied};
use crate::command::{ResumeSelling, SetPublication, SizeBuffer, StopSelling, check_name};
use crate::entry::Entry;
use crate::formula::{Formula, Name};
use crate::model::{BufferSize, Horizon, Item, Publication, PushingStopped, Rules, SellingStop};
use crate::publication::{Place, tags_that_tie, tie};
use crate::{ItemId, ListingId, Quantity, RuleId, SystemId};

use super::tx::{Stop, Tx};
use super::{allocation, masters};

/// The risks that an adaptive buffer is sized for: one time in so many.
const RISKS: std::ops::RangeInclusive<u32> = 2..=1_000_000;
/// What is expected counts at most so many days ahead.
const FARTHEST: u16 = 3_650;

fn rules(tx: &Tx<'_>) -> Result<Rules, Stop> {
    Ok(tx.rules()?.cloned().unwrap_or_default())
}

fn wrong<T>(field: &'static str, problem: impl Into<String>) -> Result<T, Stop> {
    Err(Invalid::Field { field, problem: problem.into() }.into())
}

/// One rule for each scope: setting it again changes it.
pub(super) fn set_publication(tx: &mut Tx<'_>, set: &SetPublication) -> Result<Answer, Stop> {
    let rule = proposed(tx, set)?;
    let mut all = rules(tx)?.publication;
    let known = all.iter().find(|(_, other)| other.scope() == rule.scope()).cloned();
    let id = known.as_ref().map_or(RuleId(tx.next_seq()), |(id, _)| *id);
    all.retain(|(other, _)| *other != id);
    all.push((id, rule.clone()));
    if let Some(tag) = &rule.tag {
        let pairs: Vec<[&String; 2]> =
            tags_that_tie(&all, tag).into_iter().map(|other| [tag, other]).collect();
        for item in masters::having_both(tx, &pairs)? {
            must_not_tie(tx, &all, item, tx.item(item)?)?;
        }
    }
    if known.is_none_or(|(_, before)| before != rule) {
        tx.emit(Entry::Publication(id, Some(rule)))?;
    }
    Ok(Answer::Rule(id))
}

/// The rule that is meant, with names resolved and every field in its bounds.
fn proposed(tx: &Tx<'_>, set: &SetPublication) -> Result<Publication, Stop> {
    let system = set.system.as_deref().map(|name| tx.system_id(name)).transpose()?;
    if [set.sku.is_some(), set.tag.is_some(), set.listing.is_some()]
        .into_iter()
        .filter(|named| *named)
        .count()
        > 1
    {
        return wrong("sku", "name a SKU, a tag or a listing, one of them");
    }
    let quantities = [
        ("buffer", set.buffer),
        ("buffer_at_most", set.buffer_at_most),
        ("cap", set.cap),
        ("stop_at", set.stop_at),
    ];
    for (field, quantity) in quantities {
        if quantity.is_some_and(Quantity::is_negative) {
            return wrong(field, "must not be negative");
        }
    }
    let percentage = set.percentage.unwrap_or(100);
    if percentage > 100 {
        return wrong("percentage", "must be 0 to 100");
    }
    check_adaptive(set)?;
    let locations = set.locations.as_deref().unwrap_or_default();
    let rule = Publication {
        system,
        remote_location: remote_location(tx, set, system)?,
        item: set.sku.as_deref().map(|sku| tx.item_id(sku)).transpose()?,
        tag: set.tag.clone(),
        listing: listing(tx, set, system)?,
        counts: allocation::sources(tx, locations, false)?,
        buffer: set.buffer.unwrap_or_default(),
        risk_one_in: set.risk_one_in,
        buffer_at_most: set.buffer_at_most,
        cap: set.cap,
        percentage,
        stop_at: set.stop_at,
        incoming: horizon(set)?,
        formula: set.formula.clone(),
        skip: set.skip == Some(true),
    };
    check_formula(&rule)?;
    if rule.skip && !rule.says_nothing_else() {
        return wrong("skip", "the number is left to the system: leave out what it would be made of");
    }
    if let Some(tag) = &rule.tag {
        check_name("tag", tag, 100)?;
    }
    Ok(rule)
}

/// A buffer that adapts has a risk within bounds, and no more at least than at most.
fn check_adaptive(set: &SetPublication) -> Result<(), Stop> {
    match (set.risk_one_in, set.buffer_at_most) {
        (Some(one_in), _) if !RISKS.contains(&one_in) => wrong(
            "risk_one_in",
            "must be 2 to 1000000: one time in so many more may be sold than is kept back",
        ),
        (None, Some(_)) => wrong("buffer_at_most", "a buffer that adapts needs `risk_one_in` beside it"),
        (Some(_), Some(most)) if most < set.buffer.unwrap_or_default() => {
            wrong("buffer_at_most", "must not be less than `buffer`, which is kept back at least")
        }
        _ => Ok(()),
    }
}

/// What an adaptive rule keeps back at a listing; the same again is nothing new.
pub(super) fn size_buffer(tx: &mut Tx<'_>, set: &SizeBuffer) -> Result<Answer, Stop> {
    let system = tx.system_id(&set.system)?;
    for (field, quantity) in [("quantity", set.quantity), ("sold", set.sold)] {
        if quantity.is_negative() {
            return wrong(field, "must not be negative");
        }
    }
    if !RISKS.contains(&set.one_in) {
        return wrong("one_in", "must be 2 to 1000000");
    }
    let Some(id) = tx.listing_id(system, &set.listing)? else {
        return wrong("listing", format!("`{}` is no listing that is known of that system", set.listing));
    };
    let known = tx.listing(system, &set.listing)?;
    let Some((item, before)) = known.and_then(|known| Some((known.item?, known.buffer.clone()))) else {
        return wrong("listing", format!("`{}` is mapped to no item", set.listing));
    };
    let size = BufferSize {
        quantity: set.quantity,
        sold: set.sold,
        sales: set.sales,
        over_seconds: set.over_seconds,
        lag_ms: set.lag_ms,
        lagging: set.lagging.clone(),
        is_measured: set.is_measured,
        one_in: set.one_in,
        at: tx.now,
    };
    let is_same = |before: &BufferSize| BufferSize { at: size.at, ..before.clone() } == size;
    if !before.as_deref().is_some_and(is_same) {
        tx.emit(Entry::Buffer(id, item, Box::new(size)))?;
    }
    Ok(Answer::Listing(id))
}

/// How far ahead it counts what is expected.
fn horizon(set: &SetPublication) -> Result<Option<Horizon>, Stop> {
    match (set.incoming_days, set.incoming_until) {
        (None, None) => Ok(None),
        (Some(days), None) if days <= FARTHEST => Ok(Some(Horizon::Days(days))),
        (Some(_), None) => wrong("incoming_days", format!("must be 0 to {FARTHEST}")),
        (None, Some(day)) => Ok(Some(Horizon::Until(day))),
        (Some(_), Some(_)) => wrong("incoming_until", "say a number of days or a day, not both"),
    }
}

/// A formula says it all, and what it speaks of is there.
fn check_formula(rule: &Publication) -> Result<(), Stop> {
    let Some(text) = &rule.formula else { return Ok(()) };
    let formula = match Formula::parse(text) {
        Ok(formula) => formula,
        Err(error) => return wrong("formula", error.to_string()),
    };
    if let Some(why) = formula.gives_none() {
        return wrong("formula", format!("it gives no number, whatever stock was tried: {why}"));
    }
    let plain = Publication::default();
    let made_of =
        |rule: &Publication| (rule.buffer, rule.risk_one_in, rule.cap, rule.percentage, rule.stop_at);
    if made_of(rule) != made_of(&plain) {
        return wrong(
            "formula",
            "a formula says it all: leave out buffer, risk_one_in, cap, percentage and stop_at",
        );
    }
    match (formula.names(Name::Incoming), rule.incoming.is_some()) {
        (true, false) => {
            wrong("formula", "it speaks of `incoming`: say how far ahead by incoming_days or incoming_until")
        }
        (false, true) => {
            wrong("formula", "it does not speak of `incoming`: leave out incoming_days and incoming_until")
        }
        _ => Ok(()),
    }
}

fn listing(tx: &Tx<'_>, set: &SetPublication, system: Option<SystemId>) -> Result<Option<ListingId>, Stop> {
    let Some(remote_id) = &set.listing else { return Ok(None) };
    let Some(system) = system else { return wrong("system", "a listing needs its system beside it") };
    match tx.listing_id(system, remote_id)? {
        Some(id) => Ok(Some(id)),
        None => wrong(
            "listing",
            format!("`{remote_id}` is no listing that is known of that system; make it first"),
        ),
    }
}

fn remote_location(
    tx: &Tx<'_>,
    set: &SetPublication,
    system: Option<SystemId>,
) -> Result<Option<String>, Stop> {
    let Some(remote) = &set.remote_location else { return Ok(None) };
    let Some(system) = system else {
        return wrong("system", "a remote location needs its system beside it");
    };
    let system = tx.system(system)?;
    if system.locations.iter().any(|mapping| mapping.remote_id == *remote) {
        return Ok(Some(remote.clone()));
    }
    let known: Vec<String> =
        system.locations.iter().take(10).map(|mapping| format!("`{}`", mapping.remote_id)).collect();
    let name = &system.name;
    let known = if known.is_empty() { "none is".to_owned() } else { format!("{} are", known.join(", ")) };
    wrong("remote_location", format!("no location `{remote}` of {name} is mapped to one of ours; {known}"))
}

pub(super) fn end_rule(tx: &mut Tx<'_>, id: RuleId) -> Result<Answer, Stop> {
    let mut known = rules(tx)?;
    if known.ownership.iter().any(|(other, _)| *other == id) {
        masters::end(tx, id)?;
    } else if let Some(nth) = known.publication.iter().position(|(other, _)| *other == id) {
        let (_, ended) = known.publication.remove(nth);
        // It may have decided between two others.
        if let Some(item) = ended.item {
            must_not_tie(tx, &known.publication, item, tx.item(item)?)?;
        }
        tx.emit(Entry::Publication(id, None))?;
    } else if known.allocation.iter().any(|(other, _)| *other == id) {
        tx.emit(Entry::Allocation(id, None))?;
        super::order::offer_all(tx)?;
    } else if known.stopped.iter().any(|(other, _)| *other == id) {
        tx.emit(Entry::SellingStop(id, None))?;
    } else {
        return Err(Invalid::Unknown { kind: "rule", id: id.to_string() }.into());
    }
    Ok(Answer::Rule(id))
}

// ---- ties ----------------------------------------------------------------------------------------------------

/// Refuses where two rules would say different things of an item that has these tags now.
pub(super) fn tagged_must_not_tie(tx: &Tx<'_>, id: ItemId, item: &Item) -> Result<(), Stop> {
    match tx.rules()? {
        Some(all) => must_not_tie(tx, &all.publication, id, item),
        None => Ok(()),
    }
}

fn must_not_tie(tx: &Tx<'_>, all: &[(RuleId, Publication)], id: ItemId, item: &Item) -> Result<(), Stop> {
    let Some(tie) = tie(all, id, &item.tags).filter(|_| item.merged_into.is_none()) else { return Ok(()) };
    let at = match tie.place {
        Place::All => None,
        Place::System(system) => Some(tx.system(system)?.name.clone()),
        Place::RemoteLocation(system, remote) => Some(format!("{}, {remote}", tx.system(system)?.name)),
    };
    let of = Tied::Item(item.sku.clone());
    Err(Refusal::PublicationTie { of, at, rule: tie.rule, other: tie.other }.into())
}

// ---- selling no more -----------------------------------------------------------------------------------------

/// What is stopped or sold again: an item, or a tag.
fn one_of(
    tx: &Tx<'_>,
    sku: Option<&str>,
    tag: Option<&String>,
) -> Result<(Option<ItemId>, Option<String>), Stop> {
    match (sku, tag) {
        (Some(sku), None) => Ok((Some(tx.item_id(sku)?), None)),
        (None, Some(tag)) => {
            check_name("tag", tag, 100)?;
            Ok((None, Some(tag.clone())))
        }
        _ => wrong("sku", "name a SKU or a tag, one of them"),
    }
}

/// Stopping what is stopped already keeps who stopped it first, unless the reason is another.
pub(super) fn stop_selling(tx: &mut Tx<'_>, stop: &StopSelling) -> Result<Answer, Stop> {
    let (item, tag) = one_of(tx, stop.sku.as_deref(), stop.tag.as_ref())?;
    check_name("reason", &stop.reason, 500)?;
    let stopped = rules(tx)?.stopped;
    let known = stopped.iter().find(|(_, known)| (known.item, &known.tag) == (item, &tag));
    let id = known.map_or(RuleId(tx.next_seq()), |(id, _)| *id);
    if known.is_none_or(|(_, known)| known.reason != stop.reason) {
        let (reason, by, at) = (stop.reason.clone(), tx.actor.clone(), tx.now);
        tx.emit(Entry::SellingStop(id, Some(Box::new(SellingStop { item, tag, reason, by, at }))))?;
    }
    Ok(Answer::Rule(id))
}

pub(super) fn resume_selling(tx: &mut Tx<'_>, resume: &ResumeSelling) -> Result<Answer, Stop> {
    let (item, tag) = one_of(tx, resume.sku.as_deref(), resume.tag.as_ref())?;
    let stopped = rules(tx)?.stopped;
    if let Some((id, _)) = stopped.iter().find(|(_, known)| (known.item, &known.tag) == (item, &tag)) {
        tx.emit(Entry::SellingStop(*id, None))?;
        return Ok(Answer::Rule(*id));
    }
    let (Some(item), Some(sku)) = (item, &resume.sku) else {
        let tag = tag.unwrap_or_default();
        return wrong("tag", format!("selling of what is tagged `{tag}` was not stopped"));
    };
    let tags = &tx.item(item)?.tags;
    let by_tag = stopped.iter().find_map(|(_, known)| known.tag.as_ref().filter(|tag| tags.contains(tag)));
    match by_tag {
        Some(tag) => {
            wrong("sku", format!("`{sku}` is stopped by its tag `{tag}`; resume that, or take the tag off"))
        }
        None => wrong("sku", format!("selling of `{sku}` was not stopped")),
    }
}

/// Stopped again it stays as it is.
pub(super) fn stop_pushing(tx: &mut Tx<'_>) -> Result<Answer, Stop> {
    if let Some(stopped) = rules(tx)?.pushing_stopped {
        return Ok(Answer::Rule(RuleId(stopped.seq)));
    }
    let seq = tx.next_seq();
    tx.emit(Entry::Pushing(Some(PushingStopped { seq, since: tx.now })))?;
    Ok(Answer::Rule(RuleId(seq)))
}

/// Answered with what ends by it, or with 0 where nothing had stopped.
pub(super) fn resume_pushing(tx: &mut Tx<'_>) -> Result<Answer, Stop> {
    let Some(stopped) = rules(tx)?.pushing_stopped else { return Ok(Answer::Rule(RuleId(0))) };
    tx.emit(Entry::Pushing(None))?;
    Ok(Answer::Rule(RuleId(stopped.seq)))
}
