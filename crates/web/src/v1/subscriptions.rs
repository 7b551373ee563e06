//! Webhooks that are sent: who subscribed to what, what became of each message, and sending again.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use onhand_channels::signed::new_secret;
use onhand_engine::seal::SealError;
use onhand_engine::subscriptions::{
    Ask as Asked, Event, Message, SUBSCRIPTION, Secret, Standing, Subscription, ask, forget, keep, messages,
    standing, subscriptions,
};
use onhand_engine::{View, subscriptions as engine};
use onhand_ledger::Instant;
use onhand_store::StoreError;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ask::{Ask, instant, read};
use super::page::PageQuery;
use super::systems::{not_kept, unsealed};
use crate::App;
use crate::auth::Caller;
use crate::body::only_objects;
use crate::error::Problem;
use crate::extract::{Path, Query};

/// So long a secret goes on signing beside the one that takes its place, unless told; and at most: a day, and a week.
const KEEPS: (u32, u32) = (86_400, 604_800);

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, put))
        .routes(routes!(remove))
        .routes(routes!(rotate))
        .routes(routes!(enable))
        .routes(routes!(test))
        .routes(routes!(replay))
        .routes(routes!(list_messages))
        .routes(routes!(resend))
}

/// What may be told.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, ToSchema)]
enum EventBody {
    #[serde(rename = "stock.changed")]
    StockChanged,
    #[serde(rename = "discrepancy.opened")]
    DiscrepancyOpened,
    #[serde(rename = "discrepancy.resolved")]
    DiscrepancyResolved,
    #[serde(rename = "order.changed")]
    OrderChanged,
}

impl From<EventBody> for Event {
    fn from(event: EventBody) -> Self {
        match event {
            EventBody::StockChanged => Self::StockChanged,
            EventBody::DiscrepancyOpened => Self::DiscrepancyOpened,
            EventBody::DiscrepancyResolved => Self::DiscrepancyResolved,
            EventBody::OrderChanged => Self::OrderChanged,
        }
    }
}

impl From<Event> for EventBody {
    fn from(event: Event) -> Self {
        match event {
            Event::StockChanged => Self::StockChanged,
            Event::DiscrepancyOpened => Self::DiscrepancyOpened,
            Event::DiscrepancyResolved => Self::DiscrepancyResolved,
            Event::OrderChanged => Self::OrderChanged,
        }
    }
}

/// Whom to send what.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct SubscriptionInput {
    /// Its name: 1 to 50 characters. One of that name gets this address and these events, and keeps its secret.
    name: String,
    /// Where to `POST` messages: an address that begins with https:// or http://. Kept sealed.
    url: String,
    /// Which; left out or empty: all.
    events: Option<Vec<EventBody>>,
}

/// Who is sent what, and how that goes. Nothing secret but where it is made.
#[derive(Debug, Serialize, ToSchema)]
struct SubscriptionBody {
    name: String,
    /// The host that messages are sent to; none where its secrets do not open.
    to: Option<String>,
    events: Vec<EventBody>,
    /// What messages are signed with: shown once, when the subscription is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    /// Until when the secret before it signs as well.
    old_secret_until: Option<String>,
    /// Nothing is sent since then, until a person enables it.
    off_at: Option<String>,
    /// Why nothing is sent, or the last attempt failed.
    trouble: Option<String>,
    /// Since when nothing was taken that was tried.
    failing_since: Option<String>,
    /// When a message was last taken.
    taken_at: Option<String>,
    /// So many were.
    taken: u64,
    /// So many wait to be taken.
    waiting: u64,
    /// So many were tried as often as is tried, and are kept to be sent again.
    given_up: u64,
    /// What the log says up to here is in messages.
    seq: u64,
}

fn host(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    host.rsplit('@').next().unwrap_or_default().to_owned()
}

