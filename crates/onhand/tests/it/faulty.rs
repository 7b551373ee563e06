//! A proxy before a real server, at which what goes wrong on the way can be made to.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use reqwest::{Client, Method, StatusCode, Url};

use crate::server::listening;

/// What goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Each answer takes 300 ms longer.
    Slow,
    /// Four requests are answered 503, with nothing done.
    Closed,
    /// Two are answered 429 with `Retry-After: 1`, with nothing done.
    Throttled,
    /// Four are done, and their answers never come.
    Lost,
    /// Whatever would change stock there is refused.
    Refusing,
    /// Nothing.
    Healed,
}

/// A request that changes stock there.
pub type IsWrite = fn(&Method, &str, &[u8]) -> bool;
/// How the server behind it would refuse that.
pub type Refusal = fn() -> Response;

struct Line {
    server: String,
    http: Client,
    is_write: IsWrite,
    refusal: Refusal,
    fault: Mutex<(Fault, u32)>,
    writes: AtomicU64,
}

/// It listens on a port of its own.
pub struct Faulty {
    pub url: String,
    line: Arc<Line>,
}

impl Faulty {
    pub async fn before(server: &str, is_write: IsWrite, refusal: Refusal) -> Self {
        let (listener, url) = listening().await;
        let http = Client::builder().no_proxy().build().unwrap();
        let fault = Mutex::new((Fault::Healed, 0));
        let line =
            Line { server: server.to_owned(), http, is_write, refusal, fault, writes: AtomicU64::new(0) };
        let line = Arc::new(line);
        let router = Router::new().fallback(pass_on).with_state(line.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, line }
    }

    pub fn fault(&self, fault: Fault) {
        let times = match fault {
            Fault::Closed | Fault::Lost => 4,
            Fault::Throttled => 2,
            _ => 0,
        };
        *self.line.fault.lock().unwrap() = (fault, times);
    }

    /// How many requests changed stock there, or were to.
    pub fn writes(&self) -> u64 {
        self.line.writes.load(Ordering::SeqCst)
    }
}

impl Line {
    /// What goes wrong with this request.
    fn now(&self) -> Fault {
        let (fault, times) = &mut *self.fault.lock().unwrap();
        if !matches!(fault, Fault::Closed | Fault::Lost | Fault::Throttled) {
            return *fault;
        }
        let Some(left) = times.checked_sub(1) else { return Fault::Healed };
        *times = left;
        *fault
    }
}

/// Whatever is sent to somebody else is not passed on: it is between two.
const BETWEEN_TWO: [&str; 4] = ["host", "connection", "content-length", "transfer-encoding"];

async fn pass_on(State(line): State<Arc<Line>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let is_write = (line.is_write)(&parts.method, path, &body);
    let is_head = parts.method == Method::HEAD;
    let fault = line.now();
    match fault {
        Fault::Slow => tokio::time::sleep(Duration::from_millis(300)).await,
        Fault::Closed => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Fault::Throttled => return (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "1")]).into_response(),
        Fault::Refusing if is_write => return (line.refusal)(),
        _ => {}
    }
    if is_write {
        line.writes.fetch_add(1, Ordering::SeqCst);
    }
    let url = Url::parse(&format!("{}{path}", line.server)).unwrap();
    let mut headers = parts.headers;
    for name in BETWEEN_TWO {
        headers.remove(name);
    }
    let Ok(answer) = line.http.request(parts.method, url).headers(headers).body(body).send().await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    // The answer to HEAD has nothing that could be cut off.
    if fault == Fault::Lost && is_head {
        return StatusCode::GATEWAY_TIMEOUT.into_response();
    }
    if fault == Fault::Lost {
        let cut = tokio_stream::once(Err::<Vec<u8>, _>(std::io::Error::other("cut off")));
        return Body::from_stream(cut).into_response();
    }
    let mut passed = Response::builder().status(answer.status());
    for (name, value) in answer.headers().iter().filter(|(name, _)| !BETWEEN_TWO.contains(&name.as_str())) {
        passed = passed.header(name, value);
    }
    passed.body(Body::from(answer.bytes().await.unwrap())).unwrap()
}
