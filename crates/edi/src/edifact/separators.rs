//! The characters that separate, and the one that takes that away.
//!
//! UNA tells them, in this order: component, element, decimal mark, release, reserved, segment (<https://www.edifact.hu/segments/UNA>).
//! Without it they are the usual ones; the release character makes the one behind it a character like any other
//! (<https://pranke.com/en/faq/warum-stehen-im-una-segment-die-sonderzeichen-una>).

/// What separates an interchange's parts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Separators {
    /// Between an element's components.
    pub component: char,
    /// Between elements.
    pub element: char,
    /// In front of decimals: `.` or `,`.
    pub decimal: char,
    /// In front of a character that shall not separate; none where it is a blank.
    pub release: Option<char>,
    /// Behind a segment.
    pub segment: char,
}

impl Default for Separators {
    fn default() -> Self {
        Self { component: ':', element: '+', decimal: '.', release: Some('?'), segment: '\'' }
    }
}

impl Separators {
    /// What UNA tells in its six characters.
    pub(super) fn of(advice: &str) -> Option<Self> {
        let [component, element, decimal, release, _, segment] = *advice.chars().collect::<Vec<_>>() else {
            return None;
        };
        Some(Self { component, element, decimal, release: (release != ' ').then_some(release), segment })
    }

    /// UNA.
    pub(super) fn advice(&self) -> String {
        let Self { component, element, decimal, release, segment } = self;
        format!("UNA{component}{element}{decimal}{} {segment}", release.unwrap_or(' '))
    }

    /// What is wrong with them.
    pub(super) fn fault(&self) -> Option<String> {
        let mut all = vec![self.component, self.element, self.segment];
        all.extend(self.release);
        if let Some(bad) = all.iter().find(|character| {
            !character.is_ascii()
                || character.is_ascii_alphanumeric()
                || matches!(character, ' ' | '-' | '.' | ',')
        }) {
            return Some(format!("{bad:?} separates nothing: use a character that is in few values"));
        }
        let has_twin = |index: usize| all[..index].contains(&all[index]);
        if let Some(index) = (1..all.len()).find(|index| has_twin(*index)) {
            return Some(format!("{:?} separates two things: use four different characters", all[index]));
        }
        (!matches!(self.decimal, '.' | ','))
            .then(|| format!("{:?} is no decimal mark: a point or a comma is", self.decimal))
    }

    /// Has it to be released in a value?
    pub(super) fn has(&self, character: char) -> bool {
        [Some(self.component), Some(self.element), self.release, Some(self.segment)]
            .contains(&Some(character))
    }
}
