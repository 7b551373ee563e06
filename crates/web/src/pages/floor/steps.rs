//! What follows from a scan where goods move: they come in, go to their shelf or to another location; and from one that only asks.

use onhand_engine::View;
use onhand_ledger::command::{
    ArrivedLine, DeliveredLine, DispatchTransfer, Line, LineQuantity, Receive, ReceivePurchase,
    ReceiveTransfer, Transfer,
};
use onhand_ledger::model::{Location, Tracking};
use onhand_ledger::{Body, LocationId, Precision, Quantity, StockState};
use onhand_store::StoreError;

use super::meant::{Found, Meant, item, meant};
use super::offer::{Document, Way, What};
use super::standing::{Scan, Standing};
use super::{Fate, Said, Step, Task};

/// So much of an item, of one lot or piece where it is tracked.
struct Goods {
    found: Found,
    quantity: Quantity,
    lot: Option<String>,
}

impl Goods {
    fn sku(&self) -> &str {
        &self.found.item.sku
    }

    fn lot(&self) -> Option<String> {
        self.lot.clone().filter(|_| self.found.item.tracking == Tracking::Lots)
    }

    fn serials(&self) -> Option<Vec<String>> {
        let serial = self.lot.clone().filter(|_| self.found.item.tracking == Tracking::Serials);
        serial.map(|serial| vec![serial])
    }

    fn line(&self) -> Line {
        Line { lot: self.lot(), serials: self.serials(), ..Line::new(self.sku(), self.quantity) }
    }
}

/// What was scanned.
enum Heard {
    Goods(Box<Goods>),
    Place(LocationId, Box<Location>),
    /// Something is to be scanned again, or before.
    Step(Box<Step>),
}

fn hear(view: &mut View<'_>, scan: &Scan) -> Result<Heard, StoreError> {
    let code = scan.code.trim();
    let said = meant(view, code)?;
    // Of what is in hand the lot is awaited. A known code goes before one that is not.
    if let Some(found) = item(view, &scan.standing.item)?.filter(Found::is_tracked) {
        let is_its_lot = view.lot_by_code(found.id, code)?.is_some();
        if is_its_lot || matches!(said, Meant::Nothing(_)) {
            let many = Quantity::parse(&scan.standing.n, Precision::FINEST).unwrap_or(Quantity::ONE);
            let quantity = if found.item.tracking == Tracking::Serials { Quantity::ONE } else { many };
            return Ok(Heard::Goods(Box::new(Goods { found, quantity, lot: Some(code.to_owned()) })));
        }
    }
    Ok(match said {
        Meant::Nothing(why) => Heard::Step(Box::new(Step::stay(scan, Fate::Unknown, why))),
        Meant::Place(id, location) => Heard::Place(id, location),
        Meant::Item(found) => match scan.units(found.each) {
            Err(why) => Heard::Step(Box::new(Step::stay(scan, Fate::Wrong, why))),
            Ok(quantity) if found.is_tracked() => {
                let what = if found.item.tracking == Tracking::Lots { "lot" } else { "serial number" };
                let said = Said::new(Fate::Known, format!("Now scan the {what} of {}.", found.item.sku));
                let (item, n) = (found.item.sku, quantity.to_string());
                let standing = Standing { item, n, lot: String::new(), ..scan.standing.clone() };
                Heard::Step(Box::new(Step::Stand(standing, said)))
            }
            Ok(quantity) => Heard::Goods(Box::new(Goods { found: *found, quantity, lot: None })),
        },
    })
}

/// What goods come in as: any that were accepted may be sold.
fn state(into: &str) -> StockState {
    match into {
        "damaged" => StockState::Damaged,
        "quality_control" => StockState::QualityControl,
        _ => StockState::Available,
    }
}

