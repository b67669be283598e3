//! Models in the running line: predictions are those of the scan, and a new version takes over without losing a batch.

#![allow(clippy::unwrap_used, reason = "every function in here is part of a test")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use runtime::bus::{Bus, ConsumerSpec, Start};
use runtime::streams::PipelineStream;
use schemas::subject::{BatchKind, Namespace};
use schemas::{Message, ModelRef, N_PARTITIONS, PredictionBatch, QuantileTables, ScoreBatch, Timeframe};
use serde_json::Value;
use tests::nats::NatsServer;
use tests::technic::{
    DEADLINE, Expected, Finished, Fleet, Launch, Market, MarketRow, binary, body_of, connect, days_of, difference,
    metric, read_parquet, results_text, run, run_with, until, write_parquet,
};
use tokio::runtime::Runtime;

/// Enough for tables: most symbols of a generated market are liquid.
const N_SYMBOLS: u32 = 400;

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("paths here are text")
}

/// A list of one folder, as a setting takes it.
fn list(path: &Path) -> String {
    format!("[{:?}]", text(path))
}

/// The shipped models, to be changed at will.
fn copy_of_shipped() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["alpha_5d", "alpha_10d", "win_prob_10d"] {
        copy(&shipped().join(name).join("1"), &folder.path().join(name).join("1"), |manifest| manifest);
    }
    folder
}

