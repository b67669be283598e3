"""The panel and its features as arrays: rows of the universe, sorted by session and symbol."""

import dataclasses
import pathlib
import subprocess

import numpy as np
import polars

import features
import labels

HORIZONS = (5, 10)


@dataclasses.dataclass
class Dataset:
    """One element per row of the universe; matrices have a feature per row."""

    days: np.ndarray  # the sessions
    bounds: np.ndarray  # where each session's rows start, and the end of the last
    session: np.ndarray
    symbol: np.ndarray
    panel_row: np.ndarray  # position in the panel, which is sorted by symbol and session
    names: list[str]
    raw: np.ndarray
    ranks: np.ndarray
    returns: dict[int, np.ndarray]
    same_close: dict[int, np.ndarray]  # excess return from the row's own close: what the usual definition would give
    excess: dict[int, np.ndarray]
    is_cut_short: dict[int, np.ndarray]  # the segment ends before the label's exit
    tables: dict[str, np.ndarray]  # of the last session

    def feature(self, name: str) -> np.ndarray:
        return self.raw[self.names.index(name)]

    def session_at(self, day: str) -> int:
        return int(np.searchsorted(self.days, np.datetime64(day)))


def compute_features(technic: pathlib.Path, bars: pathlib.Path, output: pathlib.Path) -> None:
    """The columns that serving computes, by the program that serves."""
    subprocess.run([technic, "features", "--bars", bars, "-o", output], check=True)


def load(bars: pathlib.Path, columns_file: pathlib.Path, spec: pathlib.Path) -> Dataset:
    universe, definitions = features.read_spec(spec)
    panel = polars.read_parquet(bars, columns=["symbol", "date", "close", "split_factor", "seg"])
    keys = polars.read_parquet(columns_file, columns=["symbol", "date"])
    if not (panel["symbol"].equals(keys["symbol"]) and panel["date"].equals(keys["date"])):
        raise ValueError(f"`{columns_file}` has other rows than `{bars}`")

    days, session = np.unique(panel["date"].to_physical().to_numpy(), return_inverse=True)
    symbol = panel["symbol"].rle_id().to_numpy().astype(np.int64)
    seg = panel["seg"].to_numpy()
    is_first = np.concatenate([[True], (symbol[1:] != symbol[:-1]) | (seg[1:] != seg[:-1])])
    segment = np.cumsum(is_first) - 1
    price = panel["close"].to_numpy()  # as traded: the split-adjusted one knows later splits
    adjusted = price * panel["split_factor"].to_numpy()

    def column(name):
        return polars.read_parquet(columns_file, columns=[name])[name].cast(polars.Float64).fill_null(np.nan).to_numpy()

    members = universe.contains(price, column("dollar_vol_20"))
    order = np.lexsort((symbol, session))
    order = order[members[order]]
    bounds = np.searchsorted(session[order], np.arange(len(days) + 1))
    everyone = np.ones(len(order), bool)

    raw = np.empty((len(definitions), len(order)), np.float32)
    ranks = np.empty_like(raw)
    tables = {}
    for at, definition in enumerate(definitions):
        values = definition.evaluate(column)[order]
        raw[at] = values
        ranks[at] = features.ranks(values, everyone, bounds)
        tables[f"rank_{definition.name}"] = features.quantile_table(values[bounds[-2] :])

    returns, same_close, excess, is_cut_short = {}, {}, {}, {}
    for horizon in HORIZONS:
        forward = labels.forward_returns(segment, session, adjusted, horizon)
        returns[horizon] = forward[order]
        excess[horizon] = labels.excess(returns[horizon], everyone, bounds)
        from_close = labels.forward_returns(segment, session, adjusted, horizon, skip=0)
        same_close[horizon] = labels.excess(from_close[order], everyone, bounds)
        is_cut_short[horizon] = labels.ends_before_exit(segment, session, horizon)[order]
    return Dataset(
        days=days.astype("datetime64[D]"),
        bounds=bounds,
        session=session[order],
        symbol=symbol[order],
        panel_row=order,
        names=[definition.name for definition in definitions],
        raw=raw,
        ranks=ranks,
        returns=returns,
        same_close=same_close,
        excess=excess,
        is_cut_short=is_cut_short,
        tables=tables,
    )


def earlier_prediction(data: Dataset, prediction: np.ndarray, by: int) -> np.ndarray:
    """Each row's prediction as of the same symbol's row `by` sessions before it (after it when negative); missing
    when that one is not in the universe."""
    by_panel_row = np.full(int(data.panel_row.max()) + 1, -1, np.int64)
    by_panel_row[data.panel_row] = np.arange(len(data.panel_row))
    wanted = data.panel_row - by
    is_inside = (wanted >= 0) & (wanted < len(by_panel_row))
    source = np.where(is_inside, by_panel_row[np.clip(wanted, 0, len(by_panel_row) - 1)], -1)
    # Neighbours in the panel are the same symbol only when the session moves with them.
    is_same = (source >= 0) & (data.session[source] == data.session - by)
    return np.where(is_same, prediction[source], np.nan)
