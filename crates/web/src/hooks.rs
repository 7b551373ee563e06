//! `POST /hooks/{address}`: webhooks of connected systems. No API key is asked for: the address is secret, and whoever sends
//! signs as the system's channel says. What is verified is kept and answered at once; the system's worker reads after.

use axum::Json;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use onhand_channels::webhook::Delivery;
use onhand_engine::hooks::{Heard, hear, hook_of, own_secret, tenant_of};
use onhand_engine::systems::connection;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::blocking::blocking;
use crate::body;
use crate::error::Problem;
use crate::extract::Path;
use crate::refused;
use crate::request as asked;

/// The longest webhook: 1 MiB.
const LONGEST: usize = 1024 * 1024;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(receive)).layer(DefaultBodyLimit::max(LONGEST))
}

/// What became of a webhook.
#[derive(Debug, Serialize, ToSchema)]
struct HeardBody {
    /// `kept`: the system is read now; `copy`: it was heard before.
    result: &'static str,
}

/// Takes a webhook of a connected system: for systems, not for you. Its address is secret (`POST /v1/systems/{name}/webhook` makes it), and
/// it is signed as the system signs. What it says is a hint to read the system, and is not kept.
#[utoipa::path(post, path = "/hooks/{address}", tag = "webhooks", operation_id = "receive_webhook", security(()),
    params(("address" = String, Path)), request_body(content = Vec<u8>, content_type = "*/*"),
    responses((status = 202, body = HeardBody, description = "Kept."), (status = 200, body = HeardBody)))]
async fn receive(
    State(app): State<App>,
    Path(address): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let nobody =
        || Problem::new(StatusCode::NOT_FOUND, "not_found", "Nothing here", "no system has this address");
    let tenant = tenant_of(&address).ok_or_else(nobody)?;
    let ledger = app.handle.ledger().clone();
    let known = blocking(|| {
        ledger.read(tenant, |view| {
            let Some(hook) = hook_of(view, &address)? else { return Ok(None) };
            let name = view.system(hook.system)?.map(|system| system.name);
            let own = own_secret(view, ledger.seal(), hook.system)?;
            Ok(Some((connection(view, ledger.seal(), hook.system)?, own, hook, name)))
        })
    });
    let (connection, own, hook, name) = known.await?.ok_or_else(nobody)?;
    let (Some(connection), Some(name)) = (connection, name) else { return Err(nobody()) };
    let unavailable = |detail: String| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "Not now", detail).retry_after(60)
    };
    asked::is_of(tenant, &name);
    let connection = connection.map_err(|error| unavailable(error.to_string()))?;
    let own = own.transpose().map_err(|error| unavailable(error.to_string()))?;
    let channel = app.connector.connect(&name, &connection).map_err(|_| nobody())?;
    let scheme = channel.webhook().ok_or_else(nobody)?;
    let secret = match (own, channel.signing_secret()) {
        (Some(own), _) => own.reveal().to_owned(),
        (None, Some(secret)) => secret.to_owned(),
        (None, None) => hook.secret(&address),
    };
    let headers = request.headers().clone();
    let body = body::read(request).await?;
    let event = {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let delivery = Delivery { header: &header, body: &body };
        // What is wrong is told: whoever sends it knows the address. Nothing is kept, and the answer is counted.
        scheme.verify(&secret, &delivery, ledger.clock().now()).map_err(|why| {
            let now = ledger.clock().now();
            if let Some(times) = app.watched.refused.of_this_request(refused::Why::Signature, now) {
                tracing::warn!(%tenant, system = name, %why, times, "a webhook was refused");
            }
            Problem::unauthorised(&format!("{why}; nothing was kept"))
        })?;
        scheme.event(&delivery)
    };
    let heard = hear(&app.handle, tenant, hook.system, &event).await?;
    match heard {
        Heard::New => Ok((StatusCode::ACCEPTED, Json(HeardBody { result: "kept" })).into_response()),
        Heard::Copy => Ok((StatusCode::OK, Json(HeardBody { result: "copy" })).into_response()),
        Heard::Full => Err(unavailable("too many webhooks of this system wait; send it again".to_owned())),
    }
}
