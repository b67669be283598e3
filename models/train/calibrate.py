"""What is fitted on predictions out of sample: the unit of an alpha, a probability's slope, intervals."""

import numpy as np

COVERAGES = (0.8, 0.9)


def return_unit(prediction: np.ndarray, excess: np.ndarray, bounds: np.ndarray) -> float:
    """What a prediction must be multiplied with to be the excess return expected: the slope within sessions."""
    known = ~(np.isnan(prediction) | np.isnan(excess))
    products = squares = 0.0
    for start, end in zip(bounds[:-1], bounds[1:], strict=True):
        rows = start + np.flatnonzero(known[start:end])
        if len(rows):
            x = prediction[rows] - prediction[rows].mean()
            products += x @ excess[rows]
            squares += x @ x
    return products / squares


def logit(probability: np.ndarray) -> np.ndarray:
    return np.log(probability / (1.0 - probability))


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def platt(probability: np.ndarray, won: np.ndarray) -> tuple[float, float]:
    """Slope and intercept of the log-odds under which the outcomes are likeliest (Newton's method)."""
    known = ~(np.isnan(probability) | np.isnan(won))
    x = np.stack([logit(probability[known]), np.ones(known.sum())], axis=1)
    beta = np.array([1.0, 0.0])
    for _ in range(25):
        p = sigmoid(x @ beta)
        step = np.linalg.solve((x * (p * (1.0 - p))[:, None]).T @ x, x.T @ (won[known] - p))
        beta = beta + step
        if np.abs(step).max() < 1e-10:
            break
    return float(beta[0]), float(beta[1])


def conformal(alpha: np.ndarray, excess: np.ndarray, spread: np.ndarray) -> list[dict]:
    """Per coverage, how far outcomes lay from the alpha: in units of `spread` (the row's own volatility over the
    horizon), and plain for rows without one."""
    known = ~(np.isnan(alpha) | np.isnan(excess))
    residual = excess[known] - alpha[known]
    with np.errstate(all="ignore"):
        scaled = residual / spread[known]
    scaled = scaled[np.isfinite(scaled)]
    out = []
    for coverage in COVERAGES:
        tails = (0.5 - coverage / 2.0, 0.5 + coverage / 2.0)
        low, high = np.quantile(scaled, tails)
        plain_low, plain_high = np.quantile(residual, tails)
        out.append({"coverage": coverage, "low": low, "high": high, "plain_low": plain_low, "plain_high": plain_high})
    return out


def covered(alpha, excess, spread, level: dict) -> float:
    """Share of outcomes inside the interval."""
    known = ~(np.isnan(alpha) | np.isnan(excess))
    alpha, excess, spread = alpha[known], excess[known], spread[known]
    has_spread = np.isfinite(spread) & (spread > 0.0)
    low = np.where(has_spread, level["low"] * spread, level["plain_low"])
    high = np.where(has_spread, level["high"] * spread, level["plain_high"])
    return float(((excess >= alpha + low) & (excess <= alpha + high)).mean())
