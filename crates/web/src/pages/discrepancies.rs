//! The inbox: what waits for a person, grouped by what is alike; one with its evidence, what could be done, and what was.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Redirect};
use axum::routing::{get, post};
use axum::{Form, Router};
use onhand_engine::View;
use onhand_engine::inbox::Which;
use onhand_ledger::model::{Choice, Discrepancy};
use onhand_ledger::{DiscrepancyId, Entry, Seq};
use onhand_store::StoreError;
use onhand_sync::inbox::propose;
use serde::Deserialize;

use super::frame::Frame;
use super::session::Visitor;
use super::typed::Typed;
use super::webhooks::{Ended, ended};
use super::{Shown, form_key, page, system_name, words};
use crate::App;
use crate::auth::Caller;
use crate::error::Problem;
use crate::v1::ask::{Ask, read};
use crate::v1::discrepancies::{MOST, apply_each, apply_to, cause_name, cause_of, which};

/// How many discrepancies a page has.
const ROWS: usize = 50;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/discrepancies", get(list))
        .route("/discrepancies/apply", post(apply_many))
        .route("/discrepancies/{id}", get(show))
        .route("/discrepancies/{id}/apply", post(apply))
}

/// Discrepancies that are alike.
struct Group {
    cause: String,
    system: String,
    open: String,
    since: words::Time,
    sentence: String,
    href: String,
    is_here: bool,
}

struct Row {
    id: u64,
    sentence: String,
    cause: String,
    system: String,
    sku: Option<String>,
    href: String,
    opened: words::Time,
}

/// Which part of the inbox.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Wanted {
    cause: String,
    system: String,
    after: u64,
}

/// What could be done about several.
struct ForMany {
    name: &'static str,
    /// For so many of those that are shown.
    of_shown: usize,
}

/// Of what is shown together.
#[derive(Default)]
struct Together {
    rows: Vec<Row>,
    proposals: Vec<ForMany>,
    /// How many there are of the kind that is chosen, shown or not.
    all: usize,
}

/// What became of several.
struct Did {
    proposal: String,
    applied: usize,
    left: usize,
    /// Why the first of these was left.
    why: String,
}

#[derive(Template)]
#[template(path = "discrepancies.html")]
struct Discrepancies {
    frame: Frame,
    wanted: Wanted,
    groups: Vec<Group>,
    together: Together,
    did: Option<Did>,
    next: Option<String>,
    is_chosen: bool,
    /// Webhooks that are sent no more.
    ended: Vec<Ended>,
}

fn row(view: &mut View<'_>, id: DiscrepancyId, known: Discrepancy) -> Result<Row, StoreError> {
    let sku = known.item.map(|item| view.item(item)).transpose()?.flatten().map(|item| item.sku);
    Ok(Row {
        id: id.0,
        cause: words::plain(&cause_name(known.cause)),
        system: system_name(view, known.system)?,
        href: sku.as_deref().map(|sku| format!("/items/{}", words::part(sku))).unwrap_or_default(),
        sku,
        opened: words::Time::of(known.opened_at, view.now),
        sentence: known.sentence,
    })
}

async fn list(State(app): State<App>, Visitor(caller): Visitor, Query(wanted): Query<Wanted>) -> Shown {
    listed(&app, &caller, wanted, None).await
}

