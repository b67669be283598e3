"""Retrains every model: `main.py --technic ../../target/release/technic --data ../../../shared/data --out ..`."""

import argparse
import pathlib
import tempfile
import time

import numpy as np
import polars

import calibrate
import card
import evaluate
import export
import labels
import metrics
import panel
import walk_forward

HERE = pathlib.Path(__file__).parent
SPEC = HERE.parent / "features.toml"
VERSION = "1"
TARGETS = {"alpha_5d": 5, "alpha_10d": 10, "win_prob_10d": 10}
# What a model must beat: a feature and the sign in which it is said to work.
RULES = {
    "5-day reversal": ("ret_5d", -1.0),
    "252−21 momentum": ("mom_252_21", 1.0),
    "low volatility (20)": ("vol_realized_20", -1.0),
    "low volatility (60)": ("vol_realized_60", -1.0),
}
N_PERTURBED_SYMBOLS = 100


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--technic", type=pathlib.Path, required=True, help="the program whose features are learnt")
    parser.add_argument("--data", type=pathlib.Path, required=True, help="folder with panel_daily.parquet")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder that receives <model>/<version>/")
    arguments = parser.parse_args()
    bars = arguments.data / "panel_daily.parquet"
    settings = walk_forward.read_settings(HERE / "settings.toml")
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        panel.compute_features(arguments.technic, bars, work / "features.parquet")
        data = panel.load(bars, work / "features.parquet", SPEC)
        say(f"{len(data.session):,} rows of {len(data.days)} sessions, {len(data.names)} features")
        perturbed = perturbed_future(arguments.technic, bars, work)
    common = evaluated_rules(data, settings)
    for target in TARGETS:
        make(target, data, settings, common, perturbed, arguments.out)


