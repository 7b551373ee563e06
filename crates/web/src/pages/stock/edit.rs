//! The same changed of many items at once: of those that are marked, or of all that a view shows. What would follow is said first; all is
//! done, or nothing.

use axum::http::StatusCode;
use onhand_ledger::command::{PutItem, ResumeSelling, SetLowStock, StopSelling};
use onhand_ledger::model::Item;
use onhand_ledger::{Body, Quantity};

use super::super::typed::{Choice, Typed, Wrong, may_change, parted, saved, shown_as, swapped};
use super::super::{Shown, page, words};
use super::{Search, Wanted};
use crate::App;
use crate::auth::Caller;
use crate::error::Problem;
use crate::pages::frame::Frame;
use crate::pages::session::Visitor;
use crate::v1::ask::read;
use crate::v1::rules::previewed;
use askama::Template;
use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Form, Router};

/// So many items are changed at once at most: a group of commands has so many.
const MOST: usize = 1_000;
/// So many of them are shown, and so many numbers that would change.
const ROWS: usize = 50;

/// The fields of the form, each with what a problem may call it.
const FIELDS: &[(&str, &[&str])] = &[
    ("add", &["tag", "tags"]),
    ("remove", &[]),
    ("low", &["low_stock", "level"]),
    ("archive", &["archived"]),
    ("selling", &[]),
    ("reason", &[]),
];

/// What may be done about a level of low stock, about archiving, and about selling.
const LOW: [(&str, &str); 3] = [("", "leave as it is"), ("set", "low at or below"), ("none", "no level")];
const ARCHIVE: [(&str, &str); 3] = [("", "leave as it is"), ("yes", "archive"), ("no", "bring back")];
const SELLING: [(&str, &str); 3] =
    [("", "leave as it is"), ("stop", "stop: show 0 everywhere"), ("resume", "sell again")];

pub(super) fn routes() -> Router<App> {
    Router::new().route("/stock/edit", get(look).post(save))
}

/// What becomes of a level of low stock.
enum Low {
    Same,
    None,
    At(Quantity),
}

impl Low {
    /// The level that an item shall have, where that is another.
    #[expect(clippy::option_option, reason = "none is a level too")]
    fn of(&self, item: &Item) -> Option<Option<Quantity>> {
        let level = match self {
            Self::Same => return None,
            Self::None => None,
            Self::At(level) => Some(*level),
        };
        Some(level).filter(|level| *level != item.low_stock.level)
    }
}

/// What is to be changed of each.
struct Edit {
    add: Vec<String>,
    remove: Vec<String>,
    low: Low,
    archived: Option<bool>,
    /// Sold no more, for this reason; or sold again.
    selling: Option<Result<String, ()>>,
}

impl Edit {
    fn of(typed: &Typed) -> Result<Self, Problem> {
        let tags = |name: &str| -> Vec<String> {
            let all = typed.get(name).split(',').map(str::trim);
            all.filter(|tag| !tag.is_empty()).map(str::to_owned).collect()
        };
        let wrong = |field: &str| Problem::of_field(field, "choose one of these");
        let low = match typed.get("low") {
            "" => Low::Same,
            "none" => Low::None,
            "set" => {
                let level = typed.quantity("level")?;
                Low::At(level.ok_or_else(|| Problem::of_field("low", "say at or below how much it is low"))?)
            }
            _ => return Err(wrong("low")),
        };
        let archived = match typed.get("archive") {
            "" => None,
            "yes" => Some(true),
            "no" => Some(false),
            _ => return Err(wrong("archive")),
        };
        let selling = match typed.get("selling") {
            "" => None,
            "resume" => Some(Err(())),
            "stop" => {
                let reason = typed.text("reason");
                Some(Ok(reason.ok_or_else(|| Problem::of_field("reason", "say why nobody shall sell it"))?))
            }
            _ => return Err(wrong("selling")),
        };
        Ok(Self { add: tags("add"), remove: tags("remove"), low, archived, selling })
    }

