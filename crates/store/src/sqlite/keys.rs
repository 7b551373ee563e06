//! Runs of keys in tables: `key_run` has those that count, `key_page` and `key_filter` their rows.

use std::collections::{BTreeMap, VecDeque};

use onhand_ledger::{Seq, TenantId};
use rusqlite::{Connection, params};

use super::{failed, signed};
use crate::keys::{
    Filter, KeyAt, MERGED, PAGE_KEYS, Probe, Young, keys_in_page, read_page, size_of_run, write_page,
};
use crate::sum::Sum;
use crate::{StoreError, WriteKeys};

/// How many blocks of a filter a row has: 32 KiB.
const FILTER_BLOCKS: usize = 1_024;
/// Young keys are written when the log is so many entries ahead of those that are: a start reads it from there.
const MAX_BEHIND: Seq = 1_000_000;
/// How much work one transaction does at least, in keys.
const LEAST_WORK: usize = 1_000;

/// A run that counts.
struct Run {
    keys: u64,
    last_seq: Seq,
    filter: Filter,
}

/// The keys of one tenant, as the writer knows them.
#[derive(Default)]
pub(super) struct Index {
    young: Young,
    /// Being written; still found here.
    frozen: Option<Young>,
    runs: BTreeMap<u64, Run>,
    next_run: u64,
    writing: Option<Building>,
    merging: Option<Building>,
    /// Runs that do not count any more, or never did.
    gone: Vec<u64>,
    /// Runs have all keys up to here.
    keyed: Seq,
}

/// A run in the making.
struct Building {
    run: u64,
    source: Source,
    /// Keys that are in no page yet.
    open: Vec<KeyAt>,
    filter: Filter,
    keys: u64,
    last_seq: Seq,
    filter_rows: usize,
}

enum Source {
    /// Frozen keys, part by part.
    Young(usize),
    Runs(Vec<Cursor>),
}

/// Where a run that is merged has been read to.
struct Cursor {
    run: u64,
    page: VecDeque<KeyAt>,
    last_page: Option<i64>,
}

/// Hashes in the order of SQLite's signed integers.
const fn ordered(hash: u64) -> i64 {
    (hash ^ (1 << 63)).cast_signed()
}

impl Index {
    pub fn load(connection: &Connection, tenant: TenantId, keyed: Seq) -> Result<Self, StoreError> {
        let id = signed(tenant.0);
        let mut index = Self { keyed, ..Self::default() };
        for (run, keys, last_seq) in runs(connection, tenant)? {
            let filter = filter(connection, tenant, run, keys)?;
            index.runs.insert(run, Run { keys, last_seq, filter });
        }
        let next = |table: &str, after: i64| -> Result<Option<i64>, StoreError> {
            let sql = format!("SELECT min(run) FROM {table} WHERE tenant_id = ?1 AND run > ?2");
            connection.query_row(&sql, params![id, after], |row| row.get(0)).map_err(|e| failed("read", &e))
        };
        // From run to run by the key, not through all pages.
        for table in ["key_page", "key_filter"] {
            let mut after = -1;
            while let Some(run) = next(table, after)? {
                after = run;
                let run = run.cast_unsigned();
                if !index.runs.contains_key(&run) && !index.gone.contains(&run) {
                    index.gone.push(run);
                }
            }
        }
        let newest = index.runs.keys().chain(&index.gone).max();
        index.next_run = newest.map_or(1, |run| run + 1);
        Ok(index)
    }

    /// Runs have all keys up to this entry.
    pub const fn keyed(&self) -> Seq {
        self.keyed
    }

    pub fn remember(&mut self, keys: &[KeyAt]) {
        for (hash, seq) in keys {
            self.young.insert(*hash, *seq);
        }
    }

    /// The entries of these hashes, each with its hash. Memory is waited for once for many of them: so one filter after the other
    /// is asked for all, and not all filters for one hash after the other.
    pub fn find_all(
        &self,
        connection: &Connection,
        tenant: TenantId,
        hashes: &[u64],
    ) -> Result<Vec<KeyAt>, StoreError> {
        let mut found = Vec::new();
        let mut seqs = Vec::new();
        for young in std::iter::once(&self.young).chain(&self.frozen) {
            for hash in hashes.iter().filter(|hash| young.has(**hash)) {
                young.find(*hash, &mut seqs);
                found.extend(seqs.drain(..).map(|seq| (*hash, seq)));
            }
        }
        let probes: Vec<Probe> = hashes.iter().map(|hash| Probe::of(*hash)).collect();
        for (run, known) in &self.runs {
            for probe in probes.iter().filter(|probe| known.filter.may_have(probe)) {
                find_in_run(connection, tenant, *run, probe.hash, &mut seqs)?;
                found.extend(seqs.drain(..).map(|seq| (probe.hash, seq)));
            }
        }
        Ok(found)
    }

