//! Columns that know the time of day or where they start: volume-weighted average prices from the start of the session or
//! from a point in time, and volume compared with other days at the same time.

use std::collections::VecDeque;

use schemas::{Bar, BarFlags, EventTime, Timeframe};
use serde::{Deserialize, Serialize};

use crate::ohlcv::Ohlcv;
use crate::spec::{Call, PlanError, label};
use schemas::exchange::local;

/// What a text asks for them by.
pub(crate) const NAMES: [&str; 3] = ["session_vwap", "anchored_vwap", "rvol_at_time"];

/// The regular session begins at half past nine.
const OPENING: u32 = 9 * 60 + 30;
const MINUTES_PER_DAY: u32 = 1440;
const SESSIONS_DEFAULT: u32 = 10;
const SESSIONS_MAX: u32 = 60;

/// One of the columns, and what it remembers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Intraday {
    SessionVwap(SessionVwap),
    AnchoredVwap(AnchoredVwap),
    VolumeAtTime(VolumeAtTime),
}

/// `None` when the text asks for something else.
pub(crate) fn of(call: &Call) -> Result<Option<(Vec<String>, Intraday)>, PlanError> {
    let keys = |keys: &[&str]| keys.iter().map(|&key| key.to_owned()).collect::<Vec<_>>();
    let session_start = |value: Option<&str>| match value {
        None => Ok(OPENING),
        Some(text) => minute_of(text).ok_or_else(|| call.bad_value("from", text, "time of day such as 09:30")),
    };
    let (unnamed, intraday) = match call.indicator.as_str() {
        "session_vwap" => {
            let given = call.arguments(&keys(&["from"]))?;
            let suffix = given[0].map_or_else(String::new, |from| format!("_{}", from.replace(':', "")));
            (format!("session_vwap{suffix}"), Intraday::SessionVwap(SessionVwap::new(session_start(given[0])?)))
        }
        "anchored_vwap" => {
            let given = call.arguments(&keys(&["from"]))?;
            let text = given[0].unwrap_or_default();
            let expected = "time such as 2026-01-05 or 2026-01-05T14:30Z";
            let from = time_of(text).ok_or_else(|| call.bad_value("from", text, expected))?;
            let suffix = label(&text.replace([':', '-'], ""));
            (format!("anchored_vwap_{suffix}"), Intraday::AnchoredVwap(AnchoredVwap::new(from)))
        }
        "rvol_at_time" => {
            let given = call.arguments(&keys(&["sessions", "from"]))?;
            let sessions = given[0].map_or(Some(SESSIONS_DEFAULT), |text| text.parse().ok());
            let expected = || format!("number of sessions, 1 to {SESSIONS_MAX},");
            let sessions = sessions.filter(|sessions| (1..=SESSIONS_MAX).contains(sessions));
            let sessions =
                sessions.ok_or_else(|| call.bad_value("sessions", given[0].unwrap_or_default(), expected()))?;
            let suffix = given[1].map_or_else(String::new, |from| format!("_{}", from.replace(':', "")));
            let column = format!("rvol_at_time{sessions}{suffix}");
            (column, Intraday::VolumeAtTime(VolumeAtTime::new(sessions, session_start(given[1])?)))
        }
        _ => return Ok(None),
    };
    let columns = call.named(&[""]).unwrap_or_else(|| vec![unnamed]);
    Ok(Some((columns, intraday)))
}

/// `09:30`
fn minute_of(text: &str) -> Option<u32> {
    let (hour, minute) = text.split_once(':')?;
    let number = |text: &str| (text.len() == 2).then(|| text.parse::<u32>().ok()).flatten();
    let (hour, minute) = (number(hour)?, number(minute)?);
    (hour < 24 && minute < 60).then_some(hour * 60 + minute)
}

/// `2026-01-05` (midnight UTC) or `2026-01-05T14:30Z`
fn time_of(text: &str) -> Option<EventTime> {
    let Some((date, time)) = text.split_once('T') else { return EventTime::parse_date(text) };
    let minute = minute_of(time.strip_suffix('Z')?)?;
    let day = EventTime::parse_date(date)?;
    Some(EventTime(day.as_ns() + i64::from(minute) * 60_000_000_000))
}

