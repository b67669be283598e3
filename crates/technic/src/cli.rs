use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use portfolio::Method;
use schemas::{EventTime, Symbol};
use scoring::profiles::{Strategy, StrategyProfile};

/// Streaming stock scanner: bars in; ranked, explained trade ideas out.
#[derive(Debug, Parser)]
#[command(name = "technic", version, about, propagate_version = true)]
pub struct Cli {
    /// Without a command: `run`, every service on the synthetic market.
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run services until stopped; by default all of them, in one process, on a synthetic market.
    Run(RunArgs),
    /// Put a folder's history onto a bus, then end.
    Replay(ReplayArgs),
    /// Rank every symbol of a data folder as of a date.
    Scan(ScanArgs),
    /// Write every indicator and feature, one row per bar, to Parquet.
    Features(FeaturesArgs),
    /// Record what became of past results, for `scan --outcomes` and `scoring.outcomes`.
    Outcomes(OutcomesArgs),
    /// What the models are, whether they are sound, and why they say what they say.
    Models {
        #[command(subcommand)]
        command: ModelsCommand,
    },
    /// Check the configuration and print what is in force, secrets masked.
    CheckConfig {
        /// A TOML file on top of the defaults.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// The messages' JSON Schemas.
    Schema {
        #[command(subcommand)]
        command: SchemaCommand,
    },
    /// Print the version.
    Version,
}

impl Default for Command {
    fn default() -> Self {
        Self::Run(RunArgs::default())
    }
}

#[derive(Debug, Subcommand)]
pub enum SchemaCommand {
    /// Print all JSON Schemas, or write one file each into a folder.
    Export {
        /// The folder; it is created.
        #[arg(short, long, value_name = "DIR")]
        output: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub enum ModelsCommand {
    /// Print the models that would predict, with their figures.
    List(ModelsArgs),
    /// Load every model: features, hashes, gate, golden rows. Ends with 2 when one is refused.
    Verify(ModelsArgs),
    /// Print what each input adds to the predictions of a symbol's newest bar.
    Explain(ExplainArgs),
}

#[derive(Debug, Args)]
pub struct ModelsArgs {
    /// A TOML file on top of the defaults.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Model directory, or folder of models, instead of the configured ones; may be repeated.
    #[arg(long, value_name = "DIR")]
    pub models: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The symbol.
    #[arg(long, value_name = "SYMBOL", value_parser = symbol)]
    pub symbol: Symbol,
    /// Folder with `daily_bars.parquet`.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Nothing after this session is looked at, YYYY-MM-DD; default: the newest.
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub as_of: Option<EventTime>,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub models: ModelsArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum ServiceName {
    Ingest,
    Indicator,
    Inference,
    Scoring,
    Publisher,
}

#[derive(Debug, Default, Args)]
pub struct RunArgs {
    /// Which services; none named means all.
    #[arg(value_name = "SERVICE")]
    pub services: Vec<ServiceName>,
    /// Where bars come from: `synthetic`, `replay:DIR`, or `nats` for those that anyone sends to the intake.
    #[arg(long, value_name = "SOURCE")]
    pub source: Option<String>,
    /// `memory`, `nats-child` or `nats://host:port`.
    #[arg(long, value_name = "BUS")]
    pub bus: Option<String>,
    /// `live` or `replay.<run>`: keeps pipelines on one bus apart.
    #[arg(long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// A TOML file on top of the defaults.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl RunArgs {
    pub(crate) fn overrides(&self) -> Vec<(String, String)> {
        overrides([("ingest.source", &self.source), ("bus", &self.bus), ("namespace", &self.namespace)])
    }
}

#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Folder with `daily_bars.parquet`.
    #[arg(long, value_name = "DIR")]
    pub data: String,
    /// First session, YYYY-MM-DD.
    #[arg(long, value_name = "DATE")]
    pub from: Option<String>,
    /// Last session, YYYY-MM-DD.
    #[arg(long, value_name = "DATE")]
    pub to: Option<String>,
    /// `max`, or how many times faster than the clock.
    #[arg(long, value_name = "SPEED")]
    pub speed: Option<String>,
    /// `nats-child` or `nats://host:port`.
    #[arg(long, value_name = "BUS")]
    pub bus: Option<String>,
    /// `live` or `replay.<run>`: keeps pipelines on one bus apart.
    #[arg(long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// A TOML file on top of the defaults.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl ReplayArgs {
    pub(crate) fn overrides(&self) -> Vec<(String, String)> {
        let mut all = vec![("ingest.source".to_owned(), format!("replay:{}", self.data))];
        all.extend(overrides([
            ("ingest.replay.from", &self.from),
            ("ingest.replay.to", &self.to),
            ("ingest.replay.speed", &self.speed),
            ("bus", &self.bus),
            ("namespace", &self.namespace),
        ]));
        all
    }
}

fn overrides<'a>(flags: impl IntoIterator<Item = (&'static str, &'a Option<String>)>) -> Vec<(String, String)> {
    flags.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value.clone()?))).collect()
}

