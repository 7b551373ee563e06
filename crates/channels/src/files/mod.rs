//! Systems that speak by files: CSV or XLSX, in a folder of this machine, over SFTP or over HTTP(S).
//!
//! What comes lies in `in`, and is picked up once it is whole: a file that did not change for a while is given another name, in
//! `working`, which only one can do. What became of it lies beside it in `archive`, or in `failed`. What goes out is written in `out`,
//! under another name first, so that nobody reads half of it. What it shows is what it was last told: only a file of its own says otherwise.

mod content;
mod http;
mod place;
mod settings;
mod sftp;
mod written;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs::File;
use std::io::{self, Seek as _};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use onhand_ledger::{Instant, Quantity};
use tokio::time::Instant as Tick;

use self::http::Http;
use self::place::{Entry, Folder, Place, PlaceError, blocking};
use self::settings::{Format, Out, Settings};
use self::sftp::Sftp;
use crate::arrived::{Arrived, Problem, Settled};
use crate::{
    Channel, ChannelError, Discovery, Meaning, OrderPage, Push, Pushed, Reading, RemoteLocation, locked,
};

/// So many numbers are written together.
const BATCH: usize = 1_000_000;
/// The folders there are.
const FOLDERS: [&str; 5] = ["in", "working", "archive", "failed", "out"];
/// What programs call a file that they are still writing.
const UNFINISHED: [&str; 7] = [".part", ".partial", ".filepart", ".crdownload", ".tmp", ".temp", "~"];
/// It is looked for files over a network so often, in seconds.
const POLL_SECONDS: u64 = 30;

/// A system that speaks by files.
pub struct Files {
    name: String,
    settings: Settings,
    place: Arc<dyn Place>,
    seen: Mutex<Seen>,
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
    /// Whole, the oldest first: what it was called, and what it is called now.
    ready: VecDeque<(Entry, String)>,
}

impl Files {
    /// A system at a folder (`/srv/exchange`, `file:///srv/exchange`), at `sftp://…` or at `http(s)://…`, with its settings by name.
    pub fn new(
        name: &str,
        url: &str,
        username: &str,
        secret: &str,
        settings: &BTreeMap<String, String>,
        http: reqwest::Client,
    ) -> Result<Self, ChannelError> {
        let wrong = |reason: String| ChannelError::Address { system: name.to_owned(), reason };
        let unset = |reason: String| ChannelError::Settings { system: name.to_owned(), reason };
        let path = url.strip_prefix("file://").unwrap_or(url);
        let is_here = Path::new(path).is_absolute();
        let settings = Settings::parse(settings, if is_here { 0 } else { POLL_SECONDS }).map_err(unset)?;
        let place: Arc<dyn Place> = if is_here {
            Arc::new(Folder::new(Path::new(path)))
        } else if url.starts_with("sftp://") {
            Arc::new(Sftp::new(url, username, secret, settings.host_key.as_deref()).map_err(wrong)?)
        } else if url.starts_with("http://") || url.starts_with("https://") {
            if settings.out == Out::Changes {
                let reason =
                    "over HTTP a full file goes out: what was not fetched yet would be replaced".to_owned();
                return Err(unset(format!("the setting `out` is `changes`; {reason}")));
            }
            Arc::new(Http::new(url, username, secret, &settings.names, http))
        } else {
            let such = "a folder such as /srv/exchange, sftp://files.example.com/exchange or https://files.example.com/exchange";
            return Err(wrong(format!("`{url}` is no place of files; it must be {such}")));
        };
        Ok(Self { name: name.to_owned(), settings, place, seen: Mutex::default() })
    }

    /// What failed may have been done all the same: it is looked anew what is being taken.
    fn error(&self, error: PlaceError) -> ChannelError {
        locked(&self.seen).begun = false;
        let system = self.name.clone();
        match error {
            PlaceError::Refused(reason) => ChannelError::Credentials { system, reason },
            PlaceError::Trouble(reason) => ChannelError::Unreachable { system, reason },
        }
    }

