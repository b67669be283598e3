//! Bars that anyone sends to the intake: checked, and put onto the bus as batches of their timeframe.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::FutureExt as _;
use runtime::bus::{Message, Subscription};
use runtime::clock;
use runtime::dead_letter::{DeadLetter, rejected_by_codec};
use runtime::line::Surroundings;
use runtime::outlet::{BusOutlet, Outlet as _, Tagged};
use schemas::subject::Namespace;
use schemas::{BarBatch, CodecError, EventTime, IntakeBar, Timeframe};
use tokio::time::Instant;
use tracing::{info, warn};

use super::driver::{DriverError, report_rejections};
use crate::{Normaliser, RawBar, Step};

const SERVICE: &str = "ingest";
const SOURCE: &str = "nats";
/// Messages that may wait here; two minutes of the whole market.
const WAITING_MAX: usize = 32_768;
/// Messages of one turn.
const TURN_MAX: usize = 4096;
/// A minute bar may come so much later than a newer one of another symbol.
const ALLOWED_LATENESS: Duration = Duration::from_mins(2);
/// When nothing came for so long, everything up to the newest minute is there.
const QUIET: Duration = Duration::from_mins(1);
/// How far a clock may be ahead of ours. One bar of next year would end every session until then.
const AHEAD_MAX: Duration = Duration::from_hours(24);

/// Publishes what comes in until shutdown is requested. Minute bars get watermarks: two minutes behind the newest, and the
/// newest itself once nothing came for a minute.
///
/// `epoch` names the run and must be another one each time; the one after it is used as well.
///
/// # Errors
/// When the bus fails for good.
pub async fn take_in(namespace: Namespace, epoch: u64, surroundings: &Surroundings) -> Result<(), DriverError> {
    let Surroundings { bus, shutdown, metrics, health } = surroundings;
    let mut subscription = bus.subscribe(&namespace.intake(), WAITING_MAX).await?;
    let mut outlet = BusOutlet::new(bus.clone(), namespace.clone());
    let mut intake = Intake::new(epoch);
    let mut batches = Vec::new();
    let mut losses = Losses::default();
    info!(subject = namespace.intake(), "taking in bars");
    health.set_ready();
    loop {
        let quiet_at = intake.newest_arrival.map(|arrival| arrival + QUIET);
        let messages = tokio::select! {
            biased;
            () = shutdown.requested() => return Ok(()),
            message = subscription.next() => match message {
                Some(message) => waiting(message, &mut subscription),
                None => return Ok(()),
            },
            () = tokio::time::sleep_until(quiet_at.unwrap_or_else(Instant::now)), if quiet_at.is_some() => Vec::new(),
        };
        losses.report(&subscription, surroundings);
        let now = clock::now_ns();
        let refused = if messages.is_empty() {
            intake.on_quiet(now, &mut batches);
            Vec::new()
        } else {
            metrics.add_rows_in(messages.len());
            intake.on_messages(messages, now, &mut batches)
        };
        for (message, error) in refused {
            let rejected = &rejected_by_codec(&error);
            metrics.add_rejected(rejected.reason, 1);
            warn!(subject = message.subject, detail = rejected.detail, "bar refused");
            let Message { subject, payload } = &message;
            let letter = DeadLetter { service: SERVICE, subject, sequence: None, rejected, payload };
            letter.publish(bus, &namespace).await?;
        }
        for (timeframe, normaliser) in &intake.normalisers {
            report_rejections(normaliser, intake.reported.entry(*timeframe).or_default(), surroundings);
        }
        if let Some(newest) = intake.newest {
            metrics.set_event_lag(newest, now);
        }
        let outputs = batches.drain(..).map(|output| Tagged { output, input_sequence: None }).collect();
        metrics.add_rows_out(outlet.deliver(outputs).await?);
    }
}

