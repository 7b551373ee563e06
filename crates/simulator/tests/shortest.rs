//! What fails is told as the shortest story that does.

use onhand_simulator::run::play;
use onhand_simulator::shrink::shrink_while;
use onhand_simulator::story::{Story, What};
use onhand_simulator::world::Fault;

/// A failure is planted: whoever changes a number by hand where Onhand is killed too.
fn fails(story: &Story) -> Option<()> {
    let faults = play(story, false).faults;
    (faults.contains_key(&Fault::HandEdit) && faults.contains_key(&Fault::Crash)).then_some(())
}

#[test]
fn a_long_story_that_fails_is_told_in_a_few_steps() {
    let long = (0..).map(Story::of).find(|story| story.steps.len() > 60 && fails(story).is_some());
    let long = long.expect("one of all stories fails");
    let whole = long.steps.len();
    let (short, ()) = shrink_while(long, (), fails);
    assert!(fails(&short).is_some(), "it still does");
    assert_eq!(short.steps.len(), 2, "of {whole}: {:#?}", short.steps);
    let is_needed =
        |what: &What| matches!(what, What::Edit { .. } | What::Crash { .. } | What::CrashAtPush { .. });
    assert!(short.steps.iter().all(|step| is_needed(&step.what)), "{:#?}", short.steps);
    assert!(short.systems.len() <= 2, "{}", short.systems.len());
}
