//! INVRPT of directories D.96A and D.01B, inventory report: how much there is of what, both ways.
//!
//! UNH, BGM, DTM, NAD, then LIN and PIA for an item, and QTY, INV, LOC and DTM for each quantity of it
//! (<https://edifactory.de/edifact/directory/D96A/message/INVRPT>). How GS1 fills them: <https://ref.gs1.org/standards/eancom/1997/> (INVRPT,
//! version 004): BGM `35` report, `78` movements, function `9` original; DTM `137` of the message, `102` a day, `203` a minute; LIN with a GTIN (`EN`,
//! `UP`), PIA with other names (`SA` the supplier's, `IN` the buyer's); QTY `145` actual stock, `66` committed, `89` held for quality control, `96`
//! failed it, `124` damaged, `198` in transit; INV `1` out of stock, `2` into stock. `17` on hand: <https://stedi.com/edi/edifact/D96A/elements/6063>.
//! NAD `GY` who reports, `WH` who keeps the warehouse, `GO` who owns the goods (<http://eancom.com/ean02s4/part2/invrpt/056.htm>); LOC `18`
//! warehouse, `14` where goods are (<http://eancom.com/ean02s3/part2/invrpt/0519.htm>); DTM `366` when a quantity was so
//! (<http://eancom.com/ean02s4/part2/invrpt/0520.htm>).
//!
//! In D.01B INV is in front of its QTY, and says `1` in its fourth element of what there is by the books
//! (<http://eancom.com/ean02s3/part2/invrpt/0516.htm>); a GTIN is `SRV` (<http://aide.tie.free.fr/edifact/e-invoicing/germany/english/h53w.htm>).

use jiff::civil::{Date, Time};
use onhand_ledger::Quantity;
use serde::{Deserialize, Serialize};

use super::write::composite;
use super::{Message, MessageKind};
use crate::found::Found;
use crate::item::{ItemId, ItemIds};
use crate::line::{Line, begins_with, date_of, date_text, lines, time_of};
use crate::problem::{Fault, Place, Problem, Unwritable};
use crate::segment::{Element, Segment};
use crate::spec::Spec;

const REPORT: Spec = Spec::new(1001, "kind of report", 1, 3);
const NUMBER: Spec = Spec::new(1004, "report's number", 1, 35);
const FUNCTION: Spec = Spec::new(1225, "function", 1, 3);
const DATE_KIND: Spec = Spec::new(2005, "kind of date", 1, 3);
const DATE: Spec = Spec::new(2380, "date", 1, 35);
const DATE_FORMAT: Spec = Spec::new(2379, "date's format", 1, 3);
const ROLE: Spec = Spec::new(3035, "party's role", 1, 3);
const PARTY: Spec = Spec::new(3039, "party's id", 1, 35);
const LIST: Spec = Spec::new(1131, "code list", 1, 3);
const AGENCY: Spec = Spec::new(3055, "agency", 1, 3);
const LINE: Spec = Spec::new(1082, "line's number", 1, 6);
const ITEM: Spec = Spec::new(7140, "item's name", 1, 35);
const ITEM_KIND: Spec = Spec::new(7143, "kind of item name", 1, 3);
const NAME_FUNCTION: Spec = Spec::new(4347, "what the names are for", 1, 3);
const QUANTITY_KIND: Spec = Spec::new(6063, "kind of quantity", 1, 3);
const QUANTITY: Spec = Spec::new(6060, "quantity", 1, 15);
const UNIT: Spec = Spec::new(6411, "unit", 1, 3);
const DIRECTION: Spec = Spec::new(4501, "direction", 1, 3);
const BALANCE: Spec = Spec::new(4503, "kind of balance", 1, 3);
const PLACE_KIND: Spec = Spec::new(3227, "kind of place", 1, 3);
const PLACE: Spec = Spec::new(3225, "place", 1, 25);

/// The directory that a message is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Directory {
    /// D.96A: INV is behind its QTY.
    D96A,
    /// D.01B: INV is in front of its QTY.
    D01B,
}

impl Directory {
    fn release(self) -> &'static str {
        match self {
            Self::D96A => "96A",
            Self::D01B => "01B",
        }
    }

    /// The directory of a message, where it is one of those read.
    pub(super) fn of(kind: &MessageKind) -> Option<Self> {
        [Self::D96A, Self::D01B]
            .into_iter()
            .find(|directory| kind.version == "D" && kind.release == directory.release())
    }
}

/// How much there is of what.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StockReport {
    /// The directory it is of.
    pub directory: Directory,
    /// Does it tell of movements (`78`), and not of what there is (`35`)?
    pub is_of_movements: bool,
    /// Its number.
    pub number: String,
    /// When it was made.
    pub made_on: Date,
    /// At what time, to the minute.
    pub made_at: Option<Time>,
    /// Whom it names.
    pub parties: Vec<ReportParty>,
    /// What there is.
    pub lines: Vec<ReportLine>,
}

