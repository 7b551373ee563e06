//! 940, warehouse shipping order: what a warehouse shall ship, out. Group `OW`.
//!
//! Its segments: <https://vdocuments.us/940-warehouse-shipping-order-5611689165526.html>,
//! <https://www.kasoftware.com/schema/edi/x12/00401/messages/940>. W05: state, depositor's order number, purchase order number
//! (<https://doc.chinlinktech.com/x12/005010/segment/W05>), the state being `N` original, `R` change, `F` cancel
//! (<https://www.stedi.com/edi/x12-008040/element/473>); G62: kind, date (<https://doc.chinlinktech.com/x12/006020/segment/G62>), of which `10`
//! requested ship date, `38` ship not later than (<http://ecomgx17.ecomtoday.com/edi/EDI_4010/el432.htm>); W66: payment, way, routing, carrier
//! (<https://stedi.com/edi/x12-005010/segment/W66>); W01: quantity, unit, case code, two pairs of kind and name, lot
//! (<https://zenbridge.io/edi-dictionary/X12/5050/940-warehouse-shipping-order/segment/W01-200>); G69: the item in words
//! (<https://stedi.com/edi/x12-004020/segment/G69>); W76: the sum of what is ordered
//! (<https://stedi.com/edi/x12-004020/segment/W76>).

use jiff::civil::Date;
use onhand_ledger::Quantity;
use serde::{Deserialize, Serialize};

use super::TransactionSet;
use super::draft::Draft;
use super::party::{self, Carriage, Party};
use super::specs::{
    CARRIER, DATE, DATE_KIND, DEPOSITOR_ORDER, LOT, METHOD, PAYMENT, PURCHASE_ORDER, QUANTITY, ROUTING, UNIT,
};
use crate::item::ItemIds;
use crate::problem::Unwritable;
use crate::spec::Spec;

const STATE: Spec = Spec::new(473, "order's state", 1, 1);
const NUMBER: Spec = Spec::new(554, "assigned number", 1, 6);
const DESCRIPTION: Spec = Spec::new(369, "description", 1, 45);

/// What a warehouse shall ship, all in all.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ShippingOrder {
    /// What it does.
    pub state: OrderState,
    /// Our name of it: 1 to 22 characters here.
    pub document: String,
    /// What its customer knows the order by: up to 22 characters here.
    pub order: Option<String>,
    /// Whom it names: `ST` is who gets the goods, `WH` who shall ship them.
    pub parties: Vec<Party>,
    /// When it shall leave.
    pub ship_on: Option<Date>,
    /// The last day that it may leave on.
    pub ship_by: Option<Date>,
    /// How it shall be carried.
    pub carriage: Option<Carriage>,
    /// What shall leave.
    pub lines: Vec<ShippingOrderLine>,
}

/// What a 940 does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum OrderState {
    /// `N`: it is new.
    New,
    /// `R`: it takes the place of what it said before.
    Changed,
    /// `F`: nothing of it shall leave.
    Cancelled,
}

/// One line of a [`ShippingOrder`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ShippingOrderLine {
    /// The item: at most two names.
    pub item: ItemIds,
    /// Its name, for people: its first 45 characters are told.
    pub name: Option<String>,
    /// How much shall leave.
    pub quantity: Quantity,
    /// Counted in what: `EA` is pieces.
    pub unit: String,
    /// The lot it shall be of: up to 12 characters here.
    pub lot: Option<String>,
}

impl ShippingOrder {
    /// Makes a transaction set of kind 940.
    ///
    /// # Errors
    /// The first thing that does not fit.
    pub fn write(&self, control: u32) -> Result<TransactionSet, Unwritable> {
        let mut draft = Draft::new(control);
        let state = match self.state {
            OrderState::New => "N",
            OrderState::Changed => "R",
            OrderState::Cancelled => "F",
        };
        draft.segment("W05").must(&STATE, state).must(&DEPOSITOR_ORDER, &self.document);
        draft.may(&PURCHASE_ORDER, self.order.as_deref());
        if self.parties.len() > 10 {
            draft.refuse("a shipping order names at most ten parties");
        }
        for party in &self.parties {
            party::write(&mut draft, party);
        }
        for (kind, date) in [("10", self.ship_on), ("38", self.ship_by)] {
            if date.is_some() {
                draft.segment("G62").must(&DATE_KIND, kind).date(&DATE, date);
            }
        }
        if let Some(carriage) = &self.carriage {
            draft.segment("W66").must(&PAYMENT, carriage.payment.as_deref().unwrap_or(""));
            draft.must(&METHOD, &carriage.method).skip(2).may(&ROUTING, carriage.routing.as_deref()).skip(4);
            draft.may(&CARRIER, carriage.carrier.as_deref());
        }
        for (index, line) in self.lines.iter().enumerate() {
            write_line(&mut draft, index + 1, line);
        }
        if self.lines.is_empty() {
            draft.refuse("a shipping order has at least one line");
        }
        let total = self.lines.iter().map(|line| line.quantity).sum();
        draft.segment("W76").amount(&QUANTITY, total);
        draft.finish("940", control)
    }
}

fn write_line(draft: &mut Draft, number: usize, line: &ShippingOrderLine) {
    draft.segment("LX").must(&NUMBER, &number.to_string());
    draft.segment("W01").amount(&QUANTITY, line.quantity).must(&UNIT, &line.unit).item(&line.item, true, 2);
    draft.skip(5).may(&LOT, line.lot.as_deref());
    let name: String = line.name.iter().flat_map(|name| name.chars()).take(DESCRIPTION.most).collect();
    if !name.is_empty() {
        draft.segment("G69").must(&DESCRIPTION, name.trim_end());
    }
}
