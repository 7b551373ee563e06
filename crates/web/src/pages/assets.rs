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
const SCRIPTS: Option<Scripts> = include!(concat!(env!("OUT_DIR"), "/script.rs"));

/// What npm's packages and our own sources were bundled into.
#[derive(Clone, Copy)]
struct Scripts {
    /// Of every page.
    pages: &'static str,
    /// Reads barcodes in a camera's picture: a module that the floor's pages load when a camera is opened.
    camera: &'static str,
    /// What it reads them with, in WebAssembly.
    reader: &'static [u8],
}

static STYLE_NAME: LazyLock<String> = LazyLock::new(|| named("onhand", STYLE, "css"));
static ICON_NAME: LazyLock<String> = LazyLock::new(|| named("onhand", ICON, "svg"));

static SCRIPT_NAMES: LazyLock<Option<Camera>> = LazyLock::new(|| {
    SCRIPTS.map(|scripts| Camera {
        script: named("camera", scripts.camera, "js"),
        reader: named("reader", scripts.reader, "wasm"),
    })
});
static SCRIPT_NAME: LazyLock<Option<String>> =
    LazyLock::new(|| SCRIPTS.map(|scripts| named("onhand", scripts.pages, "js")));

fn named(name: &str, content: impl AsRef<[u8]>, kind: &str) -> String {
    let hash = blake3::hash(content.as_ref()).to_hex();
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

/// Where what reads a camera's picture is.
#[derive(Clone)]
pub(super) struct Camera {
    pub script: String,
    pub reader: String,
}

/// What reads a camera's picture, where it was built in.
pub(super) fn camera() -> Option<Camera> {
    let address = |name: &String| format!("/assets/{name}");
    let names = SCRIPT_NAMES.as_ref()?;
    Some(Camera { script: address(&names.script), reader: address(&names.reader) })
}

pub(super) fn routes() -> Router<App> {
    Router::new().route("/assets/{name}", get(asset))
}

/// The kind and the content of a name.
fn found(name: &str) -> Option<(&'static str, &'static [u8])> {
    if name == *STYLE_NAME {
        return Some(("text/css; charset=utf-8", STYLE.as_bytes()));
    }
    if name == *ICON_NAME {
        return Some(("image/svg+xml; charset=utf-8", ICON.as_bytes()));
    }
    let (scripts, names) = (SCRIPTS?, SCRIPT_NAMES.as_ref()?);
    let script = "text/javascript; charset=utf-8";
    let known = [
        (SCRIPT_NAME.as_ref()?, script, scripts.pages.as_bytes()),
        (&names.script, script, scripts.camera.as_bytes()),
        (&names.reader, "application/wasm", scripts.reader),
    ];
    known.into_iter().find(|(known, ..)| *known == name).map(|(_, kind, content)| (kind, content))
}

async fn asset(Path(name): Path<String>) -> Response {
    let Some((kind, content)) = found(&name) else { return StatusCode::NOT_FOUND.into_response() };
    let kept = "public, max-age=31536000, immutable";
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, kept)], content).into_response()
}
