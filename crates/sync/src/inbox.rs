//! What could be done about a discrepancy: proposals, each a command that does all of it, for a person to choose from.
//!
//! A proposal has a name, which is the same for all that is alike, so that one choice can be made for many. What ends by
//! itself once its cause is over (what waits for a name, what is short) is not ended here as well.

use onhand_ledger::command::{
    AskRecount, CancelOrder, ChangeAliases, Content, Document, LineQuantity, OpenSession, PutItem,
    PutListing, Reallocate, Resolve, SetOwnership,
};
use onhand_ledger::model::{Cause, Choice, Discrepancy};
use onhand_ledger::{Body, DiscrepancyId, OrderId, Quantity};

/// A discrepancy with the names of what it speaks of, and what the ledger knows of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Matter<'a> {
    /// Which.
    pub id: DiscrepancyId,
    /// What it says.
    pub discrepancy: &'a Discrepancy,
    /// Whose word started it, by name.
    pub system: String,
    /// The SKU of its item.
    pub sku: Option<String>,
    /// The code of its location.
    pub location: Option<String>,
    /// Who can count its item there.
    pub counter: Counter,
    /// What its document names and nobody knows.
    pub unknown: Vec<Unknown>,
    /// The document that waits, as it was told.
    pub told: Option<Document>,
    /// The order it is about, and its lines that are short: line and how much.
    pub short: Option<(OrderId, Vec<(String, Quantity)>)>,
    /// The snapshot that is held.
    pub held: Option<String>,
    /// The listing that is none of our items yet.
    pub unlinked: Option<Unlinked>,
    /// How many listings that were told of together are none of our items yet; 0 where one is told of alone.
    pub together: usize,
}

/// A listing of that system that is none of our items.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unlinked {
    /// Its id over there.
    pub remote_id: String,
    /// What it is called over there.
    pub name: String,
    /// Its SKU over there; none: it cannot become an item by itself.
    pub sku: Option<String>,
}

/// Who can count some stock.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Counter {
    /// We: it is ours.
    #[default]
    Ourselves,
    /// Its master, which can be asked to.
    Master(String),
    /// Its master alone, which takes nothing from us.
    Nobody,
}

/// A name in a document that nobody knows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unknown {
    /// A SKU, and those that look like it.
    Sku {
        /// As it was told.
        sku: String,
        /// What it may be misspelt of.
        twins: Vec<String>,
    },
    /// A listing of that system that is not mapped, by its id over there.
    Listing(String),
}

/// Something that could be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proposal {
    /// Its name: the same for all discrepancies that it can be done for.
    pub name: &'static str,
    /// What would be done, as a person reads it.
    pub sentence: String,
    /// What does it.
    pub deed: Deed,
}

/// What does what is proposed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Deed {
    /// This command.
    Commit(Box<Body>),
    /// `sku` is to be told first, and [`map`] does it.
    Map,
    /// The snapshot that is held is approved, or rejected.
    Snapshot {
        /// Its document.
        document: String,
        /// Or is it rejected?
        approve: bool,
    },
    /// Something is chosen for a listing that is none of our items.
    Listing {
        /// Its id over there.
        remote_id: String,
        /// What.
        chosen: Chosen,
    },
    /// The same is chosen for all listings that were told of together and still wait; what it cannot be done with goes on waiting.
    Listings {
        /// What. They are linked to what is proposed for them by SKU or barcode.
        chosen: Chosen,
    },
}

/// What becomes of a listing that is none of our items.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Chosen {
    /// It is an item of ours: `sku` is to be told with it.
    Link,
    /// It becomes an item, by its SKU over there.
    Make,
    /// It is none of ours, and stays so.
    Ignore,
}

impl Deed {
    /// The command that does it, where one does and nothing is to be told first.
    pub const fn body(&self) -> Option<&Body> {
        match self {
            Self::Commit(body) => Some(body),
            Self::Map | Self::Snapshot { .. } | Self::Listing { .. } | Self::Listings { .. } => None,
        }
    }

    /// Is a SKU to be told with it?
    pub const fn needs_sku(&self) -> bool {
        matches!(self, Self::Map | Self::Listing { chosen: Chosen::Link, .. })
    }
}

