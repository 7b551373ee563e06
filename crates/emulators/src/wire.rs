//! What several of the stand-ins do alike.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Serialize;
use sha2::Sha256;

/// What can happen to a number of a shop.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// Set over the API.
    Set,
    /// Bought.
    Sale,
    /// Wanted no more, and on sale again.
    Restock,
    /// Changed in the shop's own admin.
    Edit,
}

/// What a text is signed with: HMAC-SHA256, in base64.
pub(crate) fn signature(key: &[u8], text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key will do");
    mac.update(text.as_bytes());
    BASE64.encode(mac.finalize().into_bytes())
}

/// A text in a page.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
