//! The real binary as a child process, just enough HTTP to look at it, and small markets to feed it with.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use polars::prelude::{
    ChunkCompareIneq as _, Column, DataFrame, DataType, NamedFrom as _, ParquetReader, ParquetWriter, SerReader as _,
    Series,
};
use runtime::bus::{Bus, BusKind, BusOptions};
use runtime::clock;
use schemas::{EventTime, Partition, Symbol, Timeframe};
use serde_json::Value;
use tempfile::TempDir;

pub const BARS_FILE: &str = "daily_bars.parquet";
pub const UNIVERSE_FILE: &str = "universe.parquet";

/// In the order of the line.
pub const SERVICES: [&str; 5] = ["ingest", "indicator", "inference", "scoring", "publisher"];

/// Nothing in the tests takes this long unless it hangs, also on a loaded machine.
pub const DEADLINE: Duration = Duration::from_mins(3);

/// How long a process may take to say where it listens, or to refuse to start.
const START_MAX: Duration = Duration::from_mins(1);

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(20);

/// How long one HTTP answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// The binary: `$TECHNIC_BIN`, else that of the workspace's release profile.
pub fn binary() -> PathBuf {
    let built = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/technic");
    env::var_os("TECHNIC_BIN").map_or_else(built, PathBuf::from)
}

/// The binary with none of our settings inherited.
fn program() -> Command {
    let mut command = Command::new(binary());
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("TECHNIC__") {
            command.env_remove(name);
        }
    }
    command
}

/// Looks until there is something to see.
///
/// # Panics
/// When the time is up. `what` says what was missing.
#[track_caller]
pub fn until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let started = clock::monotonic();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(started.elapsed() < limit, "{what}: not within {limit:?}");
        sleep(POLL);
    }
}

