use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// What a command is busy with, on stderr, when that is a terminal; otherwise silent.
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// For work whose extent is not known.
    pub(crate) fn spinner() -> Self {
        let bar = if std::io::stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { bar }
    }

    /// For work within work that is shown.
    pub(crate) fn hidden() -> Self {
        Self { bar: ProgressBar::hidden() }
    }

    /// For a known number of things.
    pub(crate) fn bar(n_total: usize, what: &'static str) -> Self {
        let bar =
            if std::io::stderr().is_terminal() { ProgressBar::new(n_total as u64) } else { ProgressBar::hidden() };
        let style =
            ProgressStyle::with_template("{msg} {bar:40} {pos}/{len} {eta}").expect("the template is well-formed");
        bar.set_style(style);
        bar.set_message(what);
        Self { bar }
    }

    pub(crate) fn stage(&self, name: &'static str) {
        self.bar.set_message(name);
    }

    pub(crate) fn add(&self, n_done: usize) {
        self.bar.inc(n_done as u64);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
