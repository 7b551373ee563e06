//! Files in: kept in a temporary file until they are here whole, then read within bounds, rehearsed, imported, and told of
//! row by row.

use std::io::{Seek as _, Write as _};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use onhand_exchange::import::move_in::{self, MoveIn};
use onhand_exchange::import::{self, Asked, FileKind, Plan, Reading, RowResult, Summary, What, Why};
use serde::Serialize;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ask::idempotency_key;
use super::export::XLSX;
use crate::App;
use crate::auth::Caller;
use crate::blocking::blocking;
use crate::error::Problem;
use crate::extract::{Path, Query};

/// The longest CSV and the longest XLSX, in MiB.
const LONGEST_CSV: u64 = 256;
const LONGEST_XLSX: u64 = 64;
/// The type of an archive: <https://www.iana.org/assignments/media-types/application/zip>.
const ZIP: &str = "application/zip";
/// Whoever sends more slowly than this holds a connection that others could have.
const PATIENCE: Duration = Duration::from_secs(30);
/// Whoever does not read the report for so long is told no more of it.
const UNREAD: Duration = Duration::from_mins(1);
/// So many files are in memory at a time; further ones wait on disk.
static FILES: Semaphore = Semaphore::const_new(2);
/// So many rows are told ahead of who reads them.
const AHEAD: usize = 1_000;
/// The longest key: a row's own is made of it.
const LONGEST_KEY: usize = 200;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(import_things))
}

/// A line of the report. The last one has `summary` alone, or `error` where the import broke off. Of a move, each part of each file
/// has a `summary` of its own before it.
#[derive(Debug, Default, Serialize, ToSchema)]
struct ReportRow {
    /// Of a move: which of the files, and what of it (`items`, `kits`, `locations` or `stock`).
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    what: Option<&'static str>,
    /// The row's line in the file, or its number in the sheet.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    /// `imported` (`would_be_imported` in a dry run), `already_imported` under the same key, `already_there` (an order of that
    /// reference), `skipped` (another system's order or a cancelled one, a kit that is not counted), `not_imported` (others are bad) or `left_out`.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'static str>,
    /// The column that is wrong, as we call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<String>,
    /// Which kind of problem: a link to its documentation.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    /// What is wrong, and what would be right; why it is skipped; what was made of it, where that is not what the file has.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    /// All rows together.
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<SummaryBody>,
    /// Why it broke off. What was told before is as it says; send it again with the same key.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Problem>,
}

/// All rows together.
#[derive(Debug, Serialize, ToSchema)]
struct SummaryBody {
    /// How many things were imported (in a dry run: would be). An order is one, however many rows it has.
    imported: usize,
    /// How many of them were counted too.
    counted: usize,
    /// How many were imported before under the same key, or were there.
    already_there: usize,
    /// How many rows were not to be imported.
    skipped: usize,
    /// How many rows cannot be imported.
    left_out: usize,
    /// Of these, how many are good rows of the file that the ledger refused.
    refused: usize,
    /// Was nothing done?
    dry_run: bool,
    /// Was nothing imported, since rows are bad? (In a dry run: would nothing be.)
    nothing_imported: bool,
}

impl ReportRow {
    fn of(row: RowResult, dry_run: bool) -> Self {
        let RowResult { line, outcome, column, problem, why } = row;
        let kind = why.map(|why| match why {
            Why::Row => "/docs/errors#row".to_owned(),
            Why::Invalid(invalid) => Problem::from(invalid).kind,
            Why::Refused(refusal) => Problem::from(refusal).kind,
            Why::Waiting => "/docs/errors#waiting".to_owned(),
            Why::Bug => "/docs/errors#internal".to_owned(),
        });
        let result = Some(outcome.name(dry_run));
        Self { line: Some(line), result, column, kind, problem, ..Self::default() }
    }

    fn summary(summary: Summary, dry_run: bool) -> Self {
        let Summary { imported, counted, already_there, skipped, left_out, refused, nothing } = summary;
        let nothing_imported = nothing;
        let summary = SummaryBody {
            imported,
            counted,
            already_there,
            skipped,
            left_out,
            refused,
            dry_run,
            nothing_imported,
        };
        Self { summary: Some(summary), ..Self::default() }
    }

