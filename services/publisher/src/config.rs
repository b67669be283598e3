use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::auth::Keys;
use crate::limits::Limits;

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
    /// Who may connect, as [`Keys::parse`] reads it. Nobody needs a key when there is none, but then only this machine
    /// is listened to.
    pub keys: Vec<String>,
    pub limits: Limits,
}

impl Default for PublisherOptions {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            heartbeat: Duration::from_secs(5),
            connections_max: 10_000,
            write_stall_max: Duration::from_secs(10),
            keys: Vec::new(),
            limits: Limits::default(),
        }
    }
}

impl PublisherOptions {
    /// Everything that is wrong with the options, each with its key.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.listen.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_err()) {
            problems.push(format!("listen: `{}` is no address and port", self.listen));
        } else if self.keys.is_empty() && !is_loopback(&self.listen) {
            problems.push(format!("listen: `{}` can be reached by others, which needs `publisher.keys`", self.listen));
        }
        if let Err(error) = Keys::parse(&self.keys) {
            problems.push(format!("keys: {error}"));
        }
        problems.extend(self.limits.problems());
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

/// Whether only this machine can reach the address. A name that is not `localhost` may stand for anything.
fn is_loopback(listen: &str) -> bool {
    match listen.parse::<SocketAddr>() {
        Ok(address) => address.ip().is_loopback(),
        Err(_) => listen.rsplit_once(':').is_some_and(|(host, _)| host == "localhost"),
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
            keys: vec!["desk".to_owned()],
            limits: Limits { message_bytes: 10, ..Limits::default() },
        };
        assert_eq!(broken.problems().len(), 6);
    }

    #[test]
    fn without_keys_only_this_machine_is_listened_to() {
        let check = |listen: &str, keys: &[&str], is_sound: bool| {
            let (listen, keys) = (listen.to_owned(), keys.iter().map(|&key| key.to_owned()).collect());
            let options = PublisherOptions { listen, keys, ..PublisherOptions::default() };
            assert_eq!(options.problems().is_empty(), is_sound, "{options:?}");
        };
        let key = format!("desk:{}", "0a".repeat(32));
        for local in ["127.0.0.1:8080", "127.0.0.9:1", "[::1]:8080", "localhost:8080"] {
            check(local, &[], true);
        }
        for public in ["0.0.0.0:8080", "[::]:8080", "10.0.0.1:8080", "example.org:8080", ":8080"] {
            check(public, &[], false);
            check(public, &[&key], true);
        }
    }
}
