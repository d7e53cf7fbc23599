"""Whether AutoAttack by rbench's own attacks is as strong as by the authors' code: seeds of both on the same images.

    python bench/native_autoattack.py run [--out results/bench/native-autoattack.jsonl] [--images 256] [--seeds 3] [--part 0/1]
    python bench/native_autoattack.py show [--out results/bench/native-autoattack.jsonl]

`run` adds a line for every norm, radius, seed and engine that the file lacks, and can be stopped at any moment; parts may run side by side.
`show` prints the table and ends with 1 if, under any norm and radius, the native mean is above the reference's by more than a sample and by
more than twice the deviation between the reference's seeds; or if, pooled over the radii of a norm, discordant samples speak against the
native engine (one-sided exact test, p <= 0.01). Samples that every seed of the reference fools and no native one does are listed.
"""

import argparse
import json
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import binomtest

import rbench
from rbench.attacks.autoattack import autoattack
from rbench.registry import load

RADII = {"Linf": (0.15, 0.17, 0.19), "L2": (1.6, 2.0, 2.4), "L1": (6.0, 9.0, 12.0)}
"""About a third, a sixth and a twentieth of the samples survive; what a run takes grows with that share."""
ENGINES = ("reference", "native")
BACKBONE = "bundled:fashion-cnn-adversarial"


def wanted(seeds: int) -> Iterator[tuple[str, float, int, str]]:
    """Norm, radius, seed and engine of every run."""
    for norm, radii in RADII.items():
        for eps in radii:
            for seed in range(seeds):
                for engine in ENGINES:
                    yield norm, eps, seed, engine


def lines(path: Path) -> list[dict[str, Any]]:
    """Those that are there."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def run(path: Path, images: int, seeds: int, part: str) -> None:
    """Makes what is missing."""
    torch.set_num_threads(1)
    backbone, dataset = load("backbone", BACKBONE).eval(), load("dataset", "fashion-mnist-mini")
    x, y = torch.from_numpy(dataset.read(np.arange(images))), torch.from_numpy(dataset.labels[:images]).long()
    path.parent.mkdir(parents=True, exist_ok=True)
    this, parts = map(int, part.split("/"))
    for place, (norm, eps, seed, engine) in enumerate(wanted(seeds)):
        have = {(one["norm"], one["eps"], one["seed"], one["engine"]) for one in lines(path)}
        if place % (parts + 1) != this or (norm, eps, seed, engine) in have:
            continue
        clock = time.process_time()
        attack = autoattack(engine=engine, batch_size=images)
        found = rbench.evaluate(backbone, x, y, attack=attack, norm=norm, eps=eps, seed=seed, batch_size=64)
        right = "".join(str(int(value)) for value in found.samples["robust"])
        line = {"norm": norm, "eps": eps, "seed": seed, "engine": engine, "robust": right}
        line["seconds"] = round(time.process_time() - clock, 1)
        with path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        sys.stdout.write(f"{norm} {eps} seed {seed} {engine}: {right.count('1')} of {images}, {line['seconds']} s\n")
        sys.stdout.flush()


def show(path: Path) -> int:
    """The table; 1 if the native engine is weaker."""
    found: dict[tuple[str, float, str], list[list[int]]] = defaultdict(list)
    for line in lines(path):
        found[line["norm"], line["eps"], line["engine"]].append([int(one) for one in line["robust"]])
    weaker, pooled = False, dict[str, list[int]]()
    sys.stdout.write(
        "| norm | radius | reference | native | margin | only the reference fools |\n|---|---:|---:|---:|---:|---|\n"
    )
    for norm, radii in RADII.items():
        against, tried = 0, 0
        for eps in radii:
            reference, native = (np.array(found[norm, eps, engine]) for engine in ENGINES)
            if not len(reference) or len(reference) != len(native):
                continue
            sums = [one.sum(1).tolist() for one in (reference, native)]
            margin = max(1.0, 2 * statistics.stdev(sums[0]) if len(sums[0]) > 1 else 1.0)
            weaker |= statistics.mean(sums[1]) - statistics.mean(sums[0]) > margin
            for theirs, ours in zip(reference, native, strict=True):
                against, tried = against + int((ours > theirs).sum()), tried + int((ours != theirs).sum())
            listed = np.flatnonzero((reference == 0).all(0) & (native == 1).all(0)).tolist()
            counts = (" ".join(map(str, one)) for one in sums)
            sys.stdout.write(
                f"| {norm} | {eps} | {' | '.join(counts)} | {margin:.1f} | {', '.join(map(str, listed)) or '-'} |\n"
            )
        pooled[norm] = [against, tried]
    for norm, (against, tried) in pooled.items():
        p = binomtest(against, tried, 0.5, alternative="greater").pvalue if tried else 1.0
        weaker |= p <= 0.01
        sys.stdout.write(
            f"{norm}: of {tried} discordant verdicts {against} speak against the native engine, p = {p:.3f}\n"
        )
    return int(weaker)


def main() -> int:
    """Runs or shows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("verb", choices=("run", "show"))
    parser.add_argument("--out", type=Path, default=Path("results/bench/native-autoattack.jsonl"))
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--part", default="0/0", help="which of several side by side: 0/1 and 1/1")
    given = parser.parse_args()
    if given.verb == "show":
        return show(given.out)
    run(given.out, given.images, given.seeds, given.part)
    return 0


if __name__ == "__main__":
    sys.exit(main())
