import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cosine_similarity

from rbench.networks.autoencoder import Autoencoder
from rbench.objectives.adversarial_contrastive import adversarial_contrastive, contrastive_loss, hardest


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def test_both_forms_of_the_contrastive_loss_by_hand():
    """Three codes in the plane at 0, 90 and 180 degrees; the first is attacked by 60 degrees, the others not at all. tau = 1/2."""
    clean = torch.tensor([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0]])
    attacked = torch.tensor([[0.5, math.sqrt(0.75)], [0.0, 1.0], [-1.0, 0.0]])
    # cosines to the negatives: first 0 and -1, second 0 and 0, third 0 and -1; positives 1/2, 1 and 1
    negatives = [1 + math.exp(-2), 2, 1 + math.exp(-2)]
    positives = [math.exp(1), math.exp(2), math.exp(2)]
    paper = [-math.log(p / n) for p, n in zip(positives, negatives, strict=True)]
    infonce = [-math.log(p / (p + n)) for p, n in zip(positives, negatives, strict=True)]
    assert contrastive_loss(attacked, clean, tau=0.5, form="paper").tolist() == pytest.approx(paper, abs=1e-6)
    assert contrastive_loss(attacked, clean, tau=0.5, form="infonce").tolist() == pytest.approx(infonce, abs=1e-6)


@pytest.mark.parametrize("form", ["paper", "infonce"])
def test_the_contrastive_loss_sees_angles_and_no_lengths(form):
    clean, attacked = torch.randn(5, 7, generator=draws()), torch.randn(5, 7, generator=draws(1))
    scales = torch.tensor([[0.1], [3.0], [1.0], [20.0], [0.5]])
    found = contrastive_loss(attacked * scales, clean * scales.flip(0), tau=0.2, form=form)
    assert torch.allclose(found, contrastive_loss(attacked, clean, tau=0.2, form=form), atol=1e-5)


@pytest.mark.parametrize("form", ["paper", "infonce"])
def test_the_contrastive_loss_grows_as_the_cosine_falls(form):
    """So that minimising the cosine is the inner maximisation of both forms."""
    clean = torch.randn(6, 4, generator=draws())
    turned = torch.randn(6, 4, generator=draws(1))
    shares = torch.linspace(0, 1, 5)
    losses = torch.stack([contrastive_loss(clean + s * (turned - clean), clean, tau=0.5, form=form) for s in shares])
    cosines = torch.stack([cosine_similarity(clean + s * (turned - clean), clean) for s in shares])
    order = cosines.argsort(0, descending=True)
    assert (losses.gather(0, order).diff(dim=0) >= -1e-6).all()


def test_the_inner_maximisation_lowers_the_cosine_far_below_noise_and_stays_in_the_ball():
    torch.manual_seed(0)
    network = Autoencoder(side=28, channels=1, widths=[8, 8], latent=16)
    images = torch.rand(6, 1, 28, 28, generator=draws())
    clean = network.encode(images)
    found = hardest(network.encode, images, eps=0.1, steps=10, step_size=None, generator=draws(1))
    noisy = (images + 0.1 * (2 * torch.rand(images.shape, generator=draws(2)) - 1)).clamp(0, 1)
    attacked, jittered = (
        cosine_similarity(network.encode(found), clean),
        cosine_similarity(network.encode(noisy), clean),
    )
    assert (attacked < jittered).all()
    assert ((1 - attacked) > 3 * (1 - jittered)).all()
    assert float((found - images).abs().max()) <= 0.1 + 1e-6
    assert 0 <= float(found.min()) <= float(found.max()) <= 1
    assert not found.requires_grad


def test_the_inner_maximisation_finds_the_optimum_of_a_linear_encoder_in_the_plane():
    """encode = identity on two pixels: the smallest cosine in the ball around (1/2, 1/2) is at the corners (1/2 +- eps, 1/2 -+ eps)."""
    images = torch.full((4, 1, 1, 2), 0.5)
    found = hardest(lambda x: x.flatten(1), images, eps=0.25, steps=20, step_size=0.1, generator=draws())
    expected = torch.tensor([[0.25, 0.75], [0.75, 0.25]])
    assert all(any(torch.allclose(row, corner) for corner in expected) for row in found.flatten(1))


class Pair(nn.Module):
    """Codes are the two pixels; the decoder halves them."""

    def encode(self, x):
        return x.flatten(1)

    def decode(self, code):
        return code.view(-1, 1, 1, 2) / 2

    def forward(self, x):
        return self.decode(self.encode(x))


@pytest.mark.parametrize("form", ["paper", "infonce"])
def test_the_objective_is_the_squared_norm_plus_lambda_times_the_contrastive_term(form):
    images = torch.tensor([[0.5, 0.5], [0.4, 0.8]]).view(2, 1, 1, 2)
    objective = adversarial_contrastive(lam=3.0, contrastive=form, tau=0.5, eps=0.1, steps=20)
    loss, terms = objective(Pair(), images, draws())
    reconstruction = ((0.25**2 + 0.25**2) + (0.2**2 + 0.4**2)) / 2
    assert float(terms["reconstruction"]) == pytest.approx(reconstruction, abs=1e-6)
    adversarial = hardest(Pair().encode, images, eps=0.1, steps=20, step_size=None, generator=draws())
    contrastive = contrastive_loss(adversarial.flatten(1), images.flatten(1), tau=0.5, form=form).mean()
    assert float(loss) == pytest.approx(reconstruction + 3 * float(contrastive), abs=1e-5)
