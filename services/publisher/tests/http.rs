//! HTTP over real sockets.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

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
        assert_eq!(server.get(&format!("/v1/symbols/{}", row.result.symbol)).await.body, json);
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
    let request = "POST /v1/scan HTTP/1.1\r\nhost: x\r\nx-request-id: mine\r\nconnection: close\r\n\r\n";
    let refused = server.request(request).await;
    assert_eq!((refused.status, &refused.json()["status"]), (405, &405.into()));
    assert!(refused.head.contains("x-request-id: mine"), "{}", refused.head);
}
