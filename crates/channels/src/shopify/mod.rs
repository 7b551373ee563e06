//! Shopify, spoken to over its Admin API (GraphQL, version 2026-10).
//!
//! - What its customers can buy of an item at a location is `available`. An order moves its units from `available` to `committed`
//!   at once, its fulfilment takes them off `committed` and `on_hand`
//!   (<https://shopify.dev/docs/apps/build/orders-fulfillment/inventory-management-apps>); what is cancelled or refunded comes back to
//!   `available` only where somebody restocks it
//!   (<https://shopify.dev/docs/api/admin-graphql/2026-10/enums/RefundLineItemRestockType>). So `available` is net of its own orders, and
//!   [`MOVED_BY`] is what moves it.
//! - It has compare-and-set: `changeFromQuantity` must be what is there, or nothing is set (`CHANGE_FROM_QUANTITY_STALE`,
//!   <https://shopify.dev/changelog/compare-and-swap-for-inventory-mutations-with-change-from-quantity>); null compares nothing, and
//!   leaving it out is refused
//!   (<https://shopify.dev/changelog/making-changefromquantity-field-required>). Each call that sets has a key of its own
//!   (`@idempotent`, <https://shopify.dev/docs/api/usage/idempotent-requests>): sent again under that key it is answered again.
//! - An item may be sold where it is stocked, which a merchant chooses (`InventoryLevel.isActive`). A number may be set where it is not
//!   (the code `ITEM_NOT_STOCKED_AT_LOCATION` ended with 2026-10), and sells nothing then: so it is stocked there first, with
//!   its number (<https://shopify.dev/docs/api/admin-graphql/2026-10/mutations/inventoryActivate>).
//! - An app is let in by its client id and secret
//!   (<https://shopify.dev/docs/apps/build/authentication-authorization/access-tokens/client-credentials-grant>), or by the access token of
//!   one made in the shop's admin
//!   (<https://shopify.dev/docs/apps/build/authentication-authorization/legacy/admin-custom-apps>).
//!
//! When a shop is first connected, orders that are open are heard of; older ones are history. Of those, only what is of the
//! last 60 days is told without the scope `read_all_orders` (<https://shopify.dev/docs/api/usage/access-scopes>).

mod documents;
mod fulfil;
mod orders;
mod push;
mod session;
mod webhooks;
mod wire;

use std::collections::{BTreeMap, HashSet};
use std::hash::{Hash as _, Hasher as _};
use std::sync::Mutex;
use std::time::Duration;

use onhand_ledger::Instant;

pub use documents::DOCUMENTS;
use session::Session;

use crate::webhook::{Encoding, WebhookScheme};
use crate::{
    Budget, Channel, ChannelError, Discovery, Meaning, OrderPage, Parcel, ParcelTold, Push, Pushed, Reading,
    locked,
};

/// How many rows an input may have, and a page (<https://shopify.dev/docs/api/usage/limits#input-array-limit>).
const MOST: usize = 250;
/// A catalogue of more variants than this is read as a file.
const BULK_FROM: usize = 5_000;
/// How long a file may take, in looks of a second each.
const BULK_LOOKS: usize = 600;
/// How long what is known of its locations is good.
const LOCATIONS_KNOWN: Duration = Duration::from_mins(10);
/// What a call that reads shall cost at most, in points: less than the smallest bucket has, which is 1,000
/// (<https://shopify.dev/docs/api/usage/limits#rate-limits>: no call may cost more).
const READ_COST: f64 = 400.0;

/// What moves `available` over there by itself, and how the order that did it is told.
pub const MOVED_BY: [(&str, &str); 6] = [
    ("an order is placed", "its line's quantity is taken off"),
    (
        "a line is refunded as CANCEL, or the order cancelled with its goods restocked",
        "comes back: wanted no more",
    ),
    ("a line is refunded as RETURN", "comes back: returned"),
    ("a line that has not left is refunded as NO_RESTOCK", "does not come back: withheld"),
    ("an order is edited", "its line's quantity grows or falls"),
    ("goods leave, or their fulfilment is cancelled", "nothing: `committed` and `on_hand` move"),
];

/// What we must be allowed (<https://shopify.dev/docs/api/usage/access-scopes>); who may write may read.
const SCOPES: [&str; 5] =
    ["read_products", "read_locations", "read_inventory", "write_inventory", "read_orders"];

/// A Shopify shop.
pub struct Shopify {
    session: Session,
    known: Mutex<Option<Known>>,
    /// What reading one item costs at most, in points, as far as that was told.
    item_cost: Mutex<Option<f64>>,
    /// Where items are stocked, as far as it was read: a hash of item and location.
    stocked: Mutex<HashSet<u64>>,
}

/// Its active locations, and when that was asked.
#[derive(Clone)]
struct Known {
    locations: Vec<String>,
    at: tokio::time::Instant,
}

