//! Reference data from Parquet: the universe, and the companies' reports.

use std::collections::BTreeMap;
use std::path::Path;

use schemas::{CLOSES_MAX, EventTime, FILINGS_MAX, Filing, FilingPeriod, Instrument, SmolStr, Symbol};
use tracing::warn;

use super::parquet::{Kind, Table, Wanted};
use crate::IngestError;

const UNIVERSE_FILE: &str = "universe.parquet";
const FUNDAMENTALS_FILE: &str = "fundamentals.parquet";
const MARKETS_FILE: &str = "market_ref_daily.parquet";

/// What a data folder tells about its symbols besides their bars.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reference {
    /// By symbol.
    pub instruments: Vec<Instrument>,
    /// Files that the folder lacks; what they would tell is missing.
    pub missing_files: Vec<&'static str>,
}

/// Reads the reference files of a data folder, as far as it has them.
///
/// # Errors
/// When a file that is there cannot be used.
pub fn read_reference(dir: &Path) -> Result<Reference, IngestError> {
    let mut reference = Reference::default();
    let mut by_symbol: BTreeMap<Symbol, Instrument> = BTreeMap::new();
    let universe = dir.join(UNIVERSE_FILE);
    if universe.exists() {
        by_symbol.extend(read_universe(&universe)?.into_iter().map(|instrument| (instrument.symbol, instrument)));
    } else {
        reference.missing_files.push(UNIVERSE_FILE);
    }
    let fundamentals = dir.join(FUNDAMENTALS_FILE);
    if fundamentals.exists() {
        for (symbol, filings) in read_filings(&fundamentals)? {
            by_symbol.entry(symbol).or_insert_with(|| unknown(symbol)).filings = filings;
        }
    } else {
        reference.missing_files.push(FUNDAMENTALS_FILE);
    }
    let markets = dir.join(MARKETS_FILE);
    if markets.exists() {
        for (symbol, closes) in read_closes(&markets)? {
            by_symbol.entry(symbol).or_insert_with(|| unknown(symbol)).closes = closes;
        }
    } else {
        reference.missing_files.push(MARKETS_FILE);
    }
    reference.instruments = by_symbol.into_values().collect();
    Ok(reference)
}

fn unknown(symbol: Symbol) -> Instrument {
    Instrument {
        symbol,
        source: "replay".to_owned(),
        name: None,
        exchange: None,
        sector: None,
        industry: None,
        shares: None,
        filings: Vec::new(),
        closes: Vec::new(),
    }
}

const FILING_COLUMNS: [Wanted; 13] = [
    Wanted::required("symbol", Kind::Text),
    Wanted::required("available_on", Kind::Date),
    Wanted::required("end_date", Kind::Date),
    Wanted::required("fiscal_year", Kind::Number),
    Wanted::required("period_focus", Kind::Text),
    Wanted::optional("revenues", Kind::Number),
    Wanted::optional("op_income", Kind::Number),
    Wanted::optional("net_income", Kind::Number),
    Wanted::optional("dividend", Kind::Number),
    Wanted::optional("assets", Kind::Number),
    Wanted::optional("cash", Kind::Number),
    Wanted::optional("equity", Kind::Number),
    Wanted::optional("cash_flow_op", Kind::Number),
];

/// The reports of each symbol, oldest period first; of more than a message can carry, the newest.
///
/// # Errors
/// When the file is no Parquet, lacks a required column, or a column is of another kind.
fn read_filings(path: &Path) -> Result<BTreeMap<Symbol, Vec<Filing>>, IngestError> {
    let table = Table::read(path, &FILING_COLUMNS)?;
    let mut filings: BTreeMap<Symbol, Vec<Filing>> = BTreeMap::new();
    let mut n_refused = 0_u64;
    for row in 0..table.n_rows() {
        match filing(&table, row) {
            Some((symbol, filing)) => filings.entry(symbol).or_default().push(filing),
            None => n_refused += 1,
        }
    }
    for filings in filings.values_mut() {
        filings.sort_by_key(|filing| (filing.end_ns, filing.available_on_ns));
        filings.drain(..filings.len().saturating_sub(FILINGS_MAX));
    }
    if n_refused > 0 {
        warn!(file = %path.display(), n_refused, "reports without a usable symbol, period or date left out");
    }
    Ok(filings)
}

fn filing(table: &Table, row: usize) -> Option<(Symbol, Filing)> {
    let number = |column: &str| table.numbers(column)?.get(row).filter(|number| number.is_finite());
    let day = |column: &str| {
        let day = table.days(column)?.get(row).filter(|day| *day != Table::NO_DAY)?;
        Some(EventTime::from_days(day).as_ns())
    };
    let symbol = Symbol::new(table.texts("symbol")?.get(row)?.trim()).ok()?;
    let period = match table.texts("period_focus")?.get(row)? {
        "Q1" => FilingPeriod::Q1,
        "Q2" => FilingPeriod::Q2,
        "Q3" => FilingPeriod::Q3,
        "FY" => FilingPeriod::Year,
        _ => return None,
    };
    #[expect(clippy::cast_possible_truncation, reason = "`as` saturates, and no year is that far away")]
    let fiscal_year = number("fiscal_year")? as i32;
    let filing = Filing {
        available_on_ns: day("available_on")?,
        end_ns: day("end_date")?,
        fiscal_year,
        period,
        revenues: number("revenues"),
        operating_income: number("op_income"),
        net_income: number("net_income"),
        dividend: number("dividend"),
        assets: number("assets"),
        cash: number("cash"),
        equity: number("equity"),
        operating_cash_flow: number("cash_flow_op"),
    };
    Some((symbol, filing))
}

