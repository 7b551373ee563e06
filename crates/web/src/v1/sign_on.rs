//! Signing in by a provider of identities: which it is.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ask::{Ask, read};
use super::unsealed;
use crate::App;
use crate::auth::Caller;
use crate::body::only_objects;
use crate::error::Problem;
use crate::role::Role;
use crate::sign_on::{Described, Provider, ProviderError, provider, provider_of};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(show, set)).routes(routes!(forget))
}

/// A provider of identities that speaks OpenID Connect, such as a company's own, and who we are there.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct ProviderInput {
    /// What it calls itself, letter by letter, such as `https://login.example.com/realms/shop`.
    issuer: String,
    /// What it calls us.
    client_id: String,
    /// What proves that we are that; the one that is kept unless told. Kept sealed, and never answered.
    client_secret: Option<String>,
    /// Where people reach this server, such as `https://stock.example.com`.
    address: String,
    /// What somebody may do whom nobody here knows yet; unless told they are not let in.
    newcomers: Option<Role>,
}

/// The provider that is set.
#[derive(Debug, Serialize, ToSchema)]
struct ProviderBody {
    /// None: nobody signs in that way.
    issuer: Option<String>,
    client_id: Option<String>,
    /// Where the provider leads people back to: it has to know this address.
    comes_back_to: Option<String>,
    newcomers: Option<Role>,
}

impl ProviderBody {
    fn of(provider: Option<Provider>) -> Self {
        let comes_back_to = provider.as_ref().map(Provider::comes_back_to);
        let newcomers = provider.as_ref().and_then(|provider| provider.newcomers);
        let (issuer, client_id) = provider.map(|known| (known.issuer, known.client_id)).unzip();
        Self { issuer, client_id, comes_back_to, newcomers }
    }
}

/// The provider of identities by which people sign in, if one is set.
#[utoipa::path(get, path = "/sign-on", tag = "admin", operation_id = "show_sign_on",
    responses((status = 200, body = ProviderBody)))]
async fn show(State(app): State<App>, caller: Caller) -> Result<Json<ProviderBody>, Problem> {
    let ledger = app.handle.ledger().clone();
    let known = read(&app, &caller, |view| provider(view, ledger.seal())).await?;
    Ok(Json(ProviderBody::of(known.transpose().map_err(|error| unsealed(&error))?)))
}

/// Has people sign in by a provider of identities too. It is asked what it says of itself first; nothing is kept where it cannot be.
#[utoipa::path(post, path = "/sign-on", tag = "admin", operation_id = "set_sign_on", request_body = ProviderInput,
    responses((status = 200, body = ProviderBody)))]
async fn set(State(app): State<App>, ask: Ask<ProviderInput>) -> Result<Json<ProviderBody>, Problem> {
    let (caller, ProviderInput { issuer, client_id, client_secret, address, newcomers }) =
        (&ask.caller, &ask.body);
    let before = provider_of(&app, caller.tenant).await?.and_then(Result::ok);
    let before = before.filter(|before| before.issuer == *issuer && before.client_id == *client_id);
    let secret = client_secret.clone().or_else(|| before.map(|before| before.client_secret));
    let secret = secret.filter(|secret| !secret.is_empty());
    let client_secret = secret.ok_or_else(|| {
        Problem::of_field(
            "client_secret",
            "client_secret is missing: what the provider gave you for this client",
        )
    })?;
    for (field, text) in [("client_id", client_id), ("client_secret", &client_secret)] {
        if text.is_empty() || text.len() > 1_000 || text.chars().any(char::is_control) {
            return Err(Problem::of_field(
                field,
                format!("{field} must have 1 to 1,000 characters, none of control"),
            ));
        }
    }
    let is_here = |address: &str| {
        ["http://127.0.0.1", "http://localhost", "http://[::1]"].iter().any(|here| address.starts_with(here))
    };
    let is_plain = address.len() <= 1_000
        && address.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#\\\"<>".contains(&byte));
    if !is_plain || !(address.starts_with("https://") || is_here(address)) {
        let detail = "address must be where people reach this server, such as https://stock.example.com";
        return Err(Problem::of_field("address", detail));
    }
    Described::of(issuer).await.map_err(|error| match error {
        ProviderError::Address => Problem::of_field("issuer", error.to_string()),
        error => Problem::of_field("issuer", format!("{error}; nothing was changed")),
    })?;
    let provider = Provider {
        issuer: issuer.clone(),
        client_id: client_id.clone(),
        client_secret,
        address: address.clone(),
        newcomers: *newcomers,
    };
    let note = provider.note(app.handle.ledger().seal(), caller.tenant).map_err(|error| unsealed(&error))?;
    app.handle.submit_with(caller.tenant, None, vec![note]).await?;
    let newcomers = newcomers.map_or("nobody", Role::name);
    tracing::info!(tenant = %caller.tenant, issuer, newcomers, by = caller.name, "people sign in by a provider of identities");
    Ok(Json(ProviderBody::of(Some(provider))))
}

/// Nobody signs in by a provider any more. Whoever is signed in stays so until evening.
#[utoipa::path(post, path = "/sign-on/forget", tag = "admin", operation_id = "forget_sign_on",
    responses((status = 200, body = ProviderBody)))]
async fn forget(State(app): State<App>, caller: Caller) -> Result<Json<ProviderBody>, Problem> {
    app.handle.submit_with(caller.tenant, None, vec![Provider::gone()]).await?;
    tracing::info!(tenant = %caller.tenant, by = caller.name, "nobody signs in by a provider of identities any more");
    Ok(Json(ProviderBody::of(None)))
}

only_objects!(ProviderInput);
