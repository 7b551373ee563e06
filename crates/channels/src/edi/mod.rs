//! Partners who speak EDI, by files: a warehouse that ships what it is sent (940, 945), takes in what it is told of (943, 944) and says what
//! it has (846, 947); a customer who orders (850) and is told numbers (846); and INVRPT either way. `onhand-edi` reads and writes.
//!
//! The files lie as those of [`crate::files`] do. Each interchange that comes is answered by a 997, or CONTRL, once what it brings is booked; each that
//! goes is followed until it is acknowledged. What must be remembered for that (numbers given, what was sent as which, what came) is kept by
//! the [`Host`], before anything is written, so that after a crash the same interchange is written again, under the same number.

mod read;
mod sent;
mod settings;
mod write;

use std::collections::BTreeMap;
use std::io::{Read as _, Seek as _, Write as _};
use std::sync::{Arc, Mutex, OnceLock};

use onhand_edi::{MOST_BYTES, Unwritable};
use onhand_ledger::{Instant, Quantity};
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::read::{Answer, Came};
use self::sent::{Asked, Sent as Document};
use self::settings::{LAST_CONTROL, Settings, Standard};
use self::write::Envelope;
use crate::arrived::{Arrived, Settled};
use crate::expected::{Announcement, Received, Receiving};
use crate::files::exchange::{At, Exchange, hash_of};
use crate::files::settings::Out;
use crate::host::Host;
use crate::outgoing::{Followed, Outgoing, Progress, Sent};
use crate::systems_at::SystemsAt;
use crate::{
    Channel, ChannelError, Discovery, Errand, Meaning, OrderPage, Push, Pushed, Reading, files, locked,
};

/// Under which the last control number that was given is kept.
const CONTROL: &str = "control";

/// A partner who speaks EDI.
pub struct Edi {
    name: String,
    settings: Settings,
    exchange: Exchange,
    host: OnceLock<Arc<dyn Host>>,
    /// What is to be done about the file that came last, once it is known what became of it.
    pending: Mutex<Option<(String, Pending)>>,
}

/// What is to be done once a file is put away.
#[derive(Clone, Default)]
struct Pending {
    /// The hash of its bytes.
    hash: String,
    /// The interchange that it is, to be known again.
    identity: Option<String>,
    answer: Option<Answer>,
}

/// What was sent under a control number.
#[derive(Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum Numbered {
    /// That version of a document.
    Document { document: String, version: u64 },
    /// Numbers.
    Stock,
}

/// An interchange that was taken.
#[derive(Serialize, serde::Deserialize)]
struct Taken {
    hash: String,
    name: String,
    at: Instant,
}

/// What came of writing a version of a document.
enum Written {
    /// It is written, now or before, or something newer is: that is remembered.
    As(Document),
    /// It cannot be said in EDI, and nothing of the document was ever sent.
    Never(String),
    /// It cannot be said so; what was sent of the document before stands.
    NotSo(String),
}

impl Edi {
    /// A partner at a folder, at `sftp://…` or at `http(s)://…`, with its settings by name.
    ///
    /// # Errors
    /// A setting or an address that is not as it must be.
    pub fn new(
        name: &str,
        url: &str,
        username: &str,
        secret: &str,
        settings: &BTreeMap<String, String>,
        (http, allowed_at): (reqwest::Client, &SystemsAt),
    ) -> Result<Self, ChannelError> {
        let settings = Settings::parse(settings)
            .map_err(|reason| ChannelError::Settings { system: name.to_owned(), reason })?;
        let exchange =
            Exchange::new(&At { name, url, username, secret, allowed_at }, &settings.exchanging, http)?;
        Ok(Self {
            name: name.to_owned(),
            settings,
            exchange,
            host: OnceLock::new(),
            pending: Mutex::default(),
        })
    }

    fn odd(&self, reason: impl ToString) -> ChannelError {
        ChannelError::unexpected(&self.name, reason)
    }

    fn host(&self) -> Result<&dyn Host, ChannelError> {
        let host = self.host.get().map(AsRef::as_ref);
        host.ok_or_else(|| self.odd("nobody runs it, so that it can remember nothing"))
    }

    async fn recall<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, ChannelError> {
        let text = self.host()?.recall(name).await?;
        let parsed = text.map(|text| serde_json::from_str(&text)).transpose();
        parsed.map_err(|error| self.odd(format!("what is kept as {name}: {error}")))
    }

