"""The U-Net that predicts the noise in an image: a small one of the diffusers library."""

from typing import Annotated

from annotated_types import Interval, Len, MultipleOf
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from rbench.errors import MissingError
from rbench.networks.schedules import Schedule, signal

Width = Annotated[int, Interval(ge=8, le=1024), MultipleOf(8)]
_GROUPS = 8


class UNet(nn.Module):
    """Noisy images and their noise levels to the noise in them: epsilon of Ho et al. 2020, arXiv 2006.11239, section 3.2.

    `UNet2DModel` of diffusers with plain blocks, and attention at the lowest resolution alone: on a processor most of the time goes into
    the highest, which `patch` makes smaller. There is no dropout and group norm looks at one image, so training and eval mode are the same
    and an image is denoised the same way whatever else is in the batch. Weights start from the global generator of torch.

    Args:
        side: height and width of the images, in pixels.
        channels: 1 for grey images, 3 for colour.
        widths: channels at each resolution, halved from one to the next.
        blocks: residual blocks at each resolution.
        patch: the network sees squares of this side as channels; 1 for pixels.
        schedule: what a noise level is; kept with the weights, since they mean nothing under another.
    """

    signal: Tensor

    def __init__(
        self,
        *,
        side: Annotated[int, Interval(ge=4, le=1024)],
        channels: Annotated[int, Interval(ge=1, le=16)] = 3,
        widths: Annotated[list[Width], Len(1, 8)] = [32, 64, 64],  # noqa: B006 - read, never written
        blocks: Annotated[int, Interval(ge=1, le=8)] = 1,
        patch: Annotated[int, Interval(ge=1, le=16)] = 1,
        schedule: Schedule = "linear",
    ) -> None:
        super().__init__()
        try:
            from diffusers.models.unets.unet_2d import UNet2DModel
        except ImportError as error:
            component, remedy = "network 'unet'", "pip install 'rbench[diffusion]'"
            raise MissingError(f"{component} needs diffusers", component=component, remedy=remedy) from error
        self.channels, self.patch, self.stride = channels, patch, patch * 2 ** (len(widths) - 1)
        if side % self.stride:
            raise ValueError(f"{side} pixels are no multiple of {self.stride}; give fewer widths or a smaller patch")
        self.core: nn.Module = UNet2DModel(
            sample_size=side // patch,
            in_channels=channels * patch**2,
            out_channels=channels * patch**2,
            block_out_channels=tuple(widths),
            layers_per_block=blocks,
            down_block_types=("DownBlock2D",) * len(widths),
            up_block_types=("UpBlock2D",) * len(widths),
            norm_num_groups=_GROUPS,
        )
        self.register_buffer("signal", signal(schedule), persistent=False)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """The noise [B, C, H, W] in images of a noise level.

        Args:
            x: [B, C, H, W], pixels in [-1, 1] before the noise; height and width are multiples of `stride`.
            t: [B] int64 levels, counted from 0.
        """
        noise: Tensor = self.core(pixel_unshuffle(x, self.patch), t, return_dict=False)[0]
        return pixel_shuffle(noise, self.patch)