/// All that could be done about an open discrepancy; what helps most comes first, and leaving it at that last.
pub fn propose(matter: &Matter<'_>) -> Vec<Proposal> {
    if !matter.discrepancy.choices.is_empty() {
        return matter.discrepancy.choices.iter().map(|choice| answer(matter, *choice)).collect();
    }
    let mut proposals = match matter.discrepancy.cause {
        Cause::UnknownName => names(matter),
        Cause::Short => short(matter),
        Cause::NotMaster => make_master(matter).into_iter().collect(),
        Cause::MoreLeftThanThere
        | Cause::PromiseBroken
        | Cause::MoreThanOrdered
        | Cause::ManualEdit
        | Cause::Unexplained
        | Cause::MissedEvent
        | Cause::NotFound => count(matter).into_iter().collect(),
        Cause::ContradictoryVersion => take_the_other(matter).into_iter().collect(),
        Cause::PushRefused | Cause::TrackingOff | Cause::SecondMaster => vec![try_again(matter)],
        Cause::Guard => held(matter),
        Cause::UnmappedListing if matter.together > 0 => unlinked_together(matter),
        Cause::UnmappedListing => unlinked(matter),
        // Rules and listings are mended where they are.
        Cause::ClockAhead
        | Cause::ZerosHeld
        | Cause::CannotAdopt
        | Cause::ListingRenamed
        | Cause::ListingGone
        | Cause::Declined
        | Cause::Recount
        | Cause::MalformedFile
        | Cause::RepeatedFile
        | Cause::MissingFile
        | Cause::Impossible => Vec::new(),
    };
    proposals.push(dismiss(matter));
    proposals
}

/// An answer to a question.
fn answer(matter: &Matter<'_>, choice: Choice) -> Proposal {
    let (system, quantity) = (&matter.system, matter.discrepancy.quantity);
    let sentence = match choice {
        Choice::SetBack => format!("Set it back: {system} shows again what it should."),
        Choice::Adopt => format!("Adopt it: stock changes by {quantity} where the listing is mapped."),
        Choice::Approve => format!("Approve it: what is held is sent to {system}."),
        Choice::Reject => {
            format!("Reject it: {system} shows what it does until what made it zero is undone.")
        }
    };
    one(choice.name(), sentence, Body::Resolve(Resolve { discrepancy: matter.id, choice: Some(choice) }))
}

/// Maps the only listing that a discrepancy waits for to an item.
pub fn map(matter: &Matter<'_>, sku: &str) -> Option<Body> {
    match matter.unknown.as_slice() {
        [Unknown::Listing(remote_id)] => Some(Body::PutListing(PutListing {
            system: matter.system.clone(),
            remote_id: remote_id.clone(),
            remote_sku: None,
            sku: Some(sku.to_owned()),
            multiplier: 1,
            found: false,
        })),
        [Unknown::Sku { sku: told, .. }] => Some(alias(told, sku)),
        _ => None,
    }
}

fn one(name: &'static str, sentence: String, body: Body) -> Proposal {
    Proposal { name, sentence, deed: Deed::Commit(Box::new(body)) }
}

fn held(matter: &Matter<'_>) -> Vec<Proposal> {
    let Some(document) = &matter.held else { return Vec::new() };
    let system = &matter.system;
    let sentence = |approve| {
        if approve {
            format!("Approve it: what {system} told is booked as of its own time.")
        } else {
            format!("Reject it: nothing is changed by it, ever; {system}'s next snapshot is judged anew.")
        }
    };
    let deed = |approve| Deed::Snapshot { document: document.clone(), approve };
    [("approve", true), ("reject", false)]
        .map(|(name, approve)| Proposal { name, sentence: sentence(approve), deed: deed(approve) })
        .into()
}

