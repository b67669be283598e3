//! The past of a live market: what the indicators warm up from before the first live bar.

use std::path::Path;

use schemas::{BarFlags, Instrument};

use super::replay::ReplayFeed;
use crate::{Feed, IngestError, Rejections, ReplayOptions, Step};

/// The daily bars of a folder, as fast as they are taken, flagged as backfill.
pub struct HistoryFeed {
    bars: ReplayFeed,
}

impl HistoryFeed {
    /// # Errors
    /// As [`ReplayFeed::open`].
    pub fn open(dir: &Path) -> Result<Self, IngestError> {
        Ok(Self { bars: ReplayFeed::open(dir, &ReplayOptions::default())? })
    }

    /// Files of the folder that are not there; what they would tell stays unknown.
    pub fn missing_files(&self) -> &[&'static str] {
        self.bars.missing_files()
    }

    pub fn rejections(&self) -> &Rejections {
        self.bars.rejections()
    }
}

impl Feed for HistoryFeed {
    fn source(&self) -> &'static str {
        "history"
    }

    fn epoch(&self) -> u64 {
        self.bars.epoch()
    }

    fn instruments(&mut self) -> Vec<Instrument> {
        self.bars.instruments()
    }

    fn next_step(&mut self) -> Option<Step> {
        let mut step = self.bars.next_step()?;
        for bar in &mut step.bars {
            let bits = bar.flags.bits() & !BarFlags::REPLAYED.bits();
            bar.flags = BarFlags::from_bits(bits).expect("they were flags").with(BarFlags::BACKFILL);
        }
        Some(step)
    }

    fn n_bars_total(&self) -> Option<u64> {
        self.bars.n_bars_total()
    }
}
