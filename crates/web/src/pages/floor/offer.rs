//! What a task offers: places to choose, what is expected or shall leave, and what was looked up.

use onhand_engine::View;
use onhand_ledger::model::{Purchase, PurchaseLine, TransferDocument, TransferLine};
use onhand_ledger::{ItemId, Key, LocationId, LotId, PurchaseId, Quantity, Seq, TransferId, Value};
use onhand_store::StoreError;

use super::super::words;
use super::Task;
use super::standing::Standing;

/// So many locations are offered to choose from; any is found by scanning it.
const PLACES: usize = 200;
/// So many documents are offered, of so many that are looked at, the newest first.
const DOCUMENTS: usize = 20;
const EXAMINED: usize = 300;
/// So many lines of one are told.
const LINES: usize = 100;

/// Which way the goods of a document go, seen from here.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    In,
    Out,
}

/// What goods come in or leave for.
pub(super) struct Document {
    pub way: Way,
    pub what: What,
}

/// It, as the ledger has it.
pub(super) enum What {
    Purchase(PurchaseId, Box<Purchase>),
    Transfer(TransferId, Box<TransferDocument>),
}

/// A line of a document, as it is found by what is scanned.
struct DocumentLine {
    name: String,
    item: ItemId,
    lot: LotId,
    /// How much is still to come, or to leave.
    left: Quantity,
}

impl Document {
    /// The document that [`Document::name`] names; none where none is named. Why not, where there is none of that name.
    pub fn named(
        view: &mut View<'_>,
        of: &str,
        way: Way,
    ) -> Result<Result<Option<Self>, String>, StoreError> {
        if of.is_empty() {
            return Ok(Ok(None));
        }
        let found = match of.split_once('-').and_then(|(kind, id)| Some((kind, id.parse::<Seq>().ok()?))) {
            Some(("purchase", id)) if way == Way::In => match view.get(&Key::Purchase(PurchaseId(id)))? {
                Some(Value::Purchase(known)) => Some(What::Purchase(PurchaseId(id), known)),
                _ => None,
            },
            Some(("transfer", id)) => match view.get(&Key::Transfer(TransferId(id)))? {
                Some(Value::Transfer(known)) => Some(What::Transfer(TransferId(id), known)),
                _ => None,
            },
            _ => None,
        };
        let found = found.map(|what| Some(Self { way, what }));
        Ok(found.ok_or_else(|| "What you work on is not there: choose it again.".to_owned()))
    }

    /// As an address names it.
    pub fn name(&self) -> String {
        match &self.what {
            What::Purchase(id, _) => format!("purchase-{id}"),
            What::Transfer(id, _) => format!("transfer-{id}"),
        }
    }

    /// As people name it.
    pub fn title(&self) -> String {
        match &self.what {
            What::Purchase(id, known) => match &known.reference {
                Some(reference) => format!("{reference} of {}", known.supplier),
                None => format!("purchase order {id} of {}", known.supplier),
            },
            What::Transfer(id, known) => match &known.reference {
                Some(reference) => format!("transfer {reference}"),
                None => format!("transfer {id}"),
            },
        }
    }

    /// Where its goods come in, or leave from.
    pub fn place(&self) -> LocationId {
        match (&self.what, self.way) {
            (What::Purchase(_, known), _) => known.location,
            (What::Transfer(_, known), Way::In) => known.to,
            (What::Transfer(_, known), Way::Out) => known.from,
        }
    }

    fn lines(&self) -> Vec<DocumentLine> {
        match &self.what {
            What::Purchase(_, known) => {
                let line = |line: &PurchaseLine| DocumentLine {
                    name: line.line.clone(),
                    item: line.item,
                    lot: LotId(0),
                    left: known.open(line),
                };
                known.lines.iter().map(line).collect()
            }
            What::Transfer(_, known) => {
                let line = |line: &TransferLine| DocumentLine {
                    name: line.line.clone(),
                    item: line.item,
                    lot: line.lot,
                    left: if self.way == Way::In { line.in_transit() } else { line.to_dispatch() },
                };
                known.lines.iter().map(line).collect()
            }
        }
    }

    /// The name of its line of an item, and of a lot where it names one: the first of which something is left, else the first.
    pub fn line(
        &self,
        view: &mut View<'_>,
        item: ItemId,
        lot: Option<&str>,
    ) -> Result<Option<String>, StoreError> {
        let lot = lot.map(|lot| view.lot_by_code(item, lot)).transpose()?.flatten().map(|(id, _)| id);
        let is_it =
            |line: &DocumentLine| line.item == item && (line.lot == LotId(0) || Some(line.lot) == lot);
        let mut lines: Vec<_> = self.lines().into_iter().filter(is_it).collect();
        let open = lines.iter().position(|line| line.left.is_positive()).unwrap_or_default();
        Ok((open < lines.len()).then(|| lines.swap_remove(open).name))
    }

    fn left(&self) -> Quantity {
        self.lines().iter().map(|line| line.left).sum()
    }
}

/// A location that may be chosen.
pub(super) struct Choice {
    pub code: String,
    pub label: String,
    pub is_chosen: bool,
}

/// A document that may be worked on.
pub(super) struct Offered {
    pub href: String,
    pub title: String,
    pub left: String,
}

/// The document that is worked on.
pub(super) struct Opened {
    pub title: String,
    /// Of which something is left.
    pub lines: Vec<Left>,
    pub is_in: bool,
}

/// So much of an item is still to come, or to leave.
pub(super) struct Left {
    pub sku: String,
    pub name: String,
    pub left: String,
}