    /// What it comes to for an item: what is to be done, and in words; nothing where it is as it should be.
    fn about(&self, item: &Item, is_stopped: bool) -> (Vec<Body>, Vec<String>) {
        let (mut bodies, mut told) = (Vec::new(), Vec::new());
        let sku = || item.sku.clone();
        let mut put = PutItem { sku: sku(), ..PutItem::default() };
        let mut tags = item.tags.clone();
        tags.retain(|tag| !self.remove.contains(tag));
        let added: Vec<&String> = self.add.iter().filter(|tag| !tags.contains(tag)).collect();
        tags.extend(added.into_iter().cloned());
        if tags != item.tags {
            told.push(if tags.is_empty() {
                "no tags".to_owned()
            } else {
                format!("tags {}", tags.join(", "))
            });
            put.tags = Some(tags);
        }
        if let Some(archived) = self.archived.filter(|archived| *archived != item.archived) {
            told.push(if archived { "archived" } else { "brought back" }.to_owned());
            put.archived = Some(archived);
        }
        if put != (PutItem { sku: sku(), ..PutItem::default() }) {
            bodies.push(Body::PutItem(put));
        }
        if let Some(level) = self.low.of(item) {
            told.push(level.map_or_else(
                || "no level of low stock".to_owned(),
                |level| format!("low at or below {}", words::number(level)),
            ));
            bodies.push(Body::SetLowStock(SetLowStock { sku: sku(), location: None, level }));
        }
        match &self.selling {
            Some(Ok(reason)) if !is_stopped => {
                told.push("sold no more".to_owned());
                let reason = reason.clone();
                bodies.push(Body::StopSelling(StopSelling { sku: Some(sku()), tag: None, reason }));
            }
            Some(Err(())) if is_stopped => {
                told.push("sold again".to_owned());
                bodies.push(Body::ResumeSelling(ResumeSelling { sku: Some(sku()), tag: None }));
            }
            _ => {}
        }
        (bodies, told)
    }
}

/// An item that is meant.
struct Meant {
    item: Item,
    /// It is sold no more, by its own name.
    is_stopped: bool,
}

/// The items that are meant: those that are marked, or all that a view shows; and whether there are more than can be changed at once.
async fn meant(
    app: &App,
    caller: &Caller,
    typed: &Typed,
    wanted: Wanted,
) -> Result<(Vec<Meant>, bool), Problem> {
    let mut found = Vec::new();
    if typed.has("i") || typed.has("marked") {
        let mut skus: Vec<&str> = typed.all("i").collect();
        skus.sort_unstable();
        skus.dedup();
        let items = read(app, caller, |view| {
            let stops = view.rules()?.stopped;
            let mut items = Vec::new();
            for sku in &skus {
                let Some((id, item)) = view.item_by_sku(sku)? else { return Ok(Err((*sku).to_owned())) };
                items.push(Meant { is_stopped: stops.iter().any(|(_, stop)| stop.item == Some(id)), item });
            }
            Ok(Ok(items))
        });
        found = items.await?.map_err(|sku| Problem::unknown("item", sku))?;
    } else {
        let mut search = Search::begin(app, caller, Wanted { after: None, ..wanted }).await?;
        while !search.is_end && found.len() <= MOST {
            let hits = search.candidates(app, caller).await?;
            let some = read(app, caller, |view| {
                let stops = view.rules()?.stopped;
                let mut some = Vec::new();
                for hit in hits {
                    if let Some((item, ..)) = search.look(view, hit.item)? {
                        let is_stopped = stops.iter().any(|(_, stop)| stop.item == Some(hit.item));
                        some.push(Meant { item, is_stopped });
                    }
                }
                Ok(some)
            });
            found.extend(some.await?);
        }
    }
    let has_more = found.len() > MOST;
    found.truncate(MOST);
    Ok((found, has_more))
}

/// A number that would be another.
struct Number {
    sku: String,
    system: String,
    from: String,
    to: String,
}

/// What would follow.
#[derive(Default)]
struct Follows {
    told: String,
    /// The first of them: SKU, address, what changes.
    changes: Vec<(String, String, String)>,
    numbers: Vec<Number>,
    save: Option<String>,
}

/// All that is to be done, as one.
fn group(edit: &Edit, meant: &[Meant]) -> Body {
    let each = meant.iter().flat_map(|one| edit.about(&one.item, one.is_stopped).0);
    Body::Group(each.collect())
}

