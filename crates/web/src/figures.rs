//! Each connected system's figures for Prometheus. They are kept up to date elsewhere ([`onhand_engine::figures`]): a scrape copies some
//! numbers for each system, whatever it has of listings.

use std::sync::atomic::AtomicU64;

use onhand_engine::figures::{Figures, Outcome};
use onhand_ledger::model::Cause;
use onhand_ledger::{Instant, TenantId};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct OfTenant {
    tenant: u64,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct OfSystem {
    tenant: u64,
    system: String,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct ByOutcome {
    tenant: u64,
    system: String,
    outcome: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct ByCause {
    tenant: u64,
    system: String,
    cause: String,
}

type Units = Gauge<f64, AtomicU64>;

/// What is told of systems.
#[derive(Default)]
pub(crate) struct Systems {
    lag_seconds: Family<OfSystem, Units>,
    listings: Family<OfSystem, Gauge>,
    in_step: Family<OfSystem, Gauge>,
    exposure: Family<OfSystem, Units>,
    pushes: Family<ByOutcome, Counter>,
    throttled: Family<OfSystem, Counter>,
    drift: Family<ByCause, Counter>,
    open: Family<ByCause, Gauge>,
    oversold: Family<OfTenant, Counter<f64, AtomicU64>>,
}

impl Systems {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let lag = "How long ago the oldest change was recorded that the system does not show yet";
        registry.register("system_lag_seconds", lag, self.lag_seconds.clone());
        let listings = "Mapped listings whose numbers are ours, once for each of the system's locations";
        registry.register("system_listings", listings, self.listings.clone());
        let in_step = "Of these last read as they should be, with nothing unanswered";
        registry.register("system_listings_in_step", in_step, self.in_step.clone());
        let exposure = "Units offered there beyond what can be promised";
        registry.register("system_exposure_units", exposure, self.exposure.clone());
        registry.register("system_pushes", "Numbers sent, by how that ended", self.pushes.clone());
        let throttled = "Times the system asked us to slow down";
        registry.register("system_throttled", throttled, self.throttled.clone());
        let drift = "Numbers found changed over there, by what was said of it";
        registry.register("system_drift", drift, self.drift.clone());
        let open = "Discrepancies that are open";
        registry.register("discrepancies_open", open, self.open.clone());
        let oversold = "Units sold that were not there when we heard of it";
        registry.register("oversold_units", oversold, self.oversold.clone());
    }

    /// As it is now. What nobody tells of any more is left out.
    pub(crate) fn take(&self, figures: &Figures, now: Instant) {
        self.clear();
        for ((tenant, _), known) in figures.systems() {
            let of = OfSystem { tenant: tenant.0, system: known.name.clone() };
            if let Some(standing) = known.standing {
                let behind = standing.behind_since.map_or(0, |since| now.micros() - since.micros());
                self.lag_seconds.get_or_create(&of).set(millionths(behind.max(0).into()));
                self.listings.get_or_create(&of).set(count(standing.listings as u64));
                self.in_step.get_or_create(&of).set(count(standing.in_step as u64));
                self.exposure.get_or_create(&of).set(millionths(standing.exposed));
            }
            self.throttled.get_or_create(&of).inc_by(known.throttled);
            for (outcome, name) in Outcome::ALL {
                let by = ByOutcome { tenant: tenant.0, system: known.name.clone(), outcome: name };
                self.pushes.get_or_create(&by).inc_by(known.pushes.get(&outcome).copied().unwrap_or(0));
            }
            for (cause, many) in known.drift {
                self.drift.get_or_create(&by_cause(tenant, &known.name, cause)).inc_by(many);
            }
        }
        for (tenant, inbox) in figures.inboxes() {
            for ((system, cause), many) in inbox.open {
                self.open.get_or_create(&by_cause(tenant, &system, cause)).set(count(many));
            }
            let oversold = self.oversold.get_or_create(&OfTenant { tenant: tenant.0 });
            oversold.inc_by(millionths(inbox.oversold.micros().into()));
        }
    }

    fn clear(&self) {
        self.lag_seconds.clear();
        self.listings.clear();
        self.in_step.clear();
        self.exposure.clear();
        self.pushes.clear();
        self.throttled.clear();
        self.drift.clear();
        self.open.clear();
        self.oversold.clear();
    }
}

fn by_cause(tenant: TenantId, system: &str, cause: Cause) -> ByCause {
    let name = serde_json::to_value(cause).ok();
    let cause = name.and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default();
    ByCause { tenant: tenant.0, system: system.to_owned(), cause }
}

fn count(many: u64) -> i64 {
    i64::try_from(many).unwrap_or(i64::MAX)
}

/// Prometheus knows floating point alone: nothing is decided by what is shown here.
#[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
fn millionths(millionths: i128) -> f64 {
    millionths as f64 / 1e6
}
