//! `onhand backup`: a whole copy of a database file, while it is served or not.

use std::path::{Path, PathBuf};

use anyhow::bail;
use indicatif::ProgressBar;
use onhand_engine::{Clock as _, SystemClock};
use onhand_ledger::Instant;
use onhand_store::FileFacts;
use serde_json::{Value, json};

use super::{counted, print, progress};
use crate::cli::Backup;
use crate::database::Database;
use crate::output::say;
use crate::place::Place;
use crate::runtime::folder_of;

pub(crate) async fn run(asked: &Backup, db: &Database, json: bool) -> anyhow::Result<()> {
    let Database::File(file) = db else {
        bail!(
            "{db} is on PostgreSQL, which is backed up by its own tools: pg_dump, or pg_basebackup with its write-ahead log. \
             docs/backup.md says how"
        )
    };
    db.must_be_there()?;
    asked.to.must_be_usable().await?;
    let bar = progress(json);
    let (made, facts) = match &asked.to {
        Place::Local(folder) => {
            let (copy, facts) = copy(file.clone(), folder.clone(), bar.clone()).await?;
            (Place::Local(copy), facts)
        }
        Place::Remote { .. } => {
            // Beside the database there is room for a second one more likely than where temporary files are.
            let folder = tempfile::Builder::new().prefix(".onhand-backup-").tempdir_in(folder_of(file))?;
            let (copy, facts) = copy(file.clone(), folder.path().to_owned(), bar.clone()).await?;
            let name = copy.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let made = asked.to.of(name);
            made.upload(&copy, &mut |sent| bar.set_position(sent)).await?;
            (made, facts)
        }
    };
    bar.finish_and_clear();
    let mut removed = Vec::new();
    for name in superseded(asked.to.names().await?, &stem(file), asked.keep) {
        asked.to.of(&name).remove().await?;
        removed.push(name);
    }
    let told = json!({
        "backup": made.to_string(), "bytes": facts.bytes, "tenants": heads(&facts), "removed": removed
    });
    print(json, &told, |_| {
        say(format!("{made}: {}", sentence(&facts)))?;
        match removed.len() {
            0 => Ok(()),
            many => say(format!("{} removed", counted(many, "older backup"))),
        }
    })?;
    Ok(())
}

async fn copy(file: PathBuf, folder: PathBuf, bar: ProgressBar) -> anyhow::Result<(PathBuf, FileFacts)> {
    let done = move || {
        let now = SystemClock.now();
        onhand_store::backup(&file, &folder, |facts| name(&stem(&file), now, facts), &mut |told| {
            bar.set_length(told.of);
            bar.set_position(told.copied);
        })
    };
    Ok(tokio::task::spawn_blocking(done).await??)
}

/// What a file has, for a program.
pub(super) fn heads(facts: &FileFacts) -> Value {
    let head = facts
        .heads
        .iter()
        .map(|(tenant, head)| json!({ "tenant": tenant.0, "entries": head.seq, "hash": hex(&head.hash) }));
    head.collect()
}

/// What a file has, for people.
pub(super) fn sentence(facts: &FileFacts) -> String {
    let entries: u64 = facts.heads.iter().map(|(_, head)| head.seq).sum();
    let tenants = counted(facts.heads.len(), "tenant");
    format!(
        "{} bytes, {tenants}, {entries} entries, log ends with {}",
        facts.bytes,
        &head_of_all(facts)[..12]
    )
}

pub(super) fn hex(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The head's hash; of several tenants one over all of them.
fn head_of_all(facts: &FileFacts) -> String {
    if let [(_, head)] = facts.heads.as_slice() {
        return hex(&head.hash);
    }
    let mut hasher = blake3::Hasher::new();
    for (tenant, head) in &facts.heads {
        hasher.update(&tenant.0.to_be_bytes());
        hasher.update(&head.hash);
    }
    hex(hasher.finalize().as_bytes())
}

/// What backups of a database are called by: its file's name, without the ending.
pub(super) fn stem(file: &Path) -> String {
    file.file_stem().map_or_else(|| "onhand".to_owned(), |stem| stem.to_string_lossy().into_owned())
}

/// An instant as part of a name: `20261128T120000.123Z`.
pub(super) fn stamp(at: Instant) -> String {
    let millis = at.micros().div_euclid(1_000);
    let at = jiff::Timestamp::from_millisecond(millis).unwrap_or_default();
    at.strftime("%Y%m%dT%H%M%S.%3fZ").to_string()
}

/// The names of one database's backups sort by time: `onhand-20261128T120000.123Z-27-0123456789ab.db`.
fn name(stem: &str, at: Instant, facts: &FileFacts) -> String {
    let entries: u64 = facts.heads.iter().map(|(_, head)| head.seq).sum();
    format!("{stem}-{}-{entries}-{}.db", stamp(at), &head_of_all(facts)[..12])
}

/// Is it the name of a backup of that database?
pub(super) fn is_backup(name: &str, stem: &str) -> bool {
    let parts = || {
        let rest = name.strip_prefix(stem)?.strip_prefix('-')?.strip_suffix(".db")?;
        let (at, rest) = rest.split_once('-')?;
        let (entries, hash) = rest.split_once('-')?;
        Some((at, entries, hash))
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    parts().is_some_and(|(at, entries, hash)| {
        let is_time = at.len() == 20
            && at.bytes().enumerate().all(|(index, byte)| match index {
                8 => byte == b'T',
                15 => byte == b'.',
                19 => byte == b'Z',
                _ => byte.is_ascii_digit(),
            });
        is_time && digits(entries) && hash.len() == 12 && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// The backups of a database but the newest so many, of the names there are.
fn superseded(mut names: Vec<String>, stem: &str, keep: Option<u32>) -> Vec<String> {
    let Some(keep) = keep else { return Vec::new() };
    names.retain(|name| is_backup(name, stem));
    names.sort_unstable();
    let gone = names.len().saturating_sub(usize::try_from(keep).unwrap_or(usize::MAX));
    names.truncate(gone);
    names
}

#[cfg(test)]
mod tests {
    use onhand_ledger::TenantId;
    use onhand_store::Head;

    use super::*;

    #[test]
    fn names_say_when_and_what_and_only_our_own_are_removed() {
        let head = Head { seq: 27, hash: [0xab; 32], ..Head::default() };
        let facts = FileFacts { schema: 1, bytes: 0, heads: vec![(TenantId(1), head)] };
        let at = |text: &str| Instant::parse(text).unwrap();
        let older = name("shop", at("2026-11-28T12:00:00.123456Z"), &facts);
        assert_eq!(older, "shop-20261128T120000.123Z-27-abababababab.db");
        let newer = name("shop", at("2026-11-28T12:00:01Z"), &facts);
        assert!(older < newer && is_backup(&newer, "shop"));
        let strange = [
            "shop.db",
            "shop-2-20261128T120000.123Z-27-abababababab.db",
            "shop-20261128T120000.123Z-27-x.db",
        ];
        let names: Vec<String> =
            strange.iter().map(|name| (*name).to_owned()).chain([newer.clone(), older.clone()]).collect();
        assert_eq!(superseded(names.clone(), "shop", Some(1)), [older]);
        assert_eq!(superseded(names.clone(), "shop", Some(2)), [""; 0]);
        assert_eq!(superseded(names, "shop", None), [""; 0]);
    }
}
