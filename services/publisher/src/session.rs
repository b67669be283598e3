use std::collections::BTreeSet;
use std::sync::Arc;

use schemas::Symbol;

use crate::board::Row;
use crate::protocol::{Channel, Frame, Sequences, ServerEvent};
use crate::ring::Event;
use crate::snapshot::Snapshot;

/// Most symbols that one connection subscribes to by name.
const SUBSCRIPTIONS_MAX: usize = 1000;

/// Rows in one page of a snapshot.
const PAGE_ROWS: usize = 500;

/// What one connection subscribed to and how far it has come. Pure: it makes frames, the adapter sends them.
#[derive(Debug, Default)]
pub(crate) struct Session {
    subscriptions: Subscriptions,
    /// Last update that was considered for the client.
    cursor: u64,
    /// Last update that the client was told of; updates it did not subscribe to leave it behind.
    announced: u64,
}

/// The pages of one snapshot, ready to be sent one by one.
#[derive(Debug)]
pub(crate) struct Pages {
    snapshot: Snapshot,
    rows: Vec<Row>,
    n_sent: usize,
    is_done: bool,
    /// Says first what the client missed.
    gap: Option<ServerEvent<'static>>,
}

/// A frame and the number of rows and removals in it.
pub(crate) type Counted = (Frame, u64);

impl Session {
    /// Adds channels; `Err` when they are too many, then nothing changes. `u` is the newest update.
    pub(crate) fn subscribe(&mut self, channels: &[Channel], u: u64) -> Result<(), String> {
        if !self.is_subscribed() {
            (self.cursor, self.announced) = (u, u);
        }
        self.subscriptions.add(channels)
    }

    pub(crate) fn unsubscribe(&mut self, channels: &[Channel]) {
        self.subscriptions.remove(channels);
    }

    pub(crate) fn is_subscribed(&self) -> bool {
        self.subscriptions.all || !self.subscriptions.symbols.is_empty()
    }

    pub(crate) fn subscriptions(&self) -> Vec<String> {
        let all = self.subscriptions.all.then(|| "SC.*".to_owned());
        all.into_iter().chain(self.subscriptions.symbols.iter().map(|symbol| format!("SC.{symbol}"))).collect()
    }

    pub(crate) fn cursor(&self) -> u64 {
        self.cursor
    }

    pub(crate) fn sequences(&self) -> Sequences {
        Sequences { scores: self.is_subscribed().then_some(self.announced) }
    }

    /// What the bursts hold for this client; `None` when it subscribed to nothing of it.
    pub(crate) fn delta(&mut self, bursts: &[Arc<[Event]>]) -> Option<Counted> {
        let u = bursts.last()?.last()?.u;
        let events = || {
            let news = bursts.iter().flat_map(|burst| burst.iter()).filter(|event| event.u > self.cursor);
            news.filter(|event| self.subscriptions.contains(event.symbol))
        };
        let n_events = events().count() as u64;
        let counted = (n_events > 0).then(|| {
            let mut frame = Frame::of(&self.progress(u, false));
            events().for_each(|event| frame.push_json(&event.json));
            (frame, n_events)
        });
        self.cursor = u;
        if counted.is_some() {
            self.announced = u;
        }
        counted
    }

    /// Tells of the updates that held nothing for this client, when there are any.
    pub(crate) fn catch_up(&mut self, frame: &mut Frame) {
        if self.is_subscribed() && self.cursor > self.announced {
            frame.push(&self.progress(self.cursor, false));
            self.announced = self.cursor;
        }
    }

    /// Goes on from a snapshot. It replaces all that the client has.
    pub(crate) fn restart_from(&mut self, snapshot: Snapshot, is_gap: bool) -> Pages {
        let gap = (is_gap && snapshot.u > self.announced).then(|| self.progress(snapshot.u, true));
        (self.cursor, self.announced) = (snapshot.u, snapshot.u);
        let rows = snapshot.rows().iter().filter(|row| self.subscriptions.contains(row.result.symbol));
        Pages { rows: rows.cloned().collect(), snapshot, n_sent: 0, is_done: false, gap }
    }

