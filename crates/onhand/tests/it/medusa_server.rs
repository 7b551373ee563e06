//! A real Medusa, from `tests-servers/medusa`, with a PostgreSQL of its own; its shop and its owner.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use onhand_testpg::{Server as Database, database_on, run_sql};
use reqwest::{Client, Method};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// So many products are for sale: `MED-001` and on, 100 of each at `Warehouse`, the first of its two locations.
const LISTINGS: &str = "3";
/// What its database does without.
const QUICK: &str = "-c fsync=off -c synchronous_commit=off -c full_page_writes=off";

/// A Medusa of its own; it ends when dropped, with all it knew.
pub struct Medusa {
    child: Child,
    _stdin: ChildStdin,
    _database: Database,
    pub url: String,
    known: Known,
    http: Client,
}

/// What its owner and its storefront go by.
#[derive(Clone, Serialize, Deserialize)]
struct Known {
    region: String,
    storefront: String,
    owner: String,
}

impl Drop for Medusa {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn node(database: &str) -> Command {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests-servers/medusa");
    assert!(
        folder.join("node_modules").is_dir(),
        "Medusa is not installed: `cargo xtask test` does it, or `npm ci` in tests-servers/medusa"
    );
    let mut node = Command::new("node");
    node.arg("server.js").current_dir(folder).env("DATABASE_URL", database).env("LISTINGS", LISTINGS);
    node
}

/// What its database is made of, so that what was made of something else is made again.
fn made_of() -> u64 {
    let mut hasher = DefaultHasher::new();
    include_str!("../../../../tests-servers/medusa/package-lock.json").hash(&mut hasher);
    include_str!("../../../../tests-servers/medusa/server.js").hash(&mut hasher);
    LISTINGS.hash(&mut hasher);
    hasher.finish()
}

/// Its tables, with something to sell: they take half a minute to make, and are kept in `target`.
fn fill(server: &Database, database: &str) -> Known {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let kept: PathBuf = folder.join(format!("medusa-{:016x}.sql", made_of()));
    let known = kept.with_extension("json");
    if let (true, Ok(known)) = (kept.is_file(), std::fs::read_to_string(&known)) {
        run_file(database, &kept);
        return serde_json::from_str(&known).unwrap();
    }
    let other = over_tcp(server, &database_on(&server.address()));
    let done = node(&other).arg("prepare").stderr(Stdio::inherit()).output().unwrap();
    assert!(done.status.success(), "Medusa's database cannot be made");
    let told = String::from_utf8(done.stdout).unwrap();
    let told: Known = serde_json::from_str(told.lines().last().unwrap()).unwrap();
    let part = kept.with_extension(format!("{}.part", std::process::id()));
    let dump = Command::new(onhand_testpg::program("pg_dump")).arg("-f").arg(&part).arg(&other).status();
    assert!(dump.unwrap().success());
    run_file(database, &part);
    std::fs::write(&known, serde_json::to_string(&told).unwrap()).unwrap();
    std::fs::rename(part, kept).unwrap();
    told
}

fn run_file(database: &str, file: &Path) {
    let mut psql = Command::new(onhand_testpg::program("psql"));
    psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f"]).arg(file).arg(database).stdout(Stdio::null());
    assert!(psql.status().unwrap().success(), "{} cannot be read", file.display());
}

/// The same database, where programs look for it that know of no sockets.
fn over_tcp(server: &Database, database: &str) -> String {
    let name = database.rsplit('/').next().unwrap();
    format!("postgres://onhand@127.0.0.1:{}/{name}", server.port())
}

impl Medusa {
    pub fn start() -> Self {
        let server = Database::start_with(QUICK, true).unwrap();
        let database = over_tcp(&server, &database_on(&server.address()));
        let known = fill(&server, &database);
        assert_eq!(run_sql(&database, "SELECT count(*) FROM inventory_item"), LISTINGS);
        let mut child = node(&database).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready =
            lines.map_while(Result::ok).find_map(|line| Some(line.strip_prefix("READY ")?.to_owned()));
        let url = ready.expect("Medusa says when it is ready");
        let http = Client::builder().no_proxy().build().unwrap();
        Self { child, _stdin: stdin, _database: server, url, known, http }
    }

