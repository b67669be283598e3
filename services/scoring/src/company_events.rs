//! A company's calendar as it was known at a bar, and what ICS and MERIT make of it.

use std::collections::BTreeMap;

use schemas::{CompanyEvent, CompanyEventKind, EventTime, EventView};

use crate::earnings::{Report, Surprises};
use crate::events::{Calendar, EventFacts};
use crate::ics::IcsEvents;

/// Two dates of earnings nearer than this are one report that was moved: reports are a quarter apart.
const SAME_REPORT_NS: i64 = 45 * 86_400_000_000_000;

/// What is known of a company's calendar at a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct KnownEvents {
    facts: EventFacts,
    /// `None` without a report that was compared with an estimate.
    surprises: Option<Surprises>,
}

impl KnownEvents {
    /// `None` when nothing was known.
    ///
    /// # Source
    /// Specification §10. The next earnings are the first to come; a date that was moved is still in the calendar, and of
    /// those for one report the one that was announced last counts. The dividend is the next one, else the last.
    pub(crate) fn new(events: &[CompanyEvent], as_of: EventTime) -> Option<Self> {
        let known = events.iter().filter(|event| event.available_on_ns <= as_of.as_ns());
        let of_kind = |kind: CompanyEventKind| known.clone().filter(move |event| event.kind == kind);
        let is_past = |event: &&CompanyEvent| event.date_ns < as_of.as_ns();
        let earnings = || of_kind(CompanyEventKind::Earnings);
        // Of several lines about one day the newest counts; the day itself is still to come until its result is known.
        let mut by_day: BTreeMap<i64, &CompanyEvent> = BTreeMap::new();
        for event in earnings() {
            let line = by_day.entry(event.date_ns).or_insert(event);
            if event.available_on_ns >= line.available_on_ns {
                *line = event;
            }
        }
        let is_over = |event: &CompanyEvent| is_past(&event) || event.eps_actual.is_some();
        let to_come = || by_day.values().copied().filter(|event| !is_over(event));
        let is_moved = |event: &CompanyEvent| {
            to_come().any(|other| {
                let is_same_report = (other.date_ns - event.date_ns).abs() < SAME_REPORT_NS;
                let (of_other, of_event) = (other.available_on_ns, event.available_on_ns);
                // Announced together, the nearer one counts.
                is_same_report && (of_other, event.date_ns) > (of_event, other.date_ns)
            })
        };
        let next = to_come().find(|event| !is_moved(event));
        let last = by_day.values().rfind(|event| is_over(event));
        let dividends = || of_kind(CompanyEventKind::Dividend).map(|event| event.date_ns);
        let dividend = dividends().filter(|date| *date >= as_of.as_ns()).min().or_else(|| dividends().max());
        if next.is_none() && last.is_none() && dividend.is_none() {
            return None;
        }
        let report = |event: &CompanyEvent| Report::new(event.eps_actual, event.eps_estimated);
        let reports: Vec<Report> =
            by_day.values().filter(|event| event.eps_actual.is_some()).map(|event| report(event)).collect();
        let date = |event: &CompanyEvent| EventTime(event.date_ns);
        let calendar = Calendar {
            next_earnings: next.map(date),
            last_earnings: last.map(|event| date(event)),
            last_surprise_was_positive: last.is_some_and(|event| report(event).is_beat),
            dividend_ex: dividend.map(EventTime),
        };
        let surprises = (!reports.is_empty()).then(|| Surprises::new(&reports));
        Some(Self { facts: EventFacts::new(&calendar, as_of), surprises })
    }

    /// Calendar days to the next earnings, not below 0.
    pub(crate) fn days_to_earnings(&self) -> Option<f64> {
        self.facts.days_to_next_earnings.map(f64::from)
    }

