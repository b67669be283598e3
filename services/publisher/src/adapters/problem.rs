use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use schemas::Symbol;
use serde::Serialize;

/// An error as RFC 9457 has it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Problem {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    /// The parameter at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<String>,
    /// Why a symbol has no result: the name of the first condition of the universe that it fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    why_not: Option<String>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.into(),
            parameter: None,
            why_not: None,
        }
    }

    /// A symbol that is not in the table.
    pub(crate) fn no_result(symbol: Symbol, why_not: Option<String>) -> Self {
        let detail = match &why_not {
            Some(condition) => format!("{symbol} has no result: {condition}"),
            None => format!("{symbol} has no result: nothing was heard of it"),
        };
        Self { why_not, ..Self::new(StatusCode::NOT_FOUND, detail) }
    }

    pub(crate) fn parameter(name: &str, detail: impl Into<String>) -> Self {
        let name = name.chars().take(64).collect();
        Self { parameter: Some(name), ..Self::new(StatusCode::BAD_REQUEST, detail) }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).expect("the number is from a status code");
        let mut response = (status, Json(self)).into_response();
        let content_type = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
        response
    }
}
