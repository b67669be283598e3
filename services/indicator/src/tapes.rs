use std::hint::black_box;

use crate::input::{N_CLOSES, N_GAPS, N_NEAR, N_RANGES, N_RSIS, N_VOLUMES, Past};

/// Places beyond the window and the number that an undo needs. Only when all are taken does a tape move its numbers back,
/// so windows are contiguous and yet cost no copy.
const SLACK: usize = 1;
/// The offset at which all places are taken.
const OFFSET_MAX: usize = SLACK + 1;
/// Places of the ring.
const N_RING: usize = N_CLOSES + 1;

/// The newest numbers of a slot's past. Closes stand in a ring, because moving a year of them would take longer than
/// everything else; each other kind on a tape of fixed length: number `i` of the window stands at `offset + i`.
#[derive(Debug, Clone)]
pub(crate) struct Tapes {
    closes: [f64; N_RING],
    highs: [f64; N_RANGES + OFFSET_MAX],
    lows: [f64; N_RANGES + OFFSET_MAX],
    volumes: [f64; N_VOLUMES + OFFSET_MAX],
    gaps: [f64; N_GAPS + OFFSET_MAX],
    rsis: [f64; N_RSIS + OFFSET_MAX],
}

/// One number for every tape.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) close: f64,
    pub(crate) high: f64,
    pub(crate) low: f64,
    pub(crate) volume: f64,
    pub(crate) gap: f64,
    pub(crate) rsi: f64,
}

/// Where the windows begin, and where in the ring the next close is to stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Offset {
    tape: u8,
    ring: u8,
}

impl Offset {
    /// `None` when a tape or the ring is shorter.
    pub(crate) fn new([tape, ring]: [u8; 2]) -> Option<Self> {
        (usize::from(tape) <= OFFSET_MAX && usize::from(ring) < N_RING).then_some(Self { tape, ring })
    }

    pub(crate) fn get(self) -> [u8; 2] {
        [self.tape, self.ring]
    }

    /// Before the newest entry; `None` when there was none.
    pub(crate) fn before(self) -> Option<Self> {
        let ring = if self.ring == 0 { N_RING - 1 } else { self.ring() - 1 };
        let ring = u8::try_from(ring).expect("a ring is no longer");
        Some(Self { tape: self.tape.checked_sub(1)?, ring })
    }

    #[inline(always)]
    fn tape(self) -> usize {
        // Never more; the minimum tells the compiler.
        usize::from(self.tape).min(OFFSET_MAX)
    }

    #[inline(always)]
    fn ring(self) -> usize {
        usize::from(self.ring).min(N_RING - 1)
    }
}

/// Room for the newest closes, where the ring has them at both of its ends.
pub(crate) struct Spare([f64; N_NEAR]);

impl Spare {
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Self([0.0; N_NEAR])
    }
}

impl Default for Tapes {
    fn default() -> Self {
        Self { closes: [0.0; _], highs: [0.0; _], lows: [0.0; _], volumes: [0.0; _], gaps: [0.0; _], rsis: [0.0; _] }
    }
}

impl Tapes {
    #[inline(always)]
    pub(crate) fn past<'a, S>(&'a self, simd: S, offset: Offset, spare: &'a mut Spare) -> Past<'a, S, f64> {
        let (tape, next) = (offset.tape(), offset.ring());
        let closes = if next >= N_NEAR {
            window(&self.closes, next - N_NEAR)
        } else {
            let (older, newer) = spare.0.split_at_mut(N_NEAR - next);
            older.copy_from_slice(&self.closes[N_RING - (N_NEAR - next)..]);
            newer.copy_from_slice(&self.closes[..next]);
            &spare.0
        };
        Past {
            simd,
            closes,
            ring: &self.closes,
            next,
            highs: window(&self.highs, tape),
            lows: window(&self.lows, tape),
            volumes: window(&self.volumes, tape),
            gaps: window(&self.gaps, tape),
            rsis: window(&self.rsis, tape),
            terms: None,
        }
    }

    /// The close so many bars before the one at hand.
    #[inline(always)]
    pub(crate) fn close_before(&self, offset: Offset, n: usize) -> f64 {
        let next = offset.ring();
        self.closes[if n <= next { next - n } else { next + N_RING - n }]
    }

    /// The newest closes, oldest first.
    #[inline(always)]
    pub(crate) fn newest<const N: usize>(&self, offset: Offset) -> [f64; N] {
        let next = offset.ring();
        if next >= N {
            return *window(&self.closes, next - N);
        }
        let mut closes = [0.0; N];
        for (close, n) in closes.iter_mut().zip((1..=N).rev()) {
            *close = self.close_before(offset, n);
        }
        closes
    }

    /// Highs and lows.
    #[inline(always)]
    pub(crate) fn ranges(&self, offset: Offset) -> [&[f64; N_RANGES]; 2] {
        [window(&self.highs, offset.tape()), window(&self.lows, offset.tape())]
    }

    #[inline(always)]
    pub(crate) fn rsis(&self, offset: Offset) -> &[f64; N_RSIS] {
        window(&self.rsis, offset.tape())
    }

    #[inline(always)]
    pub(crate) fn gaps(&self, offset: Offset) -> &[f64; N_GAPS] {
        window(&self.gaps, offset.tape())
    }

