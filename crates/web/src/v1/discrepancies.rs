//! The inbox: differences that lag does not explain, and whatever waits for a person; what could be done about them, and
//! what was.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use onhand_engine::inbox::{Done, Group, Which, done_note};
use onhand_engine::snapshots::decide;
use onhand_engine::systems::connecting::{Act, linked, settle};
use onhand_engine::systems::found::told_by;
use onhand_engine::{Committed, View};
use onhand_ledger::command::{Noted, Resolve};
use onhand_ledger::model::{Cause, Choice, Discrepancy, System};
use onhand_ledger::{Answer, Body, DiscrepancyId, SystemId};
use onhand_store::StoreError;
use onhand_sync::inbox::{Chosen, Deed, Proposal, map, propose};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::Made;
use super::ask::{Ask, read, reply};
use super::page::{Page, PageQuery};
use super::systems::sent::{MasterDocumentBody, sent_to_masters};
use super::systems::steps::{ActBody, ChosenBody, MatchedBy, SettleBody, settled};
use crate::App;
use crate::auth::{Caller, Right};
use crate::body::only_objects;
use crate::decimal::Decimal;
use crate::error::Problem;
use crate::extract::{Id, Query};

/// So many are dealt with in one request.
pub(crate) const MOST: usize = 1_000;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get))
        .routes(routes!(resolve))
        .routes(routes!(apply))
        .routes(routes!(groups))
        .routes(routes!(apply_all))
}

/// A discrepancy.
#[derive(Debug, Serialize, ToSchema)]
struct DiscrepancyBody {
    id: u64,
    /// Why it came up, such as `short` or `manual_edit`.
    cause: String,
    /// What happened, and what would be right.
    sentence: String,
    sku: Option<String>,
    location: Option<String>,
    system: String,
    document: Option<String>,
    quantity: Decimal,
    /// What was told, as it was told.
    evidence: Option<String>,
    opened_at: String,
    resolved_at: Option<String>,
    /// What may be chosen, where it is a question: `set_back`, `adopt`, `approve`, `reject`.
    choices: Vec<&'static str>,
    /// What was chosen.
    chosen: Option<&'static str>,
}

pub(crate) fn cause_name(cause: Cause) -> String {
    let name = serde_json::to_value(cause).ok();
    name.and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}

pub(crate) fn cause_of(name: &str) -> Result<Cause, Problem> {
    serde_json::from_value(name.into()).map_err(|error| {
        let said = error.to_string();
        let known = said.split_once("expected ").map_or("", |(_, known)| known);
        Problem::of_field("cause", format!("`{name}` is no cause; there are {known}"))
    })
}

fn body(view: &mut View<'_>, id: DiscrepancyId, known: Discrepancy) -> Result<DiscrepancyBody, StoreError> {
    let sku = known.item.map(|item| view.item(item)).transpose()?.flatten().map(|item| item.sku);
    let location = known.location.map(|location| view.location(location)).transpose()?.flatten();
    let system = view.system(known.system)?.map_or_else(|| "onhand".to_owned(), |system| system.name);
    Ok(DiscrepancyBody {
        id: id.0,
        cause: cause_name(known.cause),
        sentence: known.sentence,
        sku,
        location: location.map(|location| location.code),
        system,
        document: known.document,
        quantity: known.quantity.into(),
        evidence: known.evidence,
        opened_at: known.opened_at.to_string(),
        resolved_at: known.resolved_at.map(|at| at.to_string()),
        choices: known.choices.iter().map(|choice| choice.name()).collect(),
        chosen: known.chosen.map(Choice::name),
    })
}

/// Which discrepancies.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct DiscrepanciesQuery {
    /// How many at most: 1 to 100; 50 unless told.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Only of this cause, such as `short`.
    cause: Option<String>,
    /// Only from this system.
    system: Option<String>,
    /// `true`: only open ones; `false`: only those that have ended.
    open: Option<String>,
}

