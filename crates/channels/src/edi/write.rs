//! What we have to say, as interchanges: orders, announcements, numbers and acknowledgments.
//!
//! One document is one interchange, so that each is answered by itself. X12 has three control numbers, of the interchange, its group and its
//! set: all of them are the same here, as numbers grow and none is given twice.

use std::collections::BTreeMap;

use jiff::civil::{Date, Time};
use onhand_edi::edifact::{
    self, Directory, Held, HeldKind, MessageKind, ReportLine, ReportParty, StockReport,
};
use onhand_edi::x12::{
    self, Acknowledgment, Expected, ExpectedLine, Group, Interchange, Inventory, InventoryLine,
    InventoryReport, OrderState, Party, Separators, ShippingOrder, ShippingOrderLine, Stock, StockKind,
    TransactionSet, Usage,
};
use onhand_edi::{ItemId, ItemIds, Unwritable};
use onhand_ledger::Quantity;

use super::settings::{Named, Settings};
use crate::expected::Announcement;
use crate::outgoing::{Outgoing, Recipient};

/// How a place is named: by a code that both have agreed on (`ZZ`, element 66).
const AGREED: &str = "ZZ";
/// Element 93, a party's name.
const NAME: usize = 60;
/// Element 166, a line of an address.
const ADDRESS: usize = 55;
/// Element 324, the customer's number of an order.
const REFERENCE: usize = 22;

/// An interchange while it is made: its control number, and what the partner's clock shows.
#[derive(Clone, Copy)]
pub(super) struct Envelope<'a> {
    pub settings: &'a Settings,
    pub control: u32,
    pub date: Date,
    pub time: Time,
}

