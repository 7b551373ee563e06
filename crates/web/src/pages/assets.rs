//! Style, script and pictures, under names that change with what they are: a browser keeps them for ever.

use std::sync::LazyLock;

use axum::Router;
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use crate::App;

const STYLE: &str = include_str!("../../assets/onhand.css");
const ICON: &str = include_str!("../../assets/onhand.svg");
/// What moves on pages; none where it was built without npm (`build.rs`).
const SCRIPT: Option<&str> = include!(concat!(env!("OUT_DIR"), "/script.rs"));

static STYLE_NAME: LazyLock<String> = LazyLock::new(|| named("onhand", STYLE, "css"));
static ICON_NAME: LazyLock<String> = LazyLock::new(|| named("onhand", ICON, "svg"));

static SCRIPT_NAME: LazyLock<Option<String>> =
    LazyLock::new(|| SCRIPT.map(|script| named("onhand", script, "js")));

fn named(name: &str, content: &str, kind: &str) -> String {
    let hash = blake3::hash(content.as_bytes()).to_hex();
    format!("{name}-{}.{kind}", &hash[..12])
}

/// Where the style is.
pub(super) fn style() -> String {
    format!("/assets/{}", *STYLE_NAME)
}

/// Where the sign is.
pub(super) fn icon() -> String {
    format!("/assets/{}", *ICON_NAME)
}

/// Where the script is, if there is one.
pub(super) fn script() -> Option<String> {
    SCRIPT_NAME.as_ref().map(|name| format!("/assets/{name}"))
}

pub(super) fn routes() -> Router<App> {
    Router::new().route("/assets/{name}", get(asset))
}

async fn asset(Path(name): Path<String>) -> Response {
    let (kind, content) = if name == *STYLE_NAME {
        ("text/css; charset=utf-8", STYLE)
    } else if name == *ICON_NAME {
        ("image/svg+xml; charset=utf-8", ICON)
    } else if let Some(script) = SCRIPT.filter(|_| Some(&name) == SCRIPT_NAME.as_ref()) {
        ("text/javascript; charset=utf-8", script)
    } else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let kept = "public, max-age=31536000, immutable";
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, kept)], content).into_response()
}
