use crate::plan::{Column, N_COLUMNS};

/// Columns that a [`Slot`](crate::Slot) is asked for; what nobody asks for is not computed.
///
/// ```
/// use indicator::{Selection, plan};
///
/// let columns = ["rsi14", "macd_hist"].map(|name| plan().index_of(name).expect("is a column"));
/// assert_ne!(Selection::new(columns), Selection::all());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Selection(Parts);

impl Selection {
    /// Every column of the plan.
    pub fn all() -> Self {
        Self(Parts::ALL)
    }

    /// Columns by place.
    ///
    /// # Panics
    /// When a column is not in the plan.
    pub fn new(columns: impl IntoIterator<Item = usize>) -> Self {
        Self(columns.into_iter().fold(Parts::CORE, |parts, column| parts.with(OF_COLUMNS[column])))
    }

    pub(crate) fn parts(self) -> Parts {
        self.0
    }
}

impl Default for Selection {
    fn default() -> Self {
        Self::all()
    }
}

/// Parts of the engine: what columns share, and is left out where nobody asks for one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Parts(u16);

impl Parts {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const ALL: Self = Self(u16::MAX);
    /// The state, and what follows from it with next to no work.
    pub(crate) const CORE: Self = Self(1);
    pub(crate) const AVERAGES: Self = Self(1 << 1);
    pub(crate) const STRENGTH: Self = Self(1 << 2);
    pub(crate) const SLOPE: Self = Self(1 << 3);
    pub(crate) const RSIS: Self = Self(1 << 4);
    pub(crate) const COMMODITY: Self = Self(1 << 5);
    pub(crate) const RANGES: Self = Self(1 << 6);
    pub(crate) const CHANNELS: Self = Self(1 << 7);
    pub(crate) const LEVELS: Self = Self(1 << 8);
    pub(crate) const CLOSES: Self = Self(1 << 9);
    pub(crate) const YEAR: Self = Self(1 << 10);
    pub(crate) const FLOWS: Self = Self(1 << 11);
    pub(crate) const VOLUMES: Self = Self(1 << 12);
    pub(crate) const RETURNS: Self = Self(1 << 13);
    pub(crate) const VOLATILITIES: Self = Self(1 << 14);
    pub(crate) const GAPS: Self = Self(1 << 15);

    /// Whether all of them are in here.
    #[inline(always)]
    pub(crate) const fn has(self, parts: Self) -> bool {
        self.0 & parts.0 == parts.0
    }

    /// Whether one of them is in here.
    #[inline(always)]
    pub(crate) const fn any(self, parts: Self) -> bool {
        self.0 & parts.0 != 0
    }

    /// What can be computed of them, by place.
    pub(crate) fn columns(self) -> impl Iterator<Item = usize> {
        (0..N_COLUMNS).filter(move |&column| self.has(OF_COLUMNS[column]))
    }

    #[must_use]
    pub(crate) const fn with(self, parts: Self) -> Self {
        Self(self.0 | parts.0)
    }
}

/// What each column needs.
const OF_COLUMNS: [Parts; N_COLUMNS] = of_columns();

const fn of_columns() -> [Parts; N_COLUMNS] {
    use Column::{
        AroonDown25, AroonUp25, Aroonosc25, AtrPctSimple14, BbLower20, BbMid20, BbUpper20, Cci20, Cmf20, DistHigh252,
        DistLow252, DollarVol20, DonchianLo20, DonchianMid20, DonchianUp20, GapMean10, GapPct, High5, High10, Hv20,
        IchimokuKijun, IchimokuSpanA, IchimokuSpanB, IchimokuTenkan, LinregSlope20, Low5, Low10, MaSlope20, Mfi14,
        PctFromHigh20, PctFromLow20, Ppo1226Ema, Ppo1226Sma, Ret1d, Ret5d, Ret10d, Ret21d, Ret63d, Ret126d, Ret252d,
        Rvol20, Sma10, Sma20, Sma20Above50, Sma50, Stochrsi1453D, Stochrsi1453K, Stochrsi14143D, Stochrsi14143K,
        TrendStrength50, Ultosc71428, VolRealized10, VolRealized20, VolRealized60, VolSpikeRatio, Vwap20,
    };
    let parts: [(Parts, &[Column]); 15] = [
        (
            Parts::AVERAGES,
            &[Sma10, Sma20, Sma50, Ppo1226Sma, Ppo1226Ema, LinregSlope20, BbUpper20, BbMid20, BbLower20, Sma20Above50],
        ),
        (Parts::AVERAGES.with(Parts::STRENGTH), &[TrendStrength50]),
        (Parts::AVERAGES.with(Parts::SLOPE), &[MaSlope20]),
        (Parts::RSIS, &[Stochrsi1453K, Stochrsi1453D, Stochrsi14143K, Stochrsi14143D]),
        (Parts::COMMODITY, &[Cci20]),
        (Parts::RANGES, &[AtrPctSimple14, Ultosc71428]),
        (
            Parts::CHANNELS,
            &[
                AroonUp25,
                AroonDown25,
                Aroonosc25,
                DonchianUp20,
                DonchianMid20,
                DonchianLo20,
                IchimokuTenkan,
                IchimokuKijun,
                IchimokuSpanA,
                IchimokuSpanB,
            ],
        ),
        (Parts::LEVELS, &[High5, Low5, High10, Low10]),
        (Parts::CLOSES, &[PctFromHigh20, PctFromLow20]),
        (Parts::YEAR, &[DistHigh252, DistLow252]),
        (Parts::FLOWS, &[Mfi14]),
        (Parts::VOLUMES, &[Cmf20, Vwap20, Rvol20, DollarVol20, VolSpikeRatio]),
        (Parts::RETURNS, &[Ret1d, Ret5d, Ret10d, Ret21d, Ret63d, Ret126d, Ret252d]),
        (Parts::VOLATILITIES, &[VolRealized10, VolRealized20, VolRealized60, Hv20]),
        (Parts::GAPS, &[GapPct, GapMean10]),
    ];
    let mut of_columns = [Parts::CORE; N_COLUMNS];
    let mut part = 0;
    while part < parts.len() {
        let (parts, columns) = parts[part];
        let mut at = 0;
        while at < columns.len() {
            of_columns[columns[at] as usize] = Parts::CORE.with(parts);
            at += 1;
        }
        part += 1;
    }
    of_columns
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{any_bar, any_bars, closed, value_bits};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Whatever was asked for before.
        #[test]
        fn what_is_asked_for_is_what_all_columns_show(
            history in any_bars(0..300),
            rounds in proptest::collection::vec(
                (any_bar(), proptest::collection::vec(0..N_COLUMNS, 0..6), 0..4_u8), 1..8),
        ) {
            let mut whole = closed(&history);
            let mut slot = whole.clone();
            for (bar, columns, kind) in &rounds {
                let selection = Selection::new(columns.iter().copied());
                let (expected, found) = match kind {
                    0 => (whole.amend(bar), slot.amend_selected(bar, selection)),
                    1 => (whole.correct(bar), slot.correct_selected(bar, selection)),
                    _ => (whole.close(bar), slot.close_selected(bar, selection)),
                };
                let (expected, found) = (value_bits(&expected), value_bits(&found));
                for &column in columns {
                    prop_assert_eq!(expected[column], found[column], "{}", crate::plan::NAMES[column]);
                }
            }
        }
    }
}