    /// The owner's secret key.
    pub fn key(&self) -> &str {
        &self.known.owner
    }

    /// Stops it where it is, or lets it go on.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    async fn call(&self, method: Method, path: &str, body: &Value, is_owner: bool) -> Value {
        let request = self.http.request(method, format!("{}{path}", self.url)).json(body);
        let request = if is_owner {
            request.basic_auth(&self.known.owner, Some(""))
        } else {
            request.header("x-publishable-api-key", &self.known.storefront)
        };
        let answer = request.send().await.unwrap();
        let (status, told) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{path}: {status} {told}");
        serde_json::from_str(&told).unwrap()
    }

    /// What its owner does.
    pub async fn owner(&self, path: &str, body: Value) -> Value {
        self.call(Method::POST, &format!("/admin{path}"), &body, true).await
    }

    /// What its owner sees.
    pub async fn seen(&self, path: &str) -> Value {
        self.call(Method::GET, &format!("/admin{path}"), &json!({}), true).await
    }

    async fn storefront(&self, path: &str, body: Value) -> Value {
        self.call(Method::POST, &format!("/store{path}"), &body, false).await
    }

    async fn variant(&self, sku: &str) -> Value {
        let fields = "fields=id,product_id,inventory_items.inventory_item_id";
        self.seen(&format!("/product-variants?sku={sku}&{fields}")).await["variants"][0].clone()
    }

    async fn place(&self, name: &str) -> Value {
        self.seen(&format!("/stock-locations?name={name}&fields=id")).await["stock_locations"][0]["id"]
            .clone()
    }

    /// What is stocked of a product at a location, and reserved of it, by its own word.
    pub async fn levels_at(&self, sku: &str, place: &str) -> Option<(i64, i64)> {
        let place = self.place(place).await;
        let item = self.seen(&format!("/inventory-items?sku={sku}")).await["inventory_items"][0].clone();
        let mut levels = item["location_levels"].as_array().unwrap().iter();
        let level = levels.find(|level| level["location_id"] == place)?;
        Some((level["stocked_quantity"].as_i64().unwrap(), level["reserved_quantity"].as_i64().unwrap()))
    }

    pub async fn levels(&self, sku: &str) -> (i64, i64) {
        self.levels_at(sku, "Warehouse").await.unwrap()
    }

    /// How many a customer can buy, as the storefront shows it.
    pub async fn buyable(&self, sku: &str) -> i64 {
        let product = &self.variant(sku).await["product_id"].as_str().unwrap().to_owned();
        let path = format!("/store/products/{product}?fields=*variants,+variants.inventory_quantity");
        let found = self.call(Method::GET, &path, &json!({}), false).await;
        found["product"]["variants"][0]["inventory_quantity"].as_i64().unwrap()
    }

    /// A customer buys: the order.
    pub async fn sell(&self, sku: &str, quantity: i64) -> String {
        let address = json!({ "first_name": "Ada", "last_name": "L", "address_1": "1 High Street", "city": "London",
            "postal_code": "N1", "country_code": "gb" });
        let cart = json!({ "region_id": self.known.region, "email": "ada@example.org", "shipping_address": address });
        let cart = self.storefront("/carts", cart).await["cart"]["id"].as_str().unwrap().to_owned();
        let variant = self.variant(sku).await["id"].clone();
        let path = format!("/carts/{cart}");
        let line = json!({ "variant_id": variant, "quantity": quantity });
        self.storefront(&format!("{path}/line-items"), line).await;
        let options = format!("/store/shipping-options?cart_id={cart}");
        let options = self.call(Method::GET, &options, &json!({}), false).await;
        let post = json!({ "option_id": options["shipping_options"][0]["id"] });
        self.storefront(&format!("{path}/shipping-methods"), post).await;
        let pay = self.storefront("/payment-collections", json!({ "cart_id": cart })).await;
        let pay = pay["payment_collection"]["id"].as_str().unwrap();
        let provider = json!({ "provider_id": "pp_system_default" });
        self.storefront(&format!("/payment-collections/{pay}/payment-sessions"), provider).await;
        let done = self.storefront(&format!("{path}/complete"), json!({})).await;
        done["order"]["id"].as_str().unwrap_or_else(|| panic!("{done}")).to_owned()
    }

