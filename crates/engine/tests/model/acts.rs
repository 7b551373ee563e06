//! What somebody does, in numbers that choose among what there is by then.

use proptest::prelude::*;

/// One thing that somebody does. Numbers choose among what there is by then; `ago` is in minutes.
#[derive(Clone, Debug)]
pub enum Act {
    Receive {
        place: usize,
        lines: Vec<(usize, i64)>,
        ago: i64,
    },
    Adjust {
        place: usize,
        lines: Vec<(usize, i64)>,
        ago: i64,
    },
    Transfer {
        from: usize,
        to: usize,
        lines: Vec<(usize, i64)>,
        ago: i64,
    },
    Move {
        place: usize,
        lines: Vec<(usize, i64)>,
        from: usize,
        to: usize,
    },
    Count {
        place: usize,
        lines: Vec<(usize, i64)>,
        ago: i64,
        system: Option<usize>,
    },
    Hold {
        place: Option<usize>,
        lines: Vec<(usize, i64)>,
        minutes: i64,
        partial: bool,
    },
    Extend {
        nth: usize,
        minutes: i64,
    },
    /// A part of a hold; none: the whole line.
    ReleaseLine {
        nth: usize,
        line: usize,
        quantity: Option<i64>,
    },
    Release {
        nth: usize,
    },
    Convert {
        nth: usize,
        reference: Option<usize>,
    },
    Order {
        place: Option<usize>,
        lines: Vec<(usize, i64)>,
        reference: Option<usize>,
        may_wait: bool,
    },
    Fulfil {
        nth: usize,
        lines: Option<Vec<(usize, i64)>>,
        ago: i64,
    },
    Cancel {
        nth: usize,
        lines: Option<Vec<(usize, i64)>>,
    },
    Return {
        nth: usize,
        lines: Vec<(usize, i64)>,
        place: Option<usize>,
        into: usize,
        ago: i64,
    },
    OrderFact {
        system: usize,
        document: usize,
        /// How much higher the version is than the highest told so far.
        step: i64,
        cancelled: bool,
        lines: Vec<OrderLine>,
        ago: i64,
    },
    Shipment {
        system: usize,
        document: usize,
        order: Option<(usize, usize)>,
        place: usize,
        lines: Vec<(usize, i64)>,
        ago: i64,
    },
    Movements {
        system: usize,
        document: usize,
        /// How much higher the version is than the highest told so far.
        step: i64,
        lines: Vec<MovedLine>,
    },
    Plan {
        from: usize,
        to: usize,
        lines: Vec<(usize, i64)>,
        reference: Option<usize>,
    },
    Ready {
        nth: usize,
    },
    AmendTransfer {
        nth: usize,
        line: usize,
        quantity: i64,
    },
    Dispatch {
        nth: usize,
        lines: Option<Vec<(usize, i64)>>,
        ago: i64,
    },
    /// And how much was lost of each.
    Arrive {
        nth: usize,
        lines: Option<Vec<(usize, i64, i64)>>,
        into: usize,
        ago: i64,
    },
    CancelTransfer {
        nth: usize,
        ago: i64,
    },
    Buy {
        place: usize,
        lines: Vec<(usize, i64)>,
        reference: Option<usize>,
    },
    /// Of a line; none: a new one of the item.
    AmendPurchase {
        nth: usize,
        line: Option<usize>,
        item: usize,
        quantity: i64,
    },
    Deliver {
        nth: usize,
        lines: Option<Vec<(usize, i64)>>,
        place: Option<usize>,
        into: usize,
        ago: i64,
    },
    EndPurchase {
        nth: usize,
        cancel: bool,
    },
    /// For a transfer or a purchase order of a reference, or for nobody says which.
    Receipt {
        system: usize,
        document: usize,
        step: i64,
        of: Option<(bool, usize)>,
        place: usize,
        lines: Vec<(usize, i64)>,
        ago: i64,
    },
    /// By no place, by a group of places, or by one.
    Master {
        group: bool,
        place: Option<usize>,
        sku: Option<usize>,
        system: usize,
    },
    Merge {
        from: usize,
        into: usize,
    },
    /// A threshold is so many units, or so many per cent.
    OpenSession {
        place: usize,
        only: Option<Vec<usize>>,
        recount: (Option<i64>, Option<u16>),
        approve: (Option<i64>, Option<u16>),
    },
    Look {
        nth: usize,
        by: usize,
        lines: Vec<(usize, i64)>,
        ago: i64,
    },
    Apply {
        nth: usize,
        approve: Option<bool>,
    },
    CancelSession {
        nth: usize,
    },
    /// The last listing is not there.
    Publish {
        system: Option<usize>,
        sku: Option<usize>,
        listing: Option<usize>,
        buffer: Option<i64>,
        cap: Option<i64>,
        percent: Option<u8>,
        stop_at: Option<i64>,
    },
    EndRule {
        nth: usize,
    },
    NewItem,
    Tick,
    Wait {
        minutes: i64,
    },
    /// An earlier command, word for word, or its key on another body.
    Again {
        nth: usize,
        other: bool,
    },
}

