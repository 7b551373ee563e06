//! WooCommerce, spoken to over its REST API (`wc/v3`, as WooCommerce 11.2 has it).
//!
//! - What its customers can buy of a product is its `stock_quantity`, where its stock is managed. An order takes its units off once it is on
//!   hold, in processing or completed, or its payment is complete, and puts them back when it is cancelled or unpaid again; a refund puts back what somebody
//!   chooses to restock; whoever changes a line's quantity in the shop changes the number by as much
//!   (<https://github.com/woocommerce/woocommerce/blob/trunk/plugins/woocommerce/includes/wc-stock-functions.php>, and
//!   `wc_maybe_adjust_line_item_product_stock` in
//!   <https://github.com/woocommerce/woocommerce/blob/trunk/plugins/woocommerce/includes/admin/wc-admin-functions.php>). So the number is net of
//!   its own orders, and [`MOVED_BY`] is what moves it.
//! - It has no compare-and-set and no locations. Its calls that set take 100 at most (`woocommerce_rest_batch_items_limit`,
//!   <https://developer.woocommerce.com/docs/apis/rest-api/v3/products/>), each with an answer of its own in one 200.
//! - A key and its secret let us in, by HTTP basic, over TLS only
//!   (<https://developer.woocommerce.com/docs/apis/rest-api/authentication/>): any other address is refused, but for one of this machine.
//! - It says nothing of how often it may be asked; whoever hosts it may (429).
//!
//! When a shop is first connected, orders that are open are heard of; older ones are history.

mod fulfil;
mod orders;
mod push;
mod session;
mod webhooks;
mod wire;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use onhand_ledger::Instant;
use reqwest::Method;
use serde::de::{DeserializeOwned, IgnoredAny};

use session::{Failed, Session};
use wire::{Managed, Stocked};

use crate::outgoing::Recipient;
use crate::webhook::{Encoding, WebhookScheme};
use crate::{
    Channel, ChannelError, Discovery, Meaning, OrderPage, Parcel, ParcelTold, Push, Pushed, Raw, Reading,
    RemoteLocation, locked,
};

/// How many rows a list gives at most (`per_page`), and a call sets
/// (<https://developer.woocommerce.com/docs/apis/rest-api/v3/products/>).
const MOST: usize = 100;
/// So many calls that set are under way at once: products with variations need one each.
const AT_ONCE: usize = 4;
/// So many numbers are sent together, in two calls at once where they are of products by themselves: there is no limit to be kept to
/// (a small shop's PHP has some five workers), and each takes what a call takes to get there and back.
const TOGETHER: usize = 2 * MOST;
/// How long what is known of where a variation's stock is counted is good; every reading of it says it anew.
const SHARES_KNOWN: Duration = Duration::from_mins(10);

/// What moves `stock_quantity` over there by itself, and how the order that did it is told.
pub const MOVED_BY: [(&str, &str); 8] = [
    (
        "an order is on hold, in processing or completed, or its payment is complete",
        "its lines are taken off",
    ),
    ("an order is pending", "nothing is taken off: it is no order yet"),
    ("an order is cancelled, or pending again", "comes back: wanted no more"),
    ("an order fails", "does not come back: withheld"),
    ("a line is refunded and restocked, before it is completed", "comes back: wanted less"),
    ("a line is refunded and restocked, after it is completed", "comes back: returned"),
    (
        "a line is refunded and not restocked",
        "does not come back: withheld, or gone for good where it has left",
    ),
    ("a line's quantity is changed in the shop", "falls or rises as much: wanted more or less"),
];

/// A WooCommerce shop.
pub struct WooCommerce {
    session: Arc<Session>,
    /// What signs its webhooks: made of the secret, which is not given away by it.
    signs_with: String,
    /// Can variations be listed across products? Since 10.3.
    lists_variations: AtomicBool,
    /// Which variations share their product's stock, as far as that was read, and when.
    shares: Mutex<HashMap<u64, (bool, tokio::time::Instant)>>,
}

impl WooCommerce {
    /// A shop at its address, such as `https://shop.example.com`, with a consumer key and its secret. An error where the address is none
    /// that a secret may be sent to.
    pub fn new(
        name: &str,
        url: &str,
        key: &str,
        secret: &str,
        http: reqwest::Client,
    ) -> Result<Self, ChannelError> {
        let session = Arc::new(Session::new(name, url, key, secret, http)?);
        let signs_with = blake3::derive_key("onhand 2026 woocommerce webhooks", secret.as_bytes());
        let signs_with = blake3::Hash::from_bytes(signs_with).to_hex().to_string();
        Ok(Self { session, signs_with, lists_variations: AtomicBool::new(true), shares: Mutex::default() })
    }

