//! What Vendure's admin API says, and what of it we read.

use std::collections::BTreeMap;

use onhand_ledger::{Instant, Quantity};
use serde::{Deserialize, Serialize};

use crate::outgoing::Recipient;
use crate::{Raw, Reading, RemoteListing, RemoteLocation, RemoteOrder, RemoteOrderLine, Told};

pub(super) const LOGIN: &str = "mutation($username: String!, $password: String!) {
  login(username: $username, password: $password, rememberMe: true) {
    __typename ... on ErrorResult { message }
  }
}";

pub(super) const RIGHTS: &str = "query { me { channels { permissions } } }";

pub(super) const VARIANTS: &str = "query($take: Int!, $skip: Int!) {
  productVariants(options: { take: $take, skip: $skip, sort: { id: ASC } }) {
    totalItems items { id sku name trackInventory }
  }
  globalSettings { trackInventory outOfStockThreshold }
}";

pub(super) const LOCATIONS: &str = "query($take: Int!, $skip: Int!) {
  stockLocations(options: { take: $take, skip: $skip, sort: { id: ASC } }) { totalItems items { id name } }
}";

pub(super) const STOCK: &str = "query($ids: [String!]!, $take: Int!) {
  productVariants(options: { filter: { id: { in: $ids } }, take: $take }) {
    totalItems items {
      id sku name trackInventory outOfStockThreshold useGlobalOutOfStockThreshold
      stockLevels { stockLocationId stockOnHand stockAllocated }
    }
  }
  stockLocations(options: { take: 1000 }) { totalItems items { id name } }
  globalSettings { trackInventory outOfStockThreshold }
}";

pub(super) const SET_STOCK: &str = "mutation($input: [UpdateProductVariantInput!]!) {
  updateProductVariants(input: $input) {
    id stockLevels { stockLocationId stockOnHand stockAllocated }
  }
}";

/// The fields of an order that we read, and whom it is for (<https://docs.vendure.io/reference/graphql-api/admin/object-types#order>): that
/// goes into its raw document alone.
macro_rules! order_fields {
    () => {
        "id code state updatedAt orderPlacedAt
      lines { id updatedAt quantity orderPlacedQuantity productVariant { id } }
      modifications { id }
      customer { emailAddress firstName lastName phoneNumber }
      shippingAddress { fullName company streetLine1 streetLine2 city province postalCode country phoneNumber }
      fulfillments { state createdAt updatedAt lines { orderLineId quantity } }"
    };
}

/// Whom an order is for, as `order_fields!` asks for it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ForWhom {
    customer: Option<Customer>,
    shipping_address: Option<Address>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Customer {
    email_address: Option<String>,
    first_name: Option<String>,
    last_name: Option<String>,
    phone_number: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Address {
    full_name: Option<String>,
    company: Option<String>,
    street_line1: Option<String>,
    street_line2: Option<String>,
    city: Option<String>,
    province: Option<String>,
    postal_code: Option<String>,
    country: Option<String>,
    phone_number: Option<String>,
}

impl ForWhom {
    /// None where no address is told.
    pub fn into_recipient(self) -> Option<Recipient> {
        let told = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        let address = self.shipping_address?;
        let lines = [told(address.street_line1), told(address.street_line2)];
        let (mut name, mut phone, mut email) = (told(address.full_name), told(address.phone_number), None);
        if let Some(customer) = self.customer {
            let names = [told(customer.first_name), told(customer.last_name)];
            let full = names.into_iter().flatten().collect::<Vec<_>>().join(" ");
            name = name.or_else(|| told(Some(full)));
            phone = phone.or_else(|| told(customer.phone_number));
            email = told(customer.email_address);
        }
        let recipient = Recipient {
            name,
            company: told(address.company),
            address: lines.into_iter().flatten().collect(),
            city: told(address.city),
            region: told(address.province),
            postal_code: told(address.postal_code),
            country: told(address.country),
            phone,
            email,
        };
        (!recipient.address.is_empty() || recipient.city.is_some()).then_some(recipient)
    }
}

pub(super) const NEWEST_ORDER: &str = "query {
  orders(options: { take: 1, sort: { updatedAt: DESC } }) { totalItems items { updatedAt } }
}";

