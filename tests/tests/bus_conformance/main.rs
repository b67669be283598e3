//! One suite for every bus: in memory, a NATS server of our own, a NATS server elsewhere.

#![allow(clippy::unwrap_used, reason = "every function in here is part of a test")]

mod nats_only;
mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use runtime::bus::{ACK_PENDING_MAX, Bus, BusError, MESSAGE_ID_HEADER, Start};
use tokio::time::{Instant, timeout};

use self::support::{
    Backend, DEADLINE, LEAD_MAX, consume, consumer_spec, next, publish, publish_as, publish_until_confirmed, stream,
    take, text, until, until_all_came, until_async,
};

/// A publisher that did not get through for this long is held back, or the machine is asleep.
const HELD_BACK: Duration = Duration::from_secs(1);

/// Above [`LEAD_MAX`] a NATS publisher may be this far ahead before it looks: the check is sampled.
const LEAD_SLACK: u64 = 512;

macro_rules! conformance {
    ($($case:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() { super::run(super::Backend::memory(), super::$case).await; })*
        }
        mod nats_child {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() { super::run(super::Backend::nats_child(), super::$case).await; })*
        }
        mod nats {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() { super::run(super::Backend::nats(), super::$case).await; })*
        }
    };
}

conformance!(
    wildcards_select_what_is_delivered,
    messages_of_a_subject_keep_their_order,
    an_acknowledged_message_does_not_come_again,
    more_messages_come_than_may_be_unanswered_at_once,
    a_message_dropped_unanswered_comes_again_to_the_next_consumer,
    a_negative_acknowledgement_brings_the_message_back,
    a_terminated_message_does_not_come_again,
    a_repeated_message_id_is_stored_once,
    the_last_value_per_subject_is_kept,
    replay_starts_at_a_sequence,
    a_start_at_the_last_value_per_subject_sees_each_subject_once,
    a_slow_subscriber_loses_messages_and_holds_nobody_up,
    subscribers_hear_stream_and_core_messages,
    a_publisher_waits_for_a_consumer_that_lags,
    a_payload_too_large_is_refused_before_it_is_sent,
    headers_travel_with_a_message,
    nobody_confirms_a_subject_without_a_stream,
    a_missing_stream_is_named,
    a_second_consumer_of_a_name_ends_the_first,
    a_closed_bus_says_so,
    a_restart_in_mid_stream_loses_nothing_and_keeps_the_order,
);

async fn run(mut backend: Backend, case: impl AsyncFnOnce(&Bus, &mut Backend)) {
    let bus = Bus::connect(&backend.options).await.unwrap();
    timeout(DEADLINE, case(&bus, &mut backend)).await.expect("the case hangs");
    timeout(DEADLINE, bus.close()).await.expect("closing hangs");
}

async fn wildcards_select_what_is_delivered(bus: &Bus, _: &mut Backend) {
    bus.ensure_stream(&stream("S", "t.>")).await.unwrap();
    let subjects = ["t.a.1", "t.a.2", "t.b.1", "t.a.1.x"];
    for subject in subjects {
        publish(bus, subject, subject).await;
    }
    for (filter, expected) in [
        ("t.a.1", &["t.a.1"][..]),
        ("t.*.1", &["t.a.1", "t.b.1"]),
        ("t.a.>", &["t.a.1", "t.a.2", "t.a.1.x"]),
        (">", &subjects),
    ] {
        let mut consumer = consume(bus, "c", filter, Start::All).await;
        let texts = take(&mut consumer, expected.len()).await;
        assert_eq!(texts, expected, "{filter}");
    }
    for subject in ["t..a", "t.*", "t.a b", ""] {
        let error = bus.publish(subject, None, Bytes::new()).await.unwrap_err();
        assert!(matches!(error, BusError::InvalidSubject { .. }), "{error}");
    }
}

async fn messages_of_a_subject_keep_their_order(bus: &Bus, _: &mut Backend) {
    const N_MESSAGES: usize = 200;
    bus.ensure_stream(&stream("S", "t.*")).await.unwrap();
    let publisher = async {
        for n in 0..N_MESSAGES {
            publish(bus, &format!("t.{}", n % 4), &n.to_string()).await;
        }
    };
    let reader = |part: usize| async move {
        let filter = format!("t.{part}");
        let mut consumer = consume(bus, &filter.replace('.', "-"), &filter, Start::All).await;
        let texts = take(&mut consumer, N_MESSAGES / 4).await;
        let expected: Vec<_> = (part..N_MESSAGES).step_by(4).map(|n| n.to_string()).collect();
        assert_eq!(texts, expected);
    };
    tokio::join!(publisher, reader(0), reader(1), reader(2), reader(3));
}

