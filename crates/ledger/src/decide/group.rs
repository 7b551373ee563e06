//! Groups: several commands in one decision, all or nothing. A later one sees what the earlier ones did, and is an
//! instant later, as if they had come one by one; the first that is refused refuses all.

use std::collections::BTreeSet;

use crate::answer::{Answer, Invalid, Refusal};
use crate::command::Body;
use crate::state::Need;

use super::tx::{Stop, Tx};
use super::{lapse_due, order, run};

/// How many commands a group has at most.
const MOST: usize = 1_000;

pub(super) fn run_all(tx: &mut Tx<'_>, bodies: &[Body]) -> Result<Answer, Stop> {
    check(bodies)?;
    let mut answers = Vec::with_capacity(bodies.len());
    for (line, body) in (1..).zip(bodies) {
        if line > 1 {
            tx.now = tx.now.plus_micros(1);
        }
        // Each answer tells what came up by its own line.
        tx.discrepancies.clear();
        let outcome = lapse_due(tx).and_then(|()| run(tx, body));
        let outcome = outcome.and_then(|answer| order::settle(tx).map(|()| answer));
        answers.push(outcome.map_err(|stop| match stop {
            Stop::Needs(needs) => Stop::Needs(and_those_of(tx, needs, &bodies[answers.len() + 1..])),
            Stop::Refused(refusal) => Refusal::InGroup { line, refusal }.into(),
            Stop::Invalid(invalid) => Invalid::InGroup { line, invalid: Box::new(invalid) }.into(),
        })?);
    }
    Ok(Answer::Group(answers))
}

fn check(bodies: &[Body]) -> Result<(), Stop> {
    if bodies.is_empty() {
        return Err(Invalid::NoLines("a group").into());
    }
    if bodies.len() > MOST {
        let problem = format!("has {} lines; at most {MOST} are done together", bodies.len());
        return Err(Invalid::Field { field: "group", problem }.into());
    }
    let wrong = |body: &Body| match body {
        Body::Group(_) => Some("a group cannot be part of a group"),
        // The words are the record's, which the group is one of.
        Body::Noted(_) => Some("a group is noted as a whole, not its lines"),
        // A fact is always recorded; a group may be refused.
        Body::Record(_) => {
            Some("a document has happened and cannot be undone with others: send it by itself")
        }
        _ => None,
    };
    for (line, body) in (1..).zip(bodies) {
        if let Some(problem) = wrong(body) {
            let invalid = Box::new(Invalid::Field { field: "group", problem: problem.to_owned() });
            return Err(Invalid::InGroup { line, invalid }.into());
        }
    }
    Ok(())
}

/// What later commands need is fetched together with it, as far as it can be told without the earlier ones, or a group
/// would be decided as often as it has commands.
fn and_those_of(tx: &Tx<'_>, needs: Vec<Need>, bodies: &[Body]) -> Vec<Need> {
    let mut all: BTreeSet<Need> = needs.into_iter().collect();
    for (later, body) in (1..).zip(bodies) {
        let mut alone = tx.begin_again();
        alone.now = tx.now.plus_micros(later);
        if let Err(Stop::Needs(needs)) = lapse_due(&mut alone).and_then(|()| run(&mut alone, body)) {
            all.extend(needs);
        }
    }
    all.into_iter().collect()
}
