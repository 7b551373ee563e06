//! Deciding: `(state, command, now) → entries + answer`.
//!
//! [`decide`] changes nothing. It reads the state through a [`tx::Tx`], which collects entries and folds them into
//! an overlay as it goes, so that a later line of a command sees the earlier ones. What is not in memory makes it
//! stop with the needs named; the committer provides them and asks again. An accepted or refused command becomes
//! one [`Record`]; a copy of an earlier one becomes nothing.

mod allocation;
mod balances;
mod beyond;
mod catalogue;
mod count;
mod document;
mod group;
mod hold;
mod item;
mod kits;
mod lines;
mod lots;
mod masters;
mod merge;
mod order;
mod plain;
mod policy;
mod produce;
mod promise;
mod recount;
mod returns;
mod reverse;
mod rules;
mod session;
mod shift;
mod stock;
mod supply;
mod transfer;
mod tx;

pub use self::reverse::may_be_reversed;
pub use self::tx::AHEAD_SECONDS;

use crate::answer::{Answer, Invalid, Refusal};
use crate::command::{Body, Command};
use crate::entry::{Entry, Record};
use crate::state::{Earlier, Given, ItemCard, Need, Overlay, PlaceCard, State};
use crate::{Due, Instant, Seq};

use plain::Plain;
use tx::{Stop, Tx};

/// What has been decided, not yet durable.
#[derive(Debug)]
#[must_use = "a decision changes nothing until it is committed and absorbed"]
pub struct Decided {
    outcome: Outcome,
    /// Was this answer given before?
    replayed: bool,
    first_seq: Seq,
    change: Change,
}

/// How a decision changes the state it was made on.
#[derive(Debug)]
enum Change {
    /// By what its record says; and what is worth keeping of what was looked up.
    OfRecord {
        item: Option<(String, ItemCard)>,
        place: Option<(String, PlaceCard)>,
    },
    /// So.
    Overlay(Box<Overlay>),
    Nothing,
}

/// What comes of a decision.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// This is to be appended to the log; the caller is told its answer once it is durable.
    New(Box<Record>),
    /// Nothing is (a copy of an earlier request or fact, or nothing was to be done); the caller is told this.
    Told(Answer),
}

impl Decided {
    /// The record's first `seq`.
    pub const fn first_seq(&self) -> Seq {
        self.first_seq
    }

    /// Was this answer given before?
    pub const fn replayed(&self) -> bool {
        self.replayed
    }

    /// What came of it.
    pub const fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// Takes the decision over into the state it was made on.
    pub fn absorb_into(self, state: &mut State) -> Outcome {
        match (&self.outcome, self.change) {
            (Outcome::New(record), Change::OfRecord { item, place }) => {
                state.keep_cards(item, place);
                state.fold(self.first_seq, record).expect("it was decided on what is in memory");
            }
            (Outcome::New(record), Change::Overlay(overlay)) => {
                state.absorb(*overlay, self.first_seq, record)
            }
            _ => {}
        }
        self.outcome
    }
}

/// Why nothing is decided.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Undecided {
    /// These must be provided first.
    Needs(Vec<Need>),
    /// It is no command; nothing is kept and its key stays free.
    Invalid(Invalid),
}

/// Decides a command on a state at an instant. `clock` may stand still or go back: what is recorded still grows.
pub fn decide(state: &State, given: &Given, command: &Command, clock: Instant) -> Result<Decided, Undecided> {
    let now = clock.max(state.recorded_at.plus_micros(1));
    if let Some(key) = &command.key {
        if key.is_empty() || key.len() > 255 {
            let problem = format!("must have 1 to 255 bytes, not {}", key.len());
            return Err(Undecided::Invalid(Invalid::Field { field: "key", problem }));
        }
        match &given.earlier {
            Earlier::Free => {}
            Earlier::Unknown => return Err(Undecided::Needs(vec![Need::Request(key.clone())])),
            Earlier::Answered(answered) if answered.fingerprint != command.fingerprint => {
                return Err(Undecided::Invalid(Invalid::KeyReused(key.clone())));
            }
            Earlier::Answered(answered) => return Ok(copy(state, answered.answer.clone())),
        }
    }
    match plain::decide(state, command, now) {
        Some(Plain { record, item, place }) => {
            debug_assert!(is_said_by_the_long_way(state, given, command, now, &record));
            let change = Change::OfRecord { item, place };
            Ok(Decided { outcome: Outcome::New(record), replayed: false, first_seq: state.head + 1, change })
        }
        None => decide_all(state, given, command, now),
    }
}

