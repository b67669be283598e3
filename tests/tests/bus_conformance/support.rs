//! Buses to try, and what the cases ask of them.

use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use runtime::bus::{Bus, BusError, BusKind, BusOptions, Consumer, ConsumerSpec, Delivery, Start, Storage, StreamSpec};
use tempfile::TempDir;
use tests::nats::{NatsServer, binary};
use tokio::time::{Instant, timeout};

/// Nothing in here takes this long unless it hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// The lead the back-pressure cases run with.
pub(crate) const LEAD_MAX: u64 = 1000;

/// A bus and whatever has to live as long.
pub(crate) struct Backend {
    pub(crate) options: BusOptions,
    pub(crate) server: Option<NatsServer>,
    _data: TempDir,
}

impl Backend {
    pub(crate) fn memory() -> Self {
        Self::new(BusKind::Memory, None)
    }

    pub(crate) fn nats_child() -> Self {
        Self::new(BusKind::NatsChild, None)
    }

    pub(crate) fn nats() -> Self {
        let server = NatsServer::start().unwrap();
        Self::new(server.url().parse().unwrap(), Some(server))
    }

    pub(crate) fn new(kind: BusKind, server: Option<NatsServer>) -> Self {
        let data = tempfile::tempdir().unwrap();
        let nats_server = (kind == BusKind::NatsChild).then(|| binary().unwrap());
        Self {
            options: BusOptions {
                kind,
                data_dir: data.path().to_owned(),
                nats_server,
                client_name: "conformance".to_owned(),
                publish_timeout: Duration::from_secs(5),
                lead_max: LEAD_MAX,
            },
            server,
            _data: data,
        }
    }

    /// Takes the server away and brings it back, as a crash would.
    pub(crate) fn restart(&mut self, bus: &Bus) {
        match (bus, &mut self.server) {
            (Bus::Memory(bus), _) => bus.restart(),
            (Bus::Nats(_), Some(server)) => server.restart().unwrap(),
            (Bus::Nats(_), None) => {
                let pid = self.options.data_dir.join("nats/server.pid");
                let pid = std::fs::read_to_string(pid).unwrap();
                let status = Command::new("kill").args(["-9", pid.trim()]).status();
                assert!(status.unwrap().success());
            }
        }
    }
}

pub(crate) fn stream(name: &str, subjects: &str) -> StreamSpec {
    StreamSpec {
        name: name.to_owned(),
        subjects: vec![subjects.to_owned()],
        storage: Storage::File,
        max_age: None,
        max_bytes: None,
        last_per_subject: false,
        duplicate_window: Duration::from_mins(1),
    }
}

pub(crate) fn consumer_spec(durable: &str, filter: &str, start: Start) -> ConsumerSpec {
    ConsumerSpec {
        stream: "S".to_owned(),
        durable: durable.to_owned(),
        filter: filter.to_owned(),
        start,
        batch_max: 64,
    }
}

pub(crate) async fn consume(bus: &Bus, durable: &str, filter: &str, start: Start) -> Consumer {
    bus.consume(consumer_spec(durable, filter, start)).await.unwrap()
}

pub(crate) async fn publish(bus: &Bus, subject: &str, value: &str) {
    bus.publish(subject, None, Bytes::from(value.to_owned())).await.unwrap();
}

pub(crate) async fn publish_as(
    bus: &Bus,
    subject: &str,
    id: &str,
    value: &str,
) -> Result<runtime::bus::PublishAck, BusError> {
    bus.publish(subject, Some(id), Bytes::from(value.to_owned())).await
}

/// As a service does: the same message under the same id until the stream has it.
pub(crate) async fn publish_until_confirmed(bus: &Bus, id: &str, value: &str) {
    while let Err(error) = publish_as(bus, "t.a", id, value).await {
        assert!(error.is_transient(), "{error}");
    }
}

pub(crate) async fn next(consumer: &mut Consumer) -> Delivery {
    timeout(DEADLINE, consumer.next()).await.expect("no message came").unwrap()
}

pub(crate) fn text(delivery: &Delivery) -> &str {
    std::str::from_utf8(&delivery.payload).unwrap()
}

pub(crate) async fn take(consumer: &mut Consumer, n_messages: usize) -> Vec<String> {
    let mut texts = Vec::new();
    while texts.len() < n_messages {
        let delivery = next(consumer).await;
        delivery.ack().await.unwrap();
        texts.push(text(&delivery).to_owned());
    }
    texts
}

/// Reads on until all of these contents came, unanswered.
pub(crate) async fn until_all_came(consumer: &mut Consumer, expected: &[&str]) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    while !expected.iter().all(|text| texts.iter().any(|known| known == text)) {
        texts.push(text(&next(consumer).await).to_owned());
    }
    texts
}

pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    until_async(what, async || condition()).await;
}

pub(crate) async fn until_async(what: &str, condition: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition().await {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
