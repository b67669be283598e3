//! Whole histories at once: as many symbols side by side as the processor has lanes.

use std::borrow::Cow;

use pulp::{Simd, WithSimd};
use schemas::{Bar, BarFlags};

use crate::channel::{Channel, range, year};
use crate::columns::track::N_CHUNK as N_BLOCK;
use crate::columns::{Columns, Wanted};
use crate::engine::{Hot, Scene, Step, step};
use crate::input::{
    Input, N_CLOSES, N_FLOWS, N_GAPS, N_LOG_RETURNS, N_MOVES, N_NEAR, N_RANGES, N_REPLACED, N_RETURNS, N_RSIS,
    N_TRUE_RANGES, N_VOLUMES, Past, Terms, log_return,
};
use crate::kama::Paths;
use crate::lane::Lane as _;
use crate::lanes::Lanes;
use crate::plan::N_COLUMNS;
use crate::selection::Parts;
use crate::slot::{Slot, is_impossible};
use crate::state::State as _;
use crate::stochastic::{last_rsis, rsi_places};
use crate::target::dispatch;
use crate::terms::NewTerms;
use crate::values::{ColumnBlock, Row, Values, mark_missing};
use crate::windows::{WindowExtremes, Windows};

/// The columns at the last of a symbol's bars, in the order of time; `None` when there are none.
///
/// The same numbers as closing bar after bar, several times as fast: only the last bar pays for its columns. Many symbols
/// are several times as fast again together: [`recompute_many`].
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

/// The columns at the last bar of each symbol, in the order of the symbols; `None` for one without bars.
///
/// # Shape
/// Bars are in the order of time. A symbol whose last bar is impossible has no values.
pub fn recompute_many(symbols: &[&[Bar]]) -> Vec<Option<Values>> {
    let mut last: Vec<Option<Values>> = symbols.iter().map(|bars| bars.last().map(|_| Values::missing())).collect();
    let mut sink = |symbol: usize, _: usize, row: Row<'_>| last[symbol] = Some(row.values());
    // A sink without a type of its own, because each would be another copy of all of this.
    dispatch(NewestRows { segments: &last_segments(symbols), n_rows: 1, sink: &mut sink });
    last
}

/// The columns at the newest bars of each symbol, at most `n_rows` of them and none before its newest segment: calls `sink`
/// as [`recompute_rows`] does. Only these bars pay for their columns.
pub fn recompute_newest(symbols: &[&[Bar]], n_rows: usize, sink: &mut impl FnMut(usize, usize, Row<'_>)) {
    dispatch(NewestRows { segments: &last_segments(symbols), n_rows, sink });
}

/// The columns at every bar of every symbol: calls `sink` with the place of the symbol, that of the bar, and its row. The
/// rows of a symbol come in the order of time, those of several symbols mixed; an impossible bar has none.
pub fn recompute_rows(symbols: &[&[Bar]], sink: &mut impl FnMut(usize, usize, Row<'_>)) {
    let mut sink = |block: ColumnBlock<'_>| {
        for (at, place) in block.places().enumerate() {
            sink(block.symbol(), place, block.row(at));
        }
    };
    dispatch(AllRows { segments: &all_segments(symbols), wanted: Wanted::new(0..N_COLUMNS), sink: &mut sink });
}

/// Columns at every bar of every symbol, block by block; what nobody asked for is not computed.
///
/// # Shape
/// The blocks of a segment come in the order of time, those of different segments in any order. An impossible bar is in none.
///
/// # Panics
/// When a column is not in the plan.
pub fn recompute_columns(
    symbols: &[&[Bar]],
    columns: impl IntoIterator<Item = usize>,
    sink: &mut impl FnMut(ColumnBlock<'_>),
) {
    let mut segments = all_segments(symbols);
    // Beside others as long as itself, no lane of a group idles.
    segments.sort_by_key(|segment| segment.bars.len());
    dispatch(AllRows { segments: &segments, wanted: Wanted::new(columns), sink });
}

/// Those that the last bars belong to. Together with others as long as itself, no lane of a group idles.
fn last_segments<'a>(symbols: &[&'a [Bar]]) -> Vec<Segment<'a>> {
    let mut segments: Vec<Segment> = (0..symbols.len())
        .filter(|&symbol| symbols[symbol].last().is_some_and(|bar| !is_impossible(bar)))
        .map(|symbol| {
            let bars = symbols[symbol];
            let first = bars.iter().rposition(starts_segment).unwrap_or(0);
            Segment::new(symbol, first, &bars[first..])
        })
        .collect();
    segments.sort_by_key(|segment| segment.bars.len());
    segments
}

