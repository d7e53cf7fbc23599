"""Weights in the network that they are for: every name, every shape, by torchvision's own renames."""

import re
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rbench.backbones.architectures import PREFIX, build
from rbench.backbones.weights.entries import State
from rbench.backbones.weights.plain import require_number_type
from rbench.backbones.weights.read import read_state
from rbench.errors import InputError
from rbench.first_look import look

if TYPE_CHECKING:
    from torch import Tensor, nn

COUNTER = "num_batches_tracked"
"""A buffer that counts the steps of a training. No network in eval mode looks at it, and older files have none."""
_RENAMED = {
    f"{PREFIX}densenet": (
        re.compile(r"(.*denselayer\d+\.(?:norm|relu|conv))\.((?:[12])\.(?:weight|bias|running_mean|running_var))"),
        r"\1\2",
    )
}
"""What torchvision renames in its own published files before it loads them, by the start of the architecture's name."""
_LISTED = 5


@dataclass(frozen=True)
class Faults:
    """How weights do not fit a network: names by kind; `cause` where torch alone can say."""

    kinds: dict[str, list[str]]
    cause: str = ""

    def __bool__(self) -> bool:
        return bool(self.cause or any(self.kinds.values()))

    def __str__(self) -> str:
        listed = [f"{kind}: {_first(names)}" for kind, names in self.kinds.items() if names]
        return "; ".join(listed) or self.cause


def load(path: Path, architecture: str, classes: int | None = None, entry: str | None = None) -> "nn.Module":
    """The network with the weights of a file, frozen and in eval mode.

    Args:
        path: a .safetensors file, or one that `torch.save` wrote of tensors.
        architecture: a name that `architectures.build` knows.
        classes: number of logits; read from the file if not given.
        entry: the container or prefix in the file, where several would do.

    Raises:
        InputError: it is no such file, or its weights do not fit.
        MissingError: this torch cannot read it safely.
    """
    look(path)  # a network may take long to make
    network = build(architecture, classes)
    state = read_state(path, names_of(network), entry, _renamed(architecture))
    if classes is None and (own := _classes(network, state.tensors)) is not None:
        network = build(architecture, own)
    fill(network, state, path, f"architecture '{architecture}'")
    return network.eval().requires_grad_(requires_grad=False)


def names_of(network: "nn.Module") -> list[str]:
    """The names of the tensors that a file must have."""
    return [name for name in network.state_dict() if not _counts(name)]


def fill(network: "nn.Module", state: State, path: Path, what: str) -> None:
    """Puts the weights of a file into a network, all or none of them by name and shape.

    Args:
        network: of this architecture; its values are replaced.
        state: the weights.
        path: of their file, for messages.
        what: the network, in messages.

    Raises:
        InputError: names or shapes differ, or whole numbers stand for floating ones.
    """
    import torch

    for name, expected in network.state_dict().items():
        if name in state.tensors and not _counts(name):
            require_number_type(name, state.tensors[name], expected, path)
    first: Faults | None = None
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):  # older formats make layers anew
        for versions in _versions(network, state):
            faults = _filled(network, state.tensors, versions)
            if not faults:
                return
            first = first or faults
    raise InputError(f"does not fit {what}; {first}", place=path)


def _versions(network: "nn.Module", state: State) -> Iterator[Mapping[str, Any]]:
    """Versions of the format to try: those of the file; of a MNASNet without one, which had another stem once, what fits."""
    if type(network).__name__ != "MNASNet" or "" in state.versions:
        yield state.versions
    else:
        yield from ({"": {"version": version}} for version in (2, 1))


def _filled(network: "nn.Module", tensors: "Mapping[str, Tensor]", versions: Mapping[str, Any]) -> Faults:
    expected = network.state_dict()
    content: OrderedDict[str, Tensor] = OrderedDict(
        (name, tensor) for name, tensor in tensors.items() if not _counts(name) or _alike(tensor, expected.get(name))
    )
    content._metadata = versions  # type: ignore[attr-defined]
    missing, unexpected, cause = list[str](), list[str](), ""

    def note(_: object, keys: Any) -> None:
        missing.extend(keys.missing_keys)
        unexpected.extend(keys.unexpected_keys)

    hook = network.register_load_state_dict_post_hook(note)  # type: ignore[no-untyped-call]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torchvision warns of its older formats, which it reads
            network.load_state_dict(content, strict=False)
    except (RuntimeError, ValueError) as error:
        cause = " ".join(str(error).split())[:120]
    finally:
        hook.remove()
    reshaped = [
        f"{name} {tuple(tensors[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in network.state_dict().items()
        if name in content and content[name].shape != tensor.shape
    ]
    kinds = {"missing": missing, "unexpected": unexpected}
    kept = {kind: [name for name in names if not _counts(name)] for kind, names in kinds.items()}
    return Faults({**kept, "wrong shape": reshaped}, cause)


def _alike(tensor: "Tensor", expected: "Tensor | None") -> bool:
    return expected is not None and tensor.shape == expected.shape and tensor.dtype == expected.dtype


def _counts(name: str) -> bool:
    return name.rpartition(".")[2] == COUNTER


def _renamed(architecture: str) -> Callable[[str], str]:
    for start, (pattern, replacement) in _RENAMED.items():
        if architecture.startswith(start):
            return lambda name: pattern.sub(replacement, name)
    return str


def _classes(network: "nn.Module", state: "Mapping[str, Tensor]") -> int | None:
    """The number of classes of the file, if it is another than the network's: the length of its last bias (or weight).

    None as well where the weight beside that bias is of another length: then the file is of no such network, and nothing is made for it.
    """
    expected = {name: tensor for name, tensor in network.state_dict().items() if tensor.dim() and not _counts(name)}
    last = next(reversed(expected), "")
    beside = f"{last.rpartition('.')[0]}.weight".lstrip(".")
    lengths = {len(state[name]) for name in (last, beside) if name in state and name in expected and state[name].dim()}
    return lengths.pop() if len(lengths) == 1 and lengths != {len(expected[last])} else None


def _first(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(name[:120] for name in names[:_LISTED]) + more
