"""XGBoost's own C library, one thread, on the models and rows of `make_models.py`, as `bench-trees` measures.

    /tmp/venv/bin/python benches/trees/peer_xgboost.py /tmp/trees

Prints medians for three models together: `inplace_predict` of a NumPy array, and `predict` of a DMatrix that was made
before and not yet predicted (of one that was, XGBoost only repeats its answer). Wall time and processor time. A call from Python costs some microseconds of
its own, which is part of what a user of it pays.
"""

import pathlib
import statistics
import sys
import time

import numpy as np
import xgboost

MODELS = ("alpha_5d", "alpha_10d", "win_prob_10d")
BATCHES = (1, 8, 64, 512, 6000)
SECONDS = 3.0


def median_us(call, prepare, batches):
    wall, cpu = [], []
    end = time.monotonic() + SECONDS
    while len(wall) < 15 or time.monotonic() < end:
        batch = prepare(batches[len(wall) % len(batches)])
        start, cpu_start = time.perf_counter(), time.thread_time()
        call(batch)
        cpu.append(time.thread_time() - cpu_start)
        wall.append(time.perf_counter() - start)
    return 1e6 * statistics.median(wall), 1e6 * statistics.median(cpu)


def main(folder):
    boosters = []
    for name in MODELS:
        booster = xgboost.Booster(params={"nthread": 1})
        booster.load_model(folder / f"{name}.json")
        booster.set_param({"nthread": 1})
        boosters.append(booster)
    n_features = boosters[0].num_features()
    rows = np.fromfile(folder / "rows.f32", np.float32).reshape(-1, n_features)
    print("  rows | inplace_predict: wall µs    cpu µs | predict of a DMatrix: wall µs    cpu µs")
    for n in BATCHES:
        batches = [rows[at : at + n] for at in range(0, min(len(rows), 100 * n) - n + 1, n)]
        inplace = median_us(lambda batch: [b.inplace_predict(batch) for b in boosters], lambda batch: batch, batches)
        matrix = lambda batch: [xgboost.DMatrix(batch, nthread=1) for _ in boosters]
        made = median_us(lambda ms: [b.predict(m) for b, m in zip(boosters, ms, strict=True)], matrix, batches)
        print(f"{n:>6} | {inplace[0]:>24.0f} {inplace[1]:>9.0f} | {made[0]:>29.0f} {made[1]:>9.0f}", flush=True)


main(pathlib.Path(sys.argv[1]))
