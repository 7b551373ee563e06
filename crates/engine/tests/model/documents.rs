//! Outside documents in the naive model: each is a state, of which the difference to the last one is applied.

use onhand_ledger::command::{
    Content, Document, Happened, MovementLine, Name, OrderContent, OrderContentLine, ShipmentContent,
};
use onhand_ledger::model::Cause;
use onhand_ledger::{Instant, StockState};

use crate::naive::{
    Answer, Became, ByDocument, CameBack, Done, Known, LineSaid, Model, Order, OrderLine, Owed, Said, Stop,
    Waits, add, total, units,
};

impl OrderLine {
    pub fn told_by(&self, system: &str) -> i64 {
        self.told.iter().find(|(other, _)| other == system).map_or(0, |(_, told)| *told)
    }

    pub fn tell(&mut self, system: &str, quantity: i64) {
        match self.told.iter_mut().find(|(other, _)| other == system) {
            Some((_, told)) => *told += quantity,
            None => self.told.push((system.to_owned(), quantity)),
        }
    }
}

impl Model {
    pub fn document(&self, system: &str, name: &str) -> Option<&Known> {
        self.documents.iter().find(|known| known.system == system && known.name == name)
    }

    pub fn know(&mut self, system: &str, name: &str, version: u64, content: Option<Content>, became: Became) {
        self.documents.retain(|known| known.system != system || known.name != name);
        let (system, name) = (system.to_owned(), name.to_owned());
        self.documents.push(Known { system, name, version, content, became, owed: Vec::new() });
    }

    pub fn named(&self, system: &str, name: &Name) -> Option<(usize, i64)> {
        match name {
            Name::Sku(sku) => Some((self.sku(sku).ok()?, 1)),
            Name::Listing(remote) => {
                let (.., sku, multiplier) =
                    self.listings.iter().find(|(whose, name, ..)| whose == system && name == remote)?;
                Some((self.sku(sku).ok()?, *multiplier))
            }
        }
    }

