//! PostgreSQL: nodes that write one tenant, start together, lose the server; what is sent to it; what a wrong address gets.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use onhand_ledger::state::{CellSlot, TrailRow};
use onhand_ledger::{CellKey, Instant, ItemId, LocationId, Quantity, Seq, StockState, TenantId};
use onhand_store::{
    Batch, Chunk, Given, Head, Note, PostgresStore, PostgresUrl, Presence, Reader as _, Store as _,
    StoreError, Work, WriteKeys, chain,
};
use onhand_testpg::{Server, database, database_on, run_sql};

const TENANT: TenantId = TenantId(1);

fn url(address: &str) -> PostgresUrl {
    PostgresUrl::parse(address, None).unwrap()
}

fn open(address: &str) -> PostgresStore {
    PostgresStore::open(&url(address)).unwrap()
}

/// The next batch of a tenant's log: one chunk, a cell that moved, a key, a note.
fn batch(tenant: TenantId, after: Head, body: &str) -> Batch {
    let seq = after.seq + 1;
    let at = Instant::from_micros(seq.cast_signed());
    let mut chunk =
        Chunk { first_seq: seq, entries: 1, recorded_at: at, body: body.as_bytes().to_vec(), hash: [0; 32] };
    chunk.hash = chain(&after.hash, tenant, &chunk);
    let head = Head { seq, hash: chunk.hash, recorded_at: at, flushed: seq, keyed: 0 };
    let row = TrailRow { seq, occurred_at: at, balance: Quantity::units(seq.cast_signed()), late: false };
    let cell = CellKey::new(ItemId(1), LocationId(2), StockState::Available);
    let before = Instant::from_micros(after.seq.cast_signed());
    let slot = CellSlot {
        quantity: row.balance,
        seq,
        latest: at,
        latest_before_pending: before,
        pending: vec![row],
    };
    let note = Note { space: "test".to_owned(), key: format!("{seq}\0"), body: Some("{}".to_owned()) };
    Batch {
        after,
        chunks: vec![chunk],
        head,
        cells: vec![(cell, slot)],
        keys: vec![(seq << 40, seq)],
        notes: vec![note],
        write_keys: WriteKeys::default(),
        ..Batch::default()
    }
}

fn write(store: &mut PostgresStore, tenant: TenantId, body: &str) {
    let after = store.head(tenant).unwrap();
    store.commit(&[(tenant, batch(tenant, after, body))]).unwrap();
}

fn body_at(store: &mut PostgresStore, seq: Seq) -> String {
    String::from_utf8(store.chunk_of(TENANT, seq).unwrap().unwrap().body).unwrap()
}

#[test]
fn what_was_decided_on_an_older_head_is_not_written() {
    let address = database();
    let (mut one, mut two) = (open(&address), open(&address));
    // Neither has a head yet: the second is told too.
    let nothing = Head::default();
    one.commit(&[(TENANT, batch(TENANT, nothing, "one"))]).unwrap();
    for round in 1..4 {
        let stale = batch(TENANT, if round == 1 { nothing } else { one.head(TENANT).unwrap() }, "two");
        write(&mut one, TENANT, "one again");
        let before = two.head(TENANT).unwrap();
        assert!(matches!(two.commit(&[(TENANT, stale)]), Err(StoreError::Moved { tenant: TENANT })));
        assert_eq!(two.head(TENANT).unwrap(), before);
        assert_eq!(body_at(&mut two, before.seq), "one again");
        assert_eq!(two.note(TENANT, "test", &format!("{}\0", before.seq)).unwrap().as_deref(), Some("{}"));
    }
    // The same `seq` by another way is another log.
    let other = Head { hash: [7; 32], ..one.head(TENANT).unwrap() };
    let branched = two.commit(&[(TENANT, batch(TENANT, other, "two"))]);
    assert!(matches!(branched, Err(StoreError::Moved { .. })));
    // Of several tenants in one transaction all are written, or none.
    let (mine, theirs) = (one.head(TENANT).unwrap(), one.head(TenantId(2)).unwrap());
    let both = [(TenantId(2), batch(TenantId(2), theirs, "two")), (TENANT, batch(TENANT, other, "two"))];
    assert!(matches!(two.commit(&both), Err(StoreError::Moved { tenant: TENANT })));
    assert_eq!(two.head(TenantId(2)).unwrap(), Head::default());
    let results = two.commit_each(&both);
    assert!(
        results[0].is_ok() && matches!(results[1], Err(StoreError::Moved { tenant: TENANT })),
        "{results:?}"
    );
    assert_eq!((two.head(TenantId(2)).unwrap().seq, two.head(TENANT).unwrap()), (1, mine));
}

