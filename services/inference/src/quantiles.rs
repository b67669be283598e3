//! Quantile tables: where a value stands in its market, without looking at the market of the moment (ADR 0004).

use std::collections::BTreeMap;

use serde::Deserialize;

/// Knots of a table.
pub(crate) const N_KNOTS: usize = 65;
/// Fewer values make no table.
const VALUES_MIN: usize = 200;

/// The tables of one session, as `quantiles.json` holds them.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct QuantileTables {
    /// The session whose universe they describe, `YYYY-MM-DD`.
    pub session: String,
    knots: usize,
    /// By the name of the input; `null` where the session had too few values.
    tables: BTreeMap<String, Option<Vec<f64>>>,
}

/// Why tables are no tables.
#[derive(Debug, thiserror::Error)]
pub enum QuantilesError {
    #[error("it is no JSON of quantile tables")]
    Parse(#[source] serde_json::Error),
    #[error("it has {0} knots where {N_KNOTS} are read")]
    Knots(usize),
    #[error("the table of `{input}` has {n_knots} knots where {N_KNOTS} are read")]
    Length { input: String, n_knots: usize },
    #[error("the table of `{input}` falls or is not finite at knot {at}")]
    Order { input: String, at: usize },
}

impl QuantileTables {
    /// # Errors
    /// When they are not JSON of this shape, or a table does not rise.
    pub fn from_json(bytes: &[u8]) -> Result<Self, QuantilesError> {
        let tables: Self = serde_json::from_slice(bytes).map_err(QuantilesError::Parse)?;
        if tables.knots != N_KNOTS {
            return Err(QuantilesError::Knots(tables.knots));
        }
        for (input, table) in &tables.tables {
            let Some(knots) = table else { continue };
            if knots.len() != N_KNOTS {
                return Err(QuantilesError::Length { input: input.clone(), n_knots: knots.len() });
            }
            let falls = |at: &usize| !knots[*at].is_finite() || *at > 0 && knots[*at] < knots[*at - 1];
            if let Some(at) = (0..N_KNOTS).find(falls) {
                return Err(QuantilesError::Order { input: input.clone(), at });
            }
        }
        Ok(tables)
    }

    /// `None` when there is none.
    pub fn table(&self, input: &str) -> Option<QuantileTable> {
        QuantileTable::from_knots(self.tables.get(input)?.as_ref()?)
    }
}

/// The quantiles of one feature over the universe of a session, rising.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantileTable {
    knots: Box<[f64; N_KNOTS]>,
}

impl QuantileTable {
    /// `None` when these are no rising numbers, or not as many as a table has.
    pub(crate) fn from_knots(knots: &[f64]) -> Option<Self> {
        let rises = knots.is_sorted() && knots.iter().all(|knot| knot.is_finite());
        knots.try_into().ok().filter(|_| rises).map(|knots| Self { knots: Box::new(knots) })
    }

    pub(crate) fn knots(&self) -> &[f64; N_KNOTS] {
        &self.knots
    }

    /// The table of the values that are not missing, in any order; `None` when they are too few.
    ///
    /// # Source
    /// ADR 0004: quantiles of the usual linear definition, type 7.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place below the number of values")]
    pub(crate) fn of(values: &mut Vec<f64>) -> Option<Self> {
        values.retain(|value| !value.is_nan());
        if values.len() < VALUES_MIN {
            return None;
        }
        values.sort_unstable_by(f64::total_cmp);
        let last = values.len() - 1;
        let knot = |k: usize| {
            let position = (k * last) as f64 / (N_KNOTS - 1) as f64;
            let below = position.floor();
            let (a, b) = (values[below as usize], values[(below as usize + 1).min(last)]);
            a + (b - a) * (position - below)
        };
        Some(Self { knots: Box::new(std::array::from_fn(knot)) })
    }

