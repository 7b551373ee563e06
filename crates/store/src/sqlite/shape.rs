//! Are the tables as they were made? Whoever opens the file with SQL may add views and indexes of their own; a trigger, or another table
//! in the place of one of ours, would change what we write.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::SCHEMA;

/// What is wrong with the tables, if anything is.
pub(super) fn check(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let ours = Connection::open_in_memory()?;
    ours.execute_batch(SCHEMA)?;
    let (expected, found) = (texts(&ours, "table")?, texts(connection, "table")?);
    for (table, text) in &expected {
        match found.get(table) {
            None => return Ok(Some(format!("the table `{table}` is missing"))),
            Some(other) if other != text => {
                return Ok(Some(format!(
                    "the table `{table}` is another: `{other}` where `{text}` was made"
                )));
            }
            Some(_) => {}
        }
    }
    let trigger = texts(connection, "trigger")?.into_keys().next();
    Ok(trigger.map(|name| {
        format!("the trigger `{name}` is none of Onhand's, and may change what is written: drop it, and verify again")
    }))
}

/// By name, what made it, however it is spaced.
fn texts(connection: &Connection, kind: &str) -> rusqlite::Result<BTreeMap<String, String>> {
    let mut statement = connection.prepare(
        "SELECT name, sql FROM sqlite_schema WHERE type = ?1 AND sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
    )?;
    let rows = statement.query_map([kind], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    rows.map(|row| row.map(|(name, sql)| (name, sql.split_whitespace().collect::<Vec<_>>().join(" "))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(more: &str) -> Option<String> {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(SCHEMA).unwrap();
        connection.execute_batch(more).unwrap();
        check(&connection).unwrap()
    }

    #[test]
    fn tables_are_as_they_were_made() {
        assert_eq!(made(""), None);
        assert_eq!(made("CREATE VIEW mine AS SELECT * FROM log; CREATE INDEX my_note ON note(body);"), None);
    }

    #[test]
    fn what_would_change_what_is_written_is_found() {
        for (change, said) in [
            ("DROP TABLE trail", "the table `trail` is missing"),
            ("ALTER TABLE cell ADD COLUMN mine", "the table `cell` is another"),
            (
                "DROP TABLE note; CREATE TABLE note(space, key, body, sum, tenant_id)",
                "the table `note` is another",
            ),
            ("CREATE TRIGGER t AFTER INSERT ON log BEGIN DELETE FROM note; END", "the trigger `t`"),
        ] {
            assert!(made(change).is_some_and(|found| found.contains(said)), "{change}");
        }
    }
}
