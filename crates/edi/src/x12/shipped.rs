//! 945, warehouse shipping advice: what a warehouse shipped, in. Group `SW`.
//!
//! Its segments: <https://docplayer.net/amp/22519751-945-warehouse-shipping-advice.html>,
//! <https://www.infopluscommerce.com/knowledge-base/945-warehouse-shipping-advice>. W06: reporting code, depositor's order number, date of
//! shipment, shipment's number, agent's, purchase order number (<https://zenbridge.io/edi-dictionary/X12/4010/segment/W06>); G62 `11`: shipped on
//! this date (<http://ecomgx17.ecomtoday.com/edi/EDI_4010/el432.htm>); W27: way, carrier, routing
//! (<https://doc.chinlinktech.com/x12/004010/segment/W27>); LX and MAN: a package and its marks, two of them in a MAN, each with the end of a
//! range (<https://doc.chinlinktech.com/x12/005050/segment/MAN>); W12: status, ordered, shipped, difference, unit, case code, kind and name, lot,
//! and of a substitution the item that was ordered (<https://doc.chinlinktech.com/x12/007010/segment/W12>); statuses
//! <https://internal.dcsnewyork.com/tech/edi/x12/EDI_4010/el368.htm>; W03: the sum of what was shipped
//! (<http://www.kasoftware.com/schema/edi/x12/00302/segments/W03/>).

use jiff::civil::Date;
use onhand_ledger::Quantity;
use serde::{Deserialize, Serialize};

use super::TransactionSet;
use super::party::{self, Carriage, Party};
use super::received::not_negative;
use super::specs::{
    CARRIER, DATE, DATE_KIND, DEPOSITOR_ORDER, LOT, METHOD, PAYMENT, PURCHASE_ORDER, QUANTITY, REPORTING,
    ROUTING, SHIPMENT, SHIPPED_UNITS, UNIT,
};
use crate::found::Found;
use crate::item::ItemIds;
use crate::line::{Line, begins_with, lines};
use crate::problem::{Fault, Place, Problem};
use crate::spec::Spec;

const NUMBER: Spec = Spec::new(554, "assigned number", 1, 6);
const MARK_KIND: Spec = Spec::new(88, "kind of mark", 1, 2);
const MARK: Spec = Spec::new(87, "mark", 1, 48);
const STATUS: Spec = Spec::new(368, "status", 2, 2);
const DIFFERENCE: Spec = Spec::new(383, "quantity difference", 1, 9);

/// What a warehouse shipped.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Shipped {
    /// What it reports on: a code of element 514, such as `F` for full detail.
    pub reporting: String,
    /// Our name of the order to ship.
    pub document: Option<String>,
    /// When it left.
    pub shipped_on: Option<Date>,
    /// The warehouse's number of the shipment.
    pub shipment: Option<String>,
    /// What the customer knows the order by.
    pub order: Option<String>,
    /// Whom it names.
    pub parties: Vec<Party>,
    /// How it was carried.
    pub carriage: Option<Carriage>,
    /// What left, package by package. Lines in front of the first LX are in a package without a number.
    pub packages: Vec<Package>,
    /// How much the warehouse says it shipped, all in all.
    pub total: Option<Quantity>,
}

/// Goods that left together.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Package {
    /// Its number in the document.
    pub number: Option<u32>,
    /// What is on it.
    pub marks: Vec<Mark>,
    /// What is in it.
    pub lines: Vec<ShippedLine>,
}

/// What is on a package.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Mark {
    /// What it is: `CP` the carrier's number of it, `GM` an SSCC.
    pub kind: String,
    /// The mark.
    pub mark: String,
    /// The last one, where it is a range.
    pub to: Option<String>,
}

/// One line of a [`Package`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ShippedLine {
    /// What became of the line.
    pub status: Status,
    /// The item.
    pub item: ItemIds,
    /// How much was ordered.
    pub ordered: Option<Quantity>,
    /// How much was shipped.
    pub shipped: Quantity,
    /// Counted in what: `EA` is pieces.
    pub unit: Option<String>,
    /// Of which lot.
    pub lot: Option<String>,
    /// The item that was ordered, where another one was shipped.
    pub instead_of: Option<ItemIds>,
}

/// What became of a line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Status {
    /// `CC` or `CL`: all of it was shipped.
    Complete,
    /// `CP`: some of it was, and the rest will not be.
    PartialRestDropped,
    /// `BP`: some of it was, and the rest will be.
    PartialRestLater,
    /// `PR`: some of it was.
    Partial,
    /// `BO`: it will be shipped later.
    Later,
    /// `CU` or `IC`: it was cancelled.
    Cancelled,
    /// `DS`: there is none.
    OutOfStock,
    /// `IS`: it is shipped instead of another one.
    Substitute,
    /// Another code of element 368.
    Other(String),
}

impl Status {
    fn of(code: String) -> Self {
        match code.as_str() {
            "CC" | "CL" => Self::Complete,
            "CP" => Self::PartialRestDropped,
            "BP" => Self::PartialRestLater,
            "PR" => Self::Partial,
            "BO" => Self::Later,
            "CU" | "IC" => Self::Cancelled,
            "DS" => Self::OutOfStock,
            "IS" => Self::Substitute,
            _ => Self::Other(code),
        }
    }
}

