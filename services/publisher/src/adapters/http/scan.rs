use axum::extract::{FromRequestParts as _, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use schemars::JsonSchema;
use schemas::{Market, ModelRef, ResultRow};
use serde::Serialize;

use super::super::problem::Problem;
use super::App;
use super::answer::Version;
use super::fields::{self, Picker};
use super::scan_request::{Format, ScanRequest};
use crate::board::DataKind;
use crate::snapshot::{Scan, Snapshot};

/// Longest body of a POST.
const BODY_BYTES_MAX: usize = 64 << 10;

/// The ranked table, or the part of it that was asked for.
#[derive(Serialize, JsonSchema)]
pub(super) struct ScanAnswer<'a> {
    /// The bar of the newest row.
    as_of: Option<&'a str>,
    /// Symbols heard of, with or without a result.
    universe: usize,
    /// Symbols with a result.
    scored: usize,
    /// Rows that pass the filters, before limit and offset.
    matched: usize,
    /// What reading the table took.
    elapsed_ms: f64,
    /// Always empty here; the cold scan fills it.
    stage_ms: Empty,
    /// The state of the market; `null` without closes of its index.
    regime: Option<&'a Market>,
    /// That made the predictions of the newest results.
    models: &'a [ModelRef],
    data: DataKind,
    /// In rank order, or as `sort` says. With `fields`, only those.
    #[schemars(with = "Vec<ResultRow>")]
    results: [(); 0],
}

#[derive(Serialize, JsonSchema)]
struct Empty {}

/// The ranked table, filtered, sorted and paged.
#[utoipa::path(
    get,
    path = "/v1/scan",
    tag = "scan",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 10000, description = "Most rows to answer with; 100 unless said otherwise."),
        ("offset" = Option<u64>, Query, description = "Rows to leave out before the first. The header `Link` leads to the next page."),
        ("profile" = Option<String>, Query, pattern = "^(conservative|balanced|moderate|aggressive|none)$", description = "Only rows that this risk profile shows: `conservative`, `balanced` (also called `moderate`), `aggressive`; `none` shows every row and is the default."),
        ("min_merit" = Option<f64>, Query, minimum = 0, maximum = 100, description = "Only rows with this MERIT or more."),
        ("min_tech_rating" = Option<f64>, Query, description = "Only rows with this technical rating or more."),
        ("sectors" = Option<Vec<String>>, Query, style = Form, explode = false, description = "Only rows of these sectors, between commas; case does not matter."),
        ("sector" = Option<Vec<String>>, Query, style = Form, description = "The same for one sector, whose name may hold a comma; may come more than once."),
        ("band" = Option<Vec<String>>, Query, style = Form, explode = false, description = "Only rows of these MERIT bands, such as `A+,A`."),
        ("signal" = Option<Vec<String>>, Query, style = Form, explode = false, description = "Only rows with these signals."),
        ("symbols" = Option<Vec<String>>, Query, style = Form, explode = false, description = "Only these symbols."),
        ("sort" = Option<Vec<String>>, Query, style = Form, explode = false, description = "Fields to sort by, the first counts most; `-` before one means falling. Missing values come last either way. Without it rows come in rank order: MERIT falling, then symbol."),
        ("fields" = Option<Vec<String>>, Query, style = Form, explode = false, description = "Only these fields of each row, in this order."),
        ("format" = Option<String>, Query, pattern = "^(json|csv|ndjson)$", description = "`json` is one document; `ndjson` is one row a line; `csv` has a header line, and leaves out `live_plan`, `events`, `factors`, `profiles`, `rules`, `breakdown` and `freshness` unless `fields` names them."),
        ("if-none-match" = Option<String>, Header, description = "The `ETag` of an earlier answer: 304 when nothing changed since."),
    ),
    responses(
        (status = 200, description = "The rows.", content(
            (ref("#/components/schemas/ScanAnswer") = "application/json"),
            (String = "text/csv"),
            (String = "application/x-ndjson"),
        )),
        (status = 304, description = "Nothing changed since the `ETag` of the request."),
        (status = 400, description = "A parameter is unknown or wrong; `parameter` names it.", content_type = "application/problem+json", body = ref("#/components/schemas/Problem")),
        (status = 429, description = "Too many requests from this address.", content_type = "application/problem+json", body = ref("#/components/schemas/Problem")),
        (status = 503, description = "What was known before the start is still being read: ask again after `Retry-After`.", content_type = "application/problem+json", body = ref("#/components/schemas/Problem")),
    )
)]
pub(super) async fn scan(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    let pairs = match Query::<Vec<(String, String)>>::from_request_parts(&mut parts, &()).await {
        Ok(Query(pairs)) => pairs,
        Err(rejection) => return Err(Problem::new(StatusCode::BAD_REQUEST, rejection.body_text())),
    };
    let request = ScanRequest::from_pairs(&pairs)?;
    let (offset, limit) = (request.query.offset, request.query.limit);
    let (mut response, n_matched) = answer(app, parts.headers, request).await?;
    if let Some(links) = links(&pairs, offset, limit, n_matched) {
        response.headers_mut().insert(header::LINK, links);
    }
    Ok(response)
}