impl Envelope<'_> {
    /// An interchange of X12 with one group of these sets.
    pub fn x12(
        &self,
        release: &str,
        functional: &str,
        sets: Vec<TransactionSet>,
    ) -> Result<String, Unwritable> {
        let Settings { us, them, is_test, .. } = self.settings;
        let partner = |named: &Named| x12::Partner::new(&named.qualifier, &named.id);
        let group = Group {
            functional: functional.to_owned(),
            sender: us.group().to_owned(),
            receiver: them.group().to_owned(),
            date: self.date,
            time: self.time,
            control: self.control,
            agency: "X".to_owned(),
            version: release.to_owned(),
            sets,
        };
        // The envelope's version is the release's first five digits: 00401 of 004010.
        let version = release.get(..5).unwrap_or(release).to_owned();
        let mut interchange = Interchange {
            separators: Separators::usual(&version),
            authorization: x12::Partner::none(),
            security: x12::Partner::none(),
            sender: partner(us),
            receiver: partner(them),
            date: self.date,
            time: self.time,
            version,
            control: self.control,
            acknowledge: false,
            usage: if *is_test { Usage::Test } else { Usage::Production },
            notes: Vec::new(),
            groups: vec![group],
        };
        if let Some(fitting) = Separators::fitting(&interchange) {
            interchange.separators = fitting;
        }
        interchange.write()
    }

    /// An interchange of EDIFACT with one message.
    pub fn edifact(&self, message: edifact::Message) -> Result<String, Unwritable> {
        let Settings { us, them, is_test, .. } = self.settings;
        let partner = |named: &Named| {
            let qualifier = Some(named.qualifier.as_str()).filter(|qualifier| !qualifier.is_empty());
            edifact::Partner::new(&named.id, qualifier)
        };
        // The test indicator is the sixth element behind the reference (0035).
        let more = if *is_test {
            ["", "", "", "", "", "1"].map(edifact::Element::from).to_vec()
        } else {
            Vec::new()
        };
        let interchange = edifact::Interchange {
            separators: edifact::Separators::default(),
            has_advice: true,
            syntax: "UNOC".to_owned(),
            version: 3,
            sender: partner(us),
            recipient: partner(them),
            date: self.date,
            time: self.time,
            reference: self.control.to_string(),
            more,
            messages: vec![message],
        };
        interchange.write()
    }

    /// An order to ship.
    pub fn order(&self, release: &str, order: &Outgoing, is_new: bool) -> Result<String, Unwritable> {
        let state = match (order.cancelled, is_new) {
            (true, _) => OrderState::Cancelled,
            (false, true) => OrderState::New,
            (false, false) => OrderState::Changed,
        };
        let lines = order.lines.iter().filter(|line| order.cancelled || line.quantity.is_positive());
        let lines = lines.map(|line| ShippingOrderLine {
            item: self.item(line.listing.as_ref().unwrap_or(&line.sku)),
            name: Some(plain(&line.name)),
            quantity: line.quantity,
            unit: self.settings.unit.clone(),
            // Where it names several, it is refused: one line has one.
            lot: Some(line.lots.join(" ")).filter(|lots| !lots.is_empty()),
        });
        let made = ShippingOrder {
            state,
            document: order.document.clone(),
            order: Some(cut(&order.order, REFERENCE)).filter(|order| !order.is_empty()),
            parties: std::iter::once(warehouse(&order.location)).chain(ship_to(order)).collect(),
            ship_on: None,
            ship_by: order.ship_by.map(|at| self.settings.local(at).0),
            carriage: None,
            lines: lines.collect(),
        };
        self.x12(release, "OW", vec![made.write(self.control)?])
    }

    /// An announcement of goods.
    pub fn announcement(&self, release: &str, announced: &Announcement) -> Result<String, Unwritable> {
        let from = announced.from.as_ref().or(announced.order.as_ref()).unwrap_or(&announced.reference);
        let sender = Party { role: "SF".to_owned(), name: Some(cut(from, NAME)), ..Party::default() };
        let lines = announced.lines.iter().map(|line| ExpectedLine {
            item: self.item(line.listing.as_ref().unwrap_or(&line.sku)),
            quantity: line.quantity,
            unit: self.settings.unit.clone(),
        });
        let made = Expected {
            document: announced.document.clone(),
            sent_on: None,
            shipment: None,
            reference: Some(cut(&announced.reference, REFERENCE)).filter(|reference| !reference.is_empty()),
            parties: vec![warehouse(&announced.location), sender],
            expected_on: announced.expected_on,
            carriage: None,
            lines: lines.collect(),
        };
        self.x12(release, "AR", vec![made.write(self.control)?])
    }

    /// Numbers by listing, all of one location, as an 846.
    pub fn inventory(
        &self,
        release: &str,
        location: &str,
        numbers: &BTreeMap<&str, Quantity>,
    ) -> Result<String, Unwritable> {
        let line = |(index, (listing, quantity)): (usize, (&&str, &Quantity))| InventoryLine {
            line: Some((index + 1).to_string()),
            item: self.item(listing),
            stocks: vec![Stock {
                kind: StockKind::Available,
                quantity: *quantity,
                unit: Some(self.settings.unit.clone()),
            }],
        };
        let made = Inventory {
            report: InventoryReport::Seller,
            reference: self.control.to_string(),
            date: self.date,
            time: Some(self.time),
            parties: vec![warehouse(location)],
            lines: numbers.iter().enumerate().map(line).collect(),
        };
        self.x12(release, "IB", vec![made.write(self.control)?])
    }

    /// Numbers by listing and location, as an INVRPT.
    pub fn report(
        &self,
        directory: Directory,
        numbers: &BTreeMap<&str, Vec<(&str, Quantity)>>,
    ) -> Result<String, Unwritable> {
        let held = |(location, quantity): &(&str, Quantity)| Held {
            kind: HeldKind::Actual,
            quantity: *quantity,
            unit: Some(self.settings.unit.clone()),
            moved: None,
            location: Some((*location).to_owned()),
            as_of: None,
        };
        let line = |(index, (listing, places)): (usize, (&&str, &Vec<(&str, Quantity)>))| ReportLine {
            line: Some((index + 1).to_string()),
            item: self.item(listing),
            held: places.iter().map(held).collect(),
        };
        // Who reports: by its own code, which no agency has given.
        let reporter =
            ReportParty { role: "GY".to_owned(), id: Some(self.settings.us.id.clone()), agency: None };
        let made = StockReport {
            directory,
            is_of_movements: false,
            number: self.control.to_string(),
            made_on: self.date,
            made_at: Some(self.time),
            parties: vec![reporter],
            lines: numbers.iter().enumerate().map(line).collect(),
        };
        self.edifact(made.write(&self.control.to_string(), edifact::Separators::default().decimal)?)
    }

    /// What groups that came were like: a set each, with this control number and those that follow it.
    pub fn acknowledgments(&self, release: &str, told: &[Acknowledgment]) -> Result<String, Unwritable> {
        let sets = (self.control..).zip(told).map(|(control, told)| told.write(control));
        self.x12(release, "FA", sets.collect::<Result<_, _>>()?)
    }

    /// What an interchange of EDIFACT that came was like.
    pub fn control(&self, told: &edifact::Control) -> Result<String, Unwritable> {
        let kind = MessageKind::new("CONTRL", "4", "1");
        self.edifact(told.write(&self.control.to_string(), kind)?)
    }

    fn item(&self, listing: &str) -> ItemIds {
        let id = ItemId { kind: self.settings.item.clone(), id: listing.to_owned() };
        ItemIds { ids: vec![id], case_code: None }
    }
}

