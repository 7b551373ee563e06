//! What there is, as the API tells it (<https://developer.woocommerce.com/docs/apis/rest-api/v3/>).

use serde_json::{Value, json};

use super::state::{Order, Product, Refund, State};

/// A time as it is told: to the second, with nothing that says where.
pub(super) fn time(micros: i64) -> String {
    let second = jiff::Timestamp::from_second(micros.div_euclid(1_000_000)).unwrap_or_default();
    second.strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

fn managed(state: &State, product: &Product) -> Value {
    let is_parents = || {
        let parent = product.parent.and_then(|parent| state.products.get(&parent));
        parent.is_some_and(|parent| parent.manages)
    };
    match product.manages && !state.faults.manages_nothing {
        true => json!(true),
        false if !state.faults.manages_nothing && is_parents() => json!("parent"),
        false => json!(false),
    }
}

/// A product, or a variation.
pub(super) fn product(state: &State, id: u64, product: &Product) -> Value {
    let managed = managed(state, product);
    let parent = product.parent.and_then(|parent| state.products.get(&parent));
    // A variation that shares its product's stock shows that.
    let stock = match &managed {
        Value::Bool(true) => Some(product.stock),
        Value::String(_) => parent.map(|parent| parent.stock),
        _ => None,
    };
    let mut row = json!({
        "id": id, "name": product.name, "sku": product.sku, "global_unique_id": "", "status": "publish",
        "price": "9.00", "manage_stock": managed, "stock_quantity": stock,
        "stock_status": if stock.is_none_or(|stock| stock > 0) { "instock" } else if product.backorders { "onbackorder" } else { "outofstock" },
        "backorders": if product.backorders { "yes" } else { "no" }, "backorders_allowed": product.backorders,
        "backordered": product.backorders && stock.is_some_and(|stock| stock < 0),
    });
    if product.kind == "variation" {
        row["attributes"] = json!([{ "id": 1, "name": "Size", "option": product.name }]);
        row["parent_id"] = json!(product.parent);
    } else {
        // Looking through all there is for each product, a list of many would take minutes.
        let others = (product.kind == "variable").then_some(&state.products).into_iter().flatten();
        let children = others.filter(|(_, other)| other.parent == Some(id));
        row["type"] = json!(product.kind);
        row["parent_id"] = json!(0);
        row["variations"] = json!(children.map(|(id, _)| *id).collect::<Vec<u64>>());
    }
    row
}

fn line(state: &State, line: &super::state::Line) -> Value {
    let bought = if line.variation == 0 { line.product } else { line.variation };
    let known = state.products.get(&bought);
    let mut meta = Vec::new();
    let kept = |key: &str, value: i64| json!({ "id": line.id, "key": key, "value": value.to_string(), "display_key": key, "display_value": value.to_string() });
    meta.extend(line.reduced.map(|reduced| kept("_reduced_stock", reduced)));
    meta.extend((line.restocked > 0).then(|| kept("_restock_refunded_items", line.restocked)));
    json!({
        "id": line.id, "name": known.map(|known| known.name.as_str()).unwrap_or_default(),
        // What was deleted is told as nothing.
        "product_id": known.map_or(0, |_| line.product), "variation_id": known.map_or(0, |_| line.variation),
        "quantity": line.quantity, "sku": known.map(|known| known.sku.as_str()), "total": "9.00", "meta_data": meta,
    })
}

/// An order.
pub(super) fn order(state: &State, order: &Order) -> Value {
    let local = |at: i64| time(at + state.ahead);
    let lines: Vec<Value> = order.lines.iter().map(|one| line(state, one)).collect();
    let refunds =
        order.refunds.iter().map(|refund| json!({ "id": refund.id, "reason": "", "total": "-9.00" }));
    let meta = order.meta.iter().map(|(key, value)| json!({ "id": order.id, "key": key, "value": value }));
    let to = order.customer.as_ref().map(|customer| {
        json!({ "first_name": customer.first_name, "last_name": customer.last_name, "company": "", "address_1": customer.address,
            "address_2": "", "city": customer.city, "state": "", "postcode": "", "country": "", "phone": "" })
    });
    let to = to.unwrap_or_else(|| json!({ "first_name": "", "last_name": "", "address_1": "", "city": "" }));
    let mut billing = to.clone();
    billing["email"] =
        json!(order.customer.as_ref().map(|customer| customer.email.as_str()).unwrap_or_default());
    json!({
        "id": order.id, "parent_id": 0, "number": order.id.to_string(), "status": order.status, "currency": "EUR",
        "date_created": local(order.created_at), "date_created_gmt": time(order.created_at),
        "date_modified": local(order.modified_at), "date_modified_gmt": time(order.modified_at),
        "date_paid": order.paid_at.map(local), "date_paid_gmt": order.paid_at.map(time),
        "date_completed": order.completed_at.map(local), "date_completed_gmt": order.completed_at.map(time),
        "total": "9.00", "customer_note": "", "billing": billing, "shipping": to, "meta_data": meta.collect::<Vec<_>>(),
        "line_items": lines, "refunds": refunds.collect::<Vec<_>>(),
    })
}

/// A refund of an order.
pub(super) fn refund(order: &Order, refund: &Refund) -> Value {
    let line = |(of, quantity): &(u64, i64)| {
        let line = order.lines.iter().find(|line| line.id == *of);
        json!({ "id": refund.id + of, "product_id": line.map(|line| line.product), "variation_id": line.map(|line| line.variation),
            "quantity": -quantity,
            "meta_data": [{ "id": 1, "key": "_refunded_item_id", "value": of.to_string() }] })
    };
    let lines: Vec<Value> = refund.lines.iter().map(line).collect();
    json!({ "id": refund.id, "date_created_gmt": time(refund.at), "amount": "9.00", "reason": "", "line_items": lines })
}
