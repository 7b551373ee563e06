//! Alerts: who is told of troubles, what is wrong now and when they were told, whether word arrives; and saying whom to tell.
//!
//! What a target goes by (the address of a webhook or a chat, a password) is taken here and never shown: a field left empty keeps it,
//! and a mail server's password is kept for that very server and user alone, so that nobody has it sent elsewhere.

use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, Query, State};
use axum::response::{IntoResponse as _, Redirect};
use axum::routing::{get, post};
use onhand_channels::notice::{Mailer, Security, Way, check};
use onhand_engine::View;
use onhand_engine::alerts::{Delivery, Opened, Target, delivery, seen_by, targets};
use onhand_ledger::Instant;
use onhand_store::StoreError;
use onhand_sync::alerts::{Kind, Patience, Seen};
use serde::Deserialize;

use super::frame::Frame;
use super::session::Visitor;
use super::typed::{Choice, Typed, may_change};
use super::{Shown, page, words};
use crate::App;
use crate::error::Problem;
use crate::v1::alerts::{check_name, forget_known, host, keep_allowed, tell_test, wrong};
use crate::v1::ask::read;
use crate::v1::unsealed;

const HERE: &str = "/alerts";
/// So many troubles are shown of each target.
const ROWS: usize = 100;

/// How the way to a mail server is secured: as the form has it, and in words.
const SECURITIES: [(&str, Security, &str); 3] = [
    ("start_tls", Security::StartTls, "STARTTLS, port 587 unless told"),
    ("tls", Security::Tls, "TLS from the first byte on, port 465 unless told"),
    ("none", Security::None, "none: only on this machine or net, port 25 unless told"),
];

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route(HERE, get(list).post(save))
        .route("/alerts/{name}/test", post(test))
        .route("/alerts/{name}/remove", post(remove))
}

/// A trouble that somebody was told of, or is told of soon.
struct TroubleRow {
    sentence: String,
    since: words::Time,
    told: Option<words::Time>,
    gone: Option<words::Time>,
}

impl TroubleRow {
    fn of(seen: Seen, now: Instant) -> Self {
        Self {
            sentence: seen.sentence,
            since: words::Time::of(seen.since, now),
            told: seen.told_at.map(|at| words::Time::of(at, now)),
            gone: seen.gone_since.map(|at| words::Time::of(at, now)),
        }
    }
}

/// Who is told.
struct Row {
    name: String,
    /// As a part of an address.
    part: String,
    /// How, in words; empty where its secrets do not open.
    way: &'static str,
    to: String,
    kinds: String,
    told: Option<words::Time>,
    /// Why nobody is told; empty where word arrives.
    trouble: String,
    since: Option<words::Time>,
    retry: Option<words::Time>,
    troubles: Vec<TroubleRow>,
    /// How many more there are.
    more: Option<String>,
    editor: Option<Editor>,
}

/// A form that says whom to tell: somebody else, or what is another of somebody. Nothing secret is in it.
struct Editor {
    title: &'static str,
    way: &'static str,
    is_new: bool,
    name: String,
    to: String,
    host: String,
    port: String,
    securities: Vec<Choice>,
    username: String,
    from: String,
    kinds: Vec<Choice>,
    /// Each with its label and the seconds.
    patience: Vec<(&'static str, &'static str, u32)>,
}

