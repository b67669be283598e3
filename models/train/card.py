"""`CARD.md`: what a model is, how it did beside simple rules, and what it is not good for."""

import evaluate

LIMITS = """\
- The shipped trees are trained on all sessions of the data. What they say of those, by `technic features --predict` or a scan
  of a past day, is in-sample and no evidence; the figures above are of trees that had not seen the sessions.
- Costs, borrow fees, market impact and capacity beyond the one stated cost are not in any figure.
- It ranks liquid US stocks (price above 3 USD, 20-session dollar volume above 2 million USD) against each other for the
  stated horizon. It says nothing about the market's direction, about other instruments, intraday moves or earnings days.
- The signal is weak: most of a single prediction is noise, the interval says how much. It is meant for ranking many
  names, not for deciding about one.
- Much of it is low volatility, momentum and liquidity. It loses when speculative names rally together. Where the table of
  the last year does not rise from the first tenth to the last, it did not pay in that year.
- The history is five years of one market regime after another, none of them twice; the t values are modest and the
  choice of features was made by people who know what has worked. Expect less than the table says."""


def write(card: dict) -> str:
    horizon, is_probability = card["horizon"], card["target"] == "win_prob_10d"
    model = card["model"]
    parts = [
        f"# {card['target']}, version {card['version']}",
        card["summary"],
        "## Data and period",
        data_section(card),
        "## Features",
        (
            f"{card['n_features']} ranks of scale-free values of closes and volumes, in the quantile tables of the previous "
            "session (`models/features.toml`, `docs/adr/0004-ranks-by-quantile-tables.md`). `quantiles.json` holds the "
            f"tables of {card['to']}, for serving before a session has closed."
        ),
        "## Trees",
        card["trees"],
        "## Rank IC out of sample",
        (
            f"Mean of the sessions' Spearman correlations with the label; in brackets Newey–West t with {horizon} lags. "
            "Expanding walk-forward by year; settings were chosen on July 2022 to December "
            "2023, so for that choice 2023 is not out of sample and the later years are (see what was tried)."
        ),
        ic_table(card),
        card["same_close"],
        "By month:",
        month_table(model["ic"]["by_month"]),
        "## Deciles",
        portfolio_section(card),
        "## Calibration",
        probability_section(card) if is_probability else alpha_section(card),
        "## Leak tests",
        leak_section(card["leaks"]),
        "## What was tried",
        card["tried"],
        "## What it is not good for",
        LIMITS,
    ]
    return "\n\n".join(parts) + "\n"


def data_section(card) -> str:
    return (
        f"Daily closes and volumes of {card['n_symbols']:,} US stocks, {card['from']} to {card['to']}, delisted names "
        f"included; {card['n_rows']:,} rows of the universe. Trained on every {card['step']}th session whose label is "
        f"known. Test sessions come after the training labels' last session and an embargo of {card['embargo']} sessions.\n\n"
        f"Label: the return from the close of the next session to the close {card['horizon']} sessions later, less the "
        f"universe's median, clipped to ±50 %{card['label_form']}.\n\n"
        "Delistings: a position whose symbol disappears is held at its last close and is cash from then on "
        f"({card['cut_short']:.2%} of the labels); a symbol without a row in the next session has no label. There are no "
        "delisting returns, so losses in bankruptcies are understated. Dividends are not in the returns."
    )


def figure(entry) -> str:
    return f"{entry['ic']:+.4f} ({entry['t']:+.1f})"


