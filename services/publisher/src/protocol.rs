use bytes::Bytes;
use schemas::Symbol;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::board::DataKind;

/// The subprotocol spoken here.
pub(crate) const SUBPROTOCOL: &str = "technic.v1.json";

/// The version that a connection is greeted with.
pub(crate) const PROTOCOL_VERSION: u16 = 1;

/// What a client asks for.
#[derive(Debug, PartialEq)]
pub(crate) struct Request {
    /// Echoed in the answer.
    pub(crate) id: Option<Value>,
    pub(crate) action: Action,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Action {
    Subscribe { channels: Vec<Channel>, with_snapshot: bool },
    Unsubscribe { channels: Vec<Channel> },
    Ping,
}

/// A part of the score channel `SC`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Channel {
    All,
    Symbol(Symbol),
}

/// Why a request is not done. The connection lives on.
#[derive(Debug, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) id: Option<Value>,
    pub(crate) code: RefusalCode,
    pub(crate) message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefusalCode {
    BadRequest = 400,
    UnknownChannel = 404,
    NotOffered = 405,
    TooLarge = 413,
}

/// Events that the server sends, except those with rows.
#[derive(Debug, Serialize)]
#[serde(tag = "ev", rename_all = "lowercase")]
pub(crate) enum ServerEvent<'a> {
    Status(Status<'a>),
    Seq {
        ch: &'static str,
        /// First update since the last that the client was told of.
        #[serde(rename = "U")]
        first: u64,
        u: u64,
        /// Updates that newer ones of the same symbol replaced.
        merged: u64,
        /// The updates are not sent, a snapshot follows.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        gap: bool,
    },
    Hb {
        n: u64,
        ts: i64,
        seq: Sequences,
        lag_ms: Option<i64>,
        data: DataKind,
    },
    Error {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a Value>,
        code: u16,
        msg: &'a str,
    },
}

#[derive(Debug, Serialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub(crate) enum Status<'a> {
    Connected {
        proto: u16,
        epoch: &'a str,
        hb_ms: u128,
        auth: &'static str,
        data: DataKind,
    },
    Success {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a Value>,
        /// All subscriptions of the connection, not only those of the request.
        subs: Vec<String>,
        recovered: bool,
        seq: Sequences,
        data: DataKind,
    },
    Pong {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a Value>,
    },
    Restarting,
}

/// Per channel the number of the last update that the client was told of.
#[derive(Debug, Serialize)]
pub(crate) struct Sequences {
    #[serde(rename = "SC", skip_serializing_if = "Option::is_none")]
    pub(crate) scores: Option<u64>,
}

/// A text frame under construction: an array of events.
#[derive(Debug)]
pub(crate) struct Frame {
    json: Vec<u8>,
}

impl Request {
    pub(crate) fn parse(text: &str) -> Result<Self, Refusal> {
        let bad =
            |id: Option<&Value>, message: String| Refusal { id: id.cloned(), code: RefusalCode::BadRequest, message };
        let request: Map<String, Value> =
            serde_json::from_str(text).map_err(|error| bad(None, format!("no JSON object: {error}")))?;
        let id = request.get("id").filter(|id| !id.is_null());
        if id.is_some_and(|id| !id.is_number() && !id.is_string()) {
            return Err(bad(None, "`id` is neither a number nor a text".to_owned()));
        }
        let not_offered = |message: String| Refusal { id: id.cloned(), code: RefusalCode::NotOffered, message };
        let action = match request.get("action") {
            Some(Value::String(action)) => action.as_str(),
            _ => return Err(bad(id, "`action` is missing or no text".to_owned())),
        };
        let action = match action {
            "ping" => Action::Ping,
            "subscribe" => {
                // Ignoring these would send other data than was asked for.
                if request.contains_key("filter") {
                    return Err(not_offered("`filter` is not offered".to_owned()));
                }
                if request.get("mode").is_some_and(|mode| mode != "conflate") {
                    return Err(not_offered("`mode` other than `conflate` is not offered".to_owned()));
                }
                let with_snapshot = match request.get("snapshot") {
                    None => true,
                    Some(Value::Bool(with_snapshot)) => *with_snapshot,
                    Some(_) => return Err(bad(id, "`snapshot` is neither true nor false".to_owned())),
                };
                Action::Subscribe { channels: channels(&request, id)?, with_snapshot }
            }
            "unsubscribe" => Action::Unsubscribe { channels: channels(&request, id)? },
            other => return Err(not_offered(format!("action `{}` is unknown", excerpt(other)))),
        };
        Ok(Self { id: id.cloned(), action })
    }
}

