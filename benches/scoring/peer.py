"""MERIT, ICS and the ranks behind them, as one would write them in pandas and in polars; prints the medians in seconds."""

import json
import sys
import time

import numpy as np
import pandas as pd
import polars as pl

N_ROUNDS = 15


def market(n):
    random = np.random.default_rng(1)
    close = random.uniform(5, 205, n)
    volume = 1e4 * np.exp(random.uniform(0, 8, n))
    return {
        "tech": random.uniform(-19, 26, n).round(1),
        "alpha": random.uniform(-0.01, 0.01, n),
        "win": random.uniform(0.4, 0.6, n),
        "atr": random.uniform(0.005, 0.055, n),
        "dollar_volume": close * volume,
        "quality": random.uniform(0, 100, n),
        "close": close,
    }


def with_pandas(columns):
    frame = pd.DataFrame(columns)
    pct = lambda column: 100 * column.rank(pct=True)
    tech, alpha = pct(frame.tech), pct(frame.alpha)
    liquidity = pct(np.log10(frame.dollar_volume.clip(lower=1)))
    safety = 100 - pct(frame.atr)
    stability = (100 * (1 - 50 * frame.atr)).clip(0, 100)
    ics = (0.3 * tech + 0.2 * alpha + 0.2 * frame.quality + 0.1 * stability + 0.1 * liquidity + 0.1 * 50).clip(0, 100)
    confluence = 0.2 * (50 - (tech - alpha).abs())
    base = 0.26 * tech + 0.22 * alpha + 18 * frame.win + 0.14 * ics + 0.14 * frame.quality
    base += 0.04 * liquidity + 0.02 * safety + confluence
    base -= 8 * (frame.dollar_volume < 5e6) + 6 * (frame.atr > 0.08) + 4 * (frame.atr > 0.05)
    frame["merit"] = base.clip(0, 100)
    frame["ics"] = ics
    return frame.sort_values("merit", ascending=False)


def with_polars(columns):
    frame = pl.DataFrame(columns).lazy()
    pct = lambda column: 100 * column.rank() / pl.len()
    col = pl.col
    return (
        frame.with_columns(
            tech_pct=pct(col("tech")),
            alpha_pct=pct(col("alpha")),
            liquidity=pct(col("dollar_volume").clip(1).log10()),
            safety=100 - pct(col("atr")),
            stability=(100 * (1 - 50 * col("atr"))).clip(0, 100),
        )
        .with_columns(
            ics=(
                0.3 * col("tech_pct") + 0.2 * col("alpha_pct") + 0.2 * col("quality") + 0.1 * col("stability")
                + 0.1 * col("liquidity") + 5
            ).clip(0, 100)
        )
        .with_columns(
            merit=(
                0.26 * col("tech_pct") + 0.22 * col("alpha_pct") + 18 * col("win") + 0.14 * col("ics")
                + 0.14 * col("quality") + 0.04 * col("liquidity") + 0.02 * col("safety")
                + 0.2 * (50 - (col("tech_pct") - col("alpha_pct")).abs())
                - 8 * (col("dollar_volume") < 5e6) - 6 * (col("atr") > 0.08) - 4 * (col("atr") > 0.05)
            ).clip(0, 100)
        )
        .sort("merit", descending=True)
        .collect()
    )


def median(run, columns):
    run(columns)
    times = []
    for _ in range(N_ROUNDS):
        started = time.perf_counter()
        run(columns)
        times.append(time.perf_counter() - started)
    return sorted(times)[N_ROUNDS // 2]


if __name__ == "__main__":
    columns = market(int(sys.argv[1]))
    print(json.dumps({"pandas": median(with_pandas, columns), "polars": median(with_polars, columns)}))
