"""Labelled recordings in, score CSVs out, in the forms that `foreshock eval` reads."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Set:
    """A folder of recordings and how it is measured."""

    name: str
    univariate: bool
    window: int | None  # rows around an event for VUS-PR; None is scored as the Numenta benchmark

    def folder(self, data: Path) -> Path:
        """What `foreshock eval` is given."""
        return data / self.name

    def files(self, data: Path) -> dict[str, Path]:
        """The recordings by the name that their scores must have."""
        folder = self.folder(data)
        if self.window is None:
            labels = json.loads((folder / "labels" / "combined_windows.json").read_text())
            return {name: folder / "data" / name for name in sorted(labels)}
        paths = sorted(p for p in folder.iterdir() if p.name.endswith((".csv", ".csv.gz")))
        return {path.name.removesuffix(".gz"): path for path in paths}


SETS = {
    s.name: s
    for s in (Set("nab", True, None), Set("smd", False, 100), Set("asd", False, 20), Set("cloudmon", True, 20))
}


def read(path: Path) -> tuple[list[str], np.ndarray]:
    """Timestamps as they stand, and a row of signals for each. A missing value repeats the one before, a first is 0."""
    import pandas as pd

    table = pd.read_csv(path, dtype={"timestamp": str, "TimeStamp": str}, float_precision="round_trip")
    table.columns = [name.lower() for name in table.columns]
    signals = table.drop(columns=["timestamp", "label"], errors="ignore")
    values = signals.replace([np.inf, -np.inf], np.nan).ffill().fillna(0.0)
    return table["timestamp"].tolist(), np.ascontiguousarray(values.to_numpy(float))


def write(path: Path, times: list[str], scores: np.ndarray, alerts: np.ndarray | None = None) -> None:
    """A score CSV, whole or not at all, with every digit: a peer's ranks must not be rounded together."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(path.name + ".half")
    rows = zip(times, scores.tolist(), (scores if alerts is None else alerts).tolist())
    with half.open("w") as file:
        file.write("timestamp,anomaly_score,alert_score\n")
        file.writelines(f"{time},{score!r},{alert!r}\n" for time, score, alert in rows)
    os.replace(half, path)


def write_json(path: Path, value: object) -> None:
    """A file of JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(path.name + ".half")
    half.write_text(json.dumps(value, indent=1))
    os.replace(half, path)
