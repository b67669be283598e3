//! What stands behind a row's labels. Thousands of rows have the same few lists, so each is made once.

use fnv::FnvHashMap;
use schemas::{ProfileVerdict, Rule, Shared};

use crate::cross_section::Scored;
use crate::entry::Entry;
use crate::idea::Idea;
use crate::profiles::{ProfileLimit, RiskProfile};
use crate::tech_rating::{self, Signal, Test};
use crate::tiers::ResultTier;
use crate::universe::Exclusion;

type Breaks = [Option<ProfileLimit>; RiskProfile::ALL.len()];

/// The lists that were made so far: some hundred at most, for there are not more answers to so few tests.
#[derive(Debug, Default)]
pub(crate) struct Reasons {
    rules: FnvHashMap<Judged, Shared<Rule>>,
    verdicts: FnvHashMap<(Option<Exclusion>, Breaks), Shared<ProfileVerdict>>,
}

/// Which labels were tested, and one bit per test that was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Judged {
    is_short_side: bool,
    tier: ResultTier,
    met: u32,
}

impl Reasons {
    /// The tests of the side that the rating is on, of the row's tier, and of the next better one.
    pub(crate) fn rules(&mut self, entry: &Entry, scored: &Scored, idea: &Idea) -> Shared<Rule> {
        let rating = entry.tech.rating;
        let is_short_side = rating.is_some_and(|rating| rating < 0.0);
        let signals = tech_rating::signal_tests(rating, entry.subscores.trend, entry.subscores.momentum);
        let of_side =
            |(signal, _): &(Signal, [Test; 3])| matches!(signal, Signal::Short | Signal::StrongShort) == is_short_side;
        let signals = signals.iter().filter(|tests| of_side(tests)).map(|(signal, tests)| (signal.as_str(), *tests));
        let merit = &scored.merit;
        let tiers = [idea.result_tier.above(), Some(idea.result_tier)].into_iter().flatten();
        let tiers = tiers
            .filter(|tier| *tier != ResultTier::Ungraded)
            .map(|tier| (tier.as_str(), tier.tests(merit.score, merit.tech_pct, scored.quality)));
        let tests = signals.chain(tiers).flat_map(|(label, tests)| tests.map(|test| (label, test)));
        let met = tests.clone().fold(0, |met, (_, test)| met << 1 | u32::from(test.is_met));
        let judged = Judged { is_short_side, tier: idea.result_tier, met };
        let rule = |(label, Test { rule, is_met }): (&'static str, Test)| Rule {
            rule: rule.into(),
            label: label.into(),
            is_met,
        };
        self.rules.entry(judged).or_insert_with(|| tests.map(rule).collect()).clone()
    }

    /// A profile shows nothing that does not belong to the universe.
    pub(crate) fn verdicts(&mut self, idea: &Idea, excluded: Option<Exclusion>) -> Shared<ProfileVerdict> {
        let verdict = |(profile, breaks): (&RiskProfile, &Option<ProfileLimit>)| ProfileVerdict {
            profile: profile.name.into(),
            breaks: excluded.map(Exclusion::as_str).or(breaks.map(ProfileLimit::as_str)).map(Into::into),
        };
        let verdicts = || RiskProfile::ALL.iter().zip(&idea.breaks).map(verdict).collect();
        self.verdicts.entry((excluded, idea.breaks)).or_insert_with(verdicts).clone()
    }
}