/// Without characters that no value may have.
fn plain(text: &str) -> String {
    text.replace(char::is_control, " ").trim().to_owned()
}

/// As much as there is room for.
fn cut(text: &str, most: usize) -> String {
    let cut: String = plain(text).chars().take(most).collect();
    cut.trim_end().to_owned()
}

fn warehouse(location: &str) -> Party {
    Party::coded("WH", AGREED, location)
}

/// Who gets an order, as far as that is known.
fn ship_to(order: &Outgoing) -> Option<Party> {
    let role = "ST".to_owned();
    if let Some(recipient) = &order.recipient {
        return Some(person(recipient, role));
    }
    if let Some(code) = &order.transfer_to {
        return Some(Party { role, name: Some(cut(code, NAME)), ..Party::default() });
    }
    let (country, region) = match order.ship_to.as_deref()?.split_once('-') {
        Some((country, region)) => (country, Some(region)),
        None => (order.ship_to.as_deref()?, None),
    };
    let name = Some(cut(&order.order, NAME)).filter(|name| !name.is_empty());
    let region = region.filter(|region| region.len() == 2).map(str::to_owned);
    Some(Party { role, name, country: Some(country.to_owned()), region, ..Party::default() })
}

/// A person with an address. What an element has no room for is a line of the address.
fn person(recipient: &Recipient, role: String) -> Party {
    let Recipient { name, company, address, city, region, postal_code, country, .. } = recipient;
    let told = |text: &Option<String>| text.as_deref().map(plain).filter(|text| !text.is_empty());
    let fits = |text: &Option<String>, least: usize, most: usize| {
        let text = told(text)?;
        (least..=most).contains(&text.chars().count()).then_some(text)
    };
    let (name, company) = (told(name), told(company));
    let both = name.is_some().then(|| company.clone()).flatten();
    let elements = [
        (told(city), fits(city, 2, 30)),
        (told(region), fits(region, 2, 2)),
        (told(postal_code), fits(postal_code, 3, 15)),
        (told(country), fits(country, 2, 3)),
    ];
    let without_room = elements.iter().filter(|(_, fits)| fits.is_none());
    let without_room: Vec<String> = without_room.filter_map(|(told, _)| told.clone()).collect();
    let streets = address.iter().map(String::as_str).map(plain).filter(|line| !line.is_empty());
    let lines = both.into_iter().chain(streets).chain(without_room).flat_map(|line| chunks(&line));
    let [city, region, postal_code, country] = elements.map(|(_, fits)| fits);
    let called = name.or(company).unwrap_or_else(|| "-".to_owned());
    Party {
        role,
        name: Some(cut(&called, NAME)),
        code: None,
        address: lines.collect(),
        city,
        region,
        postal_code,
        country,
    }
}