fn all_segments<'a>(symbols: &[&'a [Bar]]) -> Vec<Segment<'a>> {
    let mut segments = Vec::new();
    for (symbol, bars) in symbols.iter().enumerate() {
        let mut first = 0;
        for part in bars.chunk_by(|_, next| !starts_segment(next)) {
            segments.push(Segment::new(symbol, first, part));
            first += part.len();
        }
    }
    segments.retain(|segment| !segment.bars.is_empty());
    segments
}

fn starts_segment(bar: &Bar) -> bool {
    bar.flags.contains(BarFlags::SEGMENT_START)
}

/// Bars of one symbol, none of which needs any before the first, and all of which can be.
#[derive(Debug)]
pub(crate) struct Segment<'a> {
    symbol: usize,
    /// The place of the first bar.
    first: usize,
    bars: Cow<'a, [Bar]>,
    /// Where the bars stand behind the first place, if some that stood there are left out.
    places: Vec<usize>,
}

impl<'a> Segment<'a> {
    fn new(symbol: usize, first: usize, bars: &'a [Bar]) -> Self {
        if !bars.iter().any(is_impossible) {
            return Self { symbol, first, bars: Cow::Borrowed(bars), places: Vec::new() };
        }
        let (places, bars): (Vec<usize>, Vec<Bar>) =
            bars.iter().enumerate().filter(|(_, bar)| !is_impossible(bar)).map(|(place, bar)| (place, *bar)).unzip();
        Self { symbol, first, bars: Cow::Owned(bars), places }
    }

    pub(crate) fn symbol(&self) -> usize {
        self.symbol
    }

    pub(crate) fn place(&self, i: usize) -> usize {
        self.first + if self.places.is_empty() { i } else { self.places[i] }
    }
}

struct AllRows<'a> {
    segments: &'a [Segment<'a>],
    wanted: Wanted,
    /// Without a type of its own, because each would be another copy of all of this.
    sink: &'a mut dyn FnMut(ColumnBlock<'_>),
}

impl WithSimd for AllRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let mut columns = Columns::new(simd, self.wanted.clone());
        for segments in self.segments.chunks(S::F64_LANES) {
            columns.start();
            let n_bars = segments.iter().map(|segment| segment.bars.len()).max().unwrap_or(0);
            for start in (0..n_bars).step_by(N_BLOCK) {
                let n = N_BLOCK.min(n_bars - start);
                columns.compute(segments.iter().map(|segment| &*segment.bars), start, n);
                let mut numbers: [&[f64]; N_COLUMNS] = [&[]; N_COLUMNS];
                self.wanted.places().for_each(|column| numbers[column] = columns.column(column, n));
                for (lane, segment) in segments.iter().enumerate() {
                    let n = n.min(segment.bars.len().saturating_sub(start));
                    if n > 0 {
                        (self.sink)(ColumnBlock::new(segment, start, &numbers, (lane, S::F64_LANES), n));
                    }
                }
            }
        }
    }
}

type Sink<'a> = dyn FnMut(usize, usize, Row<'_>) + 'a;

