//! Who a result is for: limits on what a cautious or a bold investor wants to see, and how they trade it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::sizing::Account;

/// A limit of a [`RiskProfile`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProfileLimit {
    Ics,
    TechRating,
    AtrPct,
    Price,
    DollarVolume,
    UltraRisky,
    Quality,
    WinProb,
}

impl ProfileLimit {
    pub const ALL: [Self; 8] = [
        Self::Ics,
        Self::TechRating,
        Self::AtrPct,
        Self::Price,
        Self::DollarVolume,
        Self::UltraRisky,
        Self::Quality,
        Self::WinProb,
    ];

    /// The published name of the limit.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ics => "min_ics",
            Self::TechRating => "min_tech_rating",
            Self::AtrPct => "max_atr_pct",
            Self::Price => "min_price",
            Self::DollarVolume => "min_dollar_volume",
            Self::UltraRisky => "allow_runners",
            Self::Quality => "min_quality_score",
            Self::WinProb => "min_win_prob_10d",
        }
    }
}

impl fmt::Display for ProfileLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What an investor wants to see.
///
/// # Units
/// `ics_min` and `quality_min` in points, `tech_rating_min` in rating points, `atr_pct_max` and `win_prob_min` are
/// fractions, `price_min` and `dollar_volume_min` in USD. `None` sets no limit.
///
/// # Source
/// §13.1. The ladder above "conservative" is the specification's suggestion; the win probabilities are ours (ADR 0005).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RiskProfile {
    pub name: &'static str,
    pub label: &'static str,
    pub ics_min: Option<f64>,
    pub tech_rating_min: Option<f64>,
    pub atr_pct_max: Option<f64>,
    pub price_min: Option<f64>,
    pub dollar_volume_min: Option<f64>,
    /// Whether ultra-risky rows are shown.
    pub allows_ultra_risky: bool,
    pub quality_min: Option<f64>,
    pub win_prob_min: Option<f64>,
}

impl RiskProfile {
    pub const CONSERVATIVE: Self = Self {
        name: "conservative",
        label: "Conservative",
        ics_min: Some(80.0),
        tech_rating_min: Some(22.0),
        atr_pct_max: Some(0.025),
        price_min: Some(15.0),
        dollar_volume_min: Some(10_000_000.0),
        allows_ultra_risky: false,
        quality_min: Some(0.0),
        win_prob_min: Some(0.51),
    };

    pub const BALANCED: Self = Self {
        name: "balanced",
        label: "Balanced",
        ics_min: Some(65.0),
        tech_rating_min: Some(12.0),
        atr_pct_max: Some(0.05),
        price_min: Some(5.0),
        dollar_volume_min: Some(2_000_000.0),
        allows_ultra_risky: false,
        quality_min: Some(0.0),
        win_prob_min: Some(0.50),
    };

    pub const AGGRESSIVE: Self = Self {
        name: "aggressive",
        label: "Aggressive",
        ics_min: Some(50.0),
        tech_rating_min: Some(5.0),
        atr_pct_max: Some(0.10),
        price_min: Some(1.0),
        dollar_volume_min: Some(250_000.0),
        allows_ultra_risky: true,
        quality_min: None,
        win_prob_min: None,
    };

    pub const ALL: [Self; 3] = [Self::CONSERVATIVE, Self::BALANCED, Self::AGGRESSIVE];

    /// The profile of a name, "moderate" being another one for "balanced"; `None` when there is none such.
    pub fn named(name: &str) -> Option<Self> {
        let name = if name == "moderate" { "balanced" } else { name };
        Self::ALL.into_iter().find(|profile| profile.name == name)
    }

