//! Alerts: whom to tell of which troubles, and what they were told.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use onhand_channels::notice::{Line, Mailer, Notice, Security, Way, check};
use onhand_engine::alerts::{Delivery, TARGET, Target, delivery, forget, keep, seen_by, targets};
use onhand_engine::seal::SealError;
use onhand_store::StoreError;
use onhand_sync::alerts::{Kind, Patience};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ask::{Ask, read};
use super::systems::{not_kept, unsealed};
use crate::App;
use crate::auth::Caller;
use crate::body::only_objects;
use crate::error::Problem;
use crate::extract::Path;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(put))
        .routes(routes!(remove))
        .routes(routes!(test))
        .routes(routes!(troubles))
}

/// What may be told of.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum KindBody {
    SilentSystem,
    Lag,
    Exposure,
    LowStock,
    ShortOrder,
    PastShipBy,
    StaleDiscrepancy,
    /// Another target cannot be reached.
    Unreached,
}

impl From<KindBody> for Kind {
    fn from(kind: KindBody) -> Self {
        match kind {
            KindBody::SilentSystem => Self::SilentSystem,
            KindBody::Lag => Self::Lag,
            KindBody::Exposure => Self::Exposure,
            KindBody::LowStock => Self::LowStock,
            KindBody::ShortOrder => Self::ShortOrder,
            KindBody::PastShipBy => Self::PastShipBy,
            KindBody::StaleDiscrepancy => Self::StaleDiscrepancy,
            KindBody::Unreached => Self::Unreached,
        }
    }
}

/// How the way to a mail server is secured.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum SecurityBody {
    /// From the first byte on; port 465 unless told.
    Tls,
    /// Asked for and required; port 587 unless told.
    StartTls,
    /// Not at all: only to a server on the same machine or net; port 25 unless told.
    None,
}

/// Mail.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EmailInput {
    /// The server that takes mail, such as `smtp.example.com`.
    host: String,
    /// Its port.
    port: Option<u16>,
    /// Default: `start_tls`.
    security: Option<SecurityBody>,
    /// Who we are there; none: nobody asks.
    username: Option<String>,
    /// The password. Kept sealed, and never answered.
    secret: Option<String>,
    /// From whom, such as `Onhand <stock@example.com>`.
    from: String,
    /// To whom: 1 to 20 addresses.
    to: Vec<String>,
}

/// A webhook.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AlertWebhookInput)]
struct WebhookInput {
    /// Where to `POST` a JSON object of `title` and `lines` (`key`, `kind`, `over`, `sentence`, `since`). Kept sealed.
    url: String,
    /// Sent as `Authorization: Bearer …`. Kept sealed, and never answered.
    secret: Option<String>,
}

/// A chat that takes what Slack's incoming webhooks take.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SlackInput {
    /// Where to `POST` `{"text": …}`. Kept sealed, and never answered.
    url: String,
}

/// Whom to tell, and of what. Exactly one of `email`, `webhook` and `slack`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct AlertInput {
    /// Its name: 1 to 50 characters. The target of that name is replaced.
    name: String,
    email: Option<EmailInput>,
    webhook: Option<WebhookInput>,
    slack: Option<SlackInput>,
    /// Of what; left out or empty: of all.
    kinds: Option<Vec<KindBody>>,
    /// So long a system may be silent. Default: 900.
    silent_seconds: Option<u32>,
    /// So long a system may show what it should not. Default: 300.
    lag_seconds: Option<u32>,
    /// So long a system may offer more than there is. Default: 300.
    exposure_seconds: Option<u32>,
    /// So long a discrepancy may wait. Default: 86400.
    stale_seconds: Option<u32>,
    /// So long a trouble must be gone to be over. Default: 60.
    calm_seconds: Option<u32>,
}

/// An error where a target may not be called so.
pub(crate) fn check_name(name: &str) -> Result<(), Problem> {
    let is_name = |letter: char| !letter.is_control() && letter != '/';
    if !(1..=50).contains(&name.chars().count()) || !name.chars().all(is_name) {
        let detail = "name must have 1 to 50 characters, none of them a control character or `/`";
        return Err(Problem::of_field("name", detail));
    }
    Ok(())
}

