"""A generated market: a feature that persists over sessions, and returns that follow it weakly."""

import numpy as np

import features
import labels
import walk_forward

N_SYMBOLS, N_SESSIONS = 300, 200
HORIZON = 5
SETTINGS = walk_forward.Settings(
    first_session=2,
    session_step=2,
    embargo_sessions=10,
    folds=(("100", "150"), ("150", "200")),
    rounds=30,
    threads=1,
    ridge_penalty=0.01,
    booster={"max_depth": 2, "eta": 0.1, "min_child_weight": 50, "max_bin": 64, "seed": 7, "subsample": 0.5},
)


class Market:
    """Rows by session, then symbol. `values` are features as of the close; `price` is what the labels are made of."""

    def __init__(self, seed: int = 1, strength: float = 0.004):
        generator = np.random.default_rng(seed)
        signal = np.zeros((N_SESSIONS, N_SYMBOLS))
        for session in range(1, N_SESSIONS):
            signal[session] = 0.97 * signal[session - 1] + 0.24 * generator.standard_normal(N_SYMBOLS)
        steps = strength * np.vstack([np.zeros((1, N_SYMBOLS)), signal[:-1]])
        steps += 0.02 * generator.standard_normal(steps.shape)
        self.price = np.exp(np.cumsum(steps, axis=0))
        noise = generator.standard_normal((3, N_SESSIONS, N_SYMBOLS))
        self.values = np.concatenate([signal[None], noise]).reshape(4, -1)
        self.bounds = np.arange(N_SESSIONS + 1) * N_SYMBOLS
        self.everyone = np.ones(N_SESSIONS * N_SYMBOLS, bool)

    def ranks(self):
        return np.stack([features.ranks(values, self.everyone, self.bounds) for values in self.values])

    def excess(self):
        symbol, session = np.divmod(np.arange(self.price.size), N_SESSIONS)
        forward = labels.forward_returns(symbol, session, self.price.T.ravel(), HORIZON)
        by_session = forward.reshape(N_SYMBOLS, N_SESSIONS).T.ravel()
        return labels.excess(by_session, self.everyone, self.bounds)

    def predictions(self, ranks, excess):
        label = labels.session_ranks(excess, self.bounds)
        fit = walk_forward.boosted(ranks, label, "reg:squarederror", SETTINGS)
        return walk_forward.out_of_sample(self.bounds, int, HORIZON, SETTINGS, fit)
