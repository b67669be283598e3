//! MERIT: the headline score of a row, 0–100, with its band, flags and one-line text.

use std::fmt;

use crate::percentile::NEUTRAL_POINTS;

const WEIGHT_TECH: f64 = 0.26;
const WEIGHT_ALPHA: f64 = 0.22;
const WEIGHT_WIN: f64 = 0.18;
const WEIGHT_ICS: f64 = 0.14;
const WEIGHT_QUALITY: f64 = 0.14;
const WEIGHT_LIQUIDITY: f64 = 0.04;
const WEIGHT_VOL_SAFETY: f64 = 0.02;
/// Reward for technicals and alpha agreeing: ±10 points.
const WEIGHT_CONFLUENCE: f64 = 0.20;

/// What an unknown dollar volume counts as (USD), also in its percentile: thinly traded.
pub const DOLLAR_VOLUME_UNKNOWN: f64 = 1e6;
/// What an unknown average true range / close counts as (a fraction), also in its percentile.
pub const ATR_PCT_UNKNOWN: f64 = 0.02;
/// Unknown probability of a win where the others are known.
const WIN_PROB_UNKNOWN: f64 = 0.5;

const DAYS_IMMINENT: f64 = 3.0;
const DAYS_THIS_WEEK: f64 = 7.0;
const LIQUID_DOLLAR_VOLUME: f64 = 10_000_000.0;
const HIGH_ATR_PCT: f64 = 0.08;
const VERY_HIGH_ATR_PCT: f64 = 0.12;
const MICRO_CAP_MARKET_CAP: f64 = 300_000_000.0;
const SMALL_CAP_MARKET_CAP: f64 = 1_000_000_000.0;

/// What nearly every summary fits into.
const SUMMARY_BYTES: usize = 192;

/// The probability of a gain within ten days.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum WinProb {
    /// No model runs: the alpha percentile takes its place.
    #[default]
    Absent,
    /// A model runs but has no answer for this row: even odds.
    Missing,
    /// 0–1.
    Known(f64),
}

/// What MERIT needs to know about one row.
///
/// # Units
/// `*_pct` are percentiles in points, 0–100, among the current rows: of the technical rating, of
/// alpha, of max(dollar volume, 1), and 100 − the one of the ATR; `None` counts as 50. `atr_pct`
/// is a fraction. `ics` and `quality` are points, 0–100, `None` counts as 50. `dollar_volume` and
/// `market_cap` are in USD, `days_to_earnings` in calendar days; `None` counts as
/// [`DOLLAR_VOLUME_UNKNOWN`], as large enough and as far away, and an unknown ATR as not high.
///
/// `*_column_incomplete` says that any row, not only this one, lacks the value.
///
/// # Source
/// §11. The product drops past earnings by [`imminent_days`] and takes `is_ultra_risky` from
/// [`crate::risk::is_ultra_risky`].
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct MeritInputs {
    pub tech_pct: Option<f64>,
    pub alpha_pct: Option<f64>,
    pub win_prob: WinProb,
    pub ics: Option<f64>,
    pub quality: Option<f64>,
    pub liquidity_pct: Option<f64>,
    pub vol_safety_pct: Option<f64>,
    pub dollar_volume: Option<f64>,
    pub atr_pct: Option<f64>,
    pub market_cap: Option<f64>,
    pub days_to_earnings: Option<f64>,
    pub is_ultra_risky: bool,
    pub ics_column_incomplete: bool,
    pub quality_column_incomplete: bool,
}

/// The MERIT of one row.
///
/// # Units
/// `score` in points, 0–100. `tech_pct` to `vol_safety_pct` are the percentiles it was made from,
/// with 50 for the missing ones (the reference's debug columns).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Merit {
    pub score: f64,
    pub band: Band,
    pub flags: MeritFlags,
    pub breakdown: MeritBreakdown,
    pub tech_pct: f64,
    pub alpha_pct: f64,
    pub liquidity_pct: f64,
    pub vol_safety_pct: f64,
}

