//! Reads of the ledger wait while a batch is decided: they must not keep a worker of the runtime waiting with them,
//! or nothing answers meanwhile, `/livez` neither.

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Semaphore;

/// Each reader has a connection to the database and, while it waits, a thread of its own.
static READERS: Semaphore = Semaphore::const_new(32);

/// Runs what may block.
pub(crate) async fn blocking<T>(run: impl FnOnce() -> T) -> T {
    let _reader = READERS.acquire().await.expect("it is never closed");
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => tokio::task::block_in_place(run),
        // There is one thread: nobody else could answer on it.
        _ => run(),
    }
}
