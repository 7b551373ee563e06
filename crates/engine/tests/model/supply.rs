//! Transfers and purchase orders in the naive model, and the receipts that systems tell of them.

use std::collections::BTreeMap;

use onhand_ledger::StockState;
use onhand_ledger::command::{
    AmendPurchase, AmendTransfer, ArrivedLine, CancelTransfer, DeliveredLine, DispatchTransfer, EndPurchase,
    LineQuantity, PlacePurchase, PlanTransfer, ReadyTransfer, ReceiptContent, ReceivePurchase,
    ReceiveTransfer,
};
use onhand_ledger::model::{Cause, PurchaseState, TransferState};

use crate::naive::{Account, Answer, LineSaid, Model, Owed, Said, Stop, Why, units};

#[derive(Clone, Debug)]
pub struct Transferring {
    pub made: usize,
    pub reference: Option<String>,
    pub from: usize,
    pub to: usize,
    pub state: TransferState,
    /// What has not left is kept for it.
    pub ready: bool,
    /// When the first of it left.
    pub left: Option<i64>,
    pub lines: Vec<TransferLine>,
}

#[derive(Clone, Debug, Default)]
pub struct TransferLine {
    pub item: usize,
    pub wanted: i64,
    pub reserved: i64,
    pub dispatched: i64,
    pub received: i64,
    pub lost: i64,
    pub returned: i64,
    pub over: i64,
    /// How much each system has told to have come in.
    pub told: BTreeMap<String, i64>,
}

impl TransferLine {
    pub fn in_transit(&self) -> i64 {
        self.dispatched - self.received - self.lost - self.returned
    }

    fn to_dispatch(&self) -> i64 {
        (self.wanted - self.dispatched).max(0)
    }

    fn tell(&mut self, system: &str, quantity: i64) {
        *self.told.entry(system.to_owned()).or_default() += quantity;
    }

    fn told_by(&self, system: &str) -> i64 {
        self.told.get(system).copied().unwrap_or_default()
    }
}

impl Transferring {
    fn is_open(&self) -> bool {
        !matches!(self.state, TransferState::Transferred | TransferState::Cancelled)
    }

    /// How it stands by what has left and come in.
    fn stands(&self) -> TransferState {
        if self.lines.iter().all(|line| line.dispatched == 0) {
            if self.ready { TransferState::ReadyToShip } else { TransferState::Draft }
        } else if self.lines.iter().all(|line| line.in_transit() == 0 && line.to_dispatch() == 0) {
            TransferState::Transferred
        } else {
            TransferState::InProgress
        }
    }

    fn ended(&self) -> TransferState {
        let came = self.lines.iter().any(|line| line.received + line.over > 0);
        if came { TransferState::Transferred } else { TransferState::Cancelled }
    }
}

#[derive(Clone, Debug)]
pub struct Purchasing {
    pub reference: Option<String>,
    pub place: usize,
    pub state: PurchaseState,
    pub lines: Vec<PurchaseLine>,
}

#[derive(Clone, Debug, Default)]
pub struct PurchaseLine {
    pub item: usize,
    pub wanted: i64,
    pub received: i64,
    pub told: BTreeMap<String, i64>,
}

impl Purchasing {
    pub fn open(&self, line: usize) -> i64 {
        let line = &self.lines[line];
        if self.state == PurchaseState::Open { (line.wanted - line.received).max(0) } else { 0 }
    }
}

/// What a receipt's document has told of a transfer.
#[derive(Clone, Debug)]
pub struct Arrived {
    pub transfer: usize,
    pub place: usize,
    pub at: i64,
    pub parts: Vec<(usize, i64)>,
}

/// What moved: item, place, difference.
type Moves = Vec<(usize, usize, i64)>;

/// Lines by their names, each named once.
fn positions<'n>(known: usize, names: impl Iterator<Item = &'n String>) -> Result<Vec<usize>, Stop> {
    let mut found = Vec::new();
    for name in names {
        let position = name.parse::<usize>().ok().and_then(|name| name.checked_sub(1));
        let position = position.filter(|position| *position < known).ok_or(Stop::Invalid)?;
        if found.contains(&position) {
            return Err(Stop::Invalid);
        }
        found.push(position);
    }
    if found.is_empty() { Err(Stop::Invalid) } else { Ok(found) }
}

