"""Makes the models and rows that `bench-trees` and `examples/predict.rs` are measured on.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install xgboost onnxmltools onnx onnxruntime numpy scikit-learn
    /tmp/venv/bin/python benches/trees/make_models.py /tmp/trees

Writes `<name>.json`, `<name>.onnx` and `<name>.expected.f32` (XGBoost's own output) for three models of the size that
is served (400 trees of depth 6, 50 features, 255 bins), and `rows.f32`: row-major rows with every tenth value missing.
"""

import pathlib
import sys
import time

import numpy as np
import onnxmltools
import xgboost
from onnxmltools.convert.common.data_types import FloatTensorType

N_FEATURES = 50
N_TRAIN = 60_000
N_ROWS = 10_000
MODELS = {"alpha_5d": "reg:squarederror", "alpha_10d": "reg:squarederror", "win_prob_10d": "binary:logistic"}


def rows(generator, n):
    x = generator.standard_normal((n, N_FEATURES)).astype(np.float32)
    x[generator.random(x.shape) < 0.1] = np.nan
    return x


def label(generator, x, objective):
    known = np.nan_to_num(x)
    signal = 0.02 * np.tanh(known[:, :7].sum(axis=1)) + 0.01 * known[:, 7] * known[:, 8] + 0.005 * np.isnan(x[:, 9])
    outcome = signal + 0.05 * generator.standard_normal(len(x))
    return (outcome > 0).astype(np.float32) if objective.startswith("binary") else outcome.astype(np.float32)


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(7)
    train, test = rows(generator, N_TRAIN), rows(generator, N_ROWS)
    test[0] = np.nan
    test.tofile(folder / "rows.f32")
    for name, objective in MODELS.items():
        parameters = {
            "objective": objective, "max_depth": 6, "eta": 0.05, "subsample": 0.8, "colsample_bytree": 0.8,
            "tree_method": "hist", "max_bin": 255, "seed": 7, "nthread": 1,
        }
        matrix = xgboost.QuantileDMatrix(train, label(generator, train, objective), max_bin=255)
        booster = xgboost.train(parameters, matrix, num_boost_round=400)
        booster.save_model(folder / f"{name}.json")
        inputs = [("features", FloatTensorType([None, N_FEATURES]))]
        onnxmltools.utils.save_model(onnxmltools.convert_xgboost(booster, initial_types=inputs), folder / f"{name}.onnx")
        booster.inplace_predict(test).astype(np.float32).tofile(folder / f"{name}.expected.f32")
        seconds = {}
        for n in (1, 8, 64, 512, 6000):
            times = []
            for _ in range(30):
                start = time.perf_counter()
                booster.inplace_predict(test[:n])
                times.append(time.perf_counter() - start)
            seconds[n] = sorted(times)[len(times) // 2]
        print(name, {n: f"{1e6 * s:.0f} us" for n, s in seconds.items()}, flush=True)


main(pathlib.Path(sys.argv[1]))
