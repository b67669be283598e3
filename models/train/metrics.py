"""What a prediction is worth, measured per session."""

import numpy as np

from labels import average_places

# A session with fewer rows says nothing.
N_ROWS_MIN = 50


def daily_rank_ic(prediction: np.ndarray, outcome: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Spearman's correlation of every session, NaN where a session has too few rows or a constant prediction."""
    out = np.full(len(bounds) - 1, np.nan)
    for session, (start, end) in enumerate(zip(bounds[:-1], bounds[1:], strict=True)):
        x, y = prediction[start:end], outcome[start:end]
        known = ~(np.isnan(x) | np.isnan(y))
        if known.sum() < N_ROWS_MIN:
            continue
        x, y = average_places(x[known]), average_places(y[known])
        x, y = x - x.mean(), y - y.mean()
        scale = np.sqrt((x @ x) * (y @ y))
        if scale > 0:
            out[session] = (x @ y) / scale
    return out


def newey_west_t(values: np.ndarray, lags: int) -> float:
    """t of the mean, with Bartlett weights over `lags`: labels of neighbouring sessions overlap."""
    values = values[~np.isnan(values)]
    n = len(values)
    if n < 2:
        return float("nan")
    centred = values - values.mean()
    variance = centred @ centred / n
    for lag in range(1, min(lags, n - 1) + 1):
        variance += 2.0 * (1.0 - lag / (lags + 1.0)) * (centred[lag:] @ centred[:-lag]) / n
    return float(values.mean() / np.sqrt(variance / n)) if variance > 0 else float("nan")


def deciles(prediction: np.ndarray, outcome: np.ndarray, bounds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean outcome of every session's lowest and highest tenth of the predictions; NaN without predictions."""
    bottom, top = np.full(len(bounds) - 1, np.nan), np.full(len(bounds) - 1, np.nan)
    for session, (start, end) in enumerate(zip(bounds[:-1], bounds[1:], strict=True)):
        x, y = prediction[start:end], outcome[start:end]
        known = ~(np.isnan(x) | np.isnan(y))
        if known.sum() < N_ROWS_MIN:
            continue
        y = y[known][np.argsort(x[known], kind="stable")]
        tenth = len(y) // 10
        bottom[session], top[session] = y[:tenth].mean(), y[-tenth:].mean()
    return bottom, top


def top_decile(prediction: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Whether a row is in its session's highest tenth."""
    out = np.zeros(len(prediction), bool)
    for start, end in zip(bounds[:-1], bounds[1:], strict=True):
        known = start + np.flatnonzero(~np.isnan(prediction[start:end]))
        if len(known) >= N_ROWS_MIN:
            out[known[np.argsort(prediction[known], kind="stable")[-(len(known) // 10) :]]] = True
    return out


def turnover(members: np.ndarray, symbol: np.ndarray, bounds: np.ndarray, every: int) -> float:
    """Share of the members that were none `every` sessions before, on average."""
    shares = []
    for session in range(every, len(bounds) - 1):
        now, before = (
            symbol[bounds[s] : bounds[s + 1]][members[bounds[s] : bounds[s + 1]]] for s in (session, session - every)
        )
        if len(now) and len(before):
            shares.append(1.0 - np.isin(now, before).mean())
    return float(np.mean(shares)) if shares else float("nan")


def calibration_table(prediction: np.ndarray, outcome: np.ndarray, n_bins: int = 10) -> list[tuple[int, float, float]]:
    """Rows, mean prediction and mean outcome of bins of equal size, lowest predictions first."""
    known = ~(np.isnan(prediction) | np.isnan(outcome))
    prediction, outcome = prediction[known], outcome[known]
    order = np.argsort(prediction, kind="stable")
    return [(len(rows), prediction[rows].mean(), outcome[rows].mean()) for rows in np.array_split(order, n_bins)]


def calibration_error(table: list[tuple[int, float, float]]) -> float:
    """Expected calibration error: the bins' distances of prediction and outcome, weighted by their rows."""
    return sum(n * abs(predicted - observed) for n, predicted, observed in table) / sum(n for n, _, _ in table)
