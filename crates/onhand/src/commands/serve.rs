//! `onhand serve`: the API, the sweeper, the workers.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use onhand_channels::systems_at::SystemsAt;
use onhand_engine::worker::Pace;
use onhand_ledger::TenantId;
use onhand_store::{Note, StoreError};
use onhand_web::auth;
use tokio::net::TcpListener;

use crate::cli::Serve;
use crate::database::Database;
use crate::http::{Api, interrupted};
use crate::output::say;
use crate::runtime::{self, Runtime};
use crate::seal_keys;
use crate::service;
use crate::settings::{self, Told};
use crate::tls::Certificate;

pub(crate) async fn run(serve: &Serve, db: &Database, json: bool) -> anyhow::Result<()> {
    let (database, listen) = (serve.database.as_ref().unwrap_or(db), serve.listen);
    let certificate = certificate(serve)?;
    must_be_possible(database)?;
    for name in settings::strangers() {
        tracing::warn!(name, "this variable of the environment is no setting");
    }
    // Before the database: a port that is taken leaves no new file behind.
    let listener = match TcpListener::bind(listen).await {
        Ok(listener) => listener,
        Err(error) => {
            // That another server holds the database is the better reason to know.
            if database.is_there() {
                drop(database.open()?);
            }
            return Err(error)
                .with_context(|| format!("cannot listen on {listen}; choose another with --listen"));
        }
    };
    if certificate.is_none() && !listen.ip().is_loopback() {
        tracing::warn!(%listen, "no TLS is spoken here: keys and passwords go in clear, unless a proxy in front of it speaks TLS");
    }
    let store = database.open()?;
    let scheme = if certificate.is_some() { "https" } else { "http" };
    let base = format!("{scheme}://{}", listener.local_addr()?);
    // Commands on this machine trust the certificate in that file and no other.
    let certificate_at = serve.tls_cert.as_deref().map(std::path::absolute).transpose()?;
    let certificate_at = certificate_at.map_or_else(String::new, |path| format!("\n{}", path.display()));
    store.announce(&format!("{base}{certificate_at}"))?;
    let mut runtime = Runtime::open(store)?;
    runtime.limit(serve.rate);
    runtime.people(serve.idle_minutes, serve.person_rate);
    runtime.may_call(serve.alert_private, serve.plain_outside);
    runtime.may_send(serve.webhook_private, serve.plain_outside);
    let at = SystemsAt { listed: serve.systems_at.clone(), may_be_plain: serve.plain_outside };
    runtime.systems_at(at, serve.files_in.clone())?;
    let key_file = serve.key_file.clone().unwrap_or_else(|| database.key_file());
    let key = operators_key(&runtime, key_file).await?;
    runtime.seal_what_is_in_clear().await;
    let api = Api::start(listener, runtime.router(), certificate.clone())?;
    if serve.no_sync {
        runtime.sweep();
    } else {
        runtime.work(Pace {
            reconcile_ms: serve.reconcile_seconds * 1_000,
            discover_ms: serve.discover_seconds * 1_000,
            stock_ms: serve.stock_seconds * 1_000,
            ..Pace::default()
        });
        runtime.alert(Duration::from_secs(serve.alert_seconds));
        runtime.send_webhooks(serve.webhook_retries.0.clone());
    }
    // Before anybody hears that it is up, and may tell it to end.
    let stop = interrupted();
    let watched = tokio::spawn(service::watch(runtime.handle.clone()));
    let hearing = tokio::spawn(service::read_again_when_asked(certificate)?);
    let key_path = key.path.display();
    if json {
        say(serde_json::json!({
            "address": base, "key_file": key_path.to_string(), "key_replaced": key.replaced
        }))?;
    } else {
        say(format!("Onhand serves {database} at {base}"))?;
        say(format!("Pages: {base}/, documentation of the API: {base}/docs"))?;
        if key.replaced {
            say(format!("The key in {key_path} was none of this database: a new one is in it now."))?;
        }
        say(format!("The operator's API key is in {key_path}"))?;
    }
    service::ready();
    stop.await;
    service::stopping();
    // Asked once more, it ends at once. What was acknowledged is in the log.
    let again = interrupted();
    tokio::spawn(async {
        again.await;
        std::process::exit(130);
    });
    runtime.end_pages();
    let closed = api.close().await;
    watched.abort();
    hearing.abort();
    // Its handle to the queue is gone with it: the committer ends once all are.
    let _ = watched.await;
    runtime.stop().await?;
    closed
}