    /// What we must be allowed is tried before anything relies on it: a batch of nothing changes nothing.
    async fn check_rights(&self) -> Result<(), ChannelError> {
        let one = |fields: &str| [("per_page", "1".to_owned()), ("_fields", fields.to_owned())];
        let may = |what: &str, error: ChannelError| {
            match error {
            ChannelError::Credentials { reason, .. } => self.session.peer.credentials(format!(
                "this key may not {what} ({reason}): give it Read/Write access, of a user who manages the shop"
            )),
            error => error,
        }
        };
        let _: Vec<IgnoredAny> =
            self.session.get("/products", &one("id")).await.map_err(|error| may("read products", error))?;
        let _: Vec<IgnoredAny> =
            self.session.get("/orders", &one("id")).await.map_err(|error| may("read orders", error))?;
        let nothing = wire::Batch { update: Vec::new() };
        let done: Result<IgnoredAny, _> =
            self.session.change(Method::POST, "/products/batch", &nothing).await;
        done.map(drop).map_err(|failed| may("change products", self.session.failed(failed)))
    }

    /// All of a list that is in the order of its ids.
    async fn all<T: DeserializeOwned>(&self, path: &str, fields: &str) -> Result<Vec<T>, Failed> {
        let mut rows = Vec::new();
        loop {
            let asked = self.session.rows();
            let query = [
                ("per_page", asked.to_string()),
                ("offset", rows.len().to_string()),
                ("orderby", "id".to_owned()),
                ("order", "asc".to_owned()),
                ("_fields", fields.to_owned()),
            ];
            let page: Vec<T> = self.session.try_get(path, &query).await?;
            let is_last = page.len() < asked;
            rows.extend(page);
            if is_last {
                return Ok(rows);
            }
        }
    }

    /// All variations of these products, each with its product.
    async fn variations(&self, products: &[u64]) -> Result<Vec<(u64, wire::Variation)>, ChannelError> {
        if products.is_empty() {
            return Ok(Vec::new());
        }
        if self.lists_variations.load(Ordering::Relaxed) {
            match self.all::<wire::Variation>("/variations", wire::VARIATION_FIELDS).await {
                Ok(found) => {
                    let of = |one: wire::Variation| Some((one.parent_id?, one));
                    return Ok(found.into_iter().filter_map(of).collect());
                }
                Err(failed) if failed.is_no_route() => self.lists_variations.store(false, Ordering::Relaxed),
                Err(failed) => return Err(self.session.failed(failed)),
            }
        }
        let mut all = Vec::new();
        for product in products {
            let path = format!("/products/{product}/variations");
            let found = self.all::<wire::Variation>(&path, wire::VARIATION_FIELDS).await;
            let found = found.map_err(|failed| self.session.failed(failed))?;
            all.extend(found.into_iter().map(|one| (*product, one)));
        }
        Ok(all)
    }

    /// The numbers of what has these ids, in one list.
    async fn levels_at(&self, path: &str, ids: &[u64]) -> Result<Vec<wire::Level>, Failed> {
        let mut levels = Vec::new();
        for part in ids.chunks(self.session.rows()) {
            let included: Vec<String> = part.iter().map(ToString::to_string).collect();
            let query = [
                ("include", included.join(",")),
                ("per_page", part.len().to_string()),
                ("_fields", wire::LEVEL_FIELDS.to_owned()),
            ];
            levels.extend(self.session.try_get::<Vec<wire::Level>>(path, &query).await?);
        }
        Ok(levels)
    }

    /// The numbers of these; what is gone is left out.
    async fn levels(&self, of: &[Stocked]) -> Result<Vec<(Stocked, wire::Level)>, ChannelError> {
        let failed = |failed| self.session.failed(failed);
        let mut levels = Vec::new();
        let products: Vec<u64> =
            of.iter().filter(|one| one.variation.is_none()).map(|one| one.product).collect();
        if !products.is_empty() {
            let found = self.levels_at("/products", &products).await.map_err(failed)?;
            levels.extend(
                found.into_iter().map(|level| (Stocked { product: level.id, variation: None }, level)),
            );
        }
        let mut by_product = BTreeMap::<u64, Vec<u64>>::new();
        for one in of {
            if let Some(variation) = one.variation {
                by_product.entry(one.product).or_default().push(variation);
            }
        }
        let mut found = Vec::new();
        let mut is_found = by_product.is_empty();
        if !is_found && self.lists_variations.load(Ordering::Relaxed) {
            let ids: Vec<u64> = by_product.values().flatten().copied().collect();
            match self.levels_at("/variations", &ids).await {
                Ok(levels) => {
                    let of = |level: wire::Level| Some((level.parent_id?, level));
                    found.extend(levels.into_iter().filter_map(of));
                    is_found = true;
                }
                Err(failed) if failed.is_no_route() => self.lists_variations.store(false, Ordering::Relaxed),
                Err(failed) => return Err(self.session.failed(failed)),
            }
        }
        if !is_found {
            for (product, ids) in &by_product {
                match self.levels_at(&format!("/products/{product}/variations"), ids).await {
                    Ok(levels) => found.extend(levels.into_iter().map(|level| (*product, level))),
                    // The product itself is gone.
                    Err(failed) if failed.is_missing() => {}
                    Err(failed) => return Err(self.session.failed(failed)),
                }
            }
        }
        let at = tokio::time::Instant::now();
        let mut shares = locked(&self.shares);
        for (product, level) in found {
            shares.insert(level.id, (level.manage_stock == Managed::Product, at));
            levels.push((Stocked { product, variation: Some(level.id) }, level));
        }
        Ok(levels)
    }

