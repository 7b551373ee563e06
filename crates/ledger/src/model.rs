//! What the ledger knows of things: the values behind the keys of [`crate::key`].
//!
//! Each value is folded from entries alone and is true at the `seq` kept beside it.

mod mode;
mod publication;
mod supply;

use serde::{Deserialize, Serialize};

pub use self::mode::*;
pub use self::publication::*;
pub use self::supply::*;
use crate::command::Threshold;
use crate::{
    DiscrepancyId, HoldId, Instant, ItemId, LocationId, LotId, Money, OrderId, Precision, Quantity, RuleId,
    Seq, SystemId, TransferId,
};

/// What is stocked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Item {
    /// Its name for machines and scanners: exact, case included.
    pub sku: String,
    /// Its name for people.
    pub name: String,
    /// What one of it is called: `each`, `kg`, `m`.
    pub unit: String,
    /// How many decimals are accepted and shown.
    pub precision: Precision,
    /// Codes on the goods.
    pub barcodes: Vec<String>,
    /// Groups it belongs to, for rules.
    pub tags: Vec<String>,
    /// What one of it is built of, where it is a kit; empty where it is none.
    pub kit: Vec<Component>,
    /// Which parts of its stock are told apart.
    pub tracking: Tracking,
    /// How far requests may go beyond what is available.
    pub beyond: Beyond,
    /// Other names it is found by: SKUs it had, and those of items merged into it. Once it is merged itself: the
    /// names it had then.
    pub aliases: Vec<String>,
    /// How it is packed: a case, a pallet.
    pub packs: Vec<Pack>,
    /// When it is low.
    pub low_stock: LowStock,
    /// No longer bought or sold: requests for new stock or new promises of it are refused. Facts are not.
    pub archived: bool,
    /// The items that were merged into it, the first first.
    pub merged: Vec<Merged>,
    /// The item it was merged into. It holds nothing since, and its names are that one's.
    pub merged_into: Option<Merged>,
}

impl Item {
    /// An item of which nothing is told but its SKU.
    pub fn new(sku: &str) -> Self {
        Self {
            sku: sku.to_owned(),
            name: sku.to_owned(),
            unit: "each".to_owned(),
            precision: Precision::WHOLE,
            barcodes: Vec::new(),
            tags: Vec::new(),
            kit: Vec::new(),
            tracking: Tracking::None,
            beyond: Beyond::default(),
            aliases: Vec::new(),
            packs: Vec::new(),
            low_stock: LowStock::default(),
            archived: false,
            merged: Vec::new(),
            merged_into: None,
        }
    }

    /// Its SKU and its aliases.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.sku.as_str()).chain(self.aliases.iter().map(String::as_str))
    }

    /// Its barcodes and those of its packs.
    pub fn codes(&self) -> impl Iterator<Item = &str> {
        let of_packs = self.packs.iter().filter_map(|pack| pack.barcode.as_deref());
        self.barcodes.iter().map(String::as_str).chain(of_packs)
    }

    /// The pack of a name.
    pub fn pack(&self, name: &str) -> Option<&Pack> {
        self.packs.iter().find(|pack| pack.name == name)
    }
}

/// How an item is packed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Pack {
    /// Its name: `case`, `pallet`; each once for an item.
    pub name: String,
    /// How much of the item is in one; more than nothing.
    pub quantity: Quantity,
    /// The code on it.
    pub barcode: Option<String>,
}

/// At or below which quantities an item is low.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct LowStock {
    /// At each site that sells it.
    pub level: Option<Quantity>,
    /// At these locations, whatever the level is elsewhere.
    pub at: Vec<(LocationId, Quantity)>,
}

impl LowStock {
    /// Is there a level at all?
    pub const fn is_set(&self) -> bool {
        self.level.is_some() || !self.at.is_empty()
    }

    /// The level that was set for a location itself.
    pub fn set_at(&self, location: LocationId) -> Option<Quantity> {
        self.at.iter().find(|(other, _)| *other == location).map(|(_, level)| *level)
    }
}

/// Two items became one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Merged {
    /// The other.
    pub item: ItemId,
    /// When.
    pub at: Instant,
}

/// How far requests for an item may go beyond what is available: how much of it may be short in all orders together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Beyond {
    /// Once it is there.
    pub backorder_limit: Quantity,
    /// Before it is there.
    pub preorder_limit: Quantity,
    /// From when it is there; none: always.
    pub available_from: Option<Instant>,
}

/// What a kit is built of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Component {
    /// Of what.
    pub item: ItemId,
    /// How much of it in one kit; more than nothing.
    pub quantity: Quantity,
}

/// Which parts of an item's stock are told apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tracking {
    /// None: one is as good as another.
    #[default]
    None,
    /// Each lot.
    Lots,
    /// Each piece.
    Serials,
}

/// Some of an item that is told apart from the rest: a lot, or a single piece with its serial number.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Lot {
    /// Of what.
    pub item: ItemId,
    /// Its name on the goods: exact, case included.
    pub code: String,
    /// The last day it may be sold on, where it lies.
    pub expires: Option<jiff::civil::Date>,
    /// Called back: none of it may be sold.
    pub recalled: bool,
    /// Since when, while it is: before that it could be sold.
    pub recalled_at: Option<Instant>,
    /// The lot that a serial is of. It ends and is called back with it.
    pub of: Option<LotId>,
    /// Where pieces are told apart: is it one of them, rather than a lot that they are of? None until it is named as either.
    pub is_piece: Option<bool>,
}