    pub fn record(&mut self, told: &Document) -> Answer {
        let (system, name, version) = (told.system.as_str(), told.document.as_str(), told.version);
        let (names, mut times): (Vec<&str>, Vec<Option<Instant>>) = match &told.content {
            Content::Order(order) => (
                order.lines.iter().map(|line| line.line.as_str()).collect(),
                vec![order.placed_at, order.changed_at],
            ),
            Content::Shipment(shipment) => (vec![], vec![shipment.occurred_at]),
            Content::Movements(lines) => (
                lines.iter().map(|line| line.line.as_str()).collect(),
                lines.iter().map(|line| line.occurred_at).collect(),
            ),
            Content::Receipt(receipt) => (vec![], vec![receipt.occurred_at]),
            Content::Reply(_) | Content::Followed(_) => unreachable!("nothing is sent to a warehouse here"),
        };
        times.retain(Option::is_some);
        if (1..names.len()).any(|index| names[..index].contains(&names[index])) {
            return Err(Stop::Invalid);
        }
        if let Content::Receipt(receipt) = &told.content
            && receipt.lines.iter().any(|line| !line.quantity.is_positive())
        {
            return Err(Stop::Invalid);
        }
        if let Content::Shipment(shipment) = &told.content
            && shipment.order.as_deref() == Some(name)
            && shipment.order_system.as_deref().is_none_or(|owner| owner == system)
        {
            return Err(Stop::Invalid);
        }
        let known = self.document(system, name).cloned();
        if let Some(known) = &known {
            let same = known.version == version && known.content.as_ref() == Some(&told.content);
            if version < known.version || same {
                return Ok(Said::AlreadyApplied(known.version));
            }
            let amends = matches!(
                (&known.became, &told.content),
                (Became::Order(_), Content::Order(_)) | (Became::Movements(..), Content::Movements(_))
            ) || match (&known.became, &told.content) {
                // Of that one transfer for good.
                (Became::Arrived(arrived), Content::Receipt(receipt)) => {
                    let named = receipt.transfer.as_ref().and_then(|name| self.transfer_named(name));
                    named == Some(arrived.transfer)
                }
                _ => false,
            };
            // Silent: a shipment is told once, and a document stays of its kind.
            if version == known.version || !amends {
                return Ok(self.wait(told, Cause::ContradictoryVersion));
            }
        }
        // The first of two that wait under one version is meant; a person is told of the other, once.
        let waiting =
            |waits: &&mut Waits| waits.system == system && waits.name == name && waits.version == version;
        if let Some(waits) = self.waits.iter_mut().find(waiting).filter(|waits| waits.content != told.content)
        {
            if waits.contradictory.is_none() {
                waits.contradictory = Some((self.discrepancies.len(), told.content.clone()));
                self.note(Cause::ContradictoryVersion);
            }
            return Ok(Said::Waiting);
        }
        if !self.all_known(system, &told.content) {
            return Ok(self.wait(told, Cause::UnknownName));
        }
        if times.iter().any(|at| self.past(*at).is_err()) {
            return Ok(self.wait(told, Cause::ClockAhead));
        }
        let before = self.discrepancies.len();
        let mut owed = known.as_ref().map(|known| known.owed.clone()).unwrap_or_default();
        let became = known.map(|known| known.became);
        let (order, became, lines) = match &told.content {
            Content::Order(content) => {
                let order = match became {
                    Some(Became::Order(order)) => order,
                    _ => self.open_empty(),
                };
                self.orders[order].version = version;
                self.apply_order(system, order, content, &mut owed)?;
                (Some(order), Became::Order(order), Vec::new())
            }
            Content::Shipment(content) => (None, Became::Shipment, self.apply_shipment(system, content)?),
            Content::Receipt(content) if content.transfer.is_some() => {
                let earlier = match &became {
                    Some(Became::Arrived(earlier)) => Some(earlier),
                    _ => None,
                };
                let (arrived, lines) = self.apply_arrival(system, content, earlier, &mut owed)?;
                (None, Became::Arrived(arrived), lines)
            }
            Content::Receipt(content) => (None, Became::Receipt, self.apply_receipt(system, content)?),
            Content::Reply(_) | Content::Followed(_) => unreachable!("nothing is sent to a warehouse here"),
            Content::Movements(content) => {
                let (earlier, mut short_told) = match became {
                    Some(Became::Movements(earlier, short_told)) => (earlier, short_told),
                    _ => (Vec::new(), None),
                };
                let (done, lines) =
                    self.apply_movements(system, content, &earlier, &mut owed, &mut short_told)?;
                (None, Became::Movements(done, short_told), lines)
            }
        };
        self.know(system, name, version, Some(told.content.clone()), became);
        self.documents.last_mut().unwrap().owed = owed;
        // Law 10: a newer version that waits goes on waiting.
        let done: Vec<Waits> = self
            .waits
            .iter()
            .filter(|waits| waits.system == system && waits.name == name && waits.version <= version)
            .cloned()
            .collect();
        for waits in done {
            self.end_waiting(&[waits.discrepancy]);
            match waits.contradictory {
                Some((discrepancy, content)) if waits.version == version => {
                    let sold = Vec::new();
                    self.waits.push(Waits { discrepancy, content, sold, contradictory: None, ..waits });
                }
                Some((discrepancy, _)) => self.end_waiting(&[discrepancy]),
                None => {}
            }
        }
        self.serve_short();
        let lines = order.map_or(lines, |order| self.lines_said(order));
        Ok(Said::Recorded { order, lines, discrepancies: self.discrepancies.len() - before })
    }

    pub fn end_waiting(&mut self, discrepancies: &[usize]) {
        for discrepancy in discrepancies {
            self.discrepancies[*discrepancy].1 = false;
        }
        self.waits.retain(|waits| !discrepancies.contains(&waits.discrepancy));
    }

    pub fn all_known(&self, system: &str, content: &Content) -> bool {
        let item = |name: &Name| self.named(system, name).is_some();
        let place = |code: &str| self.place(code).is_ok();
        match content {
            Content::Order(order) => {
                order.lines.iter().all(|line| item(&line.item) && line.location.as_deref().is_none_or(place))
            }
            Content::Shipment(shipment) => {
                place(&shipment.location) && shipment.lines.iter().all(|line| item(&line.item))
            }
            Content::Movements(lines) => lines.iter().all(|line| item(&line.item) && place(&line.location)),
            Content::Receipt(receipt) => {
                receipt.purchase.as_ref().is_none_or(|name| self.purchase_named(name).is_some())
                    && receipt.transfer.as_ref().is_none_or(|name| self.transfer_named(name).is_some())
                    && place(&receipt.location)
                    && receipt.lines.iter().all(|line| item(&line.item))
            }
            Content::Reply(_) | Content::Followed(_) => unreachable!("nothing is sent to a warehouse here"),
        }
    }

