//! What each endpoint that changes something can be answered with when it is not done: the problems of the commands it
//! hands to the ledger (`onhand_ledger::refusals`), and those of reading the request.

use std::collections::BTreeSet;

use axum::http::{Method, StatusCode};
use onhand_ledger::{CommandKind, InvalidKind, RefusalKind};

use CommandKind as C;
use InvalidKind::{TooLarge, Twice, UnknownLocation, UnknownSku, UnknownSystem};

use crate::role::{self, Role};

/// What comes before the ledger is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Edge {
    /// The address has an id in it.
    Id,
    /// The address has a name in it, of something that must be.
    Name,
    /// The body has times.
    Time,
    /// The body has days.
    Day,
    /// The body is told apart before the ledger sees it.
    Field,
    /// A right is needed.
    Right,
    /// Something must be held, to be approved or rejected.
    Held,
    /// What is proposed is done, by a command that may be refused.
    Proposal,
    /// An outside system is spoken with.
    Outside,
    /// A secret is sealed, or opened.
    Secret,
    /// It is done once.
    Once,
    /// The body is a file, which is read before any of it is done; what comes of its rows is in the answer.
    File,
}

/// An endpoint: its address, the commands it hands to the ledger, what is read before, and what of the commands' own ways
/// of being none cannot come through it.
struct Endpoint {
    path: &'static str,
    commands: &'static [C],
    edges: &'static [Edge],
    never: &'static [InvalidKind],
}

const fn at(path: &'static str, commands: &'static [C], edges: &'static [Edge]) -> Endpoint {
    Endpoint { path, commands, edges, never: &[] }
}

impl Endpoint {
    /// Quantities are read up to what is taken, unless they are of packs; names in the address are looked up before.
    const fn never(self, never: &'static [InvalidKind]) -> Self {
        Self { never, ..self }
    }
}

