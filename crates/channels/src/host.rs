//! What a channel is given by whoever runs it.

use onhand_ledger::Instant;

use crate::ChannelError;

/// The time, and a memory: short texts by name that a channel keeps for itself between runs, its system's and nobody else's.
///
/// Nothing of a person is kept there.
#[async_trait::async_trait]
pub trait Host: Send + Sync {
    /// The time.
    fn now(&self) -> Instant;

    /// What was kept under a name.
    ///
    /// # Errors
    /// The memory cannot be read now.
    async fn recall(&self, name: &str) -> Result<Option<String>, ChannelError>;

    /// Keeps texts by their names, all of them or none; durable once it is answered.
    ///
    /// # Errors
    /// They are not kept, or nobody knows whether they are.
    async fn keep(&self, texts: Vec<(String, String)>) -> Result<(), ChannelError>;
}
