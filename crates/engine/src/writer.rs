//! The store, and a thread that writes one batch while the committer decides the next.
//!
//! Whoever wants the store while it is away waits for it: so nothing is ever read that lacks what is being written, and
//! a batch that only needs what is in memory waits for nothing. What became of the writing is said to whoever waits
//! first, and once more to whoever asks for its end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;

use onhand_ledger::TenantId;
use onhand_store::{Batch, Store, StoreError};

/// What is to be written, tenant by tenant, in one transaction.
pub(crate) type Writes = Vec<(TenantId, Batch)>;

type Written = Result<(), StoreError>;

/// The thread's two ends.
struct Thread {
    tasks: mpsc::Sender<(Box<dyn Store>, Writes)>,
    done: mpsc::Receiver<(Box<dyn Store>, Written)>,
}

/// The store, here or with the thread.
pub(crate) struct Writer {
    // Ends before the store does.
    thread: Option<Thread>,
    store: Option<Box<dyn Store>>,
    /// What became of what was given last; none once it was told by [`Writer::wait`].
    written: Option<Written>,
}

impl Writer {
    pub const fn new(store: Box<dyn Store>) -> Self {
        Self { thread: None, store: Some(store), written: None }
    }

    /// Is it not with the thread?
    pub const fn is_here(&self) -> bool {
        self.store.is_some()
    }

    /// The store, waited for where it is away. Fails where what it was away for was not written: what is in memory does not
    /// hold then.
    pub fn here(&mut self) -> Result<&mut dyn Store, StoreError> {
        self.fetch();
        if let Some(Err(error)) = &self.written {
            return Err(error.clone());
        }
        match &mut self.store {
            Some(store) => Ok(store.as_mut()),
            None => Err(lost()),
        }
    }

    /// Gives the store to the thread, which writes all of it. Gives the writes back where there is no
    /// thread to be had; the store stays here then.
    pub fn give(&mut self, writes: Writes) -> Result<(), Writes> {
        self.thread = self.thread.take().or_else(spawn);
        let Some(thread) = &self.thread else { return Err(writes) };
        let Some(store) = self.store.take() else { return Err(writes) };
        match thread.tasks.send((store, writes)) {
            Ok(()) => Ok(()),
            Err(mpsc::SendError((store, writes))) => {
                (self.store, self.thread) = (Some(store), None);
                Err(writes)
            }
        }
    }

    /// Waits for the end of what was given: what became of it.
    pub fn wait(&mut self) -> Written {
        self.fetch();
        self.written.take().unwrap_or(Ok(()))
    }

    fn fetch(&mut self) {
        if self.store.is_some() {
            return;
        }
        let done = self.thread.as_ref().and_then(|thread| thread.done.recv().ok());
        let (store, written) = done.map_or((None, Err(lost())), |(store, written)| (Some(store), written));
        (self.store, self.written) = (store, Some(written));
    }
}

/// None where the system has no thread to give.
fn spawn() -> Option<Thread> {
    let (tasks, waiting) = mpsc::channel::<(Box<dyn Store>, Writes)>();
    let (tell, done) = mpsc::channel();
    let write = move || {
        for (mut store, writes) in waiting {
            // A bug in writing costs a batch, and not the store.
            let written = catch_unwind(AssertUnwindSafe(|| store.commit(&writes))).unwrap_or_else(|_| {
                Err(StoreError::Io { doing: "written", reason: "a bug of ours".to_owned() })
            });
            if tell.send((store, written)).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new().name("writer".to_owned()).spawn(write).ok()?;
    Some(Thread { tasks, done })
}

fn lost() -> StoreError {
    StoreError::Io {
        doing: "written",
        reason: "the thread that writes has ended: start Onhand anew".to_owned(),
    }
}
