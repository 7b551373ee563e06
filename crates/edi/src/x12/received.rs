//! 944, warehouse stock transfer receipt advice: what a warehouse took in, in. Group `RE`.
//!
//! Its segments: <https://tediware.com/resources/x12/004010/transaction-sets/RE944>,
//! <https://www.infopluscommerce.com/knowledge-base/944-warehouse-stock-transfer-receipt-advice>. W17: reporting code, date, warehouse's receipt
//! number, depositor's order number, shipment's number (<https://zenbridge.io/edi-dictionary/X12/4030/segment/W17>); W07: quantity, unit, case
//! code, two pairs of kind and name, lot, and a third pair (<https://zenbridge.io/edi-dictionary/X12/4010/segment/W07>); W13: quantity, unit,
//! condition, lot, reason of damage (<https://doc.chinlinktech.com/x12/006050/segment/W13>). Conditions:
//! <https://edihere.com/asc-x12-412-receiving-condition-code/>,
//! <https://zenbridge.io/edi-dictionary/X12/5040/536-logistics-reassignment/segment/RCD-500/element/412-11>. W14: the sum of what came in.

use jiff::civil::Date;
use onhand_ledger::Quantity;
use serde::{Deserialize, Serialize};

use super::TransactionSet;
use super::party::{self, Party};
use super::specs::{DATE, DEPOSITOR_ORDER, LOT, QUANTITY, REPORTING, SHIPMENT, UNIT};
use crate::found::Found;
use crate::item::ItemIds;
use crate::line::{Line, begins_with, lines};
use crate::problem::{Fault, Place, Problem};
use crate::spec::Spec;

const RECEIPT: Spec = Spec::new(394, "warehouse's receipt number", 1, 12);
const CONDITION: Spec = Spec::new(412, "condition", 2, 2);
const DAMAGE: Spec = Spec::new(853, "reason of damage", 2, 2);

/// What a warehouse took in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Received {
    /// What it reports on: a code of element 514, such as `F` for full detail.
    pub reporting: String,
    /// When it came in.
    pub received_on: Date,
    /// The warehouse's number of the receipt.
    pub receipt: String,
    /// Our name of what was expected.
    pub document: Option<String>,
    /// The sender's number of the shipment.
    pub shipment: Option<String>,
    /// Whom it names: `WH` is the warehouse.
    pub parties: Vec<Party>,
    /// What came.
    pub lines: Vec<ReceivedLine>,
    /// How much the warehouse says came, all in all.
    pub total: Option<Quantity>,
}

/// One line of a [`Received`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReceivedLine {
    /// The item.
    pub item: ItemIds,
    /// How much came.
    pub quantity: Quantity,
    /// Counted in what: `EA` is pieces.
    pub unit: String,
    /// Of which lot.
    pub lot: Option<String>,
    /// What of it is not as it should be.
    pub exceptions: Vec<Exception>,
}

/// What of a line is not as it should be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Exception {
    /// How much.
    pub quantity: Quantity,
    /// Counted in what.
    pub unit: String,
    /// How it is.
    pub condition: Condition,
    /// Of which lot.
    pub lot: Option<String>,
    /// Why it is damaged: a code of element 853.
    pub damage: Option<String>,
}

/// How something came in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Condition {
    /// `01`: it, or what it is in, is damaged.
    Damaged,
    /// `02`: so much is missing.
    Short,
    /// `03`: so much more came.
    Over,
    /// `04`: its quality is in question.
    Quality,
    /// `05`: it is another product.
    WrongProduct,
    /// `06`: it is in another container than it should be.
    WrongContainer,
    /// `07`: it is good.
    Good,
    /// `08`: it was not taken.
    Rejected,
    /// `09`: it is held back.
    Held,
    /// `10`: it was scrapped.
    Scrapped,
    /// `12`: so much more came, and went back.
    Returned,
    /// `13`: it came and nothing had announced it, so that it waits.
    NotAnnouncedWaits,
    /// `14`: it came and nothing had announced it, and it was taken.
    NotAnnouncedTaken,
    /// `16`: it was not taken, as nothing had announced it.
    NotAnnouncedRefused,
}

