//! The OpenAPI document. What holds of all operations is said here, once, after the routes have said what they are.

use axum::http::Method;
use onhand_ledger::CommandKind;
use serde_json::json;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{AllOfBuilder, KnownFormat, Object, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, Content, Ref, RefOr, Required, Response};
use utoipa::{Modify, OpenApi};

use crate::endpoints;
use crate::error::Problem;
use crate::role::{self, Role};
use crate::seen::MIN_SEQ;
use crate::v1::export::{FileFormat, LogFormat};
use crate::v1::report::Format;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Onhand",
        description = "Master of Inventory: exact stock of every item at every location, and every system kept equal to it.\n\n\
            Authenticate with `Authorization: Bearer <key>` (make one with `onhand key create`). Requests that change \
            something take an `Idempotency-Key` header (1 to 255 characters): the same key and body give the same \
            answer and no second effect; the header `Idempotent-Replayed: true` says so. Quantities are exact decimals: \
            send them as JSON numbers or strings with at most as many decimals as the item has. A body that is left out \
            is read as `{}`. Every read says in `Onhand-Seq` which entry of the log it is true at, and takes `min_seq`: send it the \
            `Onhand-Seq` of your change to be sure to see it. Every error is an RFC 9457 problem; see /docs/errors for each `type`. What changes something \
            lists under each status exactly the types it may have.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(Problem, Format, FileFormat, LogFormat)),
    security(("key" = []))
)]
pub(crate) struct Document;

/// What takes no key though it is no mere read, and why.
const KEYLESS: &[(&str, &str)] = &[
    (
        "/v1/keys",
        "Takes no `Idempotency-Key`: a key's secret is shown once and not kept, so that it could not be shown again.",
    ),
    ("/v1/users", "Takes no `Idempotency-Key`: the password is shown once, and not kept."),
    ("/v1/users/{name}", "Takes no `Idempotency-Key`: told again, there is no such user."),
    ("/v1/sign-on/forget", "Takes no `Idempotency-Key`: told again, it comes to the same."),
    ("/v1/sign-on", "Takes no `Idempotency-Key`: told again, it comes to the same."),
    ("/v1/users/{name}/amend", "Takes no `Idempotency-Key`: told again, it comes to the same."),
    ("/v1/users/{name}/password", "Takes no `Idempotency-Key`: the password is shown once, and not kept."),
    ("/v1/users/{name}/sign-out", "Takes no `Idempotency-Key`: told again, nobody is signed in any more."),
    ("/v1/sign-in-policy", "Takes no `Idempotency-Key`: told again, it comes to the same."),
    ("/v1/keys/{name}", "Takes no `Idempotency-Key`: told again, there is no such key."),
    ("/v1/commands", "Takes no `Idempotency-Key` header: each line has its own `key`."),
    ("/v1/systems/{name}/snapshots", "Takes no `Idempotency-Key`: its `document` is its key."),
    ("/v1/systems/{name}/deltas", "Takes no `Idempotency-Key`: its `document` and `version` are its key."),
    ("/v1/systems/{name}/documents-known", "Takes no `Idempotency-Key`: told again, it changes nothing."),
    (
        "/v1/systems/{name}/snapshots/{document}/approve",
        "Takes no `Idempotency-Key`: told again, it changes nothing.",
    ),
    (
        "/v1/systems/{name}/snapshots/{document}/reject",
        "Takes no `Idempotency-Key`: told again, it changes nothing.",
    ),
    (
        "/v1/systems/{name}/webhook",
        "Takes no `Idempotency-Key`: its secret is shown once and not kept, so that it could not be shown again.",
    ),
    ("/hooks/{address}", "Takes no `Idempotency-Key`: told again, it is a copy."),
    ("/v1/systems/{name}/webhook/secret", "Takes no `Idempotency-Key`: done twice it is what it was."),
    ("/v1/erase", "Takes no `Idempotency-Key`: what is gone is gone."),
    ("/v1/alerts", "Takes no `Idempotency-Key`: done twice it is what it was."),
    ("/v1/alerts/{name}", "Takes no `Idempotency-Key`: what is gone is gone."),
    ("/v1/alerts/{name}/test", "Takes no `Idempotency-Key`: each time something is sent."),
    (
        "/v1/subscriptions",
        "Takes no `Idempotency-Key`: its secret is shown once; done twice, the second changes the first.",
    ),
    ("/v1/subscriptions/{name}", "Takes no `Idempotency-Key`: what is gone is gone."),
    (
        "/v1/subscriptions/{name}/rotate-secret",
        "Takes no `Idempotency-Key`: its secret is shown once and not kept, so that it could not be shown again.",
    ),
    ("/v1/subscriptions/{name}/enable", "Takes no `Idempotency-Key`: done twice it is what it was."),
    ("/v1/subscriptions/{name}/test", "Takes no `Idempotency-Key`: each time something is sent."),
    ("/v1/subscriptions/{name}/replay", "Takes no `Idempotency-Key`: what waits already is not sent twice."),
    (
        "/v1/subscriptions/{name}/messages/{message}/resend",
        "Takes no `Idempotency-Key`: each time it is sent, under the same id.",
    ),
    (
        "/v1/inbox/apply",
        "Takes no `Idempotency-Key`: what is done about a discrepancy ends it, and is not done again.",
    ),
    ("/v1/verify", "Takes no `Idempotency-Key`: it changes nothing."),
    ("/v1/ownership/preview", "Takes no `Idempotency-Key`: it changes nothing."),
    ("/v1/publication/preview", "Takes no `Idempotency-Key`: it changes nothing."),
    ("/v1/systems/{name}/sync", "Takes no `Idempotency-Key`: asked again, it begins anew."),
    ("/v1/connect", "Takes no `Idempotency-Key`: done twice, the credentials are tested twice."),
    ("/v1/systems/{name}/discover", "Takes no `Idempotency-Key`: done twice, it is looked twice."),
    ("/v1/systems/{name}/matches", "Takes no `Idempotency-Key`: what is done is not done again."),
    (
        "/v1/systems/{name}/opening",
        "Takes no `Idempotency-Key`: it is done once for a location, whoever asks.",
    ),
    ("/v1/systems/{name}/dry-run", "Takes no `Idempotency-Key`: it changes nothing."),
    ("/v1/seal/rotate", "Takes no `Idempotency-Key`: done twice, the keys are rotated twice."),
];

