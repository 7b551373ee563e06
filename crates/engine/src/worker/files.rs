//! Files that a system brings: each is booked once, and put away with what became of it.
//!
//! Booked again after a crash, it comes to the same: orders are documents with versions, snapshots have names. The same bytes under
//! another name are told and not booked. Where the system is master its stock is a snapshot; else it is a reading, judged as others are.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use onhand_channels::ChannelError;
use onhand_channels::arrived::{Arrived, Brought, Problem, Settled, StockRow};
use onhand_channels::files::first_of;
use onhand_ledger::command::{Name, Note as NoteCommand};
use onhand_ledger::model::Cause;
use onhand_ledger::{AHEAD_SECONDS, Instant, Key, Quantity, Value};
use onhand_store::{Note, StoreError};
use serde::{Deserialize, Serialize};

use super::{Worker, WorkerError};
use crate::queue::SubmitError;
use crate::snapshots::{self, ROWS_AT_MOST, Row, Snapshot, SnapshotError, Standing, word};
use crate::systems::found::discover;
use crate::systems::{counted, shown_key};

/// So many names are looked up while nobody else reads.
const SLICE: usize = 500;
/// So many rows that were not taken are told of a file at most.
const TOLD: usize = 10_000;
/// What was seen to so often is told no more.
const TOLD_AGAIN: usize = 1_000;
/// So much of a file's name is part of other names, in characters.
const NAME: usize = 100;

/// A file that was taken, as it is remembered by the hash of its bytes.
#[derive(Serialize, Deserialize)]
struct TakenFile {
    name: String,
    claim: String,
    at: Instant,
}

/// What came of the rows of a file.
#[derive(Default)]
pub(super) struct Came {
    pub told: Vec<String>,
    refused: Vec<Problem>,
    left: usize,
}

impl Came {
    pub fn refuse(&mut self, line: Option<u64>, column: Option<&str>, reason: String) {
        if self.refused.len() < TOLD {
            self.refused.push(Problem { line, column: column.map(str::to_owned), reason });
        }
        self.left += 1;
    }
}

impl Worker {
    /// Books the files that came, the oldest first, and puts each away.
    pub(super) async fn take_files(&mut self) -> Result<(), WorkerError> {
        if !self.channel.brings_files() {
            return Ok(());
        }
        let channel = self.channel.clone();
        while let Some(file) = channel.arrived().await? {
            // What a file means is as the system is set when it comes, not as it was when last looked at.
            self.refresh().await?;
            let settled = self.take_file(&file).await?;
            tracing::info!(system = self.system.name, file = file.name, settled.sentence, "a file came");
            channel.settle(&file, &settled).await?;
            self.status.file_heard_at = Some(self.now());
            if let Some(told) = self.status.file_missed.take() {
                self.resolve(told).await?;
            }
            self.keep_status().await?;
        }
        self.mind_silence().await
    }

    async fn take_file(&mut self, file: &Arrived) -> Result<Settled, WorkerError> {
        let space = format!("file:{}", self.id);
        let before = self.handle.ledger().read(self.tenant, |view| view.note(&space, &file.hash))?;
        let before: Option<TakenFile> = before.and_then(|body| serde_json::from_str(&body).ok());
        if let Some(before) = before.filter(|before| before.claim != file.claim) {
            return self.repeated(file, &before).await;
        }
        let content = match &file.content {
            Ok(content) => content,
            Err(problems) => return self.malformed(file, problems).await,
        };
        let ahead = self.times_ahead(content);
        if !ahead.is_empty() {
            return self.malformed(file, &ahead).await;
        }
        let mut came = Came::default();
        for problem in &file.refused {
            came.refuse(problem.line, problem.column.as_deref(), problem.reason.clone());
        }
        self.tell_refused(file).await?;
        for part in content {
            let part = self.take_part(file, part).await?;
            came.told.extend(part.told);
            came.refused.extend(part.refused);
            came.left += part.left;
        }
        came.refused.truncate(TOLD);
        let taken = TakenFile { name: file.name.clone(), claim: file.claim.clone(), at: self.now() };
        let body = serde_json::to_string(&taken).expect("what is known of a file can always be written");
        let note = Note { space, key: file.hash.clone(), body: Some(body) };
        self.handle.submit_with(self.tenant, None, vec![note]).await?;
        let mut sentence = came.told.join(" ");
        if came.left > 0 {
            sentence = format!("{sentence} {} not taken: see below.", came.left);
        }
        Ok(Settled { is_taken: true, sentence: sentence.trim().to_owned(), refused: came.refused })
    }

