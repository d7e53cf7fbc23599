"""Code of a user that no package brings, in the current folder of a test."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_plugins import forget

from rbench import own_code
from rbench.registry import own as own_components
from rbench.registry import registered

UNET = '''
from pathlib import Path
from typing import Annotated

from annotated_types import Interval

import shades

Path("ran").touch()


class Dim:
    """Darker images.

    Args:
        by: the share of light that is left, in percent.
        table: a file.
    """

    stochastic = False

    def __init__(self, *, by: Annotated[int, Interval(ge=1, le=100)] = 90, table: Path | None = None):
        self.by = shades.share(by)


def dim(by: int = 90):
    """The same by a function, whose parameter may be positional."""
    return Dim(by=by)
'''
SHADES = "def share(percent):\n    return percent / 100\n"


class Files:
    """Writes and reads files of the current folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, text: str | bytes) -> Path:
        """A file with its folders."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        _read_anew()
        return path

    @property
    def ran(self) -> bool:
        """Whether the code has been run."""
        return (self.folder / "ran").exists()


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Files]:
    """A purifier in two files, in the current folder; nothing is trusted."""
    folder = tmp_path / "mine"
    folder.mkdir()
    monkeypatch.chdir(folder)
    _clear()
    files, before = Files(folder), set(sys.modules)
    files.write("dims.py", UNET)
    files.write("shades.py", SHADES)
    yield files
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
    _clear()


def _clear() -> None:
    own_code.forget()
    registered.forget()
    _read_anew()


def _read_anew() -> None:
    """As a new process would."""
    own_components._made.cache_clear()
    forget()
