//! Orders and holds in the naive model: what is promised, given back, shipped and returned.

use std::collections::BTreeMap;

use onhand_ledger::StockState;
use onhand_ledger::command::{
    CancelOrder, ConvertHold, ExtendHold, FulfilOrder, LineQuantity, PlaceHold, PlaceOrder, ReleaseLines,
    ReturnOrder,
};
use onhand_ledger::model::HoldState;

use crate::naive::{
    Account, Answer, Became, Hold, HoldLine, LineSaid, Model, Order, OrderLine, Said, Stop, Why, add, total,
    units,
};

impl Model {
    /// All lines of a request together, or nothing.
    pub fn must_be_available(&self, lines: &[(usize, i64)], only: Option<usize>) -> Result<(), Stop> {
        self.must_be_had(lines, only, false)
    }

    /// As far as an item allows it, what is not available may wait. Silent: with all that is short of it in any order.
    pub fn must_be_had(
        &self,
        lines: &[(usize, i64)],
        only: Option<usize>,
        may_wait: bool,
    ) -> Result<(), Stop> {
        let places = only.map_or_else(|| self.sellable(), |place| vec![place]);
        let mut wanted = BTreeMap::<usize, i64>::new();
        for (item, quantity) in lines {
            *wanted.entry(*item).or_default() += quantity;
        }
        let mut lacks = BTreeMap::new();
        for (item, wanted) in wanted {
            let available: i64 =
                places.iter().map(|place| self.held(item, *place, StockState::Available)).sum();
            let short = self.orders.iter().flat_map(|order| &order.lines).filter(|line| line.item == item);
            let left = self.limits[item].0 - short.map(|line| line.short).sum::<i64>();
            if available >= wanted || (may_wait && wanted - available <= left) {
                continue;
            }
            let held = self.holding(item, &places);
            lacks.insert(self.skus[item].clone(), (wanted, available, held));
        }
        if lacks.is_empty() { Ok(()) } else { Err(Stop::Refused(Why::Insufficient(lacks))) }
    }

    /// How much checkouts hold of an item at places, and when the first of them ends.
    pub fn holding(&self, item: usize, places: &[usize]) -> Option<(i64, i64)> {
        let mut held = 0;
        let mut until = i64::MAX;
        for hold in &self.holds {
            for line in hold.lines.iter().filter(|line| line.item == item) {
                for (_, quantity) in line.reserved.iter().filter(|(place, _)| places.contains(place)) {
                    held += quantity;
                    until = until.min(hold.expires_at);
                }
            }
        }
        (held > 0).then_some((held, until))
    }

    /// A request is promised from places that sell; a fact may name any.
    pub fn must_sell(&self, only: Option<usize>) -> Result<(), Stop> {
        match only.map(|place| &self.sites[place]) {
            Some(site) if !site.sellable => Err(Stop::Refused(Why::NotSellable(site.code.clone()))),
            _ => Ok(()),
        }
    }

    /// Silent: the first site by rank that has all that is missing, else all of them by rank; first of what is
    /// available anywhere, then of the safety stock.
    pub fn choose(
        &self,
        item: usize,
        wanted: i64,
        only: Option<usize>,
        states: &[StockState],
    ) -> Vec<(usize, StockState, i64)> {
        let places = only.map_or_else(|| self.sellable(), |place| vec![place]);
        let mut chosen = Vec::new();
        let mut missing = wanted;
        for state in states {
            let whole = places.iter().find(|place| self.held(item, **place, *state) >= missing);
            for place in whole.map_or_else(|| places.clone(), |place| vec![*place]) {
                let part = self.held(item, place, *state).min(missing);
                if part > 0 {
                    chosen.push((place, *state, part));
                    missing -= part;
                }
            }
        }
        chosen
    }

    /// Promises up to so much to a line.
    pub fn allocate(
        &mut self,
        order: usize,
        line: usize,
        wanted: i64,
        only: Option<usize>,
        fact: bool,
    ) -> i64 {
        let item = self.orders[order].lines[line].item;
        // Facts may draw on safety stock before they are short; requests may not.
        let states: &[StockState] =
            if fact { &[StockState::Available, StockState::SafetyStock] } else { &[StockState::Available] };
        let mut sum = 0;
        for (place, state, quantity) in self.choose(item, wanted, only, states) {
            self.change_state(item, place, state, StockState::Committed, quantity);
            add(&mut self.orders[order].lines[line].allocated, place, quantity);
            sum += quantity;
        }
        sum
    }

