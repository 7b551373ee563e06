//! Sessions at the pages: what is kept of each, how long it lasts, which there are, and how they end.
//!
//! What is kept of a session never changes, and when it was last used is kept apart: whoever clicks while somebody ends the session
//! cannot bring it back. That time is written once in a while, not at each click; a session ends so much too early, and never too late.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use axum::http::{HeaderMap, header};
use onhand_engine::{SubmitError, View};
use onhand_ledger::{Instant, TenantId};
use onhand_store::{Note, StoreError};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::App;
use crate::error::Problem;
use crate::rate::Bucket;

/// The notes that sessions are kept in, by the hashes of their tokens.
const SPACE: &str = "session";
/// The notes of when they were last used, in microseconds since 1970.
const SEEN: &str = "session_seen";
/// A session lasts a working day, in seconds.
pub(crate) const LASTS: i64 = 12 * 3_600;
/// It is written down that a session is used once in this part of the time that it may be idle.
const PARTS: i64 = 60;
/// So many sessions are looked at at a time.
const PAGE: usize = 1_000;

/// How long sessions may be idle, and how often people may ask.
pub struct Sessions {
    idle_seconds: i64,
    rate: u32,
    buckets: Mutex<HashMap<(TenantId, String), Arc<Bucket>>>,
}

impl Default for Sessions {
    fn default() -> Self {
        Self::new(60, 100)
    }
}

impl Sessions {
    /// A session ends after so many minutes in which nobody used it; a person may ask so many times a second, 0 is any number.
    pub fn new(idle_minutes: u32, rate: u32) -> Self {
        Self { idle_seconds: i64::from(idle_minutes) * 60, rate, buckets: Mutex::default() }
    }

    /// In minutes.
    pub(crate) fn idle_minutes(&self) -> i64 {
        self.idle_seconds / 60
    }

    /// Refuses a person who asks too often, in however many sessions.
    pub(crate) fn take(&self, tenant: TenantId, name: &str) -> Result<(), Problem> {
        let Some(bucket) = self.bucket(tenant, name) else { return Ok(()) };
        bucket.take_of_person()
    }

    fn bucket(&self, tenant: TenantId, name: &str) -> Option<Arc<Bucket>> {
        let mut buckets = self.buckets.lock();
        if let Some(known) = buckets.get(&(tenant, name.to_owned())) {
            return Some(known.clone());
        }
        let made = Arc::new(Bucket::of(self.rate)?);
        // As many as there are people: nobody else has a session.
        Some(buckets.entry((tenant, name.to_owned())).or_insert(made).clone())
    }
}

/// A session as it is kept.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    #[serde(flatten)]
    pub by: By,
    /// Until when, in microseconds since 1970.
    pub until: i64,
    /// By what it was opened, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub browser: Option<String>,
    /// The address that it was opened from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// What it was opened with.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum By {
    /// A key, by its hash.
    Key {
        /// It.
        key: String,
    },
    /// A password.
    Person {
        /// Whose.
        user: String,
        /// When that was set, in microseconds since 1970.
        password_at: i64,
        /// It was no password but the word of a provider of identities.
        #[serde(default)]
        by_provider: bool,
    },
}

impl By {
    /// Is it the same key, or the same person who signs in as they did?
    fn is_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Key { key }, Self::Key { key: other }) => key == other,
            (Self::Person { user, password_at, .. }, Self::Person { user: other, password_at: at, .. }) => {
                user == other && password_at == at
            }
            _ => false,
        }
    }
}

impl Kept {
    /// A session that is opened now, by whom and from where.
    pub fn opened(by: By, now: Instant, headers: &HeaderMap, from: Option<IpAddr>) -> Self {
        let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
        Self {
            by,
            until: now.plus_seconds(LASTS).micros(),
            browser: agent.and_then(browser),
            from: from.map(|from| from.to_canonical().to_string()),
        }
    }

