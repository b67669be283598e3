//! Between the bus and the parts of the publisher.

use std::convert::Infallible;

use runtime::bus::{Bus, BusError, ConsumerSpec, Start};
use runtime::outlet::{Outlet, Tagged};
use runtime::streams::PipelineStream;
use schemas::ResultV1;
use schemas::subject::Namespace;
use tracing::{info, warn};

use crate::{Hub, Update};

/// Results that are asked for at once.
const PULL_MAX: usize = 256;

/// Hands updates to the clients of this process.
#[derive(Debug, Clone)]
pub struct HubOutlet {
    hub: Hub,
}

impl HubOutlet {
    pub fn new(hub: Hub) -> Self {
        Self { hub }
    }
}

impl Outlet<Update> for HubOutlet {
    async fn deliver(&mut self, outputs: Vec<Tagged<Update>>) -> Result<usize, BusError> {
        let updates: Vec<Update> = outputs.into_iter().map(|tagged| tagged.output).collect();
        self.hub.apply(&updates);
        Ok(updates.len())
    }
}

/// For a stage that publishes nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoOutlet;

impl Outlet<Infallible> for NoOutlet {
    async fn deliver(&mut self, outputs: Vec<Tagged<Infallible>>) -> Result<usize, BusError> {
        Ok(outputs.len())
    }
}

/// Fills an empty board with the last result of every symbol, so that a restarted publisher answers with what was known
/// before the scores that are still in their stream.
///
/// # Errors
/// When the bus fails.
pub async fn seed(hub: &Hub, bus: &Bus, namespace: &Namespace) -> Result<(), BusError> {
    let stream = PipelineStream::Results.name(namespace);
    let state = bus.stream_state(&stream).await?;
    if state.messages == 0 {
        return Ok(());
    }
    let spec = ConsumerSpec {
        stream,
        durable: "publisher-seed".to_owned(),
        filter: namespace.results(),
        start: Start::LastPerSubject,
        batch_max: PULL_MAX,
    };
    let mut consumer = bus.consume(spec).await?;
    let mut n_results = 0_u64;
    loop {
        let delivery = consumer.next().await?;
        let restored = ResultV1::from_json(&delivery.payload).map_err(|error| error.to_string());
        match restored.and_then(|result| hub.restore_result(result).map_err(|rejected| rejected.to_string())) {
            Ok(()) => n_results += 1,
            Err(error) => warn!(error, subject = delivery.subject, "stored result not used"),
        }
        delivery.ack().await?;
        // The newest message of a stream is always the newest of its subject, so it is among those delivered.
        if delivery.sequence >= state.last_sequence {
            info!(n_results, "results restored");
            return consumer.end().await;
        }
    }
}
