//! The codec over arbitrary messages and arbitrary bytes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use schemas::{
    Alert, AlertLevel, Bar, BarBatch, BarBatchBuilder, BarFlags, CodecError, EventTime, FeatureBatch, Header,
    Instrument, Message, ModelRef, PAYLOAD_BYTES_MAX, Partition, Plan, PredictionBatch, Predictions, ScoreBatch,
    Symbol, Timeframe,
};

fn symbol() -> impl Strategy<Value = Symbol> {
    "[!-~]{1,15}".prop_map(|text| Symbol::new(&text).unwrap())
}

fn header(partition: Partition) -> impl Strategy<Value = Header> {
    (any::<u64>(), any::<u64>(), any::<i64>(), any::<i64>(), ".{0,20}", any::<Option<i64>>(), 0_usize..5).prop_map(
        move |(epoch, seq, event, ingest, source, watermark, timeframe)| Header {
            timeframe: Timeframe::ALL[timeframe],
            partition,
            epoch,
            seq,
            event_time: EventTime(event),
            ingest_time: EventTime(ingest),
            source,
            watermark: watermark.map(EventTime),
        },
    )
}

fn bar() -> impl Strategy<Value = Bar> {
    (1e-6..1e6_f64, 0.0..0.5_f64, 0.0..=1.0_f64, 0.0..=1.0_f64, 0.0..1e12_f64, any::<i64>(), any::<u32>(), 0_u8..64)
        .prop_map(|(low, range, open, close, volume, time, revision, flags)| {
            let high = low * (1.0 + range);
            let within = |share: f64| (low + share * (high - low)).clamp(low, high);
            Bar {
                open_time: EventTime(time),
                open: within(open),
                high,
                low,
                close: within(close),
                volume,
                revision,
                flags: BarFlags::from_bits(flags).unwrap(),
            }
        })
}

fn bars() -> impl Strategy<Value = BarBatch> {
    (symbol(), prop::collection::vec(bar(), 0..20)).prop_flat_map(|(symbol, bars)| {
        header(Partition::of(symbol)).prop_map(move |header| {
            let mut builder = BarBatchBuilder::new(Partition::of(symbol));
            for &bar in &bars {
                builder.push(symbol, bar);
            }
            builder.finish(header)
        })
    })
}

fn features() -> impl Strategy<Value = FeatureBatch> {
    (bars(), 1_usize..5, any::<u64>(), any::<u64>()).prop_map(|(bars, n_columns, plan, seed)| {
        let matrix = (0..bars.len() * n_columns)
            .map(|at| if (seed >> (at % 64)) & 1 == 1 { f64::NAN } else { at as f64 / 3.0 })
            .collect();
        FeatureBatch::new(bars, plan, matrix).unwrap()
    })
}

fn predictions() -> impl Strategy<Value = PredictionBatch> {
    (features(), prop::option::of(-0.5..0.5_f64), prop::option::of(0.0..=1.0_f64)).prop_map(
        |(features, alpha_5d, win_prob_10d)| {
            let rows = vec![Predictions { alpha_5d, win_prob_10d, ..Predictions::default() }; features.bars().len()];
            let model = ModelRef { name: "m".to_owned(), version: "1".to_owned(), hash: "00".to_owned() };
            PredictionBatch::new(features, rows, vec![model]).unwrap()
        },
    )
}

/// Compared as bytes, because a missing value (NaN) does not equal itself.
fn round_trip<M: Message>(message: &M) -> Result<(), TestCaseError> {
    let payload = message.encode();
    let decoded = M::decode(&payload).map_err(|error| TestCaseError::fail(error.to_string()))?;
    prop_assert_eq!(decoded.encode(), payload);
    Ok(())
}

fn decode_everything(payload: &[u8]) {
    drop(BarBatch::decode(payload));
    drop(FeatureBatch::decode(payload));
    drop(PredictionBatch::decode(payload));
    drop(ScoreBatch::decode(payload));
    drop(Instrument::decode(payload));
    drop(Alert::decode(payload));
    drop(schemas::ResultV1::from_json(payload));
}

