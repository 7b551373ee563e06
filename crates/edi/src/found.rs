//! The problems found so far, up to a bound.

use std::cell::RefCell;

use crate::limits::MOST_PROBLEMS;
use crate::problem::{Fault, Place, Problem};

/// The problems found so far; the first [`MOST_PROBLEMS`] are kept.
#[derive(Default)]
pub(crate) struct Found(RefCell<Vec<Problem>>);

impl Found {
    pub(crate) fn add(&self, problem: Problem) {
        let mut problems = self.0.borrow_mut();
        if problems.len() < MOST_PROBLEMS {
            problems.push(problem);
        }
    }

    pub(crate) fn tell(&self, place: Place, fault: Fault, told: impl Into<String>) {
        self.add(Problem::new(place, fault, told));
    }

    /// Is there room for no more?
    pub(crate) fn is_full(&self) -> bool {
        self.0.borrow().len() >= MOST_PROBLEMS
    }

    /// Adds it even where there is room for no more.
    pub(crate) fn add_last(&self, problem: Problem) {
        self.0.borrow_mut().push(problem);
    }

    pub(crate) fn into_problems(self) -> Vec<Problem> {
        self.0.into_inner()
    }

    /// The document, unless anything was found to be wrong.
    pub(crate) fn or<T>(self, document: Option<T>) -> Result<T, Vec<Problem>> {
        let problems = self.into_problems();
        match document {
            Some(document) if problems.is_empty() => Ok(document),
            _ => Err(problems),
        }
    }
}
