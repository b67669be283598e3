use schemas::{
    BarFlags, Breakdown, FactorScores, Freshness, IcsParts, Instrument, MeritParts, ResultRow, SmolStr, TechParts,
};

use crate::cross_section::Scored;
use crate::entry::Entry;
use crate::idea::Idea;
use crate::merit::{self, MeritBreakdown, MeritFlag};
use crate::percentile::NEUTRAL_POINTS;
use crate::reasons::Reasons;
use crate::rounding::rounded;
use crate::screen;

/// Of a reward-to-risk ratio; prices on ticks make it differ a little from the one asked for.
const REWARD_RISK_DECIMALS: usize = 2;

/// What clients see of a scored row, but for the plan that is followed and what became of its like: those are no part of the
/// row's own bar.
pub(crate) fn result_row(
    as_of: SmolStr,
    entry: &Entry,
    scored: &Scored,
    idea: &Idea,
    instrument: Option<&Instrument>,
    factors: Option<FactorScores>,
    reasons: &mut Reasons,
) -> ResultRow {
    let inputs = &entry.inputs;
    let flags = inputs.flags();
    let merit = &scored.merit;
    // A missing quality counts as neutral in the text too (specification §11, "recommended changes").
    let quality_mean = f64::midpoint(scored.quality.unwrap_or(NEUTRAL_POINTS), scored.ics);
    let plan = idea.plan.as_ref().ok();
    let levels = plan.map(|plan| plan.levels);
    let excluded = screen::exclusion(entry, scored.market_cap, instrument);
    ResultRow {
        symbol: inputs.symbol,
        as_of,
        close: inputs.close,
        name: instrument.and_then(|instrument| instrument.name.clone()),
        sector: instrument.and_then(|instrument| instrument.sector.clone()),
        industry: instrument.and_then(|instrument| instrument.industry.clone()),
        market_cap: scored.market_cap,
        atr_pct: entry.atr_pct,
        dollar_volume_20: inputs.dollar_vol_20,
        merit: merit.score,
        merit_band: merit.band.as_str().into(),
        merit_flags: reasons.flags(merit.flags),
        merit_summary: merit::summary(
            merit.score,
            merit.band,
            merit.tech_pct,
            merit.alpha_pct,
            Some(quality_mean),
            merit::caution_notes(merit.flags),
        ),
        tech_rating: entry.tech.rating,
        ics: scored.ics,
        quality: scored.quality,
        alpha_5d: inputs.alpha_5d,
        alpha_10d: inputs.alpha_10d,
        win_prob_10d: inputs.win_prob_10d,
        signal: idea.signal.as_str().into(),
        entry: levels.map(|levels| levels.entry),
        stop: levels.map(|levels| levels.stop),
        target: levels.map(|levels| levels.target),
        reward_risk: levels.map(|levels| rounded(levels.reward_risk(), REWARD_RISK_DECIMALS)),
        position_size: plan.map(|plan| plan.sizing.shares),
        setup: plan.and_then(|plan| Some(plan.setup?.as_str(plan.levels.direction).into())),
        live_plan: None,
        no_plan: idea.plan.as_ref().err().map(|reason| reason.as_str().into()),
        excluded: excluded.map(|exclusion| exclusion.as_str().into()),
        liquidity_note: plan.and_then(|plan| plan.sizing.liquidity_note.clone()),
        result_tier: idea.result_tier.as_str().into(),
        investor_tier: idea.investor_tier.as_str().into(),
        play_style: idea.play_style.as_str().into(),
        is_ultra_risky: idea.is_ultra_risky,
        events: entry.facts.events.map(|events| events.view()),
        factors: factors.map(Box::new),
        outcomes: None,
        profiles: reasons.verdicts(idea, excluded),
        rules: reasons.rules(entry, scored, idea),
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