impl Model {
    fn transferring(&self, id: u64) -> Result<usize, Stop> {
        let nth = usize::try_from(id).unwrap();
        let known = self.transfers.get(nth).ok_or(Stop::Invalid)?;
        if known.is_open() { Ok(nth) } else { Err(Stop::Refused(Why::DocumentEnded)) }
    }

    fn transfer_said(&mut self, nth: usize, moved: &Moves, before: usize) -> Said {
        let known = &mut self.transfers[nth];
        if known.is_open() {
            known.state = known.stands();
        }
        self.serve_short();
        let line = |line: &TransferLine| {
            [
                line.wanted,
                line.reserved,
                line.dispatched,
                line.in_transit(),
                line.received,
                line.lost,
                line.returned,
                line.over,
            ]
        };
        let lines = self.transfers[nth].lines.iter().map(line).collect();
        Said::Transfer(nth, lines, self.moves_said(moved), self.discrepancies.len() - before)
    }

    fn moves_said(&self, moved: &Moves) -> Vec<(String, String, i64, i64)> {
        match self.moved_answer(moved) {
            Said::Moved(moved) => moved,
            other => panic!("{other:?}"),
        }
    }

    pub fn plan(&mut self, plan: &PlanTransfer) -> Answer {
        if let Some(reference) = &plan.reference
            && self.transfers.iter().any(|known| known.reference.as_ref() == Some(reference))
        {
            return Err(Stop::Refused(Why::DocumentReferenceTaken));
        }
        let (from, to) = (self.place(&plan.from)?, self.place(&plan.to)?);
        if from == to {
            return Err(Stop::Invalid);
        }
        let wanted = self.lines(&plan.lines)?;
        for (item, _) in &wanted {
            self.must_be_ours(*item, from)?;
            self.must_be_ours(*item, to)?;
        }
        let line = |(item, wanted)| TransferLine { item, wanted, ..TransferLine::default() };
        let made = self.made();
        self.transfers.push(Transferring {
            made,
            reference: plan.reference.clone(),
            from,
            to,
            state: TransferState::Draft,
            ready: false,
            left: None,
            lines: wanted.into_iter().map(line).collect(),
        });
        let before = self.discrepancies.len();
        Ok(self.transfer_said(self.transfers.len() - 1, &Vec::new(), before))
    }

    /// Keeps so much more of its lines where it leaves from, all of it or nothing.
    fn keep(&mut self, nth: usize, parts: &[(usize, i64)]) -> Result<(), Stop> {
        let known = self.transfers[nth].clone();
        let item = |part: &(usize, i64)| known.lines[part.0].item;
        for part in parts {
            self.must_be_ours(item(part), known.from)?;
            self.must_be_ours(item(part), known.to)?;
        }
        let wanted: Vec<(usize, i64)> = parts.iter().map(|part| (item(part), part.1)).collect();
        self.must_be_free(&wanted, known.from)?;
        for (line, quantity) in parts {
            let (free, kept) = (StockState::Available, StockState::Reserved);
            self.change_state(known.lines[*line].item, known.from, free, kept, *quantity);
            self.transfers[nth].lines[*line].reserved += quantity;
        }
        Ok(())
    }

    fn let_go(&mut self, nth: usize, line: usize, quantity: i64) {
        if quantity > 0 {
            let known = &mut self.transfers[nth];
            known.lines[line].reserved -= quantity;
            let (item, from) = (known.lines[line].item, known.from);
            self.change_state(item, from, StockState::Reserved, StockState::Available, quantity);
        }
    }

    /// All of these together lie free at a place.
    fn must_be_free(&self, wanted: &[(usize, i64)], place: usize) -> Result<(), Stop> {
        let mut sums = BTreeMap::<usize, i64>::new();
        for (item, quantity) in wanted {
            *sums.entry(*item).or_default() += quantity;
        }
        let mut lack = BTreeMap::new();
        for (item, wanted) in sums {
            let there = self.held(item, place, StockState::Available);
            if there < wanted {
                lack.insert(self.skus[item].clone(), (wanted, there, self.holding(item, &[place])));
            }
        }
        if lack.is_empty() { Ok(()) } else { Err(Stop::Refused(Why::Insufficient(lack))) }
    }

