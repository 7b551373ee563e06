//! The floor: a clerk with a scanner. One field has every scan; a scan is a step of a task, and one command at most.
//!
//! All of where somebody stands in a task is in the page's address and its forms ([`standing`]); nothing of it is kept here. Each scan comes
//! with a key that whoever made it chose, so that one which is sent again, after an answer was lost, is done once. What a scan
//! means is found by [`meant`], what follows from it by [`steps`] and [`count`]; what was done lately is read from the ledger
//! ([`done`]). A script (`frontend/src/floor.ts`) keeps scans while there is no connection; it posts the same forms and
//! shows the same pages.

mod count;
mod done;
mod meant;
mod offer;
mod standing;
mod steps;

use std::sync::LazyLock;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use onhand_engine::View;
use onhand_ledger::command::ApplySession;
use onhand_ledger::{Answer, Body, SessionId};
use onhand_store::StoreError;

use self::count::Sheet;
use self::done::{Row, taken_back};
use self::meant::{Meant, meant};
use self::offer::Offer;
use self::standing::{Scan, Standing};
use super::frame::Frame;
use super::session::Visitor;
use super::{Shown, act_as, assets, form_key, page, words};
use crate::App;
use crate::auth::Caller;
use crate::error::Problem;
use crate::guard;
use crate::role::Role;
use crate::v1::ask::read;

/// Whoever sends it shows the page that is answered, whatever came of the scan: it is not led anywhere.
const BY_SCRIPT: &str = "floor-scan";

/// As everywhere, and a module of WebAssembly may be compiled: what reads barcodes in the camera's picture is one, of our own.
/// <https://www.w3.org/TR/CSP3/#wasm-integration>
static CONTENT_SECURITY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let policy = guard::PAGE.replace("script-src 'self'", "script-src 'self' 'wasm-unsafe-eval'");
    HeaderValue::from_str(&policy).expect("a policy is plain text")
});

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/floor", get(menu))
        .route("/floor/look-up", get(look).post(look_up))
        .route("/floor/{task}", get(show).post(scan))
        .route("/floor/{task}/undo", post(undo))
        .route("/floor/count/book", post(book))
        .layer(middleware::map_response(may_compile))
}

async fn may_compile(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY.clone());
    response
}

/// What is done on the floor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Task {
    Receive,
    PutAway,
    Count,
    Transfer,
    LookUp,
}

impl Task {
    const ALL: [Self; 5] = [Self::Receive, Self::PutAway, Self::Count, Self::Transfer, Self::LookUp];

    fn named(name: &str) -> Result<Self, Problem> {
        let found = Self::ALL.into_iter().find(|task| task.name() == name);
        found.ok_or_else(|| Problem::unknown("task on the floor", name))
    }

    /// Its name in the address.
    const fn name(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::PutAway => "put-away",
            Self::Count => "count",
            Self::Transfer => "transfer",
            Self::LookUp => "look-up",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Receive => "Receive",
            Self::PutAway => "Put away",
            Self::Count => "Count",
            Self::Transfer => "Transfer",
            Self::LookUp => "Look up",
        }
    }

    const fn about(self) -> &'static str {
        match self {
            Self::Receive => "What suppliers and other locations send",
            Self::PutAway => "From where it came in to its shelf",
            Self::Count => "What lies there, by what you see",
            Self::Transfer => "From one location to another",
            Self::LookUp => "What it is, and where it lies",
        }
    }

    fn path(self) -> String {
        format!("/floor/{}", self.name())
    }

    /// What the place is that somebody is at.
    const fn here(self) -> &'static str {
        match self {
            Self::Receive => "Comes in at",
            Self::Count => "You count at",
            Self::PutAway | Self::Transfer | Self::LookUp => "From",
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "templates hand on references")]
    fn is(self, other: &Self) -> bool {
        self == *other
    }

    const fn receives(self) -> bool {
        matches!(self, Self::Receive)
    }

    const fn carries(self) -> bool {
        matches!(self, Self::PutAway | Self::Transfer)
    }

    const fn is_look_up(self) -> bool {
        matches!(self, Self::LookUp)
    }
}

/// What came of a scan: each sounds, feels and looks otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    /// It is known, and done.
    Known,
    /// Nothing of that code.
    Unknown,
    /// It is known, and does not belong there; nothing was done.
    Wrong,
    /// It is done, and somebody must look again.
    Again,
}

