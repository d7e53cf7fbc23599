"""Trained networks as files: the weights, and in the header which network and objective they are of."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rbench.bundled_files import weights_file
from rbench.errors import InputError, RbenchError
from rbench.registry import load, registry
from rbench.results.files import write_bytes

if TYPE_CHECKING:
    from torch import Tensor, nn

_KEY = "purifier"
"""One key, since safetensors writes several in any order and equal weights should be equal files."""
_TYPES = {"network": str, "params": dict, "objective": str}


def write_network(
    path: Path, network: "nn.Module", *, name: str, params: Mapping[str, Any], objective: str, half: bool = False
) -> None:
    """Writes the weights of a network so that `read_network` needs nothing else.

    Args:
        path: of the safetensors file.
        network: what was trained.
        name: of the network, in the registry.
        params: its parameters.
        objective: name of the objective it was trained for, in the registry.
        half: floating weights in 16 bits, which `read_network` turns back to 32; half of the size, three digits each.
    """
    from safetensors.torch import save

    content = {"network": name, "params": dict(params), "objective": objective}
    tensors: dict[str, Tensor] = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    if half:
        tensors = {key: value.half() if value.is_floating_point() else value for key, value in tensors.items()}
    write_bytes(path, save(tensors, metadata={_KEY: json.dumps(content, sort_keys=True)}))


def read_network(weights: str | Path, objective: str) -> "nn.Module":
    """The network of a file, frozen and in eval mode.

    Args:
        weights: a safetensors file that `rbench fit` wrote for a purifier, or `bundled:NAME`.
        objective: what it must have been trained for; a purifier's name is a claim.

    Raises:
        InputError: there is none of this name, it is no such file, or was trained for something else.
    """
    import torch

    from rbench.backbones.weights import fill, names_of, read_state

    path = weights_file(weights)
    header = _header(path)
    if header["objective"] != objective:
        found = f"weights trained with the objective '{header['objective']}'"
        remedy = "use the purifier of that objective"
        raise InputError(f"{found}, not '{objective}'", place=path, found=found, remedy=remedy)
    own, outline = "the network of its own header", None
    with suppress(RbenchError), torch.device("meta"):  # no memory is taken, whatever sizes a stranger's header gives
        outline = load("network", header["network"], header["params"])
    if outline is not None:  # else making it says what is wrong
        fill(outline, read_state(path, names_of(outline)), path, own)
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        network: nn.Module = load("network", header["network"], header["params"])
    fill(network, read_state(path, names_of(network)), path, own)
    return network.eval().requires_grad_(requires_grad=False)


def named_network(weights: str | Path) -> list[tuple[str, str, dict[str, Any]]]:
    """The registered network that a file's header names, as a component's `components` hook says it; none where it names none."""
    from safetensors import SafetensorError

    path = weights_file(weights)
    try:
        content = _header(path)
    except (InputError, OSError, SafetensorError):  # said where the weights are read
        return []
    known = content["network"] in registry("network").names()
    return [("network", content["network"], content["params"])] if known else []


def _header(path: Path) -> dict[str, Any]:
    from rbench.backbones.weights import header

    text = header(path).get(_KEY)
    if text is None:
        problem = f"no weights of a purifier: its header has no {_KEY!r}."
        raise InputError(problem, place=path, remedy="rbench fit writes them")
    try:
        content: Any = json.loads(text)
    except ValueError:
        content = None
    fits = isinstance(content, dict) and {key: type(value) for key, value in content.items()} == _TYPES
    if not fits:
        problem = f"expected a JSON map of {', '.join(_TYPES)}"
        raise InputError(problem, place=f"{path}: {_KEY!r} of its header", found=repr(text[:60]))
    named: dict[str, Any] = content
    return named