    /// Where a value lies, 0 to 1; NaN for NaN.
    ///
    /// # Source
    /// ADR 0004: between knots by the line, on equal knots in their middle, outside at the end.
    #[expect(clippy::cast_possible_truncation, reason = "models are trained on 32-bit floats")]
    pub fn rank(&self, value: f64) -> f32 {
        if !value.is_finite() {
            return f32::NAN;
        }
        // Counting all of them is a few vector instructions; a search would wait for each of its steps.
        let (mut n_below, mut n_not_above) = (0_u32, 0_u32);
        for &knot in self.knots.iter() {
            n_below += u32::from(knot < value);
            n_not_above += u32::from(knot <= value);
        }
        let (n_below, n_not_above) = (n_below as usize, n_not_above as usize);
        let (low, high) = (n_below as f64, n_not_above as f64);
        let place = match (n_below, n_not_above) {
            (below, not_above) if not_above > below => (low + high - 1.0) / 2.0,
            (0, _) => 0.0,
            (N_KNOTS, _) => (N_KNOTS - 1) as f64,
            (below, _) => {
                let (a, b) = (self.knots[below - 1], self.knots[below]);
                (low - 1.0) + (value - a) / (b - a)
            }
        };
        (place / (N_KNOTS - 1) as f64) as f32
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn json(knots: &[f64]) -> String {
        format!(
            "{{\"session\": \"2026-03-31\", \"knots\": 65, \"tables\": {{\"rank_x\": {knots:?}, \"rank_y\": null}}}}"
        )
    }

    fn table(knots: &[f64]) -> QuantileTable {
        QuantileTables::from_json(json(knots).as_bytes()).unwrap().table("rank_x").unwrap()
    }

    fn check(table: &QuantileTable, value: f64, expected: f32) {
        let found = table.rank(value);
        assert!(found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan(), "{value}: {found}");
    }

    #[test]
    fn a_value_lies_between_knots_on_the_line() {
        let knots: Vec<f64> = (0..65).map(f64::from).collect();
        let table = table(&knots);
        check(&table, 0.0, 0.0);
        check(&table, 16.0, 0.25);
        check(&table, 16.5, 16.5 / 64.0);
        check(&table, 64.0, 1.0);
        check(&table, -3.0, 0.0);
        check(&table, 99.0, 1.0);
        check(&table, f64::NAN, f32::NAN);
        check(&table, f64::INFINITY, f32::NAN);
    }

    #[test]
    fn equal_knots_share_their_middle() {
        let knots: Vec<f64> = (0..65).map(|knot| if knot < 33 { 0.0 } else { 1.0 }).collect();
        let table = table(&knots);
        check(&table, 0.0, 16.0 / 64.0);
        check(&table, 1.0, 48.5 / 64.0_f32);
        check(&table, 0.5, 32.5 / 64.0);
    }

    #[test]
    fn what_is_no_table_is_refused_by_name() {
        let check = |text: String, expected: &str| {
            let error = QuantileTables::from_json(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        let rising: Vec<f64> = (0..65).map(f64::from).collect();
        let mut falling = rising.clone();
        falling[7] = 0.0;
        check(json(&falling), "`rank_x` falls or is not finite at knot 7");
        check(json(&rising[1..]), "`rank_x` has 64 knots");
        check(json(&rising).replace("\"knots\": 65", "\"knots\": 33"), "it has 33 knots");
        check("[]".to_owned(), "no JSON of quantile tables");
        assert!(QuantileTables::from_json(json(&rising).as_bytes()).unwrap().table("rank_y").is_none());
    }

    #[test]
    fn a_table_is_made_of_type_7_quantiles() {
        // 0 … 640 in an order of its own: knot k lies on 10 k.
        let mut values: Vec<f64> = (0..641).map(|at| f64::from(at * 7 % 641)).chain([f64::NAN; 3]).collect();
        let table = QuantileTable::of(&mut values).unwrap();
        assert!(table.knots().iter().enumerate().all(|(k, knot)| (knot - 10.0 * k as f64).abs() < 1e-12));
        // 0 … 200: knot 1 lies at 3.125 of them.
        let table = QuantileTable::of(&mut (0..201).map(f64::from).collect()).unwrap();
        assert!((table.knots()[1] - 3.125).abs() < 1e-15 && (table.knots()[64] - 200.0).abs() < 1e-15);
        assert_eq!(QuantileTable::of(&mut (0..199).map(f64::from).chain([f64::NAN]).collect()), None);
    }

    proptest! {
        #[test]
        fn ranks_rise_with_the_value_and_stay_within_0_and_1(
            mut knots in prop::collection::vec(-5.0..5.0_f64, 65),
            mut values in prop::collection::vec(-9.0..9.0_f64, 2..40),
        ) {
            knots.sort_by(f64::total_cmp);
            values.sort_by(f64::total_cmp);
            let table = table(&knots);
            let ranks: Vec<f32> = values.iter().map(|&value| table.rank(value)).collect();
            prop_assert!(ranks.iter().all(|rank| (0.0..=1.0).contains(rank)));
            prop_assert!(ranks.is_sorted());
        }
    }
}
