//! Three real servers on one PostgreSQL, and a nemesis that kills them and the database again and again.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::server::{Server, onhand, text};

const NODES: usize = 3;
const CLIENTS: usize = 6;
/// How often something is killed, about one a second, unless `ONHAND_NEMESIS_KILLS` says otherwise.
const KILLS: usize = 8;

/// What all of them know.
struct World {
    /// Where each node is now; its place stays while it is away.
    bases: Mutex<Vec<String>>,
    key: String,
    /// Units that were acknowledged as received.
    received: AtomicI64,
    reads: AtomicU64,
    over: AtomicBool,
}

/// Hands in goods under a key of its own until some node says it has them; then reads at another, which must know of all that was
/// acknowledged before it was asked.
async fn client(world: Arc<World>, number: usize) {
    let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap();
    let mut node = number;
    let mut next = || {
        node += 1;
        world.bases.lock()[node % NODES].clone()
    };
    for round in 0.. {
        if world.over.load(Ordering::Relaxed) {
            return;
        }
        let body = json!({ "location": "LONDON", "lines": [{ "sku": "MUG", "quantity": 1 }] });
        let key = format!("{number}-{round}");
        loop {
            let request = http.post(format!("{}/v1/movements/receive", next())).bearer_auth(&world.key);
            match request.header("idempotency-key", &key).json(&body).send().await {
                Ok(answer) if answer.status().is_success() => break,
                Ok(answer) => assert_eq!(answer.status(), 503, "{:?}", answer.text().await),
                // It is being killed, or is away.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
        world.received.fetch_add(1, Ordering::SeqCst);
        let known = world.received.load(Ordering::SeqCst);
        let request = http.get(format!("{}/v1/items/MUG/stock", next())).bearer_auth(&world.key);
        if let Ok(answer) = request.send().await
            && answer.status().is_success()
            && let Ok(stock) = answer.json::<Value>().await
        {
            let on_hand = stock["total"]["on_hand"].as_i64().unwrap();
            assert!(on_hand >= known, "a node showed {on_hand} where {known} were acknowledged before");
            world.reads.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_and_a_database_that_are_killed_lose_nothing_and_show_nothing_of_the_past() {
    let many = std::env::var("ONHAND_NEMESIS_KILLS").ok().and_then(|it| it.parse().ok()).unwrap_or(KILLS);
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("key");
    let arguments = ["--no-sync", "--key-file", key_file.to_str().unwrap()];
    let mut database = onhand_testpg::Server::start_with(DURABLE, false).unwrap();
    let address = onhand_testpg::database_on(&database.address());
    let start = || Server::start_with(Path::new(&address), &arguments);
    let mut nodes: Vec<Option<Server>> = (0..NODES).map(|_| Some(start())).collect();
    nodes[0].as_ref().unwrap().stocked("MUG", 0).await;
    let world = Arc::new(World {
        bases: Mutex::new(nodes.iter().flatten().map(|node| node.base.clone()).collect()),
        key: nodes[0].as_ref().unwrap().key.clone(),
        received: AtomicI64::new(0),
        reads: AtomicU64::new(0),
        over: AtomicBool::new(false),
    });
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..CLIENTS {
        clients.spawn(client(world.clone(), number));
    }
    for kills in 0..many {
        tokio::time::sleep(Duration::from_millis(900)).await;
        if kills % 4 == 3 {
            database.kill();
            database.begin(DURABLE, false).unwrap();
        } else {
            let number = kills % NODES;
            nodes[number].take().unwrap().kill();
            let node = start();
            world.bases.lock()[number].clone_from(&node.base);
            nodes[number] = Some(node);
        }
    }
    world.over.store(true, Ordering::Relaxed);
    clients.join_all().await;
    let (received, reads) = (world.received.load(Ordering::SeqCst), world.reads.load(Ordering::Relaxed));
    for node in nodes.iter().flatten() {
        assert_eq!(node.on_hand("MUG").await, received, "each node shows what was acknowledged, once");
    }
    drop(nodes);
    let verified = onhand(Path::new(&address), &["verify", "--json"]);
    assert!(verified.status.success(), "{}{}", text(&verified.stdout), text(&verified.stderr));
    println!("{received} receipts, {reads} reads, {many} kills");
    assert!(received > 50 && reads > 20, "{received} receipts, {reads} reads");
}

/// As PostgreSQL is by itself.
const DURABLE: &str = "-c fsync=on";
