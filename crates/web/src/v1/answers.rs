//! What the ledger answers, as JSON.

use onhand_engine::View;
use onhand_ledger::answer::{Counted, ItemNotes, LineAnswer, Merged, Moved, Remains};
use onhand_ledger::model::{At, Build, Component, Order};
use onhand_ledger::{Answer, LocationId, Money, OrderId};
use onhand_store::StoreError;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::holds::HeldAnswer;
use super::purchases::PurchaseAnswer;
use super::sessions::SightAnswer;
use super::systems::sent::SentBody;
use super::transfers::TransferAnswer;
use crate::decimal::Decimal;

/// One thing that was made or changed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Made {
    /// Its id.
    pub id: u64,
}

impl Made {
    pub fn of(answer: &Answer) -> Self {
        let id = match answer {
            Answer::Item(id) | Answer::ItemNoted(id, _) => id.0,
            Answer::Location(id) => id.0,
            Answer::System(id) => id.0,
            Answer::Listing(id) => id.0,
            Answer::Rule(id) => id.0,
            Answer::Hold(id, ..) => id.0,
            Answer::Discrepancy(id) => id.0,
            Answer::Order(id, _) => id.0,
            Answer::Session(id) => id.0,
            Answer::Lot(id) => id.0,
            Answer::Return(id) => id.0,
            _ => 0,
        };
        Self { id }
    }
}

/// An item that was made or changed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ItemMade {
    /// Its id.
    pub id: u64,
    /// Other items whose names look the same but for case, spaces, dashes, O and 0, I, l and 1.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub twins: Vec<String>,
    /// What there still is of it, where it was archived.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remains: Option<RemainsBody>,
    /// What is worth a look, in plain words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// What there still is of an archived item.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RemainsBody {
    /// In all states, at all locations.
    pub on_hand: Decimal,
    /// Of it, held by checkouts.
    pub reserved: Decimal,
    /// Of it, promised to orders.
    pub committed: Decimal,
    /// On its way.
    pub in_transit: Decimal,
    /// Wanted by orders and covered by nothing.
    pub short: Decimal,
}

impl ItemMade {
    /// Of an item of which the asker has said the SKU, or not.
    pub fn of(sku: Option<&str>, answer: &Answer) -> Self {
        let name = sku.map_or_else(|| "this item".to_owned(), |sku| format!("`{sku}`"));
        let notes = match answer {
            Answer::ItemNoted(_, notes) => notes.clone(),
            _ => ItemNotes::default(),
        };
        let mut warnings: Vec<String> = notes
            .twins
            .iter()
            .map(|twin| {
                format!("{name} looks like `{twin}`, another item; if they are one, merge them (POST /v1/items/{{sku}}/merge)")
            })
            .collect();
        if let Some(Remains { on_hand, reserved, committed, in_transit, short }) = notes.remains {
            warnings.push(format!(
                "{name} is archived and still has {on_hand} on hand ({reserved} held, {committed} promised), \
                 {in_transit} in transit and {short} short; what happens to them is booked as ever"
            ));
        }
        let remains = notes.remains.map(|remains| RemainsBody {
            on_hand: remains.on_hand.into(),
            reserved: remains.reserved.into(),
            committed: remains.committed.into(),
            in_transit: remains.in_transit.into(),
            short: remains.short.into(),
        });
        Self { id: Made::of(answer).id, twins: notes.twins, remains, warnings }
    }
}

/// What a merge did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MergedAnswer {
    /// The item that goes on.
    pub id: u64,
    /// Its SKU.
    pub sku: String,
    /// The item that ended: its stock before the merge is still its own.
    pub merged: u64,
    /// What the item that goes on gained, by location.
    pub movements: Vec<MovedBody>,
    /// Orders that have lines of it now.
    pub orders: u32,
    /// Holds that have lines of it now.
    pub holds: u32,
    /// Listings that are mapped to it now.
    pub listings: u32,
}

impl MergedAnswer {
    pub fn of(merged: Merged) -> Self {
        Self {
            id: merged.item.0,
            sku: merged.sku,
            merged: merged.from.0,
            movements: merged.moved.into_iter().map(MovedBody::from).collect(),
            orders: merged.orders,
            holds: merged.holds,
            listings: merged.listings,
        }
    }
}