/// Reads what [`decide`] is going to read for a command, as far as it is quickly found: a number that means nothing. Decides
/// nothing and changes nothing; only time is saved, where it is done for some commands before they are decided one by one.
pub fn warm(state: &State, command: &Command) -> u64 {
    plain::warm(state, command).unwrap_or(0)
}

/// The short way has decided this; does the long way say the same, as far as it has all it needs?
fn is_said_by_the_long_way(
    state: &State,
    given: &Given,
    command: &Command,
    now: Instant,
    record: &Record,
) -> bool {
    match decide_all(state, given, command, now) {
        Ok(decided) => matches!(&decided.outcome, Outcome::New(long) if **long == *record),
        Err(Undecided::Needs(_)) => true,
        Err(Undecided::Invalid(_)) => false,
    }
}

/// The long way, for every command.
fn decide_all(state: &State, given: &Given, command: &Command, now: Instant) -> Result<Decided, Undecided> {
    let mut tx = Tx::new(state, given, now);
    tx.actor.clone_from(&command.actor);
    let outcome = lapse_due(&mut tx).and_then(|()| run(&mut tx, &command.body)).and_then(|answer| {
        order::settle(&mut tx)?;
        Ok(answer)
    });
    match outcome {
        Ok(answer) => Ok(finish(tx, command, answer)),
        Err(Stop::Needs(needs)) => Err(Undecided::Needs(needs)),
        Err(Stop::Invalid(invalid)) => {
            let (kind, body) = (invalid.kind(), &command.body);
            debug_assert!(body.may_be_invalid(&invalid), "{kind:?} is declared of {body:?} (refusals.rs)");
            Err(Undecided::Invalid(invalid))
        }
        Err(Stop::Refused(refusal)) => {
            let (kind, body) = (refusal.kind(), &command.body);
            debug_assert!(body.may_be_refused(&refusal), "{kind:?} is declared of {body:?} (refusals.rs)");
            refuse(state, given, now, command, *refusal)
        }
    }
}

/// A refusal keeps what time did by itself, and moves nothing else.
fn refuse(
    state: &State,
    given: &Given,
    now: Instant,
    command: &Command,
    refusal: Refusal,
) -> Result<Decided, Undecided> {
    let mut tx = Tx::new(state, given, now);
    match lapse_due(&mut tx) {
        Ok(()) => {}
        Err(Stop::Needs(needs)) => return Err(Undecided::Needs(needs)),
        Err(Stop::Invalid(invalid)) => return Err(Undecided::Invalid(invalid)),
        Err(Stop::Refused(_)) => unreachable!("time is never refused"),
    }
    if command.key.is_some() {
        tx.push(Entry::Refused);
    }
    Ok(finish(tx, command, Answer::Refused(refusal)))
}

fn copy(state: &State, answer: Answer) -> Decided {
    Decided {
        outcome: Outcome::Told(answer),
        replayed: true,
        first_seq: state.head + 1,
        change: Change::Nothing,
    }
}

fn finish(mut tx: Tx<'_>, command: &Command, answer: Answer) -> Decided {
    // A keyed command is kept for its key, even where it changes nothing: a copy hears the same.
    if tx.is_empty() && command.key.is_some() {
        tx.push(Entry::Nothing);
    }
    let (reference, note) = tx.take_words();
    let (entries, overlay, first_seq, now, document) = tx.into_parts();
    let replayed = matches!(answer, Answer::AlreadyApplied { .. });
    if entries.is_empty() {
        return Decided { outcome: Outcome::Told(answer), replayed, first_seq, change: Change::Nothing };
    }
    let record = Record {
        recorded_at: now,
        key: command.key.clone(),
        fingerprint: command.fingerprint,
        actor: command.actor.clone(),
        document,
        reference,
        note,
        entries,
        answer,
    };
    let (outcome, change) = (Outcome::New(Box::new(record)), Change::Overlay(Box::new(overlay)));
    Decided { outcome, replayed, first_seq, change }
}

/// What time has done by now: holds at or past their expiry lapse, each at its own instant, oldest first.
fn lapse_due(tx: &mut Tx<'_>) -> Result<(), Stop> {
    hold::want_due(tx)?;
    while let Some((at, due)) = tx.next_due() {
        match due {
            Due::Hold(hold) => hold::lapse(tx, hold, at)?,
            Due::Lot(lot, location) => lots::end(tx, lot, location, at)?,
        }
    }
    if tx.lapsed > 0 { order::settle(tx) } else { Ok(()) }
}

