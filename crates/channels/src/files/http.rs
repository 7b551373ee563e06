//! Files over HTTP(S): what may come is fetched by its name, what goes out is put. Nothing is taken away over there.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::sync::Mutex;
use std::time::Duration;

use onhand_ledger::Instant;
use reqwest::header::{CONTENT_LENGTH, ETAG, HeaderMap, LAST_MODIFIED};
use reqwest::{RequestBuilder, Response, StatusCode};

use super::place::{Done, Entry, LONGEST_FILE, Place, PlaceError};
use crate::{date_in, locked};

/// A file has so long to come or go.
const PATIENCE: Duration = Duration::from_mins(5);

/// An address with files below it.
pub(super) struct Http {
    url: String,
    username: String,
    secret: String,
    /// What may come is called so.
    names: Vec<String>,
    http: reqwest::Client,
    /// What each was when it was seen first, and when that was, where the server does not say since when it is so.
    first_seen: Mutex<HashMap<String, (String, Instant)>>,
    /// Which version of each was listed last.
    listed: Mutex<HashMap<String, Version>>,
}

/// Which version of a file it is, by what its server says of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Version {
    tag: Option<String>,
    modified: Option<String>,
}

impl Version {
    fn of(headers: &HeaderMap) -> Self {
        let text = |header| headers.get(header).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Self { tag: text(ETAG), modified: text(LAST_MODIFIED) }
    }

    /// Is it surely another one?
    fn is_another(&self, other: &Self) -> bool {
        let differ = |one: &Option<String>, other: &Option<String>| {
            one.as_ref().zip(other.as_ref()).is_some_and(|(one, other)| one != other)
        };
        differ(&self.tag, &other.tag) || differ(&self.modified, &other.modified)
    }
}

impl Http {
    pub fn new(url: &str, username: &str, secret: &str, names: &[String], http: reqwest::Client) -> Self {
        Self {
            url: url.trim_end_matches('/').to_owned(),
            username: username.to_owned(),
            secret: secret.to_owned(),
            names: names.to_vec(),
            http,
            first_seen: Mutex::default(),
            listed: Mutex::default(),
        }
    }

    fn at(&self, path: &str) -> String {
        let mut whole = self.url.clone();
        for part in path.split('/') {
            whole.push('/');
            whole.extend(part.bytes().map(|byte| match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    char::from(byte).to_string()
                }
                other => format!("%{other:02X}"),
            }));
        }
        whole
    }

    /// None: there is no such file.
    async fn send(&self, request: RequestBuilder) -> Done<Option<Response>> {
        let request = match (self.username.as_str(), self.secret.as_str()) {
            ("", "") => request,
            ("", token) => request.bearer_auth(token),
            (name, password) => request.basic_auth(name, Some(password)),
        };
        let sent = request.timeout(PATIENCE).send().await;
        let response = sent.map_err(|error| PlaceError::Trouble(error.without_url().to_string()))?;
        match response.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(PlaceError::Refused(format!("it answers {}", response.status())))
            }
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => Ok(Some(response)),
            status => Err(PlaceError::Trouble(format!("it answers {status}"))),
        }
    }

    fn entry(&self, name: &str, headers: &HeaderMap) -> Entry {
        let text = |header| headers.get(header).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let modified = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text(LAST_MODIFIED)).ok();
        let size = text(CONTENT_LENGTH).parse().unwrap_or_default();
        let written_at = modified.map_or_else(
            || {
                let now = date_in(headers).unwrap_or(Instant::MIN);
                let is = format!("{size} {}", text(ETAG));
                let mut seen = locked(&self.first_seen);
                let known = seen.entry(name.to_owned()).or_insert_with(|| (is.clone(), now));
                if known.0 != is {
                    *known = (is, now);
                }
                known.1
            },
            |at| Instant::from_micros(at.as_microsecond()),
        );
        Entry { name: name.to_owned(), size, written_at }
    }
}

#[async_trait::async_trait]
impl Place for Http {
    /// There are none.
    async fn make(&self, _folders: &[&str]) -> Done<()> {
        Ok(())
    }

    async fn list(&self, folder: &str) -> Done<Vec<Entry>> {
        let mut there = Vec::new();
        for name in self.names.iter().filter(|_| folder == "in") {
            if let Some(response) = self.send(self.http.head(self.at(&format!("in/{name}")))).await? {
                there.push(self.entry(name, response.headers()));
                locked(&self.listed).insert(name.clone(), Version::of(response.headers()));
            }
        }
        Ok(there)
    }

    async fn is_there(&self, path: &str) -> Done<bool> {
        Ok(self.send(self.http.head(self.at(path))).await?.is_some())
    }

    async fn fetch(&self, path: &str) -> Done<File> {
        let found = self.send(self.http.get(self.at(path))).await?;
        let mut response = found.ok_or_else(|| PlaceError::Trouble(format!("{path} is gone")))?;
        // Read as what was listed, it would come a second time: as the one that it is by now.
        let listed = path.strip_prefix("in/").and_then(|name| locked(&self.listed).get(name).cloned());
        if listed.is_some_and(|listed| listed.is_another(&Version::of(response.headers()))) {
            return Err(PlaceError::Trouble(format!(
                "{path} was written anew just now: it is looked at again"
            )));
        }
        let trouble = |error: std::io::Error| PlaceError::Trouble(error.to_string());
        let mut file = tempfile::tempfile().map_err(trouble)?;
        let mut length = 0;
        while let Some(part) =
            response.chunk().await.map_err(|error| PlaceError::Trouble(error.without_url().to_string()))?
        {
            length += part.len() as u64;
            if length > LONGEST_FILE {
                return Err(PlaceError::Trouble(format!(
                    "{path} is longer than {LONGEST_FILE} bytes; split it"
                )));
            }
            file.write_all(&part).map_err(trouble)?;
        }
        file.rewind().map_err(trouble)?;
        Ok(file)
    }

    async fn put(&self, path: &str, mut bytes: File) -> Done<()> {
        let mut body = Vec::new();
        let read = bytes.rewind().and_then(|()| bytes.read_to_end(&mut body));
        read.map_err(|error| PlaceError::Trouble(error.to_string()))?;
        let put = self.send(self.http.put(self.at(path)).body(body)).await?;
        put.map(drop)
            .ok_or_else(|| PlaceError::Trouble(format!("it takes nothing at {path}: it answers 404")))
    }

    async fn rename(&self, _from: &str, _to: &str) -> Done<bool> {
        Ok(true)
    }

    fn can_take(&self) -> bool {
        false
    }
}
