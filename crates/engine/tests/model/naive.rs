//! A naive ledger: what each command shall do, by the laws, with plain lists and whole units.
//!
//! It keeps a list of what moved and when, and a list of orders, holds, counts and documents; every number is found
//! by going through them. It shares nothing with the ledger but the types that commands are written in.
//! Where the design is silent, a comment that begins with `Silent:` says what was settled on.

use std::collections::BTreeMap;

use onhand_ledger::command::{
    Adjust, Content, Line, MoveState, MovementLine, Receive, SetOwnership, TakeCount, Transfer,
};
use onhand_ledger::model::{Cause, HoldState, Recount};
use onhand_ledger::{Body, Command, Instant, Quantity, StockState};

use crate::merges::Merge;
use crate::published::Publishing;
use crate::sessions::Counting;
use crate::supply::{Arrived, Purchasing, Transferring};

pub const MINUTE: i64 = 60_000_000;

/// Where stock is, or whose account it is on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Account {
    At(usize, StockState),
    Party(StockState),
}

#[derive(Clone, Copy, Debug)]
pub struct Moved {
    pub item: usize,
    pub from: Account,
    pub to: Account,
    pub quantity: i64,
    /// When it happened.
    pub at: i64,
    /// When it was told.
    pub known: i64,
}

#[derive(Clone, Debug)]
pub struct Site {
    pub code: String,
    pub rank: u32,
    pub sellable: bool,
    pub group: Option<String>,
}

/// Somebody saw so much.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    pub item: usize,
    pub place: usize,
    pub as_of: i64,
    pub counted: i64,
}

/// Goods that left were not there, by the books.
#[derive(Clone, Copy, Debug)]
pub struct Balance {
    pub item: usize,
    pub place: usize,
    /// When we heard that they left.
    pub at: i64,
    /// What of it stands.
    pub left: i64,
}

#[derive(Clone, Debug)]
pub struct Order {
    /// Orders, holds and transfers are numbered together as they come to be: the higher, the younger.
    pub made: usize,
    pub version: u64,
    pub lines: Vec<OrderLine>,
    /// The discrepancy that says what is short of it.
    pub short_told: Option<usize>,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OrderLine {
    pub name: String,
    pub item: usize,
    pub wanted: i64,
    pub allocated: Vec<(usize, i64)>,
    pub short: i64,
    /// Of `short`: agreed to as a backorder, and as a preorder.
    pub backordered: i64,
    pub preordered: i64,
    pub shipped: Vec<(usize, i64)>,
    pub returned: i64,
    /// What its own document last said has left.
    pub said: i64,
    /// What it last said came back, and what came by its word, and where to, in the order it did.
    pub said_returned: i64,
    pub returned_by_document: Vec<CameBack>,
    /// The discrepancy that says that more came back than has left.
    pub over_told: Option<usize>,
    /// What of it left by that document's word, in the order it did.
    pub by_document: Vec<ByDocument>,
    /// How much each system's shipments have told to have left.
    pub told: Vec<(String, i64)>,
}

/// A part of a line that left by its own document's word, and when it did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ByDocument {
    pub item: usize,
    pub place: usize,
    pub quantity: i64,
    pub at: i64,
    /// How much of it was not there by the books, and when that was balanced.
    pub balanced: i64,
    pub told: i64,
}

/// A part of a line that came back by its own document's word, where to and when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CameBack {
    pub item: usize,
    pub place: usize,
    pub quantity: i64,
    pub at: i64,
}

/// What a document had brought was not there any more when it took that back, and was balanced then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Owed {
    pub item: usize,
    pub place: usize,
    pub quantity: i64,
    pub told: i64,
}

#[derive(Clone, Debug)]
pub struct Hold {
    pub made: usize,
    pub state: HoldState,
    pub expires_at: i64,
    pub lines: Vec<HoldLine>,
}

#[derive(Clone, Debug)]
pub struct HoldLine {
    pub item: usize,
    pub asked: i64,
    pub reserved: Vec<(usize, i64)>,
}

#[derive(Clone, Debug)]
pub struct Known {
    pub system: String,
    pub name: String,
    pub version: u64,
    /// None where only a request or a shipment has named it.
    pub content: Option<Content>,
    pub became: Became,
    pub owed: Vec<Owed>,
}

