//! The formats in which a scan is written.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::Context as _;
use comfy_table::{CellAlignment, Table, presets};
use polars::prelude::{Column, DataFrame, NamedFrom as _, ParquetWriter, Series};
use portfolio::Portfolio;
use schemas::{Market, ModelRef, ResultRow, SmolStr, Symbol, Timeframe};
use scoring::profiles::StrategyProfile;
use serde::Serialize;

use crate::allocation::Proposal;
use crate::funnel::Funnel;
use crate::recompute::Scan;

/// What is shown of a scan.
#[derive(Debug)]
pub(crate) struct View<'a> {
    pub(crate) scan: &'a Scan,
    pub(crate) n_scored: usize,
    pub(crate) funnel: &'a Funnel,
    pub(crate) portfolio: Option<&'a Proposal>,
}

/// The head of the JSON output; `results` come last.
#[derive(Serialize)]
struct Document<'a> {
    as_of: String,
    universe: usize,
    scored: usize,
    elapsed_ms: f64,
    stage_ms: BTreeMap<&'static str, f64>,
    /// `null` when the folder has no closes of the index it is read from.
    regime: Option<&'a Market>,
    models: &'a [ModelRef],
    /// What the plans are made for; `null` when that is the account alone.
    strategy: Option<StrategyView>,
    /// What kind of bars the results stand on.
    data: &'static str,
    rejected: &'a BTreeMap<&'static str, u64>,
    missing_files: &'a [&'static str],
    funnel: &'a Funnel,
    /// The symbols that are not shown, and the first condition that each fails.
    why_not: &'a BTreeMap<Symbol, String>,
    /// Only when it is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    portfolio: Option<PortfolioView<'a>>,
    results: &'a [ResultRow],
}

#[derive(Serialize)]
struct PortfolioView<'a> {
    /// Currency.
    account: f64,
    #[serde(flatten)]
    portfolio: &'a Portfolio,
}

#[derive(Serialize)]
struct StrategyView {
    name: &'static str,
    /// How much of the account one plan may lose, in percent, and the gain asked for per risk taken.
    risk_pct: f64,
    target_rr: f64,
    tech_rating_min: f64,
    style: &'static str,
}

impl StrategyView {
    fn of(profile: &StrategyProfile) -> Self {
        let &StrategyProfile { name, risk_pct, target_rr, tech_rating_min, style, .. } = profile;
        Self { name, risk_pct, target_rr, tech_rating_min, style: style.as_str() }
    }
}

pub(crate) fn json(view: &View, path: Option<&Path>) -> anyhow::Result<()> {
    let View { scan, n_scored, funnel, portfolio } = *view;
    let document = Document {
        as_of: scan.as_of.display(Timeframe::D1),
        universe: scan.n_symbols,
        scored: n_scored,
        elapsed_ms: milliseconds(scan.elapsed),
        stage_ms: scan.stages.iter().map(|&(name, elapsed)| (name, milliseconds(elapsed))).collect(),
        regime: scan.market.as_ref(),
        models: &scan.models,
        strategy: scan.strategy.profile().map(StrategyView::of),
        data: "replay",
        rejected: &scan.rejections.by_reason,
        missing_files: &scan.missing_files,
        funnel,
        why_not: &funnel.why_not,
        portfolio: portfolio
            .map(|proposal| PortfolioView { account: proposal.account, portfolio: &proposal.portfolio }),
        results: &scan.results,
    };
    let mut text = serde_json::to_vec(&document).context("cannot write the results as JSON")?;
    text.push(b'\n');
    write(path, &text)
}

