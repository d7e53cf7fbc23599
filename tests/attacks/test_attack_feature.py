"""The attack on the features of the backbone, against the optimum of a linear one."""

import pytest
import torch
from codes import Deaf, greys, judged
from torch import nn

from rbench.engine.defended import DefendedModel
from rbench.purifiers.identity import Identity

EPS = 0.05
DUAL = {"Linf": 1.0, "L2": 2.0}


class HeadFirst(nn.Module):
    """One feature, a linear map of the pixels; the head is registered before the layer that runs before it. Never fooled."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(1, 2)
        self.body = nn.Linear(16, 1, bias=False)
        self.head.weight.data, self.head.bias.data = torch.tensor([[0.01], [0.02]]), torch.tensor([5.0, 0.0])
        self.body.weight.data = torch.randn(1, 16, generator=torch.Generator().manual_seed(1)) + 0.5

    def forward(self, x):
        return self.head(self.body(x.flatten(1)))


@pytest.mark.parametrize("norm", ["Linf", "L2"])
@pytest.mark.parametrize("gradient", ["exact", "blind"])
def test_it_finds_the_farthest_feature_of_a_linear_backbone(norm, gradient):
    x, y = greys(5, 1, 4, 4)
    backbone = HeadFirst()
    taken = {"steps": 30, "step_size": EPS / 4, "gradient": gradient}
    found = judged(Identity(), x, y, "feature", backbone=backbone, norm=norm, eps=EPS, **taken)
    reach = EPS * torch.linalg.vector_norm(backbone.body.weight, DUAL[norm])
    best = (reach / backbone.body(x.flatten(1))[:, 0]) ** 2
    assert torch.allclose(torch.tensor(found.samples["loss_last"]), best.detach(), rtol=1e-3)


@pytest.mark.parametrize("batch", [1, 3])
def test_the_features_are_what_the_last_linear_layer_that_ran_was_given(batch):
    x, _ = greys(batch, 1, 4, 4)
    backbone = HeadFirst()
    model = DefendedModel(Identity(), backbone)
    logits, features = model.features(x)
    assert torch.allclose(features, backbone.body(x.flatten(1)))
    assert torch.allclose(logits, backbone(x))
    assert not any(layer._forward_pre_hooks for layer in backbone.modules())


def test_a_backbone_without_a_linear_layer_has_its_logits_for_features():
    x, _ = greys(3, 1, 4, 4)
    logits, features = DefendedModel(Identity(), Deaf()).features(x)
    assert torch.equal(features, logits)
    assert torch.equal(logits, Deaf()(x))