/// A line of an address as lines that there is room for.
fn chunks(line: &str) -> Vec<String> {
    let letters: Vec<char> = line.chars().collect();
    letters.chunks(ADDRESS).map(|chunk| chunk.iter().collect::<String>().trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use onhand_ledger::Instant;

    use super::*;
    use crate::outgoing::OutgoingLine;

    fn settings() -> Settings {
        let told =
            [("our_id", "DEPOSITOR"), ("their_id", "WAREHOUSE"), ("usage", "test"), ("version", "005010")];
        Settings::parse(&told.map(|(name, value)| (name.to_owned(), value.to_owned())).into()).unwrap()
    }

    fn order(sku: &str, recipient: Option<Recipient>) -> Outgoing {
        let line = |line: &str, sku: &str, quantity: i64| OutgoingLine {
            line: line.to_owned(),
            listing: None,
            sku: sku.to_owned(),
            name: "A blue\nmug".to_owned(),
            quantity: Quantity::units(quantity),
            lots: Vec::new(),
        };
        Outgoing {
            document: "onhand-7-2".to_owned(),
            version: 7,
            location: "BLN1".to_owned(),
            order: "A-1".to_owned(),
            order_system: "Shop".to_owned(),
            placed_at: Instant::MIN,
            ship_by: Instant::parse("2026-12-01T10:00:00Z").ok(),
            ship_to: None,
            transfer_to: None,
            cancelled: false,
            lines: vec![line("1", sku, 2), line("2", "GONE", 0)],
            recipient,
        }
    }

    /// The segments of an order as whoever gets it reads them.
    fn written(order: &Outgoing) -> Result<Vec<String>, Unwritable> {
        let settings = settings();
        let (date, time) = settings.local(Instant::parse("2026-11-29T10:15:30Z").unwrap());
        let text = Envelope { settings: &settings, control: 7, date, time }.order("005010", order, true)?;
        let read = x12::read(text.as_bytes());
        assert_eq!(read.problems, [], "{text}");
        let interchange = read.interchange.unwrap();
        assert_eq!(
            (interchange.control, interchange.usage, interchange.version.as_str()),
            (7, Usage::Test, "00501")
        );
        let group = &interchange.groups[0];
        assert_eq!(
            (group.control, group.sets[0].control.as_str(), group.functional.as_str()),
            (7, "0007", "OW")
        );
        let shown = |segment: &x12::Segment| {
            let elements = segment.elements.iter().map(|element| element.component(1).to_owned());
            std::iter::once(segment.id.clone()).chain(elements).collect::<Vec<_>>().join("|")
        };
        Ok(group.sets[0].segments.iter().map(shown).collect())
    }

    #[test]
    fn an_address_is_told_whatever_elements_have_room_for() {
        let recipient = Recipient {
            name: Some("Ada Lovelace".to_owned()),
            company: Some("Engines Ltd".to_owned()),
            address: vec!["1 Mill Road".to_owned()],
            city: Some("Ely".to_owned()),
            region: Some("Cambridgeshire".to_owned()),
            postal_code: Some("CB7 4AB".to_owned()),
            country: Some("United Kingdom".to_owned()),
            ..Recipient::default()
        };
        let segments = written(&order("MUG", Some(recipient))).unwrap();
        assert_eq!(
            segments,
            [
                "W05|N|onhand-7-2|A-1",
                "N1|WH||ZZ|BLN1",
                "N1|ST|Ada Lovelace",
                "N3|Engines Ltd|1 Mill Road",
                "N3|Cambridgeshire|United Kingdom",
                "N4|Ely||CB7 4AB",
                "G62|38|20261201",
                "LX|1",
                "W01|2|EA||SK|MUG",
                "G69|A blue mug",
                "W76|2",
            ]
        );
    }

    #[test]
    fn what_separates_is_chosen_so_that_it_is_in_no_value_and_what_does_not_fit_is_refused() {
        let segments = written(&order("MUG*BLUE~1", None)).unwrap();
        assert!(segments.contains(&"W01|2|EA||SK|MUG*BLUE~1".to_owned()), "{segments:?}");
        let mut two_lots = order("MUG", None);
        two_lots.lines[0].lots = vec!["LOT-ONE".to_owned(), "LOT-TWO".to_owned()];
        let refused = written(&two_lots).unwrap_err().to_string();
        assert!(refused.contains("segment 6 W01") && refused.contains("lot"), "{refused}");
        let long = Outgoing { document: "onhand-12345678901234-567".to_owned(), ..order("MUG", None) };
        assert!(written(&long).unwrap_err().to_string().contains("W05, element 2"));
        let off = Outgoing { cancelled: true, ..order("MUG", None) };
        let segments = written(&off).unwrap();
        assert!(
            segments[0].starts_with("W05|F|") && segments.contains(&"W01|0|EA||SK|GONE".to_owned()),
            "{segments:?}"
        );
    }
}
