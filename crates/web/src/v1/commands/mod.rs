//! Many commands in one request, as newline-delimited JSON: read, run and answered while they come.
//!
//! Nothing is kept but a window: lines wait for a place in the queue's second lane, behind what people ask for, and
//! answers for a caller that reads. Each line is by itself; what is wrong with one is its own answer.

mod blocks;
mod lines;
mod results;

use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use onhand_engine::{CommitError, Committed, SubmitError};
use onhand_ledger::{Body, Command, TenantId};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use blocks::{Block, Blocks, Told};
use lines::{Line, Lines, More};
use results::{LineResult, Out};

use crate::App;
use crate::auth::Caller;
use crate::error::Problem;
use crate::strict::Strict;

/// How many commands a request has at most.
const MOST: usize = 100_000;
/// How many blocks of a request are under way at most.
const WINDOW: usize = 16;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(run_commands))
}

const NDJSON: &str = "One JSON object a line: `body` is a command, an object with one member named for what is asked (see \
    docs/commands.md for all of them); `key` is its idempotency key, and may be left out. Consecutive lines of one `group`, \
    up to 1,000, are done together or not at all: a later one sees what the earlier ones did, the group's name is their \
    key, and documents, which have happened, are in none. Quantities are exact decimals, times RFC 3339.";
const LINE: &str =
    r#"{"key":"delivery-42","body":{"receive":{"location":"LONDON","lines":[{"sku":"MUG","quantity":3}]}}}"#;

/// Runs up to 100,000 commands, one JSON object `{"key":…,"group":…,"body":…}` a line, in order, each atomic by itself or
/// with its group. Answers one line for each, in order, as soon as it is durable; a line that is wrong or refused says so
/// in `error`, and the others are run. People's requests go first. Read while you write, or send no more than fits: answers
/// wait for you up to 32 MiB.
#[utoipa::path(post, path = "/commands", tag = "admin",
    request_body(content_type = "application/x-ndjson", content = String, description = NDJSON, example = json!(LINE)),
    responses((status = 200, content_type = "application/x-ndjson", body = LineResult)))]
async fn run_commands(State(app): State<App>, caller: Caller, request: Request) -> Response {
    let (out, answers) = results::channel();
    let (begun, under_way) = mpsc::channel(WINDOW);
    tokio::spawn(answer(under_way, out));
    tokio::spawn(async move {
        let lines = Lines::new(request.into_body());
        let run = Run { app, tenant: caller.tenant, blocks: Blocks::new(caller), begun };
        run.all(lines).await;
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], answers).into_response()
}

/// What becomes of a block.
type Answers = Result<Vec<Result<Committed, CommitError>>, SubmitError>;

/// A block that was handed in.
struct Begun {
    told: Vec<Told>,
    reply: Result<JoinHandle<Answers>, SubmitError>,
    /// Told after it, of the request as a whole.
    last: Option<LineResult>,
}

/// Answers blocks in order, each once it is durable.
async fn answer(mut under_way: mpsc::Receiver<Begun>, out: Out) {
    while let Some(Begun { told, reply, last }) = under_way.recv().await {
        let answers = match reply {
            Ok(reply) => reply.await.unwrap_or(Err(SubmitError::Stopping)),
            Err(error) => Err(error),
        };
        let mut text = results::render(told, answers);
        if let Some(last) = last {
            results::write(&mut text, &last);
        }
        if out.send(text).await.is_err() {
            return;
        }
    }
}

struct Run {
    app: App,
    tenant: TenantId,
    blocks: Blocks,
    begun: mpsc::Sender<Begun>,
}

/// Nobody hears the answers any more, or nothing is committed any more.
struct Stop;

