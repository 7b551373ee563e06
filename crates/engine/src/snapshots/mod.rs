//! Snapshots: what an outside master says there is at one of its locations, as of a time.
//!
//! A snapshot is kept before anything is done with it, and so is what became of it. It is taken as counts (see
//! [`onhand_ledger::command::TakeCount`]), each an anchor at its `as_of`: once its system's own documents up to then are
//! known, one after the other in the order of `as_of`, each once. What looks like a fault is held for a person. Whether it is taken, waits or is
//! held is decided in [`onhand_sync::snapshot`]; who is master, and what a count changes, by the ledger.

mod hear;
mod kept;
mod rows;
mod take;
mod untaken;

use onhand_ledger::command::{Line, Name, Resolve};
use onhand_ledger::model::{Inbound, Meaning};
use onhand_ledger::{Answer, Body, Command, DiscrepancyId, Instant, Invalid, Quantity, SystemId, TenantId};
use onhand_store::{Note, StoreError};
use onhand_sync::snapshot::{Documents, Guard, Told};
use serde::{Deserialize, Serialize};

pub use self::hear::{Beside, hear, tidy_untaken};
pub use self::kept::{documents_known_to, open_systems, snapshots};
pub(crate) use self::rows::is_master;
pub use self::take::{settle, settle_all};
pub use self::untaken::{Untaken, WhyUntaken};
pub(crate) use self::untaken::{untaken_of, untaken_of_all};
use crate::commit::CommitError;
use crate::queue::{Handle, SubmitError};
use crate::rehearse::Rehearsal;
use crate::view::View;

/// How many rows a snapshot has at most; more come as parts.
pub const ROWS_AT_MOST: usize = 200_000;
/// How many snapshots of a system may wait, held ones included.
const OPEN_AT_MOST: usize = 100;
/// How far ahead of now its time may be, in seconds: by less it waits for that time, by more it is none.
const AHEAD_AT_MOST: i64 = 3_600;

/// What a system says there is at one of its locations.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Snapshot {
    /// Its name: stable for ever, 1 to 255 characters. None: named by its location and time.
    pub document: Option<String>,
    /// The system's id of a location that is mapped to one of ours, or our code of it; none: its only one.
    pub location: Option<String>,
    /// When its numbers were true, by the teller.
    pub as_of: Instant,
    /// Does it speak of all there is at the location? Else of its rows alone.
    pub whole: bool,
    /// How many rows the teller says it has.
    pub declared_rows: Option<usize>,
    /// The teller's own documents up to this instant are known.
    pub documents_known_to: Option<Instant>,
    /// What there is.
    pub rows: Vec<Row>,
    /// What its numbers mean; none: what its system says that they do.
    pub meaning: Option<Meaning>,
    /// So many units more lie there, of which it says nothing else than our books.
    pub agrees: Quantity,
    /// What holds it, whatever else is found of it.
    pub held_by: Option<Guard>,
}

/// So much of something.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Row {
    /// What: by our SKU, or by the system's listing, which counts in packs where it is one of several.
    pub item: Name,
    /// How much; net of the teller's own orders where it says that its numbers are, and not negative where it does not.
    pub quantity: Quantity,
    /// Of which lot, where the item is tracked by these.
    pub lot: Option<String>,
    /// Which pieces, where it is tracked by serials.
    pub serials: Option<Vec<String>>,
}

/// A snapshot as it is kept, and what became of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Kept {
    /// Its name.
    pub document: String,
    /// Our code of the location.
    pub location: String,
    /// When its numbers were true.
    pub as_of: Instant,
    /// When it was told.
    pub received_at: Instant,
    /// All there is at the location?
    pub whole: bool,
    /// How many rows it has.
    pub rows: usize,
    /// How many the teller says it has.
    pub declared_rows: Option<usize>,
    /// What its numbers mean, where that is not what its system's do.
    #[serde(default)]
    pub meaning: Option<Meaning>,
    /// Units that lie there beside these, and are as our books have them.
    #[serde(default)]
    pub agrees: Quantity,
    /// What holds it, whatever else is found of it.
    #[serde(default)]
    pub held_by: Option<Guard>,
    /// To tell a copy from another of the same name.
    pub fingerprint: u64,
    /// To tell whether another says the same.
    #[serde(default)]
    pub content: u64,
    /// How it stands.
    pub state: Standing,
    /// Why, in plain words.
    pub sentence: String,
}

