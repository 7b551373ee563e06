//! What is asked of everybody who signs in at the pages.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ask::{Ask, read};
use crate::App;
use crate::auth::Caller;
use crate::body::only_objects;
use crate::error::Problem;
use crate::users::Policy;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(show, set))
}

/// What to ask of everybody who signs in at the pages.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct SignInPolicyInput {
    /// A code of their phone beside the password.
    two_factor: bool,
}

/// What is asked of everybody who signs in at the pages.
#[derive(Debug, Serialize, ToSchema)]
struct SignInPolicyBody {
    /// A code of their phone beside the password: whoever has none sets them up before anything else, and an API key signs nobody in.
    /// Of whoever comes by a provider of identities the provider asks what it asks.
    two_factor: bool,
}

impl From<Policy> for SignInPolicyBody {
    fn from(Policy { two_factor }: Policy) -> Self {
        Self { two_factor }
    }
}

/// What is asked of everybody who signs in at the pages.
#[utoipa::path(get, path = "/sign-in-policy", tag = "admin", operation_id = "show_sign_in_policy",
    responses((status = 200, body = SignInPolicyBody)))]
async fn show(State(app): State<App>, caller: Caller) -> Result<Json<SignInPolicyBody>, Problem> {
    Ok(Json(read(&app, &caller, Policy::kept).await?.into()))
}

/// Says what is asked of everybody who signs in at the pages. It holds from their next click on: whoever is signed in with an API key
/// is not any more once two factors are asked for.
#[utoipa::path(post, path = "/sign-in-policy", tag = "admin", operation_id = "set_sign_in_policy",
    request_body = SignInPolicyInput, responses((status = 200, body = SignInPolicyBody)))]
async fn set(State(app): State<App>, ask: Ask<SignInPolicyInput>) -> Result<Json<SignInPolicyBody>, Problem> {
    let policy = Policy { two_factor: ask.body.two_factor };
    keep(&app, &ask.caller, policy).await?;
    Ok(Json(policy.into()))
}

/// As [`set`].
pub(crate) async fn keep(app: &App, caller: &Caller, policy: Policy) -> Result<(), Problem> {
    app.handle.submit_with(caller.tenant, None, vec![policy.note()]).await?;
    let Policy { two_factor } = policy;
    tracing::info!(tenant = %caller.tenant, two_factor, by = caller.name, "what is asked of who signs in was set");
    Ok(())
}

only_objects!(SignInPolicyInput);