    /// In microseconds since 1970.
    pub fn opened_at(&self) -> i64 {
        self.until - LASTS * 1_000_000
    }

    /// As it is kept.
    pub fn note(&self, key: &str) -> Note {
        let body = serde_json::to_string(self).expect("a session can always be written");
        Note { space: SPACE.to_owned(), key: key.to_owned(), body: Some(body) }
    }
}

/// A session there is.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// The hash of its token.
    pub key: String,
    pub kept: Kept,
    /// When it was last used, in microseconds since 1970.
    pub seen_at: i64,
}

/// Why a session counts no more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Over {
    /// Nobody used it for too long.
    Idle,
    /// Its day is over.
    Day,
}

impl Session {
    /// Why it counts no more, where it does not.
    pub fn over(&self, sessions: &Sessions, now: Instant) -> Option<Over> {
        let idle_until = self.seen_at.saturating_add(sessions.idle_seconds * 1_000_000);
        match now.micros() {
            now if self.kept.until <= now => Some(Over::Day),
            now if idle_until <= now => Some(Over::Idle),
            _ => None,
        }
    }

    /// 16 digits: 64 bits of its hash.
    pub fn id(&self) -> &str {
        self.key.get(..16).unwrap_or(&self.key)
    }
}

/// A session by the hash of its token. What cannot be read is none.
pub(crate) fn found(view: &mut View<'_>, key: &str) -> Result<Option<Session>, StoreError> {
    let Some(body) = view.note(SPACE, key)? else { return Ok(None) };
    read(view, key, &body)
}

fn read(view: &mut View<'_>, key: &str, body: &str) -> Result<Option<Session>, StoreError> {
    let Ok(kept) = serde_json::from_str::<Kept>(body) else { return Ok(None) };
    let seen_at = view.note(SEEN, key)?.and_then(|seen| seen.parse().ok());
    let seen_at = seen_at.unwrap_or_else(|| kept.opened_at());
    Ok(Some(Session { key: key.to_owned(), kept, seen_at }))
}

/// The sessions that count now and that say so, the last used first.
fn all(
    view: &mut View<'_>,
    sessions: &Sessions,
    is_meant: impl Fn(&Kept) -> bool,
) -> Result<Vec<Session>, StoreError> {
    let (mut all, mut after) = (Vec::new(), None::<String>);
    loop {
        let part = view.notes(SPACE, after.as_deref(), PAGE)?;
        let Some((last, _)) = part.last() else { break };
        after = Some(last.clone());
        for (key, body) in part {
            all.extend(read(view, &key, &body)?.filter(|session| is_meant(&session.kept)));
        }
    }
    let now = view.now;
    all.retain(|session| session.over(sessions, now).is_none());
    all.sort_by_key(|session| std::cmp::Reverse(session.seen_at));
    Ok(all)
}

/// The sessions of whoever opened that one.
pub(crate) fn alike(view: &mut View<'_>, sessions: &Sessions, by: &By) -> Result<Vec<Session>, StoreError> {
    all(view, sessions, |kept| kept.by.is_of(by))
}

/// The sessions of a person, by their name in small letters, who set how they sign in at that time.
pub(crate) fn of_person(
    view: &mut View<'_>,
    sessions: &Sessions,
    (name, set_at): (&str, i64),
) -> Result<Vec<Session>, StoreError> {
    let by = By::Person { user: name.to_owned(), password_at: set_at, by_provider: false };
    alike(view, sessions, &by)
}

/// It is used now; written down once in a while.
pub(crate) async fn used(app: &App, tenant: TenantId, session: &Session) {
    let now = app.handle.ledger().clock().now().micros();
    if now - session.seen_at < app.sessions.idle_seconds * 1_000_000 / PARTS {
        return;
    }
    let seen = Note { space: SEEN.to_owned(), key: session.key.clone(), body: Some(now.to_string()) };
    if let Err(error) = app.handle.submit_with(tenant, None, vec![seen]).await {
        tracing::warn!(%error, "that a session is used cannot be kept: it may end too early");
    }
}

