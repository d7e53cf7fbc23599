"""How long `rbench report` takes for a million sample rows: makes the folder, times the whole command, prints the seconds.

    python bench/report_speed.py [--cells 100] [--samples 10000] [--runs 3] [--folder DIR]

Rows have two attacks each, every other purifier is random and judged by 8 draws. The bar is 5 s on two cores; above it, it ends with 1.
"""

import argparse
import hashlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from bars import held

from rbench.results.hashes import file_hash
from rbench.results.record import Record
from rbench.results.statistics import accuracy
from rbench.results.store import RunFolder
from rbench.results.verification import Verification

BAR = 5.0
"""Seconds for a million sample rows."""
DRAWS, CLASSES = 8, 10
ATTACKS = ("pgd", "square")


def main() -> int:
    """Makes a folder and times the command on it; 1 if it is above the bar."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=100)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="keep the run folder here; one that is there is used again")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = wanted.folder or Path(scratch) / "run"
        if not (root / "cells.jsonl").exists():
            make(root, wanted.cells, wanted.samples)
        seconds = [timed(root) for _ in range(wanted.runs)]
        cells = [json.loads(line) for line in (root / "cells.jsonl").read_text().splitlines()]
    rows = sum(cell["dataset"]["samples"] for cell in cells)
    figures = f"best {min(seconds):.2f} s, median {statistics.median(seconds):.2f} s"
    sys.stdout.write(f"{rows:,} sample rows in {len(cells)} cells: {figures}\n")
    return int(not held("rbench report, the best run", min(seconds), BAR))


def timed(root: Path) -> float:
    """Wall-clock seconds of the whole command on a folder, from the start of the interpreter to its end."""
    start = time.monotonic()
    command = [sys.executable, "-m", "rbench", "report", str(root), "--to", "md,csv"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - start


def make(root: Path, cells: int, samples: int) -> None:
    """A run folder of done cells with known noise: purifier k is right with chance 0.9 without and 0.2 + k / (2 cells) under attack."""
    folder, rng, planned = RunFolder.create(root), np.random.default_rng(0), []
    label = rng.integers(0, CLASSES, samples)
    for number in range(cells):
        row, attack = divmod(number, len(ATTACKS))
        draws = DRAWS if row % 2 else 1
        cell = _cell(f"purifier-{row}", ATTACKS[attack], samples)
        planned.append(cell)
        columns = _columns(np.random.default_rng(row), rng, label, draws, 0.2 + row / cells)
        folder.finish(_record(cell, columns, random=draws > 1), columns)
        # One stands for all: reports ask whether examples are there, and do not read them.
        folder.write_images(cell["id"], np.zeros((1, 1, 2, 2), np.float32), np.zeros(1, np.int64))
        folder.write_verification(_verification(folder, cell["id"], samples))
    folder.write_cells(planned)


def _cell(purifier: str, attack: str, samples: int) -> dict:
    content = {
        "judge": 1,
        "dataset": {"name": "toy", "params": {}, "samples": samples, "shuffle": 0},
        "backbone": {"name": "cnn", "params": {}},
        "purifier": {"name": purifier, "params": {}},
        "threat": {"norm": "Linf", "eps": "8/255"},
        "attack": {"name": attack, "params": {}, "gradient": "auto", "eot": 1},
        "protocol": {"draws": DRAWS, "decide": "mean", "seed": 0},
    }
    labels = {"dataset": "toy", "backbone": "cnn", "purifier": purifier, "attack": attack}
    return {**content, "id": hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12], "labels": labels}


def _columns(
    clean_rng: np.random.Generator, rng: np.random.Generator, label: np.ndarray, draws: int, chance: float
) -> dict:
    def drawn(some: np.random.Generator, right: float) -> np.ndarray:
        wrong = some.random((len(label), draws)) >= right
        return np.where(wrong, (label[:, None] + 1) % CLASSES, label[:, None])

    kinds = {"clean": drawn(clean_rng, 0.9), "noise": drawn(clean_rng, 0.88)}
    kinds |= {"select": drawn(rng, chance), "robust": drawn(rng, chance)}
    shares = {kind: (found == label[:, None]).mean(axis=1) for kind, found in kinds.items()}
    return {
        "sample": np.arange(len(label)),
        "label": label,
        **shares,
        **{f"{kind}_predictions": found for kind, found in kinds.items()},
        "clean_select": shares["clean"],
        "distance": rng.random(len(label)) * 8 / 255,
        "queries": np.full(len(label), 40),
    }


def _record(cell: dict, columns: dict, *, random: bool) -> Record:
    def figure(kind: str) -> dict:
        right = columns[f"{kind}_predictions"] == columns["label"][:, None]
        return accuracy(columns[kind], right if random else None)._asdict()

    content = {
        "schema": 1,
        "cell": cell,
        "status": "done",
        "dataset": {"name": "toy", "samples": len(columns["label"]), "sha256": "0" * 64},
        "threat": {"norm": "Linf", "eps_text": "8/255", "eps": 8 / 255},
        "backbone": {"label": "cnn", "name": "cnn"},
        "purifier": {"label": cell["labels"]["purifier"], "name": cell["purifier"]["name"], "stochastic": random},
        "attack": {"label": cell["labels"]["attack"], "name": cell["attack"]["name"], "gradient": "exact"},
        "protocol": {"draws": DRAWS if random else 1, "decide": "mean", "seed": 0},
        "summary": {
            f"{kind}_accuracy": figure(name)
            for kind, name in (("standard", "clean"), ("noise", "noise"), ("robust", "robust"))
        }
        | {"confirmed": {"proposed": 0, "confirmed": 0}},
        "result_hash": "0" * 64,
        "images": "all",
    }
    return Record.model_validate(content)


def _verification(folder: RunFolder, cell_id: str, samples: int) -> Verification:
    return Verification(
        cell=cell_id,
        record_sha256=file_hash(folder.record_path(cell_id)),
        samples_sha256=file_hash(folder.samples_path(cell_id)),
        images_sha256="0" * 64,
        examples=samples,
        near_ties=0,
        largest_distance=0.03,
        passes=samples,
        seconds=1.0,
    )


if __name__ == "__main__":
    sys.exit(main())
