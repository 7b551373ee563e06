//! Bodies: read whole, in bounds of size and time, then parsed; what is wrong with one is said in plain words.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use serde::Deserialize;

use crate::BODY_LIMIT;
use crate::error::Problem;

/// Whoever sends more slowly than this holds a connection that others could have.
const LONGEST: Duration = Duration::from_secs(30);

/// The body of a request.
pub(crate) async fn read(request: Request) -> Result<Bytes, Problem> {
    read_within(LONGEST, request).await
}

async fn read_within(longest: Duration, request: Request) -> Result<Bytes, Problem> {
    let problem = |status, detail| Problem::new(status, "body", "The body cannot be read", detail);
    match tokio::time::timeout(longest, Bytes::from_request(request, &())).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            let detail = format!("the body has more than {} MiB", BODY_LIMIT / (1024 * 1024));
            Err(problem(StatusCode::PAYLOAD_TOO_LARGE, detail))
        }
        Ok(Err(rejection)) => Err(problem(rejection.status(), rejection.body_text())),
        Err(_) => {
            let detail = format!("the body was not here whole within {longest:?}; nothing was done");
            Err(problem(StatusCode::REQUEST_TIMEOUT, detail))
        }
    }
}

/// Parses JSON. `what` is what the problem speaks of, such as `the body`.
pub(crate) fn parse<'de, T: Deserialize<'de>>(what: &str, text: &'de [u8]) -> Result<T, Problem> {
    // The place is looked for only once something is wrong: it costs more than the parsing.
    serde_json::from_slice(text).map_err(|error| {
        let mut deserializer = serde_json::Deserializer::from_slice(text);
        let place = serde_path_to_error::deserialize::<_, T>(&mut deserializer).err();
        wrong(what, text, &error, place.as_ref().map(serde_path_to_error::Error::path))
    })
}

fn wrong(
    what: &str,
    text: &[u8],
    error: &serde_json::Error,
    path: Option<&serde_path_to_error::Path>,
) -> Problem {
    let problem = |title, detail| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "body", title, detail);
    // What an enum says of a value that is none of its is of the same kind as what is no JSON at all.
    if !error.is_data() && serde_json::from_slice::<serde::de::IgnoredAny>(text).is_err() {
        return problem("The body is not JSON", format!("{what} is not JSON: {error}"));
    }
    let message = error.to_string();
    let named = ["unknown", "missing", "duplicate"].into_iter().find_map(|word| {
        let rest = message.strip_prefix(word)?.strip_prefix(" field `")?;
        Some((word, rest.split_once('`')?.0, rest))
    });
    let detail = match named {
        Some(("missing", _, rest)) => format!("{what} lacks the field `{rest}"),
        Some((word, _, rest)) => {
            format!("{what} has {} {word} field `{rest}", if word == "unknown" { "an" } else { "a" })
        }
        None => match path.filter(|path| path.iter().next().is_some()) {
            Some(path) => format!("`{path}` of {what} is not as it must be: {message}"),
            None => format!("{what} is not as it must be: {message}"),
        },
    };
    let problem = problem("The body is not as it must be", detail);
    match named.map(|(_, field, _)| field).or_else(|| path.and_then(field)) {
        Some(field) => problem.field(field),
        None => problem,
    }
}

/// The last name on the way to a value: `quantity` of `lines[0].quantity`, as the ledger's own problems name it.
fn field(path: &serde_path_to_error::Path) -> Option<&str> {
    let mut names = path.iter().filter_map(|segment| match segment {
        serde_path_to_error::Segment::Map { key } => Some(key.as_str()),
        _ => None,
    });
    names.next_back()
}

/// Reads these types from JSON objects alone: what serde derives takes an array too, by position. The types derive
/// `Deserialize` with `#[serde(remote = "Self")]`, which makes it a function of theirs in place of the trait's.
macro_rules! only_objects {
    ($($name:ident),+) => {$(
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Object;
                impl<'de> serde::de::Visitor<'de> for Object {
                    type Value = $name;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("a JSON object")
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<$name, A::Error> {
                        $name::deserialize(serde::de::value::MapAccessDeserializer::new(map))
                    }
                }
                deserializer.deserialize_map(Object)
            }
        }
    )+};
}
pub(crate) use only_objects;

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[tokio::test]
    async fn a_body_that_never_ends_is_given_up() {
        let never = tokio_stream::pending::<Result<Bytes, std::io::Error>>();
        let request = Request::new(Body::from_stream(never));
        let problem = read_within(Duration::from_millis(20), request).await.unwrap_err();
        assert_eq!(problem.status, 408);
        assert_eq!(problem.detail, "the body was not here whole within 20ms; nothing was done");
    }
}
