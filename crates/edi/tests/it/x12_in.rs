use jiff::civil::{date, time};
use onhand_edi::x12::{Condition, Document, InventoryReport, Status, StockKind, Why};
use onhand_ledger::{Precision, Quantity};

use crate::{assert_told, x12_document, x12_problems};

fn quantity(text: &str) -> Quantity {
    Quantity::parse(text, Precision::FINEST).unwrap()
}

pub const SHIPPED: &str = "W06*F*OUT-17*20261128*S9**PO55~N1*ST*Ada L*92*C4~N3*1 Mill Road~N4*Ely**CB74AA*GB~G62*11*20261129~W27*M*UPSN*GROUND~\
    LX*1~MAN*GM*00012345600012345678*00012345600012345685*CP*1Z999~W12*CC*3*3*0*EA**SK*MUG*L7~\
    LX*2~MAN*CP*1Z998~W12*CP*10*7*3*EA**SK*TEA~W12*IS**2**EA**SK*CUP*********UP*012345678905~W03*12*3.5*LB~";

#[test]
fn a_warehouse_tells_what_it_shipped() {
    let Document::Shipped(shipped) = x12_document("SW", "945", SHIPPED) else { panic!() };
    assert_eq!((shipped.document.as_deref(), shipped.order.as_deref()), (Some("OUT-17"), Some("PO55")));
    assert_eq!((shipped.shipped_on, shipped.carrier()), (Some(date(2026, 11, 29)), Some("UPSN")));
    assert_eq!(shipped.parties[0].ship_to().as_deref(), Some("GB"));
    assert_eq!(shipped.total, Some(quantity("12")));
    let [first, second] = &shipped.packages[..] else { panic!() };
    assert_eq!((first.tracking(), second.tracking()), (Some("1Z999"), Some("1Z998")));
    assert_eq!(first.marks[0].to.as_deref(), Some("00012345600012345685"));
    assert_eq!((first.lines[0].item.sku(), first.lines[0].lot.as_deref()), (Some("MUG"), Some("L7")));
    assert_eq!(
        (&second.lines[0].status, second.lines[0].shipped),
        (&Status::PartialRestDropped, quantity("7"))
    );
    let substitute = &second.lines[1];
    assert_eq!(substitute.status, Status::Substitute);
    assert_eq!(substitute.instead_of.as_ref().and_then(|item| item.of_kind("UP")), Some("012345678905"));
}

#[test]
fn what_is_wrong_with_a_shipment_is_named_by_its_place() {
    let body = SHIPPED;
    for (from, to, place, told) in [
        ("W06*F*", "W07*F*", "segment 2 W06", "it has to be W06"),
        ("W06*F*", "W06**", "segment 2 W06, element 1", "reporting code has to be here"),
        ("*20261128*", "*20261328*", "segment 2 W06, element 3", "no date such as 20261129"),
        ("OUT-17", "OUT-17-AND-MUCH-TOO-LONG", "segment 2 W06, element 2", "has 1 to 22"),
        (
            "N1*ST*Ada L*92*C4~",
            "N1*ST*Ada L*92~",
            "segment 3 N1, element 4",
            "has to be here, as element 3 is",
        ),
        ("N1*ST*Ada L*92*C4~", "", "segment 3 N3", "N1 is missing"),
        ("W27*M*UPSN*GROUND", "W27*M", "segment 7 W27, element 2", "or the routing"),
        ("LX*1~", "", "segment 8 MAN", "LX is missing"),
        ("LX*1~", "LX*one~", "segment 8 LX, element 1", "digits alone"),
        ("W12*CC*3*3*0*", "W12*CC*3*3*1*", "segment 10 W12, element 4", "differ otherwise"),
        ("W12*CC*3*3*0*", "W12*CC*3*x*0*", "segment 10 W12, element 3", "not a number"),
        ("W12*CC*3*3*0*", "W12*CC*3*-3*0*", "segment 10 W12, element 3", "not less than nothing"),
        ("W12*CC*3*3*0*", "W12*CC*3*+3*0*", "segment 10 W12, element 3", "no number such as"),
        ("W12*CC*3*3*0*", "W12*CC*3**0*", "segment 10 W12, element 3", "has to be here"),
        ("W12*CC*3*3*0*", "W12*C*3*3*0*", "segment 10 W12, element 1", "is 1 characters"),
        ("W12*CC*3*3*0*", "W12*CC*3>4*3*0*", "segment 10 W12, element 2", "without components"),
        ("*SK*MUG*L7", "", "segment 10 W12, element 8", "an item has to be named"),
        ("*SK*MUG*L7", "**MUG*L7", "segment 10 W12, element 7", "has to be here, as element 8 is"),
        ("*EA**SK*MUG", "*EA*123*SK*MUG", "segment 10 W12, element 6", "the U.P.C. case code has 12"),
        ("LX*2~", "W06*F~LX*2~", "segment 11 W06", "there is one W06"),
    ] {
        assert!(body.contains(from), "{from}");
        assert_told(&x12_problems("SW", "945", &body.replace(from, to)), place, told);
    }
}

