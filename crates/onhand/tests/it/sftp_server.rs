//! An SFTP server of one folder, for tests: it lets in `partner` with the password `secret`, or with a key.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::keys::ssh_key::private::{Ed25519Keypair, KeypairData};
use russh::keys::{HashAlg, PrivateKey};
use russh::server::{Auth, ChannelOpenHandle, Config, Handler, Msg, Session, VerifiedPublicKey, run_stream};
use russh::{Channel, ChannelId};
use russh_sftp::protocol::{
    Attrs, Data, File as Named, FileAttributes, Handle, Name, OpenFlags, Packet, Status, StatusCode,
};

/// A key that is the same whenever it is made.
pub fn key(seed: u8) -> PrivateKey {
    PrivateKey::new(KeypairData::Ed25519(Ed25519Keypair::from_seed(&[seed; 32])), "test").unwrap()
}

/// Where it is, and the fingerprint of its key.
pub struct Served {
    pub url: String,
    pub fingerprint: String,
}

/// Serves a folder; with OpenSSH's rename, or as servers without it do.
pub async fn serve(root: &Path, may_replace: bool) -> Served {
    let host = key(1);
    let fingerprint = host.public_key().fingerprint(HashAlg::Sha256).to_string();
    let config = Arc::new(Config { keys: vec![host], ..Config::default() });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("sftp://{}/exchange", listener.local_addr().unwrap());
    let root = root.to_owned();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let guest = Guest { root: root.clone(), may_replace, channels: HashMap::new() };
            let config = config.clone();
            tokio::spawn(async move {
                if let Ok(session) = run_stream(config, stream, guest).await {
                    let _ = session.await;
                }
            });
        }
    });
    Served { url, fingerprint }
}

struct Guest {
    root: PathBuf,
    may_replace: bool,
    channels: HashMap<ChannelId, Channel<Msg>>,
}

fn answer(is_right: bool) -> Auth {
    if is_right { Auth::Accept } else { Auth::reject() }
}

impl Handler for Guest {
    type Error = russh::Error;

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, Self::Error> {
        Ok(answer((user, password) == ("partner", "secret")))
    }

    async fn auth_publickey(
        &mut self,
        user: &str,
        shown: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(answer(user == "partner" && shown.public_key.key_data() == key(2).public_key().key_data()))
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.channels.insert(channel.id(), channel);
        reply.accept().await;
        Ok(())
    }

    async fn subsystem_request(
        &mut self,
        id: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        assert_eq!(name, "sftp");
        let channel = self.channels.remove(&id).unwrap();
        session.channel_success(id)?;
        let files = Files {
            root: self.root.clone(),
            may_replace: self.may_replace,
            open: HashMap::new(),
            lists: HashMap::new(),
            next: 0,
        };
        russh_sftp::server::run(channel.into_stream(), files).await;
        Ok(())
    }
}

struct Files {
    root: PathBuf,
    may_replace: bool,
    open: HashMap<String, File>,
    lists: HashMap<String, Vec<Named>>,
    next: u64,
}

impl Files {
    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches("/exchange").trim_start_matches('/'))
    }

    fn handle(&mut self) -> String {
        self.next += 1;
        self.next.to_string()
    }

    fn rename(&self, from: &str, to: &str, replace: bool) -> Result<(), StatusCode> {
        let (from, to) = (self.at(from), self.at(to));
        if !replace && to.exists() {
            return Err(StatusCode::Failure);
        }
        fs::rename(from, to).map_err(code)
    }
}

fn code(error: io::Error) -> StatusCode {
    match error.kind() {
        io::ErrorKind::NotFound => StatusCode::NoSuchFile,
        io::ErrorKind::PermissionDenied => StatusCode::PermissionDenied,
        _ => StatusCode::Failure,
    }
}

fn fine(id: u32) -> Status {
    Status { id, status_code: StatusCode::Ok, error_message: String::new(), language_tag: String::new() }
}

impl russh_sftp::server::Handler for Files {
    type Error = StatusCode;

