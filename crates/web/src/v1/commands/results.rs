//! What is answered, a line for each line.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use onhand_engine::{CommitError, Committed, SubmitError};
use onhand_ledger::{Answer, Invalid, Refusal};
use serde::Serialize;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::UnboundedReceiverStream;
use utoipa::ToSchema;

use super::blocks::Told;
use crate::error::Problem;
use crate::v1::answers::{AnswerBody, answer_body};

/// How many KiB of answers wait for a caller that does not read; then its lines wait too. Enough for 100,000 short ones:
/// many clients write all of a request before they read.
const UNREAD_KIB: usize = 32 * 1024;
/// For how long.
const PATIENCE: Duration = Duration::from_mins(5);

/// What came of one line.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LineResult {
    /// The line, from 1 on. None where the body broke off.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    /// The group it was done with.
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    /// A read that has reached this entry sees it.
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    /// True where this answer was given before.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    replayed: bool,
    /// What the endpoint of that command answers.
    #[schema(value_type = Option<Object>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<AnswerBody>,
    /// Why it was not done. Nothing of the line was. Which types it may have: `ReceiveProblem` for `receive`, and so on.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Problem>,
}

impl LineResult {
    fn done(line: u64, group: Option<&str>, committed: &Committed, answer: Answer) -> Self {
        let (seq, replayed, group) = (Some(committed.seq), committed.replayed, group.map(str::to_owned));
        Self { line: Some(line), group, seq, replayed, answer: Some(answer_body(answer)), error: None }
    }

    pub fn failed(line: Option<u64>, group: Option<&str>, mut error: Problem) -> Self {
        // A line's key is a member of it, not a header.
        if error.field.as_deref() == Some("Idempotency-Key") {
            error.field = Some(if group.is_some() { "group" } else { "key" }.to_owned());
        }
        let (replayed, group) = (error.replayed, group.map(str::to_owned));
        Self { line, group, seq: None, replayed, answer: None, error: Some(error) }
    }
}

type Result = std::result::Result<Committed, CommitError>;

/// Writes what is told of a block.
pub(super) fn render(told: Vec<Told>, answers: std::result::Result<Vec<Result>, SubmitError>) -> Vec<u8> {
    let mut out = Vec::with_capacity(160 * told.len());
    let (mut answers, stopped) = match answers {
        Ok(answers) => (answers.into_iter(), None),
        Err(error) => (Vec::new().into_iter(), Some(error)),
    };
    let mut next = || match (answers.next(), &stopped) {
        (Some(Ok(committed)), _) => Ok(committed),
        (Some(Err(error)), _) => Err(SubmitError::Commit(error)),
        (None, Some(error)) => Err(error.clone()),
        (None, None) => Err(SubmitError::Stopping),
    };
    for told in told {
        match told {
            Told::Wrong(line, group, problem) => {
                write(&mut out, &LineResult::failed(Some(line), group.as_deref(), *problem));
            }
            Told::Line(line) => write(&mut out, &one(line, next())),
            Told::Group(name, lines) => group(&mut out, &name, &lines, next()),
        }
    }
    out
}

fn one(line: u64, result: std::result::Result<Committed, SubmitError>) -> LineResult {
    match result {
        Ok(committed) => match committed.answer.clone() {
            Answer::Refused(refusal) => {
                let problem = Problem::from(refusal).replayed(committed.replayed);
                LineResult::failed(Some(line), None, problem)
            }
            answer => LineResult::done(line, None, &committed, answer),
        },
        Err(error) => LineResult::failed(Some(line), None, error.into()),
    }
}

/// Each line has its own answer; where one is refused it says why, and the others which one it was.
fn group(out: &mut Vec<u8>, name: &str, lines: &[u64], result: std::result::Result<Committed, SubmitError>) {
    let mut replayed = false;
    let (culprit, problem): (Option<u32>, Problem) = match result {
        Ok(committed) => match committed.answer.clone() {
            Answer::Group(answers) => {
                for (line, answer) in lines.iter().zip(answers) {
                    write(out, &LineResult::done(*line, Some(name), &committed, answer));
                }
                return;
            }
            Answer::Refused(Refusal::InGroup { line, refusal }) => {
                replayed = committed.replayed;
                (Some(line), (*refusal).into())
            }
            Answer::Refused(refusal) => (None, refusal.into()),
            _ => (None, Problem::internal("a group was answered as if it were none")),
        },
        Err(SubmitError::Commit(CommitError::Invalid(Invalid::InGroup { line, invalid }))) => {
            (Some(line), (*invalid).into())
        }
        Err(error) => (None, error.into()),
    };
    let culprit = culprit.and_then(|line| lines.get(usize::try_from(line).ok()?.checked_sub(1)?));
    for line in lines {
        let of_line = match culprit {
            Some(culprit) if culprit != line => Problem::of_group(name, *culprit),
            _ => problem.clone(),
        };
        write(out, &LineResult::failed(Some(*line), Some(name), of_line.replayed(replayed)));
    }
}

pub(super) fn write(out: &mut Vec<u8>, result: &LineResult) {
    serde_json::to_writer(&mut *out, result).expect("what is answered can always be written");
    out.push(b'\n');
}

/// Where answers go.
pub(super) struct Out {
    unread: mpsc::UnboundedSender<Bytes>,
    room: Arc<Semaphore>,
}

/// The caller is gone, or has not read for long.
pub(super) struct Gone;

impl Out {
    pub async fn send(&self, answers: Vec<u8>) -> std::result::Result<(), Gone> {
        if answers.is_empty() {
            return Ok(());
        }
        let room = tokio::time::timeout(PATIENCE, self.room.acquire_many(kib(answers.len())));
        match room.await {
            Ok(Ok(room)) => room.forget(),
            _ => return Err(Gone),
        }
        self.unread.send(answers.into()).map_err(|_| Gone)
    }
}

fn kib(bytes: usize) -> u32 {
    u32::try_from((bytes / 1024 + 1).min(UNREAD_KIB)).unwrap_or(1)
}

/// A body, and where to write it.
pub(super) fn channel() -> (Out, Body) {
    let (unread, answers) = mpsc::unbounded_channel::<Bytes>();
    let room = Arc::new(Semaphore::new(UNREAD_KIB));
    let out = Out { unread, room: room.clone() };
    let read = UnboundedReceiverStream::new(answers).map(move |answers| {
        room.add_permits(kib(answers.len()) as usize);
        Ok::<_, std::convert::Infallible>(answers)
    });
    (out, Body::from_stream(read))
}
