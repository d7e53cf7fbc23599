"""Whether an exception says that memory is short, whatever library says it in whatever words."""

import torch

_WORDS = ("out of memory", "can't allocate memory", "bad_alloc", "CUBLAS_STATUS_ALLOC_FAILED", "Cannot allocate memory")
"""Of RuntimeErrors: torch's allocator of the CPU and libraries under it have no type of their own for it."""


def out_of_memory(error: BaseException) -> bool:
    """Whether smaller batches may help."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _WORDS)
