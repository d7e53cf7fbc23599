"""Whether rbench may reach out: one answer for every source of data and weights."""

import os
from collections.abc import MutableMapping

from rbench.errors import MissingError

VARIABLES = ("RBENCH_OFFLINE", "HF_HUB_OFFLINE")
"""Variables of the environment, each of which forbids every download. The second is that of the Hugging Face libraries."""
_YES = ("1", "on", "yes", "true")
_LIBRARIES = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE")


def offline() -> str | None:
    """The variable that forbids to reach out, as it is set (`RBENCH_OFFLINE=1`); None if nothing does."""
    for name in VARIABLES:
        value = os.environ.get(name, "")
        if value.strip().lower() in _YES:
            return f"{name}={value}"
    return None


def refuse_offline(what: str, *, component: str | None = None, place: object = None, remedy: str) -> None:
    """Refuses a download where none is allowed; to be asked before each one.

    Args:
        what: what would be fetched, for the message.
        component: what needs it, e.g. `dataset 'torchvision:SVHN'`.
        place: where it would lie.
        remedy: how to get it there without a network.

    Raises:
        MissingError: nothing may be fetched.
    """
    said = offline()
    if said is not None:
        problem = f"{what} is not here and {said} forbids to fetch it"
        raise MissingError(problem, component=component, place=place, remedy=f"{remedy}, or unset {said.split('=')[0]}")


def refuse_sending(place: str, *, component: str | None = None, remedy: str) -> None:
    """Refuses to send something to another machine where rbench may not reach out. That of the Hugging Face libraries says nothing of it.

    Args:
        place: where to.
        component: what would send.
        remedy: where to instead.

    Raises:
        MissingError: nothing may be sent.
    """
    own = VARIABLES[0]
    if os.environ.get(own, "").strip().lower() in _YES:
        problem = f"it is another machine and {own}={os.environ[own]} forbids to send anything there."
        raise MissingError(problem, component=component, place=place, remedy=f"{remedy}, or unset {own}")


def tell_libraries(environment: MutableMapping[str, str] = os.environ) -> None:
    """Has libraries that rbench calls stay offline too: they read variables of their own, once, when they are imported."""
    if offline() is not None:
        for name in _LIBRARIES:
            environment[name] = "1"
