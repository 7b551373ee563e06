//! Systems that speak by files: CSV or XLSX, in a folder of this machine, over SFTP or over HTTP(S).
//!
//! What comes lies in `in`, and is picked up once it is whole: a file that did not change for a while is given another name, in
//! `working`, which only one can do. What became of it lies beside it in `archive`, or in `failed`. What goes out is written in `out`,
//! under another name first, so that nobody reads half of it. What it shows is what it was last told: only a file of its own says otherwise.

mod content;
pub(crate) mod exchange;
mod http;
pub(crate) mod place;
pub(crate) mod settings;
mod sftp;
mod written;

use std::collections::BTreeMap;

use onhand_ledger::Quantity;

use self::exchange::{At, Exchange, hash_of, is_http};
use self::place::{PlaceError, blocking};
use self::settings::{Format, Out, Settings};
use crate::arrived::{Arrived, Problem, Settled};
use crate::systems_at::SystemsAt;
use crate::{Channel, ChannelError, Discovery, Meaning, OrderPage, Push, Pushed, Reading};

/// So many numbers are written together.
pub(crate) const BATCH: usize = 1_000_000;

/// A system that speaks by files.
pub struct Files {
    name: String,
    settings: Settings,
    exchange: Exchange,
}

impl Files {
    /// A system at a folder (`/srv/exchange`, `file:///srv/exchange`), at `sftp://…` or at `http(s)://…`, with its settings by name.
    pub fn new(
        name: &str,
        url: &str,
        username: &str,
        secret: &str,
        settings: &BTreeMap<String, String>,
        (http, allowed_at): (reqwest::Client, &SystemsAt),
    ) -> Result<Self, ChannelError> {
        let unset = |reason: String| ChannelError::Settings { system: name.to_owned(), reason };
        let settings = Settings::parse(settings).map_err(unset)?;
        if is_http(url) && settings.exchanging.out == Out::Changes {
            let reason =
                "over HTTP a full file goes out: what was not fetched yet would be replaced".to_owned();
            return Err(unset(format!("the setting `out` is `changes`; {reason}")));
        }
        let exchange =
            Exchange::new(&At { name, url, username, secret, allowed_at }, &settings.exchanging, http)?;
        Ok(Self { name: name.to_owned(), settings, exchange })
    }

    fn cannot_write(&self, reason: String) -> ChannelError {
        ChannelError::Unexpected { system: self.name.clone(), reason }
    }

    /// What goes out: all numbers, or those that changed.
    async fn write(&self, numbers: Vec<(String, String, Quantity)>, seq: u64) -> Result<(), ChannelError> {
        self.exchange.begin().await?;
        let ending = if self.settings.format == Format::Csv { "csv" } else { "xlsx" };
        let name = match self.settings.exchanging.out {
            Out::Full => format!("stock.{ending}"),
            Out::Changes => {
                let there = self.exchange.waiting().await?;
                // One after the other by name; what was not fetched yet is not replaced.
                let name = |part: usize| format!("stock-{seq:012}-{part:03}.{ending}");
                let is_free = |part: &usize| !there.iter().any(|one| one.name == name(*part));
                name((1..=there.len()).find(is_free).unwrap_or(there.len() + 1))
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
        let made = made.await.map_err(|error| self.exchange.error(error))?;
        self.exchange.send(&name, made.map_err(|reason| self.cannot_write(reason))?).await
    }
}

#[async_trait::async_trait]
impl Channel for Files {
    fn meaning(&self) -> Meaning {
        self.settings.exchanging.meaning
    }

    fn batch_size(&self) -> usize {
        BATCH
    }

    fn tells_within_ms(&self) -> i64 {
        self.settings.exchanging.tells_within_ms()
    }

    fn shows_back(&self) -> bool {
        false
    }

    fn pushes_whole(&self) -> bool {
        self.settings.exchanging.out == Out::Full
    }

    fn lists_ours(&self) -> bool {
        true
    }

    fn taken_over_seconds(&self) -> i64 {
        self.settings.exchanging.taken_over_seconds
    }

    fn expected_seconds(&self) -> Option<i64> {
        self.settings.exchanging.expected_seconds
    }

    async fn test(&self) -> Result<(), ChannelError> {
        self.exchange.begin().await
    }

    async fn discover(&self) -> Result<Discovery, ChannelError> {
        self.test().await?;
        Ok(self.settings.exchanging.discovery())
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
        let Some(picked) = self.exchange.next().await? else { return Ok(None) };
        let file = self.exchange.fetch(&picked).await?;
        let (settings, written_at) = (self.settings.clone(), picked.entry.written_at);
        let read = blocking(move || {
            let hash = hash_of(&file).map_err(|error| PlaceError::Trouble(error.to_string()))?;
            Ok::<_, PlaceError>((hash, content::read(&file, written_at, &settings)))
        });
        let read = read.await.and_then(|read| read).map_err(|error| self.exchange.error(error))?;
        let (hash, content) = (read.0, read.1.map(|brought| vec![brought]));
        let (name, claim) = (picked.entry.name, picked.claim);
        Ok(Some(Arrived { name, claim, hash, written_at, content, refused: Vec::new() }))
    }

    async fn settle(&self, arrived: &Arrived, settled: &Settled) -> Result<(), ChannelError> {
        self.exchange.put_away(&arrived.claim, settled).await
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
