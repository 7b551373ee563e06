//! What Shopify's Admin API says, and what of it we read.
//!
//! Over there everything has a name such as `gid://shopify/InventoryItem/42`; here it is `42`: what it is of is known.

mod orders;

use std::collections::BTreeMap;

use onhand_ledger::Quantity;
use serde::{Deserialize, Serialize};

pub(super) use orders::*;

use crate::{Reading, RemoteListing, RemoteLocation};

/// The number in a name: `42` of `gid://shopify/InventoryItem/42`.
pub(super) fn number(gid: &str) -> String {
    gid.rsplit('/').next().unwrap_or(gid).to_owned()
}

/// The name of a thing by its number.
pub(super) fn gid(kind: &str, number: &str) -> String {
    format!("gid://shopify/{kind}/{number}")
}

#[derive(Serialize)]
pub(super) struct Request<'a, V> {
    pub query: &'a str,
    pub variables: V,
}

#[derive(Deserialize)]
pub(super) struct Response {
    #[serde(default)]
    pub data: serde_json::Value,
    #[serde(default)]
    pub errors: Errors,
    #[serde(default)]
    pub extensions: Extensions,
}

/// A list, or a sentence where no document was looked at.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Errors {
    Several(Vec<GraphqlError>),
    Sentence(String),
}

impl Default for Errors {
    fn default() -> Self {
        Self::Several(Vec::new())
    }
}

#[derive(Deserialize)]
pub(super) struct GraphqlError {
    pub message: String,
    #[serde(default)]
    pub extensions: ErrorExtensions,
}

#[derive(Deserialize, Default)]
pub(super) struct ErrorExtensions {
    #[serde(default)]
    pub code: String,
}

#[derive(Deserialize, Default)]
pub(super) struct Extensions {
    pub cost: Option<Cost>,
}

/// What a call cost, and what is left
/// (<https://shopify.dev/docs/api/usage/limits#graphql-response>).
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Cost {
    pub requested_query_cost: f64,
    pub throttle_status: ThrottleStatus,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ThrottleStatus {
    pub currently_available: f64,
    pub restore_rate: f64,
}

#[derive(Deserialize)]
pub(super) struct Token {
    pub access_token: String,
    pub expires_in: Option<i64>,
}

#[derive(Serialize)]
pub(super) struct TokenRequest<'a> {
    pub grant_type: &'a str,
    pub client_id: &'a str,
    pub client_secret: &'a str,
}

