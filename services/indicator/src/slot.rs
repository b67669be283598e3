use schemas::{Bar, BarFlags};
use serde::{Deserialize, Serialize};

use crate::atr::{Atr, true_range};
use crate::features::{gap, is_above, percent_from_high, realised_volatility, simple_return};
use crate::macd::Macd;
use crate::plan::Column;
use crate::ring::Ring;
use crate::rolling::mean;
use crate::rsi::Rsi;
use crate::values::Values;

/// The longest window over closes: SMA200.
pub(crate) const N_CLOSES: usize = 200;
pub(crate) const N_DOLLAR_VOLUMES: usize = 20;
pub(crate) const N_GAPS: usize = 10;

/// Everything the columns need to know of one symbol's past bars: plain data of a fixed size.
///
/// A bar with [`BarFlags::SEGMENT_START`] begins a fresh history. Bars are taken as they are: whether one may be
/// applied is the stage's business, whether it is possible was checked when it was decoded.
#[derive(Debug, Clone, Default)]
pub struct Slot {
    pub(crate) hot: Hot,
    /// `hot` as it was before the newest bar. The rings need no copy: the newest bar took the place of one that no
    /// window reaches any more.
    pub(crate) before: Hot,
    pub(crate) closes: Ring<N_CLOSES>,
    /// Close × volume.
    pub(crate) dollar_volumes: Ring<N_DOLLAR_VOLUMES>,
    pub(crate) gaps: Ring<N_GAPS>,
}

/// The part of a slot that every bar changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Hot {
    /// Bars ever taken in: the place in the rings. Not set back by a new segment, so that even its start can be undone.
    pub(crate) n_pushed: u32,
    /// Bars of the current segment.
    pub(crate) n_bars: u32,
    macd: Macd,
    rsi: Rsi,
    atr: Atr,
}

/// What a bar makes of a slot, not yet stored.
struct Step {
    hot: Hot,
    close: f64,
    dollar_volume: f64,
    gap: f64,
}

impl Slot {
    /// The columns as if the bar closed now. Changes nothing.
    #[must_use]
    pub fn amend(&self, bar: &Bar) -> Values {
        self.calc(bar).1
    }

    /// Takes in a final bar.
    pub fn close(&mut self, bar: &Bar) -> Values {
        let (step, values) = self.calc(bar);
        self.store(&step);
        values
    }

    /// Takes in a final bar as [`close`](Self::close) does, without computing the columns.
    pub fn push(&mut self, bar: &Bar) {
        let step = self.step(bar);
        self.store(&step);
    }

    /// Takes in another version of the newest bar in its place.
    ///
    /// On an empty slot it closes the bar. One bar deep: the versions of the newest bar may follow each other, the bars
    /// before it are settled.
    pub fn correct(&mut self, bar: &Bar) -> Values {
        self.hot = self.before;
        self.close(bar)
    }

    /// Bars of the current segment.
    pub fn n_bars(&self) -> u32 {
        self.hot.n_bars
    }

    /// The one body behind amend and close, so that they cannot disagree.
    fn calc(&self, bar: &Bar) -> (Step, Values) {
        let step = self.step(bar);
        let values = self.values(&step);
        (step, values)
    }

    fn step(&self, bar: &Bar) -> Step {
        let mut hot = self.hot;
        if bar.flags.contains(BarFlags::SEGMENT_START) {
            hot = Hot { n_pushed: hot.n_pushed, ..Hot::default() };
        }
        let mut gap_now = 0.0; // Never in a window that is shown: the first bar of a segment has no gap.
        hot.macd = hot.macd.next(hot.n_bars, bar.close);
        if let Some(n_changes) = hot.n_bars.checked_sub(1) {
            let previous_close = self.closes.newest(hot.n_pushed);
            hot.rsi = hot.rsi.next(n_changes, bar.close - previous_close);
            hot.atr = hot.atr.next(n_changes, true_range(bar, previous_close));
            gap_now = gap(bar.open, previous_close);
        }
        hot.n_pushed += 1;
        hot.n_bars += 1;
        Step { hot, close: bar.close, dollar_volume: bar.close * bar.volume, gap: gap_now }
    }

    fn store(&mut self, step: &Step) {
        let n_before = self.hot.n_pushed;
        self.before = self.hot;
        self.hot = step.hot;
        self.closes.put(n_before, step.close);
        self.dollar_volumes.put(n_before, step.dollar_volume);
        self.gaps.put(n_before, step.gap);
    }