#[derive(Clone, Debug)]
pub enum Became {
    Order(usize),
    Shipment,
    /// With the discrepancy that says that it sold more than was there.
    Movements(Vec<Done>, Option<usize>),
    /// Told once.
    Receipt,
    Arrived(Arrived),
}

/// What a line of a movement document did.
#[derive(Clone, Debug)]
pub struct Done {
    pub line: MovementLine,
    pub item: usize,
    pub place: usize,
    pub moved: i64,
    pub short: i64,
    pub party: StockState,
    pub at: i64,
    /// How much of it was not there by the books, and when that was balanced.
    pub balanced: i64,
    pub told: i64,
}

#[derive(Clone, Debug)]
pub struct Waits {
    pub system: String,
    pub name: String,
    pub version: u64,
    pub discrepancy: usize,
    /// What an order that waits has sold, by item, as far as it was known by name then.
    pub sold: Vec<(usize, i64)>,
    pub content: Content,
    /// What was told under the same version meanwhile, with the discrepancy that says so.
    pub contradictory: Option<(usize, Content)>,
}

/// What is answered, without ids and sentences. Orders and holds are numbered as they come to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Said {
    Done,
    /// SKU, place, difference, available.
    Moved(Vec<(String, String, i64, i64)>),
    /// SKU, counted, found, available.
    Counted(Vec<(String, i64, i64, i64)>),
    /// And of each line how much was asked for, or it shall keep, and how much it keeps.
    Hold(usize, Vec<(i64, i64)>),
    Order(usize, Vec<LineSaid>),
    /// Of each line how much is wanted, kept, dispatched, in transit, received, lost, returned and over; what moved; and how
    /// much came up.
    Transfer(usize, Vec<[i64; 8]>, Vec<(String, String, i64, i64)>, usize),
    /// Of each line how much is wanted, received, open and over; and what moved.
    Purchase(usize, Vec<[i64; 4]>, Vec<(String, String, i64, i64)>),
    Recorded {
        order: Option<usize>,
        lines: Vec<LineSaid>,
        discrepancies: usize,
    },
    AlreadyApplied(u64),
    Waiting,
    Ticked(u32),
    Session(usize),
    /// SKU, quantity, and why somebody must look again.
    Sighted(usize, Vec<(String, i64, Option<Recount>)>),
    /// What moved, and how many orders, holds and listings went along.
    Merged(Vec<(String, String, i64, i64)>, [u32; 3]),
    Published(usize),
    Refused(Why),
    Invalid,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LineSaid {
    pub line: String,
    pub sku: String,
    pub quantity: i64,
    pub allocated: i64,
    pub shipped: i64,
    pub short: i64,
    pub backordered: i64,
    pub preordered: i64,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Why {
    /// By SKU: wanted, available, held by checkouts and until when.
    Insufficient(BTreeMap<String, (i64, i64, Option<(i64, i64)>)>),
    NotMaster(String),
    NotSellable(String),
    HoldEnded(HoldState),
    LineHasLess(i64),
    ReferenceTaken(usize),
    DocumentEnded,
    DocumentHasLess(i64),
    DocumentReferenceTaken,
    CannotMerge,
    SessionEnded,
    RecountNeeded(Vec<String>),
    ApprovalNeeded(Vec<String>),
}

#[derive(Debug)]
pub enum Stop {
    Refused(Why),
    Invalid,
}

pub type Answer = Result<Said, Stop>;

const SET_ASIDE: [StockState; 2] = [StockState::QualityControl, StockState::Damaged];
const PHYSICAL: [StockState; 4] =
    [StockState::Available, StockState::Reserved, StockState::Committed, StockState::SafetyStock];

/// Where a rule speaks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ruled {
    Everywhere,
    Group(String),
    Place(usize),
}

