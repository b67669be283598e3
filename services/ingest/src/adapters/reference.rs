//! Reference data of the universe from Parquet.

use std::collections::BTreeMap;
use std::path::Path;

use schemas::{EventTime, Instrument, Symbol};
use tracing::warn;

use super::parquet::{Kind, Table, Wanted};
use crate::IngestError;

const COLUMNS: [Wanted; 7] = [
    Wanted::required("symbol", Kind::Text),
    Wanted::optional("name", Kind::Text),
    Wanted::optional("exchange", Kind::Text),
    Wanted::optional("sector", Kind::Text),
    Wanted::optional("industry", Kind::Text),
    Wanted::optional("shares_pit", Kind::Number),
    Wanted::optional("shares_pit_on", Kind::Date),
];

/// The instruments of a universe file, by symbol. What is missing or empty is `None`; the first row of a symbol counts.
///
/// # Errors
/// When the file is no Parquet, holds no rows, has no column `symbol`, or a column is of another kind.
pub fn read_universe(path: &Path) -> Result<Vec<Instrument>, IngestError> {
    let table = Table::read(path, &COLUMNS)?;
    let text = |column: &str, row: usize| {
        let text = table.texts(column)?.get(row)?.trim();
        (!text.is_empty()).then(|| text.to_owned())
    };
    let shares = |row: usize| {
        let count = table.numbers("shares_pit")?.get(row)?;
        let known_on = table.days("shares_pit_on")?.get(row)?;
        (count.is_finite() && count > 0.0 && known_on != Table::NO_DAY).then(|| (count, EventTime::from_days(known_on)))
    };
    let mut instruments = BTreeMap::new();
    let mut n_refused = 0_u64;
    for row in 0..table.n_rows() {
        let Some(symbol) = text("symbol", row).and_then(|symbol| Symbol::new(&symbol).ok()) else {
            n_refused += 1;
            continue;
        };
        instruments.entry(symbol).or_insert_with(|| Instrument {
            symbol,
            source: "replay".to_owned(),
            name: text("name", row),
            exchange: text("exchange", row),
            sector: text("sector", row),
            industry: text("industry", row),
            shares: shares(row),
        });
    }
    if n_refused > 0 {
        warn!(file = %path.display(), n_refused, "universe rows without a usable symbol left out");
    }
    Ok(instruments.into_values().collect())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use polars::prelude::*;

    use super::*;

    #[test]
    fn what_is_missing_stays_unknown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("universe.parquet");
        let read = |frame: &mut DataFrame| {
            ParquetWriter::new(fs::File::create(&path).unwrap()).finish(frame).unwrap();
            read_universe(&path).unwrap()
        };
        let known_on = Column::new("shares_pit_on".into(), [Some(7), Some(7), None, Some(7), None]);
        let mut frame = df!(
            "symbol" => [Some("B"), Some("A"), Some("C"), Some("B"), None],
            "name" => [Some("Bee"), Some(" "), None, Some("Second"), Some("Nobody")],
            "sector" => [Some("Energy"), None, None, None, None],
            "shares_pit" => [Some(5.0), Some(-1.0), Some(5.0), None, None],
        )
        .unwrap();
        frame.with_column(known_on.cast(&DataType::Date).unwrap()).unwrap();
        let unknown = |symbol: &str| Instrument {
            symbol: Symbol::new(symbol).unwrap(),
            source: "replay".to_owned(),
            name: None,
            exchange: None,
            sector: None,
            industry: None,
            shares: None,
        };
        let bee = Instrument {
            name: Some("Bee".to_owned()),
            sector: Some("Energy".to_owned()),
            shares: Some((5.0, EventTime::from_days(7))),
            ..unknown("B")
        };
        assert_eq!(read(&mut frame), [unknown("A"), bee, unknown("C")]);
        assert_eq!(read(&mut df!("symbol" => ["X"]).unwrap()), [unknown("X")]);
    }

    #[test]
    fn a_universe_without_symbols_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("universe.parquet");
        let mut frame = df!("ticker" => ["X"]).unwrap();
        ParquetWriter::new(fs::File::create(&path).unwrap()).finish(&mut frame).unwrap();
        let error = read_universe(&path).unwrap_err().to_string();
        assert_eq!(error, format!("`{}` has no column `symbol`, expected text", path.display()));
    }
}
