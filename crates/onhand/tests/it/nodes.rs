//! Three real servers on one PostgreSQL, and a nemesis: it kills them and the database, cuts, delays and silences what is between
//! them, fills the database's disk, sets clocks wrong, and has a standby take over. Afterwards what was acknowledged is there once, and
//! every answer that anybody ever read is what the log says of that `seq`.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use onhand_proof::skew::Skew;
use onhand_testpg::{Server as Database, database_on, run_sql};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::proxy::Proxy;
use crate::server::{Server, onhand, text};
use crate::three_nodes;

const NODES: usize = 3;
const CLIENTS: usize = 6;
const ITEMS: usize = 5;
/// How long it goes on, unless `ONHAND_NEMESIS_SECONDS` says otherwise.
const SECONDS: u64 = 60;
/// So many movements of each tenant make the row of three nodes; and where it is for a report.
const ROW: usize = 200;
const ROW_REPORTED: usize = 20_000;
/// How soon work goes on once what was done to it is over: the time that a connection may be silent, and that the transaction of a
/// node that is gone may keep a tenant's head, and some.
const RECOVERY: Duration = Duration::from_secs(40);
/// As PostgreSQL is by itself, with as little of a log as fits on a small disk.
const DURABLE: &str = "-c fsync=on -c min_wal_size=4MB -c max_wal_size=24MB";
const DISK_MIB: u32 = 160;

/// What was acknowledged.
struct Acknowledged {
    item: usize,
    /// By how much it changed; none where it was refused.
    change: Option<i64>,
    /// The entry that a read must have reached to see it.
    seq: u64,
}

/// What somebody read.
struct Seen {
    item: usize,
    seq: u64,
    on_hand: i64,
}

/// What all of them know.
struct World {
    /// Where each node is now; its place stays while it is away.
    bases: Mutex<Vec<String>>,
    key: String,
    /// How many changes each node has acknowledged.
    by_node: [AtomicU64; NODES],
    /// By the key of the request.
    acknowledged: Mutex<BTreeMap<String, Acknowledged>>,
    seen: Mutex<Vec<Seen>>,
    /// The newest entry that anybody was told of.
    newest: AtomicU64,
    over: AtomicBool,
}

fn sku(item: usize) -> String {
    format!("MUG-{item}")
}

fn seq_of(answer: &reqwest::Response) -> u64 {
    answer.headers()["onhand-seq"].to_str().unwrap().parse().unwrap()
}

/// Changes stock under a key of its own until some node says that it is done; then reads at another, which must know of all
/// that was acknowledged before it was asked.
async fn client(world: Arc<World>, number: usize) {
    let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(4)).build().unwrap();
    let mut node = number;
    let mut next = || {
        node = (node + 1) % NODES;
        (node, world.bases.lock()[node].clone())
    };
    for round in 0.. {
        if world.over.load(Ordering::Relaxed) {
            return;
        }
        let item = (number + round) % ITEMS;
        let change = [3, -2, 1, -3][(number + round / ITEMS) % 4];
        let kind = if change > 0 { "receive" } else { "adjust" };
        let (key, lines) = (format!("{number}-{round}"), json!([{ "sku": sku(item), "quantity": change }]));
        let mut body = json!({ "location": "LONDON", "lines": lines, "reference": key });
        if change < 0 {
            body["reason"] = json!("shrinkage");
        }
        let (change, seq) = loop {
            let (node, base) = next();
            let request = http.post(format!("{base}/v1/movements/{kind}")).bearer_auth(&world.key);
            match request.header("idempotency-key", &key).json(&body).send().await {
                Ok(answer) if answer.status().is_success() => {
                    world.by_node[node].fetch_add(1, Ordering::Relaxed);
                    break (Some(change), seq_of(&answer));
                }
                // There is less than that.
                Ok(answer) if answer.status() == 409 => break (None, 0),
                Ok(answer) => assert_eq!(answer.status(), 503, "{:?}", answer.text().await),
                // It is being killed, or is away, or hears nothing.
                Err(_) => {}
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        world.newest.fetch_max(seq, Ordering::SeqCst);
        let known = world.newest.load(Ordering::SeqCst);
        world.acknowledged.lock().insert(key, Acknowledged { item, change, seq });
        // Whoever asks for nothing is told nothing of the past either.
        let asked = if round % 2 == 0 { format!("?min_seq={known}") } else { String::new() };
        let request = http.get(format!("{}/v1/items/{}/stock{asked}", next().1, sku(item)));
        let Ok(answer) = request.bearer_auth(&world.key).send().await else { continue };
        if answer.status() == 503 {
            continue;
        }
        assert_eq!(answer.status(), 200, "{:?}", answer.text().await);
        let seq = seq_of(&answer);
        assert!(seq >= known, "a node showed entry {seq} where {known} was acknowledged before");
        let Ok(stock) = answer.json::<Value>().await else { continue };
        assert_eq!(stock["seq"], seq);
        let on_hand = stock["total"]["on_hand"].as_i64().unwrap();
        world.seen.lock().push(Seen { item, seq, on_hand });
    }
}

/// The time to the second, by the database's clock.
fn now(database: &Database) -> String {
    let now = "SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS')";
    run_sql(&format!("{}/postgres", database.address()), now)
}

/// What it does, in turn.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Fault {
    KillNode,
    CutLine,
    SlowLine,
    KillDatabase,
    SilentLine,
    WrongClock,
    FullDisk,
    /// All connections of a node stand, and nothing ever comes through them any more.
    DeadLine,
    FailOver,
}