    fn line(&self) -> Bytes {
        let mut line = serde_json::to_vec(self).expect("what is told can always be written");
        line.push(b'\n');
        line.into()
    }
}

/// What a body has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sent {
    /// A file.
    One(What),
    /// Files in an archive that are moved in together.
    Several,
}

impl Sent {
    fn of(name: &str) -> Result<Self, Problem> {
        let what = What::ALL.into_iter().find(|what| what.name() == name);
        match (what, name) {
            (Some(what), _) => Ok(Self::One(what)),
            (None, "counts") => Ok(Self::One(What::Stock)),
            (None, "move-in") => Ok(Self::Several),
            (None, _) => {
                let detail = format!(
                    "`{name}` is not imported: items, kits, locations, stock (or counts), receipts and orders are, and several files \
                     together as move-in"
                );
                Err(Problem::new(StatusCode::NOT_FOUND, "unknown", "There is no such thing", detail))
            }
        }
    }
}

/// What the query asks for.
fn asked(sent: Sent, query: Vec<(String, String)>) -> Result<(Reading, Asked), Problem> {
    let (mut reading, mut asked) = (Reading::default(), Asked::default());
    for (field, value) in query {
        let wrong = |detail: String| {
            let title = "The query is not as it must be";
            Problem::new(StatusCode::BAD_REQUEST, "query", title, detail).field(&field)
        };
        let truth = || match value.as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            other => Err(wrong(format!("`{field}` is `{other}`; it must be true or false"))),
        };
        match field.as_str() {
            "dry_run" => asked.dry_run = truth()?,
            "skip_bad_rows" => asked.skip_bad_rows = truth()?,
            other if sent == Sent::Several => {
                let detail = format!(
                    "`{other}` is of one file, and here are several, each known by its header: import that one by itself"
                );
                return Err(wrong(detail));
            }
            "map" => match value.split_once('=') {
                Some((ours, _)) if reading.map.iter().any(|(known, _)| known == ours) => {
                    return Err(wrong(format!("`map` names `{ours}` twice; it is one column")));
                }
                Some((ours, theirs)) if !ours.is_empty() && !theirs.is_empty() => {
                    reading.map.push((ours.to_owned(), theirs.to_owned()));
                }
                _ => return Err(wrong("`map` must be OURS=THEIRS, such as map=sku=Handle".to_owned())),
            },
            "sku_from" if value == "handle" => reading.make_skus = true,
            "sku_from" => return Err(wrong(format!("`sku_from` is `{value}`; it must be handle"))),
            "stock_at" => reading.stock_at = Some(value),
            _ => {
                let known = "map, dry_run, skip_bad_rows, sku_from and stock_at";
                return Err(wrong(format!("`{field}` is not known; these are: {known}")));
            }
        }
    }
    Ok((reading, asked))
}

/// The kind of file that a request says it has.
fn kind(headers: &HeaderMap, sent: Sent) -> Result<Option<FileKind>, Problem> {
    let told = headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or("?"));
    let essence = told.map(|told| told.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    if sent == Sent::Several && matches!(essence.as_deref(), None | Some(ZIP | "application/octet-stream")) {
        return Ok(None);
    }
    match essence.as_deref() {
        Some(other) if sent == Sent::Several => {
            let detail = format!(
                "several files are moved in as an archive, and not as `{other}`: send `Content-Type: {ZIP}`"
            );
            let title = "A file of another type";
            Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_type", title, detail))
        }
        Some("text/csv") => Ok(Some(FileKind::Csv)),
        Some(XLSX) => Ok(Some(FileKind::Xlsx)),
        None | Some("application/octet-stream") => Ok(None),
        Some(other) => {
            let detail = format!(
                "a file of type `{other}` is not read: send `Content-Type: text/csv`, or `{XLSX}`; with \
                 `application/octet-stream` its first bytes show which of them it is"
            );
            let title = "A file of another type";
            Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_type", title, detail))
        }
    }
}

