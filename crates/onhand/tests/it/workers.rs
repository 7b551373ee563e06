//! Three real servers on one PostgreSQL, all of which may speak with six shops, while stock changes and the shops sell; nodes are
//! killed, or stand still for longer than they may be silent. Each shop is spoken with by one node at a time, taken over within
//! seconds, and in the end shows what it should.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::{ConnectInfo, Request};
use axum::middleware::{Next, from_fn};
use onhand_emulators::shop::{self, CornerShop, Line};
use onhand_testpg::{Server as Database, database_on};
use parking_lot::Mutex;
use serde_json::json;
use tokio::time::Instant;

use crate::server::{Server, micros, onhand, text};

const NODES: usize = 3;
const SHOPS: usize = 6;
const ITEMS: usize = 10;
/// A node that dies is taken over within so long: 5 seconds by the database's clock until it is gone, one until others look, and
/// what starting a worker takes.
const TAKEOVER: Duration = Duration::from_secs(10);
/// Each node that speaks with a shop under load sets something this often; and a write that was on its way when others took over
/// arrives by then.
const LATE: Duration = Duration::from_secs(1);

/// Who set numbers of a shop, and when.
#[derive(Default)]
struct Sets {
    by: Mutex<Vec<(Instant, u32)>>,
}

/// The processes that there are now.
type Processes = Arc<Mutex<Vec<u32>>>;

/// Which of these processes has the other end of a connection, by what the system says.
fn owner(port: u16, processes: &[u32]) -> Option<u32> {
    let table = std::fs::read_to_string("/proc/net/tcp").ok()?;
    let from = format!(":{port:04X}");
    let line = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let inode = line.filter(|words| words.len() > 9 && words[1].ends_with(&from) && words[9] != "0");
    let sockets: Vec<String> = inode.map(|words| format!("socket:[{}]", words[9])).collect();
    let has = |process: &&u32| {
        let Ok(open) = std::fs::read_dir(format!("/proc/{process}/fd")) else { return false };
        open.flatten().filter_map(|file| std::fs::read_link(file.path()).ok()).any(|to| {
            let to = to.to_string_lossy();
            sockets.iter().any(|socket| *socket == to)
        })
    };
    processes.iter().find(has).copied()
}

