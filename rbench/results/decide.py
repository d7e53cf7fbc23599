"""How the draws of a random defence become one value of a sample (docs/judging.md, rule 1.4)."""

import numpy as np

from rbench.suite.cell import Decide


def decided(predictions: np.ndarray, label: np.ndarray, decide: Decide) -> np.ndarray:
    """What the draws say of each sample, float32 [N] in [0, 1]; 1 is right.

    `mean` is the share of right draws, `majority` whether the most frequent class (the lowest of a tie) is right, `any` whether every
    draw is right, so that one wrong draw of T is enough for the attacker (a resubmission threat model).

    Args:
        predictions: [N, draws] classes.
        label: [N] true classes.
        decide: the rule.
    """
    right: np.ndarray = predictions == label[:, None]
    if decide == "mean":
        shares: np.ndarray = np.atleast_1d(right.mean(axis=1))
        return shares.astype(np.float32)
    if decide == "any":
        every: np.ndarray = np.atleast_1d(right.all(axis=1))
        return every.astype(np.float32)
    classes = int(max(predictions.max(initial=0), label.max(initial=0))) + 1
    votes = np.zeros((len(label), classes), dtype=np.int64)
    np.add.at(votes, (np.arange(len(label))[:, None], predictions), 1)
    most: np.ndarray = votes.argmax(axis=1) == label
    return most.astype(np.float32)