const CLOSE_COLUMNS: [Wanted; 4] = [
    Wanted::required("symbol", Kind::Text),
    Wanted::required("date", Kind::Date),
    Wanted::required("close", Kind::Number),
    Wanted::optional("split_factor", Kind::Number),
];

/// The split-adjusted closes of each market, oldest first; of more than a message can carry, the newest.
///
/// # Errors
/// When the file is no Parquet, lacks a required column, or a column is of another kind.
fn read_closes(path: &Path) -> Result<BTreeMap<Symbol, Vec<(i32, f64)>>, IngestError> {
    let table = Table::read(path, &CLOSE_COLUMNS)?;
    let mut markets: BTreeMap<Symbol, BTreeMap<i32, f64>> = BTreeMap::new();
    let mut n_refused = 0_u64;
    let close = |row: usize| {
        let symbol = Symbol::new(table.texts("symbol")?.get(row)?.trim()).ok()?;
        let day = table.days("date")?.get(row).filter(|day| *day != Table::NO_DAY)?;
        let factor = table.numbers("split_factor").map_or(Some(1.0), |factors| factors.get(row))?;
        let close = table.numbers("close")?.get(row)? * factor;
        (close.is_finite() && close > 0.0).then_some((symbol, day, close))
    };
    for row in 0..table.n_rows() {
        match close(row) {
            Some((symbol, day, close)) => _ = markets.entry(symbol).or_default().insert(day, close),
            None => n_refused += 1,
        }
    }
    if n_refused > 0 {
        warn!(file = %path.display(), n_refused, "closes without a usable symbol, date or price left out");
    }
    let newest = |closes: BTreeMap<i32, f64>| {
        let mut closes: Vec<(i32, f64)> = closes.into_iter().collect();
        closes.drain(..closes.len().saturating_sub(CLOSES_MAX));
        closes
    };
    Ok(markets.into_iter().map(|(symbol, closes)| (symbol, newest(closes))).collect())
}

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
fn read_universe(path: &Path) -> Result<Vec<Instrument>, IngestError> {
    let table = Table::read(path, &COLUMNS)?;
    let text = |column: &str, row: usize| {
        let text = table.texts(column)?.get(row)?.trim();
        (!text.is_empty()).then(|| SmolStr::from(text))
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
            name: text("name", row),
            exchange: text("exchange", row),
            sector: text("sector", row),
            industry: text("industry", row),
            shares: shares(row),
            ..unknown(symbol)
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
        let unknown = |symbol: &str| unknown(Symbol::new(symbol).unwrap());
        let bee = Instrument {
            name: Some("Bee".into()),
            sector: Some("Energy".into()),
            shares: Some((5.0, EventTime::from_days(7))),
            ..unknown("B")
        };
        assert_eq!(read(&mut frame), [unknown("A"), bee, unknown("C")]);
        assert_eq!(read(&mut df!("symbol" => ["X"]).unwrap()), [unknown("X")]);
    }

    #[test]
    fn reports_join_the_universe_by_symbol_in_the_order_of_their_periods() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, frame: &mut DataFrame| {
            ParquetWriter::new(fs::File::create(dir.path().join(name)).unwrap()).finish(frame).unwrap();
        };
        assert_eq!(read_reference(dir.path()).unwrap().missing_files, [UNIVERSE_FILE, FUNDAMENTALS_FILE, MARKETS_FILE]);
        write(UNIVERSE_FILE, &mut df!("symbol" => ["A"], "sector" => ["Energy"]).unwrap());
        let days = |days: [i32; 4]| Series::new("".into(), days).cast(&DataType::Date).unwrap();
        let mut reports = df!(
            "symbol" => ["A", "A", "B", "B"],
            "available_on" => days([40, 20, 30, 31]),
            "end_date" => days([30, 10, 10, 11]),
            "fiscal_year" => [1, 1, 1, 1],
            "period_focus" => ["Q2", "Q1", "FY", "Q4"],
            "revenues" => [Some(2.0), Some(1.0), None, Some(1.0)],
        )
        .unwrap();
        write(FUNDAMENTALS_FILE, &mut reports);
        let mut closes = df!(
            "symbol" => ["B", "B", "B", "C"],
            "date" => days([12, 11, 10, 1]),
            "close" => [3.0, 4.0, 8.0, -1.0],
            "split_factor" => [1.0, 1.0, 0.5, 1.0],
        )
        .unwrap();
        write(MARKETS_FILE, &mut closes);
        let Reference { instruments, missing_files } = read_reference(dir.path()).unwrap();
        assert!(missing_files.is_empty());
        let found: Vec<_> = instruments
            .iter()
            .map(|instrument| {
                let revenues: Vec<_> = instrument.filings.iter().map(|filing| filing.revenues).collect();
                (instrument.symbol.to_string(), instrument.sector.as_deref(), revenues, instrument.closes.clone())
            })
            .collect();
        let expected = [
            ("A".to_owned(), Some("Energy"), vec![Some(1.0), Some(2.0)], Vec::new()),
            ("B".to_owned(), None, vec![None], vec![(10, 4.0), (11, 4.0), (12, 3.0)]),
        ];
        assert_eq!(found, expected);
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
