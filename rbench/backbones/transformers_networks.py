"""Networks of transformers from a folder of files: logits or pooled features, behind what their image processor does."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rbench.backbones.architectures.answering import Flipped, Logits, Pooled
from rbench.backbones.pixels import Pixels, Size, square, taking
from rbench.backbones.quiet import quiet
from rbench.backbones.without_classes import Extractor
from rbench.errors import InputError

CONFIG = "config.json"
PROCESSORS = ("preprocessor_config.json", "processor_config.json")
_CLASSIFIES = ("ForImageClassification", "ForImageClassificationWithTeacher")
_RESAMPLES = {2: "bilinear", 3: "bicubic"}
"""Pillow's numbers for the interpolations that have a gradient here."""


def classifier(
    folder: Path, mean: Sequence[float] | None, std: Sequence[float] | None, size: Size | None, place: str
) -> nn.Module:
    """The classifier of a folder, or its pooled features.

    Args:
        folder: with configuration, processor and weights.
        mean: per channel; the processor's if None.
        std: per channel; the processor's if None.
        size: that images are resized to; as they are if None.
        place: of the backbone, for messages.

    Raises:
        InputError: it is no image model, its weights do not fit it, or its processor does what rbench does not.
    """
    with quiet(), torch.random.fork_rng(devices=[]), torch.device("cpu"):
        config = _config(folder, place)
        processor = _processor(folder)
        classifies = any(str(name).endswith(_CLASSIFIES) for name in getattr(config, "architectures", None) or ())
        model = _model(folder, config, classifies=classifies, place=place)
    own, flips = _pixels(processor, config, place, given=mean is not None)
    network: nn.Module = Logits(model) if classifies else Extractor(Pooled(model), _width(config, place), place)
    return taking(Flipped(network) if flips else network, own.with_scale(mean, std, place), size, place)


def _config(folder: Path, place: str) -> Any:
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (ValueError, OSError, KeyError) as error:
        cause = " ".join(str(error).split())[:160]
        raise InputError(
            f"not a model that the installed transformers knows ({cause})", place=f"{place}: {CONFIG}"
        ) from error


def _processor(folder: Path) -> Any:
    """The image processor of a folder; None where it has none."""
    if not any((folder / name).is_file() for name in PROCESSORS):
        return None
    from transformers import AutoImageProcessor

    return AutoImageProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def _model(folder: Path, config: Any, *, classifies: bool, place: str) -> Any:
    from transformers import AutoModel, AutoModelForImageClassification

    kind = AutoModelForImageClassification if classifies else AutoModel
    try:
        model, loading = kind.from_pretrained(
            folder,
            config=config,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except (ValueError, OSError, KeyError, RuntimeError) as error:
        cause = " ".join(str(error).split())[:160]
        raise InputError(f"{kind.__name__} does not take it ({cause})", place=place) from error
    # What is not in the file would be drawn at random, and the row would judge noise.
    lacking = [*loading["missing_keys"], *(str(name) for name in loading.get("mismatched_keys", ()))]
    if lacking:
        more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
        raise InputError(
            f"its weights lack {', '.join(sorted(map(str, lacking))[:3])}{more}",
            place=place,
            remedy="save the whole model",
        )
    for name, tensor in model.named_parameters():
        if not bool(tensor.isfinite().all()):
            raise InputError(
                f"{name} has NaN or infinite values", place=place, remedy="train or download the weights again"
            )
    return model


def _width(config: Any, place: str) -> int:
    for name in ("hidden_size", "num_features"):
        if isinstance(width := getattr(config, name, None), int):
            return width
    sizes = getattr(config, "hidden_sizes", None)
    if sizes:
        return int(sizes[-1])
    raise InputError(
        "the number of its features is not known", place=place, remedy="use a model for image classification"
    )


def _pixels(processor: Any, config: Any, place: str, *, given: bool) -> tuple[Pixels, bool]:
    """What the processor makes of pixels, and whether it turns RGB into BGR."""
    channels = int(getattr(config, "num_channels", None) or 3)
    side = getattr(config, "image_size", None)
    own = square(side, place) if side else None
    if processor is None:
        if not given:
            problem = f"no {PROCESSORS[0]}, so mean and std are not known"
            raise InputError(problem, place=place, remedy="write mean and std, on the [0, 1] pixel scale")
        return Pixels((0.0,) * channels, (1.0,) * channels, own), False
    odd = [name for name in ("include_top", "rescale_offset") if getattr(processor, name, False)]
    factor = getattr(processor, "rescale_factor", None) or 1 / 255
    if not given and (odd or abs(factor * 255 - 1) > 1e-3):
        what = odd[0] if odd else f"rescale_factor {factor:.5g}"
        problem = f"its processor does more than divide by 255 and normalise ({what})"
        raise InputError(problem, place=place, remedy="write mean and std, on the [0, 1] pixel scale")
    normalises = getattr(processor, "do_normalize", True) and processor.image_mean is not None
    mean, std = (processor.image_mean, processor.image_std) if normalises else ([0.0] * channels, [1.0] * channels)
    interpolation = _RESAMPLES.get(int(getattr(processor, "resample", None) or 2), "bilinear")
    pixels = Pixels(
        tuple(map(float, mean)), tuple(map(float, std)), _side(processor, place) or own, False, interpolation
    )
    return pixels, bool(getattr(processor, "do_flip_channel_order", False))


def _side(processor: Any, place: str) -> int | None:
    """The side of the images that the network is given: what is cropped, else what is resized to."""
    crops = getattr(processor, "do_center_crop", False) and getattr(processor, "crop_size", None)
    size = (processor.crop_size if crops else getattr(processor, "size", None)) or {}
    if isinstance(size, int):
        return size
    named = size if isinstance(size, Mapping) else vars(size)
    sides = {name: named.get(name) for name in ("height", "width", "shortest_edge")}
    if sides["height"] and sides["width"]:
        return square((int(sides["height"]), int(sides["width"])), place)
    return int(sides["shortest_edge"]) if sides["shortest_edge"] else None
