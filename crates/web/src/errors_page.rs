//! `/docs/errors`: what each kind of problem means and what to do, where a problem's `type` points.

use std::fmt::Write as _;

use axum::response::Html;

use crate::endpoints;

/// Kind, what it means, what to do. Every problem has one of these kinds.
pub(crate) const KINDS: &[(&str, &str, &str)] = &[
    (
        "approval_needed",
        "A counting session has differences beyond its threshold.",
        "Look at its report; apply it with `approve`, with a key that has the right `approve`.",
    ),
    (
        "forbidden",
        "The key may not do that.",
        "Use one that has the right named in `detail`; make one with `onhand key create --right`.",
    ),
    (
        "role",
        "The role of the key, or of whoever signed in, is less than this needs: viewer, clerk, operator, admin.",
        "Ask an admin: `onhand user role`, or `onhand key create --role`.",
    ),
    (
        "not_in_one_place",
        "The allocation rule does not let an order be divided, and no location has all of it.",
        "Order less, or let the rule split: `POST /v1/allocation`.",
    ),
    (
        "recount_needed",
        "In a counting session counters disagree, or a difference is large, or stock moved meanwhile.",
        "Count the items named in `detail` again.",
    ),
    (
        "not_applied",
        "What is proposed about a discrepancy could not be done: the command that does it was refused.",
        "See `detail`. Nothing was done; look at the discrepancy again, and choose another proposal.",
    ),
    ("session_ended", "The counting session was applied or cancelled.", "Open another."),
    ("already_resolved", "The discrepancy was resolved before.", "Nothing."),
    (
        "archived",
        "The item is archived: nothing new is received, held or ordered of it.",
        "Unarchive it: `POST /v1/items` with `archived: false`.",
    ),
    (
        "barcode_taken",
        "One barcode belongs to one item, and another has this one.",
        "Take it off the item that `detail` names, or send another.",
    ),
    (
        "behind",
        "A read asks for more of the log (`min_seq`) than there is, and waited for it.",
        "Send it again after `Retry-After` seconds; take `min_seq` from `Onhand-Seq` of an answer of this ledger.",
    ),
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
    (
        "opening_taken",
        "The opening stock of a location is taken once, and was.",
        "Count what is wrong by now: `POST /v1/counts`.",
    ),
    (
        "seal",
        "A secret cannot be sealed or opened: there is no key, or not the one that it needs.",
        "See `detail`: it names the key. Give it back by the file of keys or `ONHAND_SEAL_KEY`; docs/operate.md says how.",
    ),
    (
        "content_type",
        "A file is of a type that is not read.",
        "Send CSV or XLSX, with its type in `Content-Type`; see `detail`.",
    ),
    ("cursor", "The cursor is none of this list.", "Take `next_cursor` of the page before."),
    ("date", "A day is not as ISO 8601 writes it, such as 2026-12-01.", "Send it without a time."),
    (
        "document_ended",
        "The transfer or purchase order is ended, or has nothing left of what was asked for.",
        "See `detail`: it says how it stands. Make another, or correct what moved.",
    ),
    (
        "document_has_less",
        "The line of a transfer or purchase order has less of what was asked for.",
        "See `detail`: it says how much there is. Amend it first, or ask for less.",
    ),
    (
        "file",
        "A file cannot be read as what it is said to be: its header, its length, its bytes. Nothing was imported.",
        "See `detail`: it says where. docs/files.md has the columns.",
    ),
    ("field", "A field has a value that is not possible.", "See `field` and `detail`."),
    (
        "cannot_merge",
        "The two items cannot be one: units, decimals, lots, kits, packs or masters differ.",
        "See `detail`: it says what to change first.",
    ),
    (
        "group",
        "A line of the group was refused, and with it all of them. Nothing of the group was done.",
        "See the line named in `detail`; mend it, and send the group under another name.",
    ),
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
        "The line of the order or hold has less to ship, cancel, return or let go.",
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
    (
        "not_held",
        "A snapshot is approved or rejected while it is held, once.",
        "See how it stands: `GET /v1/systems/{name}/snapshots`.",
    ),
    (
        "not_reversible",
        "The movement belongs to an order, hold, count, transfer, assembly or outside document.",
        "See `detail`: it says what to do instead.",
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
        "rate",
        "The key, or whoever is signed in, asks more often in a second than it may. Nothing was done.",
        "Send it again after `Retry-After` seconds, with the same key; or send many commands in one request: `POST /v1/commands`.",
    ),
    (
        "reference_taken",
        "Another order, transfer or purchase order has that reference.",
        "Use another; or see the one named in `detail`.",
    ),
    (
        "reversed_already",
        "Less of the movement is left than is to be reversed.",
        "See `detail`: it says how much is left.",
    ),
    (
        "row",
        "A row of a file is not as it must be.",
        "See `line`, `column` and `problem`; or import the other rows with `skip_bad_rows`.",
    ),
    (
        "rule_tie",
        "Two rules of one specificity would speak of the same stock.",
        "See both named in `detail`; make one more specific, or end one.",
    ),
    (
        "sku_taken",
        "The name is the SKU or an alias of another item.",
        "Use another, or merge the two: `POST /v1/items/{sku}/merge`.",
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
    ("waiting", "It waits in the inbox for a person, and moved nothing.", "See `GET /v1/discrepancies`."),
    (
        "unauthorised",
        "No API key came with the request, or none that is known.",
        "Send `Authorization: Bearer <key>`; make a key with `onhand key create`.",
    ),
    ("unknown", "There is no such thing.", "See `detail`."),
    ("unknown_line", "What is named has no such line.", "See `detail`: it names those it has."),
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
    ("unknown_pack", "The item has no pack of that name.", "See `detail`: it names those it has."),
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
        let commands = endpoints::commands_that_say(kind).join(" · ");
        let _ = writeln!(
            rows,
            "<tr id=\"{kind}\"><th scope=\"row\"><a href=\"#{kind}\">{kind}</a></th><td>{}</td><td>{}</td><td>{commands}</td></tr>",
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
         <table><tr><th>type</th><th>what it means</th><th>what to do</th><th>of which commands</th></tr>{rows}</table></html>"
    ))
}
