use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::auth::{JwtOptions, Keys};
use crate::limits::Limits;

/// About ten years of sessions.
const BARS_MAX: usize = 2_600;

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
    /// A client that takes no byte for so long is dropped, and one whose request takes so long to arrive.
    #[serde(with = "humantime_serde")]
    pub write_stall_max: Duration,
    /// HTTP requests that one address may make in a second, in the long run; 0: as many as it likes.
    pub requests_per_second: u32,
    /// HTTP requests that it may make at once.
    pub requests_burst: u32,
    /// Origins whose pages may read the answers, such as `https://desk.example`, or only `*`.
    pub cors_origins: Vec<String>,
    /// Newest bars that are kept of each symbol for its chart; 0: none.
    pub bars_max: usize,
    /// Who may connect, as [`Keys::parse`] reads it. Nobody needs a key when there is none, but then only this machine
    /// is listened to.
    pub keys: Vec<String>,
    pub jwt: JwtOptions,
    pub limits: Limits,
}

impl Default for PublisherOptions {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            heartbeat: Duration::from_secs(5),
            connections_max: 10_000,
            write_stall_max: Duration::from_secs(10),
            requests_per_second: 100,
            requests_burst: 400,
            cors_origins: Vec::new(),
            bars_max: 250,
            keys: Vec::new(),
            jwt: JwtOptions::default(),
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
        } else if self.keys.is_empty() && !self.jwt.is_on() && !is_loopback(&self.listen) {
            let needed = "needs `publisher.keys` or `publisher.jwt`";
            problems.push(format!("listen: `{}` can be reached by others, which {needed}", self.listen));
        }
        problems.extend(Keys::open(self).err());
        problems.extend(self.limits.problems());
        for (key, span) in [("heartbeat", self.heartbeat), ("write_stall_max", self.write_stall_max)] {
            if span < Duration::from_millis(10) {
                problems.push(format!("{key}: {span:?} is below 10ms"));
            }
        }
        if !(1..=1_000_000).contains(&self.connections_max) {
            problems.push(format!("connections_max: {} is outside 1 to 1000000", self.connections_max));
        }
        if self.requests_per_second > 0 && self.requests_burst < self.requests_per_second {
            let (burst, rate) = (self.requests_burst, self.requests_per_second);
            problems.push(format!("requests_burst: {burst} is below requests_per_second, {rate}"));
        }
        for origin in &self.cors_origins {
            let is_any = origin == "*" && self.cors_origins.len() == 1;
            let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            let is_origin = host.is_some_and(|host| !host.is_empty() && !host.contains(['/', ' ', '*']));
            if !is_any && !is_origin {
                problems.push(format!("cors_origins: `{origin}` is no origin such as `https://desk.example`"));
            }
        }
        if self.bars_max > BARS_MAX {
            problems.push(format!("bars_max: {} is above {BARS_MAX}", self.bars_max));
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
    use crate::auth::JwtSecret;

    #[test]
    fn the_defaults_are_sound_and_every_problem_is_named() {
        assert_eq!(PublisherOptions::default().problems(), Vec::<String>::new());
        let broken = PublisherOptions {
            listen: "8080".to_owned(),
            heartbeat: Duration::ZERO,
            connections_max: 0,
            write_stall_max: Duration::ZERO,
            requests_per_second: 2,
            requests_burst: 1,
            cors_origins: ["*", "desk.example", "https://a.example/b"].map(String::from).to_vec(),
            bars_max: 1_000_000,
            keys: vec!["desk".to_owned()],
            jwt: JwtOptions::default(),
            limits: Limits { message_bytes: 10, ..Limits::default() },
        };
        let named: Vec<String> =
            broken.problems().iter().filter_map(|problem| Some(problem.split_once(':')?.0.to_owned())).collect();
        let once = [
            "listen",
            "keys",
            "limits.message_bytes",
            "heartbeat",
            "write_stall_max",
            "connections_max",
            "requests_burst",
        ];
        let expected = [&once[..], &["cors_origins"; 3], &["bars_max"]].concat();
        assert_eq!(named, expected);
        let jwt = JwtOptions { secret: Some(JwtSecret::new("too short")), ..JwtOptions::default() };
        let weak = PublisherOptions { jwt, ..PublisherOptions::default() };
        assert_eq!(weak.problems(), ["jwt.secret: it has 9 bytes, 32 are needed"]);
        assert!(!format!("{weak:?}").contains("too short"));
        let jwt = JwtOptions { secret_file: Some("no/such/file".into()), ..JwtOptions::default() };
        let problems = PublisherOptions { jwt, ..PublisherOptions::default() }.problems();
        assert!(problems[0].starts_with("jwt.secret_file: `no/such/file`: "), "{problems:?}");
        let open = PublisherOptions {
            cors_origins: ["https://desk.example", "http://localhost:3000"].map(String::from).to_vec(),
            requests_per_second: 0,
            ..PublisherOptions::default()
        };
        assert_eq!(open.problems(), Vec::<String>::new());
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
