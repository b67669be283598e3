//! The portfolio that a scan proposes, and what is held already.

use std::path::Path;

use csv::{ReaderBuilder, StringRecord, Trim};
use ingest::DailyBars;
use portfolio::{Holdings, Portfolio, Request};
use schemas::{BarFlags, EventTime, Symbol};

use crate::cli::PortfolioArgs;
use crate::error::BadData;
use crate::recompute::Scan;

const HEADER: [&str; 2] = ["symbol", "weight"];

/// A portfolio that is asked for.
#[derive(Debug)]
pub(crate) struct Allocation {
    request: Request,
    account: f64,
}

impl Allocation {
    /// `None` when nobody asks; `account` in currency.
    pub(crate) fn new(args: &PortfolioArgs, account: f64) -> anyhow::Result<Option<Self>> {
        let Some(method) = args.portfolio else { return Ok(None) };
        let request = Request {
            n_max: args.portfolio_size,
            holdings: args.holdings.as_deref().map(read_holdings).transpose()?,
            turnover_max: args.turnover_max,
            account: Some(account),
            ..Request::new(method.into())
        };
        Ok(Some(Self { request, account }))
    }

    /// Of the rows that are left.
    pub(crate) fn of(&self, scan: &Scan) -> anyhow::Result<Proposal> {
        let closes = |symbol: Symbol| closes(&scan.bars, symbol);
        let portfolio = portfolio::propose(&scan.results, closes, &self.request)?;
        Ok(Proposal { portfolio, account: self.account })
    }
}

/// A portfolio and whose it is.
#[derive(Debug)]
pub(crate) struct Proposal {
    pub(crate) portfolio: Portfolio,
    /// Currency.
    pub(crate) account: f64,
}

/// The closes of a symbol's newest segment.
fn closes(bars: &DailyBars, symbol: Symbol) -> Vec<(EventTime, f64)> {
    let Ok(place) = bars.symbols.binary_search_by_key(&symbol, |(known, _)| *known) else { return Vec::new() };
    let rows = bars.symbols[place].1.clone();
    let first = rows.clone().rev().find(|&row| bars.flags[row].contains(BarFlags::SEGMENT_START));
    (first.unwrap_or(rows.start)..rows.end).map(|row| (bars.open_time[row], bars.close[row])).collect()
}

fn read_holdings(path: &Path) -> anyhow::Result<Holdings> {
    let holdings = std::fs::read(path).map_err(|error| error.to_string()).and_then(|text| parse_holdings(&text));
    holdings.map_err(|fault| BadData(format!("holdings `{}`: {fault}", path.display())).into())
}

fn parse_holdings(text: &[u8]) -> Result<Holdings, String> {
    let mut reader = ReaderBuilder::new().trim(Trim::All).from_reader(text);
    let header = reader.headers().map_err(|error| error.to_string())?;
    if *header != HEADER[..] {
        let found = header.iter().collect::<Vec<_>>().join(",");
        return Err(format!("the header is `{found}` instead of `{}`", HEADER.join(",")));
    }
    let mut holdings = Holdings::default();
    for record in reader.records() {
        let record = record.map_err(|error| error.to_string())?;
        let line = record.position().map_or(0, csv::Position::line);
        add_holding(&mut holdings, &record).map_err(|fault| format!("line {line}: {fault}"))?;
    }
    holdings.check().map_err(|error| error.to_string())?;
    Ok(holdings)
}

fn add_holding(holdings: &mut Holdings, record: &StringRecord) -> Result<(), String> {
    // A record that is not as long as the header does not come this far.
    let (symbol, weight) = (&record[0], &record[1]);
    let symbol = Symbol::new(symbol).map_err(|error| error.to_string())?;
    let weight = weight.parse().map_err(|_| format!("`{weight}` is no weight"))?;
    holdings.add(symbol, weight).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holdings_are_read_with_any_line_end() {
        let holdings = parse_holdings(b"symbol,weight\r\nAAPL, 0.25\r\nBRK.B,0\r\n").unwrap();
        let weight = |text: &str| holdings.weight(Symbol::new(text).unwrap());
        let found = [weight("AAPL"), weight("BRK.B"), weight("XOM")];
        assert_eq!(found.map(f64::to_bits), [0.25_f64, 0.0, 0.0].map(f64::to_bits));
    }

    #[test]
    fn a_fault_names_its_line() {
        for (text, expected) in [
            ("AAPL,0.5\n", "the header is `AAPL,0.5` instead of `symbol,weight`"),
            ("symbol,weight\nAAPL,half\n", "line 2: `half` is no weight"),
            ("symbol,weight\nAAPL,0.1\nAAPL,0.2\n", "line 3: AAPL is there twice"),
            ("symbol,weight\nAAPL,-0.1\n", "line 2: the weight -0.1 of AAPL is not between 0 and 1"),
            ("symbol,weight\nAAPL,NaN\n", "line 2: the weight NaN of AAPL is not between 0 and 1"),
            ("symbol,weight\nAAPL,0.6\nXOM,0.6\n", "the weights sum to 1.2000, more than the whole account"),
        ] {
            assert_eq!(parse_holdings(text.as_bytes()).unwrap_err(), expected, "{text}");
        }
        let fault = parse_holdings(b"symbol,weight\nAAPL\n").unwrap_err();
        assert!(fault.contains("line: 2"), "{fault}");
    }
}