fn unlinked(matter: &Matter<'_>) -> Vec<Proposal> {
    let Some(Unlinked { remote_id, name, sku }) = &matter.unlinked else { return Vec::new() };
    let system = &matter.system;
    let mut proposals = vec![("link", format!("Say which of our items {name} is: `sku`."), Chosen::Link)];
    if let Some(sku) = sku {
        proposals.push(("make_item", format!("Make the item `{sku}` of it."), Chosen::Make));
    }
    let sentence = format!("Ignore it: {name} of {system} is none of ours, and nobody is told again.");
    proposals.push(("ignore", sentence, Chosen::Ignore));
    let proposal = |(name, sentence, chosen)| {
        let deed = Deed::Listing { remote_id: remote_id.clone(), chosen };
        Proposal { name, sentence, deed }
    };
    proposals.into_iter().map(proposal).collect()
}

fn unlinked_together(matter: &Matter<'_>) -> Vec<Proposal> {
    let (system, together) = (&matter.system, matter.together);
    let link = format!(
        "Link all that still wait ({together}) and have the SKU or a barcode of one of our items; the others go on waiting."
    );
    let make = format!(
        "Make items of all that still wait ({together}), by their SKUs over there; what has none goes on waiting."
    );
    let ignore = format!(
        "Ignore all that still wait ({together}): they are none of ours at {system}, and nobody is told again."
    );
    [
        ("link_proposed", link, Chosen::Link),
        ("make_item", make, Chosen::Make),
        ("ignore", ignore, Chosen::Ignore),
    ]
    .map(|(name, sentence, chosen)| Proposal { name, sentence, deed: Deed::Listings { chosen } })
    .into()
}

/// What ends by this alone: the discrepancy with it, or nothing of it.
fn with_end(matter: &Matter<'_>, body: Body) -> Body {
    Body::Group(vec![body, end(matter)])
}

const fn end(matter: &Matter<'_>) -> Body {
    Body::Resolve(Resolve { discrepancy: matter.id, choice: None })
}

fn alias(told: &str, of: &str) -> Body {
    let (sku, add) = (of.to_owned(), vec![told.to_owned()]);
    Body::ChangeAliases(ChangeAliases { sku, add, remove: Vec::new() })
}

fn names(matter: &Matter<'_>) -> Vec<Proposal> {
    let mut proposals = Vec::new();
    let skus: Vec<(&str, &[String])> = matter
        .unknown
        .iter()
        .filter_map(|unknown| match unknown {
            Unknown::Sku { sku, twins } => Some((sku.as_str(), twins.as_slice())),
            Unknown::Listing(_) => None,
        })
        .collect();
    let all_are_skus = !skus.is_empty() && skus.len() == matter.unknown.len();
    if all_are_skus && skus.iter().all(|(_, twins)| twins.len() == 1) {
        let told: Vec<String> =
            skus.iter().map(|(sku, twins)| format!("`{sku}` is `{}`", twins[0])).collect();
        let bodies = skus.iter().map(|(sku, twins)| alias(sku, &twins[0])).collect();
        let sentence =
            format!("Say that {}: another name of it. What waits is applied then.", told.join(", "));
        proposals.push(one("alias", sentence, together(bodies)));
    }
    if all_are_skus {
        let told: Vec<String> = skus.iter().map(|(sku, _)| format!("`{sku}`")).collect();
        let make = |sku: &str| Body::PutItem(PutItem { sku: sku.to_owned(), ..PutItem::default() });
        let bodies = skus.iter().map(|(sku, _)| make(sku)).collect();
        let sentence = format!("Make the item {}. What waits is applied then.", told.join(", "));
        proposals.push(one("make_item", sentence, together(bodies)));
    }
    if let [only] = matter.unknown.as_slice() {
        let sentence = match only {
            Unknown::Sku { sku, .. } => format!("Say which item `{sku}` is: `sku` becomes its other name."),
            Unknown::Listing(id) => {
                format!("Say which item the listing `{id}` of {} is: `sku`.", matter.system)
            }
        };
        proposals.push(Proposal { name: "map", sentence, deed: Deed::Map });
    }
    proposals
}

/// One command as it is, several as a group.
fn together(mut bodies: Vec<Body>) -> Body {
    match bodies.pop() {
        Some(only) if bodies.is_empty() => only,
        Some(last) => {
            bodies.push(last);
            Body::Group(bodies)
        }
        None => Body::Group(bodies),
    }
}

