//! The inbox: what waits for a person, grouped by what is alike; one with its evidence, what could be done, and what was.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Redirect};
use axum::routing::{get, post};
use axum::{Form, Router};
use onhand_engine::View;
use onhand_engine::inbox::Which;
use onhand_ledger::DiscrepancyId;
use onhand_ledger::model::{Choice, Discrepancy};
use onhand_store::StoreError;
use onhand_sync::inbox::propose;
use serde::Deserialize;

use super::frame::Frame;
use super::session::Visitor;
use super::webhooks::{Ended, ended};
use super::{Shown, form_key, page, system_name, words};
use crate::App;
use crate::error::Problem;
use crate::v1::ask::{Ask, read};
use crate::v1::discrepancies::{apply_to, cause_name, cause_of, which};

/// How many discrepancies a page has.
const ROWS: usize = 50;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/discrepancies", get(list))
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

#[derive(Template)]
#[template(path = "discrepancies.html")]
struct Discrepancies {
    frame: Frame,
    groups: Vec<Group>,
    rows: Vec<Row>,
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
    let frame = Frame::of(&app, &caller, "/discrepancies").await?;
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let (cause, system) = (some(&wanted.cause), some(&wanted.system));
    let meant = cause.as_deref().map(cause_of).transpose()?;
    let found = read(&app, &caller, |view| {
        let mut groups = Vec::new();
        for group in view.inbox(Which::default())? {
            let name = system_name(view, group.system)?;
            let cause_said = cause_name(group.cause);
            groups.push(Group {
                href: format!(
                    "/discrepancies?cause={}&system={}",
                    words::part(&cause_said),
                    words::part(&name)
                ),
                is_here: cause.as_deref() == Some(&*cause_said) && system.as_deref() == Some(&*name),
                cause: words::plain(&cause_said),
                system: name,
                open: words::count(group.open),
                since: words::Time::of(group.oldest_at, view.now),
                sentence: group.sentence,
            });
        }
        let Some(which) = which(view, meant, system.as_deref())? else {
            return Ok((groups, Vec::new(), None));
        };
        let which = Which { open: Some(true), ..which };
        let (mut rows, mut last) = (Vec::new(), None);
        let found = view.discrepancies(which, DiscrepancyId(wanted.after), ROWS + 1)?;
        let is_more = found.len() > ROWS;
        for (id, known) in found.into_iter().take(ROWS) {
            last = Some(id.0);
            rows.push(row(view, id, known)?);
        }
        Ok((groups, rows, last.filter(|_| is_more)))
    });
    let (groups, rows, next) = found.await?;
    let next = next.map(|after| {
        let [cause, system] = [&wanted.cause, &wanted.system].map(|text| words::part(text));
        format!("/discrepancies?cause={cause}&system={system}&after={after}")
    });
    let ledger = app.handle.ledger().clone();
    let ended = read(&app, &caller, |view| ended(view, ledger.seal())).await?;
    let is_chosen = cause.is_some() || system.is_some();
    Ok(page(&Discrepancies { frame, groups, rows, next, is_chosen, ended })?)
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
    done: Vec<(words::Time, String, String)>,
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
    let done = view.done_about(id)?.into_iter();
    let done = done.map(|done| (words::Time::of(done.at, now), done.actor, words::plain(&done.proposal)));
    let location = known.location.map(|location| view.location(location)).transpose()?.flatten();
    Ok(Matter {
        proposals: proposals.collect(),
        done: done.collect(),
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
