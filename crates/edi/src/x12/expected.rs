//! 943, warehouse stock transfer shipment advice: what a warehouse shall expect, out. Group `AR`.
//!
//! Its segments, and that its lines have no LX:
//! <https://support.infopluscommerce.com/support/solutions/articles/11000070801-943-warehouse-stock-transfer-shipment-advice>,
//! <https://pdfslide.us/documents/943-warehouse-stock-transfer-shipment-advice-warehouse-stock-transfer-shipment.html>. W06: reporting code
//! (`F` full detail), depositor's order number, date, shipment's number, agent's, purchase order number
//! (<https://zenbridge.io/edi-dictionary/X12/4010/segment/W06>); G62: kind, date, of which `17` estimated delivery
//! (<http://ecomgx17.ecomtoday.com/edi/EDI_4010/el432.htm>); W27: way, carrier, routing, one of the latter at least
//! (<https://doc.chinlinktech.com/x12/004010/segment/W27>); W04: quantity, unit, case code, two pairs of kind and name
//! (<https://doc.chinlinktech.com/x12/007020/segment/W04>).

use jiff::civil::Date;
use onhand_ledger::Quantity;
use serde::{Deserialize, Serialize};

use super::TransactionSet;
use super::draft::Draft;
use super::party::{self, Carriage, Party};
use super::specs::{
    CARRIER, DATE, DATE_KIND, DEPOSITOR_ORDER, METHOD, PURCHASE_ORDER, REPORTING, ROUTING, SHIPMENT,
    SHIPPED_UNITS, UNIT,
};
use crate::item::ItemIds;
use crate::problem::Unwritable;

/// What a warehouse shall expect.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Expected {
    /// Our name of it: 1 to 22 characters here.
    pub document: String,
    /// When it was, or will be, sent.
    pub sent_on: Option<Date>,
    /// The sender's number of the shipment, without blanks.
    pub shipment: Option<String>,
    /// What people know it by, such as the purchase order's number: up to 22 characters here.
    pub reference: Option<String>,
    /// Whom it names: `SF` is who sends it, `WH` or `ST` where it comes in.
    pub parties: Vec<Party>,
    /// When it should come.
    pub expected_on: Option<Date>,
    /// How it is carried.
    pub carriage: Option<Carriage>,
    /// What comes.
    pub lines: Vec<ExpectedLine>,
}

/// One line of an [`Expected`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ExpectedLine {
    /// The item: at most two names.
    pub item: ItemIds,
    /// How much comes.
    pub quantity: Quantity,
    /// Counted in what: `EA` is pieces.
    pub unit: String,
}

impl Expected {
    /// Makes a transaction set of kind 943.
    ///
    /// # Errors
    /// The first thing that does not fit.
    pub fn write(&self, control: u32) -> Result<TransactionSet, Unwritable> {
        let mut draft = Draft::new(control);
        draft
            .segment("W06")
            .must(&REPORTING, "F")
            .must(&DEPOSITOR_ORDER, &self.document)
            .date(&DATE, self.sent_on);
        if self.shipment.as_ref().is_some_and(|shipment| shipment.contains(char::is_whitespace)) {
            draft.refuse("a shipment's number has no blanks");
        }
        draft
            .may(&SHIPMENT, self.shipment.as_deref())
            .skip(1)
            .may(&PURCHASE_ORDER, self.reference.as_deref());
        if self.parties.is_empty() || self.parties.len() > 10 {
            draft.refuse("what is expected names one to ten parties");
        }
        for party in &self.parties {
            party::write(&mut draft, party);
        }
        if self.expected_on.is_some() {
            draft.segment("G62").must(&DATE_KIND, "17").date(&DATE, self.expected_on);
        }
        if let Some(carriage) = &self.carriage {
            draft.segment("W27").must(&METHOD, &carriage.method).may(&CARRIER, carriage.carrier.as_deref());
            draft.may(&ROUTING, carriage.routing.as_deref());
            if carriage.carrier.is_none() && carriage.routing.is_none() {
                draft.refuse("a carrier's code or a routing has to be there");
            }
        }
        for line in &self.lines {
            draft
                .segment("W04")
                .amount(&SHIPPED_UNITS, line.quantity)
                .must(&UNIT, &line.unit)
                .item(&line.item, true, 2);
        }
        if self.lines.is_empty() {
            draft.refuse("what is expected has at least one line");
        }
        draft.finish("943", control)
    }
}
