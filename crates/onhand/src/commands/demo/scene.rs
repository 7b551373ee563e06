//! Scenes: what goes wrong, what is seen of it, and why; and all equal again.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use onhand_emulators::{shopify, woocommerce};
use onhand_engine::{Clock as _, SystemClock};
use onhand_ledger::model::Cause;
use onhand_ledger::{DiscrepancyId, Instant, Quantity};
use onhand_sync::Standing;
use serde_json::{Value, json};

use super::oversold::{What, by_us};
use super::stage::Stage;
use super::world::{CORNER, SHOPS, World};
use crate::cli::Scene;

/// Whatever is wrong must be right again within so many seconds.
const WITHIN: i64 = 60;
/// So many people want a lamp each second of the sale.
const BUYERS_A_SECOND: i64 = 500;
/// So many there are of these.
const LAMPS: i64 = 500;
/// The sale lasts no longer, in seconds.
const SALE: i64 = 10;
/// The listings show no other number for so long before they are called equal, in microseconds.
const QUIET: i64 = 400_000;
/// Numbers are looked at so often, in microseconds.
const LOOKED_AT: i64 = 250_000;

/// Somebody has asked for the end.
#[derive(Debug, thiserror::Error)]
#[error("stopped")]
pub(super) struct Stopped;

/// What came of a scene.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    pub orders: usize,
    pub units_sold: i64,
    pub oversold_by_us: i64,
    pub converged: bool,
    discrepancies: BTreeMap<String, u64>,
    latencies: Vec<i64>,
    /// What is said of this scene alone.
    more: BTreeMap<&'static str, Value>,
}

impl Told {
    /// Did it end as it must?
    pub fn is_lawful(&self) -> bool {
        self.converged && self.oversold_by_us == 0
    }

    /// From a change of stock to the shop's acknowledgement.
    pub fn latency(&self) -> Value {
        latency(&self.latencies)
    }

    /// What is said of every scene.
    pub fn json(&self, scene: Scene) -> Value {
        let mut all = json!({
            "scene": scene.name(),
            "oversold_by_us": self.oversold_by_us,
            "converged": self.converged,
            "discrepancies": self.discrepancies,
            "sync_latency_ms": self.latency(),
            "orders": self.orders,
            "units_sold": self.units_sold,
        });
        for (name, value) in &self.more {
            all[*name] = value.clone();
        }
        all
    }
}

/// The percentiles of latencies in microseconds, in milliseconds.
fn latency(latencies: &[i64]) -> Value {
    let mut sorted = latencies.to_vec();
    sorted.sort_unstable();
    let at = |percent: usize| {
        let micros = sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)));
        micros.map_or(0.0, |micros| f64::from(i32::try_from(*micros).unwrap_or(i32::MAX)) / 1_000.0)
    };
    json!({ "p50": at(50), "p99": at(99) })
}

/// Plays scenes, one after the other, while customers buy.
pub(super) struct Player<'a> {
    pub world: &'a mut World,
    pub stage: &'a mut Stage,
    pub interrupted: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// What was last told of the watched item's numbers.
    watched: BTreeMap<(String, String), Numbers>,
    next_look: Instant,
    /// What the shops had sold when the last scene ended.
    sold: Sold,
}

/// What shops sold.
#[derive(Clone, Copy, Debug, Default)]
struct Sold {
    orders: usize,
    units: i64,
    /// Of these, oversold by a number of ours.
    by_us: i64,
}

/// What a shop shows, and what it should, by what Onhand knows.
type Numbers = (Option<Quantity>, Quantity);

fn now() -> Instant {
    SystemClock.now()
}

impl<'a> Player<'a> {
    pub fn new(
        world: &'a mut World,
        stage: &'a mut Stage,
        interrupted: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        let interrupted = Box::pin(interrupted);
        Self {
            world,
            stage,
            interrupted,
            watched: BTreeMap::new(),
            next_look: Instant::MIN,
            sold: Sold::default(),
        }
    }

