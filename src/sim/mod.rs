//! A simulated Zimbra cluster: a causal model, seeded and deterministic, that prints the pages real exporters would.
//!
//! Simulated, and named so wherever its output shows. The engine cannot import it.
//! `load` brings mail and people, `cluster` is what becomes of them, `exporter` prints what the exporters of its hosts
//! would. A `world` is a cluster on a clock: `pages` are what is scraped, `history` is what a Prometheus would have kept,
//! `server` serves all of it on loopback, `receiver` is what is sent there, `site` how it is watched.

pub mod chronicle;
pub mod cluster;
pub mod exporter;
pub mod feed;
pub mod history;
pub mod load;
pub mod pages;
pub mod receiver;
pub mod server;
pub mod site;
#[cfg(test)]
mod stopped;
pub mod truth;
pub mod twin;
#[cfg(test)]
mod unaccounted;
pub mod world;
