//! `/v1`: one file per resource, one handler per endpoint.

pub(crate) mod admin;
pub(crate) mod alerts;
pub(crate) mod allocation;
mod answers;
pub(crate) mod ask;
mod changes;
pub(crate) mod commands;
mod counts;
pub(crate) mod discrepancies;
mod documents;
mod explain;
pub(crate) mod export;
mod history;
mod holds;
mod import;
mod item_names;
mod items;
mod locations;
mod lots;
mod low_stock;
mod modes;
mod movements;
mod orders;
pub(crate) mod ownership;
pub(crate) mod page;
pub(crate) mod people;
mod production;
mod purchases;
pub(crate) mod report;
mod returns;
mod reversals;
pub(crate) mod rules;
mod selling;
mod sessions;
pub(crate) mod sign_in_policy;
mod sign_on;
mod snapshots;
mod stock;
pub(crate) mod subscriptions;
pub(crate) mod systems;
mod transfers;
pub(crate) mod user_sessions;
pub(crate) mod users;
mod webhooks;

pub(crate) use systems::unsealed;
use utoipa_axum::router::OpenApiRouter;

use crate::App;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(items::routes())
        .merge(item_names::routes())
        .merge(history::routes())
        .merge(explain::routes())
        .merge(low_stock::routes())
        .merge(report::routes())
        .merge(locations::routes())
        .merge(lots::routes())
        .merge(stock::routes())
        .merge(movements::routes())
        .merge(reversals::routes())
        .merge(production::routes())
        .merge(transfers::routes())
        .merge(purchases::routes())
        .merge(counts::routes())
        .merge(orders::routes())
        .merge(returns::routes())
        .merge(documents::routes())
        .merge(holds::routes())
        .merge(rules::routes())
        .merge(selling::routes())
        .merge(ownership::routes())
        .merge(allocation::routes())
        .merge(sessions::routes())
        .merge(systems::routes())
        .merge(modes::routes())
        .merge(snapshots::routes())
        .merge(webhooks::routes())
        .merge(changes::routes())
        .merge(export::routes())
        .merge(import::routes())
        .merge(discrepancies::routes())
        .merge(alerts::routes())
        .merge(subscriptions::routes())
        .merge(people::routes())
        .merge(commands::routes())
        .merge(users::routes())
        .merge(user_sessions::routes())
        .merge(sign_in_policy::routes())
        .merge(sign_on::routes())
        .merge(admin::routes())
}
