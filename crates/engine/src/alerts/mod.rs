//! Alerts at work: what is gathered of the ledger and its systems, and what people were told.
//!
//! What is a trouble, and when people hear of it, is decided by [`onhand_sync::alerts`]. Here facts are gathered, in small
//! reads that hold nobody up; what was told is kept in notes, one for each trouble and target, so that nobody hears of
//! it twice, whatever is restarted. What could not be told is tried again, less and less often; where word was sent and the program
//! ended before that was kept, the same is sent again under the same id.

mod gather;

use std::collections::BTreeMap;

use onhand_channels::notice::{Line, Notice, Way};
use onhand_ledger::{Instant, TenantId};
use onhand_store::{Note, StoreError};
use onhand_sync::alerts::{Kind, Patience, Seen, Told, Trouble, decide, pause_seconds, trouble};
use serde::{Deserialize, Serialize};

use crate::commit::Ledger;
use crate::queue::{Handle, SubmitError};
use crate::seal::{KeepError, Seal, SealError};
use crate::systems::read_note;
use crate::view::View;

use gather::Facts;

/// The notes that targets are kept in, by name: sealed.
pub const TARGET: &str = "alert_target";
/// The notes that say what was seen and told, by target and trouble.
pub const SEEN: &str = "alert_seen";
/// The notes that say how word reaches targets, by name.
const DELIVERY: &str = "alert_delivery";
/// So many notes are read together.
const PAGE: usize = 500;
/// So many troubles are told together.
const LINES: usize = 500;

/// Whom to tell, and of what.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Target {
    /// Its name: 1 to 50 characters.
    pub name: String,
    /// Where word goes.
    pub way: Way,
    /// Of what; empty: of all.
    pub kinds: Vec<Kind>,
    /// How long what may last.
    pub patience: Patience,
}

/// Word that is due to a target.
#[derive(Clone, Debug)]
pub struct Due {
    /// To whom.
    pub target: Target,
    /// What to say; none: nothing, or not yet, but something may be remembered.
    pub notice: Option<Notice>,
    told: Told,
    delivery: Delivery,
    now: Instant,
}

impl Target {
    fn wants(&self, kind: Kind) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&kind)
    }
}

/// How word reaches a target.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Delivery {
    /// When it last did.
    pub told_at: Option<Instant>,
    /// It does not.
    pub failing: Option<Failing>,
}

/// A target that cannot be reached.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Failing {
    /// Since when.
    pub since: Instant,
    /// So many times in a row.
    pub times: u32,
    /// What went wrong last.
    pub why: String,
    /// When it is tried again.
    pub retry_at: Instant,
}

impl Delivery {
    /// After word was sent.
    fn after(&self, told: Result<(), &str>, now: Instant) -> Self {
        let Err(why) = told else { return Self { told_at: Some(now), failing: None } };
        let before = self.failing.as_ref();
        let times = before.map_or(1, |before| before.times.saturating_add(1));
        let since = before.map_or(now, |before| before.since);
        let retry_at = now.plus_seconds(pause_seconds(times).into());
        Self { told_at: self.told_at, failing: Some(Failing { since, times, why: why.to_owned(), retry_at }) }
    }
}

/// How word reached a target so far.
pub fn delivery(view: &mut View<'_>, target: &str) -> Result<Delivery, StoreError> {
    read_note(view, DELIVERY, target)
}

/// What looks for troubles. What it keeps in mind is found again by whoever begins anew.
#[derive(Debug, Default)]
pub struct Alerts(gather::Memory);

impl Alerts {
    /// What is due to whom, by now. Reads only.
    pub fn look(&mut self, ledger: &Ledger, tenant: TenantId) -> Result<Vec<Due>, StoreError> {
        let targets = ledger.read(tenant, |view| targets(view, ledger.seal()))?;
        let targets: Vec<Target> = targets.into_iter().filter_map(|(_, target)| target.ok()).collect();
        if targets.is_empty() {
            *self = Self::default();
            return Ok(Vec::new());
        }
        let facts = self.0.gather(ledger, tenant, &targets)?;
        let now = ledger.clock().now();
        targets.into_iter().map(|target| due(ledger, tenant, target, &facts, now)).collect()
    }
}

fn due(
    ledger: &Ledger,
    tenant: TenantId,
    target: Target,
    facts: &Facts,
    now: Instant,
) -> Result<Due, StoreError> {
    let (seen, delivery) = ledger.read(tenant, |view| {
        Ok::<_, StoreError>((seen_by(view, &target.name)?, delivery(view, &target.name)?))
    })?;
    let about_itself = format!("unreached:{}", target.name);
    let found = facts.all.iter().filter_map(|fact| trouble(fact, &target.patience, now));
    let troubles: Vec<Trouble> =
        found.filter(|trouble| target.wants(trouble.kind) && trouble.key != about_itself).collect();
    let mut told = decide(&troubles, &facts.cut, &seen, &target.patience, now);
    // What there is no room for is told at the next look.
    told.begun.truncate(LINES);
    told.over.truncate(LINES - told.begun.len());
    let is_resting = delivery.failing.as_ref().is_some_and(|failing| now < failing.retry_at);
    let notice = notice(&told).filter(|_| !is_resting);
    Ok(Due { target, notice, told, delivery, now })
}

