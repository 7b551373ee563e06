//! A real Vendure whose numbers are changed by hand under each policy, which is away for a minute, and whose answers are lost.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::proxy::Proxy;
use crate::vendure::{Connected, receive, stocked};

impl Connected {
    async fn policy(&self, direction: &str, policy: &str) {
        let mode = json!({ "direction": direction, "policy": policy });
        let (status, body) = self.server.post("/v1/systems/Vendure/mode", mode).await;
        assert_eq!(status, StatusCode::OK, "{body}");
    }

    /// The owner writes a number over there.
    async fn by_hand(&self, sku: &str, on_hand: i64) {
        self.vendure.set(sku, json!({ "stockOnHand": on_hand })).await;
    }

    /// The only open discrepancy of a cause, once there is one.
    async fn told(&self, cause: &str) -> Value {
        for _ in 0..800 {
            let (_, found) = self.server.inbox().await;
            let open: Vec<&Value> = found["data"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|one| one["cause"] == cause && one["resolved_at"].is_null())
                .collect();
            if let [one] = open.as_slice() {
                return (*one).clone();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("nobody hears of a {cause}: {}", self.server.inbox().await.1);
    }

    async fn answer(&self, told: &Value, choice: &str) {
        let path = format!("/v1/discrepancies/{}/resolve", told["id"]);
        let (status, body) = self.server.post(&path, json!({ "choice": choice })).await;
        assert_eq!(status, StatusCode::OK, "{body}");
    }

    async fn seen(&self, told: &Value) {
        let path = format!("/v1/discrepancies/{}/resolve", told["id"]);
        assert_eq!(self.server.post(&path, json!({})).await.0, StatusCode::OK);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn vendure_edited_by_hand_is_set_back_adopted_asked_about_or_proposed() {
    let it = stocked(30, 1).await;
    assert_eq!(it.add("superadmin").await.0, StatusCode::CREATED);
    it.sells("VEN-001", 30).await;
    it.in_step().await;

    it.policy("two_way", "master_wins").await;
    it.by_hand("VEN-001", 99).await;
    let told = it.told("manual_edit").await;
    assert!(told["sentence"].as_str().unwrap().contains("from 30 to 99"), "{told}");
    it.seen(&told).await;
    it.sells("VEN-001", 30).await;
    it.in_step().await;

    // What is adopted is ours too, by an adjustment that says whose it is.
    it.policy("two_way", "adopt").await;
    it.by_hand("VEN-001", 34).await;
    it.knows("VEN-001", (34, 0)).await;
    it.in_step().await;
    assert_eq!(it.vendure.levels("VEN-001").await, (34, 0));
    let (_, ledger) = it.server.get("/v1/items/VEN-001/history").await;
    assert!(ledger.to_string().contains("adopted"), "{ledger}");

    // What is asked about stays as it is over there, until it is answered: both ways.
    it.policy("two_way", "ask").await;
    for (edited, choice, then) in [(40, "set_back", 35), (45, "adopt", 45)] {
        it.by_hand("VEN-001", edited).await;
        let told = it.told("manual_edit").await;
        if choice == "set_back" {
            receive(&it.server, "VEN-001", 1).await;
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(it.vendure.levels("VEN-001").await, (edited, 0), "nothing is sent meanwhile");
        it.answer(&told, choice).await;
        it.sells("VEN-001", then).await;
        it.knows("VEN-001", (then, 0)).await;
        it.in_step().await;
    }

    // One way out: whatever the policy.
    it.policy("one_way_out", "adopt").await;
    it.by_hand("VEN-001", 50).await;
    it.seen(&it.told("manual_edit").await).await;
    it.sells("VEN-001", 45).await;
    it.knows("VEN-001", (45, 0)).await;
    it.in_step().await;

    // Where a warehouse is master the change is proposed to it, and nothing of ours moves.
    let wms = json!({ "body": { "put_system": { "name": "WMS", "kind": "file" } } });
    assert_eq!(it.server.post("/v1/commands", wms).await.0, StatusCode::OK);
    let (status, body) =
        it.server.post("/v1/ownership", json!({ "location": "LONDON", "master": "WMS" })).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    it.policy("two_way", "ask").await;
    it.by_hand("VEN-001", 60).await;
    let told = it.told("not_master").await;
    assert!(told["sentence"].as_str().unwrap().contains("proposed to WMS"), "{told}");
    it.sells("VEN-001", 45).await;
    it.knows("VEN-001", (45, 0)).await;
    it.in_step().await;
}

/// Half of the minute it stands still with its lines open, half of it nobody answers.
#[tokio::test(flavor = "multi_thread")]
async fn vendure_away_for_a_minute_under_load_is_equal_again() {
    let mut it = stocked(500, 3).await;
    let port = it.vendure.port();
    let line = Proxy::before(port).await;
    it.through(line.port);
    assert_eq!(it.add("superadmin").await.0, StatusCode::CREATED);
    for number in 1..=3 {
        it.sells(&format!("VEN-{number:03}"), 500).await;
    }
    let before = it.vendure.sell("VEN-001", 7).await;
    for away in [true, false] {
        if away {
            it.vendure.signal("STOP");
        } else {
            line.point_at(9);
        }
        for step in 0..30 {
            for number in 1..=3 {
                receive(&it.server, &format!("VEN-{number:03}"), 1 + step % 2).await;
            }
            let order = json!({ "lines": [{ "sku": "VEN-002", "quantity": 1 }] });
            assert_eq!(it.server.post("/v1/orders", order).await.0, StatusCode::CREATED);
            if !away && step == 10 {
                // It is only the line that is away: its customers go on buying.
                it.vendure.sell("VEN-003", 11).await;
                it.vendure.ship(&before, 7).await;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        it.vendure.signal("CONT");
        line.point_at(port);
    }
    it.knows("VEN-001", (583, 0)).await;
    it.knows("VEN-002", (530, 60)).await;
    it.knows("VEN-003", (579, 11)).await;
    it.sells("VEN-001", 583).await;
    it.sells("VEN-002", 530).await;
    it.sells("VEN-003", 579).await;
    it.in_step().await;
    it.nothing_is_unexplained().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn vendure_behind_a_line_that_loses_answers_ends_equal_and_nothing_is_booked_twice() {
    let mut it = stocked(200, 2).await;
    let line = Proxy::before(it.vendure.port()).await;
    it.through(line.port);
    assert_eq!(it.add("superadmin").await.0, StatusCode::CREATED);
    it.sells("VEN-001", 200).await;
    line.lose_one_in(3);
    let mut sold = 0;
    for step in 0..12 {
        receive(&it.server, "VEN-001", 5).await;
        receive(&it.server, "VEN-002", 1).await;
        if step % 3 == 0 {
            it.vendure.sell("VEN-001", 2).await;
            sold += 2;
        }
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    assert!(line.lost() > 5, "answers were lost: {}", line.lost());
    line.lose_one_in(0);
    it.knows("VEN-001", (260 - sold, sold)).await;
    it.knows("VEN-002", (212, 0)).await;
    it.sells("VEN-001", 260 - sold).await;
    it.sells("VEN-002", 212).await;
    it.in_step().await;
    it.nothing_is_unexplained().await;
}
