//! The decisions: what each listing shall show, whether what a system shows is as it should be, what to push next,
//! and the sentences that say why. Pure: data in, data out; no clock, no I/O.

pub mod alerts;
mod buffer;
mod check;
mod desired;
pub mod expected;
mod explain;
mod exposure;
pub mod inbox;
mod judge;
mod lag;
pub mod marked;
pub mod missed;
mod plan;
mod policy;
mod recommend;
mod retry;
pub mod sent;
pub mod shares;
pub mod snapshot;
mod state;
mod timing;
pub mod webhooks;
mod zeros;

pub use buffer::{Lagging, Selling, because as buffer_because, buffer, is_another, sales_to_cover};
pub use check::{Checked, Finding, Severity, Some5, Webhooks, findings};
pub use desired::{Halt, Shown, Step, Stock, desired};
pub use explain::{Books, Doubt, Standing, Status, Stop, explain};
pub use exposure::{Cover, Offer, exposed};
pub use judge::{
    Known, Observation, OwnChange, Summed, Verdict, is_amount_open, judge, may_be_a_part, may_be_less_of,
    shows,
};
pub use lag::{Lag, in_words};
pub use plan::{Danger, Difference, danger, danger_first};
pub use policy::{Barrier, Reaction, barrier, barrier_from, react};
pub use recommend::{Candidate, Recommendation, recommend};
pub use retry::{Allowance, Failure, OPEN_AFTER, may_call_at, next_random, rest_ms};
pub use state::{Facts, State, Trouble, Unsent, state};
pub use timing::{may_go_at, next_batch};
pub use zeros::{Fall, fall, is_wave};
