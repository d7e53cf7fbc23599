"""What the audit of a defended model takes, beside its bars: time and memory at 224x224, and its share of a run of tiny cells.

    python bench/audit.py [--batch 64] [--cells 50] [--only large|tiny]

Memory is what setting up a cell takes above what the attack takes anyway, for one gradient of its batch. The network has random weights,
which take the same time. The parts are those of the first cell; those who ask again find most of it measured. One thread.
Ends with 1 above a bar.
"""

import argparse
import cProfile
import gc
import pstats
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from bars import held

from rbench.attacks.apgd import apgd
from rbench.attacks.pgd import pgd
from rbench.backbones.architectures import build
from rbench.engine.audits import Audits
from rbench.engine.defended import DefendedModel
from rbench.engine.oracle import Oracle
from rbench.engine.setup import Protocol, set_up
from rbench.purifiers.identity import Identity
from rbench.results.store import RunFolder
from rbench.running import prepare, runner
from rbench.suite.load import load_suite
from rbench.suite.plan import plan
from rbench.threat.ball import Ball
from rbench.threat.batch import Batch
from rbench.threat.noise import Noise

SECONDS, MEMORY = 3.0, 500.0
PARTS = {
    "_first_answers": "first answers",
    "_spread": "other draws",
    "_whole": "large batches",
    "_again": "large batches again",
    "_orders_and_splits": "orders and splits",
    "batch_gradients": "gradients of small and large batches",
    "_refuse_memory": "memory",
    "refuse_other_ways": "ways to ask",
    "measure_slopes": "slopes",
    "audit_gradients": "gradients, slopes among them",
    "bpda_cosine": "cosine of BPDA",
    "loss_change": "change of the margin",
    "proposing": "backbone for attacks",
    "take_inventory": "inventory",
    "state_hash": "weights",
}
"""Functions that a cell is set up with, and how they are called here."""
TINY = """\
suite: tiny
dataset: {{name: fashion-mnist-mini, samples: 8}}
threat: {{norm: Linf, eps: [2/255, 4/255, 6/255, 8/255, 10/255]}}
backbones: [bundled:fashion-cnn]
purifiers: [{purifiers}]
attacks: [{{name: pgd, steps: 10}}, {{name: apgd, steps: 10}}]
"""


def main() -> int:
    """Measures both; 1 if something is above its bar."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=64, help="images that the attack shows together")
    parser.add_argument("--cells", type=int, default=50)
    parser.add_argument("--only", choices=("large", "tiny"))
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    kept = []
    if wanted.only != "tiny":
        kept += large(wanted.batch)
    if wanted.only != "large":
        tiny(wanted.cells)
    return int(not all(kept))


def large(batch: int) -> list[bool]:
    """An EfficientNet-Lite0 at 224x224: whether time and memory are within their bars."""
    torch.manual_seed(0)
    network = build("efficientnet-lite0").eval()
    x = torch.rand(batch, 3, 224, 224)
    shown = Batch(x, torch.zeros(batch, dtype=torch.int64), torch.arange(batch))
    model, noise = DefendedModel(Identity(), network), Noise(0)
    with peak() as one:
        clock = time.process_time()
        Oracle(model, "exact", eot=1, noise=noise).gradient(shown, torch.zeros_like(shown.ids), "ce")
        step = time.process_time() - clock
    line(f"{batch} images: one gradient of the attack", f"{step:6.2f} s, {one['MiB']:.0f} MiB")
    audits, profile = Audits(), cProfile.Profile(time.process_time)
    with peak() as all_of_it:
        profile.enable()
        first = seconds(partial(cell, model, shown, audits, pgd(), 4 / 255))
        profile.disable()
    for name, spent in parts(profile):
        line(f"    {name}", f"{spent:6.2f} s")
    line("    all of it", f"{all_of_it['MiB']:.0f} MiB")
    radius = seconds(partial(cell, model, shown, audits, pgd(), 8 / 255))
    attack = seconds(partial(cell, model, shown, audits, apgd(), 4 / 255))
    line("a second radius", f"{radius:6.2f} s")
    line("a second attack", f"{attack:6.2f} s")
    above = max(0.0, all_of_it["MiB"] - one["MiB"])
    return [
        held("memory of the first cell above one gradient", above, MEMORY, "MiB"),
        held("time of the first cell", first, SECONDS),
    ]


def cell(model: DefendedModel, shown: Batch, audits: Audits, attack: Any, eps: float) -> None:
    """Sets up a cell."""
    set_up(model, attack, Protocol(Ball("Linf", eps), batch_size=len(shown)), shown, audits=audits)


def tiny(cells: int) -> None:
    """Cells of eight images: what share of a run is their set-up, and that of a second attack or radius."""
    purifiers = ", ".join(f"{{name: jpeg, quality: {50 + i}, as: jpeg-{i}}}" for i in range(-(-cells // 10)))
    set_ups: list[float] = []
    real = prepare.set_up

    def counted(*given: Any, **named: Any) -> Any:
        clock = time.process_time()
        made = real(*given, **named)
        set_ups.append(time.process_time() - clock)
        return made

    with tempfile.TemporaryDirectory() as scratch:
        suite = Path(scratch) / "tiny.yaml"
        suite.write_text(TINY.format(purifiers=purifiers), encoding="utf-8")
        planned = plan(load_suite(suite)).cells[:cells]
        for run in ("first", "second"):
            folder = RunFolder.create(Path(scratch) / "run")
            set_ups.clear()
            prepare.set_up = counted
            try:
                with folder.lock():
                    whole = seconds(partial(runner.run, planned, folder))
            finally:
                prepare.set_up = real
            kinds = {"first cell of a row": 0, "second attack": 1, "second radius": 2}
            what = f"{len(planned)} tiny cells, {run} run: {whole:.1f} s"
            line(what, f"set-up {100 * sum(set_ups) / whole:.0f} %")
            for name, place in kinds.items():
                line(f"    {name}", f"{1000 * sum(set_ups[place::10]) / len(set_ups[place::10]):6.0f} ms")


def parts(profile: cProfile.Profile) -> list[tuple[str, float]]:
    """The processor seconds of the parts of a set-up, the longest first."""
    spent = dict[str, float]()
    for (_, _, name), (*_, cumulative, _) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        if name in PARTS:
            spent[PARTS[name]] = spent.get(PARTS[name], 0.0) + cumulative
    return sorted(spent.items(), key=lambda item: -item[1])


@contextmanager
def peak() -> Iterator[dict[str, float]]:
    """The most memory that the process holds inside the block, above what it holds at its beginning."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    before, found = memory("VmRSS"), dict[str, float]()
    yield found
    found["MiB"] = memory("VmHWM") - before


def memory(name: str) -> float:
    """A figure of the process's memory, in MiB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(text.split()[1]) / 1024 for text in lines if text.startswith(name))


def seconds(function: Callable[[], object]) -> float:
    """Processor seconds of a call."""
    clock = time.process_time()
    function()
    return time.process_time() - clock


def line(what: str, figure: str) -> None:
    """Prints a figure that has no bar."""
    sys.stdout.write(f"{what:58} {figure}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
