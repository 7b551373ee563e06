//! Several nodes on one database: each is a ledger of its own over a store of its own, as in processes of their own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};

use onhand_engine::{CommitError, Committed, DatabaseClock, Ledger, Options, Submission, verify};
use onhand_ledger::command::{Line, PlaceOrder, PutItem, PutLocation, Receive};
use onhand_ledger::{Answer, Body, CellKey, Command, Quantity, StockState, TenantId};
use onhand_store::{PostgresStore, PostgresUrl, Reader as _, StoreError};

const TENANT: TenantId = TenantId::DEFAULT;

struct Node(Ledger);

impl Node {
    fn on(address: &str) -> Self {
        let store = PostgresStore::open(&PostgresUrl::parse(address, None).unwrap()).unwrap();
        let options = Options { flush_at: 0, ..Options::default() };
        Self(Ledger::open(Box::new(store), Arc::new(DatabaseClock::default()), options).unwrap())
    }

    fn asks(&self, key: &str, body: Body) -> Result<Committed, CommitError> {
        self.all([(key.to_owned(), body)]).remove(0)
    }

    fn all(&self, asked: impl IntoIterator<Item = (String, Body)>) -> Vec<Result<Committed, CommitError>> {
        let submission = |(key, body)| Submission {
            tenant: TENANT,
            command: Some(Command::keyed(Some(key), "test", body)),
            notes: Vec::new(),
        };
        self.0.commit(asked.into_iter().map(submission).collect())
    }

    /// What is on hand of the item, and the entry it is true at.
    fn on_hand(&self) -> (Quantity, u64) {
        let read = self.0.read(TENANT, |view| {
            let item = view.item_by_sku("TEA")?.unwrap().0;
            let location = view.location_by_code("LONDON")?.unwrap().0;
            let cell = |state| CellKey::new(item, location, state);
            let mut all = Quantity::ZERO;
            for state in [StockState::Available, StockState::Committed] {
                all += view.as_of(cell(state), view.now, None)?;
            }
            Ok((all, view.head()?.seq))
        });
        read.unwrap()
    }

    fn is_sound(&self) {
        let verified = verify(&self.0, TENANT, &mut |_| ()).unwrap();
        assert!(verified.violation.is_none(), "{:?}", verified.violation);
    }
}

fn receive(units: i64) -> Body {
    let lines = vec![Line { sku: "TEA".to_owned(), quantity: Quantity::units(units), ..Line::default() }];
    Body::Receive(Receive { location: "LONDON".to_owned(), lines, occurred_at: None, reason: None })
}

fn order(units: i64) -> Body {
    let lines = vec![Line { sku: "TEA".to_owned(), quantity: Quantity::units(units), ..Line::default() }];
    Body::PlaceOrder(PlaceOrder { lines, ..PlaceOrder::default() })
}

/// Nodes on a database with an item and a place.
fn nodes(many: usize) -> (String, Vec<Node>) {
    let address = onhand_testpg::database();
    let nodes: Vec<Node> = (0..many).map(|_| Node::on(&address)).collect();
    nodes[0]
        .asks("place", Body::PutLocation(PutLocation { code: "LONDON".to_owned(), ..PutLocation::default() }))
        .unwrap();
    nodes[0].asks("item", Body::PutItem(PutItem { sku: "TEA".to_owned(), ..PutItem::default() })).unwrap();
    (address, nodes)
}

#[test]
fn what_one_node_committed_every_other_sees_at_once_and_decides_on() {
    let (_, nodes) = nodes(3);
    let mut expected = 0;
    for (round, units) in (1..=30).zip([5, 1, 7].into_iter().cycle()) {
        let (writer, reader) = (&nodes[round % 3], &nodes[(round + 1) % 3]);
        // Nothing there is for this is refused by whoever does not know better.
        let before = reader.asks(&format!("too much {round}"), order(10_000)).unwrap();
        assert!(!matches!(before.answer, Answer::Order(..)), "{:?}", before.answer);
        let committed = writer.asks(&format!("goods {round}"), receive(units)).unwrap();
        expected += units;
        let (on_hand, seq) = reader.on_hand();
        assert_eq!(on_hand, Quantity::units(expected), "round {round}");
        assert!(seq >= committed.seq);
        let copy = reader.asks(&format!("goods {round}"), receive(units)).unwrap();
        assert!(copy.replayed, "a copy sent to another node is a copy");
        assert_eq!(copy.answer, committed.answer);
    }
    nodes.iter().for_each(Node::is_sound);
}

