//! Setting numbers: products together, and the variations of each product together, for there is no call for the variations of several
//! (<https://developer.woocommerce.com/docs/apis/rest-api/v3/product-variations/>).
//!
//! There is no compare-and-set: what was sold between our last look and a write is overwritten, and put right when that order is heard of.
//! A number is only set where stock is counted: what is not is answered as if all were well, so every answer is read.

use std::collections::BTreeMap;
use std::sync::Arc;

use onhand_ledger::Quantity;
use reqwest::Method;
use tokio::task::JoinSet;

use super::session::{Failed, Session};
use super::wire::{self, Managed, Stocked};
use super::{AT_ONCE, WooCommerce};
use crate::{ChannelError, Push, Pushed};

/// As many units as PHP counts exactly wherever it runs (<https://www.php.net/manual/en/language.types.integer.php>).
const MOST_UNITS: i64 = i32::MAX as i64;

/// What is set in one call: where, and what by its place among the pushes.
struct Call {
    path: String,
    rows: Vec<(usize, wire::SetLevel)>,
}

impl WooCommerce {
    pub(super) async fn push_all(&self, pushes: &[Push]) -> Result<Vec<Pushed>, ChannelError> {
        let mut results: Vec<Option<Pushed>> = vec![None; pushes.len()];
        let mut waiting = self.calls(pushes, &mut results);
        let mut running = JoinSet::new();
        let mut broken: Option<ChannelError> = None;
        let mut is_any_done = false;
        loop {
            while running.len() < AT_ONCE && broken.is_none() {
                let Some(call) = waiting.pop() else { break };
                let session = self.session.clone();
                running.spawn(async move { (set(&session, &call).await, call) });
            }
            let Some(done) = running.join_next().await else { break };
            let Ok((done, mut call)) = done else {
                broken.get_or_insert_with(|| self.session.peer.unexpected("a call came to a sudden end"));
                continue;
            };
            match done {
                Ok(done) => {
                    is_any_done = true;
                    for (at, result) in judge(&call, &done, pushes) {
                        results[at] = Some(result);
                    }
                }
                Err(Failed::Lost(reason)) => {
                    is_any_done = true;
                    for (at, _) in call.rows {
                        results[at] = Some(Pushed::Unknown { reason: reason.clone() });
                    }
                }
                // Too many at once (413), or one of them is not as it must be: halves tell which it is.
                Err(Failed::Refused(refusal))
                    if call.rows.len() > 1 && !Failed::Refused(refusal.clone()).is_no_route() =>
                {
                    let other = call.rows.split_off(call.rows.len() / 2);
                    waiting.push(Call { path: call.path.clone(), rows: other });
                    waiting.push(call);
                }
                Err(failed @ Failed::Refused(_)) if failed.is_no_route() => {
                    broken = Some(self.session.failed(failed));
                }
                Err(Failed::Refused(refusal)) => {
                    is_any_done = true;
                    for (at, _) in call.rows {
                        results[at] = Some(Pushed::Refused { reason: refusal.message.clone() });
                    }
                }
                Err(Failed::Other(error)) => broken = Some(error),
            }
        }
        match broken {
            Some(error) if !is_any_done => Err(error),
            broken => {
                let reason =
                    broken.map_or("its answer left this one out".to_owned(), |error| error.to_string());
                let lost = || Pushed::Unknown { reason: reason.clone() };
                Ok(results.into_iter().map(|result| result.unwrap_or_else(lost)).collect())
            }
        }
    }

    /// The calls to make, the first last; what cannot be sent is answered at once.
    fn calls(&self, pushes: &[Push], results: &mut [Option<Pushed>]) -> Vec<Call> {
        let mut order = Vec::new();
        let mut of = BTreeMap::<Option<u64>, Vec<(usize, wire::SetLevel)>>::new();
        for (at, push) in pushes.iter().enumerate() {
            let refused = |reason: &str| Some(Pushed::Refused { reason: reason.to_owned() });
            let Ok(stocked) = push.listing.parse::<Stocked>() else {
                results[at] = refused("it has no such product");
                continue;
            };
            if push.quantity.whole_units() > MOST_UNITS {
                results[at] = refused("that is more than it can hold");
                continue;
            }
            let product = stocked.variation.map(|_| stocked.product);
            let id = stocked.variation.unwrap_or(stocked.product);
            let rows = of.entry(product).or_default();
            if rows.is_empty() {
                order.push(product);
            }
            rows.push((at, wire::SetLevel { id, stock_quantity: push.quantity.whole_units() }));
        }
        let mut calls = Vec::new();
        for product in order {
            let path =
                product.map_or("/products/batch".to_owned(), |id| format!("/products/{id}/variations/batch"));
            let rows = of.remove(&product).unwrap_or_default();
            let parts = rows.chunks(self.session.rows());
            calls.extend(parts.map(|part| Call { path: path.clone(), rows: part.to_vec() }));
        }
        calls.reverse();
        calls
    }
}

async fn set(session: &Arc<Session>, call: &Call) -> Result<wire::BatchDone, Failed> {
    let batch = wire::Batch { update: call.rows.iter().map(|(_, row)| *row).collect() };
    session.change(Method::POST, &call.path, &batch).await
}

/// What became of each of a call.
fn judge(call: &Call, done: &wire::BatchDone, pushes: &[Push]) -> Vec<(usize, Pushed)> {
    let result = |(at, row): &(usize, wire::SetLevel)| {
        let told = done.update.iter().find(|told| told.id == row.id);
        (*at, told.map_or_else(lost, |told| judged(told, pushes[*at].quantity)))
    };
    call.rows.iter().map(result).collect()
}

fn lost() -> Pushed {
    Pushed::Unknown { reason: "its answer left this one out".to_owned() }
}

fn judged(told: &wire::SetDone, wanted: Quantity) -> Pushed {
    let refused = |reason: String| Pushed::Refused { reason };
    if let Some(error) = &told.error {
        return if error.code.ends_with("_invalid_id") {
            refused(format!("it has no such product any more: {}", error.message))
        } else {
            refused(error.message.clone())
        };
    }
    match (told.manage_stock, told.quantity()) {
        (Managed::Not, _) => refused(
            "it does not track this product's stock and sells it without end: turn on stock management there".to_owned(),
        ),
        (Managed::Product, _) => refused(
            "its stock is counted with its product: map that, or turn on stock management of the variation there".to_owned(),
        ),
        (Managed::Itself, Some(shows)) if shows == wanted => Pushed::Acknowledged,
        // Something was sold meanwhile, or a plugin has its own mind.
        (Managed::Itself, shows) => Pushed::Unknown {
            reason: format!("it shows {} right after it was told {wanted}", shows.unwrap_or_default()),
        },
    }
}
