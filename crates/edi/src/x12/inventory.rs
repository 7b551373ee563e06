//! 846, inventory inquiry or advice: how much there is of what, both ways. Group `IB`.
//!
//! BIA: purpose, report type, reference, date, time (<https://doc.chinlinktech.com/x12/007040/segment/BIA>); N1 loop
//! (<https://ws2.segment.co.il/Public/EDI-Segment/x12-4040/846/846.htm>); LIN: assigned id, then pairs of kind and name
//! (<https://rubydoc.info/gems/eddy/0.8.4/Eddy/Segments/LIN>, <https://docs.rs/crate/x12_alt/latest/source/src/release_5010/segments/lin.rs>);
//! QTY: kind, quantity, unit (<https://doc.chinlinktech.com/x12/008040/segment/QTY>); CTT: how many LIN, and the sum of all quantities
//! (<http://interstatesteelco.com/846%20Introduction.htm>). Report types: `SI` seller's report, `MB` manufacturer's or distributor's,
//! `PI` inquiry about availability (<https://ediacademy.com/blog/x12-846-report-type-codes/>). Kinds of quantity: `17` on hand, `33` available
//! for sale, `27` committed, `20` unusable (<https://stedi.com/edi/x12-002040/element/673>).

use jiff::civil::{Date, Time};
use onhand_ledger::Quantity;
use serde::{Deserialize, Serialize};

use super::TransactionSet;
use super::draft::Draft;
use super::party::{self, Party};
use super::specs::{DATE, LINE_COUNT, PURPOSE, QUANTITY, REFERENCE, TIME, UNIT};
use crate::found::Found;
use crate::item::ItemIds;
use crate::line::{Line, begins_with, lines, time_text};
use crate::problem::{Fault, Place, Problem, Unwritable};
use crate::spec::Spec;

const REPORT: Spec = Spec::new(755, "report type", 2, 2);
const LINE: Spec = Spec::new(350, "line's name", 1, 20);
const STOCK_KIND: Spec = Spec::new(673, "kind of quantity", 2, 2);

/// How much there is, or an inquiry how much there is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Inventory {
    /// What it is.
    pub report: InventoryReport,
    /// Its number.
    pub reference: String,
    /// When it was so.
    pub date: Date,
    /// At what time, by the sender's clock.
    pub time: Option<Time>,
    /// Whom it names: `WH` is where the goods lie.
    pub parties: Vec<Party>,
    /// What there is.
    pub lines: Vec<InventoryLine>,
}

/// What an 846 is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum InventoryReport {
    /// `SI`: what a seller has.
    Seller,
    /// `MB`: what a manufacturer or distributor has.
    Holder,
    /// `PI`: it asks what there is.
    Inquiry,
    /// Another code of element 755.
    Other(String),
}

/// One item of an [`Inventory`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct InventoryLine {
    /// Its name in the document.
    pub line: Option<String>,
    /// The item.
    pub item: ItemIds,
    /// How much of it there is, by kind.
    pub stocks: Vec<Stock>,
}

/// So much.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Stock {
    /// What is counted.
    pub kind: StockKind,
    /// How much.
    pub quantity: Quantity,
    /// Counted in what: `EA` is pieces.
    pub unit: Option<String>,
}

/// What is counted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum StockKind {
    /// `17`: all that lies there.
    OnHand,
    /// `33`: what can be sold.
    Available,
    /// `27`: what is promised.
    Committed,
    /// `20`: what cannot be used.
    Unusable,
    /// Another code of element 673.
    Other(String),
}

impl InventoryReport {
    fn code(&self) -> &str {
        match self {
            Self::Seller => "SI",
            Self::Holder => "MB",
            Self::Inquiry => "PI",
            Self::Other(code) => code,
        }
    }

    fn of(code: String) -> Self {
        match code.as_str() {
            "SI" => Self::Seller,
            "MB" => Self::Holder,
            "PI" => Self::Inquiry,
            _ => Self::Other(code),
        }
    }
}