impl Intraday {
    /// The value as if the bar closed now; NaN when missing.
    pub(crate) fn amend(&self, bar: &Bar, timeframe: Timeframe) -> f64 {
        match self {
            Self::SessionVwap(own) => own.now.next(bar, own.place(bar, timeframe)).value(),
            Self::AnchoredVwap(own) => own.now.next(bar, own.place(bar)).value(),
            Self::VolumeAtTime(own) => own.value_of(bar, timeframe),
        }
    }

    pub(crate) fn close(&mut self, bar: &Bar, timeframe: Timeframe) -> f64 {
        match self {
            Self::SessionVwap(own) => {
                own.before = own.now;
                own.now = own.now.next(bar, own.place(bar, timeframe));
                own.now.value()
            }
            Self::AnchoredVwap(own) => {
                own.before = own.now;
                own.now = own.now.next(bar, own.place(bar));
                own.now.value()
            }
            Self::VolumeAtTime(own) => {
                let value = own.value_of(bar, timeframe);
                own.close(bar, timeframe);
                value
            }
        }
    }

    /// Back to before the newest bar.
    pub(crate) fn undo(&mut self) {
        match self {
            Self::SessionVwap(own) => own.now = own.before,
            Self::AnchoredVwap(own) => own.now = own.before,
            Self::VolumeAtTime(own) => own.undo(),
        }
    }

    /// After a split: flows of money stay, shares do not.
    pub(crate) fn rescale(&mut self, price_factor: f64) {
        match self {
            Self::SessionVwap(SessionVwap { now, before, .. })
            | Self::AnchoredVwap(AnchoredVwap { now, before, .. }) => {
                now.volume /= price_factor;
                before.volume /= price_factor;
            }
            Self::VolumeAtTime(own) => own.rescale(price_factor),
        }
    }

    /// Whether a restored state is one of this column.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::SessionVwap(one), Self::SessionVwap(other)) => one.from == other.from,
            (Self::AnchoredVwap(one), Self::AnchoredVwap(other)) => one.from == other.from,
            (Self::VolumeAtTime(one), Self::VolumeAtTime(other)) => one.is_like(other),
            _ => false,
        }
    }
}

/// Where a bar stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before what is counted.
    Outside,
    /// Partly before and partly in it, or of unknown place.
    Astride,
    /// In the session of a day, and whether at its very beginning.
    Inside { session: i32, is_first: bool },
}

/// Where in its session a bar stands.
fn place(from: u32, bar: &Bar, timeframe: Timeframe) -> Place {
    let Some(span) = minutes(timeframe) else { return Place::Astride };
    let local = local(bar.open_time);
    if local.minute >= from {
        Place::Inside { session: local.day, is_first: local.minute == from }
    } else if local.minute + span > from {
        Place::Astride
    } else {
        Place::Outside
    }
}

/// `None` for bars that know no time of day.
fn minutes(timeframe: Timeframe) -> Option<u32> {
    match timeframe {
        Timeframe::M1 => Some(1),
        Timeframe::M5 => Some(5),
        Timeframe::M15 => Some(15),
        Timeframe::H1 => Some(60),
        Timeframe::D1 => None,
    }
}

/// What was traded since a start.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Totals {
    /// What is counted.
    session: Option<i32>,
    /// Whether any bar was seen, so that the next one is the first of what follows.
    has_past: bool,
    /// Whether nothing of it was missed.
    is_whole: bool,
    flow: f64,
    volume: f64,
}

impl Totals {
    const NONE: Self = Self { session: None, has_past: false, is_whole: false, flow: 0.0, volume: 0.0 };