def make(target: str, data: panel.Dataset, settings, common: dict, perturbed: dict, out: pathlib.Path):
    """Measures a model out of sample, calibrates it on that, trains it on everything and writes its directory."""
    horizon = TARGETS[target]
    excess = data.excess[horizon]
    is_probability = target == "win_prob_10d"
    objective = "binary:logistic" if is_probability else "reg:squarederror"
    label = won(excess) if is_probability else labels.session_ranks(excess, data.bounds)

    def measured(matrix, label):
        fit = walk_forward.boosted(matrix, label, objective, settings)
        return walk_forward.out_of_sample(data.bounds, data.session_at, horizon, settings, fit)

    prediction = measured(data.ranks, label)
    ic = evaluate.ic_summary(data, prediction, excess, horizon)
    say(f"{target}: rank IC {card.figure(ic['pooled'])}")
    on_values = {}
    if not is_probability:  # a question of the inputs, answered by the alphas
        summary = evaluate.ic_summary(data, measured(data.raw, label), excess, horizon)
        on_values["the same trees on values instead of ranks"] = summary
    last_year = len(data.days) - 252
    before = slice(0, data.bounds[last_year - horizon - 1])  # labels known when the last year began
    after = slice(data.bounds[last_year], None)

    booster = walk_forward.train(
        data.ranks, label, walk_forward_all(data, horizon, settings), objective, settings
    )
    facts = {
        "target": target,
        "version": VERSION,
        "horizon": horizon,
        "from": str(data.days[0]),
        "to": str(data.days[-1]),
        "n_symbols": len(np.unique(data.symbol)),
        "n_rows": len(data.session),
        "step": settings.session_step,
        "embargo": settings.embargo_sessions,
        "n_features": len(data.names),
        "cut_short": float(data.is_cut_short[horizon][~np.isnan(excess)].mean()),
        "summary": SUMMARIES[target],
        "label_form": LABEL_FORMS[is_probability],
        "trees": trees_text(settings),
        "tried": (HERE / "TRIED.md").read_text().strip(),
        "model": {"ic": ic, "portfolio": evaluate.portfolio(data, prediction, horizon)},
        "baselines": {"zero": None} | common[horizon] | on_values,
        "same_close": "Measured from the row's own close instead of the next: "
        + card.figure(evaluate.ic_summary(data, prediction, data.same_close[horizon], horizon)["pooled"])
        + " pooled.",
        "leaks": leak_tests(data, prediction, label, horizon, measured) | perturbed,
    }
    if is_probability:
        outcome = won(excess)
        slope, intercept = calibrate.platt(prediction[before], outcome[before])
        checked = calibrate.sigmoid(slope * calibrate.logit(prediction[after]) + intercept)
        facts["table"] = metrics.calibration_table(checked, outcome[after])
        facts["ece"] = metrics.calibration_error(facts["table"])
        facts["ece_absolute"] = metrics.calibration_error(
            metrics.calibration_table(checked, won(data.returns[horizon][after]))
        )
        slope, intercept = calibrate.platt(prediction, outcome)
        facts |= {"slope": slope, "intercept": intercept}
        booster = export.rescaled(booster, slope, calibrate.sigmoid(intercept))
        calibration = {
            "kind": "platt",
            "is_in_the_model": True,
            "slope": slope,
            "intercept": intercept,
            "expected_calibration_error_last_year": facts["ece"],
            "last_year": [{"rows": n, "predicted": p, "observed": o} for n, p, o in facts["table"]],
        }
    else:
        spread = data.feature("vol_realized_20").astype(np.float64) * np.sqrt(horizon / 252.0)
        unit = calibrate.return_unit(prediction[before], excess[before], np.minimum(data.bounds, before.stop))
        levels = calibrate.conformal(unit * prediction[before], excess[before], spread[before])
        checked = unit * prediction[after]
        facts["table"] = metrics.calibration_table(checked, excess[after])
        facts["coverage"] = [
            (level["coverage"], calibrate.covered(checked, excess[after], spread[after], level)) for level in levels
        ]
        unit = calibrate.return_unit(prediction, excess, data.bounds)
        facts["unit"] = unit
        booster = export.rescaled(booster, unit, 0.0)
        calibration = {
            "kind": "conformal",
            "spread": "vol_realized_20 * sqrt(horizon_sessions / 252)",
            "horizon_sessions": horizon,
            "intervals": calibrate.conformal(unit * prediction, excess, spread),
            "coverage_last_year": [{"wanted": wanted, "found": found} for wanted, found in facts["coverage"]],
        }
    difference = export.write(
        out / target / VERSION,
        name=target,
        version=VERSION,
        booster=booster,
        features=[f"rank_{name}" for name in data.names],
        training={
            "label": "beats_universe_median" if is_probability else "session_rank_of_excess_return_in_return_units",
            "horizon_sessions": horizon,
            "from": str(data.days[0]),
            "to": str(data.days[-1]),
            "embargo_sessions": settings.embargo_sessions,
        },
        metrics={"rank_ic": ic["pooled"]["ic"], "rank_ic_t": ic["pooled"]["t"]},
        calibration=calibration,
        tables=export.write_tables(data.tables, str(data.days[-1])),
        card=card.write(facts),
        seed=settings.booster["seed"],
    )
    say(f"{target}: written; ONNX Runtime is within {difference:.1e} of XGBoost")


def walk_forward_all(data, horizon, settings):
    """The training rows of the model that is shipped: up to the last label."""
    end = len(data.days) + settings.embargo_sessions
    return walk_forward.training_rows(data.bounds, end, horizon, settings)


def won(returns: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(returns), np.nan, returns > 0.0)