impl Editor {
    fn of(title: &'static str, way: &'static str, target: Option<&Target>) -> Self {
        let mailer = target.and_then(|target| match &target.way {
            Way::Email(mailer) => Some(mailer),
            _ => None,
        });
        let text = |of: fn(&Mailer) -> String| mailer.map(of).unwrap_or_default();
        let security = mailer.map_or(Security::StartTls, |mailer| mailer.security);
        let securities =
            SECURITIES.map(|(value, known, label)| Choice::new(value, label, |_| known == security));
        let is_told =
            |kind: Kind| target.is_none_or(|target| target.kinds.is_empty() || target.kinds.contains(&kind));
        let kinds = Kind::ALL.map(|kind| Choice::new(kind.name(), of_what(kind), |_| is_told(kind)));
        let patience = target.map_or_else(Patience::default, |target| target.patience);
        Self {
            title,
            way,
            is_new: target.is_none(),
            name: target.map(|target| target.name.clone()).unwrap_or_default(),
            to: text(|mailer| mailer.to.join("\n")),
            host: text(|mailer| mailer.host.clone()),
            port: text(|mailer| mailer.port.to_string()),
            securities: securities.into_iter().collect(),
            username: text(|mailer| mailer.username.clone()),
            from: text(|mailer| mailer.from.clone()),
            kinds: kinds.into_iter().collect(),
            patience: vec![
                ("silent_seconds", "Seconds a system may be silent", patience.silent_seconds),
                ("lag_seconds", "Seconds it may show what it should not", patience.lag_seconds),
                ("exposure_seconds", "Seconds it may offer more than there is", patience.exposure_seconds),
                ("stale_seconds", "Seconds a discrepancy may wait", patience.stale_seconds),
                ("calm_seconds", "Seconds a trouble must be gone to be over", patience.calm_seconds),
            ],
        }
    }
}

/// A kind of trouble as people read it.
const fn of_what(kind: Kind) -> &'static str {
    match kind {
        Kind::SilentSystem => "a system is silent",
        Kind::Lag => "a system lags",
        Kind::Exposure => "a system offers more than there is",
        Kind::LowStock => "stock is low",
        Kind::ShortOrder => "an order is short",
        Kind::PastShipBy => "an order is late",
        Kind::StaleDiscrepancy => "a discrepancy waits",
        Kind::Unreached => "somebody else cannot be told",
    }
}

/// The way as the form has it, and in words.
const fn way_of(way: &Way) -> (&'static str, &'static str) {
    match way {
        Way::Email(_) => ("email", "by e-mail"),
        Way::Webhook { .. } => ("webhook", "by webhook"),
        Way::Slack { .. } => ("slack", "in a chat"),
    }
}

fn row(view: &mut View<'_>, name: String, opened: Opened, may_change: bool) -> Result<Row, StoreError> {
    let Delivery { told_at, failing } = delivery(view, &name)?;
    let seen = seen_by(view, &name)?;
    let now = view.now;
    let more = seen.len().saturating_sub(ROWS);
    let (since, retry, trouble) = match failing {
        Some(failing) => (Some(failing.since), Some(failing.retry_at), failing.why),
        None => (None, None, String::new()),
    };
    let nobody = Row {
        part: words::part(&name),
        name,
        way: "",
        to: String::new(),
        kinds: String::new(),
        told: told_at.map(|at| words::Time::of(at, now)),
        trouble,
        since: since.map(|at| words::Time::of(at, now)),
        retry: retry.map(|at| words::Time::of(at, now)),
        troubles: seen.into_values().take(ROWS).map(|seen| TroubleRow::of(seen, now)).collect(),
        more: (more > 0).then(|| words::count(more)),
        editor: None,
    };
    Ok(match opened {
        Err(why) => Row { trouble: why.to_string(), since: None, retry: None, ..nobody },
        Ok(target) => {
            let (way, said) = way_of(&target.way);
            let of_all = target.kinds.is_empty();
            let kinds: Vec<&str> = target.kinds.iter().map(|kind| of_what(*kind)).collect();
            Row {
                way: said,
                to: match &target.way {
                    Way::Email(mailer) => mailer.to.join(", "),
                    Way::Webhook { url, .. } | Way::Slack { url } => host(url),
                },
                kinds: if of_all { "every kind of trouble".to_owned() } else { kinds.join("; ") },
                editor: may_change.then(|| Editor::of("Change", way, Some(&target))),
                ..nobody
            }
        }
    })
}

/// Somebody who is told, or nobody yet; with the forms that say whom to tell.
struct Card {
    row: Option<Row>,
    editors: Vec<Editor>,
}

#[derive(Template)]
#[template(path = "alerts.html")]
struct Alerts {
    frame: Frame,
    is_empty: bool,
    cards: Vec<Card>,
    may_change: bool,
    /// Whom a test reached just now.
    reached: Option<String>,
}

#[derive(Deserialize)]
struct Wanted {
    /// Whom a test reached just now.
    reached: Option<String>,
}