/// A field is wrong, and what would be right.
pub(crate) fn wrong((field, right): (&'static str, String)) -> Problem {
    Problem::of_field(field, format!("{field} must be {right}"))
}

/// Keeps whom to tell, where they may be called.
pub(crate) async fn keep_allowed(app: &App, caller: &Caller, target: &Target) -> Result<(), Problem> {
    app.teller.may_call(&target.way).await.map_err(wrong)?;
    keep(&app.handle, caller.tenant, target).await.map_err(not_kept)
}

impl AlertInput {
    fn target(&self) -> Result<Target, Problem> {
        check_name(&self.name)?;
        let usual = Patience::default();
        Ok(Target {
            name: self.name.clone(),
            way: self.way()?,
            kinds: self.kinds.iter().flatten().map(|kind| Kind::from(*kind)).collect(),
            patience: Patience {
                silent_seconds: self.silent_seconds.unwrap_or(usual.silent_seconds),
                lag_seconds: self.lag_seconds.unwrap_or(usual.lag_seconds),
                exposure_seconds: self.exposure_seconds.unwrap_or(usual.exposure_seconds),
                stale_seconds: self.stale_seconds.unwrap_or(usual.stale_seconds),
                calm_seconds: self.calm_seconds.unwrap_or(usual.calm_seconds),
            },
        })
    }

    fn way(&self) -> Result<Way, Problem> {
        let way = match (&self.email, &self.webhook, &self.slack) {
            (Some(email), None, None) => {
                let security = match email.security.unwrap_or(SecurityBody::StartTls) {
                    SecurityBody::Tls => Security::Tls,
                    SecurityBody::StartTls => Security::StartTls,
                    SecurityBody::None => Security::None,
                };
                Way::Email(Mailer {
                    host: email.host.clone(),
                    port: email.port.unwrap_or(security.usual_port()),
                    security,
                    username: email.username.clone().unwrap_or_default(),
                    secret: email.secret.clone().unwrap_or_default(),
                    from: email.from.clone(),
                    to: email.to.clone(),
                })
            }
            (None, Some(webhook), None) => {
                let (url, secret) = (webhook.url.clone(), webhook.secret.clone().unwrap_or_default());
                Way::Webhook { url, secret }
            }
            (None, None, Some(slack)) => Way::Slack { url: slack.url.clone() },
            _ => {
                return Err(Problem::of_field("email", "tell exactly one of `email`, `webhook` and `slack`"));
            }
        };
        check(&way).map_err(wrong)?;
        Ok(way)
    }
}

/// Whom to tell, and of what. Nothing secret.
#[derive(Debug, Serialize, ToSchema)]
struct AlertBody {
    name: String,
    /// `email`, `webhook` or `slack`; none where its secrets do not open.
    way: Option<String>,
    /// Who gets it: the addresses, or the host of the address.
    to: Vec<String>,
    /// Of what.
    kinds: Vec<String>,
    silent_seconds: Option<u32>,
    lag_seconds: Option<u32>,
    exposure_seconds: Option<u32>,
    stale_seconds: Option<u32>,
    calm_seconds: Option<u32>,
    /// When something was last told.
    told_at: Option<String>,
    /// Why nobody is told: the secrets do not open, or word does not arrive.
    trouble: Option<String>,
    /// Since when word does not arrive.
    trouble_since: Option<String>,
    /// When that is tried again.
    retry_at: Option<String>,
}

/// Whom an address belongs to: what follows may be secret.
pub(crate) fn host(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    host.rsplit('@').next().unwrap_or_default().to_owned()
}

impl AlertBody {
    fn of(name: String, target: Result<Target, SealError>, delivery: Delivery) -> Self {
        let failing = delivery.failing;
        let mut body = Self {
            name,
            way: None,
            to: Vec::new(),
            kinds: Vec::new(),
            silent_seconds: None,
            lag_seconds: None,
            exposure_seconds: None,
            stale_seconds: None,
            calm_seconds: None,
            told_at: delivery.told_at.map(|at| at.to_string()),
            trouble: failing.as_ref().map(|failing| failing.why.clone()),
            trouble_since: failing.as_ref().map(|failing| failing.since.to_string()),
            retry_at: failing.map(|failing| failing.retry_at.to_string()),
        };
        let target = match target {
            Ok(target) => target,
            Err(why) => return Self { trouble: Some(why.to_string()), ..body },
        };
        let (way, to) = match target.way {
            Way::Email(mailer) => ("email", mailer.to),
            Way::Webhook { url, .. } => ("webhook", vec![host(&url)]),
            Way::Slack { url } => ("slack", vec![host(&url)]),
        };
        let kinds = if target.kinds.is_empty() { Kind::ALL.to_vec() } else { target.kinds };
        body.way = Some(way.to_owned());
        body.to = to;
        body.kinds = kinds.into_iter().map(|kind| kind.name().to_owned()).collect();
        body.silent_seconds = Some(target.patience.silent_seconds);
        body.lag_seconds = Some(target.patience.lag_seconds);
        body.exposure_seconds = Some(target.patience.exposure_seconds);
        body.stale_seconds = Some(target.patience.stale_seconds);
        body.calm_seconds = Some(target.patience.calm_seconds);
        body
    }
}

/// All targets of alerts.
#[derive(Debug, Serialize, ToSchema)]
struct AlertsBody {
    data: Vec<AlertBody>,
}

/// Whom alerts are told.
#[utoipa::path(get, path = "/alerts", tag = "alerts", operation_id = "list_alerts",
    responses((status = 200, body = AlertsBody)))]
