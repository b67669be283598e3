use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use schemas::Symbol;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite::Message;

use crate::channel::Channel;
use crate::event::Event;
use crate::format::Format;
use crate::frame::Frame;
use crate::protocol::Progress;
use crate::ring::Ring;

/// Under load the events of one tick leave in one flush: a tick as long as what the flushes of all clients cost, about
/// 10 µs each.
const TICK_PER_CLIENT: Duration = Duration::from_micros(10);
const TICK_MAX: Duration = Duration::from_millis(10);
/// Below the resolution of timers a tick is no wait at all.
const TICK_MIN: Duration = Duration::from_millis(1);

/// Bytes of events in one frame, give or take one event: what a client costs while its frame is on the way is about
/// twice that, once here and once in its socket's buffer.
pub(crate) const FRAME_BYTES_MAX: usize = 128 << 10;

/// Frames of a channel that are kept to be shared: those that clients in step need, in both formats, and a few for
/// clients that are a tick behind.
const SHARED_FRAMES_MAX: usize = 8;

/// Tells clients what is new, waiting for none of them: each has a place in rings that all of them share, and is woken
/// when there is something for it.
#[derive(Debug, Default)]
pub(crate) struct Fanout {
    feeds: [Feed; 4],
    listeners: Mutex<Listeners>,
    n_listeners: AtomicUsize,
    /// When clients were last woken.
    pulsed_at: Mutex<Option<Instant>>,
    is_due: Notify,
}

/// One channel.
#[derive(Debug, Default)]
struct Feed {
    ring: Mutex<Ring>,
    /// Number of the newest event that everyone concerned was woken for.
    visible: AtomicU64,
    shared: Mutex<Vec<Shared>>,
}

/// A frame for all clients that follow a whole channel in step.
#[derive(Debug)]
struct Shared {
    format: Format,
    from: u64,
    to: u64,
    delta: Delta,
}

/// What a client is sent.
#[derive(Debug, Clone)]
pub(crate) struct Delta {
    pub(crate) message: Message,
    /// Number of the last event it covers.
    pub(crate) u: u64,
    pub(crate) n_events: u64,
}

/// A client, as the fan-out knows it.
#[derive(Debug, Default)]
pub(crate) struct Listener {
    woken: Notify,
    pending: [Mutex<Pending>; 4],
}

/// What concerns a client on a channel and was not looked at yet.
#[derive(Debug, Default, Clone, Copy)]
struct Pending {
    first: Option<u64>,
    /// Everything that concerns it up to here is marked.
    to: u64,
}

/// What a client has to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct News {
    /// The first event that concerns it; `None`: there is none up to `to`.
    pub(crate) first: Option<u64>,
    pub(crate) to: u64,
}

/// Who listens to what.
#[derive(Debug, Default)]
struct Listeners {
    to_all: [Vec<Arc<Listener>>; 4],
    to_symbol: [HashMap<Symbol, Vec<Arc<Listener>>>; 4],
}

impl Fanout {
    pub(crate) fn push(&self, channel: Channel, events: impl IntoIterator<Item = Arc<Event>>) {
        self.ring(channel).push(events);
    }

    /// Wakes whoever something new concerns: at once when that was not done for a tick, else at the end of the tick.
    pub(crate) fn pulse(&self) {
        let now = Instant::now();
        let mut pulsed_at = self.pulsed_at.lock().expect("nothing panics while it holds the time");
        if pulsed_at.is_some_and(|pulsed_at| now < pulsed_at + self.tick()) {
            self.is_due.notify_one();
            return;
        }
        *pulsed_at = Some(now);
        self.wake_listeners();
    }

    /// Does what [`Self::pulse`] leaves to the end of a tick.
    pub(crate) async fn run(&self) {
        loop {
            self.is_due.notified().await;
            let pulsed_at = *self.pulsed_at.lock().expect("nothing panics while it holds the time");
            if let Some(pulsed_at) = pulsed_at {
                sleep_until(pulsed_at + self.tick()).await;
            }
            let mut pulsed_at = self.pulsed_at.lock().expect("nothing panics while it holds the time");
            *pulsed_at = Some(Instant::now());
            self.wake_listeners();
        }
    }