    fn next(mut self, bar: &Bar, place: Place) -> Self {
        let is_start = bar.flags.contains(BarFlags::SEGMENT_START);
        if is_start {
            self = Self { has_past: true, ..Self::NONE };
        }
        match place {
            Place::Outside => Self { has_past: true, ..Self::NONE },
            Place::Astride => Self::NONE,
            Place::Inside { session, is_first } => {
                if self.session != Some(session) {
                    self = Self { session: Some(session), is_whole: self.has_past || is_first, ..Self::NONE };
                }
                self.has_past = true;
                if bar.flags.contains(BarFlags::CLOSE_ONLY) {
                    self.is_whole = false;
                    return self;
                }
                self.flow += Ohlcv::from(bar).typical() * bar.volume;
                self.volume += bar.volume;
                self
            }
        }
    }

    fn value(&self) -> f64 {
        if self.is_whole { missing_if_infinite(self.flow / self.volume) } else { f64::NAN }
    }
}

fn missing_if_infinite(value: f64) -> f64 {
    if value.is_finite() { value } else { f64::NAN }
}

/// Mean of the typical price since the session began, weighted by volume.
///
/// # Shape
/// One per bar of a session: from `from` to midnight, New York. Missing before that, where nothing was traded, on daily
/// bars, in a session whose beginning was not seen, where a bar is astride the beginning, and after a bar that knows its
/// close only.
///
/// # Units
/// Price.
///
/// # Source
/// `Σ tp · V / Σ V`, tp = (H + L + C) / 3. Bars that the feed does not have are not in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SessionVwap {
    /// Minutes after midnight.
    from: u32,
    now: Totals,
    before: Totals,
}

impl SessionVwap {
    fn new(from: u32) -> Self {
        Self { from, now: Totals::NONE, before: Totals::NONE }
    }

    fn place(&self, bar: &Bar, timeframe: Timeframe) -> Place {
        place(self.from, bar, timeframe)
    }
}

/// Mean of the typical price since a point in time, weighted by volume.
///
/// # Shape
/// One per bar of any timeframe, from the first that opens then or later. Missing before that, where nothing was traded,
/// when the stage saw no bar from before the start and none that opens with it, and after a bar that knows its close only.
/// A new segment starts again.
///
/// # Units
/// Price.
///
/// # Source
/// As the session's.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AnchoredVwap {
    from: EventTime,
    now: Totals,
    before: Totals,
}

impl AnchoredVwap {
    fn new(from: EventTime) -> Self {
        Self { from, now: Totals::NONE, before: Totals::NONE }
    }

    fn place(&self, bar: &Bar) -> Place {
        if bar.open_time < self.from {
            return Place::Outside;
        }
        Place::Inside { session: 0, is_first: bar.open_time == self.from }
    }
}

/// Volume since the session began over its mean at the same time of the last sessions.
///
/// # Shape
/// One per bar of a session; missing until so many sessions were seen from their beginning, and where the mean is 0.
/// Sessions whose beginning was not seen do not count. A time at which an earlier session had no bar has the volume of the
/// bar before it. Missing on daily bars.
///
/// # Units
/// Ratio; 1 is as usual.
///
/// # Source
/// "Relative volume at time" of charts, cumulative; the mean is simple.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct VolumeAtTime {
    n_sessions: u32,
    /// Minutes after midnight.
    from: u32,
    /// Volume up to each bar of a whole session, oldest session first.
    past: VecDeque<Vec<f64>>,
    session: Option<i32>,
    has_past: bool,
    is_whole: bool,
    /// Of the current session.
    current: Vec<f64>,
    /// How long `current` was before the newest bar.
    n_before: usize,
    /// Before the newest bar, if it began a session.
    before: Option<Box<Self>>,
}

impl VolumeAtTime {
    fn new(n_sessions: u32, from: u32) -> Self {
        Self {
            n_sessions,
            from,
            past: VecDeque::new(),
            session: None,
            has_past: false,
            is_whole: false,
            current: Vec::new(),
            n_before: 0,
            before: None,
        }
    }

    fn is_new_session(&self, bar: &Bar, place: Place) -> bool {
        bar.flags.contains(BarFlags::SEGMENT_START)
            || matches!(place, Place::Inside { session, .. } if self.session != Some(session))
    }

