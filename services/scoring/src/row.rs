use schemas::{BarFlags, Breakdown, Freshness, IcsParts, Instrument, MeritParts, ResultRow, TechParts, Timeframe};

use crate::cross_section::Scored;
use crate::entry::Entry;
use crate::merit::{self, MeritBreakdown, MeritFlag};
use crate::percentile::NEUTRAL_POINTS;

/// What clients see of a scored row.
pub(crate) fn result_row(
    timeframe: Timeframe,
    entry: &Entry,
    scored: &Scored,
    instrument: Option<&Instrument>,
) -> ResultRow {
    let inputs = &entry.inputs;
    let flags = inputs.flags();
    let merit = &scored.merit;
    let notes = merit::caution_notes(&merit.flags);
    // A missing quality counts as neutral in the text too (specification §11, "recommended changes").
    let quality_mean = f64::midpoint(NEUTRAL_POINTS, scored.ics);
    ResultRow {
        symbol: inputs.symbol,
        as_of: inputs.open_time.display(timeframe),
        close: inputs.close,
        name: instrument.and_then(|instrument| instrument.name.clone()),
        sector: instrument.and_then(|instrument| instrument.sector.clone()),
        merit: merit.score,
        merit_band: merit.band.as_str().into(),
        merit_flags: merit.flags.to_string(),
        merit_summary: merit::summary(
            merit.score,
            merit.band,
            merit.tech_pct,
            merit.alpha_pct,
            Some(quality_mean),
            &notes,
        ),
        tech_rating: entry.tech.rating,
        ics: scored.ics,
        quality: None,
        alpha_5d: inputs.alpha_5d,
        alpha_10d: inputs.alpha_10d,
        win_prob_10d: inputs.win_prob_10d,
        signal: entry.signal.as_str().into(),
        entry: None,
        stop: None,
        target: None,
        reward_risk: None,
        position_size: None,
        breakdown: breakdown(entry, scored),
        freshness: Freshness {
            open_time_ns: inputs.open_time.as_ns(),
            revision: inputs.revision,
            is_final: flags.contains(BarFlags::FINAL),
            n_bars: inputs.n_bars,
            is_synthetic: flags.contains(BarFlags::SYNTHETIC),
            is_replayed: flags.contains(BarFlags::REPLAYED),
        },
    }
}

fn breakdown(entry: &Entry, scored: &Scored) -> Breakdown {
    let ics = &scored.ics_parts;
    Breakdown {
        merit: merit_parts(&scored.merit.breakdown),
        ics: IcsParts {
            tech: ics.tech,
            alpha: ics.alpha,
            quality: ics.quality,
            stability: ics.stability,
            liquidity: ics.liquidity,
            event: ics.event,
            clip: ics.clip,
        },
        tech_rating: entry.tech.breakdown.map(|tech| TechParts {
            trend: tech.trend,
            momentum: tech.momentum,
            volume: tech.volume,
            volatility: tech.volatility,
            oscillator: tech.oscillator,
            breakout: tech.breakout,
        }),
    }
}

fn merit_parts(parts: &MeritBreakdown) -> MeritParts {
    let penalty = |flags: &[MeritFlag]| {
        let points: f64 = flags.iter().filter(|flag| parts.flags.contains(**flag)).map(|flag| flag.penalty()).sum();
        // Not `-points`: no penalty is 0, not −0.
        0.0 - points
    };
    MeritParts {
        tech: parts.tech,
        alpha: parts.alpha,
        win: parts.win,
        ics: parts.ics,
        quality: parts.quality,
        liquidity: parts.liquidity,
        vol_safety: parts.vol_safety,
        confluence: parts.confluence,
        penalty_earnings: penalty(&[MeritFlag::EarningsSoon, MeritFlag::EarningsThisWeek]),
        penalty_liquidity: penalty(&[MeritFlag::LowLiquidity]),
        penalty_atr: penalty(&[MeritFlag::VeryHighAtr, MeritFlag::HighAtr]),
        penalty_cap: penalty(&[MeritFlag::MicroCap, MeritFlag::SmallCap]),
        penalty_ultra_risk: penalty(&[MeritFlag::UltraRisk]),
        clip: parts.clip,
    }
}
