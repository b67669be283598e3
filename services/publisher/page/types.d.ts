// Shapes of what the server sends, as far as the page reads them; /openapi.json has all of it.

export interface Row {
  symbol: string;
  as_of: string;
  close: number;
  name: string | null;
  sector: string | null;
  industry: string | null;
  market_cap: number | null;
  atr_pct: number | null;
  dollar_volume_20: number | null;
  merit: number;
  merit_band: string;
  merit_flags: string;
  merit_summary: string;
  tech_rating: number | null;
  ics: number;
  quality: number | null;
  alpha_5d: number | null;
  alpha_10d: number | null;
  win_prob_10d: number | null;
  signal: string;
  entry: number | null;
  stop: number | null;
  target: number | null;
  reward_risk: number | null;
  position_size: number | null;
  setup: string | null;
  live_plan?: {
    state: string;
    direction: string;
    entry: number;
    stop: number;
    target: number;
    armed_ns: number;
    since_ns: number;
    n_bars: number;
    fill?: number;
    exit?: number;
    advice?: { stop: number; notes: string[] };
    changes?: { state: string; price: number }[];
  };
  no_plan: string | null;
  excluded: string | null;
  liquidity_note: string | null;
  result_tier: string;
  investor_tier: string;
  play_style: string;
  is_ultra_risky: boolean;
  events: {
    days_to_next_earnings: number | null;
    days_since_last_earnings: number | null;
    days_to_dividend_ex: number | null;
    surprise_streak: number | null;
    avg_surprise_bp: number | null;
    last_surprise_bp: number | null;
  } | null;
  outcomes?: {
    bucket: number;
    n: number;
    mean_5d: number | null;
    hit_5d: number | null;
    mean_10d: number | null;
    hit_10d: number | null;
  };
  factors: {
    value_score: number | null;
    quality_factor: number | null;
    growth_score: number | null;
    sector_z: Record<string, number>;
  } | null;
  profiles: { profile: string; breaks: string | null }[];
  rules: { rule: string; label: string; is_met: boolean }[];
  breakdown: {
    merit: Record<string, number>;
    ics: Record<string, number>;
    tech_rating: Record<string, number> | null;
  };
  freshness: { open_time_ns: number; is_final: boolean; n_bars: number; is_synthetic: boolean; is_replayed: boolean };
}

/** A row of the table, and what this page noted of it. */
export interface Entry {
  row: Row;
  /** When it came, by the page's clock; 0 for one of a snapshot. */
  changedAt: number;
  /** How MERIT changed with the last update. */
  delta: number;
  /** The last MERITs: times in seconds and values. */
  trace: [number[], number[]] | null;
  /** For the search, in lower case. */
  text: string;
}

export interface Bar {
  time: string;
  open: number | null;
  high: number | null;
  low: number | null;
  close: number;
  volume: number;
  is_final: boolean;
}

export interface Detail extends Row {
  rank: number | null;
  ranked: number;
  change: number | null;
  plan: {
    setup: string | null;
    entry: number;
    stop: number;
    target: number;
    reward_risk: number | null;
    position_size: number | null;
    risk: number | null;
  } | null;
  why: { label: string; rule: string }[];
  why_not: { label: string; rule: string }[];
  bars: Bar[] | null;
  no_bars: string | null;
  series: Record<string, (number | null)[]>;
  indicators: Record<string, number | null>;
}

export interface Market {
  as_of: string;
  benchmark: string;
  trend: string;
  vol: string;
  label: string;
  is_risk_on: boolean;
  vol_per_year: number | null;
  vol_level: string | null;
  growth_ret20: number | null;
}

export interface Status {
  data: string;
  source: string | null;
  epoch: string;
  rows: number;
  rows_live: number;
  as_of: string | null;
  lag_ms: number | null;
  burst_ms: number | null;
  burst_results: number | null;
  clients: number;
  version: string;
  cache?: { hit_rate?: number | null } | null;
}

export interface Filters {
  search: string;
  minMerit: number;
  bands: string[];
  signals: string[];
  sector: string | null;
  profile: string;
  watchlist: boolean;
}

export interface Settings {
  theme: "auto" | "light" | "dark";
  columns: string[];
  sort: { key: string; descending: boolean };
  filters: Filters;
  watchlists: Record<string, string[]>;
  watchlist: string;
  flash: boolean;
}

export interface Connection {
  state: "connecting" | "locked" | "live" | "waiting" | "restarting";
  detail: string;
  nReconnects: number;
  resumed: boolean;
}
