//! Setting numbers: all of a call or none of it. What is refused is named by its place in the call, and the others are sent again without
//! it; where nothing is named, halves tell which it is.

use std::collections::HashSet;

use onhand_ledger::Quantity;

use super::session::Failed;
use super::{MOST, Shopify, documents, locked, place, wire};
use crate::{ChannelError, Push, Pushed, Reading};

/// More than this is refused (`INVALID_QUANTITY_TOO_HIGH`,
/// <https://shopify.dev/docs/api/admin-graphql/2026-10/enums/InventorySetQuantitiesUserErrorCode>).
const MOST_UNITS: i64 = 1_000_000_000;
/// Another number is there than was expected.
const STALE: &str = "CHANGE_FROM_QUANTITY_STALE";

/// One that was refused, and why.
struct Trouble {
    at: usize,
    is_stale: bool,
    said: String,
}

impl Shopify {
    pub(super) async fn push_all(&self, pushes: &[Push]) -> Result<Vec<Pushed>, ChannelError> {
        let mut results: Vec<Option<Pushed>> = vec![None; pushes.len()];
        let mut good = Vec::new();
        for (at, push) in pushes.iter().enumerate() {
            if push.quantity.whole_units() > MOST_UNITS {
                results[at] = Some(Pushed::Refused { reason: "that is more than it can hold".to_owned() });
            } else {
                good.push(at);
            }
        }
        self.stock_first(pushes, &mut good, &mut results).await?;
        let mut calls: Vec<Vec<usize>> = good.chunks(MOST).map(<[usize]>::to_vec).collect();
        let mut troubles = Vec::new();
        let mut is_first = true;
        while let Some(call) = calls.pop() {
            let refused = match self.set(pushes, &call).await {
                Ok(refused) => refused,
                Err(Failed::Lost(reason)) => {
                    for at in call {
                        results[at] = Some(Pushed::Unknown { reason: reason.clone() });
                    }
                    continue;
                }
                Err(Failed::Other(error)) if is_first => return Err(error),
                Err(Failed::Other(error)) => {
                    let reason = error.to_string();
                    for at in call.into_iter().chain(calls.drain(..).flatten()) {
                        results[at] = Some(Pushed::Unknown { reason: reason.clone() });
                    }
                    break;
                }
            };
            is_first = false;
            if refused.is_empty() {
                for at in call {
                    results[at] = Some(Pushed::Acknowledged);
                }
                continue;
            }
            let mut named = vec![false; call.len()];
            for error in &refused {
                let index = error.index().or((call.len() == 1).then_some(0));
                let Some(place) = index.filter(|index| *index < call.len()) else { continue };
                if !named[place] {
                    named[place] = true;
                    let is_stale = error.code.as_deref() == Some(STALE);
                    troubles.push(Trouble { at: call[place], is_stale, said: error.message.clone() });
                }
            }
            let rest: Vec<usize> =
                call.iter().zip(&named).filter(|(_, named)| !**named).map(|(at, _)| *at).collect();
            if rest.len() < call.len() {
                calls.extend((!rest.is_empty()).then_some(rest));
            } else {
                let (one, other) = rest.split_at(rest.len() / 2);
                calls.extend([one.to_vec(), other.to_vec()]);
            }
        }
        for (at, result) in self.look_into(pushes, troubles).await {
            results[at] = Some(result);
        }
        let lost = || Pushed::Unknown { reason: "its answer left this one out".to_owned() };
        Ok(results.into_iter().map(|result| result.unwrap_or_else(lost)).collect())
    }

    /// Where an item is not stocked yet, it is from now on, with its number; those are done with then. What was never read is looked at.
    async fn stock_first(
        &self,
        pushes: &[Push],
        good: &mut Vec<usize>,
        results: &mut [Option<Pushed>],
    ) -> Result<(), ChannelError> {
        let is_stocked = |push: &Push| locked(&self.stocked).contains(&place(&push.listing, &push.location));
        let unknown = good.iter().map(|at| &pushes[*at]).filter(|push| !is_stocked(push));
        let mut items: Vec<String> = unknown.map(|push| push.listing.clone()).collect();
        items.sort();
        items.dedup();
        if items.is_empty() {
            return Ok(());
        }
        let levels = self.levels(&items).await?;
        let idle: HashSet<(&str, &str)> = levels
            .iter()
            .filter(|(reading, is_stocked)| reading.tracked && !is_stocked)
            .map(|(reading, _)| (reading.listing.as_str(), reading.location.as_str()))
            .collect();
        let is_idle =
            |at: &usize| idle.contains(&(pushes[*at].listing.as_str(), pushes[*at].location.as_str()));
        let (to_stock, rest): (Vec<usize>, Vec<usize>) = good.iter().partition(|at| is_idle(at));
        *good = rest;
        for at in to_stock {
            results[at] = Some(self.activate(&pushes[at]).await);
        }
        Ok(())
    }