/// Copies a model directory with another manifest.
fn copy(from: &Path, to: &Path, change: impl Fn(String) -> String) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        if name == "manifest.toml" {
            fs::write(to.join(name), change(fs::read_to_string(&path).unwrap())).unwrap();
        } else {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

fn n_predicted(results: &str) -> usize {
    let rows: Vec<Value> = serde_json::from_str(results).unwrap();
    rows.iter().filter(|row| row["alpha_5d"].is_number() && row["win_prob_10d"].is_number()).count()
}

#[test]
fn in_one_process_the_predictions_are_those_of_the_scan() {
    // Some symbols stop a few sessions early: they are ranked in the tables before their own last session.
    let market = Market::generate(N_SYMBOLS, 90).map(|at, row| {
        let (symbol, session) = (at / 90, at % 90);
        if symbol % 40 == 7 && session > 85 { Vec::new() } else { vec![row] }
    });
    let dir = market.folder();
    let models = list(&shipped());
    let expected = Expected::with(&[("TECHNIC__INFERENCE__MODELS", &models)], dir.path());
    assert!(n_predicted(&expected.results) > 350, "{}", n_predicted(&expected.results));
    let state = tempfile::tempdir().unwrap();
    let source = format!("replay:{}", dir.path().display());
    let launch = Launch::of(&[], state.path()).set("INFERENCE__MODELS", &models).flag("--source", &source);
    let mut process = launch.start();
    let address = process.address();
    let mut last = String::new();
    until("the table of the scan", DEADLINE, || {
        let document = body_of(address, "/v1/scan?limit=10000").ok()?;
        last = difference(results_text(&document), &expected.results).unwrap_or_default();
        last.is_empty().then_some(())
    });

    let (output, shipped) = (state.path().join("features.parquet"), shipped());
    let features =
        ["features", "--data", text(dir.path()), "--predict", "--models", text(&shipped), "-o", text(&output)];
    run(features).expect(0, &["columns"]);
    let rows: Vec<Value> = serde_json::from_str(&expected.results).unwrap();
    let frame = read_parquet(&output);
    let column = |name: &str| frame.column(name).unwrap().f64().unwrap().clone();
    let symbols = frame.column("symbol").unwrap().str().unwrap().clone();
    for name in ["alpha_5d", "alpha_10d", "win_prob_10d"] {
        let column = column(name);
        for row in &rows {
            // The rows of a symbol lie together; the last one is what the scan ranks.
            let last = (0..frame.height()).rev().find(|&at| symbols.get(at) == row["symbol"].as_str()).unwrap();
            assert_eq!(column.get(last), row[name].as_f64(), "{name} of {}", row["symbol"]);
        }
    }
}

/// Each row's predictions, by symbol and day, without those of the last session.
fn predictions_before_the_last_session(bars: &Path) -> BTreeMap<(String, i32), [Option<f64>; 3]> {
    let (output, models) = (bars.join("features.parquet"), shipped());
    run(["features", "--data", text(bars), "--predict", "--models", text(&models), "-o", text(&output)])
        .expect(0, &["columns"]);
    let frame = read_parquet(&output);
    let columns = ["alpha_5d", "alpha_10d", "win_prob_10d"].map(|name| frame.column(name).unwrap().f64().unwrap());
    let (symbols, days) = (frame.column("symbol").unwrap().str().unwrap(), days_of(&frame, "date"));
    let last = days.iter().max().copied().unwrap();
    let rows = (0..frame.height()).filter(|&at| days[at] < last);
    rows.map(|at| ((symbols.get(at).unwrap().to_owned(), days[at]), columns.map(|column| column.get(at)))).collect()
}

#[test]
fn a_split_on_the_last_day_leaves_the_predictions_before_it() {
    const N_SESSIONS: usize = 90;
    // Every fourth symbol is cheap on its last day, and was far above the least price before; every fourth the reverse.
    let market = Market::generate(N_SYMBOLS, 90).map(|at, row| {
        let prices = match at / N_SESSIONS % 4 {
            0 => row.prices.map(|price| price / 4.0),
            _ => row.prices,
        };
        vec![MarketRow { prices, ..row }]
    });
    let ratio_of = |symbol: usize| match symbol % 4 {
        0 => 1.0 / 16.0,
        1 => 32.0,
        _ => 1.0,
    };
    let is_last = |at: usize| at % N_SESSIONS == N_SESSIONS - 1;
    let split = market.map(|at, row| {
        let ratio = ratio_of(at / N_SESSIONS);
        if is_last(at) {
            return vec![MarketRow {
                prices: row.prices.map(|price| price / ratio),
                volume: row.volume * ratio,
                ..row
            }];
        }
        vec![MarketRow { split_factor: 1.0 / ratio, ..row }]
    });
    let (before, after) = (market.folder(), split.folder());
    let expected = predictions_before_the_last_session(before.path());
    assert!(expected.values().filter(|row| row[0].is_some()).count() > 20_000);
    // Powers of two change no digit.
    assert_eq!(predictions_before_the_last_session(after.path()), expected);

    // The scan and the live line rank the last session in the same tables.
    let models = list(&shipped());
    let expected = Expected::with(&[("TECHNIC__INFERENCE__MODELS", &models)], after.path());
    let state = tempfile::tempdir().unwrap();
    let source = format!("replay:{}", after.path().display());
    let launch = Launch::of(&[], state.path()).set("INFERENCE__MODELS", &models).flag("--source", &source);
    let mut process = launch.start();
    let address = process.address();
    let mut last = String::new();
    until("the table of the scan", DEADLINE, || {
        let document = body_of(address, "/v1/scan?limit=10000").ok()?;
        last = difference(results_text(&document), &expected.results).unwrap_or_default();
        last.is_empty().then_some(())
    });
}

/// Every batch of a kind that is in its stream, in order.
async fn batches<T: Message>(bus: &Bus, kind: BatchKind) -> Vec<T> {
    let stream = PipelineStream::Batches(kind).name(&Namespace::Live);
    let newest = bus.stream_state(&stream).await.unwrap().last_sequence;
    let filter = Namespace::Live.batches(kind);
    let spec = ConsumerSpec { stream, durable: format!("e2e-{kind:?}"), filter, start: Start::All, batch_max: 512 };
    let mut consumer = bus.consume(spec).await.unwrap();
    let mut found = Vec::new();
    loop {
        let delivery = consumer.next().await.unwrap();
        delivery.ack().await.unwrap();
        found.push(T::decode(&delivery.payload).unwrap());
        if delivery.sequence >= newest {
            consumer.end().await.unwrap();
            return found;
        }
    }
}

/// Every prediction batch, partition by partition, in order.
async fn predictions(bus: &Bus) -> Vec<Vec<PredictionBatch>> {
    let mut found = vec![Vec::new(); usize::from(N_PARTITIONS)];
    for batch in batches::<PredictionBatch>(bus, BatchKind::Prediction).await {
        found[batch.header().partition.index()].push(batch);
    }
    found
}

fn version_of_alpha_5d(models: &[ModelRef]) -> &str {
    &models.iter().find(|model| model.name == "alpha_5d").expect("every batch names its models").version
}

#[test]
fn killing_and_swapping_under_load_loses_no_batch() {
    const N_SESSIONS: u32 = 260;
    let dir = Market::generate(N_SYMBOLS, N_SESSIONS).folder();
    let models = copy_of_shipped();
    let setting = list(models.path());
    let expected = Expected::with(&[("TECHNIC__INFERENCE__MODELS", &setting)], dir.path());
    let runtime = Runtime::new().unwrap();
    let server = NatsServer::start().unwrap();
    let bus = runtime.block_on(connect(&server.url()));
    let mut fleet = Fleet::start_with(&server.url(), dir.path(), &[("INFERENCE__MODELS", &setting)]);
    let n_messages = |kind: BatchKind| {
        let stream = PipelineStream::Batches(kind).name(&Namespace::Live);
        runtime.block_on(bus.stream_state(&stream)).map_or(0, |state| state.last_sequence)
    };
    let total = u64::from(N_SESSIONS) * u64::from(N_PARTITIONS);
    let at_percent = |fleet: &mut Fleet, percent: u64| {
        until("predictions", DEADLINE, || {
            fleet.check_running();
            (n_messages(BatchKind::Prediction) >= total * percent / 100).then_some(())
        });
    };

    let alpha_5d = models.path().join("alpha_5d");
    let as_version =
        |to: &'static str| move |text: String| text.replace("version = \"1\"", &format!("version = \"{to}\""));
    // Late enough for scores of the old version: a symbol is ranked from its 20th bar on.
    at_percent(&mut fleet, 20);
    copy(&alpha_5d.join("1"), &alpha_5d.join("2"), as_version("2"));
    let admin = fleet.process("inference").admin_address();
    let swaps = |outcome: &str| format!("technic_inference_model_swaps_total{{outcome=\"{outcome}\"}}");
    until("the new version is accepted", DEADLINE, || (metric(admin, &swaps("accepted")).ok()?? >= 1.0).then_some(()));
    at_percent(&mut fleet, 40);
    fleet.kill9_and_restart("inference");
    let admin = fleet.process("inference").admin_address();
    let damaged = tempfile::tempdir().unwrap();
    copy(&alpha_5d.join("1"), &damaged.path().join("3"), as_version("3"));
    let mut bytes = fs::read(damaged.path().join("3/model.json")).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(damaged.path().join("3/model.json"), bytes).unwrap();
    fs::rename(damaged.path().join("3"), alpha_5d.join("3")).unwrap();
    until("the damaged version is refused", DEADLINE, || {
        (metric(admin, &swaps("refused")).ok()?? >= 1.0).then_some(())
    });
    fleet.kill9_and_restart("indicator");
    fleet.settles_at(&expected);
    let log = fleet.process("inference").stderr();
    assert!(log.contains("SHA-256 of `model.json`"), "{log}");

    let mut n_versions = [0, 0];
    let predicted = runtime.block_on(predictions(&bus));
    // A score names the model that made its own row's predictions, also while other rows have another's.
    let mut made_by = BTreeMap::new();
    for batch in predicted.iter().flatten() {
        let version = version_of_alpha_5d(batch.models());
        for (symbol, bar) in batch.features().bars().rows() {
            made_by.insert((*symbol, bar.open_time.as_ns()), version);
        }
    }
    let mut n_scores = BTreeMap::new();
    for batch in runtime.block_on(batches::<ScoreBatch>(&bus, BatchKind::Score)) {
        for row in &batch.rows {
            let version = version_of_alpha_5d(&batch.models);
            assert_eq!(version, made_by[&(row.symbol, row.freshness.open_time_ns)], "{}", row.symbol);
            *n_scores.entry(version.to_owned()).or_insert(0) += 1;
        }
    }
    assert!(n_scores.len() == 2, "scores of both versions are published: {n_scores:?}");
    for batches in &predicted {
        // Batches of a producer are numbered: each number once and none left out.
        let mut newest = None;
        for batch in batches {
            let place = (batch.header().epoch, batch.header().seq);
            assert!(newest.is_none_or(|(epoch, seq)| place == (epoch, seq + 1)), "{place:?} after {newest:?}");
            newest = Some(place);
        }
        assert_eq!(newest.map(|(_, seq)| seq), Some(u64::from(N_SESSIONS)));
        let versions: Vec<&str> = batches.iter().map(|batch| version_of_alpha_5d(batch.models())).collect();
        assert!(versions.is_sorted(), "the old version comes back: {versions:?}");
        n_versions[0] += versions.iter().filter(|version| **version == "1").count();
        n_versions[1] += versions.iter().filter(|version| **version == "2").count();
    }
    assert_eq!(n_versions.iter().sum::<usize>() as u64, total);
    assert!(n_versions.iter().all(|n| *n > 0), "{n_versions:?}");

    // What another process would start with.
    let stream = PipelineStream::Quantiles.name(&Namespace::Live);
    let last = runtime.block_on(bus.last(&stream, &Namespace::Live.quantiles(Timeframe::D1))).unwrap().unwrap();
    let tables = QuantileTables::decode(&last.payload).unwrap();
    assert_eq!(tables.session.display(Timeframe::D1), expected.as_of);
    assert!(tables.tables.iter().filter(|(_, knots)| knots.is_some()).count() > 40);
}

fn verify(models: &Path) -> Finished {
    run(["models", "verify", "--models", text(models)])
}

#[test]
fn what_does_not_fit_is_refused_with_the_difference() {
    verify(&shipped()).expect(0, &[]);
    let check = |change: &dyn Fn(&Path), expected: &str| {
        let models = copy_of_shipped();
        change(&models.path().join("alpha_5d/1"));
        let refused = verify(models.path()).expect(2, &[expected]);
        assert!(refused.stdout.contains("win_prob_10d 1 is sound"), "{}", refused.stdout);
    };
    let edit = |from: &'static str, to: &'static str| {
        move |model: &Path| {
            let path = model.join("manifest.toml");
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.contains(from), "{from}");
            fs::write(&path, text.replacen(from, to, 1)).unwrap();
        }
    };
    check(&edit("\"rank_ret_1d\"", "\"rank_ret_2d\""), "the hash of its feature list is");
    check(&edit("rank_ic = 0.03", "rank_ic = -0.03"), "which is not above zero");
    check(&edit("\"model.json\" = \"", "\"model.json\" = \"00"), "SHA-256 of `model.json` is");
    check(&edit("\"golden.parquet\"", "\"gold.parquet\""), "cannot read");
    check(&|model| fs::write(model.join("model.json"), "{}").unwrap(), "SHA-256 of `model.json` is");
    check(&|model| fs::remove_file(model.join("quantiles.json")).unwrap(), "quantiles.json");
    check(&edit("backend = \"native\"", "backend = \"ort\""), "`inference.ort_library` does not name");
    check(&edit("backend = \"native\"", "backend = \"abacus\""), "is no model manifest");
    // Golden rows that say something else, with a hash that fits.
    let other_golden = |model: &Path| {
        let path = model.join("golden.parquet");
        let mut frame = read_parquet(&path);
        let predictions = frame.column("prediction").unwrap().f32().unwrap().clone();
        let mut changed: Vec<f32> = predictions.iter().map(Option::unwrap).collect();
        changed[41] += 1e-6;
        frame.with_column(polars::prelude::Column::new("prediction".into(), changed)).unwrap();
        write_parquet(&path, &mut frame);
        state_hash(model, "golden.parquet");
    };
    check(&other_golden, "for golden row 41, which is");
}

