//! A simulated mail host: a causal model, seeded and deterministic, that prints the pages a real exporter would.
//!
//! Simulated, and named so wherever its output shows. The engine cannot import it.
//! `load` brings the mail, `scanner` and `host` move it, `page` prints what an exporter would,
//! `history` is what a Prometheus would have kept, `server` serves all of it on loopback.
//! A whole site is `cluster`; `exporter` prints what the exporters of its hosts would.

pub mod cluster;
pub mod exporter;
pub mod history;
pub mod host;
pub mod load;
pub mod page;
pub mod receiver;
pub mod scanner;
pub mod server;
