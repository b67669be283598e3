//! Subjects: the only place where one is built or parsed.
//!
//! NATS splits subjects on dots, and share classes contain one: bytes outside `[A-Za-z0-9_-]` become `=XX`, so `BRK.B`
//! travels as `BRK=2EB`, which is also a legal key of a key-value bucket.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use crate::{Partition, Symbol, Timeframe};

/// Where the subjects of one pipeline live, so that a replay never mixes with the live market.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Namespace {
    /// `technic.v1.…`
    #[default]
    Live,
    /// `technic.replay.<run>.…`
    Replay(String),
}

/// A text that names no [`Namespace`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no namespace; use `live` or `replay.<run>` with letters, digits, `_` and `-`")]
pub struct UnknownNamespace(String);

impl FromStr for Namespace {
    type Err = UnknownNamespace;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "live" {
            return Ok(Self::Live);
        }
        match text.strip_prefix("replay.") {
            Some(run) if !run.is_empty() && run.bytes().all(is_plain) => Ok(Self::Replay(run.to_owned())),
            _ => Err(UnknownNamespace(text.to_owned())),
        }
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Live => f.write_str("live"),
            Self::Replay(run) => write!(f, "replay.{run}"),
        }
    }
}

/// The columnar batches between stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BatchKind {
    Bar,
    Feature,
    Prediction,
    Score,
}

impl BatchKind {
    pub const ALL: [Self; 4] = [Self::Bar, Self::Feature, Self::Prediction, Self::Score];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bar => "bar",
            Self::Feature => "feature",
            Self::Prediction => "prediction",
            Self::Score => "score",
        }
    }
}

impl Namespace {
    fn root(&self) -> String {
        match self {
            Self::Live => "technic.v1".to_owned(),
            Self::Replay(run) => format!("technic.replay.{run}"),
        }
    }

    /// `technic.v1.bar.1d.p07`
    pub fn batch(&self, kind: BatchKind, timeframe: Timeframe, partition: Partition) -> String {
        format!("{}.{}.{timeframe}.{partition}", self.root(), kind.as_str())
    }

    /// The batches of a kind and timeframe, of every partition: `technic.v1.bar.1d.*`
    pub fn partitions(&self, kind: BatchKind, timeframe: Timeframe) -> String {
        format!("{}.{}.{timeframe}.*", self.root(), kind.as_str())
    }

    /// Every batch of a kind: `technic.v1.bar.>`
    pub fn batches(&self, kind: BatchKind) -> String {
        format!("{}.{}.>", self.root(), kind.as_str())
    }

    /// `technic.v1.result.BRK=2EB`
    pub fn result(&self, symbol: Symbol) -> String {
        format!("{}.result.{}", self.root(), escape(symbol.as_bytes()))
    }

    pub fn results(&self) -> String {
        format!("{}.result.>", self.root())
    }

    /// `technic.v1.instrument.BRK=2EB`
    pub fn instrument(&self, symbol: Symbol) -> String {
        format!("{}.instrument.{}", self.root(), escape(symbol.as_bytes()))
    }

    pub fn instruments(&self) -> String {
        format!("{}.instrument.>", self.root())
    }

    /// Whether a subject carries reference data.
    pub fn is_instrument(&self, subject: &str) -> bool {
        subject.strip_prefix(&self.root()).is_some_and(|rest| rest.starts_with(".instrument."))
    }

    /// `technic.v1.quantiles.1d`
    pub fn quantiles(&self, timeframe: Timeframe) -> String {
        format!("{}.quantiles.{timeframe}", self.root())
    }

    pub fn all_quantiles(&self) -> String {
        format!("{}.quantiles.>", self.root())
    }

    /// `technic.v1.alert.<rule>.<symbol>`
    pub fn alert(&self, rule: &str, symbol: Symbol) -> String {
        format!("{}.alert.{}.{}", self.root(), escape(rule.as_bytes()), escape(symbol.as_bytes()))
    }

    pub fn alerts(&self) -> String {
        format!("{}.alert.>", self.root())
    }

    /// Bars from outside: `technic.v1.in.bar.>`
    pub fn intake(&self) -> String {
        format!("{}.in.bar.>", self.root())
    }

