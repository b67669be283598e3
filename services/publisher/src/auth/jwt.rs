//! JSON Web Tokens: who somebody is, as an issuer signed it that shares a secret with this server.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::signature::{Error as Mismatch, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Validation, decode, decode_header};
use ring::hmac;
use serde::{Deserialize, Serialize};

use super::{Identity, Refused};

/// A shorter secret can be guessed from a single token (RFC 7518, 3.2).
const SECRET_BYTES_MIN: usize = 32;

/// How far the clock of the issuer may be from ours.
const LEEWAY: Duration = Duration::from_secs(5);

/// Longest name of somebody: it is kept with what they take of the limits.
const NAME_BYTES_MAX: usize = 64;

/// The scope of those who may change something.
const ADMIN_SCOPE: &str = "admin";

/// The section `publisher.jwt` of the configuration. Tokens are let in when there is a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JwtOptions {
    /// The secret that signs (HS256), 32 bytes at least. From the environment rather than from a file that others read.
    pub secret: Option<JwtSecret>,
    /// The file with the secret in it; a line break at its end does not count.
    pub secret_file: Option<PathBuf>,
    /// What a token has to name in `aud`.
    pub audience: String,
}

/// A secret, which nothing prints.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct JwtSecret(String);

/// Reads tokens.
#[derive(Clone)]
pub(super) struct Tokens(Arc<Reader>);

struct Reader {
    key: DecodingKey,
    validation: Validation,
}

/// What a token has to say. Whether it is there is checked after the signature is.
#[derive(Deserialize)]
struct Claims {
    sub: Option<String>,
    /// Seconds of Unix time.
    exp: Option<f64>,
    /// Words, with spaces between them.
    scope: Option<String>,
}

impl JwtOptions {
    pub(crate) fn is_on(&self) -> bool {
        self.secret.is_some() || self.secret_file.is_some()
    }

    /// What reads the tokens; `None` when there is no secret.
    pub(super) fn open(&self) -> Result<Option<Tokens>, String> {
        let (place, secret) = match (&self.secret, &self.secret_file) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => return Err("secret_file: `secret` is there, too".to_owned()),
            (Some(secret), None) => ("secret", secret.0.clone().into_bytes()),
            (None, Some(path)) => {
                let read = std::fs::read(path);
                let mut bytes = read.map_err(|error| format!("secret_file: `{}`: {error}", path.display()))?;
                bytes.truncate(bytes.trim_ascii_end().len());
                ("secret_file", bytes)
            }
        };
        if secret.len() < SECRET_BYTES_MIN {
            return Err(format!("{place}: it has {} bytes, {SECRET_BYTES_MIN} are needed", secret.len()));
        }
        if self.audience.is_empty() {
            return Err("audience: it is empty".to_owned());
        }
        // Another part of the process may have been here before, with the same provider.
        PROVIDER.install_default().ok();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = LEEWAY.as_secs();
        validation.validate_nbf = true;
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["exp", "aud", "sub"]);
        Ok(Some(Tokens(Arc::new(Reader { key: DecodingKey::from_secret(&secret), validation }))))
    }
}

impl Tokens {
    /// Whose token it is.
    pub(super) fn identify(&self, token: &str) -> Result<Identity, Refused> {
        // An algorithm that the crate does not know, such as `none`, makes the header malformed.
        let malformed = Refused("the token is malformed, or not signed with HS256");
        let header = decode_header(token).map_err(|_| malformed)?;
        if header.alg != Algorithm::HS256 {
            return Err(Refused("the token is not signed with HS256"));
        }
        let claims: Claims = decode(token, &self.0.key, &self.0.validation).map_err(|error| refused(&error))?.claims;
        let (Some(name), Some(exp)) = (claims.sub, claims.exp) else {
            return Err(Refused("the token has no `sub` or no `exp`"));
        };
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
            return Err(Refused("the `sub` of the token is no name of 1 to 64 bytes"));
        }
        let left = exp - jsonwebtoken::get_current_timestamp() as f64 + LEEWAY.as_secs_f64();
        // Who is let in for longer than that need not be timed.
        let left = Duration::try_from_secs_f64(left.max(0.0)).unwrap_or(Duration::MAX);
        let is_admin = claims.scope.is_some_and(|scope| scope.split(' ').any(|word| word == ADMIN_SCOPE));
        Ok(Identity { name: name.into(), is_admin, expires_in: Some(left) })
    }
}

/// Why a token is not let in, in words that tell nothing about the secret.
fn refused(error: &Error) -> Refused {
    Refused(match error.kind() {
        ErrorKind::InvalidSignature => "the signature of the token is wrong",
        ErrorKind::ExpiredSignature => "the token has expired",
        ErrorKind::ImmatureSignature => "the token is not valid yet",
        ErrorKind::InvalidAudience => "the token is for another audience",
        ErrorKind::MissingRequiredClaim(claim) => match claim.as_str() {
            "exp" => "the token has no `exp`",
            "aud" => "the token has no `aud`",
            _ => "the token has no `sub`",
        },
        ErrorKind::InvalidAlgorithm
        | ErrorKind::InvalidAlgorithmName
        | ErrorKind::MissingAlgorithm
        | ErrorKind::UnsupportedAlgorithm => "the token is not signed with HS256",
        _ => "the token is malformed",
    })
}

/// HS256 by ring, which is here for other reasons; the crate's own choices would bring a second cryptography.
static PROVIDER: CryptoProvider =
    CryptoProvider { signer_factory: no_signer, verifier_factory: hs256, key_utils: KeyUtils::new_unimplemented() };

struct Hs256(hmac::Key);

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the library gives it like this")]
fn no_signer(_: &Algorithm, _: &EncodingKey) -> Result<Box<dyn JwtSigner>, Error> {
    Err(ErrorKind::UnsupportedAlgorithm.into())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the library gives it like this")]
fn hs256(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    match algorithm {
        Algorithm::HS256 => Ok(Box::new(Hs256(hmac::Key::new(hmac::HMAC_SHA256, key.try_get_as_bytes()?)))),
        _ => Err(ErrorKind::UnsupportedAlgorithm.into()),
    }
}

impl Verifier<Vec<u8>> for Hs256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), Mismatch> {
        hmac::verify(&self.0, message, signature).map_err(|_| Mismatch::new())
    }
}

impl JwtVerifier for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl Default for JwtOptions {
    fn default() -> Self {
        Self { secret: None, secret_file: None, audience: "technic".to_owned() }
    }
}

impl JwtSecret {
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }
}

impl fmt::Debug for JwtSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for JwtSecret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens")
    }
}
