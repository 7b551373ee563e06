//! The characters that separate.
//!
//! The fourth character of an interchange separates its elements, the last element of its header its components, and the character behind
//! that ends its segments (<https://dewanamit.blogspot.com/2011/05/isa-interchange-control-header-isa.html>). From version 00402 on ISA11
//! separates repetitions; before that it is `U` (<https://www.ibm.com/docs/en/ste/11.0.0?topic=partners-isa-options-tab>). They are all
//! different: <https://support.ecgrid.com/support/solutions/articles/6000280688-error-code-1106-interchange-invalid-isa11->.

use super::Interchange;

/// What separates an interchange's parts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Separators {
    /// Between elements.
    pub element: char,
    /// Between an element's components.
    pub component: char,
    /// Between an element's repetitions, from version 00402 on.
    pub repetition: Option<char>,
    /// Behind a segment.
    pub segment: char,
}

/// The version from which on elements may be repeated.
const REPEATED_FROM: &str = "00402";

/// May elements be repeated in an envelope of that version?
pub(super) fn may_repeat(version: &str) -> bool {
    version >= REPEATED_FROM
}

impl Separators {
    /// The usual ones for an envelope of that version.
    pub fn usual(version: &str) -> Self {
        let repetition = may_repeat(version).then_some('^');
        Self { element: '*', component: '>', repetition, segment: '~' }
    }

    /// The usual ones, or where a value has one of them in it others that are in none; none where there are no such.
    pub fn fitting(interchange: &Interchange) -> Option<Self> {
        let mut used = [false; 128];
        for value in super::write::values(interchange) {
            for byte in value.bytes().filter(u8::is_ascii) {
                used[usize::from(byte)] = true;
            }
        }
        let mut choose = |candidates: &str| {
            let chosen = candidates.chars().find(|candidate| !used[*candidate as usize])?;
            used[chosen as usize] = true;
            Some(chosen)
        };
        let (element, segment, component) = (choose("*|+`\\")?, choose("~'!\n\x1c")?, choose(">:<@;")?);
        let repetition = if may_repeat(&interchange.version) { Some(choose("^}{%#")?) } else { None };
        Some(Self { element, component, repetition, segment })
    }

    /// What is wrong with them for an envelope of that version.
    pub(super) fn fault(&self, version: &str) -> Option<String> {
        let mut all = vec![self.element, self.component, self.segment];
        all.extend(self.repetition);
        if let Some(bad) = all.iter().find(|character| {
            !character.is_ascii() || character.is_ascii_alphanumeric() || matches!(character, ' ' | '-' | '.')
        }) {
            return Some(format!("{bad:?} separates nothing: use a character that is in no value"));
        }
        let has_twin = |index: usize| all[..index].contains(&all[index]);
        if let Some(index) = (1..all.len()).find(|index| has_twin(*index)) {
            return Some(format!("{:?} separates two things: use four different characters", all[index]));
        }
        match (may_repeat(version), self.repetition) {
            (true, None) => Some(format!("version {version} needs a character between repetitions")),
            (false, Some(_)) => {
                Some(format!("version {version} has no repetitions: they are from {REPEATED_FROM} on"))
            }
            _ => None,
        }
    }

    /// Is it one of them?
    pub(super) fn has(&self, character: char) -> bool {
        [Some(self.element), Some(self.component), self.repetition, Some(self.segment)]
            .contains(&Some(character))
    }
}
