//! Bytes become documents, and acknowledgments of them.

use super::acknowledge::acknowledge;
use super::{
    Acknowledgment, Adjusted, Group, Interchange, Inventory, PurchaseOrder, Received, Shipped,
    TransactionSet, read,
};
use crate::limits::MOST_PROBLEMS;
use crate::problem::{Fault, Place, Problem};

/// A document that a depositor is sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Document {
    /// 846.
    Inventory(Inventory),
    /// 850.
    PurchaseOrder(PurchaseOrder),
    /// 944.
    Received(Received),
    /// 945.
    Shipped(Shipped),
    /// 947.
    Adjusted(Adjusted),
    /// 997.
    Acknowledgment(Acknowledgment),
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
    /// What is to be answered: one for each group.
    pub acknowledgments: Vec<Acknowledgment>,
}

/// The oldest release that is read: dates have four digits for the year from it on.
const OLDEST: &str = "004010";

/// Reads an interchange and the documents in it. A document is taken only if nothing is wrong with its set, and with the group's and the
/// interchange's own segments; what is wrong is in the acknowledgments too.
pub fn receive(bytes: &[u8]) -> Receipt {
    let reading = read(bytes);
    let mut problems = reading.problems.clone();
    let mut documents = Vec::new();
    let Some(interchange) = &reading.interchange else {
        return Receipt { problems, ..Receipt::default() };
    };
    let place = Place { interchange: Some(format!("{:09}", interchange.control)), ..Place::default() };
    let is_whole = !problems.iter().any(|problem| problem.place.group.is_none());
    for group in &interchange.groups {
        let place = Place { group: Some(group.control.to_string()), ..place.clone() };
        if !is_supported(group) {
            let told = format!(
                "release `{}` of agency `{}`: X12 {OLDEST} and later are read",
                group.version, group.agency
            );
            problems.push(Problem::new(place.envelope("GS").element(8), Fault::Version, told));
            continue;
        }
        take(group, &place, (is_whole, &reading.problems), &mut problems, &mut documents);
    }
    let acknowledgments = acknowledge(&reading, &problems);
    Receipt { interchange: reading.interchange, documents, problems, acknowledgments }
}

fn is_supported(group: &Group) -> bool {
    let release = group.version.get(..6).unwrap_or("");
    group.agency == "X" && release.bytes().all(|byte| byte.is_ascii_digit()) && release >= OLDEST
}

fn take(
    group: &Group,
    place: &Place,
    (is_whole, read): (bool, &[Problem]),
    problems: &mut Vec<Problem>,
    documents: &mut Vec<(Place, Document)>,
) {
    let here: Vec<&Problem> = read.iter().filter(|problem| problem.place.group == place.group).collect();
    let is_whole = is_whole && !here.iter().any(|problem| problem.place.set.is_none());
    for set in &group.sets {
        let at = Place { set: Some(set.control.clone()), ..place.clone() };
        let is_bad = here.iter().any(|problem| problem.place.set == at.set);
        match document(&group.functional, set, &at) {
            Ok(document) if is_whole && !is_bad => documents.push((at, document)),
            Ok(_) => {}
            // At least one for each set, so that none is taken for good.
            Err(more) => {
                let room = MOST_PROBLEMS.saturating_sub(problems.len()).max(1);
                problems.extend(more.into_iter().take(room));
            }
        }
    }
}

/// What is read, and the kind of group it is in.
const KINDS: [(&str, &str); 6] =
    [("846", "IB"), ("850", "PO"), ("944", "RE"), ("945", "SW"), ("947", "AW"), ("997", "FA")];

fn document(functional: &str, set: &TransactionSet, at: &Place) -> Result<Document, Vec<Problem>> {
    let refuse = |told: String| Err(vec![Problem::new(at.segment(1, "ST").element(1), Fault::Kind, told)]);
    match KINDS.iter().find(|(kind, _)| *kind == set.kind) {
        Some((kind, group)) if *group != functional => {
            return refuse(format!("{kind} is in a group {group}, this one is {functional}"));
        }
        _ => {}
    }
    Ok(match set.kind.as_str() {
        "846" => Document::Inventory(Inventory::read(set, at)?),
        "850" => Document::PurchaseOrder(PurchaseOrder::read(set, at)?),
        "944" => Document::Received(Received::read(set, at)?),
        "945" => Document::Shipped(Shipped::read(set, at)?),
        "947" => Document::Adjusted(Adjusted::read(set, at)?),
        "997" => Document::Acknowledgment(Acknowledgment::read(set, at)?),
        kind => return refuse(format!("`{kind}` is not read here: 846, 850, 944, 945, 947 and 997 are")),
    })
}