/// Which part of the inbox.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct InboxQuery {
    /// Only of this cause, such as `short`.
    cause: Option<String>,
    /// Only from this system.
    system: Option<String>,
}

/// What is meant by names; none where there is no such system.
pub(crate) fn which(
    view: &mut View<'_>,
    cause: Option<Cause>,
    system: Option<&str>,
) -> Result<Option<Which>, StoreError> {
    let system = match system {
        None => None,
        Some("onhand") => Some(onhand_ledger::SystemId::ONHAND),
        Some(name) => match view.system_by_name(name)? {
            Some((id, _)) => Some(id),
            None => return Ok(None),
        },
    };
    Ok(Some(Which { cause, system, open: None }))
}

fn no_system(name: Option<&str>) -> Problem {
    Problem::of_field("system", format!("no system is called `{}`", name.unwrap_or_default()))
}

/// Discrepancies, the oldest first; resolved ones too unless `open` says otherwise.
#[utoipa::path(get, path = "/discrepancies", tag = "discrepancies", params(DiscrepanciesQuery),
    responses((status = 200, body = Page<DiscrepancyBody>)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<DiscrepanciesQuery>,
) -> Result<Json<Page<DiscrepancyBody>>, Problem> {
    let DiscrepanciesQuery { limit, cursor, cause, system, open } = query;
    let page = PageQuery { limit, cursor };
    let (limit, after) = (page.limit()?, page.after("discrepancies")?);
    let cause = cause.as_deref().map(cause_of).transpose()?;
    let open = match open.as_deref() {
        None => None,
        Some("true") => Some(true),
        Some("false") => Some(false),
        Some(other) => {
            return Err(Problem::of_field("open", format!("`open` is `{other}`; it must be true or false")));
        }
    };
    let found = read(&app, &caller, |view| {
        let Some(which) = which(view, cause, system.as_deref())? else { return Ok(None) };
        let which = Which { open, ..which };
        let mut rows = Vec::new();
        for (id, known) in view.discrepancies(which, DiscrepancyId(after), limit + 1)? {
            rows.push((id.0, body(view, id, known)?));
        }
        Ok(Some(Page::new("discrepancies", rows, limit, view.seq())))
    });
    found.await?.map(Json).ok_or_else(|| no_system(system.as_deref()))
}

/// Something that could be done about a discrepancy.
#[derive(Debug, Serialize, ToSchema)]
struct ProposalBody {
    /// What it is applied by; the same for all that is alike.
    name: String,
    /// What would be done.
    sentence: String,
    /// Is a SKU to be told with it?
    needs_sku: bool,
    /// The command that does it, as `POST /v1/commands` would take it; none where a SKU is to be told, or no single command does it.
    #[schema(value_type = Option<Object>)]
    command: Option<Body>,
}

impl From<Proposal> for ProposalBody {
    fn from(proposal: Proposal) -> Self {
        let Proposal { name, sentence, deed } = proposal;
        let (needs_sku, command) = (deed.needs_sku(), deed.body().cloned());
        Self { name: name.to_owned(), sentence, needs_sku, command }
    }
}

/// Something that was done about a discrepancy.
#[derive(Debug, Serialize, ToSchema)]
struct DoneBody {
    /// The proposal.
    proposal: String,
    /// Who chose it: the API key.
    actor: String,
    at: String,
    /// The log as of then: the change is at or before this entry.
    seq: u64,
}

/// A discrepancy, what could be done about it, and what was.
#[derive(Debug, Serialize, ToSchema)]
struct MatterBody {
    discrepancy: DiscrepancyBody,
    /// What helps most comes first. None once it has ended.
    proposals: Vec<ProposalBody>,
    /// What was done about it, the first first.
    done: Vec<DoneBody>,
    /// Where it was sent, if it asks a system to count, and what that answered.
    sent: Vec<MasterDocumentBody>,
}

/// A discrepancy, what could be done about it, and what was.
#[utoipa::path(get, path = "/discrepancies/{id}", tag = "discrepancies", params(("id" = u64, Path)),
    responses((status = 200, body = MatterBody)))]
