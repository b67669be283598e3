import numpy as np

import metrics
import walk_forward
from market import HORIZON, N_SESSIONS, N_SYMBOLS, SETTINGS, Market


def mean_ic(market, prediction, excess):
    return np.nanmean(metrics.daily_rank_ic(prediction, excess, market.bounds))


def test_a_planted_signal_is_found_and_shuffled_labels_are_not():
    market = Market()
    ranks, excess = market.ranks(), market.excess()
    assert mean_ic(market, market.predictions(ranks, excess), excess) > 0.15
    generator = np.random.default_rng(3)
    shuffled = excess.copy()
    for start, end in zip(market.bounds[:-1], market.bounds[1:], strict=True):
        shuffled[start:end] = generator.permutation(shuffled[start:end])
    # Against the shuffled outcomes: against the true ones the noise that was learnt of the one real feature would count.
    # 94 sessions of 300 rows: the standard error of a mean IC without signal is 0.006.
    assert abs(mean_ic(market, market.predictions(ranks, shuffled), shuffled)) < 0.02


def test_features_of_a_day_earlier_are_worth_little_less():
    market = Market()
    ranks, excess = market.ranks(), market.excess()
    fresh = mean_ic(market, market.predictions(ranks, excess), excess)
    older = np.concatenate([np.full((len(ranks), N_SYMBOLS), np.nan, np.float32), ranks[:, :-N_SYMBOLS]], axis=1)
    stale = mean_ic(market, market.predictions(older, excess), excess)
    assert 0.8 * fresh < stale < 1.05 * fresh


def test_a_feature_that_looks_ahead_is_unmasked_by_a_day():
    market = Market(strength=0.0)
    excess = market.excess()
    # Tomorrow's and the day after's price change: a row must not know it, and yesterday's row knows half.
    growth = np.log(market.price)
    ahead = np.zeros_like(growth)
    ahead[:-2] = growth[2:] - growth[1:-1]
    market.values[1] = ahead.ravel()
    ranks = market.ranks()
    leaking = mean_ic(market, market.predictions(ranks, excess), excess)
    older = np.concatenate([np.full((len(ranks), N_SYMBOLS), np.nan, np.float32), ranks[:, :-N_SYMBOLS]], axis=1)
    assert leaking > 0.25
    assert abs(mean_ic(market, market.predictions(older, excess), excess)) < 0.05


def test_another_future_changes_neither_ranks_nor_predictions_before_it():
    market, other = Market(), Market()
    cut = 130
    generator = np.random.default_rng(9)
    other.values[:, cut * N_SYMBOLS :] = generator.standard_normal((4, (N_SESSIONS - cut) * N_SYMBOLS))
    other.price[cut:] *= generator.lognormal(0.0, 0.5, (N_SESSIONS - cut, N_SYMBOLS))
    before = slice(0, cut * N_SYMBOLS)
    assert np.array_equal(market.ranks()[:, before], other.ranks()[:, before], equal_nan=True)
    found = [m.predictions(m.ranks(), m.excess())[before] for m in (market, other)]
    assert np.isfinite(found[0]).sum() == (cut - 100) * N_SYMBOLS
    assert np.array_equal(found[0], found[1], equal_nan=True)


def test_training_labels_end_before_the_embargo():
    market = Market()
    rows = walk_forward.training_rows(market.bounds, 100, HORIZON, SETTINGS)
    last_exit = rows.max() // N_SYMBOLS + 1 + HORIZON
    assert last_exit < 100 - SETTINGS.embargo_sessions
    assert last_exit + SETTINGS.session_step >= 100 - SETTINGS.embargo_sessions


def test_the_same_input_gives_the_same_predictions():
    market = Market()
    first, second = (market.predictions(market.ranks(), market.excess()) for _ in range(2))
    assert np.array_equal(first, second, equal_nan=True)
