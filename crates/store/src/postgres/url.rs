//! Where a PostgreSQL database is, and how it is spoken with: `postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=…`.
//!
//! A password is never shown: not by `Display`, not by `Debug`, not by an error. Whoever is not on this machine is spoken with over TLS,
//! and their certificate is looked at, unless the address says otherwise.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Config, config};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{Believes, StoreError};

/// How long a connection may take unless the address says otherwise (`connect_timeout`).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long nothing may come back from a server that was sent something, before it counts as lost.
const SILENCE: Duration = Duration::from_secs(20);

/// The address of a PostgreSQL database.
#[derive(Clone)]
pub struct PostgresUrl {
    pub(super) config: Config,
    trust: Trust,
    /// The files of a certificate that says who we are, and of its key: `sslcert` and `sslkey`.
    ours: Option<(PathBuf, PathBuf)>,
}

/// Whom a TLS connection believes.
#[derive(Clone)]
enum Trust {
    /// Whoever answers: on this machine, or by `sslmode=prefer`, which would speak in clear where the server has no TLS.
    Anybody,
    /// Certificates under those that browsers trust (Mozilla's list).
    Public,
    /// Certificates under those in a file, `sslrootcert`.
    File(PathBuf),
}

impl PostgresUrl {
    /// Does this name a PostgreSQL database, and not a file?
    pub fn is_one(text: &str) -> bool {
        ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme))
    }

    /// Reads an address. `password` is taken where it has none: for whoever keeps it out of the address.
    pub fn parse(text: &str, password: Option<&str>) -> Result<Self, StoreError> {
        let wrong = |what: &str| StoreError::WrongUrl(what.to_owned());
        if !Self::is_one(text) {
            return Err(wrong("it does not begin with postgres://"));
        }
        let (address, parameters) = text.split_once('?').unwrap_or((text, ""));
        let (mut ssl_mode, mut root, mut others) = (None, None, Vec::new());
        let (mut certificate, mut key) = (None, None);
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=') {
                Some(("sslmode", mode)) => ssl_mode = Some(mode),
                Some(("sslrootcert", file)) => root = Some(file),
                Some(("sslcert", file)) => certificate = Some(file),
                Some(("sslkey", file)) => key = Some(file),
                Some(_) => others.push(parameter),
                None => return Err(wrong("what comes after `?` must be NAME=VALUE, parted by `&`")),
            }
        }
        // Whatever it says of what is wrong may repeat a part of the password.
        let joined =
            if others.is_empty() { address.to_owned() } else { format!("{address}?{}", others.join("&")) };
        let mut config: Config = joined.parse().map_err(|_| {
            wrong(
                "one of its parts cannot be read (a password with special characters must have them as %XX)",
            )
        })?;
        if config.get_hosts().is_empty() {
            return Err(wrong("it names no host"));
        }
        let Some(user) = config.get_user().map(ToOwned::to_owned) else {
            return Err(wrong("it names no user"));
        };
        if config.get_dbname().is_none_or(str::is_empty) {
            config.dbname(user);
        }
        let (ssl_mode, verified) = match ssl_mode {
            Some("disable") => (SslMode::Disable, false),
            Some("prefer" | "allow") => (SslMode::Prefer, false),
            None if root.is_none() && is_this_machine(&config) => (SslMode::Prefer, false),
            None => (SslMode::Require, true),
            Some("require" | "verify-full") => (SslMode::Require, true),
            Some("verify-ca") => return Err(wrong("sslmode=verify-ca is not known: take verify-full")),
            Some(_) => return Err(wrong("sslmode is `disable`, `prefer`, `require` or `verify-full`")),
        };
        let trust = match root {
            Some(_) if !verified => {
                return Err(wrong("sslrootcert is looked at with sslmode=verify-full only"));
            }
            Some(file) => Trust::File(path_of(file)),
            None if verified => Trust::Public,
            None => Trust::Anybody,
        };
        let ours = match (certificate, key) {
            (Some(_), Some(_)) if ssl_mode == SslMode::Disable => {
                return Err(wrong("sslcert is shown over TLS only, and sslmode=disable has none"));
            }
            (Some(certificate), Some(key)) => Some((path_of(certificate), path_of(key))),
            (None, None) => None,
            _ => return Err(wrong("sslcert and sslkey go together: a certificate in PEM, and its key")),
        };
        config.ssl_mode(ssl_mode).keepalives_idle(SILENCE).tcp_user_timeout(SILENCE);
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_application_name().is_none() {
            config.application_name("onhand");
        }
        // With several hosts, the one that may be written to.
        if config.get_hosts().len() > 1 {
            config.target_session_attrs(config::TargetSessionAttrs::ReadWrite);
        }
        if let Some(password) = password.filter(|_| config.get_password().is_none()) {
            config.password(password);
        }
        Ok(Self { config, trust, ours })
    }

    /// The name of the database.
    pub fn database(&self) -> &str {
        self.config.get_dbname().unwrap_or_default()
    }

    /// Who we are there.
    pub(super) fn user(&self) -> &str {
        self.config.get_user().unwrap_or_default()
    }

    /// The hosts and their ports.
    pub(super) fn hosts(&self) -> String {
        let ports = self.config.get_ports();
        let hosts = self.config.get_hosts().iter().enumerate().map(|(index, host)| {
            let port = ports.get(index).or(ports.first()).copied().unwrap_or(5432);
            match host {
                Host::Tcp(name) => format!("{name}:{port}"),
                Host::Unix(folder) => format!("{}:{port}", folder.display()),
            }
        });
        hosts.collect::<Vec<_>>().join(",")
    }

    /// Is nothing said in clear?
    pub(super) fn needs_tls(&self) -> bool {
        self.config.get_ssl_mode() == SslMode::Require
    }

    /// What a connection is encrypted by.
    pub(super) fn tls(&self) -> Result<MakeRustlsConnect, StoreError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| opening(format!("TLS cannot be set up: {error}")))?;
        let builder = match &self.trust {
            Trust::Anybody => {
                builder.dangerous().with_custom_certificate_verifier(Arc::new(Believes::anybody(provider)))
            }
            Trust::Public => {
                let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
                builder.with_root_certificates(roots)
            }
            Trust::File(path) => builder.with_root_certificates(roots_in(path)?),
        };
        let config = match &self.ours {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = certificates_in(certificate, "sslcert")?;
                let cannot = |reason: &dyn fmt::Display| {
                    opening(format!("the key in {} (sslkey) cannot be taken: {reason}", key.display()))
                };
                let key = PrivateKeyDer::from_pem_file(key).map_err(|error| cannot(&error))?;
                builder.with_client_auth_cert(chain, key).map_err(|error| cannot(&error))?
            }
        };
        Ok(MakeRustlsConnect::new(config))
    }
}

