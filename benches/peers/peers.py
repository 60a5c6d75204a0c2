"""The peers, each with its documented defaults and one setting for all data.

A peer is made anew for each recording and is asked row by row, first for the score of a row and only
then to learn it, except where its own streaming call does both (said there).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np

Score = Callable[[np.ndarray], float | None]

SEED = 42
STUMPI_WINDOW = 50


@dataclass(frozen=True)
class Peer:
    """How to start a peer on a recording of so many rows and signals."""

    package: str
    model: str
    setting: str  # what is not a default, for the record: scores made with another are not taken up again
    start: Callable[[int, int], Score] | None  # None is a forest of the crate beside this file
    univariate: bool = True
    multivariate: bool = True

    @property
    def name(self) -> str:
        return f"{self.package} {self.model}".strip()

    @property
    def made_by(self) -> str:
        """What the scores depend on."""
        return f"{self.package} {version(self.package)} {self.setting}" if self.start else self.setting


def half_space_trees(rows: int, signals: int) -> Score:
    """river: scaled to 0..1 by what has been seen, as its documentation asks for."""
    from river import anomaly, preprocessing

    model = preprocessing.MinMaxScaler() | anomaly.HalfSpaceTrees(seed=SEED)

    def score(x: np.ndarray) -> float:
        row = dict(enumerate(x.tolist()))
        found = model.score_one(row)
        model.learn_one(row)
        return found

    return score


def gaussian_scorer(rows: int, signals: int) -> Score:
    """river: one a signal; the mean of their surprises, -log10 of the tail's probability."""
    from river import anomaly

    models = [anomaly.GaussianScorer() for _ in range(signals)]

    def score(x: np.ndarray) -> float:
        total = 0.0
        for model, value in zip(models, x.tolist()):
            total -= math.log10(max(1.0 - model.score_one(None, value), 1e-16))
            model.learn_one(None, value)
        return total / signals

    return score


def knn_cad(rows: int, signals: int) -> Score:
    """pysad: its one parameter has no default; NAB's rule gives it, from the length of the file."""
    from pysad.models import KNNCAD

    model = KNNCAD(probationary_period=max(48, min(750, int(0.15 * rows))))
    return model.fit_score_partial


def into_unit(score: float) -> float:
    """A score of any sign in 0..1, ranks kept, so that the 0 of a silent row is below all."""
    return 0.5 + 0.5 * score / (1.0 + abs(score))


def loda(rows: int, signals: int) -> Score:
    """pysad: minus a mean log density; its one call scores before it learns."""
    from pysad.models import LODA

    model = LODA(random_state=SEED)
    return lambda x: into_unit(model.fit_score_partial(x))


def xstream(rows: int, signals: int) -> Score:
    """pysad: minus a count; its one call scores before it learns."""
    from pysad.models import xStream

    model = xStream(random_state=SEED)
    return lambda x: into_unit(model.fit_score_partial(x))


def streamad_spot(rows: int, signals: int) -> Score:
    """streamad: its one call learns a row and then scores it."""
    from streamad.model import SpotDetector

    return SpotDetector().fit_score


def streamad_loda(rows: int, signals: int) -> Score:
    """streamad: its one call learns a row and then scores it."""
    from streamad.model import LodaDetector

    np.random.seed(SEED)
    return LodaDetector().fit_score


def stumpi(rows: int, signals: int) -> Score:
    """stumpy: distance of the newest subsequence to its nearest neighbour among all earlier ones."""
    import stumpy

    first: list[float] = []
    stream = None

    def score(x: np.ndarray) -> float | None:
        nonlocal stream
        value = float(x[0])
        if stream is None:
            first.append(value)
            if len(first) == 2 * STUMPI_WINDOW:
                stream = stumpy.stumpi(np.array(first), m=STUMPI_WINDOW, egress=False)
            return None
        stream.update(value)
        return float(stream.left_P_[-1])

    return score


PEERS = {
    peer.name: peer
    for peer in (
        Peer("river", "HalfSpaceTrees", "behind MinMaxScaler", half_space_trees),
        Peer("river", "GaussianScorer", "mean of surprises", gaussian_scorer),
        Peer("pysad", "KNNCAD", "probation by NAB's rule", knn_cad, multivariate=False),
        Peer("pysad", "LODA", "", loda),
        Peer("pysad", "xStream", "", xstream),
        Peer("rcf3", "", "rcf3 0.5.2", None),
        Peer("krcf", "", "krcf 0.4.0", None),
        Peer("streamad", "SPOT", "", streamad_spot, multivariate=False),
        Peer("streamad", "LODA", "", streamad_loda, univariate=False),
        Peer("stumpy", "stumpi", "m 50, egress False", stumpi, multivariate=False),
    )
}
