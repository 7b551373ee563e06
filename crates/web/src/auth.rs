//! API keys: bearer tokens `ohk_<tenant>_<secret>`, kept only as hashes. A key carries its tenant.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use onhand_engine::{Handle, Ledger, SubmitError, View};
use onhand_ledger::{Body, Instant, TenantId};
use onhand_store::{Note, StoreError};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use crate::App;
use crate::blocking::blocking;
use crate::error::Problem;
use crate::rate::Bucket;
use crate::request;
use crate::role::Role;
use crate::trace;

/// The notes that keys are kept in.
pub const SPACE: &str = "api_key";

/// What a key may do beyond what every key may.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// Approve the differences of a counting session that are beyond its threshold.
    Approve,
    /// Rotate the keys that seal secrets.
    Secrets,
    /// Read and erase what is kept of people.
    People,
}

impl Right {
    /// Every right there is.
    pub const ALL: [Self; 3] = [Self::Approve, Self::Secrets, Self::People];

    /// Its name, as typed and told.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Secrets => "secrets",
            Self::People => "people",
        }
    }
}

impl std::str::FromStr for Right {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|right| right.name() == text).ok_or_else(|| {
            let names = Self::ALL.map(|right| format!("`{}`", right.name()));
            format!("`{text}` is no right; there are {}", names.join(", "))
        })
    }
}

/// What is kept of a key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KeyRecord {
    /// What people call it: shown in history as the actor.
    pub name: String,
    /// When it was made, in microseconds since 1970.
    pub created_at: i64,
    /// What it may do beyond what every key may.
    #[serde(default)]
    pub rights: Vec<Right>,
    /// How many requests a second it may send, 0 for any number; as many as is usual where it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
    /// What it may do at all. One that was made before there were roles may do what every key could.
    #[serde(default)]
    pub role: Role,
}

/// Who calls.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caller {
    /// Whose data.
    pub tenant: TenantId,
    /// The key's name.
    pub name: String,
    /// What it may do beyond what every key may.
    pub rights: Vec<Right>,
    /// How many requests a second its key says it may send; 0 is any number.
    pub rate: Option<u32>,
    /// What it may do at all.
    pub role: Role,
}

impl Caller {
    /// Refuses who does not have a right.
    pub(crate) fn must_have(&self, right: Right) -> Result<(), Problem> {
        if self.rights.contains(&right) {
            return Ok(());
        }
        let (name, right) = (&self.name, right.name());
        tracing::warn!(tenant = %self.tenant, caller = name, wanted = right, "somebody was refused: a right");
        let detail = format!(
            "the key `{name}` has not the right `{right}`; make one that has: `onhand key create --right {right}`"
        );
        Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", "This key may not do that", detail))
    }

    /// As [`Caller::must_have`], of a key that is to be ended.
    pub(crate) fn must_have_to_revoke(&self, right: Right) -> Result<(), Problem> {
        self.must_have(right).map_err(|mut problem| {
            let (name, right) = (&self.name, right.name());
            problem.detail = format!(
                "that key has the right `{right}`, which `{name}` has not: only a key that has it ends it"
            );
            problem
        })
    }

    /// Refuses a command that needs a right the caller does not have.
    pub(crate) fn may(&self, body: &Body) -> Result<(), Problem> {
        match body {
            Body::ApplySession(apply) if apply.approve == Some(true) => self.must_have(Right::Approve),
            Body::Noted(noted) => self.may(&noted.body),
            Body::Group(bodies) => bodies.iter().try_for_each(|body| self.may(body)),
            _ => Ok(()),
        }
    }
}

/// A key of which another node may have said meanwhile that it is none any more is looked up again, in microseconds.
const LOOK_AGAIN: i64 = 10_000_000;

/// A key that was seen.
struct Known {
    caller: Caller,
    bucket: Option<Bucket>,
    /// In microseconds since 1970.
    looked_up: AtomicI64,
}

/// Keys seen since the start.
#[derive(Default)]
pub struct Keys {
    seen: RwLock<HashMap<String, Arc<Known>>>,
    rate: u32,
}

impl Keys {
    /// Keys that may send so many requests a second where they do not say otherwise; 0 is any number.
    pub fn with_rate(rate: u32) -> Self {
        Self { rate, ..Self::default() }
    }

