//! Where what is handed in waits for a committer: one lane for people, one for what comes in bulk.
//!
//! In each lane every tenant has a queue of its own, first in, first out, and tenants are served by turns, one submission each. So a
//! tenant's only command waits for one of each other tenant, however much one of them has sent. A lane is bounded as a
//! whole and for each tenant; a few places are each tenant's own, whoever else filled the lane.

use std::collections::VecDeque;

use foldhash::{HashMap, HashMapExt as _};
use onhand_ledger::TenantId;
use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

/// How much may wait in a lane.
#[derive(Clone, Copy)]
pub(crate) struct Room {
    /// Of all tenants together.
    pub all: usize,
    /// Of one.
    pub each: usize,
    /// Of one, though the lane is full.
    pub own: usize,
}

/// What waits in a lane, tenant by tenant.
struct Turns<T> {
    room: Room,
    waiting: HashMap<TenantId, VecDeque<T>>,
    /// Those for whom something waits; whose turn it is comes first.
    next: VecDeque<TenantId>,
    many: usize,
}

impl<T> Turns<T> {
    fn new(room: Room) -> Self {
        Self { room, waiting: HashMap::new(), next: VecDeque::new(), many: 0 }
    }

    /// Behind all else of its tenant. Gives it back where there is no room.
    fn push(&mut self, tenant: TenantId, one: T) -> Result<(), T> {
        let Room { all, each, own } = self.room;
        let of_tenant = self.waiting.get(&tenant).map_or(0, VecDeque::len);
        if of_tenant >= each || (self.many >= all && of_tenant >= own) {
            return Err(one);
        }
        if of_tenant == 0 {
            self.next.push_back(tenant);
        }
        self.waiting.entry(tenant).or_default().push_back(one);
        self.many += 1;
        Ok(())
    }

    /// The oldest of the tenant whose turn it is.
    fn pop(&mut self) -> Option<T> {
        let tenant = self.next.pop_front()?;
        let mine = self.waiting.get_mut(&tenant)?;
        let one = mine.pop_front()?;
        if mine.is_empty() {
            self.waiting.remove(&tenant);
        } else {
            self.next.push_back(tenant);
        }
        self.many -= 1;
        Some(one)
    }

    /// Takes at most so many, by turns.
    fn take(&mut self, most: usize, into: &mut Vec<T>) {
        // Where one tenant is alone nobody's turn is passed over.
        if self.next.len() == 1
            && let Some(mine) = self.next.front().and_then(|only| self.waiting.get_mut(only))
            && mine.len() > most
        {
            self.many -= most;
            into.extend(mine.drain(..most));
            return;
        }
        into.extend(std::iter::from_fn(|| self.pop()).take(most));
    }
}

/// Why something was not taken.
#[derive(Debug)]
pub(crate) enum NoPlace<T> {
    /// Too much is waiting.
    Full(T),
    /// Nobody commits any more.
    Gone,
}

/// Nobody commits any more.
#[derive(Debug)]
pub(crate) struct Gone;

struct Waiting<P, B> {
    people: Turns<P>,
    bulk: Turns<B>,
    /// Nothing more comes.
    closed: bool,
    /// Nobody takes it.
    gone: bool,
}

impl<P, B> Waiting<P, B> {
    const fn is_waiting(&self) -> bool {
        self.people.many + self.bulk.many > 0
    }
}

/// Both lanes of one committer.
pub(crate) struct Lanes<P, B> {
    waiting: Mutex<Waiting<P, B>>,
    came: Condvar,
    /// Something was taken: there may be room.
    taken: Notify,
}

impl<P, B> Lanes<P, B> {
    pub fn new(people: Room, bulk: Room) -> Self {
        let waiting =
            Waiting { people: Turns::new(people), bulk: Turns::new(bulk), closed: false, gone: false };
        Self { waiting: Mutex::new(waiting), came: Condvar::new(), taken: Notify::new() }
    }

    /// Hands in for a person.
    pub fn ask(&self, tenant: TenantId, one: P) -> Result<(), NoPlace<P>> {
        self.hand_in(|waiting| &mut waiting.people, tenant, one)
    }

    /// Hands in for a person, and waits for a place.
    pub async fn ask_in_time(&self, tenant: TenantId, one: P) -> Result<(), Gone> {
        self.in_time(|waiting| &mut waiting.people, tenant, one).await
    }

    /// Hands in behind everything that people ask for, and waits for a place.
    pub async fn ask_in_bulk(&self, tenant: TenantId, one: B) -> Result<(), Gone> {
        self.in_time(|waiting| &mut waiting.bulk, tenant, one).await
    }

    fn hand_in<T>(
        &self,
        lane: impl FnOnce(&mut Waiting<P, B>) -> &mut Turns<T>,
        tenant: TenantId,
        one: T,
    ) -> Result<(), NoPlace<T>> {
        let mut waiting = self.waiting.lock();
        if waiting.gone {
            return Err(NoPlace::Gone);
        }
        lane(&mut waiting).push(tenant, one).map_err(NoPlace::Full)?;
        drop(waiting);
        self.came.notify_one();
        Ok(())
    }

