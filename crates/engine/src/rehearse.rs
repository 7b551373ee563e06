//! Commands as they would be decided now, one after the other, none of them done.
//!
//! What they change is kept on a copy that has only what they touch: the rest is read through a [`View`], of which there may
//! be another for each part, so that a long rehearsal keeps nobody waiting. What others commit between two parts is seen
//! where it was not looked at before; a rehearsal is of the ledger as it stands still. Documents that wait for a name are
//! not applied in it.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use onhand_ledger::state::{Answered, CellSlot, Earlier, Need, Slot};
use onhand_ledger::{
    Answer, CellKey, Command, Given, Instant, Key, Outcome, Quantity, Record, Seq, State, Undecided, Value,
    decide,
};
use onhand_store::{StoreError, decode_records, key_hash};

use crate::commit::CommitError;
use crate::view::View;

/// What comes to be in a rehearsal is numbered so far ahead that nothing real has its number.
const AHEAD: Seq = 1 << 40;

/// What was only read is forgotten when at least so much is in memory.
const FORGET_AT: usize = 20_000;

/// So many records' parts of the log are looked through at a time.
const CHUNKS: usize = 64;

/// A rehearsal.
#[derive(Debug)]
pub struct Rehearsal {
    state: State,
    /// The first number that is the rehearsal's own.
    own: Seq,
    /// What was rehearsed, where somebody may name an entry of it.
    records: Option<Vec<(Seq, Record)>>,
    answered: HashMap<String, Answered>,
    /// By hash: the entries of keys that the tables did not have when it was looked for first.
    new_keys: Option<HashMap<u64, Vec<Seq>>>,
    /// What was only read is forgotten when so much is in memory.
    forget_at: usize,
}

/// What a command would be answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rehearsed {
    /// The answer.
    pub answer: Answer,
    /// Was it given before?
    pub replayed: bool,
}

impl Rehearsal {
    /// Begins with the ledger as a view has it.
    pub fn begin(view: &View<'_>) -> Self {
        // Nobody is told numbers of it, and can take such an entry back.
        Self::beginning_at(view, view.seq() + AHEAD, None)
    }

    /// As [`Rehearsal::begin`], with the numbers that real commands would get now: for comparing with them.
    #[doc(hidden)]
    pub fn begin_exactly(view: &View<'_>) -> Self {
        Self::beginning_at(view, view.seq(), Some(Vec::new()))
    }

    fn beginning_at(view: &View<'_>, head: Seq, records: Option<Vec<(Seq, Record)>>) -> Self {
        let state = State::new(head, view.state.recorded_at, view.state.due_until(Instant::MAX));
        Self { state, own: head + 1, records, answered: HashMap::new(), new_keys: None, forget_at: FORGET_AT }
    }

    /// What it is answered, after those before it.
    pub fn decide(&mut self, view: &mut View<'_>, command: &Command) -> Result<Rehearsed, CommitError> {
        if self.state.cached_len() >= self.forget_at {
            self.state.evict_clean();
            self.forget_at = FORGET_AT.max(2 * self.state.cached_len());
        }
        let mut given = Given::default();
        if let Some(key) = &command.key {
            given.earlier = self.earlier(view, key)?;
        }
        loop {
            let (state, given_now, now) = (&self.state, &given, view.now);
            let decided = catch_unwind(AssertUnwindSafe(|| decide(state, given_now, command, now)));
            let decided = decided.map_err(|_| {
                tracing::error!(?command, "a command could not be rehearsed: this is a bug");
                CommitError::Bug
            })?;
            match decided {
                Ok(decided) => {
                    let (replayed, seq) = (decided.replayed(), decided.first_seq());
                    let answer = match decided.absorb_into(&mut self.state) {
                        Outcome::Told(answer) => answer,
                        Outcome::New(record) => self.keep(seq, *record),
                    };
                    return Ok(Rehearsed { answer, replayed });
                }
                Err(Undecided::Invalid(invalid)) => return Err(invalid.into()),
                Err(Undecided::Needs(needs)) => {
                    for need in needs {
                        self.provide(view, &mut given, need)?;
                    }
                }
            }
        }
    }

    /// All that was touched, as it is after all that was rehearsed.
    pub(crate) const fn state(&self) -> &State {
        &self.state
    }

    /// What something is after all that was rehearsed, where a command has read or changed it.
    pub fn known(&self, key: &Key) -> Option<&Value> {
        self.state.object(key)?.value.as_ref()
    }

    /// Keeps what later commands may ask for, and gives back the answer.
    fn keep(&mut self, seq: Seq, record: Record) -> Answer {
        let answer = record.answer.clone();
        if let Some(key) = &record.key {
            let answered = Answered { fingerprint: record.fingerprint, answer: answer.clone(), seq };
            self.answered.insert(key.clone(), answered);
        }
        if let Some(records) = &mut self.records {
            records.push((seq, record));
        }
        answer
    }

