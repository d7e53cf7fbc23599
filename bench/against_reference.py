"""rbench's own attacks against the authors' code and torchattacks: processor time of alternating pairs on one thread.

    python bench/against_reference.py [--models cnn,robust,cropd,resnet18] [--attacks pgd,apgd,apgd-t,fab-t,square,autoattack]
                                      [--images 64] [--pairs 7] [--out results/bench]

Of each pair: how many survive, the ratio of the times (above 1 rbench is faster), and of both P, passes spent over passes needed (a sample
is done when it is fooled), and O, time over the time of the passes alone, which are replayed in batches of the same sizes. rbench's attack
is timed alone; audit and judging are listed beside it. Writes Markdown and JSON.
"""

import argparse
import json
import platform
import statistics
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from rbench.attacks.apgd import apgd
from rbench.attacks.autoattack import autoattack
from rbench.attacks.fab import fab_t
from rbench.attacks.pgd import pgd
from rbench.attacks.square import square
from rbench.backbones.head import load_backbone
from rbench.engine.defended import DefendedModel
from rbench.engine.evaluation import evaluate_batch
from rbench.engine.ladder import run_ladder
from rbench.engine.propose import Problem, propose
from rbench.engine.setup import Protocol, Setup, set_up
from rbench.purifiers.identity import Identity
from rbench.registry import load
from rbench.threat.ball import Ball
from rbench.threat.batch import Batch
from rbench.threat.ladder import Ladder

QUERIES = 500
"""Of Square, for both; AutoAttack has its own 5,000."""
PGD_STEPS, STEPS = 40, 100
MODELS = {
    "cnn": ("bundled:fashion-cnn", None, (0.02, 0.05)),
    "robust": ("bundled:fashion-cnn-adversarial", None, (0.1, 0.2)),
    "cropd": ("bundled:fashion-cnn", "bundled:fashion-cropd", (0.05, 0.15)),
    "resnet18": ("autoattack:cifar10-resnet18", None, (1 / 255, 8 / 255)),
}


class Counting(nn.Module):
    """A model that notes the size of each batch, and whether a gradient was wanted."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.seen = model, Counter[tuple[int, bool]]()

    def forward(self, x: Tensor) -> Tensor:
        """What the model returns."""
        self.seen[len(x), torch.is_grad_enabled() and x.requires_grad] += 1
        return self.model(x)

    def passes(self) -> int:
        """Forward and backward passes, in images."""
        return sum(size * (1 + gradient) * times for (size, gradient), times in self.seen.items())

    def replayed(self, x: Tensor) -> float:
        """Processor seconds of these passes alone."""
        total = 0.0
        for (size, gradient), times in self.seen.items():
            batch = x[torch.arange(size) % len(x)].clone()
            runs = [_pass(self.model, batch, gradient=gradient) for _ in range(4)]
            total += times * min(runs[1:])
        return total


def _pass(model: nn.Module, x: Tensor, *, gradient: bool) -> float:
    clock = time.process_time()
    with torch.set_grad_enabled(gradient):
        point = x.requires_grad_(gradient)
        logits = model(point)
        if gradient:
            torch.autograd.grad(logits.sum(), point)
    return time.process_time() - clock


@dataclass
class Line:
    """A row of the table."""

    model: str
    attack: str
    eps: float
    images: int
    robust: float
    robust_reference: float
    ratio: float
    seconds: float
    passes: float
    passes_reference: float
    overhead: float
    overhead_reference: float
    audit: float
    judging: float


def problem(name: str, images: int) -> tuple[nn.Module, nn.Module, Batch]:
    """Purifier, backbone, and images that the two get right."""
    backbone_name, purifier_name, _ = MODELS[name]
    head = {"head": "bundled:fashion-cropd-head"} if purifier_name else {}
    backbone = load_backbone(backbone_name, head).eval()
    purifier = load("purifier", "cropd", {"weights": purifier_name}) if purifier_name else Identity()
    cifar = ("parquet", {"path": "cifar10-test.parquet"})
    dataset = load("dataset", *(cifar if name == "resnet18" else ("fashion-mnist-mini",)))
    x = torch.from_numpy(dataset.read(np.arange(2 * images)))
    y = torch.from_numpy(dataset.labels[: 2 * images]).long()
    with torch.no_grad():
        right = torch.nonzero(backbone(purifier(x)).argmax(1) == y)[:images, 0]
    return purifier, backbone, Batch(x[right], y[right], torch.arange(len(right)))


def ours(name: str) -> object:
    """Rbench's attack."""
    return {
        "pgd": lambda: pgd(steps=PGD_STEPS),
        "apgd": lambda: apgd(steps=STEPS),
        "apgd-t": lambda: apgd(steps=STEPS, loss="dlr-targeted", targets=9),
        "fab-t": lambda: fab_t(steps=STEPS),
        "square": lambda: square(queries=QUERIES),
        "autoattack": autoattack,
    }[name]()