impl Package {
    /// The carrier's name for it: a mark of kind `CP`, or `CN` as some warehouses say.
    pub fn tracking(&self) -> Option<&str> {
        self.marks
            .iter()
            .find(|mark| matches!(mark.kind.as_str(), "CP" | "CN"))
            .map(|mark| mark.mark.as_str())
    }
}

impl Shipped {
    /// Who carries it: the carrier's code, or in words.
    pub fn carrier(&self) -> Option<&str> {
        let carriage = self.carriage.as_ref()?;
        carriage.carrier.as_deref().or(carriage.routing.as_deref())
    }

    /// Reads a transaction set of kind 945.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn read(set: &TransactionSet, at: &Place) -> Result<Self, Vec<Problem>> {
        let found = Found::default();
        let mut shipped = None;
        begins_with(&set.segments, "W06", at, &found);
        for line in lines(&set.segments, at, &found) {
            match (line.id(), &mut shipped) {
                ("W06", None) => shipped = head(&line),
                ("W06", Some(_)) => line.unexpected("there is one W06"),
                (_, None) => {}
                (_, Some(shipped)) => detail(&line, shipped),
            }
        }
        found.or(shipped)
    }
}

fn head(line: &Line<'_>) -> Option<Shipped> {
    let shipped = Shipped {
        reporting: String::new(),
        document: line.text(2, &DEPOSITOR_ORDER),
        shipped_on: line.date(3, &DATE),
        shipment: line.text(4, &SHIPMENT),
        order: line.text(6, &PURCHASE_ORDER),
        parties: Vec::new(),
        carriage: None,
        packages: Vec::new(),
        total: None,
    };
    Some(Shipped { reporting: line.must(1, &REPORTING)?, ..shipped })
}

fn detail(line: &Line<'_>, shipped: &mut Shipped) {
    match (line.id(), shipped.packages.last_mut()) {
        ("LX", _) => shipped.packages.push(Package { number: line.count(1, &NUMBER), ..Package::default() }),
        ("MAN", Some(package)) => package.marks.extend(marks(line)),
        ("MAN", None) => line.unexpected("it is on no package: LX is missing in front of it"),
        ("W12", Some(package)) => package.lines.extend(shipped_line(line)),
        ("W12", None) => shipped
            .packages
            .push(Package { lines: shipped_line(line).into_iter().collect(), ..Package::default() }),
        ("W03", _) => shipped.total = line.must_quantity(1, &SHIPPED_UNITS),
        ("G62", None) if line.segment.value(1) == "11" => {
            line.must(1, &DATE_KIND);
            shipped.shipped_on = line.must_date(2, &DATE).or(shipped.shipped_on);
        }
        ("W27", None) => shipped.carriage = carriage(line),
        (_, None) => {
            party::read(line, &mut shipped.parties);
        }
        _ => {}
    }
}

fn carriage(line: &Line<'_>) -> Option<Carriage> {
    let (carrier, routing) = (line.text(2, &CARRIER), line.text(3, &ROUTING));
    if line.segment.value(2).is_empty() && line.segment.value(3).is_empty() {
        line.wrong(
            2,
            1,
            &CARRIER,
            Fault::Needed,
            "the carrier's code or the routing has to be here".to_owned(),
        );
    }
    Some(Carriage { payment: line.text(4, &PAYMENT), method: line.must(1, &METHOD)?, carrier, routing })
}

fn marks(line: &Line<'_>) -> Vec<Mark> {
    let mut marks = Vec::new();
    let (kind, mark, to) = (line.must(1, &MARK_KIND), line.must(2, &MARK), line.text(3, &MARK));
    if let (Some(kind), Some(mark)) = (kind, mark) {
        marks.push(Mark { kind, mark, to });
    }
    let second = line.pair(4, &MARK_KIND, &MARK);
    marks.extend(second.map(|(kind, mark)| Mark { kind, mark, to: line.text(6, &MARK) }));
    marks
}

fn shipped_line(line: &Line<'_>) -> Option<ShippedLine> {
    let status = line.must(1, &STATUS).map(Status::of);
    let ordered = line.quantity(2, &QUANTITY);
    let item = line.must_item(Some(6), &[7]);
    let original = line.item(Some(16), [17]);
    let (unit, lot) = (line.text(5, &UNIT), line.text(9, &LOT));
    let shipped = not_negative(line, 3, &SHIPPED_UNITS)?;
    if let (Some(ordered), Some(difference)) = (ordered, line.quantity(4, &DIFFERENCE)) {
        let is = ordered.checked_add(-shipped);
        if is.is_some_and(|is| is.abs() != difference.abs()) {
            let told =
                format!("{difference} is told, but {ordered} ordered and {shipped} shipped differ otherwise");
            line.wrong(4, 1, &DIFFERENCE, Fault::Number, told);
        }
    }
    let instead_of = (original != ItemIds::default()).then_some(original);
    let status = status?;
    let instead_of = if status == Status::Substitute { instead_of } else { None };
    Some(ShippedLine { status, item, ordered, shipped, unit, lot, instead_of })
}