const FAULTS: [Fault; 9] = [
    Fault::KillNode,
    Fault::CutLine,
    Fault::SlowLine,
    Fault::KillDatabase,
    Fault::SilentLine,
    Fault::WrongClock,
    Fault::FullDisk,
    Fault::DeadLine,
    Fault::FailOver,
];

struct Nemesis {
    /// By the database's clock.
    begun_at: String,
    world: Arc<World>,
    folder: tempfile::TempDir,
    database: Database,
    name: String,
    proxies: Vec<Proxy>,
    skews: Vec<Skew>,
    nodes: Vec<Option<Server>>,
    standbys: usize,
    done: BTreeMap<Fault, usize>,
    longest: Duration,
}

impl Nemesis {
    async fn begin() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::start_on_disk(DURABLE, DISK_MIB).unwrap();
        let name = database_on(&database.address()).rsplit('/').next().unwrap().to_owned();
        let (mut proxies, mut skews) = (Vec::new(), Vec::new());
        for number in 0..NODES {
            proxies.push(Proxy::before(database.port()).await);
            let place = folder.path().join(number.to_string());
            std::fs::create_dir(&place).unwrap();
            skews.push(Skew::new(&place).unwrap());
        }
        let world = World {
            bases: Mutex::new(vec![String::new(); NODES]),
            key: String::new(),
            by_node: Default::default(),
            acknowledged: Mutex::default(),
            seen: Mutex::default(),
            newest: AtomicU64::new(0),
            over: AtomicBool::new(false),
        };
        let mut nemesis = Self {
            begun_at: now(&database),
            world: Arc::new(world),
            folder,
            database,
            name,
            proxies,
            skews,
            nodes: (0..NODES).map(|_| None).collect(),
            standbys: 0,
            done: BTreeMap::new(),
            longest: Duration::ZERO,
        };
        let nodes: Vec<Server> = (0..NODES).map(|number| nemesis.server(number)).collect();
        let world = Arc::get_mut(&mut nemesis.world).unwrap();
        world.key.clone_from(&nodes[0].key);
        *world.bases.get_mut() = nodes.iter().map(|node| node.base.clone()).collect();
        for item in 0..ITEMS {
            nodes[0].stocked(&sku(item), 0).await;
        }
        nemesis.nodes = nodes.into_iter().map(Some).collect();
        nemesis
    }

    /// Where a node finds the database.
    fn address(&self, number: usize) -> String {
        let port = self.proxies[number].port;
        format!("postgres://onhand@127.0.0.1:{port}/{}?sslmode=disable", self.name)
    }

    fn server(&self, number: usize) -> Server {
        let key_file = self.folder.path().join("key");
        let arguments = ["--no-sync", "--key-file", key_file.to_str().unwrap()];
        let environment = self.skews[number].environment();
        let mut environment: Vec<(&str, &OsStr)> =
            environment.iter().map(|(name, value)| (*name, value.as_os_str())).collect();
        // What is done to it is told as an error each time.
        environment.push(("ONHAND_LOG", OsStr::new("off")));
        Server::start_in(Path::new(&self.address(number)), &arguments, &environment)
    }

    /// Does something to a node or to the database, and takes it back.
    async fn does(&mut self, fault: Fault, number: usize) {
        let for_a_while = |seconds| tokio::time::sleep(Duration::from_secs(seconds));
        let line = &self.proxies[number];
        match fault {
            Fault::KillNode => {
                self.nodes[number].take().unwrap().kill();
                let node = self.server(number);
                self.world.bases.lock()[number].clone_from(&node.base);
                self.nodes[number] = Some(node);
            }
            Fault::CutLine => self.proxies.iter().for_each(Proxy::cut),
            Fault::SlowLine => {
                line.delay(15);
                for_a_while(2).await;
                line.delay(0);
            }
            Fault::KillDatabase => {
                self.database.kill();
                self.database.begin(DURABLE, true).unwrap();
            }
            Fault::SilentLine => {
                line.silence(true);
                for_a_while(1).await;
                line.silence(false);
            }
            Fault::DeadLine => {
                line.bury();
                for_a_while(3).await;
            }
            Fault::WrongClock => {
                let hours = [5, -7, 24 * 400][self.done.values().sum::<usize>() % 3];
                self.skews[number].set(hours * 3600).unwrap();
                self.skews[(number + 1) % NODES].set(-90).unwrap();
            }
            Fault::FullDisk => {
                let failed = |database: &Database| database.log().matches("No space left on device").count();
                let before = failed(&self.database);
                if !self.database.fill_disk().unwrap() {
                    println!("no disk is filled: only root may mount one");
                    return;
                }
                let deadline = Instant::now() + RECOVERY;
                while failed(&self.database) == before {
                    assert!(Instant::now() < deadline, "the disk is full, and nothing fails");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                self.database.free_disk().unwrap();
                // It goes on by itself, or needs somebody to start it.
                if !self.database.is_ready_within(3_000).unwrap() {
                    self.database.kill();
                    self.database.begin(DURABLE, true).unwrap();
                }
            }
            Fault::FailOver => self.fails_over().await,
        }
        *self.done.entry(fault).or_default() += 1;
    }

    /// A standby is made, followed by every commit, and takes over from a primary that is gone for good.
    async fn fails_over(&mut self) {
        self.standbys += 1;
        let name = format!("standby{}", self.standbys);
        let standby = Database::start_standby(&self.database, &name, DURABLE, DISK_MIB).unwrap();
        let primary = format!("{}/postgres", self.database.address());
        run_sql(&primary, &format!("ALTER SYSTEM SET synchronous_standby_names = '{name}'"));
        run_sql(&primary, "SELECT pg_reload_conf()");
        let deadline = Instant::now() + RECOVERY;
        while run_sql(&primary, "SELECT sync_state FROM pg_stat_replication") != "sync" {
            assert!(Instant::now() < deadline, "the standby does not follow: {}", standby.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.work_goes_on().await;
        self.database.kill();
        run_sql(&format!("{}/postgres", standby.address()), "SELECT pg_promote()");
        self.proxies.iter().for_each(|proxy| proxy.point_at(standby.port()));
        self.database = standby;
    }

    /// Waits until every node has acknowledged something anew.
    async fn work_goes_on(&mut self) {
        let begun = Instant::now();
        let many = || self.world.by_node.each_ref().map(|many| many.load(Ordering::Relaxed));
        let before = many();
        while many().iter().zip(before).any(|(many, before)| *many < before + 3) {
            assert!(begun.elapsed() < RECOVERY, "a node acknowledges nothing any more, {:?}: {self}", many());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.longest = self.longest.max(begun.elapsed());
    }

    /// All of the log: each record's first entry, what it names as its paper, and how on hand changed by it.
    async fn log(&self) -> Vec<(u64, Option<String>, BTreeMap<u64, i64>)> {
        let node = self.nodes[0].as_ref().unwrap();
        let (mut log, mut after, now) = (Vec::new(), 0, now(&self.database));
        loop {
            let (status, page) = node.get(&format!("/v1/changes?limit=100&after={after}")).await;
            assert_eq!(status, 200, "{page}");
            for record in page["data"].as_array().unwrap() {
                // Whatever the clocks of the nodes say.
                let at = &record["recorded_at"].as_str().unwrap()[..19];
                assert!((&*self.begun_at..=&*now).contains(&at), "recorded at {at}");
                let reference = record["reference"].as_str().map(ToOwned::to_owned);
                let mut changes = BTreeMap::<u64, i64>::new();
                for entry in record["entries"].as_array().unwrap() {
                    let Some(movement) = entry.get("Movement") else { continue };
                    let is_here = |side: &str| movement[side]["location"].as_u64().unwrap() != 0;
                    let quantity = movement["quantity"].as_i64().unwrap();
                    let change = quantity * (i64::from(is_here("to")) - i64::from(is_here("from")));
                    *changes.entry(movement["item"].as_u64().unwrap()).or_default() += change;
                }
                log.push((record["seq"].as_u64().unwrap(), reference, changes));
            }
            if page["has_more"] == false {
                return log;
            }
            after = page["next_after"].as_u64().unwrap();
        }
    }

    /// What clients were told is what the log says, each as of its `seq`.
    async fn check_histories(&self) {
        let log = self.log().await;
        let mut ids = Vec::new();
        for item in 0..ITEMS {
            let (_, item) = self.nodes[0].as_ref().unwrap().get(&format!("/v1/items/{}", sku(item))).await;
            ids.push(item["id"].as_u64().unwrap());
        }
        let mut told = std::mem::take(&mut *self.world.acknowledged.lock());
        let mut registers = vec![BTreeMap::from([(0, 0)]); ITEMS];
        for (seq, reference, changes) in log {
            let Some(reference) = reference else { continue };
            let one = told.remove(&reference);
            let one = one.unwrap_or_else(|| panic!("{reference} is there twice, or nobody was told of it"));
            let change = changes.get(&ids[one.item]).copied();
            assert_eq!(change, one.change, "{reference} at entry {seq}");
            assert!(one.change.is_none() || one.seq >= seq, "{reference} was told before it was there");
            let register: &mut BTreeMap<u64, i64> = &mut registers[one.item];
            let before = *register.last_key_value().unwrap().1;
            register.insert(seq, before + change.unwrap_or(0));
        }
        // A refusal keeps its key, and no paper.
        told.retain(|_, one| one.change.is_some());
        assert!(told.is_empty(), "{} are lost: {:?}", told.len(), told.keys().take(5).collect::<Vec<_>>());
        for seen in self.world.seen.lock().iter() {
            let (_, expected) = registers[seen.item].range(..=seen.seq).next_back().unwrap();
            assert_eq!(seen.on_hand, *expected, "of {} at entry {}", sku(seen.item), seen.seq);
        }
        for (number, node) in self.nodes.iter().flatten().enumerate() {
            for (item, register) in registers.iter().enumerate() {
                let expected = *register.last_key_value().unwrap().1;
                assert_eq!(node.on_hand(&sku(item)).await, expected, "of {} at node {number}", sku(item));
            }
        }
    }
}

impl fmt::Display for Nemesis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (acknowledged, seen) = (self.world.acknowledged.lock().len(), self.world.seen.lock().len());
        let longest = self.longest.as_millis();
        write!(f, "{acknowledged} changes, {seen} reads, {:?}, longest pause {longest} ms", self.done)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn crash_and_silence_of_nodes_and_databases_lose_nothing_and_show_nothing_of_the_past() {
    let seconds: Option<u64> = std::env::var("ONHAND_NEMESIS_SECONDS").ok().and_then(|it| it.parse().ok());
    let of_each = if seconds.is_some() { ROW_REPORTED } else { ROW };
    let rate = three_nodes::movements_per_second(of_each).await;
    println!("{}", json!({ "three_nodes": { "tenants_32": { "movements_per_second": rate.round() } } }));
    let mut nemesis = Nemesis::begin().await;
    let begun = Instant::now();
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..CLIENTS {
        clients.spawn(client(nemesis.world.clone(), number));
    }
    for (round, fault) in FAULTS.into_iter().cycle().enumerate() {
        if begun.elapsed() > Duration::from_secs(seconds.unwrap_or(SECONDS)) {
            break;
        }
        nemesis.work_goes_on().await;
        if let Some(ended) = clients.try_join_next() {
            ended.unwrap();
        }
        nemesis.does(fault, (round + round / FAULTS.len()) % NODES).await;
    }
    nemesis.work_goes_on().await;
    nemesis.world.over.store(true, Ordering::Relaxed);
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    println!("{nemesis} in {} s", begun.elapsed().as_secs());
    nemesis.check_histories().await;
    let address = nemesis.address(0);
    let many = nemesis.done.len();
    drop(nemesis.nodes);
    let verified = onhand(Path::new(&address), &["verify", "--json"]);
    assert!(verified.status.success(), "{}{}", text(&verified.stdout), text(&verified.stderr));
    assert!(many >= FAULTS.len() - 1, "it had no time for all it does: {:?}", nemesis.done);
}