#[derive(Clone, Debug, Default)]
pub struct Model {
    pub skus: Vec<String>,
    /// How much of each may be short, and from when it is there.
    pub limits: Vec<(i64, i64)>,
    pub sites: Vec<Site>,
    /// System, and a place that is behind one of its own.
    pub mapped: Vec<(String, usize)>,
    /// System, its name of the listing, SKU, units of it.
    pub listings: Vec<(String, String, String, i64)>,
    /// Where, item, master.
    pub rules: Vec<(Ruled, Option<usize>, String)>,
    pub moved: Vec<Moved>,
    pub counts: Vec<Seen>,
    pub balances: Vec<Balance>,
    pub orders: Vec<Order>,
    pub holds: Vec<Hold>,
    pub transfers: Vec<Transferring>,
    pub purchases: Vec<Purchasing>,
    pub documents: Vec<Known>,
    pub waits: Vec<Waits>,
    /// Why, and is it open still?
    pub discrepancies: Vec<(Cause, bool)>,
    pub keys: Vec<(String, u64, Said)>,
    pub merges: Vec<Merge>,
    pub sessions: Vec<Counting>,
    /// Those that were ended are none.
    pub published: Vec<Option<Publishing>>,
    /// Who asks.
    pub actor: String,
    pub now: i64,
    pub recorded_at: i64,
}

pub fn units(quantity: Quantity) -> i64 {
    quantity.whole_units()
}

pub fn total(places: &[(usize, i64)]) -> i64 {
    places.iter().map(|(_, quantity)| quantity).sum()
}

/// Adds to a place of a list; a place with nothing left is dropped.
pub fn add(places: &mut Vec<(usize, i64)>, place: usize, quantity: i64) {
    match places.iter_mut().find(|(known, _)| *known == place) {
        Some((_, known)) => *known += quantity,
        None => places.push((place, quantity)),
    }
    places.retain(|(_, quantity)| *quantity != 0);
}

impl Model {
    pub fn put_site(&mut self, code: &str, rank: u32, sellable: bool, group: Option<&str>) {
        self.sites.push(Site { code: code.to_owned(), rank, sellable, group: group.map(str::to_owned) });
    }

    /// What is answered to a command at a time of the clock.
    pub fn tell(&mut self, command: &Command, clock: i64) -> Said {
        // Time never goes back along the log.
        self.now = clock.max(self.recorded_at + 1);
        if let Some(key) = &command.key
            && let Some((_, fingerprint, said)) = self.keys.iter().find(|(known, ..)| known == key)
        {
            return if *fingerprint == command.fingerprint { said.clone() } else { Said::Invalid };
        }
        self.actor.clone_from(&command.actor);
        let before = self.clone();
        let lapsed = self.lapse();
        self.serve_short();
        let lapsed_only = self.clone();
        let said = match self.run(&command.body, lapsed) {
            Ok(said) => said,
            Err(Stop::Refused(why)) => {
                // A refusal keeps what time did by itself.
                *self = lapsed_only;
                Said::Refused(why)
            }
            Err(Stop::Invalid) => {
                *self = before;
                return Said::Invalid;
            }
        };
        self.serve_short();
        if let Some(key) = &command.key {
            self.keys.push((key.clone(), command.fingerprint, said.clone()));
        }
        said
    }

    pub fn run(&mut self, body: &Body, lapsed: u32) -> Answer {
        match body {
            Body::PutItem(put) => {
                if !self.skus.contains(&put.sku) {
                    self.skus.push(put.sku.clone());
                    self.limits.push((0, i64::MIN));
                }
                Ok(Said::Done)
            }
            Body::SetOwnership(set) => self.set_ownership(set),
            Body::Receive(receive) => self.receive(receive),
            Body::Adjust(adjust) => self.adjust(adjust),
            Body::Transfer(transfer) => self.transfer(transfer),
            Body::Move(step) => self.move_state(step),
            Body::Count(count) => self.count(count),
            Body::PlaceHold(place) => self.place_hold(place),
            Body::ReleaseHold(id) => self.release_hold(usize::try_from(id.0).unwrap()),
            Body::ExtendHold(extend) => self.extend_hold(extend),
            Body::ReleaseLines(release) => self.release_lines(release),
            Body::ConvertHold(convert) => self.convert_hold(convert),
            Body::PlaceOrder(place) => self.place_order(place),
            Body::FulfilOrder(fulfil) => self.fulfil(fulfil),
            Body::CancelOrder(cancel) => self.cancel(cancel),
            Body::ReturnOrder(back) => self.take_back(back),
            Body::Record(document) => self.record(document),
            Body::PlanTransfer(plan) => self.plan(plan),
            Body::ReadyTransfer(ready) => self.make_ready(ready),
            Body::AmendTransfer(amend) => self.amend_transfer(amend),
            Body::DispatchTransfer(dispatch) => self.dispatch(dispatch),
            Body::ReceiveTransfer(receive) => self.receive_transfer(receive),
            Body::CancelTransfer(cancel) => self.cancel_transfer(cancel),
            Body::PlacePurchase(place) => self.place_purchase(place),
            Body::AmendPurchase(amend) => self.amend_purchase(amend),
            Body::ReceivePurchase(receive) => self.receive_purchase(receive),
            Body::EndPurchase(end) => self.end_purchase(end),
            Body::MergeItems(merge) => self.merge(merge),
            Body::OpenSession(open) => self.open_session(open),
            Body::Sight(sight) => self.sight(sight),
            Body::ApplySession(apply) => self.apply_session(apply),
            Body::CancelSession(id) => self.cancel_session(id.0),
            Body::SetPublication(set) => self.publish(set),
            Body::EndRule(id) => self.end_published(id.0),
            Body::Tick => Ok(Said::Ticked(lapsed)),
            other => panic!("the model does not know {other:?}"),
        }
    }