impl Lot {
    /// What holds of it with the lot that it is of, where it is a piece of one.
    #[must_use]
    pub fn within(mut self, of: Option<&Self>) -> Self {
        let Some(of) = of else { return self };
        self.expires = [self.expires, of.expires].into_iter().flatten().min();
        self.recalled_at = [self.recalled_at, of.recalled_at].into_iter().flatten().min();
        self.recalled |= of.recalled;
        self
    }
}

/// Where stock is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Location {
    /// Its short name: exact, case included.
    pub code: String,
    /// Its name for people.
    pub name: String,
    /// May orders be allocated here?
    pub sellable: bool,
    /// Orders are allocated from the lowest rank up.
    pub rank: u32,
    /// The location it is a part of: a site has none, a zone a site, a bin a zone or site.
    pub parent: Option<LocationId>,
    /// Its IANA time zone, such as `Europe/Berlin`; none: its parent's, and UTC at the top.
    pub time_zone: Option<String>,
    /// The groups it is in itself, sorted, each once, for rules. What is inside it is in them too.
    pub groups: Vec<String>,
}

impl Location {
    /// A site of which nothing is told but its code.
    pub fn new(code: &str) -> Self {
        Self {
            code: code.to_owned(),
            name: code.to_owned(),
            sellable: true,
            rank: 100,
            parent: None,
            time_zone: None,
            groups: Vec::new(),
        }
    }
}

/// Anything connected, as far as stock is concerned. Addresses and credentials are not the ledger's business.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct System {
    /// What people call it.
    pub name: String,
    /// Which channel speaks with it: `vendure`, `shop`, `file`.
    pub kind: String,
    /// Its stock locations beside ours.
    pub locations: Vec<LocationMapping>,
    /// Nothing is pushed while true.
    pub paused: bool,
    /// How it is kept equal.
    pub mode: Mode,
    /// How what it tells of its stock is taken, where it is master.
    pub inbound: Inbound,
    /// How near to the goods it is; none where nobody said.
    pub role: Option<Role>,
    /// How far it is connected.
    pub stage: Stage,
    /// Who gives it the orders that it ships.
    pub gets_orders: GetsOrders,
}

/// Who gives a system the orders that are allocated where it is master.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GetsOrders {
    /// Somebody else does, or it asks for them: nothing is sent to it.
    #[default]
    ByItself,
    /// Onhand sends them, and follows what becomes of each.
    FromOnhand,
}

impl GetsOrders {
    /// Its name, as typed and told.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ByItself => "by_itself",
            Self::FromOnhand => "from_onhand",
        }
    }
}

/// How the absolute quantities that a system tells are taken: its snapshots.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Inbound {
    /// What its numbers mean.
    pub meaning: Meaning,
    /// What it means that a snapshot of a whole location does not name an item.
    pub absent: Absent,
    /// A snapshot that is of a later time than its documents are known to waits for these, so many seconds at most; none: as
    /// long as it takes.
    pub wait_seconds: Option<u32>,
    /// A snapshot that would change more than so many percent of the stock it speaks of is held for a person; 100: none is.
    pub hold_above_percent: u8,
    /// A snapshot of a whole location with fewer than so many percent of the rows of the one before is held for a person; 0:
    /// none is.
    pub hold_below_rows_percent: u8,
}

impl Default for Inbound {
    fn default() -> Self {
        Self {
            meaning: Meaning::Physical,
            absent: Absent::Unknown,
            wait_seconds: Some(900),
            hold_above_percent: 30,
            hold_below_rows_percent: 80,
        }
    }
}

impl System {
    /// May anything be sent to it?
    pub fn is_sent_to(&self) -> bool {
        self.stage == Stage::Live && !self.paused
    }
}

/// What a system is to a business. The first are the nearest to the goods: what they say of them is best known.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A warehouse's own system.
    Wms,
    /// A warehouse of somebody else, who keeps its stock.
    ThreePl,
    /// The tills of a store.
    Pos,
    /// The books of a business.
    Erp,
    /// A shop of one's own.
    Shop,
    /// A shop of many sellers.
    Marketplace,
    /// Files that come and go.
    File,
}

impl Role {
    /// Every role there is, the nearest to the goods first.
    pub const ALL: [Self; 7] =
        [Self::Wms, Self::ThreePl, Self::Pos, Self::Erp, Self::Shop, Self::Marketplace, Self::File];

    /// Its name, as typed and told.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wms => "wms",
            Self::ThreePl => "3pl",
            Self::Pos => "pos",
            Self::Erp => "erp",
            Self::Shop => "shop",
            Self::Marketplace => "marketplace",
            Self::File => "file",
        }
    }
}

/// What a system's number of its stock means.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Meaning {
    /// Goods on the shelf, whatever was ordered.
    Physical,
    /// Goods on the shelf less what its own orders had set aside then.
    NetOfOwnOrders,
}

/// What it means that a snapshot of a whole location does not name an item.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Absent {
    /// There is none of it.
    Zero,
    /// Nothing is said of it.
    Unknown,
}

/// How far a system is connected.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It is being connected: neither read nor written.
    Connecting,
    /// It is read and compared; nothing is pushed.
    Watching,
    /// It is kept equal.
    #[default]
    Live,
}

/// A remote location and ours behind it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LocationMapping {
    /// The system's id of the location.
    pub remote_id: String,
    /// Ours.
    pub location: LocationId,
}