impl StockKind {
    fn code(&self) -> &str {
        match self {
            Self::OnHand => "17",
            Self::Available => "33",
            Self::Committed => "27",
            Self::Unusable => "20",
            Self::Other(code) => code,
        }
    }

    fn of(code: String) -> Self {
        match code.as_str() {
            "17" => Self::OnHand,
            "33" => Self::Available,
            "27" => Self::Committed,
            "20" => Self::Unusable,
            _ => Self::Other(code),
        }
    }
}

impl Inventory {
    /// The party where the goods lie.
    pub fn warehouse(&self) -> Option<&Party> {
        party::of_role(&self.parties, "WH")
    }

    /// Reads a transaction set of kind 846.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn read(set: &TransactionSet, at: &Place) -> Result<Self, Vec<Problem>> {
        let found = Found::default();
        let mut inventory = None;
        begins_with(&set.segments, "BIA", at, &found);
        for line in lines(&set.segments, at, &found) {
            match (line.id(), &mut inventory) {
                ("BIA", None) => inventory = head(&line),
                ("BIA", Some(_)) => line.unexpected("there is one BIA"),
                (_, None) => {}
                (_, Some(inventory)) => detail(&line, inventory),
            }
        }
        found.or(inventory)
    }

    /// Makes a transaction set of kind 846.
    ///
    /// # Errors
    /// The first thing that does not fit.
    pub fn write(&self, control: u32) -> Result<TransactionSet, Unwritable> {
        let mut draft = Draft::new(control);
        let time = self.time.map(time_text);
        draft
            .segment("BIA")
            .must(&PURPOSE, "00")
            .must(&REPORT, self.report.code())
            .must(&REFERENCE, &self.reference);
        draft.date(&DATE, Some(self.date)).may(&TIME, time.as_deref());
        for party in &self.parties {
            party::write(&mut draft, party);
        }
        for line in &self.lines {
            draft.segment("LIN").may(&LINE, line.line.as_deref()).item(&line.item, false, 15);
            for stock in &line.stocks {
                draft.segment("QTY").must(&STOCK_KIND, stock.kind.code()).quantity(&QUANTITY, stock.quantity);
                draft.may(&UNIT, stock.unit.as_deref());
            }
        }
        draft.segment("CTT").must(&LINE_COUNT, &self.lines.len().to_string());
        draft.finish("846", control)
    }
}

fn head(line: &Line<'_>) -> Option<Inventory> {
    line.code(1, &PURPOSE, &[("00", ())])?;
    Some(Inventory {
        report: InventoryReport::of(line.must(2, &REPORT)?),
        reference: line.must(3, &REFERENCE)?,
        date: line.must_date(4, &DATE)?,
        time: line.time(5, &TIME),
        parties: Vec::new(),
        lines: Vec::new(),
    })
}

fn detail(line: &Line<'_>, inventory: &mut Inventory) {
    match (line.id(), inventory.lines.last_mut()) {
        ("LIN", _) => {
            let item = line.must_item(None, &pairs(2, 30));
            inventory.lines.push(InventoryLine { line: line.text(1, &LINE), item, stocks: Vec::new() });
        }
        ("QTY", Some(last)) => {
            let kind = line.must(1, &STOCK_KIND).map(StockKind::of);
            if let (Some(kind), Some(quantity)) = (kind, line.must_quantity(2, &QUANTITY)) {
                last.stocks.push(Stock { kind, quantity, unit: line.part(3, 1, &UNIT) });
            }
        }
        ("QTY", None) => line.unexpected("it tells of no item: LIN is missing in front of it"),
        ("CTT", _) => {
            let count = inventory.lines.len();
            if line.count(1, &LINE_COUNT).is_some_and(|stated| usize::try_from(stated) != Ok(count)) {
                let told = format!("{} lines are stated, there are {count}", line.segment.value(1));
                line.wrong(1, 1, &LINE_COUNT, Fault::Number, told);
            }
        }
        (_, None) => {
            party::read(line, &mut inventory.parties);
        }
        _ => {}
    }
}

/// The first elements of pairs.
pub(super) fn pairs(first: usize, last: usize) -> Vec<usize> {
    (first..=last).step_by(2).collect()
}