    fn tick(&self) -> Duration {
        let n_listeners = u32::try_from(self.n_listeners.load(Ordering::Relaxed)).unwrap_or(u32::MAX);
        let tick = TICK_PER_CLIENT.saturating_mul(n_listeners).min(TICK_MAX);
        if tick < TICK_MIN { Duration::ZERO } else { tick }
    }

    /// Marks what concerns each listener, then makes it visible: a listener that finds no mark knows that nothing up to
    /// the visible number concerns it.
    fn wake_listeners(&self) {
        let listeners = self.listeners();
        for channel in Channel::ALL {
            let feed = &self.feeds[channel.index()];
            let from = feed.visible.load(Ordering::Acquire);
            let (to, news) = {
                let ring = self.ring(channel);
                let to = ring.u();
                let by_symbol = !listeners.to_symbol[channel.index()].is_empty();
                // Only who listens to symbols needs to know which events there are.
                (to, if by_symbol { ring.between(from, to, usize::MAX) } else { Some(Vec::new()) })
            };
            if to == from {
                continue;
            }
            for listener in &listeners.to_all[channel.index()] {
                listener.mark(channel, from + 1, to);
            }
            let to_symbol = &listeners.to_symbol[channel.index()];
            match news {
                Some(events) => {
                    for event in events {
                        for listener in to_symbol.get(&event.symbol).into_iter().flatten() {
                            listener.mark(channel, event.u, to);
                        }
                    }
                }
                #[allow(clippy::iter_over_hash_type, reason = "everyone is woken, in whatever order")]
                None => {
                    for listener in to_symbol.values().flatten() {
                        listener.mark(channel, from + 1, to);
                    }
                }
            }
            feed.visible.store(to, Ordering::Release);
        }
    }

    /// Number of the newest event that clients may know of.
    pub(crate) fn visible(&self, channel: Channel) -> u64 {
        self.feeds[channel.index()].visible.load(Ordering::Acquire)
    }

    /// What follows `from`, up to `to` and to a frame's size; `None` when it is not there any more.
    pub(crate) fn between(&self, channel: Channel, from: u64, to: u64) -> Option<Vec<Arc<Event>>> {
        self.ring(channel).between(from, to, FRAME_BYTES_MAX)
    }

    /// The frame for those who follow the whole channel, get the newest of each symbol and stand at `from`. It is made
    /// once; `None` when the events are not there any more.
    pub(crate) fn shared(&self, channel: Channel, format: Format, from: u64, to: u64) -> Option<Delta> {
        let mut shared = self.feeds[channel.index()].shared.lock().expect("nothing panics while it holds the frames");
        let known = shared.iter().find(|known| (known.format, known.from, known.to) == (format, from, to));
        if let Some(known) = known {
            return Some(known.delta.clone());
        }
        let events = self.between(channel, from, to)?;
        let delta = delta(channel, format, from, &conflated(&events), events.last().map_or(from, |event| event.u));
        if shared.len() == SHARED_FRAMES_MAX {
            shared.remove(0);
        }
        shared.push(Shared { format, from, to, delta: delta.clone() });
        Some(delta)
    }

    /// Gives the listener's place in the index for what it listens to from now on.
    pub(crate) fn listen(&self, listener: &Arc<Listener>, channel: Channel, symbol: Option<Symbol>) {
        let mut listeners = self.listeners();
        let place = match symbol {
            None => &mut listeners.to_all[channel.index()],
            Some(symbol) => listeners.to_symbol[channel.index()].entry(symbol).or_default(),
        };
        if !place.iter().any(|known| Arc::ptr_eq(known, listener)) {
            place.push(Arc::clone(listener));
        }
    }

    pub(crate) fn unlisten(&self, listener: &Arc<Listener>, channel: Channel, symbol: Option<Symbol>) {
        let mut listeners = self.listeners();
        match symbol {
            None => listeners.to_all[channel.index()].retain(|known| !Arc::ptr_eq(known, listener)),
            Some(symbol) => {
                let to_symbol = &mut listeners.to_symbol[channel.index()];
                if let Some(known) = to_symbol.get_mut(&symbol) {
                    known.retain(|known| !Arc::ptr_eq(known, listener));
                    if known.is_empty() {
                        to_symbol.remove(&symbol);
                    }
                }
            }
        }
    }

