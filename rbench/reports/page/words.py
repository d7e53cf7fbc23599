"""Values as the page shows them: counts, durations, parameters, commands."""

import json
import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

_GLOB = re.compile(r"[*?\[]")


def count(number: int | None) -> str:
    """A count with commas between thousands, `-` for None."""
    return "-" if number is None else f"{number:,}"


def duration(seconds: float | None) -> str:
    """Seconds as text in at most two units: `5.2 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds is None:
        return "-"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{int(seconds // 60)} min {int(seconds % 60)} s"
    return f"{minutes // 60} h {minutes % 60} min"


def value(one: Any) -> str:
    """A parameter: text as it is, everything else as JSON."""
    if isinstance(one, str):
        return one
    return f"{one:.4g}" if isinstance(one, float) else json.dumps(one, ensure_ascii=False, sort_keys=True, default=str)


def pairs(params: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and values, those that are null left out."""
    return [(str(name), value(one)) for name, one in sorted(params.items()) if one is not None]


def some(number: int, one: str) -> str:
    """A number of things: `1 attack`, `3 attacks`."""
    return f"{number:,} {one}" if number == 1 else f"{number:,} {one}s"


def listed(words: Iterable[str]) -> str:
    """The distinct words, in order, separated by commas."""
    return ", ".join(dict.fromkeys(words))


def command(backbone: str, purifier: str) -> str:
    """The command that runs one row again from the suite beside its results."""
    # A comma would separate two patterns.
    exact = "/".join(_GLOB.sub(r"[\g<0>]", name).replace(",", "?") for name in (backbone, purifier))
    return f"rbench run suite.yaml --only {shlex.quote(f'{exact}/*')}"