    fn cannot_write(&self, reason: String) -> ChannelError {
        ChannelError::Unexpected { system: self.name.clone(), reason }
    }

    async fn begin(&self) -> Result<(), PlaceError> {
        if locked(&self.seen).begun {
            return Ok(());
        }
        self.place.make(&FOLDERS).await?;
        let mut left = self.place.list("working").await?;
        sort(&mut left);
        let mut seen = locked(&self.seen);
        // Picked up before a crash: first of all.
        seen.ready = left.into_iter().map(|entry| (named(&entry), entry.name)).collect();
        seen.begun = true;
        Ok(())
    }

    /// Looks what has come, and picks up what is whole.
    async fn look(&self) -> Result<(), PlaceError> {
        self.begin().await?;
        let now = Tick::now();
        {
            let mut seen = locked(&self.seen);
            if !seen.ready.is_empty() || seen.next_look.is_some_and(|at| at > now) {
                return Ok(());
            }
            seen.next_look = Some(now + Duration::from_secs(self.settings.poll_seconds));
        }
        let mut there = self.place.list("in").await?;
        there.retain(|entry| is_file_of_theirs(&entry.name));
        sort(&mut there);
        let whole = locked(&self.seen).whole(there, now, Duration::from_secs(self.settings.stable_seconds));
        for entry in whole {
            let claim = self.claim(&entry).await?;
            locked(&self.seen).ready.extend(claim.map(|claim| (entry, claim)));
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

    async fn read_file(&self, entry: Entry, claim: String) -> Result<Arrived, PlaceError> {
        let path =
            if self.place.can_take() { format!("working/{claim}") } else { format!("in/{}", entry.name) };
        let file = self.place.fetch(&path).await?;
        let (settings, written_at) = (self.settings.clone(), entry.written_at);
        let (hash, content) = blocking(move || {
            let hash = hash_of(&file).map_err(|error| PlaceError::Trouble(error.to_string()))?;
            Ok::<_, PlaceError>((hash, content::read(&file, written_at, &settings)))
        })
        .await??;
        Ok(Arrived { name: entry.name, claim, hash, written_at, content })
    }

    /// What goes out: all numbers, or those that changed.
    async fn write(&self, numbers: Vec<(String, String, Quantity)>, seq: u64) -> Result<(), ChannelError> {
        self.begin().await.map_err(|error| self.error(error))?;
        let ending = if self.settings.format == Format::Csv { "csv" } else { "xlsx" };
        let path = match self.settings.out {
            Out::Full => format!("out/stock.{ending}"),
            Out::Changes => {
                let there = self.place.list("out").await.map_err(|error| self.error(error))?;
                // One after the other by name; what was not fetched yet is not replaced.
                let name = |part: usize| format!("stock-{seq:012}-{part:03}.{ending}");
                let is_free = |part: &usize| !there.iter().any(|one| one.name == name(*part));
                format!("out/{}", name((1..=there.len()).find(is_free).unwrap_or(there.len() + 1)))
            }
        };
        let settings = self.settings.clone();
        let made = blocking(move || {
            let by_place = numbers
                .iter()
                .map(|(listing, place, quantity)| ((&**listing, &**place), *quantity))
                .collect();
            written::stock(&by_place, &settings)
        });
        let file =
            made.await.map_err(|error| self.error(error))?.map_err(|reason| self.cannot_write(reason))?;
        self.place.put(&path, file).await.map_err(|error| self.error(error))
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

/// A file's bytes; it is at its beginning again then.
fn hash_of(mut file: &File) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file)?;
    file.rewind()?;
    Ok(hasher.finalize().to_hex().to_string())
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
fn named(entry: &Entry) -> Entry {
    let name = entry.name.split_once('-').map_or(entry.name.as_str(), |(_, name)| name);
    Entry { name: name.to_owned(), ..entry.clone() }
}

#[async_trait::async_trait]
impl Channel for Files {
    fn meaning(&self) -> Meaning {
        self.settings.meaning
    }

    fn batch_size(&self) -> usize {
        BATCH
    }

    fn tells_within_ms(&self) -> i64 {
        match self.settings.meaning {
            Meaning::SellableNetOfOwnOrders => self.settings.orders_within_seconds * 1_000,
            Meaning::PhysicalOnHand | Meaning::Shown => 0,
        }
    }

    fn shows_back(&self) -> bool {
        false
    }

    fn pushes_whole(&self) -> bool {
        self.settings.out == Out::Full
    }

    fn lists_ours(&self) -> bool {
        true
    }

    fn taken_over_seconds(&self) -> i64 {
        self.settings.taken_over_seconds
    }

    fn expected_seconds(&self) -> Option<i64> {
        self.settings.expected_seconds
    }

    async fn test(&self) -> Result<(), ChannelError> {
        self.begin().await.map_err(|error| self.error(error))
    }

    async fn discover(&self) -> Result<Discovery, ChannelError> {
        self.test().await?;
        let locations = self.settings.locations.iter();
        let locations =
            locations.map(|name| RemoteLocation { remote_id: name.clone(), name: name.clone() }).collect();
        Ok(Discovery { listings: Vec::new(), locations })
    }

    /// It cannot be asked: see [`Channel::shows_back`].
    async fn read(&self, _listings: &[String]) -> Result<Vec<Reading>, ChannelError> {
        Ok(Vec::new())
    }

    async fn push(&self, pushes: &[Push]) -> Result<Vec<Pushed>, ChannelError> {
        self.push_beside(pushes, &[]).await
    }

    async fn push_beside(
        &self,
        pushes: &[Push],
        beside: &[(String, String, Quantity)],
    ) -> Result<Vec<Pushed>, ChannelError> {
        let pushed = pushes.iter().map(|push| (push.listing.clone(), push.location.clone(), push.quantity));
        let numbers = beside.iter().cloned().chain(pushed).collect();
        let seq = pushes.iter().map(|push| push.seq).max().unwrap_or_default();
        self.write(numbers, seq).await?;
        Ok(pushes.iter().map(|_| Pushed::Acknowledged).collect())
    }

    /// Those that come, come as files: see [`Channel::arrived`].
    async fn orders(&self, cursor: Option<&str>) -> Result<OrderPage, ChannelError> {
        Ok(OrderPage { orders: Vec::new(), cursor: cursor.unwrap_or_default().to_owned(), more: false })
    }

    fn brings_files(&self) -> bool {
        true
    }

    async fn arrived(&self) -> Result<Option<Arrived>, ChannelError> {
        self.look().await.map_err(|error| self.error(error))?;
        let next = locked(&self.seen).ready.front().cloned();
        let Some((entry, claim)) = next else { return Ok(None) };
        let arrived = self.read_file(entry, claim).await.map_err(|error| self.error(error))?;
        Ok(Some(arrived))
    }

    async fn settle(&self, arrived: &Arrived, settled: &Settled) -> Result<(), ChannelError> {
        let folder = if settled.is_taken { "archive" } else { "failed" };
        let result = written::result(settled).map_err(|reason| self.cannot_write(reason))?;
        let claim = &arrived.claim;
        let done = async {
            self.place.put(&format!("{folder}/{claim}.result.csv"), result).await?;
            if self.place.can_take() {
                self.place.rename(&format!("working/{claim}"), &format!("{folder}/{claim}")).await?;
            }
            Ok(())
        };
        done.await.map_err(|error| self.error(error))?;
        let mut seen = locked(&self.seen);
        if let Some((entry, _)) = seen.ready.pop_front().filter(|_| !self.place.can_take()) {
            seen.done.insert(entry.name.clone(), entry);
        }
        Ok(())
    }
}

/// What is wrong with a file, in a sentence: the first of it, and how much more there is.
pub fn first_of(problems: &[Problem]) -> String {
    let Some(first) = problems.first() else { return String::new() };
    let place = match (first.line, &first.column) {
        (Some(line), Some(column)) => format!("line {line}, column `{column}`: "),
        (Some(line), None) => format!("line {line}: "),
        (None, _) => String::new(),
    };
    let more = match problems.len() - 1 {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    format!("{place}{}{more}", first.reason)
}