    // ---- looking ---------------------------------------------------------------------------------------------

    /// What an account holds by what happened until then, by what was told until then.
    pub fn as_of(&self, item: usize, account: Account, at: i64, known: i64) -> i64 {
        let mut sum = 0;
        for moved in self.moved.iter().filter(|m| m.item == item && m.at <= at && m.known <= known) {
            if moved.to == account {
                sum += moved.quantity;
            }
            if moved.from == account {
                sum -= moved.quantity;
            }
        }
        sum
    }

    pub fn held(&self, item: usize, place: usize, state: StockState) -> i64 {
        self.as_of(item, Account::At(place, state), i64::MAX, i64::MAX)
    }

    /// What is there in all.
    pub fn on_hand(&self, item: usize, place: usize) -> i64 {
        StockState::ON_HAND.iter().map(|state| self.held(item, place, *state)).sum()
    }

    /// What a physical count sees.
    pub fn physical(&self, item: usize, place: usize, at: i64) -> i64 {
        PHYSICAL.iter().map(|state| self.as_of(item, Account::At(place, *state), at, i64::MAX)).sum()
    }

    /// By cause: how many there ever were, and how many are open.
    pub fn told_discrepancies(&self) -> BTreeMap<Cause, (usize, usize)> {
        let mut told = BTreeMap::<Cause, (usize, usize)>::new();
        for (cause, is_open) in &self.discrepancies {
            let (all, open) = told.entry(*cause).or_default();
            *all += 1;
            *open += usize::from(*is_open);
        }
        told
    }

    /// The item of a name: where it was merged, the one that it is by now.
    pub fn sku(&self, sku: &str) -> Result<usize, Stop> {
        self.meant(sku, i64::MAX)
    }

    pub fn place(&self, code: &str) -> Result<usize, Stop> {
        self.sites.iter().position(|site| site.code == code).ok_or(Stop::Invalid)
    }

    pub fn place_if_named(&self, code: Option<&str>) -> Result<Option<usize>, Stop> {
        code.map(|code| self.place(code)).transpose()
    }

    pub fn lines(&self, lines: &[Line]) -> Result<Vec<(usize, i64)>, Stop> {
        if lines.is_empty() || lines.iter().any(|line| !line.quantity.is_positive()) {
            return Err(Stop::Invalid);
        }
        self.lines_as_of(lines, i64::MAX)
    }

    /// Lines that speak of an instant mean the items that were called so then.
    pub fn lines_as_of(&self, lines: &[Line], at: i64) -> Result<Vec<(usize, i64)>, Stop> {
        lines.iter().map(|line| Ok((self.meant(&line.sku, at)?, units(line.quantity)))).collect()
    }

    /// Up to 5 minutes ahead is now; further ahead is no time.
    pub fn past(&self, at: Option<Instant>) -> Result<i64, Stop> {
        match at.map(Instant::micros) {
            None => Ok(self.now),
            Some(at) if at <= self.now + 5 * MINUTE => Ok(at.min(self.now)),
            Some(_) => Err(Stop::Invalid),
        }
    }

