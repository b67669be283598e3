//! The conditions of the universe, asked of a row of the table.

use schemas::{BarFlags, Instrument};

use crate::entry::Entry;
use crate::universe::{
    Exclusion, InstitutionalInputs, Listing, ListingRules, TradedInputs, institutional_exclusion, traded_exclusion,
};

/// The first condition of §17 that a row fails.
///
/// Such a row is ranked and published all the same, for those who follow its symbol; no risk profile shows it
/// (ADR 0010). What is unknown passes: a symbol without reference data is no listing, so its name and its company are
/// not asked about.
pub(crate) fn exclusion(entry: &Entry, market_cap: Option<f64>, instrument: Option<&Instrument>) -> Option<Exclusion> {
    let inputs = &entry.inputs;
    let of_listing = |instrument: &Instrument| {
        let listing = Listing {
            symbol: without_class(inputs.symbol.as_str()),
            sector: instrument.sector.as_deref(),
            industry: instrument.industry.as_deref(),
            subindustry: None,
        };
        let rules = ListingRules::default();
        rules.exclusion(&listing).or_else(|| rules.pre_screen(&listing, market_cap))
    };
    let of_bars = || {
        traded_exclusion(&TradedInputs {
            n_bars: usize::try_from(inputs.n_bars).unwrap_or(usize::MAX),
            close: inputs.close,
            dollar_volume: inputs.dollar_vol_20,
            variation: inputs.close_variation(),
        })
    };
    // A bar that is forming has traded only a part of its day.
    let is_final = inputs.flags().contains(BarFlags::FINAL);
    let dollar_volume = inputs.dollar_vol_20.filter(|_| !is_final).unwrap_or(entry.dollar_volume);
    let of_row = || {
        institutional_exclusion(&InstitutionalInputs {
            dollar_volume,
            close: inputs.close,
            market_cap,
            atr_pct: entry.atr_pct,
        })
    };
    instrument.and_then(of_listing).or_else(of_bars).or_else(of_row)
}

/// `BRK` of `BRK.B`: a share class is as ordinary a stock as one without.
fn without_class(symbol: &str) -> &str {
    match symbol.split_once('.') {
        Some((name, class)) if class.len() == 1 && class.bytes().all(|byte| byte.is_ascii_uppercase()) => name,
        _ => symbol,
    }
}

#[cfg(test)]
mod tests {
    use schemas::{Bar, EventTime};

    use super::*;
    use crate::ScoringInput;
    use crate::world::{bar, day, instrument, settled, symbol};

    const COLUMNS: [(&str, f64); 4] = [("n_bars", 60.0), ("dollar_vol_20", 1e7), ("sma20", 10.0), ("atr_pct_14", 0.02)];

    #[test]
    fn a_row_names_the_first_condition_it_fails_and_no_profile_shows_it() {
        let check =
            |name: &str, day: Bar, changed: (&str, f64), reference: Option<Instrument>, expected: Option<&str>| {
                let columns: Vec<_> = std::iter::once(changed).chain(COLUMNS).collect();
                let inputs = reference.map(ScoringInput::Instrument).into_iter().chain([bar(name, day, &columns)]);
                let (rows, why_not) = settled(inputs);
                assert_eq!((rows.len(), why_not.len()), (1, 0), "it is ranked all the same");
                assert_eq!(rows[0].excluded.as_deref(), expected, "{name} {changed:?}");
                for verdict in rows[0].profiles.iter().filter(|_| expected.is_some()) {
                    assert_eq!(verdict.breaks.as_deref(), expected);
                }
            };
        let (usual, none) = (day(9, 10.0, 1e6), ("rsi14", 50.0));
        let in_industry = |name, industry: &str, shares: Option<f64>| {
            let shares = shares.map(|shares| (shares, EventTime::from_days(5)));
            Some(Instrument { industry: Some(industry.into()), shares, ..instrument(name) })
        };
        check("ABC", usual, none, None, None);
        check("TOOLONG", usual, none, None, None);
        check("TOOLONG", usual, none, in_industry("TOOLONG", "Oil", None), Some("symbol_shape"));
        check("BRK.B", usual, none, in_industry("BRK.B", "Insurance", None), None);
        check("TQQQ", usual, none, in_industry("TQQQ", "Funds", None), Some("leveraged_fund"));
        check("ABC", usual, none, in_industry("ABC", "REIT", Some(1.0)), Some("fund_industry"));
        check("ABC", usual, none, in_industry("ABC", "Oil", Some(1e7)), Some("small_company"));
        check("ABC", day(9, 0.5, 1e9), none, None, Some("price_too_low"));
        check("ABC", usual, ("dollar_vol_20", 2e5), None, Some("dollar_volume_too_low"));
        // A band 12.1 above a mean of 10 is a deviation of 6.05 among 20, or 6.2 of a sample.
        check("ABC", usual, ("bb_upper20", 22.1), None, Some("price_too_erratic"));
        check("ABC", usual, ("bb_upper20", 19.7), None, None);
        check("ABC", day(9, 10.0, 1e4), none, None, Some("last_dollar_volume_too_low"));
        let forming = Bar { flags: BarFlags::default(), ..day(9, 10.0, 1e4) };
        check("ABC", forming, none, None, None);
        check("ABC", usual, ("atr_pct_14", 1.5), None, Some("atr_too_high"));
    }

    #[test]
    fn a_symbol_without_a_result_says_why() {
        let old = bar("OLD", day(9, 10.0, 1e6), &COLUMNS);
        let young = bar("YOUNG", day(20, 10.0, 1e6), &[("n_bars", 5.0)]);
        let (rows, why_not) = settled([old, young, bar("ABC", day(20, 10.0, 1e6), &COLUMNS)]);
        assert_eq!(rows.iter().map(|row| row.symbol).collect::<Vec<_>>(), [symbol("ABC")]);
        let expected = [(symbol("OLD"), "no_recent_bar".to_owned()), (symbol("YOUNG"), "too_few_bars".to_owned())];
        assert_eq!(why_not, expected);
    }

    #[test]
    fn a_share_class_is_no_part_of_the_name() {
        let check = |symbol, expected| assert_eq!(without_class(symbol), expected);
        check("BRK.B", "BRK");
        check("AAPL", "AAPL");
        check("BAC.PRL", "BAC.PRL");
        check("X.5", "X.5");
    }
}