#[derive(Deserialize)]
pub(super) struct Id {
    pub id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PageInfo {
    pub has_next_page: bool,
    pub end_cursor: Option<String>,
}

impl PageInfo {
    /// Where the next page begins, if there is one.
    pub fn next(self) -> Option<String> {
        self.end_cursor.filter(|_| self.has_next_page)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page<T> {
    pub nodes: Vec<T>,
    pub page_info: PageInfo,
}

#[derive(Serialize)]
pub(super) struct After<'a> {
    pub after: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Scopes {
    pub current_app_installation: Installation,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Installation {
    pub access_scopes: Vec<Scope>,
}

#[derive(Deserialize)]
pub(super) struct Scope {
    pub handle: String,
}

#[derive(Deserialize)]
pub(super) struct Locations {
    pub locations: Page<Location>,
}

#[derive(Deserialize)]
pub(super) struct Location {
    pub id: String,
    pub name: String,
}

impl Location {
    pub fn into_remote(self) -> RemoteLocation {
        RemoteLocation { remote_id: number(&self.id), name: self.name }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct VariantsCount {
    pub product_variants_count: Option<Count>,
}

#[derive(Deserialize)]
pub(super) struct Count {
    pub count: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Variants {
    pub product_variants: Page<Variant>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Variant {
    pub display_name: String,
    pub sku: Option<String>,
    pub barcode: Option<String>,
    pub inventory_item: Item,
}

#[derive(Deserialize)]
pub(super) struct Item {
    pub id: String,
    pub tracked: bool,
}

impl Variant {
    pub fn into_listing(self) -> RemoteListing {
        let filled = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        RemoteListing {
            remote_id: number(&self.inventory_item.id),
            sku: filled(self.sku),
            name: self.display_name,
            barcode: filled(self.barcode),
            tracked: self.inventory_item.tracked,
        }
    }
}

#[derive(Serialize)]
pub(super) struct BulkRun<'a> {
    pub query: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BulkBegun {
    pub bulk_operation_run_query: BulkRunResult,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BulkRunResult {
    pub bulk_operation: Option<Id>,
    pub user_errors: Vec<UserError>,
}

#[derive(Serialize)]
pub(super) struct OfId<'a> {
    pub id: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Bulk {
    pub bulk_operation: Option<BulkOperation>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BulkOperation {
    pub status: String,
    pub error_code: Option<String>,
    pub url: Option<String>,
}

#[derive(Serialize)]
pub(super) struct LevelsOf<'a> {
    pub ids: &'a [String],
    pub locations: usize,
}

#[derive(Deserialize)]
pub(super) struct Nodes<T> {
    pub nodes: Vec<Option<T>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StockedItem {
    id: String,
    tracked: bool,
    inventory_levels: Levels,
}

#[derive(Deserialize)]
struct Levels {
    nodes: Vec<Level>,
}

#[derive(Deserialize)]
struct Level {
    location: Id,
    quantities: Vec<NamedQuantity>,
}

#[derive(Deserialize)]
struct NamedQuantity {
    name: String,
    quantity: i64,
}

impl StockedItem {
    /// Its numbers at these locations. Where it is not stocked it sells nothing: 0, until we stock it. Each comes with whether it is stocked.
    pub fn into_readings(self, locations: &[String]) -> Vec<(Reading, bool)> {
        let listing = number(&self.id);
        let levels: BTreeMap<String, &Level> =
            self.inventory_levels.nodes.iter().map(|level| (number(&level.location.id), level)).collect();
        let reading = |location: &String| {
            let level = levels.get(location);
            let named = |name: &str| {
                let found = level.and_then(|level| level.quantities.iter().find(|one| one.name == name));
                Quantity::units(found.map_or(0, |found| found.quantity))
            };
            let reading = Reading {
                listing: listing.clone(),
                location: location.clone(),
                quantity: named("available"),
                on_hand: Some(named("on_hand")),
                allocated: Some(named("committed")),
                tracked: self.tracked,
            };
            (reading, level.is_some())
        };
        locations.iter().map(reading).collect()
    }
}

#[derive(Deserialize)]
pub(super) struct UserError {
    /// The path to what is wrong, such as `input`, `quantities`, `3`, `quantity`.
    #[serde(default)]
    pub field: Option<Vec<String>>,
    pub message: String,
    #[serde(default)]
    pub code: Option<String>,
}

impl UserError {
    /// Which of the quantities that were sent is meant.
    pub fn index(&self) -> Option<usize> {
        let field = self.field.as_deref()?;
        field.iter().find_map(|part| part.parse().ok())
    }
}

#[derive(Serialize)]
pub(super) struct Set<'a> {
    pub input: SetInput,
    pub key: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SetInput {
    pub name: &'static str,
    pub reason: &'static str,
    pub reference_document_uri: String,
    pub quantities: Vec<SetQuantity>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SetQuantity {
    pub inventory_item_id: String,
    pub location_id: String,
    pub quantity: i64,
    /// Always said: `null` compares nothing, and leaving it out is refused.
    pub change_from_quantity: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SetDone {
    pub inventory_set_quantities: Option<Refusals>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Refusals {
    pub user_errors: Vec<UserError>,
}

#[derive(Serialize)]
pub(super) struct Activate<'a> {
    pub item: String,
    pub location: String,
    pub available: i64,
    pub key: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Activated {
    pub inventory_activate: Option<Refusals>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Webhooks {
    pub webhook_subscriptions: Page<Subscription>,
}

#[derive(Deserialize)]
pub(super) struct Subscription {
    pub id: String,
    pub topic: String,
    pub uri: String,
}

#[derive(Serialize)]
pub(super) struct Subscribe<'a> {
    pub topic: &'a str,
    pub uri: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Subscribed {
    pub webhook_subscription_create: Option<Refusals>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Unsubscribed {
    #[serde(rename = "webhookSubscriptionDelete")]
    pub _deleted: Option<Refusals>,
}