    /// Does some of the work there is; all of it where `how.at` is 0. `head` is the log's end after this transaction.
    pub fn work(
        &mut self,
        connection: &Connection,
        tenant: TenantId,
        how: WriteKeys,
        head: Seq,
    ) -> Result<(), StoreError> {
        let mut left = if how.at == 0 { usize::MAX } else { how.slice.max(LEAST_WORK) };
        while left > 0 {
            self.begin(how.at, head);
            if let Some(mut writing) = self.writing.take() {
                let done = writing.step(connection, tenant, self.frozen.as_ref(), &mut left)?;
                if done {
                    self.frozen = None;
                    self.keyed = self.keyed.max(writing.last_seq);
                    self.count(connection, tenant, writing, &[])?;
                } else {
                    self.writing = Some(writing);
                }
            } else if let Some(mut merging) = self.merging.take() {
                let done = merging.step(connection, tenant, None, &mut left)?;
                if done {
                    let merged = merging.merged();
                    self.count(connection, tenant, merging, &merged)?;
                } else {
                    self.merging = Some(merging);
                }
            } else if let Some(run) = self.gone.last().copied() {
                if remove_some(connection, tenant, run, &mut left)? {
                    self.gone.pop();
                }
            } else {
                break;
            }
        }
        if self.frozen.is_none() && self.young.len() == 0 {
            self.keyed = self.keyed.max(head);
        }
        Ok(())
    }

    /// Begins what there is to do.
    fn begin(&mut self, at: usize, head: Seq) {
        let is_due = self.young.len() >= at.max(1) || head.saturating_sub(self.keyed) > MAX_BEHIND;
        if self.frozen.is_none() && self.young.len() > 0 && is_due {
            let keys = self.young.len();
            let next = Young::with_room_for(if at == 0 { 0 } else { keys });
            let frozen = std::mem::replace(&mut self.young, next);
            self.writing = Some(self.building(Source::Young(0), keys as u64, frozen.last_seq));
            self.frozen = Some(frozen);
        }
        if self.merging.is_none() {
            let mut sizes = BTreeMap::<u32, Vec<u64>>::new();
            for (run, known) in &self.runs {
                sizes.entry(size_of_run(known.keys)).or_default().push(*run);
            }
            if let Some(together) = sizes.into_values().find(|runs| runs.len() >= MERGED) {
                let known = || together.iter().filter_map(|run| self.runs.get(run));
                let keys = known().map(|run| run.keys).sum();
                let last_seq = known().map(|run| run.last_seq).max().unwrap_or(0);
                let cursor = |run: &u64| Cursor { run: *run, page: VecDeque::new(), last_page: None };
                let cursors = together.iter().map(cursor).collect();
                self.merging = Some(self.building(Source::Runs(cursors), keys, last_seq));
            }
        }
    }

    fn building(&mut self, source: Source, keys: u64, last_seq: Seq) -> Building {
        let run = self.next_run;
        self.next_run += 1;
        let filter = Filter::for_keys(keys);
        Building { run, source, open: Vec::new(), filter, keys: 0, last_seq, filter_rows: 0 }
    }

    /// A run counts from now on, and those it was merged from no longer.
    fn count(
        &mut self,
        connection: &Connection,
        tenant: TenantId,
        built: Building,
        merged: &[u64],
    ) -> Result<(), StoreError> {
        let (id, run, keys, last_seq) =
            (signed(tenant.0), signed(built.run), signed(built.keys), signed(built.last_seq));
        let sum = Sum::of("key_run").ints([id, run, keys, last_seq]).get();
        let written = || -> rusqlite::Result<()> {
            connection
                .prepare_cached(
                    "INSERT INTO key_run(tenant_id, run, keys, last_seq, sum) VALUES(?1, ?2, ?3, ?4, ?5)",
                )?
                .execute(params![id, run, keys, last_seq, sum])?;
            let mut end =
                connection.prepare_cached("DELETE FROM key_run WHERE tenant_id = ?1 AND run = ?2")?;
            for run in merged {
                end.execute(params![id, signed(*run)])?;
            }
            Ok(())
        };
        written().map_err(|error| failed("written", &error))?;
        self.runs.insert(built.run, Run { keys: built.keys, last_seq: built.last_seq, filter: built.filter });
        for run in merged {
            self.runs.remove(run);
            self.gone.push(*run);
        }
        Ok(())
    }
}

