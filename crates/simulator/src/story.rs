//! What a seed stands for: systems, stock, and all that people, customers and misfortune will do, when.
//!
//! A story is made whole before it is played, so that parts of it can be left out and the rest stays what it was: so a
//! failing one becomes short. What a step names is taken modulo what there is.

use std::fmt;

use onhand_channels::Meaning;
use onhand_ledger::model::{Direction, Mode, Policy, Schedule, Timing, Zeros};
use serde::{Deserialize, Serialize};

use crate::random::Random;
use crate::world::{Change, Fault, Nature};

/// A listing as planned.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Listing {
    /// Which item.
    pub item: usize,
    /// Units in one of it.
    pub multiplier: u32,
    /// What it shows before we are connected.
    pub shows: i64,
    /// Is it mapped from the start?
    pub mapped: bool,
}

/// A system as planned.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct System {
    /// How it is.
    pub nature: Nature,
    /// What it lists.
    pub listings: Vec<Listing>,
    /// Which of our locations count for its only one; it stands for the first.
    pub locations: Vec<usize>,
    /// Which way its numbers go, when, and what becomes of what is changed over there.
    pub mode: Mode,
}

/// An item that is built of others.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Kit {
    /// Of which, and how many of each.
    pub parts: Vec<(usize, i64)>,
}

/// A warehouse of somebody else's: it is master of what lies at one of our locations.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Depot {
    /// At which.
    pub location: usize,
    /// A whole snapshot that does not name an item says that there is none.
    pub absent_is_zero: bool,
    /// A snapshot that comes before its documents waits so many seconds for them.
    pub wait_seconds: u32,
}

/// Something that happens. What is counted begins at zero.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields say what they are")]
pub enum What {
    /// Goods come in.
    Receive { item: usize, location: usize, units: i64 },
    /// The books are corrected.
    Adjust { item: usize, location: usize, units: i64 },
    /// Somebody counts.
    Count { item: usize, location: usize, units: i64, ago_ms: i64 },
    /// Goods go to the other location.
    Transfer { item: usize, from: usize, to: usize, units: i64 },
    /// A checkout holds stock for so many seconds.
    Hold { item: usize, units: i64, seconds: i64 },
    /// An order placed with us.
    Order { item: usize, units: i64 },
    /// A rule of publication.
    Rule {
        system: Option<usize>,
        of: Of,
        /// Where it speaks of one of a system's locations.
        main: bool,
        /// Of our locations only this one counts.
        counts: Option<usize>,
        buffer: i64,
        cap: Option<i64>,
        percentage: u8,
        stop_at: Option<i64>,
    },
    /// A listing is mapped (another item or multiplier, or for the first time).
    Map { system: usize, listing: usize, item: usize, multiplier: u32 },
    /// A customer of a system.
    Sale { system: usize, lines: Vec<(usize, i64)>, delay_ms: i64 },
    /// An order over there changes.
    Changed { system: usize, order: usize, change: Change, delay_ms: i64 },
    /// Somebody sets a number over there.
    Edit { system: usize, listing: usize, to: i64 },
    /// The number is left to a system, or is ours again.
    Leave { system: usize, of: Of, left: bool },
    /// A listing has another SKU over there from now on.
    Rename { system: usize, listing: usize },
    /// Goods come to a warehouse, or leave it, or are found missing; it tells of that then, or never.
    Depot { depot: usize, item: usize, units: i64, told_after_ms: Option<i64> },
    /// A warehouse tells what there is.
    Snapshot { depot: usize, whole: bool, wrong: Option<Wrong>, delay_ms: i64, again: bool },
    /// Another program sets a number back from now on.
    SecondMaster { system: usize, listing: usize, to: i64, ms: i64 },
    /// A listing is taken off for a while.
    Vanish { system: usize, listing: usize, ms: i64 },
    /// A listing is not tracked for a while.
    Untrack { system: usize, listing: usize, ms: i64 },
    /// A system is paused, or goes on.
    Pause { system: usize, paused: bool },
    /// A fault that calls meet.
    Fault { system: usize, fault: Fault, ms: i64, size: i64 },
    /// Onhand ends after so many more things have happened, and is down for a while.
    Crash { turns: u64, down_ms: i64 },
    /// It ends once a write is on its way.
    CrashAtPush { down_ms: i64 },
    /// What is due is swept that late from now on.
    LateSweep { ms: i64 },
    /// The next commit fails; it is written all the same, or not.
    StoreFails { written: bool },
}