fn run(tx: &mut Tx<'_>, body: &Body) -> Result<Answer, Stop> {
    match body {
        Body::PutItem(put) => catalogue::put_item(tx, put),
        Body::PutLocation(put) => catalogue::put_location(tx, put),
        Body::PutSystem(put) => catalogue::put_system(tx, put),
        Body::PutListing(put) => catalogue::put_listing(tx, put),
        Body::SetOwnership(set) => masters::set(tx, set),
        Body::SetPublication(set) => rules::set_publication(tx, set),
        Body::EndRule(rule) => rules::end_rule(tx, *rule),
        Body::Receive(receive) => stock::receive(tx, receive),
        Body::Adjust(adjust) => stock::adjust(tx, adjust),
        Body::Transfer(transfer) => stock::transfer(tx, transfer),
        Body::Move(change) => stock::move_state(tx, change),
        Body::Count(count) => count::take(tx, count),
        Body::PlaceHold(place) => hold::place(tx, place),
        Body::ReleaseHold(hold) => hold::release(tx, *hold),
        Body::ConvertHold(convert) => hold::convert(tx, convert),
        Body::PlaceOrder(place) => order::place(tx, place),
        Body::FulfilOrder(fulfil) => order::fulfil(tx, fulfil),
        Body::CancelOrder(cancel) => order::cancel(tx, cancel),
        Body::ReturnOrder(back) => order::take_back(tx, back),
        Body::Record(document) => document::record(tx, document),
        Body::Resolve(resolve) => catalogue::resolve(tx, resolve),
        Body::Note(note) => catalogue::note(tx, note),
        Body::Group(bodies) => group::run_all(tx, bodies),
        Body::SizeBuffer(size) => rules::size_buffer(tx, size),
        Body::Tick => Ok(Answer::Ticked(tx.lapsed)),
        Body::RenameItem(rename) => item::rename(tx, rename),
        Body::ChangeAliases(change) => item::change_aliases(tx, change),
        Body::MergeItems(merge) => merge::merge(tx, merge),
        Body::SetLowStock(set) => item::set_low_stock(tx, set),
        Body::Noted(noted) => {
            if matches!(noted.body, Body::Noted(_)) {
                let problem = "what is noted is noted once".to_owned();
                return Err(Invalid::Field { field: "noted", problem }.into());
            }
            lines::check_words(noted.reference.as_deref(), noted.note.as_deref())?;
            let answer = run(tx, &noted.body)?;
            (tx.reference, tx.note) = (noted.reference.clone(), noted.note.clone());
            Ok(answer)
        }
        Body::Reverse(reverse) => reverse::reverse(tx, reverse),
        Body::PlanTransfer(plan) => transfer::plan(tx, plan),
        Body::AmendTransfer(amend) => transfer::amend(tx, amend),
        Body::ReadyTransfer(ready) => transfer::ready(tx, ready),
        Body::DispatchTransfer(dispatch) => transfer::dispatch(tx, dispatch),
        Body::ReceiveTransfer(receive) => transfer::receive(tx, receive),
        Body::CancelTransfer(cancel) => transfer::cancel(tx, cancel),
        Body::Assemble(work) => produce::assemble(tx, work),
        Body::Disassemble(work) => produce::disassemble(tx, work),
        Body::PlacePurchase(place) => supply::place(tx, place),
        Body::AmendPurchase(amend) => supply::amend(tx, amend),
        Body::ReceivePurchase(receive) => supply::receive(tx, receive),
        Body::EndPurchase(end) => supply::end(tx, end),
        Body::ExtendHold(extend) => hold::extend(tx, extend),
        Body::ReleaseLines(release) => hold::release_lines(tx, release),
        Body::SetAllocation(set) => allocation::set(tx, set),
        Body::StopSelling(stop) => rules::stop_selling(tx, stop),
        Body::ResumeSelling(resume) => rules::resume_selling(tx, resume),
        Body::Reallocate(request) => allocation::reallocate(tx, request),
        Body::OpenSession(open) => session::open(tx, open),
        Body::Sight(sight) => session::sight(tx, sight),
        Body::ApplySession(apply) => session::apply(tx, apply),
        Body::CancelSession(session) => session::cancel(tx, *session),
        Body::PutLot(put) => lots::put(tx, put),
        Body::StopPushing => rules::stop_pushing(tx),
        Body::ResumePushing => rules::resume_pushing(tx),
        Body::AskRecount(ask) => recount::ask(tx, ask),
        Body::AnnounceReturn(announce) => returns::announce(tx, announce),
        Body::EndReturn(id) => returns::end(tx, *id),
    }
}
