//! Barcodes that are Global Trade Item Numbers: 8, 12, 13 or 14 digits, the last of which is a check digit.
//!
//! Source: GS1 General Specifications, section 7.9, and
//! <https://www.gs1.org/services/how-calculate-check-digit-manually>. Other codes are free text and are not judged.

/// Does a code look like a GTIN: 8, 12, 13 or 14 digits and nothing else?
pub fn is_gtin(code: &str) -> bool {
    matches!(code.len(), 8 | 12 | 13 | 14) && code.bytes().all(|byte| byte.is_ascii_digit())
}

/// The check digit that belongs behind these digits: weights 3 and 1 in turn from the right, up to the next ten.
fn check_digit(digits: &[u8]) -> u8 {
    let weighted = digits.iter().rev().zip([3, 1].into_iter().cycle());
    let sum: u32 = weighted.map(|(byte, weight)| u32::from(byte - b'0') * weight).sum();
    let missing = (10 - sum % 10) % 10;
    b'0' + u8::try_from(missing).unwrap_or_default()
}

/// The check digit a code should end with, if it looks like a GTIN and ends with another.
pub fn right_check_digit(code: &str) -> Option<char> {
    let (last, digits) = code.as_bytes().split_last().filter(|_| is_gtin(code))?;
    let right = check_digit(digits);
    (right != *last).then_some(char::from(right))
}

/// A code as it is compared: a GTIN in 14 digits, so that one number is one code however many zeros lead it (GS1
/// General Specifications, section 3.3.2: a GTIN is stored right-justified in 14 digits); any other as it is.
pub fn canonical(code: &str) -> String {
    if is_gtin(code) { format!("{code:0>14}") } else { code.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_digits_of_known_codes_are_right() {
        // Of GS1's own page and of things on a desk: GTIN-8, GTIN-12, GTIN-13, GTIN-14.
        for code in ["96385074", "036000291452", "4006381333931", "6291041500213", "10614141000415"] {
            assert_eq!(right_check_digit(code), None, "{code}");
        }
    }

    #[test]
    fn every_other_last_digit_is_wrong_and_the_right_one_is_named() {
        for last in '0'..='9' {
            let code = format!("400638133393{last}");
            assert_eq!(right_check_digit(&code), (last != '1').then_some('1'), "{code}");
        }
        // Two neighbours exchanged.
        assert_eq!(right_check_digit("4006381333391"), Some('9'));
    }

    #[test]
    fn what_is_no_gtin_is_not_judged() {
        for code in
            ["", "1", "1234567", "123456789", "ABC-1234", "400638133393X", "４００６３８１３３３９３１"]
        {
            assert_eq!((right_check_digit(code), canonical(code).as_str()), (None, code), "{code}");
        }
    }

    #[test]
    fn leading_zeros_make_no_other_code() {
        assert_eq!(canonical("036000291452"), canonical("0036000291452"));
        assert_eq!(canonical("036000291452"), "00036000291452");
    }
}
