//! What addresses carry: the query, names and ids. What is wrong with them is a problem like any other.

use axum::extract::FromRequestParts;
use axum::extract::path::ErrorKind;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::http::request::Parts;
use axum::http::{StatusCode, Uri};
use serde::de::{DeserializeOwned, Deserializer, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};

use crate::error::Problem;
use crate::seen::MIN_SEQ;

/// As axum's, but a parameter that there is not is an error: a mistyped `as_of` would be answered with the stock of now.
pub(crate) struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = axum::extract::Query::<Known<T>>::try_from_uri(&parts.uri);
        let axum::extract::Query(known) = query.map_err(query_problem)?;
        let Some(names) = known.names else { return Ok(Self(known.query)) };
        let sent =
            axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&parts.uri).map_err(query_problem)?;
        match sent.0.iter().find(|(name, _)| name != MIN_SEQ && !names.contains(&name.as_str())) {
            None => Ok(Self(known.query)),
            Some((unknown, _)) => {
                let names: Vec<String> =
                    names.iter().chain([&MIN_SEQ]).map(|name| format!("`{name}`")).collect();
                let detail =
                    format!("there is no parameter `{unknown}` here; there are {}", names.join(", "));
                Err(Problem::new(StatusCode::BAD_REQUEST, "query", QUERY, detail).field(unknown))
            }
        }
    }
}

/// What a query says beside what its endpoint asks of it.
pub(crate) fn part_of_query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Problem> {
    let query = axum::extract::Query::try_from_uri(uri);
    query.map(|axum::extract::Query(query)| query).map_err(query_problem)
}

const QUERY: &str = "The query is not as it must be";

/// What a query says, and the parameters it may have, where they have names.
struct Known<T> {
    query: T,
    names: Option<&'static [&'static str]>,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Known<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut names = None;
        let query = T::deserialize(Naming { inner: deserializer, names: &mut names })?;
        Ok(Self { query, names })
    }
}

/// A deserializer that notes which fields are asked for.
struct Naming<'n, D> {
    inner: D,
    names: &'n mut Option<&'static [&'static str]>,
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Naming<'_, D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_any(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_seq(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        *self.names = Some(fields);
        self.inner.deserialize_struct(name, fields, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct tuple tuple_struct map enum identifier ignored_any
    }
}

fn query_problem(rejection: QueryRejection) -> Problem {
    let text = rejection.body_text();
    let problem = |detail| Problem::new(rejection.status(), "query", QUERY, detail);
    // axum says `Failed to deserialize query string: limit: invalid digit found in string`.
    let message = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
    let is_name = |name: &str| name.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase());
    let repeated = message.split_once("duplicate field `").and_then(|(_, rest)| rest.split_once('`'));
    if let Some((field, _)) = repeated {
        return problem(format!("`{field}` is told twice; tell it once")).field(field);
    }
    match message.split_once(": ").filter(|(field, _)| is_name(field)) {
        Some((field, reason)) if reason.starts_with("unknown variant") => {
            problem(format!("`{field}` is not as it must be: {reason}")).field(field)
        }
        // Only whole numbers are parsed here else; all else is text.
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