fn opening(reason: String) -> StoreError {
    StoreError::Io { doing: "opened", reason }
}

fn path_of(parameter: &str) -> PathBuf {
    PathBuf::from(parameter.replace("%20", " "))
}

fn unreadable(path: &Path, parameter: &str, reason: &dyn fmt::Display) -> StoreError {
    opening(format!("the certificates in {} ({parameter}) cannot be read: {reason}", path.display()))
}

/// The certificates of a file in PEM; at least one.
fn certificates_in(path: &Path, parameter: &str) -> Result<Vec<CertificateDer<'static>>, StoreError> {
    let cannot = |error| unreadable(path, parameter, &error);
    let all = CertificateDer::pem_file_iter(path).map_err(cannot)?;
    let all: Vec<CertificateDer<'static>> = all.collect::<Result<_, _>>().map_err(cannot)?;
    if all.is_empty() { Err(unreadable(path, parameter, &"there are none in it")) } else { Ok(all) }
}

fn roots_in(path: &Path) -> Result<RootCertStore, StoreError> {
    const NAME: &str = "sslrootcert";
    let mut roots = RootCertStore::empty();
    for certificate in certificates_in(path, NAME)? {
        roots.add(certificate).map_err(|error| unreadable(path, NAME, &error))?;
    }
    Ok(roots)
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "postgres://{}@{}/{}", self.user(), self.hosts(), self.database())
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Is each server on this machine: at a socket of it, or at an address that leads back to it?
fn is_this_machine(config: &Config) -> bool {
    let is_here = |host: &Host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => name == "localhost" || name.parse::<IpAddr>().is_ok_and(|at| at.is_loopback()),
    };
    // Where addresses are told they are called, whatever the names are.
    match config.get_hostaddrs() {
        [] => config.get_hosts().iter().all(is_here),
        addresses => addresses.iter().all(IpAddr::is_loopback),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_password() {
        let url =
            PostgresUrl::parse("postgres://ann:s3cret@db.example:6000/stock?sslmode=disable", None).unwrap();
        assert_eq!(url.to_string(), "postgres://ann@db.example:6000/stock");
        assert_eq!(format!("{url:?}"), url.to_string());
        let socket =
            PostgresUrl::parse("postgresql://ann@%2Frun%2Fpostgresql/stock", Some("s3cret")).unwrap();
        assert_eq!(socket.to_string(), "postgres://ann@/run/postgresql:5432/stock");
        assert_eq!(socket.config.get_password(), Some("s3cret".as_bytes()));
    }

    #[test]
    fn who_is_elsewhere_is_spoken_with_over_tls_unless_the_address_says_otherwise() {
        for (address, mode, is_verified) in [
            ("postgres://a@db.example/d", SslMode::Require, true),
            ("postgres://a@10.0.0.7/d", SslMode::Require, true),
            ("postgres://a@localhost,db.example/d", SslMode::Require, true),
            ("postgres://a@localhost/d?hostaddr=10.0.0.7", SslMode::Require, true),
            ("postgres://a@db.example/d?sslrootcert=/x", SslMode::Require, true),
            ("postgres://a@localhost/d?sslrootcert=/x", SslMode::Require, true),
            ("postgres://a@db.example/d?sslmode=verify-full", SslMode::Require, true),
            ("postgres://a@localhost/d", SslMode::Prefer, false),
            ("postgres://a@127.0.0.1,[::1]/d", SslMode::Prefer, false),
            ("postgres://a@%2Frun%2Fpostgresql/d", SslMode::Prefer, false),
            ("postgres://a@db.example/d?sslmode=prefer", SslMode::Prefer, false),
            ("postgres://a@db.example/d?sslmode=disable", SslMode::Disable, false),
        ] {
            let url = PostgresUrl::parse(address, None).unwrap();
            assert_eq!(url.config.get_ssl_mode(), mode, "{address}");
            assert_eq!(!matches!(url.trust, Trust::Anybody), is_verified, "{address}");
        }
    }

    #[test]
    fn a_wrong_address_says_what_is_wrong_and_no_password() {
        let cases = [
            ("mysql://ann:s3cret@h/d", "does not begin with postgres://"),
            ("postgres://ann:s3cret@h:port/d", "cannot be read"),
            ("postgres://ann:s3cret?x@h/d", "must be NAME=VALUE"),
            ("postgres://ann:s3cret@h/d?sslmode=s3cret", "sslmode is `disable`"),
            ("postgres://ann:s3cret@h/d?sslmode=verify-ca", "take verify-full"),
            ("postgres://ann:s3cret@h/d?s3cret=1", "cannot be read"),
            ("postgres://ann:s3cret@h/d?sslmode=prefer&sslrootcert=/x", "sslmode=verify-full only"),
            ("postgres://ann@h/d?sslcert=/x", "sslcert and sslkey go together"),
            ("postgres://ann@h/d?sslkey=/x", "sslcert and sslkey go together"),
            ("postgres://ann@h/d?sslcert=/x&sslkey=/y&sslmode=disable", "over TLS only"),
            ("postgres://h/d", "names no user"),
            ("postgres:///d", "names no host"),
        ];
        for (text, what) in cases {
            let error = PostgresUrl::parse(text, None).unwrap_err().to_string();
            assert!(error.contains(what), "{text}: {error}");
            assert!(!error.contains("s3cret"), "{error}");
            assert!(error.contains("postgres://USER:PASSWORD@HOST:5432/DATABASE"), "{error}");
        }
    }
}