/// A system's own name for something sellable.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Listing {
    /// Whose.
    pub system: SystemId,
    /// Its id over there.
    pub remote_id: String,
    /// Its SKU over there, if it has one.
    pub remote_sku: Option<String>,
    /// What it sells of ours; none while unmapped.
    pub item: Option<ItemId>,
    /// How many units of the item one of the listing is: 1, or 6 for a pack of six. Whole, at least 1.
    pub multiplier: u32,
    /// What an adaptive rule keeps back; none until it was sized.
    pub buffer: Option<Box<BufferSize>>,
}

/// Who is master of the stock on hand of some items at some locations.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ownership {
    /// The location it speaks of; none: every one (or those of `group`).
    pub location: Option<LocationId>,
    /// The group of locations it speaks of, where no location is named.
    pub group: Option<String>,
    /// The item it speaks of; none: every one (or those of `tag`).
    pub item: Option<ItemId>,
    /// The tag it speaks of, where no item is named.
    pub tag: Option<String>,
    /// The master.
    pub master: SystemId,
}

impl Ownership {
    /// What it speaks of: there is one rule for each.
    pub fn scope(&self) -> (Option<LocationId>, Option<&str>, Option<ItemId>, Option<&str>) {
        (self.location, self.group.as_deref(), self.item, self.tag.as_deref())
    }
}

/// Locations that an order may be allocated from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Source {
    /// One.
    Location(LocationId),
    /// Those of a group, by rank, then by age.
    Group(String),
}

/// Which locations an order is allocated from.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Allocation {
    /// Whose orders it speaks of; none: those of every system without a rule of its own.
    pub system: Option<SystemId>,
    /// In the order they are asked; none: all that sell, by rank. One that is there twice, by a group or itself, is asked
    /// where it comes first.
    pub locations: Vec<Source>,
    /// The same for orders that go to a region, the nearest first. The most exact region counts: `DE-HE` before `DE`.
    pub regions: Vec<(String, Vec<Source>)>,
    /// Do the other locations that sell not come after those named?
    pub only_these: bool,
    /// How parcels are made.
    pub parcels: Parcels,
    /// Must an order leave from one location? What that does not have is short.
    pub whole: bool,
}

/// How an order is divided between locations that could all serve it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Parcels {
    /// A line comes from the first location that has all of it, else from each in their order.
    #[default]
    WholeLines,
    /// Each location in their order gives what it has.
    InOrder,
    /// All lines together come from as few locations as possible; of equally few, from the first in their order.
    Fewest,
}

/// All rules, each under the id of the entry that set it first.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Rules {
    /// Which locations orders are allocated from.
    pub allocation: Vec<(RuleId, Allocation)>,
    /// Who is master of what.
    pub ownership: Vec<(RuleId, Ownership)>,
    /// What is shown where.
    pub publication: Vec<(RuleId, Publication)>,
    /// What is not sold at all until somebody lifts it.
    pub stopped: Vec<(RuleId, SellingStop)>,
    /// Nothing is pushed to any system while there.
    pub pushing_stopped: Option<PushingStopped>,
}

/// Nothing is pushed to any system. Who said so and why is in the record of its entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PushingStopped {
    /// Its entry.
    pub seq: Seq,
    /// Since when.
    pub since: Instant,
}

/// The tree of locations. Its tops are the sites; orders are allocated from those that sell, by rank, then by age.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Sites {
    /// Rank and site, sorted; only sellable ones.
    pub sellable: Vec<(u32, LocationId)>,
    /// Every location, oldest first.
    pub all: Vec<LocationId>,
    /// The zones and bins, sorted.
    pub parts: Vec<Part>,
    /// The locations that are in groups themselves, sorted, with these.
    pub grouped: Vec<(LocationId, Vec<String>)>,
}

/// A location inside another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Part {
    /// What it is a part of.
    pub parent: LocationId,
    /// The lowest is taken from first.
    pub rank: u32,
    /// Itself.
    pub location: LocationId,
    /// May orders be allocated here (and below)?
    pub sellable: bool,
}

impl Sites {
    /// The locations directly inside another, in the order they are taken from.
    pub fn inside(&self, parent: LocationId) -> &[Part] {
        let first = self.parts.partition_point(|part| part.parent < parent);
        let count = self.parts[first..].partition_point(|part| part.parent == parent);
        &self.parts[first..first + count]
    }

    /// A location and all that is inside it, in the order they are taken from; only what sells, if asked so.
    pub fn below(&self, location: LocationId, only_sellable: bool) -> Vec<LocationId> {
        let mut found = vec![location];
        let mut next = 0;
        while let Some(parent) = found.get(next).copied() {
            let inside = self.inside(parent).iter().filter(|part| part.sellable || !only_sellable);
            found.extend(inside.map(|part| part.location));
            next += 1;
        }
        found
    }

    /// The location that another is directly inside of.
    pub fn parent(&self, location: LocationId) -> Option<LocationId> {
        self.parts.iter().find(|part| part.location == location).map(|part| part.parent)
    }

    /// A location, what it is inside of, and so on up to its site.
    pub fn above(&self, location: LocationId) -> Vec<LocationId> {
        let mut found = vec![location];
        while let Some(parent) = found.last().and_then(|last| self.parent(*last)) {
            found.push(parent);
        }
        found
    }

