//! Copies the write-ahead log into the file beside the writer, so that no commit waits for that.
//!
//! SQLite checkpoints in the commit that fills the write-ahead log to its bound: it copies all of it and syncs the file, and
//! whoever waits for that commit waits for both. A thread that does the same in smaller parts, over a connection of its
//! own, leaves that commit the little that is new. It decides nothing: where it fails, the commit does all of it.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::{Connection, OpenFlags};

use crate::{Batch, StoreError};

/// After so many bytes, as far as they are counted, the thread is woken.
const BYTES: usize = 16 << 20;

pub(super) struct Checkpointer {
    // None only while it is dropped.
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Written since it was woken.
    bytes: usize,
}

impl Checkpointer {
    /// `file` is the database, opened beside SQLite's own connections.
    pub fn start(path: &Path, file: Arc<File>) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)
            .and_then(|connection| {
                connection.pragma_update(None, "synchronous", "FULL")?;
                Ok(connection)
            })
            .map_err(|error| super::failed("opened", &error))?;
        let (wake, woken) = sync_channel(1);
        let work = move || {
            while woken.recv().is_ok() {
                // Readers and a checkpoint of the writer's own come first: then there is less to do the next time.
                let _ = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
                // SQLite syncs only after all has been copied, which is in a commit. Done here, that one has little to sync.
                let _ = file.sync_data();
            }
        };
        let thread = std::thread::Builder::new().name("checkpointer".to_owned()).spawn(work);
        let thread = thread.map_err(|error| StoreError::Io { doing: "opened", reason: error.to_string() })?;
        Ok(Self { wake: Some(wake), thread: Some(thread), bytes: 0 })
    }

    /// So much was committed.
    pub fn wrote(&mut self, batch: &Batch) {
        /// What a row costs beside its content, pages around it included: a guess that need not be good.
        const ROW: usize = 300;
        let log: usize = batch.chunks.iter().map(|chunk| chunk.body.len()).sum();
        self.bytes += log + ROW * (1 + batch.cells.len() + batch.objects.len() + batch.notes.len());
        if self.bytes >= BYTES
            && let Some(wake) = &self.wake
        {
            self.bytes = 0;
            // Where it is at work still, or has a waking before it, this one is not needed.
            let _ = wake.try_send(());
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        drop(self.wake.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
