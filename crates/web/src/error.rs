//! The one shape of errors: RFC 9457 problem details.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use onhand_engine::{CommitError, SubmitError};
use onhand_ledger::{Invalid, Refusal};
use onhand_store::StoreError;
use serde::Serialize;
use utoipa::ToSchema;

use crate::decimal::Decimal;
use crate::{errors_page, request};

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
    retry_after: Option<u32>,
    #[serde(skip)]
    pub(crate) replayed: bool,
}

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
        }
    }

    /// The problem lies in a field.
    #[must_use]
    pub fn field(mut self, field: &str) -> Self {
        self.field = Some(field.to_owned());
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

    /// A line was not done, since another one of its group was not.
    pub fn of_group(group: &str, line: u64) -> Self {
        let detail = format!("line {line} was refused, and the group `{group}` is done wholly or not at all");
        Self::new(StatusCode::CONFLICT, "group", "The group was not done", detail)
    }

    /// No key came, or none that is known.
    pub fn unauthorised(detail: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorised", "An API key is needed", detail)
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
    fn into_response(mut self) -> Response {
        if !self.kept {
            self.request_id = request::id();
        }
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let (retry_after, replayed) = (self.retry_after, self.replayed);
        let mut response = (status, Json(self)).into_response();
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
        let detail = invalid.to_string();
        let bad = |kind, title| Self::new(StatusCode::UNPROCESSABLE_ENTITY, kind, title, detail.clone());
        match invalid {
            Invalid::UnknownSku(_) => bad("unknown_sku", "Unknown SKU").field("sku"),
            Invalid::UnknownLocation(_) => bad("unknown_location", "Unknown location").field("location"),
            Invalid::UnknownLot { .. } => bad("unknown_lot", "Unknown lot or serial").field("lot"),
            Invalid::UnknownSystem(_) => bad("unknown_system", "Unknown system").field("system"),
            Invalid::UnmappedListing { .. } => bad("unmapped_listing", "Unmapped listing").field("listing"),
            Invalid::Unknown { .. } => {
                Self::new(StatusCode::NOT_FOUND, "unknown", "There is no such thing", detail.clone())
            }
            Invalid::NotPositive { field, .. } => bad("not_positive", "Not more than zero").field(field),
            Invalid::TooPrecise { .. } => bad("too_precise", "Too precise").field("quantity"),
            Invalid::NoLines(_) => bad("no_lines", "Nothing in it").field("lines"),
            Invalid::Twice { field, .. } => bad("twice", "The same thing twice").field(field),
            Invalid::Field { field, .. } => bad("field", "A field is not as it must be").field(field),
            Invalid::TooFarAhead { field, .. } => bad("too_far_ahead", "A time in the future").field(field),
            Invalid::TooLarge { .. } => bad("too_large", "Too large").field("quantity"),
            Invalid::UnknownPack { .. } => bad("unknown_pack", "Unknown pack").field("pack"),
            Invalid::Overflow(_) => bad("overflow", "Too much").field("quantity"),
            // What is wrong is the line's own; where it is, the text says.
            Invalid::InGroup { invalid, .. } => {
                let mut problem = Self::from(*invalid);
                problem.detail = detail;
                problem
            }
            Invalid::KeyReused(_) => Self::new(
                StatusCode::CONFLICT,
                "key_reused",
                "The key was used for another request",
                detail.clone(),
            )
            .field("Idempotency-Key"),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        let no = |kind, title| Self::new(StatusCode::CONFLICT, kind, title, detail.clone());
        let problem = match refusal {
            Refusal::Insufficient(missing) => {
                let mut problem = no("insufficient", "Not enough available");
                problem.missing = missing
                    .into_iter()
                    .map(|missing| MissingBody {
                        sku: missing.sku,
                        wanted: missing.wanted.into(),
                        available: missing.available.into(),
                        may_wait: missing.beyond.map(|(left, _)| left.into()),
                    })
                    .collect();
                problem
            }
            Refusal::NotMaster { .. } => no("not_master", "Another system is master there"),
            Refusal::NotSellable { .. } => {
                no("not_sellable", "That location does not sell").field("location")
            }
            Refusal::HoldEnded { .. } => no("hold_ended", "The hold keeps nothing any more"),
            Refusal::LineHasLess { .. } => no("line_has_less", "The order's line has less"),
            Refusal::HoldHasLess { .. } => no("line_has_less", "The hold's line keeps less").field("lines"),
            Refusal::NotInOnePlace => no("not_in_one_place", "No location has all of it"),
            Refusal::SessionEnded { .. } => no("session_ended", "The counting session has ended"),
            Refusal::RecountNeeded { .. } => no("recount_needed", "Somebody must look again"),
            Refusal::ApprovalNeeded { .. } => Self {
                status: StatusCode::FORBIDDEN.as_u16(),
                ..no("approval_needed", "A difference needs approval")
            },
            Refusal::ReferenceTaken { .. } => no("reference_taken", "The reference is taken"),
            Refusal::PrecisionInUse { .. } => no("precision_in_use", "Finer quantities may be booked"),
            Refusal::RuleTie { .. } => no("rule_tie", "Two rules of one specificity"),
            Refusal::SerialElsewhere { .. } => no("serial_elsewhere", "That piece is here already"),
            Refusal::ItemInUse { .. } => no("item_in_use", "The item has moved already"),
            Refusal::InGroup { refusal, .. } => {
                let mut problem = Self::from(*refusal);
                problem.detail = detail;
                problem
            }
            Refusal::AlreadyResolved { .. } => no("already_resolved", "Resolved already"),
            Refusal::BarcodeTaken { .. } => {
                no("barcode_taken", "The barcode is on another item").field("barcodes")
            }
            Refusal::SkuTaken { .. } => no("sku_taken", "The name is another item's").field("sku"),
            Refusal::Archived { .. } => no("archived", "The item is archived").field("sku"),
            Refusal::CannotMerge { .. } => no("cannot_merge", "The two cannot be one"),
            Refusal::DocumentEnded { .. } => no("document_ended", "Nothing more can be done with it"),
            Refusal::DocumentHasLess { .. } => no("document_has_less", "The document's line has less"),
            Refusal::DocumentReferenceTaken { .. } => no("reference_taken", "The reference is taken"),
            Refusal::NotReversible { .. } => no("not_reversible", "It is corrected in another way"),
            Refusal::ReversedAlready { .. } => no("reversed_already", "Less is left to be reversed"),
        };
        Self { kept: true, ..problem }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the store failed");
        let detail = format!("nothing was changed: {error}");
        let mut problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "store", "The database failed", detail);
        problem.retry_after = Some(1);
        problem
    }
}

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Commit(CommitError::Invalid(invalid)) => invalid.into(),
            SubmitError::Commit(error @ CommitError::Bug) => Self::internal(&error.to_string()),
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

pub(crate) async fn not_found(uri: Uri) -> Problem {
    let detail = format!("nothing is at {}; see /docs for what is", uri.path());
    Problem::new(StatusCode::NOT_FOUND, "not_found", "Nothing here", detail)
}

pub(crate) async fn method_not_allowed(uri: Uri) -> Problem {
    let detail = format!("{} does not take this method; see /docs", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", "Another method is needed", detail)
}
