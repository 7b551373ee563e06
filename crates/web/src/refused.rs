//! Who is refused by a rate, asks for what cannot be, or comes with what is forged is told in the log: where, who, and how often.
//!
//! Each is told of by a line a minute at most for each reason, and so many are told apart; whoever sends a flood fills no log.

use std::collections::HashMap;
use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use onhand_ledger::{Instant, TenantId};
use parking_lot::Mutex;
use tower_http::csrf::ProtectionError;

use crate::App;
use crate::request;

/// A line for each in so many seconds.
const APART: i64 = 60;
/// So many are told apart; the others are one.
const TOLD_APART: usize = 100;
/// Somebody may ask for so much that cannot be, within that time, before it is told.
const MISTAKES: u32 = 20;

/// Whose request it is, or where it comes from.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Who {
    Caller(TenantId, String),
    From(Option<IpAddr>),
    /// One of those that are too many to be told apart.
    Other,
}

/// What somebody is refused for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Why {
    /// They ask too often.
    Rate,
    /// What they ask for cannot be.
    Invalid,
    /// Another site asks in their name.
    Site,
    /// A webhook's signature is not its system's.
    Signature,
}

impl Why {
    /// How often it is before it is told.
    const fn told_from(self) -> u32 {
        match self {
            Self::Invalid => MISTAKES,
            Self::Rate | Self::Site | Self::Signature => 1,
        }
    }

    fn of(response: &Response) -> Option<Self> {
        if response.extensions().get::<ProtectionError>().is_some() {
            return Some(Self::Site);
        }
        match response.status() {
            StatusCode::TOO_MANY_REQUESTS => Some(Self::Rate),
            StatusCode::BAD_REQUEST
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::UNSUPPORTED_MEDIA_TYPE
            | StatusCode::UNPROCESSABLE_ENTITY => Some(Self::Invalid),
            _ => None,
        }
    }
}

/// How often somebody was refused.
#[derive(Clone, Copy)]
struct Times {
    since: Instant,
    /// Of which the log does not know yet.
    untold: u32,
    is_told: bool,
}

/// Who was refused lately.
#[derive(Default)]
pub(crate) struct Refused(Mutex<HashMap<(Why, Who), Times>>);

impl Refused {
    /// One more; how many there are since the last line, where it is time for one.
    fn again(&self, why: Why, who: Who, now: Instant) -> Option<u32> {
        let mut all = self.0.lock();
        let is_over = |times: &Times| now >= times.since.plus_seconds(APART);
        let mut key = (why, who);
        if all.len() >= TOLD_APART && !all.contains_key(&key) {
            all.retain(|_, times| !is_over(times));
            if all.len() >= TOLD_APART {
                key.1 = Who::Other;
            }
        }
        let times = all.entry(key).or_insert(Times { since: now, untold: 0, is_told: false });
        if is_over(times) {
            // What the last line could not know of is told with the next.
            let untold = if times.is_told { times.untold } else { 0 };
            *times = Times { since: now, untold, is_told: false };
        }
        times.untold = times.untold.saturating_add(1);
        if times.is_told || times.untold < why.told_from() {
            return None;
        }
        times.is_told = true;
        Some(std::mem::take(&mut times.untold))
    }

    /// One more of whoever asks now; as [`Refused::again`].
    pub fn of_this_request(&self, why: Why, now: Instant) -> Option<u32> {
        let who = request::whose()
            .map_or_else(|| Who::From(request::from()), |(tenant, name)| Who::Caller(tenant, name));
        self.again(why, who, now)
    }
}

/// Tells it of each answer.
pub(crate) async fn tell(State(app): State<App>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let Some(why) = Why::of(&response) else { return response };
    let now = app.handle.ledger().clock().now();
    let Some(times) = app.watched.refused.of_this_request(why, now) else { return response };
    let status = response.status().as_u16();
    let (tenant, caller) = request::whose().map(|(tenant, name)| (tenant.0, name)).unzip();
    match why {
        Why::Rate => tracing::warn!(tenant, caller, status, times, "who asks too often was refused"),
        Why::Site => tracing::warn!(times, "what another site asked was refused"),
        Why::Invalid | Why::Signature => {
            tracing::warn!(tenant, caller, status, times, "somebody asks again and again for what cannot be");
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    fn ada() -> Who {
        Who::Caller(TenantId(1), "ada".to_owned())
    }

    #[test]
    fn a_flood_is_a_line_a_minute_that_says_how_much_it_was() {
        let refused = Refused::default();
        let lines: Vec<(i64, u32)> = (0..1_800)
            .filter_map(|nth| Some((nth / 10, refused.again(Why::Rate, ada(), at(nth / 10))?)))
            .collect();
        assert_eq!(lines, [(0, 1), (60, 600), (120, 600)]);
        assert_eq!(refused.again(Why::Site, ada(), at(180)), Some(1), "another reason has a line of its own");
    }

    #[test]
    fn a_mistake_is_none_and_many_are() {
        let refused = Refused::default();
        let told = |seconds| refused.again(Why::Invalid, ada(), at(seconds));
        assert_eq!((0..19).find_map(|_| told(0)), None);
        assert_eq!(told(1), Some(20));
        assert_eq!((0..100).find_map(|_| told(2)), None);
        let slowly =
            (1..200).find_map(|minute| refused.again(Why::Invalid, Who::From(None), at(minute * 60)));
        assert_eq!(slowly, None, "one a minute is nobody who tries");
    }

    #[test]
    fn very_many_are_told_as_one() {
        let refused = Refused::default();
        let from = |nth: u32| Who::From(Some(IpAddr::from(nth.to_be_bytes())));
        let lines = (0..10_000).filter(|nth| refused.again(Why::Rate, from(*nth), at(0)).is_some()).count();
        assert_eq!(lines, TOLD_APART + 1);
        assert_eq!(refused.again(Why::Rate, from(1), at(60)), Some(1), "forgotten by then");
    }
}