#[test]
fn nodes_that_race_write_one_log_after_the_other() {
    let address = database();
    open(&address);
    let race = |name: &'static str| {
        let address = address.clone();
        std::thread::spawn(move || {
            let (mut store, mut moved) = (open(&address), 0);
            for _ in 0..40 {
                loop {
                    let after = store.head(TENANT).unwrap();
                    match store.commit(&[(TENANT, batch(TENANT, after, name))]) {
                        Ok(()) => break,
                        Err(StoreError::Moved { .. }) => moved += 1,
                        Err(error) => panic!("{error}"),
                    }
                }
            }
            moved
        })
    };
    let racing: Vec<_> = ["one", "two", "three"].into_iter().map(race).collect();
    let moved: i32 = racing.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert!(moved > 0, "nobody was in anybody's way");
    let mut store = open(&address);
    assert_eq!(store.head(TENANT).unwrap().seq, 120);
    let mut hash = [0; 32];
    for chunk in store.chunks_after(TENANT, 0, 1_000).unwrap() {
        assert_eq!(chain(&hash, TENANT, &chunk), chunk.hash);
        hash = chunk.hash;
    }
    assert_eq!(hash, store.head(TENANT).unwrap().hash);
    assert_eq!(store.keys_after(TENANT, None, 1_000).unwrap().len(), 120);
    let cell = CellKey::new(ItemId(1), LocationId(2), StockState::Available);
    assert_eq!(store.cell(TENANT, &cell).unwrap().quantity, Quantity::units(120));
    let trail = store.trail(TENANT, &cell, Seq::MAX, 1_000).unwrap();
    assert_eq!(trail.iter().map(|row| row.seq).collect::<Vec<_>>(), (1..=120).rev().collect::<Vec<_>>());
}

#[test]
fn a_cell_that_moves_again_is_not_read_again_unless_another_node_moved_it() {
    let server =
        Server::start_with("-c fsync=off -c log_statement=all -c log_line_prefix='|%a|'", false).unwrap();
    let address = database_on(&server.address());
    let mut nodes = [open(&address), open(&address)];
    let mut move_it = |node: usize, times: usize| {
        let reads = || server.log().matches("c.latest_before, c.recent, c.sum FROM unnest").count();
        let before = reads();
        for _ in 0..times {
            let after = nodes[node].head(TENANT).unwrap();
            let written = nodes[node].commit_each(&[(TENANT, batch(TENANT, after, "moved"))]);
            assert!(written.into_iter().all(|one| one.is_ok()));
        }
        reads() - before
    };
    // Each reads it once, for nothing is known of it: at first, and after the other one.
    assert_eq!([move_it(0, 100), move_it(0, 50), move_it(1, 40), move_it(0, 60)], [1, 0, 1, 1]);
    let cell = CellKey::new(ItemId(1), LocationId(2), StockState::Available);
    let trail = nodes[1].trail(TENANT, &cell, Seq::MAX, 1_000).unwrap();
    assert_eq!(trail.iter().map(|row| row.seq).collect::<Vec<_>>(), (1..=250).rev().collect::<Vec<_>>());
    // What is not written is not known either.
    let stale = nodes[1].head(TENANT).unwrap();
    write(&mut nodes[0], TENANT, "quicker");
    let refused = nodes[1].commit_each(&[(TENANT, batch(TENANT, stale, "slower"))]).pop().unwrap();
    assert!(matches!(refused, Err(StoreError::Moved { .. })), "{refused:?}");
    let after = nodes[1].head(TENANT).unwrap();
    nodes[1].commit_each(&[(TENANT, batch(TENANT, after, "again"))]).pop().unwrap().unwrap();
    let trail = nodes[0].trail(TENANT, &cell, Seq::MAX, 1_000).unwrap();
    assert_eq!(trail.iter().map(|row| row.seq).collect::<Vec<_>>(), (1..=252).rev().collect::<Vec<_>>());
}

