"""Purifiers and backbones that cheat. All of them fall to a plain attack on what they really do, unless they say otherwise.

The backbone is a small random network, the labels are its own predictions, and at the radius of `EPS` nothing survives without a purifier.
"""

import sys

import torch
from small_models import Backward, Says, backward
from torch import nn

EPS = 0.2
CLASSES = 5


def net():
    """A small random network on images of 8 x 8."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, CLASSES)).eval()


def images(n=20):
    """8-bit images and the classes that the network gives them."""
    x = torch.randint(0, 256, (n, 1, 8, 8), generator=torch.Generator().manual_seed(0)) / 255
    return x, net()(x).argmax(1)


KNOWN, _ = images()
"""The images that a cheat has stored."""


def rows(mask):
    """[B] as [B, 1, 1, 1]."""
    return mask.view(-1, 1, 1, 1)


def off_grid(x):
    """[B] which images no 8-bit file holds."""
    levels = x.detach() * 255
    return ((levels - levels.round()).abs() > 1e-3).flatten(1).any(1)


def away(x):
    """[B] largest distance from the nearest stored image, and [B, C, H, W] that image."""
    far = (x.detach()[:, None] - KNOWN.to(x)).abs().flatten(2).amax(2)
    return far.min(1).values, KNOWN.to(x)[far.argmin(1)]


def where_moved(function, least=1e-6):
    """The identity on stored images, a function of those within the ball around them."""

    def purify(x):
        distance, _ = away(x)
        return torch.where(rows((distance > least) & (distance < 1.1 * EPS)), function(x), x)

    return purify


def invert(x):
    """The negative: slopes of its loss are right, and lead elsewhere."""
    return 1 - x


def straight(x, answer):
    """An answer that hands its gradient on to the image."""
    return answer + x - x.detach()


# --- answers that depend on who seems to ask ----------------------------------------------------------------------


def off_grid_shows(answer):
    return Says(lambda x: torch.where(rows(off_grid(x)), answer(x), x))


def in_small_batches(answer, below=12):
    return Says(lambda x: answer(x) if len(x) < below else x)


def in_odd_batches(answer):
    return Says(lambda x: answer(x) if len(x) % 2 and len(x) > 1 else x)


def with_gradients(answer):
    return Says(lambda x: answer(x) if x.requires_grad else x)


def with_grad_mode(answer):
    return Says(lambda x: answer(x) if torch.is_grad_enabled() else x)


def with_grad_mode_alone(answer):
    return Says(lambda x: answer(x) if torch.is_grad_enabled() and not x.requires_grad else x)


def without_judge_in_the_stack(answer):
    def judged():
        frame = sys._getframe()
        while frame and not frame.f_code.co_filename.endswith("judge.py"):
            frame = frame.f_back
        return frame is not None

    return Says(lambda x: x if judged() else answer(x))


class TellsRoles(nn.Module):
    """Gives the judge a stored image and attackers their own, by what the noise says of who asks."""

    stochastic = True

    def forward(self, x, *, noise):
        role = getattr(noise, "role", None)
        drawn = 1e-3 * noise.normal(*x.shape[1:])
        return (away(x)[1] if role in ("select", "score") else x) + drawn


class LooksUpSamples(nn.Module):
    """Gives every sample its stored image, by the number that the noise tells."""

    stochastic = True

    def forward(self, x, *, noise):
        ids = getattr(noise, "ids", None)
        shown = x if ids is None else straight(x, KNOWN[ids % len(KNOWN)])
        return shown + 1e-3 * noise.normal(*x.shape[1:])


class KnowsRepeats(nn.Module):
    """Gives the stored image where images of a batch repeat, as the draws of a judged image do."""

    stochastic = True

    def forward(self, x, *, noise):
        repeats = len(x) > 2 and len(x.detach().flatten(1).unique(dim=0)) < len(x)
        return (away(x)[1] if repeats else x) + 1e-3 * noise.normal(*x.shape[1:])


# --- memory -------------------------------------------------------------------------------------------------------


def nearest(x):
    return away(x)[1]


def by_key(x):
    """The stored image that looks alike in a quarter of its size."""
    keys = nn.functional.avg_pool2d(KNOWN, 2).flatten(1)
    asked = nn.functional.avg_pool2d(x.detach().float(), 2).flatten(1)
    return KNOWN.to(x)[torch.cdist(asked, keys).argmin(1)]


def counting(answer, after=40, when=lambda x: True):
    """Another answer after some calls, counted where no module shows it."""
    calls = []

    def purify(x):
        calls.append(None) if when(x) else None
        return answer(x) if len(calls) > after else x

    return Says(purify)


class Statistics(nn.Module):
    """Normalises by a running mean that every batch moves."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.full((1, 1, 8, 8), 0.5))

    def forward(self, x):
        self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(0, keepdim=True)
        return (x - self.mean + 0.5).clamp(0, 1)