pub(super) const OPEN_ORDERS: &str = concat!(
    "query($take: Int!, $skip: Int!) {
  orders(options: {
    take: $take, skip: $skip, sort: { id: ASC },
    filter: { orderPlacedAt: { isNull: false }, state: { notIn: [\"Shipped\", \"Delivered\", \"Cancelled\"] } }
  }) { totalItems items { ",
    order_fields!(),
    " } } }"
);

pub(super) const CHANGED_ORDERS: &str = concat!(
    "query($take: Int!, $after: DateTime!) {
  orders(options: {
    take: $take, sort: { updatedAt: ASC },
    filter: { orderPlacedAt: { isNull: false }, updatedAt: { after: $after } }
  }) { totalItems items { ",
    order_fields!(),
    " } } }"
);

#[derive(Serialize)]
pub(super) struct Request<'a, V> {
    pub query: &'a str,
    pub variables: V,
}

#[derive(Deserialize)]
pub(super) struct Response<T> {
    pub data: Option<T>,
    #[serde(default)]
    pub errors: Vec<GraphqlError>,
}

#[derive(Deserialize)]
pub(super) struct GraphqlError {
    pub message: String,
    #[serde(default)]
    pub extensions: Extensions,
}

#[derive(Deserialize, Default)]
pub(super) struct Extensions {
    #[serde(default)]
    pub code: String,
}

#[derive(Deserialize)]
pub(super) struct Login {
    pub login: LoginResult,
}

#[derive(Deserialize)]
pub(super) struct LoginResult {
    #[serde(rename = "__typename")]
    pub typename: String,
    pub message: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Rights {
    pub me: Option<Me>,
}

#[derive(Deserialize)]
pub(super) struct Me {
    pub channels: Vec<ChannelRights>,
}

#[derive(Deserialize)]
pub(super) struct ChannelRights {
    pub permissions: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct List<T> {
    pub total_items: usize,
    pub items: Vec<T>,
}

#[derive(Serialize)]
pub(super) struct Who<'a> {
    pub username: &'a str,
    pub password: &'a str,
}

#[derive(Serialize)]
pub(super) struct Page {
    pub take: usize,
    pub skip: usize,
}

#[derive(Serialize)]
pub(super) struct Ids<'a> {
    pub ids: &'a [String],
    pub take: usize,
}

#[derive(Serialize)]
pub(super) struct After<'a> {
    pub take: usize,
    pub after: &'a str,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Settings {
    track_inventory: bool,
    out_of_stock_threshold: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Variants {
    pub product_variants: List<Variant>,
    pub global_settings: Settings,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Stock {
    product_variants: List<Variant>,
    stock_locations: List<Location>,
    global_settings: Settings,
}

impl Stock {
    /// Every variant at every location; a level that was never written is zero.
    pub fn into_readings(self) -> Vec<Reading> {
        let settings = self.global_settings;
        let places: Vec<&str> = self.stock_locations.items.iter().map(|place| place.id.as_str()).collect();
        // Vendure takes the threshold off the sum of all locations: here the first of them, by id, bears it.
        let first = places.iter().copied().min_by_key(|id| by_number(id));
        let mut readings = Vec::new();
        for variant in &self.product_variants.items {
            for place in &places {
                let (on_hand, allocated) = level(&variant.stock_levels, place).unwrap_or_default();
                let threshold = if Some(*place) == first { variant.threshold(settings) } else { 0 };
                readings.push(Reading {
                    listing: variant.id.clone(),
                    location: (*place).to_owned(),
                    quantity: Quantity::units(on_hand - allocated - threshold),
                    on_hand: Some(Quantity::units(on_hand)),
                    allocated: Some(Quantity::units(allocated)),
                    tracked: variant.tracked(settings),
                });
            }
        }
        readings
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Updated {
    update_product_variants: Vec<Option<Levels>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Levels {
    id: String,
    stock_levels: Vec<StockLevel>,
}

impl Updated {
    /// On hand and allocated of a variant at a location, if it is in the answer.
    pub fn level(&self, variant: &str, location: &str) -> Option<(i64, i64)> {
        let variant = self.update_product_variants.iter().flatten().find(|levels| levels.id == variant)?;
        level(&variant.stock_levels, location)
    }
}

/// On hand and allocated at a location.
fn level(levels: &[StockLevel], location: &str) -> Option<(i64, i64)> {
    let level = levels.iter().find(|level| level.stock_location_id == location)?;
    Some((level.stock_on_hand, level.stock_allocated))
}

/// Whether stock is tracked: of a variant; `INHERIT` is what the global settings say.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Flag {
    True,
    False,
    Inherit,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Variant {
    id: String,
    sku: String,
    name: String,
    track_inventory: Flag,
    #[serde(default)]
    out_of_stock_threshold: i64,
    #[serde(default)]
    use_global_out_of_stock_threshold: bool,
    #[serde(default)]
    stock_levels: Vec<StockLevel>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StockLevel {
    stock_location_id: String,
    stock_on_hand: i64,
    stock_allocated: i64,
}

impl Variant {
    fn tracked(&self, settings: Settings) -> bool {
        match self.track_inventory {
            Flag::True => true,
            Flag::False => false,
            Flag::Inherit => settings.track_inventory,
        }
    }

    pub fn into_listing(self, settings: Settings) -> RemoteListing {
        let tracked = self.tracked(settings);
        let sku = Some(self.sku).filter(|sku| !sku.is_empty());
        RemoteListing { remote_id: self.id, sku, name: self.name, barcode: None, tracked }
    }

    /// How much of the stock is never sold.
    fn threshold(&self, settings: Settings) -> i64 {
        if self.use_global_out_of_stock_threshold {
            settings.out_of_stock_threshold
        } else {
            self.out_of_stock_threshold
        }
    }
}

/// Ids are numbers unless a shop chose otherwise: shorter ones come first.
fn by_number(id: &str) -> (usize, &str) {
    (id.len(), id)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Locations {
    pub stock_locations: List<Location>,
}

#[derive(Deserialize)]
pub(super) struct Location {
    id: String,
    name: String,
}

impl Location {
    pub fn into_remote(self) -> RemoteLocation {
        RemoteLocation { remote_id: self.id, name: self.name }
    }
}

#[derive(Serialize)]
pub(super) struct SetStock {
    pub input: Vec<SetVariant>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SetVariant {
    pub id: String,
    pub stock_levels: Vec<SetLevel>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SetLevel {
    pub stock_location_id: String,
    pub stock_on_hand: i64,
}

#[derive(Deserialize)]
pub(super) struct Orders<T = Told<Order>> {
    pub orders: List<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Changed {
    pub updated_at: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Order {
    pub id: String,
    code: String,
    state: String,
    pub updated_at: String,
    order_placed_at: Option<String>,
    lines: Vec<Line>,
    #[serde(default)]
    modifications: Vec<Id>,
    fulfillments: Option<Vec<Fulfillment>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    id: String,
    updated_at: String,
    quantity: i64,
    order_placed_quantity: i64,
    product_variant: Id,
}

#[derive(Deserialize)]
pub(super) struct Id {
    pub id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fulfillment {
    state: String,
    created_at: String,
    updated_at: String,
    lines: Vec<FulfillmentLine>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FulfillmentLine {
    order_line_id: String,
    quantity: i64,
}

impl Order {
    /// The order as it is now, or what is wrong with it.
    pub fn into_remote(self, raw: Raw) -> Result<RemoteOrder, String> {
        let instant =
            |text: &str| Instant::parse(text).map_err(|error| format!("order {}: {error}", self.code));
        let fulfillments = self.fulfillments.unwrap_or_default();
        let mut updated_at = instant(&self.updated_at)?;
        for part in
            self.lines.iter().map(|line| &line.updated_at).chain(fulfillments.iter().map(|f| &f.updated_at))
        {
            updated_at = updated_at.max(instant(part)?);
        }
        let placed_at = instant(self.order_placed_at.as_deref().unwrap_or(&self.updated_at))?;
        // On SQLite its dates are whole seconds, so that an order can seem to change before it was placed.
        updated_at = updated_at.max(placed_at);
        let mut left = BTreeMap::<&str, i64>::new();
        let mut progress = 1_000_000 * i64::try_from(self.modifications.len()).unwrap_or_default();
        let mut moved_at = None;
        for fulfillment in &fulfillments {
            let quantity: i64 = fulfillment.lines.iter().map(|line| line.quantity).sum();
            // What was delivered left at some time after its fulfilment was made; when is no longer told.
            let left_at = match fulfillment.state.as_str() {
                "Shipped" => &fulfillment.updated_at,
                "Delivered" => &fulfillment.created_at,
                "Cancelled" => {
                    progress += 2 * quantity;
                    continue;
                }
                _ => continue,
            };
            progress += quantity;
            moved_at = moved_at.max(Some(instant(left_at)?));
            for line in &fulfillment.lines {
                *left.entry(&line.order_line_id).or_default() += line.quantity;
            }
        }
        let mut lines = Vec::new();
        for line in &self.lines {
            let shipped = left.get(line.id.as_str()).copied().unwrap_or_default();
            // Cancelling what has left lowers the line's quantity too, and puts the goods back on the shelf.
            let returned = (shipped - line.quantity).max(0);
            progress += returned + (line.order_placed_quantity - line.quantity);
            if returned > 0 {
                moved_at = Some(updated_at);
            }
            lines.push(RemoteOrderLine {
                line: line.id.clone(),
                listing: line.product_variant.id.clone(),
                quantity: Quantity::units(line.quantity.max(shipped)),
                shipped: Quantity::units(shipped),
                returned: Quantity::units(returned),
                withheld: Quantity::ZERO,
                places: Vec::new(),
            });
        }
        // How far it has come tells versions of one second apart: what has left, come back or been cancelled (a
        // fulfilment counts twice then) only grows, and what is ordered on top comes with a modification.
        let version = updated_at.plus_micros(progress).micros().unsigned_abs();
        let cancelled = self.state == "Cancelled" && lines.iter().all(|line| line.shipped.is_zero());
        let moved_at = moved_at.unwrap_or(updated_at);
        let document = self.code;
        Ok(RemoteOrder {
            document,
            version,
            placed_at,
            updated_at,
            moved_at,
            history: false,
            cancelled,
            lines,
            raw: Some(raw),
        })
    }
}
