"""Where an attack is tried: a classifier whose exact distances to the border are known, counted from behind; and one try of it."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from rbench.engine.audits import Audits
from rbench.engine.defended import DefendedModel
from rbench.engine.ladder import run_ladder
from rbench.engine.propose import Problem, propose
from rbench.engine.setup import Protocol, set_up
from rbench.errors import CellFailed
from rbench.purifiers.identity import Identity
from rbench.registry import load
from rbench.testing.known_answers import linear_problem
from rbench.testing.pictures import answer, classifier, fitting, numbered, pictures
from rbench.testing.subject import Subject, written
from rbench.threat.attack import Attack, IterativeAttack
from rbench.threat.ball import Ball
from rbench.threat.batch import Batch
from rbench.threat.displacements import LATENT
from rbench.threat.terms import Norm

CLASSES, SHAPE = 5, (3, 4, 4)
REACH, SAFE = 1.25, 0.5
"""Times the largest of the exact distances, at which a perfect attack fools every image; and the smallest, at which none can be."""
_RADII: dict[Norm, float] = {"Linf": 0.1, "L2": 2.0, "L1": 20.0}
"""On the [0, 1] pixel scale, where no exact distance is known."""


@dataclass(frozen=True)
class Arena:
    """A defended model and its images.

    Attributes:
        model: no purifier, or one that changes nothing.
        clean: images that it gets right.
        source: what a transfer attack is crafted on.
        reach: radius at which a perfect attack fools every image; unknown where `safe` is None.
        safe: radius at which no image can be fooled.
        asked: how many images the classifier has been asked about, by whoever.
        shown: what it is, in words.
        audits: what was measured of it, once for each radius.
    """

    model: DefendedModel
    clean: Batch
    source: DefendedModel | None
    reach: float
    safe: float | None
    asked: Callable[[], int]
    shown: str
    audits: Audits = field(default_factory=Audits)


@dataclass(frozen=True)
class Try:
    """What one run of an attack did.

    Attributes:
        images: [N, C, H, W] what it proposes.
        moved: [N] how far they are from the clean ones.
        fooled: [N] whether the classifier gets them wrong.
        queries: images that the oracle was asked about.
        backwards: gradients that were taken.
        unseen: images that the classifier was asked about past the oracle.
    """

    images: Tensor
    moved: Tensor
    fooled: Tensor
    queries: int
    backwards: int
    unseen: int


class Coded(nn.Module):
    """A purifier that changes nothing and has a code, the image itself, for attacks that move one."""

    stochastic = False

    def forward(self, x: Tensor) -> Tensor:
        """The same images."""
        return x.clone()

    def encode(self, x: Tensor) -> Tensor:
        """[B, D] the pixels."""
        return x.flatten(1)


def arena_for(subject: Subject, attack: Attack, norm: Norm) -> Arena:
    """The arena of an attack under a norm.

    Args:
        subject: the attack, with the number of images and their shape.
        attack: the same.
        norm: that it can work under.

    Raises:
        InputError: its source takes no images that are known here.
    """
    if attack.source is not None:
        return _beside(subject, attack.source, norm)
    shape = subject.shape or SHAPE
    network, x, y, far = linear_problem(subject.images, norm, classes=CLASSES, shape=shape)
    counted, asked = counting(network)
    purifier = Coded() if attack.loss in LATENT else Identity()
    model = DefendedModel(purifier, counted, name="identity")
    reach, safe = REACH * float(far.max()), SAFE * float(far.min())
    return Arena(model, numbered(x, y), None, reach, safe, asked, f"a linear classifier of {written(shape)} pixels")


def _beside(subject: Subject, source: str, norm: Norm) -> Arena:
    """The arena of an attack that is crafted on another backbone."""
    craft = DefendedModel(Identity(), load("backbone", source), name="identity", backbone_name=source)
    shape = fitting(subject.shape, lambda one: answer(craft, pictures(2, one)))
    if isinstance(shape, dict):
        raise CellFailed(f"backbone '{source}' takes no images of {' or '.join(map(written, shape))}")
    counted, asked = counting(classifier(shape))
    model = DefendedModel(Identity(), counted, name="identity")
    x = pictures(subject.images, shape)
    clean = numbered(x, answer(model, x).argmax(1))
    return Arena(model, clean, craft, _RADII[norm], None, asked, f"a classifier of {written(shape)} pixels")


def counting(network: nn.Module) -> tuple[nn.Module, Callable[[], int]]:
    """A network that counts the images that it is asked about, however it is reached; and the count."""
    seen = [0]

    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, x: Tensor) -> Tensor:
            seen[0] += len(x)
            logits: Tensor = self.network(x)
            return logits

    return Counting().eval(), lambda: seen[0]


def tried_on(arena: Arena, attack: Attack, norm: Norm, eps: float, batch_size: int) -> Try:
    """One run of the attack, proposals held to the rules of judging.

    Args:
        arena: where.
        attack: what.
        norm: of the ball.
        eps: its radius.
        batch_size: images at once.

    Raises:
        CellFailed: a proposal is outside the ball or [0, 1], not finite, or of another shape; or the clean images were changed.
        InputError: the attack refuses the protocol.
    """
    protocol = Protocol(Ball(norm, eps), gradient=attack.gradients[0], batch_size=batch_size)
    setup = set_up(arena.model, attack, protocol, arena.clean, arena.source, audits=arena.audits)
    clean = replace(arena.clean, x=arena.clean.x.clone())
    problem = Problem.of(setup.judge, clean, torch.ones(len(clean)), setup.audit.classes, setup.chooser)
    meter = setup.model.meter
    before, asked = meter.totals(), arena.asked()
    if setup.rungs:
        proposals, _ = run_ladder(setup.rungs, problem, setup.oracle.model, _ignored)
    else:
        rows = torch.arange(len(clean))
        proposals = propose(setup.attack, setup.oracle, problem, rows, _ignored)  # type: ignore[arg-type]
    spent = {name: count - before[name] for name, count in meter.totals().items()}
    unseen = max(0, arena.asked() - asked - spent["forwards"])
    if not torch.equal(clean.x, arena.clean.x):
        raise CellFailed("the attack changed the clean images in place", remedy="Make new tensors of them")
    moved = setup.judge.admit(proposals.x, clean, setup.tolerance)
    fooled = setup.judge.select(proposals.x, clean)[:, 0] != clean.y
    return Try(proposals.x, moved, fooled, spent["queries"], spent["backwards"], unseen)


def _ignored(count: int) -> None:
    """Nobody waits for progress."""


def sequential(attack: Attack) -> bool:
    """Whether no image depends on the others of its batch, so that batches of any size must find the same."""
    return isinstance(attack, IterativeAttack)
