use super::random::Random;

/// GICS-like sector names.
pub(super) const SECTORS: [&str; 11] = [
    "Communication Services",
    "Consumer Discretionary",
    "Consumer Staples",
    "Energy",
    "Financials",
    "Health Care",
    "Industrials",
    "Information Technology",
    "Materials",
    "Real Estate",
    "Utilities",
];

/// Share of a session's variance that happens before the open.
pub(super) const OVERNIGHT_SHARE: f64 = 0.25;

/// Per session, in log return.
const MARKET_VOLATILITY: f64 = 0.009;
const MARKET_DRIFT: f64 = 0.0003;
const SECTOR_VOLATILITY: f64 = 0.006;

/// Variance that clusters: a multiple of the long-run variance, 1 on average.
///
/// # Source
/// Bollerslev (1986), GARCH(1,1), with parameters usual for daily stock returns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cluster {
    variance: f64,
}

impl Cluster {
    const REACTION: f64 = 0.09;
    const PERSISTENCE: f64 = 0.89;
    /// Keeps a run of jumps from feeding on itself.
    const VARIANCE_MAX: f64 = 20.0;

    pub(super) fn new() -> Self {
        Self { variance: 1.0 }
    }

    /// Multiple of the long-run volatility that holds for this session.
    pub(super) fn scale(self) -> f64 {
        self.variance.sqrt()
    }

    /// `shock` is the session's return in long-run volatilities.
    pub(super) fn close(&mut self, shock: f64) {
        let base = 1.0 - Self::REACTION - Self::PERSISTENCE;
        let variance = base + Self::REACTION * shock * shock + Self::PERSISTENCE * self.variance;
        self.variance = variance.min(Self::VARIANCE_MAX);
    }
}

/// What moves all companies: the sums of the log returns of the market and of each sector.
pub(super) struct Factors {
    market: Factor,
    sectors: [Factor; SECTORS.len()],
}

struct Factor {
    level: f64,
    volatility: f64,
    cluster: Cluster,
    /// Return of the session so far, without drift.
    shock: f64,
}

impl Factor {
    fn new(volatility: f64) -> Self {
        Self { level: 0.0, volatility, cluster: Cluster::new(), shock: 0.0 }
    }

    fn advance(&mut self, share_of_variance: f64, drift: f64, random: &mut Random) {
        let shock = self.volatility * self.cluster.scale() * share_of_variance.sqrt() * random.normal();
        self.shock += shock;
        self.level += shock + drift * share_of_variance;
    }

    fn close(&mut self) {
        self.cluster.close(self.shock / self.volatility);
        self.shock = 0.0;
    }
}

impl Factors {
    pub(super) fn new() -> Self {
        Self {
            market: Factor::new(MARKET_VOLATILITY),
            sectors: std::array::from_fn(|_| Factor::new(SECTOR_VOLATILITY)),
        }
    }

    /// The market's and a sector's level.
    pub(super) fn levels(&self, sector: usize) -> (f64, f64) {
        (self.market.level, self.sectors[sector].level)
    }

    pub(super) fn open(&mut self, random: &mut Random) {
        self.advance(OVERNIGHT_SHARE, random);
    }

    /// A share of the session passes.
    pub(super) fn trade(&mut self, share: f64, random: &mut Random) {
        self.advance((1.0 - OVERNIGHT_SHARE) * share, random);
    }

    pub(super) fn close(&mut self) {
        self.market.close();
        self.sectors.iter_mut().for_each(Factor::close);
    }

    fn advance(&mut self, share_of_variance: f64, random: &mut Random) {
        self.market.advance(share_of_variance, MARKET_DRIFT, random);
        for sector in &mut self.sectors {
            sector.advance(share_of_variance, 0.0, random);
        }
    }
}
