//! How many requests an API key, or a person at the pages, may send: a bucket of as many as may come in a second, which fills as time goes by.

use std::num::NonZeroU32;

use axum::http::StatusCode;
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use crate::error::Problem;

/// The bucket of a key, or of a person.
pub(crate) struct Bucket {
    rate: NonZeroU32,
    left: DefaultDirectRateLimiter,
}

impl Bucket {
    /// None where any number may come, which is told as 0.
    pub fn of(rate: u32) -> Option<Self> {
        let rate = NonZeroU32::new(rate)?;
        Some(Self { rate, left: RateLimiter::direct(Quota::per_second(rate)) })
    }

    /// Takes one request of a key out of it, or says when the next may come.
    pub fn take(&self, name: &str) -> Result<(), Problem> {
        let Err(seconds) = self.take_one() else { return Ok(()) };
        let rate = self.rate;
        let detail = format!(
            "the key `{name}` may send {rate} requests a second; nothing was done. Send it again in {seconds} s, or send many \
             commands in one request: `POST /v1/commands`"
        );
        Err(refused(detail, seconds))
    }

    /// As [`Bucket::take`], of a person.
    pub fn take_of_person(&self) -> Result<(), Problem> {
        let Err(seconds) = self.take_one() else { return Ok(()) };
        let rate = self.rate;
        let detail = format!(
            "you may ask {rate} times a second, in all windows together; nothing was done. Ask again in {seconds} s. A program \
             uses an API key, which has a rate of its own"
        );
        Err(refused(detail, seconds))
    }

    /// Takes one out of it, or says in how many seconds there is another.
    fn take_one(&self) -> Result<(), u32> {
        let Err(not_yet) = self.left.check() else { return Ok(()) };
        let wait = not_yet.wait_time_from(DefaultClock::default().now());
        Err(u32::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX).max(1))
    }
}

fn refused(detail: String, seconds: u32) -> Problem {
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate", "Too many requests", detail).retry_after(seconds)
}