/// What came with a message, without waiting for more.
fn waiting(first: Message, subscription: &mut Subscription) -> Vec<Message> {
    let mut messages = vec![first];
    while messages.len() < TURN_MAX
        && let Some(Some(message)) = subscription.next().now_or_never()
    {
        messages.push(message);
    }
    messages
}

/// What was lost before it came here.
#[derive(Default)]
struct Losses {
    dropped: u64,
    disconnects: u64,
}

impl Losses {
    fn report(&mut self, subscription: &Subscription, surroundings: &Surroundings) {
        let (dropped, disconnects) = (subscription.dropped(), subscription.disconnects());
        if dropped > self.dropped {
            let n_bars = usize::try_from(dropped - self.dropped).unwrap_or(usize::MAX);
            surroundings.metrics.add_rejected("intake_overflow", n_bars);
            warn!(n_bars, "bars came faster than they could be taken in, and were lost");
        }
        if disconnects > self.disconnects {
            warn!("the connection was away: bars sent meanwhile are lost");
        }
        (self.dropped, self.disconnects) = (dropped, disconnects);
    }
}

/// Everything but the waiting.
struct Intake {
    normalisers: BTreeMap<Timeframe, Normaliser>,
    reported: BTreeMap<Timeframe, BTreeMap<&'static str, u64>>,
    /// Of the minute bars.
    newest: Option<EventTime>,
    /// `None` once the watermark has reached the newest.
    newest_arrival: Option<Instant>,
}

impl Intake {
    fn new(epoch: u64) -> Self {
        let normaliser = |timeframe, epoch| (timeframe, Normaliser::new(timeframe, SOURCE, epoch));
        Self {
            // Another run each: daily bars that come as such are numbered apart from those that minutes make.
            normalisers: [normaliser(Timeframe::M1, epoch), normaliser(Timeframe::D1, epoch + 1)].into(),
            reported: BTreeMap::new(),
            newest: None,
            newest_arrival: None,
        }
    }

    /// Appends batches; returns what was refused.
    fn on_messages(
        &mut self,
        messages: Vec<Message>,
        now: EventTime,
        batches: &mut Vec<BarBatch>,
    ) -> Vec<(Message, CodecError)> {
        let mut refused = Vec::new();
        let mut bars: BTreeMap<Timeframe, Vec<RawBar>> = BTreeMap::new();
        for message in messages {
            match IntakeBar::decode(&message.payload).and_then(|bar| not_ahead(bar, now)) {
                Ok(IntakeBar { symbol, timeframe, bar }) => {
                    bars.entry(timeframe).or_default().push(RawBar::of(symbol, &bar));
                }
                Err(error) => refused.push((message, error)),
            }
        }
        for (timeframe, bars) in bars {
            let mut watermark = None;
            if timeframe == Timeframe::M1 {
                self.newest = bars.iter().map(|bar| bar.open_time).max().max(self.newest);
                self.newest_arrival = Some(Instant::now());
                watermark = self.newest.map(|newest| EventTime(newest.as_ns() - nanoseconds(ALLOWED_LATENESS)));
            }
            let step = Step { bars, watermark, wait: Duration::ZERO };
            self.normaliser(timeframe).on_step(&step, now, batches);
        }
        refused
    }

    fn on_quiet(&mut self, now: EventTime, batches: &mut Vec<BarBatch>) {
        self.newest_arrival = None;
        let step = Step { bars: Vec::new(), watermark: self.newest, wait: Duration::ZERO };
        self.normaliser(Timeframe::M1).on_step(&step, now, batches);
    }

    fn normaliser(&mut self, timeframe: Timeframe) -> &mut Normaliser {
        self.normalisers.get_mut(&timeframe).expect("the intake takes in two timeframes")
    }
}