fn short(matter: &Matter<'_>) -> Vec<Proposal> {
    let Some((order, lines)) = &matter.short else { return Vec::new() };
    let order = *order;
    let name = matter.discrepancy.document.clone().unwrap_or_else(|| order.to_string());
    let mut proposals = vec![one(
        "reallocate",
        format!(
            "Look for better places for order {name}: what is promised may be moved, nothing is lost by it."
        ),
        Body::Reallocate(Reallocate { order, away_from: None }),
    )];
    if !lines.is_empty() {
        let told: Vec<String> =
            lines.iter().map(|(line, quantity)| format!("{quantity} of line `{line}`")).collect();
        let part = |(line, quantity): &(String, Quantity)| LineQuantity {
            line: line.clone(),
            quantity: *quantity,
            lot: None,
        };
        let lines = Some(lines.iter().map(part).collect());
        proposals.push(one(
            "cancel_short",
            format!(
                "Cancel what order {name} is short of here ({}), and tell the customer.",
                told.join(", ")
            ),
            Body::CancelOrder(CancelOrder { order, lines }),
        ));
    }
    proposals
}

fn make_master(matter: &Matter<'_>) -> Option<Proposal> {
    let (sku, location) = (matter.sku.clone()?, matter.location.clone()?);
    let system = &matter.system;
    let sentence = format!(
        "Make {system} the master of {sku} at {location}. What it told counts from the next time on."
    );
    let rule = SetOwnership {
        location: Some(location),
        sku: Some(sku),
        master: system.clone(),
        ..SetOwnership::default()
    };
    Some(one("make_master", sentence, with_end(matter, Body::SetOwnership(rule))))
}

fn count(matter: &Matter<'_>) -> Option<Proposal> {
    let (sku, location) = (matter.sku.clone()?, matter.location.clone()?);
    match &matter.counter {
        Counter::Ourselves => {}
        Counter::Master(system) => {
            let sentence = format!("Ask {system} to count {sku} at {location}; this ends with it.");
            let reason = Some(matter.discrepancy.sentence.chars().take(500).collect());
            let ask = AskRecount { system: system.clone(), sku, location, reason };
            return Some(one("recount", sentence, with_end(matter, Body::AskRecount(ask))));
        }
        Counter::Nobody => return None,
    }
    let sentence = format!("Open a session to count {sku} at {location}; this ends with it.");
    let session = OpenSession {
        location,
        inside: None,
        skus: Some(vec![sku]),
        blind: None,
        recount_over: None,
        approve_over: None,
    };
    Some(one("count", sentence, with_end(matter, Body::OpenSession(session))))
}

/// The same version with other content: as if it were the next one.
fn take_the_other(matter: &Matter<'_>) -> Option<Proposal> {
    let mut document = matter.told.clone()?;
    if !matches!(document.content, Content::Order(_) | Content::Movements(_)) {
        return None;
    }
    document.version = document.version.checked_add(1)?;
    let sentence = format!(
        "Apply what {} told last of {}, as its version {}: the difference to what was applied is booked.",
        matter.system, document.document, document.version
    );
    Some(one("apply", sentence, Body::Record(document)))
}

fn try_again(matter: &Matter<'_>) -> Proposal {
    let what = match matter.discrepancy.cause {
        Cause::SecondMaster => "The other program writes no more: write our number again.",
        Cause::TrackingOff => "Stock is tracked over there now: send our number.",
        _ => "Send our number again now.",
    };
    one("retry", what.to_owned(), end(matter))
}

fn dismiss(matter: &Matter<'_>) -> Proposal {
    let sentence = match matter.discrepancy.cause {
        Cause::NotMaster => "Leave the master's number as it is.",
        Cause::ContradictoryVersion => "Leave the first as it is applied.",
        Cause::ClockAhead if matter.discrepancy.item.is_some() => {
            "Take it off the list. What was counted is not booked; have it counted again."
        }
        Cause::Recount => "It needs to be counted no more: take that back.",
        Cause::UnknownName | Cause::ClockAhead | Cause::Guard => {
            "Take it off the list. What waits goes on waiting."
        }
        _ => "It is seen: take it off the list, and change nothing.",
    };
    one("dismiss", sentence.to_owned(), end(matter))
}

#[cfg(test)]
mod tests {
    use onhand_ledger::{Instant, ItemId, SystemId};

