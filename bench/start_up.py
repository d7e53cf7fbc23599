"""How soon the command line answers: processor seconds of verbs that need no torch, each beside its bar.

    python bench/start_up.py [--runs 5]

The least of several runs, from the start of the interpreter, its modules compiled as after the first use of an installation. Ends with 1
where a figure is above its bar or torch was imported.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bars import held

VERB = """
import json, sys, time
from rbench.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as done:
    assert not done.code, done.code
print()
print(json.dumps([time.process_time(), "torch" in sys.modules]))
"""
BARE = "import json, time; print(json.dumps([time.process_time(), False]))"

THOUSAND = f"""\
suite: thousand
dataset: {{name: fashion-mnist-mini, samples: 8}}
threat: {{norm: Linf, eps: [8/255, 4/255]}}
backbones: [bundled:fashion-cnn]
purifiers: [identity, {", ".join(f"{{name: jpeg, quality: {i + 1}, as: jpeg-{i}}}" for i in range(24))}]
attacks: [{", ".join(f"{{name: pgd, steps: {i + 1}, as: pgd-{i}}}" for i in range(20))}]
"""
FINISHED = """\
suite: finished
dataset: {name: fashion-mnist-mini, samples: 8}
threat: {norm: Linf, eps: 0.05}
backbones: [bundled:fashion-cnn]
purifiers: [identity, jpeg]
attacks: [noise]
"""


class Case(NamedTuple):
    """A command with its bar.

    Attributes:
        what: it is, for readers.
        arguments: of `rbench`.
        bar: processor seconds.
        above_python: those that Python itself needs do not count.
    """

    what: str
    arguments: Sequence[str]
    bar: float
    above_python: bool = False


def main() -> int:
    """Times every case; 1 if one is above its bar."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as scratch:
        thousand, finished, folder = (Path(scratch) / name for name in ("thousand.yaml", "finished.yaml", "run"))
        thousand.write_text(THOUSAND, encoding="utf-8")
        finished.write_text(FINISHED, encoding="utf-8")
        run = ["run", str(finished), "--out", str(folder)]
        finish(run)
        cases = [
            Case("rbench --version, above bare Python", ["--version"], 0.15, above_python=True),
            Case("rbench --help, above bare Python", ["--help"], 0.15, above_python=True),
            Case("rbench plan, 1,000 cells", ["plan", str(thousand)], 0.5),
            Case("rbench run of a finished suite", run, 1.0),
            Case("rbench compare of a small run", ["compare", str(folder)], 1.0),
            Case("rbench report of a small run", ["report", str(folder), "--to", "md,csv"], 1.0),
        ]
        bare, _ = least(BARE, [], runs)
        kept = []
        for case in cases:
            seconds, torch = least(VERB, case.arguments, runs)
            kept.append(held(case.what, seconds - (bare if case.above_python else 0), case.bar) and not torch)
            if torch:
                sys.stdout.write(f"{case.what}: imports torch\n")
    return int(not all(kept))


def finish(run: Sequence[str]) -> None:
    """Runs a suite once, so that there is nothing to do afterwards."""
    command = [sys.executable, "-m", "rbench", *run]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def least(code: str, arguments: Sequence[str], runs: int) -> tuple[float, bool]:
    """The fewest processor seconds of a process that prints them last, and whether torch was imported."""
    command = [sys.executable, "-c", code, *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["OMP_NUM_THREADS"] = "1"
    done = [subprocess.run(command, env=environment, check=True, capture_output=True, text=True) for _ in range(runs)]
    told = [json.loads(one.stdout.splitlines()[-1]) for one in done]
    return min(seconds for seconds, _ in told), any(torch for _, torch in told)


if __name__ == "__main__":
    sys.exit(main())