    pub fn make_ready(&mut self, ready: &ReadyTransfer) -> Answer {
        let nth = self.transferring(ready.transfer.0)?;
        let before = self.discrepancies.len();
        if self.transfers[nth].lines.iter().all(|line| line.to_dispatch() == 0) {
            return Err(Stop::Refused(Why::DocumentEnded));
        }
        let lacking = self.transfers[nth].lines.iter().map(|line| line.to_dispatch() - line.reserved);
        let lacking: Vec<(usize, i64)> = lacking.enumerate().filter(|(_, lacking)| *lacking > 0).collect();
        self.keep(nth, &lacking)?;
        self.transfers[nth].ready = true;
        Ok(self.transfer_said(nth, &Vec::new(), before))
    }

    pub fn amend_transfer(&mut self, amend: &AmendTransfer) -> Answer {
        let nth = self.transferring(amend.transfer.0)?;
        let before = self.discrepancies.len();
        let mut more = Vec::new();
        let names = amend.lines.iter().map(|line| &line.line);
        for (position, told) in
            positions(self.transfers[nth].lines.len(), names)?.into_iter().zip(&amend.lines)
        {
            let known = &mut self.transfers[nth].lines[position];
            let wanted = units(told.quantity);
            if wanted < 0 {
                return Err(Stop::Invalid);
            }
            if known.wanted - wanted > known.to_dispatch() {
                return Err(Stop::Refused(Why::DocumentHasLess(known.to_dispatch())));
            }
            if wanted > known.wanted && self.transfers[nth].ready {
                more.push((position, wanted - self.transfers[nth].lines[position].wanted));
            }
            self.transfers[nth].lines[position].wanted = wanted;
        }
        for line in 0..self.transfers[nth].lines.len() {
            let known = &self.transfers[nth].lines[line];
            self.let_go(nth, line, known.reserved - known.to_dispatch());
        }
        self.keep(nth, &more)?;
        Ok(self.transfer_said(nth, &Vec::new(), before))
    }

    pub fn dispatch(&mut self, dispatch: &DispatchTransfer) -> Answer {
        let nth = self.transferring(dispatch.transfer.0)?;
        let before = self.discrepancies.len();
        let known = self.transfers[nth].clone();
        let at = self.past(dispatch.occurred_at)?;
        let mut parts = Vec::new();
        match &dispatch.lines {
            None => {
                let left = known.lines.iter().map(TransferLine::to_dispatch).enumerate();
                parts.extend(left.filter(|(_, left)| *left > 0));
            }
            Some(told) => {
                let names = told.iter().map(|line| &line.line);
                let found = positions(known.lines.len(), names)?;
                for (position, LineQuantity { quantity, .. }) in found.into_iter().zip(told) {
                    if !quantity.is_positive() {
                        return Err(Stop::Invalid);
                    }
                    let has = known.lines[position].to_dispatch();
                    if units(*quantity) > has {
                        return Err(Stop::Refused(Why::DocumentHasLess(has)));
                    }
                    parts.push((position, units(*quantity)));
                }
            }
        }
        if parts.is_empty() {
            return Err(Stop::Refused(Why::DocumentEnded));
        }
        for (line, _) in &parts {
            self.must_be_ours(known.lines[*line].item, known.from)?;
            self.must_be_ours(known.lines[*line].item, known.to)?;
        }
        // What is kept for it leaves first. What a count has seen the lack of is given back by it.
        let free: Vec<(usize, i64)> = parts
            .iter()
            .map(|(line, quantity)| {
                (known.lines[*line].item, quantity - known.lines[*line].reserved.min(*quantity))
            })
            .filter(|(item, quantity)| *quantity > 0 && self.first_count(*item, known.from, at).is_none())
            .collect();
        self.must_be_free(&free, known.from)?;
        let mut moved = Vec::new();
        for (line, quantity) in parts {
            let of = &known.lines[line];
            let kept = of.reserved.min(quantity);
            for (state, part) in [(StockState::Reserved, kept), (StockState::Available, quantity - kept)] {
                if part == 0 {
                    continue;
                }
                if let Some(as_of) = self.first_count(of.item, known.from, at) {
                    let (found, free) =
                        (StockState::Adjustment, Account::At(known.from, StockState::Available));
                    self.go(of.item, Account::Party(found), free, part, as_of);
                }
                let (from, to) =
                    (Account::At(known.from, state), Account::At(known.to, StockState::InTransit));
                self.go(of.item, from, to, part, at);
                moved.push((of.item, known.from, -part));
            }
            let line = &mut self.transfers[nth].lines[line];
            line.reserved -= kept;
            line.dispatched += quantity;
        }
        let left = &mut self.transfers[nth].left;
        *left = Some(left.map_or(at, |first| first.min(at)));
        Ok(self.transfer_said(nth, &moved, before))
    }

