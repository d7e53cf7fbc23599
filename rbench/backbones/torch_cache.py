"""Files of weights in torch's cache, by the address that they are published at: fetched only where a suite asks for it."""

import hashlib
import os
import re
import sys
from pathlib import Path
from typing import Any

from rbench.errors import InputError, MissingError
from rbench.offline import refuse_offline

_HASH = re.compile(r"-([0-9a-f]{8,64})$")
"""The start of a sha256 at the end of a file's name, before its suffix."""


def folder() -> Path:
    """Where torch keeps downloaded weights; torch is asked only if it is imported already."""
    torch: Any = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "hub"):
        return Path(torch.hub.get_dir()) / "checkpoints"
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("TORCH_HOME", str(Path(cache) / "torch"))
    return Path(home).expanduser() / "hub" / "checkpoints"


def fetched_address(url: str, *, what: str, download: bool = False) -> Path:
    """The file of an address in torch's cache, checked against the hash in its name if there is one.

    Args:
        url: the address.
        what: wants it, for messages, e.g. `backbone 'torchvision:resnet18'`.
        download: whether it may be fetched if it is not there.

    Raises:
        MissingError: it is not in the cache, and may not or cannot be fetched.
        InputError: it is another file than its name says.
    """
    path = folder() / url.rsplit("/", 1)[1]
    named = _HASH.search(path.stem)
    start = named[1] if named else ""
    if not path.is_file():
        if not download:
            remedy = f"write download: true, or copy {url} to {path}"
            raise MissingError(f"{path.name} is not in the cache of torch", component=what, remedy=remedy)
        refuse_offline(url, component=what, place=path, remedy=f"copy it to {path}")
        _download(url, path, start, what)
    if start:
        with path.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        if not digest.startswith(start):
            begins = f"sha256 starts with {digest[: len(start)]}"
            raise InputError(f"{begins}, not {start}", place=path, found=begins, remedy="delete it and run again")
    return path


def _download(url: str, path: Path, start: str, what: str) -> None:
    import torch

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), start or None, progress=False)
    except (OSError, RuntimeError) as error:
        cause = " ".join(str(error).split())[:120]
        problem, remedy = f"{url} could not be downloaded ({cause})", f"without network, copy it to {path}"
        raise MissingError(problem, place=what, remedy=remedy) from error