/// What a rule speaks of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Of {
    /// Everything.
    All,
    /// Items whose number is even: they are tagged so.
    Even,
    /// One item.
    Item(usize),
    /// One listing of the system.
    Listing(usize),
}

/// What is wrong with a snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wrong {
    /// It has nothing in it.
    Empty,
    /// It ends in the middle, and says how long it should be.
    CutShort,
    /// It ends in the middle.
    CutShortUnsaid,
}

/// Something that happens then.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Step {
    /// After the beginning, in microseconds.
    pub at: i64,
    /// What.
    pub what: What,
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.at / 1_000_000;
        let rest = self.at % 1_000_000;
        write!(formatter, "{seconds:>4}.{rest:06} s  {:?}", self.what)
    }
}

/// All of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Story {
    /// What it was made of.
    pub seed: u64,
    /// Units of each item at each location at the beginning.
    pub stock: Vec<Vec<i64>>,
    /// Items that are built of these: they come after them.
    pub kits: Vec<Kit>,
    /// Warehouses.
    pub depots: Vec<Depot>,
    /// The systems.
    pub systems: Vec<System>,
    /// How often things are done: orders, reading back, reconciliation, in milliseconds.
    pub pace: (i64, i64, i64),
    /// How often it is looked what systems have for sale, in milliseconds.
    pub discover_ms: i64,
    /// A commit takes up to so many microseconds.
    pub commit_micros: i64,
    /// How much is kept in memory: see `onhand_engine::Options`.
    pub flush_at: usize,
    /// Likewise.
    pub cache: usize,
    /// How likely a client sends a request again though it was answered, in a hundred.
    pub repeats: u64,
    /// In order of time.
    pub steps: Vec<Step>,
}

/// So many locations of ours at most, besides a warehouse.
const LOCATIONS: usize = 2;
/// So many listings of a system at most: each is named by one digit.
const LISTINGS: usize = 10;

impl Story {
    /// The story of a seed.
    pub fn of(seed: u64) -> Self {
        let mut random = Random::of(seed, 1);
        let mut locations = 1 + random.index(LOCATIONS);
        let items = 1 + random.index(4);
        let mut depots = Vec::new();
        if random.percent(25) {
            let absent_is_zero = random.percent(30);
            depots.push(Depot { location: locations, absent_is_zero, wait_seconds: random.one(&[0, 5, 60]) });
            locations += 1;
        }
        let stock = (0..items).map(|_| (0..locations).map(|_| random.within(0, 40)).collect()).collect();
        let kits = if random.percent(30) { vec![kit(&mut random, items)] } else { Vec::new() };
        let sold = items + kits.len();
        let systems =
            (0..2 + random.index(5)).map(|_| system(&mut random, sold, locations)).collect::<Vec<_>>();
        let mut story = Self {
            seed,
            stock,
            kits,
            depots,
            discover_ms: random.one(&[0, 5_000, 20_000]),
            pace: (
                random.one(&[500, 1_000, 2_000]),
                random.one(&[250, 500, 1_000]),
                random.one(&[10_000, 30_000]),
            ),
            commit_micros: random.one(&[0, 500, 5_000]),
            flush_at: random.one(&[0, 8, 200_000]),
            cache: random.one(&[0, 1_750_000]),
            repeats: random.one(&[0, 20]),
            steps: Vec::new(),
            systems,
        };
        let length = 1_000_000 * random.within(20, 90);
        let many = random.within(20, 120);
        let faults = random.one(&[0, 5, 15, 30]);
        for _ in 0..many {
            let at = random.within(0, length);
            let what =
                if random.percent(faults) { fault(&mut random, &story) } else { deed(&mut random, &story) };
            story.steps.push(Step { at, what });
        }
        story.steps.sort_by_key(|step| step.at);
        story
    }
}