/// What each part contributes, in points; the penalties follow from `flags`.
///
/// `clip` is what keeping the score within 0–100 added or took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MeritBreakdown {
    pub tech: f64,
    pub alpha: f64,
    pub win: f64,
    pub ics: f64,
    pub quality: f64,
    pub liquidity: f64,
    pub vol_safety: f64,
    pub confluence: f64,
    pub flags: MeritFlags,
    pub clip: f64,
}

impl MeritBreakdown {
    /// The parts by name, each penalty (negative) by the text of its flag; they sum to the score.
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let penalties =
            self.flags.iter().filter(|flag| flag.penalty() > 0.0).map(|flag| (flag.as_str(), -flag.penalty()));
        self.base_parts().into_iter().chain(penalties).chain([("clip", self.clip)])
    }

    fn base_parts(&self) -> [(&'static str, f64); 8] {
        [
            ("tech", self.tech),
            ("alpha", self.alpha),
            ("win", self.win),
            ("ics", self.ics),
            ("quality", self.quality),
            ("liquidity", self.liquidity),
            ("vol_safety", self.vol_safety),
            ("confluence", self.confluence),
        ]
    }
}

/// Scores one row; see [`MeritInputs`] for what missing values count as.
///
/// # Source
/// §11: weighted parts + confluence − penalties, within 0–100.
pub fn merit(inputs: &MeritInputs) -> Merit {
    let tech_pct = inputs.tech_pct.unwrap_or(NEUTRAL_POINTS);
    let alpha_pct = inputs.alpha_pct.unwrap_or(NEUTRAL_POINTS);
    let liquidity_pct = inputs.liquidity_pct.unwrap_or(NEUTRAL_POINTS);
    let vol_safety_pct = inputs.vol_safety_pct.unwrap_or(NEUTRAL_POINTS);
    let win = match inputs.win_prob {
        WinProb::Absent => alpha_pct,
        WinProb::Missing => 100.0 * WIN_PROB_UNKNOWN,
        WinProb::Known(probability) => 100.0 * probability,
    };
    let flags = flags(inputs);

    let mut breakdown = MeritBreakdown {
        tech: WEIGHT_TECH * tech_pct,
        alpha: WEIGHT_ALPHA * alpha_pct,
        win: WEIGHT_WIN * win,
        ics: WEIGHT_ICS * inputs.ics.unwrap_or(NEUTRAL_POINTS),
        quality: WEIGHT_QUALITY * inputs.quality.unwrap_or(NEUTRAL_POINTS),
        liquidity: WEIGHT_LIQUIDITY * liquidity_pct,
        vol_safety: WEIGHT_VOL_SAFETY * vol_safety_pct,
        confluence: WEIGHT_CONFLUENCE * (50.0 - (tech_pct - alpha_pct).abs()),
        flags,
        clip: 0.0,
    };
    let base: f64 = breakdown.base_parts().iter().map(|(_, points)| points).sum();
    let unclipped = base - flags.penalty();
    let score = unclipped.clamp(0.0, 100.0);
    breakdown.clip = score - unclipped;

    Merit { score, band: Band::of(score), flags, breakdown, tech_pct, alpha_pct, liquidity_pct, vol_safety_pct }
}

/// Days to the next report, without reports that lie in the past.
///
/// # Source
/// "Do instead" of quirk Q35: the reference counts a report of last month as imminent.
pub fn imminent_days(days: Option<f64>) -> Option<f64> {
    days.filter(|days| *days >= 0.0)
}

/// The grade of a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Band {
    D,
    C,
    B,
    A,
    APlus,
}

impl Band {
    /// From 90 points A+, 80 A, 70 B, 60 C, below D (§11).
    pub fn of(score: f64) -> Self {
        match score {
            s if s >= 90.0 => Self::APlus,
            s if s >= 80.0 => Self::A,
            s if s >= 70.0 => Self::B,
            s if s >= 60.0 => Self::C,
            _ => Self::D,
        }
    }

    /// The published text, part of the column contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::APlus => "A+",
            Self::A => "A",
            Self::B => "B",
            Self::C => "C",
            Self::D => "D",
        }
    }
}

