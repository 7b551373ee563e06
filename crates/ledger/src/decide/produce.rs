//! Production: components become a kit, a kit becomes its components. What goes in leaves to `production`, what
//! comes out comes from it, both as of when it was done.

use crate::answer::{Answer, Invalid};
use crate::command::Assemble;
use crate::key::{Key, StockState};
use crate::model::Component;
use crate::{ItemId, LocationId, LotId, Quantity};

use super::lines::{self, Done};
use super::order;
use super::shift::Shift;
use super::stock::{self, Change};
use super::transfer;
use super::tx::{Stop, Tx};

/// Components go in, the kit comes out.
pub(super) fn assemble(tx: &mut Tx<'_>, work: &Assemble) -> Result<Answer, Stop> {
    let (kit, components) = resolve(tx, work)?;
    produce(tx, work, "assembled", &components, &[kit])
}

/// The kit goes in, components come out.
pub(super) fn disassemble(tx: &mut Tx<'_>, work: &Assemble) -> Result<Answer, Stop> {
    let (kit, components) = resolve(tx, work)?;
    produce(tx, work, "disassembled", &[kit], &components)
}

type Part = (ItemId, Quantity);

/// The kit and its components, for all that is built.
fn resolve(tx: &Tx<'_>, work: &Assemble) -> Result<(Part, Vec<Part>), Stop> {
    let kit = tx.item_id(&work.sku)?;
    lines::check_quantity(tx, kit, work.quantity, false)?;
    let recipe: Vec<Component> = match &work.components {
        None => tx.item(kit)?.kit.clone(),
        Some(named) => stock::resolve_lines(tx, "a recipe", named)?
            .into_iter()
            .map(|(item, quantity)| Component { item, quantity })
            .collect(),
    };
    if recipe.is_empty() {
        let problem = format!("`{}` has no recipe; name what it is built of", work.sku);
        return Err(Invalid::Field { field: "components", problem }.into());
    }
    lines::check_number(recipe.len())?;
    tx.want(recipe.iter().map(|component| Key::Item(component.item)))?;
    let mut components: Vec<Part> = Vec::new();
    for Component { item, quantity } in recipe {
        if item == kit {
            let problem = format!("`{}` cannot be built of itself", work.sku);
            return Err(Invalid::Field { field: "components", problem }.into());
        }
        if components.iter().any(|(other, _)| *other == item) {
            return Err(Invalid::Twice { field: "components", value: tx.sku(item)? }.into());
        }
        let needed = times(quantity, work.quantity).ok_or(Invalid::Overflow(tx.sku(item)?))?;
        let Some(needed) = needed else {
            let sku = tx.sku(item)?;
            let problem =
                format!("{quantity} of `{sku}` for each of {} has more than 6 decimals", work.quantity);
            return Err(Invalid::Field { field: "quantity", problem }.into());
        };
        tx.check_quantity(item, needed)?;
        components.push((item, needed));
    }
    Ok(((kit, work.quantity), components))
}

/// The exact product: none where it is too large, nothing inside where it has more decimals than can be kept.
fn times(each: Quantity, number: Quantity) -> Option<Option<Quantity>> {
    const MICROS: i128 = 1_000_000;
    let product = i128::from(each.micros()) * i128::from(number.micros());
    if product % MICROS != 0 {
        return Some(None);
    }
    i64::try_from(product / MICROS).ok().map(|micros| Some(Quantity::from_micros(micros)))
}

fn produce(
    tx: &mut Tx<'_>,
    work: &Assemble,
    reason: &str,
    takes: &[Part],
    makes: &[Part],
) -> Result<Answer, Stop> {
    lines::check_words(work.reference.as_deref(), work.note.as_deref())?;
    let location = tx.location_id(&work.location)?;
    let at = tx.past("occurred_at", work.occurred_at)?;
    for (item, _) in takes.iter().chain(makes) {
        stock::must_be_ours(tx, *item, location)?;
    }
    stock::prefetch(
        tx,
        &[StockState::Production, StockState::Adjustment],
        takes.iter().chain(makes).map(|(item, _)| (*item, location, at)),
    )?;
    let leaves = |(item, quantity): &Part| Shift {
        item: *item,
        lot: LotId(0),
        from: (location, StockState::Available),
        to: (LocationId(0), StockState::Production),
        quantity: *quantity,
        occurred_at: at,
        reason,
        corrects: None,
    };
    transfer::must_be_free(tx, &takes.iter().map(leaves).collect::<Vec<_>>())?;
    let mut done: Vec<Done> = Vec::new();
    let by = |(item, quantity): &Part| Change {
        item: *item,
        location,
        lot: LotId(0),
        quantity: *quantity,
        party: StockState::Production,
        occurred_at: at,
        reason,
        corrects: None,
        seen_from: at,
    };
    for part in takes {
        let taken = stock::take_out(tx, by(part), None)?;
        done.push((part.0, location, -part.1, taken.seq));
    }
    for part in makes {
        let seq = stock::put_in(tx, by(part), StockState::Available)?;
        done.push((part.0, location, part.1, seq));
    }
    (tx.reference, tx.note) = (work.reference.clone(), work.note.clone());
    order::settle(tx)?;
    Ok(Answer::Moved(lines::moved_answers(tx, &done)?, tx.discrepancies.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_times_a_number_is_exact_or_nothing() {
        let micros = Quantity::from_micros;
        assert_eq!(times(Quantity::units(2), Quantity::units(3)), Some(Some(Quantity::units(6))));
        assert_eq!(times(micros(500_000), Quantity::units(3)), Some(Some(micros(1_500_000))));
        assert_eq!(times(micros(1), micros(500_000)), Some(None));
        assert_eq!(times(Quantity::MAX_INPUT, Quantity::MAX_INPUT), None);
    }
}
