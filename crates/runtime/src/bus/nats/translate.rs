//! Between our words and those of the NATS client.

use async_nats::jetstream::{self, ErrorCode, stream};
use async_nats::{HeaderMap, HeaderName, HeaderValue};

use crate::bus::{BusError, MESSAGE_ID_HEADER, Storage, StreamSpec};

pub(super) fn stream_config(spec: &StreamSpec) -> stream::Config {
    stream::Config {
        name: spec.name.clone(),
        subjects: spec.subjects.clone(),
        storage: match spec.storage {
            Storage::File => stream::StorageType::File,
            Storage::Memory => stream::StorageType::Memory,
        },
        retention: stream::RetentionPolicy::Limits,
        discard: stream::DiscardPolicy::Old,
        max_age: spec.max_age.unwrap_or_default(),
        max_bytes: spec.max_bytes.unwrap_or(-1),
        max_messages: -1,
        max_messages_per_subject: if spec.last_per_subject { 1 } else { -1 },
        max_message_size: -1,
        max_consumers: -1,
        num_replicas: 1,
        duplicate_window: spec.duplicate_window,
        allow_direct: true,
        ..stream::Config::default()
    }
}

/// Where the server's stream is not the one asked for: field, asked, got. The number of replicas is the
/// operator's business.
pub(super) fn differences(
    spec: &StreamSpec,
    got: &stream::Config,
) -> impl Iterator<Item = (&'static str, String, String)> + use<> {
    let asked = stream_config(spec);
    [
        ("storage", format!("{:?}", asked.storage), format!("{:?}", got.storage)),
        ("subjects", format!("{:?}", asked.subjects), format!("{:?}", got.subjects)),
        ("retention", format!("{:?}", asked.retention), format!("{:?}", got.retention)),
        ("discard", format!("{:?}", asked.discard), format!("{:?}", got.discard)),
        ("max_age", format!("{:?}", asked.max_age), format!("{:?}", got.max_age)),
        ("max_bytes", asked.max_bytes.to_string(), got.max_bytes.to_string()),
        ("max_messages", asked.max_messages.to_string(), got.max_messages.to_string()),
        (
            "max_messages_per_subject",
            asked.max_messages_per_subject.to_string(),
            got.max_messages_per_subject.to_string(),
        ),
        ("duplicate_window", format!("{:?}", asked.duplicate_window), format!("{:?}", got.duplicate_window)),
    ]
    .into_iter()
    .filter(|(_, asked, got)| asked != got)
}

pub(super) fn config_mismatch(spec: &StreamSpec, (field, asked, got): (&'static str, String, String)) -> BusError {
    BusError::ConfigMismatch { stream: spec.name.clone(), field, asked, got }
}

/// The code of the `JetStream` error inside, if that is what it is.
pub(super) fn api_error(error: &BusError) -> Option<ErrorCode> {
    match error {
        BusError::Refused { source, .. } => source.downcast_ref::<jetstream::Error>().map(jetstream::Error::error_code),
        _ => None,
    }
}

pub(super) fn header_map(headers: &[(&str, &str)], what: &impl Fn() -> String) -> Result<HeaderMap, BusError> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name: HeaderName =
            name.parse().map_err(|error| BusError::Refused { what: what(), source: Box::new(error) })?;
        map.append(name, header_value(value, what)?);
    }
    Ok(map)
}

pub(super) fn header_value(value: &str, what: &impl Fn() -> String) -> Result<HeaderValue, BusError> {
    value.parse().map_err(|error| BusError::Refused { what: what(), source: Box::new(error) })
}

pub(super) fn split_headers(headers: Option<&HeaderMap>) -> (Option<String>, Vec<(String, String)>) {
    let Some(headers) = headers else {
        return (None, Vec::new());
    };
    let message_id = headers.get(MESSAGE_ID_HEADER).map(|id| id.as_str().to_owned());
    let mut others: Vec<(String, String)> = headers
        .iter()
        .filter(|(name, _)| name.as_ref() as &str != MESSAGE_ID_HEADER)
        .flat_map(|(name, values)| values.iter().map(move |value| (name.to_string(), value.as_str().to_owned())))
        .collect();
    others.sort_unstable();
    (message_id, others)
}
