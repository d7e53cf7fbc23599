"""What made a result: packages, interpreter, platform and time."""

import platform
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from typing import Any


def versions() -> dict[str, Any]:
    """Versions by name, the platform, and the time now (UTC, ISO 8601)."""
    return {
        **_packages(),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


@cache
def _packages() -> dict[str, str]:
    return {name: version(name) for name in ("rbench", "torch", "torchvision", "numpy")}