    /// The first limit that a row breaks; `None` when the profile shows it.
    ///
    /// # Shape
    /// An unknown win probability or quality breaks nothing, as in the investor tiers (§18); any other unknown breaks
    /// its limit: a careful investor does not buy what nobody measured.
    ///
    /// # Source
    /// "Do instead" of quirk Q13: the reference loads the profile, logs it and shows every row.
    pub fn first_broken(&self, row: &ProfileRow) -> Option<ProfileLimit> {
        let reaches = |value: Option<f64>, min: Option<f64>| min.is_none_or(|min| value.is_some_and(|v| v >= min));
        let reaches_or_unknown = |value: Option<f64>, min| value.is_none() || reaches(value, min);
        ProfileLimit::ALL.into_iter().find(|limit| match limit {
            ProfileLimit::Ics => !reaches(row.ics, self.ics_min),
            ProfileLimit::TechRating => !reaches(row.tech_rating, self.tech_rating_min),
            ProfileLimit::AtrPct => !reaches(row.atr_pct.map(|v| -v), self.atr_pct_max.map(|v| -v)),
            ProfileLimit::Price => !reaches(row.close, self.price_min),
            ProfileLimit::DollarVolume => !reaches(row.dollar_volume, self.dollar_volume_min),
            ProfileLimit::UltraRisky => row.is_ultra_risky && !self.allows_ultra_risky,
            ProfileLimit::Quality => !reaches_or_unknown(row.quality, self.quality_min),
            ProfileLimit::WinProb => !reaches_or_unknown(row.win_prob, self.win_prob_min),
        })
    }
}

/// What a profile looks at; units as in [`RiskProfile`].
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ProfileRow {
    pub ics: Option<f64>,
    /// The final rating.
    pub tech_rating: Option<f64>,
    pub atr_pct: Option<f64>,
    pub close: Option<f64>,
    pub dollar_volume: Option<f64>,
    pub is_ultra_risky: bool,
    pub quality: Option<f64>,
    pub win_prob: Option<f64>,
}

/// How long an investor means to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TradeStyle {
    ShortTermSwing,
    MediumTermSwing,
    Position,
}

impl TradeStyle {
    /// The published text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ShortTermSwing => "Short-term swing",
            Self::MediumTermSwing => "Medium-term swing",
            Self::Position => "Position / longer-term",
        }
    }
}

/// The strategy that plans are made for, as an operator names it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Plans follow the account's own risk and reward.
    #[default]
    None,
    ConservativeSwing,
    BalancedSwing,
    AggressiveSwing,
    ConservativePosition,
    AggressivePosition,
}

impl Strategy {
    pub fn profile(self) -> Option<&'static StrategyProfile> {
        StrategyProfile::ALL.iter().find(|profile| profile.strategy == self)
    }
}

/// How an investor trades.
///
/// # Units
/// `risk_pct` is percent of the account per trade, `target_rr` a ratio, `tech_rating_min` in rating points.
///
/// # Source
/// §13.2.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StrategyProfile {
    pub strategy: Strategy,
    /// As [`Strategy`] is written.
    pub name: &'static str,
    pub risk_pct: f64,
    pub target_rr: f64,
    pub tech_rating_min: f64,
    pub style: TradeStyle,
}

impl StrategyProfile {
    pub const ALL: [Self; 5] = [
        Self::swing(Strategy::ConservativeSwing, "conservative_swing", [0.5, 2.0, 15.0]),
        Self::swing(Strategy::BalancedSwing, "balanced_swing", [1.0, 2.0, 12.0]),
        Self::swing(Strategy::AggressiveSwing, "aggressive_swing", [1.5, 2.5, 10.0]),
        Self::position(Strategy::ConservativePosition, "conservative_position", [0.6, 2.0, 16.0]),
        Self::position(Strategy::AggressivePosition, "aggressive_position", [1.2, 2.5, 12.0]),
    ];

    const fn swing(strategy: Strategy, name: &'static str, [risk_pct, target_rr, tech_rating_min]: [f64; 3]) -> Self {
        Self { strategy, name, risk_pct, target_rr, tech_rating_min, style: TradeStyle::ShortTermSwing }
    }

