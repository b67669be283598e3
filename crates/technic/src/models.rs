//! `technic models`, and where every other command gets its models from.

mod golden;
pub(crate) mod serving;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use inference::{ExplainedPrediction, InferenceOptions, Manifest, ModelError, ModelSet, ModelSource, Refused};
use schemas::{Plan, Timeframe};
use serde::Serialize;

pub use golden::is_golden_reader;

use crate::cli::{ExplainArgs, ModelsArgs, ModelsCommand};
use crate::config::Config;
use crate::error::Usage;
use crate::progress::Progress;
use crate::{print, recompute};

/// Contributions that a text shows of each model.
const CONTRIBUTIONS_SHOWN: usize = 12;

/// Where the configured models come from. The default folder may also lie beside the program.
pub(crate) fn source(config: &Config, plan: Plan) -> ModelSource {
    let program = std::env::current_exe().ok();
    let options = config.inference.clone();
    let options = match program.as_deref().and_then(Path::parent) {
        Some(place) => options.or_beside(place),
        None => options,
    };
    ModelSource { plan, options, read_golden: golden::read }
}

/// Loads the models of a command, and says on stderr what does not predict and why.
pub(crate) fn load(config: &Config, plan: Plan) -> Result<ModelSet, ModelError> {
    let source = source(config, plan);
    let (models, refused) = source.load()?;
    for Refused { directory, error } in refused {
        let error = anyhow::Error::from(error);
        eprintln!("technic: `{}` is refused, an older version predicts: {error:#}", directory.display());
    }
    if models.is_empty() {
        eprintln!("technic: {}; predictions are missing", no_models(&source));
    }
    Ok(models)
}

/// Says where models were looked for.
pub(crate) fn no_models(source: &ModelSource) -> String {
    if source.options.models.is_empty() {
        return "`inference.models` names no models".to_owned();
    }
    let place = |path: &PathBuf| format!("`{}`", std::path::absolute(path).unwrap_or_else(|_| path.clone()).display());
    let places = source.options.models.iter().map(place).collect::<Vec<_>>().join(", ");
    let is_default = source.options.models == InferenceOptions::default().models;
    let beside = if is_default { ", nor in a folder `models` beside the program" } else { "" };
    format!("no models in {places}{beside}")
}

/// The configuration, with other models if some are named.
pub(crate) fn config(file: Option<&Path>, models: &[PathBuf]) -> anyhow::Result<Config> {
    let mut config = Config::load(file, Vec::new())?.config;
    if !models.is_empty() {
        config.inference.models = models.to_vec();
    }
    Ok(config)
}

pub(crate) fn run(command: &ModelsCommand) -> anyhow::Result<()> {
    match command {
        ModelsCommand::List(args) => list(args),
        ModelsCommand::Verify(args) => verify(args),
        ModelsCommand::Explain(args) => explain(args),
    }
}

fn of_args(args: &ModelsArgs) -> anyhow::Result<ModelSource> {
    let config = config(args.config.as_deref(), &args.models)?;
    let plan = config.indicator.plan()?.columns().clone();
    Ok(source(&config, plan))
}

/// Reads manifests only: a model that would be refused is listed, too.
fn list(args: &ModelsArgs) -> anyhow::Result<()> {
    let source = of_args(args)?;
    let mut text = String::new();
    for directory in source.directories() {
        let line = match Manifest::load(&directory, &source.plan, true) {
            Ok((manifest, _)) => {
                let gate = if source.options.allow_unproven { Ok(()) } else { manifest.check_proof() };
                let refusal = gate.err().map(|error| format!(", REFUSED: {error}")).unwrap_or_default();
                let reference = manifest.model_ref();
                let training = &manifest.training;
                format!(
                    "{} {}: {} sessions ahead, rank IC {:+.4} out of sample, {} features, trained {} to {}, {}{refusal}",
                    reference.name,
                    reference.version,
                    training.horizon_sessions,
                    manifest.metrics.rank_ic,
                    manifest.features.names.len(),
                    training.from,
                    training.to,
                    &reference.hash[..12.min(reference.hash.len())],
                )
            }
            Err(error) => format!("{}: REFUSED: {:#}", directory.display(), anyhow::Error::from(error)),
        };
        writeln!(text, "{line}").context("a String takes any text")?;
    }
    if text.is_empty() {
        text = format!("{}\n", no_models(&source));
    }
    print(&text)
}