    /// It waits for a person, once; a newer version takes the place of an older one.
    pub fn wait(&mut self, told: &Document, cause: Cause) -> Said {
        let (system, name, version) = (told.system.clone(), told.document.clone(), told.version);
        let waiting = self.waits.iter().find(|waits| waits.system == system && waits.name == name).cloned();
        if let Some(waiting) = waiting {
            if waiting.version >= version {
                // What it names may be known by now, and is sold then.
                if (waiting.version, &waiting.content) == (version, &told.content) {
                    let sold = self.sold(told);
                    let mut all = self.waits.iter_mut();
                    let it = all.find(|waits| waits.system == system && waits.name == name).unwrap();
                    it.sold = sold;
                }
                return Said::Waiting;
            }
            self.end_waiting(&[waiting.discrepancy]);
            if let Some((discrepancy, _)) = waiting.contradictory {
                self.end_waiting(&[discrepancy]);
            }
        }
        let discrepancy = self.note(cause);
        let (sold, content) = (self.sold(told), told.content.clone());
        self.waits.push(Waits { system, name, version, discrepancy, sold, content, contradictory: None });
        Said::Waiting
    }

    /// What an order that waits has sold of what is known by name.
    pub fn sold(&self, told: &Document) -> Vec<(usize, i64)> {
        let mut sold = Vec::new();
        if let Content::Order(content) = &told.content
            && !content.cancelled
        {
            for line in &content.lines {
                if let Some((item, multiplier)) = self.named(&told.system, &line.item) {
                    add(&mut sold, item, units(line.quantity) * multiplier);
                }
            }
        }
        sold
    }

    /// How much of an item the documents that wait have sold, beyond what is wanted of their orders already.
    pub fn claimed(&self, item: usize) -> i64 {
        let mut claimed = 0;
        for waits in &self.waits {
            let sold: i64 = waits.sold.iter().filter(|(of, _)| *of == item).map(|(_, sold)| sold).sum();
            let known = self.document(&waits.system, &waits.name).map(|known| &known.became);
            let wanted: i64 = match known {
                Some(Became::Order(order)) => {
                    let lines = self.orders[*order].lines.iter();
                    lines.filter(|line| line.item == item).map(|line| line.wanted).sum()
                }
                _ => 0,
            };
            claimed += (sold - wanted).max(0);
        }
        claimed
    }

    pub fn open_empty(&mut self) -> usize {
        self.orders.push(Order { made: self.made(), version: 0, lines: Vec::new(), short_told: None });
        self.orders.len() - 1
    }

    /// The line of that name and item; else one that only a shipment has told of; else a new one. Where other lines of
    /// the item follow, it takes no more of what a shipment told than it wants itself: `most`.
    pub fn line_of(&mut self, order: usize, name: &str, item: usize, most: Option<i64>) -> usize {
        let lines = &mut self.orders[order].lines;
        if let Some(known) = lines.iter().position(|line| line.name == name && line.item == item) {
            return known;
        }
        let nameless = lines.iter().position(|line| line.name.is_empty() && line.item == item);
        if let Some(nameless) = nameless
            && most.is_none_or(|most| total(&lines[nameless].shipped) <= most)
        {
            name.clone_into(&mut lines[nameless].name);
            return nameless;
        }
        let mut line = OrderLine { name: name.to_owned(), item, ..OrderLine::default() };
        if let (Some(nameless), Some(most)) = (nameless, most) {
            let from = &mut lines[nameless];
            line.told = from.told.iter().map(|(system, told)| (system.clone(), (*told).min(most))).collect();
            from.wanted -= most;
            line.wanted = most;
            let mut missing = most;
            for (place, quantity) in from.shipped.clone() {
                let part = quantity.min(missing);
                add(&mut from.shipped, place, -part);
                add(&mut line.shipped, place, part);
                missing -= part;
            }
            // What is said of all of it is said of the part too.
            line.returned = from.returned.min(most);
            from.returned -= line.returned;
            for (_, told) in &mut from.told {
                *told -= (*told).min(most);
            }
        }
        lines.push(line);
        lines.len() - 1
    }

