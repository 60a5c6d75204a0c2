//! Who may ask: one bearer token, compared in constant time.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::Response;
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::api::error::ApiError;
use crate::config::BearerToken;

/// The digest of the token asked for; `None` lets everyone in, which `config` allows on loopback only.
///
/// Digests are compared, so that the time taken says nothing about the token, its length included.
#[derive(Clone)]
pub struct Gate(Option<Arc<[u8; 32]>>);

impl Gate {
    pub fn new(token: Option<&BearerToken>) -> Self {
        Gate(token.map(|BearerToken(secret)| Arc::new(Sha256::digest(secret.expose_secret()).into())))
    }

    fn admits(&self, authorization: Option<&[u8]>) -> bool {
        let Some(want) = &self.0 else { return true };
        let Some((scheme, token)) = authorization.and_then(|value| value.split_at_checked(7)) else {
            return false;
        };
        let got: [u8; 32] = Sha256::digest(token.trim_ascii()).into();
        scheme.eq_ignore_ascii_case(b"bearer ") && bool::from(got.ct_eq(want.as_ref()))
    }
}

/// Lets a request through, or answers 401.
pub async fn check(State(gate): State<Gate>, request: Request, next: Next) -> Result<Response, ApiError> {
    let authorization = request.headers().get(AUTHORIZATION).map(|value| value.as_bytes());
    if gate.admits(authorization) { Ok(next.run(request).await) } else { Err(ApiError::Unauthorized) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_opens() {
        let gate = Gate::new(Some(&BearerToken("s3cret".into())));
        assert!(gate.admits(Some(b"Bearer s3cret")));
        assert!(gate.admits(Some(b"bearer s3cret")));
        for wrong in ["Bearer s3cre", "Bearer s3cret2", "Bearer ", "Basic s3cret", "s3cret", ""] {
            assert!(!gate.admits(Some(wrong.as_bytes())), "{wrong}");
        }
        assert!(!gate.admits(None));
    }

    #[test]
    fn without_a_token_everyone_is_let_in() {
        assert!(Gate::new(None).admits(None));
    }
}
