//! What there is, as a file; the log, for other tools. Written while it is read.

use std::io::{Read as _, Seek as _};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use onhand_exchange::export::{CsvRows, Export, SheetProblem, What, Workbook};
use onhand_exchange::log::{LogReader, LogTable, Names, write_head, write_line};
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ask::read;
use crate::App;
use crate::auth::Caller;
use crate::blocking::blocking;
use crate::error::Problem;
use crate::extract::{Path, Query};
use crate::fair::Both;

/// How many things are looked at while the committer waits.
const SLICE: usize = 100;
/// How many parts are made ahead of who reads them.
const AHEAD: usize = 4;
/// A file that is made whole is read in such parts.
const PART: usize = 256 * 1024;

/// The type of a sheet: <https://www.iana.org/assignments/media-types/application/vnd.openxmlformats-officedocument.spreadsheetml.sheet>.
pub(super) const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
/// <https://www.iana.org/assignments/media-types/application/vnd.apache.parquet>.
const PARQUET: &str = "application/vnd.apache.parquet";

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(export_log)).routes(routes!(export_things))
}

/// Which part of the log, and how it is written.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct LogQuery {
    /// `ndjson` unless told, or `parquet`.
    format: Option<LogFormat>,
    /// From this entry on; from the first unless told.
    from_seq: Option<u64>,
    /// Up to this entry; up to the last there is now unless told.
    to_seq: Option<u64>,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    #[default]
    Ndjson,
    Parquet,
}

pub(crate) type Parts = mpsc::Sender<Result<Bytes, std::io::Error>>;

/// Who reads nothing for so long has gone away.
const UNREAD: Duration = Duration::from_mins(2);

/// A part is handed on; or nobody reads any more.
pub(crate) async fn hand_on(parts: &Parts, part: Vec<u8>) -> Result<(), Stop> {
    if part.is_empty() {
        return if parts.is_closed() { Err(Stop::Unread) } else { Ok(()) };
    }
    let sent = tokio::time::timeout(UNREAD, parts.send(Ok(part.into()))).await;
    if matches!(sent, Ok(Ok(()))) { Ok(()) } else { Err(Stop::Unread) }
}

/// Why an export ends before its end.
pub(crate) enum Stop {
    /// Nobody reads it any more.
    Unread,
    /// It cannot be made.
    Problem(String),
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem.detail)
    }
}

/// The answer whose body comes from a task. Where that fails the connection ends without the last chunk.
pub(crate) fn streamed(kind: &'static str, name: String, place: Both, begin: impl AsyncRun) -> Response {
    let (parts, receive) = mpsc::channel(AHEAD);
    tokio::spawn(async move {
        let _place = place;
        if let Err(Stop::Problem(detail)) = begin.run(parts.clone()).await {
            tracing::error!(detail, "an export could not be finished");
            let _ = parts.send(Err(std::io::Error::other(detail))).await;
        }
    });
    file(kind, &name, Body::from_stream(ReceiverStream::new(receive)))
}

fn file(kind: &'static str, name: &str, body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Ok(disposition) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    response
}

/// What makes a body, part by part.
pub(crate) trait AsyncRun: Send + 'static {
    fn run(self, parts: Parts) -> impl Future<Output = Result<(), Stop>> + Send;
}

struct LogRun {
    app: App,
    caller: Caller,
    reader: LogReader,
    from: u64,
    format: LogFormat,
}

impl AsyncRun for LogRun {
    async fn run(self, parts: Parts) -> Result<(), Stop> {
        match self.format {
            LogFormat::Ndjson => self.lines(&parts).await,
            LogFormat::Parquet => self.table(&parts).await,
        }
    }
}

impl LogRun {
    async fn lines(mut self, parts: &Parts) -> Result<(), Stop> {
        while !self.reader.is_done() {
            let records = read(&self.app, &self.caller, |view| self.reader.next(view)).await?;
            let mut part = Vec::new();
            for (first, record) in records {
                write_line(&mut part, first, &record).map_err(|error| Stop::Problem(error.to_string()))?;
            }
            hand_on(parts, part).await?;
        }
        if let Some((seq, hash)) = self.reader.head() {
            let mut part = Vec::new();
            write_head(&mut part, seq, &hash).map_err(|error| Stop::Problem(error.to_string()))?;
            hand_on(parts, part).await?;
        }
        Ok(())
    }

    async fn table(mut self, parts: &Parts) -> Result<(), Stop> {
        let cannot = |error: onhand_exchange::log::TableError| Stop::Problem(error.to_string());
        let mut table = LogTable::new().map_err(cannot)?;
        let mut names = Names::default();
        while !self.reader.is_done() {
            let rows = read(&self.app, &self.caller, |view| {
                let mut rows = Vec::new();
                for (first, record) in self.reader.next(view)? {
                    names.rows(view, first, &record, &mut rows)?;
                }
                Ok(rows)
            });
            let mut rows = rows.await?;
            rows.retain(|row| row.seq >= self.from && self.reader.has(row.seq));
            // A group is written now and then, which takes a while.
            let part = blocking(|| table.add(rows).and_then(|()| table.take())).await;
            hand_on(parts, part.map_err(cannot)?).await?;
        }
        let last = blocking(|| table.finish()).await;
        hand_on(parts, last.map_err(cannot)?).await
    }
}

