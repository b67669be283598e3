"""The cold scan as one would write it well in Python: polars reads, TA-Lib computes, XGBoost predicts, ranks score.

    python scan.py DATA MODELS OUT.json [--as-of YYYY-MM-DD]

The same folder, the same models, and the columns that TA-Lib has on the last 260 bars of every symbol; the same shape of
scores, without quality reports, trade plans, regime and texts, so it has less to do than `technic scan`. Prints the time by
stage to stderr. Needs: pip install polars ta-lib xgboost
"""

import json
import sys
import time
import tomllib
from pathlib import Path

STARTED = time.perf_counter()
LAPS = []


def lap(name):
    LAPS.append((name, time.perf_counter()))


import numpy as np  # noqa: E402
import polars as pl  # noqa: E402
import talib  # noqa: E402
import xgboost  # noqa: E402

lap("import")

N_BARS = 260
N_BARS_MIN = 20
BARS = ["open", "high", "low", "close", "volume"]


def read(folder, as_of):
    """The last bars of each symbol's newest segment, prices on the basis of the last of them."""
    frame = pl.scan_parquet(folder / "daily_bars.parquet").select("symbol", "date", *BARS, "split_factor", "seg")
    if as_of:
        frame = frame.filter(pl.col("date") <= pl.lit(as_of).str.to_date())
    frame = frame.collect().sort("symbol", "date", maintain_order=True)
    frame = frame.filter(pl.col("seg") == pl.col("seg").last().over("symbol"))
    factor = pl.col("split_factor") / pl.col("split_factor").last().over("symbol")
    prices = [pl.col(name) * factor for name in BARS[:4]]
    frame = frame.with_columns(*prices, volume=pl.col("volume") / factor)
    sizes = frame.group_by("symbol", maintain_order=True).len()
    columns = {name: frame[name].to_numpy() for name in BARS}
    return sizes["symbol"].to_list(), sizes["len"].to_numpy(), columns


def last(values, back=1):
    return values[-back] if len(values) >= back else np.nan


def indicators(o, h, l, c, v):
    """The newest value of each column."""
    t = talib
    sma = {n: last(t.SMA(c, n)) for n in (10, 20, 50, 200)}
    upper, middle, lower = t.BBANDS(c, 20)
    macd, macd_signal, macd_hist = t.MACD(c)
    slow_k, slow_d = t.STOCH(h, l, c, 14, 3, 0, 3, 0)
    rsi_5k, rsi_5d = t.STOCHRSI(c, 14, 5, 3)
    rsi_14k, rsi_14d = t.STOCHRSI(c, 14, 14, 3)
    down, up = t.AROON(h, l, 25)
    atr = last(t.ATR(h, l, c, 14))
    returns = c[1:] / c[:-1] - 1
    dollars = c * v
    row = {
        "sma10": sma[10], "sma20": sma[20], "sma50": sma[50], "sma200": sma[200],
        "ema8": last(t.EMA(c, 8)), "ema21": last(t.EMA(c, 21)), "ema50": last(t.EMA(c, 50)),
        "keltner_mid20": last(t.EMA(c, 20)), "rsi14": last(t.RSI(c, 14)),
        "macd": last(macd), "macd_signal": last(macd_signal), "macd_hist": last(macd_hist),
        "trange": last(t.TRANGE(h, l, c)), "atr14": atr, "natr14": last(t.NATR(h, l, c, 14)),
        "plus_di14": last(t.PLUS_DI(h, l, c, 14)), "minus_di14": last(t.MINUS_DI(h, l, c, 14)),
        "adx14": last(t.ADX(h, l, c, 14)), "bb_upper20": last(upper), "bb_mid20": last(middle),
        "bb_lower20": last(lower), "stoch_k": last(slow_k), "stoch_d": last(slow_d),
        "stochrsi_14_5_3_k": last(rsi_5k), "stochrsi_14_5_3_d": last(rsi_5d),
        "stochrsi_14_14_3_k": last(rsi_14k), "stochrsi_14_14_3_d": last(rsi_14d),
        "cci20": last(t.CCI(h, l, c, 20)), "mfi14": last(t.MFI(h, l, c, v, 14)), "obv": last(t.OBV(c, v)),
        "willr14": last(t.WILLR(h, l, c, 14)), "roc10": last(t.ROC(c, 10)), "mom10": last(t.MOM(c, 10)),
        "trix15": last(t.TRIX(c, 15)), "trix30": last(t.TRIX(c, 30)), "ultosc": last(t.ULTOSC(h, l, c)),
        "aroon_down25": last(down), "aroon_up25": last(up), "aroonosc25": last(t.AROONOSC(h, l, 25)),
        "sar": last(t.SAR(h, l)), "kama10": last(t.KAMA(c, 10)), "kama30": last(t.KAMA(c, 30)),
        "ad": last(t.AD(h, l, c, v)), "adosc": last(t.ADOSC(h, l, c, v, 3, 10)),
        "ppo_12_26_sma": last(t.PPO(c, 12, 26, 0)), "ppo_12_26_ema": last(t.PPO(c, 12, 26, 1)),
        "linreg_slope20": last(t.LINEARREG_SLOPE(c, 20)), "donchian_up20": last(t.MAX(h, 20)),
        "donchian_lo20": last(t.MIN(l, 20)), "donchian_mid20": last(t.MIDPRICE(h, l, 20)),
        "ichimoku_tenkan": last(t.MIDPRICE(h, l, 9)), "ichimoku_kijun": last(t.MIDPRICE(h, l, 26)),
        "ichimoku_span_b": last(t.MIDPRICE(h, l, 52)),
        "high252": last(t.MAX(c, 252)) if len(c) >= 252 else np.nan,
        "low252": last(t.MIN(c, 252)) if len(c) >= 252 else np.nan,
        "close": c[-1], "atr_pct": atr / c[-1],
        "dollar_vol_20": dollars[-20:].mean(), "rvol20": v[-1] / v[-20:].mean(),
        "vol_spike_ratio": dollars[-1] / dollars[-20:].mean(),
        "pct_from_high20": (c[-1] / c[-20:].max() - 1) * 100, "pct_from_low20": (c[-1] / c[-20:].min() - 1) * 100,
        "ma_slope_20": last(t.LINEARREG_SLOPE(t.SMA(c, 20), 20)) / sma[20] if len(c) >= 39 else np.nan,
        "trend_strength50": (c[-1] - sma[50]) / c[-50:].std(ddof=1) if len(c) >= 50 else np.nan,
    }
    row["dist_high252"] = c[-1] / row["high252"] - 1
    row["dist_low252"] = c[-1] / row["low252"] - 1
    for n in (1, 5, 10, 21, 63, 126, 252):
        row[f"ret_{n}d"] = c[-1] / c[-1 - n] - 1 if len(c) > n else np.nan
    for n in (10, 20, 60):
        row[f"vol_realized_{n}"] = returns[-n:].std(ddof=1) * np.sqrt(252) if len(returns) >= n else np.nan
    return row


