"""The weights of RobustBench's files in its networks: as tensors alone, all of them by name and shape."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from rbench.backbones.robustbench_zoo.names import ZooModel
from rbench.backbones.weights.entries import State
from rbench.backbones.weights.fitted import fill, names_of
from rbench.backbones.weights.read import read_state
from rbench.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

_CONSTANTS = {"mu", "sigma", "mean", "std"}
"""What RobustBench's classes call the mean and the standard deviation of the normalisation, which most files are without."""
_NOT_ASKED = re.compile(r"model_preact_hl1\..*|(.*\.)?scores|(normalize\.)?(mu|sigma|mean|std)")
"""Tensors in files of the zoo that its networks have no use for: layers that are there twice, what a pruning was decided by, and a
normalisation that the network has under another name."""
_LAST = re.compile(r"Kireev2021Effectiveness.*|Andriushchenko2020Understanding")
"""Models whose file holds the state at the end of the training beside the best one; RobustBench takes the last."""


def filled(network: nn.Module, model: ZooModel, paths: Sequence[Path], entry: str | None) -> nn.Module:
    """The network with the weights of its files, frozen and in eval mode.

    Args:
        network: as the library makes it; its values are replaced.
        model: which one it is.
        paths: its files, in the order of the zoo.
        entry: which state dict of a file, where it holds several; `.` for the one that is in no container.

    Raises:
        InputError: a file is no weights file, would execute code, or does not fit.
        MissingError: this torch cannot read a .pt file safely.
    """
    for part, path in zip(_parts(network, model, len(paths)), paths, strict=True):
        last = "last" if _LAST.fullmatch(model.name) and path.suffix != ".safetensors" else None
        state = read_state(path, [name for name in names_of(part) if name not in _constants(part)], entry or last)
        fill(part, _as_asked(part, state), path, f"RobustBench's {model.name}")
    return network.eval().requires_grad_(requires_grad=False)


def _parts(network: nn.Module, model: ZooModel, files: int) -> list[nn.Module]:
    """The networks that the files are of, in their order."""
    if not model.several:
        return [_bare(network)]
    members = [getattr(network, name, None) for name in ("std_model", "rob_model")]
    parts = members if all(members) else list(getattr(network, "models", ()))
    if len(parts) != files:
        component, remedy = f"backbone 'robustbench:{model.name}'", "load it in code of your own"
        problem = f"rbench does not know for which parts of it its {files} files are"
        raise InputError(problem, component=component, remedy=remedy)
    return [part for part in parts if isinstance(part, nn.Module)]


def _bare(network: nn.Module) -> nn.Module:
    """The network behind the library's normalisation in front of it, of which the files know nothing."""
    children = dict(network.named_children())
    wrapped = isinstance(network, nn.Sequential) and set(children) == {"normalize", "model"}
    return children["model"] if wrapped else network


def _constants(part: nn.Module) -> "dict[str, Tensor]":
    saved = part.state_dict()
    return {name: buffer for name, buffer in part.named_buffers() if name in saved and _last_of(name) in _CONSTANTS}


def _as_asked(part: nn.Module, state: State) -> State:
    """The tensors that the network has, its own normalisation where the file is without; others stay, so that they are told."""
    asked = part.state_dict()
    kept = {name: one for name, one in state.tensors.items() if name in asked or not _NOT_ASKED.fullmatch(name)}
    return State({**_constants(part), **kept}, state.versions)


def _last_of(name: str) -> str:
    return name.rpartition(".")[2]