async fn an_acknowledged_message_does_not_come_again(bus: &Bus, backend: &mut Backend) {
    bus.ensure_stream(&stream("S", "t.*")).await.unwrap();
    let mut consumer = consume(bus, "c", "t.a", Start::All).await;
    publish(bus, "t.a", "1").await;
    publish(bus, "t.a", "2").await;
    let first = next(&mut consumer).await;
    assert_eq!((text(&first), first.delivered, first.sequence), ("1", 1, 1));
    first.ack().await.unwrap();
    let unanswered = next(&mut consumer).await;
    assert_eq!(text(&unanswered), "2");
    backend.restart(bus);
    // What comes after the restart starts with what was not acknowledged.
    let again = next(&mut consumer).await;
    assert_eq!((text(&again), again.sequence), ("2", 2));
    assert!(consumer.disconnects() > 0);
}

async fn more_messages_come_than_may_be_unanswered_at_once(bus: &Bus, _: &mut Backend) {
    let n_messages = ACK_PENDING_MAX * 3 / 2;
    bus.ensure_stream(&stream("S", "t.*")).await.unwrap();
    let mut consumer = consume(bus, "c", "t.a", Start::All).await;
    let publisher = async {
        for n in 0..n_messages {
            publish(bus, "t.a", &n.to_string()).await;
        }
    };
    let reader = take(&mut consumer, n_messages);
    let ((), texts) = tokio::join!(publisher, reader);
    assert!(texts.iter().enumerate().all(|(n, text)| *text == n.to_string()), "out of order");
}

async fn a_message_dropped_unanswered_comes_again_to_the_next_consumer(bus: &Bus, _: &mut Backend) {
    bus.ensure_stream(&stream("S", "t.*")).await.unwrap();
    publish(bus, "t.a", "1").await;
    let mut consumer = consume(bus, "c", "t.a", Start::All).await;
    drop(next(&mut consumer).await);
    drop(consumer);
    let mut consumer = consume(bus, "c", "t.a", Start::Sequence(1)).await;
    assert_eq!(text(&next(&mut consumer).await), "1");
}

async fn a_negative_acknowledgement_brings_the_message_back(bus: &Bus, _: &mut Backend) {
    bus.ensure_stream(&stream("S", "t.*")).await.unwrap();
    let mut consumer = consume(bus, "c", "t.a", Start::All).await;
    publish(bus, "t.a", "1").await;
    let asked = Instant::now();
    let delay = Duration::from_millis(50);
    next(&mut consumer).await.nak(delay).await.unwrap();
    let again = next(&mut consumer).await;
    assert_eq!((text(&again), again.delivered), ("1", 2));
    assert!(asked.elapsed() >= delay);
    again.nak(Duration::ZERO).await.unwrap();
    let again = next(&mut consumer).await;
    assert_eq!((text(&again), again.delivered), ("1", 3));
    again.ack().await.unwrap();
}

async fn a_terminated_message_does_not_come_again(bus: &Bus, backend: &mut Backend) {
    bus.ensure_stream(&stream("S", "t.*")).await.unwrap();
    let mut consumer = consume(bus, "c", "t.a", Start::All).await;
    for n in 1..=3 {
        publish(bus, "t.a", &n.to_string()).await;
    }
    let first = next(&mut consumer).await;
    next(&mut consumer).await.term().await.unwrap();
    // The terminated one lies behind an unanswered one, where delivery resumes.
    backend.restart(bus);
    let texts = until_all_came(&mut consumer, &["1", "3"]).await;
    assert!(!texts.contains(&"2".to_owned()), "{texts:?}");
    first.ack().await.unwrap();
    publish_until_confirmed(bus, "id", "4").await;
    let texts = until_all_came(&mut consumer, &["4"]).await;
    assert!(!texts.contains(&"2".to_owned()), "{texts:?}");
}

