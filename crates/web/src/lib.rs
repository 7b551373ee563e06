//! The HTTP API and the pages: `/v1` with OpenAPI 3.1 at `/openapi.json` and readable documentation at `/docs`.
//!
//! Handlers parse, hand a command to the queue or read a view, and render the answer; they decide nothing.
//! The pages are under every other address (`pages`). Everything under `/v1` needs a bearer API key, which carries its tenant. Errors are RFC 9457 problem details.

pub mod auth;
mod blocking;
mod body;
mod decimal;
mod document;
mod endpoints;
mod error;
mod errors_page;
mod extract;
mod fair;
mod figures;
mod guard;
mod health;
mod hooks;
mod metrics;
mod pages;
mod rate;
mod refused;
mod request;
mod role;
mod seen;
mod sessions;
mod sign_on;
mod strict;
mod trace;
mod users;
mod v1;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware;
use axum::response::Response;
use axum::routing::get;
use onhand_channels::notice::Teller;
use onhand_channels::signed::Sender;
use onhand_engine::Handle;
use onhand_engine::systems::Connector;
use tokio::sync::Notify;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::{Modify as _, OpenApi as _};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::{Config, SwaggerUi};

pub use decimal::Decimal;
pub use error::{Cause, Problem};
pub use fair::Fair;
pub use guard::over_tls;
pub use metrics::Metrics;
pub use pages::Watched;
pub use role::Role;
pub use sessions::Sessions;
pub use v1::admin::VerifyBody;
pub use v1::commands::commands_of;

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
    /// What each tenant can have under way.
    pub fair: Arc<Fair>,
    /// Figures of this process.
    pub metrics: Arc<Metrics>,
    /// Tells people of troubles.
    pub teller: Teller,
    /// Sends webhooks to whoever subscribed.
    pub sender: Sender,
    /// What is open of tenants whose pages somebody looks at.
    pub watched: Arc<Watched>,
    /// How long whoever is signed in stays so, and how often they may ask.
    pub sessions: Arc<Sessions>,
}

/// All routes.
pub fn router(app: App) -> Router {
    let (api, mut document) = OpenApiRouter::with_openapi(document::Document::openapi())
        .nest("/v1", v1::routes())
        .split_for_parts();
    let (hooks, hooks_document) = hooks::routes().split_for_parts();
    document.merge(hooks_document);
    document::Completed.modify(&mut document);
    let guarded = api
        .layer(middleware::from_fn(seen::name))
        .layer(middleware::from_fn(role::require))
        .layer(middleware::from_fn_with_state(app.clone(), auth::require_key))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(middleware::map_response(close_where_body_is_left));
    // Otherwise the viewer would send the document to a validator on the internet.
    let viewer = SwaggerUi::new("/docs").config(Config::default().validator_url("none"));
    let ids = Arc::new(request::Ids::default());
    Router::new()
        .merge(guarded)
        .merge(viewer.url("/openapi.json", document))
        .merge(health::routes())
        .merge(hooks)
        .merge(pages::routes())
        .fallback(error::not_found)
        .method_not_allowed_fallback(error::method_not_allowed)
        .route("/docs/errors", get(errors_page::page))
        .layer(CatchPanicLayer::custom(error::panicked))
        .layer(middleware::from_fn(guard::answer))
        .layer(middleware::from_fn_with_state(app.clone(), refused::tell))
        .layer(middleware::from_fn_with_state(app.clone(), metrics::measure))
        .layer(middleware::from_fn(trace::trace))
        .layer(middleware::from_fn(move |request, next| {
            let ids = ids.clone();
            async move { request::identify(&ids, request, next).await }
        }))
        .with_state(app)
}

/// What is left of a body that is too large or too slow is never read, so that its connection can carry nothing after
/// it: the client is told, lest it send its next request there.
async fn close_where_body_is_left(mut response: Response) -> Response {
    if matches!(response.status(), StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT) {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
