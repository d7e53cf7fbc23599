"""rbench on a CUDA GPU, in at most eight minutes: tests, suites, waits a step, utilisation, and the ratio against others on the same card.

    python -m bench.gpu [--cifar FILE.parquet] [--out results/bench] [--minutes 8]

Writes `gpu.json` and `gpu.md`. Without a GPU it says so and ends with 3, having written nothing; it ends with 1 where a test failed or a
step waits more often than it may. What there was no time for is named.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import torch

from bench.about import about
from bench.budgets import STANDARD, Budget, Size
from bench.deadline import Deadline, OutOfTimeError
from bench.device_time import device_clock, measured, on_device
from bench.gpu_page import page
from bench.memory import environment
from bench.models import RADII, model_of
from bench.rows import MissingPartError
from bench.table import compared
from rbench.errors import MissingError
from rbench.results.files import write_text

MINUTES = 8.0
SHARES = {"tests": 90, "quickstart": 120, "cifar10-linf": 120}
"""Seconds that each part may take at most."""
ATTACKS = ("pgd", "apgd", "apgd-t", "fab-t", "square")
IMAGES = 128


def timed(name: str, command: list[str], limit: float) -> dict[str, Any]:
    """A command with a limit of time: how it ended, its last line, and seconds on the wall."""
    start = time.monotonic()
    try:
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=limit)
        ended, text = str(done.returncode), (done.stdout + done.stderr).strip()
    except subprocess.TimeoutExpired:
        ended, text = "no time left", ""
    last = text.splitlines()[-1] if text else ""
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


def comparisons(cifar: Path | None, device: torch.device, deadline: Deadline) -> list[dict[str, Any]]:
    """Attacks of rbench against those of others on the same card, as long as there is time; AutoAttack last."""
    letter = "b" if cifar is None else "d"
    single, whole = Budget(), STANDARD
    plan = [("b", "0.65", attack, Size(IMAGES, 3, single)) for attack in ATTACKS]
    plan += [(letter, "0.65", "pgd", Size(IMAGES, 3, single)), (letter, "0", "autoattack", Size(IMAGES, 1, whole))]
    plan += [(letter, "0.05", "autoattack", Size(IMAGES, 1, whole))]
    found = []
    for name, share, attack, size in plan:
        about_row = {"model": name, "share": share, "attack": attack}
        try:
            with deadline.enforced():
                model = on_device(model_of(name, size.images, cifar), device)
                found.append(about_row | compared(model, attack, RADII[name][share], size, device_clock))
        except MissingPartError as error:
            found.append(about_row | {"missing": str(error)})
        except OutOfTimeError:
            found.append(about_row | {"missing": "no time left"})
    return found


def report(cifar: Path | None, minutes: float) -> dict[str, Any]:
    """Everything."""
    device, deadline = torch.device("cuda:0"), Deadline(60 * minutes)
    tests = [sys.executable, "-m", "pytest", "-n0", "-m", "gpu", str(Path(__file__).parents[1] / "tests")]
    found: dict[str, Any] = {
        "about": about(quick=False) | {"card": torch.cuda.get_device_name(0), "cuda": str(torch.version.cuda)}
    }
    found["tests"] = timed("tests", tests, deadline.left(SHARES["tests"]))
    model = on_device(model_of("b", IMAGES), device)
    found["steps"] = [measured(model, attack) for attack in ATTACKS]
    found["suites"] = suites(cifar, deadline)
    found["comparisons"] = comparisons(cifar, device, deadline)
    return found


def main(arguments: list[str] | None = None) -> int:
    """Measures and writes; 3 without a GPU, 1 where something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cifar", type=Path, help="parquet file of CIFAR-10 test images")
    parser.add_argument("--out", type=Path, default=Path("results/bench"))
    parser.add_argument("--minutes", type=float, default=MINUTES)
    given = parser.parse_args(arguments)
    if not torch.cuda.is_available():
        sys.stdout.write("no CUDA GPU is visible to torch here: nothing was measured\n")
        return MissingError.exit_code
    warnings.simplefilter("ignore")  # of old code in the libraries
    found = report(given.cifar, given.minutes)
    given.out.mkdir(parents=True, exist_ok=True)
    write_text(given.out / "gpu.json", json.dumps(found, indent=1) + "\n")
    write_text(given.out / "gpu.md", page(found))
    sys.stdout.write(f"{given.out}/gpu.md\n")
    late = [one for one in found["steps"] if one["waits a query"] > one["bar"] + 1e-9]
    return int(found["tests"]["ended"] != "0" or bool(late))


if __name__ == "__main__":
    sys.exit(main())