/// One movement.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MovedBody {
    /// What.
    pub sku: String,
    /// Where.
    pub location: String,
    /// How on hand changed there.
    pub difference: Decimal,
    /// What lies free at that very place afterwards, without lots that ended or were called back.
    pub available: Decimal,
    /// The movement's entry in the log.
    pub seq: u64,
}

impl From<Moved> for MovedBody {
    fn from(moved: Moved) -> Self {
        Self {
            sku: moved.sku,
            location: moved.location,
            difference: moved.difference.into(),
            available: moved.available.into(),
            seq: moved.seq,
        }
    }
}

/// What moved.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MovedAnswer {
    /// Line by line.
    pub movements: Vec<MovedBody>,
    /// What came up and waits in the inbox: promises that were broken, goods that were not there.
    pub discrepancies: Vec<u64>,
}

impl MovedAnswer {
    pub fn of(answer: Answer) -> Self {
        let (moved, found) = match answer {
            Answer::Moved(moved, found) => (moved, found),
            _ => (Vec::new(), Vec::new()),
        };
        let discrepancies = found.iter().map(|found| found.0).collect();
        Self { movements: moved.into_iter().map(MovedBody::from).collect(), discrepancies }
    }
}

/// One count.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CountedBody {
    /// The count.
    pub id: u64,
    /// What.
    pub sku: String,
    /// How much was seen.
    pub counted: Decimal,
    /// How much there was at that time, by what we knew.
    pub found: Decimal,
    /// What was booked.
    pub difference: Decimal,
    /// What lies free at that very place afterwards, without lots that ended or were called back.
    pub available: Decimal,
}

impl From<Counted> for CountedBody {
    fn from(counted: Counted) -> Self {
        Self {
            id: counted.id.0,
            sku: counted.sku,
            counted: counted.counted.into(),
            found: counted.found.into(),
            difference: counted.difference.into(),
            available: counted.available.into(),
        }
    }
}

/// One line of an order or document.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LineBody {
    /// Its name.
    pub line: String,
    /// What.
    pub sku: String,
    /// How much is wanted.
    pub quantity: Decimal,
    /// Promised and still there.
    pub allocated: Decimal,
    /// Has left (or moved).
    pub shipped: Decimal,
    /// Covered by nothing.
    pub short: Decimal,
    /// Of `short`: accepted as a backorder.
    pub backordered: Decimal,
    /// Of `short`: accepted as a preorder.
    pub preordered: Decimal,
    /// What the line is: `short` where any of it is, else `preordered`, `backordered`, `allocated`, `shipped`,
    /// `cancelled`; or `evidence` where it moves nothing: another system told of it before, or is master there.
    pub is: &'static str,
}

impl From<LineAnswer> for LineBody {
    fn from(line: LineAnswer) -> Self {
        Self {
            is: line.is(),
            backordered: line.backordered.into(),
            preordered: line.preordered.into(),
            line: line.line,
            sku: line.sku,
            quantity: line.quantity.into(),
            allocated: line.allocated.into(),
            shipped: line.shipped.into(),
            short: line.short.into(),
        }
    }
}

/// An order, as answered to who placed or changed it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OrderAnswer {
    /// Its id.
    pub id: u64,
    /// Its lines as they are now.
    pub lines: Vec<LineBody>,
}

impl OrderAnswer {
    pub fn of(answer: Answer) -> Self {
        match answer {
            Answer::Order(id, lines) => {
                Self { id: id.0, lines: lines.into_iter().map(LineBody::from).collect() }
            }
            _ => Self { id: 0, lines: Vec::new() },
        }
    }
}

/// So much at a location.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AtBody {
    /// Where.
    pub location: String,
    /// Of which lot or serial, where the item is tracked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lot: Option<String>,
    /// How much.
    pub quantity: Decimal,
}

/// What one unit costs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PriceBody {
    /// Exactly.
    pub amount: Decimal,
    /// ISO 4217: three capital letters.
    pub currency: String,
}

impl From<Money> for PriceBody {
    fn from(price: Money) -> Self {
        Self { amount: price.amount.into(), currency: price.currency }
    }
}

/// What one unit costs.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct PriceInput {
    /// Exactly: at most 6 decimals.
    amount: Decimal,
    /// ISO 4217: three capital letters, such as EUR.
    currency: String,
}

impl PriceInput {
    pub fn money(&self) -> Money {
        Money { amount: self.amount.0, currency: self.currency.clone() }
    }
}