    /// What is available goes to short lines, the oldest order first. Silent: safety stock does not.
    pub fn serve_short(&mut self) {
        self.end_told();
        for order in 0..self.orders.len() {
            for line in 0..self.orders[order].lines.len() {
                let short = self.orders[order].lines[line].short;
                if short > 0 {
                    let served = self.allocate(order, line, short, None, false);
                    self.orders[order].lines[line].short -= served;
                }
            }
        }
        self.end_told();
    }

    /// What says that an order is short ends with that.
    pub fn end_told(&mut self) {
        for order in &mut self.orders {
            for line in &mut order.lines {
                // Silent: what is served is what was agreed to wait last.
                line.backordered = line.backordered.min(line.short);
                line.preordered = line.preordered.min(line.short - line.backordered);
            }
            for line in &mut order.lines {
                if line.said_returned <= total(&line.shipped).max(line.said)
                    && let Some(told) = line.over_told.take()
                {
                    self.discrepancies[told].1 = false;
                }
            }
            if order.lines.iter().all(|line| line.short == 0)
                && let Some(told) = order.short_told.take()
            {
                self.discrepancies[told].1 = false;
            }
        }
    }

    /// Gives back what is promised to a line. Silent: the last place first.
    pub fn release(&mut self, order: usize, line: usize, quantity: i64) {
        let mut missing = quantity;
        while missing > 0 {
            let known = &mut self.orders[order].lines[line];
            let (place, there) = *known.allocated.last().unwrap();
            let part = there.min(missing);
            add(&mut known.allocated, place, -part);
            let item = known.item;
            self.change_state(item, place, StockState::Committed, StockState::Available, part);
            missing -= part;
        }
    }

    /// How much of a line is wanted, never less than has shipped. What is short is let go before what is promised.
    pub fn want(&mut self, order: usize, line: usize, wanted: i64, only: Option<usize>) {
        let known = &mut self.orders[order].lines[line];
        let wanted = wanted.max(total(&known.shipped));
        let more = wanted - known.wanted;
        known.wanted = wanted;
        if more > 0 {
            // Nothing is short while there is some: what the named place does not have comes from elsewhere.
            let there = self.allocate(order, line, more, only, true);
            let elsewhere = self.allocate(order, line, more - there, None, true);
            self.orders[order].lines[line].short += more - there - elsewhere;
        } else {
            let from_short = known.short.min(-more);
            known.short -= from_short;
            self.release(order, line, -more - from_short);
        }
    }

    pub fn made(&self) -> usize {
        self.orders.len() + self.holds.len() + self.transfers.len()
    }

    pub fn lapse(&mut self) -> u32 {
        let mut lapsed = 0;
        while let Some(due) = (0..self.holds.len())
            .filter(|hold| self.holds[*hold].state == HoldState::Active)
            .filter(|hold| self.holds[*hold].expires_at <= self.now)
            .min_by_key(|hold| self.holds[*hold].expires_at)
        {
            self.end_hold(due, HoldState::Lapsed, self.holds[due].expires_at);
            lapsed += 1;
        }
        lapsed
    }

    pub fn end_hold(&mut self, hold: usize, state: HoldState, at: i64) {
        self.holds[hold].state = state;
        for line in 0..self.holds[hold].lines.len() {
            let item = self.holds[hold].lines[line].item;
            for (place, quantity) in std::mem::take(&mut self.holds[hold].lines[line].reserved) {
                let account = |state| Account::At(place, state);
                let (from, to) = (account(StockState::Reserved), account(StockState::Available));
                self.go(item, from, to, quantity, at);
            }
        }
    }

