"""The ladder of attacks that are chosen by what was measured of a defended model."""

from collections.abc import Iterator
from typing import Annotated, Any

from annotated_types import Interval

from rbench.attacks.apgd import apgd
from rbench.attacks.decoder import decoder
from rbench.attacks.feature import feature
from rbench.attacks.latent import latent
from rbench.attacks.pgd import pgd
from rbench.attacks.rays import rays
from rbench.attacks.square import square
from rbench.threat.attack import IterativeAttack
from rbench.threat.ladder import Ladder, Measured, Rung
from rbench.threat.terms import GradientChoice, GradientPath, Norm

NORMS: tuple[Norm, ...] = ("Linf", "L2", "L1")
GRADIENTS: tuple[GradientChoice, ...] = ("auto",)
LADDER = True
BATCHED = False
"""No rung draws for a whole batch, so `batch_size` is no part of a cell."""

LEAST_EOT = 10
"""Draws per gradient that a random defence gets even if the suite asks for fewer."""

TARGETS, RANDOM_TARGETS = 9, 3
"""Wrong classes that targeted APGD aims at; fewer where every gradient is the mean over draws."""

LONG, MOMENTUM = 4, 0.9
"""A long run against a random defence: so many times the steps, and the share of the gathered gradient that is carried over a step. Noise
makes single steps contradict each other, and points beyond the border take longer to find."""

RANDOM_QUERIES = 1000
"""Most queries of Square against a random defence, each of them the mean over draws."""


def adaptive(
    *,
    steps: Annotated[int, Interval(ge=1, le=100_000)] = 50,
    restarts: Annotated[int, Interval(ge=1, le=1_000)] = 2,
    targets: Annotated[int, Interval(ge=1, le=9)] | None = None,
    queries: Annotated[int, Interval(ge=2, le=1_000_000)] = 5000,
    batch_size: Annotated[int, Interval(ge=1, le=100_000)] = 128,
) -> Ladder:
    """Attacks chosen by what was measured, each on the samples that survived those before it (Tramer et al. 2020, arXiv 2002.08347).

    Blind PGD; the purifier's code (where it has one), its output and the backbone's features moved away from those of the clean image; PGD
    and APGD on the cross-entropy, PGD on the margin and APGD toward other classes along the exact path, or along BPDA where it is of no
    use; PGD on the margin along BPDA; and Square, which needs no gradient, unless the defence is random and its gradients are trusted. For
    hard labels, the winning class and nothing else, RayS takes the place of what needs a margin. Against a random defence every query is
    the mean over 10 draws, or over `eot` if that is more, and a long PGD with momentum runs as well. Under L1 APGD takes the place of PGD.
    The blind rung and one along BPDA always run, except around rbench's own `identity`. The record says what each did.

    Args:
        steps: gradient steps of each rung, and toward each class.
        restarts: independent random starts of the rungs on the margin.
        targets: wrong classes that APGD aims at, the likeliest first; 9, or 3 against a random defence, if not given.
        queries: points that Square or RayS asks about; Square at most 1,000 against a random defence.
        batch_size: samples that are attacked together; changes only the speed.
    """

    def rungs(measured: Measured) -> tuple[Rung, ...]:
        aims = targets or (RANDOM_TARGETS if measured.random else TARGETS)
        every = (
            *_without_logits(measured, steps),
            *(
                _by_winner(measured, steps, queries)
                if measured.hard_label
                else _by_logits(measured, steps, restarts, aims)
            ),
            *(() if measured.hard_label else _black_box(measured, queries)),
        )
        return tuple(rung for rung in every if measured.norm in rung.attack.norms)

    return Ladder(rungs, batch_size, NORMS, GRADIENTS)


def _along(measured: Measured) -> dict[str, Any]:
    """The exact path, or BPDA where its gradient is of no use, and the draws of a query."""
    path: GradientPath = "exact" if measured.differentiable else "bpda"
    return {"path": path, "eot": _draws(measured)}


def _draws(measured: Measured) -> int:
    return max(LEAST_EOT, measured.eot) if measured.random else 1


def _without_logits(measured: Measured, steps: int) -> Iterator[Rung]:
    """Rungs that use no logits of the defended model: the blind one, and those that move a code, the purified image or the features."""
    if measured.changes:
        yield Rung("pgd-ce-blind", pgd(steps=steps), "blind")
        if measured.norm == "L1":
            yield Rung("apgd-ce-blind", apgd(steps=steps), "blind")
    if measured.encodes:
        yield Rung("latent", latent(steps=steps), "exact", _draws(measured))
        yield Rung("latent-angle", latent(steps=steps, part="angle"), "exact", _draws(measured))
    if measured.changes:
        yield Rung("decoder", decoder(steps=steps), **_along(measured))
    yield Rung("feature", feature(steps=steps), **_along(measured))


def _by_logits(measured: Measured, steps: int, restarts: int, aims: int) -> Iterator[Rung]:
    """Rungs on losses of the logits: APGD, and PGD for its fixed steps, since the noise of a mean over draws misleads APGD's schedule."""
    along = _along(measured)
    yield Rung("pgd-ce", pgd(steps=steps), **along)
    if measured.random:
        yield Rung("pgd-momentum", pgd(steps=LONG * steps, momentum=MOMENTUM, loss="margin"), **along)
    yield Rung("apgd-ce", apgd(steps=steps), **along)
    name = "apgd" if measured.norm == "L1" else "pgd"
    margin = (apgd if measured.norm == "L1" else pgd)(steps=steps, restarts=restarts, loss="margin")
    yield Rung(f"{name}-margin", margin, **along)
    yield from _around(measured, f"{name}-margin", margin)
    yield Rung("apgd-t", apgd(steps=steps, loss="dlr-targeted", targets=aims), **along)


def _around(measured: Measured, name: str, attack: IterativeAttack) -> Iterator[Rung]:
    """An attack along the BPDA that the best path is not: by the purifier's stand-in, and by the identity where a stand-in is all else."""
    if not measured.changes:
        return
    if measured.differentiable:
        yield Rung(f"{name}-bpda", attack, "bpda", _draws(measured))
    if measured.surrogate and measured.doubtful:
        yield Rung(f"{name}-identity", attack, "bpda", _draws(measured), stand_in="identity")


def _black_box(measured: Measured, queries: int) -> Iterator[Rung]:
    """Square, which shows whether gradients mislead; not for a random defence with gradients to trust: a query takes many draws there."""
    if measured.random and not measured.doubtful:
        return
    yield _square(measured, queries)


def _square(measured: Measured, queries: int) -> Rung:
    budget = min(queries, RANDOM_QUERIES) if measured.random else queries
    return Rung("square", square(queries=budget), **_along(measured))


def _by_winner(measured: Measured, steps: int, queries: int) -> Iterator[Rung]:
    """Rungs for hard labels: RayS, and one that uses gradients, which are zero unless the outputs had only saturated."""
    along = _along(measured)
    name = "apgd-ce" if measured.norm == "L1" else "pgd-ce"
    climb = (apgd if measured.norm == "L1" else pgd)(steps=steps)
    yield Rung(name, climb, **along)
    yield from _around(measured, name, climb)
    if measured.norm in rays(queries=queries).norms:
        yield Rung("rays", rays(queries=queries), **along)
    else:
        # RayS is for Linf alone. Under other norms random tries are left, and Square's are the widest.
        yield _square(measured, queries)
