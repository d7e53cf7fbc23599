"""What rbench relies on in the diffusers library, found by trying."""

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, UNet2DModel

from rbench.networks.schedules import signal
from rbench.purifiers.samplers import Move, ddim, ddpm


def unet(side):
    torch.manual_seed(0)
    return UNet2DModel(
        sample_size=side,
        in_channels=1,
        out_channels=1,
        block_out_channels=(8, 16, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D",) * 3,
        up_block_types=("UpBlock2D",) * 3,
        norm_num_groups=4,
    )


@pytest.mark.parametrize("side", [28, 32])
def test_three_resolutions_take_28_pixels_without_padding(side):
    assert unet(side)(torch.rand(2, 1, side, side), torch.tensor([3, 500])).sample.shape == (2, 1, side, side)


@pytest.mark.parametrize("side", [27, 30])
def test_a_side_that_cannot_be_halved_twice_breaks(side):
    with pytest.raises(RuntimeError, match="Sizes of tensors must match"):
        unet(side)(torch.rand(1, 1, side, side), torch.tensor([3]))


def test_an_image_does_not_see_the_others_of_its_batch():
    network, x = unet(28).double(), torch.rand(3, 1, 28, 28, dtype=torch.float64)
    t = torch.tensor([3, 500, 999])
    alone = network(x[1:2], t[1:2]).sample
    assert torch.allclose(network(x, t).sample[1:2], alone, atol=1e-12)


def test_the_schedulers_alphas_are_those_of_the_paper():
    """Ho et al. 2020, section 4: beta from 1e-4 to 0.02 in 1,000 steps; index k is the paper's t = k + 1."""
    found = DDPMScheduler().alphas_cumprod
    assert torch.allclose(found.double(), signal("linear")[1:], rtol=1e-4)
    assert float(found[0]) == pytest.approx(1 - 1e-4, abs=1e-7)


@pytest.mark.parametrize("schedule", [("linear", "linear"), ("cosine", "squaredcos_cap_v2")])
def test_both_schedules_are_those_of_the_library(schedule):
    ours, theirs = schedule
    found = DDPMScheduler(beta_schedule=theirs).alphas_cumprod.double()
    assert torch.allclose(found, signal(ours)[1:], rtol=2e-3, atol=1e-7)


def steps(kind, t, jump, **params):
    """Our move and the library's step of the same images, noise and levels; their index is our level less one."""
    levels = signal("linear").tolist()
    x, noise = torch.randn(2, 2, 1, 4, 4, generator=torch.Generator().manual_seed(t))
    scheduler = kind(clip_sample=False, **params)
    scheduler.set_timesteps(1000 // jump)
    low = max(t + 1 - jump, 0)
    move = Move(t + 1, low, levels[t + 1], levels[low])
    return move, x, noise, scheduler


@pytest.mark.parametrize("t", [900, 500, 100, 0])
def test_the_librarys_ddim_step_is_equation_12_and_so_is_ours(t):
    move, x, noise, scheduler = steps(DDIMScheduler, t, 100)
    theirs = scheduler.step(noise, t, x, eta=0.0).prev_sample
    image = (x - (1 - move.before) ** 0.5 * noise) / move.before**0.5
    assert torch.allclose(theirs, move.after**0.5 * image + (1 - move.after) ** 0.5 * noise, rtol=1e-3, atol=1e-4)
    assert torch.allclose(theirs, ddim(lambda x, t: noise, x, move), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("jump", [1, 20])
@pytest.mark.parametrize("t", [980, 500, 20])
def test_our_ancestral_step_is_the_librarys_with_the_small_variance(t, jump):
    move, x, noise, scheduler = steps(DDPMScheduler, t, jump, variance_type="fixed_small")
    theirs = scheduler.step(noise, t, x, generator=torch.Generator().manual_seed(9)).prev_sample
    draw = torch.randn(x.shape, generator=torch.Generator().manual_seed(9))
    assert torch.allclose(theirs, ddpm(lambda x, t: noise, x, move, draw), rtol=1e-3, atol=2e-4)