fn not_ahead(bar: IntakeBar, now: EventTime) -> Result<IntakeBar, CodecError> {
    let open_time = bar.bar.open_time;
    if open_time.as_ns() > now.as_ns().saturating_add(nanoseconds(AHEAD_MAX)) {
        let reason = format!("{} of {} is more than a day ahead", open_time.display(Timeframe::M1), bar.symbol);
        return Err(CodecError::Invalid { field: "open_time_ns", reason });
    }
    Ok(bar)
}

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).expect("a day of nanoseconds fits")
}

#[cfg(test)]
mod tests {
    use schemas::Symbol;

    use super::*;

    const OPEN_NS: i64 = 1_767_623_400_000_000_000;
    const NOW: EventTime = EventTime(OPEN_NS + 600_000_000_000);

    fn message(json: String) -> Message {
        Message { subject: "technic.v1.in.bar.test".to_owned(), payload: json.into() }
    }

    /// `offset` in minutes from the open.
    fn bar(symbol: &str, offset: i64, timeframe: &str) -> Message {
        let open_time_ns = if timeframe == "1d" { OPEN_NS - OPEN_NS % 86_400_000_000_000 } else { OPEN_NS };
        let open_time_ns = open_time_ns + offset * 60_000_000_000;
        message(format!(
            r#"{{"symbol":"{symbol}","timeframe":"{timeframe}","open_time_ns":{open_time_ns},"open":1,"high":1,"low":1,"close":1,"volume":1}}"#
        ))
    }

    fn rows(batches: &[BarBatch]) -> Vec<(Timeframe, u64, Symbol)> {
        let rows = |batch: &BarBatch| -> Vec<_> {
            let (timeframe, epoch) = (batch.header().timeframe, batch.header().epoch);
            batch.rows().iter().map(|(symbol, _)| (timeframe, epoch, *symbol)).collect()
        };
        batches.iter().flat_map(rows).collect()
    }

    fn watermark(batches: &[BarBatch]) -> Option<i64> {
        let newest = batches.iter().filter_map(|batch| batch.header().watermark).max();
        newest.map(|watermark| (watermark.as_ns() - OPEN_NS) / 60_000_000_000)
    }

    #[tokio::test]
    async fn minutes_and_days_are_numbered_apart() {
        let mut batches = Vec::new();
        let messages = vec![bar("A", 0, "1m"), bar("A", 0, "1d"), bar("B", 0, "1m")];
        assert!(Intake::new(7).on_messages(messages, NOW, &mut batches).is_empty());
        let mut found = rows(&batches);
        found.sort_unstable();
        let [a, b] = ["A", "B"].map(|symbol| Symbol::new(symbol).unwrap());
        assert_eq!(found, [(Timeframe::M1, 7, a), (Timeframe::M1, 7, b), (Timeframe::D1, 8, a)]);
    }

    #[tokio::test]
    async fn the_watermark_trails_until_it_is_quiet() {
        let mut intake = Intake::new(7);
        let mut batches = Vec::new();
        intake.on_messages(vec![bar("A", 5, "1m")], NOW, &mut batches);
        assert_eq!(watermark(&batches), Some(3));
        assert!(intake.newest_arrival.is_some());
        batches.clear();
        intake.on_quiet(NOW, &mut batches);
        assert_eq!(watermark(&batches), Some(5));
        assert!(intake.newest_arrival.is_none());
    }

    #[tokio::test]
    async fn what_cannot_be_is_handed_back_and_the_rest_is_taken() {
        let mut batches = Vec::new();
        let messages = vec![message("?".to_owned()), bar("A", 5, "1m"), bar("B", 60 * 25, "1m")];
        let refused = Intake::new(7).on_messages(messages, NOW, &mut batches);
        assert_eq!(rows(&batches).len(), 1);
        let texts: Vec<String> = refused.iter().map(|(_, error)| error.to_string()).collect();
        assert_eq!(texts.len(), 2);
        assert!(texts[1].contains("2026-01-06T15:30:00Z of B is more than a day ahead"), "{texts:?}");
    }
}