    /// The groups that a location is in itself.
    pub fn groups_of(&self, location: LocationId) -> &[String] {
        let found = self.grouped.binary_search_by_key(&location, |(other, _)| *other);
        found.map_or(&[], |index| &self.grouped[index].1)
    }

    /// The locations that are in a group themselves.
    pub fn members<'a>(&'a self, group: &'a str) -> impl Iterator<Item = LocationId> + 'a {
        let is_in = move |groups: &[String]| groups.iter().any(|other| other == group);
        self.grouped.iter().filter(move |(_, groups)| is_in(groups)).map(|(location, _)| *location)
    }

    /// Is a location another one, or somewhere inside it?
    pub fn is_in(&self, location: LocationId, outer: LocationId) -> bool {
        location == outer || (!self.parts.is_empty() && self.above(location).contains(&outer))
    }

    /// Is what lies in a zone or bin sold from what that is a part of?
    pub fn sells_beside(&self, location: LocationId) -> bool {
        self.parts.iter().find(|part| part.location == location).is_none_or(|part| part.sellable)
    }

    /// Does a location sell, and all that it is inside of? What lies elsewhere is promised to nobody.
    pub fn sells(&self, location: LocationId) -> bool {
        let mut here = location;
        while let Some(part) = self.parts.iter().find(|part| part.location == here) {
            if !part.sellable {
                return false;
            }
            here = part.parent;
        }
        self.sellable.iter().any(|(_, site)| *site == here)
    }

    /// The tree with a location as it is now.
    pub(crate) fn put(&mut self, id: LocationId, location: &Location) {
        self.sellable.retain(|(_, other)| *other != id);
        self.parts.retain(|part| part.location != id);
        self.grouped.retain(|(other, _)| *other != id);
        if !location.groups.is_empty() {
            let at = self.grouped.partition_point(|(other, _)| *other < id);
            self.grouped.insert(at, (id, location.groups.clone()));
        }
        let Location { rank, sellable, .. } = *location;
        match location.parent {
            Some(parent) => {
                let part = Part { parent, rank, location: id, sellable };
                let at = self.parts.partition_point(|other| *other < part);
                self.parts.insert(at, part);
            }
            None if sellable => {
                self.sellable.push((rank, id));
                self.sellable.sort_unstable();
            }
            None => {}
        }
        if !self.all.contains(&id) {
            self.all.push(id);
        }
    }
}

/// So much at such a location.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct At {
    /// Where.
    pub location: LocationId,
    /// Of which lot or serial; 0 where the item is not tracked.
    pub lot: LotId,
    /// How much.
    pub quantity: Quantity,
}

/// Demand from a system, in the state it is in now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Order {
    /// Whose order it is; [`SystemId::ONHAND`] for those placed with us.
    pub system: SystemId,
    /// Its name over there (or the one given to us).
    pub document: String,
    /// The version that is applied; 0 while only a shipment has named it.
    pub version: u64,
    /// When it was placed.
    pub placed_at: Instant,
    /// Wholly cancelled.
    pub cancelled: bool,
    /// When it must have left.
    pub ship_by: Option<Instant>,
    /// The region it goes to.
    pub ship_to: Option<String>,
    /// The discrepancy that says what is short of it, while something is.
    pub short_told: Option<DiscrepancyId>,
    /// What is wanted.
    pub lines: Vec<OrderLine>,
}

impl Order {
    /// An order that wants nothing yet.
    pub const fn new(system: SystemId, document: String, version: u64, placed_at: Instant) -> Self {
        Self {
            system,
            document,
            version,
            placed_at,
            cancelled: false,
            ship_by: None,
            ship_to: None,
            short_told: None,
            lines: Vec::new(),
        }
    }
}

/// One line of an order. `wanted = allocated + short + shipped`, always.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OrderLine {
    /// Its name in the document.
    pub line: String,
    /// What.
    pub item: ItemId,
    /// How much is wanted: ordered, less what was cancelled.
    pub wanted: Quantity,
    /// Promised and still there, by location.
    pub allocated: Vec<At>,
    /// Wanted and covered by nothing.
    pub short: Quantity,
    /// Of `short`: accepted as a backorder.
    pub backordered: Quantity,
    /// Of `short`: accepted as a preorder.
    pub preordered: Quantity,
    /// What one unit costs, where that was told.
    pub price: Option<Money>,
    /// The lot or serial that is wanted, where one was named.
    pub lot: Option<LotId>,
    /// What of it is promised, and has left, as parts of kits.
    pub build: Build,
    /// Has left, by location.
    pub shipped: Vec<At>,
    /// Came back of what was shipped.
    pub returned: Quantity,
    /// Of `returned`, which lots and serials, where these are told apart.
    pub returned_lots: Vec<(LotId, Quantity)>,
    /// What its own document last said came back.
    pub told_returned: Quantity,
    /// The discrepancy that says that more came back than has left, while its document says so.
    pub over_returned: Option<DiscrepancyId>,
    /// Of `returned`: what moved by the word of its own document, in the order it was told.
    pub returned_by_document: Vec<CameBack>,
    /// What its own document last said has left.
    pub told_shipped: Quantity,
    /// Of `shipped`: what moved by the word of its own document, rather than of a warehouse's shipment, in the order
    /// it was told.
    pub by_document: Vec<ByDocument>,
    /// How much of it each system's shipments have told to have left: one parcel may be told of by several systems, and
    /// by an order's own document too; it moves once.
    pub told: Vec<(SystemId, Quantity)>,
    /// The same of components, beyond the kits in `told` that they make.
    pub told_parts: Vec<(SystemId, ItemId, Quantity)>,
    /// Places whose master will not ship some of it: no more of it is promised there, until goods come in there or
    /// somebody has it allocated anew.
    pub declined: Vec<LocationId>,
}

