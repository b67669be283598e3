use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::codec::{CodecError, Message, SCHEMA_VERSION};
use crate::{EventTime, F64Column, Timeframe};

/// Tables that one message carries.
pub const TABLES_MAX: usize = 1024;

/// The quantile tables of a closed session, as they travel: reference data, of which the newest counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct QuantileTablesV1 {
    pub schema: u16,
    pub timeframe: Timeframe,
    /// The session whose universe they describe, UTC nanoseconds of its bars' open time.
    pub session_ns: i64,
    /// The model inputs that are read from them, one table each.
    pub inputs: Vec<String>,
    /// Numbers of a table, rising.
    pub n_knots: u32,
    /// A table after the other; a table that the session had too few values for is all NaN.
    pub knots: F64Column,
}

/// The quantile tables of a closed session: where a value stands in its market.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantileTables {
    pub timeframe: Timeframe,
    /// The session whose universe they describe.
    pub session: EventTime,
    /// By input, in an order of the producer's: rising numbers, the same many each; `None` where the session had too
    /// few values.
    pub tables: Vec<(String, Option<Vec<f64>>)>,
}

impl QuantileTables {
    /// Numbers of a table; 0 when there is none.
    fn n_knots(&self) -> usize {
        self.tables.iter().find_map(|(_, knots)| knots.as_ref()).map_or(0, Vec::len)
    }
}

impl Message for QuantileTables {
    type Wire = QuantileTablesV1;

    const KIND: &'static str = "quantiles";

    fn from_wire(wire: QuantileTablesV1) -> Result<Self, CodecError> {
        if wire.schema != SCHEMA_VERSION {
            return Err(CodecError::UnknownSchema { found: wire.schema });
        }
        if wire.inputs.len() > TABLES_MAX {
            return Err(CodecError::invalid("inputs", format!("more than {TABLES_MAX}")));
        }
        let n_knots = wire.n_knots as usize;
        let n_expected = n_knots.checked_mul(wire.inputs.len());
        if n_expected != Some(wire.knots.len()) {
            let detail = format!("{} for {} tables of {n_knots}", wire.knots.len(), wire.inputs.len());
            return Err(CodecError::invalid("knots", detail));
        }
        let mut tables = Vec::with_capacity(wire.inputs.len());
        for (at, input) in wire.inputs.into_iter().enumerate() {
            let knots = &wire.knots[at * n_knots..][..n_knots];
            if knots.iter().all(|knot| knot.is_nan()) {
                tables.push((input, None));
                continue;
            }
            if !knots.is_sorted() || knots.iter().any(|knot| !knot.is_finite()) {
                return Err(CodecError::invalid("knots", format!("the table of `{input}` falls or is not finite")));
            }
            tables.push((input, Some(knots.to_vec())));
        }
        Ok(Self { timeframe: wire.timeframe, session: EventTime(wire.session_ns), tables })
    }

    fn to_wire(&self) -> QuantileTablesV1 {
        let n_knots = self.n_knots();
        let missing = vec![f64::NAN; n_knots];
        let knots = self.tables.iter().flat_map(|(_, knots)| knots.as_ref().unwrap_or(&missing)).copied().collect();
        QuantileTablesV1 {
            schema: SCHEMA_VERSION,
            timeframe: self.timeframe,
            session_ns: self.session.as_ns(),
            inputs: self.tables.iter().map(|(input, _)| input.clone()).collect(),
            n_knots: u32::try_from(n_knots).unwrap_or(u32::MAX),
            knots: F64Column(knots),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(knots: Option<Vec<f64>>) -> QuantileTables {
        let other = Some(vec![-1.0, 0.0, 0.5]);
        let tables = vec![("rank_x".to_owned(), knots), ("rank_y".to_owned(), other)];
        QuantileTables { timeframe: Timeframe::D1, session: EventTime::from_days(17_000), tables }
    }

    #[test]
    fn tables_come_back_as_they_went() {
        for message in [tables(None), tables(Some(vec![0.1, 0.2, 0.2]))] {
            assert_eq!(QuantileTables::decode(&message.encode()).unwrap(), message);
        }
    }

    #[test]
    fn what_is_no_table_is_refused_by_name() {
        let check = |message: QuantileTablesV1, expected: &str| {
            let error = QuantileTables::from_wire(message).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(tables(Some(vec![0.1, 0.3, 0.2])).to_wire(), "the table of `rank_x` falls or is not finite");
        check(tables(Some(vec![0.1, f64::NAN, 0.2])).to_wire(), "the table of `rank_x` falls or is not finite");
        check(QuantileTablesV1 { n_knots: 2, ..tables(None).to_wire() }, "6 for 2 tables of 2");
        check(QuantileTablesV1 { n_knots: u32::MAX, ..tables(None).to_wire() }, "invalid knots");
        let error = QuantileTables::from_wire(QuantileTablesV1 { schema: 2, ..tables(None).to_wire() }).unwrap_err();
        assert!(matches!(error, CodecError::UnknownSchema { found: 2 }));
    }
}
