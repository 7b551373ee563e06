//! The tables, and how they are made and changed: once, however many nodes start at the same time.
//!
//! A change comes in two versions: the first *expands* (new tables, new columns that may be empty), so that nodes of the version
//! before go on beside it; a later one *contracts*, and raises `min_compatible` to the first version that does without.

use tokio_postgres::Error;

use super::PostgresUrl;
use super::wire::{Connection, Failure};
use crate::StoreError;

/// The version of [`STEPS`] all done.
pub(super) const VERSION: i64 = 7;

/// For each version: what makes it of the one before, and the least version whose nodes may go on beside it.
pub(super) const STEPS: [(&str, i64); 7] =
    [(FIRST, 1), (WORK, 1), (SNAPSHOTS, 1), (NODES, 1), (PEOPLE, 1), (SUBSCRIPTIONS, 1), (SHOWN, 1)];

/// The same tables as in SQLite but for keys, which any node may write. Texts are compared byte by byte, as there, and a note's
/// key is bytes, for it may hold what a text here may not (a zero). Bodies of the log are packed already.
const FIRST: &str = "
CREATE TABLE head(tenant_id BIGINT PRIMARY KEY, seq BIGINT NOT NULL, hash BYTEA NOT NULL,
  recorded_at BIGINT NOT NULL, flushed BIGINT NOT NULL, keyed BIGINT NOT NULL, sum BIGINT NOT NULL)
  WITH (fillfactor = 50);
CREATE TABLE log(tenant_id BIGINT NOT NULL, first_seq BIGINT NOT NULL, entries BIGINT NOT NULL,
  recorded_at BIGINT NOT NULL, hash BYTEA NOT NULL, body BYTEA NOT NULL, sum BIGINT NOT NULL,
  PRIMARY KEY(tenant_id, first_seq));
ALTER TABLE log ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE TABLE cell(tenant_id BIGINT NOT NULL, item_id BIGINT NOT NULL, location_id BIGINT NOT NULL,
  state BIGINT NOT NULL, lot_id BIGINT NOT NULL, consignor_id BIGINT NOT NULL,
  quantity BIGINT NOT NULL, seq BIGINT NOT NULL, latest BIGINT NOT NULL,
  latest_before BIGINT NOT NULL, recent BYTEA NOT NULL, sum BIGINT NOT NULL,
  PRIMARY KEY(tenant_id, item_id, location_id, state, lot_id, consignor_id)) WITH (fillfactor = 70);
CREATE TABLE trail(tenant_id BIGINT NOT NULL, item_id BIGINT NOT NULL, location_id BIGINT NOT NULL,
  state BIGINT NOT NULL, lot_id BIGINT NOT NULL, consignor_id BIGINT NOT NULL,
  first_at BIGINT NOT NULL, first_seq BIGINT NOT NULL, body BYTEA NOT NULL, sum BIGINT NOT NULL,
  PRIMARY KEY(tenant_id, item_id, location_id, state, lot_id, consignor_id, first_at, first_seq));
CREATE TABLE object(tenant_id BIGINT NOT NULL, kind BIGINT NOT NULL, key BYTEA NOT NULL,
  seq BIGINT NOT NULL, body TEXT COLLATE \"C\" NOT NULL, sum BIGINT NOT NULL,
  PRIMARY KEY(tenant_id, kind, key)) WITH (fillfactor = 80);
CREATE TABLE request_key(tenant_id BIGINT NOT NULL, hash BIGINT NOT NULL, seq BIGINT NOT NULL,
  PRIMARY KEY(tenant_id, hash, seq));