/// All of them. One path has one that changes something.
const ENDPOINTS: &[Endpoint] = &[
    at("/v1/items", &[C::PutItem], &[Edge::Time, Edge::Field]),
    at("/v1/items/{sku}/rename", &[C::RenameItem], &[Edge::Name]).never(&[UnknownSku]),
    at("/v1/items/{sku}/aliases", &[C::ChangeAliases], &[Edge::Name]).never(&[UnknownSku]),
    at("/v1/items/{sku}/merge", &[C::MergeItems], &[Edge::Name]),
    at("/v1/items/{sku}/low-stock", &[C::SetLowStock], &[Edge::Name]).never(&[UnknownSku, TooLarge]),
    at("/v1/locations", &[C::PutLocation], &[]),
    at("/v1/lots", &[C::PutLot], &[Edge::Field]),
    at("/v1/movements/receive", &[C::Receive, C::Noted], &[Edge::Time, Edge::Field]),
    at("/v1/movements/adjust", &[C::Adjust, C::Noted], &[Edge::Time, Edge::Field]),
    at("/v1/movements/transfer", &[C::Transfer, C::Noted], &[Edge::Time, Edge::Field]),
    at("/v1/movements/state", &[C::Move, C::Noted], &[Edge::Time, Edge::Field]),
    at("/v1/movements/assemble", &[C::Assemble, C::Noted], &[Edge::Time, Edge::Field]),
    at("/v1/movements/disassemble", &[C::Disassemble, C::Noted], &[Edge::Time, Edge::Field]),
    at("/v1/movements/{seq}/reverse", &[C::Reverse, C::Noted], &[Edge::Id]).never(&[TooLarge]),
    at("/v1/transfers", &[C::PlanTransfer], &[Edge::Day, Edge::Field]),
    at("/v1/transfers/{id}/amend", &[C::AmendTransfer], &[Edge::Id, Edge::Day]).never(&[TooLarge]),
    at("/v1/transfers/{id}/ready", &[C::ReadyTransfer], &[Edge::Id]),
    at("/v1/transfers/{id}/dispatch", &[C::DispatchTransfer, C::Noted], &[Edge::Id, Edge::Time])
        .never(&[TooLarge]),
    at("/v1/transfers/{id}/receive", &[C::ReceiveTransfer, C::Noted], &[Edge::Id, Edge::Time])
        .never(&[TooLarge]),
    at("/v1/transfers/{id}/cancel", &[C::CancelTransfer], &[Edge::Id, Edge::Time]),
    at("/v1/purchase-orders", &[C::PlacePurchase], &[Edge::Day]),
    at("/v1/purchase-orders/{id}/amend", &[C::AmendPurchase], &[Edge::Id, Edge::Day]),
    at(
        "/v1/purchase-orders/{id}/receive",
        &[C::ReceivePurchase, C::Noted],
        &[Edge::Id, Edge::Day, Edge::Time],
    ),
    at("/v1/purchase-orders/{id}/close", &[C::EndPurchase], &[Edge::Id]),
    at("/v1/purchase-orders/{id}/cancel", &[C::EndPurchase], &[Edge::Id]),
    at("/v1/systems/{name}/recounts", &[C::AskRecount], &[Edge::Name]).never(&[UnknownSystem]),
    at("/v1/counts", &[C::Count], &[Edge::Time, Edge::Field]),
    at("/v1/count-sessions", &[C::OpenSession], &[]),
    at("/v1/count-sessions/{id}/counts", &[C::Sight], &[Edge::Id, Edge::Time]).never(&[TooLarge]),
    at("/v1/count-sessions/{id}/apply", &[C::ApplySession], &[Edge::Id, Edge::Right]),
    at("/v1/count-sessions/{id}/cancel", &[C::CancelSession], &[Edge::Id]),
    at("/v1/orders", &[C::PlaceOrder], &[Edge::Time]),
    at("/v1/orders/{id}/fulfil", &[C::FulfilOrder], &[Edge::Id, Edge::Time]).never(&[TooLarge]),
    at("/v1/orders/{id}/cancel", &[C::CancelOrder], &[Edge::Id]).never(&[TooLarge]),
    at("/v1/orders/{id}/return", &[C::ReturnOrder], &[Edge::Id, Edge::Time]).never(&[TooLarge]),
    at("/v1/orders/{id}/expected-returns", &[C::AnnounceReturn], &[Edge::Id, Edge::Day]).never(&[TooLarge]),
    at("/v1/expected-returns/{id}/cancel", &[C::EndReturn], &[Edge::Id]),
    at("/v1/orders/{id}/reallocate", &[C::Reallocate], &[Edge::Id]),
    at("/v1/documents", &[C::Record], &[Edge::Day, Edge::Time, Edge::Field]),
    at("/v1/holds", &[C::PlaceHold], &[Edge::Time, Edge::Field]),
    at("/v1/holds/{id}/extend", &[C::ExtendHold], &[Edge::Id, Edge::Time, Edge::Field]),
    at("/v1/holds/{id}/release", &[C::ReleaseHold, C::ReleaseLines], &[Edge::Id]).never(&[TooLarge]),
    at("/v1/holds/{id}/convert", &[C::ConvertHold], &[Edge::Id]),
    at("/v1/ownership", &[C::SetOwnership], &[]),
    at("/v1/ownership/preview", &[C::SetOwnership], &[]),
    at("/v1/publication", &[C::SetPublication], &[Edge::Day]),
    at("/v1/publication/preview", &[C::SetPublication], &[Edge::Day]),
    at("/v1/allocation", &[C::SetAllocation], &[]),
    at("/v1/selling/stop", &[C::StopSelling], &[]),
    at("/v1/selling/resume", &[C::ResumeSelling], &[]),
    at("/v1/rules/{id}", &[C::EndRule], &[Edge::Id]),
    at("/v1/discrepancies/{id}/resolve", &[C::Resolve], &[Edge::Id]),
    at("/v1/discrepancies/{id}/apply", &[], &[Edge::Id, Edge::Field, Edge::Proposal, Edge::Right]),
    at("/v1/inbox/apply", &[], &[Edge::Field]),
    at("/v1/alerts", &[], &[Edge::Field, Edge::Secret]),
    at("/v1/alerts/{name}", &[], &[Edge::Name]),
    at("/v1/alerts/{name}/test", &[], &[Edge::Name, Edge::Outside, Edge::Secret]),
    at("/v1/subscriptions", &[], &[Edge::Field, Edge::Secret]),
    at("/v1/subscriptions/{name}", &[], &[Edge::Name]),
    at("/v1/subscriptions/{name}/rotate-secret", &[], &[Edge::Name, Edge::Field, Edge::Secret]),
    at("/v1/subscriptions/{name}/enable", &[], &[Edge::Name, Edge::Secret]),
    at("/v1/subscriptions/{name}/test", &[], &[Edge::Name, Edge::Secret]),
    at("/v1/subscriptions/{name}/replay", &[], &[Edge::Name, Edge::Time, Edge::Secret]),
    at("/v1/subscriptions/{name}/messages/{message}/resend", &[], &[Edge::Name, Edge::Secret]),
    at("/v1/erase", &[], &[Edge::Field, Edge::Right]),
    at("/v1/systems", &[C::PutSystem], &[Edge::Field, Edge::Outside, Edge::Secret])
        .never(&[UnknownLocation, Twice]),
    at("/v1/systems/{name}/listings", &[C::PutListing], &[Edge::Name]).never(&[UnknownSystem]),
    at("/v1/systems/{name}/pause", &[C::PutSystem, C::Noted], &[Edge::Name]).never(&[UnknownLocation, Twice]),
    at("/v1/systems/{name}/mode", &[C::PutSystem], &[Edge::Name, Edge::Field])
        .never(&[UnknownLocation, Twice]),
    at("/v1/pushing/stop", &[C::StopPushing, C::Noted], &[]),
    at("/v1/pushing/resume", &[C::ResumePushing, C::Noted], &[]),
    at("/v1/systems/{name}/inbound", &[C::PutSystem], &[Edge::Name]).never(&[UnknownLocation, Twice]),
    at("/v1/systems/{name}/orders", &[C::PutSystem], &[Edge::Name, Edge::Field])
        .never(&[UnknownLocation, Twice]),
    at("/v1/systems/{name}/snapshots", &[], &[Edge::Name, Edge::Time, Edge::Field]),
    at("/v1/systems/{name}/snapshots/{document}/approve", &[], &[Edge::Name, Edge::Right, Edge::Held]),
    at("/v1/systems/{name}/snapshots/{document}/reject", &[], &[Edge::Name, Edge::Held]),
    at("/v1/systems/{name}/deltas", &[], &[Edge::Name, Edge::Time, Edge::Field]),
    at("/v1/systems/{name}/documents-known", &[], &[Edge::Name, Edge::Time, Edge::Field]),
    at("/v1/systems/{name}/webhook", &[], &[Edge::Name, Edge::Field, Edge::Outside]),
    at("/v1/systems/{name}/sync", &[], &[Edge::Name, Edge::Field]),
    at("/v1/systems/{name}/webhook/secret", &[], &[Edge::Name, Edge::Field, Edge::Secret]),
    at("/v1/systems/{name}/discover", &[], &[Edge::Name, Edge::Field, Edge::Outside, Edge::Secret]),
    at("/v1/systems/{name}/locations", &[C::PutSystem], &[Edge::Name, Edge::Field]),
    at("/v1/systems/{name}/matches", &[], &[Edge::Name]),
    at(
        "/v1/systems/{name}/opening",
        &[],
        &[Edge::Name, Edge::Time, Edge::Field, Edge::Outside, Edge::Secret, Edge::Once],
    ),
    at("/v1/systems/{name}/dry-run", &[], &[Edge::Name, Edge::Field, Edge::Outside, Edge::Secret]),
    at("/v1/systems/{name}/stage", &[C::PutSystem], &[Edge::Name, Edge::Field])
        .never(&[UnknownLocation, Twice]),
    at("/v1/connect", &[], &[Edge::Field, Edge::Outside, Edge::Secret]),
    at("/v1/keys", &[], &[Edge::Field, Edge::Right]),
    at("/v1/keys/{name}", &[], &[Edge::Name, Edge::Right]),
    at("/v1/users", &[], &[Edge::Field, Edge::Right]),
    at("/v1/users/{name}", &[], &[Edge::Name, Edge::Right]),
    at("/v1/users/{name}/amend", &[], &[Edge::Name, Edge::Field, Edge::Right]),
    at("/v1/users/{name}/password", &[], &[Edge::Name, Edge::Right]),
    at("/v1/users/{name}/sign-out", &[], &[Edge::Name, Edge::Right]),
    at("/v1/sign-in-policy", &[], &[]),
    at("/v1/sign-on", &[], &[Edge::Field, Edge::Secret]),
    at("/v1/sign-on/forget", &[], &[]),
    at("/v1/seal/rotate", &[], &[Edge::Right, Edge::Secret]),
    at("/v1/commands", &[], &[]),
    at("/v1/import/{what}", &[], &[Edge::Name, Edge::File]),
    at("/v1/verify", &[], &[]),
];