    /// What the listener has to look at. Asking takes the mark away.
    pub(crate) fn news(&self, listener: &Listener, channel: Channel) -> News {
        // Before the mark: whatever is visible was marked.
        let visible = self.visible(channel);
        let mut pending = listener.pending(channel);
        let first = pending.first.take();
        News { first, to: visible.max(pending.to) }
    }

    pub(crate) fn enter(&self) {
        self.n_listeners.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn leave(&self) {
        self.n_listeners.fetch_sub(1, Ordering::Relaxed);
    }

    fn ring(&self, channel: Channel) -> MutexGuard<'_, Ring> {
        self.feeds[channel.index()].ring.lock().expect("nothing panics while it holds a ring")
    }

    fn listeners(&self) -> MutexGuard<'_, Listeners> {
        self.listeners.lock().expect("nothing panics while it holds the listeners")
    }
}

impl Listener {
    /// Returns when something may be new.
    pub(crate) async fn woken(&self) {
        self.woken.notified().await;
    }

    fn mark(&self, channel: Channel, first: u64, to: u64) {
        {
            let mut pending = self.pending(channel);
            pending.first.get_or_insert(first);
            pending.to = to;
        }
        self.woken.notify_one();
    }

    fn pending(&self, channel: Channel) -> MutexGuard<'_, Pending> {
        self.pending[channel.index()].lock().expect("nothing panics while it holds a mark")
    }
}

/// The newest event of each symbol, in order.
pub(crate) fn conflated(events: &[Arc<Event>]) -> Vec<Arc<Event>> {
    if events.len() < 2 {
        return events.to_vec();
    }
    let newest: HashMap<Symbol, u64> = events.iter().map(|event| (event.symbol, event.u)).collect();
    events.iter().filter(|event| newest[&event.symbol] == event.u).cloned().collect()
}

/// A frame of events that were chosen from those in `from + 1 ..= u`.
fn delta(channel: Channel, format: Format, from: u64, events: &[Arc<Event>], u: u64) -> Delta {
    let merged = (u - from).saturating_sub(events.len() as u64);
    let progress = Progress { ch: channel.as_str(), first: from + 1, u, merged, gap: false };
    let message = Frame::delta(format, progress, events.iter().map(|event| &**event)).finish();
    Delta { message, u, n_events: events.len() as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Content;

    const CHANNEL: Channel = Channel::Scores;

    fn symbol(text: &str) -> Symbol {
        Symbol::new(text).unwrap()
    }

    fn push(fanout: &Fanout, events: &[(u64, &str)]) {
        let event = |(u, text): &(u64, &str)| Arc::new(Event::new(*u, symbol(text), Content::Out));
        fanout.push(CHANNEL, events.iter().map(event));
        fanout.wake_listeners();
    }

    #[test]
    fn who_listens_to_a_symbol_is_woken_for_that_alone_and_learns_how_far_nothing_concerns_it() {
        let (fanout, listener) = (Fanout::default(), Arc::new(Listener::default()));
        fanout.listen(&listener, CHANNEL, Some(symbol("B")));
        push(&fanout, &[(1, "A"), (2, "C")]);
        assert_eq!(fanout.news(&listener, CHANNEL), News { first: None, to: 2 });
        push(&fanout, &[(3, "A"), (4, "B"), (5, "B")]);
        push(&fanout, &[(6, "A"), (7, "B")]);
        assert_eq!(fanout.news(&listener, CHANNEL), News { first: Some(4), to: 7 });
        assert_eq!(fanout.news(&listener, CHANNEL), News { first: None, to: 7 });
        fanout.unlisten(&listener, CHANNEL, Some(symbol("B")));
        push(&fanout, &[(8, "B")]);
        assert_eq!(fanout.news(&listener, CHANNEL).first, None);
    }

    #[test]
    fn a_shared_frame_keeps_the_newest_of_each_symbol_and_counts_the_rest() {
        let fanout = Fanout::default();
        push(&fanout, &[(1, "A"), (2, "B"), (3, "A")]);
        let delta = fanout.shared(CHANNEL, Format::Json, 0, 3).unwrap();
        let expected = r#"[{"ev":"seq","ch":"SC","U":1,"u":3,"merged":1},{"ev":"out","ch":"SC","sym":"B"},{"ev":"out","ch":"SC","sym":"A"}]"#;
        assert_eq!(delta.message.to_text().unwrap(), expected);
        assert_eq!((delta.u, delta.n_events), (3, 2));
    }
}
