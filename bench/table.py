"""The table: rbench against each library on the same images, in turn, on one thread."""

import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from typing import Any

import torch
from torch import Tensor

from bench.attacks import Own, Side, Taken, own, readied
from bench.budgets import Size, sizes
from bench.counting import Clock, Counting, median_ratio, over
from bench.models import NAMES, RADII, Model, model_of
from bench.references import REFERENCES, perturb_of, seeded, version_of
from bench.rows import MissingPartError, Row, Terms
from rbench.engine.evaluation import evaluate_batch
from rbench.threat.ball import Ball

LONG = 15.0
"""Seconds of a run of rbench above which three pairs have to do."""
FEWEST = 3
OUTSIDE = 1e-5
"""How far beyond the ball a point of a library may lie by rounding."""


def rows(terms: Terms) -> Iterator[Row]:
    """Every row of the table."""
    for model, share, attack, size in sizes(quick=terms.quick):
        yield Row(f"table/{model}/{share}/{attack}", partial(measured, model, share, attack, size, terms))


def measured(letter: str, share: str, attack: str, size: Size, terms: Terms) -> dict[str, Any]:
    """One row."""
    about = {"model": letter, "name": NAMES[letter], "share": share, "attack": attack, "budget": asdict(size.budget)}
    try:
        model = model_of(letter, size.images, terms.cifar)
    except MissingPartError as error:
        return {**about, "missing": str(error)}
    return {**about, **compared(model, attack, RADII[letter][share], size)}


def compared(model: Model, attack: str, eps: float, size: Size, clock: Clock = time.process_time) -> dict[str, Any]:
    """The attack of rbench and those of others on one model, run in turn.

    Args:
        model: with as many images as the row has.
        attack: its name.
        eps: Linf radius.
        size: pairs and budget.
        clock: of the processor, unless the model is elsewhere.
    """
    clean = model.clean
    start = clock()
    setup = readied(model, own(attack, size.budget), eps)
    audit = clock() - start
    ours = Own(setup, clean)
    others, absent = _others(model, attack, eps, size)
    taken: dict[str, list[Taken]] = {"rbench": [], **{library: [] for library in others}}
    while len(taken["rbench"]) < size.pairs:
        for library, side in {"rbench": ours.side, **others}.items():
            taken[library].append(side.take(clean.x, clock))
        if len(taken["rbench"]) >= FEWEST and taken["rbench"][-1].seconds > LONG:
            break
    fooled = {library: _fooled(model, runs[-1].points, eps) for library, runs in taken.items()}
    least = ours.needed(fooled["rbench"])
    start = clock()
    evaluate_batch(setup, clean)
    judging = max(0.0, clock() - start - statistics.median(run.seconds for run in taken["rbench"]))
    figures = {library: _figures(runs, fooled[library], least) for library, runs in taken.items()}
    mine = figures.pop("rbench")
    for library, those in figures.items():
        those["ratio"] = median_ratio([t.seconds for t in taken[library]], [t.seconds for t in taken["rbench"]])
        those["differ"] = int((fooled[library] != fooled["rbench"]).sum())
        those["version"] = version_of(library)
    return {
        "eps": eps,
        "images": len(clean),
        "pairs": len(taken["rbench"]),
        "rbench": mine,
        "references": {**figures, **{library: {"missing": why} for library, why in absent.items()}},
        "audit": audit,
        "judging": judging,
        "proposing": "" if setup.proposing is None else setup.proposing.facts().get("proposing", "as given"),
        "note": model.note,
    }


def _others(model: Model, attack: str, eps: float, size: Size) -> tuple[dict[str, Side], dict[str, str]]:
    """The sides of the libraries that are here, and why others are not."""
    sides, absent = dict[str, Side](), dict[str, str]()
    for library in REFERENCES[attack]:
        try:
            perturb = seeded(perturb_of(library, attack))
        except MissingPartError as error:
            absent[library] = str(error)
            continue
        counting = Counting(model.bare).eval()
        run = partial(perturb, counting, model.clean.x, model.clean.y, eps, size.budget)
        sides[library] = Side(run, ((counting, model.bare),))
    return sides, absent


def _fooled(model: Model, points: Tensor, eps: float) -> Tensor:
    """Which samples a point of the ball fools, bool [N]."""
    with torch.no_grad():
        wrong = model.bare(points).argmax(1) != model.clean.y
    return wrong & (Ball("Linf", eps).distance(points, model.clean.x) <= eps + OUTSIDE)


def _figures(runs: list[Taken], fooled: Tensor, least: int) -> dict[str, Any]:
    passes = statistics.median(run.passes for run in runs)
    return {
        "robust": 1 - float(fooled.float().mean()),
        "seconds": statistics.median(run.seconds for run in runs),
        "passes": passes / len(fooled),
        "P": over(passes, least),
        "O": median_ratio([run.seconds for run in runs], [run.alone for run in runs]),
    }
