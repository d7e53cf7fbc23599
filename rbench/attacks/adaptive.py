"""The ladder: the attacks that a purifier calls for, by what was found of it."""

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
from rbench.threat.ladder import Found, Ladder, Rung
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
    """Attacks chosen by what is found of the purifier, each on the samples that still stand (Tramer et al. 2020, arXiv 2002.08347).

    Blind PGD; the purifier's code (where it has one), its output and the backbone's features moved away from those of the clean image; PGD
    and APGD on the cross-entropy, PGD on the margin and APGD toward other classes along the gradient path that tells most; PGD on the
    margin along BPDA; and Square, which needs no gradient, unless the defence is random and its gradients tell something. Where the outputs
    are the winning class and nothing else, RayS takes the place of what needs a margin. Against a random defence every query is the mean
    over 10 draws, or over `eot` if that is more. Under L1 APGD takes the place of PGD. The record says what each did.

    Args:
        steps: gradient steps of each rung, and toward each class.
        restarts: independent random starts of the rungs on the margin.
        targets: wrong classes that APGD aims at, the likeliest first; 9, or 3 against a random defence, if not given.
        queries: points that Square or RayS asks about; Square at most 1,000 against a random defence.
        batch_size: samples that are attacked together; changes only the speed.
    """

    def rungs(found: Found) -> tuple[Rung, ...]:
        aims = targets or (RANDOM_TARGETS if found.random else TARGETS)
        every = (
            *_without_labels(found, steps),
            *(_by_winner(found, steps, queries) if found.hard_label else _by_logits(found, steps, restarts, aims)),
            *(() if found.hard_label else _black_box(found, queries)),
        )
        return tuple(rung for rung in every if found.norm in rung.attack.norms)

    return Ladder(rungs, batch_size, NORMS, GRADIENTS)


def _along(found: Found) -> dict[str, Any]:
    """The gradient path that tells most, and the draws of a query."""
    path: GradientPath = "exact" if found.differentiable else "bpda"
    return {"path": path, "eot": _draws(found)}


def _draws(found: Found) -> int:
    return max(LEAST_EOT, found.eot) if found.random else 1


def _without_labels(found: Found, steps: int) -> Iterator[Rung]:
    """Blind, and what moves a code, the purified image or the features whatever the logits say."""
    if found.changes:
        yield Rung("pgd-ce-blind", pgd(steps=steps), "blind")
        if found.norm == "L1":
            yield Rung("apgd-ce-blind", apgd(steps=steps), "blind")
    if found.encodes:
        yield Rung("latent", latent(steps=steps), "exact", _draws(found))
        yield Rung("latent-angle", latent(steps=steps, part="angle"), "exact", _draws(found))
    if found.changes:
        yield Rung("decoder", decoder(steps=steps), **_along(found))
    yield Rung("feature", feature(steps=steps), **_along(found))


def _by_logits(found: Found, steps: int, restarts: int, aims: int) -> Iterator[Rung]:
    """PGD's even steps beside APGD's: the noise of a mean over draws misleads a schedule that looks at the loss."""
    along = _along(found)
    yield Rung("pgd-ce", pgd(steps=steps), **along)
    yield Rung("apgd-ce", apgd(steps=steps), **along)
    name = "apgd" if found.norm == "L1" else "pgd"
    margin = (apgd if found.norm == "L1" else pgd)(steps=steps, restarts=restarts, loss="margin")
    yield Rung(f"{name}-margin", margin, **along)
    if found.changes and found.differentiable:
        yield Rung(f"{name}-margin-bpda", margin, "bpda", _draws(found))
    elif found.changes and found.surrogate:
        yield Rung(f"{name}-margin-identity", margin, "bpda", _draws(found), stand_in="identity")
    yield Rung("apgd-t", apgd(steps=steps, loss="dlr-targeted", targets=aims), **along)


def _black_box(found: Found, queries: int) -> Iterator[Rung]:
    """Tells whether gradients mislead; for a random defence, whose every query is many, only where there are none to believe."""
    if found.random and found.differentiable:
        return
    yield _square(found, queries)


def _square(found: Found, queries: int) -> Rung:
    budget = min(queries, RANDOM_QUERIES) if found.random else queries
    return Rung("square", square(queries=budget), **_along(found))


def _by_winner(found: Found, steps: int, queries: int) -> Iterator[Rung]:
    """No loss rises before the winner changes. One gradient rung says so, and would find outputs that had only saturated."""
    along = _along(found)
    yield Rung(
        "pgd-ce" if found.norm != "L1" else "apgd-ce", (pgd if found.norm != "L1" else apgd)(steps=steps), **along
    )
    if found.norm in rays(queries=queries).norms:
        yield Rung("rays", rays(queries=queries), **along)
    else:
        # Nothing here follows the border of a hard label under this norm; of blind tries, Square's are the widest.
        yield _square(found, queries)
