//! The one shape of errors: RFC 9457 problem details.

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use onhand_engine::{CommitError, SubmitError};
use onhand_ledger::answer::Missing;
use onhand_ledger::{Invalid, InvalidKind, Refusal, RefusalKind};
use onhand_store::StoreError;
use serde::Serialize;
use utoipa::ToSchema;

use crate::decimal::Decimal;
use crate::{endpoints, errors_page, pages, request};

/// What went wrong, and what would be right.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// Which kind of problem: a link to its documentation.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened to what, and what would be right.
    pub detail: String,
    /// The field that is wrong, where one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What is missing, where stock does not suffice.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<MissingBody>,
    /// The request's id, as in the header `Request-Id` and in the log. A refusal that is kept for its key has it in
    /// the header alone: a copy is answered word for word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    #[serde(skip)]
    kept: bool,
    #[serde(skip)]
    pub(crate) retry_after: Option<u32>,
    #[serde(skip)]
    pub(crate) replayed: bool,
    /// What the database said: for the log, and for whoever works on it by this very process.
    #[serde(skip)]
    cause: Option<String>,
}

/// What the database said of why it failed, beside an answer that does not repeat it. It goes over no wire.
#[derive(Clone, Debug)]
pub struct Cause(pub String);

/// How much is missing of what.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MissingBody {
    /// What.
    pub sku: String,
    /// How much was asked for, in all lines together.
    pub wanted: Decimal,
    /// How much is available.
    pub available: Decimal,
    /// How much more may be backordered or preordered; none where the item takes neither.
    pub may_wait: Option<Decimal>,
}

impl Problem {
    /// A problem of a kind, such as `unknown_sku`.
    pub fn new(status: StatusCode, kind: &str, title: &str, detail: impl Into<String>) -> Self {
        debug_assert!(errors_page::is_known(kind), "{kind} is documented");
        Self {
            kind: format!("/docs/errors#{kind}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            field: None,
            missing: Vec::new(),
            request_id: None,
            kept: false,
            retry_after: None,
            replayed: false,
            cause: None,
        }
    }

    /// With the id of the request that is being answered.
    #[must_use]
    pub(crate) fn identified(mut self) -> Self {
        if !self.kept {
            self.request_id = request::id();
        }
        self
    }

    /// The problem lies in a field.
    #[must_use]
    pub fn field(mut self, field: &str) -> Self {
        self.field = Some(field.to_owned());
        self
    }

    /// It may be sent again after so many seconds.
    #[must_use]
    pub(crate) fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// It was told before, word for word.
    #[must_use]
    pub(crate) fn replayed(mut self, replayed: bool) -> Self {
        self.replayed = replayed;
        self
    }

    /// A field has a value that is not possible.
    pub fn of_field(field: &str, detail: impl Into<String>) -> Self {
        let title = "A field is not as it must be";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "field", title, detail).field(field)
    }

    /// The body is not as it must be.
    pub fn of_body(title: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "body", title, detail)
    }

    /// What is proposed could not be done. What is wrong on our side stays what it is.
    #[must_use]
    pub(crate) fn of_proposal(self) -> Self {
        if self.status >= 500 || self.status == 429 || self.kind.ends_with("#key_reused") {
            return self;
        }
        let title = "What is proposed could not be done";
        let mut problem = Self::new(StatusCode::CONFLICT, "not_applied", title, self.detail);
        (problem.missing, problem.replayed, problem.kept) = (self.missing, self.replayed, self.kept);
        problem
    }

    /// A line was not done, since another one of its group was not.
    pub fn of_group(group: &str, line: u64) -> Self {
        let detail = format!("line {line} was refused, and the group `{group}` is done wholly or not at all");
        Self::new(StatusCode::CONFLICT, "group", "The group was not done", detail)
    }

    /// No key came, or none that is known.
    pub fn unauthorised(detail: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorised", "An API key is needed", detail)
    }

    /// The log has not yet what a read must have seen.
    pub(crate) fn behind(detail: impl Into<String>) -> Self {
        let problem = Self::new(StatusCode::CONFLICT, "behind", "The log is not there yet", detail);
        Self { retry_after: Some(1), ..problem }
    }

    /// A bug of ours.
    pub fn internal(detail: &str) -> Self {
        let title = "Something went wrong on our side";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", title, detail)
    }

    /// There is no such thing.
    pub fn unknown(what: &str, id: impl std::fmt::Display) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "unknown",
            "There is no such thing",
            format!("there is no {what} `{id}`"),
        )
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let problem = self.identified();
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let (retry_after, replayed) = (problem.retry_after, problem.replayed);
        let cause = problem.cause.clone().map(Cause);
        let mut response = (status, Json(problem)).into_response();
        if let Some(cause) = cause {
            response.extensions_mut().insert(cause);
        }
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if replayed {
            headers.insert("idempotent-replayed", HeaderValue::from_static("true"));
        }
        response
    }
}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        let kind = invalid.kind();
        let status = endpoints::status_of_invalid(kind);
        let problem = Self::new(status, kind.name(), title_of_invalid(kind), invalid.to_string());
        match field_of(&invalid) {
            Some(field) => problem.field(field),
            None => problem,
        }
    }
}

