"""Transfer crafts on another model, is judged on the defended one, and pays for both."""

import numpy as np
import torch

import rbench
from rbench.purifiers.bit_depth import BitDepth


def test_transfer_from_the_own_backbone_is_the_blind_attack_at_the_same_cost():
    dataset = rbench.load("dataset", "fashion-mnist-mini")
    ids = np.arange(0, 1000, 100)
    x, y = torch.from_numpy(dataset.read(ids)), torch.from_numpy(dataset.labels[ids])
    name = "bundled:fashion-cnn"
    backbone = rbench.load("backbone", name)
    common = {"purifier": BitDepth(bits=2), "eps": "16/255", "steps": 5}
    moved = rbench.evaluate(backbone, x, y, attack="transfer", source=name, **common)
    blind = rbench.evaluate(backbone, x, y, attack="pgd", gradient="blind", **common)
    assert torch.equal(moved.adversarial, blind.adversarial)
    assert moved.result_hash == blind.result_hash
    assert moved.cost == blind.cost
    assert moved.cost["backwards"] == 5 * int((moved.samples["queries"] > 0).sum())
