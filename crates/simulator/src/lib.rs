//! Simulates Onhand and the world around it: the real ledger, store, queue, engine and decisions, on a virtual clock, with
//! several systems that sell, err and fail in every way we know. One seed is one story, bit for bit.
//!
//! A story ([`story`]) is played ([`run`]) by tasks in virtual time ([`time`]); its systems ([`world`]) record what truly
//! happened. Then faults stop, time goes on, and the laws are checked ([`check`]) from these records and from the log alone
//! ([`books`]); each cause that Onhand told of a difference is compared with the true one ([`causes`]). A story that fails
//! is made short ([`shrink`]).
//!
//! No part of Onhand: a tool of its tests, behind `onhand simulate`.

pub mod books;
pub mod causes;
pub mod channel;
pub mod check;
pub mod depot;
pub mod onhand;
pub mod random;
pub mod run;
pub mod seeds;
pub mod shrink;
pub mod store;
pub mod story;
pub mod time;
pub mod world;