async fn list(State(app): State<App>, Visitor(caller): Visitor, Query(wanted): Query<Wanted>) -> Shown {
    let frame = Frame::still(&app, &caller, "/activity").await?;
    let may_change = may_change(&caller);
    let ledger = app.handle.ledger().clone();
    let rows = read(&app, &caller, |view| {
        let mut rows = Vec::new();
        for (name, opened) in targets(view, ledger.seal())? {
            rows.push(row(view, name, opened, may_change)?);
        }
        Ok(rows)
    });
    let rows = rows.await?;
    let is_empty = rows.is_empty();
    let reached = wanted.reached.filter(|reached| rows.iter().any(|row| row.name == *reached));
    let card = |mut row: Row| Card { editors: row.editor.take().into_iter().collect(), row: Some(row) };
    let mut cards: Vec<Card> = rows.into_iter().map(card).collect();
    if may_change {
        let editors = vec![
            Editor::of("By e-mail", "email", None),
            Editor::of("By webhook", "webhook", None),
            Editor::of("In a chat that takes what Slack takes", "slack", None),
        ];
        cards.push(Card { row: None, editors });
    }
    Ok(page(&Alerts { frame, is_empty, cards, may_change, reached })?)
}

/// Adds somebody to tell, or changes what is said of somebody (`changes`): the same is kept as by the API.
async fn save(
    State(app): State<App>,
    Visitor(caller): Visitor,
    Form(fields): Form<Vec<(String, String)>>,
) -> Shown {
    // A password may begin or end with a space.
    let secret = fields.iter().find(|(field, _)| field == "secret");
    let secret = secret.map(|(_, secret)| secret.clone()).unwrap_or_default();
    let typed = Typed::new(fields);
    let name = typed.get("name");
    let ledger = app.handle.ledger().clone();
    let known = read(&app, &caller, |view| targets(view, ledger.seal())).await?;
    let known = known.into_iter().find(|(known, _)| known == name).map(|(_, opened)| opened);
    let before = match (known, typed.has("changes")) {
        (None, false) => None,
        (Some(opened), true) => Some(opened.map_err(|error| unsealed(&error))?),
        (None, true) => return Err(Problem::unknown("target of alerts called", name).into()),
        (Some(_), false) => {
            let detail = format!("`{name}` is told already: change that, or use another name");
            return Err(Problem::of_field("name", detail).into());
        }
    };
    let target = target(&typed, secret, before.as_ref())?;
    keep_allowed(&app, &caller, &target).await?;
    Ok(Redirect::to(HERE).into_response())
}

/// Whom a form says to tell, and of what.
fn target(typed: &Typed, secret: String, before: Option<&Target>) -> Result<Target, Problem> {
    let name = typed.get("name");
    check_name(name)?;
    let way = way(typed, secret, before.map(|before| &before.way))?;
    check(&way).map_err(wrong)?;
    let kind = |name: &str| {
        let known = Kind::ALL.into_iter().find(|kind| kind.name() == name);
        known.ok_or_else(|| Problem::of_field("kinds", "choose of these"))
    };
    let mut kinds = typed.all("kinds").map(kind).collect::<Result<Vec<Kind>, Problem>>()?;
    // Of all, also of what there may be later.
    if Kind::ALL.iter().all(|kind| kinds.contains(kind)) {
        kinds.clear();
    }
    let usual = Patience::default();
    let seconds = |field: &str, usual: u32| {
        let told = typed.whole(field, "a whole number of seconds")?;
        Ok::<u32, Problem>(told.unwrap_or(usual))
    };
    let patience = Patience {
        silent_seconds: seconds("silent_seconds", usual.silent_seconds)?,
        lag_seconds: seconds("lag_seconds", usual.lag_seconds)?,
        exposure_seconds: seconds("exposure_seconds", usual.exposure_seconds)?,
        stale_seconds: seconds("stale_seconds", usual.stale_seconds)?,
        calm_seconds: seconds("calm_seconds", usual.calm_seconds)?,
    };
    Ok(Target { name: name.to_owned(), way, kinds, patience })
}