/// The same with the parameters in a JSON object, for those whose lists are long.
#[utoipa::path(
    post,
    path = "/v1/scan",
    tag = "scan",
    request_body(content = ref("#/components/schemas/ScanRequest"), content_type = "application/json", description = "The parameters of the GET; lists as arrays."),
    responses(
        (status = 200, description = "The rows.", content(
            (ref("#/components/schemas/ScanAnswer") = "application/json"),
            (String = "text/csv"),
            (String = "application/x-ndjson"),
        )),
        (status = 400, description = "A parameter is unknown or wrong; `parameter` names it.", content_type = "application/problem+json", body = ref("#/components/schemas/Problem")),
        (status = 429, description = "Too many requests from this address.", content_type = "application/problem+json", body = ref("#/components/schemas/Problem")),
        (status = 503, description = "What was known before the start is still being read: ask again after `Retry-After`.", content_type = "application/problem+json", body = ref("#/components/schemas/Problem")),
    )
)]
pub(super) async fn scan_by_body(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let reading = axum::body::to_bytes(body, BODY_BYTES_MAX);
    let body = tokio::time::timeout(app.options.write_stall_max, reading)
        .await
        .map_err(|_| Problem::new(StatusCode::REQUEST_TIMEOUT, "the body took too long to arrive"))?
        .map_err(|_| Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body exceeds {BODY_BYTES_MAX} bytes")))?;
    // What a POST is answered with is no version of something that a client may have.
    drop(parts);
    Ok(answer(app, HeaderMap::new(), ScanRequest::from_body(&body)?).await?.0)
}

/// The answer, and how many rows passed the filters.
async fn answer(app: App, headers: HeaderMap, request: ScanRequest) -> Result<(Response, usize), Problem> {
    // A large answer takes milliseconds to put together, which is too long for an async thread.
    let answering = tokio::task::spawn_blocking(move || read(&app, &headers, &request));
    answering.await.map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the scan failed"))
}

fn read(app: &App, headers: &HeaderMap, request: &ScanRequest) -> (Response, usize) {
    let started = app.hub.now();
    let snapshot = app.hub.snapshot();
    let scan = snapshot.scan(&request.query);
    let elapsed_us = (app.hub.now().as_ns() - started.as_ns()) / 1000;
    let mut head = ScanAnswer {
        as_of: snapshot.as_of(),
        universe: snapshot.n_symbols,
        scored: snapshot.rows().len(),
        matched: scan.n_matched,
        elapsed_ms: 0.0,
        stage_ms: Empty {},
        regime: snapshot.market.as_deref(),
        models: &snapshot.models,
        data: snapshot.data,
        results: [],
    };
    let version = version(app, &head, &snapshot, request);
    head.elapsed_ms = elapsed_us as f64 / 1000.0;
    let n_matched = scan.n_matched;
    if version.is_known(headers) {
        return (version.not_modified(), n_matched);
    }
    let (content_type, body) = match request.format {
        Format::Json => ("application/json", json(&head, &scan, request.fields.as_deref())),
        Format::Ndjson => ("application/x-ndjson", ndjson(&scan, request.fields.as_deref())),
        Format::Csv => ("text/csv; charset=utf-8", csv(&scan, request.fields.as_deref())),
    };
    let response = ([(header::CONTENT_TYPE, content_type)], Bytes::from(body)).into_response();
    (version.mark(response), n_matched)
}

/// Rows follow from run and update, the rest is in the head.
fn version(app: &App, head: &ScanAnswer<'_>, snapshot: &Snapshot, request: &ScanRequest) -> Version {
    let head = serde_json::to_vec(head).expect("the head serialises to JSON");
    let asked = format!("{request:?}");
    Version::of(&[app.hub.epoch().as_bytes(), &snapshot.u.to_le_bytes(), &head, asked.as_bytes()])
}

fn json(head: &ScanAnswer<'_>, scan: &Scan<'_>, fields: Option<&[&str]>) -> Vec<u8> {
    let mut json = serde_json::to_vec(head).expect("the head serialises to JSON");
    // The rows go where the empty list ends.
    json.truncate(json.len() - b"]}".len());
    match fields {
        None => push_joined(&mut json, scan.rows.iter().map(|row| &row.json)),
        Some(fields) => {
            for (n, row) in scan.rows.iter().enumerate() {
                if n > 0 {
                    json.push(b',');
                }
                Picker::new(&row.json).push_object(fields, &mut json);
            }
        }
    }
    json.extend_from_slice(b"]}");
    json
}

fn ndjson(scan: &Scan<'_>, fields: Option<&[&str]>) -> Vec<u8> {
    let mut lines = Vec::new();
    for row in &scan.rows {
        match fields {
            None => lines.extend_from_slice(&row.json),
            Some(fields) => Picker::new(&row.json).push_object(fields, &mut lines),
        }
        lines.push(b'\n');
    }
    lines
}

fn csv(scan: &Scan<'_>, fields: Option<&[&'static str]>) -> Vec<u8> {
    const IN_MEMORY: &str = "writing to memory does not fail";
    let fields = fields.map_or_else(fields::plain, <[_]>::to_vec);
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(&fields).expect(IN_MEMORY);
    for row in &scan.rows {
        let picker = Picker::new(&row.json);
        table.write_record(fields.iter().map(|field| picker.cell(field))).expect(IN_MEMORY);
    }
    table.into_inner().expect(IN_MEMORY)
}

