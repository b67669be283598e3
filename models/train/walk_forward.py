"""Training and prediction out of sample: expanding, purged, with an embargo."""

import dataclasses
import tomllib

import numpy as np
import xgboost


@dataclasses.dataclass(frozen=True)
class Settings:
    """`settings.toml`: chosen on sessions before 2024 and not touched since."""

    first_session: int  # before it the features have no history
    session_step: int  # overlapping labels of neighbouring sessions repeat each other
    embargo_sessions: int
    folds: tuple[tuple[str, str], ...]  # first test session, first session after
    rounds: int
    threads: int
    ridge_penalty: float
    booster: dict


def read_settings(path) -> Settings:
    settings = tomllib.loads(path.read_text())
    settings["folds"] = tuple(tuple(fold) for fold in settings["folds"])
    return Settings(**settings)


def training_rows(bounds: np.ndarray, test_start: int, horizon: int, settings: Settings) -> np.ndarray:
    """Rows of the sessions whose labels end before the embargo that precedes the test."""
    # The label of session s ends at the close of s + 1 + horizon.
    end = test_start - settings.embargo_sessions - horizon - 1
    sessions = range(settings.first_session, end, settings.session_step)
    parts = [np.arange(bounds[session], bounds[session + 1]) for session in sessions]
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def rows_first(matrix: np.ndarray, rows) -> np.ndarray:
    return np.stack([feature[rows] for feature in matrix], axis=1)


def train(matrix: np.ndarray, label: np.ndarray, rows: np.ndarray, objective: str, settings: Settings):
    rows = rows[~np.isnan(label[rows])]
    parameters = {
        **settings.booster,
        "objective": objective,
        # Stated, not estimated: the labels are centred, and the file then says exactly what is added.
        "base_score": 0.5 if objective == "binary:logistic" else 0.0,
        "nthread": settings.threads,
        "tree_method": "hist",
    }
    inputs, outcome = rows_first(matrix, rows), label[rows].astype(np.float32)
    quantised = xgboost.QuantileDMatrix(inputs, outcome, max_bin=parameters["max_bin"], nthread=settings.threads)
    return xgboost.train(parameters, quantised, settings.rounds)


def ridge(matrix: np.ndarray, label: np.ndarray, rows: np.ndarray, penalty: float):
    """The linear baseline on centred ranks; missing counts as the middle. Gives its predictor."""
    rows = rows[~np.isnan(label[rows])]

    def inputs(matrix, rows):
        return np.nan_to_num(rows_first(matrix, rows).astype(np.float64) - 0.5)

    x = inputs(matrix, rows)
    weights = np.linalg.solve(x.T @ x + penalty * len(rows) * np.eye(x.shape[1]), x.T @ label[rows])
    return lambda matrix, rows: inputs(matrix, rows) @ weights


def out_of_sample(bounds, session_at, horizon, settings, fit) -> np.ndarray:
    """Predictions of every fold's test sessions by a model that `fit(rows)` gives of the sessions before; else NaN."""
    out = np.full(bounds[-1], np.nan)
    for test_from, test_to in settings.folds:
        start, end = session_at(test_from), min(session_at(test_to), len(bounds) - 1)
        if start >= end:
            continue
        predict = fit(training_rows(bounds, start, horizon, settings))
        rows = slice(bounds[start], bounds[end])
        out[rows] = predict(rows)
    return out


def boosted(matrix, label, objective, settings):
    """`fit` of `out_of_sample` for boosted trees."""

    def fit(rows):
        booster = train(matrix, label, rows, objective, settings)
        return lambda test: booster.inplace_predict(rows_first(matrix, test))

    return fit


def linear(matrix, label, settings):
    def fit(rows):
        predict = ridge(matrix, label, rows, settings.ridge_penalty)
        return lambda test: predict(matrix, test)

    return fit
