//! Writes the fixtures that do not exist yet to `fixtures/<kind>/v1/`: one message as bytes, and what it says as JSON. A
//! fixture that exists is never touched: every file ever shipped must decode for ever. A kind whose shape grew gets
//! another fixture, by the next name.

use std::fs;
use std::path::Path;

use schemas::{
    Alert, AlertLevel, Bar, BarBatchBuilder, BarFlags, Breakdown, CompanyEvent, CompanyEventKind, EventTime, EventView,
    FactorScores, FeatureBatch, Filing, FilingPeriod, Freshness, Header, IcsParts, Instrument, LivePlan, Market,
    MeritParts, Message, ModelRef, Partition, PastOutcomes, Plan, PlanChange, PredictionBatch, Predictions,
    ProfileVerdict, QuantileTables, ResultRow, Rule, ScoreBatch, SectorZ, StopAdvice, Symbol, TechParts, Timeframe,
    WhyNot,
};
use serde::Serialize;

fn main() {
    let symbol = Symbol::new("TST.A").expect("a symbol");
    let partition = Partition::of(symbol);
    let header = Header {
        timeframe: Timeframe::D1,
        partition,
        epoch: 0x1234_5678_9abc,
        seq: 42,
        event_time: EventTime::from_days(17_000),
        ingest_time: EventTime(1_468_800_000_123_456_789),
        source: "synthetic".to_owned(),
        watermark: Some(EventTime::from_days(17_000)),
    };
    let mut builder = BarBatchBuilder::new(partition);
    for (day, flags) in [(16_999, BarFlags::FINAL.with(BarFlags::SEGMENT_START)), (17_000, BarFlags::SYNTHETIC)] {
        builder.push(
            symbol,
            Bar {
                open_time: EventTime::from_days(day),
                open: 10.25,
                high: 12.5,
                low: 9.75,
                close: 11.125,
                volume: 123_456.0,
                revision: 3,
                flags,
            },
        );
    }
    let bars = builder.finish(header.clone());
    let plan = Plan::new(["rsi14", "sma200"]);
    let features = FeatureBatch::new(bars.clone(), plan.hash(), vec![55.5, 56.25, f64::NAN, f64::NAN])
        .expect("two rows of two columns");
    let models = vec![ModelRef { name: "alpha_5d".to_owned(), version: "1".to_owned(), hash: "ab".repeat(32) }];
    let rows = vec![
        Predictions {
            alpha_5d: Some(0.0125),
            alpha_10d: None,
            win_prob_10d: Some(0.5),
            alpha_5d_range: Some((-0.05, 0.0625)),
            alpha_10d_range: None,
        },
        Predictions::default(),
    ];
    let predictions = PredictionBatch::new(features.clone(), rows, models.clone()).expect("a row per bar");
    let scores = ScoreBatch {
        header,
        models,
        rows: vec![result_row(symbol)],
        removed: vec![symbol],
        why_not: vec![WhyNot { symbol, condition: "too_few_bars".into() }],
        market: Some(market()),
    };
    let alert = Alert {
        rule: "merit_80".to_owned(),
        symbol,
        event_time: EventTime::from_days(17_000),
        level: AlertLevel::Info,
        message: "MERIT rose above 80".to_owned(),
    };
    let quantiles = QuantileTables {
        timeframe: Timeframe::D1,
        session: EventTime::from_days(17_000),
        tables: vec![("rank_ret_5d".to_owned(), Some(vec![-0.5, 0.0, 0.125])), ("rank_rsi14".to_owned(), None)],
    };
    freeze("one", &bars);
    freeze("one", &features);
    freeze("two", &predictions);
    freeze("five", &scores);
    freeze("three", &instrument(symbol));
    freeze("one", &quantiles);
    freeze("one", &alert);
}

fn freeze<M: Message>(name: &str, message: &M)
where
    M::Wire: Serialize,
{
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(M::KIND).join("v1");
    let (bytes, text) = (folder.join(name).with_extension("msgpack"), folder.join(name).with_extension("json"));
    if bytes.exists() {
        println!("{} is frozen", bytes.display());
        return;
    }
    fs::create_dir_all(&folder).expect("the folder can be made");
    fs::write(&bytes, message.encode()).expect("the message can be written");
    let json = serde_json::to_string_pretty(&message.to_wire()).expect("a wire shape is JSON");
    fs::write(text, json + "\n").expect("the JSON can be written");
    println!("{} written", bytes.display());
}

