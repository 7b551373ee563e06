//! What a provider of identities says of who is there: found by its own description, asked over TLS, and verified.
//!
//! The code flow with PKCE and a nonce. Sources: OpenID Connect Core 1.0 (<https://openid.net/specs/openid-connect-core-1_0.html>, 3.1),
//! OpenID Connect Discovery 1.0 (<https://openid.net/specs/openid-connect-discovery-1_0.html>, 4.3), PKCE
//! (<https://www.rfc-editor.org/rfc/rfc7636>), the issuer in the answer (<https://www.rfc-editor.org/rfc/rfc9207>) and what is best current
//! practice (<https://www.rfc-editor.org/rfc/rfc9700>).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use reqwest::header::ACCEPT;
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use super::Provider;
use crate::pages::part;

/// It is waited so long for an answer.
const WAITS: Duration = Duration::from_secs(10);
/// An answer has so many bytes at most.
const LONGEST: usize = 1 << 20;
/// Both clocks may be so many seconds apart.
const LEEWAY: u64 = 60;
/// Signatures that anybody can check who has the provider's public keys. None that is made with a secret which we have too.
const ALGORITHMS: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// Why somebody cannot be signed in by it, in words for a person.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum ProviderError {
    /// Its address is none.
    #[error(
        "the issuer must be an address that begins with https:// (or http://127.0.0.1), such as https://login.example.com"
    )]
    Address,
    /// It did not answer.
    #[error("{0} cannot be asked: {1}")]
    Unreachable(String, String),
    /// It answered something else.
    #[error("{0} answered what nobody can use: {1}")]
    Malformed(String, String),
    /// It is another one than it should be.
    #[error("{told} says that it is the issuer `{says}`: set that one, letter by letter")]
    OtherIssuer {
        /// As it was set.
        told: String,
        /// What it says.
        says: String,
    },
    /// It refused.
    #[error("{0} refused: {1}")]
    Refused(String, String),
    /// What it says of who is there does not hold.
    #[error("what it says of who is there does not hold: {0}")]
    Unproven(&'static str),
}

/// What it says of itself.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Described {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// What is asked for in the browser, and kept until the answer comes.
pub(crate) struct Asked<'a> {
    pub state: &'a str,
    pub nonce: &'a str,
    pub verifier: &'a str,
}

/// Who is there, by its word.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Person {
    /// What it knows them by, for ever.
    pub subject: String,
    /// Their address, where it has verified that.
    pub email: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Claims {
    sub: String,
    #[serde(default)]
    nonce: Option<String>,
    #[serde(default)]
    azp: Option<String>,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    email_verified: Option<Verified>,
}

/// Some say it in words.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Verified {
    Truth(bool),
    Word(String),
}

impl Verified {
    fn is_so(&self) -> bool {
        match self {
            Self::Truth(is_so) => *is_so,
            Self::Word(word) => word == "true",
        }
    }
}

#[derive(Debug, Deserialize)]
struct Tokens {
    id_token: String,
}

/// What it says where it refuses (<https://www.rfc-editor.org/rfc/rfc6749#section-5.2>).
#[derive(Debug, Deserialize)]
struct Refusal {
    error: String,
    #[serde(default)]
    error_description: Option<String>,
}

/// Goes over TLS, but to this very machine.
fn address(text: &str) -> Result<Url, ProviderError> {
    let url = Url::parse(text).map_err(|_| ProviderError::Address)?;
    let is_here = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    let is_plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    if is_plain && (url.scheme() == "https" || (url.scheme() == "http" && is_here)) {
        Ok(url)
    } else {
        Err(ProviderError::Address)
    }
}

fn client() -> Result<Client, ProviderError> {
    let built = Client::builder().redirect(Policy::none()).timeout(WAITS).build();
    built.map_err(|error| ProviderError::Unreachable("the provider".to_owned(), error.to_string()))
}

/// Asks it; what it says, in so many bytes at most.
async fn asked<T: DeserializeOwned>(of: &str, request: RequestBuilder) -> Result<T, ProviderError> {
    let unreachable =
        |error: reqwest::Error| ProviderError::Unreachable(of.to_owned(), error.without_url().to_string());
    let mut response = request.header(ACCEPT, "application/json").send().await.map_err(unreachable)?;
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await.map_err(unreachable)? {
        body.extend_from_slice(&part);
        if body.len() > LONGEST {
            return Err(ProviderError::Malformed(of.to_owned(), "it is too long".to_owned()));
        }
    }
    let status = response.status();
    if status.is_success() {
        return serde_json::from_slice(&body)
            .map_err(|error| ProviderError::Malformed(of.to_owned(), error.to_string()));
    }
    Err(match serde_json::from_slice(&body) {
        Ok(Refusal { error, error_description }) => {
            ProviderError::Refused(of.to_owned(), error_description.unwrap_or(error))
        }
        Err(_) => ProviderError::Unreachable(of.to_owned(), format!("it answered {status}")),
    })
}

impl Described {
    /// What the provider of an issuer says of itself.
    pub async fn of(issuer: &str) -> Result<Self, ProviderError> {
        address(issuer)?;
        let at = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let described: Self = asked(issuer, client()?.get(&at)).await?;
        if described.issuer != issuer {
            return Err(ProviderError::OtherIssuer { told: issuer.to_owned(), says: described.issuer });
        }
        for endpoint in [&described.authorization_endpoint, &described.token_endpoint, &described.jwks_uri] {
            address(endpoint).map_err(|_| {
                ProviderError::Malformed(issuer.to_owned(), format!("`{endpoint}` is no safe address"))
            })?;
        }
        Ok(described)
    }

