use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use schemas::{EventTime, Symbol};

use crate::board::{DataKind, Row};
use crate::channel::{Channel, Topic};
use crate::event::{Content, Event, write_out, write_row};
use crate::fanout::{Delta, FRAME_BYTES_MAX, Listener, News, conflated};
use crate::filter::Filter;
use crate::format::Format;
use crate::frame::{Frame, Page};
use crate::hub::{Hub, Known};
use crate::protocol::{FilterChange, Mode, Progress, Sequences, ServerEvent, Subscribe};
use crate::snapshot::Snapshot;

/// Most rows in one page of a snapshot.
const PAGE_ROWS: usize = 500;

/// What one connection subscribed to and how far it has come. It makes frames, the adapter sends them.
#[derive(Debug)]
pub(crate) struct Session {
    hub: Hub,
    format: Format,
    listener: Arc<Listener>,
    subscriptions: [Subscription; 4],
}

/// What one connection has of one channel.
#[derive(Debug, Default)]
struct Subscription {
    all: bool,
    symbols: BTreeSet<Symbol>,
    mode: Option<Mode>,
    filter: Option<Filter>,
    /// The rows that the client was sent and that did not leave; `None` when it brought them along.
    members: Option<HashSet<Symbol>>,
    /// Last event that was considered for the client.
    cursor: u64,
    /// Last event that the client was told of; events that do not concern it leave it behind.
    announced: u64,
    /// As far as it is to be brought.
    goal: u64,
}

/// What a subscription led to.
#[derive(Debug, Default)]
pub(crate) struct Subscribed {
    /// Channels that go on where an earlier connection ended.
    pub(crate) recovered: Vec<Channel>,
    /// Channels with another filter than before: a snapshot has to follow.
    pub(crate) replaced: Vec<Channel>,
}

/// What a step brought.
#[derive(Debug)]
pub(crate) enum Step {
    /// The client is up to date.
    Done,
    Send(Delta),
    /// The client is too far behind: a snapshot has to follow.
    Gap,
    /// The same, and it had asked for everything.
    Lost,
}

/// The pages of one snapshot, made one by one when they are sent: only the names of their rows wait.
#[derive(Debug)]
pub(crate) struct Pages {
    channel: Channel,
    u: u64,
    data: DataKind,
    symbols: Vec<Symbol>,
    n_done: usize,
    is_done: bool,
    /// Says first what the client missed.
    gap: Option<Progress>,
}

impl Session {
    pub(crate) fn new(hub: Hub, format: Format) -> Self {
        hub.fanout().enter();
        Self { hub, format, listener: Arc::default(), subscriptions: Default::default() }
    }

    pub(crate) fn listener(&self) -> &Arc<Listener> {
        &self.listener
    }

    /// How many symbols the subscriptions would name.
    pub(crate) fn n_named_with(&self, topics: &[Topic]) -> usize {
        let added: HashSet<(Channel, Symbol)> = topics
            .iter()
            .filter_map(|topic| topic.symbol.map(|symbol| (topic.channel, symbol)))
            .filter(|(channel, symbol)| !self.subscriptions[channel.index()].symbols.contains(symbol))
            .collect();
        self.n_named() + added.len()
    }

    fn n_named(&self) -> usize {
        self.subscriptions.iter().map(|subscription| subscription.symbols.len()).sum()
    }

    /// Adds topics. The channels that go on where an earlier connection ended say so; the others begin with what is new.
    pub(crate) fn subscribe(&mut self, request: &Subscribe) -> Subscribed {
        let mut subscribed = Subscribed::default();
        for channel in request.channels() {
            let subscription = &mut self.subscriptions[channel.index()];
            let was_subscribed = subscription.is_subscribed();
            for topic in request.topics.iter().filter(|topic| topic.channel == channel) {
                subscription.add(topic);
                // Before asking how far things are, so that nothing falls between.
                self.hub.fanout().listen(&self.listener, channel, topic.symbol);
            }
            let visible = self.hub.fanout().visible(channel);
            let subscription = &mut self.subscriptions[channel.index()];
            if !was_subscribed {
                subscription.start_at(visible);
            }
            subscription.mode = request.mode.or(subscription.mode);
            if channel == Channel::Scores {
                let filter = match &request.filter {
                    FilterChange::Keep => subscription.filter.clone(),
                    FilterChange::End => None,
                    FilterChange::Use(filter) => Some(filter.clone()),
                };
                // What the client has was chosen by another filter: it cannot tell what of it is still wanted.
                if was_subscribed && filter != subscription.filter {
                    subscribed.replaced.push(channel);
                }
                subscription.filter = filter;
                if !was_subscribed {
                    subscription.members = Some(HashSet::new());
                }
            }
            let resume = request.resume.as_ref().filter(|resume| resume.epoch == self.hub.epoch() && !was_subscribed);
            let seq = resume.and_then(|resume| resume.seqs.iter().find(|(of, _)| *of == channel));
            if let Some(&(_, seq)) = seq
                && seq <= visible
                && !subscription.depends_on_more_than_the_row()
                && self.hub.fanout().between(channel, seq, seq + 1).is_some()
            {
                (subscription.cursor, subscription.announced, subscription.goal) = (seq, seq, visible);
                subscription.members = None;
                subscribed.recovered.push(channel);
            }
        }
        subscribed
    }

