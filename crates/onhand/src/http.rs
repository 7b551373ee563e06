//! The API on a socket, and how it ends.
//!
//! Its connections are tasks of a runtime of their own: a client that never finishes its request can be cut off by
//! ending that runtime, and holds neither the process nor the handles to the committer.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::tls::{Certificate, TlsListener};

/// How long requests under way have to end.
const GRACE: Duration = Duration::from_secs(5);

/// The API, served until it is closed or dropped.
pub(crate) struct Api {
    // None only while it is dropped.
    runtime: Option<tokio::runtime::Runtime>,
    stop: watch::Sender<bool>,
    served: JoinHandle<io::Result<()>>,
}

impl Api {
    /// Over plain HTTP, or over TLS with a certificate.
    pub fn start(
        listener: TcpListener,
        router: Router,
        certificate: Option<Arc<Certificate>>,
    ) -> anyhow::Result<Self> {
        let listener = listener.into_std().context("cannot serve")?;
        let (stop, stopping) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("http").build()?;
        let served = runtime.spawn(async move {
            let listener = TcpListener::from_std(listener)?;
            match certificate {
                None => axum::serve(listener, router).with_graceful_shutdown(until(stopping)).await,
                Some(certificate) => {
                    tokio::spawn(certificate.clone().watch());
                    let listener = TlsListener::new(listener, certificate).map_err(io::Error::other)?;
                    let router = onhand_web::over_tls(router);
                    axum::serve(listener, router).with_graceful_shutdown(until(stopping)).await
                }
            }
        });
        Ok(Self { runtime: Some(runtime), stop, served })
    }

    /// Takes no more connections, lets requests under way end for a while, then cuts them off.
    pub async fn close(mut self) -> anyhow::Result<()> {
        let _ = self.stop.send(true);
        match tokio::time::timeout(GRACE, &mut self.served).await {
            Ok(served) => Ok(served??),
            Err(_) => {
                tracing::warn!("requests that did not end within {} s were cut off", GRACE.as_secs());
                Ok(())
            }
        }
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A socket of this machine, on a port or, for 0, on any that is free; and its address.
pub(crate) async fn listening(port: u16) -> anyhow::Result<(TcpListener, String)> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await;
    let listener = listener.with_context(|| format!("cannot listen on port {port}"))?;
    let url = format!("http://{}", listener.local_addr()?);
    Ok((listener, url))
}

/// Until it is said that it is time to stop.
pub(crate) async fn until(mut stopping: watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// Until Ctrl-C, or the service manager's TERM. Listens from the call on, not only once it is waited for: before that
/// either would end the process as it stands.
#[cfg(unix)]
pub(crate) fn interrupted() -> impl Future<Output = ()> + Send {
    use tokio::signal::unix::{Signal, SignalKind, signal};
    async fn heard(signal: io::Result<Signal>) {
        match signal {
            Ok(mut signal) => drop(signal.recv().await),
            // What cannot be heard keeps its usual effect.
            Err(_) => std::future::pending().await,
        }
    }
    let (interrupt, terminate) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    async move {
        tokio::select! {
            () = heard(interrupt) => {}
            () = heard(terminate) => {}
        }
    }
}

/// Until Ctrl-C.
#[cfg(not(unix))]
pub(crate) async fn interrupted() {
    let _ = tokio::signal::ctrl_c().await;
}
