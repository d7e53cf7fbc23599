"""Errors for files that are missing or broken: one line with the file's name instead of a decoder's traceback."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rbench.errors import InputError


@contextmanager
def reading(path: Path | str, what: str, cure: str = "is it truncated or of another format?") -> Iterator[None]:
    """Turns whatever a decoder raises on broken bytes into an InputError.

    Decoders (zip, NumPy headers, Parquet, PNG, JPEG) raise two dozen types between them, from OSError to
    SyntaxError, so this catches all of them; the cause stays attached for --debug. Put nothing but the
    decoding into the block.

    Args:
        path: the file, and the sample in it if known.
        what: what the file should be.
        cure: what to do.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        cause = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(f"not readable as {what} ({cause})", place=path, remedy=cure) from error


def require(path: Path, what: str, *, folder: bool = False) -> Path:
    """The path, if it is a file (or a folder) that exists."""
    if folder and not path.is_dir():
        raise InputError("no such folder", place=path, remedy=f"give the {what}")
    if not folder and not path.is_file():
        problem = "a folder" if path.is_dir() else "no such file"
        raise InputError(problem, place=path, remedy=f"give the {what}")
    return path