impl fmt::Display for Band {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One warning about a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MeritFlag {
    EarningsSoon,
    EarningsThisWeek,
    LowLiquidity,
    VeryHighAtr,
    HighAtr,
    MicroCap,
    SmallCap,
    UltraRisk,
    MissingIcs,
    MissingQuality,
}

impl MeritFlag {
    /// In the order in which they are published.
    pub const ALL: [Self; 10] = [
        Self::EarningsSoon,
        Self::EarningsThisWeek,
        Self::LowLiquidity,
        Self::VeryHighAtr,
        Self::HighAtr,
        Self::MicroCap,
        Self::SmallCap,
        Self::UltraRisk,
        Self::MissingIcs,
        Self::MissingQuality,
    ];

    /// The published text, part of the column contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EarningsSoon => "EARNINGS_SOON",
            Self::EarningsThisWeek => "EARNINGS_7D",
            Self::LowLiquidity => "LOW_LIQUIDITY",
            Self::VeryHighAtr => "VERY_HIGH_ATR",
            Self::HighAtr => "HIGH_ATR",
            Self::MicroCap => "MICRO_CAP",
            Self::SmallCap => "SMALL_CAP",
            Self::UltraRisk => "ULTRA_RISK",
            Self::MissingIcs => "MISSING_ICS",
            Self::MissingQuality => "MISSING_QUALITY",
        }
    }

    /// What the flag costs, in points ≥ 0 (§11).
    pub fn penalty(self) -> f64 {
        match self {
            Self::EarningsSoon => 12.0,
            Self::EarningsThisWeek | Self::SmallCap => 6.0,
            Self::LowLiquidity | Self::HighAtr => 8.0,
            Self::VeryHighAtr => 14.0,
            Self::MicroCap => 20.0,
            Self::UltraRisk => 25.0,
            Self::MissingIcs | Self::MissingQuality => 0.0,
        }
    }

    /// What the summary says about the flag. The reference is silent on size and ultra-risk,
    /// although they cost most.
    fn note(self) -> Option<&'static str> {
        match self {
            Self::EarningsSoon => Some("earnings imminent"),
            Self::EarningsThisWeek => Some("earnings this week"),
            Self::LowLiquidity => Some("low liquidity"),
            Self::VeryHighAtr | Self::HighAtr => Some("elevated volatility"),
            Self::MicroCap => Some("very small company"),
            Self::SmallCap => Some("small company"),
            Self::UltraRisk => Some("extreme risk"),
            Self::MissingIcs | Self::MissingQuality => None,
        }
    }

    fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// The set of warnings about a row; displays as their texts joined by `|`, empty if none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct MeritFlags(u16);

impl MeritFlags {
    pub fn contains(self, flag: MeritFlag) -> bool {
        self.0 & flag.bit() != 0
    }

    /// The flags in published order.
    pub fn iter(self) -> impl Iterator<Item = MeritFlag> {
        MeritFlag::ALL.into_iter().filter(move |flag| self.contains(*flag))
    }

    /// What all flags cost together, in points ≥ 0.
    pub fn penalty(self) -> f64 {
        self.iter().map(MeritFlag::penalty).sum()
    }
}

impl FromIterator<MeritFlag> for MeritFlags {
    fn from_iter<I: IntoIterator<Item = MeritFlag>>(flags: I) -> Self {
        Self(flags.into_iter().fold(0, |bits, flag| bits | flag.bit()))
    }
}

impl fmt::Display for MeritFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, flag) in self.iter().enumerate() {
            if position > 0 {
                f.write_str("|")?;
            }
            f.write_str(flag.as_str())?;
        }
        Ok(())
    }
}

/// The cautions of a row in words, in flag order, for [`summary`].
pub fn caution_notes(flags: MeritFlags) -> impl Iterator<Item = &'static str> {
    flags.iter().filter_map(MeritFlag::note)
}

