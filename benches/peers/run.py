"""Runs streaming detectors and ours over the same recordings and prints quality and speed side by side."""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import measure
import recordings
import table
from peers import PEERS
from recordings import SETS, Set

OURS = measure.OURS
HERE = Path(__file__).parent
EXAMPLE = f"""\
Example: everything, which is about an hour of CPU; a run that was stopped goes on where it was

  python run.py --data DIR --foreshock target/release/foreshock --forests target/forests/release/forests --out OUT

Example: ours again after a change, and the tables with what is known of the peers

  python run.py --data DIR --foreshock target/release/foreshock --out OUT --peer {OURS}
"""


def say(text: str, *, again: bool = False) -> None:
    """How far it is, in one line that is written over on a terminal and only at its end elsewhere."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="" if again else "\n", file=sys.stderr, flush=True)
    elif not again:
        print(text, file=sys.stderr, flush=True)


def run_peer(who: str, of: Set, args: argparse.Namespace) -> str | None:
    """Scores what has no scores yet; why not, where it could not."""
    peer = PEERS[who]
    if not (peer.univariate if of.univariate else peer.multivariate):
        return "many signals only" if of.univariate else "one signal only"
    command = [sys.executable, HERE / "worker.py", "--peer", who, "--set", of.name, "--data", args.data]
    command += ["--folder", measure.folder_of(args.out, who, of), "--minutes-max", str(args.minutes_max)]
    command += ["--forests", args.forests] if args.forests else []
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as worker,
    ):
        for line in worker.stdout:
            files, seconds = line.split()
            say(f"{who}, {of.name}: {files} files, {seconds} s of CPU", again=True)
        failed = worker.wait()
        log.seek(0)
        last = (log.read().strip().splitlines() or [f"ended with {failed}"])[-1]
    return last if failed else None


def run_ours(of: Set, args: argparse.Namespace) -> None:
    """Scores a set anew with `foreshock score`, a process a file, with its start, parsing and writing."""
    folder, files = measure.folder_of(args.out, OURS, of), {}
    for name, path in of.files(args.data).items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([args.foreshock, "score", "--input", path, "--output", target], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        whole = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        rows, signals = recordings.read(path)[1].shape
        files[name] = {"rows": rows, "signals": signals, "whole": whole}
    recordings.write_json(folder / "cost.json", {"start": 0.0, "files": files})


def run(who: str, of: Set, args: argparse.Namespace) -> None:
    """Scores a set and notes a failure, which is a finding about that peer and not the end of the others."""
    note = measure.folder_of(args.out, who, of) / "not-run.txt"
    why = run_ours(of, args) if who == OURS else run_peer(who, of, args)
    note.parent.mkdir(parents=True, exist_ok=True)
    if why is None:
        note.unlink(missing_ok=True)
    else:
        note.write_text(why)
    say(f"{who}, {of.name}: {why or 'scored'}")


def main() -> int:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLE, formatter_class=formatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with nab, smd, asd and cloudmon")
    parser.add_argument("--foreshock", type=Path, required=True, help="a release build of the product")
    parser.add_argument("--forests", type=Path, help="a release build of the crate in rust/, for rcf3 and krcf")
    parser.add_argument("--out", type=Path, required=True, help="for scores and their cost, which add up over runs")
    parser.add_argument("--peer", action="append", choices=[OURS, *PEERS], help="only this one; may be repeated")
    parser.add_argument("--set", action="append", choices=list(SETS), help="only this one; may be repeated")
    parser.add_argument("--minutes-max", type=float, default=60, help="CPU that a peer may take for a set [%(default)s]")
    args = parser.parse_args()

    args.out.mkdir(parents=True, exist_ok=True)
    for who in args.peer or [OURS, *PEERS]:
        for name in args.set or SETS:
            run(who, SETS[name], args)
    table.show(measure.measured(args, say), args)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nstopped; what was scored is kept, and the same command goes on from there", file=sys.stderr)
        sys.exit(130)
    except subprocess.CalledProcessError as error:
        sys.exit(f"{' '.join(map(str, error.cmd))}: ended with {error.returncode}")