    /// Where the browser asks it who is there.
    pub fn leads_to(&self, provider: &Provider, asked: &Asked<'_>) -> Result<String, ProviderError> {
        let mut url = address(&self.authorization_endpoint)?;
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(asked.verifier.as_bytes()));
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &provider.client_id)
            .append_pair("redirect_uri", &provider.comes_back_to())
            .append_pair("scope", "openid email")
            .append_pair("state", asked.state)
            .append_pair("nonce", asked.nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        Ok(url.into())
    }

    /// Is the answer in the browser from this one, by what it says of itself?
    pub fn is_from(&self, issuer: Option<&str>) -> bool {
        match issuer {
            Some(issuer) => issuer == self.issuer,
            None => !self.authorization_response_iss_parameter_supported,
        }
    }

    /// Who is there, for the code that the browser brought.
    pub async fn person(
        &self,
        provider: &Provider,
        code: &str,
        asked_for: &Asked<'_>,
    ) -> Result<Person, ProviderError> {
        let client = client()?;
        let mut form = vec![
            ("grant_type", "authorization_code".to_owned()),
            ("code", code.to_owned()),
            ("redirect_uri", provider.comes_back_to()),
            ("code_verifier", asked_for.verifier.to_owned()),
        ];
        let mut request = client.post(&self.token_endpoint);
        let takes = self.token_endpoint_auth_methods_supported.as_deref();
        // Unless it says otherwise it takes Basic (Discovery 1.0, 3).
        if takes.is_none_or(|takes| takes.iter().any(|way| way == "client_secret_basic")) {
            // Each by itself in the form of forms (<https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1>).
            let pair = format!("{}:{}", part(&provider.client_id), part(&provider.client_secret));
            request = request.header("authorization", format!("Basic {}", STANDARD.encode(pair)));
        } else {
            form.push(("client_id", provider.client_id.clone()));
            form.push(("client_secret", provider.client_secret.clone()));
        }
        let Tokens { id_token } = asked(&self.issuer, request.form(&form)).await?;
        let keys: JwkSet = asked(&self.issuer, client.get(&self.jwks_uri)).await?;
        verified(&id_token, &keys, self, provider, asked_for)
    }
}

/// The key that a token says it is signed with.
fn key_of<'a>(keys: &'a JwkSet, id: Option<&str>) -> Option<&'a Jwk> {
    let signs = |key: &&Jwk| !matches!(key.common.public_key_use, Some(PublicKeyUse::Encryption));
    match id {
        Some(id) => keys.keys.iter().filter(signs).find(|key| key.common.key_id.as_deref() == Some(id)),
        // Without a name there must be one alone.
        None => match keys.keys.iter().filter(signs).collect::<Vec<_>>().as_slice() {
            [only] => Some(only),
            _ => None,
        },
    }
}

/// Who is there, by a token that this provider signed for us, now, and because we asked (Core 1.0, 3.1.3.7).
fn verified(
    token: &str,
    keys: &JwkSet,
    described: &Described,
    provider: &Provider,
    asked: &Asked<'_>,
) -> Result<Person, ProviderError> {
    use ProviderError::Unproven;
    let header = decode_header(token).map_err(|_| Unproven("it is no token"))?;
    if !ALGORITHMS.contains(&header.alg) {
        return Err(Unproven("it is signed in a way that proves nothing"));
    }
    let key = key_of(keys, header.kid.as_deref())
        .ok_or(Unproven("it is signed with a key that is not the provider's"))?;
    let key = DecodingKey::from_jwk(key).map_err(|_| Unproven("its key cannot be used"))?;
    let mut rules = Validation::new(header.alg);
    rules.leeway = LEEWAY;
    rules.validate_nbf = true;
    rules.set_audience(&[&provider.client_id]);
    rules.set_issuer(&[&described.issuer]);
    rules.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
    let claims = decode::<Claims>(token, &key, &rules).map_err(|error| {
        use jsonwebtoken::errors::ErrorKind;
        Unproven(match error.kind() {
            ErrorKind::ExpiredSignature | ErrorKind::ImmatureSignature => {
                "it is not of now; are both clocks right?"
            }
            ErrorKind::InvalidAudience => "it is for somebody else",
            ErrorKind::InvalidIssuer => "it is of another issuer",
            ErrorKind::InvalidSignature => "it is not signed by the provider",
            _ => "it is not as it must be",
        })
    })?;
    let Claims { sub, nonce, azp, email, email_verified } = claims.claims;
    if !nonce.is_some_and(|nonce| is_same(&nonce, asked.nonce)) {
        return Err(Unproven("nobody here asked for it"));
    }
    if azp.is_some_and(|azp| azp != provider.client_id) {
        return Err(Unproven("it is for somebody else"));
    }
    if sub.is_empty() || sub.len() > 255 {
        return Err(Unproven("it names nobody"));
    }
    let email = email.filter(|_| email_verified.is_some_and(|verified| verified.is_so()));
    Ok(Person { subject: sub, email })
}

/// Are both the same? However alike they are, it takes as long.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    blake3::hash(one.as_bytes()) == blake3::hash(other.as_bytes())
}
