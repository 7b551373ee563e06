//! The warehouse's dock: goods that it was told to expect come in there, and what it is asked to count is counted.
//!
//! As with orders: a document in the state it shall be in, with a version; answered with a revision that grows with every change. What comes
//! in is on the shelf at once, unless it is damaged.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{House, Since, Warehouse, instant};

/// One line of what is expected, or shall be counted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Line {
    /// Its name.
    pub line: String,
    /// Our id of the item, where the sender knows it.
    pub listing: Option<String>,
    /// The sender's SKU.
    pub sku: String,
    /// How much comes in all; nothing for what is counted.
    #[serde(default)]
    pub quantity: i64,
}

/// What was told to be expected, or asked to be counted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Asked {
    /// Its name.
    pub document: String,
    /// Grows with every change.
    pub version: u64,
    /// Where.
    pub location: String,
    /// What brings it: `purchase` or `transfer`; none for what is counted.
    #[serde(default)]
    pub kind: Option<String>,
    /// What people know it by.
    #[serde(default)]
    pub reference: Option<String>,
    /// The day it is expected on.
    #[serde(default)]
    pub expected_on: Option<String>,
    /// It does not come, or need not be counted.
    pub cancelled: bool,
    /// What.
    pub lines: Vec<Line>,
}

/// Something that came in of a line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivered {
    /// The delivery's name.
    pub delivery: String,
    /// When.
    pub received_at: String,
    /// Of which line.
    pub line: String,
    /// How much.
    pub quantity: i64,
    /// Is it broken?
    pub damaged: bool,
}

/// A document at the dock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Task {
    /// As it was sent last.
    pub asked: Asked,
    /// `accepted`, `refused`, `received`, `counted` or `cancelled`.
    pub progress: &'static str,
    /// Why it is not done.
    pub reason: Option<String>,
    /// What has come.
    pub delivered: Vec<Delivered>,
    /// What was counted, line by line, and when.
    pub counted: Option<(String, Vec<(String, i64)>)>,
    /// Grows with every change of anything.
    pub revision: u64,
    /// When it last changed, in microseconds.
    pub updated_at: i64,
}

impl Task {
    /// How much of a line has come.
    pub fn came(&self, line: &str) -> i64 {
        self.delivered.iter().filter(|part| part.line == line).map(|part| part.quantity).sum()
    }

    fn told(&self) -> Value {
        let deliveries = self.delivered.iter().map(|part| {
            let condition = if part.damaged { "damaged" } else { "available" };
            json!({
                "delivery": part.delivery, "received_at": part.received_at,
                "lines": [{ "line": part.line, "quantity": part.quantity, "condition": condition }]
            })
        });
        let mut told = json!({
            "document": self.asked.document,
            "version": self.asked.version,
            "revision": self.revision,
            "updated_at": instant(self.updated_at),
            "progress": self.progress,
            "reason": self.reason,
        });
        match &self.counted {
            Some((at, lines)) => {
                let line = |(line, quantity): &(String, i64)| json!({ "line": line, "quantity": quantity });
                told["counted_at"] = json!(at);
                told["lines"] = lines.iter().map(line).collect();
            }
            None if self.asked.kind.is_some() => told["deliveries"] = deliveries.collect(),
            None => {}
        }
        told
    }
}

/// Which of the lists a document is in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum List {
    Receipts,
    Recounts,
}

impl House {
    const fn tasks(&mut self, list: List) -> &mut std::collections::BTreeMap<String, Task> {
        match list {
            List::Receipts => &mut self.receipts,
            List::Recounts => &mut self.recounts,
        }
    }

    fn has(&self, line: &Line) -> Option<String> {
        let mut items = self.items.values();
        items.find(|item| item.is_named(line.listing.as_ref(), &line.sku)).map(|item| item.id.clone())
    }
}

impl Warehouse {
    /// All that it was told to expect, by their names.
    pub fn receipts(&self) -> Vec<Task> {
        self.house.lock().receipts.values().cloned().collect()
    }