const fn title_of_invalid(kind: InvalidKind) -> &'static str {
    match kind {
        InvalidKind::UnknownSku => "Unknown SKU",
        InvalidKind::UnknownLocation => "Unknown location",
        InvalidKind::UnknownLot => "Unknown lot or serial",
        InvalidKind::UnknownSystem => "Unknown system",
        InvalidKind::UnmappedListing => "Unmapped listing",
        InvalidKind::Unknown => "There is no such thing",
        InvalidKind::UnknownLine => "Unknown line",
        InvalidKind::NotPositive => "Not more than zero",
        InvalidKind::TooPrecise => "Too precise",
        InvalidKind::NoLines => "Nothing in it",
        InvalidKind::Twice => "The same thing twice",
        InvalidKind::Field => "A field is not as it must be",
        InvalidKind::TooFarAhead => "A time in the future",
        InvalidKind::TooLarge => "Too large",
        InvalidKind::UnknownPack => "Unknown pack",
        InvalidKind::Overflow => "Too much",
        InvalidKind::KeyReused => "The key was used for another request",
    }
}

/// The field that is wrong, where it is one.
fn field_of(invalid: &Invalid) -> Option<&'static str> {
    Some(match invalid {
        Invalid::UnknownSku(_) => "sku",
        Invalid::UnknownLocation(_) => "location",
        Invalid::UnknownLot { .. } => "lot",
        Invalid::UnknownSystem(_) => "system",
        Invalid::UnmappedListing { .. } => "listing",
        Invalid::Unknown { .. } => return None,
        Invalid::UnknownLine { .. } => "line",
        Invalid::NotPositive { field, .. }
        | Invalid::Twice { field, .. }
        | Invalid::Field { field, .. }
        | Invalid::TooFarAhead { field, .. } => field,
        Invalid::TooPrecise { .. } | Invalid::TooLarge { .. } | Invalid::Overflow(_) => "quantity",
        Invalid::NoLines(_) => "lines",
        Invalid::UnknownPack { .. } => "pack",
        // What is wrong is the line's own; where it is, the text says.
        Invalid::InGroup { invalid, .. } => return field_of(invalid),
        Invalid::KeyReused(_) => "Idempotency-Key",
    })
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (kind, detail) = (refusal.kind(), refusal.to_string());
        let mut problem =
            Self::new(endpoints::status_of_refusal(kind), kind.name(), title_of_refusal(kind), detail);
        problem.field = field_of_refusal(kind).map(str::to_owned);
        problem.missing = missing_of(refusal);
        Self { kept: true, ..problem }
    }
}