async fn a_repeated_message_id_is_stored_once(bus: &Bus, _: &mut Backend) {
    bus.ensure_stream(&stream("S", "t.*")).await.unwrap();
    let first = publish_as(bus, "t.a", "id-1", "one").await.unwrap();
    let again = publish_as(bus, "t.a", "id-1", "one").await.unwrap();
    let other = publish_as(bus, "t.a", "id-2", "two").await.unwrap();
    assert_eq!((first.sequence, first.duplicate), (1, false));
    assert_eq!((again.sequence, again.duplicate), (1, true));
    assert_eq!((other.sequence, other.duplicate), (2, false));
    let mut consumer = consume(bus, "c", ">", Start::All).await;
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.message_id.as_deref(), Some("id-1"));
    assert_eq!(text(&next(&mut consumer).await), "two");
    assert_eq!(bus.stream_state("S").await.unwrap().messages, 2);
}

async fn the_last_value_per_subject_is_kept(bus: &Bus, _: &mut Backend) {
    let mut spec = stream("S", "t.*");
    spec.last_per_subject = true;
    bus.ensure_stream(&spec).await.unwrap();
    assert_eq!(bus.last("S", "t.a").await.unwrap(), None);
    assert_eq!(bus.last_sequence("S", "t.a").await.unwrap(), 0);
    let empty = bus.stream_state("S").await.unwrap();
    assert_eq!((empty.first_sequence, empty.last_sequence), (1, 0));
    for (subject, value) in [("t.a", "1"), ("t.b", "2"), ("t.a", "3")] {
        publish(bus, subject, value).await;
    }
    let last = bus.last("S", "t.a").await.unwrap().unwrap();
    assert_eq!((&last.payload[..], last.sequence), (&b"3"[..], 3));
    assert_eq!(bus.last_sequence("S", "t.b").await.unwrap(), 2);
    assert_eq!(bus.last_sequence("S", "t.*").await.unwrap(), 3);
    let state = bus.stream_state("S").await.unwrap();
    assert_eq!((state.first_sequence, state.last_sequence, state.messages), (2, 3, 2));
    let mut consumer = consume(bus, "c", "t.*", Start::All).await;
    assert_eq!(take(&mut consumer, 2).await, ["2", "3"]);
    // What is overwritten before it is read is not delivered.
    publish(bus, "t.a", "4").await;
    publish(bus, "t.b", "5").await;
    let mut consumer = consume(bus, "c", "t.*", Start::Sequence(4)).await;
    assert_eq!(take(&mut consumer, 2).await, ["4", "5"]);
}

async fn replay_starts_at_a_sequence(bus: &Bus, _: &mut Backend) {
    bus.ensure_stream(&stream("S", "t.*")).await.unwrap();
    for n in 1..=6 {
        publish(bus, if n % 2 == 0 { "t.even" } else { "t.odd" }, &n.to_string()).await;
    }
    let mut consumer = consume(bus, "c", "t.even", Start::Sequence(3)).await;
    assert_eq!(take(&mut consumer, 2).await, ["4", "6"]);
    // A position past the end skips what comes before it.
    let mut consumer = consume(bus, "c", "t.even", Start::Sequence(8)).await;
    publish(bus, "t.even", "7").await;
    publish(bus, "t.even", "8").await;
    assert_eq!(take(&mut consumer, 1).await, ["8"]);
}

async fn a_start_at_the_last_value_per_subject_sees_each_subject_once(bus: &Bus, _: &mut Backend) {
    bus.ensure_stream(&stream("S", "t.*")).await.unwrap();
    for (subject, value) in [("t.a", "1"), ("t.b", "2"), ("t.c", "3"), ("t.a", "4")] {
        publish(bus, subject, value).await;
    }
    let mut consumer = consume(bus, "c", "t.*", Start::LastPerSubject).await;
    assert_eq!(take(&mut consumer, 3).await, ["2", "3", "4"]);
    publish(bus, "t.b", "5").await;
    assert_eq!(take(&mut consumer, 1).await, ["5"]);
}