impl Building {
    fn merged(&self) -> Vec<u64> {
        match &self.source {
            Source::Young(_) => Vec::new(),
            Source::Runs(cursors) => cursors.iter().map(|cursor| cursor.run).collect(),
        }
    }

    /// Writes some of it; true once all of it is.
    fn step(
        &mut self,
        connection: &Connection,
        tenant: TenantId,
        frozen: Option<&Young>,
        left: &mut usize,
    ) -> Result<bool, StoreError> {
        while *left > 0 {
            let more = match &mut self.source {
                Source::Young(part) => {
                    let more = frozen.and_then(|frozen| frozen.part(*part));
                    *part += 1;
                    more
                }
                Source::Runs(cursors) => merge_some(connection, tenant, cursors)?,
            };
            let Some(more) = more else {
                if !self.open.is_empty() {
                    let open = std::mem::take(&mut self.open);
                    self.page(connection, tenant, &open)?;
                }
                return self.write_filter(connection, tenant, left);
            };
            *left = left.saturating_sub(more.len().max(1));
            self.open.extend(more);
            let open = std::mem::take(&mut self.open);
            let mut rest = open.as_slice();
            while let Some(end) = end_of_page(rest) {
                let (page, after) = rest.split_at(end);
                self.page(connection, tenant, page)?;
                rest = after;
            }
            self.open = rest.to_vec();
        }
        Ok(false)
    }

    fn page(&mut self, connection: &Connection, tenant: TenantId, keys: &[KeyAt]) -> Result<(), StoreError> {
        let Some((first, _)) = keys.first() else { return Ok(()) };
        for (hash, _) in keys {
            self.filter.insert(*hash);
        }
        self.keys += keys.len() as u64;
        let (id, run, first, body) = (signed(tenant.0), signed(self.run), ordered(*first), write_page(keys));
        let sum = Sum::of("key_page").ints([id, run, first]).bytes(&body).get();
        let written = || -> rusqlite::Result<usize> {
            connection
                .prepare_cached(
                    "INSERT INTO key_page(tenant_id, run, first_hash, body, sum) VALUES(?1, ?2, ?3, ?4, ?5)",
                )?
                .execute(params![id, run, first, body, sum])
        };
        written().map(|_| ()).map_err(|error| failed("written", &error))
    }

    fn write_filter(
        &mut self,
        connection: &Connection,
        tenant: TenantId,
        left: &mut usize,
    ) -> Result<bool, StoreError> {
        let (id, run) = (signed(tenant.0), signed(self.run));
        while self.filter_rows * FILTER_BLOCKS < self.filter.len() {
            if *left == 0 {
                return Ok(false);
            }
            let (part, body) = (
                signed(self.filter_rows as u64),
                self.filter.part(self.filter_rows * FILTER_BLOCKS, FILTER_BLOCKS),
            );
            let sum = Sum::of("key_filter").ints([id, run, part]).bytes(&body).get();
            let written = || -> rusqlite::Result<usize> {
                connection
                    .prepare_cached(
                        "INSERT INTO key_filter(tenant_id, run, part, body, sum) VALUES(?1, ?2, ?3, ?4, ?5)",
                    )?
                    .execute(params![id, run, part, body, sum])
            };
            written().map_err(|error| failed("written", &error))?;
            self.filter_rows += 1;
            *left = left.saturating_sub(4 * PAGE_KEYS);
        }
        Ok(true)
    }
}

/// Where a full page ends: keys of one hash are never parted.
fn end_of_page(keys: &[KeyAt]) -> Option<usize> {
    let last = keys.get(PAGE_KEYS - 1)?.0;
    let same = keys[PAGE_KEYS..].iter().position(|(hash, _)| *hash != last)?;
    Some(PAGE_KEYS + same)
}

/// The next keys of all runs in order, as far as the pages at hand reach; none after the last.
fn merge_some(
    connection: &Connection,
    tenant: TenantId,
    cursors: &mut [Cursor],
) -> Result<Option<Vec<KeyAt>>, StoreError> {
    for cursor in cursors.iter_mut().filter(|cursor| cursor.page.is_empty()) {
        cursor.fill(connection, tenant)?;
    }
    // Up to the first end of a page: beyond it that run may have something smaller.
    let Some(until) = cursors.iter().filter_map(|cursor| cursor.page.back().copied()).min() else {
        return Ok(None);
    };
    let mut together = Vec::with_capacity(2 * PAGE_KEYS);
    for cursor in cursors {
        let end = cursor.page.partition_point(|key| *key <= until);
        together.extend(cursor.page.drain(..end));
    }
    together.sort_unstable();
    Ok(Some(together))
}

