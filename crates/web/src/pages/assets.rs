//! Style, script and pictures, under names that change with what they are: a browser keeps them for ever.

use std::io::Write as _;
use std::sync::{LazyLock, OnceLock};

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use flate2::Compression;
use flate2::write::GzEncoder;

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

/// What is at an address.
struct Asset {
    name: &'static str,
    kind: &'static str,
    content: &'static [u8],
    /// The same in less, made when it is first asked for.
    packed: OnceLock<Vec<u8>>,
}

static ALL: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    let asset = |name, kind, content| Asset { name, kind, content, packed: OnceLock::new() };
    let mut all = vec![
        asset(STYLE_NAME.as_str(), "text/css; charset=utf-8", STYLE.as_bytes()),
        asset(ICON_NAME.as_str(), "image/svg+xml; charset=utf-8", ICON.as_bytes()),
    ];
    if let (Some(scripts), Some(name), Some(camera)) = (SCRIPTS, &*SCRIPT_NAME, &*SCRIPT_NAMES) {
        let script = "text/javascript; charset=utf-8";
        all.push(asset(name, script, scripts.pages.as_bytes()));
        all.push(asset(&camera.script, script, scripts.camera.as_bytes()));
        all.push(asset(&camera.reader, "application/wasm", scripts.reader));
    }
    all
});

impl Asset {
    fn packed(&self) -> &[u8] {
        self.packed.get_or_init(|| {
            let mut into = GzEncoder::new(Vec::new(), Compression::best());
            let packed = into.write_all(self.content).and_then(|()| into.finish());
            packed.unwrap_or_default()
        })
    }
}

/// Does a browser take `gzip`? <https://www.rfc-editor.org/rfc/rfc9110#name-accept-encoding>
fn takes_gzip(headers: &HeaderMap) -> bool {
    let taken = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    taken.flat_map(|value| value.split(',')).any(|one| {
        let (coding, weight) = one.split_once(';').unwrap_or((one, ""));
        let is_refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0));
        coding.trim().eq_ignore_ascii_case("gzip") && !is_refused
    })
}

async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let Some(asset) = ALL.iter().find(|asset| asset.name == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let kept = "public, max-age=31536000, immutable";
    let about = [
        (header::CONTENT_TYPE, asset.kind),
        (header::CACHE_CONTROL, kept),
        (header::VARY, "accept-encoding"),
    ];
    // Pages themselves go as they are: what somebody typed and what is secret do not go compressed together.
    if takes_gzip(&headers) && !asset.packed().is_empty() {
        return (about, [(header::CONTENT_ENCODING, "gzip")], asset.packed()).into_response();
    }
    (about, asset.content).into_response()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use axum::http::HeaderValue;
    use flate2::read::GzDecoder;

    use super::*;

    fn taking(encodings: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_str(encodings).unwrap())])
    }

    #[test]
    fn who_takes_gzip_says_so() {
        for (told, takes) in [
            ("gzip", true),
            ("br, GZIP;q=0.5", true),
            ("deflate,gzip", true),
            ("gzip;q=0", false),
            ("gzip;q=0.0, br", false),
            ("br", false),
            ("", false),
        ] {
            assert_eq!(takes_gzip(&taking(told)), takes, "{told}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[tokio::test]
    async fn what_goes_compressed_is_the_same_in_less() {
        let style = || Path(STYLE_NAME.clone());
        let answer = asset(style(), taking("gzip")).await;
        assert_eq!(answer.headers()[header::CONTENT_ENCODING], "gzip");
        let packed = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        let mut text = String::new();
        GzDecoder::new(&packed[..]).read_to_string(&mut text).unwrap();
        assert!(text == STYLE && packed.len() < STYLE.len() / 2);
        let plain = asset(style(), HeaderMap::new()).await;
        assert!(!plain.headers().contains_key(header::CONTENT_ENCODING));
        assert_eq!(plain.headers()[header::VARY], "accept-encoding");
    }
}
