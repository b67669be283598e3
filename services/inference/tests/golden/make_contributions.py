"""Makes `contributions.json`: XGBoost's own `pred_contribs` of some golden rows of the shipped models.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install xgboost==3.2.0 polars numpy
    /tmp/venv/bin/python services/inference/tests/golden/make_contributions.py

Golden rows are generated (models/train/export.py); the last number of each row is the bias.
"""

import json
import pathlib

import polars
import xgboost

HERE = pathlib.Path(__file__).parent
MODELS = HERE.parents[3] / "models"
# Random ranks with gaps, one input missing, all of them, both ends, on thresholds.
ROWS = [0, 17, 192, 200, 244, 245, 247, 248, 300]


def main():
    out = {"xgboost": xgboost.__version__, "models": {}}
    for name in ("alpha_5d", "alpha_10d", "win_prob_10d"):
        folder = MODELS / name / "1"
        golden = polars.read_parquet(folder / "golden.parquet")
        rows = golden.drop("prediction").to_numpy()[ROWS]
        booster = xgboost.Booster(model_file=folder / "model.json")
        matrix = xgboost.DMatrix(rows, feature_names=golden.columns[:-1])
        found = booster.predict(matrix, pred_contribs=True)
        values = [[None if value != value else float(value) for value in row] for row in rows]
        out["models"][name] = {"rows": values, "contributions": found.astype(float).tolist()}
    (HERE / "contributions.json").write_text(json.dumps(out) + "\n")


main()