    /// The most specific rule, compared by item first, then by location: itself, its group, all.
    pub fn master(&self, item: usize, place: usize) -> String {
        let item = self.live(item);
        let group = self.sites[place].group.as_ref();
        let named =
            |at: &Ruled, of: Option<usize>| self.rules.iter().find(|rule| rule.0 == *at && rule.1 == of);
        for of in [Some(item), None] {
            let in_group = group.map(|group| Ruled::Group(group.clone()));
            let ways = [Some(Ruled::Place(place)), in_group, Some(Ruled::Everywhere)];
            if let Some((.., master)) = ways.into_iter().flatten().find_map(|at| named(&at, of)) {
                return master.clone();
            }
        }
        "onhand".to_owned()
    }

    pub fn must_be_ours(&self, item: usize, place: usize) -> Result<(), Stop> {
        match self.master(item, place) {
            master if master == "onhand" => Ok(()),
            master => Err(Stop::Refused(Why::NotMaster(master))),
        }
    }

    /// A physical fact moves stock when the master tells it; where that is Onhand, when anybody does.
    pub fn moves(&self, teller: &str, item: usize, place: usize) -> bool {
        let master = self.master(item, place);
        master == "onhand" || master == teller
    }

    /// Where orders are allocated from: by rank. Silent: of one rank the oldest first.
    pub fn sellable(&self) -> Vec<usize> {
        let mut places: Vec<usize> =
            (0..self.sites.len()).filter(|place| self.sites[*place].sellable).collect();
        places.sort_by_key(|place| (self.sites[*place].rank, *place));
        places
    }

    // ---- moving ----------------------------------------------------------------------------------------------

    pub fn go(&mut self, item: usize, from: Account, to: Account, quantity: i64, at: i64) {
        assert!(quantity > 0, "the model moves more than nothing");
        self.moved.push(Moved { item, from, to, quantity, at, known: self.now });
        for account in [from, to] {
            if let Account::At(place, state) = account {
                let held = self.held(item, place, state);
                assert!(held >= 0, "law 2, in the model: {held} of {item} at {place} in {state:?}");
            }
        }
    }

    pub fn change_state(
        &mut self,
        item: usize,
        place: usize,
        from: StockState,
        to: StockState,
        quantity: i64,
    ) {
        self.go(item, Account::At(place, from), Account::At(place, to), quantity, self.now);
    }

    pub fn note(&mut self, cause: Cause) -> usize {
        self.discrepancies.push((cause, true));
        self.discrepancies.len() - 1
    }

    /// Law 11: the first later count that saw what happened then. The same instant counts as before the count.
    pub fn first_count(&self, item: usize, place: usize, at: i64) -> Option<i64> {
        let seen = self.counts.iter().filter(|seen| (seen.item, seen.place) == (item, place));
        seen.map(|seen| seen.as_of).filter(|as_of| *as_of >= at).min()
    }

    /// Goods came in; `absorbed` is when a count saw them already.
    pub fn arrive(
        &mut self,
        (item, place, state): (usize, usize, StockState),
        party: StockState,
        quantity: i64,
        at: i64,
        absorbed: Option<i64>,
    ) {
        if let (Some(merge), false) = (self.merge_of(item), absorbed.is_some() && PHYSICAL.contains(&state)) {
            return self.arrived_before(merge, (place, state), party, quantity, at);
        }
        self.go(item, Account::Party(party), Account::At(place, state), quantity, at);
        if let Some(as_of) = absorbed
            && PHYSICAL.contains(&state)
        {
            let found = Account::Party(StockState::Adjustment);
            self.go(item, Account::At(place, state), found, quantity, as_of);
        }
    }

    /// Goods are gone, of which a part was promised to the very line that they left for. Says how many of them were
    /// not there by the books.
    pub fn depart(
        &mut self,
        from: (usize, usize),
        party: StockState,
        quantity: i64,
        at: i64,
        absorbed: Option<i64>,
        own: i64,
    ) -> i64 {
        self.depart_with(from, party, quantity, at, absorbed, (StockState::Committed, own))
    }

