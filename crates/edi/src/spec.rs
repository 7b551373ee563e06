//! What an element may hold.

use crate::problem::{Place, Unwritable};

/// What an element may hold: its number in the standard's dictionary, what it is called, and how long it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Spec {
    /// Its number.
    pub number: u16,
    /// What people call it.
    pub name: &'static str,
    /// The fewest characters.
    pub least: usize,
    /// The most characters.
    pub most: usize,
}

impl Spec {
    pub(crate) const fn new(number: u16, name: &'static str, least: usize, most: usize) -> Self {
        Self { number, name, least, most }
    }

    /// How long it is, for a sentence.
    pub(crate) fn length(&self) -> String {
        if self.least == self.most {
            format!("{}", self.least)
        } else {
            format!("{} to {}", self.least, self.most)
        }
    }

    /// The value, where it may be written; an empty one may.
    pub(crate) fn fit(&self, place: &Place, value: &str) -> Result<(), Unwritable> {
        let length = value.chars().count();
        if length == 0 || (self.least..=self.most).contains(&length) {
            return Ok(());
        }
        let told = format!("`{value}` is {length} characters, the {} has {}", self.name, self.length());
        Err(Unwritable::new(place.clone(), told))
    }
}
