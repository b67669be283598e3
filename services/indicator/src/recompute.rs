//! Whole histories at once: as many symbols side by side as the processor has lanes.

use std::borrow::Cow;

use pulp::{Arch, Simd, WithSimd};
use schemas::{Bar, BarFlags};

use crate::atr::{buying_pressure, true_range};
use crate::engine::{Hot, columns, step};
use crate::extremes::{Extremes, N_BLOCK, join};
use crate::input::{
    Input, N_CLOSES, N_FLOWS, N_GAPS, N_LOG_RETURNS, N_MOVES, N_RANGES, N_RETURNS, N_RSIS, N_TRUE_RANGES, N_VOLUMES,
    Past, Terms,
};
use crate::lane::Lane as _;
use crate::lanes::Lanes;
use crate::logarithm::ln_all;
use crate::plan::N_COLUMNS;
use crate::slot::{Slot, is_impossible};
use crate::state::State as _;
use crate::values::{Row, Values, mark_missing};
use crate::volume::{close_place, flow};

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
    run(&last_segments(symbols), Wanted::Last, &mut |symbol, _, row| last[symbol] = Some(row.values()));
    last
}

/// The columns at every bar of every symbol: calls `sink` with the place of the symbol, that of the bar, and its row. The
/// rows of a symbol come in the order of time, those of several symbols mixed; an impossible bar has none.
pub fn recompute_rows(symbols: &[&[Bar]], sink: &mut impl FnMut(usize, usize, Row<'_>)) {
    run(&all_segments(symbols), Wanted::Every, sink);
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
struct Segment<'a> {
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

    fn place(&self, i: usize) -> usize {
        self.first + if self.places.is_empty() { i } else { self.places[i] }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Last,
    Every,
}

/// A sink without a type of its own, because each would be another copy of all of this.
fn run<'a>(segments: &'a [Segment<'a>], wanted: Wanted, sink: &'a mut Sink<'a>) {
    Arch::new().dispatch(Run { segments, wanted, sink });
}

type Sink<'a> = dyn FnMut(usize, usize, Row<'_>) + 'a;

struct Run<'a> {
    segments: &'a [Segment<'a>],
    wanted: Wanted,
    sink: &'a mut Sink<'a>,
}

impl WithSimd for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let n_most = self.segments.iter().map(|segment| segment.bars.len()).max().unwrap_or(0);
        let mut group = Group::new(simd, n_most);
        for segments in self.segments.chunks(Lanes::<S>::N) {
            group.fill(segments, self.wanted);
            group.run(segments, self.wanted, self.sink);
        }
    }
}

