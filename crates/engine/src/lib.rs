//! The runtime: commits batches, answers reads, runs the workers of connected systems.
//!
//! Clock, store and HTTP come from outside, and nothing here starts a thread or a timer: whoever owns the process
//! calls [`Ledger::commit`] with what is waiting, and each worker's `step` when it is due. So all of it can be
//! simulated. What is decided where: stock in `ledger`, numbers shown in `sync`; here it is only carried out.

pub mod after;
pub mod alerts;
pub mod buffers;
mod claims;
mod clock;
mod commit;
pub mod explain;
pub mod figures;
pub mod find;
mod history;
pub mod hooks;
pub mod inbox;
mod lanes;
mod low;
mod masters;
pub mod migrate;
pub mod nodes;
pub mod open;
pub mod owners;
pub mod policies;
pub mod preview;
pub mod published;
mod queue;
pub mod raw;
mod rehearse;
mod report;
mod said;
mod scribe;
pub mod seal;
pub mod sent;
mod sessions;
pub mod snapshots;
mod stock;
pub mod subscriptions;
mod supply;
pub mod systems;
mod tallies;
mod verify;
mod view;
mod words;
pub mod worker;
mod writer;

pub use clock::{Clock, DatabaseClock, ManualClock, SystemClock};
pub use commit::{CommitError, Committed, Ledger, Options, Submission};
pub use history::{HistoryFilter, HistoryPage, LedgerRow, StateChange};
pub use low::{LowPage, LowRow};
pub use queue::{BulkReply, Handle, Queue, Reply, SubmitError, queue};
pub use rehearse::{Rehearsal, Rehearsed};
pub use report::{StockReport, StockRow};
pub use stock::{Past, Shelf};
pub use supply::{Expected, Promisable};
pub use verify::{Verified, Violation, verify};
pub use view::{HistoryRow, View};
