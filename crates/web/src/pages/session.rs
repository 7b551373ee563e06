//! Who is at the screen: signed in by name and password, and a code where they set that up, or with an API key; known by a cookie
//! until evening, or until nobody is there.
//!
//! A session is a random token of 160 bits, kept as a hash like a key's (`auth`), with the key or the person it was opened with
//! (`sessions`): whoever revokes that, or sets another password, ends it. The cookie is of this host alone, no script reads it, and it goes over TLS
//! alone, but to this very machine.

use askama::Template;
use axum::extract::{FromRequestParts, MatchedPath, RawQuery, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use onhand_ledger::TenantId;
use onhand_store::Note;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Shown, assets, live, page, problem, words};
use crate::App;
use crate::auth::Caller;
use crate::blocking::blocking;
use crate::error::Problem;
use crate::request;
use crate::sessions::{self, By, Kept, LASTS, Over, Session};
use crate::sign_on::provider_of;
use crate::users::{self, Code, Policy, Secret, User};
use crate::v1::unsealed;

/// The cookie's name where a browser speaks with this very machine, perhaps without TLS.
const COOKIE: &str = "onhand_session";
/// And over TLS: no other host of the same domain can set it
/// (<https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis>, 4.1.3.2).
const HOST_COOKIE: &str = "__Host-onhand_session";
/// A password that somebody else was given counts so long, in seconds.
const GIVEN_LASTS: i64 = 7 * 24 * 3_600;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/sign-in", get(ask).post(sign_in)).route("/sign-out", post(sign_out))
}

/// Who it is.
pub(super) struct Known {
    pub caller: Caller,
    /// None who came with a key.
    pub user: Option<User>,
    /// The session they are here in.
    pub session: Session,
    /// What is asked of everybody.
    pub policy: Policy,
}

impl Known {
    /// They came by the word of a provider of identities.
    pub fn is_by_provider(&self) -> bool {
        matches!(self.session.kept.by, By::Person { by_provider: true, .. })
    }

    /// Somebody who has to choose a password, or to set up codes, before anything else.
    pub fn has_to_settle(&self) -> bool {
        let has_to = |user: &User| user.must_change || (self.policy.two_factor && !user.has_code);
        !self.is_by_provider() && self.user.as_ref().is_some_and(has_to)
    }
}

/// Who is at the screen. Whoever is not signed in is asked to first, and led back.
pub(super) struct Visitor(pub Caller);

impl FromRequestParts<App> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let known = Known::from_request_parts(parts, app).await?;
        if known.has_to_settle() {
            return Err(Redirect::to("/account").into_response());
        }
        let path = parts.extensions.get::<MatchedPath>();
        known.caller.may_ask(&parts.method, path).map_err(|problem| problem::shown(&problem))?;
        Ok(Self(known.caller))
    }
}

impl FromRequestParts<App> for Known {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let known = match looked(app, &parts.headers).await {
            Ok(Ok(known)) => known,
            Ok(Err(over)) => return Err(led_to_sign_in(parts, over)),
            Err(problem) => return Err(problem::shown(&problem)),
        };
        let tenant = known.caller.tenant;
        crate::trace::is_of(tenant);
        request::is_of(tenant, &known.caller.name);
        if known.user.is_some() {
            app.sessions.take(tenant, &known.caller.name).map_err(|problem| problem::shown(&problem))?;
        }
        if is_by_somebody(parts) {
            sessions::used(app, tenant, &known.session).await;
        }
        Ok(known)
    }
}

/// Did somebody do something? An open page asks for itself again, and hears what moves, whether anybody is there or not.
fn is_by_somebody(parts: &Parts) -> bool {
    let hears = parts.extensions.get::<MatchedPath>().is_some_and(|path| path.as_str() == live::PATH);
    !hears && !parts.headers.contains_key(live::AGAIN)
}

/// Leads to where one signs in, which leads back, and says what became of a session that was.
fn led_to_sign_in(parts: &Parts, over: Option<Over>) -> Response {
    // Asked for by our script: the page as a whole is asked for again, and leads to where one signs in.
    if parts.headers.contains_key("hx-request") {
        return (StatusCode::UNAUTHORIZED, [("hx-refresh", "true")]).into_response();
    }
    let why = match over {
        Some(Over::Idle) => "&why=idle",
        Some(Over::Day) => "&why=day",
        None => "",
    };
    Redirect::to(&format!("/sign-in?next={}{why}", words::part(&wanted(parts)))).into_response()
}

