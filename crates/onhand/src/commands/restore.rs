//! `onhand restore`: a backup becomes the database, and is verified.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use onhand_engine::{Clock as _, SystemClock};
use serde_json::json;

use super::backup::{is_backup, sentence, stamp, stem};
use super::{progress, tell_verified, through};
use crate::cli::Restore;
use crate::database::Database;
use crate::link::Link;
use crate::output::say;
use crate::place::Place;
use crate::runtime::folder_of;

pub(crate) async fn run(asked: &Restore, db: &Database, json: bool) -> anyhow::Result<ExitCode> {
    let Database::File(file) = db else {
        bail!("{db} is on PostgreSQL, which is restored by its own tools: docs/backup.md says how")
    };
    let from = &asked.from;
    if let Place::Local(backup) = from {
        must_be_whole(backup, file).await?;
    }
    let folder = folder_of(file);
    let cannot = || format!("cannot write to the folder {}", folder.display());
    // In the same folder: it must only be renamed in the end.
    let mut made =
        tempfile::Builder::new().prefix(".onhand-restore-").tempfile_in(folder).with_context(cannot)?;
    let bar = progress(json);
    match from {
        Place::Local(backup) => {
            let read = || format!("cannot read {from}");
            std::io::copy(&mut std::fs::File::open(backup).with_context(read)?, made.as_file_mut())
                .with_context(|| format!("cannot copy {from} to {}", folder.display()))?;
        }
        Place::Remote { .. } => {
            let told = &mut |at, of| {
                bar.set_length(of);
                bar.set_position(at);
            };
            from.download(made.as_file_mut(), told).await?;
        }
    }
    made.as_file_mut().flush().and_then(|()| made.as_file().sync_all()).with_context(cannot)?;
    bar.finish_and_clear();
    // Where it is no good what is there stays.
    let facts = onhand_store::inspect(made.path()).with_context(|| format!("{from} cannot be restored"))?;
    let ending = format!(".replaced-{}", stamp(SystemClock.now()));
    let aside = asked.force.then_some(ending.as_str());
    if aside.is_none() && file.metadata().is_ok_and(|metadata| metadata.len() > 0) {
        bail!(
            "there is a database at {db} already, and nothing was changed. Name another file, or put it aside with --force"
        );
    }
    let put_aside = onhand_store::put_in_place(made.path(), file, aside, &ending)?;
    // It has another name by now.
    let _ = made.keep();
    let put_aside: Vec<String> = put_aside.iter().map(|path| path.display().to_string()).collect();
    if !json {
        for kept in &put_aside {
            say(format!("What was there is in {kept}"))?;
        }
        say(format!("{db} is {from}: {}", sentence(&facts)))?;
    }
    through(Link::open_existing(db)?, async |link| {
        let mut found = link.verify(&progress(json)).await?;
        if let Some(found) = found.as_object_mut().filter(|_| json) {
            found.insert("database".to_owned(), json!(db.to_string()));
            found.insert("put_aside".to_owned(), json!(put_aside));
        }
        tell_verified(&found, json)
    })
    .await
}

/// Fails where a file is no backup, or not all of one.
async fn must_be_whole(backup: &Path, file: &Path) -> anyhow::Result<()> {
    let shown = backup.display();
    if backup.is_dir() {
        let names = Place::Local(backup.to_owned()).names().await?;
        let newest = names.iter().rev().find(|name| is_backup(name, &stem(file)));
        match newest {
            Some(name) => {
                bail!("{shown} is a folder; the newest backup in it is {}", backup.join(name).display())
            }
            None => bail!("{shown} is a folder, and has no backup of {}; name a file", file.display()),
        }
    }
    if !backup.exists() {
        bail!("there is no backup at {shown}");
    }
    if let (Ok(one), Ok(other)) = (backup.canonicalize(), file.canonicalize())
        && one == other
    {
        bail!("{shown} is the database itself");
    }
    let mut log = backup.as_os_str().to_owned();
    log.push("-wal");
    if Path::new(&log).metadata().is_ok_and(|metadata| metadata.len() > 0) {
        bail!(
            "{shown} is not all there is: what came last is in {} beside it. Make one file of both by \
             `onhand backup --db {shown} --to FOLDER`, and restore that",
            Path::new(&log).display()
        );
    }
    Ok(())
}