/// What is said; none where there is nothing to say.
fn notice(told: &Told) -> Option<Notice> {
    let line = |(key, seen): &(String, Seen), over| Line {
        key: key.clone(),
        kind: seen.kind.name().to_owned(),
        over,
        sentence: seen.sentence.clone(),
        since: seen.since.to_string(),
    };
    let begun = told.begun.iter().map(|begun| line(begun, false));
    let lines: Vec<Line> = begun.chain(told.over.iter().map(|over| line(over, true))).collect();
    let first = lines.first()?;
    let title = match (told.begun.len(), told.over.len()) {
        (1, 0) => format!("Onhand: {}", first.sentence),
        (0, 1) => format!("Onhand: over: {}", first.sentence),
        (0, over) => format!("Onhand: {over} troubles are over"),
        (begun, 0) => format!("Onhand: {begun} troubles"),
        (begun, over) => format!("Onhand: {begun} new, {over} over"),
    };
    let mut hasher = blake3::Hasher::new();
    for line in &lines {
        hasher.update(format!("{}\0{}\0{}\0", line.key, line.since, line.over).as_bytes());
    }
    let id = hasher.finalize().to_hex().chars().take(32).collect();
    Some(Notice { id, title, lines })
}

impl Due {
    /// What is to be kept once it was tried: what was noticed, and what was told if it was.
    pub fn notes(&self, told: Result<(), &str>) -> Vec<Note> {
        let note = |key: &str, seen: Option<&Seen>| Note {
            space: SEEN.to_owned(),
            key: format!("{}/{key}", self.target.name),
            body: seen.map(|seen| serde_json::to_string(seen).expect("what was seen can always be written")),
        };
        let is_told = told.is_ok() && self.notice.is_some();
        let noted = self.told.noted.iter().map(|(key, seen)| note(key, seen.as_ref()));
        let begun = self.told.begun.iter().map(|(key, seen)| note(key, Some(seen)));
        let over = self.told.over.iter().map(|(key, _)| note(key, None));
        let mut notes: Vec<Note> = noted.chain(begun.chain(over).filter(|_| is_told)).collect();
        if self.notice.is_some() {
            let after = self.delivery.after(told, self.now);
            let body = serde_json::to_string(&after).expect("how it went can always be written");
            notes.push(Note { space: DELIVERY.to_owned(), key: self.target.name.clone(), body: Some(body) });
        }
        notes
    }
}

/// What a target was told of and is not over, and what is on its way to be told.
pub fn seen_by(view: &mut View<'_>, target: &str) -> Result<BTreeMap<String, Seen>, StoreError> {
    let prefix = format!("{target}/");
    let (mut seen, mut after) = (BTreeMap::new(), prefix.clone());
    loop {
        let page = view.notes(SEEN, Some(&after), PAGE)?;
        let more = page.len() >= PAGE;
        for (key, body) in page {
            let Some(trouble) = key.strip_prefix(&prefix) else { return Ok(seen) };
            let known = serde_json::from_str(&body)
                .map_err(|error| StoreError::Damaged(format!("note {SEEN}/{key}: {error}")))?;
            seen.insert(trouble.to_owned(), known);
            after.clone_from(&key);
        }
        if !more {
            return Ok(seen);
        }
    }
}

/// A target, or why it does not open.
pub type Opened = Result<Target, SealError>;

/// All targets by name.
pub fn targets(view: &mut View<'_>, seal: &Seal) -> Result<Vec<(String, Opened)>, StoreError> {
    let tenant = view.tenant();
    let open = |(name, body): (String, String)| {
        let plain = seal.open(tenant, TARGET, &name, &body);
        let target = plain.and_then(|plain| serde_json::from_slice(&plain).map_err(|_| SealError::Malformed));
        (name, target)
    };
    Ok(view.notes(TARGET, None, usize::MAX >> 1)?.into_iter().map(open).collect())
}

/// Keeps a target, in place of the one of that name. It is tried again at once if it could not be reached.
pub async fn keep(handle: &Handle, tenant: TenantId, target: &Target) -> Result<(), KeepError> {
    let plain = serde_json::to_vec(target).expect("a target can always be written");
    let body = handle.ledger().seal().seal(tenant, TARGET, &target.name, &plain)?;
    let note = Note { space: TARGET.to_owned(), key: target.name.clone(), body: Some(body) };
    let anew = Note { space: DELIVERY.to_owned(), key: target.name.clone(), body: None };
    handle.submit_with(tenant, None, vec![note, anew]).await?;
    Ok(())
}

/// Forgets a target, and what it was told. Says whether there was one.
pub async fn forget(handle: &Handle, tenant: TenantId, name: &str) -> Result<bool, SubmitError> {
    let seen = handle.ledger().read(tenant, |view| {
        let is_there = view.note(TARGET, name)?.is_some();
        Ok::<_, StoreError>((is_there, seen_by(view, name)?))
    });
    let (is_there, seen) = seen.map_err(|error| SubmitError::Commit(error.into()))?;
    let gone = |space: &str, key: String| Note { space: space.to_owned(), key, body: None };
    let mut notes = vec![gone(TARGET, name.to_owned()), gone(DELIVERY, name.to_owned())];
    notes.extend(seen.keys().map(|key| gone(SEEN, format!("{name}/{key}"))));
    if is_there {
        handle.submit_with(tenant, None, notes).await?;
    }
    Ok(is_there)
}