pub const RECEIVED: &str = "W17*F*20261129*R100*IN-4*S3~N1*WH*East*92*E1~W07*90*EA**SK*MUG***L7~W13*2*EA*01*L7*XX~W13*10*EA*02~W07*1.5*KG**SK*TEA~W14*91.5~";

#[test]
fn a_warehouse_tells_what_it_took_in() {
    let Document::Received(received) = x12_document("RE", "944", RECEIVED) else { panic!() };
    assert_eq!((received.document.as_deref(), received.receipt.as_str()), (Some("IN-4"), "R100"));
    assert_eq!((received.received_on, received.total), (date(2026, 11, 29), Some(quantity("91.5"))));
    let [mug, tea] = &received.lines[..] else { panic!() };
    assert_eq!(
        (mug.quantity, mug.lot.as_deref(), tea.quantity),
        (quantity("90"), Some("L7"), quantity("1.5"))
    );
    let conditions: Vec<_> =
        mug.exceptions.iter().map(|exception| (exception.condition, exception.quantity)).collect();
    assert_eq!(conditions, [(Condition::Damaged, quantity("2")), (Condition::Short, quantity("10"))]);
}

#[test]
fn what_is_wrong_with_a_receipt_is_named_by_its_place() {
    for (from, to, place, told) in [
        ("W17*F*20261129", "W17*F*2611", "segment 2 W17, element 2", "is 4 characters"),
        ("*R100*", "**", "segment 2 W17, element 3", "receipt number has to be here"),
        ("W07*90*EA", "W07*90*", "segment 4 W07, element 2", "unit has to be here"),
        ("W13*2*EA*01*L7*XX", "W13*2*EA*01*L7", "segment 5 W13, element 5", "has a reason of damage"),
        ("W13*10*EA*02", "W13*10*EA*77", "segment 6 W13, element 3", "no condition known here"),
        ("N1*WH*East*92*E1~", "W13*1*EA*02~", "segment 3 W13", "W07 is missing"),
        ("W14*91.5", "W14*1.0000001", "segment 8 W14, element 1", "too precise"),
    ] {
        assert!(RECEIVED.contains(from), "{from}");
        assert_told(&x12_problems("RE", "944", &RECEIVED.replace(from, to)), place, told);
    }
}

pub const ADJUSTED: &str = "W15*20261129*A17*OURS~N1*WH**92*E1~W19*AA*-2*EA**SK*MUG**~W19*AU*-1234567.125*KG**SK*TEA***L9*******TR~W19*ZZ*3*EA*012345678905~";

#[test]
fn a_warehouse_tells_what_it_found_otherwise() {
    let body = ADJUSTED;
    let Document::Adjusted(adjusted) = x12_document("AW", "947", body) else { panic!() };
    assert_eq!((adjusted.date, adjusted.our_number.as_deref()), (date(2026, 11, 29), Some("OURS")));
    let lines: Vec<_> =
        adjusted.lines.iter().map(|line| (&line.why, line.change, line.lot.as_deref())).collect();
    let other = Why::Other("ZZ".to_owned());
    assert_eq!(
        lines,
        [
            (&Why::Counted, quantity("-2"), None),
            (&Why::DamagedHere, quantity("-1234567.125"), Some("L9")),
            (&other, quantity("3"), None)
        ]
    );
    for (from, to, place, told) in [
        ("W19*AA*-2*", "W19*AA*0*", "segment 4 W19, element 2", "more or less than nothing"),
        ("W19*AA*-2*", "W19*A*-2*", "segment 4 W19, element 1", "reason has 2"),
        ("W15*20261129", "W15*", "segment 2 W15, element 1", "has to be here"),
        ("W19", "W18", "segment 6 W19", "at least one W19"),
    ] {
        assert_told(&x12_problems("AW", "947", &body.replace(from, to)), place, told);
    }
}