    pub fn apply_order(
        &mut self,
        system: &str,
        order: usize,
        content: &OrderContent,
        owed: &mut Vec<Owed>,
    ) -> Result<(), Stop> {
        let at = self.past(content.changed_at)?;
        let short = |model: &Self| -> i64 { model.orders[order].lines.iter().map(|line| line.short).sum() };
        let short_before = short(self);
        let mut told = Vec::new();
        let item_of = |model: &Self, line: &OrderContentLine| model.named(system, &line.item).unwrap().0;
        for (position, line) in content.lines.iter().enumerate() {
            let (item, multiplier) = self.named(system, &line.item).unwrap();
            let place = self.place_if_named(line.location.as_deref())?;
            let shipped = units(line.shipped) * multiplier;
            let wanted = units(line.quantity) * multiplier;
            let others_follow =
                content.lines[position + 1..].iter().any(|other| item_of(self, other) == item);
            let most = others_follow.then_some(wanted.max(shipped));
            // What was shipped was wanted.
            let wanted = if content.cancelled { shipped } else { wanted.max(shipped) };
            let index = self.line_of(order, &line.line, item, most);
            told.push((index, place, wanted, shipped, units(line.returned) * multiplier));
        }
        let gone: Vec<usize> = (0..self.orders[order].lines.len())
            .filter(|index| told.iter().all(|(other, ..)| other != index))
            .collect();
        for (position, (index, ..)) in told.iter().enumerate() {
            let (_, multiplier) = self.named(system, &content.lines[position].item).unwrap();
            let line = &content.lines[position];
            self.inherit(order, *index, units(line.quantity.max(line.shipped)) * multiplier, &gone);
        }
        // What is not told any more: what comes in is booked before what goes out.
        let mut now: Vec<(usize, i64, i64)> = gone.iter().map(|index| (*index, 0, 0)).collect();
        now.extend(told.iter().map(|(index, _, _, shipped, returned)| (*index, *shipped, *returned)));
        let mut leaving = Vec::new();
        for (index, _, returned) in &now {
            leaving.extend(self.no_longer_returned(order, *index, *returned));
        }
        let mut again = Vec::new();
        for (index, shipped, _) in &now {
            again.extend(self.no_longer_shipped(order, *index, *shipped, owed));
        }
        for back in leaving {
            self.leave_again(back.item, back.place, StockState::Customer, back.quantity, back.at, owed);
        }
        for index in gone {
            self.want(order, index, 0, None);
        }
        for (index, place, quantity) in again {
            let wanted = quantity.min(self.orders[order].lines[index].short);
            let promised = self.allocate(order, index, wanted, Some(place), true);
            self.orders[order].lines[index].short -= promised;
        }
        // Silent: what a version gives back is there for what it takes, before older orders' short lines.
        for (index, place, wanted, ..) in &told {
            if *wanted <= self.orders[order].lines[*index].wanted {
                self.want(order, *index, *wanted, *place);
            }
        }
        for (index, place, wanted, ..) in &told {
            if *wanted > self.orders[order].lines[*index].wanted {
                self.want(order, *index, *wanted, *place);
            }
        }
        for (index, _, _, _, returned) in &told {
            self.bring_back(system, order, *index, *returned, at, owed);
        }
        for (index, place, _, shipped, _) in &told {
            self.told_shipped(system, order, *index, *shipped, *place, at);
        }
        for (index, _, _, _, returned) in told {
            self.told_returned(system, order, index, returned, at, owed);
        }
        // Silent: before what was broken here is served from elsewhere.
        if short(self) > short_before {
            // What was said before of less is over.
            if let Some(told) = self.orders[order].short_told.take() {
                self.discrepancies[told].1 = false;
            }
            self.orders[order].short_told = Some(self.note(Cause::Short));
        }
        Ok(())
    }

    /// So much has left so far by the word of the order's own document: what nobody told before moves, where its word
    /// moves stock. Silent: from the promises, the first place first; then what is short, from the place the line names,
    /// or from where it lies.
    pub fn told_shipped(
        &mut self,
        system: &str,
        order: usize,
        line: usize,
        told: i64,
        place: Option<usize>,
        at: i64,
    ) {
        self.orders[order].lines[line].said = told;
        let known = self.orders[order].lines[line].clone();
        let mut missing = told - total(&known.shipped);
        for (from, there) in known.allocated {
            let part = there.min(missing);
            if part <= 0 {
                break;
            }
            // One parcel, once: of what is promised where another system is master, that one has yet to tell.
            missing -= part;
            if self.moves(system, known.item, from) {
                self.ship_by_document(order, line, from, part, at);
            }
        }
        let part = missing.min(self.orders[order].lines[line].short);
        if part <= 0 {
            return;
        }
        let places =
            place.map_or_else(|| self.left_from(system, known.item, part), |place| vec![(place, part)]);
        for (from, part) in places {
            if self.moves(system, known.item, from) {
                self.ship_by_document(order, line, from, part, at);
            }
        }
    }