/// One sentence about a row.
///
/// # Units
/// `score`, `tech`, `alpha` (percentiles) and `quality_mean` in points, 0–100. `quality_mean` is
/// the mean of the quality and the institutional core score; `None` reads as "lower quality", so
/// pass 50 for a missing one unless the reference's wording is wanted.
///
/// # Source
/// §11.
pub fn summary(
    score: f64,
    band: Band,
    tech: f64,
    alpha: f64,
    quality_mean: Option<f64>,
    notes: impl IntoIterator<Item = &'static str>,
) -> String {
    let strength =
        graded(score, &[(85.0, "exceptional"), (75.0, "strong"), (65.0, "solid"), (55.0, "moderate")], "weak");
    let technicals = graded(
        tech,
        &[(80.0, "strong technical trend"), (60.0, "positive technical setup"), (40.0, "neutral technicals")],
        "weak technical position",
    );
    let outlook = graded(
        alpha,
        &[(70.0, "strong forward edge"), (55.0, "positive forward edge"), (45.0, "neutral outlook")],
        "limited upside",
    );
    let lower_quality = "lower quality";
    let quality = quality_mean.map_or(lower_quality, |mean| {
        graded(mean, &[(75.0, "high quality"), (60.0, "good quality"), (45.0, "average quality")], lower_quality)
    });
    // Half to even, as the reference rounds.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates, and a score is 0 to 100"
    )]
    let score = score.round_ties_even() as u8;
    let digit = |divisor: u8| char::from(b'0' + score / divisor % 10);
    let mut text = String::with_capacity(SUMMARY_BYTES);
    text.push_str("MERIT ");
    for divisor in [100, 10].into_iter().filter(|divisor| score >= *divisor) {
        text.push(digit(divisor));
    }
    text.push(digit(1));
    for part in
        [" (", band.as_str(), "): ", strength, " opportunity with ", technicals, ", ", outlook, ", ", quality, "; "]
    {
        text.push_str(part);
    }
    let mut notes = notes.into_iter();
    let Some(first) = notes.next() else {
        text.push_str("no major risk flags");
        return text;
    };
    text.push_str("caution: ");
    text.push_str(first);
    for note in notes {
        text.push_str(", ");
        text.push_str(note);
    }
    text
}

fn flags(inputs: &MeritInputs) -> MeritFlags {
    let earnings = inputs.days_to_earnings.and_then(|days| match days {
        days if days <= DAYS_IMMINENT => Some(MeritFlag::EarningsSoon),
        days if days <= DAYS_THIS_WEEK => Some(MeritFlag::EarningsThisWeek),
        _ => None,
    });
    let dollar_volume = inputs.dollar_volume.unwrap_or(DOLLAR_VOLUME_UNKNOWN);
    let liquidity = (dollar_volume < LIQUID_DOLLAR_VOLUME).then_some(MeritFlag::LowLiquidity);
    let volatility = inputs.atr_pct.and_then(|atr_pct| match atr_pct {
        atr_pct if atr_pct > VERY_HIGH_ATR_PCT => Some(MeritFlag::VeryHighAtr),
        atr_pct if atr_pct > HIGH_ATR_PCT => Some(MeritFlag::HighAtr),
        _ => None,
    });
    let size = inputs.market_cap.and_then(|market_cap| match market_cap {
        market_cap if market_cap < MICRO_CAP_MARKET_CAP => Some(MeritFlag::MicroCap),
        market_cap if market_cap < SMALL_CAP_MARKET_CAP => Some(MeritFlag::SmallCap),
        _ => None,
    });
    let ultra_risk = inputs.is_ultra_risky.then_some(MeritFlag::UltraRisk);
    // The reference fills gaps with 50 and then takes every 50 of such a column for a gap.
    let reads_as_missing = |value: Option<f64>, column_incomplete: bool| {
        column_incomplete && value.is_none_or(|v| v.total_cmp(&NEUTRAL_POINTS).is_eq())
    };
    let missing_ics = reads_as_missing(inputs.ics, inputs.ics_column_incomplete).then_some(MeritFlag::MissingIcs);
    let missing_quality =
        reads_as_missing(inputs.quality, inputs.quality_column_incomplete).then_some(MeritFlag::MissingQuality);

    [earnings, liquidity, volatility, size, ultra_risk, missing_ics, missing_quality].into_iter().flatten().collect()
}

/// The text of the first grade (descending) that `points` reaches.
fn graded(points: f64, grades: &[(f64, &'static str)], lowest: &'static str) -> &'static str {
    grades.iter().find(|(min, _)| points >= *min).map_or(lowest, |(_, text)| text)
}

#[cfg(test)]
mod tests;