    /// Goods on their way come in to a state of a place: a count that saw them there gives them back.
    fn come_in(
        &mut self,
        nth: usize,
        line: usize,
        (place, into): (usize, StockState),
        quantity: i64,
        at: i64,
    ) {
        let (item, to) = (self.transfers[nth].lines[line].item, self.transfers[nth].to);
        self.go(item, Account::At(to, StockState::InTransit), Account::At(place, into), quantity, at);
        if into == StockState::Available
            && let Some(as_of) = self.first_count(item, place, at)
        {
            let found = Account::Party(StockState::Adjustment);
            self.go(item, Account::At(place, into), found, quantity, as_of);
        }
    }

    /// Nothing happens to goods on their way before they left.
    fn after_left(&self, nth: usize, at: Option<onhand_ledger::Instant>) -> Result<i64, Stop> {
        let at = self.past(at)?;
        if self.transfers[nth].left.is_some_and(|left| at < left) { Err(Stop::Invalid) } else { Ok(at) }
    }

    pub fn receive_transfer(&mut self, receive: &ReceiveTransfer) -> Answer {
        if !matches!(receive.into, StockState::Available | StockState::Damaged | StockState::QualityControl) {
            return Err(Stop::Invalid);
        }
        let nth = self.transferring(receive.transfer.0)?;
        let before = self.discrepancies.len();
        if self.transfers[nth].state != TransferState::InProgress {
            return Err(Stop::Refused(Why::DocumentEnded));
        }
        let at = self.after_left(nth, receive.occurred_at)?;
        let known = self.transfers[nth].clone();
        let mut arrivals = Vec::new();
        match &receive.lines {
            None => {
                let on_way = known.lines.iter().map(TransferLine::in_transit).enumerate();
                arrivals
                    .extend(on_way.filter(|(_, there)| *there > 0).map(|(line, there)| (line, there, 0, 0)));
            }
            Some(told) => {
                let found = positions(known.lines.len(), told.iter().map(|line| &line.line))?;
                for (position, ArrivedLine { quantity, lost, .. }) in found.into_iter().zip(told) {
                    let (quantity, lost) = (units(*quantity), lost.map_or(0, units));
                    if lost < 0 || quantity < 0 || (quantity == 0 && lost == 0) {
                        return Err(Stop::Invalid);
                    }
                    let there = known.lines[position].in_transit();
                    let came = quantity.min(there);
                    if lost > there - came {
                        return Err(Stop::Refused(Why::DocumentHasLess(there - came)));
                    }
                    arrivals.push((position, came, quantity - came, lost));
                }
            }
        }
        if arrivals.is_empty() {
            return Err(Stop::Refused(Why::DocumentEnded));
        }
        for (line, ..) in &arrivals {
            self.must_be_ours(known.lines[*line].item, known.to)?;
        }
        let mut moved = Vec::new();
        for (line, came, over, lost) in arrivals {
            let item = known.lines[line].item;
            if came > 0 {
                self.come_in(nth, line, (known.to, receive.into), came, at);
                moved.push((item, known.to, came));
            }
            if over > 0 {
                self.found_beyond((item, known.to, receive.into), over, at);
                moved.push((item, known.to, over));
            }
            if lost > 0 {
                let (from, to) =
                    (Account::At(known.to, StockState::InTransit), Account::Party(StockState::Adjustment));
                self.go(item, from, to, lost, at);
                moved.push((item, known.to, 0));
            }
            let line = &mut self.transfers[nth].lines[line];
            line.received += came;
            line.over += over;
            line.lost += lost;
            line.tell("onhand", came + over);
        }
        Ok(self.transfer_said(nth, &moved, before))
    }

