//! What stands behind a row's labels. Thousands of rows have the same few lists, so each is made once.

use fnv::FnvHashMap;
use schemas::{ProfileVerdict, Rule, Shared, SmolStr};
use smol_str::ToSmolStr as _;

use crate::cross_section::Scored;
use crate::entry::Entry;
use crate::idea::Idea;
use crate::merit::MeritFlags;
use crate::profiles::{ProfileLimit, RiskProfile};
use crate::tech_rating::{self, Signal, Test};
use crate::tiers::ResultTier;
use crate::universe::Exclusion;

/// The lists that were made so far: some hundred at most, for there are not more answers to so few tests.
#[derive(Debug, Default)]
pub(crate) struct Reasons {
    rules: FnvHashMap<u32, Shared<Rule>>,
    verdicts: FnvHashMap<u32, Shared<ProfileVerdict>>,
    flags: FnvHashMap<MeritFlags, SmolStr>,
}

/// Small numbers side by side in one: cheaper to hash than one by one.
fn packed(numbers: impl IntoIterator<Item = u8>) -> u32 {
    numbers.into_iter().fold(0, |key, number| key << 8 | u32::from(number))
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
        // At most twelve tests, of two signals and two tiers.
        let met: u32 = tests.clone().fold(0, |met, (_, test)| met << 1 | u32::from(test.is_met));
        let judged = met << 16 | packed([u8::from(is_short_side), idea.result_tier as u8]);
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
        let [a, b, c] = idea.breaks.map(|breaks| breaks.map_or(0, |limit| limit as u8 + 1));
        let key = packed([excluded.map_or(0, |why| why as u8 + 1), a, b, c]);
        self.verdicts.entry(key).or_insert_with(verdicts).clone()
    }

    /// The published text of a row's warnings.
    pub(crate) fn flags(&mut self, flags: MeritFlags) -> SmolStr {
        self.flags.entry(flags).or_insert_with(|| flags.to_smolstr()).clone()
    }
}