#[test]
fn ten_nodes_that_start_together_make_the_tables_once() {
    let address = database();
    let start = || {
        let address = address.clone();
        std::thread::spawn(move || open(&address).head(TENANT).unwrap())
    };
    let starting: Vec<_> = (0..10).map(|_| start()).collect();
    for thread in starting {
        assert_eq!(thread.join().unwrap(), Head::default());
    }
    assert_eq!(run_sql(&address, "SELECT * FROM onhand.schema_version"), "7|1");
}

#[test]
fn ten_nodes_of_the_next_version_change_the_tables_once_while_one_of_the_version_before_writes() {
    let address = database();
    // What it sends is of the first version as well: as such it goes on.
    let mut before = open(&address);
    write(&mut before, TENANT, "0");
    for index in [
        "object_due",
        "object_waiting",
        "note_connection",
        "note_inbound",
        "note_alert_target",
        "note_raw",
        "note_subscription",
    ] {
        run_sql(&address, &format!("DROP INDEX onhand.{index}"));
    }
    run_sql(&address, "DROP TABLE onhand.node, onhand.given");
    run_sql(&address, "DROP FUNCTION onhand.give_note_version CASCADE");
    run_sql(&address, "ALTER TABLE onhand.note DROP COLUMN version");
    run_sql(&address, "DROP SEQUENCE onhand.note_version");
    run_sql(&address, "UPDATE onhand.schema_version SET version = 1");
    let over = AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let mut written = 1;
            // And some after the last has come.
            while !over.load(Ordering::SeqCst) || written < 20 {
                write(&mut before, TENANT, &format!("{written}"));
                written += 1;
            }
            written
        });
        let start = |number: u64| {
            let address = &address;
            move || write(&mut open(address), TenantId(100 + number), "beside it")
        };
        let starting: Vec<_> = (0..10).map(|number| scope.spawn(start(number))).collect();
        for node in starting {
            node.join().unwrap();
        }
        over.store(true, Ordering::SeqCst);
        writing.join().unwrap()
    });
    assert_eq!(run_sql(&address, "SELECT * FROM onhand.schema_version"), "7|1");
    let made = "SELECT count(*) FROM pg_indexes WHERE indexname IN \
                ('object_due', 'object_waiting', 'note_connection', 'note_inbound', 'note_alert_target', 'note_raw', 'note_subscription')";
    assert_eq!(run_sql(&address, made), "7");
    let chunks = open(&address).chunks_after(TENANT, 0, 10_000).unwrap();
    assert_eq!(chunks.len(), written, "all of it is there once");
    assert_eq!(open(&address).tenants().unwrap().len(), 11);
}

/// Whoever reads finds what was written of what systems show since it last looked, whichever node wrote it, and nothing else.
#[test]
fn what_is_noted_of_what_systems_show_has_versions() {
    let address = database();
    let (mut one, mut two) = (open(&address), open(&address));
    let put = |store: &mut PostgresStore, tenant, space: &str, key: &str, body: Option<&str>| {
        let note = Note { space: space.to_owned(), key: key.to_owned(), body: body.map(str::to_owned) };
        let after = store.head(tenant).unwrap();
        let batch = Batch { after, head: after, notes: vec![note], ..Batch::default() };
        store.commit(&[(tenant, batch)]).unwrap();
    };
    let since = |store: &mut PostgresStore, version| store.shown_since(TENANT, version).unwrap().unwrap();
    assert_eq!(since(&mut one, None).version, 0);
    put(&mut one, TENANT, "shown:1", "7@here", Some("5"));
    put(&mut two, TENANT, "shown:2", "8@here", Some("5"));
    let both = since(&mut one, Some(0));
    assert_eq!(both.notes.len(), 2, "{both:?}");
    assert_eq!(
        since(&mut two, Some(both.version)),
        onhand_store::Shown { notes: Vec::new(), ..both.clone() }
    );
    // The same again is written too; another space, and another tenant, are not it.
    put(&mut two, TENANT, "shown:1", "7@here", Some("5"));
    put(&mut two, TENANT, "status", "1", Some("{}"));
    put(&mut two, TenantId(9), "shown:1", "9@here", Some("5"));
    let later = since(&mut one, Some(both.version));
    assert_eq!(later.notes, [("shown:1".to_owned(), "7@here".to_owned())]);
    assert!(later.version > both.version);
    // A reader sees what was there when it began.
    let mut reader = two.reader().unwrap();
    reader.begin().unwrap();
    assert_eq!(reader.shown_since(TENANT, None).unwrap().unwrap().version, later.version);
    put(&mut one, TENANT, "shown:2", "8@here", Some("6"));
    assert_eq!(reader.shown_since(TENANT, Some(later.version)).unwrap().unwrap().notes, []);
    reader.end().unwrap();
    assert_eq!(since(&mut two, Some(later.version)).notes.len(), 1);
}

