//! Is it alive, is it ready, how is it doing.

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::routing::get;
use onhand_ledger::TenantId;

use crate::App;
use crate::blocking::blocking;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
}

/// Ready when the database answers. `?verbose` says what was looked at.
async fn ready(State(app): State<App>, RawQuery(query): RawQuery) -> (StatusCode, String) {
    let look = || app.handle.ledger().read(TenantId::DEFAULT, |view| Ok(view.seq()));
    let database = blocking(look).await;
    let (status, line) = match &database {
        Ok(seq) => (StatusCode::OK, format!("[+]database ok (seq {seq})")),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("[-]database {error}")),
    };
    let verbose = query.is_some_and(|query| query.split('&').any(|part| part.starts_with("verbose")));
    let word = if status == StatusCode::OK { "ok" } else { "not ready" };
    (status, if verbose { format!("{line}\n{word}\n") } else { format!("{word}\n") })
}

async fn metrics(State(app): State<App>) -> Result<([(&'static str, &'static str); 1], String), StatusCode> {
    let text = app.metrics.render().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(([("content-type", "application/openmetrics-text; version=1.0.0; charset=utf-8")], text))
}