    const fn position(strategy: Strategy, name: &'static str, numbers: [f64; 3]) -> Self {
        Self { style: TradeStyle::Position, ..Self::swing(strategy, name, numbers) }
    }

    /// The account, with the risk and the reward of the strategy.
    pub fn account(&self, account: Account) -> Account {
        Account { risk_pct: self.risk_pct, target_rr: self.target_rr, ..account }
    }

    /// Whether it trades a row of this rating, on either side.
    pub fn trades(&self, tech_rating: Option<f64>) -> bool {
        tech_rating.is_some_and(|rating| rating.abs() >= self.tech_rating_min)
    }

    /// `None` when there is none such.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound() -> ProfileRow {
        ProfileRow {
            ics: Some(90.0),
            tech_rating: Some(25.0),
            atr_pct: Some(0.02),
            close: Some(50.0),
            dollar_volume: Some(1e8),
            is_ultra_risky: false,
            quality: Some(60.0),
            win_prob: Some(0.7),
        }
    }

    /// Quirk Q13: the reference would show each of these rows.
    #[test]
    fn a_profile_filters_by_each_limit() {
        let check = |row: ProfileRow, expected| {
            assert_eq!(RiskProfile::CONSERVATIVE.first_broken(&row), expected, "{row:?}");
        };
        check(sound(), None);
        check(ProfileRow { ics: Some(79.9), ..sound() }, Some(ProfileLimit::Ics));
        check(ProfileRow { ics: None, ..sound() }, Some(ProfileLimit::Ics));
        check(ProfileRow { tech_rating: Some(21.0), ..sound() }, Some(ProfileLimit::TechRating));
        check(ProfileRow { atr_pct: Some(0.025), ..sound() }, None);
        check(ProfileRow { atr_pct: Some(0.026), ..sound() }, Some(ProfileLimit::AtrPct));
        check(ProfileRow { close: Some(14.0), ..sound() }, Some(ProfileLimit::Price));
        check(ProfileRow { dollar_volume: Some(9e6), ..sound() }, Some(ProfileLimit::DollarVolume));
        check(ProfileRow { is_ultra_risky: true, ..sound() }, Some(ProfileLimit::UltraRisky));
        check(ProfileRow { quality: None, win_prob: None, ..sound() }, None);
        check(ProfileRow { win_prob: Some(0.50), ..sound() }, Some(ProfileLimit::WinProb));
        check(ProfileRow::default(), Some(ProfileLimit::Ics));
    }

    #[test]
    fn the_ladder_widens_upwards() {
        let row = ProfileRow { is_ultra_risky: true, atr_pct: Some(0.09), ics: Some(55.0), ..sound() };
        assert_eq!(RiskProfile::named("moderate"), Some(RiskProfile::BALANCED));
        assert_eq!(RiskProfile::BALANCED.first_broken(&row), Some(ProfileLimit::Ics));
        assert_eq!(RiskProfile::AGGRESSIVE.first_broken(&row), None);
        assert_eq!(RiskProfile::named("reckless"), None);
        assert_eq!(
            StrategyProfile::named("balanced_swing").map(|profile| profile.style.as_str()),
            Some("Short-term swing")
        );
    }

    #[test]
    fn a_strategy_is_found_by_the_name_it_is_configured_with() {
        assert_eq!(Strategy::None.profile(), None);
        for profile in StrategyProfile::ALL {
            assert_eq!(serde_json::to_value(profile.strategy).unwrap(), profile.name);
            assert_eq!(profile.strategy.profile(), Some(&profile));
            let account = profile.account(Account { size: 77.0, ..Account::default() });
            assert_eq!(
                (account.size, account.risk_pct, account.target_rr),
                (77.0, profile.risk_pct, profile.target_rr)
            );
            assert!(profile.trades(Some(-profile.tech_rating_min)) && !profile.trades(None));
            assert!(!profile.trades(Some(profile.tech_rating_min - 0.5)));
        }
    }
}
