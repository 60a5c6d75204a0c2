//! One way to ask a server for something: TLS, credentials, no redirects, a body that cannot grow without end.
//!
//! The environment's proxies are not used: what is scraped stands next to us.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use reqwest::{Certificate, Identity, Method, RequestBuilder, redirect};
use secrecy::ExposeSecret;
use url::Url;

use crate::config::{HttpAuth, Tls};

#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("cannot read {path}: {error}")]
    File { path: PathBuf, error: std::io::Error },
    #[error("TLS cannot be set up: {0}")]
    Tls(#[source] reqwest::Error),
    #[error("no answer: {}", innermost(.0))]
    Send(reqwest::Error),
    #[error("no whole answer within {} s", .0.as_secs_f64())]
    Timeout(Duration),
    #[error("the body is larger than {bytes_max} bytes")]
    TooLarge { bytes_max: usize },
    #[error("the body is not the gzip that it says it is")]
    Gzip,
}

impl HttpError {
    /// Whether the same request may do better later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Send(_) | Self::Timeout(_))
    }

    /// A word for the metric of errors.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::File { .. } | Self::Tls(_) => "tls",
            Self::Send(_) => "no_answer",
            Self::Timeout(_) => "timeout",
            Self::TooLarge { .. } => "body_too_large",
            Self::Gzip => "gzip",
        }
    }
}

/// reqwest wraps what matters (`Connection refused`) in what does not.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// What a server answered, whatever the status.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub content_type: String,
    pub body: Vec<u8>,
}

/// A client for one server or one job; clones share its connections.
#[derive(Clone, Debug)]
pub struct Client {
    client: reqwest::Client,
    auth: HttpAuth,
}

impl Client {
    /// `https` says whether certificates will be needed: without, a host that has no roots will do.
    pub fn new(https: bool, auth: &HttpAuth, tls: &Tls) -> Result<Self, HttpError> {
        // An error says that there is a provider already, which is what was asked for.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .user_agent(concat!("foreshock/", env!("CARGO_PKG_VERSION")))
            .tls_danger_accept_invalid_certs(tls.insecure_skip_verify);
        if !https {
            builder = builder.tls_certs_only([]);
        } else if let Some(path) = &tls.ca_file {
            let roots = Certificate::from_pem_bundle(&read(path)?).map_err(HttpError::Tls)?;
            builder = builder.tls_certs_merge(roots);
        }
        if let (true, Some(cert), Some(key)) = (https, &tls.cert_file, &tls.key_file) {
            let mut pem = read(cert)?;
            pem.push(b'\n');
            pem.extend(read(key)?);
            builder = builder.identity(Identity::from_pem(&pem).map_err(HttpError::Tls)?);
        }
        let client = builder.build().map_err(HttpError::Tls)?;
        Ok(Client { client, auth: auth.clone() })
    }

    /// A request with credentials on it.
    pub fn request(&self, method: Method, url: Url) -> RequestBuilder {
        let request = self.client.request(method, url).header(ACCEPT_ENCODING, "gzip");
        match &self.auth {
            HttpAuth::None => request,
            HttpAuth::Basic { user, password } => request.basic_auth(user, Some(password.expose_secret())),
            HttpAuth::Bearer(token) => request.bearer_auth(token.expose_secret()),
        }
    }
}

/// Sends `request` and reads the whole answer; `bytes_max` bounds it both on the wire and unpacked.
pub async fn fetch(request: RequestBuilder, timeout: Duration, bytes_max: usize) -> Result<Reply, HttpError> {
    let answer = async {
        let mut response = request.send().await.map_err(|error| HttpError::Send(error.without_url()))?;
        let gzip = header(response.headers(), CONTENT_ENCODING.as_str()).eq_ignore_ascii_case("gzip");
        let content_type = header(response.headers(), CONTENT_TYPE.as_str()).to_owned();
        let mut body = Vec::new();
        while let Some(chunk) =
            response.chunk().await.map_err(|error| HttpError::Send(error.without_url()))?
        {
            if body.len() + chunk.len() > bytes_max {
                return Err(HttpError::TooLarge { bytes_max });
            }
            body.extend_from_slice(&chunk);
        }
        if gzip {
            body = gunzip(&body, bytes_max)?;
        }
        Ok(Reply { status: response.status().as_u16(), content_type, body })
    };
    tokio::time::timeout(timeout, answer).await.unwrap_or(Err(HttpError::Timeout(timeout)))
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
}

fn read(path: &Path) -> Result<Vec<u8>, HttpError> {
    std::fs::read(path).map_err(|error| HttpError::File { path: path.into(), error })
}

fn gunzip(packed: &[u8], bytes_max: usize) -> Result<Vec<u8>, HttpError> {
    let mut body = Vec::new();
    let mut unpacked = MultiGzDecoder::new(packed).take(bytes_max as u64 + 1);
    unpacked.read_to_end(&mut body).map_err(|_| HttpError::Gzip)?;
    if body.len() > bytes_max { Err(HttpError::TooLarge { bytes_max }) } else { Ok(body) }
}

#[cfg(test)]
mod tests;
