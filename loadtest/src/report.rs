use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use comfy_table::{CellAlignment, presets};
use runtime::clock;
use schemas::Timeframe;
use serde::Serialize;
use serde_json::Value;

use crate::BusChoice;

/// Rows of figures. Rows of one name are repeats of one measurement.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Table {
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    name: &'static str,
    figures: Vec<(&'static str, f64)>,
}

/// What a scenario has shown.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    scenario: &'static str,
    bus: &'static str,
    date: String,
    commit: String,
    machine: Machine,
    parameters: Value,
    /// `<row>_<figure>`: the median of the repeats.
    typical: BTreeMap<String, f64>,
    /// The smallest of the repeats.
    best: BTreeMap<String, f64>,
    derived: BTreeMap<&'static str, f64>,
    runs: Table,
}

#[derive(Debug, Serialize)]
struct Machine {
    cpu: String,
    cores: usize,
    /// Of the last minute, at the end of the measurement: what else was going on is in there.
    load: String,
}

impl Table {
    pub(crate) fn push(&mut self, name: &'static str, figures: Vec<(&'static str, f64)>) {
        self.rows.push(Row { name, figures });
    }

    fn summary(&self, choose: fn(&[f64]) -> f64) -> BTreeMap<String, f64> {
        let mut values: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for row in &self.rows {
            for (figure, value) in &row.figures {
                values.entry(format!("{}_{figure}", row.name)).or_default().push(*value);
            }
        }
        values
            .into_iter()
            .map(|(key, mut values)| {
                values.sort_by(f64::total_cmp);
                (key, choose(&values))
            })
            .collect()
    }
}

impl Outcome {
    pub(crate) fn new(
        scenario: &'static str,
        bus: BusChoice,
        parameters: &impl Serialize,
        runs: Table,
        memory_mib_max: Option<f64>,
    ) -> anyhow::Result<Self> {
        let mut typical = runs.summary(|sorted| sorted[sorted.len() / 2]);
        typical.extend(memory_mib_max.map(|mib| ("memory_mib_max".to_owned(), mib)));
        Ok(Self {
            scenario,
            bus: bus.as_str(),
            date: clock::now_ns().display(Timeframe::D1),
            commit: commit(),
            machine: Machine::this(),
            parameters: serde_json::to_value(parameters)?,
            typical,
            best: runs.summary(|sorted| sorted[0]),
            derived: BTreeMap::new(),
            runs,
        })
    }

    /// A figure of its own, beside those of the rows.
    pub(crate) fn add(&mut self, name: &'static str, value: f64) {
        self.derived.insert(name, value);
        self.typical.insert(name.to_owned(), value);
    }

    /// A figure that follows from two typical ones; none where one of them was not measured.
    pub(crate) fn derive(&mut self, name: &'static str, a: &str, b: &str, combine: fn(f64, f64) -> f64) {
        if let Some((a, b)) = self.typical.get(a).zip(self.typical.get(b)) {
            self.add(name, combine(*a, *b));
        }
    }

    /// As a table on stdout.
    pub(crate) fn print(&self) -> anyhow::Result<()> {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING);
        if let Some(first) = self.runs.rows.first() {
            table.set_header([""].into_iter().chain(first.figures.iter().map(|(name, _)| *name)));
        }
        for row in &self.runs.rows {
            let figures = row.figures.iter().map(|&(name, value)| {
                if name.ends_with("_ms") || name.ends_with("_pct") || name == "seconds" || name == "cpu_us_per_update" {
                    format!("{value:.3}")
                } else {
                    format!("{value:.0}")
                }
            });
            table.add_row([row.name.to_owned()].into_iter().chain(figures));
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let Machine { cpu, cores, load } = &self.machine;
        let memory =
            self.typical.get("memory_mib_max").map_or_else(String::new, |mib| format!(", {mib:.0} MiB at most"));
        let mut stdout = std::io::stdout().lock();
        writeln!(
            stdout,
            "{} over {}, {cpu}, {cores} cores, load {load}, commit {}{memory}\n{table}",
            self.scenario, self.bus, self.commit
        )
        .context("cannot write to stdout")?;
        for (name, value) in &self.derived {
            writeln!(stdout, "{name} {value:.3}").context("cannot write to stdout")?;
        }
        Ok(())
    }

    pub(crate) fn save(&self) -> anyhow::Result<PathBuf> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("results");
        std::fs::create_dir_all(&folder)?;
        let path = folder.join(format!("{}-{}-{}.json", self.date, self.scenario, self.bus));
        let json = serde_json::to_string_pretty(self)? + "\n";
        std::fs::write(&path, json).with_context(|| format!("cannot write `{}`", path.display()))?;
        Ok(path)
    }
}

/// One line for each budget of the scenario that the typical run exceeds.
pub(crate) fn broken_budgets(path: &Path, outcome: &Outcome) -> anyhow::Result<Vec<String>> {
    type Budgets = BTreeMap<String, BTreeMap<String, BTreeMap<String, f64>>>;
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let budgets: Budgets = toml::from_str(&text).with_context(|| format!("`{}` is not understood", path.display()))?;
    let Some(budget) = budgets.get(outcome.scenario).and_then(|by_bus| by_bus.get(outcome.bus)) else {
        return Ok(Vec::new());
    };
    let mut broken = Vec::new();
    for (name, &max) in budget {
        let Some(&value) = outcome.typical.get(name) else {
            // A peer that was not asked for.
            eprintln!("budget {name} not checked, it was not measured");
            continue;
        };
        if value > max {
            broken.push(format!("{name} is {value:.3}, at most {max} is allowed"));
        }
    }
    Ok(broken)
}

impl Machine {
    fn this() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let cpus = read("/proc/cpuinfo");
        let model = cpus.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
        Self {
            cpu: model.trim_start_matches([' ', '\t', ':']).to_owned(),
            cores: std::thread::available_parallelism().map_or(0, Into::into),
            load: read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned(),
        }
    }
}

fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"]).filter(|commit| !commit.is_empty());
    let is_dirty = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|changes| !changes.is_empty());
    format!("{}{}", commit.as_deref().unwrap_or("unknown"), if is_dirty { "-dirty" } else { "" })
}
