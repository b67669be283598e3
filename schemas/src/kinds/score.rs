use std::borrow::Cow;
use std::cmp::Ordering;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::company_event::EventView;
use super::live_plan::LivePlan;
use super::market::Market;
use super::prediction::ModelRef;
use crate::codec::{CodecError, Message, ROWS_MAX, SCHEMA_VERSION};
use crate::{EventTime, Header, HeaderV1, Partition, Shared, Symbol};

/// One ranked, explained result: what a client sees of a symbol.
///
/// # Units
/// Prices in the currency of the listing; `merit`, `ics`, `quality` 0 … 100; alphas as fractions, `win_prob_10d`
/// 0 … 1; `tech_rating` −26 … 26. `null` is missing, never zero.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ResultRow {
    pub symbol: Symbol,
    /// The bar it stands on: a session date for daily bars, a UTC time below.
    pub as_of: SmolStr,
    pub close: f64,
    pub name: Option<SmolStr>,
    pub sector: Option<SmolStr>,
    #[serde(default)]
    pub industry: Option<SmolStr>,
    /// Shares known at the bar, times its close.
    #[serde(default)]
    pub market_cap: Option<f64>,
    /// Average true range of 14 bars over the close, a fraction.
    #[serde(default)]
    pub atr_pct: Option<f64>,
    /// Mean of close × volume over 20 bars.
    #[serde(default)]
    pub dollar_volume_20: Option<f64>,
    pub merit: f64,
    #[serde(deserialize_with = "crate::label::known")]
    pub merit_band: Cow<'static, str>,
    /// Joined by `|`, empty when there is none.
    pub merit_flags: SmolStr,
    pub merit_summary: String,
    pub tech_rating: Option<f64>,
    pub ics: f64,
    pub quality: Option<f64>,
    pub alpha_5d: Option<f64>,
    pub alpha_10d: Option<f64>,
    pub win_prob_10d: Option<f64>,
    #[serde(deserialize_with = "crate::label::known")]
    pub signal: Cow<'static, str>,
    pub entry: Option<f64>,
    pub stop: Option<f64>,
    pub target: Option<f64>,
    pub reward_risk: Option<f64>,
    /// Shares.
    pub position_size: Option<u64>,
    /// What kind of plan it is; `null` for the generic one, and without a plan.
    #[serde(default, deserialize_with = "crate::label::known_or_none")]
    pub setup: Option<Cow<'static, str>>,
    /// The plan of an earlier bar that is followed, and how it stands; absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live_plan: Option<LivePlan>,
    /// Why there is no plan.
    #[serde(default, deserialize_with = "crate::label::known_or_none")]
    pub no_plan: Option<Cow<'static, str>>,
    /// The first condition of the universe that the symbol fails, one of [`EXCLUSIONS`]; no risk profile shows it then.
    #[serde(default, deserialize_with = "crate::label::known_or_none")]
    pub excluded: Option<Cow<'static, str>>,
    /// What the stock's liquidity allows, where that is less than the risk would.
    #[serde(default)]
    pub liquidity_note: Option<String>,
    /// `A+`, `A`, `B+`, `B-` or `Ungraded`.
    #[serde(default, deserialize_with = "crate::label::known")]
    pub result_tier: Cow<'static, str>,
    /// `CORE`, `SATELLITE` or `REJECT`.
    #[serde(default, deserialize_with = "crate::label::known")]
    pub investor_tier: Cow<'static, str>,
    /// `Stable`, `Explosive`, `Hybrid` or `Neutral`.
    #[serde(default, deserialize_with = "crate::label::known")]
    pub play_style: Cow<'static, str>,
    #[serde(default)]
    pub is_ultra_risky: bool,
    /// How the bar stands to the company's calendar; `null` without one.
    #[serde(default)]
    pub events: Option<EventView>,
    /// How the company stands by its reports; `null` without any.
    #[serde(default)]
    pub factors: Option<Box<FactorScores>>,
    /// What became of past results with a MERIT like this one; absent without recorded results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcomes: Option<Box<PastOutcomes>>,
    /// What each risk profile makes of the row.
    #[serde(default)]
    pub profiles: Shared<ProfileVerdict>,
    /// The tests behind the signal and the tier.
    #[serde(default)]
    pub rules: Shared<Rule>,
    pub breakdown: Breakdown,
    pub freshness: Freshness,
}

