//! Webhooks of connected systems, between the moment they are verified and the moment that what they hint at is read.
//!
//! A webhook is a hint: its system's worker reads at once what it would have read a little later. What it says is not used, so
//! nothing of a person is kept of it: only its event's id, until the reading is done that began after it came. Copies,
//! events out of order and old ones are read again and are nothing new.
//!
//! An address has a secret (`ohh_<tenant>_<secret>`) of which only a hash is kept. What signs is made of it and of a salt
//! that is kept: neither who sees the address nor who sees the database can sign. A system that makes the secret by itself (as
//! Shopify's apps have one, <https://shopify.dev/docs/apps/build/webhooks/subscribe/https>) gives it to us: it is kept sealed.

use onhand_ledger::{Instant, SystemId, TenantId};
use onhand_store::{Note, StoreError};
use serde::{Deserialize, Serialize};

use crate::queue::{Handle, SubmitError};
use crate::seal::{KeepError, Seal, SealError, Secret};
use crate::view::View;

/// The notes that addresses are kept in, by the hash of the whole address.
const HOOK: &str = "hook";
/// The notes that secrets are kept in which systems made by themselves, by system: sealed.
const OWN: &str = "hook_secret";
/// So many events of a system may wait for being read.
const WAITING_AT_MOST: usize = 2_000;

/// An address that a system sends its webhooks to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hook {
    /// Whose.
    pub system: SystemId,
    salt: [u8; 32],
}

/// A new address, shown once.
pub struct NewHook {
    /// The last part of the address.
    pub token: String,
    /// What signs.
    pub secret: String,
}

/// How a webhook was heard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heard {
    /// It is kept, and will be read.
    New,
    /// It was heard before, and is being read.
    Copy,
    /// Too many wait: let it be sent again.
    Full,
}

/// An event that waits for being read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Event {
    pub received_at: Instant,
}

pub(crate) fn events_space(system: SystemId) -> String {
    format!("hook_event:{system}")
}

fn hash(token: &str) -> String {
    // The secret has 160 random bits: a plain hash cannot be guessed back.
    blake3::hash(token.as_bytes()).to_hex().to_string()
}

/// Whose an address is, by the look of it.
pub fn tenant_of(token: &str) -> Option<TenantId> {
    let (tenant, secret) = token.strip_prefix("ohh_")?.split_once('_')?;
    let tenant = tenant.parse::<i64>().ok().filter(|tenant| *tenant > 0)?;
    (secret.len() == 40).then_some(TenantId(tenant.unsigned_abs()))
}

/// The address of that secret.
pub fn hook_of(view: &mut View<'_>, token: &str) -> Result<Option<Hook>, StoreError> {
    let Some(body) = view.note(HOOK, &hash(token))? else { return Ok(None) };
    let damaged = |error| StoreError::Damaged(format!("an address for webhooks cannot be read: {error}"));
    serde_json::from_str(&body).map(Some).map_err(damaged)
}

impl Hook {
    /// What signs what is sent to it.
    pub fn secret(&self, token: &str) -> String {
        let key = blake3::keyed_hash(&self.salt, token.as_bytes());
        // As Standard Webhooks writes secrets.
        format!("whsec_{}", base64(key.as_bytes()))
    }
}

/// What a system signs with by its own will, where it does; or why that does not open.
pub fn own_secret(
    view: &mut View<'_>,
    seal: &Seal,
    system: SystemId,
) -> Result<Option<Result<Secret, SealError>>, StoreError> {
    let key = system.to_string();
    let Some(sealed) = view.note(OWN, &key)? else { return Ok(None) };
    let plain = seal.open(view.tenant(), OWN, &key, &sealed);
    let text = plain.and_then(|plain| String::from_utf8(plain).map_err(|_| SealError::Malformed));
    Ok(Some(text.map(Secret::from)))
}

/// Keeps what a system signs with by its own will; none: it signs with what we make.
pub async fn keep_own_secret(
    handle: &Handle,
    tenant: TenantId,
    system: SystemId,
    secret: Option<&str>,
) -> Result<(), KeepError> {
    let key = system.to_string();
    let seal = handle.ledger().seal();
    let body = secret.map(|secret| seal.seal(tenant, OWN, &key, secret.as_bytes())).transpose()?;
    handle.submit_with(tenant, None, vec![Note { space: OWN.to_owned(), key, body }]).await?;
    Ok(())
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Gives a system a new address for its webhooks; those it had before end. `random` comes from the operating system.
pub async fn renew(
    handle: &Handle,
    tenant: TenantId,
    system: SystemId,
    random: ([u8; 20], [u8; 32]),
) -> Result<NewHook, SubmitError> {
    let (secret, salt) = random;
    let digits: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let token = format!("ohh_{tenant}_{digits}");
    let hook = Hook { system, salt };
    let before = handle.ledger().read(tenant, |view| hooks_of(view, system));
    let before = before.map_err(|error| SubmitError::Commit(error.into()))?;
    let ended = before.into_iter().map(|key| Note { space: HOOK.to_owned(), key, body: None });
    let body = serde_json::to_string(&hook).expect("an address can always be written");
    let made = Note { space: HOOK.to_owned(), key: hash(&token), body: Some(body) };
    handle.submit_with(tenant, None, ended.chain([made]).collect()).await?;
    Ok(NewHook { secret: hook.secret(&token), token })
}

/// Has a system an address for its webhooks?
pub fn has_address(view: &mut View<'_>, system: SystemId) -> Result<bool, StoreError> {
    Ok(!hooks_of(view, system)?.is_empty())
}

fn hooks_of(view: &mut View<'_>, system: SystemId) -> Result<Vec<String>, StoreError> {
    let all = view.notes(HOOK, None, usize::MAX >> 1)?;
    let is_of = |body: &str| serde_json::from_str::<Hook>(body).is_ok_and(|hook| hook.system == system);
    Ok(all.into_iter().filter(|(_, body)| is_of(body)).map(|(key, _)| key).collect())
}

/// Keeps an event that was verified, and wakes the system's worker. Durable once it is answered.
pub async fn hear(
    handle: &Handle,
    tenant: TenantId,
    system: SystemId,
    event: &str,
) -> Result<Heard, SubmitError> {
    let ledger = handle.ledger();
    let space = events_space(system);
    let known = ledger.read(tenant, |view| {
        if view.note(&space, event)?.is_some() {
            return Ok(Heard::Copy);
        }
        let waiting = view.notes(&space, None, WAITING_AT_MOST)?.len();
        Ok(if waiting < WAITING_AT_MOST { Heard::New } else { Heard::Full })
    });
    let heard = known.map_err(|error| SubmitError::Commit(error.into()))?;
    if heard == Heard::New {
        let event_body = Event { received_at: ledger.clock().now() };
        let body = serde_json::to_string(&event_body).expect("an event can always be written");
        let note = Note { space, key: event.to_owned(), body: Some(body) };
        handle.submit_with(tenant, None, vec![note]).await?;
    }
    if heard != Heard::Full {
        ledger.hint(tenant, system);
    }
    Ok(heard)
}
