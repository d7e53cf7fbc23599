"""A purifier that hands out the clean image is flagged; one that maps a neighbourhood to one image is not."""

import pytest
import torch
from torch import nn

import rbench
from rbench.testing.known_answers import Shatterer

SIDE = 8


class Memory(nn.Module):
    """Answers every image with the nearest of those it has stored, if one is near."""

    stochastic = False

    def __init__(self, stored, near=0.2, offset=0.0):
        super().__init__()
        self.register_buffer("stored", stored)
        self.near, self.offset = near, offset

    def forward(self, x):
        far = (x.flatten(1)[:, None] - self.stored.flatten(1)[None]).abs().amax(2)
        nearest = self.stored[far.argmin(1)]
        known = (far.amin(1) < self.near)[:, None, None, None]
        return torch.where(known, (nearest + self.offset).clamp(0, 1) + 0 * x, 0.5 * x)


class OneBit(nn.Module):
    stochastic = False

    def forward(self, x):
        return (x > 0.5).to(x.dtype)


class Patches(nn.Module):
    """Every 4x4 patch becomes the nearest of a code of four."""

    stochastic = False
    code = torch.rand(4, 4, 4, generator=torch.Generator().manual_seed(5))

    def forward(self, x):
        patches = x.unfold(2, 4, 4).unfold(3, 4, 4)
        far = (patches.flatten(4)[..., None, :] - self.code.flatten(1)).abs().sum(-1)
        return self.code[far.argmin(-1)].permute(0, 1, 2, 4, 3, 5).reshape(x.shape)


class Bright(nn.Module):
    """Whether the left half is the brighter one."""

    def forward(self, x):
        lead = x[..., : SIDE // 2].mean((1, 2, 3)) - x[..., SIDE // 2 :].mean((1, 2, 3))
        return 20 * torch.stack([lead, -lead], 1)


def images(n=12):
    x = (255 * torch.rand(n, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(3))).round() / 255
    return x, Bright()(x).argmax(1)


def judged(purifier, x, y, eps=0.05, **more):
    return rbench.evaluate(Bright(), x, y, purifier=purifier, **{"attack": "pgd", "steps": 3, "eps": eps, **more})


@pytest.mark.parametrize("offset", [0.0, 1e-3], ids=["bit by bit", "under noise below a level"])
@pytest.mark.parametrize("copies", ["the images", "and mirrored ones"])
@pytest.mark.parametrize("attack", ["pgd", "noise", "adaptive"])
def test_a_purifier_that_knows_the_clean_images_is_flagged(attack, copies, offset):
    x, y = images()
    stored = x if copies == "the images" else torch.cat([x, x.flip(3), x.flip(2), x.flip(2, 3)])
    params = {"pgd": {"steps": 3}, "noise": {}, "adaptive": {"steps": 2, "queries": 10}}[attack]
    found = rbench.evaluate(Bright(), x, y, purifier=Memory(stored, offset=offset), attack=attack, eps=0.05, **params)
    assert "leaks" in found.flag_names
    assert found.audit["leaks"] > 0.9
    assert next(flag.value for flag in found.flags if flag.name == "leaks") == found.audit["leaks"]


def test_a_few_stored_images_are_enough():
    x, y = images(60)
    found = judged(Memory(x[:1]), x, y)
    assert found.audit["leaks"] == pytest.approx(1 / 60)
    assert "leaks" in found.flag_names


@pytest.mark.parametrize("purifier", [OneBit(), Patches()], ids=["bit depth", "a code of patches"])
def test_a_map_of_neighbourhoods_to_one_image_is_no_leak(purifier):
    x, _ = images()
    x = purifier(x)
    y = Bright()(x).argmax(1)
    found = judged(purifier, x, y, gradient="bpda")
    moved = found.adversarial
    assert torch.equal(purifier(moved), x), "every attacked image is restored"
    assert found.audit["leaks"] == 0
    assert "leaks" not in found.flag_names


def test_what_changes_no_attacked_image_has_no_share():
    x, y = images()
    for purifier in (None, nn.Identity()):
        found = judged(purifier, x, y)
        assert found.audit["leaks"] is None
        assert "leaks" not in found.flag_names


def test_an_honest_purifier_restores_nothing():
    x, y = images()
    assert judged(Shatterer(), x, y).audit["leaks"] == 0


def test_looking_for_leaks_costs_the_attack_nothing():
    x, y = images()
    calls = []

    class Counted(nn.Module):
        stochastic = False

        def forward(self, x):
            calls.append(len(x))
            return 0.9 * x

    found = judged(Counted(), x, y)
    assert found.cost["purifier_passes"] <= sum(calls) - len(x)