/// What a command that ended by itself left behind.
#[derive(Debug)]
pub struct Finished {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a command to its end, with these settings in its environment.
///
/// # Panics
/// When the binary is not there, or writes no text.
pub fn run_with<const N: usize>(settings: &[(&str, &str)], arguments: [&str; N]) -> Finished {
    let output = program()
        .args(arguments)
        .envs(settings.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("cannot run {}: {error}", binary().display()));
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the output is text");
    Finished { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Runs a command to its end.
///
/// # Panics
/// As [`run_with`].
pub fn run<const N: usize>(arguments: [&str; N]) -> Finished {
    run_with(&[], arguments)
}

impl Finished {
    /// # Panics
    /// When the code is another, or stderr lacks one of the texts.
    #[track_caller]
    #[expect(clippy::must_use_candidate, clippy::return_self_not_must_use, reason = "often only the check is wanted")]
    pub fn expect(self, code: i32, on_stderr: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        for text in on_stderr {
            assert!(self.stderr.contains(text), "`{text}` is not in {:#?}", self.stderr);
        }
        self
    }
}

/// How to start `technic run`.
#[derive(Debug, Clone, Default)]
pub struct Launch {
    arguments: Vec<String>,
    settings: Vec<(String, String)>,
}

impl Launch {
    /// These services; none means all. Ports are free ones, unless [`Self::set`] says otherwise.
    pub fn of(services: &[&str], state_dir: &Path) -> Self {
        let arguments = ["run"].iter().chain(services).map(|&text| text.to_owned()).collect();
        Self { arguments, settings: Vec::new() }
            .set("ADMIN__LISTEN", "127.0.0.1:0")
            .set("PUBLISHER__LISTEN", "127.0.0.1:0")
            .set("STATE_DIR", &state_dir.to_string_lossy())
    }

    #[must_use]
    pub fn flag(mut self, name: &str, value: &str) -> Self {
        self.arguments.extend([name.to_owned(), value.to_owned()]);
        self
    }

    /// Sets `TECHNIC__<key>`.
    #[must_use]
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.settings.push((format!("TECHNIC__{key}"), value.to_owned()));
        self
    }

    /// # Panics
    /// When the binary cannot be started.
    pub fn start(&self) -> Process {
        let logs = tempfile::tempdir().expect("there is room for logs");
        let create = |name: &str| File::create(logs.path().join(name)).expect("the folder is ours");
        let child = program()
            .args(&self.arguments)
            .envs(self.settings.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(create("stdout"))
            .stderr(create("stderr"))
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", binary().display()));
        Process { child, logs, name: self.arguments.join(" ") }
    }
}

/// A running `technic run`, killed on drop.
#[derive(Debug)]
pub struct Process {
    child: Child,
    logs: TempDir,
    name: String,
}

impl Process {
    pub fn stdout(&self) -> String {
        self.read("stdout")
    }

    pub fn stderr(&self) -> String {
        self.read("stderr")
    }

    /// The end of the log.
    fn last_lines(&self) -> String {
        let text = self.stderr();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    fn read(&self, name: &str) -> String {
        let bytes = fs::read(self.logs.path().join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Where the publisher says that it listens.
    ///
    /// # Panics
    /// When it does not say so in time.
    pub fn address(&mut self) -> SocketAddr {
        self.said("stdout", "http://", |rest| rest.split('/').next())
    }

    /// Where the admin port listens.
    ///
    /// # Panics
    /// When the log does not say so in time.
    pub fn admin_address(&mut self) -> SocketAddr {
        self.said("stderr", "admin_address=", |rest| rest.split_whitespace().next())
    }

    fn said(&mut self, file: &str, before: &str, cut: fn(&str) -> Option<&str>) -> SocketAddr {
        until(&format!("`{}` says where it listens", self.name), START_MAX, || {
            let text = self.read(file);
            assert!(self.ended().is_none(), "`{}` ended: {}", self.name, self.stderr());
            // A line that is still being written has no end yet.
            let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            lines.filter_map(|line| line.split_once(before)).find_map(|(_, rest)| cut(rest.trim_end())?.parse().ok())
        })
    }

    /// How it ended, if it did.
    ///
    /// # Panics
    /// When the system does not know the process any more.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the child is ours")
    }

    /// Ends it as a crash would.
    ///
    /// # Panics
    /// When the system does not know the process any more.
    pub fn kill9(&mut self) {
        self.child.kill().expect("the child is ours");
        self.child.wait().expect("the child is ours");
    }

    /// Asks it to end, as a supervisor would.
    ///
    /// # Panics
    /// When it has ended already.
    pub fn terminate(&self) {
        let status = Command::new("kill").args(["-s", "TERM", &self.child.id().to_string()]).status();
        assert!(status.expect("there is a `kill`").success(), "`{}` has ended already: {}", self.name, self.stderr());
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not come in time.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let what = format!("`{}` ends", self.name);
        until(&what, limit, || self.ended())
    }

    /// Waits for an end that is expected at start-up.
    ///
    /// # Panics
    /// When it does not come in time.
    pub fn finish(mut self) -> Finished {
        let code = self.wait(START_MAX).code();
        Finished { code, stdout: self.stdout(), stderr: self.stderr() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            let shown = self.last_lines();
            eprintln!("--- the end of the log of `{}`\n{shown}", self.name);
        }
    }
}

/// An answer over HTTP.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

/// # Errors
/// When nobody answers, or not in HTTP.
pub fn get(address: SocketAddr, path: &str) -> anyhow::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_MAX)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    // Version 1.0: the answer comes in one piece and ends with the connection.
    write!(stream, "GET {path} HTTP/1.0\r\nhost: {address}\r\n\r\n")?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let text = String::from_utf8(bytes).context("the answer is no text")?;
    let (head, body) = text.split_once("\r\n\r\n").context("the answer has no head")?;
    let head = head.to_ascii_lowercase();
    let status = head.split(' ').nth(1).context("the answer has no status")?.parse()?;
    if let Some((_, rest)) = head.split_once("content-length: ") {
        let length: usize = rest.lines().next().unwrap_or_default().trim().parse()?;
        ensure!(length == body.len(), "the answer to {path} is cut off: {} of {length} bytes", body.len());
    }
    Ok(Answer { status, body: body.to_owned() })
}

/// A body that must be there.
///
/// # Errors
/// When nobody answers, or with another status than 200.
pub fn body_of(address: SocketAddr, path: &str) -> anyhow::Result<String> {
    let Answer { status, body } = get(address, path)?;
    if status != 200 {
        bail!("{path} is answered with {status}: {body}");
    }
    Ok(body)
}

/// The value of one line of `/metrics`; `None` when there is no such line.
///
/// # Errors
/// When nobody answers.
pub fn metric(address: SocketAddr, name: &str) -> anyhow::Result<Option<f64>> {
    let text = body_of(address, "/metrics")?;
    let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
    Ok(text.lines().find_map(value))
}

/// The text of the array `results`, which comes last in what `technic scan` prints and `/v1/scan` answers: compared as
/// text, because a parsed number may hide a difference.
///
/// # Panics
/// When the document is none.
pub fn results_text(document: &str) -> &str {
    let (_, rest) = document.split_once(r#","results":"#).expect("a scan has results");
    rest.trim_end().strip_suffix('}').expect("a scan ends with its results")
}

/// The text of each row of such an array, by symbol.
///
/// # Panics
/// When the array is none.
pub fn rows_text(results: &str) -> BTreeMap<&str, &str> {
    const START: &str = r#"{"symbol":""#;
    let starts: Vec<usize> = results.match_indices(START).map(|(at, _)| at).collect();
    let ends = starts.iter().skip(1).map(|start| start - 1).chain([results.len() - 1]);
    let rows = starts.iter().zip(ends).map(|(&start, end)| {
        let row = &results[start..end];
        let symbol = row[START.len()..].split('"').next().expect("a split has a first part");
        (symbol, row)
    });
    let rows: BTreeMap<&str, &str> = rows.collect();
    assert_eq!(rows.len(), starts.len(), "a symbol has two rows");
    rows
}

/// Says where two arrays of results differ; `None` when they do not.
pub fn difference(found: &str, expected: &str) -> Option<String> {
    if found == expected {
        return None;
    }
    let (found_rows, expected_rows) = (rows_text(found), rows_text(expected));
    let missing: Vec<_> = expected_rows.keys().filter(|symbol| !found_rows.contains_key(*symbol)).take(5).collect();
    let extra: Vec<_> = found_rows.keys().filter(|symbol| !expected_rows.contains_key(*symbol)).take(5).collect();
    let differs = |symbol: &&&str| found_rows.get(**symbol).is_some_and(|row| *row != expected_rows[**symbol]);
    let different: Vec<&str> = expected_rows.keys().filter(|symbol| differs(symbol)).copied().collect();
    let partitions: BTreeSet<Partition> = different.iter().map(|symbol| partition_of(symbol)).collect();
    let example = expected_rows.keys().find(differs).map(|symbol| {
        let (found, expected) = (found_rows[symbol], expected_rows[symbol]);
        let at = found.bytes().zip(expected.bytes()).take_while(|(a, b)| a == b).count();
        format!("{symbol}\nfound    …{}\nexpected …{}", around(found, at), around(expected, at))
    });
    Some(format!(
        "{} rows where {} are expected; missing {missing:?}, extra {extra:?}, {} differ in {} partitions, e.g. {}",
        found_rows.len(),
        expected_rows.len(),
        different.len(),
        partitions.len(),
        example.unwrap_or_default()
    ))
}

fn partition_of(symbol: &str) -> Partition {
    Partition::of(Symbol::new(symbol).expect("a row has a symbol"))
}

/// The text before and behind a place.
fn around(text: &str, at: usize) -> String {
    String::from_utf8_lossy(&text.as_bytes()[at.saturating_sub(60)..text.len().min(at + 60)]).into_owned()
}

/// The table that a folder leads to, from the cold scan.
#[derive(Debug)]
pub struct Expected {
    /// The last session.
    pub as_of: String,
    pub results: String,
}

impl Expected {
    /// # Panics
    /// When the folder cannot be scanned.
    pub fn of(dir: &Path) -> Self {
        Self::with(&[], dir)
    }

    /// With these settings in the environment.
    ///
    /// # Panics
    /// As [`Self::of`].
    pub fn with(settings: &[(&str, &str)], dir: &Path) -> Self {
        let scan = run_with(settings, ["scan", "--data", &dir.to_string_lossy(), "--format", "json"]).expect(0, &[]);
        let document: Value = serde_json::from_str(&scan.stdout).expect("a scan is JSON");
        let as_of = document["as_of"].as_str().expect("a scan says its session").to_owned();
        Self { as_of, results: results_text(&scan.stdout).to_owned() }
    }
}

/// Every service in a process of its own, on one bus.
#[derive(Debug)]
pub struct Fleet {
    url: String,
    source: String,
    settings: Vec<(String, String)>,
    /// Before the folder that they write to.
    processes: BTreeMap<&'static str, Process>,
    state: TempDir,
    publisher: Option<SocketAddr>,
}

impl Fleet {
    /// # Panics
    /// When a process does not start.
    pub fn start(url: &str, data: &Path) -> Self {
        Self::start_with(url, data, &[])
    }

    /// With these settings, `TECHNIC__<key>`.
    ///
    /// # Panics
    /// As [`Self::start`].
    pub fn start_with(url: &str, data: &Path, settings: &[(&str, &str)]) -> Self {
        let mut fleet = Self {
            url: url.to_owned(),
            source: format!("replay:{}", data.display()),
            settings: settings.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect(),
            state: tempfile::tempdir().expect("there is room for state"),
            processes: BTreeMap::new(),
            publisher: None,
        };
        fleet.start_missing();
        fleet
    }

    fn launch(&self, service: &str) -> Launch {
        let launch = Launch::of(&[service], self.state.path()).flag("--source", &self.source).flag("--bus", &self.url);
        self.settings.iter().fold(launch, |launch, (key, value)| launch.set(key, value))
    }

    /// Starts what does not run, and returns what had ended by itself.
    ///
    /// # Panics
    /// When a process cannot be started.
    pub fn start_missing(&mut self) -> Vec<&'static str> {
        let ended: Vec<_> =
            self.processes.iter_mut().filter_map(|(name, process)| process.ended().map(|_| *name)).collect();
        for service in SERVICES {
            if ended.contains(&service) || !self.processes.contains_key(service) {
                let process = self.launch(service).start();
                self.processes.insert(service, process);
                if service == "publisher" {
                    self.publisher = None;
                }
            }
        }
        ended
    }

    /// # Panics
    /// When there is no such service.
    pub fn process(&mut self, service: &str) -> &mut Process {
        self.processes.get_mut(service).expect("a service of the fleet")
    }

    /// # Panics
    /// When it does not start again.
    pub fn kill9_and_restart(&mut self, service: &str) {
        self.process(service).kill9();
        self.start_missing();
    }

    /// The port for clients.
    ///
    /// # Panics
    /// When the publisher does not say where it listens.
    pub fn address(&mut self) -> SocketAddr {
        if self.publisher.is_none() {
            self.publisher = Some(self.process("publisher").address());
        }
        self.publisher.expect("it was asked for above")
    }

    /// `/v1/status`; `None` when nobody answers.
    pub fn status(&mut self) -> Option<Value> {
        let address = self.address();
        serde_json::from_str(&body_of(address, "/v1/status").ok()?).ok()
    }

    /// The array `results` of the whole table; `None` when nobody answers.
    pub fn results(&mut self) -> Option<String> {
        let address = self.address();
        let document = body_of(address, "/v1/scan?limit=10000").ok()?;
        Some(results_text(&document).to_owned())
    }

    /// Waits until every partition has reached the last session and the table is at rest.
    ///
    /// # Panics
    /// When that does not happen, or the table is another than expected.
    #[track_caller]
    pub fn settles_at(&mut self, expected: &Expected) {
        self.settles_at_while(expected, Self::check_running);
    }

    /// # Panics
    /// When a service has ended by itself.
    #[track_caller]
    pub fn check_running(&mut self) {
        for process in self.processes.values_mut() {
            assert!(process.ended().is_none(), "`{}` ended: {}", process.name, process.last_lines());
        }
    }

    /// As [`Self::settles_at`], doing something at every look.
    ///
    /// # Panics
    /// As [`Self::settles_at`].
    #[track_caller]
    pub fn settles_at_while(&mut self, expected: &Expected, mut each: impl FnMut(&mut Self)) {
        until(&format!("the watermark reaches {}", expected.as_of), DEADLINE, || {
            each(self);
            let watermark = self.status()?["watermark"].as_str()?.to_owned();
            watermark.starts_with(&expected.as_of).then_some(())
        });
        // What the scorer still has to say about the last session is a refresh away.
        let started = clock::monotonic();
        loop {
            each(self);
            let difference = self.results().map(|found| difference(&found, &expected.results));
            match difference {
                Some(None) => return,
                Some(Some(difference)) if started.elapsed() > START_MAX => panic!("the table differs: {difference}"),
                _ => sleep(POLL),
            }
        }
    }
}

/// A connection of the test to the bus of the services.
///
/// # Panics
/// When the server is not there.
pub async fn connect(url: &str) -> Bus {
    let options = BusOptions {
        kind: url.parse::<BusKind>().expect("a bus"),
        data_dir: PathBuf::new(),
        nats_server: None,
        client_name: "e2e".to_owned(),
        publish_timeout: Duration::from_secs(10),
        lead_max: 1 << 20,
    };
    Bus::connect(&options).await.expect("the server is there")
}

/// A small market of plain columns, to be changed at will before it is written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Market {
    pub symbol: Vec<Option<String>>,
    /// Since 1970-01-01.
    pub day: Vec<Option<i32>>,
    pub open: Vec<f64>,
    pub high: Vec<f64>,
    pub low: Vec<f64>,
    pub close: Vec<f64>,
    pub volume: Vec<f64>,
    pub split_factor: Vec<f64>,
    pub seg: Vec<i64>,
}

/// One row of a [`Market`].
#[derive(Debug, Clone, PartialEq)]
pub struct MarketRow {
    pub symbol: Option<String>,
    pub day: Option<i32>,
    /// Open, high, low, close.
    pub prices: [f64; 4],
    pub volume: f64,
    pub split_factor: f64,
    pub seg: i64,
}

impl Market {
    /// The Monday on which the generated markets begin.
    pub const FIRST_DAY: i32 = 18_001;

    /// Symbols that rise, fall and stand still, on weekdays, sorted by symbol and date.
    ///
    /// # Panics
    /// Never: 31 bits fit.
    pub fn generate(n_symbols: u32, n_sessions: u32) -> Self {
        let mut market = Self::default();
        let mut state = 7_u64;
        let mut random = || {
            // Knuth's MMIX generator; the upper bits are good enough for prices.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            f64::from(u32::try_from(state >> 33).expect("31 bits")) / f64::from(1_u32 << 31)
        };
        for n in 0..n_symbols {
            let drift = (f64::from(n % 7) - 3.0) / 500.0;
            let mut close = 5.0 + 95.0 * random();
            for session in 0..n_sessions {
                let open = close * (1.0 + 0.01 * (random() - 0.5));
                close = open * (1.0 + drift + 0.04 * (random() - 0.5));
                let high = open.max(close) * (1.0 + 0.01 * random());
                let low = open.min(close) * (1.0 - 0.01 * random());
                market.push(MarketRow {
                    symbol: Some(format!("GEN{n:03}")),
                    day: Some(Self::day_of(session)),
                    prices: [open, high, low, close],
                    volume: (1e4 + 1e6 * random()).round(),
                    split_factor: 1.0,
                    seg: 0,
                });
            }
        }
        market
    }

    /// The day of a session: five in a week.
    ///
    /// # Panics
    /// When there are more sessions than days.
    pub fn day_of(session: u32) -> i32 {
        Self::FIRST_DAY + i32::try_from(session / 5 * 7 + session % 5).expect("a short history")
    }

    /// The date of a session, as it is written.
    pub fn date_of(session: u32) -> String {
        EventTime::from_days(Self::day_of(session)).display(Timeframe::D1)
    }

    pub fn len(&self) -> usize {
        self.symbol.len()
    }

    pub fn is_empty(&self) -> bool {
        self.symbol.is_empty()
    }

    pub fn row(&self, at: usize) -> MarketRow {
        MarketRow {
            symbol: self.symbol[at].clone(),
            day: self.day[at],
            prices: [self.open[at], self.high[at], self.low[at], self.close[at]],
            volume: self.volume[at],
            split_factor: self.split_factor[at],
            seg: self.seg[at],
        }
    }

    pub fn push(&mut self, row: MarketRow) {
        let MarketRow { symbol, day, prices: [open, high, low, close], volume, split_factor, seg } = row;
        self.symbol.push(symbol);
        self.day.push(day);
        self.open.push(open);
        self.high.push(high);
        self.low.push(low);
        self.close.push(close);
        self.volume.push(volume);
        self.split_factor.push(split_factor);
        self.seg.push(seg);
    }

    /// The rows for which `change` leaves something.
    #[must_use]
    pub fn map(&self, mut change: impl FnMut(usize, MarketRow) -> Vec<MarketRow>) -> Self {
        let mut changed = Self::default();
        (0..self.len()).flat_map(|at| change(at, self.row(at))).for_each(|row| changed.push(row));
        changed
    }

    /// # Panics
    /// Never: the columns are of one length.
    pub fn frame(&self) -> DataFrame {
        let numbers = |name: &str, values: &[f64]| Column::new(name.into(), values);
        let days = Series::new("date".into(), &self.day).cast(&DataType::Date).expect("days are dates");
        let columns = vec![
            Column::new("symbol".into(), &self.symbol),
            days.into(),
            numbers("open", &self.open),
            numbers("high", &self.high),
            numbers("low", &self.low),
            numbers("close", &self.close),
            numbers("volume", &self.volume),
            numbers("split_factor", &self.split_factor),
            Column::new("seg".into(), &self.seg),
        ];
        DataFrame::new(self.len(), columns).expect("the columns are of one length")
    }

    /// Writes the bars to a new folder.
    ///
    /// # Panics
    /// When there is no room.
    pub fn folder(&self) -> TempDir {
        let dir = tempfile::tempdir().expect("there is room for data");
        write_parquet(&dir.path().join(BARS_FILE), &mut self.frame());
        dir
    }
}

/// # Panics
/// When the file cannot be written.
pub fn write_parquet(path: &Path, frame: &mut DataFrame) {
    let file = File::create(path).expect("the folder is ours");
    ParquetWriter::new(file).finish(frame).expect("there is room for data");
}

/// # Panics
/// When the file is not there or no Parquet.
pub fn read_parquet(path: &Path) -> DataFrame {
    let file = File::open(path).unwrap_or_else(|error| panic!("cannot open {}: {error}", path.display()));
    ParquetReader::new(file).finish().unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

/// Days since 1970-01-01 of a date column; `i32::MIN` where there is none.
///
/// # Panics
/// When there is no such column.
pub fn days_of(frame: &DataFrame, name: &str) -> Vec<i32> {
    let dates = frame.column(name).and_then(|column| column.cast(&DataType::Date)).expect("a column of dates");
    let days = dates.as_materialized_series().to_physical_repr().into_owned();
    days.i32().expect("days are whole numbers").iter().map(|day| day.unwrap_or(i32::MIN)).collect()
}

/// The last sessions of a folder in a folder of their own, with every symbol that has bars in them.
///
/// # Panics
/// When the folder has no bars.
pub fn last_sessions(dir: &Path, n_sessions: usize) -> TempDir {
    let bars = read_parquet(&dir.join(BARS_FILE));
    let mut days = days_of(&bars, "date");
    let rows = Series::new("date".into(), &days);
    days.sort_unstable();
    days.dedup();
    let first = days[days.len().saturating_sub(n_sessions)];
    let kept = rows.i32().expect("days are whole numbers").gt_eq(first);
    let mut bars = bars.filter(&kept).expect("the mask has the length of the column");
    let reduced = tempfile::tempdir().expect("there is room for data");
    write_parquet(&reduced.path().join(BARS_FILE), &mut bars);
    if dir.join(UNIVERSE_FILE).exists() {
        fs::copy(dir.join(UNIVERSE_FILE), reduced.path().join(UNIVERSE_FILE)).expect("there is room for data");
    }
    reduced
}