/// Whom a report names.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReportParty {
    /// What it is in the report: `GY`, `WH`.
    pub role: String,
    /// What it is called.
    pub id: Option<String>,
    /// By whom: `9` GS1.
    pub agency: Option<String>,
}

/// One item of a [`StockReport`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReportLine {
    /// Its number in the report.
    pub line: Option<String>,
    /// The item: its GTIN first, if it has one.
    pub item: ItemIds,
    /// How much of it there is.
    pub held: Vec<Held>,
}

/// So much.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Held {
    /// What is counted.
    pub kind: HeldKind,
    /// How much.
    pub quantity: Quantity,
    /// Counted in what.
    pub unit: Option<String>,
    /// Of a movement: where to.
    pub moved: Option<Move>,
    /// Where.
    pub location: Option<String>,
    /// When it was so.
    pub as_of: Option<Date>,
}

/// Where a movement goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Move {
    /// `1`: out of stock.
    Out,
    /// `2`: into stock.
    In,
}

/// What is counted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum HeldKind {
    /// `145`: what there is.
    Actual,
    /// `17`: what lies there.
    OnHand,
    /// `66`: what is promised.
    Committed,
    /// `89`: what is looked at first.
    QualityControl,
    /// `96`: what was looked at and is not good.
    QualityFailed,
    /// `124`: what is damaged.
    Damaged,
    /// `198`: what is on its way.
    InTransit,
    /// Another code of element 6063.
    Other(String),
}

impl HeldKind {
    fn code(&self) -> &str {
        match self {
            Self::Actual => "145",
            Self::OnHand => "17",
            Self::Committed => "66",
            Self::QualityControl => "89",
            Self::QualityFailed => "96",
            Self::Damaged => "124",
            Self::InTransit => "198",
            Self::Other(code) => code,
        }
    }

    fn of(code: String) -> Self {
        match code.as_str() {
            "145" => Self::Actual,
            "17" => Self::OnHand,
            "66" => Self::Committed,
            "89" => Self::QualityControl,
            "96" => Self::QualityFailed,
            "124" => Self::Damaged,
            "198" => Self::InTransit,
            _ => Self::Other(code),
        }
    }
}

impl StockReport {
    /// Reads a message of type INVRPT, `decimal` being the interchange's decimal mark.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn read(message: &Message, decimal: char, at: &Place) -> Result<Self, Vec<Problem>> {
        let found = Found::default();
        let mut report = None;
        let directory = Directory::of(&message.kind).unwrap_or(Directory::D96A);
        let mut moved = None;
        begins_with(&message.segments, "BGM", at, &found);
        let mut made = None;
        for line in lines(&message.segments, at, &found) {
            match (line.id(), &mut report) {
                ("BGM", None) => report = head(&line, directory),
                ("BGM", Some(_)) => line.unexpected("there is one BGM"),
                (_, None) => {}
                ("DTM", Some(report)) if report.lines.is_empty() => {
                    if line.segment.component(1, 1) == "137" {
                        made = moment(&line);
                        (report.made_on, report.made_at) = made.unwrap_or((report.made_on, None));
                    }
                }
                ("INV", Some(_)) if directory == Directory::D01B => moved = direction(&line),
                (_, Some(report)) => detail(&line, (decimal, &mut moved), report),
            }
        }
        let has_date =
            message.segments.iter().any(|segment| segment.id == "DTM" && segment.component(1, 1) == "137");
        if report.is_some() && made.is_none() && !has_date {
            found.tell(
                at.segment(2, "DTM"),
                Fault::SegmentMissing,
                "DTM with 137 is missing: it tells when the report was made",
            );
        }
        found.or(report)
    }

    /// Makes a message of type INVRPT.
    ///
    /// # Errors
    /// The first thing that does not fit.
    pub fn write(&self, reference: &str, decimal: char) -> Result<Message, Unwritable> {
        let mut draft = Draft {
            place: Place { set: Some(reference.to_owned()), ..Place::default() },
            segments: Vec::new(),
        };
        let kind = if self.is_of_movements { "78" } else { "35" };
        draft.add(
            "BGM",
            &[&[(REPORT, true, kind)], &[(NUMBER, true, &self.number)], &[(FUNCTION, true, "9")]],
        )?;
        let (made, format) = match self.made_at {
            None => (date_text(self.made_on), "102"),
            Some(time) => {
                (format!("{}{:02}{:02}", date_text(self.made_on), time.hour(), time.minute()), "203")
            }
        };
        draft.date("137", &made, format)?;
        for party in &self.parties {
            let (id, agency) = (party.id.as_deref().unwrap_or(""), party.agency.as_deref().unwrap_or(""));
            let is_named = !agency.is_empty();
            draft.add(
                "NAD",
                &[
                    &[(ROLE, true, &party.role)],
                    &[(PARTY, is_named, id), (LIST, false, ""), (AGENCY, false, agency)],
                ],
            )?;
        }
        for line in &self.lines {
            draft.line(line)?;
            for held in &line.held {
                draft.held(held, decimal, self.directory)?;
            }
        }
        let kind = MessageKind::new("INVRPT", "D", self.directory.release());
        Ok(Message { reference: reference.to_owned(), kind, more: Vec::new(), segments: draft.segments })
    }
}