crate::body::only_objects!(PriceInput);

/// A line of an order, in full.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OrderLineBody {
    /// Its name.
    pub line: String,
    /// What.
    pub sku: String,
    /// How much is wanted.
    pub quantity: Decimal,
    /// Promised and still there, by location.
    pub allocated: Vec<AtBody>,
    /// Of a kit: what one is built of for this line, as it was when the line was made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recipe: Vec<RecipeBody>,
    /// Of a kit: whole ones promised to be built of components, by location.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub to_build: Vec<AtBody>,
    /// Of a kit: components that have left of kits of which others have not; such a kit has not shipped yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub begun: Vec<PartBody>,
    /// Covered by nothing.
    pub short: Decimal,
    /// Of `short`: accepted as a backorder.
    pub backordered: Decimal,
    /// Of `short`: accepted as a preorder.
    pub preordered: Decimal,
    /// What one unit costs, where that was told.
    pub price: Option<PriceBody>,
    /// Has left, by location.
    pub shipped: Vec<AtBody>,
    /// Came back.
    pub returned: Decimal,
    /// Places whose master will not ship some of it: it is not promised there again before goods come in there, or it is reallocated.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub declined: Vec<String>,
}

/// An order, in full.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OrderBody {
    /// Its id.
    pub id: u64,
    /// Whose.
    pub system: String,
    /// Its name there.
    pub document: String,
    /// The version that is applied.
    pub version: u64,
    /// When it was placed.
    pub placed_at: String,
    /// Wholly cancelled?
    pub cancelled: bool,
    /// When it must have left.
    pub ship_by: Option<String>,
    /// The region it goes to.
    pub ship_to: Option<String>,
    /// Its lines.
    pub lines: Vec<OrderLineBody>,
    /// What of it was sent to systems that ship it, and what they answered; only where one order is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent: Option<Vec<SentBody>>,
}

pub(crate) fn order_body(view: &mut View<'_>, id: OrderId, order: Order) -> Result<OrderBody, StoreError> {
    let mut lines = Vec::new();
    for line in order.lines {
        lines.push(OrderLineBody {
            sku: view.item(line.item)?.map_or_else(String::new, |item| item.sku),
            quantity: line.wanted.into(),
            allocated: places(view, &line.allocated)?,
            recipe: recipe(view, &line.build)?,
            to_build: places(view, &line.build.built)?,
            begun: begun(view, &line.build)?,
            short: line.short.into(),
            backordered: line.backordered.into(),
            preordered: line.preordered.into(),
            price: line.price.map(PriceBody::from),
            shipped: places(view, &line.shipped)?,
            returned: line.returned.into(),
            declined: codes(view, &line.declined)?,
            line: line.line,
        });
    }
    let system = view.system(order.system)?.map_or_else(|| "onhand".to_owned(), |system| system.name);
    let (document, version, cancelled) = (order.document, order.version, order.cancelled);
    Ok(OrderBody {
        id: id.0,
        system,
        document,
        version,
        placed_at: order.placed_at.to_string(),
        cancelled,
        ship_by: order.ship_by.map(|at| at.to_string()),
        ship_to: order.ship_to,
        lines,
        sent: None,
    })
}

fn codes(view: &mut View<'_>, locations: &[LocationId]) -> Result<Vec<String>, StoreError> {
    let code = |location: &LocationId| Ok(view.location(*location)?.map(|location| location.code));
    let found = locations.iter().map(code).collect::<Result<Vec<_>, StoreError>>()?;
    Ok(found.into_iter().flatten().collect())
}

pub(crate) fn places(view: &mut View<'_>, places: &[At]) -> Result<Vec<AtBody>, StoreError> {
    places
        .iter()
        .map(|at| {
            let location = view.location(at.location)?.map_or_else(String::new, |location| location.code);
            let lot = view.lot(at.lot)?.map(|lot| lot.code);
            Ok(AtBody { location, lot, quantity: at.quantity.into() })
        })
        .collect()
}

/// A component of the kits of a line.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecipeBody {
    /// The component.
    pub sku: String,
    /// How much of it in one kit.
    pub quantity: Decimal,
}

fn recipe(view: &mut View<'_>, build: &Build) -> Result<Vec<RecipeBody>, StoreError> {
    let part = |component: &Component| {
        let sku = view.item(component.item)?.map_or_else(String::new, |item| item.sku);
        Ok(RecipeBody { sku, quantity: component.quantity.into() })
    };
    build.recipe.iter().map(part).collect()
}

