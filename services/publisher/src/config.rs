use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The section `publisher` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PublisherOptions {
    /// Address and port of HTTP and WebSocket.
    pub listen: String,
    /// Time between two heartbeats of a WebSocket connection.
    #[serde(with = "humantime_serde")]
    pub heartbeat: Duration,
    /// WebSocket connections at the same time; one more is answered with 503.
    pub connections_max: usize,
    /// A client that takes no byte for so long is dropped.
    #[serde(with = "humantime_serde")]
    pub write_stall_max: Duration,
}

impl Default for PublisherOptions {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            heartbeat: Duration::from_secs(5),
            connections_max: 10_000,
            write_stall_max: Duration::from_secs(10),
        }
    }
}

impl PublisherOptions {
    /// Everything that is wrong with the options, each with its key.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.listen.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_err()) {
            problems.push(format!("listen: `{}` is no address and port", self.listen));
        }
        for (key, span) in [("heartbeat", self.heartbeat), ("write_stall_max", self.write_stall_max)] {
            if span < Duration::from_millis(10) {
                problems.push(format!("{key}: {span:?} is below 10ms"));
            }
        }
        if !(1..=1_000_000).contains(&self.connections_max) {
            problems.push(format!("connections_max: {} is outside 1 to 1000000", self.connections_max));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_sound_and_every_problem_is_named() {
        assert_eq!(PublisherOptions::default().problems(), Vec::<String>::new());
        let broken = PublisherOptions {
            listen: "8080".to_owned(),
            heartbeat: Duration::ZERO,
            connections_max: 0,
            write_stall_max: Duration::ZERO,
        };
        assert_eq!(broken.problems().len(), 4);
    }
}