    pub(crate) fn unsubscribe(&mut self, topics: &[Topic]) {
        for topic in topics {
            self.hub.fanout().unlisten(&self.listener, topic.channel, topic.symbol);
            self.subscriptions[topic.channel.index()].remove(topic);
        }
    }

    pub(crate) fn subscribed(&self) -> impl Iterator<Item = Channel> {
        Channel::ALL.into_iter().filter(|channel| self.subscriptions[channel.index()].is_subscribed())
    }

    pub(crate) fn subscriptions(&self) -> Vec<String> {
        let of = |channel: Channel| {
            let subscription = &self.subscriptions[channel.index()];
            let all = subscription.all.then_some(Topic { channel, symbol: None });
            let named = subscription.symbols.iter().map(move |symbol| Topic { channel, symbol: Some(*symbol) });
            all.into_iter().chain(named)
        };
        Channel::ALL.into_iter().flat_map(of).map(|topic| topic.to_string()).collect()
    }

    pub(crate) fn sequences(&self) -> Sequences {
        let mut sequences = Sequences::default();
        for channel in self.subscribed() {
            sequences.set(channel, self.subscriptions[channel.index()].announced);
        }
        sequences
    }

    /// Whether rows leave by time, without an event.
    pub(crate) fn ages(&self) -> bool {
        self.subscriptions[Channel::Scores.index()].filter.as_ref().is_some_and(Filter::ages)
    }

    /// Finds out what there is to send. Whatever appears later is left to the next time.
    pub(crate) fn look(&mut self) {
        for channel in Channel::ALL {
            let subscription = &mut self.subscriptions[channel.index()];
            if subscription.is_subscribed() {
                subscription.aim(self.hub.fanout().news(&self.listener, channel));
            }
        }
    }

    /// The next frame of a channel.
    pub(crate) fn step(&mut self, channel: Channel) -> Step {
        let subscription = &mut self.subscriptions[channel.index()];
        if !subscription.is_subscribed() || subscription.cursor >= subscription.goal {
            return Step::Done;
        }
        let is_gap = |subscription: &Subscription| match subscription.mode(channel) {
            Mode::Conflate => Step::Gap,
            Mode::Lossless => Step::Lost,
        };
        let fanout = self.hub.fanout();
        if subscription.is_in_step() && subscription.mode(channel) == Mode::Conflate {
            let Some(delta) = fanout.shared(channel, self.format, subscription.cursor, subscription.goal) else {
                return is_gap(subscription);
            };
            (subscription.cursor, subscription.announced) = (delta.u, delta.u);
            return Step::Send(delta);
        }
        let Some(events) = fanout.between(channel, subscription.cursor, subscription.goal) else {
            return is_gap(subscription);
        };
        let u = events.last().map_or(subscription.goal, |event| event.u);
        subscription.cursor = u;
        let delta = subscription.delta(channel, self.format, &events, &self.hub);
        match delta {
            Some(delta) => {
                subscription.announced = u;
                Step::Send(delta)
            }
            None if subscription.cursor >= subscription.goal => Step::Done,
            None => self.step(channel),
        }
    }

    /// Rows that entered or left by time alone.
    pub(crate) fn sweep(&mut self) -> Option<Delta> {
        let (channel, format) = (Channel::Scores, self.format);
        let subscription = &mut self.subscriptions[channel.index()];
        if !subscription.is_subscribed() || !subscription.depends_on_more_than_the_row() {
            return None;
        }
        let delta = subscription.delta(channel, format, &[], &self.hub)?;
        subscription.announced = subscription.cursor;
        Some(delta)
    }

