use jiff::civil::{date, time};
use onhand_edi::x12::{
    self, Carriage, Expected, ExpectedLine, Inventory, InventoryLine, InventoryReport, OrderState, Party,
    ShippingOrder, ShippingOrderLine, Stock, StockKind, TransactionSet,
};
use onhand_edi::{ItemId, ItemIds, Place};
use onhand_ledger::{Precision, Quantity};

fn quantity(text: &str) -> Quantity {
    Quantity::parse(text, Precision::FINEST).unwrap()
}

/// The set's segments as they are written.
fn text(set: TransactionSet) -> String {
    let mut whole = crate::x12_envelope::interchange(Vec::new());
    whole.groups[0].sets = vec![set];
    let text = whole.write().unwrap();
    let (from, to) = (text.find("ST*").unwrap(), text.find("GE*").unwrap());
    text[from..to].replace('\n', "")
}

fn order() -> ShippingOrder {
    let ada = Party {
        role: "ST".to_owned(),
        name: Some("Ada L".to_owned()),
        address: vec!["1 Mill Road".to_owned(), "Flat 2".to_owned(), "Back door".to_owned()],
        city: Some("Ely".to_owned()),
        postal_code: Some("CB74AA".to_owned()),
        country: Some("GB".to_owned()),
        ..Party::default()
    };
    let line = |sku: &str, amount: &str, unit: &str| ShippingOrderLine {
        item: ItemIds::of_sku(sku),
        name: Some(format!("{sku} {}", "long ".repeat(20))),
        quantity: quantity(amount),
        unit: unit.to_owned(),
        lot: None,
    };
    ShippingOrder {
        state: OrderState::New,
        document: "OUT-17".to_owned(),
        order: Some("PO55".to_owned()),
        parties: vec![ada, Party::coded("WH", "92", "E1")],
        ship_on: Some(date(2026, 11, 30)),
        ship_by: Some(date(2026, 12, 2)),
        carriage: Some(Carriage {
            payment: Some("PP".to_owned()),
            method: "M".to_owned(),
            carrier: Some("UPSN".to_owned()),
            routing: Some("GROUND".to_owned()),
        }),
        lines: vec![
            line("MUG", "3", "EA"),
            ShippingOrderLine { lot: Some("L7".to_owned()), name: None, ..line("TEA", "0.5", "KG") },
        ],
    }
}

#[test]
fn an_order_to_ship_is_told_a_warehouse() {
    let written = text(order().write(1).unwrap());
    let name: String = format!("MUG {}", "long ".repeat(20)).chars().take(45).collect();
    assert_eq!(
        written,
        format!(
            "ST*940*0001~W05*N*OUT-17*PO55~N1*ST*Ada L~N3*1 Mill Road*Flat 2~N3*Back door~N4*Ely**CB74AA*GB~N1*WH**92*E1~G62*10*20261130~\
             G62*38*20261202~W66*PP*M***GROUND*****UPSN~LX*1~W01*3*EA**SK*MUG~G69*{}~LX*2~W01*0.5*KG**SK*TEA********L7~W76*3.5~SE*17*0001~",
            name.trim_end()
        )
    );
}

#[test]
fn who_gets_the_goods_is_not_printed_to_find_errors() {
    let printed = format!("{:?}", order());
    assert!(
        printed.contains("\"ST\"") && !printed.contains("Ada") && !printed.contains("Mill Road"),
        "{printed}"
    );
}

