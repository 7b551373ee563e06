//! Traces by OTLP over HTTP: <https://opentelemetry.io/docs/specs/otlp/#otlphttp>. Off unless a collector is named.
//!
//! Spans are gathered, and sent by a thread of the SDK's that waits for our HTTP client; a collector that is away loses us
//! spans, never a request.

use std::time::Duration;

use anyhow::Context as _;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tracing::Subscriber;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::registry::LookupSpan;

/// OpenTelemetry's own variables for the collector's address, for all signals and for traces:
/// <https://opentelemetry.io/docs/specs/otel/protocol/exporter/#endpoint-urls-for-otlphttp>.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
/// How long the last spans have to be sent.
const LAST: Duration = Duration::from_secs(5);

/// Has anybody named a collector, and not said that the SDK is disabled?
pub(crate) fn are_wanted(endpoint: Option<&str>) -> bool {
    let is_told = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let disabled = std::env::var("OTEL_SDK_DISABLED").is_ok_and(|value| value.eq_ignore_ascii_case("true"));
    !disabled && (endpoint.is_some() || ENDPOINTS.iter().any(|name| is_told(name)))
}

/// Traces that are being sent.
pub(crate) struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// To the collector at an address, or else where OpenTelemetry's variables say.
    pub fn begin(endpoint: Option<&str>, runtime: &tokio::runtime::Handle) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
        let sender = Sender { http, runtime: runtime.clone() };
        let mut exporter = SpanExporter::builder().with_http().with_http_client(sender);
        if let Some(endpoint) = endpoint {
            exporter = exporter.with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')));
        }
        let exporter = exporter.build().context("traces cannot be sent")?;
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let mut resource = Resource::builder().with_attribute(version);
        if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name("onhand");
        }
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource.build())
            .build();
        // Whoever calls us may have begun the trace: <https://www.w3.org/TR/trace-context/>.
        opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
        Ok(Self { provider })
    }

    /// Takes spans from `tracing`.
    pub fn layer<S: Subscriber + for<'span> LookupSpan<'span>>(&self) -> OpenTelemetryLayer<S, SdkTracer> {
        // Where in our source a span was made, and on which thread, helps nobody who runs it.
        let layer = tracing_opentelemetry::layer().with_tracer(self.provider.tracer("onhand"));
        layer.with_location(false).with_threads(false).with_tracked_inactivity(false)
    }

    /// Sends what is left.
    pub fn end(self) {
        if let Err(error) = self.provider.shutdown_with_timeout(LAST) {
            tracing::warn!(%error, "the last traces could not be sent");
        }
    }
}

/// Our HTTP client, driven by our runtime: the SDK's thread drives nothing.
#[derive(Debug)]
struct Sender {
    http: reqwest::Client,
    runtime: tokio::runtime::Handle,
}

#[async_trait::async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let http = self.http.clone();
        let sent = self.runtime.spawn(async move {
            let mut response = http.execute(request.try_into()?).await?;
            let headers = std::mem::take(response.headers_mut());
            let mut answer = Response::new(Bytes::new());
            *answer.status_mut() = response.status();
            *answer.headers_mut() = headers;
            *answer.body_mut() = response.bytes().await?;
            Ok(answer)
        });
        sent.await?
    }
}
