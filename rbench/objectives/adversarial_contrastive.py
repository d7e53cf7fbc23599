"""The objective of CRoPD: reconstruction, and codes whose direction an attacker in the ball cannot change."""

from collections.abc import Callable
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt, Interval
from torch import Generator, Tensor, nn
from torch.nn import functional

from rbench.objectives.reconstruction import squared_error
from rbench.objectives.types import Objective, Terms

Contrastive = Literal["paper", "infonce"]
Encode = Callable[[Tensor], Tensor]


def adversarial_contrastive(
    *,
    lam: Annotated[float, Ge(0)] = 100.0,
    contrastive: Contrastive = "infonce",
    tau: Annotated[float, Gt(0)] = 0.5,
    eps: Annotated[float, Interval(gt=0, le=1)],
    steps: Annotated[int, Interval(ge=1, le=10_000)] = 7,
    step_size: Annotated[float, Gt(0)] | None = None,
) -> Objective:
    """Reconstruction + lambda * max over the ball of L_con (Liu, Huang, Xing 2025, arXiv 2504.10850, CRoPD).

    min E_x [ ||decode(encode(x)) - x||^2 + lambda * max_{x_adv} L_con(encode(x_adv), encode(x)) ]. Whether the paper squares the norm is
    not known; here it is squared. The inner maximisation is PGD on the encoder alone.

    Args:
        lam: weight of the contrastive term.
        contrastive: `paper` leaves the positive out of the denominator, as printed; `infonce` puts it in.
        tau: temperature.
        eps: Linf radius, on the [0, 1] pixel scale.
        steps: PGD steps of the inner maximisation.
        step_size: on the [0, 1] pixel scale; 2.5 * eps / steps if not given.
    """

    def loss(network: nn.Module, images: Tensor, generator: Generator) -> tuple[Tensor, Terms]:
        encode: Encode = network.encode  # type: ignore[assignment]
        adversarial = hardest(encode, images, eps=eps, steps=steps, step_size=step_size, generator=generator)
        attacked, clean = encode(torch.cat([adversarial, images])).chunk(2)
        error = squared_error(network.decode(clean), images)  # type: ignore[operator]
        distance = contrastive_loss(attacked, clean, tau=tau, form=contrastive).mean()
        cosine = functional.cosine_similarity(attacked, clean).mean()
        return error + lam * distance, {"reconstruction": error, "contrastive": distance, "cosine": cosine}

    return loss


def contrastive_loss(attacked: Tensor, clean: Tensor, *, tau: float, form: Contrastive) -> Tensor:
    """L_con per image, [B]: how poorly an attacked code is distinguished from those of other images.

    -log( exp(cos(z_adv, z) / tau) / sum over negatives of exp(cos(z, z_neg) / tau) ). The negatives are the clean codes of the other images
    of the batch, compared with the clean anchor as printed in the paper.

    Args:
        attacked: codes [B, D] of the attacked images.
        clean: codes [B, D] of the clean ones; at least two, since one alone has no negatives.
        tau: temperature.
        form: `paper`, or `infonce` with the positive in the denominator too.
    """
    directions = functional.normalize(clean, dim=1)
    positive = (functional.normalize(attacked, dim=1) * directions).sum(1) / tau
    itself = torch.eye(len(clean), dtype=torch.bool, device=clean.device)
    negatives = (directions @ directions.T / tau).masked_fill(itself, -torch.inf)
    denominator = negatives if form == "paper" else torch.cat([positive[:, None], negatives], 1)
    return torch.logsumexp(denominator, 1) - positive


def hardest(
    encode: Encode, images: Tensor, *, eps: float, steps: int, step_size: float | None, generator: Generator
) -> Tensor:
    """Images of the Linf ball whose codes are turned far from the clean ones: PGD from a uniform start.

    In both forms L_con falls with cos(z_adv, z) and depends on z_adv through nothing else, so the cosine is what is minimised.

    Args:
        encode: images to codes [B, D].
        images: [B, C, H, W] in [0, 1].
        eps: radius, on the [0, 1] pixel scale.
        steps: gradient steps.
        step_size: on the same scale; 2.5 * eps / steps if not given.
        generator: of the start, on the device of the images.

    Returns:
        Images in the ball and in [0, 1], detached.
    """
    move = 2.5 * eps / steps if step_size is None else step_size
    low, high = (images - eps).clamp(min=0), (images + eps).clamp(max=1)
    with torch.no_grad():
        directions = functional.normalize(encode(images), dim=1)
        start = torch.rand(images.shape, generator=generator, device=images.device, dtype=images.dtype)
        x = low + start * (high - low)
    for _ in range(steps):
        with torch.enable_grad():
            x.requires_grad_()
            cosine = (functional.normalize(encode(x), dim=1) * directions).sum()
            (gradient,) = torch.autograd.grad(cosine, x)
        x = (x.detach() - move * gradient.sign()).clamp(low, high)
    return x.detach()
