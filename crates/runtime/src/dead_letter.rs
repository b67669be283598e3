//! Messages that were refused, kept with the reason for a person to look at.

use bytes::Bytes;
use pipeline::Rejected;
use schemas::CodecError;
use schemas::subject::Namespace;

use crate::bus::{Bus, BusError, MESSAGE_ID_HEADER};
use crate::outlet::publish_with_retry;

/// Longest text of a reason in a header.
const DETAIL_CHARS_MAX: usize = 500;

/// A refused message.
#[derive(Debug, Clone, Copy)]
pub struct DeadLetter<'a> {
    /// Who refused it.
    pub service: &'a str,
    pub subject: &'a str,
    /// In its stream; `None` for one that came without a stream.
    pub sequence: Option<u64>,
    pub rejected: &'a Rejected,
    pub payload: &'a Bytes,
}

impl DeadLetter<'_> {
    /// Copies the message to the dead letters of the service.
    ///
    /// # Errors
    /// When the bus stays away.
    pub async fn publish(&self, bus: &Bus, namespace: &Namespace) -> Result<(), BusError> {
        let Self { service, subject, rejected, payload, .. } = *self;
        // One without a sequence is known by its content, so that the same rubbish fills no stream.
        let place = match self.sequence {
            Some(sequence) => sequence.to_string(),
            None => format!("{:08x}", crc32fast::hash(payload)),
        };
        let id = format!("dead:{service}:{subject}:{place}");
        let detail: String = rejected.detail.chars().filter(|c| !c.is_control()).take(DETAIL_CHARS_MAX).collect();
        let sequence = self.sequence.map(|sequence| sequence.to_string());
        let mut headers = vec![
            (MESSAGE_ID_HEADER, id.as_str()),
            ("Technic-Reason", rejected.reason),
            ("Technic-Detail", detail.as_str()),
            ("Technic-Subject", subject),
        ];
        headers.extend(sequence.as_deref().map(|sequence| ("Technic-Sequence", sequence)));
        let dead = namespace.dead(service);
        match publish_with_retry(bus, &dead, &headers, payload.clone()).await {
            // The headers tipped it over the limit: a message of a stream is still there, under the sequence named here.
            Err(BusError::TooLarge { .. }) => publish_with_retry(bus, &dead, &headers, Bytes::new()).await,
            other => other,
        }
    }
}

/// What a message is refused for that cannot be decoded: the error and what is behind it.
pub fn rejected_by_codec(error: &CodecError) -> Rejected {
    let mut detail = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        detail = format!("{detail}: {cause}");
        source = cause.source();
    }
    Rejected::new(error.reason(), detail)
}