    /// Where so much left from, where nobody says: from the system's own places, then from the others, by rank; of each
    /// what is free, and then in the order of law 2. What is nowhere left from the first.
    pub fn left_from(&self, system: &str, item: usize, quantity: i64) -> Vec<(usize, i64)> {
        const ORDER: [StockState; 6] = [
            StockState::Available,
            StockState::SafetyStock,
            StockState::Reserved,
            StockState::Committed,
            StockState::QualityControl,
            StockState::Damaged,
        ];
        let (own, others): (Vec<usize>, Vec<usize>) =
            self.sellable().into_iter().partition(|place| self.mapped.contains(&(system.to_owned(), *place)));
        let mut places = Vec::new();
        for places_of in [&own, &others] {
            for state in ORDER {
                for place in places_of {
                    let part = self.held(item, *place, state).min(quantity - total(&places));
                    add(&mut places, *place, part);
                }
            }
        }
        let first = own.first().or(others.first()).unwrap();
        let missing = quantity - total(&places);
        add(&mut places, *first, missing);
        places
    }

    pub fn ship_by_document(&mut self, order: usize, line: usize, place: usize, quantity: i64, at: i64) {
        let balanced = self.ship(order, line, place, quantity, at);
        let told = self.now;
        let of_line = &mut self.orders[order].lines[line];
        let item = of_line.item;
        of_line.by_document.push(ByDocument { item, place, quantity, at, balanced, told });
    }

    /// What a newer version calls otherwise: what has left of lines that it no longer names has left of those that came in
    /// their place, what left by its word before the rest.
    pub fn inherit(&mut self, order: usize, line: usize, quantity: i64, gone: &[usize]) {
        let lines = &mut self.orders[order].lines;
        let mut to = lines[line].clone();
        let mut missing = quantity - total(&to.shipped);
        for source in gone {
            let from = &mut lines[*source];
            if from.item != to.item {
                continue;
            }
            let given = total(&from.shipped).min(missing);
            if given <= 0 {
                continue;
            }
            missing -= given;
            let mut left = given;
            while left > 0 && !from.by_document.is_empty() {
                let first = &mut from.by_document[0];
                let quantity = first.quantity.min(left);
                let part = ByDocument { quantity, balanced: first.balanced.min(quantity), ..*first };
                first.quantity -= part.quantity;
                first.balanced -= part.balanced;
                from.by_document.retain(|part| part.quantity > 0);
                add(&mut from.shipped, part.place, -quantity);
                add(&mut to.shipped, part.place, quantity);
                to.by_document.push(part);
                left -= quantity;
            }
            for (place, there) in from.shipped.clone() {
                let part = there.min(left);
                add(&mut from.shipped, place, -part);
                add(&mut to.shipped, place, part);
                left -= part;
            }
            from.wanted -= given;
            to.wanted += given;
            let said = from.said.min(given);
            from.said -= said;
            to.said += said;
            let returned = from.returned.min(given);
            from.returned -= returned;
            to.returned += returned;
            let said = from.said_returned.min(returned);
            from.said_returned -= said;
            to.said_returned += said;
            let mut left = returned;
            while left > 0 && !from.returned_by_document.is_empty() {
                let last = from.returned_by_document.last_mut().unwrap();
                let part = CameBack { quantity: last.quantity.min(left), ..*last };
                last.quantity -= part.quantity;
                from.returned_by_document.retain(|part| part.quantity > 0);
                to.returned_by_document.push(part);
                left -= part.quantity;
            }
            for (system, told) in &mut from.told {
                let part = (*told).min(given);
                *told -= part;
                to.tell(system, part);
            }
        }
        lines[line] = to;
    }

