use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;

use polars::error::PolarsError;

/// Why a data file cannot be used at all. Rows that are bad in themselves are [`Rejections`], not errors.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    #[error("failed to open `{}`", file.display())]
    Open {
        file: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("`{}` is no readable Parquet file", file.display())]
    NotParquet {
        file: PathBuf,
        #[source]
        source: PolarsError,
    },
    #[error("`{}` is damaged: the Parquet reader gave up", file.display())]
    Damaged { file: PathBuf },
    #[error("`{}` has no column `{column}`, expected {expected}", file.display())]
    MissingColumn { file: PathBuf, column: &'static str, expected: &'static str },
    #[error("column `{column}` of `{}` is {found}, expected {expected}", file.display())]
    ColumnType { file: PathBuf, column: &'static str, found: String, expected: &'static str },
    #[error("`{}` has no rows", file.display())]
    NoRows { file: PathBuf },
}

/// One row that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowFault {
    pub file: PathBuf,
    /// Counted from 0 in the file.
    pub row: usize,
    /// As the file has it; empty when it has none.
    pub symbol: String,
    /// A label from a small closed set.
    pub reason: &'static str,
    /// Names the value at fault.
    pub detail: String,
}

impl fmt::Display for RowFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, row, symbol, reason, detail } = self;
        write!(f, "`{}` row {row} ({symbol}): {reason}: {detail}", file.display())
    }
}

/// The rows that were refused: all of them counted, the first few in full.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rejections {
    pub by_reason: BTreeMap<&'static str, u64>,
    pub samples: Vec<RowFault>,
}

impl Rejections {
    /// How many refused rows are kept in full.
    pub const SAMPLES_MAX: usize = 20;

    pub fn total(&self) -> u64 {
        self.by_reason.values().sum()
    }

    /// The fault is only made when there is room to keep it.
    pub(crate) fn add(&mut self, reason: &'static str, fault: impl FnOnce() -> RowFault) {
        *self.by_reason.entry(reason).or_default() += 1;
        if self.samples.len() < Self::SAMPLES_MAX {
            self.samples.push(fault());
        }
    }

    pub(crate) fn append(&mut self, later: Self) {
        for (reason, n_rows) in later.by_reason {
            *self.by_reason.entry(reason).or_default() += n_rows;
        }
        let room = Self::SAMPLES_MAX - self.samples.len();
        self.samples.extend(later.samples.into_iter().take(room));
    }
}
