//! The inbox as a person reads it: what is open, grouped by what is alike, and what could be done about it.
//!
//! What could be done is decided by [`onhand_sync::inbox`]; here the names are looked up that it speaks of. Who did what
//! about a discrepancy is in the log, where each command names it as its reference, and in notes by its id.

use std::collections::BTreeMap;

use onhand_ledger::command::{Content, Document, Name};
use onhand_ledger::look::look;
use onhand_ledger::model::{Became, Cause, Discrepancy, GetsOrders};
use onhand_ledger::{DiscrepancyId, Instant, ItemId, Key, OrderId, Quantity, Seq, SystemId, Value};
use onhand_store::{Note, StoreError};
use onhand_sync::inbox::{Counter, Matter, Unknown, Unlinked, propose};
use serde::{Deserialize, Serialize};

use crate::systems::found::{found_one, told_by};
use crate::view::View;

/// The notes that say what was done about a discrepancy, by its id.
pub const DONE: &str = "inbox";
/// So many discrepancies are read at a time.
const PAGE: usize = 1_000;
/// So many of a group are looked into for what could be done about all that is alike.
const LOOKED_INTO: usize = 100;

/// Which discrepancies; none of these: all.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Which {
    /// Why they came up.
    pub cause: Option<Cause>,
    /// Whose word started them.
    pub system: Option<SystemId>,
    /// Open ones, or those that have ended.
    pub open: Option<bool>,
}

impl Which {
    fn is(&self, known: &Discrepancy) -> bool {
        self.cause.is_none_or(|cause| cause == known.cause)
            && self.system.is_none_or(|system| system == known.system)
            && self.open.is_none_or(|open| open == known.resolved_at.is_none())
    }
}

/// Open discrepancies of one cause from one system.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    /// Why they came up.
    pub cause: Cause,
    /// Whose word started them.
    pub system: SystemId,
    /// How many.
    pub open: usize,
    /// The oldest.
    pub oldest: DiscrepancyId,
    /// When it came up.
    pub oldest_at: Instant,
    /// When the newest came up.
    pub newest_at: Instant,
    /// What the oldest says.
    pub sentence: String,
    /// What could be done, for how many of the first 100 of them: what can be done for most comes first.
    pub proposals: Vec<(&'static str, usize)>,
}

/// What is kept with a discrepancy of a snapshot that is held.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HeldSnapshot {
    /// Its document.
    pub snapshot: String,
}

/// What is kept with a discrepancy of a listing that is none of our items.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct UnlinkedListing {
    /// Its id over there.
    pub listing: String,
}

