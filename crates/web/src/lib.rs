//! The HTTP API: `/v1` with OpenAPI 3.1 at `/openapi.json` and readable documentation at `/docs`.
//!
//! Handlers parse, hand a command to the queue or read a view, and render the answer; they decide nothing.
//! Everything under `/v1` needs a bearer API key, which carries its tenant. Errors are RFC 9457 problem details.

pub mod auth;
mod decimal;
mod error;
mod errors_page;
mod health;
mod metrics;
mod request;
mod v1;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware;
use axum::response::Response;
use axum::routing::get;
use onhand_engine::Handle;
use onhand_engine::systems::Connector;
use tokio::sync::Notify;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::SwaggerUi;

pub use decimal::Decimal;
pub use error::Problem;
pub use metrics::Metrics;
pub use v1::admin::VerifyBody;

/// The longest body of a request: 8 MiB.
const BODY_LIMIT: usize = 8 * 1024 * 1024;

/// What every handler has.
#[derive(Clone)]
pub struct App {
    /// Where commands go, and the ledger to read.
    pub handle: Handle,
    /// Known API keys.
    pub keys: Arc<auth::Keys>,
    /// Speaks with outside systems.
    pub connector: Arc<dyn Connector>,
    /// Told when systems were added or changed, so that their workers start.
    pub systems_changed: Arc<Notify>,
    /// Told when somebody asks for a system to be read in full now.
    pub metrics: Arc<Metrics>,
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Onhand",
        description = "Master of Inventory: exact stock of every item at every location, and every system kept equal to it.\n\n\
            Authenticate with `Authorization: Bearer <key>` (make one with `onhand key create`). Requests that change \
            something take an `Idempotency-Key` header (1 to 255 characters): the same key and body give the same \
            answer and no second effect; the header `Idempotent-Replayed: true` says so. Quantities are exact decimals: \
            send them as JSON numbers or strings with at most as many decimals as the item has.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    security(("key" = [])),
    modifiers(&Security)
)]
struct Document;

struct Security;

impl utoipa::Modify for Security {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
        let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        openapi.components.get_or_insert_default().add_security_scheme("key", scheme);
    }
}

/// All routes.
pub fn router(app: App) -> Router {
    let (api, document) =
        OpenApiRouter::with_openapi(Document::openapi()).nest("/v1", v1::routes()).split_for_parts();
    let guarded = api
        .layer(middleware::from_fn_with_state(app.clone(), auth::require_key))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(middleware::map_response(close_after_too_large));
    let ids = Arc::new(request::Ids::default());
    Router::new()
        .merge(guarded)
        .merge(SwaggerUi::new("/docs").url("/openapi.json", document))
        .merge(health::routes())
        .fallback(error::not_found)
        .method_not_allowed_fallback(error::method_not_allowed)
        .route("/docs/errors", get(errors_page::page))
        .layer(CatchPanicLayer::custom(error::panicked))
        .layer(middleware::from_fn_with_state(app.clone(), metrics::measure))
        .layer(middleware::from_fn(move |request, next| {
            let ids = ids.clone();
            async move { request::identify(&ids, request, next).await }
        }))
        .with_state(app)
}

/// What is left of a body that is too large is never read, so that its connection can carry nothing after it: the
/// client is told, lest it send its next request there.
async fn close_after_too_large(mut response: Response) -> Response {
    if response.status() == StatusCode::PAYLOAD_TOO_LARGE {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
