//! Lists: `limit` 1 to 100, an opaque cursor, `has_more`; stable under inserts.

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::error::Problem;

/// Which part of a list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// How many at most: 1 to 100; 50 unless told.
    pub limit: Option<usize>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

impl PageQuery {
    pub fn limit(&self) -> Result<usize, Problem> {
        match self.limit.unwrap_or(50) {
            limit @ 1..=100 => Ok(limit),
            limit => {
                let detail = format!("limit is {limit}; it must be 1 to 100");
                Err(Problem::new(StatusCode::BAD_REQUEST, "limit", "Limit out of bounds", detail)
                    .field("limit"))
            }
        }
    }

    /// The id after which the page begins; 0 for the first.
    pub fn after(&self) -> Result<u64, Problem> {
        let Some(cursor) = &self.cursor else { return Ok(0) };
        // Ids stay below 2^63; a range from beyond them would have no end.
        let known = cursor.parse().ok().filter(|id| *id < u64::MAX >> 1);
        known.ok_or_else(|| {
            let detail =
                format!("`{cursor}` is no cursor of this list; take `next_cursor` of the page before");
            Problem::new(StatusCode::BAD_REQUEST, "cursor", "Not a cursor", detail).field("cursor")
        })
    }
}

/// A part of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Page<T> {
    /// The things.
    pub data: Vec<T>,
    /// Are there more?
    pub has_more: bool,
    /// Where to go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// The last entry of the log that this page sees.
    pub seq: u64,
}

impl<T> Page<T> {
    /// The part that was asked for of a short list that was read whole, in the order of its ids.
    pub fn of_all(mut all: Vec<(u64, T)>, query: &PageQuery, seq: u64) -> Result<Self, Problem> {
        let (limit, after) = (query.limit()?, query.after()?);
        all.retain(|(id, _)| *id > after);
        Ok(Self::new(all, limit, seq))
    }

    /// From up to `limit` + 1 things, each with its id.
    pub fn new(mut found: Vec<(u64, T)>, limit: usize, seq: u64) -> Self {
        let has_more = found.len() > limit;
        found.truncate(limit);
        let next_cursor = found.last().filter(|_| has_more).map(|(id, _)| id.to_string());
        Self { data: found.into_iter().map(|(_, thing)| thing).collect(), has_more, next_cursor, seq }
    }
}
