"""Any `UNet2DModel` of diffusers with the config of its scheduler, as a network that predicts the noise."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rbench.backbones.weights import read
from rbench.errors import InputError, MissingError

PREDICTIONS = ("epsilon", "v_prediction", "sample")
"""What a network may predict: the noise, the velocity (Salimans and Ho 2022, arXiv 2202.00512), or the image."""


class PretrainedUNet(nn.Module):
    """Noisy images and their levels to the noise in them.

    Args:
        core: a `UNet2DModel`; the second half of its channels, a learned variance, is left out if there is one.
        signal: [T + 1] float64, alpha-bar of every level from 0.
        prediction: what the network predicts, one of `PREDICTIONS`.
    """

    signal: Tensor

    def __init__(self, core: nn.Module, signal: Tensor, prediction: str) -> None:
        super().__init__()
        config: Any = core.config
        self.core, self.prediction = core, prediction
        self.channels: int = config.in_channels
        self.stride = 2 ** (len(config.block_out_channels) - 1)
        self.register_buffer("signal", signal, persistent=False)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """The noise [B, C, H, W] in images whose levels, counted from 0, are t [B]."""
        output: Tensor = self.core(x, t, return_dict=False)[0][:, : self.channels]
        if self.prediction == "epsilon":
            return output
        left = self.signal[t + 1].to(x.dtype).view(-1, 1, 1, 1)
        if self.prediction == "sample":
            return (x - left.sqrt() * output) / (1 - left).sqrt()
        return left.sqrt() * output + (1 - left).sqrt() * x


def load_pretrained_unet(config: Path, scheduler: Path, weights: Path) -> PretrainedUNet:
    """The network of a checkpoint on this machine.

    Args:
        config: config.json of the UNet2DModel.
        scheduler: scheduler_config.json.
        weights: beside the config; a `.bin` is read as tensors alone (torch's `weights_only`).

    Raises:
        InputError: it is no such checkpoint.
        MissingError: diffusers is not installed.
    """
    try:
        from diffusers.models.unets.unet_2d import UNet2DModel
        from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
    except ImportError as error:
        raise MissingError("needs diffusers", place=config.parent, remedy="pip install 'rbench[diffusion]'") from error
    read(weights)  # by rules of ours, before diffusers reads it by its own
    network, steps = _read(config), _read(scheduler)
    if network.get("_class_name") != "UNet2DModel":
        raise InputError("only a UNet2DModel will do", place=config, found=repr(network.get("_class_name")))
    if network.get("class_embed_type") is not None or network.get("num_class_embeds") is not None:
        raise InputError("asks for a class; a purifier knows none", place=config)
    prediction = steps.get("prediction_type", "epsilon")
    if "beta_schedule" not in steps or prediction not in PREDICTIONS:
        found = f"{steps.get('_class_name')!r} with prediction_type {prediction!r}"
        problem = f"needs a beta_schedule and one of {', '.join(PREDICTIONS)}"
        raise InputError(problem, place=scheduler, found=found)
    betas = DDPMScheduler.from_config({**steps, "_class_name": "DDPMScheduler"}).betas
    signal = torch.cat([torch.ones(1, dtype=torch.float64), 1 - betas.double()]).cumprod(0)
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        core, told = UNet2DModel.from_pretrained(
            str(config.parent),
            local_files_only=True,
            low_cpu_mem_usage=False,
            torch_dtype=torch.float32,
            use_safetensors=weights.suffix == ".safetensors",
            output_loading_info=True,
        )
    if wrong := {kind: list(names) for kind, names in told.items() if names}:  # diffusers would go on with what it drew
        kind, names = next(iter(wrong.items()))
        shown = ", ".join(str(name)[:80] for name in names[:5])
        raise InputError(f"does not fit its config; {kind.replace('_', ' ')}: {shown}", place=weights)
    return PretrainedUNet(core, signal, prediction)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise InputError(f"no JSON ({error})", place=path) from None
    if not isinstance(content, dict):
        raise InputError("expected a JSON map", place=path, found=type(content).__name__)
    return content
