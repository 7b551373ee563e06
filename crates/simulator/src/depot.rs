//! Warehouses of somebody else's: each is master of what lies at one of our locations, moves it by itself, and tells of that in documents and
//! snapshots, some late, some never, some cut short. And whoever at our end sees to what is held of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use onhand_engine::Handle;
use onhand_engine::snapshots::{Row, Snapshot, SnapshotError, Standing, decide, settle_all, snapshots, tell};
use onhand_ledger::command::{Content, Document, Happened, MovementLine, Name};
use onhand_ledger::{Body, Command, Instant, Quantity};
use parking_lot::Mutex;

use crate::channel::Slot;
use crate::onhand::{TENANT, ask};
use crate::story::Wrong;
use crate::time::Time;
use crate::world::{Fault, Shared};

/// What is held is looked at so often, in microseconds.
const LOOKED_AT: i64 = 7_000_000;

/// A warehouse.
#[derive(Clone, Debug, Default)]
pub struct Depot {
    /// Its name.
    pub name: String,
    /// The code of our location that it is.
    pub place: String,
    /// What truly lies there, by SKU.
    pub stock: BTreeMap<String, i64>,
    /// When what happened that it will tell of and has not yet.
    untold: BTreeMap<u64, Instant>,
    documents: u64,
    snapshots: u64,
    /// Snapshots that are as they should be: a person who asks there learns so.
    pub sound: BTreeSet<String>,
}

impl Depot {
    /// A warehouse in which this lies, by SKU.
    pub fn new(name: String, place: String, stock: BTreeMap<String, i64>) -> Self {
        Self { name, place, stock, ..Self::default() }
    }

    /// Goods come, or leave, or are found missing: no more than there are. The document that tells of it; none where nothing happened.
    pub fn happens(&mut self, sku: &str, units: i64, now: Instant, is_told: bool) -> Option<(u64, Document)> {
        let lies = self.stock.entry(sku.to_owned()).or_default();
        let units = units.max(-*lies);
        if units == 0 {
            return None;
        }
        *lies += units;
        self.documents += 1;
        let number = self.documents;
        if is_told {
            self.untold.insert(number, now);
        }
        let line = MovementLine {
            line: "1".to_owned(),
            item: Name::Sku(sku.to_owned()),
            location: self.place.clone(),
            what: if units > 0 { Happened::Received } else { Happened::Lost },
            quantity: Quantity::units(units.abs()),
            occurred_at: Some(now),
            reason: None,
        };
        let document = Document {
            system: self.name.clone(),
            document: format!("{}-{number}", self.name),
            version: 1,
            content: Content::Movements(vec![line]),
        };
        Some((number, document))
    }

    /// What there is, as it tells it.
    pub fn snapshot(&mut self, now: Instant, whole: bool, wrong: Option<Wrong>) -> Snapshot {
        self.snapshots += 1;
        let all = self.stock.iter().map(|(sku, units)| Row {
            item: Name::Sku(sku.clone()),
            quantity: Quantity::units(*units),
            lot: None,
            serials: None,
        });
        let mut rows: Vec<Row> = all.collect();
        let many = rows.len();
        if !whole {
            rows.truncate(many.div_ceil(2));
        }
        match wrong {
            None => {}
            Some(Wrong::Empty) => rows.clear(),
            Some(Wrong::CutShort | Wrong::CutShortUnsaid) => rows.truncate(many / 2),
        }
        let document = format!("{} snapshot {}", self.name, self.snapshots);
        if wrong.is_none() {
            self.sound.insert(document.clone());
        }
        let whole = whole || rows.is_empty();
        Snapshot {
            document: Some(document),
            location: None,
            as_of: now,
            whole,
            declared_rows: (wrong != Some(Wrong::CutShortUnsaid)).then_some(many).filter(|_| whole),
            documents_known_to: Some(self.known_to(now)),
            rows,
            meaning: None,
            agrees: Quantity::ZERO,
            held_by: None,
        }
    }

    /// It has told all that happened up to then.
    fn known_to(&self, now: Instant) -> Instant {
        self.untold.values().min().map_or(now, |first| first.plus_micros(-1))
    }
}

/// Tells of what happened at a warehouse, after a while.
pub async fn tell_document(
    (slot, time, world): (Slot, Time, Shared),
    depot: usize,
    (number, document): (u64, Document),
    after_ms: i64,
    bugs: Arc<Mutex<Vec<String>>>,
) {
    time.micros(after_ms * 1_000).await;
    let actor = document.system.clone();
    let command = Command { key: None, fingerprint: 0, actor, body: Body::Record(document) };
    ask(slot, time, command, false, bugs, world.clone()).await;
    world.lock().depots[depot].untold.remove(&number);
}

/// Tells a snapshot until it is kept, perhaps once more.
pub async fn tell_snapshot(
    (slot, time, world): (Slot, Time, Shared),
    name: String,
    snapshot: Snapshot,
    (after_ms, again): (i64, bool),
    bugs: Arc<Mutex<Vec<String>>>,
) {
    time.micros(after_ms * 1_000).await;
    let mut times = if again { 2 } else { 1 };
    while times > 0 {
        let handle = slot.lock().clone();
        let Some(handle) = handle else {
            time.micros(250_000).await;
            continue;
        };
        match tell(&handle, TENANT, &name, snapshot.clone()).await {
            Ok((kept, _)) => {
                times -= 1;
                world
                    .lock()
                    .tell(time.now(), || format!("{name}: {} is told: {}", kept.document, kept.sentence));
            }
            Err(SnapshotError::Submit(_) | SnapshotError::Store(_)) => time.micros(250_000).await,
            Err(error) => {
                bugs.lock().push(format!("law 10: a snapshot of {name} is not kept: {error}"));
                return;
            }
        }
    }
}

/// Somebody who looks at snapshots that are held, asks over there, and approves or rejects each.
pub async fn see_to_held(slot: Slot, time: Time, world: Shared) {
    loop {
        time.micros(LOOKED_AT).await;
        let names: Vec<String> = world.lock().depots.iter().map(|depot| depot.name.clone()).collect();
        for (number, name) in names.into_iter().enumerate() {
            let Some(handle) = slot.lock().clone() else { continue };
            let kept = handle.ledger().read(TENANT, |view| match view.system_by_name(&name)? {
                Some((id, _)) => snapshots(view, id),
                None => Ok(Vec::new()),
            });
            for kept in kept.unwrap_or_default() {
                if matches!(kept.state, Standing::Held { .. }) {
                    let is_sound = world.lock().depots[number].sound.contains(&kept.document);
                    world.lock().bit(Fault::HeldSnapshot);
                    let decided = decide(&handle, TENANT, &name, &kept.document, is_sound, "person").await;
                    world.lock().tell(time.now(), || match decided {
                        Ok(kept) => format!("{name}: {} is decided: {}", kept.document, kept.sentence),
                        // It is seen to the next time.
                        Err(error) => format!("{name}: {} is not decided: {error}", kept.document),
                    });
                }
            }
        }
    }
}

/// Takes what waited for long enough, as the runtime does.
pub async fn settle_snapshots(handle: Handle, time: Time) {
    loop {
        time.micros(1_000_000).await;
        let _ = settle_all(&handle, TENANT).await;
    }
}
