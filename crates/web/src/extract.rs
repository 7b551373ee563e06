//! What addresses carry: the query, names and ids. What is wrong with them is a problem like any other.

use axum::extract::FromRequestParts;
use axum::extract::path::ErrorKind;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::error::Problem;

/// As axum's.
pub(crate) struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = axum::extract::Query::try_from_uri(&parts.uri);
        query.map(|axum::extract::Query(query)| Self(query)).map_err(query_problem)
    }
}

fn query_problem(rejection: QueryRejection) -> Problem {
    let text = rejection.body_text();
    let problem =
        |detail| Problem::new(rejection.status(), "query", "The query is not as it must be", detail);
    // axum says `Failed to deserialize query string: limit: invalid digit found in string`.
    let message = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
    let is_name = |name: &str| name.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase());
    let repeated = message.split_once("duplicate field `").and_then(|(_, rest)| rest.split_once('`'));
    if let Some((field, _)) = repeated {
        return problem(format!("`{field}` is told twice; tell it once")).field(field);
    }
    match message.split_once(": ").filter(|(field, _)| is_name(field)) {
        // Only whole numbers are parsed here; all else is text.
        Some((field, reason)) => problem(format!("`{field}` must be a whole number ({reason})")).field(field),
        None => problem(message.to_owned()),
    }
}

/// As axum's.
pub(crate) struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = axum::extract::Path::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path(path)| Self(path)).map_err(path_problem)
    }
}

fn path_problem(rejection: PathRejection) -> Problem {
    let problem =
        |detail| Problem::new(rejection.status(), "path", "The address is not as it must be", detail);
    if let PathRejection::FailedToDeserializePathParams(failed) = &rejection
        && let ErrorKind::InvalidUtf8InPathParam { key } = failed.kind()
    {
        return problem(format!("`{key}` is no UTF-8 once its `%` are decoded")).field(key);
    }
    problem(rejection.body_text())
}

/// The id that an address names its thing by. One beyond all that can be given is the id of nothing.
pub(crate) struct Id(pub u64);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, state).await?;
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            let detail = format!("`{text}` is no id; one is a whole number such as 57");
            let title = "The address is not as it must be";
            return Err(Problem::new(StatusCode::BAD_REQUEST, "path", title, detail).field("id"));
        }
        match text.parse::<i64>() {
            Ok(id) => Ok(Self(id.unsigned_abs())),
            Err(_) => Err(Problem::unknown("thing with the id", text)),
        }
    }
}

/// A name as a segment of an address.
pub(crate) fn segment(text: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes()
        .map(|byte| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
