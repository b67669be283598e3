//! Who may use the publisher: API keys, of which only hashes are kept, and JSON Web Tokens.

mod jwt;

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::config::PublisherOptions;
use jwt::Tokens;

pub use jwt::{JwtOptions, JwtSecret};

/// The keys and tokens that are let in. Without any, everyone is.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    keys: Arc<[Key]>,
    tokens: Option<Tokens>,
}

/// Why somebody is not let in. Tells nothing that helps to guess a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused(pub &'static str);

/// Who a key belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub name: Arc<str>,
    /// Whether it may change something, not only look.
    pub is_admin: bool,
    /// How long from now on; `None`: as long as the server runs with this key.
    pub expires_in: Option<Duration>,
}

#[derive(Debug)]
struct Key {
    identity: Identity,
    hash: [u8; 32],
}

impl Keys {
    /// Everything that the options let in.
    ///
    /// # Errors
    /// Names the option at fault, without its secret.
    pub fn open(options: &PublisherOptions) -> Result<Self, String> {
        let keys = Self::parse(&options.keys).map_err(|error| format!("keys: {error}"))?;
        let tokens = options.jwt.open().map_err(|error| format!("jwt.{error}"))?;
        Ok(Self { tokens, ..keys })
    }

    /// Reads entries of the configuration: `<name>:<hash>` or `<name>:admin:<hash>`, the hash being the SHA-256 of the
    /// key in hexadecimal digits. A key is a long random text, so nothing slower than that is needed.
    ///
    /// # Errors
    /// Names the entry at fault, without its hash.
    pub fn parse<S: AsRef<str>>(entries: impl IntoIterator<Item = S>) -> Result<Self, String> {
        let mut keys: Vec<Key> = Vec::new();
        for entry in entries {
            let mut parts = entry.as_ref().split(':');
            let (name, middle, last) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
            let (is_admin, hash) = match (middle, last, parts.next()) {
                (Some(hash), None, None) => (false, hash),
                (Some("admin"), Some(hash), None) => (true, hash),
                _ => return Err(format!("entry `{name}` is neither `name:hash` nor `name:admin:hash`")),
            };
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
                return Err(format!("`{name}` is no name of letters, digits, `-`, `_` and `.`"));
            }
            let hash = sha256_of(hash).ok_or(format!("the hash of `{name}` is not 64 hexadecimal digits"))?;
            if keys.iter().any(|key| key.hash == hash || *key.identity.name == *name) {
                return Err(format!("`{name}` or its hash is there twice"));
            }
            keys.push(Key { identity: Identity { name: name.into(), is_admin, expires_in: None }, hash });
        }
        Ok(Self { keys: keys.into(), tokens: None })
    }

    /// Whether a key or a token is needed.
    pub fn are_required(&self) -> bool {
        !self.keys.is_empty() || self.tokens.is_some()
    }

    /// Whose key or token a text is. Keys are compared by their hashes, so the time it takes tells nothing about them.
    ///
    /// # Errors
    /// When it is neither.
    pub fn identify(&self, secret: &str) -> Result<Identity, Refused> {
        let hash: [u8; 32] = Sha256::digest(secret.as_bytes()).into();
        if let Some(key) = self.keys.iter().find(|key| key.hash == hash) {
            return Ok(key.identity.clone());
        }
        match &self.tokens {
            // A token has three parts.
            Some(tokens) if secret.matches('.').count() == 2 => tokens.identify(secret),
            Some(_) if self.keys.is_empty() => Err(Refused("this is no token")),
            _ => Err(Refused("the key is unknown")),
        }
    }

    /// The same for the value of an `Authorization` header, `Bearer <key>`.
    ///
    /// # Errors
    /// When it is something else, or the key is unknown.
    pub fn identify_bearer(&self, authorization: &str) -> Result<Identity, Refused> {
        match authorization.split_once(' ') {
            Some((scheme, secret)) if scheme.eq_ignore_ascii_case("bearer") => self.identify(secret.trim()),
            _ => Err(Refused("the header `authorization` is not `Bearer <key>`")),
        }
    }
}

fn sha256_of(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut hash = [0; 32];
    for (at, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..][..2], 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SHA-256 of `abc`, from FIPS 180-4.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    /// SHA-256 of the empty text.
    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_key_is_known_by_its_hash() {
        let keys = Keys::parse([format!("desk:{ABC}"), format!("ops:admin:{EMPTY}")]).unwrap();
        assert!(keys.are_required() && !Keys::default().are_required());
        let desk = Ok(Identity { name: "desk".into(), is_admin: false, expires_in: None });
        assert_eq!((keys.identify("abc"), keys.identify_bearer("bearer abc")), (desk.clone(), desk));
        assert!(keys.identify("").unwrap().is_admin);
        for refused in [keys.identify("abcd"), keys.identify_bearer("Basic abc"), keys.identify(ABC)] {
            assert!(refused.is_err(), "{refused:?}");
        }
    }

    #[test]
    fn a_faulty_entry_is_named_and_its_hash_is_not_repeated() {
        let twice = format!("b:{ABC}");
        for entry in ["desk", "desk:xyz", "desk:root:00", &format!(":{ABC}"), &format!("b:admin:{ABC}:1"), &twice] {
            let error = Keys::parse([&format!("a:{ABC}"), entry]).unwrap_err();
            assert!(!error.contains(ABC), "{error}");
        }
    }
}
