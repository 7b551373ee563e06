//! What items are called: renaming, aliases, near-twins and merging.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use onhand_ledger::command::{ChangeAliases, MergeItems, RenameItem};
use onhand_ledger::{Answer, Body, Key, Value};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{ItemMade, MergedAnswer};
use super::ask::{Ask, read, reply};
use super::page::{Page, PageQuery};
use crate::App;
use crate::auth::Caller;
use crate::body::only_objects;
use crate::error::Problem;
use crate::extract::{Path, Query};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_twins))
        .routes(routes!(rename_item))
        .routes(routes!(change_aliases))
        .routes(routes!(merge_items))
}

/// A new SKU.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct RenameBody {
    /// 1 to 100 characters; nobody else's name.
    to: String,
    /// Forget the old SKU; it stays as an alias unless told.
    #[serde(default)]
    forget_old: bool,
}

/// Gives an item another SKU. Its history stays, and the old SKU finds it too unless it is forgotten.
#[utoipa::path(post, path = "/items/{sku}/rename", tag = "items", params(("sku" = String, Path)),
    request_body = RenameBody, responses((status = 200, body = ItemMade)))]
async fn rename_item(
    State(app): State<App>,
    Path(sku): Path<String>,
    ask: Ask<RenameBody>,
) -> Result<Response, Problem> {
    let (to, forget_old) = (ask.body.to.clone(), ask.body.forget_old);
    let body = Body::RenameItem(RenameItem { sku: sku.clone(), to, forget_old });
    let committed = ask.submit_about(&app, body, Some(&sku)).await?;
    Ok(reply(StatusCode::OK, &committed, ItemMade::of(Some(&ask.body.to), &committed.answer)))
}

/// Names to add and to take away.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct AliasesBody {
    /// Each as a SKU is; nobody else's.
    #[serde(default)]
    add: Vec<String>,
    /// Aliases of the item.
    #[serde(default)]
    remove: Vec<String>,
}

/// Gives an item further names that it is found by, or takes some away.
#[utoipa::path(post, path = "/items/{sku}/aliases", tag = "items", params(("sku" = String, Path)),
    request_body = AliasesBody, responses((status = 200, body = ItemMade)))]
async fn change_aliases(
    State(app): State<App>,
    Path(sku): Path<String>,
    ask: Ask<AliasesBody>,
) -> Result<Response, Problem> {
    let AliasesBody { add, remove } = &ask.body;
    let change = ChangeAliases { sku: sku.clone(), add: add.clone(), remove: remove.clone() };
    let committed = ask.submit_about(&app, Body::ChangeAliases(change), Some(&sku)).await?;
    Ok(reply(StatusCode::OK, &committed, ItemMade::of(Some(&sku), &committed.answer)))
}

/// Which item goes on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct MergeBody {
    /// Its SKU.
    into: String,
}

/// Makes one item of two: all that the named one has, and all that speaks of it, is the other's from now on, and its
/// names find the other. Stock of the time before stays under the item it was booked on.
#[utoipa::path(post, path = "/items/{sku}/merge", tag = "items", params(("sku" = String, Path)),
    request_body = MergeBody, responses((status = 200, body = MergedAnswer)))]
async fn merge_items(
    State(app): State<App>,
    Path(sku): Path<String>,
    ask: Ask<MergeBody>,
) -> Result<Response, Problem> {
    let merge = MergeItems { from: sku.clone(), into: ask.body.into.clone() };
    let committed = ask.submit_about(&app, Body::MergeItems(merge), Some(&sku)).await?;
    let merged = match committed.answer.clone() {
        Answer::Merged(merged) => Some(MergedAnswer::of(merged)),
        _ => None,
    };
    Ok(reply(StatusCode::OK, &committed, merged))
}

/// Items that look the same.
#[derive(Debug, Serialize, ToSchema)]
struct TwinsBody {
    /// How they look: lower case, without spaces and dashes, 0 for o, 1 for i and l.
    look: String,
    /// The items, the oldest first.
    items: Vec<TwinBody>,
    /// How to make one of them, keeping the one with the most stock on hand.
    merge: Vec<OfferedMerge>,
}

/// One of several that look the same.
#[derive(Debug, Serialize, ToSchema)]
struct TwinBody {
    id: u64,
    sku: String,
    name: String,
    on_hand: crate::decimal::Decimal,
}

/// A request that would merge one into another.
#[derive(Debug, Serialize, ToSchema)]
struct OfferedMerge {
    /// `POST` it here.
    path: String,
    /// With this body.
    body: OfferedBody,
}

/// The body of an offered merge.
#[derive(Debug, Serialize, ToSchema)]
struct OfferedBody {
    into: String,
}

/// Near-twins: items whose names differ only in case, spaces, dashes, O for 0, I or l for 1, with the merge offered.
#[utoipa::path(get, path = "/items/twins", tag = "items", params(PageQuery),
    responses((status = 200, body = Page<TwinsBody>)))]
async fn list_twins(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<TwinsBody>>, Problem> {
    let (limit, after) = (page.limit()?, page.after_text("twins")?);
    let found = read(&app, &caller, |view| {
        // No look has control characters in it.
        let from = Key::Twins(after.map_or_else(String::new, |after| format!("{after}\0")));
        let to = Key::Twins("\u{10ffff}".repeat(400));
        let mut groups = Vec::new();
        for (key, value) in view.range(&from, &to, false, limit + 1)? {
            let (Key::Twins(look), Value::Items(ids)) = (key, value) else { continue };
            let mut items = Vec::new();
            for id in ids {
                let Some(item) = view.item(id)? else { continue };
                let stock = super::stock::item_stock(view, id, &item, None, None, None)?;
                items.push(TwinBody {
                    id: id.0,
                    sku: item.sku,
                    name: item.name,
                    on_hand: stock.total.on_hand,
                });
            }
            let merge = offered(&items);
            groups.push((look.clone(), TwinsBody { look, items, merge }));
        }
        Ok(Page::by_text("twins", groups, limit, view.seq()))
    });
    found.await.map(Json)
}

/// All into the one with the most on hand; the oldest of several.
fn offered(items: &[TwinBody]) -> Vec<OfferedMerge> {
    let most = items.iter().max_by_key(|item| (item.on_hand.0, std::cmp::Reverse(item.id)));
    let others = items.iter().filter(|item| most.is_some_and(|most| most.id != item.id));
    let into = most.map_or("", |most| most.sku.as_str());
    others
        .map(|item| OfferedMerge {
            path: format!("/v1/items/{}/merge", crate::extract::segment(&item.sku)),
            body: OfferedBody { into: into.to_owned() },
        })
        .collect()
}

only_objects!(RenameBody, AliasesBody, MergeBody);