pub const STOCK: &str = "BIA*00*MB*R1*20261129*1015~REF*IA*1~N1*WH*East*92*E1~LIN*1*SK*MUG*UP*012345678905~PID*F****Mug~QTY*17*12*EA~QTY*33*10*EA~\
    LIN**SK*TEA~QTY*99*0.5*KG~CTT*2~";

#[test]
fn a_holder_tells_what_there_is() {
    let Document::Inventory(inventory) = x12_document("IB", "846", STOCK) else { panic!() };
    assert_eq!((&inventory.report, inventory.time), (&InventoryReport::Holder, Some(time(10, 15, 0, 0))));
    assert_eq!(
        inventory.warehouse().and_then(|party| party.code.as_ref()).map(|code| code.code.as_str()),
        Some("E1")
    );
    let [mug, tea] = &inventory.lines[..] else { panic!() };
    assert_eq!((mug.item.sku(), mug.item.of_kind("UP")), (Some("MUG"), Some("012345678905")));
    assert_eq!((&mug.stocks[0].kind, &mug.stocks[1].kind), (&StockKind::OnHand, &StockKind::Available));
    assert_eq!(
        (&tea.stocks[0].kind, tea.stocks[0].quantity),
        (&StockKind::Other("99".to_owned()), quantity("0.5"))
    );
    for (from, to, place, told) in [
        ("BIA*00*", "BIA*04*", "segment 2 BIA, element 1", "no purpose known here: 00"),
        ("CTT*2", "CTT*3", "segment 11 CTT, element 1", "there are 2"),
        ("LIN*1*SK*MUG*UP*012345678905~", "", "segment 6 QTY", "LIN is missing"),
        ("LIN**SK*TEA", "LIN*2", "segment 9 LIN, element 3", "an item has to be named"),
        ("*1015~", "*2575~", "segment 2 BIA, element 5", "no time such as 1015"),
    ] {
        assert!(STOCK.contains(from), "{from}");
        assert_told(&x12_problems("IB", "846", &STOCK.replace(from, to)), place, told);
    }
}

pub const ORDER: &str = "BEG*00*SA*PO55**20261127~REF*IA*1~DTM*010*20261130~DTM*002*20261203~DTM*001*20261220~N1*ST*Ada L~N3*1 Mill Road*Flat 2~\
    N4*Albany*NY*12207*US~PO1*1*3*EA*129.55*WE*SK*MUG*UP*012345678905~PO1**0.5*KG***SK*TEA~DTM*010*20270101~CTT*2~";

#[test]
fn a_customer_orders() {
    let Document::PurchaseOrder(order) = x12_document("PO", "850", ORDER) else { panic!() };
    assert_eq!((order.reference.as_str(), order.placed_on), ("PO55", date(2026, 11, 27)));
    assert_eq!((order.ship_on, order.cancel_after), (Some(date(2026, 11, 30)), Some(date(2026, 12, 20))));
    assert_eq!(order.ship_to().as_deref(), Some("US-NY"));
    assert_eq!(order.recipient().unwrap().address, ["1 Mill Road", "Flat 2"]);
    let [mug, tea] = &order.lines[..] else { panic!() };
    assert_eq!(
        (mug.item.sku(), mug.price.as_deref(), mug.basis.as_deref()),
        (Some("MUG"), Some("129.55"), Some("WE"))
    );
    assert_eq!(
        (tea.quantity, tea.unit.as_deref(), tea.price.as_deref()),
        (quantity("0.5"), Some("KG"), None)
    );
    for (from, to, place, told) in [
        ("BEG*00*", "BEG*01*", "segment 2 BEG, element 1", "no purpose known here: 00"),
        ("*3*EA*129.55", "*0*EA*129.55", "segment 10 PO1, element 2", "more than nothing"),
        ("*3*EA*129.55", "*3*EA*12,55", "segment 10 PO1, element 4", "no price such as"),
        ("*SK*MUG*UP*", "*SK**UP*", "segment 10 PO1, element 7", "has to be here, as element 6 is"),
        ("PO1", "PO3", "segment 13 PO1", "at least one PO1"),
        ("BEG*00*SA*PO55**20261127~", "", "segment 2 BEG", "is REF, it has to be BEG"),
    ] {
        assert!(ORDER.contains(from), "{from}");
        assert_told(&x12_problems("PO", "850", &ORDER.replace(from, to)), place, told);
    }
}
