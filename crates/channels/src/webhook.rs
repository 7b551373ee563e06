//! Webhooks: how it is known that one is from whom it says. What one says is a hint: what happened is read from the system.
//!
//! Signatures are compared in constant time, over the body as it came.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use onhand_ledger::Instant;
use sha2::Sha256;

/// A webhook is from now if its time is not further away than this, in seconds (Standard Webhooks recommends five minutes:
/// <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>).
const TOLERANCE_SECONDS: i64 = 300;

/// How a signature is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    /// Base64 with its padding.
    Base64,
    /// Hexadecimal digits.
    Hex,
}

/// How a system's webhooks are verified.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WebhookScheme {
    /// HMAC-SHA256 of the body, in a header.
    HmacSha256 {
        /// The header that has the signature, in small letters.
        header: &'static str,
        /// How it is written there.
        encoding: Encoding,
        /// What it begins with, such as `sha256=`.
        prefix: &'static str,
        /// The header that has the event's id, where there is one.
        event: Option<&'static str>,
    },
    /// Standard Webhooks, version 1.
    StandardWebhooks,
    /// Whoever knows the address may send: that is all there is to know it by.
    SecretPath,
}

/// A webhook as it came.
pub struct Delivery<'a> {
    /// The value of a header by its name in small letters.
    pub header: &'a dyn Fn(&str) -> Option<&'a str>,
    /// The body, byte for byte.
    pub body: &'a [u8],
}

/// Why a webhook is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Rejected {
    /// A header is missing, or cannot be read.
    #[error("the header `{0}` is missing, or is not as it must be")]
    Header(&'static str),
    /// It was sent too long ago, or will be sent.
    #[error("it was not sent within 5 minutes of now")]
    NotNow,
    /// Another has signed it, or it was changed.
    #[error("its signature is not what this secret gives")]
    Signature,
}

impl WebhookScheme {
    /// Is this from who has the secret? `secret` is text as it was shown.
    pub fn verify(self, secret: &str, delivery: &Delivery<'_>, now: Instant) -> Result<(), Rejected> {
        match self {
            Self::SecretPath => Ok(()),
            Self::HmacSha256 { header, encoding, prefix, .. } => {
                let told = (delivery.header)(header).and_then(|value| value.trim().strip_prefix(prefix));
                let told = told.and_then(|text| decoded(encoding, text)).ok_or(Rejected::Header(header))?;
                must_be(secret.as_bytes(), &[delivery.body], &told)
            }
            Self::StandardWebhooks => {
                let header = |name: &'static str| (delivery.header)(name).ok_or(Rejected::Header(name));
                let (id, sent) = (header("webhook-id")?, header("webhook-timestamp")?);
                let at: i64 = sent.parse().map_err(|_| Rejected::Header("webhook-timestamp"))?;
                if (now.micros() / 1_000_000).abs_diff(at) > TOLERANCE_SECONDS.unsigned_abs() {
                    return Err(Rejected::NotNow);
                }
                let key = secret.strip_prefix("whsec_").and_then(|text| BASE64.decode(text).ok());
                let key = key.unwrap_or_else(|| secret.as_bytes().to_vec());
                let signed = [id.as_bytes(), b".", sent.as_bytes(), b".", delivery.body];
                // Several, while a secret is changed for another.
                let signatures = header("webhook-signature")?.split(' ').take(16);
                let versions = signatures.filter_map(|one| one.strip_prefix("v1,"));
                let told: Vec<_> = versions.filter_map(|text| decoded(Encoding::Base64, text)).collect();
                if told.is_empty() {
                    return Err(Rejected::Header("webhook-signature"));
                }
                let is_right = |told: &Vec<u8>| must_be(&key, &signed, told).is_ok();
                // All are looked at, whichever is right.
                let right = told.iter().filter(|told| is_right(told)).count();
                if right > 0 { Ok(()) } else { Err(Rejected::Signature) }
            }
        }
    }

    /// The id of the event, by which a copy is known; its content where it has none.
    pub fn event(self, delivery: &Delivery<'_>) -> String {
        let header = match self {
            Self::HmacSha256 { event, .. } => event,
            Self::StandardWebhooks => Some("webhook-id"),
            Self::SecretPath => None,
        };
        let told = header.and_then(|name| (delivery.header)(name));
        let is_plain =
            |text: &&str| (1..=100).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        match told.filter(is_plain) {
            Some(id) => id.to_owned(),
            None => blake3::hash(delivery.body).to_hex().to_string(),
        }
    }
}

/// Whether a signature is right, in a time that does not tell where it is wrong.
fn must_be(key: &[u8], parts: &[&[u8]], told: &[u8]) -> Result<(), Rejected> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|_| Rejected::Signature)?;
    for part in parts {
        mac.update(part);
    }
    mac.verify_slice(told).map_err(|_| Rejected::Signature)
}