/// The kits of a line that are built for it when it leaves, rather than taken from assembled ones.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Build {
    /// What one kit is built of, as it was when the line was made; no kit where empty.
    pub recipe: Vec<Component>,
    /// Whole kits promised, by the place they are built at.
    pub built: Vec<At>,
    /// The components promised for them.
    pub components: Vec<ComponentAt>,
    /// The components that left with the line and have not come back.
    pub left: Vec<ComponentAt>,
    /// The components that left of kits of which others have not: a warehouse tells of what it packed, and knows no kits.
    pub begun: Vec<ComponentAt>,
}

impl Build {
    /// How much of a component so many kits take; nothing of what is none.
    pub fn needs(&self, item: ItemId, kits: Quantity) -> Quantity {
        let of_it = self.recipe.iter().find(|component| component.item == item);
        of_it.map_or(Quantity::ZERO, |component| {
            crate::availability::times(component.quantity, kits).unwrap_or(Quantity::MAX_INPUT)
        })
    }

    /// How much of a component has left of kits that are begun.
    pub fn begun_of(&self, item: ItemId) -> Quantity {
        self.begun.iter().filter(|part| part.item == item).map(|part| part.quantity).sum()
    }

    /// How many whole kits so much of each component makes.
    pub fn whole_kits(&self, has: impl Fn(ItemId) -> Quantity) -> Quantity {
        let each = self.recipe.iter().map(|part| has(part.item).micros() / part.quantity.micros());
        Quantity::units(each.min().unwrap_or(0))
    }

    /// So much of a component that had left of begun kits has left with whole ones.
    pub fn absorb(&mut self, item: ItemId, quantity: Quantity) {
        let mut missing = quantity;
        for part in self.begun.clone().into_iter().filter(|part| part.item == item) {
            let quantity = part.quantity.min(missing);
            if quantity.is_positive() {
                ComponentAt::add(&mut self.begun, ComponentAt { quantity: -quantity, ..part });
                ComponentAt::add(&mut self.left, ComponentAt { quantity, ..part });
                missing -= quantity;
            }
        }
    }
}

/// So much of a kit's component at such a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ComponentAt {
    /// Of what.
    pub item: ItemId,
    /// Where.
    pub location: LocationId,
    /// Of which lot or serial; 0 where the item is not tracked.
    pub lot: LotId,
    /// How much.
    pub quantity: Quantity,
}

impl ComponentAt {
    /// Adds to what is of a component at a place, dropping the place when nothing is left.
    pub fn add(places: &mut Vec<Self>, change: Self) {
        let key = |at: &Self| (at.item, at.location, at.lot);
        match places.iter_mut().find(|at| key(at) == key(&change)) {
            Some(at) => at.quantity += change.quantity,
            None => places.push(change),
        }
        places.retain(|at| !at.quantity.is_zero());
    }
}

/// A part of an order's line that left by the word of the order's own document.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ByDocument {
    /// What: the line's item, as it was then.
    pub item: ItemId,
    /// Where from.
    pub location: LocationId,
    /// Of which lot or serial.
    pub lot: LotId,
    /// How much.
    pub quantity: Quantity,
    /// How much of it was not there by our books, and was balanced by an adjustment.
    pub balanced: Quantity,
    /// When we were told, and balanced it.
    pub told_at: Instant,
    /// When it left. A version that takes it back says that it did not leave then.
    pub occurred_at: Instant,
    /// The components that left, where a kit left as these, and how much of each was balanced.
    pub components: Vec<(ComponentAt, Quantity)>,
}

impl ByDocument {
    /// Takes so much of it out, the first of its components first, which must not be more than it is.
    #[must_use]
    pub fn take(&mut self, recipe: &[Component], quantity: Quantity) -> Self {
        let balanced = self.balanced.min(quantity);
        let mut components = Vec::new();
        if !self.components.is_empty() {
            for component in recipe {
                let mut missing =
                    crate::availability::times(component.quantity, quantity).unwrap_or_default();
                for (there, of_it) in self.components.iter_mut().filter(|(at, _)| at.item == component.item) {
                    let part = there.quantity.min(missing);
                    if part.is_positive() {
                        let balanced = (*of_it).min(part);
                        components.push((ComponentAt { quantity: part, ..*there }, balanced));
                        there.quantity -= part;
                        *of_it -= balanced;
                        missing -= part;
                    }
                }
            }
            self.components.retain(|(there, _)| there.quantity.is_positive());
        }
        self.quantity -= quantity;
        self.balanced -= balanced;
        Self { quantity, balanced, components, ..*self }
    }
}

/// A part of an order's line that came back, and where to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CameBack {
    /// What: the line's item, as it was then.
    pub item: ItemId,
    /// How much.
    pub quantity: Quantity,
    /// What of it came back whole.
    pub whole: Vec<At>,
    /// The components of what left as these.
    pub components: Vec<ComponentAt>,
    /// When it came. A version that takes it back says that it did not come then.
    pub occurred_at: Instant,
}