impl Fate {
    const fn name(self) -> &'static str {
        match self {
            Self::Known => "known",
            Self::Unknown => "unknown",
            Self::Wrong => "wrong",
            Self::Again => "again",
        }
    }

    const fn sign(self) -> char {
        match self {
            Self::Known => '●',
            Self::Unknown => '✕',
            Self::Wrong => '▲',
            Self::Again => '◐',
        }
    }

    const fn status(self) -> StatusCode {
        match self {
            Self::Known | Self::Again => StatusCode::OK,
            Self::Unknown => StatusCode::NOT_FOUND,
            Self::Wrong => StatusCode::CONFLICT,
        }
    }
}

/// What is said of the last scan.
struct Said {
    fate: Fate,
    text: String,
    status: StatusCode,
}

impl Said {
    pub fn new(fate: Fate, text: impl Into<String>) -> Self {
        Self { fate, text: text.into(), status: fate.status() }
    }

    /// What the ledger or a check says against it; an error where the same may be asked again.
    fn of(problem: Problem) -> Result<Self, Problem> {
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(problem);
        }
        Ok(Self { fate: Fate::Wrong, text: words::sentence(&problem.detail.replace('`', "")), status })
    }
}

/// What follows from a scan.
enum Step {
    /// Nothing moves: where somebody stands now.
    Stand(Standing, Said),
    /// A command, and where somebody stands once it is done, or refused.
    Do(Box<Body>, Standing),
}

impl Step {
    pub fn stay(scan: &Scan, fate: Fate, text: impl Into<String>) -> Self {
        Self::Stand(scan.standing.clone(), Said::new(fate, text))
    }

    pub fn act(body: Body, standing: Standing) -> Self {
        Self::Do(Box::new(body), standing)
    }
}

#[derive(Template)]
#[template(path = "floor.html")]
struct Menu {
    frame: Frame,
    tasks: [Task; 5],
}

async fn menu(State(app): State<App>, Visitor(caller): Visitor) -> Shown {
    let frame = Frame::still(&app, &caller, "/floor").await?;
    Ok(page(&Menu { frame, tasks: Task::ALL })?)
}

/// A task, as it stands.
#[derive(Template)]
#[template(path = "floor_task.html")]
struct Work {
    frame: Frame,
    task: Task,
    standing: Standing,
    said: Option<Said>,
    offer: Offer,
    sheet: Option<Sheet>,
    rows: Vec<Row>,
    /// The address of the page as it stands.
    href: String,
    keys: [String; 3],
    /// Whose scans wait in a browser: the tenant and the name.
    whose: String,
    may_act: bool,
    may_book: bool,
    camera: Option<assets::Camera>,
}

async fn work(app: &App, caller: &Caller, task: Task, standing: Standing, said: Option<Said>) -> Shown {
    let frame = Frame::still(app, caller, "/floor").await?;
    let found = read(app, caller, |view| {
        let standing = standing.settled(view, task)?;
        let offer = Offer::of(view, task, &standing)?;
        let sheet = count::sheet(view, task, &standing)?;
        let rows = done::rows(view, caller, &standing)?;
        Ok((standing, offer, sheet, rows))
    });
    let (standing, offer, sheet, rows) = found.await?;
    let status = said.as_ref().map_or(StatusCode::OK, |said| said.status);
    let work = Work {
        href: standing.href(task),
        keys: [form_key()?, form_key()?, form_key()?],
        whose: format!("{}:{}", caller.tenant.0, caller.name),
        may_act: caller.role >= Role::Clerk || task == Task::LookUp,
        may_book: caller.role >= Role::Operator,
        camera: assets::camera(),
        frame,
        task,
        standing,
        said,
        offer,
        sheet,
        rows,
    };
    let mut response = page(&work)?;
    *response.status_mut() = status;
    Ok(response)
}

async fn show(
    State(app): State<App>,
    Visitor(caller): Visitor,
    Path(task): Path<String>,
    Query(standing): Query<Standing>,
) -> Shown {
    work(&app, &caller, Task::named(&task)?, standing, None).await
}

async fn look(State(app): State<App>, Visitor(caller): Visitor, Query(standing): Query<Standing>) -> Shown {
    work(&app, &caller, Task::LookUp, standing, None).await
}

async fn scan(
    State(app): State<App>,
    Visitor(caller): Visitor,
    Path(task): Path<String>,
    headers: HeaderMap,
    Form(scan): Form<Scan>,
) -> Shown {
    scanned(&app, &caller, Task::named(&task)?, &headers, &scan).await
}

async fn look_up(
    State(app): State<App>,
    Visitor(caller): Visitor,
    headers: HeaderMap,
    Form(scan): Form<Scan>,
) -> Shown {
    scanned(&app, &caller, Task::LookUp, &headers, &scan).await
}