    async fn in_time<T>(
        &self,
        lane: impl Fn(&mut Waiting<P, B>) -> &mut Turns<T>,
        tenant: TenantId,
        mut one: T,
    ) -> Result<(), Gone> {
        loop {
            // Before it is tried, or what is taken in between would not be heard of.
            let taken = self.taken.notified();
            one = match self.hand_in(&lane, tenant, one) {
                Ok(()) => return Ok(()),
                Err(NoPlace::Gone) => return Err(Gone),
                Err(NoPlace::Full(given_back)) => given_back,
            };
            taken.await;
        }
    }

    /// Does anything wait?
    pub fn is_waiting(&self) -> bool {
        self.waiting.lock().is_waiting()
    }

    /// Waits until something waits, or nothing more comes.
    pub fn wait(&self) {
        let mut waiting = self.waiting.lock();
        while !waiting.is_waiting() && !waiting.closed {
            self.came.wait(&mut waiting);
        }
    }

    /// Takes at most so many of what people ask for.
    pub fn take_people(&self, most: usize, into: &mut Vec<P>) {
        if most == 0 {
            return;
        }
        self.waiting.lock().people.take(most, into);
        self.taken.notify_waiters();
    }

    /// Takes one that came in bulk.
    pub fn take_bulk(&self) -> Option<B> {
        let taken = self.waiting.lock().bulk.pop();
        if taken.is_some() {
            self.taken.notify_waiters();
        }
        taken
    }

    /// Nothing more will be handed in.
    pub fn close(&self) {
        self.waiting.lock().closed = true;
        self.came.notify_all();
    }

    /// Nobody will take anything any more: what waits is dropped.
    pub fn leave(&self) {
        let mut waiting = self.waiting.lock();
        waiting.gone = true;
        waiting.closed = true;
        let (people, bulk) = (waiting.people.room, waiting.bulk.room);
        let left = (
            std::mem::replace(&mut waiting.people, Turns::new(people)),
            std::mem::replace(&mut waiting.bulk, Turns::new(bulk)),
        );
        drop(waiting);
        drop(left);
        self.came.notify_all();
        self.taken.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Room = Room { all: 100, each: 60, own: 2 };
    const A: TenantId = TenantId(1);
    const B: TenantId = TenantId(2);
    const C: TenantId = TenantId(3);

    fn taken(turns: &mut Turns<(char, usize)>, most: usize) -> Vec<(char, usize)> {
        let mut into = Vec::new();
        turns.take(most, &mut into);
        into
    }

    #[test]
    fn tenants_are_served_by_turns_and_each_in_its_order() {
        let mut turns = Turns::new(ROOM);
        for number in 0..50 {
            turns.push(A, ('a', number)).unwrap();
        }
        turns.push(B, ('b', 0)).unwrap();
        turns.push(C, ('c', 0)).unwrap();
        turns.push(C, ('c', 1)).unwrap();
        // One of each other tenant is before anybody's only command, however many of them wait.
        assert_eq!(taken(&mut turns, 5), [('a', 0), ('b', 0), ('c', 0), ('a', 1), ('c', 1)]);
        // Alone again; and who comes now waits for one.
        assert_eq!(taken(&mut turns, 3), [('a', 2), ('a', 3), ('a', 4)]);
        turns.push(B, ('b', 1)).unwrap();
        assert_eq!(taken(&mut turns, 3), [('a', 5), ('b', 1), ('a', 6)]);
        assert_eq!(taken(&mut turns, 100).len(), 43);
        assert_eq!((turns.many, turns.pop()), (0, None));
        assert!(turns.waiting.is_empty() && turns.next.is_empty(), "nobody is kept in mind");
    }

    #[test]
    fn a_lane_has_room_for_so_much_of_one_and_of_all_and_always_for_a_few() {
        let mut turns = Turns::new(ROOM);
        let fill = |tenant, turns: &mut Turns<usize>| {
            (0..1_000).take_while(|n| turns.push(tenant, *n).is_ok()).count()
        };
        assert_eq!(fill(A, &mut turns), 60, "as much as one may have");
        assert_eq!(fill(B, &mut turns), 40, "as much as is left");
        assert_eq!(fill(C, &mut turns), 2, "its own");
        assert_eq!(turns.push(C, 7), Err(7), "given back");
        turns.take(10, &mut Vec::new());
        assert_eq!(turns.many, 92);
        assert_eq!(fill(A, &mut turns), 4, "four of its were taken");
    }

    #[tokio::test]
    async fn who_finds_no_place_waits_for_one_and_hears_when_nobody_commits_any_more() {
        let lanes = std::sync::Arc::new(Lanes::<usize, ()>::new(ROOM, ROOM));
        (0..60).for_each(|number| lanes.ask(A, number).unwrap());
        assert!(matches!(lanes.ask(A, 60), Err(NoPlace::Full(60))));
        let later = lanes.clone();
        let waits = tokio::spawn(async move { later.ask_in_time(A, 60).await.is_ok() });
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        lanes.take_people(1, &mut Vec::new());
        assert!(waits.await.unwrap());
        let later = lanes.clone();
        let waits = tokio::spawn(async move { later.ask_in_time(A, 61).await.is_err() });
        tokio::task::yield_now().await;
        lanes.leave();
        assert!(waits.await.unwrap());
        assert!(matches!(lanes.ask(B, 0), Err(NoPlace::Gone)));
    }
}