impl CameBack {
    /// Takes so much of it out, the last of it first, which must not be more than it is.
    #[must_use]
    pub fn take(&mut self, recipe: &[Component], quantity: Quantity) -> Self {
        let (mut whole, mut components, mut rest) = (Vec::new(), Vec::new(), quantity);
        for there in self.whole.iter_mut().rev() {
            let part = there.quantity.min(rest);
            there.quantity -= part;
            rest -= part;
            add_at(&mut whole, there.location, there.lot, part);
        }
        for component in recipe {
            let mut missing = crate::availability::times(component.quantity, rest).unwrap_or_default();
            for there in self.components.iter_mut().rev().filter(|there| there.item == component.item) {
                let part = there.quantity.min(missing);
                there.quantity -= part;
                missing -= part;
                ComponentAt::add(&mut components, ComponentAt { quantity: part, ..*there });
            }
        }
        self.whole.retain(|there| there.quantity.is_positive());
        self.components.retain(|there| there.quantity.is_positive());
        self.quantity -= quantity;
        Self { quantity, whole, components, ..*self }
    }
}

/// Goods that a document had brought, were not there any more when it took them back, and were balanced by an adjustment.
/// It ends as far as the document brings goods there after all.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Balanced {
    /// What.
    pub item: ItemId,
    /// Where.
    pub location: LocationId,
    /// Of which lot or serial; 0 where nobody says.
    pub lot: LotId,
    /// How much.
    pub quantity: Quantity,
    /// When it was balanced.
    pub told_at: Instant,
}

impl OrderLine {
    /// A line of which nothing is allocated, short or shipped yet.
    pub fn new(line: String, item: ItemId, wanted: Quantity) -> Self {
        Self {
            line,
            item,
            wanted,
            allocated: Vec::new(),
            short: Quantity::ZERO,
            backordered: Quantity::ZERO,
            preordered: Quantity::ZERO,
            price: None,
            lot: None,
            build: Build::default(),
            shipped: Vec::new(),
            returned: Quantity::ZERO,
            returned_lots: Vec::new(),
            told_returned: Quantity::ZERO,
            over_returned: None,
            returned_by_document: Vec::new(),
            told_shipped: Quantity::ZERO,
            by_document: Vec::new(),
            told: Vec::new(),
            told_parts: Vec::new(),
            declined: Vec::new(),
        }
    }

    /// How many kits are begun: some of their components have left, and not all.
    pub fn begun_kits(&self) -> Quantity {
        let each = self.build.recipe.iter().map(|part| {
            let (begun, each) = (self.build.begun_of(part.item).micros(), part.quantity.micros());
            (begun + each - 1) / each
        });
        Quantity::units(each.max().unwrap_or(0)).min(self.wanted - self.shipped_total())
    }

    /// How much of a component a system's shipments have told to have left, beyond whole kits.
    pub fn told_part(&self, system: SystemId, item: ItemId) -> Quantity {
        let is_it = |(teller, part, _): &&(SystemId, ItemId, Quantity)| (*teller, *part) == (system, item);
        self.told_parts.iter().find(is_it).map_or(Quantity::ZERO, |(.., told)| *told)
    }

    /// A system's shipment tells of so much more of a component.
    pub fn tell_part(&mut self, system: SystemId, item: ItemId, quantity: Quantity) {
        let told = self.told_part(system, item) + quantity;
        self.told_parts.retain(|(teller, part, _)| (*teller, *part) != (system, item));
        self.told_parts.extend((!told.is_zero()).then_some((system, item, told)));
    }

    /// Who has told of all parts of a kit has told of a kit.
    pub fn tell_whole_kits(&mut self) {
        let mut tellers: Vec<SystemId> = self.told_parts.iter().map(|(teller, ..)| *teller).collect();
        tellers.sort_unstable();
        tellers.dedup();
        for teller in tellers {
            let kits = self.build.whole_kits(|item| self.told_part(teller, item));
            for component in self.build.recipe.clone() {
                let parts = self.build.needs(component.item, kits);
                self.tell_part(teller, component.item, -parts);
            }
            self.tell(teller, kits);
        }
    }

    /// How much of it a system's shipments have told to have left.
    pub fn told_by(&self, system: SystemId) -> Quantity {
        self.told.iter().find(|(other, _)| *other == system).map_or(Quantity::ZERO, |(_, told)| *told)
    }

    /// A system's shipment tells of so much more.
    pub fn tell(&mut self, system: SystemId, quantity: Quantity) {
        match self.told.iter_mut().find(|(other, _)| *other == system) {
            Some((_, told)) => *told += quantity,
            None if quantity.is_zero() => {}
            None => self.told.push((system, quantity)),
        }
    }

    /// What was accepted beyond stock is no more than is still short.
    pub fn clip_accepted(&mut self) {
        self.backordered = self.backordered.min(self.short);
        self.preordered = self.preordered.min(self.short - self.backordered);
    }

    /// All that is promised to it, kits to be built included.
    pub fn allocated_total(&self) -> Quantity {
        self.allocated.iter().chain(&self.build.built).map(|at| at.quantity).sum()
    }

    /// All that has left.
    pub fn shipped_total(&self) -> Quantity {
        self.shipped.iter().map(|at| at.quantity).sum()
    }

    /// All that has left, or of which its document says so.
    pub fn left_by_any_word(&self) -> Quantity {
        self.shipped_total().max(self.told_shipped)
    }

    /// The most that any system's shipments have told to have left.
    pub fn told_by_shipments(&self) -> Quantity {
        self.told.iter().map(|(_, told)| *told).max().unwrap_or_default()
    }
}

