//! Exchanging files at a place, whatever is in them: what comes is picked up once it is whole, which only one can do, and put away with
//! what became of it; what goes out is put there as a whole.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use onhand_ledger::Instant;
use tokio::time::Instant as Tick;

use super::http::Http;
use super::place::{Entry, Folder, Place, PlaceError};
use super::settings::Exchanging;
use super::sftp::Sftp;
use super::written;
use crate::arrived::Settled;
use crate::systems_at::SystemsAt;
use crate::{ChannelError, locked};

/// The folders there are.
const FOLDERS: [&str; 5] = ["in", "working", "archive", "failed", "out"];
/// What programs call a file that they are still writing.
const UNFINISHED: [&str; 7] = [".part", ".partial", ".filepart", ".crdownload", ".tmp", ".temp", "~"];
/// It is looked for files over a network so often, in seconds.
const POLL_SECONDS: u64 = 30;

/// Where a system's files are, and how we are let in there.
pub(crate) struct At<'a> {
    /// The system's name.
    pub name: &'a str,
    /// A folder (`/srv/exchange`, `file:///srv/exchange`), `sftp://…` or `http(s)://…`.
    pub url: &'a str,
    pub username: &'a str,
    pub secret: &'a str,
    /// Where systems may be.
    pub allowed_at: &'a SystemsAt,
}

/// Files that are exchanged with a system.
pub(crate) struct Exchange {
    name: String,
    place: Arc<dyn Place>,
    stable: Duration,
    poll: Duration,
    seen: Mutex<Seen>,
}

/// A file that was picked up.
#[derive(Clone)]
pub(crate) struct Picked {
    /// What it was called, and how it was.
    pub entry: Entry,
    /// What it is called now: another file of that name has another one.
    pub claim: String,
}

/// What lay there when it was looked last.
#[derive(Default)]
struct Seen {
    /// Were the folders made, and was it looked for what was picked up before a crash?
    begun: bool,
    next_look: Option<Tick>,
    /// By name: how each was, and since when.
    growing: HashMap<String, (Entry, Tick)>,
    /// By name: those that were taken and stay there, as they were.
    done: HashMap<String, Entry>,
    /// Whole, the oldest first.
    ready: VecDeque<Picked>,
}

/// Is it an address over HTTP, where nothing is taken away and files have fixed names?
pub(crate) fn is_http(url: &str) -> bool {
    url.starts_with("http://") || url.starts_with("https://")
}

impl Exchange {
    /// The files at an address.
    ///
    /// # Errors
    /// An address that is no place of files.
    pub fn new(at: &At<'_>, settings: &Exchanging, http: reqwest::Client) -> Result<Self, ChannelError> {
        let At { name, url, username, secret, allowed_at } = *at;
        let wrong = |reason: String| ChannelError::Address { system: name.to_owned(), reason };
        let path = url.strip_prefix("file://").unwrap_or(url);
        let is_here = Path::new(path).is_absolute();
        let place: Arc<dyn Place> = if is_here {
            Arc::new(Folder::new(Path::new(path)))
        } else if url.starts_with("sftp://") {
            Arc::new(
                Sftp::new(url, username, secret, settings.host_key.as_deref(), allowed_at).map_err(wrong)?,
            )
        } else if is_http(url) {
            Arc::new(Http::new(url, username, secret, &settings.names, http))
        } else {
            let such = "a folder such as /srv/exchange, sftp://files.example.com/exchange or https://files.example.com/exchange";
            return Err(wrong(format!("`{url}` is no place of files; it must be {such}")));
        };
        Ok(Self {
            name: name.to_owned(),
            place,
            stable: Duration::from_secs(settings.stable_seconds),
            poll: Duration::from_secs(settings.poll_seconds.unwrap_or(if is_here {
                0
            } else {
                POLL_SECONDS
            })),
            seen: Mutex::default(),
        })
    }

    /// What failed may have been done all the same: it is looked anew what is being taken.
    pub fn error(&self, error: PlaceError) -> ChannelError {
        locked(&self.seen).begun = false;
        let system = self.name.clone();
        match error {
            PlaceError::Refused(reason) => ChannelError::Credentials { system, reason },
            PlaceError::Trouble(reason) => ChannelError::Unreachable { system, reason },
        }
    }

    /// Makes the folders, and finds what was picked up before a crash.
    pub async fn begin(&self) -> Result<(), ChannelError> {
        self.prepare().await.map_err(|error| self.error(error))
    }

    /// The next file that is whole: the same again, after a crash too, until it is put away.
    pub async fn next(&self) -> Result<Option<Picked>, ChannelError> {
        self.look().await.map_err(|error| self.error(error))?;
        Ok(locked(&self.seen).ready.front().cloned())
    }

    /// The bytes of a file that was picked up.
    pub async fn fetch(&self, picked: &Picked) -> Result<File, ChannelError> {
        let path = if self.place.can_take() {
            format!("working/{}", picked.claim)
        } else {
            format!("in/{}", picked.entry.name)
        };
        self.place.fetch(&path).await.map_err(|error| self.error(error))
    }

    /// The files that lie in `out`.
    pub async fn waiting(&self) -> Result<Vec<Entry>, ChannelError> {
        self.place.list("out").await.map_err(|error| self.error(error))
    }

