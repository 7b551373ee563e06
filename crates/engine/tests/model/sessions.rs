//! Sessions of counting in the naive model: several people look, somebody looks again, one books it.

use std::collections::BTreeMap;

use onhand_ledger::Quantity;
use onhand_ledger::command::{ApplySession, OpenSession, Sight, Threshold};
use onhand_ledger::model::{Recount, SessionState};

use crate::naive::{Answer, Model, Said, Stop, Why, units};

#[derive(Clone, Debug)]
pub struct Counting {
    pub place: usize,
    pub state: SessionState,
    only: Option<Vec<usize>>,
    recount_over: Option<Threshold>,
    approve_over: Option<Threshold>,
    /// By item, in the order they were told.
    looks: BTreeMap<usize, Vec<Look>>,
}

#[derive(Clone, Debug)]
struct Look {
    by: String,
    quantity: i64,
    at: i64,
    /// By the books: at that time, and when it was told.
    expected: i64,
    then: i64,
}

impl Look {
    fn differs_by(&self) -> i64 {
        self.quantity - self.expected
    }

    /// A share of nothing is passed by anything.
    fn is_beyond(&self, over: Option<Threshold>) -> bool {
        let Some(Threshold { units: most, percent }) = over else { return false };
        let by = self.differs_by().abs();
        most.is_some_and(|most| by > units(most))
            || percent.is_some_and(|percent| by * 100 > self.expected.abs() * i64::from(percent))
    }
}

/// Why somebody must look again, after these looks.
fn must_look_again(looks: &[Look], over: Option<Threshold>) -> Option<Recount> {
    let (last, before) = looks.split_last().unwrap();
    let by_others: Vec<&Look> = before.iter().filter(|look| look.by != last.by).collect();
    let says_the_same = |look: &&&Look| look.differs_by() == last.differs_by();
    if by_others.is_empty() {
        // One person alone: a second look that says the same will do.
        return match before.iter().any(|look| look.differs_by() == last.differs_by()) {
            true => None,
            false if last.is_beyond(over) => Some(Recount::Large),
            false if last.differs_by() != 0 && last.then != last.expected => Some(Recount::Moved),
            false => None,
        };
    }
    // Where several have looked, one of the others must say the same.
    if by_others.iter().any(|look| says_the_same(&look)) { None } else { Some(Recount::Disagree) }
}

impl Model {
    pub fn open_session(&mut self, open: &OpenSession) -> Answer {
        let place = self.place(&open.location)?;
        for over in [open.recount_over, open.approve_over].into_iter().flatten() {
            if over.units.is_some_and(Quantity::is_negative) {
                return Err(Stop::Invalid);
            }
        }
        let mut only = None;
        if let Some(skus) = &open.skus {
            let items: Vec<usize> = skus.iter().map(|sku| self.sku(sku)).collect::<Result<_, _>>()?;
            if items.is_empty() || (1..items.len()).any(|index| items[..index].contains(&items[index])) {
                return Err(Stop::Invalid);
            }
            items.iter().try_for_each(|item| self.must_be_ours(*item, place))?;
            only = Some(items);
        }
        self.sessions.push(Counting {
            place,
            state: SessionState::Open,
            only,
            recount_over: open.recount_over,
            approve_over: open.approve_over,
            looks: BTreeMap::new(),
        });
        Ok(Said::Session(self.sessions.len() - 1))
    }

    fn counting(&self, id: u64) -> Result<usize, Stop> {
        let nth = usize::try_from(id).unwrap();
        match self.sessions.get(nth).ok_or(Stop::Invalid)?.state {
            SessionState::Open => Ok(nth),
            SessionState::Applied | SessionState::Cancelled => Err(Stop::Refused(Why::SessionEnded)),
        }
    }

    pub fn sight(&mut self, sight: &Sight) -> Answer {
        let nth = self.counting(sight.session.0)?;
        let place = self.sessions[nth].place;
        if sight.lines.is_empty() || sight.lines.iter().any(|line| line.quantity.is_negative()) {
            return Err(Stop::Invalid);
        }
        let items: Vec<usize> =
            sight.lines.iter().map(|line| self.sku(&line.sku)).collect::<Result<_, _>>()?;
        for (index, (item, line)) in items.iter().zip(&sight.lines).enumerate() {
            if self.sessions[nth].only.as_ref().is_some_and(|only| !only.contains(item)) {
                return Err(Stop::Invalid);
            }
            self.must_be_ours(*item, place)?;
            self.past(line.seen_at)?;
            if items[..index].contains(item) {
                return Err(Stop::Invalid);
            }
        }
        let mut said = Vec::new();
        for (item, line) in items.into_iter().zip(&sight.lines) {
            let (at, quantity) = (self.past(line.seen_at)?, units(line.quantity));
            let (expected, then) = (self.physical(item, place, at), self.physical(item, place, i64::MAX));
            let look = Look { by: self.actor.clone(), quantity, at, expected, then };
            let session = &mut self.sessions[nth];
            let looks = session.looks.entry(item).or_default();
            looks.push(look);
            said.push((self.skus[item].clone(), quantity, must_look_again(looks, session.recount_over)));
        }
        Ok(Said::Sighted(nth, said))
    }

    pub fn apply_session(&mut self, apply: &ApplySession) -> Answer {
        let nth = self.counting(apply.session.0)?;
        let session = self.sessions[nth].clone();
        if session.looks.is_empty() {
            return Err(Stop::Invalid);
        }
        let (mut again, mut large, mut seen) = (Vec::new(), Vec::new(), Vec::new());
        for (item, looks) in &session.looks {
            self.must_be_ours(*item, session.place)?;
            let last = looks.last().unwrap();
            // By what is known of that time by now.
            let expected = self.physical(*item, session.place, last.at);
            let now = Look { expected, ..last.clone() };
            let grew = looks.len() == 1 && now.is_beyond(session.recount_over);
            if grew || must_look_again(looks, session.recount_over).is_some() {
                again.push(self.skus[*item].clone());
            } else if now.is_beyond(session.approve_over) {
                large.push(self.skus[*item].clone());
            }
            seen.push((*item, last.quantity, last.at));
        }
        if !again.is_empty() {
            return Err(Stop::Refused(Why::RecountNeeded(again)));
        }
        if !large.is_empty() && apply.approve != Some(true) {
            return Err(Stop::Refused(Why::ApprovalNeeded(large)));
        }
        self.sessions[nth].state = SessionState::Applied;
        Ok(self.book(session.place, &seen))
    }

    pub fn cancel_session(&mut self, id: u64) -> Answer {
        let nth = self.counting(id)?;
        self.sessions[nth].state = SessionState::Cancelled;
        Ok(Said::Session(nth))
    }
}
