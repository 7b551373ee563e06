//! Signing in by a provider of identities (OpenID Connect), such as a company's own: who it is set to, and who is let in by its word.
//!
//! Whoever comes is known by what the provider knows them by (issuer and subject), from the first time on; then by their address, where
//! the provider has verified that. What they may do is said here, never there.

mod provider;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use onhand_engine::View;
use onhand_engine::seal::{Seal, SealError};
use onhand_ledger::TenantId;
use onhand_store::{Note, StoreError};
use serde::{Deserialize, Serialize};

use crate::App;
use crate::auth;
use crate::blocking::blocking;
use crate::error::Problem;
use crate::role::Role;
use crate::users::{self, User};

pub(crate) use provider::{Asked, Described, Person, ProviderError};

/// The notes of providers: one, sealed.
const SPACE: &str = "sign_on";
const KEY: &str = "provider";
/// What was asked in the browser is sealed under this.
const ASKED: &str = "sign_on_asked";
/// It is waited so long for whoever is to sign in there, in seconds.
const WAITS: i64 = 600;

/// A provider, and who we are there.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Provider {
    /// Its address, as it calls itself.
    pub issuer: String,
    /// What it calls us.
    pub client_id: String,
    /// What proves that we are that. Never shown.
    pub client_secret: String,
    /// Where people reach this server: it leads back there.
    pub address: String,
    /// What somebody may do whom nobody here knows yet; none: they are not let in.
    pub newcomers: Option<Role>,
}

impl Provider {
    /// Where it leads back to. It has to know that address.
    pub fn comes_back_to(&self) -> String {
        format!("{}/sign-in/back", self.address.trim_end_matches('/'))
    }

    /// What people know it by.
    pub fn host(&self) -> &str {
        let rest = self.issuer.split_once("://").map_or(self.issuer.as_str(), |(_, rest)| rest);
        rest.split(['/', ':']).next().unwrap_or(rest)
    }

    /// As it is kept.
    pub fn note(&self, seal: &Seal, tenant: TenantId) -> Result<Note, SealError> {
        let plain = serde_json::to_vec(self).expect("a provider can always be written");
        let body = Some(seal.seal(tenant, SPACE, KEY, &plain)?);
        Ok(Note { space: SPACE.to_owned(), key: KEY.to_owned(), body })
    }

    /// Takes it away.
    pub fn gone() -> Note {
        Note { space: SPACE.to_owned(), key: KEY.to_owned(), body: None }
    }
}

/// The provider that is set, or why it does not open.
pub(crate) fn provider(
    view: &mut View<'_>,
    seal: &Seal,
) -> Result<Option<Result<Provider, SealError>>, StoreError> {
    let Some(body) = view.note(SPACE, KEY)? else { return Ok(None) };
    let opened = seal.open(view.tenant(), SPACE, KEY, &body);
    Ok(Some(opened.and_then(|plain| serde_json::from_slice(&plain).map_err(|_| SealError::Malformed))))
}

/// As [`provider`], of a tenant.
pub(crate) async fn provider_of(
    app: &App,
    tenant: TenantId,
) -> Result<Option<Result<Provider, SealError>>, Problem> {
    let ledger = app.handle.ledger();
    Ok(blocking(|| ledger.read(tenant, |view| provider(view, ledger.seal()))).await?)
}

/// What is kept in the browser while somebody signs in at the provider.
#[derive(Serialize, Deserialize)]
pub(crate) struct Waiting {
    tenant: u64,
    state: String,
    nonce: String,
    verifier: String,
    /// Where they wanted to go.
    pub next: String,
    /// In microseconds since 1970.
    until: i64,
}

fn random() -> Result<String, Problem> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| Problem::internal(&error.to_string()))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

impl Waiting {
    /// Somebody is about to be asked.
    pub fn new(tenant: TenantId, next: String, now: i64) -> Result<Self, Problem> {
        let (state, nonce, verifier) = (random()?, random()?, random()?);
        Ok(Self { tenant: tenant.0, state, nonce, verifier, next, until: now + WAITS * 1_000_000 })
    }

