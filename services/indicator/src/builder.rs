//! Which columns there are to be.

use std::sync::Arc;

use schemas::{Bar, Plan, Timeframe};
use serde::Deserialize;

use crate::extras::{Extras, Template};
use crate::plan::{N_COLUMNS, NAMES, need, plan};
use crate::selection::Selection;
use crate::slot::Slot;
use crate::spec::{CANDLESTICKS, Extra, Kind, PlanError};

/// Which columns are computed: native ones, in their order, and extras behind them, in the order in which they were asked
/// for.
///
/// The default is every native column and nothing else. A clone is cheap.
#[derive(Debug, Clone)]
pub struct IndicatorPlan {
    columns: Plan,
    /// The native columns by place; `None` for all of them.
    selected: Option<Arc<[usize]>>,
    selection: Selection,
    /// Of each extra column.
    needs: Arc<[u32]>,
    template: Arc<Template>,
    /// Stands for what is computed, which names alone do not.
    hash: u64,
}

impl Default for IndicatorPlan {
    fn default() -> Self {
        PlanBuilder::new().build().expect("the native columns have different names")
    }
}

impl IndicatorPlan {
    /// The names of the columns in their order.
    pub fn columns(&self) -> &Plan {
        &self.columns
    }

    /// The bars of a segment that a column needs for its first value; see [`need`](crate::need()).
    ///
    /// # Shape
    /// `None` when the column is not in this plan. Columns of the session say 1: they depend on the time of day.
    pub fn need(&self, column: &str) -> Option<u32> {
        let at = self.columns.index_of(column)?;
        self.needs.get(at.wrapping_sub(self.n_native())).copied().or_else(|| need(column))
    }

    /// The state of one symbol at one timeframe.
    pub fn start(&self, timeframe: Timeframe) -> PlannedSlot {
        PlannedSlot { slot: Slot::default(), extras: self.extras(timeframe), plan: self.clone() }
    }

    /// The row of the last of some bars, as closing them one by one would give it; `None` without bars.
    pub fn recompute<'a>(&self, timeframe: Timeframe, bars: impl IntoIterator<Item = &'a Bar>) -> Option<Vec<f64>> {
        let mut bars = bars.into_iter();
        let mut last = bars.next()?;
        let mut slot = self.start(timeframe);
        for bar in bars {
            slot.push(last);
            last = bar;
        }
        Some(slot.amend(last))
    }

    /// `None` when there are none, so that they cost nothing.
    pub(crate) fn extras(&self, timeframe: Timeframe) -> Option<Box<Extras>> {
        let has_extras = self.template.n_columns() > 0;
        has_extras.then(|| Box::new(Extras::new(Arc::clone(&self.template), timeframe)))
    }

    pub(crate) fn template(&self) -> &Arc<Template> {
        &self.template
    }

    pub(crate) fn n_extras(&self) -> usize {
        self.template.n_columns()
    }

    /// The native columns by place.
    pub(crate) fn natives(&self) -> impl Iterator<Item = usize> + '_ {
        let selected = self.selected.as_deref();
        (0..self.n_native()).map(move |i| selected.map_or(i, |selected| selected[i]))
    }

    /// What to ask a slot for.
    pub(crate) fn selection(&self) -> Selection {
        self.selection
    }

    pub(crate) fn formula_hash(&self) -> u64 {
        self.hash
    }

    fn n_native(&self) -> usize {
        self.selected.as_ref().map_or(N_COLUMNS, |selected| selected.len())
    }
}

/// What is wrong with a plan: everything, not only the first thing.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanErrors(pub Vec<PlanError>);

