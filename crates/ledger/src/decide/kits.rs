//! Kits: recipes that may be set.

use std::collections::BTreeSet;

use crate::answer::Invalid;
use crate::availability;
use crate::command::Line;
use crate::key::Key;
use crate::model::{Component, Tracking};
use crate::{ItemId, Precision, Quantity, Seq};

use super::stock;
use super::tx::{Stop, Tx};

/// How many lines a recipe has at most, and how deep kits are in kits.
const MOST: usize = 100;
const DEEPEST: usize = 16;

/// A recipe's lines as the ledger knows them.
pub(super) fn resolve(tx: &Tx<'_>, lines: &[Line]) -> Result<Vec<Component>, Stop> {
    if lines.is_empty() {
        return Ok(Vec::new());
    }
    if lines.len() > MOST {
        let problem = format!("has {} lines; at most {MOST}", lines.len());
        return Err(Invalid::Field { field: "kit", problem }.into());
    }
    stock::no_cost(lines)?;
    let resolved = stock::resolve(tx, "a kit", lines, Quantity::is_positive)?;
    let mut seen = BTreeSet::new();
    let mut recipe = Vec::with_capacity(lines.len());
    for (item, line) in resolved {
        if line.lot.is_some() || line.serials.is_some() || line.expires.is_some() {
            let problem = format!("names a lot of `{}`; a kit is built of whichever there is", line.sku);
            return Err(Invalid::Field { field: "kit", problem }.into());
        }
        if !seen.insert(item) {
            return Err(Invalid::Twice { field: "kit", value: line.sku.clone() }.into());
        }
        recipe.push(Component { item, quantity: line.quantity });
    }
    recipe.sort_unstable();
    Ok(recipe)
}

/// Refuses an item as it is written now, if it is a kit that cannot be, or makes one that it is in so.
pub(super) fn must_be_possible(tx: &Tx<'_>, id: ItemId) -> Result<(), Stop> {
    let known = tx.item(id)?;
    if known.kit.is_empty() {
        return Ok(());
    }
    let sku = &known.sku;
    if known.precision != Precision::WHOLE || known.tracking != Tracking::None {
        let problem = format!("`{sku}` is counted in parts, or tracked; kits are whole and are not tracked");
        return Err(Invalid::Field { field: "kit", problem }.into());
    }
    let mut kits = vec![id];
    let mut seen = BTreeSet::from([id]);
    while let Some(kit) = kits.pop() {
        comes_out_even(tx, kit)?;
        let all = tx.range(Key::KitOf(kit, ItemId(0)), Key::KitOf(kit, ItemId(Seq::MAX >> 1)))?;
        for (key, _) in all {
            let Key::KitOf(_, around) = key else { continue };
            tx.want([Key::Item(around)])?;
            let is_in = tx.item(around)?.kit.iter().any(|component| component.item == kit);
            if is_in && seen.insert(around) {
                kits.push(around);
            }
        }
    }
    Ok(())
}

/// Takes a kit apart, level by level.
fn comes_out_even(tx: &Tx<'_>, kit: ItemId) -> Result<(), Stop> {
    let sku = tx.sku(kit)?;
    let field = |problem| Err(Invalid::Field { field: "kit", problem }.into());
    let mut level = vec![Component { item: kit, quantity: Quantity::units(1) }];
    let mut totals = std::collections::BTreeMap::<ItemId, Quantity>::new();
    for _ in 0..=DEEPEST {
        tx.want(level.iter().map(|component| Key::Item(component.item)))?;
        let mut next = Vec::new();
        for Component { item, quantity } in level {
            let known = tx.item(item)?;
            for part in &known.kit {
                if part.item == kit {
                    return field(format!("`{sku}` would be inside itself (in `{}`)", known.sku));
                }
                tx.want([Key::Item(part.item)])?;
                let precision = tx.item(part.item)?.precision;
                match availability::times(part.quantity, quantity).filter(|times| times.fits(precision)) {
                    Some(quantity) => next.push(Component { item: part.item, quantity }),
                    None => {
                        let part = tx.sku(part.item)?;
                        return field(format!("`{sku}` takes a quantity of `{part}` that cannot be counted"));
                    }
                }
            }
            if known.kit.is_empty() {
                let total = totals.entry(item).or_default();
                match total.checked_add(quantity).filter(|sum| sum.is_acceptable()) {
                    Some(sum) => *total = sum,
                    None => return field(format!("`{sku}` takes too much of `{}`", known.sku)),
                }
            }
        }
        if next.is_empty() {
            return Ok(());
        }
        if next.len() > 10 * MOST {
            return field(format!("`{sku}` has more than {} components in all", 10 * MOST));
        }
        level = next;
    }
    field(format!("`{sku}` has kits in kits more than {DEEPEST} deep"))
}
