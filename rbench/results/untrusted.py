"""Reading text and JSON that nobody vouches for: every limit is checked, every error names the file."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rbench.errors import InputError

MAX_DEPTH = 64


def read_text(path: Path, limit: int) -> str:
    """Read a UTF-8 file of at most `limit` bytes; anything else is an InputError naming the file."""
    try:
        if not path.is_file():
            raise InputError(f"{path}: no such file." if not path.exists() else f"{path}: not a regular file.")
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}.") from None
    if len(data) > limit:
        raise InputError(f"{path}: larger than {limit / 2**20:g} MiB, the limit of such a file.")
    if not data.strip():
        raise InputError(f"{path}: empty.")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start}.") from None


def parse_json(text: str, path: Path) -> Any:
    """Parse JSON that has no duplicate keys, no NaN or Infinity and a bounded depth."""
    try:
        content = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except RecursionError:
        raise InputError(f"{path}: nested deeper than {MAX_DEPTH} levels.") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{path}:{error.lineno}:{error.colno}: not JSON: {error.msg}.") from None
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
    _check_tree(content, path)
    return content


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        times = Counter(key for key, _ in pairs)
        raise ValueError(f"key {next(key for key in times if times[key] > 1)[:60]!r} appears twice.")
    return content


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number.")


def _check_tree(content: Any, path: Path) -> None:
    # Iterative, because the content is what might be too deep.
    level, depth = [content], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise InputError(f"{path}: nested deeper than {MAX_DEPTH} levels.")
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                below.extend(value.values())
            elif isinstance(value, list):
                below.extend(value)
            elif isinstance(value, float) and not math.isfinite(value):
                raise InputError(f"{path}: a number is too large to be one.")
        level = below
