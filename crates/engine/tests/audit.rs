//! What `verify` finds: a changed byte anywhere in the log, a cell, the head, a cut tail.

#[path = "support/shop.rs"]
#[expect(dead_code, reason = "the examples use the rest")]
mod shop;

use onhand_engine::{Options, verify};
use onhand_ledger::TenantId;
use onhand_store::SqliteStore;
use shop::Shop;

fn found(change: &str) -> Result<Option<String>, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.db");
    {
        let shop = Shop::over(Box::new(SqliteStore::open(&path).unwrap()), Options::default());
        shop.at("10:00").receive("MUG", 10);
        shop.hold("MUG", 2, "11:00");
        shop.order_fact("P", 1, "MUG", 3, false);
        shop.order(Some("a key"), "MUG", 1).unwrap();
        shop.at("10:20").count("MUG", 8, "10:15");
        shop.ledger.flush().unwrap();
    }
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute_batch(change).unwrap();
    drop(connection);
    let store = SqliteStore::open(&path).map_err(|error| error.to_string())?;
    let clock = std::sync::Arc::new(onhand_engine::ManualClock::at(shop::time("10:30")));
    let ledger = onhand_engine::Ledger::open(Box::new(store), clock, Options::default())
        .map_err(|error| error.to_string())?;
    verify(&ledger, TenantId::DEFAULT, &mut |_| {})
        .map(|verified| verified.violation.map(|violation| violation.to_string()))
        .map_err(|error| error.to_string())
}

#[test]
fn a_changed_or_missing_byte_is_found() {
    assert_eq!(found("SELECT 1"), Ok(None));
    for change in [
        "UPDATE log SET body = CAST(substr(body, 1, 9) || x'7f' || substr(body, 11) AS BLOB) WHERE first_seq = 7",
        "UPDATE log SET recorded_at = recorded_at + 1 WHERE first_seq = 7",
        "UPDATE log SET entries = entries + 1 WHERE first_seq = (SELECT max(first_seq) FROM log)",
        "DELETE FROM log WHERE first_seq = 3",
        "DELETE FROM log WHERE first_seq = (SELECT max(first_seq) FROM log)",
        "UPDATE head SET seq = seq - 1",
        "DELETE FROM head",
        "UPDATE head SET hash = zeroblob(32)",
        "UPDATE cell SET quantity = quantity + 1 WHERE state = 1",
        "DELETE FROM cell WHERE state = 2",
        "UPDATE cell SET seq = seq - 1 WHERE state = 1",
        "UPDATE cell SET latest = latest + 1 WHERE state = 1",
        "UPDATE cell SET recent = x''",
        "UPDATE head SET recorded_at = recorded_at - 1",
        "UPDATE object SET body = replace(body, '\"wanted\":3000000', '\"wanted\":2000000') WHERE kind = 12",
        "UPDATE object SET seq = seq - 1 WHERE kind = 12",
        "DELETE FROM object WHERE kind = 12",
        "DELETE FROM object WHERE kind = 13",
        "DELETE FROM object WHERE kind = 15",
        "DELETE FROM object WHERE kind = 16",
        "DELETE FROM object WHERE kind = 20",
        "DELETE FROM key_run",
        "DELETE FROM key_page",
        "DELETE FROM key_filter",
        "UPDATE key_run SET keys = keys + 1",
        "UPDATE key_page SET body = CAST(substr(body, 1, 9) || x'7f' || substr(body, 11) AS BLOB)",
        "UPDATE key_page SET first_hash = first_hash - 1",
        "UPDATE key_filter SET body = zeroblob(length(body))",
        "UPDATE head SET flushed = flushed - 1",
        "UPDATE head SET keyed = keyed - 1",
        "INSERT INTO object(tenant_id, kind, key, seq, body, sum) VALUES(1, 18, x'0000000000000009', 1, '{\"quantity\":1}', 0)",
    ] {
        assert_ne!(found(change), Ok(None), "{change}");
    }
}
