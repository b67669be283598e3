"""Everything a card says about predictions out of sample."""

import numpy as np

import metrics

COST_PER_SIDE = 0.001


def years(data):
    return data.days.astype("datetime64[Y]").astype(int) + 1970


def ic_summary(data, prediction, outcome, horizon) -> dict:
    """Rank IC pooled and by year: mean of the sessions, Newey–West t with `horizon` lags, sessions."""
    daily = metrics.daily_rank_ic(prediction, outcome, data.bounds)
    out = {"daily": daily, "pooled": line(daily, horizon), "by_year": {}, "by_month": {}}
    for year in np.unique(years(data)[~np.isnan(daily)]):
        out["by_year"][int(year)] = line(daily[years(data) == year], horizon)
    months = data.days.astype("datetime64[M]")
    for month in np.unique(months[~np.isnan(daily)]):
        out["by_month"][str(month)] = float(np.nanmean(daily[months == month]))
    return out


def line(daily, horizon) -> dict:
    known = daily[~np.isnan(daily)]
    return {"ic": float(known.mean()), "t": metrics.newey_west_t(known, horizon), "sessions": len(known)}


def portfolio(data, prediction, horizon) -> dict:
    """Deciles held for the horizon: gross, and after `COST_PER_SIDE` for every name sold and bought."""
    excess, bounds = data.excess[horizon], data.bounds
    bottom, top = metrics.deciles(prediction, excess, bounds)
    spread = top - bottom
    is_top, is_bottom = metrics.top_decile(prediction, bounds), metrics.top_decile(-prediction, bounds)
    turnover_top = metrics.turnover(is_top, data.symbol, bounds, horizon)
    turnover_bottom = metrics.turnover(is_bottom, data.symbol, bounds, horizon)
    known = ~(np.isnan(prediction) | np.isnan(excess))
    return {
        "top": float(np.nanmean(top)),
        "bottom": float(np.nanmean(bottom)),
        "spread": float(np.nanmean(spread)),
        "spread_t": metrics.newey_west_t(spread, horizon),
        "turnover_top": turnover_top,
        "turnover_bottom": turnover_bottom,
        "top_net": float(np.nanmean(top)) - 2.0 * COST_PER_SIDE * turnover_top,
        "spread_net": float(np.nanmean(spread)) - 2.0 * COST_PER_SIDE * (turnover_top + turnover_bottom),
        "hit_rate_top": float((excess[is_top & known] > 0.0).mean()),
        "hit_rate": float(((excess[known] > 0.0) == above_median(prediction, bounds)[known]).mean()),
    }


def above_median(prediction, bounds) -> np.ndarray:
    out = np.zeros(len(prediction), bool)
    for start, end in zip(bounds[:-1], bounds[1:], strict=True):
        of_session = prediction[start:end]
        if not np.isnan(of_session).all():
            out[start:end] = of_session > np.nanmedian(of_session)
    return out