    /// All that it was asked to count, by their names.
    pub fn recounts(&self) -> Vec<Task> {
        self.house.lock().recounts.values().cloned().collect()
    }

    /// Takes nothing but orders from now on, or all there is again.
    pub fn set_orders_only(&self, orders_only: bool) {
        self.house.lock().orders_only = orders_only;
    }

    /// So much of a line comes in, in a delivery of its own. False where it is not expected.
    pub fn receive(&self, document: &str, line: &str, quantity: i64, damaged: bool) -> bool {
        let received_at = instant((self.clock)());
        let mut house = self.house.lock();
        let Some(task) = house.receipts.get(document).filter(|task| task.progress == "accepted") else {
            return false;
        };
        let known = task.asked.lines.iter().find(|other| other.line == line).cloned();
        let (Some(known), true) = (known, quantity > 0) else { return false };
        let id = house.has(&known);
        if let Some(item) = id.and_then(|id| house.items.get_mut(&id)).filter(|_| !damaged) {
            item.on_hand += quantity;
        }
        house.parcels += 1;
        let delivery = format!("D{}", house.parcels);
        let part = Delivered { delivery, received_at, line: line.to_owned(), quantity, damaged };
        self.change_task(&mut house, List::Receipts, document, |task| task.delivered.push(part))
    }

    /// All that is expected of a document comes in, and it is done. False where it is not expected.
    pub fn receive_all(&self, document: &str) -> bool {
        let task = self.house.lock().receipts.get(document).cloned();
        let Some(task) = task.filter(|task| task.progress == "accepted") else { return false };
        for line in &task.asked.lines {
            self.receive(document, &line.line, line.quantity - task.came(&line.line), false);
        }
        self.finish(document, None)
    }

    /// Nothing more of it is taken in. False where it is over.
    pub fn finish(&self, document: &str, reason: Option<&str>) -> bool {
        let mut house = self.house.lock();
        if house.receipts.get(document).is_none_or(|task| task.progress != "accepted") {
            return false;
        }
        self.change_task(&mut house, List::Receipts, document, |task| {
            (task.progress, task.reason) = ("received", reason.map(str::to_owned));
        })
    }

    /// What is asked for is counted: what lies on the shelf. False where it is not asked for.
    pub fn count(&self, document: &str) -> bool {
        let at = instant((self.clock)());
        let mut house = self.house.lock();
        let Some(task) = house.recounts.get(document).filter(|task| task.progress == "accepted") else {
            return false;
        };
        let on_hand = |line: &Line| house.has(line).map_or(0, |id| house.items[&id].on_hand);
        let lines = task.asked.lines.iter().map(|line| (line.line.clone(), on_hand(line))).collect();
        self.change_task(&mut house, List::Recounts, document, |task| {
            (task.progress, task.counted) = ("counted", Some((at, lines)));
        })
    }

    fn change_task(
        &self,
        house: &mut House,
        list: List,
        document: &str,
        change: impl FnOnce(&mut Task),
    ) -> bool {
        let revision = house.changes + 1;
        let Some(task) = house.tasks(list).get_mut(document) else { return false };
        change(task);
        (task.revision, task.updated_at) = (revision, (self.clock)());
        house.changes = revision;
        self.announce_change(house, document, revision);
        true
    }

    fn take_task(&self, list: List, asked: Asked) -> Value {
        let mut house = self.house.lock();
        house.sent += 1;
        let document = asked.document.clone();
        let unknown = asked.lines.iter().find(|line| house.has(line).is_none());
        let unknown = unknown.map(|line| format!("no item {}", line.sku));
        let reason = unknown.or_else(|| house.refusing.clone()).filter(|_| !asked.cancelled);
        match house.tasks(list).get(&document) {
            None => {
                let task = Task {
                    progress: match (&reason, asked.cancelled) {
                        (Some(_), _) => "refused",
                        (None, true) => "cancelled",
                        (None, false) => "accepted",
                    },
                    asked,
                    reason,
                    delivered: Vec::new(),
                    counted: None,
                    revision: 0,
                    updated_at: 0,
                };
                house.tasks(list).insert(document.clone(), task);
                self.change_task(&mut house, list, &document, |_| {});
            }
            Some(task) if task.asked.version >= asked.version => {}
            // What is over stays so: it answers what it can say of what it is asked now.
            Some(task) if task.progress != "accepted" => {
                self.change_task(&mut house, list, &document, |task| task.asked.version = asked.version);
            }
            Some(_) => {
                self.change_task(&mut house, list, &document, |task| {
                    if asked.cancelled {
                        task.progress = if task.delivered.is_empty() { "cancelled" } else { "received" };
                    }
                    task.asked = asked;
                });
            }
        }
        house.tasks(list)[&document].told()
    }