    fn values(&self, step: &Step) -> Values {
        let n_stored = self.hot.n_pushed;
        let Hot { n_bars, macd, rsi, atr, .. } = step.hot;
        let mut window = [0.0; N_CLOSES];
        self.closes.copy_window(n_stored, step.close, &mut window);
        let closes = Closes { window: &window, n_bars };
        let mut values = Values::missing();

        let sma20 = closes.last::<20>().map(mean).filter(|average| average.is_finite());
        let sma50 = closes.last::<50>().map(mean).filter(|average| average.is_finite());
        values.set(Column::NBars, Some(f64::from(n_bars)));
        values.set(Column::Sma20, sma20);
        values.set(Column::Sma50, sma50);
        values.set(Column::Sma200, closes.last::<200>().map(mean));
        values.set(Column::Sma20Above50, sma20.zip(sma50).map(|(fast, slow)| is_above(fast, slow)));
        values.set(Column::PctFromHigh20, closes.last::<20>().map(percent_from_high));

        values.set(Column::Ret1d, closes.last::<2>().map(simple_return));
        values.set(Column::Ret5d, closes.last::<6>().map(simple_return));
        values.set(Column::Ret21d, closes.last::<22>().map(simple_return));
        values.set(Column::VolRealized20, closes.last::<21>().map(realised_volatility));

        values.set(Column::Rsi14, rsi.value(n_bars - 1));
        if let Some(macd) = macd.values(n_bars) {
            values.set(Column::Macd, Some(macd.line));
            values.set(Column::MacdSignal, Some(macd.signal));
            values.set(Column::MacdHist, Some(macd.histogram));
        }
        let atr14 = atr.value(n_bars - 1);
        values.set(Column::Atr14, atr14);
        values.set(Column::AtrPct14, atr14.map(|atr14| atr14 / step.close));

        if n_bars as usize >= N_DOLLAR_VOLUMES {
            let mut window = [0.0; N_DOLLAR_VOLUMES];
            self.dollar_volumes.copy_window(n_stored, step.dollar_volume, &mut window);
            let average = mean(&window);
            values.set(Column::DollarVol20, Some(average));
            // Twenty bars without a trade: 0 / 0, which is missing.
            values.set(Column::VolSpikeRatio, Some(step.dollar_volume / average));
        }
        if n_bars as usize > N_GAPS {
            let mut window = [0.0; N_GAPS];
            self.gaps.copy_window(n_stored, step.gap, &mut window);
            values.set(Column::GapMean10, Some(mean(&window)));
        }
        values
    }
}

/// The closes up to the bar at hand.
struct Closes<'a> {
    window: &'a [f64; N_CLOSES],
    n_bars: u32,
}

impl Closes<'_> {
    /// `None` while the segment has fewer.
    fn last<const N: usize>(&self) -> Option<&[f64; N]> {
        self.window.last_chunk().filter(|_| self.n_bars as usize >= N)
    }
}