async fn a_slow_subscriber_loses_messages_and_holds_nobody_up(bus: &Bus, _: &mut Backend) {
    const CAPACITY: usize = 10;
    const N_MESSAGES: u64 = 1000;
    let mut slow = bus.subscribe("t.>", CAPACITY).await.unwrap();
    let mut quick = bus.subscribe("t.a", 10_000).await.unwrap();
    for n in 0..N_MESSAGES {
        bus.publish_core("t.a", Bytes::from(n.to_string())).await.unwrap();
    }
    for n in 0..N_MESSAGES {
        assert_eq!(quick.next().await.unwrap().payload, n.to_string());
    }
    until("the slow one has lost the rest", || slow.dropped() == N_MESSAGES - CAPACITY as u64).await;
    for n in 0..CAPACITY {
        assert_eq!(slow.next().await.unwrap().payload, n.to_string(), "the oldest stay");
    }
    assert_eq!(quick.dropped(), 0);
}

async fn subscribers_hear_stream_and_core_messages(bus: &Bus, _: &mut Backend) {
    bus.ensure_stream(&stream("S", "t.*")).await.unwrap();
    let mut subscription = bus.subscribe("*.a", 10).await.unwrap();
    publish(bus, "t.a", "kept").await;
    bus.publish_core("x.a", Bytes::from("not kept")).await.unwrap();
    bus.publish_core("x.b", Bytes::from("elsewhere")).await.unwrap();
    bus.publish_core("t.a", Bytes::from("kept too")).await.unwrap();
    for (subject, value) in [("t.a", "kept"), ("x.a", "not kept"), ("t.a", "kept too")] {
        let message = subscription.next().await.unwrap();
        assert_eq!((message.subject.as_str(), &message.payload[..]), (subject, value.as_bytes()));
    }
    until_async("the stream has both", async || bus.stream_state("S").await.unwrap().messages == 2).await;
}

async fn a_publisher_waits_for_a_consumer_that_lags(bus: &Bus, _: &mut Backend) {
    bus.ensure_stream(&stream("S", "t.*")).await.unwrap();
    // Without a consumer nobody waits.
    for _ in 0..LEAD_MAX + 2 * LEAD_SLACK {
        publish(bus, "t.a", "before").await;
    }
    let start = Start::Sequence(bus.last_sequence("S", "t.a").await.unwrap() + 1);
    let mut consumer = consume(bus, "c", "t.a", start).await;
    let mut n_published = 0;
    let held_back = loop {
        let mut publishing = Box::pin(bus.publish("t.a", None, Bytes::from("x")));
        match timeout(HELD_BACK, &mut publishing).await {
            Ok(ack) => {
                ack.unwrap();
                n_published += 1;
            }
            Err(_) => break publishing,
        }
        assert!(n_published <= LEAD_MAX + LEAD_SLACK, "nobody holds the publisher back");
    };
    assert!(n_published >= LEAD_MAX - LEAD_SLACK, "held back after {n_published}");
    let reader = async {
        for _ in 0..n_published {
            next(&mut consumer).await.ack().await.unwrap();
        }
    };
    let (ack, ()) = tokio::join!(held_back, reader);
    ack.unwrap();
}

async fn a_payload_too_large_is_refused_before_it_is_sent(bus: &Bus, _: &mut Backend) {
    bus.ensure_stream(&stream("S", "t.*")).await.unwrap();
    let limit = 1 << 20;
    let payload = Bytes::from(vec![0; limit + 1]);
    for error in [
        bus.publish("t.a", None, payload.clone()).await.unwrap_err(),
        bus.publish_core("t.a", payload.clone()).await.unwrap_err(),
    ] {
        let BusError::TooLarge { bytes, max } = error else { panic!("{error}") };
        assert_eq!((bytes, max), (limit + 1, limit));
    }
    bus.publish("t.a", None, payload.slice(1..)).await.unwrap();
    assert!(bus.is_connected());
}

async fn headers_travel_with_a_message(bus: &Bus, _: &mut Backend) {
    bus.ensure_stream(&stream("S", "t.*")).await.unwrap();
    let headers = [("reason", "bad\nrow"), (MESSAGE_ID_HEADER, "id-1")];
    bus.publish_with_headers("t.a", &headers, Bytes::from("x")).await.unwrap();
    let last = bus.last("S", "t.a").await.unwrap().unwrap();
    let mut consumer = consume(bus, "c", "t.a", Start::All).await;
    let delivery = next(&mut consumer).await;
    let expected = vec![("reason".to_owned(), "bad row".to_owned())];
    assert_eq!((&last.headers, last.message_id.as_deref()), (&expected, Some("id-1")));
    assert_eq!((&delivery.headers, delivery.message_id.as_deref()), (&expected, Some("id-1")));
    let again = bus.publish_with_headers("t.a", &headers, Bytes::from("x")).await.unwrap();
    assert!(again.duplicate);
}