async fn get(State(app): State<App>, caller: Caller, Id(id): Id) -> Result<Json<MatterBody>, Problem> {
    let id = DiscrepancyId(id);
    let found = read(&app, &caller, |view| {
        let Some(known) = view.discrepancy(id)? else { return Ok(None) };
        let proposals = match known.resolved_at {
            None => propose(&view.matter(id, &known)?),
            Some(_) => Vec::new(),
        };
        let done = view.done_about(id)?.into_iter().map(|done| DoneBody {
            proposal: done.proposal,
            actor: done.actor,
            at: done.at.to_string(),
            seq: done.seq,
        });
        let (proposals, done) = (proposals.into_iter().map(ProposalBody::from).collect(), done.collect());
        let sent = sent_to_masters(view, id.0)?;
        Ok(Some(MatterBody { discrepancy: body(view, id, known)?, proposals, done, sent }))
    });
    found.await?.map(Json).ok_or_else(|| Problem::unknown("discrepancy", id))
}

/// An answer to a discrepancy that is a question: a change over there is set back or becomes an adjustment; zeros that are held are sent,
/// or stay as they are.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ChoiceInput {
    SetBack,
    Adopt,
    Approve,
    Reject,
}

/// How it is ended.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct ResolveInput {
    /// One of its `choices`, where it has any.
    choice: Option<ChoiceInput>,
}

/// Ends a discrepancy, or answers it where it is a question.
#[utoipa::path(post, path = "/discrepancies/{id}/resolve", tag = "discrepancies", params(("id" = u64, Path)),
    request_body = ResolveInput, responses((status = 200, body = Made)))]
async fn resolve(State(app): State<App>, Id(id): Id, ask: Ask<ResolveInput>) -> Result<Response, Problem> {
    let choice = ask.body.choice.map(|choice| match choice {
        ChoiceInput::SetBack => Choice::SetBack,
        ChoiceInput::Adopt => Choice::Adopt,
        ChoiceInput::Approve => Choice::Approve,
        ChoiceInput::Reject => Choice::Reject,
    });
    let body = Body::Resolve(Resolve { discrepancy: DiscrepancyId(id), choice });
    let committed = ask.submit(&app, body).await?;
    Ok(reply(StatusCode::OK, &committed, Made::of(&committed.answer)))
}

/// What to do about a discrepancy.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct ApplyProposal {
    /// One of its proposals, by its name.
    proposal: String,
    /// The SKU that it needs.
    sku: Option<String>,
}

/// What was done about a discrepancy.
#[derive(Debug, Serialize, ToSchema)]
struct AppliedBody {
    /// The discrepancy.
    id: u64,
    /// The proposal.
    proposal: String,
}

/// Does what is proposed about a discrepancy. Where the command that does it is refused the answer says why, and nothing
/// was done.
#[utoipa::path(post, path = "/discrepancies/{id}/apply", tag = "discrepancies", params(("id" = u64, Path)),
    responses((status = 200, body = AppliedBody)))]
async fn apply(State(app): State<App>, Id(id): Id, ask: Ask<ApplyProposal>) -> Result<Response, Problem> {
    let id = DiscrepancyId(id);
    let ApplyProposal { proposal, sku } = &ask.body;
    let committed = apply_to(&app, &ask, id, proposal, sku.as_deref()).await?;
    Ok(reply(StatusCode::OK, &committed, AppliedBody { id: id.0, proposal: proposal.clone() }))
}

/// What is to be done about an open discrepancy.
struct Found {
    deed: Option<Deed>,
    system: Option<(SystemId, System)>,
    /// What maps it to the SKU that was told.
    map: Option<Body>,
    names: String,
}

