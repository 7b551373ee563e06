//! Secrets at rest: sealed with the installation's own keys, and bound to where they lie.
//!
//! A key has a name, and what is sealed says which key it needs: so keys rotate. The first key seals, all of them open. What
//! is sealed is bound to its tenant and to the note it is in: moved elsewhere it does not open. Never is a key or what was
//! sealed part of an error, a log or a `Debug`.
//!
//! XChaCha20-Poly1305, whose nonces of 192 bits may be random however much is sealed with one key
//! (<https://www.ietf.org/archive/id/draft-irtf-cfrg-xchacha-03.html>). Where keys come from is not this module's business:
//! [`KeySource`].

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use onhand_ledger::TenantId;
use onhand_store::{Note, StoreError};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use crate::queue::{Handle, SubmitError};

/// What is sealed begins so.
const MARK: &str = "sealed:1:";
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
/// A name of a key has at most so many characters.
const NAME_LENGTH: usize = 32;
/// So many notes are looked at together when all are sealed anew.
const NOTES: usize = 500;

/// What must not be seen: a password, a token. Its `Debug` says nothing of it.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text itself: for whoever sends it to where it belongs.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Why something is not sealed, or not opened. Says what would help.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SealError {
    /// There is no key, and none can be made here.
    #[error(
        "there is no key to seal secrets with: name a file of keys by --seal-key-file, or set ONHAND_SEAL_KEY"
    )]
    NoKey,
    /// It was sealed with a key that is not there.
    #[error(
        "it is sealed with the key `{key}`, which is not there ({}): give it back by the file of keys or ONHAND_SEAL_KEY",
        among(there)
    )]
    Lacking {
        /// The name of the key it needs.
        key: String,
        /// The names of those there are.
        there: Vec<String>,
    },
    /// The key of that name does not open it.
    #[error(
        "it does not open with the key `{key}` that is there: another key has that name, or it was changed or moved"
    )]
    Wrong {
        /// The name of the key.
        key: String,
    },
    /// What should be sealed is something else.
    #[error("it is not sealed as it should be")]
    Malformed,
    /// The keys cannot be read or written.
    #[error("the keys that seal secrets cannot be used: {0}")]
    Keys(String),
}

fn among(names: &[String]) -> String {
    match names {
        [] => "no key is".to_owned(),
        names => format!("there is `{}`", names.join("`, `")),
    }
}

/// Where an installation's keys come from.
pub trait KeySource: Send + Sync {
    /// The keys as text; none: there are none yet. An error says what is wrong for whoever sees to it.
    fn read(&self) -> Result<Option<String>, String>;

    /// Keeps these keys from now on, for nobody but us to read; false: this is not done here, another gives them.
    fn keep(&self, keys: &str) -> Result<bool, String>;
}

/// Keys with their names. The first seals.
#[derive(Clone, Default)]
struct Ring(Vec<(String, Key)>);

impl Ring {
    /// `NAME:HEX`, several apart by white space or commas; from `#` to the end of a line is a remark.
    fn parse(text: &str) -> Result<Self, SealError> {
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
        let words = lines.flat_map(|line| line.split([' ', '\t', ',', '\r'])).filter(|word| !word.is_empty());
        let mut keys = Vec::<(String, Key)>::new();
        for word in words {
            // The word itself may be a key: it is not shown.
            let wrong = |what: &str| {
                let number = keys.len() + 1;
                SealError::Keys(format!("key {number} {what}; right is `NAME:` and 64 hexadecimal digits"))
            };
            let (name, digits) = word.split_once(':').ok_or_else(|| wrong("has no name"))?;
            let is_name = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
            if name.is_empty() || name.len() > NAME_LENGTH || !name.chars().all(is_name) {
                return Err(wrong("has a name that is none (1 to 32 letters, digits, `-` or `_`)"));
            }
            let key = bytes_of(digits).ok_or_else(|| wrong("is not as long as it must be, or no number"))?;
            if keys.iter().any(|(known, _)| known == name) {
                return Err(wrong("has the name of another"));
            }
            keys.push((name.to_owned(), Key::from(key)));
        }
        Ok(Self(keys))
    }

    fn write(&self) -> String {
        let mut text =
            "# What seals Onhand's secrets. The first key seals, all open. Without them secrets are lost.\n"
                .to_owned();
        text.push_str(&self.lines());
        text
    }

    fn lines(&self) -> String {
        let digits = |key: &Key| key.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        self.0.iter().map(|(name, key)| format!("{name}:{}\n", digits(key))).collect()
    }

