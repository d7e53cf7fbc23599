"""Defences whose right verdict is known beforehand, most of them broken on purpose (docs/judging.md section 5).

A judge that reports anything else about one of these is wrong. All are plain modules, as a plug-in author would
write them: those that draw take rbench's per-sample `noise`, those that must not be trusted do what they should not.
"""

import time
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from rbench.purifiers.gaussian_noise import GaussianNoise

BITS, CELL = 4, 2
"""A label is written in black and white squares of 2x2 pixels, so up to 16 classes."""


class Problem(NamedTuple):
    """Images [N, C, H, W] in [0, 1] and their labels [N]."""

    x: Tensor
    y: Tensor


class LinearProblem(NamedTuple):
    """A linear classifier, images that it gets right, and how far [N] each is from the nearest wrong answer."""

    model: nn.Module
    x: Tensor
    y: Tensor
    distance: Tensor


# --- null defence: its answer does not depend on the perturbation -------------------------------------------------


def null_problem(n: int, *, classes: int = 10, seed: int = 0) -> Problem:
    """Grey 8x8 images of texture whose top left corner spells their label in 2x2 squares of 0 and 1.

    To change one bit an attacker must move the mean of a square across 1/2: Linf 0.5, L2 1.0, L1 2.0. So at every
    smaller radius, 8/255 among them, no perturbation changes what the null defence reads.
    """
    generator = torch.Generator("cpu").manual_seed(seed)
    x = torch.randint(64, 192, (n, 1, 8, 8), generator=generator, device="cpu") / 255
    y = torch.arange(n, device="cpu") % classes
    return Problem(_write(x, y), y)


def _write(x: Tensor, label: Tensor) -> Tensor:
    """The images with other labels in their corner."""
    bits = (label[:, None] >> torch.arange(BITS, device=x.device)) & 1
    corner = bits.to(x.dtype).repeat_interleave(CELL, 1)[:, None, None, :].expand(-1, x.shape[1], CELL, -1)
    top = torch.cat([corner, x[:, :, :CELL, BITS * CELL :]], dim=3)
    return torch.cat([top, x[:, :, CELL:]], dim=2)


def _read(x: Tensor) -> Tensor:
    """The label [B] in the corner."""
    squares = x[:, :, :CELL, : BITS * CELL].reshape(len(x), -1, BITS, CELL).mean((1, 3))
    label: Tensor = ((squares > 0.5).long() << torch.arange(BITS, device=x.device)).sum(1)
    return label


class NullDefence(nn.Module):
    """Reads the true label and hands on the right one with probability `right`, else any wrong one.

    With `NullBackbone` behind it the defended model is right with that probability whatever the image: the verdict is
    `right`, clean, under noise and under attack. A judge that drops a sample at its first wrong draw reports less.

    Args:
        right: probability of the right label.
        classes: number of labels.
    """

    stochastic = True

    def __init__(self, *, right: float = 0.9, classes: int = 10) -> None:
        super().__init__()
        self.right, self.classes = right, classes

    def forward(self, x: Tensor, *, noise: Any) -> Tensor:
        """The same texture, a fresh label."""
        label = _read(x)
        wrong = (label + noise.integers(1, self.classes)) % self.classes
        return _write(x, torch.where(noise.uniform() < self.right, label, wrong))


class NullBackbone(nn.Module):
    """Answers the label in the corner; the texture moves the logits a little, so that there is a gradient to follow.

    Args:
        classes: number of logits.
    """

    def __init__(self, *, classes: int = 10) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, x: Tensor) -> Tensor:
        """Logits with a gap of at least 9 between the label and the rest."""
        labels = torch.arange(self.classes, device=x.device)
        answer = 10 * (labels == _read(x)[:, None]).to(x.dtype)
        return answer + x[:, :, CELL:].mean((1, 2, 3))[:, None] * torch.cos(labels.to(x.dtype))


# --- gradients that mislead ---------------------------------------------------------------------------------------