/// Does what is proposed about a discrepancy, and keeps that it was done.
pub(crate) async fn apply_to<T>(
    app: &App,
    ask: &Ask<T>,
    id: DiscrepancyId,
    proposal: &str,
    sku: Option<&str>,
) -> Result<Committed, Problem> {
    let found = read(app, &ask.caller, |view| {
        let Some(known) = view.discrepancy(id)? else { return Ok(None) };
        let done = view.done_about(id)?;
        if known.resolved_at.is_some() {
            return Ok(Some((None, done)));
        }
        let matter = view.matter(id, &known)?;
        let proposals = propose(&matter);
        let names: Vec<String> = proposals.iter().map(|known| format!("`{}`", known.name)).collect();
        let map = sku.and_then(|sku| map(&matter, sku));
        let deed = proposals.into_iter().find(|known| known.name == proposal).map(|known| known.deed);
        let system = view.system(known.system)?.map(|system| (known.system, system));
        Ok(Some((Some(Found { deed, system, map, names: names.join(", ") }), done)))
    });
    let (found, mut done) = found.await?.ok_or_else(|| Problem::unknown("discrepancy", id))?;
    let Some(Found { deed, system, map, names }) = found else {
        let is_this = |done: &&Done| {
            done.key.is_some()
                && done.key == ask.key
                && done.proposal == proposal
                && done.actor == ask.caller.name
        };
        if let Some(before) = done.iter().find(is_this) {
            return Ok(Committed { answer: Answer::Ticked(0), seq: before.seq, replayed: true });
        }
        // Under a key it was ended with the ledger answers what it answered then, and else that it has ended.
        let end = Body::Resolve(Resolve { discrepancy: id, choice: None });
        return submit_about(app, ask, id, proposal, end).await;
    };
    let Some(deed) = deed else {
        let detail = format!("discrepancy {id} has no proposal `{proposal}`; it has {names}");
        return Err(Problem::of_field("proposal", detail));
    };
    if deed.needs_sku() && sku.is_none() {
        return Err(Problem::of_field("sku", format!("`{proposal}` needs a `sku`: which item it is")));
    }
    let system = system.ok_or_else(|| Problem::unknown("discrepancy", id));
    let (committed, key) = match deed {
        Deed::Commit(body) => (submit_about(app, ask, id, proposal, *body).await?, None),
        Deed::Map => {
            let body = map.ok_or_else(|| Problem::unknown("discrepancy", id))?;
            let listing = match &body {
                Body::PutListing(put) => Some(put.remote_id.clone()),
                _ => None,
            };
            let committed = submit_about(app, ask, id, proposal, body).await?;
            if let Some(remote_id) = listing {
                let Caller { tenant, name, .. } = &ask.caller;
                linked(&app.handle, *tenant, name, system?.0, &remote_id).await?;
            }
            (committed, None)
        }
        Deed::Snapshot { document, approve } => {
            if approve {
                ask.caller.must_have(Right::Approve)?;
            }
            let (tenant, by) = (ask.caller.tenant, &ask.caller.name);
            let decided = decide(&app.handle, tenant, &system?.1.name, &document, approve, by).await;
            decided.map_err(|error| Problem::from(error).of_proposal())?;
            (done_now(app, ask).await?, ask.key.clone())
        }
        Deed::Listing { remote_id, chosen } => {
            let act = match (chosen, sku) {
                (Chosen::Link, Some(sku)) => Act::Link { sku: sku.to_owned(), multiplier: 1 },
                (Chosen::Ignore, _) => Act::Ignore,
                (Chosen::Make | Chosen::Link, _) => Act::Make,
            };
            let ((system_id, system), Caller { tenant, name, .. }) = (system?, &ask.caller);
            let settled = settle(&app.handle, *tenant, name, system_id, &system, &remote_id, act).await?;
            settled.map_err(|why| Problem::of_field("proposal", why))?;
            (done_now(app, ask).await?, ask.key.clone())
        }
        Deed::Listings { chosen } => {
            settle_together(app, &ask.caller, id, &system?.1.name, chosen).await?;
            (done_now(app, ask).await?, ask.key.clone())
        }
    };
    if !committed.replayed {
        let (actor, at) = (ask.caller.name.clone(), app.handle.ledger().clock().now());
        done.push(Done { proposal: proposal.to_owned(), actor, at, seq: committed.seq, key });
        app.handle.submit_with(ask.caller.tenant, None, vec![done_note(id, &done)]).await?;
    }
    Ok(committed)
}

