//! Takes the power away from a store at any point, and looks at what is left.
//!
//! A workload runs once on the real engine and the real store, in a process whose libc is watched ([`record`]): what
//! it writes, cuts, syncs, makes and unlinks is a trace, and so are its answers ([`workload`]). From the trace [`disk`]
//! makes what a disk may hold after a loss of power at some point: whatever was synced, and of the rest any part, in
//! pieces. [`check`] opens that with the real store and compares it with what was acknowledged by then.
//!
//! [`fault`] lets single operations on files fail instead, [`faulty`] under the engine itself; [`flip`] flips single bits.
//! [`skew`] sets a process' clock wrong.
//!
//! No part of Onhand: a tool of its tests, and of `cargo xtask power-loss` and `io-errors`.

pub mod check;
pub mod disk;
pub mod fault;
pub mod faulty;
pub mod flip;
pub mod random;
pub mod record;
pub mod shard;
pub mod skew;
pub mod trace;
pub mod workload;