    /// Loads, all at once, what a bar is completed with, beside what the windows say. Else the processor, which sees only some
    /// hundred instructions ahead, would wait for one part of a slot after the other, most of the time for a slot that is not
    /// in its cache.
    #[inline(always)]
    pub(crate) fn load(&self, offset: Offset) {
        let mut bits = 0;
        // What the averages adapt to, and what leaves the longest one.
        for n in [1, 9, 17, 30, 200] {
            bits ^= self.close_before(offset, n).to_bits();
        }
        bits ^= lines(&self.highs, N_RANGES - 19, N_RANGES + OFFSET_MAX);
        bits ^= lines(&self.lows, N_RANGES - 19, N_RANGES + OFFSET_MAX);
        bits ^= lines(&self.gaps, 0, N_GAPS + OFFSET_MAX) ^ lines(&self.rsis, 0, N_RSIS + OFFSET_MAX);
        black_box(bits);
    }

    /// Makes room for one entry behind the windows, if there is none; the offset of the same windows from then on.
    #[inline(always)]
    pub(crate) fn make_room(&mut self, offset: Offset) -> Offset {
        if offset.tape() < OFFSET_MAX {
            return offset;
        }
        self.highs.copy_within(OFFSET_MAX.., 0);
        self.lows.copy_within(OFFSET_MAX.., 0);
        self.volumes.copy_within(OFFSET_MAX.., 0);
        self.gaps.copy_within(OFFSET_MAX.., 0);
        self.rsis.copy_within(OFFSET_MAX.., 0);
        Offset { tape: 0, ..offset }
    }

    /// Writes an entry behind the windows, where there must be room; the offset of the windows that end with it. What the
    /// windows before it held stays, so that going back to its offset undoes the entry.
    #[inline(always)]
    pub(crate) fn put(&mut self, offset: Offset, entry: &Entry) -> Offset {
        let (at, next) = (offset.tape(), offset.ring());
        self.closes[next] = entry.close;
        self.highs[N_RANGES + at] = entry.high;
        self.lows[N_RANGES + at] = entry.low;
        self.volumes[N_VOLUMES + at] = entry.volume;
        self.gaps[N_GAPS + at] = entry.gap;
        self.rsis[N_RSIS + at] = entry.rsi;
        Offset { tape: offset.tape + 1, ring: if next + 1 == N_RING { 0 } else { offset.ring + 1 } }
    }

    /// The high and the low that the newest entry made leave their windows; there must be one.
    #[inline(always)]
    pub(crate) fn left(&self, offset: Offset) -> [f64; 2] {
        let at = offset.tape().saturating_sub(1);
        [self.highs[at], self.lows[at]]
    }

    pub(crate) fn rescale(&mut self, price: f64) {
        for number in self.closes.iter_mut().chain(&mut self.highs).chain(&mut self.lows) {
            *number *= price;
        }
        for number in &mut self.volumes {
            *number /= price;
        }
    }

    pub(crate) fn parts(&self) -> [&[f64]; 6] {
        [&self.closes, &self.highs, &self.lows, &self.volumes, &self.gaps, &self.rsis]
    }

    pub(crate) fn parts_mut(&mut self) -> [&mut [f64]; 6] {
        [&mut self.closes, &mut self.highs, &mut self.lows, &mut self.volumes, &mut self.gaps, &mut self.rsis]
    }
}

/// A number of each cache line.
#[inline(always)]
fn lines<const N: usize>(tape: &[f64; N], from: usize, to: usize) -> u64 {
    let mut bits = 0;
    let mut at = from;
    while at < to {
        bits ^= tape[at].to_bits();
        at += 8;
    }
    bits ^ tape[to - 1].to_bits()
}

#[inline(always)]
fn window<const N: usize>(tape: &[f64], offset: usize) -> &[f64; N] {
    tape[offset..].first_chunk().expect("a tape is as long as its window and the largest offset")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: f64) -> Entry {
        Entry { close: number, high: number, low: number, volume: number, gap: number, rsi: number }
    }

    fn check_end(past: &Past<(), f64>, newest: f64) {
        let year: Vec<f64> = (1..=N_CLOSES).rev().map(|n| past.close_before(n)).collect();
        for window in [&year, past.closes.as_slice(), past.highs, past.lows, past.volumes, past.gaps, past.rsis] {
            for (age, number) in (0..).zip(window.iter().rev()) {
                assert_eq!(number.to_bits(), (newest - f64::from(age)).max(0.0).to_bits());
            }
        }
    }

    #[test]
    fn windows_are_in_the_order_of_time_and_the_newest_entry_can_be_put_again() {
        let mut tapes = Tapes::default();
        let mut offset = Offset::default();
        for n in 1..600 {
            let before = tapes.make_room(offset);
            check_end(&tapes.past((), before, &mut Spare::new()), f64::from(n - 1));
            offset = tapes.put(before, &entry(-1.0));
            assert_eq!(tapes.past((), offset, &mut Spare::new()).close().to_bits(), (-1.0_f64).to_bits());
            check_end(&tapes.past((), before, &mut Spare::new()), f64::from(n - 1));
            offset = tapes.put(before, &entry(f64::from(n)));
            check_end(&tapes.past((), offset, &mut Spare::new()), f64::from(n));
        }
    }
}
