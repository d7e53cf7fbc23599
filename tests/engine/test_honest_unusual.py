"""Honest models that are unusual raise no flag that they do not deserve, and a lie in the precision that attacks run in is found."""

import numpy as np
import pytest
import torch
from small_models import Says
from torch import nn

import rbench
from rbench.engine.audits import Audits
from rbench.engine.defended import DefendedModel
from rbench.purifiers.identity import Identity
from rbench.threat.ball import Ball
from rbench.threat.batch import Batch
from rbench.threat.noise import Noise


def net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 5)).eval()


def images(n=8):
    x = torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    return x, net()(x).argmax(1)


def judged(purifier, backbone=None, **options):
    x, y = images()
    return rbench.evaluate(
        backbone or net(), x, y, purifier=purifier, eps=0.05, **{"attack": "pgd", "steps": 2, **options}
    )


def raised(found):
    """The flags but the one that says of a row that gradients alone are not enough here, which is true and no doubt about the purifier."""
    return found.flag_names - {"provisional"}


def gradients(purifier, backbone=None):
    x, y = images()
    model = DefendedModel(purifier, backbone or net())
    return Audits().of(model, None, Batch(x, y, torch.arange(len(x))), Noise(0), Ball("Linf", 0.05), 8).gradients


class Deep(nn.Module):
    """A residual network of many layers."""

    def __init__(self, depth, *, norm=False):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(1)
            self.first = nn.Conv2d(1, 8, 3, padding=1)
            self.blocks = nn.ModuleList(
                nn.Sequential(
                    nn.BatchNorm2d(8) if norm else nn.Identity(),
                    nn.Conv2d(8, 8, 3, padding=1),
                    nn.ReLU(),
                    nn.Conv2d(8, 8, 3, padding=1),
                )
                for _ in range(depth)
            )
            self.last = nn.Linear(8 * 64, 5)

    def forward(self, x):
        x = self.first(x)
        for block in self.blocks:
            x = x + block(x)
        return self.last(x.flatten(1))


class Codebook(nn.Module):
    """Every patch of 2x2 pixels becomes the nearest of sixteen."""

    def __init__(self):
        super().__init__()
        self.register_buffer("codes", torch.rand(16, 4, generator=torch.Generator().manual_seed(2)))

    def forward(self, x):
        patches = nn.functional.unfold(x, 2, stride=2).transpose(1, 2)
        nearest = torch.cdist(patches, self.codes.expand(len(x), -1, -1).to(x)).argmin(-1)
        return nn.functional.fold(self.codes.to(x)[nearest].transpose(1, 2), x.shape[2:], 2, stride=2)


def blurred(x):
    return nn.functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


ORDINARY = {"few-samples"}
HONEST = {
    "bit depth": lambda x: (x * 15).round() / 15,
    "not contiguous": lambda x: blurred(x).transpose(2, 3).contiguous().transpose(2, 3),
    "an expanded view": lambda x: x.mean(3, keepdim=True).expand(-1, -1, -1, 8),
    "float64 inside": lambda x: blurred(x.double()).float(),
    "float64 returned": lambda x: blurred(x.double()),
    "float32 inside, whatever comes": lambda x: blurred(x.float()).to(x.dtype),
}


@pytest.mark.parametrize("function", HONEST.values(), ids=HONEST)
def test_an_honest_purifier_raises_no_flag(function):
    assert raised(judged(Says(function))) == ORDINARY


def test_a_codebook_raises_no_flag():
    found = judged(Codebook())
    assert found.gradient == "bpda"
    assert raised(found) == ORDINARY


@pytest.mark.parametrize("backbone", [Deep(50), Deep(150), Deep(50, norm=True)], ids=["deep", "deeper", "normalised"])
@pytest.mark.parametrize("purifier", [Identity(), Says(blurred)], ids=["identity", "blur"])
def test_a_very_deep_network_agrees_in_both_precisions(purifier, backbone):
    found = gradients(purifier, backbone)
    assert found.slope_error < 0.01


