//! Keys: what everything behind the log is found by, and the order it is kept in.
//!
//! A key's bytes sort as the key does, on every engine, so that ranges mean the same in memory and in a table.

use serde::{Deserialize, Serialize};

use crate::{
    ConsignorId, CountId, DiscrepancyId, HoldId, Instant, ItemId, ListingId, LocationId, LotId, OrderId,
    PurchaseId, ReturnId, Seq, SessionId, SystemId, TransferId,
};

/// The state of stock at a location, and the outside parties that stock comes from and goes to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum StockState {
    /// Free to be promised.
    Available = 1,
    /// Kept for holds.
    Reserved = 2,
    /// Promised to orders.
    Committed = 3,
    /// Broken.
    Damaged = 4,
    /// Waiting to be looked at.
    QualityControl = 5,
    /// Kept back for facts.
    SafetyStock = 6,
    /// On its way to this location; not on hand.
    InTransit = 7,
    /// Outside: where receipts come from. May be negative.
    Supplier = 20,
    /// Outside: where shipments go to. May be negative.
    Customer = 21,
    /// Outside: what counts and adjustments found or lost. May be negative.
    Adjustment = 22,
    /// Outside: assembly and disassembly. May be negative.
    Production = 23,
}

impl StockState {
    /// The states that `on_hand` is the sum of.
    pub const ON_HAND: [Self; 6] = [
        Self::Available,
        Self::Reserved,
        Self::Committed,
        Self::Damaged,
        Self::QualityControl,
        Self::SafetyStock,
    ];

    /// The states that a physical count sees.
    pub const PHYSICAL: [Self; 4] = [Self::Available, Self::Reserved, Self::Committed, Self::SafetyStock];

    /// Every state, in the order of their codes.
    pub const ALL: [Self; 11] = [
        Self::Available,
        Self::Reserved,
        Self::Committed,
        Self::Damaged,
        Self::QualityControl,
        Self::SafetyStock,
        Self::InTransit,
        Self::Supplier,
        Self::Customer,
        Self::Adjustment,
        Self::Production,
    ];

    /// An account of an outside party?
    pub const fn is_party(self) -> bool {
        self as u8 >= 20
    }

    /// Seen by a physical count?
    pub const fn is_physical(self) -> bool {
        matches!(self, Self::Available | Self::Reserved | Self::Committed | Self::SafetyStock)
    }

    /// The state of a code, as kept in tables.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| *state as u8 == code)
    }

    /// Its name in the API, in exports and in the `state` column.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Reserved => "reserved",
            Self::Committed => "committed",
            Self::Damaged => "damaged",
            Self::QualityControl => "quality_control",
            Self::SafetyStock => "safety_stock",
            Self::InTransit => "in_transit",
            Self::Supplier => "supplier",
            Self::Customer => "customer",
            Self::Adjustment => "adjustment",
            Self::Production => "production",
        }
    }
}

/// One cell: the place of one quantity.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize)]
pub struct CellKey {
    /// Of what.
    pub item: ItemId,
    /// Where; 0 for an outside party.
    pub location: LocationId,
    /// In what state, or whose account.
    pub state: StockState,
    /// Of which lot or serial; 0 where unused.
    pub lot: LotId,
    /// Whose goods; 0 the tenant's.
    pub consignor: ConsignorId,
}

impl CellKey {
    /// The cell of untracked goods of the tenant's own.
    pub const fn new(item: ItemId, location: LocationId, state: StockState) -> Self {
        Self { item, location, state, lot: LotId(0), consignor: ConsignorId(0) }
    }

    /// The cell of some of the tenant's own goods that are told apart, or not (lot 0).
    pub const fn of(item: ItemId, location: LocationId, lot: LotId, state: StockState) -> Self {
        Self { lot, ..Self::new(item, location, state) }
    }

    /// The newest thing that it is a cell of.
    pub(crate) fn newest(&self) -> Seq {
        self.item.0.max(self.location.0).max(self.lot.0).max(self.consignor.0)
    }

    /// An outside party's account.
    pub const fn party(item: ItemId, party: StockState) -> Self {
        Self::new(item, LocationId(0), party)
    }
}

/// What time does by itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize)]
pub enum Due {
    /// A hold ends.
    Hold(HoldId),
    /// A lot expires where it lies.
    Lot(LotId, LocationId),
}

