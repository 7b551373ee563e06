//! `onhand serve`: the API, the sweeper, the workers.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;
use onhand_engine::worker::Pace;
use onhand_ledger::TenantId;

use crate::link::key_file;
use crate::runtime::{self, Runtime};

pub(crate) async fn run(database: &Path, listen: SocketAddr, json: bool) -> anyhow::Result<()> {
    let store = runtime::open(database)?;
    let listener = tokio::net::TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen}; choose another with --listen"))?;
    let base = format!("http://{}", listener.local_addr()?);
    store.announce(&base)?;
    let mut runtime = Runtime::open(store)?;
    let key_path = first_key(&runtime, database).await?;
    runtime.work(Pace::default());
    if json {
        println!("{}", serde_json::json!({ "address": base, "key_file": key_path.display().to_string() }));
    } else {
        println!("Onhand serves {} at {base}", database.display());
        println!("Documentation: {base}/docs");
        println!("The operator's API key is in {}", key_path.display());
    }
    let served = axum::serve(listener, runtime.router()).with_graceful_shutdown(stopped()).await;
    runtime.stop().await?;
    Ok(served?)
}

/// The operator's key, in a file beside the database that only its owner reads; made at the first start.
async fn first_key(runtime: &Runtime, database: &Path) -> anyhow::Result<std::path::PathBuf> {
    let path = key_file(database);
    if path.exists() {
        return Ok(path);
    }
    let key = onhand_web::auth::create_key(&runtime.handle, TenantId::DEFAULT, "operator").await?;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&path).with_context(|| format!("cannot write {}", path.display()))?;
    std::io::Write::write_all(&mut file, key.as_bytes())?;
    Ok(path)
}

/// Ctrl-C, or the service manager's TERM.
pub(crate) async fn stopped() {
    let interrupted = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminated) => tokio::select! {
                _ = interrupted => {}
                _ = terminated.recv() => {}
            },
            Err(_) => drop(interrupted.await),
        }
    }
    #[cfg(not(unix))]
    drop(interrupted.await);
}