    /// The document says that less has left than it said before: what left by its word is there again, where and when it
    /// left, and wanted again: says of which line how much where. Silent: what came back already does not come back again,
    /// nor what a shipment told of too; the last first.
    pub fn no_longer_shipped(
        &mut self,
        order: usize,
        line: usize,
        told: i64,
        owed: &mut Vec<Owed>,
    ) -> Vec<(usize, usize, i64)> {
        let known = self.orders[order].lines[line].clone();
        let parcels = known.told.iter().map(|(_, told)| *told).max().unwrap_or(0);
        let mut back = (known.said - told).min(total(&known.shipped) - known.returned.max(parcels));
        self.orders[order].lines[line].said = known.said.min(told);
        let mut again = Vec::new();
        for part in known.by_document.iter().rev() {
            let quantity = part.quantity.min(back);
            if quantity <= 0 {
                break;
            }
            back -= quantity;
            let of_line = &mut self.orders[order].lines[line];
            add(&mut of_line.shipped, part.place, -quantity);
            of_line.short += quantity;
            let last = of_line.by_document.last_mut().unwrap();
            let balanced = last.balanced.min(quantity);
            last.quantity -= quantity;
            last.balanced -= balanced;
            if last.quantity == 0 {
                of_line.by_document.pop();
            }
            let absorbed = self.first_count(part.item, part.place, part.at);
            let into = (part.item, part.place, StockState::Available);
            self.arrive(into, StockState::Customer, quantity, part.at, absorbed);
            self.unbalance(part.item, part.place, balanced, part.told);
            self.brought(part.item, part.place, quantity - balanced, owed);
            again.push((line, part.place, quantity));
        }
        again
    }

    /// So much came back so far: no more than was shipped, and what is beyond all that has left is told.
    pub fn told_returned(
        &mut self,
        system: &str,
        order: usize,
        line: usize,
        told: i64,
        at: i64,
        owed: &mut Vec<Owed>,
    ) {
        let known = self.orders[order].lines[line].clone();
        self.orders[order].lines[line].said_returned = told;
        if told > total(&known.shipped).max(known.said).max(known.said_returned) {
            // What was said before of fewer is over.
            if let Some(earlier) = known.over_told {
                self.discrepancies[earlier].1 = false;
            }
            self.orders[order].lines[line].over_told = Some(self.note(Cause::MoreThanOrdered));
        }
        self.bring_back(system, order, line, told, at, owed);
    }

    pub fn bring_back(
        &mut self,
        system: &str,
        order: usize,
        line: usize,
        told: i64,
        at: i64,
        owed: &mut Vec<Owed>,
    ) {
        let known = self.orders[order].lines[line].clone();
        let quantity = told.min(total(&known.shipped)) - known.returned;
        if quantity <= 0 {
            return;
        }
        let (item, place) = (known.item, known.shipped.last().unwrap().0);
        if self.moves(system, item, place) {
            self.come_back(order, line, place, StockState::Available, quantity, at);
            self.brought(item, place, quantity, owed);
            let back = CameBack { item, place, quantity, at };
            self.orders[order].lines[line].returned_by_document.push(back);
        }
    }

    /// The document says that less came back than it said before: says what of what came by its word, the last first, leaves
    /// again.
    pub fn no_longer_returned(&mut self, order: usize, line: usize, told: i64) -> Vec<CameBack> {
        let of_line = &mut self.orders[order].lines[line];
        let mut back = (of_line.said_returned - told).min(of_line.returned - told);
        of_line.said_returned = of_line.said_returned.min(told);
        let mut leaving = Vec::new();
        while back > 0
            && let Some(last) = of_line.returned_by_document.pop()
        {
            let quantity = last.quantity.min(back);
            back -= quantity;
            of_line.returned -= quantity;
            if quantity < last.quantity {
                of_line.returned_by_document.push(CameBack { quantity: last.quantity - quantity, ..last });
            }
            leaving.push(CameBack { quantity, ..last });
        }
        leaving
    }

    /// What a document had brought leaves again; what of it is not there any more is balanced.
    pub fn leave_again(
        &mut self,
        item: usize,
        place: usize,
        party: StockState,
        quantity: i64,
        at: i64,
        owed: &mut Vec<Owed>,
    ) {
        let absorbed = self.first_count(item, place, at);
        let quantity = self.depart((item, place), party, quantity, at, absorbed, 0);
        if quantity > 0 {
            owed.push(Owed { item, place, quantity, told: self.now });
        }
    }

    /// A document brought so much: what was balanced of what it took back there before was there all along.
    pub fn brought(&mut self, item: usize, place: usize, quantity: i64, owed: &mut Vec<Owed>) {
        let mut left = quantity;
        for known in owed.iter_mut() {
            let part = known.quantity.min(left);
            if part > 0 && known.place == place && self.live(known.item) == self.live(item) {
                left -= part;
                known.quantity -= part - self.unbalance(known.item, place, part, known.told);
            }
        }
        owed.retain(|known| known.quantity > 0);
    }