/// Systems call it, not who has a key.
const HOOKS: &str = "/hooks/{address}";

/// Status and kind of every problem that an endpoint that changes something can answer. `takes_key`: may it have an
/// `Idempotency-Key`; `reads_body`: has it a body that is read before it is answered?
///
/// # Panics
///
/// Where nothing is said of that address: an endpoint that nobody has thought through.
pub(crate) fn problems(path: &str, takes_key: bool, reads_body: bool) -> BTreeSet<(u16, &'static str)> {
    if path == HOOKS {
        let body = [(408, "body"), (413, "body")];
        let rest = [
            (400, "path"),
            (401, "unauthorised"),
            (404, "not_found"),
            (500, "internal"),
            (503, "busy"),
            (503, "store"),
        ];
        return body.into_iter().chain(rest).collect();
    }
    let endpoint = ENDPOINTS.iter().find(|endpoint| endpoint.path == path);
    let endpoint = endpoint.unwrap_or_else(|| panic!("{path} is in the table of endpoints"));
    let mut problems =
        BTreeSet::from([(401, "unauthorised"), (429, "rate"), (500, "internal"), (503, "store")]);
    if role::needed(&Method::POST, path) > Role::Viewer {
        problems.insert((403, "role"));
    }
    let has_file = endpoint.edges.contains(&Edge::File);
    if takes_key {
        problems.insert((400, "key"));
    }
    if takes_key && !has_file {
        problems.insert((409, InvalidKind::KeyReused.name()));
    }
    // These take no key and are committed all the same.
    if takes_key
        || path.starts_with("/v1/keys")
        || path.starts_with("/v1/users")
        || path.starts_with("/v1/sign-on")
        || path == "/v1/sign-in-policy"
        || path.starts_with("/v1/systems/")
        || path.starts_with("/v1/alerts")
        || path.starts_with("/v1/subscriptions")
        || path == "/v1/erase"
    {
        problems.insert((503, "busy"));
    }
    if reads_body {
        problems.extend([(408, "body"), (413, "body"), (if has_file { 400 } else { 422 }, "body")]);
    }
    for edge in endpoint.edges {
        match edge {
            Edge::Id | Edge::Name => problems.extend([(400, "path"), (404, InvalidKind::Unknown.name())]),
            Edge::Time => problems.extend([(422, "time")]),
            Edge::Day => problems.extend([(422, "date")]),
            Edge::Field => problems.extend([(422, InvalidKind::Field.name())]),
            Edge::Proposal => problems.extend([(409, "not_applied")]),
            Edge::Right => problems.extend([(403, "forbidden")]),
            Edge::Held => problems.extend([(409, "not_held")]),
            Edge::Outside => problems.extend([(502, "channel")]),
            Edge::Once => problems.extend([(409, "opening_taken")]),
            Edge::Secret => problems.extend([(503, "seal")]),
            Edge::File => problems.extend([(400, "query"), (415, "content_type"), (422, "file")]),
        }
    }
    for command in endpoint.commands {
        let refusals = command.refusals().iter();
        problems.extend(refusals.map(|kind| (status_of_refusal(*kind).as_u16(), kind.name())));
        let invalids = command.invalids().iter().filter(|kind| !endpoint.never.contains(kind));
        problems.extend(invalids.map(|kind| (status_of_invalid(*kind).as_u16(), kind.name())));
    }
    problems
}

