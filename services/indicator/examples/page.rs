//! Prints docs/indicators.md.
//!
//! `cargo run --release -p indicator --example page > docs/indicators.md`; a test fails when the page is not this.

use std::fmt::Write as _;

fn main() {
    print!("{}", page());
}

/// Native columns: names, units, what it is, its source.
const NATIVE: &[(&[&str], &str, &str, &str)] = &[
    (&["n_bars"], "bars", "bars of the segment, this one included", "own"),
    (&["sma10", "sma20", "sma50", "sma200"], "price", "simple moving average of closes", "TA-Lib `SMA`"),
    (&["ema8", "ema21", "ema50"], "price", "exponential moving average, seeded with a mean", "TA-Lib `EMA`"),
    (
        &["rsi14"],
        "0…100",
        "relative strength index; 0 where nothing moved",
        "J. W. Wilder 1978; TA-Lib `RSI` (C 0.8.1)",
    ),
    (&["macd", "macd_signal", "macd_hist"], "price", "convergence/divergence 12, 26, 9", "G. Appel; TA-Lib `MACD`"),
    (&["trange"], "price", "true range", "J. W. Wilder 1978; TA-Lib `TRANGE`"),
    (&["atr14"], "price", "average true range", "J. W. Wilder 1978; TA-Lib `ATR`"),
    (&["natr14"], "% of close", "average true range over the close", "J. Forman 2006; TA-Lib `NATR`"),
    (
        &["plus_di14", "minus_di14"],
        "0…100",
        "directional indicators",
        "J. W. Wilder 1978; TA-Lib `PLUS_DI`, `MINUS_DI`",
    ),
    (&["adx14"], "0…100", "average directional index", "J. W. Wilder 1978; TA-Lib `ADX`"),
    (
        &["bb_upper20", "bb_mid20", "bb_lower20"],
        "price",
        "mean of 20 and two population deviations",
        "J. Bollinger; TA-Lib `BBANDS`",
    ),
    (&["stoch_k", "stoch_d"], "0…100", "stochastic 14, 3, 3", "G. Lane; TA-Lib `STOCH`"),
    (
        &["stochrsi_14_5_3_k", "stochrsi_14_5_3_d", "stochrsi_14_14_3_k", "stochrsi_14_14_3_d"],
        "0…100",
        "place of RSI14 in its range of 5 or 14 bars, and its mean of 3",
        "T. Chande, S. Kroll 1994; TA-Lib `STOCHRSI`",
    ),
    (&["cci20"], "mean deviations / 0.015", "commodity channel index", "D. Lambert 1980; TA-Lib `CCI`"),
    (
        &["mfi14"],
        "0…100",
        "money flow index; 0 where less than one unit of currency flowed",
        "G. Quong, A. Soudack 1989; TA-Lib `MFI` (C 0.8.1)",
    ),
    (&["obv"], "shares", "on-balance volume, from the first volume on", "J. Granville 1963; TA-Lib `OBV`"),
    (&["willr14"], "−100…0", "Williams %R", "L. Williams; TA-Lib `WILLR`"),
    (&["roc10"], "%", "rate of change", "TA-Lib `ROC`"),
    (&["mom10"], "price", "momentum", "TA-Lib `MOM`"),
    (&["trix15", "trix30"], "%", "gain of a triple exponential average", "J. Hutson 1983; TA-Lib `TRIX`"),
    (&["ultosc_7_14_28"], "0…100", "ultimate oscillator", "L. Williams 1985; TA-Lib `ULTOSC`"),
    (
        &["aroon_up25", "aroon_down25", "aroonosc25"],
        "0…100; −100…100",
        "age of the extremes of 26 bars",
        "T. Chande 1995; TA-Lib `AROON`, `AROONOSC`",
    ),
    (&["sar_002_02"], "price", "parabolic stop and reverse", "J. W. Wilder 1978; TA-Lib `SAR`"),
    (&["kama10", "kama30"], "price", "adaptive moving average", "P. Kaufman 1995; TA-Lib `KAMA`"),
    (
        &["ad", "adosc_3_10"],
        "shares",
        "accumulation/distribution and its oscillator",
        "M. Chaikin; TA-Lib `AD`, `ADOSC`",
    ),
    (&["ppo_12_26_sma", "ppo_12_26_ema"], "%", "fast average over a slow one", "TA-Lib `PPO`"),
    (&["linreg_slope20"], "price a bar", "slope of the least-squares line", "TA-Lib `LINEARREG_SLOPE`"),
    (&["cmf20"], "−1…1", "Chaikin money flow; missing without volume", "M. Chaikin; specification §2.5"),
    (&["vwap20"], "price", "mean typical price by volume", "specification §2.5"),
    (
        &["donchian_up20", "donchian_mid20", "donchian_lo20"],
        "price",
        "highest high, lowest low, their middle",
        "R. Donchian; specification §2.5",
    ),
    (
        &["high_5", "low_5", "high_10", "low_10"],
        "price",
        "highest high and lowest low of 5 and 10 bars",
        "specification §13.3",
    ),
    (
        &["keltner_up20", "keltner_mid20", "keltner_lo20"],
        "price",
        "EMA 20 and two ATR 10",
        "C. Keltner, L. Raschke; specification §2.5",
    ),
    (&["hv20"], "a year", "sample deviation of log returns × √252", "specification §2.5"),
    (
        &["ret_1d", "ret_5d", "ret_10d", "ret_21d", "ret_63d", "ret_126d", "ret_252d"],
        "fraction",
        "gain over so many bars",
        "specification §2.1, §4",
    ),
    (
        &["vol_realized_10", "vol_realized_20", "vol_realized_60"],
        "a year",
        "sample deviation of returns × √252",
        "specification §2.1",
    ),
    (
        &["atr_pct_14", "atr_pct_simple_14"],
        "fraction of close",
        "average true range, Wilder's and the plain mean",
        "specification §2.1, §4",
    ),
    (&["sma_20_above_50"], "0 or 1", "whether `sma20` is above `sma50`", "specification §2.1"),
    (&["trend_strength50"], "deviations", "close from its mean of 50", "specification §2.2"),
    (&["ma_slope_20"], "fraction a bar", "slope of the last 20 `sma20`", "specification §4"),
    (
        &["pct_from_high20", "pct_from_low20"],
        "%",
        "close from the extreme closes of 20 bars",
        "specification §2.1, §2.3",
    ),
    (&["dist_high252", "dist_low252"], "fraction", "close from the extreme closes of a year", "specification §2.1"),
    (&["dollar_vol_20"], "currency", "mean of close × volume", "specification §2.1"),
    (&["vol_spike_ratio"], "ratio", "close × volume over `dollar_vol_20`", "specification §2.1"),
    (&["rvol20"], "ratio", "volume over its mean of 20", "specification §2.2"),
    (
        &["gap_pct", "gap_mean_10"],
        "fraction",
        "jump from close to open, and the mean size of ten",
        "specification §2.1",
    ),
    (&["supertrend", "supertrend_direction"], "price; 1 or −1", "stop of three ATR 10", "O. Seban"),
    (
        &["ichimoku_tenkan", "ichimoku_kijun", "ichimoku_span_a", "ichimoku_span_b"],
        "price",
        "middles of 9, 26, 52 bars, not shifted",
        "G. Hosoda 1969",
    ),
    (&["heikin_ashi_trend"], "1, 0, −1", "colour of the averaged bar", "D. Valcu 2004"),
];

