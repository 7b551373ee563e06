//! People who sign in at the pages: by name and password, and a code of their phone where they set that up.
//!
//! Passwords are kept as Argon2id hashes (19 MiB, two passes, one lane:
//! <https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html>), what codes are made of is sealed. Codes are
//! those of RFC 6238: six digits, 30 seconds, one step early or late, each taken once
//! (<https://www.rfc-editor.org/rfc/rfc6238#section-5.2>). A password that somebody else was given is to be changed before anything else.

mod code;
mod password;
mod policy;
mod tries;

use onhand_engine::View;
use onhand_store::{Note, StoreError};
use serde::{Deserialize, Serialize};

use crate::auth::Right;
use crate::role::Role;

pub(crate) use code::{Code, Secret};
pub(crate) use password::{check as check_password, hash, is_right, made_up};
pub(crate) use policy::Policy;
pub(crate) use tries::Tries;

/// The notes that users are kept in, by their names in small letters.
pub(crate) const SPACE: &str = "user";

/// What is kept of somebody.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct User {
    /// As it was written: shown in history.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// And beyond that.
    #[serde(default)]
    pub rights: Vec<Right>,
    /// The hash of the password.
    pub password: String,
    /// The password was made by somebody else.
    pub must_change: bool,
    /// When it was set, or codes were, or they were put off: in microseconds since 1970. Sessions that are older have ended.
    pub password_at: i64,
    /// They may not sign in for now.
    #[serde(default)]
    pub is_off: bool,
    /// Codes are asked for.
    #[serde(default)]
    pub has_code: bool,
    /// The step of the last code that was taken: no code of it or before is taken again.
    #[serde(default)]
    pub last_step: u64,
    /// When they were made, in microseconds since 1970.
    pub created_at: i64,
    /// When they last signed in.
    #[serde(default)]
    pub signed_in_at: Option<i64>,
    /// By what a provider of identities knows them: its issuer, and its subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_as: Option<(String, String)>,
}

impl User {
    /// Somebody new, who has no password yet: none is right.
    pub fn new(name: &str, role: Role, rights: Vec<Right>, now: i64) -> Self {
        Self {
            name: name.to_owned(),
            role,
            rights,
            password: String::new(),
            must_change: false,
            password_at: now,
            is_off: false,
            has_code: false,
            last_step: 0,
            created_at: now,
            signed_in_at: None,
            known_as: None,
        }
    }

    /// When how they sign in changes now: later than the one before, whatever the clock says, so that sessions of that one have ended.
    pub fn set_after(&self, now: i64) -> i64 {
        now.max(self.password_at.saturating_add(1))
    }

    /// As it is kept.
    pub fn note(&self) -> Note {
        let body = serde_json::to_string(self).expect("a user can always be written");
        Note { space: SPACE.to_owned(), key: folded(&self.name), body: Some(body) }
    }
}

/// By what somebody is found: nobody tells `Ada` from `ada`.
pub(crate) fn folded(name: &str) -> String {
    name.to_lowercase()
}

/// What people may be called.
pub(crate) fn check_name(name: &str) -> Result<(), &'static str> {
    let is_plain = |letter: char| letter.is_alphanumeric() || ".-_@+".contains(letter);
    if (1..=100).contains(&name.chars().count()) && name.chars().all(is_plain) {
        Ok(())
    } else {
        Err("must have 1 to 100 letters, digits and . - _ @ +, such as ada or ada@example.com")
    }
}

fn parsed(body: &str) -> Result<User, StoreError> {
    serde_json::from_str(body).map_err(|error| StoreError::Damaged(format!("a user cannot be read: {error}")))
}

/// Somebody of that name.
pub(crate) fn found(view: &mut View<'_>, name: &str) -> Result<Option<User>, StoreError> {
    view.note(SPACE, &folded(name))?.map(|body| parsed(&body)).transpose()
}

/// Everybody, by their names.
pub(crate) fn all(view: &mut View<'_>) -> Result<Vec<User>, StoreError> {
    let (mut all, mut after) = (Vec::new(), None::<String>);
    loop {
        let part = view.notes(SPACE, after.as_deref(), 1_000)?;
        let Some((last, _)) = part.last() else { return Ok(all) };
        after = Some(last.clone());
        for (_, body) in part {
            all.push(parsed(&body)?);
        }
    }
}
