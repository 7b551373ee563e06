//! Writes records down: chunks of the log, each with the hash that chains it to the one before.
//!
//! In a large batch that is as much work as deciding, so a thread of its own writes down what is decided while the
//! committer decides what comes next. It computes and nothing else: what it gives back is what the committer would have
//! written itself, and it is waited for before anything is stored.

use std::collections::BTreeMap;
use std::sync::{Arc, mpsc};

use onhand_ledger::{Record, Seq, TenantId};
use onhand_store::{Chunk, chain, encode_records};

/// How many entries a chunk of the log has at most before another begins.
const CHUNK_ENTRIES: usize = 72;

/// The records of one chunk, each with its first entry.
type Block = Vec<(Seq, Box<Record>)>;

/// What was decided for one tenant in a batch, block by block.
#[derive(Debug, Default)]
pub(crate) struct Records {
    /// Full, and on their way to be written down.
    sealed: Vec<Arc<Block>>,
    open: Block,
    /// Entries in `open`.
    entries: usize,
}

impl Records {
    /// Takes a record; what is full then is to be written down.
    pub fn push(&mut self, first_seq: Seq, record: Box<Record>) -> Option<Arc<Block>> {
        let more = record.entries.len();
        let full =
            if !self.open.is_empty() && self.entries + more > CHUNK_ENTRIES { self.seal() } else { None };
        if self.open.is_empty() {
            self.open.reserve(CHUNK_ENTRIES);
        }
        self.entries += more;
        self.open.push((first_seq, record));
        full
    }

    /// What is left, to be written down too.
    fn seal(&mut self) -> Option<Arc<Block>> {
        self.entries = 0;
        let block = Arc::new(std::mem::take(&mut self.open));
        (!block.is_empty()).then(|| {
            self.sealed.push(block.clone());
            block
        })
    }

    /// The record that has an entry.
    pub fn of(&self, seq: Seq) -> Option<(Seq, &Record)> {
        let starts_by = |block: &[(Seq, Box<Record>)]| block.first().is_some_and(|(first, _)| *first <= seq);
        let block = if starts_by(&self.open) {
            &self.open
        } else {
            let after = self.sealed.partition_point(|block| starts_by(block));
            self.sealed.get(after.checked_sub(1)?)?.as_ref()
        };
        let (first, record) = &block[block.partition_point(|(first, _)| *first <= seq).checked_sub(1)?];
        (seq - first < record.entries.len() as Seq).then_some((*first, record))
    }

    /// How many entries there are.
    pub fn entries(&self) -> usize {
        let sealed = self.sealed.iter().flat_map(|block| block.iter());
        sealed.chain(&self.open).map(|(_, record)| record.entries.len()).sum()
    }

    /// All of them in order, once nothing else has them.
    pub fn into_all(self) -> impl Iterator<Item = Box<Record>> {
        let blocks = self.sealed.into_iter().map(|block| match Arc::try_unwrap(block) {
            Ok(block) => block,
            Err(shared) => Block::clone(&shared),
        });
        blocks.chain([self.open]).flatten().map(|(_, record)| record)
    }
}

/// The chunk of a block, after a chain's hash.
fn write_down(before: &[u8; 32], tenant: TenantId, block: &[(Seq, Box<Record>)]) -> Option<Chunk> {
    let ((first_seq, _), (_, last)) = (block.first()?, block.last()?);
    let entries = block.iter().map(|(_, record)| record.entries.len() as u64).sum();
    let body = encode_records(*first_seq, block.iter().map(|(_, record)| record.as_ref()));
    let (first_seq, recorded_at) = (*first_seq, last.recorded_at);
    let mut chunk = Chunk { first_seq, entries, recorded_at, body, hash: [0; 32] };
    chunk.hash = chain(before, tenant, &chunk);
    Some(chunk)
}

struct Task {
    tenant: TenantId,
    /// The chain's hash before the batch.
    before: [u8; 32],
    /// The first of its tenant in the batch?
    first: bool,
    block: Arc<Block>,
}

/// The thread, and what it has been given of this batch.
pub(crate) struct Scribe {
    tasks: mpsc::Sender<Task>,
    written: mpsc::Receiver<(TenantId, Option<Chunk>)>,
    given: BTreeMap<TenantId, usize>,
}

impl Scribe {
    /// A thread of its own; none where the system has none to give.
    pub fn spawn() -> Option<Self> {
        let (tasks, waiting) = mpsc::channel::<Task>();
        let (done, written) = mpsc::channel();
        let write = move || {
            let mut hashes = BTreeMap::<TenantId, [u8; 32]>::new();
            for Task { tenant, before, first, block } in waiting {
                let hash = hashes.entry(tenant).or_insert(before);
                if first {
                    *hash = before;
                }
                let chunk = write_down(hash, tenant, &block);
                if let Some(chunk) = &chunk {
                    *hash = chunk.hash;
                }
                // Before the committer hears of it: it takes the records apart then.
                drop(block);
                if done.send((tenant, chunk)).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("scribe".to_owned()).spawn(write).ok()?;
        Some(Self { tasks, written, given: BTreeMap::new() })
    }

    /// Has a block written down. `before` is the chain's hash before the batch.
    pub fn give(&mut self, tenant: TenantId, before: [u8; 32], block: Arc<Block>) {
        let given = self.given.entry(tenant).or_default();
        *given += 1;
        // One that has ended is found out when what it wrote is asked for.
        let _ = self.tasks.send(Task { tenant, before, first: *given == 1, block });
    }

    /// All that was given since the last time, by tenant; none if the thread has ended.
    fn take(&mut self) -> Option<BTreeMap<TenantId, Vec<Chunk>>> {
        let mut chunks = BTreeMap::<TenantId, Vec<Chunk>>::new();
        for _ in 0..std::mem::take(&mut self.given).into_values().sum() {
            let (tenant, chunk) = self.written.recv().ok()?;
            chunks.entry(tenant).or_default().extend(chunk);
        }
        Some(chunks)
    }
}

/// The chunks of a batch: what the scribe has of it, and what is left, which one thread writes as well as two.
/// `batch` gives each tenant's chain before it, and its records.
pub(crate) fn all_chunks<'r>(
    scribe: &mut Option<Scribe>,
    batch: impl Iterator<Item = (TenantId, [u8; 32], &'r mut Records)>,
) -> BTreeMap<TenantId, Vec<Chunk>> {
    let batch: Vec<_> = batch.collect();
    let mut chunks = BTreeMap::new();
    if let Some(busy) = scribe
        && !busy.given.is_empty()
    {
        match busy.take() {
            Some(written) => chunks = written,
            None => *scribe = None,
        }
    }
    for (tenant, before, records) in batch {
        let _ = records.seal();
        let written: &mut Vec<Chunk> = chunks.entry(tenant).or_default();
        for block in &records.sealed[written.len()..] {
            let hash = written.last().map_or(before, |chunk| chunk.hash);
            written.extend(write_down(&hash, tenant, block));
        }
    }
    chunks
}