    /// A new key comes first. Its name follows from it.
    fn with_new(mut self) -> Result<Self, SealError> {
        let mut key = [0; KEY_BYTES];
        random(&mut key)?;
        let hash = blake3::derive_key("onhand 2026-11-28 name of a sealing key", &key);
        let name: String = hash[..4].iter().map(|byte| format!("{byte:02x}")).collect();
        self.0.insert(0, (format!("k{name}"), Key::from(key)));
        Ok(self)
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|(name, _)| name.clone()).collect()
    }

    fn get(&self, name: &str) -> Option<&Key> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, key)| key)
    }
}

/// A new key as a line of a file of keys.
pub fn new_key() -> Result<String, SealError> {
    Ok(Ring::default().with_new()?.lines())
}

fn bytes_of(digits: &str) -> Option<[u8; KEY_BYTES]> {
    if digits.len() != 2 * KEY_BYTES || !digits.is_ascii() {
        return None;
    }
    let mut bytes = [0; KEY_BYTES];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(bytes)
}

fn random(bytes: &mut [u8]) -> Result<(), SealError> {
    getrandom::fill(bytes).map_err(|error| SealError::Keys(format!("no random bytes: {error}")))
}

/// What a note is bound to, without any two notes being bound to the same bytes.
fn bound_to(tenant: TenantId, space: &str, key: &str) -> Vec<u8> {
    let mut bytes = tenant.0.to_be_bytes().to_vec();
    for text in [space, key] {
        bytes.extend((text.len() as u64).to_be_bytes());
        bytes.extend(text.as_bytes());
    }
    bytes
}

/// The keys of an installation at work.
#[derive(Default)]
pub struct Seal {
    source: RwLock<Option<Arc<dyn KeySource>>>,
    ring: RwLock<Ring>,
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Seal").field(&self.ring.read().names()).finish()
    }
}

impl Seal {
    /// Takes keys from there. They are read when they are needed first, and again when one is lacking.
    pub fn provide(&self, source: Arc<dyn KeySource>) {
        *self.source.write() = Some(source);
        *self.ring.write() = Ring::default();
    }

    /// Seals with a key that ends with this process: for what is kept no longer.
    pub fn make_for_this_process(&self) -> Result<(), SealError> {
        *self.ring.write() = Ring::default().with_new()?;
        Ok(())
    }

    /// Seals what a note of a tenant is to say. The first key is made where there is none and it may be.
    pub fn seal(&self, tenant: TenantId, space: &str, key: &str, plain: &[u8]) -> Result<String, SealError> {
        if self.ring.read().0.is_empty() {
            self.read_again()?;
        }
        if self.ring.read().0.is_empty() {
            self.make_another()?;
        }
        let ring = self.ring.read();
        let (name, with) = ring.0.first().ok_or(SealError::NoKey)?;
        let mut nonce = [0; NONCE_BYTES];
        random(&mut nonce)?;
        let payload = Payload { msg: plain, aad: &bound_to(tenant, space, key) };
        let sealed = XChaCha20Poly1305::new(with).encrypt(&XNonce::from(nonce), payload);
        let sealed = sealed.map_err(|_| SealError::Keys("too much to seal at once".to_owned()))?;
        Ok(format!("{MARK}{name}:{}", BASE64.encode([nonce.as_slice(), &sealed].concat())))
    }

    /// Opens what a note of a tenant says.
    pub fn open(&self, tenant: TenantId, space: &str, key: &str, sealed: &str) -> Result<Vec<u8>, SealError> {
        let (name, text) = parts(sealed).ok_or(SealError::Malformed)?;
        let bytes = BASE64.decode(text).map_err(|_| SealError::Malformed)?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_BYTES>().ok_or(SealError::Malformed)?;
        let known = |ring: &Ring| ring.get(name).copied();
        let mut with = known(&self.ring.read());
        if with.is_none() {
            // It may have been put back meanwhile.
            self.read_again()?;
            with = known(&self.ring.read());
        }
        let Some(with) = with else {
            return Err(SealError::Lacking { key: name.to_owned(), there: self.ring.read().names() });
        };
        let payload = Payload { msg: sealed, aad: &bound_to(tenant, space, key) };
        let opened = XChaCha20Poly1305::new(&with).decrypt(&XNonce::from(*nonce), payload);
        opened.map_err(|_| SealError::Wrong { key: name.to_owned() })
    }

    /// The names of the keys there are; the first seals.
    pub fn names(&self) -> Result<Vec<String>, SealError> {
        self.read_again()?;
        Ok(self.ring.read().names())
    }