/// The page that somebody is on: the one that they ask for, or that a form of theirs is on.
fn wanted(parts: &Parts) -> String {
    let here = |uri: &Uri| uri.path_and_query().map(|wanted| wanted.as_str().to_owned());
    if parts.method.is_safe() {
        return here(&parts.uri).unwrap_or_else(|| "/".to_owned());
    }
    let from = parts.headers.get(header::REFERER).and_then(|from| from.to_str().ok()?.parse::<Uri>().ok());
    from.as_ref().and_then(here).unwrap_or_else(|| "/".to_owned())
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    cookie_of(headers, cookie_name(headers))
}

/// What the cookie of a name says.
pub(super) fn cookie_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies.flat_map(|all| all.split(';')).find_map(|one| one.trim().strip_prefix(name)?.strip_prefix('='))
}

/// Does the browser speak with this very machine?
pub(crate) fn is_this_machine(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    matches!(name, "127.0.0.1" | "localhost" | "[::1]")
}

fn cookie_name(headers: &HeaderMap) -> &'static str {
    if is_this_machine(headers) { COOKIE } else { HOST_COOKIE }
}

fn set_cookie(headers: &HeaderMap, value: &str, seconds: i64) -> Result<HeaderValue, Problem> {
    set_cookie_of(headers, cookie_name(headers), value, seconds)
}

/// Sets a cookie, over TLS alone unless the browser speaks with this very machine. A link from elsewhere brings it along.
pub(super) fn set_cookie_of(
    headers: &HeaderMap,
    name: &str,
    value: &str,
    seconds: i64,
) -> Result<HeaderValue, Problem> {
    let secure = if is_this_machine(headers) { "" } else { "; Secure" };
    let set = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}");
    HeaderValue::from_str(&set).map_err(internal)
}

fn tenant_of(token: &str) -> Option<TenantId> {
    let (tenant, secret) = token.split_once('.')?;
    let tenant = tenant.parse::<i64>().ok().filter(|tenant| *tenant > 0)?;
    (secret.len() == 40).then_some(TenantId(tenant.unsigned_abs()))
}

fn hash(token: &str) -> String {
    blake3::hash(token.as_bytes()).to_hex().to_string()
}

/// Whose session the cookie names, and by what it is kept.
fn named(headers: &HeaderMap) -> Option<(TenantId, String)> {
    let token = cookie(headers)?;
    Some((tenant_of(token)?, hash(token)))
}

/// Whose session it is that the cookie names.
pub(super) async fn known(app: &App, headers: &HeaderMap) -> Result<Option<Known>, Problem> {
    Ok(looked(app, headers).await?.ok())
}

/// As [`known`], or why it is nobody's any more, where that is known.
async fn looked(app: &App, headers: &HeaderMap) -> Result<Result<Known, Option<Over>>, Problem> {
    let Some((tenant, key)) = named(headers) else { return Ok(Err(None)) };
    let ledger = app.handle.ledger();
    let look = || {
        ledger.read(tenant, |view| {
            let Some(session) = sessions::found(view, &key)? else { return Ok(None) };
            let user = match &session.kept.by {
                By::Key { .. } => None,
                By::Person { user, .. } => users::found(view, user)?,
            };
            Ok(Some((session, user, Policy::kept(view)?)))
        })
    };
    let Some((session, user, policy)) = blocking(look).await? else { return Ok(Err(None)) };
    if let Some(over) = session.over(&app.sessions, ledger.clock().now()) {
        return Ok(Err(Some(over)));
    }
    let caller = match &session.kept.by {
        // A key is one factor.
        By::Key { .. } if policy.two_factor => None,
        By::Key { key } => app.keys.of_hash(ledger, tenant, key.clone()).await?,
        By::Person { password_at, .. } => {
            let user = user.as_ref().filter(|user| !user.is_off && user.password_at == *password_at);
            user.map(|User { name, rights, role, .. }| Caller {
                tenant,
                name: name.clone(),
                rights: rights.clone(),
                rate: None,
                role: *role,
            })
        }
    };
    Ok(caller.map(|caller| Known { caller, user, session, policy }).ok_or(None))
}

