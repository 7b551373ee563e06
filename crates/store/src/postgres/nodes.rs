//! Which nodes are there, and which of them does what of itself.
//!
//! A node is there until an instant of the database's clock, which it moves on while it works. One whose instant has passed can
//! never move it again: it begins anew under another name. So whoever saw that a node was not there knows that it never comes
//! back, and may take over what was given to it, without a lock between the two.

use std::sync::Arc;

use onhand_ledger::TenantId;

use super::read::get;
use super::wire::{Ask, Connection, Failure, parameters};
use crate::rows::signed;
use crate::{Given, Presence, StoreError};

/// These five are of nodes, and of no tenant.
const ENTER: &str = "INSERT INTO node(name, until) \
    VALUES($1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + $2) ON CONFLICT (name) DO NOTHING";
const STAY: &str = "UPDATE node SET until = (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + $2 \
    WHERE name = $1 AND until > (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
const FORGET: &str =
    "DELETE FROM node WHERE until <= (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
const THERE: &str = "SELECT name FROM node \
    WHERE until > (extract(epoch FROM clock_timestamp()) * 1000000)::bigint ORDER BY name";
const LEAVE: &str = "DELETE FROM node WHERE name = $1";
/// Of all tenants that have connected systems, by an index of its own.
const GIVEN: &str = "SELECT n.tenant_id, n.key, g.node FROM note n \
    LEFT JOIN given g ON g.tenant_id = n.tenant_id AND g.key = n.key \
    WHERE n.space = 'connection' ORDER BY n.tenant_id, n.key";
const TAKE: &str = "INSERT INTO given(tenant_id, key, node) VALUES($1, $2, $3) ON CONFLICT (tenant_id, key) DO NOTHING \
    RETURNING 1";
const TAKE_OVER: &str =
    "UPDATE given SET node = $3 WHERE tenant_id = $1 AND key = $2 AND node = $4 RETURNING 1";
const LET_GO: &str = "DELETE FROM given WHERE tenant_id = $1 AND key = $2 AND node = $3 RETURNING 1";

/// See [`crate::Store::stay`].
pub(super) async fn stay(
    connection: &Arc<Connection>,
    node: &str,
    presence: Presence,
) -> Result<Vec<String>, Failure> {
    let named = || node.to_owned();
    let until = |ms: u32| i64::from(ms) * 1_000;
    let mut asks = match presence {
        Presence::Enters(ms) => vec![Ask { sql: ENTER, parameters: parameters![named(), until(ms)] }],
        Presence::Stays(ms) => vec![Ask { sql: STAY, parameters: parameters![named(), until(ms)] }],
        Presence::Leaves => vec![Ask { sql: LEAVE, parameters: parameters![named()] }],
    };
    asks.push(Ask { sql: FORGET, parameters: Vec::new() });
    asks.push(Ask { sql: THERE, parameters: Vec::new() });
    let answers = connection.ask_all(&asks, None).await?;
    let there = answers.last().into_iter().flatten();
    Ok(there.map(|row| get::<String>(row, 0)).collect::<Result<_, StoreError>>()?)
}

/// See [`crate::Store::given`].
pub(super) async fn given(connection: &Arc<Connection>) -> Result<Vec<Given>, Failure> {
    let rows = connection.ask(&Ask { sql: GIVEN, parameters: Vec::new() }).await?;
    let mut given = Vec::with_capacity(rows.len());
    for row in &rows {
        let key = String::from_utf8(get(row, 1)?)
            .map_err(|_| StoreError::Damaged("the key of a connection is no text".to_owned()))?;
        let tenant = TenantId(get::<i64>(row, 0)?.cast_unsigned());
        given.push(Given { tenant, key, node: get(row, 2)? });
    }
    Ok(given)
}

/// See [`crate::Store::give`].
pub(super) async fn give(
    connection: &Arc<Connection>,
    now: &Given,
    to: Option<&str>,
) -> Result<bool, Failure> {
    let (id, key) = (signed(now.tenant.0), now.key.clone().into_bytes());
    let ask = match (now.node.clone(), to.map(ToOwned::to_owned)) {
        (None, None) => return Ok(true),
        (None, Some(to)) => Ask { sql: TAKE, parameters: parameters![id, key, to] },
        (Some(from), Some(to)) => Ask { sql: TAKE_OVER, parameters: parameters![id, key, to, from] },
        (Some(from), None) => Ask { sql: LET_GO, parameters: parameters![id, key, from] },
    };
    Ok(!connection.ask(&ask).await?.is_empty())
}