impl Shopify {
    /// A shop at its address, such as `https://my-shop.myshopify.com`. With a client id the secret is that app's client secret; without,
    /// it is an access token.
    pub fn new(name: &str, url: &str, client_id: &str, secret: &str, http: reqwest::Client) -> Self {
        let session = Session::new(name, url, client_id, secret, http);
        Self { session, known: Mutex::default(), item_cost: Mutex::default(), stocked: Mutex::default() }
    }

    /// What we must be allowed is looked at before anything relies on it.
    async fn check_scopes(&self) -> Result<(), ChannelError> {
        let found: wire::Scopes = self.session.ask(documents::SCOPES, &()).await?;
        let granted: Vec<String> =
            found.current_app_installation.access_scopes.into_iter().map(|scope| scope.handle).collect();
        let may = |scope: &str| {
            let writes = scope.strip_prefix("read_").map(|what| format!("write_{what}"));
            granted.iter().any(|known| known == scope || Some(known) == writes.as_ref())
        };
        let missing: Vec<&str> = SCOPES.into_iter().filter(|scope| !may(scope)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(self.session.peer.credentials(format!(
            "the app lacks {}: give it these access scopes and install it anew",
            missing.join(", ")
        )))
    }

    /// All pages of a list.
    async fn all<T, L: serde::de::DeserializeOwned>(
        &self,
        document: &str,
        page_of: impl Fn(L) -> wire::Page<T>,
    ) -> Result<Vec<T>, ChannelError> {
        let (mut rows, mut after) = (Vec::new(), None);
        loop {
            let list: L = self.session.ask(document, &wire::After { after: after.as_deref() }).await?;
            let page = page_of(list);
            rows.extend(page.nodes);
            let next = page.page_info.next();
            if next.is_none() || next == after {
                return Ok(rows);
            }
            after = next;
        }
    }

    async fn fresh_locations(&self) -> Result<Vec<wire::Location>, ChannelError> {
        let found = self.all(documents::LOCATIONS, |list: wire::Locations| list.locations).await?;
        let locations = found.iter().map(|location| wire::number(&location.id)).collect();
        let at = tokio::time::Instant::now();
        *locked(&self.known) = Some(Known { locations, at });
        Ok(found)
    }

    /// The numbers of its active locations.
    async fn locations(&self) -> Result<Vec<String>, ChannelError> {
        let known = locked(&self.known).clone();
        match known.filter(|known| known.at.elapsed() < LOCATIONS_KNOWN) {
            Some(known) => Ok(known.locations),
            None => {
                let found = self.fresh_locations().await?;
                Ok(found.iter().map(|location| wire::number(&location.id)).collect())
            }
        }
    }

    /// The catalogue as a file: it takes a while, and next to nothing of what we may ask.
    async fn variants_as_file(&self) -> Result<Vec<wire::Variant>, ChannelError> {
        let run = wire::BulkRun { query: documents::BULK_VARIANTS };
        let begun: wire::BulkBegun = self.session.ask(documents::BULK_RUN, &run).await?;
        let begun = begun.bulk_operation_run_query;
        let Some(operation) = begun.bulk_operation else {
            let busy = |error: &wire::UserError| error.code.as_deref() != Some("INVALID");
            let said: Vec<String> = begun.user_errors.iter().map(|error| error.message.clone()).collect();
            return Err(if begun.user_errors.iter().all(busy) {
                ChannelError::Throttled {
                    system: self.session.peer.name().to_owned(),
                    retry_after_seconds: Some(30),
                }
            } else {
                self.session.peer.unexpected(said.join("; "))
            });
        };
        let id = wire::OfId { id: &operation.id };
        for look in 0..BULK_LOOKS {
            let state: wire::Bulk = self.session.ask(documents::BULK_STATE, &id).await?;
            let Some(state) = state.bulk_operation else { break };
            match (state.status.as_str(), state.url) {
                ("COMPLETED", Some(url)) => return self.session.lines(&url).await,
                // A file of nothing has no address.
                ("COMPLETED", None) => return Ok(Vec::new()),
                ("CREATED" | "RUNNING" | "CANCELING", _) => {
                    tokio::time::sleep(Duration::from_millis(if look < 5 { 200 } else { 1_000 })).await;
                }
                (status, _) => {
                    let why = state.error_code.unwrap_or_default();
                    return Err(self
                        .session
                        .peer
                        .unexpected(format!("its file of products: {status} {why}")));
                }
            }
        }
        Err(self.session.peer.unexpected("its file of products was not ready in time"))
    }

    /// The numbers of these items at all locations, each with whether it is stocked there.
    async fn levels(&self, items: &[String]) -> Result<Vec<(Reading, bool)>, ChannelError> {
        let locations = self.locations().await?;
        let mut readings = Vec::new();
        let mut left = items;
        while !left.is_empty() {
            let now = self.items_at_once(locations.len()).min(left.len());
            let (part, rest) = left.split_at(now);
            let ids: Vec<String> = part.iter().map(|item| wire::gid("InventoryItem", item)).collect();
            let asked = wire::LevelsOf { ids: &ids, locations: locations.len().clamp(1, MOST) };
            let found: wire::Nodes<wire::StockedItem> = self.session.ask(documents::LEVELS, &asked).await?;
            if let Some(cost) = self.session.last_cost() {
                #[expect(clippy::cast_precision_loss, reason = "at most 250")]
                let each = cost / part.len() as f64;
                *locked(&self.item_cost) = Some(each);
            }
            let found = found.nodes.into_iter().flatten();
            let found: Vec<_> = found.flat_map(|item| item.into_readings(&locations)).collect();
            let mut stocked = locked(&self.stocked);
            for (reading, is_stocked) in &found {
                let place = place(&reading.listing, &reading.location);
                if *is_stocked {
                    stocked.insert(place)
                } else {
                    stocked.remove(&place)
                };
            }
            readings.extend(found);
            left = rest;
        }
        Ok(readings)
    }

    /// Of how many items the numbers are asked in one call: as many as what it costs allows. Nothing tells what a list of ids costs
    /// until it was asked: at first as if each were asked alone.
    fn items_at_once(&self, locations: usize) -> usize {
        #[expect(clippy::cast_precision_loss, reason = "at most 250")]
        let rows = (2.0 * (locations.clamp(2, MOST) as f64).ln()).floor();
        let each = (*locked(&self.item_cost)).unwrap_or(1.0 + 2.0 + 3.0 * rows);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 250")]
        let items = (READ_COST / each.max(0.1)).clamp(1.0, 250.0) as usize;
        items
    }
}

/// An item at a location, as a number.
fn place(item: &str, location: &str) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    (item, location).hash(&mut hasher);
    hasher.finish()
}