/// A page of ours, so that nobody is led elsewhere.
pub(super) fn ours(next: Option<&str>) -> &str {
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
    /// What people know the provider of identities by, where one is set, and where one signs in by it.
    provider: Option<(String, String)>,
    /// What became of the session that was.
    over: Option<String>,
    /// What was typed as a name.
    name: String,
    wrong: Option<String>,
    /// A key was wrong, and not a name.
    is_key: bool,
}

impl SignIn {
    fn new(next: Option<&str>) -> Self {
        let next = ours(next).to_owned();
        Self {
            style: assets::style(),
            icon: assets::icon(),
            next,
            provider: None,
            over: None,
            name: String::new(),
            wrong: None,
            is_key: false,
        }
    }
}

impl SignIn {
    /// With the provider that people of a tenant sign in by. That it does not open keeps nobody from signing in otherwise.
    async fn of(app: &App, next: Option<&str>, tenant: TenantId) -> Result<Self, Problem> {
        let shown = Self::new(next);
        let known = provider_of(app, tenant).await?.and_then(Result::ok);
        let provider = known.map(|known| {
            let next = words::part(&shown.next);
            (known.host().to_owned(), format!("/sign-in/with?tenant={tenant}&next={next}"))
        });
        Ok(Self { provider, ..shown })
    }
}

/// Somebody was not signed in, and why.
pub(super) fn refused(next: &str, status: StatusCode, wrong: String) -> Shown {
    let mut response = page(&SignIn { wrong: Some(wrong), ..SignIn::new(Some(next)) })?;
    *response.status_mut() = status;
    Ok(response)
}

#[derive(Deserialize, Default)]
struct Next {
    next: Option<String>,
    tenant: Option<u64>,
    why: Option<String>,
}

/// What an address asks for; what cannot be read asks for nothing.
pub(super) fn asked<T: DeserializeOwned + Default>(query: Option<String>) -> T {
    let uri = format!("/?{}", query.unwrap_or_default()).parse().unwrap_or_default();
    axum::extract::Query::<T>::try_from_uri(&uri).map(|query| query.0).unwrap_or_default()
}

/// The tenant that an address names; the first unless it names one that may be.
pub(super) fn tenant_asked(tenant: Option<u64>) -> TenantId {
    let may_be = |tenant: &u64| *tenant > 0 && i64::try_from(*tenant).is_ok();
    tenant.filter(may_be).map_or(TenantId::DEFAULT, TenantId)
}

async fn ask(State(app): State<App>, RawQuery(query): RawQuery) -> Shown {
    let next: Next = asked(query);
    let over = match next.why.as_deref() {
        Some("idle") => Some(format!(
            "Nobody was here for {}, so you were signed out.",
            words::minutes(app.sessions.idle_minutes())
        )),
        Some("day") => Some("You signed in twelve hours ago, and a day here has no more.".to_owned()),
        _ => None,
    };
    let shown = SignIn::of(&app, next.next.as_deref(), tenant_asked(next.tenant)).await?;
    Ok(page(&SignIn { over, ..shown })?)
}

#[derive(Deserialize)]
struct SignInForm {
    #[serde(default)]
    name: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    key: String,
    next: Option<String>,
}

/// Whose name somebody types: `ada`, or of another tenant than the first `7/ada`.
fn who(typed: &str) -> (TenantId, &str) {
    let typed = typed.trim();
    let of_tenant = typed.split_once('/').and_then(|(tenant, name)| {
        let tenant = tenant.parse::<i64>().ok().filter(|tenant| *tenant > 0)?;
        Some((TenantId(tenant.unsigned_abs()), name))
    });
    of_tenant.unwrap_or((TenantId::DEFAULT, typed))
}

async fn sign_in(State(app): State<App>, headers: HeaderMap, Form(form): Form<SignInForm>) -> Shown {
    let token = form.key.trim();
    let came = if token.is_empty() { by_password(&app, &form).await? } else { by_key(&app, token).await? };
    match came {
        Ok((tenant, by)) => Ok(opened(&app, &headers, form.next.as_deref(), (tenant, by)).await?),
        Err(wrong) => {
            let (name, is_key) = (form.name.trim().to_owned(), !token.is_empty());
            let (tenant, _) = who(&form.name);
            let shown = SignIn::of(&app, form.next.as_deref(), tenant).await?;
            let shown = SignIn { name, is_key, wrong: Some(wrong), ..shown };
            let mut response = page(&shown)?;
            *response.status_mut() = StatusCode::UNAUTHORIZED;
            Ok(response)
        }
    }
}