impl Due {
    /// Its kind and its two numbers, as kept in keys.
    const fn parts(self) -> (u8, u64, u64) {
        match self {
            Self::Hold(hold) => (0, hold.0, 0),
            Self::Lot(lot, location) => (1, lot.0, location.0),
        }
    }

    const fn from_parts(kind: u8, first: u64, second: u64) -> Option<Self> {
        match (kind, second) {
            (0, 0) => Some(Self::Hold(HoldId(first))),
            (1, _) => Some(Self::Lot(LotId(first), LocationId(second))),
            _ => None,
        }
    }
}

/// The key of anything behind the log but cells.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Key {
    /// An item.
    Item(ItemId),
    /// The item of a SKU or an alias of it.
    Sku(String),
    /// A location.
    Location(LocationId),
    /// The location of a code.
    LocationCode(String),
    /// All locations in the order of allocation.
    Sites,
    /// A system.
    System(SystemId),
    /// The system of a name.
    SystemName(String),
    /// A listing.
    Listing(ListingId),
    /// The listing of a remote id.
    RemoteListing(SystemId, String),
    /// A listing of an item.
    ListingOf(ItemId, ListingId),
    /// All rules.
    Rules,
    /// An order.
    Order(OrderId),
    /// What became of an outside document.
    Document(SystemId, String),
    /// A document that cannot be applied yet.
    Waiting(SystemId, String),
    /// A hold.
    Hold(HoldId),
    /// What time does by itself at that instant.
    Due(Instant, Due),
    /// A promise at (item, location), by the age of the holder; the number is the line's index. Of a lot or serial where
    /// the item is tracked.
    Promise(ItemId, LocationId, Seq, u32, LotId),
    /// How much of an item is short in all.
    Demand(ItemId),
    /// A short order line, the oldest order first; the number is the line's index.
    Short(ItemId, OrderId, u32),
    /// A count, by the instant it was seen at.
    Count(ItemId, LocationId, Instant, CountId),
    /// The latest instant that any count of an item at a location was seen at.
    Counted(ItemId, LocationId),
    /// How much of an item a document wants that waits.
    Claimed(ItemId, SystemId, String),
    /// An item that has, or had, a tag.
    Tagged(String, ItemId),
    /// A late movement of a cell.
    Late(CellKey, Seq),
    /// A movement that balances a cell of which more left than was there, or takes that back.
    Balanced(CellKey, Seq),
    /// A discrepancy, open or resolved.
    Discrepancy(DiscrepancyId),
    /// The item that a barcode is of; a GTIN in 14 digits.
    Barcode(String),
    /// An item that has, or had, a name that looks like this (see [`crate::look`]).
    Look(String, ItemId),
    /// Items of which one may be another misspelt: their names look like this.
    Twins(String),
    /// An item that has a low-stock level.
    Watched(ItemId),
    /// A movement that corrects or explains an entry.
    CorrectedBy(Seq, Seq),
    /// A transfer.
    Transfer(TransferId),
    /// The transfer of a reference.
    TransferReference(String),
    /// A purchase order.
    Purchase(PurchaseId),
    /// The purchase order of a reference.
    PurchaseReference(String),
    /// What is expected of an item at a location, by the document it is expected by; the number is the line's index.
    Incoming(ItemId, LocationId, Seq, u32),
    /// What of a movement was taken back.
    Reversed(Seq),
    /// A session of counting.
    Session(SessionId),
    /// What was seen of an item in a session.
    Seen(SessionId, ItemId, LotId),
    /// A lot or serial.
    Lot(LotId),
    /// The lot or serial of a name.
    LotCode(ItemId, String),
    /// When a lot expires where it lies, or did.
    Expires(LocationId, LotId),
    /// A kit that an item is, or was, a component of.
    KitOf(ItemId, ItemId),
    /// A return that is expected.
    Return(ReturnId),
    /// Of which item, and of how many of it, a listing was when an order's line was told of it; the number is the line's index. Of order 0
    /// what all lines are of that nothing is kept of: what it was before it was first linked otherwise.
    Meant(OrderId, u32, ListingId),
}