async fn listed(app: &App, caller: &Caller, wanted: Wanted, did: Option<Did>) -> Shown {
    let frame = Frame::of(app, caller, "/discrepancies").await?;
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let (cause, system) = (some(&wanted.cause), some(&wanted.system));
    let meant = cause.as_deref().map(cause_of).transpose()?;
    let found = read(app, caller, |view| {
        let (mut groups, mut all) = (Vec::new(), 0);
        for group in view.inbox(Which::default())? {
            let name = system_name(view, group.system)?;
            let cause_said = cause_name(group.cause);
            let is_here = cause.as_deref() == Some(&*cause_said) && system.as_deref() == Some(&*name);
            all += if is_here { group.open } else { 0 };
            groups.push(Group {
                href: format!(
                    "/discrepancies?cause={}&system={}",
                    words::part(&cause_said),
                    words::part(&name)
                ),
                is_here,
                cause: words::plain(&cause_said),
                system: name,
                open: words::count(group.open),
                since: words::Time::of(group.oldest_at, view.now),
                sentence: group.sentence,
            });
        }
        let Some(which) = which(view, meant, system.as_deref())? else {
            return Ok((groups, Together::default(), None));
        };
        let which = Which { open: Some(true), ..which };
        let (mut together, mut last) = (Together::default(), None);
        let mut counts = BTreeMap::<&'static str, usize>::new();
        let found = view.discrepancies(which, DiscrepancyId(wanted.after), ROWS + 1)?;
        let is_more = found.len() > ROWS;
        for (id, known) in found.into_iter().take(ROWS) {
            last = Some(id.0);
            // What needs a word of its own is done one by one.
            for proposal in propose(&view.matter(id, &known)?) {
                *counts.entry(proposal.name).or_default() += usize::from(!proposal.deed.needs_sku());
            }
            together.rows.push(row(view, id, known)?);
        }
        let mut proposals: Vec<ForMany> =
            counts.into_iter().map(|(name, of_shown)| ForMany { name, of_shown }).collect();
        proposals.retain(|one| one.of_shown > 0);
        proposals.sort_by_key(|one| (one.name == "dismiss", usize::MAX - one.of_shown));
        together.proposals = proposals;
        together.all = all;
        Ok((groups, together, last.filter(|_| is_more)))
    });
    let (groups, together, next) = found.await?;
    let next = next.map(|after| {
        let [cause, system] = [&wanted.cause, &wanted.system].map(|text| words::part(text));
        format!("/discrepancies?cause={cause}&system={system}&after={after}")
    });
    let ledger = app.handle.ledger().clone();
    let ended = read(app, caller, |view| ended(view, ledger.seal())).await?;
    let is_chosen = cause.is_some() || system.is_some();
    Ok(page(&Discrepancies { frame, wanted, groups, together, did, next, is_chosen, ended })?)
}

/// Does the same about those that are marked, or about all of a kind: each by itself, the oldest first.
async fn apply_many(
    State(app): State<App>,
    Visitor(caller): Visitor,
    Form(form): Form<Vec<(String, String)>>,
) -> Shown {
    let typed = Typed::new(form);
    let (proposal, cause, system) = (typed.get("proposal"), typed.get("cause"), typed.get("system"));
    let wanted = || Wanted { cause: cause.to_owned(), system: system.to_owned(), after: 0 };
    let about: Vec<DiscrepancyId> = if typed.get("of") == "all" {
        let meant = cause_of(cause)?;
        let found = read(&app, &caller, |view| {
            let Some(which) = which(view, Some(meant), Some(system))? else { return Ok(Vec::new()) };
            view.discrepancies(Which { open: Some(true), ..which }, DiscrepancyId(0), MOST)
        });
        found.await?.into_iter().map(|(id, _)| id).collect()
    } else {
        let ids = typed.all("id").map(|id| id.parse().map(DiscrepancyId));
        ids.collect::<Result<_, _>>().map_err(|_| Problem::of_field("id", "this is no discrepancy"))?
    };
    if about.is_empty() {
        return Err(Problem::of_field("id", "mark one or more of them first; nothing was done").into());
    }
    if about.len() > MOST {
        return Err(Problem::of_field("id", format!("at most {MOST} at once; nothing was done")).into());
    }
    let mut ask = Ask { caller: caller.clone(), key: None, fingerprint: 0, body: () };
    let done = apply_each(&app, &mut ask, about.into_iter(), proposal).await?;
    let why = done.left.first().map(|(id, problem)| format!("{id}: {}", problem.detail));
    let did = Did {
        proposal: words::plain(proposal),
        applied: done.applied.len(),
        left: done.left.len(),
        why: why.unwrap_or_default(),
    };
    listed(&app, &caller, wanted(), Some(did)).await
}

/// Something that could be done.
struct Proposed {
    name: String,
    sentence: String,
    needs_sku: bool,
}

struct Matter {
    row: Row,
    location: Option<String>,
    document: Option<String>,
    quantity: String,
    evidence: Option<String>,
    resolved: Option<words::Time>,
    chosen: Option<&'static str>,
    proposals: Vec<Proposed>,
    done: Vec<Done>,
}