async fn scanned(app: &App, caller: &Caller, task: Task, headers: &HeaderMap, scan: &Scan) -> Shown {
    let (standing, said) = hear(app, caller, task, scan).await?;
    answered(app, caller, task, headers, standing, said).await
}

/// What went well leads to the page as it stands now, so that loading it again sends nothing; the script is shown it at once.
async fn answered(
    app: &App,
    caller: &Caller,
    task: Task,
    headers: &HeaderMap,
    standing: Standing,
    said: Said,
) -> Shown {
    if said.fate == Fate::Known && !headers.contains_key(BY_SCRIPT) {
        return Ok(Redirect::to(&standing.href(task)).into_response());
    }
    work(app, caller, task, standing, Some(said)).await
}

/// The shortest barcode of an item that is one everywhere (GTIN-8, <https://www.gs1.org/standards/barcodes/ean-upc>).
const SHORTEST_BARCODE: usize = 8;

/// Does what a scan asks for.
async fn hear(app: &App, caller: &Caller, task: Task, scan: &Scan) -> Result<(Standing, Said), Problem> {
    let step = read(app, caller, |view| step(view, task, scan)).await?;
    let (body, mut standing) = match step {
        Step::Stand(standing, said) => return Ok((standing, said)),
        Step::Do(body, standing) => (body, standing),
    };
    let asked = scan.fingerprint(task.name());
    let committed = match act_as(app, caller.clone(), &scan.key, asked, *body).await {
        Ok(committed) => committed,
        // What was in hand still is, to be said anew.
        Err(problem) => return Ok((scan.standing.clone(), Said::of(problem)?)),
    };
    match &committed.answer {
        Answer::Session(id) => standing.of = id.to_string(),
        answer => standing.did(answer),
    }
    let said = match count::said(&committed.answer) {
        Some(said) => said,
        None => read(app, caller, |view| done::said(view, caller, &committed.answer)).await?,
    };
    Ok((standing, said))
}

fn step(view: &mut View<'_>, task: Task, scan: &Scan) -> Result<Step, StoreError> {
    let scan = Scan { standing: scan.standing.settled(view, task)?, ..scan.clone() };
    // A scanner that is slower than we think types into the field that somebody has just touched.
    for said in [&scan.quantity, &scan.number] {
        if said.len() >= SHORTEST_BARCODE && matches!(meant(view, said)?, Meant::Item(_)) {
            let why =
                format!("{said} is a barcode, and no number of pieces: nothing is done. Scan it again.");
            return Ok(Step::stay(&scan, Fate::Wrong, why));
        }
    }
    match task {
        Task::Receive => steps::receive(view, &scan),
        Task::PutAway | Task::Transfer => steps::carry(view, task, &scan),
        Task::Count => count::step(view, &scan),
        Task::LookUp => steps::look_up(view, &scan),
    }
}

/// Takes one of the last scans back, by movements that name those they correct.
async fn undo(
    State(app): State<App>,
    Visitor(caller): Visitor,
    Path(task): Path<String>,
    headers: HeaderMap,
    Form(scan): Form<Scan>,
) -> Shown {
    let task = Task::named(&task)?;
    let standing = scan.standing.clone();
    let reversal = match read(&app, &caller, |view| taken_back(view, &caller, &scan.seq)).await? {
        Ok(body) => body,
        Err(why) => {
            let said = Said::new(Fate::Wrong, why);
            return answered(&app, &caller, task, &headers, standing, said).await;
        }
    };
    let asked = scan.fingerprint("undo");
    let said = match act_as(&app, caller.clone(), &scan.key, asked, reversal).await {
        Ok(_) => Said::new(Fate::Known, "Taken back: all is as it was before that scan."),
        Err(problem) => Said::of(problem)?,
    };
    answered(&app, &caller, task, &headers, standing, said).await
}

/// Books what a count has seen.
async fn book(
    State(app): State<App>,
    Visitor(caller): Visitor,
    headers: HeaderMap,
    Form(scan): Form<Scan>,
) -> Shown {
    let session = scan.standing.of.parse().map(SessionId);
    let session = session.map_err(|_| Problem::unknown("counting session", &scan.standing.of))?;
    let body = Body::ApplySession(ApplySession { session, approve: None });
    let said = match act_as(&app, caller.clone(), &scan.key, scan.fingerprint("book"), body).await {
        Ok(_) => {
            Said::new(Fate::Known, format!("Count {session} is booked, each line as of when it was seen."))
        }
        Err(problem) => Said::of(problem)?,
    };
    let standing = if said.fate == Fate::Known {
        Standing { of: String::new(), ..scan.standing }.empty_handed()
    } else {
        scan.standing
    };
    answered(&app, &caller, Task::Count, &headers, standing, said).await
}