/// Keeps a body in a temporary file.
async fn kept(body: Body, kind: Option<FileKind>) -> Result<std::fs::File, Problem> {
    let problem = |status, detail| Problem::new(status, "body", "The body cannot be read", detail);
    let no_room = |error: std::io::Error| {
        let detail = format!("the file cannot be kept until it is read: {error}; nothing was imported");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store", "No room for the file", detail)
    };
    let mebibytes = if kind == Some(FileKind::Xlsx) { LONGEST_XLSX } else { LONGEST_CSV };
    let mut left = mebibytes * 1024 * 1024;
    let mut file = tempfile::tempfile().map_err(no_room)?;
    let mut parts = body.into_data_stream();
    loop {
        match tokio::time::timeout(PATIENCE, parts.next()).await {
            Ok(Some(Ok(bytes))) => {
                left = left.checked_sub(bytes.len() as u64).ok_or_else(|| {
                    let detail = format!("the file has more than {mebibytes} MiB; split it");
                    problem(StatusCode::PAYLOAD_TOO_LARGE, detail)
                })?;
                file.write_all(&bytes).map_err(no_room)?;
            }
            Ok(None) => break,
            Ok(Some(Err(error))) => {
                return Err(problem(StatusCode::BAD_REQUEST, format!("it broke off: {error}")));
            }
            Err(_) => {
                let detail = format!("nothing came for {PATIENCE:?}; nothing was imported");
                return Err(problem(StatusCode::REQUEST_TIMEOUT, detail));
            }
        }
    }
    file.rewind().map_err(no_room)?;
    Ok(file)
}

const FILE: &str = "The file: CSV (UTF-8, commas, up to 256 MiB) or XLSX (its first sheet, up to 64 MiB and 128 MiB unpacked), as \
    `Content-Type` says, of up to 1,000,000 rows. Its columns are in docs/files.md. To move in, a ZIP archive of such files, 128 MiB \
    unpacked in all.";

/// What was read of a body, ready to be carried out.
enum Read {
    One(Box<Plan>),
    Several(MoveIn),
}

impl Read {
    fn plans(&self) -> &[Plan] {
        match self {
            Self::One(plan) => std::slice::from_ref(plan.as_ref()),
            Self::Several(move_in) => move_in.plans(),
        }
    }

    /// A row of the report, of a plan by its place among all.
    fn row(&self, place: usize, row: RowResult, dry_run: bool) -> ReportRow {
        self.of_part(place, ReportRow::of(row, dry_run))
    }

    /// Says which part of which file it is of, where there are several.
    fn of_part(&self, place: usize, row: ReportRow) -> ReportRow {
        match self {
            Self::One(_) => row,
            Self::Several(move_in) => {
                let name = move_in.files()[move_in.file_of(place)].name.clone();
                ReportRow { file: Some(name), what: Some(move_in.plans()[place].what().name()), ..row }
            }
        }
    }

    /// What is told last.
    fn summaries(&self, summaries: Vec<Summary>, dry_run: bool) -> Vec<ReportRow> {
        let parts = summaries.iter().enumerate().filter(|_| matches!(self, Self::Several(_)));
        let parts = parts.map(|(place, part)| self.of_part(place, ReportRow::summary(*part, dry_run)));
        let all: Summary = summaries.iter().copied().sum();
        parts.chain([ReportRow::summary(all, dry_run)]).collect()
    }
}