async fn follows(
    app: &App,
    caller: &Caller,
    edit: Result<Edit, Problem>,
    (meant, has_more): (&[Meant], bool),
) -> Result<Follows, Problem> {
    let edit = edit?;
    let told = meant.iter().map(|one| (one, edit.about(&one.item, one.is_stopped).1));
    let told: Vec<(&Meant, Vec<String>)> = told.filter(|(_, told)| !told.is_empty()).collect();
    let items = |count| words::many(count, "item");
    if told.is_empty() {
        return Ok(Follows { told: "Nothing would change.".to_owned(), ..Follows::default() });
    }
    if has_more {
        let told = format!(
            "More than {} are meant, and so many are changed at once: see below.",
            words::count(MOST)
        );
        return Ok(Follows { told, ..Follows::default() });
    }
    let body = group(&edit, meant);
    if matches!(&body, Body::Group(bodies) if bodies.len() > MOST) {
        let told = format!("That is more than {} changes: do one after the other.", words::count(MOST));
        return Err(Problem::of_field("top", told));
    }
    let preview = previewed(app, caller, body.clone(), ROWS).await?;
    let shown = |number: Option<Quantity>| number.map_or_else(|| "left to it".to_owned(), words::number);
    let numbers = match preview.changes {
        0 => String::new(),
        changes => format!(" {} that systems show would be another.", words::many(changes, "number")),
    };
    let address = |item: &Item| format!("/items/{}", words::part(&item.sku));
    Ok(Follows {
        told: format!(
            "{} of {} would change.{numbers} Nothing is saved yet.",
            words::count(told.len()),
            items(meant.len())
        ),
        changes: told
            .into_iter()
            .take(ROWS)
            .map(|(one, told)| (one.item.sku.clone(), address(&one.item), told.join("; ")))
            .collect(),
        numbers: preview
            .first
            .into_iter()
            .map(|one| Number { sku: one.sku, system: one.system, from: shown(one.from), to: shown(one.to) })
            .collect(),
        save: may_change(caller).then(|| shown_as(&body)).transpose()?,
    })
}

#[derive(Template)]
#[template(path = "stock_edit.html")]
struct Editor {
    frame: Frame,
    /// What is carried on: the items that are marked, or the view.
    carried: Vec<(String, String)>,
    back: String,
    file: String,
    count: String,
    is_none: bool,
    has_more: bool,
    low: Vec<Choice>,
    archive: Vec<Choice>,
    selling: Vec<Choice>,
    typed: Typed,
    wrong: Wrong,
    follows: Follows,
    swapped: String,
}

async fn editor(app: &App, caller: &Caller, fields: Vec<(String, String)>, is_saving: bool) -> Shown {
    let carries = |name: &str| ["i", "marked", "q", "show", "location", "tag", "c"].contains(&name);
    let carried: Vec<(String, String)> = fields.iter().filter(|(name, _)| carries(name)).cloned().collect();
    let wanted = Wanted::of(carried.clone());
    let query = wanted.query();
    let typed = Typed::new(fields);
    let (all, has_more) = meant(app, caller, &typed, wanted).await?;
    let is_asked = typed.has("add");
    if is_saving && !has_more {
        let asked = Edit::of(&typed).map(|edit| group(&edit, &all));
        let home = format!("/stock?{query}");
        if let Ok(response) = saved(app, caller, &typed, asked, &home).await {
            return Ok(response);
        }
    }
    let told = if is_asked {
        follows(app, caller, Edit::of(&typed), (&all, has_more)).await
    } else {
        let told = "What would change is said here before anything is saved.".to_owned();
        Ok(Follows { told, ..Follows::default() })
    };
    let (follows, wrong, status) = parted(told, FIELDS);
    let choices = |all: [(&str, &str); 3], name: &str| {
        all.map(|(value, label)| Choice::new(value, label, |value| value == typed.get(name))).into()
    };
    let mut response = page(&Editor {
        frame: Frame::still(app, caller, "/stock").await?,
        back: format!("/stock?{query}"),
        file: format!("/stock.csv?{query}"),
        count: words::many(all.len(), "item"),
        is_none: all.is_empty(),
        has_more,
        low: choices(LOW, "low"),
        archive: choices(ARCHIVE, "archive"),
        selling: choices(SELLING, "selling"),
        wrong,
        follows,
        swapped: swapped(FIELDS),
        carried,
        typed,
    })?;
    // Asked, and answered: what is wrong is said on the page.
    *response.status_mut() = if is_saving { status } else { StatusCode::OK };
    Ok(response)
}

async fn look(
    State(app): State<App>,
    Visitor(caller): Visitor,
    Query(fields): Query<Vec<(String, String)>>,
) -> Shown {
    editor(&app, &caller, fields, false).await
}

async fn save(
    State(app): State<App>,
    Visitor(caller): Visitor,
    Form(fields): Form<Vec<(String, String)>>,
) -> Shown {
    editor(&app, &caller, fields, true).await
}
