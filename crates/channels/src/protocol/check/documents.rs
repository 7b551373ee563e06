//! What is sent: versions, copies, what is over, and what is listed as changed.

use std::time::Duration;

use onhand_ledger::Instant;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::ask::Ask;
use super::{Came, Check, Checked, parsed};
use crate::expected::Received;
use crate::outgoing::Followed;
use crate::recount::Recounted;

/// So many copies are sent at one instant.
const AT_ONCE: usize = 32;
/// Pages of changes are asked for so many times.
const PAGES: usize = 10_000;
/// What shall come of it is looked for so often, and so far apart: ten seconds in all.
const TRIED: usize = 40;
const TRIED_EVERY: Duration = Duration::from_millis(250);
/// The first version of what is sent: there is room for an older one.
const FIRST: u64 = 100;

/// What is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Orders,
    Receipts,
    Recounts,
}

/// The names of what is tried with each kind.
pub(super) struct Rules {
    pub cancelled: &'static str,
    copy: &'static str,
    older: &'static str,
    listed: &'static str,
    at_once: &'static str,
}

impl Kind {
    pub const fn list(self) -> &'static str {
        match self {
            Self::Orders => "orders",
            Self::Receipts => "receipts",
            Self::Recounts => "recounts",
        }
    }

    pub const fn rules(self) -> Rules {
        match self {
            Self::Orders => Rules {
                cancelled: "orders_cancelled",
                copy: "orders_copy",
                older: "orders_older_version",
                listed: "orders_listed",
                at_once: "orders_at_once",
            },
            Self::Receipts => Rules {
                cancelled: "receipts_cancelled",
                copy: "receipts_copy",
                older: "receipts_older_version",
                listed: "receipts_listed",
                at_once: "receipts_at_once",
            },
            Self::Recounts => Rules {
                cancelled: "recounts_cancelled",
                copy: "recounts_copy",
                older: "recounts_older_version",
                listed: "recounts_listed",
                at_once: "recounts_at_once",
            },
        }
    }

    /// Is it sent to whoever takes that?
    pub fn is_taken(self, takes: &[String]) -> bool {
        let any = |names: &[&str]| takes.iter().any(|name| names.contains(&name.as_str()));
        match self {
            Self::Orders => true,
            Self::Receipts => any(&["receipts", "transfers", "returns"]),
            Self::Recounts => any(&["recounts"]),
        }
    }

    /// Is a document over, that says that of itself?
    fn is_over(self, progress: &str) -> bool {
        match self {
            Self::Orders => matches!(progress, "shipped" | "refused" | "cancelled"),
            Self::Receipts => matches!(progress, "received" | "refused" | "cancelled"),
            Self::Recounts => matches!(progress, "counted" | "refused" | "cancelled"),
        }
    }

    /// Is it as the page has it?
    fn must_be_one(self, answer: &Value, of: &str) -> Result<(), String> {
        match self {
            Self::Orders => parsed::<Followed>(answer, of).map(drop),
            Self::Receipts => parsed::<Received>(answer, of).map(drop),
            Self::Recounts => parsed::<Recounted>(answer, of).map(drop),
        }
    }

    /// What has been done of it already, where nothing shall have been.
    fn done(self, answer: &Value) -> usize {
        let part = match self {
            Self::Orders => "parcels",
            Self::Receipts => "deliveries",
            Self::Recounts => return 0,
        };
        answer[part].as_array().map_or(0, Vec::len)
    }
}

/// A document as it shall be.
#[derive(Clone)]
struct Asked {
    kind: Kind,
    document: String,
    version: u64,
    location: String,
    /// The id over there and the SKU; without the id, nothing that is known there.
    item: (Option<String>, String),
    quantity: u64,
    is_cancelled: bool,
    /// When it was placed, or asked for.
    at: Instant,
}

impl Asked {
    fn path(&self) -> String {
        format!("/{}/{}", self.kind.list(), self.document)
    }

