//! Between the bus and the parts of the publisher.

use std::future::ready;

use runtime::bus::{Bus, BusError, ConsumerSpec, Start};
use runtime::outlet::{Outlet, Tagged};
use runtime::streams::PipelineStream;
use schemas::subject::Namespace;
use schemas::{Alert, Message as _, ResultV1};
use tracing::{info, warn};

use crate::{Hub, IndicatorUpdate, Update};

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
    fn deliver(
        &mut self,
        outputs: Vec<Tagged<Update>>,
    ) -> impl Future<Output = Result<usize, BusError>> + Send + use<> + 'static {
        let updates: Vec<Update> = outputs.into_iter().map(|tagged| tagged.output).collect();
        self.hub.apply(&updates);
        ready(Ok(updates.len()))
    }
}

impl Outlet<IndicatorUpdate> for HubOutlet {
    fn deliver(
        &mut self,
        outputs: Vec<Tagged<IndicatorUpdate>>,
    ) -> impl Future<Output = Result<usize, BusError>> + Send + use<> + 'static {
        let n_rows = outputs.len();
        self.hub.apply_bars(outputs.iter().map(|tagged| tagged.output.bar));
        self.hub.apply_indicators(outputs.into_iter().map(|tagged| tagged.output));
        ready(Ok(n_rows))
    }
}

/// Hands alerts to the clients of this process as they appear on the bus, until the bus fails. `replica` names this
/// publisher among others that read the same.
///
/// # Errors
/// When the bus fails.
pub async fn follow_alerts(hub: &Hub, bus: &Bus, namespace: &Namespace, replica: &str) -> Result<(), BusError> {
    let spec = ConsumerSpec {
        stream: PipelineStream::Alerts.name(namespace),
        durable: format!("publisher-alerts-{replica}"),
        filter: namespace.alerts(),
        start: Start::All,
        batch_max: PULL_MAX,
    };
    let mut consumer = bus.consume(spec).await?;
    loop {
        let delivery = consumer.next().await?;
        match Alert::decode(&delivery.payload) {
            Ok(alert) => hub.apply_alert(alert),
            Err(error) => warn!(%error, subject = delivery.subject, "alert not understood"),
        }
        delivery.ack().await?;
    }
}

/// Fills an empty board with the last result of every symbol, so that a restarted publisher answers with what was known
/// before the scores that are still in their stream.
///
/// # Errors
/// When the bus fails.
pub async fn seed(hub: &Hub, bus: &Bus, namespace: &Namespace, replica: &str) -> Result<(), BusError> {
    let stream = PipelineStream::Results.name(namespace);
    let state = bus.stream_state(&stream).await?;
    if state.messages == 0 {
        return Ok(());
    }
    let spec = ConsumerSpec {
        stream,
        durable: format!("publisher-seed-{replica}"),
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
