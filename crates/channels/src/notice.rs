//! Word to people: by e-mail, to a webhook of theirs, or to a chat that takes what Slack takes.
//!
//! What is said is decided elsewhere. Here it is sent once, and an error says what went wrong: whoever calls tries again.
//!
//! Private addresses are refused unless the installation allows them (`reach`).

use std::fmt::{self, Write as _};
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message as Mail, Tokio1Executor};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::reach::{Access, LOOK_UP, allowed, chain, client, host_of, is_plain, look_up, reach};

/// Nobody waits longer for an answer.
const LONGEST: Duration = Duration::from_secs(15);
/// More lines than this are counted and not shown to people.
const MOST_LINES: usize = 50;

/// Where word goes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// By e-mail.
    Email(Mailer),
    /// To an address that takes JSON of ours ([`Notice`]).
    Webhook {
        /// The address, with whatever in it keeps it secret.
        url: String,
        /// Sent as `Authorization: Bearer …`; empty: nothing is.
        secret: String,
    },
    /// To an address that takes `{"text": …}`, as Slack's incoming webhooks do
    /// (<https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>).
    Slack {
        /// The address, which is the secret.
        url: String,
    },
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Email(_) => "Email(…)",
            Self::Webhook { .. } => "Webhook(…)",
            Self::Slack { .. } => "Slack(…)",
        })
    }
}

/// A server that takes mail, and whose mail it is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mailer {
    /// Its name.
    pub host: String,
    /// Its port: 465 is usual with [`Security::Tls`], 587 with [`Security::StartTls`].
    pub port: u16,
    /// How what is said is kept from others.
    pub security: Security,
    /// Who we are there; empty: nobody asks.
    pub username: String,
    /// The password.
    pub secret: String,
    /// From whom.
    pub from: String,
    /// To whom: one at least.
    pub to: Vec<String>,
}

/// How the way to a mail server is secured.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Security {
    /// From the first byte on (RFC 8314).
    Tls,
    /// Asked for, and required (RFC 3207).
    StartTls,
    /// Not at all: only to a server on the same machine or net.
    None,
}

impl Security {
    /// The port where a mail server takes mail so, unless it says another.
    pub const fn usual_port(self) -> u16 {
        match self {
            Self::Tls => 465,
            Self::StartTls => 587,
            Self::None => 25,
        }
    }
}

/// What is said.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Notice {
    /// The same when the same is said again: whoever got it before may leave it.
    pub id: String,
    /// In a line.
    pub title: String,
    /// Trouble by trouble.
    pub lines: Vec<Line>,
}

/// One trouble.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Line {
    /// The same when it comes and when it is over.
    pub key: String,
    /// Which kind of trouble, such as `low_stock`.
    pub kind: String,
    /// Is it over?
    pub over: bool,
    /// In words.
    pub sentence: String,
    /// Since when it lasts, RFC 3339.
    pub since: String,
}

impl Notice {
    /// Line by line, for people.
    fn text(&self) -> String {
        let mut text = String::new();
        for line in self.lines.iter().take(MOST_LINES) {
            let over = if line.over { "Over: " } else { "" };
            let _ = writeln!(text, "- {over}{} (since {})", line.sentence, line.since);
        }
        match self.lines.len().saturating_sub(MOST_LINES) {
            0 => text,
            more => text + &format!("and {more} more: `onhand alert troubles NAME` has all of them.\n"),
        }
    }
}

/// What of a way cannot be: a field, and what would be right.
pub fn check(way: &Way) -> Result<(), (&'static str, String)> {
    match way {
        Way::Email(mailer) => {
            if mailer.host.is_empty() {
                return Err((
                    "host",
                    "the name of a server that takes mail, such as smtp.example.com".to_owned(),
                ));
            }
            mailbox("from", &mailer.from)?;
            if mailer.to.is_empty() || mailer.to.len() > 20 {
                return Err(("to", "1 to 20 addresses".to_owned()));
            }
            mailer.to.iter().try_for_each(|to| mailbox("to", to).map(|_| ()))
        }
        Way::Webhook { url, .. } | Way::Slack { url } => match reqwest::Url::parse(url) {
            Ok(parsed) if matches!(parsed.scheme(), "http" | "https") && parsed.has_host() => Ok(()),
            _ => Err(("url", "an address that begins with https:// or http://".to_owned())),
        },
    }
}

fn mailbox(field: &'static str, address: &str) -> Result<Mailbox, (&'static str, String)> {
    address.parse().map_err(|error| {
        (field, format!("an address of e-mail such as stock@example.com; `{address}` is none ({error})"))
    })
}

impl Way {
    /// Is what is said that way readable on the way?
    fn is_plain(&self) -> bool {
        match self {
            Self::Email(mailer) => mailer.security == Security::None,
            Self::Webhook { url, .. } | Self::Slack { url } => is_plain(url),
        }
    }
}

/// Who tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Teller {
    /// Private addresses are called too.
    pub may_call_private: bool,
    /// Public addresses are called in clear too.
    pub may_be_plain: bool,
}

impl Teller {
    const fn access(self) -> Access {
        let Self { may_call_private, may_be_plain } = self;
        Access { may_call_private, allowed_by: "--alert-private", may_be_plain }
    }

    /// Says it, once. An error says what went wrong, and nothing secret.
    pub async fn tell(&self, way: &Way, notice: &Notice) -> Result<(), String> {
        match way {
            Way::Email(mailer) => self.mail(mailer, notice).await,
            Way::Webhook { url, secret } => {
                let body = serde_json::to_value(notice).map_err(|error| error.to_string())?;
                self.post(url, secret, &notice.id, &body).await
            }
            Way::Slack { url } => {
                let text = format!("*{}*\n{}", slack_text(&notice.title), slack_text(&notice.text()));
                self.post(url, "", &notice.id, &json!({ "text": text })).await
            }
        }
    }

