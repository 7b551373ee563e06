//! Several nodes on one database: each is a ledger of its own over a store of its own, as in processes of their own.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use onhand_engine::{CommitError, Committed, DatabaseClock, Ledger, Options, Submission, verify};
use onhand_ledger::command::{Line, PlaceHold, PlaceOrder, PutItem, PutLocation, Receive};
use onhand_ledger::{Answer, Body, CellKey, Command, Quantity, StockState, TenantId};
use onhand_store::{Note, PostgresStore, PostgresUrl, Reader as _, StoreError, Work};

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

/// A hold of one unit that ends in so many seconds.
fn hold(node: &Node, seconds: i64) -> Body {
    let lines = vec![Line { sku: "TEA".to_owned(), quantity: Quantity::units(1), ..Line::default() }];
    let expires_at = node.0.clock().now().plus_micros(seconds * 1_000_000);
    Body::PlaceHold(PlaceHold { lines, location: None, expires_at, partial: None })
}

#[test]
fn what_is_due_is_swept_by_a_node_that_never_met_the_tenant() {
    let (address, nodes) = nodes(1);
    nodes[0].asks("goods", receive(1_000)).unwrap();
    // More than are read at once, all at one instant, and some far away.
    let soon = hold(&nodes[0], 2);
    let all = (0..600).map(|number| (format!("hold {number}"), soon.clone()));
    assert!(
        nodes[0].all(all).iter().all(|answer| matches!(answer.as_ref().unwrap().answer, Answer::Hold(..)))
    );
    let later = (0..300).map(|number| (format!("later {number}"), hold(&nodes[0], 3_600 + number)));
    assert!(nodes[0].all(later).iter().all(Result::is_ok));
    let fresh = Node::on(&address);
    assert_eq!(fresh.0.tenants(), [], "a start reads no tenant");
    let due = fresh.0.due_first(1_000).unwrap();
    assert_eq!(due.len(), 900);
    assert!(due.is_sorted_by_key(|(_, at)| *at) && due.iter().all(|(tenant, _)| *tenant == TENANT));
    let deadline = due[599].1.plus_micros(60_000_000);
    let available = |node: &Node| {
        let read = node.0.read(TENANT, |view| {
            let item = view.item_by_sku("TEA")?.unwrap().0;
            let location = view.location_by_code("LONDON")?.unwrap().0;
            view.as_of(CellKey::new(item, location, StockState::Available), view.now, None)
        });
        read.unwrap()
    };
    assert_eq!(available(&fresh), Quantity::units(100));
    let tick = || Submission {
        tenant: TENANT,
        command: Some(Command { key: None, fingerprint: 0, actor: "test".to_owned(), body: Body::Tick }),
        notes: Vec::new(),
    };
    while fresh.0.due_first(1).unwrap()[0].1 <= due[599].1 {
        assert!(fresh.0.clock().now() < deadline, "what is due is not swept");
        fresh.0.commit(vec![tick()]).remove(0).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(available(&fresh), Quantity::units(700));
    assert_eq!(fresh.0.due_first(1_000).unwrap().len(), 300);
    assert_eq!(fresh.0.tenants_at(Work::Connected).unwrap(), []);
    assert_eq!(fresh.0.tenants_at(Work::Waiting).unwrap(), []);
    fresh.is_sound();
}

#[test]
fn the_feed_tells_what_other_nodes_wrote_to_tenants_with_connected_systems() {
    let (_, nodes) = nodes(2);
    nodes[1].on_hand();
    let feed = nodes[1].0.feed();
    nodes[0].asks("one", receive(1)).unwrap();
    nodes[1].0.look(&[]).unwrap();
    assert!(!feed.has_changed().unwrap(), "no worker waits for it");
    let note = Note { space: "connection".to_owned(), key: "1".to_owned(), body: Some("{}".to_owned()) };
    let connects = Submission { tenant: TENANT, command: None, notes: vec![note] };
    nodes[0].0.commit(vec![connects]).remove(0).unwrap();
    assert_eq!(nodes[1].0.tenants_at(Work::Connected).unwrap(), [TENANT]);
    nodes[1].0.look(&[TENANT]).unwrap();
    assert!(feed.has_changed().unwrap());
    let committed = nodes[0].asks("two", receive(1)).unwrap();
    nodes[1].0.look(&[TENANT]).unwrap();
    assert_eq!(*feed.borrow(), committed.seq);
}

#[test]
fn what_a_batch_of_keyed_commands_needs_is_fetched_together() {
    let server = onhand_testpg::Server::start_with("-c fsync=off -c log_statement=all", false).unwrap();
    let address = onhand_testpg::database_on(&server.address());
    let node = Node::on(&address);
    node.asks(
        "place",
        Body::PutLocation(PutLocation { code: "LONDON".to_owned(), ..PutLocation::default() }),
    )
    .unwrap();
    let sku = |number: u32| format!("TEA-{number}");
    let items = (0..100).map(|number| {
        (format!("item {number}"), Body::PutItem(PutItem { sku: sku(number), ..PutItem::default() }))
    });
    assert!(node.all(items).iter().all(Result::is_ok));
    let fresh = Node::on(&address);
    let asked = || server.log().matches("LOG:  execute").count();
    let before = asked();
    let receipts = (0..100).map(|number| {
        let line = Line { sku: sku(number), quantity: Quantity::units(1), ..Line::default() };
        let receive =
            Receive { location: "LONDON".to_owned(), lines: vec![line], occurred_at: None, reason: None };
        (format!("receipt {number}"), Body::Receive(receive))
    });
    assert!(fresh.all(receipts).iter().all(Result::is_ok));
    let many = asked() - before;
    assert!(many < 40, "{many} statements for 100 commands");
}

/// A tenant with so many cells and keys, among others that have a head.
fn large(cells: u64, keys: u64) -> (String, Node) {
    let (address, mut nodes) = nodes(1);
    let node = nodes.remove(0);
    node.asks("goods", receive(1_000)).unwrap();
    let holds = (0..600).map(|number| (format!("hold {number}"), hold(&node, 3_600 + number)));
    assert!(node.all(holds).iter().all(Result::is_ok));
    // Nobody reads these: what is in them does not matter, and that they are there does.
    let id = TENANT.0;
    let half = keys / 2;
    onhand_testpg::run_sql(
        &address,
        &format!(
            "INSERT INTO onhand.cell SELECT {id}, 1000000 + number, 1 + number % 7, 1, 0, 0, 5, 1, 0, 0, '', 0 \
             FROM generate_series(1, {cells}) AS number;
             INSERT INTO onhand.request_key SELECT {id}, number * (9223372036854775807 / {half} - 1), 1 \
             FROM generate_series(-{half}, {half}) AS number;
             INSERT INTO onhand.head SELECT 1000 + number, 1, '', 0, 1, 1, 0 FROM generate_series(1, 1000) AS number"
        ),
    );
    onhand_testpg::run_sql(&address, "VACUUM ANALYZE");
    (address, node)
}

#[test]
fn a_fresh_node_reads_just_what_its_first_command_needs() {
    let (address, node) = large(20_000, 40_000);
    drop(node);
    let gone = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'onhand'";
    let wait_until_gone = || {
        for _ in 0..500 {
            if onhand_testpg::run_sql(&address, gone) == "0" {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("a node that was dropped is still connected");
    };
    wait_until_gone();
    onhand_testpg::run_sql(&address, "SELECT pg_stat_reset()");
    let fresh = Node::on(&address);
    let answered = fresh.asks("order", order(2)).unwrap();
    assert!(matches!(answered.answer, Answer::Order(..)), "{:?}", answered.answer);
    assert_eq!(fresh.0.tenants(), [TENANT]);
    drop(fresh);
    wait_until_gone();
    let read = onhand_testpg::run_sql(
        &address,
        "SELECT relname, seq_tup_read + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes AS i WHERE i.relid = t.relid) \
         FROM pg_stat_user_tables AS t WHERE schemaname = 'onhand' AND relname <> 'schema_version'",
    );
    let read: BTreeMap<&str, u64> = read
        .lines()
        .map(|line| line.split_once('|').unwrap())
        .map(|(table, rows)| (table, rows.parse().unwrap()))
        .collect();
    assert!(read["head"] > 0 && read["cell"] > 0 && read["object"] > 0, "{read:?}");
    // Of what is due, 256 rows; of all else a handful.
    let most = [
        ("head", 10),
        ("cell", 20),
        ("object", 300),
        ("request_key", 4),
        ("log", 2),
        ("trail", 2),
        ("note", 0),
    ];
    for (table, rows) in most {
        assert!(read[table] <= rows, "{} rows of {table} are read: {read:?}", read[table]);
    }
}

#[test]
#[ignore = "makes a million cells and 20 million keys: 3 GB and some minutes. It prints what it measured"]
fn bench_of_a_fresh_nodes_first_command() {
    let (address, _) = large(1_000_000, 20_000_000);
    for round in 0..5 {
        let begun = tokio::time::Instant::now();
        let fresh = Node::on(&address);
        let opened = begun.elapsed();
        fresh.asks(&format!("order {round}"), order(2)).unwrap();
        let all = begun.elapsed();
        println!("{} ms to open, {} ms with the first command", opened.as_millis(), all.as_millis());
        assert!(all < Duration::from_millis(500), "{all:?}");
    }
}