pub(crate) fn table(view: &View, path: Option<&Path>) -> anyhow::Result<()> {
    let View { scan, n_scored, funnel, portfolio } = *view;
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "#", "symbol", "sector", "MERIT", "", "tier", "signal", "close", "entry", "stop", "target", "R:R", "size",
        "win", "why",
    ]);
    let price = |price: Option<f64>| price.map_or_else(|| "–".to_owned(), |price| format!("{price:.2}"));
    for (rank, row) in (1..).zip(&scan.results) {
        table.add_row([
            rank.to_string(),
            row.symbol.to_string(),
            row.sector.as_deref().unwrap_or("–").to_owned(),
            format!("{:.1}", row.merit),
            row.merit_band.to_string(),
            row.result_tier.to_string(),
            row.signal.to_string(),
            price(Some(row.close)),
            price(row.entry),
            price(row.stop),
            price(row.target),
            row.reward_risk.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.1}")),
            row.position_size.map_or_else(|| "–".to_owned(), |shares| shares.to_string()),
            row.win_prob_10d.map_or_else(|| "–".to_owned(), |share| format!("{:.0}%", 100.0 * share)),
            why_text(row),
        ]);
    }
    align_right(&mut table, &[0, 3, 7, 8, 9, 10, 11, 12, 13]);
    let models = if scan.models.is_empty() { "no model: predictions are missing" } else { "with predictions" };
    let mut lines = vec![format!(
        "as of {} · {n_scored} of {} symbols ranked · {:.0} ms · {models}",
        scan.as_of.display(Timeframe::D1),
        scan.n_symbols,
        milliseconds(scan.elapsed),
    )];
    if let Some(market) = &scan.market {
        let level = market.vol_level.as_deref().unwrap_or("unknown");
        lines.push(format!("market: {} ({}, volatility {level})", market.label, market.benchmark));
    }
    if let Some(StrategyProfile { name, risk_pct, target_rr, style, .. }) = scan.strategy.profile() {
        let style = style.as_str();
        lines.push(format!("strategy: {name} ({style}, risk {risk_pct} % of the account, reward {target_rr} to 1)"));
    }
    lines.push(funnel.line());
    let mut text = format!("{}\n\n{table}\n", lines.join("\n"));
    if let Some(proposal) = portfolio {
        text.push_str(&portfolio_table(proposal));
    }
    text.push_str(&times(scan));
    write(path, text.as_bytes())
}

/// How long each stage took, and all of it.
fn times(scan: &Scan) -> String {
    let stages = scan.stages.iter().map(|(name, elapsed)| format!("{name} {:.0} ms", milliseconds(*elapsed)));
    format!("\ntime: {}, in all {:.0} ms\n", stages.collect::<Vec<_>>().join(", "), milliseconds(scan.elapsed))
}

/// What the summary says behind the score, and what became of the like.
fn why_text(row: &ResultRow) -> String {
    let why = row.merit_summary.split_once(": ").map_or(row.merit_summary.as_str(), |(_, why)| why);
    let outcomes = row.outcomes.as_ref().and_then(|outcomes| {
        let (mean, hits) = (100.0 * outcomes.mean_10d?, 100.0 * outcomes.hit_10d?);
        Some(format!("; {} like it: {mean:+.1}% in ten days, {hits:.0}% rose", outcomes.n))
    });
    format!("{why}{}", outcomes.unwrap_or_default())
}

