//! Production: components become a kit, a kit becomes its components. What goes in leaves to `production`, what
//! comes out comes from it, both as of when it was done.

use crate::answer::{Answer, Invalid};
use crate::availability;
use crate::command::{Assemble, Line};
use crate::key::{CellKey, Key, StockState};
use crate::model::{Component, Tracking};
use crate::{ItemId, LocationId, Quantity};

use super::lines::{self, Done};
use super::lots;
use super::order;
use super::shift;
use super::stock::{self, Change, Resolved};
use super::tx::{Move, Stop, Tx};

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

/// The kit and its components, for all that is built; what comes in may be of a lot that comes to be.
fn resolve(tx: &Tx<'_>, work: &Assemble) -> Result<(Line, Vec<Line>), Stop> {
    let kit = tx.item_id(&work.sku)?;
    lines::check_quantity(tx, kit, work.quantity, false)?;
    stock::no_cost(work.components.as_deref().unwrap_or_default())?;
    let named: Vec<(ItemId, Line)> = match &work.components {
        Some(named) => stock::resolve(tx, "a recipe", named, Quantity::is_positive)?
            .into_iter()
            .map(|(item, line)| (item, line.into_owned()))
            .collect(),
        None => {
            let recipe = tx.item(kit)?.kit.clone();
            tx.want(recipe.iter().map(|component| Key::Item(component.item)))?;
            let line = |component: &Component| {
                Ok((component.item, Line::new(tx.sku(component.item)?, component.quantity)))
            };
            recipe.iter().map(line).collect::<Result<_, Stop>>()?
        }
    };
    if named.is_empty() {
        let problem = format!("`{}` has no recipe; name what it is built of", work.sku);
        return Err(Invalid::Field { field: "components", problem }.into());
    }
    lines::check_number(named.len())?;
    let mut components = Vec::new();
    for (item, each) in named {
        if item == kit {
            let problem = format!("`{}` cannot be built of itself", work.sku);
            return Err(Invalid::Field { field: "components", problem }.into());
        }
        let Some(quantity) = availability::times(each.quantity, work.quantity) else {
            let problem = format!(
                "{} of `{}` for each of {} does not come out even",
                each.quantity, each.sku, work.quantity
            );
            return Err(Invalid::Field { field: "quantity", problem }.into());
        };
        tx.check_quantity(item, quantity)?;
        components.push(Line { quantity, ..each });
    }
    let kit = if tx.item(kit)?.tracking == Tracking::Serials {
        Line { serials: work.lot.clone().map(|serial| vec![serial]), ..Line::new(&work.sku, work.quantity) }
    } else {
        Line { lot: work.lot.clone(), ..Line::new(&work.sku, work.quantity) }
    };
    Ok((kit, components))
}

fn produce(
    tx: &mut Tx<'_>,
    work: &Assemble,
    reason: &str,
    takes: &[Line],
    makes: &[Line],
) -> Result<Answer, Stop> {
    let location = tx.location_id(&work.location)?;
    let at = tx.past("occurred_at", work.occurred_at)?;
    let takes = stock::resolve_each(tx, "production", takes, Quantity::is_positive)?;
    let makes = stock::resolve(tx, "production", makes, Quantity::is_positive)?;
    let items = || takes.iter().map(|part| part.item).chain(makes.iter().map(|(item, _)| *item));
    for item in items() {
        stock::must_be_ours(tx, item, location)?;
    }
    let parties = [StockState::Production, StockState::Adjustment];
    stock::prefetch(tx, &parties, items().map(|item| (item, location, at)))?;
    let leaves = |part: &Resolved| Move {
        promise: None,
        item: part.item,
        lot: part.lot.unwrap_or_default(),
        from: (location, StockState::Available),
        to: (LocationId(0), StockState::Production),
        quantity: part.quantity,
        occurred_at: at,
        reason,
        corrects: None,
    };
    let steps: Vec<Move<'_>> = takes.iter().map(leaves).collect();
    tx.want_cells(
        steps.iter().map(|step| CellKey::of(step.item, location, step.lot, StockState::Available)),
    )?;
    shift::must_be_free(tx, &steps)?;
    let by = |part: &Resolved| Change {
        item: part.item,
        location,
        lot: part.lot.unwrap_or_default(),
        quantity: part.quantity,
        inside: false,
        unnamed: false,
        party: StockState::Production,
        occurred_at: at,
        reason,
        corrects: None,
        seen_from: at,
    };
    let mut done: Vec<Done> = Vec::new();
    for part in &takes {
        let taken = stock::take_out(tx, by(part), None)?;
        done.push((part.item, location, -part.quantity, taken.seq));
    }
    for part in lots::arriving(tx, &makes)? {
        let seq = stock::put_in(tx, by(&part), StockState::Available)?;
        done.push((part.item, location, part.quantity, seq));
    }
    order::settle(tx)?;
    Ok(Answer::Moved(lines::moved_answers(tx, &done)?, tx.discrepancies.clone()))
}
