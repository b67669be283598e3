//! Five processes that end in one table, and how tables are compared.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use runtime::bus::{Bus, BusKind, BusOptions};
use runtime::clock;
use schemas::{Partition, Symbol};
use serde_json::Value;
use tempfile::TempDir;

use super::{DEADLINE, Launch, POLL, Process, SERVICES, START_MAX, body_of, run_with, until};

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
