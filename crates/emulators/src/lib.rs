//! Faithful stand-ins for outside systems, with faults on demand: for the demo, for tests, for integrators.
//!
//! Each is reached over HTTP like the real thing, keeps its own state, and records everything that happened to it,
//! so that a checker apart from Onhand can say who oversold.

pub mod shop;
pub mod shopify;
pub mod skulabs;
mod wire;
pub mod wms;
pub mod woocommerce;