/// Does the same with all listings that a discrepancy tells of and that still wait. A problem where it could be done with none.
async fn settle_together(
    app: &App,
    caller: &Caller,
    id: DiscrepancyId,
    system: &str,
    chosen: Chosen,
) -> Result<(), Problem> {
    let action = match chosen {
        Chosen::Link => ActBody::Link,
        Chosen::Make => ActBody::Make,
        Chosen::Ignore => ActBody::Ignore,
    };
    let told = read(app, caller, |view| told_by(view, id)).await?;
    let listings = told.into_iter().map(|remote_id| ChosenBody { remote_id, sku: None, multiplier: None });
    let (listings, by) = (Some(listings.collect()), Some(vec![MatchedBy::Sku, MatchedBy::Barcode]));
    let settled = settled(app, caller, system, &SettleBody { action, listings, by }).await?;
    match settled.reasons.into_iter().next() {
        Some(reason) if settled.done == 0 => {
            let left = settled.left;
            let problem = format!(
                "nothing was done: none of these {left} listings could be, such as {reason}. See GET /v1/systems/{system}/matches, where \
                 each can be linked by its `sku`, made an item or ignored"
            );
            Err(Problem::of_field("proposal", problem))
        }
        _ => Ok(()),
    }
}

/// A read at its `seq` sees what was just done.
async fn done_now<T>(app: &App, ask: &Ask<T>) -> Result<Committed, Problem> {
    let seq = read(app, &ask.caller, |view| Ok(view.seq())).await?;
    Ok(Committed { answer: Answer::Ticked(0), seq, replayed: false })
}

async fn submit_about<T>(
    app: &App,
    ask: &Ask<T>,
    id: DiscrepancyId,
    proposal: &str,
    body: Body,
) -> Result<Committed, Problem> {
    // A document is told as it was; all else names what it was done about.
    let body = match body {
        Body::Record(_) => body,
        body => Body::Noted(Box::new(Noted {
            reference: Some(format!("discrepancy {id}")),
            note: Some(proposal.to_owned()),
            body,
        })),
    };
    ask.submit(app, body).await.map_err(Problem::of_proposal)
}

/// Open discrepancies that are alike: of one cause, from one system.
#[derive(Debug, Serialize, ToSchema)]
struct GroupBody {
    /// Why they came up, such as `short` or `manual_edit`.
    cause: String,
    /// Whose word started them.
    system: String,
    /// How many are open.
    open: usize,
    /// The oldest.
    oldest: u64,
    /// When the oldest came up.
    oldest_at: String,
    /// When the newest came up.
    newest_at: String,
    /// What the oldest says.
    sentence: String,
    /// What could be done about all that is alike.
    proposals: Vec<GroupProposal>,
}

/// What could be done about many.
#[derive(Debug, Serialize, ToSchema)]
struct GroupProposal {
    name: String,
    /// For how many of the first 100 of the group.
    of_first_100: usize,
}

/// The inbox: what is open, grouped by cause and system. What there is most of comes first.
#[derive(Debug, Serialize, ToSchema)]
struct InboxBody {
    seq: u64,
    groups: Vec<GroupBody>,
}

/// The inbox: what is open, grouped by cause and system.
#[utoipa::path(get, path = "/inbox", tag = "discrepancies", operation_id = "show_inbox", params(InboxQuery),
    responses((status = 200, body = InboxBody)))]