#[test]
fn a_newer_version_says_who_may_go_on_beside_it() {
    let address = database();
    open(&address);
    run_sql(&address, "UPDATE onhand.schema_version SET version = 9");
    let mut running = open(&address);
    write(&mut running, TENANT, "a neighbour");
    run_sql(&address, "UPDATE onhand.schema_version SET min_compatible = 8");
    let head = running.head(TENANT).unwrap();
    let batch = Batch { after: head, head, ..Batch::default() };
    let refused = running.commit(&[(TENANT, batch)]).unwrap_err();
    assert!(
        matches!(refused, StoreError::TooOld { needed: 8, known: 7, .. }),
        "while it runs, too: {refused}"
    );
    match PostgresStore::open(&url(&address)).err() {
        Some(error @ StoreError::TooOld { needed: 8, known: 7, .. }) => {
            assert!(error.to_string().contains("schema 8"), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_server_that_ends_between_two_commits_or_is_ended_in_one_loses_nothing() {
    let mut server = Server::start().unwrap();
    let address = database_on(&server.address());
    let mut store = open(&address);
    write(&mut store, TENANT, "first");
    for round in 0..3 {
        // Every connection ends while nothing is under way: the next commit finds out, and is done all the same.
        run_sql(
            &format!("{}/postgres", server.address()),
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'onhand'",
        );
        write(&mut store, TENANT, &format!("round {round}"));
    }
    assert_eq!(store.head(TENANT).unwrap().seq, 4);
    // Immediately ended, and started again a moment later, while commits go on.
    let writing = std::thread::spawn(move || {
        for number in 0..120 {
            // A commit waits for a server that was away; who reads is told at once, and may ask again.
            let after = loop {
                match store.head(TENANT) {
                    Ok(head) => break head,
                    Err(StoreError::Io { doing: "read", .. }) => {
                        std::thread::sleep(Duration::from_millis(20))
                    }
                    Err(error) => panic!("{error}"),
                }
            };
            store.commit(&[(TENANT, batch(TENANT, after, &format!("{number}")))]).unwrap();
        }
        store
    });
    for _ in 0..2 {
        std::thread::sleep(Duration::from_millis(150));
        server.kill();
        server.begin("-c fsync=on", false).unwrap();
    }
    let mut store = writing.join().unwrap();
    assert_eq!(store.head(TENANT).unwrap().seq, 124, "each is there once");
    let bodies: Vec<String> = (5..=124).map(|seq| body_at(&mut store, seq)).collect();
    assert_eq!(bodies, (0..120).map(|number| number.to_string()).collect::<Vec<_>>());
}

/// Passes bytes on between a client and a server, and once it is told to cuts the line at a `COMMIT`: before the server has it,
/// or once the server has answered it.
struct Proxy {
    port: u16,
    cut: Arc<AtomicU8>,
}

const BEFORE: u8 = 1;
const AFTER: u8 = 2;

impl Proxy {
    fn before(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, cut) = (listener.local_addr().unwrap().port(), Arc::new(AtomicU8::new(0)));
        let told = cut.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                // A server that is away lets nobody in.
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(("127.0.0.1", server))) else {
                    continue;
                };
                let dead = Arc::new(AtomicBool::new(false));
                let (up, down) =
                    (Line { dead: dead.clone(), cut: Some(told.clone()) }, Line { dead, cut: None });
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || up.pass_on(from, to));
                std::thread::spawn(move || down.pass_on(server, client));
            }
        });
        Self { port, cut }
    }
}

struct Line {
    dead: Arc<AtomicBool>,
    cut: Option<Arc<AtomicU8>>,
}

