"""What can go wrong, as types; the command line turns them into one line and an exit code."""

from collections.abc import Sequence


class RbenchError(Exception):
    """A failure with a one-line message that names what was found and what to do."""

    exit_code = 1


class InputError(RbenchError):
    """The user's suite, data, weights or parameters are wrong; nothing was run."""

    exit_code = 2


class MissingError(RbenchError):
    """The environment lacks something: an extra, a device, space on the disk."""

    exit_code = 3


class CellFailed(RbenchError):
    """A cell cannot be judged; it becomes a state of the row, never a number.

    Args:
        message: one line.
        sample_ids: the samples that broke the rule, possibly empty.
    """

    def __init__(self, message: str, sample_ids: Sequence[int] = ()) -> None:
        super().__init__(message)
        self.sample_ids = tuple(int(i) for i in sample_ids)


class Interrupted(RbenchError):
    """The run was asked to stop; finished chunks are on the disk."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code