    pub fn apply_shipment(&mut self, system: &str, content: &ShipmentContent) -> Result<Vec<LineSaid>, Stop> {
        let at = self.past(content.occurred_at)?;
        let place = self.place(&content.location)?;
        let order = match &content.order {
            None => None,
            Some(name) => {
                let owner = content.order_system.as_deref().unwrap_or(system);
                Some(match self.document(owner, name).map(|known| known.became.clone()) {
                    Some(Became::Order(order)) => order,
                    // Kinds of documents do not mix.
                    Some(_) => return Err(Stop::Invalid),
                    None => {
                        let order = self.open_empty();
                        self.know(owner, name, 0, None, Became::Order(order));
                        order
                    }
                })
            }
        };
        let mut said = Vec::new();
        for (index, line) in content.lines.iter().enumerate() {
            let (item, multiplier) = self.named(system, &line.item).unwrap();
            let quantity = units(line.quantity) * multiplier;
            let shipped = if self.moves(system, item, place) {
                self.left(system, order, item, place, quantity, at)
            } else {
                self.note(Cause::NotMaster);
                0
            };
            said.push(LineSaid {
                line: index.to_string(),
                sku: self.skus[item].clone(),
                quantity,
                allocated: 0,
                shipped,
                short: 0,
                backordered: 0,
                preordered: 0,
            });
        }
        Ok(said)
    }

    /// A shipment tells that so much left for an order; says how much of it moves. One parcel is told by several, and
    /// moves once: what has left of a line beyond what this teller's own shipments told is what it tells of now. Not so
    /// where the teller is itself the master: nobody else's word moves anything there.
    pub fn left(
        &mut self,
        teller: &str,
        order: Option<usize>,
        item: usize,
        place: usize,
        quantity: i64,
        at: i64,
    ) -> i64 {
        let mut missing = quantity;
        let mut linked = 0;
        if let Some(order) = order {
            let its_own = teller != "onhand" && self.master(item, place) == teller;
            let lines: Vec<usize> = (0..self.orders[order].lines.len())
                .filter(|line| self.orders[order].lines[*line].item == item)
                .collect();
            for line in lines.iter().filter(|_| !its_own) {
                let known = &mut self.orders[order].lines[*line];
                let part = (total(&known.shipped) - known.told_by(teller)).min(missing);
                if part > 0 {
                    known.tell(teller, part);
                    missing -= part;
                    linked += part;
                }
            }
            for line in &lines {
                let known = &mut self.orders[order].lines[*line];
                let part = (known.wanted - total(&known.shipped)).min(missing);
                if part > 0 {
                    known.tell(teller, part);
                    self.ship(order, *line, place, part, at);
                    missing -= part;
                }
            }
            if missing > 0 && self.orders[order].version == 0 {
                // A shipment naming an unknown order opens it: it wants at least what left.
                let line = self.line_of(order, "", item, None);
                let known = &mut self.orders[order].lines[line];
                known.wanted += missing;
                known.short += missing;
                known.tell(teller, missing);
                self.ship(order, line, place, missing, at);
                return quantity - linked;
            }
            if missing > 0 {
                self.note(Cause::MoreThanOrdered);
            }
        }
        if missing > 0 {
            let absorbed = self.first_count(item, place, at);
            self.depart((item, place), StockState::Customer, missing, at, absorbed, 0);
        }
        quantity - linked
    }

