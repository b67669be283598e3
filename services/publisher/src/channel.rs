use std::fmt;

use schemas::Symbol;

/// What a client can listen to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// `SC`: rows of the table.
    Scores,
    /// `AM`: bars.
    Bars,
    /// `IN`: indicator columns.
    Indicators,
    /// `AL`: alerts.
    Alerts,
}

/// A channel, or the part of it that one symbol has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Topic {
    pub(crate) channel: Channel,
    /// `None`: every symbol.
    pub(crate) symbol: Option<Symbol>,
}

/// Why a text names no [`Topic`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TopicFault {
    UnknownChannel,
    Symbol(String),
}

impl Channel {
    pub const ALL: [Self; 4] = [Self::Scores, Self::Bars, Self::Indicators, Self::Alerts];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scores => "SC",
            Self::Bars => "AM",
            Self::Indicators => "IN",
            Self::Alerts => "AL",
        }
    }

    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    /// Whether a client that is behind gets the newest of each symbol rather than everything.
    pub(crate) const fn conflates_by_default(self) -> bool {
        !matches!(self, Self::Alerts)
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Topic {
    pub(crate) fn parse(text: &str) -> Result<Self, TopicFault> {
        let (name, part) = text.split_once('.').unwrap_or((text, ""));
        let channel = Channel::ALL.into_iter().find(|channel| channel.as_str() == name);
        let channel = channel.ok_or(TopicFault::UnknownChannel)?;
        let symbol = match part {
            "*" => None,
            part => Some(Symbol::new(part).map_err(|error| TopicFault::Symbol(error.to_string()))?),
        };
        Ok(Self { channel, symbol })
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.symbol {
            Some(symbol) => write!(f, "{}.{symbol}", self.channel),
            None => write!(f, "{}.*", self.channel),
        }
    }
}