/// Completes a document that has all routes.
pub(crate) struct Completed;

impl Modify for Completed {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme("key", SecurityScheme::Http(scheme));
        for schema in components.schemas.values_mut() {
            if let RefOr::T(Schema::Object(object)) = schema {
                object.properties.iter_mut().for_each(|(name, schema)| mark_time(name, schema));
            }
        }
        components.schemas.extend(problems_of_lines());
        components.headers.extend(headers());
        components.parameters.insert("Idempotency-Key".to_owned(), idempotency_key().into());
        components.parameters.insert(MIN_SEQ.to_owned(), min_seq().into());
        for (path, item) in &mut document.paths.paths {
            for operation in [&mut item.get].into_iter().flatten() {
                complete(operation, path, false, components);
            }
            for operation in [&mut item.post, &mut item.delete].into_iter().flatten() {
                complete(operation, path, true, components);
            }
        }
    }
}

fn complete(operation: &mut Operation, path: &str, changes: bool, components: &Components) {
    let name = operation.operation_id.take().unwrap_or_default();
    let tag = operation.tags.as_deref().and_then(<[_]>::first).map_or("", String::as_str);
    operation.operation_id = Some(operation_id(&name, tag));
    let keyless = KEYLESS.iter().find(|(keyless, _)| *keyless == path);
    if let Some((_, why)) = keyless {
        let told = operation.description.take().filter(|told| !told.is_empty());
        operation.description = Some(told.map_or_else(|| (*why).to_owned(), |told| format!("{told} {why}")));
    }
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(Parameter { name, schema: Some(schema), .. }) = parameter {
            mark_time(name, schema);
        }
    }
    let takes_key = changes && keyless.is_none();
    if takes_key {
        let key = RefOr::Ref(Ref::new("#/components/parameters/Idempotency-Key"));
        operation.parameters.get_or_insert_default().push(key);
    }
    if !changes {
        let min_seq = RefOr::Ref(Ref::new(format!("#/components/parameters/{MIN_SEQ}")));
        operation.parameters.get_or_insert_default().push(min_seq);
    }
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        let needed = body.content.values().any(|content| needs_something(content, components));
        body.required = Some(if needed { Required::True } else { Required::False });
    }
    let told = problems(operation, path, changes, takes_key);
    for (status, _) in &told {
        operation.responses.responses.entry(status.to_string()).or_insert_with(|| Response::new("").into());
    }
    for (status, response) in &mut operation.responses.responses {
        let (Ok(status), RefOr::T(response)) = (status.parse(), response) else { continue };
        if response.description.is_empty() {
            meaning(status).clone_into(&mut response.description);
        }
        if status >= 400 {
            let kinds = told.iter().filter(|(other, _)| *other == status).flat_map(|(_, kinds)| kinds);
            let problem = problem_of(&kinds.copied().collect::<Vec<_>>());
            response.content =
                [("application/problem+json".to_owned(), problem.into())].into_iter().collect();
        }
        for name in sent_with(status, changes, takes_key) {
            let header = Ref::new(format!("#/components/headers/{name}"));
            response.headers.insert(name.to_owned(), RefOr::Ref(header));
        }
    }
}