/// Everything that is checked before a model may predict, model by model.
fn verify(args: &ModelsArgs) -> anyhow::Result<()> {
    let source = of_args(args)?;
    let directories = source.directories();
    if directories.is_empty() {
        return Err(Usage(no_models(&source)).into());
    }
    let mut first_error = None;
    for directory in directories {
        match source.load_one(&directory) {
            Ok(model) => {
                let (reference, shadow) =
                    (model.reference(), if source.options.shadow { " and its shadow" } else { "" });
                let ranges = if model.lacks_ranges() { "; it has no `calibration.json`, so no ranges" } else { "" };
                let (name, version, backend) = (&reference.name, &reference.version, model.backend());
                print(&format!("{name} {version} is sound on {backend}{shadow}{ranges}\n"))?;
            }
            Err(error) => {
                let error = anyhow::Error::from(error);
                print(&format!("{} is refused: {error:#}\n", directory.display()))?;
                first_error.get_or_insert(error);
            }
        }
    }
    // Models that are sound alone may not be so together.
    match first_error {
        Some(error) => Err(error),
        None => Ok(source.load().map(drop)?),
    }
}

/// What an input adds to a prediction.
#[derive(Serialize)]
struct Added<'a> {
    input: &'a str,
    /// `null` where it is missing.
    value: Option<f32>,
    contribution: f64,
}

#[derive(Serialize)]
struct Explained<'a> {
    model: &'a schemas::ModelRef,
    prediction: Option<f64>,
    bias: f64,
    /// What bias and contributions add up to: the prediction, or the log-odds of a probability.
    sum: f64,
    /// Largest first.
    contributions: Vec<Added<'a>>,
}

impl<'a> Explained<'a> {
    fn new(explained: &'a ExplainedPrediction) -> Self {
        let ExplainedPrediction { model, prediction, inputs, explanation } = explained;
        let contributions = inputs.iter().zip(&explanation.contributions);
        let mut contributions: Vec<Added> = contributions
            .map(|((input, value), &contribution)| Added {
                input,
                value: Some(*value).filter(|value| !value.is_nan()),
                contribution,
            })
            .collect();
        contributions.sort_by(|a, b| b.contribution.abs().total_cmp(&a.contribution.abs()));
        Self { model, prediction: *prediction, bias: explanation.bias, sum: explanation.sum(), contributions }
    }
}

fn explain(args: &ExplainArgs) -> anyhow::Result<()> {
    let config = config(args.models.config.as_deref(), &args.models.models)?;
    let progress = Progress::spinner();
    let (features, explained) = recompute::explain(&args.data, args.as_of, args.symbol, &config, &progress)?;
    drop(progress);
    if explained.is_empty() {
        return Err(Usage("without models there is nothing to explain".to_owned()).into());
    }
    let explained: Vec<Explained> = explained.iter().map(Explained::new).collect();
    let as_of = features.bars().rows()[0].1.open_time.display(Timeframe::D1);
    if args.json {
        let document = serde_json::json!({ "symbol": args.symbol, "as_of": as_of, "models": explained });
        return print(&format!("{}\n", serde_json::to_string_pretty(&document)?));
    }
    let mut text = format!("{} as of {as_of}\n", args.symbol);
    for Explained { model, prediction, bias, sum, contributions } in &explained {
        let prediction = prediction.map_or_else(|| "missing: no input is known".to_owned(), |p| format!("{p:+.6}"));
        writeln!(text, "\n{} {}: {prediction}\n  {bias:+.6}  of everybody", model.name, model.version)?;
        for Added { input, value, contribution } in contributions.iter().take(CONTRIBUTIONS_SHOWN) {
            let value = value.map_or_else(|| "missing".to_owned(), |value| format!("{value:.3}"));
            writeln!(text, "  {contribution:+.6}  {input} = {value}")?;
        }
        let rest: f64 = contributions.iter().skip(CONTRIBUTIONS_SHOWN).map(|one| one.contribution).sum();
        let n_rest = contributions.len().saturating_sub(CONTRIBUTIONS_SHOWN);
        let unit = if model.name.starts_with("win_prob") { " (log-odds)" } else { "" };
        writeln!(text, "  {rest:+.6}  the {n_rest} others\n  {sum:+.6}  in all{unit}")?;
    }
    print(&text)
}
