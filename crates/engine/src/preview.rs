//! What a publication rule would change, on the stock there is now. Nothing is written.

use onhand_ledger::model::{Rules, System};
use onhand_ledger::publication::Index;
use onhand_ledger::{Answer, Command, Key, ListingId, Quantity, Refusal, RuleId, SystemId, TenantId, Value};
use onhand_store::StoreError;

use crate::commit::{CommitError, Ledger};
use crate::published::Place;
use crate::rehearse::Rehearsal;
use crate::systems::remote_locations;
use crate::view::View;

/// So many listings are looked at together.
const SLICE: usize = 500;

/// A number that would be another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Differs {
    /// The system's name.
    pub system: String,
    /// The listing's id over there.
    pub listing: String,
    /// The remote location's id.
    pub remote_location: String,
    /// What it sells.
    pub sku: String,
    /// What it should show by the rules there are; none: it is left to the system.
    pub from: Option<Quantity>,
    /// What it would show.
    pub to: Option<Quantity>,
    /// Why so much; empty where it is all that is available.
    pub because: String,
}

/// What a rule would change.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Preview {
    /// The rule that is changed or ended; none: it is a new one.
    pub rule: Option<RuleId>,
    /// Numbers that were compared: one for each mapped listing at each remote location.
    pub compared: usize,
    /// Of them would change.
    pub changes: usize,
    /// Of these would become zero.
    pub zeros: usize,
    /// The first of them, by the systems' and the listings' age.
    pub first: Vec<Differs>,
}

/// What setting or ending a rule would change; or with what it would be refused. `most`: so many changes are told.
pub fn preview(
    ledger: &Ledger,
    tenant: TenantId,
    command: &Command,
    most: usize,
) -> Result<Result<Preview, Refusal>, CommitError> {
    let (amended, systems) = ledger.read(tenant, |view| Ok((Amended::by(view, command), view.systems()?)))?;
    let Amended { before, after, rule } = match amended? {
        Ok(amended) => amended,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let (before, after) = (Index::new(before), Index::new(after));
    let mut found = Preview { rule, ..Preview::default() };
    for (id, system) in systems {
        if !system.mode.direction.sends() {
            continue;
        }
        let mut from = ListingId(0);
        while let Some(last) = ledger
            .read(tenant, |view| slice(view, [&before, &after], (id, &system), from, most, &mut found))?
        {
            from = last;
        }
    }
    Ok(Ok(found))
}

/// The rules as they are, and as a command that sets or ends one of them would make them.
pub(crate) struct Amended {
    pub before: Rules,
    pub after: Rules,
    /// The rule it changes or ends; none: it makes one.
    pub rule: Option<RuleId>,
}

impl Amended {
    /// What a command would make of the rules; or with what it would be refused.
    pub fn by(view: &mut View<'_>, command: &Command) -> Result<Result<Self, Refusal>, CommitError> {
        let mut rehearsal = Rehearsal::begin(view);
        let answer = rehearsal.decide(view, command)?.answer;
        if let Answer::Refused(refusal) = answer {
            return Ok(Err(refusal));
        }
        let before = view.rules()?;
        let after = match rehearsal.known(&Key::Rules) {
            Some(Value::Rules(rules)) => rules.as_ref().clone(),
            _ => before.clone(),
        };
        let (owners, shown) =
            (before.ownership.iter().map(|(id, _)| *id), before.publication.iter().map(|(id, _)| *id));
        let rule = match answer {
            Answer::Rule(id) => owners.chain(shown).find(|known| *known == id),
            _ => None,
        };
        Ok(Ok(Self { before, after, rule }))
    }
}

/// Compares some of a system's listings; the last of them, none where there are none.
fn slice(
    view: &mut View<'_>,
    [before, after]: [&Index; 2],
    (id, system): (SystemId, &System),
    from: ListingId,
    most: usize,
    found: &mut Preview,
) -> Result<Option<ListingId>, StoreError> {
    let page = view.listings_in(id, from, SLICE)?;
    for (listing_id, listing) in &page {
        let Some(item) = listing.item else { continue };
        let facts = view.facts_for_rules(item)?;
        // Sold no more by one of them, and sold by the other?
        let is_stopped = view.halt(before, item, &facts.tags)?.is_some();
        let is_same_stop = is_stopped == view.halt(after, item, &facts.tags)?.is_some();
        for remote_location in remote_locations(system) {
            found.compared += 1;
            let remote_location = remote_location.as_str();
            let place = Place { id: *listing_id, listing, item, system, remote_location };
            let rules = [before, after].map(|index| place.rule(index, &facts).map(|speaking| speaking.rule));
            if rules[0] == rules[1] && is_same_stop {
                continue;
            }
            let mut shown = |index| place.shown(view, index, &facts, &mut None);
            let (was, would) = (shown(before)?, shown(after)?);
            let told = |shown: &onhand_sync::Shown| (!shown.is_skipped).then_some(shown.quantity);
            let (was, would_be) = (told(&was), told(&would));
            if was == would_be {
                continue;
            }
            found.changes += 1;
            found.zeros += usize::from(would_be == Some(Quantity::ZERO));
            if found.first.len() < most {
                found.first.push(Differs {
                    system: system.name.clone(),
                    listing: listing.remote_id.clone(),
                    remote_location: remote_location.to_owned(),
                    sku: view.item(item)?.map(|item| item.sku).unwrap_or_default(),
                    from: was,
                    to: would_be,
                    because: would.because(),
                });
            }
        }
    }
    Ok(page.last().map(|(last, _)| *last))
}