    /// Plays one, for so many seconds at least, and says what came of it.
    pub async fn play(&mut self, scene: Scene, seconds: i64) -> anyhow::Result<Told> {
        let begun = now();
        let matters = self.last_matter()?;
        let pushes = self.world.runtime.acknowledged.lock().len();
        self.stage.tell(format_args!("── {}", scene.title()))?;
        let more = match scene {
            Scene::ManualEdit => self.three_numbers().await?,
            Scene::Outage => self.outage(seconds).await?,
            Scene::TwoMasters => self.two_masters().await?,
            Scene::FlashSale => self.flash_sale(seconds).await?,
        };
        self.trade_until(begun.plus_seconds(seconds)).await?;
        let converged = self.is_equal_within(WITHIN, None).await?;
        self.world.untouched = None;
        let mut told = Told { converged, more, ..Told::default() };
        for (_, matter) in self.world.discrepancies(matters)? {
            let cause = serde_json::to_value(matter.cause)?.as_str().unwrap_or_default().to_owned();
            *told.discrepancies.entry(cause).or_default() += 1;
        }
        told.latencies = self.latencies_since(pushes);
        let sold = self.sold()?;
        let before = std::mem::replace(&mut self.sold, sold);
        told.orders = self.sold.orders - before.orders;
        told.units_sold = self.sold.units - before.units;
        told.oversold_by_us = self.sold.by_us - before.by_us;
        let (listings, in_step) = self.world.status()?;
        let (sold, by_us) = (told.units_sold, told.oversold_by_us);
        self.stage.tell(format_args!(
            "   {in_step} of {listings} listings in step; {sold} units sold meanwhile, {by_us} oversold by us."
        ))?;
        Ok(told)
    }

    /// Customers buy, and nothing else happens, until then.
    pub async fn trade_until(&mut self, end: Instant) -> anyhow::Result<()> {
        while now() < end {
            self.step().await?;
        }
        Ok(())
    }

