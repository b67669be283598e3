use serde::Serialize;
use serde_json::{Map, Value};

use crate::board::DataKind;
use crate::channel::{Channel, Topic, TopicFault};
use crate::filter::Filter;

/// The version that a connection is greeted with.
pub(crate) const PROTOCOL_VERSION: u16 = 1;

/// Longest time between two flushes that a client may ask for.
const FLUSH_MS_MAX: u64 = 60_000;

/// What a client asks for.
#[derive(Debug, PartialEq)]
pub(crate) struct Request {
    /// Echoed in the answer.
    pub(crate) id: Option<Value>,
    pub(crate) action: Action,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Action {
    Auth { secret: String },
    Subscribe(Box<Subscribe>),
    Unsubscribe { topics: Vec<Topic> },
    Ping,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Subscribe {
    pub(crate) topics: Vec<Topic>,
    /// Of the score channel.
    pub(crate) filter: FilterChange,
    pub(crate) with_snapshot: bool,
    /// `None`: as the channel has it.
    pub(crate) mode: Option<Mode>,
    pub(crate) flush_ms: Option<u64>,
    pub(crate) resume: Option<Resume>,
}

/// What a subscription says about the filter of the channel.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum FilterChange {
    /// Nothing: it stays as it is.
    #[default]
    Keep,
    /// Everything is wanted.
    End,
    Use(Filter),
}

/// What happens to a client that is slower than the updates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It gets the newest of each symbol.
    Conflate,
    /// It gets everything, or is closed.
    Lossless,
}

/// Where an earlier connection ended.
#[derive(Debug, PartialEq)]
pub(crate) struct Resume {
    pub(crate) epoch: String,
    /// Number of the last update, by channel.
    pub(crate) seqs: Vec<(Channel, u64)>,
}

/// Why a request is not done. The connection lives on unless the code says otherwise.
#[derive(Debug, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) id: Option<Value>,
    pub(crate) code: RefusalCode,
    pub(crate) message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefusalCode {
    BadRequest = 400,
    Unauthorized = 401,
    UnknownChannel = 404,
    NotOffered = 405,
    TooLarge = 413,
    TooMany = 429,
}

/// Events that the server sends, except those with rows.
#[derive(Debug, Serialize)]
#[serde(tag = "ev", rename_all = "lowercase")]
pub(crate) enum ServerEvent<'a> {
    Status(Status<'a>),
    Seq(Progress),
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

/// How far the events that follow in the frame bring a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Progress {
    pub(crate) ch: &'static str,
    /// First update since the last that the client was told of.
    #[serde(rename = "U")]
    pub(crate) first: u64,
    pub(crate) u: u64,
    /// Updates that newer ones of the same symbol replaced.
    pub(crate) merged: u64,
    /// The updates are not sent, a snapshot follows.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) gap: bool,
}

#[derive(Debug, Serialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub(crate) enum Status<'a> {
    Connected {
        proto: u16,
        epoch: &'a str,
        hb_ms: u64,
        auth: &'static str,
        data: DataKind,
    },
    Authenticated {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a Value>,
        /// Name of the key.
        key: &'a str,
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

/// Of each subscribed channel the number of the last update that the client was told of.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Sequences {
    #[serde(rename = "SC", skip_serializing_if = "Option::is_none")]
    scores: Option<u64>,
    #[serde(rename = "AM", skip_serializing_if = "Option::is_none")]
    bars: Option<u64>,
    #[serde(rename = "IN", skip_serializing_if = "Option::is_none")]
    indicators: Option<u64>,
    #[serde(rename = "AL", skip_serializing_if = "Option::is_none")]
    alerts: Option<u64>,
}

impl Sequences {
    pub(crate) fn set(&mut self, channel: Channel, u: u64) {
        let place = match channel {
            Channel::Scores => &mut self.scores,
            Channel::Bars => &mut self.bars,
            Channel::Indicators => &mut self.indicators,
            Channel::Alerts => &mut self.alerts,
        };
        *place = Some(u);
    }
}