    /// More than was on its way is there all the same.
    fn found_beyond(&mut self, (item, place, into): (usize, usize, StockState), quantity: i64, at: i64) {
        self.note(Cause::MoreThanOrdered);
        let absorbed = self.first_count(item, place, at);
        self.arrive((item, place, into), StockState::Adjustment, quantity, at, absorbed);
    }

    pub fn cancel_transfer(&mut self, cancel: &CancelTransfer) -> Answer {
        let nth = self.transferring(cancel.transfer.0)?;
        let before = self.discrepancies.len();
        let at = self.after_left(nth, cancel.occurred_at)?;
        let known = self.transfers[nth].clone();
        for line in known.lines.iter().filter(|line| line.in_transit() > 0) {
            self.must_be_ours(line.item, known.from)?;
        }
        let mut moved = Vec::new();
        for (index, line) in known.lines.iter().enumerate() {
            self.let_go(nth, index, line.reserved);
            if line.in_transit() > 0 {
                self.come_in(nth, index, (known.from, StockState::Available), line.in_transit(), at);
                moved.push((line.item, known.from, line.in_transit()));
                self.transfers[nth].lines[index].returned += line.in_transit();
            }
        }
        self.transfers[nth].state = self.transfers[nth].ended();
        Ok(self.transfer_said(nth, &moved, before))
    }

    // ---- purchase orders -------------------------------------------------------------------------------------

    pub fn place_purchase(&mut self, place: &PlacePurchase) -> Answer {
        if place.lines.is_empty() {
            return Err(Stop::Invalid);
        }
        if let Some(reference) = &place.reference
            && self.purchases.iter().any(|known| known.reference.as_ref() == Some(reference))
        {
            return Err(Stop::Refused(Why::DocumentReferenceTaken));
        }
        let at = self.place(&place.location)?;
        let mut lines = Vec::new();
        for line in &place.lines {
            let item = self.sku(&line.sku)?;
            if !line.quantity.is_positive() {
                return Err(Stop::Invalid);
            }
            lines.push(PurchaseLine { item, wanted: units(line.quantity), ..PurchaseLine::default() });
        }
        let (reference, state) = (place.reference.clone(), PurchaseState::Open);
        self.purchases.push(Purchasing { reference, place: at, state, lines });
        Ok(self.purchase_said(self.purchases.len() - 1, &Vec::new()))
    }

    fn purchasing(&self, id: u64) -> Result<usize, Stop> {
        let nth = usize::try_from(id).unwrap();
        match self.purchases.get(nth).ok_or(Stop::Invalid)?.state {
            PurchaseState::Open => Ok(nth),
            PurchaseState::Closed | PurchaseState::Cancelled => Err(Stop::Refused(Why::DocumentEnded)),
        }
    }

    fn purchase_said(&mut self, nth: usize, moved: &Moves) -> Said {
        self.serve_short();
        let known = &self.purchases[nth];
        let line = |(index, line): (usize, &PurchaseLine)| {
            [line.wanted, line.received, known.open(index), (line.received - line.wanted).max(0)]
        };
        let lines = known.lines.iter().enumerate().map(line).collect();
        Said::Purchase(nth, lines, self.moves_said(moved))
    }

    pub fn amend_purchase(&mut self, amend: &AmendPurchase) -> Answer {
        let nth = self.purchasing(amend.purchase.0)?;
        for change in &amend.lines {
            let Some(name) = &change.line else {
                let item = self.sku(change.sku.as_ref().unwrap())?;
                let wanted = units(change.quantity.unwrap());
                if wanted <= 0 {
                    return Err(Stop::Invalid);
                }
                self.purchases[nth].lines.push(PurchaseLine { item, wanted, ..PurchaseLine::default() });
                continue;
            };
            let line = positions(self.purchases[nth].lines.len(), std::iter::once(name))?[0];
            let wanted = units(change.quantity.unwrap());
            if wanted < 0 {
                return Err(Stop::Invalid);
            }
            let open = self.purchases[nth].open(line);
            if self.purchases[nth].lines[line].wanted - wanted > open {
                return Err(Stop::Refused(Why::DocumentHasLess(open)));
            }
            self.purchases[nth].lines[line].wanted = wanted;
        }
        Ok(self.purchase_said(nth, &Vec::new()))
    }