#[test]
fn nodes_that_race_for_the_last_units_sell_each_once() {
    let (_, nodes) = nodes(3);
    nodes[0].asks("goods", receive(60)).unwrap();
    let barrier = Barrier::new(nodes.len());
    let sell = &|number: usize, node: &Node| {
        barrier.wait();
        let batch = |batch: usize| {
            let orders = (0..5).map(|one| (format!("{number} {batch} {one}"), order(1)));
            let answers = node.all(orders);
            answers.iter().filter(|one| matches!(one.as_ref().unwrap().answer, Answer::Order(..))).count()
        };
        (0..8).map(batch).sum::<usize>()
    };
    let sold: usize = std::thread::scope(|scope| {
        let mut racing = Vec::new();
        for (number, node) in nodes.iter().enumerate() {
            racing.push(scope.spawn(move || sell(number, node)));
        }
        racing.into_iter().map(|one| one.join().unwrap()).sum()
    });
    assert_eq!(sold, 60, "of 120 orders for 60 units");
    nodes.iter().for_each(Node::is_sound);
}

#[test]
fn copies_sent_to_all_nodes_at_the_same_time_happen_once() {
    let (_, nodes) = nodes(3);
    for round in 0..30 {
        let barrier = Barrier::new(nodes.len());
        let answers: Vec<Committed> = std::thread::scope(|scope| {
            let send = |node| {
                let barrier = &barrier;
                scope.spawn(move || {
                    barrier.wait();
                    Node::asks(node, &format!("copy {round}"), receive(1)).unwrap()
                })
            };
            let sent: Vec<_> = nodes.iter().map(send).collect();
            sent.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert_eq!(answers.iter().filter(|one| !one.replayed).count(), 1);
        assert!(answers.iter().all(|one| one.answer == answers[0].answer));
        assert_eq!(nodes[0].on_hand().0, Quantity::units(round + 1));
    }
    nodes.iter().for_each(Node::is_sound);
}

#[test]
fn what_was_acknowledged_is_there_once_though_connections_are_cut_all_the_time() {
    let (address, nodes) = nodes(2);
    let over = AtomicBool::new(false);
    let acknowledged: i64 = std::thread::scope(|scope| {
        let cutting = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                    WHERE datname = current_database() AND pid <> pg_backend_pid()";
                onhand_testpg::run_sql(&address, others);
                std::thread::sleep(std::time::Duration::from_millis(30));
            }
        });
        let send = |(number, node)| {
            scope.spawn(move || {
                let mut acknowledged = 0;
                for round in 0..150 {
                    let key = format!("{number} {round}");
                    loop {
                        match Node::asks(node, &key, receive(1)) {
                            Ok(_) => break,
                            Err(CommitError::Store(error)) => assert!(
                                matches!(
                                    *error,
                                    StoreError::Io { .. }
                                        | StoreError::Unclear { .. }
                                        | StoreError::Moved { .. }
                                ),
                                "{error}"
                            ),
                            Err(error) => panic!("{error}"),
                        }
                    }
                    acknowledged += 1;
                }
                acknowledged
            })
        };
        let sending: Vec<_> = nodes.iter().enumerate().map(send).collect();
        let acknowledged = sending.into_iter().map(|one| one.join().unwrap()).sum();
        over.store(true, Ordering::Relaxed);
        cutting.join().unwrap();
        acknowledged
    });
    let fresh = Node::on(&address);
    assert_eq!(fresh.on_hand().0, Quantity::units(acknowledged));
    fresh.is_sound();
}

#[test]
fn nodes_go_by_the_clock_of_the_database() {
    let (address, nodes) = nodes(2);
    let committed = nodes[1].asks("goods", receive(1)).unwrap();
    let mut store = PostgresStore::open(&PostgresUrl::parse(&address, None).unwrap()).unwrap();
    let head = store.head(TENANT).unwrap();
    let (now, heads) = onhand_store::Store::heads_now(&mut store, &[TENANT]).unwrap();
    assert_eq!((heads, head.seq), (vec![head], committed.seq));
    assert!(now >= head.recorded_at && now.micros() - head.recorded_at.micros() < 60_000_000);
}