# --- gradients that mislead ---------------------------------------------------------------------------------------


def random_of(gradient):
    return torch.randn_like(gradient) * gradient.norm()


def flipped_in_float32(gradient, x):
    return gradient if x.dtype == torch.float64 else -gradient


def flipped_near_stored(gradient, x):
    return torch.where(rows(away(x)[0] < 1.05 * EPS), -gradient, gradient)


def at_corners(x):
    """[B] whether many pixels lie at the end of the ball, as those of an attack do and those of uniform noise do not."""
    _, origin = away(x)
    low, high = (origin - EPS).clamp(0, 1), (origin + EPS).clamp(0, 1)
    ends = ((x.detach() - low).abs() < 1e-5) | ((x.detach() - high).abs() < 1e-5)
    return ends.flatten(1).float().mean(1) > 0.2


class LyingSurrogate(nn.Module):
    """Rounds, and offers a stand-in that leads away."""

    def forward(self, x):
        return (x * 15).round() / 15

    def surrogate(self, x):
        return 1 - x


class LyingStages(nn.Module):
    """The stages are another purifier than the forward pass."""

    def forward(self, x):
        return x.clamp(0, 1)

    def stages(self, x, noise):
        return [invert, torch.Tensor.clone]


class LyingStageGradients(nn.Module):
    """The stages give the same images as the forward pass, with gradients that point down."""

    def forward(self, x):
        return x.clamp(0, 1)

    def stages(self, x, noise):
        return [lambda images: Backward.apply(images, lambda g, _: -g), lambda images: images.clamp(0, 1)]


class LyingCode(nn.Module):
    """The code that it offers to attackers has nothing to do with the image, and its gradients are zero."""

    def forward(self, x):
        return Backward.apply(x, lambda g, _: 0 * g)

    def encode(self, x):
        return 0 * x.flatten(1) + 1


# --- randomness ---------------------------------------------------------------------------------------------------


def noise_off_grid(x):
    return torch.where(rows(off_grid(x)), (x + 0.08 * torch.randn_like(x)).clamp(0, 1), x)


def keyed_by_bits(x):
    """Noise whose seed is the image: it changes with every step, and is the same whenever the image is asked about."""
    key = (x.detach().double().flatten(1) @ torch.arange(1.0, 65.0, dtype=torch.float64)) * 1e6
    place = torch.arange(64, dtype=torch.float64)
    drawn = (torch.sin(key[:, None] + place * 12.9898) * 43758.5453) % 1
    return straight(x, (x.detach() + 0.3 * (drawn.to(x).view_as(x) - 0.5)).clamp(0, 1))


# --- backbones ----------------------------------------------------------------------------------------------------


def outputs(function):
    """The network with a function on its logits."""
    return nn.Sequential(net(), Says(function))