/// Something that was done about a discrepancy.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Done {
    /// The proposal.
    pub proposal: String,
    /// Who chose it.
    pub actor: String,
    /// When.
    pub at: Instant,
    /// The log's head when it was done: the change is at or before it.
    pub seq: Seq,
    /// The key it was asked for under, where that is not in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl View<'_> {
    /// Discrepancies after one, up to `limit`, the oldest first.
    pub fn discrepancies(
        &mut self,
        which: Which,
        after: DiscrepancyId,
        limit: usize,
    ) -> Result<Vec<(DiscrepancyId, Discrepancy)>, StoreError> {
        let (mut found, mut from) = (Vec::new(), after.0 + 1);
        let to = Key::Discrepancy(DiscrepancyId(Seq::MAX >> 1));
        loop {
            let page = self.range(&Key::Discrepancy(DiscrepancyId(from)), &to, false, PAGE)?;
            let more = page.len() >= PAGE;
            for (key, value) in page {
                let (Key::Discrepancy(id), Value::Discrepancy(known)) = (key, value) else { continue };
                from = id.0 + 1;
                if which.is(&known) {
                    found.push((id, *known));
                    if found.len() == limit {
                        return Ok(found);
                    }
                }
            }
            if !more {
                return Ok(found);
            }
        }
    }

    /// A discrepancy.
    pub fn discrepancy(&mut self, id: DiscrepancyId) -> Result<Option<Discrepancy>, StoreError> {
        Ok(match self.get(&Key::Discrepancy(id))? {
            Some(Value::Discrepancy(known)) => Some(*known),
            _ => None,
        })
    }

    /// What is open, grouped by cause and system: what there is most of comes first.
    pub fn inbox(&mut self, which: Which) -> Result<Vec<Group>, StoreError> {
        let mut groups = BTreeMap::<(Cause, SystemId), (Group, BTreeMap<&'static str, usize>)>::new();
        let mut after = DiscrepancyId(0);
        loop {
            let page = self.discrepancies(Which { open: Some(true), ..which }, after, PAGE)?;
            let Some((last, _)) = page.last() else { break };
            after = *last;
            for (id, known) in page {
                let (group, counts) = groups.entry((known.cause, known.system)).or_insert_with(|| {
                    let group = Group {
                        cause: known.cause,
                        system: known.system,
                        open: 0,
                        oldest: id,
                        oldest_at: known.opened_at,
                        newest_at: known.opened_at,
                        sentence: known.sentence.clone(),
                        proposals: Vec::new(),
                    };
                    (group, BTreeMap::new())
                });
                group.open += 1;
                group.newest_at = known.opened_at;
                if group.open <= LOOKED_INTO {
                    for proposal in propose(&self.matter(id, &known)?) {
                        *counts.entry(proposal.name).or_default() += 1;
                    }
                }
            }
        }
        let mut groups: Vec<Group> = groups
            .into_values()
            .map(|(mut group, counts)| {
                group.proposals = counts.into_iter().collect();
                group.proposals.sort_by_key(|(name, count)| (*name == "dismiss", usize::MAX - count));
                group
            })
            .collect();
        groups.sort_by_key(|group| (usize::MAX - group.open, group.oldest));
        Ok(groups)
    }

    /// A discrepancy with the names of what it speaks of.
    pub fn matter<'d>(
        &mut self,
        id: DiscrepancyId,
        discrepancy: &'d Discrepancy,
    ) -> Result<Matter<'d>, StoreError> {
        let sku = discrepancy.item.map(|item| self.item(item)).transpose()?.flatten().map(|item| item.sku);
        let location = discrepancy.location.map(|location| self.location(location)).transpose()?.flatten();
        let system = self.system(discrepancy.system)?;
        let told: Option<Document> =
            discrepancy.evidence.as_deref().and_then(|text| serde_json::from_str(text).ok());
        let unknown = match &told {
            Some(document) if discrepancy.cause == Cause::UnknownName => {
                self.unknown_names(discrepancy.system, document)?
            }
            _ => Vec::new(),
        };
        let short = if discrepancy.cause == Cause::Short { self.short_of(id, discrepancy)? } else { None };
        let counter = self.counter_of(discrepancy)?;
        let evidence = || discrepancy.evidence.as_deref().unwrap_or_default();
        let held = match discrepancy.cause {
            Cause::Guard => serde_json::from_str(evidence()).ok().map(|HeldSnapshot { snapshot }| snapshot),
            _ => None,
        };
        let unlinked = match discrepancy.cause {
            Cause::UnmappedListing => self.unlinked(discrepancy.system, evidence())?,
            _ => None,
        };
        let together = match (discrepancy.cause, &discrepancy.evidence) {
            (Cause::UnmappedListing, None) => told_by(self, id)?.len(),
            _ => 0,
        };
        Ok(Matter {
            id,
            discrepancy,
            system: system.map_or_else(|| "onhand".to_owned(), |system| system.name),
            sku,
            location: location.map(|location| location.code),
            counter,
            unknown,
            told,
            short,
            held,
            unlinked,
            together,
        })
    }

    /// The listing that a discrepancy is about, while it is none of our items.
    fn unlinked(&mut self, system: SystemId, evidence: &str) -> Result<Option<Unlinked>, StoreError> {
        let Ok(UnlinkedListing { listing }) = serde_json::from_str(evidence) else { return Ok(None) };
        let Some(found) = found_one(self, system, &listing)? else { return Ok(None) };
        if found.ignored || self.is_mapped(system, &listing)? {
            return Ok(None);
        }
        Ok(Some(Unlinked { remote_id: listing, name: found.name, sku: found.sku }))
    }

    /// Who can count what a discrepancy speaks of.
    fn counter_of(&mut self, discrepancy: &Discrepancy) -> Result<Counter, StoreError> {
        let Some((item, location)) = discrepancy.item.zip(discrepancy.location) else {
            return Ok(Counter::Ourselves);
        };
        let master = self.ownership_of(item, location)?.map_or(SystemId::ONHAND, |(_, rule)| rule.master);
        if master == SystemId::ONHAND {
            return Ok(Counter::Ourselves);
        }
        let system = self.system(master)?.filter(|system| system.gets_orders == GetsOrders::FromOnhand);
        Ok(system.map_or(Counter::Nobody, |system| Counter::Master(system.name)))
    }

    /// The items and listings that a document names and nobody knows, each once.
    fn unknown_names(&mut self, system: SystemId, document: &Document) -> Result<Vec<Unknown>, StoreError> {
        let names: Vec<&Name> = match &document.content {
            Content::Order(order) => order.lines.iter().map(|line| &line.item).collect(),
            Content::Shipment(shipment) => shipment.lines.iter().map(|line| &line.item).collect(),
            Content::Receipt(receipt) => receipt.lines.iter().map(|line| &line.item).collect(),
            Content::Movements(lines) => lines.iter().map(|line| &line.item).collect(),
            Content::Reply(reply) => reply.lines.iter().map(|line| &line.item).collect(),
            Content::Followed(followed) => followed.lines.iter().map(|line| &line.item).collect(),
        };
        let mut unknown = Vec::new();
        for name in names {
            let one = match name {
                Name::Sku(sku) if self.item_by_sku(sku)?.is_none() => {
                    Unknown::Sku { sku: sku.clone(), twins: self.twins_of(sku)? }
                }
                Name::Listing(remote) if !self.is_mapped(system, remote)? => Unknown::Listing(remote.clone()),
                Name::Sku(_) | Name::Listing(_) => continue,
            };
            if !unknown.contains(&one) {
                unknown.push(one);
            }
        }
        Ok(unknown)
    }

    /// The SKUs of items that look like that one.
    fn twins_of(&mut self, sku: &str) -> Result<Vec<String>, StoreError> {
        let seen = look(sku);
        let (from, to) = (Key::Look(seen.clone(), ItemId(0)), Key::Look(seen, ItemId(Seq::MAX >> 1)));
        let mut twins = Vec::new();
        for (key, _) in self.range(&from, &to, false, 10)? {
            let Key::Look(_, item) = key else { continue };
            twins.extend(self.item(item)?.map(|item| item.sku));
        }
        Ok(twins)
    }

    /// The order that a discrepancy says is short, while it is the one that says so, and what of its lines is.
    fn short_of(
        &mut self,
        id: DiscrepancyId,
        discrepancy: &Discrepancy,
    ) -> Result<Option<(OrderId, Vec<(String, Quantity)>)>, StoreError> {
        let Some(name) = &discrepancy.document else { return Ok(None) };
        let Some(Value::Document(known)) = self.get(&Key::Document(discrepancy.system, name.clone()))? else {
            return Ok(None);
        };
        let Became::Order(order) = known.became else { return Ok(None) };
        let Some(Value::Order(found)) = self.get(&Key::Order(order))? else { return Ok(None) };
        if found.short_told != Some(id) {
            return Ok(None);
        }
        let short = found.lines.iter().filter(|line| line.short.is_positive());
        Ok(Some((order, short.map(|line| (line.line.clone(), line.short)).collect())))
    }

    /// What was done about a discrepancy, the first first.
    pub fn done_about(&mut self, id: DiscrepancyId) -> Result<Vec<Done>, StoreError> {
        let Some(body) = self.note(DONE, &id.to_string())? else { return Ok(Vec::new()) };
        serde_json::from_str(&body).map_err(|error| StoreError::Damaged(format!("note {DONE}/{id}: {error}")))
    }
}

/// The note that says what was done about a discrepancy.
pub fn done_note(id: DiscrepancyId, done: &[Done]) -> Note {
    let body = serde_json::to_string(done).expect("what was done can always be written");
    Note { space: DONE.to_owned(), key: id.to_string(), body: Some(body) }
}
