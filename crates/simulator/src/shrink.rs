//! The shortest story that still fails.

use crate::run::{Outcome, play};
use crate::story::Story;

/// How many shorter stories are tried.
const TRIED: usize = 400;

/// A failing story without what it does not need; and what came of it. Only failures of the same law count.
pub fn shrink(story: Story, outcome: Outcome) -> (Story, Outcome) {
    let law = law(&outcome);
    let (mut story, mut outcome) = (story, outcome);
    let mut left = TRIED;
    let mut size = story.steps.len().max(1);
    while size > 0 && left > 0 {
        let mut at = 0;
        let mut is_shorter = false;
        while at < story.steps.len() && left > 0 {
            let mut shorter = story.clone();
            let end = (at + size).min(shorter.steps.len());
            shorter.steps.drain(at..end);
            left -= 1;
            let tried = play(&shorter, false);
            if self::law(&tried) == law {
                (story, outcome) = (shorter, tried);
                is_shorter = true;
            } else {
                at = end;
            }
        }
        if size == 1 && !is_shorter {
            break;
        }
        size = if size == 1 { 1 } else { size / 2 };
    }
    (story, outcome)
}

/// What fails, without names and numbers; none where nothing does.
fn law(outcome: &Outcome) -> Option<String> {
    match outcome.violations.first() {
        Some(first) => Some(first.split(':').next().unwrap_or_default().to_owned()),
        None => outcome.wrong.first().map(|_| "a cause".to_owned()),
    }
}