    fn kept<T: Serialize>(&self, name: String, value: &T) -> Result<(String, String), ChannelError> {
        Ok((name, serde_json::to_string(value).map_err(|error| self.odd(error))?))
    }

    /// The first of so many control numbers that nobody was given, and how it is kept that they are.
    async fn next_control(&self, count: u32) -> Result<(u32, (String, String)), ChannelError> {
        let last = self.recall::<u32>(CONTROL).await?.unwrap_or(0);
        let first = (last + 1).max(self.settings.control_from);
        let last = first.saturating_add(count - 1);
        if last > LAST_CONTROL {
            return Err(self.odd(format!("all {LAST_CONTROL} control numbers are given")));
        }
        Ok((first, self.kept(CONTROL.to_owned(), &last)?))
    }

    fn envelope(&self, control: u32, at: Instant) -> Envelope<'_> {
        let (date, time) = self.settings.local(at);
        Envelope { settings: &self.settings, control, date, time }
    }

    async fn put(&self, kind: &str, control: u32, text: &str) -> Result<(), ChannelError> {
        let mut file = tempfile::tempfile().map_err(|error| self.odd(error))?;
        let written = file.write_all(text.as_bytes()).and_then(|()| file.rewind());
        written.map_err(|error| self.odd(error))?;
        self.exchange.send(&format!("{kind}-{control:09}.edi"), file).await
    }

    /// Writes a version of a document, unless that was done.
    async fn written(
        &self,
        document: &str,
        version: u64,
        asked: Asked,
        write: impl Fn(&Envelope<'_>, bool) -> Result<String, Unwritable>,
    ) -> Result<Written, ChannelError> {
        let (host, name) = (self.host()?, format!("sent/{document}"));
        let before: Option<Document> = self.recall(&name).await?;
        if let Some(known) = before.as_ref() {
            let is_written = known.version(version).is_some_and(|sent| sent.written_at.is_some());
            if is_written || known.is_newer_than(version) {
                return Ok(Written::As(known.clone()));
            }
        }
        let (now, kind) = (host.now(), asked.what().kind());
        // Given before a crash, it is this one's.
        let given = before.as_ref().and_then(|known| known.version(version)).map(|sent| sent.control);
        let is_new = before.as_ref().is_none_or(|known| known.is_first(version));
        let (control, number) = match given {
            Some(control) => (control, None),
            None => self.next_control(1).await.map(|(control, kept)| (control, Some(kept)))?,
        };
        let text = match write(&self.envelope(control, now), is_new) {
            Ok(text) => text,
            Err(unwritable) => {
                let why = format!("it cannot be said as a {kind}: {unwritable}");
                return Ok(if before.is_none() { Written::Never(why) } else { Written::NotSo(why) });
            }
        };
        let mut sent = match before {
            Some(known) if given.is_some() => known,
            before => Document::about_to_send(before, asked, control, now),
        };
        if let Some(number) = number {
            let numbered = Numbered::Document { document: document.to_owned(), version };
            let numbered = self.kept(format!("number/{control}"), &numbered)?;
            host.keep(vec![number, numbered, self.kept(name.clone(), &sent)?]).await?;
        }
        self.put(kind, control, &text).await?;
        sent.was_written(version, host.now());
        host.keep(vec![self.kept(name, &sent)?]).await?;
        Ok(Written::As(sent))
    }

    /// How the sending of a version ended, where nothing is known of what became of it.
    fn waits<T>(&self, sent: &Document, version: u64, now: Instant) -> Sent<T> {
        if let Some(why) = sent.rejected(version) {
            return Sent::Unknown { reason: why.to_owned() };
        }
        let Some(within) = self.settings.acknowledged_within else { return Sent::Received };
        let Some((control, at)) =
            sent.version(version).and_then(|sent| Some((sent.control, sent.written_at?)))
        else {
            return Sent::Received;
        };
        let written = format!("it was written as interchange {control:09} at {at}");
        let reason = if now < at.plus_seconds(within) {
            format!("{written}, and its 997 has not come yet")
        } else {
            format!(
                "{written}, and no 997 has come within {within} seconds: ask {} whether they have it",
                self.name
            )
        };
        Sent::Unknown { reason }
    }

    async fn send_order(&self, release: &str, order: &Outgoing) -> Result<Sent, ChannelError> {
        let (document, version) = (order.document.as_str(), order.version);
        let write = |envelope: &Envelope<'_>, is_new: bool| envelope.order(release, order, is_new);
        let now = self.host()?.now();
        Ok(match self.written(document, version, Asked::from(order), write).await? {
            Written::As(sent) if sent.is_answered(version) => match sent.followed(document) {
                Some(followed) => Sent::Answered(Box::new(followed)),
                None => Sent::Received,
            },
            Written::As(sent) => self.waits(&sent, version, now),
            Written::NotSo(reason) => Sent::Unknown { reason },
            Written::Never(reason) => Sent::Answered(Box::new(Followed {
                document: document.to_owned(),
                version,
                revision: version,
                updated_at: now,
                progress: Progress::Refused,
                reason: Some(reason),
                lines: Vec::new(),
                parcels: Vec::new(),
            })),
        })
    }

    async fn send_announcement(
        &self,
        release: &str,
        announced: &Announcement,
    ) -> Result<Sent<Received>, ChannelError> {
        let (document, version) = (announced.document.as_str(), announced.version);
        let write = |envelope: &Envelope<'_>, _: bool| envelope.announcement(release, announced);
        let now = self.host()?.now();
        Ok(match self.written(document, version, Asked::from(announced), write).await? {
            Written::As(sent) if sent.is_answered(version) => match sent.received(document) {
                Some(received) => Sent::Answered(Box::new(received)),
                None => Sent::Received,
            },
            Written::As(sent) => self.waits(&sent, version, now),
            Written::NotSo(reason) => Sent::Unknown { reason },
            Written::Never(reason) => Sent::Answered(Box::new(Received {
                document: document.to_owned(),
                version,
                revision: version,
                updated_at: now,
                progress: Receiving::Refused,
                reason: Some(reason),
                deliveries: Vec::new(),
            })),
        })
    }

    /// Numbers, an interchange for each location in X12.
    async fn tell_stock(&self, numbers: &[(&str, &str, Quantity)]) -> Result<(), ChannelError> {
        match &self.settings.standard {
            Standard::X12(release) => {
                let mut places = BTreeMap::<&str, BTreeMap<&str, Quantity>>::new();
                for (listing, place, quantity) in numbers {
                    places.entry(place).or_default().insert(listing, *quantity);
                }
                for (place, numbers) in places {
                    self.tell("846", |envelope| envelope.inventory(release, place, &numbers)).await?;
                }
                Ok(())
            }
            Standard::Edifact(directory) => {
                let mut listings = BTreeMap::<&str, Vec<(&str, Quantity)>>::new();
                for (listing, place, quantity) in numbers {
                    listings.entry(listing).or_default().push((place, *quantity));
                }
                self.tell("INVRPT", |envelope| envelope.report(*directory, &listings)).await
            }
        }
    }

    async fn tell(
        &self,
        kind: &str,
        write: impl Fn(&Envelope<'_>) -> Result<String, Unwritable>,
    ) -> Result<(), ChannelError> {
        let host = self.host()?;
        let (control, number) = self.next_control(1).await?;
        let text = write(&self.envelope(control, host.now()));
        let text = text.map_err(|error| self.odd(format!("numbers cannot be said as {kind}: {error}")))?;
        host.keep(vec![number, self.kept(format!("number/{control}"), &Numbered::Stock)?]).await?;
        self.put(kind, control, &text).await
    }

    /// Answers what came. The same bytes have the same answer, under the same number.
    async fn answer(&self, hash: &str, answer: &Answer) -> Result<(), ChannelError> {
        let (host, name) = (self.host()?, format!("answered/{hash}"));
        let (control, at) = match self.recall::<(u32, Instant)>(&name).await? {
            Some(given) => given,
            None => {
                let (control, number) = self.next_control(answer.numbers()).await?;
                let given = (control, host.now());
                host.keep(vec![number, self.kept(name, &given)?]).await?;
                given
            }
        };
        let envelope = self.envelope(control, at);
        let (kind, text) = match answer {
            Answer::X12(release, told) => ("997", envelope.acknowledgments(release, told)),
            Answer::Edifact(told) => ("CONTRL", envelope.control(told)),
        };
        let text = text.map_err(|error| self.odd(format!("it cannot be answered: {error}")))?;
        self.put(kind, control, &text).await
    }
}

#[async_trait::async_trait]
impl Channel for Edi {
    fn meaning(&self) -> Meaning {
        self.settings.exchanging.meaning
    }

    fn run_by(&self, host: Arc<dyn Host>) {
        // Whoever runs it first goes on running it.
        let _ = self.host.set(host);
    }

    fn batch_size(&self) -> usize {
        files::BATCH
    }

    fn tells_within_ms(&self) -> i64 {
        self.settings.exchanging.tells_within_ms()
    }

    fn shows_back(&self) -> bool {
        false
    }

    fn pushes_whole(&self) -> bool {
        self.settings.tells_stock && self.settings.exchanging.out == Out::Full
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

    /// Who is told no numbers shows whatever we have.
    async fn push_beside(
        &self,
        pushes: &[Push],
        beside: &[(String, String, Quantity)],
    ) -> Result<Vec<Pushed>, ChannelError> {
        if self.settings.tells_stock {
            let beside = beside.iter().map(|(listing, place, quantity)| (&**listing, &**place, *quantity));
            let pushed = pushes.iter().map(|push| (&*push.listing, &*push.location, push.quantity));
            self.tell_stock(&beside.chain(pushed).collect::<Vec<_>>()).await?;
        }
        Ok(pushes.iter().map(|_| Pushed::Acknowledged).collect())
    }

    /// Those that come, come as files: see [`Channel::arrived`].
    async fn orders(&self, cursor: Option<&str>) -> Result<OrderPage, ChannelError> {
        Ok(OrderPage { orders: Vec::new(), cursor: cursor.unwrap_or_default().to_owned(), more: false })
    }

    fn takes_orders(&self) -> bool {
        matches!(self.settings.standard, Standard::X12(_))
    }

    async fn send(&self, orders: &[Outgoing]) -> Result<Vec<Sent>, ChannelError> {
        let Standard::X12(release) = &self.settings.standard else {
            return Err(self.odd("orders are sent as X12 alone"));
        };
        let mut results = Vec::new();
        for order in orders {
            results.push(self.send_order(release, order).await?);
        }
        Ok(results)
    }

    async fn takes(&self) -> Result<Vec<Errand>, ChannelError> {
        Ok(match self.settings.standard {
            Standard::X12(_) => vec![Errand::Receipts, Errand::Transfers, Errand::Returns],
            Standard::Edifact(_) => Vec::new(),
        })
    }

    async fn announce(&self, announcements: &[Announcement]) -> Result<Vec<Sent<Received>>, ChannelError> {
        let Standard::X12(release) = &self.settings.standard else {
            return Err(self.odd("what is expected is announced as X12 alone"));
        };
        let mut results = Vec::new();
        for announced in announcements {
            results.push(self.send_announcement(release, announced).await?);
        }
        Ok(results)
    }

    fn brings_files(&self) -> bool {
        true
    }

    async fn arrived(&self) -> Result<Option<Arrived>, ChannelError> {
        let Some(picked) = self.exchange.next().await? else { return Ok(None) };
        let file = self.exchange.fetch(&picked).await?;
        let hash = hash_of(&file).map_err(|error| self.odd(error))?;
        let mut bytes = Vec::new();
        // One more than are taken, so that it shows that there are more.
        let most = u64::try_from(MOST_BYTES).unwrap_or(u64::MAX).saturating_add(1);
        file.take(most).read_to_end(&mut bytes).map_err(|error| self.odd(error))?;
        let (name, claim, written_at) = (picked.entry.name, picked.claim, picked.entry.written_at);
        let came = self.take_in(&bytes, &hash, written_at.min(self.host()?.now())).await?;
        let Came { content, refused, identity, answer } = came;
        *locked(&self.pending) = Some((claim.clone(), Pending { hash: hash.clone(), identity, answer }));
        Ok(Some(Arrived { name, claim, hash, written_at, content, refused }))
    }

    async fn settle(&self, arrived: &Arrived, settled: &Settled) -> Result<(), ChannelError> {
        let pending = locked(&self.pending).clone().filter(|(claim, _)| *claim == arrived.claim);
        if let Some((_, Pending { hash, identity, answer })) = pending {
            if let Some(answer) = answer {
                self.answer(&hash, &answer).await?;
            }
            if let Some(identity) = identity.filter(|_| settled.is_taken) {
                let host = self.host()?;
                let taken = Taken { hash, name: arrived.name.clone(), at: host.now() };
                host.keep(vec![self.kept(format!("taken/{identity}"), &taken)?]).await?;
            }
        }
        self.exchange.put_away(&arrived.claim, settled).await
    }
}
