//! Codes of a phone: RFC 6238, as every authenticator app makes them.

use onhand_engine::View;
use onhand_engine::seal::{Seal, SealError};
use onhand_ledger::TenantId;
use onhand_store::{Note, StoreError};
use totp_rs::{Builder, Totp};

use super::folded;
use crate::error::Problem;

/// The notes that secrets are kept in, sealed.
const SPACE: &str = "user_code";
/// The bytes of a secret: <https://www.rfc-editor.org/rfc/rfc4226#section-4>, R6.
const SECRET: usize = 20;
/// Seconds that a code lasts.
const STEP: u64 = 30;

/// What codes are made of.
pub(crate) struct Secret(totp_rs::Secret);

/// A code that somebody typed.
pub(crate) struct Code<'a>(pub &'a str);

impl Secret {
    /// By chance.
    pub fn made_up() -> Result<Self, Problem> {
        let mut random = [0; SECRET];
        getrandom::fill(&mut random).map_err(|error| Problem::internal(&error.to_string()))?;
        Ok(Self(random.into()))
    }

    /// As it is typed into an app, and as it comes back.
    pub fn of_text(text: &str) -> Option<Self> {
        let secret = totp_rs::Secret::try_from_base32(text).ok()?;
        (secret.as_ref().len() == SECRET).then_some(Self(secret))
    }

    /// As it is typed into an app.
    pub fn text(&self) -> String {
        self.0.to_base32()
    }

    /// The address that an app reads: <https://github.com/google/google-authenticator/wiki/Key-Uri-Format>.
    pub fn address(&self, name: &str) -> String {
        let name = crate::pages::part(name);
        format!("otpauth://totp/Onhand:{name}?secret={}&issuer=Onhand", self.text())
    }

    fn totp(&self) -> Option<Totp> {
        Builder::new().with_secret(self.0.clone()).with_step_duration(STEP).with_skew(1).build().ok()
    }

    /// The step of a code, where it is one of now (seconds since 1970) and none before was of that step or a later one.
    pub fn step_of(&self, code: &Code<'_>, now: i64, last: u64) -> Option<u64> {
        let digits: String = code.0.chars().filter(|letter| !letter.is_whitespace()).collect();
        let step = self.totp()?.check(&digits, u64::try_from(now).ok()?)?;
        (step > last).then_some(step)
    }

    /// As it is kept.
    pub fn note(&self, seal: &Seal, tenant: TenantId, name: &str) -> Result<Note, SealError> {
        let key = folded(name);
        let body = seal.seal(tenant, SPACE, &key, self.text().as_bytes())?;
        Ok(Note { space: SPACE.to_owned(), key, body: Some(body) })
    }

    /// Somebody's, sealed.
    pub fn kept(view: &mut View<'_>, name: &str) -> Result<Option<String>, StoreError> {
        view.note(SPACE, &folded(name))
    }

    /// What was sealed.
    pub fn opened(
        seal: &Seal,
        tenant: TenantId,
        name: &str,
        sealed: &str,
    ) -> Result<Option<Self>, SealError> {
        let plain = seal.open(tenant, SPACE, &folded(name), sealed)?;
        Ok(String::from_utf8(plain).ok().and_then(|text| Self::of_text(&text)))
    }

    /// Somebody has none any more.
    pub fn gone(name: &str) -> Note {
        Note { space: SPACE.to_owned(), key: folded(name), body: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_rfc_and_taken_once() {
        // <https://www.rfc-editor.org/rfc/rfc6238#appendix-B>: the last six of eight digits.
        let secret = Secret(b"12345678901234567890".to_vec().into());
        for (at, code) in
            [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924"), (20_000_000_000, "353130")]
        {
            let step = secret.step_of(&Code(code), at, 0);
            assert_eq!(step, Some(u64::try_from(at).unwrap() / 30), "{at}");
            assert_eq!(secret.step_of(&Code(code), at, step.unwrap()), None, "taken before");
            assert_eq!(secret.step_of(&Code(code), at + 30, 0), step, "one step late");
            assert_eq!(secret.step_of(&Code(code), at + 90, 0), None, "too late");
        }
        assert_eq!(secret.step_of(&Code("287 082"), 59, 0), Some(1));
        for wrong in ["", "287083", "28708", "2870822", "abcdef", "２８７０８２"] {
            assert_eq!(secret.step_of(&Code(wrong), 59, 0), None, "{wrong}");
        }
    }

    #[test]
    fn a_secret_is_typed_and_comes_back() {
        let secret = Secret::made_up().unwrap();
        assert_eq!(secret.text().len(), 32);
        assert_eq!(Secret::of_text(&secret.text()).unwrap().text(), secret.text());
        assert!(Secret::of_text("MFRGG").is_none() && Secret::of_text("!").is_none());
        let address = secret.address("ada@example.com");
        assert!(address.starts_with("otpauth://totp/Onhand:ada%40example.com?secret="), "{address}");
    }
}