    /// Tells of the events that held nothing for this client, when there are any.
    pub(crate) fn catch_up(&mut self, frame: &mut Frame) {
        for channel in Channel::ALL {
            let subscription = &mut self.subscriptions[channel.index()];
            if subscription.is_subscribed() && subscription.cursor > subscription.announced {
                frame.push(&ServerEvent::Seq(subscription.progress(channel, 0, false)));
                subscription.announced = subscription.cursor;
            }
        }
    }

    /// Goes on from a snapshot. It replaces all that the client has of the channel.
    pub(crate) fn restart(&mut self, channel: Channel, is_gap: bool) -> Pages {
        let (hub, now) = (&self.hub, self.hub.now());
        let subscription = &mut self.subscriptions[channel.index()];
        let (u, symbols) = if channel == Channel::Scores {
            let table = hub.snapshot();
            let everything = Filter::default();
            let filter = subscription.filter.as_ref().unwrap_or(&everything);
            let rows = subscription.chosen(&table, filter, now);
            (table.u, rows.into_iter().map(|row| row.result.symbol).collect())
        } else {
            let (u, mut symbols) = hub.symbols(channel);
            symbols.retain(|symbol| subscription.contains(*symbol));
            (u, symbols)
        };
        let gap = (is_gap && u > subscription.announced).then(|| {
            subscription.cursor = u;
            subscription.progress(channel, 0, true)
        });
        subscription.start_at(u);
        subscription.members = subscription.filter.as_ref().map(|_| symbols.iter().copied().collect());
        Pages { channel, u, data: self.hub.data(), symbols, n_done: 0, is_done: false, gap }
    }

    /// The next page; at least one, the last one marked.
    pub(crate) fn next_page(&self, pages: &mut Pages) -> Option<Delta> {
        if pages.is_done {
            return None;
        }
        let Pages { channel, u, data, .. } = *pages;
        let mut frame = Frame::new(self.format);
        if let Some(gap) = pages.gap.take() {
            frame.push(&ServerEvent::Seq(gap));
        }
        let mut page = Page::new(self.format);
        while let Some(&symbol) = pages.symbols.get(pages.n_done)
            && page.n_rows() < PAGE_ROWS
            && page.n_bytes() < FRAME_BYTES_MAX
        {
            pages.n_done += 1;
            // What changed since follows as an event.
            match self.hub.known(channel, symbol, u) {
                Some(Known::Row(row)) => page.push(|format, out| out.extend_from_slice(row.encoded(format))),
                Some(Known::Event(event)) => page.push(|format, out| event.write(format, out)),
                None => {}
            }
        }
        pages.is_done = pages.n_done == pages.symbols.len();
        frame.push_page(channel, u, data, pages.is_done, &page);
        Some(Delta { message: frame.finish(), u, n_events: page.n_rows() as u64 })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let fanout = self.hub.fanout();
        for channel in Channel::ALL {
            let subscription = &self.subscriptions[channel.index()];
            if subscription.all {
                fanout.unlisten(&self.listener, channel, None);
            }
            for symbol in &subscription.symbols {
                fanout.unlisten(&self.listener, channel, Some(*symbol));
            }
        }
        fanout.leave();
    }
}

impl Subscription {
    fn is_subscribed(&self) -> bool {
        self.all || !self.symbols.is_empty()
    }

    fn contains(&self, symbol: Symbol) -> bool {
        self.all || self.symbols.contains(&symbol)
    }

    fn add(&mut self, topic: &Topic) {
        match topic.symbol {
            None => self.all = true,
            Some(symbol) => drop(self.symbols.insert(symbol)),
        }
    }

    fn remove(&mut self, topic: &Topic) {
        match topic.symbol {
            None => self.all = false,
            Some(symbol) => drop(self.symbols.remove(&symbol)),
        }
        if !self.is_subscribed() {
            (self.filter, self.mode) = (None, None);
        }
    }

    fn start_at(&mut self, u: u64) {
        (self.cursor, self.announced, self.goal) = (u, u, u);
    }

    fn mode(&self, channel: Channel) -> Mode {
        self.mode.unwrap_or(if channel.conflates_by_default() { Mode::Conflate } else { Mode::Lossless })
    }

    fn depends_on_more_than_the_row(&self) -> bool {
        self.filter.as_ref().is_some_and(Filter::depends_on_more_than_the_row)
    }