    pub(crate) fn ics(&self) -> IcsEvents {
        IcsEvents {
            is_pre_earnings_window: self.facts.is_pre_earnings_window(),
            is_post_earnings_positive_window: self.facts.is_post_earnings_positive_window(),
            has_dividend_ex_soon: self.facts.has_dividend_ex_soon(),
            surprise_streak: self.surprises.map(|surprises| f64::from(surprises.streak)),
            avg_surprise_bp: self.surprises.and_then(|surprises| surprises.avg_bp),
            // The calendar has dates, no amounts.
            dividend_yield: None,
        }
    }

    pub(crate) fn view(&self) -> EventView {
        EventView {
            days_to_next_earnings: self.facts.days_to_next_earnings,
            days_since_last_earnings: self.facts.days_since_last_earnings,
            days_to_dividend_ex: self.facts.days_to_dividend_ex,
            surprise_streak: self.surprises.map(|surprises| surprises.streak),
            avg_surprise_bp: self.surprises.and_then(|surprises| surprises.avg_bp),
            last_surprise_bp: self.surprises.and_then(|surprises| surprises.last_bp),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use schemas::Instrument;

    use super::*;
    use crate::ScoringInput;
    use crate::world::{bar, day, instrument, settled};

    const TODAY: i32 = 1000;

    fn event(kind: CompanyEventKind, date: i32, known_on: i32) -> CompanyEvent {
        CompanyEvent {
            kind,
            date_ns: EventTime::from_days(date).as_ns(),
            available_on_ns: EventTime::from_days(known_on).as_ns(),
            eps_actual: None,
            eps_estimated: None,
        }
    }

    fn earnings(date: i32, known_on: i32) -> CompanyEvent {
        event(CompanyEventKind::Earnings, date, known_on)
    }

    fn result(date: i32, known_on: i32, actual: f64, estimated: f64) -> CompanyEvent {
        CompanyEvent { eps_actual: Some(actual), eps_estimated: Some(estimated), ..earnings(date, known_on) }
    }

    fn view(events: &[CompanyEvent]) -> Option<EventView> {
        KnownEvents::new(events, EventTime::from_days(TODAY)).map(|known| known.view())
    }

    #[test]
    fn a_calendar_tells_what_was_known_and_no_more() {
        assert_eq!(view(&[]), None);
        assert_eq!(view(&[earnings(TODAY + 4, TODAY + 1)]), None, "it was not announced yet");
        let days = |events: &[CompanyEvent]| {
            let view = view(events).unwrap();
            (view.days_to_next_earnings, view.days_since_last_earnings)
        };
        assert_eq!(days(&[earnings(TODAY + 4, TODAY)]), (Some(4), None));
        let moved = [earnings(TODAY + 4, TODAY - 20), earnings(TODAY + 9, TODAY - 2)];
        assert_eq!(days(&moved), (Some(9), None), "the newest announcement counts");
        let earlier = [earnings(TODAY + 9, TODAY - 20), earnings(TODAY + 4, TODAY - 2)];
        assert_eq!(days(&earlier), (Some(4), None), "also when it is nearer");
        let two = [earnings(TODAY + 4, TODAY - 90), earnings(TODAY + 95, TODAY - 2)];
        assert_eq!(days(&two), (Some(4), None), "the one after the next hides nothing");
        let together = [earnings(TODAY + 9, TODAY - 2), earnings(TODAY + 4, TODAY - 2)];
        assert_eq!(days(&together), (Some(4), None), "of two announced together the nearer one counts");
        assert_eq!(days(&[earnings(TODAY, TODAY - 9)]), (Some(0), None), "today's are to come");
        let told = [earnings(TODAY, TODAY - 9), result(TODAY, TODAY, 1.0, 0.9)];
        assert_eq!(days(&told), (None, Some(0)), "unless they are told");
        assert_eq!(days(&[earnings(TODAY - 3, TODAY - 30)]), (None, Some(3)));
        let dividend = |date| event(CompanyEventKind::Dividend, date, TODAY - 50);
        let of = |dates: &[i32]| {
            view(&dates.iter().map(|&date| dividend(date)).collect::<Vec<_>>()).unwrap().days_to_dividend_ex
        };
        assert_eq!([of(&[TODAY + 90, TODAY + 5, TODAY - 2]), of(&[TODAY - 2, TODAY - 90])], [Some(5), Some(-2)]);
    }

    #[test]
    fn results_make_a_streak_once_they_are_known() {
        let events = [
            result(TODAY - 200, TODAY - 199, 0.5, 1.0),
            result(TODAY - 100, TODAY - 99, 1.1, 1.0),
            result(TODAY - 5, TODAY - 4, 1.2, 1.0),
        ];
        let found = view(&events).unwrap();
        assert_eq!((found.surprise_streak, found.last_surprise_bp.map(f64::round)), (Some(2), Some(2000.0)));
        let before = KnownEvents::new(&events, EventTime::from_days(TODAY - 50)).unwrap().view();
        assert_eq!((before.surprise_streak, before.days_since_last_earnings), (Some(1), Some(50)));
        assert!(KnownEvents::new(&events, EventTime::from_days(TODAY)).unwrap().ics().is_post_earnings_positive_window);
    }

    #[test]
    fn earnings_at_the_door_cost_merit_and_points_of_the_event_term() {
        let row = |events: Vec<CompanyEvent>| {
            let instrument = Instrument { events, ..instrument("ABC") };
            let columns = [("n_bars", 60.0), ("dollar_vol_20", 1e8)];
            let (rows, _) =
                settled([ScoringInput::Instrument(instrument), bar("ABC", day(TODAY, 100.0, 1e6), &columns)]);
            rows.into_iter().next().unwrap()
        };
        let check = |events: Vec<CompanyEvent>, flags: &str, penalty: f64, event_points: f64| {
            let row = row(events.clone());
            assert!(row.merit_flags.starts_with(flags), "{events:?} {}", row.merit_flags);
            assert!((row.breakdown.merit.penalty_earnings - penalty).abs() < 1e-12, "{events:?}");
            assert!((row.breakdown.ics.event - event_points / 10.0).abs() < 1e-12, "{events:?}");
            assert_eq!(row.events.is_some(), !events.is_empty());
        };
        check(vec![], "MISSING", 0.0, 50.0);
        check(vec![earnings(TODAY + 2, TODAY - 9)], "EARNINGS_SOON", -12.0, 40.0);
        check(vec![earnings(TODAY + 7, TODAY - 9)], "EARNINGS_7D", -6.0, 50.0);
        check(vec![earnings(TODAY - 1, TODAY - 9)], "MISSING", 0.0, 50.0);
        // A beat by a tenth: a window, a streak of one, and more surprise than counts.
        check(vec![result(TODAY - 1, TODAY, 1.1, 1.0)], "MISSING", 0.0, 50.0 + 5.0 + 4.0 / 5.0 + 3.0);
    }

    proptest! {
        #[test]
        fn what_becomes_known_later_changes_nothing(
            now in prop::collection::vec((prop::bool::ANY, -400_i32..100, -500_i32..1, prop::option::of(-9_i8..9)), 0..12),
            later in prop::collection::vec((prop::bool::ANY, -400_i32..100, 1_i32..90, prop::option::of(-9_i8..9)), 0..12),
        ) {
            let make = |(is_dividend, date, known_on, actual): (bool, i32, i32, Option<i8>)| {
                let kind = if is_dividend { CompanyEventKind::Dividend } else { CompanyEventKind::Earnings };
                CompanyEvent {
                    eps_actual: actual.map(f64::from),
                    eps_estimated: Some(1.0),
                    ..event(kind, TODAY + date, TODAY + known_on)
                }
            };
            let known: Vec<_> = now.into_iter().map(make).collect();
            let mut all: Vec<_> = later.into_iter().map(make).collect();
            all.extend(&known);
            prop_assert_eq!(view(&known), view(&all));
        }
    }
}
