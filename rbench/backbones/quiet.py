"""Libraries that talk and leave things behind while they load: what they say is for those who work on models, not for a table."""

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any


@contextmanager
def quiet() -> Iterator[None]:
    """A block without warnings, log lines and progress bars; handlers, levels and torch's class of modules are afterwards as they were."""
    level, root = logging.root.manager.disable, logging.getLogger()
    handlers, bars = root.handlers[:], _bars()
    module: Any = getattr(sys.modules.get("torch.nn"), "Module", None)
    methods = set(vars(module)) if module is not None else set()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            logging.disable(logging.CRITICAL)
            yield
    finally:
        logging.disable(level)
        for handler in [
            one for one in root.handlers if one not in handlers
        ]:  # `logging.info` adds one where there is none
            root.removeHandler(handler)
        if bars is not None:
            bars.enable_progress_bar()
        if module is not None:
            for name in set(vars(module)) - methods:  # transformers adds `smart_apply` while it makes a model
                delattr(module, name)


def _bars() -> Any:
    """The logging module of transformers, whose bars have just been turned off; None if there were none."""
    module: Any = sys.modules.get("transformers.utils.logging")
    with suppress(AttributeError):  # a version that calls it otherwise
        if module is not None and module.is_progress_bar_enabled():
            module.disable_progress_bar()
            return module
    return None