def reference(name: str, model: nn.Module, eps: float) -> Callable[[Tensor, Tensor], Tensor]:
    """The same attack by others."""
    import torchattacks
    from pyautoattack import AutoAttack
    from pyautoattack.autopgd_base import APGDAttack, APGDAttack_targeted
    from pyautoattack.fab_pt import FABAttack_PT
    from pyautoattack.square import SquareAttack

    common = {"norm": "Linf", "eps": eps, "seed": 0, "device": "cpu"}
    if name == "pgd":
        return torchattacks.PGD(model, eps=eps, alpha=2.5 * eps / PGD_STEPS, steps=PGD_STEPS)
    if name == "apgd":
        return APGDAttack(model, n_iter=STEPS, n_restarts=1, loss="ce", **common).perturb
    if name == "apgd-t":
        return APGDAttack_targeted(model, n_iter=STEPS, n_restarts=1, n_target_classes=9, **common).perturb
    if name == "fab-t":
        return FABAttack_PT(model, n_iter=STEPS, n_restarts=1, targeted=True, n_target_classes=9, **common).perturb
    if name == "square":
        return SquareAttack(model, n_queries=QUERIES, n_restarts=1, p_init=0.8, resc_schedule=False, **common).perturb
    adversary = AutoAttack(model, **common)
    return lambda x, y: adversary.run_standard_evaluation(x, y, batch_size=len(x))[0]


def attacked(setup: Setup, clean: Batch) -> Tensor:
    """What rbench's attack proposes, without audit and judging."""
    everyone = torch.ones(len(clean))
    task = Problem.of(setup.judge, clean, everyone, setup.audit.classes)
    if isinstance(setup.attack, Ladder):
        return run_ladder(setup.rungs, task, setup.oracle.model, lambda count: None)[0].x
    return propose(setup.attack, setup.oracle, task, torch.arange(len(clean)), lambda count: None).x


def measured(model: str, attack: str, eps: float, images: int, pairs: int) -> Line:
    """One row: the median over pairs of runs in turn."""
    purifier, backbone, clean = problem(model, images)
    defended = DefendedModel(purifier, backbone)
    clock = time.process_time()
    setup = set_up(defended, ours(attack), Protocol(Ball("Linf", eps), batch_size=64), clean)
    audit = time.process_time() - clock
    bare = nn.Sequential(purifier, backbone).eval()  # torchattacks puts back the mode that it finds
    times, others = [], []
    for _ in range(pairs):
        clock = time.process_time()
        points = attacked(setup, clean)
        times.append(time.process_time() - clock)
        adversary = reference(attack, bare, eps)
        clock = time.process_time()
        theirs = adversary(clean.x, clean.y)
        others.append(time.process_time() - clock)
    clock = time.process_time()
    evaluate_batch(setup, clean)
    judging = time.process_time() - clock - statistics.median(times)

    counted = Counting(setup.oracle.model.backbone)
    asked = setup.oracle.model.with_backbone(counted)
    chain = Counting(nn.Sequential(purifier, setup.oracle.model.backbone))
    whole = Setup(**{**vars(setup), "oracle": type(setup.oracle)(asked, setup.path, eot=1, noise=setup.noise)})
    attacked(whole, clean)
    chain.seen = counted.seen
    own_overhead, own_passes = statistics.median(times) / chain.replayed(clean.x), counted.passes()
    by_others = Counting(bare)
    reference(attack, by_others, eps)(clean.x, clean.y)
    with torch.no_grad():
        robust = float((bare(points).argmax(1) == clean.y).float().mean())
        robust_reference = float((bare(theirs).argmax(1) == clean.y).float().mean())
    return Line(
        model, attack, eps, len(clean), robust, robust_reference,
        ratio=statistics.median(b / a for a, b in zip(times, others, strict=True)),
        seconds=statistics.median(times),
        passes=own_passes / len(clean),
        passes_reference=by_others.passes() / len(clean),
        overhead=own_overhead,
        overhead_reference=statistics.median(others) / by_others.replayed(clean.x),
        audit=audit, judging=judging,
    )  # fmt: skip


def said(one: Line) -> str:
    """The row on one line."""
    survive = f"robust {one.robust:.2f} / {one.robust_reference:.2f}"
    passes = f"passes {one.passes:8.1f} / {one.passes_reference:8.1f}"
    overhead = f"O {one.overhead:.3f} / {one.overhead_reference:.3f}"
    beside = f"{one.seconds:.2f} s, audit {one.audit:.2f}, judging {one.judging:.2f}"
    return f"{one.model:9} {one.attack:10} eps {one.eps:.4f} {survive}  ratio {one.ratio:6.2f}  {passes}  {overhead}  {beside}"


def main() -> int:
    """Measures and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--attacks", default="pgd,apgd,apgd-t,fab-t,square,autoattack")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--out", type=Path)
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    lines = []
    for model in wanted.models.split(","):
        for eps in MODELS[model][2]:
            for attack in wanted.attacks.split(","):
                lines.append(measured(model, attack, eps, wanted.images, wanted.pairs))
                one = lines[-1]
                sys.stdout.write(f"{said(one)}\n")
                sys.stdout.flush()
    if wanted.out:
        wanted.out.mkdir(parents=True, exist_ok=True)
        about = {"python": platform.python_version(), "processor": platform.processor() or platform.machine()}
        about |= {name: version(name) for name in ("torch", "pyautoattack", "torchattacks")}
        document = {"about": about, "rows": [asdict(line) for line in lines]}
        (wanted.out / "against_reference.json").write_text(json.dumps(document, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