impl Cursor {
    fn fill(&mut self, connection: &Connection, tenant: TenantId) -> Result<(), StoreError> {
        let sql = "SELECT first_hash, body, sum FROM key_page WHERE tenant_id = ?1 AND run = ?2 AND \
                   first_hash > ?3 ORDER BY first_hash LIMIT 1";
        // Before the first there is nothing; the least hash is a first page's too.
        let (sql, after) = match self.last_page {
            Some(last) => (sql.to_owned(), last),
            None => (sql.replace("first_hash > ?3", "first_hash >= ?3"), i64::MIN),
        };
        if let Some((first, keys)) = page(connection, tenant, self.run, &sql, after)? {
            self.last_page = Some(first);
            self.page = keys.into();
        }
        Ok(())
    }
}

fn page(
    connection: &Connection,
    tenant: TenantId,
    run: u64,
    sql: &str,
    bound: i64,
) -> Result<Option<(i64, Vec<KeyAt>)>, StoreError> {
    read_in_page(connection, tenant, run, sql, bound, |first, body| Some((first, read_page(body)?)))
}

/// What `read` makes of the first page there is, by its least hash and its bytes; it makes none of what is no page.
fn read_in_page<T>(
    connection: &Connection,
    tenant: TenantId,
    run: u64,
    sql: &str,
    bound: i64,
    read: impl FnOnce(i64, &[u8]) -> Option<T>,
) -> Result<Option<T>, StoreError> {
    let failed = |error| failed("read", &error);
    let mut statement = connection.prepare_cached(sql).map_err(failed)?;
    let mut rows = statement.query(params![signed(tenant.0), signed(run), bound]).map_err(failed)?;
    let Some(row) = rows.next().map_err(failed)? else { return Ok(None) };
    let first: i64 = row.get(0).map_err(failed)?;
    let name = || format!("page {first} of run {run} of keys");
    let unread = || StoreError::Damaged(format!("{} cannot be read", name()));
    let body = row.get_ref(1).map_err(failed)?.as_blob().map_err(|_| unread())?;
    let sum = row.get(2).map_err(failed)?;
    Sum::of("key_page").ints([signed(tenant.0), signed(run), first]).bytes(body).must_be(sum, name)?;
    read(first, body).ok_or_else(unread).map(Some)
}

/// The runs that count: number, keys, last entry.
fn runs(connection: &Connection, tenant: TenantId) -> Result<Vec<(u64, u64, Seq)>, StoreError> {
    let read = || -> rusqlite::Result<Vec<[i64; 4]>> {
        let mut statement = connection.prepare_cached(
            "SELECT run, keys, last_seq, sum FROM key_run WHERE tenant_id = ?1 ORDER BY run",
        )?;
        let row = |row: &rusqlite::Row<'_>| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?]);
        statement.query_map([signed(tenant.0)], row)?.collect()
    };
    let mut runs = Vec::new();
    for [run, keys, last_seq, sum] in read().map_err(|error| failed("read", &error))? {
        let row = Sum::of("key_run").ints([signed(tenant.0), run, keys, last_seq]);
        row.must_be(sum, || format!("run {run} of keys"))?;
        runs.push((run.cast_unsigned(), keys.cast_unsigned(), last_seq.cast_unsigned()));
    }
    Ok(runs)
}

fn filter(connection: &Connection, tenant: TenantId, run: u64, keys: u64) -> Result<Filter, StoreError> {
    let damaged = || StoreError::Damaged(format!("the filter of run {run} of keys is not whole"));
    let mut filter = Filter::default();
    let mut statement = connection
        .prepare_cached(
            "SELECT part, body, sum FROM key_filter WHERE tenant_id = ?1 AND run = ?2 ORDER BY part",
        )
        .map_err(|error| failed("read", &error))?;
    let mut rows =
        statement.query(params![signed(tenant.0), signed(run)]).map_err(|error| failed("read", &error))?;
    while let Some(row) = rows.next().map_err(|error| failed("read", &error))? {
        let get = || -> rusqlite::Result<(i64, Vec<u8>, i64)> { Ok((row.get(0)?, row.get(1)?, row.get(2)?)) };
        let (part, body, sum) = get().map_err(|error| failed("read", &error))?;
        let row = Sum::of("key_filter").ints([signed(tenant.0), signed(run), part]).bytes(&body);
        row.must_be(sum, || format!("part {part} of the filter of run {run} of keys"))?;
        if !filter.append(&body) {
            return Err(damaged());
        }
    }
    if filter.is_for(keys) { Ok(filter) } else { Err(damaged()) }
}

