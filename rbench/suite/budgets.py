"""The budgets at which convergence is looked at; here, without torch, so that a plan can count their passes."""

_DIGITS = (1, 2, 5)


def curve(steps: int) -> list[int]:
    """1, 2, 5, 10, 20, ... below the steps of the cell."""
    powers = range(len(str(steps)))
    return [found for power in powers for digit in _DIGITS if (found := digit * 10**power) < steps]


def convergence_passes(steps: int, restarts: int) -> int:
    """Backward passes per sample and draw, at most: the curve, the cell's own budget, three doublings, and no bound."""
    return restarts * (sum(curve(steps)) + (1 + 3 * 2 + 1) * steps)
