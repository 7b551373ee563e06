//! What browsers are told with every answer: what it may load, what it is, and that it is kept nowhere
//! (<https://owasp.org/www-project-secure-headers/>).

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::Response;

use crate::pages;

/// What a page may load: its own style and pictures. No script of a page's own text runs, nobody frames it, and forms go to us.
pub(crate) const PAGE: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; script-src 'self'; connect-src 'self'; \
    form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
/// The documentation of the API writes styles into itself; whatever else it loads is ours too.
const VIEWER: &str = "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; script-src 'self'; \
    connect-src 'self'; font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
/// What is no page loads nothing, wherever somebody opens it.
const OTHER: &str = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'";
/// For a year a browser that came over TLS comes by it alone (<https://www.rfc-editor.org/rfc/rfc6797#section-6.1>).
const BY_TLS_ALONE: &str = "max-age=31536000; includeSubDomains";

/// Tells it with every answer.
pub(crate) async fn answer(request: Request, next: Next) -> Response {
    let is_viewer = request.uri().path().starts_with("/docs");
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let content = HeaderValue::from_static(content_security(headers, is_viewer));
    // Some pages need to load more, and say so themselves.
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(content);
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Some(kind) = with_charset(headers) {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    if !starts_with(headers, &header::CACHE_CONTROL, "public") {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

fn content_security(headers: &HeaderMap, is_viewer: bool) -> &'static str {
    match (is_viewer, starts_with(headers, &header::CONTENT_TYPE, "text/html")) {
        (true, _) => VIEWER,
        (false, true) => PAGE,
        (false, false) => OTHER,
    }
}

/// The kind of a text that does not say how its letters are written: all of ours are UTF-8.
fn with_charset(headers: &HeaderMap) -> Option<HeaderValue> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let is_bare = kind.starts_with("text/") && !kind.contains("charset=");
    is_bare.then(|| HeaderValue::from_str(&format!("{kind}; charset=utf-8")).ok()).flatten()
}

fn starts_with(headers: &HeaderMap, name: &HeaderName, beginning: &str) -> bool {
    headers.get(name).is_some_and(|value| value.as_bytes().starts_with(beginning.as_bytes()))
}

/// All routes where TLS is spoken by ourselves: whoever has come by it comes by it alone. This very machine is left out, for
/// others serve there too.
pub fn over_tls(router: Router) -> Router {
    router.layer(middleware::from_fn(by_tls_alone))
}

async fn by_tls_alone(request: Request, next: Next) -> Response {
    let is_told = !pages::is_this_machine(request.headers());
    let mut response = next.run(request).await;
    if is_told {
        let value = HeaderValue::from_static(BY_TLS_ALONE);
        response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, value);
    }
    response
}
