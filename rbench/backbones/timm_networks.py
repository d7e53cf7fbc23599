"""Networks of timm with weights that rbench's own reader has read, behind what these were trained to see."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rbench.backbones.pixels import Pixels, Size, square, taking
from rbench.backbones.quiet import quiet
from rbench.backbones.weights import fill, names_of, read_state
from rbench.backbones.without_classes import Extractor
from rbench.errors import InputError

_SEEN = frozenset({"mean", "std", "input_size", "interpolation", "fixed_input_size"})


@dataclass(frozen=True)
class Weights:
    """A file of weights and how a suite reads it.

    Attributes:
        path: the file.
        published: whether timm itself lists it, so that the number of classes is known.
        classes: number of logits; that of the file if None.
        entry: which state dict of the file, where it holds several.
    """

    path: Path
    published: bool = False
    classes: int | None = None
    entry: str | None = None


@dataclass(frozen=True)
class Model:
    """An architecture of timm.

    Attributes:
        name: as timm calls it, with a tag or without.
        cfg: timm's `PretrainedCfg`: what the weights were trained to see.
        options: keywords of the architecture that differ from timm's own.
    """

    name: str
    cfg: Any
    options: Mapping[str, Any] = field(default_factory=dict)


def cfg_of(name: str) -> Any:
    """What timm has of published weights, its defaults for an architecture without any.

    Raises:
        InputError: there are no weights of this tag.
    """
    with quiet():
        import timm
        from timm.models import PretrainedCfg
    try:
        return timm.get_pretrained_cfg(name) or PretrainedCfg()
    except RuntimeError as error:  # the architecture is known, the tag is not
        remedy = f"rbench list backbones 'timm:{name.partition('.')[0]}.*'"
        raise InputError(str(error), place=f"timm:{name}", remedy=remedy) from None


def described(config: Mapping[str, Any], place: str) -> Model:
    """The model that the `config.json` of a repository of timm describes.

    Raises:
        InputError: timm knows no such architecture.
    """
    with quiet():
        import timm
    name, said = str(config["architecture"]), dict(config.get("pretrained_cfg") or {})
    if not timm.is_model(name):
        raise InputError("timm knows no such architecture", place=f"{place}: architecture", found=repr(name[:60]))
    cfg = replace(cfg_of(name), **{key: value for key, value in said.items() if key in _SEEN})
    given = {**dict(config.get("model_args") or {}), "num_classes": config.get("num_classes")}
    options = {key: value for key, value in given.items() if isinstance(value, bool | int | float | str)}
    return Model(name, cfg, {key: value for key, value in options.items() if not key.startswith("pretrained")})


def backbone_of(
    model: Model,
    weights: Weights,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    size: Size | None,
    place: str,
) -> nn.Module:
    """The network with its weights, from pixels in [0, 1] to logits; one without classes waits for a head.

    Args:
        model: the architecture.
        weights: the file.
        mean: per channel; what the weights were trained with if None.
        std: per channel; what the weights were trained with if None.
        size: that images are resized to; as they are if None. A network of one size is made for a number.
        place: of the backbone, for messages.

    Raises:
        InputError: the weights do not fit, or a parameter is wrong.
    """
    cfg = model.cfg
    if isinstance(size, int) and cfg.fixed_input_size:
        model = replace(model, options={**model.options, "img_size": size})
    network = _loaded(model, weights)
    fixed = bool(cfg.fixed_input_size) and not getattr(network, "dynamic_img_size", False)
    pixels = Pixels(tuple(cfg.mean), tuple(cfg.std), square(cfg.input_size[1:], place), fixed, cfg.interpolation)
    if not network.num_classes:
        network = Extractor(network, getattr(network, "head_hidden_size", network.num_features), place)
    return taking(network, pixels.with_scale(mean, std, place), size, place)


def _loaded(model: Model, weights: Weights) -> Any:
    """The network with its weights: by name and shape, else as timm itself converts files of other libraries and sizes."""
    classes, path = weights.classes, weights.path
    network = _made(model, classes)
    state = read_state(path, names_of(network), weights.entry)
    own = _classes_of(network, state.tensors)
    if classes is None and not weights.published and own not in (None, network.num_classes):
        classes, network = own, _made(model, own)
    what = f"timm's {model.name!r}"
    try:
        fill(network, state, path, what)
    except InputError as unfit:
        with suppress(Exception):  # whatever a conversion meets in tensors that are not for it
            return _made(model, classes, state.tensors)
        if own is not None or classes is not None:
            raise
        network = _made(model, 0)  # weights without a classifier, which a head will be put on
        with suppress(InputError):
            fill(network, state, path, what)
            return network
        raise unfit from None
    return network


def _made(model: Model, classes: int | None, tensors: Mapping[str, Tensor] | None = None) -> Any:
    """The network: with fresh weights, or with tensors as timm loads its own, every one of which must fit."""
    options = dict(model.options) if classes is None else {**model.options, "num_classes": classes}
    overlay: dict[str, Any] = {}
    if tensors is not None:
        overlay["state_dict"] = dict(tensors)
        if "num_classes" in options:  # else timm would leave the classifier out and draw another
            overlay |= {"num_classes": options["num_classes"], "label_offset": 0}
    with quiet(), torch.random.fork_rng(devices=[]), torch.device("cpu"):
        import timm

        loads = tensors is not None
        network: Any = timm.create_model(
            model.name, pretrained=loads, pretrained_cfg_overlay=overlay or None, **options
        )
    network.pretrained_cfg.pop("state_dict", None)
    return network


def _classes_of(network: Any, tensors: Mapping[str, Tensor]) -> int | None:
    """The number of rows of the classifier in a file; None if it has none by the network's name for it."""
    named = network.pretrained_cfg.get("classifier") or ()
    for name in (named,) if isinstance(named, str) else named:
        weight = tensors.get(f"{name}.weight")
        if weight is not None and weight.dim() >= 2:
            return len(weight)
    return None