impl Request {
    pub(crate) fn parse(request: Value) -> Result<Self, Refusal> {
        let Value::Object(request) = request else { return Err(Refusal::bad(None, "a message is one object")) };
        let id = request.get("id").filter(|id| !id.is_null());
        if id.is_some_and(|id| !id.is_number() && !id.is_string()) {
            return Err(Refusal::bad(None, "`id` is neither a number nor a text"));
        }
        let refused = |code| move |message: String| Refusal { id: id.cloned(), code, message };
        let bad = refused(RefusalCode::BadRequest);
        let action = match text(&request, "action").map_err(bad)? {
            "ping" => Action::Ping,
            "auth" => Action::Auth { secret: text(&request, "params").map_err(bad)?.to_owned() },
            "subscribe" => {
                let topics = topics(&request, id)?;
                Action::Subscribe(Box::new(Subscribe::parse(topics, &request).map_err(bad)?))
            }
            "unsubscribe" => Action::Unsubscribe { topics: topics(&request, id)? },
            other => return Err(refused(RefusalCode::NotOffered)(format!("action `{}` is unknown", excerpt(other)))),
        };
        Ok(Self { id: id.cloned(), action })
    }
}

impl Subscribe {
    fn parse(topics: Vec<Topic>, request: &Map<String, Value>) -> Result<Self, String> {
        let given = |key: &str| request.get(key).filter(|value| !value.is_null());
        let filter = match given("filter") {
            None => FilterChange::Keep,
            Some(Value::Object(filter)) => Filter::parse(filter)?.map_or(FilterChange::End, FilterChange::Use),
            Some(_) => return Err("`filter` is no object".to_owned()),
        };
        let listens_to = |channel| topics.iter().any(|topic| topic.channel == channel);
        if matches!(filter, FilterChange::Use(_)) && !listens_to(Channel::Scores) {
            return Err("`filter` is for the channel SC, which is not among `params`".to_owned());
        }
        let with_snapshot = match given("snapshot") {
            None => true,
            Some(Value::Bool(with_snapshot)) => *with_snapshot,
            Some(_) => return Err("`snapshot` is neither true nor false".to_owned()),
        };
        let mode = match given("mode").map(|mode| mode.as_str()) {
            None => None,
            Some(Some("conflate")) => Some(Mode::Conflate),
            Some(Some("lossless")) => Some(Mode::Lossless),
            Some(_) => return Err("`mode` is neither `conflate` nor `lossless`".to_owned()),
        };
        let flush_ms = match given("flush_ms") {
            None => None,
            Some(flush_ms) => {
                let flush_ms = flush_ms.as_u64().filter(|flush_ms| *flush_ms <= FLUSH_MS_MAX);
                Some(flush_ms.ok_or(format!("`flush_ms` is no whole number from 0 to {FLUSH_MS_MAX}"))?)
            }
        };
        let resume = given("resume").map(|resume| Resume::parse(resume, &topics)).transpose()?;
        Ok(Self { topics, filter, with_snapshot, mode, flush_ms, resume })
    }

    /// The channels it is about, each once.
    pub(crate) fn channels(&self) -> impl Iterator<Item = Channel> {
        Channel::ALL.into_iter().filter(|channel| self.topics.iter().any(|topic| topic.channel == *channel))
    }
}

impl Resume {
    /// `seq` is a number for a request about one channel, else an object of numbers by channel.
    fn parse(resume: &Value, topics: &[Topic]) -> Result<Self, String> {
        let epoch = resume.get("epoch").and_then(Value::as_str).ok_or("`resume.epoch` is missing or no text")?;
        let fault = || "`resume.seq` is neither a number nor an object of numbers by channel".to_owned();
        let seqs = match resume.get("seq").ok_or_else(fault)? {
            Value::Object(by_channel) => by_channel
                .iter()
                .map(|(name, seq)| {
                    let channel = Channel::ALL.into_iter().find(|channel| channel.as_str() == name);
                    channel.zip(seq.as_u64()).ok_or_else(fault)
                })
                .collect::<Result<_, _>>()?,
            seq => {
                let seq = seq.as_u64().ok_or_else(fault)?;
                let mut channels: Vec<Channel> = topics.iter().map(|topic| topic.channel).collect();
                channels.dedup();
                match channels[..] {
                    [channel] => vec![(channel, seq)],
                    _ => return Err("`resume.seq` is one number for several channels".to_owned()),
                }
            }
        };
        Ok(Self { epoch: epoch.to_owned(), seqs })
    }
}

impl Refusal {
    pub(crate) fn bad(id: Option<&Value>, message: impl Into<String>) -> Self {
        Self { id: id.cloned(), code: RefusalCode::BadRequest, message: message.into() }
    }
}

