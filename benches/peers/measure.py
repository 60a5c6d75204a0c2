"""What `foreshock eval` says of scores that stand ready, and what they cost."""

import argparse
import csv
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np

import alerts
import recordings
from peers import PEERS
from recordings import SETS, Set

OURS = "foreshock"
# Our own anomaly_score, held off as a peer's is, without what else makes our alert_score.
OURS_AS_A_PEER = "foreshock, anomaly_score"


def folder_of(out: Path, who: str, of: Set) -> Path:
    """Where the scores of a set are written."""
    return out / who.replace(" ", "-") / of.name


def evaluated(args: argparse.Namespace, of: Set, scores: Path, *more: str) -> dict:
    """The report on one set."""
    what = ["nab", *more] if of.window is None else ["labelled", "--window", str(of.window)]
    command = [args.foreshock, "eval", *what, of.folder(args.data), "--scores", scores, "--threads", "1", "--json"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def nab_profiles(report: dict) -> list[float]:
    return [profile["score"] for profile in report["profiles"]]


def nab_as_a_peer(args: argparse.Namespace, of: Set, folder: Path) -> dict[str, list[float]]:
    """NAB of plain scores, of those louder than the rows before, and of what our hold-off makes of their ranks."""
    derived = folder.with_name("nab-alerts")
    ways: dict[str, tuple[Callable[[np.ndarray], np.ndarray], list[str]]] = {
        "as they are": (lambda scores: scores, []),
        "louder than 70 rows": (alerts.louder, []),
        "our hold-off": (alerts.surprise, ["--hold-off"]),
    }
    found = {}
    for way, (made, more) in ways.items():
        for name in of.files(args.data):
            with (folder / name).open(newline="") as file:
                rows = [(row["timestamp"], float(row["anomaly_score"])) for row in csv.DictReader(file)]
            scores = np.array([score for _, score in rows])
            recordings.write(derived / name, [time for time, _ in rows], made(scores))
        found[way] = nab_profiles(evaluated(args, of, derived, *more))
    return found


def measured(args: argparse.Namespace, say: Callable) -> dict[str, dict[str, dict]]:
    """Figures by detector and set: of all whose scores are complete, whenever they were made."""
    results: dict[str, dict[str, dict]] = {OURS: {}, OURS_AS_A_PEER: {}}
    for who in (OURS, *PEERS):
        for of in SETS.values():
            folder = folder_of(args.out, who, of)
            cost, note = folder / "cost.json", folder / "not-run.txt"
            if note.exists():
                results.setdefault(who, {})[of.name] = {"not_run": note.read_text()}
                continue
            if not cost.exists():
                continue
            costs = json.loads(cost.read_text())
            if set(of.files(args.data)) - set(costs["files"]):
                results.setdefault(who, {})[of.name] = {"not_run": "not yet"}
                continue
            say(f"measuring {who}, {of.name}", again=True)
            result = {"cost": costs}
            if of.window is None and who == OURS:
                result["nab"] = nab_profiles(evaluated(args, of, folder))
                results[OURS_AS_A_PEER][of.name] = {"ways": nab_as_a_peer(args, of, folder)}
            elif of.window is None:
                result["ways"] = nab_as_a_peer(args, of, folder)
            else:
                report = evaluated(args, of, folder)
                result["vus_pr"] = report["vus_pr"]
                result["recall"] = [alarm["recall"] for alarm in report["alarms"]]
            results.setdefault(who, {})[of.name] = result
    return results