struct NewestRows<'a> {
    segments: &'a [Segment<'a>],
    /// So many of each segment.
    n_rows: usize,
    sink: &'a mut Sink<'a>,
}

impl WithSimd for NewestRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let mut group = Group::new(simd);
        for segments in self.segments.chunks(Lanes::<S>::N) {
            group.run(segments, self.n_rows, self.sink);
        }
    }
}

/// As [`Lanes`] are.
#[repr(align(64))]
struct Aligned<T>(T);

/// Bars that are computed before the windows move back to the front of their places, so that these stay in the cache.
const N_CHUNK: usize = 64;

/// Bars of several segments side by side, and what they left. Number `at` of a chunk stands behind the window before the
/// chunk, for each kind; lanes whose segment is over repeat its last bar.
struct Group<S: Simd> {
    simd: S,
    opens: Vec<Lanes<S>>,
    closes: Vec<Lanes<S>>,
    highs: Vec<Lanes<S>>,
    lows: Vec<Lanes<S>>,
    volumes: Vec<Lanes<S>>,
    gaps: Vec<Lanes<S>>,
    rsis: Vec<Lanes<S>>,
    inverses: Vec<Lanes<S>>,
    returns: Vec<Lanes<S>>,
    log_returns: Vec<Lanes<S>>,
    replaced: Vec<Lanes<S>>,
    moves: Vec<Lanes<S>>,
    true_ranges: Vec<Lanes<S>>,
    buying: Vec<Lanes<S>>,
    prices: Vec<Lanes<S>>,
    flows: Vec<Lanes<S>>,
    price_volumes: Vec<Lanes<S>>,
    dollars: Vec<Lanes<S>>,
    flows_up: Vec<Lanes<S>>,
    flows_down: Vec<Lanes<S>>,
}

impl<S: Simd> Group<S> {
    #[inline(always)]
    fn new(simd: S) -> Self {
        let zeros = |n: usize| vec![Lanes::splat(simd, 0.0); n + N_CHUNK];
        Self {
            simd,
            opens: zeros(0),
            closes: zeros(N_CLOSES),
            highs: zeros(N_RANGES),
            lows: zeros(N_RANGES),
            volumes: zeros(N_VOLUMES),
            gaps: zeros(N_GAPS),
            rsis: zeros(N_RSIS),
            inverses: zeros(N_CLOSES),
            returns: zeros(N_RETURNS),
            log_returns: zeros(N_LOG_RETURNS),
            replaced: zeros(N_REPLACED),
            moves: zeros(N_MOVES),
            true_ranges: zeros(N_TRUE_RANGES),
            buying: zeros(N_TRUE_RANGES),
            prices: zeros(N_VOLUMES),
            flows: zeros(N_VOLUMES),
            price_volumes: zeros(N_VOLUMES),
            dollars: zeros(N_VOLUMES),
            flows_up: zeros(N_FLOWS),
            flows_down: zeros(N_FLOWS),
        }
    }

    /// Puts bars in the places of a chunk.
    #[inline(always)]
    fn fill(&mut self, segments: &[Segment], start: usize, n: usize) {
        for (lane, segment) in segments.iter().enumerate() {
            let last = segment.bars.len() - 1;
            for at in 0..n {
                let bar = &segment.bars[last.min(start + at)];
                self.opens[at].as_mut_slice()[lane] = bar.open;
                self.closes[N_CLOSES + at].as_mut_slice()[lane] = bar.close;
                self.highs[N_RANGES + at].as_mut_slice()[lane] = bar.high;
                self.lows[N_RANGES + at].as_mut_slice()[lane] = bar.low;
                self.volumes[N_VOLUMES + at].as_mut_slice()[lane] = bar.volume;
            }
        }
    }