/// How the process ends that reads golden rows, given these.
fn end_of_reader(golden: &[u8]) -> ExitStatus {
    let mut reader = Command::new(binary())
        .args(["models", "read-golden-rows"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // It may be at its end before it has read everything.
    reader.stdin.take().unwrap().write_all(golden).ok();
    reader.wait().unwrap()
}

/// Golden rows that end a process that reads them: by a panic, and by asking for more memory than there is.
fn hostile_golden() -> [Vec<u8>; 2] {
    let path = shipped().join("alpha_5d/1/golden.parquet");
    let (good, n_rows) = (fs::read(&path).unwrap(), read_parquet(&path).height());
    assert!(end_of_reader(&good).success());
    // A page's header says how many values it has, as a zigzag varint of two bytes here: an odd one is negative.
    assert!((64..8192).contains(&n_rows));
    let header = [0x2c, 0x15, u8::try_from(2 * n_rows % 128 + 128).unwrap(), u8::try_from(2 * n_rows / 128).unwrap()];
    let page = good.windows(header.len()).position(|bytes| bytes == header).expect("a page of all rows");
    let mut aborts = good.clone();
    aborts[page + 2] |= 1;
    assert_eq!(end_of_reader(&aborts).code(), None, "it ends by a signal");

    let mut state = 1_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    let panics = (0..1000).find_map(|_| {
        let mut damaged = good.clone();
        // What tells the sizes of columns is at the end.
        damaged[good.len() - 1 - random(12_000)] = u8::try_from(random(256)).unwrap();
        end_of_reader(&damaged).code().filter(|&code| code != 0).map(|_| damaged)
    });
    [panics.expect("some damage makes the reader panic"), aborts]
}

#[test]
fn golden_rows_that_end_a_process_end_only_their_reader() {
    let dir = Market::generate(N_SYMBOLS, 30).folder();
    let models = copy_of_shipped();
    let alpha_5d = models.path().join("alpha_5d");
    let put = |version: &'static str, golden: Option<&[u8]>| {
        let apart = tempfile::tempdir().unwrap();
        let folder = apart.path().join(version);
        copy(&alpha_5d.join("1"), &folder, |text| text.replace("version = \"1\"", &format!("version = \"{version}\"")));
        if let Some(golden) = golden {
            fs::write(folder.join("golden.parquet"), golden).unwrap();
            state_hash(&folder, "golden.parquet");
        }
        fs::rename(&folder, alpha_5d.join(version)).unwrap();
    };
    let state = tempfile::tempdir().unwrap();
    let source = format!("replay:{}", dir.path().display());
    let setting = list(models.path());
    let launch = Launch::of(&[], state.path()).set("INFERENCE__MODELS", &setting).flag("--source", &source);
    let mut process = launch.start();
    let admin = process.admin_address();
    let swaps = |outcome: &str| format!("technic_inference_model_swaps_total{{outcome=\"{outcome}\"}}");
    let [panics, aborts] = hostile_golden();
    for (n_refused, (version, golden)) in [(1.0, ("2", &panics)), (2.0, ("3", &aborts))] {
        put(version, Some(golden));
        until("the hostile version is refused", DEADLINE, || {
            assert!(process.ended().is_none(), "{}", process.stderr());
            (metric(admin, &swaps("refused")).ok()?? >= n_refused).then_some(())
        });
    }
    let log = process.stderr();
    assert_eq!(log.matches("the process that reads it ended with").count(), 2, "{log}");
    put("4", None);
    until("the sound version is accepted", DEADLINE, || {
        (metric(admin, &swaps("accepted")).ok()?? >= 1.0).then_some(())
    });
    process.terminate();
    assert_eq!(process.wait(Duration::from_secs(12)).code(), Some(0), "{}", process.stderr());

    // At the start the newest sound version serves, loudly.
    put("5", Some(&aborts));
    let mut process = launch.start();
    let admin = process.admin_address();
    assert_eq!(metric(admin, "technic_inference_models_refused").unwrap(), Some(1.0));
    let log = process.stderr();
    assert!(log.contains("a model is refused, an older version predicts"), "{log}");
    assert!(log.contains("alpha_5d 4 (native)"), "{log}");
    drop(process);
    let scan = |models: &Path| run(["scan", "--data", text(dir.path()), "--format", "json", "--models", text(models)]);
    let found = scan(models.path()).expect(0, &["is refused, an older version predicts", "ended with"]);
    let document: Value = serde_json::from_str(&found.stdout).unwrap();
    let named: Vec<ModelRef> = serde_json::from_value(document["models"].clone()).unwrap();
    assert_eq!(version_of_alpha_5d(&named), "4");
    // Without any sound version there is nothing to fall back on.
    for version in ["1", "4"] {
        fs::remove_dir_all(alpha_5d.join(version)).unwrap();
    }
    scan(models.path()).expect(2, &["alpha_5d/5", "ended with"]);
    let finished = launch.start().finish();
    finished.expect(2, &["alpha_5d/5"]);
}

/// Makes the manifest state the hash that a file has now.
fn state_hash(model: &Path, file: &str) {
    let path = model.join("manifest.toml");
    let stated = fs::read_to_string(&path).unwrap();
    let error = verify(model).stderr;
    let found =
        error.split(" is ").nth(1).and_then(|rest| rest.split(',').next()).expect("the hash is named").to_owned();
    let line = stated.lines().find(|line| line.starts_with(&format!("\"{file}\""))).unwrap();
    fs::write(&path, stated.replace(line, &format!("\"{file}\" = \"{found}\""))).unwrap();
}

#[test]
fn onnx_runtime_agrees_on_every_golden_row() {
    let Some(library) = std::env::var_os("ORT_DYLIB_PATH") else {
        eprintln!("skipped: ORT_DYLIB_PATH does not name the ONNX Runtime library");
        return;
    };
    let library = library.to_str().unwrap();
    let settings = [("TECHNIC__INFERENCE__SHADOW", "true"), ("TECHNIC__INFERENCE__ORT_LIBRARY", library)];
    let models = shipped();
    let verified = run_with(&settings, ["models", "verify", "--models", text(&models)]).expect(0, &[]);
    assert_eq!(verified.stdout.matches("is sound on native and its shadow").count(), 3, "{}", verified.stdout);
    // On rows of a market, and in the line; the largest difference is a metric.
    let dir = Market::generate(N_SYMBOLS, 30).folder();
    let state = tempfile::tempdir().unwrap();
    let source = format!("replay:{}", dir.path().display());
    let launch = Launch::of(&[], state.path()).set("INFERENCE__MODELS", &list(&models)).flag("--source", &source);
    let mut process = launch.set("INFERENCE__SHADOW", "true").set("INFERENCE__ORT_LIBRARY", library).start();
    let admin = process.admin_address();
    until("rows are predicted twice", DEADLINE, || {
        let n_rows = metric(admin, "technic_inference_rows_out_total").ok()??;
        (n_rows >= f64::from(N_SYMBOLS * 30)).then_some(())
    });
    let difference = metric(admin, "technic_inference_shadow_difference_max").unwrap().unwrap();
    assert!(difference > 0.0 && difference <= 3e-7, "{difference}");
    process.terminate();
    assert_eq!(process.wait(Duration::from_secs(12)).code(), Some(0), "{}", process.stderr());
}

#[test]
fn contributions_add_up_to_the_prediction() {
    let dir = Market::generate(N_SYMBOLS, 90).folder();
    let models = shipped();
    let explain = |symbol: &str| {
        run(["models", "explain", "--json", "--symbol", symbol, "--data", text(dir.path()), "--models", text(&models)])
    };
    let document: Value = serde_json::from_str(&explain("GEN007").expect(0, &[]).stdout).unwrap();
    assert_eq!(document["symbol"], "GEN007");
    let explained = document["models"].as_array().unwrap();
    assert_eq!(explained.len(), 3);
    for model in explained {
        let prediction = model["prediction"].as_f64().unwrap();
        let contributions = model["contributions"].as_array().unwrap().iter();
        let sum = model["bias"].as_f64().unwrap()
            + contributions.map(|one| one["contribution"].as_f64().unwrap()).sum::<f64>();
        let sum = if model["model"]["name"] == "win_prob_10d" { 1.0 / (1.0 + (-sum).exp()) } else { sum };
        assert!((sum - prediction).abs() < 1e-7, "{sum} {prediction}");
    }
    explain("NOBODY").expect(2, &["NOBODY has no bars"]);
}