pub(super) fn receive(view: &mut View<'_>, scan: &Scan) -> Result<Step, StoreError> {
    let standing = &scan.standing;
    let document = match Document::named(view, &standing.of, Way::In)? {
        Ok(document) => document,
        Err(why) => return Ok(Step::stay(scan, Fate::Wrong, why)),
    };
    let after = standing.clone().empty_handed();
    if !scan.all.is_empty() {
        let at = scan.occurred_at(view.now);
        return Ok(match document {
            Some(document) => Step::act(all_of(&document, standing, at), after),
            None => Step::stay(scan, Fate::Wrong, "Choose what has come first."),
        });
    }
    let goods = match hear(view, scan)? {
        Heard::Step(step) => return Ok(*step),
        Heard::Place(id, location) => return come_in_at(view, scan, document.as_ref(), id, &location),
        Heard::Goods(goods) => goods,
    };
    if standing.place(view)?.is_none() {
        let why =
            format!("{} is known, and nothing was received: scan where it comes in first.", goods.sku());
        return Ok(Step::stay(scan, Fate::Wrong, why));
    }
    let occurred_at = scan.occurred_at(view.now);
    let Some(document) = document else {
        let location = standing.at.clone();
        let body = Receive { location, lines: vec![goods.line()], occurred_at, reason: None };
        return Ok(Step::act(Body::Receive(body), after));
    };
    let Some(line) = document.line(view, goods.found.id, goods.lot.as_deref())? else {
        let why = format!(
            "{} is not expected with {}. Put it aside, or receive it without an order.",
            goods.sku(),
            document.title()
        );
        return Ok(Step::Stand(after, Said::new(Fate::Wrong, why)));
    };
    let (into, quantity) = (state(&standing.into), goods.quantity);
    let body = match document.what {
        What::Purchase(purchase, _) => {
            let (lot, serials) = (goods.lot(), goods.serials());
            let line = DeliveredLine { line, quantity, lot, serials, ..DeliveredLine::default() };
            let location = Some(standing.at.clone());
            Body::ReceivePurchase(ReceivePurchase {
                purchase,
                lines: Some(vec![line]),
                location,
                into,
                occurred_at,
            })
        }
        What::Transfer(transfer, _) => {
            let lines = Some(vec![ArrivedLine { line, quantity, lost: None }]);
            Body::ReceiveTransfer(ReceiveTransfer { transfer, lines, into, occurred_at })
        }
    };
    Ok(Step::act(body, after))
}

/// All that is expected has come.
fn all_of(document: &Document, standing: &Standing, occurred_at: Option<onhand_ledger::Instant>) -> Body {
    let into = state(&standing.into);
    match document.what {
        What::Purchase(purchase, _) => {
            let location = Some(standing.at.clone()).filter(|code| !code.is_empty());
            Body::ReceivePurchase(ReceivePurchase { purchase, lines: None, location, into, occurred_at })
        }
        What::Transfer(transfer, _) => {
            Body::ReceiveTransfer(ReceiveTransfer { transfer, lines: None, into, occurred_at })
        }
    }
}

/// Goods come in at another place from now on: where they are expected, or inside it.
fn come_in_at(
    view: &mut View<'_>,
    scan: &Scan,
    document: Option<&Document>,
    id: LocationId,
    location: &Location,
) -> Result<Step, StoreError> {
    let code = &location.code;
    if let Some(document) = document {
        let expected = document.place();
        let may_be = match document.what {
            What::Purchase(..) => view.sites()?.is_in(id, expected),
            What::Transfer(..) => id == expected,
        };
        if !may_be {
            let where_to = view.location(expected)?.map_or_else(String::new, |place| place.code);
            let why = format!("{code} is the wrong place: {} is expected at {where_to}.", document.title());
            return Ok(Step::stay(scan, Fate::Wrong, why));
        }
    }
    let standing = Standing { at: code.clone(), ..scan.standing.clone() }.empty_handed();
    Ok(Step::Stand(standing, Said::new(Fate::Known, format!("What you scan comes in at {code}."))))
}

