"""The pytest plug-in, found by its entry point wherever rbench is installed: so it imports pytest and, until a test asks, nothing else."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from rbench.testing.verdict import Conformance


@pytest.fixture(scope="session")
def rbench_check() -> "Callable[..., Conformance]":
    """Runs the conformance kit on a component: `rbench_check("purifier", "my-purifier", strength=0.2)`.

    The second argument is a registered name, or the component itself: a module, an attack, a data set, the function of a reporter. The
    test fails with the verdicts if a property fails. `rbench_images=8` and `rbench_shape="3x32x32"` say what it is asked about;
    `rbench_trust=True` lets code of your own run that the name is of (`python:FILE.py:NAME`).
    """

    def check(
        kind: str,
        component: Any,
        *,
        rbench_images: int = 8,
        rbench_shape: str | None = None,
        rbench_trust: bool = False,
        **params: Any,
    ) -> "Conformance":
        from rbench.registry.trust import trusting
        from rbench.testing.conformance import check_made, check_named

        if isinstance(component, str):
            trusting(trust=rbench_trust)([component, params])
            found = check_named(kind, component, params, images=rbench_images, shape=rbench_shape)
        else:
            found = check_made(kind, component, images=rbench_images, shape=rbench_shape)
        if found.failed:
            pytest.fail(found.text(), pytrace=False)
        return found

    return check
