use pulp::{Simd, WithSimd};
use schemas::{Bar, BarFlags};

use crate::channel::{Channel, Channels, N_YEAR, range13, year};
use crate::engine::{Hot, Scene, Step, step};
use crate::input::{Input, N_CLOSES, Past};
use crate::kama::Paths;
use crate::near::{Near, NearExtremes};
use crate::plan::N_COLUMNS;
use crate::state::{State, Unit};
use crate::stochastic::RsiPlaces;
use crate::tapes::{Entry, Offset, Tapes};
use crate::target::dispatch;
use crate::terms::NewTerms;
use crate::values::Values;
use crate::windows::{WindowExtremes, Windows};

/// Everything the columns need to know of one symbol's past bars: plain data of a fixed size.
///
/// A bar with [`BarFlags::SEGMENT_START`] begins a fresh history. A bar that cannot be (see [`Bar::check`]) is refused: it
/// has no values and leaves the slot as it is, to the bit. Whether a possible bar may be applied is the stage's business.
#[derive(Debug, Clone, Default)]
pub struct Slot {
    pub(crate) head: Head,
    /// As it was before the newest bar. The tapes need no copy: what the newest bar added stands behind the older window.
    pub(crate) before: Head,
    pub(crate) tapes: Tapes,
    /// What the tapes hold, as long as it is fresh: then a bar need not look at them.
    windows: Windows<f64>,
}

/// The part of a slot that every bar changes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    /// Bars of the current segment.
    pub(crate) n_bars: u32,
    pub(crate) offset: Offset,
    /// Whether the windows are those of this head.
    pub(crate) is_fresh: bool,
    pub(crate) hot: Hot<f64>,
}

impl Default for Head {
    fn default() -> Self {
        Self { n_bars: 0, offset: Offset::default(), is_fresh: false, hot: Hot::filled(0.0) }
    }
}

impl Slot {
    /// The columns as if the bar closed now. Changes nothing.
    #[must_use]
    pub fn amend(&self, bar: &Bar) -> Values {
        if is_impossible(bar) {
            return Values::missing();
        }
        dispatch(Amend { slot: self, bar })
    }

    /// Takes in a final bar.
    pub fn close(&mut self, bar: &Bar) -> Values {
        if is_impossible(bar) {
            return Values::missing();
        }
        dispatch(Close { slot: self, bar })
    }

    /// Takes in a final bar as [`close`](Self::close) does, without computing the columns.
    pub fn push(&mut self, bar: &Bar) {
        if is_impossible(bar) {
            return;
        }
        dispatch(Push { slot: self, bar });
    }

    /// Takes in another version of the newest bar in its place.
    ///
    /// On an empty slot it closes the bar. One bar deep: the versions of the newest bar may follow each other, the bars
    /// before it are settled.
    pub fn correct(&mut self, bar: &Bar) -> Values {
        if is_impossible(bar) {
            return Values::missing();
        }
        self.head = self.before;
        self.head.is_fresh = false;
        self.close(bar)
    }

    /// Makes the past comparable with prices that a split has multiplied by `price_factor`, and share counts that it has
    /// divided by it: exact for a power of two, to rounding else.
    ///
    /// # Panics
    /// When the factor is not a positive number.
    pub fn rescale(&mut self, price_factor: f64) {
        assert!(price_factor.is_finite() && price_factor > 0.0, "a split by {price_factor} cannot be");
        for head in [&mut self.head, &mut self.before] {
            head.hot.visit(Unit::Plain, &mut |number, unit| match unit {
                Unit::Price => *number *= price_factor,
                Unit::Shares => *number /= price_factor,
                Unit::Plain => {}
            });
        }
        self.tapes.rescale(price_factor);
        self.head.is_fresh = false;
    }

    /// Bars of the current segment.
    pub fn n_bars(&self) -> u32 {
        self.head.n_bars
    }

    /// As [`close`](Self::close), inside a dispatch. The bar must be possible.
    #[inline(always)]
    pub(crate) fn close_with<S: Simd>(&mut self, simd: S, bar: &Bar) -> Values {
        let (stepped, carried, values) = self.calc(simd, bar);
        self.take_in(&stepped);
        self.refresh(simd, Some(carried));
        values
    }

    /// The one body behind amend and close, so that they cannot disagree.
    #[inline(always)]
    fn calc<S: Simd>(&self, simd: S, bar: &Bar) -> (Stepped, Carried, Values) {
        self.tapes.load();
        let past = self.past(simd);
        let found;
        let windows = if self.head.is_fresh {
            &self.windows
        } else {
            found = simd.vectorize(FindWindows { past: &past, of_year: None, rsis: None });
            &found
        };
        let near = Near::of(&past, NearExtremes::of(&past));
        let paths = Paths { of_9: near.path9, of_29: windows.path29 };
        let stepped = self.step(&past, bar, paths, windows.extremes.channels.last_13);
        let Stepped { n_before, ref hot, ref input, ref step } = stepped;
        let terms = NewTerms::new(&past, near.extremes.rsis, input, step);
        let n_bars = n_before + 1;
        let mut row = [0.0; N_COLUMNS];
        Scene { hot, step, windows, near: &near, past: &past, bar: input, terms: &terms, n_bars }.columns(&mut row);
        let [_, before] = windows.extremes.rsis.0;
        let carried = Carried { year: windows.extremes.year, rsis: RsiPlaces([before, terms.rsi_places]) };
        (stepped, carried, Values::new(row, n_bars))
    }