    /// Where a way leads to, as far as that is known now: refused where it may not be called. A name that is not known now may be
    /// known later.
    pub async fn may_call(&self, way: &Way) -> Result<(), (&'static str, String)> {
        let (field, host, port) = match way {
            Way::Email(mailer) => ("host", mailer.host.clone(), mailer.port),
            Way::Webhook { url, .. } | Way::Slack { url } => {
                let (host, port) = host_of(url).map_err(|problem| ("url", problem))?;
                ("url", host, port)
            }
        };
        let Ok(Ok(found)) = tokio::time::timeout(LOOK_UP, look_up(&host, port)).await else { return Ok(()) };
        allowed(&host, found, way.is_plain(), self.access()).map(|_| ()).map_err(|problem| (field, problem))
    }

    async fn post(&self, url: &str, secret: &str, id: &str, body: &Value) -> Result<(), String> {
        let (host, port) = host_of(url)?;
        let found = reach(&host, port, is_plain(url), self.access(), LONGEST).await?;
        let client = client(&host, &found)?;
        let mut request = client.post(url).timeout(LONGEST).header("idempotency-key", id).json(body);
        if !secret.is_empty() {
            request = request.bearer_auth(secret);
        }
        let answer = request.send().await.map_err(|error| chain(&error.without_url()))?;
        let status = answer.status();
        // What it says besides may repeat what it was sent.
        if status.is_success() { Ok(()) } else { Err(format!("it answered {status}")) }
    }

    async fn mail(&self, mailer: &Mailer, notice: &Notice) -> Result<(), String> {
        let wrong = |(_, problem): (&str, String)| problem;
        let mut mail = Mail::builder()
            .message_id(Some(format!("<{}@onhand.invalid>", notice.id)))
            .from(mailbox("from", &mailer.from).map_err(wrong)?);
        for to in &mailer.to {
            mail = mail.to(mailbox("to", to).map_err(wrong)?);
        }
        let mail = mail.subject(&notice.title).body(notice.text()).map_err(|error| error.to_string())?;
        let is_plain = mailer.security == Security::None;
        let found = reach(&mailer.host, mailer.port, is_plain, self.access(), LONGEST).await?;
        let tls = || TlsParameters::new(mailer.host.clone()).map_err(|error| error.to_string());
        let tls = match mailer.security {
            Security::Tls => Tls::Wrapper(tls()?),
            Security::StartTls => Tls::Required(tls()?),
            Security::None => Tls::None,
        };
        let mut failed = String::new();
        for address in found {
            let mut server =
                AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(address.ip().to_string())
                    .port(address.port())
                    .tls(tls.clone())
                    .timeout(Some(LONGEST));
            if !mailer.username.is_empty() {
                server = server.credentials(Credentials::new(mailer.username.clone(), mailer.secret.clone()));
            }
            match server.build().send(mail.clone()).await {
                Ok(_) => return Ok(()),
                // It was reached, and does not want it: another address of it will not either.
                Err(error) if error.is_permanent() || error.is_transient() => return Err(chain(&error)),
                Err(error) => failed = chain(&error),
            }
        }
        Err(failed)
    }
}

/// These three have a meaning there (<https://docs.slack.dev/messaging/formatting-message-text#escaping>).
fn slack_text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mailer(from: &str, to: &[&str]) -> Way {
        Way::Email(Mailer {
            host: "smtp.example.com".to_owned(),
            port: 587,
            security: Security::StartTls,
            username: "stock".to_owned(),
            secret: "s3cret".to_owned(),
            from: from.to_owned(),
            to: to.iter().map(|to| (*to).to_owned()).collect(),
        })
    }

    #[test]
    fn what_cannot_be_is_named() {
        let url = |url: &str| Way::Slack { url: url.to_owned() };
        for (way, field) in [
            (mailer("Onhand <stock@example.com>", &["ops@example.com"]), None),
            (mailer("stock", &["ops@example.com"]), Some("from")),
            (mailer("stock@example.com", &[]), Some("to")),
            (mailer("stock@example.com", &["ops@example.com", "ops"]), Some("to")),
            (url("https://hooks.example.com/T1"), None),
            (url("ftp://example.com"), Some("url")),
            (url("example.com"), Some("url")),
        ] {
            assert_eq!(check(&way).err().map(|(field, _)| field), field, "{way:?}");
        }
        assert!(!format!("{:?}", mailer("stock@example.com", &[])).contains("s3cret"));
    }

    #[test]
    fn more_than_can_be_read_is_counted() {
        let line = |number: usize| Line {
            key: number.to_string(),
            kind: "low_stock".to_owned(),
            over: number == 0,
            sentence: format!("MUG-{number} is low."),
            since: "2026-11-28T10:00:00Z".to_owned(),
        };
        let notice = |count: usize| Notice {
            id: String::new(),
            title: String::new(),
            lines: (0..count).map(line).collect(),
        };
        let text = notice(53).text();
        assert!(text.starts_with("- Over: MUG-0 is low. (since 2026-11-28T10:00:00Z)\n"), "{text}");
        assert!(
            text.contains("MUG-49 ") && !text.contains("MUG-50 ") && text.contains("and 3 more"),
            "{text}"
        );
        assert_eq!(slack_text("<A & B>"), "&lt;A &amp; B&gt;");
    }
}
