//! Signing in by a provider of identities: the browser is led there, and comes back with what it says.

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use onhand_ledger::TenantId;
use serde::Deserialize;

use super::session::is_this_machine;
use super::session::{self, refused};
use super::{Shown, words};
use crate::App;
use crate::error::Problem;
use crate::sign_on::{Described, Provider, Waiting, let_in, provider_of};
use crate::users;
use crate::v1::unsealed;

/// The cookie that says what was asked, until the browser comes back: where it speaks with this very machine,
const COOKIE: &str = "onhand_sign_on";
/// and over TLS.
const HOST_COOKIE: &str = "__Host-onhand_sign_on";
/// It is kept so long, in seconds.
const LASTS: i64 = 600;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/sign-in/with", get(leave)).route("/sign-in/back", get(back))
}

fn cookie_name(headers: &HeaderMap) -> &'static str {
    if is_this_machine(headers) { COOKIE } else { HOST_COOKIE }
}

fn cookie(headers: &HeaderMap, value: &str, seconds: i64) -> Result<HeaderValue, Problem> {
    session::set_cookie_of(headers, cookie_name(headers), value, seconds)
}

fn with_cookie(mut response: Response, set: HeaderValue) -> Response {
    response.headers_mut().append(header::SET_COOKIE, set);
    response
}

#[derive(Deserialize, Default)]
struct Leaving {
    tenant: Option<u64>,
    next: Option<String>,
}

/// The provider of a tenant, or what is wrong, in words for who signs in.
async fn provider(app: &App, tenant: TenantId) -> Result<Result<Provider, String>, Problem> {
    Ok(match provider_of(app, tenant).await? {
        None => {
            Err("Nobody signs in that way here: no provider is set. Use your name and password.".to_owned())
        }
        Some(Err(error)) => {
            tracing::error!(%tenant, %error, "what is set of the provider of identities does not open");
            Err("What is set of the provider does not open. Use your name and password, and tell an admin."
                .to_owned())
        }
        Some(Ok(provider)) => Ok(provider),
    })
}

async fn leave(State(app): State<App>, headers: HeaderMap, RawQuery(told): RawQuery) -> Shown {
    let Leaving { tenant, next } = session::asked(told);
    let tenant = session::tenant_asked(tenant);
    let next = session::ours(next.as_deref()).to_owned();
    // Another site's link leads to where one signs in, and signs nobody in.
    if headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site" || site == "same-site") {
        let next = words::part(&next);
        return Ok(Redirect::to(&format!("/sign-in?tenant={tenant}&next={next}")).into_response());
    }
    let provider = match provider(&app, tenant).await? {
        Ok(provider) => provider,
        Err(wrong) => return refused(&next, StatusCode::NOT_FOUND, wrong),
    };
    let now = app.handle.ledger().clock().now().micros();
    let waiting = Waiting::new(tenant, next.clone(), now)?;
    let led = async { Described::of(&provider.issuer).await?.leads_to(&provider, &waiting.asked()) };
    let to = match led.await {
        Ok(to) => to,
        Err(error) => {
            tracing::warn!(%tenant, %error, "the provider of identities cannot be asked");
            let wrong = format!("{error}. Use your name and password, or try again later.");
            return refused(&next, StatusCode::BAD_GATEWAY, wrong);
        }
    };
    let sealed = waiting.sealed(app.handle.ledger().seal()).map_err(|error| unsealed(&error))?;
    Ok(with_cookie(Redirect::to(&to).into_response(), cookie(&headers, &sealed, LASTS)?))
}

/// What the browser brings back (OpenID Connect Core 1.0, 3.1.2.5 and 3.1.2.6).
#[derive(Deserialize, Default)]
struct Brought {
    code: Option<String>,
    state: Option<String>,
    iss: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

async fn back(State(app): State<App>, headers: HeaderMap, RawQuery(told): RawQuery) -> Shown {
    let brought: Brought = session::asked(told);
    let forgotten = cookie(&headers, "", 0)?;
    // Whatever comes of it, what was asked is asked no second time.
    Ok(with_cookie(came_back(&app, &headers, brought).await?, forgotten))
}

async fn came_back(app: &App, headers: &HeaderMap, brought: Brought) -> Shown {
    let ledger = app.handle.ledger();
    let now = ledger.clock().now().micros();
    let kept = session::cookie_of(headers, cookie_name(headers)).unwrap_or_default();
    let state = brought.state.as_deref().unwrap_or_default();
    let Some(waiting) = Waiting::opened(ledger.seal(), kept, state, now) else {
        tracing::warn!(by = "provider", "a sign-in came back that nobody here began");
        let wrong = "This sign-in was not begun in this browser within ten minutes. Begin again.".to_owned();
        return refused("/", StatusCode::BAD_REQUEST, wrong);
    };
    let (tenant, next) = (waiting.tenant(), waiting.next.clone());
    let no = |wrong: String| {
        tracing::warn!(%tenant, by = "provider", why = wrong, "a sign-in failed");
        refused(&next, StatusCode::UNAUTHORIZED, wrong)
    };
    let provider = match provider(app, tenant).await? {
        Ok(provider) => provider,
        Err(wrong) => return no(wrong),
    };
    let host = provider.host().to_owned();
    if let Some(error) = brought.error {
        let said: String = brought.error_description.unwrap_or(error).chars().take(200).collect();
        return no(format!("{host} did not sign you in: {said}"));
    }
    let described = match Described::of(&provider.issuer).await {
        Ok(described) if described.is_from(brought.iss.as_deref()) => described,
        Ok(_) => return no(format!("This answer is not from {host}. Begin again.")),
        Err(error) => return no(format!("{error}. Try again.")),
    };
    let Some(code) = brought.code else { return no(format!("{host} brought no code. Begin again.")) };
    let person = match described.person(&provider, &code, &waiting.asked()).await {
        Ok(person) => person,
        Err(error) => return no(format!("{host}: {error}. Begin again.")),
    };
    match let_in(app, tenant, &provider, &person).await? {
        Err(wrong) => no(wrong),
        Ok(user) => {
            let by = (tenant, users::folded(&user.name), user.password_at);
            Ok(session::opened_by_provider(app, headers, &next, by).await?)
        }
    }
}
