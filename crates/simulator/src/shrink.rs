//! The shortest story that still fails.

use crate::run::{Outcome, play};
use crate::story::Story;

/// How many shorter stories are tried.
const TRIED: usize = 400;

/// A failing story without what it does not need; and what came of it. Only failures of the same law count.
pub fn shrink(story: Story, outcome: Outcome) -> (Story, Outcome) {
    let before = law(&outcome);
    shrink_while(story, outcome, |shorter| {
        let tried = play(shorter, false);
        (law(&tried) == before).then_some(tried)
    })
}

/// A story without what it does not need to be what `fails` says it is, and what that answered last: steps are left out, ever fewer at a time,
/// then whole systems, where what is left means the same without them.
pub fn shrink_while<T>(
    mut story: Story,
    mut outcome: T,
    mut fails: impl FnMut(&Story) -> Option<T>,
) -> (Story, T) {
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
            match fails(&shorter) {
                Some(tried) => {
                    (story, outcome) = (shorter, tried);
                    is_shorter = true;
                }
                None => at = end,
            }
        }
        if size == 1 && !is_shorter {
            break;
        }
        size = if size == 1 { 1 } else { size / 2 };
    }
    while story.systems.len() > 1 {
        let mut fewer = story.clone();
        fewer.systems.pop();
        let Some(tried) = fails(&fewer) else { break };
        (story, outcome) = (fewer, tried);
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