pub(crate) fn page() -> String {
    let mut page = String::from(TOP);
    let mut row = |cells: &[&str]| writeln!(page, "| {} |", cells.join(" | ")).expect("a string takes it");
    for (columns, units, about, source) in NATIVE {
        let needs: Vec<u32> = columns.iter().filter_map(|column| indicator::need(column)).collect();
        let mut needs: Vec<String> = needs.iter().map(ToString::to_string).collect();
        needs.dedup();
        let of_range = columns.iter().filter(|column| indicator::needs_range(column) == Some(true)).count();
        let range = match of_range {
            0 => "",
            n if n == columns.len() => "yes",
            _ => "in part",
        };
        row(&[&code(columns), units, &needs.join(", "), range, about, source]);
    }
    page.push_str(EXTRAS);
    let mut group = "";
    for entry in indicator::catalogue() {
        if group != entry.group {
            group = entry.group;
            let head = if entry.text.starts_with("ta:") { "TA-Lib: " } else { "" };
            write!(page, "\n### {head}{group}\n\n| text | columns | bars | |\n|---|---|---|---|\n")
                .expect("a string takes it");
        }
        let columns: Vec<&str> = entry.columns.iter().map(String::as_str).collect();
        writeln!(page, "| `{}` | {} | {} | {} |", entry.text, code(&columns), entry.need, entry.about)
            .expect("a string takes it");
    }
    page.push_str(REFUSED);
    for (name, instead) in indicator::refused_functions() {
        writeln!(page, "- `{name}`: {instead}").expect("a string takes it");
    }
    page
}