/// A message while it is made.
struct Draft {
    place: Place,
    segments: Vec<Segment>,
}

impl Draft {
    fn add(&mut self, id: &str, elements: &[&[(Spec, bool, &str)]]) -> Result<(), Unwritable> {
        let here = self.place.segment(self.segments.len() + 2, id);
        let made: Result<Vec<Element>, Unwritable> = elements
            .iter()
            .enumerate()
            .map(|(index, element)| composite(element, &here.element(index + 1)))
            .collect();
        self.segments.push(Segment::new(id, made?));
        Ok(())
    }

    fn date(&mut self, kind: &str, date: &str, format: &str) -> Result<(), Unwritable> {
        self.add("DTM", &[&[(DATE_KIND, true, kind), (DATE, true, date), (DATE_FORMAT, true, format)]])
    }

    fn line(&mut self, line: &ReportLine) -> Result<(), Unwritable> {
        let here = self.place.segment(self.segments.len() + 2, "LIN");
        let ids = &line.item.ids;
        if ids.is_empty() || ids.len() > 6 || line.item.case_code.is_some() {
            return Err(Unwritable::new(
                here,
                "an item has one to six names, a case code among them by its kind",
            ));
        }
        let gtin = ids.first().filter(|named| is_gtin(&named.kind));
        let number = line.line.as_deref().unwrap_or("");
        let (id, kind) = gtin.map_or(("", ""), |named| (named.id.as_str(), named.kind.as_str()));
        self.add(
            "LIN",
            &[
                &[(LINE, false, number)],
                &[],
                &[(ITEM, gtin.is_some(), id), (ITEM_KIND, gtin.is_some(), kind)],
            ],
        )?;
        let others: Vec<&ItemId> = ids.iter().skip(usize::from(gtin.is_some())).collect();
        for (index, five) in others.chunks(5).enumerate() {
            // The first names are what it is known by where there is no GTIN.
            let function = if gtin.is_none() && index == 0 { "5" } else { "1" };
            let names: Vec<[(Spec, bool, &str); 2]> = five
                .iter()
                .map(|named| [(ITEM, true, named.id.as_str()), (ITEM_KIND, true, named.kind.as_str())])
                .collect();
            let function = [(NAME_FUNCTION, true, function)];
            let elements: Vec<&[(Spec, bool, &str)]> = std::iter::once(function.as_slice())
                .chain(names.iter().map(<[(Spec, bool, &str); 2]>::as_slice))
                .collect();
            self.add("PIA", &elements)?;
        }
        Ok(())
    }

    /// INV: where a movement goes, or that it is what there is by the books.
    fn moved(&mut self, moved: Option<Move>) -> Result<(), Unwritable> {
        match moved {
            None => self.add("INV", &[&[], &[], &[], &[(BALANCE, true, "1")]]),
            Some(Move::Out) => self.add("INV", &[&[(DIRECTION, true, "1")]]),
            Some(Move::In) => self.add("INV", &[&[(DIRECTION, true, "2")]]),
        }
    }

    fn held(&mut self, held: &Held, decimal: char, directory: Directory) -> Result<(), Unwritable> {
        if directory == Directory::D01B {
            self.moved(held.moved)?;
        }
        let quantity = held.quantity.to_string().replace('.', &decimal.to_string());
        let unit = held.unit.as_deref().unwrap_or("");
        self.add(
            "QTY",
            &[&[(QUANTITY_KIND, true, held.kind.code()), (QUANTITY, true, &quantity), (UNIT, false, unit)]],
        )?;
        if directory == Directory::D96A && held.moved.is_some() {
            self.moved(held.moved)?;
        }
        if let Some(location) = &held.location {
            self.add("LOC", &[&[(PLACE_KIND, true, "18")], &[(PLACE, true, location)]])?;
        }
        match held.as_of {
            Some(date) => self.date("366", &date_text(date), "102"),
            None => Ok(()),
        }
    }
}

fn is_gtin(kind: &str) -> bool {
    matches!(kind, "EN" | "UP" | "SRV")
}