#[async_trait::async_trait]
impl Channel for Shopify {
    fn meaning(&self) -> Meaning {
        Meaning::SellableNetOfOwnOrders
    }

    fn batch_size(&self) -> usize {
        MOST
    }

    fn compares(&self) -> bool {
        true
    }

    fn budget(&self) -> Option<Budget> {
        self.session.budget()
    }

    /// <https://shopify.dev/docs/apps/build/webhooks/verify-deliveries>; copies of an event have its id
    /// (<https://shopify.dev/docs/apps/build/webhooks/ignore-duplicates>).
    fn webhook(&self) -> Option<WebhookScheme> {
        Some(WebhookScheme::HmacSha256 {
            header: "x-shopify-hmac-sha256",
            encoding: Encoding::Base64,
            prefix: "",
            event: Some("x-shopify-event-id"),
        })
    }

    fn signing_secret(&self) -> Option<&str> {
        self.session.client_secret()
    }

    async fn register_webhook(&self, address: &str) -> Result<bool, ChannelError> {
        self.register(address).await.map(|()| true)
    }

    async fn test(&self) -> Result<(), ChannelError> {
        self.check_scopes().await
    }

    async fn clock(&self) -> Result<Option<Instant>, ChannelError> {
        Ok(self.session.clock().await)
    }

    async fn discover(&self) -> Result<Discovery, ChannelError> {
        self.check_scopes().await?;
        let locations = self.fresh_locations().await?;
        let count: wire::VariantsCount = self.session.ask(documents::COUNT, &()).await?;
        let variants = if count.product_variants_count.is_some_and(|found| found.count > BULK_FROM) {
            self.variants_as_file().await?
        } else {
            self.all(documents::VARIANTS, |list: wire::Variants| list.product_variants).await?
        };
        // Several variants may be of one item of stock: the first names it.
        let mut listings = BTreeMap::new();
        for variant in variants {
            let listing = variant.into_listing();
            listings.entry(listing.remote_id.clone()).or_insert(listing);
        }
        Ok(Discovery {
            listings: listings.into_values().collect(),
            locations: locations.into_iter().map(wire::Location::into_remote).collect(),
        })
    }

    async fn read(&self, listings: &[String]) -> Result<Vec<Reading>, ChannelError> {
        let readings = self.levels(listings).await?;
        Ok(readings.into_iter().map(|(reading, _)| reading).collect())
    }

    async fn push(&self, pushes: &[Push]) -> Result<Vec<Pushed>, ChannelError> {
        self.push_all(pushes).await
    }

    async fn orders(&self, cursor: Option<&str>) -> Result<OrderPage, ChannelError> {
        self.orders_since(cursor).await
    }

    fn marks_shipped(&self) -> bool {
        true
    }

    async fn mark_shipped(&self, parcel: &Parcel) -> Result<ParcelTold, ChannelError> {
        self.fulfil(parcel).await
    }
}