fn decoded(encoding: Encoding, text: &str) -> Option<Vec<u8>> {
    match encoding {
        Encoding::Base64 => BASE64.decode(text).ok(),
        Encoding::Hex if text.len().is_multiple_of(2) && text.is_ascii() => {
            let pairs = (0..text.len()).step_by(2);
            pairs.map(|from| u8::from_str_radix(&text[from..from + 2], 16).ok()).collect()
        }
        Encoding::Hex => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"{\"order\":\"1044\"}";
    const HMAC: WebhookScheme = WebhookScheme::HmacSha256 {
        header: "x-signature",
        encoding: Encoding::Hex,
        prefix: "sha256=",
        event: Some("x-event"),
    };

    fn at(seconds: i64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    fn judged(
        scheme: WebhookScheme,
        secret: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        now: i64,
    ) -> Result<(), Rejected> {
        let header = |name: &str| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        scheme.verify(secret, &Delivery { header: &header, body }, at(now))
    }

    fn signature(key: &[u8], signed: &[u8]) -> Vec<u8> {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(signed);
        mac.finalize().into_bytes().to_vec()
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// RFC 4231, test case 2: the figures are not our own.
    #[test]
    fn the_known_answer() {
        let known = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hex(&signature(b"Jefe", b"what do ya want for nothing?")), known);
        let headers = [("x-signature", format!("sha256={known}"))];
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(judged(HMAC, "Jefe", &headers, b"what do ya want for nothing?", 0), Ok(()));
        assert_eq!(
            judged(HMAC, "Jeff", &headers, b"what do ya want for nothing?", 0),
            Err(Rejected::Signature)
        );
        assert_eq!(
            judged(HMAC, "Jefe", &headers, b"what do ya want for nothing!", 0),
            Err(Rejected::Signature)
        );
    }

    #[test]
    fn what_is_not_signed_as_it_must_be_is_rejected() {
        let right = hex(&signature(b"secret", BODY));
        let missing = Err(Rejected::Header("x-signature"));
        for (value, expected) in [
            (format!("sha256={right}"), Ok(())),
            (right.clone(), missing),
            (format!("sha256={}", &right[..62]), Err(Rejected::Signature)),
            (format!("sha256={}0", &right[..63]), Err(Rejected::Signature)),
            (format!("sha256={right}é"), missing),
            (String::new(), missing),
        ] {
            // The last digit may be 0 by chance: never of this body.
            assert_eq!(judged(HMAC, "secret", &[("x-signature", &value)], BODY, 0), expected, "{value}");
        }
        assert_eq!(judged(HMAC, "secret", &[], BODY, 0), missing);
        assert_eq!(judged(WebhookScheme::SecretPath, "secret", &[], BODY, 0), Ok(()));
    }

    #[test]
    fn standard_webhooks() {
        let key = [7; 32];
        let secret = format!("whsec_{}", BASE64.encode(key));
        let signed = |at: &str| {
            let content = [b"msg_1.", at.as_bytes(), b".", BODY].concat();
            format!("v1,{}", BASE64.encode(signature(&key, &content)))
        };
        let right = signed("1000");
        let several = format!("v1a,abc v1,AAAA {right}");
        let other = format!("v1,{}", BASE64.encode([0; 32]));
        for (sent, signatures, now, expected) in [
            ("1000", right.as_str(), 1_000, Ok(())),
            ("1000", right.as_str(), 1_300, Ok(())),
            ("1000", right.as_str(), 1_301, Err(Rejected::NotNow)),
            ("1000", right.as_str(), 699, Err(Rejected::NotNow)),
            ("1000", several.as_str(), 1_000, Ok(())),
            ("1001", right.as_str(), 1_001, Err(Rejected::Signature)),
            ("1000", other.as_str(), 1_000, Err(Rejected::Signature)),
            ("1000", "v2,AAAA", 1_000, Err(Rejected::Header("webhook-signature"))),
            ("soon", right.as_str(), 1_000, Err(Rejected::Header("webhook-timestamp"))),
        ] {
            let headers =
                [("webhook-id", "msg_1"), ("webhook-timestamp", sent), ("webhook-signature", signatures)];
            let found = judged(WebhookScheme::StandardWebhooks, &secret, &headers, BODY, now);
            assert_eq!(found, expected, "{sent} {signatures} {now}");
        }
    }

    #[test]
    fn an_event_is_known_by_its_id_or_its_content() {
        let header = |name: &str| (name == "x-event").then_some("e1");
        assert_eq!(HMAC.event(&Delivery { header: &header, body: BODY }), "e1");
        let odd = |name: &str| (name == "x-event").then_some("a b");
        let (none, id) = (|_: &str| None, blake3::hash(BODY).to_hex().to_string());
        assert_eq!(HMAC.event(&Delivery { header: &odd, body: BODY }), id);
        assert_eq!(WebhookScheme::SecretPath.event(&Delivery { header: &none, body: BODY }), id);
    }
}