    /// Sets these in one call: what it says against some of them. An answer that is lost is asked for again, once, under the same key.
    async fn set(&self, pushes: &[Push], call: &[usize]) -> Result<Vec<wire::UserError>, Failed> {
        let key = key().map_err(|reason| Failed::Other(self.session.peer.unexpected(reason)))?;
        let seq = call.iter().map(|at| pushes[*at].seq).max().unwrap_or_default();
        let quantity = |at: &usize| wire::SetQuantity {
            inventory_item_id: wire::gid("InventoryItem", &pushes[*at].listing),
            location_id: wire::gid("Location", &pushes[*at].location),
            quantity: pushes[*at].quantity.whole_units(),
            change_from_quantity: pushes[*at].expected.map(Quantity::whole_units),
        };
        let input = wire::SetInput {
            name: "available",
            // <https://shopify.dev/docs/apps/build/orders-fulfillment/inventory-management-apps/manage-quantities-states>
            reason: "correction",
            reference_document_uri: format!("gid://onhand/Entry/{seq}"),
            quantities: call.iter().map(quantity).collect(),
        };
        let asked = wire::Set { input, key: &key };
        let done: wire::SetDone = match self.session.try_to(documents::SET, &asked).await {
            Err(Failed::Lost(_)) => match self.session.try_to(documents::SET, &asked).await {
                // Nothing is known of the first.
                Err(Failed::Other(error)) => return Err(Failed::Lost(error.to_string())),
                done => done?,
            },
            done => done?,
        };
        let Some(done) = done.inventory_set_quantities else {
            return Err(Failed::Lost("it says nothing of what was set".to_owned()));
        };
        let of_key = |error: &wire::UserError| {
            error.code.as_deref().is_some_and(|code| code.starts_with("IDEMPOTENCY_"))
        };
        match done.user_errors.iter().find(|error| of_key(error)) {
            Some(error) => Err(Failed::Lost(error.message.clone())),
            None => Ok(done.user_errors),
        }
    }

    /// What is there instead, of what was refused; and what is not stocked where it shall be is.
    async fn look_into(&self, pushes: &[Push], troubles: Vec<Trouble>) -> Vec<(usize, Pushed)> {
        if troubles.is_empty() {
            return Vec::new();
        }
        let mut items: Vec<String> =
            troubles.iter().map(|trouble| pushes[trouble.at].listing.clone()).collect();
        items.sort();
        items.dedup();
        let levels = match self.levels(&items).await {
            Ok(levels) => levels,
            Err(error) => {
                let unknown = |trouble: Trouble| {
                    let reason = format!("{}; {error}", trouble.said);
                    let told = if trouble.is_stale {
                        Pushed::Unknown { reason }
                    } else {
                        Pushed::Refused { reason }
                    };
                    (trouble.at, told)
                };
                return troubles.into_iter().map(unknown).collect();
            }
        };
        let mut results = Vec::new();
        for Trouble { at, is_stale, said } in troubles {
            let push = &pushes[at];
            let is_it = |(reading, _): &&(Reading, bool)| {
                reading.listing == push.listing && reading.location == push.location
            };
            let result = match levels.iter().find(is_it) {
                None => Pushed::Refused { reason: format!("it has no such item or location any more: {said}") },
                Some((reading, _)) if !reading.tracked => Pushed::Refused {
                    reason: "it does not track this item's stock and sells it without end: let it track inventory there"
                        .to_owned(),
                },
                Some((_, false)) => self.activate(push).await,
                Some((reading, true)) if is_stale => Pushed::Stale { shows: reading.quantity },
                Some(_) => Pushed::Refused { reason: said },
            };
            results.push((at, result));
        }
        results
    }

    /// Stocks an item at a location, with its number.
    async fn activate(&self, push: &Push) -> Pushed {
        let key = match key() {
            Ok(key) => key,
            Err(reason) => return Pushed::Unknown { reason },
        };
        let asked = wire::Activate {
            item: wire::gid("InventoryItem", &push.listing),
            location: wire::gid("Location", &push.location),
            available: push.quantity.whole_units(),
            key: &key,
        };
        let done: Result<wire::Activated, ChannelError> = self.session.ask(documents::ACTIVATE, &asked).await;
        match done.map(|done| done.inventory_activate) {
            Ok(Some(done)) if done.user_errors.is_empty() => {
                locked(&self.stocked).insert(place(&push.listing, &push.location));
                Pushed::Acknowledged
            }
            Ok(Some(done)) => {
                let said: Vec<String> = done.user_errors.into_iter().map(|error| error.message).collect();
                Pushed::Refused { reason: format!("it cannot be stocked there: {}", said.join("; ")) }
            }
            Ok(None) => Pushed::Unknown { reason: "it says nothing of what was stocked".to_owned() },
            Err(error) => Pushed::Unknown { reason: error.to_string() },
        }
    }
}

/// A key of its own for each call: one that was used before would be answered what was answered then, and nothing set. Written as a
/// UUID (RFC 9562, version 4).
fn key() -> Result<String, String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| error.to_string())?;
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]))
}
