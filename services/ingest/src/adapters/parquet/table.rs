use std::fs::File;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use polars::io::parquet::metadata::FileMetadataRef;
use polars::prelude::*;

use crate::IngestError;

const NUMBER: &str = "a number";
const TEXT: &str = "text";
const DATE: &str = "a date";

/// What a column holds. Wider than one Parquet type: files come from many writers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Number,
    /// A missing date becomes [`Table::NO_DAY`].
    Date,
}

impl Kind {
    pub(crate) fn expected(self) -> &'static str {
        match self {
            Self::Text => TEXT,
            Self::Number => NUMBER,
            Self::Date => DATE,
        }
    }

    fn accepts(self, dtype: &DataType) -> bool {
        match self {
            Self::Text => *dtype == DataType::String || dtype.is_categorical() || dtype.is_enum(),
            Self::Number => dtype.is_primitive_numeric(),
            Self::Date => matches!(dtype, DataType::Date | DataType::Datetime(..)),
        }
    }
}

/// A column to read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) is_required: bool,
}

impl Wanted {
    pub(crate) const fn required(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, is_required: true }
    }

    pub(crate) const fn optional(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, is_required: false }
    }
}

/// A Parquet file whose wanted columns were found and are of the right kind.
pub(crate) struct Source {
    file: PathBuf,
    metadata: FileMetadataRef,
    columns: Vec<Wanted>,
}

impl Source {
    /// # Errors
    /// When the file is no Parquet, holds no rows, or a column is missing or of another kind.
    pub(crate) fn open(file: &Path, columns: &[Wanted]) -> Result<Self, IngestError> {
        guarded(file, || {
            let mut reader = ParquetReader::new(opened(file)?);
            let schema = reader.schema().map_err(not_parquet(file))?;
            let mut present = Vec::with_capacity(columns.len());
            for wanted in columns {
                let (column, expected) = (wanted.name, wanted.kind.expected());
                let Some(field) = schema.get(wanted.name) else {
                    if wanted.is_required {
                        return Err(IngestError::MissingColumn { file: file.to_owned(), column, expected });
                    }
                    continue;
                };
                let dtype = DataType::from_arrow_field(field);
                if !wanted.kind.accepts(&dtype) {
                    let found = dtype.to_string();
                    return Err(IngestError::ColumnType { file: file.to_owned(), column, found, expected });
                }
                present.push(*wanted);
            }
            let metadata = reader.get_metadata().map_err(not_parquet(file))?.clone();
            if metadata.num_rows == 0 {
                return Err(IngestError::NoRows { file: file.to_owned() });
            }
            Ok(Self { file: file.to_owned(), metadata, columns: present })
        })
    }

    pub(crate) fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|wanted| wanted.name == column)
    }

    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// How many rows each row group has; none is empty.
    #[expect(clippy::redundant_closure_for_method_calls, reason = "polars does not export the type of a group")]
    pub(crate) fn group_lens(&self) -> Vec<usize> {
        self.metadata.row_groups.iter().map(|group| group.num_rows()).collect()
    }

    /// # Errors
    /// When the file cannot be decoded.
    pub(crate) fn read_group(&self, group: usize, strategy: ParallelStrategy) -> Result<Table, IngestError> {
        // A slice would make the reader visit every group before it.
        let mut metadata = (*self.metadata).clone();
        metadata.row_groups = vec![metadata.row_groups.swap_remove(group)];
        metadata.num_rows = metadata.row_groups[0].num_rows();
        self.decode(metadata.into(), strategy)
    }

    /// # Errors
    /// When the file cannot be decoded.
    pub(crate) fn read_all(&self) -> Result<Table, IngestError> {
        self.decode(self.metadata.clone(), ParallelStrategy::Auto)
    }

    fn decode(&self, metadata: FileMetadataRef, strategy: ParallelStrategy) -> Result<Table, IngestError> {
        let file = self.file.as_path();
        guarded(file, || {
            let n_rows = metadata.num_rows;
            let mut reader = ParquetReader::new(opened(file)?);
            reader.set_metadata(metadata);
            let names = self.columns.iter().map(|wanted| wanted.name.to_owned()).collect();
            let reader = reader.with_columns(Some(names)).read_parallel(strategy);
            let frame = reader.finish().map_err(not_parquet(file))?;
            let canonical = self
                .columns
                .iter()
                .map(|wanted| canonical(frame.column(wanted.name)?.as_materialized_series(), wanted.kind))
                .collect::<PolarsResult<Vec<Column>>>()
                .map_err(not_parquet(file))?;
            // The length is promised by the metadata: columns that do not keep it are damage.
            Ok(Table { frame: DataFrame::new(n_rows, canonical).map_err(not_parquet(file))? })
        })
    }
}

