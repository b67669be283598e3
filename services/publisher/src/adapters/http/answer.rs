use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;

/// Names a version of an answer. Weak: the same content may be compressed or not.
pub(super) struct Version(String);

impl Version {
    /// From everything that the content follows from.
    pub(super) fn of(parts: &[&[u8]]) -> Self {
        // FNV-1a: a change that it does not see costs a client one stale answer in 2^64.
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        let mut mix = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        for part in parts {
            part.iter().copied().for_each(&mut mix);
            // So that `ab`, `c` is not `a`, `bc`.
            part.len().to_le_bytes().into_iter().for_each(&mut mix);
        }
        Self(format!(r#"W/"{hash:016x}""#))
    }

    /// Whether the client has this version already.
    pub(super) fn is_known(&self, request: &HeaderMap) -> bool {
        let weak = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
        let known = request.get_all(header::IF_NONE_MATCH).into_iter().filter_map(|value| value.to_str().ok());
        known.flat_map(|value| value.split(',')).any(|tag| tag.trim() == "*" || weak(tag) == weak(&self.0))
    }

    /// The answer to a client that has this version already.
    pub(super) fn not_modified(&self) -> Response {
        self.mark(StatusCode::NOT_MODIFIED.into_response())
    }

    /// Adds the version to an answer. It may be kept, but not used without asking.
    pub(super) fn mark(&self, mut response: Response) -> Response {
        let tag = HeaderValue::try_from(&self.0).expect("hexadecimal digits are a header value");
        response.headers_mut().insert(header::ETAG, tag);
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        response
    }
}

/// An answer of this content type, or 304 when the client has it already.
pub(in crate::adapters) fn content(
    request: &HeaderMap,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response {
    let body = body.into();
    let version = Version::of(&[&body]);
    if version.is_known(request) {
        return version.not_modified();
    }
    version.mark(([(header::CONTENT_TYPE, content_type)], body).into_response())
}

pub(super) fn json(request: &HeaderMap, answer: &impl Serialize) -> Response {
    content(request, "application/json", serde_json::to_vec(answer).expect("an answer serialises to JSON"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_known_by_any_spelling_of_its_tag() {
        let version = Version::of(&[b"ab", b"c"]);
        assert_ne!(version.0, Version::of(&[b"a", b"bc"]).0);
        let check = |value: &str, expected: bool| {
            let headers = HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::try_from(value).unwrap())]);
            assert_eq!(version.is_known(&headers), expected, "{value}");
        };
        check(&version.0, true);
        check(version.0.trim_start_matches("W/"), true);
        check(&format!("\"x\", {}", version.0), true);
        check("*", true);
        check("\"x\"", false);
    }
}