/// The conditions of the universe by name, in the order in which they are asked: of listings, then of bars, then of rows.
pub const EXCLUSIONS: [&str; 19] = [
    "symbol_shape",
    "sector_not_scanned",
    "leveraged_fund",
    "sector_not_wanted",
    "industry_not_wanted",
    "subindustry_not_wanted",
    "beyond_symbol_limit",
    "small_company_of_sector",
    "fund_industry",
    "small_company",
    "too_few_bars",
    "no_recent_bar",
    "price_too_low",
    "dollar_volume_too_low",
    "price_too_erratic",
    "last_dollar_volume_too_low",
    "last_price_too_low",
    "market_cap_too_low",
    "atr_too_high",
];

/// Why a symbol has no result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WhyNot {
    pub symbol: Symbol,
    /// The first condition that it fails, one of [`EXCLUSIONS`].
    #[serde(deserialize_with = "crate::label::known")]
    pub condition: Cow<'static, str>,
}

/// How a company stands by its reports, as they were known at the bar.
///
/// # Units
/// Scores are percentiles among all companies in points, (0, 100], more is better; `null` where no factor is known.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct FactorScores {
    pub value_score: Option<f64>,
    pub quality_factor: Option<f64>,
    pub growth_score: Option<f64>,
    /// Each factor that is known.
    pub sector_z: SectorZ,
}

/// The factors of a company in deviations from the mean of its sector; absent where the factor is not known.
///
/// # Units
/// Signs are those of the factor itself: dear and indebted companies have high scores in their multiples.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SectorZ {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_ep_sector_z: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_cfp_sector_z: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_earnings_yield_sector_z: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dividend_yield_sector_z: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_fcf_yield_sector_z: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_ev_ebitda_sector_z: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_ev_sales_sector_z: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality_roe_sector_z: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality_roa_sector_z: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality_gpm_sector_z: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality_margin_ebitda_sector_z: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality_margin_op_sector_z: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality_margin_net_sector_z: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leverage_de_sector_z: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interest_coverage_sector_z: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub growth_rev_sector_z: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub growth_eps_sector_z: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_log_mcap_sector_z: Option<f64>,
}

/// What became of past results of one bucket of scores, as far as it was known before the bar.
///
/// # Units
/// Means are returns (fractions) over those known; hit rates are the share of all `n` results that rose, 0 … 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PastOutcomes {
    /// 1 has the lowest scores; there are ten unless many scores are equal.
    pub bucket: u8,
    /// Past results in it.
    pub n: u32,
    pub mean_5d: Option<f64>,
    pub hit_5d: Option<f64>,
    pub mean_10d: Option<f64>,
    pub hit_10d: Option<f64>,
}

/// Whether a risk profile shows a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProfileVerdict {
    #[serde(deserialize_with = "crate::label::known")]
    pub profile: Cow<'static, str>,
    /// What the row fails first: a condition of the universe, or a limit of the profile; `null` when the profile shows
    /// the row.
    #[serde(deserialize_with = "crate::label::known_or_none")]
    pub breaks: Option<Cow<'static, str>>,
}

/// A test behind a label, and how it went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rule {
    /// What it tests, e.g. `tech_rating >= 16`.
    #[serde(deserialize_with = "crate::label::known")]
    pub rule: Cow<'static, str>,
    /// The label it belongs to, e.g. `Long` or `A`.
    #[serde(deserialize_with = "crate::label::known")]
    pub label: Cow<'static, str>,
    pub is_met: bool,
}