    /// Who sends bars on a subject of the intake; `None` when it is another subject.
    pub fn parse_intake<'a>(&self, subject: &'a str) -> Option<&'a str> {
        subject.strip_prefix(&self.root())?.strip_prefix(".in.bar.").filter(|source| !source.is_empty())
    }

    /// `technic.v1.dead.<service>`
    pub fn dead(&self, service: &str) -> String {
        format!("{}.dead.{}", self.root(), escape(service.as_bytes()))
    }

    pub fn dead_letters(&self) -> String {
        format!("{}.dead.>", self.root())
    }

    /// The name of the stream that stores a group of subjects: `BARS`, or `REPLAY_<run>_BARS`.
    pub fn stream(&self, name: &str) -> String {
        match self {
            Self::Live => name.to_owned(),
            Self::Replay(run) => format!("REPLAY_{run}_{name}"),
        }
    }

    /// The partition batch that a subject names; `None` when it names something else.
    pub fn parse_batch(&self, subject: &str) -> Option<(BatchKind, Timeframe, Partition)> {
        let mut tokens = subject.strip_prefix(&self.root())?.strip_prefix('.')?.split('.');
        let kind = tokens.next()?;
        let kind = BatchKind::ALL.into_iter().find(|candidate| candidate.as_str() == kind)?;
        let timeframe = tokens.next()?.parse().ok()?;
        let number = tokens.next()?.strip_prefix('p')?;
        let partition = Partition::new(number.parse().ok()?).filter(|_| number.len() == 2)?;
        tokens.next().is_none().then_some((kind, timeframe, partition))
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

/// One token of a subject from any bytes.
///
/// # Panics
/// Never: a `String` takes any text.
pub fn escape(bytes: &[u8]) -> String {
    let mut token = String::with_capacity(bytes.len());
    for &byte in bytes {
        if is_plain(byte) {
            token.push(char::from(byte));
        } else {
            write!(token, "={byte:02X}").expect("a String takes any text");
        }
    }
    token
}

/// The bytes behind a token; `None` when it is not one that [`escape`] makes.
pub fn unescape(token: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(token.len());
    let mut rest = token.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if is_plain(first) {
            bytes.push(first);
            rest = tail;
        } else {
            let (digits, after) = (first == b'=').then(|| tail.split_at_checked(2)).flatten()?;
            let byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
            bytes.push(byte);
            rest = after;
        }
    }
    (escape(&bytes) == token).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn subjects_read_as_documented() {
        let symbol = Symbol::new("BRK.B").unwrap();
        let live = Namespace::Live;
        let partition = Partition::new(7).unwrap();
        assert_eq!(live.batch(BatchKind::Bar, Timeframe::M1, partition), "technic.v1.bar.1m.p07");
        assert_eq!(live.partitions(BatchKind::Bar, Timeframe::M1), "technic.v1.bar.1m.*");
        assert_eq!(live.result(symbol), "technic.v1.result.BRK=2EB");
        assert_eq!(live.alert("merit_80", symbol), "technic.v1.alert.merit_80.BRK=2EB");
        assert_eq!(live.dead("indicator"), "technic.v1.dead.indicator");
        assert_eq!(live.intake(), "technic.v1.in.bar.>");
        assert_eq!(live.parse_intake("technic.v1.in.bar.my-feed"), Some("my-feed"));
        assert_eq!(live.parse_intake("technic.v1.bar.1m.p07"), None);
        assert_eq!(live.quantiles(Timeframe::D1), "technic.v1.quantiles.1d");
        let replay: Namespace = "replay.2016".parse().unwrap();
        assert_eq!(replay.instrument(symbol), "technic.replay.2016.instrument.BRK=2EB");
        assert_eq!(replay.stream("BARS"), "REPLAY_2016_BARS");
        for text in ["", "prod", "replay.", "replay.a b", "replay.a.b", "replay.>"] {
            assert!(text.parse::<Namespace>().is_err(), "{text}");
        }
    }

    #[test]
    fn batch_subjects_parse_back_and_others_do_not() {
        for namespace in [Namespace::Live, Namespace::Replay("x".into())] {
            for kind in BatchKind::ALL {
                for partition in Partition::all() {
                    let subject = namespace.batch(kind, Timeframe::D1, partition);
                    assert_eq!(namespace.parse_batch(&subject), Some((kind, Timeframe::D1, partition)));
                }
            }
        }
        for subject in
            ["technic.v1.bar.1d.p64", "technic.v1.bar.1d.p7", "technic.v1.bar.2d.p07", "technic.v1.bar.1d.p07.x", "x"]
        {
            assert_eq!(Namespace::Live.parse_batch(subject), None, "{subject}");
        }
    }

    proptest! {
        #[test]
        fn escaping_round_trips_and_gives_one_plain_token(bytes: Vec<u8>) {
            let token = escape(&bytes);
            prop_assert!(token.bytes().all(|byte| is_plain(byte) || byte == b'='));
            prop_assert_eq!(unescape(&token), Some(bytes));
        }

        #[test]
        fn unescaping_never_panics(token: String) {
            unescape(&token);
        }
    }
}
