//! Each request has an id: in its answer's header `Request-Id`, in problems, and in the log.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::{ConnectInfo, MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument as _;

const HEADER: HeaderName = HeaderName::from_static("request-id");

tokio::task_local! {
    static ID: String;
}

/// The id of the request that is being answered; none outside of one.
pub(crate) fn id() -> Option<String> {
    ID.try_with(Clone::clone).ok()
}

/// Ids are told apart by a number that is drawn when the process starts, and a count.
pub(crate) struct Ids {
    process: u32,
    next: AtomicU64,
}

impl Default for Ids {
    fn default() -> Self {
        let mut random = [0; 4];
        // Without randomness ids of two runs may be alike: no reason not to serve.
        let _ = getrandom::fill(&mut random);
        Self { process: u32::from_be_bytes(random), next: AtomicU64::new(1) }
    }
}

impl Ids {
    fn next(&self) -> String {
        format!("{:08x}-{:x}", self.process, self.next.fetch_add(1, Ordering::Relaxed))
    }
}

/// The address of a request as it may be told: that of a webhook is a secret.
pub(crate) fn path(request: &Request) -> &str {
    let path = request.uri().path();
    if !path.starts_with("/hooks/") {
        return path;
    }
    request.extensions().get::<MatchedPath>().map_or("/hooks/", MatchedPath::as_str)
}

/// Gives a request its id, and its log lines the address that it came from: that of a proxy, where one is before us.
pub(crate) async fn identify(ids: &Ids, request: Request, next: Next) -> Response {
    let id = ids.next();
    let client = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|from| from.0.ip());
    let client = client.map(tracing::field::display);
    let span = tracing::error_span!("request", id, method = %request.method(), path = path(&request), client);
    let header = HeaderValue::from_str(&id).ok();
    let mut response = ID.scope(id, next.run(request)).instrument(span).await;
    if let Some(header) = header {
        response.headers_mut().insert(HEADER, header);
    }
    response
}