impl Run {
    async fn all(mut self, mut lines: Lines) {
        let mut taken = 0;
        let mut read = 0;
        loop {
            while let Some((number, line)) = lines.next() {
                taken += 1;
                if taken > MOST {
                    let is_of_group = match line {
                        Line::Whole(text) => self.blocks.goes_on_with(text),
                        Line::TooLong => true,
                    };
                    let last = if is_of_group {
                        // A group is done whole, or not.
                        self.blocks.add_wrong(number, too_many(number));
                        None
                    } else {
                        let problem = too_many(number);
                        Some(LineResult::failed(Some(number), None, problem))
                    };
                    self.finish(last).await;
                    return lines.pass_over().await;
                }
                match line {
                    Line::Whole(text) => self.blocks.add(number, text),
                    Line::TooLong => self.blocks.add_wrong(number, too_long(number)),
                }
                read = number;
                if let Some(block) = self.blocks.take_full()
                    && self.begin(block, None).await.is_err()
                {
                    return;
                }
            }
            // Whoever waits for an answer before sending more has it.
            let block = self.blocks.take();
            if !block.is_empty() && self.begin(block, None).await.is_err() {
                return;
            }
            match lines.more().await {
                More::Came => {}
                More::Ended => break,
                More::BrokeOff(why) => {
                    // What is known of a group may not be all of it.
                    let detail =
                        format!("the body broke off after line {read}: {why}; all up to there was read");
                    self.blocks.add_wrong(read + 1, broken(&detail));
                    break;
                }
            }
        }
        self.finish(None).await;
    }

    /// Its place among the tenant's is free again once it is durable, whether or not anybody reads the answers.
    async fn hand_in(&self, commands: Vec<Command>) -> Result<JoinHandle<Answers>, SubmitError> {
        let place = self.app.fair.of(self.tenant).to_hand_in().await;
        let reply = self.app.handle.begin_bulk(self.tenant, commands).await?;
        Ok(tokio::spawn(async move {
            let answers = reply.wait().await;
            drop(place);
            answers
        }))
    }

    async fn finish(&mut self, last: Option<LineResult>) {
        self.blocks.end_group();
        let block = self.blocks.take();
        let _ = self.begin(block, last).await;
    }

    /// Waits for a place in the queue.
    async fn begin(&self, block: Block, last: Option<LineResult>) -> Result<(), Stop> {
        let Block { told, commands, .. } = block;
        let reply = self.hand_in(commands).await;
        let stopping = reply.is_err();
        self.begun.send(Begun { told, reply, last }).await.map_err(|_| Stop)?;
        if stopping { Err(Stop) } else { Ok(()) }
    }
}

fn too_long(number: u64) -> Problem {
    let mebibytes = lines::LONGEST / (1024 * 1024);
    Problem::of_body("A line is too long", format!("line {number} has more than {mebibytes} MiB"))
}

fn broken(detail: &str) -> Problem {
    Problem::of_body("The body cannot be read", detail.to_owned())
}

fn too_many(number: u64) -> Problem {
    let detail = format!(
        "at most {MOST} lines are run in a request: line {number} and what follows it were not; what was answered above \
         is as it says. Send the rest in another request"
    );
    Problem::of_body("Too many lines", detail)
}

/// What lines would be run as, in words: for fuzzing.
///
/// # Panics
///
/// Where it matters how a body is cut, or a command does not read as it is written.
#[doc(hidden)]
pub fn commands_of(input: &[u8]) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime that drives nothing but time needs nothing");
    let read = |parts: Vec<Vec<u8>>| {
        let parts = parts.into_iter().map(Ok::<_, std::convert::Infallible>);
        let body = axum::body::Body::from_stream(tokio_stream::iter(parts));
        runtime.block_on(async {
            let (name, role) = ("fuzz".to_owned(), crate::Role::Admin);
            let caller = Caller { tenant: TenantId::DEFAULT, name, rights: Vec::new(), rate: None, role };
            let (mut lines, mut blocks) = (Lines::new(body), Blocks::new(caller));
            loop {
                while let Some((number, line)) = lines.next() {
                    match line {
                        Line::Whole(text) => blocks.add(number, text),
                        Line::TooLong => blocks.add_wrong(number, too_long(number)),
                    }
                }
                match lines.more().await {
                    More::Came => {}
                    More::Ended | More::BrokeOff(_) => break,
                }
            }
            blocks.end_group();
            blocks.take()
        })
    };
    let block = read(vec![input.to_vec()]);
    let cut = input.len() * usize::from(input.first().copied().unwrap_or(0)) / 256;
    let told = format!("{:?} {:?}", block.told, block.commands);
    let again = read(vec![input[..cut].to_vec(), input[cut..].to_vec()]);
    assert_eq!(told, format!("{:?} {:?}", again.told, again.commands), "however it is cut");
    for command in &block.commands {
        let written = serde_json::to_vec(&command.body).expect("a body can always be written");
        let read: Strict<Body> = serde_json::from_slice(&written).expect("what is written is read");
        assert_eq!(read.0, command.body);
    }
    told
}
