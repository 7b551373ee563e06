//! Passwords: what may be one, and how it is kept.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};

use crate::error::Problem;

/// A password has as many characters, at least and at most.
const LENGTH: std::ops::RangeInclusive<usize> = 12..=128;
/// What a password that we make up is made of: nothing that is taken for something else.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// It has so many of these, five bits each.
const MADE_UP: usize = 20;

/// May it be somebody's password? Length is what counts, not what it is made of.
pub(crate) fn check(name: &str, password: &str) -> Result<(), String> {
    let length = password.chars().count();
    if !LENGTH.contains(&length) {
        let (least, most) = (LENGTH.start(), LENGTH.end());
        return Err(format!("it has {length} characters; {least} to {most} are right, and spaces count"));
    }
    let (name, folded) = (name.to_lowercase(), password.to_lowercase());
    if folded.contains(&name) && name.len() * 2 > folded.len() {
        return Err("it is little more than the name".to_owned());
    }
    let mut letters: Vec<char> = folded.chars().collect();
    letters.sort_unstable();
    letters.dedup();
    if letters.len() < 5 {
        return Err("it has fewer than five different characters".to_owned());
    }
    Ok(())
}

/// As it is kept. It takes time and 19 MiB, which is the point: not on a thread that others wait for.
pub(crate) fn hash(password: &str) -> Result<String, Problem> {
    let hashed = Argon2::default().hash_password(password.as_bytes());
    Ok(hashed.map_err(|error| Problem::internal(&error.to_string()))?.to_string())
}

/// Is it that one? Where there is none to compare with it takes as long: nobody learns who there is.
pub(crate) fn is_right(kept: Option<&str>, password: &str) -> bool {
    let argon = Argon2::default();
    let Some(kept) = kept else {
        // The work is done and its outcome thrown away.
        let mut thrown_away = [0; 32];
        argon.hash_password_into(password.as_bytes(), b"nobody has that name", &mut thrown_away).ok();
        return false;
    };
    PasswordHash::new(kept).is_ok_and(|kept| argon.verify_password(password.as_bytes(), &kept).is_ok())
}

/// A password by chance, of 100 bits.
pub(crate) fn made_up() -> Result<String, Problem> {
    let mut random = [0; MADE_UP];
    getrandom::fill(&mut random).map_err(|error| Problem::internal(&error.to_string()))?;
    let mut text = String::new();
    for (nth, byte) in random.iter().enumerate() {
        if nth > 0 && nth % 5 == 0 {
            text.push('-');
        }
        text.push(char::from(LETTERS[usize::from(byte % 32)]));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_kept_as_a_hash_that_knows_it_again() {
        let password = made_up().unwrap();
        check("ada", &password).unwrap();
        let kept = hash(&password).unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
        assert!(is_right(Some(&kept), &password));
        assert!(!is_right(Some(&kept), "another one, longer"));
        assert!(!is_right(None, &password) && !is_right(Some("no hash"), &password));
        assert_ne!(hash(&password).unwrap(), kept, "each has a salt of its own");
    }

    #[test]
    fn what_is_guessed_at_once_is_no_password() {
        for (password, part) in
            [("short", "12 to 128"), ("aaaaaaaaaaaaaaaa", "five different"), ("ada.lovelace1", "the name")]
        {
            assert!(check("ada.lovelace", password).unwrap_err().contains(part), "{password}");
        }
        check("ada", "correct horse battery staple").unwrap();
        assert!(check("ada", &"x1y2z3".repeat(30)).is_err());
    }
}