    /// How many requests a second a key may send that does not say; 0 is any number.
    pub(crate) fn rate(&self) -> u32 {
        self.rate
    }

    async fn known(&self, ledger: &Ledger, token: &str) -> Result<Option<Arc<Known>>, StoreError> {
        let Some(tenant) = tenant_of(token) else { return Ok(None) };
        self.known_by(ledger, tenant, hash(token)).await
    }

    async fn known_by(
        &self,
        ledger: &Ledger,
        tenant: TenantId,
        hash: String,
    ) -> Result<Option<Arc<Known>>, StoreError> {
        let now = ledger.clock().now().micros();
        if let Some(known) = self.seen.read().get(&hash)
            && now.abs_diff(known.looked_up.load(Ordering::Relaxed)) < LOOK_AGAIN.unsigned_abs()
        {
            return Ok(Some(known.clone()));
        }
        let look = || self.look_up(ledger, tenant, hash);
        blocking(look).await
    }

    /// Whose key it is, and by what it is found again.
    pub(crate) async fn of_token(
        &self,
        ledger: &Ledger,
        token: &str,
    ) -> Result<Option<(Caller, String)>, StoreError> {
        let known = self.known(ledger, token).await?;
        Ok(known.map(|known| (known.caller.clone(), hash(token))))
    }

    /// Whose key is found by that, as long as it is one; refused where it asks too often.
    pub(crate) async fn of_hash(
        &self,
        ledger: &Ledger,
        tenant: TenantId,
        hash: String,
    ) -> Result<Option<Caller>, Problem> {
        let Some(known) = self.known_by(ledger, tenant, hash).await? else { return Ok(None) };
        known.bucket.as_ref().map_or(Ok(()), |bucket| bucket.take(&known.caller.name))?;
        Ok(Some(known.caller.clone()))
    }

    fn look_up(
        &self,
        ledger: &Ledger,
        tenant: TenantId,
        hash: String,
    ) -> Result<Option<Arc<Known>>, StoreError> {
        let now = ledger.clock().now().micros();
        let Some(body) = ledger.read(tenant, |view| view.note(SPACE, &hash))? else {
            self.seen.write().remove(&hash);
            return Ok(None);
        };
        let record: KeyRecord = serde_json::from_str(&body)
            .map_err(|error| StoreError::Damaged(format!("an API key cannot be read: {error}")))?;
        let bucket = Bucket::of(record.rate.unwrap_or(self.rate));
        let KeyRecord { name, rights, rate, role, .. } = record;
        let caller = Caller { tenant, name, rights, rate, role };
        // Two that look at once have one bucket.
        let known = Arc::new(Known { caller, bucket, looked_up: AtomicI64::new(now) });
        let known = self.seen.write().entry(hash).or_insert(known).clone();
        known.looked_up.store(now, Ordering::Relaxed);
        Ok(Some(known))
    }
}

fn tenant_of(token: &str) -> Option<TenantId> {
    let (tenant, secret) = token.strip_prefix("ohk_")?.split_once('_')?;
    // A database's integers are signed, and no tenant is 0.
    let tenant = tenant.parse::<i64>().ok().filter(|tenant| *tenant > 0)?;
    (secret.len() == 40).then_some(TenantId(tenant.unsigned_abs()))
}

/// By what a key is found.
pub(crate) fn hash(token: &str) -> String {
    // The secret has 160 random bits: a plain hash cannot be guessed back.
    blake3::hash(token.as_bytes()).to_hex().to_string()
}

/// What people may call a key.
pub fn check_key_name(name: &str) -> Result<(), &'static str> {
    if (1..=100).contains(&name.chars().count()) && !name.chars().any(char::is_control) {
        Ok(())
    } else {
        Err("must have 1 to 100 characters, none of them a control character")
    }
}

/// What a key may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Grant<'a> {
    /// At all.
    pub role: Role,
    /// And beyond that.
    pub rights: &'a [Right],
    /// How many requests a second, 0 for any number; as many as is usual where it does not say.
    pub rate: Option<u32>,
}