class Shatterer(nn.Module):
    """A quantiser: no gradient through it, no protection behind it.

    Under `exact` gradients almost as robust as under a blind attack, with the flag zero-gradients; broken by BPDA.

    Args:
        levels: values that a pixel can have.
    """

    stochastic = False

    def __init__(self, *, levels: int = 8) -> None:
        super().__init__()
        self.levels = levels

    def forward(self, x: Tensor) -> Tensor:
        """The quantised images."""
        quantised: Tensor = (x * (self.levels - 1)).round() / (self.levels - 1)
        return quantised


class NoiseDefence(GaussianNoise):
    """Noise behind which a single draw points an attacker astray, and the mean over draws (EOT) does not.

    In front of `bundled:fashion-cnn` at Linf 8/255, PGD-20 leaves 34 % with one draw a step and 23 % with eight.
    """

    def __init__(self, *, sigma: float = 0.1) -> None:
        super().__init__(sigma=sigma)


class ConstantClassifier(nn.Module):
    """Always answers class 0: on images of class 0, 100 % robust with a zero gradient, and never NaN.

    Args:
        classes: number of logits.
        attached: whether the graph reaches the input (then the gradient is zero, else there is none).
    """

    def __init__(self, *, classes: int = 10, attached: bool = True) -> None:
        super().__init__()
        self.classes, self.attached = classes, attached

    def forward(self, x: Tensor) -> Tensor:
        """The same logits for every image."""
        logits = x.new_zeros(len(x), self.classes)
        logits[:, 0] = 1
        return logits + 0 * x.flatten(1).sum(1, keepdim=True) if self.attached else logits


# --- faults -------------------------------------------------------------------------------------------------------


class NanWhenAttacked(nn.Module):
    """NaN for some perturbed images, never for a clean one: the cell must fail and name exactly these samples.

    Args:
        clean: the clean images [N, C, H, W]; an image is perturbed if it is none of them to 1e-6.
        every: perturbed versions of the images 0, `every`, 2 * `every`, ... break.
    """

    stochastic = False

    def __init__(self, clean: Tensor, *, every: int = 3) -> None:
        super().__init__()
        self.register_buffer("clean", clean.flatten(1).clone())
        self.every = every

    def forward(self, x: Tensor) -> Tensor:
        """The same images, or NaN."""
        clean = self.get_buffer("clean").to(x.dtype)
        distance, nearest = torch.cdist(x.detach().flatten(1), clean, p=torch.inf).min(1)
        broken = (distance > 1e-6) & (nearest % self.every == 0)
        return torch.where(broken.view(-1, 1, 1, 1), torch.nan, x)


class WritesToItsInput(nn.Module):
    """Darkens the images it was given instead of a copy; to be refused by name.

    Args:
        hidden: write through `.data`, past autograd's version counter.
    """

    stochastic = False

    def __init__(self, *, hidden: bool = False) -> None:
        super().__init__()
        self.hidden = hidden

    def forward(self, x: Tensor) -> Tensor:
        """The same tensor, changed."""
        (x.data if self.hidden else x.detach()).mul_(0.9)
        return x


class RemembersItsInput(nn.Module):
    """Mixes in the mean of the images of the call before; to be refused by name.

    Args:
        hidden: keep it in a plain attribute, which no state_dict shows, instead of a buffer.
    """

    stochastic = False

    def __init__(self, *, hidden: bool = False) -> None:
        super().__init__()
        self.hidden = hidden
        self.register_buffer("last", torch.zeros((), device="cpu"))
        self.memory = 0.0

    def forward(self, x: Tensor) -> Tensor:
        """The images, drawn towards the last ones."""
        before: Any = self.memory if self.hidden else self.get_buffer("last").clone()
        if self.hidden:
            self.memory = float(x.detach().mean())
        else:
            self.get_buffer("last").copy_(x.detach().mean())
        mixed: Tensor = 0.9 * x + 0.1 * before
        return mixed