    fn body(&self) -> Value {
        let now = self.at.to_string();
        let (listing, sku) = &self.item;
        let mut line = json!({ "line": "1", "sku": sku, "name": "A check of the protocol" });
        if let Some(listing) = listing {
            line["listing"] = json!(listing);
        }
        let mut body = json!({
            "document": self.document, "version": self.version, "location": self.location, "cancelled": self.is_cancelled,
        });
        let more = match self.kind {
            Kind::Orders => {
                (line["quantity"], line["lots"]) = (json!(self.quantity), json!([]));
                json!({ "order": "onhand-check", "order_system": "onhand", "placed_at": now, "ship_by": null,
                    "ship_to": null, "transfer_to": null })
            }
            Kind::Receipts => {
                line["quantity"] = json!(self.quantity);
                json!({ "kind": "purchase", "reference": "onhand-check", "from": "onhand-check", "order": null,
                    "order_system": null, "expected_on": null })
            }
            Kind::Recounts => json!({ "requested_at": now, "reason": "a check of the protocol" }),
        };
        for (name, value) in more.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        body["lines"] = json!([line]);
        body
    }

    /// Sends it; how it stands, as far as that is as the page has it.
    async fn sent(&self, ask: &Ask, body: &Value) -> Result<Value, String> {
        let path = self.path();
        let answer = ask.put(&path, body).await?.ok()?;
        self.kind.must_be_one(&answer, &format!("PUT {path}"))?;
        if answer["document"] != self.document.as_str() {
            return Err(format!("PUT {path} answers for {}", answer["document"]));
        }
        Ok(answer)
    }

    /// Sends it, and copies of it while it is not as it shall be: a system may take its time.
    async fn until(
        &self,
        ask: &Ask,
        shall_be: impl Fn(&Value) -> Result<(), String>,
    ) -> Result<Value, String> {
        let body = self.body();
        for _ in 0..TRIED {
            let answer = self.sent(ask, &body).await?;
            if shall_be(&answer).is_ok() {
                return Ok(answer);
            }
            tokio::time::sleep(TRIED_EVERY).await;
        }
        let answer = self.sent(ask, &body).await?;
        shall_be(&answer).map(|()| answer)
    }

    /// Is this version of it taken?
    fn must_be_taken(&self, answer: &Value) -> Result<(), String> {
        if answer["version"] == self.version {
            return Ok(());
        }
        Err(format!("PUT {} of version {} answers version {}", self.path(), self.version, answer["version"]))
    }

    async fn taken(&self, ask: &Ask) -> Result<Value, String> {
        self.until(ask, |answer| self.must_be_taken(answer)).await
    }

    fn must_be_over(&self, answer: &Value) -> Result<(), String> {
        self.must_be_taken(answer)?;
        let (path, progress) = (self.path(), answer["progress"].as_str().unwrap_or_default());
        if !self.kind.is_over(progress) {
            return Err(format!(
                "{path} is cancelled, and is `{progress}`: `cancelled` or `refused` is right"
            ));
        }
        match self.kind.done(answer) {
            0 => Ok(()),
            many => Err(format!(
                "{path} was cancelled from the start, and {many} parcels or deliveries are told of it"
            )),
        }
    }
}

/// What changed after a cursor, each in the order it is told, and where it goes on.
async fn changes(ask: &Ask, kind: Kind, since: Option<&str>) -> Result<(Vec<Value>, String), String> {
    let path = format!("/{}", kind.list());
    let mut cursor = since.map(str::to_owned);
    let mut all = Vec::new();
    for _ in 0..PAGES {
        let query: Vec<(&str, &str)> = cursor.iter().map(|cursor| ("since", cursor.as_str())).collect();
        let page = ask.get(&path, &query).await?.ok()?;
        let listed = page[kind.list()]
            .as_array()
            .ok_or_else(|| format!("GET {path} has no list `{}`", kind.list()))?;
        for one in listed {
            kind.must_be_one(one, &format!("one of GET {path}"))?;
        }
        all.extend(listed.iter().cloned());
        let next =
            page["cursor"].as_str().ok_or_else(|| format!("GET {path} has no `cursor` that is text"))?;
        let is_more = page["more"].as_bool().ok_or_else(|| format!("GET {path} has no `more`"))?;
        if is_more && cursor.as_deref() == Some(next) {
            return Err(format!("GET {path}?since={next} says `more`, and its cursor is {next} again"));
        }
        cursor = Some(next.to_owned());
        if !is_more {
            return Ok((all, next.to_owned()));
        }
    }
    Err(format!("GET {path} has more than {PAGES} pages"))
}

