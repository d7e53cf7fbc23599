# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Evaluate a purifier of your own
#
# A purifier is any `torch.nn.Module` that turns images into images. Here it is put in front of a frozen classifier
# and attacked by someone who ignores it, and by someone who does not. Open this file as a notebook with jupytext, or
# run it as a script.

# %%
import pandas as pd
import torch
from torch import Tensor, nn

import rbench

SAMPLES = 64

# %% [markdown]
# The purifier draws every pixel towards the nearest of four grey levels, along a steep but smooth stair. It has a
# gradient, so nothing is hidden; it is only small almost everywhere.


# %%
class SoftSteps(nn.Module):
    """Towards the nearest of a few grey levels."""

    stochastic = False

    def __init__(self, *, levels: int = 4, steepness: float = 20.0) -> None:
        super().__init__()
        self.steps, self.steepness = levels - 1, steepness

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] in [0, 1] to the same."""
        scaled = x * self.steps
        floor = scaled.detach().floor()
        stair = torch.sigmoid(self.steepness * (scaled - floor - 0.5))
        return ((floor + stair) / self.steps).clamp(0, 1)


# %% [markdown]
# Three attackers, all PGD in the same ball: one differentiates the bare classifier (`blind`), one the purifier as it
# is (`exact`), one passes through it and differentiates the identity in its place (`bpda`). A sample counts as robust if
# it survives all of them: that is the number to report, with its interval and with the doubts that rbench has about it.

# %%
STEPS = 40
found = rbench.evaluate(
    "bundled:fashion-cnn",
    "fashion-mnist-mini",
    samples=SAMPLES,
    purifier=SoftSteps(),
    attacks=[
        {"name": "pgd", "steps": STEPS, "gradient": "blind", "as": "blind"},
        {"name": "pgd", "steps": STEPS, "gradient": "exact", "as": "exact"},
        {"name": "pgd", "steps": STEPS, "gradient": "bpda", "as": "identity in its place"},
    ],
    eps=0.1,
)
print(f"robust against all three: {found.robust_accuracy.value:.1%} of {SAMPLES}")
found

# %% [markdown]
# What each of them left. The attacker who ignores the purifier leaves most: what lies between his figure and the worst
# case is hidden, not prevented.

# %%
table = pd.DataFrame(
    {
        name: {
            "robust": one.robust_accuracy.value,
            "95 % low": one.robust_accuracy.low,
            "95 % high": one.robust_accuracy.high,
        }
        for name, one in found.attacks.items()
    }
).T
print(table)

# %% [markdown]
# Attacked images are in `found.adversarial`, a verdict for each in `found.samples`. Judged once more, by a model that has
# seen none of them, they get the same verdicts.

# %%
print(found.verify())
