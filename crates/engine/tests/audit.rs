//! What `verify` finds: a changed byte anywhere in the log, a cell, the head, a cut tail.

#[path = "support/shop.rs"]
#[expect(dead_code, reason = "the examples use the rest")]
mod shop;

use onhand_engine::{Options, verify};
use onhand_ledger::command::{
    DispatchTransfer, PlacePurchase, PlanTransfer, PurchaseOrderLine, PutLocation, SetOwnership,
};
use onhand_ledger::{Body, Quantity, TenantId};
use onhand_store::SqliteStore;
use shop::{Shop, units};

/// One MUG goes to Paris.
fn plan() -> Body {
    Body::PlanTransfer(PlanTransfer {
        reference: Some("T-1".to_owned()),
        from: "LONDON".to_owned(),
        to: "PARIS".to_owned(),
        lines: units("MUG", 1),
        expected_on: None,
    })
}

/// One MUG is expected from a supplier.
fn buy() -> Body {
    Body::PlacePurchase(PlacePurchase {
        supplier: "Potters".to_owned(),
        reference: None,
        location: "LONDON".to_owned(),
        expected_on: None,
        lines: vec![PurchaseOrderLine {
            pack: None,
            sku: "MUG".to_owned(),
            quantity: Quantity::ONE,
            expected_on: None,
            unit_cost: None,
        }],
    })
}

fn found(change: &str) -> Result<Option<String>, String> {
    found_after(|connection| connection.execute_batch(change).unwrap())
}

fn found_after(change: impl FnOnce(&rusqlite::Connection)) -> Result<Option<String>, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.db");
    {
        let shop = Shop::over(Box::new(SqliteStore::open(&path).unwrap()), Options::default());
        let groups = Some(vec!["EU".to_owned(), "STORES".to_owned()]);
        let paris = PutLocation { code: "PARIS".to_owned(), groups, ..PutLocation::default() };
        shop.tell(Body::PutLocation(paris));
        let (group, master) = (Some("EU".to_owned()), "onhand".to_owned());
        shop.tell(Body::SetOwnership(SetOwnership { group, master, ..SetOwnership::default() }));
        shop.at("10:00").receive("MUG", 10);
        shop.hold("MUG", 2, "11:00");
        shop.order_fact("P", 1, "MUG", 3, false);
        shop.order(Some("a key"), "MUG", 1).unwrap();
        shop.tell(plan());
        let transfer = onhand_ledger::TransferId(shop.head());
        shop.tell(Body::DispatchTransfer(DispatchTransfer { transfer, lines: None, occurred_at: None }));
        shop.tell(buy());
        shop.at("10:20").count("MUG", 8, "10:15");
        shop.ledger.flush().unwrap();
    }
    let connection = rusqlite::Connection::open(&path).unwrap();
    change(&connection);
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
        "UPDATE object SET body = replace(body, '\"wanted\":3', '\"wanted\":2') WHERE kind = 12",
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
        "DELETE FROM object WHERE kind = 60",
        "DELETE FROM object WHERE kind = 62",
        "UPDATE object SET body = replace(body, '\"quantity\":1', '\"quantity\":2') WHERE kind = 64",
        "DELETE FROM object WHERE kind = 64",
    ] {
        assert_ne!(found(change), Ok(None), "{change}");
    }
}

fn found_in_postgresql(change: &str) -> Result<Option<String>, String> {
    let address = onhand_testpg::database();
    {
        let options = Options { flush_at: 0, ..Options::default() };
        let shop = Shop::over(Box::new(shop::in_postgresql(&address)), options);
        shop.at("10:00").receive("MUG", 10);
        shop.hold("MUG", 2, "11:00");
        shop.order(Some("a key"), "MUG", 1).unwrap();
        shop.at("10:20").count("MUG", 8, "10:15");
    }
    onhand_testpg::run_sql(&address, &format!("SET search_path = onhand; {change}"));
    let store = Box::new(shop::in_postgresql(&address));
    let clock = std::sync::Arc::new(onhand_engine::ManualClock::at(shop::time("10:30")));
    let options = Options { flush_at: 0, ..Options::default() };
    let ledger = onhand_engine::Ledger::open(store, clock, options).map_err(|error| error.to_string())?;
    verify(&ledger, TenantId::DEFAULT, &mut |_| {})
        .map(|verified| verified.violation.map(|violation| violation.to_string()))
        .map_err(|error| error.to_string())
}

#[test]
fn a_changed_or_missing_byte_is_found_in_postgresql() {
    assert_eq!(found_in_postgresql("SELECT 1"), Ok(None));
    for change in [
        "UPDATE log SET body = set_byte(body, 9, get_byte(body, 9) # 1) WHERE first_seq = 7",
        "DELETE FROM log WHERE first_seq = (SELECT max(first_seq) FROM log)",
        "UPDATE head SET hash = sha256('')",
        "UPDATE cell SET quantity = quantity + 1 WHERE state = 1",
        "DELETE FROM cell WHERE state = 2",
        "UPDATE cell SET recent = ''",
        "UPDATE object SET seq = seq - 1",
        "DELETE FROM object WHERE kind = 12",
        "DELETE FROM request_key",
        "UPDATE request_key SET hash = hash + 1",
        "INSERT INTO request_key VALUES(1, 5, 5)",
        "UPDATE head SET flushed = flushed - 1",
    ] {
        assert_ne!(found_in_postgresql(change), Ok(None), "{change}");
    }
}

/// As `docs/storage.md` has it: CRC-32 (ISO 3309).
fn crc(bytes: &[u8]) -> i64 {
    let shift = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
    let crc =
        bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| shift(crc)));
    i64::from(!crc)
}

/// Writes an object's row anew, with the checksum that belongs to it.
fn rewrite(connection: &rusqlite::Connection, kind: i64, from: &str, to: &str) {
    let rows = "SELECT tenant_id, seq, key, body FROM object WHERE kind = ?1 AND instr(body, ?2) > 0";
    let (tenant, seq, key, body): (i64, i64, Vec<u8>, String) = connection
        .query_row(rows, rusqlite::params![kind, from], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .unwrap();
    let body = body.replace(from, to);
    let mut bytes = b"object".to_vec();
    for number in [tenant, kind, seq] {
        bytes.extend(number.to_le_bytes());
    }
    for text in [&key, body.as_bytes()] {
        bytes.extend(i64::try_from(text.len()).unwrap().to_le_bytes());
        bytes.extend(text);
    }
    let change = "UPDATE object SET body = ?1, sum = ?2 WHERE tenant_id = ?3 AND kind = ?4 AND key = ?5";
    let changed =
        connection.execute(change, rusqlite::params![body, crc(&bytes), tenant, kind, key]).unwrap();
    assert_eq!(changed, 1);
}

#[test]
fn what_is_not_as_the_log_has_it_is_found_though_its_row_is_sound() {
    assert_eq!(found_after(|connection| rewrite(connection, 12, "\"wanted\":3", "\"wanted\":3")), Ok(None));
    for (kind, from, to) in [
        (12, "\"wanted\":3", "\"wanted\":2"),
        // A location's own groups, those of all locations, and the group that a rule names.
        (3, "STORES", "SHELVES"),
        (5, "STORES", "SHELVES"),
        (11, "\"EU\"", "\"US\""),
    ] {
        let found = found_after(|connection| rewrite(connection, kind, from, to));
        let said = found.unwrap().unwrap();
        assert!(said.starts_with("law 5 (append-only): the table says"), "{said}");
    }
}