    pub fn place_hold(&mut self, place: &PlaceHold) -> Answer {
        let only = self.place_if_named(place.location.as_deref())?;
        let lines = self.lines(&place.lines)?;
        let expires_at = place.expires_at.micros();
        if expires_at <= self.now {
            return Err(Stop::Invalid);
        }
        self.must_sell(only)?;
        if place.partial != Some(true) {
            self.must_be_available(&lines, only)?;
        }
        let mut said = Vec::new();
        let mut hold = Hold { made: self.made(), state: HoldState::Active, expires_at, lines: Vec::new() };
        for (item, asked) in lines.iter().copied() {
            let mut reserved = Vec::new();
            for (place, state, quantity) in self.choose(item, asked, only, &[StockState::Available]) {
                self.change_state(item, place, state, StockState::Reserved, quantity);
                add(&mut reserved, place, quantity);
            }
            said.push((asked, total(&reserved)));
            hold.lines.push(HoldLine { item, asked: total(&reserved), reserved });
        }
        if hold.lines.iter().all(|line| line.asked == 0) {
            // A hold that keeps nothing is none.
            self.must_be_available(&lines, only)?;
        }
        self.holds.push(hold);
        Ok(Said::Hold(self.holds.len() - 1, said))
    }

    pub fn active(&self, hold: usize) -> Result<(), Stop> {
        match self.holds.get(hold).ok_or(Stop::Invalid)?.state {
            HoldState::Active => Ok(()),
            ended => Err(Stop::Refused(Why::HoldEnded(ended))),
        }
    }

    pub fn release_hold(&mut self, hold: usize) -> Answer {
        self.active(hold)?;
        self.end_hold(hold, HoldState::Released, self.now);
        Ok(self.hold_said(hold))
    }

    pub fn hold_said(&self, hold: usize) -> Said {
        let said = |line: &HoldLine| (line.asked, total(&line.reserved));
        Said::Hold(hold, self.holds[hold].lines.iter().map(said).collect())
    }

    pub fn extend_hold(&mut self, extend: &ExtendHold) -> Answer {
        let hold = usize::try_from(extend.hold.0).unwrap();
        self.active(hold)?;
        if extend.expires_at.micros() <= self.now {
            return Err(Stop::Invalid);
        }
        self.holds[hold].expires_at = extend.expires_at.micros();
        Ok(self.hold_said(hold))
    }

    /// Silent: of what a line keeps the last place is let go first.
    pub fn release_lines(&mut self, release: &ReleaseLines) -> Answer {
        let hold = usize::try_from(release.hold.0).unwrap();
        self.active(hold)?;
        for part in &release.lines {
            let line: usize = part.line.parse::<usize>().unwrap() - 1;
            let known = self.holds[hold].lines.get(line).ok_or(Stop::Invalid)?;
            let (item, asked) = (known.item, known.asked);
            let quantity = part.quantity.map_or(asked, units);
            if part.quantity.is_some() && quantity <= 0 {
                return Err(Stop::Invalid);
            }
            if quantity > asked {
                return Err(Stop::Refused(Why::LineHasLess(asked)));
            }
            self.holds[hold].lines[line].asked -= quantity;
            let mut more = total(&self.holds[hold].lines[line].reserved) - (asked - quantity);
            while more > 0 {
                let (place, there) = *self.holds[hold].lines[line].reserved.last().unwrap();
                let part = there.min(more);
                add(&mut self.holds[hold].lines[line].reserved, place, -part);
                self.change_state(item, place, StockState::Reserved, StockState::Available, part);
                more -= part;
            }
        }
        if self.holds[hold].lines.iter().all(|line| line.asked == 0) {
            self.holds[hold].state = HoldState::Released;
        }
        self.serve_short();
        Ok(self.hold_said(hold))
    }

