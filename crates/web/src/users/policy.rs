//! What is asked of everybody who signs in at the pages of a tenant.

use onhand_engine::View;
use onhand_store::{Note, StoreError};
use serde::{Deserialize, Serialize};

/// The notes of it: one.
const SPACE: &str = "sign_in_policy";
const KEY: &str = "policy";

/// What an admin asks of everybody.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Policy {
    /// A code of their phone beside the password: who has none sets them up before anything else. An API key is one factor, and
    /// signs nobody in.
    pub two_factor: bool,
}

impl Policy {
    /// As it is now; nothing is asked unless somebody said so.
    pub fn kept(view: &mut View<'_>) -> Result<Self, StoreError> {
        let Some(body) = view.note(SPACE, KEY)? else { return Ok(Self::default()) };
        serde_json::from_str(&body).map_err(|error| {
            StoreError::Damaged(format!("what is asked of who signs in cannot be read: {error}"))
        })
    }

    /// As it is kept.
    pub fn note(self) -> Note {
        let body = serde_json::to_string(&self).expect("a policy can always be written");
        Note { space: SPACE.to_owned(), key: KEY.to_owned(), body: Some(body) }
    }
}
