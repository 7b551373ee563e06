//! Several things in one field: `A|B`, or with a quantity each, `A=2|B=0.5`. What would be read as more than it is has a `\`
//! before it.

use onhand_ledger::{Precision, Quantity};

const SPECIAL: [char; 4] = ['\\', '|', '=', '@'];

fn escaped(text: &str, out: &mut String) {
    for letter in text.chars() {
        if SPECIAL.contains(&letter) {
            out.push('\\');
        }
        out.push(letter);
    }
}

/// A name and a quantity, and perhaps a code.
pub(crate) type Part = (String, Quantity, Option<String>);

/// Writes names.
pub(crate) fn join<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let mut out = String::new();
    for name in names {
        if !out.is_empty() {
            out.push('|');
        }
        escaped(name, &mut out);
    }
    out
}

/// Writes names with a quantity each, and perhaps a code.
pub(crate) fn join_parts<'n>(
    parts: impl IntoIterator<Item = (&'n str, Quantity, Option<&'n str>)>,
) -> String {
    let mut out = String::new();
    for (name, quantity, code) in parts {
        if !out.is_empty() {
            out.push('|');
        }
        escaped(name, &mut out);
        out.push('=');
        out.push_str(&quantity.to_string());
        if let Some(code) = code {
            out.push('@');
            escaped(code, &mut out);
        }
    }
    out
}

/// Splits at a letter that has no `\` before it; `\`s stay.
fn split_at(text: &str, at: char) -> Vec<&str> {
    let (mut parts, mut start, mut is_escaped) = (Vec::new(), 0, false);
    for (place, letter) in text.char_indices() {
        if is_escaped {
            is_escaped = false;
        } else if letter == '\\' {
            is_escaped = true;
        } else if letter == at {
            parts.push(&text[start..place]);
            start = place + letter.len_utf8();
        }
    }
    parts.push(&text[start..]);
    parts
}

fn unescaped(text: &str) -> String {
    let (mut out, mut is_escaped) = (String::with_capacity(text.len()), false);
    for letter in text.chars() {
        if letter == '\\' && !is_escaped {
            is_escaped = true;
        } else {
            out.push(letter);
            is_escaped = false;
        }
    }
    out.trim().to_owned()
}

/// Reads names; none where the field is empty, and an empty list where it is nothing but `|`. Empty names are left out.
pub(crate) fn split(text: &str) -> Option<Vec<String>> {
    let names = split_at(text, '|').into_iter().map(unescaped).filter(|name| !name.is_empty()).collect();
    (!text.trim().is_empty()).then_some(names)
}

/// Reads names with a quantity each; what is empty, and what is nothing but `|`, as [`split`] does.
pub(crate) fn split_parts(text: &str) -> Result<Option<Vec<Part>>, String> {
    let mut parts = Vec::new();
    for part in split_at(text, '|').into_iter().filter(|part| !part.trim().is_empty()) {
        let [name, rest] = split_at(part, '=')[..] else {
            return Err(format!("`{}` must be a name and a quantity, such as MUG=2", part.trim()));
        };
        let (quantity, code) = match split_at(rest, '@')[..] {
            [quantity] => (quantity, None),
            [quantity, code] => (quantity, Some(unescaped(code))),
            _ => return Err(format!("`{}` has more than one `@`", part.trim())),
        };
        let quantity =
            Quantity::parse(quantity.trim(), Precision::FINEST).map_err(|error| error.to_string())?;
        parts.push((unescaped(name), quantity, code));
    }
    Ok((!text.trim().is_empty()).then_some(parts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_joined_is_split_again_whatever_is_in_it() {
        let names = ["A", "B|C", "D=E", "F\\", "G@H", "\\|", "Täßchen, blue"];
        assert_eq!(split(&join(names)).unwrap(), names);
        assert_eq!((split(""), split_parts(" ").unwrap()), (None, None));
        assert_eq!((split(" | "), split_parts("|").unwrap()), (Some(Vec::new()), Some(Vec::new())));
        assert_eq!(split(" A | B "), Some(vec!["A".to_owned(), "B".to_owned()]));
        let quantity = Quantity::from_micros(500_000);
        let parts = names.map(|name| (name, quantity, Some(name)));
        let read = split_parts(&join_parts(parts)).unwrap().unwrap();
        let read: Vec<_> =
            read.iter().map(|(name, quantity, code)| (name.as_str(), *quantity, code.as_deref())).collect();
        assert_eq!(read, parts);
        assert!(split_parts("MUG").unwrap_err().contains("a name and a quantity"));
        assert!(split_parts("MUG=many").unwrap_err().contains("not a number"));
    }
}
