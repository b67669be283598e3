//! What a scored row means for a trader: labels, the plan and its size, and who should see it.

use crate::config::ScoringOptions;
use crate::cross_section::{Scored, Standing};
use crate::drift::{PlayStyle, StyleInputs};
use crate::entry::Entry;
use crate::profiles::{ProfileLimit, ProfileRow, RiskProfile, StrategyProfile};
use crate::risk;
use crate::tech_rating::Signal;
use crate::tiers::{InvestorThresholds, InvestorTier, ResultTier};
use crate::trade_plan::{Direction, NoPlan, PlanInputs, Setup, TradePlan, trade_plan};

/// Labels and plan of one row.
///
/// # Source
/// Specification §23, "recommended order": after the cross-section, tiers, style and risk, then signal, plan and
/// profiles.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Idea {
    pub(crate) result_tier: ResultTier,
    pub(crate) investor_tier: InvestorTier,
    pub(crate) play_style: PlayStyle,
    pub(crate) is_ultra_risky: bool,
    pub(crate) signal: Signal,
    pub(crate) plan: Result<TradePlan, NoPlan>,
    /// The first limit of each profile that the row breaks, in the order of [`RiskProfile::ALL`].
    pub(crate) breaks: [Option<ProfileLimit>; RiskProfile::ALL.len()],
}

impl Idea {
    pub(crate) fn new(entry: &Entry, standing: &Standing, scored: &Scored, options: &ScoringOptions) -> Self {
        let inputs = &entry.inputs;
        let is_ultra_risky = is_ultra_risky(entry);
        let plan = plan(entry, options);
        let seen = ProfileRow {
            ics: Some(scored.ics),
            tech_rating: entry.tech.rating,
            atr_pct: entry.atr_pct,
            close: Some(inputs.close),
            dollar_volume: Some(entry.dollar_volume),
            is_ultra_risky,
            quality: scored.quality,
            win_prob: inputs.win_prob_10d,
        };
        Self {
            result_tier: scored.result_tier(),
            investor_tier: InvestorThresholds::TEN_DAYS.tier(scored.ics, inputs.win_prob_10d, scored.quality),
            play_style: PlayStyle::of(&StyleInputs {
                atr_points: standing.atr,
                alpha_5d: inputs.alpha_5d,
                alpha_10d: inputs.alpha_10d,
            }),
            is_ultra_risky,
            signal: plan.as_ref().err().map_or(entry.signal, |reason| reason.signal(entry.signal)),
            plan,
            breaks: std::array::from_fn(|number| RiskProfile::ALL[number].first_broken(&seen)),
        }
    }
}

/// Quirk Q10: by the definition of §13.4, not by the risk score.
pub(crate) fn is_ultra_risky(entry: &Entry) -> bool {
    risk::is_ultra_risky(entry.atr_pct, Some(entry.inputs.close), Some(entry.dollar_volume))
}

fn plan(entry: &Entry, options: &ScoringOptions) -> Result<TradePlan, NoPlan> {
    trade_plan(&plan_inputs(entry, options)?, &options.trading_account(), entry.inputs.dollar_vol_20)
}

/// What the plan of a row is made from.
pub(crate) fn plan_inputs(entry: &Entry, options: &ScoringOptions) -> Result<PlanInputs, NoPlan> {
    let is_weak = |profile: &StrategyProfile| !profile.trades(entry.tech.rating);
    if Direction::of(entry.signal).is_some() && options.strategy.profile().is_some_and(is_weak) {
        return Err(NoPlan::WeakForStrategy);
    }
    let inputs = &entry.inputs;
    // Without highs and lows nothing is known of where the market turned.
    let (low, high) = inputs.range.ok_or(NoPlan::NoRange)?;
    let setup = Direction::of(entry.signal).and_then(|direction| {
        Setup::of(direction, entry.subscores.breakout, entry.subscores.trend, inputs.close, inputs.sma20)
    });
    Ok(PlanInputs {
        close: inputs.close,
        high,
        low,
        atr_pct: entry.atr_pct,
        signal: entry.signal,
        setup,
        structure: inputs.structure(),
    })
}