/// Adds to what is of a lot at a location, dropping the place when nothing is left.
pub fn add_at(places: &mut Vec<At>, location: LocationId, lot: LotId, quantity: Quantity) {
    match places.iter_mut().find(|at| (at.location, at.lot) == (location, lot)) {
        Some(at) => at.quantity += quantity,
        None => places.push(At { location, lot, quantity }),
    }
    places.retain(|at| !at.quantity.is_zero());
}

/// How a hold stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldState {
    /// It keeps stock.
    Active,
    /// Its time ran out.
    Lapsed,
    /// Somebody let it go.
    Released,
    /// It became an order.
    Converted,
}

/// A reservation with an expiry.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hold {
    /// How it stands.
    pub state: HoldState,
    /// From this instant on it keeps nothing.
    pub expires_at: Instant,
    /// When it would have ended before it was extended last.
    pub extended_from: Option<Instant>,
    /// What it keeps.
    pub lines: Vec<HoldLine>,
    /// The order it became.
    pub order: Option<OrderId>,
}

/// One line of a hold.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HoldLine {
    /// What.
    pub item: ItemId,
    /// How much it shall keep: what was asked for, or as much of it as there was where a part would do.
    pub quantity: Quantity,
    /// Where it is kept; less than `quantity` after a count found fewer.
    pub reserved: Vec<At>,
    /// The lot or serial that is wanted, where one was named.
    pub lot: Option<LotId>,
    /// What of it is kept as parts of kits.
    pub build: Build,
}

impl HoldLine {
    /// All that it keeps, kits to be built included.
    pub fn kept(&self) -> Quantity {
        self.reserved.iter().chain(&self.build.built).map(|at| at.quantity).sum()
    }
}

/// Who stock is promised to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holder {
    /// An order: the stock is `committed`.
    Order(OrderId),
    /// A hold: the stock is `reserved`.
    Hold(HoldId),
    /// A transfer that is ready to ship: the stock is `reserved` where it leaves from.
    Transfer(TransferId),
}

impl Holder {
    /// The entry that made the order, the hold or the transfer; the higher, the younger.
    pub const fn seq(self) -> Seq {
        match self {
            Self::Order(id) => id.0,
            Self::Hold(id) => id.0,
            Self::Transfer(id) => id.0,
        }
    }
}

/// A promise of stock at one location.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Promise {
    /// To whom.
    pub holder: Holder,
    /// How much.
    pub quantity: Quantity,
}

/// A count that was taken: an anchor (law 11).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Count {
    /// Who saw it: the master of that stock.
    pub system: SystemId,
    /// What.
    pub item: ItemId,
    /// Where.
    pub location: LocationId,
    /// Of which lot or serial; 0 where the item is not tracked.
    pub lot: LotId,
    /// Was everything inside the location seen too?
    pub inside: bool,
    /// When it was seen.
    pub as_of: Instant,
    /// How much was seen: available + reserved + committed + safety stock.
    pub counted: Quantity,
    /// How much there was at that time by what was known when the count was entered.
    pub found: Quantity,
}

/// How a session of counting stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    /// It is counted.
    Open,
    /// What was counted is booked.
    Applied,
    /// It books nothing.
    Cancelled,
}

/// A session of counting: several people count one location, and somebody books what they saw.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Session {
    /// How it stands.
    pub state: SessionState,
    /// Where is counted.
    pub location: LocationId,
    /// And everything inside it?
    pub inside: bool,
    /// What; none: whatever is found there.
    pub items: Option<Vec<ItemId>>,
    /// Counters do not see what is expected.
    pub blind: bool,
    /// A difference beyond it must be counted twice.
    pub recount_over: Option<Threshold>,
    /// A difference beyond it is booked only with approval.
    pub approve_over: Option<Threshold>,
    /// Who opened it.
    pub opened_by: String,
    /// When.
    pub opened_at: Instant,
    /// Who ended it.
    pub ended_by: Option<String>,
    /// When.
    pub ended_at: Option<Instant>,
}

/// What was seen of an item in a session, each time somebody looked.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Seen {
    /// The oldest first.
    pub looks: Vec<Look>,
    /// Must somebody look again?
    pub recount: Option<Recount>,
    /// The count that it became.
    pub count: Option<crate::CountId>,
}

/// What one counter saw.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Look {
    /// Who.
    pub counter: String,
    /// How much.
    pub quantity: Quantity,
    /// When.
    pub seen_at: Instant,
    /// How much there was at that time by our books, as known when it was told.
    pub expected: Quantity,
    /// How much there was by our books when it was told.
    pub then: Quantity,
}

impl Look {
    /// How much more was seen than expected.
    pub fn variance(&self) -> Quantity {
        self.quantity - self.expected
    }
}

/// Why somebody must look again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recount {
    /// Counters saw different things.
    Disagree,
    /// The difference is large.
    Large,
    /// There is a difference, and stock moved between the look and its being told.
    Moved,
}

/// What is known of an outside document.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KnownDocument {
    /// The newest version applied.
    pub version: u64,
    /// A hash of that version's content.
    pub fingerprint: u64,
    /// The first entry of the record that applied it.
    pub seq: Seq,
    /// What it became.
    pub became: Became,
    /// What balanced goods that it took back and that were not there any more.
    pub balanced: Vec<Balanced>,
    /// The discrepancy that says that it sold over the counter more than was there, while it says so.
    pub short_told: Option<DiscrepancyId>,
}

