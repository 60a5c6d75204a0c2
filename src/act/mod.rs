//! From an event to a request that has arrived: guard, outbox, sign, send, verify.
//!
//! A sink is two pure functions, what to send and what an answer means; retries, signing, egress and
//! the outbox exist once, outside.

use std::collections::BTreeMap;
use std::time::Duration;

use url::Url;

/// What a sink wants sent; `dispatch` adds signature and time-out.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub method: Method,
    pub url: Url,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Post,
    Patch,
}

/// What came back; the body is cut at 64 KiB.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub retry_after: Option<Duration>,
    pub body: Vec<u8>,
}

/// What an answer means for the record in the outbox.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Arrived; a sink may ask to keep a note with the incident (Grafana's annotation id).
    Delivered { note: Option<String> },
    /// Worth another try, not before this long.
    Again { after: Option<Duration> },
    /// Will never be taken.
    Refused { reason: String },
    /// The receiver wants nothing more, ever (410).
    Gone,
}