async fn nobody_confirms_a_subject_without_a_stream(bus: &Bus, _: &mut Backend) {
    let error = bus.publish("t.a", None, Bytes::new()).await.unwrap_err();
    assert!(matches!(&error, BusError::NoStream { subject } if subject == "t.a"), "{error}");
}

async fn a_missing_stream_is_named(bus: &Bus, _: &mut Backend) {
    let spec = consumer_spec("c", ">", Start::All);
    for error in [
        bus.consume(spec).await.unwrap_err(),
        bus.last("S", "t.a").await.unwrap_err(),
        bus.last_sequence("S", "t.a").await.unwrap_err(),
        bus.stream_state("S").await.unwrap_err(),
    ] {
        assert!(matches!(&error, BusError::StreamLost { stream } if stream == "S"), "{error}");
        assert!(error.needs_recovery());
    }
}

async fn a_second_consumer_of_a_name_ends_the_first(bus: &Bus, _: &mut Backend) {
    bus.ensure_stream(&stream("S", "t.*")).await.unwrap();
    publish(bus, "t.a", "1").await;
    let mut old = consume(bus, "c", "t.a", Start::All).await;
    assert_eq!(text(&next(&mut old).await), "1");
    let mut new = consume(bus, "c", "t.a", Start::All).await;
    let error = timeout(DEADLINE, old.next()).await.unwrap().unwrap_err();
    assert!(matches!(&error, BusError::ConsumerLost { durable, .. } if durable == "c"), "{error}");
    drop(old);
    publish(bus, "t.a", "2").await;
    assert_eq!(take(&mut new, 2).await, ["1", "2"]);
}

async fn a_closed_bus_says_so(bus: &Bus, _: &mut Backend) {
    bus.ensure_stream(&stream("S", "t.*")).await.unwrap();
    let mut consumer = consume(bus, "c", "t.a", Start::All).await;
    let mut subscription = bus.subscribe("t.a", 1).await.unwrap();
    let (error, message, ()) = tokio::join!(consumer.next(), subscription.next(), bus.clone().close());
    assert!(matches!(error.unwrap_err(), BusError::Closed));
    assert_eq!(message, None);
    let error = bus.publish("t.a", None, Bytes::new()).await.unwrap_err();
    assert!(matches!(error, BusError::Closed), "{error}");
}

async fn a_restart_in_mid_stream_loses_nothing_and_keeps_the_order(bus: &Bus, backend: &mut Backend) {
    const N_MESSAGES: u64 = 100;
    bus.ensure_stream(&stream("S", "t.*")).await.unwrap();
    let mut consumer = consume(bus, "c", "t.a", Start::All).await;
    let publisher = async {
        for n in 1..=N_MESSAGES {
            if n == N_MESSAGES / 2 {
                backend.restart(bus);
            }
            publish_until_confirmed(bus, &format!("id-{n}"), &n.to_string()).await;
        }
    };
    let reader = async {
        let mut seen = BTreeMap::new();
        let mut unanswered = Vec::new();
        while seen.len() < usize::try_from(N_MESSAGES).unwrap() {
            let delivery = next(&mut consumer).await;
            let newest = seen.last_key_value().map_or(0, |(sequence, _)| *sequence);
            if let Some(known) = seen.get(&delivery.sequence) {
                assert_eq!(known, &delivery.payload, "one sequence, two contents");
            } else {
                assert!(delivery.sequence > newest, "{} after {newest}", delivery.sequence);
                seen.insert(delivery.sequence, delivery.payload.clone());
            }
            // Some acknowledgements are late, as they are in a service that works in batches.
            unanswered.push(delivery);
            if unanswered.len() == 3 {
                for delivery in unanswered.drain(..) {
                    delivery.ack().await.unwrap();
                }
            }
        }
        let contents: Vec<_> = seen.into_values().collect();
        let expected: Vec<_> = (1..=N_MESSAGES).map(|n| Bytes::from(n.to_string())).collect();
        assert_eq!(contents, expected);
    };
    tokio::join!(publisher, reader);
}
