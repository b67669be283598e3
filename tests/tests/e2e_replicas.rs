//! Two publishers on one bus: each serves its clients, one keeps the results, and each can be lost.

#![allow(clippy::unwrap_used, reason = "every function in here is part of a test")]

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tests::nats::NatsServer;
use tests::technic::{Launch, Process, body_of, get, until};

const N_SYMBOLS: u64 = 100;

/// Nothing in here takes this long unless it hangs.
const WAIT_MAX: Duration = Duration::from_mins(1);

fn launch(services: &[&str], server: &NatsServer, state: &TempDir) -> Process {
    Launch::of(services, state.path())
        .flag("--bus", &server.url())
        .set("INGEST__SYNTHETIC__N_SYMBOLS", &N_SYMBOLS.to_string())
        .set("INGEST__SYNTHETIC__HISTORY_SESSIONS", "60")
        .set("INGEST__SYNTHETIC__STEPS_PER_SESSION", "4")
        .set("INGEST__SYNTHETIC__LIVE_STEP", "500ms")
        .start()
}

fn status(address: SocketAddr) -> Option<Value> {
    serde_json::from_str(&body_of(address, "/v1/status").ok()?).ok()
}

fn until_full(address: SocketAddr) {
    until("the market is ranked", WAIT_MAX, || (status(address)?["rows"].as_u64()? > N_SYMBOLS / 2).then_some(()));
}

fn until_ready(address: SocketAddr) {
    until("it is ready", WAIT_MAX, || (get(address, "/readyz").ok()?.status == 200).then_some(()));
}

fn until_it_moves(address: SocketAddr) {
    let seq = status(address).unwrap()["seq"].as_u64().unwrap();
    until("the table moves", WAIT_MAX, || (status(address)?["seq"].as_u64()? > seq).then_some(()));
}

fn until_said(process: &Process, text: &str) {
    until(text, WAIT_MAX, || process.stderr().contains(text).then_some(()));
}

#[test]
fn publishers_run_beside_each_other_and_one_of_them_keeps_the_results() {
    let mut server = NatsServer::start().unwrap();
    let states = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let mut first = launch(&["ingest", "indicator", "inference", "scoring", "publisher"], &server, &states[0]);
    let address = first.address();
    until_full(address);
    let mut second = launch(&["publisher"], &server, &states[1]);
    let beside = second.address();
    until_full(beside);
    until_said(&first, "standing by");
    for address in [address, beside] {
        until_ready(address);
        until_it_moves(address);
    }
    assert!(first.ended().is_none() && second.ended().is_none());

    second.kill9();
    until_said(&first, "taking over");
    until_ready(address);
    until_it_moves(address);

    // While the bus is away, nobody should be sent here.
    server.stop();
    let bus = until("it is not ready", WAIT_MAX, || {
        let answer = get(address, "/readyz").ok()?;
        (answer.status == 503).then_some(answer.body)
    });
    assert!(bus.contains("bus"), "{bus}");
    server.run().unwrap();
    until_ready(address);
    until_it_moves(address);
    first.terminate();
    assert_eq!(first.wait(Duration::from_secs(12)).code(), Some(0), "{}", first.stderr());
}
