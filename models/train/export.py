"""Model directories as serving loads them. Same model, same bytes: nothing here knows the time or the machine."""

import hashlib
import json
import pathlib
import platform

import numpy as np
import onnx
import onnxmltools
import onnxruntime
import polars
import xgboost
from onnxmltools.convert.common.data_types import FloatTensorType

N_GOLDEN_RANDOM = 192


def plan_hash(names: list[str]) -> str:
    """`schemas::Plan::hash`: FNV-1a over 64 bits of the names joined by line feeds."""
    value = 0xCBF29CE484222325
    for byte in "\n".join(names).encode():
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def rescaled(booster: xgboost.Booster, factor: float, base_score: float) -> xgboost.Booster:
    """The same trees with every leaf multiplied, and another base score: units and calibration become part of the
    model, and serving evaluates plain trees."""
    model = json.loads(bytes(booster.save_raw(raw_format="json")))
    for tree in model["learner"]["gradient_booster"]["model"]["trees"]:
        for node, left in enumerate(tree["left_children"]):
            tree["base_weights"][node] *= factor
            if left == -1:  # a leaf keeps its value where others keep their threshold
                tree["split_conditions"][node] *= factor
    model["learner"]["learner_model_param"]["base_score"] = f"[{float(np.float32(base_score))!r}]"
    out = xgboost.Booster()
    out.load_model(bytearray(json.dumps(model).encode()))
    return out


def golden_rows(booster: xgboost.Booster, n_features: int, seed: int) -> np.ndarray:
    """Generated rows: random ranks with gaps; each feature missing alone, and all; the ends; values on thresholds."""
    generator = np.random.default_rng(seed)
    rows = generator.random((N_GOLDEN_RANDOM, n_features), dtype=np.float32)
    rows[generator.random(rows.shape) < 0.1] = np.nan
    one_missing = generator.random((n_features, n_features), dtype=np.float32)
    np.fill_diagonal(one_missing, np.nan)
    constant = np.repeat(np.array([[np.nan], [0.0], [0.5], [1.0]], np.float32), n_features, axis=1)
    thresholds = [[] for _ in range(n_features)]
    for tree in json.loads(bytes(booster.save_raw(raw_format="json")))["learner"]["gradient_booster"]["model"]["trees"]:
        nodes = zip(tree["left_children"], tree["split_indices"], tree["split_conditions"], strict=True)
        for left, feature, condition in nodes:
            if left != -1:
                thresholds[feature].append(np.float32(condition))
    on_threshold = generator.random((64, n_features), dtype=np.float32)
    for feature, values in enumerate(thresholds):
        if values:
            on_threshold[:, feature] = generator.choice(np.array(values, np.float32), 64)
    return np.concatenate([rows, one_missing, constant, on_threshold])


def write(
    directory: pathlib.Path,
    *,
    name: str,
    version: str,
    booster: xgboost.Booster,
    features: list[str],
    training: dict,
    metrics: dict,
    calibration: dict,
    tables: dict,
    card: str,
    seed: int,
) -> float:
    """Writes the directory; gives the largest difference between ONNX Runtime and XGBoost on the golden rows."""
    directory.mkdir(parents=True, exist_ok=True)
    booster.feature_names = None  # the converter knows no names
    inputs = [("features", FloatTensorType([None, len(features)]))]
    graph = onnxmltools.convert_xgboost(booster, initial_types=inputs)
    graph.graph.name = name  # otherwise a random one
    (directory / "model.onnx").write_bytes(graph.SerializeToString(deterministic=True))

    rows = golden_rows(booster, len(features), seed)
    expected = booster.inplace_predict(rows).astype(np.float32)
    booster.feature_names = features
    booster.save_model(directory / "model.json")
    golden = {feature: rows[:, at] for at, feature in enumerate(features)} | {"prediction": expected}
    polars.DataFrame(golden).write_parquet(directory / "golden.parquet")

    (directory / "calibration.json").write_text(json.dumps(calibration, indent=1) + "\n")
    (directory / "quantiles.json").write_text(json.dumps(tables, indent=None, separators=(",", ":")) + "\n")
    (directory / "CARD.md").write_text(card)
    manifest = manifest_text(directory, name, version, features, training, metrics)
    (directory / "manifest.toml").write_text(manifest)

    outputs = onnxruntime.InferenceSession(directory / "model.onnx").run(None, {"features": rows})
    is_classifier = len(outputs) == 2
    found = outputs[1][:, 1] if is_classifier else outputs[0][:, 0]
    return float(np.abs(found.astype(np.float64) - expected).max())


def manifest_text(directory, name, version, features, training, metrics) -> str:
    def table(title, values):
        return f"\n[{title}]\n" + "".join(f"{key} = {toml_value(value)}\n" for key, value in values.items())

    files = sorted(path.name for path in directory.iterdir() if path.name != "manifest.toml")
    return (
        f'name = "{name}"\nversion = "{version}"\ntarget = "{name}"\nbackend = "native"\n'
        + table("features", {"hash": plan_hash(features), "names": features})
        + table("training", training)
        + table("metrics", metrics)
        + table("libraries", library_versions())
        + table("files", {f'"{f}"': hashlib.sha256((directory / f).read_bytes()).hexdigest() for f in files})
    )


def toml_value(value) -> str:
    if isinstance(value, list):
        return "[\n" + "".join(f'    "{item}",\n' for item in value) + "]"
    return f'"{value}"' if isinstance(value, str) else repr(value)


def library_versions() -> dict:
    modules = {"xgboost": xgboost, "onnx": onnx, "onnxmltools": onnxmltools, "numpy": np, "polars": polars}
    return {name: module.__version__ for name, module in modules.items()} | {"python": platform.python_version()}


def write_tables(tables: dict, session: str) -> dict:
    missing = [name for name, table in tables.items() if table is None]
    if missing:
        raise ValueError(f"the last session has no table of {missing}")
    return {"session": session, "knots": 65, "tables": {name: [float(q) for q in table] for name, table in tables.items()}}