fn portfolio_table(proposal: &Proposal) -> String {
    let Proposal { portfolio, account } = proposal;
    let percent = |share: Option<f64>| share.map_or_else(|| "–".to_owned(), |share| format!("{:.1}%", 100.0 * share));
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["symbol", "sector", "weight", "held", "shares", "close", "MERIT", "volatility", "alpha", "risk"]);
    for position in &portfolio.positions {
        table.add_row([
            position.symbol.to_string(),
            position.sector.as_deref().unwrap_or("–").to_owned(),
            percent(Some(position.weight)),
            percent(position.held),
            position.shares.map_or_else(|| "–".to_owned(), |shares| shares.to_string()),
            position.close.map_or_else(|| "–".to_owned(), |close| format!("{close:.2}")),
            position.merit.map_or_else(|| "–".to_owned(), |merit| format!("{merit:.1}")),
            percent(position.volatility),
            percent(position.alpha_10d),
            percent(position.risk_share),
        ]);
    }
    align_right(&mut table, &[2, 3, 4, 5, 6, 7, 8, 9]);
    let n_names = portfolio.positions.iter().filter(|position| position.weight > 0.0).count();
    let turnover = portfolio.turnover.map_or_else(String::new, |share| format!(" · turnover {}", percent(Some(share))));
    let left_out: Vec<String> =
        portfolio.left_out.iter().map(|left_out| format!("{} {}", left_out.reason, left_out.rows)).collect();
    let left_out = if left_out.is_empty() { "none".to_owned() } else { left_out.join(", ") };
    format!(
        "\nportfolio: {} of {account:.0} · {n_names} names, {} cash · volatility {} a year, alpha {} in ten days{turnover}\n\
         left out: {left_out}\n\n{table}\n",
        portfolio.method.as_str(),
        percent(Some(portfolio.cash)),
        percent(portfolio.volatility),
        percent(portfolio.alpha_10d),
    )
}

fn align_right(table: &mut Table, columns: &[usize]) {
    for column in columns {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

pub(crate) fn csv(scan: &Scan, path: Option<&Path>) -> anyhow::Result<()> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS.iter().map(|(name, _)| *name))?;
    for row in &scan.results {
        writer.write_record(COLUMNS.iter().map(|(_, value)| match value(row) {
            Value::Text(text) => text.unwrap_or_default(),
            Value::Number(number) => number.map(|number| number.to_string()).unwrap_or_default(),
        }))?;
    }
    write(path, &writer.into_inner().context("cannot write the results as CSV")?)
}

pub(crate) fn parquet(scan: &Scan, path: Option<&Path>) -> anyhow::Result<()> {
    let path = path.context("parquet goes to a file")?;
    let column = |(name, value): &FlatColumn| {
        let values: Vec<Value> = scan.results.iter().map(value).collect();
        let is_text = scan.results.first().is_none_or(|row| matches!(value(row), Value::Text(_)));
        let series = if is_text {
            Series::new((*name).into(), values.into_iter().map(Value::text).collect::<Vec<_>>())
        } else {
            Series::new((*name).into(), values.into_iter().map(Value::number).collect::<Vec<_>>())
        };
        Column::from(series)
    };
    let mut frame = DataFrame::new(scan.results.len(), COLUMNS.iter().map(column).collect())?;
    let file = File::create(path).with_context(|| format!("cannot create `{}`", path.display()))?;
    ParquetWriter::new(BufWriter::new(file))
        .finish(&mut frame)
        .with_context(|| format!("cannot write `{}`", path.display()))?;
    Ok(())
}

/// A cell of the flat formats; missing is empty or null.
enum Value {
    Text(Option<String>),
    Number(Option<f64>),
}

impl Value {
    fn text(self) -> Option<String> {
        match self {
            Self::Text(text) => text,
            Self::Number(_) => None,
        }
    }

    fn number(self) -> Option<f64> {
        match self {
            Self::Number(number) => number,
            Self::Text(_) => None,
        }
    }
}

fn text(text: Option<&SmolStr>) -> Option<String> {
    text.map(ToString::to_string)
}

