//! What went wrong, as a page: what happened, and what would be right.

use askama::Template;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::{assets, page};
use crate::error::Problem;

#[derive(Template)]
#[template(path = "problem.html")]
struct Shown<'a> {
    style: String,
    icon: String,
    problem: &'a Problem,
}

/// Does whoever asks read pages, and not JSON?
pub(crate) fn is_asked_for(headers: &HeaderMap) -> bool {
    let accepted =
        headers.get(header::ACCEPT).and_then(|accepted| accepted.to_str().ok()).unwrap_or_default();
    accepted.split(',').next().is_some_and(|first| first.trim().starts_with("text/html"))
}

/// A problem as a page.
pub(crate) fn shown(problem: &Problem) -> Response {
    let problem = &problem.clone().identified();
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    match page(&Shown { style: assets::style(), icon: assets::icon(), problem }) {
        Ok(mut response) => {
            *response.status_mut() = status;
            if let Some(seconds) = problem.retry_after {
                response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
            }
            response
        }
        Err(problem) => problem.into_response(),
    }
}

/// A problem that a page answers with.
pub(super) struct Trouble(Problem);

impl<E: Into<Problem>> From<E> for Trouble {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl axum::response::IntoResponse for Trouble {
    fn into_response(self) -> Response {
        shown(&self.0)
    }
}