/// A new key: the token, shown once, and the note to keep. `random` comes from the operating system.
pub fn new_key(
    tenant: TenantId,
    name: &str,
    Grant { role, rights, rate }: Grant<'_>,
    random: [u8; 20],
    now: Instant,
) -> (String, Note) {
    let secret: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let token = format!("ohk_{tenant}_{secret}");
    let (name, created_at) = (name.to_owned(), now.micros());
    let record = KeyRecord { name, created_at, rights: rights.to_vec(), rate, role };
    let body = serde_json::to_string(&record).expect("a key's record can always be written");
    let note = Note { space: SPACE.to_owned(), key: hash(&token), body: Some(body) };
    (token, note)
}

/// Makes a key that may do what every key may, and keeps it.
pub async fn create_key(handle: &Handle, tenant: TenantId, name: &str) -> Result<String, SubmitError> {
    create_key_with(handle, tenant, name, &[], None).await
}

/// A new key, which is none until its note is kept.
pub fn fresh_key(
    handle: &Handle,
    tenant: TenantId,
    name: &str,
    grant: Grant<'_>,
) -> Result<(String, Note), SubmitError> {
    let mut random = [0; 20];
    getrandom::fill(&mut random).map_err(|_| SubmitError::Stopping)?;
    Ok(new_key(tenant, name, grant, random, handle.ledger().clock().now()))
}

/// Makes a key of an admin with rights and perhaps a rate (requests a second, 0 for any number), and keeps it.
pub async fn create_key_with(
    handle: &Handle,
    tenant: TenantId,
    name: &str,
    rights: &[Right],
    rate: Option<u32>,
) -> Result<String, SubmitError> {
    create_key_as(handle, tenant, name, Grant { role: Role::Admin, rights, rate }).await
}

/// Makes a key, and keeps it.
pub async fn create_key_as(
    handle: &Handle,
    tenant: TenantId,
    name: &str,
    grant: Grant<'_>,
) -> Result<String, SubmitError> {
    let (token, note) = fresh_key(handle, tenant, name, grant)?;
    handle.submit_with(tenant, None, vec![note]).await?;
    Ok(token)
}

/// A key there is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Shown {
    hash: String,
    /// What is kept of it.
    pub record: KeyRecord,
}

impl Shown {
    /// 16 digits: 64 bits of its hash.
    pub fn id(&self) -> &str {
        self.hash.get(..16).unwrap_or(&self.hash)
    }
}

/// A tenant's keys, by when they were made.
pub(crate) fn shown(view: &mut View<'_>) -> Result<Vec<Shown>, StoreError> {
    let (mut all, mut after) = (Vec::new(), None::<String>);
    loop {
        let part = view.notes(SPACE, after.as_deref(), 1_000)?;
        let Some((last, _)) = part.last() else { break };
        after = Some(last.clone());
        for (hash, body) in part {
            let record = serde_json::from_str(&body)
                .map_err(|error| StoreError::Damaged(format!("an API key cannot be read: {error}")))?;
            all.push(Shown { hash, record });
        }
    }
    all.sort_by_key(|key: &Shown| key.record.created_at);
    Ok(all)
}

/// Ends a tenant's key.
pub(crate) async fn revoke(app: &App, tenant: TenantId, key: &Shown) -> Result<(), SubmitError> {
    let note = Note { space: SPACE.to_owned(), key: key.hash.clone(), body: None };
    app.handle.submit_with(tenant, None, vec![note]).await?;
    app.keys.seen.write().remove(&key.hash);
    Ok(())
}

fn token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

pub(crate) async fn require_key(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let unauthorised = |detail| Problem::unauthorised(detail).into_response();
    // Only code of this process can put a caller here: the command line working on its own database.
    if request.extensions().get::<Caller>().is_some() {
        return next.run(request).await;
    }
    let Some(token) = token(request.headers()) else {
        return unauthorised("send `Authorization: Bearer <key>`; make a key with `onhand key create`");
    };
    match app.keys.known(app.handle.ledger(), token).await {
        Ok(Some(known)) => {
            let caller = known.caller.clone();
            trace::is_of(caller.tenant);
            request::is_of(caller.tenant, &caller.name);
            if let Err(problem) = known.bucket.as_ref().map_or(Ok(()), |bucket| bucket.take(&caller.name)) {
                return problem.into_response();
            }
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Ok(None) => {
            tracing::warn!("a request with an API key that is none was refused");
            unauthorised("this key is not known; make one with `onhand key create`")
        }
        Err(error) => Problem::from(error).into_response(),
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Problem::unauthorised("send an API key"))
    }
}