    /// A new key seals from now on, where keys are kept by us. Otherwise the first of those that are given does.
    pub fn rotate(&self) -> Result<(), SealError> {
        self.read_again()?;
        match self.make_another() {
            Err(SealError::NoKey) if !self.ring.read().0.is_empty() => Ok(()),
            done => done,
        }
    }

    fn source(&self) -> Option<Arc<dyn KeySource>> {
        self.source.read().clone()
    }

    fn read_again(&self) -> Result<(), SealError> {
        let Some(source) = self.source() else { return Ok(()) };
        if let Some(text) = source.read().map_err(SealError::Keys)? {
            *self.ring.write() = Ring::parse(&text)?;
        }
        Ok(())
    }

    fn make_another(&self) -> Result<(), SealError> {
        let source = self.source().ok_or(SealError::NoKey)?;
        let mut ring = self.ring.write();
        let more = ring.clone().with_new()?;
        if !source.keep(&more.write()).map_err(SealError::Keys)? {
            return Err(SealError::NoKey);
        }
        *ring = more;
        Ok(())
    }
}

/// The name of the key, and the rest.
fn parts(sealed: &str) -> Option<(&str, &str)> {
    sealed.strip_prefix(MARK)?.split_once(':')
}

/// Is this text something that [`Seal::seal`] made?
pub fn is_sealed(body: &str) -> bool {
    parts(body).is_some()
}

/// Why a secret is not kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// It cannot be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// It cannot be written now.
    #[error(transparent)]
    Submit(#[from] SubmitError),
}

