"""Where and with what something was measured."""

import hashlib
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import rbench

LIBRARIES = ("pyautoattack", "torchattacks", "foolbox", "adv-lib")


def about(*, quick: bool) -> dict[str, str]:
    """What figures hang on: processor, versions, the code of rbench and the kind of run."""
    facts = {"processor": processor(), "system": platform.platform(terse=True), "python": platform.python_version()}
    facts |= {name: installed(name) for name in ("torch", "numpy", *LIBRARIES)}
    return facts | {"rbench": f"{installed('rbench')}, code {code()}", "kind": "quick" if quick else "full"}


def installed(name: str) -> str:
    """Version of a distribution."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def processor() -> str:
    """The model of the processor as the system names it."""
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def code() -> str:
    """A hash of the source text of rbench."""
    root, digest = Path(rbench.__file__).parent, hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root)}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