    fn progress(&self, u: u64, gap: bool) -> ServerEvent<'static> {
        ServerEvent::Seq { ch: "SC", first: self.announced + 1, u, merged: 0, gap }
    }
}

impl Iterator for Pages {
    type Item = Counted;

    /// At least one page, the last one marked.
    fn next(&mut self) -> Option<Counted> {
        if self.is_done {
            return None;
        }
        let mut frame = Frame::new();
        if let Some(gap) = self.gap.take() {
            frame.push(&gap);
        }
        let waiting = &self.rows[self.n_sent..];
        let page = &waiting[..waiting.len().min(PAGE_ROWS)];
        self.is_done = page.len() == waiting.len();
        let Snapshot { u, data, .. } = self.snapshot;
        frame.push_page(u, data, self.is_done, page.iter().map(|row| &row.json));
        self.n_sent += page.len();
        Some((frame, page.len() as u64))
    }
}

#[derive(Debug, Default)]
struct Subscriptions {
    all: bool,
    symbols: BTreeSet<Symbol>,
}

impl Subscriptions {
    fn contains(&self, symbol: Symbol) -> bool {
        self.all || self.symbols.contains(&symbol)
    }

    fn add(&mut self, channels: &[Channel]) -> Result<(), String> {
        let added: BTreeSet<_> = symbols(channels).filter(|symbol| !self.symbols.contains(symbol)).collect();
        if self.symbols.len() + added.len() > SUBSCRIPTIONS_MAX {
            return Err(format!("more than {SUBSCRIPTIONS_MAX} subscriptions, use `SC.*`"));
        }
        self.symbols.extend(added);
        self.all |= channels.contains(&Channel::All);
        Ok(())
    }

    fn remove(&mut self, channels: &[Channel]) {
        for symbol in symbols(channels) {
            self.symbols.remove(&symbol);
        }
        self.all &= !channels.contains(&Channel::All);
    }
}

fn symbols(channels: &[Channel]) -> impl Iterator<Item = Symbol> {
    channels.iter().filter_map(|channel| match channel {
        Channel::All => None,
        Channel::Symbol(symbol) => Some(*symbol),
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn burst(events: &[(u64, &'static str)]) -> Arc<[Event]> {
        let event = |&(u, symbol): &(u64, &'static str)| Event {
            u,
            symbol: Symbol::new(symbol).unwrap(),
            json: Bytes::from_static(symbol.as_bytes()),
        };
        events.iter().map(event).collect()
    }

    fn text(delta: Option<Counted>) -> Option<String> {
        delta.map(|(frame, _)| String::from_utf8(frame.finish()).unwrap())
    }

    #[test]
    fn a_delta_begins_where_the_client_stands_even_within_a_burst() {
        let mut session = Session::default();
        session.subscribe(&[Channel::All], 2).unwrap();
        let bursts = [burst(&[(1, "A"), (2, "B"), (3, "C")]), burst(&[(4, "D")])];
        let expected = r#"[{"ev":"seq","ch":"SC","U":3,"u":4,"merged":0},C,D]"#;
        assert_eq!(text(session.delta(&bursts)).as_deref(), Some(expected));
    }

    #[test]
    fn updates_of_other_symbols_count_in_the_next_event() {
        let mut session = Session::default();
        session.subscribe(&[Channel::Symbol(Symbol::new("B").unwrap())], 0).unwrap();
        assert_eq!(text(session.delta(&[burst(&[(1, "A"), (2, "C")])])), None);
        let expected = r#"[{"ev":"seq","ch":"SC","U":1,"u":4,"merged":0},B]"#;
        assert_eq!(text(session.delta(&[burst(&[(3, "B"), (4, "A")])])).as_deref(), Some(expected));
        session.delta(&[burst(&[(5, "A")])]);
        let mut frame = Frame::new();
        session.catch_up(&mut frame);
        session.catch_up(&mut frame);
        assert_eq!(frame.finish(), br#"[{"ev":"seq","ch":"SC","U":5,"u":5,"merged":0}]"#);
    }
}