impl SubscriptionBody {
    fn of(name: String, opened: Result<&Subscription, &SealError>, standing: Standing, now: Instant) -> Self {
        let trouble = match (&opened, &standing.off) {
            (Err(error), _) => Some(error.to_string()),
            (Ok(_), Some(off)) => Some(off.why.clone()),
            (Ok(_), None) => Some(standing.why).filter(|why| !why.is_empty()),
        };
        let mut body = Self {
            name,
            to: None,
            events: Vec::new(),
            secret: None,
            old_secret_until: None,
            off_at: standing.off.map(|off| off.at.to_string()),
            trouble,
            failing_since: standing.failing_since.map(|at| at.to_string()),
            taken_at: standing.taken_at.map(|at| at.to_string()),
            taken: standing.taken,
            waiting: standing.waiting,
            given_up: standing.given_up,
            seq: standing.seq,
        };
        if let Ok(known) = opened {
            let events = Event::ALL.into_iter().filter(|event| known.wants(*event));
            let until = known.secrets.iter().filter_map(|secret| secret.until).max();
            body.to = Some(host(&known.url));
            body.events = events.map(EventBody::from).collect();
            body.old_secret_until = until.filter(|until| now < *until).map(|at| at.to_string());
        }
        body
    }
}

/// All subscriptions.
#[derive(Debug, Serialize, ToSchema)]
struct SubscriptionsBody {
    data: Vec<SubscriptionBody>,
}

/// Who is sent webhooks of what, and how that goes.
#[utoipa::path(get, path = "/subscriptions", tag = "subscriptions", operation_id = "list_subscriptions",
    responses((status = 200, body = SubscriptionsBody)))]
async fn list(State(app): State<App>, caller: Caller) -> Result<Json<SubscriptionsBody>, Problem> {
    let ledger = app.handle.ledger().clone();
    let found = read(&app, &caller, |view| {
        let mut data = Vec::new();
        for (name, opened) in subscriptions(view, ledger.seal())? {
            let standing = match &opened {
                Ok(known) => standing(view, &known.id)?,
                Err(_) => Standing::default(),
            };
            data.push(SubscriptionBody::of(name, opened.as_ref(), standing, view.now));
        }
        Ok::<_, StoreError>(data)
    });
    Ok(Json(SubscriptionsBody { data: found.await? }))
}

fn random<const N: usize>() -> Result<[u8; N], Problem> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| Problem::internal("the operating system has no random bytes"))?;
    Ok(bytes)
}

/// Something that no other has.
fn mark() -> Result<String, Problem> {
    Ok(random::<16>()?.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn check_name(name: &str) -> Result<(), Problem> {
    let is_name = |letter: char| !letter.is_control() && letter != '/';
    if !(1..=50).contains(&name.chars().count()) || !name.chars().all(is_name) {
        let detail = "name must have 1 to 50 characters, none of them a control character or `/`";
        return Err(Problem::of_field("name", detail));
    }
    Ok(())
}

/// Sends webhooks to an address from now on. A new one is answered with its secret, which is shown once; one of that name gets the new
/// address and events.
#[utoipa::path(post, path = "/subscriptions", tag = "subscriptions", operation_id = "put_subscription",
    request_body = SubscriptionInput, responses((status = 200, body = SubscriptionBody), (status = 201, body = SubscriptionBody)))]
async fn put(State(app): State<App>, ask: Ask<SubscriptionInput>) -> Result<Response, Problem> {
    let SubscriptionInput { name, url, events } = &ask.body;
    check_name(name)?;
    let allowed = app.sender.may_call(url).await;
    allowed.map_err(|right| Problem::of_field("url", format!("url must be {right}")))?;
    let ledger = app.handle.ledger().clone();
    let found = read(&app, &ask.caller, |view| subscriptions(view, ledger.seal())).await?;
    let count = found.len();
    let before = found.into_iter().find(|(known, _)| known == name).map(|(_, opened)| opened);
    let before = before.transpose().map_err(|error| unsealed(&error))?;
    if before.is_none() && count >= engine::MOST {
        let detail = format!("there are {count} subscriptions, as many as there may be; remove one first");
        return Err(Problem::of_field("name", detail));
    }
    let now = ledger.clock().now();
    let is_new = before.is_none();
    let mut known = match before {
        Some(known) => known,
        None => {
            let secret = Secret { text: new_secret(random()?), until: None };
            Subscription {
                id: mark()?,
                name: name.clone(),
                url: String::new(),
                events: Vec::new(),
                secrets: vec![secret],
                made_at: now,
            }
        }
    };
    known.url.clone_from(url);
    known.events = events.iter().flatten().map(|event| Event::from(*event)).collect();
    keep(&app.handle, ask.caller.tenant, &known, is_new).await.map_err(not_kept)?;
    let standing = read(&app, &ask.caller, |view| standing(view, &known.id)).await?;
    let mut body = SubscriptionBody::of(name.clone(), Ok(&known), standing, now);
    body.secret = known.secrets.first().filter(|_| is_new).map(|secret| secret.text.clone());
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(body)).into_response())
}