    /// Whether it gets exactly what everyone gets who follows the channel.
    fn is_in_step(&self) -> bool {
        self.all && self.filter.is_none() && self.announced == self.cursor
    }

    fn aim(&mut self, news: News) {
        self.goal = self.goal.max(news.to);
        if self.all {
            return;
        }
        // What lies before concerns others.
        let first = news.first.map_or(self.goal, |first| first - 1);
        self.cursor = self.cursor.max(first.min(self.goal));
    }

    fn progress(&self, channel: Channel, merged: u64, gap: bool) -> Progress {
        Progress { ch: channel.as_str(), first: self.announced + 1, u: self.cursor, merged, gap }
    }

    /// What the events, which lead up to the cursor, mean for this client; `None` when nothing.
    fn delta(&mut self, channel: Channel, format: Format, events: &[Arc<Event>], hub: &Hub) -> Option<Delta> {
        let wanted: Vec<Arc<Event>> = events.iter().filter(|event| self.contains(event.symbol)).cloned().collect();
        let kept = match self.mode(channel) {
            Mode::Conflate => conflated(&wanted),
            Mode::Lossless => wanted.clone(),
        };
        let merged = (wanted.len() - kept.len()) as u64;
        let pieces = match self.filter.take() {
            None => kept.into_iter().map(Piece::Event).collect(),
            Some(filter) => {
                let pieces = if filter.depends_on_more_than_the_row() {
                    self.select(&filter, &kept, hub)
                } else {
                    self.pass(&filter, &kept, hub.now())
                };
                self.filter = Some(filter);
                pieces
            }
        };
        if pieces.is_empty() {
            return None;
        }
        let mut frame = Frame::of(format, &ServerEvent::Seq(self.progress(channel, merged, false)));
        for piece in &pieces {
            frame.push_with(|format, out| piece.write(format, out));
        }
        Some(Delta { message: frame.finish(), u: self.cursor, n_events: pieces.len() as u64 })
    }

    /// A filter that looks at each row by itself.
    fn pass(&mut self, filter: &Filter, events: &[Arc<Event>], now: EventTime) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for event in events {
            let is_wanted = matches!(&event.content, Content::Row(row) if filter.matches(row, now));
            if is_wanted {
                self.members.as_mut().map(|members| members.insert(event.symbol));
                pieces.push(Piece::Event(Arc::clone(event)));
            } else if self.members.as_mut().is_none_or(|members| members.remove(&event.symbol)) {
                pieces.push(Piece::Out(event.symbol));
            }
        }
        pieces
    }

    /// A filter that chooses among all rows: what differs from what the client has.
    fn select(&mut self, filter: &Filter, events: &[Arc<Event>], hub: &Hub) -> Vec<Piece> {
        let changed: HashSet<Symbol> = events.iter().map(|event| event.symbol).collect();
        let table = hub.snapshot();
        let chosen = self.chosen(&table, filter, hub.now());
        let before = self.members.take().unwrap_or_default();
        let after: HashSet<Symbol> = chosen.iter().map(|row| row.result.symbol).collect();
        let mut left: Vec<Symbol> = before.difference(&after).copied().collect();
        left.sort_unstable();
        let is_news = |row: &Row| !before.contains(&row.result.symbol) || changed.contains(&row.result.symbol);
        let entered = chosen.into_iter().filter(|row| is_news(row)).map(|row| Piece::Row(row.clone()));
        let pieces = left.into_iter().map(Piece::Out).chain(entered).collect();
        self.members = Some(after);
        pieces
    }

    /// The rows that a filter leaves of those subscribed to, best first.
    fn chosen<'a>(&self, table: &'a Snapshot, filter: &Filter, now: EventTime) -> Vec<&'a Row> {
        let rows = table.rows().iter().filter(|row| self.contains(row.result.symbol));
        rows.filter(|row| filter.matches(row, now)).take(filter.limit()).collect()
    }
}

/// Part of a frame.
enum Piece {
    Event(Arc<Event>),
    Row(Row),
    Out(Symbol),
}

impl Piece {
    fn write(&self, format: Format, out: &mut Vec<u8>) {
        match self {
            Self::Event(event) => event.write(format, out),
            Self::Row(row) => write_row(row, row.result.symbol, format, out),
            Self::Out(symbol) => write_out(*symbol, format, out),
        }
    }
}