/// So much of a component somewhere.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PartBody {
    /// The component.
    pub sku: String,
    /// Where it left from.
    pub location: String,
    /// Its lot or serial, where these are told apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lot: Option<String>,
    /// How much.
    pub quantity: Decimal,
}

fn begun(view: &mut View<'_>, build: &Build) -> Result<Vec<PartBody>, StoreError> {
    let mut parts = Vec::new();
    for part in &build.begun {
        parts.push(PartBody {
            sku: view.item(part.item)?.map_or_else(String::new, |item| item.sku),
            location: view.location(part.location)?.map_or_else(String::new, |location| location.code),
            lot: view.lot(part.lot)?.map(|lot| lot.code),
            quantity: part.quantity.into(),
        });
    }
    Ok(parts)
}

/// An answer as the endpoint of its command gives it.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum AnswerBody {
    Made(Made),
    Item(ItemMade),
    Merged(MergedAnswer),
    Held(HeldAnswer),
    Sighted(SightAnswer),
    Moved(MovedAnswer),
    Counted {
        counts: Vec<CountedBody>,
        discrepancies: Vec<u64>,
    },
    Order(OrderAnswer),
    Recorded {
        result: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        order: Option<u64>,
        lines: Vec<LineBody>,
        discrepancies: Vec<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        explanation: Option<String>,
    },
    Ticked {
        lapsed: u32,
    },
    Group {
        answers: Vec<AnswerBody>,
    },
    Transfer(TransferAnswer),
    Purchase(PurchaseAnswer),
    /// What has no endpoint of its own.
    Other(Answer),
}

#[allow(
    clippy::match_wildcard_for_single_variants,
    reason = "what comes later has a form too, if not the best"
)]
pub(crate) fn answer_body(answer: Answer) -> AnswerBody {
    let recorded = |result| AnswerBody::Recorded {
        result,
        order: None,
        lines: Vec::new(),
        discrepancies: Vec::new(),
        explanation: None,
    };
    match answer {
        Answer::Item(_)
        | Answer::Location(_)
        | Answer::System(_)
        | Answer::Listing(_)
        | Answer::Rule(_)
        | Answer::Lot(_)
        | Answer::Session(_)
        | Answer::Discrepancy(_)
        | Answer::Return(_) => AnswerBody::Made(Made::of(&answer)),
        Answer::Hold(..) => AnswerBody::Held(HeldAnswer::of(&answer)),
        Answer::Sighted(..) => AnswerBody::Sighted(SightAnswer::of(&answer)),
        Answer::Moved(..) => AnswerBody::Moved(MovedAnswer::of(answer)),
        Answer::Counted(counts, found) => AnswerBody::Counted {
            counts: counts.into_iter().map(CountedBody::from).collect(),
            discrepancies: found.iter().map(|found| found.0).collect(),
        },
        Answer::Order(..) => AnswerBody::Order(OrderAnswer::of(answer)),
        Answer::Recorded { order, lines, discrepancies } => AnswerBody::Recorded {
            result: "applied",
            order: order.map(|order| order.0),
            lines: lines.into_iter().map(LineBody::from).collect(),
            discrepancies: discrepancies.into_iter().map(|id| id.0).collect(),
            explanation: None,
        },
        Answer::AlreadyApplied { .. } => recorded("already_applied"),
        Answer::Waiting(id, sentence) => AnswerBody::Recorded {
            result: "waiting",
            order: None,
            lines: Vec::new(),
            discrepancies: vec![id.0],
            explanation: Some(sentence),
        },
        Answer::ItemNoted(..) => AnswerBody::Item(ItemMade::of(None, &answer)),
        Answer::Merged(merged) => AnswerBody::Merged(MergedAnswer::of(merged)),
        Answer::Ticked(lapsed) => AnswerBody::Ticked { lapsed },
        Answer::Transfer { .. } => AnswerBody::Transfer(TransferAnswer::of(answer)),
        Answer::Purchase { .. } => AnswerBody::Purchase(PurchaseAnswer::of(answer)),
        Answer::Group(answers) => {
            AnswerBody::Group { answers: answers.into_iter().map(answer_body).collect() }
        }
        other => AnswerBody::Other(other),
    }
}