/// `list` of `orders` is `list_orders`, `place` is `place_order`; a name that says of what stays as it is.
fn operation_id(name: &str, tag: &str) -> String {
    if name.contains('_') {
        return name.to_owned();
    }
    let one = match tag.strip_suffix("ies") {
        Some(stem) => format!("{stem}y"),
        None => tag.strip_suffix('s').unwrap_or(tag).to_owned(),
    };
    if name == "list" { format!("{name}_{tag}") } else { format!("{name}_{one}") }
}

/// Instants are text in RFC 3339, and are named for it: `occurred_at`, `as_of`. Days are, too: `expected_on`, `by`.
fn mark_time(name: &str, schema: &mut RefOr<Schema>) {
    let is_time =
        name.ends_with("_at") || ["as_of", "at", "from", "until", "orders_known_to"].contains(&name);
    let is_day = name.ends_with("_on") || name == "by";
    if let RefOr::T(Schema::Object(object)) = schema
        && (is_time || is_day)
    {
        let format = if is_day { KnownFormat::Date } else { KnownFormat::DateTime };
        object.format = Some(SchemaFormat::KnownFormat(format));
    }
}

/// An empty body is read as `{}`, or as no lines: enough where nothing is required.
fn needs_something(content: &RefOr<Content>, components: &Components) -> bool {
    let RefOr::T(Content { schema: Some(RefOr::Ref(schema)), .. }) = content else { return false };
    let name = schema.ref_location.rsplit('/').next().unwrap_or_default();
    let known = components.schemas.get(name);
    !matches!(known, Some(RefOr::T(Schema::Object(Object { required, .. }))) if required.is_empty())
}

/// A problem of one of these kinds; of any, where none is said.
fn problem_of(kinds: &[&str]) -> Content {
    let problem = Ref::from_schema_name("Problem");
    if kinds.is_empty() {
        return Content::new(Some(problem));
    }
    let own = ObjectBuilder::new().property("type", one_of(kinds.iter().copied()));
    Content::new(Some(Schema::from(AllOfBuilder::new().item(problem).item(own).build())))
}

fn one_of<'k>(kinds: impl Iterator<Item = &'k str>) -> ObjectBuilder {
    let types: Vec<String> = kinds.map(|kind| format!("/docs/errors#{kind}")).collect();
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(types))
}

/// For each command the types of problems that its line of `POST /v1/commands` can be answered with.
fn problems_of_lines() -> impl Iterator<Item = (String, RefOr<Schema>)> {
    CommandKind::ALL.iter().map(|command| {
        let name = command.name();
        let told = match command {
            CommandKind::Group => "Why a `group` is not done: this, or what is said of its lines.".to_owned(),
            CommandKind::Noted => "Why what is `noted` is not done: this, or what is said of it.".to_owned(),
            _ => format!("Why a line that asks to `{name}` is not done."),
        };
        let kinds = endpoints::problems_of_line(*command);
        let schema = one_of(kinds.into_iter()).description(Some(told));
        (format!("{}Problem", camel(name)), Schema::from(schema.build()).into())
    })
}

/// `put_item` is `PutItem`.
fn camel(name: &str) -> String {
    let part = |part: &str| part[..1].to_ascii_uppercase() + &part[1..];
    name.split('_').map(part).collect()
}