#[derive(Clone, Debug)]
pub struct OrderLine {
    pub line: usize,
    pub item: usize,
    pub quantity: i64,
    pub shipped: i64,
    pub returned: i64,
    pub place: Option<usize>,
}

#[derive(Clone, Debug)]
pub struct MovedLine {
    pub line: usize,
    pub item: usize,
    pub place: usize,
    pub what: usize,
    pub quantity: i64,
    pub ago: i64,
}

fn publish() -> impl Strategy<Value = Act> {
    let some = |of: std::ops::Range<usize>| prop::option::weighted(0.4, of);
    let amount = || prop::option::weighted(0.3, prop_oneof![15 => 0..6_i64, 1 => Just(-1_i64)]);
    let percent = prop::option::weighted(0.4, prop_oneof![15 => 0..101_u8, 1 => Just(101_u8)]);
    let listing = prop::option::weighted(0.3, prop_oneof![8 => 0..2_usize, 1 => Just(2_usize)]);
    let system = prop::option::weighted(0.6, prop_oneof![8 => Just(0_usize), 1 => 1..3_usize]);
    (system, some(0..3), listing, amount(), amount(), percent, amount()).prop_map(
        |(system, sku, listing, buffer, cap, percent, stop_at)| Act::Publish {
            system,
            sku,
            listing,
            buffer,
            cap,
            percent,
            stop_at,
        },
    )
}

