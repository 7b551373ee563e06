//! Spans of requests, for traces. They are apart from those that log lines have: nobody makes them unless somebody listens
//! to this module's target, and the log does not. Named as OpenTelemetry has agreed:
//! <https://opentelemetry.io/docs/specs/semconv/http/http-spans/>.

use axum::extract::{MatchedPath, Request};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use onhand_ledger::TenantId;
use opentelemetry::propagation::Extractor;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::metrics;
use crate::request;

/// The span of a request: what was asked, by which tenant, what was answered, and at which `seq` it was done.
pub(crate) async fn trace(request: Request, next: Next) -> Response {
    let method = metrics::method(request.method());
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let span = tracing::info_span!(
        "request",
        otel.name = format!("{method} {route}").trim_end(),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method,
        http.route = route,
        http.response.status_code = Empty,
        url.path = request::path(&request),
        request_id = request::id(),
        tenant = Empty,
        seq = Empty,
    );
    if span.is_disabled() {
        return next.run(request).await;
    }
    let parent = opentelemetry::global::get_text_map_propagator(|propagator| {
        propagator.extract(&Headers(request.headers()))
    });
    // Without a layer for traces it belongs to nobody's trace.
    let _ = span.set_parent(parent);
    let response = next.run(request).instrument(span.clone()).await;
    let status = response.status();
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    let seq = response.headers().get("onhand-seq").and_then(|seq| seq.to_str().ok()?.parse::<u64>().ok());
    if let Some(seq) = seq {
        span.record("seq", seq);
    }
    response
}

/// It turned out whose request it is.
pub(crate) fn is_of(tenant: TenantId) {
    Span::current().record("tenant", tenant.0);
}

/// The time in which a command waits for its turn and becomes durable.
pub(crate) fn commit() -> Span {
    tracing::info_span!("commit")
}

/// The time in which the ledger is read.
pub(crate) fn read() -> Span {
    tracing::info_span!("read")
}

struct Headers<'r>(&'r HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(axum::http::HeaderName::as_str).collect()
    }
}
