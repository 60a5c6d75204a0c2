//! What an operator and their tools may ask over HTTP, and where remote write comes in.
//!
//! `listener` bounds connections, `auth` asks for the token, `routes/` holds a file for each thing that can
//! be asked, `handle` is all that they can reach.

pub mod auth;
pub mod error;
pub mod handle;
pub mod listener;
pub mod room;
pub mod routes;
pub mod select;
pub mod server;

#[cfg(test)]
mod tests;
