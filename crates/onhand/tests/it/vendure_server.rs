//! A real Vendure, from `tests-servers/vendure`, and its shop and its owner.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Mutex;

use reqwest::Client;
use serde_json::{Value, json};

/// A Vendure of its own; it ends when dropped, with all it knew.
pub struct Vendure {
    child: Child,
    _stdin: ChildStdin,
    pub url: String,
    http: Client,
    owner: Mutex<Option<String>>,
}

impl Drop for Vendure {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A customer with a cart of their own.
pub struct Customer<'a> {
    vendure: &'a Vendure,
    token: Mutex<Option<String>>,
}

impl Vendure {
    /// Starts with so many products for sale: `VEN-001` and on, 100 of each.
    pub fn start(listings: usize) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests-servers/vendure");
        assert!(
            folder.join("node_modules").is_dir(),
            "Vendure is not installed: `cargo xtask test` does it, or `npm ci` in tests-servers/vendure"
        );
        let mut child = Command::new("node")
            .arg("server.mjs")
            .current_dir(folder)
            .env("LISTINGS", listings.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready =
            lines.map_while(Result::ok).find_map(|line| Some(line.strip_prefix("READY ")?.to_owned()));
        let url = ready.expect("Vendure says when it is ready");
        let http = Client::builder().no_proxy().build().unwrap();
        Self { child, _stdin: stdin, url, http, owner: Mutex::new(None) }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.url.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap()
    }

    /// Stops it where it is, or lets it go on.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    async fn ask(&self, api: &str, token: &Mutex<Option<String>>, query: &str, variables: Value) -> Value {
        let mut request = self.http.post(format!("{}/{api}", self.url));
        if let Some(token) = token.lock().unwrap().as_ref() {
            request = request.bearer_auth(token);
        }
        let answer = request.json(&json!({ "query": query, "variables": variables })).send().await.unwrap();
        if let Some(given) = answer.headers().get("vendure-auth-token") {
            *token.lock().unwrap() = Some(given.to_str().unwrap().to_owned());
        }
        let body: Value = answer.json().await.unwrap();
        assert!(body.get("errors").is_none(), "{query}: {body}");
        body["data"].clone()
    }

    /// What its owner sees and does.
    pub async fn owner(&self, query: &str, variables: Value) -> Value {
        if self.owner.lock().unwrap().is_none() {
            let login =
                "mutation { login(username: \"superadmin\", password: \"superadmin\") { __typename } }";
            self.ask("admin-api", &self.owner, login, Value::Null).await;
        }
        self.ask("admin-api", &self.owner, query, variables).await
    }

    async fn variant(&self, sku: &str) -> Value {
        let query = "query($sku: String!) {
            productVariants(options: { filter: { sku: { eq: $sku } } }) {
                items { id stockLevels { stockOnHand stockAllocated } }
            }
        }";
        self.owner(query, json!({ "sku": sku })).await["productVariants"]["items"][0].clone()
    }

    /// Its stock on hand and what it has allocated, by its own word.
    pub async fn levels(&self, sku: &str) -> (i64, i64) {
        let level = self.variant(sku).await["stockLevels"][0].clone();
        (level["stockOnHand"].as_i64().unwrap(), level["stockAllocated"].as_i64().unwrap())
    }

    /// How many a customer can buy, found out as a customer would: by asking for too many.
    pub async fn buyable(&self, sku: &str) -> i64 {
        let asked = self.customer().add(sku, 999).await;
        match asked["__typename"].as_str() {
            Some("InsufficientStockError") => asked["quantityAvailable"].as_i64().unwrap(),
            // All 999 that a cart takes.
            _ => panic!("{sku} can be bought without end: {asked}"),
        }
    }

    pub fn customer(&self) -> Customer<'_> {
        Customer { vendure: self, token: Mutex::new(None) }
    }

    /// A customer buys and pays: the order's id.
    pub async fn sell(&self, sku: &str, quantity: i64) -> String {
        self.customer().buy(sku, quantity).await
    }

    /// The owner ships so many of an order's first line: the fulfilment.
    pub async fn ship(&self, order: &str, quantity: i64) -> String {
        let line = self.first_line(order).await;
        let fulfil = "mutation($input: FulfillOrderInput!) {
            addFulfillmentToOrder(input: $input) { __typename ... on Fulfillment { id } }
        }";
        let input = json!({
            "lines": [{ "orderLineId": line, "quantity": quantity }],
            "handler": { "code": "manual-fulfillment", "arguments": [
                { "name": "method", "value": "van" }, { "name": "trackingCode", "value": "" }
            ] },
        });
        let fulfilment = self.owner(fulfil, json!({ "input": input })).await["addFulfillmentToOrder"].clone();
        let id = fulfilment["id"].as_str().unwrap().to_owned();
        self.fulfilment_is(&id, "Shipped").await;
        id
    }

    /// The owner says what became of a fulfilment.
    pub async fn fulfilment_is(&self, id: &str, state: &str) {
        let become_so = "mutation($id: ID!, $state: String!) {
            transitionFulfillmentToState(id: $id, state: $state) { __typename }
        }";
        let done = self.owner(become_so, json!({ "id": id, "state": state })).await;
        assert_eq!(done["transitionFulfillmentToState"]["__typename"], "Fulfillment", "{done}");
    }

    /// The owner cancels so many of an order's first line; what has left comes back on the shelf.
    pub async fn cancel(&self, order: &str, quantity: i64) {
        let line = self.first_line(order).await;
        let cancel = "mutation($input: CancelOrderInput!) { cancelOrder(input: $input) { __typename } }";
        let lines = json!([{ "orderLineId": line, "quantity": quantity }]);
        let done = self.owner(cancel, json!({ "input": { "orderId": order, "lines": lines } })).await;
        assert_eq!(done["cancelOrder"]["__typename"], "Order", "{done}");
    }

    async fn first_line(&self, order: &str) -> Value {
        let query = "query($id: ID!) { order(id: $id) { lines { id } } }";
        self.owner(query, json!({ "id": order })).await["order"]["lines"][0]["id"].clone()
    }

    /// The owner changes settings of one variant.
    pub async fn set(&self, sku: &str, mut input: Value) {
        input["id"] = self.variant(sku).await["id"].clone();
        let update =
            "mutation($input: [UpdateProductVariantInput!]!) { updateProductVariants(input: $input) { id } }";
        self.owner(update, json!({ "input": [input] })).await;
    }
}