impl Key {
    /// The kind, as kept in tables. Never reused for anything else.
    pub const fn kind(&self) -> u8 {
        match self {
            Self::Item(_) => 1,
            Self::Sku(_) => 2,
            Self::Location(_) => 3,
            Self::LocationCode(_) => 4,
            Self::Sites => 5,
            Self::System(_) => 6,
            Self::SystemName(_) => 7,
            Self::Listing(_) => 8,
            Self::RemoteListing(..) => 9,
            Self::ListingOf(..) => 10,
            Self::Rules => 11,
            Self::Order(_) => 12,
            Self::Document(..) => 13,
            Self::Waiting(..) => 14,
            Self::Hold(_) => 15,
            Self::Due(..) => 16,
            Self::Promise(..) => 17,
            Self::Demand(_) => 18,
            Self::Short(..) => 19,
            Self::Meant(..) => 27,
            Self::Count(..) => 20,
            Self::Late(..) => 21,
            Self::Discrepancy(_) => 22,
            Self::Counted(..) => 23,
            Self::Claimed(..) => 24,
            Self::Tagged(..) => 25,
            Self::Balanced(..) => 26,
            Self::Barcode(_) => 80,
            Self::Look(..) => 81,
            Self::Twins(_) => 82,
            Self::Watched(_) => 83,
            Self::CorrectedBy(..) => 84,
            Self::Transfer(_) => 60,
            Self::TransferReference(_) => 61,
            Self::Purchase(_) => 62,
            Self::PurchaseReference(_) => 63,
            Self::Incoming(..) => 64,
            Self::Reversed(_) => 65,
            Self::Return(_) => 66,
            Self::Session(_) => 70,
            Self::Seen(..) => 71,
            Self::Lot(_) => 40,
            Self::LotCode(..) => 41,
            Self::Expires(..) => 42,
            Self::KitOf(..) => 43,
        }
    }

    /// Do cards follow from it (see `state`)?
    pub(crate) const fn is_on_cards(&self) -> bool {
        matches!(
            self,
            Self::Item(_)
                | Self::Sku(_)
                | Self::Location(_)
                | Self::LocationCode(_)
                | Self::Rules
                | Self::Demand(_)
        )
    }

    /// The newest thing that it speaks of, by its id; 0 where it speaks of none, or of a position in the log.
    pub(crate) fn newest(&self) -> Seq {
        match self {
            Self::Item(ItemId(id))
            | Self::Location(LocationId(id))
            | Self::System(SystemId(id))
            | Self::Listing(ListingId(id))
            | Self::RemoteListing(SystemId(id), _)
            | Self::Order(OrderId(id))
            | Self::Document(SystemId(id), _)
            | Self::Waiting(SystemId(id), _)
            | Self::Hold(HoldId(id))
            | Self::Demand(ItemId(id))
            | Self::Tagged(_, ItemId(id))
            | Self::Discrepancy(DiscrepancyId(id)) => *id,
            Self::ListingOf(item, listing) => item.0.max(listing.0),
            Self::Promise(item, location, holder, ..) => item.0.max(location.0).max(*holder),
            Self::Short(item, order, _) => item.0.max(order.0),
            Self::Meant(order, _, listing) => listing.0.max(order.0),
            Self::Count(item, location, ..) | Self::Counted(item, location) => item.0.max(location.0),
            Self::Claimed(item, system, _) => item.0.max(system.0),
            Self::Late(cell, _) | Self::Balanced(cell, _) => cell.newest(),
            Self::Incoming(item, location, ..) => item.0.max(location.0),
            Self::Transfer(TransferId(id)) | Self::Purchase(PurchaseId(id)) | Self::Return(ReturnId(id)) => {
                *id
            }
            Self::Lot(LotId(id)) => *id,
            Self::LotCode(ItemId(id), _) => *id,
            Self::Expires(location, lot) => location.0.max(lot.0),
            Self::KitOf(component, kit) => component.0.max(kit.0),
            Self::Watched(ItemId(id)) | Self::Look(_, ItemId(id)) => *id,
            _ => 0,
        }
    }

