//! How much of the log a read has seen: its answer names it in the header `Onhand-Seq`, and `min_seq` asks for at least so much.
//!
//! A node that is not there yet looks again for a short while; then it says so, and never answers from before that entry.

use std::cell::Cell;
use std::time::Duration;

use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use onhand_ledger::Seq;
use serde::Deserialize;

use crate::error::Problem;
use crate::extract::part_of_query;
use crate::v1::page::is_position;

/// How long a read waits for the entry it must have seen, at most: less than anybody's patience, more than a commit takes.
const PATIENCE: Duration = Duration::from_secs(2);
/// How soon it looks again at first; then half as soon each time.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// The query parameter of every read.
pub(crate) const MIN_SEQ: &str = "min_seq";

tokio::task_local! {
    static READ: Read;
}

/// What a read asks for, and what it has seen.
struct Read {
    at_least: Seq,
    seen: Cell<Option<Seq>>,
}

#[derive(Deserialize)]
struct Asked {
    min_seq: Option<u64>,
}

/// Reads take `min_seq` and say what they have seen. What changes something is decided on all there is anyway.
pub(crate) async fn name(request: Request, next: Next) -> Response {
    if request.method() != Method::GET {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let at_least = match part_of_query::<Asked>(&parts.uri) {
        Ok(asked) => asked.min_seq.unwrap_or(0),
        Err(problem) => return problem.into_response(),
    };
    if !is_position(at_least) {
        let detail = format!("no entry is numbered {at_least}; take `Onhand-Seq` of an earlier answer");
        let title = "The query is not as it must be";
        let problem = Problem::new(StatusCode::BAD_REQUEST, "query", title, detail);
        return problem.field(MIN_SEQ).into_response();
    }
    let read = Read { at_least, seen: Cell::new(None) };
    let answered = async {
        let response = next.run(Request::from_parts(parts, body)).await;
        (response, READ.with(|read| read.seen.get()))
    };
    let (mut response, seen) = READ.scope(read, answered).await;
    if let Some(seq) = seen {
        // A report that is of one entry has named it.
        response.headers_mut().entry("onhand-seq").or_insert(seq.into());
    }
    response
}

/// The entry that whoever reads must have seen.
pub(crate) fn at_least() -> Seq {
    READ.try_with(|read| read.at_least).unwrap_or(0)
}

/// Of an answer that is read in parts the first counts: all of them have seen as much.
pub(crate) fn saw(seq: Seq) {
    let _ = READ.try_with(|read| read.seen.set(read.seen.get().or(Some(seq))));
}

/// When to look again.
pub(crate) struct Waiting {
    left: Duration,
    pause: Duration,
}

impl Waiting {
    pub fn begin() -> Self {
        Self { left: PATIENCE, pause: FIRST_PAUSE }
    }

    /// Waits a little; fails once it has waited long enough for an entry, where the log ends at another.
    pub async fn look_again(&mut self, at_least: Seq, end: Seq) -> Result<(), Problem> {
        if self.left.is_zero() {
            let detail = format!(
                "the log ends at entry {end}, and `min_seq` asks for entry {at_least}; send it again, \
                 or check that `min_seq` is of this ledger"
            );
            return Err(Problem::behind(detail).field(MIN_SEQ));
        }
        let pause = self.pause.min(self.left);
        self.left -= pause;
        self.pause *= 2;
        tokio::time::sleep(pause).await;
        Ok(())
    }
}
