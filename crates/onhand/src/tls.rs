//! TLS by ourselves: <https://docs.rs/rustls>. TLS 1.2 and 1.3, HTTP/1.1 inside it, no client certificates.
//!
//! The certificate is read again when told to, and when its files change; where they are not as they must be then, the one
//! in use stays. Handshakes go on beside each other: a client that does not finish one keeps nobody waiting.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use axum::serve::Listener;
use onhand_store::Believes;
use parking_lot::RwLock;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, ClientConfig, InconsistentKeys, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How many are under way at most; further connections wait in the listener's own queue.
const HANDSHAKES: usize = 1_024;
/// How often it is looked whether the files changed.
const LOOK: Duration = Duration::from_secs(10);

/// The certificate that is shown, and where it is from.
#[derive(Debug)]
pub(crate) struct Certificate {
    certificate: PathBuf,
    key: PathBuf,
    shown: RwLock<Arc<CertifiedKey>>,
    /// What the two files had in them when they were last looked at, right or wrong.
    seen: RwLock<[Option<Vec<u8>>; 2]>,
}

impl Certificate {
    /// Reads both files.
    pub fn read(certificate: &Path, key: &Path) -> anyhow::Result<Arc<Self>> {
        let seen = seen(certificate, key);
        let shown = RwLock::new(Arc::new(certified(certificate, key)?));
        let (certificate, key) = (certificate.to_owned(), key.to_owned());
        Ok(Arc::new(Self { certificate, key, shown, seen: RwLock::new(seen) }))
    }

    /// Reads both files again. If they are not as they must be, the certificate in use stays.
    pub fn read_again(&self) {
        *self.seen.write() = seen(&self.certificate, &self.key);
        match certified(&self.certificate, &self.key) {
            Ok(certified) => {
                *self.shown.write() = Arc::new(certified);
                tracing::info!(file = %self.certificate.display(), "the certificate was read again");
            }
            Err(error) => {
                tracing::error!(
                    error = format!("{error:#}"),
                    "the certificate in use stays: what is there is none"
                )
            }
        }
    }

    /// Reads them again whenever they change.
    pub async fn watch(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK).await;
            let changed = *self.seen.read() != seen(&self.certificate, &self.key);
            if changed {
                self.read_again();
            }
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.shown.read().clone())
    }
}

fn seen(certificate: &Path, key: &Path) -> [Option<Vec<u8>>; 2] {
    // Of the key no copy is kept.
    [certificate, key]
        .map(|path| std::fs::read(path).ok().map(|bytes| blake3::hash(&bytes).as_bytes().to_vec()))
}

fn certified(certificate: &Path, key: &Path) -> anyhow::Result<CertifiedKey> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable("certificate", certificate, error))?;
    if chain.is_empty() {
        bail!("{} has no certificate in it: it must be PEM, with `BEGIN CERTIFICATE`", certificate.display());
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable("private key", key, error))?;
    CertifiedKey::from_der(chain, private, &provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => anyhow!(
            "the private key in {} is none of the certificate in {}, whose own comes first",
            key.display(),
            certificate.display()
        ),
        error => anyhow!("{} and {} cannot be used: {error}", certificate.display(), key.display()),
    })
}

/// A client that trusts the certificate in that file, the first of it, and no other, whatever name it is for.
pub(crate) fn trusting_that(file: &Path) -> anyhow::Result<ClientConfig> {
    let trusted =
        CertificateDer::from_pem_file(file).map_err(|error| unreadable("certificate", file, error))?;
    let provider = Arc::new(provider());
    let config =
        ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let only = Arc::new(Believes::only(trusted, provider));
    Ok(config.dangerous().with_custom_certificate_verifier(only).with_no_client_auth())
}

/// Was a call not made because another certificate was shown than the one that is trusted?
pub(crate) fn is_of_another(error: &(dyn std::error::Error + 'static)) -> bool {
    let is_it = matches!(
        error.downcast_ref::<rustls::Error>(),
        Some(rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
    );
    let within = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    is_it || within.is_some_and(|inner| is_of_another(inner)) || error.source().is_some_and(is_of_another)
}

fn unreadable(what: &str, path: &Path, error: pem::Error) -> anyhow::Error {
    let shown = path.display();
    match error {
        pem::Error::Io(error) => anyhow!("the {what} in {shown} cannot be read: {error}"),
        pem::Error::NoItemsFound => anyhow!("{shown} has no {what} in it: it must be PEM, and not encrypted"),
        error => anyhow!("{shown} is no PEM: {error}"),
    }
}

fn provider() -> CryptoProvider {
    ring::default_provider()
}

/// A listener whose connections speak TLS.
pub(crate) struct TlsListener {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
    handshakes: JoinSet<io::Result<(TlsStream<TcpStream>, SocketAddr)>>,
}

impl TlsListener {
    pub fn new(tcp: TcpListener, certificate: Arc<Certificate>) -> anyhow::Result<Self> {
        let config = ServerConfig::builder_with_provider(Arc::new(provider()))
            .with_safe_default_protocol_versions()
            .context("TLS cannot be spoken")?;
        let mut config = config.with_no_client_auth().with_cert_resolver(certificate);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { tcp, acceptor: TlsAcceptor::from(Arc::new(config)), handshakes: JoinSet::new() })
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            tokio::select! {
                (stream, address) = Listener::accept(&mut self.tcp), if self.handshakes.len() < HANDSHAKES => {
                    let handshake = tokio::time::timeout(HANDSHAKE, self.acceptor.accept(stream));
                    self.handshakes.spawn(async move { Ok((handshake.await??, address)) });
                }
                Some(done) = self.handshakes.join_next() => match done {
                    Ok(Ok(accepted)) => return accepted,
                    // Scanners and clients that do not trust us; nobody has to act.
                    Ok(Err(error)) => tracing::debug!(%error, "a client did not finish its handshake"),
                    Err(error) => tracing::error!(%error, "a handshake ended with a panic"),
                },
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}