    /// So much of a line comes in, by somebody's word.
    fn deliver(
        &mut self,
        (nth, line): (usize, usize),
        place: usize,
        into: StockState,
        quantity: i64,
        at: i64,
        by: &str,
    ) {
        let known = &mut self.purchases[nth].lines[line];
        known.received += quantity;
        *known.told.entry(by.to_owned()).or_default() += quantity;
        let item = known.item;
        let absorbed = self.first_count(item, place, at);
        self.arrive((item, place, into), StockState::Supplier, quantity, at, absorbed);
    }

    pub fn receive_purchase(&mut self, receive: &ReceivePurchase) -> Answer {
        if !matches!(receive.into, StockState::Available | StockState::Damaged | StockState::QualityControl) {
            return Err(Stop::Invalid);
        }
        let nth = self.purchasing(receive.purchase.0)?;
        let at = self.past(receive.occurred_at)?;
        let known = self.purchases[nth].clone();
        let place = self.place_if_named(receive.location.as_deref())?.unwrap_or(known.place);
        let mut parts = Vec::new();
        match &receive.lines {
            None => parts.extend(
                (0..known.lines.len()).map(|line| (line, known.open(line))).filter(|part| part.1 > 0),
            ),
            Some(told) => {
                let found = positions(known.lines.len(), told.iter().map(|line| &line.line))?;
                for (position, DeliveredLine { quantity, .. }) in found.into_iter().zip(told) {
                    if !quantity.is_positive() {
                        return Err(Stop::Invalid);
                    }
                    parts.push((position, units(*quantity)));
                }
            }
        }
        if parts.is_empty() {
            return Err(Stop::Refused(Why::DocumentEnded));
        }
        for (line, _) in &parts {
            self.must_be_ours(known.lines[*line].item, place)?;
        }
        let mut moved = Vec::new();
        for (line, quantity) in parts {
            self.deliver((nth, line), place, receive.into, quantity, at, "onhand");
            moved.push((known.lines[line].item, place, quantity));
        }
        Ok(self.purchase_said(nth, &moved))
    }

    pub fn end_purchase(&mut self, end: &EndPurchase) -> Answer {
        let nth = self.purchasing(end.purchase.0)?;
        if end.cancel && self.purchases[nth].lines.iter().any(|line| line.received > 0) {
            return Err(Stop::Refused(Why::DocumentEnded));
        }
        self.purchases[nth].state = if end.cancel { PurchaseState::Cancelled } else { PurchaseState::Closed };
        Ok(self.purchase_said(nth, &Vec::new()))
    }

    // ---- receipts that systems tell of -----------------------------------------------------------------------

    pub fn transfer_named(&self, reference: &str) -> Option<usize> {
        self.transfers.iter().position(|known| known.reference.as_deref() == Some(reference))
    }

    pub fn purchase_named(&self, reference: &str) -> Option<usize> {
        self.purchases.iter().position(|known| known.reference.as_deref() == Some(reference))
    }

    fn received_said(&self, position: usize, item: usize, quantity: i64) -> LineSaid {
        LineSaid {
            line: position.to_string(),
            sku: self.skus[item].clone(),
            quantity,
            allocated: 0,
            shipped: 0,
            short: 0,
            backordered: 0,
            preordered: 0,
        }
    }

