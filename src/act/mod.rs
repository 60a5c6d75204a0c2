//! From an event to a request that has arrived: guard, outbox, sign, send, verify.
//!
//! `acting` decides (pure), `outbox` makes decision and record one, `dispatch` delivers.
//! A sink is two pure functions, what to send and what an answer means; retries, signing, egress and
//! the outbox exist once, outside. A new sink is a file here, and one line in `sinks::sink_of`.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use url::Url;

use crate::incident::event::{Event, Severity};
use crate::sample::Timestamp;

pub mod acting;
pub mod alertmanager;
pub mod approve;
pub mod case;
pub mod dispatch;
pub mod egress;
#[cfg(test)]
mod fixture;
pub mod grafana;
pub mod guard;
pub mod http;
pub mod id;
pub mod outbox;
pub mod plan;
pub mod queue;
pub mod retry;
pub mod room;
pub mod sign;
pub mod sinks;
pub mod template;
pub mod verify;
pub mod webhook;

pub use acting::{Acting, ActingState};
pub use dispatch::Dispatcher;
pub use guard::{Policy, Refused};
pub use outbox::Outbox;
pub use sinks::Sinks;

/// What a sink is to be told, with what its two functions may need to know.
#[derive(Clone, Copy, Debug)]
pub struct Letter<'a> {
    /// The record's id, the same at every attempt.
    pub id: &'a str,
    pub event: &'a Event,
    /// Data time of this attempt.
    pub now: Timestamp,
    /// Wall time of this attempt in seconds, which receivers compare with their own clock.
    pub wall_seconds: i64,
    /// 1 for the first; at more, an earlier one may have arrived.
    pub attempt: u32,
    /// What the sink asked to remember about this incident.
    pub note: Option<&'a str>,
}

/// Where events go.
pub trait Sink: Send + Sync {
    /// The request to make now.
    ///
    /// # Errors
    /// This event can never be sent: its template fails, its header is none.
    fn request(&self, letter: &Letter) -> Result<Request, Unsendable>;

    fn judge(&self, letter: &Letter, answer: &Answer) -> Verdict;

    /// How often to repeat what was delivered, for a receiver that forgets.
    fn resend(&self) -> Option<Duration> {
        None
    }
}

/// Why no request can be made of an event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unsendable(pub String);

/// What a sink wants sent. Headers and most of the URL may be secret: `Debug` shows neither.
#[derive(Clone, PartialEq)]
pub struct Request {
    pub method: Method,
    pub url: Url,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
    /// Wall time, from connecting to the last byte of the answer.
    pub timeout: Duration,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&String> = self.headers.keys().collect();
        write!(f, "{:?} {} {names:?} {} bytes", self.method, shown(&self.url), self.body.len())
    }
}

/// `https://host:port/…`: what of a URL may be printed, since paths and queries carry tokens too.
pub fn shown(url: &Url) -> String {
    let port = url.port().map_or(String::new(), |port| format!(":{port}"));
    format!("{}://{}{port}/…", url.scheme(), url.host_str().unwrap_or(""))
}

/// A severity as labels and tags spell it.
fn word_of(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Ticket => "ticket",
        Severity::Page => "page",
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
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
    /// One step of two is done; keep the note and ask `request` again at once.
    Next { note: String },
    /// Worth another try, not before this long.
    Again { after: Option<Duration>, reason: String },
    /// Will never be taken.
    Refused { reason: String },
    /// The receiver wants nothing more, ever (410).
    Gone,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_shows_nothing_that_may_be_secret() {
        let request = Request {
            method: Method::Post,
            url: "https://user:sesame@hooks.example:8443/T0/path-token?query-token".parse().unwrap(),
            headers: BTreeMap::from([("authorization".into(), "Bearer hunter2".into())]),
            body: vec![0; 12],
            timeout: Duration::from_secs(20),
        };
        let want = r#"Post https://hooks.example:8443/… ["authorization"] 12 bytes"#;
        assert_eq!(format!("{request:?}"), want);
    }
}