/// Who is sent nothing any more.
#[derive(Debug, Serialize, ToSchema)]
struct UnsubscribedBody {
    /// The subscription.
    name: String,
}

/// Sends it nothing any more. What waits for it is let go of.
#[utoipa::path(delete, path = "/subscriptions/{name}", tag = "subscriptions", operation_id = "remove_subscription",
    params(("name" = String, Path)), responses((status = 200, body = UnsubscribedBody)))]
async fn remove(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<UnsubscribedBody>, Problem> {
    if forget(&app.handle, caller.tenant, &name).await? {
        Ok(Json(UnsubscribedBody { name }))
    } else {
        Err(unknown(&name))
    }
}

fn unknown(name: &str) -> Problem {
    Problem::unknown("subscription called", name)
}

/// The subscription of a name.
async fn named(app: &App, caller: &Caller, name: &str) -> Result<Subscription, Problem> {
    let ledger = app.handle.ledger().clone();
    let found = read(app, caller, |view| match view.note(SUBSCRIPTION, name)? {
        None => Ok(None),
        Some(_) => Ok(subscriptions(view, ledger.seal())?.into_iter().find(|(known, _)| known == name)),
    });
    let (_, opened) = found.await?.ok_or_else(|| unknown(name))?;
    opened.map_err(|error| unsealed(&error))
}

/// How long the secret before goes on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct RotateInput {
    /// So long both secrets sign, in seconds, so that the receiver can change at leisure: 0 to 604800; 86400 unless told.
    keep_seconds: Option<u32>,
}

/// The new secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SubscriptionRotatedBody)]
struct RotatedBody {
    /// The subscription.
    name: String,
    /// What messages are signed with from now on; shown once.
    secret: String,
    /// Until when the one before signs as well.
    old_secret_until: String,
}

/// Makes a new secret. The one before signs as well for a time: messages have two signatures then.
#[utoipa::path(post, path = "/subscriptions/{name}/rotate-secret", tag = "subscriptions",
    operation_id = "rotate_subscription_secret", params(("name" = String, Path)),
    request_body = RotateInput, responses((status = 200, body = RotatedBody)))]
async fn rotate(
    State(app): State<App>,
    Path(name): Path<String>,
    ask: Ask<RotateInput>,
) -> Result<Json<RotatedBody>, Problem> {
    let keeps = ask.body.keep_seconds.unwrap_or(KEEPS.0);
    if keeps > KEEPS.1 {
        return Err(Problem::of_field("keep_seconds", format!("keep_seconds must be 0 to {}", KEEPS.1)));
    }
    let mut known = named(&app, &ask.caller, &name).await?;
    let now = app.handle.ledger().clock().now();
    let (secret, until) = (new_secret(random()?), now.plus_seconds(keeps.into()));
    known.rotate(secret.clone(), until, now);
    keep(&app.handle, ask.caller.tenant, &known, false).await.map_err(not_kept)?;
    Ok(Json(RotatedBody { name, secret, old_secret_until: until.to_string() }))
}