/// An item that was looked up.
pub(super) struct Item {
    pub href: String,
    pub name: String,
    pub unit: String,
    /// Its barcodes.
    pub codes: String,
    /// Where it lies: what is free there, and what lies there.
    pub places: Vec<(String, String, String)>,
    /// How much is expected, where some is.
    pub expected: Option<String>,
}

/// A location that was looked up.
pub(super) struct Place {
    pub name: String,
    /// What it is inside of.
    pub inside: String,
    /// The stock list of it.
    pub href: String,
}

/// What a task offers.
pub(super) struct Offer {
    pub places: Vec<Choice>,
    pub documents: Vec<Offered>,
    pub document: Option<Opened>,
    /// The address of the task without that document.
    pub without: String,
    pub item: Option<Item>,
    pub place: Option<Place>,
}

impl Offer {
    pub fn of(view: &mut View<'_>, task: Task, standing: &Standing) -> Result<Self, StoreError> {
        let way = if task == Task::Receive { Way::In } else { Way::Out };
        let has_documents = matches!(task, Task::Receive | Task::Transfer);
        let document =
            if has_documents { Document::named(view, &standing.of, way)?.unwrap_or(None) } else { None };
        let documents = if has_documents && document.is_none() {
            offered(view, task, way, standing)?
        } else {
            Vec::new()
        };
        let without = Standing { of: String::new(), into: String::new(), ..standing.clone() };
        let looks_up = task == Task::LookUp;
        Ok(Self {
            places: places(view, standing)?,
            documents,
            document: document.map(|document| opened(view, &document)).transpose()?,
            without: without.empty_handed().href(task),
            item: if looks_up { item(view, standing)? } else { None },
            place: if looks_up { place(view, standing)? } else { None },
        })
    }
}

fn places(view: &mut View<'_>, standing: &Standing) -> Result<Vec<Choice>, StoreError> {
    let mut choices = Vec::new();
    for id in view.sites()?.all.into_iter().take(PLACES) {
        let Some(location) = view.location(id)? else { continue };
        let label = if location.name == location.code {
            location.code.clone()
        } else {
            format!("{} · {}", location.code, location.name)
        };
        choices.push(Choice { is_chosen: location.code == standing.at, label, code: location.code });
    }
    Ok(choices)
}

/// What is expected at a location, or shall leave it: the newest first.
fn offered(
    view: &mut View<'_>,
    task: Task,
    way: Way,
    standing: &Standing,
) -> Result<Vec<Offered>, StoreError> {
    let Some((at, _)) = standing.place(view)? else { return Ok(Vec::new()) };
    let mut documents = Vec::new();
    if way == Way::In {
        let (from, to) = (Key::Purchase(PurchaseId(0)), Key::Purchase(PurchaseId(Seq::MAX >> 1)));
        for (key, value) in view.range(&from, &to, true, EXAMINED)? {
            if let (Key::Purchase(id), Value::Purchase(known)) = (key, value) {
                documents.push(Document { way, what: What::Purchase(id, known) });
            }
        }
    }
    let (from, to) = (Key::Transfer(TransferId(0)), Key::Transfer(TransferId(Seq::MAX >> 1)));
    for (key, value) in view.range(&from, &to, true, EXAMINED)? {
        if let (Key::Transfer(id), Value::Transfer(known)) = (key, value)
            && known.state.is_open()
        {
            documents.push(Document { way, what: What::Transfer(id, known) });
        }
    }
    let sites = view.sites()?;
    let is_here = |place| sites.is_in(place, at) || sites.is_in(at, place);
    let open = documents.iter().filter(|document| document.left().is_positive() && is_here(document.place()));
    let offer = |document: &Document| Offered {
        href: Standing { of: document.name(), ..standing.clone() }.empty_handed().href(task),
        title: document.title(),
        left: words::number(document.left()),
    };
    Ok(open.take(DOCUMENTS).map(offer).collect())
}

fn opened(view: &mut View<'_>, document: &Document) -> Result<Opened, StoreError> {
    let mut lines = Vec::new();
    for line in document.lines().into_iter().filter(|line| line.left.is_positive()).take(LINES) {
        let Some(item) = view.item(line.item)? else { continue };
        lines.push(Left { sku: item.sku, name: item.name, left: words::number(line.left) });
    }
    Ok(Opened { title: document.title(), lines, is_in: document.way == Way::In })
}

fn item(view: &mut View<'_>, standing: &Standing) -> Result<Option<Item>, StoreError> {
    let Some((id, item)) = view.item_by_sku(&standing.item)? else { return Ok(None) };
    let mut places = Vec::new();
    for (location, shelf) in view.shelves(id, None, None)? {
        if shelf.on_hand().is_zero() {
            continue;
        }
        let code = view.location(location)?.map_or_else(|| location.to_string(), |known| known.code);
        places.push((code, words::number(shelf.available()), words::number(shelf.on_hand())));
    }
    let expected: Quantity = view.expected(id)?.iter().map(|one| one.incoming.quantity).sum();
    Ok(Some(Item {
        href: format!("/items/{}", words::part(&item.sku)),
        codes: item.codes().collect::<Vec<_>>().join(", "),
        name: item.name,
        unit: item.unit,
        places,
        expected: expected.is_positive().then(|| words::number(expected)),
    }))
}

fn place(view: &mut View<'_>, standing: &Standing) -> Result<Option<Place>, StoreError> {
    let Some((id, location)) = view.location_by_code(&standing.to)? else { return Ok(None) };
    let mut inside = Vec::new();
    for above in view.sites()?.above(id).into_iter().skip(1) {
        inside.extend(view.location(above)?.map(|location| location.code));
    }
    let href = format!("/stock?location={}", words::part(&location.code));
    Ok(Some(Place { name: location.name, inside: inside.join(", in "), href }))
}
