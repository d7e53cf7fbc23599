"""The network of a diffusion purifier, by what a suite calls its weights. Nothing is downloaded here."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rbench.bundled_files import weights_file
from rbench.errors import InputError, MissingError
from rbench.first_look import looked_at

if TYPE_CHECKING:
    from torch import nn

PREFIX = "diffusers:"
_CONFIG, _SCHEDULER = ("unet/config.json", "config.json"), ("scheduler/scheduler_config.json", "scheduler_config.json")
_WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")


def noise_network_files(weights: Path) -> list[Path]:
    """The files whose bytes decide what the network does: of a checkpoint of diffusers its two configs and its weights.

    Raises:
        InputError: rbench brings no weights of this name, or a folder is no checkpoint.
        MissingError: a checkpoint of the Hugging Face hub is not on this machine.
    """
    *configs, tensors = _files(weights)
    return [*configs, looked_at(tensors)]


def _files(weights: Path) -> list[Path]:
    name = str(weights).removeprefix(PREFIX)
    if name == str(weights):
        return [weights_file(weights)]
    folder = _folder(name)
    config, scheduler = _one_of(folder, _CONFIG), _one_of(folder, _SCHEDULER)
    return [config, scheduler, _one_of(config.parent, _WEIGHTS)]


def noise_network_component(weights: Path) -> list[tuple[str, str, dict[str, Any]]]:
    """The registered network that the weights are of; none for a checkpoint of diffusers."""
    if str(weights).startswith(PREFIX):
        return []
    from rbench.networks.file import named_network

    return named_network(weights)


def noise_network(weights: Path) -> "nn.Module":
    """The network (x, t) -> noise, with its `signal`, `stride` and `channels`; frozen and in eval mode.

    Raises:
        InputError: there are no such weights, or they are of something else.
        MissingError: diffusers or a checkpoint is missing, or this torch cannot read a `.bin` safely.
    """
    if not str(weights).startswith(PREFIX):
        from rbench.networks.file import read_network

        return read_network(weights, "noise-prediction")
    from rbench.backbones.weights import require_safe_torch
    from rbench.networks.pretrained_unet import load_pretrained_unet

    config, scheduler, tensors = _files(weights)
    if tensors.suffix != ".safetensors":
        require_safe_torch(tensors)
    return load_pretrained_unet(config, scheduler, tensors).eval().requires_grad_(requires_grad=False)


def _folder(name: str) -> Path:
    if Path(name).is_dir():
        return Path(name)
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError
    except ImportError as error:
        remedy = "pip install 'rbench[diffusion]'"
        raise MissingError("needs diffusers", place=f"{PREFIX}{name}", remedy=remedy) from error
    try:
        return Path(snapshot_download(name, local_files_only=True))
    except HFValidationError:
        problem = "neither a folder nor OWNER/NAME of the Hugging Face hub"
        raise InputError(problem, place=f"{PREFIX}{name}") from None
    except LocalEntryNotFoundError:
        remedy = f"Download it once: hf download {name}"
        raise MissingError("not on this machine.", place=f"{PREFIX}{name}", remedy=remedy) from None


def _one_of(folder: Path, names: tuple[str, ...]) -> Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    problem = f"no checkpoint of a UNet2DModel with its scheduler: has no {' or '.join(names)}"
    raise InputError(problem, place=folder)
