import numpy as np

import labels
import metrics


def check(rows, horizon, expected):
    segment, session, price = (np.array(column) for column in zip(*rows, strict=True))
    found = labels.forward_returns(segment, session, price.astype(float), horizon)
    assert np.allclose(found, expected, equal_nan=True), found


NAN = float("nan")


def test_the_return_starts_at_the_next_close_and_ends_a_horizon_later():
    rows = [(0, s, 100 + s) for s in range(5)]
    check(rows, 2, [103 / 101 - 1, 104 / 102 - 1, NAN, NAN, NAN])


def test_a_symbol_that_ends_is_held_at_its_last_close():
    rows = [(0, 0, 10), (0, 1, 20), (0, 2, 30), *((1, s, 1) for s in range(6))]
    check(rows, 3, [0.5, 0.0, NAN, 0.0, 0.0, NAN, NAN, NAN, NAN])


def test_nothing_crosses_a_segment_and_a_gap_buys_nothing():
    rows = [(0, 0, 10), (1, 1, 99), (1, 3, 50), (1, 4, 60), (1, 5, 70), (1, 6, 80)]
    check(rows, 1, [NAN, NAN, 60 / 60 * 70 / 60 - 1, 80 / 70 - 1, NAN, NAN])


def test_a_gap_at_the_exit_is_left_at_the_close_before():
    rows = [(0, 0, 10), (0, 1, 20), (0, 2, 30), (0, 4, 90), (0, 5, 90)]
    check(rows, 2, [0.5, 2.0, NAN, NAN, NAN])


def test_excess_is_beside_the_median_and_clipped():
    found = labels.excess(np.array([0.0, 0.1, 0.2, 9.0, NAN]), np.array([1, 1, 1, 0, 1], bool), np.array([0, 5]))
    assert np.allclose(found, [-0.1, 0.0, 0.1, 0.5, NAN], equal_nan=True)


def test_places_of_equal_values_are_shared():
    assert labels.average_places(np.array([3.0, 1.0, 3.0, 2.0])).tolist() == [2.5, 0.0, 2.5, 1.0]


def test_rank_ic_is_spearmans():
    x = np.arange(100.0)
    bounds = np.array([0, 100])
    assert metrics.daily_rank_ic(x, np.exp(x / 10), bounds)[0] == 1.0
    assert metrics.daily_rank_ic(x, -x, bounds)[0] == -1.0
    assert np.isnan(metrics.daily_rank_ic(np.zeros(100), x, bounds)[0])


def test_newey_west_without_lags_is_the_plain_t():
    values = np.random.default_rng(1).standard_normal(500) + 0.1
    assert np.isclose(metrics.newey_west_t(values, 0), values.mean() / (values.std() / np.sqrt(500)))
    smooth = np.convolve(values, np.ones(10), "valid")
    assert metrics.newey_west_t(smooth, 10) < 0.6 * metrics.newey_west_t(smooth, 0)
