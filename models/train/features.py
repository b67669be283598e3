"""Model features: expressions over the columns of `technic features`, ranked in yesterday's quantile tables.

The formulas are stated in `docs/adr/0004-ranks-by-quantile-tables.md`; the list is `models/features.toml`.
"""

import dataclasses
import pathlib
import tomllib

import numpy as np

# Knots of a table: enough for a rank within half a percent, and 65 numbers a column are a small message.
N_KNOTS = 65
# A table of fewer values would be noise; its ranks are missing instead.
N_VALUES_MIN = 200


@dataclasses.dataclass(frozen=True)
class Feature:
    """One derived value: `expression` over plan columns, whose rank the models may read as `rank_<name>`."""

    name: str
    expression: str
    columns: tuple[str, ...]

    def evaluate(self, column):
        """Its value for all rows in 64-bit arithmetic; `column` gives a plan column or the close by name. What is not
        finite (a missing operand, a division by zero) is missing."""
        operands = [column(name) for name in self.columns]
        with np.errstate(all="ignore"):
            value = EXPRESSIONS[self.expression][1](*operands)
        return np.where(np.isfinite(value), value, np.nan)


# Name: number of operands, formula. Closed: serving implements exactly these.
EXPRESSIONS = {
    "identity": (1, lambda a: a),
    "ratio": (2, lambda a, b: a / b - 1.0),
    "growth_ratio": (2, lambda a, b: (1.0 + a) / (1.0 + b) - 1.0),
}


@dataclasses.dataclass(frozen=True)
class Universe:
    """Whose values make the tables, and whom the models are trained and measured on."""

    price_min: float
    dollar_volume_min: float

    def contains(self, price, dollar_volume):
        return (price > self.price_min) & (dollar_volume > self.dollar_volume_min)


def read_spec(path: pathlib.Path) -> tuple[Universe, list[Feature]]:
    spec = tomllib.loads(path.read_text())
    features = [Feature(f["name"], f["expression"], tuple(f["columns"])) for f in spec["feature"]]
    for feature in features:
        if feature.expression not in EXPRESSIONS or len(feature.columns) != EXPRESSIONS[feature.expression][0]:
            raise ValueError(f"feature `{feature.name}` is no known expression of its columns")
    if len({feature.name for feature in features}) != len(features):
        raise ValueError("a feature is listed twice")
    if spec["table"]["knots"] != N_KNOTS or spec["table"]["values_min"] != N_VALUES_MIN:
        raise ValueError("the tables are stated differently from how they are computed")
    return Universe(**spec["universe"]), features


def quantile_table(values: np.ndarray) -> np.ndarray | None:
    """Minimum, 63 quantiles and maximum of the values that are not missing: knot k lies at position k/64·(n−1) of the
    sorted values, between two of them on the straight line (`a + (b − a)·fraction`)."""
    values = np.sort(values[~np.isnan(values)])
    if len(values) < N_VALUES_MIN:
        return None
    position = np.arange(N_KNOTS) * (len(values) - 1) / (N_KNOTS - 1)
    below = np.floor(position).astype(np.int64)
    above = np.minimum(below + 1, len(values) - 1)
    return values[below] + (values[above] - values[below]) * (position - below)


def rank_in_table(values: np.ndarray, table: np.ndarray | None) -> np.ndarray:
    """Where values lie in a table, 0 to 1, as 32-bit floats.

    Between two knots on the straight line; on a knot its place, on several equal ones the middle of their places;
    outside 0 or 1. Missing is missing, and everything is without a table.
    """
    if table is None:
        return np.full(len(values), np.nan, np.float32)
    low = np.searchsorted(table, values, side="left")  # knots below the value
    high = np.searchsorted(table, values, side="right")  # knots below or equal
    left, right = np.clip(low - 1, 0, N_KNOTS - 1), np.clip(low, 0, N_KNOTS - 1)
    with np.errstate(all="ignore"):
        between = (low - 1) + (values - table[left]) / (table[right] - table[left])
    place = np.where(high > low, (low + high - 1) / 2.0, between)
    place = np.where((high == low) & (low == 0), 0.0, place)
    place = np.where((high == low) & (low == N_KNOTS), N_KNOTS - 1.0, place)
    return np.where(np.isnan(values), np.nan, place / (N_KNOTS - 1)).astype(np.float32)


def session_tables(values: np.ndarray, members: np.ndarray, bounds: np.ndarray) -> list[np.ndarray | None]:
    """One table per session, of the members' values; rows are sorted by session, `bounds` are where sessions start."""
    return [
        quantile_table(values[start:end][members[start:end]]) for start, end in zip(bounds[:-1], bounds[1:], strict=True)
    ]


def ranks(values: np.ndarray, members: np.ndarray, bounds: np.ndarray, lag: int = 1) -> np.ndarray:
    """Every row's rank in the tables of the session `lag` before its own; without such a session, missing."""
    tables = session_tables(values, members, bounds)
    out = np.full(len(values), np.nan, np.float32)
    for session in range(lag, len(bounds) - 1):
        rows = slice(bounds[session], bounds[session + 1])
        out[rows] = rank_in_table(values[rows], tables[session - lag])
    return out
