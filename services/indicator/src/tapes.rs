use std::hint::black_box;

use crate::input::{N_CLOSES, N_GAPS, N_RANGES, N_RSIS, N_VOLUMES, Past};

/// Places beyond the window and the number that an undo needs. Only when all are taken does a tape move its numbers back,
/// so windows are contiguous and yet cost no copy.
const SLACK: usize = 1;
/// The offset at which all places are taken.
const OFFSET_MAX: usize = SLACK + 1;

/// The newest numbers of a slot's past, each kind on a tape of fixed length. Number `i` of the window stands at
/// `offset + i`, on every tape.
#[derive(Debug, Clone)]
pub(crate) struct Tapes {
    closes: [f64; N_CLOSES + OFFSET_MAX],
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

/// Where the windows begin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Offset(u8);

impl Offset {
    /// `None` when a tape is shorter.
    pub(crate) fn new(offset: u8) -> Option<Self> {
        (usize::from(offset) <= OFFSET_MAX).then_some(Self(offset))
    }

    pub(crate) fn get(self) -> u8 {
        self.0
    }

    fn index(self) -> usize {
        // Never more; the minimum tells the compiler.
        usize::from(self.0).min(OFFSET_MAX)
    }
}

impl Default for Tapes {
    fn default() -> Self {
        Self { closes: [0.0; _], highs: [0.0; _], lows: [0.0; _], volumes: [0.0; _], gaps: [0.0; _], rsis: [0.0; _] }
    }
}

impl Tapes {
    #[inline(always)]
    pub(crate) fn past<S>(&self, simd: S, offset: Offset) -> Past<'_, S, f64> {
        let offset = offset.index();
        Past {
            simd,
            closes: window(&self.closes, offset),
            highs: window(&self.highs, offset),
            lows: window(&self.lows, offset),
            volumes: window(&self.volumes, offset),
            gaps: window(&self.gaps, offset),
            rsis: window(&self.rsis, offset),
            terms: None,
        }
    }

    /// Loads, all at once, what a bar is completed with, beside what the windows say. Else the processor, which sees only some
    /// hundred instructions ahead, would wait for one part of a slot after the other, most of the time for a slot that is not
    /// in its cache.
    #[inline(always)]
    pub(crate) fn load(&self) {
        let mut bits = lines(&self.closes, N_CLOSES - 40, N_CLOSES + OFFSET_MAX);
        // The returns of longer periods, and what leaves the average of 200.
        for n in [63, 126, 200, 252] {
            bits ^= self.closes[N_CLOSES - n].to_bits();
        }
        bits ^= lines(&self.highs, N_RANGES - 19, N_RANGES + OFFSET_MAX);
        bits ^= lines(&self.lows, N_RANGES - 19, N_RANGES + OFFSET_MAX);
        bits ^= lines(&self.gaps, 0, N_GAPS + OFFSET_MAX) ^ lines(&self.rsis, 0, N_RSIS + OFFSET_MAX);
        black_box(bits);
    }

    /// Makes room for one entry behind the window, if there is none; the offset of the same window from then on.
    #[inline(always)]
    pub(crate) fn make_room(&mut self, offset: Offset) -> Offset {
        if offset.index() < OFFSET_MAX {
            return offset;
        }
        self.closes.copy_within(OFFSET_MAX.., 0);
        self.highs.copy_within(OFFSET_MAX.., 0);
        self.lows.copy_within(OFFSET_MAX.., 0);
        self.volumes.copy_within(OFFSET_MAX.., 0);
        self.gaps.copy_within(OFFSET_MAX.., 0);
        self.rsis.copy_within(OFFSET_MAX.., 0);
        Offset(0)
    }

    /// Writes an entry behind the window, where there must be room; the offset of the window that ends with it. What the
    /// window before it held stays, so that going back to its offset undoes the entry.
    #[inline(always)]
    pub(crate) fn put(&mut self, offset: Offset, entry: &Entry) -> Offset {
        let at = offset.index();
        self.closes[N_CLOSES + at] = entry.close;
        self.highs[N_RANGES + at] = entry.high;
        self.lows[N_RANGES + at] = entry.low;
        self.volumes[N_VOLUMES + at] = entry.volume;
        self.gaps[N_GAPS + at] = entry.gap;
        self.rsis[N_RSIS + at] = entry.rsi;
        Offset(offset.0 + 1)
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
        for window in [past.closes.as_slice(), past.highs, past.lows, past.volumes, past.gaps, past.rsis] {
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
            check_end(&tapes.past((), before), f64::from(n - 1));
            offset = tapes.put(before, &entry(-1.0));
            assert_eq!(tapes.past((), offset).close().to_bits(), (-1.0_f64).to_bits());
            check_end(&tapes.past((), before), f64::from(n - 1));
            offset = tapes.put(before, &entry(f64::from(n)));
            check_end(&tapes.past((), offset), f64::from(n));
        }
    }
}