impl Check {
    fn asked(&self, kind: Kind, name: &str) -> Option<Asked> {
        let (location, item) = (self.locations.first()?, self.items.first()?);
        Some(Asked {
            kind,
            document: format!("onhand-check-{}-{}-{name}", self.run, kind.list()),
            version: FIRST,
            location: location.clone(),
            item: (Some(item.remote_id.clone()), item.sku.clone().unwrap_or_default()),
            quantity: 1,
            is_cancelled: true,
            at: (self.clock)(),
        })
    }

    /// Tries with what is cancelled from the start.
    pub(super) async fn documents(&mut self, kind: Kind) {
        let rules = kind.rules();
        let Some(asked) = self.asked(kind, "1") else {
            let why = "no location and item are known to try it with".to_owned();
            self.checked.push(Checked { rule: rules.cancelled, came: Came::LeftOut(why) });
            return;
        };
        let ask = self.ask.clone();
        let before = changes(&ask, kind, None).await;
        let body = asked.body();
        let first = asked.until(&ask, |answer| asked.must_be_over(answer)).await;
        let Some(first) = self.tell(rules.cancelled, first) else { return };
        let copy = async {
            let again = asked.sent(&ask, &body).await?;
            if again == first {
                Ok(())
            } else {
                Err(format!("a copy of {} is answered {again}, after {first}", asked.path()))
            }
        };
        let copy = copy.await;
        self.tell(rules.copy, copy);
        let older = async {
            let older = Asked { version: FIRST - 1, quantity: 7, ..asked.clone() };
            let again = older.sent(&ask, &older.body()).await?;
            if again == first {
                Ok(())
            } else {
                Err(format!("an older version of {} is answered {again}, after {first}", asked.path()))
            }
        };
        let older = older.await;
        self.tell(rules.older, older);
        let listed = async { listed(&ask, &asked, &first, before?).await };
        let listed = listed.await;
        self.tell(rules.listed, listed);
        if let Some(asked) = self.asked(kind, "2") {
            let at_once = at_once(&ask, asked).await;
            self.tell(rules.at_once, at_once);
        }
    }

    /// Tries with orders that somebody could ship, where that is allowed.
    pub(super) async fn orders_placed(&mut self) {
        let asked = self.asked(Kind::Orders, "3").filter(|_| self.places_orders);
        let Some(asked) = asked else {
            for rule in ["order_unknown_item", "order_amended", "order_over"] {
                let why = "it places orders that somebody could ship: only with --place-orders, where an item and a location are known";
                self.checked.push(Checked { rule, came: Came::LeftOut(why.to_owned()) });
            }
            return;
        };
        let ask = self.ask.clone();
        let unknown = unknown_item(&ask, &asked).await;
        self.tell("order_unknown_item", unknown);
        let asked = Asked { is_cancelled: false, ..asked };
        let amended = amended(&ask, &asked).await;
        self.tell("order_amended", amended);
        // Whatever came of it: it is over.
        let over = over(&ask, &asked).await;
        self.tell("order_over", over);
    }
}

/// What was sent is listed after the cursor of before, once, as it was answered; then nothing is.
async fn listed(
    ask: &Ask,
    asked: &Asked,
    answered: &Value,
    (_, cursor): (Vec<Value>, String),
) -> Result<(), String> {
    let (kind, document) = (asked.kind, &asked.document);
    let path = format!("GET /{}", kind.list());
    let of_it = |all: &[Value]| {
        all.iter().filter(|one| one["document"] == document.as_str()).cloned().collect::<Vec<_>>()
    };
    let (all, next) = changes(ask, kind, Some(&cursor)).await?;
    match &of_it(&all)[..] {
        [one] if one == answered => {}
        [one] => return Err(format!("{path}?since={cursor} says {one}, and the answer was {answered}")),
        found => {
            return Err(format!("{path}?since={cursor} has {document} {} times; once is right", found.len()));
        }
    }
    let (again, after) = changes(ask, kind, Some(&next)).await?;
    if !of_it(&again).is_empty() {
        return Err(format!("{path}?since={next} has {document} again, although nothing of it changed"));
    }
    if again.is_empty() && after != next {
        return Err(format!("{path}?since={next} has nothing, and its cursor is {after}: the same is right"));
    }
    let (whole, _) = changes(ask, kind, None).await?;
    match of_it(&whole).len() {
        1 => Ok(()),
        times => Err(format!("{path} without `since` has {document} {times} times; once is right")),
    }
}

