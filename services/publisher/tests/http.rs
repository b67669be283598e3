//! HTTP over real sockets.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use publisher::PublisherOptions;
use schemas::{ProfileVerdict, Rule};
use serde_json::Value;
use support::{Server, row};

async fn server() -> Server {
    let mut server = Server::start().await;
    let rows = vec![row("D", 60.0, 1), row("B", 70.0, 1), row("A", 60.0, 1_000_000_000), row("C", 20.0, 1)];
    server.publish(rows);
    server
}

#[tokio::test]
async fn scan_answers_with_the_table_in_rank_order() {
    let server = server().await;
    let answer = server.get("/v1/scan").await;
    assert_eq!((answer.status, answer.symbols()), (200, ["B", "A", "D", "C"].map(String::from).to_vec()));
    let json = answer.json();
    assert_eq!(json["as_of"], "1970-01-01T00:00:01Z");
    assert_eq!((&json["universe"], &json["scored"], &json["matched"]), (&4.into(), &4.into(), &4.into()));
    assert_eq!((&json["data"], &json["models"][0]["name"]), (&"synthetic".into(), &"alpha".into()));
    assert_eq!((&json["regime"], &json["stage_ms"]), (&Value::Null, &serde_json::json!({})));
    assert!(json["elapsed_ms"].as_f64().unwrap() >= 0.0);
}

#[tokio::test]
async fn scan_filters_and_pages() {
    let server = server().await;
    for (query, expected) in [
        ("limit=2", "B,A"),
        ("limit=2&offset=1", "A,D"),
        ("offset=9", ""),
        ("min_merit=60.5", "B"),
        ("sector=energy", "C"),
        ("sector=Energy&sector=Technology&limit=1", "B"),
        ("sectors=Energy,Technology&min_merit=0", "B,A,D,C"),
        ("band=A%2B", "B,A,D"),
        ("band=A+", "B,A,D"),
        ("band=C,B", "C"),
        ("symbols=C,B,Z", "B,C"),
        ("sort=symbol", "A,B,C,D"),
        ("sort=-symbol&limit=2", "D,C"),
        ("sort=sector,-symbol", "C,D,B,A"),
        ("sort=quality,-symbol", "D,C,B,A"),
        ("min_tech_rating=3.25&limit=1", "B"),
        ("min_tech_rating=3.5", ""),
    ] {
        let answer = server.get(&format!("/v1/scan?{query}")).await;
        assert_eq!((answer.status, answer.symbols().join(",").as_str()), (200, expected), "{query}");
    }
}

#[tokio::test]
async fn bad_parameters_are_problems_that_name_them() {
    let server = server().await;
    for (query, parameter) in [
        ("limit=0", "limit"),
        ("limit=10001", "limit"),
        ("limit=x", "limit"),
        ("limit=1&limit=2", "limit"),
        ("offset=-1", "offset"),
        ("min_merit=NaN", "min_merit"),
        ("min_merit=101", "min_merit"),
        ("symbols=TOOLONGFORASYMBOL", "symbols"),
        ("sectors=", "sectors"),
        ("profile=reckless", "profile"),
        ("colour=red", "colour"),
        ("max_symbols=5", "max_symbols"),
        ("sort=colour", "sort"),
        ("sort=", "sort"),
        ("fields=colour", "fields"),
        ("format=xml", "format"),
        ("min_tech_rating=x", "min_tech_rating"),
    ] {
        let answer = server.get(&format!("/v1/scan?{query}")).await;
        assert_eq!((answer.status, &answer.json()["parameter"]), (400, &parameter.into()), "{query}");
        assert!(answer.head.contains("content-type: application/problem+json"), "{}", answer.head);
    }
}