    /// Moves the windows behind a chunk to where those before the next one stand.
    #[inline(always)]
    fn rewind(&mut self) {
        for (n, numbers) in [
            (N_CLOSES, &mut self.closes),
            (N_CLOSES, &mut self.inverses),
            (N_RANGES, &mut self.highs),
            (N_RANGES, &mut self.lows),
            (N_VOLUMES, &mut self.volumes),
            (N_GAPS, &mut self.gaps),
            (N_RSIS, &mut self.rsis),
            (N_RETURNS, &mut self.returns),
            (N_LOG_RETURNS, &mut self.log_returns),
            (N_REPLACED, &mut self.replaced),
            (N_MOVES, &mut self.moves),
            (N_TRUE_RANGES, &mut self.true_ranges),
            (N_TRUE_RANGES, &mut self.buying),
            (N_VOLUMES, &mut self.prices),
            (N_VOLUMES, &mut self.flows),
            (N_VOLUMES, &mut self.price_volumes),
            (N_VOLUMES, &mut self.dollars),
            (N_FLOWS, &mut self.flows_up),
            (N_FLOWS, &mut self.flows_down),
        ] {
            numbers.copy_within(N_CHUNK..N_CHUNK + n, 0);
        }
    }

    #[inline(always)]
    fn run(&mut self, segments: &[Segment], n_rows: usize, sink: &mut Sink<'_>) {
        let n_bars = segments.iter().map(|segment| segment.bars.len()).max().unwrap_or(0);
        let mut hot = Hot::filled(Lanes::splat(self.simd, 0.0));
        for start in (0..n_bars).step_by(N_CHUNK) {
            let n = N_CHUNK.min(n_bars - start);
            self.fill(segments, start, n);
            self.run_newest(&mut hot, segments, (start, n), n_rows, sink);
            self.rewind();
        }
    }

    /// Bars before the newest that no window of a newest row reads only pass through the state.
    #[inline(always)]
    fn run_newest(
        &mut self,
        hot: &mut Hot<Lanes<S>>,
        segments: &[Segment],
        (start, n): (usize, usize),
        n_rows: usize,
        sink: &mut Sink<'_>,
    ) {
        let n_first = u32::try_from(start).expect("no segment has as many bars");
        let mut row = Aligned([self.simd.splat_f64s(0.0); N_COLUMNS]);
        // The first bar that a window of so many reads at any of the newest bars.
        let n_least = segments.iter().map(|segment| segment.bars.len()).min().unwrap_or(0);
        let first_read = |n_window: usize| n_least.saturating_sub(n_window.saturating_add(n_rows));
        let first_inverse = first_read(N_CLOSES);
        let first_kept = first_read(N_RETURNS);
        let first_placed = first_read(N_PLACED);
        for (at, n_before) in (0..n).zip(n_first..) {
            let i = start + at;
            let bar = self.input(at, i >= first_inverse);
            let past = self.past(at);
            let last_13 =
                if i >= first_placed { range::<S, _, 13>(&past) } else { Channel { high: bar.high, low: bar.low } };
            let step = step(hot, &past, &bar, n_before, Paths::of(&past), last_13);
            let n_bars = n_before + 1;
            let is_newest =
                |segment: &Segment| i < segment.bars.len() && i.saturating_add(n_rows) >= segment.bars.len();
            let mut newest = segments.iter().enumerate().filter(|(_, segment)| is_newest(segment));
            if let Some(first) = newest.next() {
                let windows = Windows::of(&past, WindowExtremes::of(&past, year(&past)));
                let terms = NewTerms::new(&past, &bar);
                let places = rsi_places(last_rsis(&past, 0), step.rsi);
                let (step, bar, parts) = (&step, &bar, Parts::ALL);
                Scene { hot, step, windows: &windows, past: &past, bar, terms: &terms, places, n_bars, parts }
                    .columns(&mut row.0);
                mark_missing(self.simd, &mut row.0, n_bars);
                let numbers: [&[f64]; N_COLUMNS] =
                    std::array::from_fn(|column| pulp::bytemuck::cast_slice(std::slice::from_ref(&row.0[column])));
                for (lane, segment) in std::iter::once(first).chain(newest) {
                    sink(segment.symbol, segment.place(i), Row::new(&numbers, lane));
                }
            }
            if i >= first_kept {
                let terms = NewTerms::new(&past, &bar);
                self.keep_terms(at, &bar, &step, &terms);
            }
            self.keep(at, &bar, &step);
        }
    }