async fn list(State(app): State<App>, caller: Caller) -> Result<Json<AlertsBody>, Problem> {
    let ledger = app.handle.ledger().clone();
    let found = read(&app, &caller, |view| {
        let mut data = Vec::new();
        for (name, target) in targets(view, ledger.seal())? {
            let delivery = delivery(view, &name)?;
            data.push(AlertBody::of(name, target, delivery));
        }
        Ok::<_, StoreError>(data)
    });
    Ok(Json(AlertsBody { data: found.await? }))
}

/// Says whom to tell of troubles: once each, and again when it is over. The target of that name is replaced.
#[utoipa::path(post, path = "/alerts", tag = "alerts", operation_id = "put_alert",
    responses((status = 200, body = AlertBody)))]
async fn put(State(app): State<App>, ask: Ask<AlertInput>) -> Result<Json<AlertBody>, Problem> {
    let target = ask.body.target()?;
    keep_allowed(&app, &ask.caller, &target).await?;
    Ok(Json(AlertBody::of(target.name.clone(), Ok(target), Delivery::default())))
}

/// Who is told nothing any more.
#[derive(Debug, Serialize, ToSchema)]
struct RemovedBody {
    /// The target.
    name: String,
}

/// Tells them nothing any more.
#[utoipa::path(delete, path = "/alerts/{name}", tag = "alerts", operation_id = "remove_alert",
    params(("name" = String, Path)), responses((status = 200, body = RemovedBody)))]
async fn remove(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<RemovedBody>, Problem> {
    forget_known(&app, &caller, &name).await?;
    Ok(Json(RemovedBody { name }))
}

/// Tells a target nothing any more, if there is one called so.
pub(crate) async fn forget_known(app: &App, caller: &Caller, name: &str) -> Result<(), Problem> {
    let is_known = forget(&app.handle, caller.tenant, name).await?;
    if is_known { Ok(()) } else { Err(Problem::unknown("target of alerts called", name)) }
}

/// It arrived.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AlertSentBody)]
struct SentBody {
    /// The target.
    name: String,
}

/// Tells a target something now, to see that it arrives.
#[utoipa::path(post, path = "/alerts/{name}/test", tag = "alerts", operation_id = "test_alert",
    params(("name" = String, Path)), responses((status = 200, body = SentBody)))]
async fn test(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<SentBody>, Problem> {
    tell_test(&app, &caller, &name).await?;
    Ok(Json(SentBody { name }))
}

/// Tells a target something now, to see that it arrives.
pub(crate) async fn tell_test(app: &App, caller: &Caller, name: &str) -> Result<(), Problem> {
    let ledger = app.handle.ledger().clone();
    let found = read(app, caller, |view| targets(view, ledger.seal())).await?;
    let target = found.into_iter().find(|(known, _)| known == name);
    let Some((_, target)) = target else { return Err(Problem::unknown("target of alerts called", name)) };
    let target = target.map_err(|error| unsealed(&error))?;
    let line = Line {
        key: "test".to_owned(),
        kind: "test".to_owned(),
        over: false,
        sentence: "This is a test: alerts arrive here.".to_owned(),
        since: app.handle.ledger().clock().now().to_string(),
    };
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|_| Problem::internal("the operating system has no random bytes"))?;
    let id = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let notice = Notice { id, title: "Onhand: a test".to_owned(), lines: vec![line] };
    app.teller.tell(&target.way, &notice).await.map_err(|why| {
        let title = "It did not arrive";
        Problem::new(StatusCode::BAD_GATEWAY, "channel", title, format!("`{name}` could not be told: {why}"))
    })?;
    Ok(())
}

/// A trouble.
#[derive(Debug, Serialize, ToSchema)]
struct TroubleBody {
    key: String,
    kind: String,
    sentence: String,
    /// Since when it lasts.
    since: String,
    /// When they were told; none: it has not lasted long enough, or could not be told yet.
    told_at: Option<String>,
    /// Since when it is gone: it is over soon.
    gone_since: Option<String>,
}

/// The troubles of a target.
#[derive(Debug, Serialize, ToSchema)]
struct TroublesBody {
    data: Vec<TroubleBody>,
}

/// What a target was told and is not over, and what it is told of soon.
#[utoipa::path(get, path = "/alerts/{name}/troubles", tag = "alerts", operation_id = "list_troubles",
    params(("name" = String, Path)), responses((status = 200, body = TroublesBody)))]
async fn troubles(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<TroublesBody>, Problem> {
    let seen = read(&app, &caller, |view| {
        let is_there = view.note(TARGET, &name)?.is_some();
        Ok::<_, StoreError>(if is_there { Some(seen_by(view, &name)?) } else { None })
    });
    let Some(seen) = seen.await? else { return Err(Problem::unknown("target of alerts called", name)) };
    let data = seen.into_iter().map(|(key, seen)| TroubleBody {
        key,
        kind: seen.kind.name().to_owned(),
        sentence: seen.sentence,
        since: seen.since.to_string(),
        told_at: seen.told_at.map(|at| at.to_string()),
        gone_since: seen.gone_since.map(|at| at.to_string()),
    });
    Ok(Json(TroublesBody { data: data.collect() }))
}

only_objects!(AlertInput);