proptest! {
    #[test]
    fn messages_survive_the_round_trip(predictions in predictions()) {
        round_trip(predictions.features().bars())?;
        round_trip(predictions.features())?;
        round_trip(&predictions)?;
    }

    #[test]
    fn reference_data_and_alerts_survive_the_round_trip(
        symbol in symbol(),
        name in prop::option::of(".{0,30}"),
        shares in prop::option::of((1.0..1e12_f64, any::<i64>())),
        rule in "[a-z0-9_-]{1,64}",
    ) {
        round_trip(&Instrument {
            symbol,
            source: "test".to_owned(),
            name: name.as_ref().map(Into::into),
            exchange: None,
            sector: name.map(Into::into),
            industry: None,
            shares: shares.map(|(shares, known)| (shares, EventTime(known))),
            filings: Vec::new(),
            closes: Vec::new(),
        })?;
        round_trip(&Alert {
            rule,
            symbol,
            event_time: EventTime(1),
            level: AlertLevel::Warning,
            message: "text".to_owned(),
        })?;
    }

    #[test]
    fn arbitrary_bytes_never_panic(payload in prop::collection::vec(any::<u8>(), 0..400)) {
        decode_everything(&payload);
    }

    #[test]
    fn damaged_messages_never_panic(
        predictions in predictions(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        keep in any::<prop::sample::Index>(),
    ) {
        let mut payload = predictions.encode();
        for (at, byte) in damage {
            let at = at.index(payload.len());
            payload[at] = byte;
        }
        decode_everything(&payload);
        payload.truncate(keep.index(payload.len()));
        decode_everything(&payload);
    }
}

fn one_bar() -> BarBatch {
    let symbol = Symbol::new("BRK.B").unwrap();
    let mut builder = BarBatchBuilder::new(Partition::of(symbol));
    builder.push(
        symbol,
        Bar {
            open_time: EventTime::from_days(17_165),
            open: 10.0,
            high: 12.0,
            low: 9.0,
            close: 11.0,
            volume: 1000.0,
            revision: 0,
            flags: BarFlags::FINAL,
        },
    );
    builder.finish(Header {
        timeframe: Timeframe::D1,
        partition: Partition::of(symbol),
        epoch: 1,
        seq: 1,
        event_time: EventTime(0),
        ingest_time: EventTime(0),
        source: "test".to_owned(),
        watermark: None,
    })
}

#[test]
fn a_message_that_is_too_large_is_refused_before_it_is_read() {
    let error = BarBatch::decode(&vec![0; 10 << 20]).unwrap_err();
    assert!(matches!(error, CodecError::TooLarge { n_bytes } if n_bytes == 10 << 20 && n_bytes > PAYLOAD_BYTES_MAX));
}

/// A later version need not have any of our columns.
#[derive(serde::Serialize)]
struct Later {
    header: LaterHeader,
    everything: Vec<u8>,
}

#[derive(serde::Serialize)]
struct LaterHeader {
    schema: u16,
}

#[test]
fn an_unknown_version_is_named_even_when_its_shape_is_unknown() {
    let check = |change: &dyn Fn(&mut schemas::BarBatchV1)| {
        let mut wire = one_bar().to_wire();
        change(&mut wire);
        BarBatch::from_wire(wire).unwrap_err()
    };
    let error = check(&|wire| wire.header.schema = 2);
    assert_eq!(error.to_string(), "message schema version 2 is unknown, this build reads 1");

    let payload = rmp_serde::to_vec_named(&Later { header: LaterHeader { schema: 7 }, everything: vec![1] }).unwrap();
    let error = BarBatch::decode(&payload).unwrap_err();
    assert!(matches!(error, CodecError::UnknownSchema { found: 7 }), "{error}");
}

#[test]
fn readers_ignore_fields_that_they_do_not_know() {
    #[derive(serde::Serialize)]
    struct Widened {
        #[serde(flatten)]
        wire: schemas::InstrumentV1,
        added_later: Vec<u8>,
    }
    let symbol = Symbol::new("A").unwrap();
    let instrument = Instrument {
        symbol,
        source: "test".to_owned(),
        name: Some("A Company".into()),
        exchange: None,
        sector: None,
        industry: None,
        shares: None,
        filings: Vec::new(),
        closes: Vec::new(),
    };
    let widened = Widened { wire: instrument.to_wire(), added_later: vec![1, 2, 3] };
    let payload = rmp_serde::to_vec_named(&widened).unwrap();
    assert_eq!(Instrument::decode(&payload).unwrap(), instrument);
}

#[test]
fn what_breaks_an_invariant_is_refused_with_the_field() {
    let check = |change: &dyn Fn(&mut schemas::BarBatchV1), field: &str, detail: &str| {
        let mut wire = one_bar().to_wire();
        change(&mut wire);
        let payload = rmp_serde::to_vec_named(&wire).unwrap();
        let error = BarBatch::decode(&payload).unwrap_err().to_string();
        assert!(error.contains(field) && error.contains(detail), "{error}");
    };
    check(&|wire| wire.header.partition = 64, "header.partition", "64");
    check(&|wire| wire.header.partition ^= 1, "symbol", "BRK.B");
    check(&|wire| wire.close = vec![].into(), "close", "0 values for 1");
    check(&|wire| wire.close = vec![f64::NAN].into(), "bar", "close is not a finite number");
    check(&|wire| wire.high = vec![8.0].into(), "bar", "below low");
    check(&|wire| wire.revision = vec![-1].into(), "revision", "-1");
    check(&|wire| wire.flags = vec![1 << 7].into(), "flags", "0x80");
    check(&|wire| wire.trades = Some(vec![].into()), "trades", "0 values");
}

#[test]
fn a_plan_is_named_by_its_order() {
    assert_ne!(Plan::new(["a", "b"]).hash(), Plan::new(["b", "a"]).hash());
    assert_ne!(Plan::new(["ab"]).hash(), Plan::new(["a", "b"]).hash());
}
