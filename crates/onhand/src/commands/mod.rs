//! The commands, one file each.

mod bench;
mod demo;
mod export;
mod import;
mod replay;
mod serve;

use std::process::ExitCode;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::cli::{Cli, Command, Key, System};
use crate::link::{Link, segment};

pub(crate) async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let json = cli.json;
    match cli.command {
        Command::Serve(serve) => serve::run(&serve.database.unwrap_or(cli.db), serve.listen, json).await?,
        Command::Demo(demo) => return demo::run(&demo, json).await,
        Command::Bench(bench) => bench::run(&bench, json).await?,
        Command::Completion { .. } => {}
        command => {
            let link = Link::open(&cli.db)?;
            let done = through(&link, command, json).await;
            link.close().await?;
            return done;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn through(link: &Link, command: Command, json: bool) -> anyhow::Result<ExitCode> {
    match command {
        Command::Import(import) => import::run(link, &import, json).await?,
        Command::Replay(replay) => replay::run(link, &replay, json).await?,
        Command::Explain { sku } => explain(link, &sku, json).await?,
        Command::Verify => return verify(link, json).await,
        Command::Export { what } => export::run(link, what, json).await?,
        Command::Key(Key::Create { name, tenant }) => create_key(link, &name, tenant, json).await?,
        Command::System(System::Add { kind, name, url, username, secret, location }) => {
            let name = name.unwrap_or_else(|| kind.clone());
            let body = json!({
                "name": name, "kind": kind, "url": url, "username": username, "secret": secret, "location": location
            });
            let added = link.post("/v1/systems", &body).await?;
            print(json, &added, |added| {
                let number = |field| added.get(field).and_then(Value::as_u64).unwrap_or(0);
                println!(
                    "{name}: {} listings found, {} matched by SKU",
                    number("listings"),
                    number("matched")
                );
                for unmatched in added["unmatched"].as_array().into_iter().flatten() {
                    println!("  not matched: {}", unmatched.as_str().unwrap_or_default());
                }
                if let Link::Local { .. } = link {
                    println!("It is kept equal while `onhand serve` runs.");
                }
            });
        }
        Command::System(System::List) => {
            let systems = link.get("/v1/systems").await?;
            print(json, &systems, |systems| {
                for system in systems["data"].as_array().into_iter().flatten() {
                    let text = |field: &str| system[field].as_str().unwrap_or("").to_owned();
                    let (in_step, listings) = (&system["in_step"], &system["listings"]);
                    println!(
                        "{}  {}  {in_step} of {listings} in step  {}",
                        text("name"),
                        text("kind"),
                        text("trouble")
                    );
                }
            });
        }
        Command::Serve(_) | Command::Demo(_) | Command::Bench(_) | Command::Completion { .. } => {}
    }
    Ok(ExitCode::SUCCESS)
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
fn print(json: bool, value: &Value, text: impl FnOnce(&Value)) {
    if json { println!("{value}") } else { text(value) }
}

async fn explain(link: &Link, sku: &str, json: bool) -> anyhow::Result<()> {
    let explained = link.get(&format!("/v1/items/{}/explain", segment(sku))).await?;
    print(json, &explained, |explained| {
        let stock = &explained["stock"];
        println!("{}  {}", stock["sku"].as_str().unwrap_or(sku), stock["name"].as_str().unwrap_or(""));
        println!("{:<20} {:>10} {:>10} {:>10} {:>10}", "", "available", "reserved", "committed", "on hand");
        let rows =
            stock["locations"].as_array().into_iter().flatten().chain(std::iter::once(&stock["total"]));
        for row in rows {
            let location = row["location"].as_str().unwrap_or("");
            let (available, reserved, committed, on_hand) =
                (&row["available"], &row["reserved"], &row["committed"], &row["on_hand"]);
            println!("{location:<20} {available:>10} {reserved:>10} {committed:>10} {on_hand:>10}");
        }
        let shown = explained["shown"].as_array().map(Vec::as_slice).unwrap_or_default();
        if shown.is_empty() {
            println!("No system shows it.");
        }
        for shown in shown {
            let sign = if shown["in_step"] == true { "●" } else { "◐" };
            println!("{sign} {}", shown["explanation"].as_str().unwrap_or(""));
        }
    });
    Ok(())
}

async fn verify(link: &Link, json: bool) -> anyhow::Result<ExitCode> {
    let found = link.verify(&progress(json)).await?;
    let ok = found["ok"] == true;
    print(json, &found, |found| {
        let (entries, movements, cells) = (&found["entries"], &found["movements"], &found["cells"]);
        println!(
            "{entries} entries, {movements} movements, {cells} cells; head {}",
            found["hash"].as_str().unwrap_or("")
        );
        match found["violation"].as_str() {
            None => println!("Every balance, the hash chain and laws 1, 2 and 5 hold."),
            Some(violation) => println!("VIOLATED: {violation}"),
        }
    });
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn create_key(link: &Link, name: &str, tenant: u64, json: bool) -> anyhow::Result<()> {
    let key = if tenant == 1 {
        let made = link.post("/v1/keys", &json!({ "name": name })).await?;
        made["key"].as_str().context("the server answered without a key")?.to_owned()
    } else {
        // A key of another tenant is the operator's alone to make: with the file in hand, not over the network.
        let Link::Local { runtime, .. } = link else {
            anyhow::bail!("a key of another tenant is made while no server runs: stop it first");
        };
        onhand_web::auth::create_key(&runtime.handle, onhand_ledger::TenantId(tenant), name).await?
    };
    print(json, &json!({ "key": key }), |_| println!("{key}\nKeep it: it is shown this once."));
    Ok(())
}