/// `serve --check`: what would be served, and how.
pub(crate) fn check(serve: &Serve, db: &Database, told: &[Told], json: bool) -> anyhow::Result<()> {
    certificate(serve)?;
    must_be_possible(serve.database.as_ref().unwrap_or(db))?;
    let strangers = settings::strangers();
    if json {
        let settings = told.iter().map(|told| {
            (told.name.clone(), serde_json::json!({ "value": told.value, "source": told.source }))
        });
        let settings: serde_json::Map<_, _> = settings.collect();
        return Ok(say(serde_json::json!({ "settings": settings, "unknown_variables": strangers }))?);
    }
    let width = told.iter().map(|told| told.name.len()).max().unwrap_or(0);
    for Told { name, value, source } in told {
        let value = value.as_deref().unwrap_or("(not set)");
        say(format!("{name:width$}  {value}  ({source})"))?;
    }
    strangers.iter().try_for_each(|name| say(format!("{name} is in the environment, and is no setting")))?;
    Ok(())
}

/// The database's address, and the keys that seal what is in it.
fn must_be_possible(database: &Database) -> anyhow::Result<()> {
    database.must_be_possible()?;
    Ok(seal_keys::check(matches!(database, Database::Server(_)))?)
}

/// The certificate, where TLS is to be spoken.
fn certificate(serve: &Serve) -> anyhow::Result<Option<Arc<Certificate>>> {
    let lacks = |lacking: &str, there: &str| {
        bail!(
            "TLS needs a certificate and its key: `{there}` is set, `{lacking}` is not; set both or neither"
        )
    };
    match (&serve.tls_cert, &serve.tls_key) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => Certificate::read(certificate, key).map(Some),
        (Some(_), None) => lacks("tls_key", "tls_cert"),
        (None, Some(_)) => lacks("tls_cert", "tls_key"),
    }
}

/// Where the operator's key is.
struct KeyFile {
    path: PathBuf,
    replaced: bool,
}

/// The operator's key, in a file that only its owner reads. A key of a database file that was there before, or of one that a backup
/// was restored to, would be of no use: a new one takes its place. Nothing else that is in the file is written over, and of a
/// database that nodes share no other key either.
async fn operators_key(runtime: &Runtime, path: PathBuf) -> anyhow::Result<KeyFile> {
    let shown = path.display();
    let is_shared = runtime.handle.ledger().is_shared();
    // Another node may write it at this moment, and make its key known a moment later.
    for _ in 0..50 {
        let found = match std::fs::read(&path) {
            Ok(bytes) => Some(String::from_utf8_lossy(&bytes).trim().to_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(|| format!("cannot read {shown}")),
        };
        match &found {
            Some(token) if is_known(runtime, token)? => return Ok(KeyFile { path, replaced: false }),
            Some(token) if !token.is_empty() && !token.starts_with("ohk_") => {
                bail!(
                    "{shown} has something else than an API key in it, and is left as it is: name another file with --key-file"
                )
            }
            Some(token) if is_shared && !token.is_empty() => {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
            _ => {}
        }
        let (token, note) = auth::fresh_key(
            &runtime.handle,
            TenantId::DEFAULT,
            "operator",
            auth::Grant { role: onhand_web::Role::Admin, rights: &auth::Right::ALL, rate: None },
        )?;
        let is_empty = found.as_ref().is_some_and(String::is_empty);
        // Known before it is written down: a file with a key that was never one would be in the way of every later start.
        let gone = Note { body: None, ..note.clone() };
        runtime.handle.submit_with(TenantId::DEFAULT, None, vec![note]).await?;
        let written = write_key(&path, &token, !is_shared || is_empty);
        if let Err(error) = written {
            runtime.handle.submit_with(TenantId::DEFAULT, None, vec![gone]).await?;
            if error.kind() == io::ErrorKind::AlreadyExists {
                continue;
            }
            return Err(error).with_context(|| format!("cannot write {shown}"));
        }
        return Ok(KeyFile { path, replaced: found.is_some() && !is_empty });
    }
    bail!(
        "the key in {shown} is none of this database: it may be another's. Name another file with --key-file, or make one with \
         `onhand key create` and put it there"
    )
}

fn is_known(runtime: &Runtime, token: &str) -> Result<bool, StoreError> {
    let tenant = token.strip_prefix("ohk_").and_then(|rest| rest.split_once('_')).map(|(tenant, _)| tenant);
    let Some(tenant) = tenant.and_then(|tenant| tenant.parse().ok()) else { return Ok(false) };
    let hash = blake3::hash(token.as_bytes()).to_hex();
    let note = runtime.handle.ledger().read(TenantId(tenant), |view| view.note(auth::SPACE, &hash))?;
    Ok(note.is_some())
}

/// All of it or nothing, and never readable by others: temporary files are made with mode 0600.
fn write_key(path: &Path, key: &str, may_replace: bool) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(runtime::folder_of(path))?;
    file.write_all(key.as_bytes())?;
    file.as_file().sync_all()?;
    let placed = if may_replace { file.persist(path) } else { file.persist_noclobber(path) };
    placed.map(|_| ()).map_err(|error| error.error)
}
