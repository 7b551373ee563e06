//! 850, purchase order: what a customer orders, in. Group `PO`.
//!
//! BEG: purpose, type, number, release, date (<https://doc.chinlinktech.com/x12/003020/segment/BEG>,
//! <http://edi-services.com/850-purchase-order-elements.htm>); DTM: kind, date (<http://ecomgx17.ecomtoday.com/edi/830/021DTM.htm>), of which
//! `010` requested ship, `002` delivery requested, `001` cancel after (<https://doc.chinlinktech.com/x12/003020/element/374>); N1 loop; PO1: line,
//! quantity, unit, price, its basis, ten pairs of kind and name (<https://internal.dcsnewyork.com/tech/edi/x12/850/0102PO1.htm>). Purposes:
//! <https://ws2.segment.co.il/Public/EDI-Segment/x12-4040/EDI_4010/el353.htm>.

use jiff::civil::Date;
use onhand_ledger::Quantity;
use serde::{Deserialize, Serialize};

use super::TransactionSet;
use super::inventory::pairs;
use super::party::{self, Party};
use super::specs::{DATE, DATE_TIME_KIND, PURCHASE_ORDER, PURPOSE, QUANTITY, UNIT};
use crate::found::Found;
use crate::item::ItemIds;
use crate::line::{Line, begins_with, lines};
use crate::problem::{Fault, Place, Problem};
use crate::spec::Spec;

const TYPE: Spec = Spec::new(92, "purchase order type", 2, 2);
const LINE: Spec = Spec::new(350, "line's name", 1, 20);
const PRICE: Spec = Spec::new(212, "unit price", 1, 17);
const BASIS: Spec = Spec::new(639, "basis of the unit price", 2, 2);

/// What a customer orders.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PurchaseOrder {
    /// The customer's number of it.
    pub reference: String,
    /// The code of its type.
    pub kind: String,
    /// When it was placed.
    pub placed_on: Date,
    /// When it shall leave.
    pub ship_on: Option<Date>,
    /// When it shall arrive.
    pub deliver_on: Option<Date>,
    /// The day after which it is not wanted any more.
    pub cancel_after: Option<Date>,
    /// Whom it names: `ST` is who gets the goods.
    pub parties: Vec<Party>,
    /// What is ordered.
    pub lines: Vec<OrderLine>,
}

/// One line of a [`PurchaseOrder`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OrderLine {
    /// Its name in the order.
    pub line: Option<String>,
    /// The item.
    pub item: ItemIds,
    /// How much; more than nothing.
    pub quantity: Quantity,
    /// Counted in what: `EA` is pieces.
    pub unit: Option<String>,
    /// What one costs: a decimal, exactly as told.
    pub price: Option<String>,
    /// What the price is of: a code of element 639.
    pub basis: Option<String>,
}

impl PurchaseOrder {
    /// The party that gets the goods.
    pub fn recipient(&self) -> Option<&Party> {
        party::of_role(&self.parties, "ST")
    }

    /// The region they go to, as Onhand says it: `DE`, or `US-NY`.
    pub fn ship_to(&self) -> Option<String> {
        self.recipient()?.ship_to()
    }

    /// Reads a transaction set of kind 850. Only an original one (`00`) is read: changes have other sets.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn read(set: &TransactionSet, at: &Place) -> Result<Self, Vec<Problem>> {
        let found = Found::default();
        let mut order = None;
        begins_with(&set.segments, "BEG", at, &found);
        for line in lines(&set.segments, at, &found) {
            match (line.id(), &mut order) {
                ("BEG", None) => order = head(&line),
                ("BEG", Some(_)) => line.unexpected("there is one BEG"),
                (_, None) => {}
                (_, Some(order)) => detail(&line, order),
            }
        }
        if order.as_ref().is_some_and(|order: &Self| order.lines.is_empty()) {
            found.tell(
                at.segment(set.segments.len() + 1, "PO1"),
                Fault::SegmentMissing,
                "an order has at least one PO1",
            );
        }
        found.or(order)
    }
}

fn head(line: &Line<'_>) -> Option<PurchaseOrder> {
    line.code(1, &PURPOSE, &[("00", ())])?;
    Some(PurchaseOrder {
        kind: line.must(2, &TYPE)?,
        reference: line.must(3, &PURCHASE_ORDER)?,
        placed_on: line.must_date(5, &DATE)?,
        ship_on: None,
        deliver_on: None,
        cancel_after: None,
        parties: Vec::new(),
        lines: Vec::new(),
    })
}

fn detail(line: &Line<'_>, order: &mut PurchaseOrder) {
    match line.id() {
        "PO1" => order.lines.extend(order_line(line)),
        "DTM" if order.lines.is_empty() => {
            let kind = line.must(1, &DATE_TIME_KIND).unwrap_or_default();
            match kind.as_str() {
                "010" => order.ship_on = line.must_date(2, &DATE),
                "002" => order.deliver_on = line.must_date(2, &DATE),
                "001" => order.cancel_after = line.must_date(2, &DATE),
                _ => {}
            }
        }
        _ if order.lines.is_empty() => {
            party::read(line, &mut order.parties);
        }
        _ => {}
    }
}

fn order_line(line: &Line<'_>) -> Option<OrderLine> {
    let item = line.must_item(None, &pairs(6, 24));
    let price = line.text(4, &PRICE);
    if let Some(price) = &price
        && !is_decimal(price)
    {
        line.wrong(4, 1, &PRICE, Fault::Number, format!("`{price}` is no price such as 129.55"));
    }
    let quantity = line.must_quantity(2, &QUANTITY)?;
    if !quantity.is_positive() {
        line.wrong(
            2,
            1,
            &QUANTITY,
            Fault::Number,
            format!("{quantity} is ordered: it has to be more than nothing"),
        );
    }
    Some(OrderLine {
        line: line.text(1, &LINE),
        item,
        quantity,
        unit: line.text(3, &UNIT),
        price,
        basis: line.text(5, &BASIS),
    })
}

fn is_decimal(text: &str) -> bool {
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty())
}
