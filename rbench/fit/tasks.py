"""The tasks of the training loop: a purifier on images alone, or a backbone on images under attack."""

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from rbench.fit.loop import Task
from rbench.fit.recipe import InnerAttack
from rbench.objectives.types import Objective, Terms


def purifier_task(network: nn.Module, objective: Objective) -> Task:
    """A network trained for an objective, which is given images and no label.

    Args:
        network: e.g. an auto-encoder.
        objective: (network, images, generator) -> (loss, terms).
    """

    def loss(images: Tensor, labels: Tensor | None, generator: Generator) -> tuple[Tensor, Terms]:
        assert labels is None, "purifiers are trained without labels"
        return objective(network, images, generator)

    return Task(network, loss)


def backbone_task(network: nn.Module, attack: InnerAttack) -> Task:
    """A classifier trained on PGD examples (Madry et al. 2018, arXiv 1706.06083, eq. 2.1).

    Args:
        network: [0, 1] pixels to logits.
        attack: the inner maximisation; run in eval mode, so that batch statistics are those of the images it ends at.
    """

    def loss(images: Tensor, labels: Tensor | None, generator: Generator) -> tuple[Tensor, Terms]:
        assert labels is not None, "a backbone is trained on labels"
        was_training = network.training
        adversarial = attacked(network.eval(), images, labels, attack, generator)
        logits = network.train(was_training)(adversarial)
        error = functional.cross_entropy(logits, labels)
        return error, {"robust_accuracy": (logits.detach().argmax(1) == labels).float().mean()}

    return Task(network, loss)


def attacked(network: nn.Module, images: Tensor, labels: Tensor, attack: InnerAttack, generator: Generator) -> Tensor:
    """Images [B, C, H, W] of the Linf ball that PGD finds on the cross-entropy, from a uniform start; detached, in [0, 1]."""
    move = 2.5 * attack.eps / attack.steps if attack.step_size is None else attack.step_size
    low, high = (images - attack.eps).clamp(min=0), (images + attack.eps).clamp(max=1)
    start = torch.rand(images.shape, generator=generator, device=images.device, dtype=images.dtype)
    x = low + start * (high - low)
    for _ in range(attack.steps):
        with torch.enable_grad():
            x.requires_grad_()
            (gradient,) = torch.autograd.grad(functional.cross_entropy(network(x), labels, reduction="sum"), x)
        x = (x.detach() + move * gradient.sign()).clamp(low, high)
    return x.detach()
