//! Each request has an id: in its answer's header `Request-Id`, in problems, and in the log.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::{ConnectInfo, MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use onhand_ledger::TenantId;
use tracing::Instrument as _;

const HEADER: HeaderName = HeaderName::from_static("request-id");

tokio::task_local! {
    static ASKED: Asked;
}

/// The request that is being answered.
struct Asked {
    id: String,
    from: Option<IpAddr>,
    /// As far as that is known by now.
    whose: RefCell<Option<(TenantId, String)>>,
}

/// The id of the request that is being answered; none outside of one.
pub(crate) fn id() -> Option<String> {
    ASKED.try_with(|asked| asked.id.clone()).ok()
}

/// The address that it came from: that of a proxy, where one is before us.
pub(crate) fn from() -> Option<IpAddr> {
    ASKED.try_with(|asked| asked.from).ok().flatten()
}

/// Whose it is, where that is known by now.
pub(crate) fn whose() -> Option<(TenantId, String)> {
    ASKED.try_with(|asked| asked.whose.borrow().clone()).ok().flatten()
}

/// It turned out whose it is.
pub(crate) fn is_of(tenant: TenantId, name: &str) {
    let _ = ASKED.try_with(|asked| asked.whose.replace(Some((tenant, name.to_owned()))));
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
    let from = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|from| from.0.ip());
    let client = from.map(tracing::field::display);
    let span = tracing::error_span!("request", id, method = %request.method(), path = path(&request), client);
    let header = HeaderValue::from_str(&id).ok();
    let asked = Asked { id, from, whose: RefCell::default() };
    let mut response = ASKED.scope(asked, next.run(request)).instrument(span).await;
    if let Some(header) = header {
        response.headers_mut().insert(HEADER, header);
    }
    response
}