/// The pages before and behind this one, as RFC 8288 has them.
fn links(pairs: &[(String, String)], offset: usize, limit: usize, n_matched: usize) -> Option<HeaderValue> {
    let page = |offset: usize, relation: &str| {
        let others = pairs.iter().filter(|(name, _)| name != "offset");
        let query: Vec<String> = others.map(|(name, value)| format!("{name}={}&", percent_encoded(value))).collect();
        let query = query.concat();
        format!(r#"</v1/scan?{query}offset={offset}>; rel="{relation}""#)
    };
    let before = (offset > 0).then(|| page(offset.saturating_sub(limit), "prev"));
    let next = offset.checked_add(limit).filter(|&next| next < n_matched).map(|next| page(next, "next"));
    let links: Vec<String> = before.into_iter().chain(next).collect();
    if links.is_empty() { None } else { HeaderValue::try_from(links.join(", ")).ok() }
}

/// Everything but letters, digits and `-._~` as `%XX`, which is never wrong.
fn percent_encoded(text: &str) -> String {
    let encoded = text.bytes().map(|byte| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    encoded.collect()
}

/// Appends values that are JSON already, with commas between them.
fn push_joined<'a>(json: &mut Vec<u8>, values: impl Iterator<Item = &'a Bytes>) {
    for (n, value) in values.enumerate() {
        if n > 0 {
            json.push(b',');
        }
        json.extend_from_slice(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_the_neighbouring_pages() {
        let pairs = [("sectors".to_owned(), "Health Care".to_owned()), ("offset".to_owned(), "4".to_owned())];
        let check = |offset, n_matched, expected: Option<&str>| {
            let links = links(&pairs, offset, 2, n_matched);
            assert_eq!(links.as_ref().map(|links| links.to_str().unwrap()), expected);
        };
        check(0, 2, None);
        check(0, 3, Some(r#"</v1/scan?sectors=Health%20Care&offset=2>; rel="next""#));
        check(
            1,
            9,
            Some(
                r#"</v1/scan?sectors=Health%20Care&offset=0>; rel="prev", </v1/scan?sectors=Health%20Care&offset=3>; rel="next""#,
            ),
        );
        check(
            usize::MAX,
            9,
            Some(&format!(r#"</v1/scan?sectors=Health%20Care&offset={}>; rel="prev""#, usize::MAX - 2)),
        );
    }
}