const fn title_of_refusal(kind: RefusalKind) -> &'static str {
    match kind {
        RefusalKind::Insufficient => "Not enough available",
        RefusalKind::NotMaster => "Another system is master there",
        RefusalKind::NotSellable => "That location does not sell",
        RefusalKind::HoldEnded => "The hold keeps nothing any more",
        RefusalKind::LineHasLess => "The line has less",
        RefusalKind::NotInOnePlace => "No location has all of it",
        RefusalKind::SessionEnded => "The counting session has ended",
        RefusalKind::RecountNeeded => "Somebody must look again",
        RefusalKind::ApprovalNeeded => "A difference needs approval",
        RefusalKind::ReferenceTaken => "The reference is taken",
        RefusalKind::PrecisionInUse => "Finer quantities may be booked",
        RefusalKind::RuleTie => "Two rules of one specificity",
        RefusalKind::SerialElsewhere => "That piece is here already",
        RefusalKind::ItemInUse => "The item has moved already",
        RefusalKind::AlreadyResolved => "Resolved already",
        RefusalKind::BarcodeTaken => "The barcode is on another item",
        RefusalKind::SkuTaken => "The name is another item's",
        RefusalKind::Archived => "The item is archived",
        RefusalKind::CannotMerge => "The two cannot be one",
        RefusalKind::DocumentEnded => "Nothing more can be done with it",
        RefusalKind::DocumentHasLess => "The document's line has less",
        RefusalKind::NotReversible => "It is corrected in another way",
        RefusalKind::ReversedAlready => "Less is left to be reversed",
    }
}

const fn field_of_refusal(kind: RefusalKind) -> Option<&'static str> {
    match kind {
        RefusalKind::NotSellable => Some("location"),
        RefusalKind::LineHasLess | RefusalKind::DocumentHasLess => Some("lines"),
        RefusalKind::BarcodeTaken => Some("barcodes"),
        RefusalKind::SkuTaken | RefusalKind::Archived => Some("sku"),
        RefusalKind::ReferenceTaken => Some("reference"),
        _ => None,
    }
}

fn missing_of(refusal: Refusal) -> Vec<MissingBody> {
    match refusal {
        Refusal::InGroup { refusal, .. } => missing_of(*refusal),
        Refusal::Insufficient(missing) => {
            let body = |missing: Missing| MissingBody {
                sku: missing.sku,
                wanted: missing.wanted.into(),
                available: missing.available.into(),
                may_wait: missing.beyond.map(|(left, _)| left.into()),
            };
            missing.into_iter().map(body).collect()
        }
        _ => Vec::new(),
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        of_store(&error)
    }
}

/// What the database said is in the log, with the request's id; who asks learns what became of what they asked, and that id.
fn of_store(error: &StoreError) -> Problem {
    tracing::error!(%error, "the store failed");
    let outcome = match error {
        StoreError::Unclear { .. } => {
            "the database cannot be reached, and whether this was done is not known yet: send the same again, under the same key"
        }
        StoreError::Moved { .. } => {
            "the database cannot be written just now: others write there at the same time, and nothing was changed. Send it again"
        }
        _ => "the database cannot be read or written, and nothing was changed",
    };
    let detail = format!("{outcome}. Why is in the server's log, under the id of this request");
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store", "The database failed", detail);
    Problem { cause: Some(CommitError::from(error.clone()).to_string()), ..problem.retry_after(1) }
}

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Commit(CommitError::Invalid(invalid)) => invalid.into(),
            SubmitError::Commit(error @ CommitError::Bug) => Self::internal(&error.to_string()),
            SubmitError::Commit(CommitError::Store(error)) => of_store(&error),
            other => {
                let kind = if matches!(other, SubmitError::Busy) { "busy" } else { "store" };
                let unavailable = StatusCode::SERVICE_UNAVAILABLE;
                let mut problem = Self::new(unavailable, kind, "Not now", other.to_string());
                problem.retry_after = Some(1);
                problem
            }
        }
    }
}

/// What panicked was answering, not deciding: whatever was committed is whole.
pub(crate) fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    tracing::error!("an answer could not be made: this is a bug; what was panicked with is above");
    Problem::internal("what was asked may have been done: look, or send it again with the same key")
        .into_response()
}

pub(crate) async fn not_found(uri: Uri, headers: HeaderMap) -> Response {
    let is_page = pages::is_asked_for(&headers);
    let there = if is_page { "go back, or find it from the overview" } else { "see /docs for what is" };
    let detail = format!("nothing is at {}; {there}", uri.path());
    let problem = Problem::new(StatusCode::NOT_FOUND, "not_found", "Nothing here", detail);
    if is_page { pages::shown(&problem) } else { problem.into_response() }
}

pub(crate) async fn method_not_allowed(uri: Uri) -> Problem {
    let detail = format!("{} does not take this method; see /docs", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", "Another method is needed", detail)
}