fn find_in_run(
    connection: &Connection,
    tenant: TenantId,
    run: u64,
    hash: u64,
    found: &mut Vec<Seq>,
) -> Result<(), StoreError> {
    let sql = "SELECT first_hash, body, sum FROM key_page WHERE tenant_id = ?1 AND run = ?2 AND \
               first_hash <= ?3 ORDER BY first_hash DESC LIMIT 1";
    let read = |_, body: &[u8]| {
        found.extend(keys_in_page(body, hash)?.map(|(_, seq)| seq));
        Some(())
    };
    read_in_page(connection, tenant, run, sql, ordered(hash), read).map(|_| ())
}

/// The entries of that hash, for a reader that has no filters.
pub(super) fn find(connection: &Connection, tenant: TenantId, hash: u64) -> Result<Vec<Seq>, StoreError> {
    let mut found = Vec::new();
    for (run, ..) in runs(connection, tenant)? {
        find_in_run(connection, tenant, run, hash, &mut found)?;
    }
    Ok(found)
}

/// All keys in runs after one, in order, at most `limit`.
pub(super) fn keys_after(
    connection: &Connection,
    tenant: TenantId,
    after: Option<KeyAt>,
    limit: usize,
) -> Result<Vec<KeyAt>, StoreError> {
    let from = after.map_or(i64::MIN, |(hash, _)| ordered(hash));
    let mut all = Vec::new();
    for (run, ..) in runs(connection, tenant)? {
        let sql = "SELECT first_hash, body, sum FROM key_page WHERE tenant_id = ?1 AND run = ?2 AND \
                   first_hash <= ?3 ORDER BY first_hash DESC LIMIT 1";
        let mut cursor = Cursor { run, page: VecDeque::new(), last_page: None };
        if let Some((first, keys)) = page(connection, tenant, run, sql, from)? {
            cursor.last_page = Some(first);
            cursor.page = keys.into();
        } else {
            cursor.fill(connection, tenant)?;
        }
        let mut taken = 0;
        while !cursor.page.is_empty() && taken < limit {
            let keys = cursor.page.drain(..).filter(|key| after.is_none_or(|after| *key > after));
            let before = all.len();
            all.extend(keys);
            taken += all.len() - before;
            cursor.fill(connection, tenant)?;
        }
    }
    all.sort_unstable();
    all.dedup();
    all.truncate(limit);
    Ok(all)
}

/// Are all runs of a tenant whole, in order, and their filters true? Else what is wrong first.
pub(super) fn check(connection: &Connection, tenant: TenantId) -> Result<(), StoreError> {
    for (run, keys, last_seq) in runs(connection, tenant)? {
        let filter = filter(connection, tenant, run, keys)?;
        let mut cursor = Cursor { run, page: VecDeque::new(), last_page: None };
        let (mut seen, mut latest, mut before) = (0, 0, None);
        cursor.fill(connection, tenant)?;
        while !cursor.page.is_empty() {
            for key in cursor.page.drain(..) {
                if before.is_some_and(|before| before >= key) || !filter.may_have(&Probe::of(key.0)) {
                    return Err(StoreError::Damaged(format!("run {run} of keys is not in order")));
                }
                before = Some(key);
                latest = latest.max(key.1);
                seen += 1;
            }
            cursor.fill(connection, tenant)?;
        }
        if (seen, latest) != (keys, last_seq) {
            return Err(StoreError::Damaged(format!("run {run} of keys has {seen} of its {keys} keys")));
        }
    }
    Ok(())
}

/// Removes some rows of a run; true once there are none.
fn remove_some(
    connection: &Connection,
    tenant: TenantId,
    run: u64,
    left: &mut usize,
) -> Result<bool, StoreError> {
    let rows = (*left / PAGE_KEYS).clamp(1, 10_000);
    *left = left.saturating_sub(rows * PAGE_KEYS);
    let remove = |table: &str, column: &str| -> rusqlite::Result<usize> {
        let sql = format!(
            "DELETE FROM {table} WHERE tenant_id = ?1 AND run = ?2 AND {column} IN (SELECT {column} FROM {table} \
             WHERE tenant_id = ?1 AND run = ?2 ORDER BY {column} LIMIT ?3)"
        );
        let rows = i64::try_from(rows).unwrap_or(i64::MAX);
        connection.prepare_cached(&sql)?.execute(params![signed(tenant.0), signed(run), rows])
    };
    let removed = || -> rusqlite::Result<usize> {
        match remove("key_page", "first_hash")? {
            0 => remove("key_filter", "part"),
            pages => Ok(pages),
        }
    };
    removed().map(|removed| removed == 0).map_err(|error| failed("written", &error))
}