/// A shop that knows which process sets its numbers; where it is.
async fn open_shop(shop: Arc<CornerShop>, sets: Arc<Sets>, processes: Processes) -> String {
    let told = from_fn(move |from: ConnectInfo<SocketAddr>, request: Request, next: Next| {
        let (sets, processes) = (sets.clone(), processes.clone());
        async move {
            if request.uri().path() == "/api/stock/set" {
                let known = processes.lock().clone();
                if let Some(process) = owner(from.0.port(), &known) {
                    sets.by.lock().push((Instant::now(), process));
                }
            }
            next.run(request).await
        }
    });
    let app = shop::router(shop).layer(told).into_make_service_with_connect_info::<SocketAddr>();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

struct World {
    address: String,
    folder: tempfile::TempDir,
    nodes: Vec<Option<Server>>,
    processes: Processes,
    bases: Arc<Mutex<Vec<String>>>,
    shops: Vec<Arc<CornerShop>>,
    sets: Vec<Arc<Sets>>,
    longest: Duration,
}

impl World {
    async fn begin(database: &Database) -> Self {
        let address = format!("{}?sslmode=disable", database_on(&database.address()));
        let mut world = Self {
            address,
            folder: tempfile::tempdir().unwrap(),
            nodes: Vec::new(),
            processes: Processes::default(),
            bases: Arc::default(),
            shops: Vec::new(),
            sets: Vec::new(),
            longest: Duration::ZERO,
        };
        for number in 0..NODES {
            world.nodes.push(None);
            world.bases.lock().push(String::new());
            world.start(number);
        }
        for item in 0..ITEMS {
            world.node(0).stocked(&sku(item), 1_000).await;
        }
        for number in 0..SHOPS {
            let shop = CornerShop::new("token", Arc::new(micros));
            for item in 0..ITEMS {
                shop.list(&item.to_string(), &sku(item), &sku(item), 0);
            }
            let sets = Arc::new(Sets::default());
            let url = open_shop(shop.clone(), sets.clone(), world.processes.clone()).await;
            let add = json!({ "name": name(number), "kind": "shop", "url": url, "secret": "token" });
            // Whichever node is asked: another may have the worker.
            let (status, added) = world.node(number % NODES).post("/v1/systems", add).await;
            assert_eq!(status, 201, "{added}");
            world.shops.push(shop);
            world.sets.push(sets);
        }
        world
    }

    fn node(&self, number: usize) -> &Server {
        self.nodes[number].as_ref().unwrap()
    }

    fn start(&mut self, number: usize) {
        let key_file = self.folder.path().join("key");
        let arguments = ["--reconcile-seconds", "2", "--key-file", key_file.to_str().unwrap()];
        let seal = format!("test:{}", "5e".repeat(32));
        // What is done to it is told as an error each time.
        let environment = [("ONHAND_SEAL_KEY", OsStr::new(&seal)), ("ONHAND_LOG", OsStr::new("off"))];
        let node = Server::start_in(Path::new(&self.address), &arguments, &environment);
        self.processes.lock().push(node.id());
        self.bases.lock()[number].clone_from(&node.base);
        self.nodes[number] = Some(node);
    }

    /// Waits until another process than that has set a number of each of these shops.
    async fn taken_over(&mut self, shops: &[usize], from: u32, since: Instant) {
        for shop in shops {
            let sets = self.sets[*shop].clone();
            let is_over = || sets.by.lock().iter().any(|(at, process)| *at > since && *process != from);
            while !is_over() {
                assert!(since.elapsed() < TAKEOVER, "{} is not taken over", name(*shop));
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        self.longest = self.longest.max(since.elapsed());
    }

    /// The shops that a process was the last to set a number of.
    fn spoken_with_by(&self, process: u32) -> Vec<usize> {
        let last = |shop: &usize| self.sets[*shop].by.lock().last().map(|(_, process)| *process);
        (0..SHOPS).filter(|shop| last(shop) == Some(process)).collect()
    }

    /// Waits until each node speaks with two of the six.
    async fn shares_are_equal(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let has = self.nodes.iter().flatten().map(|node| self.spoken_with_by(node.id()).len());
            let has: Vec<usize> = has.collect();
            if has == [SHOPS / NODES; NODES] {
                return;
            }
            if Instant::now() > deadline {
                let last = |sets: &Arc<Sets>| sets.by.lock().last().map(|(at, by)| (at.elapsed(), *by));
                let last: Vec<_> = self.sets.iter().map(last).collect();
                let (_, systems) = self.nodes.iter().flatten().next().unwrap().get("/v1/systems").await;
                panic!("they are not given out equally: {has:?}, set last {last:?}; {systems}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn kill(&mut self, number: usize) {
        let node = self.nodes[number].take().unwrap();
        let (process, shops) = (node.id(), self.spoken_with_by(node.id()));
        node.kill();
        let since = Instant::now();
        self.processes.lock().retain(|known| *known != process);
        self.taken_over(&shops, process, since).await;
        self.start(number);
    }

    /// It is thought gone, and wakes up in the middle of what it did.
    async fn stand_still(&mut self, number: usize) {
        let (process, shops) = (self.node(number).id(), self.spoken_with_by(self.node(number).id()));
        self.node(number).signal("STOP");
        self.taken_over(&shops, process, Instant::now()).await;
        self.node(number).signal("CONT");
    }

    /// Everything at every shop is as it should be.
    async fn all_equal(&self) {
        let deadline = Instant::now() + Duration::from_mins(1);
        for item in 0..ITEMS {
            loop {
                let (available, _) = self.node(0).stock(&sku(item)).await;
                let shown = self.shops.iter().map(|shop| shop.stock_of(&item.to_string()).unwrap());
                let shown: Vec<i64> = shown.collect();
                if shown.iter().all(|shown| *shown == available) {
                    break;
                }
                if Instant::now() > deadline {
                    let (_, explained) = self.node(0).get(&format!("/v1/items/{}/explain", sku(item))).await;
                    panic!("{} is {available}, shown {shown:?}: {explained}", sku(item));
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// For how long two nodes at most set numbers of one shop in turn.
    fn two_at_once(&self) -> Duration {
        let mut longest = Duration::ZERO;
        for sets in &self.sets {
            let sets = sets.by.lock();
            let switches = sets.windows(2).filter(|pair| pair[0].1 != pair[1].1).map(|pair| pair[1].0);
            let mut turn: Option<(Instant, Instant)> = None;
            for at in switches {
                let begun = turn.filter(|(_, last)| at - *last < LATE).map_or(at, |(begun, _)| begun);
                turn = Some((begun, at));
                longest = longest.max(at - begun);
            }
        }
        longest
    }
}

fn sku(item: usize) -> String {
    format!("MUG-{item}")
}

fn name(shop: usize) -> String {
    format!("Corner-{shop}")
}

/// Stock comes in and is lost, by whichever node is there.
async fn changes(bases: Arc<Mutex<Vec<String>>>, key: String, over: Arc<AtomicBool>) {
    let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build().unwrap();
    for round in 0_usize.. {
        if over.load(Ordering::Relaxed) {
            return;
        }
        let base = bases.lock()[round % NODES].clone();
        let (kind, change) = if round % 3 == 0 { ("adjust", -2) } else { ("receive", 1) };
        let lines = json!([{ "sku": sku(round * 7 % ITEMS), "quantity": change }]);
        let mut body = json!({ "location": "LONDON", "lines": lines });
        if change < 0 {
            body["reason"] = json!("shrinkage");
        }
        // A node that is being killed answers nothing.
        let request = http.post(format!("{base}/v1/movements/{kind}")).bearer_auth(&key);
        let _ = request.json(&body).send().await;
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
}

async fn sells(shops: Vec<Arc<CornerShop>>, over: Arc<AtomicBool>) {
    for round in 0_usize.. {
        if over.load(Ordering::Relaxed) {
            return;
        }
        let line = Line { listing: (round * 3 % ITEMS).to_string(), quantity: 1 };
        // It may be sold out.
        let _ = shops[round % SHOPS].place_order(&[line]);
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn crash_of_nodes_under_load_leaves_every_system_equal_and_spoken_with_by_one_node() {
    let database = Database::start_with("-c fsync=off", false).unwrap();
    let mut world = World::begin(&database).await;
    let over = Arc::new(AtomicBool::new(false));
    let key = world.node(0).key.clone();
    let changing = tokio::spawn(changes(world.bases.clone(), key, over.clone()));
    let selling = tokio::spawn(sells(world.shops.clone(), over.clone()));
    world.shares_are_equal().await;
    for number in [0, 1, 2] {
        world.kill(number).await;
        world.shares_are_equal().await;
    }
    world.stand_still(1).await;
    world.shares_are_equal().await;
    over.store(true, Ordering::Relaxed);
    changing.await.unwrap();
    selling.await.unwrap();
    world.all_equal().await;
    let together = world.two_at_once();
    assert!(together < LATE, "two nodes speak with one shop for {together:?}");
    let sets: usize = world.sets.iter().map(|sets| sets.by.lock().len()).sum();
    let longest = world.longest.as_millis();
    let together = together.as_millis();
    let told = json!({ "calls_that_set": sets, "longest_takeover_ms": longest, "two_at_once_ms": together });
    println!("{}", json!({ "workers": told }));
    // Nobody but us and customers changed anything there.
    let (_, found) = world.node(0).inbox().await;
    let wrong = |cause: &&serde_json::Value| {
        ["manual_edit", "second_master"].iter().any(|wrong| cause["cause"] == *wrong)
    };
    let accused: Vec<_> = found["data"].as_array().unwrap().iter().filter(wrong).collect();
    assert!(accused.is_empty(), "{accused:?}");
    world.nodes.clear();
    let verified = onhand(Path::new(&world.address), &["verify", "--json"]);
    assert!(verified.status.success(), "{}{}", text(&verified.stdout), text(&verified.stderr));
}