/// It is done within a moment, by the node that sends.
#[derive(Debug, Serialize, ToSchema)]
struct AskedBody {
    /// The subscription.
    name: String,
    /// The message that is sent, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

async fn asked(
    app: &App,
    caller: &Caller,
    name: String,
    what: Asked,
    message: Option<String>,
) -> Result<Json<AskedBody>, Problem> {
    let known = named(app, caller, &name).await?;
    ask(&app.handle, caller.tenant, &known.id, &what, &mark()?).await?;
    Ok(Json(AskedBody { name, message }))
}

/// Sends it webhooks again, where that had ended: what waits and what was given up first, then all that came meanwhile.
#[utoipa::path(post, path = "/subscriptions/{name}/enable", tag = "subscriptions",
    operation_id = "enable_subscription", params(("name" = String, Path)),
    responses((status = 200, body = AskedBody)))]
async fn enable(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<AskedBody>, Problem> {
    asked(&app, &caller, name, Asked::Enable, None).await
}

/// What a test looks like.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct TestInput {
    /// What it tells; `stock.changed` unless told.
    event: Option<EventBody>,
}

/// Sends a message now that looks as others do and says `"test": true`.
#[utoipa::path(post, path = "/subscriptions/{name}/test", tag = "subscriptions", operation_id = "test_subscription",
    params(("name" = String, Path)), request_body = TestInput, responses((status = 200, body = AskedBody)))]
async fn test(
    State(app): State<App>,
    Path(name): Path<String>,
    ask: Ask<TestInput>,
) -> Result<Json<AskedBody>, Problem> {
    let event = ask.body.event.map_or(Event::StockChanged, Event::from);
    a_test(&app, &ask.caller, name, event).await
}

async fn a_test(app: &App, caller: &Caller, name: String, event: Event) -> Result<Json<AskedBody>, Problem> {
    let message = format!("msg_{}", mark()?);
    let what = Asked::Test { event, message: message.clone() };
    asked(app, caller, name, what, Some(message)).await
}

/// Which messages.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct ReplayInput {
    /// Those made since then (RFC 3339); all unless told.
    since: Option<String>,
    /// Not what was given up: the stock of all items, as it is now. False unless told.
    stock: Option<bool>,
}

/// Sends again what was given up; or, for whoever begins, the stock of all items as `stock.changed`.
#[utoipa::path(post, path = "/subscriptions/{name}/replay", tag = "subscriptions",
    operation_id = "replay_subscription", params(("name" = String, Path)),
    request_body = ReplayInput, responses((status = 200, body = AskedBody)))]
async fn replay(
    State(app): State<App>,
    Path(name): Path<String>,
    ask: Ask<ReplayInput>,
) -> Result<Json<AskedBody>, Problem> {
    let since = instant("since", ask.body.since.as_deref())?;
    let what = if ask.body.stock == Some(true) { Asked::Stock } else { Asked::Replay { since } };
    asked(&app, &ask.caller, name, what, None).await
}

/// One attempt to send a message.
#[derive(Debug, Serialize, ToSchema)]
struct AttemptBody {
    /// When it was made.
    attempted_at: String,
    /// How long the answer took, in milliseconds.
    took_ms: u64,
    /// What was answered; none: nothing was.
    status: Option<u16>,
    /// What it said besides, or why nothing was answered.
    said: String,
}

/// A message.
#[derive(Debug, Serialize, ToSchema)]
struct MessageBody {
    /// Its `webhook-id`, the same at each attempt.
    id: String,
    event: EventBody,
    /// `waiting`, `given_up` or `taken`.
    fate: &'static str,
    made_at: String,
    /// When it is sent next, where it waits.
    due_at: Option<String>,
    /// What is sent, byte for byte.
    body: String,
    /// The last attempts, the oldest first.
    attempts: Vec<AttemptBody>,
}

impl From<Message> for MessageBody {
    fn from(message: Message) -> Self {
        let is_waiting = message.fate == engine::Fate::Waiting;
        let attempts = message.attempts.into_iter().map(|attempt| AttemptBody {
            attempted_at: attempt.at.to_string(),
            took_ms: attempt.took_ms,
            status: attempt.status,
            said: attempt.said,
        });
        Self {
            id: message.id,
            event: message.event.into(),
            fate: message.fate.name(),
            made_at: message.made_at.to_string(),
            due_at: is_waiting.then(|| message.due_at.to_string()),
            body: message.body,
            attempts: attempts.collect(),
        }
    }
}