    fn changed_since(&self, list: List, name: &str, since: Option<&str>) -> Response {
        let Ok(since) = since.unwrap_or("0").parse::<u64>() else {
            return (StatusCode::BAD_REQUEST, "since is a cursor of this list").into_response();
        };
        let mut house = self.house.lock();
        let mut changed: Vec<&Task> =
            house.tasks(list).values().filter(|task| task.revision > since).collect();
        changed.sort_by_key(|task| task.revision);
        let more = changed.len() > super::PAGE;
        changed.truncate(super::PAGE);
        let cursor = changed.last().map_or(since, |task| task.revision);
        let told: Vec<Value> = changed.into_iter().map(Task::told).collect();
        Json(json!({ name: told, "cursor": cursor.to_string(), "more": more })).into_response()
    }
}

fn take(warehouse: &Warehouse, list: List, document: &str, asked: Asked) -> Response {
    if asked.document != document || asked.location != "main" {
        return (StatusCode::BAD_REQUEST, "the document is of another name or place").into_response();
    }
    Json(warehouse.take_task(list, asked)).into_response()
}

pub(super) async fn take_receipt(
    State(warehouse): State<Arc<Warehouse>>,
    Path(document): Path<String>,
    Json(asked): Json<Asked>,
) -> Response {
    take(&warehouse, List::Receipts, &document, asked)
}

pub(super) async fn take_recount(
    State(warehouse): State<Arc<Warehouse>>,
    Path(document): Path<String>,
    Json(asked): Json<Asked>,
) -> Response {
    take(&warehouse, List::Recounts, &document, asked)
}

pub(super) async fn received(
    State(warehouse): State<Arc<Warehouse>>,
    Query(query): Query<Since>,
) -> Response {
    warehouse.changed_since(List::Receipts, "receipts", query.since.as_deref())
}

pub(super) async fn recounted(
    State(warehouse): State<Arc<Warehouse>>,
    Query(query): Query<Since>,
) -> Response {
    warehouse.changed_since(List::Recounts, "recounts", query.since.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_and_an_older_version_change_nothing_and_what_is_over_stays_so() {
        let warehouse = Warehouse::new("t", Arc::new(|| 0));
        warehouse.stock("1", "MUG", "Mug", 10);
        let asked = |version, quantity| Asked {
            document: "d".to_owned(),
            version,
            location: "main".to_owned(),
            kind: Some("purchase".to_owned()),
            reference: None,
            expected_on: None,
            cancelled: quantity == 0,
            lines: vec![Line { line: "5".to_owned(), listing: None, sku: "MUG".to_owned(), quantity }],
        };
        let take = |version, quantity| warehouse.take_task(List::Receipts, asked(version, quantity));
        let first = take(7, 3);
        assert_eq!(take(7, 3), first);
        assert!(warehouse.receive("d", "5", 2, false) && warehouse.receive("d", "5", 1, true));
        assert_eq!((take(6, 9)["version"].clone(), warehouse.on_hand("1")), (json!(7), Some(12)));
        assert_eq!(take(9, 0)["progress"], "received");
        assert!(!warehouse.receive("d", "5", 1, false), "it is over");
        assert_eq!(take(11, 5)["deliveries"].as_array().map(Vec::len), Some(2));
    }
}