/// Goods are put away, or go to another location.
pub(super) fn carry(view: &mut View<'_>, task: Task, scan: &Scan) -> Result<Step, StoreError> {
    let standing = &scan.standing;
    let of = if task == Task::Transfer { standing.of.as_str() } else { "" };
    let document = match Document::named(view, of, Way::Out)? {
        Ok(document) => document,
        Err(why) => return Ok(Step::stay(scan, Fate::Wrong, why)),
    };
    let goods = match hear(view, scan)? {
        Heard::Step(step) => return Ok(*step),
        Heard::Place(id, location) => return go_to(view, task, scan, document.as_ref(), id, &location),
        Heard::Goods(goods) => goods,
    };
    let after = standing.clone().empty_handed();
    let occurred_at = scan.occurred_at(view.now);
    if let Some(document) = &document
        && let What::Transfer(transfer, _) = document.what
    {
        let Some(line) = document.line(view, goods.found.id, goods.lot.as_deref())? else {
            let why = format!("{} is not in {}: leave it here.", goods.sku(), document.title());
            return Ok(Step::Stand(after, Said::new(Fate::Wrong, why)));
        };
        let lines = Some(vec![LineQuantity { line, quantity: goods.quantity, lot: None }]);
        let body = DispatchTransfer { transfer, lines, occurred_at };
        return Ok(Step::act(Body::DispatchTransfer(body), after));
    }
    for (place, what) in [(&standing.at, "where it is now"), (&standing.to, "where it goes")] {
        if place.is_empty() {
            let why = format!("{} is known, and nothing was moved: scan {what} first.", goods.sku());
            return Ok(Step::stay(scan, Fate::Wrong, why));
        }
    }
    let (from, to) = (standing.at.clone(), standing.to.clone());
    let body = Transfer { from, to, lines: vec![goods.line()], occurred_at };
    Ok(Step::act(Body::Transfer(body), after))
}

/// A location was scanned: what is scanned next goes there.
fn go_to(
    view: &mut View<'_>,
    task: Task,
    scan: &Scan,
    document: Option<&Document>,
    id: LocationId,
    location: &Location,
) -> Result<Step, StoreError> {
    let code = &location.code;
    let stay = |why: String| Ok(Step::stay(scan, Fate::Wrong, why));
    let stand = |standing: Standing, text: String| {
        Ok(Step::Stand(standing.empty_handed(), Said::new(Fate::Known, text)))
    };
    if let Some(document) = document {
        return if id == document.place() {
            stand(scan.standing.clone(), format!("{code} it is: scan what leaves."))
        } else {
            let title = document.title();
            stay(format!("{code} is the wrong place: where {title} goes is settled. Scan what leaves."))
        };
    }
    let Some((from, here)) = scan.standing.place(view)? else {
        let standing = Standing { at: code.clone(), ..scan.standing.clone() };
        return stand(standing, format!("The goods are at {code}. Scan where they go."));
    };
    if id == from {
        return stay(format!("{code} is where the goods are now: scan where they go."));
    }
    if task == Task::PutAway {
        let sites = view.sites()?;
        let site = |location| sites.above(location).last().copied();
        if site(id) != site(from) {
            let why = format!(
                "{code} is the wrong place: it is not in the site of {}, where the goods are.",
                here.code
            );
            return stay(why + " Take them there by Transfer.");
        }
    }
    let standing = Standing { to: code.clone(), ..scan.standing.clone() };
    stand(standing, format!("{code} it is: scan what goes there."))
}

/// Says what a code is; the page shows it.
pub(super) fn look_up(view: &mut View<'_>, scan: &Scan) -> Result<Step, StoreError> {
    Ok(match meant(view, &scan.code)? {
        Meant::Nothing(why) => Step::Stand(Standing::default(), Said::new(Fate::Unknown, why)),
        Meant::Place(_, location) => {
            let text = format!("{} is a location.", location.code);
            let standing = Standing { to: location.code, ..Standing::default() };
            Step::Stand(standing, Said::new(Fate::Known, text))
        }
        Meant::Item(found) => {
            let pack = if found.each == Quantity::ONE {
                String::new()
            } else {
                format!(" This is a pack of {}.", found.each)
            };
            let text = format!("{} · {}.{pack}", found.item.sku, found.item.name);
            let standing = Standing { item: found.item.sku, ..Standing::default() };
            Step::Stand(standing, Said::new(Fate::Known, text))
        }
    })
}