    #[inline(always)]
    fn input(&self, at: usize, is_inverse_read: bool) -> Input<Lanes<S>> {
        let close = self.closes[N_CLOSES + at];
        Input {
            open: self.opens[at],
            high: self.highs[N_RANGES + at],
            low: self.lows[N_RANGES + at],
            close,
            volume: self.volumes[N_VOLUMES + at],
            inverse: if is_inverse_read { close.inverse() } else { close.zero() },
        }
    }

    #[inline(always)]
    fn past(&self, at: usize) -> Past<'_, S, Lanes<S>> {
        Past {
            simd: self.simd,
            closes: window(&self.closes, N_CLOSES - N_NEAR + at),
            ring: window::<_, N_CLOSES>(&self.closes, at),
            next: 0,
            highs: window(&self.highs, at),
            lows: window(&self.lows, at),
            volumes: window(&self.volumes, at),
            gaps: window(&self.gaps, at),
            rsis: window(&self.rsis, at),
            terms: Some(Terms {
                inverses: window(&self.inverses, at),
                returns: window(&self.returns, at),
                log_returns: window(&self.log_returns, at),
                replaced: window(&self.replaced, at),
                moves: window(&self.moves, at),
                true_ranges: window(&self.true_ranges, at),
                buying: window(&self.buying, at),
                prices: window(&self.prices, at),
                flows: window(&self.flows, at),
                price_volumes: window(&self.price_volumes, at),
                dollars: window(&self.dollars, at),
                flows_up: window(&self.flows_up, at),
                flows_down: window(&self.flows_down, at),
            }),
        }
    }

    /// Keeps what the next steps read.
    #[inline(always)]
    fn keep(&mut self, at: usize, bar: &Input<Lanes<S>>, step: &Step<Lanes<S>>) {
        self.gaps[N_GAPS + at] = step.gap_size;
        self.rsis[N_RSIS + at] = step.rsi;
        self.inverses[N_CLOSES + at] = bar.inverse;
        self.moves[N_MOVES + at] = (bar.close - self.past(at).close()).abs();
    }

    /// Keeps what windows to come are sums of.
    #[inline(always)]
    fn keep_terms(&mut self, at: usize, bar: &Input<Lanes<S>>, step: &Step<Lanes<S>>, terms: &NewTerms<Lanes<S>>) {
        self.returns[N_RETURNS + at] = terms.gain;
        self.log_returns[N_LOG_RETURNS + at] = log_return(terms.gain);
        self.replaced[N_REPLACED + at] = bar.close - self.past(at).close_before(20);
        self.true_ranges[N_TRUE_RANGES + at] = step.true_range;
        self.buying[N_TRUE_RANGES + at] = terms.buying;
        self.prices[N_VOLUMES + at] = terms.price;
        self.flows[N_VOLUMES + at] = step.flow;
        self.price_volumes[N_VOLUMES + at] = terms.price_volume;
        self.dollars[N_VOLUMES + at] = terms.dollars;
        self.flows_up[N_FLOWS + at] = terms.flow_up;
        self.flows_down[N_FLOWS + at] = terms.flow_down;
    }
}

/// Bars whose place in their range the stochastic of a row still shows.
const N_PLACED: usize = 4;