    use super::*;

    fn of(cause: Cause) -> Discrepancy {
        Discrepancy {
            cause,
            item: None,
            location: None,
            system: SystemId(3),
            document: Some("1044".to_owned()),
            quantity: Quantity::ONE,
            sentence: String::new(),
            evidence: None,
            opened_at: Instant::from_micros(0),
            resolved_at: None,
            choices: Vec::new(),
            chosen: None,
        }
    }

    fn matter(discrepancy: &Discrepancy) -> Matter<'_> {
        Matter {
            id: DiscrepancyId(57),
            discrepancy,
            system: "WEB".to_owned(),
            sku: Some("MUG".to_owned()),
            location: Some("LONDON".to_owned()),
            counter: Counter::Ourselves,
            unknown: Vec::new(),
            told: None,
            short: None,
            held: None,
            unlinked: None,
            together: 0,
        }
    }

    fn named(proposals: &[Proposal]) -> Vec<&str> {
        proposals.iter().map(|proposal| proposal.name).collect()
    }

    #[test]
    fn what_is_proposed_for_each_cause() {
        for (cause, names) in [
            (Cause::NotMaster, vec!["make_master", "dismiss"]),
            (Cause::MoreLeftThanThere, vec!["count", "dismiss"]),
            (Cause::PromiseBroken, vec!["count", "dismiss"]),
            (Cause::MoreThanOrdered, vec!["count", "dismiss"]),
            (Cause::ManualEdit, vec!["count", "dismiss"]),
            (Cause::MissedEvent, vec!["count", "dismiss"]),
            (Cause::Unexplained, vec!["count", "dismiss"]),
            (Cause::Guard, vec!["dismiss"]),
            (Cause::ZerosHeld, vec!["dismiss"]),
            (Cause::CannotAdopt, vec!["dismiss"]),
            (Cause::UnmappedListing, vec!["dismiss"]),
            (Cause::ListingRenamed, vec!["dismiss"]),
            (Cause::ListingGone, vec!["dismiss"]),
            (Cause::NotFound, vec!["count", "dismiss"]),
            (Cause::Declined, vec!["dismiss"]),
            (Cause::Recount, vec!["dismiss"]),
            (Cause::MalformedFile, vec!["dismiss"]),
            (Cause::RepeatedFile, vec!["dismiss"]),
            (Cause::MissingFile, vec!["dismiss"]),
            (Cause::PushRefused, vec!["retry", "dismiss"]),
            (Cause::TrackingOff, vec!["retry", "dismiss"]),
            (Cause::SecondMaster, vec!["retry", "dismiss"]),
            (Cause::ClockAhead, vec!["dismiss"]),
            (Cause::Short, vec!["dismiss"]),
            (Cause::UnknownName, vec!["dismiss"]),
            (Cause::ContradictoryVersion, vec!["dismiss"]),
        ] {
            assert_eq!(named(&propose(&matter(&of(cause)))), names, "{cause:?}");
        }
    }

    #[test]
    fn what_each_choice_would_do_is_said_in_a_sentence_of_its_own() {
        let counted = Discrepancy { item: Some(ItemId(4)), ..of(Cause::ClockAhead) };
        for (discrepancy, sentence) in [
            (of(Cause::PushRefused), "Send our number again now."),
            (of(Cause::TrackingOff), "Stock is tracked over there now: send our number."),
            (of(Cause::SecondMaster), "The other program writes no more: write our number again."),
            (of(Cause::NotMaster), "Leave the master's number as it is."),
            (of(Cause::ContradictoryVersion), "Leave the first as it is applied."),
            (of(Cause::ClockAhead), "Take it off the list. What waits goes on waiting."),
            (counted, "Take it off the list. What was counted is not booked; have it counted again."),
            (of(Cause::Recount), "It needs to be counted no more: take that back."),
            (of(Cause::UnknownName), "Take it off the list. What waits goes on waiting."),
            (of(Cause::Guard), "Take it off the list. What waits goes on waiting."),
            (of(Cause::Declined), "It is seen: take it off the list, and change nothing."),
        ] {
            let sentences: Vec<_> =
                propose(&matter(&discrepancy)).into_iter().map(|one| one.sentence).collect();
            assert!(sentences.iter().any(|told| told == sentence), "{:?}: {sentences:?}", discrepancy.cause);
        }
    }

    #[test]
    fn what_its_sentence_asks_for_can_be_done() {
        let (guard, unmapped) = (of(Cause::Guard), of(Cause::UnmappedListing));
        let held = Matter { held: Some("snap-7".to_owned()), ..matter(&guard) };
        let proposals = propose(&held);
        assert_eq!(named(&proposals), ["approve", "reject", "dismiss"]);
        let document = "snap-7".to_owned();
        assert_eq!(proposals[0].deed, Deed::Snapshot { document: document.clone(), approve: true });
        assert_eq!(proposals[1].deed, Deed::Snapshot { document, approve: false });
        let unlinked = |sku: Option<&str>| {
            let (remote_id, name, sku) = ("p1".to_owned(), "Mug".to_owned(), sku.map(ToOwned::to_owned));
            propose(&Matter { unlinked: Some(Unlinked { remote_id, name, sku }), ..matter(&unmapped) })
        };
        let proposals = unlinked(Some("MUG-9"));
        assert_eq!(named(&proposals), ["link", "make_item", "ignore", "dismiss"]);
        let needs: Vec<bool> = proposals.iter().map(|proposal| proposal.deed.needs_sku()).collect();
        assert_eq!(needs, [true, false, false, false]);
        assert_eq!(proposals[1].sentence, "Make the item `MUG-9` of it.");
        assert_eq!(
            named(&unlinked(None)),
            ["link", "ignore", "dismiss"],
            "without a SKU it cannot become an item"
        );
        let proposals = propose(&Matter { together: 25, ..matter(&unmapped) });
        assert_eq!(named(&proposals), ["link_proposed", "make_item", "ignore", "dismiss"]);
        assert!(proposals.iter().all(|proposal| !proposal.deed.needs_sku()));
        assert!(proposals[2].sentence.contains("all that still wait (25)"), "{}", proposals[2].sentence);
    }

    #[test]
    fn to_make_it_the_master_is_a_rule_for_that_item_there_and_the_end_of_it() {
        let discrepancy = of(Cause::NotMaster);
        let [make_master, dismiss] = &propose(&matter(&discrepancy))[..] else { panic!("that, or nothing") };
        let rule = SetOwnership {
            location: Some("LONDON".to_owned()),
            sku: Some("MUG".to_owned()),
            master: "WEB".to_owned(),
            ..SetOwnership::default()
        };
        let end = Body::Resolve(Resolve { discrepancy: DiscrepancyId(57), choice: None });
        assert_eq!(
            make_master.deed,
            Deed::Commit(Box::new(Body::Group(vec![Body::SetOwnership(rule), end.clone()])))
        );
        assert_eq!(dismiss.deed, Deed::Commit(Box::new(end)));
    }

    #[test]
    fn stock_of_another_master_is_counted_by_that_one_where_it_can_be_asked() {
        for cause in [Cause::NotFound, Cause::MoreLeftThanThere, Cause::PromiseBroken] {
            let discrepancy = of(cause);
            let counter = Counter::Master("WMS".to_owned());
            let proposals = propose(&Matter { counter, ..matter(&discrepancy) });
            assert_eq!(named(&proposals), ["recount", "dismiss"]);
            let Some(Body::Group(bodies)) = proposals[0].deed.body() else { panic!("it asks, and ends") };
            let Body::AskRecount(ask) = &bodies[0] else { panic!("it asks") };
            let asked = (ask.system.as_str(), ask.sku.as_str(), ask.location.as_str());
            assert_eq!(asked, ("WMS", "MUG", "LONDON"));
            let proposals = propose(&Matter { counter: Counter::Nobody, ..matter(&discrepancy) });
            assert_eq!(named(&proposals), ["dismiss"]);
        }
    }

    #[test]
    fn a_question_is_answered_by_one_of_its_choices() {
        let asked = Discrepancy { choices: vec![Choice::SetBack, Choice::Adopt], ..of(Cause::ManualEdit) };
        let proposals = propose(&matter(&asked));
        assert_eq!(named(&proposals), ["set_back", "adopt"]);
        let resolve = |choice| Some(Body::Resolve(Resolve { discrepancy: DiscrepancyId(57), choice }));
        let bodies: Vec<_> = proposals.into_iter().map(|proposal| proposal.deed.body().cloned()).collect();
        assert_eq!(bodies, [resolve(Some(Choice::SetBack)), resolve(Some(Choice::Adopt))]);
    }

    #[test]
    fn a_name_that_nobody_knows_is_made_mapped_or_another_name_of_what_looks_like_it() {
        let discrepancy = of(Cause::UnknownName);
        let sku = |sku: &str, twins: &[&str]| Unknown::Sku {
            sku: sku.to_owned(),
            twins: twins.iter().map(|twin| (*twin).to_owned()).collect(),
        };
        for (unknown, names) in [
            (vec![sku("mug", &["MUG"])], vec!["alias", "make_item", "map", "dismiss"]),
            (vec![sku("mug", &["MUG", "MU-G"])], vec!["make_item", "map", "dismiss"]),
            (vec![sku("CUP", &[])], vec!["make_item", "map", "dismiss"]),
            (vec![sku("mug", &["MUG"]), sku("cup", &["CUP"])], vec!["alias", "make_item", "dismiss"]),
            (vec![Unknown::Listing("7".to_owned())], vec!["map", "dismiss"]),
            (vec![Unknown::Listing("7".to_owned()), sku("CUP", &[])], vec!["dismiss"]),
        ] {
            let matter = Matter { unknown, ..matter(&discrepancy) };
            assert_eq!(named(&propose(&matter)), names, "{:?}", matter.unknown);
        }
        let one = Matter { unknown: vec![sku("mug", &["MUG"])], ..matter(&discrepancy) };
        assert_eq!(propose(&one)[0].deed.body(), Some(&alias("mug", "MUG")));
        assert_eq!(map(&one, "CUP"), Some(alias("mug", "CUP")));
        let listing = Matter { unknown: vec![Unknown::Listing("7".to_owned())], ..matter(&discrepancy) };
        let mapped = PutListing {
            system: "WEB".to_owned(),
            remote_id: "7".to_owned(),
            remote_sku: None,
            sku: Some("CUP".to_owned()),
            multiplier: 1,
            found: false,
        };
        assert_eq!(map(&listing, "CUP"), Some(Body::PutListing(mapped)));
        let two = Matter { unknown: vec![sku("A", &[]), sku("B", &[])], ..matter(&discrepancy) };
        let item = |sku: &str| Body::PutItem(PutItem { sku: sku.to_owned(), ..PutItem::default() });
        assert_eq!(
            propose(&two)[0].deed.body(),
            Some(&Body::Group(vec![item("A"), item("B")])),
            "made together"
        );
        assert_eq!(map(&two, "CUP"), None);
    }

    #[test]
    fn what_is_short_is_looked_for_elsewhere_or_cancelled_and_ends_by_itself() {
        let discrepancy = of(Cause::Short);
        let short = Some((OrderId(9), vec![("1".to_owned(), Quantity::units(2))]));
        let proposals = propose(&Matter { short, ..matter(&discrepancy) });
        assert_eq!(named(&proposals), ["reallocate", "cancel_short", "dismiss"]);
        let lines = vec![LineQuantity { line: "1".to_owned(), quantity: Quantity::units(2), lot: None }];
        assert_eq!(
            proposals[1].deed.body().cloned(),
            Some(Body::CancelOrder(CancelOrder { order: OrderId(9), lines: Some(lines) }))
        );
    }

    #[test]
    fn what_was_told_twice_is_applied_as_the_next_version() {
        let discrepancy = of(Cause::ContradictoryVersion);
        let document = Document {
            system: "WEB".to_owned(),
            document: "1044".to_owned(),
            version: 2,
            content: Content::Movements(Vec::new()),
        };
        let proposals = propose(&Matter { told: Some(document.clone()), ..matter(&discrepancy) });
        assert_eq!(named(&proposals), ["apply", "dismiss"]);
        assert_eq!(
            proposals[0].deed.body().cloned(),
            Some(Body::Record(Document { version: 3, ..document }))
        );
    }
}
