//! 947, warehouse inventory adjustment advice: what a warehouse found otherwise than its books had it, in. Group `AW`
//! (<https://doc.chinlinktech.com/x12/004020/transaction-set/947>).
//!
//! W15: date, warehouse's number, depositor's number (<https://doc.chinlinktech.com/x12/007060/segment/W15>); W19: reason, quantity with a
//! sign, unit, case code, two pairs of kind and name, lot, weights, kind of transaction, and a third pair
//! (<https://zenbridge.io/edi-dictionary/X12/4010/segment/W19>, which has the reasons too).

use jiff::civil::Date;
use onhand_ledger::Quantity;
use serde::{Deserialize, Serialize};

use super::TransactionSet;
use super::party::{self, Party};
use super::specs::{DATE, LOT, UNIT};
use crate::found::Found;
use crate::item::ItemIds;
use crate::line::{Line, begins_with, lines};
use crate::problem::{Fault, Place, Problem};
use crate::spec::Spec;

const ADJUSTMENT: Spec = Spec::new(0, "adjustment's number", 1, 22);
const REASON: Spec = Spec::new(181, "reason", 2, 2);
const CHANGE: Spec = Spec::new(477, "quantity", 1, 10);
const TRANSACTION: Spec = Spec::new(529, "kind of transaction", 1, 2);

/// What a warehouse found otherwise than its books had it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Adjusted {
    /// When.
    pub date: Date,
    /// The warehouse's number of it.
    pub warehouse_number: Option<String>,
    /// Our number of it.
    pub our_number: Option<String>,
    /// Whom it names: `WH` is the warehouse.
    pub parties: Vec<Party>,
    /// What changed.
    pub lines: Vec<AdjustedLine>,
}

/// One line of an [`Adjusted`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AdjustedLine {
    /// Why.
    pub why: Why,
    /// How much more there is, or less: never nothing.
    pub change: Quantity,
    /// Counted in what: `EA` is pieces.
    pub unit: String,
    /// The item.
    pub item: ItemIds,
    /// Of which lot.
    pub lot: Option<String>,
    /// The kind of transaction: a code of element 529.
    pub transaction: Option<String>,
}

/// Why stock changed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Why {
    /// `AA`: it was counted.
    Counted,
    /// `07`: it was thrown away.
    Destroyed,
    /// `AU`: it was damaged in the warehouse.
    DamagedHere,
    /// `AV`: it was damaged on its way.
    DamagedInTransit,
    /// `05`: it was put on hold.
    Held,
    /// `55`: it is on hold no more.
    Released,
    /// `52`: what was damaged is good again.
    Repaired,
    /// `AW`: it was called back.
    Recalled,
    /// `AX`: it is too old.
    Expired,
    /// `AY`: it was not received as was told.
    ReceiptError,
    /// `AR`: it was not shipped as was told.
    ShipmentError,
    /// `51`: what could not be found was.
    Located,
    /// Another code of element 181.
    Other(String),
}

impl Why {
    fn of(code: String) -> Self {
        match code.as_str() {
            "AA" => Self::Counted,
            "07" => Self::Destroyed,
            "AU" => Self::DamagedHere,
            "AV" => Self::DamagedInTransit,
            "05" => Self::Held,
            "55" => Self::Released,
            "52" => Self::Repaired,
            "AW" => Self::Recalled,
            "AX" => Self::Expired,
            "AY" => Self::ReceiptError,
            "AR" => Self::ShipmentError,
            "51" => Self::Located,
            _ => Self::Other(code),
        }
    }
}

impl Adjusted {
    /// Reads a transaction set of kind 947.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn read(set: &TransactionSet, at: &Place) -> Result<Self, Vec<Problem>> {
        let found = Found::default();
        let mut adjusted = None;
        begins_with(&set.segments, "W15", at, &found);
        for line in lines(&set.segments, at, &found) {
            match (line.id(), &mut adjusted) {
                ("W15", None) => adjusted = head(&line),
                ("W15", Some(_)) => line.unexpected("there is one W15"),
                (_, None) => {}
                ("W19", Some(adjusted)) => adjusted.lines.extend(adjusted_line(&line)),
                (_, Some(adjusted)) if adjusted.lines.is_empty() => {
                    party::read(&line, &mut adjusted.parties);
                }
                _ => {}
            }
        }
        if !set.segments.iter().any(|segment| segment.id == "W19") {
            found.tell(
                at.segment(set.segments.len() + 1, "W19"),
                Fault::SegmentMissing,
                "an adjustment has at least one W19",
            );
        }
        found.or(adjusted)
    }
}

fn head(line: &Line<'_>) -> Option<Adjusted> {
    let (warehouse_number, our_number) = (line.text(2, &ADJUSTMENT), line.text(3, &ADJUSTMENT));
    Some(Adjusted {
        date: line.must_date(1, &DATE)?,
        warehouse_number,
        our_number,
        parties: Vec::new(),
        lines: Vec::new(),
    })
}

fn adjusted_line(line: &Line<'_>) -> Option<AdjustedLine> {
    let why = line.must(1, &REASON).map(Why::of);
    let item = line.must_item(Some(4), &[5, 7, 17]);
    let (unit, lot, transaction) = (line.must(3, &UNIT), line.text(9, &LOT), line.text(16, &TRANSACTION));
    let change = line.must_quantity(2, &CHANGE)?;
    if change.is_zero() {
        line.wrong(
            2,
            1,
            &CHANGE,
            Fault::Number,
            "nothing changed: an adjustment is more or less than nothing".to_owned(),
        );
    }
    Some(AdjustedLine { why: why?, change, unit: unit?, item, lot, transaction })
}