/// The columns at the last of a symbol's bars, in the order of time; `None` when there are none.
///
/// The same numbers as closing bar after bar, several times as fast: only the last bar pays for its columns.
pub fn recompute<'a>(bars: impl IntoIterator<Item = &'a Bar>) -> Option<Values> {
    let mut bars = bars.into_iter();
    let mut last = bars.next()?;
    let mut slot = Slot::default();
    for bar in bars {
        slot.push(last);
        last = bar;
    }
    Some(slot.amend(last))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::plan::{NAMES, plan};
    use crate::testing::{any_bar, any_bars, bar, bars, closed, slot_bits, value_bits};

    fn check(bars: &[Bar], expected: &[(&str, Option<f64>)]) {
        let values = recompute(bars).expect("there are bars");
        for &(name, expected) in expected {
            let value = values.get(plan().index_of(name).expect("is a column"));
            let is_equal = match (value, expected) {
                (Some(value), Some(expected)) => (value - expected).abs() <= 1e-12 * expected.abs().max(1.0),
                (value, expected) => value.is_none() && expected.is_none(),
            };
            assert!(is_equal, "{name} of {} bars: {value:?} instead of {expected:?}", bars.len());
        }
    }

    #[test]
    fn a_column_appears_with_the_bar_that_completes_its_window() {
        for (name, n_needed) in [
            ("n_bars", 1),
            ("sma20", 20),
            ("sma50", 50),
            ("sma200", 200),
            ("rsi14", 15),
            ("macd", 34),
            ("macd_signal", 34),
            ("macd_hist", 34),
            ("atr14", 15),
            ("ret_1d", 2),
            ("ret_5d", 6),
            ("ret_21d", 22),
            ("vol_realized_20", 21),
            ("atr_pct_14", 15),
            ("sma_20_above_50", 50),
            ("pct_from_high20", 20),
            ("dollar_vol_20", 20),
            ("vol_spike_ratio", 20),
            ("gap_mean_10", 11),
        ] {
            let column = plan().index_of(name).expect("is a column");
            let history = bars((0..220).map(|day| 100.0 + f64::from(day % 7)));
            let mut slot = Slot::default();
            for (n_bars, bar) in (1..).zip(&history) {
                assert_eq!(slot.close(bar).get(column).is_some(), n_bars >= n_needed, "{name} at bar {n_bars}");
            }
        }
        assert_eq!(NAMES.len(), 19, "a new column needs a line above");
    }

    #[test]
    fn a_rise() {
        check(
            &bars((1..=220).map(f64::from)),
            &[
                ("n_bars", Some(220.0)),
                ("sma20", Some(210.5)),
                ("sma50", Some(195.5)),
                ("sma200", Some(120.5)),
                ("rsi14", Some(100.0)),
                ("macd", Some(7.0)),
                ("macd_hist", Some(0.0)),
                ("atr14", Some(1.0)),
                ("ret_1d", Some(220.0 / 219.0 - 1.0)),
                ("ret_5d", Some(220.0 / 215.0 - 1.0)),
                ("ret_21d", Some(220.0 / 199.0 - 1.0)),
                ("atr_pct_14", Some(1.0 / 220.0)),
                ("sma_20_above_50", Some(1.0)),
                ("pct_from_high20", Some(0.0)),
                ("dollar_vol_20", Some(21_050.0)),
                ("vol_spike_ratio", Some(220.0 / 210.5)),
            ],
        );
    }

    #[test]
    fn a_fall() {
        check(
            &bars((1..=220).rev().map(f64::from)),
            &[
                ("sma20", Some(10.5)),
                ("rsi14", Some(0.0)),
                ("macd", Some(-7.0)),
                ("atr14", Some(1.0)),
                ("ret_1d", Some(-0.5)),
                ("sma_20_above_50", Some(0.0)),
                ("pct_from_high20", Some(-95.0)),
            ],
        );
    }

    #[test]
    fn a_flat_line_without_a_trade() {
        let flat: Vec<Bar> = (0..220).map(|day| Bar { volume: 0.0, ..bar(day, 10.1) }).collect();
        check(
            &flat,
            &[
                ("sma20", Some(10.1)),
                ("rsi14", Some(0.0)),
                ("macd_hist", Some(0.0)),
                ("atr14", Some(0.0)),
                ("vol_realized_20", Some(0.0)),
                ("sma_20_above_50", Some(0.0)),
                ("pct_from_high20", Some(0.0)),
                ("dollar_vol_20", Some(0.0)),
                ("vol_spike_ratio", None),
                ("gap_mean_10", Some(0.0)),
            ],
        );
    }

    #[test]
    fn gaps_count_from_close_to_open() {
        let mut history = bars([10.0; 11]);
        history[3].open = 9.0;
        history[10].open = 12.0;
        check(&history, &[("gap_mean_10", Some(0.03))]);
        history[0].open = 1.0;
        check(&history, &[("gap_mean_10", Some(0.03))]);
        history.push(bar(11, 10.0));
        check(&history, &[("gap_mean_10", Some(0.03))]);
        history.extend(bars([10.0; 2]));
        check(&history, &[("gap_mean_10", Some(0.02))]);
    }

    #[test]
    fn sma_20_above_50_is_missing_while_unknown_and_0_on_a_tie() {
        check(&bars((1..=49).map(f64::from)), &[("sma20", Some(39.5)), ("sma_20_above_50", None)]);
        check(&bars([5.0; 50]), &[("sma_20_above_50", Some(0.0))]);
    }

    #[test]
    fn a_segment_starts_from_nothing_closed_or_forming() {
        let mut start = bar(60, 50.0);
        start.flags = start.flags.with(BarFlags::SEGMENT_START);
        let mut slot = closed(&bars((1..=60).map(f64::from)));
        let fresh = Slot::default().amend(&bar(60, 50.0));
        assert_eq!(value_bits(&slot.amend(&start)), value_bits(&fresh));
        assert_eq!(slot.n_bars(), 60);
        assert_eq!(value_bits(&slot.close(&start)), value_bits(&fresh));
        assert_eq!(slot.n_bars(), 1);
        check(&[bars([1.0; 60]), vec![start], bars([55.0])].concat(), &[("n_bars", Some(2.0)), ("ret_1d", Some(0.1))]);
    }

    #[test]
    fn even_the_start_of_a_segment_can_be_corrected() {
        let history = bars((1..=60).map(f64::from));
        let plain = bar(60, 70.0);
        let start = Bar { flags: plain.flags.with(BarFlags::SEGMENT_START), ..plain };
        let mut slot = closed(&history);
        slot.close(&start);
        let values = slot.correct(&plain);
        let mut expected = closed(&history);
        assert_eq!(value_bits(&values), value_bits(&expected.close(&plain)));
        assert_eq!(slot_bits(&slot), slot_bits(&expected));
    }

    #[test]
    fn numbers_at_the_limits_are_missing_rather_than_infinite() {
        let mut slot = Slot::default();
        for day in 0..250 {
            let price = if day % 2 == 0 { f64::MAX } else { f64::MIN_POSITIVE };
            let values = slot.close(&bar(day, price));
            assert!(values.as_slice().iter().all(|value| !value.is_infinite()), "{values:?}");
        }
        let values = slot.amend(&bar(250, 10.0));
        for name in ["sma20", "rsi14", "macd", "sma_20_above_50"] {
            assert_eq!(values.get(plan().index_of(name).expect("is a column")), None, "{name}");
        }
    }

    #[test]
    fn is_small() {
        assert!(size_of::<Slot>() <= 2400, "{}", size_of::<Slot>());
    }

    #[test]
    fn nothing_comes_of_no_bars() {
        assert!(recompute(&[]).is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn amend_shows_what_close_shows_and_changes_nothing(
            history in any_bars(0..300),
            forming in proptest::collection::vec(any_bar(), 1..5),
        ) {
            let mut slot = closed(&history);
            let bits = slot_bits(&slot);
            for bar in &forming {
                let shown = slot.amend(bar);
                prop_assert_eq!(&slot_bits(&slot), &bits);
                prop_assert_eq!(value_bits(&shown), value_bits(&slot.clone().close(bar)));
            }
            let last = forming.last().expect("there is one");
            let values = slot.close(last);
            prop_assert_eq!(value_bits(&values), value_bits(&closed(&history).close(last)));
        }

        #[test]
        fn push_leaves_what_close_leaves(history in any_bars(0..300)) {
            let mut pushed = Slot::default();
            for bar in &history {
                pushed.push(bar);
            }
            prop_assert_eq!(slot_bits(&pushed), slot_bits(&closed(&history)));
        }

        #[test]
        fn recompute_is_the_last_close(history in any_bars(1..300)) {
            let mut slot = Slot::default();
            let last = history.iter().map(|bar| slot.close(bar)).last().expect("there is one");
            prop_assert_eq!(value_bits(&recompute(&history).expect("there is one")), value_bits(&last));
        }

        #[test]
        fn a_correction_leaves_what_the_right_bar_would_have(
            history in any_bars(0..300),
            wrong in proptest::collection::vec(any_bar(), 1..4),
            right in any_bar(),
        ) {
            let mut slot = closed(&history);
            slot.close(&wrong[0]);
            wrong[1..].iter().for_each(|bar| { slot.correct(bar); });
            let values = slot.correct(&right);
            let mut expected = closed(&history);
            prop_assert_eq!(value_bits(&values), value_bits(&expected.close(&right)));
            prop_assert_eq!(slot_bits(&slot), slot_bits(&expected));
        }

        #[test]
        fn columns_do_not_depend_on_where_the_rings_begin(before in 1..220_usize, history in any_bars(1..260)) {
            let mut history = history;
            history[0].flags = history[0].flags.with(BarFlags::SEGMENT_START);
            let mut shifted = closed(&bars(vec![3.0; before]));
            let mut fresh = Slot::default();
            for bar in &history {
                prop_assert_eq!(value_bits(&shifted.close(bar)), value_bits(&fresh.close(bar)));
            }
        }

        #[test]
        fn columns_stay_in_their_bounds(history in any_bars(1..300)) {
            let value = |values: &Values, name: &str| values.get(plan().index_of(name).expect("is a column"));
            let mut slot = Slot::default();
            for bar in &history {
                let values = slot.close(bar);
                prop_assert!(value(&values, "rsi14").is_none_or(|rsi| (0.0..=100.0).contains(&rsi)));
                prop_assert!(value(&values, "pct_from_high20").is_none_or(|percent| percent <= 0.0));
                for name in ["atr14", "vol_realized_20", "dollar_vol_20", "gap_mean_10", "vol_spike_ratio"] {
                    prop_assert!(value(&values, name).is_none_or(|number| number >= 0.0), "{}", name);
                }
            }
        }
    }
}