/// Copies that come at one instant are one.
async fn at_once(ask: &Ask, asked: Asked) -> Result<(), String> {
    let (path, body) = (asked.path(), asked.body());
    let mut sent = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (ask, asked, body) = (ask.clone(), asked.clone(), body.clone());
        sent.spawn(async move { asked.sent(&ask, &body).await });
    }
    let mut answers = Vec::new();
    for answer in sent.join_all().await {
        answers.push(answer?);
    }
    match answers.iter().find(|answer| **answer != answers[0]) {
        Some(other) => {
            Err(format!("{AT_ONCE} copies of {path} at one instant are answered {} and {other}", answers[0]))
        }
        None => Ok(()),
    }
}

/// What cannot be shipped is refused in the answer, with a reason: not by a status.
async fn unknown_item(ask: &Ask, asked: &Asked) -> Result<(), String> {
    let asked = Asked {
        document: format!("{}-unknown", asked.document),
        item: (None, "onhand-check-no-such-item".to_owned()),
        is_cancelled: false,
        ..asked.clone()
    };
    let answer = asked
        .until(ask, |answer| match answer["progress"].as_str() {
            Some("refused") => Ok(()),
            other => Err(format!(
                "an order for what is not stocked is `{}`; `refused` is right",
                other.unwrap_or_default()
            )),
        })
        .await?;
    match answer["reason"].as_str() {
        Some(reason) if !reason.is_empty() => Ok(()),
        _ => Err("an order for what is not stocked is refused without a `reason`".to_owned()),
    }
}

/// A newer version is made so; an older one changes nothing then.
async fn amended(ask: &Ask, asked: &Asked) -> Result<(), String> {
    let first = asked.taken(ask).await?;
    let newer = Asked { version: FIRST + 1, quantity: 2, ..asked.clone() };
    let second = newer.taken(ask).await?;
    if second["progress"] == "accepted" && second["revision"] == first["revision"] {
        return Err(format!(
            "a newer version of {} is taken, and `revision` stays {}",
            asked.path(),
            first["revision"]
        ));
    }
    let again = asked.sent(ask, &asked.body()).await?;
    if again["version"] != FIRST + 1 {
        return Err(format!(
            "an older version of {} is answered version {}, after {}",
            asked.path(),
            again["version"],
            FIRST + 1
        ));
    }
    Ok(())
}

/// A cancelled order is over, and is never opened again.
async fn over(ask: &Ask, asked: &Asked) -> Result<(), String> {
    let path = asked.path();
    let cancelled = Asked { version: FIRST + 2, is_cancelled: true, ..asked.clone() };
    let progress = |answer: &Value| answer["progress"].as_str().unwrap_or_default().to_owned();
    let answer = cancelled
        .until(ask, |answer| {
            cancelled.must_be_taken(answer)?;
            let is_over = Kind::Orders.is_over(&progress(answer));
            if is_over { Ok(()) } else { Err(format!("{path} is cancelled, and is `{}`", progress(answer))) }
        })
        .await?;
    let opened = Asked { version: FIRST + 3, quantity: 5, ..asked.clone() };
    let again = opened.taken(ask).await;
    // Whoever opens it again shall not ship it.
    let last = Asked { version: FIRST + 4, ..cancelled.clone() };
    last.taken(ask).await?;
    let again = again?;
    if progress(&again) != progress(&answer) {
        return Err(format!(
            "{path} was `{}`, and is `{}` by a newer version: what is over is never opened again",
            progress(&answer),
            progress(&again)
        ));
    }
    Ok(())
}
