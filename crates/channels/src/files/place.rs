//! Where files lie: what each kind of place can do, and a folder of this machine.

use std::fs::{self, File};
use std::io::{self, Seek as _};
use std::path::{Path, PathBuf};

use onhand_ledger::Instant;

/// A file is fetched up to here: 256 MiB, as much as is read of one.
pub(super) const LONGEST_FILE: u64 = 256 * 1024 * 1024;

/// A file that lies somewhere.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    pub name: String,
    pub size: u64,
    /// When it was last written, by the clock over there.
    pub written_at: Instant,
}

/// Why a place did not do what it was asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum PlaceError {
    /// We are not let in, or may not do that: a person must act.
    Refused(String),
    /// Worth trying again.
    Trouble(String),
}

pub(crate) type Done<T> = Result<T, PlaceError>;

/// A place with files. Paths are relative to it, with `/` between names.
#[async_trait::async_trait]
pub(crate) trait Place: Send + Sync {
    /// Makes folders that are not there.
    async fn make(&self, folders: &[&str]) -> Done<()>;

    /// The files in a folder.
    async fn list(&self, folder: &str) -> Done<Vec<Entry>>;

    /// Is there a file of that name?
    async fn is_there(&self, path: &str) -> Done<bool>;

    /// The bytes of a file, at their beginning.
    async fn fetch(&self, path: &str) -> Done<File>;

    /// Puts a file there, as a whole or not at all: whoever looks sees the one before or this one.
    async fn put(&self, path: &str, bytes: File) -> Done<()>;

    /// Gives a file another name. False: it is not there any more. A file that has that name already is not lost.
    async fn rename(&self, from: &str, to: &str) -> Done<bool>;

    /// Are files taken from where they come? Else they stay, and are looked at again once they are others.
    fn can_take(&self) -> bool {
        true
    }
}

/// Runs what may block where it keeps nobody else waiting.
pub(crate) async fn blocking<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> Done<T> {
    tokio::task::spawn_blocking(run).await.map_err(|error| PlaceError::Trouble(error.to_string()))
}

/// A folder of this machine.
pub(super) struct Folder {
    root: PathBuf,
}

impl Folder {
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }
}

fn failed(path: &Path, error: &io::Error) -> PlaceError {
    let reason = format!("{}: {error}", path.display());
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => PlaceError::Refused(reason),
        _ => PlaceError::Trouble(reason),
    }
}

fn entry(found: &fs::DirEntry) -> io::Result<Option<Entry>> {
    let about = found.metadata()?;
    let Some(name) = found.file_name().to_str().map(str::to_owned).filter(|_| about.is_file()) else {
        return Ok(None);
    };
    let written_at = jiff::Timestamp::try_from(about.modified()?).map_err(io::Error::other)?;
    Ok(Some(Entry { name, size: about.len(), written_at: Instant::from_micros(written_at.as_microsecond()) }))
}

#[async_trait::async_trait]
impl Place for Folder {
    async fn make(&self, folders: &[&str]) -> Done<()> {
        let root = self.root.clone();
        let inside: Vec<PathBuf> = folders.iter().map(|folder| root.join(folder)).collect();
        blocking(move || {
            // A share that is not mounted is not replaced by an empty folder.
            if !root.is_dir() {
                let reason = format!("{} is no folder; make it, or mount what it should be", root.display());
                return Err(PlaceError::Trouble(reason));
            }
            inside
                .iter()
                .try_for_each(|folder| fs::create_dir_all(folder).map_err(|error| failed(folder, &error)))
        })
        .await?
    }

    async fn list(&self, folder: &str) -> Done<Vec<Entry>> {
        let folder = self.root.join(folder);
        blocking(move || {
            let found = fs::read_dir(&folder).map_err(|error| failed(&folder, &error))?;
            let mut entries = Vec::new();
            for one in found {
                match one.and_then(|one| entry(&one)) {
                    Ok(one) => entries.extend(one),
                    // It has gone meanwhile.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(failed(&folder, &error)),
                }
            }
            Ok(entries)
        })
        .await?
    }

    async fn is_there(&self, path: &str) -> Done<bool> {
        let path = self.root.join(path);
        blocking(move || path.try_exists().map_err(|error| failed(&path, &error))).await?
    }

    async fn fetch(&self, path: &str) -> Done<File> {
        let path = self.root.join(path);
        blocking(move || File::open(&path).map_err(|error| failed(&path, &error))).await?
    }

    async fn put(&self, path: &str, mut bytes: File) -> Done<()> {
        let path = self.root.join(path);
        let hidden = path.with_file_name(format!(
            ".{}.part",
            path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
        ));
        blocking(move || {
            let mut write = || {
                bytes.rewind()?;
                let mut file = File::create(&hidden)?;
                io::copy(&mut bytes, &mut file)?;
                file.sync_all()?;
                fs::rename(&hidden, &path)?;
                // The name is kept by its folder.
                path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
            };
            write().map_err(|error: io::Error| failed(&path, &error))
        })
        .await?
    }

    async fn rename(&self, from: &str, to: &str) -> Done<bool> {
        let (from, to) = (self.root.join(from), self.root.join(to));
        blocking(move || {
            if to.try_exists().map_err(|error| failed(&to, &error))? {
                return Err(PlaceError::Trouble(format!("{} is there already", to.display())));
            }
            match fs::rename(&from, &to) {
                Ok(()) => Ok(true),
                Err(error) if error.kind() == io::ErrorKind::NotFound && !from.exists() => Ok(false),
                Err(error) => Err(failed(&from, &error)),
            }
        })
        .await?
    }
}
