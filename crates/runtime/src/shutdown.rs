//! Ending in order: one token that every task watches, set by a signal or by whoever cannot go on.

use std::borrow::Cow;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tracing::{info, warn};

/// The wish to end; clones share it. Once made it stays.
#[derive(Debug, Clone)]
pub struct Shutdown {
    reason: watch::Sender<Option<Cow<'static, str>>>,
}

/// A task outlived the time it had to end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{what}` had not ended within {limit:?}")]
pub struct NotEnded {
    pub what: String,
    pub limit: Duration,
}

impl Shutdown {
    pub fn new() -> Self {
        Self { reason: watch::Sender::new(None) }
    }

    /// Asks everything to end. Only the first reason is kept.
    pub fn trigger(&self, reason: impl Into<Cow<'static, str>>) {
        self.reason.send_if_modified(|current| {
            let is_first = current.is_none();
            current.get_or_insert_with(|| reason.into());
            is_first
        });
    }

    pub fn is_requested(&self) -> bool {
        self.reason.borrow().is_some()
    }

    /// Why the end was asked for, if it was.
    pub fn reason(&self) -> Option<Cow<'static, str>> {
        self.reason.borrow().clone()
    }

    /// Waits for the wish to end. Dropping the future loses nothing.
    ///
    /// # Panics
    /// Never: `self` keeps the channel open.
    pub async fn requested(&self) {
        let mut reason = self.reason.subscribe();
        reason.wait_for(Option::is_some).await.expect("`self` keeps the channel open");
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

/// A token that SIGTERM or SIGINT triggers. A second signal exits at once, with the code a shell expects.
///
/// # Panics
/// Outside a tokio runtime.
pub fn on_signal() -> Shutdown {
    // Registered before this returns, so that no signal takes the default way from here on.
    let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be caught within a tokio runtime");
    let mut interrupt = signal(SignalKind::interrupt()).expect("SIGINT can be caught within a tokio runtime");
    let shutdown = Shutdown::new();
    let triggered = shutdown.clone();
    tokio::spawn(async move {
        let (name, _) = next_signal(&mut terminate, &mut interrupt).await;
        info!(signal = name, "shutting down, a second signal exits at once");
        triggered.trigger(name);
        let (name, code) = next_signal(&mut terminate, &mut interrupt).await;
        warn!(signal = name, "exiting at once");
        std::process::exit(code);
    });
    shutdown
}

/// The name of the next signal, and 128 plus its number.
async fn next_signal(terminate: &mut Signal, interrupt: &mut Signal) -> (&'static str, i32) {
    tokio::select! {
        _ = terminate.recv() => ("SIGTERM", 143),
        _ = interrupt.recv() => ("SIGINT", 130),
    }
}

/// Runs `future`, but no longer than `limit`.
///
/// # Errors
/// Names `what` when the time is up. The future is then dropped.
pub async fn deadline<F: Future>(what: &str, limit: Duration, future: F) -> Result<F::Output, NotEnded> {
    tokio::time::timeout(limit, future).await.map_err(|_| NotEnded { what: what.to_owned(), limit })
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Stdio};

    use super::*;

    #[tokio::test]
    async fn every_clone_sees_the_first_reason_also_afterwards() {
        let shutdown = Shutdown::new();
        assert!(!shutdown.is_requested());
        let waiting = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.requested().await }
        });
        shutdown.clone().trigger("first");
        shutdown.trigger(format!("sec{}", "ond"));
        waiting.await.unwrap();
        shutdown.requested().await;
        assert!(shutdown.is_requested());
        assert_eq!(shutdown.reason().as_deref(), Some("first"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_gives_up_and_names_what_had_not_ended() {
        let limit = Duration::from_secs(5);
        let slow = |seconds| async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            seconds
        };
        assert_eq!(deadline("indicator", limit, slow(4)).await, Ok(4));
        let error = deadline("scoring", limit, slow(6)).await.unwrap_err();
        assert_eq!(error.to_string(), "`scoring` had not ended within 5s");
    }

    #[test]
    fn the_first_signal_triggers_and_the_second_exits() {
        for (first, second, line, code) in [("TERM", "INT", "SIGTERM", 130), ("INT", "TERM", "SIGINT", 143)] {
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "--ignored", "--nocapture", "shutdown::tests::child_that_waits_for_signals"])
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
            let pid = child.id().to_string();
            let kill = |signal| {
                assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
            };
            assert!(lines.any(|printed| printed.ends_with("waiting")));
            kill(first);
            assert!(lines.any(|printed| printed == line), "{first}");
            kill(second);
            let status = child.wait().unwrap();
            assert_eq!((status.code(), status.signal()), (Some(code), None));
        }
    }

    #[tokio::test]
    #[ignore = "run by the test above, as a process of its own"]
    async fn child_that_waits_for_signals() {
        let shutdown = on_signal();
        println!("waiting");
        // A process that nobody signals must not outlive the test for long.
        let limit = Duration::from_secs(30);
        if deadline("waiting", limit, shutdown.requested()).await.is_ok() {
            println!("{}", shutdown.reason().unwrap());
            tokio::time::sleep(limit).await;
        }
    }
}
