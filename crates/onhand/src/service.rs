//! What a service manager is told: <https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html>. Nothing where
//! none listens (`NOTIFY_SOCKET`).

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use onhand_engine::Handle;
use onhand_ledger::TenantId;
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};

use crate::tls::Certificate;

/// It serves.
pub(crate) fn ready() {
    tell(NotifyState::Ready);
}

/// It was asked to end, and is about it.
pub(crate) fn stopping() {
    tell(NotifyState::Stopping);
}

fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}

/// Says again and again that it is alive, where a service manager waits for that (`WatchdogSec=`): as long as the ledger
/// answers a read. What it answers is not asked: a database that fails is told by `/readyz`, and a restart would not mend it.
pub(crate) async fn watch(handle: Handle) {
    let Some(longest) = sd_notify::watchdog_enabled() else { return };
    // As sd_watchdog_enabled(3) advises: twice in the time that may pass.
    let pause = (longest / 2).max(Duration::from_millis(1));
    loop {
        let ledger = handle.ledger().clone();
        let read = move || drop(ledger.read(TenantId::DEFAULT, |view| Ok(view.head()?.seq)));
        if tokio::task::spawn_blocking(read).await.is_err() {
            return;
        }
        tell(NotifyState::Watchdog);
        tokio::time::sleep(pause).await;
    }
}

/// Hears SIGHUP from the call on, and reads the certificate again at each. Where there is none to be read and no service
/// manager, it keeps its usual effect: the terminal was closed.
pub(crate) fn read_again_when_asked(
    certificate: Option<Arc<Certificate>>,
) -> anyhow::Result<impl Future<Output = ()> + Send> {
    let is_managed = std::env::var_os("NOTIFY_SOCKET").is_some();
    let hears = certificate.is_some() || is_managed;
    let asked = hears.then(|| signal(SignalKind::hangup())).transpose().context("SIGHUP cannot be heard")?;
    Ok(async move {
        let Some(mut asked) = asked else { return };
        while asked.recv().await.is_some() {
            match &certificate {
                Some(certificate) => certificate.read_again(),
                None => tracing::info!(
                    "asked to read again: there is no certificate, and settings are read at start"
                ),
            }
        }
    })
}
