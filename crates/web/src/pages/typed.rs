//! A form that is looked at before it is saved: what was typed stays, what is wrong is told at its field, and what is saved is
//! what was shown.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use onhand_engine::View;
use onhand_ledger::command::fingerprint_of;
use onhand_ledger::{Answer, Body, LocationId, Precision, Quantity, RuleId};
use onhand_store::StoreError;
use serde::Deserialize;

use super::{Shown, act, form_key};
use crate::App;
use crate::auth::Caller;
use crate::error::Problem;
use crate::role::Role;

/// What somebody typed into a form, by the names of its fields; one that may be there often is there often.
#[derive(Clone, Default)]
pub(super) struct Typed(Vec<(String, String)>);

impl Typed {
    pub fn new(fields: Vec<(String, String)>) -> Self {
        Self(fields)
    }

    /// With a field more.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.0.push((name.to_owned(), value.into()));
        self
    }

    /// Was the form sent? Else it is as a link has it.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// What is in a field, without spaces around it; empty where that is nothing.
    pub fn get(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or_default()
    }

    /// All of a field that may be there often.
    pub fn all<'t>(&'t self, name: &str) -> impl Iterator<Item = &'t str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.trim())
    }

    /// What is in a field, where anything is.
    pub fn text(&self, name: &str) -> Option<String> {
        Some(self.get(name)).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// A quantity, where there is one.
    ///
    /// # Errors
    /// It is none.
    pub fn quantity(&self, name: &str) -> Result<Option<Quantity>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let parsed = Quantity::parse(&text.replace('−', "-"), Precision::FINEST);
        parsed.map(Some).map_err(|error| Problem::of_field(name, error.to_string()))
    }

    /// A whole number, where there is one.
    ///
    /// # Errors
    /// It is none, or beyond what is `meant`.
    pub fn whole<T: std::str::FromStr>(&self, name: &str, meant: &str) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let shown: String = text.chars().take(40).collect();
        text.parse().map(Some).map_err(|_| Problem::of_field(name, format!("`{shown}` is not {meant}")))
    }
}

/// One that may be chosen.
pub(super) struct Choice {
    pub value: String,
    pub label: String,
    pub is_chosen: bool,
}

impl Choice {
    pub fn new(value: impl Into<String>, label: impl Into<String>, is_chosen: impl Fn(&str) -> bool) -> Self {
        let (value, label) = (value.into(), label.into());
        Self { is_chosen: is_chosen(&value), value, label }
    }
}

/// What a rule speaks of is one of these, and has a name unless it is all.
///
/// # Errors
/// It is none of them, has no name, or has one too many.
pub(super) fn must_be_named(all: &[(&str, &str)], of: &str, name: Option<&String>) -> Result<(), Problem> {
    let wrong = |detail| Err(Problem::of_field("name", detail));
    match (of, name) {
        (of, _) if !all.iter().any(|(known, _)| *known == of) => wrong("choose one of these"),
        ("", Some(_)) => wrong("say of what this is the name, or leave it out"),
        ("", None) | (_, Some(_)) => Ok(()),
        (_, None) => wrong("say of which one, or choose the first of these"),
    }
}

/// A place in a form: a location, or a group of them.
pub(super) enum Spot {
    Location(String),
    Group(String),
}

/// The places that may be chosen: the groups, the sites, and of the zones and bins inside these the chosen ones, and the first `inside`.
///
/// # Errors
/// The store's.
pub(super) fn spots(
    view: &mut View<'_>,
    inside: usize,
    is_chosen: impl Fn(&str) -> bool,
) -> Result<Vec<Choice>, StoreError> {
    let sites = view.sites()?;
    let groups: BTreeSet<&String> = sites.grouped.iter().flat_map(|(_, groups)| groups).collect();
    let mut all: Vec<Choice> = groups
        .into_iter()
        .map(|group| Choice::new(Spot::Group(group.clone()).value(), format!("group {group}"), &is_chosen))
        .collect();
    let parts: BTreeSet<LocationId> = sites.parts.iter().map(|part| part.location).collect();
    let mut left = inside;
    for id in sites.all {
        let Some(location) = view.location(id)? else { continue };
        let value = Spot::Location(location.code.clone()).value();
        if parts.contains(&id) && !is_chosen(&value) {
            if left == 0 {
                continue;
            }
            left -= 1;
        }
        all.push(Choice::new(value, location.code, &is_chosen));
    }
    Ok(all)
}

impl Spot {
    /// As a form has it.
    pub fn value(&self) -> String {
        match self {
            Self::Location(code) => format!("at:{code}"),
            Self::Group(name) => format!("group:{name}"),
        }
    }

    /// From a form's field.
    ///
    /// # Errors
    /// It is none.
    pub fn of(field: &str, value: &str) -> Result<Self, Problem> {
        let location = value.strip_prefix("at:").map(|code| Self::Location(code.to_owned()));
        let group = || value.strip_prefix("group:").map(|name| Self::Group(name.to_owned()));
        let wrong = || Problem::of_field(field, "choose one of these places");
        location.or_else(group).ok_or_else(wrong)
    }
}

/// What is wrong with a form, at one of its fields; at `top` where that is none of them.
#[derive(Default)]
pub(super) struct Wrong {
    pub field: &'static str,
    pub detail: String,
}