fn text<'a>(request: &'a Map<String, Value>, key: &str) -> Result<&'a str, String> {
    request.get(key).and_then(Value::as_str).ok_or_else(|| format!("`{key}` is missing or no text"))
}

fn topics(request: &Map<String, Value>, id: Option<&Value>) -> Result<Vec<Topic>, Refusal> {
    let params = text(request, "params").map_err(|message| Refusal::bad(id, message))?;
    let topic = |name: &str| {
        Topic::parse(name).map_err(|fault| match fault {
            TopicFault::UnknownChannel => Refusal {
                id: id.cloned(),
                code: RefusalCode::UnknownChannel,
                message: format!("channel `{}` is unknown; there are SC, AM, IN and AL", excerpt(name)),
            },
            TopicFault::Symbol(error) => Refusal::bad(id, format!("channel `{}`: {error}", excerpt(name))),
        })
    };
    params.split(',').map(|name| topic(name.trim())).collect()
}

/// As much of a client's text as an answer repeats.
fn excerpt(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn understands_subscriptions() {
        let request = json!({"action": "subscribe", "id": 7, "params": "SC.*, AM.BRK.B", "later": 1, "mode": "lossless",
                             "flush_ms": 50, "snapshot": false, "filter": {"top": 5},
                             "resume": {"epoch": "k", "seq": {"SC": 5, "AM": 6}}});
        let Request { id, action } = Request::parse(request).unwrap();
        let Action::Subscribe(subscribe) = action else { panic!("{action:?}") };
        assert_eq!(subscribe.topics.iter().map(ToString::to_string).collect::<Vec<_>>(), ["SC.*", "AM.BRK.B"]);
        assert_eq!(subscribe.resume.unwrap().seqs, [(Channel::Bars, 6), (Channel::Scores, 5)]);
        assert_eq!((subscribe.mode, subscribe.flush_ms), (Some(Mode::Lossless), Some(50)));
        assert!(matches!(subscribe.filter, FilterChange::Use(_)) && !subscribe.with_snapshot);
        assert_eq!(id, Some(Value::from(7)));
    }

    #[test]
    fn refuses_by_code_and_names_the_fault() {
        use RefusalCode::{BadRequest, NotOffered, UnknownChannel};
        let subscribe = |key: &str, value: Value| json!({"action": "subscribe", "params": "SC.*", key: value});
        for (request, code, named) in [
            (json!([]), BadRequest, "object"),
            (json!({}), BadRequest, "`action`"),
            (json!({"action": 1}), BadRequest, "`action`"),
            (json!({"action": "ping", "id": {}}), BadRequest, "`id`"),
            (json!({"action": "auth"}), BadRequest, "`params`"),
            (json!({"action": "subscribe"}), BadRequest, "`params`"),
            (json!({"action": "subscribe", "params": "SC."}), BadRequest, "SC."),
            (json!({"action": "subscribe", "params": "SC.*,XX.A"}), UnknownChannel, "XX.A"),
            (json!({"action": "subscribe", "params": ""}), UnknownChannel, "channel"),
            (json!({"action": "subscribe", "params": "AM.*", "filter": {"top": 1}}), BadRequest, "SC"),
            (json!({"action": "dance"}), NotOffered, "dance"),
            (subscribe("snapshot", json!(1)), BadRequest, "`snapshot`"),
            (subscribe("filter", json!([])), BadRequest, "`filter`"),
            (subscribe("filter", json!({"tops": 1})), BadRequest, "tops"),
            (subscribe("mode", json!("fast")), BadRequest, "`mode`"),
            (subscribe("flush_ms", json!(60_001)), BadRequest, "`flush_ms`"),
            (subscribe("resume", json!({"seq": 1})), BadRequest, "`resume.epoch`"),
            (subscribe("resume", json!({"epoch": "k"})), BadRequest, "`resume.seq`"),
            (subscribe("resume", json!({"epoch": "k", "seq": {"XX": 1}})), BadRequest, "`resume.seq`"),
        ] {
            let text = request.to_string();
            let refusal = Request::parse(request).unwrap_err();
            assert_eq!(refusal.code, code, "{text}");
            assert!(refusal.message.contains(named), "{text}: {}", refusal.message);
        }
    }
}
