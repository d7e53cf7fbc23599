"""Files that come with rbench, and the files that `bundled:NAME` in a suite names."""

from pathlib import Path

from rbench.elsewhere import located
from rbench.errors import InputError

ASSETS = Path(__file__).parent / "assets"
_PREFIX, _SUFFIX = "bundled:", ".safetensors"


def weights_file(text: str | Path) -> Path:
    """The file of weights that a suite names.

    Args:
        text: `bundled:NAME`, or the path of a file, which need not exist.

    Raises:
        InputError: rbench brings no weights of this name.
    """
    name = _bundled_name(text)
    return Path(located(text)) if name is None else bundled_weights(name)


def bundled_weights(name: str) -> Path:
    """The file of weights that come with rbench.

    Raises:
        InputError: there are none of this name.
    """
    known = sorted(path.stem for path in ASSETS.glob(f"*{_SUFFIX}"))
    if name not in known:
        remedy = f"rbench brings {', '.join(_PREFIX + one for one in known)}."
        raise InputError("no such weights.", place=f"{_PREFIX}{name}", remedy=remedy)
    return ASSETS / f"{name}{_SUFFIX}"


def weights_name(text: str | Path) -> str:
    """A short name for weights: NAME of `bundled:NAME`, else the file's without its suffix."""
    name = _bundled_name(text)
    return Path(text).stem if name is None else name


def _bundled_name(text: str | Path) -> str | None:
    written = str(text)
    return written.removeprefix(_PREFIX) if written.startswith(_PREFIX) else None