/// The kinds of problems that a line of `POST /v1/commands` with this command can be answered with.
pub(crate) fn problems_of_line(command: CommandKind) -> BTreeSet<&'static str> {
    // Whatever it is, a line may be malformed, have a key that was used or is too long, or be one of a group.
    let mut problems = BTreeSet::from(["body", "field", "group", InvalidKind::KeyReused.name()]);
    problems.extend(command.refusals().iter().map(|kind| kind.name()));
    problems.extend(command.invalids().iter().map(|kind| kind.name()));
    if command == C::ApplySession {
        problems.insert("forbidden");
    }
    problems
}

/// The commands that can be answered with a kind of problem of the ledger's.
pub(crate) fn commands_that_say(kind: &str) -> Vec<&'static str> {
    let says = |command: &&CommandKind| {
        command.refusals().iter().any(|own| own.name() == kind)
            || command.invalids().iter().any(|own| own.name() == kind)
    };
    CommandKind::ALL.iter().filter(says).map(|command| command.name()).collect()
}

/// The status of a refusal.
pub(crate) const fn status_of_refusal(kind: RefusalKind) -> StatusCode {
    match kind {
        RefusalKind::ApprovalNeeded => StatusCode::FORBIDDEN,
        _ => StatusCode::CONFLICT,
    }
}

/// The status of what is no command.
pub(crate) const fn status_of_invalid(kind: InvalidKind) -> StatusCode {
    match kind {
        InvalidKind::Unknown => StatusCode::NOT_FOUND,
        InvalidKind::KeyReused => StatusCode::CONFLICT,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_comes_through_is_what_its_commands_would_say() {
        for endpoint in ENDPOINTS {
            for never in endpoint.never {
                let is_said = endpoint.commands.iter().any(|command| command.invalids().contains(never));
                assert!(is_said, "{} {never:?}", endpoint.path);
            }
        }
    }

    #[test]
    fn an_endpoint_says_what_its_commands_say_and_what_it_reads() {
        let rename = problems("/v1/items/{sku}/rename", true, true);
        assert!(rename.contains(&(409, "sku_taken")) && rename.contains(&(404, "unknown")));
        assert!(!rename.contains(&(422, "unknown_sku")));
        let apply = problems("/v1/count-sessions/{id}/apply", true, true);
        assert!(apply.contains(&(403, "approval_needed")) && apply.contains(&(403, "forbidden")));
        assert!(commands_that_say("reversed_already") == ["reverse"]);
        assert!(problems_of_line(C::Tick).len() == 4);
    }
}
