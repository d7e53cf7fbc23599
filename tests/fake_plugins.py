"""Third-party packages made for one test: modules, metadata and entry points in a temporary folder."""

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from rbench.registry.registry import _origin, _points, registry
from rbench.signature import distribution, source, version

PARTS = '''
"""One small component of every kind, without torch."""
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Gt, Interval

NORMS = ("Linf", "L2")


class Smooth:
    """Smooths a little.

    Args:
        quality: the more the better.
    """

    stochastic = False

    def __init__(
        self,
        *,
        quality: Annotated[int, Interval(ge=1, le=100)] = 75,
        strength: float = 0.5,
        gentle: bool = False,
        mode: Literal["fast", "slow"] = "fast",
        note: str = "",
    ) -> None:
        self.given = (quality, strength, gentle, mode, note)


def tiny():
    """Four images."""
    return "images"


def stored(path: Path, *, key: str | None = None):
    """Images of a file."""
    return (path, key)


def net(item: Literal["small", "large"], *, width: int = 8):
    """A network."""
    return (item, width)


def walk(
    *,
    steps: Annotated[int, Interval(ge=1, le=1000)] = 40,
    step_size: Annotated[float, Gt(0)] | None = None,
    restarts: int = 1,
    path: tuple[int, ...] = (1, 2),
):
    """Walks uphill."""
    return (steps, step_size, restarts, path)
'''

BATCHED = '''
BATCHED = True

def drawn(*, eot_iter: int = 1):
    """Draws for a whole batch."""
'''

POINTS = {
    "rbench.purifiers": {"smooth": "tiny_parts:Smooth"},
    "rbench.datasets": {"tiny": "tiny_parts:tiny", "stored": "tiny_parts:stored"},
    "rbench.backbones": {"net": "tiny_parts:net"},
    "rbench.attacks": {"walk": "tiny_parts:walk", "drawn": "tiny_drawn:drawn"},
}


class Plugins:
    """Installs packages into a folder on the path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(
        self,
        distribution: str,
        modules: Mapping[str, str],
        points: Mapping[str, Mapping[str, str]],
        *,
        version: str = "0.2.0",
        metadata: str = "",
    ) -> None:
        """A distribution with modules (by file name without .py) and entry points (by group)."""
        for name, text in modules.items():
            path = self.folder / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        info = self.folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        head = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n{metadata}"
        (info / "METADATA").write_text(head, encoding="utf-8")
        groups = [f"[{group}]\n" + "\n".join(f"{k} = {v}" for k, v in named.items()) for group, named in points.items()]
        (info / "entry_points.txt").write_text("\n\n".join(groups) + "\n", encoding="utf-8")
        forget()

    def add_parts(self) -> None:
        """The small components above."""
        self.add("tiny-parts", {"tiny_parts": PARTS, "tiny_drawn": BATCHED}, POINTS)


def forget() -> None:
    """Drops what was read of installed packages."""
    importlib.invalidate_caches()
    for cached in (
        *(registry, _points, _origin, source.read, source.exists),
        *(distribution._inside, distribution._listed, version._outline),
    ):
        cached.cache_clear()


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plugins]:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    before = set(sys.modules)
    forget()
    yield Plugins(folder)
    for name in set(sys.modules) - before:
        if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
    forget()


SUITE = """\
suite: small
dataset: {name: tiny, samples: 8}
threat:
  norm: Linf
  eps: 8/255
backbones:
  - net:small
purifiers:
  - identity
  - {name: smooth, quality: 50}
attacks:
  - {name: walk, steps: 10}
  - {name: walk, gradient: blind, eot: 2}
protocol: {draws: 4, decide: mean, seed: 1}
"""


@pytest.fixture
def write(plugins: Plugins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Writes a suite beside the small plug-ins and gives its name, relative to the current folder."""
    plugins.add_parts()
    monkeypatch.chdir(tmp_path)

    def written(text: str | bytes = SUITE, name: str = "s.yaml") -> str:
        data = text if isinstance(text, bytes) else text.encode()
        Path(name).write_bytes(data)
        return name

    return written


DIM = '''
import torch
from dim_parts import scaled

class Dim(torch.nn.Module):
    """Darker images, by how much a file says."""
    def __init__(self, *, weights: str):
        super().__init__()
        with open(weights) as file:
            self.register_buffer("scale", torch.tensor(float(file.read())))
    def forward(self, x):
        return scaled(x, self.scale)
'''
"""A purifier whose parameter, by its text alone, names a file, and whose code lies in two modules: this and `dim_parts`."""
DIM_PARTS = "def scaled(x, scale):\n    return x * scale\n"