    #[inline(always)]
    fn step<S: Simd>(&self, past: &Past<S, f64>, bar: &Bar, paths: Paths<f64>, last_13: Channel<f64>) -> Stepped {
        let (n_before, mut hot) = self.start(bar);
        let input = Input::from(bar);
        let step = step(&mut hot, past, &input, n_before, paths, last_13);
        Stepped { n_before, hot, input, step }
    }

    /// What the bar builds on.
    #[inline(always)]
    fn start(&self, bar: &Bar) -> (u32, Hot<f64>) {
        if bar.flags.contains(BarFlags::SEGMENT_START) {
            (0, Hot::filled(0.0))
        } else {
            (self.head.n_bars, self.head.hot)
        }
    }

    #[inline(always)]
    pub(crate) fn past<S>(&self, simd: S) -> Past<'_, S, f64> {
        self.tapes.past(simd, self.head.offset)
    }

    #[inline(always)]
    fn take_in(&mut self, stepped: &Stepped) {
        let n_bars = stepped.n_before + 1;
        self.head.offset = self.tapes.make_room(self.head.offset);
        self.before = self.head;
        let offset = self.tapes.put(self.head.offset, &entry(&stepped.input, &stepped.step));
        self.head = Head { n_bars, offset, is_fresh: false, hot: stepped.hot };
    }

    /// Finds what the windows hold, without looking for what is known from the bar before.
    #[inline(always)]
    pub(crate) fn refresh<S: Simd>(&mut self, simd: S, carried: Option<Carried>) {
        let past = self.tapes.past(simd, self.head.offset);
        let n_bars = self.head.n_bars as usize;
        let (leaving, newest) = (past.close_before(N_CLOSES), past.close());
        let of_year = match carried {
            // A year of closes is looked through only when an extreme leaves it that the newest does not replace.
            Some(Carried { year, .. })
                if n_bars > N_YEAR
                    && (leaving < year.high || newest >= year.high)
                    && (leaving > year.low || newest <= year.low) =>
            {
                Some(year.with(newest, newest))
            }
            _ if n_bars >= N_YEAR => None,
            _ => Some(Channel::default()),
        };
        let rsis = carried.map(|carried| carried.rsis);
        self.windows = simd.vectorize(FindWindows { past: &past, of_year, rsis });
        self.head.is_fresh = true;
    }
}

/// What the windows after a bar have of those before it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Carried {
    /// Before the bar.
    year: Channel<f64>,
    /// With that of the bar.
    rsis: RsiPlaces<f64>,
}

/// What the windows hold; some of it may be known. A function of its own: it is as large as everything else.
struct FindWindows<'a, S> {
    past: &'a Past<'a, S, f64>,
    of_year: Option<Channel<f64>>,
    rsis: Option<RsiPlaces<f64>>,
}

impl<S: Simd> WithSimd for FindWindows<'_, S> {
    type Output = Windows<f64>;

    #[inline(always)]
    fn with_simd<T: Simd>(self, _: T) -> Windows<f64> {
        let year = if let Some(known) = self.of_year { known } else { year(self.past) };
        let rsis = if let Some(known) = self.rsis { known } else { RsiPlaces::of(self.past) };
        Windows::of(self.past, WindowExtremes { channels: Channels::of(self.past), rsis, year })
    }
}

struct Amend<'a> {
    slot: &'a Slot,
    bar: &'a Bar,
}

impl WithSimd for Amend<'_> {
    type Output = Values;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Values {
        self.slot.calc(simd, self.bar).2
    }
}

struct Close<'a> {
    slot: &'a mut Slot,
    bar: &'a Bar,
}

impl WithSimd for Close<'_> {
    type Output = Values;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Values {
        self.slot.close_with(simd, self.bar)
    }
}

struct Push<'a> {
    slot: &'a mut Slot,
    bar: &'a Bar,
}

impl WithSimd for Push<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let slot = self.slot;
        let past = slot.past(simd);
        let stepped = slot.step(&past, self.bar, Paths::of(&past), range13(&past));
        slot.take_in(&stepped);
    }
}

/// What the tapes keep of a bar.
#[inline(always)]
fn entry(input: &Input<f64>, step: &Step<f64>) -> Entry {
    let Input { close, high, low, volume, .. } = *input;
    Entry { close, high, low, volume, gap: step.gap_size, rsi: step.rsi }
}