/// The problems that an operation may answer: each status with its kinds, as far as they are told.
fn problems(
    operation: &Operation,
    path: &str,
    changes: bool,
    takes_key: bool,
) -> Vec<(u16, Vec<&'static str>)> {
    let reads_body = takes_key || operation.request_body.is_some();
    if changes {
        let mut told: Vec<(u16, Vec<&'static str>)> = Vec::new();
        // Lines are read while they are answered: what is wrong with them is in the answers.
        let reads_body = reads_body && path != "/v1/commands";
        for (status, kind) in endpoints::problems(path, takes_key, reads_body) {
            match told.last_mut().filter(|(last, _)| *last == status) {
                Some((_, kinds)) => kinds.push(kind),
                None => told.push((status, vec![kind])),
            }
        }
        return told;
    }
    let has = |wanted: &str| {
        let parameters = operation.parameters.iter().flatten();
        parameters.filter_map(named).any(|parameter| parameter.name == wanted)
    };
    let mut problems = vec![400, 401, 429, 500, 503];
    if role::needed(&Method::GET, path) > Role::Viewer {
        problems.push(403);
    }
    if path.contains('{') || has("sku") || has("location") {
        problems.push(404);
    }
    if ["as_of", "at", "from", "barcode", "by", "cause"].into_iter().any(has) {
        problems.push(422);
    }
    let problems = problems.into_iter().map(|status| (status, Vec::new()));
    problems.chain([(409, vec!["behind"])]).collect()
}

fn named(parameter: &RefOr<Parameter>) -> Option<&Parameter> {
    match parameter {
        RefOr::T(parameter) => Some(parameter),
        RefOr::Ref(_) => None,
    }
}

fn meaning(status: u16) -> &'static str {
    match status {
        200 => "As asked.",
        201 => "Made.",
        202 => "Kept as evidence: it waits in the inbox and moved nothing.",
        400 => "The address, its query or a header is not as it must be.",
        401 => "No API key came with the request, or none that is known.",
        403 => "The key has not the role or the right that this needs.",
        404 => "There is no such thing.",
        408 => "The body came too slowly. Nothing was done.",
        409 => "Refused: `type` and `detail` say why. Nothing moved.",
        413 => "The body is too large. Nothing was done.",
        415 => "The body is of a type that is not read. Nothing was done.",
        422 => "A value is not as it must be: see `field` and `detail`. Nothing was changed.",
        429 => {
            "The key sends more than it may: send it again after `Retry-After` seconds, with the same key."
        }
        500 => "Something went wrong on our side.",
        502 => "The outside system could not be connected.",
        503 => "Not now: send it again after `Retry-After` seconds, with the same key.",
        _ => "See `type` and `detail`.",
    }
}

/// The headers that a response of a status has.
fn sent_with(status: u16, changes: bool, takes_key: bool) -> Vec<&'static str> {
    let mut headers = vec!["Request-Id"];
    match status {
        200..300 if !changes => headers.push("Onhand-Seq"),
        409 if !changes => headers.push("Retry-After"),
        200..300 if takes_key => headers.extend(["Idempotent-Replayed", "Onhand-Seq"]),
        403 | 409 if takes_key => headers.push("Idempotent-Replayed"),
        401 => headers.push("WWW-Authenticate"),
        429 | 503 => headers.push("Retry-After"),
        _ => {}
    }
    headers
}

fn headers() -> impl Iterator<Item = (String, RefOr<Header>)> {
    let headers = [
        ("Request-Id", Type::String, "The request's id, as in the log."),
        ("Idempotent-Replayed", Type::String, "`true` where this answer was given before; absent otherwise."),
        (
            "Onhand-Seq",
            Type::Integer,
            "Of a change: the `seq` a read must have reached to see it. Of a read: the `seq` it is true at.",
        ),
        ("WWW-Authenticate", Type::String, "`Bearer`."),
        ("Retry-After", Type::Integer, "Seconds to wait before it is sent again."),
    ];
    headers.into_iter().map(|(name, schema, description)| {
        let schema: Schema = ObjectBuilder::new().schema_type(schema).into();
        let header = HeaderBuilder::new().schema(Some(schema)).description(Some(description)).build();
        (name.to_owned(), header.into())
    })
}

fn min_seq() -> Parameter {
    let number = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0));
    ParameterBuilder::new()
        .name(MIN_SEQ)
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some(
            "Answer as of this entry of the log or a later one: `Onhand-Seq` of a change, to be sure to see it, whichever node \
             is asked. A node that is not there yet waits up to 2 seconds.",
        ))
        .schema(Some(number))
        .example(Some(json!(1044)))
        .build()
}

fn idempotency_key() -> Parameter {
    let text = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(255));
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "1 to 255 visible ASCII characters. The same key and body give the same answer and no second effect.",
        ))
        .schema(Some(text.pattern(Some("^[ -~]+$"))))
        .example(Some(json!("order-1044")))
        .build()
}