def test_a_backbone_of_float64_logits_raises_no_flag():
    assert judged(Identity(), nn.Sequential(net(), Says(torch.Tensor.double))).flag_names == ORDINARY


@pytest.mark.parametrize("narrow", [torch.float16, torch.bfloat16])
def test_sixteen_bits_inside_are_low_precision_and_no_lie(narrow):
    cast = Says(lambda x: blurred(x).to(narrow).to(x.dtype))
    assert gradients(cast).low_precision == str(narrow).removeprefix("torch.")
    assert judged(cast, gradient="exact").flag_names == ORDINARY | {"low-precision"}
    layers = nn.Sequential(Says(lambda x: x.to(narrow)), net().to(narrow), Says(torch.Tensor.float))
    assert judged(Identity(), layers, gradient="exact").flag_names == ORDINARY | {"low-precision"}


def test_autocast_inside_is_low_precision_and_no_lie():
    class Autocast(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = net()

        def forward(self, x):
            with torch.autocast("cpu", torch.bfloat16):
                return self.inner(x).float()

    assert judged(Identity(), Autocast(), gradient="exact").flag_names == ORDINARY | {"low-precision"}


def test_full_precision_is_not_low():
    assert gradients(Identity()).low_precision is None
    assert gradients(Says(lambda x: blurred(x.double()).float())).low_precision is None


class Backward(torch.autograd.Function):
    """A function with the gradient of another."""

    @staticmethod
    def forward(ctx, x, function, backward):
        ctx.backward_of = backward
        return function(x)

    @staticmethod
    def backward(ctx, gradient):
        return ctx.backward_of(gradient), None, None


def random_in_float32(gradient):
    return gradient if gradient.dtype == torch.float64 else torch.randn_like(gradient) * gradient.norm()


LIES = {
    "a slope right in float64 and random in float32": lambda x: Backward.apply(x, torch.clone, random_in_float32),
    "rounding in float32 behind a straight gradient": lambda x: Backward.apply(
        x, lambda x: x.clone() if x.dtype == torch.float64 else (x * 4).round() / 4, torch.clone
    ),
    "a negative gradient in 16 bits": lambda x: Backward.apply(x.half().to(x.dtype), torch.clone, torch.neg),
    "a negative gradient where float64 is refused": lambda x: Backward.apply(
        x.view(torch.int32).view(torch.float32)
        if not x.requires_grad
        else x + 0 * x.numpy(force=True).view("i4").sum(),
        torch.clone,
        torch.neg,
    ),
}


@pytest.mark.parametrize("function", LIES.values(), ids=LIES)
def test_a_lie_in_the_precision_of_the_attack_is_a_wrong_gradient(function):
    assert gradients(Says(function)).slope_error > 0.5
    assert "wrong-gradient" in judged(Says(function), gradient="exact").flag_names


class SingleOnly(nn.Module):
    """Takes float32 alone, as code does that was written for it."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        if x.dtype != torch.float32:
            raise TypeError("float32 alone")
        return self.function(x)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 100.0])
@pytest.mark.parametrize("depth", [0, 50])
def test_in_float32_alone_an_honest_gradient_is_right_at_any_scale_of_logits(depth, scale):
    backbone = nn.Sequential(Deep(depth) if depth else net(), Says(lambda z: scale * z))
    found = gradients(SingleOnly(blurred), backbone)
    assert found.slope_precision == "float32"
    assert found.slope_error < 0.1
    lying = gradients(SingleOnly(lambda x: Backward.apply(x, torch.clone, torch.neg)), backbone)
    assert lying.slope_error > 0.5


def test_noise_drawn_in_the_type_of_the_images_is_no_lie():
    """The draws of a generator differ between types, so the model in float64 is another one."""

    class Seeded(nn.Module):
        stochastic = True

        def forward(self, x, *, noise):
            generator = torch.Generator().manual_seed(int(noise.integers(0, 2**31)[0]))
            return x * torch.rand(x.shape, generator=generator, dtype=x.dtype)

    found = gradients(Seeded())
    assert found.slope_precision == "float32"
    assert found.slope_error < 0.1


class Lazy(nn.Module):
    """Makes its kernel when it is first called, as a plain attribute."""

    stochastic = False
    kernel = None

    def forward(self, x):
        if self.kernel is None:
            self.kernel = torch.full((1, 1, 3, 3), 1 / 9)
        return nn.functional.conv2d(x, self.kernel.to(x), padding=1)


class Attention(nn.Module):
    """Attends to rows of the image; torch takes another kernel for it where no gradient is wanted."""

    stochastic = False

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(3)
            self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)

    def forward(self, x):
        return (0.5 * x + 0.1 * self.layer(x.flatten(1, 2)).view_as(x)).clamp(0, 1)


class Recomputed(Attention):
    """Keeps no graph of its layer."""

    def forward(self, x):
        again = torch.utils.checkpoint.checkpoint(self.layer, x.flatten(1, 2), use_reentrant=False)
        return (0.5 * x + 0.1 * again.view_as(x)).clamp(0, 1)


class Drawn(nn.Module):
    """Adds noise of one of the sources that a purifier may have."""

    stochastic = True

    def __init__(self, draw):
        super().__init__()
        self.draw = draw

    def forward(self, x):
        return (x + 0.1 * self.draw(x)).clamp(0, 1)


class Keyed(nn.Module):
    """Draws by the noise that it is given: its own kernel for every image."""

    stochastic = True

    def forward(self, x, *, noise):
        share = noise.uniform(1, 1, 1).to(x)
        return share * x + (1 - share) * blurred(x)


def with_dropout():
    layer = Says(lambda x: nn.functional.dropout(x, 0.1, training=True).clamp(0, 1))
    layer.stochastic = True
    return layer


def in_place(x):
    own = x.clone()
    own[:, :, ::2] *= 0.9
    return own.clamp_(0, 1)


def tiled(x):
    return torch.cat([blurred(part) for part in x.split(4, 3)], 3)


UNUSUAL = {
    "rounds straight through": (lambda: Says(lambda x: x + ((x * 15).round() / 15 - x).detach()), {"wrong-gradient"}),
    "a kernel made at the first call": (Lazy, set()),
    "attention": (Attention, set()),
    "recomputed for the gradient": (Recomputed, set()),
    "batch norm": (lambda: nn.Sequential(nn.BatchNorm2d(1), nn.Sigmoid()).train(), set()),
    "dropout that stays on": (with_dropout, set()),
    "noise by torch": (lambda: Drawn(torch.randn_like), set()),
    "noise by numpy": (lambda: Drawn(lambda x: torch.from_numpy(np.random.standard_normal(x.shape)).to(x)), set()),  # noqa: NPY002
    "noise that it is given": (Keyed, set()),
    "in place on a copy": (lambda: Says(in_place), set()),
    "tile by tile": (lambda: Says(tiled), set()),
    "JPEG": (lambda: rbench.load("purifier", "jpeg", quality=50), set()),
    "as if in float16": (lambda: Says(lambda x: blurred(x.half().float())), {"low-precision"}),
}
"""Each with the flags that are true of it: a gradient handed straight through a rounding is not its slope, and half precision is low."""


@pytest.mark.parametrize("attack", ["pgd", "adaptive"])
@pytest.mark.parametrize("name", UNUSUAL)
def test_an_unusual_purifier_raises_only_flags_that_are_true_of_it(name, attack):
    make, flags = UNUSUAL[name]
    budget = {"adaptive": {"restarts": 1, "targets": 1, "queries": 20}, "pgd": {"eot": 2}}[attack]
    found = judged(make(), attack=attack, steps=2, draws=4, select_draws=8, **budget)
    assert raised(found) - ORDINARY <= flags, found.flags
    kept = found.audit["kept_promise"]
    assert kept is None or kept > 0.1