/// What forgets a session.
pub(crate) fn forgotten(key: &str) -> [Note; 2] {
    [SPACE, SEEN].map(|space| Note { space: space.to_owned(), key: key.to_owned(), body: None })
}

/// Ends sessions.
pub(crate) async fn end(app: &App, tenant: TenantId, sessions: &[Session]) -> Result<(), SubmitError> {
    if sessions.is_empty() {
        return Ok(());
    }
    let notes = sessions.iter().flat_map(|session| forgotten(&session.key)).collect();
    app.handle.submit_with(tenant, None, notes).await.map(|_| ())
}

/// Sessions whose day is over, to be forgotten: the first of them. One that is idle is kept until then, so that whoever comes back
/// learns what became of it.
pub(crate) fn ended(view: &mut View<'_>, now: Instant) -> Result<Vec<Note>, StoreError> {
    let mut gone = Vec::new();
    for (key, body) in view.notes(SPACE, None, 100)? {
        let is_over = serde_json::from_str::<Kept>(&body).map_or(true, |kept| kept.until <= now.micros());
        if is_over {
            gone.extend(forgotten(&key));
        }
    }
    // Of one that ended while somebody clicked: what is kept of no session.
    for (key, seen) in view.notes(SEEN, None, 100)? {
        let is_over =
            seen.parse::<i64>().map_or(true, |seen| seen.saturating_add(LASTS * 1_000_000) <= now.micros());
        if is_over && !gone.iter().any(|note| note.key == key) {
            gone.push(Note { space: SEEN.to_owned(), key, body: None });
        }
    }
    Ok(gone)
}

/// What a browser calls itself, in two words: `Firefox on Linux`. Most call themselves by the names of others too, which come after.
fn browser(agent: &str) -> Option<String> {
    const BROWSERS: [(&str, &str); 10] = [
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("SamsungBrowser/", "Samsung Internet"),
        ("FxiOS/", "Firefox"),
        ("Firefox/", "Firefox"),
        ("CriOS/", "Chrome"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
        ("Mozilla/", "a browser"),
    ];
    const SYSTEMS: [(&str, &str); 8] = [
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Android", "Android"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
        ("X11", "Unix"),
    ];
    let named = |names: &[(&str, &'static str)]| {
        names.iter().find(|(sign, _)| agent.contains(sign)).map(|(_, name)| *name)
    };
    match (named(&BROWSERS), named(&SYSTEMS)) {
        (Some(browser), Some(system)) => Some(format!("{browser} on {system}")),
        (browser, _) => browser.map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_called_by_its_name() {
        for (agent, name) in [
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
                Some("Firefox on Linux"),
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
                Some("Edge on Windows"),
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
                Some("Safari on iPhone"),
            ),
            (
                "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
                Some("Chrome on Android"),
            ),
            ("curl/8.5.0", Some("curl")),
            ("", None),
        ] {
            assert_eq!(browser(agent).as_deref(), name, "{agent}");
        }
    }

    #[test]
    fn a_session_ends_when_nobody_uses_it_and_when_its_day_is_over() {
        let (sessions, begun) = (Sessions::new(60, 0), Instant::from_micros(0));
        let by = By::Key { key: "k".to_owned() };
        let kept = Kept::opened(by, begun, &HeaderMap::new(), None);
        let used =
            |minutes: i64| Session { key: "s".to_owned(), kept: kept.clone(), seen_at: minutes * 60_000_000 };
        for (seen, now, over) in [
            (0, 59, None),
            (0, 60, Some(Over::Idle)),
            (30, 89, None),
            (30, 90, Some(Over::Idle)),
            (719, 719, None),
            (719, 720, Some(Over::Day)),
            (0, 720, Some(Over::Day)),
        ] {
            let session = used(seen);
            assert_eq!(session.over(&sessions, begun.plus_seconds(now * 60)), over, "{seen} {now}");
        }
    }
}