fn system(random: &mut Random, items: usize, locations: usize) -> System {
    let reads_first = random.percent(25);
    let meaning =
        if !reads_first && random.percent(20) { Meaning::Shown } else { Meaning::SellableNetOfOwnOrders };
    let slow = random.one(&[2_000, 20_000, 200_000]);
    let nature = Nature {
        meaning,
        reads_first,
        batch: random.one(&[1, 2, 5, 100]),
        page: random.one(&[1, 3, 100]),
        skew_micros: match random.index(4) {
            0 => random.within(-120_000_000, 120_000_000),
            1 => random.within(-2_000_000, 2_000_000),
            _ => 0,
        },
        latency_micros: (slow / 4, slow),
        tells_within_ms: random.one(&[0, 3_000, 12_000, 12_000]),
    };
    let mut listings = Vec::new();
    for item in 0..items {
        for _ in 0..random.one(&[0, 1, 1, 1, 2]) {
            let multiplier = random.one(&[1, 1, 1, 1, 6]);
            let (shows, mapped) = (random.within(0, 30), !random.percent(10));
            listings.push(Listing { item, multiplier, shows, mapped });
        }
    }
    if listings.is_empty() {
        listings.push(Listing { item: 0, multiplier: 1, shows: 5, mapped: true });
    }
    listings.truncate(LISTINGS);
    let mut places = vec![random.index(locations)];
    if locations > 1 && random.percent(15) {
        places = (0..locations).collect();
    }
    System { nature, listings, locations: places, mode: mode(random) }
}

fn mode(random: &mut Random) -> Mode {
    let timing = match random.index(20) {
        0..=2 => {
            let (cron, time_zone) = ("* * * * *".to_owned(), "UTC".to_owned());
            Timing::Batch(Schedule { cron, time_zone, full: random.percent(30) })
        }
        3..=5 => Timing::NearRealTime { debounce_ms: random.one(&[250, 2_000]) },
        _ => Timing::default(),
    };
    let direction = if random.percent(15) { Direction::OneWayOut } else { Direction::TwoWay };
    let policies =
        [Policy::MasterWins, Policy::MasterWins, Policy::MasterWins, Policy::Adopt, Policy::Ask, Policy::Ask];
    let policy = random.one(&policies);
    let zeros = if random.percent(15) { Zeros { number: 1, share: 20 } } else { Zeros::default() };
    Mode { direction, timing, policy, zeros }
}

fn kit(random: &mut Random, items: usize) -> Kit {
    let first = random.index(items);
    let mut parts = vec![(first, random.within(1, 3))];
    let second = random.index(items);
    if second != first {
        parts.push((second, random.within(1, 2)));
    }
    Kit { parts }
}

/// What a rule speaks of.
fn of(random: &mut Random, sold: usize) -> Of {
    match random.index(10) {
        0..=3 => Of::All,
        4 => Of::Even,
        5..=7 => Of::Item(random.index(sold)),
        _ => Of::Listing(random.index(8)),
    }
}