    /// As `depart`, of what is kept in a state.
    pub fn depart_with(
        &mut self,
        (item, place): (usize, usize),
        party: StockState,
        quantity: i64,
        at: i64,
        absorbed: Option<i64>,
        (kept, own): (StockState, i64),
    ) -> i64 {
        if let (Some(merge), None) = (self.merge_of(item), absorbed) {
            return self.departed_before(merge, place, party, quantity, at);
        }
        let available = Account::At(place, StockState::Available);
        if let Some(as_of) = absorbed {
            self.go(item, Account::Party(StockState::Adjustment), available, quantity, as_of);
        }
        if own > 0 {
            self.go(item, Account::At(place, kept), Account::Party(party), own, at);
        }
        let rest = quantity - own;
        if rest == 0 {
            return 0;
        }
        // Law 2. What other states give is freed first, by moves dated now.
        let mut missing = (rest - self.held(item, place, StockState::Available)).max(0);
        let safety = self.held(item, place, StockState::SafetyStock).min(missing);
        if safety > 0 {
            self.change_state(item, place, StockState::SafetyStock, StockState::Available, safety);
            missing -= safety;
        }
        let broken = self.break_promises(item, place, missing);
        missing -= broken;
        let mut aside = 0;
        for state in SET_ASIDE {
            let part = self.held(item, place, state).min(missing);
            if part > 0 {
                self.change_state(item, place, state, StockState::Available, part);
                aside += part;
                missing -= part;
            }
        }
        if missing > 0 {
            // Silent: what balances is dated now.
            self.go(item, Account::Party(StockState::Adjustment), available, missing, self.now);
            self.balances.push(Balance { item, place, at: self.now, left: missing });
        }
        self.go(item, available, Account::Party(party), rest, at);
        // Silent: one discrepancy for each departure, of the worst that it did.
        if missing > 0 {
            self.note(Cause::MoreLeftThanThere);
        } else if broken > 0 {
            self.note(Cause::PromiseBroken);
        } else if aside > 0 {
            self.note(Cause::MoreLeftThanThere);
        }
        missing
    }

    /// Frees up to so much of what is promised there: the youngest first. Silent: of one order, its last line first.
    pub fn break_promises(&mut self, item: usize, place: usize, wanted: i64) -> i64 {
        let mut missing = wanted;
        let mut youngest_first: Vec<usize> = self.orders.iter().map(|order| order.made).collect();
        youngest_first.extend(self.holds.iter().map(|hold| hold.made));
        youngest_first.extend(self.transfers.iter().map(|transfer| transfer.made));
        youngest_first.sort_unstable_by(|one, other| other.cmp(one));
        for made in youngest_first {
            let mut freed = Vec::new();
            for order in self.orders.iter_mut().filter(|order| order.made == made) {
                for line in order.lines.iter_mut().rev().filter(|line| line.item == item) {
                    let there =
                        line.allocated.iter().find(|(at, _)| *at == place).map_or(0, |(_, there)| *there);
                    let part = there.min(missing);
                    add(&mut line.allocated, place, -part);
                    line.short += part;
                    missing -= part;
                    freed.push((StockState::Committed, part));
                }
            }
            for hold in self.holds.iter_mut().filter(|hold| hold.made == made) {
                for line in hold.lines.iter_mut().rev().filter(|line| line.item == item) {
                    let there =
                        line.reserved.iter().find(|(at, _)| *at == place).map_or(0, |(_, there)| *there);
                    let part = there.min(missing);
                    add(&mut line.reserved, place, -part);
                    missing -= part;
                    freed.push((StockState::Reserved, part));
                }
            }
            for transfer in
                self.transfers.iter_mut().filter(|known| known.made == made && known.from == place)
            {
                for line in transfer.lines.iter_mut().rev().filter(|line| line.item == item) {
                    let part = line.reserved.min(missing);
                    line.reserved -= part;
                    missing -= part;
                    freed.push((StockState::Reserved, part));
                }
            }
            for (state, part) in freed.into_iter().filter(|(_, part)| *part > 0) {
                self.change_state(item, place, state, StockState::Available, part);
            }
        }
        wanted - missing
    }

    pub fn moved_answer(&self, moved: &[(usize, usize, i64)]) -> Said {
        let line = |(item, place, difference): &(usize, usize, i64)| {
            let available = self.held(*item, *place, StockState::Available);
            (self.skus[*item].clone(), self.sites[*place].code.clone(), *difference, available)
        };
        Said::Moved(moved.iter().map(line).collect())
    }

    pub fn set_ownership(&mut self, set: &SetOwnership) -> Answer {
        let at = match (&set.location, &set.group) {
            (Some(code), _) => Ruled::Place(self.place(code)?),
            (None, Some(group)) => Ruled::Group(group.clone()),
            (None, None) => Ruled::Everywhere,
        };
        let of = set.sku.as_deref().map(|sku| self.sku(sku)).transpose()?;
        self.rules.retain(|(other_at, other_of, _)| (other_at, *other_of) != (&at, of));
        self.rules.push((at, of, set.master.clone()));
        Ok(Said::Done)
    }