    pub fn tenant(&self) -> TenantId {
        TenantId(self.tenant)
    }

    pub fn asked(&self) -> Asked<'_> {
        Asked { state: &self.state, nonce: &self.nonce, verifier: &self.verifier }
    }

    /// As the browser keeps it: sealed, so that nobody reads or makes one.
    pub fn sealed(&self, seal: &Seal) -> Result<String, SealError> {
        let plain = serde_json::to_vec(self).expect("it can always be written");
        let sealed = seal.seal(TenantId::DEFAULT, ASKED, "", &plain)?;
        Ok(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// What the browser kept, if it is for this answer.
    pub fn opened(seal: &Seal, cookie: &str, state: &str, now: i64) -> Option<Self> {
        let sealed = String::from_utf8(URL_SAFE_NO_PAD.decode(cookie).ok()?).ok()?;
        let plain = seal.open(TenantId::DEFAULT, ASKED, "", &sealed).ok()?;
        let waiting: Self = serde_json::from_slice(&plain).ok()?;
        (waiting.until > now && provider::is_same(&waiting.state, state)).then_some(waiting)
    }
}

/// Who is let in by the provider's word, kept as who signed in; or what is wrong, in words for them.
pub(crate) async fn let_in(
    app: &App,
    tenant: TenantId,
    provider: &Provider,
    person: &Person,
) -> Result<Result<User, String>, Problem> {
    let _one_at_a_time = app.watched.tries.changing().await;
    let ledger = app.handle.ledger();
    let (all, keys) =
        blocking(|| ledger.read(tenant, |view| Ok((users::all(view)?, auth::shown(view)?)))).await?;
    let now = ledger.clock().now().micros();
    let known_as = (provider.issuer.clone(), person.subject.clone());
    let linked = all.iter().find(|user| user.known_as.as_ref() == Some(&known_as)).cloned();
    let host = provider.host();
    let mut user = match (linked, &person.email) {
        (Some(user), _) => user,
        (None, None) => {
            return Ok(Err(format!(
                "{host} has not verified an e-mail address of yours: it is known by that here."
            )));
        }
        (None, Some(email)) => {
            let folded = users::folded(email);
            match all.into_iter().find(|user| users::folded(&user.name) == folded) {
                Some(user)
                    if user.known_as.as_ref().is_some_and(|(issuer, _)| *issuer == provider.issuer) =>
                {
                    return Ok(Err(format!(
                        "{email} is somebody else's at {host} by now. An admin removes them here first."
                    )));
                }
                Some(user) => user,
                None => match provider.newcomers {
                    None => {
                        return Ok(Err(format!(
                            "Nobody here is called {email}. An admin adds you: `onhand user add {email}`."
                        )));
                    }
                    Some(role) => match newcomer(email, role, &keys, now) {
                        Ok(user) => user,
                        Err(wrong) => return Ok(Err(wrong)),
                    },
                },
            }
        }
    };
    if user.is_off {
        tracing::warn!(%tenant, user = user.name, by = "provider", "somebody who is put off tried to sign in");
        return Ok(Err("You may not sign in for now. An admin says when you may.".to_owned()));
    }
    user.known_as = Some(known_as);
    user.signed_in_at = Some(now);
    app.handle.submit_with(tenant, None, vec![user.note()]).await?;
    tracing::info!(%tenant, user = user.name, by = "provider", "somebody signed in");
    Ok(Ok(user))
}

fn newcomer(email: &str, role: Role, keys: &[auth::Shown], now: i64) -> Result<User, String> {
    if let Err(problem) = users::check_name(email) {
        return Err(format!("Your address cannot be a name here: it {problem}."));
    }
    if keys.iter().any(|key| users::folded(&key.record.name) == users::folded(email)) {
        return Err(format!("An API key is called {email}: an admin ends that first."));
    }
    // They come by the provider alone until an admin gives them a password.
    Ok(User::new(email, role, Vec::new(), now))
}
