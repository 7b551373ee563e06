//! The address that a system sends its webhooks to.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use onhand_channels::webhook::WebhookScheme;
use onhand_engine::hooks::{keep_own_secret, own_secret, renew};
use onhand_engine::systems::connection;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ask::{Ask, read};
use super::systems::{check_url, not_kept};
use crate::App;
use crate::body::only_objects;
use crate::error::Problem;
use crate::extract::Path;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(make_webhook)).routes(routes!(keep_secret))
}

/// Where this API is reached.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct WebhookInput {
    /// Where this API is reached from the system, such as `https://stock.example.com`: the system is asked to send its webhooks there, where
    /// its kind can be asked. None: a person tells it.
    base: Option<String>,
}

/// Where the system shall send its webhooks.
#[derive(Debug, Serialize, ToSchema)]
struct WebhookBody {
    /// The path of the address, secret: put it after where this API is reached from outside. Shown once.
    path: String,
    /// What the system signs with; shown once. None where it has a secret of its own, which was given to us, and where it cannot sign:
    /// who knows the address may send.
    secret: Option<String>,
    /// How it signs: `hmac_sha256`, `standard_webhooks` or `secret_path`.
    scheme: &'static str,
    /// The header that has the signature, where it is HMAC-SHA256 of the body.
    header: Option<&'static str>,
    /// Was the system asked to send its webhooks there, and does it? Else a person must tell it.
    registered: bool,
}

/// Makes the address that a system sends its webhooks to; the one before ends. What they say is a hint to read the system
/// now: nothing else is done with it.
#[utoipa::path(post, path = "/systems/{name}/webhook", tag = "systems", params(("name" = String, Path)),
    request_body = WebhookInput, responses((status = 201, body = WebhookBody), (status = 502, body = Problem)))]
async fn make_webhook(
    State(app): State<App>,
    Path(system): Path<String>,
    ask: Ask<WebhookInput>,
) -> Result<Response, Problem> {
    let base = ask.body.base.as_deref().map(|base| base.trim_end_matches('/'));
    if let Some(base) = base {
        check_url("base", base)?;
    }
    let ledger = app.handle.ledger().clone();
    let found = read(&app, &ask.caller, |view| {
        let Some((id, _)) = view.system_by_name(&system)? else { return Ok(None) };
        let has_own = own_secret(view, ledger.seal(), id)?.is_some();
        Ok(Some((id, connection(view, ledger.seal(), id)?, has_own)))
    });
    let (id, connection, has_own) = found.await?.ok_or_else(|| Problem::unknown("system", &system))?;
    let channel = connection.and_then(Result::ok).map(|known| app.connector.connect(&system, &known));
    let channel = channel.and_then(Result::ok);
    let scheme = channel.as_ref().and_then(|channel| Some((channel, channel.webhook()?)));
    let Some((channel, scheme)) = scheme else {
        let detail =
            format!("`{system}` is not spoken with, or sends no webhooks: it is read on a schedule alone");
        return Err(Problem::of_field("name", detail));
    };
    let (mut secret, mut salt) = ([0; 20], [0; 32]);
    let failed = |_| Problem::internal("the operating system has no random bytes");
    getrandom::fill(&mut secret).map_err(failed)?;
    getrandom::fill(&mut salt).map_err(failed)?;
    let made = renew(&app.handle, ask.caller.tenant, id, (secret, salt)).await?;
    let path = format!("/hooks/{}", made.token);
    let registered = match base {
        Some(base) => channel.register_webhook(&format!("{base}{path}")).await.map_err(|error| {
            let title = "The system could not be asked to send its webhooks";
            Problem::new(StatusCode::BAD_GATEWAY, "channel", title, error.to_string())
        })?,
        None => false,
    };
    let has_own = has_own || channel.signing_secret().is_some();
    let (name, header, signs) = match scheme {
        WebhookScheme::HmacSha256 { header, .. } => ("hmac_sha256", Some(header), true),
        WebhookScheme::StandardWebhooks => ("standard_webhooks", None, true),
        WebhookScheme::SecretPath => ("secret_path", None, false),
    };
    let body = WebhookBody {
        path,
        secret: (signs && !has_own).then_some(made.secret),
        scheme: name,
        header,
        registered,
    };
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

/// What a system signs with.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct SecretInput {
    /// The secret that the system made by itself, 8 to 200 characters, kept sealed and never answered. None: it signs with the one that
    /// came with its address.
    secret: Option<String>,
}

/// Whose secret signs.
#[derive(Debug, Serialize, ToSchema)]
struct SecretBody {
    /// The system's own; else ours.
    own: bool,
}

/// Takes the secret that a system signs its webhooks with, where it makes that by itself.
#[utoipa::path(post, path = "/systems/{name}/webhook/secret", tag = "systems", operation_id = "keep_webhook_secret",
    params(("name" = String, Path)), responses((status = 200, body = SecretBody)))]
async fn keep_secret(
    State(app): State<App>,
    Path(system): Path<String>,
    ask: Ask<SecretInput>,
) -> Result<Json<SecretBody>, Problem> {
    let secret = ask.body.secret.as_deref();
    if secret.is_some_and(|secret| !(8..=200).contains(&secret.chars().count())) {
        return Err(Problem::of_field("secret", "secret must have 8 to 200 characters"));
    }
    let found = read(&app, &ask.caller, |view| view.system_by_name(&system)).await?;
    let (id, _) = found.ok_or_else(|| Problem::unknown("system", &system))?;
    keep_own_secret(&app.handle, ask.caller.tenant, id, secret).await.map_err(not_kept)?;
    Ok(Json(SecretBody { own: secret.is_some() }))
}

only_objects!(WebhookInput, SecretInput);
