import logging
import warnings

import torch

from rbench.backbones.quiet import quiet


def test_what_a_library_says_and_adds_while_it_loads_is_gone_afterwards(capsys):
    root, before = logging.getLogger(), logging.getLogger().handlers[:]
    with quiet():
        logging.info("hello")
        logging.error("hello")
        warnings.warn("hello", stacklevel=1)
        root.addHandler(logging.StreamHandler())
        torch.nn.Module.added_by_a_library = 1
    assert (root.handlers, logging.root.manager.disable) == (before, logging.NOTSET)
    assert not hasattr(torch.nn.Module, "added_by_a_library")
    assert capsys.readouterr() == ("", "")
