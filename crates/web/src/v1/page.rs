//! Lists: `limit` 1 to 100, an opaque cursor, `has_more`; stable under inserts.

use axum::http::StatusCode;
use onhand_ledger::Seq;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::error::Problem;

/// Which part of a list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// How many at most: 1 to 100; 50 unless told.
    #[param(minimum = 1, maximum = 100)]
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

    /// The id after which the page of this list begins; 0 for the first.
    pub fn after(&self, list: &str) -> Result<u64, Problem> {
        let Some(given) = &self.cursor else { return Ok(0) };
        let id = given.split_once('-').and_then(|(id, _)| u64::from_str_radix(id, 16).ok());
        id.filter(|id| is_position(*id) && cursor(list, *id) == *given).ok_or_else(|| no_cursor(given))
    }
}

impl PageQuery {
    /// As [`PageQuery::after`], of a list that is in the order of a text.
    pub fn after_text(&self, list: &str) -> Result<Option<String>, Problem> {
        let Some(given) = &self.cursor else { return Ok(None) };
        let text = given.rsplit_once('-').and_then(|(hex, _)| text_of(hex));
        match text.filter(|text| text_cursor(list, text) == *given) {
            Some(text) => Ok(Some(text)),
            None => Err(no_cursor(given)),
        }
    }
}

fn text_of(hex: &str) -> Option<String> {
    let pairs = hex.as_bytes().chunks(2);
    let bytes = pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    String::from_utf8(bytes.collect::<Option<_>>()?).ok()
}

fn no_cursor(given: &str) -> Problem {
    let shown: String = given.chars().take(40).collect();
    let detail = format!("`{shown}` is no cursor of this list; take `next_cursor` of the page before");
    Problem::new(StatusCode::BAD_REQUEST, "cursor", "Not a cursor", detail).field("cursor")
}

fn text_cursor(list: &str, text: &str) -> String {
    use std::fmt::Write as _;
    let mark = blake3::hash(format!("{text} of {list}").as_bytes()).to_hex();
    let mut hex = String::with_capacity(2 * text.len());
    for byte in text.bytes() {
        let _ = write!(hex, "{byte:02x}");
    }
    format!("{hex}-{}", &mark[..8])
}

/// Ids and entries are numbered from 1 to what a database's signed integers hold.
pub(crate) fn is_position(seq: u64) -> bool {
    seq < Seq::MAX >> 1
}

/// An id with a mark of its list, so that another list's cursor, or one that was made up, is known for what it is.
fn cursor(list: &str, id: u64) -> String {
    let mark = blake3::hash(format!("{id} of {list}").as_bytes()).to_hex();
    format!("{id:x}-{}", &mark[..8])
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
    pub fn of_all(list: &str, mut all: Vec<(u64, T)>, query: &PageQuery, seq: u64) -> Result<Self, Problem> {
        let (limit, after) = (query.limit()?, query.after(list)?);
        all.retain(|(id, _)| *id > after);
        Ok(Self::new(list, all, limit, seq))
    }

    /// From up to `limit` + 1 things, each with the text that they are in the order of.
    pub fn by_text(list: &str, mut found: Vec<(String, T)>, limit: usize, seq: u64) -> Self {
        let has_more = found.len() > limit;
        found.truncate(limit);
        let next_cursor = found.last().filter(|_| has_more).map(|(text, _)| text_cursor(list, text));
        Self { data: found.into_iter().map(|(_, thing)| thing).collect(), has_more, next_cursor, seq }
    }

    /// Things of a list that was looked through to an id, or to its end. There may be fewer than asked for though there
    /// are more to come.
    pub fn looked_through(list: &str, data: Vec<T>, next: Option<u64>, seq: u64) -> Self {
        Self { data, has_more: next.is_some(), next_cursor: next.map(|id| cursor(list, id)), seq }
    }

    /// From up to `limit` + 1 things, each with its id.
    pub fn new(list: &str, mut found: Vec<(u64, T)>, limit: usize, seq: u64) -> Self {
        let has_more = found.len() > limit;
        found.truncate(limit);
        let next_cursor = found.last().filter(|_| has_more).map(|(id, _)| cursor(list, *id));
        Self { data: found.into_iter().map(|(_, thing)| thing).collect(), has_more, next_cursor, seq }
    }
}
