"""Scores one set with one peer, in a process of its own: what goes wrong here ends no other peer.

After each file its scores and what they cost are on disk, so that a run that was stopped goes on where it was.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
import warnings
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[variable] = "1"  # one core for all; read when numpy and numba are first imported

import numpy as np

import recordings
from peers import PEERS, Peer, Score
from recordings import SETS

WARM_UP_ROWS = 400


def scores_of(score: Score, values: np.ndarray) -> np.ndarray:
    """Row by row, each from the rows before it. Where a peer says nothing its score is 0."""
    scores = np.zeros(len(values))
    for row, x in enumerate(values):
        found = score(x)
        if found is not None and np.isfinite(found):
            scores[row] = found
    return scores


def score_here(peer: Peer, path: Path, target: Path) -> dict:
    """A file by a peer in Python; its size and its CPU seconds, of the peer's calls and of the whole way."""
    began = time.process_time()
    times, values = recordings.read(path)
    score = peer.start(*values.shape)
    calling = time.process_time()
    scores = scores_of(score, values)
    called = time.process_time()
    recordings.write(target, times, scores)
    whole = time.process_time() - began
    return {"rows": values.shape[0], "signals": values.shape[1], "calls": called - calling, "whole": whole}


def score_by_crate(peer: Peer, forests: Path, path: Path, target: Path) -> dict:
    """A file by the program beside this one; the whole way is the whole process."""
    target.parent.mkdir(parents=True, exist_ok=True)
    half = target.with_name(target.name + ".half")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    unpack = subprocess.Popen(["gzip", "-dcf", path], stdout=subprocess.PIPE)
    with unpack, half.open("wb") as out:
        done = subprocess.run([forests, peer.package], stdin=unpack.stdout, stdout=out, stderr=subprocess.PIPE)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(done.stderr.decode().strip())
    os.replace(half, target)
    rows, signals, calls = done.stderr.decode().splitlines()[-1].split()
    whole = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"rows": int(rows), "signals": int(signals), "calls": float(calls), "whole": whole}


def warm_up(peer: Peer, signals: int) -> None:
    """Imports and just-in-time compilation, which are no part of a pace."""
    scores_of(peer.start(WARM_UP_ROWS, signals), np.random.default_rng(0).normal(size=(WARM_UP_ROWS, signals)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", choices=PEERS, required=True)
    parser.add_argument("--set", choices=SETS, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--forests", type=Path)
    parser.add_argument("--folder", type=Path, required=True, help="for scores and cost.json")
    parser.add_argument("--minutes-max", type=float, required=True)
    args = parser.parse_args()
    warnings.simplefilter("ignore")

    peer, files = PEERS[args.peer], SETS[args.set].files(args.data)
    kept = args.folder / "cost.json"
    cost = json.loads(kept.read_text()) if kept.exists() else {}
    if cost.get("made_by") != peer.made_by:
        cost = {"made_by": peer.made_by, "start": 0.0, "files": {}}
    left = [name for name in files if name not in cost["files"] or not (args.folder / name).exists()]
    if left and peer.start is None and args.forests is None:
        print("no --forests given", file=sys.stderr)
        return 1
    if left and peer.start:
        warm_up(peer, recordings.read(files[left[0]])[1].shape[1])
        cost["start"] = time.process_time()
    for done, name in enumerate(left):
        spent = sum(file["whole"] for file in cost["files"].values())
        print(f"{len(files) - len(left) + done}/{len(files)} {spent:.0f}", flush=True)
        if spent > 60 * args.minutes_max:
            print(f"more than {args.minutes_max:g} min of CPU", file=sys.stderr)
            return 1
        path, target = files[name], args.folder / name
        cost["files"][name] = (
            score_here(peer, path, target) if peer.start else score_by_crate(peer, args.forests, path, target)
        )
        recordings.write_json(kept, cost)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
