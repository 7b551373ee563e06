//! The stock of the whole catalogue at an instant, streamed.

use std::fmt::Write as _;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use onhand_engine::{StockReport, StockRow};
use onhand_ledger::StockState;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ask::{instant, read};
use crate::App;
use crate::auth::Caller;
use crate::decimal::Decimal;
use crate::error::Problem;
use crate::extract::Query;

/// How many cells are looked at while the committer waits.
const SLICE: usize = 500;
/// How many slices are made ahead of who reads them.
const AHEAD: usize = 4;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(report_stock))
}

/// Which report.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ReportQuery {
    /// Stock at this instant (RFC 3339), by what happened; now unless told. `at` is read too.
    #[serde(alias = "at")]
    as_of: Option<String>,
    /// … as it was known at this instant; as known now unless told.
    known_at: Option<String>,
    /// Only at this location, and in all that is inside it.
    location: Option<String>,
    /// `csv` unless told, or `ndjson`.
    format: Option<Format>,
}

/// How it is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    #[default]
    Csv,
    Ndjson,
}

/// One line of the report as JSON. Such as is nothing in all states has none.
#[derive(Debug, Serialize, ToSchema)]
struct ReportLine<'a> {
    sku: &'a str,
    name: &'a str,
    location: &'a str,
    available: Decimal,
    unsellable: Decimal,
    reserved: Decimal,
    committed: Decimal,
    damaged: Decimal,
    quality_control: Decimal,
    safety_stock: Decimal,
    on_hand: Decimal,
    buildable: Decimal,
    in_transit: Decimal,
}

const COLUMNS: &str = "sku,name,location,available,unsellable,reserved,committed,damaged,quality_control,safety_stock,on_hand,buildable,in_transit\n";

/// A field of CSV (RFC 4180): in quotes where it needs them.
fn field(text: &str) -> std::borrow::Cow<'_, str> {
    if text.contains([',', '"', '\n', '\r']) || text.trim() != text {
        format!("\"{}\"", text.replace('"', "\"\"")).into()
    } else {
        text.into()
    }
}

fn write(out: &mut String, format: Format, row: &StockRow) {
    let of = |state| Decimal::from(row.shelf.of(state));
    let line = ReportLine {
        sku: &row.sku,
        name: &row.name,
        location: &row.code,
        available: row.shelf.available().into(),
        unsellable: row.shelf.unsellable.into(),
        reserved: of(StockState::Reserved),
        committed: of(StockState::Committed),
        damaged: of(StockState::Damaged),
        quality_control: of(StockState::QualityControl),
        safety_stock: of(StockState::SafetyStock),
        on_hand: row.shelf.on_hand().into(),
        buildable: row.shelf.buildable.into(),
        in_transit: of(StockState::InTransit),
    };
    let _ = match format {
        Format::Ndjson => writeln!(out, "{}", serde_json::to_string(&line).unwrap_or_default()),
        Format::Csv => writeln!(
            out,
            "{},{},{},{},{},{},{},{},{},{},{},{},{}",
            field(line.sku),
            field(line.name),
            field(line.location),
            line.available.0,
            line.unsellable.0,
            line.reserved.0,
            line.committed.0,
            line.damaged.0,
            line.quality_control.0,
            line.safety_stock.0,
            line.on_hand.0,
            line.buildable.0,
            line.in_transit.0
        ),
    };
}

/// The stock of all items at all locations at an instant, as known now or then: one line for each item and location
/// that has anything, by item, the oldest first, kits after the others. `available` is what can be promised: `buildable`
/// kits are a part of it, and not on hand; `unsellable` stock is on hand, and not available. All of it is of one entry of the log, named in the header
/// `Onhand-Seq`; it is written as it is read, and what is recorded meanwhile is left out. If the report cannot be
/// finished the connection ends without the last chunk: such a file is not whole.
#[utoipa::path(get, path = "/stock/report", tag = "stock", params(ReportQuery),
    responses((status = 200, description = "The report.", content(
        (String = "text/csv"), (String = "application/x-ndjson")))))]
async fn report_stock(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ReportQuery>,
) -> Result<Response, Problem> {
    let at = instant("as_of", query.as_of.as_deref())?;
    let known_at = instant("known_at", query.known_at.as_deref())?;
    let format = query.format.unwrap_or_default();
    let begun = read(&app, &caller, |view| {
        let place = match &query.location {
            None => None,
            Some(code) => match view.location_by_code(code)? {
                Some((id, _)) => Some(id),
                None => return Ok(None),
            },
        };
        StockReport::begin(view, at, known_at, place).map(Some)
    });
    let Some(mut report) = begun.await? else {
        return Err(Problem::unknown(
            "location with the code",
            query.location.as_deref().unwrap_or_default(),
        ));
    };
    let known = report.known();
    let (send, receive) = mpsc::channel::<Result<String, std::io::Error>>(AHEAD);
    tokio::spawn(async move {
        let mut text = if format == Format::Csv { COLUMNS.to_owned() } else { String::new() };
        while !report.is_done() {
            match read(&app, &caller, |view| report.next(view, SLICE)).await {
                Ok(rows) => rows.iter().for_each(|row| write(&mut text, format, row)),
                Err(problem) => {
                    tracing::error!(detail = problem.detail, "a report could not be finished");
                    let _ = send.send(Err(std::io::Error::other(problem.detail))).await;
                    return;
                }
            }
            if !text.is_empty() && send.send(Ok(std::mem::take(&mut text))).await.is_err() {
                // Nobody reads it any more.
                return;
            }
            tokio::task::yield_now().await;
        }
    });
    let mut response = Response::new(Body::from_stream(ReceiverStream::new(receive)));
    let kind = match format {
        Format::Csv => "text/csv; charset=utf-8",
        Format::Ndjson => "application/x-ndjson",
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert("onhand-seq", known.into());
    Ok(response)
}