/// Something that was done about it.
struct Done {
    at: words::Time,
    who: String,
    what: String,
    /// The movement that it made, in the ledger of its item, where it is undone if it can be.
    moved: Option<String>,
}

/// So many entries before the end of the log at the time are looked at for what was done.
const LOOKED_AT: Seq = 16;

/// The first movement that was made about a discrepancy, at or before a `seq`: its row in the item's ledger.
fn moved_about(view: &mut View<'_>, id: DiscrepancyId, seq: Seq) -> Result<Option<String>, StoreError> {
    let about = format!("discrepancy {id}");
    let mut found = None;
    for seq in (seq.saturating_sub(LOOKED_AT)..=seq).rev() {
        let Some((entry, record, ..)) = view.entry(seq)? else { continue };
        match (record.reference.as_deref() == Some(&about), entry) {
            (true, Entry::Movement(movement)) => found = Some((seq, movement.item)),
            (false, _) if found.is_some() => break,
            _ => {}
        }
    }
    let Some((seq, item)) = found else { return Ok(None) };
    let item = view.item(item)?;
    Ok(item.map(|item| format!("/items/{}?before={}#e{seq}", words::part(&item.sku), seq + 1)))
}

#[derive(Template)]
#[template(path = "discrepancy.html")]
struct Shows {
    frame: Frame,
    matter: Matter,
    key: String,
}

fn matter(view: &mut View<'_>, id: DiscrepancyId, known: Discrepancy) -> Result<Matter, StoreError> {
    let proposals = match known.resolved_at {
        None => propose(&view.matter(id, &known)?),
        Some(_) => Vec::new(),
    };
    let proposals = proposals.into_iter().map(|proposal| Proposed {
        name: proposal.name.to_owned(),
        needs_sku: proposal.deed.needs_sku(),
        sentence: proposal.sentence,
    });
    let now = view.now;
    let mut did = Vec::new();
    for done in view.done_about(id)? {
        let (at, what) = (words::Time::of(done.at, now), words::plain(&done.proposal));
        did.push(Done { at, who: done.actor, what, moved: moved_about(view, id, done.seq)? });
    }
    let location = known.location.map(|location| view.location(location)).transpose()?.flatten();
    Ok(Matter {
        proposals: proposals.collect(),
        done: did,
        location: location.map(|location| location.code),
        document: known.document.clone(),
        quantity: words::change(known.quantity),
        evidence: known.evidence.clone(),
        resolved: known.resolved_at.map(|at| words::Time::of(at, now)),
        chosen: known.chosen.map(Choice::name),
        row: row(view, id, known)?,
    })
}

async fn show(State(app): State<App>, Visitor(caller): Visitor, Path(id): Path<u64>) -> Shown {
    let frame = Frame::of(&app, &caller, "/discrepancies").await?;
    let id = DiscrepancyId(id);
    let found = read(&app, &caller, |view| match view.discrepancy(id)? {
        Some(known) => matter(view, id, known).map(Some),
        None => Ok(None),
    });
    let matter = found.await?.ok_or_else(|| Problem::unknown("discrepancy", id))?;
    Ok(page(&Shows { frame, matter, key: form_key()? })?)
}

#[derive(Deserialize)]
struct Applying {
    key: String,
    proposal: String,
    #[serde(default)]
    sku: String,
}

async fn apply(
    State(app): State<App>,
    Visitor(caller): Visitor,
    Path(id): Path<u64>,
    Form(form): Form<Applying>,
) -> Shown {
    let key = Some(form.key).filter(|key| (1..=255).contains(&key.len()));
    let text = format!("{id} {} {}", form.proposal, form.sku);
    let hash = blake3::hash(text.as_bytes());
    let fingerprint = u64::from_be_bytes(hash.as_bytes().first_chunk::<8>().copied().unwrap_or_default());
    let ask = Ask { caller, key, fingerprint, body: () };
    let sku = Some(form.sku.trim()).filter(|sku| !sku.is_empty());
    apply_to(&app, &ask, DiscrepancyId(id), &form.proposal, sku).await?;
    Ok(Redirect::to(&format!("/discrepancies/{id}")).into_response())
}