impl std::fmt::Display for PlanErrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            write!(f, "{}{error}", if i == 0 { "" } else { "; " })?;
            if let Some(source) = std::error::Error::source(error) {
                write!(f, ": {source}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for PlanErrors {}

/// Collects what an [`IndicatorPlan`] is to have.
///
/// ```
/// use indicator::PlanBuilder;
///
/// let plan = PlanBuilder::new().rsi(9).macd(5, 35, 5).extra("ta:CDLENGULFING").build()?;
/// let extras = &plan.columns().columns()[indicator::plan().len()..];
/// assert_eq!(extras, ["rsi9", "macd_5_35_5", "macd_signal_5_35_5", "macd_hist_5_35_5", "ta_cdlengulfing"]);
///
/// let small = PlanBuilder::empty().rsi(14).rsi(9).build()?;
/// assert_eq!(small.columns().columns(), ["rsi14", "rsi9"]);
/// # Ok::<(), indicator::PlanErrors>(())
/// ```
#[derive(Debug, Clone)]
pub struct PlanBuilder {
    /// `None` for all.
    native: Option<Vec<String>>,
    extras: Vec<String>,
}

impl Default for PlanBuilder {
    fn default() -> Self {
        Self::new()
    }
}

macro_rules! ask {
    ($($(#[$meta:meta])* $method:ident($($parameter:ident: $type:ty),*) = $name:literal;)*) => {
        impl PlanBuilder {
            $(
                $(#[$meta])*
                #[must_use]
                pub fn $method(self, $($parameter: $type),*) -> Self {
                    let arguments: Vec<String> = vec![$($parameter.to_string()),*];
                    if arguments.is_empty() {
                        return self.extra($name);
                    }
                    self.extra(format!("{}({})", $name, arguments.join(", ")))
                }
            )*
        }
    };
}

impl PlanBuilder {
    /// Begins with every native column.
    pub fn new() -> Self {
        Self { native: None, extras: Vec::new() }
    }

    /// Begins with no column at all.
    pub fn empty() -> Self {
        Self { native: Some(Vec::new()), extras: Vec::new() }
    }

    /// Adds a native column by its name, where they are not all in the plan.
    #[must_use]
    pub fn native(mut self, column: impl Into<String>) -> Self {
        if let Some(native) = &mut self.native {
            native.push(column.into());
        }
        self
    }

    /// Asks for what a text says.
    ///
    /// `rsi(9)`, `macd(fast = 5, slow = 35, signal = 5)`: the formula of a native column at other parameters; what is left
    /// out is as in the native column, and a formula at exactly those is the native column.
    /// `ta:WMA(period = 30, in = volume)`, `ta:CDLENGULFING`: a function of the crate `ta-lib`.
    /// `session_vwap`, `session_vwap(from = 04:00)`, `anchored_vwap(from = 2026-01-05)`, `rvol_at_time(sessions = 10)`:
    /// columns that know the time of day.
    /// `candlesticks`: sixteen patterns of TA-Lib, 100 where one points up, −100 down, 0 where there is none.
    ///
    /// A name in front, `fast = rsi(9)`, names the column; an indicator of several values appends what tells them apart.
    /// `docs/indicators.md` lists all there is.
    #[must_use]
    pub fn extra(mut self, text: impl Into<String>) -> Self {
        let text = text.into();
        if text.trim() == "candlesticks" {
            self.extras.extend(CANDLESTICKS.map(str::to_owned));
        } else {
            self.extras.push(text);
        }
        self
    }

    /// # Errors
    /// With everything that is wrong.
    pub fn build(self) -> Result<IndicatorPlan, PlanErrors> {
        let mut errors = Vec::new();
        let mut native: Option<Vec<usize>> = self.native.as_ref().map(|_| Vec::new());
        let mut select = |column: &str| {
            let at = NAMES.iter().position(|name| *name == column);
            if let (Some(native), Some(at)) = (&mut native, at) {
                native.push(at);
            }
            at.is_some()
        };
        for column in self.native.iter().flatten() {
            if !select(column) {
                errors.push(PlanError::UnknownColumn { column: column.clone() });
            }
        }
        let mut extras: Vec<Extra> = Vec::new();
        let mut names: Vec<String> = NAMES.iter().map(|&name| name.to_owned()).collect();
        for text in &self.extras {
            match Extra::parse(text) {
                Err(error) => errors.push(error),
                Ok(Extra { columns, kind: Kind::Native, .. }) => columns.iter().for_each(|column| {
                    select(column);
                }),
                Ok(extra) => {
                    if let Some(column) = extra.columns.iter().find(|column| names.contains(column)) {
                        let (spec, column) = (text.trim().to_owned(), column.clone());
                        errors.push(PlanError::DuplicateColumn { spec, column });
                    }
                    names.extend(extra.columns.iter().cloned());
                    extras.push(extra);
                }
            }
        }
        if !errors.is_empty() {
            return Err(PlanErrors(errors));
        }
        let selected: Option<Arc<[usize]>> = native.map(|mut native| {
            native.sort_unstable();
            native.dedup();
            native.into()
        });
        let natives: Vec<&str> = match &selected {
            None => NAMES.to_vec(),
            Some(selected) => selected.iter().map(|&at| NAMES[at]).collect(),
        };
        let own = extras.iter().flat_map(|extra| extra.columns.iter().map(String::as_str));
        let columns = Plan::new(natives.iter().copied().chain(own));
        let hash = Plan::new(natives.iter().copied().chain(extras.iter().map(|extra| extra.canonical.as_str()))).hash();
        let needs = extras.iter().flat_map(|extra| std::iter::repeat_n(extra.need(), extra.columns.len())).collect();
        let template = Arc::new(Template::new(&extras));
        debug_assert!(
            selected.is_some() || !extras.is_empty() || columns == plan(),
            "the default plan is the full list"
        );
        let selection = selected.as_ref().map_or(Selection::all(), |selected| Selection::new(selected.iter().copied()));
        Ok(IndicatorPlan { columns, selected, selection, needs, template, hash })
    }
}

ask! {
    /// [`Sma`](crate::Sma)
    sma(period: usize) = "sma";
    /// [`Ema`](crate::Ema)
    ema(period: usize) = "ema";
    /// [`Wma`](crate::Wma)
    wma(period: usize) = "wma";
    /// [`Kama`](crate::Kama)
    kama(period: usize) = "kama";
    /// [`Rsi`](crate::Rsi)
    rsi(period: usize) = "rsi";
    /// [`Macd`](crate::Macd)
    macd(fast: usize, slow: usize, signal: usize) = "macd";
    /// [`Atr`](crate::Atr)
    atr(period: usize) = "atr";
    /// [`Natr`](crate::Natr)
    natr(period: usize) = "natr";
    /// [`Adx`](crate::Adx)
    adx(period: usize) = "adx";
    /// [`Bollinger`](crate::Bollinger)
    bollinger(period: usize, deviations: f64) = "bollinger";
    /// [`Stochastic`](crate::Stochastic)
    stochastic(period: usize, smoothing: usize, signal: usize) = "stochastic";
    /// [`StochasticRsi`](crate::StochasticRsi)
    stochastic_rsi(period: usize, stochastic: usize, signal: usize) = "stochrsi";
    /// [`Cci`](crate::Cci)
    cci(period: usize) = "cci";
    /// [`Mfi`](crate::Mfi)
    mfi(period: usize) = "mfi";
    /// [`WilliamsR`](crate::WilliamsR)
    williams_r(period: usize) = "willr";
    /// [`Roc`](crate::Roc)
    roc(period: usize) = "roc";
    /// [`Momentum`](crate::Momentum)
    momentum(period: usize) = "mom";
    /// [`Trix`](crate::Trix)
    trix(period: usize) = "trix";
    /// [`UltimateOscillator`](crate::UltimateOscillator)
    ultimate_oscillator(first: usize, second: usize, third: usize) = "ultosc";
    /// [`Aroon`](crate::Aroon)
    aroon(period: usize) = "aroon";
    /// [`ParabolicSar`](crate::ParabolicSar)
    parabolic_sar(acceleration: f64, maximum: f64) = "sar";
    /// [`ChaikinOscillator`](crate::ChaikinOscillator)
    chaikin_oscillator(fast: usize, slow: usize) = "adosc";
    /// [`LinearRegressionSlope`](crate::LinearRegressionSlope)
    linear_regression_slope(period: usize) = "linreg_slope";
    /// [`Cmf`](crate::Cmf)
    cmf(period: usize) = "cmf";
    /// [`Vwap`](crate::Vwap)
    vwap(period: usize) = "vwap";
    /// [`Donchian`](crate::Donchian)
    donchian(period: usize) = "donchian";
    /// [`Keltner`](crate::Keltner)
    keltner(period: usize, range_period: usize, factor: f64) = "keltner";
    /// [`Supertrend`](crate::Supertrend)
    supertrend(period: usize, factor: f64) = "supertrend";
    /// [`Ichimoku`](crate::Ichimoku)
    ichimoku(conversion: usize, base: usize, span: usize) = "ichimoku";
    /// [`HeikinAshi`](crate::HeikinAshi)
    heikin_ashi() = "heikin_ashi";
    /// [`HistoricalVolatility`](crate::HistoricalVolatility)
    historical_volatility(period: usize) = "hv";
    /// Sixteen patterns of TA-Lib.
    candlesticks() = "candlesticks";
    /// Mean price of the regular session, weighted by volume.
    session_vwap() = "session_vwap";
    /// Volume of the session over that of so many others at the same time.
    relative_volume_at_time(sessions: usize) = "rvol_at_time";
}

/// What an operator can say about indicators.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct IndicatorOptions {
    /// Columns beside the native ones; see [`PlanBuilder::extra`].
    pub extra: Vec<String>,
}

impl IndicatorOptions {
    /// # Errors
    /// With everything that is wrong.
    pub fn plan(&self) -> Result<IndicatorPlan, PlanErrors> {
        self.extra.iter().fold(PlanBuilder::new(), PlanBuilder::extra).build()
    }
}

/// The columns of a plan for one symbol at one timeframe, bar by bar: a [`Slot`] and the state of the extras.
///
/// # Shape
/// A row has a number per column of the plan, in its order; NaN is missing. Refused bars have a row of missing values and
/// leave no trace.
#[derive(Debug, Clone)]
pub struct PlannedSlot {
    slot: Slot,
    extras: Option<Box<Extras>>,
    plan: IndicatorPlan,
}

impl PlannedSlot {
    /// The row as if the bar closed now. Changes nothing.
    #[must_use]
    pub fn amend(&self, bar: &Bar) -> Vec<f64> {
        let mut row = self.native(self.slot.amend_selected(bar, self.plan.selection()).as_slice());
        if let Some(extras) = &self.extras {
            extras.amend(bar, &mut row);
        }
        row
    }

    /// Takes in a final bar.
    pub fn close(&mut self, bar: &Bar) -> Vec<f64> {
        let values = self.slot.close_selected(bar, self.plan.selection());
        let mut row = self.native(values.as_slice());
        if let Some(extras) = &mut self.extras {
            extras.close(bar, &mut row);
        }
        row
    }

    /// Takes in a final bar as [`close`](Self::close) does, without computing the native columns.
    pub fn push(&mut self, bar: &Bar) {
        self.slot.push(bar);
        if let Some(extras) = &mut self.extras {
            extras.close(bar, &mut Vec::new());
        }
    }

    /// Takes in another version of the newest bar in its place. One bar deep, as [`Slot::correct`].
    pub fn correct(&mut self, bar: &Bar) -> Vec<f64> {
        let values = self.slot.correct_selected(bar, self.plan.selection());
        let mut row = self.native(values.as_slice());
        if let Some(extras) = &mut self.extras {
            extras.correct(bar, &mut row);
        }
        row
    }

    /// Makes the past comparable with prices after a split; see [`Slot::rescale`]. Extras are exact where prices are.
    ///
    /// # Panics
    /// When the factor is not a positive number.
    pub fn rescale(&mut self, price_factor: f64) {
        self.slot.rescale(price_factor);
        if let Some(extras) = &mut self.extras {
            extras.rescale(price_factor);
        }
    }

    fn native(&self, values: &[f64]) -> Vec<f64> {
        self.plan.natives().map(|at| values[at]).collect()
    }
}
