//! Everything the API can say no with, provoked: for each command each refusal and each way of being none, at its endpoint
//! and as a line of `POST /v1/commands`.
//!
//! The cases are tables (`refusals/*.txt`); what there must be cases of is read from the API's own document. Of each it is
//! checked that it is the problem it should be, that its sentence names what it is about, that nothing moved, that a
//! refusal stands under its key, and that any other key stays free.

#[path = "refusals/table.rs"]
mod table;

#[path = "refusals/line.rs"]
mod line;

#[path = "refusals/run.rs"]
mod run;

#[path = "refusals/wild.rs"]
mod wild;

mod support;

use std::collections::BTreeSet;

use onhand_ledger::{CommandKind, InvalidKind, RefusalKind};
use serde_json::Value;

use run::Trial;
use support::Shop;

/// Runs the cases of a table; says which of them are not as they should be.
async fn hold(name: &str) {
    let mut wrong = Vec::new();
    let table = table::read(name);
    for case in &table.cases {
        if let Err(why) = Trial::begin(&table, case).await.run().await {
            wrong.push(format!("{name}.txt:{}: {}: {why}", case.number, case.header()));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), table.cases.len(), wrong.join("\n"));
}

macro_rules! tables {
    ($($name:ident),+) => {
        const TABLES: &[&str] = &[$(stringify!($name)),+];
        $(
            #[tokio::test]
            async fn $name() {
                hold(stringify!($name)).await;
            }
        )+
    };
}

tables!(
    items, places, movements, production, transfers, purchases, counts, orders, holds, documents, rules,
    systems, lines
);

/// Whatever is wrong in whatever place of what is asked: nothing is answered that is not declared.
#[tokio::test]
async fn nothing_is_answered_that_is_not_declared() {
    // All of them take twenty seconds, and say no more.
    const CASES: usize = 4;
    let document = Shop::open().await.get("/openapi.json").await;
    let declared = declared(&document);
    let of_line = |command: &str, kind: &str| {
        let kinds = &document["components"]["schemas"][format!("{}Problem", camel(command))]["enum"];
        // What is inside these is declared of that.
        let is_around = ["noted", "group"].contains(&command) && kind != "internal";
        is_around
            || kinds.as_array().is_some_and(|kinds| kinds.contains(&format!("/docs/errors#{kind}").into()))
    };
    let mut undeclared = BTreeSet::new();
    for table in TABLES.iter().map(|name| table::read(name)) {
        for case in wild::some(table.cases.clone(), CASES) {
            undeclared.extend(Trial::begin(&table, &case).await.wild(&declared, of_line).await);
        }
    }
    let shown: Vec<&str> = undeclared.iter().map(|told| &told[..told.len().min(600)]).collect();
    assert!(shown.is_empty(), "{}:\n{}", shown.len(), shown.join("\n"));
}

/// `put_item` is `PutItem`.
fn camel(name: &str) -> String {
    name.split('_').map(|part| part[..1].to_uppercase() + &part[1..]).collect()
}

/// Kinds that every endpoint shares, with how the request is read: tried at each of them below, or where they have their
/// own test (`http.rs`, `users.rs`, `it/faults.rs`, `systems.rs`, `inbox.rs`).
const SHARED: &[&str] = &[
    "unauthorised",
    "role",
    "rate",
    "internal",
    "store",
    "busy",
    "key",
    "path",
    "body",
    "seal",
    "not_applied",
];

/// What its own tests try (`files.rs`): its body is a file.
const FILES: &str = "/v1/import/{what}";

/// What the document says of every operation that changes something: method, path, status and kind of problem.
fn declared(document: &Value) -> BTreeSet<(String, String, u16, String)> {
    let mut all = BTreeSet::new();
    // What systems call, with no key, has tests of its own (`hooks.rs`).
    let paths = document["paths"].as_object().unwrap().iter().filter(|(path, _)| path.starts_with("/v1/"));
    for (path, item) in paths {
        for (method, operation) in item.as_object().unwrap().iter().filter(|(method, _)| *method != "get") {
            for (status, response) in operation["responses"].as_object().unwrap() {
                let status: u16 = status.parse().unwrap();
                if status < 400 {
                    continue;
                }
                let schema = &response["content"]["application/problem+json"]["schema"];
                let kinds = schema["allOf"][1]["properties"]["type"]["enum"].as_array();
                let kinds =
                    kinds.unwrap_or_else(|| panic!("{method} {path} {status} says its types: {schema}"));
                for kind in kinds {
                    let kind = kind.as_str().unwrap().strip_prefix("/docs/errors#").unwrap().to_owned();
                    all.insert((method.to_uppercase(), path.clone(), status, kind));
                }
            }
        }
    }
    all
}

