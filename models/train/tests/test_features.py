import pathlib

import numpy as np
import pytest

import features

SPEC = pathlib.Path(__file__).parents[2] / "features.toml"
TABLE = np.arange(65) / 64.0


def check(value, expected, table=TABLE):
    found = features.rank_in_table(np.array([value]), table)[0]
    assert found == np.float32(expected) or (np.isnan(found) and np.isnan(expected)), (value, found, expected)


def test_ranks_lie_between_knots():
    for value, expected in ((0.0, 0.0), (0.5, 0.5), (0.3, 0.3), (1.0, 1.0), (-9.0, 0.0), (9.0, 1.0)):
        check(value, expected)
    for value, expected in ((np.nan, np.nan), (np.inf, 1.0), (-np.inf, 0.0)):
        check(value, expected)


def test_equal_knots_share_the_middle_of_their_places():
    tied = np.concatenate([np.zeros(33), np.arange(1, 33)])
    check(0.0, 16.0 / 64.0, tied)
    check(0.5, 32.5 / 64.0, tied)
    check(32.0, 1.0, tied)
    check(-1.0, 0.0, tied)
    check(3.0, 0.5, np.full(65, 3.0))


def test_without_a_table_every_rank_is_missing():
    check(0.5, np.nan, None)
    assert features.quantile_table(np.arange(features.N_VALUES_MIN - 1.0)) is None


def test_a_table_has_the_quantiles_of_what_is_not_missing():
    values = np.concatenate([np.random.default_rng(1).standard_normal(1000), [np.nan] * 50])
    expected = np.nanquantile(values, np.arange(65) / 64.0)
    assert np.allclose(features.quantile_table(values), expected, rtol=0, atol=1e-15)
    assert np.array_equal(features.quantile_table(np.arange(641.0)), np.arange(65) * 10.0)


def test_ranks_use_the_session_before_and_do_not_depend_on_the_rest_of_the_session():
    generator = np.random.default_rng(2)
    bounds = np.array([0, 300, 600])
    values = generator.standard_normal(600)
    everyone = np.ones(600, bool)
    found = features.ranks(values, everyone, bounds)
    assert np.isnan(found[:300]).all()
    table = features.quantile_table(values[:300])
    for row in (300, 451, 599):
        assert found[row] == features.rank_in_table(values[row : row + 1], table)[0]


def test_the_list_of_features_is_read_and_closed():
    universe, definitions = features.read_spec(SPEC)
    assert universe.contains(np.array([3.0, 3.1]), np.array([3e6, 3e6])).tolist() == [False, True]
    # What needs open, high or low would differ between the panel and bars that have them.
    forbidden = "atr trange di14 adx stoch_k stoch_d cci mfi willr ultosc aroon sar ad adosc cmf vwap donchian keltner gap supertrend ichimoku heikin"
    for definition in definitions:
        for column in definition.columns:
            assert not any(column.startswith(word) or column.endswith(word) for word in forbidden.split()), column


def test_expressions_miss_what_they_cannot_divide():
    columns = {"a": np.array([1.0, np.nan, 1.0]), "b": np.array([2.0, 2.0, 0.0])}
    ratio = features.Feature("x", "ratio", ("a", "b")).evaluate(columns.get)
    assert ratio[0] == -0.5 and np.isnan(ratio[1:]).all()
    growth = features.Feature("x", "growth_ratio", ("a", "b")).evaluate(columns.get)
    assert growth[0] == pytest.approx(2.0 / 3.0 - 1.0) and growth[2] == 1.0