    /// An order, as its owner sees it.
    pub async fn order(&self, order: &str) -> Value {
        let fields = "fields=id,status,items.id,*fulfillments,*fulfillments.labels,*fulfillments.items";
        self.seen(&format!("/orders/{order}?{fields}")).await["order"].clone()
    }

    /// So many of an order's only line.
    async fn of_line(&self, order: &str, quantity: i64) -> Value {
        json!([{ "id": self.order(order).await["items"][0]["id"], "quantity": quantity }])
    }

    /// The owner packs so many of an order: the fulfilment.
    pub async fn pack(&self, order: &str, quantity: i64) -> String {
        let fulfil = json!({ "items": self.of_line(order, quantity).await });
        self.owner(&format!("/orders/{order}/fulfillments"), fulfil).await;
        let order = self.order(order).await;
        let mut all = order["fulfillments"].as_array().unwrap().iter();
        let open = all.find(|one| one["shipped_at"].is_null() && one["canceled_at"].is_null());
        open.unwrap()["id"].as_str().unwrap().to_owned()
    }

    /// And sends them.
    pub async fn ship(&self, order: &str, quantity: i64) {
        let packed = self.pack(order, quantity).await;
        let items = self.of_line(order, quantity).await;
        self.owner(&format!("/orders/{order}/fulfillments/{packed}/shipments"), json!({ "items": items }))
            .await;
    }

    pub async fn unpack(&self, order: &str, packed: &str) {
        self.owner(&format!("/orders/{order}/fulfillments/{packed}/cancel"), json!({})).await;
    }

    pub async fn cancel(&self, order: &str) {
        self.owner(&format!("/orders/{order}/cancel"), json!({})).await;
    }

    /// The owner changes how many an order is of.
    pub async fn edit(&self, order: &str, quantity: i64) {
        let line = self.order(order).await["items"][0]["id"].as_str().unwrap().to_owned();
        self.owner("/order-edits", json!({ "order_id": order })).await;
        let wanted = json!({ "quantity": quantity });
        self.owner(&format!("/order-edits/{order}/items/item/{line}"), wanted).await;
        self.owner(&format!("/order-edits/{order}/confirm"), json!({})).await;
    }

    /// So many of an order come back good, and so many damaged.
    pub async fn take_back(&self, order: &str, good: i64, damaged: i64) {
        let begun = self.owner("/returns", json!({ "order_id": order })).await;
        let path = format!("/returns/{}", begun["return"]["id"].as_str().unwrap());
        let place = self.place("Warehouse").await;
        self.owner(&path, json!({ "location_id": place })).await;
        let items = self.of_line(order, good + damaged).await;
        self.owner(&format!("{path}/request-items"), json!({ "items": items })).await;
        self.owner(&format!("{path}/request"), json!({})).await;
        self.owner(&format!("{path}/receive"), json!({})).await;
        let items = self.of_line(order, good).await;
        self.owner(&format!("{path}/receive-items"), json!({ "items": items })).await;
        let items = self.of_line(order, damaged).await;
        self.owner(&format!("{path}/dismiss-items"), json!({ "items": items })).await;
        self.owner(&format!("{path}/receive/confirm"), json!({})).await;
    }

    /// The owner writes what is stocked.
    pub async fn by_hand(&self, sku: &str, stocked: i64) {
        let item = self.variant(sku).await["inventory_items"][0]["inventory_item_id"].clone();
        let place = self.place("Warehouse").await;
        let level = json!([{ "inventory_item_id": item, "location_id": place, "stocked_quantity": stocked }]);
        self.owner("/inventory-items/location-levels/batch", json!({ "update": level })).await;
    }

    /// The owner has it counted no more.
    pub async fn sell_without_end(&self, sku: &str) {
        let variant = self.variant(sku).await;
        let (product, variant) = (variant["product_id"].as_str().unwrap(), variant["id"].as_str().unwrap());
        let path = format!("/products/{product}/variants/{variant}");
        self.owner(&path, json!({ "manage_inventory": false })).await;
    }
}