#[tokio::test]
async fn every_problem_an_endpoint_declares_has_a_case_and_every_case_is_declared() {
    let shop = Shop::open().await;
    let declared = declared(&shop.get("/openapi.json").await);
    assert!(declared.len() > 400, "{}", declared.len());
    let mut tried = BTreeSet::new();
    for case in TABLES.iter().flat_map(|name| table::read(name).cases) {
        if case.method != "LINE" {
            let path = run::template(&declared, &case);
            let key_is_taken = declared
                .iter()
                .find(|(method, of, _, kind)| (method, of) == (&case.method, &path) && kind == "key_reused");
            // Whatever reaches the ledger is tried with a key that was used, too.
            tried.extend(key_is_taken.filter(|_| !case.edge).cloned());
            tried.insert((case.method.clone(), path, case.status(), case.kind.clone()));
        }
    }
    let is_elsewhere =
        |case: &(String, String, u16, String)| SHARED.contains(&case.3.as_str()) || case.1 == FILES;
    let missing: Vec<_> =
        declared.iter().filter(|case| !tried.contains(*case) && !is_elsewhere(case)).collect();
    let undeclared: Vec<_> = tried.difference(&declared).collect();
    assert!(missing.is_empty(), "{} declared and not tried: {missing:#?}", missing.len());
    assert!(undeclared.is_empty(), "tried and not declared: {undeclared:#?}");
}

#[tokio::test]
async fn every_problem_a_command_declares_has_a_line() {
    let mut tried = BTreeSet::new();
    for table in TABLES.iter().map(|name| table::read(name)) {
        let mut words = table.words();
        // What is only known once there is something of it: any id will do.
        for id in ["transfer", "po", "session", "order", "hold", "rule", "seq", "discrepancy"] {
            words.insert(id.to_owned(), "1".to_owned());
        }
        for case in table.cases.into_iter().filter(|case| !case.edge && case.kind != "key_reused") {
            let (path, body) = (table::fill(&words, &case.path), table::fill(&words, &case.body));
            let command = match case.method.as_str() {
                "LINE" => path,
                _ => line::command_of(&case.method, &path, &body).0,
            };
            tried.insert((command, case.kind));
        }
    }
    let mut missing = Vec::new();
    for command in CommandKind::ALL {
        let kinds = command.refusals().iter().map(|kind| kind.name());
        for kind in kinds.chain(command.invalids().iter().map(|kind| kind.name())) {
            if !tried.contains(&(command.name().to_owned(), kind.to_owned())) {
                missing.push(format!("{} {kind}", command.name()));
            }
        }
    }
    assert!(missing.is_empty(), "{} declared and not tried: {missing:#?}", missing.len());
}

#[tokio::test]
async fn the_document_has_the_problems_of_each_commands_lines() {
    let document = Shop::open().await.get("/openapi.json").await;
    let schemas = &document["components"]["schemas"];
    let kinds = |name: &str| -> BTreeSet<String> {
        let kinds = schemas[name]["enum"].as_array().unwrap_or_else(|| panic!("{name}: {}", schemas[name]));
        kinds.iter().map(|kind| kind.as_str().unwrap().replace("/docs/errors#", "")).collect()
    };
    let cancel = ["body", "field", "group", "key_reused", "session_ended", "unknown"];
    assert_eq!(kinds("CancelSessionProblem"), cancel.map(str::to_owned).into());
    assert_eq!(kinds("TickProblem").len(), 4);
    for command in CommandKind::ALL {
        assert!(kinds(&format!("{}Problem", camel(command.name()))).len() >= 4);
    }
}

