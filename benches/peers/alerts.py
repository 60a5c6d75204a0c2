"""Alerts of a peer's scores in the ways that NAB is asked about; each row from the rows before it."""

import math
from bisect import bisect_left, insort
from collections import deque

import numpy as np

LOUDER_THAN_ROWS = 70
SURPRISE_MAX = 12.0


def louder(scores: np.ndarray) -> np.ndarray:
    """A score where it is greater than all of the 70 rows before it; else 0."""
    alerts = np.zeros(len(scores))
    loudest: deque[tuple[int, float]] = deque()  # falling scores: the first is the loudest in reach
    for row, score in enumerate(scores):
        if loudest and loudest[0][0] < row - LOUDER_THAN_ROWS:
            loudest.popleft()
        if not loudest or score > loudest[0][1]:
            alerts[row] = score
        while loudest and loudest[-1][1] <= score:
            loudest.pop()
        loudest.append((row, score))
    return alerts


def surprise(scores: np.ndarray) -> np.ndarray:
    """-log10 of the share of scores so far that are as high, over 12: what our hold-off is made for.

    Ranks are all it needs of a peer, whatever the peer's scale.
    """
    shares = np.zeros(len(scores))
    past: list[float] = []
    for row, score in enumerate(scores.tolist()):
        as_high = len(past) - bisect_left(past, score)
        shares[row] = -math.log10((as_high + 1) / (len(past) + 1)) / SURPRISE_MAX
        insort(past, score)
    return shares