    /// A receipt for a purchase order, or for nobody says which. One delivery is told by several, and comes in once; not
    /// so where the teller is itself the master: nobody else's word moves anything there.
    pub fn apply_receipt(&mut self, system: &str, content: &ReceiptContent) -> Result<Vec<LineSaid>, Stop> {
        let at = self.past(content.occurred_at)?;
        let place = self.place(&content.location)?;
        let nth = content.purchase.as_ref().map(|reference| self.purchase_named(reference).unwrap());
        let mut said = Vec::new();
        for (position, line) in content.lines.iter().enumerate() {
            let (item, multiplier) = self.named(system, &line.item).unwrap();
            let quantity = units(line.quantity) * multiplier;
            let mut answer = self.received_said(position, item, quantity);
            if !self.moves(system, item, place) {
                self.note(Cause::NotMaster);
                said.push(answer);
                continue;
            }
            let masters = system != "onhand" && self.master(item, place) == system;
            let mut missing = quantity;
            let lines: Vec<usize> = nth.map_or_else(Vec::new, |nth| {
                let lines = self.purchases[nth].lines.iter().enumerate();
                lines.filter(|(_, line)| line.item == item).map(|(index, _)| index).collect()
            });
            for line in lines.iter().filter(|_| !masters) {
                let known = &mut self.purchases[nth.unwrap()].lines[*line];
                let told = known.told.entry(system.to_owned()).or_default();
                let linked = (known.received - *told).min(missing);
                *told += linked;
                missing -= linked;
            }
            answer.shipped = missing;
            if let Some(nth) = nth {
                for line in &lines {
                    let part = self.purchases[nth].open(*line).min(missing);
                    if part > 0 {
                        self.deliver((nth, *line), place, StockState::Available, part, at, system);
                        missing -= part;
                    }
                }
                if missing > 0 {
                    self.note(Cause::MoreThanOrdered);
                    if let Some(line) = lines.first() {
                        self.deliver((nth, *line), place, StockState::Available, missing, at, system);
                        missing = 0;
                    }
                }
            }
            if missing > 0 {
                let absorbed = self.first_count(item, place, at);
                self.arrive(
                    (item, place, StockState::Available),
                    StockState::Supplier,
                    missing,
                    at,
                    absorbed,
                );
            }
            said.push(answer);
        }
        Ok(said)
    }

    /// A receipt of a transfer, in the state it is in now: the difference to what was told before, by item and place.
    pub fn apply_arrival(
        &mut self,
        system: &str,
        content: &ReceiptContent,
        earlier: Option<&Arrived>,
        owed: &mut Vec<Owed>,
    ) -> Result<(Arrived, Vec<LineSaid>), Stop> {
        let nth = self.transfer_named(content.transfer.as_ref().unwrap()).unwrap();
        let place = self.place(&content.location)?;
        let at = match (content.occurred_at, earlier) {
            (None, Some(earlier)) => earlier.at,
            (told, _) => self.past(told)?,
        };
        let mut said = Vec::new();
        let mut parts = Vec::new();
        for (position, line) in content.lines.iter().enumerate() {
            let (item, multiplier) = self.named(system, &line.item).unwrap();
            let quantity = units(line.quantity) * multiplier;
            said.push(self.received_said(position, item, quantity));
            if self.moves(system, item, place) {
                parts.push((position, item, quantity));
            } else {
                self.note(Cause::NotMaster);
            }
        }
        let mut told_before = BTreeMap::<usize, i64>::new();
        for (item, quantity) in earlier.into_iter().flat_map(|earlier| &earlier.parts) {
            *told_before.entry(*item).or_default() += quantity;
        }
        let mut more = Vec::new();
        for (position, item, quantity) in &parts {
            let same = match told_before.get_mut(item) {
                Some(before) if earlier.is_some_and(|earlier| earlier.place == place) => {
                    let same = (*before).min(*quantity);
                    *before -= same;
                    same
                }
                _ => 0,
            };
            more.push((*position, *item, quantity - same));
        }
        // What is told no more goes back first, at the time it was told of.
        for (item, quantity) in told_before {
            if let Some(earlier) = earlier {
                self.did_not_arrive(nth, system, item, quantity, (earlier.place, earlier.at), owed);
            }
        }
        for (position, item, quantity) in more {
            if quantity > 0 {
                let moved = self.arrived(nth, system, item, quantity, place, at);
                said[position].shipped += moved;
                self.brought(item, place, moved, owed);
            }
        }
        let known = &mut self.transfers[nth];
        let is_on_its_way = known.lines.iter().any(|line| line.in_transit() > 0);
        known.state = if known.is_open() || is_on_its_way { known.stands() } else { known.ended() };
        let parts = parts.into_iter().map(|(_, item, quantity)| (item, quantity)).collect();
        Ok((Arrived { transfer: nth, place, at, parts }, said))
    }

    fn lines_of(&self, nth: usize, item: usize) -> Vec<usize> {
        let lines = self.transfers[nth].lines.iter().enumerate();
        lines.filter(|(_, line)| line.item == item).map(|(index, _)| index).collect()
    }

