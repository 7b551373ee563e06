//! Webhooks of ours, by Standard Webhooks
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>): signed with HMAC-SHA256 over
//! id, time and body, once for each secret that counts, so that a receiver may change from one secret to the next at leisure.
//!
//! Here one is sent once; who calls decides what the answer means and tries again. Redirects are answers like others and not
//! followed. Private addresses are refused unless the installation allows them, judged at each attempt on the address that is
//! called (`reach`).

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use onhand_ledger::Instant;
use sha2::Sha256;

use crate::reach::{Access, LOOK_UP, allowed, chain, client, host_of, is_plain, look_up, reach};

/// Nobody waits longer for an answer: the specification recommends 15 to 30 seconds.
const LONGEST: Duration = Duration::from_secs(20);
/// So much of what somebody answers besides is read, and so many letters of it are kept.
const READ: usize = 2_048;
const KEPT: usize = 200;
/// What a secret begins with.
const MARK: &str = "whsec_";

/// A new secret, of bytes of the operating system: 24 to 64 are right.
pub fn new_secret(random: [u8; 32]) -> String {
    format!("{MARK}{}", BASE64.encode(random))
}

/// The signature of a webhook; none where the secret is none.
pub fn sign(secret: &str, id: &str, seconds: i64, body: &str) -> Option<String> {
    let key = BASE64.decode(secret.strip_prefix(MARK)?).ok()?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
    mac.update(format!("{id}.{seconds}.{body}").as_bytes());
    Some(format!("v1,{}", BASE64.encode(mac.finalize().into_bytes())))
}

/// A webhook that is to be sent.
pub struct Signed<'a> {
    /// Where to.
    pub url: &'a str,
    /// The same at each attempt.
    pub id: &'a str,
    /// When this attempt is made.
    pub at: Instant,
    /// The body: JSON.
    pub body: &'a str,
    /// What it is signed with, the newest first.
    pub secrets: &'a [&'a str],
}

impl fmt::Debug for Signed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signed").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What came of an attempt.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Answered {
    /// What was answered; none: nothing was.
    pub status: Option<u16>,
    /// How long to wait, in seconds, where it says so.
    pub retry_after: Option<u64>,
    /// The beginning of what it said besides, or why nothing was answered.
    pub said: String,
}

/// Who sends them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sender {
    /// Private addresses are called too.
    pub may_call_private: bool,
    /// Public addresses are called in clear too.
    pub may_be_plain: bool,
}

impl Sender {
    const fn access(self) -> Access {
        let Self { may_call_private, may_be_plain } = self;
        Access { may_call_private, allowed_by: "--webhook-private", may_be_plain }
    }

    /// Sends it, once.
    pub async fn send(self, webhook: &Signed<'_>) -> Answered {
        match self.try_to_send(webhook).await {
            Ok(answered) => answered,
            Err(said) => Answered { said, ..Answered::default() },
        }
    }

    async fn try_to_send(self, webhook: &Signed<'_>) -> Result<Answered, String> {
        let seconds = webhook.at.micros().div_euclid(1_000_000);
        let signatures: Vec<String> = webhook
            .secrets
            .iter()
            .filter_map(|secret| sign(secret, webhook.id, seconds, webhook.body))
            .collect();
        if signatures.is_empty() {
            return Err("it has no secret to sign with".to_owned());
        }
        let (host, port) = host_of(webhook.url)?;
        let found = reach(&host, port, is_plain(webhook.url), self.access(), LONGEST).await?;
        let request = client(&host, &found)?
            .post(webhook.url)
            .timeout(LONGEST)
            .header("content-type", "application/json")
            .header("webhook-id", webhook.id)
            .header("webhook-timestamp", seconds)
            .header("webhook-signature", signatures.join(" "))
            .body(webhook.body.to_owned());
        let mut answer = request.send().await.map_err(|error| chain(&error.without_url()))?;
        let status = answer.status();
        let told = answer.headers().get("retry-after").and_then(|told| told.to_str().ok());
        let retry_after = told.and_then(|told| seconds_to_wait(told, webhook.at));
        let mut said = Vec::new();
        while !status.is_success() && said.len() < READ {
            match answer.chunk().await {
                Ok(Some(more)) => said.extend_from_slice(&more),
                // What it says besides is not needed.
                Ok(None) | Err(_) => break,
            }
        }
        Ok(Answered { status: Some(status.as_u16()), retry_after, said: in_a_line(&said) })
    }

