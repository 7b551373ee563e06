//! What has no place in the bar of a narrow screen.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::routing::get;

use super::frame::{Frame, MORE};
use super::session::Visitor;
use super::{Shown, page};
use crate::App;

pub(super) fn routes() -> Router<App> {
    Router::new().route(MORE, get(show))
}

#[derive(Template)]
#[template(path = "more.html")]
struct More {
    frame: Frame,
}

async fn show(State(app): State<App>, Visitor(caller): Visitor) -> Shown {
    Ok(page(&More { frame: Frame::of(&app, &caller, MORE).await? })?)
}
