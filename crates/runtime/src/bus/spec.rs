//! What is asked of the bus, and what it answers: plain values.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;

use super::BusError;

/// The name of the header that carries the message id a stream removes duplicates by.
pub const MESSAGE_ID_HEADER: &str = "Nats-Msg-Id";

/// Which bus to use.
#[derive(Clone, PartialEq, Eq)]
pub enum BusKind {
    /// In this process: no server, nothing survives it.
    Memory,
    /// A `nats-server` started and stopped by this process; durable on one machine.
    NatsChild,
    /// A server that runs elsewhere.
    Nats {
        /// Its address, possibly with credentials: print the kind instead.
        url: String,
    },
}

impl FromStr for BusKind {
    type Err = BusError;

    fn from_str(value: &str) -> Result<Self, BusError> {
        let has_host = |rest: &str| !rest.is_empty() && !rest.starts_with([':', '/']);
        match value {
            "memory" => Ok(Self::Memory),
            "nats-child" => Ok(Self::NatsChild),
            url if ["nats://", "tls://"].iter().any(|scheme| url.strip_prefix(scheme).is_some_and(has_host)) => {
                Ok(Self::Nats { url: url.to_owned() })
            }
            _ => Err(BusError::UnknownKind { value: value.to_owned() }),
        }
    }
}

impl fmt::Display for BusKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory"),
            Self::NatsChild => f.write_str("nats-child"),
            Self::Nats { url } => f.write_str(&without_credentials(url)),
        }
    }
}

impl fmt::Debug for BusKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An address as it may appear in logs and errors.
pub(super) fn without_credentials(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => {
            format!("{}://***@{}", &url[..scheme], &url[at + 1..])
        }
        _ => url.to_owned(),
    }
}

/// How to connect.
#[derive(Clone, Debug)]
pub struct BusOptions {
    /// Which bus.
    pub kind: BusKind,
    /// The data folder; a `nats-child` keeps its store in `<data_dir>/nats`.
    pub data_dir: PathBuf,
    /// The binary a `nats-child` runs, from `$NATS_SERVER`; `None` looks on PATH and in the tools folder.
    pub nats_server: Option<PathBuf>,
    /// The name the server's monitoring shows for this connection.
    pub client_name: String,
    /// How long a publish or a request waits for the server before it fails.
    pub publish_timeout: Duration,
    /// How many messages the slowest consumer of a stream may be behind before publishers wait.
    pub lead_max: u64,
}

/// Where a stream is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// On disk: survives a restart of the server.
    File,
    /// In the server's memory: lost when the server restarts.
    Memory,
}

/// One durable log on the bus (a `JetStream` stream).
#[derive(Clone, Debug)]
pub struct StreamSpec {
    /// Its name, by convention in capitals.
    pub name: String,
    /// The subjects it takes, wildcards allowed; no two streams may overlap.
    pub subjects: Vec<String>,
    /// Where it is kept.
    pub storage: Storage,
    /// Older messages are discarded.
    pub max_age: Option<Duration>,
    /// The oldest messages are discarded beyond this size. A server reserves it at creation.
    pub max_bytes: Option<i64>,
    /// Keep only the newest message of each subject.
    pub last_per_subject: bool,
    /// How long a message id is remembered, at least 100 ms and at most `max_age`.
    pub duplicate_window: Duration,
}

/// Where a consumer starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the oldest message the stream still has.
    All,
    /// At this stream sequence, or the first after it.
    Sequence(u64),
    /// At the newest message of each subject, then everything that follows.
    LastPerSubject,
}

/// One reader of one stream.
#[derive(Clone, Debug)]
pub struct ConsumerSpec {
    /// The stream to read.
    pub stream: String,
    /// The reader's name. Consuming under a name ends whoever consumed under it before.
    pub durable: String,
    /// The subjects to read: a single filter, because several over many subjects crawl on a server.
    pub filter: String,
    /// Where to start.
    pub start: Start,
    /// How many messages are requested from the server at once, at least 2.
    pub batch_max: usize,
}

/// A stream's confirmation that it keeps a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishAck {
    /// The sequence of the message in its stream.
    pub sequence: u64,
    /// The stream had a message with this id already, at `sequence`.
    pub duplicate: bool,
}

/// One message as a stream keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The subject it was published on.
    pub subject: String,
    /// Its sequence in the stream.
    pub sequence: u64,
    /// Its content.
    pub payload: Bytes,
    /// The id duplicates are recognised by.
    pub message_id: Option<String>,
    /// All other headers.
    pub headers: Vec<(String, String)>,
}

/// One message of a core subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The subject it was published on.
    pub subject: String,
    /// Its content.
    pub payload: Bytes,
}

/// The extent of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamState {
    /// The oldest sequence still there; one past `last_sequence` when the stream is empty.
    pub first_sequence: u64,
    /// The newest sequence ever given out; 0 before the first message.
    pub last_sequence: u64,
    /// How many messages it holds.
    pub messages: u64,
    /// How many bytes they take.
    pub bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_read_from_text_and_errors_name_the_value() {
        assert_eq!("memory".parse::<BusKind>().unwrap(), BusKind::Memory);
        assert_eq!("nats-child".parse::<BusKind>().unwrap(), BusKind::NatsChild);
        for url in ["nats://localhost:4222", "tls://user:pw@example.org"] {
            assert!(matches!(url.parse().unwrap(), BusKind::Nats { .. }), "{url}");
        }
        for value in ["", "Memory", "localhost:4222", "nats://", "nats://:4222", "redis://x"] {
            let error = value.parse::<BusKind>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{value}`")), "{error}");
        }
    }

    #[test]
    fn credentials_are_never_printed() {
        let kind: BusKind = "nats://me:secret@host:4222".parse().unwrap();
        assert_eq!(format!("{kind} {kind:?}"), "nats://***@host:4222 nats://***@host:4222");
    }
}
