"""Labels: what a row's symbol did over the next sessions, beside the median of the universe."""

import numpy as np

CLIP = 0.5


def forward_returns(
    segment: np.ndarray, session: np.ndarray, price: np.ndarray, horizon: int, skip: int = 1
) -> np.ndarray:
    """Return from the close of the next session (`skip` = 0: of this one) to the close `horizon` sessions later.

    Rows are sorted by segment (a run of one symbol that returns may be taken over) and session; `price` is on one split
    basis per segment. Without a row in the next session nothing could be bought: missing. When the last sessions are
    not there yet: missing. When the segment ends before the exit (a merger, a delisting, another venue), or has a gap
    there, the position is held at its last close and is cash from then on: no further loss is invented, and none hidden.
    """
    n_sessions = int(session.max()) + 1
    key = segment.astype(np.int64) * (n_sessions + horizon + 2) + session
    entry = np.minimum(np.arange(len(key)) + skip, len(key) - 1)
    exit_ = np.searchsorted(key, key + skip + horizon, side="right") - 1
    is_known = (key[entry] == key + skip) & (session + skip + horizon < n_sessions)
    return np.where(is_known, price[exit_] / price[entry] - 1.0, np.nan)


def ends_before_exit(segment: np.ndarray, session: np.ndarray, horizon: int) -> np.ndarray:
    """Whether a row's segment has its last row before the exit of its label."""
    last = np.zeros(int(segment.max()) + 1, np.int64)
    np.maximum.at(last, segment, session)
    return last[segment] < session + 1 + horizon


def excess(returns: np.ndarray, members: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Returns less the median of the session's members, clipped to ±0.5. Rows are sorted by session."""
    out = np.full(len(returns), np.nan)
    for start, end in zip(bounds[:-1], bounds[1:], strict=True):
        of_members = returns[start:end][members[start:end]]
        of_members = of_members[~np.isnan(of_members)]
        if len(of_members):
            out[start:end] = np.clip(returns[start:end] - np.median(of_members), -CLIP, CLIP)
    return out


def session_ranks(values: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Values as places of their session's sorted values, −0.5 to 0.5; equal ones share the middle. Missing stays so."""
    out = np.full(len(values), np.nan)
    for start, end in zip(bounds[:-1], bounds[1:], strict=True):
        known = start + np.flatnonzero(~np.isnan(values[start:end]))
        if len(known) > 1:
            out[known] = (average_places(values[known]) + 0.5) / len(known) - 0.5
    return out


def average_places(values: np.ndarray) -> np.ndarray:
    """0-based places in the sorted order; equal values share their mean place."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    ends = np.concatenate([starts[1:], [len(values)]])
    out = np.empty(len(values))
    out[order] = np.repeat((starts + ends - 1) / 2.0, ends - starts)
    return out