/// Why not all was sealed anew.
#[derive(Debug, thiserror::Error)]
pub enum ResealError {
    /// A note does not open, or cannot be sealed.
    #[error("{0}")]
    Seal(#[from] SealError),
    /// It could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It could not be written.
    #[error(transparent)]
    Submit(#[from] SubmitError),
}

/// Seals anew, with the key that seals now, all that is sealed with another. Says how many notes that were. What does not open
/// stays as it is, and is the error once the rest is done.
pub async fn reseal(handle: &Handle, tenant: TenantId) -> Result<usize, ResealError> {
    let ledger = handle.ledger().clone();
    let newest = ledger.seal().names()?.into_iter().next();
    let (mut after, mut done, mut failed) = (None::<(String, String)>, 0, None);
    loop {
        let from = after.as_ref().map(|(space, key)| (space.as_str(), key.as_str()));
        let page = ledger.read(tenant, |view| view.notes_after(from, NOTES))?;
        let Some(last) = page.last() else { break };
        after = Some((last.space.clone(), last.key.clone()));
        for Note { space, key, body } in page {
            let Some(before) = body else { continue };
            let plain = match parts(&before) {
                Some((name, _)) if newest.as_deref() == Some(name) => continue,
                Some(_) => ledger.seal().open(tenant, &space, &key, &before),
                None => continue,
            };
            let sealed = plain.and_then(|plain| ledger.seal().seal(tenant, &space, &key, &plain));
            match sealed {
                Ok(sealed) => {
                    // Whoever wrote it anew meanwhile sealed it as we would.
                    if ledger.read(tenant, |view| view.note(&space, &key))?.as_ref() != Some(&before) {
                        continue;
                    }
                    let note = Note { space, key, body: Some(sealed) };
                    handle.submit_with(tenant, None, vec![note]).await?;
                    done += 1;
                }
                Err(error) => failed = Some(error),
            }
        }
    }
    failed.map_or(Ok(done), |error| Err(error.into()))
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;

    const TENANT: TenantId = TenantId(1);

    /// Keys in memory, as a file would have them.
    #[derive(Default)]
    struct Kept(Mutex<Option<String>>, bool);

    impl KeySource for Kept {
        fn read(&self) -> Result<Option<String>, String> {
            Ok(self.0.lock().clone())
        }

        fn keep(&self, keys: &str) -> Result<bool, String> {
            if self.1 {
                *self.0.lock() = Some(keys.to_owned());
            }
            Ok(self.1)
        }
    }

    fn seal(text: Option<&str>, may_make: bool) -> (Seal, Arc<Kept>) {
        let source = Arc::new(Kept(Mutex::new(text.map(str::to_owned)), may_make));
        let seal = Seal::default();
        seal.provide(source.clone());
        (seal, source)
    }

    fn key(name: &str, digit: char) -> String {
        format!("{name}:{}", digit.to_string().repeat(64))
    }

    #[test]
    fn what_is_sealed_opens_where_it_lies_and_nowhere_else() {
        let (seal, _) = seal(Some(&key("one", 'a')), false);
        let sealed = seal.seal(TENANT, "connection", "1", b"hunter2").unwrap();
        assert!(is_sealed(&sealed) && sealed.starts_with("sealed:1:one:") && !sealed.contains("hunter2"));
        assert_eq!(seal.open(TENANT, "connection", "1", &sealed).unwrap(), b"hunter2");
        let wrong = Err(SealError::Wrong { key: "one".to_owned() });
        assert_eq!(seal.open(TenantId(2), "connection", "1", &sealed), wrong);
        assert_eq!(seal.open(TENANT, "connection", "2", &sealed), wrong);
        assert_eq!(seal.open(TENANT, "connectio", "n1", &sealed), wrong);
        assert_ne!(seal.seal(TENANT, "connection", "1", b"hunter2").unwrap(), sealed, "nonces differ");
        let mut changed = sealed.clone();
        let last = changed.pop().unwrap();
        changed.push(if last == 'A' { 'Q' } else { 'A' });
        assert!(seal.open(TENANT, "connection", "1", &changed).is_err());
        for other in ["", "{}", "sealed:1:one", "sealed:1:one:!", "sealed:1:one:AAAA"] {
            assert_eq!(seal.open(TENANT, "connection", "1", other), Err(SealError::Malformed), "{other}");
        }
    }

    #[test]
    fn keys_rotate_and_a_lacking_one_is_named() {
        let (seal, source) = seal(None, true);
        let old = seal.seal(TENANT, "s", "k", b"x").unwrap();
        let first = seal.names().unwrap();
        seal.rotate().unwrap();
        let names = seal.names().unwrap();
        assert_eq!((names.len(), &names[1]), (2, &first[0]));
        let new = seal.seal(TENANT, "s", "k", b"x").unwrap();
        assert!(new.starts_with(&format!("{MARK}{}:", names[0])));
        assert_eq!(seal.open(TENANT, "s", "k", &old).unwrap(), b"x");
        // The old key is taken away, and put back.
        let both = source.read().unwrap().unwrap();
        *source.0.lock() = Some(key("other", '1'));
        seal.provide(source.clone());
        let lacking = SealError::Lacking { key: first[0].clone(), there: vec!["other".to_owned()] };
        assert_eq!(seal.open(TENANT, "s", "k", &old), Err(lacking.clone()));
        assert!(lacking.to_string().contains(&format!("`{}`", first[0])), "{lacking}");
        *source.0.lock() = Some(both);
        assert_eq!(seal.open(TENANT, "s", "k", &old).unwrap(), b"x", "read again by itself");
        // Another key of that name.
        *source.0.lock() = Some(key(&first[0], '2'));
        seal.provide(source);
        assert_eq!(seal.open(TENANT, "s", "k", &old), Err(SealError::Wrong { key: first[0].clone() }));
    }

    #[test]
    fn keys_that_others_give_are_not_made_here() {
        let (seal, source) = seal(None, false);
        assert_eq!(seal.seal(TENANT, "s", "k", b"x"), Err(SealError::NoKey));
        assert_eq!(Seal::default().seal(TENANT, "s", "k", b"x"), Err(SealError::NoKey));
        *source.0.lock() = Some(format!("{}, {}", key("b", '2'), key("a", '1')));
        seal.rotate().unwrap();
        assert!(seal.seal(TENANT, "s", "k", b"x").unwrap().starts_with("sealed:1:b:"));
    }

    #[test]
    fn keys_are_told_to_be_wrong_without_being_shown() {
        let secret = "deadbeef".repeat(8);
        let cases = [
            (secret.clone(), "key 1 has no name"),
            (format!("a:{}", &secret[1..]), "key 1 is not as long"),
            (format!("a:{}g", &secret[1..]), "key 1 is not as long"),
            (format!("a b:{secret}"), "key 1 has no name"),
            (format!("ä:{secret}"), "key 1 has a name that is none"),
            (format!("a:{secret}\na:{secret}"), "key 2 has the name of another"),
        ];
        for (text, says) in cases {
            let error = Ring::parse(&text).err().unwrap().to_string();
            assert!(error.contains(says) && !error.contains("deadbeef"), "{text}: {error}");
        }
        let ring = Ring::parse(&format!("# ours\n a:{secret} # old\n\n")).unwrap();
        assert_eq!(Ring::parse(&ring.write()).unwrap().names(), ["a"]);
        let (seal, _) = seal(Some(&format!("a:{secret}")), false);
        seal.names().unwrap();
        assert_eq!(format!("{seal:?} {:?}", Secret::from("hunter2")), "Seal([\"a\"]) Secret(…)");
    }
}
