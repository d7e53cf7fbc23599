"""Weights that come with rbench, by name: `bundled:NAME` is a file of its assets."""

from pathlib import Path

from rbench.errors import InputError

PREFIX = "bundled:"
_ASSETS, _SUFFIX = Path(__file__).parent / "assets", ".safetensors"


def weights_file(text: str | Path) -> Path:
    """The file of weights that a suite names.

    Args:
        text: `bundled:NAME`, or the path of a file, which is not looked for here.

    Raises:
        InputError: rbench brings no weights of this name.
    """
    name = str(text).removeprefix(PREFIX)
    if name == str(text):
        return Path(text)
    known = sorted(path.stem for path in _ASSETS.glob(f"*{_SUFFIX}"))
    if name not in known:
        remedy = f"rbench brings {', '.join(PREFIX + one for one in known)}."
        raise InputError("no such weights.", place=text, remedy=remedy)
    return _ASSETS / f"{name}{_SUFFIX}"


def weights_name(text: str | Path) -> str:
    """What to call weights: the name of bundled ones, else the file's without its suffix."""
    bundled = str(text).startswith(PREFIX)
    return str(text).removeprefix(PREFIX) if bundled else Path(text).stem
