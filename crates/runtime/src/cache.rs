//! What several processes share besides the bus: named entries in Redis, each with its layout and a checksum.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ErrorKind, RedisError};

use crate::state_store::{SnapshotRefused, StoredState, decode, encode};

/// Nobody waits for the cache, so an answer may take a while; but a connection that says nothing is given up.
const CONNECT_MAX: Duration = Duration::from_secs(1);
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// The key `cache` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheKind {
    /// Each process keeps its own.
    Memory,
    Redis(RedisAddress),
}

/// `redis://[user:password@]host[:port][/database]`.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisAddress(String);

/// Why a text is no cache.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CacheKindError {
    #[error("expected `memory` or `redis://host:port`")]
    Unknown,
    // The text is not repeated: it may contain a password.
    #[error("this is no address such as `redis://host:6379/0`")]
    Address,
}

/// Why the cache did not do what it was asked for. Whoever uses it goes on without.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    #[error("the cache did not {what}")]
    Redis {
        what: &'static str,
        #[source]
        source: RedisError,
    },
    #[error("the cache did not {what} within {waited:?}")]
    Late { what: &'static str, waited: Duration },
    /// A value that is not of this program, or not of this version of it.
    #[error("`{field}` of the cached `{key}` is refused")]
    Refused {
        key: String,
        field: String,
        #[source]
        source: SnapshotRefused,
    },
}

/// A group of entries under one key, which lives as long as somebody renews it.
#[derive(Debug)]
pub struct SharedEntries {
    client: Client,
    key: String,
    layout: u64,
    ttl: Duration,
    /// `None` before the first use and after a failure.
    connection: Option<MultiplexedConnection>,
}

/// What a write changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Entries that were not there before.
    pub n_new: usize,
    pub n_bytes: usize,
}

impl SharedEntries {
    /// Connects at the first use. `layout` names the bytes of the entries: those of another one are refused.
    ///
    /// # Panics
    /// Never: the address was checked when it was parsed.
    pub fn new(address: &RedisAddress, key: String, layout: u64, ttl: Duration) -> Self {
        let client = Client::open(address.0.as_str()).expect("the address was checked when it was parsed");
        Self { client, key, layout, ttl, connection: None }
    }

    /// Every entry, by name; none when nothing is there.
    ///
    /// # Errors
    /// When the cache does not answer, or an entry is not one of ours. All are refused then: a part would look like the
    /// whole.
    pub async fn load(&mut self) -> Result<Vec<(String, Vec<u8>)>, CacheError> {
        let found: Vec<(Vec<u8>, Vec<u8>)> = self.ask("read", redis::cmd("HGETALL").arg(&self.key)).await?;
        let entry = |(name, bytes): (Vec<u8>, Vec<u8>)| {
            let name = String::from_utf8_lossy(&name).into_owned();
            match decode(&bytes, self.layout) {
                Ok(StoredState { bytes, .. }) => Ok((name, bytes)),
                Err(source) => Err(CacheError::Refused { key: self.key.clone(), field: name, source }),
            }
        };
        found.into_iter().map(entry).collect()
    }

    /// Replaces entries, all at once, and lets all of them live for another while.
    ///
    /// # Errors
    /// When the cache does not answer. It may have written or not.
    pub async fn save(&mut self, entries: &[(String, Vec<u8>)]) -> Result<Written, CacheError> {
        let ttl_ms = u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX);
        let mut command = redis::cmd("HSET");
        command.arg(&self.key);
        let mut n_bytes = 0;
        for (name, bytes) in entries {
            let bytes = encode(self.layout, 0, bytes);
            n_bytes += bytes.len();
            command.arg(name).arg(bytes);
        }
        let mut both = redis::pipe();
        both.atomic().add_command(command).cmd("PEXPIRE").arg(&self.key).arg(ttl_ms).ignore();
        let connection = self.connection("write").await?;
        let answered: Result<(usize,), RedisError> = both.query_async(connection).await;
        match answered {
            Ok((n_new,)) => Ok(Written { n_new, n_bytes }),
            Err(source) if source.kind() == ErrorKind::UnexpectedReturnType || is_wrong_type(&source) => {
                // Something else has our name: it makes room.
                self.connection = None;
                self.clear().await?;
                Err(CacheError::Redis { what: "write over a foreign value, which is gone now", source })
            }
            Err(source) => Err(self.failed("write", source)),
        }
    }

    /// Removes everything. Whether something was there.
    ///
    /// # Errors
    /// When the cache does not answer.
    pub async fn clear(&mut self) -> Result<bool, CacheError> {
        let n_removed: usize = self.ask("clear", redis::cmd("DEL").arg(&self.key)).await?;
        Ok(n_removed > 0)
    }

    pub fn key(&self) -> &str {
        &self.key
    }

    pub fn ttl(&self) -> Duration {
        self.ttl
    }

    async fn ask<T: redis::FromRedisValue>(
        &mut self,
        what: &'static str,
        command: &mut redis::Cmd,
    ) -> Result<T, CacheError> {
        let connection = self.connection(what).await?;
        let answered = command.query_async(connection).await;
        answered.map_err(|source| self.failed(what, source))
    }

    async fn connection(&mut self, what: &'static str) -> Result<&mut MultiplexedConnection, CacheError> {
        if let Some(connection) = self.connection.take() {
            return Ok(self.connection.insert(connection));
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_MAX))
            .set_response_timeout(Some(ANSWER_MAX));
        let connecting = self.client.get_multiplexed_async_connection_with_config(&config).await;
        Ok(self.connection.insert(connecting.map_err(|source| CacheError::Redis { what, source })?))
    }

    fn failed(&mut self, what: &'static str, source: RedisError) -> CacheError {
        // The next use begins anew.
        self.connection = None;
        CacheError::Redis { what, source }
    }
}

fn is_wrong_type(error: &RedisError) -> bool {
    error.code() == Some("WRONGTYPE") || error.to_string().contains("WRONGTYPE")
}

impl FromStr for CacheKind {
    type Err = CacheKindError;

    fn from_str(text: &str) -> Result<Self, CacheKindError> {
        if text == "memory" {
            return Ok(Self::Memory);
        }
        if !text.starts_with("redis://") {
            return Err(CacheKindError::Unknown);
        }
        match Client::open(text) {
            Ok(_) => Ok(Self::Redis(RedisAddress(text.to_owned()))),
            Err(_) => Err(CacheKindError::Address),
        }
    }
}

impl CacheKind {
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Redis(_) => "redis",
        }
    }
}

impl fmt::Debug for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("redis://***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_memory_or_an_address_and_no_password_is_shown() {
        assert_eq!("memory".parse(), Ok(CacheKind::Memory));
        for text in ["redis://h", "redis://:secret@h:1/2", "redis://[::1]:6379"] {
            let kind: CacheKind = text.parse().unwrap();
            assert_eq!((kind.as_str(), format!("{kind:?}").contains("secret")), ("redis", false), "{text}");
        }
        for text in ["", "Memory", "memcached://h", "rediss://h", "redis:"] {
            assert_eq!(text.parse::<CacheKind>(), Err(CacheKindError::Unknown), "{text}");
        }
        for text in ["redis://", "redis://h:port", "redis://h/x"] {
            assert_eq!(text.parse::<CacheKind>(), Err(CacheKindError::Address), "{text}");
        }
    }
}