    /// The keys that a file's tables do not have yet: they are in the log.
    fn new_keys(&mut self, view: &mut View<'_>) -> Result<&HashMap<u64, Vec<Seq>>, StoreError> {
        if self.new_keys.is_none() {
            let mut new = HashMap::<u64, Vec<Seq>>::new();
            let mut after = view.reader.head(view.tenant)?.keyed;
            while after < view.seq() {
                let chunks = view.reader.chunks_after(view.tenant, after, CHUNKS)?;
                let Some(last) = chunks.last() else { break };
                after = last.first_seq + last.entries - 1;
                for chunk in &chunks {
                    for (seq, record) in decode_records(chunk)? {
                        if let Some(key) = &record.key {
                            new.entry(key_hash(key)).or_default().push(seq);
                        }
                    }
                }
            }
            self.new_keys = Some(new);
        }
        Ok(self.new_keys.get_or_insert_default())
    }

    fn earlier(&mut self, view: &mut View<'_>, key: &str) -> Result<Earlier, StoreError> {
        if let Some(answered) = self.answered.get(key) {
            return Ok(Earlier::Answered(Box::new(answered.clone())));
        }
        let hash = key_hash(key);
        let mut like = view.reader.keys_like(view.tenant, hash)?;
        like.extend(self.new_keys(view)?.get(&hash).into_iter().flatten());
        for seq in like {
            let chunk = view.chunk_of(seq)?;
            let found = decode_records(&chunk)?.into_iter().find(|(first, _)| *first == seq);
            if let Some((_, record)) = found.filter(|(_, record)| record.key.as_deref() == Some(key)) {
                let Record { fingerprint, answer, .. } = record;
                return Ok(Earlier::Answered(Box::new(Answered { fingerprint, answer, seq })));
            }
        }
        Ok(Earlier::Free)
    }

    fn provide(&mut self, view: &mut View<'_>, given: &mut Given, need: Need) -> Result<(), StoreError> {
        match need {
            Need::Cell(key) => {
                let slot = view.cell(&key)?;
                self.state.provide_cell(key, as_written(slot));
            }
            Need::Object(key) => {
                let value = view.get(&key)?;
                self.state.provide_object(key, Slot { value, seq: view.seq() });
            }
            Need::Range(from, to) => {
                let found = view.range(&from, &to, false, usize::MAX)?;
                given.ranges.insert((from, to), found);
            }
            Need::AsOf(cell, at) => {
                let quantity = self.as_of(view, cell, at)?;
                given.as_of.insert((cell, at), quantity);
            }
            Need::Stocked(item) => {
                let held = view.cells_of(item)?.into_iter();
                let held = held.filter(|(key, slot)| !key.state.is_party() && !slot.quantity.is_zero());
                self.state.provide_stocked(item, held.map(|(key, slot)| (key, as_written(slot))));
            }
            Need::Record(seq) => {
                let record = if seq >= self.own {
                    record_of(self.records.as_deref().unwrap_or_default(), seq)
                } else if seq == 0 || seq > view.seq() {
                    None
                } else {
                    record_of(&decode_records(&view.chunk_of(seq)?)?, seq)
                };
                given.records.insert(seq, record);
            }
            Need::MovedAfter(cell, at) => {
                let mut seqs =
                    crate::commit::moved_after(view.state, &mut *view.reader, view.tenant, cell, at)?;
                let rehearsed =
                    self.state.cell(&cell).map(|slot| slot.pending.as_slice()).unwrap_or_default();
                seqs.extend(rehearsed.iter().filter(|row| row.occurred_at > at).map(|row| row.seq));
                given.moved_after.insert((cell, at), seqs);
            }
            Need::Request(key) => {
                given.earlier = self.earlier(view, &key)?;
            }
        }
        Ok(())
    }

    /// What a cell held at an instant: by what was rehearsed, on top of what there is.
    fn as_of(&self, view: &mut View<'_>, cell: CellKey, at: Instant) -> Result<Quantity, StoreError> {
        let rehearsed = self.state.cell(&cell).map(|slot| slot.pending.as_slice()).unwrap_or_default();
        let base = rehearsed.iter().rev().find(|row| !row.late && row.occurred_at <= at);
        let (from, mut quantity) = match base {
            Some(row) => (row.seq, row.balance),
            None => (self.own - 1, view.as_of(cell, at, None)?),
        };
        let (first, last) = (Key::Late(cell, from + 1), Key::Late(cell, Seq::MAX >> 1));
        for (_, slot) in self.state.dirty_range(&first, &last) {
            if let Some(Value::Late(occurred_at, change)) = slot.value
                && occurred_at <= at
            {
                quantity += change;
            }
        }
        Ok(quantity)
    }
}

/// A cell as a table would have it: what is in memory of its past is read through the view.
fn as_written(slot: CellSlot) -> CellSlot {
    CellSlot { latest_before_pending: slot.latest, pending: Vec::new(), ..slot }
}

fn record_of(records: &[(Seq, Record)], seq: Seq) -> Option<(Seq, Record)> {
    let found = records.iter().rev().find(|(first, _)| *first <= seq);
    found.filter(|(first, record)| seq - first < record.entries.len() as Seq).cloned()
}
