//! How many shares a plan may buy.

use serde::{Deserialize, Serialize};

use crate::trade_plan::Levels;

/// Whose money it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// USD.
    pub size: f64,
    /// How much of it one plan may lose, in percent.
    pub risk_pct: f64,
    /// Gain asked for per risk taken.
    pub target_rr: f64,
    pub allow_shorts: bool,
    /// How much of a day's dollar volume one plan may be, in percent.
    pub liquidity_cap_pct: f64,
    /// How many times the account one plan may be worth.
    ///
    /// # Source
    /// §13.3, "no leverage": 1; the reference has no limit.
    pub leverage_max: f64,
}

impl Default for Account {
    fn default() -> Self {
        Self {
            size: 10_000.0,
            risk_pct: 1.0,
            target_rr: 2.0,
            allow_shorts: false,
            liquidity_cap_pct: 5.0,
            leverage_max: 1.0,
        }
    }
}

/// How much to buy.
///
/// # Units
/// Shares.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sizing {
    pub shares: u64,
    /// What the stock's liquidity allows, in words, where that is less than the risk would.
    pub liquidity_note: Option<String>,
}

/// The shares that risk what the account allows, capped by what it holds and what the stock trades.
///
/// # Units
/// `dollar_volume` in USD per day; unknown does not cap.
///
/// # Source
/// §13.3.
pub fn sizing(levels: &Levels, account: &Account, dollar_volume: Option<f64>) -> Sizing {
    let by_risk = account.size * account.risk_pct / 100.0 / levels.risk();
    let by_account = account.size * account.leverage_max / levels.entry;
    let shares = by_risk.min(by_account).floor();
    let cap = dollar_volume.map(|dollar_volume| account.liquidity_cap_pct / 100.0 * dollar_volume);
    match cap {
        Some(cap) if shares * levels.entry > cap => Sizing {
            shares: count(cap / levels.entry),
            liquidity_note: Some(format!("Capped to {:.1}% ADV (~${})", account.liquidity_cap_pct, grouped(cap))),
        },
        _ => Sizing { shares: count(shares), liquidity_note: None },
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` rounds down and saturates")]
fn count(shares: f64) -> u64 {
    shares as u64
}

/// A whole number of dollars with thousands separators.
fn grouped(dollars: f64) -> String {
    let digits = format!("{dollars:.0}");
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trade_plan::Direction;

    #[test]
    fn liquidity_and_account_cap_the_size() {
        let levels = Levels { direction: Direction::Long, entry: 100.2, stop: 97.0, target: 106.6 };
        let plan = |dollar_volume, account: Account| sizing(&levels, &account, dollar_volume);
        let capped = plan(Some(40_000.0), Account::default());
        assert_eq!(capped, Sizing { shares: 19, liquidity_note: Some("Capped to 5.0% ADV (~$2,000)".to_owned()) });
        assert_eq!(plan(None, Account { risk_pct: 50.0, ..Account::default() }).shares, 99);
        let leveraged = Account { risk_pct: 50.0, leverage_max: f64::INFINITY, ..Account::default() };
        assert_eq!(plan(None, leveraged).shares, 1562);
        assert_eq!(grouped(1_234_567.4), "1,234,567");
        assert_eq!(grouped(999.0), "999");
    }
}
