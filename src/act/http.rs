//! One request out: egress checked, redirects refused, time and answer bounded, and no secret in any error.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use secrecy::ExposeSecret;
use url::Url;

use super::egress::{Egress, EgressError, GuardedResolver};
use super::{Answer, Method, Request};
use crate::config::HttpAuth;

/// An answer's body is cut here.
const ANSWER_BYTES_MAX: usize = 64 << 10;
const CONNECT_SECONDS_MAX: u64 = 10;

#[derive(Debug, thiserror::Error)]
pub enum SendError {
    #[error(transparent)]
    Egress(#[from] EgressError),
    #[error("header {0} holds what a header cannot")]
    Header(String),
    #[error("no answer within {} s", .0.as_secs_f64())]
    TimedOut(Duration),
    #[error("{0}")]
    Network(String),
}

impl SendError {
    pub fn is_retryable(&self) -> bool {
        matches!(self, SendError::TimedOut(_) | SendError::Network(_))
    }
}

/// The way to one sink.
#[derive(Clone, Debug)]
pub struct Client {
    client: reqwest::Client,
    egress: Arc<Egress>,
}

impl Client {
    /// `url` is the sink's; requests stay on its port.
    ///
    /// # Errors
    /// The system's root certificates cannot be loaded.
    pub fn new(egress: Arc<Egress>, url: &Url) -> Result<Self, SendError> {
        // Fails where a provider is set already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let port = url.port_or_known_default().unwrap_or(0);
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .dns_resolver(GuardedResolver { egress: egress.clone(), port })
            .connect_timeout(Duration::from_secs(CONNECT_SECONDS_MAX))
            .user_agent(concat!("foreshock/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| SendError::Network(innermost(&error)))?;
        Ok(Client { client, egress })
    }

    /// Sends `request` and reads the answer, or as much of it as comes: what an answer's status says
    /// holds even if its body breaks off.
    ///
    /// # Errors
    /// Nothing was sent, or no answer came.
    pub async fn send(&self, request: &Request) -> Result<Answer, SendError> {
        self.egress.check(&request.url)?;
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Patch => reqwest::Method::PATCH,
        };
        let headers = headers_of(request)?;
        let sending = self
            .client
            .request(method, request.url.clone())
            .headers(headers)
            .body(request.body.clone())
            .timeout(request.timeout)
            .send();
        let mut response = sending.await.map_err(|error| explain(&error, request.timeout))?;
        let retry_after =
            response.headers().get(RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?));
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Ok(Some(chunk)) = response.chunk().await {
            let room = ANSWER_BYTES_MAX - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if body.len() == ANSWER_BYTES_MAX {
                break;
            }
        }
        Ok(Answer { status, retry_after, body })
    }
}

/// The value of `Authorization`, if there is one.
pub fn authorization(auth: &HttpAuth) -> Option<String> {
    match auth {
        HttpAuth::None => None,
        HttpAuth::Basic { user, password } => {
            Some(format!("Basic {}", STANDARD.encode(format!("{user}:{}", password.expose_secret()))))
        }
        HttpAuth::Bearer(token) => Some(format!("Bearer {}", token.expose_secret())),
    }
}

/// `base` with `path` below it, whether `base` ends in a slash or not.
pub fn below(base: &Url, path: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    url
}

fn headers_of(request: &Request) -> Result<HeaderMap, SendError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &request.headers {
        let bad = || SendError::Header(name.clone());
        let mut value = HeaderValue::from_str(value).map_err(|_| bad())?;
        value.set_sensitive(true);
        headers.insert(HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?, value);
    }
    Ok(headers)
}

fn explain(error: &reqwest::Error, timeout: Duration) -> SendError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(e) = cause {
        if let Some(egress) = e.downcast_ref::<EgressError>() {
            return egress.clone().into();
        }
        cause = e.source();
    }
    if error.is_timeout() { SendError::TimedOut(timeout) } else { SendError::Network(innermost(error)) }
}

/// The root of an error: `Connection refused`. What stands around it would show the URL.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    // A root that is reqwest's own prints its URL.
    match cause.downcast_ref::<reqwest::Error>() {
        Some(_) => "the request could not be made".into(),
        None => cause.to_string(),
    }
}

/// The wait that a `Retry-After` asks for: seconds, or an HTTP date.
pub fn retry_after(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_second();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
    Some(Duration::from_secs(u64::try_from(at).ok()?.saturating_sub(now)))
}
