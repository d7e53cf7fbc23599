"""Flags of one cell that follow from its samples and rungs alone: whoever has the files can raise them again."""

from collections.abc import Sequence

import numpy as np

from rbench.results.flags.of_row import BLACK_BOX_MARGIN, FEW_SAMPLES
from rbench.results.record import Flag, RungPart

SHARE = 0.01
"""Flags speak from a share of samples above 1 % (docs/judging.md section 4)."""


def noise_wins(noise: np.ndarray, robust: np.ndarray) -> list[Flag]:
    """Uniform noise beats the attack.

    Args:
        noise: [N] value of each sample under noise.
        robust: [N] under the attack.
    """
    beaten = float(((noise < 0.5) & (robust >= 0.5)).mean())
    if beaten <= SHARE:
        return []
    return [Flag(name="noise-wins", value=beaten, detail="one uniform draw from the ball beats this attack")]


def silent_success(passed_by: np.ndarray, robust: np.ndarray) -> list[Flag]:
    """The attack gave back worse points than it had seen.

    Args:
        passed_by: bool [N], it saw the sample fooled.
        robust: [N] value of each sample under the attack.
    """
    silent = float((passed_by & (robust >= 0.5)).mean())
    if silent <= 0:
        return []
    detail = "share of samples that the attack saw fooled inside the ball and gave back unfooled"
    return [Flag(name="silent-success", value=silent, detail=detail)]


def few_samples(n: int) -> list[Flag]:
    """Too few samples for any claim."""
    return [Flag(name="few-samples", value=float(n))] if n < FEW_SAMPLES else []


def black_box_wins(rungs: Sequence[RungPart], n: int) -> list[Flag]:
    """A black-box rung meets only what the white-box rungs left standing, so what it fools is its win."""
    won = [rung for rung in rungs if rung.path == "none"]
    share = sum(rung.fooled for rung in won) / n
    if share <= BLACK_BOX_MARGIN:
        return []
    labels = ", ".join(rung.label for rung in won)
    detail = f"{labels}: {100 * share:.1f} points below the other rungs"
    return [Flag(name="black-box-wins", value=share, detail=detail)]


def unverifiable(images: str | None) -> list[Flag]:
    """Without images nobody can judge the cell again."""
    return [Flag(name="unverified", detail="store.images is none")] if images == "none" else []