    fn unimplemented(&self) -> Self::Error {
        StatusCode::OpUnsupported
    }

    async fn open(
        &mut self,
        id: u32,
        name: String,
        flags: OpenFlags,
        _attrs: FileAttributes,
    ) -> Result<Handle, StatusCode> {
        let write = flags.contains(OpenFlags::WRITE);
        let mut options = File::options();
        options.read(!write).write(write).create(write).truncate(flags.contains(OpenFlags::TRUNCATE));
        let file = options.open(self.at(&name)).map_err(code)?;
        let handle = self.handle();
        self.open.insert(handle.clone(), file);
        Ok(Handle { id, handle })
    }

    async fn close(&mut self, id: u32, handle: String) -> Result<Status, StatusCode> {
        self.open.remove(&handle);
        self.lists.remove(&handle);
        Ok(fine(id))
    }

    async fn read(&mut self, id: u32, handle: String, offset: u64, len: u32) -> Result<Data, StatusCode> {
        let file = self.open.get(&handle).ok_or(StatusCode::Failure)?;
        let mut data = vec![0; len as usize];
        let read = file.read_at(&mut data, offset).map_err(code)?;
        if read == 0 {
            return Err(StatusCode::Eof);
        }
        data.truncate(read);
        Ok(Data { id, data })
    }

    async fn write(
        &mut self,
        id: u32,
        handle: String,
        offset: u64,
        data: Vec<u8>,
    ) -> Result<Status, StatusCode> {
        let file = self.open.get(&handle).ok_or(StatusCode::Failure)?;
        file.write_all_at(&data, offset).map_err(code)?;
        Ok(fine(id))
    }

    async fn opendir(&mut self, id: u32, path: String) -> Result<Handle, StatusCode> {
        let mut names = Vec::new();
        for one in fs::read_dir(self.at(&path)).map_err(code)? {
            let one = one.map_err(code)?;
            let Ok(about) = one.metadata() else { continue };
            names.push(Named::new(one.file_name().into_string().unwrap(), (&about).into()));
        }
        let handle = self.handle();
        self.lists.insert(handle.clone(), names);
        Ok(Handle { id, handle })
    }

    async fn readdir(&mut self, id: u32, handle: String) -> Result<Name, StatusCode> {
        let left = self.lists.get_mut(&handle).ok_or(StatusCode::Failure)?;
        let files = std::mem::take(left);
        if files.is_empty() { Err(StatusCode::Eof) } else { Ok(Name { id, files }) }
    }

    async fn stat(&mut self, id: u32, path: String) -> Result<Attrs, StatusCode> {
        let about = fs::metadata(self.at(&path)).map_err(code)?;
        Ok(Attrs { id, attrs: (&about).into() })
    }

    async fn mkdir(&mut self, id: u32, path: String, _attrs: FileAttributes) -> Result<Status, StatusCode> {
        fs::create_dir(self.at(&path)).map_err(code)?;
        Ok(fine(id))
    }

    async fn remove(&mut self, id: u32, path: String) -> Result<Status, StatusCode> {
        fs::remove_file(self.at(&path)).map_err(code)?;
        Ok(fine(id))
    }

    async fn rename(&mut self, id: u32, from: String, to: String) -> Result<Status, StatusCode> {
        Files::rename(self, &from, &to, false)?;
        Ok(fine(id))
    }

    async fn extended(&mut self, id: u32, request: String, data: Vec<u8>) -> Result<Packet, StatusCode> {
        if request != "posix-rename@openssh.com" || !self.may_replace {
            return Err(StatusCode::OpUnsupported);
        }
        let mut names = Vec::new();
        let mut rest = data.as_slice();
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let (name, after) = after.split_at(u32::from_be_bytes(*length) as usize);
            names.push(String::from_utf8(name.to_vec()).unwrap());
            rest = after;
        }
        Files::rename(self, &names[0], &names[1], true)?;
        Ok(Packet::Status(fine(id)))
    }
}
