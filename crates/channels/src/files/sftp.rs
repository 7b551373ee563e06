//! Files over SFTP. The server's key is pinned: who answers with another is not spoken with.
//!
//! Version 3 of the protocol (<https://datatracker.ietf.org/doc/html/draft-ietf-secsh-filexfer-02>): its rename does not replace a file.
//! OpenSSH has one that does, `posix-rename@openssh.com` (<https://github.com/openssh/openssh-portable/blob/master/PROTOCOL>); of a server
//! that has not, what goes out is taken away a moment before it is there again.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use onhand_ledger::Instant;
use russh::client::{self, AuthResult};
use russh::keys::{HashAlg, PrivateKeyWithHashAlg, PublicKeyOrCertificate, decode_secret_key};

use russh_sftp::client::RawSftpSession;
use russh_sftp::client::error::Error as SftpError;
use russh_sftp::protocol::{FileAttributes, OpenFlags, Packet, Status, StatusCode};

use super::place::{Done, Entry, LONGEST_FILE, Place, PlaceError};
use crate::locked;
use crate::systems_at::SystemsAt;

/// Whoever does not answer for so long is not there.
const PATIENCE: Duration = Duration::from_secs(15);
/// So many bytes are read or written at a time: what every server takes.
const STEP: u32 = 32 * 1024;
/// A file, as its permissions say.
const IS_FILE: u32 = 0o100_000;
const KIND: u32 = 0o170_000;

/// A folder at a server.
pub(super) struct Sftp {
    host: String,
    /// Where it may be.
    allowed_at: SystemsAt,
    port: u16,
    root: String,
    username: String,
    /// A password, or a private key.
    secret: String,
    /// The fingerprint of the server's key, such as `SHA256:…`.
    host_key: Option<String>,
    open: tokio::sync::Mutex<Option<Arc<Open>>>,
}

/// A connection that is open.
struct Open {
    sftp: RawSftpSession,
    _session: client::Handle<Pinned>,
}

/// Looks at the server's key.
struct Pinned {
    host_key: Option<String>,
    shown: Arc<Mutex<Option<String>>>,
}

impl client::Handler for Pinned {
    type Error = russh::Error;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = key else { return Ok(false) };
        let shown = key.fingerprint(HashAlg::Sha256).to_string();
        let is_known = self.host_key.as_ref() == Some(&shown);
        *locked(&self.shown) = Some(shown);
        Ok(is_known)
    }
}

fn trouble(error: impl ToString) -> PlaceError {
    PlaceError::Trouble(error.to_string())
}

fn failed(path: &str, error: &SftpError) -> PlaceError {
    let reason = format!("{path}: {error}");
    match error {
        SftpError::Status(Status { status_code: StatusCode::PermissionDenied, .. }) => {
            PlaceError::Refused(reason)
        }
        _ => PlaceError::Trouble(reason),
    }
}

fn is(error: &SftpError, code: StatusCode) -> bool {
    matches!(error, SftpError::Status(status) if status.status_code == code)
}

