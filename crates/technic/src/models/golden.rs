//! Golden rows of a model out of its Parquet file.

use std::io::Cursor;

use inference::GoldenRows;
use polars::prelude::{DataType, ParquetReader, SerReader as _};

/// # Errors
/// What is wrong with a file that holds no columns of numbers.
pub(crate) fn read(bytes: &[u8]) -> Result<GoldenRows, String> {
    let frame = ParquetReader::new(Cursor::new(bytes)).finish().map_err(|error| error.to_string())?;
    let mut columns = Vec::with_capacity(frame.width());
    for column in frame.columns() {
        let name = column.name().to_string();
        if column.dtype() != &DataType::Float32 {
            return Err(format!("column `{name}` holds {}, not 32-bit floats", column.dtype()));
        }
        let values = column.f32().map_err(|error| error.to_string())?;
        columns.push((name, values.iter().map(|value| value.unwrap_or(f32::NAN)).collect()));
    }
    Ok(GoldenRows { columns })
}