impl Line {
    fn pass_on(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut bytes = vec![0; 65_536];
        loop {
            let read = from.read(&mut bytes).unwrap_or(0);
            let is_commit = bytes[..read].windows(6).any(|word| word == b"COMMIT");
            let cut = self.cut.as_ref().filter(|_| is_commit).map_or(0, |cut| cut.swap(0, Ordering::SeqCst));
            if cut != 0 {
                self.dead.store(true, Ordering::SeqCst);
            }
            if cut == AFTER {
                to.write_all(&bytes[..read]).unwrap();
                // Time for the server to do it; nothing of what it answers comes through.
                std::thread::sleep(Duration::from_millis(300));
            }
            let is_dead = self.dead.load(Ordering::SeqCst);
            if read == 0 || cut != 0 || is_dead || to.write_all(&bytes[..read]).is_err() {
                if self.cut.is_some() || !is_dead {
                    let _ = from.shutdown(std::net::Shutdown::Both);
                    let _ = to.shutdown(std::net::Shutdown::Both);
                }
                return;
            }
        }
    }
}

#[test]
fn an_outcome_that_was_lost_is_found_in_the_log() {
    let server = Server::start_with("-c fsync=off", true).unwrap();
    let here = database_on(&server.address());
    let proxy = Proxy::before(server.port());
    let name = here.rsplit('/').next().unwrap();
    let mut store = open(&format!("postgres://onhand@127.0.0.1:{}/{name}?sslmode=disable", proxy.port));
    for (number, cut) in [0, BEFORE, AFTER, AFTER, BEFORE].into_iter().enumerate() {
        let head = store.head(TENANT).unwrap();
        let body = format!("commit {number}");
        proxy.cut.store(cut, Ordering::SeqCst);
        let batch = batch(TENANT, head, &body);
        store.commit(&[(TENANT, batch.clone())]).unwrap();
        assert_eq!(proxy.cut.load(Ordering::SeqCst), 0, "the line was cut");
        let now = store.head(TENANT).unwrap();
        assert_eq!((now.seq, now.hash), (batch.head.seq, batch.head.hash));
        assert_eq!(body_at(&mut store, now.seq), body);
        // It was found there, not written again: that would be refused as decided on an older head.
        assert!(matches!(store.commit(&[(TENANT, batch)]), Err(StoreError::Moved { .. })));
    }
    assert_eq!(run_sql(&here, "SELECT count(*), max(first_seq) FROM onhand.log"), "5|5");
    // Of notes alone nobody can tell: they are written again.
    let head = store.head(TENANT).unwrap();
    let note = Note { space: "test".to_owned(), key: "alone".to_owned(), body: Some("1".to_owned()) };
    let batch = Batch { after: head, head, notes: vec![note], ..Batch::default() };
    proxy.cut.store(AFTER, Ordering::SeqCst);
    store.commit(&[(TENANT, batch)]).unwrap();
    assert_eq!(store.note(TENANT, "test", "alone").unwrap().as_deref(), Some("1"));
}

#[test]
fn an_outcome_that_nobody_can_tell_is_said_to_be_unclear() {
    let mut server = Server::start_with("-c fsync=off", true).unwrap();
    let here = database_on(&server.address());
    let proxy = Proxy::before(server.port());
    let name = here.rsplit('/').next().unwrap();
    let address = format!("postgres://onhand@127.0.0.1:{}/{name}?sslmode=disable", proxy.port);
    let mut store = PostgresStore::open_with(&url(&address), Duration::from_millis(500)).unwrap();
    write(&mut store, TENANT, "first");
    let head = store.head(TENANT).unwrap();
    proxy.cut.store(AFTER, Ordering::SeqCst);
    let committing = std::thread::spawn(move || {
        let committed = store.commit(&[(TENANT, batch(TENANT, head, "second"))]);
        (committed, store)
    });
    // While the proxy holds the answer back the server has done it, and goes away before anybody can ask.
    std::thread::sleep(Duration::from_millis(200));
    server.kill();
    let (committed, mut store) = committing.join().unwrap();
    assert!(matches!(committed, Err(StoreError::Unclear { .. })), "{committed:?}");
    // What was never begun is not unclear.
    let refused = store.commit(&[(TENANT, batch(TENANT, head, "third"))]);
    assert!(matches!(refused, Err(StoreError::Io { .. })), "{refused:?}");
    assert!(matches!(store.head(TENANT), Err(StoreError::Io { .. })));
    server.begin("-c fsync=off", true).unwrap();
    let now = store.head(TENANT).unwrap();
    assert_eq!((now.seq, body_at(&mut store, now.seq)), (2, "second".to_owned()));
}

