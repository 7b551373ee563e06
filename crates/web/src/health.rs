//! Is it alive, is it ready, how is it doing.

use std::fmt::Write as _;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::routing::get;
use onhand_ledger::TenantId;
use onhand_store::StoreError;

use crate::App;
use crate::blocking::blocking;
use crate::request;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
}

/// Ready when the database can be read and written. `?verbose` says what was looked at; why it cannot is in the log.
async fn ready(State(app): State<App>, RawQuery(query): RawQuery) -> (StatusCode, String) {
    // Asks the database itself: the state in memory would not notice that it cannot be read.
    let look = || app.handle.ledger().read(TenantId::DEFAULT, |view| Ok(view.head()?.seq));
    let reading = blocking(look).await.map(|seq| format!("seq {seq}")).map_err(|error| logged(&error));
    let looked_at = [("database", reading), ("writing", writing(&app).await.map(str::to_owned))];
    let mut text = String::new();
    for (name, found) in &looked_at {
        let _ = match found {
            Ok(state) => writeln!(text, "[+]{name} ok ({state})"),
            Err(error) => writeln!(text, "[-]{name} {error}"),
        };
    }
    let well = looked_at.iter().all(|(_, found)| found.is_ok());
    let (status, word) =
        if well { (StatusCode::OK, "ok\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready\n") };
    let verbose = query.is_some_and(|query| query.split('&').any(|part| part.starts_with("verbose")));
    (status, if verbose { text + word } else { word.to_owned() })
}

/// Could the last commit be written? If not, could one be now: nobody may send any while we are not ready.
async fn writing(app: &App) -> Result<&'static str, String> {
    if app.handle.ledger().trouble().is_none() {
        return Ok("the last commit was written");
    }
    let tried = blocking(|| app.handle.ledger().try_writing()).await;
    tried.map(|()| "it failed, and works again").map_err(|error| logged(&error))
}

/// Anybody may ask: what the database said is for whoever reads the log.
fn logged(error: &StoreError) -> String {
    tracing::error!(%error, "not ready");
    format!("failed: why is in the log, under the id {}", request::id().unwrap_or_default())
}

async fn metrics(State(app): State<App>) -> Result<([(&'static str, &'static str); 1], String), StatusCode> {
    let text = app.metrics.render(app.handle.ledger()).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(([("content-type", "application/openmetrics-text; version=1.0.0; charset=utf-8")], text))
}