    /// One shows 100, which is right; one shows what somebody typed; one has not heard of it yet.
    async fn three_numbers(&mut self) -> anyhow::Result<BTreeMap<&'static str, Value>> {
        const SKU: &str = "MUG-BLUE";
        self.watch(SKU).await?;
        let before = self.world.available(SKU)?.iter().sum::<i64>();
        self.tell(format_args!(
            "All three shops show {before} of {SKU}. WooCommerce stops answering; three more come in."
        ))?;
        let unheard = woocommerce::Faults { fail_next: u32::MAX, ..woocommerce::Faults::default() };
        self.world.woo.set_faults(unheard);
        self.world.receives("LONDON", SKU, 3).await?;
        let right = before + 3;
        self.until(WITHIN, async |world| Ok(world.shown(SKU)[0] == right && world.shown(SKU)[2] == right))
            .await?;
        let typed = right - 8;
        self.world.edit_corner(SKU, typed);
        self.tell(format_args!("Somebody types {typed} into the admin of the {CORNER}."))?;
        let [shopify, woo, corner] = self.world.shown(SKU);
        self.tell(format_args!(
            "Three systems, three numbers: {} {shopify}, {} {corner}, {} {woo}. Which is right, and why?",
            SHOPS[0], SHOPS[2], SHOPS[1]
        ))?;
        let matters = self.last_matter()?;
        let healed = self.until(WITHIN, async |world| Ok(world.shown(SKU)[2] == right)).await?;
        for (_, matter) in self.world.discrepancies(matters)? {
            if matter.cause == Cause::ManualEdit {
                self.tell(&matter.sentence)?;
            }
        }
        self.world.woo.set_faults(woocommerce::Faults::default());
        self.tell("WooCommerce answers again.")?;
        let equal = self.is_equal_within(WITHIN, Some(SKU)).await?;
        Ok(BTreeMap::from([("healed", json!(healed && equal))]))
    }

    /// One shop is away, another's answers are lost; customers buy on.
    async fn outage(&mut self, seconds: i64) -> anyhow::Result<BTreeMap<&'static str, Value>> {
        self.tell("WooCommerce is away, and now and then an answer of Shopify is lost. Customers buy on.")?;
        let away = woocommerce::Faults { fail_next: u32::MAX, ..woocommerce::Faults::default() };
        self.world.woo.set_faults(away);
        let mut most = 0;
        let end = now().plus_seconds((seconds / 2).max(3));
        while now() < end {
            self.world.shopify.set_faults(shopify::Faults { lose_next: 1, ..shopify::Faults::default() });
            self.trade_until(now().plus_micros(500_000)).await?;
            most = most.max(self.world.exposed()?);
        }
        self.tell(format_args!(
            "At worst {most} units could have been oversold, where a shop showed an old number."
        ))?;
        self.world.woo.set_faults(woocommerce::Faults::default());
        self.world.shopify.set_faults(shopify::Faults::default());
        let back = now();
        let equal = self.is_equal_within(WITHIN, None).await?;
        let took = (now().micros() - back.micros()) / 1_000;
        if equal {
            self.tell(format_args!("It is back; all is equal again after {took} ms."))?;
        }
        Ok(BTreeMap::from([("most_exposed", json!(most)), ("caught_up_ms", json!(took))]))
    }

    /// Another program writes the same number.
    async fn two_masters(&mut self) -> anyhow::Result<BTreeMap<&'static str, Value>> {
        const SKU: &str = "TEA-GREEN";
        self.watch(SKU).await?;
        let number = self.world.available(SKU)?.iter().sum::<i64>() - 4;
        self.tell(format_args!(
            "A program of somebody else sets {SKU} in the {CORNER} to {number}, whenever it is another."
        ))?;
        self.world.other_program = Some((SKU, number));
        let matters = self.last_matter()?;
        let found = self
            .until(WITHIN, async |world| {
                let all = world.discrepancies(matters)?;
                Ok(all.iter().any(|(_, matter)| matter.cause == Cause::SecondMaster))
            })
            .await?;
        self.world.other_program = None;
        let all = self.world.discrepancies(matters)?;
        for (id, matter) in all.iter().filter(|(_, matter)| matter.cause == Cause::SecondMaster) {
            self.tell(&matter.sentence)?;
            self.tell("Somebody stops that program, and says so.")?;
            self.world.resolve(*id).await?;
        }
        let equal = self.is_equal_within(WITHIN, Some(SKU)).await?;
        Ok(BTreeMap::from([("found", json!(found)), ("healed", json!(equal))]))
    }

    /// Five thousand people in ten seconds want five hundred lamps, in three shops.
    async fn flash_sale(&mut self, seconds: i64) -> anyhow::Result<BTreeMap<&'static str, Value>> {
        const SKU: &str = "LAMP";
        let left = self.world.available(SKU)?.iter().sum::<i64>();
        if left < LAMPS {
            self.world.receives("LONDON", SKU, LAMPS - left).await?;
        }
        self.is_equal_within(WITHIN, None).await?;
        let stock = self.world.available(SKU)?.iter().sum::<i64>();
        let buyers = BUYERS_A_SECOND * seconds.clamp(2, SALE);
        self.tell(format_args!(
            "{buyers} people want one of {stock} lamps, in three shops, {BUYERS_A_SECOND} a second."
        ))?;
        let begun = now();
        let (mut sold, mut asked, mut exposure) = (0, 0, Vec::new());
        let mut next = begun;
        while asked < buyers {
            let due = ((now().micros() - begun.micros()) * BUYERS_A_SECOND / 1_000_000).min(buyers);
            for _ in asked..due {
                sold += i64::from(self.world.somebody_buys(SKU, 1));
            }
            asked = due;
            if now() >= next {
                // What the shops offer together beyond what is left.
                let offered: i64 = self.world.shown(SKU).iter().sum();
                let beyond = offered - (stock - sold).max(0);
                exposure.push(json!({ "ms": (now().micros() - begun.micros()) / 1_000, "units": beyond }));
                next = now().plus_micros(LOOKED_AT);
            }
            self.breathe(Duration::from_millis(5)).await?;
        }
        let equal = self.is_equal_within(WITHIN, None).await?;
        let oversold = (sold - stock).max(0);
        self.tell(format_args!(
            "{sold} were sold: {oversold} more than there were, because three shops sell faster than they tell."
        ))?;
        Ok(BTreeMap::from([
            ("buyers", json!(buyers)),
            ("stock", json!(stock)),
            ("sold", json!(sold)),
            ("oversold_by_the_shops", json!(oversold)),
            ("exposure", json!(exposure)),
            ("equal", json!(equal)),
        ]))
    }

    /// What came of all that was played.
    pub fn whole(&self) -> anyhow::Result<Told> {
        let Sold { orders, units, by_us } = self.sold()?;
        let latencies = self.latencies_since(0);
        Ok(Told { orders, units_sold: units, oversold_by_us: by_us, latencies, ..Told::default() })
    }

    /// Of all pushes but so many of the first, in microseconds.
    fn latencies_since(&self, pushes: usize) -> Vec<i64> {
        let all = self.world.runtime.acknowledged.lock();
        let later = all[pushes..].iter();
        later.map(|acknowledged| acknowledged.at.micros() - acknowledged.changed_at.micros()).collect()
    }

    fn tell(&mut self, line: impl std::fmt::Display) -> anyhow::Result<()> {
        self.stage.tell(format_args!("   {line}"))
    }

    /// What the shops sold so far, by their records and the log.
    fn sold(&self) -> anyhow::Result<Sold> {
        let changes = self.world.changes();
        let by_us = by_us(self.world.runtime.handle.ledger(), &self.world.offers(), &changes)?;
        let mut sold = Sold { by_us, ..Sold::default() };
        for change in &changes {
            if let What::Sale(units) = change.what {
                sold.orders += 1;
                sold.units += units;
            }
        }
        Ok(sold)
    }

    fn last_matter(&self) -> anyhow::Result<DiscrepancyId> {
        Ok(self.world.discrepancies(DiscrepancyId(0))?.last().map_or(DiscrepancyId(0), |(id, _)| *id))
    }

    /// Nobody buys that any more, so that its numbers can be followed; all is equal first.
    async fn watch(&mut self, sku: &'static str) -> anyhow::Result<()> {
        self.world.untouched = Some(sku);
        self.watched.clear();
        self.is_equal_within(WITHIN, None).await?;
        self.has_seen()
    }

    /// Customers buy until that is so, for so many seconds at most. Says whether it is.
    async fn until(
        &mut self,
        seconds: i64,
        mut holds: impl AsyncFnMut(&World) -> anyhow::Result<bool>,
    ) -> anyhow::Result<bool> {
        let end = now().plus_seconds(seconds);
        while now() < end {
            if holds(self.world).await? {
                return Ok(true);
            }
            self.step().await?;
            self.follow()?;
        }
        Ok(false)
    }

    /// Nobody buys until all is equal, and stays so for a moment.
    pub async fn is_equal_within(&mut self, seconds: i64, watched: Option<&str>) -> anyhow::Result<bool> {
        let end = now().plus_seconds(seconds);
        let mut since = now();
        while now() < end {
            if !self.world.is_equal()? {
                since = now();
            } else if now().micros() - since.micros() >= QUIET {
                if watched.is_some() {
                    self.follow()?;
                }
                return Ok(true);
            }
            self.world.works_for_others();
            self.breathe(Duration::from_millis(50)).await?;
            if watched.is_some() {
                self.follow()?;
            }
        }
        Ok(false)
    }

    async fn step(&mut self) -> anyhow::Result<()> {
        let pause = Duration::from_millis(10 + self.world.dice.roll(40));
        self.world.goes_on().await?;
        self.breathe(pause).await
    }

    async fn breathe(&mut self, pause: Duration) -> anyhow::Result<()> {
        self.stage.draw(self.world)?;
        tokio::select! {
            () = &mut self.interrupted => Err(Stopped.into()),
            () = tokio::time::sleep(pause) => Ok(()),
        }
    }

    /// Says what is new about the watched item, in the words that Onhand has for it.
    fn follow(&mut self) -> anyhow::Result<()> {
        let Some(sku) = self.world.untouched.filter(|_| now() >= self.next_look) else { return Ok(()) };
        self.next_look = now().plus_micros(LOOKED_AT);
        for explained in self.world.explained(sku)? {
            let shown = &explained.shown;
            let key = (shown.system.clone(), shown.remote_location.clone());
            let numbers = (shown.observed.map(|(quantity, _)| quantity), shown.desired);
            // What is shown and what should be are two numbers for a moment after each change.
            let is_over =
                shown.in_step || (explained.standing != Standing::InStep && numbers.0 != Some(numbers.1));
            if is_over && self.watched.get(&key) != Some(&numbers) {
                self.watched.insert(key, numbers);
                if numbers != (Some(Quantity::ZERO), Quantity::ZERO) {
                    let sign = explained.standing.sign();
                    self.stage.tell(format_args!("   {sign} {}", shown.explanation))?;
                }
            }
        }
        Ok(())
    }

    /// What is so before anything happens to the watched item is told by nobody.
    fn has_seen(&mut self) -> anyhow::Result<()> {
        let Some(sku) = self.world.untouched else { return Ok(()) };
        for explained in self.world.explained(sku)? {
            let shown = explained.shown;
            let numbers = (shown.observed.map(|(quantity, _)| quantity), shown.desired);
            self.watched.insert((shown.system, shown.remote_location), numbers);
        }
        Ok(())
    }
}