/// The log: a line of JSON for each record, and last, where all of it was asked for, where it ended with the chain's hash
/// there; or a Parquet table with a row for each entry (see docs/files.md for its columns). It ends where the log ended when
/// it was asked for, and is written as it is read. If it cannot be finished the connection ends without the last chunk: such
/// a file is not whole.
#[utoipa::path(get, path = "/export/log", tag = "files", params(LogQuery),
    responses((status = 200, description = "The log.", content(
        (String = "application/x-ndjson"), (String = "application/vnd.apache.parquet")))))]
async fn export_log(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<LogQuery>,
) -> Result<Response, Problem> {
    let LogQuery { format, from_seq, to_seq } = query;
    for (field, seq) in [("from_seq", from_seq), ("to_seq", to_seq)] {
        if seq.is_some_and(|seq| seq == 0 || !super::page::is_position(seq)) {
            let detail = "entries are numbered from 1 on";
            return Err(Problem::new(StatusCode::BAD_REQUEST, "cursor", "Not an entry", detail).field(field));
        }
    }
    let place = app.fair.to_export(caller.tenant).await;
    let reader = read(&app, &caller, |view| LogReader::begin(view, from_seq, to_seq)).await?;
    let format = format.unwrap_or_default();
    let from = from_seq.unwrap_or(1);
    let run = LogRun { app, caller, reader, from, format };
    Ok(match format {
        LogFormat::Ndjson => streamed("application/x-ndjson", "log.ndjson".to_owned(), place, run),
        LogFormat::Parquet => streamed(PARQUET, "log.parquet".to_owned(), place, run),
    })
}

/// How it is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FileFormat {
    #[default]
    Csv,
    Xlsx,
}

/// How it is written.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct FileQuery {
    /// `csv` unless told, or `xlsx`.
    format: Option<FileFormat>,
}

/// The thing that a path names.
fn what(name: &str) -> Result<What, Problem> {
    Ok(match name {
        "items" => What::Items,
        "locations" => What::Locations,
        "stock" => What::Stock,
        "counts" => What::Counts,
        "orders" => What::Orders,
        _ => {
            let detail =
                format!("`{name}` is not exported: items, locations, stock, counts, orders and log are");
            return Err(Problem::new(StatusCode::NOT_FOUND, "unknown", "There is no such thing", detail));
        }
    })
}

struct CsvRun {
    app: App,
    caller: Caller,
    export: Export,
    what: What,
}

impl AsyncRun for CsvRun {
    async fn run(mut self, parts: Parts) -> Result<(), Stop> {
        let mut rows = CsvRows::new(self.what.columns());
        while !self.export.is_done() {
            let next = read(&self.app, &self.caller, |view| self.export.next(view, SLICE)).await?;
            rows.add(&next);
            hand_on(&parts, rows.take()).await?;
        }
        hand_on(&parts, rows.take()).await
    }
}

struct FileRun(std::fs::File);

impl AsyncRun for FileRun {
    async fn run(mut self, parts: Parts) -> Result<(), Stop> {
        loop {
            let mut part = vec![0; PART];
            let read = blocking(|| self.0.read(&mut part)).await;
            match read {
                Ok(0) => return Ok(()),
                Ok(length) => part.truncate(length),
                Err(error) => return Err(Stop::Problem(error.to_string())),
            }
            hand_on(&parts, part).await?;
        }
    }
}

/// Items, locations, stock, a sheet to count on, or orders, in the columns that an import takes (see docs/files.md), the oldest
/// first. CSV is written as it is read; if it cannot be finished the connection ends without the last chunk: such a file is
/// not whole. Stock is that of the instant it was asked for.
#[utoipa::path(get, path = "/export/{what}", tag = "files",
    params(("what" = String, Path, description = "`items`, `locations`, `stock`, `counts` or `orders`."), FileQuery),
    responses((status = 200, description = "The file.", content(
        (String = "text/csv"),
        (String = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")))))]
async fn export_things(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Query(query): Query<FileQuery>,
) -> Result<Response, Problem> {
    let what = what(&name)?;
    let place = app.fair.to_export(caller.tenant).await;
    let mut export = read(&app, &caller, |view| Export::begin(view, what)).await?;
    if query.format.unwrap_or_default() == FileFormat::Csv {
        let run = CsvRun { app, caller, export, what };
        return Ok(streamed("text/csv; charset=utf-8", format!("{name}.csv"), place, run));
    }
    let mut book = Workbook::new(what.columns()).map_err(sheet_problem)?;
    while !export.is_done() {
        let rows = read(&app, &caller, |view| export.next(view, SLICE)).await?;
        blocking(|| book.add(&rows)).await.map_err(sheet_problem)?;
    }
    let made = blocking(|| {
        let mut file = tempfile::tempfile().map_err(|error| Problem::internal(&error.to_string()))?;
        book.finish(&mut file).map_err(sheet_problem)?;
        file.rewind().map_err(|error| Problem::internal(&error.to_string()))?;
        Ok::<_, Problem>(file)
    });
    Ok(streamed(XLSX, format!("{name}.xlsx"), place, FileRun(made.await?)))
}

fn sheet_problem(problem: SheetProblem) -> Problem {
    let detail = problem.to_string();
    match problem {
        SheetProblem::TooLong => Problem::of_field("format", detail),
        SheetProblem::Xlsx(_) => Problem::internal(&detail),
    }
}
