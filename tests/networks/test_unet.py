import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from rbench.errors import InputError
from rbench.networks.file import read_network, write_network
from rbench.networks.schedules import LEVELS, noised, signal
from rbench.networks.unet import UNet

SMALL = {"side": 8, "channels": 1, "widths": [8, 16]}


def unet(**params):
    torch.manual_seed(0)
    return UNet(**{**SMALL, **params})


@pytest.mark.parametrize(("side", "channels"), [(28, 1), (32, 3)])
def test_the_noise_has_the_shape_of_the_images(side, channels):
    x = torch.randn(2, channels, side, side)
    assert unet(side=side, channels=channels)(x, torch.tensor([0, 999])).shape == x.shape


def test_the_network_sees_the_level():
    network, x = unet(), torch.randn(1, 1, 8, 8).expand(2, -1, -1, -1)
    low, high = network(x, torch.tensor([0, 999]))
    assert (low - high).abs().max() > 1e-3


def test_a_side_that_cannot_be_halved_is_refused():
    with pytest.raises(ValueError, match="30 pixels are no multiple of 4; give fewer widths"):
        unet(side=30, widths=[8, 8, 8])


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_the_signal_falls_from_the_image_to_noise(schedule):
    left = signal(schedule)
    assert left.shape == (LEVELS + 1,)
    assert left[0] == 1
    assert (left.diff() < 0).all()
    assert 0 < left[-1] < 1e-4


def test_the_linear_schedule_by_hand():
    """(1 - 1e-4) (1 - 1e-4 - 0.0199 / 999), and for the whole product log alpha-bar = sum of log(1 - beta)."""
    left = signal("linear")
    assert float(left[2]) == pytest.approx((1 - 1e-4) * (1 - 1e-4 - 0.0199 / 999), rel=1e-12)
    assert float(left[1000]) == pytest.approx(4.0358e-5, rel=1e-3)


def test_half_of_the_cosine_schedule_is_half_of_the_image():
    """cos(pi / 4 (1 + tiny))^2 is about 1 / 2: Nichol and Dhariwal's schedule destroys the image evenly."""
    assert float(signal("cosine")[500]) == pytest.approx(0.5, abs=0.01)


def test_noise_at_a_level_has_the_mean_and_the_variance_of_equation_4():
    draws = torch.randn(200_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = noised(torch.tensor(0.7, dtype=torch.float64), 0.36, draws)
    assert float(found.mean()) == pytest.approx(0.6 * 0.7, abs=4 * (0.64 / 200_000) ** 0.5)
    assert float(found.var()) == pytest.approx(0.64, rel=0.02)


def test_half_precision_halves_the_file_and_comes_back_to_three_digits(tmp_path):
    network = unet()
    for half in (False, True):
        write_network(
            tmp_path / f"{half}.safetensors",
            network,
            name="unet",
            params=SMALL,
            objective="noise-prediction",
            half=half,
        )
    whole, small = (tmp_path / f"{half}.safetensors" for half in (False, True))
    assert {t.dtype for t in load_file(small).values()} == {torch.float16}
    assert small.stat().st_size < 0.65 * whole.stat().st_size
    again = read_network(small, "noise-prediction")
    for name, value in network.state_dict().items():
        assert again.state_dict()[name].dtype == torch.float32
        assert torch.allclose(again.state_dict()[name], value, rtol=1e-3, atol=1e-7)


def test_the_schedule_comes_back_with_the_weights(tmp_path):
    path, params = tmp_path / "cosine.safetensors", {**SMALL, "schedule": "cosine"}
    write_network(path, UNet(**params), name="unet", params=params, objective="noise-prediction")
    assert torch.equal(read_network(path, "noise-prediction").signal, signal("cosine"))
    with safe_open(path, framework="numpy") as file:
        assert json.loads(file.metadata()["purifier"])["params"]["schedule"] == "cosine"
    with pytest.raises(InputError, match="trained with the objective 'noise-prediction', not 'reconstruction'"):
        read_network(path, "reconstruction")


def test_a_network_of_patches_sees_every_pixel_and_answers_for_every_pixel():
    network, x = unet(patch=2), torch.randn(1, 1, 8, 8, requires_grad=True)
    noise = network(x, torch.tensor([500]))
    assert noise.shape == x.shape
    assert network.stride == 4
    noise.square().sum().backward()
    assert (x.grad != 0).all()
    assert sum(p.numel() for p in network.parameters()) > sum(p.numel() for p in unet().parameters())
