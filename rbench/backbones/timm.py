"""Image models of timm (Wightman 2019), with weights of yours or those that its authors have published."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

from rbench.backbones.pixels import Size
from rbench.errors import InputError
from rbench.first_look import looked_at

if TYPE_CHECKING:
    from torch import nn

DECIDES_NOTHING = ("download",)
_SAFE, _PICKLED = "model.safetensors", "pytorch_model.bin"


def items() -> tuple[str, ...]:
    """Architectures, and each with a tag of its published weights; read from the source text of timm."""
    from rbench.backbones.written_names import folder_of, published, registered

    folder = folder_of("timm") / "models"
    return (*registered(folder), *published(folder))


def takes(name: str) -> bool:
    """Whether timm knows a name that is not written in its modules."""
    from rbench.backbones.quiet import quiet

    with quiet():
        import timm as library

        base, _, tag = name.partition(".")
        return bool(library.is_model(base)) and (not tag or name in library.list_models(f"{base}.*", include_tags=True))


def about(name: str) -> dict[str, str]:
    """Origin and license of the published weights, and what the network was trained to see."""
    from rbench.backbones.timm_networks import cfg_of

    cfg = cfg_of(name)
    if not (cfg.hf_hub_id or cfg.url):
        return {"origin": "timm; no weights of this name are published", "license": "timm's code is Apache-2.0"}
    origin = f"https://huggingface.co/{cfg.hf_hub_id}" if cfg.hf_hub_id else str(cfg.url)
    seen = f"{'x'.join(map(str, cfg.input_size[1:]))} pixels, mean {tuple(cfg.mean)}, std {tuple(cfg.std)}"
    return {
        "origin": origin,
        "license": cfg.license or f"as {origin} says; timm's code is Apache-2.0",
        "input": f"{seen}, {'no other size' if cfg.fixed_input_size else 'other sizes too'}",
        "answers": f"{cfg.num_classes} classes" if cfg.num_classes else "features, which need a head",
    }


def files(
    name: str, *, checkpoint: Path | None = None, pretrained: bool = False, download: bool = False, **_: object
) -> list[Path]:
    """The file of the weights: yours, or the published one in the cache."""
    from rbench.backbones.written_names import folder_of

    folder_of("timm")  # or say what to install
    if (checkpoint is None) != pretrained:
        problem = "names two kinds of weights" if pretrained else "names no weights"
        remedy = "write checkpoint: FILE, or pretrained: true for the published ones"
        raise InputError(problem, place=f"timm:{name}", remedy=remedy)
    return [looked_at(checkpoint if checkpoint is not None else _published(name, download=download))]


def timm(
    name: str,
    *,
    checkpoint: Path | None = None,
    pretrained: bool = False,
    download: bool = False,
    classes: Annotated[int, Ge(1)] | None = None,
    entry: str | None = None,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    size: Size | None = None,
) -> "nn.Module":
    """An image model of timm in eval mode, with its own normalisation inside; one without classes, such as DINOv2, takes a `head`.

    Weights are read as tensors alone. Images are taken as they are unless `size` says otherwise; a network that takes one size only
    refuses others.

    Args:
        name: an architecture such as `resnet18`, or with the tag of published weights, `resnet18.a1_in1k`.
        checkpoint: a file of weights of yours, safetensors or of torch.save.
        pretrained: the published weights, from the cache of Hugging Face or torch.
        download: whether published weights that are not in the cache may be fetched.
        classes: number of logits; read from the checkpoint if null.
        entry: which state dict of the checkpoint, where it holds several; `.` for the one that is in no container.
        mean: per channel, on the [0, 1] pixel scale; what timm has for these weights if null.
        std: per channel, on the [0, 1] pixel scale; what timm has for these weights if null.
        size: side that images are resized to before the network, square and by its interpolation, nothing cropped; `own` is the side it was
            trained on; as they are if null. A network of one size is made for this one, its positions interpolated.
    """
    from rbench.backbones.timm_networks import Model, Weights, backbone_of, cfg_of

    (path,) = files(name, checkpoint=checkpoint, pretrained=pretrained, download=download)
    model, weights = Model(name, cfg_of(name)), Weights(path, pretrained, classes, entry)
    return backbone_of(model, weights, mean, std, size, f"timm:{name}")


def _published(name: str, *, download: bool) -> Path:
    from rbench.backbones.hugging_face import fetched
    from rbench.backbones.timm_networks import cfg_of
    from rbench.backbones.torch_cache import fetched_address

    cfg, what = cfg_of(name), f"backbone 'timm:{name}'"
    if cfg.hf_hub_id:
        names = [cfg.hf_hub_filename] if cfg.hf_hub_filename else [_SAFE, _PICKLED]
        repository, _, revision = str(cfg.hf_hub_id).partition("@")
        return fetched(repository, names, what=what, revision=revision or None, download=download)
    if cfg.url:
        return fetched_address(str(cfg.url), what=what, download=download)
    problem, place = "timm has no published weights of this name", f"timm:{name}: pretrained"
    raise InputError(problem, component=what, place=place, remedy="give a checkpoint")