/// How a snapshot stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It waits for its system's documents.
    Waiting,
    /// It is held for a person.
    Held {
        /// Why.
        why: Guard,
        /// Where a person reads of it.
        discrepancy: Option<DiscrepancyId>,
    },
    /// A person approved it; it is taken as soon as its system's documents are known.
    Approved {
        /// Who.
        by: String,
    },
    /// It is taken.
    Taken(Taken),
    /// A person rejected it; nothing was changed.
    Rejected {
        /// Who.
        by: String,
    },
    /// It was held, and its system shows other numbers meanwhile; nothing was changed.
    Superseded,
}

impl Standing {
    /// May something still become of it?
    pub const fn is_open(&self) -> bool {
        self.is_to_be_done() || matches!(self, Self::Held { .. })
    }

    /// Is it taken as soon as it can be, with nobody asked?
    const fn is_to_be_done(&self) -> bool {
        matches!(self, Self::Waiting | Self::Approved { .. })
    }
}

/// What a snapshot came to.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Taken {
    /// Items (or lots) that were counted by it.
    pub counted: usize,
    /// Of them those whose number was another.
    pub different: usize,
    /// Units that it added.
    pub added: Quantity,
    /// Units that it took.
    pub taken: Quantity,
    /// Units there were of what it counted, by our books.
    pub found: Quantity,
    /// Rows that could not be counted: they are in the inbox.
    pub not_counted: usize,
}

impl Kept {
    fn told(&self, rows_before: Option<usize>) -> Told {
        Told {
            as_of: self.as_of,
            received_at: self.received_at,
            whole: self.whole,
            rows: self.rows,
            declared_rows: self.declared_rows,
            rows_before,
        }
    }
}

/// Why a snapshot is not kept.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It is none.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// It could not be committed.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// It could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another one has that name.
    #[error(
        "`{document}` was told before with other content, and is {state}; a snapshot is told once: give this one another name"
    )]
    NameTaken {
        /// Which.
        document: String,
        /// How that one stands.
        state: &'static str,
    },
    /// What is asked for is over.
    #[error("`{document}` is {state} already; only one that is held is approved or rejected")]
    NotHeld {
        /// Which.
        document: String,
        /// How it stands.
        state: &'static str,
    },
    /// Too many wait.
    #[error(
        "{OPEN_AT_MOST} snapshots of {system} wait already: see to those that are held, and to its documents"
    )]
    TooMany {
        /// Which system.
        system: String,
    },
}

/// The word for how a snapshot stands.
pub const fn word(standing: &Standing) -> &'static str {
    match standing {
        Standing::Waiting => "waiting",
        Standing::Held { .. } => "held",
        Standing::Approved { .. } => "approved",
        Standing::Taken(_) => "taken",
        Standing::Rejected { .. } => "rejected",
        Standing::Superseded => "superseded",
    }
}

