//! A simulated system, spoken to as every other: through the trait `Channel`.

use onhand_channels::{
    Channel, ChannelError, Discovery, Meaning, OrderPage, Push, Pushed, Reading, RemoteListing,
    RemoteLocation, RemoteOrder, RemoteOrderLine,
};
use onhand_engine::Handle;
use onhand_ledger::Quantity;
use parking_lot::Mutex;
use std::sync::Arc;

use crate::time::Time;
use crate::world::{Call, Cursor, Fate, MAIN, Nature, Order, Shared};

/// How long we wait for an answer, in microseconds.
const PATIENCE: i64 = 10_000_000;

/// What was sent, and the newest entry there was when it was handed to the channel.
#[derive(Clone, Debug)]
pub struct Sent {
    /// When it was handed over.
    pub at: onhand_ledger::Instant,
    /// Which system's.
    pub shop: usize,
    /// What.
    pub push: Push,
}

/// A channel to a simulated system.
pub struct Remote {
    /// The world it is in.
    pub world: Shared,
    /// Virtual time.
    pub time: Time,
    /// Which system.
    pub shop: usize,
    /// How it is.
    pub nature: Nature,
    /// Its name.
    pub name: String,
    /// All that was ever sent, whatever became of it.
    pub sent: Arc<Mutex<Vec<Sent>>>,
}

impl Remote {
    fn failed(&self, fate: Fate) -> Option<ChannelError> {
        let (system, reason) = (self.name.clone(), "simulated".to_owned());
        match fate {
            Fate::Unreachable => Some(ChannelError::Unreachable { system, reason }),
            Fate::Throttled(retry_after_seconds) => {
                Some(ChannelError::Throttled { system, retry_after_seconds })
            }
            Fate::Credentials => Some(ChannelError::Credentials { system, reason }),
            Fate::Unexpected => Some(ChannelError::Unexpected { system, reason }),
            _ => None,
        }
    }

    /// A call that changes nothing over there.
    async fn ask<T>(&self, what: Call, answer: impl FnOnce() -> T + Send) -> Result<T, ChannelError> {
        let (_, there, back, fate) = self.world.lock().call(self.shop, what, self.time.now());
        self.time.micros(there.min(PATIENCE)).await;
        if let Some(error) = self.failed(fate) {
            return Err(error);
        }
        let answer = answer();
        self.time.micros(back.min(PATIENCE)).await;
        Ok(answer)
    }
}

#[async_trait::async_trait]
impl Channel for Remote {
    fn meaning(&self) -> Meaning {
        self.nature.meaning
    }

    fn batch_size(&self) -> usize {
        self.nature.batch
    }

    fn reads_before_push(&self) -> bool {
        self.nature.reads_first
    }

    fn tells_within_ms(&self) -> i64 {
        self.nature.tells_within_ms
    }

    async fn discover(&self) -> Result<Discovery, ChannelError> {
        self.ask(Call::Read, || {
            let world = self.world.lock();
            let listings = world.shops[self.shop].listings.iter().filter(|(_, listed)| listed.present);
            let listings = listings.map(|(id, listed)| RemoteListing {
                barcode: None,
                remote_id: id.clone(),
                sku: Some(listed.sku.clone()),
                name: listed.sku.clone(),
                tracked: listed.tracked,
            });
            let location = RemoteLocation { remote_id: MAIN.to_owned(), name: MAIN.to_owned() };
            Discovery { listings: listings.collect(), locations: vec![location] }
        })
        .await
    }

    async fn read(&self, listings: &[String]) -> Result<Vec<Reading>, ChannelError> {
        self.ask(Call::Read, || {
            let now = self.time.now();
            let readings = self.world.lock().read(self.shop, listings, now);
            for reading in &readings {
                self.world.lock().tell(now, || {
                    format!("{}: {} is read: {}", self.name, reading.listing, reading.quantity)
                });
            }
            readings
        })
        .await
    }

    async fn push(&self, pushes: &[Push]) -> Result<Vec<Pushed>, ChannelError> {
        let now = self.time.now();
        let (call, there, back, fate) = self.world.lock().call(self.shop, Call::Push, now);
        {
            let mut sent = self.sent.lock();
            sent.extend(pushes.iter().map(|push| Sent { at: now, shop: self.shop, push: push.clone() }));
        }
        for push in pushes {
            self.world.lock().tell(now, || {
                format!("{}: {} is sent for {} (entry {})", self.name, push.quantity, push.listing, push.seq)
            });
        }
        if let Some(error) = self.failed(fate) {
            self.time.micros(there).await;
            return Err(error);
        }
        let late = if let Fate::Late(late) = fate { late } else { 0 };
        let arrives = now.plus_micros(there + late);
        self.world.lock().send(self.shop, call, pushes.to_vec(), fate, arrives);
        let unknown = || {
            let unknown = Pushed::Unknown { reason: "its answer was lost".to_owned() };
            Ok(vec![unknown; pushes.len()])
        };
        if matches!(fate, Fate::AnswerLost | Fate::RequestLost | Fate::Late(_)) || there + back > PATIENCE {
            self.time.micros((there + back).min(PATIENCE)).await;
            return unknown();
        }
        self.time.until(arrives).await;
        let answer = self.world.lock().answer(call);
        self.time.micros(back).await;
        match answer {
            Some(results) => Ok(results),
            None => unknown(),
        }
    }

    async fn orders(&self, cursor: Option<&str>) -> Result<OrderPage, ChannelError> {
        let cursor: Cursor = cursor.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        self.ask(Call::Orders, || {
            let now = self.time.now();
            let (orders, cursor, more) = self.world.lock().page(self.shop, &cursor, now);
            for order in &orders {
                self.world.lock().tell(now, || {
                    format!("{}: order {} is heard of, change {}", self.name, order.id, order.change)
                });
            }
            OrderPage {
                orders: orders.into_iter().map(remote).collect(),
                cursor: serde_json::to_string(&cursor).unwrap_or_default(),
                more,
            }
        })
        .await
    }
}

fn remote(order: Order) -> RemoteOrder {
    let line = |(nth, line): (usize, &crate::world::Line)| RemoteOrderLine {
        line: (nth + 1).to_string(),
        listing: line.listing.clone(),
        quantity: Quantity::units(line.quantity),
        shipped: Quantity::units(line.shipped),
        returned: Quantity::units(line.returned),
        withheld: Quantity::ZERO,
        places: Vec::new(),
    };
    RemoteOrder {
        version: order.change,
        placed_at: order.placed_at,
        updated_at: order.updated_at,
        moved_at: order.updated_at,
        history: false,
        cancelled: order.cancelled,
        lines: order.lines.iter().enumerate().map(line).collect(),
        document: order.id,
        raw: None,
    }
}

/// A handle that comes and goes with Onhand's process.
pub type Slot = Arc<Mutex<Option<Handle>>>;
