"""The budgets that `protocol.convergence` attacks with; here, without torch, so that a plan can count their passes."""

_DIGITS = (1, 2, 5)


def curve(steps: int) -> list[int]:
    """1, 2, 5, 10, 20, ... below the steps of the cell."""
    powers = range(len(str(steps)))
    return [fewer for power in powers for digit in _DIGITS if (fewer := digit * 10**power) < steps]


def convergence_passes(steps: int, restarts: int) -> int:
    """Most backward passes per sample and draw: the curve, the cell's own budget, twice it three times, and it once without a bound."""
    return restarts * (sum(curve(steps)) + (1 + 3 * 2 + 1) * steps)
