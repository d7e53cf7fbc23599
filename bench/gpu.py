"""rbench on a CUDA GPU, in at most eight minutes: tests, suites, waits a step, utilisation, and the ratio against others on the same card.

    python -m bench.gpu [--cifar FILE.parquet] [--out results/bench] [--minutes 8] [--parts tests steps suites comparisons]

Writes `gpu.json` and `gpu.md`; parts that are not asked for stay in them as they were found, with what they hang on. Without a GPU it says
so and ends with 3, having written nothing; it ends with 1 where a test failed or a step waits more often than it may. What there was no
time for is named.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from bench.about import about
from bench.attacks import BATCH
from bench.budgets import CUT, STANDARD, Size
from bench.deadline import Deadline, OutOfTimeError
from bench.device_time import device_clock, measured, on_device
from bench.gpu_page import page
from bench.memory import environment
from bench.models import RADII, model_of
from bench.rows import MissingPartError
from bench.table import compared
from rbench.engine.precision import full_float32
from rbench.errors import MissingError
from rbench.results.files import write_text

MINUTES = 8.0
SHARES = {"tests": 90, "quickstart": 120, "cifar10-linf": 120}
"""Seconds that each part may take at most."""
PARTS = ("tests", "steps", "suites", "comparisons")
ATTACKS = ("pgd", "apgd", "apgd-t", "fab-t", "square")
IMAGES = BATCH
SHOWN = 60
"""Lines of a part that failed."""


def timed(name: str, command: list[str], limit: float) -> dict[str, Any]:
    """A command with a limit of time: how it ended, its last line, and seconds on the wall; the end of what went wrong is shown."""
    start = time.monotonic()
    try:
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=limit)
        ended, text = str(done.returncode), (done.stdout + done.stderr).strip()
    except subprocess.TimeoutExpired:
        ended, text = "no time left", ""
    last = text.splitlines()[-1] if text else ""
    if ended not in ("0", "no time left"):
        sys.stderr.write("\n".join(text.splitlines()[-SHOWN:]) + "\n")
    return {"name": name, "ended": ended, "last": last, "seconds": time.monotonic() - start, "limit": limit}


def suite(name: str, settings: list[str], limit: float) -> dict[str, Any]:
    """`rbench run` of a suite on the GPU, and how many of its cells were done within the limit."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(__file__).parents[1] / "suites" / f"{name}.yaml"
        command = [
            sys.executable,
            "-m",
            "rbench",
            "run",
            str(path),
            "--out",
            scratch,
            "--device",
            "cuda",
            "--batch-size",
            "256",
        ]
        found = timed(name, command + settings, limit)
        records = [json.loads(one.read_text()) for one in Path(scratch, "records").glob("*.json")]
        cells = Path(scratch, "cells.jsonl")
        planned = len(cells.read_text().splitlines()) if cells.exists() else 0
    return found | {"done": sum(one["status"] == "done" for one in records), "cells": planned}


def suites(cifar: Path | None, deadline: Deadline) -> list[dict[str, Any]]:
    """Quickstart, and cifar10-linf where its data are here."""
    found = [suite("quickstart", [], deadline.left(SHARES["quickstart"]))]
    if cifar is None:
        why = "no CIFAR-10 test images were given (--cifar FILE.parquet)"
        return [*found, {"name": "cifar10-linf", "missing": why}]
    settings = ["--set", f"dataset.path={cifar.resolve()}"]
    return [*found, suite("cifar10-linf", settings, deadline.left(SHARES["cifar10-linf"]))]


def comparisons(cifar: Path | None, device: torch.device, deadline: Deadline) -> Iterator[dict[str, Any]]:
    """Attacks of rbench against those of others on the same card, as long as there is time; AutoAttack last."""
    letter = "b" if cifar is None else "d"
    single, whole = CUT, STANDARD
    plan = [("b", "0.65", attack, Size(IMAGES, 3, single)) for attack in ATTACKS]
    plan += [(letter, "0.65", "pgd", Size(IMAGES, 3, single)), (letter, "0", "autoattack", Size(IMAGES, 1, whole))]
    plan += [(letter, "0.05", "autoattack", Size(IMAGES, 1, whole))]
    for name, share, attack, size in plan:
        about_row = {"model": name, "share": share, "attack": attack}
        try:
            with deadline.enforced():
                model = on_device(model_of(name, size.images, cifar), device)
                yield about_row | compared(model, attack, RADII[name][share], size, device_clock)
        except MissingPartError as error:
            yield about_row | {"missing": str(error)}
        except OutOfTimeError:
            yield about_row | {"missing": "no time left"}


def tests() -> list[str]:
    """Files with tests that want a GPU, so that no other file's libraries are needed."""
    found = sorted((Path(__file__).parents[1] / "tests").rglob("test_*.py"))
    return [str(path) for path in found if "pytest.mark.gpu" in path.read_text(encoding="utf-8")]


def measured_parts(cifar: Path | None, minutes: float, parts: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Each part that is asked for with what has been found of it, comparisons again after each row."""
    device, deadline = torch.device("cuda:0"), Deadline(60 * minutes)
    if "tests" in parts:
        command = [sys.executable, "-m", "pytest", "-n0", "-m", "gpu", *tests()]
        yield "tests", timed("tests", command, deadline.left(SHARES["tests"]))
    if "steps" in parts:
        model = on_device(model_of("b", IMAGES), device)
        yield "steps", [measured(model, attack) for attack in ATTACKS]
    if "suites" in parts:
        yield "suites", suites(cifar, deadline)
    if "comparisons" in parts:
        rows = list[dict[str, Any]]()
        for row in comparisons(cifar, device, deadline):
            rows.append(row)
            yield "comparisons", rows


def main(arguments: list[str] | None = None) -> int:
    """Measures and writes; 3 without a GPU, 1 where something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cifar", type=Path, help="parquet file of CIFAR-10 test images")
    parser.add_argument("--out", type=Path, default=Path("results/bench"))
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    given = parser.parse_args(arguments)
    if not torch.cuda.is_available():
        sys.stdout.write("no CUDA GPU is visible to torch here: nothing was measured\n")
        return MissingError.exit_code
    warnings.simplefilter("ignore")  # of old code in the libraries
    given.out.mkdir(parents=True, exist_ok=True)
    kept = given.out / "gpu.json"
    found: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    facts = about(quick=False) | {"card": torch.cuda.get_device_name(0), "cuda": str(torch.version.cuda)}
    now = dict[str, Any]()
    with full_float32():
        for part, figures in measured_parts(given.cifar, given.minutes, given.parts):
            now[part], found[part] = figures, {"about": facts, "found": figures}
            write_text(kept, json.dumps(found, indent=1) + "\n")
            write_text(given.out / "gpu.md", page(found))
    sys.stdout.write(f"{given.out}/gpu.md\n")
    late = any(one["waits a query"] > one["bar"] + 1e-9 for one in now.get("steps", ()))
    return int(late or ("tests" in now and now["tests"]["ended"] != "0"))


if __name__ == "__main__":
    sys.exit(main())
