//! Law 6, apart from the rules' own code: nothing has two masters anywhere, by all rules of the log together.
//!
//! Asked is, item by item and location by location, whom the first rules name that speak, in the order that the design
//! gives. Items that no rule names are as all others with their tags.

use std::collections::{BTreeMap, BTreeSet};

use onhand_ledger::model::{Item, Location, Ownership};
use onhand_ledger::{Entry, ItemId, LocationId, RuleId};

use super::Violation;
use crate::words::Names;

/// What the log says by now.
#[derive(Default)]
pub(super) struct MasterAudit {
    rules: BTreeMap<RuleId, Ownership>,
    locations: BTreeMap<LocationId, (Option<LocationId>, Vec<String>)>,
    /// Of items that have any.
    tags: BTreeMap<ItemId, Vec<String>>,
}

impl MasterAudit {
    pub fn record(&mut self, entries: &[Entry]) {
        for entry in entries {
            match entry {
                Entry::Ownership(id, Some(rule)) => {
                    self.rules.insert(*id, rule.clone());
                }
                Entry::Ownership(id, None) => {
                    self.rules.remove(id);
                }
                Entry::Location(id, location) => {
                    let Location { parent, groups, .. } = &**location;
                    self.locations.insert(*id, (*parent, groups.clone()));
                }
                Entry::Item(id, item) => {
                    let Item { tags, .. } = &**item;
                    if tags.is_empty() {
                        self.tags.remove(id);
                    } else {
                        self.tags.insert(*id, tags.clone());
                    }
                }
                _ => {}
            }
        }
    }

    /// The first thing that has two masters.
    pub fn two(&self, names: &Names) -> Result<(), Violation> {
        // With one master in all rules there are no two anywhere.
        let mut masters = self.rules.values().map(|rule| rule.master);
        let first = masters.next();
        if masters.all(|master| Some(master) == first) {
            return Ok(());
        }
        let ruled: BTreeSet<&String> = self.rules.values().filter_map(|rule| rule.tag.as_ref()).collect();
        let mut kinds = BTreeMap::<(Option<ItemId>, Vec<&String>), ItemId>::new();
        for rule in self.rules.values() {
            kinds.extend(rule.item.map(|item| ((Some(item), self.ruled_tags(item, &ruled)), item)));
        }
        for item in self.tags.keys().filter(|item| !self.rules.values().any(|rule| rule.item == Some(**item)))
        {
            kinds.entry((None, self.ruled_tags(*item, &ruled))).or_insert(*item);
        }
        kinds.insert((None, Vec::new()), ItemId(0));
        for ((item, tags), example) in &kinds {
            for location in self.locations.keys() {
                if let Some((rule, other)) = self.two_of(*item, tags, *location) {
                    let (what, at) = match example {
                        ItemId(0) => ("what no rule for an item speaks of".to_owned(), names.code(*location)),
                        example => (names.sku(*example), names.code(*location)),
                    };
                    return Err(Violation::Masters { what: format!("{what} at {at}"), rule, other });
                }
            }
        }
        Ok(())
    }

    fn ruled_tags(&self, item: ItemId, ruled: &BTreeSet<&String>) -> Vec<&String> {
        let mut tags: Vec<&String> =
            self.tags.get(&item).into_iter().flatten().filter(|tag| ruled.contains(tag)).collect();
        tags.sort_unstable();
        tags.dedup();
        tags
    }

    /// Two of the most specific rules that name different masters.
    fn two_of(
        &self,
        item: Option<ItemId>,
        tags: &[&String],
        location: LocationId,
    ) -> Option<(RuleId, RuleId)> {
        let mut around = vec![location];
        while let Some((Some(parent), _)) = around.last().and_then(|last| self.locations.get(last)) {
            around.push(*parent);
        }
        let own = |rule: &Ownership| rule.item.is_some() && rule.item == item;
        let tagged = |rule: &Ownership| {
            rule.item.is_none() && rule.tag.as_ref().is_some_and(|tag| tags.contains(&tag))
        };
        let all = |rule: &Ownership| rule.item.is_none() && rule.tag.is_none();
        for speaks in [&own as &dyn Fn(&Ownership) -> bool, &tagged, &all] {
            let of: Vec<(&RuleId, &Ownership)> = self.rules.iter().filter(|(_, rule)| speaks(rule)).collect();
            let here = around.iter().map(|node| -> Vec<&(&RuleId, &Ownership)> {
                of.iter().filter(|(_, rule)| rule.location == Some(*node)).collect()
            });
            let grouped = around.iter().map(|node| {
                let groups =
                    self.locations.get(node).map(|(_, groups)| groups.as_slice()).unwrap_or_default();
                let is_of =
                    |rule: &Ownership| rule.group.as_ref().is_some_and(|group| groups.contains(group));
                of.iter().filter(|(_, rule)| rule.location.is_none() && is_of(rule)).collect()
            });
            let everywhere = std::iter::once_with(|| {
                of.iter().filter(|(_, rule)| rule.location.is_none() && rule.group.is_none()).collect()
            });
            if let Some(speaking) = here.chain(grouped).chain(everywhere).find(|rules| !rules.is_empty()) {
                let (first, master) = (speaking[0].0, speaking[0].1.master);
                let other = speaking.iter().find(|(_, rule)| rule.master != master);
                return other.map(|(other, _)| (*first, **other));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use onhand_ledger::SystemId;
    use onhand_ledger::model::Location;

    use super::*;

    #[test]
    fn two_masters_of_one_thing_are_found() {
        let rule = |id, group: &str| {
            let rule = Ownership {
                location: None,
                group: Some(group.to_owned()),
                item: None,
                tag: Some("fragile".to_owned()),
                master: SystemId(id),
            };
            Entry::Ownership(RuleId(id), Some(rule))
        };
        let place = |id, parent: Option<u64>, groups: &[&str]| {
            let groups = groups.iter().map(|group| (*group).to_owned()).collect();
            let parent = parent.map(LocationId);
            Entry::Location(LocationId(id), Box::new(Location { parent, groups, ..Location::new("PLACE") }))
        };
        let item = Item { tags: vec!["fragile".to_owned(), "heavy".to_owned()], ..Item::new("MUG") };
        let mut audit = MasterAudit::default();
        let mut names = Names::default();
        names.skus.insert(ItemId(9), "MUG".to_owned());
        names.codes.insert(LocationId(2), "BIN".to_owned());
        audit.record(&[place(1, None, &["EU"]), place(2, Some(1), &["COLD"])]);
        audit.record(&[Entry::Item(ItemId(9), Box::new(item)), rule(3, "EU"), rule(4, "COLD")]);
        assert_eq!(audit.two(&names), Ok(()));
        audit.record(&[place(2, Some(1), &["COLD", "EU"])]);
        let found = audit.two(&names).unwrap_err().to_string();
        assert_eq!(found, "law 6 (one master): the rules 3 and 4 both name a master of `MUG` at `BIN`");
        audit.record(&[Entry::Ownership(RuleId(4), None)]);
        assert_eq!(audit.two(&names), Ok(()));
    }
}
