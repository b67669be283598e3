//! The description of the HTTP interface, made from the code.

use std::sync::LazyLock;

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::get;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use super::super::problem::Problem;
use super::{App, admin, answer, market, portfolio, rest, scan, status, symbols};

static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    let mut text = serde_json::to_string_pretty(&document()).expect("a document serialises to JSON");
    text.push('\n');
    text
});

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Technic",
        description = "Ranked, explained trade ideas for a whole market, as of the newest bar. Missing numbers are \
                       `null`, never 0. Errors are problem documents (RFC 9457); every answer has an `x-request-id`; \
                       `RateLimit` tells how many requests are left. The stream of changes is at `/ws`.",
        version = "1",
        license(name = "MIT OR Apache-2.0"),
    ),
    tags(
        (name = "scan", description = "Rows of the table"),
        (name = "market", description = "What the rows are taken from"),
        (name = "operation", description = "How the service is doing"),
    )
)]
struct Described;

/// What the runtime answers on the same port: path, what it says, content type, what a failure means.
const OPERATION: [(&str, &str, &str, Option<&str>); 3] = [
    ("/livez", "Whether the process is alive.", "text/plain", None),
    (
        "/readyz",
        "Whether every service of the process is connected and has caught up.",
        "application/json",
        Some("The services that are not, with the reason."),
    ),
    ("/metrics", "Counters and histograms in the text format of Prometheus.", "text/plain", None),
];

pub(super) fn router() -> Router<App> {
    Router::new().route("/openapi.json", get(document_answer))
}

async fn document_answer(headers: HeaderMap) -> axum::response::Response {
    answer::content(&headers, "application/json", DOCUMENT.as_bytes())
}

/// The document that is served, with a line feed behind it.
pub(crate) fn openapi_json() -> String {
    DOCUMENT.clone()
}

fn document() -> Value {
    let (_, mut paths) = rest().split_for_parts();
    let mut described = Described::openapi();
    described.merge(std::mem::take(&mut paths));
    let mut document = serde_json::to_value(described).expect("a document serialises to JSON");
    let mut schemas = components();
    schemas.insert("ScanRequest".to_owned(), scan_request(&document["paths"]["/v1/scan"]["get"]["parameters"]));
    document["components"]["schemas"] = Value::Object(schemas);
    for (path, summary, content_type, failure) in OPERATION {
        let mut responses = json!({ "200": { "description": "Yes.", "content": { content_type: {} } } });
        if let Some(failure) = failure {
            responses["503"] = json!({ "description": failure, "content": { content_type: {} } });
        }
        document["paths"][path] = json!({ "get": { "tags": ["operation"], "summary": summary, "operationId": &path[1..], "responses": responses } });
    }
    document
}

/// The shapes of all answers, from the types that are sent.
fn components() -> Map<String, Value> {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
        settings.contract = schemars::generate::Contract::Serialize;
    });
    let mut generator = SchemaGenerator::new(settings);
    generator.subschema_for::<scan::ScanAnswer<'_>>();
    generator.subschema_for::<portfolio::PortfolioAnswer<'_>>();
    generator.subschema_for::<symbols::SymbolDetail>();
    generator.subschema_for::<market::UniverseAnswer<'_>>();
    generator.subschema_for::<market::ModelsAnswer<'_>>();
    generator.subschema_for::<status::StatusAnswer<'_>>();
    generator.subschema_for::<admin::ClearedAnswer>();
    generator.subschema_for::<Problem>();
    let mut schemas = generator.take_definitions(true);
    let parts = ["ResultRow", "SymbolDetail"].map(|name| json!({ "$ref": format!("#/components/schemas/{name}") }));
    let description = "A row of the table, and what belongs to it.";
    schemas.insert("SymbolAnswer".to_owned(), json!({ "description": description, "allOf": parts }));
    schemas
}

/// The body of a POST has the parameters of the GET as properties.
fn scan_request(parameters: &Value) -> Value {
    let in_query = parameters.as_array().into_iter().flatten().filter(|parameter| parameter["in"] == "query");
    let properties: Map<String, Value> = in_query
        .filter_map(|parameter| {
            let mut schema = parameter["schema"].clone();
            schema["description"] = parameter["description"].clone();
            Some((parameter["name"].as_str()?.to_owned(), schema))
        })
        .collect();
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}