#[derive(Debug, Args)]
pub struct ScanArgs {
    /// Folder with `daily_bars.parquet` and, where it has them, the reference files.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Nothing after this session is looked at, YYYY-MM-DD; default: the newest.
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub as_of: Option<EventTime>,
    /// Show only these; ranks stay those among all.
    #[arg(long, value_name = "A,B", value_delimiter = ',', value_parser = symbol)]
    pub symbols: Vec<Symbol>,
    /// Show only this sector; may be repeated.
    #[arg(long = "sector", value_name = "SECTOR")]
    pub sectors: Vec<String>,
    /// A TOML file on top of the defaults; models and scoring are read from it.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Model directory, or folder of models, instead of the configured ones; may be repeated.
    #[arg(long, value_name = "DIR")]
    pub models: Vec<PathBuf>,
    /// Show only what this risk profile wants to see.
    #[arg(long, value_name = "PROFILE", default_value = "none")]
    pub profile: ProfileChoice,
    /// Make the plans for this strategy, instead of the configured one.
    #[arg(long, value_name = "STRATEGY", value_parser = strategy)]
    pub strategy: Option<Strategy>,
    /// Show so many at most; default: 25 in a table, else all.
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// What became of past results, as `technic outcomes` records it, instead of the configured file.
    #[arg(long, value_name = "FILE.parquet")]
    pub outcomes: Option<PathBuf>,
    #[command(flatten)]
    pub portfolio: PortfolioArgs,
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: ScanFormat,
    /// Write there instead of stdout. Parquet needs it.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct PortfolioArgs {
    /// Divide the account among the best of what is shown, whatever `--limit` says, by this method.
    #[arg(long, value_name = "METHOD")]
    pub portfolio: Option<MethodChoice>,
    /// Most names of the portfolio.
    #[arg(long, value_name = "N", requires = "portfolio", default_value_t = portfolio::NAMES_DEFAULT, value_parser = n_names)]
    pub portfolio_size: usize,
    /// What is held already: CSV with the header `symbol,weight`, weights as fractions of the account.
    #[arg(long, value_name = "FILE", requires = "portfolio")]
    pub holdings: Option<PathBuf>,
    /// How much of the account may move, as a fraction.
    #[arg(long, value_name = "SHARE", requires = "holdings", value_parser = share)]
    pub turnover_max: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MethodChoice {
    /// By 1 / volatility.
    InverseVolatility,
    /// The least variance.
    MinVariance,
    /// The most expected return less what its variance costs.
    MeanVariance,
}

impl From<MethodChoice> for Method {
    fn from(choice: MethodChoice) -> Self {
        match choice {
            MethodChoice::InverseVolatility => Self::InverseVolatility,
            MethodChoice::MinVariance => Self::MinVariance,
            MethodChoice::MeanVariance => Self::MeanVariance,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProfileChoice {
    Conservative,
    #[value(alias = "moderate")]
    Balanced,
    Aggressive,
    None,
}

impl ProfileChoice {
    /// Its name in the results.
    pub(crate) fn name(self) -> Option<&'static str> {
        match self {
            Self::Conservative => Some("conservative"),
            Self::Balanced => Some("balanced"),
            Self::Aggressive => Some("aggressive"),
            Self::None => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ScanFormat {
    Table,
    Json,
    Csv,
    Parquet,
}

#[derive(Debug, Args)]
#[group(id = "input", required = true, multiple = false)]
pub struct FeaturesInput {
    /// Folder with `daily_bars.parquet`.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// A single Parquet file of bars.
    #[arg(long, value_name = "FILE")]
    pub bars: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct FeaturesArgs {
    #[command(flatten)]
    pub input: FeaturesInput,
    /// First session written, YYYY-MM-DD; earlier ones still warm the indicators up.
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub from: Option<EventTime>,
    /// Last session, YYYY-MM-DD; nothing after it is looked at.
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub to: Option<EventTime>,
    /// Add what the models say of every bar, as the live line would have said it then.
    #[arg(long)]
    pub predict: bool,
    #[command(flatten)]
    pub models: ModelsArgs,
    #[arg(short, long, value_name = "FILE.parquet")]
    pub output: PathBuf,
}

#[derive(Debug, Args)]
pub struct OutcomesArgs {
    /// Folder with `daily_bars.parquet` and, where it has them, the reference files.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// First session scored, YYYY-MM-DD; default: the oldest.
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub from: Option<EventTime>,
    /// Last session scored, YYYY-MM-DD; outcomes are measured after it, too. Default: the last with ten more behind it.
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub to: Option<EventTime>,
    /// One in so many sessions is scored; five is one a week.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = n_sessions)]
    pub every: usize,
    /// A TOML file on top of the defaults; models and scoring are read from it.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Model directory, or folder of models, instead of the configured ones; may be repeated.
    #[arg(long, value_name = "DIR")]
    pub models: Vec<PathBuf>,
    #[arg(short, long, value_name = "FILE.parquet")]
    pub output: PathBuf,
}

fn date(text: &str) -> Result<EventTime, String> {
    EventTime::parse_date(text).ok_or_else(|| "no date from 1677 to 2262; write it as YYYY-MM-DD".to_owned())
}

fn n_names(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|n| (1..=portfolio::NAMES_MAX).contains(n));
    number.ok_or_else(|| format!("not a number from 1 to {}", portfolio::NAMES_MAX))
}

fn n_sessions(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| *n > 0).ok_or_else(|| "not a number of sessions".to_owned())
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "not a number from 0 to 1".to_owned())
}

fn strategy(text: &str) -> Result<Strategy, String> {
    let none = (text == "none").then_some(Strategy::None);
    none.or_else(|| StrategyProfile::named(text).map(|profile| profile.strategy)).ok_or_else(|| {
        let known: Vec<&str> = StrategyProfile::ALL.iter().map(|profile| profile.name).collect();
        format!("known are none, {}", known.join(", "))
    })
}

fn symbol(text: &str) -> Result<Symbol, String> {
    Symbol::new(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn without_a_command_everything_runs() {
        let cli = Cli::try_parse_from(["technic"]).unwrap();
        assert!(cli.command.is_none());
        let Command::Run(args) = Command::default() else { panic!("the default is to run") };
        assert!(args.services.is_empty() && args.overrides().is_empty());
    }

    #[test]
    fn wrong_usage_is_refused() {
        for args in [
            &["technic", "scan"][..],
            &["technic", "scan", "--data", "x", "--as-of", "2016-13-01"],
            &["technic", "run", "nobody"],
            &["technic", "scan", "--data", "x", "--portfolio", "equal"],
            &["technic", "scan", "--data", "x", "--portfolio-size", "5"],
            &["technic", "scan", "--data", "x", "--portfolio", "min-variance", "--portfolio-size", "0"],
            &["technic", "scan", "--data", "x", "--holdings", "y"],
            &["technic", "scan", "--data", "x", "--portfolio", "min-variance", "--turnover-max", "0.1"],
            &["technic", "outcomes", "--data", "x"],
            &["technic", "outcomes", "--data", "x", "-o", "y", "--every", "0"],
            &["technic", "features", "-o", "x"],
            &["technic", "features", "--data", "x", "--bars", "y", "-o", "x"],
        ] {
            assert!(Cli::try_parse_from(args).is_err(), "{args:?}");
        }
    }
}