    async fn take_part(&mut self, file: &Arrived, part: &Brought) -> Result<Came, WorkerError> {
        match part {
            Brought::Orders(orders) => {
                let named =
                    orders.iter().flat_map(|(_, order)| &order.lines).map(|line| line.listing.as_str());
                self.list(named.collect()).await?;
                self.take_orders(orders).await
            }
            Brought::Stock { rows, whole } => {
                self.list(rows.iter().map(|row| &*row.listing).collect()).await?;
                if self.system.mode.direction.sends() {
                    self.take_readings(file, rows)
                } else {
                    self.take_snapshots(file, rows, *whole).await
                }
            }
            Brought::Followed(told) => self.take_followed(told).await,
            Brought::Received(told) => self.take_received(told).await,
            Brought::Changes(changes) => {
                self.list(changes.rows.iter().map(|row| &*row.listing).collect()).await?;
                self.take_changes(changes).await
            }
            Brought::Rejected(sentence) => self.take_word(file, Cause::PushRefused, sentence).await,
            Brought::Again(sentence) => self.take_word(file, Cause::RepeatedFile, sentence).await,
        }
    }

    async fn repeated(&self, file: &Arrived, before: &TakenFile) -> Result<Settled, WorkerError> {
        let sentence = format!(
            "{}'s file {} is the same as {}, which was taken at {}: nothing of it is booked again. Where a new one may come \
             to the same, have it say its time in a column as_of or updated_at.",
            self.system.name, file.name, before.name, before.at
        );
        let note = self.note_of(Cause::RepeatedFile, Quantity::ZERO, sentence.clone());
        self.tell_of_file(&format!("file/{}/{}/again", self.id, file.hash), note).await?;
        Ok(Settled { is_taken: true, sentence, refused: Vec::new() })
    }

    async fn malformed(&self, file: &Arrived, problems: &[Problem]) -> Result<Settled, WorkerError> {
        let sentence = format!(
            "{}'s file {} cannot be read, and nothing of it is booked: {}. It lies in failed, as {}; mend it and hand it in again.",
            self.system.name,
            file.name,
            first_of(problems),
            file.claim
        );
        let note = self.note_of(Cause::MalformedFile, Quantity::ZERO, sentence.clone());
        let note = NoteCommand { evidence: Some(format!("{} {}", file.claim, file.hash)), ..note };
        self.tell_of_file(&format!("file/{}/{}/malformed", self.id, file.hash), note).await?;
        Ok(Settled { is_taken: false, sentence, refused: problems.to_vec() })
    }

