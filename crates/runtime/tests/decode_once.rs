//! Two readers of a stream share what the first one decoded.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use runtime::bus::{Bus, Consumer, ConsumerSpec, Delivery, Start};
use runtime::decode_once::DecodeOnce;
use runtime::line::{Decode, Decoded};
use runtime::streams::PipelineStream;
use schemas::subject::{BatchKind, Namespace};
use schemas::{CodecError, Partition, Timeframe};

const NAMESPACE: Namespace = Namespace::Live;

fn subject() -> String {
    NAMESPACE.batch(BatchKind::Bar, Timeframe::D1, Partition::new(0).unwrap())
}

async fn reader(bus: &Bus, durable: &str) -> Consumer {
    let spec = ConsumerSpec {
        stream: PipelineStream::Batches(BatchKind::Bar).name(&NAMESPACE),
        durable: durable.to_owned(),
        filter: subject(),
        start: Start::All,
        batch_max: 8,
    };
    bus.consume(spec).await.unwrap()
}

#[tokio::test]
async fn each_message_is_decoded_once_for_both_readers_and_a_stranger_is_not_taken_for_it() {
    let n_decoded = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&n_decoded);
    let decode = move |delivery: &Delivery| -> Result<Decoded<Vec<u8>>, CodecError> {
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(Decoded { input: delivery.payload.to_vec(), n_rows: 1, place: None })
    };
    let one = DecodeOnce::new(decode);
    let other = one.clone();

    let bus_a = support::memory_bus(&NAMESPACE).await;
    let (mut first, mut second) = (reader(&bus_a, "a").await, reader(&bus_a, "b").await);
    for text in ["x", "y", "z"] {
        bus_a.publish(&subject(), None, text.into()).await.unwrap();
    }
    for text in ["x", "y", "z"] {
        let delivery = first.next().await.unwrap();
        assert_eq!(one.decode(&delivery).unwrap().input, text.as_bytes());
        delivery.ack().await.unwrap();
    }
    assert_eq!(n_decoded.load(Ordering::Relaxed), 3);
    for text in ["x", "y"] {
        let delivery = second.next().await.unwrap();
        assert_eq!(other.decode(&delivery).unwrap().input, text.as_bytes());
        delivery.ack().await.unwrap();
    }
    assert_eq!(n_decoded.load(Ordering::Relaxed), 3, "copies of what the first reader decoded");

    // The third message waits for the second reader. Another stream gives its number to something else.
    let bus_b = support::memory_bus(&NAMESPACE).await;
    for text in ["p", "q", "r"] {
        bus_b.publish(&subject(), None, text.into()).await.unwrap();
    }
    let mut stranger = reader(&bus_b, "a").await;
    for text in ["p", "q", "r"] {
        let delivery = stranger.next().await.unwrap();
        assert_eq!(other.decode(&delivery).unwrap().input, text.as_bytes());
        delivery.ack().await.unwrap();
    }
    assert_eq!(n_decoded.load(Ordering::Relaxed), 6);
}