/// How each score came about. The parts of a score sum to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Breakdown {
    pub merit: MeritParts,
    pub ics: IcsParts,
    /// Absent with the rating itself.
    pub tech_rating: Option<TechParts>,
}

/// Parts of MERIT in points; penalties are negative.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct MeritParts {
    pub tech: f64,
    pub alpha: f64,
    pub win: f64,
    pub ics: f64,
    pub quality: f64,
    pub liquidity: f64,
    pub vol_safety: f64,
    pub confluence: f64,
    pub penalty_earnings: f64,
    pub penalty_liquidity: f64,
    pub penalty_atr: f64,
    pub penalty_cap: f64,
    pub penalty_ultra_risk: f64,
    /// What the limits 0 and 100 took away or added.
    pub clip: f64,
}

/// Parts of the Institutional Core Score in points.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct IcsParts {
    pub tech: f64,
    pub alpha: f64,
    pub quality: f64,
    pub stability: f64,
    pub liquidity: f64,
    pub event: f64,
    /// What the limits 0 and 100 took away or added.
    pub clip: f64,
}

/// Parts of the technical rating in its own points, risk multiplier included.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct TechParts {
    pub trend: f64,
    pub momentum: f64,
    pub volume: f64,
    pub volatility: f64,
    pub oscillator: f64,
    pub breakout: f64,
}

/// How new a result is and what it stands on. Event times only: the same inputs give the same row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Freshness {
    /// Open time of the newest bar, UTC nanoseconds.
    pub open_time_ns: i64,
    pub revision: u32,
    pub is_final: bool,
    /// Bars of the segment that the indicators have seen.
    pub n_bars: u32,
    /// The bars were made by a generator.
    pub is_synthetic: bool,
    /// The bars were played back from a recording.
    pub is_replayed: bool,
}

/// Scores of one partition, as they travel: rows, not a matrix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScoreBatchV1 {
    pub header: HeaderV1,
    pub models: Vec<ModelRef>,
    pub rows: Vec<ResultRow>,
    /// Symbols that left the table.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<Symbol>,
    /// Why they are not in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub why_not: Vec<WhyNot>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub market: Option<Market>,
}

/// New and changed results of one partition, and the symbols that left it.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreBatch {
    pub header: Header,
    pub models: Vec<ModelRef>,
    pub rows: Vec<ResultRow>,
    pub removed: Vec<Symbol>,
    /// Why they are not in it.
    pub why_not: Vec<WhyNot>,
    /// Only when it is at rest.
    pub market: Option<Market>,
}

impl Message for ScoreBatch {
    type Wire = ScoreBatchV1;

    const KIND: &'static str = "score";

    fn from_wire(wire: ScoreBatchV1) -> Result<Self, CodecError> {
        let header = Header::try_from(wire.header)?;
        if wire.rows.len() + wire.removed.len() > ROWS_MAX {
            return Err(CodecError::invalid("rows", format!("more than {ROWS_MAX}")));
        }
        if wire.why_not.len() > wire.removed.len() {
            return Err(CodecError::invalid("why_not", "more reasons than removed symbols"));
        }
        for row in &wire.rows {
            row.check()?;
        }
        let symbols = wire.rows.iter().map(|row| row.symbol).chain(wire.removed.iter().copied());
        let symbols = symbols.chain(wire.why_not.iter().map(|why_not| why_not.symbol));
        for symbol in symbols {
            if Partition::of(symbol) != header.partition {
                return Err(CodecError::invalid(
                    "symbol",
                    format!("{symbol} is not of partition {}", header.partition),
                ));
            }
        }
        let ScoreBatchV1 { models, rows, removed, why_not, market, .. } = wire;
        Ok(Self { header, models, rows, removed, why_not, market })
    }

    fn to_wire(&self) -> ScoreBatchV1 {
        ScoreBatchV1 {
            header: HeaderV1::from(&self.header),
            models: self.models.clone(),
            rows: self.rows.clone(),
            removed: self.removed.clone(),
            why_not: self.why_not.clone(),
            market: self.market.clone(),
        }
    }