/// The bars of several segments side by side, and what they left. Number `i` of each kind stands behind room for a whole
/// window; lanes whose segment is over repeat its last bar.
struct Group<S: Simd> {
    simd: S,
    n_bars: usize,
    opens: Vec<Lanes<S>>,
    closes: Vec<Lanes<S>>,
    highs: Vec<Lanes<S>>,
    lows: Vec<Lanes<S>>,
    volumes: Vec<Lanes<S>>,
    log_returns: Vec<Lanes<S>>,
    gaps: Vec<Lanes<S>>,
    rsis: Vec<Lanes<S>>,
    /// Extremes of the block of closes that ends with a bar.
    blocks: Vec<Extremes<Lanes<S>>>,
    returns: Vec<Lanes<S>>,
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
    fn new(simd: S, n_bars: usize) -> Self {
        let zeros = |n: usize| vec![Lanes::splat(simd, 0.0); n + n_bars];
        Self {
            simd,
            n_bars,
            opens: zeros(0),
            closes: zeros(N_CLOSES),
            highs: zeros(N_RANGES),
            lows: zeros(N_RANGES),
            volumes: zeros(N_VOLUMES),
            log_returns: zeros(N_LOG_RETURNS),
            gaps: zeros(N_GAPS),
            rsis: zeros(N_RSIS),
            blocks: vec![[Lanes::splat(simd, 0.0); 2]; N_OLDER + n_bars],
            returns: zeros(N_RETURNS),
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

    /// Puts the bars in their places.
    #[inline(always)]
    fn fill(&mut self, segments: &[Segment], wanted: Wanted) {
        self.n_bars = segments.iter().map(|segment| segment.bars.len()).max().unwrap_or(0);
        for (lane, segment) in segments.iter().enumerate() {
            let bars = segment.bars.iter().chain(std::iter::repeat(segment.bars.last().expect("no segment is empty")));
            for (i, bar) in bars.take(self.n_bars).enumerate() {
                self.opens[i].as_mut_slice()[lane] = bar.open;
                self.closes[N_CLOSES + i].as_mut_slice()[lane] = bar.close;
                self.highs[N_RANGES + i].as_mut_slice()[lane] = bar.high;
                self.lows[N_RANGES + i].as_mut_slice()[lane] = bar.low;
                self.volumes[N_VOLUMES + i].as_mut_slice()[lane] = bar.volume;
            }
        }
        self.log_returns[N_LOG_RETURNS] = Lanes::splat(self.simd, 0.0);
        let first = if wanted == Wanted::Every { 1 } else { first_read(segments, N_LOG_RETURNS) };
        for i in first.max(1)..self.n_bars {
            let mut log_returns = self.closes[N_CLOSES + i] / self.closes[N_CLOSES + i - 1];
            ln_all(log_returns.as_mut_slice());
            self.log_returns[N_LOG_RETURNS + i] = log_returns;
        }
    }

    #[inline(always)]
    fn run(&mut self, segments: &[Segment], wanted: Wanted, sink: &mut Sink<'_>) {
        let zero = Lanes::splat(self.simd, 0.0);
        let mut hot = Hot::filled(zero);
        let mut row = [zero; N_COLUMNS];
        let mut numbers = [self.simd.splat_f64s(0.0); N_COLUMNS];
        let first_kept = if wanted == Wanted::Every { 0 } else { first_read(segments, N_RETURNS) };
        for (i, n_before) in (0..self.n_bars).zip(0_u32..) {
            let bar = self.input(i);
            let past = self.past(i);
            let step = step(&hot, &past, &bar, n_before);
            let is_wanted =
                |segment: &Segment| i + 1 == segment.bars.len() || wanted == Wanted::Every && i < segment.bars.len();
            if segments.iter().any(is_wanted) {
                let older = self.older(i, wanted);
                let block = columns(&hot, &step, &past, &bar, n_before + 1, older, &mut row);
                mark_missing(&row, n_before + 1, &mut numbers);
                self.blocks[N_OLDER + i] = block;
                for (lane, segment) in segments.iter().enumerate().filter(|(_, segment)| is_wanted(segment)) {
                    let row = Row::new(pulp::bytemuck::cast_slice(&numbers), lane);
                    sink(segment.symbol, segment.place(i), row);
                }
            }
            self.gaps[N_GAPS + i] = step.gap_size;
            self.rsis[N_RSIS + i] = step.rsi;
            self.moves[N_MOVES + i] = (bar.close - self.past(i).close()).abs();
            if i >= first_kept {
                self.keep_terms(i, &bar);
            }
            hot = step.hot;
        }
    }

    #[inline(always)]
    fn input(&self, i: usize) -> Input<Lanes<S>> {
        Input {
            open: self.opens[i],
            high: self.highs[N_RANGES + i],
            low: self.lows[N_RANGES + i],
            close: self.closes[N_CLOSES + i],
            volume: self.volumes[N_VOLUMES + i],
            log_return: self.log_returns[N_LOG_RETURNS + i],
        }
    }

    #[inline(always)]
    fn past(&self, i: usize) -> Past<'_, S, Lanes<S>> {
        Past {
            simd: self.simd,
            closes: window(&self.closes, i),
            highs: window(&self.highs, i),
            lows: window(&self.lows, i),
            volumes: window(&self.volumes, i),
            gaps: window(&self.gaps, i),
            log_returns: window(&self.log_returns, i),
            rsis: window(&self.rsis, i),
            terms: Some(Terms {
                returns: window(&self.returns, i),
                moves: window(&self.moves, i),
                true_ranges: window(&self.true_ranges, i),
                buying: window(&self.buying, i),
                prices: window(&self.prices, i),
                flows: window(&self.flows, i),
                price_volumes: window(&self.price_volumes, i),
                dollars: window(&self.dollars, i),
                flows_up: window(&self.flows_up, i),
                flows_down: window(&self.flows_down, i),
            }),
        }
    }

    /// The extremes of a year of closes that bar `i` ends, but for the newest block.
    #[inline(always)]
    fn older(&self, i: usize, wanted: Wanted) -> Extremes<Lanes<S>> {
        let mut older;
        if wanted == Wanted::Every {
            older = self.blocks[i];
            for block in 1..N_OLDER / N_BLOCK {
                older = join(older, self.blocks[i + block * N_BLOCK]);
            }
        } else {
            let closes: &[_; N_OLDER] = window(&self.closes, i + N_CLOSES - (N_OLDER + N_BLOCK - 1));
            older = [closes[0], closes[0]];
            for &close in closes {
                older = join(older, [close, close]);
            }
        }
        older
    }

    /// Keeps what windows to come are sums of.
    #[inline(always)]
    fn keep_terms(&mut self, i: usize, bar: &Input<Lanes<S>>) {
        let before = self.past(i);
        let (high_before, low_before, close_before) = (before.high(), before.low(), before.close());
        let price = bar.high + bar.low + bar.close;
        let price_before = high_before + low_before + close_before;
        self.returns[N_RETURNS + i] = bar.close / close_before - 1.0;
        self.true_ranges[N_TRUE_RANGES + i] = true_range(bar.high, bar.low, close_before);
        self.buying[N_TRUE_RANGES + i] = buying_pressure(bar.low, bar.close, close_before);
        self.prices[N_VOLUMES + i] = price;
        self.flows[N_VOLUMES + i] = close_place(bar.high, bar.low, bar.close) * bar.volume;
        self.price_volumes[N_VOLUMES + i] = price * bar.volume;
        self.dollars[N_VOLUMES + i] = bar.close * bar.volume;
        self.flows_up[N_FLOWS + i] = flow(price_before, price, price, bar.volume);
        self.flows_down[N_FLOWS + i] = flow(price, price_before, price, bar.volume);
    }
}

/// Bars from one place where the extremes of a year are read to the newest block.
const N_OLDER: usize = 5 * N_BLOCK;

/// The first bar that a window of `n` reads at any of the last bars.
fn first_read(segments: &[Segment], n: usize) -> usize {
    let n_least = segments.iter().map(|segment| segment.bars.len()).min().unwrap_or(0);
    n_least.saturating_sub(n + 1)
}

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
                Run { segments: &segments, wanted: Wanted::Last, sink: &mut sink }.with_simd(simd);
                let segments = all_segments(self.0);
                let mut sink =
                    |symbol: usize, bar: usize, row: Row| rows[symbol][bar] = Some(value_bits(&row.values()));
                Run { segments: &segments, wanted: Wanted::Every, sink: &mut sink }.with_simd(simd);
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