/// Where word goes. What is secret and left empty stays as it was, where it goes to the same place.
fn way(typed: &Typed, secret: String, before: Option<&Way>) -> Result<Way, Problem> {
    let url = typed.get("url").to_owned();
    Ok(match (typed.get("way"), before) {
        ("email", before) => Way::Email(mailer(typed, secret, before)?),
        ("webhook", Some(Way::Webhook { url: known, secret: kept })) if url.is_empty() => {
            Way::Webhook { url: known.clone(), secret: if secret.is_empty() { kept.clone() } else { secret } }
        }
        ("webhook", _) => Way::Webhook { url, secret },
        ("slack", Some(Way::Slack { url: known })) if url.is_empty() => Way::Slack { url: known.clone() },
        ("slack", _) => Way::Slack { url },
        _ => return Err(Problem::of_field("way", "way must be `email`, `webhook` or `slack`")),
    })
}

fn mailer(typed: &Typed, secret: String, before: Option<&Way>) -> Result<Mailer, Problem> {
    let asked = typed.get("security");
    let security = SECURITIES.iter().find(|(value, ..)| *value == asked).map(|(_, known, _)| *known);
    let security = security.ok_or_else(|| Problem::of_field("security", "choose one of these"))?;
    let mut mailer = Mailer {
        host: typed.get("host").to_owned(),
        port: typed.whole("port", "a port of 1 to 65535")?.unwrap_or(security.usual_port()),
        security,
        username: typed.get("username").to_owned(),
        secret,
        from: typed.get("from").to_owned(),
        to: typed.get("to").lines().map(str::trim).filter(|to| !to.is_empty()).map(str::to_owned).collect(),
    };
    if let Some(Way::Email(known)) = before
        && mailer.secret.is_empty()
        && (&known.host, known.port, known.security, &known.username)
            == (&mailer.host, mailer.port, mailer.security, &mailer.username)
    {
        mailer.secret.clone_from(&known.secret);
    }
    Ok(mailer)
}

/// Tells somebody something now, to see that it arrives.
async fn test(State(app): State<App>, Visitor(caller): Visitor, Path(name): Path<String>) -> Shown {
    tell_test(&app, &caller, &name).await?;
    Ok(Redirect::to(&format!("{HERE}?reached={}", words::part(&name))).into_response())
}

/// Tells them nothing any more.
async fn remove(State(app): State<App>, Visitor(caller): Visitor, Path(name): Path<String>) -> Shown {
    forget_known(&app, &caller, &name).await?;
    Ok(Redirect::to(HERE).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(host: &str, username: &str) -> Typed {
        Typed::default()
            .with("way", "email")
            .with("name", "desk")
            .with("security", "tls")
            .with("host", host)
            .with("username", username)
            .with("from", "stock@example.com")
            .with("to", "ops@example.com\r\n\r\nada@example.com")
    }

    #[test]
    fn a_password_left_empty_stays_for_the_same_server_and_user_alone() {
        let known = target(&mail("smtp.example.com", "stock"), "s3cret".to_owned(), None).unwrap();
        let kept =
            |host: &str, username: &str| match target(&mail(host, username), String::new(), Some(&known)) {
                Ok(Target { way: Way::Email(mailer), .. }) => (mailer.secret, mailer.port, mailer.to.len()),
                _ => panic!("a mailer"),
            };
        assert_eq!(kept("smtp.example.com", "stock"), ("s3cret".to_owned(), 465, 2));
        assert_eq!(kept("smtp.elsewhere.example", "stock").0, "");
        assert_eq!(kept("smtp.example.com", "ada").0, "");
    }

    #[test]
    fn all_kinds_marked_is_every_kind_there_may_be() {
        let typed = |kinds: &[Kind]| {
            kinds.iter().fold(mail("smtp.example.com", ""), |typed, kind| typed.with("kinds", kind.name()))
        };
        let kinds = |marked: &[Kind]| target(&typed(marked), String::new(), None).unwrap().kinds;
        assert!(kinds(&Kind::ALL).is_empty());
        assert_eq!(kinds(&[Kind::Lag]), [Kind::Lag]);
    }
}