fn opened(file: &Path) -> Result<File, IngestError> {
    File::open(file).map_err(|source| IngestError::Open { file: file.to_owned(), source })
}

fn not_parquet(file: &Path) -> impl Fn(PolarsError) -> IngestError {
    move |source| IngestError::NotParquet { file: file.to_owned(), source }
}

/// A damaged page makes the decoder panic instead of returning an error.
fn guarded<T>(file: &Path, decode: impl FnOnce() -> Result<T, IngestError>) -> Result<T, IngestError> {
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|_| Err(IngestError::Damaged { file: file.to_owned() }))
}

/// The wanted columns, each in the one type of its [`Kind`].
pub(crate) struct Table {
    frame: DataFrame,
}

impl Table {
    /// Stands for a missing date: no event time reaches that day.
    pub(crate) const NO_DAY: i32 = i32::MIN;

    /// # Errors
    /// When the file is no Parquet, holds no rows, or a column is missing or of another kind.
    pub(crate) fn read(file: &Path, columns: &[Wanted]) -> Result<Self, IngestError> {
        Source::open(file, columns)?.read_all()
    }

    /// The rows of the tables, one after the other.
    pub(crate) fn joined(tables: impl IntoIterator<Item = Self>) -> Option<Self> {
        tables.into_iter().reduce(|mut all, next| {
            all.frame.vstack_mut(&next.frame).expect("tables of one file have the same columns");
            all
        })
    }

    pub(crate) fn n_rows(&self) -> usize {
        self.frame.height()
    }

    /// Row `i` of the new table is row `order[i]` of this one.
    pub(crate) fn reordered(&self, order: &[IdxSize]) -> Self {
        let indices = IdxCa::from_slice(PlSmallStr::EMPTY, order);
        Self { frame: self.frame.take(&indices).expect("an order names rows of the table") }
    }

    /// A copy of some rows, so that the table itself can be freed.
    pub(crate) fn copied(&self, rows: Range<usize>) -> Self {
        let index = |row: usize| IdxSize::try_from(row).expect("polars counts rows in this type");
        self.reordered(&rows.map(index).collect::<Vec<IdxSize>>())
    }

    pub(crate) fn texts(&self, name: &str) -> Option<&StringChunked> {
        self.frame.column(name).ok().map(|column| column.str().expect("made text when it was read"))
    }

    /// Missing numbers are NaN.
    pub(crate) fn numbers(&self, name: &str) -> Option<&Float64Chunked> {
        self.frame.column(name).ok().map(|column| column.f64().expect("made a number when it was read"))
    }

    /// Days since 1970-01-01, [`Self::NO_DAY`] where missing.
    pub(crate) fn days(&self, name: &str) -> Option<&Int32Chunked> {
        self.frame.column(name).ok().map(|column| column.i32().expect("made a day when it was read"))
    }
}

fn canonical(series: &Series, kind: Kind) -> PolarsResult<Column> {
    let series = match kind {
        Kind::Text => series.cast(&DataType::String)?,
        Kind::Number => {
            let numbers = series.cast(&DataType::Float64)?;
            if numbers.null_count() == 0 {
                numbers
            } else {
                numbers.f64()?.fill_null_with_values(f64::NAN)?.into_series()
            }
        }
        Kind::Date => {
            let days = days_of(series)?;
            if days.null_count() == 0 {
                days.into_series()
            } else {
                days.fill_null_with_values(Table::NO_DAY)?.into_series()
            }
        }
    };
    Ok(series.into_column())
}

/// UTC days since 1970-01-01.
fn days_of(series: &Series) -> PolarsResult<Int32Chunked> {
    let physical = series.to_physical_repr();
    let units_per_day = match series.dtype() {
        DataType::Datetime(TimeUnit::Nanoseconds, _) => 86_400_000_000_000,
        DataType::Datetime(TimeUnit::Microseconds, _) => 86_400_000_000,
        DataType::Datetime(TimeUnit::Milliseconds, _) => 86_400_000,
        _ => return physical.i32().cloned(),
    };
    let day = |units: i64| i32::try_from(units.div_euclid(units_per_day)).ok();
    let days: Int32Chunked = physical.i64()?.iter().map(|units| units.and_then(day)).collect();
    Ok(days.with_name(series.name().clone()))
}