def ic_table(card) -> str:
    years = list(card["model"]["ic"]["by_year"])
    rows = ["| | pooled | " + " | ".join(str(year) for year in years) + " | this model beyond it |"]
    rows.append("|---|" + "---|" * (len(years) + 2))
    of_model = card["model"]["ic"]
    for name, summary in [("**this model**", of_model), *card["baselines"].items()]:
        if summary is None:
            rows.append(f"| {name} | 0 |" + " 0 |" * len(years) + f" {figure(of_model['pooled'])} |")
            continue
        cells = [figure(summary["by_year"][year]) if year in summary["by_year"] else "–" for year in years]
        is_baseline = summary is not of_model
        cells.append(figure(evaluate.line(of_model["daily"] - summary["daily"], card["horizon"])) if is_baseline else "")
        rows.append(f"| {name} | {figure(summary['pooled'])} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def month_table(by_month) -> str:
    years = sorted({month[:4] for month in by_month})
    rows = ["| | " + " | ".join(f"{m:02d}" for m in range(1, 13)) + " |", "|---|" + "---|" * 12]
    for year in years:
        cells = [by_month.get(f"{year}-{m:02d}") for m in range(1, 13)]
        rows.append(f"| {year} | " + " | ".join("" if c is None else f"{c:+.3f}" for c in cells) + " |")
    return "\n".join(rows)


def portfolio_section(card) -> str:
    p = card["model"]["portfolio"]
    horizon = card["horizon"]
    return (
        f"Excess return over {horizon} sessions: highest tenth {p['top']:+.2%}, lowest tenth {p['bottom']:+.2%}, spread "
        f"{p['spread']:+.2%} (t {p['spread_t']:+.1f}). Rebalanced every {horizon} sessions {p['turnover_top']:.0%} of the "
        f"highest and {p['turnover_bottom']:.0%} of the lowest tenth change; after 10 basis points a side the highest tenth "
        f"keeps {p['top_net']:+.2%}, the spread {p['spread_net']:+.2%}.\n\n"
        f"Hit rate: {p['hit_rate']:.2%} of all predictions are on the right side of the median, {p['hit_rate_top']:.2%} of "
        "the highest tenth beat it."
    )


def alpha_section(card) -> str:
    rows = ["| tenth of the predictions | rows | predicted | observed |", "|---|---|---|---|"]
    for at, (n, predicted, observed) in enumerate(card["table"], 1):
        rows.append(f"| {at} | {n:,} | {predicted:+.3%} | {observed:+.3%} |")
    intervals = ", ".join(f"{wanted:.0%} → {found:.1%}" for wanted, found in card["coverage"])
    return (
        f"The unit (a factor of {card['unit']:.4f} on every leaf) was fitted on the predictions out of sample, so that a "
        "prediction is an expected excess return. Last year, with a unit fitted before it:\n\n" + "\n".join(rows) + "\n\n"
        "Intervals (`calibration.json`): prediction plus quantiles of the residual in units of "
        f"`vol_realized_20 · √({card['horizon']}/252)`; without volatility the plain quantiles. Fitted before the last year, "
        f"they covered in it: {intervals}. They assume that the future resembles the calibration window."
    )


def probability_section(card) -> str:
    rows = ["| tenth of the predictions | rows | predicted | observed |", "|---|---|---|---|"]
    for at, (n, predicted, observed) in enumerate(card["table"], 1):
        rows.append(f"| {at} | {n:,} | {predicted:.4f} | {observed:.4f} |")
    n_rows = sum(n for n, _, _ in card["table"])
    of_constant = sum(n * abs(0.5 - observed) for n, _, observed in card["table"]) / n_rows
    steps = [after[2] - before[2] for before, after in zip(card["table"][:-1], card["table"][1:], strict=True)]
    n_falls = sum(step < 0.0 for step in steps)
    return (
        f"Platt's line on the log-odds (slope {card['slope']:.3f}, intercept {card['intercept']:+.4f}, folded into leaves and base "
        "score), fitted on predictions of windows later than each model's training. Last year, with a line fitted before "
        f"it: **expected calibration error {card['ece']:.4f}**.\n\n" + "\n".join(rows) + "\n\n"
        f"A constant 0.5 would have an error of {of_constant:.4f} on the same rows: the figure says that the probabilities "
        f"are near the truth, not that they know more than a coin. From one tenth to the next the observed share falls "
        f"{n_falls} times of {len(steps)}; the rank IC and the deciles above are what tells whether the order is worth "
        "anything.\n\n"
        "A win is beating the universe's median. Of the plain return above zero it is no probability: there the same "
        f"predictions have an error of {card['ece_absolute']:.4f} in that year, because the market's own rise or fall is not "
        "predicted."
    )


def leak_section(leaks) -> str:
    return (
        f"- Labels shuffled within sessions, trained the same way, against the shuffled outcomes: IC {figure(leaks['shuffled'])}; one draw, expected is zero.\n"
        f"- Predictions a session old against the same outcomes: {figure(leaks['older'])}; beside it, on the same rows, the "
        f"fresh ones: {figure(leaks['fresh'])}. A feature that looked ahead would lose most of its worth with a day.\n"
        f"- Closes and volumes after {leaks['perturbed_after']} replaced by noise for {leaks['perturbed_symbols']} symbols: "
        f"{leaks['perturbed_different']} of {leaks['perturbed_values']:,} feature values until then differ."
    )