#[inline(always)]
fn window<L, const N: usize>(numbers: &[L], from: usize) -> &[L; N] {
    numbers[from..].first_chunk().expect("there is room for a window before every bar")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{any_bars, value_bits};

    type Bits = Option<Vec<u64>>;

    /// Both ways on a dispatch target: the last rows, and all rows by symbol.
    fn computed<S: Simd>(simd: S, symbols: &[&[Bar]]) -> (Vec<Bits>, Vec<Vec<Bits>>) {
        struct Both<'a>(&'a [&'a [Bar]]);
        impl WithSimd for Both<'_> {
            type Output = (Vec<Bits>, Vec<Vec<Bits>>);

            fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
                let mut last = vec![None; self.0.len()];
                let mut rows: Vec<Vec<Bits>> = self.0.iter().map(|bars| vec![None; bars.len()]).collect();
                let segments = last_segments(self.0);
                let mut sink = |symbol: usize, _, row: Row| last[symbol] = Some(value_bits(&row.values()));
                NewestRows { segments: &segments, n_rows: 1, sink: &mut sink }.with_simd(simd);
                let segments = all_segments(self.0);
                let mut sink = |block: ColumnBlock| {
                    for (at, place) in block.places().enumerate() {
                        rows[block.symbol()][place] = Some(value_bits(&block.row(at).values()));
                    }
                };
                let wanted = Wanted::new(0..N_COLUMNS);
                AllRows { segments: &segments, wanted, sink: &mut sink }.with_simd(simd);
                (last, rows)
            }
        }
        simd.vectorize(Both(symbols))
    }

    fn closed_rows(bars: &[Bar]) -> Vec<Bits> {
        let mut slot = Slot::default();
        bars.iter().map(|bar| Some(value_bits(&slot.close(bar)))).collect()
    }

    #[test]
    fn nothing_comes_of_no_bars() {
        assert!(recompute(&[]).is_none());
        assert!(recompute_many(&[&[]])[0].is_none());
        assert!(recompute_many(&[]).is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn the_newest_rows_are_the_last_of_all_rows(
            symbols in proptest::collection::vec(any_bars(0..280), 0..11),
            n_rows in 1_usize..90,
        ) {
            let symbols: Vec<&[Bar]> = symbols.iter().map(Vec::as_slice).collect();
            let mut newest: Vec<Vec<Bits>> = symbols.iter().map(|bars| vec![None; bars.len()]).collect();
            recompute_newest(&symbols, n_rows, &mut |symbol, bar, row| {
                newest[symbol][bar] = Some(value_bits(&row.values()));
            });
            for (bars, newest) in symbols.iter().zip(newest) {
                let mut expected = closed_rows(bars);
                let segment = bars.iter().rposition(starts_segment).unwrap_or(0);
                let first = segment.max(bars.len().saturating_sub(n_rows));
                expected[..first].fill(None);
                prop_assert!(newest == expected, "{n_rows} of {}", bars.len());
            }
        }

        #[test]
        fn every_dispatch_target_gives_the_bits_of_closing_one_by_one(
            symbols in proptest::collection::vec(any_bars(0..280), 0..11),
        ) {
            let symbols: Vec<&[Bar]> = symbols.iter().map(Vec::as_slice).collect();
            let rows: Vec<Vec<Bits>> = symbols.iter().map(|bars| closed_rows(bars)).collect();
            let last: Vec<Bits> = rows.iter().map(|rows| rows.last().cloned().flatten()).collect();
            let many = recompute_many(&symbols).iter().map(|row| row.as_ref().map(value_bits)).collect::<Vec<_>>();
            prop_assert!(many == last, "as dispatched");
            prop_assert!(computed(pulp::Scalar, &symbols) == (last.clone(), rows.clone()), "baseline");
            #[cfg(target_arch = "x86_64")]
            {
                use pulp::x86::{V3, V4};
                if let Some(simd) = V3::try_new() {
                    prop_assert!(computed(simd, &symbols) == (last.clone(), rows.clone()), "AVX2");
                }
                if let Some(simd) = V4::try_new() {
                    prop_assert!(computed(simd, &symbols) == (last, rows), "AVX-512");
                }
            }
        }
    }
}