/// By an API key, where that is enough; or what is wrong.
async fn by_key(app: &App, token: &str) -> Result<Result<(TenantId, By), String>, Problem> {
    let ledger = app.handle.ledger();
    let Some((caller, key)) = app.keys.of_token(ledger, token).await? else {
        tracing::warn!(by = "key", "a sign-in failed");
        return Ok(Err("This is no key that is known here. The operator's is in the file onhand.db.key beside the database; \
                       `onhand key create NAME` makes another."
            .to_owned()));
    };
    let (tenant, user) = (caller.tenant, caller.name);
    if blocking(|| ledger.read(tenant, Policy::kept)).await?.two_factor {
        tracing::warn!(%tenant, user, by = "key", "a sign-in failed: a key is one factor, and two are asked for");
        return Ok(Err("Two factors are asked for here, and a key is one. Sign in by your name; `onhand user add NAME` makes \
                       somebody who does."
            .to_owned()));
    }
    tracing::info!(%tenant, user, by = "key", "somebody signed in");
    Ok(Ok((tenant, By::Key { key })))
}

/// By name, password and perhaps a code; or what is wrong, which does not say whether there is such a name.
async fn by_password(app: &App, form: &SignInForm) -> Result<Result<(TenantId, By), String>, Problem> {
    let (tenant, name) = who(&form.name);
    let (name, ledger, tries) = (users::folded(name), app.handle.ledger(), &app.watched.tries);
    // Whoever sends many at once waits for a place first: what failed meanwhile counts.
    let _place = tries.place().await;
    let now = ledger.clock().now();
    let found = blocking(|| ledger.read(tenant, |view| users::found(view, &name))).await?;
    let known_as = found.as_ref().map(|user| user.name.clone());
    if let Some(seconds) = tries.wait(tenant, &name, now) {
        tracing::warn!(%tenant, user = known_as.as_deref(), "a sign-in came too soon after others that failed");
        return Ok(Err(format!("Too many tries for this name. The next may come in {seconds} s.")));
    }
    let (kept, password) = (found.as_ref().map(|user| user.password.clone()), form.password.clone());
    let looked = tokio::task::spawn_blocking(move || users::is_right(kept.as_deref(), &password));
    let is_right = looked.await.map_err(internal)?;
    let wrong = || {
        tries.failed(tenant, &name, now);
        // Whoever is nobody may have typed a password there.
        tracing::warn!(%tenant, user = known_as.as_deref(), "a sign-in failed");
        Ok(Err("The name, the password or the code is wrong. An admin gives another password: `onhand user reset`.".to_owned()))
    };
    let Some(user) = found.filter(|user| is_right && !user.is_off) else { return wrong() };
    // It is looked at again while nobody else changes it: a code is taken once.
    let _one_at_a_time = tries.changing().await;
    let again =
        blocking(|| ledger.read(tenant, |view| Ok((users::found(view, &name)?, Secret::kept(view, &name)?))));
    let (Some(mut known), sealed) = again.await.map_err(internal_store)? else { return wrong() };
    if known.password != user.password || known.is_off {
        return wrong();
    }
    if known.has_code {
        let sealed = sealed.ok_or_else(|| Problem::internal("somebody's codes are not kept"))?;
        let secret =
            Secret::opened(ledger.seal(), tenant, &name, &sealed).map_err(|error| unsealed(&error))?;
        let now = now.micros() / 1_000_000;
        let step = secret.and_then(|secret| secret.step_of(&Code(&form.code), now, known.last_step));
        let Some(step) = step else { return wrong() };
        known.last_step = step;
    }
    if known.must_change && now.micros() >= known.password_at.saturating_add(GIVEN_LASTS * 1_000_000) {
        tracing::warn!(%tenant, user = known.name, "a password that was given is too old");
        return Ok(Err("This password was given more than seven days ago, and counts no more. An admin gives another: `onhand user reset`.".to_owned()));
    }
    known.signed_in_at = Some(now.micros());
    tries.succeeded(tenant, &name);
    app.handle.submit_with(tenant, None, vec![known.note()]).await?;
    let by = if known.has_code { "password and code" } else { "password" };
    tracing::info!(%tenant, user = known.name, by, "somebody signed in");
    Ok(Ok((tenant, By::Person { user: name, password_at: known.password_at, by_provider: false })))
}