/// What is done in a session of counting, of little stock, so that one count may agree with another.
fn session(place: impl Strategy<Value = usize>) -> impl Strategy<Value = Act> {
    let nth = || prop_oneof![8 => Just(0_usize), 1 => 1..4_usize];
    let sku = || prop_oneof![6 => Just(0_usize), 2 => Just(1_usize), 1 => Just(2_usize)];
    let over = || (prop::option::weighted(0.4, -1..5_i64), prop::option::weighted(0.3, 0..120_u16));
    let only = prop::option::weighted(0.4, prop::collection::vec(sku(), 0..3));
    let looks = prop_oneof![
        5 => (sku(), 0..6_i64).prop_map(|line| vec![line]),
        1 => prop::collection::vec((sku(), -1..6_i64), 0..3)
    ];
    let ago = prop_oneof![3 => Just(0_i64), 2 => 1..12_i64, 1 => Just(-10_i64)];
    prop_oneof![
        3 => (place, only, over(), over())
            .prop_map(|(place, only, recount, approve)| Act::OpenSession { place, only, recount, approve }),
        9 => (nth(), 0..3_usize, looks, ago).prop_map(|(nth, by, lines, ago)| Act::Look { nth, by, lines, ago }),
        3 => (nth(), prop::option::of(any::<bool>())).prop_map(|(nth, approve)| Act::Apply { nth, approve }),
        1 => nth().prop_map(|nth| Act::CancelSession { nth }),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let sku = || prop_oneof![20 => Just(0_usize), 4 => Just(1_usize), 1 => Just(2_usize)];
    // Facts name what they are about by SKU, or as WEB's listing of a pack of two, or by one that nobody knows.
    let item = || {
        prop_oneof![
            30 => Just(0_usize), 6 => Just(1_usize), 3 => Just(2_usize), 2 => Just(3_usize), 1 => Just(4_usize)
        ]
    };
    let place = || {
        prop_oneof![
            80 => Just(1_usize), 30 => Just(0_usize), 15 => Just(2_usize), 4 => Just(3_usize), 1 => Just(4_usize)
        ]
    };
    let only = || prop_oneof![3 => Just(None), 1 => place().prop_map(Some)];
    let lines = || {
        prop_oneof![
            4 => (sku(), 1..9_i64).prop_map(|line| vec![line]),
            1 => prop::collection::vec((sku(), 0..5_i64), 1..4)
        ]
    };
    let few = || {
        prop_oneof![
            4 => (sku(), 1..7_i64).prop_map(|line| vec![line]),
            2 => prop::collection::vec((sku(), 1..5_i64), 1..4)
        ]
    };
    let ago = || {
        prop_oneof![
            60 => Just(0_i64),
            40 => prop::sample::select(vec![1_i64, 2, 3, 5, 10, 15]),
            20 => 1..40_i64,
            3 => Just(-3_i64),
            2 => Just(-10_i64)
        ]
    };
    let system = || prop_oneof![4 => Just(0_usize), 3 => Just(1_usize), 1 => Just(2_usize)];
    let nth = || prop_oneof![4 => Just(0_usize), 2 => Just(1_usize), 3 => 2..7_usize];
    let line = || prop_oneof![4 => Just(0_usize), 1 => 1..3_usize];
    let part = || prop::option::of(prop::collection::vec((line(), 0..6_i64), 1..3));
    let step = || prop_oneof![8 => Just(1_i64), 1 => Just(0_i64), 1 => Just(-1_i64), 1 => Just(3_i64)];
    let reference = || prop::option::weighted(0.4, 0..3_usize);
    let order_line = || {
        (
            line(),
            item(),
            0..10_i64,
            prop_oneof![3 => Just(0_i64), 2 => 0..7_i64],
            prop_oneof![3 => Just(0_i64), 2 => 0..5_i64],
            only(),
        )
            .prop_map(|(line, item, quantity, shipped, returned, place)| OrderLine {
                line,
                item,
                quantity,
                shipped,
                returned,
                place,
            })
    };
    let moved_line = || {
        (0..3_usize, item(), place(), prop_oneof![2 => Just(0_usize), 4 => 0..5_usize], 1..10_i64, ago())
            .prop_map(|(line, item, place, what, quantity, ago)| MovedLine {
                line,
                item,
                place,
                what,
                quantity,
                ago,
            })
    };
    let physical = prop_oneof![
        4 => (place(), lines(), ago()).prop_map(|(place, lines, ago)| Act::Receive { place, lines, ago }),
        2 => (place(), prop::collection::vec((sku(), -12..6_i64), 1..3), ago()).prop_map(|(place, lines, ago)| Act::Adjust { place, lines, ago }),
        3 => (place(), place(), few(), ago()).prop_map(|(from, to, lines, ago)| Act::Transfer { from, to, lines, ago }),
        3 => (place(), few(), prop_oneof![3 => Just(0_usize), 1 => 1..4_usize], prop_oneof![2 => Just(3_usize), 3 => 0..5_usize])
            .prop_map(|(place, lines, from, to)| Act::Move { place, lines, from, to }),
        4 => (place(), lines(), ago(), prop::option::weighted(0.2, 0..3_usize)).prop_map(|(place, lines, ago, system)| Act::Count { place, lines, ago, system }),
    ];
    let promising = prop_oneof![
        3 => (only(), few(), prop_oneof![0..6_i64, 0..30_i64], any::<bool>())
            .prop_map(|(place, lines, minutes, partial)| Act::Hold { place, lines, minutes, partial }),
        2 => (nth(), 0..30_i64).prop_map(|(nth, minutes)| Act::Extend { nth, minutes }),
        2 => (nth(), line(), prop::option::of(0..5_i64)).prop_map(|(nth, line, quantity)| Act::ReleaseLine { nth, line, quantity }),
        1 => nth().prop_map(|nth| Act::Release { nth }),
        2 => (nth(), reference()).prop_map(|(nth, reference)| Act::Convert { nth, reference }),
        4 => (only(), few(), reference(), prop::bool::weighted(0.3))
            .prop_map(|(place, lines, reference, may_wait)| Act::Order { place, lines, reference, may_wait }),
        2 => (nth(), part(), ago()).prop_map(|(nth, lines, ago)| Act::Fulfil { nth, lines, ago }),
        2 => (nth(), part()).prop_map(|(nth, lines)| Act::Cancel { nth, lines }),
        2 => (nth(), prop::collection::vec((line(), 0..4_i64), 1..3), only(), 0..4_usize, ago())
            .prop_map(|(nth, lines, place, into, ago)| Act::Return { nth, lines, place, into, ago }),
    ];
    let orders = || prop_oneof![20 => 0..3_usize, 1 => Just(3_usize)];
    let told = prop_oneof![
        5 => (system(), orders(), step(), prop::bool::weighted(0.15), prop::collection::vec(order_line(), 1..4), ago())
            .prop_map(|(system, document, step, cancelled, lines, ago)| Act::OrderFact { system, document, step, cancelled, lines, ago }),
        4 => (system(), 0..9_usize, prop::option::weighted(0.7, (system(), orders())), place(), few(), ago())
            .prop_map(|(system, document, order, place, lines, ago)| Act::Shipment { system, document, order, place, lines, ago }),
        4 => (system(), prop_oneof![8 => 0..2_usize, 1 => Just(2_usize)], step(), prop::collection::vec(moved_line(), 1..4))
            .prop_map(|(system, document, step, lines)| Act::Movements { system, document, step, lines }),
    ];
    let into = || prop_oneof![6 => Just(0_usize), 1 => 1..5_usize];
    let arrived = || {
        let lost = prop_oneof![3 => Just(0_i64), 1 => 1..4_i64];
        prop::option::of(prop::collection::vec((line(), 0..6_i64, lost), 1..3))
    };
    let expected = prop_oneof![
        3 => (place(), place(), few(), reference()).prop_map(|(from, to, lines, reference)| Act::Plan { from, to, lines, reference }),
        3 => nth().prop_map(|nth| Act::Ready { nth }),
        2 => (nth(), line(), -1..9_i64).prop_map(|(nth, line, quantity)| Act::AmendTransfer { nth, line, quantity }),
        4 => (nth(), part(), ago()).prop_map(|(nth, lines, ago)| Act::Dispatch { nth, lines, ago }),
        4 => (nth(), arrived(), into(), ago()).prop_map(|(nth, lines, into, ago)| Act::Arrive { nth, lines, into, ago }),
        1 => (nth(), ago()).prop_map(|(nth, ago)| Act::CancelTransfer { nth, ago }),
        2 => (place(), few(), reference()).prop_map(|(place, lines, reference)| Act::Buy { place, lines, reference }),
        1 => (nth(), prop::option::weighted(0.8, line()), sku(), -1..9_i64)
            .prop_map(|(nth, line, item, quantity)| Act::AmendPurchase { nth, line, item, quantity }),
        2 => (nth(), part(), only(), into(), ago()).prop_map(|(nth, lines, place, into, ago)| Act::Deliver { nth, lines, place, into, ago }),
        1 => (nth(), any::<bool>()).prop_map(|(nth, cancel)| Act::EndPurchase { nth, cancel }),
        6 => (system(), 0..4_usize, step(), prop::option::weighted(0.9, (prop::bool::weighted(0.7), 0..3_usize)), place(), prop::collection::vec((item(), 1..7_i64), 1..3), ago())
            .prop_map(|(system, document, step, of, place, lines, ago)| Act::Receipt { system, document, step, of, place, lines, ago }),
    ];
    let other = prop_oneof![
        2 => (prop_oneof![5 => (Just(Some(2_usize)), prop::option::of(0..2_usize)), 2 => (Just(None), Just(Some(0_usize)))], 1..3_usize)
            .prop_map(|((place, sku), system)| Act::Master { group: false, place, sku, system }),
        1 => (prop::option::of(0..2_usize), 0..3_usize)
            .prop_map(|(sku, system)| Act::Master { group: true, place: None, sku, system }),
        1 => Just(Act::NewItem),
        1 => Just(Act::Tick),
        6 => prop_oneof![prop::sample::select(vec![1_i64, 2, 5]), -3..25_i64].prop_map(|minutes| Act::Wait { minutes }),
        6 => (prop_oneof![0..4_usize, 0..20_usize], prop::bool::weighted(0.2)).prop_map(|(nth, other)| Act::Again { nth, other }),
    ];
    let merge = (0..3_usize, 0..3_usize).prop_map(|(from, into)| Act::Merge { from, into });
    let rule = prop_oneof![4 => publish(), 1 => (0..4_usize).prop_map(|nth| Act::EndRule { nth })];
    prop_oneof![
        20 => physical, 20 => promising, 20 => told, 20 => expected, 12 => other, 3 => merge, 6 => session(place()), 3 => rule
    ]
}

/// Something of everything in London, so that not all begins with an empty shelf.
fn opening() -> Vec<Act> {
    let shelf = |to| Act::Move { place: 1, lines: vec![(0, 1)], from: 0, to };
    let receive = |place, quantity| Act::Receive { place, lines: vec![(0, quantity)], ago: 0 };
    vec![receive(1, 9), receive(0, 3), shelf(1), shelf(2), shelf(3), shelf(3)]
}

pub fn batches() -> impl Strategy<Value = Vec<Vec<Act>>> {
    let batch = prop_oneof![2 => prop::collection::vec(act(), 1), 1 => prop::collection::vec(act(), 2..6)];
    (any::<bool>(), prop::collection::vec(batch, 1..26)).prop_map(|(stocked, mut batches)| {
        if stocked {
            batches.insert(0, opening());
        }
        batches
    })
}

/// One order told of again and again, of one item at three places: amended, shipped, returned and cancelled in parts.
pub fn one_order() -> impl Strategy<Value = Vec<Vec<Act>>> {
    let place = || prop_oneof![2 => Just(1_usize), 2 => Just(0_usize), 2 => Just(2_usize)];
    let teller = || prop_oneof![3 => Just(0_usize), 1 => Just(1_usize)];
    let item = prop_oneof![12 => Just(0_usize), 1 => Just(2_usize), 1 => Just(3_usize)];
    let few = |most: i64| prop_oneof![1 => Just(0_i64), 1 => 0..most];
    let line = (0..2_usize, item, 0..9_i64, few(6), few(5), prop::option::weighted(0.2, place())).prop_map(
        |(line, item, quantity, shipped, returned, place)| OrderLine {
            line,
            item,
            quantity,
            shipped,
            returned,
            place,
        },
    );
    let lines = prop_oneof![3 => prop::collection::vec(line.clone(), 1), 1 => prop::collection::vec(line, 2)];
    let part = || prop::option::weighted(0.8, prop::collection::vec((0..2_usize, 1..5_i64), 1));
    let step = prop_oneof![8 => Just(1_i64), 1 => Just(0_i64), 1 => Just(-1_i64)];
    let act = prop_oneof![
        5 => (place(), 1..5_i64).prop_map(|(place, quantity)| Act::Receive { place, lines: vec![(0, quantity)], ago: 0 }),
        9 => (step, prop::bool::weighted(0.1), lines)
            .prop_map(|(step, cancelled, lines)| Act::OrderFact { system: 0, document: 0, step, cancelled, lines, ago: 0 }),
        2 => (teller(), 0..9_usize, place(), 1..5_i64).prop_map(|(system, document, place, quantity)| {
            Act::Shipment { system, document, order: Some((0, 0)), place, lines: vec![(0, quantity)], ago: 0 }
        }),
        2 => (0..2_usize, part()).prop_map(|(nth, lines)| Act::Cancel { nth, lines }),
        1 => (0..2_usize, part()).prop_map(|(nth, lines)| Act::Fulfil { nth, lines, ago: 0 }),
        1 => (1..5_i64, prop::option::of(place()))
            .prop_map(|(quantity, place)| Act::Return { nth: 0, lines: vec![(0, quantity)], place, into: 0, ago: 0 }),
        2 => (1..3_usize, any::<bool>()).prop_map(|(system, group)| {
            Act::Master { group, place: Some(2).filter(|_| !group), sku: None, system }
        }),
        1 => (1..6_i64).prop_map(|quantity| Act::Order { place: None, lines: vec![(0, quantity)], reference: None, may_wait: false }),
        2 => (0..3_usize).prop_map(|nth| Act::Again { nth, other: false }),
    ];
    prop::collection::vec(prop::collection::vec(act, 1..3), 1..16)
}

/// Transfers and purchase orders alone, of one item between three places, with counts, orders and late words about them.
pub fn supply() -> impl Strategy<Value = Vec<Vec<Act>>> {
    let place = || prop_oneof![3 => Just(1_usize), 3 => Just(0_usize), 1 => Just(2_usize)];
    let nth = || prop_oneof![4 => Just(0_usize), 2 => Just(1_usize), 1 => Just(2_usize)];
    let ago = || prop_oneof![3 => Just(0_i64), 2 => 1..12_i64];
    let part = || prop::option::weighted(0.7, prop::collection::vec((0..2_usize, 1..6_i64), 1));
    let system = || prop_oneof![3 => Just(0_usize), 2 => Just(1_usize), 1 => Just(2_usize)];
    let step = || prop_oneof![8 => Just(1_i64), 1 => Just(0_i64), 1 => Just(-1_i64)];
    let lines = || prop_oneof![3 => (1..9_i64).prop_map(|quantity| vec![(0, quantity)]), 1 => (1..5_i64, 1..5_i64).prop_map(|(one, two)| vec![(0, one), (0, two)])];
    let act = prop_oneof![
        4 => (place(), 1..9_i64, ago()).prop_map(|(place, quantity, ago)| Act::Receive { place, lines: vec![(0, quantity)], ago }),
        3 => (place(), place(), lines(), prop::option::weighted(0.9, 0..3_usize)).prop_map(|(from, to, lines, reference)| Act::Plan { from, to, lines, reference }),
        3 => nth().prop_map(|nth| Act::Ready { nth }),
        1 => (nth(), 0..2_usize, 0..9_i64).prop_map(|(nth, line, quantity)| Act::AmendTransfer { nth, line, quantity }),
        4 => (nth(), part(), ago()).prop_map(|(nth, lines, ago)| Act::Dispatch { nth, lines, ago }),
        2 => (nth(), prop::option::of((1..6_i64, 0..2_i64).prop_map(|(quantity, lost)| vec![(0, quantity, lost)])), ago())
            .prop_map(|(nth, lines, ago)| Act::Arrive { nth, lines, into: 0, ago }),
        1 => (nth(), ago()).prop_map(|(nth, ago)| Act::CancelTransfer { nth, ago }),
        6 => (system(), 0..2_usize, step(), 0..3_usize, place(), lines(), ago())
            .prop_map(|(system, document, step, of, place, lines, ago)| Act::Receipt { system, document, step, of: Some((true, of)), place, lines, ago }),
        2 => (place(), 0..12_i64, ago()).prop_map(|(place, quantity, ago)| Act::Count { place, lines: vec![(0, quantity)], ago, system: None }),
        2 => (1..6_i64).prop_map(|quantity| Act::Order { place: None, lines: vec![(0, quantity)], reference: None, may_wait: true }),
        1 => (nth(), 0..4_i64).prop_map(|(nth, ago)| Act::Fulfil { nth, lines: None, ago }),
        1 => (1..3_usize).prop_map(|system| Act::Master { group: false, place: Some(2), sku: None, system }),
        2 => (1..8_i64).prop_map(|minutes| Act::Wait { minutes }),
    ];
    prop::collection::vec(prop::collection::vec(act, 1..3), 1..20)
}

/// Three items that become one another, while all kinds of things are told of the time before.
pub fn merging() -> impl Strategy<Value = Vec<Vec<Act>>> {
    let place = || prop_oneof![3 => Just(1_usize), 1 => Just(0_usize)];
    let sku = || prop_oneof![3 => Just(0_usize), 3 => Just(1_usize), 1 => Just(2_usize)];
    let ago = || prop_oneof![2 => Just(0_i64), 3 => 1..15_i64];
    let line = |most: i64| (sku(), 1..most).prop_map(|line: (usize, i64)| vec![line]);
    let item = || prop_oneof![3 => Just(0_usize), 3 => Just(1_usize), 1 => 2..4_usize];
    let fact = (
        item(),
        0..6_i64,
        prop_oneof![2 => Just(0_i64), 1 => 0..5_i64],
        prop::option::weighted(0.3, place()),
    )
        .prop_map(|(item, quantity, shipped, place)| OrderLine {
            line: item,
            item,
            quantity,
            shipped,
            returned: 0,
            place,
        });
    let moved = (0..2_usize, item(), place(), 0..5_usize, 1..5_i64, ago()).prop_map(
        |(line, item, place, what, quantity, ago)| MovedLine { line, item, place, what, quantity, ago },
    );
    let nth = || prop_oneof![3 => Just(0_usize), 1 => 1..3_usize];
    let into = || prop_oneof![4 => Just(0_usize), 1 => 1..3_usize];
    let order = || 0..2_usize;
    let act = prop_oneof![
        4 => (sku(), sku()).prop_map(|(from, into)| Act::Merge { from, into }),
        6 => (place(), line(6), ago()).prop_map(|(place, lines, ago)| Act::Receive { place, lines, ago }),
        3 => (place(), sku(), -4..4_i64, ago()).prop_map(|(place, sku, by, ago)| Act::Adjust { place, lines: vec![(sku, by)], ago }),
        4 => (place(), sku(), 0..6_i64, ago()).prop_map(|(place, sku, seen, ago)| Act::Count { place, lines: vec![(sku, seen)], ago, system: None }),
        2 => (place(), line(4), into(), into()).prop_map(|(place, lines, from, to)| Act::Move { place, lines, from, to }),
        2 => (place(), place(), line(4), ago()).prop_map(|(from, to, lines, ago)| Act::Transfer { from, to, lines, ago }),
        2 => (prop::option::weighted(0.2, place()), line(4), any::<bool>())
            .prop_map(|(place, lines, partial)| Act::Hold { place, lines, minutes: 20, partial }),
        1 => nth().prop_map(|nth| Act::Convert { nth, reference: None }),
        1 => nth().prop_map(|nth| Act::Release { nth }),
        3 => (line(6), any::<bool>()).prop_map(|(lines, may_wait)| Act::Order { place: None, lines, reference: None, may_wait }),
        1 => (nth(), ago()).prop_map(|(nth, ago)| Act::Fulfil { nth, lines: None, ago }),
        1 => nth().prop_map(|nth| Act::Cancel { nth, lines: None }),
        1 => (nth(), 1..3_i64, ago()).prop_map(|(nth, quantity, ago)| Act::Return { nth, lines: vec![(0, quantity)], place: None, into: 0, ago }),
        5 => (order(), prop_oneof![6 => Just(1_i64), 1 => Just(2_i64)], prop::collection::vec(fact, 1..3), ago())
            .prop_map(|(document, step, lines, ago)| Act::OrderFact { system: 0, document, step, cancelled: false, lines, ago }),
        2 => (0..2_usize, 0..6_usize, order(), place(), line(4), ago()).prop_map(|(system, document, order, place, lines, ago)| {
            Act::Shipment { system, document, order: Some((0, order)), place, lines, ago }
        }),
        5 => (0..2_usize, prop::collection::vec(moved, 1..3)).prop_map(|(document, lines)| Act::Movements { system: 0, document, step: 1, lines }),
        1 => (place(), place(), line(4)).prop_map(|(from, to, lines)| Act::Plan { from, to, lines, reference: Some(0) }),
        1 => (nth(), ago()).prop_map(|(nth, ago)| Act::Dispatch { nth, lines: None, ago }),
        1 => (nth(), ago()).prop_map(|(nth, ago)| Act::Arrive { nth, lines: None, into: 0, ago }),
        1 => (place(), line(4)).prop_map(|(place, lines)| Act::Buy { place, lines, reference: Some(0) }),
        1 => (nth(), ago()).prop_map(|(nth, ago)| Act::Deliver { nth, lines: None, place: None, into: 0, ago }),
        1 => nth().prop_map(|nth| Act::EndPurchase { nth, cancel: false }),
        2 => (0..2_usize, 0..3_usize, any::<bool>(), place(), line(4), ago()).prop_map(|(system, document, transfer, place, lines, ago)| {
            Act::Receipt { system, document, step: 1, of: Some((transfer, 0)), place, lines, ago }
        }),
        1 => (prop::option::of(sku()), 0..3_usize).prop_map(|(sku, system)| Act::Master { group: false, place: Some(0), sku, system }),
        3 => session(place()),
        1 => publish(),
        1 => Just(Act::NewItem),
        2 => (1..10_i64).prop_map(|minutes| Act::Wait { minutes }),
        1 => nth().prop_map(|nth| Act::Again { nth, other: false }),
    ];
    prop::collection::vec(prop::collection::vec(act, 1..3), 1..20)
}

/// Sessions of counting alone, with what moves meanwhile.
pub fn sessions() -> impl Strategy<Value = Vec<Vec<Act>>> {
    let place = || prop_oneof![4 => Just(1_usize), 1 => Just(0_usize), 1 => Just(2_usize)];
    let ago = || prop_oneof![2 => Just(0_i64), 1 => 1..12_i64];
    let act = prop_oneof![
        14 => session(place()),
        3 => (place(), 1..5_i64, ago()).prop_map(|(place, quantity, ago)| Act::Receive { place, lines: vec![(0, quantity)], ago }),
        2 => (place(), -3..3_i64, ago()).prop_map(|(place, by, ago)| Act::Adjust { place, lines: vec![(0, by)], ago }),
        1 => (place(), 0..5_i64, ago()).prop_map(|(place, seen, ago)| Act::Count { place, lines: vec![(0, seen)], ago, system: None }),
        1 => (1..4_i64).prop_map(|quantity| Act::Order { place: None, lines: vec![(0, quantity)], reference: None, may_wait: true }),
        1 => (0..2_usize, ago()).prop_map(|(nth, ago)| Act::Fulfil { nth, lines: None, ago }),
        1 => (1..3_usize).prop_map(|system| Act::Master { group: false, place: Some(2), sku: None, system }),
        1 => Just(Act::NewItem),
        2 => (1..8_i64).prop_map(|minutes| Act::Wait { minutes }),
        1 => (0..3_usize).prop_map(|nth| Act::Again { nth, other: false }),
    ];
    prop::collection::vec(prop::collection::vec(act, 1..3), 1..24)
}
