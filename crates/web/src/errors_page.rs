//! `/docs/errors`: what each kind of problem means and what to do, where a problem's `type` points.

use std::fmt::Write as _;

use axum::response::Html;

/// Kind, what it means, what to do. Every problem has one of these kinds.
pub(crate) const KINDS: &[(&str, &str, &str)] = &[
    ("already_resolved", "The discrepancy was resolved before.", "Nothing."),
    (
        "body",
        "The body cannot be read: no JSON, a field that is not known, a value of another type, too long, or too slow.",
        "See `detail`: it names the place.",
    ),
    (
        "busy",
        "More is waiting to be committed than is taken in.",
        "Send it again after `Retry-After` seconds, with the same key.",
    ),
    (
        "channel",
        "The outside system could not be connected.",
        "See `detail`: its address, the credentials, or what it answered.",
    ),
    ("cursor", "The cursor is none of this list.", "Take `next_cursor` of the page before."),
    ("field", "A field has a value that is not possible.", "See `field` and `detail`."),
    ("hold_ended", "The hold has lapsed, been released, or become an order.", "Place another."),
    (
        "insufficient",
        "Less is available than is asked for, all lines together. Nothing was taken.",
        "See `missing`; ask for less, or wait.",
    ),
    ("internal", "Something went wrong on our side.", "Look for the request's id in the log, and tell us."),
    (
        "item_in_use",
        "The item has moved already, and how it is tracked cannot change any more.",
        "Make another item.",
    ),
    ("key", "The `Idempotency-Key` has not 1 to 255 visible ASCII characters.", "Send another."),
    ("key_reused", "The key was used for another request.", "Use a new key for a new request."),
    ("limit", "`limit` is not 1 to 100.", "Ask for less, and follow `next_cursor`."),
    (
        "line_has_less",
        "The order's line has less to ship, cancel or return.",
        "See `detail`: it says how much there is.",
    ),
    ("method", "The address is known, the method is not taken there.", "See /docs."),
    ("no_lines", "The request has no lines.", "Send at least one."),
    ("not_found", "Nothing is at that address.", "See /docs."),
    (
        "not_master",
        "Another system is master of that stock.",
        "Make the change in that system, which tells us; or change the ownership rule.",
    ),
    ("not_positive", "A quantity is not more than zero.", "Send more than 0."),
    (
        "not_sellable",
        "Nothing is promised from that location.",
        "Name another location, or none; or let it sell: `POST /v1/locations` with `sellable`.",
    ),
    (
        "overflow",
        "A sum is larger than can be kept: 2,300,000,000,000 units in all, or short in all.",
        "Send less.",
    ),
    ("path", "A part of the address is not as it must be.", "See `detail`."),
    (
        "precision_in_use",
        "Quantities with more decimals may be booked already.",
        "Keep the precision, or make another item.",
    ),
    ("query", "A query parameter is not as it must be.", "See `detail`."),
    (
        "reference_taken",
        "Another order has that reference.",
        "Use another; or see the order named in `detail`.",
    ),
    (
        "rule_tie",
        "Two rules of one specificity would speak of the same stock.",
        "See both named in `detail`; make one more specific, or end one.",
    ),
    (
        "serial_elsewhere",
        "A piece with that serial number is in stock by our books; it cannot come in a second time.",
        "See `detail`: it says where. Check the number, or transfer the piece.",
    ),
    (
        "store",
        "The database could not be read or written. Nothing was changed.",
        "See the log; send it again after `Retry-After` seconds, with the same key.",
    ),
    (
        "time",
        "A time is not as RFC 3339 writes it, such as 2026-11-24T10:15:00Z.",
        "Send it with its offset.",
    ),
    ("too_far_ahead", "A time is more than 5 minutes ahead of our clock.", "Check the clock it comes from."),
    ("too_large", "A quantity is more than 1,000,000,000,000 units.", "Send less, or in a larger unit."),
    (
        "too_precise",
        "A quantity has more decimals than its item takes.",
        "Round it, or give the item a finer precision.",
    ),
    ("twice", "Something is named twice that may be named once.", "See `field` and `detail`."),
    (
        "unauthorised",
        "No API key came with the request, or none that is known.",
        "Send `Authorization: Bearer <key>`; make a key with `onhand key create`.",
    ),
    ("unknown", "There is no such thing.", "See `detail`."),
    (
        "unknown_lot",
        "The item has no lot or serial of that name.",
        "Check case and spaces; lots come to be when received.",
    ),
    (
        "unknown_location",
        "No location has that code.",
        "Codes are exact, case included; make the location first.",
    ),
    ("unknown_sku", "No item has that SKU.", "SKUs are exact, case included; make the item first."),
    ("unmapped_listing", "No item is behind that listing.", "Map it: `POST /v1/systems/{name}/listings`."),
    (
        "unknown_system",
        "No system has that name.",
        "Names are exact, case included; connect the system first.",
    ),
];

/// One more kind would be a `type` that leads nowhere.
pub(crate) fn is_known(kind: &str) -> bool {
    KINDS.iter().any(|(known, ..)| *known == kind)
}

pub(crate) async fn page() -> Html<String> {
    let mut rows = String::new();
    for (kind, means, then) in KINDS {
        let row = [means, then].map(|text| text.replace('<', "&lt;").replace('>', "&gt;"));
        let _ = writeln!(
            rows,
            "<tr id=\"{kind}\"><th scope=\"row\"><a href=\"#{kind}\">{kind}</a></th><td>{}</td><td>{}</td></tr>",
            row[0], row[1]
        );
    }
    Html(format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>Problems · Onhand</title><style>\
         body{{font:14px/20px system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}}\
         table{{border-collapse:collapse}}th,td{{text-align:left;vertical-align:top;padding:6px 12px;border-bottom:1px solid #8884}}\
         tr:target{{background:#fd06}}</style><h1>Problems</h1><p>Every error is an RFC 9457 problem \
         (<code>application/problem+json</code>) whose <code>type</code> is one of these. <a href=\"/docs\">The API</a></p>\
         <table><tr><th>type</th><th>what it means</th><th>what to do</th></tr>{rows}</table></html>"
    ))
}
