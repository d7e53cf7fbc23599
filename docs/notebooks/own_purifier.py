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
from typing import Literal

import pandas as pd
import torch
from torch import Tensor, nn

import rbench

SAMPLES = 64
data = rbench.load("dataset", "fashion-mnist-mini")
images, labels = data.read(data.ids[:SAMPLES]), data.labels[:SAMPLES]
backbone = rbench.load("backbone", "bundled:fashion-cnn")

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
# is (`exact`), one passes through it and differentiates the identity in its place (`bpda`).

# %%
STEPS = 40
attackers: dict[str, Literal["blind", "exact", "bpda"]] = {
    "blind": "blind",
    "exact": "exact",
    "identity in its place": "bpda",
}
found = {
    name: rbench.evaluate(
        backbone, images, labels, purifier=SoftSteps(), attack="pgd", steps=STEPS, gradient=gradient, eps=0.1
    )
    for name, gradient in attackers.items()
}

# %% [markdown]
# Each with its interval, and with the doubts that rbench has about it.

# %%
table = pd.DataFrame(
    {
        name: {
            "standard": one.standard_accuracy.value,
            "robust": one.robust_accuracy.value,
            "95 % low": one.robust_accuracy.low,
            "95 % high": one.robust_accuracy.high,
            "flags": ", ".join(sorted(one.flag_names)),
        }
        for name, one in found.items()
    }
).T
print(table)

# %% [markdown]
# A sample counts as robust if it survives all of them: that is the number to report. Attacked images are in
# `adversarial`, a verdict for each in `samples`.

# %%
worst = pd.concat([one.samples["robust"] for one in found.values()], axis=1).min(axis=1).mean()
print(f"robust against all three: {worst:.1%} of {SAMPLES}")