class ClockSeeded(nn.Module):
    """Noise from a private generator seeded by the clock: random, undeclared, and not reproducible.

    Args:
        sigma: standard deviation of the noise.
    """

    stochastic = False

    def __init__(self, *, sigma: float = 0.1) -> None:
        super().__init__()
        self.sigma = sigma

    def forward(self, x: Tensor) -> Tensor:
        """The noisy images."""
        generator = torch.Generator("cpu").manual_seed(time.time_ns())
        noise = torch.randn(x.shape, generator=generator, device="cpu").to(x.device, x.dtype)
        return (x + self.sigma * noise).clamp(0, 1)


def in_train_mode(*, channels: int = 1, classes: int = 10, seed: int = 0) -> nn.Module:
    """A backbone with batch norm, handed over in train mode, whose running mean is far from that of any batch.

    To be put in eval mode; its buffers stay as they are and the verdict is that of the same module after `.eval()`.
    """
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.manual_seed(seed)
        norm = nn.BatchNorm2d(channels)
        norm.running_mean = torch.full((channels,), 0.3)
        norm.running_var = torch.full((channels,), 0.02)
        head = nn.Conv2d(channels, classes, 3, padding=1)
        return nn.Sequential(norm, head, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).train()


# --- an optimum in closed form ------------------------------------------------------------------------------------


def linear_problem(
    batch: int, norm: str, *, classes: int = 2, shape: tuple[int, int, int] = (3, 4, 4), seed: int = 0
) -> LinearProblem:
    """A linear classifier with the exact distance of each image to the decision boundary.

    The distance is min over j != y of (f_y - f_j) / ||w_y - w_j||, in the dual norm, in float64. Images stay so far
    inside [0, 1] that the box does not bind within twice the distance.

    Args:
        batch: number of images.
        norm: `Linf`, `L2` or `L1`.
        classes: number of logits.
        shape: of the images.
        seed: of the weights and images.
    """
    generator = torch.Generator("cpu").manual_seed(seed)
    size = shape[0] * shape[1] * shape[2]
    weight = torch.randn(classes, size, generator=generator, device="cpu").double()
    y = torch.randint(classes, (batch,), generator=generator, device="cpu")
    direction = weight[y] - (weight.sum(0) - weight[y]) / (classes - 1)
    direction = direction.sign() + torch.randn(batch, size, generator=generator, device="cpu").double() / 4
    with torch.device("cpu"):
        layer = nn.Linear(size, classes)
    layer.weight.data, layer.bias.data = weight.float(), -weight.float().sum(1) / 2  # all logits 0 at grey 1/2
    model = nn.Sequential(nn.Flatten(), layer).eval().requires_grad_(requires_grad=False)

    def distance_of(x: Tensor) -> Tensor:
        logits = x.double() @ layer.weight.double().T + layer.bias.double()
        own, rows = layer.weight.double()[y], torch.arange(batch, device="cpu")
        order = {"Linf": 1.0, "L2": 2.0, "L1": torch.inf}[norm]
        lengths = torch.linalg.vector_norm(own[:, None] - layer.weight.double(), order, dim=2)
        distances = (logits[rows, y][:, None] - logits) / lengths
        distances[rows, y] = torch.inf
        nearest: Tensor = distances.min(1).values
        return nearest

    offset = direction / direction.abs().amax(1, keepdim=True)
    wanted = (
        torch.linspace(0.5, 1, batch, dtype=torch.float64, device="cpu") * {"Linf": 0.04, "L2": 0.15, "L1": 0.1}[norm]
    )
    scale = wanted / distance_of(0.5 + offset)
    x = (0.5 + scale[:, None] * offset).float()
    distance = distance_of(x)
    room = 0.5 - (x - 0.5).abs().amax(1).double()
    assert bool((room > 2 * distance).all()), "the box would bind"
    return LinearProblem(model, x.view(batch, *shape), y, distance.float())