fn instrument(symbol: Symbol) -> Instrument {
    Instrument {
        symbol,
        source: "synthetic".to_owned(),
        name: Some("Synthetic Company 0001".into()),
        exchange: None,
        sector: Some("Energy".into()),
        industry: None,
        shares: Some((1.5e8, EventTime::from_days(16_900))),
        filings: vec![Filing {
            available_on_ns: EventTime::from_days(16_950).as_ns(),
            end_ns: EventTime::from_days(16_890).as_ns(),
            fiscal_year: 2016,
            period: FilingPeriod::Q1,
            revenues: Some(1.25e9),
            operating_income: None,
            net_income: Some(-2.5e7),
            dividend: Some(0.25),
            assets: Some(4e9),
            cash: None,
            equity: Some(1.5e9),
            operating_cash_flow: Some(1e8),
        }],
        events: vec![CompanyEvent {
            kind: CompanyEventKind::Earnings,
            date_ns: EventTime::from_days(17_004).as_ns(),
            available_on_ns: EventTime::from_days(16_980).as_ns(),
            eps_actual: None,
            eps_estimated: Some(0.75),
        }],
        closes: vec![(16_998, 205.25), (16_999, 206.5)],
    }
}

fn market() -> Market {
    Market {
        as_of: "2016-07-18".to_owned(),
        benchmark: "SPY".to_owned(),
        trend: "TRENDING_UP".into(),
        vol: "LOW_VOL".into(),
        label: "TRENDING_UP_LOW_VOL".to_owned(),
        is_risk_on: true,
        trend_slope: Some(0.125),
        vol_per_year: Some(0.15),
        vol_level: Some("NORMAL".into()),
        growth_level: None,
        growth_slope: None,
        growth_ret20: None,
        vol_ratio: Some(0.75),
        vol_spike_ratio: None,
    }
}

fn result_row(symbol: Symbol) -> ResultRow {
    ResultRow {
        symbol,
        as_of: "2016-07-18".into(),
        close: 11.125,
        name: Some("Synthetic Company 0001".into()),
        sector: Some("Energy".into()),
        industry: Some("Oil & Gas".into()),
        market_cap: Some(4.5e9),
        atr_pct: Some(0.0275),
        dollar_volume_20: None,
        merit: 61.5,
        merit_band: "C".into(),
        merit_flags: "LOW_LIQUIDITY|MISSING_QUALITY".into(),
        merit_summary: "MERIT 62 (C): moderate opportunity".to_owned(),
        tech_rating: Some(12.5),
        ics: 55.25,
        quality: None,
        alpha_5d: Some(0.0125),
        alpha_10d: None,
        win_prob_10d: Some(0.5),
        signal: "Avoid".into(),
        entry: None,
        stop: None,
        target: None,
        reward_risk: None,
        position_size: None,
        setup: Some("Trend Long".into()),
        live_plan: Some(LivePlan {
            state: "triggered".into(),
            direction: "long".into(),
            entry: 11.25,
            stop: 10.5,
            target: 12.75,
            armed_ns: EventTime::from_days(16_990).as_ns(),
            since_ns: EventTime::from_days(16_999).as_ns(),
            n_bars: 1,
            fill: Some(11.25),
            exit: None,
            advice: Some(StopAdvice { stop: 11.0, notes: vec!["little progress: tighten the stop".into()] }),
            changes: vec![PlanChange { state: "triggered".into(), price: 11.25 }],
        }),
        no_plan: Some("neither long nor short".into()),
        excluded: Some("price_too_low".into()),
        liquidity_note: None,
        result_tier: "B+".into(),
        investor_tier: "REJECT".into(),
        play_style: "Neutral".into(),
        is_ultra_risky: true,
        events: Some(EventView {
            days_to_next_earnings: Some(4),
            days_since_last_earnings: None,
            days_to_dividend_ex: Some(-2),
            surprise_streak: Some(-1),
            avg_surprise_bp: Some(-12.5),
            last_surprise_bp: None,
        }),
        factors: Some(Box::new(FactorScores {
            value_score: Some(62.5),
            quality_factor: None,
            growth_score: Some(100.0),
            sector_z: SectorZ { value_ep_sector_z: Some(-0.25), ..SectorZ::default() },
        })),
        outcomes: Some(Box::new(PastOutcomes {
            bucket: 7,
            n: 5_812,
            mean_5d: Some(0.0025),
            hit_5d: Some(0.5125),
            mean_10d: None,
            hit_10d: Some(0.5),
        })),
        profiles: vec![ProfileVerdict { profile: "balanced".into(), breaks: Some("min_ics".into()) }].into(),
        rules: vec![Rule { rule: "tech_rating >= 16".into(), label: "Long".into(), is_met: false }].into(),
        breakdown: Breakdown {
            merit: MeritParts { tech: 61.5, ..MeritParts::default() },
            ics: IcsParts { tech: 55.25, ..IcsParts::default() },
            tech_rating: Some(TechParts { trend: 12.5, ..TechParts::default() }),
        },
        freshness: Freshness {
            open_time_ns: EventTime::from_days(17_000).as_ns(),
            revision: 3,
            is_final: false,
            n_bars: 200,
            is_synthetic: true,
            is_replayed: false,
        },
    }
}