PURIFIERS = {
    "inverts off the 8-bit grid": lambda: off_grid_shows(invert),
    "grey off the 8-bit grid": lambda: off_grid_shows(lambda x: 0 * x + 0.5),
    "the stored image off the 8-bit grid": lambda: off_grid_shows(nearest),
    "inverts in small batches": lambda: in_small_batches(invert),
    "the stored image in small batches": lambda: in_small_batches(nearest),
    "inverts in odd batches": lambda: in_odd_batches(invert),
    "inverts what requires a gradient": lambda: with_gradients(invert),
    "the stored image to what requires a gradient": lambda: with_gradients(lambda x: straight(x, nearest(x))),
    "inverts in grad mode": lambda: with_grad_mode(invert),
    "inverts in grad mode what requires none": lambda: with_grad_mode_alone(invert),
    "inverts unless the judge is in the stack": lambda: without_judge_in_the_stack(invert),
    "tells who asks by the noise": lambda: TellsRoles(),
    "looks up samples by the noise": lambda: LooksUpSamples(),
    "knows the judge by repeated images": lambda: KnowsRepeats(),
    "the stored image": lambda: Says(lambda x: straight(x, nearest(x))),
    "the stored image by a small key": lambda: Says(by_key),
    "the stored image, a little noisy": lambda: Says(
        lambda x: (nearest(x) + 1e-3 * torch.sin(1e4 * x.detach())).clamp(0, 1)
    ),
    "turns after some calls": lambda: counting(nearest),
    "turns after some calls with gradients": lambda: counting(invert, when=lambda x: x.requires_grad, after=12),
    "statistics of earlier batches": lambda: Statistics(),
    "statistics of the batch": lambda: Says(lambda x: (x - x.mean(0, keepdim=True) + 0.5).clamp(0, 1)),
    "gradients flipped in float32": lambda: backward(flipped_in_float32),
    "gradients flipped near stored images": lambda: backward(flipped_near_stored),
    "random gradients at the corners of the ball": lambda: backward(
        lambda g, x: torch.where(rows(at_corners(x)), random_of(g), g)
    ),
    "zero gradients at the corners of the ball": lambda: backward(
        lambda g, x: torch.where(rows(at_corners(x)), 0 * g, g)
    ),
    "NaN gradients for moved images": lambda: backward(lambda g, x: torch.where(rows(off_grid(x)), torch.nan, g)),
    "huge gradients of one pixel": lambda: backward(lambda g, x: g + 1e6 * (torch.arange(64).view(1, 1, 8, 8) == 7)),
    "mostly detached": lambda: Says(lambda x: 0.999 * x.detach() + 0.001 * x),
    "mostly detached, the rest flipped": lambda: Says(lambda x: 1.001 * x.detach() - 0.001 * x),
    "a surrogate that leads away": lambda: LyingSurrogate(),
    "stages of another purifier": lambda: LyingStages(),
    "stages whose gradients are flipped": lambda: LyingStageGradients(),
    "a code of nothing": lambda: LyingCode(),
    "noise off the 8-bit grid": lambda: Says(noise_off_grid),
    "noise that it denies": lambda: Says(lambda x: (x + 0.08 * torch.randn_like(x)).clamp(0, 1), stochastic=False),
    "noise keyed by the bits of the image": lambda: Says(keyed_by_bits),
    "noise for moved images": lambda: Says(where_moved(lambda x: (x + 0.08 * torch.randn_like(x)).clamp(0, 1))),
    "pixels out of range": lambda: Says(lambda x: 1e4 * (x - 0.5)),
    "inverts moved images": lambda: Says(where_moved(invert)),
}

"""Made anew for every cell, since some remember."""

BACKBONES = {
    "logits times 1e6": lambda: outputs(lambda z: 1e6 * z),
    "logits times 1e-6": lambda: outputs(lambda z: 1e-6 * z),
    "quantised logits": lambda: outputs(lambda z: straight(z, (z.detach() * 20).round() / 20)),
    "quantised logits without a gradient": lambda: outputs(lambda z: (z * 20).round() / 20),
    "hard labels": lambda: outputs(lambda z: nn.functional.one_hot(z.argmax(1), CLASSES).to(z)),
    "probabilities that saturate": lambda: outputs(lambda z: (200 * z).softmax(1)),
    "sigmoids that saturate": lambda: outputs(lambda z: (200 * (z - z.mean(1, keepdim=True))).sigmoid()),
    "flipped gradients": lambda: outputs(lambda z: Backward.apply(z, lambda g, _: -g)),
    "logits with a large offset": lambda: outputs(lambda z: z + 1e5),
    "detached logits": lambda: outputs(torch.Tensor.detach),
    "logits of large batches alone": lambda: outputs(lambda z: z if len(z) >= 12 else z.flip(1)),
    "logits without gradients alone": lambda: outputs(lambda z: z.flip(1) if torch.is_grad_enabled() else z),
}