    /// Where an address leads to, as far as that is known now: an error says what would be right. A name that is not known now may be
    /// known later.
    pub async fn may_call(self, url: &str) -> Result<(), String> {
        let is_http = reqwest::Url::parse(url)
            .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if !is_http {
            return Err("an address that begins with https:// or http://".to_owned());
        }
        let (host, port) = host_of(url)?;
        let Ok(Ok(found)) = tokio::time::timeout(LOOK_UP, look_up(&host, port)).await else { return Ok(()) };
        allowed(&host, found, is_plain(url), self.access()).map(|_| ())
    }
}

/// The beginning of what was said, without what would draw on a terminal.
fn in_a_line(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let words = text.split(|letter: char| letter.is_whitespace() || letter.is_control());
    let line = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    line.chars().take(KEPT).collect()
}

/// `Retry-After`, in seconds or as a date (RFC 9110, 10.2.3).
fn seconds_to_wait(told: &str, now: Instant) -> Option<u64> {
    let told = told.trim();
    if let Ok(seconds) = told.parse() {
        return Some(seconds);
    }
    let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(told).ok()?;
    Some(u64::try_from(at.as_second() - now.micros().div_euclid(1_000_000)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::{Delivery, WebhookScheme};

    /// The figures are those of the specification's own libraries
    /// (<https://github.com/standard-webhooks/standard-webhooks/blob/main/libraries/javascript/src/webhook.test.ts>, "sign
    /// function works").
    #[test]
    fn the_known_answer() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let signed = sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signed.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
        assert_eq!(sign("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_1", 0, ""), None);
        assert_eq!(sign("whsec_?", "msg_1", 0, ""), None);
    }

    #[test]
    fn each_of_two_secrets_verifies_what_both_have_signed() {
        let (old, new, other) = (new_secret([1; 32]), new_secret([2; 32]), new_secret([3; 32]));
        let body = r#"{"type":"stock.changed"}"#;
        let signed = |secret: &str| sign(secret, "msg_1", 1_000, body).unwrap();
        let both = format!("{} {}", signed(&new), signed(&old));
        let verified = |secret: &str, signatures: &str, body: &str| {
            let header = |name: &str| match name {
                "webhook-id" => Some("msg_1"),
                "webhook-timestamp" => Some("1000"),
                "webhook-signature" => Some(signatures),
                _ => None,
            };
            let delivery = Delivery { header: &header, body: body.as_bytes() };
            WebhookScheme::StandardWebhooks.verify(secret, &delivery, Instant::from_micros(1_000_000_000))
        };
        assert_eq!(verified(&old, &both, body), Ok(()));
        assert_eq!(verified(&new, &both, body), Ok(()));
        assert!(verified(&other, &both, body).is_err());
        assert!(verified(&old, &signed(&new), body).is_err());
        assert!(verified(&new, &both, "{}").is_err());
    }

    #[test]
    fn how_long_to_wait_is_told_in_two_ways() {
        let now = Instant::parse("2026-11-29T10:00:00Z").unwrap();
        for (told, expected) in [
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("Sun, 29 Nov 2026 10:01:30 GMT", Some(90)),
            ("Sun, 29 Nov 2026 09:00:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
        ] {
            assert_eq!(seconds_to_wait(told, now), expected, "{told}");
        }
    }

    #[test]
    fn what_somebody_says_is_a_line() {
        assert_eq!(in_a_line(b"no\r\n\x1b[31m  stock \xff"), "no [31m stock \u{fffd}");
        assert_eq!(in_a_line(&[b'x'; 500]).len(), KEPT);
    }

    #[tokio::test]
    async fn a_private_address_is_not_called_whatever_was_said_before() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://localhost:{}/", listener.local_addr().unwrap().port());
        let secret = new_secret([1; 32]);
        let webhook =
            Signed { url: &url, id: "msg_1", at: Instant::from_micros(0), body: "{}", secrets: &[&secret] };
        let answered = Sender::default().send(&webhook).await;
        assert_eq!(answered.status, None);
        assert!(
            answered.said.contains("private") && answered.said.contains("--webhook-private"),
            "{answered:?}"
        );
        let nobody = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
        assert!(nobody.is_err(), "nobody has called");
        assert!(Sender::default().may_call(&url).await.unwrap_err().contains("private"));
        assert!(Sender { may_call_private: true, may_be_plain: false }.may_call(&url).await.is_ok());
        assert!(Sender::default().may_call("ftp://example.com").await.is_err());
    }
}
