"""The figures as the tables of `benches/RESULTS.md`, and all of them as `results.json`."""

import argparse
import json
from pathlib import Path

import measure
import recordings
from recordings import SETS

WAYS = ("as they are", "louder than 70 rows", "our hold-off")
QUALITY = (
    "NAB standard: as they are / louder than 70 rows / our hold-off",
    "VUS-PR smd", "VUS-PR asd", "cloudmon recall at one false alarm a day / a week / in four weeks",
)  # fmt: skip
SPEED = (
    "files to scores, one signal", "files to scores, many signals",
    "calls alone, one signal", "calls alone, many signals", "start, s",
)  # fmt: skip


def quality_of(results: dict[str, dict]) -> list[str]:
    """Cells of one detector."""

    def cell(of: str, figures) -> str:
        result = results.get(of, {"not_run": ""})
        return result["not_run"] if "not_run" in result else figures(result)

    def nab(result: dict) -> str:
        if "nab" in result:
            return f"{result['nab'][0]:.1f}"
        return " / ".join(f"{result['ways'][way][0]:.1f}" for way in WAYS)

    vus = [cell(of, lambda result: f"{result['vus_pr']:.3f}") for of in ("smd", "asd")]
    recall = cell("cloudmon", lambda result: " / ".join(f"{share:.2f}" for share in result["recall"]))
    return [cell("nab", nab), *vus, recall]


def pace(results: dict[str, dict], univariate: bool, seconds: str) -> str:
    """Samples (values of signals) a second over the sets of a kind."""
    costs = [result["cost"] for of, result in results.items() if "cost" in result and SETS[of].univariate == univariate]
    files = [file for cost in costs for file in cost["files"].values() if seconds in file]
    spent = sum(file[seconds] for file in files)
    return three_digits(sum(file["rows"] * file["signals"] for file in files) / spent) if spent else ""


def three_digits(rate: float) -> str:
    return f"{float(f'{rate:.3g}'):,.0f}"


def our_calls(foreshock: Path, bench: str) -> str:
    """What `cargo bench --bench detect` found last, where it ran beside this build."""
    folder = foreshock.parent.parent / "criterion" / "rows" / bench / "new"
    if not (folder / "estimates.json").exists():
        return ""
    estimates = json.loads((folder / "estimates.json").read_text())
    nanoseconds = (estimates.get("slope") or estimates["mean"])["point_estimate"]
    samples = json.loads((folder / "benchmark.json").read_text())["throughput"]["Elements"]
    return three_digits(samples / nanoseconds * 1e9)


def speed_of(who: str, results: dict[str, dict], foreshock: Path) -> list[str]:
    """Cells of one detector."""
    whole = [pace(results, univariate, "whole") for univariate in (True, False)]
    if who == measure.OURS:
        return [*whole, our_calls(foreshock, "1 signal"), our_calls(foreshock, "38 signals"), "in it"]
    calls = [pace(results, univariate, "calls") for univariate in (True, False)]
    starts = [result["cost"]["start"] for result in results.values() if "cost" in result]
    return [*whole, *calls, f"{max(starts):.1f}" if any(starts) else "in it"]


def print_table(columns: tuple[str, ...], rows: list[list[str]]) -> None:
    head, *lines = ["| " + " | ".join(line) + " |" for line in (["", *columns], *rows)]
    print("\n" + "\n".join([head.replace("|  |", "| |", 1), "|---" * (len(columns) + 1) + "|", *lines]))


def show(results: dict[str, dict[str, dict]], args: argparse.Namespace) -> None:
    """Prints both tables."""
    recordings.write_json(args.out / "results.json", results)
    found = {who: result for who, result in results.items() if result}
    print_table(QUALITY, [[who, *quality_of(result)] for who, result in found.items()])
    timed = {who: result for who, result in found.items() if any("cost" in of for of in result.values())}
    print_table(SPEED, [[who, *speed_of(who, result, args.foreshock)] for who, result in timed.items()])