    /// Says how much moved: what others have told of is the same arrival, unless the teller is the master.
    fn arrived(
        &mut self,
        nth: usize,
        teller: &str,
        item: usize,
        quantity: i64,
        place: usize,
        at: i64,
    ) -> i64 {
        let masters = teller != "onhand" && self.master(item, place) == teller;
        let lines = self.lines_of(nth, item);
        let mut missing = quantity;
        for line in lines.iter().filter(|_| !masters) {
            let known = &mut self.transfers[nth].lines[*line];
            let linked = (known.received + known.over - known.told_by(teller)).min(missing);
            known.tell(teller, linked);
            missing -= linked;
        }
        let moved = missing;
        // First what is on its way.
        for line in &lines {
            let part = self.transfers[nth].lines[*line].in_transit().min(missing);
            if part > 0 {
                missing -= part;
                let known = &mut self.transfers[nth].lines[*line];
                known.received += part;
                known.tell(teller, part);
                self.come_in(nth, *line, (place, StockState::Available), part, at);
            }
        }
        // Then what should have left: it has.
        let (from, open) = (self.transfers[nth].from, self.transfers[nth].is_open());
        for line in lines.iter().filter(|_| open) {
            let known = &mut self.transfers[nth].lines[*line];
            let part = known.to_dispatch().min(missing);
            let kept = known.reserved.min(part);
            if part > 0 && self.moves(teller, item, from) {
                missing -= part;
                let known = &mut self.transfers[nth].lines[*line];
                known.reserved -= kept;
                known.dispatched += part;
                known.received += part;
                known.tell(teller, part);
                let left = &mut self.transfers[nth].left;
                *left = Some(left.map_or(at, |first| first.min(at)));
                let absorbed = self.first_count(item, from, at);
                let own = (StockState::Reserved, kept);
                self.depart_with((item, from), StockState::Production, part, at, absorbed, own);
                let absorbed = self.first_count(item, place, at);
                let there = (item, place, StockState::Available);
                self.arrive(there, StockState::Production, part, at, absorbed);
            }
        }
        // Beyond all that it is found.
        if missing > 0 {
            if let Some(line) = lines.first() {
                let known = &mut self.transfers[nth].lines[*line];
                known.over += missing;
                known.tell(teller, missing);
            }
            self.found_beyond((item, place, StockState::Available), missing, at);
        }
        moved
    }

    /// So much that a system told of did not come in after all: what nobody else tells of goes back on its way, and what
    /// was found is found no more.
    fn did_not_arrive(
        &mut self,
        nth: usize,
        teller: &str,
        item: usize,
        quantity: i64,
        (place, at): (usize, i64),
        owed: &mut Vec<Owed>,
    ) {
        let mut missing = quantity;
        let to = self.transfers[nth].to;
        for line in self.lines_of(nth, item).into_iter().rev() {
            let known = &mut self.transfers[nth].lines[line];
            let told = known.told_by(teller).min(missing);
            if told <= 0 {
                continue;
            }
            missing -= told;
            known.tell(teller, -told);
            let others = known.told.iter().filter(|(other, _)| *other != teller).map(|(_, told)| *told);
            let others = others.max().unwrap_or(0);
            let back = told.min(known.received + known.over - others);
            let over = known.over.min(back);
            known.over -= over;
            known.received -= back - over;
            if over > 0 {
                self.leave_again(item, place, StockState::Adjustment, over, at, owed);
            }
            if back > over {
                self.leave_again(item, place, StockState::Production, back - over, at, owed);
                let (from, to) =
                    (Account::Party(StockState::Production), Account::At(to, StockState::InTransit));
                self.go(item, from, to, back - over, at);
            }
        }
        if missing > 0 {
            self.leave_again(item, place, StockState::Adjustment, missing, at, owed);
        }
    }

    /// What is expected of an item at a place.
    pub fn incoming(&self, item: usize, place: usize) -> i64 {
        let transfers =
            self.transfers.iter().filter(|known| known.to == place).flat_map(|known| &known.lines);
        let sent: i64 =
            transfers.filter(|line| line.item == item).map(|line| line.in_transit() + line.reserved).sum();
        let bought: i64 = self
            .purchases
            .iter()
            .filter(|known| known.place == place)
            .flat_map(|known| (0..known.lines.len()).map(move |line| (known, line)))
            .filter(|(known, line)| known.lines[*line].item == item)
            .map(|(known, line)| known.open(line))
            .sum();
        sent + bought
    }
}