fn code(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

const TOP: &str = "\
# Indicators

Every column of a feature batch, and everything that can be added to it. Made by
`cargo run --release -p indicator --example page > docs/indicators.md`.

A column is missing until its bars are there, where it is undefined, and never zero instead. Conventions are TA-Lib's with
an unstable period of 0; numbers agree with it to 1e-9. An average that never forgets has its first value with the bar that
is given, not its final one.

## Native columns

Computed by the SIMD engine for every symbol, in this order. *bars*: those of a segment up to the first value. *range*:
whether open, high or low is needed; such a column is missing from the first bar that knows its close only (`close_only`)
to the end of the segment.

| columns | units | bars | range | what | source |
|---|---|---|---|---|---|
";

const EXTRAS: &str = "
## Extras

A plan adds columns behind the native ones, each asked for by a text:

```
[name =] indicator(key = value, …)
```

`rsi(9)` and `rsi(period = 9)` are the same; what is left out has its default. A name in front names the column, as small
letters, digits and `_`; an indicator of several values appends what tells them apart: `slow = macd(5, 35, 5)` gives
`slow_line`, `slow_signal`, `slow_hist`. Without a name the column is called after the indicator and what is given:
`rsi9`, `ta_wma_30`. A formula at the parameters of a native column is that column. A text that asks for nothing that there
is has an error that names what is wrong and what there is; all errors are reported together.

`ta:` begins the name of a function of the crate `ta-lib` 0.8.3, which computes it. Its
parameters are called as in TA-Lib (`optInFastPeriod` is `fast_period`, `optInTimePeriod` is `period`), a moving average
type is one of `sma`, `ema`, `wma`, …, and a series of the caller's choice is `in` (or `in0`, `in1`): `open`, `high`, `low`,
`close` or `volume`. Patterns of bars are 100 where one points up, −100 down, 0 where there is none; some also have 80 or
200. `candlesticks` asks for a first set of sixteen of them.

Extras follow the rules of native columns: a forming bar leaves no trace, the newest bar can be corrected, a restart goes on
to the bit, a refused bar leaves nothing. Their state is kept as bars, up to twice as many as the plan needs: for a window,
such as a pattern of bars, 64 or twice its warm-up; for what never forgets, thirty times its warm-up, at least 1,024 and at
most 4,096. What came before them has faded: to 1e-9 at the defaults of every function, and less where an average of more
than 200 bars meets the upper bound. Of a bar only the numbers are kept that the plan reads, 8 bytes each: a pattern costs
up to 4 KB a symbol and timeframe, an average of closes up to 16 KB. A plan without extras costs nothing.

A session is that of New York: from `from` (half past nine) to midnight. Columns of the session are missing on daily bars,
in a session whose beginning was not seen, and where a bar is astride the beginning, such as an hourly one at nine.
";

const REFUSED: &str = "
## Not served

These add up from the first bar ever, or count its place, and no bar is kept for ever. Their level would depend on when the
process started.

";