#[tokio::test]
async fn a_row_has_the_same_bytes_everywhere() {
    let mut server = server().await;
    let mut client = server.connect().await;
    client.subscribe("SC.*").await;
    let snapshot = client.text().await;
    for row in server.hub.snapshot().rows() {
        let json = std::str::from_utf8(&row.json).unwrap();
        assert!(snapshot.contains(json), "{snapshot}");
        assert!(server.get("/v1/scan").await.body.contains(json));
        // There, more belongs to the symbol.
        let detail = server.get(&format!("/v1/symbols/{}", row.result.symbol)).await.body;
        assert!(detail.starts_with(json.trim_end_matches('}')), "{detail}");
    }
    server.publish(vec![row("A", 61.5, 2_000_000_000)]);
    let delta = client.text().await;
    let json = server.hub.row(support::symbol("A")).unwrap().json;
    let json = std::str::from_utf8(&json).unwrap();
    assert!(delta.contains(&format!(r#"{{"ev":"SC","sym":"A",{}"#, &json[1..])), "{delta}");
}

#[tokio::test]
async fn symbols_status_page_and_extra_routes_answer() {
    let server = server().await;
    assert_eq!(server.get("/v1/symbols/B").await.json()["merit"], 70.0);
    assert_eq!(server.get("/v1/symbols/ZZ").await.status, 404);
    assert_eq!(server.get("/v1/symbols/TOOLONGFORASYMBOL").await.json()["parameter"], "symbol");
    let status = server.get("/v1/status").await.json();
    assert_eq!((&status["data"], &status["source"]), (&"synthetic".into(), &"synthetic".into()));
    assert_eq!((&status["rows"], &status["seq"], &status["epoch"]), (&4.into(), &4.into(), &"k3f9".into()));
    assert_eq!(status["newest_event_time"], "1970-01-01T00:00:01Z");
    assert_eq!(status["watermark"], Value::Null, "one of 64 partitions has a watermark");
    assert_eq!(server.get("/livez").await.body, "ok");
    let page = server.get("/").await;
    assert!(page.head.contains("content-type: text/html") && page.head.contains("content-security-policy"));
}

#[tokio::test]
async fn every_answer_has_a_request_id_and_unknown_paths_are_problems() {
    let server = server().await;
    let unknown = server.get("/v2").await;
    assert_eq!((unknown.status, &unknown.json()["title"]), (404, &"Not Found".into()));
    assert!(unknown.head.contains("x-request-id: k3f9-0"), "{}", unknown.head);
    let request = "POST /v1/status HTTP/1.1\r\nhost: localhost\r\nx-request-id: mine\r\nconnection: close\r\n\r\n";
    let refused = server.request(request).await;
    assert_eq!((refused.status, &refused.json()["status"]), (405, &405.into()));
    assert!(refused.head.contains("x-request-id: mine"), "{}", refused.head);
}

#[tokio::test]
async fn a_post_asks_with_an_object() {
    let server = server().await;
    let answer = server.post("/v1/scan", r#"{"sectors":["Technology"],"sort":["-symbol"],"limit":2}"#).await;
    assert_eq!((answer.status, answer.symbols().join(",").as_str()), (200, "D,B"));
    for (body, parameter) in [
        ("", "body"),
        ("[]", "body"),
        (r#"{"limit":"x"}"#, "limit"),
        (r#"{"limit":{}}"#, "limit"),
        (r#"{"limit":1.5}"#, "limit"),
        (r#"{"sectors":[["x"]]}"#, "sectors"),
        (r#"{"nonsense":1}"#, "nonsense"),
    ] {
        let answer = server.post("/v1/scan", body).await;
        assert_eq!((answer.status, &answer.json()["parameter"]), (400, &parameter.into()), "{body}");
    }
    assert_eq!(server.post("/v1/scan", &" ".repeat(100_000)).await.status, 413);
}

#[tokio::test]
async fn fields_and_formats() {
    let server = server().await;
    let picked = server.get("/v1/scan?fields=merit,symbol,quality&limit=1").await;
    assert!(picked.body.ends_with(r#""results":[{"merit":70.0,"symbol":"B","quality":null}]}"#), "{}", picked.body);

    let csv = server.get("/v1/scan?format=csv&fields=symbol,merit_summary,quality,freshness&limit=1").await;
    assert!(csv.head.contains("content-type: text/csv"), "{}", csv.head);
    let expected = "symbol,merit_summary,quality,freshness\nB,\"MERIT 70 \"\"quoted\"\" <b>\",,";
    assert!(csv.body.starts_with(expected), "{}", csv.body);
    let all = server.get("/v1/scan?format=csv").await.body;
    let (head, rows) = all.split_once('\n').unwrap();
    assert!(head.starts_with("symbol,as_of,close,name") && !head.contains("breakdown"), "{head}");
    assert_eq!(rows.lines().count(), 4);

    let lines = server.get("/v1/scan?format=ndjson&limit=2").await;
    let symbols: Vec<Value> =
        lines.body.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["symbol"].clone()).collect();
    assert_eq!(symbols, ["B", "A"]);
    assert!(lines.head.contains("content-type: application/x-ndjson"), "{}", lines.head);
}

#[tokio::test]
async fn pages_are_linked() {
    let server = server().await;
    let first = server.get("/v1/scan?limit=2&sectors=Technology,Energy").await;
    let next = r#"link: </v1/scan?limit=2&sectors=technology%2cenergy&offset=2>; rel="next""#;
    assert!(first.head.contains(next), "{}", first.head);
    let last = server.get("/v1/scan?limit=2&offset=2").await;
    assert!(last.head.contains(r#"link: </v1/scan?limit=2&offset=0>; rel="prev""#), "{}", last.head);
    assert!(!server.get("/v1/scan").await.head.contains("link:"));
}

#[tokio::test]
async fn an_answer_that_is_known_is_not_sent_again() {
    let mut server = server().await;
    for path in
        ["/v1/scan?limit=2", "/v1/scan?format=csv", "/v1/symbols/B", "/v1/universe", "/v1/models", "/openapi.json", "/"]
    {
        let tag = server.get(path).await.header("etag").unwrap().replace("w/", "W/");
        let again = server.get_with(path, &format!("if-none-match: {tag}\r\n")).await;
        assert_eq!((again.status, again.body.as_str()), (304, ""), "{path}");
        assert_eq!(again.header("etag").unwrap(), tag.to_lowercase(), "{path}");
    }
    let tag = server.get("/v1/scan?limit=2").await.header("etag").unwrap().replace("w/", "W/");
    let if_none_match = format!("if-none-match: {tag}\r\n");
    assert_eq!(server.get_with("/v1/scan?limit=3", &if_none_match).await.status, 200);
    server.publish(vec![row("C", 21.0, 2)]);
    assert_eq!(server.get_with("/v1/scan?limit=2", &if_none_match).await.status, 200);
}

#[tokio::test]
async fn answers_are_compressed_for_who_asks() {
    let server = server().await;
    let plain = server.get("/v1/scan").await;
    assert!(!plain.head.contains("content-encoding"));
    let packed = server.get_bytes("/v1/scan", "accept-encoding: gzip\r\n").await;
    let head = String::from_utf8_lossy(&packed).to_ascii_lowercase();
    assert!(head.contains("content-encoding: gzip") && head.contains("vary: accept-encoding"), "{head}");
    assert!(packed.len() < plain.body.len(), "{} of {} bytes", packed.len(), plain.body.len());
}

#[tokio::test]
async fn an_address_that_asks_too_often_is_refused() {
    let options = PublisherOptions { requests_per_second: 1, requests_burst: 2, ..PublisherOptions::default() };
    let server = Server::start_with(options).await;
    for remaining in ["1", "0"] {
        let answer = server.get("/v1/status").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("ratelimit-policy").unwrap(), r#""address";q=2;w=2"#);
        let standing = answer.header("ratelimit").unwrap();
        assert!(standing.starts_with(&format!(r#""address";r={remaining};t="#)), "{standing}");
    }
    let refused = server.get("/v1/status").await;
    assert_eq!((refused.status, &refused.json()["title"]), (429, &"Too Many Requests".into()));
    assert_eq!(refused.header("retry-after").unwrap(), "1");
    assert!(refused.header("x-request-id").is_some());
    // Whether it is alive may be asked at any time.
    assert_eq!((server.get("/livez").await.status, server.get("/").await.status), (200, 200));
}

#[tokio::test]
async fn guesses_at_a_key_count_as_requests() {
    let keys = vec![format!("desk:{}", "0a".repeat(32))];
    let options = PublisherOptions { keys, requests_per_second: 1, requests_burst: 2, ..PublisherOptions::default() };
    let server = Server::start_with(options).await;
    let guess = async || server.get_with("/v1/scan", "authorization: Bearer wrong\r\n").await.status;
    assert_eq!([guess().await, guess().await, guess().await], [401, 401, 429]);
}

#[tokio::test]
async fn without_keys_only_this_machine_is_answered() {
    let ask = async |server: &Server, path: &str, headers: &str| {
        let request = format!("GET {path} HTTP/1.1\r\n{headers}connection: close\r\n\r\n");
        server.request(&request).await.status
    };
    let server = server().await;
    for path in ["/v1/scan", "/ws", "/"] {
        assert_eq!(ask(&server, path, "host: evil.example\r\n").await, 403, "{path}");
    }
    let from_elsewhere = "host: localhost\r\nupgrade: websocket\r\norigin: https://evil.example\r\n";
    assert_eq!(ask(&server, "/ws", from_elsewhere).await, 403);
    assert_eq!(ask(&server, "/v1/scan", "host: localhost:8080\r\norigin: https://evil.example\r\n").await, 200);
}

#[tokio::test]
async fn an_empty_table_is_no_answer_while_one_is_read() {
    let server = server().await;
    server.hub.set_loading(true);
    for path in ["/v1/scan", "/v1/symbols/A", "/v1/universe"] {
        let answer = server.get(path).await;
        assert_eq!((answer.status, answer.header("retry-after").as_deref()), (503, Some("1")), "{path}");
    }
    assert_eq!((server.get("/v1/status").await.status, server.get("/livez").await.status), (200, 200));
    server.hub.set_loading(false);
    assert_eq!(server.get("/v1/scan").await.status, 200);
}

#[tokio::test]
async fn a_post_is_answered_in_full_whatever_the_client_has() {
    let server = server().await;
    let head = "POST /v1/scan HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nif-none-match: *\r\n";
    let answer = server.request(&format!("{head}content-length: 11\r\n\r\n{{\"limit\":1}}")).await;
    assert_eq!((answer.status, answer.json()["results"].as_array().unwrap().len()), (200, 1));
}

#[tokio::test]
async fn other_origins_read_the_answers_when_they_are_named() {
    let asks = |origin: &str| format!("origin: {origin}\r\n");
    let closed = server().await;
    assert!(!closed.get_with("/v1/scan", &asks("https://desk.example")).await.head.contains("access-control"));

    let options =
        PublisherOptions { cors_origins: vec!["https://desk.example".to_owned()], ..PublisherOptions::default() };
    let server = Server::start_with(options).await;
    let allowed = server.get_with("/v1/scan", &asks("https://desk.example")).await;
    assert_eq!(allowed.header("access-control-allow-origin").unwrap(), "https://desk.example");
    assert!(allowed.header("access-control-expose-headers").unwrap().contains("etag"));
    assert!(
        server
            .get_with("/v1/scan", &asks("https://other.example"))
            .await
            .header("access-control-allow-origin")
            .is_none()
    );
    let preflight = "OPTIONS /v1/scan HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\norigin: https://desk.example\r\n\
                     access-control-request-method: POST\r\naccess-control-request-headers: content-type\r\n\r\n";
    let preflight = server.request(preflight).await;
    assert_eq!(preflight.status, 200);
    assert!(preflight.header("access-control-allow-methods").unwrap().contains("post"), "{}", preflight.head);
}

#[tokio::test]
async fn a_symbol_comes_with_its_bars_its_plan_and_the_reasons() {
    let mut server = server().await;
    let bare = server.get("/v1/symbols/B").await.json();
    assert_eq!(
        (&bare["bars"], &bare["plan"], &bare["rank"], &bare["ranked"]),
        (&Value::Null, &Value::Null, &1.into(), &4.into())
    );
    assert!(bare["no_bars"].as_str().unwrap().contains("no bar"));

    let mut planned = row("B", 71.0, 2);
    (planned.entry, planned.stop, planned.target) = (Some(10.0), Some(9.0), Some(12.5));
    planned.rules = vec![
        Rule { rule: "merit >= 50".into(), label: "B".into(), is_met: true },
        Rule { rule: "merit >= 80".into(), label: "A".into(), is_met: false },
    ]
    .into();
    planned.profiles =
        vec![ProfileVerdict { profile: "conservative".into(), breaks: Some("max_atr_pct".into()) }].into();
    server.publish(vec![planned]);
    server.draw("B", &[(1, 10.0), (2, 12.0), (3, 15.0)]);
    let full = server.get("/v1/symbols/B?bars=2").await.json();
    assert_eq!(full["plan"]["risk"], 7.0);
    assert_eq!(full["why"], serde_json::json!([{ "label": "B", "rule": "merit >= 50" }]));
    let why_not = serde_json::json!([
        { "label": "A", "rule": "merit >= 80" },
        { "label": "profile conservative", "rule": "max_atr_pct" },
    ]);
    assert_eq!(full["why_not"], why_not);
    assert_eq!((full["bars"].as_array().unwrap().len(), &full["bars"][0]["time"]), (2, &"1970-01-03".into()));
    assert_eq!((&full["bars"][1]["open"], &full["bars"][1]["close"]), (&Value::Null, &15.0.into()));
    assert_eq!((&full["change"], &full["no_bars"]), (&0.25.into(), &Value::Null));
    assert_eq!(full["series"]["sma20"], serde_json::json!([Value::Null, Value::Null]));
    assert_eq!(full["indicators"], serde_json::json!({ "n_bars": 3.0, "sma20": null }));
    assert_eq!(server.get("/v1/symbols/B?bars=x").await.json()["parameter"], "bars");
    assert_eq!(server.get("/v1/symbols/B?days=9").await.json()["parameter"], "days");
}

#[tokio::test]
async fn who_is_not_in_the_universe_says_why() {
    let mut server = Server::start().await;
    let cheap = schemas::ResultRow { excluded: Some("price_too_low".into()), ..row("A", 60.0, 1) };
    let young = schemas::WhyNot { symbol: support::symbol("NEW"), condition: "too_few_bars".into() };
    server.publish_with_reasons(vec![cheap, row("B", 70.0, 1)], vec![young]);
    let universe = server.get("/v1/universe").await.json();
    let expected = serde_json::json!([
        { "condition": "too_few_bars", "removed": 1, "left": 2 },
        { "condition": "price_too_low", "removed": 1, "left": 1 },
    ]);
    assert_eq!((&universe["funnel"], &universe["total"], &universe["passing"]), (&expected, &3.into(), &1.into()));
    assert_eq!(universe["symbols"][0]["excluded"], "price_too_low");
    let reason = &server.get("/v1/symbols/A").await.json()["why_not"][0];
    assert_eq!(*reason, serde_json::json!({ "label": "universe", "rule": "price_too_low" }));
    let absent = server.get("/v1/symbols/NEW").await;
    assert_eq!((absent.status, &absent.json()["why_not"]), (404, &"too_few_bars".into()));
    assert_eq!(server.get("/v1/symbols/ZZ").await.json().get("why_not"), None);
}

#[tokio::test]
async fn the_universe_and_the_models() {
    let server = server().await;
    let universe = server.get("/v1/universe").await.json();
    assert_eq!(
        (&universe["total"], &universe["scored"], &universe["symbols"][0]["symbol"]),
        (&4.into(), &4.into(), &"A".into())
    );
    assert_eq!((&universe["funnel"], &universe["passing"]), (&serde_json::json!([]), &4.into()));
    let sectors = &universe["sectors"];
    assert_eq!((&sectors[0]["name"], &sectors[0]["symbols"]), (&"Technology".into(), &3.into()));
    assert_eq!((&sectors[1]["merit_mean"], &universe["industries"][0]["name"]), (&20.0.into(), &Value::Null));
    assert_eq!(server.get("/v1/models").await.json()["models"][0]["version"], "1");
    assert_eq!(server.get("/v1/universe?limit=1").await.json()["parameter"], "limit");
    let status = server.get("/v1/status").await.json();
    assert_eq!((&status["rows_live"], &status["burst_results"]), (&1.into(), &4.into()));
    assert!(status["burst_ms"].as_f64().unwrap() > 0.0);
}