    /// Bytes that sort as keys of one kind do.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(24);
        match self {
            Self::Sites | Self::Rules => {}
            Self::Item(ItemId(id))
            | Self::Location(LocationId(id))
            | Self::System(SystemId(id))
            | Self::Listing(ListingId(id))
            | Self::Order(OrderId(id))
            | Self::Hold(HoldId(id))
            | Self::Demand(ItemId(id))
            | Self::Discrepancy(DiscrepancyId(id))
            | Self::Transfer(TransferId(id))
            | Self::Purchase(PurchaseId(id))
            | Self::Return(ReturnId(id))
            | Self::Reversed(id)
            | Self::Session(SessionId(id))
            | Self::Lot(LotId(id)) => put(&mut out, *id),
            Self::LotCode(item, code) => {
                put(&mut out, item.0);
                out.extend_from_slice(code.as_bytes());
            }
            Self::Expires(location, lot) => {
                put(&mut out, location.0);
                put(&mut out, lot.0);
            }
            Self::KitOf(component, kit) => {
                put(&mut out, component.0);
                put(&mut out, kit.0);
            }
            Self::Watched(ItemId(id)) => put(&mut out, *id),
            Self::CorrectedBy(corrected, by) => {
                put(&mut out, *corrected);
                put(&mut out, *by);
            }
            Self::Look(look, item) => {
                // No look has control characters in it either.
                out.extend_from_slice(look.as_bytes());
                out.push(0);
                put(&mut out, item.0);
            }
            Self::Barcode(text) | Self::Twins(text) => out.extend_from_slice(text.as_bytes()),
            Self::Sku(text)
            | Self::LocationCode(text)
            | Self::SystemName(text)
            | Self::TransferReference(text)
            | Self::PurchaseReference(text) => {
                out.extend_from_slice(text.as_bytes());
            }
            Self::RemoteListing(system, text)
            | Self::Document(system, text)
            | Self::Waiting(system, text) => {
                put(&mut out, system.0);
                out.extend_from_slice(text.as_bytes());
            }
            Self::ListingOf(item, listing) => {
                put(&mut out, item.0);
                put(&mut out, listing.0);
            }
            Self::Due(at, due) => {
                put_instant(&mut out, *at);
                let (kind, first, second) = due.parts();
                out.push(kind);
                put(&mut out, first);
                put(&mut out, second);
            }
            Self::Promise(item, location, holder, line, lot) => {
                put(&mut out, item.0);
                put(&mut out, location.0);
                put(&mut out, *holder);
                out.extend_from_slice(&line.to_be_bytes());
                put(&mut out, lot.0);
            }
            Self::Incoming(item, location, document, line) => {
                put(&mut out, item.0);
                put(&mut out, location.0);
                put(&mut out, *document);
                out.extend_from_slice(&line.to_be_bytes());
            }
            Self::Meant(order, line, listing) => {
                put(&mut out, order.0);
                out.extend_from_slice(&line.to_be_bytes());
                put(&mut out, listing.0);
            }
            Self::Short(item, order, line) => {
                put(&mut out, item.0);
                put(&mut out, order.0);
                out.extend_from_slice(&line.to_be_bytes());
            }
            Self::Count(item, location, as_of, count) => {
                put(&mut out, item.0);
                put(&mut out, location.0);
                put_instant(&mut out, *as_of);
                put(&mut out, count.0);
            }
            Self::Tagged(tag, item) => {
                // No tag has control characters in it: a longer tag sorts after a shorter one.
                out.extend_from_slice(tag.as_bytes());
                out.push(0);
                put(&mut out, item.0);
            }
            Self::Claimed(item, system, text) => {
                put(&mut out, item.0);
                put(&mut out, system.0);
                out.extend_from_slice(text.as_bytes());
            }
            Self::Counted(item, location) => {
                put(&mut out, item.0);
                put(&mut out, location.0);
            }
            Self::Seen(session, item, lot) => {
                put(&mut out, session.0);
                put(&mut out, item.0);
                put(&mut out, lot.0);
            }
            Self::Late(cell, seq) | Self::Balanced(cell, seq) => {
                put(&mut out, cell.item.0);
                put(&mut out, cell.location.0);
                out.push(cell.state as u8);
                put(&mut out, cell.lot.0);
                put(&mut out, cell.consignor.0);
                put(&mut out, *seq);
            }
        }
        out
    }

    /// The key of a kind and its bytes; none if they are no key of ours.
    pub fn from_bytes(kind: u8, bytes: &[u8]) -> Option<Self> {
        let mut rest = Bytes(bytes);
        let key = match kind {
            1 => Self::Item(ItemId(rest.u64()?)),
            2 => Self::Sku(rest.text()?),
            3 => Self::Location(LocationId(rest.u64()?)),
            4 => Self::LocationCode(rest.text()?),
            5 => Self::Sites,
            6 => Self::System(SystemId(rest.u64()?)),
            7 => Self::SystemName(rest.text()?),
            8 => Self::Listing(ListingId(rest.u64()?)),
            9 => Self::RemoteListing(SystemId(rest.u64()?), rest.text()?),
            10 => Self::ListingOf(ItemId(rest.u64()?), ListingId(rest.u64()?)),
            11 => Self::Rules,
            12 => Self::Order(OrderId(rest.u64()?)),
            13 => Self::Document(SystemId(rest.u64()?), rest.text()?),
            14 => Self::Waiting(SystemId(rest.u64()?), rest.text()?),
            15 => Self::Hold(HoldId(rest.u64()?)),
            16 => Self::Due(rest.instant()?, Due::from_parts(rest.u8()?, rest.u64()?, rest.u64()?)?),
            17 => Self::Promise(
                ItemId(rest.u64()?),
                LocationId(rest.u64()?),
                rest.u64()?,
                rest.u32()?,
                LotId(rest.u64()?),
            ),
            18 => Self::Demand(ItemId(rest.u64()?)),
            19 => Self::Short(ItemId(rest.u64()?), OrderId(rest.u64()?), rest.u32()?),
            27 => Self::Meant(OrderId(rest.u64()?), rest.u32()?, ListingId(rest.u64()?)),
            20 => Self::Count(
                ItemId(rest.u64()?),
                LocationId(rest.u64()?),
                rest.instant()?,
                CountId(rest.u64()?),
            ),
            21 | 26 => {
                let cell = CellKey {
                    item: ItemId(rest.u64()?),
                    location: LocationId(rest.u64()?),
                    state: StockState::from_code(rest.u8()?)?,
                    lot: LotId(rest.u64()?),
                    consignor: ConsignorId(rest.u64()?),
                };
                let seq = rest.u64()?;
                if kind == 21 { Self::Late(cell, seq) } else { Self::Balanced(cell, seq) }
            }
            22 => Self::Discrepancy(DiscrepancyId(rest.u64()?)),
            24 => Self::Claimed(ItemId(rest.u64()?), SystemId(rest.u64()?), rest.text()?),
            25 => {
                let (tag, item) = rest.text_and_item()?;
                Self::Tagged(tag, item)
            }
            80 => Self::Barcode(rest.text()?),
            81 => {
                let (look, item) = rest.text_and_item()?;
                Self::Look(look, item)
            }
            82 => Self::Twins(rest.text()?),
            83 => Self::Watched(ItemId(rest.u64()?)),
            84 => Self::CorrectedBy(rest.u64()?, rest.u64()?),
            23 => Self::Counted(ItemId(rest.u64()?), LocationId(rest.u64()?)),
            60 => Self::Transfer(TransferId(rest.u64()?)),
            61 => Self::TransferReference(rest.text()?),
            62 => Self::Purchase(PurchaseId(rest.u64()?)),
            63 => Self::PurchaseReference(rest.text()?),
            64 => Self::Incoming(ItemId(rest.u64()?), LocationId(rest.u64()?), rest.u64()?, rest.u32()?),
            65 => Self::Reversed(rest.u64()?),
            66 => Self::Return(ReturnId(rest.u64()?)),
            70 => Self::Session(SessionId(rest.u64()?)),
            71 => Self::Seen(SessionId(rest.u64()?), ItemId(rest.u64()?), LotId(rest.u64()?)),
            40 => Self::Lot(LotId(rest.u64()?)),
            41 => Self::LotCode(ItemId(rest.u64()?), rest.text()?),
            42 => Self::Expires(LocationId(rest.u64()?), LotId(rest.u64()?)),
            43 => Self::KitOf(ItemId(rest.u64()?), ItemId(rest.u64()?)),
            _ => return None,
        };
        rest.0.is_empty().then_some(key)
    }
}