/// Keeps a snapshot, then does with it what can be done now. A copy of one that is kept is told how that stands.
pub async fn tell(
    handle: &Handle,
    tenant: TenantId,
    system: &str,
    snapshot: Snapshot,
) -> Result<(Kept, bool), SnapshotError> {
    check(&snapshot)?;
    let now = handle.ledger().clock().now();
    if snapshot.as_of > now.plus_seconds(AHEAD_AT_MOST) {
        let problem =
            format!("{} is more than an hour ahead of our clock ({now}); check that clock", snapshot.as_of);
        return Err(Invalid::Field { field: "as_of", problem }.into());
    }
    let (id, location, is_net, known) = handle.ledger().read(tenant, |view| {
        let Some((id, known)) = view.system_by_name(system)? else { return Ok(Err(unknown_system(system))) };
        let location = match location_of(view, &known, snapshot.location.as_deref())? {
            Ok(location) => location,
            Err(invalid) => return Ok(Err(invalid)),
        };
        let is_net = is_net(snapshot.meaning, &known.inbound);
        Ok(Ok((id, location, is_net, kept::snapshots(view, id)?)))
    })??;
    // One that sold more than it has says less than nothing, before its own orders are added.
    if let Some(row) = snapshot.rows.iter().find(|row| row.quantity.is_negative() && !is_net) {
        let (Name::Sku(name) | Name::Listing(name)) = &row.item;
        let problem = format!("{} of `{name}` cannot lie there; 0 or more can", row.quantity);
        return Err(Invalid::Field { field: "quantity", problem }.into());
    }
    let document = snapshot.document.clone().unwrap_or_else(|| format!("{location} {}", snapshot.as_of));
    let fingerprint = fingerprint(&location, &snapshot);
    if let Some(before) = known.iter().find(|before| before.document == document) {
        if before.fingerprint != fingerprint {
            return Err(SnapshotError::NameTaken { document, state: word(&before.state) });
        }
        say_known_to(handle, tenant, system, snapshot.documents_known_to).await?;
        return Ok((before.clone(), true));
    }
    // What is heard number by number is bounded by what there is to hear of.
    let is_heard = snapshot.meaning.is_some();
    if !is_heard && known.iter().filter(|before| before.state.is_open()).count() >= OPEN_AT_MOST {
        return Err(SnapshotError::TooMany { system: system.to_owned() });
    }
    let kept = Kept {
        document: document.clone(),
        location,
        as_of: snapshot.as_of,
        received_at: handle.ledger().clock().now(),
        whole: snapshot.whole,
        rows: snapshot.rows.len(),
        declared_rows: snapshot.declared_rows,
        meaning: snapshot.meaning,
        agrees: snapshot.agrees,
        held_by: snapshot.held_by,
        fingerprint,
        content: content(&snapshot.rows),
        state: Standing::Waiting,
        sentence: format!("{system}'s snapshot of {} has come.", snapshot.as_of),
    };
    let mut notes = kept::row_notes(id, &document, &snapshot.rows);
    notes.extend([kept::note(id, &kept), kept::open_note(id, &document, true)]);
    // Durable before anything is done with it.
    handle.submit_with(tenant, None, notes).await?;
    say_known_to(handle, tenant, system, snapshot.documents_known_to).await?;
    settle(handle, tenant, id).await?;
    let now = handle.ledger().read(tenant, |view| kept::snapshot(view, id, &document))?;
    Ok((now.unwrap_or(kept), false))
}

/// A system says that all its documents up to an instant are told. What waited for these is taken.
pub async fn say_known_to(
    handle: &Handle,
    tenant: TenantId,
    system: &str,
    known_to: Option<Instant>,
) -> Result<(), SnapshotError> {
    let Some(known_to) = known_to else { return Ok(()) };
    let now = handle.ledger().clock().now();
    if known_to > now.plus_seconds(300) {
        return Err(Invalid::TooFarAhead { field: "documents_known_to", at: known_to, now }.into());
    }
    let (id, before) = handle.ledger().read(tenant, |view| {
        let Some((id, _)) = view.system_by_name(system)? else { return Ok(Err(unknown_system(system))) };
        Ok(Ok((id, kept::told_known_to(view, id)?)))
    })??;
    if before.is_none_or(|before| before < known_to) {
        handle.submit_with(tenant, None, vec![kept::known_to_note(id, known_to)]).await?;
    }
    settle(handle, tenant, id).await?;
    Ok(())
}

/// A person approves a snapshot that is held, or rejects it. One that is approved counts as of its own time, however old.
pub async fn decide(
    handle: &Handle,
    tenant: TenantId,
    system: &str,
    document: &str,
    approve: bool,
    by: &str,
) -> Result<Kept, SnapshotError> {
    let unknown = || Invalid::Unknown { kind: "snapshot", id: format!("{document} of {system}") };
    let found = handle.ledger().read(tenant, |view| {
        let Some((id, _)) = view.system_by_name(system)? else { return Ok(Err(unknown_system(system))) };
        Ok(Ok((id, kept::snapshot(view, id, document)?)))
    })??;
    let (id, Some(_)) = found else { return Err(unknown().into()) };
    let answer = |mut kept: Kept| {
        if approve {
            kept.state = Standing::Approved { by: by.to_owned() };
            kept.sentence = format!("{by} approved {system}'s snapshot of {}.", kept.as_of);
        } else {
            kept.state = Standing::Rejected { by: by.to_owned() };
            kept.sentence =
                format!("{by} rejected {system}'s snapshot of {}; nothing was changed.", kept.as_of);
        }
        kept
    };
    if let Some(kept) = answer_held(handle, tenant, id, document, by, answer).await? {
        let is_answered = match kept.state {
            Standing::Approved { .. } | Standing::Taken(_) => approve,
            Standing::Rejected { .. } => !approve,
            _ => false,
        };
        if is_answered {
            return Ok(kept);
        }
        return Err(SnapshotError::NotHeld { document: document.to_owned(), state: word(&kept.state) });
    }
    settle(handle, tenant, id).await?;
    let now = handle.ledger().read(tenant, |view| kept::snapshot(view, id, document))?;
    now.ok_or_else(|| unknown().into())
}