async fn groups(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<InboxQuery>,
) -> Result<Json<InboxBody>, Problem> {
    let cause = query.cause.as_deref().map(cause_of).transpose()?;
    let found = read(&app, &caller, |view| {
        let Some(which) = which(view, cause, query.system.as_deref())? else { return Ok(None) };
        let mut groups = Vec::new();
        for group in view.inbox(which)? {
            let Group { cause, system, open, oldest, oldest_at, newest_at, sentence, proposals } = group;
            let system = view.system(system)?.map_or_else(|| "onhand".to_owned(), |system| system.name);
            let proposals = proposals
                .into_iter()
                .map(|(name, of_first_100)| GroupProposal { name: name.to_owned(), of_first_100 });
            groups.push(GroupBody {
                cause: cause_name(cause),
                system,
                open,
                oldest: oldest.0,
                oldest_at: oldest_at.to_string(),
                newest_at: newest_at.to_string(),
                sentence,
                proposals: proposals.collect(),
            });
        }
        Ok(Some(InboxBody { seq: view.seq(), groups }))
    });
    found.await?.map(Json).ok_or_else(|| no_system(query.system.as_deref()))
}

/// What to do about all that is alike.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct ApplyAll {
    /// Only what came up for this reason.
    cause: String,
    /// Only what this system's word started.
    system: String,
    /// The proposal, by its name. What has none of that name is left as it is.
    proposal: String,
}

/// What was not done.
#[derive(Debug, Serialize, ToSchema)]
struct LeftBody {
    /// The discrepancy.
    id: u64,
    /// Why.
    problem: Problem,
}

/// What was done about all that is alike.
#[derive(Debug, Serialize, ToSchema)]
struct AppliedAllBody {
    /// The discrepancies that it was done about.
    applied: Vec<u64>,
    /// Those that it was not done about, and why.
    left: Vec<LeftBody>,
    /// There are more: a request deals with 1,000. Ask again.
    has_more: bool,
}

/// Does the same about all that is alike, one by one, the oldest first: up to 1,000 in a request.
#[utoipa::path(post, path = "/inbox/apply", tag = "discrepancies", operation_id = "apply_to_all",
    responses((status = 200, body = AppliedAllBody)))]
async fn apply_all(State(app): State<App>, mut ask: Ask<ApplyAll>) -> Result<Json<AppliedAllBody>, Problem> {
    let ApplyAll { cause, system, proposal } = &ask.body;
    let (cause, proposal) = (cause_of(cause)?, proposal.clone());
    let found = read(&app, &ask.caller, |view| {
        let Some(which) = which(view, Some(cause), Some(system))? else { return Ok(None) };
        let which = Which { open: Some(true), ..which };
        Ok(Some(view.discrepancies(which, DiscrepancyId(0), MOST + 1)?))
    });
    let mut found = found.await?.ok_or_else(|| no_system(Some(system)))?;
    let has_more = found.len() > MOST;
    found.truncate(MOST);
    let done = apply_each(&app, &mut ask, found.into_iter().map(|(id, _)| id), &proposal).await?;
    let left = done.left.into_iter().map(|(id, problem)| LeftBody { id: id.0, problem }).collect();
    Ok(Json(AppliedAllBody { applied: done.applied, left, has_more }))
}

/// What was done about many, one by one.
pub(crate) struct AppliedEach {
    /// The discrepancies that it was done about.
    pub applied: Vec<u64>,
    /// Those that it was not done about, and why.
    pub left: Vec<(DiscrepancyId, Problem)>,
}

/// Does the same about each of many.
pub(crate) async fn apply_each<T>(
    app: &App,
    ask: &mut Ask<T>,
    about: impl Iterator<Item = DiscrepancyId>,
    proposal: &str,
) -> Result<AppliedEach, Problem> {
    // What was done is done no second time: each by itself has no key.
    ask.key = None;
    let (mut applied, mut left) = (Vec::new(), Vec::new());
    for id in about {
        match apply_to(app, ask, id, proposal, None).await {
            Ok(_) => applied.push(id.0),
            Err(problem) if problem.status == 503 => return Err(problem),
            Err(problem) => left.push((id, problem)),
        }
    }
    Ok(AppliedEach { applied, left })
}

only_objects!(ResolveInput, ApplyProposal, ApplyAll);