fn internal_store(error: onhand_store::StoreError) -> Problem {
    error.into()
}

/// A session, and where it leads.
async fn opened(
    app: &App,
    headers: &HeaderMap,
    next: Option<&str>,
    (tenant, by): (TenantId, By),
) -> Result<Response, Problem> {
    let ledger = app.handle.ledger();
    let mut random = [0; 20];
    getrandom::fill(&mut random).map_err(internal)?;
    let secret: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let session = format!("{tenant}.{secret}");
    let now = ledger.clock().now();
    let mut notes = blocking(|| ledger.read(tenant, |view| sessions::ended(view, now))).await?;
    // Whoever signs in anew, or has set another password, has one session here and not two.
    notes.extend(gone(headers, tenant));
    notes.push(Kept::opened(by, now, headers, request::from()).note(&hash(&session)));
    app.handle.submit_with(tenant, None, notes).await?;
    let set = set_cookie(headers, &session, LASTS)?;
    // The names of all items are read while somebody looks at the first page.
    let early = app.clone();
    tokio::spawn(async move { early.watched.names(&early, tenant, |_| ()).await.ok() });
    let mut response = Redirect::to(ours(next)).into_response();
    response.headers_mut().insert(header::SET_COOKIE, set);
    Ok(response)
}

/// Whoever came by the word of a provider is signed in: who, and when how they sign in was last changed.
pub(super) async fn opened_by_provider(
    app: &App,
    headers: &HeaderMap,
    next: &str,
    (tenant, user, password_at): (TenantId, String, i64),
) -> Result<Response, Problem> {
    opened(app, headers, Some(next), (tenant, By::Person { user, password_at, by_provider: true })).await
}

/// Whoever has changed how they sign in stays signed in here, and nowhere else.
pub(super) async fn renewed(
    app: &App,
    headers: &HeaderMap,
    next: &str,
    (tenant, user): (TenantId, &User),
) -> Result<Response, Problem> {
    let (user, password_at) = (users::folded(&user.name), user.password_at);
    let by = By::Person { user, password_at, by_provider: false };
    opened(app, headers, Some(next), (tenant, by)).await
}

fn internal(error: impl ToString) -> Problem {
    Problem::internal(&error.to_string())
}

/// The session that the cookie names, of that tenant, to be forgotten.
fn gone(headers: &HeaderMap, tenant: TenantId) -> impl Iterator<Item = Note> + use<> {
    let key = named(headers).filter(|(of, _)| *of == tenant).map(|(_, key)| key);
    key.into_iter().flat_map(|key| sessions::forgotten(&key))
}

async fn sign_out(State(app): State<App>, request: Request) -> Shown {
    let headers = request.headers();
    // Whoever has no session ends none.
    if let Some(Known { caller, .. }) = known(&app, headers).await? {
        app.handle.submit_with(caller.tenant, None, gone(headers, caller.tenant).collect()).await?;
        tracing::info!(tenant = %caller.tenant, user = caller.name, "somebody signed out");
    }
    let mut response = Redirect::to("/sign-in").into_response();
    response.headers_mut().insert(header::SET_COOKIE, set_cookie(headers, "", 0)?);
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
        let set = |host: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static(host));
            set_cookie(&headers, "1.x", 60).unwrap().to_str().unwrap().to_owned()
        };
        for host in ["127.0.0.1:7171", "localhost", "[::1]:7171"] {
            assert_eq!(set(host), "onhand_session=1.x; Path=/; HttpOnly; SameSite=Lax; Max-Age=60", "{host}");
        }
        for host in ["stock.example.com", "127.0.0.1.example.com:80", ""] {
            let right = "__Host-onhand_session=1.x; Path=/; HttpOnly; SameSite=Lax; Max-Age=60; Secure";
            assert_eq!(set(host), right, "{host}");
        }
    }

    #[test]
    fn a_cookie_that_another_host_of_the_domain_may_have_set_is_not_looked_at() {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("stock.example.com"));
        headers.insert(header::COOKIE, HeaderValue::from_static("onhand_session=1.theirs"));
        assert_eq!(cookie(&headers), None);
        headers.append(header::COOKIE, HeaderValue::from_static("a=b; __Host-onhand_session=1.ours"));
        assert_eq!(cookie(&headers), Some("1.ours"));
    }
}