    pub fn convert_hold(&mut self, convert: &ConvertHold) -> Answer {
        let hold = usize::try_from(convert.hold.0).unwrap();
        self.active(hold)?;
        // A line that shall keep nothing is no line of the order.
        let kept: Vec<HoldLine> =
            self.holds[hold].lines.iter().filter(|line| line.asked > 0).cloned().collect();
        if kept.is_empty() {
            return Err(Stop::Invalid);
        }
        let wanted: Vec<(usize, i64)> = kept.iter().map(|line| (line.item, line.asked)).collect();
        let order = self.open_order(convert.reference.as_deref(), &wanted)?;
        self.end_hold(hold, HoldState::Converted, self.now);
        // The order has what the hold kept, where it kept it.
        for (number, line) in kept.iter().enumerate() {
            for (place, quantity) in &line.reserved {
                let (from, to) = (StockState::Available, StockState::Committed);
                self.change_state(line.item, *place, from, to, *quantity);
                add(&mut self.orders[order].lines[number].allocated, *place, *quantity);
            }
        }
        // Silent: what a count has taken from the hold is allocated anew, or short.
        for (number, line) in kept.iter().enumerate() {
            let missing = line.asked - total(&line.reserved);
            let served = self.allocate(order, number, missing, None, false);
            self.orders[order].lines[number].short += missing - served;
        }
        self.serve_short();
        Ok(Said::Order(order, self.lines_said(order)))
    }

    pub fn open_order(&mut self, reference: Option<&str>, lines: &[(usize, i64)]) -> Result<usize, Stop> {
        if let Some(reference) = reference
            && let Some(known) = self.document("onhand", reference)
        {
            return Err(match known.became {
                Became::Order(order) => Stop::Refused(Why::ReferenceTaken(order)),
                // Kinds of documents do not mix.
                _ => Stop::Invalid,
            });
        }
        let line = |(index, (item, wanted)): (usize, &(usize, i64))| OrderLine {
            name: (index + 1).to_string(),
            item: *item,
            wanted: *wanted,
            ..OrderLine::default()
        };
        let lines = lines.iter().enumerate().map(line).collect();
        self.orders.push(Order { made: self.made(), version: 1, lines, short_told: None });
        let order = self.orders.len() - 1;
        if let Some(reference) = reference {
            self.know("onhand", reference, 1, None, Became::Order(order));
        }
        Ok(order)
    }

    pub fn lines_said(&self, order: usize) -> Vec<LineSaid> {
        let said = |line: &OrderLine| LineSaid {
            line: line.name.clone(),
            sku: self.skus[line.item].clone(),
            quantity: line.wanted,
            allocated: total(&line.allocated),
            shipped: total(&line.shipped),
            short: line.short,
            backordered: line.backordered,
            preordered: line.preordered,
        };
        self.orders[order].lines.iter().map(said).collect()
    }

    pub fn place_order(&mut self, place: &PlaceOrder) -> Answer {
        let only = self.place_if_named(place.location.as_deref())?;
        let lines = self.lines(&place.lines)?;
        self.must_sell(only)?;
        // Silent: what is not there is said before that the reference is taken.
        // Silent: an order from one place alone does not wait.
        let may_wait = place.backorder != Some(false) && only.is_none();
        self.must_be_had(&lines, only, may_wait)?;
        let order = self.open_order(place.reference.as_deref(), &lines)?;
        for (line, (_, quantity)) in lines.iter().enumerate() {
            let served = self.allocate(order, line, *quantity, only, false);
            let waits = *quantity - served;
            assert!(waits == 0 || may_wait, "the model promises all of it or nothing");
            let there_from = self.limits[self.orders[order].lines[line].item].1;
            let known = &mut self.orders[order].lines[line];
            known.short = waits;
            *(if there_from > self.now { &mut known.preordered } else { &mut known.backordered }) = waits;
        }
        Ok(Said::Order(order, self.lines_said(order)))
    }

    /// The lines a request names, each once and with no more than it has; or all with all they have.
    pub fn chosen(
        &self,
        order: usize,
        named: Option<&[LineQuantity]>,
        has: impl Fn(&OrderLine) -> i64,
    ) -> Result<Vec<(usize, i64)>, Stop> {
        let lines = &self.orders.get(order).ok_or(Stop::Invalid)?.lines;
        let Some(named) = named else {
            return Ok(lines.iter().map(has).enumerate().filter(|(_, quantity)| *quantity > 0).collect());
        };
        let mut chosen: Vec<(usize, i64)> = Vec::new();
        for LineQuantity { line, quantity, .. } in named {
            // Where an amendment gave a line another item: the first of that name that has so much, or else the last.
            let is_meant = |known: &&OrderLine| known.name == *line;
            let enough = lines.iter().position(|known| is_meant(&known) && has(known) >= units(*quantity));
            let index =
                enough.or_else(|| lines.iter().rposition(|known| is_meant(&known))).ok_or(Stop::Invalid)?;
            if chosen.iter().any(|(other, _)| *other == index) || !quantity.is_positive() {
                return Err(Stop::Invalid);
            }
            if has(&lines[index]) < units(*quantity) {
                return Err(Stop::Refused(Why::LineHasLess(has(&lines[index]))));
            }
            chosen.push((index, units(*quantity)));
        }
        if chosen.is_empty() { Err(Stop::Invalid) } else { Ok(chosen) }
    }

