//! The page and the rendered documentation: files of `page/`, compiled into the binary.

use axum::Router;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;
use axum::routing::get;

use super::http::{App, answer};

/// Pages may run their own scripts and talk to their own server, nothing else. Charts style their elements from script.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self'; \
                      img-src 'self' data:; connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const FONT: &str = "font/woff2";
const PICTURE: &str = "image/svg+xml";

struct File {
    path: &'static str,
    content_type: &'static str,
    content: &'static [u8],
}

macro_rules! files {
    ($($path:literal: $content_type:ident = $file:literal,)*) => {
        &[$(File {
            path: $path,
            content_type: $content_type,
            content: include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/page/", $file)),
        }),*]
    };
}

/// What is served where. Everything else in `page/` is for developers: licences and types.
const FILES: &[File] = files! {
    "/": HTML = "index.html",
    "/docs": HTML = "docs.html",
    "/page/docs.js": SCRIPT = "docs.js",
    "/page/icon.svg": PICTURE = "icon.svg",
    "/page/page.css": STYLE = "page.css",
    "/page/main.js": SCRIPT = "main.js",
    "/page/board.js": SCRIPT = "board.js",
    "/page/chart.js": SCRIPT = "chart.js",
    "/page/colors.js": SCRIPT = "colors.js",
    "/page/columns.js": SCRIPT = "columns.js",
    "/page/detail.js": SCRIPT = "detail.js",
    "/page/filters.js": SCRIPT = "filters.js",
    "/page/format.js": SCRIPT = "format.js",
    "/page/key.js": SCRIPT = "key.js",
    "/page/market.js": SCRIPT = "market.js",
    "/page/settings.js": SCRIPT = "settings.js",
    "/page/status.js": SCRIPT = "status.js",
    "/page/stream.js": SCRIPT = "stream.js",
    "/page/table.js": SCRIPT = "table.js",
    "/page/trace.js": SCRIPT = "trace.js",
    "/page/vendor/preact-htm.js": SCRIPT = "vendor/preact-htm.js",
    "/page/vendor/lightweight-charts.js": SCRIPT = "vendor/lightweight-charts.js",
    "/page/vendor/uplot.js": SCRIPT = "vendor/uplot.js",
    "/page/vendor/uplot.css": STYLE = "vendor/uplot.css",
    "/page/vendor/swagger-ui-bundle.js": SCRIPT = "vendor/swagger-ui-bundle.js",
    "/page/vendor/swagger-ui.css": STYLE = "vendor/swagger-ui.css",
    "/page/vendor/roboto-400.woff2": FONT = "vendor/roboto-400.woff2",
    "/page/vendor/roboto-500.woff2": FONT = "vendor/roboto-500.woff2",
    "/page/vendor/roboto-700.woff2": FONT = "vendor/roboto-700.woff2",
};

pub(super) fn router() -> Router<App> {
    FILES.iter().fold(Router::new(), |router, file| {
        router.route(file.path, get(async move |headers: HeaderMap| serve(file, &headers)))
    })
}

fn serve(file: &File, headers: &HeaderMap) -> Response {
    let mut response = answer::content(headers, file.content_type, file.content);
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