    pub fn receive(&mut self, receive: &Receive) -> Answer {
        let place = self.place(&receive.location)?;
        self.lines(&receive.lines)?;
        let at = self.past(receive.occurred_at)?;
        let lines = self.lines_as_of(&receive.lines, at)?;
        let mut moved = Vec::new();
        for (item, quantity) in lines {
            self.must_be_ours(item, place)?;
            let absorbed = self.first_count(item, place, at);
            self.arrive((item, place, StockState::Available), StockState::Supplier, quantity, at, absorbed);
            moved.push((item, place, quantity));
        }
        self.serve_short();
        Ok(self.moved_answer(&moved))
    }

    pub fn adjust(&mut self, adjust: &Adjust) -> Answer {
        let place = self.place(&adjust.location)?;
        if adjust.lines.iter().any(|line| line.quantity.is_zero()) {
            return Err(Stop::Invalid);
        }
        self.lines_as_of(&adjust.lines, i64::MAX)?;
        let at = self.past(adjust.occurred_at)?;
        let lines = self.lines_as_of(&adjust.lines, at)?;
        for (item, _) in &lines {
            self.must_be_ours(*item, place)?;
        }
        // A request takes no more than is there, all its lines together. Silent: in whatever state; what it puts there
        // itself does not count, and what a count saw gone is given back by that count.
        let mut taken = BTreeMap::<usize, i64>::new();
        let seen = |item: usize| self.has_seen(item, place, at);
        for (item, difference) in lines.iter().filter(|(item, difference)| *difference < 0 && !seen(*item)) {
            *taken.entry(self.live(*item)).or_default() -= difference;
        }
        let lacks: BTreeMap<String, (i64, i64, Option<(i64, i64)>)> = taken
            .into_iter()
            .filter(|(item, taken)| self.on_hand(*item, place) < *taken)
            .map(|(item, taken)| (self.skus[item].clone(), (taken, self.on_hand(item, place), None)))
            .collect();
        if !lacks.is_empty() {
            return Err(Stop::Refused(Why::Insufficient(lacks)));
        }
        let mut moved = Vec::new();
        for (item, difference) in lines {
            let absorbed = self.first_count(item, place, at);
            let party = StockState::Adjustment;
            if difference > 0 {
                self.arrive((item, place, StockState::Available), party, difference, at, absorbed);
            } else {
                self.depart((item, place), party, -difference, at, absorbed, 0);
            }
            moved.push((item, place, difference));
        }
        self.serve_short();
        Ok(self.moved_answer(&moved))
    }

    pub fn transfer(&mut self, transfer: &Transfer) -> Answer {
        let (from, to) = (self.place(&transfer.from)?, self.place(&transfer.to)?);
        if from == to {
            return Err(Stop::Invalid);
        }
        let lines = self.lines(&transfer.lines)?;
        let at = self.past(transfer.occurred_at)?;
        for (item, _) in &lines {
            self.must_be_ours(*item, from)?;
            self.must_be_ours(*item, to)?;
        }
        self.must_be_available(&lines, Some(from))?;
        let mut moved = Vec::new();
        for (item, quantity) in lines {
            // Each end is a movement of its own to the counts there.
            let (left, came) = (self.first_count(item, from, at), self.first_count(item, to, at));
            self.depart((item, from), StockState::Production, quantity, at, left, 0);
            self.arrive((item, to, StockState::Available), StockState::Production, quantity, at, came);
            moved.extend([(item, from, -quantity), (item, to, quantity)]);
        }
        self.serve_short();
        Ok(self.moved_answer(&moved))
    }