fn put(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_be_bytes());
}

/// Flips the sign bit, so that instants before 1970 sort first.
fn put_instant(out: &mut Vec<u8>, at: Instant) {
    put(out, at.micros().cast_unsigned() ^ (1 << 63));
}

struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn u64(&mut self) -> Option<u64> {
        let (head, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_be_bytes(*head))
    }

    fn u32(&mut self) -> Option<u32> {
        let (head, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*head))
    }

    fn u8(&mut self) -> Option<u8> {
        let (head, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*head)
    }

    fn instant(&mut self) -> Option<Instant> {
        self.u64().map(|bits| Instant::from_micros((bits ^ (1 << 63)).cast_signed()))
    }

    /// Text that ends with a zero byte, and an item behind it.
    fn text_and_item(&mut self) -> Option<(String, ItemId)> {
        let (text, id) = self.0.split_last_chunk::<8>()?;
        self.0 = &[];
        let text = std::str::from_utf8(text.strip_suffix(&[0])?).ok()?.to_owned();
        Some((text, ItemId(u64::from_be_bytes(*id))))
    }

    fn text(&mut self) -> Option<String> {
        let text = std::str::from_utf8(self.0).ok()?.to_owned();
        self.0 = &[];
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_read_back_and_sort_as_keys_do() {
        let cell = CellKey::new(ItemId(1), LocationId(2), StockState::Available);
        let keys = [
            Key::Item(ItemId(7)),
            Key::Sku("MUG".into()),
            Key::Sku("MUG-2".into()),
            Key::Sites,
            Key::Document(SystemId(3), String::new()),
            Key::Document(SystemId(3), "1044".into()),
            Key::Due(Instant::from_micros(-5), Due::Hold(HoldId(1))),
            Key::Due(Instant::from_micros(5), Due::Hold(HoldId(0))),
            Key::Promise(ItemId(1), LocationId(2), 300, 1, LotId(7)),
            Key::Promise(ItemId(1), LocationId(2), 300, 2, LotId(0)),
            Key::Count(ItemId(1), LocationId(2), Instant::from_micros(256), CountId(9)),
            Key::Counted(ItemId(1), LocationId(2)),
            Key::Claimed(ItemId(1), SystemId(2), "1044".into()),
            Key::Tagged("tea".into(), ItemId(900)),
            Key::Tagged("tea towel".into(), ItemId(1)),
            Key::Late(cell, 70_000),
            Key::Balanced(cell, 70_000),
            Key::Barcode("04006381333931".into()),
            Key::Look("tea".into(), ItemId(900)),
            Key::Look("tea0".into(), ItemId(1)),
            Key::Twins("85123a".into()),
            Key::Watched(ItemId(3)),
            Key::CorrectedBy(7, 300),
            Key::Transfer(TransferId(9)),
            Key::TransferReference("T-1".into()),
            Key::Purchase(PurchaseId(9)),
            Key::PurchaseReference("PO-1".into()),
            Key::Incoming(ItemId(1), LocationId(2), 255, 9),
            Key::Incoming(ItemId(1), LocationId(2), 256, 1),
            Key::Reversed(70_000),
            Key::Session(SessionId(3)),
            Key::Seen(SessionId(3), ItemId(300), LotId(0)),
            Key::Seen(SessionId(3), ItemId(300), LotId(9)),
            Key::Seen(SessionId(4), ItemId(1), LotId(0)),
            Key::Lot(LotId(5)),
            Key::LotCode(ItemId(1), "L1".into()),
            Key::Expires(LocationId(3), LotId(4)),
            Key::KitOf(ItemId(1), ItemId(2)),
            Key::Return(ReturnId(9)),
            Key::Meant(OrderId(0), 0, ListingId(3)),
            Key::Meant(OrderId(70_000), 2, ListingId(3)),
        ];
        for key in &keys {
            assert_eq!(Key::from_bytes(key.kind(), &key.bytes()).as_ref(), Some(key));
        }
        for pair in keys.windows(2).filter(|pair| pair[0].kind() == pair[1].kind()) {
            assert!(pair[0] < pair[1] && pair[0].bytes() < pair[1].bytes(), "{pair:?}");
        }
        assert_eq!(Key::from_bytes(1, &[0; 9]), None);
        assert_eq!(Key::from_bytes(200, &[]), None);
    }
}
