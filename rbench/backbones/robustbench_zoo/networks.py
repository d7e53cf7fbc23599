"""The networks of RobustBench's zoo, made by the library itself with fresh weights: nothing is fetched."""

import warnings
from typing import TYPE_CHECKING, Any

from rbench.backbones.robustbench_zoo.importing import library
from rbench.backbones.robustbench_zoo.names import Data, Threat, ZooModel
from rbench.errors import InputError

if TYPE_CHECKING:
    from torch import nn

CLASSES: dict[Data, int] = {"cifar10": 10, "cifar100": 100, "imagenet": 1000}


def build(model: ZooModel, dataset: Data, threat: Threat) -> "nn.Module":
    """The network of a model, on the CPU, without touching the global random generator.

    Args:
        model: which one.
        dataset: that it was trained on.
        threat: that it was trained for.

    Raises:
        InputError: it is a plain model of torchvision.
        MissingError: the library cannot be imported.
    """
    import torch

    library()
    import timm

    registered = f"{model.name.lower().replace('-', '_')}_{dataset}_{threat.lower()}"
    with torch.random.fork_rng(devices=[]), torch.device("cpu"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of timm and torchvision, about how the library calls them
        if timm.is_model(registered):  # the zoo's own entry would fetch its weights
            registered_network: nn.Module = timm.create_model(
                registered, num_classes=CLASSES[dataset], pretrained=False
            )
            return registered_network
        if not model.addresses:
            remedy = "Write torchvision:resnet50, weights: IMAGENET1K_V1."
            raise InputError(
                "is torchvision's own model.", component=f"backbone 'robustbench:{model.name}'", remedy=remedy
            )
        network: nn.Module = _entry(model, dataset, threat)["model"]()
        return network


def _entry(model: ZooModel, dataset: Data, threat: Threat) -> dict[str, Any]:
    from robustbench.model_zoo import model_dicts
    from robustbench.model_zoo.enums import BenchmarkDataset, ThreatModel

    entry: dict[str, Any] = model_dicts[BenchmarkDataset(dataset)][ThreatModel(threat)][model.name]
    return entry