    /// Tells a person, once while it is open: of what was seen to before and comes again it is told again.
    pub(super) async fn tell_of_file(&self, told_as: &str, note: NoteCommand) -> Result<(), WorkerError> {
        for nth in 0..TOLD_AGAIN {
            let told_as = if nth == 0 { told_as.to_owned() } else { format!("{told_as}/{nth}") };
            let Some(told) = self.submit_note(Some(told_as), note.clone()).await? else { return Ok(()) };
            let known = self.handle.ledger().read(self.tenant, |view| view.get(&Key::Discrepancy(told)))?;
            let is_over = matches!(known, Some(Value::Discrepancy(known)) if known.resolved_at.is_some());
            if !is_over {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Rows of stock whose time is further ahead of our clock than clocks are apart: nobody knows when that was.
    fn times_ahead(&self, content: &[Brought]) -> Vec<Problem> {
        let now = self.now();
        let rows = content.iter().flat_map(|part| match part {
            Brought::Stock { rows, .. } => rows.as_slice(),
            _ => &[],
        });
        let ahead = rows.filter_map(|row| {
            let at = row.as_of.filter(|at| *at > now.plus_seconds(AHEAD_SECONDS))?;
            let reason = format!("{at} is more than 5 minutes ahead of our clock ({now}): check that clock");
            Some(Problem { line: Some(row.line), column: Some("as_of".to_owned()), reason })
        });
        ahead.take(TOLD).collect()
    }

    /// What is new with us is listed before a file names it.
    async fn list(&mut self, named: HashSet<&str>) -> Result<(), WorkerError> {
        if !self.channel.lists_ours() {
            return Ok(());
        }
        let named: Vec<&str> = named.into_iter().collect();
        let mut is_new = false;
        for slice in named.chunks(SLICE) {
            is_new |= self.handle.ledger().read(self.tenant, |view| {
                for name in slice {
                    if view.listing_by_remote(self.id, name)?.is_none() && view.item_by_sku(name)?.is_some() {
                        return Ok(true);
                    }
                }
                Ok::<_, StoreError>(false)
            })?;
            tokio::task::yield_now().await;
        }
        if is_new {
            let (handle, channel) = (self.handle.clone(), self.channel.clone());
            let found =
                discover(&handle, channel.as_ref(), self.tenant, &self.system.name, self.id, true).await;
            if let Err(error) = found {
                return Err(self.trouble(error.to_string()));
            }
            self.refresh().await?;
        }
        Ok(())
    }

    fn trouble(&self, reason: String) -> WorkerError {
        ChannelError::Unexpected { system: self.system.name.clone(), reason }.into()
    }

    async fn take_orders(
        &mut self,
        orders: &[(u64, onhand_channels::RemoteOrder)],
    ) -> Result<Came, WorkerError> {
        let mut came = Came::default();
        let (mut booked, mut known) = (0, 0);
        for (line, order) in orders {
            let (id, document) = (self.id, order.document.clone());
            let of = Key::Document(id, document.clone());
            let version = |value: Option<Value>| match value {
                Some(Value::Document(known)) => Some(known.version),
                _ => None,
            };
            let before = self.handle.ledger().read(self.tenant, |view| view.get(&of))?;
            if let Some(newer) = version(before.clone()).filter(|before| *before > order.version) {
                let at = Instant::from_micros(i64::try_from(newer).unwrap_or(i64::MAX));
                let reason =
                    format!("order `{document}` is known as it was at {at}, which is later: it stays so");
                came.refuse(Some(*line), Some("reference"), reason);
                continue;
            }
            self.order(order, None).await?;
            let (after, waiting) = self.handle.ledger().read(self.tenant, |view| {
                let waiting = match view.get(&Key::Waiting(id, document.clone()))? {
                    Some(Value::Waiting(waiting)) => view.get(&Key::Discrepancy(waiting.discrepancy))?,
                    _ => None,
                };
                Ok::<_, StoreError>((view.get(&of)?, waiting))
            })?;
            match (waiting, version(after)) {
                (Some(Value::Discrepancy(why)), _) => {
                    came.refuse(Some(*line), Some("reference"), why.sentence)
                }
                (_, Some(now)) if now != order.version => {
                    let reason = format!("order `{document}` could not be taken: see the inbox");
                    came.refuse(Some(*line), Some("reference"), reason);
                }
                (_, None) => {
                    let reason = format!("order `{document}` could not be taken: see the inbox");
                    came.refuse(Some(*line), Some("reference"), reason);
                }
                _ if version(before) == Some(order.version) => known += 1,
                _ => booked += 1,
            }
        }
        came.told.push(format!("{booked} orders booked, {known} known as they are."));
        Ok(came)
    }

    /// Its locations that are mapped: their ids over there, and our codes.
    pub(super) fn codes(&self) -> Result<Vec<(String, String)>, StoreError> {
        self.handle.ledger().read(self.tenant, |view| {
            let mut codes = Vec::new();
            for mapping in &self.system.locations {
                let code = view.location(mapping.location)?.map(|location| location.code);
                codes.extend(code.map(|code| (mapping.remote_id.clone(), code)));
            }
            Ok(codes)
        })
    }

    /// What a master says of its stock: one snapshot for each location and time.
    async fn take_snapshots(
        &mut self,
        file: &Arrived,
        rows: &[StockRow],
        whole: bool,
    ) -> Result<Came, WorkerError> {
        let (codes, now) = (self.codes()?, self.now());
        let mut came = Came::default();
        let mut places = BTreeMap::<(String, Instant), Vec<&StockRow>>::new();
        for row in rows {
            match remote_of(&codes, row.location.as_deref()) {
                Ok(remote) => {
                    let as_of = row.as_of.unwrap_or(file.written_at).min(now);
                    places.entry((remote, as_of)).or_default().push(row);
                }
                Err(reason) => came.refuse(Some(row.line), Some("location"), reason),
            }
        }
        // A file is cut off, or of nothing: its only location is told so.
        if whole
            && rows.is_empty()
            && let [(only, _)] = codes.as_slice()
        {
            places.insert((only.clone(), file.written_at.min(now)), Vec::new());
        }
        for slice in rows.chunks(SLICE) {
            self.handle.ledger().read(self.tenant, |view| {
                for row in slice {
                    let listing = view.listing_by_remote(self.id, &row.listing)?;
                    if listing.and_then(|(_, listing)| listing.item).is_none() {
                        let reason = format!("`{}` is none of our items: see the inbox", row.listing);
                        came.refuse(Some(row.line), Some("sku"), reason);
                    }
                }
                Ok::<_, StoreError>(())
            })?;
            tokio::task::yield_now().await;
        }
        // All of its orders that came before are booked by now: older files are taken first.
        self.status.orders_known_to = Some(now);
        self.keep_status().await?;
        let several =
            places.iter().map(|((remote, _), _)| remote).collect::<BTreeSet<_>>().len() < places.len();
        let mut part = 0;
        for ((remote, as_of), rows) in places {
            // Of several times, none has all there is.
            let is_whole = whole && !several && rows.len() <= ROWS_AT_MOST;
            let mut chunks: Vec<&[&StockRow]> = rows.chunks(ROWS_AT_MOST).collect();
            if chunks.is_empty() {
                chunks.push(&[]);
            }
            for chunk in chunks {
                part += 1;
                let name: String =
                    file.name.chars().filter(|letter| !letter.is_control()).take(NAME).collect();
                let short = file.hash.get(..8).unwrap_or_default();
                let snapshot = Snapshot {
                    document: Some(format!("{} {short}/{part}", name.trim_start())),
                    location: Some(remote.clone()),
                    as_of,
                    whole: is_whole,
                    declared_rows: None,
                    documents_known_to: None,
                    rows: chunk.iter().map(|row| row_of(row)).collect(),
                    meaning: None,
                    agrees: Quantity::ZERO,
                    held_by: None,
                };
                self.see(&remote, &snapshot).await?;
                let code = codes.iter().find(|(id, _)| *id == remote).map_or("", |(_, code)| code.as_str());
                let told = snapshots::tell(&self.handle, self.tenant, &self.system.name, snapshot).await;
                came.told.push(self.told_of(code, told)?);
            }
        }
        Ok(came)
    }

    fn told_of(
        &self,
        code: &str,
        told: Result<(snapshots::Kept, bool), SnapshotError>,
    ) -> Result<String, WorkerError> {
        match told {
            Ok((kept, _)) => Ok(match &kept.state {
                Standing::Taken(taken) => format!(
                    "{code} at {}: {} counted, {} of them otherwise than known.",
                    kept.as_of, taken.counted, taken.different
                ),
                state => format!("{code} at {}: {}. {}", kept.as_of, word(state), kept.sentence),
            }),
            Err(SnapshotError::Submit(error)) => Err(error.into()),
            Err(SnapshotError::Store(error)) => Err(error.into()),
            Err(SnapshotError::Invalid(invalid)) => Err(SubmitError::Commit(invalid.into()).into()),
            Err(SnapshotError::NameTaken { state, .. }) => Ok(format!("{code}: told before, and {state}.")),
            // It comes again once there is room.
            Err(error) => Err(self.trouble(error.to_string())),
        }
    }

    /// What a system that is told our numbers says that it shows.
    fn take_readings(&mut self, file: &Arrived, rows: &[StockRow]) -> Result<Came, WorkerError> {
        let (codes, now) = (self.codes()?, self.now());
        let mut came = Came::default();
        let mut sums = BTreeMap::<String, (Quantity, Instant)>::new();
        for row in rows {
            let remote = match remote_of(&codes, row.location.as_deref()) {
                Ok(remote) => remote,
                Err(reason) => {
                    came.refuse(Some(row.line), Some("location"), reason);
                    continue;
                }
            };
            let known = self
                .handle
                .ledger()
                .read(self.tenant, |view| view.listing_by_remote(self.id, &row.listing))?;
            let Some((listing, _)) = known.filter(|(_, listing)| listing.item.is_some()) else {
                let reason = format!("`{}` is none of our items", row.listing);
                came.refuse(Some(row.line), Some("sku"), reason);
                continue;
            };
            let at = row.as_of.unwrap_or(file.written_at).min(now);
            let sum = sums.entry(shown_key(listing, &remote)).or_insert((Quantity::ZERO, at));
            *sum = (sum.0 + row.quantity, sum.1.min(at));
        }
        let (mut compared, mut early) = (0, 0);
        let taken_over = self.channel.taken_over_seconds();
        for (key, (quantity, at)) in sums {
            let Some(line) = self.lines.get(&key) else { continue };
            // It may not have heard then of what we told it last.
            if line.state.sent.is_some_and(|sent| at < sent.at.plus_seconds(taken_over)) {
                early += 1;
                continue;
            }
            self.seen.insert(key.clone(), quantity);
            self.read_back.insert(key);
            compared += 1;
        }
        self.next_read = now;
        came.told.push(format!("{} compared.", counted(compared, "number")));
        if early > 0 {
            came.told.push(format!("{early} not: it may not have taken over then what it was told last."));
        }
        Ok(came)
    }

    /// What nothing can be asked of shows what it was told, but for what a file of its own says.
    pub(super) fn as_told(&self, keys: &[String]) -> Vec<onhand_channels::Reading> {
        let reading = |key: &String| {
            let line = self.lines.get(key)?;
            let since = line.state.changes.iter().map(|change| change.quantity).sum::<Quantity>();
            let told = line.state.acknowledged.map_or(Quantity::ZERO, |told| told + since);
            Some(onhand_channels::Reading {
                listing: line.listing.remote_id.clone(),
                location: line.remote_location.clone(),
                quantity: self.seen.get(key).copied().unwrap_or(told),
                on_hand: None,
                allocated: None,
                tracked: true,
            })
        };
        keys.iter().filter_map(reading).collect()
    }

    /// What a file said is known until it is judged.
    pub(super) fn forget_seen(&mut self) {
        let (lines, read_back) = (&self.lines, &self.read_back);
        let is_open = |key: &String| {
            let is_judged = |line: &super::Line| line.reading.is_none() && line.suspected.is_none();
            read_back.contains(key) || lines.get(key).is_some_and(|line| !is_judged(line))
        };
        self.seen.retain(|key, _| is_open(key));
    }

    /// Tells once that a file is missing; it is over when one comes.
    async fn mind_silence(&mut self) -> Result<(), WorkerError> {
        let Some(every) = self.channel.expected_seconds() else { return Ok(()) };
        let now = self.now();
        let Some(heard_at) = self.status.file_heard_at else {
            self.status.file_heard_at = Some(now);
            return self.keep_status().await;
        };
        if self.status.file_missed.is_some() || now < heard_at.plus_seconds(every) {
            return Ok(());
        }
        let name = &self.system.name;
        let sentence = format!(
            "No file of {name} has come since {heard_at}, and one should every {every} seconds: see whether {name} still writes them."
        );
        let note = self.note_of(Cause::MissingFile, Quantity::ZERO, sentence);
        let key = format!("file/{}/missing/{}", self.id, heard_at.micros());
        self.status.file_missed = self.submit_note(Some(key), note).await?;
        self.keep_status().await
    }
}

fn row_of(row: &StockRow) -> Row {
    let item = Name::Listing(row.listing.to_string());
    let lot = row.lot.as_deref().map(str::to_owned);
    Row { item, quantity: row.quantity, lot, serials: None }
}

/// The remote id of a location that a row names, and why there is none.
pub(super) fn remote_of(codes: &[(String, String)], named: Option<&str>) -> Result<String, String> {
    let there = || {
        let names = codes.iter().map(|(remote, code)| format!("`{remote}` ({code})"));
        names.collect::<Vec<_>>().join(", ")
    };
    match (named, codes) {
        (None, [(only, _)]) => Ok(only.clone()),
        (None, _) => Err(format!("names no location; there are {}", there())),
        (Some(named), _) => codes
            .iter()
            .find(|(remote, _)| remote == named)
            .or_else(|| codes.iter().find(|(_, code)| code == named))
            .map(|(remote, _)| remote.clone())
            .ok_or_else(|| format!("`{named}` is no location that is mapped; there are {}", there())),
    }
}