impl Customer<'_> {
    async fn ask(&self, query: &str, variables: Value) -> Value {
        self.vendure.ask("shop-api", &self.token, query, variables).await
    }

    /// Puts so many in the cart.
    pub async fn add(&self, sku: &str, quantity: i64) -> Value {
        let id = self.vendure.variant(sku).await["id"].clone();
        let add = "mutation($id: ID!, $quantity: Int!) {
            addItemToOrder(productVariantId: $id, quantity: $quantity) {
                __typename ... on ErrorResult { message } ... on InsufficientStockError { quantityAvailable }
            }
        }";
        self.ask(add, json!({ "id": id, "quantity": quantity })).await["addItemToOrder"].clone()
    }

    /// Buys and pays: the order's id.
    pub async fn buy(&self, sku: &str, quantity: i64) -> String {
        let added = self.add(sku, quantity).await;
        assert_eq!(added["__typename"], "Order", "{added}");
        let who = "mutation { setCustomerForOrder(input: {
            firstName: \"A\", lastName: \"B\", emailAddress: \"a@example.org\"
        }) { __typename } }";
        let address = "mutation { setOrderShippingAddress(input: {
            streetLine1: \"1 High Street\", city: \"London\", postalCode: \"N1\", countryCode: \"GB\"
        }) { __typename } }";
        self.ask(who, Value::Null).await;
        self.ask(address, Value::Null).await;
        let methods = self.ask("{ eligibleShippingMethods { id } }", Value::Null).await;
        let ship = "mutation($id: [ID!]!) { setOrderShippingMethod(shippingMethodId: $id) { __typename } }";
        self.ask(ship, json!({ "id": [methods["eligibleShippingMethods"][0]["id"]] })).await;
        let arrange = "mutation { transitionOrderToState(state: \"ArrangingPayment\") { __typename } }";
        self.ask(arrange, Value::Null).await;
        let pay = "mutation { addPaymentToOrder(input: { method: \"dummy\", metadata: {} }) {
            __typename ... on Order { id state } ... on ErrorResult { message }
        } }";
        let paid = self.ask(pay, Value::Null).await["addPaymentToOrder"].clone();
        assert_eq!(paid["state"], "PaymentSettled", "{paid}");
        paid["id"].as_str().unwrap().to_owned()
    }
}
