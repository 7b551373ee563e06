//! What a system's numbers would change, were they counted: what our books have otherwise is worth a count, and nothing else is.

use onhand_ledger::command::{Line, Name, TakeCount};
use onhand_ledger::model::System;
use onhand_ledger::{Answer, Body, Command, Invalid, Quantity, SystemId, TenantId};
use onhand_store::StoreError;
use onhand_sync::snapshot::by_change;

use super::{Row, Snapshot, SnapshotError, Standing, is_net, kept, location_of, repeats_newest, rows};
use crate::commit::CommitError;
use crate::queue::{Handle, SubmitError};
use crate::rehearse::Rehearsal;

/// So many lines are compared at a time.
const LINES: usize = 500;

/// A system's numbers beside our books.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Compared {
    /// What is to be told of them: those that our books have otherwise. None where there are none, or a person is asked about such a
    /// change already.
    pub snapshot: Option<Snapshot>,
    /// What cannot be counted, by SKU, and why.
    pub refused: Vec<(String, Invalid)>,
}

/// Compares numbers of one location with our books. What the system is not master of is left out.
pub async fn compare(
    handle: &Handle,
    tenant: TenantId,
    id: SystemId,
    snapshot: Snapshot,
) -> Result<Compared, SnapshotError> {
    let found = handle.ledger().read(tenant, |view| {
        let Some(system) = view.system(id)? else { return Ok(None) };
        let Ok(code) = location_of(view, &system, snapshot.location.as_deref())? else { return Ok(None) };
        let Some(location) = rows::place(view, &code)? else { return Ok(None) };
        let named = rows::named(view, id, location, &snapshot.rows)?;
        Ok(Some(Of { system, code, lines: named.lines }))
    })?;
    let Some(of) = found else { return Ok(Compared::default()) };
    let (differing, sums, refused) = rehearse(handle, tenant, &of, &snapshot).await?;
    let mut compared = Compared { snapshot: None, refused };
    if differing.is_empty() {
        return Ok(compared);
    }
    let guard = by_change(sums.changed, sums.found + sums.agrees, &of.system.inbound);
    let is_told = guard.is_some()
        && handle.ledger().read(tenant, |view| {
            let known = kept::snapshots(view, id)?;
            let mut held = known.iter().filter(|kept| matches!(kept.state, Standing::Held { .. }));
            Ok::<_, StoreError>(
                held.any(|kept| kept.location == of.code) || repeats_newest(&known, &of.code, &differing),
            )
        })?;
    if !is_told {
        compared.snapshot = Some(Snapshot { rows: differing, agrees: sums.agrees, ..snapshot });
    }
    Ok(compared)
}

/// What is compared.
struct Of {
    system: System,
    code: String,
    lines: Vec<Line>,
}

/// Units.
#[derive(Default)]
struct Sums {
    /// Added and taken, together.
    changed: Quantity,
    /// By our books, of what differs.
    found: Quantity,
    /// By our books, of what does not.
    agrees: Quantity,
}

async fn rehearse(
    handle: &Handle,
    tenant: TenantId,
    of: &Of,
    snapshot: &Snapshot,
) -> Result<(Vec<Row>, Sums, Vec<(String, Invalid)>), SnapshotError> {
    let ledger = handle.ledger();
    let mut rehearsal = ledger.read(tenant, |view| Ok(Rehearsal::begin(view)))?;
    let (mut differing, mut sums, mut refused) = (Vec::new(), Sums::default(), Vec::new());
    let mut again: Vec<Vec<Line>> = of.lines.chunks(LINES).rev().map(<[Line]>::to_vec).collect();
    while let Some(lines) = again.pop() {
        let count = TakeCount {
            location: of.code.clone(),
            lines: lines.clone(),
            as_of: Some(snapshot.as_of.min(ledger.clock().now())),
            inside: true,
            system: Some(of.system.name.clone()),
            net: is_net(snapshot.meaning, &of.system.inbound),
        };
        let actor = of.system.name.clone();
        let command = Command { key: None, fingerprint: 0, actor, body: Body::Count(count) };
        match ledger.read(tenant, |view| Ok(rehearsal.decide(view, &command)))? {
            Ok(rehearsed) => {
                let Answer::Counted(counted, _) = rehearsed.answer else { continue };
                for line in counted {
                    if line.difference.is_zero() {
                        sums.agrees += line.found;
                        continue;
                    }
                    sums.found += line.found;
                    sums.changed += line.difference.abs();
                    let said = lines.iter().find(|said| said.sku == line.sku).map(|said| said.quantity);
                    let quantity = said.unwrap_or(line.counted);
                    differing.push(Row { item: Name::Sku(line.sku), quantity, lot: None, serials: None });
                }
            }
            Err(CommitError::Invalid(_)) if lines.len() > 1 => {
                again.extend(lines.into_iter().map(|line| vec![line]));
            }
            Err(CommitError::Invalid(invalid)) => {
                refused.extend(lines.into_iter().next().map(|line| (line.sku, invalid)));
            }
            Err(error) => return Err(SubmitError::Commit(error).into()),
        }
        tokio::task::yield_now().await;
    }
    Ok((differing, sums, refused))
}