/// Why nobody needs to decide any more on a snapshot that is held.
#[derive(Clone, Copy)]
enum Over {
    /// Its system shows other numbers.
    Shows,
    /// Its system is not heard of what is in it any longer: the listing, its name, being master or one-way in is over.
    Heard,
}

async fn supersede(
    handle: &Handle,
    tenant: TenantId,
    id: SystemId,
    document: &str,
    over: Over,
) -> Result<(), SnapshotError> {
    let system = handle.ledger().read(tenant, |view| view.system(id))?;
    let Some(name) = system.map(|system| system.name) else { return Ok(()) };
    let answer = |mut kept: Kept| {
        kept.state = Standing::Superseded;
        let as_of = kept.as_of;
        kept.sentence = match over {
            Over::Shows => {
                format!("{name} shows other numbers than in its snapshot of {as_of}; nothing was changed.")
            }
            Over::Heard => format!(
                "Our books do not follow {name} any longer in what its snapshot of {as_of} says: its listing was unlinked, its item has \
                 another name, or {name} is not its master or not one-way in; nothing was changed."
            ),
        };
        kept
    };
    answer_held(handle, tenant, id, document, &name, answer).await?;
    Ok(())
}

/// Ends that a snapshot is held. Where it is not, it is as it is.
async fn answer_held(
    handle: &Handle,
    tenant: TenantId,
    id: SystemId,
    document: &str,
    by: &str,
    answer: impl FnOnce(Kept) -> Kept,
) -> Result<Option<Kept>, SnapshotError> {
    let _alone = handle.ledger().snapshots.lock().await;
    let Some(kept) = handle.ledger().read(tenant, |view| kept::snapshot(view, id, document))? else {
        return Ok(None);
    };
    let Standing::Held { discrepancy, .. } = kept.state else { return Ok(Some(kept)) };
    let kept = answer(kept);
    let mut notes = if kept.state.is_to_be_done() {
        vec![kept::open_note(id, document, true)]
    } else {
        kept::no_rows(id, document, kept.rows)
    };
    notes.push(kept::note(id, &kept));
    // What was asked ends with the word that answers it: stopped in between, it would be asked for ever. Who resolved it before is
    // right too. Of two answers on two nodes at one instant the first holds.
    let fingerprint = hashed(&(word(&kept.state), by, handle.ledger().clock().now().micros()));
    let resolve = discrepancy.map(|discrepancy| {
        let body = Body::Resolve(Resolve { discrepancy, choice: None });
        Command { key: Some(format!("held:{}", discrepancy.0)), fingerprint, actor: by.to_owned(), body }
    });
    match handle.submit_with(tenant, resolve, notes).await {
        Ok(_) => Ok(None),
        Err(SubmitError::Commit(CommitError::Invalid(Invalid::KeyReused(_)))) => {
            Ok(handle.ledger().read(tenant, |view| kept::snapshot(view, id, document))?)
        }
        Err(error) => Err(error.into()),
    }
}

/// What is known of a system's documents.
fn documents(view: &mut View<'_>, id: SystemId) -> Result<Documents, StoreError> {
    Ok(Documents { known_to: documents_known_to(view, id)? })
}

fn unknown_system(name: &str) -> SnapshotError {
    Invalid::UnknownSystem(name.to_owned()).into()
}

/// Our code of the location that a snapshot is of.
fn location_of(
    view: &mut View<'_>,
    system: &onhand_ledger::model::System,
    told: Option<&str>,
) -> Result<Result<String, SnapshotError>, StoreError> {
    let code = |view: &mut View<'_>, id| Ok(view.location(id)?.map(|location| location.code));
    let mapped = match (told, system.locations.as_slice()) {
        (Some(told), all) => all.iter().find(|mapping| mapping.remote_id == told),
        (None, [only]) => Some(only),
        (None, all) => {
            let problem = match all.len() {
                0 => format!("`{}` has no location mapped; name ours by its code", system.name),
                several => format!("`{}` has {several} locations; name one", system.name),
            };
            return Ok(Err(Invalid::Field { field: "location", problem }.into()));
        }
    };
    let found = match (mapped, told) {
        (Some(mapping), _) => code(view, mapping.location)?,
        (None, Some(told)) => view.location_by_code(told)?.map(|(_, location)| location.code),
        (None, None) => None,
    };
    Ok(found.ok_or_else(|| Invalid::UnknownLocation(told.unwrap_or_default().to_owned()).into()))
}

