//! What speaks Prometheus: scraped pages, remote write, history and tail over `query_range`.

mod cursor;
mod family;
mod protobuf;
pub mod remote_write;
pub mod text;