    /// Without the copy of every row that the wire shape would be.
    fn encode(&self) -> Vec<u8> {
        let wire = ScoreBatchRef {
            header: HeaderV1::from(&self.header),
            models: &self.models,
            rows: &self.rows,
            removed: &self.removed,
            why_not: &self.why_not,
            market: self.market.as_ref(),
        };
        rmp_serde::to_vec_named(&wire).expect("wire shapes serialise to MessagePack")
    }
}

/// [`ScoreBatchV1`], borrowed.
#[derive(Serialize)]
struct ScoreBatchRef<'a> {
    header: HeaderV1,
    models: &'a [ModelRef],
    rows: &'a [ResultRow],
    #[serde(skip_serializing_if = "<[Symbol]>::is_empty")]
    removed: &'a [Symbol],
    #[serde(skip_serializing_if = "<[WhyNot]>::is_empty")]
    why_not: &'a [WhyNot],
    #[serde(skip_serializing_if = "Option::is_none")]
    market: Option<&'a Market>,
}

impl ResultRow {
    /// The bar and revision it stands on.
    pub fn position(&self) -> (EventTime, u32) {
        (EventTime(self.freshness.open_time_ns), self.freshness.revision)
    }

    /// Whether a risk profile shows the row; `None` when the row does not know the profile.
    pub fn is_shown_by(&self, profile: &str) -> Option<bool> {
        self.profiles.iter().find(|verdict| verdict.profile == profile).map(|verdict| verdict.breaks.is_none())
    }

    /// Best first: MERIT descending, then symbol.
    pub fn rank_order(&self, other: &Self) -> Ordering {
        other.merit.total_cmp(&self.merit).then_with(|| self.symbol.cmp(&other.symbol))
    }

    fn check(&self) -> Result<(), CodecError> {
        let scores = [("merit", Some(self.merit)), ("ics", Some(self.ics)), ("quality", self.quality)];
        for (field, score) in scores {
            if score.is_some_and(|score| !(0.0..=100.0).contains(&score)) {
                return Err(CodecError::invalid(field, format!("{score:?} of {} is outside 0 to 100", self.symbol)));
            }
        }
        let prices = [Some(self.close), self.entry, self.stop, self.target];
        let followed = self.live_plan.iter().flat_map(LivePlan::prices);
        if prices.into_iter().flatten().chain(followed).any(|price| !price.is_finite()) {
            return Err(CodecError::invalid("price", format!("a price of {} is not finite", self.symbol)));
        }
        Ok(())
    }
}

/// The newest result of one symbol, as outsiders watch it: JSON on `technic.v1.result.<symbol>`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ResultV1 {
    pub schema: u16,
    pub symbol: Symbol,
    /// Where the bars come from, e.g. `synthetic` or `replay`.
    pub source: String,
    /// Run and number of the scores it is from: a higher pair is newer.
    pub epoch: u64,
    pub seq: u64,
    pub models: Vec<ModelRef>,
    /// `null` when the symbol left the table.
    pub row: Option<ResultRow>,
    /// Why the symbol is not in the table, one of [`EXCLUSIONS`].
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::label::known_or_none")]
    pub why_not: Option<Cow<'static, str>>,
}

impl ResultV1 {
    /// # Errors
    /// When the payload is no such JSON, of an unknown version, or its row is impossible.
    pub fn from_json(payload: &[u8]) -> Result<Self, CodecError> {
        let result: Self =
            serde_json::from_slice(payload).map_err(|error| CodecError::invalid("result", error.to_string()))?;
        if result.schema != SCHEMA_VERSION {
            return Err(CodecError::UnknownSchema { found: result.schema });
        }
        result.row.as_ref().map_or(Ok(()), ResultRow::check)?;
        Ok(result)
    }

    /// # Panics
    /// Never: the type holds only what JSON can carry.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a result serialises to JSON")
    }
}