    pub fn move_state(&mut self, step: &MoveState) -> Answer {
        let by_hand = |state| !matches!(state, StockState::Reserved | StockState::Committed);
        if !by_hand(step.from) || !by_hand(step.to) || step.from == step.to {
            return Err(Stop::Invalid);
        }
        let place = self.place(&step.location)?;
        let lines = self.lines(&step.lines)?;
        let mut wanted = BTreeMap::<usize, i64>::new();
        for (item, quantity) in &lines {
            // Silent: a change of state too is its master's to make.
            self.must_be_ours(*item, place)?;
            *wanted.entry(*item).or_default() += quantity;
        }
        let mut lack = BTreeMap::new();
        for (item, wanted) in wanted {
            let there = self.held(item, place, step.from);
            let holds = || self.holding(item, &[place]);
            let held = if step.from == StockState::Available { holds() } else { None };
            if there < wanted {
                lack.insert(self.skus[item].clone(), (wanted, there, held));
            }
        }
        if !lack.is_empty() {
            return Err(Stop::Refused(Why::Insufficient(lack)));
        }
        let mut moved = Vec::new();
        for (item, quantity) in lines {
            self.change_state(item, place, step.from, step.to, quantity);
            moved.push((item, place, 0));
        }
        self.serve_short();
        Ok(self.moved_answer(&moved))
    }

    pub fn count(&mut self, count: &TakeCount) -> Answer {
        let place = self.place(&count.location)?;
        let mut lines: Vec<(usize, i64)> = Vec::new();
        let seen_at = count.as_of.map_or(self.now, |as_of| as_of.micros().min(self.now));
        for line in &count.lines {
            let item = self.meant(&line.sku, seen_at)?;
            if line.quantity.is_negative() || lines.iter().any(|(other, _)| *other == item) {
                return Err(Stop::Invalid);
            }
            lines.push((item, units(line.quantity)));
        }
        let teller = count.system.as_deref().unwrap_or("onhand");
        let as_of = match self.past(count.as_of) {
            Ok(as_of) => as_of,
            Err(_) if teller != "onhand" => {
                self.note(Cause::ClockAhead);
                return Ok(Said::Waiting);
            }
            Err(stop) => return Err(stop),
        };
        // Law 6: an absolute from anyone but the master is evidence, never stock.
        for (item, _) in &lines {
            let master = self.master(*item, place);
            if master == teller {
                continue;
            }
            if teller == "onhand" {
                return Err(Stop::Refused(Why::NotMaster(master)));
            }
            self.note(Cause::NotMaster);
            return Ok(Said::Waiting);
        }
        let seen: Vec<(usize, i64, i64)> =
            lines.into_iter().map(|(item, counted)| (item, counted, as_of)).collect();
        Ok(self.book(place, &seen))
    }

    /// What balanced goods that were not there goes where a count of an earlier time has found more; as far as anything is there.
    fn give_balances_back(&mut self, item: usize, place: usize, as_of: i64) {
        let mut there: i64 = PHYSICAL.iter().map(|state| self.held(item, place, *state)).sum();
        let is_its = |known: &&mut Balance| (known.item, known.place) == (item, place) && known.at > as_of;
        // Silent: what was balanced at one instant goes as one.
        let mut instants: Vec<i64> = self.balances.iter_mut().filter(is_its).map(|known| known.at).collect();
        instants.sort_unstable();
        instants.dedup();
        for at in instants {
            let mut goes = 0;
            for known in self.balances.iter_mut().filter(is_its).filter(|known| known.at == at) {
                let part = known.left.min(there);
                known.left -= part;
                there -= part;
                goes += part;
            }
            if goes > 0 {
                self.depart((item, place), StockState::Adjustment, goes, at, None, 0);
            }
        }
    }

    /// So much was seen of each at its time: the difference to the books is booked then.
    pub fn book(&mut self, place: usize, seen: &[(usize, i64, i64)]) -> Said {
        let mut booked = Vec::new();
        for (item, counted, as_of) in seen.iter().copied() {
            let found = self.physical(item, place, as_of);
            // A late count is itself a late movement to later counts. Silent: to those of a later instant only.
            let absorbed = self.first_count(item, place, as_of + 1);
            self.counts.push(Seen { item, place, as_of, counted });
            let party = StockState::Adjustment;
            if counted > found {
                let more = counted - found;
                self.arrive((item, place, StockState::Available), party, more, as_of, absorbed);
            } else if counted < found {
                self.depart((item, place), party, found - counted, as_of, absorbed, 0);
            }
            if absorbed.is_none() {
                self.give_balances_back(item, place, as_of);
            }
            booked.push((item, counted, found));
        }
        self.serve_short();
        let line = |(item, counted, found): &(usize, i64, i64)| {
            (self.skus[*item].clone(), *counted, *found, self.held(*item, place, StockState::Available))
        };
        Said::Counted(booked.iter().map(line).collect())
    }
}