/// What is the same everywhere: no key of ours, a key that cannot be seen, a body that is none, an address that is none.
#[tokio::test]
async fn every_endpoint_reads_a_request_in_the_same_way() {
    let shop = Shop::open().await;
    let declared = declared(&shop.get("/openapi.json").await);
    let endpoints: BTreeSet<(String, String)> =
        declared.iter().map(|(method, path, ..)| (method.clone(), path.clone())).collect();
    for (method, template) in endpoints {
        let says = |status: u16, kind: &str| {
            declared.contains(&(method.clone(), template.clone(), status, kind.to_owned()))
        };
        let known = template
            .replace("{id}", "1")
            .replace("{seq}", "1")
            .replace("{sku}", "MUG")
            .replace("{name}", "WEB")
            .replace("{document}", "D")
            .replace("{what}", "items");
        let asked = run::Asked { method: &method, path: &known, key: None, body: "{}" };
        let (status, problem) = asked.send_as(&shop, "ohk_1_wrong").await;
        assert_eq!((status, run::kind(&problem)), (401, "unauthorised"), "{method} {template}");
        if says(400, "key") {
            let (status, problem) = run::Asked { key: Some("a\tb"), ..asked }.send(&shop).await;
            assert_eq!((status, run::kind(&problem)), (400, "key"), "{method} {template}: {problem}");
        }
        if says(422, "body") {
            let (status, problem) = run::Asked { body: "{", ..asked }.send(&shop).await;
            assert_eq!((status, run::kind(&problem)), (422, "body"), "{method} {template}: {problem}");
        }
        assert_eq!(says(400, "path"), template.contains('{'), "{method} {template}");
        if ["{sku}", "{name}", "{what}"].iter().any(|name| template.contains(name)) {
            let path = template.replace("{sku}", "%FF").replace("{name}", "%FF").replace("{what}", "%FF");
            let path = path.replace("{document}", "D");
            let (status, problem) = run::Asked { path: &path, ..asked }.send(&shop).await;
            assert_eq!((status, run::kind(&problem)), (400, "path"), "{method} {template}: {problem}");
        }
        if template.contains("{id}") || template.contains("{seq}") {
            let path = |id: &str| template.replace("{id}", id).replace("{seq}", id);
            let (status, problem) = run::Asked { path: &path("abc"), ..asked }.send(&shop).await;
            assert_eq!((status, run::kind(&problem)), (400, "path"), "{method} {template}: {problem}");
            let (status, problem) =
                run::Asked { path: &path("9223372036854775808"), ..asked }.send(&shop).await;
            assert_eq!((status, run::kind(&problem)), (404, "unknown"), "{method} {template}: {problem}");
        }
    }
}

/// `docs/commands.md` has this table: it is made here, and shown where it is not as it should be.
#[test]
fn the_book_says_which_command_is_refused_how() {
    let listed = |names: Vec<&str>| {
        if names.is_empty() { "–".to_owned() } else { names.join(", ") }
    };
    let rows = CommandKind::ALL.iter().map(|command| {
        let refusals = command.refusals().iter().map(|kind| kind.name()).collect();
        let invalids = command.invalids().iter().map(|kind| kind.name()).collect();
        format!("| `{}` | {} | {} |\n", command.name(), listed(refusals), listed(invalids))
    });
    let table = format!("| command | refused | no command |\n|---|---|---|\n{}", rows.collect::<String>());
    let book =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/commands.md")).unwrap();
    assert!(book.contains(&table), "docs/commands.md shall have:\n{table}");
}

/// Each kind of the ledger's is some command's; but what a document waits with, and what a key is refused with.
#[test]
fn no_kind_is_nobodys() {
    let refused =
        |kind: &RefusalKind| CommandKind::ALL.iter().any(|command| command.refusals().contains(kind));
    assert!(RefusalKind::ALL.iter().all(refused));
    let invalid =
        |kind: &&InvalidKind| CommandKind::ALL.iter().any(|command| command.invalids().contains(kind));
    let nobodys: Vec<_> = InvalidKind::ALL.iter().filter(|kind| !invalid(kind)).collect();
    assert_eq!(nobodys, [&InvalidKind::KeyReused, &InvalidKind::UnmappedListing]);
}
