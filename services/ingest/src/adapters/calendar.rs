//! The calendar of companies' events from Parquet: earnings and dividends.

use std::collections::BTreeMap;
use std::path::Path;

use schemas::{CompanyEvent, CompanyEventKind, EVENTS_MAX, EventTime, Symbol};
use tracing::warn;

use super::parquet::{Kind, Table, Wanted};
use super::reference::is_after;
use crate::IngestError;

const COLUMNS: [Wanted; 6] = [
    Wanted::required("symbol", Kind::Text),
    Wanted::required("kind", Kind::Text),
    Wanted::required("date", Kind::Date),
    Wanted::required("available_on", Kind::Date),
    Wanted::optional("eps_actual", Kind::Number),
    Wanted::optional("eps_estimated", Kind::Number),
];

/// The events of each symbol, by date and then by when they were known; of more than a message can carry, the newest.
///
/// # Errors
/// When the file is no Parquet, lacks a required column, or a column is of another kind.
pub(super) fn read_events(
    path: &Path,
    to: Option<EventTime>,
) -> Result<BTreeMap<Symbol, Vec<CompanyEvent>>, IngestError> {
    let table = Table::read(path, &COLUMNS)?;
    let mut events: BTreeMap<Symbol, Vec<CompanyEvent>> = BTreeMap::new();
    let mut n_refused = 0_u64;
    for row in 0..table.n_rows() {
        match event(&table, row) {
            Some((_, event)) if is_after(event.available_on_ns, to) => {}
            Some((symbol, event)) => events.entry(symbol).or_default().push(event),
            None => n_refused += 1,
        }
    }
    for events in events.values_mut() {
        events.sort_by_key(|event| (event.date_ns, event.available_on_ns));
        events.drain(..events.len().saturating_sub(EVENTS_MAX));
    }
    if n_refused > 0 {
        warn!(file = %path.display(), n_refused, "events without a usable symbol, kind or date left out");
    }
    Ok(events)
}

fn event(table: &Table, row: usize) -> Option<(Symbol, CompanyEvent)> {
    let number = |column: &str| table.numbers(column)?.get(row).filter(|number| number.is_finite());
    let day = |column: &str| {
        let day = table.days(column)?.get(row).filter(|day| *day != Table::NO_DAY)?;
        Some(EventTime::from_days(day).as_ns())
    };
    let symbol = Symbol::new(table.texts("symbol")?.get(row)?.trim()).ok()?;
    let kind = match table.texts("kind")?.get(row)?.trim() {
        "earnings" => CompanyEventKind::Earnings,
        "dividend" => CompanyEventKind::Dividend,
        _ => return None,
    };
    let event = CompanyEvent {
        kind,
        date_ns: day("date")?,
        available_on_ns: day("available_on")?,
        eps_actual: number("eps_actual"),
        eps_estimated: number("eps_estimated"),
    };
    Some((symbol, event))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use polars::prelude::*;

    use super::*;

    #[test]
    fn events_are_read_by_symbol_and_rows_that_cannot_be_are_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.parquet");
        let days = |days: [Option<i32>; 6]| Series::new("".into(), days).cast(&DataType::Date).unwrap();
        let mut frame = df!(
            "symbol" => ["B", "A", "A", "A", "A", ""],
            "kind" => ["dividend", "earnings", "earnings", "merger", "earnings", "earnings"],
            "date" => days([Some(30), Some(20), Some(20), Some(20), None, Some(1)]),
            "available_on" => days([Some(5), Some(21), Some(3), Some(3), Some(3), Some(1)]),
            "eps_actual" => [None, Some(0.5), None, None, None, None],
        )
        .unwrap();
        ParquetWriter::new(fs::File::create(&path).unwrap()).finish(&mut frame).unwrap();
        let found = read_events(&path, None).unwrap();
        let said: Vec<_> = found
            .iter()
            .flat_map(|(symbol, events)| events.iter().map(move |event| (symbol.as_str(), event)))
            .map(|(symbol, event)| {
                let days = [event.date_ns, event.available_on_ns].map(|ns| EventTime(ns).days());
                (symbol, event.kind, days, event.eps_actual, event.eps_estimated)
            })
            .collect();
        let (earnings, dividend) = (CompanyEventKind::Earnings, CompanyEventKind::Dividend);
        assert_eq!(
            said,
            [
                ("A", earnings, [20, 3], None, None),
                ("A", earnings, [20, 21], Some(0.5), None),
                ("B", dividend, [30, 5], None, None),
            ]
        );
        ParquetWriter::new(fs::File::create(&path).unwrap()).finish(&mut df!("symbol" => ["A"]).unwrap()).unwrap();
        assert!(read_events(&path, None).unwrap_err().to_string().contains("no column `kind`"));
    }
}
