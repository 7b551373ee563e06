//! Who is at the screen: signed in with an API key, known by a cookie until evening.
//!
//! A session is a random token of 160 bits, kept as a hash like a key's (`auth`), with the key it was opened with: whoever revokes
//! that ends it. The cookie is of this site alone, no script reads it, and it goes over TLS alone, but to this very machine.

use askama::Template;
use axum::extract::{FromRequestParts, RawQuery, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use onhand_ledger::TenantId;
use onhand_store::Note;
use serde::{Deserialize, Serialize};

use super::{Shown, assets, page, problem, words};
use crate::App;
use crate::auth::Caller;
use crate::blocking::blocking;
use crate::error::Problem;

/// The notes that sessions are kept in.
const SPACE: &str = "session";
const COOKIE: &str = "onhand_session";
/// A session lasts a working day, in seconds.
const LASTS: i64 = 12 * 3_600;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/sign-in", get(ask).post(sign_in)).route("/sign-out", post(sign_out))
}

/// As it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// The hash of the key it was opened with.
    key: String,
    /// Until when, in microseconds since 1970.
    until: i64,
}

/// Who is at the screen. Whoever is not signed in is asked to first, and led back.
pub(super) struct Visitor(pub Caller);

impl FromRequestParts<App> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        match known(app, &parts.headers).await {
            Ok(Some(caller)) => {
                crate::trace::is_of(caller.tenant);
                Ok(Self(caller))
            }
            // Asked for by our script: the page as a whole is asked for again, and leads to where one signs in.
            Ok(None) if parts.headers.contains_key("hx-request") => {
                Err((StatusCode::UNAUTHORIZED, [("hx-refresh", "true")]).into_response())
            }
            Ok(None) => {
                let wanted = parts.uri.path_and_query().map_or("/", |wanted| wanted.as_str());
                Err(Redirect::to(&format!("/sign-in?next={}", words::part(wanted))).into_response())
            }
            Err(problem) => Err(problem::shown(&problem)),
        }
    }
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies.flat_map(|all| all.split(';')).find_map(|one| one.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

fn tenant_of(token: &str) -> Option<TenantId> {
    let (tenant, secret) = token.split_once('.')?;
    let tenant = tenant.parse::<i64>().ok().filter(|tenant| *tenant > 0)?;
    (secret.len() == 40).then_some(TenantId(tenant.unsigned_abs()))
}

fn hash(token: &str) -> String {
    blake3::hash(token.as_bytes()).to_hex().to_string()
}

/// Whose session the cookie names.
pub(super) async fn known(app: &App, headers: &HeaderMap) -> Result<Option<Caller>, Problem> {
    let Some(token) = cookie(headers) else { return Ok(None) };
    let Some(tenant) = tenant_of(token) else { return Ok(None) };
    let ledger = app.handle.ledger();
    let key = hash(token);
    let note = blocking(|| ledger.read(tenant, |view| view.note(SPACE, &key))).await?;
    let Some(kept) = note.and_then(|body| serde_json::from_str::<Kept>(&body).ok()) else { return Ok(None) };
    if kept.until <= ledger.clock().now().micros() {
        return Ok(None);
    }
    app.keys.of_hash(ledger, tenant, kept.key).await
}

/// A page of ours, so that nobody is led elsewhere.
fn ours(next: Option<&str>) -> &str {
    next.filter(|next| {
        let plain = next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        plain && next.starts_with('/') && !next.starts_with("//")
    })
    .unwrap_or("/")
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn {
    style: String,
    icon: String,
    next: String,
    wrong: Option<&'static str>,
}

impl SignIn {
    fn new(next: Option<&str>, wrong: Option<&'static str>) -> Self {
        Self { style: assets::style(), icon: assets::icon(), next: ours(next).to_owned(), wrong }
    }
}

#[derive(Deserialize, Default)]
struct Next {
    next: Option<String>,
}

async fn ask(RawQuery(query): RawQuery) -> Shown {
    let uri = format!("/?{}", query.unwrap_or_default()).parse().unwrap_or_default();
    let next = axum::extract::Query::<Next>::try_from_uri(&uri).map(|query| query.0).unwrap_or_default();
    Ok(page(&SignIn::new(next.next.as_deref(), None))?)
}

#[derive(Deserialize)]
struct SignInForm {
    key: String,
    next: Option<String>,
}

async fn sign_in(State(app): State<App>, headers: HeaderMap, Form(form): Form<SignInForm>) -> Shown {
    let ledger = app.handle.ledger();
    let token = form.key.trim();
    let Some((caller, key)) = app.keys.of_token(ledger, token).await? else {
        let wrong = "This is no key that is known here. The operator's is in the file onhand.key beside the database; \
                     `onhand key create NAME` makes another.";
        let mut response = page(&SignIn::new(form.next.as_deref(), Some(wrong)))?;
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        return Ok(response);
    };
    let mut random = [0; 20];
    getrandom::fill(&mut random).map_err(internal)?;
    let secret: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let session = format!("{}.{secret}", caller.tenant);
    let until = ledger.clock().now().plus_seconds(LASTS).micros();
    let mut notes = ended(&app, caller.tenant).await?;
    let body = serde_json::to_string(&Kept { key, until }).map_err(internal)?;
    notes.push(Note { space: SPACE.to_owned(), key: hash(&session), body: Some(body) });
    app.handle.submit_with(caller.tenant, None, notes).await?;
    let set =
        format!("{COOKIE}={session}; Path=/; HttpOnly; SameSite=Lax; Max-Age={LASTS}{}", secure(&headers));
    // The names of all items are read while somebody looks at the first page.
    let (early, tenant) = (app.clone(), caller.tenant);
    tokio::spawn(async move { early.watched.names(&early, tenant, |_| ()).await.ok() });
    let mut response = Redirect::to(ours(form.next.as_deref())).into_response();
    let value = HeaderValue::from_str(&set).map_err(internal)?;
    response.headers_mut().insert(header::SET_COOKIE, value);
    Ok(response)
}

fn internal(error: impl ToString) -> Problem {
    Problem::internal(&error.to_string())
}

/// Sessions that are over, to be forgotten: the first of them.
async fn ended(app: &App, tenant: TenantId) -> Result<Vec<Note>, Problem> {
    let ledger = app.handle.ledger();
    let now = ledger.clock().now().micros();
    let some = blocking(|| ledger.read(tenant, |view| view.notes(SPACE, None, 100))).await?;
    let is_over = |body: &str| serde_json::from_str::<Kept>(body).map_or(true, |kept| kept.until <= now);
    let over = some.into_iter().filter(|(_, body)| is_over(body));
    Ok(over.map(|(key, _)| Note { space: SPACE.to_owned(), key, body: None }).collect())
}

/// Over TLS alone, unless the browser speaks with this very machine.
fn secure(headers: &HeaderMap) -> &'static str {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    if matches!(name, "127.0.0.1" | "localhost" | "[::1]") { "" } else { "; Secure" }
}

async fn sign_out(State(app): State<App>, request: Request) -> Shown {
    // Whoever has no session ends none.
    if let (Some(token), Some(caller)) = (cookie(request.headers()), known(&app, request.headers()).await?) {
        let note = Note { space: SPACE.to_owned(), key: hash(token), body: None };
        app.handle.submit_with(caller.tenant, None, vec![note]).await?;
    }
    let mut response = Redirect::to("/sign-in").into_response();
    let gone = HeaderValue::from_static("onhand_session=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0");
    response.headers_mut().insert(header::SET_COOKIE, gone);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_elsewhere() {
        for (next, led) in [
            ("/items/MUG?x=1", "/items/MUG?x=1"),
            ("//evil.example", "/"),
            ("https://evil.example", "/"),
            ("/\\evil.example", "/"),
            ("/a\nb", "/"),
            ("", "/"),
        ] {
            assert_eq!(ours(Some(next)), led, "{next}");
        }
        assert_eq!(ours(None), "/");
    }

    #[test]
    fn a_session_goes_over_tls_alone_but_to_this_machine() {
        let said = |host: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static(host));
            secure(&headers)
        };
        assert_eq!((said("127.0.0.1:7171"), said("localhost"), said("[::1]:7171")), ("", "", ""));
        assert_eq!((said("stock.example.com"), said("127.0.0.1.example.com:80")), ("; Secure", "; Secure"));
    }
}
