use std::collections::BTreeSet;

use schemas::{EventTime, ResultRow, Timeframe};

use crate::allocation::Allocation;
use crate::cli::{ScanArgs, ScanFormat};
use crate::error::Usage;
use crate::funnel::{Funnel, Wishes, is_same_sector};
use crate::models;
use crate::output::{self, View};
use crate::progress::Progress;
use crate::recompute::{self, Scan};

/// Rows of a table when nothing else is said: what fits a screen.
const TABLE_ROWS: usize = 25;

pub(crate) fn scan(args: &ScanArgs) -> anyhow::Result<()> {
    if args.format == ScanFormat::Parquet && args.output.is_none() {
        return Err(Usage("`--format parquet` needs `-o FILE`".to_owned()).into());
    }
    if args.portfolio.portfolio.is_some() && !matches!(args.format, ScanFormat::Table | ScanFormat::Json) {
        return Err(Usage("`--portfolio` needs `--format table` or `json`".to_owned()).into());
    }
    let mut config = models::config(args.config.as_deref(), &args.models)?;
    config.scoring.outcomes = args.outcomes.clone().or(config.scoring.outcomes);
    config.scoring.strategy = args.strategy.unwrap_or(config.scoring.strategy);
    let allocation = Allocation::new(&args.portfolio, config.scoring.account.size)?;
    let progress = Progress::spinner();
    let mut scan = recompute::scan(&args.data, args.as_of, &config, &progress)?;
    drop(progress);
    report(&scan, args.as_of);
    let n_scored = scan.results.len();
    let mut funnel = select(&mut scan, args)?;
    let portfolio = allocation.map(|allocation| allocation.of(&scan)).transpose()?;
    let limit = args.limit.or((args.format == ScanFormat::Table).then_some(TABLE_ROWS));
    funnel.cut(&mut scan.results, limit.unwrap_or(usize::MAX));
    for symbol in &args.symbols {
        if let Some(why) = funnel.why_not.get(symbol) {
            eprintln!("technic: {symbol} is not shown: {why}");
        }
    }
    let view = View { scan: &scan, n_scored, funnel: &funnel, portfolio: portfolio.as_ref() };
    match args.format {
        ScanFormat::Table => output::table(&view, args.output.as_deref()),
        ScanFormat::Json => output::json(&view, args.output.as_deref()),
        ScanFormat::Csv => output::csv(&scan, args.output.as_deref()),
        ScanFormat::Parquet => output::parquet(&scan, args.output.as_deref()),
    }
}

/// Keeps what was asked for. Ranks are those among all symbols, whatever is shown.
fn select(scan: &mut Scan, args: &ScanArgs) -> Result<Funnel, Usage> {
    let is_wanted = |row: &ResultRow| {
        let sector = row.sector.as_deref().unwrap_or_default();
        args.sectors.iter().any(|wanted| is_same_sector(wanted, sector))
    };
    if !args.sectors.is_empty() && !scan.results.iter().any(is_wanted) {
        let known: BTreeSet<&str> = scan.results.iter().filter_map(|row| row.sector.as_deref()).collect();
        let known = known.into_iter().collect::<Vec<_>>().join(", ");
        return Err(Usage(format!("no ranked symbol is in sector {}; known are: {known}", args.sectors.join(", "))));
    }
    let wishes = Wishes { symbols: &args.symbols, sectors: &args.sectors, profile: args.profile.name() };
    Ok(Funnel::select(scan, &wishes))
}

/// What a reader should know besides the results, on stderr.
fn report(scan: &Scan, as_of: Option<EventTime>) {
    if let Some(as_of) = as_of.filter(|as_of| scan.as_of < *as_of) {
        let [newest, asked] = [scan.as_of, as_of].map(|day| day.display(Timeframe::D1));
        eprintln!("technic: the newest bars up to {asked} are of {newest}");
    }
    for file in &scan.missing_files {
        eprintln!("technic: the folder has no `{file}`; what it would tell is missing in the results");
    }
    if scan.bars.is_close_only() {
        eprintln!("technic: the bars have no open, high and low; what needs them is missing in the results");
    }
    for fault in &scan.rejections.samples {
        eprintln!("technic: rejected {fault}");
    }
    let n_rejected = scan.rejections.total();
    if n_rejected > 0 {
        let reasons: Vec<String> =
            scan.rejections.by_reason.iter().map(|(reason, n_rows)| format!("{reason} {n_rows}")).collect();
        eprintln!("technic: {n_rejected} rows rejected ({})", reasons.join(", "));
    }
}