#[test]
fn an_order_that_does_not_fit_is_refused_by_its_place() {
    let refused = |change: &dyn Fn(&mut ShippingOrder), place: &str, told: &str| {
        let mut order = order();
        change(&mut order);
        let error = order.write(1).unwrap_err().to_string();
        assert!(error.contains(place) && error.contains(told), "{place}, {told}: {error}");
    };
    refused(&|order| order.document = "D".repeat(23), "segment 2 W05, element 2", "has 1 to 22");
    refused(&|order| order.document = String::new(), "segment 2 W05, element 2", "has to be there");
    refused(&|order| order.parties[0].name = None, "segment 3 N1", "a name or a code");
    refused(&|order| order.parties[0].region = Some("Cambs".to_owned()), "segment 6 N4, element 2", "has 2");
    refused(
        &|order| order.parties[0].address = vec!["A".to_owned(); 5],
        "segment 6 N3",
        "at most four lines",
    );
    refused(&|order| order.parties = vec![order.parties[1].clone(); 11], "segment 2 W05", "at most ten");
    refused(&|order| order.carriage.as_mut().unwrap().payment = None, "W66, element 1", "has to be there");
    refused(&|order| order.lines.clear(), "segment", "at least one line");
    refused(
        &|order| order.lines[0].quantity = quantity("-1"),
        "segment 12 W01, element 1",
        "not less than nothing",
    );
    refused(&|order| order.lines[0].unit = "EACH".to_owned(), "segment 12 W01, element 2", "has 2");
    refused(&|order| order.lines[0].item.ids.clear(), "segment 12 W01", "has to be named");
    refused(&|order| order.lines[1].lot = Some("L".repeat(13)), "segment 15 W01, element 13", "has 1 to 12");
    let three = |order: &mut ShippingOrder| {
        order.lines[0].item.ids = vec![ItemId { kind: "SK".into(), id: "A".into() }; 3]
    };
    refused(&three, "segment 12 W01", "at most 2 names");
}

fn expected() -> Expected {
    Expected {
        document: "IN-4".to_owned(),
        sent_on: Some(date(2026, 11, 29)),
        shipment: Some("S3".to_owned()),
        reference: Some("PO9".to_owned()),
        parties: vec![Party::coded("SF", "92", "ACME"), Party::coded("WH", "92", "E1")],
        expected_on: Some(date(2026, 12, 4)),
        carriage: Some(Carriage {
            method: "M".to_owned(),
            routing: Some("ACME VAN".to_owned()),
            ..Carriage::default()
        }),
        lines: vec![ExpectedLine {
            item: ItemIds::of_sku("MUG"),
            quantity: quantity("90"),
            unit: "EA".to_owned(),
        }],
    }
}

#[test]
fn what_comes_in_is_told_a_warehouse() {
    assert_eq!(
        text(expected().write(2).unwrap()),
        "ST*943*0002~W06*F*IN-4*20261129*S3**PO9~N1*SF**92*ACME~N1*WH**92*E1~G62*17*20261204~W27*M**ACME VAN~W04*90*EA**SK*MUG~SE*8*0002~"
    );
    let refused = |change: &dyn Fn(&mut Expected), told: &str| {
        let mut expected = expected();
        change(&mut expected);
        let error = expected.write(1).unwrap_err().to_string();
        assert!(error.contains(told), "{told}: {error}");
    };
    refused(
        &|expected| expected.shipment = Some("S 3".to_owned()),
        "segment 2 W06: a shipment's number has no blanks",
    );
    refused(&|expected| expected.parties.clear(), "one to ten parties");
    refused(&|expected| expected.carriage.as_mut().unwrap().routing = None, "a carrier's code or a routing");
    refused(&|expected| expected.lines.clear(), "at least one line");
}

#[test]
fn what_there_is_is_told_and_read_back() {
    let inventory = Inventory {
        report: InventoryReport::Seller,
        reference: "R1".to_owned(),
        date: date(2026, 11, 29),
        time: Some(time(10, 15, 30, 0)),
        parties: vec![Party::coded("WH", "92", "E1")],
        lines: vec![InventoryLine {
            line: Some("1".to_owned()),
            item: ItemIds::of_sku("MUG"),
            stocks: vec![Stock {
                kind: StockKind::Available,
                quantity: quantity("10"),
                unit: Some("EA".to_owned()),
            }],
        }],
    };
    let set = inventory.write(1).unwrap();
    assert_eq!(Inventory::read(&set, &Place::default()), Ok(inventory));
    assert_eq!(
        text(set),
        "ST*846*0001~BIA*00*SI*R1*20261129*101530~N1*WH**92*E1~LIN*1*SK*MUG~QTY*33*10*EA~CTT*1~SE*7*0001~"
    );
    let x12::Document::Inventory(_) = crate::x12_document("IB", "846", "BIA*00*PI*R1*20261129~LIN**SK*MUG~")
    else {
        panic!()
    };
}
