//! Standard Webhooks, version 1: by which a receiver knows that a request is ours, whole and fresh.
//!
//! `webhook-signature` is a list, one entry a secret, so that a receiver can change secrets without a gap:
//! `v1,` + base64 of HMAC-SHA256 over `id.timestamp.body`. Secrets are `whsec_` + base64 of 24 to 64 bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sha2::Sha256;

/// What is wrong with a secret; never the secret itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    #[error("a signing secret is missing")]
    Missing,
    #[error("a signing secret starts with `whsec_`")]
    Prefix,
    #[error("what follows `whsec_` is base64")]
    Base64,
    #[error("a signing secret holds 24 to 64 bytes, this one {0}")]
    Length(usize),
}

#[derive(Debug)]
pub struct Signer {
    keys: Vec<SecretSlice<u8>>,
}

impl Signer {
    /// `secrets` newest first; all of them sign.
    pub fn new(secrets: &[SecretString]) -> Result<Self, SecretError> {
        if secrets.is_empty() {
            return Err(SecretError::Missing);
        }
        let keys = secrets.iter().map(|secret| key_of(secret.expose_secret())).collect::<Result<_, _>>()?;
        Ok(Signer { keys })
    }

    /// The value of `webhook-signature`; `seconds` is that of `webhook-timestamp`.
    pub fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        let signatures = self.keys.iter().map(|key| {
            // cannot fail: HMAC takes keys of any length
            let mut mac = Hmac::<Sha256>::new_from_slice(key.expose_secret()).expect("a key");
            mac.update(format!("{id}.{seconds}.").as_bytes());
            mac.update(body);
            format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
        });
        signatures.collect::<Vec<_>>().join(" ")
    }
}

fn key_of(secret: &str) -> Result<SecretSlice<u8>, SecretError> {
    let text = secret.strip_prefix("whsec_").ok_or(SecretError::Prefix)?;
    let key = STANDARD.decode(text).map_err(|_| SecretError::Base64)?;
    match key.len() {
        24..=64 => Ok(key.into()),
        length => Err(SecretError::Length(length)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test vector that the Standard Webhooks libraries share.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn sign(secrets: &[&str]) -> Result<String, SecretError> {
        let secrets: Vec<SecretString> = secrets.iter().map(|s| SecretString::from(*s)).collect();
        let signer = Signer::new(&secrets)?;
        assert!(!format!("{signer:?}").contains("77"), "a key shows");
        Ok(signer.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#))
    }

    #[test]
    fn the_published_vector_passes() {
        assert_eq!(sign(&[SECRET]).unwrap(), SIGNATURE);
    }

    #[test]
    fn while_a_secret_rotates_both_sign() {
        let other = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let both = sign(&[other, SECRET]).unwrap();
        let list: Vec<&str> = both.split(' ').collect();
        assert_eq!(list.len(), 2);
        assert_eq!(list[1], SIGNATURE);
    }

    #[test]
    fn a_bad_secret_is_told_without_being_shown() {
        assert_eq!(sign(&[]), Err(SecretError::Missing));
        assert_eq!(sign(&["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]), Err(SecretError::Prefix));
        assert_eq!(sign(&["whsec_%%%"]), Err(SecretError::Base64));
        assert_eq!(sign(&["whsec_AAAA"]), Err(SecretError::Length(3)));
    }
}
