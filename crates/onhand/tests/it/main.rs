//! The binary and its API, as their users use them. One file for each concern; helpers read like sentences.

mod api;
mod backup;
mod bad_input;
mod cli;
mod connecting;
mod crash;
mod documents;
mod durable;
mod faults;
mod items;
mod migrate;
mod nodes;
mod postgres;
mod proxy;
mod race;
mod running;
mod s3_server;
mod seal;
mod serve;
mod server;
mod sync;
mod three_nodes;
mod vendure;
mod vendure_modes;
mod vendure_server;
mod workers;