impl Wrong {
    /// A problem, at the field of a form that is about what the problem's is.
    pub fn of(problem: &Problem, fields: &[(&'static str, &[&str])]) -> Self {
        let named = problem.field.as_deref().unwrap_or_default();
        let is_meant = |(field, about): &&(&'static str, &[&str])| *field == named || about.contains(&named);
        Self {
            field: fields.iter().find(is_meant).map_or("top", |(field, _)| *field),
            detail: problem.detail.clone(),
        }
    }

    /// Is anything?
    pub fn is_any(&self) -> bool {
        !self.detail.is_empty()
    }

    /// What is wrong at a field; empty where nothing is.
    pub fn at(&self, field: &str) -> &str {
        if self.field == field { &self.detail } else { "" }
    }
}

/// What follows from a form, or what is wrong with it; and with which status that is answered.
pub(super) fn parted<F: Default>(
    told: Result<F, Problem>,
    fields: &[(&'static str, &[&str])],
) -> (F, Wrong, StatusCode) {
    match told {
        Ok(follows) => (follows, Wrong::default(), StatusCode::OK),
        Err(problem) => {
            let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::UNPROCESSABLE_ENTITY);
            (F::default(), Wrong::of(&problem, fields), status)
        }
    }
}

/// What follows, or why it cannot be.
pub(super) fn or_why<F: Default>(told: Result<F, Problem>) -> (F, String) {
    match told {
        Ok(follows) => (follows, String::new()),
        Err(problem) => (F::default(), problem.detail),
    }
}

/// Which parts of an answer are swapped beside what follows from a form.
pub(super) fn swapped(fields: &[(&'static str, &[&str])]) -> String {
    let wrong = fields.iter().map(|(field, _)| *field).chain(["top"]);
    wrong.fold("#told:innerHTML".to_owned(), |all, field| format!("{all},#wrong-{field}:innerHTML"))
}

/// May whoever looks change rules?
pub(super) fn may_change(caller: &Caller) -> bool {
    caller.role >= Role::Operator
}

/// Saves a rule where just that was shown before, and leads to where it is listed.
///
/// # Errors
/// Nothing is saved: what was asked for is to be looked at first, or something is wrong with it.
pub(super) async fn saved(
    app: &App,
    caller: &Caller,
    typed: &Typed,
    asked: Result<Body, Problem>,
    home: &str,
) -> Result<Response, Result<Body, Problem>> {
    let body = asked.map_err(Err)?;
    let Some(key) = key_where_shown(typed.get("save"), &body) else { return Err(Ok(body)) };
    match act(app, caller.clone(), key, body).await.map_err(Err)?.answer {
        Answer::Rule(RuleId(id)) => Ok(Redirect::to(&format!("{home}?done={id}#r{id}")).into_response()),
        _ => Ok(Redirect::to(home).into_response()),
    }
}

/// The button that saves, where nothing is typed.
#[derive(Deserialize)]
pub(super) struct Pressed {
    #[serde(default)]
    save: String,
}

/// Ends a rule where that was shown before, and leads to where those like it are listed.
///
/// # Errors
/// It cannot end.
pub(super) async fn ended(
    app: &App,
    caller: Caller,
    id: u64,
    pressed: &Pressed,
    (home, is_there): (&str, bool),
) -> Shown {
    let body = Body::EndRule(RuleId(id));
    // Pressed twice, or somebody else was first: it is gone, as was asked.
    if is_there {
        let Some(key) = key_where_shown(&pressed.save, &body) else {
            return Ok(Redirect::to(&format!("{home}/{id}/end")).into_response());
        };
        act(app, caller, key, body).await?;
    }
    Ok(Redirect::to(home).into_response())
}

/// What the button that saves carries: a key, so that it is done once, and of what was shown.
///
/// # Errors
/// There is no chance to be had.
pub(super) fn shown_as(body: &Body) -> Result<String, Problem> {
    Ok(format!("{}.{:016x}", form_key()?, fingerprint_of(body)))
}

/// The key of what a button that saves carries, where just this was shown.
fn key_where_shown<'b>(button: &'b str, body: &Body) -> Option<&'b str> {
    let (key, of) = button.split_once('.')?;
    (of == format!("{:016x}", fingerprint_of(body))).then_some(key)
}

#[cfg(test)]
mod tests {
    use onhand_ledger::RuleId;

    use super::*;

    #[test]
    fn a_button_saves_what_was_shown_and_nothing_else() {
        let button = shown_as(&Body::EndRule(RuleId(7))).unwrap();
        let key = key_where_shown(&button, &Body::EndRule(RuleId(7))).unwrap();
        assert!(button.starts_with(key) && key.starts_with("page-"));
        assert_eq!(key_where_shown(&button, &Body::EndRule(RuleId(8))), None);
        assert_eq!(key_where_shown("", &Body::EndRule(RuleId(7))), None);
    }

    #[test]
    fn a_problem_is_told_at_the_field_that_it_is_about() {
        let fields: &[(&str, &[&str])] = &[("name", &["sku", "tag"]), ("buffer", &[])];
        let at = |field: &str| Wrong::of(&Problem::of_field(field, "no"), fields).field;
        assert_eq!((at("sku"), at("buffer"), at("else")), ("name", "buffer", "top"));
    }
}