    pub fn apply_movements(
        &mut self,
        system: &str,
        content: &[MovementLine],
        earlier: &[Done],
        owed: &mut Vec<Owed>,
        short_told: &mut Option<usize>,
    ) -> Result<(Vec<Done>, Vec<LineSaid>), Stop> {
        // A newer version is applied as a difference: what is not told any more, or otherwise, is taken back first,
        // at the time it is said to have happened.
        for done in earlier.iter().filter(|done| !content.contains(&done.line) && done.moved < 0) {
            let absorbed = self.first_count(done.item, done.place, done.at);
            let into = (done.item, done.place, StockState::Available);
            self.arrive(into, done.party, -done.moved, done.at, absorbed);
            self.unbalance(done.item, done.place, done.balanced, done.told);
            self.brought(done.item, done.place, -done.moved - done.balanced, owed);
        }
        let mut new = Vec::new();
        let takes = |line: &MovementLine| matches!(line.what, Happened::Sold | Happened::Lost);
        // Silent: what comes in is booked before what goes out, each in the order of the lines.
        for outgoing in [false, true] {
            for done in
                earlier.iter().filter(|done| outgoing && !content.contains(&done.line) && done.moved > 0)
            {
                self.leave_again(done.item, done.place, done.party, done.moved, done.at, owed);
            }
            for line in content.iter().filter(|line| takes(line) == outgoing) {
                if earlier.iter().all(|done| done.line != *line) {
                    let (item, multiplier) = self.named(system, &line.item).unwrap();
                    let done = self.happen(system, line, item, units(line.quantity) * multiplier)?;
                    if done.moved > 0 {
                        self.brought(done.item, done.place, done.moved, owed);
                    }
                    new.push(done);
                }
            }
        }
        let mut all = Vec::new();
        let mut said = Vec::new();
        for line in content {
            let (_, multiplier) = self.named(system, &line.item).unwrap();
            let done = earlier.iter().chain(&new).find(|done| done.line == *line).unwrap().clone();
            said.push(LineSaid {
                line: line.line.clone(),
                sku: self.skus[done.item].clone(),
                quantity: units(line.quantity) * multiplier,
                allocated: 0,
                shipped: done.moved.abs(),
                short: done.short,
                backordered: 0,
                preordered: 0,
            });
            all.push(done);
        }
        let short = |lines: &[Done]| lines.iter().map(|done| done.short).sum::<i64>();
        if short(&all) != short(earlier) {
            if let Some(told) = short_told.take() {
                self.discrepancies[told].1 = false;
            }
            *short_told = (short(&all) > 0).then(|| self.note(Cause::Short));
        }
        Ok((all, said))
    }

    /// What balanced goods that were not there, as the books had it, goes with the word that they left.
    pub fn unbalance(&mut self, item: usize, place: usize, balanced: i64, at: i64) -> i64 {
        if balanced == 0 {
            return 0;
        }
        // Silent: it was balanced when it was told, of what the item was then.
        let item = self.item_at(item, at);
        // Silent: a count may have said since that they were there.
        let mut taken = 0;
        for known in
            self.balances.iter_mut().filter(|known| (known.item, known.place, known.at) == (item, place, at))
        {
            let part = known.left.min(balanced - taken);
            known.left -= part;
            taken += part;
        }
        let absorbed = self.first_count(item, place, at);
        if taken == 0 {
            0
        } else {
            self.depart((item, place), StockState::Adjustment, taken, at, absorbed, 0)
        }
    }

    pub fn happen(
        &mut self,
        system: &str,
        line: &MovementLine,
        item: usize,
        quantity: i64,
    ) -> Result<Done, Stop> {
        let place = self.place(&line.location)?;
        let at = self.past(line.occurred_at)?;
        // Silent: a listing is what it is mapped to by now, whatever it was then.
        let item = match &line.item {
            Name::Sku(sku) => self.meant(sku, at)?,
            Name::Listing(_) => item,
        };
        let party = match line.what {
            Happened::Sold | Happened::Returned => StockState::Customer,
            Happened::Found | Happened::Lost => StockState::Adjustment,
            Happened::Received => StockState::Supplier,
        };
        let mut done = Done {
            line: line.clone(),
            item,
            place,
            moved: 0,
            short: 0,
            party,
            at,
            balanced: 0,
            told: self.now,
        };
        if !self.moves(system, item, place) {
            self.note(Cause::NotMaster);
            return Ok(done);
        }
        let absorbed = self.first_count(item, place, at);
        match line.what {
            Happened::Returned | Happened::Found | Happened::Received => {
                self.arrive((item, place, StockState::Available), party, quantity, at, absorbed);
                done.moved = quantity;
            }
            Happened::Lost => {
                done.balanced = self.depart((item, place), party, quantity, at, absorbed, 0);
                done.moved = -quantity;
            }
            Happened::Sold => {
                let live = self.live(item);
                let free = self.held(live, place, StockState::Available)
                    + self.held(live, place, StockState::SafetyStock);
                // Law 11: what was gone when a count was taken is in the count's difference already.
                let part = if self.has_seen(item, place, at) { quantity } else { quantity.min(free) };
                if part > 0 {
                    done.balanced = self.depart((item, place), party, part, at, absorbed, 0);
                }
                done.moved = -part;
                done.short = quantity - part;
            }
        }
        Ok(done)
    }
}