/// Messages of a subscription.
#[derive(Debug, Serialize, ToSchema)]
struct MessagesBody {
    data: Vec<MessageBody>,
    /// Are there more?
    has_more: bool,
}

/// Which messages.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct MessagesQuery {
    /// How many at most: 1 to 100; 50 unless told.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<usize>,
    /// Only those that became this: `waiting`, `given_up` or `taken`.
    fate: Option<String>,
}

/// The messages of a subscription, the newest first, each with its attempts and what was answered: all that wait or were given up, and the
/// last 200 that were taken.
#[utoipa::path(get, path = "/subscriptions/{name}/messages", tag = "subscriptions",
    operation_id = "list_subscription_messages", params(("name" = String, Path), MessagesQuery),
    responses((status = 200, body = MessagesBody)))]
async fn list_messages(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Query(query): Query<MessagesQuery>,
) -> Result<Json<MessagesBody>, Problem> {
    let limit = PageQuery { limit: query.limit, cursor: None }.limit()?;
    if let Some(fate) = query.fate.as_deref().filter(|fate| !["waiting", "given_up", "taken"].contains(fate))
    {
        let detail = format!("`{fate}` is no fate of a message; there are waiting, given_up and taken");
        return Err(Problem::of_field("fate", detail));
    }
    let known = named(&app, &caller, &name).await?;
    let mut all = read(&app, &caller, |view| messages(view, &known.id)).await?;
    all.retain(|message| query.fate.as_deref().is_none_or(|fate| fate == message.fate.name()));
    let has_more = all.len() > limit;
    all.truncate(limit);
    Ok(Json(MessagesBody { data: all.into_iter().map(MessageBody::from).collect(), has_more }))
}

/// Sends a message again, as it was and under the same id, whatever became of it.
#[utoipa::path(post, path = "/subscriptions/{name}/messages/{message}/resend", tag = "subscriptions",
    operation_id = "resend_message", params(("name" = String, Path), ("message" = String, Path)),
    responses((status = 200, body = AskedBody)))]
async fn resend(
    State(app): State<App>,
    caller: Caller,
    Path((name, message)): Path<(String, String)>,
) -> Result<Json<AskedBody>, Problem> {
    again(&app, &caller, name, message).await.map(Json)
}

/// What a page asks for.
pub(crate) enum Asking {
    Enable,
    Replay,
    Resend(String),
    Test,
}

/// Does what a page asks for, as the API would.
pub(crate) async fn do_as_asked(
    app: &App,
    caller: &Caller,
    name: &str,
    asking: Asking,
) -> Result<(), Problem> {
    let name = name.to_owned();
    match asking {
        Asking::Enable => _ = asked(app, caller, name, Asked::Enable, None).await?,
        Asking::Replay => _ = asked(app, caller, name, Asked::Replay { since: None }, None).await?,
        Asking::Resend(message) => _ = again(app, caller, name, message).await?,
        Asking::Test => _ = a_test(app, caller, name, Event::StockChanged).await?,
    }
    Ok(())
}

async fn again(app: &App, caller: &Caller, name: String, message: String) -> Result<AskedBody, Problem> {
    let known = named(app, caller, &name).await?;
    let is_known = |view: &mut View<'_>| {
        Ok::<_, StoreError>(messages(view, &known.id)?.iter().any(|known| known.id == message))
    };
    if !read(app, caller, is_known).await? {
        return Err(Problem::unknown("message of it called", message));
    }
    let what = Asked::Resend { message: message.clone() };
    ask(&app.handle, caller.tenant, &known.id, &what, &mark()?).await?;
    Ok(AskedBody { name, message: Some(message) })
}

only_objects!(SubscriptionInput, RotateInput, TestInput, ReplayInput);