#[test]
fn another_with_our_connection_string_sees_what_is_wrong_with_it() {
    let server = Server::start_with("-c fsync=off", true).unwrap();
    let here = format!("127.0.0.1:{}", server.port());
    let data = format!("{}/data", server.folder().display());
    let admin = format!("{}/postgres", server.address());
    run_sql(&admin, "CREATE ROLE ann LOGIN PASSWORD 's3cret'");
    run_sql(
        &admin,
        "CREATE DATABASE narrow ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0",
    );
    run_sql(
        &admin,
        &format!(
            "COPY (SELECT 'local all all trust' UNION ALL SELECT 'host all all 127.0.0.1/32 scram-sha-256') TO '{data}/pg_hba.conf'"
        ),
    );
    run_sql(&admin, "SELECT pg_reload_conf()");
    let said = |address: &str| match PostgresStore::open(&url(address)).err() {
        Some(error) => error.to_string(),
        None => panic!("{address} was opened"),
    };
    let cases = [
        (format!("postgres://ann:s3cret@{here}/nowhere"), "there is no database `nowhere`"),
        (
            format!("postgres://ann:s3cret-but-wrong@{here}/postgres"),
            "does not take this password of the user `ann`",
        ),
        (format!("postgres://ann@{here}/postgres"), "password"),
        (format!("postgres://ann:s3cret@{here}/postgres"), "may not do that in `postgres`"),
        (format!("{}/narrow", server.address()), "LATIN1"),
        ("postgres://ann:s3cret@127.0.0.1:1/stock".to_owned(), "127.0.0.1:1 cannot be reached"),
        (format!("postgres://ann:s3cret@{here}/postgres?sslmode=require"), "TLS"),
    ];
    for (address, what) in cases {
        let error = said(&address);
        assert!(error.contains(what), "{address}: {error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
}

#[test]
fn a_store_is_used_from_within_a_runtime() {
    let address = database();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    runtime.block_on(async move {
        let mut store = open(&address);
        write(&mut store, TENANT, "inside");
        let mut reader = store.reader().unwrap();
        assert_eq!(reader.head(TENANT).unwrap().seq, 1);
        store.try_writing().unwrap();
        assert_eq!(store.tenants().unwrap(), [TENANT], "trying leaves nothing behind");
    });
}

/// Statements that name no tenant, or may name all: what each is for, and how it begins.
const EXCEPTIONS: [(&str, &str); 11] = [
    (
        "what is due first, whoever's it is: swept by whichever node is there",
        "SELECT tenant_id, key FROM object WHERE kind = 16 ORDER BY key, tenant_id LIMIT $1",
    ),
    (
        "whose systems are connected, for the node that runs the workers",
        "SELECT DISTINCT tenant_id FROM note WHERE space = 'connection' ORDER BY tenant_id",
    ),
    (
        "whose snapshots wait",
        "SELECT DISTINCT tenant_id FROM note WHERE space = 'inbound' ORDER BY tenant_id",
    ),
    (
        "who speaks with whose connected systems, for nodes to take their share of them",
        "SELECT n.tenant_id, n.key, g.node FROM note n LEFT JOIN given g ON g.tenant_id = n.tenant_id AND g.key = n.key \
         WHERE n.space = 'connection' ORDER BY n.tenant_id, n.key",
    ),
    (
        "where the logs end of all tenants whose systems a node speaks with",
        "SELECT tenant_id, seq FROM head WHERE tenant_id = ANY($1)",
    ),
    (
        "who is told of troubles",
        "SELECT DISTINCT tenant_id FROM note WHERE space = 'alert_target' ORDER BY tenant_id",
    ),
    (
        "who is sent webhooks",
        "SELECT DISTINCT tenant_id FROM note WHERE space = 'subscription' ORDER BY tenant_id",
    ),
    (
        "whose raw documents are let go of in time",
        "SELECT DISTINCT tenant_id FROM note WHERE space = 'raw' ORDER BY tenant_id",
    ),
    ("whose documents wait", "SELECT DISTINCT tenant_id FROM object WHERE kind = 14 ORDER BY tenant_id"),
    ("all tenants, for a start and for audits", "SELECT tenant_id FROM head ORDER BY tenant_id"),
    ("the version of the tables", "SELECT version, min_compatible FROM schema_version"),
];

/// An audit asks of all tables at once whether they have rows of a tenant that has no head.
const ORPHANS: &str = "SELECT min(id) FROM (SELECT min(id) AS id FROM (WITH RECURSIVE tenants(id)";

#[test]
fn every_statement_names_exactly_one_tenant() {
    let server =
        Server::start_with("-c fsync=off -c log_statement=all -c log_line_prefix='|%a|'", false).unwrap();
    let address = database_on(&server.address());
    use_everything(&address);
    let tables = ["head", "log", "cell", "trail", "object", "request_key", "note", "given", "schema_version"];
    let (mut seen, mut wrong) = (std::collections::BTreeSet::new(), Vec::new());
    // A line goes on in lines that begin with a tab.
    for line in server.log().replace("\n\t", " ").lines() {
        let Some((_, said)) = line.split_once("|onhand|LOG:") else { continue };
        let said = said.trim();
        let Some((kind, sql)) = said.split_once(": ") else { continue };
        let words: Vec<&str> = sql.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).collect();
        let is_ours = tables.iter().any(|table| words.contains(table));
        let is_setting =
            ["CREATE", "LOCK", "ALTER", "BEGIN; LOCK"].iter().any(|word| sql.trim().starts_with(word));
        let is_exception =
            EXCEPTIONS.iter().any(|(_, exception)| sql == *exception) || sql.starts_with(ORPHANS);
        let is_version = sql.contains("schema_version");
        if !is_ours || is_setting || is_exception || is_version {
            continue;
        }
        // By its first parameter, and by nothing else.
        let read = sql.matches("tenant_id = $1").count();
        let written = sql.matches("(tenant_id, ").count();
        let put = ["SELECT $1, *", "VALUES($1, "].iter().any(|put| sql.contains(put));
        let named = kind.starts_with("execute")
            && (read == 1 || put && sql.starts_with("INSERT INTO ") && written >= 1);
        let keyed = sql.matches("(tenant_id)").count();
        let others = sql.matches("tenant_id").count() - read - written - keyed;
        if !named || others > 0 {
            wrong.push(sql.to_owned());
        }
        seen.insert(sql.to_owned());
    }
    assert_eq!(wrong, [""; 0], "they name no tenant by their first parameter, or more than one");
    for table in &tables[..8] {
        for word in ["SELECT ", "INSERT INTO ", "DELETE FROM "] {
            // A head ends with its tenant, and what is only ever added is deleted by a rebuild alone.
            let is_there = seen.iter().any(|sql| sql.starts_with(word) && sql.contains(table));
            let is_none =
                (*table == "head" && word == "DELETE FROM ") || (*table == "given" && word == "SELECT ");
            assert!(is_there || is_none, "no {word}of {table} was seen");
        }
    }
    assert!(seen.len() >= 35, "{} statements were seen", seen.len());
}

/// Has a store send all it can.
fn use_everything(address: &str) {
    let mut store = open(address);
    for number in 0..3 {
        write(&mut store, TENANT, &format!("{number}"));
        write(&mut store, TenantId(2), &format!("{number}"));
    }
    let after = store.head(TENANT).unwrap();
    let cell = CellKey::new(ItemId(1), LocationId(2), StockState::Available);
    let pending = (4..400).map(|seq| TrailRow {
        seq,
        occurred_at: Instant::from_micros(seq.cast_signed()),
        balance: Quantity::units(1),
        late: false,
    });
    let slot = CellSlot { seq: 399, pending: pending.collect(), ..CellSlot::default() };
    let key = onhand_ledger::Key::Sku("MUG".to_owned());
    let value = onhand_ledger::Value::ItemId(ItemId(1));
    let objects = vec![(key.clone(), onhand_ledger::state::Slot { value: Some(value), seq: 4 })];
    let gone = vec![(key.clone(), onhand_ledger::state::Slot { value: None, seq: 4 })];
    let batch = Batch { after, head: after, cells: vec![(cell, slot)], objects, ..Batch::default() };
    store.commit(&[(TENANT, batch)]).unwrap();
    let note = Note { space: "test".to_owned(), key: "1\0".to_owned(), body: None };
    let batch = Batch { after, head: after, objects: gone, notes: vec![note], ..Batch::default() };
    store.commit_each(&[(TENANT, batch)]).pop().unwrap().unwrap();
    let mut reader = store.reader().unwrap();
    reader.tenants().unwrap();
    reader.tenants_at(Work::Connected).unwrap();
    reader.tenants_at(Work::Waiting).unwrap();
    reader.tenants_at(Work::Inbound).unwrap();
    reader.tenants_at(Work::Alerting).unwrap();
    reader.tenants_at(Work::Subscribed).unwrap();
    reader.tenants_at(Work::Raw).unwrap();
    reader.due_first(10).unwrap();
    reader.shown_since(TENANT, None).unwrap();
    reader.shown_since(TENANT, Some(-1)).unwrap();
    let free = Given { tenant: TENANT, key: "1".to_owned(), node: None };
    let ours = Given { node: Some("a".to_owned()), ..free.clone() };
    assert!(store.give(&free, Some("a")).unwrap() && store.give(&ours, Some("a")).unwrap());
    assert!(store.give(&ours, None).unwrap());
    store.given().unwrap();
    reader.cells_of(TENANT, ItemId(1)).unwrap();
    reader.cells_after(TENANT, Some(cell), 10).unwrap();
    reader.object(TENANT, &key).unwrap();
    reader.range(TENANT, &key, &key, false, 10).unwrap();
    reader.range(TENANT, &key, &key, true, 10).unwrap();
    reader.objects_after(TENANT, Some(&key), 10).unwrap();
    reader.keys_after(TENANT, None, 10).unwrap();
    reader.keys_like(TENANT, 1).unwrap();
    reader.chunks_after(TENANT, 1, 10).unwrap();
    reader.trail(TENANT, &cell, 300, 1_000).unwrap();
    reader.trail_before(TENANT, &cell, Instant::from_micros(300), 300).unwrap();
    reader.note(TENANT, "test", "2\0").unwrap();
    assert_eq!(reader.notes(TENANT, "test", None, 10).unwrap().len(), 2);
    assert_eq!(reader.notes(TENANT, "test", Some("2\0"), 10).unwrap().len(), 1);
    assert_eq!(reader.check().unwrap(), None);
    store.remember_keys(TENANT, &[(1, 1)]).unwrap();
    store.try_writing().unwrap();
    store.clear_projections().unwrap();
    let head = store.head(TENANT).unwrap();
    assert_eq!((head.flushed, head.keyed, head.seq), (0, 0, 3));
}

#[test]
fn a_node_that_was_silent_for_too_long_never_comes_back_and_what_it_had_is_taken_by_one() {
    let address = database();
    let (mut one, mut other) = (open(&address), open(&address));
    write(&mut one, TENANT, "there");
    let after = one.head(TENANT).unwrap();
    let note =
        |key: &str| Note { space: "connection".to_owned(), key: key.to_owned(), body: Some("{}".to_owned()) };
    let batch = Batch { after, head: after, notes: vec![note("7"), note("8")], ..Batch::default() };
    one.commit(&[(TENANT, batch)]).unwrap();
    assert_eq!(one.stay("a", Presence::Enters(60_000)).unwrap(), ["a"]);
    assert_eq!(other.stay("b", Presence::Enters(60_000)).unwrap(), ["a", "b"]);
    let free = |key: &str| Given { tenant: TENANT, key: key.to_owned(), node: None };
    assert_eq!(one.given().unwrap(), [free("7"), free("8")]);
    assert!(one.give(&free("7"), Some("a")).unwrap());
    assert!(!other.give(&free("7"), Some("b")).unwrap(), "who was quicker has it");
    let of = |node: &str| Given { node: Some(node.to_owned()), ..free("7") };
    assert_eq!(other.given().unwrap(), [of("a"), free("8")]);
    assert!(!other.give(&of("c"), Some("b")).unwrap(), "it is not given as that says");
    // Its time is over by the server's clock.
    assert_eq!(one.stay("a", Presence::Stays(0)).unwrap(), ["b"]);
    assert_eq!(one.stay("a", Presence::Stays(60_000)).unwrap(), ["b"], "it never comes back");
    assert!(other.give(&of("a"), Some("b")).unwrap());
    assert!(!one.give(&of("a"), None).unwrap(), "it is another's");
    assert_eq!(other.stay("b", Presence::Leaves).unwrap(), [""; 0]);
    assert!(other.give(&of("b"), None).unwrap());
    assert_eq!(other.given().unwrap(), [free("7"), free("8")]);
}