/// Imports items, what kits are built of, locations, stock as somebody saw it (`counts` is the same), receipts or orders from a
/// file; exports of Linnworks' and SKULabs' are known by their headers. All of it is checked first, and rehearsed: one row that is
/// bad, or that would be refused, imports nothing unless `skip_bad_rows`. Each row is a command by itself, an order or a kit one of
/// several rows. Answers a line for each row, in order, and a summary last; a dry run says what would be, on the ledger as it
/// stands. With an `Idempotency-Key` (up to 200 characters) a row is imported once, however often the same file is sent. Once rows
/// are told of, the import goes on whether or not anybody reads. With `move-in` the body is a ZIP archive of up to 50 files, which
/// are imported as one: the catalogue, then kits, then locations and stock (docs/moving-in.md).
#[utoipa::path(post, path = "/import/{what}", tag = "files",
    params(("what" = String, Path,
            description = "`items`, `kits`, `locations`, `stock`, `counts`, `receipts` or `orders`; `move-in` for several files."),
        ("map" = Option<Vec<String>>, Query, description = "Which column of the file is which of ours, such as `sku=Handle`; \
            may be told often. Others are left alone then, and are an error otherwise."),
        ("dry_run" = Option<bool>, Query, description = "Import nothing; say what would be."),
        ("skip_bad_rows" = Option<bool>, Query, description = "Import exactly the good rows."),
        ("sku_from" = Option<String>, Query, description = "`handle`: make SKUs for variants of a Shopify export that have none."),
        ("stock_at" = Option<String>, Query, description = "Take a Shopify export's quantities as counts at this location.")),
    request_body(content((String = "text/csv"),
        (String = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"), (String = "application/zip"),
        (String = "application/octet-stream")), description = FILE),
    responses((status = 200, content_type = "application/x-ndjson", body = ReportRow),
        (status = 415, description = "The file is neither CSV nor XLSX, and no archive of such files where it must be.")))]
async fn import_things(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
    request: Request,
) -> Result<Response, Problem> {
    let sent = Sent::of(&name)?;
    let (mut reading, mut asked) = asked(sent, query)?;
    reading.kind = kind(request.headers(), sent)?;
    asked.key = idempotency_key(request.headers())?;
    if asked.key.as_ref().is_some_and(|key| key.len() > LONGEST_KEY) {
        let detail =
            format!("the key of an import has at most {LONGEST_KEY} characters: a row's own is made of it");
        let title = "The key is not as it must be";
        return Err(Problem::new(StatusCode::BAD_REQUEST, "key", title, detail).field("Idempotency-Key"));
    }
    let file = kept(request.into_body(), reading.kind).await?;
    let own = app.fair.of(caller.tenant).to_import().await;
    let place = FILES.acquire().await.expect("it is never closed");
    let read = || {
        let read = match sent {
            Sent::One(what) => Read::One(Box::new(import::read(what, &file, &reading)?)),
            Sent::Several => Read::Several(move_in::read(move_in::unpack(&file)?)?),
        };
        asked.check(read.plans()).map(|()| read)
    };
    let read = blocking(read).await.map_err(|problem| {
        let title = "The file cannot be read";
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "file", title, problem.0)
    })?;
    drop(file);
    let (lines, answers) = mpsc::channel(AHEAD);
    tokio::spawn(async move {
        carry_out(&app, &caller, &read, &asked, lines).await;
        drop((read, place, own));
    });
    let answers = ReceiverStream::new(answers).map(Ok::<_, std::convert::Infallible>);
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(answers)).into_response())
}

async fn carry_out(app: &App, caller: &Caller, read: &Read, asked: &Asked, lines: mpsc::Sender<Bytes>) {
    let (report, mut rows) = mpsc::channel(AHEAD);
    let tell = async {
        let mut listens = true;
        while let Some((place, row)) = rows.recv().await {
            // Whoever has gone away, or does not read, does not stop it, and is told no more.
            if listens {
                let line = read.row(place, row, asked.dry_run).line();
                listens = matches!(tokio::time::timeout(UNREAD, lines.send(line)).await, Ok(Ok(())));
            }
        }
        listens
    };
    let run = import::run(&app.handle, caller.tenant, &caller.name, read.plans(), asked, report);
    let (came, listens) = tokio::join!(run, tell);
    let last = match came {
        Ok(summaries) => read.summaries(summaries, asked.dry_run),
        Err(error) => vec![ReportRow { error: Some(error.into()), ..ReportRow::default() }],
    };
    for line in last.iter().map(ReportRow::line).take_while(|_| listens) {
        let _ = tokio::time::timeout(UNREAD, lines.send(line)).await;
    }
}