    fn value_of(&self, bar: &Bar, timeframe: Timeframe) -> f64 {
        let place = place(self.from, bar, timeframe);
        let (Place::Inside { is_first, .. }, Some(slot)) = (place, self.slot(bar, timeframe)) else { return f64::NAN };
        if bar.flags.contains(BarFlags::SEGMENT_START) {
            return f64::NAN;
        }
        let is_new = self.is_new_session(bar, place);
        let is_whole = if is_new { self.has_past || is_first } else { self.is_whole };
        let ended = (is_new && self.is_whole && !self.current.is_empty()).then_some(&self.current);
        let sessions = self.past.iter().chain(ended);
        let n_sessions = self.n_sessions as usize;
        let n_known = sessions.clone().count();
        if !is_whole || n_known < n_sessions {
            return f64::NAN;
        }
        let usual: f64 = sessions.skip(n_known - n_sessions).map(|session| at(session, slot)).sum();
        let volume = if is_new { 0.0 } else { self.current.last().copied().unwrap_or_default() } + bar.volume;
        missing_if_infinite(volume * f64::from(self.n_sessions) / usual)
    }

    fn close(&mut self, bar: &Bar, timeframe: Timeframe) {
        self.before = None;
        self.n_before = self.current.len();
        let place = place(self.from, bar, timeframe);
        if self.is_new_session(bar, place) {
            let before = self.clone();
            self.begin_session(bar, place);
            self.before = Some(Box::new(before));
        }
        if let (Place::Inside { .. }, Some(slot)) = (place, self.slot(bar, timeframe)) {
            let volume = self.current.last().copied().unwrap_or_default();
            // Slots without a bar have the volume so far.
            self.current.resize(slot.max(self.current.len()), volume);
            self.current.push(volume + bar.volume);
        }
        self.has_past = place != Place::Astride;
    }

    fn begin_session(&mut self, bar: &Bar, place: Place) {
        if bar.flags.contains(BarFlags::SEGMENT_START) {
            *self = Self { has_past: true, ..Self::new(self.n_sessions, self.from) };
        }
        let current = std::mem::take(&mut self.current);
        if self.is_whole && !current.is_empty() {
            self.past.push_back(current);
            if self.past.len() > self.n_sessions as usize {
                self.past.pop_front();
            }
        }
        self.n_before = 0;
        if let Place::Inside { session, is_first } = place {
            self.session = Some(session);
            self.is_whole = self.has_past || is_first;
        }
    }

    fn undo(&mut self) {
        match self.before.take() {
            Some(before) => *self = *before,
            None => self.current.truncate(self.n_before),
        }
    }

    fn slot(&self, bar: &Bar, timeframe: Timeframe) -> Option<usize> {
        let minute = local(bar.open_time).minute.checked_sub(self.from)?;
        Some((minute / minutes(timeframe)?) as usize)
    }

    fn rescale(&mut self, price_factor: f64) {
        for volume in self.past.iter_mut().flatten().chain(&mut self.current) {
            *volume /= price_factor;
        }
        if let Some(before) = &mut self.before {
            before.rescale(price_factor);
        }
    }

    fn is_like(&self, other: &Self) -> bool {
        let fits = |session: &Vec<f64>| {
            session.len() <= MINUTES_PER_DAY as usize && session.iter().all(|volume| *volume >= 0.0)
        };
        (self.n_sessions, self.from) == (other.n_sessions, other.from)
            && self.past.len() <= self.n_sessions as usize
            && self.past.iter().all(|session| fits(session) && !session.is_empty())
            && fits(&self.current)
            && self.n_before <= self.current.len()
            && self.before.as_ref().is_none_or(|before| before.before.is_none() && before.is_like(other))
    }
}

/// What a session had traded at a slot.
fn at(session: &[f64], slot: usize) -> f64 {
    session.get(slot).or(session.last()).copied().unwrap_or_default()
}
