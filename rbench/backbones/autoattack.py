"""The classifier that AutoAttack's own example attacks, from the installed `pyautoattack`."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rbench.backbones.architectures import registered
from rbench.errors import MissingError

if TYPE_CHECKING:
    from torch import nn

_NETWORK = "cifar-resnet18"
Name = Literal["cifar10-resnet18"]


def files(name: Name) -> list[Path]:
    """The files whose bytes decide the outcome; found without importing the package."""
    spec = find_spec("pyautoattack")
    if spec is None or spec.origin is None:
        component = f"backbone 'autoattack:{name}'"
        problem = f"{component} needs pyautoattack"
        raise MissingError(problem, component=component, remedy="pip install pyautoattack")
    path = Path(spec.origin).parent / "examples" / "model_test.pt"
    if not path.is_file():
        remedy = "pip install --force-reinstall pyautoattack==0.2.0"
        raise MissingError("not in the installed pyautoattack", place=path, remedy=remedy)
    return [path]


def components(**_: object) -> list[tuple[str, str, dict[str, Any]]]:
    """The network that the weights are loaded into."""
    return registered(_NETWORK)


def autoattack(name: Name) -> "nn.Module":
    """A ResNet-18 trained on clean CIFAR-10, shipped with AutoAttack (Croce and Hein 2020, arXiv 2003.01690; MIT license).

    The network takes pixels as they are, without normalisation. The weights are read as plain tensors into
    rbench's own ResNet-18; no code of the example is executed.

    Args:
        name: `cifar10-resnet18`, 11.2 million parameters, takes [B, 3, 32, 32].
    """
    from rbench.backbones import weights

    return weights.load(files(name)[0], _NETWORK)
