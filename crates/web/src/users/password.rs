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
const MADE_UP: usize = 28;
/// They are read in parts of so many.
const PART: usize = 7;
/// What is no secret here, in small letters.
const WORDS: &[&str] =
    &["onhand", "inventory", "warehouse", "stock", "admin", "operator", "password", "welcome"];
/// So much of a password is neither the name nor one of these.
const BESIDE: usize = 8;
/// The 5,000 that were used most among ten million that leaked, of those that are long enough and of five different characters:
/// of each in small letters the first twelve digits of its BLAKE3 hash, in order
/// (<https://github.com/danielmiessler/SecLists/tree/master/Passwords/Common-Credentials>, the list of ten million's first million).
const LEAKED: &str = include_str!("../../assets/common_passwords.txt");
/// Digits of a hash there.
const DIGITS: usize = 12;

/// May it be somebody's password? Length is what counts, not what it is made of.
pub(crate) fn check(name: &str, password: &str) -> Result<(), String> {
    let length = password.chars().count();
    if !LENGTH.contains(&length) {
        let (least, most) = (LENGTH.start(), LENGTH.end());
        return Err(format!("it has {length} characters; {least} to {most} are right, and spaces count"));
    }
    let folded = password.to_lowercase();
    if beside(&name.to_lowercase(), &folded) < BESIDE {
        return Err("it is little more than the name, or words that anybody would try here".to_owned());
    }
    let mut letters: Vec<char> = folded.chars().collect();
    letters.sort_unstable();
    letters.dedup();
    if letters.len() < 5 {
        return Err("it has fewer than five different characters".to_owned());
    }
    if has_leaked(&folded) {
        return Err("it is one of those that are used most, which are tried first".to_owned());
    }
    Ok(())
}

/// How many characters there are beside the name and the words that are no secret here.
fn beside(name: &str, password: &str) -> usize {
    // A name of one or two letters is in many passwords by chance.
    let name = Some(name).filter(|name| name.chars().count() > 2);
    let known = WORDS.iter().copied().chain(name);
    known.fold(password.to_owned(), |left, word| left.replace(word, "")).chars().count()
}

fn has_leaked(password: &str) -> bool {
    let hash = blake3::hash(password.as_bytes()).to_hex();
    let leaked: &[u8] = LEAKED.as_bytes();
    let (lines, _) = leaked.as_chunks::<{ DIGITS + 1 }>();
    lines.binary_search_by(|line| line[..DIGITS].cmp(&hash.as_bytes()[..DIGITS])).is_ok()
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

/// A password by chance, of 140 bits.
pub(crate) fn made_up() -> Result<String, Problem> {
    let mut random = [0; MADE_UP];
    getrandom::fill(&mut random).map_err(|error| Problem::internal(&error.to_string()))?;
    let mut text = String::new();
    for (nth, byte) in random.iter().enumerate() {
        if nth > 0 && nth % PART == 0 {
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
        for (password, part) in [
            ("short", "12 to 128"),
            ("aaaaaaaaaaaaaaaa", "five different"),
            ("ada.lovelace1", "the name"),
            ("Onhand-Warehouse1", "words that anybody would try"),
            ("Manchesterunited", "used most"),
            ("1q2w3e4r5t6y", "used most"),
        ] {
            assert!(check("ada.lovelace", password).unwrap_err().contains(part), "{password}");
        }
        for good in ["correct horse battery staple", "the stock of my warehouse", "ÜBER ßtraße 漢字 emoji 🦀"]
        {
            check("ada", good).unwrap();
        }
        check("x", &"q1w2e3".repeat(11)).unwrap();
        assert!(check("ada", &"x1y2z3".repeat(30)).is_err());
    }

    #[test]
    fn those_that_leaked_are_in_order_and_enough() {
        let lines: Vec<&str> = LEAKED.lines().collect();
        assert!(lines.len() >= 3_000 && lines.is_sorted());
        assert!(lines.iter().all(|line| line.len() == DIGITS));
        assert_eq!(LEAKED.len(), lines.len() * (DIGITS + 1), "each line is as long as the others");
    }

    #[test]
    fn one_that_is_made_up_has_128_bits_and_is_another_each_time() {
        let (one, two) = (made_up().unwrap(), made_up().unwrap());
        assert_ne!(one, two);
        assert_eq!(one.split('-').map(str::len).collect::<Vec<_>>(), [PART; 4]);
        assert!(MADE_UP * 5 >= 128 && one.bytes().all(|byte| byte == b'-' || LETTERS.contains(&byte)));
    }
}
