"""The ladder: the attacks that a purifier calls for, by what was found of it."""

from dataclasses import replace
from typing import Annotated

from annotated_types import Interval

from rbench.attacks.autoattack import Member, autoattack
from rbench.attacks.decoder import decoder
from rbench.attacks.feature import feature
from rbench.attacks.latent import latent
from rbench.attacks.pgd import pgd
from rbench.attacks.types import Found, Ladder, Rung
from rbench.engine.terms import GradientChoice, GradientPath, Norm

NORMS: tuple[Norm, ...] = ("Linf", "L2")
GRADIENTS: tuple[GradientChoice, ...] = ("auto",)
LADDER = True

LEAST_EOT = 10
"""Draws per gradient that a random defence gets even if the suite asks for fewer."""


def adaptive(
    *,
    steps: Annotated[int, Interval(ge=1, le=100_000)] = 50,
    restarts: Annotated[int, Interval(ge=1, le=1_000)] = 2,
    batch_size: Annotated[int, Interval(ge=1, le=100_000)] = 128,
) -> Ladder:
    """Attacks chosen by what is found of the purifier, each on the samples that still stand (Tramer et al. 2020, arXiv 2002.08347).

    Blind PGD; the purifier's code (where it has one), its output and the backbone's features moved away from those of the clean image; PGD
    on the cross-entropy and on the margin along the gradient path that tells most, then along BPDA; and, for a deterministic purifier,
    AutoAttack's APGD-CE, APGD-T and Square. Against a random one every gradient is the mean over 10 draws, or over `eot` if that is more.
    The record says what each did.

    Args:
        steps: gradient steps of each rung of our own.
        restarts: independent random starts of the rungs on the margin.
        batch_size: samples that climb together; part of the cell, since AutoAttack draws per batch.
    """

    def rungs(found: Found) -> tuple[Rung, ...]:
        path: GradientPath = "exact" if found.differentiable else "bpda"
        eot = max(LEAST_EOT, found.eot) if found.random else 1
        ce, margin = pgd(steps=steps), pgd(steps=steps, restarts=restarts, loss="margin")
        encoder = (
            Rung("latent", latent(steps=steps), "exact", eot),
            Rung("latent-angle", latent(steps=steps, part="angle"), "exact", eot),
        )
        along = (
            Rung("feature", feature(steps=steps), path, eot),
            Rung("pgd-ce", ce, path, eot),
            Rung("pgd-margin", margin, path, eot),
        )
        return (
            *((Rung("pgd-ce-blind", ce, "blind"),) if found.changes else ()),
            *(encoder if found.encodes else ()),
            *((Rung("decoder", decoder(steps=steps), path, eot),) if found.changes else ()),
            *along,
            *(_around(found, Rung("pgd-margin", margin, "bpda", eot)) if found.changes else ()),
            *(() if found.random else _third_party(path, batch_size)),
        )

    return Ladder(rungs, batch_size, NORMS, GRADIENTS)


def _around(found: Found, rung: Rung) -> tuple[Rung, ...]:
    """The stand-ins for the purifier that the other rungs have not used."""
    if found.differentiable:
        return (replace(rung, label="pgd-margin-bpda"),)
    if found.surrogate:
        return (replace(rung, label="pgd-margin-identity", stand_in="identity"),)
    return ()


def _third_party(path: GradientPath, batch_size: int) -> tuple[Rung, ...]:
    """White box and black box apart, so that a win of the second is seen."""
    white: list[Member] = ["apgd-ce", "apgd-t"]
    return (
        Rung("apgd", autoattack(version="custom", attacks=white, batch_size=batch_size), path),
        Rung("square", autoattack(version="custom", attacks=["square"], batch_size=batch_size), path, black_box=True),
    )