def features(table, recipes):
    """The models' inputs: ranks over the universe, 0 to 1."""
    ranks = {}
    for recipe in recipes:
        values = [table[name] for name in recipe["columns"]]
        match recipe["expression"]:
            case "identity":
                value = values[0]
            case "ratio":
                value = values[0] / values[1] - 1
            case "growth_ratio":
                value = (1 + values[0]) / (1 + values[1]) - 1
        value = pl.Series(value).fill_nan(None)
        ranks[f"rank_{recipe['name']}"] = (value.rank() / value.count()).to_numpy()
    return ranks


def predict(models, ranks):
    predictions = {}
    for name in ("alpha_5d", "alpha_10d", "win_prob_10d"):
        booster = xgboost.Booster(model_file=sorted((models / name).glob("*/model.json"))[-1])
        manifest = tomllib.loads(sorted((models / name).glob("*/manifest.toml"))[-1].read_text())
        matrix = np.column_stack([ranks[feature] for feature in manifest["features"]["names"]])
        predictions[name] = booster.inplace_predict(matrix)
    return predictions


def score(symbols, table, predictions):
    """Ranks and the weighted sum of MERIT."""
    col = pl.col
    pct = lambda column: 100 * column.rank() / column.count()
    frame = pl.DataFrame({"symbol": symbols, **table, **predictions}).fill_nan(None)
    trend = sum(
        (col("close") > col(name)).cast(pl.Float64) for name in ("sma20", "sma50", "sma200", "ema21", "kama30")
    )
    frame = frame.with_columns(tech=trend + col("rsi14") / 20 + (col("macd_hist") > 0).cast(pl.Float64) * 2)
    frame = frame.with_columns(
        tech_pct=pct(col("tech")), alpha_pct=pct(col("alpha_5d") + col("alpha_10d")),
        liquidity=pct(col("dollar_vol_20").clip(1).log10()), safety=100 - pct(col("atr_pct")),
        stability=(100 * (1 - 50 * col("atr_pct"))).clip(0, 100),
    )
    ics = 0.3 * col("tech_pct") + 0.2 * col("alpha_pct") + 0.1 * col("stability") + 0.1 * col("liquidity") + 15
    frame = frame.with_columns(ics=ics.clip(0, 100))
    merit = (
        0.26 * col("tech_pct") + 0.22 * col("alpha_pct") + 18 * col("win_prob_10d") + 0.14 * col("ics") + 7
        + 0.04 * col("liquidity") + 0.02 * col("safety") + 0.2 * (50 - (col("tech_pct") - col("alpha_pct")).abs())
        - 8 * (col("dollar_vol_20") < 5e6) - 6 * (col("atr_pct") > 0.08) - 4 * (col("atr_pct") > 0.05)
    )
    return frame.with_columns(merit=merit.clip(0, 100)).sort("merit", descending=True, nulls_last=True)


def main():
    arguments = sys.argv[1:]
    as_of = None
    if "--as-of" in arguments:
        at = arguments.index("--as-of")
        as_of = arguments[at + 1]
        del arguments[at : at + 2]
    folder, models, out = map(Path, arguments)
    symbols, sizes, columns = read(folder, as_of)
    lap("read")

    rows, ranked, end = [], [], 0
    for symbol, size in zip(symbols, sizes):
        end += size
        if size >= N_BARS_MIN:
            of = slice(max(end - N_BARS, end - size), end)
            rows.append(indicators(*(np.ascontiguousarray(columns[name][of]) for name in BARS)))
            ranked.append(symbol)
    table = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    lap("indicator")

    recipes = tomllib.loads((models / "features.toml").read_text())["feature"]
    predictions = predict(models, features(table, recipes))
    lap("inference")

    frame = score(ranked, table, predictions)
    lap("scoring")
    out.write_text(json.dumps({"scored": len(ranked), "results": frame.to_dicts()}))
    lap("write")

    before, stages = STARTED, {}
    for name, at in LAPS:
        stages[name] = round((at - before) * 1000)
        before = at
    print(json.dumps({"scored": len(ranked), "elapsed_ms": round((before - STARTED) * 1000), "stage_ms": stages}),
          file=sys.stderr)


if __name__ == "__main__":
    main()
