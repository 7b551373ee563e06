//! A body as lines, while it comes: no more of it is kept than what has come and is not yet read.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use tokio_stream::StreamExt as _;

/// The longest line: 1 MiB.
pub(super) const LONGEST: usize = 1024 * 1024;
/// Whoever sends more slowly than this holds a connection that others could have.
const PATIENCE: Duration = Duration::from_secs(30);

/// A line that has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// It is not empty.
    Whole(&'a [u8]),
    /// It is longer than [`LONGEST`], and was passed over.
    TooLong,
}

/// What became of a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum More {
    /// Some of it has come.
    Came,
    /// It has ended, and all its lines are read.
    Ended,
    /// It broke off: why. What has come of its last line is no line.
    BrokeOff(String),
}

pub(super) struct Lines {
    body: BodyDataStream,
    buffer: Vec<u8>,
    /// Where the first line that is not read begins.
    start: usize,
    /// Up to where no line ends.
    searched: usize,
    passing_over: bool,
    ended: bool,
    number: u64,
}

impl Lines {
    pub fn new(body: Body) -> Self {
        let body = body.into_data_stream();
        Self { body, buffer: Vec::new(), start: 0, searched: 0, passing_over: false, ended: false, number: 0 }
    }

    /// The next line that has come whole, and its number in the body, from 1 on; empty ones are counted only.
    pub fn next(&mut self) -> Option<(u64, Line<'_>)> {
        loop {
            let rest = &self.buffer[self.searched..];
            let (from, end) = match rest.iter().position(|byte| *byte == b'\n') {
                Some(place) => {
                    let (from, end) = (self.start, self.searched + place);
                    (self.start, self.searched) = (end + 1, end + 1);
                    (from, end)
                }
                None if self.ended && (self.start < self.buffer.len() || self.passing_over) => {
                    let (from, end) = (self.start, self.buffer.len());
                    (self.start, self.searched) = (end, end);
                    (from, end)
                }
                None => {
                    self.searched = self.buffer.len();
                    if self.searched - self.start > LONGEST {
                        self.passing_over = true;
                        self.start = self.searched;
                    }
                    return None;
                }
            };
            self.number += 1;
            if std::mem::take(&mut self.passing_over) || end - from > LONGEST {
                return Some((self.number, Line::TooLong));
            }
            if !self.buffer[from..end].trim_ascii().is_empty() {
                return Some((self.number, Line::Whole(self.buffer[from..end].trim_ascii())));
            }
        }
    }

    /// Waits for more. Only once [`Lines::next`] has none.
    pub async fn more(&mut self) -> More {
        if self.ended {
            return More::Ended;
        }
        self.buffer.drain(..self.start);
        self.searched -= self.start;
        self.start = 0;
        match tokio::time::timeout(PATIENCE, self.body.next()).await {
            Ok(Some(Ok(bytes))) => self.buffer.extend_from_slice(&bytes),
            Ok(Some(Err(error))) => return More::BrokeOff(format!("it cannot be read: {error}")),
            Ok(None) => self.ended = true,
            Err(_) => return More::BrokeOff(format!("nothing came for {PATIENCE:?}")),
        }
        More::Came
    }

    /// Reads what is left and throws it away, so that the connection lives on; gives up where that is very much.
    pub async fn pass_over(mut self) {
        const MOST: usize = 64 * LONGEST;
        let mut passed = 0;
        while let Ok(Some(Ok(bytes))) = tokio::time::timeout(PATIENCE, self.body.next()).await {
            passed += bytes.len();
            if passed > MOST {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(parts: &[&[u8]]) -> Vec<(u64, Option<String>)> {
        let parts: Vec<_> = parts.iter().map(|part| Ok::<_, std::io::Error>(part.to_vec())).collect();
        let mut lines = Lines::new(Body::from_stream(tokio_stream::iter(parts)));
        let mut read = Vec::new();
        loop {
            while let Some((number, line)) = lines.next() {
                read.push(match line {
                    Line::Whole(text) => (number, Some(String::from_utf8_lossy(text).into_owned())),
                    Line::TooLong => (number, None),
                });
            }
            assert!(lines.buffer.len() <= 2 * LONGEST + 2, "no more is kept than has come");
            if lines.more().await == More::Ended {
                return read;
            }
        }
    }

    #[tokio::test]
    async fn lines_come_whole_however_the_body_is_cut() {
        let whole: &[u8] = b"one\r\n\n  \ntwo\nthree";
        let expected =
            [(1, Some("one".to_owned())), (4, Some("two".to_owned())), (5, Some("three".to_owned()))];
        assert_eq!(read(&[whole]).await, expected);
        for cut in 0..whole.len() {
            assert_eq!(read(&[&whole[..cut], &whole[cut..]]).await, expected, "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = whole.chunks(1).collect();
        assert_eq!(read(&bytes).await, expected);
        assert_eq!(read(&[]).await, []);
        assert_eq!(read(&[b"\n"]).await, []);
    }

    #[tokio::test]
    async fn a_line_without_end_is_passed_over() {
        let long = vec![b'x'; LONGEST];
        let parts: [&[u8]; 6] = [b"a\n", &long, &long, &long, b"\nb\n", &long];
        let read = read(&parts).await;
        assert_eq!(read[..3], [(1, Some("a".to_owned())), (2, None), (3, Some("b".to_owned()))]);
        assert_eq!(read[3].1.as_ref().map(String::len), Some(LONGEST), "the longest is none too many");
    }
}
