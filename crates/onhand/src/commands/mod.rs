//! The commands, one file each.

mod backup;
mod bench;
mod demo;
mod documents;
mod export;
mod import;
mod item;
mod location;
mod migrate;
mod replay;
mod restore;
mod seal;
mod serve;

use std::io;
use std::process::ExitCode;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::cli::{Cli, Command, Key, Seal, System};
use crate::link::{Link, segment};
use crate::output::say;
use crate::seal_keys;
use crate::settings::Settings;

pub(crate) async fn run(settings: Settings) -> anyhow::Result<ExitCode> {
    let Settings { cli: Cli { json, db, command, seal_key_file, .. }, told } = settings;
    if let Some(file) = seal_key_file {
        seal_keys::name(file);
    }
    match command {
        Command::Serve(asked) if asked.check => serve::check(&asked, &told, json)?,
        Command::Serve(serve) => serve::run(&serve, &db, json).await?,
        Command::Demo(demo) => return demo::run(&demo, json).await,
        Command::Bench(bench) => bench::run(&bench, &db, json).await?,
        Command::Backup(asked) => backup::run(&asked, &db, json).await?,
        Command::Restore(asked) => return restore::run(&asked, &db, json).await,
        Command::Migrate(asked) => return migrate::run(asked, json).await,
        Command::Completion { .. } => {}
        // A file is read and checked before a database is opened: a bad one makes none.
        Command::Import(import) => {
            let ready = import::read(&import, json)?;
            through(Link::open(&db)?, async |link| import::run(link, &ready, json).await).await?;
        }
        Command::Replay(replay) => {
            let ready = replay::read(&replay)?;
            through(Link::open(&db)?, async |link| replay::run(link, &ready, json).await).await?;
        }
        Command::Explain { sku } => {
            through(Link::open_existing(&db)?, async |link| explain(link, &sku, json).await).await?;
        }
        Command::Item(asked) => {
            through(Link::open_existing(&db)?, async |link| item::run(link, asked, json).await).await?;
        }
        Command::Location(asked) => {
            through(Link::open_existing(&db)?, async |link| location::run(link, asked, json).await).await?;
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
        Command::System(System::List) => {
            through(Link::open_existing(&db)?, async |link| list_systems(link, json).await).await?;
        }
        Command::System(System::Add { kind, name, url, username, secret, location }) => {
            let name = name.unwrap_or_else(|| kind.clone());
            let body = json!({
                "name": name, "kind": kind, "url": url, "username": username, "secret": secret, "location": location
            });
            through(Link::open(&db)?, async |link| add_system(link, &name, &body, json).await).await?;
        }
        Command::Seal(Seal::New) => seal::new(json)?,
        Command::Seal(asked) => {
            through(Link::open_existing(&db)?, async |link| seal::run(link, &asked, json).await).await?;
        }
        Command::Key(Key::Create { name, tenant, rights, rate }) => {
            through(Link::open(&db)?, async |link| {
                create_key(link, &name, tenant, &rights, rate, json).await
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

async fn add_system(link: &Link, name: &str, body: &Value, json: bool) -> anyhow::Result<()> {
    let added = link.post("/v1/systems", body).await?;
    print(json, &added, |added| {
        let number =
            |field| added[field].as_u64().and_then(|number| usize::try_from(number).ok()).unwrap_or(0);
        let (listings, matched) = (counted(number("listings"), "listing"), number("matched"));
        say(format!("{name}: {listings} found, {matched} matched by SKU"))?;
        for unmatched in added["unmatched"].as_array().into_iter().flatten() {
            say(format!("  not matched: {}", unmatched.as_str().unwrap_or_default()))?;
        }
        if let Link::Local { .. } = link {
            say("It is kept equal while `onhand serve` runs.")?;
        }
        Ok(())
    })?;
    Ok(())
}

async fn list_systems(link: &Link, json: bool) -> anyhow::Result<()> {
    let systems = link.get("/v1/systems").await?;
    print(json, &systems, |systems| {
        systems["data"].as_array().into_iter().flatten().try_for_each(|system| {
            let text = |field: &str| system[field].as_str().unwrap_or("");
            let (in_step, listings) = (&system["in_step"], &system["listings"]);
            let (name, kind, trouble) = (text("name"), text("kind"), text("trouble"));
            say(format!("{name}  {kind}  {in_step} of {listings} in step  {trouble}").trim_end())
        })
    })?;
    Ok(())
}

async fn explain(link: &Link, sku: &str, json: bool) -> anyhow::Result<()> {
    let explained = link.get(&format!("/v1/items/{}/explain", segment(sku)?)).await?;
    print(json, &explained, |explained| {
        let stock = &explained["stock"];
        say(format!("{}  {}", stock["sku"].as_str().unwrap_or(sku), stock["name"].as_str().unwrap_or("")))?;
        for line in stock_table(stock) {
            say(line)?;
        }
        let shown = explained["shown"].as_array().map(Vec::as_slice).unwrap_or_default();
        if shown.is_empty() {
            say("No system shows it.")?;
        }
        shown.iter().try_for_each(|shown| {
            let sign = if shown["in_step"] == true { "●" } else { "◐" };
            say(format!("{sign} {}", shown["explanation"].as_str().unwrap_or("")))
        })
    })?;
    Ok(())
}

/// Stock by location and state. What is rarely there has a column only where it is: so on hand is always the sum of
/// what is shown before it, less what of it is told to be buildable only.
fn stock_table(stock: &Value) -> Vec<String> {
    const STATES: [(&str, bool); 9] = [
        ("available", true),
        ("unsellable", false),
        ("reserved", true),
        ("committed", true),
        ("damaged", false),
        ("quality_control", false),
        ("safety_stock", false),
        ("on_hand", true),
        ("buildable", false),
    ];
    let locations = stock["locations"].as_array().into_iter().flatten();
    let rows: Vec<&Value> = locations.chain(std::iter::once(&stock["total"])).collect();
    // Not by the total alone: a state may be more here and less there.
    let is_there = |state: &str| rows.iter().any(|row| row[state] != 0);
    let states = STATES.into_iter().filter(|(state, always)| *always || is_there(state));
    let columns = states.map(|(state, _)| {
        let numbers = rows.iter().map(|row| row[state].to_string());
        std::iter::once(state.replace('_', " ")).chain(numbers).collect()
    });
    let names = rows.iter().map(|row| row["location"].as_str().unwrap_or("").to_owned());
    let first: Vec<String> = std::iter::once(String::new()).chain(names).collect();
    let columns: Vec<Vec<String>> = std::iter::once(first).chain(columns).collect();
    let width = |column: &Vec<String>| column.iter().map(|text| text.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = columns.iter().map(width).collect();
    let line = |row: usize| {
        let cells = columns.iter().zip(&widths).enumerate().map(|(index, (column, width))| match index {
            0 => format!("{:<width$}", column[row]),
            _ => format!("  {:>width$}", column[row]),
        });
        cells.collect()
    };
    (0..=rows.len()).map(line).collect()
}

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
            None => say("Every balance, the hash chain, the tables and laws 1, 2 and 5 hold."),
            Some(violation) => say(format!("VIOLATED: {violation}")),
        }
    })?;
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn create_key(
    link: &Link,
    name: &str,
    tenant: u64,
    rights: &[onhand_web::auth::Right],
    rate: Option<u32>,
    json: bool,
) -> anyhow::Result<()> {
    let key = if tenant == 1 {
        let made = link.post("/v1/keys", &json!({ "name": name, "rights": rights, "rate": rate })).await?;
        made["key"].as_str().context("the server answered without a key")?.to_owned()
    } else {
        // A key of another tenant is the operator's alone to make: with the file in hand, not over the network.
        let Link::Local { runtime, .. } = link else {
            anyhow::bail!("a key of another tenant is made while no server runs: stop it first");
        };
        let tenant = onhand_ledger::TenantId(tenant);
        onhand_web::auth::create_key_with(&runtime.handle, tenant, name, rights, rate).await?
    };
    print(json, &json!({ "key": key }), |_| say(format!("{key}\nKeep it: it is shown this once.")))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_hand_is_the_sum_of_the_columns_that_are_shown() {
        let row = |location: &str, available: i64, damaged: i64| {
            json!({ "location": location, "available": available, "reserved": 0, "committed": 2, "damaged": damaged,
                "unsellable": 0, "buildable": 0, "quality_control": 0, "safety_stock": 0, "on_hand": available + 2 + damaged })
        };
        let table = |damaged: i64| {
            let locations = json!([row("LONDON", 1_234_567_890_123, 0), row("YORK", -1, damaged)]);
            stock_table(&json!({ "locations": locations, "total": row("total", 5, damaged) }))
        };
        let plain = table(0);
        assert_eq!(
            plain[0].split_whitespace().collect::<Vec<_>>(),
            ["available", "reserved", "committed", "on", "hand"]
        );
        let damaged = table(3);
        assert!(damaged[0].contains("damaged") && !damaged[0].contains("safety"), "{damaged:#?}");
        assert_eq!(damaged[2], "YORK               -1         0          2        3              4");
        for table in [plain, damaged] {
            assert!(table.iter().all(|line| line.chars().count() == table[0].chars().count()), "{table:#?}");
        }
    }
}