const CONDITIONS: [(&str, Condition); 14] = [
    ("01", Condition::Damaged),
    ("02", Condition::Short),
    ("03", Condition::Over),
    ("04", Condition::Quality),
    ("05", Condition::WrongProduct),
    ("06", Condition::WrongContainer),
    ("07", Condition::Good),
    ("08", Condition::Rejected),
    ("09", Condition::Held),
    ("10", Condition::Scrapped),
    ("12", Condition::Returned),
    ("13", Condition::NotAnnouncedWaits),
    ("14", Condition::NotAnnouncedTaken),
    ("16", Condition::NotAnnouncedRefused),
];

impl Received {
    /// Reads a transaction set of kind 944.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn read(set: &TransactionSet, at: &Place) -> Result<Self, Vec<Problem>> {
        let found = Found::default();
        let mut received = None;
        begins_with(&set.segments, "W17", at, &found);
        for line in lines(&set.segments, at, &found) {
            match (line.id(), &mut received) {
                ("W17", None) => received = head(&line),
                ("W17", Some(_)) => line.unexpected("there is one W17"),
                (_, None) => {}
                (_, Some(received)) => detail(&line, received),
            }
        }
        found.or(received)
    }
}

fn head(line: &Line<'_>) -> Option<Received> {
    let (document, shipment) = (line.text(4, &DEPOSITOR_ORDER), line.text(5, &SHIPMENT));
    Some(Received {
        reporting: line.must(1, &REPORTING)?,
        received_on: line.must_date(2, &DATE)?,
        receipt: line.must(3, &RECEIPT)?,
        document,
        shipment,
        parties: Vec::new(),
        lines: Vec::new(),
        total: None,
    })
}

fn detail(line: &Line<'_>, received: &mut Received) {
    match (line.id(), received.lines.last_mut()) {
        ("W07", _) => received.lines.extend(received_line(line)),
        ("W13", Some(last)) => last.exceptions.extend(exception(line)),
        ("W13", None) => line.needs("W07", "it tells of no item: W07 is missing in front of it"),
        ("W14", _) => received.total = line.must_quantity(1, &QUANTITY),
        (_, None) => {
            party::read(line, &mut received.parties);
        }
        _ => {}
    }
}

fn received_line(line: &Line<'_>) -> Option<ReceivedLine> {
    let item = line.must_item(Some(3), &[4, 6, 10]);
    let (unit, lot) = (line.must(2, &UNIT), line.text(8, &LOT));
    let quantity = not_negative(line, 1, &QUANTITY)?;
    Some(ReceivedLine { item, quantity, unit: unit?, lot, exceptions: Vec::new() })
}

fn exception(line: &Line<'_>) -> Option<Exception> {
    let (unit, condition) = (line.must(2, &UNIT), line.code(3, &CONDITION, &CONDITIONS));
    let (lot, damage) = (line.text(4, &LOT), line.text(5, &DAMAGE));
    if condition == Some(Condition::Damaged) && damage.is_none() && line.segment.value(5).is_empty() {
        line.wrong(5, 1, &DAMAGE, Fault::Needed, "what is damaged (01) has a reason of damage".to_owned());
    }
    let quantity = not_negative(line, 1, &QUANTITY)?;
    Some(Exception { quantity, unit: unit?, condition: condition?, lot, damage })
}

/// A quantity that has to be there and is not less than nothing.
pub(super) fn not_negative(line: &Line<'_>, element: usize, spec: &Spec) -> Option<Quantity> {
    let quantity = line.must_quantity(element, spec)?;
    if quantity.is_negative() {
        line.wrong(
            element,
            1,
            spec,
            Fault::Number,
            format!("the {} is {quantity}: not less than nothing", spec.name),
        );
        return None;
    }
    Some(quantity)
}