/// A bar and what it makes of the state before it, not yet stored.
struct Stepped {
    /// Bars of the segment before it.
    n_before: u32,
    hot: Hot<f64>,
    input: Input<f64>,
    step: Step<f64>,
}

/// What [`Bar::check`] says, without a branch for the bars that usually come.
#[inline(always)]
#[expect(clippy::needless_bitwise_bool, clippy::manual_range_contains, reason = "no branches, and one form for all")]
pub(crate) fn is_impossible(bar: &Bar) -> bool {
    let Bar { open, high, low, close, volume, flags, .. } = *bar;
    let is_possible = (low > 0.0)
        & (low <= open)
        & (low <= close)
        & (open <= high)
        & (close <= high)
        & (high <= f64::MAX)
        & (volume >= 0.0)
        & (volume <= f64::MAX)
        & !flags.contains(BarFlags::CLOSE_ONLY);
    !is_possible && bar.check().is_err()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::plan::{NAMES, need, plan};
    use crate::recompute::recompute;
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
        let history = bars((0..300).map(|day| 100.0 + f64::from(day % 7)));
        let mut slot = Slot::default();
        for (n_bars, bar) in (1..).zip(&history) {
            let values = slot.close(bar);
            for (column, name) in NAMES.iter().enumerate() {
                let n_needed = need(name).expect("is a column");
                assert_eq!(values.get(column).is_some(), n_bars >= n_needed, "{name} at bar {n_bars}");
            }
        }
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
        history[3] = Bar { open: 9.0, low: 9.0, ..history[3] };
        history[10] = Bar { open: 12.0, high: 12.0, ..history[10] };
        check(&history, &[("gap_mean_10", Some(0.03))]);
        history[0] = Bar { open: 1.0, low: 1.0, ..history[0] };
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
        assert!(size_of::<Slot>() <= 4300, "{}", size_of::<Slot>());
    }

    /// A million bars later, an outlier among them, the columns are those of a slot that saw the newest bars only.
    #[test]
    fn nothing_drifts() {
        const N_BARS: i32 = 1_000_000;
        const N_SEED: i32 = 3_000;
        let history = |day: i32| {
            let outlier = if day == 990_000 { 100.0 } else { 1.0 };
            let wave = f64::from(day % 97) * 0.13 + f64::from(day % 31) * 0.07 + f64::from(day % 1009) * 0.01;
            let price = (20.0 + wave) * outlier;
            Bar { high: price * 1.01, low: price * 0.98, volume: f64::from(day % 13) * 1e5, ..bar(day, price) }
        };
        let mut old = Slot::default();
        let mut fresh = Slot::default();
        for day in 0..N_BARS {
            old.push(&history(day));
            if day >= N_BARS - N_SEED {
                fresh.push(&history(day));
            }
        }
        let forming = history(N_BARS);
        let [old, fresh] = [old.amend(&forming), fresh.amend(&forming)];
        // Totals count from the first bar.
        for (name, (old, fresh)) in NAMES.iter().zip(old.as_slice().iter().zip(fresh.as_slice())) {
            let is_equal = (old - fresh).abs() <= 1e-9 * fresh.abs().max(1.0);
            assert!(is_equal || ["n_bars", "obv", "ad", "adosc_3_10"].contains(name), "{name}: {old} {fresh}");
        }
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
        fn an_impossible_bar_has_no_values_and_leaves_no_trace(
            history in any_bars(0..300),
            bar in any_bar(),
            at in 0..5_usize,
            number in prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY), Just(-1.0)],
        ) {
            let mut slot = closed(&history);
            let bits = slot_bits(&slot);
            let mut bad = bar;
            *[&mut bad.open, &mut bad.high, &mut bad.low, &mut bad.close, &mut bad.volume][at] = number;
            let is_missing = |values: Values| values.as_slice().iter().all(|value| value.is_nan());
            prop_assert!(is_missing(slot.amend(&bad)));
            prop_assert!(is_missing(slot.close(&bad)));
            prop_assert!(is_missing(slot.correct(&bad)));
            slot.push(&bad);
            prop_assert_eq!(&slot_bits(&slot), &bits);
        }

        #[test]
        fn a_split_rescales_as_if_all_bars_had_been_adjusted(history in any_bars(1..300), power in -3..4_i32) {
            let factor = 2.0_f64.powi(power);
            let adjusted: Vec<Bar> = history.iter().map(|bar| Bar {
                open: bar.open * factor,
                high: bar.high * factor,
                low: bar.low * factor,
                close: bar.close * factor,
                volume: bar.volume / factor,
                ..*bar
            }).collect();
            let mut slot = closed(&history);
            slot.rescale(factor);
            prop_assert_eq!(slot_bits(&slot), slot_bits(&closed(&adjusted)));
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