fn deed(random: &mut Random, story: &Story) -> What {
    let system = random.index(story.systems.len());
    let item = random.index(story.stock.len());
    let places = story.stock[0].len();
    let location = random.index(places);
    let sold = random.index(story.stock.len() + story.kits.len());
    let delay_ms = 0;
    if !story.depots.is_empty() && random.percent(20) {
        return of_depot(random, story);
    }
    match random.index(22) {
        0 | 1 => What::Receive { item, location, units: random.within(1, 30) },
        2 => What::Adjust { item, location, units: random.within(-6, 6) },
        3 => {
            let ago_ms = random.one(&[0, 0, 1_000, 20_000]);
            What::Count { item, location, units: random.within(0, 30), ago_ms }
        }
        4 => What::Transfer { item, from: location, to: random.index(places), units: random.within(1, 6) },
        5 => What::Hold { item: sold, units: random.within(1, 5), seconds: random.within(1, 60) },
        6 => What::Order { item: sold, units: random.within(1, 5) },
        7 => What::Rule {
            system: random.percent(60).then_some(system),
            of: of(random, story.stock.len() + story.kits.len()),
            main: random.percent(20),
            counts: random.percent(15).then_some(location),
            buffer: random.one(&[0, 0, 2, 5]),
            cap: random.percent(30).then(|| random.within(0, 20)),
            percentage: random.one(&[100, 100, 50, 33]),
            stop_at: random.percent(30).then(|| random.within(0, 5)),
        },
        8 => {
            What::Map { system, listing: random.index(4), item: sold, multiplier: random.one(&[1, 1, 1, 6]) }
        }
        9 => What::Pause { system, paused: random.percent(40) },
        20 => {
            let of = of(random, story.stock.len() + story.kits.len());
            What::Leave { system, of, left: random.percent(40) }
        }
        21 => What::Rename { system, listing: random.index(8) },
        10..=15 => {
            let lines = (0..random.one(&[1, 1, 1, 2, 3])).map(|_| (random.index(8), random.within(1, 4)));
            What::Sale { system, lines: lines.collect(), delay_ms }
        }
        _ => What::Changed {
            system,
            order: random.index(20),
            change: random.one(&[Change::Cancel, Change::Less, Change::Ship, Change::Ship, Change::Return]),
            delay_ms,
        },
    }
}

/// What happens at a warehouse.
fn of_depot(random: &mut Random, story: &Story) -> What {
    let depot = random.index(story.depots.len());
    if random.percent(60) {
        let item = random.index(story.stock.len());
        let told_after_ms = random.percent(70).then(|| random.one(&[0, 500, 15_000]));
        return What::Depot { depot, item, units: random.within(-8, 12), told_after_ms };
    }
    let wrong = match random.index(10) {
        0 => Some(Wrong::Empty),
        1 => Some(Wrong::CutShort),
        2 => Some(Wrong::CutShortUnsaid),
        _ => None,
    };
    let delay_ms = random.one(&[0, 1_000, 12_000]);
    What::Snapshot { depot, whole: random.percent(70), wrong, delay_ms, again: random.percent(15) }
}

fn fault(random: &mut Random, story: &Story) -> What {
    let system = random.index(story.systems.len());
    let listing = random.index(8);
    let ms = random.within(200, 8_000);
    let of_calls = [
        Fault::Outage,
        Fault::Throttled,
        Fault::CredentialsRefused,
        Fault::UnexpectedAnswer,
        Fault::SlowAnswer,
        Fault::OrdersDown,
        Fault::LostAcknowledgement,
        Fault::LostWrite,
        Fault::LateWrite,
        Fault::PartialBatch,
        Fault::Refusal,
        Fault::StaleRead,
        Fault::LostOrderEvent,
        Fault::DuplicatedOrder,
        Fault::ReorderedOrders,
        Fault::TruncatedPage,
    ];
    match random.index(25) {
        9 => What::StoreFails { written: random.percent(50) },
        0 | 1 => What::Edit { system, listing, to: random.within(0, 40) },
        2 => {
            What::SecondMaster { system, listing, to: random.within(0, 40), ms: random.within(5_000, 40_000) }
        }
        3 => What::Vanish { system, listing, ms },
        4 => What::Untrack { system, listing, ms },
        5 => What::Crash { turns: random.roll() % 40, down_ms: random.within(0, 10_000) },
        6 => What::CrashAtPush { down_ms: random.within(0, 10_000) },
        7 => What::LateSweep { ms: random.within(100, 20_000) },
        8 => {
            let lines = vec![(listing, random.within(1, 4))];
            What::Sale { system, lines, delay_ms: random.within(100, 1_500) }
        }
        _ => {
            let fault = random.one(&of_calls);
            let size = match fault {
                Fault::StaleRead => random.within(100_000, 1_500_000),
                _ => random.within(0, 20),
            };
            let ms = if fault == Fault::OrdersDown { 3 * ms } else { ms };
            What::Fault { system, fault, ms, size }
        }
    }
}
