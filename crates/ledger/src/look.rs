//! How a SKU looks to somebody who types it: two that look the same are near-twins, and may be one item misspelt.

/// A SKU without what is easily mistaken: case, spaces and dashes, and O for 0, I or l for 1.
pub fn look(sku: &str) -> String {
    let seen = sku.chars().filter(|letter| !is_gap(*letter)).flat_map(char::to_lowercase);
    seen.map(|letter| match letter {
        'o' => '0',
        'i' | 'l' => '1',
        other => other,
    })
    .collect()
}

/// A space, one of the dashes that keyboards and office programs make, or what is not seen at all: joiners, marks of
/// direction and of byte order, as they come along with what is copied from a page.
const fn is_gap(letter: char) -> bool {
    letter.is_whitespace()
        || matches!(letter, '-' | '_' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{ad}')
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_easily_mistaken_looks_the_same() {
        for (one, other) in [
            ("85123A", "85123a"),
            ("MUG-1", "mug l"),
            ("MUG-1", "MUGI"),
            ("O815", "0815"),
            ("T SHIRT – XL", "t-shirt_x1"),
            ("MUG\u{200b}-1", "MUG-1\u{feff}"),
            ("\u{202d}MUG\u{202c}", "MUG"),
        ] {
            assert_eq!(look(one), look(other), "{one} {other}");
        }
    }

    #[test]
    fn what_differs_looks_different() {
        for (one, other) in [("85123A", "85123B"), ("MUG-1", "MUG-11"), ("A.1", "A1"), ("5", "S")] {
            assert_ne!(look(one), look(other), "{one} {other}");
        }
    }
}
