"""What every pass through a model may leave changed and would change rbench's own code before the next: put back after each pass."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from rbench.process_state import NOTES


@contextmanager
def modes_kept(owner: str) -> Iterator[None]:
    """As `process_state.kept`, of grad mode, default dtype and autocast alone; cheap enough for every pass.

    Args:
        owner: whose code runs.
    """
    grad, dtype, autocast = torch.is_grad_enabled(), torch.get_default_dtype(), torch.is_autocast_enabled("cpu")
    try:
        yield
    finally:
        if torch.is_grad_enabled() != grad:
            torch.set_grad_enabled(grad)
            NOTES.add(owner, f"torch's grad mode (to {not grad})")
        if torch.get_default_dtype() != dtype:
            NOTES.add(owner, f"torch's default dtype (to {torch.get_default_dtype()})")
            torch.set_default_dtype(dtype)
        if torch.is_autocast_enabled("cpu") != autocast:
            torch.set_autocast_enabled("cpu", autocast)
            NOTES.add(owner, f"torch's autocast (to {not autocast})")