    /// Which of these variations have their stock counted with their products.
    async fn which_share(&self, of: &[Stocked]) -> Result<Vec<u64>, ChannelError> {
        let known = |variation: u64| {
            let shares = locked(&self.shares);
            let known = shares.get(&variation).filter(|(_, at)| at.elapsed() < SHARES_KNOWN);
            known.map(|(shares, _)| *shares)
        };
        let unknown = |one: &&Stocked| one.variation.is_some_and(|variation| known(variation).is_none());
        let mut asked: Vec<Stocked> = of.iter().filter(unknown).copied().collect();
        asked.sort();
        asked.dedup();
        if !asked.is_empty() {
            self.levels(&asked).await?;
        }
        let variations = of.iter().filter_map(|one| one.variation);
        // What is gone was counted by itself, as far as anybody knows.
        Ok(variations.filter(|variation| known(*variation).unwrap_or(false)).collect())
    }
}

/// Whom an order is for, by its raw document.
pub(crate) fn recipient(raw: &Raw) -> Option<Recipient> {
    let told: wire::ForWhom = serde_json::from_str(raw.reveal()).ok()?;
    told.into_recipient()
}

#[async_trait::async_trait]
impl Channel for WooCommerce {
    fn meaning(&self) -> Meaning {
        Meaning::SellableNetOfOwnOrders
    }

    fn batch_size(&self) -> usize {
        TOGETHER
    }

    /// `X-WC-Webhook-Signature` (<https://developer.woocommerce.com/docs/apis/rest-api/v3/webhooks/>). Copies are known by their content: its
    /// delivery id is of the webhook and the second (`get_new_delivery_id` in
    /// <https://github.com/woocommerce/woocommerce/blob/trunk/plugins/woocommerce/includes/class-wc-webhook.php>), which two events may share.
    fn webhook(&self) -> Option<WebhookScheme> {
        Some(WebhookScheme::HmacSha256 {
            header: "x-wc-webhook-signature",
            encoding: Encoding::Base64,
            prefix: "",
            event: None,
        })
    }

    fn signing_secret(&self) -> Option<&str> {
        Some(&self.signs_with)
    }

    async fn register_webhook(&self, address: &str) -> Result<bool, ChannelError> {
        self.register(address).await.map(|()| true)
    }

    async fn revive_webhooks(&self) -> Result<Vec<String>, ChannelError> {
        self.revive().await
    }

    async fn test(&self) -> Result<(), ChannelError> {
        self.check_rights().await
    }

    /// As its last answer said.
    async fn clock(&self) -> Result<Option<Instant>, ChannelError> {
        let query = [("per_page", "1".to_owned()), ("_fields", "id".to_owned())];
        let _: Vec<IgnoredAny> = self.session.get("/orders", &query).await?;
        Ok(self.session.peer.date())
    }

    async fn discover(&self) -> Result<Discovery, ChannelError> {
        self.check_rights().await?;
        let products = self.all::<wire::Product>("/products", wire::PRODUCT_FIELDS).await;
        let products = products.map_err(|failed| self.session.failed(failed))?;
        let variable: Vec<u64> =
            products.iter().filter(|one| one.has_variations()).map(|one| one.id).collect();
        let mut of = BTreeMap::<u64, Vec<wire::Variation>>::new();
        let at = tokio::time::Instant::now();
        for (product, variation) in self.variations(&variable).await? {
            let shares = variation.manage_stock == Managed::Product;
            locked(&self.shares).insert(variation.id, (shares, at));
            of.entry(product).or_default().push(variation);
        }
        let mut listings = Vec::new();
        for product in products.into_iter().filter(wire::Product::is_sold) {
            if !product.has_variations() {
                listings.push(product.into_listing());
                continue;
            }
            let variations = of.remove(&product.id).unwrap_or_default();
            let (shared, own): (Vec<_>, Vec<_>) =
                variations.into_iter().partition(|one| one.manage_stock == Managed::Product);
            listings.extend(own.into_iter().map(|one| one.into_listing(product.id, &product.name)));
            if !shared.is_empty() {
                listings.push(product.into_listing());
            }
        }
        let store = RemoteLocation { remote_id: wire::STORE.to_owned(), name: "Store".to_owned() };
        Ok(Discovery { listings, locations: vec![store] })
    }

    async fn read(&self, listings: &[String]) -> Result<Vec<Reading>, ChannelError> {
        let of: Vec<Stocked> = listings.iter().filter_map(|listing| listing.parse().ok()).collect();
        let levels = self.levels(&of).await?;
        Ok(levels.into_iter().map(|(of, level)| level.into_reading(of)).collect())
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
