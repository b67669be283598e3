import json
import tomllib

import numpy as np
import polars
import xgboost

import calibrate
import export


def booster(objective):
    generator = np.random.default_rng(1)
    x = generator.random((2000, 3), dtype=np.float32)
    y = (x[:, 0] > 0.5).astype(np.float32)
    base_score = 0.5 if objective == "binary:logistic" else 0.0
    parameters = {"objective": objective, "max_depth": 2, "nthread": 1, "seed": 7, "base_score": base_score}
    return xgboost.train(parameters, xgboost.QuantileDMatrix(x, y), 20), x


def test_the_hash_of_a_plan_is_the_one_serving_computes():
    # FNV-1a, 64 bit: published vectors of the empty string and of "a".
    assert export.plan_hash([]) == "cbf29ce484222325"
    assert export.plan_hash(["a"]) == "af63dc4c8601ec8c"


def test_scaled_leaves_scale_the_prediction():
    model, x = booster("reg:squarederror")
    found = export.rescaled(model, 0.25, 0.0).inplace_predict(x)
    assert np.allclose(found, 0.25 * model.inplace_predict(x), atol=1e-7)


def test_calibration_becomes_part_of_the_trees():
    model, x = booster("binary:logistic")
    margin = calibrate.logit(model.inplace_predict(x).astype(np.float64))
    found = export.rescaled(model, 0.5, calibrate.sigmoid(0.1)).inplace_predict(x)
    assert np.allclose(found, calibrate.sigmoid(0.5 * margin + 0.1), atol=1e-6)


def test_platt_finds_the_line_that_made_the_outcomes():
    generator = np.random.default_rng(1)
    p = generator.uniform(0.3, 0.7, 200_000)
    won = (generator.random(len(p)) < calibrate.sigmoid(0.5 * calibrate.logit(p) - 0.2)).astype(float)
    slope, intercept = calibrate.platt(p, won)
    assert abs(slope - 0.5) < 0.05 and abs(intercept + 0.2) < 0.02


def test_a_directory_is_complete_and_the_same_twice(tmp_path):
    names = ["rank_a", "rank_b", "rank_c"]
    for objective, name in (("reg:squarederror", "alpha_5d"), ("binary:logistic", "win_prob_10d")):
        folders = [tmp_path / f"{name}{run}" for run in range(2)]
        for folder in folders:
            model, _ = booster(objective)
            difference = export.write(
                folder,
                name=name,
                version="1",
                booster=export.rescaled(model, 0.1, 0.5 if objective == "binary:logistic" else 0.0),
                features=names,
                training={"label": "x", "horizon_sessions": 5},
                metrics={"rank_ic": 0.01},
                calibration={},
                tables={},
                card="# card\n",
                seed=7,
            )
            assert difference < 3e-7
        files = sorted(path.name for path in folders[0].iterdir())
        assert files == [
            "CARD.md", "calibration.json", "golden.parquet", "manifest.toml", "model.json", "model.onnx", "quantiles.json",
        ]  # fmt: skip
        assert all((folders[0] / file).read_bytes() == (folders[1] / file).read_bytes() for file in files)
        golden = polars.read_parquet(folders[0] / "golden.parquet")
        assert all(golden[feature].is_nan().any() for feature in names)
        loaded = xgboost.Booster(model_file=folders[0] / "model.json")
        found = loaded.inplace_predict(np.ascontiguousarray(golden.select(names).to_numpy()))
        assert np.array_equal(found, golden["prediction"].to_numpy())
        manifest = tomllib.loads((folders[0] / "manifest.toml").read_text())
        assert manifest["features"] == {"hash": export.plan_hash(names), "names": names}
        assert json.loads((folders[0] / "model.json").read_bytes())["learner"]["feature_names"] == names
