//! Figures for Prometheus: base units, no unbounded labels.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use onhand_engine::Ledger;
use parking_lot::Mutex;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::App;
use crate::figures::Systems;

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: String,
    status: u16,
}

/// The figures of this process.
pub struct Metrics {
    registry: Mutex<Registry>,
    requests: Family<RequestLabels, Counter>,
    duration: Histogram,
    systems: Systems,
    /// The last entry of the log, the newest over all tenants.
    pub log_seq: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("onhand");
        let requests = Family::default();
        registry.register("http_requests", "HTTP requests answered", requests.clone());
        let duration = Histogram::new(exponential_buckets(0.000_25, 2.0, 16));
        registry.register(
            "http_request_duration_seconds",
            "Time to answer an HTTP request",
            duration.clone(),
        );
        let log_seq = Gauge::default();
        registry.register("log_seq", "The last entry of the log", log_seq.clone());
        let systems = Systems::default();
        systems.register(&mut registry);
        Self { registry: Mutex::new(registry), requests, duration, systems, log_seq }
    }
}

impl Metrics {
    /// As Prometheus reads it.
    pub fn render(&self, ledger: &Ledger) -> Result<String, std::fmt::Error> {
        let mut out = String::new();
        // Two who look at once do so one after the other: what is told of systems is told anew each time.
        let registry = self.registry.lock();
        self.systems.take(ledger.figures(), ledger.clock().now());
        text::encode(&mut out, &registry)?;
        Ok(out)
    }
}

/// Anybody may make a method up: each would be a series for good.
pub(crate) fn method(method: &Method) -> &'static str {
    const STANDARD: [&str; 9] =
        ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE"];
    STANDARD.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}

#[expect(clippy::disallowed_methods, reason = "how long a request took is no decision about stock")]
pub(crate) async fn measure(State(app): State<App>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let method = method(request.method());
    let response = next.run(request).await;
    let labels = RequestLabels { method, route, status: response.status().as_u16() };
    app.metrics.requests.get_or_create(&labels).inc();
    let took = began.elapsed();
    app.metrics.duration.observe(took.as_secs_f64());
    let (status, took_us) = (labels.status, u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    tracing::debug!(target: "onhand::access", status, took_us, "answered");
    let seq = *app.handle.ledger().feed().borrow();
    app.metrics.log_seq.set(i64::try_from(seq).unwrap_or(i64::MAX));
    response
}