/// What a document became.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Became {
    /// An order.
    Order(OrderId),
    /// Movements, line by line.
    Lines(Vec<KnownLine>),
    /// A shipment, line by line; it is told once.
    Shipment(Vec<KnownLine>),
    /// A receipt, line by line; it is told once.
    Receipt(Vec<KnownLine>),
    /// A receipt of a transfer.
    Arrived(Box<Arrived>),
    /// What a warehouse answered to an order that was sent to it.
    Reply(Replied),
}

/// What a warehouse's newest answer to an order said.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Replied {
    /// Which version of what it was sent it answered.
    pub sent_version: u64,
    /// How much of that version it will not ship, item by item.
    pub declined: Vec<(ItemId, Quantity)>,
}

/// What a line of a movement document did.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KnownLine {
    /// Its name in the document.
    pub line: String,
    /// A hash of its content.
    pub fingerprint: u64,
    /// What.
    pub item: ItemId,
    /// Where.
    pub location: LocationId,
    /// What really moved: into the location (positive) or out of it.
    pub moved: Quantity,
    /// Cell by cell, where it is a kit that moved as its components, or of lots; signed as `moved`.
    pub pieces: Vec<ComponentAt>,
    /// What it wanted to take and was not there.
    pub short: Quantity,
    /// How much of what moved out was not there by our books, and was balanced by an adjustment.
    pub balanced: Quantity,
    /// When we were told, and balanced it.
    pub told_at: Instant,
    /// The other side.
    pub party: crate::key::StockState,
    /// When it happened.
    pub occurred_at: Instant,
}

/// A difference that lag does not explain, or anything that waits for a person.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Discrepancy {
    /// Why it is here.
    pub cause: Cause,
    /// What it speaks of.
    pub item: Option<ItemId>,
    /// Where.
    pub location: Option<LocationId>,
    /// Whose word started it.
    pub system: SystemId,
    /// The document it is about.
    pub document: Option<String>,
    /// How much.
    pub quantity: Quantity,
    /// What a person reads: what happened, and what would be right.
    pub sentence: String,
    /// What was told, as it was told.
    pub evidence: Option<String>,
    /// When it came up.
    pub opened_at: Instant,
    /// When it ended; open while none.
    pub resolved_at: Option<Instant>,
    /// What a person may choose of, where it is a question; empty where it is none.
    pub choices: Vec<Choice>,
    /// What was chosen.
    pub chosen: Option<Choice>,
}

/// An answer to a discrepancy that is a question.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// The system is set to what it should show.
    SetBack,
    /// What was changed over there becomes an adjustment.
    Adopt,
    /// What is held is sent.
    Approve,
    /// What is held stays as it is over there, until what caused it is undone.
    Reject,
}

impl Choice {
    /// As callers know it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SetBack => "set_back",
            Self::Adopt => "adopt",
            Self::Approve => "approve",
            Self::Reject => "reject",
        }
    }
}

/// Why a discrepancy came up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A fact wants more than there is.
    Short,
    /// More left than there was; an adjustment balances it.
    MoreLeftThanThere,
    /// Promised stock turned out not to be there, or left for somebody else.
    PromiseBroken,
    /// A system that is not the master told an absolute quantity.
    NotMaster,
    /// A document names something we do not know.
    UnknownName,
    /// The same version of a document with other content.
    ContradictoryVersion,
    /// A time too far ahead of ours.
    ClockAhead,
    /// Somebody changed the number in the system itself.
    ManualEdit,
    /// Another program keeps writing a number that we write.
    SecondMaster,
    /// The system refuses what we send.
    PushRefused,
    /// The system does not track stock of the listing.
    TrackingOff,
    /// More came back, or shipped, than the order has.
    MoreThanOrdered,
    /// A number changed over there, and it is not certain who did it.
    Unexplained,
    /// Changes over there are to be adopted, and cannot be.
    CannotAdopt,
    /// Many listings would fall to zero at once, by no order: they are held.
    ZerosHeld,
    /// A snapshot that is empty, cut short, or would change much: it is held for a person.
    Guard,
    /// A system's message never came; what it was about was found by reading.
    MissedEvent,
    /// A system sells something that is none of our items.
    UnmappedListing,
    /// A listing has another SKU over there than it had.
    ListingRenamed,
    /// A system no longer has a listing.
    ListingGone,
    /// A master will not do what it was sent, or not all of it.
    Declined,
    /// A master did not find what lies there by the books.
    NotFound,
    /// A master is asked to count; it ends once it has.
    Recount,
    /// A file that came cannot be read as what it should be: nothing of it is booked.
    MalformedFile,
    /// A file came again, under whatever name: it is not booked a second time.
    RepeatedFile,
    /// A file that should have come has not.
    MissingFile,
    /// A system says of its stock what cannot be: less than nothing, or a part of what is counted whole.
    Impossible,
}

/// Where a discrepancy is found again by what it is about, so that it is told once.
pub type WaitingFor = (SystemId, String);

/// An open discrepancy about a document that cannot be applied yet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Waiting {
    /// The discrepancy.
    pub discrepancy: DiscrepancyId,
    /// The version that waits.
    pub version: u64,
    /// What it has sold, if it is an order. It claims what of that is not wanted of its order already.
    pub sold: Vec<(ItemId, Quantity)>,
    /// The discrepancy that says that the same version was told with other content meanwhile.
    pub contradictory: Option<DiscrepancyId>,
}
