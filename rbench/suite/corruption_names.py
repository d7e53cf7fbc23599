"""The names of common corruptions, as suites write them."""

from collections import Counter
from typing import Annotated, Any

from pydantic import BeforeValidator

from rbench.signature import Mistake, kind_of, nearest

COMMON = (
    "gaussian-noise",
    "shot-noise",
    "impulse-noise",
    "defocus-blur",
    "glass-blur",
    "motion-blur",
    "zoom-blur",
    "snow",
    "frost",
    "fog",
    "brightness",
    "contrast",
    "elastic-transform",
    "pixelate",
    "jpeg-compression",
)
"""The 15 of Hendrycks and Dietterich 2019 (arXiv 1903.12261), in their order."""
KNOWN = (*COMMON, "speckle-noise", "gaussian-blur", "spatter", "saturate")
"""With the four that they keep for validation."""
ALL = "all"
SEVERITIES = (1, 2, 3, 4, 5)


def _names(value: Any) -> list[str]:
    given = value if isinstance(value, list | tuple) else [value]
    if not given:
        raise Mistake("found an empty list.", found="an empty list", remedy=f"Write {ALL}, or names.")
    names = [one for name in given for one in (COMMON if name == ALL else [_known(name)])]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise Mistake(f"{twice[0]} is there twice.", found=twice[0], remedy="Name each once.")
    return names


def _known(name: Any) -> str:
    if not isinstance(name, str):
        raise Mistake("expected the name of a corruption.", found=kind_of(name), remedy=f"Write {ALL}, or names.")
    if name in KNOWN:
        return name
    problem, written = f"no corruption has the name {name!r}.", name.replace("_", "-").casefold()
    close = [written] if written in KNOWN else nearest(written, [*KNOWN, ALL])
    remedy = f"Did you mean {close[0]!r}?" if close else f"There are {', '.join(KNOWN)}."
    if written in KNOWN:
        remedy = f"Write {written}."
    raise Mistake(problem, found=repr(name), remedy=remedy)


def _severities(value: Any) -> list[int]:
    given = value if isinstance(value, list | tuple) else [value]
    for one in given:
        if isinstance(one, bool) or one not in SEVERITIES:
            raise Mistake("expected a severity from 1 to 5.", found=kind_of(one), remedy="Write [1, 3, 5].")
    if not given or len(set(given)) < len(given):
        found = kind_of(list(given))
        raise Mistake(f"found {found}; name each severity once, at least one.", found=found)
    return sorted(int(one) for one in given)


Corruptions = Annotated[list[str], BeforeValidator(_names)]
Severities = Annotated[list[int], BeforeValidator(_severities)]