/// What can be said of a snapshot without looking at the ledger.
fn check(snapshot: &Snapshot) -> Result<(), Invalid> {
    let field = |field, problem| Err(Invalid::Field { field, problem });
    if let Some(document) = &snapshot.document
        && (document.is_empty() || document.len() > 255 || document.chars().any(char::is_control))
    {
        return field("document", "must have 1 to 255 bytes, none of them a control character".to_owned());
    }
    if snapshot.rows.len() > ROWS_AT_MOST {
        let rows = snapshot.rows.len();
        return field("rows", format!("{rows} rows; at most {ROWS_AT_MOST} come at once: send parts"));
    }
    if snapshot.rows.is_empty() && !snapshot.whole {
        return Err(Invalid::NoLines("a part of a stock"));
    }
    let mut seen = std::collections::BTreeSet::new();
    for row in &snapshot.rows {
        let (Name::Sku(name) | Name::Listing(name)) = &row.item;
        let is_listing = matches!(row.item, Name::Listing(_));
        if !seen.insert((is_listing, name, &row.lot, &row.serials)) {
            return Err(Invalid::Twice { field: "rows", value: name.clone() });
        }
    }
    Ok(())
}

fn fingerprint(location: &str, snapshot: &Snapshot) -> u64 {
    let said = (location, snapshot.as_of, snapshot.whole, snapshot.declared_rows, &snapshot.rows);
    hashed(&said)
}

fn content(rows: &[Row]) -> u64 {
    hashed(&rows)
}

fn hashed(said: &impl Serialize) -> u64 {
    let bytes = serde_json::to_vec(said).expect("a snapshot can always be written");
    u64::from_be_bytes(blake3::hash(&bytes).as_bytes().first_chunk().copied().unwrap_or_default())
}

/// Does a system tell what lies there less what its own orders have set aside?
fn is_net(meaning: Option<Meaning>, settings: &Inbound) -> bool {
    meaning.unwrap_or(settings.meaning) == Meaning::NetOfOwnOrders
}

/// What counts of lines would come to, part by part, each beside those before it. A line that is none spoils no others: it is told alone,
/// and another may be counted in its place.
async fn rehearse(
    handle: &Handle,
    tenant: TenantId,
    mut parts: Vec<Vec<Line>>,
    count: impl Fn(Vec<Line>) -> Command,
    mut see: impl FnMut(&[Line], Result<Answer, Invalid>) -> Result<Option<Line>, SnapshotError>,
) -> Result<(), SnapshotError> {
    let ledger = handle.ledger();
    let mut rehearsal = ledger.read(tenant, |view| Ok(Rehearsal::begin(view)))?;
    parts.reverse();
    while let Some(lines) = parts.pop() {
        let command = count(lines.clone());
        let answer = match ledger.read(tenant, |view| Ok(rehearsal.decide(view, &command)))? {
            Ok(rehearsed) => Ok(rehearsed.answer),
            Err(CommitError::Invalid(_)) if lines.len() > 1 => {
                parts.extend(lines.into_iter().map(|line| vec![line]));
                continue;
            }
            Err(CommitError::Invalid(invalid)) => Err(invalid),
            Err(error) => return Err(SubmitError::Commit(error).into()),
        };
        parts.extend(see(&lines, answer)?.map(|line| vec![line]));
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// Was this said of a location before, and is it held for a person, or did one reject it?
pub fn is_held_or_rejected(
    view: &mut View<'_>,
    system: SystemId,
    location: &str,
    rows: &[Row],
) -> Result<bool, StoreError> {
    let known = kept::snapshots(view, system)?;
    let newest = known.iter().rfind(|kept| kept.location == location);
    Ok(newest.is_some_and(|kept| {
        matches!(kept.state, Standing::Held { .. } | Standing::Rejected { .. })
            && kept.content == content(rows)
    }))
}

fn written(space: &str, key: String, body: &impl Serialize) -> Note {
    let body = serde_json::to_string(body).expect("what is kept of a snapshot can always be written");
    Note { space: space.to_owned(), key, body: Some(body) }
}
