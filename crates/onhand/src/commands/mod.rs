//! The commands, one file each.

mod alert;
mod backup;
mod bench;
mod channel;
mod demo;
mod doctor;
mod documents;
mod emulate;
mod erase;
mod explain;
mod export;
mod import;
mod inbox;
mod item;
mod listen;
mod location;
mod migrate;
mod modes;
mod move_in;
mod orders;
mod replay;
mod restore;
mod rule;
mod seal;
mod serve;
mod simulate;
mod snapshots;
mod sync;
mod system;
mod users;
mod webhook;

use std::io;
use std::process::ExitCode;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use onhand_web::auth::Grant;
use serde_json::{Value, json};

use crate::cli::{Cli, Command, Key, Seal, System};
use crate::link::Link;
use crate::output::say;
use crate::seal_keys;
use crate::settings::Settings;

pub(crate) async fn run(settings: Settings) -> anyhow::Result<ExitCode> {
    let Settings { cli: Cli { json, db, command, seal_key_file, .. }, told } = settings;
    if let Some(file) = seal_key_file {
        seal_keys::name(file);
    }
    match command {
        Command::Serve(asked) if asked.check => serve::check(&asked, &db, &told, json)?,
        Command::Serve(serve) => serve::run(&serve, &db, json).await?,
        Command::Demo(demo) => return demo::run(&demo, json).await,
        Command::Bench(bench) => bench::run(&bench, &db, json).await?,
        Command::Backup(asked) => backup::run(&asked, &db, json).await?,
        Command::Restore(asked) => return restore::run(&asked, &db, json).await,
        Command::Migrate(asked) => return migrate::run(asked, json).await,
        Command::Simulate(asked) => return simulate::run(&asked, json),
        Command::Emulate(asked) => emulate::run(&asked, json).await?,
        Command::Channel(asked) => return channel::run(&asked, json).await,
        Command::Completion { .. } => {}
        // A file is read and checked before a database is opened: a bad one makes none.
        Command::Import(import) => {
            let ready = import::read(&import, json)?;
            through(Link::open(&db)?, async |link| import::run(link, &ready, json).await).await?;
        }
        Command::MoveIn(asked) => {
            let ready = match move_in::read(&asked, json)? {
                Ok(ready) => ready,
                Err(done) => return Ok(done),
            };
            return through(Link::open(&db)?, async |link| move_in::run(link, &ready, json).await).await;
        }
        Command::Replay(replay) => {
            let ready = replay::read(&replay)?;
            through(Link::open(&db)?, async |link| replay::run(link, &ready, json).await).await?;
        }
        Command::Explain { sku } => {
            through(Link::open_existing(&db)?, async |link| explain::run(link, &sku, json).await).await?;
        }
        Command::Item(asked) => {
            through(Link::open_existing(&db)?, async |link| item::run(link, asked, json).await).await?;
        }
        Command::Inbox(asked) => {
            through(Link::open_existing(&db)?, async |link| inbox::run(link, asked, json).await).await?;
        }
        Command::Location(asked) => {
            through(Link::open_existing(&db)?, async |link| location::run(link, asked, json).await).await?;
        }
        Command::Rule(asked) => {
            through(Link::open_existing(&db)?, async |link| rule::run(link, asked, json).await).await?;
        }
        Command::Erase(asked) => {
            through(Link::open_existing(&db)?, async |link| erase::run(link, &asked, json).await).await?;
        }
        Command::Alert(asked) => {
            through(Link::open_existing(&db)?, async |link| alert::run(link, asked, json).await).await?;
        }
        Command::Webhook(asked) => {
            through(Link::open_existing(&db)?, async |link| webhook::run(link, asked, json).await).await?;
        }
        Command::Trigger(asked) => {
            through(Link::open_existing(&db)?, async |link| webhook::trigger(link, &asked, json).await)
                .await?;
        }
        Command::Listen(asked) if asked.secret.is_some() => listen::run(None, &asked, json).await?,
        Command::Listen(asked) => {
            through(Link::open_existing(&db)?, async |link| listen::run(Some(link), &asked, json).await)
                .await?;
        }
        Command::Snapshot(asked) => {
            through(Link::open_existing(&db)?, async |link| snapshots::run(link, asked, json).await).await?;
        }
        Command::Order(asked) => {
            through(Link::open_existing(&db)?, async |link| orders::run(link, asked, json).await).await?;
        }
        Command::Transfer(asked) => {
            through(Link::open_existing(&db)?, async |link| documents::transfer(link, asked, json).await)
                .await?;
        }
        Command::Purchase(asked) => {
            through(Link::open_existing(&db)?, async |link| documents::purchase(link, asked, json).await)
                .await?;
        }
        Command::CountSession(asked) => {
            through(Link::open_existing(&db)?, async |link| {
                documents::count_session(link, asked, json).await
            })
            .await?;
        }
        Command::History(asked) => {
            through(Link::open_existing(&db)?, async |link| item::history(link, &asked, json).await).await?;
        }
        Command::Report(asked) => {
            through(Link::open_existing(&db)?, async |link| item::report(link, &asked, json).await).await?;
        }
        Command::Verify => {
            return through(Link::open_existing(&db)?, async |link| verify(link, json).await).await;
        }
        Command::Export(asked) => {
            through(Link::open_existing(&db)?, async |link| export::run(link, &asked, json).await).await?;
        }
        Command::System(asked @ (System::Add { .. } | System::Connect { .. })) => {
            through(Link::open(&db)?, async |link| system::run(link, asked, json).await).await?;
        }
        Command::Push(asked) => {
            through(Link::open_existing(&db)?, async |link| modes::push(link, asked, json).await).await?;
        }
        Command::System(asked) => {
            through(Link::open_existing(&db)?, async |link| system::run(link, asked, json).await).await?;
        }
        Command::Sync { system, full } => {
            return through(Link::open_existing(&db)?, async |link| {
                sync::run(link, &system, full, json).await
            })
            .await;
        }
        Command::Doctor { system } => {
            return through(Link::open_existing(&db)?, async |link| {
                doctor::run(link, system.as_deref(), json).await
            })
            .await;
        }
        Command::Seal(Seal::New) => seal::new(json)?,
        Command::Seal(asked) => {
            through(Link::open_existing(&db)?, async |link| seal::run(link, &asked, json).await).await?;
        }
        Command::User(asked) => {
            through(Link::open(&db)?, async |link| users::run(link, &asked, json).await).await?;
        }
        Command::Key(Key::Create { name, tenant, rights, rate, role }) => {
            let grant = Grant { role, rights: &rights, rate };
            through(Link::open(&db)?, async |link| create_key(link, &name, tenant, grant, json).await)
                .await?;
        }
        Command::Key(Key::List) => {
            through(Link::open_existing(&db)?, async |link| list_keys(link, json).await).await?;
        }
        Command::Key(Key::Revoke { id }) => {
            through(Link::open_existing(&db)?, async |link| {
                let told = link.delete(&format!("/v1/keys/{}", crate::link::segment(&id)?)).await?;
                print(json, &told, |told| {
                    say(format!("The key {} is revoked.", told["name"].as_str().unwrap_or_default()))
                })?;
                Ok(())
            })
            .await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Works through a link and closes it, however the work ended.
async fn through<T>(link: Link, work: impl AsyncFnOnce(&Link) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let done = work(&link).await;
    let closed = link.close().await;
    let done = done?;
    closed?;
    Ok(done)
}

/// How far long work is, for a person who watches: drawn on stderr, and only where that is a terminal.
fn progress(json: bool) -> ProgressBar {
    if json {
        return ProgressBar::hidden();
    }
    let style =
        ProgressStyle::with_template("{elapsed_precise} {wide_bar} {human_pos} of {human_len} · {eta} left");
    ProgressBar::new(0).with_style(style.expect("the template is well formed"))
}

/// One JSON object, or text for people.
fn print(json: bool, value: &Value, text: impl FnOnce(&Value) -> io::Result<()>) -> io::Result<()> {
    if json { say(value) } else { text(value) }
}

/// `1 row`, `2 rows`.
fn counted(number: usize, one: &str) -> String {
    format!("{number} {one}{}", if number == 1 { "" } else { "s" })
}

/// What is said where there is nothing to list.
const NONE_CONNECTED: &str = "No system is connected yet; `onhand system connect` begins with one.";

async fn verify(link: &Link, json: bool) -> anyhow::Result<ExitCode> {
    let found = link.verify(&progress(json)).await?;
    tell_verified(&found, json)
}

/// Says what an audit found; the exit code says whether all is well.
fn tell_verified(found: &Value, json: bool) -> anyhow::Result<ExitCode> {
    let ok = found["ok"] == true;
    print(json, found, |found| {
        let (entries, movements, cells) = (&found["entries"], &found["movements"], &found["cells"]);
        let (objects, keys) = (&found["objects"], &found["keys"]);
        let head = found["hash"].as_str().unwrap_or("");
        say(format!(
            "{entries} entries, {movements} movements, {cells} cells, {objects} objects, {keys} keys; head {head}"
        ))?;
        match found["violation"].as_str() {
            None => {
                let of = match found["tenants"].as_u64() {
                    Some(1) | None => String::new(),
                    Some(tenants) => format!("Of all {tenants} tenants: "),
                };
                say(format!("{of}Every balance, the hash chain, the tables and laws 1, 2 and 5 hold."))
            }
            Some(violation) => say(format!("VIOLATED: {violation}")),
        }
    })?;
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn list_keys(link: &Link, json: bool) -> anyhow::Result<()> {
    let told = link.get("/v1/keys").await?;
    print(json, &told, |told| {
        for key in told["data"].as_array().into_iter().flatten() {
            let rights: Vec<&str> =
                key["rights"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let text = |field: &str| key[field].as_str().unwrap_or_default().to_owned();
            let (id, at, name, role) = (text("id"), text("created_at"), text("name"), text("role"));
            say(format!("{id}  {at}  {name}  {role}  {}", rights.join(", ")))?;
        }
        Ok(())
    })?;
    Ok(())
}

async fn create_key(
    link: &Link,
    name: &str,
    tenant: u64,
    grant: Grant<'_>,
    json: bool,
) -> anyhow::Result<()> {
    let key = if tenant == 1 {
        let Grant { role, rights, rate } = grant;
        let asked = json!({ "name": name, "rights": rights, "rate": rate, "role": role });
        let made = link.post("/v1/keys", &asked).await?;
        made["key"].as_str().context("the server answered without a key")?.to_owned()
    } else {
        // A key of another tenant is the operator's alone to make: with the file in hand, not over the network.
        let Link::Local { runtime, .. } = link else {
            anyhow::bail!("a key of another tenant is made while no server runs: stop it first");
        };
        let tenant = onhand_ledger::TenantId(tenant);
        onhand_web::auth::create_key_as(&runtime.handle, tenant, name, grant).await?
    };
    print(json, &json!({ "key": key }), |_| say(format!("{key}\nKeep it: it is shown this once.")))?;
    Ok(())
}
