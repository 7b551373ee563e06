//! The API on a socket, and how it ends.
//!
//! Its connections are tasks of a runtime of their own: a client that never finishes its request can be cut off by
//! ending that runtime, and holds neither the process nor the handles to the committer.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::serve::Listener;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tower::Service as _;

use crate::tls::{Certificate, TlsListener};

/// How long requests under way have to end.
const GRACE: Duration = Duration::from_secs(5);
/// What connections may take of us.
#[derive(Clone, Copy)]
struct Bounds {
    /// How many there are; further ones wait in the listener's own queue until one ends.
    connections: usize,
    /// How long a request's head may take to come, and how long a connection may rest between two requests.
    head: Duration,
}

/// Connections of proxies rest longer here than there, so that none is closed under a request: nginx ends them after 60 seconds
/// (<https://nginx.org/en/docs/http/ngx_http_upstream_module.html#keepalive_timeout>).
const BOUNDS: Bounds = Bounds { connections: 8_192, head: Duration::from_secs(75) };

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
                None => serve(listener, router, BOUNDS, stopping).await,
                Some(certificate) => {
                    tokio::spawn(certificate.clone().watch());
                    let listener = TlsListener::new(listener, certificate).map_err(io::Error::other)?;
                    let router = onhand_web::over_tls(router);
                    serve(listener, router, BOUNDS, stopping).await;
                }
            }
            Ok(())
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

/// Takes connections until it is time to stop, and then waits for the requests that are under way.
async fn serve(
    mut listener: impl Listener<Addr = SocketAddr>,
    router: Router,
    bounds: Bounds,
    stopping: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(bounds.connections));
    let mut connections = JoinSet::new();
    let next = async |listener: &mut _| {
        let place = places.clone().acquire_owned().await.ok()?;
        let (stream, from) = Listener::accept(listener).await;
        Some((place, stream, from))
    };
    loop {
        tokio::select! {
            () = until(stopping.clone()) => break,
            Some(_) = connections.join_next() => {}
            Some((place, stream, from)) = next(&mut listener) => {
                let spoken = speak(TokioIo::new(stream), from, router.clone(), bounds.head, stopping.clone());
                connections.spawn(async move {
                    spoken.await;
                    drop(place);
                });
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Answers one connection's requests, each of which bears where it came from.
async fn speak(
    stream: TokioIo<impl AsyncRead + AsyncWrite + Unpin + Send + 'static>,
    from: SocketAddr,
    router: Router,
    head: Duration,
    stopping: watch::Receiver<bool>,
) {
    let answer = service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(from));
        router.clone().call(request.map(Body::new))
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(head);
    let mut connection = pin!(http.serve_connection(stream, answer));
    let done = tokio::select! {
        done = connection.as_mut() => done,
        () = until(stopping) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = done {
        // Clients that go, or do not speak HTTP; nobody has to act.
        tracing::debug!(%error, client = %from.ip(), "a connection ended early");
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

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;

    const ASKED: &[u8] = b"GET / HTTP/1.1\r\nhost: here\r\n\r\n";

    /// A server with these bounds, where it is, and what ends it.
    async fn served(bounds: Bounds) -> (SocketAddr, watch::Sender<bool>, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let from = |ConnectInfo(from): ConnectInfo<SocketAddr>| async move { from.to_string() };
        let (stop, stopping) = watch::channel(false);
        let served = tokio::spawn(serve(listener, Router::new().route("/", get(from)), bounds, stopping));
        (address, stop, served)
    }

    /// What is read until there is something, or until the other end closes.
    async fn read(stream: &mut TcpStream) -> String {
        let mut bytes = vec![0; 4_096];
        let read = stream.read(&mut bytes).await.unwrap_or(0);
        String::from_utf8_lossy(&bytes[..read]).into_owned()
    }

    #[tokio::test]
    async fn who_does_not_finish_a_head_is_let_go_and_who_asks_again_in_time_is_not() {
        let bounds = Bounds { connections: 9, head: Duration::from_secs(3) };
        let (address, _stop, _served) = served(bounds).await;
        let (mut slow, mut quick) =
            (TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap());
        slow.write_all(&ASKED[..20]).await.unwrap();
        for _ in 0..4 {
            quick.write_all(ASKED).await.unwrap();
            let answer = read(&mut quick).await;
            assert!(answer.ends_with(&quick.local_addr().unwrap().to_string()), "{answer}");
            // Sooner than that by more than a busy machine is late.
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let told = read(&mut slow).await;
        assert!(told.is_empty() || told.starts_with("HTTP/1.1 408"), "{told}");
        assert_eq!(read(&mut slow).await, "", "it is closed");
    }

    #[tokio::test]
    async fn no_more_are_taken_than_there_are_places_until_one_ends() {
        let bounds = Bounds { connections: 2, head: Duration::from_mins(1) };
        let (address, stop, served) = served(bounds).await;
        let mut connections = Vec::new();
        for _ in 0..3 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(ASKED).await.unwrap();
            connections.push(stream);
        }
        let mut third = connections.pop().unwrap();
        for stream in &mut connections {
            assert!(read(stream).await.starts_with("HTTP/1.1 200"));
        }
        let waits = tokio::time::timeout(Duration::from_millis(200), read(&mut third)).await;
        assert!(waits.is_err(), "{waits:?}");
        connections.pop();
        assert!(read(&mut third).await.starts_with("HTTP/1.1 200"));
        // Those that rest keep nobody waiting who wants to end.
        stop.send(true).unwrap();
        tokio::time::timeout(Duration::from_secs(5), served).await.unwrap().unwrap();
    }
}