impl Sftp {
    /// At an address such as `sftp://files.example.com:22/exchange`.
    pub fn new(
        url: &str,
        username: &str,
        secret: &str,
        host_key: Option<&str>,
        at: &SystemsAt,
    ) -> Result<Self, String> {
        let parsed = reqwest::Url::parse(url).map_err(|error| format!("`{url}` is no address: {error}"))?;
        let host = parsed.host_str().ok_or_else(|| format!("`{url}` names no server"))?;
        let host = host.trim_matches(['[', ']']).to_owned();
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(
                "an address must not have a name or password in it: give them as `username` and `secret`"
                    .to_owned(),
            );
        }
        Ok(Self {
            host,
            allowed_at: at.clone(),
            port: parsed.port().unwrap_or(22),
            root: parsed.path().trim_end_matches('/').to_owned(),
            username: username.to_owned(),
            secret: secret.to_owned(),
            host_key: host_key.map(str::to_owned),
            open: tokio::sync::Mutex::default(),
        })
    }

    fn at(&self, path: &str) -> String {
        format!("{}/{path}", self.root)
    }

    async fn connect(&self) -> Done<Open> {
        let config = client::Config {
            inactivity_timeout: Some(Duration::from_mins(10)),
            keepalive_interval: Some(PATIENCE),
            ..client::Config::default()
        };
        let shown = Arc::new(Mutex::new(None));
        let pinned = Pinned { host_key: self.host_key.clone(), shown: shown.clone() };
        let found = self.allowed_at.reach(&self.host, self.port, false).await.map_err(trouble)?;
        let connected = client::connect(Arc::new(config), found.as_slice(), pinned).await;
        let mut session = match connected {
            Ok(session) => session,
            Err(error) => {
                return Err(match (locked(&shown).take(), &self.host_key) {
                    (Some(shown), None) => PlaceError::Refused(format!(
                        "the server's key is {shown}; where its owner says so too, set `host_key` to that"
                    )),
                    (Some(shown), Some(known)) if shown != *known => PlaceError::Refused(format!(
                        "the server's key is {shown} and not {known}: somebody may be in between, or it has a new one"
                    )),
                    _ => trouble(error),
                });
            }
        };
        let done = if self.secret.trim_start().starts_with("-----BEGIN") {
            let key = decode_secret_key(&self.secret, None)
                .map_err(|error| PlaceError::Refused(format!("the private key cannot be read: {error}")))?;
            let hash = session.best_supported_rsa_hash().await.map_err(trouble)?.flatten();
            let key = PrivateKeyWithHashAlg::new(Arc::new(key), hash);
            session.authenticate_publickey(self.username.as_str(), key).await
        } else {
            session.authenticate_password(self.username.as_str(), self.secret.as_str()).await
        };
        if !matches!(done.map_err(trouble)?, AuthResult::Success) {
            return Err(PlaceError::Refused(
                "the server does not let us in: see name, and password or key".to_owned(),
            ));
        }
        let channel = session.channel_open_session().await.map_err(trouble)?;
        channel.request_subsystem(true, "sftp").await.map_err(trouble)?;
        let sftp = RawSftpSession::new(channel.into_stream());
        sftp.init().await.map_err(trouble)?;
        Ok(Open { sftp, _session: session })
    }

    /// The connection, opened where there is none.
    async fn open(&self) -> Done<Arc<Open>> {
        let mut open = self.open.lock().await;
        if let Some(open) = &*open {
            return Ok(open.clone());
        }
        let connected = tokio::time::timeout(PATIENCE, self.connect());
        let connected = connected.await.map_err(|_| trouble("the server does not answer"))??;
        Ok(open.insert(Arc::new(connected)).clone())
    }

    /// What failed in another way than by the server's word may have ended the connection: it is opened anew.
    async fn done<T>(&self, path: &str, done: Result<T, SftpError>) -> Done<T> {
        match done {
            Ok(done) => Ok(done),
            Err(error) => {
                if !matches!(error, SftpError::Status(_)) {
                    *self.open.lock().await = None;
                }
                Err(failed(path, &error))
            }
        }
    }
}

async fn read(sftp: &RawSftpSession, path: &str, into: &mut File) -> Result<u64, SftpError> {
    let handle = sftp.open(path, OpenFlags::READ, FileAttributes::empty()).await?.handle;
    let mut length = 0_u64;
    loop {
        match sftp.read(handle.as_str(), length, STEP).await {
            Ok(part) if part.data.is_empty() => break,
            Ok(part) => {
                into.write_all(&part.data)?;
                length += part.data.len() as u64;
                if length > LONGEST_FILE {
                    break;
                }
            }
            Err(error) if is(&error, StatusCode::Eof) => break,
            Err(error) => return Err(error),
        }
    }
    sftp.close(handle).await?;
    Ok(length)
}

async fn write(sftp: &RawSftpSession, path: &str, from: &mut File) -> Result<(), SftpError> {
    let flags = OpenFlags::CREATE | OpenFlags::TRUNCATE | OpenFlags::WRITE;
    let handle = sftp.open(path, flags, FileAttributes::empty()).await?.handle;
    let mut offset = 0;
    loop {
        let mut part = Vec::new();
        (&mut *from).take(STEP.into()).read_to_end(&mut part)?;
        if part.is_empty() {
            break;
        }
        let length = part.len() as u64;
        sftp.write(handle.as_str(), offset, part).await?;
        offset += length;
    }
    sftp.close(handle).await?;
    Ok(())
}

