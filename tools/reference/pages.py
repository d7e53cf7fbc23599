"""Which parts of which pages are made, and by what."""

from collections.abc import Callable
from pathlib import Path

from tools.reference import api, commands, components, flags, record, suite
from tools.reference.blocks import with_part

ROOT = Path(__file__).parents[2]

PARTS: dict[str, dict[str, Callable[[], str]]] = {
    "docs/leaderboard.md": {"columns": flags.columns, "flags": flags.flags},
    "docs/reference/suite.md": {"suite": suite.suite},
    "docs/reference/record.md": {"record": record.record, "samples": record.samples},
    "docs/reference/commands.md": {"commands": commands.commands},
    "docs/reference/api.md": {"functions": api.api, "tests": api.for_tests},
    "docs/reference/purifiers.md": {"purifiers": components.of_kind("purifier")},
    "docs/reference/attacks.md": {"attacks": components.of_kind("attack")},
    "docs/reference/backbones.md": {"backbones": components.of_kind("backbone")},
    "docs/reference/datasets.md": {"data sets": components.of_kind("dataset")},
    "docs/reference/training.md": {
        "networks": components.of_kind("network", "###"),
        "objectives": components.of_kind("objective", "###"),
    },
    "docs/reference/reporters.md": {"reporters": components.of_kind("reporter")},
}
"""Pages by their path, and what makes the parts of each by name."""


def current(path: str) -> str:
    """A page as it should be: what stands there by hand, with its parts made anew."""
    page = (ROOT / path).read_text(encoding="utf-8")
    for name, make in PARTS[path].items():
        page = with_part(name, make(), page)
    return page


def write() -> None:
    """Writes all pages."""
    for path in PARTS:
        (ROOT / path).write_text(current(path), encoding="utf-8")
