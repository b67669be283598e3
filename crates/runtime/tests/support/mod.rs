//! What the tests of the run loop start from.

use std::path::Path;
use std::time::Duration;

use runtime::bus::{Bus, BusKind, BusOptions};
use runtime::streams;
use schemas::subject::Namespace;

/// An in-process bus with the streams of the pipeline.
pub(crate) async fn memory_bus(namespace: &Namespace) -> Bus {
    let options = BusOptions {
        kind: BusKind::Memory,
        data_dir: Path::new("unused").to_owned(),
        nats_server: None,
        client_name: "test".to_owned(),
        publish_timeout: Duration::from_secs(1),
        lead_max: 4096,
    };
    let bus = Bus::connect(&options).await.unwrap();
    streams::ensure(&bus, namespace).await.unwrap();
    bus
}