/// Renames, in the place of what is there.
async fn replace(sftp: &RawSftpSession, from: &str, to: &str) -> Result<(), SftpError> {
    let mut names = Vec::new();
    for name in [from, to] {
        names.extend(u32::try_from(name.len()).unwrap_or(u32::MAX).to_be_bytes());
        names.extend(name.as_bytes());
    }
    match sftp.extended("posix-rename@openssh.com", names).await? {
        Packet::Status(Status { status_code: StatusCode::Ok, .. }) => Ok(()),
        Packet::Status(Status { status_code: StatusCode::OpUnsupported, .. }) => {
            match sftp.remove(to).await {
                Err(error) if !is(&error, StatusCode::NoSuchFile) => return Err(error),
                _ => {}
            }
            sftp.rename(from, to).await.map(drop)
        }
        Packet::Status(status) => Err(SftpError::Status(status)),
        _ => Err(SftpError::UnexpectedPacket),
    }
}

async fn list(sftp: &RawSftpSession, path: &str) -> Result<Vec<Entry>, SftpError> {
    let handle = sftp.opendir(path).await?.handle;
    let mut entries = Vec::new();
    loop {
        match sftp.readdir(handle.as_str()).await {
            Ok(names) => {
                for file in names.files {
                    let about = file.attrs;
                    if about.permissions.is_none_or(|permissions| permissions & KIND == IS_FILE) {
                        let written_at =
                            Instant::from_micros(i64::from(about.mtime.unwrap_or_default()) * 1_000_000);
                        entries.push(Entry {
                            name: file.filename,
                            size: about.size.unwrap_or_default(),
                            written_at,
                        });
                    }
                }
            }
            Err(error) if is(&error, StatusCode::Eof) => break,
            Err(error) => return Err(error),
        }
    }
    sftp.close(handle).await?;
    Ok(entries)
}

#[async_trait::async_trait]
impl Place for Sftp {
    async fn make(&self, folders: &[&str]) -> Done<()> {
        let open = self.open().await?;
        let root = if self.root.is_empty() { "/" } else { &self.root };
        self.done(root, open.sftp.stat(root).await).await?;
        for folder in folders {
            let path = self.at(folder);
            if open.sftp.stat(path.as_str()).await.is_err() {
                self.done(&path, open.sftp.mkdir(path.as_str(), FileAttributes::empty()).await).await?;
            }
        }
        Ok(())
    }

    async fn list(&self, folder: &str) -> Done<Vec<Entry>> {
        let (open, path) = (self.open().await?, self.at(folder));
        self.done(&path, list(&open.sftp, &path).await).await
    }

    async fn is_there(&self, path: &str) -> Done<bool> {
        let (open, path) = (self.open().await?, self.at(path));
        match open.sftp.stat(path.as_str()).await {
            Ok(_) => Ok(true),
            Err(error) if is(&error, StatusCode::NoSuchFile) => Ok(false),
            Err(error) => self.done(&path, Err(error)).await,
        }
    }

    async fn fetch(&self, path: &str) -> Done<File> {
        let (open, path) = (self.open().await?, self.at(path));
        let mut file = tempfile::tempfile().map_err(trouble)?;
        let length = self.done(&path, read(&open.sftp, &path, &mut file).await).await?;
        if length > LONGEST_FILE {
            return Err(trouble(format!("{path} is longer than {LONGEST_FILE} bytes; split it")));
        }
        file.rewind().map_err(trouble)?;
        Ok(file)
    }

    async fn put(&self, path: &str, mut bytes: File) -> Done<()> {
        bytes.rewind().map_err(trouble)?;
        let (open, path) = (self.open().await?, self.at(path));
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
        let hidden = format!("{folder}/.{name}.part");
        self.done(&path, write(&open.sftp, &hidden, &mut bytes).await).await?;
        self.done(&path, replace(&open.sftp, &hidden, &path).await).await
    }

    async fn rename(&self, from: &str, to: &str) -> Done<bool> {
        let (open, from, to) = (self.open().await?, self.at(from), self.at(to));
        match open.sftp.rename(from.as_str(), to).await {
            Ok(_) => Ok(true),
            Err(error) if is(&error, StatusCode::NoSuchFile) => Ok(false),
            Err(error) => self.done(&from, Err(error)).await,
        }
    }
}