CREATE TABLE note(tenant_id BIGINT NOT NULL, space TEXT COLLATE \"C\" NOT NULL, key BYTEA NOT NULL,
  body TEXT COLLATE \"C\" NOT NULL, sum BIGINT NOT NULL, PRIMARY KEY(tenant_id, space, key)) WITH (fillfactor = 80);
";

/// By these work is found without looking at all tenants: due times, documents that wait, connected systems.
const WORK: &str = "
CREATE INDEX object_due ON object(key, tenant_id) WHERE kind = 16;
CREATE INDEX object_waiting ON object(tenant_id) WHERE kind = 14;
CREATE INDEX note_connection ON note(tenant_id) WHERE space = 'connection';
";

/// And snapshots that wait.
const SNAPSHOTS: &str = "
CREATE INDEX note_inbound ON note(tenant_id) WHERE space = 'inbound';
";

/// Which nodes are there until when, by the server's clock; and which of them runs the worker of which connected system.
const NODES: &str = "
CREATE TABLE node(name TEXT COLLATE \"C\" PRIMARY KEY, until BIGINT NOT NULL) WITH (fillfactor = 50);
CREATE TABLE given(tenant_id BIGINT NOT NULL, key BYTEA NOT NULL, node TEXT COLLATE \"C\" NOT NULL,
  PRIMARY KEY(tenant_id, key)) WITH (fillfactor = 50);
";

/// And who is told of troubles, and what is kept of people for a time.
const PEOPLE: &str = "
CREATE INDEX note_alert_target ON note(tenant_id) WHERE space = 'alert_target';
CREATE INDEX note_raw ON note(tenant_id) WHERE space = 'raw';
";

/// And who is sent webhooks.
const SUBSCRIPTIONS: &str = "
CREATE INDEX note_subscription ON note(tenant_id) WHERE space = 'subscription';
";

/// And which notes of what systems show were written since a reader last looked. Whoever writes notes of a tenant holds its head, so
/// that what is committed later has a larger version. A trigger gives it, so that nodes of the version before do too.
const SHOWN: &str = "
CREATE SEQUENCE note_version;
ALTER TABLE note ADD COLUMN version BIGINT NOT NULL DEFAULT 0;
CREATE FUNCTION give_note_version() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN NEW.version := nextval('onhand.note_version'); RETURN NEW; END $$;
CREATE TRIGGER give_note_version BEFORE INSERT OR UPDATE ON note FOR EACH ROW
  WHEN (starts_with(NEW.space, 'shown:')) EXECUTE FUNCTION give_note_version();
CREATE INDEX note_shown ON note(tenant_id, version) WHERE starts_with(space, 'shown:');
";

/// Makes what is missing, or refuses.
pub(super) async fn prepare(connection: &Connection, url: &PostgresUrl) -> Result<(), Failure> {
    let nothing = || StoreError::Damaged("the server answers nothing where it must".to_owned());
    let facts = connection
        .first(
            "SELECT current_setting('server_encoding'), current_setting('server_version_num')::bigint, \
             pg_is_in_recovery()",
        )
        .await?
        .ok_or_else(nothing)?;
    let (encoding, version, standby) =
        (facts.try_get::<_, String>(0)?, facts.try_get::<_, i64>(1)?, facts.try_get::<_, bool>(2)?);
    let unfit = |reason: String| StoreError::Io { doing: "opened", reason };
    if version < 130_000 {
        let major = version / 10_000;
        return Err(unfit(format!("{} is PostgreSQL {major}; 13 or newer is needed", url.hosts())).into());
    }
    if encoding != "UTF8" {
        let database = url.database();
        let reason = format!(
            "the database `{database}` keeps texts as {encoding}, where not all of them can be written; make one with \
             `createdb --encoding=UTF8 --template=template0 {database}`"
        );
        return Err(unfit(reason).into());
    }
    if standby {
        let reason = format!("{} is a standby, which takes no writing; name the primary", url.hosts());
        return Err(unfit(reason).into());
    }
    // As a rule nothing is to be done, and nobody waits for a lock.
    match found(connection).await? {
        Some((version, least)) if version >= VERSION => {
            return fits(&url.to_string(), least).map_err(Failure::Ours);
        }
        _ => {}
    }
    make_version_table(connection).await?;
    connection.run("BEGIN; LOCK TABLE schema_version IN ACCESS EXCLUSIVE MODE").await?;
    let done = match upgrade(connection, url).await {
        Ok(()) => connection.run("COMMIT").await.map_err(Failure::from),
        Err(failure) => Err(failure),
    };
    if done.is_err() {
        let _ = connection.run("ROLLBACK").await;
    }
    done
}

/// May nodes of this version use tables that need `least`?
pub(super) fn fits(database: &str, least: i64) -> Result<(), StoreError> {
    if least <= VERSION {
        return Ok(());
    }
    let number = |version: i64| u32::try_from(version).unwrap_or(u32::MAX);
    Err(StoreError::TooOld { database: database.to_owned(), needed: number(least), known: number(VERSION) })
}

/// The version that is there, and the least that may use it.
pub(super) async fn found(connection: &Connection) -> Result<Option<(i64, i64)>, Error> {
    let is_there = connection.first("SELECT to_regclass('onhand.schema_version') IS NOT NULL").await?;
    if !is_there.map_or(Ok(false), |row| row.try_get::<_, bool>(0))? {
        return Ok(None);
    }
    let row = connection.first("SELECT version, min_compatible FROM schema_version").await?;
    row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).transpose()
}

/// Two nodes that make a table of one name at the same time are in each other's way, even with IF NOT EXISTS.
async fn make_version_table(connection: &Connection) -> Result<(), Failure> {
    let make = "CREATE SCHEMA IF NOT EXISTS onhand; \
                CREATE TABLE IF NOT EXISTS schema_version(version BIGINT NOT NULL, min_compatible BIGINT NOT NULL)";
    let mut left = 20;
    loop {
        match connection.run(make).await {
            Ok(()) => return Ok(()),
            // unique_violation, duplicate_table, duplicate_schema, and "tuple concurrently updated"
            Err(error)
                if left > 0
                    && error
                        .code()
                        .is_some_and(|code| matches!(code.code(), "23505" | "42P07" | "42P06" | "XX000")) =>
            {
                left -= 1;
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

async fn upgrade(connection: &Connection, url: &PostgresUrl) -> Result<(), Failure> {
    // Another node may have done it while this one waited for the lock.
    let (version, least) = found(connection).await?.unwrap_or((0, 0));
    fits(&url.to_string(), least)?;
    let from = usize::try_from(version).unwrap_or(usize::MAX);
    for (number, (step, least)) in STEPS.iter().enumerate().skip(from) {
        connection.run(step).await?;
        let version = i64::try_from(number + 1).unwrap_or(i64::MAX);
        let set = format!(
            "DELETE FROM schema_version; INSERT INTO schema_version(version, min_compatible) VALUES({version}, {least})"
        );
        connection.run(&set).await?;
    }
    Ok(())
}