/// Its name and how a row gives it.
type FlatColumn = (&'static str, fn(&ResultRow) -> Value);

/// The flat columns, in order. The breakdown is in the JSON only.
const COLUMNS: [FlatColumn; 45] = [
    ("symbol", |row| Value::Text(Some(row.symbol.to_string()))),
    ("as_of", |row| Value::Text(Some(row.as_of.to_string()))),
    ("close", |row| Value::Number(Some(row.close))),
    ("name", |row| Value::Text(text(row.name.as_ref()))),
    ("sector", |row| Value::Text(text(row.sector.as_ref()))),
    ("industry", |row| Value::Text(text(row.industry.as_ref()))),
    ("market_cap", |row| Value::Number(row.market_cap)),
    ("atr_pct", |row| Value::Number(row.atr_pct)),
    ("dollar_volume_20", |row| Value::Number(row.dollar_volume_20)),
    ("merit", |row| Value::Number(Some(row.merit))),
    ("merit_band", |row| Value::Text(Some(row.merit_band.to_string()))),
    ("merit_flags", |row| Value::Text(Some(row.merit_flags.to_string()))),
    ("merit_summary", |row| Value::Text(Some(row.merit_summary.clone()))),
    ("tech_rating", |row| Value::Number(row.tech_rating)),
    ("ics", |row| Value::Number(Some(row.ics))),
    ("quality", |row| Value::Number(row.quality)),
    ("alpha_5d", |row| Value::Number(row.alpha_5d)),
    ("alpha_10d", |row| Value::Number(row.alpha_10d)),
    ("win_prob_10d", |row| Value::Number(row.win_prob_10d)),
    ("signal", |row| Value::Text(Some(row.signal.to_string()))),
    ("entry", |row| Value::Number(row.entry)),
    ("stop", |row| Value::Number(row.stop)),
    ("target", |row| Value::Number(row.target)),
    ("reward_risk", |row| Value::Number(row.reward_risk)),
    ("position_size", |row| Value::Number(row.position_size.map(|size| size as f64))),
    ("setup", |row| Value::Text(row.setup.as_ref().map(ToString::to_string))),
    ("live_plan_state", |row| Value::Text(row.live_plan.as_ref().map(|plan| plan.state.to_string()))),
    ("live_plan_entry", |row| Value::Number(row.live_plan.as_ref().map(|plan| plan.entry))),
    ("live_plan_stop", |row| Value::Number(row.live_plan.as_ref().map(|plan| plan.stop))),
    ("live_plan_target", |row| Value::Number(row.live_plan.as_ref().map(|plan| plan.target))),
    ("live_plan_fill", |row| Value::Number(row.live_plan.as_ref().and_then(|plan| plan.fill))),
    ("excluded", |row| Value::Text(row.excluded.as_ref().map(ToString::to_string))),
    ("no_plan", |row| Value::Text(row.no_plan.as_ref().map(ToString::to_string))),
    ("liquidity_note", |row| Value::Text(row.liquidity_note.clone())),
    ("result_tier", |row| Value::Text(Some(row.result_tier.to_string()))),
    ("investor_tier", |row| Value::Text(Some(row.investor_tier.to_string()))),
    ("play_style", |row| Value::Text(Some(row.play_style.to_string()))),
    ("value_score", |row| Value::Number(row.factors.as_ref().and_then(|factors| factors.value_score))),
    ("quality_factor", |row| Value::Number(row.factors.as_ref().and_then(|factors| factors.quality_factor))),
    ("growth_score", |row| Value::Number(row.factors.as_ref().and_then(|factors| factors.growth_score))),
    ("outcomes_n", |row| Value::Number(row.outcomes.as_ref().map(|outcomes| f64::from(outcomes.n)))),
    ("outcomes_mean_10d", |row| Value::Number(row.outcomes.as_ref().and_then(|outcomes| outcomes.mean_10d))),
    ("outcomes_hit_10d", |row| Value::Number(row.outcomes.as_ref().and_then(|outcomes| outcomes.hit_10d))),
    ("is_ultra_risky", |row| Value::Text(Some(row.is_ultra_risky.to_string()))),
    ("n_bars", |row| Value::Number(Some(f64::from(row.freshness.n_bars)))),
];

fn write(path: Option<&Path>, bytes: &[u8]) -> anyhow::Result<()> {
    match path {
        Some(path) => std::fs::write(path, bytes).with_context(|| format!("cannot write `{}`", path.display())),
        None => match io::stdout().lock().write_all(bytes) {
            // A reader that closes the pipe has had enough: that is no failure.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error).context("cannot write to stdout"),
            _ => Ok(()),
        },
    }
}

fn milliseconds(duration: std::time::Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