    /// So much of a line left from a place: what was promised to it there, and beyond that by law 2. Says how much of
    /// it was not there by the books.
    pub fn ship(&mut self, order: usize, line: usize, place: usize, quantity: i64, at: i64) -> i64 {
        let known = &mut self.orders[order].lines[line];
        let item = known.item;
        let there = known.allocated.iter().find(|(at, _)| *at == place).map_or(0, |(_, there)| *there);
        let own = there.min(quantity);
        add(&mut known.allocated, place, -own);
        add(&mut known.shipped, place, quantity);
        let was_short = known.short.min(quantity - own);
        known.short -= was_short;
        // What left here is no longer to leave from where it was promised.
        self.release(order, line, quantity - own - was_short);
        let absorbed = self.first_count(item, place, at);
        self.depart((item, place), StockState::Customer, quantity, at, absorbed, own)
    }

    pub fn fulfil(&mut self, fulfil: &FulfilOrder) -> Answer {
        let order = usize::try_from(fulfil.order.0).unwrap();
        let at = self.past(fulfil.occurred_at)?;
        let lines = self.chosen(order, fulfil.lines.as_deref(), |line| total(&line.allocated))?;
        for (line, quantity) in lines {
            let mut missing = quantity;
            for (place, there) in self.orders[order].lines[line].allocated.clone() {
                let part = there.min(missing);
                if part > 0 {
                    self.must_be_ours(self.orders[order].lines[line].item, place)?;
                    self.ship(order, line, place, part, at);
                    missing -= part;
                }
            }
        }
        self.serve_short();
        Ok(Said::Order(order, self.lines_said(order)))
    }

    pub fn cancel(&mut self, cancel: &CancelOrder) -> Answer {
        let order = usize::try_from(cancel.order.0).unwrap();
        let lines = self.chosen(order, cancel.lines.as_deref(), |line| line.wanted - total(&line.shipped))?;
        if lines.is_empty() && self.orders[order].lines.iter().any(|line| total(&line.shipped) > 0) {
            return Err(Stop::Refused(Why::DocumentEnded));
        }
        for (line, quantity) in lines {
            self.want(order, line, self.orders[order].lines[line].wanted - quantity, None);
        }
        self.serve_short();
        Ok(Said::Order(order, self.lines_said(order)))
    }

    pub fn take_back(&mut self, back: &ReturnOrder) -> Answer {
        if !matches!(back.into, StockState::Available | StockState::Damaged | StockState::QualityControl) {
            return Err(Stop::Invalid);
        }
        let order = usize::try_from(back.order.0).unwrap();
        let at = self.past(back.occurred_at)?;
        let to = self.place_if_named(back.location.as_deref())?;
        let out = |line: &OrderLine| total(&line.shipped) - line.returned;
        for (line, quantity) in self.chosen(order, Some(&back.lines), out)? {
            let known = &self.orders[order].lines[line];
            // Silent: of several places it was shipped from, the last.
            let place = to.unwrap_or_else(|| known.shipped.last().unwrap().0);
            self.must_be_ours(known.item, place)?;
            self.come_back(order, line, place, back.into, quantity, at);
        }
        self.serve_short();
        Ok(Said::Order(order, self.lines_said(order)))
    }

    pub fn come_back(
        &mut self,
        order: usize,
        line: usize,
        place: usize,
        into: StockState,
        quantity: i64,
        at: i64,
    ) {
        let known = &mut self.orders[order].lines[line];
        known.returned += quantity;
        let item = known.item;
        let absorbed = self.first_count(item, place, at);
        self.arrive((item, place, into), StockState::Customer, quantity, at, absorbed);
    }
}