fn head(line: &Line<'_>, directory: Directory) -> Option<StockReport> {
    let kind = line.must_part(1, 1, &REPORT)?;
    if kind != "35" && kind != "78" {
        line.wrong(1, 1, &REPORT, Fault::Code, format!("`{kind}` is no kind of report known here: 35, 78"));
    }
    line.code(3, &FUNCTION, &[("9", ())]);
    Some(StockReport {
        directory,
        is_of_movements: kind == "78",
        number: line.must_part(2, 1, &NUMBER)?,
        made_on: Date::constant(2000, 1, 1),
        made_at: None,
        parties: Vec::new(),
        lines: Vec::new(),
    })
}

/// The day, and the minute where it is told, of a DTM.
fn moment(line: &Line<'_>) -> Option<(Date, Option<Time>)> {
    let (text, format) = (line.must_part(1, 2, &DATE)?, line.must_part(1, 3, &DATE_FORMAT)?);
    match format.as_str() {
        "102" => Some((line.as_date(1, 2, &DATE, &text)?, None)),
        "203" => {
            let moment = text
                .get(..8)
                .and_then(date_of)
                .zip(text.get(8..12).filter(|_| text.len() == 12).and_then(time_of));
            if moment.is_none() {
                line.wrong(1, 2, &DATE, Fault::Date, format!("`{text}` is no minute such as 202611291015"));
            }
            moment.map(|(date, time)| (date, Some(time)))
        }
        _ => {
            line.wrong(
                1,
                3,
                &DATE_FORMAT,
                Fault::Code,
                format!("`{format}` is no format known here: 102, 203"),
            );
            None
        }
    }
}

/// `moved` is what an INV in front of its QTY said.
fn detail(line: &Line<'_>, (decimal, moved): (char, &mut Option<Move>), report: &mut StockReport) {
    match (line.id(), report.lines.last_mut()) {
        ("NAD", None) => {
            let (id, agency) = (line.part(2, 1, &PARTY), line.part(2, 3, &AGENCY));
            report.parties.extend(line.must(1, &ROLE).map(|role| ReportParty { role, id, agency }));
        }
        ("LIN", _) => {
            *moved = None;
            let item = ItemIds { ids: name(line, 3).into_iter().collect(), case_code: None };
            report.lines.push(ReportLine { line: line.text(1, &LINE), item, held: Vec::new() });
        }
        ("PIA" | "QTY", None) => line.unexpected("it tells of no item: LIN is missing in front of it"),
        ("PIA", Some(last)) => {
            let is_name = matches!(line.must(1, &NAME_FUNCTION).as_deref(), Some("1" | "5"));
            let names: Vec<ItemId> = (2..=6).filter_map(|element| name(line, element)).collect();
            if is_name {
                last.item.ids.extend(names);
            }
        }
        ("QTY", Some(last)) => {
            if last.item.ids.is_empty() {
                line.found.tell(
                    line.place.clone(),
                    Fault::SegmentMissing,
                    "the item has no name: LIN or PIA has to tell one",
                );
            }
            last.held.extend(held(line, decimal, moved.take()));
        }
        (id @ ("INV" | "LOC" | "DTM"), Some(last)) => match last.held.last_mut() {
            Some(held) => more(line, id, held),
            None => line.needs("QTY", "it tells of no quantity: QTY is missing in front of it"),
        },
        _ => {}
    }
}

/// The name in an element, and what kind of name it is.
fn name(line: &Line<'_>, element: usize) -> Option<ItemId> {
    if line.segment.elements.get(element - 1).is_none_or(Element::is_empty) {
        return None;
    }
    let (id, kind) = (line.must_part(element, 1, &ITEM), line.must_part(element, 2, &ITEM_KIND));
    Some(ItemId { kind: kind?, id: id? })
}

fn held(line: &Line<'_>, decimal: char, moved: Option<Move>) -> Option<Held> {
    let kind = line.must_part(1, 1, &QUANTITY_KIND).map(HeldKind::of);
    if line.segment.component(1, 2).is_empty() {
        return line.must_part(1, 2, &QUANTITY).and(None);
    }
    let quantity = line.amount(1, 2, &QUANTITY, decimal)?;
    let unit = line.part(1, 3, &UNIT);
    Some(Held { kind: kind?, quantity, unit, moved, location: None, as_of: None })
}

fn direction(line: &Line<'_>) -> Option<Move> {
    if line.segment.value(1).is_empty() {
        return None;
    }
    line.code(1, &DIRECTION, &[("1", Move::Out), ("2", Move::In)])
}

fn more(line: &Line<'_>, id: &str, held: &mut Held) {
    match id {
        "INV" => held.moved = direction(line),
        "LOC" if matches!(line.must(1, &PLACE_KIND).as_deref(), Some("14" | "18")) => {
            held.location = line.must_part(2, 1, &PLACE);
        }
        "DTM" if line.segment.component(1, 1) == "366" => held.as_of = moment(line).map(|(date, _)| date),
        _ => {}
    }
}