    /// Puts a file into `out`, as a whole or not at all.
    pub async fn send(&self, name: &str, bytes: File) -> Result<(), ChannelError> {
        self.begin().await?;
        self.place.put(&format!("out/{name}"), bytes).await.map_err(|error| self.error(error))
    }

    /// Puts the file that was picked up first away, with what became of it.
    pub async fn put_away(&self, claim: &str, settled: &Settled) -> Result<(), ChannelError> {
        let folder = if settled.is_taken { "archive" } else { "failed" };
        let result = written::result(settled)
            .map_err(|reason| ChannelError::Unexpected { system: self.name.clone(), reason })?;
        let done = async {
            self.place.put(&format!("{folder}/{claim}.result.csv"), result).await?;
            if self.place.can_take() {
                self.place.rename(&format!("working/{claim}"), &format!("{folder}/{claim}")).await?;
            }
            Ok(())
        };
        done.await.map_err(|error| self.error(error))?;
        let mut seen = locked(&self.seen);
        if let Some(Picked { entry, .. }) = seen.ready.pop_front().filter(|_| !self.place.can_take()) {
            seen.done.insert(entry.name.clone(), entry);
        }
        Ok(())
    }

    async fn prepare(&self) -> Result<(), PlaceError> {
        if locked(&self.seen).begun {
            return Ok(());
        }
        self.place.make(&FOLDERS).await?;
        let mut left = self.place.list("working").await?;
        sort(&mut left);
        let mut seen = locked(&self.seen);
        // Picked up before a crash: first of all.
        seen.ready =
            left.into_iter().map(|entry| Picked { claim: entry.name.clone(), entry: named(entry) }).collect();
        seen.begun = true;
        Ok(())
    }

    /// Looks what has come, and picks up what is whole.
    async fn look(&self) -> Result<(), PlaceError> {
        self.prepare().await?;
        let now = Tick::now();
        {
            let mut seen = locked(&self.seen);
            if !seen.ready.is_empty() || seen.next_look.is_some_and(|at| at > now) {
                return Ok(());
            }
            seen.next_look = Some(now + self.poll);
        }
        let mut there = self.place.list("in").await?;
        there.retain(|entry| is_file_of_theirs(&entry.name));
        sort(&mut there);
        let whole = locked(&self.seen).whole(there, now, self.stable);
        for entry in whole {
            let claim = self.claim(&entry).await?;
            locked(&self.seen).ready.extend(claim.map(|claim| Picked { entry, claim }));
        }
        Ok(())
    }

    /// Picks a file up: what it is called from now on. None: somebody else has.
    async fn claim(&self, entry: &Entry) -> Result<Option<String>, PlaceError> {
        let stamp = stamp(entry.written_at);
        if !self.place.can_take() {
            return Ok(Some(format!("{stamp}-{}", entry.name)));
        }
        // Two of one name may have been written at one time of a clock of seconds.
        for copy in 0..100 {
            let claim = if copy == 0 {
                format!("{stamp}-{}", entry.name)
            } else {
                format!("{stamp}.{copy}-{}", entry.name)
            };
            let mut is_there = false;
            for folder in ["working", "archive", "failed"] {
                is_there |= self.place.is_there(&format!("{folder}/{claim}")).await?;
            }
            if !is_there {
                let from = format!("in/{}", entry.name);
                let done = self.place.rename(&from, &format!("working/{claim}")).await?;
                return Ok(done.then_some(claim));
            }
        }
        Err(PlaceError::Trouble(format!("there are a hundred files `{}` of one time", entry.name)))
    }
}

impl Seen {
    /// Of what lies there, what has not changed for long enough.
    fn whole(&mut self, there: Vec<Entry>, now: Tick, stable: Duration) -> Vec<Entry> {
        let before = std::mem::take(&mut self.growing);
        let mut whole = Vec::new();
        for entry in there {
            let since = match before.get(&entry.name) {
                Some((as_it_was, since)) if *as_it_was == entry => *since,
                _ => now,
            };
            if now.duration_since(since) >= stable && self.done.get(&entry.name) != Some(&entry) {
                whole.push(entry.clone());
            }
            self.growing.insert(entry.name.clone(), (entry, since));
        }
        whole
    }
}

/// The oldest first.
fn sort(entries: &mut [Entry]) {
    entries.sort_by(|one, other| (one.written_at, &one.name).cmp(&(other.written_at, &other.name)));
}

/// Is it somebody's to be read? Not what is still being written, nor what we wrote of another.
fn is_file_of_theirs(name: &str) -> bool {
    let lower = name.to_lowercase();
    !name.starts_with('.')
        && !lower.ends_with(".result.csv")
        && !UNFINISHED.iter().any(|ending| lower.ends_with(ending))
}

/// A time as a part of a file's name: `20261129T101500.250`.
fn stamp(at: Instant) -> String {
    let text = jiff::Timestamp::from_microsecond(at.micros()).unwrap_or_default();
    text.strftime("%Y%m%dT%H%M%S.%3f").to_string()
}

/// What a file was called before it was picked up.
fn named(entry: Entry) -> Entry {
    let name = entry.name.split_once('-').map_or(entry.name.as_str(), |(_, name)| name).to_owned();
    Entry { name, ..entry }
}

/// A hash of a file's bytes; it is at its beginning again then.
pub(crate) fn hash_of(mut file: &File) -> std::io::Result<String> {
    use std::io::Seek as _;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file)?;
    file.rewind()?;
    Ok(hasher.finalize().to_hex().to_string())
}