def evaluated_rules(data, settings) -> dict:
    """Rank ICs of the baselines per horizon, on the sessions that the models are measured on."""
    start = data.bounds[data.session_at(settings.folds[0][0])]
    out = {}
    for horizon in panel.HORIZONS:
        out[horizon] = {}
        for name, (feature, sign) in RULES.items():
            values = sign * data.feature(feature).astype(np.float64)
            values[:start] = np.nan
            out[horizon][name] = evaluate.ic_summary(data, values, data.excess[horizon], horizon)
        fit = walk_forward.linear(data.ranks, labels.session_ranks(data.excess[horizon], data.bounds), settings)
        prediction = walk_forward.out_of_sample(data.bounds, data.session_at, horizon, settings, fit)
        out[horizon]["ridge on the same ranks"] = evaluate.ic_summary(
            data, prediction, data.excess[horizon], horizon
        )
        for name, summary in out[horizon].items():
            say(f"{horizon} sessions, {name}: rank IC {card.figure(summary['pooled'])}")
    return out


def leak_tests(data, prediction, label, horizon, measured) -> dict:
    generator = np.random.default_rng(7)
    shuffled = label.copy()
    for start, end in zip(data.bounds[:-1], data.bounds[1:], strict=True):
        shuffled[start:end] = generator.permutation(shuffled[start:end])
    excess = data.excess[horizon]
    older = panel.earlier_prediction(data, prediction, 1)
    fresh = np.where(np.isnan(older), np.nan, prediction)

    def pooled(values, outcome=excess):
        return evaluate.ic_summary(data, values, outcome, horizon)["pooled"]

    # Against the shuffled outcomes: against the true ones, chance in the weight of one real feature would count.
    noise = pooled(measured(data.ranks, shuffled), shuffled)
    return {"shuffled": noise, "older": pooled(older), "fresh": pooled(fresh)}


def perturbed_future(technic: pathlib.Path, bars: pathlib.Path, work: pathlib.Path) -> dict:
    """Whether a column before a session depends on closes and volumes after it: computed twice, with other futures."""
    all_bars = polars.read_parquet(bars)
    chosen = all_bars["symbol"].unique().sort().gather_every(1 + all_bars["symbol"].n_unique() // N_PERTURBED_SYMBOLS)
    some = all_bars.filter(polars.col("symbol").is_in(chosen.implode()))
    days = some["date"].unique().sort()
    until = days[len(days) * 2 // 3]
    noise = np.random.default_rng(7).lognormal(0.0, 0.3, len(some))
    is_later = polars.col("date") > until
    other = some.with_columns(
        close=polars.when(is_later).then(polars.col("close") * polars.Series(noise)).otherwise(polars.col("close")),
        volume=polars.when(is_later).then(polars.col("volume") * 3 + 1).otherwise(polars.col("volume")),
    )
    found = []
    for name, frame in (("some", some), ("other", other)):
        frame.write_parquet(work / f"{name}.parquet")
        panel.compute_features(technic, work / f"{name}.parquet", work / f"{name}.features.parquet")
        found.append(polars.read_parquet(work / f"{name}.features.parquet").filter(~is_later).drop("symbol", "date"))
    differing = sum(int(a.ne_missing(b).sum()) for a, b in zip(*found, strict=True))
    return {
        "perturbed_after": str(until),
        "perturbed_symbols": len(chosen),
        "perturbed_different": differing,
        "perturbed_values": found[0].height * found[0].width,
    }


def trees_text(settings) -> str:
    booster = ", ".join(f"{key} {value}" for key, value in settings.booster.items())
    return (
        f"XGBoost `hist`, {settings.rounds} trees: {booster}. One choice for the three models, made on July 2022 to "
        "December 2023 only and then applied unchanged. The shipped trees are trained on all sessions with these settings."
    )


SUMMARIES = {
    "alpha_5d": "Expected return over 5 sessions beyond the universe's median, as a fraction.",
    "alpha_10d": "Expected return over 10 sessions beyond the universe's median, as a fraction.",
    "win_prob_10d": "Probability of a higher return over 10 sessions than the universe's median.",
}
LABEL_FORMS = {
    False: ", as its place among the session's returns (−½ to ½); predictions are brought to units of return afterwards",
    True: ", and whether it is above zero",
}
STARTED = time.monotonic()


def say(text: str):
    print(f"{time.monotonic() - STARTED:6.0f} s  {text}", flush=True)


if __name__ == "__main__":
    main()
