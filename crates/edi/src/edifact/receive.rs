//! Bytes become documents, and an answer to them.

use super::control::is_named;
use super::inventory_report::Directory;
use super::{Control, Interchange, Message, StockReport, read};
use crate::limits::MOST_PROBLEMS;
use crate::problem::{Fault, Place, Problem};

/// A document that a depositor is sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Document {
    /// INVRPT.
    Stock(StockReport),
    /// CONTRL.
    Control(Control),
}

/// What an interchange brings.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Receipt {
    /// The interchange, as far as it could be read.
    pub interchange: Option<Interchange>,
    /// The documents that nothing is wrong with, each with its place.
    pub documents: Vec<(Place, Document)>,
    /// All that is wrong.
    pub problems: Vec<Problem>,
    /// What is to be answered; nothing where it is all answers, or its header does not say to whom.
    pub control: Option<Control>,
}

/// Reads an interchange and the documents in it. A document is taken only if nothing is wrong with its message, and with the interchange's
/// own segments.
pub fn receive(bytes: &[u8]) -> Receipt {
    let reading = read(bytes);
    let mut problems = reading.problems.clone();
    let Some(interchange) = reading.interchange else {
        return Receipt { problems, ..Receipt::default() };
    };
    let is_whole = !problems.iter().any(|problem| problem.place.set.is_none())
        && interchange.messages.iter().all(is_named);
    let mut documents = Vec::new();
    let place = Place { interchange: Some(interchange.reference.clone()), ..Place::default() };
    for message in &interchange.messages {
        let at = Place { set: Some(message.reference.clone()), ..place.clone() };
        let is_bad = reading.problems.iter().any(|problem| problem.place.set == at.set);
        match document(message, interchange.separators.decimal, &at) {
            Ok(document) if is_whole && !is_bad => documents.push((at, document)),
            Ok(_) => {}
            // At least one for each message, so that none is taken for good.
            Err(more) => {
                let room = MOST_PROBLEMS.saturating_sub(problems.len()).max(1);
                problems.extend(more.into_iter().take(room));
            }
        }
    }
    let is_answer = !interchange.messages.is_empty()
        && interchange.messages.iter().all(|message| message.kind.kind == "CONTRL");
    let Interchange { reference, sender, recipient, .. } = &interchange;
    let is_answered = ![reference, &sender.id, &recipient.id].iter().any(|part| part.is_empty());
    let control = (!is_answer && is_answered).then(|| Control::of(&interchange, &problems));
    Receipt { interchange: Some(interchange), documents, problems, control }
}

fn document(message: &Message, decimal: char, at: &Place) -> Result<Document, Vec<Problem>> {
    let kind = &message.kind;
    let refuse = |component: usize, fault: Fault, told: String| {
        let place =
            Place { component: (component > 1).then_some(component), ..at.segment(1, "UNH").element(2) };
        Err(vec![Problem::new(place, fault, told)])
    };
    match (kind.kind.as_str(), kind.version.as_str(), kind.release.as_str()) {
        ("INVRPT", ..) if Directory::of(kind).is_some() => {
            Ok(Document::Stock(StockReport::read(message, decimal, at)?))
        }
        ("INVRPT", version, release) => refuse(
            3,
            Fault::Kind,
            format!("INVRPT of {version}.{release} is not read here: those of D.96A and D.01B are"),
        ),
        ("CONTRL", ..) => Ok(Document::Control(Control::read(message, at)?)),
        (kind, ..) => refuse(1, Fault::Kind, format!("`{kind}` is not read here: INVRPT and CONTRL are")),
    }
}