fn channels(request: &Map<String, Value>, id: Option<&Value>) -> Result<Vec<Channel>, Refusal> {
    let refusal = |code, message| Refusal { id: id.cloned(), code, message };
    let Some(Value::String(params)) = request.get("params") else {
        return Err(refusal(RefusalCode::BadRequest, "`params` is missing or no text".to_owned()));
    };
    let channel = |name: &str| {
        let (kind, part) = name.split_once('.').unwrap_or((name, ""));
        if kind != "SC" {
            return Err(refusal(RefusalCode::UnknownChannel, format!("channel `{}` is unknown", excerpt(name))));
        }
        if part == "*" {
            return Ok(Channel::All);
        }
        Symbol::new(part)
            .map(Channel::Symbol)
            .map_err(|error| refusal(RefusalCode::BadRequest, format!("channel `{}`: {error}", excerpt(name))))
    };
    params.split(',').map(|name| channel(name.trim())).collect()
}

/// As much of a client's text as an answer repeats.
fn excerpt(text: &str) -> String {
    text.chars().take(64).collect()
}

impl Frame {
    pub(crate) fn new() -> Self {
        Self { json: vec![b'['] }
    }

    pub(crate) fn of(event: &ServerEvent<'_>) -> Self {
        let mut frame = Self::new();
        frame.push(event);
        frame
    }

    pub(crate) fn refusal(refusal: &Refusal) -> Self {
        Self::of(&ServerEvent::Error { id: refusal.id.as_ref(), code: refusal.code as u16, msg: &refusal.message })
    }

    pub(crate) fn push(&mut self, event: &ServerEvent<'_>) {
        self.separate();
        serde_json::to_writer(&mut self.json, event).expect("an event serialises to JSON");
    }

    /// Adds an event that is JSON already.
    pub(crate) fn push_json(&mut self, event: &[u8]) {
        self.separate();
        self.json.extend_from_slice(event);
    }

    /// Adds one page of a snapshot.
    pub(crate) fn push_page<'a>(
        &mut self,
        u: u64,
        data: DataKind,
        is_last: bool,
        rows: impl Iterator<Item = &'a Bytes>,
    ) {
        let data = data.as_str();
        self.push_json(
            format!(r#"{{"ev":"snap","ch":"SC","u":{u},"data":"{data}","last":{is_last},"rows":["#).as_bytes(),
        );
        push_joined(&mut self.json, rows);
        self.json.extend_from_slice(b"]}");
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.json.push(b']');
        self.json
    }

    fn separate(&mut self) {
        if self.json.len() > 1 {
            self.json.push(b',');
        }
    }
}

/// Appends values that are JSON already, with commas between them.
pub(crate) fn push_joined<'a>(json: &mut Vec<u8>, values: impl Iterator<Item = &'a Bytes>) {
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

    fn check_refused(text: &str, code: RefusalCode, named: &str) {
        let refusal = Request::parse(text).unwrap_err();
        assert_eq!(refusal.code, code, "{text}");
        assert!(refusal.message.contains(named), "{text}: {}", refusal.message);
    }

    #[test]
    fn understands_subscriptions() {
        let request = Request::parse(r#"{"action":"subscribe","id":7,"params":"SC.*, SC.BRK.B","later":1}"#).unwrap();
        let channels = vec![Channel::All, Channel::Symbol(Symbol::new("BRK.B").unwrap())];
        assert_eq!(request.action, Action::Subscribe { channels, with_snapshot: true });
        assert_eq!(request.id, Some(Value::from(7)));
    }

    #[test]
    fn refuses_by_code_and_names_the_fault() {
        use RefusalCode::{BadRequest, NotOffered, UnknownChannel};
        for (text, code, named) in [
            ("", BadRequest, "no JSON object"),
            ("[]", BadRequest, "no JSON object"),
            ("{}", BadRequest, "`action`"),
            (r#"{"action":1}"#, BadRequest, "`action`"),
            (r#"{"action":"ping","id":{}}"#, BadRequest, "`id`"),
            (r#"{"action":"subscribe"}"#, BadRequest, "`params`"),
            (r#"{"action":"subscribe","params":"SC.*","snapshot":1}"#, BadRequest, "`snapshot`"),
            (r#"{"action":"subscribe","params":"SC."}"#, BadRequest, "SC."),
            (r#"{"action":"subscribe","params":"SC.*,AM.A"}"#, UnknownChannel, "AM.A"),
            (r#"{"action":"subscribe","params":""}"#, UnknownChannel, "channel"),
            (r#"{"action":"subscribe","params":"SC.*","filter":{}}"#, NotOffered, "`filter`"),
            (r#"{"action":"subscribe","params":"SC.*","mode":"lossless"}"#, NotOffered, "`mode`"),
            (r#"{"action":"dance"}"#, NotOffered, "dance"),
        ] {
            check_refused(text, code, named);
        }
    }
}
