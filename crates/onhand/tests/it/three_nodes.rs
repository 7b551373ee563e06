//! What three nodes on one PostgreSQL write durably a second, for 32 tenants: each tenant's movements come in bulk over HTTP to one
//! node, as a proxy would send them. Where the program is not optimised the figure says little, and what was acknowledged
//! is looked for all the same.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use onhand_testpg::{Server as Database, database_on};
use reqwest::Client;
use serde_json::Value;
use tokio::time::Instant;

use crate::server::{ONHAND, Server, text};

const NODES: usize = 3;
const TENANTS: usize = 32;
const ITEMS: usize = 1_000;

/// The program that is measured, where it is another than the one that the tests have built.
fn program() -> String {
    std::env::var("ONHAND_NEMESIS_PROGRAM").unwrap_or_else(|_| ONHAND.to_owned())
}

/// Movements a second, so many of each tenant; each is there once afterwards.
pub async fn movements_per_second(of_each: usize) -> f64 {
    let database = Database::start_with("-c fsync=on", true).unwrap();
    let address = format!("{}?sslmode=disable", database_on(&database.address()));
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("key");
    let arguments = ["--no-sync", "--rate", "0", "--key-file", key_file.to_str().unwrap()];
    let node = || Server::start_program(&program(), Path::new(&address), &arguments, &[]);
    let nodes: Vec<Server> = (0..NODES).map(|_| node()).collect();
    let keys: Vec<String> = (1..=TENANTS).map(|tenant| key_of(&address, tenant)).collect();
    let base = |tenant: usize| nodes[tenant % NODES].base.clone();
    let mut setting_up = String::from("{\"body\":{\"put_location\":{\"code\":\"LONDON\"}}}\n");
    for item in 0..ITEMS {
        let _ = writeln!(setting_up, r#"{{"body":{{"put_item":{{"sku":"ITEM-{item}"}}}}}}"#);
    }
    let mut movements = String::new();
    for number in 0..of_each {
        let line = format!(r#"[{{"sku":"ITEM-{}","quantity":1}}]"#, number * 7 % ITEMS);
        let body = format!(r#"{{"receive":{{"location":"LONDON","lines":{line}}}}}"#);
        let _ = writeln!(movements, r#"{{"key":"{number}","body":{body}}}"#);
    }
    let http = Client::builder().no_proxy().build().unwrap();
    let all = async |lines: &str, many: usize| {
        let mut sent = tokio::task::JoinSet::new();
        for (tenant, key) in keys.iter().enumerate() {
            let request = http.post(format!("{}/v1/commands", base(tenant))).bearer_auth(key);
            let request = request.header("content-type", "application/x-ndjson").body(lines.to_owned());
            sent.spawn(async move {
                let answer = request.send().await.unwrap();
                assert_eq!(answer.status(), 200);
                let answers = answer.text().await.unwrap();
                let done = answers.lines().filter(|line| line.contains("\"answer\"")).count();
                assert_eq!(done, many, "{:?}", answers.lines().last());
            });
        }
        while let Some(done) = sent.join_next().await {
            done.unwrap();
        }
    };
    all(&setting_up, ITEMS + 1).await;
    let begun = Instant::now();
    all(&movements, of_each).await;
    let elapsed = begun.elapsed();
    let expected = (0..of_each).filter(|number| number * 7 % ITEMS == 0).count();
    for (tenant, key) in keys.iter().enumerate() {
        // Another node than the one that wrote it.
        let asked = http.get(format!("{}/v1/items/ITEM-0/stock", base(tenant + 1))).bearer_auth(key);
        let stock: Value = asked.send().await.unwrap().json().await.unwrap();
        assert_eq!(stock["total"]["on_hand"].as_u64(), Some(expected as u64), "of {tenant}: {stock}");
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = (TENANTS * of_each) as f64 / elapsed.as_secs_f64();
    rate
}

fn key_of(address: &str, tenant: usize) -> String {
    let tenant = tenant.to_string();
    let made = Command::new(program())
        .args(["key", "create", "--json", "--tenant", &tenant, "--db", address])
        .env("ONHAND_LOG", "error")
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", text(&made.stderr));
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    made["key"].as_str().unwrap().to_owned()
}
